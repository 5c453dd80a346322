/* Sessions are let in at the rate that the operator names; large requests wait within a budget. */
#include <string.h>

#include "unit/cmocka.h"
#include "world.h"

static void world_with(struct world *world, const struct server_throttle *throttle)
{
    world_init(world, NULL, NULL);
    world->options.throttle = *throttle;
    world_restart(world);
}

/* How many of `count` that connect now get a session. */
static int admitted(struct world *world, int count)
{
    static const uint8_t zeros[JUTE_PASSWORD_BYTES];
    int sessions = 0;

    for (int i = 0; i < count; i++) {
        struct mk_buf frame = {0};
        struct server_conn *conn = server_conn_open(world->server, MK_BYTES("127.0.0.1"), 1, NULL);
        mk_buf_put_i32(&frame, 0);
        mk_buf_put_i64(&frame, 0);
        mk_buf_put_i32(&frame, 10000);
        mk_buf_put_i64(&frame, 0);
        mk_buf_put_field(&frame, mk_bytes_of(zeros, sizeof(zeros)));
        server_conn_frame(world->server, conn, mk_buf_view(&frame));
        sessions += server_conn_closing(conn) ? 0 : 1;
        assert_int_equal(server_conn_output(conn)->len, 0); /* not a byte for who is dropped */
        server_conn_closed(world->server, conn);
        mk_buf_free(&frame);
    }
    return sessions;
}

static const struct server_throttle three_a_second = {
    .tokens = 3,
    .fill_ms = 1000,
    .fill_count = 3,
    .freeze_ms = -1,
    .global_weight = 3,
    .renew_weight = 2,
};

static void without_a_bucket_everyone_is_admitted(void **state)
{
    struct world world;
    world_init(&world, NULL, NULL);

    assert_int_equal(admitted(&world, 100), 100);

    world_deinit(&world);
}

static void who_finds_no_token_is_dropped_and_may_come_again(void **state)
{
    struct world world;
    struct server_stats stats;
    world_with(&world, &three_a_second);

    assert_int_equal(admitted(&world, 10), 3);
    world_advance(&world, 1001);
    assert_int_equal(admitted(&world, 10), 3);
    world_advance(&world, 600000);
    assert_int_equal(admitted(&world, 10), 3); /* the bucket holds no more than its size */

    server_stats_read(world.server, &stats);
    assert_int_equal(stats.connects_rejected, 21);
    assert_int_equal(stats.token_deficit.max, 3);
    world_deinit(&world);
}

static void a_weight_is_what_a_session_takes(void **state)
{
    struct server_throttle throttle = three_a_second;
    struct world world;
    struct client ann;
    throttle.weights = true;
    throttle.tokens = 5;
    throttle.fill_count = 5;
    world_with(&world, &throttle);

    client_init(&ann, &world);
    client_connect(&ann, 10000); /* new: 3 of 5 */
    client_disconnect(&ann);
    client_connect(&ann, 10000); /* again: the other 2 */

    assert_non_null(ann.conn);
    assert_int_equal(admitted(&world, 1), 0);
    client_deinit(&ann);
    world_deinit(&world);
}

static void while_the_bucket_is_empty_the_drop_rate_rises_and_then_falls(void **state)
{
    struct server_throttle throttle = three_a_second;
    struct world world;
    struct server_stats stats;
    throttle.freeze_ms = 100;
    throttle.drop_increase = 250000;
    throttle.drop_decrease = 500000;
    world_with(&world, &throttle);

    (void)admitted(&world, 4);
    for (int i = 0; i < 2; i++) {
        world_advance(&world, 101);
        (void)admitted(&world, 1);
    }
    server_stats_read(world.server, &stats);
    assert_int_equal(stats.drop_millionths, 500000);

    world_advance(&world, 2000);
    assert_int_equal(admitted(&world, 1), 1); /* full again: the rate is 0 */
    server_stats_read(world.server, &stats);
    assert_int_equal(stats.drop_millionths, 0);
    world_deinit(&world);
}

static void large_requests_wait_within_their_budget_or_end_their_connection(void **state)
{
    struct world world;
    struct client ann, bob;
    struct server_stats stats;
    char data[600];
    memset(data, 'x', sizeof(data) - 1);
    data[sizeof(data) - 1] = '\0';
    world_init(&world, NULL, NULL);
    world.options.large_request_bytes = 500;
    world.options.large_requests_bytes_max = 1000;
    world_restart(&world);
    client_init(&ann, &world);
    client_init(&bob, &world);
    client_connect(&ann, 10000);
    client_connect(&bob, 10000);

    struct jute_request large = request_create("/large", data, 0);
    (void)client_send(&ann, &large);
    struct jute_request small = request_create("/small", "", 0);
    (void)client_send(&bob, &small);
    assert_false(server_conn_closing(bob.conn));
    (void)client_send(&bob, &large);
    assert_true(server_conn_closing(bob.conn));

    server_stats_read(world.server, &stats);
    assert_int_equal(stats.large_requests_rejected, 1);
    world_settle(&world);
    large = request_create("/large2", data, 0); /* ann's first is answered: there is room again */
    (void)client_send(&ann, &large);
    assert_false(server_conn_closing(ann.conn));
    world_settle(&world);
    client_deinit(&ann);
    client_deinit(&bob);
    world_deinit(&world);
}

static void who_waited_for_longer_than_the_operator_wants_is_refused(void **state)
{
    struct world world;
    struct client ann;
    struct jute_reply reply;
    struct server_stats stats;
    world_init(&world, NULL, NULL);
    world.options.throttled_wait_ms = 100;
    world_restart(&world);
    client_init(&ann, &world);
    client_connect(&ann, 10000);
    struct jute_request create = request_create("/a", "", 0);
    struct jute_request get = request_path(JUTE_GET_DATA, "/a");

    (void)client_send(&ann, &create); /* waits for the disk, and the read behind it for its turn */
    (void)client_send(&ann, &get);
    world.now.monotonic_ms += 101;
    server_tick(world.server, world.now);
    world_settle(&world);

    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.error, 0);
    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.error, -127);
    server_stats_read(world.server, &stats);
    assert_int_equal(stats.throttled, 1);
    client_deinit(&ann);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_bucket_everyone_is_admitted),
        cmocka_unit_test(who_finds_no_token_is_dropped_and_may_come_again),
        cmocka_unit_test(a_weight_is_what_a_session_takes),
        cmocka_unit_test(while_the_bucket_is_empty_the_drop_rate_rises_and_then_falls),
        cmocka_unit_test(who_waited_for_longer_than_the_operator_wants_is_refused),
        cmocka_unit_test(large_requests_wait_within_their_budget_or_end_their_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
