/* One operation on the tree: checks in ZooKeeper's order (protocol reference, section 4.2), then the
 * change itself, in the speculative view, and the same as a transaction's part. */
#include <string.h>

#include "prepare/context.h"

enum mk_status prepare_may(const struct prepare *prepare, const struct changer *changer,
                           struct mk_bytes acl, int permission)
{
    return tree_acl_check(&prepare->options.acl, acl, permission, changer->identities);
}

static bool has(struct mk_bytes bytes, uint8_t byte)
{
    return bytes.len > 0 && memchr(bytes.data, byte, bytes.len) != NULL;
}

/* What lies below the calls, wherever there is a gate, and below the recipes is the server's own, and so
 * is who has announced them. MK_OK: `path` is not that; MK_NO_AUTH; MK_WOULD_BLOCK, failures. */
static enum mk_status not_reserved(struct prepare *prepare, struct mk_bytes path)
{
    struct mk_bytes calls = MK_BYTES(TREE_CALLS_PATH);
    struct mk_bytes recipes = MK_BYTES(TREE_RECIPES_PATH);
    struct mk_bytes gate = tree_gate_of_calls(path);

    if (mk_bytes_equal(path, MK_BYTES(TREE_ANNOUNCED_PATH)) ||
        (path.len > calls.len && tree_path_within(path, calls)) ||
        (path.len > recipes.len && tree_path_within(path, recipes))) {
        return MK_NO_AUTH;
    }
    struct mk_bytes above = gate.data != NULL ? gate : path; /* a gate itself is anybody's znode */
    enum mk_status status = prepare_call_gate_above(prepare, above);
    return status == MK_OK ? MK_NO_AUTH : status == MK_NO_NODE ? MK_OK : status;
}

static bool undeletable(struct mk_bytes path)
{
    return mk_bytes_equal(path, MK_BYTES("/")) || mk_bytes_equal(path, MK_BYTES("/zookeeper")) ||
           mk_bytes_equal(path, MK_BYTES("/zookeeper/quota")) ||
           mk_bytes_equal(path, MK_BYTES(TREE_CONFIG_PATH)) ||
           mk_bytes_equal(path, MK_BYTES(TREE_CALLS_PATH)) ||
           mk_bytes_equal(path, MK_BYTES(TREE_RECIPES_PATH));
}

static struct mk_bytes parent_of(struct mk_bytes path)
{
    /* The root's own parent is asked for only to find that the root exists. */
    return path.len == 1 ? path : tree_path_parent(path);
}

/* ---- Create ---- */

static struct mk_bytes with_sequence(struct prepare *prepare, struct mk_bytes path, int32_t counter)
{
    struct mk_buf buf = {0};

    mk_buf_append_bytes(&buf, path);
    tree_path_sequence(&buf, counter);
    struct mk_bytes full = mk_arena_copy(&prepare->scraps, mk_buf_view(&buf));
    mk_buf_free(&buf);
    return full;
}

static int64_t raw_owner(const struct change_create *create, mk_session session)
{
    if (create->type == JUTE_CREATE_CONTAINER) {
        return TREE_OWNER_CONTAINER;
    }
    if (create->type == JUTE_CREATE_TTL) {
        return tree_owner_ttl(create->ttl_ms);
    }
    return create->ephemeral ? session : 0;
}

static enum mk_status create_in_view(struct prepare *prepare, mk_session session,
                                     const struct change_create *create, struct mk_bytes path,
                                     int32_t parent_cversion, struct jute_txn *part)
{
    struct store_create row = {
        .path = path,
        .data = create->data,
        .acl = create->acl,
        .owner = raw_owner(create, session),
        .parent_cversion = parent_cversion,
    };
    struct store_znode znode;
    enum mk_status status = store_znode_create(prepare->view, &row, &znode);

    *part = (struct jute_txn){
        .type = create->type,
        .path = path,
        .data = create->data,
        .acl = tree_acl_sent(create->acl),
        .ephemeral = create->ephemeral,
        .parent_cversion = parent_cversion,
        .ttl_ms = create->ttl_ms,
    };
    return status;
}

