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
    char *arguments_text;
    bool dry_run;
};

void call_init(struct call *call, struct cli *cli, const char *operation);
void call_deinit(struct call *call); /* closes the session, too */

/* A session, and the call made in it. CLI_OK, or an exit code, said. */
int call_start(struct call *call, const char *command);
/* Until it has ended; a signal that ends processes cancels it. CLI_OK: it has returned, the result is
 * session.news.data. Otherwise an exit code, said; CLI_FAILED with session.news.call_error "Timeout":
 * it was not granted in time. */
int call_wait(struct call *call);

#endif
