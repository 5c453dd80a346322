/* A socket's output goes one of two ways:
 *
 *   stream_send ──▶ the socket takes it all                                             MK_OK
 *               └─▶ it does not: the rest becomes `sending`, libuv writes it ──▶ drained
 *
 * There is never more than one write under way, and until it has come back further output stays with
 * whoever has it, who sees it grow. So a connection holds what its owner has bounded, twice at most.
 *
 * With TLS it is not open at first:
 *
 *   accepted ─first byte─▶ TLS ──handshake──▶ open     pushed out by younger ones, or out of time: broken
 *                 └ either, and it is none ─▶ open
 *   dialled ─────────────▶ TLS ──handshake──▶ open
 *
 * What TLS has to say for itself while a write is under way (it answers a change of keys) waits in
 * `queued`; who provokes more of it than QUEUED_BYTES_MAX, and reads none, is cut off. */
#include "edge/stream.h"

#include "edge/binding.h"

#include <sys/socket.h>

#define PLAIN_BYTES STREAM_READ_BYTES
#define QUEUED_BYTES_MAX (16 * 1024) /* a hundred times what an honest peer makes us say */
#define TLS_HANDSHAKE_BYTE 0x16      /* No length of a frame, id or word begins so. */

static void handshakes_expire(uv_timer_t *timer);

/* ---- What all share ---- */

void streams_init(struct streams *streams, uv_loop_t *loop, const struct mk_log *log,
                  size_t handshakes_max)
{
    *streams = (struct streams){.loop = loop, .log = log, .handshakes_max = handshakes_max};
    streams->read_bytes = mk_alloc(STREAM_READ_BYTES);
    mk_list_init(&streams->handshakes);
    streams->timer.data = streams;
    uv_timer_init(loop, &streams->timer);
}

void streams_close(struct streams *streams)
{
    MK_ASSERT(mk_list_empty(&streams->handshakes));
    if (!uv_is_closing((uv_handle_t *)&streams->timer)) {
        uv_close((uv_handle_t *)&streams->timer, NULL);
    }
}

void streams_deinit(struct streams *streams)
{
    mk_free(streams->read_bytes);
    mk_free(streams->plain_bytes);
    mk_buf_free(&streams->records);
}

/* ---- Output ---- */

static void on_written(uv_write_t *write, int status);

static void buf_clear(const struct stream *stream, struct mk_buf *buf)
{
    buf->len = 0;
    if (buf->cap > stream->idle_bytes) {
        mk_buf_free(buf);
    }
}

/* What the socket did not take, in the background. */
static enum mk_status rest_send(struct stream *stream, struct mk_buf *output, size_t from)
{
    struct mk_buf emptied = stream->sending;
    stream->sending = *output;
    *output = emptied;
    output->len = 0;

    uv_buf_t rest = {(char *)stream->sending.data + from, stream->sending.len - from};
    stream->write.data = stream;
    stream->writing =
        uv_write(&stream->write, (uv_stream_t *)stream->socket, &rest, 1, on_written) == 0;
    return stream->writing ? MK_WOULD_BLOCK : MK_IO;
}

static enum mk_status bytes_send(struct stream *stream, struct mk_buf *output)
{
    uv_buf_t all = {(char *)output->data, output->len};
    int written = uv_try_write((uv_stream_t *)stream->socket, &all, 1);

    if (written < 0 && written != UV_EAGAIN) {
        return MK_IO;
    }
    size_t from = written > 0 ? (size_t)written : 0;
    if (from < output->len) {
        return rest_send(stream, output, from);
    }
    buf_clear(stream, output);
    return MK_OK;
}

/* What the session has put into the shared buffer goes out, or waits. */
static enum mk_status records_send(struct stream *stream)
{
    struct mk_buf *records = &stream->streams->records;

