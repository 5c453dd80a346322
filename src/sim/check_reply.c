/* Each byte that the server answers. A frame is looked at when the model stands at the zxid that it
 * says it was written at, so that the model's answer is the one that it must have.
 *
 *   ConnectResponse first; then replies in the order of requests, but for pings and for calls that
 *   wait; before a reply, every event of the transactions that it may reflect. */
#include "sim/check.h"

#include <string.h>

struct reply {
    struct sim_check *check;
    struct sim_check_conn *conn;
    struct jute_reply wire;
    mk_zxid told; /* what the connection had been told before */
};

static mk_zxid max(mk_zxid a, mk_zxid b)
{
    return a > b ? a : b;
}

static void fail_op(struct reply *reply, const struct sim_op *op, const char *what)
{
    sim_check_fail(reply->check,
                   "%s: session=0x%llx xid=%d op=%d path=%.*s zxid=0x%llx error=%d body=%zu; "
                   "expected error=%d body=%zu; state is at 0x%llx, the transaction was 0x%llx",
                   what, (unsigned long long)reply->conn->session, (int)reply->wire.xid,
                   (int)op->request.op, (int)op->request.path.len,
                   op->request.path.data == NULL ? "" : (const char *)op->request.path.data,
                   (unsigned long long)reply->wire.zxid, (int)reply->wire.error,
                   reply->wire.body.len, (int)op->error, op->body.len,
                   (unsigned long long)reply->check->model.zxid, (unsigned long long)op->zxid);
}

/* ---- The handshake ---- */

static void attached(struct sim_check_conn *conn, mk_session id)
{
    struct mk_link *link;

    conn->state = SIM_CONN_ATTACHED;
    conn->session = id;
    for (link = conn->ops.next; link != &conn->ops; link = link->next) {
        struct sim_op *op = MK_CONTAINER(link, struct sim_op, in_conn);
        op->session = id;
    }
}

/* Of an ensemble: whoever is told of it first has it. */
static bool check_new_session(struct sim_check *check, struct sim_check_conn *conn, mk_session id,
                              int32_t timeout_ms)
{
    struct sim_life *life = sim_life_of(check, id);

    if (life == NULL || sim_model_session(&check->model, id) == NULL) {
        return false;
    }
    if (life->claimed || id >> 56 != check->options->server_id) {
        sim_check_fail(check, "a client was given session 0x%llx, which is another's",
                       (unsigned long long)id);
    } else if (timeout_ms != conn->timeout_ms) {
        sim_check_fail(check, "session 0x%llx was given %d ms, not %d", (unsigned long long)id,
                       (int)timeout_ms, (int)conn->timeout_ms);
    }
    life->claimed = true;
    conn->asked_ms = check->now_ms;
    attached(conn, id);
    return true;
}

static void session_goes_on(struct sim_check *check, const struct sim_check_conn *conn,
                            mk_session id, int32_t timeout_ms)
{
    struct sim_session *session = sim_model_session(&check->model, id);
    struct sim_life *life = sim_life_of(check, id);

    if (session != NULL) {
        session->timeout_now_ms = timeout_ms;
        session->heard_ms = conn->connect.session_id != 0 ? check->now_ms : session->heard_ms;
    }
    if (life != NULL) {
        life->timeout_now_ms = timeout_ms;
        life->heard_ms = check->now_ms;
        life->expirable = check->now_ms < check->agreement->disturbed_until_ms;
    }
}

/* A leader knows of a session from when it proposes it: it may answer for one that others have applied
 * already, and that its own log, or disk, is late with. */
static bool known_ahead(const struct sim_check *check, mk_session id)
{
    const struct sim_life *life = sim_life_of(check, id);

    return life != NULL && life->made > check->model.zxid && sim_agree_leads(check);
}

