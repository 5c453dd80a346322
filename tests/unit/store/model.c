#include "model.h"

#include <stdio.h>
#include <string.h>

/* Paths that test the order of keys: "!" sorts before "/", and NUL before both. */
static const char *const parents[] = {"", "/a", "/a!", "/b", "/a/c", "/zookeeper"};
static const char *const names[] = {"a", "a!", "b", "c", "d", "e", "z\xc3\xa9", "-"};
static const char *const quotas[] = {
    "/zookeeper/quota/a",   "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a",   "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/quota/a/c", "/zookeeper/quota/a/c/zookeeper_limits",
    "/zookeeper/quota/b",   "/zookeeper/quota/a/c/zookeeper_stats",
    "/zookeeper/quota/b",   "/zookeeper/quota/b/zookeeper_stats",
    "/zookeeper/quota/a/c", "/zookeeper/quota/zookeeper/zookeeper_stats",
};
#define CALLS 12
#define SESSIONS 4

static uint64_t below(struct mk_random *random, uint64_t bound)
{
    return mk_random_below(random, bound);
}

static void random_path(struct mk_random *random, char path[80])
{
    snprintf(path, 80, "%s/%s", parents[below(random, MK_COUNT(parents))],
             names[below(random, MK_COUNT(names))]);
}

static void record_path(char path[80], mk_zxid call)
{
    uint8_t bytes[TREE_CALL_RECORD_PATH_BYTES];
    tree_call_record_path(bytes, call);
    snprintf(path, 80, "%.*s", (int)sizeof(bytes), (const char *)bytes);
}

/* ---- Random records of calls ---- */

static mk_zxid random_stamp(struct mk_random *random, enum tree_wait_kind kind,
                            const struct store_znode *znode)
{
    if (below(random, 8) == 0) {
        return (mk_zxid)below(random, 500); /* it may be anything */
    }
    if (znode == NULL || kind == TREE_WAIT_CREATED) {
        return 0;
    }
    return kind == TREE_WAIT_DELETED   ? znode->stat.czxid
           : kind == TREE_WAIT_CHANGED ? znode->stat.mzxid
                                       : znode->stat.pzxid;
}

static void random_record(struct mk_random *random, struct store_view *view, struct mk_buf *out)
{
    if (below(random, 12) == 0) {
        mk_buf_append(out, "not a record", 12);
        return;
    }
    static char paths[TREE_WAITS_MAX][80];
    struct tree_call *call = mk_alloc_zero(1, sizeof(*call));
    call->session = (mk_session)below(random, SESSIONS) + 1;
    call->deadline_ms = below(random, 2) == 0 ? 0 : (mk_ms)below(random, 1000);
    call->wake_at_ms = below(random, 3) == 0 ? (mk_ms)below(random, 1000) : 0;
    call->not_before_ms = below(random, 3) == 0 ? (mk_ms)below(random, 1000) : 0;
    call->outlives_session = below(random, 6) == 0;
    call->operation = MK_BYTES("lock.acquire");
    call->version = MK_BYTES("00");
    call->chroot = MK_BYTES("");
    call->arguments = MK_BYTES("{}");
    call->identities = MK_BYTES("\0\0\0\0");
    call->once = MK_BYTES("a value of some length, so that records are of either kind, and more");
    call->waits_count = (int32_t)below(random, 4);
    for (int i = 0; i < call->waits_count; i++) {
        struct tree_wait *wait = &call->waits[i];
        random_path(random, paths[i]);
        if (below(random, 6) == 0) {
            snprintf(paths[i], sizeof(paths[i]), "%s", below(random, 2) == 0 ? "/" : "/a");
        }
        wait->path = mk_bytes_text(paths[i]);
        wait->kind = (enum tree_wait_kind)(below(random, 5) + 1);
        struct store_znode znode;
        enum mk_status status = store_znode_read(view, wait->path, false, &znode);
        MK_ASSERT(status == MK_OK || status == MK_NO_NODE);
        wait->stamp = random_stamp(random, wait->kind, status == MK_OK ? &znode : NULL);
    }
    tree_call_encode(out, call);
    mk_free(call);
}

/* ---- Random operations ---- */

static void random_data(struct mk_random *random, struct op *op)
{
    static const size_t lengths[] = {0, 5, 127, 128, 129, 1000};
    op->data_null = below(random, 8) == 0;
    size_t len = op->data_null ? 0 : lengths[below(random, MK_COUNT(lengths))];
    int letter = 'a' + (int)below(random, 26);
    while (op->data.len < len) {
        mk_buf_put_u8(&op->data, (uint8_t)letter);
    }
}

