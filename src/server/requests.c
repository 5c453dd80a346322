/* Requests of one connection: executed in the order received, answered in that order.
 *
 * A write is prepared as soon as it arrives, also behind requests that still wait, so that its place in
 * the one order of transactions is early; its reply waits for its turn. A read behind a write waits until
 * the write has been applied. What needs the disk blocks its connection's queue, nobody else's.
 *
 *   queued -- its turn, read --> answered          proposed -- applied, its turn --> answered
 *   queued -- prepared -------> proposed           proposed -- applied, too early -> done --> answered
 *
 * May overtake: pings, and replies to calls that have been parked (standard clients never make those
 * directly). */
#include <string.h>

#include "server/ensemble.h"

/* ---- Replies ---- */

size_t server_reply_begin(struct server *server, struct server_conn *conn, int32_t xid,
                          mk_zxid zxid, int32_t error)
{
    /* A write behind a read that saw more answers with what the client has seen already. */
    if (zxid > conn->zxid_told) {
        conn->zxid_told = zxid;
    } else {
        zxid = conn->zxid_told;
    }
    (void)server;
    return jute_reply_begin(&conn->out, xid, zxid, error);
}

static void count_reply(struct server *server, struct server_conn *conn, uint64_t bytes)
{
    struct server_stats *stats = &server->stats;

    stats->packets_sent++;
    conn->sent++;
    stats->response_bytes += bytes;
    stats->response_bytes_last = bytes;
    if (bytes < stats->response_bytes_min || stats->response_bytes_max == 0) {
        stats->response_bytes_min = bytes;
    }
    if (bytes > stats->response_bytes_max) {
        stats->response_bytes_max = bytes;
    }
}

void server_reply_end(struct server *server, struct server_conn *conn, size_t frame)
{
    jute_reply_end(&conn->out, frame);
    count_reply(server, conn, conn->out.len - frame);
    if (conn->out.len >= OUTPUT_STALL_BYTES) {
        conn->stalled = true;
    }
    server_conn_mark_dirty(server, conn);
}

void server_reply_error(struct server *server, struct server_conn *conn, int32_t xid,
                        enum mk_status status)
{
    size_t frame = server_reply_begin(server, conn, xid, store_applied(server->store),
                                      jute_error_code(status));
    server_reply_end(server, conn, frame);
}

/* ---- The queue ---- */

static bool is_write(int32_t op)
{
    switch (op) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL:
    case JUTE_DELETE:
    case JUTE_SET_DATA:
    case JUTE_SET_ACL:
    case JUTE_RECONFIG:
    case JUTE_MULTI:
    case JUTE_CALL:
    case JUTE_CLOSE_SESSION:
    case JUTE_SYNC: return true; /* writes nothing, but has its place among the writes */
    default: return false;
    }
}

/* A call of an operation that declares reads_only is a read, unless it asks to go through the leader.
 * Which operations do is a matter of what is deployed: a call that is taken for a write becomes a
 * transaction, which does no harm, and one that turns out to be none of them, when its turn comes,
 * becomes one then. What is not in memory a learner looks up, or all of its calls would be the leader's. */
static bool is_reading_call(struct server *server, const struct jute_request *decoded)
{
    if (decoded->op != JUTE_CALL || decoded->dry_run || decoded->linearizable) {
        return false;
    }
    enum mk_status status = prepare_call_reads(server->prepare, decoded->operation);
    return status == MK_OK || (status == MK_WOULD_BLOCK && server_learns(server));
}

static bool request_writes(const struct request *request)
{
    return is_write(request->op) && !request->reads;
}

/* One that cannot be read has its place among the writes like one that fails: it uses up a zxid. */
static bool is_malformed_write(const struct jute_request *decoded)
{
    return decoded->malformed && is_write(decoded->op) && decoded->op != JUTE_SYNC &&
           decoded->op != JUTE_CALL;
}

