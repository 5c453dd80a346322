/* Reading and writing rows through a view: speculative > committed. */
#include "store/rows.h"

void rows_enter(struct store_view *view)
{
    MK_ASSERT(!view->writing);
    mk_arena_reset(&view->store->scraps);
    committed_tidy(&view->store->committed);
}

bool rows_any(const struct store_view *view, enum key_kind kind)
{
    const struct store_totals *totals = &view->store->totals;
    int64_t committed = kind == KEY_AWAITED    ? totals->awaited
                        : kind == KEY_READY    ? totals->ready
                        : kind == KEY_GONE     ? totals->ready
                        : kind == KEY_BROKEN   ? totals->ready
                        : kind == KEY_DEADLINE ? totals->deadlines
                        : kind == KEY_SLOWED   ? totals->slowed
                        : kind == KEY_REAPABLE ? totals->reapable
                        : kind == KEY_QUOTA    ? totals->quotas
                        : kind == KEY_COUNTING ? totals->counting
                                               : totals->calls;
    return committed > 0 || (view->speculative && view->store->speculative.kinds[kind].count > 0);
}

bool rows_in_memory(const struct store_view *view, enum key_kind kind)
{
    uint8_t key = (uint8_t)kind;

    return committed_base_lacks(&view->store->committed, mk_bytes_of(&key, 1));
}

static bool view_may_block(const struct store_view *view)
{
    return view->may_block || view->writing;
}

enum mk_status rows_get(struct store_view *view, struct mk_bytes key, struct mk_bytes *value)
{
    struct store *store = view->store;
    struct row *row = NULL;
    uint64_t hash = index_hash(&store->committed.index, key);
    if (view->speculative) {
        row = speculative_find(&store->speculative, key, hash);
    }
    if (row == NULL) {
        enum mk_status status =
            committed_get_hashed(&store->committed, key, hash, view_may_block(view), &row);
        if (status != MK_OK) {
            return status;
        }
    }
    if (row->tombstone) {
        return MK_NO_NODE;
    }
    *value = row_value(row);
    return MK_OK;
}

/* ---- Writing ---- */

void rows_write_begin(struct store_view *view)
{
    MK_ASSERT(view->begun);
    MK_ASSERT(!view->writing);
    view->writing = true;
}

void rows_write_check(struct store_view *view, enum mk_status status)
{
    MK_ASSERT(view->writing);
    MK_ASSERT(status != MK_WOULD_BLOCK);
    if (view->store->failure == MK_OK) {
        view->store->failure = status;
    }
}

enum mk_status rows_write_end(struct store_view *view)
{
    MK_ASSERT(view->writing);
    view->writing = false;
    return view->store->failure;
}

static void rows_write(struct store_view *view, struct mk_bytes key, struct mk_bytes value,
                       bool fresh)
{
    MK_ASSERT(view->writing);
    struct store *store = view->store;
    if (view->speculative) {
        speculative_write(&store->speculative, view->zxid, key, value);
    } else if (value.data == NULL) {
        committed_delete(&store->committed, key);
    } else {
        committed_put(&store->committed, key, value, fresh);
    }
}

void rows_put(struct store_view *view, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(value.data != NULL);
    rows_write(view, key, value, false);
}

void rows_put_fresh(struct store_view *view, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(value.data != NULL);
    rows_write(view, key, value, true);
}

void rows_delete(struct store_view *view, struct mk_bytes key)
{
    rows_write(view, key, MK_BYTES_NULL, false);
}

/* ---- The cursor: the speculative table over the committed cursor ---- */

static enum mk_status committed_moved(struct rows_cursor *cursor, enum mk_status status)
{
    cursor->committed_valid = status == MK_OK;
    return status == MK_END ? MK_OK : status;
}

/* The next speculative row, if it belongs to the range. */
static struct row *cursor_speculative(const struct rows_cursor *cursor)
{
    struct row *row = table_at(&cursor->speculative);
    if (row == NULL) {
        return NULL;
    }
    bool inside = cursor->range.backwards ? mk_bytes_compare(row_key(row), cursor->range.low) >= 0
                                          : mk_bytes_compare(row_key(row), cursor->range.high) < 0;
    return inside ? row : NULL;
}

