/* A learner's clients: what they write goes to the leader, and comes back as a transaction.
 *
 *   queued -- REQUEST to the leader --> forwarded -- its transaction is applied --> answered
 *
 * A transaction answers the oldest forwarded request of its session's connection, if the cxid says so: all
 * that a session forwards through one server comes back in order. What was proposed before a request was
 * forwarded cannot be its answer; it may be that of an earlier connection's, elsewhere, with the same cxid.
 *
 * A call's transaction does not say what was answered: that comes ahead of it, as a RESULT. Or that it
 * waits: then the reply is held, and written when a transaction ends the call, whoever leads by then;
 * what it answers is in the session's record of results, where a retry finds it, too. While the leader
 * runs no recipes, no call is sent to it: a ZooKeeper would never answer.
 *
 * A local session whose request needs a global one is made that first: REQUEST(createSession) goes before.
 * New sessions: this server chooses the id, and the client is answered when createSession is applied.
 * Old ones: the password is checked here, and the leader is asked whether the session is alive.
 * Syncs: the n-th SYNC from the leader answers the n-th sync that was sent to it.
 * Whatever is not answered when the role ends has an unknown outcome: the connection is closed. */
#include <string.h>

#include "server/ensemble.h"

/* ---- Requests ---- */

static void send_request(struct server *server, mk_session session, struct mk_bytes payload,
                         struct mk_bytes identities)
{
    struct mk_buf *wire = &server->ensemble->wire;
    struct jute_forwarded forwarded = {.session = session, .payload = payload};
    bool global = session_find(server->sessions, session) != NULL;
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_REQUEST, global ? REQUEST_ZXID_GLOBAL : -1);
    struct mk_reader reader = mk_reader_of(identities);

    MK_ASSERT(server->ensemble->leader != NULL);
    wire->len = 0;
    jute_put_forwarded(wire, &forwarded);
    packet.data = mk_buf_view(wire);
    packet.authinfo_count = mk_read_i32(&reader);
    packet.authinfo = mk_read_bytes(&reader, mk_reader_left(&reader));
    server_peer_send(server, server->ensemble->leader, &packet);
}

/* The leader runs no recipes, or this server: then no answer of a call's could come back. What the call was
 * answered under an earlier leader, or that it waits, is in what has been applied: this server did not serve
 * before that had all of the earlier epochs. */
static void refuse_call(struct server *server, struct server_conn *conn,
                        const struct jute_request *decoded, struct request *request)
{
    struct prepare_who who = {.session = conn->session_id,
                              .cxid = decoded->xid,
                              .identities = mk_buf_view(&request->identities->set.bytes)};
    struct prepare_at at = {store_view_zxid(store_speculative(server->store)) + 1,
                            server->log_time_ms};
    size_t before = server->batch.bytes.len;

    prepare_result_reset(&server->prepared);
    store_view_blocking(store_speculative(server->store), true);
    enum mk_status status = prepare_request(server->prepare, &at, &who, decoded,
                                            &server->batch.bytes, &server->prepared);
    if (status != MK_OK) {
        server_fail(server, status, "looking for a call");
        return;
    }
    MK_ASSERT(!server->prepared.transaction); /* it is paused */
    MK_ASSERT(server->batch.bytes.len == before);
    request->bytes.len = 0;
    mk_buf_append_bytes(&request->bytes, mk_buf_view(&server->prepared.body));
    request->own_body = true;
    request->parked = server->prepared.parked;
    server->parking += request->parked != 0;
    request->state = REQUEST_PROPOSED;
    server_request_complete(server, request, store_applied(server->store), 0, MK_BYTES_NULL);
}

static void send_create_session(struct server *server, const struct server_conn *conn,
                                mk_session id, int32_t timeout_ms)
{
    struct mk_buf payload = {0};

    mk_buf_put_i32(&payload, 0); /* cxid */
    mk_buf_put_i32(&payload, JUTE_CREATE_SESSION);
    mk_buf_put_i32(&payload, timeout_ms);
    send_request(server, id, mk_buf_view(&payload), mk_buf_view(&conn->identities->set.bytes));
    mk_buf_free(&payload);
}

/* Whether it makes a call, or ends one, in a way that the leader would take for something else. */
static bool is_about_calls(struct server *server, const struct jute_request *decoded)
{
    bool below = false;

    switch (decoded->op) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL:
    case JUTE_DELETE: break;
    default: return false;
    }
    if (decoded->malformed || decoded->path.data == NULL) {
        return false;
    }
    store_view_blocking(store_committed(server->store), true);
    return server_below_calls(server, decoded->path, &below) == MK_OK && below;
}