/* A request has been answered. */
static void count_latency(struct server *server, struct server_conn *conn, int32_t op, int32_t xid,
                          mk_ms received_ms)
{
    uint64_t latency_ms = (uint64_t)(server->now.monotonic_ms - received_ms);
    struct conn_history *history = &conn->history;

    mk_spread_add(is_write(op) ? &server->stats.update_latency : &server->stats.read_latency,
                  latency_ms);
    history->answered_ms = server->now.monotonic_ms;
    history->op = op;
    history->cxid = xid;
    history->latency_ms = latency_ms;
    mk_summary_add(&history->latencies, latency_ms);
}

/* Of all clients: the smaller of the two limits that there are for it. */
static uint64_t outstanding_max(const struct server *server)
{
    uint32_t all = server->options.outstanding_max;
    uint32_t throttle = server->options.throttle_outstanding_max;

    return throttle > 0 && throttle < all ? throttle : all;
}

static void update_pause(struct server *server, struct server_conn *conn)
{
    bool pause = conn->queued >= server->options.conn_outstanding_max ||
                 (conn->queued > 0 && server->outstanding >= outstanding_max(server)) ||
                 conn->stalled;
    bool resume = conn->queued <= server->options.conn_outstanding_max / 2 && !conn->stalled;

    if (pause && !conn->paused) {
        conn->paused = true;
        server->stats.throttle_waits++;
        server_conn_mark_dirty(server, conn);
    } else if (conn->paused && resume && !pause) {
        conn->paused = false;
        server_conn_mark_dirty(server, conn);
    }
}

/* Requests are made and freed a batch at a time, which the heap is slow at. */
static struct request *request_alloc(struct server *server)
{
    if (mk_list_empty(&server->requests_spare)) {
        return mk_alloc_zero(1, sizeof(struct request));
    }
    struct request *request = MK_CONTAINER(server->requests_spare.next, struct request, in_conn);
    mk_list_remove(&request->in_conn);
    server->requests_spare_count--;
    *request = (struct request){0};
    return request;
}

static struct request *request_new(struct server *server, struct server_conn *conn,
                                   const struct jute_request *decoded)
{
    struct request *request = request_alloc(server);

    request->conn = conn;
    request->xid = decoded->xid;
    request->op = decoded->op;
    request->call_id = decoded->op == JUTE_CALL ? decoded->call_id : 0;
    request->received_ms = server->now.monotonic_ms;
    request->large_bytes = server->frame_large_bytes;
    server->large_bytes += request->large_bytes;
    server->frame_large_bytes = 0;
    request->identities = server_identities_ref(conn->identities);
    mk_list_append(&conn->queue, &request->in_conn);
    conn->queued++;
    server->outstanding++;
    return request;
}

void server_request_free(struct server *server, struct request *request)
{
    MK_ASSERT(request->conn == NULL);
    MK_ASSERT(server->outstanding > 0);

    server->outstanding--;
    server->parking -= request->parked != 0;
    MK_ASSERT(server->large_bytes >= request->large_bytes);
    server->large_bytes -= request->large_bytes;
    server_identities_unref(request->identities);
    mk_buf_free(&request->bytes);
    if (server->requests_spare_count == REQUESTS_SPARE_MAX) {
        mk_free(request);
        return;
    }
    mk_list_append(&server->requests_spare, &request->in_conn);
    server->requests_spare_count++;
}

void server_requests_spare_free(struct server *server)
{
    while (!mk_list_empty(&server->requests_spare)) {
        struct mk_link *link = server->requests_spare.next;
        mk_list_remove(link);
        mk_free(MK_CONTAINER(link, struct request, in_conn));
    }
    server->requests_spare_count = 0;
}

static void request_pop(struct server *server, struct request *request)
{
    struct server_conn *conn = request->conn;

    mk_list_remove(&request->in_conn);
    conn->queued--;
    conn->wait.in_vain = 0;
    if (request->state == REQUEST_QUEUED && request_writes(request)) {
        conn->unprepared--;
    }
    request->conn = NULL;
    count_latency(server, conn, request->op, request->xid, request->received_ms);
    server_request_free(server, request);
}

