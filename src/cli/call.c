/* `moonkeeper call`: one call of a recipe's operation, waited for.
 *
 *   asked (opcode 700, call id 1) -- reply -----------------> printed [-- held --] session closed
 *     connection lost: attached again, the same call id asked again: its place in the queue is kept
 *     Ctrl-C: the call's znode is deleted, which cancels it; one attempt, of CANCEL_MS
 *     session expired: what became of the call is unknown, exit code CLI_LOST
 *
 * The call id makes the second asking safe: the server runs no call twice, and answers with the first
 * result if there was one. */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/session.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_PATH "/zookeeper/calls"
#define CALL_ID 1 /* the session makes one call */
#define CANCEL_MS 2000

struct call {
    struct cli *cli;
    struct client client;
    const char *operation;
    json_t *arguments;
    char *arguments_text;
    mk_ms hold_ms;
    int32_t xid; /* of the request that is waited for */
};

/* ---- The command line ---- */

/* "key=text" or "key:=json", added to the arguments. CLI_OK or CLI_USAGE, said. */
static int argument_add(struct call *call, const char *word)
{
    const char *equals = strchr(word, '=');
    bool typed = equals != NULL && equals > word && equals[-1] == ':';
    size_t key_len = equals == NULL ? 0 : (size_t)(equals - word) - (typed ? 1 : 0);
    json_error_t error = {.text = "it is not UTF-8"};
    char key[256];

    if (key_len == 0 || key_len >= sizeof(key)) {
        return cli_usage("call", "\"%s\" is not KEY=TEXT or KEY:=JSON", word);
    }
    memcpy(key, word, key_len);
    key[key_len] = '\0';
    if (json_object_get(call->arguments, key) != NULL) {
        return cli_usage("call", "%s is given twice", key);
    }
    json_t *value = typed ? json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error)
                          : json_string(equals + 1);
    if (value == NULL || json_object_set_new(call->arguments, key, value) != 0) {
        return cli_usage("call", "%s: %s", word, error.text);
    }
    return CLI_OK;
}

static int line_read(struct call *call, int argc, char **argv)
{
    static const struct option options[] = {{"hold", optional_argument, NULL, 'H'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'H') {
            return cli_usage("call", "%s is not an option", argv[optind - 1]);
        }
        if (!session_hold_parse(optarg, &call->hold_ms)) {
            return cli_usage("call", "--hold=%s is not a duration like 30s or 5m", optarg);
        }
    }
    if (optind == argc) {
        return cli_usage("call", "which operation? For example lock.acquire");
    }
    call->operation = argv[optind];
    if (strchr(call->operation, '=') != NULL) {
        return cli_usage("call", "the operation comes before its arguments");
    }
    for (int i = optind + 1; i < argc; i++) {
        int code = argument_add(call, argv[i]);
        if (code != CLI_OK) {
            return code;
        }
    }
    call->arguments_text = json_dumps(call->arguments, JSON_COMPACT);
    MK_ASSERT(call->arguments_text != NULL);
    return CLI_OK;
}

/* ---- Asking ---- */

static void ask(struct call *call)
{
    struct jute_request request = {
        .op = JUTE_CALL,
        .operation = mk_bytes_text(call->operation),
        .call_id = CALL_ID,
        .done_through = CALL_ID - 1,
        .chroot = MK_BYTES_NULL,
        .format = JUTE_CALL_JSON,
        .data = mk_bytes_text(call->arguments_text),
    };

    call->xid = client_send(&call->client, &request);
}

/* The connection broke: attach to the session again, and ask for the same call. */
static enum client_end ask_again(struct call *call)
{
    fprintf(stderr, "moonkeeper: %s: %s; connecting again\n", call->operation,
            call->client.error.text);
    enum client_end end = client_recover(&call->client);
    if (end == CLIENT_REPLY) {
        ask(call);
    }
    return end;
}

static enum client_end wait_answer(struct call *call, struct jute_reply *reply)
{
    enum client_end end;

    do {
        *reply = (struct jute_reply){.xid = 0};
        end = client_wait(&call->client, INT64_MAX, false, reply);
        if (end == CLIENT_LOST) {
            end = ask_again(call);
        }
    } while (end == CLIENT_REPLY && reply->xid != call->xid);
    return end;
}

/* ---- The answer ---- */

static int print_failure(struct call *call, struct mk_bytes error, struct mk_bytes message)
{
    char name[128];
    struct mk_error text;

    (void)snprintf(name, sizeof(name), "%.*s", (int)error.len, (const char *)error.data);
    mk_error_set(&text, "%.*s", (int)message.len,
                 message.data != NULL ? (const char *)message.data : "");
    return cli_fail(call->cli, CLI_FAILED, call->operation, name,
                    text.text[0] != '\0' ? text.text : "the call failed");
}

