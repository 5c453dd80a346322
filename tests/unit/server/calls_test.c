/* A recipe's call, all the way through the core: made, parked, woken, ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/cmocka.h"
#include "world.h"

struct fixture {
    struct world world;
    struct client ann, bob;
    char *source;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char path[1024];

    snprintf(path, sizeof(path), "%s/recipes/lock.lua", getenv("SOURCE_DIR"));
    fixture->source = world_read_file(path);
    world_init(&fixture->world, "lock", fixture->source);
    client_init(&fixture->ann, &fixture->world);
    client_init(&fixture->bob, &fixture->world);
    client_connect(&fixture->ann, 10000);
    client_connect(&fixture->bob, 10000);
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

struct outcome {
    char error[64];
    char result[512];
};

static struct outcome outcome_of(struct jute_reply reply)
{
    struct outcome outcome = {0};
    struct mk_reader reader = mk_reader_of(reply.body);
    struct mk_bytes error = mk_read_field(&reader);
    struct mk_bytes message = mk_read_field(&reader);
    struct mk_bytes result = mk_read_field(&reader);

    assert_int_equal(reply.error, 0);
    assert_false(reader.failed);
    if (error.data != NULL) {
        memcpy(outcome.error, error.data, error.len);
        print_message("  %.*s\n", (int)message.len, (const char *)message.data);
    } else {
        memcpy(outcome.result, result.data, result.len);
    }
    return outcome;
}

static struct outcome acquire(struct client *client, int64_t id)
{
    struct jute_request request = request_recipe("lock.acquire", id, "{\"path\":\"/locks/a\"}");

    return outcome_of(client_call(client, &request));
}

static void ticket_of(const struct outcome *outcome, char *ticket)
{
    const char *at = strstr(outcome->result, "\"ticket\":\"");

    assert_non_null(at);
    at += strlen("\"ticket\":\"");
    size_t len = strcspn(at, "\"");
    memcpy(ticket, at, len);
    ticket[len] = '\0';
}

static struct outcome release(struct client *client, int64_t id, const char *ticket)
{
    char json[512];
    snprintf(json, sizeof(json), "{\"path\":\"/locks/a\",\"ticket\":\"%s\"}", ticket);
    struct jute_request request = request_recipe("lock.release", id, json);

    return outcome_of(client_call(client, &request));
}

static void a_free_lock_is_granted_in_one_request(void **state)
{
    struct fixture *fixture = *state;

    struct outcome outcome = acquire(&fixture->ann, 1);

    assert_string_equal(outcome.error, "");
    assert_non_null(strstr(outcome.result, "\"fence\":"));
}

static void a_waiting_call_is_answered_when_the_holder_releases(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request wait = request_recipe("lock.acquire", 1, "{\"path\":\"/locks/a\"}");
    struct jute_reply reply;
    char ticket[256];

    struct outcome held = acquire(&fixture->ann, 1);
    ticket_of(&held, ticket);
    int32_t xid = client_send(&fixture->bob, &wait);
    world_settle(&fixture->world);
    assert_false(client_next(&fixture->bob, &reply));

    struct outcome released = release(&fixture->ann, 2, ticket);

    assert_string_equal(released.result, "true");
    assert_true(client_next(&fixture->bob, &reply));
    assert_int_equal(reply.xid, xid);
    struct outcome granted = outcome_of(reply);
    assert_non_null(strstr(granted.result, "\"fence\":"));
}

static void the_end_of_the_holders_session_grants_the_lock_to_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request wait = request_recipe("lock.acquire", 1, "{\"path\":\"/locks/a\"}");
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};
    struct jute_reply reply;

    (void)acquire(&fixture->ann, 1);
    (void)client_send(&fixture->bob, &wait);

    (void)client_send(&fixture->ann, &close);
    world_settle(&fixture->world);

    assert_true(client_next(&fixture->bob, &reply));
    assert_string_equal(outcome_of(reply).error, "");
}

static void a_call_that_is_not_granted_in_time_fails_and_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request wait =
        request_recipe("lock.acquire", 1, "{\"path\":\"/locks/a\",\"timeout\":\"5s\"}");
    struct jute_request list = request_path(JUTE_GET_CHILDREN, "/locks/a");
    struct jute_reply reply;

    (void)acquire(&fixture->ann, 1);
    (void)client_send(&fixture->bob, &wait);
    world_advance(&fixture->world, 4500);
    assert_false(client_next(&fixture->bob, &reply));

    world_advance(&fixture->world, 1500);

    assert_true(client_next(&fixture->bob, &reply));
    assert_string_equal(outcome_of(reply).error, "Timeout");
    reply = client_call(&fixture->bob, &list);
    assert_int_equal(mk_load_u32(reply.body.data), 1);
    assert_int_equal(store_totals(fixture->world.store)->calls, 0);
}

static void a_repeated_call_id_gets_the_first_answer(void **state)
{
    struct fixture *fixture = *state;

    struct outcome first = acquire(&fixture->ann, 7);
    struct outcome again = acquire(&fixture->ann, 7);

    assert_string_equal(first.result, again.result);
}

static struct outcome acquire_of(struct client *client, int64_t id, int64_t done_through)
{
    char json[64];

    snprintf(json, sizeof(json), "{\"path\":\"/locks/%d\"}", (int)id);
    struct jute_request request = request_recipe("lock.acquire", id, json);
    request.done_through = done_through;
    return outcome_of(client_call(client, &request));
}

static void answers_are_kept_until_they_were_seen_in_whatever_order_the_calls_ended(void **state)
{
    struct fixture *fixture = *state;
    struct outcome third = acquire_of(&fixture->ann, 3, 0);
    struct outcome first = acquire_of(&fixture->ann, 1, 0);
    struct outcome second = acquire_of(&fixture->ann, 2, 0);
    struct outcome fourth = acquire_of(&fixture->ann, 4, 1);

    assert_string_equal(acquire_of(&fixture->ann, 2, 1).result, second.result);
    assert_string_equal(acquire_of(&fixture->ann, 3, 1).result, third.result);
    assert_string_equal(acquire_of(&fixture->ann, 4, 1).result, fourth.result);
    assert_string_not_equal(first.result, second.result);
    struct outcome fifth = acquire_of(&fixture->ann, 5, 3);
    assert_string_equal(acquire_of(&fixture->ann, 4, 3).result, fourth.result);
    assert_string_equal(acquire_of(&fixture->ann, 5, 3).result, fifth.result);
}

static void a_parked_call_goes_on_after_the_servers_death(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request wait = request_recipe("lock.acquire", 1, "{\"path\":\"/locks/a\"}");
    struct jute_reply reply;
    char ticket[256];

    struct outcome held = acquire(&fixture->ann, 1);
    ticket_of(&held, ticket);
    (void)client_send(&fixture->bob, &wait);
    world_settle(&fixture->world);

    world_restart(&fixture->world);
    client_connect(&fixture->ann, 10000);
    client_connect(&fixture->bob, 10000);
    wait.xid = 0;
    (void)client_send(&fixture->bob, &wait);
    world_settle(&fixture->world);
    assert_false(client_next(&fixture->bob, &reply));
    (void)release(&fixture->ann, 2, ticket);

    assert_true(client_next(&fixture->bob, &reply));
    assert_string_equal(outcome_of(reply).error, "");
}

static void a_call_node_tells_the_result_to_any_client(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request create =
        request_create("/zookeeper/calls/lock.acquire-", "{\"path\":\"/locks/a\"}", 3);
    char path[256] = {0};
    char ticket[256];

    struct outcome held = acquire(&fixture->ann, 1);
    ticket_of(&held, ticket);
    struct jute_reply reply = client_call(&fixture->bob, &create);
    assert_int_equal(reply.error, 0);
    memcpy(path, reply.body.data + 4, reply.body.len - 4);
    struct jute_request get = request_path(JUTE_GET_DATA, path);
    get.watch = true;
    reply = client_call(&fixture->bob, &get);
    assert_memory_equal(reply.body.data + 4, "{\"state\":\"waiting\"}", 19);

    (void)release(&fixture->ann, 2, ticket);

    assert_true(client_next(&fixture->bob, &reply));
    assert_int_equal(reply.xid, JUTE_XID_NOTIFICATION);
    get.xid = 0;
    reply = client_call(&fixture->bob, &get);
    assert_memory_equal(reply.body.data + 4, "{\"state\":\"done\"", 15);
}

static void deleting_the_node_of_a_waiting_call_cancels_it(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request create =
        request_create("/zookeeper/calls/lock.acquire-", "{\"path\":\"/locks/a\"}", 3);
    struct jute_request list = request_path(JUTE_GET_CHILDREN, "/locks/a");
    char path[256] = {0};

    (void)acquire(&fixture->ann, 1);
    struct jute_reply reply = client_call(&fixture->bob, &create);
    memcpy(path, reply.body.data + 4, reply.body.len - 4);

    struct jute_request delete = request_delete(path, 0);
    reply = client_call(&fixture->bob, &delete);

    assert_int_equal(reply.error, 0);
    reply = client_call(&fixture->bob, &list);
    assert_int_equal(mk_load_u32(reply.body.data), 1);
    assert_int_equal(store_totals(fixture->world.store)->calls, 0);
}

static void an_unknown_operation_is_refused_and_leaves_no_node(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request create = request_create("/zookeeper/calls/nothing.at_all-", "{}", 3);
    struct jute_request call = request_recipe("nothing.at_all", 1, "{}");

    assert_int_equal(client_call(&fixture->ann, &create).error, -6);
    assert_string_equal(outcome_of(client_call(&fixture->ann, &call)).error, "Unimplemented");
}

/* ---- Operations that only read ---- */

