/* The reaper: when containers and TTL znodes go, through the whole core, in virtual time. */
#include <stdio.h>
#include <stdlib.h>

#include "unit/cmocka.h"
#include "world.h"

#define INTERVAL_MS 1000

struct fixture {
    struct world world;
    struct client ann;
};

static void open_fixture(struct fixture *fixture, void (*change)(struct server_options *options))
{
    world_init(&fixture->world, NULL, NULL);
    fixture->world.options.reap_interval_ms = INTERVAL_MS;
    if (change != NULL) {
        change(&fixture->world.options);
    }
    world_restart(&fixture->world);
    client_init(&fixture->ann, &fixture->world);
    client_connect(&fixture->ann, 40000);
}

static void close_fixture(struct fixture *fixture)
{
    client_deinit(&fixture->ann);
    world_deinit(&fixture->world);
}

static void make(struct fixture *fixture, int32_t op, const char *path, mk_ms ttl_ms)
{
    struct jute_request request = request_create(path, "",
                                                 op == JUTE_CREATE_CONTAINER ? 4
                                                 : op == JUTE_CREATE_TTL     ? 5
                                                                             : 0);

    request.op = op;
    request.ttl_ms = ttl_ms;
    assert_int_equal(client_call(&fixture->ann, &request).error, 0);
}

static void drop(struct fixture *fixture, const char *path)
{
    struct jute_request request = request_delete(path, -1);

    assert_int_equal(client_call(&fixture->ann, &request).error, 0);
}

static bool there(struct fixture *fixture, const char *path)
{
    struct store_znode znode;
    enum mk_status status =
        store_znode_read(store_committed(fixture->world.store), mk_bytes_text(path), false, &znode);

    return status == MK_OK;
}

static void an_emptied_container_goes_in_the_next_round(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_CONTAINER, "/c", 0);
    make(&fixture, JUTE_CREATE, "/c/a", 0);
    world_advance(&fixture.world, 3 * INTERVAL_MS);
    drop(&fixture, "/c/a");
    world_advance(&fixture.world, INTERVAL_MS / 2);
    assert_true(there(&fixture, "/c"));

    world_advance(&fixture.world, INTERVAL_MS / 2);

    assert_false(there(&fixture, "/c"));
    close_fixture(&fixture);
}

static void the_rhythm_of_rounds_does_not_depend_on_whether_anything_was_due(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    world_advance(&fixture.world, 20 * INTERVAL_MS + INTERVAL_MS / 2);
    make(&fixture, JUTE_CREATE_CONTAINER, "/c", 0);
    make(&fixture, JUTE_CREATE, "/c/a", 0);
    drop(&fixture, "/c/a");
    world_advance(&fixture.world, INTERVAL_MS / 2 - 100);
    assert_true(there(&fixture, "/c"));

    world_advance(&fixture.world, 100);

    assert_false(there(&fixture, "/c"));
    close_fixture(&fixture);
}

static void containers_of_containers_go_one_round_after_the_other(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_CONTAINER, "/a", 0);
    make(&fixture, JUTE_CREATE_CONTAINER, "/a/b", 0);
    make(&fixture, JUTE_CREATE, "/a/b/c", 0);
    drop(&fixture, "/a/b/c");
    world_advance(&fixture.world, INTERVAL_MS);
    assert_false(there(&fixture, "/a/b"));
    assert_true(there(&fixture, "/a"));

    world_advance(&fixture.world, INTERVAL_MS);

    assert_false(there(&fixture, "/a"));
    close_fixture(&fixture);
}

static void a_container_that_was_never_used_stays(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_CONTAINER, "/c", 0);

    world_advance(&fixture.world, 30 * INTERVAL_MS);

    assert_true(there(&fixture, "/c"));
    close_fixture(&fixture);
}

static void unused_for_3000_ms(struct server_options *options)
{
    options->container_unused_ms = 3000;
}

static void a_container_that_was_never_used_goes_when_the_option_says_so(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, unused_for_3000_ms);
    make(&fixture, JUTE_CREATE_CONTAINER, "/c", 0);
    world_advance(&fixture.world, 3000);
    assert_true(there(&fixture, "/c"));

    world_advance(&fixture.world, INTERVAL_MS);

    assert_false(there(&fixture, "/c"));
    close_fixture(&fixture);
}

static void a_ttl_znode_goes_after_its_time_unless_it_is_touched(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_TTL, "/t", 3000);
    make(&fixture, JUTE_CREATE_TTL, "/touched", 3000);
    world_advance(&fixture.world, 2000);
    struct jute_request touch = request_set("/touched", "x", -1);
    assert_int_equal(client_call(&fixture.ann, &touch).error, 0);
    assert_true(there(&fixture, "/t"));
    world_advance(&fixture.world, 2000);
    assert_false(there(&fixture, "/t"));
    assert_true(there(&fixture, "/touched"));

    world_advance(&fixture.world, 2000);

    assert_false(there(&fixture, "/touched"));
    close_fixture(&fixture);
}

