/* The life of a committed transaction: decode (done by the caller), begin at its zxid, change the tree
 * part by part, fire each part's watches, write each part's result, end. */
#include "apply/apply.h"

struct telling { /* the context while one part's watches fire */
    struct apply *apply;
    mk_zxid zxid;
    struct mk_bytes deleted_acl; /* of the znode that was deleted, copied before */
    int64_t deleted_owner;
    struct mk_bytes path; /* of the znode that was looked up last; null: none yet */
    struct mk_bytes acl;
    int64_t owner;
};

static enum mk_status failure_only(enum mk_status status)
{
    /* Answers mean that the tree was not as the leader saw it: during replay over a state that is
     * already newer. Only what broke is passed up. */
    return status >= MK_IO ? status : MK_OK;
}

/* A crowd is told of one znode at a time: it is looked up for the first of them. (Nobody who is told
 * calls the store.) */
static void znode_look_up(struct telling *telling, struct mk_bytes path)
{
    struct store_znode znode;

    if (telling->path.data == path.data && telling->path.len == path.len) {
        return;
    }
    enum mk_status status =
        store_znode_read(store_committed(telling->apply->store), path, false, &znode);
    telling->acl = status == MK_OK ? znode.acl : MK_BYTES_NULL;
    telling->owner = status == MK_OK ? znode.stat.owner : 0;
    telling->path = path;
}

static void tell(void *context, struct tree_watcher *watcher, int event, struct mk_bytes path)
{
    struct telling *telling = context;
    struct apply *apply = telling->apply;
    struct mk_bytes acl = telling->deleted_acl;
    int64_t owner = telling->deleted_owner;

    if (event != JUTE_EVENT_DELETED) {
        znode_look_up(telling, path);
        acl = telling->acl;
        owner = telling->owner;
    }
    struct apply_event told = {telling->zxid, event, path, acl, owner};
    apply->tell(apply->context, watcher, &told);
}

/* ---- Parts ---- */

static int64_t create_owner(const struct jute_txn *txn)
{
    switch (txn->type) {
    case JUTE_CREATE_CONTAINER: return TREE_OWNER_CONTAINER;
    case JUTE_CREATE_TTL:
        return txn->ttl_ms >= 1 && txn->ttl_ms <= TREE_TTL_MAX_MS ? tree_owner_ttl(txn->ttl_ms) : 0;
    default: return txn->ephemeral ? txn->client_id : 0;
    }
}

static enum mk_status part_create(struct apply *apply, const struct jute_txn *txn,
                                  struct store_znode *znode)
{
    struct store_create create = {
        .path = txn->path,
        .data = txn->data,
        .acl = tree_acl_kept(txn->acl),
        .owner = create_owner(txn),
        .parent_cversion = txn->parent_cversion,
    };
    return store_znode_create(store_committed(apply->store), &create, znode);
}

static enum mk_status part_delete(struct apply *apply, const struct jute_txn *txn,
                                  struct telling *telling, struct mk_arena *scraps)
{
    struct store_view *view = store_committed(apply->store);
    struct store_znode znode;

    if (tree_watches_count(apply->watches).watches > 0 &&
        store_znode_read(view, txn->path, false, &znode) == MK_OK) {
        telling->deleted_acl = mk_arena_copy(scraps, znode.acl);
        telling->deleted_owner = znode.stat.owner;
    }
    return store_znode_delete(view, txn->path);
}

static void put_path_stat(struct apply *apply, struct mk_buf *body, const struct jute_txn *txn,
                          const struct store_znode *znode)
{
    struct jute_stat stat = apply_stat(znode, apply->extended_types);

    mk_buf_put_field(body, txn->path);
    jute_put_stat(body, &stat);
}

static void put_stat(struct apply *apply, struct mk_buf *body, const struct store_znode *znode)
{
    struct jute_stat stat = apply_stat(znode, apply->extended_types);

    jute_put_stat(body, &stat);
}

