/* A socket's output goes one of two ways:
 *
 *   stream_send ──▶ the socket takes it all                                             MK_OK
 *               └─▶ it does not: the rest becomes `sending`, libuv writes it ──▶ drained
 *
 * There is never more than one write under way, and until it has come back further output stays with
 * whoever has it, who sees it grow. So a connection holds what its owner has bounded, twice at most. */
#include "edge/stream.h"

#include <sys/socket.h>

void streams_init(struct streams *streams, uv_loop_t *loop)
{
    streams->loop = loop;
    streams->read_bytes = mk_alloc(STREAM_READ_BYTES);
}

void streams_deinit(struct streams *streams)
{
    mk_free(streams->read_bytes);
}

/* ---- Output ---- */

static void buf_clear(const struct stream *stream, struct mk_buf *buf)
{
    buf->len = 0;
    if (buf->cap > stream->idle_bytes) {
        mk_buf_free(buf);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct stream *stream = write->data;

    stream->writing = false;
    buf_clear(stream, &stream->sending);
    if (stream->closed) {
        return;
    }
    if (status != 0) {
        stream->events->broken(stream->owner, uv_strerror(status));
    } else {
        stream->events->drained(stream->owner);
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

enum mk_status stream_send(struct stream *stream, struct mk_buf *output)
{
    MK_ASSERT(!stream->closed);
    if (stream->writing) {
        return MK_WOULD_BLOCK;
    }
    if (output->len == 0) {
        return MK_OK;
    }
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

size_t stream_unsent(const struct stream *stream)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)stream->socket);
}

/* ---- Input ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stream *stream = handle->data;
    (void)suggested;

    *buf = uv_buf_init((char *)stream->streams->read_bytes, STREAM_READ_BYTES);
}

static void on_read(uv_stream_t *socket, ssize_t count, const uv_buf_t *buf)
{
    struct stream *stream = socket->data;

    if (count > 0) {
        stream->events->bytes(stream->owner, mk_bytes_of(buf->base, (size_t)count));
    } else if (count == UV_EOF) {
        stream->events->ended(stream->owner);
    } else if (count < 0) {
        stream->events->broken(stream->owner, uv_strerror((int)count));
    }
}

enum mk_status stream_read(struct stream *stream, bool wanted)
{
    MK_ASSERT(!stream->closed);
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
                              .idle_bytes = STREAM_IDLE_BYTES};
    socket->data = stream;
}

enum mk_status stream_end(struct stream *stream)
{
    uv_os_fd_t descriptor = -1;

    MK_ASSERT(!stream->closed);
    return uv_fileno((uv_handle_t *)stream->socket, &descriptor) == 0 &&
                   shutdown(descriptor, SHUT_WR) == 0
               ? MK_OK
               : MK_IO;
}

/* What was being written has come back by now. */
static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;

    mk_buf_free(&stream->sending);
    mk_free(stream->socket);
    stream->events->freed(stream->owner);
}

void stream_close(struct stream *stream)
{
    MK_ASSERT(!stream->closed);
    stream->closed = true;
    uv_close((uv_handle_t *)stream->socket, on_closed);
}
