/* A checkpoint as ZooKeeper's snapshot stream (zookeeper-quorum.md, section 11):
 *
 *   sessions ─▶ ACLs are counted ─▶ ACLs ─▶ znodes ─▶ end
 *
 * Znodes come by their order rows: so siblings of one transaction come in the order of their creation,
 * by which the receiver numbers them again, and every znode behind its parent, whose block of siblings
 * sorts before its own.
 *
 * ACLs have to come first, each with an id, and their number before them; so znodes are walked up to three
 * times. Equal ones share an id as long as there are few; when the table of those that were seen is full,
 * others get one each time. That is the same in every walk, because each begins with an empty table. Their
 * number is the same in any order, unless the table becomes full: so they are counted as their rows lie,
 * which is quicker. And the walk for ACLs ends with the last of them. */
#include "store/checkpoint.h"

#include <string.h>

#include "jute/jute.h"
#include "store/znodes.h"

/* Distinct ACLs that share their id, and bytes of them: what a tree has, unless somebody tries. */
#define ACLS_MAX 65536
#define ACLS_BYTES_MAX ((size_t)8 << 20)
/* What a row costs, beside what it holds, when a piece is measured by what is read for it. */
#define ROW_BYTES 64

enum phase { SESSIONS_COUNT, SESSIONS, ACLS_COUNT, ACLS, ZNODES, ENDED };

struct acls {
    struct mk_map_bytes ids; /* keys: copies of their own in `arena` */
    struct mk_arena arena;
    size_t bytes;
    int64_t last; /* id given */
    bool full;    /* somebody has got an id that nobody shares */
};

struct store_snapshot {
    struct store_base *base;
    struct store_base_iter *rows; /* sessions; order rows */
    struct store_base_iter *znodes;
    struct store_base_iter *data;
    struct store_totals totals;
    enum phase phase;
    bool walking; /* `rows` stands at the next order row, or at the first session */
    bool sought;  /* `znodes` stands at a row */
    int64_t left; /* of sessions, of ACLs */
    int64_t acls_count;
    bool counted_in_order; /* they are too many to be counted as they lie */
    struct acls acls;
    struct mk_arena scraps; /* of one record */
};

/* ---- Open, close ---- */

static enum mk_status meta_look(struct store_base *base, struct store_base_iter *iter,
                                mk_zxid *zxid, struct store_totals *totals)
{
    struct mk_arena scraps = {0};
    struct mk_bytes key = key_path(&scraps, KEY_META, MK_BYTES(""));
    enum mk_status status = base->ops->iter_seek(iter, key, false);
    if (status == MK_END || (status == MK_OK && !mk_bytes_equal(base->ops->iter_key(iter), key))) {
        status = MK_NO_NODE;
    } else if (status == MK_OK &&
               !checkpoint_meta_decode(base->ops->iter_value(iter), zxid, totals)) {
        status = MK_CORRUPT;
    }
    mk_arena_free(&scraps);
    return status;
}

/* Three iterators over one checkpoint. An iterator stays with the one that was the newest when it was
 * made; if another came between the first and the last, MK_WOULD_BLOCK, and they are made anew. */
static enum mk_status iters_open(struct store_snapshot *snapshot, mk_zxid *zxid)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    struct store_base_iter **const iters[] = {&snapshot->rows, &snapshot->znodes, &snapshot->data};
    for (size_t i = 0; i < MK_COUNT(iters); i++) {
        *iters[i] = ops->iter_new(snapshot->base, true);
    }
    for (size_t i = 0; i < MK_COUNT(iters); i++) {
        mk_zxid own;
        enum mk_status status = meta_look(snapshot->base, *iters[i], &own, &snapshot->totals);
        if (status != MK_OK) {
            return status;
        }
        if (i > 0 && own != *zxid) {
            return MK_WOULD_BLOCK;
        }
        *zxid = own;
    }
    return MK_OK;
}

static void iters_close(struct store_snapshot *snapshot)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    ops->iter_free(snapshot->rows);
    ops->iter_free(snapshot->znodes);
    ops->iter_free(snapshot->data);
}

static enum mk_status failed(struct mk_error *error, enum mk_status status)
{
    mk_error_set(error, "the state cannot be read for another server: %s", mk_status_text(status));
    return status;
}

