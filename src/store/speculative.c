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
    rows->kinds[row->key[0]]--;
    if (row->sorted) {
        table_remove(&rows->table, row);
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
    table_free(&rows->table);
    index_free(&rows->index);
    mk_free(rows->written);
    mk_free(rows->undo);
    mk_buf_free(&rows->undo_bytes);
}

struct row *speculative_find(const struct speculative *rows, struct mk_bytes key)
{
    if (index_count(&rows->index) == 0) {
        return NULL;
    }
    return index_find(&rows->index, key, index_hash(&rows->index, key));
}

/* ---- Writing ---- */

static struct written *written_at(const struct speculative *rows, size_t i)
{
    return &rows->written[(rows->written_first + i) & (rows->written_cap - 1)];
}

static void written_push(struct speculative *rows, mk_zxid zxid, struct row *row)
{
    if (rows->written_count == rows->written_cap) {
        size_t cap = rows->written_cap == 0 ? 64 : rows->written_cap * 2;
        struct written *larger = mk_alloc(cap * sizeof(*larger));
        for (size_t i = 0; i < rows->written_count; i++) {
            larger[i] = *written_at(rows, i);
        }
        mk_free(rows->written);
        rows->written = larger;
        rows->written_cap = cap;
        rows->written_first = 0;
    }
    rows->written_count++;
    rows->written_unsorted++;
    *written_at(rows, rows->written_count - 1) = (struct written){zxid, row};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A row that is not in the table was written since the last time, so it is among the newest. */
void speculative_sort(struct speculative *rows)
{
    for (size_t i = rows->written_count - rows->written_unsorted; i < rows->written_count; i++) {
        struct row *row = written_at(rows, i)->row;
        if (!row->sorted) {
            table_insert(&rows->table, row);
            row->sorted = true;
        }
    }
    rows->written_unsorted = 0;
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
    uint64_t hash = index_hash(&rows->index, key);
    struct row *row = index_find(&rows->index, key, hash);
    bool existed = row != NULL;
    if (!existed) {
        row = row_take(rows, key, value.len);
        row->zxid = -1;
        row->sorted = false;
        index_insert(&rows->index, row, hash);
        rows->bytes += row_bytes(row);
        rows->kinds[row->key[0]]++;
    }
    MK_ASSERT(key.data[0] < MK_COUNT(rows->kinds));
    MK_ASSERT(row->zxid <= zxid);
    if (row->zxid != zxid) {
        undo_push(rows, row, existed);
        written_push(rows, zxid, row);
        row->zxid = zxid;
    }
    rows->bytes -= row_bytes(row);
    if (value.data == NULL) {
        row_bury(row);
    } else {
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
    MK_ASSERT(rows->written_count >= rows->undo_count);
    rows->written_count -= rows->undo_count;
    rows->written_unsorted -= smaller(rows->undo_count, rows->written_unsorted);
    size_t at = rows->undo_bytes.len;
    while (rows->undo_count > 0) {
        struct undo *undo = &rows->undo[--rows->undo_count];
        at -= undo->value_len;
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

void speculative_forget(struct speculative *rows, mk_zxid zxid)
{
    MK_ASSERT(rows->undo_count == 0);
    while (rows->written_count > 0 && written_at(rows, 0)->zxid <= zxid) {
        struct written first = *written_at(rows, 0);
        rows->written_first = (rows->written_first + 1) & (rows->written_cap - 1);
        rows->written_count--;
        if (first.row->zxid == first.zxid) {
            row_drop(rows, first.row);
        }
    }
    rows->written_unsorted = smaller(rows->written_unsorted, rows->written_count);
    MK_ASSERT(rows->written_count > 0 || index_count(&rows->index) == 0);
}

uint64_t speculative_bytes(const struct speculative *rows)
{
    return rows->bytes + rows->spare_count * (sizeof(struct row) + ROW_ROOM) +
           rows->written_cap * sizeof(rows->written[0]) + rows->undo_cap * sizeof(rows->undo[0]) +
           rows->undo_bytes.cap;
}

void speculative_check(const struct speculative *rows)
{
    table_check(&rows->table);
    uint64_t bytes = 0;
    size_t sorted = 0;
    size_t index_cursor = 0;
    for (struct row *row; (row = index_next(&rows->index, &index_cursor)) != NULL;) {
        MK_ASSERT(speculative_find(rows, row_key(row)) == row);
        bytes += row_bytes(row);
        sorted += row->sorted;
    }
    MK_ASSERT(bytes == rows->bytes);
    MK_ASSERT(sorted == rows->table.count);
    struct table_cursor cursor = table_first(&rows->table);
    for (struct row *row; (row = table_at(&cursor)) != NULL; table_step(&cursor, false)) {
        MK_ASSERT(row->sorted && speculative_find(rows, row_key(row)) == row);
    }
}
