/* Every budget, against every way to spend it. A run that spends one ends as Budget, whatever the
 * recipe catches, and the next run of the same version is as good as new. */
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

/* `body` spends a budget, plainly, below pcall and below xpcall; and the engine is fine
 * afterwards. */
static void spends(const char *body, const char *message)
{
    static const char *const wraps[] = {
        "%s",
        "while true do pcall(function() %s end) end",
        "local function again() return xpcall(function() %s end, again) end again() return 'no'",
        "local e repeat local _, e = pcall(pcall, pcall, function() %s end) until false",
    };
    struct mk_buf wrapped = {.data = NULL};

    for (size_t i = 0; i < MK_COUNT(wraps); i++) {
        const char *hole = strstr(wraps[i], "%s");
        wrapped.len = 0;
        mk_buf_printf(&wrapped, "%.*s%s%s", (int)(hole - wraps[i]), wraps[i], body, hole + 2);
        mk_buf_put_u8(&wrapped, 0);
        world_eval(&world, (const char *)wrapped.data);
        world_failed(&world, "Budget", message);
        struct recipe_version *version = world.version;
        world_eval(&world, "return 'fine'");
        world_returned(&world, "\"fine\"");
        world.version = version;
        world_run(&world, "test", "");
        world_failed(&world, "Budget", message);
    }
    mk_buf_free(&wrapped);
}

#define INSTRUCTIONS "more than 1000000 instructions"
#define WORK "library functions did more than"
#define MEMORY "the recipe needed more than"

static void endless_loops_end(void **state)
{
    (void)state;
    spends("while true do end", INSTRUCTIONS);
    spends("for i = 1, math.huge do end", INSTRUCTIONS);
    spends("local function f() return f() end f()", INSTRUCTIONS);
    spends("::top:: goto top", INSTRUCTIONS);
}

static void endless_loops_in_callbacks_end(void **state)
{
    (void)state;
    spends("('x'):gsub('x', function() while true do end end)", INSTRUCTIONS);
    spends("table.sort({ 1, 2 }, function() while true do end end)", INSTRUCTIONS);
    spends("call:once('x', function() while true do end end)", INSTRUCTIONS);
    spends("for _ in function() return 1 end do end", INSTRUCTIONS);
}

static void handlers_of_xpcall_that_loop_end(void **state)
{
    (void)state;
    spends("xpcall(error, function() while true do end end)", INSTRUCTIONS);
}