static const char look_source[] =
    "return { look = operation { doc = '', args = { path = 'path' }, reads_only = true,\n"
    "  run = function(call) return { data = znode.get(call.args.path) or json.null,\n"
    "    zxid = call.zxid } end } }\n";

static int setup_look(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    world_init(&fixture->world, "look", look_source);
    client_init(&fixture->ann, &fixture->world);
    client_init(&fixture->bob, &fixture->world);
    client_connect(&fixture->ann, 10000);
    client_connect(&fixture->bob, 10000);
    *state = fixture;
    return 0;
}

static void a_call_that_only_reads_sees_what_its_session_wrote_before_and_not_after(void **state)
{
    struct fixture *fixture = *state;
    struct client *ann = &fixture->ann;
    struct jute_request requests[] = {
        request_create("/a", "1", 0), request_recipe("look.look", 0, "{\"path\":\"/a\"}"),
        request_set("/a", "2", -1),   request_recipe("look.look", 7, "{\"path\":\"/a\"}"),
        request_set("/a", "3", -1),
    };
    int32_t xids[MK_COUNT(requests)];
    struct jute_reply reply;

    for (size_t i = 0; i < MK_COUNT(requests); i++) { /* all at once */
        xids[i] = client_send(ann, &requests[i]);
    }
    world_settle(&fixture->world);

    for (size_t i = 0; i < MK_COUNT(requests); i++) {
        assert_true(client_next(ann, &reply));
        assert_int_equal(reply.xid, xids[i]);
        if (i == 1 || i == 3) {
            struct outcome outcome = outcome_of(reply);
            assert_non_null(strstr(outcome.result, i == 1 ? "\"data\":\"1\"" : "\"data\":\"2\""));
        }
    }
}

