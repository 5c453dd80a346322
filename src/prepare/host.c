/* What a running recipe sees and does: the speculative view, with the caller's identities, below the
 * caller's chroot. Every effect becomes a part of the step's transaction at once. */
#include <string.h>

#include "prepare/context.h"

static struct host *host_of(struct recipe_host *base)
{
    return MK_CONTAINER(base, struct host, base);
}

struct mk_bytes prepare_host_path(const struct call_step *step, struct mk_bytes path)
{
    struct mk_bytes chroot = step->call.chroot;
    struct mk_arena *scraps = &step->prepare->scraps;

    /* What does not begin with a '/' is no path, and must not become one behind the chroot. */
    if (chroot.len == 0 || path.len == 0 || path.data[0] != '/') {
        return mk_arena_copy(scraps, path);
    }
    if (path.len == 1 && path.data[0] == '/') {
        path.len = 0; /* the chroot itself */
    }
    uint8_t *full = mk_arena_alloc(scraps, chroot.len + path.len + 1);
    memcpy(full, chroot.data, chroot.len);
    if (path.len > 0) {
        memcpy(full + chroot.len, path.data, path.len);
    }
    return mk_bytes_of(full, chroot.len + path.len);
}

/* Calls and what they keep are nobody's business but the server's: they are not there. MK_OK for any
 * other path. */
static enum mk_status not_hidden(struct host *host, struct mk_bytes path)
{
    if (path.len == 0 || path.data[0] != '/' || tree_path_within(path, MK_BYTES(TREE_CALLS_PATH))) {
        return MK_NO_NODE;
    }
    enum mk_status status = prepare_call_gate_above(host->step->prepare, path);
    return status == MK_OK ? MK_NO_NODE : status == MK_NO_NODE ? MK_OK : status;
}

static enum mk_status host_znode(struct host *host, struct mk_bytes path, bool with_data,
                                 struct store_znode *znode)
{
    struct prepare *prepare = host->step->prepare;

    enum mk_status status = not_hidden(host, path);
    if (status == MK_OK) {
        status = store_znode_read(prepare->view, path, with_data, znode);
    }
    return status == MK_OK ? prepare_may(prepare, &host->changer, znode->acl, TREE_READ) : status;
}

static enum mk_status host_read(struct recipe_host *base, struct mk_bytes path,
                                struct recipe_znode *out)
{
    struct host *host = host_of(base);
    bool extended_types = host->step->prepare->options.extended_types;
    struct store_znode znode;
    enum mk_status status = host_znode(host, prepare_host_path(host->step, path), true, &znode);

    if (status == MK_OK) {
        *out = (struct recipe_znode){
            .czxid = znode.stat.czxid,
            .mzxid = znode.stat.mzxid,
            .pzxid = znode.stat.pzxid,
            .ctime_ms = znode.stat.ctime_ms,
            .mtime_ms = znode.stat.mtime_ms,
            .version = znode.stat.version,
            .cversion =
                (int32_t)(2u * (uint32_t)znode.stat.cversion - (uint32_t)znode.children_count),
            .aversion = znode.stat.aversion,
            .children_count = znode.children_count,
            .data_length = znode.data_length,
            .owner = tree_owner_session(znode.stat.owner, extended_types),
            .data = znode.data,
        };
    }
    return status;
}

/* ---- Children ---- */

struct visit {
    recipe_child_visit *visit;
    void *context;
};

static bool visit_child(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct visit *visit = context;

    (void)czxid;
    (void)position;
    return visit->visit(visit->context, name);
}

static enum mk_status creation_of(struct host *host, struct mk_bytes parent, struct mk_bytes name,
                                  struct store_children *query)
{
    struct mk_buf path = {0};
    struct store_znode znode;

