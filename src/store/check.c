/* Whole-store checks, for the simulator and tests: every index agrees with the znodes; and a hash
 * by which two stores with the same history are found equal.
 *
 * The check walks all rows once. Each row must be wanted by the znode, session or record that it
 * follows from, and each of those must have all of its rows: so none is missing and none is
 * left. */
#include <string.h>

#include "store/keys.h"
#include "store/quotas.h"
#include "store/reapable.h"
#include "store/running.h"
#include "store/waits.h"
#include "store/znodes.h"

struct check {
    struct store_view *view;
    struct mk_arena *arena; /* the store's scraps: reset for each row */
    struct store_totals totals;
    int64_t records_running; /* records of calls that run something, */
    int64_t rows_running;    /* and what the rows of running count */
};

static struct mk_bytes check_row(struct check *check, struct mk_bytes key)
{
    struct mk_bytes value;
    enum mk_status status = rows_get(check->view, key, &value);
    MK_ASSERT(status == MK_OK);
    return value;
}

static struct store_znode check_znode(struct check *check, struct mk_bytes path)
{
    struct store_znode znode;
    enum mk_status status = znode_find(check->view, path, &znode);
    MK_ASSERT(status == MK_OK);
    return znode;
}

static bool row_exists(struct check *check, struct mk_bytes key)
{
    struct mk_bytes value;
    enum mk_status status = rows_get(check->view, key, &value);
    MK_ASSERT(status == MK_OK || status == MK_NO_NODE);
    return status == MK_OK;
}

/* ---- Records of calls ---- */

static bool check_record_of(struct check *check, mk_zxid number, struct tree_call *call)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    tree_call_record_path(path, number);
    struct mk_bytes at = mk_bytes_of(path, sizeof(path));
    struct store_znode znode = check_znode(check, at);
    enum mk_status status = znode_load_data(check->view, at, &znode);
    MK_ASSERT(status == MK_OK);
    struct mk_bytes record = mk_arena_copy(check->arena, znode.data);
    return record.data != NULL && tree_call_decode(record, call) == MK_OK;
}

static struct mk_bytes awaited_key_of(struct check *check, const struct tree_wait *wait,
                                      mk_zxid call)
{
    uint64_t rank = waits_wake_all(wait->kind) ? (uint64_t)wait->stamp : 0;
    return key_awaited(check->arena, wait->path, (uint8_t)wait->kind, rank, call);
}

static void check_record(struct check *check, mk_zxid number)
{
    struct tree_call call;
    if (!check_record_of(check, number, &call)) {
        return;
    }
    check->totals.calls++;
    uint64_t id = (uint64_t)number;
    check_row(check, key_parked(check->arena, call.session, call.call_id, number));
    mk_ms due_ms = tree_call_due_ms(&call);
    if (due_ms > 0) {
        check_row(check, key_u64_u64(check->arena, KEY_DEADLINE, (uint64_t)due_ms, id));
    }
    if (call.operation.len > 0) {
        check->records_running++;
        check_row(check, running_key(check->view, &call));
    }
    struct mk_bytes woken = key_u64(check->arena, KEY_WOKEN, id);
    bool queued = row_exists(check, woken);
    if (!call.outlives_session &&
        !row_exists(check, key_u64(check->arena, KEY_SESSION, (uint64_t)call.session))) {
        MK_ASSERT(queued && check_row(check, woken).data[0] == KEY_GONE);
    }
    if (queued) {
        return;
    }
    if (call.not_before_ms > 0) {
        check_row(check, key_u64_u64(check->arena, KEY_SLOWED, (uint64_t)call.not_before_ms, id));
        return;
    }
    for (int i = 0; i < call.waits_count; i++) {
        check_row(check, awaited_key_of(check, &call.waits[i], number));
    }
}

/* The waits of one kind for a znode are broken if one of them does not hold. */
static void check_holds(struct check *check, struct mk_bytes path, const struct tree_wait *wait)
{
    struct store_znode znode;
    const struct store_znode *now;
    enum mk_status status = waits_look(check->view, path, &znode, &now);
    MK_ASSERT(status == MK_OK);
    MK_ASSERT(waits_hold(wait->kind, wait->stamp, now) ||
              row_exists(check, key_broken(check->arena, path, (uint8_t)wait->kind)));
}

