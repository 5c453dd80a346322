/* `moonkeeper lock` and `moonkeeper lead`: a command that runs while something is held.
 *
 *   asked -- granted --> the command runs -- it ends --> session closed, its exit code is ours
 *     |                    | the session may be over soon, or the ticket is gone
 *     not granted          v
 *                        SIGTERM -- ended, or --grace is over, or the session may be over --> SIGKILL
 *
 * Nobody else is granted anything before the session has expired at the server, and that cannot be
 * before moonkeeper_lease_ms() is 0: a third of the session timeout before that the command is asked to
 * end, a tenth before it is killed. */
#include "cli/call.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit codes, besides the command's own: as those of timeout(1), which scripts know. */
enum hold_exit {
    HOLD_LOST = 123,        /* the command was stopped, because what it relied on was lost */
    HOLD_NOT_GRANTED = 124, /* not within --timeout */
    HOLD_FAILED = 125,      /* usage, no server, the call failed: the command has not been run */
    HOLD_CANNOT_RUN = 126,
    HOLD_NOT_FOUND = 127,
};

#define GRACE_MS_DEFAULT 5000
#define STOP_AT 3  /* SIGTERM when this part of the session timeout is left, */
#define KILL_AT 10 /* SIGKILL at the latest with this one: we may be late ourselves */
#define LOOK_MS \
    500 /* poll() counts no time that the machine is suspended: look at least so often */

struct hold {
    struct call call;
    const char *path;
    mk_ms grace_ms;
    char **command;
    pid_t pid;    /* of the command, and of its process group */
    int terminal; /* its foreground group is to be the command's; -1: there is none to give */
    mk_ms stopping_since_ms; /* 0: not stopping */
    const char *why;         /* it stops */
};

/* ---- The command line ---- */

