/* start, start-foreground, stop, restart, status, print-cmd: a server of this machine by its
 * configuration, as zkServer.sh does it, with its words and exit codes where scripts look at them.
 *
 *   start    refuse if the data directory is in use ─▶ fork ─▶ pid file ─▶ ask until it answers
 *                                                                 │ it ended: its last words, 1
 *                                                                 │ too slow: it is left alone, 4
 *   stop     the pid file names who holds the data directory ─▶ SIGTERM ─▶ wait for its end
 *            it names nobody, or somebody else: the file is stale and goes
 *
 * What would make the server refuse its configuration, it says itself; restart asks it before it stops
 * the one that works. */
#include "cli/cli.h"
#include "cli/service.h"
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Recovery reads at most checkpointLogBytes of log; a slow disk does that within this time. */
#define START_WAIT_MS_DEFAULT ((mk_ms)60 * 1000)
/* The orderly end is bounded by the server itself, to less than the TimeoutStopSec of its unit. */
#define STOP_WAIT_MS_DEFAULT ((mk_ms)60 * 1000)
#define ASK_EVERY_MS 50
#define ANSWER_MS_MAX 2000
#define LAST_WORDS_BYTES_MAX 4096 /* of the log, when a start fails */
#define ENOUGH_BYTES 16384        /* of an answer to srvr, or to memb: 64 servers */

struct order {
    struct service service;
    char program[SERVICE_PATH_BYTES];
    mk_ms wait_ms;
};

/* ---- The command line ---- */

/* CLI_OK, or an exit code, said. */
static int order_read(struct order *order, int argc, char **argv, mk_ms wait_ms)
{
    static const struct option options[] = {{"wait", required_argument, NULL, 'w'},
                                            {NULL, 0, NULL, 0}};
    struct mk_error error;
    int option;

    order->wait_ms = wait_ms;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'w' || !cli_duration_parse(optarg, &order->wait_ms)) {
            return cli_usage(argv[0], "usage: moonkeeper %s [--wait TIME] CONFIG", argv[0]);
        }
    }
    if (optind + 1 != argc) {
        return cli_usage(argv[0], "usage: moonkeeper %s [--wait TIME] CONFIG", argv[0]);
    }
    if (!service_config_read(&order->service, argv[optind], &error)) {
        fprintf(stderr, "moonkeeper: %s: %s\n", argv[0], error.text);
        return CLI_USAGE;
    }
    fprintf(stderr, "Using config: %s\n", argv[optind]);
    return CLI_OK;
}

static int program_missing(const char *command)
{
    fprintf(stderr,
            "moonkeeper: %s: moonkeeperd is neither beside this program, nor in the sbin of its "
            "installation, nor in PATH\n",
            command);
    return CLI_FAILED;
}

static int program_find(struct order *order, const char *command)
{
    return service_program_find(order->program) ? CLI_OK : program_missing(command);
}

/* ---- Questions to a server ---- */

/* Its answer, with a NUL behind it; false: nobody answered. A server that must not say is one. */
static bool word_ask(const struct service *service, const char *word, char answer[ENOUGH_BYTES])
{
    bool ipv6 = strchr(service->address, ':') != NULL;
    struct moonkeeper_result result;
    char server[300];

    (void)snprintf(server, sizeof(server), ipv6 ? "[%s]:%s" : "%s:%s", service->address,
                   service->port);
    (void)moonkeeper_word(server, word, ANSWER_MS_MAX, &result);
    (void)snprintf(answer, ENOUGH_BYTES, "%s",
                   result.data != NULL ? (const char *)result.data : "");
    moonkeeper_result_free(&result);
    return answer[0] != '\0';
}

static bool server_ask(const struct service *service, char answer[ENOUGH_BYTES])
{
    return word_ask(service, "srvr", answer);
}

/* ---- start ---- */

/* What the server wrote, from `begin` on, at most its last few lines. */
static void last_words_print(const struct service *service, off_t begin)
{
    char text[LAST_WORDS_BYTES_MAX];
    int log = open(service->log_file, O_RDONLY | O_CLOEXEC);
    off_t end = log >= 0 ? lseek(log, 0, SEEK_END) : 0;
    ssize_t len = 0;

    if (end - begin > (off_t)sizeof(text)) {
        begin = end - (off_t)sizeof(text);
    }
    if (log >= 0) {
        len = pread(log, text, sizeof(text), begin);
        (void)close(log);
    }
    (void)fwrite(text, 1, len > 0 ? (size_t)len : 0, stderr);
}

