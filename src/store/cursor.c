/* The merge over committed rows, and how it gets past the dead ones.
 *
 * Each source stands at its next row in the direction of travel, or at its end. The nearest key
 * wins; of equal keys, that of the newest source. Dead rows that the cursor passes form a run; a
 * run of some length is remembered as a gap (gaps.h), and a run that comes upon a gap jumps over
 * it. */
#include "store/cursor.h"

#define RUN_WORTH_REMEMBERING 16 /* dead rows; fewer are passed over faster than looked up */
#define RUN_LOOKUP_EVERY 64      /* dead rows between looks for a gap, beyond the first */

static void want_range(struct committed_cursor *cursor, struct mk_bytes from)
{
    struct store_load *wanted = &cursor->rows->wanted;
    wanted->key.len = 0;
    mk_buf_append_bytes(&wanted->key, from);
    wanted->range = true;
    wanted->backwards = cursor->range.backwards;
}

static enum mk_status iter_moved(struct committed_cursor *cursor, enum mk_status status)
{
    cursor->iter_valid = status == MK_OK;
    cursor->stalled = cursor->stalled || status == MK_WOULD_BLOCK;
    return status == MK_END ? MK_OK : status;
}

/* All sources to `from`: their first row >= from, backwards their last row < from. */
static enum mk_status sources_seek(struct committed_cursor *cursor, struct mk_bytes from)
{
    bool backwards = cursor->range.backwards;
    const struct store_base_ops *ops = cursor->rows->base->ops;
    cursor->active = table_seek(&cursor->rows->active.table, from, backwards);
    cursor->frozen = table_seek(&cursor->rows->frozen.table, from, backwards);
    if (cursor->iter == NULL) {
        return MK_OK;
    }
    enum mk_status status = ops->iter_seek(cursor->iter, from, backwards);
    if (status == MK_WOULD_BLOCK) {
        want_range(cursor, from);
    }
    return iter_moved(cursor, status);
}

static enum mk_status iter_step(struct committed_cursor *cursor)
{
    const struct store_base_ops *ops = cursor->rows->base->ops;
    if (!cursor->may_block) {
        want_range(cursor, ops->iter_key(cursor->iter)); /* the step may lose it */
    }
    return iter_moved(cursor, ops->iter_step(cursor->iter));
}

static bool key_nearer(const struct committed_cursor *cursor, struct mk_bytes a, struct mk_bytes b)
{
    int order = mk_bytes_compare(a, b);
    return cursor->range.backwards ? order > 0 : order < 0;
}

/* The nearest row: its key, its value, and whether it is a tombstone. False: all are at their
 * end. */
static bool sources_nearest(struct committed_cursor *cursor, bool *dead)
{
    const struct row *active = table_at(&cursor->active);
    const struct row *frozen = table_at(&cursor->frozen);
    const struct row *best = active;
    if (frozen != NULL && (best == NULL || key_nearer(cursor, row_key(frozen), row_key(best)))) {
        best = frozen;
    }
    const struct store_base_ops *ops = cursor->rows->base->ops;
    if (cursor->iter_valid) {
        struct mk_bytes key = ops->iter_key(cursor->iter);
        if (best == NULL || key_nearer(cursor, key, row_key(best))) {
            cursor->key = key;
            cursor->value = ops->iter_value(cursor->iter);
            *dead = false;
            return true;
        }
    }
    if (best == NULL) {
        return false;
    }
    cursor->key = row_key(best);
    cursor->value = row_value(best);
    *dead = best->tombstone;
    return true;
}

/* Another cursor, of another kind, has let rows into the active table since: to where this one stood, its row
 * with cursor->key or the next in the direction of travel. */
static void active_find_again(struct committed_cursor *cursor)
{
    const struct table *table = &cursor->rows->active.table;
    bool backwards = cursor->range.backwards;
    cursor->active = table_seek(table, cursor->key, backwards);
    if (backwards) {
        struct table_cursor next =
            table_at(&cursor->active) == NULL ? table_first(table) : cursor->active;
        if (table_at(&cursor->active) != NULL) {
            table_step(&next, false);
        }
        const struct row *row = table_at(&next);
        cursor->active =
            row != NULL && mk_bytes_equal(row_key(row), cursor->key) ? next : cursor->active;
    }
    cursor->sorted = cursor->rows->sorted;
}

/* Every source that stands on cursor->key goes one further. */
static enum mk_status sources_pass(struct committed_cursor *cursor)
{
    bool backwards = cursor->range.backwards;
    struct mk_bytes key = cursor->key;
    const struct store_base_ops *ops = cursor->rows->base->ops;
    if (cursor->sorted != cursor->rows->sorted) {
        active_find_again(cursor);
    }
    const struct row *active = table_at(&cursor->active);
    const struct row *frozen = table_at(&cursor->frozen);
    bool in_base = cursor->iter_valid && mk_bytes_equal(ops->iter_key(cursor->iter), key);
    if (active != NULL && mk_bytes_equal(row_key(active), key)) {
        table_step(&cursor->active, backwards);
    }
    if (frozen != NULL && mk_bytes_equal(row_key(frozen), key)) {
        table_step(&cursor->frozen, backwards);
    }
    return in_base ? iter_step(cursor) : MK_OK; /* last: it may own `key` */
}

