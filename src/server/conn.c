/* Connections: opened, attached to a session, closed.
 *
 *   fresh -- ConnectRequest, new session --> connecting -- createSession applied --> attached
 *   fresh -- ConnectRequest, known session, right password ------------------------> attached
 *   ... of a server that follows: ------------- connecting -- the leader says so --> attached
 *   fresh -- ConnectRequest, the session is this server's own ---------------------> attached
 *   any -- refused, protocol error, session gone, moved elsewhere --> closing -- edge --> freed
 *
 * Protocol reference, sections 2.2 to 2.6. */
#include <string.h>

#include "server/ensemble.h"

/* ---- Identities ---- */

struct identities *server_identities_ref(struct identities *identities)
{
    identities->refs++;
    return identities;
}

void server_identities_unref(struct identities *identities)
{
    MK_ASSERT(identities->refs > 0);

    if (--identities->refs == 0) {
        mk_buf_free(&identities->set.bytes);
        mk_free(identities);
    }
}

static struct identities *identities_with(const struct identities *base, struct mk_bytes scheme,
                                          struct mk_bytes id, bool *added)
{
    struct identities *identities = mk_alloc_zero(1, sizeof(*identities));

    identities->refs = 1;
    if (base != NULL) {
        mk_buf_append_bytes(&identities->set.bytes, mk_buf_view(&base->set.bytes));
    }
    *added = tree_identities_add(&identities->set, scheme, id);
    return identities;
}

bool server_scheme_admits(const struct server *server, struct mk_bytes scheme)
{
    struct mk_bytes rest = server->options.enforced_schemes;

    if (rest.data == NULL) {
        return true;
    }
    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.data);
        if (mk_bytes_equal(scheme, mk_bytes_of(rest.data, len))) {
            return true;
        }
        len += comma != NULL;
        rest = mk_bytes_of(rest.data + len, rest.len - len);
    }
    return false;
}

bool server_identity_add(const struct server *server, struct server_conn *conn,
                         struct mk_bytes scheme, struct mk_bytes id)
{
    bool added;
    struct identities *wider = identities_with(conn->identities, scheme, id, &added);

    if (conn->identities != NULL) {
        server_identities_unref(conn->identities);
    }
    conn->identities = wider;
    conn->admitted = conn->admitted || (added && server_scheme_admits(server, scheme));
    return added;
}

/* ---- Open and close ---- */

struct server_conn *server_conn_open(struct server *server, struct mk_bytes address, uint16_t port,
                                     void *owner)
{
    struct server_conn *conn = mk_alloc_zero(1, sizeof(*conn));
    uint8_t *copy = mk_alloc(address.len + 1);

    memcpy(copy, address.data, address.len);
    conn->owner = owner;
    conn->state = CONN_FRESH;
    conn->address = mk_bytes_of(copy, address.len);
    conn->port = port;
    conn->history = (struct conn_history){.established_ms = server->now.wall_ms, .cxid = -1};
    mk_list_init(&conn->queue);
    mk_list_init(&conn->held);
    mk_list_init(&conn->dirties);
    mk_list_init(&conn->wait.link);
    conn->wait.conn = conn;
    tree_watcher_init(&conn->watcher);
    mk_list_append(&server->conns, &conn->all);
    server->conns_count++;
    (void)server_identity_add(server, conn, MK_BYTES("ip"), conn->address);
    mk_timers_set(&server->timers, &conn->timer,
                  server->now.monotonic_ms + server->options.sessionless_timeout_ms);
    return conn;
}

void server_conn_detach(struct server_conn *conn)
{
    if (conn->session != NULL) {
        MK_ASSERT(conn->session->owner == conn);
        conn->session->owner = NULL;
        conn->session = NULL;
    }
}

static void drop_held(struct server *server, struct server_conn *conn)
{
    while (!mk_list_empty(&conn->held)) {
        struct held *held = MK_CONTAINER(conn->held.next, struct held, in_conn);
        mk_list_remove(&held->in_conn);
        (void)mk_map_u64_remove(&server->held, (uint64_t)held->call);
        mk_free(held);
    }
}