/* False: it tells of a session that is not in the model yet. */
static bool check_accepted(struct sim_check *check, struct sim_check_conn *conn, mk_session id,
                           int32_t timeout_ms)
{
    if (conn->connect.session_id == 0 && conn->session == 0) {
        return check->agreement != NULL && check_new_session(check, conn, id, timeout_ms);
    }
    mk_session wanted = conn->connect.session_id == 0 ? conn->session : conn->connect.session_id;
    struct sim_session *session = sim_model_session(&check->model, wanted);
    bool ahead = session == NULL && known_ahead(check, wanted);
    if (check->agreement != NULL && session == NULL && !ahead) {
        return false; /* its server was behind its leader, which knows it */
    }
    if (id != wanted || conn->connect_refusable || (session == NULL && !ahead)) {
        sim_check_fail(check, "a client was given session 0x%llx, wanted 0x%llx%s",
                       (unsigned long long)id, (unsigned long long)wanted,
                       session == NULL ? ", which there is not" : "");
    } else if (timeout_ms != conn->timeout_ms) {
        sim_check_fail(check, "session 0x%llx was given %d ms, not %d", (unsigned long long)id,
                       (int)timeout_ms, (int)conn->timeout_ms);
    } else {
        session_goes_on(check, conn, id, timeout_ms);
    }
    attached(conn, id);
    return true;
}

static void check_refused(struct sim_check *check, struct sim_check_conn *conn)
{
    conn->may_close = true;
    if (conn->connect.session_id == 0) {
        if (check->agreement != NULL) {
            return; /* it has an id that was on its way before */
        }
        sim_check_fail(check, "a new session was refused");
    } else if (!conn->connect_refusable) {
        sim_check_ended(check, conn->connect.session_id);
    }
}

static bool check_connect_reply(struct sim_check *check, struct sim_check_conn *conn,
                                struct mk_bytes frame)
{
    struct mk_reader reader = mk_reader_of(frame);

    int32_t protocol = mk_read_i32(&reader);
    int32_t timeout_ms = mk_read_i32(&reader);
    mk_session id = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);
    bool tail = conn->connect.read_only_present;
    if (conn->state != SIM_CONN_CONNECTING || reader.failed || protocol != 0 ||
        password.len != JUTE_PASSWORD_BYTES || mk_reader_left(&reader) != (tail ? 1 : 0)) {
        sim_check_fail(check, "%zu bytes before the session was established are no ConnectResponse",
                       frame.len);
        return true;
    }
    if (timeout_ms != 0) {
        return check_accepted(check, conn, id, timeout_ms);
    }
    check_refused(check, conn);
    return true;
}

/* ---- Notifications ---- */

static void check_notification(struct sim_check *check, struct sim_check_conn *conn,
                               const struct jute_reply *wire)
{
    struct mk_reader reader = mk_reader_of(wire->body);
    int32_t event = mk_read_i32(&reader);
    int32_t state = mk_read_i32(&reader);
    struct mk_bytes path = mk_read_field(&reader);
    struct sim_events *events = &conn->events;

    check->stats.events++;
    if (reader.failed || state != 3 || wire->error != 0 || path.data == NULL) {
        sim_check_fail(check, "a notification is malformed");
    } else if (wire->zxid == -1) {
        sim_events_push(&conn->found, -1, (enum jute_event)event, path);
    } else if (events->first == events->count) {
        sim_check_fail(check, "session 0x%llx was told event %d of %.*s, and expected none",
                       (unsigned long long)conn->session, (int)event, (int)path.len,
                       (const char *)path.data);
    } else {
        struct sim_expected_event *head = &events->list[events->first];
        if (head->zxid != wire->zxid || (int32_t)head->event != event ||
            !mk_bytes_equal(head->path, path)) {
            sim_check_fail(check,
                           "session 0x%llx was told event %d of %.*s at 0x%llx; next were event "
                           "%d of %.*s at 0x%llx",
                           (unsigned long long)conn->session, (int)event, (int)path.len,
                           (const char *)path.data, (unsigned long long)wire->zxid,
                           (int)head->event, (int)head->path.len, (const char *)head->path.data,
                           (unsigned long long)head->zxid);
        }
        sim_events_pop(events);
    }
}

/* ---- Replies by what was asked ---- */

static bool answers(const struct reply *reply, int32_t error, struct mk_bytes body)
{
    return reply->wire.error == error && mk_bytes_equal(reply->wire.body, body);
}

static bool at_state(const struct reply *reply)
{
    return reply->wire.zxid == reply->check->model.zxid;
}

