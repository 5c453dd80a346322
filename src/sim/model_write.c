/* What a write must do: the checks of section 4.2 in their order, the change, the reply's body, and
 * the transaction that the server must have logged for it. */
#include <string.h>

#include "sim/model.h"

enum { /* wire codes */
       MARSHALLING = -5,
       UNIMPLEMENTED = -6,
       BAD_ARGUMENTS = -8,
       NO_NODE = -101,
       NO_AUTH = -102,
       BAD_VERSION = -103,
       NO_CHILDREN_FOR_EPHEMERALS = -108,
       NODE_EXISTS = -110,
       NOT_EMPTY = -111,
       QUOTA_EXCEEDED = -125,
       INCONSISTENCY = -2,
};

struct write {
    struct sim_model *model;
    const struct sim_who *who;
    const struct jute_request *request;
    bool in_multi;
    struct jute_txn part; /* what it becomes; borrows from `scraps` and the model */
    struct mk_arena *scraps;
    const struct sim_znode *znode; /* the result's */
};

static bool permits(const struct write *write, const struct sim_znode *znode, int permission)
{
    return sim_acl_permits(znode->acl, permission, write->who->identities);
}

static bool has(struct mk_bytes path, int byte)
{
    return memchr(path.data, byte, path.len) != NULL;
}

static const struct sim_znode *parent_of(const struct write *write, struct mk_bytes path)
{
    return sim_model_find(write->model, path.len == 1 ? path : sim_path_parent(path));
}

/* ---- Create ---- */

static int32_t create_flags(const struct write *write)
{
    const struct jute_request *request = write->request;
    bool ttl = request->flags == 5 || request->flags == 6;

    if (request->flags < 0 || request->flags > 6) {
        return BAD_ARGUMENTS;
    }
    if (ttl && !write->model->extended_types) {
        return UNIMPLEMENTED;
    }
    if (ttl != (request->op == JUTE_CREATE_TTL)) {
        return BAD_ARGUMENTS;
    }
    return ttl && (request->ttl_ms < 1 || request->ttl_ms > 0xffffffffffLL) ? BAD_ARGUMENTS : 0;
}

static struct mk_bytes with_suffix(struct write *write, struct mk_bytes path, int32_t counter)
{
    struct mk_buf full = {0};

    mk_buf_append_bytes(&full, path);
    mk_buf_printf(&full, "%010d", (int)counter);
    struct mk_bytes kept = mk_arena_copy(write->scraps, mk_buf_view(&full));
    mk_buf_free(&full);
    return kept;
}

static bool owns_too_many(const struct write *write)
{
    const struct sim_model *model = write->model;
    int32_t op = write->request->op;
    bool plain = op == JUTE_CREATE || op == JUTE_CREATE2; /* else the flags do not say it */
    bool ephemeral = plain && (write->request->flags == 1 || write->request->flags == 3);
    int64_t owned = 0;

    if (!ephemeral || model->session_ephemerals_max == 0) {
        return false;
    }
    for (size_t i = 0; i < model->znodes_count; i++) {
        owned += sim_owner_session(model, model->znodes[i]->owner) == write->who->session;
    }
    return owned >= model->session_ephemerals_max;
}

