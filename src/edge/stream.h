/* Private to edge: the socket of a connection, as bytes in order, with TLS or without. What arrives is shown
 * where it lies; what is to be sent goes out at once as far as the socket takes it, the rest in the
 * background. What the bytes mean, and who may connect, is its owner's affair. */
#ifndef EDGE_STREAM_H
#define EDGE_STREAM_H

#include "edge/tls.h"

#include <uv.h>

#define STREAM_READ_BYTES (64 * 1024) /* small enough to stay in the cache */
#define STREAM_IDLE_BYTES (16 * 1024)

/* What all streams of one loop share. */
struct streams {
    uv_loop_t *loop;
    const struct mk_log *log;
    uint8_t *read_bytes;       /* STREAM_READ_BYTES, filled and used up within one callback */
    uint8_t *plain_bytes;      /* ... likewise, what they are without TLS; NULL: none has it yet */
    struct mk_buf records;     /* of TLS, on their way to a socket; empty between two calls */
    struct mk_link handshakes; /* not open yet; oldest first */
    size_t handshakes_count;
    size_t handshakes_max;      /* of those accepted, the oldest makes room */
    uint64_t handshakes_pushed; /* out, by younger ones */
    uint64_t handshakes_failed; /* these included */
    uv_timer_t timer;           /* for the oldest's end */
};
void streams_init(struct streams *streams, uv_loop_t *loop, const struct mk_log *log,
                  size_t handshakes_max);
/* No stream may be open any more; the memory may go when the loop has run. */
void streams_close(struct streams *streams);
void streams_deinit(struct streams *streams);

/* What its owner is told, each from the loop, never from within a call of the owner's, and nothing any
 * more, but `freed`, once it has called stream_close(). */
struct stream_events {
    void (*opened)(
        void *owner); /* the handshake is done: of those that stream_secure() was called for */
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
    bool wanted; /* by the owner; until it is open it is read anyway */
    bool open;   /* bytes may be sent */
    bool closed;
    /* TLS: */
    struct tls *tls;             /* of what kind; NULL: it is none */
    struct tls_session *session; /* NULL: it has not begun, or is none */
    bool either;                 /* the first byte will tell whether it is TLS */
    bool dialled;
    struct mk_buf queued;   /* records that came up while others were under way */
    struct mk_link waiting; /* streams->handshakes */
    uint64_t due_ms;
};

/* `socket` is connected, from dial_socket_new(), and the stream's from now on. Nothing is read yet. */
void stream_init(struct stream *stream, struct streams *streams, uv_tcp_t *socket,
                 const struct stream_events *events, void *owner);
/* It is not open before the handshake of TLS is done, which `opened` says. `host` is the one that was
 * dialled; NULL: it was accepted, and then with `either` it is plain if it does not begin as TLS. */
void stream_secure(struct stream *stream, struct tls *tls, const char *host, bool either);
void stream_close(struct stream *stream); /* once; `freed` follows when the loop has run */

/* Whether what arrives is wanted now. MK_IO: it is broken. */
enum mk_status stream_read(struct stream *stream, bool wanted);

/* Send what is in `output` and leave it empty. MK_OK: the socket has taken all that there was to send.
 * MK_WOULD_BLOCK: the rest is under way, and `drained` comes when it is sent; if earlier output was under
 * way already, or it is not open yet, all of `output` stays where it is. MK_IO: it is broken. */
enum mk_status stream_send(struct stream *stream, struct mk_buf *output);
size_t stream_unsent(const struct stream *stream); /* bytes that are under way */
/* Tell the other end that no more comes. MK_IO: it is broken. */
enum mk_status stream_end(struct stream *stream);

#endif
