/* once, recall, wait, fail, cancel: what a call carries from run to run. */
#include "fake_host.h"

#include <stdio.h>

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void gives_the_call_its_arguments_zxid_time_and_session(void **state)
{
    (void)state;
    world.session = -2;
    world.now_ms = 1234567890123;
    world.zxid = 0x1fffff00000000;
    world_eval(&world, "return { next(call.args) == nil, call.zxid, call.now, call.session }");
    world_failed(&world, "RecipeError", "there is no 'next'");
    world_eval(&world, "return { call.zxid, call.now, call.session, call.args }");
    world_returned(&world, "[9007194959773698,1234567890123,\"fffffffffffffffe\",{}]");
}

static void once_executes_a_step_in_the_first_run_only(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { test = operation { doc = '', run = function(call)\n"
               "  local n = call:once('n', function() return call.zxid end)\n"
               "  if call.zxid < n + 2 then call:wait { changed = '/a' } end\n"
               "  return call.zxid - n end } }");

    world_run(&world, "test", "");
    assert_string_equal(world_waits(&world), "changed /a");
    world_rerun(&world, "test", "");
    assert_string_equal(world_waits(&world), "changed /a");
    world_rerun(&world, "test", "");
    world_returned(&world, "2");
}

static void once_returns_the_same_plain_data_in_every_run(void **state)
{
    (void)state;
    world_load(
        &world, "lock",
        "local function text(v) return json.encode(v) end\n"
        "return { test = operation { doc = '', run = function(call)\n"
        "  local v = call:once('v', function() local t = { a = { 1, 'x', false }, b = {},\n"
        "    c = json.list(), d = 1.5, e = -7, f = '\\255' } return t end)\n"
        "  v.f = #v.f v.g = 1\n"
        "  if not call:recall('second') then\n"
        "    call:once('second', function() return text(v) end) call:wait { created = '/a' }\n"
        "  end\n"
        "  return { text(v) == call:recall('second'), v } end } }");

    world_run(&world, "test", "");
    assert_string_equal(world_waits(&world), "created /a");
    world_rerun(&world, "test", "");

    world_returned(&world,
                   "[true,{\"a\":[1,\"x\",false],\"b\":{},\"c\":[],\"d\":1.5,\"e\":-7,\"f\":1,"
                   "\"g\":1}]");
}

static void once_is_written_in_the_order_of_names_whatever_the_order_of_steps(void **state)
{
    (void)state;
    world_eval(&world, "call:once('b', function() return 2 end) call:once('a', function() return 1 "
                       "end)");
    assert_int_equal(world.once.len, 7);
    assert_memory_equal(world.once.data,
                        "\x82\xa1"
                        "a\x01\xa1"
                        "b\x02",
                        7);
}

static void once_refuses_nothing_and_what_is_no_plain_data(void **state)
{
    (void)state;
    world_eval(&world, "call:once('x', function() end)");
    world_failed(&world, "RecipeError", "must return what is to be remembered");
    world_eval(&world, "call:once('x', function() return call.wait end)");
    world_failed(&world, "RecipeError", "a function cannot be encoded");
    world_eval(&world, "call:once('', function() return 1 end)");
    world_failed(&world, "RecipeError", "a step's name has 1 to 64 bytes");
    world_eval(&world, "call.once('x', function() return 1 end)");
    world_failed(&world, "RecipeError", "write call:once(...), with a colon");
    world_eval(&world,
               "call:once('x', function() return call:once('x', function() return 1 end) end)");
    world_failed(&world, "RecipeError", "within itself");
}

static void once_within_once_is_remembered_too(void **state)
{
    (void)state;
    world_eval(&world, "return call:once('outer', function()\n"
                       "  return 1 + call:once('inner', function() return 1 end) end)\n"
                       "  + call:recall('inner')");
    world_returned(&world, "3");
}

static void recall_returns_nil_for_what_never_happened(void **state)
{
    (void)state;
    world_eval(&world, "return call:recall('ticket') == nil");
    world_returned(&world, "true");
}

static void a_failed_run_forgets_what_it_remembered(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { test = operation { doc = '', run = function(call)\n"
               "  if not call:recall('a') then\n"
               "    call:once('a', function() return 1 end) call:wait { created = '/a' } end\n"
               "  call:once('b', function() return 2 end) fail('Oops') end,\n"
               "  cancel = function(call) log.info(tostring(call:recall('a')),\n"
               "    tostring(call:recall('b'))) end } }");
    world_run(&world, "test", "");
    world_rerun(&world, "test", "");
    world_failed(&world, "Oops", "");

    world_cancel(&world, "test", "");

    assert_int_equal(world.run.end, RECIPE_RETURNED);
    mk_buf_put_u8(&world.log_text, 0);
    assert_non_null(strstr((const char *)world.log_text.data, ": 1 nil"));
}

static void refuses_to_run_on_a_damaged_memory(void **state)
{
    (void)state;
    static const char *const damages[] = {"\x81",
                                          "\x81\xa1",
                                          "\x01",
                                          "\x81\x01\x01",
                                          "\x82\xa1x\x01\xa1x\x01",
                                          "\x80\x80",
                                          "\xdf\xff\xff\xff\xff"};
    world_eval(&world, "return 1");

    for (size_t i = 0; i < MK_COUNT(damages); i++) {
        world.once.len = 0;
        mk_buf_append(&world.once, damages[i], strlen(damages[i]));
        world_rerun(&world, "test", "");
        world_failed(&world, "RecipeError", "what the call remembers is damaged");
    }
}

static void waits_for_everything_that_is_listed(void **state)
{
    (void)state;
    world_eval(&world, "call:wait { created = '/a', deleted = { '/b', '/c' }, changed = '/d',\n"
                       "  children = '/e' }");
    assert_string_equal(world_waits(&world),
                        "created /a, deleted /b, deleted /c, changed /d, children /e");
    world_eval(&world, "call:wait { children = '/e', all = true }");
    assert_string_equal(world_waits(&world), "all /e");
}

static void does_not_return_from_wait_even_below_pcall(void **state)
{
    (void)state;
    world_eval(&world, "pcall(function() call:wait { created = '/a' } end) return 'escaped'");
    assert_string_equal(world_waits(&world), "created /a");
    assert_int_equal(world.run.result.len, 0);
}

/* A thread that yields where it may, and raises where a C function lies in between. */
static void does_not_return_from_wait_whatever_has_called_it(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "return call:wait { created = '/a' }",
        "local function f(n) if n == 0 then call:wait { created = '/a' } end f(n - 1) end f(50)",
        "for _ in function() call:wait { created = '/a' } end do end",
        "for x in call.wait, call, { created = '/a' } do end",
        "xpcall(function() call:wait { created = '/a' } end, function() return 1 end)",
        "xpcall(error, function() call:wait { created = '/a' } end)",
        "string.gsub('aa', 'a', function() call:wait { created = '/a' } end)",
        "table.sort({ 2, 1, 3 }, function() call:wait { created = '/a' } end)",
        "pcall(pcall, pcall, call.wait, call, { created = '/a' })",
    };

    for (size_t i = 0; i < MK_COUNT(bodies); i++) {
        char body[256];
        (void)snprintf(body, sizeof(body), "%s; return 'escaped'", bodies[i]);
        world_eval(&world, i == 0 ? bodies[i] : body);
        assert_string_equal(world_waits(&world), "created /a");
        assert_int_equal(world.run.result.len, 0);
    }
}

static void runs_as_before_after_runs_that_waited_or_failed(void **state)
{
    (void)state;
    world_load(
        &world, "lock",
        "return { take = operation { doc = '', args = { a = 'integer' }, run = function(call)\n"
        "  if call.args.a == 1 then call:wait { created = '/a' } end\n"
        "  if call.args.a == 2 then error('no') end\n"
        "  return call.args.a, 'nothing' end } }");

    for (int i = 0; i < 300; i++) {
        world_run(&world, "take", "{\"a\":1}");
        assert_string_equal(world_waits(&world), "created /a");
        world_run(&world, "take", "{\"a\":2}");
        world_failed(&world, "RecipeError", ":3: no");
        world_run(&world, "take", "{\"a\":3}");
        assert_string_equal(world_result(&world), "3");
    }
}

static void refuses_waits_that_make_no_sense(void **state)
{
    (void)state;
    world_eval(&world, "call:wait {}");
    world_failed(&world, "RecipeError", "nothing to wait for");
    world_eval(&world, "call:wait { delete = '/a' }");
    world_failed(&world, "RecipeError", "call:wait: there is no 'delete'");
    world_eval(&world, "call:wait { deleted = 7 }");
    world_failed(&world, "RecipeError", "a path is a string, not a number");
    world_eval(&world, "call:wait { deleted = { '/a', [3] = '/b' } }");
    world_failed(&world, "RecipeError", "a path, or a list of paths");
    world_eval(&world, "local t = {} for i = 1, 17 do t[i] = '/a' end call:wait { deleted = t }");
    world_failed(&world, "RecipeError", "more than 16 paths");
    assert_int_equal(world.run.waits_count, 0);
    assert_int_equal(world.run.wait_paths.len, 0);
}

static void waits_for_a_time_alone_or_beside_paths(void **state)
{
    (void)state;
    world_eval(&world, "call:wait { at = call.now + 1500 }");
    assert_string_equal(world_waits(&world), "");
    assert_int_equal(world.run.wake_at_ms, world.now_ms + 1500);

    world_eval(&world, "call:wait { at = call.now + 0.5, deleted = '/a' }");
    assert_string_equal(world_waits(&world), "deleted /a");
    assert_int_equal(world.run.wake_at_ms, world.now_ms + 1);

    world_eval(&world, "call:wait { deleted = '/a' }");
    assert_int_equal(world.run.wake_at_ms, 0);
    world_eval(&world, "call:wait { at = -7 }");
    assert_int_equal(world.run.wake_at_ms, 1);
}

static void refuses_times_that_are_none(void **state)
{
    (void)state;
    static const char *const times[] = {"0/0", "math.huge", "2^54"};
    for (size_t i = 0; i < MK_COUNT(times); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "call:wait { at = %s }", times[i]);
        world_eval(&world, body);
        world_failed(&world, "RecipeError", "'at' is a time in ms");
        assert_int_equal(world.run.wake_at_ms, 0);
    }
    world_eval(&world, "call:wait { at = '5' }");
    world_failed(&world, "RecipeError", "call:wait: 'at' must be a number, not a string");
}

