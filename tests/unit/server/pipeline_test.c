/* Which transactions are logged together, by one sync, and which batch may wait for a next one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/cmocka.h"
#include "world.h"

#define PATIENCE_MS 5

struct fixture {
    struct world world;
    struct client ann, bob;
    char *source;
    char ticket[256]; /* of the lock that ann holds */
};

static struct jute_request acquire_request(int64_t call_id)
{
    return request_recipe("lock.acquire", call_id, "{\"path\":\"/locks/a\"}");
}

static void acquire(struct fixture *fixture)
{
    struct jute_request request = acquire_request(1);
    struct jute_reply reply = client_call(&fixture->ann, &request);
    const char *at = memmem(reply.body.data, reply.body.len, "/locks/a/lock-", 14);

    assert_non_null(at);
    memcpy(fixture->ticket, at, strlen("/locks/a/lock-") + 10);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char path[1024];

    snprintf(path, sizeof(path), "%s/recipes/lock.lua", getenv("SOURCE_DIR"));
    fixture->source = world_read_file(path);
    world_init(&fixture->world, "lock", fixture->source);
    fixture->world.options.parked_patience_ms = PATIENCE_MS;
    world_restart(&fixture->world);
    client_init(&fixture->ann, &fixture->world);
    client_init(&fixture->bob, &fixture->world);
    client_connect(&fixture->ann, 10000);
    client_connect(&fixture->bob, 10000);
    acquire(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    client_deinit(&fixture->ann);
    client_deinit(&fixture->bob);
    world_deinit(&fixture->world);
    free(fixture->source);
    free(fixture);
    return 0;
}

/* How many transactions the next sync makes durable; 0: there is none to be made. */
static uint32_t sync_next(struct fixture *fixture)
{
    struct server_batch batch;
    uint32_t count;

    if (!server_batch_take(fixture->world.server, &batch)) {
        return 0;
    }
    count = batch.count;
    mk_buf_append_bytes(&fixture->world.log, mk_buf_view(&batch.bytes));
    fixture->world.log_last = batch.last;
    server_batch_synced(fixture->world.server, &batch);
    return count;
}

static void send_acquire(struct client *client, int64_t call_id)
{
    struct jute_request request = acquire_request(call_id);

    (void)client_send(client, &request);
}

static void send_release(struct fixture *fixture)
{
    char json[512];

    snprintf(json, sizeof(json), "{\"path\":\"/locks/a\",\"ticket\":\"%s\"}", fixture->ticket);
    struct jute_request request = request_recipe("lock.release", 2, json);
    (void)client_send(&fixture->ann, &request);
}

static void pass(struct fixture *fixture, mk_ms ms)
{
    struct server_time *now = &fixture->world.now;

    now->monotonic_ms += ms;
    now->wall_ms += ms;
    server_tick(fixture->world.server, *now);
}

static bool answered(struct fixture *fixture, struct client *client)
{
    struct jute_reply reply;

    world_settle(&fixture->world);
    return client_next(client, &reply);
}

static void a_release_and_the_grant_that_it_causes_are_one_sync(void **state)
{
    struct fixture *fixture = *state;
    send_acquire(&fixture->bob, 1);
    pass(fixture, PATIENCE_MS);
    assert_int_equal(sync_next(fixture), 1);

    send_release(fixture);

    assert_int_equal(sync_next(fixture), 2);
    assert_int_equal(sync_next(fixture), 0);
    assert_true(answered(fixture, &fixture->ann));
    assert_true(answered(fixture, &fixture->bob));
}

static void a_call_that_parks_is_logged_with_the_next_answer(void **state)
{
    struct fixture *fixture = *state;

    send_acquire(&fixture->bob, 1);
    assert_int_equal(sync_next(fixture), 0);
    send_release(fixture);

    assert_int_equal(sync_next(fixture), 3);
    assert_true(answered(fixture, &fixture->bob));
}

static void a_call_that_parks_waits_for_company_no_longer_than_it_may(void **state)
{
    struct fixture *fixture = *state;

    send_acquire(&fixture->bob, 1);
    pass(fixture, PATIENCE_MS - 1);
    assert_int_equal(sync_next(fixture), 0);
    assert_int_equal(server_next_tick(fixture->world.server), fixture->world.now.monotonic_ms + 1);
    pass(fixture, 1);

    assert_int_equal(sync_next(fixture), 1);
}

static void a_request_behind_a_call_that_parks_has_it_logged_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request request = request_path(JUTE_EXISTS, "/locks/a");

    send_acquire(&fixture->bob, 1);
    (void)client_send(&fixture->bob, &request);

    assert_int_equal(sync_next(fixture), 1);
    assert_true(answered(fixture, &fixture->bob));
}

static void a_call_that_parks_through_a_znode_is_logged_at_once(void **state)
{
    enum { EPHEMERAL_SEQUENTIAL = 3 };
    struct fixture *fixture = *state;
    struct jute_request request = request_create("/zookeeper/calls/lock.acquire-",
                                                 "{\"path\":\"/locks/a\"}", EPHEMERAL_SEQUENTIAL);

    (void)client_send(&fixture->bob, &request);

    assert_int_equal(sync_next(fixture), 1);
    assert_true(answered(fixture, &fixture->bob));
}

static void a_call_that_parks_is_logged_at_once_when_the_server_is_to_end(void **state)
{
    struct fixture *fixture = *state;

    send_acquire(&fixture->bob, 1);
    server_batch_hurry(fixture->world.server);

    assert_int_equal(sync_next(fixture), 1);
    assert_true(server_idle(fixture->world.server));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_release_and_the_grant_that_it_causes_are_one_sync),
        TEST(a_call_that_parks_is_logged_with_the_next_answer),
        TEST(a_call_that_parks_waits_for_company_no_longer_than_it_may),
        TEST(a_request_behind_a_call_that_parks_has_it_logged_at_once),
        TEST(a_call_that_parks_through_a_znode_is_logged_at_once),
        TEST(a_call_that_parks_is_logged_at_once_when_the_server_is_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
