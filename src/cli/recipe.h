/* Private to cli: the subcommands of `moonkeeper recipe`. argv[0] is the subcommand's name, as said in
 * complaints ("recipe test"). Each returns an exit code. */
#ifndef MK_CLI_RECIPE_H
#define MK_CLI_RECIPE_H

#include "cli/cli.h"
#include "cli/output.h"

/* recipe_try.c: on this machine, without a server */
int recipe_test(struct cli *cli, int argc, char **argv);
int recipe_explore(struct cli *cli, int argc, char **argv);
/* recipe_source.c: likewise, but for what is described by its name */
int recipe_check(struct cli *cli, int argc, char **argv);
int recipe_describe(struct cli *cli, int argc, char **argv);
/* recipe_deploy.c: what changes a server's recipes */
int recipe_deploy(struct cli *cli, int argc, char **argv);
int recipe_rollback(struct cli *cli, int argc, char **argv);
int recipe_remove(struct cli *cli, int argc, char **argv);
int recipe_upgrade(struct cli *cli, int argc, char **argv);
/* recipe_list.c: what does not */
int recipe_list(struct cli *cli, int argc, char **argv);
int recipe_show(struct cli *cli, int argc, char **argv);
int recipe_history(struct cli *cli, int argc, char **argv);

/* ---- What they share ---- */

#define RECIPES_PATH "/zookeeper/recipes"
#define RECIPE_NAME_SIZE 256 /* longer ones are cut: they are refused whatever they end in */

bool recipe_is_file(const char *word); /* it ends in ".lua" */
void recipe_name_of(const char *file, char name[RECIPE_NAME_SIZE]);
/* The bytes of `file`, appended. CLI_OK, or an exit code, said. */
int recipe_file_read(const char *command, const char *file, struct mk_buf *source);

/* Call an operation of the server's recipe `recipe`, and wait for its end; takes `arguments`. CLI_OK: what
 * it returned is *result, a new reference. Otherwise an exit code, said. */
int recipe_call(struct cli *cli, const char *command, const char *operation, json_t *arguments,
                json_t **result);
/* The source of a version (NULL: the active one; or how it begins), and which that is; `version` may be
 * NULL. CLI_OK, or an exit code, said. */
int recipe_fetch(struct cli *cli, const char *command, const char *name, const char *wanted,
                 struct mk_buf *source, struct mk_buf *version);
/* What a source declares, as recipe_version_describe() has it: a new reference. NULL: `error`. */
json_t *recipe_description(const char *name, struct mk_bytes source, struct mk_error *error);
/* The whole of recipe.list: a list, page after page. */
int recipe_list_all(struct cli *cli, const char *command, json_t **recipes);
const char *recipe_text(const json_t *object, const char *key); /* "-" if it is no string */

#endif
