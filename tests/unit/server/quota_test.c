/* Quotas through the whole core: what is refused, what is only said, and that all who change znodes are
 * counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/cmocka.h"
#include "world.h"

#define OF_A "/zookeeper/quota/a"
#define QUOTA_EXCEEDED (-125)

struct fixture {
    struct world world;
    struct client ann;
    char *source;
};

static void open_fixture(struct fixture *fixture, bool enforce)
{
    char path[1024];

    snprintf(path, sizeof(path), "%s/recipes/lock.lua", getenv("SOURCE_DIR"));
    fixture->source = world_read_file(path);
    world_init(&fixture->world, "lock", fixture->source);
    fixture->world.options.enforce_quota = enforce;
    fixture->world.options.reap_interval_ms = 1000;
    world_restart(&fixture->world);
    client_init(&fixture->ann, &fixture->world);
    client_connect(&fixture->ann, 40000);
}

static void close_fixture(struct fixture *fixture)
{
    client_deinit(&fixture->ann);
    world_deinit(&fixture->world);
    free(fixture->source);
}

static int32_t make(struct fixture *fixture, const char *path, const char *data)
{
    struct jute_request request = request_create(path, data, 0);

    return client_call(&fixture->ann, &request).error;
}

static int32_t set(struct fixture *fixture, const char *path, const char *data, int32_t version)
{
    struct jute_request request = request_set(path, data, version);

    return client_call(&fixture->ann, &request).error;
}

static int32_t drop(struct fixture *fixture, const char *path)
{
    struct jute_request request = request_delete(path, -1);

    return client_call(&fixture->ann, &request).error;
}

static void limit(struct fixture *fixture, const char *limits)
{
    assert_int_equal(make(fixture, "/a", ""), 0);
    assert_int_equal(make(fixture, OF_A, ""), 0);
    assert_int_equal(make(fixture, OF_A "/zookeeper_limits", limits), 0);
    assert_int_equal(make(fixture, OF_A "/zookeeper_stats", "count=0,bytes=0"), 0);
}

static void assert_usage(struct fixture *fixture, const char *usage)
{
    struct store_znode znode;
    enum mk_status status = store_znode_read(store_committed(fixture->world.store),
                                             MK_BYTES(OF_A "/zookeeper_stats"), true, &znode);

    assert_int_equal(status, MK_OK);
    assert_int_equal(znode.data.len, strlen(usage));
    assert_memory_equal(znode.data.data, usage, znode.data.len);
}

static void a_hard_limit_may_be_reached_and_not_passed(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=3");

    assert_int_equal(make(&fixture, "/a/1", "12345"), 0);
    assert_int_equal(make(&fixture, "/a/2", ""), 0);
    assert_int_equal(make(&fixture, "/a/3", ""), QUOTA_EXCEEDED);
    assert_int_equal(set(&fixture, "/a/2", "6", -1), QUOTA_EXCEEDED);
    assert_int_equal(set(&fixture, "/a/1", "54321", -1), 0);
    assert_int_equal(set(&fixture, "/a/1", "1234", -1), 0);
    assert_int_equal(set(&fixture, "/a/2", "5", -1), 0);

    assert_usage(&fixture, "count=3,bytes=5");
    close_fixture(&fixture);
}

static void a_hard_quota_comes_before_the_version_and_behind_the_name(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=1");

    assert_int_equal(set(&fixture, "/a", "x", 7), QUOTA_EXCEEDED);
    assert_int_equal(set(&fixture, "/a", "", 7), -103);
    assert_int_equal(make(&fixture, "/a", "x"), -110);
    assert_int_equal(make(&fixture, "/a/b/c", "x"), -101);
    close_fixture(&fixture);
}

static void a_hard_limit_stands_in_for_the_soft_one(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "count=1,bytes=1=;countHardLimit=3");

    assert_int_equal(make(&fixture, "/a/1", "longer than one"), 0);
    assert_int_equal(make(&fixture, "/a/2", ""), 0);
    assert_int_equal(make(&fixture, "/a/3", ""), QUOTA_EXCEEDED);
    close_fixture(&fixture);
}

static void nothing_is_refused_unless_the_option_says_so(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, false);
    limit(&fixture, "count=1,bytes=1=;byteHardLimit=1;countHardLimit=1");

    assert_int_equal(make(&fixture, "/a/1", "longer than one"), 0);
    assert_usage(&fixture, "count=2,bytes=15");
    close_fixture(&fixture);
}

static void a_quota_of_the_root_is_refused(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, true);

    assert_int_equal(make(&fixture, "/zookeeper/quota/zookeeper_limits", "count=1"), -8);
    assert_int_equal(make(&fixture, "/zookeeper/quota/zookeeper_stats", ""), 0);
    assert_int_equal(make(&fixture, "/b", ""), 0);
    close_fixture(&fixture);
}

static void without_its_limits_a_quota_refuses_nothing(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "count=-1,bytes=-1=;countHardLimit=1");
    assert_int_equal(make(&fixture, "/a/1", ""), QUOTA_EXCEEDED);

    assert_int_equal(drop(&fixture, OF_A "/zookeeper_limits"), 0);

    assert_int_equal(make(&fixture, "/a/1", ""), 0);
    close_fixture(&fixture);
}

static void limits_that_change_hold_at_once(void **state)
{
    struct fixture fixture;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "count=-1,bytes=-1");
    assert_int_equal(make(&fixture, "/a/1", ""), 0);

    assert_int_equal(set(&fixture, OF_A "/zookeeper_limits", "countHardLimit=2", -1), 0);

    assert_int_equal(make(&fixture, "/a/2", ""), QUOTA_EXCEEDED);
    close_fixture(&fixture);
}

/* Pipelined: the second is prepared before the first has committed. */
static void what_is_under_way_counts_too(void **state)
{
    struct fixture fixture;
    struct jute_request first = request_create("/a/1", "", 0);
    struct jute_request second = request_create("/a/2", "", 0);
    struct jute_reply reply;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "countHardLimit=2");

    (void)client_send(&fixture.ann, &first);
    (void)client_send(&fixture.ann, &second);
    world_settle(&fixture.world);

    assert_true(client_next(&fixture.ann, &reply));
    assert_int_equal(reply.error, 0);
    assert_true(client_next(&fixture.ann, &reply));
    assert_int_equal(reply.error, QUOTA_EXCEEDED);
    close_fixture(&fixture);
}

