/* Moves of committed rows between their places. committed.h tells the life of a row; the functions
 * here follow it in that order. */
#include "store/committed.h"

#include "store/keys.h"

#define COMMITTED_SETTLE_STEP 16 /* settled rows looked at by one call: 1 µs or so */
#define COMMITTED_EVICT_STEP 64  /* clean rows looked at by one call, while there are too many */

static bool row_is_active(const struct committed *rows, const struct row *row)
{
    return row->generation == rows->active.number;
}

static bool row_is_frozen(const struct committed *rows, const struct row *row)
{
    return rows->frozen.number != 0 && row->generation == rows->frozen.number;
}

static bool row_is_clean(const struct row *row)
{
    return row->generation == 0;
}

void committed_init(struct committed *rows, struct store_base *base, uint64_t clean_bytes_max,
                    uint64_t seed)
{
    *rows = (struct committed){.base = base, .clean_bytes_max = clean_bytes_max};
    rows->active.number = 1;
    index_init(&rows->index, seed);
    mk_list_init(&rows->ring);
    for (size_t i = 0; i < COMMITTED_KINDS; i++) {
        mk_list_init(&rows->unsorted[i].rows);
    }
}

bool committed_base_lacks(const struct committed *rows, struct mk_bytes key)
{
    switch (key.data[0]) {
    case KEY_AWAITED:
    case KEY_AWAITED_COUNT:
    case KEY_BROKEN:
    case KEY_DEADLINE:
    case KEY_GONE:
    case KEY_HELD:
    case KEY_PARKED:
    case KEY_READY:
    case KEY_RUNNING:
    case KEY_SLOWED:
    case KEY_WOKEN: return !rows->base_calls;
    default: return false;
    }
}

static void iters_free(struct committed *rows)
{
    for (size_t i = 0; i < MK_COUNT(rows->iters); i++) {
        if (rows->iters[i] != NULL) {
            rows->base->ops->iter_free(rows->iters[i]);
            rows->iters[i] = NULL;
        }
    }
}

/* Rows that the index has forgotten are found through the table that still has them. */
static void generation_free(struct generation *generation, const struct table_cursor *from)
{
    struct table_cursor cursor = *from;
    for (struct row *row; (row = table_at(&cursor)) != NULL;) {
        table_step(&cursor, false);
        if (row->superseded) {
            row_free(row);
        }
    }
    table_free(&generation->table);
    *generation = (struct generation){0};
}

void committed_free(struct committed *rows)
{
    struct table_cursor frozen = table_first(&rows->frozen.table);
    generation_free(&rows->frozen, &frozen);
    generation_free(&rows->settled, &rows->settling);
    table_free(&rows->active.table);
    size_t cursor = 0;
    for (struct row *row; (row = index_next(&rows->index, &cursor)) != NULL;) {
        row_free(row);
    }
    index_free(&rows->index);
    gaps_free(&rows->gaps);
    iters_free(rows);
    mk_buf_free(&rows->read);
    mk_buf_free(&rows->wanted.key);
}

/* ---- Clean rows ---- */

static void clean_add(struct committed *rows, struct row *row)
{
    row->generation = 0;
    mk_list_append(&rows->ring, &row->ring);
    rows->clean_bytes += row_bytes(row);
}

static void clean_take(struct committed *rows, struct row *row)
{
    MK_ASSERT(row_is_clean(row) && rows->clean_bytes >= row_bytes(row));
    mk_list_remove(&row->ring);
    rows->clean_bytes -= row_bytes(row);
}

static struct row *clean_new(struct committed *rows, struct mk_bytes key, uint64_t hash,
                             const struct mk_buf *value, bool found)
{
    struct row *row = row_new(key, value->len);

    if (found) {
        row_set(row, mk_buf_view(value));
    }
    index_insert(&rows->index, row, hash);
    clean_add(rows, row);
    return row;
}

static enum mk_status committed_load(struct committed *rows, struct mk_bytes key, uint64_t hash,
                                     bool may_block, struct row **out)
{
    rows->read.len = 0;
    enum mk_status status = rows->base->ops->get(rows->base, key, may_block, &rows->read);
    if (status != MK_OK && status != MK_NO_NODE) {
        rows->wanted.key.len = 0;
        rows->wanted.range = false;
        mk_buf_append_bytes(&rows->wanted.key, key);
        return status;
    }
    *out = clean_new(rows, key, hash, &rows->read, status == MK_OK);
    return MK_OK;
}