static bool refuse(struct server *server, struct server_conn *conn,
                   const struct jute_request *decoded, struct request *request)
{
    if (decoded->op == JUTE_CALL) {
        refuse_call(server, conn, decoded, request);
        return true;
    }
    if (!is_about_calls(server, decoded)) {
        return false;
    }
    request->state = REQUEST_PROPOSED;
    server_request_complete(server, request, store_applied(server->store),
                            jute_error_code(MK_UNIMPLEMENTED), MK_BYTES_NULL);
    return true;
}

void server_forward(struct server *server, struct server_conn *conn,
                    const struct jute_request *decoded, struct request *request)
{
    MK_ASSERT(request->state == REQUEST_QUEUED && conn->unprepared > 0);

    conn->unprepared--;
    conn->wait.in_vain = 0;
    bool calls = zab_leader_announces(server->zab) && server->options.recipes;
    if (!calls && refuse(server, conn, decoded, request)) {
        return;
    }
    if (server_local_upgrades(server, conn->session, decoded)) {
        send_create_session(server, conn, conn->session_id, conn->session->timeout_ms);
        conn->session->upgrading = true;
    }
    send_request(server, conn->session_id, mk_buf_view(&request->bytes),
                 mk_buf_view(&request->identities->set.bytes));
    request->state = REQUEST_FORWARDED;
    request->after = server->ensemble->appended;
    request->close_after = decoded->op == JUTE_CLOSE_SESSION;
    struct mk_buf body = {0};
    if (decoded->op == JUTE_SYNC) {
        mk_buf_put_field(&body, decoded->path); /* which lies in the request's own bytes */
        request->own_body = true;
        mk_list_append(&server->ensemble->syncs, &request->in_syncs);
    }
    mk_buf_free(&request->bytes);
    request->bytes = body;
}

void server_forward_complete(struct server *server, struct request *request,
                             const struct jute_result *result, mk_zxid zxid, int32_t error,
                             struct mk_bytes body)
{
    bool moved = error == jute_error_code(MK_SESSION_MOVED);

    if (result != NULL) {
        request->parked = result->parked;
        server->parking += request->parked != 0;
        server_request_complete(server, request, zxid, 0, result->body);
        return;
    }
    /* A leader that made a call has said what came of it; if not, nobody knows. */
    if (request->conn != NULL && (moved || (request->op == JUTE_CALL && error == 0))) {
        server_conn_end(server, request->conn); /* moved: as ZooKeeper does, it has another one */
    }
    server_request_complete(server, request, zxid, error, body);
}

/* Steps of its calls that wait have the session's id, too, and cxid 0, which a client may choose. */
static bool is_answer(const struct request *request, const struct jute_txn *txn, bool told)
{
    bool step = txn->cxid == 0 && txn->type == JUTE_MULTI && request->op != JUTE_MULTI && !told;

    return request->xid == txn->cxid && txn->zxid > request->after && !step;
}

struct request *server_forward_match(struct server *server, const struct jute_txn *txn, bool told)
{
    struct server_conn *conn = server_session_conn(server, txn->client_id);

    if (conn == NULL || txn->type == JUTE_CREATE_SESSION) {
        return NULL;
    }
    for (struct mk_link *link = conn->queue.next; link != &conn->queue; link = link->next) {
        struct request *request = MK_CONTAINER(link, struct request, in_conn);
        if (request->state == REQUEST_FORWARDED && request->op != JUTE_SYNC) {
            return is_answer(request, txn, told) ? request : NULL;
        }
    }
    return NULL;
}

/* ---- Calls ---- */

static void result_came(struct server *server, const struct jute_packet *packet)
{
    struct ensemble *ensemble = server->ensemble;
    struct jute_result result;

    if (!zab_leader_announces(server->zab) || jute_result_read(packet->data, &result) != MK_OK ||
        packet->zxid <= ensemble->results_last ||
        ensemble->results.len + packet->data.len > RESULTS_BYTES_MAX) {
        server_peer_refuse(server, ensemble->leader, "its answer to a call is none");
        return;
    }
    ensemble->results_last = packet->zxid;
    mk_buf_put_i64(&ensemble->results, packet->zxid);
    mk_buf_put_field(&ensemble->results, packet->data);
}

