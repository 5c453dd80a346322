/* `moonkeeper call`: one call of a recipe's operation, waited for.
 *
 *   words -- arguments (call_arguments.c)
 *   asked -- answer --------------------------------------> printed [-- held --] session closed
 *     connection lost: the library asks again, and the call's place in the queue is kept
 *     Ctrl-C: the call's znode is deleted, which cancels it; one attempt, of CANCEL_MS
 *     session expired: what became of the call is unknown, exit code CLI_LOST */
#include "cli/call.h"
#include "cli/output.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_PATH "/zookeeper/calls"
#define CANCEL_MS 2000

/* ---- Asking ---- */

static int ask(struct call *call)
{
    struct moonkeeper_request request = {
        .op = MOONKEEPER_CALL,
        .operation = call->operation,
        .data = call->arguments_text,
        .data_bytes = strlen(call->arguments_text),
        .dry_run = call->dry_run,
        .linearizable = call->linearizable,
    };

    return session_begin(&call->session, &request);
}

static enum session_end wait_answer(struct call *call)
{
    char trouble[300];
    enum session_end end;

    while ((end = session_wait(&call->session, INT64_MAX, false)) == SESSION_BROKEN) {
        moonkeeper_trouble(call->session.handle, trouble, sizeof(trouble));
        fprintf(stderr, "moonkeeper: %s: %s; connecting again\n", call->operation, trouble);
    }
    return end;
}

/* ---- The answer ---- */

static const char *text_or(const struct mk_buf *text, const char *otherwise)
{
    return text->len > 1 ? (const char *)text->data : otherwise;
}

static int answer_code(struct call *call)
{
    const struct session_news *news = &call->session.news;

    switch (news->error) {
    case MOONKEEPER_OK: return CLI_OK;
    case MOONKEEPER_CALL_FAILED:
        return cli_fail(call->cli, CLI_FAILED, call->operation,
                        text_or(&news->call_error, "Failed"),
                        text_or(&news->call_message, "the call failed"));
    case MOONKEEPER_MARSHALLING_ERROR:
        return cli_fail(call->cli, CLI_LOST, call->operation, NULL,
                        "the server's answer makes no sense");
    case MOONKEEPER_SESSION_EXPIRED:
        return cli_fail(call->cli, CLI_LOST, call->operation, "SessionExpired",
                        "the session was lost: what became of the call is not known");
    default:
        return cli_fail(call->cli, CLI_FAILED, call->operation, moonkeeper_error_name(news->error),
                        news->error == MOONKEEPER_UNIMPLEMENTED ? "this server knows no calls"
                                                                : "the server refused the request");
    }
}

/* ---- Ctrl-C ---- */

/* The session's own call node in a listing of CALLS_PATH; NULL: there is none. */
static const char *own_call(const struct call *call, const struct moonkeeper_result *listing)
{
    size_t len = strlen(call->operation);

    for (size_t i = 0; i < listing->names_count; i++) {
        const char *name = listing->names[i];
        if (strncmp(name, call->operation, len) == 0 && name[len] == '-') {
            return name;
        }
    }
    return NULL;
}

/* Version 0 is a call that waits: one that has been answered meanwhile is left alone. False: the
 * server could not be told; the session, and the call with it, ends by itself. */
static bool cancel(struct call *call)
{
    struct moonkeeper_request list = {
        .op = MOONKEEPER_CHILDREN, .path = CALLS_PATH, .wait_ms = CANCEL_MS};
    struct moonkeeper_request removal = {
        .op = MOONKEEPER_DELETE, .version = 0, .wait_ms = CANCEL_MS};
    struct moonkeeper_result listing;
    struct mk_buf path = {0};

    if (moonkeeper_state(call->session.handle) != MOONKEEPER_CONNECTED) {
        return false;
    }
    int error = moonkeeper_ask(call->session.handle, &list, &listing);
    const char *name = own_call(call, &listing);
    if (name != NULL) {
        mk_buf_printf(&path, "%s/%s", CALLS_PATH, name);
        mk_buf_put_u8(&path, '\0');
        removal.path = (const char *)path.data;
        error = moonkeeper_ask(call->session.handle, &removal, NULL);
        mk_buf_free(&path);
    }
    moonkeeper_result_free(&listing);
    return error != MOONKEEPER_CONNECTION_LOSS && error != MOONKEEPER_OPERATION_TIMEOUT;
}