void committed_loaded(struct committed *rows, const struct store_load *load)
{
    struct mk_bytes key = mk_buf_view(&load->key);
    uint64_t hash = index_hash(&rows->index, key);

    if (load->settles == rows->settles && index_find(&rows->index, key, hash) == NULL) {
        clean_new(rows, key, hash, &load->value, load->found);
    }
}

enum mk_status committed_get(struct committed *rows, struct mk_bytes key, bool may_block,
                             struct row **row)
{
    return committed_get_hashed(rows, key, index_hash(&rows->index, key), may_block, row);
}

enum mk_status committed_get_hashed(struct committed *rows, struct mk_bytes key, uint64_t hash,
                                    bool may_block, struct row **row)
{
    *row = index_find(&rows->index, key, hash);
    if (*row == NULL && committed_base_lacks(rows, key)) {
        return MK_NO_NODE;
    }
    if (*row == NULL) {
        return committed_load(rows, key, hash, may_block, row);
    }
    (*row)->referenced = true;
    return MK_OK;
}

bool committed_holds(const struct committed *rows, struct mk_bytes key)
{
    return index_find(&rows->index, key, index_hash(&rows->index, key)) != NULL;
}

/* ---- Rows that are not in the active table's tree yet ---- */

static bool row_is_unsorted(const struct committed *rows, const struct row *row)
{
    return row_is_active(rows, row) && !mk_list_empty(&row->ring);
}

static struct committed_unsorted *unsorted_of(struct committed *rows, const struct row *row)
{
    MK_ASSERT(row->key[0] < COMMITTED_KINDS);
    return &rows->unsorted[row->key[0]];
}

static void unsorted_remove(struct committed *rows, struct row *row)
{
    mk_list_remove(&row->ring);
    unsorted_of(rows, row)->count--;
}

static void oldest_sort(struct committed *rows, struct committed_unsorted *unsorted)
{
    struct row *row = MK_CONTAINER(unsorted->rows.next, struct row, ring);
    unsorted_remove(rows, row);
    table_insert(&rows->active.table, row);
    rows->sorted++;
}

static void unsorted_add(struct committed *rows, struct row *row)
{
    struct committed_unsorted *unsorted = unsorted_of(rows, row);
    mk_list_append(&unsorted->rows, &row->ring);
    if (++unsorted->count > COMMITTED_UNSORTED_MAX) {
        oldest_sort(rows, unsorted);
    }
}

void committed_sort(struct committed *rows, uint8_t kind)
{
    size_t first = kind == 0 ? 0 : kind;
    size_t last = kind == 0 ? COMMITTED_KINDS - 1 : kind;
    MK_ASSERT(kind < COMMITTED_KINDS);
    for (size_t i = first; i <= last; i++) {
        while (rows->unsorted[i].count > 0) {
            oldest_sort(rows, &rows->unsorted[i]);
        }
    }
}

/* ---- Writing ---- */

/* A row that said "known to be absent" has no room for a value behind its key: better a new one. */
static struct row *clean_row_with_room(struct committed *rows, struct row *row, size_t value_room,
                                       uint64_t hash)
{
    if (!row->tombstone || row->inline_cap >= value_room) {
        return row;
    }
    struct row *roomy = row_new(row_key(row), value_room);
    index_replace(&rows->index, row, roomy, hash);
    row_free(row);
    return roomy;
}

/* A row of the active table under `key`, whatever was there before; `old` is what the index has. */
static struct row *active_row(struct committed *rows, struct mk_bytes key, size_t value_room,
                              struct row *old, uint64_t hash, bool fresh)
{
    struct row *row = old;
    if (old == NULL) {
        row = row_new(key, value_room);
        row->below = !fresh && !committed_base_lacks(rows, key);
        index_insert(&rows->index, row, hash);
    } else if (row_is_clean(old)) {
        clean_take(rows, old);
        row = clean_row_with_room(rows, old, value_room, hash);
        row->below = !row->tombstone;
    } else {
        /* Until the frozen table is written, the base may still have what its tombstone hides. */
        row = row_new(key, value_room);
        row->below = !old->tombstone || row_is_frozen(rows, old);
        old->superseded = true;
        index_replace(&rows->index, old, row, hash);
    }
    row->generation = rows->active.number;
    unsorted_add(rows, row);
    rows->active.bytes += row_bytes(row);
    return row;
}

