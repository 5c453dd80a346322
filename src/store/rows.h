/* Rows as a view has them, and the insides of the store and its views.
 *
 * The files above this one (znodes, children, sessions, calls, facts) read and write rows through a
 * view and never ask which: that is why prepare and apply cannot disagree. They follow one rule: an
 * operation first reads what it needs, and may then answer MK_WOULD_BLOCK with nothing changed;
 * then it writes, between rows_write_begin() and rows_write_end(), where reads wait for the disk if
 * they must (they hardly ever do: what was just read is in memory). */
#ifndef MK_STORE_ROWS_H
#define MK_STORE_ROWS_H

#include "store/cursor.h"
#include "store/keys.h"
#include "store/listings.h"
#include "store/owned.h"
#include "store/speculative.h"

struct store_view {
    struct store *store;
    bool speculative;
    bool may_block;
    bool writing;
    bool begun;          /* between begin and end */
    mk_zxid zxid;        /* of the last transaction begun */
    mk_zxid zxid_before; /* of the one before, for abort */
    mk_ms time_ms;
    uint32_t creations; /* znodes created by it */
    uint32_t wakes;     /* places in `ready` and `gone` given by it */
};

struct store_checkpoint {
    struct store *store;
    mk_zxid applied; /* the zxid up to which it is complete */
    bool writing;    /* handed out, and not done yet */
    bool written;    /* in the base */
    bool calls;      /* there is a call in it */
};

struct store {
    struct store_options options;
    struct committed committed;
    struct speculative speculative;
    struct owned owned;
    struct store_view views[2]; /* committed, speculative */
    struct listings listings;   /* of committed children */
    struct store_totals totals;
    mk_zxid applied;
    mk_zxid durable;
    bool again;             /* store_again() */
    enum mk_status failure; /* the first read in the midst of writing that failed, or MK_OK */
    struct store_checkpoint checkpoint; /* of the frozen table, while there is one */
    struct mk_buf value;                /* a row being put together */
    struct mk_arena scraps;             /* of one operation */
};

/* Positions of znodes that are created by what is applied again: their siblings of the same transaction
 * may be there already, with the small positions that a snapshot gave them. */
#define STORE_POSITIONS_AGAIN ((uint32_t)1 << 31)

/* As store_open(), but if the base is empty, the tree is, too: not even the root is there. */
struct store *store_open_bare(struct store_base *base, const struct store_options *options,
                              bool *fresh, struct mk_error *error);

/* Where each function of the door that reads or writes rows begins. */
void rows_enter(struct store_view *view);

/* The value of `key`; valid until rows are entered again or this one is written. MK_OK, MK_NO_NODE,
 * MK_WOULD_BLOCK, failures. */
enum mk_status rows_get(struct store_view *view, struct mk_bytes key, struct mk_bytes *value);

/* Whether there can be rows of `kind`: KEY_AWAITED, KEY_READY, KEY_BROKEN, KEY_GONE, KEY_PARKED, KEY_HELD,
 * KEY_SLOWED, KEY_DEADLINE, KEY_REAPABLE, KEY_QUOTA or KEY_COUNTING. It costs nothing, and it says no where nobody parks calls,
 * makes containers or sets quotas. */
bool rows_any(const struct store_view *view, enum key_kind kind);

/* Whether all rows of `kind` are in memory: reading them cannot block. */
bool rows_in_memory(const struct store_view *view, enum key_kind kind);

void rows_write_begin(struct store_view *view);
/* A read in the midst of writing has failed. That is kept, and every rows_write_end() from then on
 * says it: the store may have become inconsistent, and the caller must stop serving. */
void rows_write_check(struct store_view *view, enum mk_status status);
enum mk_status rows_write_end(struct store_view *view);
void rows_put(struct store_view *view, struct mk_bytes key, struct mk_bytes value);
/* The caller knows that there is no such row, so that nobody has to look. */
void rows_put_fresh(struct store_view *view, struct mk_bytes key, struct mk_bytes value);
void rows_delete(struct store_view *view, struct mk_bytes key);

/* Live rows of a range. As committed_cursor, which see, in either view. */
struct rows_cursor {
    struct store_view *view;
    struct range range;
    struct committed_cursor committed;
    bool committed_valid;
    struct table_cursor speculative;
    size_t dead; /* speculative tombstones that it has passed */
    bool jumped; /* over a gap of the speculative view */
    struct mk_bytes key;
    struct mk_bytes value;
};
enum mk_status rows_cursor_open(struct rows_cursor *cursor, struct store_view *view,
                                struct range range);
enum mk_status rows_cursor_step(struct rows_cursor *cursor);
void rows_cursor_close(struct rows_cursor *cursor);

#endif
