/* Parked calls: the indexes parked, deadline, awaited, ready (design 6.3; keys.h has their keys).
 *
 * The life of a call, as these indexes see it:
 *   1. its record is written. parked and deadline rows; if all its waits hold: awaited rows.
 *   2. a znode that it waits for changes, so that a wait does not hold any more: it becomes ready.
 *      The awaited rows go, a ready row and a woken row come. From now on nothing wakes it again.
 *      A record of which a wait does not hold when it is written is ready at once.
 *   3. prepare runs it and rewrites its record (1 again, all old rows gone) or deletes it.
 * Of those who wait for `children` of one znode, a change wakes the first only; when that one ends,
 * the next is woken in its place, if its own wait does not hold any more. The index `awaited` has
 * the waits of calls that are not ready, so a change never looks at those that it woke before.
 *
 * A record is data that any peer may have sent. What cannot be decoded has no rows. */
#include "store/calls.h"

#include <string.h>

#include "store/keys.h"
#include "store/znodes.h"

/* ---- Records ---- */

static bool record_decode(struct mk_bytes record, struct tree_call *out)
{
    return record.data != NULL && tree_call_decode(record, out) == MK_OK;
}

/* Data of the record of `call`, copied, because rows change while it is in use. */
static enum mk_status record_load(struct store_view *view, struct mk_bytes path,
                                  const struct store_znode *found, struct mk_bytes *record)
{
    struct store_znode znode = *found;
    enum mk_status status = znode_load_data(view, path, &znode);
    if (status == MK_OK) {
        *record = mk_arena_copy(&view->store->scraps, znode.data);
    }
    return status;
}

static enum mk_status record_find(struct store_view *view, mk_zxid call, struct mk_bytes *record)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    tree_call_record_path(path, call);
    struct mk_bytes at = mk_bytes_of(path, sizeof(path));
    struct store_znode znode;
    enum mk_status status = znode_find(view, at, &znode);
    return status == MK_OK ? record_load(view, at, &znode, record) : status;
}

/* The waits of a call, each (path, kind) once. */
static int call_waits(const struct tree_call *call, const struct tree_wait *out[TREE_WAITS_MAX])
{
    int count = 0;
    for (int i = 0; i < call->waits_count; i++) {
        const struct tree_wait *wait = &call->waits[i];
        bool repeated = false;
        for (int j = 0; j < count; j++) {
            repeated = repeated ||
                       (out[j]->kind == wait->kind && mk_bytes_equal(out[j]->path, wait->path));
        }
        if (!repeated) {
            out[count++] = wait;
        }
    }
    return count;
}

bool calls_wait_holds(enum tree_wait_kind kind, mk_zxid stamp, const struct store_znode *now)
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

/* MK_OK also if it is absent: then *now is NULL. */
static enum mk_status wait_look(struct store_view *view, struct mk_bytes path,
                                struct store_znode *znode, const struct store_znode **now)
{
    enum mk_status status = znode_find(view, path, znode);
    *now = status == MK_OK ? znode : NULL;
    return status == MK_NO_NODE ? MK_OK : status;
}

/* ---- Rows: awaited, with their count per path ---- */

static void totals_add(struct store_view *view, int64_t *total, int change)
{
    if (!view->speculative) {
        *total += change;
    }
}

/* How many rows of awaited there are for `path`. */
static enum mk_status awaited_count(struct store_view *view, struct mk_bytes path, uint32_t *count)
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

