/* moonkeeper: the options that come before the command, and which function a command is. */
#include "cli/cli.h"
#include "cli/client.h"

#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Example: moonkeeper call lock.acquire path=/locks/a timeout=5s\n"
    "\n"
    "usage: moonkeeper [-s HOST:PORT[,HOST:PORT]] [--timeout 10s] [--json] COMMAND ...\n"
    "\n"
    "  create [-e] [-s] [-c] [--hold[=TIME]] PATH [DATA]\n"
    "                           -e ephemeral, -s sequential, -c container; prints the path\n"
    "  get PATH                 the data\n"
    "  set [-v VERSION] PATH DATA\n"
    "  delete [-v VERSION] PATH\n"
    "  ls PATH                  the names of the children, sorted\n"
    "  stat PATH\n"
    "  exists PATH              true, or false and exit code 1\n"
    "  sync [PATH]              wait until the server has caught up with its leader\n"
    "  call [--hold[=TIME]] RECIPE.OPERATION [KEY=TEXT | KEY:=JSON]...\n"
    "                           wait for the result; Ctrl-C cancels\n"
    "  word WORD                a four-letter word: ruok srvr stat mntr isro conf\n"
    "  version, help\n"
    "\n"
    "Ephemerals, and locks that were granted, end with the session, so with this command: --hold\n"
    "keeps it for TIME (30s, 5m), or until Ctrl-C or the end of standard input.\n"
    "-s is " CLI_SERVERS_DEFAULT ", or $" CLI_SERVERS_ENVIRONMENT
    "; --timeout is the session's, too. --json: results\n"
    "and errors as JSON, the latter on standard error.\n"
    "\n"
    "Exit codes: 0 done; 1 the server answered with an error, the call failed; 2 usage;\n"
    "3 cannot connect; 4 connection or session lost: what became of it is unknown;\n"
    "128 + signal, 130 after Ctrl-C: the call was cancelled.\n";

static const struct command {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
    {"create", cli_create}, {"get", cli_get},   {"set", cli_set},       {"delete", cli_delete},
    {"ls", cli_ls},         {"stat", cli_stat}, {"exists", cli_exists}, {"sync", cli_sync},
    {"call", cli_call},     {"word", cli_word},
};

int cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "moonkeeper: %s%s", command, *command != '\0' ? ": " : "");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("; moonkeeper --help lists what there is\n", stderr);
    return CLI_USAGE;
}

int cli_fail(const struct cli *cli, int code, const char *command, const char *error,
             const char *message)
{
    if (cli->json) {
        json_t *object = json_pack("{s:s*, s:s}", "error", error, "message", message);
        char *text = json_dumps(object, JSON_COMPACT);
        fprintf(stderr, "%s\n", text != NULL ? text : "{}");
        free(text);
        json_decref(object);
    } else {
        fprintf(stderr, "moonkeeper: %s%s%s%s: %s\n", command, *command != '\0' ? ": " : "",
                error != NULL ? error : "", error != NULL ? "" : "failed", message);
    }
    return code;
}

bool cli_duration_parse(const char *text, mk_ms *out)
{
    static const struct {
        const char *unit;
        mk_ms ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
    char *end = NULL;

    if (*text < '0' || *text > '9') {
        return false;
    }
    unsigned long long value = strtoull(text, &end, 10);
    for (size_t i = 0; i < MK_COUNT(units); i++) {
        if (strcmp(end, units[i].unit) == 0 && value <= (uint64_t)(INT32_MAX / units[i].ms)) {
            *out = (mk_ms)value * units[i].ms;
            return true;
        }
    }
    return false;
}

static int timeout_read(struct cli *cli, const char *text)
{
    if (!cli_duration_parse(text, &cli->timeout_ms) || cli->timeout_ms == 0) {
        return cli_usage("--timeout", "\"%s\" is not a duration like 10s or 500ms", text);
    }
    return CLI_OK;
}

/* The options before the command; the index of the command, or -1: an exit code is in *code. */
static int options_read(struct cli *cli, int argc, char **argv, int *code)
{
    static const struct option options[] = {
        {"servers", required_argument, NULL, 's'}, {"timeout", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},          {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},       {NULL, 0, NULL, 0},
    };
    struct mk_error error;
    int option;

    opterr = 0;
    *code = CLI_OK;
    while (*code == CLI_OK && (option = getopt_long(argc, argv, "+s:h", options, NULL)) != -1) {
        switch (option) {
        case 's': cli->servers = optarg; break;
        case 'j': cli->json = true; break;
        case 't': *code = timeout_read(cli, optarg); break;
        case 'h': fputs(help, stdout); return -1;
        case 'V': printf("moonkeeper " CLI_VERSION "\n"); return -1;
        default:
            *code = cli_usage("", "%s is not an option, or lacks its value", argv[optind - 1]);
            return -1;
        }
    }
    if (*code != CLI_OK) {
        return -1;
    }
    if (!servers_valid(cli->servers, &error)) {
        *code = cli_usage("", "%s", error.text);
        return -1;
    }
    if (optind == argc) {
        *code = cli_usage("", "no command");
        return -1;
    }
    return optind;
}

int main(int argc, char **argv)
{
    const char *servers = getenv(CLI_SERVERS_ENVIRONMENT);
    struct cli cli = {
        .servers = servers != NULL && *servers != '\0' ? servers : CLI_SERVERS_DEFAULT,
        .timeout_ms = CLI_TIMEOUT_MS_DEFAULT,
    };
    int code;
    int at = options_read(&cli, argc, argv, &code);

    if (at < 0) {
        return code;
    }
    const char *name = argv[at];
    if (strcmp(name, "help") == 0) {
        fputs(help, stdout);
        return CLI_OK;
    }
    if (strcmp(name, "version") == 0) {
        printf("moonkeeper " CLI_VERSION "\n");
        return CLI_OK;
    }
    for (size_t i = 0; i < MK_COUNT(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            optind = 0; /* getopt begins anew, with the command's own options */
            return commands[i].run(&cli, argc - at, argv + at);
        }
    }
    return cli_usage(name, "no such command");
}
