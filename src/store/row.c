/* Rows: allocation, and values that change in place. */
#include "store/row.h"

#include <string.h>

/* malloc's header, an index slot and 16 bytes of a table node, both at two thirds load. */
#define ROW_OVERHEAD_BYTES 64
#define ROW_GRAIN 16

static size_t round_up(size_t size)
{
    return (size + ROW_GRAIN - 1) / ROW_GRAIN * ROW_GRAIN;
}

static void row_init(struct row *row, size_t room, struct mk_bytes key)
{
    MK_ASSERT(key.len <= room);
    *row = (struct row){.key_len = (uint32_t)key.len, .tombstone = true};
    row->inline_cap = (uint32_t)(room - key.len);
    row->value_cap = row->inline_cap;
    row->value = row->key + key.len;
    memcpy(row->key, key.data, key.len);
    mk_list_init(&row->ring);
}

struct row *row_new(struct mk_bytes key, size_t value_room)
{
    MK_ASSERT(key.len > 0 && key.len < UINT32_MAX / 2 && value_room < UINT32_MAX / 2);
    /* malloc rounds up to a grain less its own 8 bytes: what it adds becomes room for the value. */
    size_t size = round_up(sizeof(struct row) + key.len + value_room + 8) - 8;
    struct row *row = mk_alloc(size);
    row_init(row, size - sizeof(struct row), key);
    return row;
}

static bool value_is_inline(const struct row *row)
{
    return row->value == row->key + row->key_len;
}

static void value_drop(struct row *row)
{
    if (!value_is_inline(row)) {
        mk_free(row->value);
        row->value = row->key + row->key_len;
        row->value_cap = row->inline_cap;
    }
}

size_t row_room(const struct row *row)
{
    return (size_t)row->key_len + row->inline_cap;
}

void row_renew(struct row *row, struct mk_bytes key)
{
    value_drop(row);
    row_init(row, row_room(row), key);
}

void row_free(struct row *row)
{
    value_drop(row);
    mk_free(row);
}

void row_set(struct row *row, struct mk_bytes value)
{
    MK_ASSERT(value.len < UINT32_MAX / 2);
    bool fits = value.len <= row->value_cap;
    bool wasteful = row->value_cap > 4096 && value.len < row->value_cap / 4;
    if (!fits || wasteful) {
        /* `value` may lie in the memory about to be dropped, so that goes last. */
        uint8_t *old = value_is_inline(row) ? NULL : row->value;
        if (value.len <= row->inline_cap) {
            row->value = row->key + row->key_len;
            row->value_cap = row->inline_cap;
        } else {
            row->value_cap = (uint32_t)(round_up(value.len + 8) - 8);
            row->value = mk_alloc(row->value_cap);
        }
        memcpy(row->value, value.data, value.len);
        mk_free(old);
    } else if (value.len > 0) {
        memmove(row->value, value.data, value.len);
    }
    row->value_len = (uint32_t)value.len;
    row->tombstone = false;
}

void row_bury(struct row *row)
{
    value_drop(row);
    row->value_len = 0;
    row->tombstone = true;
}

size_t row_bytes(const struct row *row)
{
    size_t outside = value_is_inline(row) ? 0 : row->value_cap;
    return sizeof(struct row) + row->key_len + row->inline_cap + outside + ROW_OVERHEAD_BYTES;
}