static void hold_reply(struct server *server, struct server_conn *conn, mk_zxid call,
                       int64_t call_id, int32_t xid)
{
    struct held *held = mk_alloc_zero(1, sizeof(*held));

    held->call = call;
    held->call_id = call_id;
    held->conn = conn;
    held->xid = xid;
    mk_list_append(&conn->held, &held->in_conn);
    /* The map knows the first of those that ask for the same call, which is of this connection too: a
     * session has only one. */
    if (mk_map_u64_get(&server->held, (uint64_t)call) == NULL) {
        (void)mk_map_u64_put(&server->held, (uint64_t)call, held);
    }
}

bool server_request_is_write(int32_t op)
{
    return is_write(op);
}

void server_request_forsake(struct server *server, struct request *request)
{
    if (request->conn == NULL) {
        server_request_free(server, request);
        return;
    }
    MK_ASSERT(request->conn->state == CONN_CLOSING);
    request->bytes.len = 0;
    request->state = REQUEST_DONE; /* it goes with its connection */
}

/* ---- Executing ---- */

static void answer_at_once(struct server *server, struct server_conn *conn,
                           const struct jute_request *decoded)
{
    struct prepared *prepared = &server->prepared;

    if (prepared->parked != 0) {
        hold_reply(server, conn, prepared->parked, decoded->call_id, decoded->xid);
        return;
    }
    size_t frame = server_reply_begin(server, conn, decoded->xid, store_applied(server->store), 0);
    mk_buf_append_bytes(&conn->out, mk_buf_view(&prepared->body));
    server_reply_end(server, conn, frame);
}

/* Waits for what is proposed by now, and not for the session's own writes behind it: a read between
 * the two must not see those. */
static void sync_execute(struct server *server, struct server_conn *conn,
                         const struct jute_request *decoded, struct request *queued)
{
    struct request *request = queued != NULL ? queued : request_new(server, conn, decoded);
    struct mk_buf body = {0};

    mk_buf_put_field(&body, decoded->path); /* which may lie in the request's own bytes */
    mk_buf_free(&request->bytes);
    request->bytes = body;
    if (queued != NULL) {
        conn->unprepared--;
    }
    server_pipeline_sync(server, request);
}

/* The end of a session that only this server knows, as far as its answer: see end_of_local(). It cannot be
 * ordered by a transaction, so it waits for its turn, and what is behind it waits for it. */
static enum mk_status close_local(struct server *server, struct server_conn *conn,
                                  const struct jute_request *decoded, const struct request *queued)
{
    if (queued != NULL ? conn->queue.next != &queued->in_conn : !mk_list_empty(&conn->queue)) {
        server->load_wanted = NULL;
        return MK_WOULD_BLOCK;
    }
    size_t frame = server_reply_begin(server, conn, decoded->xid, store_applied(server->store), 0);
    server_reply_end(server, conn, frame);
    conn->session->closing = true;
    return MK_OK;
}

static enum mk_status propose_write(struct server *server, struct server_conn *conn,
                                    const struct jute_request *decoded,
                                    const struct identities *who, mk_zxid *zxid)
{
    struct session *session = conn->session;

    if (server_local_upgrades(server, session, decoded)) {
        enum mk_status status =
            server_propose_session(server, session->id, session->timeout_ms, zxid);
        if (status != MK_OK) {
            return status;
        }
        session->upgrading = true;
    }
    store_view_blocking(store_speculative(server->store), server_load_insists(&conn->wait));
    if (decoded->op == JUTE_CLOSE_SESSION) {
        prepare_result_reset(&server->prepared);
        server->prepared.transaction = true;
        return server_propose_close(server, session->id, decoded->xid, zxid);
    }
    struct prepare_who asking = {
        .session = session->id,
        .cxid = decoded->xid,
        .identities = mk_buf_view(&who->set.bytes),
        .local = session->local && !session->upgrading,
    };
    return server_propose_request(server, &asking, decoded, zxid);
}