static int print_answer(struct call *call, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);

    if (reply->error != 0) {
        bool unknown = jute_error_status(reply->error) == MK_UNIMPLEMENTED;
        return cli_fail(call->cli, CLI_FAILED, call->operation, jute_error_name(reply->error),
                        unknown ? "this server knows no calls" : "the server refused the request");
    }
    struct mk_bytes error = mk_read_field(&reader);
    struct mk_bytes message = mk_read_field(&reader);
    struct mk_bytes result = mk_read_field(&reader);
    if (reader.failed) {
        return cli_fail(call->cli, CLI_LOST, call->operation, NULL,
                        "the server's answer makes no sense");
    }
    if (error.data != NULL) {
        return print_failure(call, error, message);
    }
    printf("%.*s\n", (int)result.len, result.len > 0 ? (const char *)result.data : "");
    return CLI_OK;
}

/* ---- Ctrl-C ---- */

/* The session's own call node in a listing of CALLS_PATH; null: there is none. */
static struct mk_bytes own_call(const struct call *call, const struct jute_reply *listing)
{
    struct mk_reader reader = mk_reader_of(listing->body);
    int32_t count = mk_read_i32(&reader);
    size_t len = strlen(call->operation);

    while (count-- > 0 && !reader.failed) {
        struct mk_bytes name = mk_read_field(&reader);
        if (name.len > len && memcmp(name.data, call->operation, len) == 0 &&
            name.data[len] == '-') {
            return name;
        }
    }
    return MK_BYTES_NULL;
}

/* Ask, and wait until `until_ms` for the answer or for the call's own. */
static bool cancel_ask(struct call *call, struct jute_request *request, mk_ms until_ms,
                       struct jute_reply *reply)
{
    int32_t xid = client_send(&call->client, request);
    enum client_end end;

    do {
        end = client_wait(&call->client, until_ms, false, reply);
    } while (end == CLIENT_REPLY && reply->xid != xid && reply->xid != call->xid);
    return end == CLIENT_REPLY && reply->xid == xid && reply->error == 0;
}

/* Version 0 is a call that waits: one that has been answered meanwhile is left alone. False: the
 * server could not be told; the session, and the call with it, ends by itself. */
static bool cancel(struct call *call)
{
    struct jute_request list = {.op = JUTE_GET_CHILDREN, .path = MK_BYTES(CALLS_PATH)};
    struct jute_request delete = {.op = JUTE_DELETE, .version = 0};
    mk_ms until_ms = client_now() + CANCEL_MS;
    struct jute_reply reply;
    struct mk_buf path = {0};

    if (call->client.socket < 0) {
        return false;
    }
    bool listed = cancel_ask(call, &list, until_ms, &reply);
    struct mk_bytes name = listed ? own_call(call, &reply) : MK_BYTES_NULL;
    if (name.data != NULL) {
        mk_buf_append_bytes(&path, MK_BYTES(CALLS_PATH "/"));
        mk_buf_append_bytes(&path, name);
        delete.path = mk_buf_view(&path);
        (void)cancel_ask(call, &delete, until_ms, &reply);
        mk_buf_free(&path);
    }
    return call->client.socket >= 0;
}

static int cancelled(struct call *call)
{
    int number = call->client.signal;

    if (!cancel(call)) {
        fprintf(stderr, "moonkeeper: %s: not connected: it ends with its session, within %lld ms\n",
                call->operation, (long long)call->client.timeout_ms);
    }
    return CLI_SIGNALLED + number;
}

/* ---- The whole ---- */

static int run(struct call *call)
{
    struct jute_reply reply;

    ask(call);
    enum client_end end = wait_answer(call, &reply);
    if (end == CLIENT_SIGNALLED) {
        return cancelled(call);
    }
    if (end != CLIENT_REPLY) {
        return cli_fail(call->cli, CLI_LOST, call->operation, "SessionExpired",
                        "the session was lost: what became of the call is not known");
    }
    int code = print_answer(call, &reply);
    if (code == CLI_OK && call->hold_ms != HOLD_NONE) {
        code = session_hold(call->cli, &call->client, call->operation, call->hold_ms);
    }
    return code;
}

int cli_call(struct cli *cli, int argc, char **argv)
{
    struct call call = {.cli = cli, .arguments = json_object(), .hold_ms = HOLD_NONE};
    int code = line_read(&call, argc, argv);

    if (code == CLI_OK) {
        code = session_open(cli, &call.client, argv[0]);
        if (code == CLI_OK) {
            client_signals_catch(&call.client);
            code = run(&call);
        }
        client_deinit(&call.client);
    }
    free(call.arguments_text);
    json_decref(call.arguments);
    return code;
}
