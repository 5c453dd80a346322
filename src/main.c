/* moonkeeperd. The start, in order; each step may end the process with a message and an exit code:
 *
 *   options      command line and file                                            2
 *   recipes      compiled, so that a mistake is known now                          2
 *   directories  created, locked                                                  3
 *   address      bound, so that a port in use is known before anything is touched 4
 *   space        some is free                                                     1
 *   store        RocksDB in DIR/state, as of the last checkpoint                  5, 1
 *   log          the transactions after it in DIR/log, replayed                   5, 1
 *   epochs       alone: one more than any before, made durable                    1
 *   serve        until SIGTERM; then what is outstanding is answered, a
 *                checkpoint is taken, and the process ends                        0
 *
 * What was begun is ended in reverse order. A crash at any point loses nothing: the log has it. */
#include "base/base.h"
#include "edge/edge.h"
#include "recipe/recipe.h"
#include "server/server.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/random.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)
#define PATH_BYTES 4096
#define EPOCH_MAX INT64_C(0x7fffffff) /* zxids are compared signed */
#define SEGMENT_FIRST_BYTES (4 * MIB) /* the first start waits for it to be written */
#define OVERLAY_FACTOR 4              /* active and frozen table together, before requests pause */
#define SPACE_BYTES (512 * 1024)      /* that must be free to start */
#define STATE_FILES_MAX 256           /* RocksDB's open files */

struct process {
    struct edge_options options;
    struct edge_lines *lines;
    const struct mk_log *log;
    int data_lock; /* -1: not held */
    int log_lock;
    char state_path[PATH_BYTES];
    struct store_options store_options;
    struct store_disk_options disk_options;
    char log_path[PATH_BYTES];
    struct edge *edge;
    struct edge_core core;
    mk_ms started_ms;
};

static enum edge_exit failed(const struct process *process, enum edge_exit code,
                             const struct mk_error *error)
{
    mk_log(process->log, MK_LOG_ERROR, "%s", error->text);
    return code;
}

#ifdef __SANITIZE_THREAD__
/* RocksDB is not instrumented: its atomics are invisible, and what they order looks like races. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:librocksdb.so\ncalled_from_lib:librocksdb.so\n"
           "race:libstdc++.so\ncalled_from_lib:libstdc++.so\n";
}
#endif

/* ---- Options ---- */

static enum edge_exit options_read(struct process *process, int argc, char *const *argv)
{
    struct mk_error error = {""};

    if (edge_options_read(&process->options, argc, argv, &error) != MK_OK) {
        fprintf(stderr, "moonkeeperd: %s\n", error.text);
        return EDGE_EXIT_USAGE;
    }
    if (process->options.action == EDGE_SHOW_HELP || process->options.action == EDGE_SHOW_VERSION) {
        return EDGE_EXIT_OK;
    }
    process->lines = edge_lines_new((enum mk_log_level)process->options.log_level, STDERR_FILENO);
    process->log = edge_lines_log(process->lines);
    if (process->options.ignored.len > 0) {
        mk_log(process->log, MK_LOG_INFO,
               "options of ZooKeeper that have no effect here are ignored  keys=\"%.*s\"",
               (int)process->options.ignored.len, (const char *)process->options.ignored.data);
    }
    if (edge_catalogue_read(&process->options, &error) != MK_OK ||
        edge_sasl_users_read(&process->options, &error) != MK_OK ||
        edge_tls_read(&process->options, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_USAGE, &error);
    }
    if (process->options.clients_tls != NULL || process->options.peers_tls != NULL) {
        (void)signal(SIGHUP, SIG_IGN); /* Until we serve: then certificates are read again. */
    }
    return EDGE_EXIT_OK;
}

/* ---- The process ---- */

static void process_prepare(void)
{
    struct rlimit files;

    (void)signal(SIGPIPE, SIG_IGN); /* A peer that has gone is told by write(), */
    (void)signal(SIGXFSZ, SIG_IGN); /* and so is a limit on file sizes. */
    (void)signal(SIGUSR1, SIG_IGN); /* Who asks for a backup before we serve does not end us. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* Every client is a descriptor. */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    /* One arena for the core and one for all that wait for the disk: more would only hold on to
     * memory that the budget knows nothing of. */
    (void)mallopt(M_ARENA_MAX, 2);
}

/* ---- Directories ---- */

