/* The commands for single znodes: one request, one answer, printed. */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/session.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_EPHEMERAL = 1, FLAG_SEQUENTIAL = 2, FLAG_CONTAINER = 4 };

/* What a command line of these commands may hold. */
struct line {
    const char *options; /* as of getopt: "esc", "v:" */
    int words_min;
    int words_max;
    const char *usage;
    /* Read from it: */
    char **words;
    int words_count;
    int flags;
    int32_t version;
    mk_ms hold_ms;
};

static bool version_parse(const char *text, int32_t *version)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);

    *version = (int32_t)value;
    return *text != '\0' && *end == '\0' && value >= INT32_MIN && value <= INT32_MAX;
}

/* Whether the option was understood. */
static bool line_option(struct line *line, int option)
{
    switch (option) {
    case 'e': line->flags |= FLAG_EPHEMERAL; return true;
    case 's': line->flags |= FLAG_SEQUENTIAL; return true;
    case 'c': line->flags |= FLAG_CONTAINER; return true;
    case 'v': return version_parse(optarg, &line->version);
    case 'H': return session_hold_parse(optarg, &line->hold_ms);
    default: return false;
    }
}

/* CLI_OK or CLI_USAGE, said. Options may stand anywhere; "--" ends them. */
static int line_read(struct line *line, int argc, char **argv)
{
    static const struct option hold[] = {{"hold", optional_argument, NULL, 'H'},
                                         {NULL, 0, NULL, 0}};
    static const struct option none[] = {{NULL, 0, NULL, 0}};
    bool creates = strchr(line->options, 'e') != NULL;
    int option;

    line->version = -1;
    line->hold_ms = HOLD_NONE;
    while ((option = getopt_long(argc, argv, line->options, creates ? hold : none, NULL)) != -1) {
        if (!line_option(line, option)) {
            return cli_usage(argv[0], "usage: moonkeeper %s %s", argv[0], line->usage);
        }
    }
    line->words = argv + optind;
    line->words_count = argc - optind;
    bool contradiction = (line->flags & FLAG_CONTAINER) != 0 && line->flags != FLAG_CONTAINER;
    if (line->words_count < line->words_min || line->words_count > line->words_max ||
        contradiction) {
        return cli_usage(argv[0], "usage: moonkeeper %s %s", argv[0], line->usage);
    }
    return CLI_OK;
}

static json_t *path_object(const char *path)
{
    json_t *object = json_object();

    json_object_set_new(object, "path", output_text(mk_bytes_text(path)));
    return object;
}

/* ---- Writes ---- */

static int create_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    (void)path;
    if (cli->json) {
        json_t *object = path_object(result->path);
        json_object_set_new(object, "stat", output_stat(&result->stat));
        output_print(object);
    } else {
        puts(result->path);
    }
    return CLI_OK;
}

int cli_create(struct cli *cli, int argc, char **argv)
{
    struct line line = {.options = "esc",
                        .words_min = 1,
                        .words_max = 2,
                        .usage = "[-e] [-s] [-c] [--hold[=TIME]] PATH [DATA]"};
    struct moonkeeper_result result = {.error = 0};
    struct session session;
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct moonkeeper_request request = {
        .op = MOONKEEPER_CREATE,
        .path = line.words[0],
        .data = line.words_count > 1 ? line.words[1] : NULL,
        .data_bytes = line.words_count > 1 ? strlen(line.words[1]) : 0,
        .mode = (enum moonkeeper_mode)line.flags, /* the flags are the modes */
    };
    session_init(&session);
    code = session_open(cli, &session, argv[0]);
    if (code == CLI_OK) {
        code = session_ask(cli, &session, argv[0], &request, &result);
    }
    if (code == CLI_OK) {
        code = create_print(cli, line.words[0], &result);
    }
    if (code == CLI_OK && line.hold_ms != HOLD_NONE) {
        code = session_hold(cli, &session, argv[0], line.hold_ms);
    }
    moonkeeper_result_free(&result);
    session_close(&session);
    return code;
}

typedef int print_function(struct cli *cli, const char *path,
                           const struct moonkeeper_result *result);

/* Ask, print, end. */
static int ask_and_print(struct cli *cli, const char *command,
                         const struct moonkeeper_request *request, print_function *print)
{
    struct moonkeeper_result result = {.error = 0};
    struct session session;

    session_init(&session);
    int code = session_open(cli, &session, command);
    if (code == CLI_OK) {
        code = session_ask(cli, &session, command, request, &result);
    }
    if (code == CLI_OK) {
        code = print(cli, request->path, &result);
    }
    moonkeeper_result_free(&result);
    session_close(&session);
    return code;
}

static int set_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    if (cli->json) {
        json_t *object = path_object(path);
        json_object_set_new(object, "stat", output_stat(&result->stat));
        output_print(object);
    } else {
        printf("version %" PRId32 "\n", result->stat.version);
    }
    return CLI_OK;
}