static int line_read(struct hold *hold, int argc, char **argv)
{
    static const struct option options[] = {{"timeout", required_argument, NULL, 't'},
                                            {"grace", required_argument, NULL, 'g'},
                                            {"value", required_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    json_t *arguments = hold->call.arguments;
    bool leads = strcmp(argv[0], "lead") == 0;
    mk_ms timeout_ms;
    int option;

    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (option == 't' && cli_duration_parse(optarg, &timeout_ms)) {
            (void)json_object_set_new(arguments, "timeout", json_integer(timeout_ms));
        } else if (option == 'v' && leads &&
                   json_object_set_new(arguments, "value", json_string(optarg)) == 0) {
            continue;
        } else if (option != 'g' || !cli_duration_parse(optarg, &hold->grace_ms)) {
            return cli_usage(argv[0], "%s is not an option, or its value not a duration like 30s",
                             argv[optind - 1]);
        }
    }
    bool dashes = optind + 1 < argc && strcmp(argv[optind + 1], "--") == 0;
    if (optind + 2 + (dashes ? 0 : -1) >= argc) {
        return cli_usage(argv[0], "usage: moonkeeper %s PATH -- COMMAND [ARGUMENT]...", argv[0]);
    }
    hold->path = argv[optind];
    hold->command = argv + optind + (dashes ? 2 : 1);
    if (json_object_set_new(arguments, "path", json_string(hold->path)) != 0) {
        return cli_usage(argv[0], "the path is not UTF-8");
    }
    return CLI_OK;
}

/* ---- What was granted ---- */

static void ticket_changed(void *context, const struct moonkeeper_event *event)
{
    struct hold *hold = context;

    if (event->type == MOONKEEPER_EVENT_DELETED) {
        session_poke(&hold->call.session);
    }
}

/* Have session_wait() return when somebody deletes the ticket. False: it is gone already. */
static bool ticket_watch(struct hold *hold, const char *ticket)
{
    struct moonkeeper *handle = hold->call.session.handle;
    struct moonkeeper_request watch = {.op = MOONKEEPER_ADD_WATCH,
                                       .path = ticket,
                                       .watch_mode = MOONKEEPER_WATCH_PERSISTENT,
                                       .watcher = ticket_changed,
                                       .watcher_context = hold};

    return moonkeeper_ask(handle, &watch, NULL) == MOONKEEPER_OK &&
           moonkeeper_exists(handle, ticket, NULL) == MOONKEEPER_OK;
}

/* MOONKEEPER_FENCE, MOONKEEPER_TICKET, MOONKEEPER_PATH for the command. False: the result has no ticket. */
static bool environment_set(struct hold *hold, json_t *result)
{
    const char *ticket = json_string_value(json_object_get(result, "ticket"));
    char fence[32];

    (void)snprintf(fence, sizeof(fence), "%lld",
                   (long long)json_integer_value(json_object_get(result, "fence")));
    return ticket != NULL && setenv("MOONKEEPER_TICKET", ticket, 1) == 0 &&
           setenv("MOONKEEPER_FENCE", fence, 1) == 0 &&
           setenv("MOONKEEPER_PATH", hold->path, 1) == 0;
}

/* ---- The command: a process group of its own, so that all of it can be stopped ---- */

/* If we are in the terminal's foreground, the command is to be: it reads what is typed, and gets Ctrl-C. */
static int terminal_of(void)
{
    return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() ? STDIN_FILENO : -1;
}

/* By a process in the background this would be SIGTTOU, which ours and the child's masks block. */
static void terminal_give(int terminal, pid_t group)
{
    if (terminal >= 0) {
        (void)tcsetpgrp(terminal, group);
    }
}

static void command_become(const struct hold *hold, const sigset_t *mask, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* killed with -9 we could not stop it */
    if (getppid() != parent) {
        _exit(HOLD_FAILED);
    }
    (void)setpgid(0, 0);
    terminal_give(hold->terminal, getpid());
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    (void)execvp(hold->command[0], hold->command);
    int code = errno == ENOENT ? HOLD_NOT_FOUND : HOLD_CANNOT_RUN;
    fprintf(stderr, "moonkeeper: %s: %s\n", hold->command[0], strerror(errno));
    _exit(code);
}

static bool command_start(struct hold *hold)
{
    static const int passed_on[] = {SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGTTOU};
    struct session *session = &hold->call.session;
    pid_t parent = getpid();

    session_signals_add(session, passed_on, MK_COUNT(passed_on));
    hold->terminal = terminal_of();
    (void)fflush(NULL);
    hold->pid = fork();
    if (hold->pid == 0) {
        command_become(hold, &session->mask_before, parent);
    }
    if (hold->pid > 0) {
        (void)setpgid(hold->pid, hold->pid); /* whoever is first */
    }
    return hold->pid > 0;
}

/* True: it has ended, and *code says how. */
static bool command_ended(struct hold *hold, int *code)
{
    const int any = WEXITED | WSTOPPED | WNOHANG | WNOWAIT;
    siginfo_t info = {0};
    int status;

    while (waitid(P_PID, (id_t)hold->pid, &info, any) == 0 && info.si_code == CLD_STOPPED) {
        (void)waitid(P_PID, (id_t)hold->pid, &info, WSTOPPED | WNOHANG);
        if (info.si_status == SIGTSTP) {
            (void)kill(-hold->pid, SIGCONT); /* Ctrl-Z: nobody sleeps with a lock */
        }
        info = (siginfo_t){0};
    }
    if (info.si_pid != hold->pid) {
        return false;
    }
    if (hold->stopping_since_ms != 0) {
        (void)kill(-hold->pid,
                   SIGKILL); /* what it has left, while its number cannot be another's */
    }
    (void)waitpid(hold->pid, &status, 0);
    *code = WIFSIGNALED(status) ? CLI_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

static void command_stop(struct hold *hold, const char *why)
{
    if (hold->stopping_since_ms != 0) {
        return;
    }
    hold->stopping_since_ms = cli_clock_ms();
    hold->why = why;
    (void)kill(-hold->pid, SIGTERM);
    (void)kill(-hold->pid, SIGCONT);
}

/* ---- Holding on ---- */

/* Stop what is not safe any more. How long until the next look. */
static mk_ms session_look(struct hold *hold)
{
    struct moonkeeper *handle = hold->call.session.handle;
    mk_ms lease_ms = moonkeeper_lease_ms(handle);
    mk_ms timeout_ms = moonkeeper_timeout_ms(handle);
    mk_ms until_stop_ms = lease_ms - timeout_ms / STOP_AT;
    mk_ms until_kill_ms = lease_ms - timeout_ms / KILL_AT;

    if (until_stop_ms <= 0) {
        command_stop(hold, "no server has answered for so long that the session may expire");
    }
    if (hold->stopping_since_ms != 0) {
        mk_ms grace_ms = hold->stopping_since_ms + hold->grace_ms - cli_clock_ms();
        until_kill_ms = grace_ms < until_kill_ms ? grace_ms : until_kill_ms;
        if (until_kill_ms <= 0) {
            (void)kill(-hold->pid, SIGKILL);
        }
    }
    mk_ms due_ms = until_stop_ms > 0 ? until_stop_ms : until_kill_ms;
    return due_ms > 0 && due_ms < LOOK_MS ? due_ms : LOOK_MS;
}

static void trouble_say(struct hold *hold)
{
    char trouble[300];

    moonkeeper_trouble(hold->call.session.handle, trouble, sizeof(trouble));
    fprintf(stderr, "moonkeeper: %s: %s; connecting again\n", hold->call.operation, trouble);
}

static int hold_on(struct hold *hold)
{
    struct session *session = &hold->call.session;
    int code;

    while (!command_ended(hold, &code)) {
        mk_ms look_ms = session_look(hold);
        switch (session_wait(session, cli_clock_ms() + look_ms, false)) {
        case SESSION_SIGNALLED:
            if (session->signal != SIGCHLD && session->signal != SIGTTOU) {
                (void)kill(-hold->pid, session->signal);
            }
            break;
        case SESSION_LOST: command_stop(hold, "the session has expired"); break;
        case SESSION_CHANGED: command_stop(hold, "somebody deleted the ticket"); break;
        case SESSION_BROKEN: trouble_say(hold); break;
        case SESSION_ANSWERED:
        case SESSION_LATE:
        case SESSION_INPUT_ENDED: break;
        }
    }
    terminal_give(hold->terminal, getpgrp());
    return hold->stopping_since_ms == 0
               ? code
               : cli_fail(hold->call.cli, HOLD_LOST, hold->call.operation, "Lost", hold->why);
}

static int run_held(struct hold *hold)
{
    struct session *session = &hold->call.session;
    json_t *result =
        json_loadb((const char *)session->news.data.data, session->news.data.len, 0, NULL);
    bool good = environment_set(hold, result);

    json_decref(result);
    if (!good) {
        return cli_fail(hold->call.cli, HOLD_FAILED, hold->call.operation, NULL,
                        "the server's answer makes no sense");
    }
    if (!ticket_watch(hold, getenv("MOONKEEPER_TICKET"))) {
        return cli_fail(hold->call.cli, HOLD_FAILED, hold->call.operation, "Lost",
                        "the ticket or the connection is gone: the command has not been run");
    }
    if (!command_start(hold)) {
        return cli_fail(hold->call.cli, HOLD_FAILED, hold->call.operation, NULL,
                        "no process for the command");
    }
    return hold_on(hold);
}

/* ---- The whole ---- */

/* What call_start() and call_wait() said, in the exit codes of this command. */
static int refused(const struct hold *hold, int code)
{
    const struct mk_buf *error = &hold->call.session.news.call_error;

    if (code > CLI_SIGNALLED) {
        return code;
    }
    return code == CLI_FAILED && error->len > 0 && strcmp((const char *)error->data, "Timeout") == 0
               ? HOLD_NOT_GRANTED
               : HOLD_FAILED;
}

static int run_while_held(struct cli *cli, const char *operation, int argc, char **argv)
{
    struct hold hold = {.grace_ms = GRACE_MS_DEFAULT, .terminal = -1};

    call_init(&hold.call, cli, operation);
    int code = line_read(&hold, argc, argv);
    if (code == CLI_OK) {
        code = call_start(&hold.call, argv[0]);
    }
    if (code == CLI_OK) {
        code = call_wait(&hold.call);
    }
    code = code == CLI_OK ? run_held(&hold) : refused(&hold, code);
    call_deinit(&hold.call);
    return code;
}

int cli_lock(struct cli *cli, int argc, char **argv)
{
    return run_while_held(cli, "lock.acquire", argc, argv);
}

int cli_lead(struct cli *cli, int argc, char **argv)
{
    return run_while_held(cli, "election.campaign", argc, argv);
}
