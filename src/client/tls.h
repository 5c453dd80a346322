/* Private to client: TLS over a socket. All of libssl that the room needs is behind this. */
#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include "base/base.h"
#include "client/client.h"

#include <sys/types.h>

/* What all connections of a handle have in common. NULL: `error` says which file cannot be used, and why. */
struct client_tls;
struct client_tls *client_tls_new(const struct moonkeeper_tls *files, struct mk_error *error);
void client_tls_free(struct client_tls *tls);

/* One connection, over a socket that is connected and does not block. Its handshake goes on with whatever is
 * sent or received. The socket stays the caller's. */
struct client_secure;
struct client_secure *client_secure_new(struct client_tls *tls, int fd, const char *host);
void client_secure_free(struct client_secure *secure); /* says goodbye, if it can */
/* As send() and recv(): a count; 0 at the end; or -1 with errno, EAGAIN, or EPROTO and client_secure_why(). */
ssize_t client_secure_send(struct client_secure *secure, const void *data, size_t len);
ssize_t client_secure_receive(struct client_secure *secure, void *data, size_t room);
/* Nothing can be sent before more has come. */
bool client_secure_waits(const struct client_secure *secure);
const char *client_secure_why(const struct client_secure *secure);

#endif