/* Others may have elected another leader: that this one still leads a quorum has to say, to something. */
static enum mk_status propose_nothing(struct server *server, const struct server_conn *conn,
                                      const struct jute_request *decoded, mk_zxid *zxid)
{
    enum mk_status status =
        server_propose_error(server, conn->session_id, decoded->xid, MK_UNIMPLEMENTED);

    *zxid = server_proposed_last(server);
    return status;
}

/* Prepare a write. `queued` NULL: it has just been received. */
static enum mk_status write_execute(struct server *server, struct server_conn *conn,
                                    const struct jute_request *decoded, struct request *queued)
{
    struct identities *who = queued != NULL ? queued->identities : conn->identities;
    mk_zxid zxid = 0;
    enum mk_status status;

    if (conn->session == NULL || conn->session->closing) {
        return MK_SESSION_EXPIRED;
    }
    if (decoded->op == JUTE_CLOSE_SESSION && conn->session->local) {
        return close_local(server, conn, decoded, queued);
    }
    if (server->reads_only) {
        return MK_NOT_READ_ONLY;
    }
    if (server_learns(server)) {
        server_forward(server, conn, decoded, queued);
        return MK_OK;
    }
    if (decoded->op == JUTE_SYNC) {
        sync_execute(server, conn, decoded, queued);
        return MK_OK;
    }
    if (store_full(server->store)) {
        server->load_wanted = NULL;
        return MK_WOULD_BLOCK; /* until a checkpoint has been written */
    }
    status = propose_write(server, conn, decoded, who, &zxid);
    if (status != MK_OK) {
        return status;
    }
    struct prepared *prepared = &server->prepared;
    if (decoded->linearizable && !prepared->transaction && !server_alone(server)) {
        status = propose_nothing(server, conn, decoded, &zxid);
        if (status != MK_OK) {
            return status;
        }
    }
    /* An answer may rest on what is proposed and can still be lost; then it waits for that. */
    bool settled = prepared->parked != 0 || zxid <= store_applied(server->store);
    if (!prepared->transaction && settled && queued == NULL && mk_list_empty(&conn->queue)) {
        answer_at_once(server, conn, decoded);
        return MK_OK;
    }
    struct request *request = queued != NULL ? queued : request_new(server, conn, decoded);
    if (queued != NULL) {
        conn->unprepared--;
        conn->wait.in_vain = 0;
        request->bytes.len = 0;
    }
    request->state = REQUEST_PROPOSED;
    request->own_body = prepared->own_body;
    request->parked = prepared->parked;
    server->parking += prepared->parked != 0;
    request->close_after = decoded->op == JUTE_CLOSE_SESSION;
    mk_buf_append_bytes(&request->bytes, mk_buf_view(&prepared->body));
    /* Without a transaction: answered in its turn, once what is proposed by now has been applied. */
    if (zxid > store_applied(server->store)) {
        server_commit_push(server, COMMIT_REQUEST, zxid)->request = request;
    } else {
        server_request_complete(server, request, store_applied(server->store), 0, MK_BYTES_NULL);
    }
    return MK_OK;
}

/* A read, or whatever else changes nothing that is replicated. */
static enum mk_status other_execute(struct server *server, struct server_conn *conn,
                                    const struct jute_request *decoded, struct request *queued)
{
    struct identities *who = queued != NULL ? queued->identities : conn->identities;

    /* What is in the queue is before the closeSession, which may have been prepared already. */
    if (conn->session == NULL || (conn->session->closing && queued == NULL)) {
        return MK_SESSION_EXPIRED;
    }
    enum mk_status status =
        server_read_execute(server, conn, decoded, mk_buf_view(&who->set.bytes));
    if (status == MK_WOULD_BLOCK) {
        server_load_push(server);
    }
    return status;
}

/* Execute the request that is next: the one just received, or the queue's head. MK_OK: it has been
 * answered (then `queued` is still to be popped) or proposed. MK_WOULD_BLOCK: it must wait. */
