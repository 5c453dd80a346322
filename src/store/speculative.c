/* Speculative rows: write, then end or abort, then forget. */
#include "store/speculative.h"

#define UNDO_KEPT_BYTES 65536 /* a journal larger than this is given back after its transaction */
/* Rows come and go a batch at a time, which the heap is slow at; so they are kept for the next batch.
 * Room for key and value of most znodes, and for the rows of a thousand outstanding requests. */
#define ROW_ROOM ((size_t)384)
#define ROWS_SPARE_MAX (MK_MEMORY_REUSED ? (size_t)4096 : 0)

void speculative_init(struct speculative *rows, uint64_t seed)
{
    *rows = (struct speculative){0};
    index_init(&rows->index, seed);
    mk_list_init(&rows->spare);
}

static struct row *row_take(struct speculative *rows, struct mk_bytes key, size_t value_room)
{
    if (key.len + value_room > ROW_ROOM) {
        return row_new(key, value_room);
    }
    if (rows->spare_count == 0) {
        return row_new(key, ROW_ROOM - key.len);
    }
    struct row *row = MK_CONTAINER(rows->spare.prev, struct row, ring); /* still in the cache */
    mk_list_remove(&row->ring);
    rows->spare_count--;
    row_renew(row, key);
    return row;
}

static void row_give(struct speculative *rows, struct row *row)
{
    bool usual = row_room(row) >= ROW_ROOM && row_room(row) < 2 * ROW_ROOM;
    if (!usual || rows->spare_count == ROWS_SPARE_MAX) {
        row_free(row);
        return;
    }
    row_bury(row); /* a value of its own goes */
    mk_list_init(&row->ring);
    mk_list_append(&rows->spare, &row->ring);
    rows->spare_count++;
}

static void row_drop(struct speculative *rows, struct row *row)
{
    struct speculative_kind *kind = &rows->kinds[row->key[0]];
    kind->count--;
    if (row->sorted) {
        table_remove(&kind->table, row);
    }
    index_remove(&rows->index, row, index_hash(&rows->index, row_key(row)));
    rows->bytes -= row_bytes(row);
    row_give(rows, row);
}

void speculative_free(struct speculative *rows)
{
    size_t cursor = 0;
    for (struct row *row; (row = index_next(&rows->index, &cursor)) != NULL;) {
        row_free(row);
    }
    while (!mk_list_empty(&rows->spare)) {
        struct row *row = MK_CONTAINER(rows->spare.next, struct row, ring);
        mk_list_remove(&row->ring);
        row_free(row);
    }
    for (size_t i = 0; i < rows->used_count; i++) {
        struct speculative_kind *kind = &rows->kinds[rows->used[i]];
        table_free(&kind->table);
        mk_free(kind->written);
    }
    gaps_free(&rows->gaps);
    index_free(&rows->index);
    mk_free(rows->undo);
    mk_buf_free(&rows->undo_bytes);
}

struct row *speculative_find(const struct speculative *rows, struct mk_bytes key, uint64_t hash)
{
    return index_count(&rows->index) == 0 ? NULL : index_find(&rows->index, key, hash);
}

/* ---- Writing ---- */

static struct written *written_at(const struct speculative_kind *kind, size_t i)
{
    return &kind->written[(kind->written_first + i) & (kind->written_cap - 1)];
}

static void written_push(struct speculative_kind *kind, mk_zxid zxid, struct row *row)
{
    if (kind->written_count == kind->written_cap) {
        size_t cap = kind->written_cap == 0 ? 64 : kind->written_cap * 2;
        struct written *larger = mk_alloc(cap * sizeof(*larger));
        for (size_t i = 0; i < kind->written_count; i++) {
            larger[i] = *written_at(kind, i);
        }
        mk_free(kind->written);
        kind->written = larger;
        kind->written_cap = cap;
        kind->written_first = 0;
    }
    kind->written_count++;
    kind->written_unsorted++;
    *written_at(kind, kind->written_count - 1) = (struct written){zxid, row};
}

/* The newest entry goes. */
static void written_pop(struct speculative_kind *kind)
{
    MK_ASSERT(kind->written_count > 0);
    kind->written_count--;
    kind->written_unsorted -= kind->written_unsorted > 0;
}

/* A row that is not in the table was written since the last time, so it is among the newest. */
static void kind_sort(struct speculative_kind *kind)
{
    for (size_t i = kind->written_count - kind->written_unsorted; i < kind->written_count; i++) {
        struct row *row = written_at(kind, i)->row;
        if (!row->sorted) {
            table_insert(&kind->table, row);
            row->sorted = true;
        }
    }
    kind->written_unsorted = 0;
}

struct table_cursor speculative_seek(struct speculative *rows, uint8_t kind, struct mk_bytes from,
                                     bool backwards)
{
    MK_ASSERT(kind < MK_COUNT(rows->kinds));
    kind_sort(&rows->kinds[kind]);
    return table_seek(&rows->kinds[kind].table, from, backwards);
}

static struct speculative_kind *kind_of(struct speculative *rows, uint8_t first)
{
    MK_ASSERT(first < MK_COUNT(rows->kinds));
    struct speculative_kind *kind = &rows->kinds[first];
    if (kind->written_cap == 0) {
        rows->used[rows->used_count++] = first;
    }
    return kind;
}

/* The first change of `row` in this transaction: keep what it was. */
static void undo_push(struct speculative *rows, struct row *row, bool existed)
{
    if (rows->undo_count == rows->undo_cap) {
        rows->undo_cap = rows->undo_cap == 0 ? 64 : rows->undo_cap * 2;
        rows->undo = mk_realloc(rows->undo, rows->undo_cap * sizeof(rows->undo[0]));
    }
    struct undo *undo = &rows->undo[rows->undo_count++];
    *undo = (struct undo){row, existed, row->tombstone, row->zxid, row->value_len};
    mk_buf_append_bytes(&rows->undo_bytes, row_value(row));
}

