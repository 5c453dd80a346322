/* Private to edge: one attempt to reach another server. Its name is resolved anew, on libuv's threads,
 * and its addresses are tried one after another, until one takes the connection or the time is over. */
#ifndef EDGE_DIAL_H
#define EDGE_DIAL_H

#include "base/base.h"

#include <uv.h>

/* `socket` is the caller's, who closes it with dial_socket_close(); NULL: `why` says what failed. The
 * dial is gone when this is called. */
typedef void dial_done(void *context, uv_tcp_t *socket, const char *why);

struct dial_options {
    uv_loop_t *loop;
    const char *host; /* a name or an address; copied */
    uint32_t port;
    mk_ms timeout_ms; /* for the name, and the same again for all of its addresses together */
    dial_done *done;  /* never called before dial_start() has returned */
    void *context;
};
struct dial;
struct dial *dial_start(const struct dial_options *options);
void dial_cancel(struct dial *dial); /* and `done` is not called */

/* A socket of our own making, by dialling or accepting; on the heap, as its closing takes a while. */
uv_tcp_t *dial_socket_new(uv_loop_t *loop);
/* Nothing is called back once this has been; socket->data may point to what has gone. */
void dial_socket_close(uv_tcp_t *socket);

/* What all connections between servers have: nothing waits for more to send, and a peer whose machine
 * no longer acknowledges is given up after `silence_ms`, although the protocol may be silent. */
void dial_socket_tune(uv_tcp_t *socket, bool keepalive, mk_ms silence_ms);

#endif