static void check_undecoded(struct reply *reply, const struct sim_op *op)
{
    bool unknown = op->decoded == MK_UNIMPLEMENTED;
    mk_zxid zxid = unknown ? -1 : max(op->received_zxid, reply->told);
    struct mk_bytes end = MK_BYTES("\377\377\377\377\1\377\377\377\377");

    if (!answers(reply, unknown ? -6 : -5, op->request.writes_only ? end : MK_BYTES("")) ||
        reply->wire.zxid != zxid) {
        fail_op(reply, op, "what cannot be decoded was answered wrongly");
    }
}

static void check_write(struct reply *reply, struct sim_op *op)
{
    if (reply->check->agreement != NULL && op->zxid > reply->check->agreement->acknowledged) {
        reply->check->agreement->acknowledged = op->zxid;
    }
    if (!op->committed || op->zxid > reply->check->model.zxid) {
        fail_op(reply, op, "a write was acknowledged before it was committed");
    } else if (reply->wire.zxid != max(op->zxid, reply->told)) {
        fail_op(reply, op, "a write's reply has the wrong zxid");
    } else if (reply->wire.error != op->error ||
               (op->body_known && !mk_bytes_equal(reply->wire.body, mk_buf_view(&op->body)))) {
        fail_op(reply, op, "a write was answered wrongly");
    }
    if (op->request.op == JUTE_CLOSE_SESSION) {
        reply->conn->may_close = true;
    }
}

/* What somebody knew of when the sync was sent is there when it is answered. A leader that has lost its
 * followers may not know yet that it leads no more: to it what is of a later epoch has not happened. */
static bool sync_is_late(const struct reply *reply, const struct sim_op *op)
{
    const struct sim_check *check = reply->check;

    return check->agreement == NULL || op->acknowledged >> 32 > check->agreed_epoch ||
           check->model.zxid >= op->acknowledged;
}

static void check_sync(struct reply *reply, const struct sim_op *op)
{
    struct mk_buf body = {0};

    mk_buf_put_field(&body, op->request.path);
    if (!answers(reply, 0, mk_buf_view(&body)) ||
        reply->wire.zxid < max(op->received_zxid, reply->told) || !sync_is_late(reply, op)) {
        fail_op(reply, op, "a sync was answered wrongly");
    }
    mk_buf_free(&body);
}

static void watch_of_read(struct sim_check_conn *conn, const struct sim_op *op, int32_t error)
{
    const struct jute_request *request = &op->request;
    bool exists = request->op == JUTE_EXISTS;

    if (!request->watch || !(error == 0 || (exists && error == -101))) {
        return;
    }
    switch (request->op) {
    case JUTE_EXISTS:
    case JUTE_GET_DATA: sim_watch_add(conn, SIM_WATCH_DATA, request->path); break;
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2: sim_watch_add(conn, SIM_WATCH_CHILD, request->path); break;
    default: break;
    }
}

static void check_read(struct reply *reply, struct sim_op *op)
{
    struct sim_who who = {.session = op->session, .identities = &op->identities};

    op->body.len = 0;
    op->error = sim_model_read(&reply->check->model, &who, &op->request, &op->body);
    if (op->error != 0) {
        op->body.len = 0;
    }
    struct mk_bytes body = op->body.len > 0 ? mk_buf_view(&op->body) : MK_BYTES("");
    if (!at_state(reply) || !answers(reply, op->error, body)) {
        fail_op(reply, op, "a read was answered wrongly");
    }
    const struct sim_session *session = sim_model_session(&reply->check->model, op->session);
    if (session != NULL && session->last_committed > op->number) {
        fail_op(reply, op, "a read was answered after a later write of its session");
    }
    watch_of_read(reply->conn, op, op->error);
}

static unsigned watch_kinds(int32_t type)
{
    static const unsigned kinds[] = {0,
                                     1u << SIM_WATCH_CHILD,
                                     1u << SIM_WATCH_DATA,
                                     (1u << SIM_WATCHES) - 1,
                                     1u << SIM_WATCH_PERSISTENT,
                                     1u << SIM_WATCH_RECURSIVE};
    return type < 1 || type > 5 ? 0 : kinds[type];
}

