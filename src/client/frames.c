/* What goes over an attached connection.
 *
 *   begin   authentications, what watches are set, calls that go on; then, in order,
 *   out     queued -> sent (answered in this order) | calls (answered when they end)
 *   in      an answer to the head of `sent`, or to a call; events, pings, authentications between
 *
 * A server that answers what was not asked, or in another order, is left. */
#include "client/handle.h"

#include <string.h>

#define OUT_BYTES_MAX ((size_t)256 * 1024) /* a few sends' worth: what waits, waits as requests */
#define XID_SET_WATCHES (-8)               /* as ZooKeeper's C client; servers echo it */

static void frame_store_u32(struct mk_buf *frame, size_t at, int32_t value)
{
    MK_ASSERT(at + sizeof(uint32_t) <= frame->len);
    mk_store_u32(frame->data + at, (uint32_t)value);
}

static int32_t xid_next(struct client_conn *conn)
{
    conn->xid = conn->xid == INT32_MAX ? 1 : conn->xid + 1;
    return conn->xid;
}

static void send_frame(struct client_conn *conn, struct client_pending *pending)
{
    pending->xid = xid_next(conn);
    pending->sent_boot_ms = conn->step_boot_ms;
    frame_store_u32(&pending->frame, CLIENT_FRAME_XID, pending->xid);
    mk_buf_append_bytes(&conn->out, mk_buf_view(&pending->frame));
}

/* ---- Authentications: kept, and sent with each connection ---- */

static void auth_send(struct client_conn *conn, struct client_auth *auth)
{
    frame_store_u32(&auth->frame, CLIENT_FRAME_XID, JUTE_XID_AUTH);
    mk_buf_append_bytes(&conn->out, mk_buf_view(&auth->frame));
}

static void auth_remove(struct client_conn *conn, size_t index)
{
    mk_buf_free(&conn->auths[index].frame);
    conn->auths_count--;
    conn->auths_answered--;
    memmove(&conn->auths[index], &conn->auths[index + 1],
            (conn->auths_count - index) * sizeof(conn->auths[0]));
}

/* One that is repeated takes the place of the one before, if that has been answered. */
static void auth_forget(struct client_conn *conn, struct mk_bytes frame)
{
    for (size_t i = 0; i < conn->auths_answered; i++) {
        struct mk_bytes known = mk_buf_view(&conn->auths[i].frame);
        if (known.len == frame.len &&
            memcmp(known.data + CLIENT_FRAME_OP, frame.data + CLIENT_FRAME_OP,
                   frame.len - CLIENT_FRAME_OP) == 0) {
            auth_remove(conn, i);
            return;
        }
    }
}

static void send_auth(struct moonkeeper *handle, struct client_pending *pending)
{
    struct client_conn *conn = &handle->conn;

    auth_forget(conn, mk_buf_view(&pending->frame));
    if (conn->auths_count == CLIENT_AUTHS_MAX) {
        pending->refusal = MOONKEEPER_TOO_MANY;
        mk_list_append(&conn->sent, &pending->link);
        return;
    }
    struct client_auth *auth = &conn->auths[conn->auths_count++];
    *auth = (struct client_auth){.frame = pending->frame, .pending = pending};
    pending->frame = (struct mk_buf){0};
    auth_send(conn, auth);
}

/* NULL, or why the connection is over. A refusal is final: no server would take it. */
static const char *take_auth(struct moonkeeper *handle, const struct jute_reply *reply)
{
    struct client_conn *conn = &handle->conn;

    if (conn->auths_answered == conn->auths_count) {
        return "the server answered an authentication that was not asked for";
    }
    if (reply->error != 0) {
        conn->phase = CLIENT_OVER;
        return "the server refused an authentication";
    }
    struct client_auth *auth = &conn->auths[conn->auths_answered++];
    struct client_pending *pending = auth->pending;
    auth->pending = NULL;
    if (pending != NULL) {
        (void)client_answer(handle, pending, reply);
    }
    return NULL;
}

/* ---- Out ---- */

static void send_removal(struct moonkeeper *handle, struct client_pending *pending)
{
    struct client_watch_name name = client_watch_name_of(pending);
    size_t others;

    if (client_watches_count(&handle->watches, &name, &others) == 0) {
        pending->refusal = MOONKEEPER_NO_WATCHER;
    } else {
        /* The server knows one watch for all of this kind here: it keeps it as long as others do. */
        int32_t op = others > 0 ? JUTE_CHECK_WATCHES : JUTE_REMOVE_WATCHES;
        frame_store_u32(&pending->frame, CLIENT_FRAME_OP, op);
        send_frame(&handle->conn, pending);
    }
    mk_list_append(&handle->conn.sent, &pending->link);
}

/* What ended before the oldest call that goes on need not be kept by the server any longer. */
static void send_call(struct client_conn *conn, struct client_pending *pending)
{
    mk_list_append(&conn->calls, &pending->link);
    const struct client_pending *oldest =
        MK_CONTAINER(conn->calls.next, struct client_pending, link);
    uint8_t *ids = pending->frame.data + CLIENT_FRAME_CALL_ID(pending->operation_len);
    MK_ASSERT(ids + 16 <= pending->frame.data + pending->frame.len);
    mk_store_u64(ids, (uint64_t)pending->call_id);
    mk_store_u64(ids + 8, (uint64_t)(oldest->call_id - 1));
    send_frame(conn, pending);
}