/* Those that are done with make room before it becomes much. */
static void results_trim(struct ensemble *ensemble)
{
    struct mk_buf *results = &ensemble->results;

    if (results->len == 0 || ensemble->results_done < results->len - ensemble->results_done) {
        return;
    }
    if (ensemble->results_done == results->len && results->cap > RESULTS_BYTES_KEPT) {
        mk_buf_free(results);
        ensemble->results_done = 0;
        return;
    }
    memmove(results->data, results->data + ensemble->results_done,
            results->len - ensemble->results_done);
    results->len -= ensemble->results_done;
    ensemble->results_done = 0;
}

bool server_forward_result(struct server *server, const struct jute_txn *txn,
                           struct jute_result *result)
{
    struct ensemble *ensemble = server->ensemble;
    bool found = false;

    while (!found && ensemble->results_done < ensemble->results.len) {
        struct mk_bytes left = mk_bytes_of(ensemble->results.data + ensemble->results_done,
                                           ensemble->results.len - ensemble->results_done);
        struct mk_reader reader = mk_reader_of(left);
        mk_zxid zxid = mk_read_i64(&reader);
        if (zxid > txn->zxid) {
            return false;
        }
        enum mk_status status = jute_result_read(mk_read_field(&reader), result);
        MK_ASSERT(status == MK_OK && !reader.failed); /* it could be read when it came */
        ensemble->results_done += left.len - mk_reader_left(&reader);
        found = zxid == txn->zxid && result->session == txn->client_id && result->cxid == txn->cxid;
    }
    return found;
}

/* The call has ended: what it answered is the newest of the session's results. */
static void call_ended(struct server *server, mk_zxid call, mk_zxid zxid)
{
    struct held *held = mk_map_u64_get(&server->held, (uint64_t)call);
    struct mk_bytes body;

    if (held == NULL) {
        return;
    }
    store_view_blocking(store_committed(server->store), true);
    enum mk_status status = prepare_call_answered(server->prepare, store_committed(server->store),
                                                  held->conn->session_id, held->call_id, &body);
    if (status == MK_OK) {
        server_call_answer(server, call, zxid, body);
    } else {
        server_conn_end(server, held->conn); /* the client asks again, and whoever leads knows */
    }
}

void server_forward_calls_ended(struct server *server, const struct jute_txn *txn)
{
    struct jute_txn part;

    if (server->held.count == 0 || txn->type != JUTE_MULTI || txn->failed) {
        return;
    }
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    while (jute_txn_next(&cursor, &part)) {
        mk_zxid call = part.type == JUTE_DELETE ? tree_call_of_path(part.path) : 0;
        if (call != 0) {
            call_ended(server, call, txn->zxid);
        }
    }
}

/* ---- Sessions ---- */

static void await(struct server *server, struct server_conn *conn, mk_session id,
                  int32_t timeout_ms)
{
    conn->state = CONN_CONNECTING;
    conn->awaits = id;
    conn->awaits_timeout_ms = timeout_ms;
    struct server_conn *before = mk_map_u64_put(&server->ensemble->connecting, (uint64_t)id, conn);
    if (before != NULL) { /* the client has given up on that one, and comes again */
        before->awaits = 0;
        server_conn_end(server, before);
    }
}

void server_forward_session(struct server *server, struct server_conn *conn, mk_session id,
                            int32_t timeout_ms)
{
    send_create_session(server, conn, id, timeout_ms);
    await(server, conn, id, timeout_ms);
    conn->awaits_new = true;
}

void server_forward_revalidate(struct server *server, struct server_conn *conn, mk_session id,
                               int32_t timeout_ms)
{
    struct mk_buf *wire = &server->ensemble->wire;
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_REVALIDATE, -1);

    wire->len = 0;
    jute_put_touch(wire, (struct jute_touch){id, timeout_ms});
    packet.data = mk_buf_view(wire);
    server_peer_send(server, server->ensemble->leader, &packet);
    await(server, conn, id, timeout_ms);
}

void server_forward_conn_closed(struct server *server, struct server_conn *conn)
{
    if (conn->awaits != 0) {
        (void)mk_map_u64_remove(&server->ensemble->connecting, (uint64_t)conn->awaits);
        conn->awaits = 0;
    }
}

static void establish(struct server *server, struct server_conn *conn, struct session *session)
{
    server_forward_conn_closed(server, conn);
    if (session->owner != NULL) {
        server_conn_end(server, session->owner); /* the session has moved, from here to here */
    }
    session->timeout_ms = conn->awaits_timeout_ms;
    conn->heard = true;
    server_conn_attach(server, conn, session, conn->awaits_timeout_ms);
}