static void drop_queue(struct server *server, struct server_conn *conn)
{
    while (!mk_list_empty(&conn->queue)) {
        struct request *request = MK_CONTAINER(conn->queue.next, struct request, in_conn);
        mk_list_remove(&request->in_conn);
        conn->queued--;
        request->conn = NULL;
        bool awaited = request->state == REQUEST_PROPOSED ||
                       (request->state == REQUEST_FORWARDED && request->op == JUTE_SYNC);
        if (!awaited) {
            server_request_free(server, request);
        } /* else its commit, or its place among the syncs, still points at it */
    }
    MK_ASSERT(conn->queued == 0);
}

void server_conn_closed(struct server *server, struct server_conn *conn)
{
    tree_watches_drop(server->watches, &conn->watcher);
    server_forward_heard_last(server, conn);
    server_conn_detach(conn);
    drop_held(server, conn);
    drop_queue(server, conn);
    if (conn->connect_pending) {
        server_commit_forget_conn(server, conn);
    }
    server_forward_conn_closed(server, conn);
    mk_timers_cancel(&server->timers, &conn->timer);
    mk_list_remove(&conn->dirties);
    mk_list_remove(&conn->wait.link);
    mk_list_remove(&conn->all);
    server->conns_count--;
    server_identities_unref(conn->identities);
    mk_free(conn->sasl);
    mk_buf_free(&conn->out);
    mk_free((void *)(uintptr_t)conn->address.data);
    mk_free(conn);
}

void server_conn_mark_dirty(struct server *server, struct server_conn *conn)
{
    if (!conn->dirty) {
        conn->dirty = true;
        mk_list_append(&server->dirty, &conn->dirties);
    }
}

void server_conn_end(struct server *server, struct server_conn *conn)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    /* Watches end here, so that nothing is written behind the last reply. */
    tree_watches_drop(server->watches, &conn->watcher);
    server_forward_heard_last(server, conn);
    server_conn_detach(conn);
    drop_held(server, conn);
    server_forward_conn_closed(server, conn);
    conn->state = CONN_CLOSING;
    server_conn_mark_dirty(server, conn);
}

void server_conn_touch(struct server *server, struct server_conn *conn)
{
    if (conn->session != NULL) {
        conn->heard = true;
        server_session_touch(server, conn->session);
    }
}

/* ---- The handshake ---- */

static enum jute_read_only read_only_byte(const struct server *server,
                                          const struct server_conn *conn)
{
    if (!conn->read_only_present) {
        return JUTE_READ_ONLY_ABSENT;
    }
    return server->reads_only ? JUTE_READ_ONLY_TRUE : JUTE_READ_ONLY_FALSE;
}

static void connect_reply(struct server *server, struct server_conn *conn, mk_session id,
                          int32_t timeout_ms)
{
    uint8_t password[SESSION_PASSWORD_BYTES];

    session_password(id, password);
    jute_connect_reply(&conn->out, timeout_ms, id, password, read_only_byte(server, conn));
    server->stats.packets_sent++;
    conn->sent++;
    server_conn_mark_dirty(server, conn);
}

void server_conn_refuse(struct server *server, struct server_conn *conn)
{
    jute_connect_reply(&conn->out, 0, 0, NULL, read_only_byte(server, conn));
    server->stats.packets_sent++;
    server_conn_end(server, conn);
}

void server_conn_attach(struct server *server, struct server_conn *conn, struct session *session,
                        int32_t timeout_ms)
{
    MK_ASSERT(session != NULL);
    MK_ASSERT(session->owner == NULL);
    session->owner = conn;
    conn->session = session;
    conn->session_id = session->id;
    conn->state = CONN_ATTACHED;
    conn->history.op = JUTE_CREATE_SESSION;
    connect_reply(server, conn, session->id, timeout_ms);
    server_requests_drain(server, conn);
}