static void a_call_that_only_reads_does_not_see_what_is_not_committed(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request create = request_create("/a", "1", 0);
    struct jute_request look = request_recipe("look.look", 0, "{\"path\":\"/a\"}");
    struct jute_reply reply;

    (void)client_send(&fixture->ann, &create); /* proposed; the log has not synced it */
    (void)client_send(&fixture->bob, &look);
    assert_true(server_conn_output(fixture->bob.conn)->len > 0); /* answered all the same */
    world_settle(&fixture->world);

    assert_true(client_next(&fixture->bob, &reply));
    struct outcome outcome = outcome_of(reply);
    assert_non_null(strstr(outcome.result, "\"data\":null"));
    outcome = outcome_of(client_call(&fixture->bob, &look));
    assert_non_null(strstr(outcome.result, "\"data\":\"1\""));
}

static void a_call_that_only_reads_is_answered_with_the_zxid_of_a_read(void **state)
{
    struct fixture *fixture = *state;
    struct jute_request create = request_create("/a", "1", 0);
    struct jute_request look = request_recipe("look.look", 3, "{\"path\":\"/a\"}");

    struct jute_reply created = client_call(&fixture->ann, &create);
    mk_zxid zxid = created.zxid;
    struct jute_reply first = client_call(&fixture->bob, &look);
    assert_int_equal(first.zxid, zxid);
    struct jute_reply again = client_call(&fixture->bob, &look); /* the same id: asked anew */
    assert_int_equal(again.zxid, zxid);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_LOOK(name) cmocka_unit_test_setup_teardown(name, setup_look, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_lock_is_granted_in_one_request),
        TEST(a_waiting_call_is_answered_when_the_holder_releases),
        TEST(the_end_of_the_holders_session_grants_the_lock_to_the_next),
        TEST(a_call_that_is_not_granted_in_time_fails_and_leaves_nothing_behind),
        TEST(a_repeated_call_id_gets_the_first_answer),
        TEST(answers_are_kept_until_they_were_seen_in_whatever_order_the_calls_ended),
        TEST(a_parked_call_goes_on_after_the_servers_death),
        TEST(a_call_node_tells_the_result_to_any_client),
        TEST(deleting_the_node_of_a_waiting_call_cancels_it),
        TEST(an_unknown_operation_is_refused_and_leaves_no_node),
        TEST_LOOK(a_call_that_only_reads_sees_what_its_session_wrote_before_and_not_after),
        TEST_LOOK(a_call_that_only_reads_does_not_see_what_is_not_committed),
        TEST_LOOK(a_call_that_only_reads_is_answered_with_the_zxid_of_a_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
