/* Znodes: read, create, delete, set data, set ACL. Source of the rules: zookeeper-quorum.md 9.3.
 *
 * A znode is a child row with everything but large data; a data row if its data is large; an order
 * row, by which its siblings are listed in the order of creation; and an ephemeral row if a session
 * owns it. Each operation first reads, then writes (rows.h), and tells calls.c what has changed. */
#include "store/znodes.h"

#include <string.h>

#include "store/calls.h"
#include "store/keys.h"
#include "store/quotas.h"
#include "store/reapable.h"

/* ---- The value of a child row: fixed fields, ACL, small data ---- */

enum {
    AT_CZXID = 0,
    AT_MZXID = 8,
    AT_PZXID = 16,
    AT_CTIME = 24,
    AT_MTIME = 32,
    AT_OWNER = 40,
    AT_VERSION = 48,
    AT_CVERSION = 52,
    AT_AVERSION = 56,
    AT_CHILDREN = 60,
    AT_POSITION = 64,
    AT_DATA_LENGTH = 68, /* -1: null */
    AT_ACL_LENGTH = 72,  /* 0: the open ACL */
    AT_ACL = 76,
};

static inline uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(value) : value;
}

static inline uint32_t load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(value) : value;
}

static bool data_is_inline(int32_t length)
{
    return length <= ZNODE_INLINE_BYTES_MAX;
}

bool znode_decode(struct mk_bytes value, struct store_znode *out)
{
    if (value.len < AT_ACL) {
        return false;
    }
    const uint8_t *at = value.data;
    out->stat = (struct tree_stat){
        .czxid = (mk_zxid)load_u64(at + AT_CZXID),
        .mzxid = (mk_zxid)load_u64(at + AT_MZXID),
        .pzxid = (mk_zxid)load_u64(at + AT_PZXID),
        .ctime_ms = (mk_ms)load_u64(at + AT_CTIME),
        .mtime_ms = (mk_ms)load_u64(at + AT_MTIME),
        .version = (int32_t)load_u32(at + AT_VERSION),
        .cversion = (int32_t)load_u32(at + AT_CVERSION),
        .aversion = (int32_t)load_u32(at + AT_AVERSION),
        .owner = (int64_t)load_u64(at + AT_OWNER),
    };
    out->children_count = (int32_t)load_u32(at + AT_CHILDREN);
    out->position = load_u32(at + AT_POSITION);
    int32_t data_length = (int32_t)load_u32(at + AT_DATA_LENGTH);
    size_t acl_length = load_u32(at + AT_ACL_LENGTH);
    size_t inline_length = data_length > 0 && data_is_inline(data_length) ? (size_t)data_length : 0;
    if (data_length < -1 || acl_length > value.len - AT_ACL ||
        inline_length != value.len - AT_ACL - acl_length) {
        return false;
    }
    out->data_null = data_length < 0;
    out->data_length = data_length < 0 ? 0 : data_length;
    out->acl = acl_length == 0 ? MK_BYTES_NULL : mk_bytes_of(at + AT_ACL, acl_length);
    out->data = out->data_null || !data_is_inline(data_length)
                    ? MK_BYTES_NULL
                    : mk_bytes_of(at + AT_ACL + acl_length, inline_length);
    return true;
}

void znode_encode(struct mk_buf *out, const struct store_znode *znode)
{
    bool inline_data = !znode->data_null && data_is_inline(znode->data_length);
    MK_ASSERT(!inline_data || znode->data.len == (size_t)znode->data_length);
    uint8_t *at = mk_buf_grow(out, AT_ACL);
    mk_store_u64(at + AT_CZXID, (uint64_t)znode->stat.czxid);
    mk_store_u64(at + AT_MZXID, (uint64_t)znode->stat.mzxid);
    mk_store_u64(at + AT_PZXID, (uint64_t)znode->stat.pzxid);
    mk_store_u64(at + AT_CTIME, (uint64_t)znode->stat.ctime_ms);
    mk_store_u64(at + AT_MTIME, (uint64_t)znode->stat.mtime_ms);
    mk_store_u64(at + AT_OWNER, (uint64_t)znode->stat.owner);
    mk_store_u32(at + AT_VERSION, (uint32_t)znode->stat.version);
    mk_store_u32(at + AT_CVERSION, (uint32_t)znode->stat.cversion);
    mk_store_u32(at + AT_AVERSION, (uint32_t)znode->stat.aversion);
    mk_store_u32(at + AT_CHILDREN, (uint32_t)znode->children_count);
    mk_store_u32(at + AT_POSITION, znode->position);
    mk_store_u32(at + AT_DATA_LENGTH, znode->data_null ? UINT32_MAX : (uint32_t)znode->data_length);
    mk_store_u32(at + AT_ACL_LENGTH, (uint32_t)znode->acl.len);
    mk_buf_append_bytes(out, znode->acl);
    if (inline_data) {
        mk_buf_append_bytes(out, znode->data);
    }
}