    mk_buf_append_bytes(&path, parent.len == 1 ? MK_BYTES("") : parent);
    mk_buf_put_u8(&path, '/');
    mk_buf_append_bytes(&path, name);
    enum mk_status status =
        store_znode_read(host->step->prepare->view, mk_buf_view(&path), false, &znode);
    mk_buf_free(&path);
    if (status == MK_OK) {
        query->from_zxid = znode.stat.czxid;
        query->from_position = znode.position;
    }
    return status;
}

static enum mk_status host_children(struct recipe_host *base,
                                    const struct recipe_siblings *siblings,
                                    recipe_child_visit *visit, void *context)
{
    struct host *host = host_of(base);
    struct store_znode parent;
    struct store_children query = {
        .path = prepare_host_path(host->step, siblings->path),
        .by_creation = siblings->by_creation,
        .backwards = siblings->backwards,
    };
    struct visit adapter = {.visit = visit, .context = context};
    enum mk_status status = host_znode(host, query.path, false, &parent);

    if (status == MK_OK && siblings->from.data != NULL) {
        query.from = mk_arena_copy(&host->step->prepare->scraps, siblings->from);
        if (siblings->by_creation) {
            status = creation_of(host, query.path, query.from, &query);
        }
    }
    if (status != MK_OK) {
        return status;
    }
    return store_children_each(host->step->prepare->view, &query, visit_child, &adapter);
}

/* ---- Effects ---- */

/* The call remembers what it made, for when it does not return. */
static void remember(struct call_step *step, struct mk_bytes path)
{
    struct tree_call *call = &step->call;

    if (call->created_count == TREE_CREATED_MAX) {
        step->created_overflow = true;
        return;
    }
    call->created[call->created_count].path = path;
    call->created[call->created_count].czxid = step->at.zxid;
    call->created_count++;
}

static bool room_left(const struct call_step *step)
{
    return step->out->len - step->start <= step->prepare->options.transaction_bytes_max;
}

/* What a recipe makes is protected as its parent is. */
static enum mk_status parent_acl(struct host *host, struct mk_bytes path, struct mk_bytes *acl)
{
    struct prepare *prepare = host->step->prepare;
    struct store_znode parent;
    enum mk_status status = store_znode_read(prepare->view, tree_path_parent(path), false, &parent);

    *acl = status == MK_OK ? mk_arena_copy(&prepare->scraps, parent.acl) : MK_BYTES_NULL;
    return status;
}

static enum mk_status create_one(struct host *host, const struct change_create *create,
                                 struct mk_bytes *made)
{
    struct call_step *step = host->step;
    struct change_create with_acl = *create;
    struct jute_txn part;

    if (!room_left(step)) {
        return MK_OVERLOADED;
    }
    enum mk_status status = parent_acl(host, create->path, &with_acl.acl);
    if (status == MK_OK) {
        status = prepare_change_create(step->prepare, &host->changer, &with_acl, &part);
    }
    if (status == MK_OK) {
        prepare_step_put(step, &part);
        *made = part.path;
    }
    return status;
}

/* Missing ancestors, from the top; they are containers, so that they go when they are empty again. */
static enum mk_status create_parents(struct host *host, struct mk_bytes path)
{
    enum mk_status status = MK_OK;

    for (size_t i = 1; status == MK_OK && i < path.len; i++) {
        if (path.data[i] != '/') {
            continue;
        }
        struct change_create create = {
            .path = mk_bytes_of(path.data, i), .data = MK_BYTES(""), .type = JUTE_CREATE_CONTAINER};
        struct store_znode znode;
        struct mk_bytes made;
        status = store_znode_read(host->step->prepare->view, create.path, false, &znode);
        if (status == MK_NO_NODE) {
            status = create_one(host, &create, &made);
        }
    }
    return status;
}

static enum mk_status host_create(struct recipe_host *base, const struct recipe_create *wanted,
                                  struct mk_buf *path)
{
    struct host *host = host_of(base);
    struct call_step *step = host->step;
    struct change_create create = {
        .path = prepare_host_path(step, wanted->path),
        .data = mk_arena_copy(&step->prepare->scraps, wanted->data),
        .type = wanted->container ? JUTE_CREATE_CONTAINER : JUTE_CREATE,
        .ephemeral = wanted->ephemeral,
        .sequential = wanted->sequential,
    };
    struct mk_bytes made;
    enum mk_status status = MK_OK;
    int32_t timeout_ms;

