/* Files and directories, as the disk half of the store uses them. Private to src/store/disk_*.c.
 *
 * Whatever fails says what was being done to which file, why it failed, and what to do; and it is
 * done once: a sync that has failed is never tried again, because Linux forgets which pages it
 * could not write, so that a second sync would succeed and lie. */
#ifndef MK_STORE_DISK_FILES_H
#define MK_STORE_DISK_FILES_H

#include "base/base.h"

/* An open directory. Files in it are named relative to it, so renaming it above us does no harm. */
struct disk_place {
    char *path; /* for messages */
    int fd;
    bool sync; /* false: no sync is made at all; for tests that must be seen failing */
};

enum mk_status disk_place_open(struct disk_place *place, const char *path, bool sync,
                               struct mk_error *error);
/* Create it first if it is missing, and make its entry in its parent durable. */
enum mk_status disk_place_make(struct disk_place *place, const char *path, bool sync,
                               struct mk_error *error);
void disk_place_close(struct disk_place *place);
/* Make durable which names there are. */
enum mk_status disk_place_sync(const struct disk_place *place, struct mk_error *error);

/* Remove a directory with all that is in it, or a file. What cannot be removed stays: who needs it gone will
 * see. */
void disk_tree_remove(int parent, const char *name);

/* The status and the text for `errno`, met while trying to `verb` (as in "write") `name`. */
enum mk_status disk_failure(const struct disk_place *place, const char *verb, const char *name,
                            struct mk_error *error);

/* disk_rocks.c: write the base as it is now, as a database in `directory`, which must not exist. Only
 * for bases in RocksDB. */
struct store_base;
enum mk_status disk_rocks_copy(struct store_base *base, const char *directory,
                               struct mk_error *error);

/* An open file of a place. `name` is borrowed for messages, or kept inside by the owner. */
struct disk_file {
    const struct disk_place *place;
    char name[32];
    int fd; /* -1: closed */
};
/* `flags` as in open(2). */
enum mk_status disk_file_open(struct disk_file *file, const struct disk_place *place,
                              const char *name, int flags, struct mk_error *error);
/* To read a file that may well be absent: MK_NO_NODE then, and no text. */
enum mk_status disk_file_find(struct disk_file *file, const struct disk_place *place,
                              const char *name, struct mk_error *error);
void disk_file_close(struct disk_file *file);
enum mk_status disk_file_size(const struct disk_file *file, uint64_t *size, struct mk_error *error);
/* `head`, then `tail`, in one call if the system takes it whole. */
enum mk_status disk_file_write(const struct disk_file *file, uint64_t at, struct mk_bytes head,
                               struct mk_bytes tail, struct mk_error *error);
/* Up to `len` bytes; `*got` is less only at the end of the file. */
enum mk_status disk_file_read(const struct disk_file *file, uint64_t at, uint8_t *data, size_t len,
                              size_t *got, struct mk_error *error);
enum mk_status disk_file_sync(const struct disk_file *file, struct mk_error *error);
/* Durable when they return. */
enum mk_status disk_file_truncate(const struct disk_file *file, uint64_t size,
                                  struct mk_error *error);
enum mk_status disk_file_rename(struct disk_file *file, const char *name, struct mk_error *error);
enum mk_status disk_name_remove(const struct disk_place *place, const char *name,
                                struct mk_error *error); /* MK_OK if there is none */

#endif
