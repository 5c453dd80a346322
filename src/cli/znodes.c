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
#define PERMISSIONS_ALL 31

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

/* Say that what a server answered with success cannot be read. */
static int answer_malformed(struct cli *cli, const char *command)
{
    return cli_fail(cli, CLI_LOST, command, NULL, "the server's answer makes no sense");
}

/* ---- Writes ---- */

/* vector<ACL> of one entry: anyone may do anything. */
static struct mk_bytes acl_open(struct mk_buf *out)
{
    mk_buf_put_i32(out, 1);
    mk_buf_put_i32(out, PERMISSIONS_ALL);
    mk_buf_put_field(out, MK_BYTES("world"));
    mk_buf_put_field(out, MK_BYTES("anyone"));
    return mk_buf_view(out);
}

static int create_print(struct cli *cli, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    struct mk_bytes path = mk_read_field(&reader);
    struct jute_stat stat = jute_read_stat(&reader);

    if (reader.failed || path.data == NULL) {
        return answer_malformed(cli, "create");
    }
    if (cli->json) {
        json_t *object = json_object();
        json_object_set_new(object, "path", output_text(path));
        json_object_set_new(object, "stat", output_stat(&stat));
        output_print(object);
    } else {
        printf("%.*s\n", (int)path.len, (const char *)path.data);
    }
    return CLI_OK;
}

int cli_create(struct cli *cli, int argc, char **argv)
{
    struct line line = {.options = "esc",
                        .words_min = 1,
                        .words_max = 2,
                        .usage = "[-e] [-s] [-c] [--hold[=TIME]] PATH [DATA]"};
    struct mk_buf acl = {0};
    struct client client;
    struct jute_reply reply;
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct jute_request request = {
        .op = line.flags == FLAG_CONTAINER ? JUTE_CREATE_CONTAINER : JUTE_CREATE2,
        .path = mk_bytes_text(line.words[0]),
        .data = line.words_count > 1 ? mk_bytes_text(line.words[1]) : MK_BYTES_NULL,
        .acl = acl_open(&acl),
        .flags = line.flags,
    };
    code = session_open(cli, &client, argv[0]);
    if (code == CLI_OK) {
        code = session_ask(cli, &client, argv[0], &request, &reply);
    }
    if (code == CLI_OK) {
        code = create_print(cli, &reply);
    }
    if (code == CLI_OK && line.hold_ms != HOLD_NONE) {
        code = session_hold(cli, &client, argv[0], line.hold_ms);
    }
    client_deinit(&client);
    mk_buf_free(&acl);
    return code;
}

typedef int print_function(struct cli *cli, const char *path, const struct jute_reply *reply);

/* Ask, print, end. */
static int ask_and_print(struct cli *cli, const char *command, struct jute_request *request,
                         print_function *print)
{
    struct client client;
    struct jute_reply reply;
    int code = session_open(cli, &client, command);

    if (code == CLI_OK) {
        code = session_ask(cli, &client, command, request, &reply);
    }
    if (code == CLI_OK) {
        code = print(cli, (const char *)request->path.data, &reply);
    }
    client_deinit(&client);
    return code;
}