enum mk_status prepare_change_create(struct prepare *prepare, const struct changer *changer,
                                     const struct change_create *create, struct jute_txn *part)
{
    struct mk_bytes path = create->path;
    struct store_znode parent;
    enum mk_status status = store_znode_read(prepare->view, parent_of(path), false, &parent);

    if (status == MK_OK) {
        status = prepare_may(prepare, changer, parent.acl, TREE_CREATE);
    }
    if (status == MK_OK) {
        status = not_reserved(prepare, path);
    }
    if (status != MK_OK) {
        return status;
    }
    struct tree_stat parent_stat = parent.stat;
    if (create->sequential) {
        path = with_sequence(prepare, path, parent_stat.cversion);
    }
    status = tree_path_check(path);
    if (status != MK_OK) {
        return status;
    }
    struct store_znode existing;
    status = store_znode_read(prepare->view, path, false, &existing);
    if (status != MK_NO_NODE) {
        return status == MK_OK ? MK_NODE_EXISTS : status;
    }
    if (undeletable(path)) {
        return MK_NO_AUTH; /* the server makes it, when recipes are switched on */
    }
    if (tree_owner_session(parent_stat.owner, prepare->options.extended_types) != 0) {
        return MK_NO_CHILDREN_FOR_EPHEMERALS;
    }
    if (mk_bytes_equal(path, MK_BYTES(TREE_QUOTA_PATH "/" TREE_QUOTA_LIMITS))) {
        return MK_BAD_ARGUMENTS; /* a quota of the root */
    }
    status = create->ephemeral ? prepare_owner_check(prepare, changer->session) : MK_OK;
    if (status == MK_OK) {
        status = prepare_quota_check(prepare, path, 1, (int64_t)create->data.len);
    }
    if (status != MK_OK) {
        return status;
    }
    int32_t parent_cversion = (int32_t)((uint32_t)parent_stat.cversion + 1u);
    return create_in_view(prepare, changer->session, create, path, parent_cversion, part);
}

static bool flags_ttl(int32_t flags)
{
    return flags == 5 || flags == 6;
}

static enum mk_status create_mode(const struct prepare *prepare, const struct jute_request *request,
                                  bool in_multi, struct change_create *create)
{
    int32_t flags = request->flags;

    if (flags < 0 || flags > 6) {
        return MK_BAD_ARGUMENTS;
    }
    if (flags_ttl(flags) && !prepare->options.extended_types) {
        return MK_UNIMPLEMENTED;
    }
    if (flags_ttl(flags) != (request->op == JUTE_CREATE_TTL)) {
        return MK_BAD_ARGUMENTS;
    }
    if (flags_ttl(flags) && (request->ttl_ms < 1 || request->ttl_ms > TREE_TTL_MAX_MS)) {
        return MK_BAD_ARGUMENTS;
    }
    create->type = request->op;
    if (in_multi && flags == 4) {
        create->type = JUTE_CREATE_CONTAINER; /* upstream: under any create opcode */
    }
    create->ephemeral = (flags == 1 || flags == 3) && create->type != JUTE_CREATE_CONTAINER;
    create->sequential = flags == 2 || flags == 3 || flags == 6;
    create->ttl_ms = request->ttl_ms;
    return MK_OK;
}

static enum mk_status fixed_acl(struct prepare *prepare, const struct changer *changer,
                                struct mk_bytes acl, struct mk_bytes *fixed)
{
    struct mk_buf buf = {0};
    bool open = false;
    enum mk_status status =
        tree_acl_fix(&prepare->options.acl, acl, changer->identities, &buf, &open);

    *fixed = status == MK_OK && !open ? mk_arena_copy(&prepare->scraps, mk_buf_view(&buf))
                                      : MK_BYTES_NULL;
    mk_buf_free(&buf);
    return status;
}

static enum mk_status request_create(struct prepare *prepare, const struct changer *changer,
                                     const struct jute_request *request, bool in_multi,
                                     struct jute_txn *part)
{
    struct change_create create = {.path = request->path, .data = request->data};
    enum mk_status status = create_mode(prepare, request, in_multi, &create);

    if (status != MK_OK) {
        return status;
    }
    if (create.ephemeral && changer->local) {
        return MK_EPHEMERAL_ON_LOCAL_SESSION;
    }
    if (request->path.data == NULL) {
        return MK_MALFORMED;
    }
    if (!has(request->path, '/') || has(request->path, '\0')) {
        return MK_BAD_ARGUMENTS;
    }
    status = fixed_acl(prepare, changer, request->acl, &create.acl);
    if (status != MK_OK) {
        return status;
    }
    return prepare_change_create(prepare, changer, &create, part);
}

/* ---- Delete ---- */