/* ---- Reading ---- */

static struct mk_bytes canonical(struct mk_bytes path)
{
    return path.len == 0 ? MK_BYTES("/") : path;
}

/* A znode on its way through an operation. */
struct spot {
    struct mk_bytes path;
    struct mk_bytes key;
    struct store_znode znode;
    struct reapable_place reapable; /* of the znode as its rows are */
};

static enum mk_status spot_find(struct store_view *view, struct mk_bytes path, struct spot *spot)
{
    spot->path = canonical(path);
    if (!key_znode(&view->store->scraps, spot->path, &spot->key)) {
        return MK_NO_NODE;
    }
    struct mk_bytes value;
    enum mk_status status = rows_get(view, spot->key, &value);
    if (status != MK_OK) {
        return status;
    }
    if (!znode_decode(value, &spot->znode)) {
        return MK_CORRUPT;
    }
    spot->reapable = reapable_place_of(&spot->znode);
    return MK_OK;
}

enum mk_status znode_find(struct store_view *view, struct mk_bytes path, struct store_znode *out)
{
    struct spot spot;
    enum mk_status status = spot_find(view, path, &spot);
    if (status == MK_OK) {
        *out = spot.znode;
    }
    return status;
}

enum mk_status znode_load_data(struct store_view *view, struct mk_bytes path,
                               struct store_znode *znode)
{
    if (znode->data_null || data_is_inline(znode->data_length)) {
        return MK_OK;
    }
    struct mk_bytes key = key_path(&view->store->scraps, KEY_DATA, canonical(path));
    enum mk_status status = rows_get(view, key, &znode->data);
    if (status == MK_NO_NODE ||
        (status == MK_OK && znode->data.len != (size_t)znode->data_length)) {
        return MK_CORRUPT;
    }
    return status;
}

enum mk_status store_znode_read(struct store_view *view, struct mk_bytes path, bool with_data,
                                struct store_znode *out)
{
    rows_enter(view);
    enum mk_status status = znode_find(view, path, out);
    if (status == MK_OK && with_data) {
        return znode_load_data(view, path, out);
    }
    if (!with_data) {
        out->data = MK_BYTES_NULL;
    }
    return status;
}

bool store_znode_load_wanted(struct store *store, struct mk_bytes path, struct store_load *out)
{
    rows_enter(store_committed(store));
    struct mk_bytes key;
    if (!key_znode(&store->scraps, canonical(path), &key) ||
        committed_holds(&store->committed, key)) {
        return false;
    }
    *out = (struct store_load){.settles = store->committed.settles};
    mk_buf_append_bytes(&out->key, key);
    return true;
}

/* ---- Writing rows of a znode ---- */

/* ACL and inline data are read from `value`, as it has been encoded, from here on. */
static void spot_move(struct spot *spot, const uint8_t *value)
{
    struct store_znode *znode = &spot->znode;
    const uint8_t *inline_data = value + AT_ACL + znode->acl.len;
    if (znode->acl.data != NULL) {
        MK_ASSERT(znode->acl.len > 0); /* or it would be read as the open one */
        znode->acl.data = value + AT_ACL;
    }
    if (!znode->data_null && data_is_inline(znode->data_length)) {
        znode->data = mk_bytes_of(inline_data, (size_t)znode->data_length);
    }
}

/* The row that ACL and data were decoded from is written over: from here on they are read from the
 * store's buffer, until the next row is put together there. */
static void spot_write(struct store_view *view, struct spot *spot, bool fresh)
{
    struct mk_buf *value = &view->store->value;
    value->len = 0;
    znode_encode(value, &spot->znode);
    spot_move(spot, value->data);
    if (fresh) {
        rows_put_fresh(view, spot->key, mk_buf_view(value));
    } else {
        rows_put(view, spot->key, mk_buf_view(value));
    }
    reapable_move(view, spot->path, &spot->reapable, reapable_place_of(&spot->znode));
}