enum mk_status store_snapshot_open(struct store_base *base, struct store_snapshot **out,
                                   mk_zxid *zxid, struct mk_error *error)
{
    struct store_snapshot *snapshot = mk_alloc_zero(1, sizeof(*snapshot));
    snapshot->base = base;
    enum mk_status status;
    while ((status = iters_open(snapshot, zxid)) == MK_WOULD_BLOCK) {
        iters_close(snapshot); /* checkpoints are seconds apart */
    }
    if (status == MK_OK) {
        *out = snapshot;
        return MK_OK;
    }
    store_snapshot_close(snapshot);
    return failed(error, status);
}

static void acls_forget(struct acls *acls)
{
    mk_map_bytes_free(&acls->ids);
    mk_arena_free(&acls->arena);
    *acls = (struct acls){0};
}

void store_snapshot_close(struct store_snapshot *snapshot)
{
    iters_close(snapshot);
    acls_forget(&snapshot->acls);
    mk_arena_free(&snapshot->scraps);
    mk_free(snapshot);
}

/* ---- Walks ---- */

/* To the next row of `kind`, or the first. MK_END: there is none. */
static enum mk_status walk(struct store_snapshot *snapshot, enum key_kind kind)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    struct mk_bytes first = key_path(&snapshot->scraps, kind, MK_BYTES(""));
    enum mk_status status = snapshot->walking ? ops->iter_step(snapshot->rows)
                                              : ops->iter_seek(snapshot->rows, first, false);
    snapshot->walking = status == MK_OK;
    if (status == MK_OK && ops->iter_key(snapshot->rows).data[0] != kind) {
        snapshot->walking = false;
        return MK_END;
    }
    return status;
}

/* `znodes` to a child row. Names mostly grow with creation, so it is tried whether the next is it. */
static enum mk_status znode_seek(struct store_snapshot *snapshot, struct mk_bytes key)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    enum mk_status status = MK_END;
    if (snapshot->sought) {
        status = ops->iter_step(snapshot->znodes);
    }
    if (status == MK_END ||
        (status == MK_OK && !mk_bytes_equal(ops->iter_key(snapshot->znodes), key))) {
        status = ops->iter_seek(snapshot->znodes, key, false);
    }
    snapshot->sought = status == MK_OK;
    bool found = status == MK_OK && mk_bytes_equal(ops->iter_key(snapshot->znodes), key);
    return status == MK_END || (status == MK_OK && !found) ? MK_CORRUPT : status;
}

/* The path that an order row is about. Null: it is damaged. */
static struct mk_bytes order_path(struct store_snapshot *snapshot)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    const size_t tail = 1 + sizeof(mk_zxid) + sizeof(uint32_t); /* NUL, czxid, position */
    struct mk_bytes key = ops->iter_key(snapshot->rows);
    struct mk_bytes name = ops->iter_value(snapshot->rows);
    if (key.len < 1 + tail || name.len == 0) {
        return MK_BYTES_NULL;
    }
    size_t parent = key.len - 1 - tail;
    uint8_t *path = mk_arena_alloc(&snapshot->scraps, parent + 1 + name.len);
    memcpy(path, key.data + 1, parent);
    path[parent] = '/';
    memcpy(path + parent + 1, name.data, name.len);
    return mk_bytes_of(path, parent + 1 + name.len);
}

/* The next znode, the root first. Data that is not inline is still to be read. */
static enum mk_status walk_znode(struct store_snapshot *snapshot, struct mk_bytes *path,
                                 struct store_znode *znode)
{
    struct mk_bytes key;
    enum mk_status status = MK_OK;
    mk_arena_reset(&snapshot->scraps);
    if (!snapshot->sought) {
        *path = MK_BYTES("/");
    } else {
        status = walk(snapshot, KEY_ORDER);
        if (status != MK_OK) {
            return status;
        }
        *path = order_path(snapshot);
    }
    if (path->data == NULL || !key_znode(&snapshot->scraps, *path, &key)) {
        return MK_CORRUPT;
    }
    status = znode_seek(snapshot, key);
    if (status != MK_OK) {
        return status;
    }
    struct mk_bytes value = snapshot->base->ops->iter_value(snapshot->znodes);
    return znode_decode(value, znode) ? MK_OK : MK_CORRUPT;
}