/* Everything but the change. `path` and `parent` are set when all is well. */
static int32_t create_check(struct write *write, struct mk_bytes *path,
                            const struct sim_znode **parent, struct mk_buf *acl)
{
    const struct jute_request *request = write->request;
    int32_t error = create_flags(write);

    if (error != 0) {
        return error;
    }
    if (request->path.data == NULL) {
        return MARSHALLING;
    }
    if (!has(request->path, '/') || has(request->path, '\0')) {
        return BAD_ARGUMENTS;
    }
    error = sim_acl_fix(request->acl, write->who->identities, acl);
    if (error != 0) {
        return error;
    }
    *path = request->path;
    *parent = parent_of(write, *path);
    if (*parent == NULL) {
        return NO_NODE;
    }
    if (!permits(write, *parent, SIM_CREATE) || sim_path_reserved(*path)) {
        return NO_AUTH;
    }
    if (request->flags == 2 || request->flags == 3 || request->flags == 6) {
        *path = with_suffix(write, *path, (*parent)->created);
    }
    if (!sim_path_valid(*path)) {
        return BAD_ARGUMENTS;
    }
    if (sim_model_find(write->model, *path) != NULL) {
        return NODE_EXISTS;
    }
    if (sim_owner_session(write->model, (*parent)->owner) != 0) {
        return NO_CHILDREN_FOR_EPHEMERALS;
    }
    if (mk_bytes_equal(*path, MK_BYTES("/zookeeper/quota/zookeeper_limits"))) {
        return BAD_ARGUMENTS;
    }
    if (owns_too_many(write)) {
        return QUOTA_EXCEEDED;
    }
    return sim_quota_allows(write->model, *path, 1, (int64_t)request->data.len);
}

static int32_t create_type(const struct write *write)
{
    return write->in_multi && write->request->flags == 4 ? JUTE_CREATE_CONTAINER
                                                         : write->request->op;
}

static int64_t create_owner(const struct write *write, int32_t type)
{
    if (type == JUTE_CREATE_CONTAINER) {
        return INT64_MIN;
    }
    if (type == JUTE_CREATE_TTL) {
        return (int64_t)(0xffULL << 56 | (uint64_t)write->request->ttl_ms);
    }
    return write->request->flags == 1 || write->request->flags == 3 ? write->who->session : 0;
}

static int32_t do_create(struct write *write)
{
    const struct sim_znode *parent;
    struct mk_bytes path;
    struct mk_buf acl = {0};
    int32_t error = create_check(write, &path, &parent, &acl);
    int32_t type = create_type(write);

    if (error == 0) {
        int64_t owner = create_owner(write, type);
        int32_t created = (int32_t)((uint32_t)parent->created + 1u);
        write->znode =
            sim_model_create(write->model, path, write->request->data, mk_buf_view(&acl), owner);
        write->part = (struct jute_txn){
            .type = type,
            .path = write->znode->path,
            .data = write->znode->data,
            .acl = write->znode->acl,
            .ephemeral = sim_owner_session(write->model, owner) != 0,
            .parent_cversion = created,
            .ttl_ms = write->request->ttl_ms,
        };
    }
    mk_buf_free(&acl);
    return error;
}

/* ---- Delete ---- */

static bool special(struct mk_bytes path)
{
    static const char *const paths[] = {
        "/",
        "/zookeeper",
        "/zookeeper/quota",
        "/zookeeper/config",
        SIM_CALLS_PATH,
        SIM_RECIPES_PATH,
    };
    for (size_t i = 0; i < MK_COUNT(paths); i++) {
        if (mk_bytes_equal(path, mk_bytes_text(paths[i]))) {
            return true;
        }
    }
    return false;
}

static int32_t do_delete(struct write *write)
{
    struct mk_bytes path = write->request->path;
    int32_t version = write->request->version;

    if (path.data == NULL) {
        return MARSHALLING;
    }
    if (!has(path, '/') || has(path, '\0') || special(path)) {
        return BAD_ARGUMENTS;
    }
    const struct sim_znode *parent = parent_of(write, path);
    if (parent == NULL) {
        return NO_NODE;
    }
    if (!permits(write, parent, SIM_DELETE) || sim_path_reserved(path)) {
        return NO_AUTH;
    }
    const struct sim_znode *znode = sim_model_find(write->model, path);
    if (znode == NULL) {
        return NO_NODE;
    }
    if (version != -1 && version != znode->version) {
        return BAD_VERSION;
    }
    if (znode->children > 0) {
        return NOT_EMPTY;
    }
    sim_model_delete(write->model, path);
    write->part = (struct jute_txn){.type = JUTE_DELETE, .path = path};
    return 0;
}

