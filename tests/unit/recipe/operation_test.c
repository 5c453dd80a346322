/* Loading a version, what it declares, and a call's arguments against that. */
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

/* ---- Versions ---- */

static void loads_the_same_source_once(void **state)
{
    (void)state;
    static const char source[] = "return { a = operation { doc = '', run = tostring } }";
    world_load(&world, "lock", source);
    struct recipe_version *first = world.version;
    char hash[RECIPE_VERSION_BYTES + 1];
    recipe_version_hash(mk_bytes_text(source), hash);

    world_load(&world, "lock", source);

    assert_ptr_equal(world.version, first);
    assert_ptr_equal(recipe_version_find(world.engine, mk_bytes_text(hash)), first);
    recipe_version_drop(world.engine, first);
    assert_null(recipe_version_find(world.engine, mk_bytes_text(hash)));
}

/* Version number `i`, loaded; its hash is in `hash`. */
static struct recipe_version *numbered_load(int i, char hash[RECIPE_VERSION_BYTES + 1])
{
    char source[96];
    struct mk_error error;
    (void)snprintf(source, sizeof(source),
                   "return { a = operation { doc = '%d', run = tostring } }", i);
    recipe_version_hash(mk_bytes_text(source), hash);
    return recipe_version_load(world.engine, MK_BYTES("lock"), mk_bytes_text(source), &error);
}

static void keeps_256_versions_in_memory_those_that_were_used_last(void **state)
{
    (void)state;
    char first[RECIPE_VERSION_BYTES + 1];
    char second[RECIPE_VERSION_BYTES + 1];
    char other[RECIPE_VERSION_BYTES + 1];
    (void)numbered_load(0, first);
    (void)numbered_load(1, second);
    for (int i = 2; i < 256; i++) {
        (void)numbered_load(i, other);
    }
    assert_non_null(recipe_version_find(world.engine, mk_bytes_text(second)));
    assert_non_null(recipe_version_find(world.engine, mk_bytes_text(first))); /* used again */

    struct recipe_version *last = numbered_load(256, other);

    assert_non_null(last);
    assert_ptr_equal(recipe_version_find(world.engine, mk_bytes_text(other)), last);
    assert_non_null(recipe_version_find(world.engine, mk_bytes_text(first)));
    assert_non_null(recipe_version_find(world.engine, mk_bytes_text(second)));
    (void)numbered_load(2, other);
    char third[RECIPE_VERSION_BYTES + 1];
    recipe_version_hash(MK_BYTES("return { a = operation { doc = '3', run = tostring } }"), third);
    assert_null(recipe_version_find(world.engine, mk_bytes_text(third)));
}

