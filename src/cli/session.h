/* Private to cli: a session, and what commands do with it, each step ending in an exit code when it
 * fails. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/cli.h"
#include "client/client.h"

#include <pthread.h>
#include <signal.h>

/* What the library's thread has reported, and the command's thread has not yet looked at. */
struct session_news {
    pthread_mutex_t lock;
    int fd; /* an eventfd: readable when there is something new */
    enum moonkeeper_state state;
    bool answered;
    bool poked; /* by session_poke() */
    int error;  /* of the answer: enum moonkeeper_error */
    struct mk_buf call_error;
    struct mk_buf call_message;
    struct mk_buf data;
};

struct session {
    struct moonkeeper *handle;
    struct session_news news;
    int signals;          /* a signalfd, or -1: signals end the process as usual */
    int signal;           /* the last one that came */
    sigset_t mask_before; /* as it was before signals were caught */
    bool lost_said;
    mk_ms lost_ms; /* since when there is no connection; 0: there is one */
};

/* session_close() is due from now on. */
void session_init(struct session *session);
/* A session, attached; CLI_OK or an exit code, said. */
int session_open(struct cli *cli, struct session *session, const char *command);
void session_close(struct session *session);

/* Ask what is answered at once. CLI_OK, or an exit code, said; moonkeeper_result_free() is due in either
 * case. */
int session_ask(struct cli *cli, struct session *session, const char *command,
                const struct moonkeeper_request *request, struct moonkeeper_result *result);
/* Say the error that a request ended with; returns the exit code. */
int session_error(struct cli *cli, const char *command, const struct moonkeeper_request *request,
                  const struct moonkeeper_result *result);

/* Ask what may take its time; session_wait() reports the answer, which is then in `news`. An
 * enum moonkeeper_error. */
int session_begin(struct session *session, const struct moonkeeper_request *request);

/* From a callback of the library: session_wait() is to return. */
void session_poke(struct session *session);

/* From now on SIGINT, SIGTERM and SIGHUP are reported by session_wait() instead of ending the process;
 * and so is what session_signals_add() names, which comes after it. */
void session_signals_catch(struct session *session);
void session_signals_add(struct session *session, const int *numbers, size_t count);

enum session_end {
    SESSION_ANSWERED,
    SESSION_CHANGED,     /* session_poke() was called */
    SESSION_LATE,        /* the time given has passed */
    SESSION_LOST,        /* expired, or must have: nothing was heard for its timeout; said once */
    SESSION_BROKEN,      /* the connection has broken; the library tries to connect again */
    SESSION_SIGNALLED,   /* see session->signal */
    SESSION_INPUT_ENDED, /* standard input was closed */
};
/* Until one of these; `until_ms` by cli_clock_ms(), INT64_MAX: no limit. */
enum session_end session_wait(struct session *session, mk_ms until_ms, bool watch_input);

/* --hold: HOLD_NONE, HOLD_OPEN (until a signal or the end of standard input), or milliseconds. */
#define HOLD_NONE ((mk_ms)-1)
#define HOLD_OPEN INT64_MAX
/* The value of the option; NULL: given without one. False: it is not a duration. */
bool session_hold_parse(const char *text, mk_ms *hold_ms);
/* Keep the session alive for so long, over broken connections too. CLI_LOST, said: it is gone. */
int session_hold(struct cli *cli, struct session *session, const char *command, mk_ms hold_ms);

#endif
