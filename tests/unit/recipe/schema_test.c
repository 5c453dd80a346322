/* The long form of an argument: bounds, defaults, choices, elements. */
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

static void source_with(char *source, size_t size, const char *declaration)
{
    (void)snprintf(source, size,
                   "\nreturn { take = operation { doc = '', args = { a = %s },\n"
                   "  run = function(call) return { call.args.a } end } }",
                   declaration);
}

static void load_with(const char *declaration)
{
    char source[1024];
    source_with(source, sizeof(source), declaration);
    world_load(&world, "lock", source);
}

/* What a call with `a` is told, or "" if it is accepted. */
static const char *check(const char *json)
{
    static struct mk_error error;
    char text[512];
    mk_ms timeout_ms;
    const struct recipe_operation *take = recipe_operation_find(world.version, MK_BYTES("take"));
    (void)snprintf(text, sizeof(text), "{\"a\":%s}", json);
    enum mk_status status = recipe_arguments_check(world.version, take, RECIPE_JSON,
                                                   mk_bytes_text(text), &timeout_ms, &error);
    assert_true(status == MK_OK || status == MK_BAD_ARGUMENTS);
    return status == MK_OK ? "" : error.text;
}

struct bound_case {
    const char *declaration;
    const char *good[3];
    const char *bad[3];
    const char *expected;
};

static void holds_values_and_sizes_to_their_bounds(void **state)
{
    (void)state;
    static const struct bound_case cases[] = {
        {"{ type = 'integer', min = 1, max = 10 }",
         {"1", "10", "5"},
         {"0", "11", "1.5"},
         "a whole number, 1 to 10"},
        {"{ type = 'number', min = 0.5 }",
         {"0.5", "1e9", "1"},
         {"0.4", "-1", "\"1\""},
         "a number, at least 0.5"},
        {"{ type = 'number', max = -1 }",
         {"-1", "-2", "-1e9"},
         {"-0.5", "0", "1"},
         "a number, at most -1"},
        {"{ type = 'duration', min = '1s', max = 60000 }",
         {"\"1s\"", "\"1m\"", "1000"},
         {"\"999ms\"", "\"2m\"", "60001"},
         "a duration: \"250ms\", \"10s\", \"5m\", \"1h\" or whole milliseconds, 1000 to 60000 ms"},
        {"{ type = 'string', min = 1, max = 3 }",
         {"\"a\"", "\"abc\"", "\"\\u00e9a\""},
         {"\"\"", "\"abcd\"", "\"\\u00e9\\u00e9\""},
         "text in UTF-8, 1 to 3 bytes"},
        {"{ type = 'bytes', max = 2 }",
         {"\"\"", "\"a\"", "\"ab\""},
         {"\"abc\"", "7", "[]"},
         "bytes, at most 2 bytes"},
        {"{ type = 'list', min = 1, max = 2 }",
         {"[1]", "[1,2]", "[null]"},
         {"[]", "[1,2,3]", "{}"},
         "a list, 1 to 2 elements"},
        {"{ type = 'map', max = 1 }",
         {"{}", "{\"x\":1}", "{\"1\":2}"},
         {"{\"x\":1,\"y\":2}", "[]", "7"},
         "a map, at most 1 elements"},
    };
    char expected[256];

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        load_with(cases[i].declaration);
        (void)snprintf(expected, sizeof(expected), "argument 'a' must be %s", cases[i].expected);
        for (size_t j = 0; j < 3; j++) {
            assert_string_equal(check(cases[i].good[j]), "");
            assert_string_equal(check(cases[i].bad[j]), expected);
        }
    }
}

static void accepts_what_is_among_its_choices_alone(void **state)
{
    (void)state;
    load_with("{ type = 'string', one_of = { 'read', 'write' } }");
    assert_string_equal(check("\"write\""), "");
    assert_string_equal(check("\"Read\""),
                        "argument 'a' must be text in UTF-8, one of: \"read\", \"write\"");

    load_with("{ type = 'integer', one_of = { 1, 2, 4 } }");
    assert_string_equal(check("4"), "");
    assert_string_equal(check("3"), "argument 'a' must be a whole number, one of: 1, 2, 4");

    load_with("{ type = 'duration', one_of = { '1s', '1m' } }");
    assert_string_equal(check("60000"), "");
    assert_non_null(strstr(check("\"2s\""), "one of: 1000, 60000"));

    load_with("{ type = 'boolean', one_of = { true } }");
    assert_string_equal(check("true"), "");
    assert_string_equal(check("false"), "argument 'a' must be true or false, one of: true");
}

