/* Reads: answered from committed state. A read and the watch that it sets are one step, so no change
 * falls between them. Order of checks: protocol reference, section 4.2. */
#include <string.h>

#include "server/internal.h"

/* ---- Below TREE_CALLS_PATH, and below an open gate, everybody sees only their own ---- */

static enum mk_status gate_find(struct server *server, struct mk_bytes chroot, bool *open)
{
    struct store_znode calls;

    *open = false;
    if (chroot.data == NULL) {
        return MK_OK;
    }
    enum mk_status status =
        store_znode_read(store_committed(server->store), MK_BYTES(TREE_CALLS_PATH), true, &calls);
    *open = status == MK_OK && tree_gate_open(calls.data, chroot);
    return status == MK_NO_NODE ? MK_OK : status;
}

/* Whether `path` is where calls are made: TREE_CALLS_PATH or an open gate. */
static enum mk_status is_calls(struct server *server, struct mk_bytes path, bool *is)
{
    *is = mk_bytes_equal(path, MK_BYTES(TREE_CALLS_PATH));
    return *is ? MK_OK : gate_find(server, tree_gate_of_calls(path), is);
}

enum mk_status server_below_calls(struct server *server, struct mk_bytes path, bool *below)
{
    struct mk_bytes calls = MK_BYTES(TREE_CALLS_PATH "/");

    *below = path.len > calls.len && mk_bytes_starts(path, calls);
    return *below ? MK_OK : gate_find(server, tree_gate_of_path(path), below);
}

enum mk_status server_may_see(const struct server_conn *conn, struct mk_bytes path,
                              bool below_calls, int64_t owner, struct mk_bytes identities)
{
    if (!below_calls || tree_identities_super(identities)) {
        return MK_OK;
    }
    if (mk_bytes_starts(path, MK_BYTES(TREE_CALLS_PATH "/."))) {
        return MK_NO_NODE; /* the server's own records */
    }
    /* A node without an owner is that of a call that outlives its session: its ACL says whose. */
    return owner == conn->session_id || owner == 0 ? MK_OK : MK_NO_AUTH;
}

/* ---- One znode ---- */

static enum mk_status read_znode(struct server *server, struct server_conn *conn,
                                 struct mk_bytes path, bool with_data, int permission,
                                 struct mk_bytes identities, struct store_znode *znode)
{
    bool below_calls;

    if (path.data == NULL) {
        return MK_MALFORMED;
    }
    enum mk_status status = server_below_calls(server, path, &below_calls);
    if (status == MK_OK) {
        status = store_znode_read(store_committed(server->store), path, with_data, znode);
    }
    if (status == MK_OK) {
        status = server_may_see(conn, path, below_calls, znode->stat.owner, identities);
    }
    if (status == MK_OK && znode->acl.data != NULL) {
        status = tree_acl_check(&server->options.acl, znode->acl, permission, identities);
    }
    return status;
}

static size_t answer_begin(struct server *server, struct server_conn *conn, int32_t xid)
{
    return server_reply_begin(server, conn, xid, store_applied(server->store), 0);
}

static void put_stat(struct server *server, struct mk_buf *out, const struct store_znode *znode)
{
    struct jute_stat stat = apply_stat(znode, server->options.extended_types);

    jute_put_stat(out, &stat);
}

static enum mk_status read_exists(struct server *server, struct server_conn *conn,
                                  const struct jute_request *request, struct mk_bytes identities)
{
    struct store_znode znode;

    if (request->path.len > 0 && memchr(request->path.data, '\0', request->path.len) != NULL) {
        return MK_BAD_ARGUMENTS;
    }
    enum mk_status status =
        read_znode(server, conn, request->path, false, TREE_READ, identities, &znode);
    if (status == MK_OK) {
        size_t frame = answer_begin(server, conn, request->xid);
        put_stat(server, &conn->out, &znode);
        server_reply_end(server, conn, frame);
    }
    /* Also on what is not there yet: that is what an exists watch is for. */
    if (request->watch && (status == MK_OK || status == MK_NO_NODE)) {
        server_watch_put(server, conn, request->path, TREE_WATCH_DATA);
    }
    return status;
}