static void a_ttl_znode_with_a_child_goes_when_the_child_has_gone(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_TTL, "/t", 500);
    make(&fixture, JUTE_CREATE, "/t/child", 0);
    world_advance(&fixture.world, 5 * INTERVAL_MS);
    assert_true(there(&fixture, "/t"));
    drop(&fixture, "/t/child");

    world_advance(&fixture.world, INTERVAL_MS);

    assert_false(there(&fixture, "/t"));
    close_fixture(&fixture);
}

static void without_ttl_znodes(struct server_options *options)
{
    options->extended_types = false;
}

static void ttl_znodes_stay_while_the_option_is_off(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_TTL, "/t", 500);
    without_ttl_znodes(&fixture.world.options);
    world_restart(&fixture.world);

    world_advance(&fixture.world, 5 * INTERVAL_MS);
    assert_true(there(&fixture, "/t"));

    fixture.world.options.extended_types = true;
    world_restart(&fixture.world);
    world_advance(&fixture.world, INTERVAL_MS);
    assert_false(there(&fixture, "/t"));
    close_fixture(&fixture);
}

static void one_in_100_ms(struct server_options *options)
{
    options->reaps_per_minute_max = 600;
}

static void no_more_go_in_a_minute_than_the_option_says(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, one_in_100_ms);
    for (int i = 0; i < 20; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/t%02d", i);
        make(&fixture, JUTE_CREATE_TTL, path, 1);
    }
    world_advance(&fixture.world, INTERVAL_MS); /* the round begins, with the first of them */
    assert_int_equal(store_totals(fixture.world.store)->reapable, 19);

    world_advance(&fixture.world, 900);
    assert_int_equal(store_totals(fixture.world.store)->reapable, 10);
    world_advance(&fixture.world, 1000);

    assert_int_equal(store_totals(fixture.world.store)->reapable, 0);
    close_fixture(&fixture);
}

static void reaping_goes_on_behind_a_crash(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_CONTAINER, "/c", 0);
    make(&fixture, JUTE_CREATE, "/c/a", 0);
    make(&fixture, JUTE_CREATE_TTL, "/t", 5000);
    drop(&fixture, "/c/a");

    world_restart(&fixture.world);
    assert_true(there(&fixture, "/c"));
    world_advance(&fixture.world, INTERVAL_MS);
    assert_false(there(&fixture, "/c"));
    assert_true(there(&fixture, "/t"));
    world_advance(&fixture.world, 5 * INTERVAL_MS);

    assert_false(there(&fixture, "/t"));
    close_fixture(&fixture);
}

static void who_watches_is_told_as_of_any_deletion(void **state)
{
    struct fixture fixture;
    struct jute_request exists = request_path(JUTE_EXISTS, "/c");
    struct jute_request children = request_path(JUTE_GET_CHILDREN, "/");
    struct jute_reply reply;

    (void)state;
    open_fixture(&fixture, NULL);
    make(&fixture, JUTE_CREATE_CONTAINER, "/c", 0);
    make(&fixture, JUTE_CREATE, "/c/a", 0);
    drop(&fixture, "/c/a");
    exists.watch = children.watch = true;
    assert_int_equal(client_call(&fixture.ann, &exists).error, 0);
    assert_int_equal(client_call(&fixture.ann, &children).error, 0);

    world_advance(&fixture.world, INTERVAL_MS);

    static const int32_t types[] = {JUTE_EVENT_DELETED, JUTE_EVENT_CHILDREN_CHANGED};
    for (size_t i = 0; i < MK_COUNT(types); i++) {
        assert_true(client_next(&fixture.ann, &reply));
        assert_int_equal(reply.xid, JUTE_XID_NOTIFICATION);
        assert_int_equal(mk_load_u32(reply.body.data), types[i]);
    }
    assert_false(client_next(&fixture.ann, &reply));
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_emptied_container_goes_in_the_next_round),
        cmocka_unit_test(the_rhythm_of_rounds_does_not_depend_on_whether_anything_was_due),
        cmocka_unit_test(containers_of_containers_go_one_round_after_the_other),
        cmocka_unit_test(a_container_that_was_never_used_stays),
        cmocka_unit_test(a_container_that_was_never_used_goes_when_the_option_says_so),
        cmocka_unit_test(a_ttl_znode_goes_after_its_time_unless_it_is_touched),
        cmocka_unit_test(a_ttl_znode_with_a_child_goes_when_the_child_has_gone),
        cmocka_unit_test(ttl_znodes_stay_while_the_option_is_off),
        cmocka_unit_test(no_more_go_in_a_minute_than_the_option_says),
        cmocka_unit_test(reaping_goes_on_behind_a_crash),
        cmocka_unit_test(who_watches_is_told_as_of_any_deletion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
