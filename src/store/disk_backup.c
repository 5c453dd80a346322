/* A backup: state and log copied while both are in use.
 *
 *   1. NAME.tmp        made afresh; what an interrupted backup left there goes first
 *   2. NAME.tmp/state  RocksDB links its files: some checkpoint, complete up to some zxid
 *   3. NAME.tmp/log    the log as far as it is durable, and the epochs. It begins at or before the end
 *                      of 2 and ends behind it, because it is copied later and nothing is removed
 *                      from it meanwhile
 *   4. NAME            by a rename, when all of it is on disk
 *
 * So a server that starts on it has every transaction that was acknowledged before step 3 began. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk_log.h"

#define PATH_BYTES 4096

static enum mk_status path_make(char path[PATH_BYTES], const char *directory, const char *suffix,
                                struct mk_error *error)
{
    if (snprintf(path, PATH_BYTES, "%s%s", directory, suffix) >= PATH_BYTES) {
        mk_error_set(error, "the path of the backup is longer than %d bytes", PATH_BYTES - 1);
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

static enum mk_status epochs_copy(const struct store_log *log, const char *directory,
                                  struct mk_error *error)
{
    static const char *const names[] = {"acceptedEpoch", "currentEpoch"};
    enum mk_status status = MK_OK;

    for (size_t i = 0; i < MK_COUNT(names) && status == MK_OK; i++) {
        int64_t epoch;
        status = store_epoch_read(log->place.path, names[i], &epoch, error);
        if (status == MK_NO_NODE) {
            status = MK_OK; /* Only before the first start. */
        } else if (status == MK_OK) {
            status = store_epoch_write(directory, names[i], epoch, error);
        }
    }
    return status;
}

static enum mk_status log_copy(struct store_log *log, const char *directory,
                               struct store_backup *backup, struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_make(&place, directory, true, error);

    if (status != MK_OK) {
        return status;
    }
    status = disk_log_copy(log, &place, &backup->zxid, &backup->bytes, error);
    if (status == MK_OK) {
        status = epochs_copy(log, directory, error);
    }
    if (status == MK_OK) {
        status = disk_place_sync(&place, error);
    }
    disk_place_close(&place);
    return status;
}

static enum mk_status backup_fill(struct store_base *base, struct store_log *log,
                                  const char *directory, struct store_backup *backup,
                                  struct mk_error *error)
{
    char path[PATH_BYTES];
    enum mk_status status = path_make(path, directory, "/state", error);

    if (status == MK_OK) {
        status = disk_rocks_copy(base, path, error);
    }
    if (status == MK_OK) {
        status = path_make(path, directory, "/log", error);
    }
    return status == MK_OK ? log_copy(log, path, backup, error) : status;
}

/* The names in the directory, and its own, which is new. */
static enum mk_status backup_publish(const struct disk_place *place, const char *temporary,
                                     const char *directory, struct mk_error *error)
{
    enum mk_status status = disk_place_sync(place, error);

    if (status == MK_OK && rename(temporary, directory) != 0) {
        status = disk_failure(place, "rename", "", error);
    }
    if (status != MK_OK) {
        return status;
    }
    struct disk_place parent;
    char path[PATH_BYTES];
    status = path_make(path, directory, "/..", error);
    if (status == MK_OK) {
        status = disk_place_open(&parent, path, true, error);
    }
    if (status == MK_OK) {
        status = disk_place_sync(&parent, error);
        disk_place_close(&parent);
    }
    return status;
}

enum mk_status store_backup_write(struct store_base *base, struct store_log *log,
                                  const char *directory, struct store_backup *backup,
                                  struct mk_error *error)
{
    struct disk_place place;
    char temporary[PATH_BYTES];

    *backup = (struct store_backup){0};
    enum mk_status status = path_make(temporary, directory, ".tmp", error);
    if (status != MK_OK) {
        return status;
    }
    if (access(directory, F_OK) == 0) {
        mk_error_set(error, "%s is there already: a backup takes a name of its own", directory);
        return MK_NODE_EXISTS;
    }
    disk_tree_remove(AT_FDCWD, temporary);
    status = disk_place_make(&place, temporary, true, error);
    if (status == MK_OK) {
        status = backup_fill(base, log, temporary, backup, error);
        if (status == MK_OK) {
            status = backup_publish(&place, temporary, directory, error);
        }
        disk_place_close(&place);
    }
    if (status != MK_OK) {
        disk_tree_remove(AT_FDCWD, temporary);
    }
    return status;
}