int cli_set(struct cli *cli, int argc, char **argv)
{
    struct line line = {
        .options = "v:", .words_min = 2, .words_max = 2, .usage = "[-v VERSION] PATH DATA"};
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct moonkeeper_request request = {
        .op = MOONKEEPER_SET,
        .path = line.words[0],
        .data = line.words[1],
        .data_bytes = strlen(line.words[1]),
        .version = line.version,
    };
    return ask_and_print(cli, argv[0], &request, set_print);
}

static int delete_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    (void)result;
    if (cli->json) {
        output_print(path_object(path));
    }
    return CLI_OK;
}

int cli_delete(struct cli *cli, int argc, char **argv)
{
    struct line line = {
        .options = "v:", .words_min = 1, .words_max = 1, .usage = "[-v VERSION] PATH"};
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct moonkeeper_request request = {
        .op = MOONKEEPER_DELETE, .path = line.words[0], .version = line.version};
    return ask_and_print(cli, argv[0], &request, delete_print);
}

/* ---- Reads ---- */

/* The commands with nothing but a path. */
static int read_path(struct cli *cli, int argc, char **argv, enum moonkeeper_op op,
                     print_function *print)
{
    struct line line = {.options = "", .words_min = 1, .words_max = 1, .usage = "PATH"};
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct moonkeeper_request request = {.op = op, .path = line.words[0]};
    return ask_and_print(cli, argv[0], &request, print);
}

static int get_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    if (cli->json) {
        json_t *object = path_object(path);
        output_put_data(object, result->data != NULL ? mk_bytes_of(result->data, result->data_bytes)
                                                     : MK_BYTES_NULL);
        json_object_set_new(object, "stat", output_stat(&result->stat));
        output_print(object);
        return CLI_OK;
    }
    if (result->data_bytes > 0) {
        (void)fwrite(result->data, 1, result->data_bytes, stdout);
    }
    (void)putchar('\n');
    return CLI_OK;
}

int cli_get(struct cli *cli, int argc, char **argv)
{
    return read_path(cli, argc, argv, MOONKEEPER_GET, get_print);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int ls_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    json_t *list = json_array();
    const char **names = mk_alloc_zero(result->names_count + 1, sizeof(*names));

    (void)path;
    for (size_t i = 0; i < result->names_count; i++) {
        names[i] = result->names[i];
    }
    qsort(names, result->names_count, sizeof(*names), compare_names);
    for (size_t i = 0; i < result->names_count; i++) {
        if (cli->json) {
            json_array_append_new(list, output_text(mk_bytes_text(names[i])));
        } else {
            puts(names[i]);
        }
    }
    if (cli->json) {
        output_print(json_incref(list));
    }
    json_decref(list);
    mk_free(names);
    return CLI_OK;
}

int cli_ls(struct cli *cli, int argc, char **argv)
{
    return read_path(cli, argc, argv, MOONKEEPER_CHILDREN, ls_print);
}

static int stat_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    (void)path;
    if (cli->json) {
        output_print(output_stat(&result->stat));
    } else {
        output_stat_lines(&result->stat);
    }
    return CLI_OK;
}

int cli_stat(struct cli *cli, int argc, char **argv)
{
    return read_path(cli, argc, argv, MOONKEEPER_EXISTS, stat_print);
}

/* NoNode is a result here, not an error; but one that a shell can test for. */
static int exists_print(struct cli *cli, const struct moonkeeper_request *request,
                        const struct moonkeeper_result *result)
{
    bool missing = result->error == MOONKEEPER_NO_NODE;

    if (result->error != MOONKEEPER_OK && !missing) {
        return session_error(cli, "exists", request, result);
    }
    puts(missing ? "false" : "true");
    return missing ? CLI_FAILED : CLI_OK;
}

int cli_exists(struct cli *cli, int argc, char **argv)
{
    struct line line = {.options = "", .words_min = 1, .words_max = 1, .usage = "PATH"};
    struct moonkeeper_result result = {.error = 0};
    struct session session;
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct moonkeeper_request request = {.op = MOONKEEPER_EXISTS, .path = line.words[0]};
    session_init(&session);
    code = session_open(cli, &session, argv[0]);
    if (code == CLI_OK) {
        (void)moonkeeper_ask(session.handle, &request, &result);
        code = exists_print(cli, &request, &result);
    }
    moonkeeper_result_free(&result);
    session_close(&session);
    return code;
}

static int sync_print(struct cli *cli, const char *path, const struct moonkeeper_result *result)
{
    if (cli->json) {
        json_t *object = path_object(path);
        json_object_set_new(object, "zxid", json_integer(result->zxid));
        output_print(object);
    } else {
        printf("zxid 0x%" PRIx64 "\n", (uint64_t)result->zxid);
    }
    return CLI_OK;
}

int cli_sync(struct cli *cli, int argc, char **argv)
{
    struct line line = {.options = "", .words_min = 0, .words_max = 1, .usage = "[PATH]"};
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    const char *path = line.words_count > 0 ? line.words[0] : "/";
    struct moonkeeper_request request = {.op = MOONKEEPER_SYNC, .path = path};
    return ask_and_print(cli, argv[0], &request, sync_print);
}