static enum mk_status execute(struct server *server, struct server_conn *conn,
                              const struct jute_request *decoded, struct request *queued,
                              bool reading_call)
{
    enum mk_status status = MK_END;

    if (reading_call || !is_write(decoded->op)) {
        status = other_execute(server, conn, decoded, queued);
    }
    if (status == MK_END) {
        if (queued != NULL && reading_call) {
            queued->reads = false;
            conn->unprepared++;
        }
        status = write_execute(server, conn, decoded, queued);
    }
    if (status == MK_OK || status == MK_WOULD_BLOCK) {
        return status;
    }
    if (status >= MK_IO) {
        server_fail(server, status, "executing a request");
        return MK_WOULD_BLOCK;
    }
    server_reply_error(server, conn, decoded->xid, status);
    return MK_OK;
}

/* ---- In turn ---- */

/* For its turn, by throttled_op_wait_time. The end of a session is never refused. */
static bool waited_too_long(const struct server *server, const struct request *request)
{
    mk_ms max_ms = server->options.throttled_wait_ms;

    return max_ms > 0 && request->op != JUTE_CLOSE_SESSION &&
           server->now.monotonic_ms - request->received_ms > max_ms;
}

static bool drain_queued(struct server *server, struct server_conn *conn, struct request *request)
{
    struct jute_request decoded;
    enum mk_status status = jute_request_decode(mk_buf_view(&request->bytes), &decoded);

    MK_ASSERT(status == MK_OK ||
              is_malformed_write(&decoded)); /* it is queued for no other reason */
    if (waited_too_long(server, request)) {
        server->stats.throttled++;
        server_reply_error(server, conn, decoded.xid, MK_OVERLOADED);
        request_pop(server, request);
        return true;
    }
    status = execute(server, conn, &decoded, request, request->reads);
    if (status == MK_WOULD_BLOCK) {
        server_load_wait(server, &conn->wait);
        return false;
    }
    if (conn->queue.next != &request->in_conn) {
        return true; /* it had nothing to wait for: answered and gone */
    }
    if (request->state == REQUEST_QUEUED) {
        request_pop(server, request);
        return true;
    }
    return false; /* proposed */
}

#define REPLY_ZXID_AT 8 /* in a reply's frame: behind its length and xid */

static void put_done_reply(struct server *server, struct server_conn *conn, struct request *request)
{
    uint8_t *zxid_at = request->bytes.data + REPLY_ZXID_AT;
    size_t at = conn->out.len;

    MK_ASSERT(request->bytes.len >= REPLY_ZXID_AT + sizeof(mk_zxid));
    mk_zxid zxid = (mk_zxid)mk_load_u64(zxid_at);
    if (zxid > conn->zxid_told) {
        conn->zxid_told = zxid;
    } else if (zxid > 0) {
        mk_store_u64(zxid_at, (uint64_t)conn->zxid_told);
    } /* else auth, or an unknown operation: a fixed value */
    mk_buf_append_bytes(&conn->out, mk_buf_view(&request->bytes));
    count_reply(server, conn, conn->out.len - at);
    conn->stalled = conn->stalled || conn->out.len >= OUTPUT_STALL_BYTES;
    server_conn_mark_dirty(server, conn);
}

/* What was pipelined behind a closeSession is told that the session has expired; then the end. */
static void end_of_session(struct server *server, struct server_conn *conn)
{
    server_conn_detach(conn);
    while (!mk_list_empty(&conn->queue)) {
        struct request *request = MK_CONTAINER(conn->queue.next, struct request, in_conn);
        if (request->state == REQUEST_QUEUED) {
            server_reply_error(server, conn, request->xid, MK_SESSION_EXPIRED);
        } else if (request->state == REQUEST_DONE) {
            put_done_reply(server, conn, request);
        }
        if (request->state == REQUEST_PROPOSED || request->state == REQUEST_FORWARDED) {
            break;
        }
        request_pop(server, request);
    }
    server_conn_end(server, conn);
}

/* What is behind the end of a local session is told that it has expired, and it is forgotten. */
static void end_of_local(struct server *server, struct server_conn *conn)
{
    struct session *session = conn->session;

    if (session != NULL && session->local && session->closing) {
        end_of_session(server, conn);
        server_local_remove(server, session);
    }
}