void committed_put(struct committed *rows, struct mk_bytes key, struct mk_bytes value, bool fresh)
{
    uint64_t hash = index_hash(&rows->index, key);
    struct row *row = index_find(&rows->index, key, hash);
    if (row == NULL || row->tombstone) {
        gaps_break(&rows->gaps, key);
    }
    if (row == NULL || !row_is_active(rows, row)) {
        row = active_row(rows, key, value.len, row, hash, fresh);
    }
    rows->active.bytes -= row_bytes(row);
    row_set(row, value);
    rows->active.bytes += row_bytes(row);
}

/* Whether somebody may ask for just this row again, and it is worth knowing that there is none. */
static bool row_may_be_asked_for(const struct committed *rows, struct mk_bytes key)
{
    static const char calls[] = "c" TREE_CALLS_PATH; /* and a NUL: whose names never come again */

    switch (key.data[0]) {
    case KEY_CHILD: return !mk_bytes_starts(key, mk_bytes_of(calls, sizeof(calls)));
    case KEY_ORDER:
    case KEY_EPHEMERAL: return false; /* one of a range, always */
    default: return !committed_base_lacks(rows, key);
    }
}

/* Nothing below has a row under this key, so its tombstone need not be written: only remembered, as
 * a clean row, that there is none. Tables of short-lived znodes stay small that way. */
static void active_forget(struct committed *rows, struct row *row)
{
    MK_ASSERT(row->tombstone && !row->below);
    if (row_is_unsorted(rows, row)) {
        unsorted_remove(rows, row);
    } else {
        table_remove(&rows->active.table, row);
    }
    rows->active.bytes -= row_bytes(row);
    if (!row_may_be_asked_for(rows, row_key(row))) {
        index_remove(&rows->index, row, index_hash(&rows->index, row_key(row)));
        row_free(row);
        return;
    }
    row->referenced = false;
    clean_add(rows, row);
}

void committed_delete(struct committed *rows, struct mk_bytes key)
{
    uint64_t hash = index_hash(&rows->index, key);
    struct row *row = index_find(&rows->index, key, hash);
    if (row != NULL && row->tombstone) {
        return;
    }
    if (row == NULL || !row_is_active(rows, row)) {
        row = active_row(rows, key, 0, row, hash, false);
    }
    rows->active.bytes -= row_bytes(row);
    row_bury(row);
    rows->active.bytes += row_bytes(row);
    if (!row->below) {
        active_forget(rows, row);
    }
}

/* ---- Freezing, settling ---- */

void committed_freeze(struct committed *rows)
{
    MK_ASSERT(rows->frozen.number == 0);
    committed_sort(rows, 0);
    rows->frozen = rows->active;
    rows->active = (struct generation){.number = rows->frozen.number + 1};
    MK_ASSERT(rows->active.number > rows->frozen.number);
}

static void settle_some(struct committed *rows, size_t steps)
{
    for (; steps > 0 && rows->settled.number != 0; steps--) {
        struct row *row = table_at(&rows->settling);
        if (row == NULL) {
            table_free(&rows->settled.table);
            rows->settled = (struct generation){0};
            return;
        }
        table_step(&rows->settling, false);
        MK_ASSERT(row->generation == rows->settled.number);
        rows->settled.bytes -= row_bytes(row);
        if (row->superseded) {
            row_free(row);
        } else {
            clean_add(rows, row);
        }
    }
}

void committed_settle(struct committed *rows)
{
    MK_ASSERT(rows->frozen.number != 0);
    settle_some(rows, SIZE_MAX); /* the one before; done long ago unless nothing ever happens */
    rows->settled = rows->frozen;
    rows->settling = table_first(&rows->settled.table);
    rows->frozen = (struct generation){0};
    rows->settles++;
    iters_free(rows); /* they see the base without it */
}

static void evict_some(struct committed *rows)
{
    for (int steps = COMMITTED_EVICT_STEP; steps > 0; steps--) {
        if (rows->clean_bytes <= rows->clean_bytes_max || mk_list_empty(&rows->ring)) {
            return;
        }
        struct row *row = MK_CONTAINER(rows->ring.next, struct row, ring);
        clean_take(rows, row);
        if (row->referenced) {
            row->referenced = false;
            clean_add(rows, row);
        } else {
            index_remove(&rows->index, row, index_hash(&rows->index, row_key(row)));
            row_free(row);
        }
    }
}

