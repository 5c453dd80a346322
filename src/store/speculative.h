/* The rows as they will be: what the transactions proposed and not yet committed have written.
 *
 * Each row knows the zxid that wrote it last. A queue of (zxid, row), in order, finds what may be
 * forgotten once the committed rows have reached a zxid; a journal of the running transaction takes
 * it back. What is not here is as the committed rows have it.
 *
 * Nearly all rows are forgotten before anybody asks for a range of them, so a row enters a table only
 * when somebody does; and as ranges are of one kind, each kind has a table and a queue of its own. */
#ifndef MK_STORE_SPECULATIVE_H
#define MK_STORE_SPECULATIVE_H

#include "store/gaps.h"
#include "store/index.h"
#include "store/table.h"

/* Of the rows whose keys begin with one byte. */
struct speculative_kind {
    struct table table; /* of the rows that are sorted */
    uint32_t count;     /* of all, tombstones included */
    struct written {    /* ring of `written_cap` entries; a row has one entry per transaction */
        mk_zxid zxid;
        struct row *row;
    } * written;
    size_t written_first;
    size_t written_count;
    size_t written_cap;
    size_t written_unsorted; /* the newest so many: of rows that may not be in the table */
};

struct speculative {
    struct speculative_kind kinds[128]; /* by the first byte */
    uint8_t used[128];                  /* those that there have been rows of */
    size_t used_count;
    struct gaps gaps; /* where nothing is alive in this view: see rows.c */
    struct index index;
    struct undo { /* of the running transaction, in order; one entry per row that it has changed */
        struct row *row;
        bool existed;
        bool tombstone;
        mk_zxid zxid;
        size_t value_len; /* the old value; all are in `undo_bytes`, one behind the other */
    } * undo;
    size_t undo_count;
    size_t undo_cap;
    struct mk_buf undo_bytes;
    struct mk_link spare; /* rows of ROW_ROOM bytes, to be used again */
    size_t spare_count;
    uint64_t bytes;
};

void speculative_init(struct speculative *rows, uint64_t seed);
void speculative_free(struct speculative *rows);
/* NULL: ask the committed rows. Otherwise live or tombstone. `hash`: of the key, by an index with the same
 * seed, so that a look at both costs one. */
struct row *speculative_find(const struct speculative *rows, struct mk_bytes key, uint64_t hash);
/* The first row of a kind >= from; backwards: the last < from. */
struct table_cursor speculative_seek(struct speculative *rows, uint8_t kind, struct mk_bytes from,
                                     bool backwards);
/* value null: delete. */
void speculative_write(struct speculative *rows, mk_zxid zxid, struct mk_bytes key,
                       struct mk_bytes value);
void speculative_end(struct speculative *rows);                  /* the running transaction stays */
void speculative_abort(struct speculative *rows);                /* it goes */
void speculative_forget(struct speculative *rows, mk_zxid zxid); /* what nothing later changed */
uint64_t speculative_bytes(const struct speculative *rows);
void speculative_check(const struct speculative *rows);

#endif