static void send_request(struct moonkeeper *handle, struct client_pending *pending)
{
    switch (pending->asked.op) {
    case MOONKEEPER_AUTH: send_auth(handle, pending); break;
    case MOONKEEPER_REMOVE_WATCHES: send_removal(handle, pending); break;
    case MOONKEEPER_CALL: send_call(&handle->conn, pending); break;
    default:
        send_frame(&handle->conn, pending);
        mk_buf_free(&pending->frame);
        mk_list_append(&handle->conn.sent, &pending->link);
        break;
    }
}

/* Those at the head of `sent` whose turn has come and that ask no server. */
static void refusals_deliver(struct moonkeeper *handle)
{
    while (!mk_list_empty(&handle->conn.sent)) {
        struct client_pending *head =
            MK_CONTAINER(handle->conn.sent.next, struct client_pending, link);
        if (head->refusal == 0) {
            return;
        }
        mk_list_remove(&head->link);
        client_refuse(handle, head, head->refusal);
    }
}

void client_frames_fill(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    while (conn->out.len - conn->out_sent < OUT_BYTES_MAX && !mk_list_empty(&conn->queued)) {
        struct client_pending *pending =
            MK_CONTAINER(conn->queued.next, struct client_pending, link);
        mk_list_remove(&pending->link);
        send_request(handle, pending);
    }
    refusals_deliver(handle);
}

void client_frames_close(struct client_conn *conn)
{
    conn->close_xid = xid_next(conn);
    struct jute_request request = {.xid = conn->close_xid, .op = JUTE_CLOSE_SESSION};
    jute_request_encode(&conn->out, &request);
}

void client_frames_ping(struct client_conn *conn)
{
    struct jute_request request = {.xid = JUTE_XID_PING, .op = JUTE_PING};

    if (conn->pings++ == 0) {
        conn->ping_boot_ms = conn->step_boot_ms;
    }
    jute_request_encode(&conn->out, &request);
}

void client_frames_begin(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    MK_ASSERT(mk_list_empty(&conn->sent));
    conn->auths_answered = 0;
    for (size_t i = 0; i < conn->auths_count; i++) {
        auth_send(conn, &conn->auths[i]);
    }
    conn->chunks =
        client_watches_encode(&handle->watches, XID_SET_WATCHES, conn->zxid_seen, &conn->out);
    for (struct mk_link *at = conn->calls.next; at != &conn->calls; at = at->next) {
        send_frame(conn, MK_CONTAINER(at, struct client_pending, link));
    }
}

/* ---- In ---- */

static struct client_pending *asker(struct client_conn *conn, int32_t xid)
{
    if (!mk_list_empty(&conn->sent)) {
        struct client_pending *head = MK_CONTAINER(conn->sent.next, struct client_pending, link);
        if (head->xid == xid) {
            return head;
        }
    }
    for (struct mk_link *at = conn->calls.next; at != &conn->calls; at = at->next) {
        struct client_pending *call = MK_CONTAINER(at, struct client_pending, link);
        if (call->xid == xid) {
            return call;
        }
    }
    return NULL;
}

static const char *take_answer(struct moonkeeper *handle, const struct jute_reply *reply)
{
    struct client_conn *conn = &handle->conn;

    if (reply->zxid > conn->zxid_seen) {
        conn->zxid_seen = reply->zxid;
    }
    if (reply->xid == conn->close_xid) {
        conn->phase = CLIENT_OVER;
        return "the session was closed";
    }
    struct client_pending *pending = asker(conn, reply->xid);
    if (pending == NULL) {
        return "the server answered what was not asked, or not in its turn";
    }
    mk_list_remove(&pending->link);
    client_sure_since(handle, pending->sent_boot_ms);
    if (!client_answer(handle, pending, reply)) {
        /* It ends with the connection; a call, too: the same answer would come again. */
        pending->refusal = MOONKEEPER_MARSHALLING_ERROR;
        mk_list_append(conn->sent.next, &pending->link); /* before the first */
        return "the server sent an answer that makes no sense";
    }
    refusals_deliver(handle);
    return NULL;
}

static const char *take_chunk(struct client_conn *conn, const struct jute_reply *reply)
{
    if (conn->chunks == 0) {
        return "the server answered what was not asked";
    }
    conn->chunks--;
    return reply->error == 0 ? NULL : "the server refused to set watches again";
}

/* Behind the oldest ping there may be younger ones, whose times are not kept: they count as the oldest
 * does, which is on the safe side. */
static void take_ping(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    if (conn->pings > 0) {
        conn->pings--;
        client_sure_since(handle, conn->ping_boot_ms);
    }
}

const char *client_frame_take(struct moonkeeper *handle, struct mk_bytes frame)
{
    struct jute_reply reply;

    if (jute_reply_decode(frame, &reply) != MK_OK) {
        return "the server sent what is not a reply";
    }
    switch (reply.xid) {
    case JUTE_XID_NOTIFICATION:
        return client_event(handle, &reply) ? NULL : "the server sent an event that is none";
    case JUTE_XID_PING: take_ping(handle); return NULL;
    case JUTE_XID_AUTH: return take_auth(handle, &reply);
    case XID_SET_WATCHES: return take_chunk(&handle->conn, &reply);
    default: return take_answer(handle, &reply);
    }
}
