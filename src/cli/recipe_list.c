/* moonkeeper recipe list, show, history: what a server has, and who put it there. */
#include "cli/recipe.h"

#include "cli/session.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATH_BYTES 1024
#define VERSION_DIGITS 8 /* of a version, where a person reads it; commands take as many */

/* Words between the two numbers; no options. */
static int words_check(const char *usage, int words_min, int words_max, int argc, char **argv)
{
    static const struct option none[] = {{NULL, 0, NULL, 0}};
    bool good = getopt_long(argc, argv, "", none, NULL) == -1;
    int words = argc - optind;

    return good && words >= words_min && words <= words_max
               ? CLI_OK
               : cli_usage(argv[0], "usage: moonkeeper %s %s", argv[0], usage);
}

/* ---- list ---- */

int recipe_list_all(struct cli *cli, const char *command, json_t **recipes)
{
    json_t *page = NULL;
    char from[RECIPE_NAME_SIZE] = "";
    bool more = true;
    int code = CLI_OK;

    *recipes = json_array();
    while (code == CLI_OK && more) {
        json_t *arguments = from[0] != '\0' ? json_pack("{s:s}", "from", from) : json_object();
        code = recipe_call(cli, command, "recipe.list", arguments, &page);
        if (code == CLI_OK) {
            const char *next = json_string_value(json_object_get(page, "next"));
            json_array_extend(*recipes, json_object_get(page, "recipes"));
            more = next != NULL && strcmp(next, from) > 0; /* or it would not end */
            (void)snprintf(from, sizeof(from), "%s", more ? next : "");
            json_decref(page);
        }
    }
    if (code != CLI_OK) {
        json_decref(*recipes);
        *recipes = NULL;
    }
    return code;
}

static long long number(const json_t *object, const char *key)
{
    return (long long)json_number_value(json_object_get(object, key));
}

static void figures_print(const char *recipe, const json_t *figures)
{
    char name[2 * RECIPE_NAME_SIZE];

    (void)snprintf(name, sizeof(name), "%s.%s", recipe, recipe_text(figures, "name"));
    printf("  %-28s %10lld %10lld %8lld %10lld %10lld %8lld %14lld %10lld\n", name,
           number(figures, "calls"), number(figures, "failures"), number(figures, "waiting"),
           number(figures, "latency_avg_ms"), number(figures, "latency_max_ms"),
           number(figures, "run_ms"), number(figures, "instructions"), number(figures, "effects"));
}

static void recipe_print(const json_t *recipe)
{
    const char *name = recipe_text(recipe, "name");
    json_t *figures;
    size_t i;

    printf("%s %.*s", name, VERSION_DIGITS, recipe_text(recipe, "version"));
    if (strcmp(recipe_text(recipe, "state"), "active") != 0) {
        printf(" %s", recipe_text(recipe, "state"));
    }
    if (json_object_get(recipe, "catalogue") != NULL) {
        printf(" catalogue:%s", recipe_text(recipe, "catalogue"));
    }
    if (number(recipe, "versions") > 1) {
        printf(" versions:%lld", number(recipe, "versions"));
    }
    putchar('\n');
    json_array_foreach(json_object_get(recipe, "operations"), i, figures)
    {
        figures_print(name, figures);
    }
}

