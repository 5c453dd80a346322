/* Sessions that only this server knows: no transaction makes or ends them, so they cost nothing elsewhere,
 * and elsewhere they have expired.
 *
 *   made (localSessionsEnabled, or by a server in read-only mode) --> attached <--> alone --> expired
 *     attached -- its first ephemeral --> upgrading -- createSession applied --> global
 *     alone -- comes back, and this server has no local sessions any more --> upgrading --> global
 *     attached -- closeSession, in its turn --> gone
 *
 * They survive a change of the server's role, which disconnects their clients as it does all others. A
 * leader cannot tell a learner's local sessions from none: see relay.c. */
#include "server/ensemble.h"

/* Each is some 200 bytes, and costs a client no more than a connection: more than a server has clients, and
 * 50 MB. Beyond it a client is disconnected that wants a new one. */
#define LOCAL_SESSIONS_MAX ((size_t)256 * 1024)

static struct session_table *table_of(const struct server *server, const struct session *session)
{
    return session->local ? server->locals : server->sessions;
}

void server_session_touch(struct server *server, struct session *session)
{
    session_touch(table_of(server, session), session, server->now.monotonic_ms);
}

struct server_conn *server_session_conn(const struct server *server, mk_session id)
{
    struct session *session = session_find(server->sessions, id);

    if (session == NULL || session->owner == NULL) {
        session = session_find(server->locals, id); /* it may be both, for as long as it upgrades */
    }
    return session == NULL ? NULL : session->owner;
}

/* ---- Made, found again ---- */

void server_local_attach(struct server *server, struct server_conn *conn, int32_t timeout_ms)
{
    if (session_count(server->locals) >= LOCAL_SESSIONS_MAX) {
        mk_log(server->log, MK_LOG_WARN,
               "refused a client: there are as many local sessions as there may be  sessions=%zu",
               session_count(server->locals));
        server_conn_end(server, conn);
        return;
    }
    struct session *session = session_add(server->locals, server->session_local_next++, timeout_ms,
                                          server->now.monotonic_ms);
    session->local = true;
    session->server = server->options.server_id;
    server_conn_attach(server, conn, session, timeout_ms);
}

bool server_local_reattach(struct server *server, struct server_conn *conn,
                           const struct jute_connect *connect, int32_t timeout_ms)
{
    struct session *session = session_find(server->locals, connect->session_id);

    if (session == NULL || session_find(server->sessions, connect->session_id) != NULL) {
        return false;
    }
    if (session->closing || !session_password_check(session->id, connect->password)) {
        server_conn_refuse(server, conn);
        return true;
    }
    if (session->owner != NULL) {
        server_conn_end(server, session->owner); /* the session has moved here */
    }
    server->stats.revalidated++;
    session->timeout_ms = timeout_ms;
    server_session_touch(server, session);
    if (session->upgrading) {
        server_conn_end(server, conn); /* what it is will be known when the client comes again */
    } else if (server->reads_only || server->options.local_sessions) {
        server_conn_attach(server, conn, session, timeout_ms);
    } else {
        session->upgrading = server_conn_create(server, conn, session->id, timeout_ms);
    }
    return true;
}

/* ---- Upgraded ---- */

static bool makes_ephemeral(const struct jute_request *request)
{
    bool create = request->op == JUTE_CREATE || request->op == JUTE_CREATE2;

    return create && (request->flags == 1 || request->flags == 3);
}

/* A call may make ephemerals, and waits for as long as its session lives. */
static bool needs_global(const struct jute_request *request)
{
    struct jute_request operation;

    if (request->op != JUTE_MULTI) {
        return makes_ephemeral(request) || (request->op == JUTE_CALL && !request->dry_run);
    }
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    while (jute_multi_next(&cursor, &operation)) {
        if (makes_ephemeral(&operation)) {
            return true;
        }
    }
    return false;
}

bool server_local_upgrades(const struct server *server, const struct session *session,
                           const struct jute_request *request)
{
    return session->local && !session->upgrading && server->options.local_sessions_upgrade &&
           !request->malformed && needs_global(request);
}

void server_local_upgraded(struct server *server, struct session *global)
{
    struct session *local = session_find(server->locals, global->id);

    if (local == NULL) {
        return;
    }
    struct server_conn *conn = local->owner;
    if (conn != NULL) {
        MK_ASSERT(global->owner == NULL);
        server_conn_detach(conn);
        global->owner = conn;
        conn->session = global;
        conn->heard = true;
    }
    global->timeout_ms = local->timeout_ms;
    session_remove(server->locals, local);
}

/* ---- Ended ---- */

void server_local_remove(struct server *server, struct session *session)
{
    MK_ASSERT(session->local && session->owner == NULL);
    session_remove(server->locals, session);
}

void server_locals_expire(struct server *server)
{
    struct session *session;

    while ((session = session_expired_next(server->locals, server->now.monotonic_ms)) != NULL) {
        mk_log(server->log, MK_LOG_INFO, "session expired  session=0x%llx timeout_ms=%d local=true",
               (unsigned long long)session->id, (int)session->timeout_ms);
        server->stats.sessions_expired++;
        if (session->owner != NULL) {
            server_conn_end(server, session->owner);
        }
        server_local_remove(server, session);
    }
}

/* ---- This server begins to take clients again ---- */

void server_locals_begin(struct server *server)
{
    struct session *session;
    size_t cursor = 0;
    struct mk_buf global = {0}; /* ids: a table is not to be changed while it is walked */

    while (session_next(server->locals, &cursor, &session)) {
        MK_ASSERT(session->owner == NULL);
        session->upgrading = false; /* it is global by now, or its createSession is lost */
        if (session_find(server->sessions, session->id) != NULL) {
            mk_buf_put_i64(&global, session->id);
        } else {
            server_session_touch(server, session); /* nobody could reach this server */
        }
    }
    for (size_t at = 0; at < global.len; at += sizeof(mk_session)) {
        mk_session id = (mk_session)mk_load_u64(global.data + at);
        session_remove(server->locals, session_find(server->locals, id));
    }
    mk_buf_free(&global);
}