/* A part's result: in a multi behind its result header, alone without one. */
static void put_result(struct apply *apply, const struct jute_txn *txn,
                       const struct store_znode *znode, bool in_multi, struct mk_buf *body)
{
    bool with_stat = txn->type == JUTE_CREATE2 || txn->type == JUTE_CREATE_CONTAINER ||
                     txn->type == JUTE_CREATE_TTL;
    if (in_multi) {
        jute_put_multi_result(body, with_stat ? JUTE_CREATE2 : txn->type);
    }
    switch (txn->type) {
    case JUTE_CREATE: mk_buf_put_field(body, txn->path); break;
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: put_path_stat(apply, body, txn, znode); break;
    case JUTE_SET_DATA:
    case JUTE_SET_ACL: put_stat(apply, body, znode); break;
    case JUTE_RECONFIG:
        mk_buf_put_field(body, txn->data);
        put_stat(apply, body, znode);
        break;
    default: break; /* delete, check: nothing */
    }
}

static enum mk_status part_change(struct apply *apply, const struct jute_txn *txn,
                                  struct store_znode *znode, struct telling *telling,
                                  struct mk_arena *scraps)
{
    struct store_view *view = store_committed(apply->store);

    switch (txn->type) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: return part_create(apply, txn, znode);
    case JUTE_DELETE:
    case JUTE_DELETE_CONTAINER: return part_delete(apply, txn, telling, scraps);
    case JUTE_SET_DATA:
    case JUTE_RECONFIG:
        return store_znode_set_data(view, txn->path, txn->data, txn->version, znode);
    case JUTE_SET_ACL:
        return store_znode_set_acl(view, txn->path, tree_acl_kept(txn->acl), txn->version, znode);
    default: return MK_OK; /* a check: made by the leader */
    }
}

static void part_watches(struct apply *apply, const struct jute_txn *txn, struct telling *telling)
{
    switch (txn->type) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: tree_watches_created(apply->watches, txn->path, tell, telling); break;
    case JUTE_DELETE:
    case JUTE_DELETE_CONTAINER:
        tree_watches_deleted(apply->watches, txn->path, tell, telling);
        break;
    case JUTE_SET_DATA:
    case JUTE_RECONFIG: tree_watches_changed(apply->watches, txn->path, tell, telling); break;
    default: break;
    }
}

static enum mk_status part_apply(struct apply *apply, const struct jute_txn *txn, bool in_multi,
                                 struct mk_buf *body, struct mk_arena *scraps)
{
    struct telling telling = {.apply = apply, .zxid = txn->zxid};
    struct store_znode znode = {0};
    enum mk_status status = part_change(apply, txn, &znode, &telling, scraps);

    if (status != MK_OK) {
        return failure_only(status);
    }
    /* The result first: `znode` is a view, and a watch's ACL is read from the store. */
    if (body != NULL) {
        put_result(apply, txn, &znode, in_multi, body);
    }
    part_watches(apply, txn, &telling);
    return MK_OK;
}

/* ---- Whole transactions ---- */

/* A failed multi is logged as one too: every part an error, and nothing is applied. */
static void put_multi_errors(const struct jute_txn *txn, struct mk_buf *body)
{
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;

    while (jute_txn_next(&cursor, &part)) {
        jute_put_multi_error(body, part.type == JUTE_ERROR ? part.error : 0);
    }
}

static enum mk_status apply_multi(struct apply *apply, const struct jute_txn *txn,
                                  struct mk_buf *body, struct mk_arena *scraps)
{
    enum mk_status status = MK_OK;

    if (txn->failed) {
        if (body != NULL) {
            put_multi_errors(txn, body);
        }
    } else {
        struct jute_txn_cursor cursor = jute_txn_begin(txn);
        struct jute_txn part;
        while (status == MK_OK && jute_txn_next(&cursor, &part)) {
            status = part_apply(apply, &part, true, body, scraps);
        }
    }
    if (body != NULL) {
        jute_put_multi_end(body);
    }
    return status;
}

static enum mk_status delete_ephemeral(struct apply *apply, const struct jute_txn *close,
                                       struct mk_bytes path, struct mk_arena *scraps)
{
    struct jute_txn part = *close;

    part.type = JUTE_DELETE;
    part.path = path;
    return part_apply(apply, &part, false, NULL, scraps);
}