    if (records->len == 0) {
        return stream->writing ? MK_WOULD_BLOCK : MK_OK;
    }
    if (!stream->writing) {
        enum mk_status status = bytes_send(stream, records);
        records->len = 0;
        return status;
    }
    mk_buf_append_bytes(&stream->queued, mk_buf_view(records));
    buf_clear(stream, records);
    return stream->queued.len <= QUEUED_BYTES_MAX ? MK_WOULD_BLOCK : MK_IO;
}

static enum mk_status secure_send(struct stream *stream, struct mk_buf *output)
{
    if (tls_write(stream->session, mk_buf_view(output)) != MK_OK) {
        return MK_IO;
    }
    buf_clear(stream, output);
    return records_send(stream);
}

enum mk_status stream_send(struct stream *stream, struct mk_buf *output)
{
    MK_ASSERT(!stream->closed);
    if (stream->writing || !stream->open) {
        return MK_WOULD_BLOCK;
    }
    if (output->len == 0) {
        return MK_OK;
    }
    return stream->session == NULL ? bytes_send(stream, output) : secure_send(stream, output);
}

size_t stream_unsent(const struct stream *stream)
{
    return !stream->writing ? 0
                            : uv_stream_get_write_queue_size((const uv_stream_t *)stream->socket) +
                                  stream->queued.len;
}

static void on_written(uv_write_t *write, int status)
{
    struct stream *stream = write->data;

    stream->writing = false;
    buf_clear(stream, &stream->sending);
    if (stream->closed) {
        return;
    }
    if (status == 0 && stream->queued.len > 0) {
        enum mk_status sent = bytes_send(stream, &stream->queued);
        if (sent == MK_WOULD_BLOCK) {
            return;
        }
        status = sent == MK_OK ? 0 : UV_EPIPE;
    }
    if (status != 0) {
        stream->events->broken(stream->owner, uv_strerror(status));
    } else if (stream->open) {
        stream->events->drained(stream->owner);
    }
}

/* ---- Handshakes: bounded in number and time ---- */