/* > 0: the speculative row comes first; 0: both have the same key. */
static int cursor_order(const struct rows_cursor *cursor, const struct row *row)
{
    if (!cursor->committed_valid) {
        return 1;
    }
    int order = mk_bytes_compare(cursor->committed.key, row_key(row));
    return cursor->range.backwards ? -order : order;
}

/* Past a speculative tombstone, and what it hides. */
static enum mk_status cursor_pass_dead(struct rows_cursor *cursor, bool hides)
{
    cursor->dead++;
    table_step(&cursor->speculative, cursor->range.backwards);
    if (!hides) {
        return MK_OK;
    }
    return committed_moved(cursor, committed_cursor_step(&cursor->committed));
}

static enum mk_status cursor_settle(struct rows_cursor *cursor)
{
    enum mk_status status = MK_OK;
    while (status == MK_OK) {
        struct row *row = cursor_speculative(cursor);
        int order = row == NULL ? -1 : cursor_order(cursor, row);
        if (order < 0) {
            cursor->key = cursor->committed.key;
            cursor->value = cursor->committed.value;
            return cursor->committed_valid ? MK_OK : MK_END;
        }
        if (!row->tombstone) {
            cursor->key = row_key(row);
            cursor->value = row_value(row);
            return MK_OK;
        }
        status = cursor_pass_dead(cursor, order == 0);
    }
    return status;
}

/* Who takes a queue's front away again and again, before any of that commits, leaves a tombstone each time
 * in front of the next. Committed rows have gaps for that (gaps.h); so has this view, from the beginning
 * of a range to its first row. Nothing but a write in this view can bring it to life, or an abort. */
#define DEAD_WORTH_REMEMBERING 8

/* Where there may be something alive: behind the gap, if there is one where the range begins. */
static struct mk_bytes range_begin(struct rows_cursor *cursor, const struct speculative *rows)
{
    struct range *range = &cursor->range;
    const struct gap *gap = range->backwards ? NULL : gaps_at(&rows->gaps, range->low, false);
    if (gap == NULL) {
        return range->backwards ? range->high : range->low;
    }
    cursor->jumped = true;
    if (mk_bytes_compare(gap->high, range->high) < 0) {
        range->low = mk_arena_copy(&cursor->view->store->scraps, gap->high);
    } else {
        range->low = range->high;
    }
    return range->low;
}

static void gap_remember(const struct rows_cursor *cursor, struct speculative *rows,
                         struct mk_bytes low, enum mk_status status)
{
    bool worth = cursor->dead >= DEAD_WORTH_REMEMBERING || (cursor->jumped && cursor->dead > 0);
    if (worth && !cursor->range.backwards && (status == MK_OK || status == MK_END)) {
        gaps_add(&rows->gaps, low, status == MK_OK ? cursor->key : cursor->range.high);
    }
}

enum mk_status rows_cursor_open(struct rows_cursor *cursor, struct store_view *view,
                                struct range range)
{
    struct store *store = view->store;
    *cursor = (struct rows_cursor){.view = view, .range = range};
    if (view->speculative) {
        struct mk_bytes from = range_begin(cursor, &store->speculative);
        cursor->speculative =
            speculative_seek(&store->speculative, range.low.data[0], from, range.backwards);
    }
    enum mk_status status =
        committed_moved(cursor, committed_cursor_open(&cursor->committed, &store->committed,
                                                      cursor->range, view_may_block(view)));
    status = status == MK_OK ? cursor_settle(cursor) : status;
    if (view->speculative) {
        gap_remember(cursor, &store->speculative, range.low, status);
    }
    return status;
}

enum mk_status rows_cursor_step(struct rows_cursor *cursor)
{
    struct row *row = cursor_speculative(cursor);
    int order = row == NULL ? -1 : cursor_order(cursor, row);
    enum mk_status status = MK_OK;
    if (order >= 0) {
        table_step(&cursor->speculative, cursor->range.backwards);
    }
    if (order <= 0) {
        status = committed_moved(cursor, committed_cursor_step(&cursor->committed));
    }
    return status == MK_OK ? cursor_settle(cursor) : status;
}

void rows_cursor_close(struct rows_cursor *cursor)
{
    committed_cursor_close(&cursor->committed);
}