/* The data has been `before` long (0: there was none). */
static void spot_write_data(struct store_view *view, const struct spot *spot, int32_t before)
{
    bool was_row = !data_is_inline(before);
    bool is_row = !data_is_inline(spot->znode.data_length);
    if (!was_row && !is_row) {
        return;
    }
    struct mk_bytes key = key_path(&view->store->scraps, KEY_DATA, spot->path);
    if (!is_row) {
        rows_delete(view, key);
    } else if (was_row) {
        rows_put(view, key, spot->znode.data);
    } else {
        rows_put_fresh(view, key, spot->znode.data);
    }
}

static void spot_set_data(struct spot *spot, struct mk_bytes data)
{
    MK_ASSERT(data.len <= INT32_MAX);
    spot->znode.data = data;
    spot->znode.data_null = data.data == NULL;
    spot->znode.data_length = (int32_t)data.len;
}

static struct mk_bytes spot_order_key(struct store_view *view, const struct spot *spot)
{
    return key_order(&view->store->scraps, key_path_parent(spot->path), spot->znode.stat.czxid,
                     spot->znode.position);
}

static struct mk_bytes spot_ephemeral_key(struct store_view *view, const struct spot *spot,
                                          mk_session session)
{
    return key_ephemeral(&view->store->scraps, session, spot->path);
}

/* Whether clients may make TTL znodes is not asked here: what follows from a znode must not depend on
 * an option that may be another one tomorrow. No session has such an id: no server is number 255. */
static mk_session spot_session(const struct spot *spot)
{
    return tree_owner_session(spot->znode.stat.owner, true);
}

static void totals_add(struct store_view *view, const struct spot *spot, int sign)
{
    if (view->speculative) {
        return;
    }
    struct store_totals *totals = &view->store->totals;
    totals->znodes += sign;
    totals->data_bytes += sign * ((int64_t)spot->path.len + spot->znode.data_length);
    totals->ephemerals += spot_session(spot) != 0 ? sign : 0;
}

/* A child comes or goes. */
static void listing_change(struct store_view *view, struct mk_bytes path)
{
    if (!view->speculative && !key_path_is_root(path)) {
        listings_forget(&view->store->listings, key_path_parent(path));
    }
}

/* What is applied again is about one that was there before this one, and that went before this one came.
 * This one, and what is below it, has nothing to do with it. */
static bool spot_is_later(const struct store_view *view, const struct spot *spot)
{
    return view->store->again && spot->znode.stat.czxid > view->zxid;
}

/* Its children have changed. What is known of them may be newer, if it came with another server's
 * snapshot. */
static bool spot_touch(const struct store_view *view, struct spot *spot)
{
    bool newer = view->zxid > spot->znode.stat.pzxid;
    if (newer) {
        spot->znode.stat.pzxid = view->zxid;
    }
    return newer;
}

/* ---- Create ---- */

/* The parent's cversion after a create; it wraps. */
static int32_t parent_cversion(const struct store_create *create, const struct spot *parent)
{
    int32_t next = (int32_t)((uint32_t)parent->znode.stat.cversion + 1);
    return create->parent_cversion != -1 ? create->parent_cversion : next;
}

/* The znode exists already: the txn's ACL replaces its own, and a create of type 1 also brings the
 * parent forward. That is how a peer's replay over a fuzzy snapshot comes out right. */
static enum mk_status create_existing(struct store_view *view, const struct store_create *create,
                                      struct spot *spot, struct spot *parent)
{
    struct calls_change change = {.path = spot->path};
    enum mk_status status = calls_foresee(view, &change);
    if (status != MK_OK) {
        return status;
    }
    rows_write_begin(view);
    if (!spot_is_later(view, spot)) {
        spot->znode.acl = create->acl;
        spot_write(view, spot, false);
    }
    int32_t cversion = parent_cversion(create, parent);
    if (!create->keep_parent && cversion > parent->znode.stat.cversion) {
        parent->znode.stat.cversion = cversion;
        spot_touch(view, parent);
        spot_write(view, parent, false);
        calls_parent_moved(view, &change, &parent->znode);
    }
    status = rows_write_end(view);
    return status == MK_OK ? MK_NODE_EXISTS : status;
}

