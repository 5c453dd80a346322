/* Sessions, and the znodes that go with them. */
#include "store/calls.h"
#include "store/keys.h"
#include "store/rows.h"

static struct mk_bytes session_key(struct store_view *view, mk_session id)
{
    return key_u64(&view->store->scraps, KEY_SESSION, (uint64_t)id);
}

/* Begin to write, and find out whether the session is there. */
static bool session_write_begin(struct store_view *view, mk_session id)
{
    rows_enter(view);
    rows_write_begin(view);
    struct mk_bytes value;
    enum mk_status status = rows_get(view, session_key(view, id), &value);
    if (status != MK_OK && status != MK_NO_NODE) {
        rows_write_check(view, status);
    }
    return status == MK_OK;
}

static enum mk_status session_write_end(struct store_view *view, int sessions)
{
    if (!view->speculative) {
        view->store->totals.sessions += sessions;
    }
    return rows_write_end(view);
}

enum mk_status store_session_put(struct store_view *view, mk_session id, int32_t timeout_ms)
{
    bool known = session_write_begin(view, id);
    uint8_t value[4];
    mk_store_u32(value, (uint32_t)timeout_ms);
    rows_put(view, session_key(view, id), mk_bytes_of(value, sizeof(value)));
    if (view->speculative && !known) {
        owned_know(&view->store->owned, id, 0);
    }
    return session_write_end(view, known ? 0 : 1);
}

enum mk_status store_session_remove(struct store_view *view, mk_session id)
{
    rows_enter(view);
    enum mk_status status = calls_session_foresee(view, id);
    if (status != MK_OK) {
        return status;
    }
    bool known = session_write_begin(view, id);
    if (known) {
        rows_delete(view, session_key(view, id));
        calls_session_gone(view, id);
    }
    if (view->speculative) {
        owned_forget(&view->store->owned, id);
    }
    return session_write_end(view, known ? -1 : 0);
}

enum mk_status store_session_read(struct store_view *view, mk_session id, int32_t *timeout_ms)
{
    rows_enter(view);
    struct mk_bytes value;
    enum mk_status status = rows_get(view, session_key(view, id), &value);
    if (status != MK_OK) {
        return status;
    }
    if (value.len != 4) {
        return MK_CORRUPT;
    }
    *timeout_ms = (int32_t)mk_load_u32(value.data);
    return MK_OK;
}

enum mk_status store_sessions_each(struct store_view *view, store_session_visit *visit,
                                   void *context)
{
    rows_enter(view);
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes prefix = key_path(arena, KEY_SESSION, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        if (cursor.key.len != 9 || cursor.value.len != 4) {
            status = MK_CORRUPT;
            break;
        }
        mk_session id = (mk_session)mk_load_u64(cursor.key.data + 1);
        if (!visit(context, id, (int32_t)mk_load_u32(cursor.value.data))) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

enum mk_status store_ephemerals_each(struct store_view *view, mk_session id, struct mk_bytes from,
                                     store_path_visit *visit, void *context)
{
    rows_enter(view);
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes prefix = key_ephemeral(arena, id, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    if (from.data != NULL) {
        range.low = key_after(arena, key_ephemeral(arena, id, from));
    }
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        struct mk_bytes path = {cursor.key.data + prefix.len, cursor.key.len - prefix.len};
        if (!visit(context, path)) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

static bool count_one(void *context, struct mk_bytes path)
{
    int64_t *count = context;

    (void)path;
    (*count)++;
    return true;
}

enum mk_status store_ephemerals_count(struct store_view *view, mk_session id, int64_t *count)
{
    if (view->speculative && owned_read(&view->store->owned, id, count)) {
        return MK_OK;
    }
    *count = 0;
    enum mk_status status = store_ephemerals_each(view, id, MK_BYTES_NULL, count_one, count);
    if (status == MK_OK && view->speculative) {
        owned_know(&view->store->owned, id, *count);
    }
    return status;
}

enum mk_status store_owned_each(struct store_view *view, store_owned_visit *visit, void *context)
{
    rows_enter(view);
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes prefix = key_path(arena, KEY_EPHEMERAL, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        size_t owner_bytes = prefix.len + sizeof(uint64_t);
        if (cursor.key.len < owner_bytes) {
            status = MK_CORRUPT;
            break;
        }
        mk_session id = (mk_session)mk_load_u64(cursor.key.data + prefix.len);
        struct mk_bytes path = {cursor.key.data + owner_bytes, cursor.key.len - owner_bytes};
        if (!visit(context, id, path)) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}
