/* recipes/lock.lua against the fake host. */
#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>

#define PRINTER "{\"path\":\"/locks/printer\"}"
#define TICKET_0 "/locks/printer/lock-0000000000"
#define TICKET_1 "/locks/printer/lock-0000000001"

static struct world world;

static int setup(void **state)
{
    (void)state;
    char path[4096];
    const char *source_dir = getenv("SOURCE_DIR");
    world_open(&world);
    (void)snprintf(path, sizeof(path), "%s/recipes/lock.lua",
                   source_dir == NULL ? "." : source_dir);
    world_load_file(&world, path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void grants_a_free_lock_at_once(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);

    world_returned(&world, "{\"fence\":4294967298,\"ticket\":\"" TICKET_0 "\"}");
    assert_int_equal(world_znode(&world, TICKET_0)->owner, ANN);
}

static void waits_for_its_predecessor_and_its_own_ticket_only(void **state)
{
    (void)state;
    world_create(&world, "/locks/printer/lock-a", "");
    world_create(&world, "/locks/printer/lock-b", "");

    world_run(&world, "acquire", PRINTER);

    assert_string_equal(world_waits(&world), "deleted /locks/printer/lock-b, "
                                             "deleted /locks/printer/lock-0000000002");
}

static void grants_when_the_predecessor_is_gone_with_a_larger_fence(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);
    world.session = BOB;
    world_run(&world, "acquire", PRINTER);
    assert_string_equal(world_waits(&world), "deleted " TICKET_0 ", deleted " TICKET_1);
    world_delete(&world, TICKET_0);

    world_rerun(&world, "acquire", PRINTER);

    world_returned(&world, "{\"fence\":4294967301,\"ticket\":\"" TICKET_1 "\"}");
}

static void makes_one_ticket_however_often_it_is_run(void **state)
{
    (void)state;
    world_create(&world, "/locks/printer/lock-first", "");
    world_run(&world, "acquire", PRINTER);
    uint32_t effects = world.effects;

    world_rerun(&world, "acquire", PRINTER);

    assert_int_equal(world.run.end, RECIPE_PARKED);
    assert_int_equal(world.effects, effects);
}

static void waits_for_contenders_of_curator_and_kazoo_in_the_order_of_creation(void **state)
{
    (void)state;
    world_create(&world, "/locks/printer/_c_f00-lock-0000000007", "");
    world_create(&world, "/locks/printer/cafe__lock__0000000003", "");
    world_create(&world, "/locks/printer/unrelated", "");

    world_run(&world, "acquire", PRINTER);

    assert_string_equal(world_waits(&world), "deleted /locks/printer/cafe__lock__0000000003, "
                                             "deleted /locks/printer/lock-0000000003");
}

static void fails_as_lost_when_somebody_deletes_a_waiting_ticket(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);
    world_run(&world, "acquire", PRINTER);
    world_delete(&world, TICKET_1);

    world_rerun(&world, "acquire", PRINTER);

    world_failed(&world, "Lost", TICKET_1 " was deleted by somebody else");
}

static void removes_the_ticket_when_the_call_is_cancelled(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);
    world_run(&world, "acquire", PRINTER);

    world_cancel(&world, "acquire", PRINTER);

    assert_int_equal(world.run.end, RECIPE_RETURNED);
    assert_null(world_znode(&world, TICKET_1));
    assert_non_null(world_znode(&world, TICKET_0));
}

static void cancels_a_call_that_never_made_a_ticket(void **state)
{
    (void)state;
    world_cancel(&world, "acquire", PRINTER);

    assert_int_equal(world.run.end, RECIPE_RETURNED);
}

static void fails_as_no_auth_when_the_caller_may_not_create(void **state)
{
    (void)state;
    world.answer = MK_NO_AUTH;

    world_run(&world, "acquire", PRINTER);

    world_failed(&world, "NoAuth", "znode.create /locks/printer/lock-: the caller's identities");
}

static void releases_the_ticket_of_its_holder(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);

    world_run(&world, "release", "{\"path\":\"/locks/printer\",\"ticket\":\"" TICKET_0 "\"}");

    world_returned(&world, "true");
    assert_null(world_znode(&world, TICKET_0));
}

static void refuses_to_release_the_ticket_of_another_session(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);
    world.session = BOB;

    world_run(&world, "release", "{\"path\":\"/locks/printer\",\"ticket\":\"" TICKET_0 "\"}");

    world_failed(&world, "NotOwner", "");
    assert_non_null(world_znode(&world, TICKET_0));
}

static void refuses_to_release_a_ticket_twice(void **state)
{
    (void)state;
    world_run(&world, "acquire", PRINTER);
    world_run(&world, "release", "{\"path\":\"/locks/printer\",\"ticket\":\"" TICKET_0 "\"}");

    world_run(&world, "release", "{\"path\":\"/locks/printer\",\"ticket\":\"" TICKET_0 "\"}");

    world_failed(&world, "NotOwner", "");
}

static void refuses_to_release_a_znode_that_is_not_below_the_lock(void **state)
{
    (void)state;
    world_create(&world, "/elsewhere/mine", "");
    world_znode(&world, "/elsewhere/mine")->owner = ANN;

    world_run(&world, "release", "{\"path\":\"/locks/printer\",\"ticket\":\"/elsewhere/mine\"}");

    world_failed(&world, "NotOwner", "");
}

static void tells_its_timeout_to_the_engine(void **state)
{
    (void)state;
    mk_ms timeout_ms = 0;
    struct mk_error error;
    const struct recipe_operation *acquire =
        recipe_operation_find(world.version, MK_BYTES("acquire"));

    enum mk_status status = recipe_arguments_check(
        world.version, acquire, RECIPE_JSON, MK_BYTES("{\"path\":\"/a\",\"timeout\":\"250ms\"}"),
        &timeout_ms, &error);

    assert_int_equal(status, MK_OK);
    assert_int_equal(timeout_ms, 250);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(grants_a_free_lock_at_once),
        TEST(waits_for_its_predecessor_and_its_own_ticket_only),
        TEST(grants_when_the_predecessor_is_gone_with_a_larger_fence),
        TEST(makes_one_ticket_however_often_it_is_run),
        TEST(waits_for_contenders_of_curator_and_kazoo_in_the_order_of_creation),
        TEST(fails_as_lost_when_somebody_deletes_a_waiting_ticket),
        TEST(removes_the_ticket_when_the_call_is_cancelled),
        TEST(cancels_a_call_that_never_made_a_ticket),
        TEST(fails_as_no_auth_when_the_caller_may_not_create),
        TEST(releases_the_ticket_of_its_holder),
        TEST(refuses_to_release_the_ticket_of_another_session),
        TEST(refuses_to_release_a_ticket_twice),
        TEST(refuses_to_release_a_znode_that_is_not_below_the_lock),
        TEST(tells_its_timeout_to_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
