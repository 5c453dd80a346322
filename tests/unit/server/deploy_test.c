/* What is asked while a recipe is being removed: between the request that marks its versions and the end
 * of the calls that wait on them. No spec can stand there, because in it all happens at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/cmocka.h"
#include "world.h"

#define SOURCE(version)                                                                     \
    "return { pass = operation { doc = '', run = function(call) "                           \
    "if not znode.exists('/open') then call:wait { created = '/open' } end return " version \
    " end } }"

struct fixture {
    struct world world;
    struct client admin, ann;
};

struct answer {
    char error[64];
    char result[512];
};

static struct answer answer_of(const struct jute_reply *reply)
{
    struct answer answer = {0};
    struct mk_reader reader = mk_reader_of(reply->body);
    struct mk_bytes error = mk_read_field(&reader);
    (void)mk_read_field(&reader);
    struct mk_bytes result = mk_read_field(&reader);

    assert_int_equal(reply->error, 0);
    assert_false(reader.failed);
    assert_true(error.len < sizeof(answer.error) && result.len < sizeof(answer.result));
    if (error.data != NULL) {
        memcpy(answer.error, error.data, error.len);
    } else {
        memcpy(answer.result, result.data, result.len);
    }
    return answer;
}

/* The answer to what was sent as `xid`: others may come before. */
static struct answer await(struct client *client, int32_t xid)
{
    struct jute_reply reply = {0};

    client->read = 0;
    do {
        assert_true(client_next(client, &reply));
    } while (reply.xid != xid);
    return answer_of(&reply);
}

static int32_t ask(struct client *client, const char *operation, const char *json)
{
    struct jute_request request = request_recipe(operation, client->xid + 1, json);

    return client_send(client, &request);
}

static struct answer call(struct client *client, const char *operation, const char *json)
{
    int32_t xid = ask(client, operation, json);

    world_settle(client->world);
    return await(client, xid);
}

static struct answer deploy(struct client *client, const char *source)
{
    char json[1024];

    snprintf(json, sizeof(json), "{\"name\":\"gate\",\"source\":\"%s\"}", source);
    return call(client, "recipe.deploy", json);
}

static void version_of(const struct answer *answer, char out[65])
{
    const char *at = strstr(answer->result, "\"version\":\"");

    assert_non_null(at);
    snprintf(out, 65, "%s", at + strlen("\"version\":\""));
}

/* A call waits on version 1 of gate, and version 2 is active. */
static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct jute_request auth = {.op = JUTE_AUTH,
                                .xid = JUTE_XID_AUTH,
                                .scheme = MK_BYTES("digest"),
                                .data = MK_BYTES("super:secret")};

    world_init(&fixture->world, NULL, NULL);
    client_init(&fixture->admin, &fixture->world);
    client_init(&fixture->ann, &fixture->world);
    client_connect(&fixture->admin, 10000);
    client_connect(&fixture->ann, 10000);
    assert_int_equal(client_call(&fixture->admin, &auth).error, 0);
    assert_string_equal(deploy(&fixture->admin, SOURCE("1")).error, "");
    (void)ask(&fixture->ann, "gate.pass", "{}");
    world_settle(&fixture->world);
    assert_string_equal(deploy(&fixture->admin, SOURCE("2")).error, "");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    client_deinit(&fixture->admin);
    client_deinit(&fixture->ann);
    world_deinit(&fixture->world);
    free(fixture);
    return 0;
}

/* What is asked right behind a removal, before anything that it leaves to be done is done. */
static struct answer asked_behind(struct fixture *fixture, const char *removal,
                                  const char *operation, const char *json)
{
    int32_t first = ask(&fixture->admin, "recipe.remove", removal);
    int32_t second = ask(&fixture->admin, operation, json);

    world_settle(&fixture->world);
    assert_non_null(strstr(await(&fixture->admin, first).result, "\"changed\":true"));
    return await(&fixture->admin, second);
}

#define WHOLE "{\"name\":\"gate\",\"fail_waiting\":true}"

static void a_recipe_that_is_being_removed_is_not_deployed(void **state)
{
    struct fixture *fixture = *state;
    const char *source = "{\"name\":\"gate\",\"source\":\"" SOURCE("3") "\"}";

    assert_string_equal(asked_behind(fixture, WHOLE, "recipe.deploy", source).error, "Conflict");

    assert_string_equal(call(&fixture->ann, "gate.pass", "{}").error, "Unimplemented");
    assert_string_equal(deploy(&fixture->admin, SOURCE("3")).error, "");
}

static void a_recipe_that_is_being_removed_is_not_rolled_back(void **state)
{
    struct fixture *fixture = *state;

    assert_string_equal(
        asked_behind(fixture, WHOLE, "recipe.rollback", "{\"name\":\"gate\"}").error, "Conflict");
}

static void a_recipe_is_not_removed_twice(void **state)
{
    struct fixture *fixture = *state;

    assert_string_equal(asked_behind(fixture, WHOLE, "recipe.remove", WHOLE).error, "Conflict");
}

static void a_version_whose_calls_are_being_ended_is_not_deployed_again(void **state)
{
    struct fixture *fixture = *state;
    struct answer again = deploy(&fixture->admin, SOURCE("1"));
    char version[65];
    char removal[256];

    version_of(&again, version);
    assert_string_equal(deploy(&fixture->admin, SOURCE("2")).error, "");
    snprintf(removal, sizeof(removal),
             "{\"name\":\"gate\",\"version\":\"%s\",\"fail_waiting\":true}", version);

    struct answer answer = asked_behind(fixture, removal, "recipe.deploy",
                                        "{\"name\":\"gate\",\"source\":\"" SOURCE("1") "\"}");

    assert_string_equal(answer.error, "Conflict");
    assert_string_equal(deploy(&fixture->admin, SOURCE("1")).error, "");
}

static void a_version_whose_calls_are_being_ended_is_not_gone_back_to(void **state)
{
    struct fixture *fixture = *state;
    struct answer again = deploy(&fixture->admin, SOURCE("1"));
    char version[65];
    char removal[256];
    char rollback[256];

    version_of(&again, version);
    assert_string_equal(deploy(&fixture->admin, SOURCE("2")).error, "");
    snprintf(removal, sizeof(removal),
             "{\"name\":\"gate\",\"version\":\"%s\",\"fail_waiting\":true}", version);
    snprintf(rollback, sizeof(rollback), "{\"name\":\"gate\",\"version\":\"%s\"}", version);

    assert_string_equal(asked_behind(fixture, removal, "recipe.rollback", rollback).error,
                        "Conflict");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_recipe_that_is_being_removed_is_not_deployed),
        TEST(a_recipe_that_is_being_removed_is_not_rolled_back),
        TEST(a_recipe_is_not_removed_twice),
        TEST(a_version_whose_calls_are_being_ended_is_not_deployed_again),
        TEST(a_version_whose_calls_are_being_ended_is_not_gone_back_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