static const char *log_home(const struct process *process)
{
    const struct edge_options *options = &process->options;
    return options->log_dir != NULL ? options->log_dir : options->data_dir;
}

static bool path_make(char path[PATH_BYTES], const char *directory, const char *name,
                      struct mk_error *error)
{
    int bytes = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    if (bytes > 0 && bytes < PATH_BYTES) {
        return true;
    }
    mk_error_set(error, "%.200s...: the path is too long: choose a shorter dataDir", directory);
    return false;
}

static enum edge_exit directories_lock(struct process *process)
{
    struct mk_error error = {""};
    const char *data = process->options.data_dir;
    const char *log = log_home(process);

    if (!path_make(process->state_path, data, "state", &error) ||
        !path_make(process->log_path, log, "log", &error) ||
        store_directory_lock(data, &process->data_lock, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_DATA, &error);
    }
    if (strcmp(data, log) != 0 && store_directory_lock(log, &process->log_lock, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_DATA, &error);
    }
    return EDGE_EXIT_OK;
}

/* A start on a full disk fails here, in our words: RocksDB's files are small and it says less. */
static enum edge_exit space_check(struct process *process)
{
    static const uint8_t zeros[SPACE_BYTES];
    struct mk_error error = {""};
    char path[PATH_BYTES];

    if (!path_make(path, process->options.data_dir, "space.tmp", &error)) {
        return failed(process, EDGE_EXIT_DATA, &error);
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t written = file >= 0 ? write(file, zeros, sizeof(zeros)) : -1;
    int code = written >= 0 ? ENOSPC : errno;
    if (file >= 0) {
        (void)close(file);
        (void)unlink(path);
    }
    if (written == (ssize_t)sizeof(zeros)) {
        return EDGE_EXIT_OK;
    }
    mk_error_set(&error,
                 "cannot write %zu KiB to %s: %s; free some space there, or raise the limit"
                 " that forbids it, then start again",
                 sizeof(zeros) / 1024, process->options.data_dir, strerror(code));
    return failed(process, EDGE_EXIT_FAILED, &error);
}

/* ---- Recipes ---- */

/* A mistake in the catalogue is told at the start, not to the first who calls. */
static enum edge_exit recipes_check(struct process *process)
{
    const struct server_options *options = &process->options.server;
    struct recipe_options budgets = {.log = process->log};
    struct recipe_engine *engine = recipe_engine_new(&budgets);
    enum edge_exit code = EDGE_EXIT_OK;

    for (size_t i = 0; options->recipes && i < options->catalogue_count; i++) {
        struct mk_error error = {""};
        if (recipe_version_load(engine, options->catalogue[i].name, options->catalogue[i].source,
                                &error) == NULL) {
            code = failed(process, EDGE_EXIT_USAGE, &error);
        }
    }
    recipe_engine_free(engine);
    return code;
}

/* ---- Store and log ---- */

/* The stores say damage by what to do about it: theirs is the only advice that speaks of repair. */
static enum edge_exit open_failed(const struct process *process, const struct mk_error *error)
{
    bool damaged = strstr(error->text, "moonkeeper repair --rejoin") != NULL;
    return failed(process, damaged ? EDGE_EXIT_CORRUPT : EDGE_EXIT_FAILED, error);
}

/* Only the order of buckets depends on it, so 0 would do no harm but to a server under attack. */
static uint64_t secret_draw(void)
{
    uint64_t secret;

    return getrandom(&secret, sizeof(secret), 0) == sizeof(secret) ? secret : 0;
}

static enum edge_exit store_start(struct process *process)
{
    const struct edge_options *options = &process->options;
    struct mk_error error = {""};
    /* RocksDB's blocks and our rows hold the same data at two levels: half each. */
    struct store_disk_options *disk = &process->disk_options;
    struct store_options *rows = &process->store_options;

