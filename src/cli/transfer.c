/* import, export: the data of a server that has stopped, ours or a ZooKeeper's, as the other's. What does it
 * stands on RocksDB, which takes longer to load than other commands take to run: so it is a module. */
#include "cli/cli.h"
#include "cli/output.h"
#include "transfer/transfer.h"

#include <dlfcn.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODULE "moonkeeper_transfer.so"
#define PATH_BYTES 4096

struct words { /* of the command line */
    const char *from, *to, *log_from, *log_to;
};

/* CLI_OK, or what to end with. */
static int words_read(struct words *words, int argc, char **argv)
{
    static const struct option options[] = {
        {"log-from", required_argument, NULL, 'f'},
        {"log-to", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (option) {
        case 'f': words->log_from = optarg; break;
        case 't': words->log_to = optarg; break;
        default:
            return cli_usage(argv[0], "%s is not an option, or lacks its value", argv[optind - 1]);
        }
    }
    if (argc - optind != 2) {
        return cli_usage(argv[0], "it takes two directories: where from, and where to");
    }
    words->from = argv[optind];
    words->to = argv[optind + 1];
    return CLI_OK;
}

/* What the module shows under `name`; NULL: said why not. It lies beside this program, or where both were
 * installed. Nothing else is tried: it must be of the same build. */
static void *module_find(const char *command, const char *name)
{
    static const char *const places[] = {".", CLI_TRANSFER_FROM_BIN};
    char self[PATH_BYTES];
    char path[PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash != NULL && i < MK_COUNT(places); i++) {
        int bytes =
            snprintf(path, sizeof(path), "%.*s/%s/" MODULE, (int)(slash - self), self, places[i]);
        void *module = bytes < PATH_BYTES && access(path, R_OK) == 0
                           ? dlopen(path, RTLD_NOW | RTLD_LOCAL)
                           : NULL;
        void *found = module != NULL ? dlsym(module, name) : NULL;
        if (found != NULL) {
            return found;
        }
    }
    const char *why = dlerror();
    fprintf(stderr, "moonkeeper: %s: " MODULE " cannot be loaded: %s\n", command,
            why != NULL ? why : "it is neither beside this program nor in its installation");
    return NULL;
}

static void report_print(const struct cli *cli, const char *done,
                         const struct transfer_report *report)
{
    if (cli->json) {
        output_print(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "zxid", (json_int_t)report->zxid, "epoch",
            (json_int_t)report->epoch, "znodes", (json_int_t)report->znodes, "ephemerals",
            (json_int_t)report->ephemerals, "sessions", (json_int_t)report->sessions,
            "transactions", (json_int_t)report->transactions, "snapshot", report->snapshot));
        return;
    }
    printf("%s zxid=0x%" PRIx64 " epoch=%lld znodes=%lld ephemerals=%lld sessions=%lld\n"
           "snapshot=%s transactions=%llu\n",
           done, (uint64_t)report->zxid, (long long)report->epoch, (long long)report->znodes,
           (long long)report->ephemerals, (long long)report->sessions, report->snapshot,
           (unsigned long long)report->transactions);
}

int cli_import(struct cli *cli, int argc, char **argv)
{
    struct words words = {0};
    int code = words_read(&words, argc, argv);
    if (code != CLI_OK) {
        return code;
    }
    const struct transfer_places places = {.zookeeper = words.from,
                                           .zookeeper_log = words.log_from,
                                           .data = words.to,
                                           .log = words.log_to};
    struct transfer_report report;
    struct mk_error warning, error;
    transfer_importer *import = (transfer_importer *)module_find(argv[0], "transfer_import");
    if (import == NULL) {
        return CLI_FAILED;
    }
    enum mk_status status = import(&places, &report, &warning, &error);
    if (warning.text[0] != '\0' && status == MK_OK) {
        fprintf(stderr, "moonkeeper: import: passed over for an older snapshot: %s\n",
                warning.text);
    }
    if (status != MK_OK) {
        return cli_fail(cli, CLI_FAILED, argv[0], NULL, error.text);
    }
    report_print(cli, "imported", &report);
    return CLI_OK;
}

int cli_export(struct cli *cli, int argc, char **argv)
{
    struct words words = {0};
    int code = words_read(&words, argc, argv);
    if (code != CLI_OK) {
        return code;
    }
    if (words.log_to != NULL) {
        return cli_usage(argv[0], "--log-to: no log is written, the snapshot has all of it");
    }
    const struct transfer_places places = {
        .zookeeper = words.to, .data = words.from, .log = words.log_from};
    struct transfer_report report;
    struct mk_error error;
    transfer_exporter *export = (transfer_exporter *)module_find(argv[0], "transfer_export");
    if (export == NULL) {
        return CLI_FAILED;
    }
    if (export(&places, &report, &error) != MK_OK) {
        return cli_fail(cli, CLI_FAILED, argv[0], NULL, error.text);
    }
    report_print(cli, "exported", &report);
    return CLI_OK;
}
