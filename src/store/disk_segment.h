/* One segment file of the log: its format, reading it, and judging how it ends. Private to
 * src/store/disk_*.c. Writing is disk_log.c's business. */
#ifndef MK_STORE_DISK_SEGMENT_H
#define MK_STORE_DISK_SEGMENT_H

#include "base/base.h"
#include "store/disk_files.h"

#define SEGMENT_HEADER_BYTES 16 /* "ZKLG", i32 2, i64 dbid 0 */
#define SEGMENT_FRAME_BYTES 13  /* a record's i64 adler32 and i32 len before, 'B' behind */
#define SEGMENT_PREFIX_BYTES 12 /* the part of it before the entry */
#define SEGMENT_TRAILER_BYTES 24
#define SEGMENT_ENTRY_BYTES_MIN 32 /* a TxnHeader alone */

/* The bytes of a segment in which nothing is written yet: header, and a trailer behind it. */
#define SEGMENT_START_BYTES (SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
void segment_start_put(uint8_t start[SEGMENT_START_BYTES]);

/* The trailer that a batch written at `begin` and ending at `end` leaves behind itself. */
void segment_trailer_put(uint8_t trailer[SEGMENT_TRAILER_BYTES], uint64_t begin, uint64_t end);

/* Fill in the checksum of a record of which `entry` is the entry. */
void segment_record_seal(uint8_t *record, struct mk_bytes entry);
mk_zxid segment_entry_zxid(struct mk_bytes entry);
/* May `next` come directly after `last` in a log? One more, or a later epoch; anything after 0. */
bool segment_zxid_follows(mk_zxid last, mk_zxid next);

/* A window that slides over the file; grows to the largest record, and is at least 1 MiB. */
struct segment_reader {
    const struct disk_file *file;
    uint64_t size;
    uint8_t *window;
    size_t window_cap;
    size_t window_len;
    uint64_t window_at;
    struct mk_error *error;
};
enum mk_status segment_reader_init(struct segment_reader *reader, const struct disk_file *file,
                                   struct mk_error *error);
void segment_reader_deinit(struct segment_reader *reader);

/* The record at `at`; the next one is at `at + SEGMENT_FRAME_BYTES + entry->len`. `*entry` is valid
 * until the next call. MK_MALFORMED: no valid record is there. MK_IO. */
enum mk_status segment_record_read(struct segment_reader *reader, uint64_t at, mk_zxid *zxid,
                                   struct mk_bytes *entry);

enum segment_state {
    SEGMENT_CLEAN,   /* ends as we, or a ZooKeeper, would leave it */
    SEGMENT_TORN,    /* what follows the last entry was never acknowledged: cut it off */
    SEGMENT_DAMAGED, /* something that was acknowledged cannot be read */
};
struct segment_summary {
    enum segment_state state;
    mk_zxid first; /* 0: no entries */
    mk_zxid last;
    uint64_t end;      /* where the valid entries end */
    uint64_t size;     /* of the file */
    bool has_trailer;  /* directly at `end` */
    uint64_t found_at; /* damaged: what is valid though it comes after the damage */
    mk_zxid missing;   /* damaged: if not 0, the entry that should have come at `end` */
};
/* Read it all. Entries must follow `last` (0: whatever comes first). MK_IO. */
enum mk_status segment_summarise(struct segment_reader *reader, mk_zxid last,
                                 struct segment_summary *summary);

#endif
