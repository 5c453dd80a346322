/* What a recipe can reach, and what it cannot. */
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

static void has_exactly_the_names_of_the_allow_list(void **state)
{
    (void)state;
    static const char *const absent[] = {
        "_G",      "_VERSION", "collectgarbage", "coroutine",    "debug",    "dofile",
        "ffi",     "gcinfo",   "getfenv",        "getmetatable", "io",       "jit",
        "load",    "loadfile", "loadstring",     "module",       "newproxy", "next",
        "os",      "package",  "print",          "rawequal",     "rawget",   "rawset",
        "require", "setfenv",  "setmetatable",   "bit",          "arg",      "rawlen"};
    static const char *const present[] = {
        "assert",   "error", "fail",   "ipairs", "json",    "log",    "math",
        "msgpack",  "pairs", "pcall",  "select", "session", "table",  "tonumber",
        "tostring", "type",  "unpack", "xpcall", "znode",   "string", "operation"};
    char body[128];

    for (size_t i = 0; i < MK_COUNT(absent); i++) {
        (void)snprintf(body, sizeof(body), "return %s", absent[i]);
        world_eval(&world, body);
        world_failed(&world, "RecipeError", "misspelt, or not available to recipes");
    }
    for (size_t i = 0; i < MK_COUNT(present); i++) {
        (void)snprintf(body, sizeof(body), "return type(%s) ~= 'nil'", present[i]);
        world_eval(&world, body);
        world_returned(&world, "true");
    }
}

static void has_no_random_numbers(void **state)
{
    (void)state;
    world_eval(&world, "return math.random == nil and math.randomseed == nil");
    world_returned(&world, "true");
}

static void has_no_dump_of_bytecode(void **state)
{
    (void)state;
    world_eval(&world, "return string.dump == nil");
    world_returned(&world, "true");
}

static void refuses_bytecode(void **state)
{
    (void)state;
    assert_string_equal(world_load_error(&world, "\x1bLJ\x02"),
                        "lock.lua: bytecode is not accepted, only source");
}

static void refuses_literals_that_load_the_ffi(void **state)
{
    (void)state;
    static const char *const literals[] = {"1LL", "1ULL", "1i", "0x10ll"};
    char source[64];

    for (size_t i = 0; i < MK_COUNT(literals); i++) {
        (void)snprintf(source, sizeof(source), "local x = %s return {}", literals[i]);
        assert_string_equal(world_load_error(&world, source),
                            "lock.lua: literals like 1LL, 1ULL and 1i are not available");
    }
}

static void refuses_to_assign_to_a_global(void **state)
{
    (void)state;
    world_eval(&world, "counter = 1");
    world_failed(&world, "RecipeError", "eval@");
    world_failed(&world, "RecipeError", "'counter' cannot be assigned to: use a local variable");
}

static void refuses_to_change_a_library(void **state)
{
    (void)state;
    world_eval(&world, "string.rep = nil");
    world_failed(&world, "RecipeError", "'rep' cannot be assigned to");
    world_eval(&world, "json.null = 1");
    world_failed(&world, "RecipeError", "'null' cannot be assigned to");
    world_eval(&world, "znode.get = function() end");
    world_failed(&world, "RecipeError", "'get' cannot be assigned to");
    world_eval(&world, "table.insert(string, 'x')");
    world_failed(&world, "RecipeError", "this table cannot be changed");
    world_eval(&world, "table.remove(math)");
    world_failed(&world, "RecipeError", "this table cannot be changed");
    world_eval(&world, "table.sort(json.list(table))");
    world_failed(&world, "RecipeError", "this table cannot be changed");
}

static void shows_nothing_of_a_library_to_those_who_iterate(void **state)
{
    (void)state;
    world_eval(&world, "for k in pairs(string) do return k end return 'nothing'");
    world_returned(&world, "\"nothing\"");
}

static void keeps_the_metatable_of_strings_out_of_reach(void **state)
{
    (void)state;
    world_eval(&world, "local s = 'x' s.rep = 1");
    world_failed(&world, "RecipeError", "attempt to index");
    world_eval(&world, "return ('ab'):rep(2) .. ('x'):upper()");
    world_returned(&world, "\"ababX\"");
}

