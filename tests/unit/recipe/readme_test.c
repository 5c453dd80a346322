/* The recipe in src/recipe/README.md does what the text around it says. */
#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>

static struct world world;

static int setup(void **state)
{
    (void)state;
    char text[32768];
    const char *source_dir = getenv("SOURCE_DIR");
    (void)snprintf(text, sizeof(text), "%s/src/recipe/README.md",
                   source_dir == NULL ? "." : source_dir);
    FILE *file = fopen(text, "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    char *begin = strstr(text, "```lua\n");
    assert_non_null(begin);
    begin += strlen("```lua\n");
    *strstr(begin, "```") = '\0';
    world_open(&world);
    world_load(&world, "counter", begin);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void the_counter_of_the_readme_counts(void **state)
{
    (void)state;
    world_run(&world, "add", "{\"path\":\"/counters/a\"}");
    world_returned(&world, "1");
    world_run(&world, "add", "{\"path\":\"/counters/a\",\"by\":-3}");
    world_returned(&world, "-2");
    assert_memory_equal(world_znode(&world, "/counters/a")->data.data, "-2", 2);
}

static void the_counter_of_the_readme_refuses_what_is_no_number(void **state)
{
    (void)state;
    world_create(&world, "/counters/a", "many");
    world_run(&world, "add", "{\"path\":\"/counters/a\"}");
    world_failed(&world, "Conflict", "it does not hold a number");
    world_run(&world, "add", "{\"path\":\"/counters/a\",\"by\":1.5}");
    world_failed(&world, "BadArguments", "argument 'by' must be a whole number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_counter_of_the_readme_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_counter_of_the_readme_refuses_what_is_no_number, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
