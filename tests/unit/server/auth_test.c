/* Who may make requests, and what becomes of those of a connection that is refused. */
#include <string.h>

#include "unit/cmocka.h"
#include "world.h"

static struct jute_request request_auth(const char *scheme, const char *data)
{
    return (struct jute_request){.xid = JUTE_XID_AUTH,
                                 .op = JUTE_AUTH,
                                 .scheme = mk_bytes_text(scheme),
                                 .data = mk_bytes_text(data)};
}

static void send(struct client *client, struct jute_request request)
{
    (void)client_send(client, &request);
}

/* The error of the next reply; 1: there is none. */
static int32_t next_error(struct client *client)
{
    struct jute_reply reply;

    return client_next(client, &reply) ? reply.error : 1;
}

static void assert_there(struct client *client, const char *path, bool there)
{
    struct jute_request exists = request_path(JUTE_EXISTS, path);

    assert_int_equal(client_call(client, &exists).error, there ? 0 : -101);
}

static void what_is_sent_behind_a_refused_authentication_is_not_executed(void **state)
{
    struct world world;
    struct client eve;
    struct client ann;

    world_init(&world, NULL, NULL);
    client_init(&eve, &world);
    client_init(&ann, &world);
    client_connect(&eve, 10000);
    client_connect(&ann, 10000);

    send(&eve, request_create("/before", "", 0));
    send(&eve, request_auth("nosuch", "x"));
    send(&eve, request_create("/behind", "", 0));
    send(&eve, request_path(JUTE_GET_CHILDREN, "/"));
    world_settle(&world);

    assert_int_equal(next_error(&eve), 0);
    assert_int_equal(next_error(&eve), -115);
    assert_int_equal(next_error(&eve), 1);
    assert_null(eve.conn);
    assert_there(&ann, "/before", true);
    assert_there(&ann, "/behind", false);
    client_deinit(&eve);
    client_deinit(&ann);
    world_deinit(&world);
}

static void demanding_init(struct world *world, struct client *client, const char *schemes)
{
    world_init(world, NULL, NULL);
    world->options.enforced_schemes = mk_bytes_text(schemes);
    world_restart(world);
    client_init(client, world);
    client_connect(client, 10000);
}

static void without_a_demanded_identity_every_request_is_refused_and_ends_the_connection(
    void **state)
{
    static const int32_t ops[] = {JUTE_PING, JUTE_GET_CHILDREN, JUTE_CREATE, JUTE_CLOSE_SESSION,
                                  JUTE_WHO_AM_I};

    for (size_t i = 0; i < MK_COUNT(ops); i++) {
        struct world world;
        struct client eve;
        struct jute_request request = request_create("/a", "", 0);
        struct jute_reply reply;

        demanding_init(&world, &eve, "digest");
        request.op = ops[i];
        int32_t xid = client_send(&eve, &request);
        send(&eve, request_auth("digest", "eve:too late"));
        world_settle(&world);

        assert_true(client_next(&eve, &reply));
        assert_int_equal(reply.error, -124);
        assert_int_equal(reply.zxid, 0);
        assert_int_equal(reply.xid, xid);
        assert_int_equal(next_error(&eve), 1);
        assert_null(eve.conn);
        client_deinit(&eve);
        world_deinit(&world);
    }
}

static void an_identity_of_any_demanded_scheme_lets_in(void **state)
{
    static const char *const schemes[] = {"digest", "sasl,digest", "digest,sasl", "ip"};

    for (size_t i = 0; i < MK_COUNT(schemes); i++) {
        struct world world;
        struct client bob;

        demanding_init(&world, &bob, schemes[i]);
        if (strcmp(schemes[i], "ip") != 0) {
            send(&bob, request_auth("digest", "bob:secret"));
            send(&bob, request_auth("digest", "bob:another"));
            world_settle(&world);
            assert_int_equal(next_error(&bob), 0);
            assert_int_equal(next_error(&bob), 0);
        }
        assert_there(&bob, "/", true);
        client_deinit(&bob);
        world_deinit(&world);
    }
}

static void a_scheme_is_demanded_by_its_whole_name(void **state)
{
    static const char *const schemes[] = {"dig", "digests", "sasl", "xdigest,sasl"};

    for (size_t i = 0; i < MK_COUNT(schemes); i++) {
        struct world world;
        struct client bob;

        demanding_init(&world, &bob, schemes[i]);
        send(&bob, request_auth("digest", "bob:secret"));
        send(&bob, request_path(JUTE_EXISTS, "/"));
        world_settle(&world);
        assert_int_equal(next_error(&bob), 0);
        assert_int_equal(next_error(&bob), -124);
        client_deinit(&bob);
        world_deinit(&world);
    }
}

static void without_the_digest_scheme_nobody_authenticates_by_it(void **state)
{
    struct world world;
    struct client bob;

    world_init(&world, NULL, NULL);
    world.options.acl.digest = false;
    world_restart(&world);
    client_init(&bob, &world);
    client_connect(&bob, 10000);

    send(&bob, request_auth("digest", "bob:secret"));
    world_settle(&world);

    assert_int_equal(next_error(&bob), -115);
    assert_null(bob.conn);
    client_deinit(&bob);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_behind_a_refused_authentication_is_not_executed),
        cmocka_unit_test(
            without_a_demanded_identity_every_request_is_refused_and_ends_the_connection),
        cmocka_unit_test(an_identity_of_any_demanded_scheme_lets_in),
        cmocka_unit_test(a_scheme_is_demanded_by_its_whole_name),
        cmocka_unit_test(without_the_digest_scheme_nobody_authenticates_by_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