static void says_where_the_budget_was_spent(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { test = operation { doc = '', run = function(call)\n\n"
               "  while true do end\n end } }");
    world_run(&world, "test", "");
    world_failed(&world, "Budget", "lock@");
    world_failed(&world, "Budget", ":3: the run took more than 1000000 instructions");
}

static void counts_instructions(void **state)
{
    (void)state;
    world_eval(&world, "for i = 1, 10000 do end");
    assert_true(world.run.instructions >= 10000);
    assert_true(world.run.instructions < 30000);
}

static void a_slow_clock_ends_a_run(void **state)
{
    (void)state;
    world.elapsed_step_ms = 100;
    spends("while true do end", "the run took longer than 250 ms");
    spends("local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t) end",
           "the run took longer than 250 ms");
}

static void patterns_that_backtrack_for_ever_end(void **state)
{
    (void)state;
    spends("local s = ('a'):rep(60000) return s:find(('a-'):rep(30) .. 'b')", WORK);
    spends("return (('a'):rep(1000)):match('.-.-.-.-.-.-b')", WORK);
    spends("return (('('):rep(60000)):find('%b()')", WORK);
}

static void long_patterns_do_not_overflow_the_stack(void **state)
{
    (void)state;
    world_eval(&world, "return (('a'):rep(60000)):find(('a?'):rep(30000))");
    world_failed(&world, "RecipeError", "pattern too complex");
    world_eval(&world, "return (('a'):rep(60000)):find(('('):rep(60000))");
    world_failed(&world, "RecipeError", "too many captures");
}

static void long_strings_are_refused(void **state)
{
    (void)state;
    spends("return (('x'):rep(1e9))", "string.rep: too many repetitions");
    spends("return (('x'):rep(65537))", "string.rep: too many repetitions");
    spends("return (('xy'):rep(40000))", "a string of more than 65536 bytes");
    spends("local t = {} for i = 1, 2000 do t[i] = ('x'):rep(1000) end return table.concat(t)",
           "a string of more than 65536 bytes");
    spends("return (('x'):rep(60000)):gsub('x', 'yy')", "a string of more than 65536 bytes");
    spends("return string.format('%s%s', ('x'):rep(60000), ('x'):rep(60000))",
           "a string of more than 65536 bytes");
    spends("local s = 'x' while true do s = s .. s end", MEMORY);
}

static void long_strings_below_the_limit_are_fine(void **state)
{
    (void)state;
    world_eval(&world, "return #(('x'):rep(65536))");
    world_returned(&world, "65536");
    world_eval(&world, "return #(('x'):rep(32768) .. ('x'):rep(32768))");
    world_returned(&world, "65536");
}

/* 2 s for a million instructions: a string of alloc_bytes_max is compared in about 8 us. It is the
 * clock that ends such a run earlier. */
static void comparing_long_strings_for_ever_ends(void **state)
{
    (void)state;
    static const char body[] =
        "local a, b = ('x'):rep(65000) .. 'a', ('x'):rep(65000) .. 'b' local c = 0\n"
        "while a < b do c = c + 1 end";
    world.options.instructions_max = 30000;
    world_engine_renew(&world);
    spends(body, "more than 30000 instructions");
    world.elapsed_step_ms = 100;
    spends(body, "the run took longer than 250 ms");
}

static void concatenating_for_ever_ends(void **state)
{
    (void)state;
    spends("local a = ('x'):rep(60000) local i = 0 while true do i = i + 1 local b = a .. i end",
           "the run allocated more than");
}

static void tables_that_grow_for_ever_end(void **state)
{
    (void)state;
    spends("local t = {} for i = 1, 1e9 do t[i] = i end", MEMORY);
    spends("local t = {} for i = 1, 1e9 do t['k' .. i] = {} end", MEMORY);
    spends("local t = {} for i = 1, 1e9 do t = { t, t, t, t } end", INSTRUCTIONS);
}

static void garbage_is_collected_within_a_run(void **state)
{
    (void)state;
    world_eval(&world, "for i = 1, 50000 do local t = { i, tostring(i) } end return 'done'");
    world_returned(&world, "\"done\"");
}

static void garbage_of_one_run_is_no_burden_to_the_next(void **state)
{
    (void)state;
    world_eval(&world, "local t = {} for i = 1, 60000 do t[i] = { i } end return #t");
    for (int i = 0; i < 20; i++) {
        world_run(&world, "test", "");
        world_returned(&world, "60000");
    }
}

static void deep_recursion_ends_as_an_error_of_the_recipe(void **state)
{
    (void)state;
    world_eval(&world, "local function f(n) return 1 + f(n + 1) end return f(1)");
    world_failed(&world, "RecipeError", "stack overflow");
    world_eval(&world, "local function f() return select('#', pcall(f)) end return f()");
    world_returned(&world, "2");
    world_eval(&world, "local function f() return xpcall(error, f) end return f()");
    world_failed(&world, "RecipeError", "stack overflow");
    world_eval(&world, "local function f() return (('x'):gsub('x', f)) end return f()");
    world_failed(&world, "RecipeError", "stack overflow");
}

static void sorting_with_a_comparator_that_contradicts_itself_ends(void **state)
{
    (void)state;
    world_eval(&world, "local t = {} for i = 1, 1000 do t[i] = i end\n"
                       "table.sort(t, function() return true end) return #t");
    world_returned(&world, "1000");
    spends("local t = {} for i = 1, 60000 do t[i] = i % 7 end while true do table.sort(t) end",
           WORK);
}

static void list_functions_charge_for_what_they_move(void **state)
{
    (void)state;
    spends("local t = {} for i = 1, 100000 do t[i] = i end\n"
           "while true do table.insert(t, 1, 0) table.remove(t, 1) end",
           WORK);
    spends("local t = {} for i = 1, 60000 do t[i] = 0 end while true do pairs(t) end", WORK);
    spends("local t = {} for i = 1, 4000 do t[i] = 0 end while true do select('#', unpack(t)) end",
           WORK);
    spends("while true do json.encode(('x'):rep(60000)) end", WORK);
    spends("local s = ('x'):rep(60000) while true do s:upper() s:reverse() s:byte(1, 4000) end",
           WORK);
}

static void effects_are_counted(void **state)
{
    (void)state;
    world.options.effects_max = 10;
    world_engine_renew(&world);
    spends("for i = 1, 11 do znode.create('/z' .. i) end", "more than 10 effects");
    world_eval(&world, "for i = 1, 10 do znode.create('/z' .. i) end");
    world_returned(&world, "null");
}

static void results_are_bounded(void **state)
{
    (void)state;
    world_eval(&world, "local t = {} for i = 1, 10 do t[i] = ('x'):rep(60000) end return t");
    world_failed(&world, "Budget", "a value takes more than 65536 bytes when it is encoded");
    assert_int_equal(world.run.result.len, 0);
}

static void what_a_call_remembers_is_bounded(void **state)
{
    (void)state;
    spends("for i = 1, 10 do call:once('step' .. i, function() return ('x'):rep(20000) end) end",
           "a call remembers more than 65536 bytes");
    world_eval(&world, "for i = 1, 65 do call:once('step' .. i, function() return i end) end");
    world_failed(&world, "RecipeError", "more than 64 steps");
}

static void values_are_bounded_in_depth(void **state)
{
    (void)state;
    world_eval(&world, "local t = {} t[1] = t return t");
    world_failed(&world, "RecipeError", "nested deeper than 32");
    world_eval(&world, "return json.decode(('['):rep(60000))");
    world_failed(&world, "BadArguments", "nested deeper than 32");
    world_eval(&world, "return json.decode(('{\"a\":'):rep(10000))");
    world_failed(&world, "BadArguments", "nested deeper than 32");
    world_eval(&world, "return msgpack.decode(('\\145'):rep(60000))");
    world_failed(&world, "BadArguments", "nested deeper than 32");
    world_eval(&world, "return msgpack.decode('\\221\\255\\255\\255\\255')");
    world_failed(&world, "BadArguments", "MessagePack: the bytes are not a value");
}

static void a_state_that_ran_out_of_memory_is_made_anew(void **state)
{
    (void)state;
    world.options.memory_bytes_max = 1024 * 1024;
    world_engine_renew(&world);
    world_load(&world, "lock",
               "return { hog = operation { doc = '', run = function() local t = {}\n"
               "  for i = 1, 1e6 do t[i] = { i } end end },\n"
               "fine = operation { doc = '', run = function() return 1 end } }");
    for (int i = 0; i < 10; i++) {
        world_run(&world, "hog", "");
        world_failed(&world, "Budget", "the recipe needed more than 1048576 bytes of memory");
        world_run(&world, "fine", "");
        world_returned(&world, "1");
    }
}

static void arguments_that_do_not_fit_end_as_an_answer(void **state)
{
    (void)state;
    struct mk_buf arguments = {.data = NULL};
    struct mk_error error;
    mk_ms timeout_ms = 0;
    world_load(&world, "lock",
               "return { take = operation { doc = '', args = { data = 'list' }, run = "
               "function(call) return #call.args.data end } }");
    const struct recipe_operation *take = recipe_operation_find(world.version, MK_BYTES("take"));
    mk_buf_printf(&arguments, "{\"data\":[");
    for (int i = 0; i < 40000; i++) {
        mk_buf_printf(&arguments, "0,");
    }
    mk_buf_printf(&arguments, "0]}");

    enum mk_status status = recipe_arguments_check(world.version, take, RECIPE_JSON,
                                                   mk_buf_view(&arguments), &timeout_ms, &error);

    assert_int_equal(status, MK_BAD_ARGUMENTS);
    assert_string_equal(error.text, "the arguments take more than 65536 bytes");
    mk_buf_free(&arguments);
}

static void running_out_of_memory_while_arguments_are_pushed_ends_as_budget(void **state)
{
    (void)state;
    struct mk_buf arguments = {.data = NULL};
    world.options.memory_bytes_max = 128 * 1024;
    world_engine_renew(&world);
    world_load(&world, "lock",
               "return { take = operation { doc = '', args = { data = 'list' }, run = "
               "function(call) return #call.args.data end } }");
    mk_buf_printf(&arguments, "{\"data\":[[]");
    for (int i = 0; i < 20000; i++) {
        mk_buf_printf(&arguments, ",[]");
    }
    mk_buf_printf(&arguments, "]}");
    mk_buf_put_u8(&arguments, 0);

    world_run(&world, "take", (const char *)arguments.data);
    world_failed(&world, "Budget", "the recipe needed more than 131072 bytes of memory");
    world_run(&world, "take", "{\"data\":[1]}");
    world_returned(&world, "1");
    mk_buf_free(&arguments);
}

static void an_engine_without_room_for_any_recipe_says_so(void **state)
{
    (void)state;
    world.options.memory_bytes_max = 1024;
    world_engine_renew(&world);
    assert_string_equal(world_load_error(&world, "return {}"),
                        "lock.lua: the budget for memory is too small for any recipe");
    world.options.memory_bytes_max = 64 * 1024 - 1;
    world_engine_renew(&world);
    assert_string_equal(world_load_error(&world, "return {}"),
                        "lock.lua: the budget for memory is too small for any recipe");
}

static void a_chunk_that_loops_does_not_load(void **state)
{
    (void)state;
    assert_string_equal(world_load_error(&world, "\nwhile true do pcall(function() end) end"),
                        "lock.lua: lock.lua:2: the run took more than 1000000 instructions");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(endless_loops_end),
        TEST(endless_loops_in_callbacks_end),
        TEST(handlers_of_xpcall_that_loop_end),
        TEST(says_where_the_budget_was_spent),
        TEST(counts_instructions),
        TEST(a_slow_clock_ends_a_run),
        TEST(patterns_that_backtrack_for_ever_end),
        TEST(long_patterns_do_not_overflow_the_stack),
        TEST(long_strings_are_refused),
        TEST(long_strings_below_the_limit_are_fine),
        TEST(comparing_long_strings_for_ever_ends),
        TEST(concatenating_for_ever_ends),
        TEST(tables_that_grow_for_ever_end),
        TEST(garbage_is_collected_within_a_run),
        TEST(garbage_of_one_run_is_no_burden_to_the_next),
        TEST(deep_recursion_ends_as_an_error_of_the_recipe),
        TEST(sorting_with_a_comparator_that_contradicts_itself_ends),
        TEST(list_functions_charge_for_what_they_move),
        TEST(effects_are_counted),
        TEST(results_are_bounded),
        TEST(what_a_call_remembers_is_bounded),
        TEST(values_are_bounded_in_depth),
        TEST(a_state_that_ran_out_of_memory_is_made_anew),
        TEST(arguments_that_do_not_fit_end_as_an_answer),
        TEST(running_out_of_memory_while_arguments_are_pushed_ends_as_budget),
        TEST(an_engine_without_room_for_any_recipe_says_so),
        TEST(a_chunk_that_loops_does_not_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
