/* Import, in the order in which ZooKeeper starts (zookeeper-quorum.md, section 12.2):
 *
 *   1. DATA is locked, and has neither state nor log
 *   2. the newest snapshot that is whole fills DATA/state.new; what is damaged is passed over
 *   3. the log's transactions above its zxid are applied to that. The snapshot may hold some of them in
 *      part, because it was written while they were made
 *   4. epochs are written, never below what the last zxid says
 *   5. DATA/state.new becomes DATA/state
 *
 * A crash before 5 leaves a directory that import takes once more. */
#include "transfer/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply/apply.h"

/* More than any jute.maxbuffer that somebody has set; a length is believed as far as its bytes come. */
#define FIELD_BYTES_MAX ((size_t)256 << 20)

struct import {
    const struct transfer_places *places;
    struct transfer_report *report;
    struct mk_error *error;
    char snapshots[PATH_BYTES]; /* directories: version-2 */
    char logs[PATH_BYTES];
    char state_new[PATH_BYTES]; /* ours */
    char log[PATH_BYTES];
    int lock;
    struct snapshot_files files;
    struct store_install *install;
    struct apply apply;
};

/* ---- 1: where to ---- */

static const char *log_home(const struct transfer_places *places)
{
    return places->log != NULL ? places->log : places->data;
}

static enum mk_status paths_make(struct import *import)
{
    const struct transfer_places *places = import->places;
    const char *logs = places->zookeeper_log != NULL ? places->zookeeper_log : places->zookeeper;
    bool made = path_version_2(import->snapshots, places->zookeeper, import->error) &&
                path_version_2(import->logs, logs, import->error) &&
                path_join(import->state_new, places->data, "state.new", import->error) &&
                path_join(import->log, log_home(places), "log", import->error);
    return made ? MK_OK : MK_BAD_ARGUMENTS;
}

static enum mk_status target_take(struct import *import)
{
    const char *data = import->places->data;
    char state[PATH_BYTES];
    enum mk_status status = store_directory_lock(data, &import->lock, import->error);
    if (status == MK_OK) {
        status = store_state_settle(data, import->error);
    }
    if (status != MK_OK) {
        return status;
    }
    if (!path_join(state, data, "state", import->error)) {
        return MK_BAD_ARGUMENTS;
    }
    if (access(state, F_OK) == 0) {
        mk_error_set(import->error,
                     "%s holds a server's data already: import into an empty "
                     "directory",
                     data);
        return MK_NODE_EXISTS;
    }
    if (mkdir(log_home(import->places), 0750) != 0 && access(log_home(import->places), F_OK) != 0) {
        return path_failed("create", log_home(import->places), import->error);
    }
    const struct store_log_options options = {
        .segment_bytes = 1 << 20, .segment_first_bytes = 1 << 16, .sync = true};
    struct store_log *log = store_log_open(import->log, &options, import->error);
    if (log == NULL) {
        return MK_IO;
    }
    bool empty = store_log_last(log) == 0;
    store_log_close(log);
    if (!empty) {
        mk_error_set(import->error,
                     "%s holds a server's log already: import into an empty "
                     "directory",
                     import->log);
        return MK_NODE_EXISTS;
    }
    return MK_OK;
}

/* ---- 2: the snapshot ---- */

static enum mk_status install_begin(struct import *import, mk_zxid zxid)
{
    const struct store_install_options how = {.zxid = zxid, .bytes_max = FIELD_BYTES_MAX};
    struct store_base *base = store_base_rocks(import->state_new, &transfer_disk, import->error);
    if (base == NULL) {
        return MK_IO;
    }
    import->install = store_install_begin(base, &transfer_rows, &how, import->error);
    return import->install == NULL ? MK_IO : MK_OK;
}

static enum mk_status snapshot_try(struct import *import, const struct snapshot_file *file)
{
    char path[PATH_BYTES];
    size_t len = strlen(file->name);
    if (!path_join(path, import->snapshots, file->name, import->error)) {
        return MK_BAD_ARGUMENTS;
    }
    if (len > 7 && strcmp(file->name + len - 7, ".snappy") == 0) {
        mk_error_set(
            import->error,
            "%s is compressed with snappy, which cannot be read here: start that ZooKeeper "
            "once more with -Dzookeeper.snapshot.compression.method=gz, stop it, and "
            "import again",
            path);
        return MK_UNIMPLEMENTED;
    }
    enum mk_status status = install_begin(import, file->zxid);
    if (status != MK_OK) {
        return status;
    }
    status = snapshot_file_read(path, import->install, import->error);
    if (status != MK_OK) {
        store_install_abort(import->install);
        import->install = NULL;
        struct mk_error ignored; /* what it left is in the way of the next one only */
        enum mk_status settled = store_state_settle(import->places->data, &ignored);
        return settled == MK_OK ? status : settled;
    }
    snprintf(import->report->snapshot, sizeof(import->report->snapshot), "%s", file->name);
    return MK_OK;
}