static void names_a_version_by_the_sha256_of_its_source(void **state)
{
    (void)state;
    char hash[RECIPE_VERSION_BYTES + 1];
    recipe_version_hash(MK_BYTES("abc"), hash);
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void says_where_a_source_does_not_compile(void **state)
{
    (void)state;
    assert_string_equal(world_load_error(&world, "local a\nlocal b = = 1\n"),
                        "lock.lua:2: unexpected symbol near '='");
    assert_string_equal(world_load_error(&world, "return {\n"),
                        "lock.lua:2: unexpected symbol near '<eof>'");
    assert_string_equal(world_load_error(&world, "x = 1"),
                        "lock.lua:1: 'x' cannot be assigned to: use a local variable");
}

static void says_what_is_wrong_with_a_declaration(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *error;
    } cases[] = {
        {"", "lock.lua: a recipe returns a table of operations, not a nil"},
        {"return 1", "lock.lua: a recipe returns a table of operations, not a number"},
        {"return {}", "lock.lua: a recipe has 1 to 64 operations, not 0"},
        {"return { a = {} }", "lock.lua: 'a' is not an operation{...}"},
        {"return { a = 1 }", "lock.lua: 'a' is not an operation{...}"},
        {"return { operation { doc = '', run = tostring } }",
         "lock.lua: '1' is no name for an operation: [a-z][a-z0-9_]*"},
        {"return { A = operation { doc = '', run = tostring } }",
         "lock.lua: 'A' is no name for an operation: [a-z][a-z0-9_]*"},
        {"\nreturn { a = operation { doc = '' } }", "lock.lua:2: operation: 'run' is missing"},
        {"\nreturn { a = operation { run = tostring } }",
         "lock.lua:2: operation: 'doc' is missing"},
        {"\nreturn { a = operation { doc = '', run = 1 } }",
         "lock.lua:2: operation: 'run' must be a function, not a number"},
        {"\nreturn { a = operation { doc = '', run = tostring, cancle = tostring } }",
         "lock.lua:2: operation: there is no 'cancle'"},
        {"\nreturn { a = operation { doc = '', run = tostring, args = { path = 'pth' } } }",
         "lock.lua:2: operation: the type of argument 'path' must be path, string, bytes, integer, "
         "number, boolean, duration, list or map, with or without a '?'"},
        {"\nreturn { a = operation { doc = '', run = tostring, args = { ['a b'] = 'path' } } }",
         "lock.lua:2: operation: 'a b' is no name for an argument: [a-z][a-z0-9_]*"},
        {"\nreturn { a = operation { doc = '', run = tostring, args = { 'path' } } }",
         "lock.lua:2: operation: '1' is no name for an argument: [a-z][a-z0-9_]*"},
        {"\nreturn { a = operation { doc = '', run = tostring, args = { timeout = 'string' } } }",
         "lock.lua:2: operation: the argument 'timeout' must be a duration"},
        {"\nreturn { a = operation 'x' }", "lock.lua:2: bad argument #1 to 'operation' (table "
                                           "expected, got string)"},
    };
    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        assert_string_equal(world_load_error(&world, cases[i].source), cases[i].error);
    }
}

static void refuses_names_and_sources_beyond_their_bounds(void **state)
{
    (void)state;
    struct mk_error error;
    static char source[RECIPE_SOURCE_BYTES_MAX + 2];
    memset(source, ' ', sizeof(source));
    source[RECIPE_SOURCE_BYTES_MAX + 1] = '\0';
    assert_string_equal(world_load_error(&world, source), "lock.lua: more than 262144 bytes");
    static const char *const names[] = {"", "Lock", "9lock", "lo-ck", "lo.ck", "_lock"};

    for (size_t i = 0; i < MK_COUNT(names); i++) {
        assert_null(recipe_version_load(world.engine, mk_bytes_text(names[i]),
                                        MK_BYTES("return {}"), &error));
        assert_string_equal(error.text, "a recipe's name is [a-z][a-z0-9_]*, at most 64 bytes");
    }
}

static void loads_a_recipe_as_long_as_is_allowed(void **state)
{
    (void)state;
    struct mk_buf source = {.data = NULL};
    mk_buf_printf(&source, "local t = {}\n");
    for (int i = 0; source.len < RECIPE_SOURCE_BYTES_MAX - 200; i++) {
        mk_buf_printf(&source, "t.field_%d = function() return %d end\n", i % 1000, i);
    }
    mk_buf_printf(&source, "return { a = operation { doc = '', run = function() return 1 end } }");
    mk_buf_put_u8(&source, 0);

    world_load(&world, "large", (const char *)source.data);
    world_run(&world, "a", "");

    world_returned(&world, "1");
    mk_buf_free(&source);
}