enum mk_status prepare_change_delete(struct prepare *prepare, const struct changer *changer,
                                     struct mk_bytes path, int32_t version, struct jute_txn *part)
{
    if (path.data == NULL) {
        return MK_MALFORMED;
    }
    if (!has(path, '/') || has(path, '\0') || undeletable(path)) {
        return MK_BAD_ARGUMENTS;
    }
    struct store_znode znode;
    enum mk_status status = store_znode_read(prepare->view, parent_of(path), false, &znode);
    if (status == MK_OK) {
        status = prepare_may(prepare, changer, znode.acl, TREE_DELETE);
    }
    if (status == MK_OK) {
        status = not_reserved(prepare, path);
    }
    if (status == MK_OK) {
        status = store_znode_read(prepare->view, path, false, &znode);
    }
    if (status != MK_OK) {
        return status;
    }
    if (version != -1 && version != znode.stat.version) {
        return MK_BAD_VERSION;
    }
    if (znode.children_count > 0) {
        return MK_NOT_EMPTY;
    }
    return prepare_own_delete(prepare, path, part);
}

/* ---- Set data, set ACL, check ---- */

static enum mk_status read_for(struct prepare *prepare, const struct changer *changer,
                               struct mk_bytes path, int permission, struct store_znode *znode)
{
    enum mk_status status = store_znode_read(prepare->view, path, false, znode);

    if (status == MK_OK) {
        status = prepare_may(prepare, changer, znode->acl, permission);
    }
    return status;
}

enum mk_status prepare_change_set_data(struct prepare *prepare, const struct changer *changer,
                                       struct mk_bytes path, struct mk_bytes data, int32_t version,
                                       struct jute_txn *part)
{
    struct store_znode znode;
    enum mk_status status = tree_path_check(path);

    if (status == MK_OK) {
        status = read_for(prepare, changer, path, TREE_WRITE, &znode);
    }
    /* The right to WRITE the recipes' root is the right to deploy; its data is the server's. */
    if (status == MK_OK) {
        bool root = mk_bytes_equal(path, MK_BYTES(TREE_RECIPES_PATH));
        status = root ? MK_NO_AUTH : not_reserved(prepare, path);
    }
    if (status != MK_OK) {
        return status;
    }
    int32_t was = znode.stat.version;
    status = prepare_quota_check(prepare, path, 0, (int64_t)data.len - znode.data_length);
    if (status != MK_OK) {
        return status;
    }
    if (version != -1 && version != was) {
        return MK_BAD_VERSION;
    }
    int32_t next = tree_version_next(was);
    *part = (struct jute_txn){.type = JUTE_SET_DATA, .path = path, .data = data, .version = next};
    return store_znode_set_data(prepare->view, path, data, next, &znode);
}

static enum mk_status request_set_acl(struct prepare *prepare, const struct changer *changer,
                                      const struct jute_request *request, struct jute_txn *part)
{
    struct store_znode znode;
    struct mk_bytes acl;
    enum mk_status status = tree_path_check(request->path);

    if (status == MK_OK) {
        status = fixed_acl(prepare, changer, request->acl, &acl);
    }
    if (status == MK_OK) {
        status = read_for(prepare, changer, request->path, TREE_ADMIN, &znode);
    }
    if (status == MK_OK) {
        status = not_reserved(prepare, request->path);
    }
    if (status != MK_OK) {
        return status;
    }
    if (request->version != -1 && request->version != znode.stat.aversion) {
        return MK_BAD_VERSION;
    }
    int32_t next = tree_version_next(znode.stat.aversion);
    *part = (struct jute_txn){
        .type = JUTE_SET_ACL, .path = request->path, .acl = tree_acl_sent(acl), .version = next};
    return store_znode_set_acl(prepare->view, request->path, acl, next, &znode);
}

static enum mk_status request_check(struct prepare *prepare, const struct changer *changer,
                                    const struct jute_request *request, struct jute_txn *part)
{
    struct store_znode znode;
    enum mk_status status = tree_path_check(request->path);

    if (status == MK_OK) {
        status = read_for(prepare, changer, request->path, TREE_READ, &znode);
    }
    if (status != MK_OK) {
        return status;
    }
    if (request->version != -1 && request->version != znode.stat.version) {
        return MK_BAD_VERSION;
    }
    *part = (struct jute_txn){.type = JUTE_CHECK,
                              .path = request->path,
                              .version = tree_version_next(znode.stat.version)};
    return MK_OK;
}

