/* Parked calls: the indexes that follow from their records (design 6.3; keys.h has the keys).
 *
 * The life of a call, as these indexes see it:
 *   1. its record is written. parked and deadline rows; if all its waits hold: awaited rows.
 *   2. a znode that it waits for changes, so that a wait does not hold any more. (path, kind of wait)
 *      becomes broken, and so is in `ready`, for the sake of all whose wait that is: waits.c. It stays
 *      there until nobody waits for it in vain.
 *      Of those who wait for `children` one is woken: it loses its awaited rows and is in `ready`
 *      itself. A record of which a wait does not hold when it is written is in `ready` at once.
 *   3. prepare runs it and rewrites its record (1 again, all old rows gone) or deletes it. One that a
 *      `children` wait woke passes its wake on when it ends: the next, if its own wait does not hold
 *      any more, was passed over for its sake.
 * One that is slowed has no awaited rows: prepare looks at it again when its time has come.
 * A session's end makes its calls, but those that outlive it, wait for nothing: they are `gone`, and
 * prepare ends them.
 *
 * A record is data that any peer may have sent. What cannot be decoded has no rows. */
#include "store/calls.h"

#include <string.h>

#include "store/keys.h"
#include "store/running.h"
#include "store/waits.h"
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

static void totals_add(struct store_view *view, int64_t *total, int change)
{
    if (!view->speculative) {
        *total += change;
    }
}

/* ---- How many calls a session has ---- */