static void shows_what_an_operation_declares(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { a = operation { doc = 'Does a.', run = tostring, cancel = tostring,\n"
               "  outlives_session = true }, b = operation { doc = 'Does b.', run = tostring,\n"
               "  reads_only = true } }");
    const struct recipe_operation *a = recipe_operation_find(world.version, MK_BYTES("a"));
    const struct recipe_operation *b = recipe_operation_find(world.version, MK_BYTES("b"));

    assert_string_equal(a->name, "a");
    assert_string_equal(a->doc, "Does a.");
    assert_true(a->has_cancel && a->outlives_session && !a->reads_only);
    assert_true(!b->has_cancel && !b->outlives_session && b->reads_only);
    assert_null(recipe_operation_find(world.version, MK_BYTES("c")));
}

/* ---- Arguments ---- */

static const char *check(const char *json, mk_ms *timeout_ms)
{
    static struct mk_error error;
    mk_ms ignored = 0;
    const struct recipe_operation *take = recipe_operation_find(world.version, MK_BYTES("take"));
    enum mk_status status =
        recipe_arguments_check(world.version, take, RECIPE_JSON, mk_bytes_text(json),
                               timeout_ms == NULL ? &ignored : timeout_ms, &error);
    assert_true(status == MK_OK || status == MK_BAD_ARGUMENTS);
    return status == MK_OK ? "" : error.text;
}

static void load_with(const char *args)
{
    char source[512];
    (void)snprintf(source, sizeof(source),
                   "return { take = operation { doc = '', args = { %s }, run = function(call)\n"
                   "  return call.args end } }",
                   args);
    world_load(&world, "lock", source);
}

static void takes_no_arguments_as_an_empty_map(void **state)
{
    (void)state;
    load_with("a = 'string?'");
    static const char *const empty[] = {"", "{}", "null", " { } "};
    for (size_t i = 0; i < MK_COUNT(empty); i++) {
        assert_string_equal(check(empty[i], NULL), "");
        world_run(&world, "take", empty[i]);
        world_returned(&world, "{}");
    }
}

static void names_arguments_that_are_missing_unknown_or_of_another_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *good;
        const char *bad;
        const char *expected;
    } cases[] = {
        {"path", "\"/a/b\"", "\"a\"", "a path like \"/a/b\""},
        {"path", "\"/\"", "\"/a/\"", "a path like \"/a/b\""},
        {"path", "\"/a\"", "\"/a//b\"", "a path like \"/a/b\""},
        {"path", "\"/a\"", "7", "a path like \"/a/b\""},
        {"string", "\"\"", "7", "text in UTF-8"},
        {"bytes", "\"x\"", "[]", "bytes"},
        {"integer", "-7", "1.5", "a whole number"},
        {"integer", "7", "\"7\"", "a whole number"},
        {"number", "1.5", "true", "a number"},
        {"boolean", "false", "0", "true or false"},
        {"list", "[]", "{}", "a list"},
        {"map", "{}", "[]", "a map"},
        {"map", "{\"1\":2}", "[1]", "a map"},
        {"duration", "0", "-1",
         "a duration: \"250ms\", \"10s\", \"5m\", \"1h\" or whole milliseconds"},
    };
    char text[128];
    char expected[256];

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        (void)snprintf(text, sizeof(text), "a = '%s'", cases[i].type);
        load_with(text);
        (void)snprintf(text, sizeof(text), "{\"a\":%s}", cases[i].good);
        assert_string_equal(check(text, NULL), "");
        (void)snprintf(text, sizeof(text), "{\"a\":%s}", cases[i].bad);
        (void)snprintf(expected, sizeof(expected), "argument 'a' must be %s", cases[i].expected);
        assert_string_equal(check(text, NULL), expected);
        assert_string_equal(check("{}", NULL), "argument 'a' is missing");
        assert_string_equal(check("{\"a\":null}", NULL), "argument 'a' is missing");
    }
}

static void names_an_unknown_argument_and_those_that_it_knows(void **state)
{
    (void)state;
    load_with("path = 'path?', timeout = 'duration?'");
    assert_string_equal(check("{\"zebra\":1,\"pth\":\"/a\"}", NULL),
                        "unknown argument 'pth'; known: path, timeout");
}

static void treats_null_as_an_absent_optional_argument(void **state)
{
    (void)state;
    load_with("a = 'string?', b = 'string?'");
    world_run(&world, "take", "{\"a\":null,\"b\":\"x\"}");
    world_returned(&world, "{\"b\":\"x\"}");
}