static void random_target(struct mk_random *random, struct store_view *view, struct op *op)
{
    if (below(random, 4) != 0) {
        random_path(random, op->path);
        random_data(random, op);
        return;
    }
    if (below(random, 2) == 0) {
        snprintf(op->path, sizeof(op->path), "%s", quotas[below(random, MK_COUNT(quotas))]);
        random_data(random, op);
        return;
    }
    record_path(op->path, (mk_zxid)below(random, CALLS) + 1);
    random_record(random, view, &op->data);
}

static void random_create(struct mk_random *random, struct store_view *view, struct op *op)
{
    random_target(random, view, op);
    if (below(random, 6) == 0) {
        static const char *const roots[] = {"/a", "/b", "/a!", "/a/c", "/zookeeper/calls"};
        snprintf(op->path, sizeof(op->path), "%s", roots[below(random, MK_COUNT(roots))]);
    }
    op->owner = below(random, 3) == 0 ? (int64_t)below(random, SESSIONS) + 1 : 0;
    op->owner = below(random, 20) == 0 ? TREE_OWNER_CONTAINER : op->owner;
    op->owner = below(random, 20) == 0 ? tree_owner_ttl(1 + (mk_ms)below(random, 50)) : op->owner;
    op->number = below(random, 5) == 0 ? (int32_t)below(random, 20) : -1;
    op->keep_parent = below(random, 2) == 0;
}

static void random_op(struct mk_random *random, struct store_view *view, struct op *op)
{
    static const enum op_kind kinds[] = {
        OP_CREATE, OP_CREATE,      OP_CREATE,         OP_CREATE,   OP_DELETE,
        OP_DELETE, OP_DELETE,      OP_SET_DATA,       OP_SET_DATA, OP_SET_ACL,
        OP_FACT,   OP_SESSION_PUT, OP_SESSION_REMOVE, OP_SET_DATA, OP_QUOTA_COUNT};
    op->kind = kinds[below(random, MK_COUNT(kinds))];
    op->acl = below(random, 4) == 0;
    op->number = (int32_t)below(random, 100);
    op->session = (mk_session)below(random, SESSIONS) + 1;
    op->call = (mk_zxid)below(random, CALLS) + 1;
    if (op->kind == OP_CREATE) {
        random_create(random, view, op);
    } else {
        random_target(random, view, op);
    }
}

struct txn *model_txn_new(struct mk_random *random, struct store_view *view, mk_zxid zxid)
{
    struct txn *txn = mk_alloc_zero(1, sizeof(*txn));
    txn->zxid = zxid;
    txn->count = (size_t)below(random, MODEL_OPS_MAX) + 1;
    for (size_t i = 0; i < txn->count; i++) {
        random_op(random, view, &txn->ops[i]);
    }
    return txn;
}

void model_txn_free(struct txn *txn)
{
    for (size_t i = 0; i < txn->count; i++) {
        mk_buf_free(&txn->ops[i].data);
        mk_buf_free(&txn->ops[i].result);
    }
    mk_free(txn);
}

/* ---- Applying ---- */