static void create_in_parent(struct store_view *view, const struct store_create *create,
                             struct spot *parent)
{
    int32_t cversion = parent_cversion(create, parent);
    if (cversion > parent->znode.stat.cversion) {
        parent->znode.stat.cversion = cversion;
        spot_touch(view, parent);
    }
    parent->znode.children_count++;
    spot_write(view, parent, false);
}

static void owner_changed(struct store_view *view, mk_session session, int64_t difference)
{
    if (view->speculative) {
        owned_change(&view->store->owned, session, difference);
    }
}

/* Every row of a new znode. There is none by any of these keys. */
static void spot_plant(struct store_view *view, struct spot *spot)
{
    spot_write(view, spot, true);
    spot_write_data(view, spot, 0);
    if (!key_path_is_root(spot->path)) {
        rows_put_fresh(view, spot_order_key(view, spot), key_path_name(spot->path));
    }
    mk_session session = spot_session(spot);
    if (session != 0) {
        rows_put_fresh(view, spot_ephemeral_key(view, spot, session), MK_BYTES(""));
        owner_changed(view, session, 1);
    }
    totals_add(view, spot, 1);
    listing_change(view, spot->path);
}

static void create_spot(struct store_view *view, const struct store_create *create,
                        struct mk_bytes data, struct spot *spot)
{
    spot->znode = (struct store_znode){
        .stat = {.czxid = view->zxid,
                 .mzxid = view->zxid,
                 .pzxid = view->zxid,
                 .ctime_ms = view->time_ms,
                 .mtime_ms = view->time_ms,
                 .owner = create->owner},
        .position = view->creations++,
        .acl = create->acl,
    };
    spot_set_data(spot, data);
    spot_plant(view, spot);
}

enum mk_status store_znode_create(struct store_view *view, const struct store_create *create,
                                  struct store_znode *out)
{
    rows_enter(view);
    struct spot spot = {0};
    struct spot parent;
    enum mk_status status = spot_find(view, create->path, &spot);
    if (key_path_is_root(create->path)) {
        return status == MK_OK ? MK_NODE_EXISTS : status;
    }
    if ((status != MK_OK && status != MK_NO_NODE) || spot.key.data == NULL) {
        return status;
    }
    enum mk_status found = spot_find(view, key_path_parent(spot.path), &parent);
    if (found != MK_OK) {
        return found;
    }
    if (spot_is_later(view, &parent)) {
        return MK_NO_NODE;
    }
    if (status == MK_OK) {
        return create_existing(view, create, &spot, &parent);
    }
    struct calls_change change = {.path = spot.path, .record_new = create->data};
    struct quotas_change quota = {
        .path = spot.path, .count = 1, .bytes = (int64_t)create->data.len};
    status = calls_foresee(view, &change);
    if (status == MK_OK) {
        status = quotas_foresee_create(view, &quota);
    }
    if (status != MK_OK) {
        return status;
    }

    rows_write_begin(view);
    quotas_changed(view, &quota);
    create_in_parent(view, create, &parent);
    create_spot(view, create, quota.stats.data != NULL ? quota.stats : create->data, &spot);
    calls_created(view, &change, &spot.znode, &parent.znode);
    *out = spot.znode;
    if (quota.stats.data != NULL) { /* ZooKeeper tells its maker of what it was made with */
        spot_set_data(&spot, create->data);
        *out = spot.znode;
    }
    return rows_write_end(view);
}

/* ---- Delete ---- */

static void spot_uproot(struct store_view *view, const struct spot *spot)
{
    rows_delete(view, spot->key);
    if (!data_is_inline(spot->znode.data_length)) {
        rows_delete(view, key_path(&view->store->scraps, KEY_DATA, spot->path));
    }
    rows_delete(view, spot_order_key(view, spot));
    mk_session session = spot_session(spot);
    if (session != 0) {
        rows_delete(view, spot_ephemeral_key(view, spot, session));
        owner_changed(view, session, -1);
    }
    struct reapable_place gone = spot->reapable;
    reapable_move(view, spot->path, &gone, (struct reapable_place){0});
    totals_add(view, spot, -1);
    listing_change(view, spot->path);
}

/* The znode is gone already; or, when applied again, there once more, maybe with children: whatever made it
 * is still to come. The parent has its part of the delete all the same. */