static enum mk_status read_data(struct server *server, struct server_conn *conn,
                                const struct jute_request *request, struct mk_bytes identities)
{
    struct store_znode znode;
    enum mk_status status =
        read_znode(server, conn, request->path, true, TREE_READ, identities, &znode);

    if (status != MK_OK) {
        return status;
    }
    size_t frame = answer_begin(server, conn, request->xid);
    mk_buf_put_field(&conn->out, znode.data);
    put_stat(server, &conn->out, &znode);
    server_reply_end(server, conn, frame);
    if (request->watch) {
        server_watch_put(server, conn, request->path, TREE_WATCH_DATA);
    }
    return MK_OK;
}

static enum mk_status read_acl(struct server *server, struct server_conn *conn,
                               const struct jute_request *request, struct mk_bytes identities)
{
    struct store_znode znode;
    enum mk_status status =
        read_znode(server, conn, request->path, false, TREE_READ | TREE_ADMIN, identities, &znode);

    if (status != MK_OK) {
        return status;
    }
    size_t frame = answer_begin(server, conn, request->xid);
    tree_acl_serve(&server->options.acl, znode.acl, identities, &conn->out);
    put_stat(server, &conn->out, &znode);
    server_reply_end(server, conn, frame);
    return MK_OK;
}

/* ---- Children ---- */

struct listing {
    struct mk_buf *out;
    int32_t count;
    struct mk_bytes below; /* of calls: "/zookeeper/calls/", or the like of a gate */
};

static bool list_child(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct listing *listing = context;

    (void)czxid;
    (void)position;
    mk_buf_put_field(listing->out, name);
    listing->count++;
    return true;
}

static bool list_call(void *context, struct mk_bytes path)
{
    struct listing *listing = context;

    if (!mk_bytes_starts(path, listing->below)) {
        return false; /* the session's ephemerals come in path order */
    }
    mk_buf_put_field(listing->out, tree_path_name(path));
    listing->count++;
    return true;
}

/* Calls of one session, a handful at a time, because the store may not be called while it visits. */
struct gathering {
    uint32_t skip; /* so many have been looked at */
    mk_zxid calls[64];
    uint32_t count;
};

static bool gather_call(void *context, mk_zxid call)
{
    struct gathering *gathering = context;

    if (gathering->skip > 0) {
        gathering->skip--;
        return true;
    }
    gathering->calls[gathering->count++] = call;
    return gathering->count < MK_COUNT(gathering->calls);
}

/* The node of `number`, if that call outlives its session: no ephemeral, so not among those. */
static enum mk_status list_outliving(struct server *server, mk_zxid number, struct listing *listing)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    struct store_znode record;
    struct tree_call call;

    tree_call_record_path(path, number);
    enum mk_status status = store_znode_read(store_committed(server->store),
                                             mk_bytes_of(path, sizeof(path)), true, &record);
    if (status != MK_OK) {
        return status == MK_NO_NODE ? MK_OK : status;
    }
    if (tree_call_decode(record.data, &call) == MK_OK && call.outlives_session &&
        mk_bytes_starts(call.node_path, listing->below)) {
        mk_buf_put_field(listing->out, tree_path_name(call.node_path));
        listing->count++;
    }
    return MK_OK;
}

static enum mk_status list_outliving_all(struct server *server, mk_session session,
                                         struct listing *listing)
{
    struct gathering gathering;
    uint32_t looked = 0;
    enum mk_status status = MK_OK;

    do {
        gathering = (struct gathering){.skip = looked};
        status = store_session_calls_each(store_committed(server->store), session, gather_call,
                                          &gathering);
        for (uint32_t i = 0; status == MK_OK && i < gathering.count; i++) {
            status = list_outliving(server, gathering.calls[i], listing);
        }
        looked += gathering.count;
    } while (status == MK_OK && gathering.count == MK_COUNT(gathering.calls));
    return status;
}

/* The caller's own calls. */
static enum mk_status put_calls(struct server *server, const struct server_conn *conn,
                                struct mk_bytes path, struct mk_buf *out)
{
    struct mk_buf below = {0};
    size_t count_at = out->len;

    mk_buf_append_bytes(&below, path);
    mk_buf_put_u8(&below, '/');
    struct listing listing = {.out = out, .below = mk_buf_view(&below)};
    mk_buf_put_i32(out, 0);
    enum mk_status status = store_ephemerals_each(store_committed(server->store), conn->session_id,
                                                  listing.below, list_call, &listing);
    if (status == MK_OK) {
        status = list_outliving_all(server, conn->session_id, &listing);
    }
    mk_store_u32(out->data + count_at, (uint32_t)listing.count);
    mk_buf_free(&below);
    return status;
}