/* An awaited row: its record has that wait, it is in no queue, and the wait holds, or is broken; but
 * waits for `children` may not hold, if somebody before them was woken. */
static void check_awaited(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    check->totals.awaited++;
    MK_ASSERT(key.len >= 19 && value.len == 8);
    struct mk_bytes path = {key.data + 1, key.len - 19};
    enum tree_wait_kind kind = key.data[key.len - 17];
    mk_zxid number = (mk_zxid)mk_load_u64(key.data + key.len - 8);
    mk_zxid stamp = (mk_zxid)mk_load_u64(value.data);
    struct tree_call call;
    bool sound = check_record_of(check, number, &call);
    MK_ASSERT(sound);
    bool wanted = false;
    for (int i = 0; i < call.waits_count && !wanted; i++) {
        struct mk_bytes at =
            key_path_is_root(call.waits[i].path) ? MK_BYTES("") : call.waits[i].path;
        wanted = call.waits[i].kind == kind && mk_bytes_compare(at, path) == 0;
        MK_ASSERT(!wanted || call.waits[i].stamp == stamp);
    }
    MK_ASSERT(wanted);
    MK_ASSERT(!row_exists(check, key_u64(check->arena, KEY_WOKEN, (uint64_t)number)));

    if (waits_wake_all(kind)) {
        check_holds(check, path, &(struct tree_wait){.kind = kind, .stamp = stamp});
    }
}

static void check_broken(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(key.len >= 3 && value.len == 12);
    struct mk_bytes path = {key.data + 1, key.len - 3};
    struct waits_queued queued;
    bool sound = waits_queued_decode(
        check_row(check, key_queued(check->arena, KEY_READY, (mk_zxid)mk_load_u64(value.data),
                                    mk_load_u32(value.data + 8))),
        &queued);
    MK_ASSERT(sound && queued.call == 0 && queued.kind == key.data[key.len - 1]);
    MK_ASSERT(mk_bytes_compare(queued.path, path) == 0);
    struct store_znode znode;
    const struct store_znode *now;
    mk_zxid call;
    enum mk_status status = waits_look(check->view, path, &znode, &now);
    if (status == MK_OK) {
        status = waits_find_broken(check->view, path, queued.kind, now, &call);
    }
    MK_ASSERT(status == MK_OK);
}

static void check_awaited_count(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(key.len >= 2 && value.len == 4);
    struct mk_bytes path = {key.data + 1, key.len - 2};
    struct mk_bytes low = key_below(check->arena, KEY_AWAITED, path, 0, MK_BYTES(""));
    struct mk_bytes high = key_below(check->arena, KEY_AWAITED, path, 1, MK_BYTES(""));
    uint32_t count = 0;
    struct rows_cursor cursor;
    enum mk_status status =
        rows_cursor_open(&cursor, check->view, (struct range){low, high, false});
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        count++;
    }
    rows_cursor_close(&cursor);
    MK_ASSERT(status == MK_END);
    MK_ASSERT(count > 0 && count == mk_load_u32(value.data));
}

static void check_running(struct check *check, struct mk_bytes value)
{
    MK_ASSERT(value.len == 4 && mk_load_u32(value.data) > 0);
    check->rows_running += mk_load_u32(value.data);
}

static void check_parked(struct check *check, struct mk_bytes key)
{
    MK_ASSERT(key.len == 25);
    struct tree_call call;
    bool sound = check_record_of(check, (mk_zxid)mk_load_u64(key.data + 17), &call);
    MK_ASSERT(sound);
    MK_ASSERT((uint64_t)call.session == mk_load_u64(key.data + 1));
    MK_ASSERT((uint64_t)call.call_id == mk_load_u64(key.data + 9));
    check_row(check, key_u64(check->arena, KEY_HELD, (uint64_t)call.session));
}