static enum mk_status delete_missing(struct store_view *view, struct mk_bytes path,
                                     struct spot *parent)
{
    struct calls_change change = {.path = path};
    enum mk_status status = calls_foresee(view, &change);
    if (status != MK_OK) {
        return status;
    }
    rows_write_begin(view);
    if (spot_touch(view, parent)) {
        spot_write(view, parent, false);
        calls_parent_moved(view, &change, &parent->znode);
    }
    status = rows_write_end(view);
    return status == MK_OK ? MK_NO_NODE : status;
}

static enum mk_status delete_found(struct store_view *view, struct spot *spot, struct spot *parent)
{
    struct calls_change change = {.path = spot->path};
    enum mk_status status = calls_record_keep(view, &change, &spot->znode);
    struct quotas_change quota = {
        .path = spot->path, .count = -1, .bytes = -(int64_t)spot->znode.data_length};
    if (status == MK_OK) {
        status = calls_foresee(view, &change);
    }
    if (status == MK_OK) {
        status = quotas_foresee_delete(view, &quota);
    }
    if (status != MK_OK) {
        return status;
    }

    rows_write_begin(view);
    quotas_changed(view, &quota);
    spot_touch(view, parent);
    MK_ASSERT(parent->znode.children_count > 0);
    parent->znode.children_count--;
    spot_write(view, parent, false);
    spot_uproot(view, spot);
    calls_deleted(view, &change, &parent->znode);
    return rows_write_end(view);
}

enum mk_status store_znode_delete(struct store_view *view, struct mk_bytes path)
{
    rows_enter(view);
    if (key_path_is_root(path)) {
        return MK_BAD_ARGUMENTS;
    }
    struct spot spot = {0};
    struct spot parent;
    enum mk_status status = spot_find(view, path, &spot);
    if ((status != MK_OK && status != MK_NO_NODE) || spot.key.data == NULL) {
        return status;
    }
    enum mk_status found = spot_find(view, key_path_parent(spot.path), &parent);
    if (found != MK_OK) {
        return found;
    }
    if (spot_is_later(view, &parent)) {
        return MK_NO_NODE;
    }
    if (status == MK_NO_NODE || spot_is_later(view, &spot)) {
        return delete_missing(view, spot.path, &parent);
    }
    if (spot.znode.children_count != 0) {
        return view->store->again ? delete_missing(view, spot.path, &parent) : MK_NOT_EMPTY;
    }
    return delete_found(view, &spot, &parent);
}

/* ---- Set ---- */

/* With the data that it has now; `before` is how long the old one was. */
static void spot_rewrite(struct store_view *view, struct spot *spot, int32_t before)
{
    spot_write(view, spot, false);
    spot_write_data(view, spot, before);
    if (!view->speculative) {
        view->store->totals.data_bytes += spot->znode.data_length - before;
    }
}

enum mk_status store_znode_set_data(struct store_view *view, struct mk_bytes path,
                                    struct mk_bytes data, int32_t version, struct store_znode *out)
{
    rows_enter(view);
    struct spot spot = {0};
    enum mk_status status = spot_find(view, path, &spot);
    struct calls_change change = {.path = spot.path, .record_new = data};
    if (status == MK_OK && spot_is_later(view, &spot)) {
        status = MK_NO_NODE;
    }
    if (status == MK_OK) {
        status = calls_record_keep(view, &change, &spot.znode);
    }
    if (status == MK_OK) {
        status = calls_foresee(view, &change);
    }
    int32_t before = spot.znode.data_length;
    struct quotas_change quota = {.path = spot.path, .bytes = (int64_t)data.len - before};
    if (status == MK_OK) {
        status = quotas_foresee_set(view, &quota);
    }
    if (status != MK_OK) {
        return status;
    }

    spot_set_data(&spot, data);
    spot.znode.stat.version = version;
    spot.znode.stat.mzxid = view->zxid;
    spot.znode.stat.mtime_ms = view->time_ms;
    rows_write_begin(view);
    quotas_changed(view, &quota);
    spot_rewrite(view, &spot, before);
    calls_data_changed(view, &change, &spot.znode);
    *out = spot.znode;
    return rows_write_end(view);
}

enum mk_status store_znode_set_acl(struct store_view *view, struct mk_bytes path,
                                   struct mk_bytes acl, int32_t version, struct store_znode *out)
{
    rows_enter(view);
    struct spot spot;
    enum mk_status status = spot_find(view, path, &spot);
    if (status == MK_OK && spot_is_later(view, &spot)) {
        status = MK_NO_NODE;
    }
    if (status != MK_OK) {
        return status;
    }
    spot.znode.acl = acl;
    spot.znode.stat.aversion = version;
    rows_write_begin(view);
    spot_write(view, &spot, false);
    *out = spot.znode;
    return rows_write_end(view);
}