/* ZooKeeper looks at the ACL last. */
static enum mk_status request_reconfig(struct prepare *prepare, const struct changer *changer,
                                       const struct jute_request *request, bool in_multi,
                                       struct jute_txn *part)
{
    struct mk_bytes path = MK_BYTES(TREE_CONFIG_PATH);
    struct store_znode znode;

    if (!prepare->options.reconfig) {
        return MK_RECONFIG_DISABLED;
    }
    if (prepare->options.reconfigure == NULL || in_multi) {
        return MK_UNIMPLEMENTED;
    }
    struct mk_buf text = {0};
    enum mk_status status =
        prepare->options.reconfigure(prepare->options.reconfigure_context, request, &text);
    struct mk_bytes data = mk_arena_copy(&prepare->scraps, mk_buf_view(&text));
    mk_buf_free(&text);
    if (status == MK_OK) {
        status = store_znode_read(prepare->view, path, false, &znode);
    }
    if (status == MK_OK) {
        status = prepare_may(prepare, changer, znode.acl, TREE_WRITE);
    }
    if (status != MK_OK) {
        return status;
    }
    *part = (struct jute_txn){.type = JUTE_RECONFIG, .path = path, .data = data, .version = -1};
    return store_znode_set_data(prepare->view, path, data, -1, &znode);
}

enum mk_status prepare_change_request(struct prepare *prepare, const struct changer *changer,
                                      const struct jute_request *request, bool in_multi,
                                      struct jute_txn *part)
{
    switch (request->op) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: return request_create(prepare, changer, request, in_multi, part);
    case JUTE_DELETE:
        return prepare_change_delete(prepare, changer, request->path, request->version, part);
    case JUTE_SET_DATA:
        return prepare_change_set_data(prepare, changer, request->path, request->data,
                                       request->version, part);
    case JUTE_SET_ACL: return request_set_acl(prepare, changer, request, part);
    case JUTE_CHECK: return request_check(prepare, changer, request, part);
    case JUTE_RECONFIG: return request_reconfig(prepare, changer, request, in_multi, part);
    default: return MK_UNIMPLEMENTED;
    }
}

/* ---- In the server's own name ---- */

struct mk_bytes prepare_own_acl(struct prepare *prepare, int permissions, struct mk_bytes admins,
                                int32_t admins_count)
{
    struct mk_buf buf = {0};

    mk_buf_put_i32(&buf, 1 + admins_count);
    mk_buf_put_i32(&buf, permissions);
    mk_buf_put_field(&buf, MK_BYTES("world"));
    mk_buf_put_field(&buf, MK_BYTES("anyone"));
    mk_buf_append_bytes(&buf, admins);
    struct mk_bytes acl = mk_arena_copy(&prepare->scraps, mk_buf_view(&buf));
    mk_buf_free(&buf);
    return acl;
}

enum mk_status prepare_own_create(struct prepare *prepare, struct mk_bytes path,
                                  struct mk_bytes data, struct mk_bytes acl,
                                  mk_session ephemeral_owner, bool container, struct jute_txn *part)
{
    struct store_znode parent;
    enum mk_status status = store_znode_read(prepare->view, tree_path_parent(path), false, &parent);

    if (status != MK_OK) {
        return status;
    }
    struct change_create create = {
        .path = path,
        .data = data,
        .acl = acl,
        .type = container ? JUTE_CREATE_CONTAINER : JUTE_CREATE,
        .ephemeral = ephemeral_owner != 0,
    };
    int32_t parent_cversion = (int32_t)((uint32_t)parent.stat.cversion + 1u);
    return create_in_view(prepare, ephemeral_owner, &create, path, parent_cversion, part);
}

enum mk_status prepare_own_set_data(struct prepare *prepare, struct mk_bytes path,
                                    struct mk_bytes data, struct jute_txn *part)
{
    struct store_znode znode;
    enum mk_status status = store_znode_read(prepare->view, path, false, &znode);

    if (status != MK_OK) {
        return status;
    }
    int32_t next = tree_version_next(znode.stat.version);
    *part = (struct jute_txn){.type = JUTE_SET_DATA, .path = path, .data = data, .version = next};
    return store_znode_set_data(prepare->view, path, data, next, &znode);
}

enum mk_status prepare_own_delete(struct prepare *prepare, struct mk_bytes path,
                                  struct jute_txn *part)
{
    *part = (struct jute_txn){.type = JUTE_DELETE, .path = path};
    return store_znode_delete(prepare->view, path);
}
