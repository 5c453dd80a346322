/* One row in memory: a key, a value or a tombstone, and where it stands between tables and base.
 *
 * A committed row is in exactly one of these places (rows.h has the rules for moving on):
 *
 *   active   dirty, in the active table; changed in place
 *   frozen   dirty, in the frozen table that a thread is writing; never changed, only superseded
 *   settled  written, still in the drained table, on its way to
 *   clean    equal to the base; in the cache's ring, may be dropped at any time
 *
 * The address of a row never changes, so tables and index point at it. */
#ifndef MK_STORE_ROW_H
#define MK_STORE_ROW_H

#include "base/base.h"

struct row {
    union {
        struct mk_link ring; /* committed: in the ring of clean rows, or pointing at itself */
        struct {             /* speculative: */
            mk_zxid zxid;    /* of the transaction that wrote it last */
            bool sorted;     /* it is in the table */
        };
    };
    uint8_t *value; /* the room behind the key, or memory of its own once it outgrew that */
    uint32_t key_len;
    uint32_t value_len;
    uint32_t value_cap;
    uint32_t inline_cap; /* room behind the key */
    uint32_t generation; /* committed: number of the table in which it was written last */
    /* One byte each and no bit field: the checkpoint's thread reads `tombstone` of a frozen row
     * while the core writes the others. */
    bool tombstone;
    bool referenced; /* read since the clock's hand last passed */
    bool below;      /* active: frozen or base may have a row under this key */
    bool superseded; /* frozen: the index has a newer one */
    uint8_t key[];
};

/* A tombstone with room for `value_room` bytes. */
struct row *row_new(struct mk_bytes key, size_t value_room);
/* Memory for key and value together, in one piece. */
size_t row_room(const struct row *row);
/* The same memory for a tombstone under another key, for which it has room. */
void row_renew(struct row *row, struct mk_bytes key);
void row_free(struct row *row);
void row_set(struct row *row, struct mk_bytes value);
void row_bury(struct row *row);          /* make it a tombstone */
size_t row_bytes(const struct row *row); /* memory, its shares of index and table included */

static inline struct mk_bytes row_key(const struct row *row)
{
    return (struct mk_bytes){row->key, row->key_len};
}

static inline struct mk_bytes row_value(const struct row *row)
{
    return (struct mk_bytes){row->value, row->value_len};
}

#endif