void committed_tidy(struct committed *rows)
{
    if (rows->settled.number != 0) {
        settle_some(rows, COMMITTED_SETTLE_STEP);
    }
    if (rows->clean_bytes > rows->clean_bytes_max) {
        evict_some(rows);
    }
}

uint64_t committed_bytes(const struct committed *rows)
{
    return rows->active.bytes + rows->frozen.bytes + rows->settled.bytes + rows->clean_bytes +
           rows->gaps.bytes + rows->read.cap;
}

/* ---- Whole-structure check ---- */

/* Of one row of a generation: its bytes. */
static uint64_t row_check(struct committed *rows, const struct generation *generation,
                          const struct row *row, size_t *indexed)
{
    MK_ASSERT(row->generation == generation->number);
    uint64_t hash = index_hash(&rows->index, row_key(row));
    const struct row *newest = index_find(&rows->index, row_key(row), hash);
    MK_ASSERT((newest == row) == !row->superseded);
    MK_ASSERT(newest != NULL);
    *indexed += newest == row;
    return row_bytes(row);
}

/* `unsorted_bytes`: of its rows that the table does not have. */
static void generation_check(struct committed *rows, const struct generation *generation,
                             struct table_cursor cursor, uint64_t unsorted_bytes, size_t *indexed)
{
    uint64_t bytes = unsorted_bytes;
    for (struct row *row; (row = table_at(&cursor)) != NULL; table_step(&cursor, false)) {
        MK_ASSERT(!row_is_unsorted(rows, row));
        bytes += row_check(rows, generation, row, indexed);
    }
    MK_ASSERT(bytes == generation->bytes);
}

static uint64_t unsorted_check(struct committed *rows, size_t *indexed)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < COMMITTED_KINDS; i++) {
        const struct committed_unsorted *unsorted = &rows->unsorted[i];
        uint32_t count = 0;
        for (struct mk_link *link = unsorted->rows.next; link != &unsorted->rows;
             link = link->next, count++) {
            const struct row *row = MK_CONTAINER(link, struct row, ring);
            MK_ASSERT(row->key[0] == i);
            bytes += row_check(rows, &rows->active, row, indexed);
        }
        MK_ASSERT(count == unsorted->count && count <= COMMITTED_UNSORTED_MAX);
    }
    return bytes;
}

/* Of each kind of which the base is said to have no row, it has none. */
static void lacks_check(struct committed *rows)
{
    const struct store_base_ops *ops = rows->base->ops;
    struct store_base_iter *iter = rows->base_calls ? NULL : ops->iter_new(rows->base, true);

    for (int kind = 'a'; iter != NULL && kind <= 'z'; kind++) {
        uint8_t byte = (uint8_t)kind;
        struct mk_bytes key = mk_bytes_of(&byte, 1);
        if (!committed_base_lacks(rows, key)) {
            continue;
        }
        enum mk_status status = ops->iter_seek(iter, key, false);
        MK_ASSERT(status != MK_OK || ops->iter_key(iter).data[0] != byte);
    }
    if (iter != NULL) {
        ops->iter_free(iter);
    }
}

void committed_check(struct committed *rows)
{
    lacks_check(rows);
    /* Not the settled table: rows that its cursor has passed may be gone. */
    table_check(&rows->active.table);
    table_check(&rows->frozen.table);

    size_t indexed = 0;
    uint64_t unsorted_bytes = unsorted_check(rows, &indexed);
    struct table_cursor active = table_first(&rows->active.table);
    generation_check(rows, &rows->active, active, unsorted_bytes, &indexed);
    generation_check(rows, &rows->frozen, table_first(&rows->frozen.table), 0, &indexed);
    generation_check(rows, &rows->settled, rows->settling, 0, &indexed);

    uint64_t clean_bytes = 0;
    for (struct mk_link *link = rows->ring.next; link != &rows->ring; link = link->next) {
        const struct row *row = MK_CONTAINER(link, struct row, ring);
        MK_ASSERT(row_is_clean(row));
        clean_bytes += row_bytes(row);
        indexed++;
    }
    MK_ASSERT(clean_bytes == rows->clean_bytes);
    MK_ASSERT(indexed == index_count(&rows->index));
}
