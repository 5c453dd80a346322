/* `moonkeeper calls`: which calls wait, for what, since when, behind whom; and the gates of clients with a
 * chroot.
 *
 * A gate X lets clients whose connect string ends in X make calls, by znodes below X/zookeeper/calls. It is
 * a line of the data of /zookeeper/calls, which only an administrator may write. */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/session.h"

#include <stdio.h>
#include <string.h>

#define CALLS_PATH "/zookeeper/calls"
#define ATTEMPTS 10 /* at changing the list of gates, which others change meanwhile */

/* ---- Calls that wait ---- */

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "?";
}

/* "lock.acquire-0000000100000015" of its path. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* "  deleted /l/lock-0000000000, of session …, call lock.acquire-…" */
static void wait_print(json_t *wait)
{
    const char *word;
    json_t *value;

    json_object_foreach(wait, word, value)
    {
        if (strcmp(word, "owner") != 0 && strcmp(word, "call") != 0) {
            printf("    %s %s", word, json_string_value(value));
        }
    }
    if (json_object_get(wait, "owner") != NULL) {
        printf(", of session %s", text_of(wait, "owner"));
    }
    if (json_object_get(wait, "call") != NULL) {
        printf(", by call %s", name_of(text_of(wait, "call")));
    }
    (void)putchar('\n');
}

static void time_print(json_t *call, const char *name, const char *words)
{
    char text[OUTPUT_TIME_BYTES];

    if (json_object_get(call, name) != NULL) {
        output_time(json_integer_value(json_object_get(call, name)), text);
        printf("%s%s", words, text);
    }
}

static void call_print(struct cli *cli, json_t *call)
{
    json_t *wait;
    size_t i;

    if (cli->json) {
        output_print(json_incref(call));
        return;
    }
    printf("%s  session %s", name_of(text_of(call, "call")), text_of(call, "session"));
    time_print(call, "since", "  since ");
    time_print(call, "timeout_at", "  until ");
    time_print(call, "runs_again_at", "  runs again ");
    (void)putchar('\n');
    json_array_foreach(json_object_get(call, "waits"), i, wait)
    {
        wait_print(wait);
    }
}

/* *after: where the next page begins; 0: there is none. */
static int page_print(struct cli *cli, const struct moonkeeper_result *result, int64_t *after)
{
    json_t *page =
        json_loadb(result->data != NULL ? result->data : "", result->data_bytes, 0, NULL);
    json_t *calls = json_object_get(page, "calls");
    json_t *call;
    size_t i;

    *after = json_integer_value(json_object_get(page, "after"));
    int code = json_is_array(calls)
                   ? CLI_OK
                   : cli_fail(cli, CLI_LOST, "calls", NULL, "the server's answer makes no sense");
    json_array_foreach(calls, i, call)
    {
        call_print(cli, call);
    }
    json_decref(page);
    return code;
}

static int list(struct cli *cli, struct session *session)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CALLS};
    struct moonkeeper_result result;
    int code;

    do {
        code = session_ask(cli, session, "calls", &request, &result);
        if (code == CLI_OK) {
            code = page_print(cli, &result, &request.after);
        }
        moonkeeper_result_free(&result);
    } while (code == CLI_OK && request.after > 0);
    return code;
}

/* ---- Gates ---- */

/* The line of `list` that is `gate`; NULL: there is none. */
static const char *gate_find(const char *gates, const char *gate)
{
    size_t len = strlen(gate);

    for (const char *at = gates; at != NULL && *at != '\0';) {
        const char *end = strchrnul(at, '\n');
        if ((size_t)(end - at) == len && memcmp(at, gate, len) == 0) {
            return at;
        }
        at = *end == '\n' ? end + 1 : NULL;
    }
    return NULL;
}