/* Append the vector<string> of the children's names. */
static enum mk_status put_children(struct server *server, const struct server_conn *conn,
                                   struct mk_bytes path, int32_t count, struct mk_buf *out)
{
    struct listing listing = {.out = out};
    struct store_children query = {.path = path};
    struct mk_bytes names;

    bool calls;
    enum mk_status status = is_calls(server, path, &calls);

    if (status != MK_OK || calls) {
        return status == MK_OK ? put_calls(server, conn, path, out) : status;
    }
    mk_buf_put_i32(out, count);
    if (store_listing_find(server->store, path, &names)) {
        mk_buf_append_bytes(out, names);
        return MK_OK;
    }
    size_t names_at = out->len;
    status = store_children_each(store_committed(server->store), &query, list_child, &listing);
    if (status != MK_OK || listing.count != count) {
        return status == MK_OK ? MK_CORRUPT : status;
    }
    store_listing_keep(server->store, path, mk_bytes_of(out->data + names_at, out->len - names_at));
    return MK_OK;
}

static enum mk_status read_children(struct server *server, struct server_conn *conn,
                                    const struct jute_request *request, struct mk_bytes identities)
{
    struct store_znode znode;
    enum mk_status status =
        read_znode(server, conn, request->path, false, TREE_READ, identities, &znode);

    if (status != MK_OK) {
        return status;
    }
    struct jute_stat stat = apply_stat(&znode, server->options.extended_types);
    size_t start = conn->out.len;
    size_t frame = answer_begin(server, conn, request->xid);
    status = put_children(server, conn, request->path, znode.children_count, &conn->out);
    if (status != MK_OK) {
        conn->out.len = start;
        return status;
    }
    if (request->op == JUTE_GET_CHILDREN2) {
        jute_put_stat(&conn->out, &stat);
    }
    server_reply_end(server, conn, frame);
    if (request->watch) {
        server_watch_put(server, conn, request->path, TREE_WATCH_CHILD);
    }
    return MK_OK;
}

static enum mk_status read_descendants(struct server *server, struct server_conn *conn,
                                       const struct jute_request *request,
                                       struct mk_bytes identities)
{
    struct store_znode znode;
    int64_t count;
    enum mk_status status =
        read_znode(server, conn, request->path, false, TREE_READ, identities, &znode);

    if (status == MK_OK) {
        status = store_descendants_count(store_committed(server->store), request->path, &count);
    }
    if (status != MK_OK) {
        return status;
    }
    size_t frame = answer_begin(server, conn, request->xid);
    mk_buf_put_i32(&conn->out, count > INT32_MAX ? INT32_MAX : (int32_t)count);
    server_reply_end(server, conn, frame);
    return MK_OK;
}

/* ---- The caller's own ---- */

struct ephemerals {
    struct listing listing;
    struct mk_bytes prefix;
};

static bool list_ephemeral(void *context, struct mk_bytes path)
{
    struct ephemerals *ephemerals = context;

    if (mk_bytes_starts(path, ephemerals->prefix)) {
        mk_buf_put_field(ephemerals->listing.out, path);
        ephemerals->listing.count++;
    }
    return true;
}

static enum mk_status read_ephemerals(struct server *server, struct server_conn *conn,
                                      const struct jute_request *request)
{
    struct ephemerals ephemerals = {.listing = {.out = &conn->out}, .prefix = request->path};
    size_t start = conn->out.len;
    size_t frame = answer_begin(server, conn, request->xid);
    size_t count_at = conn->out.len;

    if (request->path.data == NULL) {
        ephemerals.prefix = MK_BYTES("");
    }
    mk_buf_put_i32(&conn->out, 0);
    enum mk_status status = store_ephemerals_each(store_committed(server->store), conn->session_id,
                                                  MK_BYTES_NULL, list_ephemeral, &ephemerals);
    if (status != MK_OK) {
        conn->out.len = start;
        return status;
    }
    mk_store_u32(conn->out.data + count_at, (uint32_t)ephemerals.listing.count);
    server_reply_end(server, conn, frame);
    return MK_OK;
}

static void read_who_am_i(struct server *server, struct server_conn *conn,
                          const struct jute_request *request, struct mk_bytes identities)
{
    struct mk_reader reader = mk_reader_of(identities);
    size_t frame = answer_begin(server, conn, request->xid);
    int32_t count = mk_read_i32(&reader);

    mk_buf_put_i32(&conn->out, count);
    for (int32_t i = 0; i < count; i++) {
        struct mk_bytes scheme = mk_read_field(&reader);
        struct mk_bytes id = mk_read_field(&reader);
        mk_buf_put_field(&conn->out, scheme);
        mk_buf_put_field(&conn->out, tree_identity_display(scheme, id));
    }
    MK_ASSERT(!reader.failed);
    server_reply_end(server, conn, frame);
}