/* ---- Set data, set ACL, check ---- */

static int32_t find_for(const struct write *write, int permission, const struct sim_znode **znode)
{
    struct mk_bytes path = write->request->path;

    *znode = sim_model_find(write->model, path);
    if (*znode == NULL) {
        return NO_NODE;
    }
    if (!permits(write, *znode, permission)) {
        return NO_AUTH;
    }
    return permission != SIM_READ && sim_path_reserved(path) ? NO_AUTH : 0;
}

static bool version_fits(int32_t wanted, int32_t is)
{
    return wanted == -1 || wanted == is;
}

static int32_t do_set_data(struct write *write)
{
    const struct sim_znode *znode;
    int32_t error = sim_path_valid(write->request->path) ? 0 : BAD_ARGUMENTS;

    if (error == 0) {
        error = find_for(write, SIM_WRITE, &znode);
    }
    if (error == 0 && mk_bytes_equal(write->request->path, MK_BYTES(SIM_RECIPES_PATH))) {
        error = NO_AUTH;
    }
    if (error == 0) {
        error = sim_quota_allows(write->model, write->request->path, 0,
                                 (int64_t)write->request->data.len - (int64_t)znode->data.len);
    }
    if (error == 0 && !version_fits(write->request->version, znode->version)) {
        error = BAD_VERSION;
    }
    if (error == 0) {
        write->znode = sim_model_set_data(write->model, write->request->path, write->request->data);
        write->part = (struct jute_txn){.type = JUTE_SET_DATA,
                                        .path = write->znode->path,
                                        .data = write->znode->data,
                                        .version = write->znode->version};
    }
    return error;
}

static int32_t do_set_acl(struct write *write)
{
    const struct sim_znode *znode;
    struct mk_buf acl = {0};
    int32_t error = sim_path_valid(write->request->path) ? 0 : BAD_ARGUMENTS;

    if (error == 0) {
        error = sim_acl_fix(write->request->acl, write->who->identities, &acl);
    }
    if (error == 0) {
        error = find_for(write, SIM_ADMIN, &znode);
    }
    if (error == 0 && !version_fits(write->request->version, znode->aversion)) {
        error = BAD_VERSION;
    }
    if (error == 0) {
        write->znode = sim_model_set_acl(write->model, write->request->path, mk_buf_view(&acl));
        write->part = (struct jute_txn){.type = JUTE_SET_ACL,
                                        .path = write->znode->path,
                                        .acl = write->znode->acl,
                                        .version = write->znode->aversion};
    }
    mk_buf_free(&acl);
    return error;
}

static int32_t do_check(struct write *write)
{
    const struct sim_znode *znode;
    int32_t error = sim_path_valid(write->request->path) ? 0 : BAD_ARGUMENTS;

    if (error == 0) {
        error = find_for(write, SIM_READ, &znode);
    }
    if (error == 0 && !version_fits(write->request->version, znode->version)) {
        error = BAD_VERSION;
    }
    if (error == 0) {
        write->part = (struct jute_txn){.type = JUTE_CHECK,
                                        .path = znode->path,
                                        .version = (int32_t)((uint32_t)znode->version + 1u)};
    }
    return error;
}

static int32_t do_one(struct write *write)
{
    write->znode = NULL;
    switch (write->request->op) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: return do_create(write);
    case JUTE_DELETE: return do_delete(write);
    case JUTE_SET_DATA: return do_set_data(write);
    case JUTE_SET_ACL: return do_set_acl(write);
    case JUTE_CHECK: return do_check(write);
    default: MK_ASSERT(!"not a write"); return UNIMPLEMENTED;
    }
}

/* ---- Results ---- */

static void put_multi_header(struct mk_buf *body, int32_t type, bool done, int32_t error)
{
    mk_buf_put_i32(body, type);
    mk_buf_put_u8(body, done);
    mk_buf_put_i32(body, error);
}