static void walk_again(struct store_snapshot *snapshot)
{
    snapshot->walking = false;
    snapshot->sought = false;
    acls_forget(&snapshot->acls);
}

/* The id of an ACL; *fresh: nobody has had it before. */
static int64_t acl_id(struct acls *acls, struct mk_bytes acl, bool *fresh)
{
    *fresh = false;
    if (acl.data == NULL) {
        return JUTE_SNAPSHOT_ACL_OPEN;
    }
    void *known = mk_map_bytes_get(&acls->ids, acl);
    if (known != NULL) {
        return (int64_t)(intptr_t)known;
    }
    *fresh = true;
    int64_t id = ++acls->last;
    if (acls->ids.count < ACLS_MAX && acls->bytes + acl.len <= ACLS_BYTES_MAX) {
        mk_map_bytes_put(&acls->ids, mk_arena_copy(&acls->arena, acl), (void *)(intptr_t)id);
        acls->bytes += acl.len;
    } else {
        acls->full = true;
    }
    return id;
}

/* ---- Phases: each puts a record or reads one, and says what that costs; MK_END: it is over ---- */

static enum mk_status session_put(struct store_snapshot *snapshot, struct mk_buf *out)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    mk_arena_reset(&snapshot->scraps);
    enum mk_status status = walk(snapshot, KEY_SESSION);
    if (status != MK_OK) {
        return status == MK_END && snapshot->left != 0 ? MK_CORRUPT : status;
    }
    struct mk_bytes key = ops->iter_key(snapshot->rows);
    struct mk_bytes value = ops->iter_value(snapshot->rows);
    if (key.len != 9 || value.len != 4 || snapshot->left == 0) {
        return MK_CORRUPT;
    }
    snapshot->left--;
    jute_put_snapshot_session(out, (mk_session)mk_load_u64(key.data + 1),
                              (int32_t)mk_load_u32(value.data));
    return MK_OK;
}

/* The next znode as rows lie, by the iterator that goes through order rows else. */
static enum mk_status walk_row(struct store_snapshot *snapshot, struct mk_bytes *key,
                               struct store_znode *znode)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    mk_arena_reset(&snapshot->scraps);
    enum mk_status status = walk(snapshot, KEY_CHILD);
    if (status != MK_OK) {
        return status;
    }
    *key = ops->iter_key(snapshot->rows);
    return znode_decode(ops->iter_value(snapshot->rows), znode) ? MK_OK : MK_CORRUPT;
}

static enum mk_status acl_count(struct store_snapshot *snapshot, size_t *cost)
{
    struct mk_bytes path;
    struct store_znode znode;
    bool fresh;
    enum mk_status status = snapshot->counted_in_order ? walk_znode(snapshot, &path, &znode)
                                                       : walk_row(snapshot, &path, &znode);
    if (status != MK_OK) {
        return status;
    }
    (void)acl_id(&snapshot->acls, znode.acl, &fresh);
    snapshot->acls_count += fresh;
    *cost = ROW_BYTES + path.len;
    if (snapshot->acls.full && !snapshot->counted_in_order) {
        snapshot->counted_in_order = true;
        snapshot->acls_count = 0;
        walk_again(snapshot);
    }
    return MK_OK;
}

static enum mk_status acl_put(struct store_snapshot *snapshot, struct mk_buf *out, size_t *cost)
{
    struct mk_bytes path;
    struct store_znode znode;
    bool fresh;
    if (snapshot->acls.last == snapshot->acls_count) {
        return MK_END;
    }
    enum mk_status status = walk_znode(snapshot, &path, &znode);
    if (status == MK_END) {
        return MK_CORRUPT; /* fewer than were counted */
    }
    if (status == MK_OK) {
        int64_t id = acl_id(&snapshot->acls, znode.acl, &fresh);
        if (fresh) {
            jute_put_snapshot_acl(out, id, znode.acl);
        }
        *cost = ROW_BYTES + path.len;
    }
    return status;
}

