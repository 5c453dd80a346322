/* Private to cli: one call, from its arguments to its answer. */
#ifndef CLI_CALL_H
#define CLI_CALL_H

#include "cli/cli.h"
#include "cli/session.h"

#include <jansson.h>

struct call {
    struct cli *cli;
    struct session session;
    const char *operation;
    json_t *arguments; /* an object */
    json_t *unsure;    /* of those given as text: what they are if the operation wants no text */
    char *arguments_text;
    bool dry_run, linearizable;
};

void call_init(struct call *call, struct cli *cli, const char *operation);
void call_deinit(struct call *call); /* closes the session, too */

/* A word of the command line, KEY=VALUE or KEY:=JSON. CLI_OK or CLI_USAGE, said. */
int call_argument_add(struct call *call, const char *word);
/* What the operation declares of those that are unsure; asks the server if there are any. CLI_OK, or an
 * exit code, said. */
int call_arguments_type(struct call *call, const char *command);

/* A session, and the call made in it. CLI_OK, or an exit code, said. */
int call_start(struct call *call, const char *command);
/* Until it has ended; a signal that ends processes cancels it. CLI_OK: it has returned, the result is
 * session.news.data. Otherwise an exit code, said; CLI_FAILED with session.news.call_error "Timeout":
 * it was not granted in time. */
int call_wait(struct call *call);

#endif