static void check_watch_handling(struct reply *reply, struct sim_op *op)
{
    const struct jute_request *request = &op->request;
    unsigned kinds = watch_kinds(request->flags);
    bool any = false;

    for (int kind = 0; kind < SIM_WATCHES; kind++) {
        if ((kinds & 1u << kind) == 0) {
            continue;
        }
        any = (request->op == JUTE_REMOVE_WATCHES
                   ? sim_watch_remove(reply->conn, kind, request->path)
                   : sim_watch_has(reply->conn, kind, request->path)) ||
              any;
    }
    op->error = kinds == 0 ? -5 : any ? 0 : -121;
    if (!at_state(reply) || !answers(reply, op->error, MK_BYTES(""))) {
        fail_op(reply, op, "checkWatches or removeWatches was answered wrongly");
    }
}

static void check_add_watch(struct reply *reply, struct sim_op *op)
{
    bool valid = op->request.flags == 0 || op->request.flags == 1;

    op->error = valid ? 0 : -5;
    if (!at_state(reply) ||
        !answers(reply, op->error, valid ? MK_BYTES("\0\0\0\0") : MK_BYTES(""))) {
        fail_op(reply, op, "addWatch was answered wrongly");
    }
    if (valid) {
        sim_watch_add(reply->conn,
                      op->request.flags == 0 ? SIM_WATCH_PERSISTENT : SIM_WATCH_RECURSIVE,
                      op->request.path);
    }
}

static void check_expired(struct reply *reply, struct sim_op *op)
{
    if (op->committed || reply->wire.body.len > 0) {
        fail_op(reply, op, "SessionExpired to a request that was executed");
    }
    if (!mk_list_empty(&op->in_check)) {
        mk_list_remove(&op->in_check);
        sim_op_unref(op);
    }
    sim_check_ended(reply->check, reply->conn->session);
}

static void check_call(struct reply *reply, struct sim_op *op)
{
    if (op->request.dry_run) {
        sim_call_tried_replied(reply->check, op, &reply->wire);
    } else if (sim_operation_reads(sim_op_operation(op))) {
        sim_call_read_replied(reply->check, op, &reply->wire);
    } else {
        sim_call_replied(reply->check, op, &reply->wire);
    }
    if (!mk_list_empty(&op->in_check)) { /* it will not have a transaction any more */
        mk_list_remove(&op->in_check);
        sim_op_unref(op);
    }
}

static void check_by_op(struct reply *reply, struct sim_op *op)
{
    if (op->decoded != MK_OK) {
        check_undecoded(reply, op);
        return;
    }
    if (reply->wire.error == -112 && !(op->committed && op->error == -112)) {
        check_expired(reply, op);
        return;
    }
    switch (op->request.op) {
    case JUTE_AUTH:
        if (!answers(reply, op->error, MK_BYTES("")) || reply->wire.zxid != 0) {
            fail_op(reply, op, "an auth packet was answered wrongly");
        }
        break;
    case JUTE_SYNC: check_sync(reply, op); break;
    case JUTE_SET_WATCHES:
    case JUTE_SET_WATCHES2:
        if (!at_state(reply) || !answers(reply, 0, MK_BYTES(""))) {
            fail_op(reply, op, "setWatches was answered wrongly");
        }
        sim_watches_set(reply->check, reply->conn, &op->request);
        break;
    case JUTE_CHECK_WATCHES:
    case JUTE_REMOVE_WATCHES: check_watch_handling(reply, op); break;
    case JUTE_ADD_WATCH: check_add_watch(reply, op); break;
    case JUTE_CALL: check_call(reply, op); break;
    default:
        if (mk_list_empty(&op->in_check) && !op->committed) {
            check_read(reply, op);
        } else {
            check_write(reply, op);
        }
        break;
    }
}

/* ---- Which request it answers ---- */

