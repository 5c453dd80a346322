/* Quotas: which there are, and how much of each is used. Source: DataTree, PathTrie; protocol reference,
 * section 8.3.
 *
 * A quota of the path P has two znodes: limits, which put what is below P under it, and stats, where
 * its usage is kept. A row `quota` is there as long as one of them is. The life of a usage:
 *   1. both znodes are there: the subtree is counted from its beginning. One step is made at once, so a
 *      small one is done. Of a large one a row `counting` says how far it is counted, in key order.
 *   2. store_quota_count() makes one step more, until all is counted. Each is a transaction that the
 *      leader proposes: so no step takes long, whatever the size of the subtree, every server makes the
 *      same ones, and after a crash it goes on where it was.
 *   3. meanwhile and from then on each create, delete and set changes the usage of the deepest quota
 *      above it: at once if the znode is counted already, and not at all if it will be.
 * If quotas nest, the outer one hears nothing of what is below the inner one, as in ZooKeeper; so when
 * the inner one's limits go, the outer one is counted afresh (1). */
#include "store/quotas.h"

#include <string.h>

#include "store/keys.h"
#include "store/znodes.h"

/* A step: about a millisecond, and what a load brings into memory (store.c). */
#define STEP_ROWS 1024
#define STEP_BYTES_MAX ((size_t)1 << 20) /* of rows: an ACL may be large */

/* ---- Rows ---- */

enum { QUOTA_BYTES = 17, HAS_LIMITS = 1, HAS_STATS = 2 };

bool quota_decode(struct mk_bytes value, struct quota *out)
{
    if (value.len != QUOTA_BYTES) {
        return false;
    }
    *out = (struct quota){
        .limits = (value.data[0] & HAS_LIMITS) != 0,
        .stats = (value.data[0] & HAS_STATS) != 0,
        .count = (int64_t)mk_load_u64(value.data + 1),
        .bytes = (int64_t)mk_load_u64(value.data + 9),
    };
    return true;
}

static struct mk_bytes quota_key(struct store_view *view, struct mk_bytes root)
{
    return key_path(&view->store->scraps, KEY_QUOTA, root);
}

static struct mk_bytes counting_key(struct store_view *view, struct mk_bytes root)
{
    return key_path(&view->store->scraps, KEY_COUNTING, root);
}

/* MK_NO_NODE: there is no such quota; *out is empty. */
static enum mk_status quota_find(struct store_view *view, struct mk_bytes root, struct quota *out)
{
    struct mk_bytes value;
    *out = (struct quota){0};
    enum mk_status status = rows_get(view, quota_key(view, root), &value);
    if (status == MK_OK && !quota_decode(value, out)) {
        return MK_CORRUPT;
    }
    return status;
}

static void totals_add(struct store_view *view, int64_t *total, int change)
{
    if (!view->speculative) {
        *total += change;
    }
}

static void quota_put(struct store_view *view, struct mk_bytes root, const struct quota *quota)
{
    uint8_t value[QUOTA_BYTES];
    value[0] = (uint8_t)((quota->limits ? HAS_LIMITS : 0) | (quota->stats ? HAS_STATS : 0));
    mk_store_u64(value + 1, (uint64_t)quota->count);
    mk_store_u64(value + 9, (uint64_t)quota->bytes);
    rows_put(view, quota_key(view, root), mk_bytes_of(value, sizeof(value)));
}

