/* The transactions that are in memory, in order, in chunks of whole batches. At most one chunk, the last,
 * is with the log. What is applied is a prefix; what is kept behind it is bounded in number and bytes. */
#include "server/history.h"

#include "store/store.h"

#define ENTRY_ZXID_AT 12 /* in a TxnHeader: behind the session and the cxid */
#define CHUNKS_FIRST 16

void history_init(struct history *history, uint32_t kept_count)
{
    *history = (struct history){.kept_count = kept_count};
}

static struct history_chunk *chunk_at(const struct history *history, size_t index)
{
    MK_ASSERT(index < history->count);
    return &history->chunks[(history->head + index) & (history->cap - 1)];
}

static struct history_chunk *last_chunk(const struct history *history)
{
    return chunk_at(history, history->count - 1);
}

mk_zxid history_entry_zxid(struct mk_bytes entry)
{
    MK_ASSERT(entry.len >= ENTRY_ZXID_AT + sizeof(mk_zxid));
    return (mk_zxid)mk_load_u64(entry.data + ENTRY_ZXID_AT);
}

/* ---- In ---- */

static void chunks_double(struct history *history)
{
    size_t cap = history->cap == 0 ? CHUNKS_FIRST : history->cap * 2;
    struct history_chunk *chunks = mk_alloc(cap * sizeof(*chunks));

    for (size_t i = 0; i < history->count; i++) {
        chunks[i] = *chunk_at(history, i);
    }
    mk_free(history->chunks);
    history->chunks = chunks;
    history->cap = cap;
    history->head = 0;
}

static void chunk_push(struct history *history, const struct history_chunk *chunk)
{
    MK_ASSERT(chunk->first > history_last(history) && chunk->last >= chunk->first);

    if (history->count == history->cap) {
        chunks_double(history);
    }
    if (history->apply_chunk == history->count) {
        history->apply_offset = 0;
    }
    history->count++;
    *last_chunk(history) = *chunk;
    history->entries += chunk->count;
    history->bytes += chunk->bytes.len;
}

void history_lend(struct history *history, const struct server_batch *batch)
{
    struct mk_bytes first;
    size_t offset = 0;

    MK_ASSERT(!history->lent);
    bool any = store_log_entry_next(mk_buf_view(&batch->bytes), &offset, &first);
    MK_ASSERT(any);
    struct history_chunk chunk = {
        .bytes = batch->bytes,
        .first = history_entry_zxid(first),
        .last = batch->last,
        .count = batch->count,
    };
    chunk_push(history, &chunk);
    history->lent = true;
}

/* Put the last chunk at the end of the one before it. None of it is applied. */
static void chunk_join(struct history *history)
{
    struct history_chunk *last = last_chunk(history);
    struct history_chunk *before = chunk_at(history, history->count - 2);

    if (history->apply_chunk == history->count - 1) {
        history->apply_chunk--; /* all of the one before is applied: it goes on where that ended */
        history->apply_offset = before->bytes.len;
    }
    mk_buf_append_bytes(&before->bytes, mk_buf_view(&last->bytes));
    before->last = last->last;
    before->count += last->count;
    history->count--;
}

/* Where a buffer is kept for long it is of the size that it needs. */
static void chunk_fit(struct history_chunk *chunk, struct mk_buf *spare)
{
    struct mk_buf fitting = {0};

    mk_buf_append_bytes(&fitting, mk_buf_view(&chunk->bytes));
    *spare = chunk->bytes;
    chunk->bytes = fitting;
}

void history_give_back(struct history *history, struct server_batch *batch)
{
    MK_ASSERT(history->lent);
    struct history_chunk *last = last_chunk(history);
    MK_ASSERT(last->last == batch->last && last->bytes.data == batch->bytes.data);

    history->lent = false;
    bool alone = history->kept_count == 0;
    bool joins =
        !alone && history->count > 1 &&
        chunk_at(history, history->count - 2)->bytes.len + batch->bytes.len <= HISTORY_CHUNK_BYTES;
    struct mk_buf bytes = {0};
    if (joins) {
        chunk_join(history);
        bytes = batch->bytes;
    } else if (!alone && batch->bytes.cap / 2 > batch->bytes.len) {
        chunk_fit(last, &bytes);
    }
    bytes.len = 0;
    batch->bytes = bytes;
}

void history_recover(struct history *history, struct mk_bytes entry)
{
    MK_ASSERT(!history->lent);
    struct history_chunk chunk = {.first = history_entry_zxid(entry), .count = 1};

    chunk.last = chunk.first;
    size_t at = store_log_entry_begin(&chunk.bytes);
    mk_buf_append_bytes(&chunk.bytes, entry);
    store_log_entry_end(&chunk.bytes, at);
    chunk_push(history, &chunk);
    if (history->count > 1 &&
        chunk_at(history, history->count - 2)->bytes.len + chunk.bytes.len <= HISTORY_CHUNK_BYTES) {
        chunk_join(history);
        mk_buf_free(&chunk.bytes);
    }
}

/* ---- Apply ---- */

bool history_apply_next(struct history *history, mk_zxid through, struct mk_bytes *entry)
{
    size_t durable = history->count - history->lent;

    while (history->apply_chunk < durable) {
        const struct history_chunk *chunk = chunk_at(history, history->apply_chunk);
        size_t offset = history->apply_offset;
        if (store_log_entry_next(mk_buf_view(&chunk->bytes), &offset, entry)) {
            if (history_entry_zxid(*entry) > through) {
                return false;
            }
            history->apply_offset = offset;
            return true;
        }
        history->apply_chunk++;
        history->apply_offset = 0;
    }
    return false;
}