int recipe_list(struct cli *cli, int argc, char **argv)
{
    json_t *recipes = NULL;
    json_t *recipe;
    size_t i;
    int code = words_check("[NAME]", 0, 1, argc, argv);

    if (code == CLI_OK && optind < argc) {
        json_t *page = NULL;
        json_t *arguments = json_pack("{s:s}", "name", argv[optind]);
        code = arguments == NULL ? cli_usage(argv[0], "that is not UTF-8")
                                 : recipe_call(cli, argv[0], "recipe.list", arguments, &page);
        recipes = json_incref(json_object_get(page, "recipes"));
        json_decref(page);
    } else if (code == CLI_OK) {
        code = recipe_list_all(cli, argv[0], &recipes);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (cli->json) {
        output_print(recipes);
        return CLI_OK;
    }
    printf("  %-28s %10s %10s %8s %10s %10s %8s %14s %10s\n", "since the server began", "calls",
           "failures", "waiting", "ms_avg", "ms_max", "run_ms", "instructions", "effects");
    json_array_foreach(recipes, i, recipe)
    {
        recipe_print(recipe);
    }
    json_decref(recipes);
    return CLI_OK;
}

/* ---- Znodes of a recipe ---- */

static int znode_read(struct cli *cli, const char *command, enum moonkeeper_op op, const char *path,
                      struct moonkeeper_result *result)
{
    struct moonkeeper_request request = {.op = op, .path = path};
    struct session session;

    session_init(&session);
    int code = session_open(cli, &session, command);
    if (code == CLI_OK) {
        code = session_ask(cli, &session, command, &request, result);
    }
    session_close(&session);
    return code;
}

/* The only child of the recipe's znode that begins with `wanted`. */
static int version_find(struct cli *cli, const char *command, const char *path, const char *wanted,
                        struct mk_buf *version)
{
    struct moonkeeper_result children = {0};
    int code = znode_read(cli, command, MOONKEEPER_CHILDREN, path, &children);
    int found = 0;

    for (size_t i = 0; code == CLI_OK && i < children.names_count; i++) {
        if (strncmp(children.names[i], wanted, strlen(wanted)) == 0 &&
            children.names[i][0] != '.') {
            version->len = 0;
            mk_buf_append(version, children.names[i], strlen(children.names[i]));
            found++;
        }
    }
    moonkeeper_result_free(&children);
    if (code == CLI_OK && found != 1) {
        code =
            cli_fail(cli, CLI_FAILED, command, found == 0 ? "NoNode" : "BadArguments",
                     found == 0 ? "the recipe has no such version" : "several versions begin so");
    }
    return code;
}

static bool path_make(char path[PATH_BYTES], const char *name, struct mk_bytes below)
{
    int len = snprintf(path, PATH_BYTES, RECIPES_PATH "/%s%s%.*s", name, below.len > 0 ? "/" : "",
                       (int)below.len, below.len > 0 ? (const char *)below.data : "");

    return len < PATH_BYTES && name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

int recipe_fetch(struct cli *cli, const char *command, const char *name, const char *wanted,
                 struct mk_buf *source, struct mk_buf *version)
{
    struct moonkeeper_result result = {0};
    struct mk_buf found = {0};
    char path[PATH_BYTES];
    int code = CLI_OK;

    if (!path_make(path, name, MK_BYTES(""))) {
        return cli_usage(command, "%s is no name of a recipe", name);
    }
    if (wanted != NULL) {
        code = version_find(cli, command, path, wanted, &found);
    } else {
        code = znode_read(cli, command, MOONKEEPER_GET, path, &result);
        mk_buf_append(&found, result.data, result.data_bytes);
        moonkeeper_result_free(&result);
    }
    if (code == CLI_OK && found.len == 0) {
        code = cli_fail(cli, CLI_FAILED, command, "Conflict", "the recipe is being removed");
    }
    if (code == CLI_OK && path_make(path, name, mk_buf_view(&found))) {
        result = (struct moonkeeper_result){0};
        code = znode_read(cli, command, MOONKEEPER_GET, path, &result);
        mk_buf_append(source, result.data, result.data_bytes);
        moonkeeper_result_free(&result);
    }
    if (version != NULL) {
        mk_buf_append_bytes(version, mk_buf_view(&found));
    }
    mk_buf_free(&found);
    return code;
}

/* ---- show ---- */

int recipe_show(struct cli *cli, int argc, char **argv)
{
    struct mk_buf source = {0};
    struct mk_buf version = {0};
    int code = words_check("NAME [VERSION]", 1, 2, argc, argv);

    if (code == CLI_OK) {
        code = recipe_fetch(cli, argv[0], argv[optind], argc - optind > 1 ? argv[optind + 1] : NULL,
                            &source, &version);
    }
    if (code == CLI_OK && cli->json) {
        json_t *object = json_object();
        json_object_set_new(object, "name", output_text(mk_bytes_text(argv[optind])));
        json_object_set_new(object, "version", output_text(mk_buf_view(&version)));
        json_object_set_new(object, "source", output_text(mk_buf_view(&source)));
        output_print(object);
    } else if (code == CLI_OK) {
        (void)fwrite(source.data, 1, source.len, stdout);
    }
    mk_buf_free(&source);
    mk_buf_free(&version);
    return code;
}

/* ---- history ---- */

static void entry_print(const json_t *entry)
{
    int64_t time_ms = (int64_t)json_number_value(json_object_get(entry, "time_ms"));
    time_t seconds = (time_t)(time_ms / 1000);
    const char *comment = json_string_value(json_object_get(entry, "comment"));
    struct tm parts;
    char when[32] = "?";

    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    printf("%s %-8s %.*s was %.*s by %s zxid 0x%" PRIx64 "%s%s\n", when,
           recipe_text(entry, "action"), VERSION_DIGITS, recipe_text(entry, "version"),
           VERSION_DIGITS, recipe_text(entry, "was"), recipe_text(entry, "who"),
           (uint64_t)json_number_value(json_object_get(entry, "zxid")), comment != NULL ? ": " : "",
           comment != NULL ? comment : "");
}

int recipe_history(struct cli *cli, int argc, char **argv)
{
    struct moonkeeper_result result = {0};
    char path[PATH_BYTES];
    json_t *history = NULL;
    json_t *entry;
    size_t i;
    int code = words_check("NAME", 1, 1, argc, argv);

    if (code == CLI_OK && !path_make(path, argv[optind], MK_BYTES(".history"))) {
        code = cli_usage(argv[0], "%s is no name of a recipe", argv[optind]);
    }
    if (code == CLI_OK) {
        code = znode_read(cli, argv[0], MOONKEEPER_GET, path, &result);
    }
    if (code != CLI_OK) {
        moonkeeper_result_free(&result);
        return code;
    }
    history = result.data_bytes > 0 ? json_loadb(result.data, result.data_bytes, 0, NULL) : NULL;
    moonkeeper_result_free(&result);
    json_t *entries = json_object_get(history, "entries");
    if (!json_is_array(entries)) {
        code = cli_fail(cli, CLI_LOST, argv[0], NULL, "the recipe's history makes no sense");
    } else if (cli->json) {
        output_print(json_incref(entries));
    } else {
        json_array_foreach(entries, i, entry)
        {
            entry_print(entry);
        }
    }
    json_decref(history);
    return code;
}