/* How far it is counted: *next null: to the end. */
static enum mk_status counting_find(struct store_view *view, struct mk_bytes root,
                                    struct mk_bytes *next)
{
    *next = MK_BYTES_NULL;
    if (!rows_any(view, KEY_COUNTING)) {
        return MK_OK;
    }
    struct mk_bytes value;
    enum mk_status status = rows_get(view, counting_key(view, root), &value);
    if (status == MK_OK) {
        *next = mk_arena_copy(&view->store->scraps, value);
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

/* What is before `next` is counted (null: everything), `before` being what was so far. */
static void counting_move(struct store_view *view, struct mk_bytes root, struct mk_bytes before,
                          struct mk_bytes next)
{
    int64_t *total = &view->store->totals.counting;
    if (next.data != NULL) {
        rows_put(view, counting_key(view, root), next);
    } else if (before.data != NULL) {
        rows_delete(view, counting_key(view, root));
    }
    totals_add(view, total, (next.data != NULL) - (before.data != NULL));
}

/* ---- Counting ---- */

struct counter {
    struct quotas_scan *scan;
    uint32_t rows_left;
    size_t bytes_left;
};

static enum mk_status count_row(struct counter *counter, struct mk_bytes key, struct mk_bytes value)
{
    struct store_znode znode;
    if (!znode_decode(value, &znode)) {
        return MK_CORRUPT;
    }
    size_t bytes = key.len + value.len;
    counter->scan->count++;
    counter->scan->bytes += znode.data_length;
    counter->rows_left--;
    counter->bytes_left -= bytes < counter->bytes_left ? bytes : counter->bytes_left;
    return MK_OK;
}

static bool step_over(const struct counter *counter)
{
    return counter->rows_left == 0 || counter->bytes_left == 0;
}

/* MK_END: nothing is left of the range. */
static enum mk_status count_range(struct store_view *view, struct range range,
                                  struct counter *counter)
{
    struct mk_arena *arena = &view->store->scraps;
    struct rows_cursor cursor;
    if (mk_bytes_compare(range.low, range.high) >= 0) {
        return MK_END;
    }
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    while (status == MK_OK && !step_over(counter)) {
        status = count_row(counter, cursor.key, cursor.value);
        if (status == MK_OK) {
            status = rows_cursor_step(&cursor);
        }
    }
    if (status == MK_OK) {
        counter->scan->next = mk_arena_copy(arena, cursor.key);
    }
    rows_cursor_close(&cursor);
    return status;
}

static struct mk_bytes later(struct mk_bytes a, struct mk_bytes b)
{
    return b.data == NULL || mk_bytes_compare(a, b) >= 0 ? a : b;
}

/* The root's own row, its children's and those further down: in this order they are in key order. */
enum mk_status quotas_scan(struct store_view *view, struct mk_bytes root, struct mk_bytes from,
                           uint32_t rows_max, struct quotas_scan *out)
{
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes own;
    bool possible = key_znode(arena, root, &own);
    MK_ASSERT(possible);
    const struct range ranges[] = {
        {own, key_after(arena, own), false},
        {key_below(arena, KEY_CHILD, root, 0, MK_BYTES("\x01")),
         key_below(arena, KEY_CHILD, root, 1, MK_BYTES("")), false},
        {key_below(arena, KEY_CHILD, root, '/', MK_BYTES("")),
         key_below(arena, KEY_CHILD, root, '/' + 1, MK_BYTES("")), false},
    };
    *out = (struct quotas_scan){0};
    struct counter counter = {out, rows_max, STEP_BYTES_MAX};
    enum mk_status status = MK_END;
    for (size_t i = 0; i < MK_COUNT(ranges) && status == MK_END; i++) {
        struct range range = ranges[i];
        range.low = later(range.low, from);
        status = count_range(view, range, &counter);
    }
    return status == MK_END ? MK_OK : status;
}

static uint32_t step_rows(const struct store_view *view)
{
    uint32_t rows = view->store->options.quota_step_rows;
    return rows != 0 ? rows : STEP_ROWS;
}

/* ---- Which quota a path is under ---- */

/* A quota's znodes hang in a copy of the path below TREE_QUOTA_PATH. So the way down that copy ends
 * soon where there is none, and only what it passes can be the root of a quota. */
static enum mk_status passed(struct store_view *view, struct mk_bytes path,
                             size_t ends[TREE_QUOTA_DEPTH_MAX], size_t *count)
{
    struct mk_arena *arena = &view->store->scraps;
    *count = 0;
    for (size_t end = 1; end <= path.len && *count < TREE_QUOTA_DEPTH_MAX; end++) {
        if (end < path.len && path.data[end] != '/') {
            continue;
        }
        struct store_znode znode;
        size_t prefix = sizeof(TREE_QUOTA_PATH) - 1;
        uint8_t *copy = mk_arena_alloc(arena, prefix + end);
        memcpy(copy, TREE_QUOTA_PATH, prefix);
        memcpy(copy + prefix, path.data, end);
        enum mk_status status = znode_find(view, mk_bytes_of(copy, prefix + end), &znode);
        if (status != MK_OK) {
            return status == MK_NO_NODE ? MK_OK : status;
        }
        ends[(*count)++] = end;
    }
    return MK_OK;
}

/* The deepest one with limits. MK_OK with *root null: there is none. */
static enum mk_status deepest(struct store_view *view, struct mk_bytes path, struct mk_bytes *root,
                              struct quota *quota)
{
    size_t ends[TREE_QUOTA_DEPTH_MAX];
    size_t count;
    *root = MK_BYTES_NULL;
    if (!rows_any(view, KEY_QUOTA) || path.len < 2 ||
        tree_path_within(path, MK_BYTES(TREE_QUOTA_PATH))) {
        return MK_OK;
    }
    enum mk_status status = passed(view, path, ends, &count);
    while (status == MK_OK && count > 0) {
        struct mk_bytes at = mk_bytes_of(path.data, ends[--count]);
        status = quota_find(view, at, quota);
        if (status == MK_OK && quota->limits) {
            *root = at;
            return MK_OK;
        }
        status = status == MK_NO_NODE ? MK_OK : status;
    }
    return status;
}

static struct mk_bytes part_path(struct store_view *view, struct mk_bytes root, const char *name)
{
    struct mk_buf path = {0};
    mk_buf_printf(&path, TREE_QUOTA_PATH "%.*s/%s", (int)root.len, (const char *)root.data, name);
    struct mk_bytes copy = mk_arena_copy(&view->store->scraps, mk_buf_view(&path));
    mk_buf_free(&path);
    return copy;
}

/* The znode and its data, so that they are in memory when it is written. */
static enum mk_status part_load(struct store_view *view, struct mk_bytes path,
                                struct store_znode *znode)
{
    enum mk_status status = znode_find(view, path, znode);
    if (status == MK_OK) {
        status = znode_load_data(view, path, znode);
    }
    return status == MK_NO_NODE ? MK_CORRUPT : status;
}

static enum mk_status stats_foresee(struct store_view *view, struct mk_bytes root)
{
    struct store_znode znode;
    return view->may_block ? MK_OK
                           : part_load(view, part_path(view, root, TREE_QUOTA_STATS), &znode);
}

/* ---- Foreseeing ---- */

/* Of a znode outside the quotas: *change->root stays null if no usage changes. */
static enum mk_status usage_foresee(struct store_view *view, struct quotas_change *change)
{
    struct mk_bytes root, next, key;
    enum mk_status status = deepest(view, change->path, &root, &change->quota);
    if (status != MK_OK || root.data == NULL || !change->quota.stats) {
        return status;
    }
    status = counting_find(view, root, &next);
    bool possible = key_znode(&view->store->scraps, change->path, &key);
    MK_ASSERT(possible);
    if (status != MK_OK || (next.data != NULL && mk_bytes_compare(key, next) >= 0)) {
        return status; /* it is still to be counted */
    }
    change->root = root;
    return stats_foresee(view, root);
}

/* One of a quota's own znodes comes or goes. */
static enum mk_status part_foresee(struct store_view *view, struct quotas_change *change)
{
    enum mk_status status = quota_find(view, change->root, &change->quota);
    struct quota *quota = &change->quota;
    if (status != MK_OK && status != MK_NO_NODE) {
        return status;
    }
    bool had_limits = quota->limits;
    if (change->part == TREE_QUOTA_IS_LIMITS) {
        quota->limits = change->created;
    } else {
        quota->stats = change->created;
    }
    if (change->created && quota->stats) {
        change->recount = change->root;
        change->recounted = *quota;
    } else if (had_limits && !quota->limits) {
        struct mk_bytes above = key_path_parent(change->root);
        status = deepest(view, above, &change->recount, &change->recounted);
        if (status == MK_OK && change->recount.data != NULL && !change->recounted.stats) {
            change->recount = MK_BYTES_NULL;
        }
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

static struct mk_bytes usage_text(struct store_view *view, int64_t count, int64_t bytes)
{
    struct mk_buf text = {0};
    tree_quota_usage(&text, count, bytes);
    struct mk_bytes copy = mk_arena_copy(&view->store->scraps, mk_buf_view(&text));
    mk_buf_free(&text);
    return copy;
}

static enum mk_status recount_foresee(struct store_view *view, struct quotas_change *change)
{
    if (change->recount.data == NULL) {
        return MK_OK;
    }
    enum mk_status status =
        quotas_scan(view, change->recount, MK_BYTES_NULL, step_rows(view), &change->scan);
    if (status != MK_OK) {
        return status;
    }
    if (change->part == TREE_QUOTA_IS_STATS) {
        change->stats = usage_text(view, change->scan.count, change->scan.bytes);
        return MK_OK;
    }
    return stats_foresee(view, change->recount);
}

static enum mk_status foresee(struct store_view *view, struct quotas_change *change)
{
    change->root = MK_BYTES_NULL;
    change->part = tree_quota_of_path(change->path, &change->root);
    if (change->part == TREE_QUOTA_NONE) {
        change->root = MK_BYTES_NULL;
        return usage_foresee(view, change);
    }
    enum mk_status status = part_foresee(view, change);
    if (status == MK_OK) {
        bool afresh = change->recount.data != NULL;
        status = counting_find(view, afresh ? change->recount : change->root, &change->counting);
    }
    return status == MK_OK ? recount_foresee(view, change) : status;
}

enum mk_status quotas_foresee_create(struct store_view *view, struct quotas_change *change)
{
    change->created = true;
    return foresee(view, change);
}

enum mk_status quotas_foresee_delete(struct store_view *view, struct quotas_change *change)
{
    change->created = false;
    return foresee(view, change);
}

enum mk_status quotas_foresee_set(struct store_view *view, struct quotas_change *change)
{
    return change->bytes == 0 ? MK_OK : usage_foresee(view, change);
}

/* ---- Writing ---- */

static void usage_put(struct store_view *view, struct mk_bytes root, const struct quota *quota)
{
    quota_put(view, root, quota);
    znode_replace_data(view, part_path(view, root, TREE_QUOTA_STATS),
                       usage_text(view, quota->count, quota->bytes));
}

static void part_put(struct store_view *view, const struct quotas_change *change)
{
    struct quota quota = change->quota;
    bool alone = change->part == TREE_QUOTA_IS_LIMITS ? !quota.stats : !quota.limits;
    if (!change->created && change->part == TREE_QUOTA_IS_STATS) {
        counting_move(view, change->root, change->counting, MK_BYTES_NULL);
        quota.count = 0;
        quota.bytes = 0;
    }
    if (change->created || !alone) {
        quota_put(view, change->root, &quota);
    } else {
        rows_delete(view, quota_key(view, change->root));
    }
    if (alone) { /* it is the first of the two, or the last */
        totals_add(view, &view->store->totals.quotas, change->created ? 1 : -1);
    }
}

static void recount_put(struct store_view *view, const struct quotas_change *change)
{
    struct quota quota = change->recounted;
    quota.count = change->scan.count;
    quota.bytes = change->scan.bytes;
    counting_move(view, change->recount, change->counting, change->scan.next);
    if (change->stats.data != NULL) {
        quota_put(view, change->recount, &quota); /* its stats are about to be created */
    } else {
        usage_put(view, change->recount, &quota);
    }
}

void quotas_changed(struct store_view *view, const struct quotas_change *change)
{
    if (change->part != TREE_QUOTA_NONE) {
        part_put(view, change);
    } else if (change->root.data != NULL) {
        struct quota quota = change->quota;
        quota.count += change->count;
        quota.bytes += change->bytes;
        usage_put(view, change->root, &quota);
    }
    if (change->recount.data != NULL) {
        recount_put(view, change);
    }
}

/* ---- The door ---- */

enum mk_status store_quota_find(struct store_view *view, struct mk_bytes path,
                                struct store_quota *out)
{
    rows_enter(view);
    struct quota quota;
    struct store_znode limits;
    enum mk_status status = deepest(view, path, &out->root, &quota);
    if (status != MK_OK || out->root.data == NULL || !quota.stats) {
        return status == MK_OK ? MK_NO_NODE : status;
    }
    status = part_load(view, part_path(view, out->root, TREE_QUOTA_LIMITS), &limits);
    if (status == MK_OK) {
        out->count = quota.count;
        out->bytes = quota.bytes;
        tree_quota_parse(limits.data, &out->limits);
    }
    return status;
}

/* The first quota that is being counted, and how far it is. */
static enum mk_status counting_first(struct store_view *view, struct mk_bytes *root,
                                     struct mk_bytes *next)
{
    struct mk_arena *arena = &view->store->scraps;
    struct mk_bytes prefix = key_path(arena, KEY_COUNTING, MK_BYTES(""));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    struct rows_cursor cursor;
    if (!rows_any(view, KEY_COUNTING)) {
        return MK_END;
    }
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    if (status == MK_OK) {
        *root = mk_arena_copy(arena, mk_bytes_of(cursor.key.data + 1, cursor.key.len - 1));
        *next = mk_arena_copy(arena, cursor.value);
    }
    rows_cursor_close(&cursor);
    return status;
}

enum mk_status store_quota_count(struct store_view *view)
{
    rows_enter(view);
    struct mk_bytes root, next;
    struct quota quota;
    struct quotas_scan scan;
    enum mk_status status = counting_first(view, &root, &next);
    if (status == MK_OK) {
        status = quota_find(view, root, &quota);
    }
    if (status == MK_OK) {
        status = quotas_scan(view, root, next, step_rows(view), &scan);
    }
    if (status == MK_OK) {
        status = stats_foresee(view, root);
    }
    if (status != MK_OK) {
        return status == MK_NO_NODE ? MK_CORRUPT : status;
    }
    rows_write_begin(view);
    quota.count += scan.count;
    quota.bytes += scan.bytes;
    counting_move(view, root, next, scan.next);
    usage_put(view, root, &quota);
    return rows_write_end(view);
}