static void ending_print(int status)
{
    if (WIFEXITED(status)) {
        fprintf(stderr, "moonkeeper: start: moonkeeperd has ended with exit code %d\n",
                WEXITSTATUS(status));
    } else {
        fprintf(stderr, "moonkeeper: start: moonkeeperd was ended by signal %d\n",
                WTERMSIG(status));
    }
}

/* Until the server in process `pid` answers. The address alone would not do: another program may sit
 * there, and answer in its stead, while ours finds it occupied. So the process must hold the lock, and
 * must be there still when a second answer is asked for. */
static int answer_await(const struct order *order, pid_t pid, off_t log_begin)
{
    mk_ms until_ms = cli_clock_ms() + order->wait_ms;
    char answer[ENOUGH_BYTES];
    struct mk_error error;
    int answers = 0;
    int status = 0;

    for (;;) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            puts("FAILED TO START");
            last_words_print(&order->service, log_begin);
            ending_print(status);
            (void)unlink(order->service.pid_file);
            return CLI_FAILED;
        }
        bool answered =
            service_holder(&order->service, &error) == pid && server_ask(&order->service, answer);
        answers = answered ? answers + 1 : 0;
        if (answers == 2) {
            puts("STARTED");
            return CLI_OK;
        }
        if (cli_clock_ms() >= until_ms) {
            puts("NOT ANSWERING YET");
            fprintf(stderr,
                    "moonkeeper: start: process %d does not answer on port %s after %lld s, and "
                    "goes on starting: %s tells more\n",
                    (int)pid, order->service.port, (long long)(order->wait_ms / 1000),
                    order->service.log_file);
            return CLI_LOST;
        }
        (void)poll(NULL, 0, ASK_EVERY_MS);
    }
}

static int start_failed(const struct mk_error *error)
{
    puts("FAILED TO START");
    fprintf(stderr, "moonkeeper: start: %s\n", error->text);
    return CLI_FAILED;
}

static int start(const struct order *order)
{
    struct mk_error error;
    off_t log_begin = 0;

    printf("Starting moonkeeper ... ");
    (void)fflush(stdout);
    if (order->service.secure || strcmp(order->service.port, "0") == 0) {
        mk_error_set(&error, "%s",
                     order->service.secure
                         ? "the configuration has a port for TLS only"
                         : "clientPort=0 is a port that nobody could be told: name "
                           "one, or use start-foreground");
        return start_failed(&error);
    }
    pid_t holder = service_holder(&order->service, &error);
    if (holder < 0) {
        return start_failed(&error);
    }
    if (holder > 0) {
        printf("already running as process %d.\n", (int)holder);
        return CLI_FAILED;
    }
    pid_t pid = service_spawn(&order->service, order->program, &log_begin, &error);
    if (pid < 0) {
        return start_failed(&error);
    }
    if (!service_pid_write(&order->service, pid, &error)) {
        struct mk_error ignored;
        (void)service_end(pid, order->wait_ms, &ignored);
        return start_failed(&error);
    }
    return answer_await(order, pid, log_begin);
}

/* ... and the server's program, for those that start one. */
static int order_read_program(struct order *order, int argc, char **argv, mk_ms wait_ms)
{
    int code = order_read(order, argc, argv, wait_ms);

    return code == CLI_OK ? program_find(order, argv[0]) : code;
}

int cli_start(struct cli *cli, int argc, char **argv)
{
    struct order order;
    int code = order_read_program(&order, argc, argv, START_WAIT_MS_DEFAULT);

    (void)cli;
    return code == CLI_OK ? start(&order) : code;
}

int cli_start_foreground(struct cli *cli, int argc, char **argv)
{
    struct order order;
    int code = order_read_program(&order, argc, argv, 0);

    (void)cli;
    if (code == CLI_OK) {
        (void)execl(order.program, order.program, "--config", order.service.config, (char *)NULL);
        fprintf(stderr, "moonkeeper: %s: %s: %s\n", argv[0], order.program, strerror(errno));
        code = CLI_FAILED;
    }
    return code;
}

/* ---- repair ---- */

int cli_repair(struct cli *cli, int argc, char **argv)
{
    char program[SERVICE_PATH_BYTES];

    (void)cli;
    if (argc != 3 || strcmp(argv[1], "--rejoin") != 0) {
        return cli_usage(argv[0], "usage: moonkeeper repair --rejoin CONFIG");
    }
    if (!service_program_find(program)) {
        return program_missing(argv[0]);
    }
    (void)execl(program, program, "--config", argv[2], "--rejoin", (char *)NULL);
    fprintf(stderr, "moonkeeper: %s: %s: %s\n", argv[0], program, strerror(errno));
    return CLI_FAILED;
}