static void timer_set(struct streams *streams)
{
    if (mk_list_empty(&streams->handshakes) || uv_is_closing((uv_handle_t *)&streams->timer)) {
        return; /* It may fire for nothing. */
    }
    uint64_t now_ms = uv_now(streams->loop);
    uint64_t due_ms = MK_CONTAINER(streams->handshakes.next, struct stream, waiting)->due_ms;
    uv_timer_start(&streams->timer, handshakes_expire, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* It is open, or closed. */
static void handshake_leave(struct stream *stream)
{
    if (!mk_list_empty(&stream->waiting)) {
        mk_list_remove(&stream->waiting);
        stream->streams->handshakes_count--;
    }
}

/* Of who was dialled, the owner says it: it knows who that is. */
static void refused_log(const struct stream *stream, const char *why)
{
    struct mk_buf subject = {0};
    char address[64] = "?";
    uint16_t port = 0;

    if (stream->dialled) {
        return;
    }
    (void)binding_peer_address(stream->socket, address, sizeof(address), &port);
    if (stream->session == NULL || !tls_subject(stream->session, &subject)) {
        subject.len = 0;
    }
    mk_log(stream->streams->log, MK_LOG_WARN,
           "a connection with TLS is refused: %s  address=%s port=%u subject=\"%.*s\"", why,
           address, port, (int)subject.len, (const char *)subject.data);
    mk_buf_free(&subject);
}

static void handshake_fail(struct stream *stream, const char *why)
{
    stream->streams->handshakes_failed++;
    refused_log(stream, why);
    handshake_leave(stream);
    stream->events->broken(stream->owner, why);
}

static void handshakes_expire(uv_timer_t *timer)
{
    struct streams *streams = timer->data;

    while (!mk_list_empty(&streams->handshakes)) {
        struct stream *stream = MK_CONTAINER(streams->handshakes.next, struct stream, waiting);
        if (stream->due_ms > uv_now(streams->loop)) {
            break;
        }
        handshake_fail(stream, "its handshake took too long");
    }
    timer_set(streams);
}

/* The oldest of those accepted, if there is no room for one more. */
static void handshakes_limit(struct streams *streams)
{
    struct mk_link *link = streams->handshakes.next;

    if (streams->handshakes_count < streams->handshakes_max) {
        return;
    }
    while (link != &streams->handshakes && MK_CONTAINER(link, struct stream, waiting)->dialled) {
        link = link->next;
    }
    if (link != &streams->handshakes) {
        streams->handshakes_pushed++;
        handshake_fail(MK_CONTAINER(link, struct stream, waiting),
                       "too many handshakes are not done, and it was the first to begin");
    }
}

static void opened(struct stream *stream)
{
    handshake_leave(stream);
    stream->open = true;
    stream->events->opened(stream->owner);
    if (!stream->closed && stream_read(stream, stream->wanted) != MK_OK) {
        stream->events->broken(stream->owner, "nothing can be read from it");
    }
}

static void handshake_go(struct stream *stream)
{
    enum mk_status status = tls_handshake(stream->session);

    if (records_send(stream) == MK_IO && status != MK_IO) {
        handshake_fail(stream, "nothing can be written to it");
    } else if (status == MK_OK) {
        opened(stream);
    } else if (status != MK_WOULD_BLOCK) {
        handshake_fail(stream, tls_why(stream->session));
    }
}

/* ---- Input ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stream *stream = handle->data;
    (void)suggested;

    *buf = (uv_buf_t){(char *)stream->streams->read_bytes, STREAM_READ_BYTES};
}

/* As much as there is, or fits. */
static enum mk_status plain_collect(struct stream *stream, size_t *total)
{
    uint8_t *plain = stream->streams->plain_bytes;
    enum mk_status status = MK_OK;

    *total = 0;
    while (status == MK_OK && *total < PLAIN_BYTES) {
        size_t count = 0;
        status = tls_read(stream->session, plain + *total, PLAIN_BYTES - *total, &count);
        *total += status == MK_OK ? count : 0;
    }
    return status;
}

static void plain_take(struct stream *stream)
{
    enum mk_status status = MK_OK;

    while (status == MK_OK) {
        size_t total = 0;
        status = plain_collect(stream, &total);
        if (records_send(stream) == MK_IO) {
            status = MK_IO;
        }
        if (total > 0) {
            stream->events->bytes(stream->owner, mk_bytes_of(stream->streams->plain_bytes, total));
        }
        if (stream->closed) {
            return;
        }
    }
    if (status == MK_END) {
        stream->events->ended(stream->owner);
    } else if (status == MK_IO) {
        stream->events->broken(stream->owner, tls_why(stream->session));
    }
}

/* Of a connection that may be TLS, or is: it begins with its first byte. */
static void session_begin(struct stream *stream, uint8_t first)
{
    struct streams *streams = stream->streams;

    if (stream->either && first != TLS_HANDSHAKE_BYTE) {
        stream->tls = NULL;
        opened(stream);
        return;
    }
    if (streams->plain_bytes == NULL) {
        streams->plain_bytes = mk_alloc(PLAIN_BYTES);
    }
    stream->session = tls_accept(stream->tls, &streams->records);
}

static void secure_bytes(struct stream *stream, struct mk_bytes bytes)
{
    if (stream->session == NULL && !stream->open) {
        session_begin(stream, bytes.data[0]);
    }
    if (!stream->closed && stream->session == NULL) {
        stream->events->bytes(stream->owner, bytes);
        return;
    }
    if (stream->closed) {
        return;
    }
    tls_show(stream->session, bytes);
    if (!stream->open) {
        handshake_go(stream);
    }
    if (!stream->closed && stream->open) {
        plain_take(stream);
    }
}

/* An end in the midst of a handshake is worth a line if the handshake had begun: who only looks whether
 * the port is open sends nothing. */
static void socket_failed(struct stream *stream, ssize_t count)
{
    const char *why = count == UV_EOF ? "it closed the connection" : uv_strerror((int)count);

    if (!stream->open && stream->session != NULL) {
        handshake_fail(stream, why);
    } else if (count == UV_EOF && stream->open) {
        stream->events->ended(stream->owner);
    } else {
        stream->events->broken(stream->owner, why);
    }
}

static void on_read(uv_stream_t *socket, ssize_t count, const uv_buf_t *buf)
{
    struct stream *stream = socket->data;

    if (count < 0) {
        socket_failed(stream, count);
    } else if (count > 0 && stream->tls == NULL) {
        stream->events->bytes(stream->owner, mk_bytes_of(buf->base, (size_t)count));
    } else if (count > 0) {
        secure_bytes(stream, mk_bytes_of(buf->base, (size_t)count));
    }
}

enum mk_status stream_read(struct stream *stream, bool wanted)
{
    MK_ASSERT(!stream->closed);
    stream->wanted = wanted;
    wanted = wanted || !stream->open;
    if (wanted == stream->reading) {
        return MK_OK;
    }
    stream->reading = wanted;
    if (!wanted) {
        uv_read_stop((uv_stream_t *)stream->socket);
        return MK_OK;
    }
    return uv_read_start((uv_stream_t *)stream->socket, on_alloc, on_read) == 0 ? MK_OK : MK_IO;
}

/* ---- The beginning and the end ---- */

void stream_init(struct stream *stream, struct streams *streams, uv_tcp_t *socket,
                 const struct stream_events *events, void *owner)
{
    *stream = (struct stream){.streams = streams,
                              .events = events,
                              .owner = owner,
                              .socket = socket,
                              .idle_bytes = STREAM_IDLE_BYTES,
                              .open = true};
    mk_list_init(&stream->waiting);
    socket->data = stream;
}

/* The first records of who dials go out at once. What fails now will fail again in the loop. */
void stream_secure(struct stream *stream, struct tls *tls, const char *host, bool either)
{
    struct streams *streams = stream->streams;

    MK_ASSERT(!stream->reading && (host == NULL || !either));
    stream->open = false;
    stream->tls = tls;
    stream->either = either;
    stream->dialled = host != NULL;
    if (host == NULL) {
        handshakes_limit(streams);
    }
    uv_update_time(streams->loop);
    stream->due_ms = uv_now(streams->loop) + (uint64_t)tls_options(tls)->handshake_ms;
    mk_list_append(&streams->handshakes, &stream->waiting);
    streams->handshakes_count++;
    if (host != NULL) {
        if (streams->plain_bytes == NULL) {
            streams->plain_bytes = mk_alloc(PLAIN_BYTES);
        }
        stream->session = tls_dial(tls, host, &streams->records);
        (void)tls_handshake(stream->session);
        (void)records_send(stream);
    }
    (void)stream_read(stream, false);
    timer_set(streams);
}

enum mk_status stream_end(struct stream *stream)
{
    uv_os_fd_t descriptor = -1;

    MK_ASSERT(!stream->closed);
    if (stream->session != NULL && stream->open) {
        tls_end(stream->session);
        (void)records_send(stream);
    }
    return uv_fileno((uv_handle_t *)stream->socket, &descriptor) == 0 &&
                   shutdown(descriptor, SHUT_WR) == 0
               ? MK_OK
               : MK_IO;
}

/* What was being written has come back by now. */
static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;

    tls_session_free(stream->session);
    mk_buf_free(&stream->queued);
    mk_buf_free(&stream->sending);
    mk_free(stream->socket);
    stream->events->freed(stream->owner);
}

void stream_close(struct stream *stream)
{
    MK_ASSERT(!stream->closed);
    handshake_leave(stream);
    stream->closed = true;
    uv_close((uv_handle_t *)stream->socket, on_closed);
}