void znode_replace_data(struct store_view *view, struct mk_bytes path, struct mk_bytes data)
{
    struct spot spot;
    enum mk_status status = spot_find(view, path, &spot);
    rows_write_check(view, status == MK_NO_NODE ? MK_CORRUPT : status);
    if (status == MK_OK) {
        int32_t before = spot.znode.data_length;
        spot_set_data(&spot, data);
        spot_rewrite(view, &spot, before);
    }
}

/* It changes nothing that was applied: no znode but this one, and no zxid. */
enum mk_status store_config_put(struct store *store, struct mk_bytes text, mk_zxid version)
{
    struct store_view *view = store_committed(store);
    struct spot spot = {0};

    store_again(store, true);
    store_begin(view, store->applied, 0);
    rows_enter(view);
    enum mk_status status = spot_find(view, MK_BYTES(TREE_CONFIG_PATH), &spot);
    if (status == MK_OK) {
        int32_t before = spot.znode.data_length;
        spot_set_data(&spot, text);
        spot.znode.stat.version = -1;
        spot.znode.stat.mzxid = version;
        spot.znode.stat.mtime_ms = 0;
        rows_write_begin(view);
        spot_rewrite(view, &spot, before);
        status = rows_write_end(view);
    }
    store_end(view);
    store_again(store, false);
    return status;
}

/* ---- Znodes as they are, and those of a new ensemble ---- */

/* The parent of a znode that is put there as it is: its own fields have seen the child already. */
static enum mk_status restore_parent(struct store_view *view, struct mk_bytes path,
                                     struct spot *parent)
{
    if (key_path_is_root(path)) {
        return MK_OK;
    }
    enum mk_status status = spot_find(view, key_path_parent(path), parent);
    return status == MK_NO_NODE ? MK_MALFORMED : status;
}

enum mk_status znode_restore(struct store_view *view, struct mk_bytes path,
                             const struct store_znode *znode)
{
    rows_enter(view);
    struct spot spot = {0};
    struct spot parent = {0};
    enum mk_status status = spot_find(view, path, &spot);
    if (status == MK_OK || spot.key.data == NULL) {
        return MK_MALFORMED;
    }
    status = status == MK_NO_NODE ? restore_parent(view, spot.path, &parent) : status;
    struct quotas_change quota = {.path = spot.path, .count = 1, .bytes = (int64_t)znode->data.len};
    if (status == MK_OK) {
        status = quotas_foresee_create(view, &quota);
    }
    if (status != MK_OK) {
        return status;
    }
    rows_write_begin(view);
    quotas_changed(view, &quota);
    if (parent.key.data != NULL) {
        parent.znode.children_count++;
        spot_write(view, &parent, false);
    }
    spot.znode = *znode;
    spot_set_data(&spot, quota.stats.data != NULL ? quota.stats : znode->data);
    spot_plant(view, &spot);
    return rows_write_end(view);
}

/* Those of children start at 1: (0, 0) means "from the first" to who lists them in order of creation. */
enum mk_status znodes_plant(struct store_view *view, uint32_t position)
{
    /* world:anyone may read */
    static const uint8_t read_only[] = {0, 0, 0, 1,   0,   0,   0,   TREE_READ, 0,
                                        0, 0, 5, 'w', 'o', 'r', 'l', 'd',       0,
                                        0, 0, 6, 'a', 'n', 'y', 'o', 'n',       'e'};
    static const char *const paths[] = {"/", "/zookeeper", TREE_CONFIG_PATH, "/zookeeper/quota"};
    for (uint32_t i = 0; i < MK_COUNT(paths); i++) {
        struct store_znode there, znode = {.data = MK_BYTES(""), .position = position + i};
        if (strcmp(paths[i], TREE_CONFIG_PATH) == 0) {
            znode.stat.aversion = -1;
            znode.acl = mk_bytes_of(read_only, sizeof(read_only));
        }
        rows_enter(view);
        enum mk_status status = znode_find(view, mk_bytes_text(paths[i]), &there);
        if (status == MK_NO_NODE) {
            status = znode_restore(view, mk_bytes_text(paths[i]), &znode);
        }
        if (status != MK_OK) {
            return status;
        }
    }
    return MK_OK;
}
