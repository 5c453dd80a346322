#include "edge/edge.h"
#include "unit/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct edge_options options;
static char folder[64];

static void file_write(const char *name, const char *text, size_t times)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < times; i++) {
        assert_true(fputs(text, file) >= 0);
    }
    (void)fclose(file);
}

static int folder_make(void **state)
{
    (void)snprintf(folder, sizeof(folder), "catalogue_test.XXXXXX");
    edge_options_default(&options);
    options.recipe_dir = mkdtemp(folder);
    return options.recipe_dir != NULL ? 0 : -1;
}

static int folder_remove(void **state)
{
    char command[128];
    edge_options_free(&options);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void every_lua_file_is_a_recipe_of_its_name_in_order(void **state)
{
    struct mk_error error = {""};
    file_write("queue.lua", "return {}\n", 1);
    file_write("lock.lua", "return { 1 }\n", 1);
    file_write("notes.txt", "no recipe", 1);
    file_write(".hidden.lua", "no recipe", 1);
    file_write("bad name.lua", "no recipe", 1);

    assert_int_equal(edge_catalogue_read(&options, &error), MK_OK);

    assert_int_equal(options.server.catalogue_count, 2);
    assert_true(mk_bytes_equal(options.server.catalogue[0].name, MK_BYTES("lock")));
    assert_true(mk_bytes_equal(options.server.catalogue[0].source, MK_BYTES("return { 1 }\n")));
    assert_true(mk_bytes_equal(options.server.catalogue[1].name, MK_BYTES("queue")));
}

static void a_recipe_that_is_too_large_is_an_error(void **state)
{
    struct mk_error error = {""};
    file_write("huge.lua", "-- 16 bytes long\n", 16 * 1024);

    assert_int_equal(edge_catalogue_read(&options, &error), MK_IO);
    assert_non_null(strstr(error.text, "huge.lua is larger than 256 KiB"));
}

static void a_directory_that_was_asked_for_must_be_there(void **state)
{
    struct mk_error error = {""};
    options.recipe_dir = (char[]){"does/not/exist"};

    assert_int_equal(edge_catalogue_read(&options, &error), MK_IO);
    assert_non_null(strstr(error.text, "correct recipeDir"));
}

static void without_recipes_nothing_is_read(void **state)
{
    struct mk_error error = {""};
    options.recipe_dir = (char[]){"does/not/exist"};
    options.server.recipes = false;

    assert_int_equal(edge_catalogue_read(&options, &error), MK_OK);
    assert_int_equal(options.server.catalogue_count, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_lua_file_is_a_recipe_of_its_name_in_order),
        T(a_recipe_that_is_too_large_is_an_error),
        T(a_directory_that_was_asked_for_must_be_there),
        T(without_recipes_nothing_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