static enum mk_status data_load(struct store_snapshot *snapshot, struct mk_bytes path,
                                struct store_znode *znode)
{
    const struct store_base_ops *ops = snapshot->base->ops;
    if (znode->data_null || znode->data_length <= ZNODE_INLINE_BYTES_MAX) {
        return MK_OK;
    }
    struct mk_bytes key = key_path(&snapshot->scraps, KEY_DATA, path);
    enum mk_status status = ops->iter_seek(snapshot->data, key, false);
    if (status == MK_OK && mk_bytes_equal(ops->iter_key(snapshot->data), key)) {
        znode->data = ops->iter_value(snapshot->data);
        status = znode->data.len == (size_t)znode->data_length ? MK_OK : MK_CORRUPT;
    } else if (status == MK_OK || status == MK_END) {
        status = MK_CORRUPT;
    }
    return status;
}

static enum mk_status znode_put(struct store_snapshot *snapshot, struct mk_buf *out)
{
    struct mk_bytes path;
    struct store_znode znode;
    bool fresh;
    enum mk_status status = walk_znode(snapshot, &path, &znode);
    if (status == MK_OK) {
        status = data_load(snapshot, path, &znode);
    }
    if (status != MK_OK) {
        return status;
    }
    const struct tree_stat *stat = &znode.stat;
    jute_put_snapshot_znode(out, &(struct jute_snapshot_znode){
                                     .path = key_path_is_root(path) ? MK_BYTES("") : path,
                                     .data = znode.data,
                                     .acl = acl_id(&snapshot->acls, znode.acl, &fresh),
                                     .stat = {.czxid = stat->czxid,
                                              .mzxid = stat->mzxid,
                                              .ctime_ms = stat->ctime_ms,
                                              .mtime_ms = stat->mtime_ms,
                                              .version = stat->version,
                                              .cversion = stat->cversion,
                                              .aversion = stat->aversion,
                                              .owner = stat->owner,
                                              .pzxid = stat->pzxid},
                                 });
    return MK_OK;
}

/* ---- The stream ---- */

/* A count goes out, and a phase of that many records begins. MK_OVERLOADED: no stream can say it. */
static enum mk_status count_put(struct store_snapshot *snapshot, struct mk_buf *out, int64_t count)
{
    if (count < 0 || count > INT32_MAX) {
        return count < 0 ? MK_CORRUPT : MK_OVERLOADED;
    }
    jute_put_snapshot_count(out, (int32_t)count);
    snapshot->left = count;
    walk_again(snapshot);
    return MK_OK;
}

static enum mk_status step(struct store_snapshot *snapshot, struct mk_buf *out, size_t *cost)
{
    switch (snapshot->phase) {
    case SESSIONS_COUNT: return MK_END;
    case SESSIONS: return session_put(snapshot, out);
    case ACLS_COUNT: return acl_count(snapshot, cost);
    case ACLS: return acl_put(snapshot, out, cost);
    case ZNODES: return znode_put(snapshot, out);
    case ENDED: break;
    }
    MK_ASSERT(!"reading on behind the end");
    return MK_END;
}

/* What stands between the phase that is over and the next. */
static enum mk_status phase_next(struct store_snapshot *snapshot, bool trailer, struct mk_buf *out)
{
    enum mk_status status = MK_OK;
    walk_again(snapshot);
    snapshot->phase++;
    switch (snapshot->phase) {
    case SESSIONS: status = count_put(snapshot, out, snapshot->totals.sessions); break;
    case ACLS: status = count_put(snapshot, out, snapshot->acls_count); break;
    case ENDED:
        jute_put_snapshot_end(out);
        if (trailer) {
            jute_put_snapshot_trailer(out);
        }
        status = MK_END;
        break;
    default: break;
    }
    return status;
}

enum mk_status store_snapshot_read(struct store_snapshot *snapshot, size_t bytes_about,
                                   bool trailer, struct mk_buf *out, struct mk_error *error)
{
    size_t before = out->len;
    size_t cost = 0;
    enum mk_status status = MK_OK;
    while (status == MK_OK && out->len - before + cost < bytes_about) {
        size_t more = 0;
        status = step(snapshot, out, &more);
        cost += more;
        if (status == MK_END) {
            status = phase_next(snapshot, trailer, out);
        }
    }
    return status == MK_OK || status == MK_END ? status : failed(error, status);
}