static void check_held(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(key.len == 9 && value.len == 4);
    struct mk_bytes low = key_u64(check->arena, KEY_PARKED, mk_load_u64(key.data + 1));
    uint32_t count = 0;
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(
        &cursor, check->view, (struct range){low, key_after_prefix(check->arena, low), false});
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        count++;
    }
    rows_cursor_close(&cursor);
    MK_ASSERT(status == MK_END);
    MK_ASSERT(count > 0 && count == mk_load_u32(value.data));
}

static void check_deadline(struct check *check, struct mk_bytes key)
{
    check->totals.deadlines++;
    MK_ASSERT(key.len == 17);
    struct tree_call call;
    bool sound = check_record_of(check, (mk_zxid)mk_load_u64(key.data + 9), &call);
    MK_ASSERT(sound);
    MK_ASSERT(tree_call_due_ms(&call) == (mk_ms)mk_load_u64(key.data + 1));
}

static void check_slowed(struct check *check, struct mk_bytes key)
{
    check->totals.slowed++;
    MK_ASSERT(key.len == 17);
    struct tree_call call;
    mk_zxid number = (mk_zxid)mk_load_u64(key.data + 9);
    bool sound = check_record_of(check, number, &call);
    MK_ASSERT(sound && call.not_before_ms == (mk_ms)mk_load_u64(key.data + 1));
    MK_ASSERT(!row_exists(check, key_u64(check->arena, KEY_WOKEN, (uint64_t)number)));
}

/* A row of `ready` or `gone`. */
static void check_queued(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    check->totals.ready++;
    MK_ASSERT(key.len == 13);
    struct waits_queued queued;
    bool sound = waits_queued_decode(value, &queued);
    MK_ASSERT(sound);
    if (queued.call == 0) {
        struct mk_bytes broken =
            check_row(check, key_broken(check->arena, queued.path, (uint8_t)queued.kind));
        MK_ASSERT(key.data[0] == KEY_READY && waits_wake_all(queued.kind));
        MK_ASSERT(broken.len == 12 && memcmp(broken.data, key.data + 1, 12) == 0);
        return;
    }
    struct mk_bytes where =
        check_row(check, key_u64(check->arena, KEY_WOKEN, (uint64_t)queued.call));
    MK_ASSERT(where.len == 13 && memcmp(where.data, key.data, 13) == 0);
    struct tree_call call;
    sound = check_record_of(check, queued.call, &call);
    MK_ASSERT(sound && !(key.data[0] == KEY_GONE && call.outlives_session));
}

static void check_woken(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(key.len == 9 && value.len == 13);
    struct waits_queued queued;
    enum key_kind queue = (enum key_kind)value.data[0];
    MK_ASSERT(queue == KEY_READY || queue == KEY_GONE);
    bool sound = waits_queued_decode(
        check_row(check, key_queued(check->arena, queue, (mk_zxid)mk_load_u64(value.data + 1),
                                    mk_load_u32(value.data + 9))),
        &queued);
    MK_ASSERT(sound && queued.call == (mk_zxid)mk_load_u64(key.data + 1));
}

/* ---- Quotas ---- */

static struct mk_bytes quota_part(struct check *check, struct mk_bytes root, const char *name)
{
    struct mk_buf path = {0};
    mk_buf_append_bytes(&path, MK_BYTES(TREE_QUOTA_PATH));
    mk_buf_append_bytes(&path, root);
    mk_buf_put_u8(&path, '/');
    mk_buf_append_bytes(&path, mk_bytes_text(name));
    struct mk_bytes copy = mk_arena_copy(check->arena, mk_buf_view(&path));
    mk_buf_free(&path);
    return copy;
}

static bool quota_has(struct check *check, struct mk_bytes root, const char *name)
{
    struct mk_bytes key;
    bool possible = key_znode(check->arena, quota_part(check, root, name), &key);
    return possible && row_exists(check, key);
}

