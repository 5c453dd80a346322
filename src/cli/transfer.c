/* import, export: the data of a server that has stopped, ours or a ZooKeeper's, as the other's. */
#include "cli/cli.h"
#include "cli/output.h"
#include "transfer/transfer.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

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
    enum mk_status status = transfer_import(&places, &report, &warning, &error);
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
    if (transfer_export(&places, &report, &error) != MK_OK) {
        return cli_fail(cli, CLI_FAILED, argv[0], NULL, error.text);
    }
    report_print(cli, "exported", &report);
    return CLI_OK;
}