/* A call that waits, or that asks for the result of one that waits. */
static bool may_wait(const struct sim_check *check, const struct sim_op *op)
{
    struct mk_link *link;

    if (op->decoded != MK_OK || op->request.op != JUTE_CALL || op->request.call_id == 0 ||
        op->request.dry_run || sim_operation_reads(sim_op_operation(op))) {
        return false;
    }
    if (sim_call_of(check, op->session, op->request.call_id) != NULL) {
        return true;
    }
    for (link = check->writes.next; link != &check->writes; link = link->next) {
        struct sim_op *other = MK_CONTAINER(link, struct sim_op, in_check);
        if (other->session == op->session && other->request.op == JUTE_CALL &&
            other->request.call_id == op->request.call_id && other->number < op->number &&
            !other->request.dry_run) {
            return true; /* made, and not committed yet */
        }
    }
    return false;
}

/* It asks for the result of a call that an earlier request made: the reply comes when that call has
 * ended, whatever the connection has asked in between. */
static bool asks_again(const struct sim_check *check, const struct sim_op *op)
{
    return op->decoded == MK_OK && op->request.op == JUTE_CALL && op->request.call_id != 0 &&
           !op->request.dry_run && !op->committed &&
           sim_call_has_ended(check, op->session, op->request.call_id);
}

/* NULL: it is none's turn, as of this transaction. */
static struct sim_op *op_answered(struct sim_check *check, struct sim_check_conn *conn, int32_t xid)
{
    bool overtakes = false;
    struct mk_link *link;

    for (link = conn->ops.next; link != &conn->ops; link = link->next) {
        struct sim_op *op = MK_CONTAINER(link, struct sim_op, in_conn);
        if (op->request.xid == xid) {
            return !overtakes || asks_again(check, op) ? op : NULL;
        }
        overtakes = overtakes || !may_wait(check, op);
    }
    return NULL;
}

static void check_ping(struct reply *reply)
{
    if (mk_list_empty(&reply->conn->pings)) {
        sim_check_fail(reply->check, "a ping was answered that was not sent");
        return;
    }
    struct sim_op *op = MK_CONTAINER(reply->conn->pings.next, struct sim_op, in_conn);
    if (reply->wire.zxid < op->received_zxid || !answers(reply, 0, MK_BYTES(""))) {
        fail_op(reply, op, "a ping was answered wrongly");
    }
    mk_list_remove(&op->in_conn);
    sim_op_unref(op);
}

static void check_zxid(struct reply *reply)
{
    struct sim_check_conn *conn = reply->conn;

    if (reply->wire.zxid <= 0) {
        return;
    }
    if (reply->wire.zxid < conn->zxid_told) {
        sim_check_fail(reply->check, "session 0x%llx was told zxid 0x%llx after 0x%llx",
                       (unsigned long long)conn->session, (unsigned long long)reply->wire.zxid,
                       (unsigned long long)conn->zxid_told);
    }
    conn->zxid_told = reply->wire.zxid;
    if (conn->events.first < conn->events.count) {
        const struct sim_expected_event *event = &conn->events.list[conn->events.first];
        sim_check_fail(reply->check,
                       "session 0x%llx: the reply to xid %d overtakes event %d of %.*s",
                       (unsigned long long)conn->session, (int)reply->wire.xid, (int)event->event,
                       (int)event->path.len, (const char *)event->path.data);
    }
}

/* False: it belongs to a later transaction. */
static bool check_reply(struct reply *reply)
{
    struct sim_check *check = reply->check;
    struct sim_check_conn *conn = reply->conn;

    if (reply->wire.xid == JUTE_XID_PING) {
        check_ping(reply); /* overtakes everything, and clients do not look at its zxid */
        return true;
    }
    struct sim_op *op = op_answered(check, conn, reply->wire.xid);
    if (op == NULL) {
        return false;
    }
    check->stats.replies++;
    check_zxid(reply);
    check_by_op(reply, op);
    mk_list_remove(&op->in_conn);
    sim_op_unref(op);
    if (conn->found.first < conn->found.count) {
        sim_check_fail(check, "session 0x%llx was told of changes, and asked for none",
                       (unsigned long long)conn->session);
    }
    return true;
}

