/* Private to edge: sockets that listen at an address, which may be a name that stands for several. */
#ifndef EDGE_BINDING_H
#define EDGE_BINDING_H

#include "base/base.h"

#include <uv.h>

#define BINDING_HANDLES_MAX 8 /* addresses that one host name may stand for */

struct binding {
    uv_tcp_t handles[BINDING_HANDLES_MAX];
    size_t count;
    uint32_t port;    /* which it became */
    char address[80]; /* of the first, for humans */
};
/* Reserve `port` (0: any that is free, the same for all) at `host` (NULL: all addresses). Nobody is
 * accepted yet. 0, or libuv's error: then nothing is bound. Waits for the resolver. */
int binding_bind(struct binding *binding, uv_loop_t *loop, const char *host, uint32_t port);
/* From now on `on_connection` is called, with handle->data set to `data`. 0, or libuv's error. */
int binding_listen(struct binding *binding, int backlog, uv_connection_cb on_connection,
                   void *data);
/* Closes the sockets; `closed` is called for each, or NULL. The binding stays until the loop has run. */
void binding_close(struct binding *binding, uv_close_cb closed);

/* The textual address and the port of whoever is at the other end; an IPv4 address that came over IPv6
 * is IPv4. False: it has gone again. */
bool binding_peer_address(const uv_tcp_t *socket, char *text, size_t size, uint16_t *port);

#endif
