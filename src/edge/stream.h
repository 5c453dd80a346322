/* Private to edge: the socket of a connection, as bytes in order. What arrives is shown where it lies;
 * what is to be sent goes out at once as far as the socket takes it, the rest in the background. What the
 * bytes mean, and who may connect, is its owner's affair. */
#ifndef EDGE_STREAM_H
#define EDGE_STREAM_H

#include "base/base.h"

#include <uv.h>

#define STREAM_READ_BYTES (64 * 1024) /* small enough to stay in the cache */
#define STREAM_IDLE_BYTES (16 * 1024)

/* What all streams of one loop share. */
struct streams {
    uv_loop_t *loop;
    uint8_t *read_bytes; /* STREAM_READ_BYTES, filled and used up within one callback */
};
void streams_init(struct streams *streams, uv_loop_t *loop);
void streams_deinit(
    struct streams *streams); /* when the loop has run after the last stream's close */

/* What its owner is told, each from the loop, never from within a call of the owner's, and nothing any
 * more, but `freed`, once it has called stream_close(). */
struct stream_events {
    void (*bytes)(void *owner, struct mk_bytes bytes); /* at least one; borrowed for the call */
    void (*ended)(void *owner);                        /* the other end sends nothing any more */
    void (*broken)(void *owner, const char *why);      /* it is of no use any more: close it */
    void (*drained)(void *owner);                      /* what was under way has been taken */
    void (*freed)(void *owner); /* after stream_close(): the owner's memory may go now */
};

struct stream {
    struct streams *streams;
    const struct stream_events *events;
    void *owner;
    uv_tcp_t *socket;
    uv_write_t write;
    struct mk_buf sending; /* what the socket did not take at once */
    size_t idle_bytes;     /* a larger buffer is not held on to while it is empty; may be changed */
    bool writing;          /* `write` is under way, with `sending` */
    bool reading;
    bool closed;
};

/* `socket` is connected, from dial_socket_new(), and the stream's from now on. Nothing is read yet. */
void stream_init(struct stream *stream, struct streams *streams, uv_tcp_t *socket,
                 const struct stream_events *events, void *owner);
void stream_close(struct stream *stream); /* once; `freed` follows when the loop has run */

/* Whether what arrives is wanted now. MK_IO: it is broken. */
enum mk_status stream_read(struct stream *stream, bool wanted);

/* Send what is in `output` and leave it empty. MK_OK: the socket has taken all that there was to send.
 * MK_WOULD_BLOCK: the rest is under way, and `drained` comes when it is sent; if earlier output was under
 * way already, all of `output` stays where it is. MK_IO: it is broken. */
enum mk_status stream_send(struct stream *stream, struct mk_buf *output);
size_t stream_unsent(const struct stream *stream); /* bytes that are under way */
/* Tell the other end that no more comes. MK_IO: it is broken. */
enum mk_status stream_end(struct stream *stream);

#endif