static bool range_holds(const struct range *range, struct mk_bytes key)
{
    return range->backwards ? mk_bytes_compare(key, range->low) >= 0
                            : mk_bytes_compare(key, range->high) < 0;
}

/* ---- Runs of dead rows ---- */

/* The run ends at a live row with key `live`, or, if that is null, at the end of the range. */
static void run_end(struct committed_cursor *cursor, struct mk_bytes live)
{
    struct range *range = &cursor->range;
    bool worth = cursor->dead >= RUN_WORTH_REMEMBERING || (cursor->jumped && cursor->dead > 0);
    if (worth && !range->backwards) {
        gaps_add(&cursor->rows->gaps, cursor->run, live.data != NULL ? live : range->high);
    } else if (worth) {
        struct mk_buf low = {0};
        mk_buf_append_bytes(&low, live.data != NULL ? live : range->low);
        if (live.data != NULL) {
            mk_buf_put_u8(&low, 0); /* the first key after it */
        }
        gaps_add(&cursor->rows->gaps, mk_buf_view(&low), cursor->run);
        mk_buf_free(&low);
    }
    cursor->dead = 0;
    cursor->jumped = false;
    cursor->run = MK_BYTES_NULL;
}

/* If there is a known gap at `key`, jump over it. */
static enum mk_status run_jump(struct committed_cursor *cursor, struct mk_bytes key, bool *jumped)
{
    const struct gap *gap = gaps_at(&cursor->rows->gaps, key, cursor->range.backwards);
    *jumped = gap != NULL;
    if (gap == NULL) {
        return MK_OK;
    }
    cursor->jumped = true;
    return sources_seek(cursor, cursor->range.backwards ? gap->low : gap->high);
}

/* cursor->key is dead: get past it. */
static enum mk_status run_pass(struct committed_cursor *cursor)
{
    if (cursor->run.data == NULL) {
        cursor->run = cursor->key;
    }
    if (cursor->dead++ % RUN_LOOKUP_EVERY == 0) {
        bool jumped;
        enum mk_status status = run_jump(cursor, cursor->key, &jumped);
        if (jumped || status != MK_OK) {
            return status;
        }
    }
    return sources_pass(cursor);
}

/* To the next live row from where the sources stand. */
static enum mk_status cursor_settle(struct committed_cursor *cursor)
{
    enum mk_status status = MK_OK;
    while (status == MK_OK) {
        bool dead;
        if (!sources_nearest(cursor, &dead) || !range_holds(&cursor->range, cursor->key)) {
            run_end(cursor, MK_BYTES_NULL);
            return MK_END;
        }
        if (!dead) {
            run_end(cursor, cursor->key);
            return MK_OK;
        }
        status = run_pass(cursor);
    }
    return status;
}

/* ---- The cursor ---- */

/* The kind of all rows in the range; 0: it is of several. */
static uint8_t range_kind(const struct range *range)
{
    uint8_t kind = range->low.data[0];
    bool one =
        range->high.data[0] == kind || (range->high.len == 1 && range->high.data[0] == kind + 1);

    return one ? kind : 0;
}

static void iter_take(struct committed_cursor *cursor)
{
    struct committed *rows = cursor->rows;

    cursor->iter = rows->iters[cursor->may_block];
    rows->iters[cursor->may_block] = NULL;
    if (cursor->iter == NULL) {
        cursor->iter = rows->base->ops->iter_new(rows->base, cursor->may_block);
    }
}

enum mk_status committed_cursor_open(struct committed_cursor *cursor, struct committed *rows,
                                     struct range range, bool may_block)
{
    *cursor = (struct committed_cursor){.rows = rows, .range = range, .may_block = may_block};
    uint8_t kind = range_kind(&range);
    committed_sort(rows, kind);
    cursor->sorted = rows->sorted;
    if (kind == 0 || !committed_base_lacks(rows, range.low)) {
        iter_take(cursor);
    }

    struct mk_bytes from = range.backwards ? range.high : range.low;
    cursor->run = from; /* nothing alive between the bound and the first dead row either */
    bool jumped;
    enum mk_status status = run_jump(cursor, from, &jumped);
    if (!jumped) {
        status = sources_seek(cursor, from);
    }
    return status == MK_OK ? cursor_settle(cursor) : status;
}

enum mk_status committed_cursor_step(struct committed_cursor *cursor)
{
    enum mk_status status = sources_pass(cursor);
    return status == MK_OK ? cursor_settle(cursor) : status;
}

void committed_cursor_close(struct committed_cursor *cursor)
{
    struct committed *rows = cursor->rows;
    if (cursor->iter == NULL) {
        return; /* the base was not asked */
    }
    if (rows->iters[cursor->may_block] == NULL && !cursor->stalled) {
        rows->iters[cursor->may_block] = cursor->iter;
    } else {
        rows->base->ops->iter_free(cursor->iter);
    }
    cursor->iter = NULL;
}