static int cancelled(struct call *call)
{
    int number = call->session.signal;

    if (!cancel(call)) {
        fprintf(stderr, "moonkeeper: %s: not connected: it ends with its session, within %d ms\n",
                call->operation, moonkeeper_timeout_ms(call->session.handle));
    }
    return CLI_SIGNALLED + number;
}

/* ---- The whole ---- */

void call_init(struct call *call, struct cli *cli, const char *operation)
{
    *call = (struct call){
        .cli = cli, .operation = operation, .arguments = json_object(), .unsure = json_object()};
    session_init(&call->session);
}

void call_deinit(struct call *call)
{
    session_close(&call->session);
    free(call->arguments_text);
    json_decref(call->arguments);
    json_decref(call->unsure);
}

int call_start(struct call *call, const char *command)
{
    call->arguments_text = json_dumps(call->arguments, JSON_COMPACT);
    MK_ASSERT(call->arguments_text != NULL);
    int code = session_open(call->cli, &call->session, command);
    if (code != CLI_OK) {
        return code;
    }
    session_signals_catch(&call->session);
    int error = ask(call);
    return error == MOONKEEPER_OK
               ? CLI_OK
               : cli_fail(call->cli, CLI_FAILED, call->operation, moonkeeper_error_name(error),
                          moonkeeper_error_text(error));
}

int call_wait(struct call *call)
{
    enum session_end end = wait_answer(call);

    if (end == SESSION_SIGNALLED) {
        return cancelled(call);
    }
    if (end != SESSION_ANSWERED) {
        return cli_fail(call->cli, CLI_LOST, call->operation, "SessionExpired",
                        "the session was lost: what became of the call is not known");
    }
    return answer_code(call);
}

/* ---- The command line ---- */

static int line_read(struct call *call, mk_ms *hold_ms, int argc, char **argv)
{
    static const struct option options[] = {{"hold", optional_argument, NULL, 'H'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"dry-run", no_argument, NULL, 'n'},
                                            {"linearizable", no_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    mk_ms timeout_ms;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'n') {
            call->dry_run = true;
        } else if (option == 'l') {
            call->linearizable = true;
        } else if (option == 'H' && !session_hold_parse(optarg, hold_ms)) {
            return cli_usage("call", "--hold=%s is not a duration like 30s or 5m", optarg);
        } else if (option == 't' && cli_duration_parse(optarg, &timeout_ms)) {
            (void)json_object_set_new(call->arguments, "timeout", json_integer(timeout_ms));
        } else if (option != 'H') {
            return cli_usage("call", "%s is not an option, or its value not a duration like 30s",
                             argv[optind - 1]);
        }
    }
    if (optind == argc) {
        return cli_usage("call", "which operation? For example lock.acquire");
    }
    if (call->dry_run && call->linearizable) {
        return cli_usage("call", "a dry run is by the leader anyway: without --linearizable");
    }
    call->operation = argv[optind];
    if (strchr(call->operation, '=') != NULL) {
        return cli_usage("call", "the operation comes before its arguments");
    }
    for (int i = optind + 1; i < argc; i++) {
        int code = call_argument_add(call, argv[i]);
        if (code != CLI_OK) {
            return code;
        }
    }
    return CLI_OK;
}

int cli_call(struct cli *cli, int argc, char **argv)
{
    struct call call;
    mk_ms hold_ms = HOLD_NONE;

    call_init(&call, cli, NULL);
    int code = line_read(&call, &hold_ms, argc, argv);
    if (code == CLI_OK) {
        code = call_arguments_type(&call, argv[0]);
    }
    if (code == CLI_OK) {
        code = call_start(&call, argv[0]);
    }
    if (code == CLI_OK) {
        code = call_wait(&call);
    }
    if (code == CLI_OK) {
        const struct mk_buf *result = &call.session.news.data;
        printf("%.*s\n", (int)result->len, result->len > 0 ? (const char *)result->data : "");
    }
    if (code == CLI_OK && hold_ms != HOLD_NONE) {
        code = session_hold(cli, &call.session, call.operation, hold_ms);
    }
    call_deinit(&call);
    return code;
}