struct paths { /* of the ephemerals still to delete, gathered before the first is */
    struct mk_arena *scraps;
    struct mk_bytes *paths;
    size_t count;
};
#define CLOSE_PATHS_PER_ROUND 1024 /* bounds the scraps of a session with very many ephemerals */

static bool gather_path(void *context, struct mk_bytes path)
{
    struct paths *paths = context;

    paths->paths[paths->count++] = mk_arena_copy(paths->scraps, path);
    return paths->count < CLOSE_PATHS_PER_ROUND;
}

/* The listed paths, then whatever else the session still owns: the list is empty when it would have
 * been too long for a transaction. Each round goes on behind the last, or it would pass over all that
 * has been deleted, row by row. */
static enum mk_status apply_close_session(struct apply *apply, const struct jute_txn *txn,
                                          struct mk_arena *scraps)
{
    struct store_view *view = store_committed(apply->store);
    struct jute_strings_cursor cursor = jute_strings_begin(txn->paths);
    struct mk_bytes path;
    /* First, as prepare did: its calls are not to be woken by the end of its ephemerals. */
    enum mk_status status = store_session_remove(view, txn->client_id);

    while (status == MK_OK && jute_strings_next(&cursor, &path)) {
        status = delete_ephemeral(apply, txn, path, scraps);
    }
    struct paths rest = {.scraps = scraps};
    struct mk_buf from = {0};
    do {
        rest.paths = mk_arena_alloc(scraps, CLOSE_PATHS_PER_ROUND * sizeof(*rest.paths));
        rest.count = 0;
        if (status == MK_OK) {
            struct mk_bytes behind = from.len > 0 ? mk_buf_view(&from) : MK_BYTES_NULL;
            status = store_ephemerals_each(view, txn->client_id, behind, gather_path, &rest);
        }
        for (size_t i = 0; status == MK_OK && i < rest.count; i++) {
            status = delete_ephemeral(apply, txn, rest.paths[i], scraps);
        }
        from.len = 0;
        if (rest.count > 0) {
            mk_buf_append_bytes(&from, rest.paths[rest.count - 1]);
        }
        mk_arena_reset(scraps);
    } while (status == MK_OK && rest.count == CLOSE_PATHS_PER_ROUND);
    mk_buf_free(&from);
    return status;
}

/* At most once in a millisecond, however many transactions it has. */
static void note_time(struct apply *apply, mk_ms time_ms)
{
    uint8_t value[sizeof(time_ms)];

    if (time_ms > apply->time_ms) {
        apply->time_ms = time_ms;
        mk_store_u64(value, (uint64_t)time_ms);
        store_fact_put(store_committed(apply->store), MK_BYTES(APPLY_TIME),
                       mk_bytes_of(value, sizeof(value)));
    }
}

/* An error that answers no request is how the leader says that a step is due. */
static enum mk_status count_quota(struct store_view *view)
{
    enum mk_status status = store_quota_count(view);

    return status == MK_END ? MK_OK : status;
}

enum mk_status apply_txn(struct apply *apply, const struct jute_txn *txn, struct mk_buf *body,
                         struct apply_result *result)
{
    struct store_view *view = store_committed(apply->store);
    struct mk_arena scraps = {0};
    enum mk_status status = MK_OK;

    *result = (struct apply_result){0};
    store_begin(view, txn->zxid, txn->time_ms);
    switch (txn->type) {
    case JUTE_ERROR:
        result->error = txn->error;
        status = txn->client_id == 0 ? count_quota(view) : MK_OK;
        break;
    case JUTE_CREATE_SESSION:
        status = store_session_put(view, txn->client_id, txn->timeout_ms);
        result->session_created = txn->client_id;
        result->session_timeout_ms = txn->timeout_ms;
        break;
    case JUTE_CLOSE_SESSION:
        status = apply_close_session(apply, txn, &scraps);
        result->session_closed = txn->client_id;
        break;
    case JUTE_MULTI: status = apply_multi(apply, txn, body, &scraps); break;
    default: status = part_apply(apply, txn, false, body, &scraps); break;
    }
    note_time(apply, txn->time_ms);
    store_end(view);
    mk_arena_free(&scraps);
    return status;
}
