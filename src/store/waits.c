/* Rows about parked calls; calls.c tells what for.
 *
 * One change may break the waits of a hundred thousand calls, so it does not touch them: it puts
 * (path, kind of wait) into `broken` and `ready`, and which calls that concerns is found, one by one,
 * when they are run. For that, awaited is sorted by stamp: waits that hold all have the stamp that the
 * znode has now, so one that does not is at one of the two ends. `children` wakes the first waiter
 * only; those are sorted by call, and the one that is woken is put into `ready` itself. */
#include "store/waits.h"

#include "store/znodes.h"

/* Behind the NUL of a key in awaited: kind, rank, call. */
#define AWAITED_REST_BYTES 17

bool waits_hold(enum tree_wait_kind kind, mk_zxid stamp, const struct store_znode *now)
{
    switch (kind) {
    case TREE_WAIT_CREATED: return now == NULL;
    case TREE_WAIT_DELETED: return now != NULL && now->stat.czxid == stamp;
    case TREE_WAIT_CHANGED: return stamp == (now == NULL ? 0 : now->stat.mzxid);
    case TREE_WAIT_CHILDREN:
    case TREE_WAIT_CHILDREN_ALL: return stamp == (now == NULL ? 0 : now->stat.pzxid);
    }
    return true;
}

bool waits_wake_all(enum tree_wait_kind kind)
{
    return kind != TREE_WAIT_CHILDREN;
}

enum mk_status waits_look(struct store_view *view, struct mk_bytes path, struct store_znode *znode,
                          const struct store_znode **now)
{
    enum mk_status status = znode_find(view, path, znode);
    *now = status == MK_OK ? znode : NULL;
    return status == MK_NO_NODE ? MK_OK : status;
}

static void totals_add(struct store_view *view, int64_t *total, int change)
{
    if (!view->speculative) {
        *total += change;
    }
}

/* ---- awaited ---- */