static void gives_the_default_for_what_is_absent_or_null(void **state)
{
    (void)state;
    static const struct {
        const char *declaration;
        const char *result;
    } cases[] = {
        {"{ type = 'integer', default = 1 }", "[1]"},
        {"{ type = 'boolean', default = false }", "[false]"},
        {"{ type = 'duration', default = '2s' }", "[2000]"},
        {"{ type = 'string', default = '' }", "[\"\"]"},
        {"{ type = 'list', default = {} }", "[[]]"},
        {"{ type = 'map', default = {} }", "[{}]"},
        {"{ type = 'list', items = 'duration', default = { '1s', 7 } }", "[[1000,7]]"},
        {"{ type = 'map', default = { b = { 1 }, a = 'x' } }", "[{\"a\":\"x\",\"b\":[1]}]"},
    };

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        load_with(cases[i].declaration);
        world_run(&world, "take", "{}");
        world_returned(&world, cases[i].result);
        world_run(&world, "take", "{\"a\":null}");
        world_returned(&world, cases[i].result);
    }
    load_with("{ type = 'integer', default = 1, min = 0 }");
    world_run(&world, "take", "{\"a\":7}");
    world_returned(&world, "[7]");
}

static void gives_each_run_a_default_of_its_own(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { take = operation { doc = '', args = { a = { type = 'list',\n"
               "  default = { 1 } } }, run = function(call) table.insert(call.args.a, 2)\n"
               "  return call.args.a end } }");

    world_run(&world, "take", "{}");
    world_returned(&world, "[1,2]");
    world_run(&world, "take", "{}");
    world_returned(&world, "[1,2]");
}

static void takes_a_default_timeout_as_the_callers(void **state)
{
    (void)state;
    struct mk_error error;
    mk_ms timeout_ms = 0;
    world_load(&world, "lock",
               "return { take = operation { doc = '', run = tostring,\n"
               "  args = { timeout = { type = 'duration', default = '30s', max = '1m' } } } }");
    const struct recipe_operation *take = recipe_operation_find(world.version, MK_BYTES("take"));

    assert_int_equal(recipe_arguments_check(world.version, take, RECIPE_JSON, MK_BYTES("{}"),
                                            &timeout_ms, &error),
                     MK_OK);
    assert_int_equal(timeout_ms, 30000);
}

static void asks_the_same_of_each_element(void **state)
{
    (void)state;
    load_with("{ type = 'list', items = 'path' }");
    assert_string_equal(check("[]"), "");
    assert_string_equal(check("[\"/a\",\"/b\"]"), "");
    assert_string_equal(check("[\"/a\",\"b\"]"),
                        "element 2 of argument 'a' must be a path like \"/a/b\"");
    assert_string_equal(check("[null]"), "element 1 of argument 'a' must be a path like \"/a/b\"");

    load_with("{ type = 'map', items = { type = 'integer', min = 0 } }");
    assert_string_equal(check("{\"x\":1,\"y\":0}"), "");
    assert_string_equal(check("{\"x\":1,\"y\":-1}"),
                        "element 'y' of argument 'a' must be a whole number, at least 0");

    load_with("{ type = 'list', items = { type = 'list', items = 'boolean' } }");
    assert_string_equal(check("[[true],[]]"), "");
    assert_string_equal(check("[[true],[false,1]]"),
                        "element 2 of element 2 of argument 'a' must be true or false");
}

static void turns_durations_within_lists_and_maps_into_milliseconds(void **state)
{
    (void)state;
    load_with("{ type = 'list', items = 'duration' }");
    world_run(&world, "take", "{\"a\":[\"1s\",5]}");
    world_returned(&world, "[[1000,5]]");
    load_with("{ type = 'map', items = 'duration' }");
    world_run(&world, "take", "{\"a\":{\"x\":\"1m\"}}");
    world_returned(&world, "[{\"x\":60000}]");
}

static void may_be_optional_in_either_form(void **state)
{
    (void)state;
    static const char *const optional[] = {"'integer?'", "{ type = 'integer?' }",
                                           "{ type = 'integer', optional = true }"};
    for (size_t i = 0; i < MK_COUNT(optional); i++) {
        load_with(optional[i]);
        assert_string_equal(check("null"), "");
    }
    load_with("{ type = 'integer' }");
    assert_string_equal(check("null"), "argument 'a' is missing");
}

static void says_what_is_wrong_with_a_long_declaration(void **state)
{
    (void)state;
    static const struct {
        const char *declaration;
        const char *error;
    } cases[] = {
        {"{}", "operation: the type of argument 'a' must be path,"},
        {"{ type = 'int' }", "operation: the type of argument 'a' must be path,"},
        {"{ type = 1 }", "operation: argument 'a': 'type' must be a string, not a number"},
        {"{ type = 'path', maximum = 1 }", "operation: argument 'a': there is no 'maximum'"},
        {"{ type = 'path', min = 1 }", "operation: argument 'a' has no 'min'"},
        {"{ type = 'boolean', max = 1 }", "operation: argument 'a' has no 'max'"},
        {"{ type = 'integer', min = 'x' }", "operation: 'min' of argument 'a' is no such bound"},
        {"{ type = 'integer', max = 1.5 }", "operation: 'max' of argument 'a' is no such bound"},
        {"{ type = 'string', min = -1 }", "operation: 'min' of argument 'a' is no such bound"},
        {"{ type = 'number', min = 0/0 }", "operation: 'min' of argument 'a' is no such bound"},
        {"{ type = 'integer', min = 2, max = 1 }",
         "operation: 'min' of argument 'a' is more than its 'max'"},
        {"{ type = 'integer', one_of = {} }",
         "operation: 'one_of' of argument 'a' is a list of 1 to 32 values, none of them a table"},
        {"{ type = 'list', one_of = { 1 } }",
         "operation: 'one_of' of argument 'a' is a list of 1 to 32 values, none of them a table"},
        {"{ type = 'integer', one_of = { 1, 'x' } }",
         "operation: each of 'one_of' of argument 'a' must be a whole number"},
        {"{ type = 'integer', default = 'x' }",
         "operation: the default of argument 'a' must be a whole number"},
        {"{ type = 'integer', default = 5, max = 4 }",
         "operation: the default of argument 'a' must be a whole number, at most 4"},
        {"{ type = 'list', items = 'path', default = { 'x' } }",
         "element 1 of operation: the default of argument 'a' must be a path like"},
        {"{ type = 'integer', default = print }", "there is no 'print' here"},
        {"{ type = 'integer', items = 'path' }",
         "operation: argument 'a' has no 'items': it is no list and no map"},
        {"{ type = 'list', items = 'path?' }",
         "operation: the elements of argument 'a' cannot be optional"},
        {"{ type = 'list', items = { type = 'path', default = '/' } }",
         "operation: the elements of argument 'a' cannot be optional"},
        {"{ type = 'list', items = { type = 'list', items = { type = 'list', items =\n"
         "{ type = 'list', items = { type = 'list', items = 'path' } } } } }",
         "are nested more than 4 deep"},
    };
    char source[1024];

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        source_with(source, sizeof(source), cases[i].declaration);
        const char *error = world_load_error(&world, source);
        if (strstr(error, cases[i].error) == NULL) {
            fail_msg("%s: %s", cases[i].declaration, error);
        }
        assert_true(strncmp(error, "lock.lua:2: ", 12) == 0 ||
                    strncmp(error, "lock.lua:3: ", 12) == 0);
    }
}

/* The table that was declared is the recipe's own, and so may be changed before it is read. */
static void refuses_a_declaration_that_was_changed_after_it_was_checked(void **state)
{
    (void)state;
    static const char *const changes[] = {"op.args = { a = 'pth' }",
                                          "op.args = { a = { type = 'path', min = 1 } }",
                                          "op.args = 7",
                                          "op.deadline = 'soon'",
                                          "op.doc = {}",
                                          "op.args = { [1] = 'path' }"};
    char source[512];

    for (size_t i = 0; i < MK_COUNT(changes); i++) {
        (void)snprintf(source, sizeof(source),
                       "local op = operation { doc = '', run = tostring }\n%s\n"
                       "return { take = op }",
                       changes[i]);
        assert_true(strlen(world_load_error(&world, source)) > 0);
    }
}

/* Most arguments are read without Lua (plain.h): the first of each pair. Each second one says the same in a
 * way that is not. */
static void takes_the_same_arguments_however_they_are_written(void **state)
{
    (void)state;
    static const struct {
        const char *declaration, *plain, *other;
    } cases[] = {
        {"'path'", "\"/a/b\"", "\"/a\\/b\""},
        {"'string'", "\"\"", "\"\" "},
        {"'bytes'", " \"a b\"\t", "\"a\\u0020b\""},
        {"'integer'", "0", "0e0"},
        {"'integer'", "-17", "-17.0"},
        {"'integer'", "999999999999999", "999999999999999.0"},
        {"'number'", "5", "5.0"},
        {"'number'", "9007199254740992", "9007199254740992.0"},
        {"'boolean'", "true", "true"},
        {"'boolean'", "false", "false"},
        {"'duration'", "\"10s\"", "10000.0"},
        {"'duration'", "250", "\"250\\u006ds\""},
        {"{ type = 'integer', default = 7 }", "7", "null"},
        {"{ type = 'duration', default = '2s' }", "2000", "null"},
        {"{ type = 'string', one_of = { 'x', 'y' } }", "\"y\"", "\"\\u0079\""},
    };

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        char text[128], result[64];
        load_with(cases[i].declaration);
        (void)snprintf(text, sizeof(text), " { \"a\" :%s}\n", cases[i].plain);
        world_run(&world, "take", text);
        (void)snprintf(result, sizeof(result), "%s", world_result(&world));
        (void)snprintf(text, sizeof(text), "{\"\\u0061\":%s}", cases[i].other);
        world_run(&world, "take", text);
        assert_string_equal(result, world_result(&world));
    }
}

static void refuses_what_is_nearly_plain(void **state)
{
    (void)state;
    static const struct {
        const char *json, *expected;
    } cases[] = {
        {"{\"a\":01}", "JSON: "},
        {"{\"a\":1,}", "JSON: "},
        {"{\"a\":1}}", "JSON: "},
        {"{\"a\":1 2}", "JSON: "},
        {"{\"a\":1", "JSON: "},
        {"{\"a\":-}", "JSON: "},
        {"{\"a\":tru}", "JSON: "},
        {"{\"a\":1,\"a\":2}", "a key that was there before"},
        {"{\"b\":1}", "unknown argument 'b'"},
        {"{}", "argument 'a' is missing"},
        {"", "argument 'a' is missing"},
        {"{\"a\":null}", "argument 'a' is missing"},
        {"{\"a\":1.5}", "a whole number"},
        {"{\"a\":9007199254740993}", "beyond 2^53"},
        {"[1]", "must be a map"},
    };
    mk_ms timeout_ms;
    struct mk_error error;
    load_with("'integer'");
    const struct recipe_operation *take = recipe_operation_find(world.version, MK_BYTES("take"));

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        enum mk_status status = recipe_arguments_check(
            world.version, take, RECIPE_JSON, mk_bytes_text(cases[i].json), &timeout_ms, &error);
        assert_int_equal(status, MK_BAD_ARGUMENTS);
        assert_non_null(strstr(error.text, cases[i].expected));
    }
}

