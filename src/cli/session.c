/* Opening a session, asking one question, holding on. */
#include "cli/session.h"

#include <stdio.h>

int session_open(struct cli *cli, struct client *client, const char *command)
{
    client_init(client, cli->servers, cli->timeout_ms);
    if (client_attach(client) != CLIENT_REPLY) {
        return cli_fail(cli, CLI_UNREACHABLE, command, NULL, client->error.text);
    }
    return CLI_OK;
}

static int wait_failed(struct cli *cli, struct client *client, const char *command,
                       enum client_end end)
{
    struct mk_error text;

    if (end == CLIENT_LATE) {
        mk_error_set(&text, "no answer within %lld ms: whether it happened is not known",
                     (long long)cli->timeout_ms);
    } else {
        mk_error_set(&text, "%.300s: whether it happened is not known", client->error.text);
    }
    return cli_fail(cli, CLI_LOST, command, "ConnectionLoss", text.text);
}

int session_error(struct cli *cli, const char *command, const struct jute_request *request,
                  int32_t code)
{
    enum mk_status status = jute_error_status(code);
    struct mk_error text;

    if (request->path.data != NULL && status != MK_MALFORMED) {
        mk_error_set(&text, "%s: %.*s", mk_status_text(status),
                     (int)(request->path.len < 300 ? request->path.len : 300),
                     (const char *)request->path.data);
    } else {
        mk_error_set(&text, "the server answered with error %d", code);
    }
    return cli_fail(cli, CLI_FAILED, command, jute_error_name(code), text.text);
}

int session_answer(struct cli *cli, struct client *client, const char *command,
                   struct jute_request *request, struct jute_reply *reply)
{
    mk_ms until_ms = client_now() + cli->timeout_ms;
    int32_t xid = client_send(client, request);
    enum client_end end;

    do {
        end = client_wait(client, until_ms, false, reply);
    } while (end == CLIENT_REPLY && reply->xid != xid);
    if (end != CLIENT_REPLY) {
        return wait_failed(cli, client, command, end);
    }
    return CLI_OK;
}

int session_ask(struct cli *cli, struct client *client, const char *command,
                struct jute_request *request, struct jute_reply *reply)
{
    int code = session_answer(cli, client, command, request, reply);

    if (code == CLI_OK && reply->error != 0) {
        code = session_error(cli, command, request, reply->error);
    }
    return code;
}

bool session_hold_parse(const char *text, mk_ms *hold_ms)
{
    if (text == NULL) {
        *hold_ms = HOLD_OPEN;
        return true;
    }
    return cli_duration_parse(text, hold_ms);
}

int session_hold(struct cli *cli, struct client *client, const char *command, mk_ms hold_ms)
{
    mk_ms until_ms = hold_ms == HOLD_OPEN ? INT64_MAX : client_now() + hold_ms;
    struct jute_reply reply;

    if (client->signals < 0) {
        client_signals_catch(client);
    }
    (void)fflush(stdout); /* whoever reads the result may go on, and end us by a signal */
    for (;;) {
        enum client_end end = client_wait(client, until_ms, hold_ms == HOLD_OPEN, &reply);
        if (end == CLIENT_LOST) {
            end = client_recover(client);
        }
        if (end == CLIENT_EXPIRED || end == CLIENT_UNREACHABLE) {
            return cli_fail(cli, CLI_LOST, command, "SessionExpired",
                            "the session has ended, and what was held with it");
        }
        if (end != CLIENT_REPLY) {
            return CLI_OK; /* a signal, the time, the end of the input */
        }
    }
}
