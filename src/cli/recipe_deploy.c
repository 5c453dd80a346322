/* moonkeeper recipe deploy, rollback, remove, upgrade: calls of the server's own recipe, `recipe`. */
#include "cli/call.h"
#include "cli/recipe.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Calls ---- */

int recipe_call(struct cli *cli, const char *command, const char *operation, json_t *arguments,
                json_t **result)
{
    struct call call;

    call_init(&call, cli, operation);
    json_decref(call.arguments);
    call.arguments = arguments;
    int code = call_start(&call, command);
    if (code == CLI_OK) {
        code = call_wait(&call);
    }
    if (code == CLI_OK) {
        const struct mk_buf *data = &call.session.news.data;
        *result = data->len == 0
                      ? NULL
                      : json_loadb((const char *)data->data, data->len, JSON_DECODE_ANY, NULL);
        if (*result == NULL) {
            code = cli_fail(cli, CLI_LOST, command, NULL, "the server's answer makes no sense");
        }
    }
    call_deinit(&call);
    return code;
}

const char *recipe_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

/* ---- The command line ---- */

struct line {
    const char *usage;
    int words_min, words_max;
    /* Read from it: */
    char **words;
    int words_count;
    json_t *arguments; /* what options say */
    const char *name;
};

/* Options of all these commands; `arguments` names those that this one has. */
static int line_read(struct line *line, const char *takes, int argc, char **argv)
{
    static const struct option options[] = {
        {"expect", required_argument, NULL, 'e'},
        {"comment", required_argument, NULL, 'c'},
        {"name", required_argument, NULL, 'n'},
        {"fail-waiting", no_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int option;
    bool good = true;

    line->arguments = json_object();
    while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        good = option != '?' && strchr(takes, option) != NULL;
        if (good && option == 'n') {
            line->name = optarg;
        } else if (good && option == 'f') {
            json_object_set_new(line->arguments, "fail_waiting", json_true());
        } else if (good) {
            good = json_object_set_new(line->arguments, option == 'e' ? "expect" : "comment",
                                       json_string(optarg)) == 0; /* it is not UTF-8 */
        }
    }
    line->words = argv + optind;
    line->words_count = argc - optind;
    good = good && line->words_count >= line->words_min && line->words_count <= line->words_max;
    return good ? CLI_OK : cli_usage(argv[0], "usage: moonkeeper %s %s", argv[0], line->usage);
}

/* CLI_USAGE, said, if it is not UTF-8. */
static int argument_set(const char *command, json_t *arguments, const char *key,
                        struct mk_bytes text)
{
    json_t *value = json_stringn(text.len == 0 ? "" : (const char *)text.data, text.len);

    return json_object_set_new(arguments, key, value) == 0
               ? CLI_OK
               : cli_usage(command, "the %s is not UTF-8", key);
}

/* What was done, as a line. */
static int change_print(struct cli *cli, json_t *result, const char *done)
{
    const char *was = json_string_value(json_object_get(result, "was"));
    const char *version = json_string_value(json_object_get(result, "version"));
    bool changed = json_is_true(json_object_get(result, "changed"));

    if (cli->json) {
        output_print(result);
        return CLI_OK;
    }
    printf("%s: %s%s%s", recipe_text(result, "name"), changed ? done : "unchanged",
           version != NULL ? " " : "", version != NULL ? version : "");
    if (changed && was != NULL) {
        printf(", was %s", was);
    }
    putchar('\n');
    json_decref(result);
    return CLI_OK;
}

/* ---- The commands ---- */

int recipe_deploy(struct cli *cli, int argc, char **argv)
{
    struct line line = {.usage = "[--name NAME] [--expect VERSION|none] [--comment TEXT] FILE",
                        .words_min = 1,
                        .words_max = 1};
    struct mk_buf source = {0};
    char name[RECIPE_NAME_SIZE];
    json_t *result;
    int code = line_read(&line, "nec", argc, argv);

    if (code == CLI_OK) {
        code = recipe_file_read(argv[0], line.words[0], &source);
    }
    if (code == CLI_OK) {
        recipe_name_of(line.words[0], name);
        code = argument_set(argv[0], line.arguments, "name",
                            mk_bytes_text(line.name != NULL ? line.name : name));
    }
    if (code == CLI_OK) {
        code = argument_set(argv[0], line.arguments, "source", mk_buf_view(&source));
    }
    mk_buf_free(&source);
    if (code != CLI_OK) {
        json_decref(line.arguments);
        return code;
    }
    code = recipe_call(cli, argv[0], "recipe.deploy", line.arguments, &result);
    return code == CLI_OK ? change_print(cli, result, "deployed") : code;
}

/* NAME [VERSION], and the operation called with it. */
static int version_change(struct cli *cli, struct line *line, const char *takes,
                          const char *operation, const char *done, int argc, char **argv)
{
    json_t *result;
    int code = line_read(line, takes, argc, argv);

    if (code == CLI_OK) {
        code = argument_set(argv[0], line->arguments, "name", mk_bytes_text(line->words[0]));
    }
    if (code == CLI_OK && line->words_count > 1) {
        code = argument_set(argv[0], line->arguments, "version", mk_bytes_text(line->words[1]));
    }
    if (code != CLI_OK) {
        json_decref(line->arguments);
        return code;
    }
    code = recipe_call(cli, argv[0], operation, line->arguments, &result);
    return code == CLI_OK ? change_print(cli, result, done) : code;
}

int recipe_rollback(struct cli *cli, int argc, char **argv)
{
    struct line line = {.usage = "[--expect VERSION] [--comment TEXT] NAME [VERSION]",
                        .words_min = 1,
                        .words_max = 2};

    return version_change(cli, &line, "ec", "recipe.rollback", "rolled back to", argc, argv);
}

int recipe_remove(struct cli *cli, int argc, char **argv)
{
    struct line line = {.usage = "[--fail-waiting] [--expect VERSION] NAME [VERSION]",
                        .words_min = 1,
                        .words_max = 2};

    return version_change(cli, &line, "fe", "recipe.remove", "removed", argc, argv);
}

static int upgrade_one(struct cli *cli, const char *command, const char *name, const char *comment)
{
    json_t *result;
    json_t *arguments = json_pack("{s:s, s:s*}", "name", name, "comment", comment);

    if (arguments == NULL) {
        return cli_usage(command, "that is not UTF-8");
    }
    int code = recipe_call(cli, command, "recipe.upgrade", arguments, &result);
    return code == CLI_OK ? change_print(cli, result, "upgraded to") : code;
}

/* All that recipe.list says the server's own catalogue has a newer version of. */
static int upgrade_all(struct cli *cli, const char *command, const char *comment)
{
    json_t *recipes;
    json_t *recipe;
    size_t i;
    int code = recipe_list_all(cli, command, &recipes);

    if (code != CLI_OK) {
        return code;
    }
    json_array_foreach(recipes, i, recipe)
    {
        if (code == CLI_OK && strcmp(recipe_text(recipe, "catalogue"), "newer") == 0) {
            code = upgrade_one(cli, command, recipe_text(recipe, "name"), comment);
        }
    }
    json_decref(recipes);
    return code;
}

int recipe_upgrade(struct cli *cli, int argc, char **argv)
{
    struct line line = {.usage = "[--comment TEXT] [NAME...]", .words_max = INT32_MAX};
    int code = line_read(&line, "c", argc, argv);
    const char *comment = json_string_value(json_object_get(line.arguments, "comment"));

    if (code == CLI_OK && line.words_count == 0) {
        code = upgrade_all(cli, argv[0], comment);
    }
    for (int i = 0; code == CLI_OK && i < line.words_count; i++) {
        code = upgrade_one(cli, argv[0], line.words[i], comment);
    }
    json_decref(line.arguments);
    return code;
}