bool server_conn_create(struct server *server, struct server_conn *conn, mk_session id,
                        int32_t timeout_ms)
{
    mk_zxid zxid;

    if (server_learns(server)) {
        server_forward_session(server, conn, id, timeout_ms);
        return true;
    }
    conn->state = CONN_CONNECTING;
    if (server_propose_session(server, id, timeout_ms, &zxid) != MK_OK) {
        server_conn_end(server, conn);
        return false;
    }
    struct commit *commit = server_commit_push(server, COMMIT_CONNECT, zxid);
    commit->conn = conn;
    commit->timeout_ms = timeout_ms;
    conn->connect_pending = true;
    return true;
}

/* The first of a client's: a session is to be made. */
static void attach(struct server *server, struct server_conn *conn, int32_t timeout_ms)
{
    if (server->options.local_sessions) {
        server_local_attach(server, conn, timeout_ms);
    } else if (server_conn_create(server, conn, server->session_next, timeout_ms)) {
        server->session_next++; /* no id without its transaction: ids_begin() */
    }
}

static void reattach(struct server *server, struct server_conn *conn, mk_session id,
                     struct mk_bytes password, int32_t timeout_ms)
{
    struct session *session = session_find(server->sessions, id);

    /* Checked before the rightful owner is touched: a guess must not disconnect anybody. */
    if (session == NULL || session->closing || !session_password_check(id, password)) {
        server_conn_refuse(server, conn);
        return;
    }
    if (session->owner != NULL) {
        server_conn_end(server, session->owner); /* the session has moved here */
    }
    server->stats.revalidated++;
    session->timeout_ms = timeout_ms;
    session->server = server->options.server_id;
    server_session_touch(server, session);
    server_conn_attach(server, conn, session, timeout_ms);
}

void server_conn_connect(struct server *server, struct server_conn *conn, struct mk_bytes frame)
{
    struct jute_connect connect;

    mk_timers_cancel(&server->timers, &conn->timer);
    server->stats.connect_requests++;
    bool open = server->serving || server->reads_only;
    if (!open || jute_connect_decode(frame, &connect) != MK_OK) {
        server->stats.malformed += open;
        server_conn_end(server, conn);
        return;
    }
    conn->read_only_present = connect.read_only_present;
    if (!server_throttle_admits(server, connect.session_id != 0)) {
        server->stats.connects_rejected++;
        server_conn_end(server, conn);
        return;
    }
    if (connect.last_zxid_seen > store_applied(server->store)) {
        mk_log(server->log, MK_LOG_INFO,
               "refused a client that has seen a later state than this server's  "
               "client_zxid=0x%llx zxid=0x%llx",
               (unsigned long long)connect.last_zxid_seen,
               (unsigned long long)store_applied(server->store));
        server_conn_end(server, conn);
        return;
    }
    int32_t timeout_ms = session_timeout_negotiate(&server->limits, connect.timeout_ms);
    if (server->reads_only) {
        server_read_only_connect(server, conn, &connect, timeout_ms);
    } else if (connect.session_id == 0) {
        attach(server, conn, timeout_ms);
    } else if (server_local_reattach(server, conn, &connect, timeout_ms)) {
        return;
    } else if (!server_learns(server)) {
        reattach(server, conn, connect.session_id, connect.password, timeout_ms);
    } else if (session_password_check(connect.session_id, connect.password)) {
        server_forward_revalidate(server, conn, connect.session_id, timeout_ms);
    } else {
        server_conn_refuse(server, conn);
    }
}

/* ---- What the edge asks ---- */

void *server_conn_owner(const struct server_conn *conn)
{
    return conn->owner;
}

struct mk_buf *server_conn_output(struct server_conn *conn)
{
    return &conn->out;
}

bool server_conn_closing(const struct server_conn *conn)
{
    return conn->state == CONN_CLOSING;
}

bool server_conn_paused(const struct server_conn *conn)
{
    return conn->paused;
}

void server_conn_drained(struct server *server, struct server_conn *conn)
{
    if (conn->stalled) {
        conn->stalled = false;
        server_requests_drain(server, conn);
    }
}

struct server_conn *server_next_dirty(struct server *server)
{
    if (mk_list_empty(&server->dirty)) {
        return NULL;
    }
    struct server_conn *conn = MK_CONTAINER(server->dirty.next, struct server_conn, dirties);
    mk_list_remove(&conn->dirties);
    conn->dirty = false;
    return conn;
}