enum mk_status waits_count(struct store_view *view, struct mk_bytes path, uint32_t *count)
{
    *count = 0;
    struct mk_bytes value;
    struct mk_bytes key = key_below(&view->store->scraps, KEY_AWAITED_COUNT, path, 0, MK_BYTES(""));
    enum mk_status status = rows_get(view, key, &value);
    if (status == MK_OK) {
        *count = value.len == 4 ? mk_load_u32(value.data) : 0;
        return value.len == 4 ? MK_OK : MK_CORRUPT;
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

static void count_add(struct store_view *view, struct mk_bytes path, int change)
{
    uint32_t count;
    rows_write_check(view, waits_count(view, path, &count));
    uint8_t value[4];
    count += (uint32_t)change;
    mk_store_u32(value, count);
    struct mk_bytes key = key_below(&view->store->scraps, KEY_AWAITED_COUNT, path, 0, MK_BYTES(""));
    if (count > 0) {
        rows_put(view, key, mk_bytes_of(value, sizeof(value)));
    } else {
        rows_delete(view, key);
    }
    totals_add(view, &view->store->totals.awaited, change);
}

static struct mk_bytes awaited_key(struct store_view *view, const struct tree_wait *wait,
                                   mk_zxid call)
{
    uint64_t rank = waits_wake_all(wait->kind) ? (uint64_t)wait->stamp : 0;
    return key_awaited(&view->store->scraps, wait->path, (uint8_t)wait->kind, rank, call);
}

void waits_put(struct store_view *view, const struct tree_wait *wait, mk_zxid call)
{
    uint8_t stamp[8];
    mk_store_u64(stamp, (uint64_t)wait->stamp);
    count_add(view, wait->path, 1);
    rows_put_fresh(view, awaited_key(view, wait, call), mk_bytes_of(stamp, sizeof(stamp)));
}

void waits_delete(struct store_view *view, const struct tree_wait *wait, mk_zxid call)
{
    rows_delete(view, awaited_key(view, wait, call));
    count_add(view, wait->path, -1);
}

static struct range awaited_range(struct store_view *view, struct mk_bytes path,
                                  enum tree_wait_kind kind)
{
    uint8_t byte = (uint8_t)kind;
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes low = key_below(arena, KEY_AWAITED, path, 0, mk_bytes_of(&byte, 1));
    return (struct range){.low = low, .high = key_after_prefix(arena, low)};
}

/* The row at which the cursor stands. */
static enum mk_status awaited_read(const struct rows_cursor *cursor, mk_zxid *stamp, mk_zxid *call)
{
    if (cursor->key.len < AWAITED_REST_BYTES || cursor->value.len != 8) {
        return MK_CORRUPT;
    }
    *stamp = (mk_zxid)mk_load_u64(cursor->value.data);
    *call = (mk_zxid)mk_load_u64(cursor->key.data + cursor->key.len - 8);
    return MK_OK;
}

static enum mk_status end_find(struct store_view *view, struct range range, mk_zxid *stamp,
                               mk_zxid *call)
{
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    if (status == MK_OK) {
        status = awaited_read(&cursor, stamp, call);
    }
    rows_cursor_close(&cursor);
    return status;
}

/* The first in the range: those who hold were woken in vain, and have parked again. */
static enum mk_status first_find(struct store_view *view, struct range range,
                                 const struct store_znode *now, mk_zxid *call)
{
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        mk_zxid stamp;
        status = awaited_read(&cursor, &stamp, call);
        if (status != MK_OK || !waits_hold(TREE_WAIT_CHILDREN, stamp, now)) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status;
}

enum mk_status waits_find_broken(struct store_view *view, struct mk_bytes path,
                                 enum tree_wait_kind kind, const struct store_znode *now,
                                 mk_zxid *call)
{
    struct range range = awaited_range(view, path, kind);
    if (!waits_wake_all(kind)) {
        return first_find(view, range, now, call);
    }
    mk_zxid stamp;
    enum mk_status status = end_find(view, range, &stamp, call);
    if (status == MK_OK && waits_hold(kind, stamp, now)) {
        range.backwards = true;
        status = end_find(view, range, &stamp, call);
        status = status == MK_OK && waits_hold(kind, stamp, now) ? MK_END : status;
    }
    return status;
}

enum mk_status waits_foresee_broken(struct store_view *view, struct mk_bytes path,
                                    enum tree_wait_kind kind)
{
    struct range range = awaited_range(view, path, kind);
    struct mk_bytes value;
    mk_zxid stamp, call;
    if (rows_in_memory(view, KEY_AWAITED)) {
        return MK_OK;
    }
    enum mk_status status = end_find(view, range, &stamp, &call);
    if (status == MK_OK) {
        range.backwards = true;
        status = end_find(view, range, &stamp, &call);
    }
    if (status == MK_OK || status == MK_END) {
        status = rows_get(view, key_broken(&view->store->scraps, path, (uint8_t)kind), &value);
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

/* ---- ready and broken ---- */

static struct waits_place place_next(struct store_view *view, enum key_kind queue)
{
    return (struct waits_place){queue, view->zxid, view->wakes++};
}

static struct mk_bytes place_key(struct store_view *view, const struct waits_place *place)
{
    return key_queued(&view->store->scraps, place->queue, place->zxid, place->position);
}

static void broken_put(struct store_view *view, struct mk_bytes key, struct mk_bytes path,
                       enum tree_wait_kind kind)
{
    struct waits_place place = place_next(view, KEY_READY);
    uint8_t where[12];
    mk_store_u64(where, (uint64_t)place.zxid);
    mk_store_u32(where + 8, place.position);
    rows_put_fresh(view, key, mk_bytes_of(where, sizeof(where)));
    struct mk_buf what = {0};
    mk_buf_put_u8(&what, (uint8_t)kind);
    if (!key_path_is_root(path)) {
        mk_buf_append_bytes(&what, path); /* the root is "", whichever way it was written */
    }
    rows_put_fresh(view, place_key(view, &place), mk_buf_view(&what));
    mk_buf_free(&what);
    totals_add(view, &view->store->totals.ready, 1);
}

static void broken_delete(struct store_view *view, struct mk_bytes key, struct mk_bytes where)
{
    struct waits_place place = {KEY_READY, (mk_zxid)mk_load_u64(where.data),
                                mk_load_u32(where.data + 8)};
    rows_delete(view, place_key(view, &place));
    rows_delete(view, key);
    totals_add(view, &view->store->totals.ready, -1);
}

void waits_update_broken(struct store_view *view, struct mk_bytes path, enum tree_wait_kind kind,
                         const struct store_znode *now)
{
    struct mk_bytes key = key_broken(&view->store->scraps, path, (uint8_t)kind);
    struct mk_bytes where = MK_BYTES_NULL;
    mk_zxid call;
    enum mk_status status = rows_any(view, KEY_BROKEN) ? rows_get(view, key, &where) : MK_NO_NODE;
    if (status == MK_OK) {
        status = where.len == 12 ? MK_OK : MK_CORRUPT;
        where = mk_arena_copy(&view->store->scraps, where);
    }
    bool was_broken = status == MK_OK;
    if (status == MK_OK || status == MK_NO_NODE) {
        status = waits_find_broken(view, path, kind, now, &call);
    }
    if (status == MK_OK && !was_broken) {
        broken_put(view, key, path, kind);
    } else if (status == MK_END && was_broken) {
        broken_delete(view, key, where);
    }
    rows_write_check(view, status == MK_END ? MK_OK : status);
}

/* ---- Calls in a queue ---- */

static struct mk_bytes woken_key(struct store_view *view, mk_zxid call)
{
    return key_u64(&view->store->scraps, KEY_WOKEN, (uint64_t)call);
}

enum mk_status waits_place_find(struct store_view *view, mk_zxid call, struct waits_place *place)
{
    struct mk_bytes value;
    enum mk_status status = rows_get(view, woken_key(view, call), &value);
    if (status == MK_OK &&
        (value.len != 13 || (value.data[0] != KEY_READY && value.data[0] != KEY_GONE))) {
        return MK_CORRUPT;
    }
    if (status == MK_OK) {
        place->queue = (enum key_kind)value.data[0];
        place->zxid = (mk_zxid)mk_load_u64(value.data + 1);
        place->position = mk_load_u32(value.data + 9);
    }
    return status;
}

void waits_queue_put(struct store_view *view, enum key_kind queue, mk_zxid call)
{
    struct waits_place place = place_next(view, queue);
    uint8_t where[13];
    where[0] = (uint8_t)queue;
    mk_store_u64(where + 1, (uint64_t)place.zxid);
    mk_store_u32(where + 9, place.position);
    rows_put_fresh(view, woken_key(view, call), mk_bytes_of(where, sizeof(where)));
    uint8_t what[9] = {0};
    mk_store_u64(what + 1, (uint64_t)call);
    rows_put_fresh(view, place_key(view, &place), mk_bytes_of(what, sizeof(what)));
    totals_add(view, &view->store->totals.ready, 1);
}

void waits_queue_delete(struct store_view *view, mk_zxid call, const struct waits_place *place)
{
    rows_delete(view, place_key(view, place));
    rows_delete(view, woken_key(view, call));
    totals_add(view, &view->store->totals.ready, -1);
}

bool waits_queued_decode(struct mk_bytes value, struct waits_queued *queued)
{
    *queued = (struct waits_queued){.path = MK_BYTES_NULL};
    if (value.len == 9 && value.data[0] == 0) {
        queued->call = (mk_zxid)mk_load_u64(value.data + 1);
        return queued->call != 0;
    }
    if (value.len < 1 || value.data[0] < TREE_WAIT_CREATED ||
        value.data[0] > TREE_WAIT_CHILDREN_ALL) {
        return false;
    }
    queued->kind = (enum tree_wait_kind)value.data[0];
    queued->path = mk_bytes_of(value.data + 1, value.len - 1);
    return true;
}