static void keeps_nothing_from_one_run_to_the_next(void **state)
{
    (void)state;
    world_load(&world, "counter",
               "local count = 0\n"
               "return { add = operation { doc = '', run = function(call)\n"
               "  count = count + 1 return count end } }");

    world_run(&world, "add", "");
    world_returned(&world, "1");
    world_run(&world, "add", "");
    world_returned(&world, "1");
}

static void keeps_two_recipes_apart(void **state)
{
    (void)state;
    world_load(&world, "first",
               "local t = { secret = 1 } return { get = operation { doc = '', run = "
               "function(call) return t.secret end } }");
    struct recipe_version *first = world.version;
    world_load(&world, "second",
               "return { get = operation { doc = '', run = function(call) "
               "return pcall(function() return t.secret end) end } }");

    world_run(&world, "get", "");
    world_returned(&world, "false");
    world.version = first;
    world_run(&world, "get", "");
    world_returned(&world, "1");
}

static void shows_no_addresses(void **state)
{
    (void)state;
    world_eval(&world, "return { tostring({}), tostring(print_me or tostring), "
                       "string.format('%s', {}) }");
    world_failed(&world, "RecipeError", "there is no 'print_me' here");
    world_eval(&world, "return { tostring({}), tostring(tostring), string.format('%s', call) }");
    world_returned(&world, "[\"table\",\"function\",\"table\"]");
}

static void iterates_over_sorted_keys_numbers_before_strings(void **state)
{
    (void)state;
    world_eval(&world,
               "local t = { b = 1, a = 1, [3] = 1, [1.5] = 1, ['10'] = 1, [-1] = 1, Z = 1 }\n"
               "local keys = {} for k in pairs(t) do keys[#keys + 1] = tostring(k) end\n"
               "return table.concat(keys, ' ')");
    world_returned(&world, "\"-1 1.5 3 10 Z a b\"");
}

static void iterates_in_the_same_order_however_a_table_was_filled(void **state)
{
    (void)state;
    world_eval(&world, "local function keys(step) local t = {}\n"
                       "  for i = 1, 502 do t['k' .. (i * step) % 503] = i end\n"
                       "  local out = {} for k in pairs(t) do out[#out + 1] = k end\n"
                       "  return table.concat(out) end\n"
                       "return keys(1) == keys(7) and keys(1) == keys(502)");
    world_returned(&world, "true");
}

static void passes_over_keys_that_are_removed_during_an_iteration(void **state)
{
    (void)state;
    world_eval(&world, "local t, seen = { a = 1, b = 2, c = 3 }, ''\n"
                       "for k, v in pairs(t) do seen = seen .. k .. v t.b = nil t.d = 4 end\n"
                       "return seen");
    world_returned(&world, "\"a1c3\"");
}

static void refuses_to_order_keys_that_have_no_order(void **state)
{
    (void)state;
    world_eval(&world, "for k in pairs({ [{}] = 1 }) do end");
    world_failed(&world, "RecipeError", "must be numbers and strings to have an order, not table");
}

static void returns_what_a_protected_call_returned_or_raised(void **state)
{
    (void)state;
    world_eval(&world, "return { select('#', pcall(function() return 1, nil, nil end)), "
                       "{ pcall(error, 'x') }, { pcall(error, { 1 }) } }");
    world_returned(&world, "[4,[false,\"x\"],[false,[1]]]");
}

static void calls_the_handler_of_xpcall_as_an_ordinary_function(void **state)
{
    (void)state;
    world_eval(&world, "return { xpcall(function(a, b) error(a .. b, 0) end, "
                       "function(e) return 'handled ' .. e, 2 end, 'x', 'y') }");
    world_returned(&world, "[false,\"handled xy\",2]");
    world_eval(&world, "return { xpcall(function(...) return ... end, error, 1, 2) }");
    world_returned(&world, "[true,1,2]");
    world_eval(&world, "xpcall(error, function() error('again', 0) end)");
    world_failed(&world, "RecipeError", "again");
}