    *disk = (struct store_disk_options){.cache_bytes = options->cache_bytes / 2,
                                        .open_files_max = STATE_FILES_MAX};
    *rows = (struct store_options){.cache_bytes = options->cache_bytes / 2,
                                   .overlay_bytes = options->overlay_bytes,
                                   .overlay_bytes_max = options->overlay_bytes * OVERLAY_FACTOR,
                                   .hash_seed = secret_draw()};
    process->core.state_path = process->state_path;
    process->core.store_options = rows;
    process->core.disk_options = disk;
    process->core.store_owner = &process->core.store;
    process->options.server.hash_secret = secret_draw();
    if (store_state_settle(options->data_dir, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_DATA, &error);
    }
    struct store_base *base = store_base_rocks(process->state_path, disk, &error);
    if (base == NULL) {
        return open_failed(process, &error);
    }
    process->core.store = store_open(base, rows, &error);
    if (process->core.store == NULL) {
        return open_failed(process, &error);
    }
    return EDGE_EXIT_OK;
}

/* The log must go on where the checkpoint ends. A segment that is missing in between, or a log that is
 * not there at all, is not a fresh start: what was acknowledged would be lost without a word. */
static enum edge_exit continuity_check(const struct process *process)
{
    mk_zxid applied = store_applied(process->core.store);
    mk_zxid first = store_log_first(process->core.log);
    bool follows = first <= applied + 1 || (uint32_t)first == 1; /* or begins a later epoch */
    struct mk_error error = {""};
    int64_t epoch;

    if (!follows) {
        mk_error_set(&error,
                     "transactions are missing: the checkpoint in %s ends at 0x%" PRIx64
                     " and the log in %s begins at 0x%" PRIx64
                     ": put the missing files back, or restore a copy of the data directory",
                     process->state_path, (uint64_t)applied, process->log_path, (uint64_t)first);
        return failed(process, EDGE_EXIT_CORRUPT, &error);
    }
    if (applied > 0 &&
        store_epoch_read(process->log_path, "acceptedEpoch", &epoch, &error) == MK_NO_NODE) {
        mk_error_set(
            &error,
            "%s has no log that belongs to %s: is dataLogDir mounted? To go on without it, "
            "and lose what came after 0x%" PRIx64 ", write a number larger than any epoch "
            "before into %s/acceptedEpoch",
            process->log_path, process->state_path, (uint64_t)applied, process->log_path);
        return failed(process, EDGE_EXIT_CORRUPT, &error);
    }
    return EDGE_EXIT_OK;
}

static enum edge_exit log_start(struct process *process)
{
    const struct edge_options *options = &process->options;
    uint64_t first_bytes =
        options->segment_bytes < SEGMENT_FIRST_BYTES ? options->segment_bytes : SEGMENT_FIRST_BYTES;
    struct store_log_options log = {.segment_bytes = options->segment_bytes,
                                    .segment_first_bytes = first_bytes,
                                    .sync = options->sync};
    struct mk_error error = {""};

    process->core.log = store_log_open(process->log_path, &log, &error);
    if (process->core.log == NULL) {
        return open_failed(process, &error);
    }
    enum edge_exit continuous = continuity_check(process);
    if (continuous != EDGE_EXIT_OK) {
        return continuous;
    }
    mk_zxid applied = store_applied(process->core.store);
    if (applied > store_log_last(process->core.log) &&
        !server_install_is_all(process->core.store)) {
        mk_log(
            process->log, MK_LOG_WARN,
            "the log ends before the checkpoint: if a segment has been removed, put it back now, "
            "what it held is not served  log=0x%" PRIx64 " checkpoint=0x%" PRIx64,
            (uint64_t)store_log_last(process->core.log), (uint64_t)applied);
    }
    if (applied > store_log_last(process->core.log) &&
        store_log_reset(process->core.log, applied, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_FAILED, &error);
    }
    return EDGE_EXIT_OK;
}

static enum mk_status on_entry(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    struct process *process = context;
    struct mk_error error = {""};

    enum mk_status status = server_recover(process->core.server, zxid, entry, &error);
    if (status != MK_OK) {
        mk_log(process->log, MK_LOG_ERROR,
               "the log's entry cannot be replayed: %s  zxid=0x%" PRIx64,
               error.text[0] != '\0' ? error.text : mk_status_text(status), (uint64_t)zxid);
    }
    return status;
}

static enum edge_exit recover(struct process *process)
{
    struct mk_error error = {""};

