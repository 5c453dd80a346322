/* Export: the state, brought up to the end of the log, as one snapshot, from which a ZooKeeper starts
 * (zookeeper-quorum.md, section 12.3). There is no log beside it: nothing is missing, and a ZooKeeper
 * begins one. */
#include "transfer/files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply/apply.h"

#define SEGMENT_BYTES ((uint64_t)64 << 20) /* not a byte is written */

struct export
{
    const struct transfer_places *places;
    struct transfer_report *report;
    struct mk_error *error;
    char state[PATH_BYTES]; /* ours */
    char log[PATH_BYTES];
    char version_2[PATH_BYTES];
    int lock;
    struct snapshot_files files; /* that are there already */
    struct store *store;
    struct apply apply;
};

/* ---- Where from, where to ---- */

static enum mk_status source_open(struct export *export)
{
    const struct transfer_places *places = export->places;
    const char *log = places->log != NULL ? places->log : places->data;
    if (!path_join(export->state, places->data, "state", export->error) ||
        !path_join(export->log, log, "log", export->error)) {
        return MK_BAD_ARGUMENTS;
    }
    if (access(export->log, F_OK) != 0) {
        mk_error_set(export->error, "%s does not hold a server's data", places->data);
        return MK_NO_NODE;
    }
    enum mk_status status = store_directory_lock(places->data, &export->lock, export->error);
    if (status == MK_OK) {
        status = store_state_settle(places->data, export->error);
    }
    if (status != MK_OK) {
        return status;
    }
    struct store_base *base = store_base_rocks(export->state, &transfer_disk, export->error);
    if (base == NULL) {
        return MK_IO;
    }
    export->store = store_open(base, &transfer_rows, export->error);
    return export->store == NULL ? MK_CORRUPT : MK_OK;
}

static enum mk_status target_make(struct export *export)
{
    const char *directory = export->places->zookeeper;
    if ((mkdir(directory, 0750) != 0 && errno != EEXIST) ||
        !path_join(export->version_2, directory, "version-2", export->error)) {
        return path_failed("create", directory, export->error);
    }
    if (mkdir(export->version_2, 0750) != 0 && errno != EEXIST) {
        return path_failed("create", export->version_2, export->error);
    }
    enum mk_status status = snapshot_files_list(export->version_2, &export->files, export->error);
    if (status == MK_OK && export->files.count > 0) {
        mk_error_set(export->error,
                     "%s holds a ZooKeeper's data already: export into an empty "
                     "directory",
                     export->version_2);
        return MK_NODE_EXISTS;
    }
    return status;
}

/* ---- The state ---- */

static enum mk_status on_entry(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    struct export *export = context;
    export->report->transactions++;
    return entry_apply(&export->apply, zxid, entry, export->error);
}

/* In the state itself, as a start would do it: export may be repeated. */
static enum mk_status log_apply(struct export *export)
{
    mk_zxid last;
    struct tree_watches *watches = tree_watches_new(0);
    export->apply =
        (struct apply){.store = export->store, .watches = watches, .extended_types = true};
    enum mk_status status = store_log_read(export->log, store_applied(export->store), on_entry,
                                           export, &last, export->error);
    tree_watches_free(watches);
    if (status == MK_OK && store_changed(export->store)) {
        struct store_checkpoint *checkpoint = store_checkpoint_start(export->store);
        MK_ASSERT(checkpoint != NULL);
        status = store_checkpoint_write(checkpoint, export->error);
        store_checkpoint_done(export->store, checkpoint);
    }
    return status;
}

static enum mk_status snapshot_write(struct export *export)
{
    struct store_snapshot *snapshot;
    struct transfer_report *report = export->report;
    enum mk_status status =
        store_snapshot_open(store_base_of(export->store), &snapshot, &report->zxid, export->error);
    if (status != MK_OK) {
        return status;
    }
    const struct store_totals *totals = store_totals(export->store);
    report->znodes = totals->znodes;
    report->ephemerals = totals->ephemerals;
    report->sessions = totals->sessions;
    snprintf(report->snapshot, sizeof(report->snapshot), "snapshot.%" PRIx64,
             (uint64_t)report->zxid);
    status = snapshot_file_write(export->version_2, report->snapshot, snapshot, export->error);
    store_snapshot_close(snapshot);
    return status;
}

/* Before the snapshot: with it, and without them, a ZooKeeper would make up its own. */
static enum mk_status epochs_write(struct export *export)
{
    static const char *const names[] = {"currentEpoch", "acceptedEpoch"};
    int64_t largest = store_applied(export->store) >> 32;
    enum mk_status status = MK_OK;
    for (size_t i = 0; status == MK_OK && i < MK_COUNT(names); i++) {
        int64_t epoch = 0;
        status = store_epoch_read(export->log, names[i], &epoch, export->error);
        status = status == MK_NO_NODE ? MK_OK : status;
        largest = epoch > largest ? epoch : largest;
        if (status == MK_OK) {
            status = store_epoch_write(export->version_2, names[i], largest, export->error);
        }
    }
    export->report->epoch = largest;
    return status;
}

enum mk_status transfer_export(const struct transfer_places *places, struct transfer_report *report,
                               struct mk_error *error)
{
    struct export *export = mk_alloc_zero(1, sizeof(*export));
    *export = (struct export){.places = places, .report = report, .error = error, .lock = -1};
    *report = (struct transfer_report){0};
    *error = (struct mk_error){{0}};
    enum mk_status status = source_open(export);
    if (status == MK_OK) {
        status = target_make(export);
    }
    if (status == MK_OK) {
        status = log_apply(export);
    }
    if (status == MK_OK) {
        status = epochs_write(export);
    }
    if (status == MK_OK) {
        status = snapshot_write(export);
    }
    if (export->store != NULL) {
        store_close(export->store);
    }
    if (export->lock >= 0) {
        close(export->lock);
    }
    mk_free(export);
    return status;
}
