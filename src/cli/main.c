/* moonkeeper: the options that come before the command, and which function a command is. */
#include "cli/cli.h"
#include "cli/help.h"
#include "client/client.h"
#include "shell/shell.h"

#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int cli_shell(struct cli *cli, int argc, char **argv)
{
    return shell_main(cli->servers, cli_tls(cli), cli->json, argc, argv);
}

static const struct command {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
    {"create", cli_create},
    {"get", cli_get},
    {"set", cli_set},
    {"delete", cli_delete},
    {"ls", cli_ls},
    {"stat", cli_stat},
    {"exists", cli_exists},
    {"sync", cli_sync},
    {"call", cli_call},
    {"calls", cli_calls},
    {"lock", cli_lock},
    {"lead", cli_lead},
    {"recipe", cli_recipe},
    {"word", cli_word},
    {"shell", cli_shell},
    {"start", cli_start},
    {"start-foreground", cli_start_foreground},
    {"stop", cli_stop},
    {"restart", cli_restart},
    {"status", cli_status},
    {"print-cmd", cli_print_cmd},
    {"repair", cli_repair},
    {"backup", cli_backup},
    {"restore", cli_restore},
    {"import", cli_import},
    {"export", cli_export},
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

const struct moonkeeper_tls *cli_tls(const struct cli *cli)
{
    const struct moonkeeper_tls *tls = &cli->tls;

    return tls->trusted != NULL || tls->certificate != NULL || tls->key != NULL ? tls : NULL;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static int timeout_read(struct cli *cli, const char *text)
{
    if (!cli_duration_parse(text, &cli->timeout_ms) || cli->timeout_ms == 0) {
        return cli_usage("--timeout", "\"%s\" is not a duration like 10s or 500ms", text);
    }
    return CLI_OK;
}

static int auth_read(struct cli *cli, const char *text)
{
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon == text) {
        return cli_usage("--auth", "it is not SCHEME:CREDENTIALS, as in digest:bob:secret");
    }
    if (cli->auths_count == CLI_AUTHS_MAX) {
        return cli_usage("--auth", "at most %d of them", CLI_AUTHS_MAX);
    }
    cli->auths[cli->auths_count++] = text;
    return CLI_OK;
}

/* The options before the command; the index of the command, or -1: an exit code is in *code. */
static int options_read(struct cli *cli, int argc, char **argv, int *code)
{
    static const struct option options[] = {
        {"servers", required_argument, NULL, 's'},  {"timeout", required_argument, NULL, 't'},
        {"auth", required_argument, NULL, 'a'},     {"tls-ca", required_argument, NULL, 'A'},
        {"tls-cert", required_argument, NULL, 'C'}, {"tls-key", required_argument, NULL, 'K'},
        {"json", no_argument, NULL, 'j'},           {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},        {NULL, 0, NULL, 0},
    };
    char why[256];
    int option;

    opterr = 0;
    *code = CLI_OK;
    while (*code == CLI_OK && (option = getopt_long(argc, argv, "+s:h", options, NULL)) != -1) {
        switch (option) {
        case 's': cli->servers = optarg; break;
        case 'j': cli->json = true; break;
        case 't': *code = timeout_read(cli, optarg); break;
        case 'a': *code = auth_read(cli, optarg); break;
        case 'A': cli->tls.trusted = optarg; break;
        case 'C': cli->tls.certificate = optarg; break;
        case 'K': cli->tls.key = optarg; break;
        case 'h': help_print(); return -1;
        case 'V': printf("moonkeeper " CLI_VERSION "\n"); return -1;
        default:
            *code = cli_usage("", "%s is not an option, or lacks its value", argv[optind - 1]);
            return -1;
        }
    }
    if (*code != CLI_OK) {
        return -1;
    }
    if (!moonkeeper_servers_check(cli->servers, why, sizeof(why))) {
        *code = cli_usage("", "%s", why);
        return -1;
    }
    if (cli_tls(cli) != NULL && !moonkeeper_tls_check(&cli->tls, why, sizeof(why))) {
        *code = cli_usage("", "TLS: %s", why);
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
        .tls = {.trusted = environment(CLI_TLS_CA_ENVIRONMENT),
                .certificate = environment(CLI_TLS_CERT_ENVIRONMENT),
                .key = environment(CLI_TLS_KEY_ENVIRONMENT)},
    };
    const char *auth = getenv(CLI_AUTH_ENVIRONMENT);
    int code = auth != NULL && *auth != '\0' ? auth_read(&cli, auth) : CLI_OK;

    if (code != CLI_OK) {
        return code;
    }
    int at = options_read(&cli, argc, argv, &code);

    if (at < 0) {
        return code;
    }
    const char *name = argv[at];
    if (strcmp(name, "help") == 0) {
        if (at + 1 < argc) {
            return help_topic_print(argv[at + 1]);
        }
        help_print();
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