static int set_print(struct cli *cli, const char *path, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    struct jute_stat stat = jute_read_stat(&reader);

    if (reader.failed) {
        return answer_malformed(cli, "set");
    }
    if (cli->json) {
        json_t *object = path_object(path);
        json_object_set_new(object, "stat", output_stat(&stat));
        output_print(object);
    } else {
        printf("version %" PRId32 "\n", stat.version);
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
    struct jute_request request = {
        .op = JUTE_SET_DATA,
        .path = mk_bytes_text(line.words[0]),
        .data = mk_bytes_text(line.words[1]),
        .version = line.version,
    };
    return ask_and_print(cli, argv[0], &request, set_print);
}

static int delete_print(struct cli *cli, const char *path, const struct jute_reply *reply)
{
    (void)reply;
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
    struct jute_request request = {
        .op = JUTE_DELETE, .path = mk_bytes_text(line.words[0]), .version = line.version};
    return ask_and_print(cli, argv[0], &request, delete_print);
}

/* ---- Reads ---- */

/* The commands with nothing but a path. */
static int read_path(struct cli *cli, int argc, char **argv, int32_t op, print_function *print)
{
    struct line line = {.options = "", .words_min = 1, .words_max = 1, .usage = "PATH"};
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct jute_request request = {.op = op, .path = mk_bytes_text(line.words[0])};
    return ask_and_print(cli, argv[0], &request, print);
}

static int get_print(struct cli *cli, const char *path, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    struct mk_bytes data = mk_read_field(&reader);
    struct jute_stat stat = jute_read_stat(&reader);

    if (reader.failed) {
        return answer_malformed(cli, "get");
    }
    if (cli->json) {
        json_t *object = path_object(path);
        output_put_data(object, data);
        json_object_set_new(object, "stat", output_stat(&stat));
        output_print(object);
        return CLI_OK;
    }
    if (data.len > 0) {
        (void)fwrite(data.data, 1, data.len, stdout);
    }
    (void)putchar('\n');
    return CLI_OK;
}

int cli_get(struct cli *cli, int argc, char **argv)
{
    return read_path(cli, argc, argv, JUTE_GET_DATA, get_print);
}

static int compare_names(const void *a, const void *b)
{
    return mk_bytes_compare(*(const struct mk_bytes *)a, *(const struct mk_bytes *)b);
}

static int ls_print(struct cli *cli, const char *path, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    int32_t count = mk_read_i32(&reader);
    json_t *list = json_array();
    int code = CLI_OK;

    (void)path;
    if (count < 0 || (size_t)count > mk_reader_left(&reader) / sizeof(int32_t)) {
        reader.failed = true;
        count = 0;
    }
    struct mk_bytes *names = mk_alloc_zero((size_t)count + 1, sizeof(*names));
    for (int32_t i = 0; i < count; i++) {
        names[i] = mk_read_field(&reader);
    }
    if (reader.failed) {
        code = answer_malformed(cli, "ls");
        goto done;
    }
    qsort(names, (size_t)count, sizeof(*names), compare_names);
    for (int32_t i = 0; i < count; i++) {
        if (cli->json) {
            json_array_append_new(list, output_text(names[i]));
        } else {
            printf("%.*s\n", (int)names[i].len, (const char *)names[i].data);
        }
    }
    if (cli->json) {
        output_print(json_incref(list));
    }

done:
    json_decref(list);
    mk_free(names);
    return code;
}

int cli_ls(struct cli *cli, int argc, char **argv)
{
    return read_path(cli, argc, argv, JUTE_GET_CHILDREN, ls_print);
}

static int stat_print(struct cli *cli, const char *path, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    struct jute_stat stat = jute_read_stat(&reader);

    (void)path;
    if (reader.failed) {
        return answer_malformed(cli, "stat");
    }
    if (cli->json) {
        output_print(output_stat(&stat));
    } else {
        output_stat_lines(&stat);
    }
    return CLI_OK;
}

int cli_stat(struct cli *cli, int argc, char **argv)
{
    return read_path(cli, argc, argv, JUTE_EXISTS, stat_print);
}

/* NoNode is a result here, not an error; but one that a shell can test for. */
static int exists_print(struct cli *cli, const struct jute_request *request,
                        const struct jute_reply *reply)
{
    bool missing = jute_error_status(reply->error) == MK_NO_NODE;

    if (reply->error != 0 && !missing) {
        return session_error(cli, "exists", request, reply->error);
    }
    puts(missing ? "false" : "true");
    return missing ? CLI_FAILED : CLI_OK;
}

int cli_exists(struct cli *cli, int argc, char **argv)
{
    struct line line = {.options = "", .words_min = 1, .words_max = 1, .usage = "PATH"};
    struct client client;
    struct jute_reply reply;
    int code = line_read(&line, argc, argv);

    if (code != CLI_OK) {
        return code;
    }
    struct jute_request request = {.op = JUTE_EXISTS, .path = mk_bytes_text(line.words[0])};
    code = session_open(cli, &client, argv[0]);
    if (code == CLI_OK) {
        code = session_answer(cli, &client, argv[0], &request, &reply);
    }
    if (code == CLI_OK) {
        code = exists_print(cli, &request, &reply);
    }
    client_deinit(&client);
    return code;
}

static int sync_print(struct cli *cli, const char *path, const struct jute_reply *reply)
{
    if (cli->json) {
        json_t *object = path_object(path);
        json_object_set_new(object, "zxid", json_integer(reply->zxid));
        output_print(object);
    } else {
        printf("zxid 0x%" PRIx64 "\n", (uint64_t)reply->zxid);
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
    struct jute_request request = {.op = JUTE_SYNC, .path = mk_bytes_text(path)};
    return ask_and_print(cli, argv[0], &request, sync_print);
}
