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
#include <sys/socket.h>

#define LINGER_MS 1000
#define FLUSH_MS 30000 /* for the last output: who does not read it may not stay for ever */
#define KEEPALIVE_SECONDS 60
#define WORD_ARGUMENT_BYTES_MAX 8     /* stmk's mask */
#define OUTPUT_IDLE_BYTES (16 * 1024) /* A larger buffer is not held on to while it is empty. */

static void on_written(uv_write_t *write, int status);

/* ---- Output ---- */

size_t conn_output_bytes(const struct conn *conn)
{
    size_t output = conn->core != NULL ? server_conn_output(conn->core)->len : 0;
    return output + uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
}

static void buf_clear(struct mk_buf *buf)
{
    buf->len = 0;
    if (buf->cap > OUTPUT_IDLE_BYTES) {
        mk_buf_free(buf);
    }
}

/* Everything is in the socket: the core may answer on. */
static void output_drained(struct conn *conn)
{
    if (conn->core != NULL) {
        server_conn_drained(conn->edge->core.server, conn->core);
    }
}

/* What the socket did not take, in the background. */
static bool rest_send(struct conn *conn, struct mk_buf *output, size_t from)
{
    struct mk_buf emptied = conn->sending;
    conn->sending = *output;
    *output = emptied;
    output->len = 0;

    uv_buf_t rest = {(char *)conn->sending.data + from, conn->sending.len - from};
    conn->write.data = conn;
    conn->writing = uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &rest, 1, on_written) == 0;
    return conn->writing;
}

/* Send what is in `output` and leave it empty; all of it stays while the rest of earlier output is
 * under way. False: the connection is broken. */
static bool output_send(struct conn *conn, struct mk_buf *output)
{
    if (output->len == 0 || conn->writing) {
        return true;
    }
    uv_buf_t all = {(char *)output->data, output->len};
    int written = uv_try_write((uv_stream_t *)&conn->tcp, &all, 1);
    if (written < 0 && written != UV_EAGAIN) {
        return false;
    }
    size_t from = written > 0 ? (size_t)written : 0;
    if (from < output->len) {
        return rest_send(conn, output, from);
    }
    buf_clear(output);
    output_drained(conn);
    return true;
}

/* ---- The end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    framing_free(&conn->input);
    mk_buf_free(&conn->sending);
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
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void linger_begin(struct conn *conn)
{
    uv_os_fd_t descriptor = -1;

    conn->state = CONN_LINGERING;
    core_forget(conn);
    if (conn->peer_ended || uv_fileno((uv_handle_t *)&conn->tcp, &descriptor) != 0 ||
        shutdown(descriptor, SHUT_WR) != 0) {
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

static void on_written(uv_write_t *write, int status)
{
    struct conn *conn = write->data;

    conn->writing = false;
    buf_clear(&conn->sending);
    if (conn->state == CONN_CLOSED) {
        return;
    }
    turn_begin(conn->edge);
    if (status != 0) {
        conn_close(conn);
        return;
    }
    if (conn->core != NULL && server_conn_output(conn->core)->len == 0) {
        output_drained(conn);
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

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *conn = handle->data;
    (void)suggested;

    *buf = uv_buf_init((char *)conn->edge->read_bytes, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;

    if (count == 0) {
        return; /* EAGAIN */
    }
    turn_begin(conn->edge);
    if (count < 0) {
        conn->peer_ended = true;
        if (conn->state != CONN_FLUSHING) {
            conn->edge->counters.conns_dropped += conn->state == CONN_OPEN;
            conn_close(conn);
        }
    } else if (conn->state == CONN_NEW || conn->state == CONN_OPEN) {
        conn_heard(conn);
        conn->edge->counters.bytes_received += (uint64_t)count;
        conn_feed(conn, mk_bytes_of(buf->base, (size_t)count));
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
    if (wanted == conn->reading) {
        return;
    }
    conn->reading = wanted;
    if (!wanted) {
        uv_read_stop((uv_stream_t *)&conn->tcp);
    } else if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) {
        conn_close(conn);
    }
}

/* ---- The beginning ---- */

void conn_start(struct conn *conn, struct address_count *address, uint16_t port)
{
    struct edge *edge = conn->edge;

    conn->state = CONN_NEW;
    conn->address = address;
    mk_list_init(&conn->list);
    mk_list_append(&edge->conns, &conn->link);
    edge->conns_count++;
    uv_tcp_nodelay(&conn->tcp, 1);
    if (edge->options->keepalive) {
        uv_tcp_keepalive(&conn->tcp, 1, KEEPALIVE_SECONDS);
    }
    conn->core =
        server_conn_open(edge->core.server, mk_bytes_of(address->text, address->len), port, conn);
    conn_reading_update(conn);
}