    process->core.server = server_new(&process->options.server, process->core.store, process->log);
    enum mk_status status = store_log_replay(process->core.log, store_applied(process->core.store),
                                             on_entry, process, &error);
    if (status != MK_OK) {
        mk_log(process->log, MK_LOG_ERROR, "the log cannot be replayed%s%s  status=%s",
               error.text[0] != '\0' ? ": " : "", error.text, mk_status_name(status));
        return status == MK_CORRUPT ? EDGE_EXIT_CORRUPT : EDGE_EXIT_FAILED;
    }
    return EDGE_EXIT_OK;
}

/* ---- Epochs ---- */

/* What the file of that name says; *epoch stays what it is if there is none. */
static enum mk_status epoch_read(const struct process *process, const char *name, int64_t *epoch,
                                 struct mk_error *error)
{
    enum mk_status status = store_epoch_read(process->log_path, name, epoch, error);
    return status == MK_NO_NODE ? MK_OK : status;
}

/* A server that is alone begins a new epoch. */
static enum edge_exit epoch_begin(struct process *process, int64_t largest)
{
    struct mk_error error = {""};

    if (largest < 0 || largest >= EPOCH_MAX) {
        mk_error_set(&error,
                     "the epoch %" PRId64 " in %s is not possible: restore acceptedEpoch and"
                     " currentEpoch",
                     largest, process->log_path);
        return failed(process, EDGE_EXIT_CORRUPT, &error);
    }
    int64_t epoch = largest + 1;
    enum mk_status status = store_epoch_write(process->log_path, "acceptedEpoch", epoch, &error);
    if (status == MK_OK) {
        status = store_epoch_write(process->log_path, "currentEpoch", epoch, &error);
    }
    if (status != MK_OK) {
        return failed(process, EDGE_EXIT_FAILED, &error);
    }
    process->core.epochs = (struct server_epochs){epoch, epoch};
    return EDGE_EXIT_OK;
}

/* A member has promised what the files say. Without them it has promised nothing, and has the history of
 * the epoch that its last transaction is of. A crash can leave no current one above the accepted one, nor
 * can it leave one of the files missing beside a log; but a copy made by hand can. */
static enum edge_exit epochs_check(struct process *process)
{
    struct server_epochs *epochs = &process->core.epochs;
    struct mk_error error = {""};

    if (epochs->accepted < epochs->current || epochs->current < 0 ||
        epochs->accepted >= EPOCH_MAX) {
        mk_error_set(&error,
                     "acceptedEpoch %" PRId64 " and currentEpoch %" PRId64 " in %s do not fit"
                     " together: restore them",
                     epochs->accepted, epochs->current, process->log_path);
        return failed(process, EDGE_EXIT_CORRUPT, &error);
    }
    return EDGE_EXIT_OK;
}

static enum edge_exit epochs_start(struct process *process)
{
    mk_zxid last = store_log_last(process->core.log);
    mk_zxid applied = store_applied(process->core.store);
    int64_t logged = (last > applied ? last : applied) >> 32;
    struct server_epochs epochs = {logged, logged};
    struct mk_error error = {""};

    enum mk_status status = epoch_read(process, "acceptedEpoch", &epochs.accepted, &error);
    if (status == MK_OK) {
        status = epoch_read(process, "currentEpoch", &epochs.current, &error);
    }
    if (status != MK_OK) {
        return failed(process, status == MK_CORRUPT ? EDGE_EXIT_CORRUPT : EDGE_EXIT_FAILED, &error);
    }
    process->core.epochs = epochs;
    process->core.log_path = process->log_path;
    if (process->options.ensemble != NULL) {
        return epochs_check(process);
    }
    int64_t largest = epochs.accepted > epochs.current ? epochs.accepted : epochs.current;
    return epoch_begin(process, largest > logged ? largest : logged);
}

/* ---- Together ---- */

static enum edge_exit address_bind(struct process *process)
{
    struct mk_error error = {""};

    process->edge = edge_new(&process->options, process->log);
    if (edge_bind(process->edge, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_BIND, &error);
    }
    return EDGE_EXIT_OK;
}

static enum edge_exit serve(struct process *process)
{
    struct edge_core *core = &process->core;
    mk_zxid last = store_log_last(core->log);
    mk_zxid applied = store_applied(core->store);
    mk_zxid logged = last > applied ? last : applied;
    enum mk_status status = MK_OK;

