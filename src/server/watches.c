/* Watches of connections: set, reconciled after a reconnect, removed, and told. An event is written to
 * the connection while its transaction is applied, before any reply that shows the change. */
#include "server/internal.h"

void server_watch_put(struct server *server, struct server_conn *conn, struct mk_bytes path,
                      enum tree_watch kind)
{
    if (conn->state != CONN_ATTACHED) {
        return;
    }
    if (conn->watcher.count >= server->options.conn_watches_max) {
        mk_log(server->log, MK_LOG_WARN,
               "a client has too many watches and is disconnected  session=0x%llx watches=%zu",
               (unsigned long long)conn->session_id, conn->watcher.count);
        server_conn_end(server, conn);
        return;
    }
    tree_watch_add(server->watches, &conn->watcher, path, kind);
}

void server_watches_tell(void *context, struct tree_watcher *watcher,
                         const struct apply_event *event)
{
    struct server *server = context;
    struct server_conn *conn = MK_CONTAINER(watcher, struct server_conn, watcher);
    struct mk_bytes identities = mk_buf_view(&conn->identities->set.bytes);

    bool below_calls;
    if (tree_acl_check(&server->options.acl, event->acl, TREE_READ, identities) != MK_OK ||
        server_below_calls(server, event->path, &below_calls) != MK_OK ||
        server_may_see(conn, event->path, below_calls, event->owner, identities) != MK_OK) {
        return; /* silently; a one-shot watch is spent all the same */
    }
    size_t at = conn->out.len;
    jute_notification(&conn->out, event->zxid, (enum jute_event)event->event, event->path);
    server->stats.watch_bytes += conn->out.len - at;
    server->stats.packets_sent++;
    conn->sent++;
    server_conn_mark_dirty(server, conn);
}

/* ---- setWatches: what has happened since the client last heard of us (reference, section 6.6) ---- */

enum { LIST_DATA, LIST_EXIST, LIST_CHILD, LIST_PERSISTENT, LIST_RECURSIVE };

/* The event that the watch has missed; 0: none, and it is to be set. */
static int missed(int list, enum mk_status status, const struct store_znode *znode, mk_zxid since)
{
    bool there = status == MK_OK;

    switch (list) {
    case LIST_DATA:
        return !there                      ? JUTE_EVENT_DELETED
               : znode->stat.mzxid > since ? JUTE_EVENT_DATA_CHANGED
                                           : 0;
    case LIST_EXIST: return there ? JUTE_EVENT_CREATED : 0;
    case LIST_CHILD:
        return !there                      ? JUTE_EVENT_DELETED
               : znode->stat.pzxid > since ? JUTE_EVENT_CHILDREN_CHANGED
                                           : 0;
    default: return 0;
    }
}

static enum tree_watch kind_of(int list)
{
    switch (list) {
    case LIST_CHILD: return TREE_WATCH_CHILD;
    case LIST_PERSISTENT: return TREE_WATCH_PERSISTENT;
    case LIST_RECURSIVE: return TREE_WATCH_RECURSIVE;
    default: return TREE_WATCH_DATA;
    }
}

/* As a read would have it, or as good as: what the client may not see is not there. */
static enum mk_status look(struct server *server, const struct server_conn *conn,
                           struct mk_bytes path, struct mk_bytes identities,
                           struct store_znode *znode)
{
    bool below_calls;
    enum mk_status status = server_below_calls(server, path, &below_calls);

    if (status == MK_OK) {
        status = store_znode_read(store_committed(server->store), path, false, znode);
    }
    if (status == MK_OK &&
        server_may_see(conn, path, below_calls, znode->stat.owner, identities) != MK_OK) {
        status = MK_NO_NODE;
    }
    return status;
}