void server_forward_applied(struct server *server, const struct jute_txn *txn)
{
    if (server->ensemble->connecting.count == 0) {
        return;
    }
    struct server_conn *conn =
        mk_map_u64_get(&server->ensemble->connecting, (uint64_t)txn->client_id);
    if (conn == NULL || txn->client_id == 0) {
        return;
    }
    if (txn->type == JUTE_CREATE_SESSION) {
        establish(server, conn, session_find(server->sessions, txn->client_id));
    } else if (txn->type == JUTE_ERROR && conn->awaits_new) {
        server_forward_conn_closed(server, conn);
        server_conn_refuse(server, conn);
    }
}

static void revalidated(struct server *server, const struct jute_packet *packet)
{
    struct jute_validity validity;

    if (jute_validity_read(packet->data, &validity) != MK_OK) {
        server_peer_refuse(server, server->ensemble->leader, "its answer about a session is none");
        return;
    }
    struct server_conn *conn =
        mk_map_u64_get(&server->ensemble->connecting, (uint64_t)validity.session);
    struct session *session = session_find(server->sessions, validity.session);
    if (conn == NULL || validity.session == 0) {
        return; /* it has gone meanwhile */
    }
    if (!validity.valid) {
        server_forward_conn_closed(server, conn);
        server_conn_refuse(server, conn);
    } else if (session != NULL) {
        server->stats.revalidated++;
        establish(server, conn, session);
    } /* else: this server is behind; the client is answered when createSession is applied */
}

/* ---- Answers of the leader's that are no transactions ---- */

/* What was committed when the leader answered may not be applied here yet: it may not be durable. */
static void synced(struct server *server)
{
    struct mk_link *syncs = &server->ensemble->syncs;

    if (mk_list_empty(syncs)) {
        server_peer_refuse(server, server->ensemble->leader, "it answers a sync that nobody sent");
        return;
    }
    struct request *request = MK_CONTAINER(syncs->next, struct request, in_syncs);
    mk_list_remove(&request->in_syncs);
    request->state = REQUEST_PROPOSED;
    if (server->committed > store_applied(server->store)) {
        server_commit_push(server, COMMIT_REQUEST, server->committed)->request = request;
    } else {
        server_request_complete(server, request, store_applied(server->store), 0, MK_BYTES_NULL);
    }
}

void server_forward_reply(struct server *server, const struct jute_packet *packet)
{
    if (!server_learns(server) || server->ensemble->leader == NULL) {
        return;
    }
    if (packet->type == JUTE_PACKET_SYNC) {
        synced(server);
    } else if (packet->type == JUTE_PACKET_RESULT) {
        results_trim(server->ensemble);
        result_came(server, packet);
    } else {
        revalidated(server, packet);
    }
}

/* As many as a packet may hold; who is left out comes with the next. */
#define TOUCHES_MAX (65536 / JUTE_TOUCH_BYTES * 8)

static bool is_to_be_told(const struct server_conn *conn)
{
    return conn->heard && conn->session != NULL && !conn->session->local;
}

/* What it said last counts, though it is not there any more when the leader is told. */
void server_forward_heard_last(struct server *server, struct server_conn *conn)
{
    struct mk_buf *touches = &server->ensemble->touches;

    if (server_learns(server) && is_to_be_told(conn) &&
        touches->len < TOUCHES_MAX * JUTE_TOUCH_BYTES) {
        conn->heard = false;
        jute_put_touch(touches, (struct jute_touch){conn->session_id, conn->session->timeout_ms});
    }
}

void server_forward_touches(struct server *server, struct mk_buf *out)
{
    struct mk_buf *touches = &server->ensemble->touches;
    struct server_conn *conn = NULL;
    size_t count = touches->len / JUTE_TOUCH_BYTES;

    mk_buf_append_bytes(out, mk_buf_view(touches));
    touches->len = 0;

    while ((conn = server_conn_next(server, conn)) != NULL && count < TOUCHES_MAX) {
        if (is_to_be_told(conn)) {
            conn->heard = false;
            jute_put_touch(out, (struct jute_touch){conn->session_id, conn->session->timeout_ms});
            count++;
        }
    }
}

/* The connections are closed: what has been forwarded may or may not happen. */
void server_forward_reset(struct server *server)
{
    struct mk_link *syncs = &server->ensemble->syncs;

    while (!mk_list_empty(syncs)) {
        struct request *request = MK_CONTAINER(syncs->next, struct request, in_syncs);
        mk_list_remove(&request->in_syncs);
        request->state = REQUEST_PROPOSED;
        server_request_forsake(server, request);
    }
    mk_buf_free(&server->ensemble->touches);
    mk_buf_free(&server->ensemble->results);
    server->ensemble->results_done = 0;
    server->ensemble->results_last = 0;
}