static bool drain_one(struct server *server, struct server_conn *conn, struct request *request)
{
    if (request->state == REQUEST_QUEUED) {
        bool drained = drain_queued(server, conn, request);
        end_of_local(server, conn);
        return drained;
    }
    if (request->state != REQUEST_DONE) {
        return false;
    }
    bool close_after = request->close_after;
    int32_t op = request->op;
    put_done_reply(server, conn, request);
    request_pop(server, request);
    if (close_after && op == JUTE_CLOSE_SESSION) {
        end_of_session(server, conn);
    } else if (close_after) {
        server_conn_end(server, conn); /* the session lives on: what is behind goes unanswered */
    }
    return true;
}

/* What is before a write that is to be forwarded. Of a sync the leader says only that it is done, and by
 * then writes behind it may have been applied: a read between the two must not see those. And behind the
 * end of its session nothing happens. */
struct before {
    bool synced, read_behind, ended;
};

static void before_note_sent(struct before *before, int32_t op)
{
    before->ended = before->ended || op == JUTE_CLOSE_SESSION;
    before->synced = before->synced || op == JUTE_SYNC;
}

/* Whether the write `op` has to wait for what is before it. */
static bool before_holds(const struct before *before, int32_t op)
{
    return before->ended || (before->read_behind && op != JUTE_SYNC);
}

/* Writes behind a queue's head that waits may be prepared all the same, in their order, unless one
 * before them could not be. */
static void prepare_waiting_writes(struct server *server, struct server_conn *conn)
{
    struct mk_link *link = conn->queue.next;
    struct before before = {false, false, false};
    bool learns = server_learns(server);

    while (conn->unprepared > 0 && link != &conn->queue && !conn->wait.blocked) {
        struct request *request = MK_CONTAINER(link, struct request, in_conn);
        link = link->next;
        if (request->state != REQUEST_QUEUED) {
            before_note_sent(&before, request->op);
            continue;
        }
        if (!request_writes(request)) {
            before.read_behind = before.read_behind || before.synced;
            continue;
        }
        int32_t op = request->op;
        if (learns && before_holds(&before, op)) {
            return;
        }
        struct jute_request decoded;
        enum mk_status status = jute_request_decode(mk_buf_view(&request->bytes), &decoded);
        MK_ASSERT(status == MK_OK || is_malformed_write(&decoded));
        status = write_execute(server, conn, &decoded, request);
        if (status != MK_OK) {
            return; /* in its turn it will be tried, and answered, again */
        }
        before_note_sent(&before, op); /* the request itself may have gone */
    }
}

static bool drain_head(struct server *server, struct server_conn *conn)
{
    bool any = false;

    while (conn->state == CONN_ATTACHED && !conn->wait.blocked && !conn->stalled &&
           !mk_list_empty(&conn->queue)) {
        struct request *head = MK_CONTAINER(conn->queue.next, struct request, in_conn);
        if (!drain_one(server, conn, head)) {
            break;
        }
        any = true;
    }
    return any;
}

void server_requests_drain(struct server *server, struct server_conn *conn)
{
    /* What completes while the queue is walked comes here again; the walk goes on with what it left. */
    if (conn->draining) {
        return;
    }
    conn->draining = true;
    bool any;
    do {
        any = drain_head(server, conn);
        if (conn->state == CONN_ATTACHED && conn->unprepared > 0 && !conn->stalled) {
            uint32_t unprepared = conn->unprepared;
            prepare_waiting_writes(server, conn);
            any = any || conn->unprepared < unprepared;
        }
    } while (any);
    conn->draining = false;
    update_pause(server, conn);
}

void server_requests_before(struct server *server, const struct request *write)
{
    struct server_conn *conn = write->conn;

    while (conn != NULL && conn->state == CONN_ATTACHED && conn->queue.next != &write->in_conn) {
        struct request *head = MK_CONTAINER(conn->queue.next, struct request, in_conn);
        conn->wait.in_vain = LOADS_IN_VAIN_MAX; /* read from the disk here and now */
        if (!drain_one(server, conn, head)) {
            break;
        }
    }
}