static void awaited_count_add(struct store_view *view, struct mk_bytes path, int change)
{
    uint32_t count;
    rows_write_check(view, awaited_count(view, path, &count));
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

static void awaited_put(struct store_view *view, const struct tree_wait *wait, mk_zxid call)
{
    uint8_t stamp[8];
    mk_store_u64(stamp, (uint64_t)wait->stamp);
    awaited_count_add(view, wait->path, 1);
    rows_put_fresh(view, key_awaited(&view->store->scraps, wait->path, (uint8_t)wait->kind, call),
                   mk_bytes_of(stamp, sizeof(stamp)));
}

static void awaited_delete(struct store_view *view, const struct tree_wait *wait, mk_zxid call)
{
    rows_delete(view, key_awaited(&view->store->scraps, wait->path, (uint8_t)wait->kind, call));
    awaited_count_add(view, wait->path, -1);
}

/* ---- Rows: ready and woken ---- */

static struct mk_bytes woken_key(struct store_view *view, mk_zxid call)
{
    return key_u64(&view->store->scraps, KEY_WOKEN, (uint64_t)call);
}

/* The key of the ready row of `call`. MK_NO_NODE: it is not ready. */
static enum mk_status ready_find(struct store_view *view, mk_zxid call, struct mk_bytes *key)
{
    struct mk_bytes value;
    enum mk_status status = rows_get(view, woken_key(view, call), &value);
    if (status == MK_OK && value.len != 12) {
        return MK_CORRUPT;
    }
    if (status == MK_OK) {
        *key = key_ready(&view->store->scraps, (mk_zxid)mk_load_u64(value.data),
                         mk_load_u32(value.data + 8), call);
    }
    return status;
}

/* `call` has no rows in awaited (any more). */
static void ready_put(struct store_view *view, mk_zxid call)
{
    uint32_t position = view->wakes++;
    uint8_t where[12];
    mk_store_u64(where, (uint64_t)view->zxid);
    mk_store_u32(where + 8, position);
    rows_put_fresh(view, woken_key(view, call), mk_bytes_of(where, sizeof(where)));
    rows_put_fresh(view, key_ready(&view->store->scraps, view->zxid, position, call), MK_BYTES(""));
    totals_add(view, &view->store->totals.ready, 1);
}

static void ready_delete(struct store_view *view, mk_zxid call, struct mk_bytes key)
{
    rows_delete(view, key);
    rows_delete(view, woken_key(view, call));
    totals_add(view, &view->store->totals.ready, -1);
}

/* ---- A record is written, or goes ---- */

static void record_index(struct store_view *view, mk_zxid number, const struct tree_call *call)
{
    struct mk_arena *arena = &view->store->scraps;
    rows_put_fresh(view, key_u64_u64(arena, KEY_PARKED, (uint64_t)call->session, (uint64_t)number),
                   MK_BYTES(""));
    mk_ms due_ms = tree_call_due_ms(call);
    if (due_ms > 0) {
        rows_put_fresh(view, key_u64_u64(arena, KEY_DEADLINE, (uint64_t)due_ms, (uint64_t)number),
                       MK_BYTES(""));
    }
    totals_add(view, &view->store->totals.calls, 1);

    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(call, waits);
    for (int i = 0; i < count; i++) {
        struct store_znode znode;
        const struct store_znode *now;
        rows_write_check(view, wait_look(view, waits[i]->path, &znode, &now));
        if (!calls_wait_holds(waits[i]->kind, waits[i]->stamp, now)) {
            ready_put(view, number);
            return;
        }
    }
    for (int i = 0; i < count; i++) {
        awaited_put(view, waits[i], number);
    }
}

static void call_stop_waiting(struct store_view *view, mk_zxid number, const struct tree_call *call)
{
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(call, waits);
    for (int i = 0; i < count; i++) {
        awaited_delete(view, waits[i], number);
    }
}

/* ---- A znode has changed: who waited for that? ---- */

static void call_wake(struct store_view *view, mk_zxid number)
{
    struct mk_bytes key;
    enum mk_status status = ready_find(view, number, &key);
    if (status == MK_OK) {
        return; /* One call may wait for several kinds of change of one znode. */
    }
    struct mk_bytes record;
    struct tree_call call;
    if (status == MK_NO_NODE) {
        status = record_find(view, number, &record);
    }
    if (status == MK_NO_NODE || (status == MK_OK && !record_decode(record, &call))) {
        status = MK_CORRUPT; /* a row in awaited without its record */
    }
    rows_write_check(view, status);
    if (status == MK_OK) {
        call_stop_waiting(view, number, &call);
        ready_put(view, number);
    }
}

/* Calls to be woken by one change, found before the first is, because that changes rows. */
struct wakes {
    mk_zxid *calls;
    size_t count;
    size_t cap;
};

static void wakes_push(struct mk_arena *arena, struct wakes *wakes, mk_zxid call)
{
    if (wakes->count == wakes->cap) {
        size_t cap = wakes->cap == 0 ? 8 : wakes->cap * 2;
        mk_zxid *larger = mk_arena_alloc(arena, cap * sizeof(*larger));
        if (wakes->count > 0) {
            memcpy(larger, wakes->calls, wakes->count * sizeof(*larger));
        }
        wakes->calls = larger;
        wakes->cap = cap;
    }
    wakes->calls[wakes->count++] = call;
}

/* The kinds of wait that a change can concern, as one range of an index that is sorted by kind. */
struct kinds {
    enum tree_wait_kind first;
    enum tree_wait_kind last;
};
static const struct kinds kinds_all = {TREE_WAIT_CREATED, TREE_WAIT_CHILDREN_ALL};
static const struct kinds kinds_changed = {TREE_WAIT_CHANGED, TREE_WAIT_CHANGED};
static const struct kinds kinds_children = {TREE_WAIT_CHILDREN, TREE_WAIT_CHILDREN_ALL};

/* What is looked for: waits that do not hold, the znode being as it is now. */
struct sight {
    struct mk_bytes path;
    struct kinds kinds;
    const struct store_znode *now; /* NULL: absent */
    bool foreseen;                 /* it is about to change: any wait may cease to hold */
};

/* Of one kind, those that do not hold; of TREE_WAIT_CHILDREN the first of them. */
static enum mk_status wakes_find_kind(struct store_view *view, const struct sight *sight,
                                      enum tree_wait_kind kind, struct wakes *wakes)
{
    struct mk_arena *arena = &view->store->scraps;
    uint8_t kind_byte = (uint8_t)kind;
    struct mk_bytes low = key_below(arena, KEY_AWAITED, sight->path, 0, mk_bytes_of(&kind_byte, 1));
    struct range range = {.low = low, .high = key_after_prefix(arena, low)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        if (cursor.key.len != low.len + 8 || cursor.value.len != 8) {
            status = MK_CORRUPT;
            break;
        }
        mk_zxid stamp = (mk_zxid)mk_load_u64(cursor.value.data);
        if (!sight->foreseen && calls_wait_holds(kind, stamp, sight->now)) {
            continue;
        }
        wakes_push(arena, wakes, (mk_zxid)mk_load_u64(cursor.key.data + low.len));
        if (kind == TREE_WAIT_CHILDREN) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

static enum mk_status wakes_find(struct store_view *view, const struct sight *sight,
                                 struct wakes *wakes)
{
    uint32_t count;
    enum mk_status status = awaited_count(view, sight->path, &count);
    if (count == 0) {
        return status;
    }
    unsigned kind = sight->kinds.first;
    for (; kind <= sight->kinds.last && status == MK_OK; kind++) {
        status = wakes_find_kind(view, sight, (enum tree_wait_kind)kind, wakes);
    }
    return status;
}

static void znode_changed(struct store_view *view, struct mk_bytes path, struct kinds kinds,
                          const struct store_znode *now)
{
    if (!rows_any(view, KEY_AWAITED)) {
        return;
    }
    struct wakes wakes = {0};
    struct sight sight = {path, kinds, now, false};
    rows_write_check(view, wakes_find(view, &sight, &wakes));
    for (size_t i = 0; i < wakes.count; i++) {
        call_wake(view, wakes.calls[i]);
    }
}

/* One `children` wait of a call that ends: if it does not hold, somebody else may have been passed
 * over for this call's sake. */
static void wait_pass_on(struct store_view *view, const struct tree_wait *wait)
{
    struct store_znode znode;
    struct wakes wakes = {0};
    struct sight sight = {.path = wait->path};
    enum mk_status status = wait_look(view, wait->path, &znode, &sight.now);
    if (status == MK_OK && !calls_wait_holds(wait->kind, wait->stamp, sight.now)) {
        status = wakes_find_kind(view, &sight, TREE_WAIT_CHILDREN, &wakes);
    }
    rows_write_check(view, status);
    for (size_t i = 0; i < wakes.count; i++) {
        call_wake(view, wakes.calls[i]);
    }
}

/* A call that a change has woken ends. It may not have used what it was woken for, and the next in
 * line was passed over for its sake: that one is woken in its place. Waking one in vain does no
 * harm. */
static void call_pass_on(struct store_view *view, const struct tree_call *call)
{
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(call, waits);
    for (int i = 0; i < count; i++) {
        if (waits[i]->kind == TREE_WAIT_CHILDREN) {
            wait_pass_on(view, waits[i]);
        }
    }
}

/* ---- A record goes, or comes ---- */

/* `ends`: the call waits no longer; else its record is written anew, because it has parked
 * again. */
static void record_unindex(struct store_view *view, mk_zxid number, const struct tree_call *call,
                           bool ends)
{
    struct mk_arena *arena = &view->store->scraps;
    rows_delete(view, key_u64_u64(arena, KEY_PARKED, (uint64_t)call->session, (uint64_t)number));
    mk_ms due_ms = tree_call_due_ms(call);
    if (due_ms > 0) {
        rows_delete(view, key_u64_u64(arena, KEY_DEADLINE, (uint64_t)due_ms, (uint64_t)number));
    }
    totals_add(view, &view->store->totals.calls, -1);

    struct mk_bytes ready;
    enum mk_status status = ready_find(view, number, &ready);
    if (status == MK_OK) {
        ready_delete(view, number, ready);
        if (ends) {
            call_pass_on(view, call);
        }
    } else if (status == MK_NO_NODE) {
        call_stop_waiting(view, number, call);
    } else {
        rows_write_check(view, status);
    }
}

static void record_gone(struct store_view *view, const struct calls_change *change)
{
    struct tree_call call;
    if (record_decode(change->record_old, &call)) {
        struct tree_call next;
        bool parked = record_decode(change->record_new, &next) &&
                      (next.waits_count > 0 || next.wake_at_ms > 0);
        record_unindex(view, tree_call_of_path(change->path), &call, !parked);
    }
}

static void record_come(struct store_view *view, const struct calls_change *change)
{
    mk_zxid number = tree_call_of_path(change->path);
    struct tree_call call;
    if (number != 0 && record_decode(change->record_new, &call)) {
        record_index(view, number, &call);
    }
}

void calls_created(struct store_view *view, const struct calls_change *change,
                   const struct store_znode *now, const struct store_znode *parent)
{
    znode_changed(view, change->path, kinds_all, now);
    znode_changed(view, key_path_parent(change->path), kinds_children, parent);
    record_come(view, change);
}

void calls_deleted(struct store_view *view, const struct calls_change *change,
                   const struct store_znode *parent)
{
    record_gone(view, change);
    znode_changed(view, change->path, kinds_all, NULL);
    znode_changed(view, key_path_parent(change->path), kinds_children, parent);
}

void calls_data_changed(struct store_view *view, const struct calls_change *change,
                        const struct store_znode *now)
{
    record_gone(view, change);
    znode_changed(view, change->path, kinds_changed, now);
    record_come(view, change);
}

void calls_parent_moved(struct store_view *view, const struct calls_change *change,
                        const struct store_znode *parent)
{
    znode_changed(view, key_path_parent(change->path), kinds_children, parent);
}

/* ---- Reading ahead, for views that may not wait for the disk ---- */

enum mk_status calls_record_keep(struct store_view *view, struct calls_change *change,
                                 const struct store_znode *znode)
{
    if (tree_call_of_path(change->path) == 0) {
        return MK_OK;
    }
    return record_load(view, change->path, znode, &change->record_old);
}

/* Everything that stopping to wait, or waiting, will read. */
static enum mk_status call_foresee(struct store_view *view, mk_zxid number, struct mk_bytes record)
{
    struct tree_call call;
    if (!record_decode(record, &call)) {
        return MK_OK;
    }
    struct mk_bytes key;
    enum mk_status status = ready_find(view, number, &key);
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(&call, waits);
    for (int i = 0; i < count && (status == MK_OK || status == MK_NO_NODE); i++) {
        struct store_znode znode;
        const struct store_znode *now;
        uint32_t awaited;
        status = wait_look(view, waits[i]->path, &znode, &now);
        if (status == MK_OK) {
            status = awaited_count(view, waits[i]->path, &awaited);
        }
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

static enum mk_status sight_foresee(struct store_view *view, struct mk_bytes path,
                                    struct kinds kinds)
{
    struct wakes wakes = {0};
    struct sight sight = {path, kinds, NULL, true};
    enum mk_status status = wakes_find(view, &sight, &wakes);
    for (size_t i = 0; i < wakes.count && status == MK_OK; i++) {
        struct mk_bytes record;
        status = record_find(view, wakes.calls[i], &record);
        if (status == MK_OK) {
            status = call_foresee(view, wakes.calls[i], record);
        } else if (status == MK_NO_NODE) {
            status = MK_CORRUPT;
        }
    }
    return status;
}

enum mk_status calls_foresee(struct store_view *view, const struct calls_change *change)
{
    if (view->may_block) {
        return MK_OK;
    }
    mk_zxid number = tree_call_of_path(change->path);
    enum mk_status status = MK_OK;
    if (number != 0) {
        status = call_foresee(view, number, change->record_old);
    }
    if (number != 0 && status == MK_OK) {
        status = call_foresee(view, number, change->record_new);
    }
    struct tree_call call;
    if (number != 0 && record_decode(change->record_old, &call)) {
        for (int i = 0; i < call.waits_count && status == MK_OK; i++) {
            if (call.waits[i].kind == TREE_WAIT_CHILDREN) {
                status = sight_foresee(view, call.waits[i].path, kinds_children);
            }
        }
    }
    if (status == MK_OK && rows_any(view, KEY_AWAITED)) {
        status = sight_foresee(view, change->path, kinds_all);
    }
    if (status == MK_OK && rows_any(view, KEY_AWAITED) && !key_path_is_root(change->path)) {
        status = sight_foresee(view, key_path_parent(change->path), kinds_children);
    }
    return status;
}

/* ---- The door ---- */

/* Visit the calls of a range; their numbers are the last 8 bytes of the keys. */
static enum mk_status calls_each(struct store_view *view, struct mk_bytes prefix,
                                 store_call_visit *visit, void *context)
{
    struct range range = {.low = prefix, .high = key_after_prefix(&view->store->scraps, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        if (cursor.key.len < prefix.len + 8) {
            status = MK_CORRUPT;
            break;
        }
        if (!visit(context, (mk_zxid)mk_load_u64(cursor.key.data + cursor.key.len - 8))) {
            break;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

enum mk_status store_ready_each(struct store_view *view, store_call_visit *visit, void *context)
{
    rows_enter(view);
    if (!rows_any(view, KEY_READY)) {
        return MK_OK;
    }
    struct mk_bytes prefix = key_path(&view->store->scraps, KEY_READY, MK_BYTES(""));
    return calls_each(view, prefix, visit, context);
}

enum mk_status store_session_calls_each(struct store_view *view, mk_session id,
                                        store_call_visit *visit, void *context)
{
    rows_enter(view);
    if (!rows_any(view, KEY_PARKED)) {
        return MK_OK;
    }
    struct mk_bytes prefix = key_u64(&view->store->scraps, KEY_PARKED, (uint64_t)id);
    return calls_each(view, prefix, visit, context);
}

enum mk_status store_deadline_first(struct store_view *view, mk_ms *due_ms, mk_zxid *call)
{
    rows_enter(view);
    if (!rows_any(view, KEY_DEADLINE)) {
        return MK_END;
    }
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes prefix = key_path(arena, KEY_DEADLINE, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    if (status == MK_OK && cursor.key.len != 17) {
        status = MK_CORRUPT;
    }
    if (status == MK_OK) {
        *due_ms = (mk_ms)mk_load_u64(cursor.key.data + 1);
        *call = (mk_zxid)mk_load_u64(cursor.key.data + 9);
    }
    rows_cursor_close(&cursor);
    return status;
}
