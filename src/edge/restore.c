/* A server out of a backup. For a single one copying the files would do; members of an ensemble need more:
 *
 *   1. the mark      a member that has forgotten: until the end it does not vote, whatever happens
 *   2. the files     state and log, copied
 *   3. the log's end what was not known to be committed when the backup was made, is cut off
 *   4. the epochs    far above those of the backup, so that none of the ensemble that was can be believed:
 *                    a server of it that turns up again, with later transactions, has the older epoch
 *   5. the mark      goes
 *
 * All members of the new ensemble are restored from the same backup. Then they have the same history and the same
 * promises, and each of them may lead. */
#include "edge/edge.h"

#include <inttypes.h>
#include <unistd.h>

/* More elections than there have been between the backup and its being needed; 31 bits of epochs are enough
 * for two hundred thousand restorations. */
#define EPOCHS_ABOVE 10000

static bool is_there(const char *path, struct mk_error *error)
{
    if (access(path, F_OK) != 0) {
        return false;
    }
    mk_error_set(error, "%s is there: move it away, a backup is not mixed with anything", path);
    return true;
}

enum mk_status edge_restore_files(const struct edge_options *options, const char *state_path,
                                  const char *log_path, mk_zxid *committed, struct mk_error *error)
{
    struct mk_error ignored;

    if (is_there(state_path, error) || is_there(log_path, error)) {
        return MK_NODE_EXISTS; /* and is nobody's to be marked */
    }
    enum mk_status status = edge_amnesiac_mark(options->data_dir, error);
    if (status != MK_OK) {
        return status;
    }
    status = store_backup_read(options->restore_from, state_path, log_path, committed, error);
    if (status != MK_OK && !is_there(state_path, &ignored) && !is_there(log_path, &ignored)) {
        (void)edge_amnesiac_end(options->data_dir); /* nothing has happened */
    }
    return status;
}

static enum mk_status epochs_write(const char *log_path, struct mk_error *error)
{
    int64_t epoch = 0;
    enum mk_status status = store_epoch_read(log_path, "acceptedEpoch", &epoch, error);

    if (status != MK_OK && status != MK_NO_NODE) {
        return status;
    }
    epoch += EPOCHS_ABOVE;
    if (epoch >= INT32_MAX) {
        mk_error_set(error, "the backup's epoch is %" PRId64 ": there are no %d above it",
                     epoch - EPOCHS_ABOVE, EPOCHS_ABOVE);
        return MK_BAD_ARGUMENTS;
    }
    status = store_epoch_write(log_path, "acceptedEpoch", epoch, error);
    return status == MK_OK ? store_epoch_write(log_path, "currentEpoch", epoch, error) : status;
}

enum mk_status edge_restore_promises(const struct edge_core *core, const char *log_path,
                                     mk_zxid committed, struct mk_error *error)
{
    mk_zxid applied = store_applied(core->store); /* which is committed, too */
    enum mk_status status =
        store_log_truncate(core->log, committed > applied ? committed : applied, error);

    return status == MK_OK ? epochs_write(log_path, error) : status;
}