/* Whether there is a quota with limits below `root`: then what is below that is not counted. */
static bool quotas_nest(struct check *check, struct mk_bytes root)
{
    struct range below = {key_below(check->arena, KEY_QUOTA, root, '/', MK_BYTES("")),
                          key_below(check->arena, KEY_QUOTA, root, '/' + 1, MK_BYTES("")), false};
    struct rows_cursor cursor;
    bool nest = false;
    enum mk_status status = rows_cursor_open(&cursor, check->view, below);
    for (; status == MK_OK && !nest; status = rows_cursor_step(&cursor)) {
        struct quota quota;
        bool sound = quota_decode(cursor.value, &quota);
        MK_ASSERT(sound);
        nest = quota.limits;
    }
    rows_cursor_close(&cursor);
    return nest;
}

/* The usage of what is below `root` and before the key `next` (null: all of it). */
static void check_usage(struct check *check, struct mk_bytes root, struct mk_bytes next,
                        const struct quota *quota)
{
    struct quotas_scan all, rest = {0};
    enum mk_status status = quotas_scan(check->view, root, MK_BYTES_NULL, UINT32_MAX, &all);
    if (status == MK_OK && next.data != NULL) {
        status = quotas_scan(check->view, root, next, UINT32_MAX, &rest);
    }
    MK_ASSERT(status == MK_OK);
    if (all.next.data == NULL &&
        rest.next.data == NULL) { /* else there is more than one step may read */
        MK_ASSERT(quota->count == all.count - rest.count);
        MK_ASSERT(quota->bytes == all.bytes - rest.bytes);
    }
}

static void check_quota(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    check->totals.quotas++;
    struct quota quota;
    bool sound = quota_decode(value, &quota);
    MK_ASSERT(sound);
    MK_ASSERT(quota.limits || quota.stats);
    struct mk_bytes root = mk_arena_copy(check->arena, mk_bytes_of(key.data + 1, key.len - 1));
    MK_ASSERT(quota_has(check, root, TREE_QUOTA_LIMITS) == quota.limits);
    MK_ASSERT(quota_has(check, root, TREE_QUOTA_STATS) == quota.stats);
    struct mk_bytes counting = key_path(check->arena, KEY_COUNTING, root);
    bool is_counting = row_exists(check, counting);
    struct mk_bytes next = is_counting ? check_row(check, counting) : MK_BYTES_NULL;
    next = is_counting ? mk_arena_copy(check->arena, next) : next;
    if (quota.limits && quota.stats && !quotas_nest(check, root)) {
        check_usage(check, root, next, &quota);
    }
    MK_ASSERT(quota.stats || (quota.count == 0 && quota.bytes == 0));
}

static void check_counting(struct check *check, struct mk_bytes key)
{
    check->totals.counting++;
    struct mk_bytes root = {key.data + 1, key.len - 1};
    struct quota quota;
    bool sound = quota_decode(check_row(check, key_path(check->arena, KEY_QUOTA, root)), &quota);
    MK_ASSERT(sound && quota.stats);
}

/* ---- Znodes ---- */

static int32_t children_in_range(struct check *check, struct range range)
{
    int32_t count = 0;
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, check->view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        count++;
    }
    rows_cursor_close(&cursor);
    MK_ASSERT(status == MK_END);
    return count;
}

static void check_children(struct check *check, struct mk_bytes path,
                           const struct store_znode *znode)
{
    struct mk_arena *arena = check->arena;
    MK_ASSERT(znode->children_count >= 0);
    struct range names = {key_below(arena, KEY_CHILD, path, 0, MK_BYTES("\x01")),
                          key_below(arena, KEY_CHILD, path, 1, MK_BYTES("")), false};
    struct range order = {key_below(arena, KEY_ORDER, path, 0, MK_BYTES("")),
                          key_below(arena, KEY_ORDER, path, 1, MK_BYTES("")), false};
    MK_ASSERT(children_in_range(check, names) == znode->children_count);
    MK_ASSERT(children_in_range(check, order) == znode->children_count);
    names.backwards = true;
    MK_ASSERT(children_in_range(check, names) == znode->children_count);
}