static enum mk_status snapshot_take(struct import *import, struct mk_error *warning)
{
    enum mk_status status = snapshot_files_list(import->snapshots, &import->files, import->error);
    if (status == MK_OK && import->files.count == 0) {
        mk_error_set(import->error, "there is no snapshot in %s: is it a ZooKeeper's dataDir?",
                     import->snapshots);
        return MK_NO_NODE;
    }
    if (status == MK_OK) {
        status = MK_CORRUPT;
    }
    for (size_t i = 0; status == MK_CORRUPT && i < import->files.count; i++) {
        status = snapshot_try(import, &import->files.files[i]);
        if (status == MK_CORRUPT) {
            *warning = *import->error;
        }
    }
    return status;
}

/* ---- 3: the log ---- */

static enum mk_status on_entry(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    struct import *import = context;
    import->report->transactions++;
    return entry_apply(&import->apply, zxid, entry, import->error);
}

/* Log time does not go behind what is stored, even if no transaction says how late it was. */
static void time_note(struct import *import)
{
    struct store *store = store_install_store(import->install);
    uint8_t value[sizeof(mk_ms)];
    mk_store_u64(value, (uint64_t)store_install_time(import->install));
    store_begin(store_committed(store), store_applied(store), 0);
    store_fact_put(store_committed(store), MK_BYTES(APPLY_TIME), mk_bytes_of(value, sizeof(value)));
    store_end(store_committed(store));
}

static enum mk_status log_take(struct import *import)
{
    struct store *store = store_install_store(import->install);
    mk_zxid last;
    struct tree_watches *watches = tree_watches_new(0);
    import->apply = (struct apply){.store = store,
                                   .watches = watches,
                                   .extended_types = true,
                                   .time_ms = store_install_time(import->install)};
    store_again(store, true);
    time_note(import);
    enum mk_status status =
        store_log_read(import->logs, store_applied(store), on_entry, import, &last, import->error);
    store_again(store, false);
    tree_watches_free(watches);
    const struct store_totals *totals = store_totals(store);
    import->report->zxid = store_applied(store);
    import->report->znodes = totals->znodes;
    import->report->ephemerals = totals->ephemerals;
    import->report->sessions = totals->sessions;
    return status;
}

/* ---- 4, 5: epochs, and the end ---- */

static enum mk_status epochs_take(struct import *import)
{
    static const char *const names[] = {"currentEpoch", "acceptedEpoch"};
    int64_t largest = import->report->zxid >> 32;
    enum mk_status status = MK_OK;
    for (size_t i = 0; status == MK_OK && i < MK_COUNT(names); i++) {
        int64_t epoch = 0;
        status = store_epoch_read(import->snapshots, names[i], &epoch, import->error);
        status = status == MK_NO_NODE ? MK_OK : status;
        largest = epoch > largest ? epoch : largest;
        if (status == MK_OK) {
            status = store_epoch_write(import->log, names[i], largest, import->error);
        }
    }
    import->report->epoch = largest;
    return status;
}

static enum mk_status finish(struct import *import)
{
    enum mk_status status = store_install_finish(import->install, import->error);
    import->install = NULL;
    if (status == MK_OK) {
        status = epochs_take(import);
    }
    return status == MK_OK ? store_state_replace(import->places->data, import->error) : status;
}

enum mk_status transfer_import(const struct transfer_places *places, struct transfer_report *report,
                               struct mk_error *warning, struct mk_error *error)
{
    struct import *import = mk_alloc_zero(1, sizeof(*import));
    *import = (struct import){.places = places, .report = report, .error = error, .lock = -1};
    *report = (struct transfer_report){0};
    *warning = *error = (struct mk_error){{0}};
    enum mk_status status = paths_make(import);
    if (status == MK_OK) {
        status = target_take(import);
    }
    bool taken = status == MK_OK;
    if (status == MK_OK) {
        status = snapshot_take(import, warning);
    }
    if (status == MK_OK) {
        status = log_take(import);
    }
    if (status == MK_OK) {
        status = finish(import);
    }
    if (import->install != NULL) {
        store_install_abort(import->install);
    }
    if (status != MK_OK && taken) {
        struct mk_error ignored; /* the first failure is the one to report */
        (void)!store_state_settle(places->data, &ignored);
    }
    if (import->lock >= 0) {
        close(import->lock);
    }
    mk_free(import);
    return status;
}