/* Anybody may read and write: not the open ACL, which is kept as null. */
static struct mk_bytes op_acl(const struct op *op)
{
    static const uint8_t acl[] = {0,   0,   0,   1, 0, 0, 0, 3,   0,   0,   0,   5,   'w', 'o',
                                  'r', 'l', 'd', 0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e'};
    return op->acl ? mk_bytes_of(acl, sizeof(acl)) : MK_BYTES_NULL;
}

static struct mk_bytes op_data(const struct op *op)
{
    return op->data_null
               ? MK_BYTES_NULL
               : (struct mk_bytes){op->data.len == 0 ? (const uint8_t *)"" : op->data.data,
                                   op->data.len};
}

static void show_znode(struct mk_buf *out, const struct store_znode *znode)
{
    const struct tree_stat *stat = &znode->stat;
    mk_buf_printf(out, "%lld %lld %lld %lld %lld v%d c%d a%d o%lld n%d p%u l%d %s ",
                  (long long)stat->czxid, (long long)stat->mzxid, (long long)stat->pzxid,
                  (long long)stat->ctime_ms, (long long)stat->mtime_ms, (int)stat->version,
                  (int)stat->cversion, (int)stat->aversion, (long long)stat->owner,
                  (int)znode->children_count, (unsigned)znode->position, (int)znode->data_length,
                  znode->data_null ? "null" : "");
    mk_buf_put_field(out, znode->acl);
    mk_buf_put_field(out, znode->data);
}

static enum mk_status op_try(struct store_view *view, const struct op *op, struct store_znode *out)
{
    struct mk_bytes path = mk_bytes_text(op->path);
    struct store_create create = {.path = path,
                                  .data = op_data(op),
                                  .acl = op_acl(op),
                                  .owner = op->owner,
                                  .parent_cversion = op->number,
                                  .keep_parent = op->keep_parent};
    switch (op->kind) {
    case OP_CREATE: return store_znode_create(view, &create, out);
    case OP_DELETE: return store_znode_delete(view, path);
    case OP_SET_DATA: return store_znode_set_data(view, path, op_data(op), op->number, out);
    case OP_SET_ACL: return store_znode_set_acl(view, path, op_acl(op), op->number, out);
    case OP_SESSION_PUT: return store_session_put(view, op->session, op->number);
    case OP_SESSION_REMOVE: return store_session_remove(view, op->session);
    case OP_QUOTA_COUNT: return store_quota_count(view);
    case OP_FACT:
        store_fact_put(view, MK_BYTES("fact"), mk_bytes_of(&op->number, sizeof(op->number)));
        return MK_OK;
    }
    return MK_OK;
}

enum mk_status model_op_apply(struct store_view *view, const struct op *op, struct mk_buf *result)
{
    struct store_znode out;
    enum mk_status status = op_try(view, op, &out);
    if (status == MK_WOULD_BLOCK) {
        return status;
    }
    bool shows = op->kind == OP_CREATE || op->kind == OP_SET_DATA || op->kind == OP_SET_ACL;
    mk_buf_printf(result, "%s ", mk_status_name(status));
    if (shows && status == MK_OK) {
        if (op->kind == OP_SET_ACL) {
            out.data = MK_BYTES_NULL; /* large data is not read */
        }
        show_znode(result, &out);
    }
    return MK_OK;
}

void model_load(struct store *store)
{
    struct store_load load = {0};
    store_load_wanted(store, &load);
    enum mk_status status = store_load(store_base_of(store), &load);
    MK_ASSERT(status == MK_OK);
    store_load_done(store, &load);
}

/* ---- Showing ---- */

static bool show_child(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    mk_buf_printf(context, "%.*s(%lld,%u) ", (int)name.len, (const char *)name.data,
                  (long long)czxid, (unsigned)position);
    return true;
}

static bool show_path(void *context, struct mk_bytes path)
{
    mk_buf_printf(context, "%.*s ", (int)path.len, (const char *)path.data);
    return true;
}

static bool show_call(void *context, mk_zxid call)
{
    mk_buf_printf(context, "%lld ", (long long)call);
    return true;
}

static bool show_session(void *context, mk_session id, int32_t timeout_ms)
{
    mk_buf_printf(context, "%lld:%d ", (long long)id, (int)timeout_ms);
    return true;
}

static enum mk_status show_children(struct store_view *view, struct mk_bytes path,
                                    struct mk_buf *out)
{
    enum mk_status status = MK_OK;
    for (int i = 0; i < 8 && status == MK_OK; i++) {
        struct store_children query = {
            .path = path, .by_creation = (i & 1) != 0, .backwards = (i & 2) != 0};
        if ((i & 4) != 0) {
            query.from = MK_BYTES("c");
            query.from_zxid = 100;
            query.from_position = 1;
        }
        status = store_children_each(view, &query, show_child, out);
        mk_buf_printf(out, "%s\n", mk_status_name(status));
        status = status == MK_NO_NODE ? MK_OK : status;
    }
    return status;
}

static enum mk_status show_one(struct store_view *view, struct mk_bytes path, struct mk_buf *out)
{
    struct store_znode znode;
    int64_t count = 0;
    enum mk_status status = store_znode_read(view, path, true, &znode);
    mk_buf_printf(out, "%.*s %s ", (int)path.len, (const char *)path.data, mk_status_name(status));
    if (status != MK_OK) {
        return status == MK_NO_NODE ? MK_OK : status;
    }
    show_znode(out, &znode);
    status = show_children(view, path, out);
    if (status == MK_OK) {
        status = store_descendants_count(view, path, &count);
        mk_buf_printf(out, "%lld below\n", (long long)count);
    }
    return status;
}

static enum mk_status show_session_things(struct store_view *view, struct mk_buf *out)
{
    enum mk_status status = store_sessions_each(view, show_session, out);
    for (mk_session id = 1; id <= SESSIONS && status == MK_OK; id++) {
        mk_buf_printf(out, "\nsession %lld: ", (long long)id);
        status = store_ephemerals_each(view, id, MK_BYTES_NULL, show_path, out);
        if (status == MK_OK) {
            status = store_ephemerals_each(view, id, MK_BYTES("/a/b"), show_path, out);
        }
        if (status == MK_OK) {
            status = store_session_calls_each(view, id, show_call, out);
        }
    }
    return status;
}

/* Whose turn it is, of one of the queues of calls. */
static enum mk_status show_first(const char *queue, enum mk_status status, mk_ms time_ms,
                                 mk_zxid call, struct mk_buf *out)
{
    mk_buf_printf(out, "\n%s: %s %lld %lld", queue, mk_status_name(status),
                  (long long)(status == MK_OK ? time_ms : 0),
                  (long long)(status == MK_OK ? call : 0));
    return status == MK_END ? MK_OK : status;
}

static enum mk_status show_calls(struct store_view *view, struct mk_buf *out)
{
    mk_ms time_ms = 0;
    mk_zxid call = 0;
    enum mk_status status = show_first("ready", store_ready_first(view, &call), 0, call, out);
    if (status == MK_OK) {
        status = show_first("gone", store_gone_first(view, &call), 0, call, out);
    }
    if (status == MK_OK) {
        enum mk_status slowed = store_slowed_first(view, &time_ms, &call);
        status = show_first("slowed", slowed, time_ms, call, out);
    }
    if (status == MK_OK) {
        enum mk_status deadline = store_deadline_first(view, &time_ms, &call);
        status = show_first("deadline", deadline, time_ms, call, out);
    }
    return status;
}

static enum mk_status show_quotas(struct store_view *view, struct mk_buf *out)
{
    static const char *const paths[] = {"/a",  "/a/b", "/a/c",        "/a/c/d",
                                        "/a!", "/b/-", "/zookeeper/a"};
    enum mk_status status = MK_OK;
    for (size_t i = 0; i < MK_COUNT(quotas) && status == MK_OK; i++) {
        status = show_one(view, mk_bytes_text(quotas[i]), out);
    }
    for (size_t i = 0; i < MK_COUNT(paths) && status == MK_OK; i++) {
        struct store_quota quota = {0};
        status = store_quota_find(view, mk_bytes_text(paths[i]), &quota);
        mk_buf_printf(out, "quota of %s: %s %.*s %lld %lld\n", paths[i], mk_status_name(status),
                      (int)quota.root.len, (const char *)quota.root.data, (long long)quota.count,
                      (long long)quota.bytes);
        status = status == MK_NO_NODE ? MK_OK : status;
    }
    return status;
}

static enum mk_status show_reapable(struct store_view *view, struct mk_buf *out)
{
    enum mk_status status = MK_OK;
    for (int why = STORE_REAPABLE_EMPTIED; why <= STORE_REAPABLE_EXPIRING && status == MK_OK;
         why++) {
        struct mk_bytes path = MK_BYTES_NULL;
        int64_t order = 0;
        status = store_reapable_first(view, (enum store_reapable)why, &order, &path);
        mk_buf_printf(out, "reapable %d: %s %.*s %lld\n", why, mk_status_name(status),
                      (int)path.len, (const char *)path.data, (long long)order);
        status = status == MK_END ? MK_OK : status;
    }
    return status;
}

enum mk_status model_view_show(struct store_view *view, struct mk_buf *out)
{
    char path[80];
    enum mk_status status = show_one(view, MK_BYTES("/"), out);
    for (size_t i = 0; i < MK_COUNT(parents) * MK_COUNT(names) && status == MK_OK; i++) {
        snprintf(path, sizeof(path), "%s/%s", parents[i / MK_COUNT(names)],
                 names[i % MK_COUNT(names)]);
        status = show_one(view, mk_bytes_text(path), out);
    }
    for (mk_zxid call = 0; call <= CALLS && status == MK_OK; call++) {
        record_path(path, call);
        status = show_one(view, mk_bytes_text(path), out);
    }
    if (status == MK_OK) {
        status = show_one(view, MK_BYTES("/zookeeper/calls"), out);
    }
    if (status == MK_OK) {
        status = show_session_things(view, out);
    }
    if (status == MK_OK) {
        status = show_quotas(view, out);
    }
    if (status == MK_OK) {
        status = show_reapable(view, out);
    }
    return status == MK_OK ? show_calls(view, out) : status;
}
