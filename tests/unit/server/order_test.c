/* What may overtake what: a write waits for the log, and what came behind it does, or does not. */
#include "unit/cmocka.h"
#include "world.h"

static void ping(struct client *client)
{
    struct jute_request request = {.xid = JUTE_XID_PING, .op = JUTE_PING};

    (void)client_send(client, &request);
}

/* What has been written to the client by now, with the log left as it is. */
static void take_output(struct client *client)
{
    struct mk_buf *output = server_conn_output(client->conn);

    mk_buf_append_bytes(&client->input, mk_buf_view(output));
    output->len = 0;
}

static void a_ping_is_answered_while_a_write_waits_for_the_disk(void **state)
{
    struct world world;
    struct client ann;
    struct jute_reply reply;
    struct jute_request create = request_create("/a", "", 0);
    struct jute_request exists = request_path(JUTE_EXISTS, "/a");

    world_init(&world, NULL, NULL);
    client_init(&ann, &world);
    client_connect(&ann, 10000);

    int32_t created = client_send(&ann, &create);
    int32_t existing = client_send(&ann, &exists);
    ping(&ann);
    take_output(&ann);

    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.xid, JUTE_XID_PING);
    assert_false(client_next(&ann, &reply));

    world_settle(&world);

    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.xid, created);
    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.xid, existing);
    assert_int_equal(reply.error, 0);
    client_deinit(&ann);
    world_deinit(&world);
}

static void a_write_of_one_session_holds_up_no_read_of_another(void **state)
{
    struct world world;
    struct client ann;
    struct client bob;
    struct jute_reply reply;
    struct jute_request create = request_create("/a", "", 0);
    struct jute_request exists = request_path(JUTE_EXISTS, "/a");

    world_init(&world, NULL, NULL);
    client_init(&ann, &world);
    client_init(&bob, &world);
    client_connect(&ann, 10000);
    client_connect(&bob, 10000);

    (void)client_send(&ann, &create);
    (void)client_send(&bob, &exists);
    take_output(&bob);

    assert_true(client_next(&bob, &reply));
    assert_int_equal(reply.error, -101); /* it is not there before it is on disk */
    world_settle(&world);
    client_deinit(&ann);
    client_deinit(&bob);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ping_is_answered_while_a_write_waits_for_the_disk),
        cmocka_unit_test(a_write_of_one_session_holds_up_no_read_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