static void put_result(const struct write *write, struct mk_buf *body)
{
    int32_t type = write->part.type;
    bool create2 = type == JUTE_CREATE2 || type == JUTE_CREATE_CONTAINER || type == JUTE_CREATE_TTL;

    if (write->in_multi) {
        put_multi_header(body, create2 ? JUTE_CREATE2 : type, false, 0);
    }
    if (create2 || type == JUTE_CREATE) {
        mk_buf_put_field(body, write->znode->path);
    }
    if (create2 || type == JUTE_SET_DATA || type == JUTE_SET_ACL) {
        sim_put_stat(write->model, write->znode, body);
    }
}

static void put_multi_failure(int32_t count, int32_t failed, int32_t error,
                              const struct jute_txn *header, struct mk_buf *body,
                              struct mk_buf *txn)
{
    struct jute_txn_multi multi = jute_txn_multi_begin(txn, header);

    for (int32_t i = 0; i < count; i++) {
        int32_t code = i < failed ? 0 : i == failed ? error : INCONSISTENCY;
        put_multi_header(body, -1, false, code);
        mk_buf_put_i32(body, code);
        struct jute_txn part = {.type = JUTE_ERROR, .error = code};
        jute_txn_multi_put(txn, &multi, &part);
    }
    jute_txn_multi_end(txn, &multi);
}

/* Until one fails: its index, or -1. *count: how many there are. */
static int32_t do_parts(struct write *write, struct mk_buf *body, struct mk_buf *txn,
                        struct jute_txn_multi *multi, int32_t *error, int32_t *count)
{
    const struct jute_request *request = write->request;
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    struct jute_request operation;
    int32_t failed = -1;

    for (*count = 0; jute_multi_next(&cursor, &operation); (*count)++) {
        if (failed >= 0) {
            continue;
        }
        write->request = &operation;
        *error = do_one(write);
        if (*error != 0) {
            failed = *count;
            continue;
        }
        put_result(write, body);
        jute_txn_multi_put(txn, multi, &write->part);
    }
    write->request = request;
    return failed;
}

static void do_multi(struct write *write, const struct jute_txn *header, struct mk_buf *body,
                     struct mk_buf *txn)
{
    struct jute_txn_multi multi = jute_txn_multi_begin(txn, header);
    int32_t error = 0;
    int32_t count = 0;
    int32_t failed = do_parts(write, body, txn, &multi, &error, &count);

    if (failed >= 0) {
        sim_model_abort(write->model);
        body->len = 0;
        txn->len = 0;
        put_multi_failure(count, failed, error, header, body, txn);
    } else {
        jute_txn_multi_end(txn, &multi);
    }
    put_multi_header(body, -1, true, -1);
}

int32_t sim_model_write(struct sim_model *model, const struct sim_who *who,
                        const struct jute_request *request, struct mk_buf *body, struct mk_buf *txn)
{
    struct mk_arena scraps = {0};
    struct write write = {
        .model = model,
        .who = who,
        .request = request,
        .scraps = &scraps,
        .in_multi = request->op == JUTE_MULTI,
    };
    struct jute_txn header = {
        .client_id = who->session,
        .cxid = request->xid,
        .zxid = model->zxid,
        .time_ms = model->time_ms,
        .type = request->op,
    };
    int32_t error = 0;

    if (request->op == JUTE_MULTI) {
        do_multi(&write, &header, body, txn);
    } else {
        error = do_one(&write);
        struct jute_txn *part = error == 0 ? &write.part : &header;
        if (error == 0) {
            put_result(&write, body);
            part->client_id = header.client_id;
            part->cxid = header.cxid;
            part->zxid = header.zxid;
            part->time_ms = header.time_ms;
        } else {
            part->type = JUTE_ERROR;
            part->error = error;
        }
        jute_txn_encode(txn, part);
    }
    mk_arena_free(&scraps);
    return error;
}
