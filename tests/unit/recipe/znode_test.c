/* znode and session: what a recipe sees of the tree, and what it does to it. */
#include "fake_host.h"

#include <stdio.h>

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world);
    world_create(&world, "/a/c", "see");
    world_create(&world, "/a/b", "bee");
    world_create(&world, "/a/_c_1-lock-3", "");
    world_create(&world, "/a/d", "dee");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void reads_data_and_stat(void **state)
{
    (void)state;
    world_znode(&world, "/a/b")->owner = (mk_session)0xa100000000000001;
    world_eval(&world, "local data, stat = znode.get('/a/b') return { data, stat }");
    world_returned(&world,
                   "[\"bee\",{\"aversion\":0,\"children_count\":0,\"ctime\":0,\"cversion\":0,"
                   "\"czxid\":4294967299,\"data_length\":3,\"mtime\":0,\"mzxid\":4294967299,"
                   "\"owner\":\"a100000000000001\",\"pzxid\":4294967299,\"version\":0}]");
    world_eval(&world, "return znode.stat('/a').children_count");
    world_returned(&world, "4");
    world_eval(&world, "return znode.stat('/a').owner == nil");
    world_returned(&world, "true");
}

static void reads_what_does_not_exist_as_nothing(void **state)
{
    (void)state;
    world_eval(&world, "return { znode.get('/x') == nil, znode.stat('/x') == nil, "
                       "znode.exists('/x'), znode.count('/x'), znode.children('/x'), "
                       "znode.first_child('/x') == nil, znode.last_child('/x') == nil }");
    world_returned(&world, "[true,true,false,0,[],true,true]");
}

static void creates_with_the_options_that_are_given(void **state)
{
    (void)state;
    world_eval(&world,
               "return { znode.create('/n'), znode.create('/n/q-', { sequential = true, "
               "ephemeral = true, data = 'x' }), znode.create('/p/q/r', { parents = true }) }");
    world_returned(&world, "[\"/n\",\"/n/q-0000000000\",\"/p/q/r\"]");
    assert_int_equal(world_znode(&world, "/n/q-0000000000")->owner, ANN);
    assert_int_equal(world_znode(&world, "/n")->owner, 0);
}

static void refuses_options_that_do_not_exist(void **state)
{
    (void)state;
    world_eval(&world, "znode.create('/n', { ephemral = true })");
    world_failed(&world, "RecipeError", "znode.create: there is no 'ephemral'");
    world_eval(&world, "znode.create('/n', { ephemeral = 1 })");
    world_failed(&world, "RecipeError",
                 "znode.create: 'ephemeral' must be a boolean, not a number");
    world_eval(&world, "znode.create('/n', 'data')");
    world_failed(&world, "RecipeError", "table expected, got string");
    world_eval(&world, "znode.children('/a', { by = 'age' })");
    world_failed(&world, "RecipeError", "'by' is \"name\" or \"creation\"");
    world_eval(&world, "znode.children('/a', { limit = 0 })");
    world_failed(&world, "RecipeError", "'limit' is at least 1");
    world_eval(&world, "znode.children('/a', { like = '' })");
    world_failed(&world, "RecipeError", "'like' is a string, or a list of at most 16 strings");
    world_eval(&world, "znode.first_child('/a', { limit = 1 })");
    world_failed(&world, "RecipeError", "znode.first_child: there is no 'limit'");
}

static void sets_and_deletes_with_and_without_a_version(void **state)
{
    (void)state;
    world_eval(&world, "return { znode.set('/a/b', 'x'), znode.set('/a/b', 'y', 1), "
                       "znode.delete('/a/b', 2), znode.delete('/a/b'), znode.delete(nil) }");
    world_returned(&world, "[1,2,true,false,false]");
    world_eval(&world, "znode.set('/a/c', 'x', 2 ^ 40)");
    world_failed(&world, "RecipeError", "a version has 32 bits");
}

static void undoes_the_effects_of_a_run_that_fails(void **state)
{
    (void)state;
    world_eval(&world, "znode.create('/n') znode.delete('/a/b') fail('Oops')");
    assert_null(world_znode(&world, "/n"));
    assert_non_null(world_znode(&world, "/a/b"));
}

static void raises_answers_by_name_and_lets_the_recipe_catch_them(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        const char *name;
        const char *message;
    } cases[] = {
        {"znode.create('/a')", "NodeExists", "znode.create /a: the znode exists already"},
        {"znode.create('/x/y')", "NoNode", "znode.create /x/y: no such znode"},
        {"znode.create('x')", "BadArguments", "znode.create x: an argument is not valid"},
        {"znode.set('/x', '')", "NoNode", "znode.set /x: no such znode"},
        {"znode.set('/a', '', 7)", "BadVersion",
         "znode.set /a: the version is not the expected one"},
        {"znode.delete('/a')", "NotEmpty", "znode.delete /a: the znode has children"},
        {"znode.sibling_before('/a/x')", "NoNode", "znode.sibling_before /a/x: no such znode"},
        {"znode.sibling_after('/')", "BadArguments", "znode.sibling_after /: an argument"},
    };
    char body[256];

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        world_eval(&world, cases[i].call);
        world_failed(&world, cases[i].name, cases[i].message);
        (void)snprintf(body, sizeof(body),
                       "local ok, e = pcall(function() %s end) return { ok, e.error }",
                       cases[i].call);
        world_eval(&world, body);
        (void)snprintf(body, sizeof(body), "[false,\"%s\"]", cases[i].name);
        world_returned(&world, body);
    }
    world.answer = MK_INVALID_ACL;
    world_eval(&world, "znode.create('/n')");
    world_failed(&world, "InvalidAcl", "");
}