/* An event for each path, or 0, in the order of the lists. */
static enum mk_status find_missed(struct server *server, const struct server_conn *conn,
                                  const struct jute_request *request, struct mk_buf *events)
{
    struct mk_bytes who = mk_buf_view(&conn->identities->set.bytes);
    struct mk_bytes path;

    for (int list = 0; list < JUTE_LISTS_MAX; list++) {
        struct jute_strings_cursor cursor = jute_strings_begin(request->lists[list]);
        while (jute_strings_next(&cursor, &path)) {
            struct store_znode znode = {0};
            enum mk_status status = MK_NO_NODE;
            if (list <= LIST_CHILD && path.data != NULL) {
                status = look(server, conn, path, who, &znode);
            }
            if (status == MK_WOULD_BLOCK || status >= MK_IO) {
                return status;
            }
            mk_buf_put_u8(events, (uint8_t)missed(list, status, &znode, request->relative_zxid));
        }
    }
    return MK_OK;
}

static void set_or_tell(struct server *server, struct server_conn *conn, int list,
                        struct mk_bytes path, int event)
{
    if (event == 0) {
        server_watch_put(server, conn, path, kind_of(list));
        return;
    }
    jute_notification(&conn->out, -1, (enum jute_event)event, path);
    server->stats.packets_sent++;
    conn->sent++;
}

/* All is read before anything is set: a request that has to wait for the disk is executed again, and a
 * watch that it had set by then could fire in between, and be told a second time. */
enum mk_status server_watches_set(struct server *server, struct server_conn *conn,
                                  const struct jute_request *request)
{
    struct mk_buf events = {0};
    struct mk_bytes path;
    size_t at = 0;
    enum mk_status status = find_missed(server, conn, request, &events);

    for (int list = 0; status == MK_OK && list < JUTE_LISTS_MAX; list++) {
        struct jute_strings_cursor cursor = jute_strings_begin(request->lists[list]);
        while (jute_strings_next(&cursor, &path)) {
            int event = events.data[at++];
            if (path.data != NULL) {
                set_or_tell(server, conn, list, path, event);
            }
        }
    }
    mk_buf_free(&events);
    if (status != MK_OK) {
        return status;
    }
    size_t frame = server_reply_begin(server, conn, request->xid, store_applied(server->store), 0);
    server_reply_end(server, conn, frame);
    return MK_OK;
}

/* ---- addWatch, checkWatches, removeWatches ---- */

void server_watches_add(struct server *server, struct server_conn *conn,
                        const struct jute_request *request)
{
    if (request->path.data == NULL || request->flags < 0 || request->flags > 1) {
        server_reply_error(server, conn, request->xid, MK_MALFORMED);
        return;
    }
    server_watch_put(server, conn, request->path,
                     request->flags == 0 ? TREE_WATCH_PERSISTENT : TREE_WATCH_RECURSIVE);
    size_t frame = server_reply_begin(server, conn, request->xid, store_applied(server->store), 0);
    mk_buf_put_i32(&conn->out, 0); /* an ErrorResponse; Java needs it */
    server_reply_end(server, conn, frame);
}

/* WatcherType as a mask of kinds; 0: not one. */
static unsigned kinds_of(int32_t type)
{
    switch (type) {
    case 1: return TREE_WATCH_CHILD;
    case 2: return TREE_WATCH_DATA;
    case 3: return TREE_WATCH_ANY;
    case 4: return TREE_WATCH_PERSISTENT;
    case 5: return TREE_WATCH_RECURSIVE;
    default: return 0;
    }
}

void server_watches_check(struct server *server, struct server_conn *conn,
                          const struct jute_request *request)
{
    unsigned kinds = kinds_of(request->flags);
    enum mk_status status = MK_OK;

    if (request->path.data == NULL || kinds == 0) {
        status = MK_MALFORMED;
    } else if (request->op == JUTE_CHECK_WATCHES
                   ? !tree_watch_has(server->watches, &conn->watcher, request->path, kinds)
                   : !tree_watch_remove(server->watches, &conn->watcher, request->path, kinds)) {
        status = MK_NO_WATCHER;
    }
    server_reply_error(server, conn, request->xid,
                       status); /* MK_OK: a header alone, which is the answer */
}
