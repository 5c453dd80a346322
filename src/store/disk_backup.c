/* A backup: state and log copied while both are in use.
 *
 *   1. NAME.tmp        made afresh; what an interrupted backup left there goes first
 *   2. NAME.tmp/state  RocksDB links its files: some checkpoint, complete up to some zxid
 *   3. NAME.tmp/log    the log as far as it is durable, and the epochs. It begins at or before the end
 *                      of 2 and ends behind it, because it is copied later and nothing is removed
 *                      from it meanwhile
 *   4. NAME            by a rename, when all of it is on disk
 *
 * So a server that starts on it has every transaction that was acknowledged before step 3 began. A member of
 * an ensemble has also logged what may never be committed: the file `committed` says up to where it was. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk_log.h"

#define PATH_BYTES 4096
#define COMMITTED "committed" /* a number, in a file like those of the epochs */

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
        status = store_epoch_write(directory, COMMITTED, backup->committed, error);
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
    if (status == MK_OK) {
        status = log_copy(log, path, backup, error);
    }
    if (status == MK_OK && backup->mark != NULL) {
        status = store_epoch_write(directory, backup->mark, 0, error);
    }
    return status;
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

    backup->zxid = 0;
    backup->bytes = 0;
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

/* ---- Read ---- */

#define COPY_BYTES ((size_t)1 << 20)

static enum mk_status bytes_copy(const struct disk_file *from, const struct disk_file *to,
                                 uint8_t *bytes, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    size_t got = COPY_BYTES;

    for (uint64_t at = 0; status == MK_OK && got == COPY_BYTES; at += got) {
        status = disk_file_read(from, at, bytes, COPY_BYTES, &got, error);
        if (status == MK_OK && got > 0) {
            status = disk_file_write(to, at, mk_bytes_of(bytes, got), MK_BYTES(""), error);
        }
    }
    return status == MK_OK ? disk_file_sync(to, error) : status;
}

static enum mk_status file_copy(const struct disk_place *from, const struct disk_place *to,
                                const char *name, uint8_t *bytes, struct mk_error *error)
{
    struct disk_file source;
    struct disk_file target;

    if (strlen(name) >= sizeof(source.name)) {
        mk_error_set(error, "%s/%.100s is no file of a backup: remove it", from->path, name);
        return MK_BAD_ARGUMENTS;
    }
    enum mk_status status = disk_file_open(&source, from, name, O_RDONLY, error);
    if (status != MK_OK) {
        return status;
    }
    status = disk_file_open(&target, to, name, O_WRONLY | O_CREAT | O_EXCL, error);
    if (status == MK_OK) {
        status = bytes_copy(&source, &target, bytes, error);
        disk_file_close(&target);
    }
    disk_file_close(&source);
    return status;
}

/* The files that are in it: neither state nor log have directories. */
static enum mk_status files_copy(const struct disk_place *from, const struct disk_place *to,
                                 struct mk_error *error)
{
    DIR *listing = opendir(from->path);
    uint8_t *bytes = mk_alloc(COPY_BYTES);
    enum mk_status status = listing != NULL ? MK_OK : disk_failure(from, "list", "", error);
    struct dirent *entry;

    while (status == MK_OK && (entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] != '.') {
            status = file_copy(from, to, entry->d_name, bytes, error);
        }
    }
    if (listing != NULL) {
        (void)closedir(listing);
    }
    mk_free(bytes);
    return status == MK_OK ? disk_place_sync(to, error) : status;
}

/* To a name beside `to`, by which it is of no meaning yet: *temporary. */
static enum mk_status directory_copy(const char *backup, const char *name, const char *to,
                                     char temporary[PATH_BYTES], struct mk_error *error)
{
    struct disk_place source;
    struct disk_place target;
    char path[PATH_BYTES];

    if (access(to, F_OK) == 0) {
        mk_error_set(error, "%s is there: move it away, a backup is not mixed with anything", to);
        return MK_NODE_EXISTS;
    }
    enum mk_status status = path_make(path, backup, name, error);
    if (status == MK_OK) {
        status = path_make(temporary, to, ".tmp", error);
    }
    if (status == MK_OK) {
        status = disk_place_open(&source, path, true, error);
    }
    if (status != MK_OK) {
        return status;
    }
    disk_tree_remove(AT_FDCWD, temporary); /* of one that was interrupted */
    status = disk_place_make(&target, temporary, true, error);
    if (status == MK_OK) {
        status = files_copy(&source, &target, error);
        disk_place_close(&target);
    }
    disk_place_close(&source);
    return status;
}

static enum mk_status directory_publish(const char *temporary, const char *to,
                                        struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_open(&place, temporary, true, error);

    if (status == MK_OK) {
        status = backup_publish(&place, temporary, to, error);
        disk_place_close(&place);
    }
    return status;
}

/* The state appears first: a server refuses to start on one that has no log, and would start on a log alone. */
enum mk_status store_backup_read(const char *backup, const char *state, const char *log,
                                 mk_zxid *committed, struct mk_error *error)
{
    char new_state[PATH_BYTES];
    char new_log[PATH_BYTES];
    enum mk_status status = directory_copy(backup, "/state", state, new_state, error);

    if (status == MK_OK) {
        status = directory_copy(backup, "/log", log, new_log, error);
    }
    if (status == MK_OK) {
        status = directory_publish(new_state, state, error);
    }
    if (status == MK_OK) {
        status = directory_publish(new_log, log, error);
    }
    if (status != MK_OK) {
        return status;
    }
    status = store_epoch_read(log, COMMITTED, committed, error);
    if (status == MK_NO_NODE) {
        *committed = INT64_MAX;
        status = MK_OK;
    }
    return status;
}