static void recipes_sessions_and_the_reaper_are_counted(void **state)
{
    struct fixture fixture;
    struct client bob;
    struct jute_request acquire = request_recipe("lock.acquire", 1, "{\"path\":\"/a/lock\"}");
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};

    (void)state;
    open_fixture(&fixture, true);
    client_init(&bob, &fixture.world);
    client_connect(&bob, 40000);
    limit(&fixture, "count=100");
    assert_usage(&fixture, "count=1,bytes=0");

    (void)client_call(&bob, &acquire);
    assert_usage(&fixture, "count=3,bytes=0");
    (void)client_call(&bob, &close);
    assert_usage(&fixture, "count=2,bytes=0");
    world_advance(&fixture.world, 1000);

    assert_usage(&fixture, "count=1,bytes=0");
    client_deinit(&bob);
    close_fixture(&fixture);
}

static void a_recipe_is_refused_as_its_caller_would_be(void **state)
{
    struct fixture fixture;
    struct jute_request acquire = request_recipe("lock.acquire", 1, "{\"path\":\"/a/lock\"}");
    struct jute_reply reply;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "countHardLimit=2");

    reply = client_call(&fixture.ann, &acquire);

    assert_int_equal(reply.error, 0);
    struct mk_reader reader = mk_reader_of(reply.body);
    struct mk_bytes error = mk_read_field(&reader);
    assert_int_equal(error.len, strlen("QuotaExceeded"));
    assert_memory_equal(error.data, "QuotaExceeded", error.len);
    assert_usage(&fixture, "count=1,bytes=0");
    close_fixture(&fixture);
}

static void watches_of_the_stats_are_not_fired_by_usage(void **state)
{
    struct fixture fixture;
    struct jute_request get = request_path(JUTE_GET_DATA, OF_A "/zookeeper_stats");
    struct jute_reply reply;

    (void)state;
    open_fixture(&fixture, true);
    limit(&fixture, "count=100");
    get.watch = true;
    assert_int_equal(client_call(&fixture.ann, &get).error, 0);

    assert_int_equal(make(&fixture, "/a/1", ""), 0);

    assert_false(client_next(&fixture.ann, &reply));
    close_fixture(&fixture);
}

static void a_large_subtree_is_counted_to_its_end_by_itself(void **state)
{
    struct fixture fixture;
    char path[32];

    (void)state;
    open_fixture(&fixture, false);
    assert_int_equal(make(&fixture, "/a", ""), 0);
    for (int i = 1; i < 3000; i++) {
        snprintf(path, sizeof(path), "/a/%d", i);
        struct jute_request request = request_create(path, "x", 0);
        (void)client_send(&fixture.ann, &request);
        if (i % 100 == 0) {
            world_settle(&fixture.world);
        }
    }
    world_settle(&fixture.world);
    fixture.ann.read = fixture.ann.input.len;
    assert_int_equal(make(&fixture, OF_A, ""), 0);
    assert_int_equal(make(&fixture, OF_A "/zookeeper_limits", "count=5"), 0);
    struct jute_request stats = request_create(OF_A "/zookeeper_stats", "", 0);

    (void)client_send(&fixture.ann, &stats);
    struct server_batch batch;
    assert_true(server_batch_take(fixture.world.server, &batch));
    mk_buf_append_bytes(&fixture.world.log, mk_buf_view(&batch.bytes));
    fixture.world.log_last = batch.last;
    server_batch_synced(fixture.world.server, &batch);
    assert_usage(&fixture, "count=1024,bytes=1023");
    world_restart(&fixture.world); /* a crash in the midst of counting */

    assert_usage(&fixture, "count=3000,bytes=2999");
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hard_limit_may_be_reached_and_not_passed),
        cmocka_unit_test(a_hard_quota_comes_before_the_version_and_behind_the_name),
        cmocka_unit_test(a_hard_limit_stands_in_for_the_soft_one),
        cmocka_unit_test(nothing_is_refused_unless_the_option_says_so),
        cmocka_unit_test(a_quota_of_the_root_is_refused),
        cmocka_unit_test(without_its_limits_a_quota_refuses_nothing),
        cmocka_unit_test(limits_that_change_hold_at_once),
        cmocka_unit_test(what_is_under_way_counts_too),
        cmocka_unit_test(recipes_sessions_and_the_reaper_are_counted),
        cmocka_unit_test(a_recipe_is_refused_as_its_caller_would_be),
        cmocka_unit_test(watches_of_the_stats_are_not_fired_by_usage),
        cmocka_unit_test(a_large_subtree_is_counted_to_its_end_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
