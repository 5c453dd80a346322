/* The program `moonkeeper`: one command against a server, one result, one exit code. Results go to
 * standard output, everything else to standard error. A client like any other: it knows the server
 * through its sockets only. */
#ifndef MK_CLI_H
#define MK_CLI_H

#include "base/base.h"
#include "client/client.h"

#define CLI_VERSION "0.1.0" /* CMakeLists.txt and edge/edge.h say the same */
#define CLI_SERVERS_DEFAULT "127.0.0.1:2181"
#define CLI_SERVERS_ENVIRONMENT "MOONKEEPER_SERVERS"
#define CLI_TIMEOUT_MS_DEFAULT 10000
#define CLI_AUTH_ENVIRONMENT "MOONKEEPER_AUTH"
#define CLI_TLS_CA_ENVIRONMENT "MOONKEEPER_TLS_CA"
#define CLI_TLS_CERT_ENVIRONMENT "MOONKEEPER_TLS_CERT"
#define CLI_TLS_KEY_ENVIRONMENT "MOONKEEPER_TLS_KEY"
#define CLI_AUTHS_MAX 8 /* nobody is more people than that at once */

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the server answered with an error; a call failed; exists: it does not */
    CLI_USAGE = 2,       /* the command line makes no sense; nothing was sent */
    CLI_UNREACHABLE = 3, /* no server gave a session; nothing was sent */
    CLI_LOST = 4,        /* connection or session was lost: whether it happened is not known */
    CLI_SIGNALLED = 128, /* and the signal's number: 130 after Ctrl-C */
};

struct cli {
    const char *servers; /* "host:port[,host:port]" */
    mk_ms timeout_ms;    /* of the session, and of everything that answers at once */
    bool json;
    struct moonkeeper_tls tls;        /* files; used if one is named */
    const char *auths[CLI_AUTHS_MAX]; /* "digest:bob:secret": who the session is, too */
    size_t auths_count;
};

/* ---- Commands: argv[0] is the command's name. Each returns an exit code. ---- */

int cli_create(struct cli *cli, int argc, char **argv);
int cli_get(struct cli *cli, int argc, char **argv);
int cli_set(struct cli *cli, int argc, char **argv);
int cli_delete(struct cli *cli, int argc, char **argv);
int cli_ls(struct cli *cli, int argc, char **argv);
int cli_stat(struct cli *cli, int argc, char **argv);
int cli_exists(struct cli *cli, int argc, char **argv);
int cli_sync(struct cli *cli, int argc, char **argv);
int cli_call(struct cli *cli, int argc, char **argv);
int cli_calls(struct cli *cli, int argc, char **argv);
int cli_lock(struct cli *cli, int argc, char **argv);
int cli_lead(struct cli *cli, int argc, char **argv);
int cli_recipe(struct cli *cli, int argc, char **argv);
int cli_word(struct cli *cli, int argc, char **argv);
int cli_start(struct cli *cli, int argc, char **argv);
int cli_start_foreground(struct cli *cli, int argc, char **argv);
int cli_stop(struct cli *cli, int argc, char **argv);
int cli_restart(struct cli *cli, int argc, char **argv);
int cli_status(struct cli *cli, int argc, char **argv);
int cli_print_cmd(struct cli *cli, int argc, char **argv);
int cli_repair(struct cli *cli, int argc, char **argv);
int cli_backup(struct cli *cli, int argc, char **argv);
int cli_restore(struct cli *cli, int argc, char **argv);
int cli_import(struct cli *cli, int argc, char **argv);
int cli_export(struct cli *cli, int argc, char **argv);

/* ---- What commands share ---- */

/* What the servers are to be asked with; NULL: without TLS. */
const struct moonkeeper_tls *cli_tls(const struct cli *cli);

/* Say what is wrong with the command line; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) MK_PRINTF(2, 3);
/* Say why a command failed, as a sentence or with --json as an object; returns `code`. `error` is a
 * name as the protocol has it ("NoNode"), or NULL. */
int cli_fail(const struct cli *cli, int code, const char *command, const char *error,
             const char *message);
mk_ms cli_clock_ms(void); /* monotonic */

/* "250ms", "10s", "5m", "1h". False: it is not one, or longer than 24 days. */
bool cli_duration_parse(const char *text, mk_ms *out);

#endif
