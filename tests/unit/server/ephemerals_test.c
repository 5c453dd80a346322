/* How many ephemerals a session may own. */
#include <stdio.h>

#include "unit/cmocka.h"
#include "world.h"

#define MAX 3
#define TIMEOUT_MS 10000

struct fixture {
    struct world world;
    struct client ann, ben;
};

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    world_init(&fixture->world, NULL, NULL);
    fixture->world.options.session_ephemerals_max = MAX;
    world_restart(&fixture->world);
    client_init(&fixture->ann, &fixture->world);
    client_init(&fixture->ben, &fixture->world);
    client_connect(&fixture->ann, TIMEOUT_MS);
    client_connect(&fixture->ben, TIMEOUT_MS);
}

static void tear_down(struct fixture *fixture)
{
    client_deinit(&fixture->ann);
    client_deinit(&fixture->ben);
    world_deinit(&fixture->world);
}

static int32_t create(struct client *client, const char *path, int32_t flags)
{
    struct jute_request request = request_create(path, "", flags);

    return client_call(client, &request).error;
}

static void fill(struct client *client, const char *name)
{
    char path[16];

    for (int i = 0; i < MAX; i++) {
        (void)snprintf(path, sizeof(path), "/%s-%d", name, i);
        assert_int_equal(create(client, path, 1), 0);
    }
}

static void a_session_owns_so_many_ephemerals_and_no_more(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);

    fill(&fixture.ann, "a");

    assert_int_equal(create(&fixture.ann, "/one-more", 1), -125);
    assert_int_equal(create(&fixture.ann, "/in-order-", 3), -125);
    assert_int_equal(create(&fixture.ann, "/persistent", 0), 0);
    fill(&fixture.ben, "b"); /* it is nothing to others */
    tear_down(&fixture);
}

static void whoever_deletes_one_makes_room_for_another(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fill(&fixture.ann, "a");

    struct jute_request delete = request_delete("/a-1", -1);
    assert_int_equal(client_call(&fixture.ben, &delete).error, 0);

    assert_int_equal(create(&fixture.ann, "/again", 1), 0);
    assert_int_equal(create(&fixture.ann, "/one-more", 1), -125);
    tear_down(&fixture);
}

/* One multi of several creates: whether it is carried out. */
static bool create_all(struct client *client, size_t count, const char *const *paths)
{
    struct mk_buf frame = {0};
    struct jute_reply reply;

    size_t at = jute_multi_request_begin(&frame, ++client->xid, JUTE_MULTI);
    for (size_t i = 0; i < count; i++) {
        struct jute_request one = request_create(paths[i], "", 1);
        jute_multi_request_put(&frame, &one);
    }
    jute_multi_request_end(&frame, at);
    server_conn_frame(client->world->server, client->conn,
                      mk_bytes_of(frame.data + 4, frame.len - 4));
    mk_buf_free(&frame);
    world_settle(client->world);
    assert_true(client_next(client, &reply));
    struct mk_reader reader = mk_reader_of(reply.body);
    return mk_read_i32(&reader) == JUTE_CREATE;
}

static void a_multi_counts_as_a_whole_or_not_at_all(void **state)
{
    static const char *const too_many[] = {"/m-0", "/m-1", "/m-2", "/m-3"};
    static const char *const no_parent[] = {"/m-0", "/m-1", "/no/parent"};
    struct fixture fixture;
    (void)state;
    set_up(&fixture);

    assert_false(create_all(&fixture.ann, MK_COUNT(too_many), too_many));
    assert_false(create_all(&fixture.ann, MK_COUNT(no_parent), no_parent));
    assert_true(create_all(&fixture.ann, MAX, too_many));

    assert_int_equal(create(&fixture.ann, "/one-more", 1), -125);
    tear_down(&fixture);
}

static void after_a_restart_those_that_were_there_count(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fill(&fixture.ann, "a");
    struct jute_request delete = request_delete("/a-0", -1);
    assert_int_equal(client_call(&fixture.ann, &delete).error, 0);

    world_restart(&fixture.world);
    fixture.ann.conn = NULL;
    client_connect(&fixture.ann, TIMEOUT_MS);

    assert_int_equal(create(&fixture.ann, "/again", 1), 0);
    assert_int_equal(create(&fixture.ann, "/one-more", 1), -125);
    tear_down(&fixture);
}

static void a_smaller_limit_takes_nothing_away(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fill(&fixture.ann, "a");

    fixture.world.options.session_ephemerals_max = 1;
    world_restart(&fixture.world);
    fixture.ann.conn = NULL;
    client_connect(&fixture.ann, TIMEOUT_MS);

    struct jute_request exists = request_path(JUTE_EXISTS, "/a-2");
    assert_int_equal(client_call(&fixture.ann, &exists).error, 0);
    assert_int_equal(create(&fixture.ann, "/one-more", 1), -125);
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};
    assert_int_equal(client_call(&fixture.ann, &close).error, 0);
    client_connect(&fixture.ben, TIMEOUT_MS);
    assert_int_equal(client_call(&fixture.ben, &exists).error, -101);
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_owns_so_many_ephemerals_and_no_more),
        cmocka_unit_test(whoever_deletes_one_makes_room_for_another),
        cmocka_unit_test(a_multi_counts_as_a_whole_or_not_at_all),
        cmocka_unit_test(after_a_restart_those_that_were_there_count),
        cmocka_unit_test(a_smaller_limit_takes_nothing_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