/* The list with the gate, or without it. */
static void gates_change(const char *gates, const char *gate, bool open, struct mk_buf *out)
{
    const char *found = gate_find(gates, gate);

    if (open) {
        mk_buf_printf(out, "%s%s%s", gates, *gates != '\0' ? "\n" : "", gate);
        return;
    }
    const char *end = found + strlen(gate);
    bool last = *end == '\0';
    size_t before = (size_t)(found - gates) - (last && found > gates ? 1 : 0);
    mk_buf_append(out, gates, before);
    mk_buf_append_bytes(out, mk_bytes_text(last ? "" : end + 1));
}

/* X/zookeeper/calls, and what is above it; what is there already is fine. */
static int gate_make(struct cli *cli, struct session *session, const char *gate)
{
    static const char *const below[] = {"", "/zookeeper", "/zookeeper/calls"};
    int code = CLI_OK;

    for (size_t i = 0; code == CLI_OK && i < MK_COUNT(below); i++) {
        struct mk_buf path = {0};
        struct moonkeeper_result result;
        mk_buf_printf(&path, "%s%s", gate, below[i]);
        mk_buf_put_u8(&path, '\0');
        struct moonkeeper_request create = {.op = MOONKEEPER_CREATE,
                                            .path = (const char *)path.data};
        int error = moonkeeper_ask(session->handle, &create, &result);
        if (error != MOONKEEPER_OK && error != MOONKEEPER_NODE_EXISTS) {
            code = session_error(cli, "calls", &create, &result);
        }
        moonkeeper_result_free(&result);
        mk_buf_free(&path);
    }
    return code;
}

/* CLI_OK; or an exit code, said, but not with *again: somebody else has changed the list. */
static int gates_write(struct cli *cli, struct session *session, const char *gate, bool open,
                       bool *again)
{
    struct moonkeeper_request get = {.op = MOONKEEPER_GET, .path = CALLS_PATH};
    struct moonkeeper_result was, done = {.error = 0};
    struct mk_buf next = {0};
    int code = session_ask(cli, session, "calls", &get, &was);
    const char *gates = was.data != NULL ? was.data : "";

    *again = false;
    if (code == CLI_OK && (gate_find(gates, gate) != NULL) != open) {
        gates_change(gates, gate, open, &next);
        struct moonkeeper_request set = {.op = MOONKEEPER_SET,
                                         .path = CALLS_PATH,
                                         .data = next.data,
                                         .data_bytes = next.len,
                                         .version = was.stat.version};
        *again = moonkeeper_ask(session->handle, &set, &done) == MOONKEEPER_BAD_VERSION;
        if (done.error != MOONKEEPER_OK && !*again) {
            code = session_error(cli, "calls", &set, &done);
        }
    }
    mk_buf_free(&next);
    moonkeeper_result_free(&was);
    moonkeeper_result_free(&done);
    return code;
}

static int gate_turn(struct cli *cli, struct session *session, const char *gate, bool open)
{
    int code = open ? gate_make(cli, session, gate) : CLI_OK;
    bool again = true;

    for (int i = 0; code == CLI_OK && again && i < ATTEMPTS; i++) {
        code = gates_write(cli, session, gate, open, &again);
    }
    return code == CLI_OK && again
               ? cli_fail(cli, CLI_FAILED, "calls", "BadVersion", "others change the list, too")
               : code;
}

/* ---- The whole ---- */

static bool gate_good(const char *gate)
{
    size_t len = strlen(gate);

    return len > 1 && gate[0] == '/' && gate[len - 1] != '/' && strchr(gate, '\n') == NULL;
}

int cli_calls(struct cli *cli, int argc, char **argv)
{
    bool opens = argc == 3 && strcmp(argv[1], "open") == 0;
    bool closes = argc == 3 && strcmp(argv[1], "close") == 0;
    struct session session;

    if ((argc != 1 && !opens && !closes) || (argc == 3 && !gate_good(argv[2]))) {
        return cli_usage(argv[0], "usage: moonkeeper calls [open CHROOT | close CHROOT]");
    }
    session_init(&session);
    int code = session_open(cli, &session, argv[0]);
    if (code == CLI_OK) {
        code = argc == 1 ? list(cli, &session) : gate_turn(cli, &session, argv[2], opens);
    }
    session_close(&session);
    return code;
}
