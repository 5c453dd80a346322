/* moonkeeper recipe check, describe: a recipe's source, looked at by the engine that runs it on a server.
 * No server is needed for a file. */
#include "cli/recipe.h"

#include "recipe/recipe.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".lua"

/* ---- Files ---- */

bool recipe_is_file(const char *word)
{
    size_t len = strlen(word);

    return len > strlen(SUFFIX) && strcmp(word + len - strlen(SUFFIX), SUFFIX) == 0;
}

void recipe_name_of(const char *file, char name[RECIPE_NAME_SIZE])
{
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    size_t len = strlen(base);

    len -= recipe_is_file(base) ? strlen(SUFFIX) : 0;
    (void)snprintf(name, RECIPE_NAME_SIZE, "%.*s", (int)len, base);
}

int recipe_file_read(const char *command, const char *file, struct mk_buf *source)
{
    uint8_t chunk[16384];
    size_t bytes;
    FILE *stream = fopen(file, "rb");

    if (stream == NULL) {
        return cli_usage(command, "%s cannot be opened: %s", file, strerror(errno));
    }
    /* One byte more than a recipe may have: the engine says that it is too long. */
    while (source->len <= RECIPE_SOURCE_BYTES_MAX &&
           (bytes = fread(chunk, 1, sizeof(chunk), stream)) > 0) {
        mk_buf_append(source, chunk, bytes);
    }
    bool failed = ferror(stream) != 0;
    (void)fclose(stream);
    return failed ? cli_usage(command, "%s cannot be read", file) : CLI_OK;
}

/* ---- check ---- */

/* One of them: a line, or an object added to `all`. */
static int check_one(struct cli *cli, struct recipe_engine *engine, const char *command,
                     const char *file, json_t *all)
{
    struct mk_error error = {""};
    struct mk_buf source = {0};
    char name[RECIPE_NAME_SIZE];
    char hash[RECIPE_VERSION_BYTES + 1];
    int code = recipe_file_read(command, file, &source);

    if (code != CLI_OK) {
        mk_buf_free(&source);
        return code;
    }
    recipe_name_of(file, name);
    recipe_version_hash(mk_buf_view(&source), hash);
    bool sound = recipe_version_load(engine, mk_bytes_text(name), mk_buf_view(&source), &error);
    if (cli->json) {
        json_array_append_new(all, json_pack("{s:s, s:b, s:s, s:s*}", "file", file, "ok", sound,
                                             "version", hash, "error", sound ? NULL : error.text));
    } else if (sound) {
        printf("%s: %s\n", file, hash);
    } else {
        (void)cli_fail(cli, CLI_FAILED, command, NULL, error.text);
    }
    mk_buf_free(&source);
    return sound ? CLI_OK : CLI_FAILED;
}

int recipe_check(struct cli *cli, int argc, char **argv)
{
    struct recipe_options budgets = {0};
    int code = CLI_OK;

    if (getopt_long(argc, argv, "", (struct option[]){{NULL, 0, NULL, 0}}, NULL) != -1 ||
        optind == argc) {
        return cli_usage(argv[0], "usage: moonkeeper recipe check FILE...");
    }
    struct recipe_engine *engine = recipe_engine_new(&budgets);
    json_t *all = json_array();
    for (int i = optind; i < argc; i++) {
        int one = check_one(cli, engine, argv[0], argv[i], all);
        code = one > code ? one : code;
    }
    recipe_engine_free(engine);
    if (cli->json) {
        output_print(all);
    } else {
        json_decref(all);
    }
    return code;
}

/* ---- describe ---- */

static void value_print(const char *before, const json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (text != NULL) {
        printf("%s%s", before, text);
    }
    free(text);
}

/* "integer, 1 to 1000, default 1" */
static void schema_print(const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items");

    printf("%s", json_string_value(json_object_get(schema, "type")));
    if (items != NULL) {
        printf(" of ");
        schema_print(items);
    }
    value_print(", at least ", json_object_get(schema, "min"));
    value_print(", at most ", json_object_get(schema, "max"));
    value_print(", one of ", json_object_get(schema, "one_of"));
    value_print(", default ", json_object_get(schema, "default"));
    if (json_is_true(json_object_get(schema, "optional")) &&
        json_object_get(schema, "default") == NULL) {
        printf(", may be absent");
    }
}