/* Its transaction (or what it waited for) has been applied: answer it, now or in its turn. */
void server_request_complete(struct server *server, struct request *request, mk_zxid zxid,
                             int32_t error, struct mk_bytes body)
{
    struct server_conn *conn = request->conn;

    MK_ASSERT(request->state == REQUEST_PROPOSED || request->state == REQUEST_FORWARDED);
    if (conn == NULL) {
        server_request_free(server, request);
        return;
    }
    if (conn->state == CONN_CLOSING) {
        request_pop(server, request);
        return;
    }
    if (request->parked != 0) {
        hold_reply(server, conn, request->parked, request->call_id, request->xid);
        request_pop(server, request);
        server_requests_drain(server, conn);
        return;
    }
    if (request->own_body && error == 0) {
        body = mk_buf_view(&request->bytes);
    }
    if (conn->queue.next == &request->in_conn && !conn->stalled) {
        bool close_after = request->close_after;
        size_t frame = server_reply_begin(server, conn, request->xid, zxid, error);
        mk_buf_append_bytes(&conn->out, body);
        server_reply_end(server, conn, frame);
        request_pop(server, request);
        if (close_after) {
            end_of_session(server, conn);
        }
    } else {
        struct mk_buf reply = {0};
        size_t frame = jute_reply_begin(&reply, request->xid, zxid, error);
        mk_buf_append_bytes(&reply, body);
        jute_reply_end(&reply, frame);
        mk_buf_free(&request->bytes);
        request->bytes = reply;
        request->state = REQUEST_DONE;
    }
    server_requests_drain(server, conn);
}

/* ---- Received ---- */

static void enqueue(struct server *server, struct server_conn *conn,
                    const struct jute_request *decoded, bool reading_call, struct mk_bytes frame)
{
    struct request *request = request_new(server, conn, decoded);

    request->state = REQUEST_QUEUED;
    request->reads = reading_call;
    mk_buf_append_bytes(&request->bytes, frame);
    if (request_writes(request)) {
        conn->unprepared++;
    }
}

static void enqueue_reply(struct server *server, struct server_conn *conn,
                          const struct jute_request *decoded, struct mk_buf *reply,
                          bool close_after)
{
    struct request *request = request_new(server, conn, decoded);

    request->state = REQUEST_DONE;
    request->bytes = *reply;
    request->close_after = close_after;
    conn->refused = conn->refused || close_after;
    *reply = (struct mk_buf){0};
    server_requests_drain(server, conn);
}

/* Answered without a look at the tree, in order: auth, SASL, and what could not be decoded. */
static void receive_special(struct server *server, struct server_conn *conn,
                            const struct jute_request *decoded, enum mk_status status)
{
    struct mk_buf reply = {0};
    bool close_after = false;

    if (status == MK_OK) {
        close_after = decoded->op == JUTE_AUTH ? !server_conn_auth(server, conn, decoded, &reply)
                                               : !server_conn_sasl(server, conn, decoded, &reply);
    } else {
        /* An unknown operation has no place in the order of states: zxid -1, then the end. */
        bool unknown = status == MK_UNIMPLEMENTED;
        size_t frame =
            jute_reply_begin(&reply, decoded->xid, unknown ? -1 : store_applied(server->store),
                             jute_error_code(status));
        if (decoded->writes_only) {
            jute_put_multi_end(&reply); /* a multiRead of writes: a lone end header */
        }
        jute_reply_end(&reply, frame);
        close_after = unknown;
        server->stats.malformed++;
    }
    enqueue_reply(server, conn, decoded, &reply, close_after);
}

/* A server that demands authentication takes nothing else from who has not shown any: not even a ping,
 * nor the end of the session. */