static enum mk_status held_count(struct store_view *view, mk_session id, uint32_t *count)
{
    *count = 0;
    struct mk_bytes value;
    enum mk_status status =
        rows_get(view, key_u64(&view->store->scraps, KEY_HELD, (uint64_t)id), &value);
    if (status == MK_OK) {
        *count = value.len == 4 ? mk_load_u32(value.data) : 0;
        return value.len == 4 ? MK_OK : MK_CORRUPT;
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

static void held_add(struct store_view *view, mk_session id, int change)
{
    uint32_t count;
    rows_write_check(view, held_count(view, id, &count));
    uint8_t value[4];
    count += (uint32_t)change;
    mk_store_u32(value, count);
    struct mk_bytes key = key_u64(&view->store->scraps, KEY_HELD, (uint64_t)id);
    if (count > 0) {
        rows_put(view, key, mk_bytes_of(value, sizeof(value)));
    } else {
        rows_delete(view, key);
    }
}

/* ---- A record is written ---- */

/* Whether the call goes with a session that is not there. */
static enum mk_status session_gone(struct store_view *view, const struct tree_call *call,
                                   bool *gone)
{
    struct mk_bytes key = key_u64(&view->store->scraps, KEY_SESSION, (uint64_t)call->session);
    struct mk_bytes value;
    enum mk_status status = call->outlives_session ? MK_OK : rows_get(view, key, &value);
    *gone = status == MK_NO_NODE;
    return status == MK_NO_NODE ? MK_OK : status;
}

static struct mk_bytes slowed_key(struct store_view *view, mk_zxid number,
                                  const struct tree_call *call)
{
    return key_u64_u64(&view->store->scraps, KEY_SLOWED, (uint64_t)call->not_before_ms,
                       (uint64_t)number);
}

/* Whether all its waits hold. */
static bool waits_all_hold(struct store_view *view, const struct tree_wait *const *waits, int count)
{
    for (int i = 0; i < count; i++) {
        struct store_znode znode;
        const struct store_znode *now;
        rows_write_check(view, waits_look(view, waits[i]->path, &znode, &now));
        if (!waits_hold(waits[i]->kind, waits[i]->stamp, now)) {
            return false;
        }
    }
    return true;
}

static void call_start_waiting(struct store_view *view, mk_zxid number,
                               const struct tree_call *call)
{
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(call, waits);
    if (!waits_all_hold(view, waits, count)) {
        waits_queue_put(view, KEY_READY, number);
        return;
    }
    for (int i = 0; i < count; i++) {
        waits_put(view, waits[i], number);
    }
}

static void record_index(struct store_view *view, mk_zxid number, const struct tree_call *call)
{
    struct mk_arena *arena = &view->store->scraps;
    rows_put_fresh(view, key_parked(arena, call->session, call->call_id, number), MK_BYTES(""));
    held_add(view, call->session, 1);
    mk_ms due_ms = tree_call_due_ms(call);
    if (due_ms > 0) {
        rows_put_fresh(view, key_u64_u64(arena, KEY_DEADLINE, (uint64_t)due_ms, (uint64_t)number),
                       MK_BYTES(""));
        totals_add(view, &view->store->totals.deadlines, 1);
    }
    running_add(view, call, 1);
    totals_add(view, &view->store->totals.calls, 1);

    bool gone;
    rows_write_check(view, session_gone(view, call, &gone));
    if (gone) {
        waits_queue_put(view, KEY_GONE, number);
    } else if (call->not_before_ms > 0) {
        rows_put_fresh(view, slowed_key(view, number, call), MK_BYTES(""));
        totals_add(view, &view->store->totals.slowed, 1);
    } else {
        call_start_waiting(view, number, call);
    }
}

/* ---- A call waits no longer ---- */

static void call_stop_waiting(struct store_view *view, mk_zxid number, const struct tree_call *call)
{
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(call, waits);
    for (int i = 0; i < count; i++) {
        waits_delete(view, waits[i], number);
        if (!waits_wake_all(waits[i]->kind) || !rows_any(view, KEY_BROKEN)) {
            continue;
        }
        struct store_znode znode;
        const struct store_znode *now;
        rows_write_check(view, waits_look(view, waits[i]->path, &znode, &now));
        waits_update_broken(view, waits[i]->path, waits[i]->kind, now);
    }
}

/* It waits for `children`, and it is the first of whom that wakes: it has rows in awaited. */
static void call_wake(struct store_view *view, mk_zxid number)
{
    struct mk_bytes record;
    struct tree_call call;
    enum mk_status status = record_find(view, number, &record);
    if (status == MK_NO_NODE || (status == MK_OK && !record_decode(record, &call))) {
        status = MK_CORRUPT; /* a row in awaited without its record */
    }
    rows_write_check(view, status);
    if (status == MK_OK) {
        call_stop_waiting(view, number, &call);
        waits_queue_put(view, KEY_READY, number);
    }
}

/* One `children` wait of a call that ends: if it does not hold, somebody else may have been passed
 * over for this call's sake. */
static void wait_pass_on(struct store_view *view, const struct tree_wait *wait)
{
    struct store_znode znode;
    const struct store_znode *now;
    mk_zxid next;
    enum mk_status status = waits_look(view, wait->path, &znode, &now);
    if (status == MK_OK && !waits_hold(wait->kind, wait->stamp, now)) {
        status = waits_find_broken(view, wait->path, wait->kind, now, &next);
        if (status == MK_OK) {
            call_wake(view, next);
        }
    }
    rows_write_check(view, status == MK_END ? MK_OK : status);
}

/* A call that a change has woken ends. It may not have used what it was woken for. Waking the next in
 * vain does no harm. */
static void call_pass_on(struct store_view *view, const struct tree_call *call)
{
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(call, waits);
    for (int i = 0; i < count; i++) {
        if (!waits_wake_all(waits[i]->kind)) {
            wait_pass_on(view, waits[i]);
        }
    }
}

/* Take it out of wherever its waits have put it. `ends`: it will not park again. */
static void call_unplace(struct store_view *view, mk_zxid number, const struct tree_call *call,
                         bool ends)
{
    struct waits_place place;
    enum mk_status status = waits_place_find(view, number, &place);
    if (status == MK_OK) {
        waits_queue_delete(view, number, &place);
        if (ends && place.queue == KEY_READY) {
            call_pass_on(view, call);
        }
    } else if (status == MK_NO_NODE && call->not_before_ms > 0) {
        rows_delete(view, slowed_key(view, number, call));
        totals_add(view, &view->store->totals.slowed, -1);
    } else if (status == MK_NO_NODE) {
        call_stop_waiting(view, number, call);
    } else {
        rows_write_check(view, status);
    }
}

/* ---- A znode has changed: who waited for that? ---- */

/* The kinds of wait that a change can concern, as one range. */
struct kinds {
    enum tree_wait_kind first;
    enum tree_wait_kind last;
};
static const struct kinds kinds_all = {TREE_WAIT_CREATED, TREE_WAIT_CHILDREN_ALL};
static const struct kinds kinds_changed = {TREE_WAIT_CHANGED, TREE_WAIT_CHANGED};
static const struct kinds kinds_children = {TREE_WAIT_CHILDREN, TREE_WAIT_CHILDREN_ALL};

static void kind_changed(struct store_view *view, struct mk_bytes path, enum tree_wait_kind kind,
                         const struct store_znode *now)
{
    if (waits_wake_all(kind)) {
        waits_update_broken(view, path, kind, now);
        return;
    }
    mk_zxid first;
    enum mk_status status = waits_find_broken(view, path, kind, now, &first);
    if (status == MK_OK) {
        call_wake(view, first);
    }
    rows_write_check(view, status == MK_END ? MK_OK : status);
}

static void znode_changed(struct store_view *view, struct mk_bytes path, struct kinds kinds,
                          const struct store_znode *now)
{
    uint32_t count;
    if (!rows_any(view, KEY_AWAITED)) {
        return;
    }
    rows_write_check(view, waits_count(view, path, &count));
    for (unsigned kind = kinds.first; count > 0 && kind <= kinds.last; kind++) {
        kind_changed(view, path, (enum tree_wait_kind)kind, now);
    }
}

/* ---- A session has ended ---- */

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

struct numbers {
    struct mk_arena *arena;
    mk_zxid *calls;
    size_t count;
    size_t cap;
};

static bool numbers_push(void *context, mk_zxid call)
{
    struct numbers *numbers = context;
    if (numbers->count == numbers->cap) {
        size_t cap = numbers->cap == 0 ? 8 : numbers->cap * 2;
        mk_zxid *larger = mk_arena_alloc(numbers->arena, cap * sizeof(*larger));
        if (numbers->count > 0) {
            memcpy(larger, numbers->calls, numbers->count * sizeof(*larger));
        }
        numbers->calls = larger;
        numbers->cap = cap;
    }
    numbers->calls[numbers->count++] = call;
    return true;
}

static enum mk_status session_numbers(struct store_view *view, mk_session id,
                                      struct numbers *numbers)
{
    *numbers = (struct numbers){.arena = &view->store->scraps};
    if (!rows_any(view, KEY_PARKED)) {
        return MK_OK;
    }
    struct mk_bytes prefix = key_u64(&view->store->scraps, KEY_PARKED, (uint64_t)id);
    return calls_each(view, prefix, numbers_push, numbers);
}

static void call_gone(struct store_view *view, mk_zxid number)
{
    struct mk_bytes record;
    struct tree_call call;
    struct waits_place place;
    enum mk_status status = record_find(view, number, &record);
    if (status == MK_NO_NODE || (status == MK_OK && !record_decode(record, &call))) {
        status = MK_CORRUPT; /* a row in parked without its record */
    }
    rows_write_check(view, status);
    if (status != MK_OK || call.outlives_session) {
        return;
    }
    status = waits_place_find(view, number, &place);
    if (status == MK_OK && place.queue == KEY_GONE) {
        return; /* its id was a session's once before */
    }
    call_unplace(view, number, &call, true);
    waits_queue_put(view, KEY_GONE, number);
}

void calls_session_gone(struct store_view *view, mk_session id)
{
    struct numbers numbers;
    rows_write_check(view, session_numbers(view, id, &numbers));
    for (size_t i = 0; i < numbers.count; i++) {
        call_gone(view, numbers.calls[i]);
    }
}

/* ---- A record goes, or comes ---- */

/* `ends`: the call waits no longer; else its record is written anew, because it has parked
 * again. */
static void record_unindex(struct store_view *view, mk_zxid number, const struct tree_call *call,
                           bool ends)
{
    struct mk_arena *arena = &view->store->scraps;
    rows_delete(view, key_parked(arena, call->session, call->call_id, number));
    held_add(view, call->session, -1);
    mk_ms due_ms = tree_call_due_ms(call);
    if (due_ms > 0) {
        rows_delete(view, key_u64_u64(arena, KEY_DEADLINE, (uint64_t)due_ms, (uint64_t)number));
        totals_add(view, &view->store->totals.deadlines, -1);
    }
    running_add(view, call, -1);
    totals_add(view, &view->store->totals.calls, -1);
    call_unplace(view, number, call, ends);
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

enum mk_status calls_restore(struct store_view *view, mk_zxid number)
{
    rows_enter(view);
    struct mk_bytes record;
    struct tree_call call;
    enum mk_status status = record_find(view, number, &record);
    if (status != MK_OK || !record_decode(record, &call)) {
        return status == MK_NO_NODE ? MK_OK : status;
    }
    rows_write_begin(view);
    record_index(view, number, &call);
    return rows_write_end(view);
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

static enum mk_status wait_foresee(struct store_view *view, const struct tree_wait *wait)
{
    struct store_znode znode;
    const struct store_znode *now;
    uint32_t awaited;
    enum mk_status status = waits_look(view, wait->path, &znode, &now);
    if (status == MK_OK) {
        status = waits_count(view, wait->path, &awaited);
    }
    if (status == MK_OK) {
        status = waits_foresee_broken(view, wait->path, wait->kind);
    }
    return status;
}

/* Everything that stopping to wait, or waiting, will read. */
static enum mk_status call_foresee(struct store_view *view, mk_zxid number, struct mk_bytes record)
{
    struct tree_call call;
    if (!record_decode(record, &call)) {
        return MK_OK;
    }
    struct waits_place place;
    uint32_t held;
    bool gone;
    enum mk_status status = waits_place_find(view, number, &place);
    if (status == MK_OK || status == MK_NO_NODE) {
        status = session_gone(view, &call, &gone);
    }
    if (status == MK_OK) {
        status = held_count(view, call.session, &held);
    }
    if (status == MK_OK) {
        status = running_foresee(view, &call);
    }
    const struct tree_wait *waits[TREE_WAITS_MAX];
    int count = call_waits(&call, waits);
    for (int i = 0; i < count && status == MK_OK; i++) {
        status = wait_foresee(view, waits[i]);
    }
    return status;
}

/* The call that a change of `path` would wake, the znode being as it is `now`. */
static enum mk_status first_foresee_now(struct store_view *view, struct mk_bytes path,
                                        const struct store_znode *now)
{
    struct mk_bytes record;
    mk_zxid first;
    enum mk_status status = waits_find_broken(view, path, TREE_WAIT_CHILDREN, now, &first);
    if (status == MK_OK) {
        status = record_find(view, first, &record);
        status = status == MK_NO_NODE ? MK_CORRUPT : status;
    }
    if (status == MK_OK) {
        status = call_foresee(view, first, record);
    }
    return status == MK_END ? MK_OK : status;
}

/* Once the children have changed no wait for that holds; until then some may. */
static enum mk_status first_foresee(struct store_view *view, struct mk_bytes path)
{
    struct store_znode znode, changed = {.stat.pzxid = INT64_MAX};
    const struct store_znode *now;
    if (rows_in_memory(view, KEY_AWAITED)) {
        return MK_OK; /* and so are the calls' records, which are not in the base either */
    }
    enum mk_status status = waits_look(view, path, &znode, &now);
    if (status == MK_OK) {
        status = first_foresee_now(view, path, now);
    }
    return status == MK_OK ? first_foresee_now(view, path, &changed) : status;
}

static enum mk_status change_foresee(struct store_view *view, struct mk_bytes path,
                                     struct kinds kinds)
{
    uint32_t count;
    enum mk_status status = waits_count(view, path, &count);
    for (unsigned kind = kinds.first; status == MK_OK && count > 0 && kind <= kinds.last; kind++) {
        status = waits_wake_all((enum tree_wait_kind)kind)
                     ? waits_foresee_broken(view, path, (enum tree_wait_kind)kind)
                     : first_foresee(view, path);
    }
    return status;
}

enum mk_status calls_session_foresee(struct store_view *view, mk_session id)
{
    struct numbers numbers;
    if (view->may_block) {
        return MK_OK;
    }
    enum mk_status status = session_numbers(view, id, &numbers);
    for (size_t i = 0; i < numbers.count && status == MK_OK; i++) {
        struct mk_bytes record;
        status = record_find(view, numbers.calls[i], &record);
        if (status == MK_OK) {
            status = call_foresee(view, numbers.calls[i], record);
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
                status = first_foresee(view, call.waits[i].path);
            }
        }
    }
    if (status == MK_OK && rows_any(view, KEY_AWAITED)) {
        status = change_foresee(view, change->path, kinds_all);
    }
    if (status == MK_OK && rows_any(view, KEY_AWAITED) && !key_path_is_root(change->path)) {
        status = change_foresee(view, key_path_parent(change->path), kinds_children);
    }
    return status;
}

/* ---- The door ---- */

/* A call of whose waits one does not hold: there is one, else it would not be broken. */
static enum mk_status broken_call(struct store_view *view, const struct waits_queued *queued,
                                  mk_zxid *call)
{
    struct mk_bytes path = mk_arena_copy(&view->store->scraps, queued->path);
    enum tree_wait_kind kind = queued->kind;
    struct store_znode znode;
    const struct store_znode *now;
    enum mk_status status = waits_look(view, path, &znode, &now);
    if (status == MK_OK) {
        status = waits_find_broken(view, path, kind, now, call);
    }
    return status == MK_END ? MK_CORRUPT : status;
}

static enum mk_status queue_first(struct store_view *view, enum key_kind queue, mk_zxid *call)
{
    rows_enter(view);
    if (!rows_any(view, queue)) {
        return MK_END;
    }
    struct mk_bytes prefix = key_path(&view->store->scraps, queue, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(&view->store->scraps, prefix)};
    struct waits_queued queued = {0};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    if (status == MK_OK && !waits_queued_decode(cursor.value, &queued)) {
        status = MK_CORRUPT;
    }
    queued.path = mk_arena_copy(&view->store->scraps, queued.path);
    rows_cursor_close(&cursor);
    *call = queued.call;
    return status == MK_OK && queued.call == 0 ? broken_call(view, &queued, call) : status;
}

enum mk_status store_ready_first(struct store_view *view, mk_zxid *call)
{
    return queue_first(view, KEY_READY, call);
}

enum mk_status store_gone_first(struct store_view *view, mk_zxid *call)
{
    return queue_first(view, KEY_GONE, call);
}

static enum mk_status time_first(struct store_view *view, enum key_kind kind, mk_ms *time_ms,
                                 mk_zxid *call)
{
    rows_enter(view);
    if (!rows_any(view, kind)) {
        return MK_END;
    }
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes prefix = key_path(arena, kind, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    if (status == MK_OK && cursor.key.len != 17) {
        status = MK_CORRUPT;
    }
    if (status == MK_OK) {
        *time_ms = (mk_ms)mk_load_u64(cursor.key.data + 1);
        *call = (mk_zxid)mk_load_u64(cursor.key.data + 9);
    }
    rows_cursor_close(&cursor);
    return status;
}

enum mk_status store_deadline_first(struct store_view *view, mk_ms *due_ms, mk_zxid *call)
{
    return time_first(view, KEY_DEADLINE, due_ms, call);
}

enum mk_status store_slowed_first(struct store_view *view, mk_ms *time_ms, mk_zxid *call)
{
    return time_first(view, KEY_SLOWED, time_ms, call);
}

enum mk_status store_session_calls_count(struct store_view *view, mk_session id, uint32_t *count)
{
    rows_enter(view);
    *count = 0;
    return rows_any(view, KEY_HELD) ? held_count(view, id, count) : MK_OK;
}

static bool take_first(void *context, mk_zxid call)
{
    *(mk_zxid *)context = call;
    return false;
}

enum mk_status store_session_call_find(struct store_view *view, mk_session id, int64_t call_id,
                                       mk_zxid *call)
{
    rows_enter(view);
    *call = 0;
    if (!rows_any(view, KEY_PARKED)) {
        return MK_NO_NODE;
    }
    struct mk_bytes prefix =
        key_u64_u64(&view->store->scraps, KEY_PARKED, (uint64_t)id, (uint64_t)call_id);
    enum mk_status status = calls_each(view, prefix, take_first, call);
    return status == MK_OK && *call == 0 ? MK_NO_NODE : status;
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