static void operation_print(const char *recipe, const json_t *operation)
{
    const json_t *arguments = json_object_get(operation, "arguments");
    const json_t *deadline = json_object_get(operation, "deadline_ms");
    size_t i;
    json_t *argument;

    printf("%s.%s\n  %s\n", recipe, json_string_value(json_object_get(operation, "name")),
           json_string_value(json_object_get(operation, "doc")));
    json_array_foreach(arguments, i, argument)
    {
        printf("  %-12s ", json_string_value(json_object_get(argument, "name")));
        schema_print(argument);
        putchar('\n');
    }
    if (json_is_true(json_object_get(operation, "reads_only"))) {
        printf("  changes nothing\n");
    }
    if (json_is_true(json_object_get(operation, "outlives_session"))) {
        printf("  goes on when the caller's session has ended\n");
    }
    if (deadline != NULL) {
        printf("  ends after %.0f ms\n", json_number_value(deadline));
    }
}

static int description_print(struct cli *cli, const char *command, const char *wanted,
                             json_t *description)
{
    const char *name = json_string_value(json_object_get(description, "name"));
    json_t *operation;
    size_t i;
    bool found = false;

    if (cli->json && wanted == NULL) {
        output_print(json_incref(description));
        return CLI_OK;
    }
    json_array_foreach(json_object_get(description, "operations"), i, operation)
    {
        const char *each = json_string_value(json_object_get(operation, "name"));
        if (wanted != NULL && strcmp(wanted, each) != 0) {
            continue;
        }
        found = true;
        if (cli->json) {
            output_print(json_incref(operation));
        } else {
            operation_print(name, operation);
        }
    }
    return found ? CLI_OK
                 : cli_fail(cli, CLI_FAILED, command, "NoNode", "it has no operation of that name");
}

json_t *recipe_description(const char *name, struct mk_bytes source, struct mk_error *error)
{
    struct recipe_options budgets = {0};
    struct recipe_engine *engine = recipe_engine_new(&budgets);
    struct mk_buf json = {0};
    json_t *description = NULL;

    mk_error_set(error, "it cannot be described");
    struct recipe_version *version =
        recipe_version_load(engine, mk_bytes_text(name), source, error);
    if (version != NULL && recipe_version_describe(version, &json)) {
        description = json_loadb((const char *)json.data, json.len, 0, NULL);
    }
    mk_buf_free(&json);
    recipe_engine_free(engine);
    return description;
}

int recipe_describe(struct cli *cli, int argc, char **argv)
{
    char name[RECIPE_NAME_SIZE];
    struct mk_buf source = {0};
    struct mk_error error;
    int code;

    if (getopt_long(argc, argv, "", (struct option[]){{NULL, 0, NULL, 0}}, NULL) != -1 ||
        optind == argc || argc - optind > 2) {
        return cli_usage(argv[0], "usage: moonkeeper recipe describe NAME|FILE [OPERATION]");
    }
    if (recipe_is_file(argv[optind])) {
        recipe_name_of(argv[optind], name);
        code = recipe_file_read(argv[0], argv[optind], &source);
    } else {
        (void)snprintf(name, sizeof(name), "%s", argv[optind]);
        code = recipe_fetch(cli, argv[0], name, NULL, &source, NULL);
    }
    if (code == CLI_OK) {
        json_t *description = recipe_description(name, mk_buf_view(&source), &error);
        const char *operation = argc - optind == 2 ? argv[optind + 1] : NULL;
        code = description != NULL ? description_print(cli, argv[0], operation, description)
                                   : cli_fail(cli, CLI_FAILED, argv[0], NULL, error.text);
        json_decref(description);
    }
    mk_buf_free(&source);
    return code;
}
