/* The committed rows: active table > frozen table > clean rows > base, behind one index.
 *
 * The life of a row (places as in row.h):
 *   read from the base            -> clean
 *   written                       -> active; a clean one turns dirty where it lies, a frozen or
 *                                    settled one is superseded by a new row
 *   deleted                       -> a tombstone in active; or at once clean, "known to be absent",
 *                                    if nothing below has it
 *   the active table is frozen    -> frozen (a swap of tables; the rows are not touched)
 *   the checkpoint is written     -> settled (a swap again)
 *   a few with each call          -> clean, or freed if superseded
 *   a few with each call          -> gone, when clean rows exceed their share of memory
 *
 * So at most one row per key is in the index, and it is the newest; what is not in the index is as
 * the base has it. A read is one probe of the index, or one of the base. */
#ifndef MK_STORE_COMMITTED_H
#define MK_STORE_COMMITTED_H

#include "store/gaps.h"
#include "store/index.h"
#include "store/store.h"
#include "store/table.h"

struct generation { /* a table, and what was written while it was the active one */
    struct table table;
    uint64_t bytes;
    uint32_t number; /* 0: there is none */
};

/* Rows of the active table that are not in its tree yet, the newest of each kind: what is deleted soon,
 * as most rows about a call are, never gets there. So many of a kind at most, or freezing would take
 * long; and none once somebody looks at a range of it. */
#define COMMITTED_UNSORTED_MAX 256
#define COMMITTED_KINDS 128 /* by the first byte of the key */

struct committed {
    struct store_base *base;
    uint64_t clean_bytes_max;
    struct index index;
    struct generation active;
    struct committed_unsorted {
        struct mk_link rows; /* by `ring`, the oldest first */
        uint32_t count;
    } unsorted[COMMITTED_KINDS];
    uint64_t
        sorted; /* how many rows have moved from there: cursors look whether theirs is still good */
    struct generation frozen;
    struct generation settled;
    struct table_cursor settling; /* the next settled row to become clean */
    struct mk_link ring;          /* clean rows in the order of the clock */
    uint64_t clean_bytes;
    struct gaps gaps;
    struct mk_buf read;               /* what the base answered last */
    struct store_load wanted;         /* for the last MK_WOULD_BLOCK */
    uint32_t settles;                 /* checkpoints taken in */
    struct store_base_iter *iters[2]; /* kept for reuse, by may_block; of the base as it is now */
    bool base_calls;                  /* the base may hold rows about calls */
};

/* The base certainly has no row of this key's kind: it need not be asked. Most checkpoints find no call
 * waiting, and each change of a call looks at a dozen rows that are about calls. */
bool committed_base_lacks(const struct committed *rows, struct mk_bytes key);

void committed_init(struct committed *rows, struct store_base *base, uint64_t clean_bytes_max,
                    uint64_t seed);
void committed_free(struct committed *rows); /* not the base */

/* The newest row under `key`, live or tombstone; it stays until the next committed_tidy(). Reads it
 * from the base if need be. MK_OK, MK_NO_NODE, MK_WOULD_BLOCK, failures. */
enum mk_status committed_get(struct committed *rows, struct mk_bytes key, bool may_block,
                             struct row **row);
/* The same, by the hash that the index gives the key. */
enum mk_status committed_get_hashed(struct committed *rows, struct mk_bytes key, uint64_t hash,
                                    bool may_block, struct row **row);
bool committed_holds(const struct committed *rows, struct mk_bytes key); /* without the base */
/* What the base held under `load->key` after the load was wanted: a clean row, if it can be no other
 * now. Whatever has been written since is in the index until a checkpoint has settled it. */
void committed_loaded(struct committed *rows, const struct store_load *load);
/* `fresh`: the caller knows that no row is visible under this key. */
void committed_put(struct committed *rows, struct mk_bytes key, struct mk_bytes value, bool fresh);
void committed_delete(struct committed *rows, struct mk_bytes key);

/* Let the active table have all rows of a kind, before a range of it is looked at; 0: of all kinds. */
void committed_sort(struct committed *rows, uint8_t kind);

/* Bounded housekeeping: settled rows become clean, clean ones beyond the bound are dropped. Rows
 * that were handed out may go, so it is called where a function of the door begins. */
void committed_tidy(struct committed *rows);

void committed_freeze(struct committed *rows); /* active becomes frozen; there must be none */
void committed_settle(struct committed *rows); /* the frozen table is in the base now */
uint64_t committed_bytes(const struct committed *rows);
void committed_check(struct committed *rows);

#endif
