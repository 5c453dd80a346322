/* Calls by what they run. Whether a version may be removed, and how many calls wait on an operation, is
 * asked of a few rows, not of all records: a start and a question for figures scan nothing. */
#include "store/running.h"

#include "store/keys.h"

struct mk_bytes running_key(struct store_view *view, const struct tree_call *call)
{
    return key_below(&view->store->scraps, KEY_RUNNING, call->operation, 0, call->version);
}

static enum mk_status count_read(struct store_view *view, struct mk_bytes key, uint32_t *count)
{
    *count = 0;
    struct mk_bytes value;
    enum mk_status status = rows_get(view, key, &value);
    if (status == MK_OK) {
        *count = value.len == 4 ? mk_load_u32(value.data) : 0;
        return value.len == 4 ? MK_OK : MK_CORRUPT;
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

void running_add(struct store_view *view, const struct tree_call *call, int change)
{
    uint8_t value[4];
    uint32_t count;
    if (call->operation.len == 0) {
        return; /* it has ended, and runs nothing */
    }
    struct mk_bytes key = running_key(view, call);
    rows_write_check(view, count_read(view, key, &count));
    count += (uint32_t)change;
    mk_store_u32(value, count);
    if (count > 0) {
        rows_put(view, key, mk_bytes_of(value, sizeof(value)));
    } else {
        rows_delete(view, key);
    }
}

enum mk_status running_foresee(struct store_view *view, const struct tree_call *call)
{
    uint32_t count;
    return call->operation.len == 0 ? MK_OK : count_read(view, running_key(view, call), &count);
}

/* ---- The door ---- */

static bool ends_in(struct mk_bytes key, struct mk_bytes end)
{
    return key.len >= end.len &&
           mk_bytes_equal(mk_bytes_of(key.data + key.len - end.len, end.len), end);
}

enum mk_status store_running_count(struct store_view *view, struct mk_bytes operations,
                                   struct mk_bytes version, int64_t *count)
{
    rows_enter(view);
    *count = 0;
    if (!rows_any(view, KEY_RUNNING)) {
        return MK_OK;
    }
    struct mk_bytes prefix = key_path(&view->store->scraps, KEY_RUNNING, operations);
    struct range range = {.low = prefix, .high = key_after_prefix(&view->store->scraps, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        struct mk_bytes key = cursor.key;
        if (cursor.value.len != 4) {
            status = MK_CORRUPT;
            break;
        }
        if (version.data == NULL || ends_in(key, version)) {
            *count += mk_load_u32(cursor.value.data);
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

enum mk_status store_calls_each(struct store_view *view, struct store_call_place after,
                                store_call_place_visit *visit, void *context)
{
    rows_enter(view);
    if (!rows_any(view, KEY_PARKED)) {
        return MK_OK;
    }
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes low = key_parked(arena, after.session, after.call_id, after.call);
    struct mk_bytes all = key_path(arena, KEY_PARKED, MK_BYTES(""));
    struct range range = {.low = key_after(arena, low), .high = key_after_prefix(arena, all)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        if (cursor.key.len != 25) {
            status = MK_CORRUPT;
            break;
        }
        struct store_call_place place = {(mk_session)mk_load_u64(cursor.key.data + 1),
                                         (int64_t)mk_load_u64(cursor.key.data + 9),
                                         (mk_zxid)mk_load_u64(cursor.key.data + 17)};
        if (!visit(context, place)) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}
