/* Private to server: transactions from the moment they are in a batch until nobody needs them any more.
 *
 *   with the log --> durable --> applied --> kept for learners that come back --> gone
 *
 * A batch's buffer moves in and out: alone, nothing is copied and nothing is kept. */
#ifndef MK_SERVER_HISTORY_H
#define MK_SERVER_HISTORY_H

#include "base/base.h"
#include "server/server.h"

/* Batches that are smaller are put together, so that a buffer is not kept for each. */
#define HISTORY_CHUNK_BYTES ((size_t)64 << 10)
/* What is kept behind the applied transactions, besides the number that the options say. A learner that
 * is further behind gets a snapshot. */
#define HISTORY_KEPT_BYTES_MAX ((size_t)64 << 20)

struct history_chunk {
    struct mk_buf bytes; /* entries, framed as in a batch */
    mk_zxid first, last;
    uint32_t count;
};

struct history {
    struct history_chunk *chunks; /* ring */
    size_t head, count, cap;
    bool lent;           /* the last chunk's bytes are the log's to free, and not durable yet */
    uint32_t kept_count; /* transactions kept behind the applied ones; 0: none */
    uint64_t entries;    /* in all chunks */
    uint64_t bytes;
    size_t apply_chunk; /* the next to be applied; count: there is none */
    size_t apply_offset;
};

/* A place between two transactions. Valid until the history changes. */
struct history_cursor {
    size_t chunk;
    size_t offset;
};

void history_init(struct history *history, uint32_t kept_count);
void history_free(struct history *history); /* what is with the log stays the log's */

mk_zxid history_entry_zxid(struct mk_bytes entry);

/* The log has this batch now; then it is durable, and its buffer the history's. */
void history_lend(struct history *history, const struct server_batch *batch);
void history_give_back(struct history *history, struct server_batch *batch);
/* One that is in the log since before this server started. */
void history_recover(struct history *history, struct mk_bytes entry);

/* The next one to be applied, if it is durable and its zxid is not above `through`. */
bool history_apply_next(struct history *history, mk_zxid through, struct mk_bytes *entry);
/* All that is applied is in a snapshot that has taken the tree's place: begin afresh behind it. */
void history_clear(struct history *history);
/* Nothing above `zxid` has ever been; none of it may be applied, or with the log. */
void history_truncate(struct history *history, mk_zxid zxid);
/* Drop the oldest that need not be kept, all above `pinned` excepted (INT64_MAX: nothing is pinned).
 * False: there was none; true: here is a buffer to use again, and there may be more. */
bool history_trim(struct history *history, mk_zxid pinned, struct mk_buf *spare);

mk_zxid history_first(const struct history *history); /* 0: there are none */
mk_zxid history_last(const struct history *history);
/* In front of the first whose zxid is above `zxid`. */
struct history_cursor history_after(const struct history *history, mk_zxid zxid);
bool history_next(const struct history *history, struct history_cursor *cursor,
                  struct mk_bytes *entry);
/* The largest zxid below `zxid`; 0: there is none. */
mk_zxid history_before(const struct history *history, mk_zxid zxid);

void history_check(const struct history *history); /* asserts every invariant */

#endif