static void says_where_an_error_was_raised(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return {\n  test = operation { doc = '', run = function(call)\n"
               "    local nothing\n    return nothing.field\n  end }\n}");
    world_run(&world, "test", "");
    char expected[128];
    char hash[RECIPE_VERSION_BYTES + 1];
    recipe_version_hash(
        mk_bytes_text("return {\n  test = operation { doc = '', run = function(call)\n"
                      "    local nothing\n    return nothing.field\n  end }\n}"),
        hash);
    (void)snprintf(expected, sizeof(expected),
                   "lock@%.8s:4: attempt to index local 'nothing' (a nil value)", hash);

    world_failed(&world, "RecipeError", expected);
}

static void survives_error_objects_of_every_kind(void **state)
{
    (void)state;
    world_eval(&world, "error({ __tostring = function() while true do end end })");
    world_failed(&world, "RecipeError", "table");
    world_eval(&world, "error(nil)");
    world_failed(&world, "RecipeError", "nil");
    world_eval(&world, "error(error)");
    world_failed(&world, "RecipeError", "function");
    world_eval(&world, "error(json.null)");
    world_failed(&world, "RecipeError", "null");
    world_eval(&world, "error(12)");
    world_failed(&world, "RecipeError", "12");
    world_eval(&world, "error('\\255\\0bad', 0)");
    world_failed(&world, "RecipeError", "\xef\xbf\xbd");
}

static void survives_structured_errors_that_were_tampered_with(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "e.error = nil",   "e.error = 7",     "e.error = {}",  "e.error = ''",
        "e.error = 'a b'", "e.message = nil", "e.message = e", "e.error = ('X'):rep(65)"};
    char body[256];

    for (size_t i = 0; i < MK_COUNT(changes); i++) {
        (void)snprintf(body, sizeof(body),
                       "local _, e = pcall(fail, 'Oops', 'why') %s; tostring(e) error(e)",
                       changes[i]);
        world_eval(&world, body);
        world_failed(&world, "RecipeError", "");
    }
}

static void survives_errors_in_operation_and_at_the_top_of_the_chunk(void **state)
{
    (void)state;
    assert_string_equal(world_load_error(&world, "\n\nerror('on purpose')"),
                        "lock.lua:3: on purpose");
    assert_string_equal(
        world_load_error(&world, "return { x = operation { doc = '', run = print } }"),
        "lock.lua:1: there is no 'print' here: misspelt, or not available to "
        "recipes");
}

static void keeps_znodes_out_of_reach_while_it_loads(void **state)
{
    (void)state;
    assert_string_equal(world_load_error(&world, "znode.create('/x')"),
                        "lock.lua:1: znode.create works inside an operation's run and cancel only");
}

static void refuses_to_declare_operations_during_a_run(void **state)
{
    (void)state;
    world_eval(&world, "operation { doc = '', run = tostring }");
    world_failed(&world, "RecipeError", "declare operations at the top of the recipe");
}

static void unpacks_within_bounds(void **state)
{
    (void)state;
    world_eval(&world, "return { unpack({ 1, 2, 3 }, 2) }");
    world_returned(&world, "[2,3]");
    world_eval(&world, "return unpack({}, 1, 1e8)");
    world_failed(&world, "RecipeError", "too many results");
    world_eval(&world, "return unpack({}, -1e300, 1e300)");
    world_failed(&world, "RecipeError", "too many results");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(has_exactly_the_names_of_the_allow_list),
        TEST(has_no_random_numbers),
        TEST(has_no_dump_of_bytecode),
        TEST(refuses_bytecode),
        TEST(refuses_literals_that_load_the_ffi),
        TEST(refuses_to_assign_to_a_global),
        TEST(refuses_to_change_a_library),
        TEST(shows_nothing_of_a_library_to_those_who_iterate),
        TEST(keeps_the_metatable_of_strings_out_of_reach),
        TEST(keeps_nothing_from_one_run_to_the_next),
        TEST(keeps_two_recipes_apart),
        TEST(shows_no_addresses),
        TEST(iterates_over_sorted_keys_numbers_before_strings),
        TEST(iterates_in_the_same_order_however_a_table_was_filled),
        TEST(passes_over_keys_that_are_removed_during_an_iteration),
        TEST(refuses_to_order_keys_that_have_no_order),
        TEST(returns_what_a_protected_call_returned_or_raised),
        TEST(calls_the_handler_of_xpcall_as_an_ordinary_function),
        TEST(says_where_an_error_was_raised),
        TEST(survives_error_objects_of_every_kind),
        TEST(survives_structured_errors_that_were_tampered_with),
        TEST(survives_errors_in_operation_and_at_the_top_of_the_chunk),
        TEST(keeps_znodes_out_of_reach_while_it_loads),
        TEST(refuses_to_declare_operations_during_a_run),
        TEST(unpacks_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
