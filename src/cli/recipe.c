/* moonkeeper recipe ...: which function a subcommand is. */
#include "cli/recipe.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64

static const struct subcommand {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
} subcommands[] = {
    {"test", recipe_test},         {"explore", recipe_explore}, {"check", recipe_check},
    {"describe", recipe_describe}, {"deploy", recipe_deploy},   {"rollback", recipe_rollback},
    {"remove", recipe_remove},     {"upgrade", recipe_upgrade}, {"list", recipe_list},
    {"show", recipe_show},         {"history", recipe_history},
};

int cli_recipe(struct cli *cli, int argc, char **argv)
{
    char name[NAME_BYTES];

    if (argc < 2) {
        return cli_usage(argv[0], "what is to be done? moonkeeper help recipe lists it");
    }
    for (size_t i = 0; i < MK_COUNT(subcommands); i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            (void)snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]);
            argv[1] = name;
            return subcommands[i].run(cli, argc - 1, argv + 1);
        }
    }
    return cli_usage(argv[0], "%s: there is no such thing to do with a recipe", argv[1]);
}
