/* Private to client: the connect string, and paths below its chroot. Pure functions. */
#ifndef CLIENT_SERVERS_H
#define CLIENT_SERVERS_H

#include "base/base.h"

#define CLIENT_SERVERS_MAX 64 /* an ensemble has a dozen; a list with more is a mistake */

struct client_server {
    char host[256];
    char port[6];
};

struct client_servers {
    struct client_server *list;
    size_t count;
    char *chroot; /* "/a/b"; "": none. Not NULL. */
};

/* False: `error` says what is wrong, and `out` needs no freeing. */
bool client_servers_parse(const char *text, struct client_servers *out, struct mk_error *error);
void client_servers_free(struct client_servers *servers);
void client_servers_shuffle(struct client_servers *servers, struct mk_random *random);
/* "host:port", or "[address]:port", appended. */
void client_server_text(struct mk_buf *out, const struct client_server *server);

/* Append `path`, which begins with "/", as the server knows it. */
void client_chroot_add(struct mk_buf *out, struct mk_bytes chroot, struct mk_bytes path);
/* A path of the server's as the caller knows it; false: it does not lie below the chroot. */
bool client_chroot_strip(struct mk_bytes chroot, struct mk_bytes *path);

#endif