/* A list that is kept is what a walk would find now. */
static void check_listing(struct check *check, struct mk_bytes parent, struct mk_bytes names)
{
    struct mk_reader reader = mk_reader_of(names);
    struct mk_arena *arena = check->arena;
    struct range range = {key_below(arena, KEY_CHILD, parent, 0, MK_BYTES("\x01")),
                          key_below(arena, KEY_CHILD, parent, 1, MK_BYTES("")), false};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, check->view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        struct mk_bytes name = mk_read_field(&reader);
        struct mk_bytes key = key_below(arena, KEY_CHILD, parent, 0, name);
        MK_ASSERT(mk_bytes_equal(cursor.key, key));
    }
    rows_cursor_close(&cursor);
    MK_ASSERT(status == MK_END);
    MK_ASSERT(!reader.failed && mk_reader_left(&reader) == 0);
}

static void check_listings(struct check *check, const struct listings *listings)
{
    struct mk_bytes parent;
    struct mk_bytes names;
    uint64_t count = 0;
    for (size_t cursor = 0; listings_next(listings, &cursor, &parent, &names); count++) {
        mk_arena_reset(check->arena);
        check_listing(check, parent, names);
    }
    MK_ASSERT(count <= LISTINGS_MAX && listings->bytes <= listings->bytes_max);
}

static void check_child(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    struct store_znode znode;
    bool sound = znode_decode(value, &znode);
    MK_ASSERT(sound);
    struct mk_bytes path = key_znode_path(check->arena, key);
    if (!key_path_is_root(path)) {
        check_znode(check, key_path_parent(path));
        struct mk_bytes name = check_row(check, key_order(check->arena, key_path_parent(path),
                                                          znode.stat.czxid, znode.position));
        MK_ASSERT(mk_bytes_equal(name, key_path_name(path)));
    }
    enum mk_status status = znode_load_data(check->view, path, &znode);
    MK_ASSERT(status == MK_OK);
    mk_session session = tree_owner_session(znode.stat.owner, true);
    if (session != 0) {
        check_row(check, key_ephemeral(check->arena, session, path));
        check->totals.ephemerals++;
    }
    struct reapable_place place = reapable_place_of(&znode);
    if (place.why != 0) {
        check_row(check, key_reapable(check->arena, place.why, place.order, path));
    }
    struct mk_bytes root;
    if (tree_quota_of_path(path, &root) != TREE_QUOTA_NONE) {
        check_row(check, key_path(check->arena, KEY_QUOTA, root));
    }
    check->totals.znodes++;
    check->totals.data_bytes += (int64_t)path.len + znode.data_length;
    check_children(check, path, &znode);
    if (tree_call_of_path(path) != 0) {
        check_record(check, tree_call_of_path(path));
    }
}

static void check_data(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    struct mk_bytes path = {key.data + 1, key.len - 1};
    struct store_znode znode = check_znode(check, path);
    MK_ASSERT((size_t)znode.data_length == value.len);
    MK_ASSERT(znode.data_length > ZNODE_INLINE_BYTES_MAX);
}

static void check_order(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    MK_ASSERT(key.len >= 14);
    struct mk_buf path = {0};
    mk_buf_append(&path, key.data + 1, key.len - 14);
    mk_buf_put_u8(&path, '/');
    mk_buf_append_bytes(&path, value);
    struct store_znode znode = check_znode(check, mk_buf_view(&path));
    MK_ASSERT((uint64_t)znode.stat.czxid == mk_load_u64(key.data + key.len - 12));
    MK_ASSERT(znode.position == mk_load_u32(key.data + key.len - 4));
    mk_buf_free(&path);
}

static void check_ephemeral(struct check *check, struct mk_bytes key)
{
    MK_ASSERT(key.len > 9);
    struct mk_bytes path = {key.data + 9, key.len - 9};
    struct store_znode znode = check_znode(check, path);
    mk_session session = tree_owner_session(znode.stat.owner, true);
    MK_ASSERT((uint64_t)session == mk_load_u64(key.data + 1));
}

static void check_reapable(struct check *check, struct mk_bytes key)
{
    check->totals.reapable++;
    MK_ASSERT(key.len > 10);
    struct mk_bytes path = {key.data + 10, key.len - 10};
    struct store_znode znode = check_znode(check, path);
    struct reapable_place place = reapable_place_of(&znode);
    MK_ASSERT(place.why == key.data[1]);
    MK_ASSERT((uint64_t)place.order == mk_load_u64(key.data + 2));
}

