/* One connection.
 *
 *   NEW ──4 bytes──▶ OPEN ──────────────▶ FLUSHING ─────▶ LINGERING ─────▶ CLOSED
 *    │                frames go to the     last output      all is sent;     socket gone
 *    └──a word──────▶ core, output comes   is written       what comes is
 *                     back                                  thrown away
 *
 * Straight to CLOSED from everywhere: the peer has gone, or does not read what it asked for.
 *
 * Lingering: a close with unread bytes in the socket makes the kernel throw away the answer that is
 * still on its way (`echo stat | nc` sends a newline nobody reads). So we end our side, read until the
 * peer ends its own, and give it LINGER_MS for that.
 *
 * Output is written at once as far as the socket takes it. What it does not take is written in the
 * background, and until then the core's output stays with the core: which sees it grow, answers no
 * further and pauses reading. Then only watch events add to it, and past connectionOutputBytesMax the
 * connection is cut off. */
#include "edge/loop.h"

#include <string.h>

#define LINGER_MS 1000
#define FLUSH_MS 30000 /* for the last output: who does not read it may not stay for ever */
#define KEEPALIVE_SECONDS 60
#define WORD_ARGUMENT_BYTES_MAX 8 /* stmk's mask */

/* ---- Output ---- */

size_t conn_output_bytes(const struct conn *conn)
{
    size_t output = conn->core != NULL ? server_conn_output(conn->core)->len : 0;
    return output + stream_unsent(&conn->stream);
}

/* Send what is in `output`, as stream_send() has it. False: the connection is broken. */
static bool output_send(struct conn *conn, struct mk_buf *output)
{
    enum mk_status status = stream_send(&conn->stream, output);

    if (status == MK_OK && conn->core != NULL) {
        server_conn_drained(conn->edge->core.server, conn->core); /* It may answer on. */
    }
    return status != MK_IO;
}

/* ---- The end ---- */

static void on_freed(void *owner)
{
    struct conn *conn = owner;

    framing_free(&conn->input);
    mk_free(conn);
}

static void core_forget(struct conn *conn)
{
    if (conn->core != NULL) {
        server_conn_closed(conn->edge->core.server, conn->core);
        conn->core = NULL;
    }
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSED) {
        return;
    }
    conn->state = CONN_CLOSED;
    core_forget(conn);
    mk_list_remove(&conn->link);
    mk_list_remove(&conn->list);
    conn->edge->conns_count--;
    address_release(conn->edge, conn->address);
    stream_close(&conn->stream);
}

static void linger_begin(struct conn *conn)
{
    conn->state = CONN_LINGERING;
    core_forget(conn);
    if (conn->peer_ended || stream_end(&conn->stream) != MK_OK) {
        conn_close(conn);
        return;
    }
    conn->linger_due_ms = conn->edge->now_ms + LINGER_MS;
    mk_list_remove(&conn->list);
    mk_list_append(&conn->edge->lingering, &conn->list);
    conn_reading_update(conn);
}

static bool reads_too_slowly(const struct conn *conn)
{
    size_t bytes = conn_output_bytes(conn);

    if (bytes <= conn->edge->options->conn_output_bytes_max) {
        return false;
    }
    mk_log(conn->edge->log, MK_LOG_WARN,
           "connection closed, it does not read what it is sent  address=%s bytes=%zu",
           conn->address->text, bytes);
    return true;
}

static void flushing_begin(struct conn *conn)
{
    if (conn->state == CONN_FLUSHING) {
        return;
    }
    conn->state = CONN_FLUSHING;
    conn->linger_due_ms = conn->edge->now_ms + FLUSH_MS;
    mk_list_remove(&conn->list);
    mk_list_append(&conn->edge->flushing, &conn->list);
}

void conn_flush(struct conn *conn)
{
    if (conn->core == NULL) {
        return;
    }
    if (!output_send(conn, server_conn_output(conn->core)) || reads_too_slowly(conn)) {
        conn_close(conn);
        return;
    }
    if (server_conn_closing(conn->core)) {
        flushing_begin(conn);
    }
    if (conn->state == CONN_FLUSHING && conn_output_bytes(conn) == 0) {
        linger_begin(conn);
    } else {
        conn_reading_update(conn);
    }
}

/* No more input; close in order when the output is sent. */
static void conn_finish(struct conn *conn)
{
    flushing_begin(conn);
    framing_free(&conn->input);
    conn_flush(conn);
}

static void on_drained(void *owner)
{
    struct conn *conn = owner;

    turn_begin(conn->edge);
    if (conn->core != NULL && server_conn_output(conn->core)->len == 0) {
        server_conn_drained(conn->edge->core.server, conn->core);
    }
    conn_flush(conn);
}

/* ---- Input ---- */

/* Whether another frame may be given to the core now. */
static bool frame_wanted(const struct conn *conn)
{
    return (conn->state == CONN_NEW || conn->state == CONN_OPEN) &&
           conn->edge->phase < EDGE_DRAINING && !server_conn_paused(conn->core) &&
           !server_conn_closing(conn->core);
}

static void word_answer(struct conn *conn, int word, const uint8_t *argument)
{
    struct mk_buf answer = {0};

    status_word(conn->edge, conn, word, argument, &answer);
    if (output_send(conn, &answer)) {
        conn_finish(conn);
    } else {
        conn_close(conn);
    }
    mk_buf_free(&answer);
}