static void ends_the_run_when_the_store_is_broken(void **state)
{
    (void)state;
    static const enum mk_status failures[] = {MK_IO, MK_NO_SPACE, MK_CORRUPT};
    static const char *const bodies[] = {
        "pcall(znode.get, '/a') return 'escaped'",
        "while true do pcall(znode.set, '/a', 'x') end",
        "call:once('a', function() znode.create('/n') return 1 end)",
        "xpcall(znode.children, error, '/a') fail('Lost')",
    };

    for (size_t i = 0; i < MK_COUNT(failures); i++) {
        for (size_t j = 0; j < MK_COUNT(bodies); j++) {
            world.answer = failures[i];
            world_eval(&world, bodies[j]);
            assert_int_equal(world.run.end, RECIPE_UNANSWERED);
            assert_int_equal(world.run.unanswered, failures[i]);
            assert_int_equal(world.run.once_out.len, 0);
        }
    }
}

static void ends_the_run_when_the_store_is_broken_for_an_operation_that_it_runs(void **state)
{
    (void)state;
    world_load(
        &world, "lock",
        "return { inner = operation { doc = '', run = function() return znode.get('/a') end },\n"
        "  outer = operation { doc = '', run = function(call)\n"
        "    pcall(call.run, call, 'lock.inner') return 'escaped' end } }");
    world.answer = MK_IO;

    world_run(&world, "outer", "");

    assert_int_equal(world.run.end, RECIPE_UNANSWERED);
    assert_int_equal(world.run.unanswered, MK_IO);
}

static void lists_children_by_name_and_by_creation(void **state)
{
    (void)state;
    world_eval(&world, "return { znode.children('/a'), znode.children('/a', { by = 'creation' }), "
                       "znode.children('/a', { by = 'creation', backwards = true, limit = 2 }), "
                       "znode.children('/a', { from = 'b' }), znode.children('/') }");
    world_returned(&world,
                   "[[\"_c_1-lock-3\",\"b\",\"c\",\"d\"],[\"c\",\"b\",\"_c_1-lock-3\",\"d\"],"
                   "[\"d\",\"_c_1-lock-3\"],[\"c\",\"d\"],[\"a\"]]");
}

static void filters_children_by_what_their_names_contain(void **state)
{
    (void)state;
    world_eval(&world, "return { znode.children('/a', { like = 'lock-' }), "
                       "znode.children('/a', { like = { 'x', 'b', 'd' } }), "
                       "znode.first_child('/a', { by = 'creation', like = { 'lock-', 'd' } }), "
                       "znode.last_child('/a', { like = 'z' }) == nil }");
    world_returned(&world, "[[\"_c_1-lock-3\"],[\"b\",\"d\"],\"/a/_c_1-lock-3\",true]");
}

static void finds_the_neighbours_of_a_child(void **state)
{
    (void)state;
    world_eval(&world, "local by = { by = 'creation' } return { "
                       "znode.sibling_before('/a/b', by), znode.sibling_after('/a/b', by), "
                       "znode.sibling_before('/a/c', by) == nil, znode.sibling_after('/a/b'), "
                       "znode.sibling_before('/a/d', { by = 'creation', like = 'c' }), "
                       "znode.first_child('/'), znode.sibling_after('/a') == nil }");
    world_returned(&world,
                   "[\"/a/c\",\"/a/_c_1-lock-3\",true,\"/a/c\",\"/a/_c_1-lock-3\",\"/a\",true]");
}

static void counts_children(void **state)
{
    (void)state;
    world_eval(&world, "return { znode.count('/a'), znode.count('/a/b') }");
    world_returned(&world, "[4,0]");
}

static void charges_for_every_child_it_looks_at(void **state)
{
    (void)state;
    char path[32];
    world.options.work_max = 20000;
    world_engine_renew(&world);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(path, sizeof(path), "/many/%04d", i);
        world_create(&world, path, "");
    }
    world_eval(&world, "return #znode.children('/many')");
    world_failed(&world, "Budget", "library functions did more than 20000");
    world_eval(&world, "return #znode.children('/many', { limit = 100 })");
    world_returned(&world, "100");
}

static void asks_whether_a_session_is_alive(void **state)
{
    (void)state;
    world.dead = BOB;
    world_eval(&world, "return { session.alive(call.session), session.alive('1000000000000b0b') }");
    world_returned(&world, "[true,false]");
    world_eval(&world, "session.alive('12')");
    world_failed(&world, "RecipeError", "a session's id is 16 hexadecimal digits");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_data_and_stat),
        TEST(reads_what_does_not_exist_as_nothing),
        TEST(creates_with_the_options_that_are_given),
        TEST(refuses_options_that_do_not_exist),
        TEST(sets_and_deletes_with_and_without_a_version),
        TEST(undoes_the_effects_of_a_run_that_fails),
        TEST(raises_answers_by_name_and_lets_the_recipe_catch_them),
        TEST(ends_the_run_when_the_store_is_broken),
        TEST(ends_the_run_when_the_store_is_broken_for_an_operation_that_it_runs),
        TEST(lists_children_by_name_and_by_creation),
        TEST(filters_children_by_what_their_names_contain),
        TEST(finds_the_neighbours_of_a_child),
        TEST(counts_children),
        TEST(charges_for_every_child_it_looks_at),
        TEST(asks_whether_a_session_is_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
