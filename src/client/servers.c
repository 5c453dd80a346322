/* "host:port,[address]:port,host/chroot". The separators cannot occur in what they separate: the first
 * "/" begins the chroot, "," ends a server, the last ":" outside of brackets its host. */
#include "client/servers.h"

#include <string.h>

#define PORT_DEFAULT "2181"

/* ---- One server ---- */

static bool port_set(struct client_server *server, const char *text, size_t len)
{
    unsigned value = 0;

    if (len == 0 || len >= sizeof(server->port)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    memcpy(server->port, text, len);
    server->port[len] = '\0';
    return value > 0 && value <= UINT16_MAX;
}

static bool host_set(struct client_server *server, const char *text, size_t len)
{
    if (len == 0 || len >= sizeof(server->host)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\n[]", text[i]) != NULL) {
            return false;
        }
    }
    memcpy(server->host, text, len);
    server->host[len] = '\0';
    return true;
}

/* An address with several colons needs brackets: without them, where does the port begin? */
static bool server_parse(const char *text, size_t len, struct client_server *server)
{
    const char *end = text + len;
    const char *host = text;
    const char *host_end = memchr(text, ':', len);
    const char *rest = host_end;

    if (len > 0 && text[0] == '[') {
        host = text + 1;
        host_end = memchr(text, ']', len);
        rest = host_end != NULL ? host_end + 1 : NULL;
        if (host_end == NULL || (rest != end && *rest != ':')) {
            return false;
        }
    }
    if (rest == NULL || rest == end) {
        memcpy(server->port, PORT_DEFAULT, sizeof(PORT_DEFAULT));
        return host_set(server, host, (size_t)((host_end != NULL ? host_end : end) - host));
    }
    return host_set(server, host, (size_t)(host_end - host)) &&
           port_set(server, rest + 1, (size_t)(end - rest - 1));
}

/* ---- The list ---- */

static bool list_parse(const char *text, size_t len, struct client_servers *out,
                       struct mk_error *error)
{
    const char *at = text;
    const char *end = text + len;

    while (at <= end && out->count < CLIENT_SERVERS_MAX) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        const char *next = stop + 1;
        while (at < stop && *at == ' ') {
            at++;
        }
        while (stop > at && stop[-1] == ' ') {
            stop--;
        }
        bool trailing = at == stop && comma == NULL && out->count > 0;
        if (!trailing && !server_parse(at, (size_t)(stop - at), &out->list[out->count++])) {
            mk_error_set(error, "\"%.100s\" is not a list of servers: host:port[,host:port]", text);
            return false;
        }
        at = next;
    }
    if (at <= end) {
        mk_error_set(error, "there are more than %d servers in the list", CLIENT_SERVERS_MAX);
        return false;
    }
    return true;
}

/* The server checks the characters; here it matters that a path can be put behind it. */
static bool chroot_fits(const char *chroot)
{
    size_t len = strlen(chroot);

    return strstr(chroot, "//") == NULL && (len == 0 || chroot[len - 1] != '/');
}

bool client_servers_parse(const char *text, struct client_servers *out, struct mk_error *error)
{
    size_t len = strcspn(text, "/");
    const char *chroot = strcmp(text + len, "/") == 0 ? "" : text + len;
    size_t chroot_bytes = strlen(chroot) + 1;

    *out = (struct client_servers){.list = NULL};
    if (!chroot_fits(chroot)) {
        mk_error_set(error, "\"%.100s\" is not a path below which others can be", chroot);
        return false;
    }
    out->list = mk_alloc_zero(CLIENT_SERVERS_MAX, sizeof(*out->list));
    out->chroot = mk_alloc(chroot_bytes);
    memcpy(out->chroot, chroot, chroot_bytes);
    if (!list_parse(text, len, out, error)) {
        client_servers_free(out);
        return false;
    }
    MK_ASSERT(out->count > 0);
    return true;
}

void client_servers_free(struct client_servers *servers)
{
    mk_free(servers->list);
    mk_free(servers->chroot);
    *servers = (struct client_servers){.list = NULL};
}

void client_servers_shuffle(struct client_servers *servers, struct mk_random *random)
{
    for (size_t left = servers->count; left > 1; left--) {
        size_t other = (size_t)mk_random_below(random, left);
        struct client_server moved = servers->list[other];
        servers->list[other] = servers->list[left - 1];
        servers->list[left - 1] = moved;
    }
}

void client_server_text(struct mk_buf *out, const struct client_server *server)
{
    bool address = strchr(server->host, ':') != NULL;

    mk_buf_printf(out, address ? "[%s]:%s" : "%s:%s", server->host, server->port);
}

/* ---- Paths ---- */

void client_chroot_add(struct mk_buf *out, struct mk_bytes chroot, struct mk_bytes path)
{
    MK_ASSERT(path.len > 0 && path.data[0] == '/');
    mk_buf_append_bytes(out, chroot);
    if (chroot.len == 0 || path.len > 1) {
        mk_buf_append_bytes(out, path);
    }
}

bool client_chroot_strip(struct mk_bytes chroot, struct mk_bytes *path)
{
    if (chroot.len == 0) {
        return true;
    }
    if (!mk_bytes_starts(*path, chroot) ||
        (path->len > chroot.len && path->data[chroot.len] != '/')) {
        return false;
    }
    *path = path->len == chroot.len ? MK_BYTES("/")
                                    : mk_bytes_of(path->data + chroot.len, path->len - chroot.len);
    return true;
}