    if (process->options.ensemble != NULL) {
        bool amnesiac = edge_amnesiac(process->options.data_dir);
        server_join(core->server, core->epochs, amnesiac ? -1 : logged, edge_now());
    } else {
        status = server_lead(core->server, (uint32_t)core->epochs.current, logged, edge_now());
    }
    if (status != MK_OK) {
        mk_log(process->log, MK_LOG_ERROR, "the state cannot be read: %s  status=%s",
               mk_status_text(status), mk_status_name(status));
        return status == MK_CORRUPT ? EDGE_EXIT_CORRUPT : EDGE_EXIT_FAILED;
    }
    core->recovery_ms = edge_now().monotonic_ms - process->started_ms;
    return edge_run(process->edge, core);
}

static enum edge_exit process_run(struct process *process)
{
    static enum edge_exit (*const steps[])(struct process *) = {
        recipes_check, directories_lock, address_bind, space_check, store_start,
        log_start,     recover,          epochs_start, serve};
    enum edge_exit code = EDGE_EXIT_OK;

    for (size_t i = 0; i < MK_COUNT(steps) && code == EDGE_EXIT_OK; i++) {
        code = steps[i](process);
    }
    return code;
}

/* `moonkeeper repair --rejoin`. */
static enum edge_exit rejoin(struct process *process)
{
    struct mk_error error = {""};
    char aside[EDGE_ASIDE_BYTES];

    if (process->options.ensemble == NULL) {
        mk_error_set(&error,
                     "this server is alone: there is nobody to get its data from; restore a "
                     "copy of the data directory");
        return failed(process, EDGE_EXIT_USAGE, &error);
    }
    enum edge_exit code = directories_lock(process);
    if (code != EDGE_EXIT_OK) {
        return code;
    }
    if (edge_rejoin(process->options.data_dir, log_home(process), aside, &error) != MK_OK) {
        return failed(process, EDGE_EXIT_FAILED, &error);
    }
    printf("put aside as %s/%s: at its next start this server gets everything from the leader; "
           "then that "
           "can be removed\n",
           process->options.data_dir, aside);
    return EDGE_EXIT_OK;
}

/* `moonkeeper restore`. */
static enum edge_exit restore(struct process *process)
{
    struct mk_error error = {""};
    mk_zxid committed;
    enum edge_exit code = directories_lock(process);

    if (code != EDGE_EXIT_OK) {
        return code;
    }
    if (edge_restore_files(&process->options, process->state_path, process->log_path, &committed,
                           &error) != MK_OK) {
        return failed(process, EDGE_EXIT_FAILED, &error);
    }
    code = store_start(process);
    if (code == EDGE_EXIT_OK) {
        code = log_start(process);
    }
    if (code != EDGE_EXIT_OK) {
        return code;
    }
    if (edge_restore_promises(&process->core, process->log_path, committed, &error) != MK_OK ||
        !edge_amnesiac_end(process->options.data_dir)) {
        return failed(process, EDGE_EXIT_FAILED, &error);
    }
    mk_zxid logged = store_log_last(process->core.log);
    mk_zxid applied = store_applied(process->core.store);
    printf("restored through 0x%" PRIx64 "%s\n", (uint64_t)(logged > applied ? logged : applied),
           process->options.ensemble == NULL
               ? ""
               : ": restore every other member from the same backup before it is started");
    return EDGE_EXIT_OK;
}

static void process_end(struct process *process)
{
    edge_free(process->edge);
    if (process->core.server != NULL) {
        server_free(process->core.server);
    }
    if (process->core.log != NULL) {
        store_log_close(process->core.log);
    }
    if (process->core.store != NULL) {
        store_close(process->core.store);
    }
    if (process->log_lock >= 0) {
        (void)close(process->log_lock);
    }
    if (process->data_lock >= 0) {
        (void)close(process->data_lock);
    }
    edge_lines_free(process->lines);
    edge_options_free(&process->options);
}

int main(int argc, char **argv)
{
    struct process process = {.data_lock = -1, .log_lock = -1};

    process_prepare();
    process.started_ms = edge_now().monotonic_ms;
    edge_options_default(&process.options);
    enum edge_exit code = options_read(&process, argc, argv);
    if (code == EDGE_EXIT_OK) {
        switch (process.options.action) {
        case EDGE_CHECK: code = recipes_check(&process); break;
        case EDGE_REJOIN: code = rejoin(&process); break;
        case EDGE_RESTORE: code = restore(&process); break;
        case EDGE_SHOW_HELP: (void)fputs(edge_help, stdout); break;
        case EDGE_SHOW_VERSION: printf("moonkeeperd %s\n", EDGE_VERSION); break;
        case EDGE_SERVE: code = process_run(&process); break;
        }
    }
    process_end(&process);
    return (int)code;
}
