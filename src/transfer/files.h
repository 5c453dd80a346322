/* Private to transfer: the files of both sides. */
#ifndef MK_TRANSFER_FILES_H
#define MK_TRANSFER_FILES_H

#include "store/store.h"
#include "transfer/transfer.h"

#define PATH_BYTES 4096

/* "directory/name". False: too long, and `error` says so. */
bool path_join(char path[PATH_BYTES], const char *directory, const char *name,
               struct mk_error *error);
/* A ZooKeeper's directory: version-2 in it, or, if there is none, itself. */
bool path_version_2(char path[PATH_BYTES], const char *directory, struct mk_error *error);
/* The status and the text for errno, met while trying to `verb` `path`. */
enum mk_status path_failed(const char *verb, const char *path, struct mk_error *error);

/* Snapshots in a directory, the newest first; of one zxid, the one that is not compressed first. */
#define SNAPSHOTS_MAX 4096 /* ZooKeeper keeps three, unless nobody has told it to remove them */
struct snapshot_file {
    mk_zxid zxid;
    char name[64];
};
struct snapshot_files {
    struct snapshot_file files[SNAPSHOTS_MAX];
    size_t count;
};
enum mk_status snapshot_files_list(const char *directory, struct snapshot_files *out,
                                   struct mk_error *error);

/* Fill a store from one, checksum and all. MK_CORRUPT: it is damaged or incomplete. */
enum mk_status snapshot_file_read(const char *path, struct store_install *install,
                                  struct mk_error *error);
/* Write one, whole and durable, or none. */
enum mk_status snapshot_file_write(const char *directory, const char *name,
                                   struct store_snapshot *snapshot, struct mk_error *error);

/* A transaction's bytes into a store. MK_CORRUPT: they are none. */
struct apply;
enum mk_status entry_apply(struct apply *apply, mk_zxid zxid, struct mk_bytes entry,
                           struct mk_error *error);

/* Stores here are filled and emptied by one thread that waits for nobody. */
extern const struct store_options transfer_rows;
extern const struct store_disk_options transfer_disk;

#endif