void speculative_write(struct speculative *rows, mk_zxid zxid, struct mk_bytes key,
                       struct mk_bytes value)
{
    struct speculative_kind *kind = kind_of(rows, key.data[0]);
    uint64_t hash = index_hash(&rows->index, key);
    struct row *row = index_find(&rows->index, key, hash);
    bool existed = row != NULL;
    if (!existed) {
        row = row_take(rows, key, value.len);
        row->zxid = -1;
        row->sorted = false;
        index_insert(&rows->index, row, hash);
        rows->bytes += row_bytes(row);
        kind->count++;
    }
    MK_ASSERT(row->zxid <= zxid);
    if (row->zxid != zxid) {
        undo_push(rows, row, existed);
        written_push(kind, zxid, row);
        row->zxid = zxid;
    }
    rows->bytes -= row_bytes(row);
    if (value.data == NULL) {
        row_bury(row);
    } else {
        gaps_break(&rows->gaps, key);
        row_set(row, value);
    }
    rows->bytes += row_bytes(row);
}

/* ---- End, abort, forget ---- */

static void undo_clear(struct speculative *rows)
{
    rows->undo_count = 0;
    rows->undo_bytes.len = 0;
    if (rows->undo_bytes.cap > UNDO_KEPT_BYTES) {
        mk_buf_free(&rows->undo_bytes);
    }
}

void speculative_end(struct speculative *rows)
{
    undo_clear(rows);
}

void speculative_abort(struct speculative *rows)
{
    gaps_free(&rows->gaps); /* what was deleted comes back */
    size_t at = rows->undo_bytes.len;
    while (rows->undo_count > 0) {
        struct undo *undo = &rows->undo[--rows->undo_count];
        at -= undo->value_len;
        written_pop(&rows->kinds[undo->row->key[0]]);
        if (!undo->existed) {
            row_drop(rows, undo->row);
            continue;
        }
        rows->bytes -= row_bytes(undo->row);
        if (undo->tombstone) {
            row_bury(undo->row);
        } else {
            row_set(undo->row, (struct mk_bytes){rows->undo_bytes.data + at, undo->value_len});
        }
        rows->bytes += row_bytes(undo->row);
        undo->row->zxid = undo->zxid;
    }
    MK_ASSERT(at == 0);
    undo_clear(rows);
}

static void kind_forget(struct speculative *rows, struct speculative_kind *kind, mk_zxid zxid)
{
    while (kind->written_count > 0 && written_at(kind, 0)->zxid <= zxid) {
        struct written first = *written_at(kind, 0);
        kind->written_first = (kind->written_first + 1) & (kind->written_cap - 1);
        kind->written_count--;
        if (first.row->zxid == first.zxid) {
            row_drop(rows, first.row);
        }
    }
    if (kind->written_unsorted > kind->written_count) {
        kind->written_unsorted = kind->written_count;
    }
    MK_ASSERT(kind->written_count > 0 || kind->count == 0);
}

void speculative_forget(struct speculative *rows, mk_zxid zxid)
{
    MK_ASSERT(rows->undo_count == 0);
    for (size_t i = 0; i < rows->used_count; i++) {
        kind_forget(rows, &rows->kinds[rows->used[i]], zxid);
    }
}

uint64_t speculative_bytes(const struct speculative *rows)
{
    uint64_t queues = 0;
    for (size_t i = 0; i < rows->used_count; i++) {
        queues += rows->kinds[rows->used[i]].written_cap * sizeof(struct written);
    }
    return rows->bytes + rows->spare_count * (sizeof(struct row) + ROW_ROOM) + queues +
           rows->undo_cap * sizeof(rows->undo[0]) + rows->undo_bytes.cap + rows->gaps.bytes;
}

static bool row_is_found(const struct speculative *rows, const struct row *row)
{
    uint64_t hash = index_hash(&rows->index, row_key(row));
    return speculative_find(rows, row_key(row), hash) == row;
}

static void kind_check(const struct speculative *rows, const struct speculative_kind *kind,
                       size_t *sorted)
{
    table_check(&kind->table);
    *sorted += kind->table.count;
    struct table_cursor cursor = table_first(&kind->table);
    for (struct row *row; (row = table_at(&cursor)) != NULL; table_step(&cursor, false)) {
        MK_ASSERT(row->sorted && row_is_found(rows, row));
        MK_ASSERT(&rows->kinds[row->key[0]] == kind);
        MK_ASSERT(row->tombstone || gaps_at(&rows->gaps, row_key(row), false) == NULL);
    }
}

void speculative_check(const struct speculative *rows)
{
    uint64_t bytes = 0;
    size_t sorted = 0, count = 0;
    size_t index_cursor = 0;
    for (struct row *row; (row = index_next(&rows->index, &index_cursor)) != NULL;) {
        MK_ASSERT(row_is_found(rows, row));
        bytes += row_bytes(row);
        sorted += row->sorted;
    }
    MK_ASSERT(bytes == rows->bytes);
    size_t in_tables = 0;
    for (size_t i = 0; i < rows->used_count; i++) {
        kind_check(rows, &rows->kinds[rows->used[i]], &in_tables);
        count += rows->kinds[rows->used[i]].count;
    }
    MK_ASSERT(sorted == in_tables);
    MK_ASSERT(count == index_count(&rows->index));
}