/* The first four bytes. False: they are not there yet, or were a word. */
static bool conn_open(struct conn *conn, struct mk_bytes unread)
{
    uint8_t first[ADMIN_WORD_BYTES + WORD_ARGUMENT_BYTES_MAX];

    if (!framing_peek(&conn->input, unread, first, ADMIN_WORD_BYTES)) {
        framing_keep(&conn->input, unread);
        return false;
    }
    int word = admin_word_find(first);
    if (word != ADMIN_WORD_NONE) {
        size_t bytes = ADMIN_WORD_BYTES + admin_word_argument_bytes(word);
        MK_ASSERT(bytes <= sizeof(first));
        if (framing_peek(&conn->input, unread, first, bytes)) {
            word_answer(conn, word, first + ADMIN_WORD_BYTES);
        } else {
            framing_keep(&conn->input, unread);
        }
        return false;
    }
    conn->state = CONN_OPEN;
    return true;
}

static void frame_bad(struct conn *conn)
{
    mk_log(conn->edge->log, MK_LOG_WARN,
           "connection closed, it sent a frame of impossible length: does it speak ZooKeeper's"
           " protocol, and is jute.maxbuffer large enough?  address=%s",
           conn->address->text);
    conn_finish(conn);
}

/* What was kept, then `unread`: as many frames as the core wants. */
static void conn_feed(struct conn *conn, struct mk_bytes unread)
{
    struct server *server = conn->edge->core.server;
    uint32_t frame_bytes_max = conn->edge->options->server.frame_bytes_max;

    if (conn->state == CONN_NEW && !conn_open(conn, unread)) {
        return;
    }
    conn->backlog = false;
    while (frame_wanted(conn)) {
        struct mk_bytes frame;
        enum framing_result result = framing_next(&conn->input, frame_bytes_max, &unread, &frame);
        if (result == FRAMING_MORE) {
            return;
        }
        if (result == FRAMING_BAD) {
            frame_bad(conn);
            return;
        }
        server_conn_frame(server, conn->core, frame);
    }
    framing_keep(&conn->input, unread);
    conn->backlog = framing_kept(&conn->input) > 0;
    conn_reading_update(conn);
}

void conn_resume(struct conn *conn)
{
    if (conn->backlog && frame_wanted(conn)) {
        conn_feed(conn, MK_BYTES_NULL);
    }
    conn_reading_update(conn);
}

static void on_bytes(void *owner, struct mk_bytes bytes)
{
    struct conn *conn = owner;

    turn_begin(conn->edge);
    if (conn->state == CONN_NEW || conn->state == CONN_OPEN) {
        conn_heard(conn);
        conn->edge->counters.bytes_received += bytes.len;
        conn_feed(conn, bytes);
    }
}

static void on_broken(void *owner, const char *why)
{
    struct conn *conn = owner;
    (void)why; /* Clients come and go. */

    turn_begin(conn->edge);
    conn->edge->counters.conns_dropped += conn->state == CONN_OPEN;
    conn_close(conn);
}

static void on_ended(void *owner)
{
    struct conn *conn = owner;

    conn->peer_ended = true;
    if (conn->state != CONN_FLUSHING) {
        on_broken(conn, NULL);
    }
}

void conn_reading_update(struct conn *conn)
{
    if (conn->state == CONN_CLOSED) {
        return;
    }
    bool wanted = conn->state == CONN_LINGERING || frame_wanted(conn);
    if (wanted && conn->backlog && conn->state == CONN_OPEN) {
        mk_list_remove(&conn->list);
        mk_list_append(&conn->edge->resuming, &conn->list);
        resume_soon(conn->edge);
        wanted = false;
    }
    if (stream_read(&conn->stream, wanted) != MK_OK) {
        conn_close(conn);
    }
}

/* ---- The beginning ---- */

/* With TLS: who it is, before its first frame. */
static bool certificate_take(struct conn *conn)
{
    struct mk_buf subject = {0};
    bool taken = true;

    if (!tls_client_is(conn->stream.session, conn->address->text)) {
        mk_log(conn->edge->log, MK_LOG_WARN,
               "a client is refused: its certificate is not one for the address it has"
               "  address=%s",
               conn->address->text);
        return false;
    }
    if (tls_subject(conn->stream.session, &subject)) {
        taken = server_conn_certified(conn->edge->core.server, conn->core, mk_buf_view(&subject));
    }
    mk_buf_free(&subject);
    return taken;
}

static void on_opened(void *owner)
{
    struct conn *conn = owner;

    turn_begin(conn->edge);
    if (conn->state == CONN_NEW && conn->stream.session != NULL && !certificate_take(conn)) {
        conn_close(conn);
    }
}

void conn_start(struct edge *edge, uv_tcp_t *socket, enum conn_entry entry,
                struct address_count *address, uint16_t port)
{
    static const struct stream_events events = {on_opened, on_bytes,   on_ended,
                                                on_broken, on_drained, on_freed};
    struct conn *conn = mk_alloc_zero(1, sizeof(*conn));

    conn->edge = edge;
    conn->state = CONN_NEW;
    conn->address = address;
    mk_list_init(&conn->list);
    mk_list_append(&edge->conns, &conn->link);
    edge->conns_count++;
    uv_tcp_nodelay(socket, 1);
    if (edge->options->keepalive) {
        uv_tcp_keepalive(socket, 1, KEEPALIVE_SECONDS);
    }
    stream_init(&conn->stream, &edge->streams, socket, &events, conn);
    conn->core =
        server_conn_open(edge->core.server, mk_bytes_of(address->text, address->len), port, conn);
    if (entry != CONN_PLAIN) {
        stream_secure(&conn->stream, edge->options->clients_tls, NULL, entry == CONN_EITHER);
    }
    conn_reading_update(conn);
}
