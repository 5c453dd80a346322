/* The insides of the log, shared by the files that write it (disk_log.c), open it (disk_recover.c),
 * read it back (disk_replay.c) and shorten it (disk_remove.c). Private to src/store/disk_*.c; disk_log.c tells the story. */
#ifndef MK_STORE_DISK_LOG_H
#define MK_STORE_DISK_LOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/disk_segment.h"
#include "store/store.h"

#define NEXT_NAME "next"
#define NEXT_TEMPORARY "next.tmp"
#define SMALL_TEMPORARY \
    "small.tmp" /* what the log thread makes itself; never clashes with next's */
#define SEGMENT_BYTES_MAX UINT32_MAX /* positions in trailers are 32 bits */

struct segment {
    mk_zxid first; /* and its name */
    mk_zxid last;
    uint64_t end;  /* of its last durable entry */
    uint64_t size; /* of the file */
};

/* Taken: the log thread is renaming it; nobody may make another one of that name meanwhile. */
enum next_state { NEXT_ABSENT, NEXT_WRITING, NEXT_READY, NEXT_TAKEN };

struct store_log {
    struct disk_place place;
    struct store_log_options options;

    /* The log thread's own. */
    struct disk_file file; /* the current segment; fd -1: there is none with room */
    uint64_t at;           /* where the next record goes */
    uint64_t size;         /* of the current file */
    mk_zxid after;         /* the next entry follows this one; 0: there is none, any will do */
    mk_zxid floor;         /* every entry is larger */
    bool failed;

    pthread_mutex_t lock;
    struct segment *segments; /* oldest first; the last one is current */
    size_t segments_count;
    size_t segments_cap;
    enum next_state next;
    uint64_t next_size;

    /* Written with `lock` held, read without. */
    _Atomic mk_zxid first;
    _Atomic mk_zxid last;
    _Atomic uint64_t bytes;
};

/* A segment, to be read up to its last entry that is durable now. */
struct log_part {
    struct disk_file file;
    uint64_t end;
};
/* Those that hold something above `after`; close each file, and free the array, whatever the answer. */
enum mk_status disk_log_parts_open(struct store_log *log, mk_zxid after, struct log_part **parts,
                                   size_t *parts_count, struct mk_error *error);

void disk_log_segment_name(char name[32], mk_zxid first);

/* The list of segments: with `lock` held, or while no other thread can be there. */
void disk_log_segments_push(struct store_log *log, struct segment segment);
void disk_log_facts_update(struct store_log *log);

/* Copy every entry that is durable now into segments of the same names in `place`, each ending in a
 * trailer which says that all of it counts. `*last` is the last entry's zxid, 0: there is none. */
enum mk_status disk_log_copy(struct store_log *log, const struct disk_place *place, mk_zxid *last,
                             uint64_t *bytes, struct mk_error *error);

/* What to say about damage, and what to do. MK_CORRUPT. */
#define DISK_LOG_DAMAGE_ADVICE                                                                  \
    "nothing was changed; restore a copy of the data directory (`moonkeeper repair --rejoin`, " \
    "for a "                                                                                    \
    "member of an ensemble, is not there yet)"
enum mk_status disk_log_damage(const struct disk_file *file, const struct segment_summary *summary,
                               struct mk_error *error);

#endif