static void reads_durations(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        mk_ms ms;
    } cases[] = {{"\"250ms\"", 250}, {"\"10s\"", 10000}, {"\"5m\"", 300000}, {"\"1h\"", 3600000},
                 {"0", 0},           {"1500", 1500},     {"\"0s\"", 0},      {"1e3", 1000}};
    static const char *const bad[] = {"\"10\"",   "\"s\"",   "\"\"",   "\"-1s\"",
                                      "\"1.5s\"", "\"1 s\"", "\"1d\"", "1.5",
                                      "-1",       "true",    "[]",     "\"99999999999999999h\""};
    char text[128];
    mk_ms timeout_ms = 0;
    load_with("timeout = 'duration?'");

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        (void)snprintf(text, sizeof(text), "{\"timeout\":%s}", cases[i].json);
        assert_string_equal(check(text, &timeout_ms), "");
        assert_int_equal(timeout_ms, cases[i].ms);
        world_run(&world, "take", text);
        (void)snprintf(text, sizeof(text), "{\"timeout\":%lld}", (long long)cases[i].ms);
        world_returned(&world, text);
    }
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        (void)snprintf(text, sizeof(text), "{\"timeout\":%s}", bad[i]);
        assert_non_null(strstr(check(text, &timeout_ms), "argument 'timeout' must be a duration"));
        assert_int_equal(timeout_ms, -1);
    }
    assert_string_equal(check("{}", &timeout_ms), "");
    assert_int_equal(timeout_ms, -1);
}

static void runs_with_the_arguments_of_the_run_whatever_was_checked_before(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "local function get(call) call.args.n = call.args.n + 1 return call.args.n end\n"
               "return { take = operation { doc = '', args = { n = 'integer' }, run = get },\n"
               "  wait = operation { doc = '', args = { n = 'integer', timeout = 'duration?' },\n"
               "    run = get } }");
    assert_string_equal(check("{\"n\":1}", NULL), "");
    world_run(&world, "wait", "{\"n\":2}");
    world_returned(&world, "3");
    world_run(&world, "wait", "{\"n\":1}");
    world_returned(&world, "2");
    world_run(&world, "take", "{\"n\":1}");
    world_returned(&world, "2");
    world_run(&world, "take", "{\"n\":1}");
    world_returned(&world, "2");
}

static void refuses_arguments_that_are_no_map(void **state)
{
    (void)state;
    load_with("a = 'string?'");
    assert_string_equal(check("[]", NULL), "arguments must be a map of names to values");
    assert_string_equal(check("7", NULL), "arguments must be a map of names to values");
    assert_string_equal(check("{\"a\":1", NULL), "JSON: ',' or '}' expected at byte 7");
    assert_string_equal(check("{a:1}", NULL), "JSON: a key in quotes expected at byte 2");
    assert_string_equal(check("{\"a\":\"x\",\"a\":\"y\"}", NULL),
                        "JSON: a key that was there before at byte 13");
    assert_string_equal(check("path=/a", NULL), "JSON: a malformed number at byte 1");
}

static void keeps_lists_and_maps_as_they_were(void **state)
{
    (void)state;
    load_with("l = 'list', m = 'map'");
    world_run(&world, "take", "{\"l\":[[],{},null,[1,[2]]],\"m\":{\"b\":[],\"a\":{},\"n\":null}}");
    world_returned(&world, "{\"l\":[[],{},null,[1,[2]]],\"m\":{\"a\":{},\"b\":[],\"n\":null}}");
}

static void reports_bad_arguments_of_a_run_as_the_callers(void **state)
{
    (void)state;
    load_with("a = 'integer'");
    world_run(&world, "take", "{}");
    world_failed(&world, "BadArguments", "argument 'a' is missing");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loads_the_same_source_once),
        TEST(keeps_256_versions_in_memory_those_that_were_used_last),
        TEST(names_a_version_by_the_sha256_of_its_source),
        TEST(says_where_a_source_does_not_compile),
        TEST(says_what_is_wrong_with_a_declaration),
        TEST(refuses_names_and_sources_beyond_their_bounds),
        TEST(loads_a_recipe_as_long_as_is_allowed),
        TEST(shows_what_an_operation_declares),
        TEST(takes_no_arguments_as_an_empty_map),
        TEST(names_arguments_that_are_missing_unknown_or_of_another_type),
        TEST(names_an_unknown_argument_and_those_that_it_knows),
        TEST(treats_null_as_an_absent_optional_argument),
        TEST(reads_durations),
        TEST(runs_with_the_arguments_of_the_run_whatever_was_checked_before),
        TEST(refuses_arguments_that_are_no_map),
        TEST(keeps_lists_and_maps_as_they_were),
        TEST(reports_bad_arguments_of_a_run_as_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