/* ---- Out ---- */

static void chunk_shift(struct history *history, struct mk_buf *bytes)
{
    struct history_chunk *chunk = chunk_at(history, 0);

    MK_ASSERT(history->apply_chunk > 0);
    *bytes = chunk->bytes;
    history->entries -= chunk->count;
    history->bytes -= chunk->bytes.len;
    history->head = (history->head + 1) & (history->cap - 1);
    history->count--;
    history->apply_chunk--;
}

bool history_trim(struct history *history, mk_zxid pinned, struct mk_buf *spare)
{
    if (history->count == 0) {
        return false;
    }
    /* A chunk of which all is applied, whether or not it has been noticed. */
    const struct history_chunk *first = chunk_at(history, 0);
    if (history->apply_chunk == 0 && !(history->lent && history->count == 1) &&
        history->apply_offset == first->bytes.len) {
        history->apply_chunk = 1;
        history->apply_offset = 0;
    }
    bool many = history->entries - first->count >= history->kept_count ||
                history->bytes > HISTORY_KEPT_BYTES_MAX;
    if (history->apply_chunk == 0 || !many || first->last > pinned) {
        return false;
    }
    chunk_shift(history, spare);
    return true;
}

static void chunk_pop(struct history *history)
{
    struct history_chunk *last = last_chunk(history);

    history->entries -= last->count;
    history->bytes -= last->bytes.len;
    mk_buf_free(&last->bytes);
    history->count--;
    if (history->apply_chunk > history->count) {
        history->apply_chunk = history->count;
        history->apply_offset = 0;
    }
}

void history_clear(struct history *history)
{
    MK_ASSERT(!history->lent);

    while (history->count > 0) {
        chunk_pop(history);
    }
    history->apply_chunk = 0;
    history->apply_offset = 0;
}

/* Cut the last chunk behind its last entry that is not above `zxid`. */
static void chunk_cut(struct history *history, mk_zxid zxid)
{
    struct history_chunk *chunk = last_chunk(history);
    struct mk_bytes bytes = mk_buf_view(&chunk->bytes);
    struct mk_bytes entry;
    size_t end = 0;
    uint32_t count = 0;

    for (size_t offset = 0; store_log_entry_next(bytes, &offset, &entry); end = offset, count++) {
        if (history_entry_zxid(entry) > zxid) {
            break;
        }
        chunk->last = history_entry_zxid(entry);
    }
    MK_ASSERT(history->apply_chunk < history->count - 1 || history->apply_offset <= end ||
              history->apply_chunk == history->count);
    history->entries -= chunk->count - count;
    history->bytes -= chunk->bytes.len - end;
    chunk->count = count;
    chunk->bytes.len = end;
}

void history_truncate(struct history *history, mk_zxid zxid)
{
    MK_ASSERT(!history->lent);

    while (history->count > 0 && last_chunk(history)->first > zxid) {
        chunk_pop(history);
    }
    if (history->count > 0 && last_chunk(history)->last > zxid) {
        chunk_cut(history, zxid);
    }
}

void history_free(struct history *history)
{
    if (history->lent) {
        last_chunk(history)->bytes = (struct mk_buf){0};
        history->lent = false;
    }
    history_clear(history);
    mk_free(history->chunks);
    *history = (struct history){0};
}

/* ---- Read ---- */

mk_zxid history_first(const struct history *history)
{
    return history->count == 0 ? 0 : chunk_at(history, 0)->first;
}

mk_zxid history_last(const struct history *history)
{
    return history->count == 0 ? 0 : last_chunk(history)->last;
}

/* The first chunk that ends above `zxid`. */
static size_t chunk_find(const struct history *history, mk_zxid zxid)
{
    size_t low = 0;
    size_t high = history->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (chunk_at(history, middle)->last > zxid) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

bool history_next(const struct history *history, struct history_cursor *cursor,
                  struct mk_bytes *entry)
{
    while (cursor->chunk < history->count) {
        const struct history_chunk *chunk = chunk_at(history, cursor->chunk);
        if (store_log_entry_next(mk_buf_view(&chunk->bytes), &cursor->offset, entry)) {
            return true;
        }
        cursor->chunk++;
        cursor->offset = 0;
    }
    return false;
}

struct history_cursor history_after(const struct history *history, mk_zxid zxid)
{
    struct history_cursor cursor = {.chunk = chunk_find(history, zxid)};
    struct history_cursor next = cursor;
    struct mk_bytes entry;

    while (history_next(history, &next, &entry) && history_entry_zxid(entry) <= zxid) {
        cursor = next;
    }
    return cursor;
}

mk_zxid history_before(const struct history *history, mk_zxid zxid)
{
    size_t index = chunk_find(history, zxid - 1);
    mk_zxid before = index == 0 ? 0 : chunk_at(history, index - 1)->last;
    struct history_cursor cursor = {.chunk = index};
    struct mk_bytes entry;

    while (history_next(history, &cursor, &entry) && history_entry_zxid(entry) < zxid) {
        before = history_entry_zxid(entry);
    }
    return before;
}

void history_check(const struct history *history)
{
    uint64_t entries = 0;
    uint64_t bytes = 0;
    mk_zxid last = 0;

    for (size_t i = 0; i < history->count; i++) {
        const struct history_chunk *chunk = chunk_at(history, i);
        MK_ASSERT(chunk->first > last && chunk->last >= chunk->first);
        last = chunk->last;
        entries += chunk->count;
        bytes += chunk->bytes.len;
    }
    MK_ASSERT(entries == history->entries && bytes == history->bytes);
    MK_ASSERT(history->apply_chunk <= history->count);
}