static void receive_unadmitted(struct server *server, struct server_conn *conn,
                               const struct jute_request *decoded)
{
    struct mk_buf reply = {0};
    size_t frame = jute_reply_begin(&reply, decoded->xid, 0, jute_error_code(MK_AUTH_REQUIRED));

    jute_reply_end(&reply, frame);
    server->stats.auth_failed++;
    enqueue_reply(server, conn, decoded, &reply, true);
}

/* Never behind a slow write: the client would think that the server is gone. But behind the answer to
 * the ConnectRequest, as everything is that was sent without waiting for it. */
static void receive_ping(struct server *server, struct server_conn *conn,
                         const struct jute_request *decoded)
{
    if (conn->state == CONN_ATTACHED) {
        size_t frame = jute_reply_begin(&conn->out, JUTE_XID_PING, store_applied(server->store), 0);
        server_reply_end(server, conn, frame);
        count_latency(server, conn, JUTE_PING, JUTE_XID_PING, server->now.monotonic_ms);
        return;
    }
    struct mk_buf reply = {0};
    size_t frame = jute_reply_begin(&reply, JUTE_XID_PING, store_applied(server->store), 0);
    jute_reply_end(&reply, frame);
    enqueue_reply(server, conn, decoded, &reply, false);
}

void server_request_receive(struct server *server, struct server_conn *conn, struct mk_bytes frame)
{
    struct jute_request decoded;
    enum mk_status status = jute_request_decode(frame, &decoded);

    if (conn->refused) {
        return;
    }
    if (status == MK_MALFORMED && decoded.op == JUTE_NOTIFICATION && frame.len < 8) {
        server->stats.malformed++;
        server_conn_end(server, conn);
        return;
    }
    server_conn_touch(server, conn);
    if (!conn->admitted && decoded.op != JUTE_AUTH && decoded.op != JUTE_SASL) {
        receive_unadmitted(server, conn, &decoded);
        return;
    }
    if (status == MK_OK && decoded.op == JUTE_PING) {
        receive_ping(server, conn, &decoded);
        return;
    }
    bool malformed_write = status == MK_MALFORMED && is_malformed_write(&decoded);
    server->stats.malformed += malformed_write;
    bool authenticates = decoded.op == JUTE_AUTH || decoded.op == JUTE_SASL;
    if ((status != MK_OK && !malformed_write) || authenticates) {
        receive_special(server, conn, &decoded, status);
        return;
    }
    bool reading_call = is_reading_call(server, &decoded);
    bool first = mk_list_empty(&conn->queue) && !conn->stalled && conn->state == CONN_ATTACHED;
    bool early = is_write(decoded.op) && !reading_call && conn->unprepared == 0 &&
                 !conn->wait.blocked && conn->state == CONN_ATTACHED && conn->session != NULL &&
                 !conn->session->closing;
    if (is_write(decoded.op) && server_learns(server)) {
        enqueue(server, conn, &decoded, reading_call, frame);
        server_requests_drain(server, conn);
        return;
    }
    if (first) {
        status = execute(server, conn, &decoded, NULL, reading_call);
    } else {
        status = early ? write_execute(server, conn, &decoded, NULL) : MK_WOULD_BLOCK;
    }
    if (status != MK_OK) {
        enqueue(server, conn, &decoded, reading_call, frame);
        if (first) {
            server_load_wait(server, &conn->wait);
        } else if (conn->wait.blocked || server->loads_count > 0) { /* the cache is cold */
            server_load_ahead(server, &decoded);
        }
    } else if (first) {
        count_latency(server, conn, decoded.op, decoded.xid, server->now.monotonic_ms);
        end_of_local(server, conn);
    }
    update_pause(server, conn);
}

void server_conn_frame(struct server *server, struct server_conn *conn, struct mk_bytes frame)
{
    server->stats.packets_received++;
    conn->received++;
    switch (conn->state) {
    case CONN_FRESH: server_conn_connect(server, conn, frame); break;
    case CONN_CONNECTING:
    case CONN_ATTACHED:
        if (server_large_admits(server, frame.len)) {
            server_request_receive(server, conn, frame);
        } else {
            server_conn_end(server, conn);
        }
        break;
    case CONN_CLOSING: break;
    }
}