/* ---- The walk ---- */

static void check_one(struct check *check, struct mk_bytes key, struct mk_bytes value)
{
    switch ((enum key_kind)key.data[0]) {
    case KEY_AWAITED: check_awaited(check, key, value); return;
    case KEY_CHILD: check_child(check, key, value); return;
    case KEY_DATA: check_data(check, key, value); return;
    case KEY_EPHEMERAL: check_ephemeral(check, key); return;
    case KEY_ORDER: check_order(check, key, value); return;
    case KEY_PARKED: check_parked(check, key); return;
    case KEY_COUNTING: check_counting(check, key); return;
    case KEY_QUOTA: check_quota(check, key, value); return;
    case KEY_BROKEN: check_broken(check, key, value); return;
    case KEY_HELD: check_held(check, key, value); return;
    case KEY_GONE:
    case KEY_READY: check_queued(check, key, value); return;
    case KEY_SLOWED: check_slowed(check, key); return;
    case KEY_REAPABLE: check_reapable(check, key); return;
    case KEY_RUNNING: check_running(check, value); return;
    case KEY_SESSION: check->totals.sessions++; return;
    case KEY_DEADLINE: check_deadline(check, key); return;
    case KEY_WOKEN: check_woken(check, key, value); return;
    case KEY_AWAITED_COUNT: check_awaited_count(check, key, value); return;
    case KEY_INSTALL: break;
    case KEY_FACT:
    case KEY_META: return;
    }
    MK_ASSERT(!"a row of unknown kind");
}

static const struct range everything = {
    {(const uint8_t *)"", 0}, {(const uint8_t *)"\xff", 1}, false};

void store_check(struct store *store)
{
    committed_check(&store->committed);
    speculative_check(&store->speculative);

    struct store_view view = store->views[0];
    view.may_block = true;
    struct check check = {.view = &view, .arena = &store->scraps};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, &view, everything);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        mk_arena_reset(&store->scraps);
        check_one(&check, cursor.key, cursor.value);
    }
    rows_cursor_close(&cursor);
    MK_ASSERT(status == MK_END);
    MK_ASSERT(memcmp(&check.totals, &store->totals, sizeof(check.totals)) == 0);
    MK_ASSERT(check.records_running == check.rows_running);
    check_listings(&check, &store->listings);
}

static uint64_t hash_add(uint64_t hash, struct mk_bytes bytes)
{
    return (hash ^ mk_bytes_hash(bytes)) * 0x9e3779b97f4a7c15u + bytes.len;
}

/* Numbers of a position's own do not count, only where it puts the znode among its siblings: a snapshot
 * gives new ones. In an order row's key it is the end, so the rows' order has what counts. */
static void hash_row(uint64_t *hash, struct mk_bytes key, struct mk_bytes value)
{
    struct store_znode znode;
    if (key.data[0] == KEY_ORDER && key.len > sizeof(uint32_t)) {
        key.len -= sizeof(uint32_t);
    } else if (key.data[0] == KEY_CHILD && znode_decode(value, &znode)) {
        struct mk_buf same = {0};
        znode.position = 0;
        znode_encode(&same, &znode);
        *hash = hash_add(hash_add(*hash, key), mk_buf_view(&same));
        mk_buf_free(&same);
        return;
    }
    *hash = hash_add(hash_add(*hash, key), value);
}

/* Not in the hash: facts, which are each server's own, and the meta row, which only checkpoints
 * write. */
static bool hash_counts(struct mk_bytes key)
{
    return key.data[0] != KEY_FACT && key.data[0] != KEY_META;
}

uint64_t store_hash(struct store *store)
{
    struct store_view view = store->views[0];
    view.may_block = true;
    rows_enter(&view);
    uint64_t hash = 0;
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, &view, everything);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        if (hash_counts(cursor.key)) {
            hash_row(&hash, cursor.key, cursor.value);
        }
    }
    rows_cursor_close(&cursor);
    MK_ASSERT(status == MK_END);
    return hash;
}
