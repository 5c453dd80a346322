/* backup, restore: of a server of this machine, by its configuration.
 *
 *   backup   SIGUSR1 to who holds the data directory ─▶ backup.last there becomes another file ─▶ said
 *   restore  moonkeeperd does it */
#include "cli/cli.h"
#include "cli/service.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The state's files are linked or copied, and the log is: gigabytes on a slow disk take less. */
#define BACKUP_WAIT_MS_DEFAULT ((mk_ms)10 * 60 * 1000)
#define LOOK_EVERY_MS 50
#define ANSWER_FILE "backup.last"

struct answer_file {
    char path[SERVICE_PATH_BYTES + 16];
    struct stat before; /* all zeros: there was none */
};

static bool is_another(const struct answer_file *file)
{
    struct stat now;

    return stat(file->path, &now) == 0 && (now.st_ino != file->before.st_ino ||
                                           now.st_mtim.tv_sec != file->before.st_mtim.tv_sec ||
                                           now.st_mtim.tv_nsec != file->before.st_mtim.tv_nsec);
}

/* "written DIRECTORY" or "failed WHY". */
static int answer_print(const struct answer_file *answer)
{
    char line[SERVICE_PATH_BYTES] = "";
    FILE *file = fopen(answer->path, "re");

    if (file != NULL) {
        if (fgets(line, sizeof(line), file) == NULL) {
            line[0] = '\0';
        }
        (void)fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "written ", 8) == 0) {
        puts(line + 8);
        return CLI_OK;
    }
    fprintf(stderr, "moonkeeper: backup: %s\n",
            strncmp(line, "failed ", 7) == 0 ? line + 7 : "the server's answer cannot be read");
    return CLI_FAILED;
}

static int backup(const struct service *service, mk_ms wait_ms)
{
    struct answer_file answer = {.before = {0}};
    struct mk_error error;
    pid_t holder = service_holder(service, &error);

    if (holder <= 0) {
        fprintf(stderr, "moonkeeper: backup: %s\n",
                holder < 0 ? error.text
                           : "no server runs on that dataDir; of one that has stopped, copy it");
        return CLI_FAILED;
    }
    (void)snprintf(answer.path, sizeof(answer.path), "%s/" ANSWER_FILE, service->data_dir);
    (void)stat(answer.path, &answer.before);
    if (kill(holder, SIGUSR1) != 0) {
        fprintf(stderr, "moonkeeper: backup: process %d: %s\n", (int)holder, strerror(errno));
        return CLI_FAILED;
    }
    for (mk_ms waited_ms = 0; waited_ms < wait_ms; waited_ms += LOOK_EVERY_MS) {
        if (is_another(&answer)) {
            return answer_print(&answer);
        }
        if (kill(holder, 0) != 0 && errno == ESRCH) {
            break;
        }
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    fprintf(stderr, "moonkeeper: backup: process %d has not said what came of it: see its log\n",
            (int)holder);
    return CLI_FAILED;
}

int cli_backup(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"wait", required_argument, NULL, 'w'},
                                            {NULL, 0, NULL, 0}};
    mk_ms wait_ms = BACKUP_WAIT_MS_DEFAULT;
    struct service service;
    struct mk_error error;
    int option;

    (void)cli;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'w' || !cli_duration_parse(optarg, &wait_ms)) {
            return cli_usage(argv[0], "usage: moonkeeper backup [--wait TIME] CONFIG");
        }
    }
    if (optind + 1 != argc) {
        return cli_usage(argv[0], "usage: moonkeeper backup [--wait TIME] CONFIG");
    }
    if (!service_config_read(&service, argv[optind], &error)) {
        fprintf(stderr, "moonkeeper: backup: %s\n", error.text);
        return CLI_USAGE;
    }
    return backup(&service, wait_ms);
}

int cli_restore(struct cli *cli, int argc, char **argv)
{
    char program[SERVICE_PATH_BYTES];

    (void)cli;
    if (argc != 3) {
        return cli_usage(argv[0], "usage: moonkeeper restore BACKUP CONFIG");
    }
    if (!service_program_find(program)) {
        fprintf(stderr, "moonkeeper: restore: moonkeeperd is not to be found\n");
        return CLI_FAILED;
    }
    (void)execl(program, program, "--config", argv[2], "--restore", argv[1], (char *)NULL);
    fprintf(stderr, "moonkeeper: %s: %s: %s\n", argv[0], program, strerror(errno));
    return CLI_FAILED;
}