/* ---- stop ---- */

/* Nobody is to be stopped: say why, and forget a pid that means nothing any more. */
static int stop_nobody(const struct service *service, pid_t written, pid_t holder)
{
    if (holder > 0) {
        printf("FAILED\n");
        fprintf(stderr,
                "moonkeeper: stop: process %d runs on %s and was not started by moonkeeper start: "
                "stop it with what started it (systemctl, or SIGTERM)\n",
                (int)holder, service->data_dir);
        return CLI_FAILED;
    }
    if (written > 0) {
        printf("no moonkeeper to stop (process %d of %s is not a server of this directory)\n",
               (int)written, service->pid_file);
        (void)unlink(service->pid_file);
    } else {
        printf("no moonkeeper to stop (could not find file %s)\n", service->pid_file);
    }
    return CLI_OK;
}

static int stop(const struct order *order)
{
    struct mk_error error;

    printf("Stopping moonkeeper ... ");
    (void)fflush(stdout);
    pid_t written = service_pid_read(&order->service);
    pid_t holder = service_holder(&order->service, &error);
    if (holder >= 0 && (holder == 0 || holder != written)) {
        return stop_nobody(&order->service, written, holder);
    }
    if (holder < 0 || !service_end(holder, order->wait_ms, &error)) {
        puts("FAILED");
        fprintf(stderr, "moonkeeper: stop: %s\n", error.text);
        return CLI_FAILED;
    }
    (void)unlink(order->service.pid_file);
    puts("STOPPED");
    return CLI_OK;
}

int cli_stop(struct cli *cli, int argc, char **argv)
{
    struct order order;
    int code = order_read(&order, argc, argv, STOP_WAIT_MS_DEFAULT);

    (void)cli;
    return code == CLI_OK ? stop(&order) : code;
}

/* ---- restart ---- */

/* Whether the server would accept its configuration; what it says goes to standard error. */
static bool config_accepted(const struct order *order)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl(order->program, order->program, "--check", "--config", order->service.config,
                    (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

int cli_restart(struct cli *cli, int argc, char **argv)
{
    struct order order;
    int code = order_read_program(&order, argc, argv, START_WAIT_MS_DEFAULT);

    (void)cli;
    if (code == CLI_OK && !config_accepted(&order)) {
        fprintf(stderr, "moonkeeper: restart: the server that runs, if any, was left alone\n");
        code = CLI_USAGE;
    }
    if (code == CLI_OK) {
        code = stop(&order);
    }
    return code == CLI_OK ? start(&order) : code;
}

/* ---- status, print-cmd ---- */

/* What a member of an ensemble says of the others: behind its mode, which is printed `with_mode`. False: it
 * is no member, or nobody answers. */
static bool members_print(const struct service *service, bool with_mode)
{
    char answer[ENOUGH_BYTES];
    bool member = word_ask(service, "memb", answer) && strstr(answer, "\nserver.") != NULL;
    const char *text = with_mode ? answer : strchr(answer, '\n');

    if (member) {
        printf("%s", with_mode ? text : text + 1);
    }
    return member;
}

int cli_status(struct cli *cli, int argc, char **argv)
{
    struct order order;
    char answer[ENOUGH_BYTES];
    int code = order_read(&order, argc, argv, 0);

    (void)cli;
    if (code != CLI_OK) {
        return code;
    }
    printf("Client port found: %s. Client address: %s. Client SSL: %s.\n", order.service.port,
           order.service.address, order.service.secure ? "true" : "false");
    const char *mode = server_ask(&order.service, answer) ? strstr(answer, "Mode: ") : NULL;
    if (mode != NULL) {
        printf("%.*s\n", (int)strcspn(mode, "\n"), mode);
    }
    bool member = members_print(&order.service, mode == NULL);
    if (mode == NULL && !member) {
        puts("Error contacting service. It is probably not running.");
    }
    return mode != NULL ? CLI_OK : CLI_FAILED;
}

int cli_print_cmd(struct cli *cli, int argc, char **argv)
{
    struct order order;
    int code = order_read_program(&order, argc, argv, 0);

    (void)cli;
    if (code == CLI_OK) {
        printf("\"%s\" --config \"%s\" >> \"%s\" 2>&1 < /dev/null\n", order.program,
               order.service.config, order.service.log_file);
    }
    return code;
}