    if (host->reads_only) {
        return MK_NO_AUTH;
    }
    if (create.path.len < 2 || create.path.data[0] != '/' ||
        memchr(create.path.data, '\0', create.path.len) != NULL ||
        (wanted->ephemeral && wanted->container)) {
        return MK_BAD_ARGUMENTS;
    }
    if (wanted->ephemeral) { /* of a session that the call has outlived: nothing would remove it */
        status = store_session_read(step->prepare->view, host->changer.session, &timeout_ms);
        status = status == MK_NO_NODE ? MK_SESSION_EXPIRED : status;
    }
    if (status == MK_OK && wanted->parents) {
        status = create_parents(host, create.path);
    }
    if (status == MK_OK) {
        status = create_one(host, &create, &made);
    }
    if (status == MK_OK) {
        remember(step, made);
        size_t chroot = step->call.chroot.len;
        mk_buf_append(path, made.data + chroot, made.len - chroot);
    }
    return status;
}

static enum mk_status host_set(struct recipe_host *base, struct mk_bytes path, struct mk_bytes data,
                               int32_t version, int32_t *version_now)
{
    struct host *host = host_of(base);
    struct prepare *prepare = host->step->prepare;
    struct mk_bytes kept = mk_arena_copy(&prepare->scraps, data);
    struct jute_txn part;

    if (host->reads_only) {
        return MK_NO_AUTH;
    }
    if (!room_left(host->step)) {
        return MK_OVERLOADED;
    }
    enum mk_status status = prepare_change_set_data(
        prepare, &host->changer, prepare_host_path(host->step, path), kept, version, &part);
    if (status == MK_OK) {
        prepare_step_put(host->step, &part);
        *version_now = part.version;
    }
    return status;
}

static enum mk_status host_remove(struct recipe_host *base, struct mk_bytes path, int32_t version)
{
    struct host *host = host_of(base);
    struct jute_txn part;

    if (host->reads_only) {
        return MK_NO_AUTH;
    }
    if (!room_left(host->step)) {
        return MK_OVERLOADED;
    }
    enum mk_status status = prepare_change_delete(
        host->step->prepare, &host->changer, prepare_host_path(host->step, path), version, &part);
    if (status == MK_OK) {
        prepare_step_put(host->step, &part);
    }
    return status;
}

static enum mk_status host_session_alive(struct recipe_host *base, mk_session session, bool *alive)
{
    struct host *host = host_of(base);
    int32_t timeout_ms;
    enum mk_status status = store_session_read(host->step->prepare->view, session, &timeout_ms);

    *alive = status == MK_OK;
    return status == MK_NO_NODE ? MK_OK : status;
}

/* The active version's: what is deployed while a call waits is what its next run finds. */
static enum mk_status host_operation(struct recipe_host *base, struct mk_bytes name,
                                     struct recipe_version **version,
                                     const struct recipe_operation **operation)
{
    struct call_target target = {0};
    struct mk_error why;
    enum mk_status status = prepare_call_target(host_of(base)->step->prepare, name, &target, &why);

    *version = target.version;
    *operation = target.operation;
    return status;
}

void prepare_host_init(struct host *host, struct call_step *step, bool reads_only)
{
    static const struct recipe_host_ops ops = {
        .read = host_read,
        .children = host_children,
        .create = host_create,
        .set = host_set,
        .remove = host_remove,
        .session_alive = host_session_alive,
        .operation = host_operation,
    };
    *host = (struct host){
        .base = {.ops = &ops},
        .step = step,
        .changer = {.session = step->call.session, .identities = step->call.identities},
        .reads_only = reads_only,
    };
    if (prepare_builtin_is(step->call.operation)) {
        prepare_builtin_host(host);
    }
}