/* ---- Calls of operations that only read ---- */

/* MK_END: it is none, any more. */
static enum mk_status read_call(struct server *server, struct server_conn *conn,
                                const struct jute_request *request, struct mk_bytes identities)
{
    struct prepare_who who = {
        .session = conn->session_id, .cxid = request->xid, .identities = identities};
    size_t start = conn->out.len;
    size_t frame = answer_begin(server, conn, request->xid);
    enum mk_status status = prepare_call_read(server->prepare, store_committed(server->store),
                                              server->log_time_ms, &who, request, &conn->out);

    if (status != MK_OK) {
        conn->out.len = start;
        return status;
    }
    server_reply_end(server, conn, frame);
    return MK_OK;
}

/* ---- multiRead ---- */

/* One request can ask for one large znode very often: a reply larger than this many frames is refused. */
#define MULTI_READ_FRAMES_MAX 16

static enum mk_status put_multi_read(struct server *server, struct server_conn *conn,
                                     const struct jute_request *operation,
                                     struct mk_bytes identities)
{
    struct store_znode znode;
    bool with_data = operation->op == JUTE_GET_DATA;
    enum mk_status status =
        read_znode(server, conn, operation->path, with_data, TREE_READ, identities, &znode);
    size_t start = conn->out.len;

    if (status == MK_OK) {
        jute_put_multi_result(&conn->out, operation->op);
        if (with_data) {
            mk_buf_put_field(&conn->out, znode.data);
            put_stat(server, &conn->out, &znode);
        } else {
            status = put_children(server, conn, operation->path, znode.children_count, &conn->out);
        }
    }
    if (status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    if (status != MK_OK) {
        conn->out.len = start;
        jute_put_multi_error(&conn->out, jute_error_code(status));
    }
    return MK_OK;
}

static enum mk_status read_multi(struct server *server, struct server_conn *conn,
                                 const struct jute_request *request, struct mk_bytes identities)
{
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    struct jute_request operation;
    size_t reply_bytes_max = (size_t)MULTI_READ_FRAMES_MAX * server->options.frame_bytes_max;
    size_t start = conn->out.len;
    size_t frame = answer_begin(server, conn, request->xid);

    while (jute_multi_next(&cursor, &operation)) {
        enum mk_status status = put_multi_read(server, conn, &operation, identities);
        if (status == MK_OK && conn->out.len - start > reply_bytes_max) {
            status = MK_BAD_ARGUMENTS;
        }
        if (status != MK_OK) {
            conn->out.len = start;
            return status;
        }
    }
    jute_put_multi_end(&conn->out);
    server_reply_end(server, conn, frame);
    return MK_OK;
}

enum mk_status server_read_execute(struct server *server, struct server_conn *conn,
                                   const struct jute_request *request, struct mk_bytes identities)
{
    store_view_blocking(store_committed(server->store), server_load_insists(&conn->wait));
    switch (request->op) {
    case JUTE_EXISTS: return read_exists(server, conn, request, identities);
    case JUTE_GET_DATA: return read_data(server, conn, request, identities);
    case JUTE_GET_ACL: return read_acl(server, conn, request, identities);
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2: return read_children(server, conn, request, identities);
    case JUTE_GET_ALL_CHILDREN_NUMBER: return read_descendants(server, conn, request, identities);
    case JUTE_GET_EPHEMERALS: return read_ephemerals(server, conn, request);
    case JUTE_MULTI_READ: return read_multi(server, conn, request, identities);
    case JUTE_SET_WATCHES:
    case JUTE_SET_WATCHES2: return server_watches_set(server, conn, request);
    case JUTE_WHO_AM_I: read_who_am_i(server, conn, request, identities); return MK_OK;
    case JUTE_CALL: return read_call(server, conn, request, identities);
    case JUTE_CALLS: return server_calls_list(server, conn, request, identities);
    case JUTE_ADD_WATCH: server_watches_add(server, conn, request); return MK_OK;
    case JUTE_CHECK_WATCHES:
    case JUTE_REMOVE_WATCHES: server_watches_check(server, conn, request); return MK_OK;
    default: return MK_UNIMPLEMENTED;
    }
}