static void refuses_to_wait_after_an_effect_outside_once(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { test = operation { doc = '', run = function(call)\n"
               "  znode.create('/x')\n"
               "  call:wait { deleted = '/x' } end } }");
    world_run(&world, "test", "");
    world_failed(&world, "RecipeError",
                 ":3: call:wait: the next run starts from the top and would repeat znode.create "
                 "(line 2): effects of a run that waits stand inside call:once");
    assert_null(world_znode(&world, "/x"));
}

static void refuses_to_wait_after_a_once_that_failed_with_effects(void **state)
{
    (void)state;
    world_eval(&world,
               "pcall(function() call:once('x', function() znode.create('/x') error('no') end) "
               "end) call:wait { deleted = '/x' }");
    world_failed(&world, "RecipeError", "an effect of a call:once that failed");
    world_eval(&world, "pcall(function() call:once('x', function() znode.create('/x') end) end)\n"
                       "call:wait { deleted = '/x' }");
    world_failed(&world, "RecipeError", "an effect of a call:once that failed");
    world_eval(&world, "pcall(function() call:once('x', function() error('no') end) end)\n"
                       "call:wait { created = '/x' }");
    assert_string_equal(world_waits(&world), "created /x");
}

static void waits_after_effects_inside_once_even_if_some_failed_there(void **state)
{
    (void)state;
    world_eval(&world, "call:once('x', function() znode.create('/x')\n"
                       "  return pcall(znode.create, '/x') end) call:wait { deleted = '/x' }");
    assert_string_equal(world_waits(&world), "deleted /x");
    assert_non_null(world_znode(&world, "/x"));
}

static void refuses_to_wait_inside_once(void **state)
{
    (void)state;
    world_eval(&world, "call:once('x', function() call:wait { created = '/a' } end)");
    world_failed(&world, "RecipeError", "call:wait inside call:once");
}

static void a_call_without_an_id_may_not_wait(void **state)
{
    (void)state;
    world.may_park = false;
    world_eval(&world, "pcall(call.wait, call, { created = '/a' }) return 'escaped'");
    world_failed(&world, "BadArguments", "a call without an id may not wait");
}

static void cancel_cannot_wait(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { test = operation { doc = '', run = function(call) end,\n"
               "  cancel = function(call) call:wait { created = '/a' } end } }");
    world_cancel(&world, "test", "");
    world_failed(&world, "RecipeError", "cancel cannot wait");
}

static void cancel_without_a_function_does_nothing(void **state)
{
    (void)state;
    world_eval(&world, "return 1");
    world_cancel(&world, "test", "");
    assert_int_equal(world.run.end, RECIPE_RETURNED);
    assert_int_equal(world.run.result.len, 0);
}

static void fail_ends_the_call_with_name_and_message(void **state)
{
    (void)state;
    world_eval(&world, "fail('NotOwner', 'it is bob\\'s')");
    world_failed(&world, "NotOwner", "it is bob's");
    assert_int_equal(world.run.message.len, strlen("it is bob's"));
    world_eval(&world, "fail('NotOwner')");
    world_failed(&world, "NotOwner", "");
    assert_int_equal(world.run.message.len, 0);
}

static void fail_takes_names_of_letters_only(void **state)
{
    (void)state;
    static const char *const bodies[] = {"fail('notOwner')", "fail('Not Owner')",   "fail('')",
                                         "fail('A1')",       "fail(('X'):rep(65))", "fail('A\\0')"};
    for (size_t i = 0; i < MK_COUNT(bodies); i++) {
        world_eval(&world, bodies[i]);
        world_failed(&world, "RecipeError", "an error's name is like NotOwner");
    }
    world_eval(&world, "fail(('X'):rep(64))");
    assert_int_equal(strlen(world.run.error_name), 64);
}

static void failures_can_be_caught_read_and_raised_again(void **state)
{
    (void)state;
    world_eval(&world, "local ok, e = pcall(fail, 'Oops', 'why')\n"
                       "return { ok, e.error, e.message, tostring(e), type(e) }");
    world_returned(&world, "[false,\"Oops\",\"why\",\"Oops: why\",\"table\"]");
    world_eval(&world, "local _, e = pcall(fail, 'Oops', 'why') error(e)");
    world_failed(&world, "Oops", "why");
}

static void returns_the_first_value_only(void **state)
{
    (void)state;
    world_eval(&world, "return 1, 2, 3");
    world_returned(&world, "1");
    world_eval(&world, "return");
    world_returned(&world, "null");
}

static void returns_in_the_format_of_the_call(void **state)
{
    (void)state;
    world_eval(&world, "return { fence = 7 }");
    world.run.result.len = 0;
    world.run.format = RECIPE_MSGPACK;
    world.run.arguments = MK_BYTES("\x80");
    world.run.once_out.len = 0;

    recipe_run(world.engine, &world.run);

    assert_int_equal(world.run.end, RECIPE_RETURNED);
    assert_int_equal(world.run.result.len, 8);
    assert_memory_equal(world.run.result.data,
                        "\x81\xa5"
                        "fence\x07",
                        8);
}

static void a_result_that_cannot_be_encoded_is_the_recipes_mistake(void **state)
{
    (void)state;
    world_eval(&world, "return print_nothing and 1 or error");
    world_failed(&world, "RecipeError", "");
    world_eval(&world, "return error");
    world_failed(&world, "RecipeError", "a function cannot be encoded");
    world_eval(&world, "return { 1, 2, x = 3 }");
    world_failed(&world, "RecipeError", "neither a list (keys 1 to n) nor a map");
    world_eval(&world, "return 0/0");
    world_failed(&world, "RecipeError", "NaN and infinity");
    world_eval(&world, "return 2^53 * 2");
    world_failed(&world, "RecipeError", "beyond 2^53 would be rounded");
    world_eval(&world, "return '\\255'");
    world_failed(&world, "RecipeError", "not UTF-8 does not fit into JSON");
}

static void effects_of_a_recipe_that_only_reads_are_refused(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { test = operation { doc = '', reads_only = true, run = "
               "function(call) return znode.create('/x') end } }");
    world_run(&world, "test", "");
    world_failed(&world, "RecipeError", "znode.create: the operation declares reads_only");
}

static void logs_lines_that_are_bounded_in_rate_and_length(void **state)
{
    (void)state;
    world.now_ms = 5000;
    world_eval(&world, "log.info('hello', 1, {}, nil, 'a\\nb')");
    mk_buf_put_u8(&world.log_text, 0);
    assert_non_null(
        strstr((const char *)world.log_text.data, ":1: hello 1 table nil a?b  dropped_lines=0\n"));

    world.log_text.len = 0;
    world.now_ms = 6000;
    world_eval(&world, "for i = 1, 1000 do log.warn(('x'):rep(1000)) end");
    assert_true(world.log_text.len < 20 * 500);

    world.log_text.len = 0;
    world.now_ms = 7000;
    world_eval(&world, "log.error('again')");
    mk_buf_put_u8(&world.log_text, 0);
    assert_non_null(strstr((const char *)world.log_text.data, "again  dropped_lines=980\n"));
}

static void would_block_ends_the_run_whatever_the_recipe_catches(void **state)
{
    (void)state;
    world.answer = MK_WOULD_BLOCK;
    world_eval(&world, "while true do pcall(znode.get, '/a') end");
    assert_int_equal(world.run.end, RECIPE_UNANSWERED);
    assert_int_equal(world.run.once_out.len, 0);
    assert_int_equal(world.run.message.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_the_call_its_arguments_zxid_time_and_session),
        TEST(once_executes_a_step_in_the_first_run_only),
        TEST(once_returns_the_same_plain_data_in_every_run),
        TEST(once_is_written_in_the_order_of_names_whatever_the_order_of_steps),
        TEST(once_refuses_nothing_and_what_is_no_plain_data),
        TEST(once_within_once_is_remembered_too),
        TEST(recall_returns_nil_for_what_never_happened),
        TEST(a_failed_run_forgets_what_it_remembered),
        TEST(refuses_to_run_on_a_damaged_memory),
        TEST(waits_for_everything_that_is_listed),
        TEST(does_not_return_from_wait_even_below_pcall),
        TEST(does_not_return_from_wait_whatever_has_called_it),
        TEST(runs_as_before_after_runs_that_waited_or_failed),
        TEST(refuses_waits_that_make_no_sense),
        TEST(waits_for_a_time_alone_or_beside_paths),
        TEST(refuses_times_that_are_none),
        TEST(refuses_to_wait_after_an_effect_outside_once),
        TEST(refuses_to_wait_after_a_once_that_failed_with_effects),
        TEST(waits_after_effects_inside_once_even_if_some_failed_there),
        TEST(refuses_to_wait_inside_once),
        TEST(a_call_without_an_id_may_not_wait),
        TEST(cancel_cannot_wait),
        TEST(cancel_without_a_function_does_nothing),
        TEST(fail_ends_the_call_with_name_and_message),
        TEST(fail_takes_names_of_letters_only),
        TEST(failures_can_be_caught_read_and_raised_again),
        TEST(returns_the_first_value_only),
        TEST(returns_in_the_format_of_the_call),
        TEST(a_result_that_cannot_be_encoded_is_the_recipes_mistake),
        TEST(effects_of_a_recipe_that_only_reads_are_refused),
        TEST(logs_lines_that_are_bounded_in_rate_and_length),
        TEST(would_block_ends_the_run_whatever_the_recipe_catches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
