/* A run finds the recipe as its file makes it, whatever the run before has done to it: whether the
 * functions were kept from that run, or made anew. */
#include "fake_host.h"
#include "recipe/sandbox.h"
#include "recipe/version.h"

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

/* `top` is the file's, `body` that of its one operation's run. */
static void load(const char *top, const char *body)
{
    char source[2048];
    int len = snprintf(source, sizeof(source),
                       "%s\nreturn { go = operation { doc = '', run = function(call) %s end } }",
                       top, body);
    assert_in_range(len, 1, sizeof(source) - 1);
    world_load(&world, "keep", source);
}

static void runs_three_times_with(const char *result, bool kept)
{
    for (int i = 0; i < 3; i++) {
        world_run(&world, "go", "{}");
        world_returned(&world, result);
    }
    assert_int_equal(world.version->sandbox->kept, kept);
}

static void a_variable_has_its_first_value_again(void **state)
{
    (void)state;
    load("local count, name, none = 1, 'a', nil",
         "count = count + 1 name = name .. 'b' none = (none or 0) + 1 "
         "return count .. name .. none");
    runs_three_times_with("\"2ab1\"", true);
}

static void a_variable_shared_by_functions_is_one(void **state)
{
    (void)state;
    load("local n = 0 local function more() n = n + 1 end", "more() more() n = n + 1 return n");
    runs_three_times_with("3", true);
}

static void a_table_is_as_it_was(void **state)
{
    (void)state;
    load("local seen = { 1, deep = { x = 'y' } }",
         "seen[#seen + 1] = 2 seen.deep.x = seen.deep.x .. 'z' seen.deep.new = true "
         "return #seen .. seen.deep.x");
    runs_three_times_with("\"2yz\"", true);
}

static void a_table_that_functions_share_is_one(void **state)
{
    (void)state;
    load("local seen = {} local function note() table.insert(seen, 1) end",
         "note() note() return #seen");
    runs_three_times_with("2", true);
}

static void a_table_of_functions_is_as_it_was(void **state)
{
    (void)state;
    load("local n = 0 local by_name = { up = function() n = n + 1 return n end }",
         "local got = by_name.up() by_name.up = nil return got");
    runs_three_times_with("1", true);
}

static void functions_call_each_other_and_themselves(void **state)
{
    (void)state;
    load("local odd local function even(n) return n == 0 or odd(n - 1) end "
         "odd = function(n) return n ~= 0 and even(n - 1) end",
         "local was = even(10) odd = nil return was");
    runs_three_times_with("true", true);
}

static void a_library_in_a_variable_is_no_copy(void **state)
{
    (void)state;
    load("local s, floor, null = string, math.floor, json.null",
         "return s.rep('x', floor(2.5)) .. tostring(null == json.null)");
    runs_three_times_with("\"xxtrue\"", true);
}

static void an_iterator_begins_again(void **state)
{
    (void)state;
    load("local letters = ('abc'):gmatch('.')", "return letters()");
    runs_three_times_with("\"a\"", false);
}

static void a_table_in_two_places_stays_one(void **state)
{
    (void)state;
    load("local a = {} local b = a", "b.x = (a.x or 0) + 1 return a.x");
    runs_three_times_with("1", false);
}

static void a_table_that_contains_itself_is_made_anew(void **state)
{
    (void)state;
    load("local a = {} a.a = a", "a.x = (a.a.x or 0) + 1 return a.x");
    runs_three_times_with("1", false);
}

static void a_list_stays_a_list(void **state)
{
    (void)state;
    load("local empty = json.list()", "local was = #empty empty[1] = 1 return was == 0 and empty");
    runs_three_times_with("[1]", false);
}

static void the_table_of_operations_is_made_anew_if_it_is_used(void **state)
{
    (void)state;
    world_load(&world, "keep",
               "local keep = {} keep.go = operation { doc = '', run = function(call) "
               "keep.n = (keep.n or 0) + 1 return keep.n end } return keep");
    runs_three_times_with("1", false);
}

static void what_is_too_much_to_copy_is_made_anew(void **state)
{
    (void)state;
    load("local many = {} for i = 1, 1000 do many[i] = i end", "many[#many + 1] = 0 return #many");
    runs_three_times_with("1001", false);
}

static void a_cancel_has_its_own_beginning_too(void **state)
{
    (void)state;
    world_load(&world, "keep",
               "local n = 0 return { go = operation { doc = '', "
               "run = function(call) n = n + 1 return n end, "
               "cancel = function(call) n = n + 1 "
               "if n ~= 1 then error('it is ' .. n) end end } }");
    world_run(&world, "go", "{}");
    world_returned(&world, "1");
    world_cancel(&world, "go", "{}");
    assert_int_equal(world.run.end, RECIPE_RETURNED);
    world_run(&world, "go", "{}");
    world_returned(&world, "1");
}

static void a_run_that_fails_in_the_middle_leaves_nothing(void **state)
{
    (void)state;
    load("local n = 0", "n = n + 1 if n > 1 then error('it is ' .. n) end fail('Conflict')");
    for (int i = 0; i < 3; i++) {
        world_run(&world, "go", "{}");
        world_failed(&world, "Conflict", "");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_variable_has_its_first_value_again),
        TEST(a_variable_shared_by_functions_is_one),
        TEST(a_table_is_as_it_was),
        TEST(a_table_that_functions_share_is_one),
        TEST(a_table_of_functions_is_as_it_was),
        TEST(functions_call_each_other_and_themselves),
        TEST(a_library_in_a_variable_is_no_copy),
        TEST(an_iterator_begins_again),
        TEST(a_table_in_two_places_stays_one),
        TEST(a_table_that_contains_itself_is_made_anew),
        TEST(a_list_stays_a_list),
        TEST(the_table_of_operations_is_made_anew_if_it_is_used),
        TEST(what_is_too_much_to_copy_is_made_anew),
        TEST(a_cancel_has_its_own_beginning_too),
        TEST(a_run_that_fails_in_the_middle_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
