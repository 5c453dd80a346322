/* Private to cli: what commands do with a session, each step ending in an exit code when it fails. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/cli.h"
#include "cli/client.h"

/* A session, attached; CLI_OK or an exit code, said. client_deinit() is due in either case. */
int session_open(struct cli *cli, struct client *client, const char *command);

/* Send a request that is answered at once and wait for it. CLI_OK: `*reply` is its answer, which may
 * be an error, and borrows from `client`. */
int session_answer(struct cli *cli, struct client *client, const char *command,
                   struct jute_request *request, struct jute_reply *reply);
/* Say the error that a request was answered with; returns CLI_FAILED. */
int session_error(struct cli *cli, const char *command, const struct jute_request *request,
                  int32_t code);
/* Both: CLI_OK means an answer without error. */
int session_ask(struct cli *cli, struct client *client, const char *command,
                struct jute_request *request, struct jute_reply *reply);

/* --hold: HOLD_NONE, HOLD_OPEN (until a signal or the end of standard input), or milliseconds. */
#define HOLD_NONE ((mk_ms)-1)
#define HOLD_OPEN INT64_MAX
/* The value of the option; NULL: given without one. False: it is not a duration. */
bool session_hold_parse(const char *text, mk_ms *hold_ms);
/* Keep the session alive for so long, over broken connections too. CLI_LOST, said: it is gone. */
int session_hold(struct cli *cli, struct client *client, const char *command, mk_ms hold_ms);

#endif