static void declares_how_long_a_call_may_last(void **state)
{
    (void)state;
    world_load(&world, "lock",
               "return { a = operation { doc = '', run = tostring, deadline = '1h' },\n"
               "  b = operation { doc = '', run = tostring } }");
    assert_int_equal(recipe_operation_find(world.version, MK_BYTES("a"))->deadline_ms, 3600000);
    assert_int_equal(recipe_operation_find(world.version, MK_BYTES("b"))->deadline_ms, 0);

    static const char *const bad[] = {"'soon'", "0", "-1", "1.5", "true", "{}"};
    char source[256];
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        (void)snprintf(source, sizeof(source),
                       "return { a = operation { doc = '', run = tostring, deadline = %s } }",
                       bad[i]);
        assert_string_equal(world_load_error(&world, source),
                            "lock.lua:1: operation: 'deadline' must be a duration like \"1h\", at "
                            "least 1 ms");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(holds_values_and_sizes_to_their_bounds),
        TEST(accepts_what_is_among_its_choices_alone),
        TEST(gives_the_default_for_what_is_absent_or_null),
        TEST(gives_each_run_a_default_of_its_own),
        TEST(takes_a_default_timeout_as_the_callers),
        TEST(asks_the_same_of_each_element),
        TEST(turns_durations_within_lists_and_maps_into_milliseconds),
        TEST(may_be_optional_in_either_form),
        TEST(says_what_is_wrong_with_a_long_declaration),
        TEST(refuses_a_declaration_that_was_changed_after_it_was_checked),
        TEST(takes_the_same_arguments_however_they_are_written),
        TEST(refuses_what_is_nearly_plain),
        TEST(declares_how_long_a_call_may_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
