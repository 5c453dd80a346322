/* Private to cli: the subcommands of `moonkeeper recipe`. argv[0] is the subcommand's name, as said in
 * complaints ("recipe test"). Each returns an exit code. */
#ifndef MK_CLI_RECIPE_H
#define MK_CLI_RECIPE_H

#include "cli/cli.h"

int recipe_test(struct cli *cli, int argc, char **argv);
int recipe_explore(struct cli *cli, int argc, char **argv);

#endif