/* False: it belongs to a later transaction. */
static bool check_one(struct sim_check *check, struct sim_check_conn *conn, struct mk_bytes frame)
{
    struct reply reply = {.check = check, .conn = conn, .told = conn->zxid_told};

    if (conn->state != SIM_CONN_ATTACHED) {
        return check_connect_reply(check, conn, frame);
    }
    if (jute_reply_decode(frame, &reply.wire) != MK_OK) {
        sim_check_fail(check, "a reply of %zu bytes is malformed", frame.len);
        return true;
    }
    if (reply.wire.zxid > check->model.zxid) {
        return false;
    }
    if (reply.wire.xid == JUTE_XID_NOTIFICATION) {
        check_notification(check, conn, &reply.wire);
        return true;
    }
    return check_reply(&reply);
}

void sim_check_output(struct sim_check *check, struct sim_check_conn *conn)
{
    const struct mk_buf *output = server_conn_output(conn->server);

    while (sim_check_ok(check) && conn->checked < output->len) {
        struct mk_bytes rest = {output->data + conn->checked, output->len - conn->checked};
        size_t len = rest.len < 4 ? SIZE_MAX : mk_load_u32(rest.data);
        if (len > rest.len - 4) {
            sim_check_fail(check, "the output does not end with a whole frame");
            return;
        }
        if (!check_one(check, conn, mk_bytes_of(rest.data + 4, len))) {
            return;
        }
        conn->checked += 4 + len;
    }
}

/* A frame that fits nowhere: of a transaction that is not committed, or not the next one's
 * reply. */
static void fail_left_over(struct sim_check *check, struct sim_check_conn *conn)
{
    const struct mk_buf *output = server_conn_output(conn->server);
    const uint8_t *frame = output->data + conn->checked;
    struct jute_reply wire = {0};
    struct sim_op *next =
        mk_list_empty(&conn->ops) ? NULL : MK_CONTAINER(conn->ops.next, struct sim_op, in_conn);

    (void)jute_reply_decode(mk_bytes_of(frame + 4, mk_load_u32(frame)), &wire);
    sim_check_fail(check,
                   "session 0x%llx was sent xid %d as of 0x%llx, when the state was at 0x%llx and "
                   "the next reply that of xid %d (op %d)",
                   (unsigned long long)conn->session, (int)wire.xid, (unsigned long long)wire.zxid,
                   (unsigned long long)check->model.zxid, next == NULL ? 0 : (int)next->request.xid,
                   next == NULL ? 0 : (int)next->request.op);
}

void sim_check_settled(struct sim_check *check, struct sim_check_conn *conn)
{
    struct sim_events *events = &conn->events;

    if (!sim_check_ok(check)) {
        return;
    }
    if (conn->checked < server_conn_output(conn->server)->len) {
        fail_left_over(check, conn);
    }
    if (server_conn_closing(conn->server)) {
        if (!conn->may_close &&
            !sim_life_moved(check, conn->session, check->options->server_id, conn->asked_ms)) {
            sim_check_fail(check, "the connection of session 0x%llx was closed for no reason",
                           (unsigned long long)conn->session);
        }
        sim_events_free(events);
        sim_events_free(&conn->found);
        sim_watches_drop(conn);
    } else if (events->first < events->count) {
        sim_check_fail(check, "session 0x%llx was not told event %d of %.*s at 0x%llx",
                       (unsigned long long)conn->session, (int)events->list[events->first].event,
                       (int)events->list[events->first].path.len,
                       (const char *)events->list[events->first].path.data,
                       (unsigned long long)events->list[events->first].zxid);
    }
}

void sim_check_forgotten(struct sim_check *check, struct sim_check_conn *conn)
{
    struct mk_link *link;

    if (conn->state != SIM_CONN_ATTACHED || conn->may_close) {
        return;
    }
    for (link = conn->ops.next; link != &conn->ops; link = link->next) {
        const struct sim_op *op = MK_CONTAINER(link, struct sim_op, in_conn);
        if (!may_wait(check, op)) {
            sim_check_fail(
                check, "xid %d (op %d) of session 0x%llx waits, and the server for nothing",
                (int)op->request.xid, (int)op->request.op, (unsigned long long)conn->session);
        }
    }
}

void sim_check_taken(struct sim_check_conn *conn, size_t bytes)
{
    MK_ASSERT(bytes <= conn->checked);
    conn->checked -= bytes;
    conn->tampered = conn->checked;
}
