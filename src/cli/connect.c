/* From a list of servers to a connected socket. */
#include "cli/cli.h"
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_DEFAULT "2181"

/* ---- The list ---- */

static bool port_valid(const char *port)
{
    unsigned value = 0;

    for (const char *c = port; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(*c - '0');
    }
    return port[0] != '\0' && value > 0 && value <= UINT16_MAX;
}

/* "host", "host:port", "[address]", "[address]:port"; an address with several colons needs brackets. */
static bool name_split(const char *text, size_t len, struct server_name *name)
{
    const char *host = text;
    const char *end = text + len;
    const char *host_end = memchr(text, ':', len);

    if (len > 0 && text[0] == '[') {
        host = text + 1;
        host_end = memchr(text, ']', len);
        if (host_end == NULL || (host_end + 1 != end && host_end[1] != ':')) {
            return false;
        }
    }
    const char *port = host_end == NULL ? NULL : *host_end == ']' ? host_end + 1 : host_end;
    host_end = host_end == NULL ? end : host_end;
    size_t host_len = (size_t)(host_end - host);
    if (host_len == 0 || host_len >= sizeof(name->host)) {
        return false;
    }
    memcpy(name->host, host, host_len);
    name->host[host_len] = '\0';
    if (port == NULL || port == end) {
        memcpy(name->port, PORT_DEFAULT, sizeof(PORT_DEFAULT));
        return true;
    }
    size_t port_len = (size_t)(end - port - 1);
    if (port_len >= sizeof(name->port)) {
        return false;
    }
    memcpy(name->port, port + 1, port_len);
    name->port[port_len] = '\0';
    return port_valid(name->port);
}

bool servers_next(const char **at, struct server_name *name)
{
    if (**at == '\0') {
        return false;
    }
    size_t len = strcspn(*at, ",");
    if (!name_split(*at, len, name)) {
        return false;
    }
    *at += len;
    if (**at == ',') {
        *at += 1;
    }
    return true;
}

bool servers_valid(const char *servers, struct mk_error *error)
{
    struct server_name name;
    const char *at = servers;

    while (servers_next(&at, &name)) {
        continue;
    }
    if (*servers == '\0' || *at != '\0') {
        mk_error_set(error, "\"%.100s\" is not a list of servers: host:port[,host:port]", servers);
        return false;
    }
    return true;
}

/* ---- The socket ---- */

static int address_connect(const struct addrinfo *address, mk_ms until_ms)
{
    int error = 0;
    int on = 1;
    socklen_t error_bytes = sizeof(error);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        mk_ms left_ms = until_ms - client_now();
        if (errno != EINPROGRESS) {
            goto fail;
        }
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0) {
            errno = ETIMEDOUT;
            goto fail;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0 || error != 0) {
            errno = error != 0 ? error : errno;
            goto fail;
        }
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;

fail:
    error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

int socket_connect(const struct server_name *name, mk_ms until_ms, struct mk_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int found = getaddrinfo(name->host, name->port, &hints, &addresses);
    int fd = -1;

    if (found != 0) {
        mk_error_set(error, "%s: %s", name->host, gai_strerror(found));
        return -1;
    }
    for (struct addrinfo *at = addresses; at != NULL && fd < 0; at = at->ai_next) {
        fd = address_connect(at, until_ms);
        if (fd < 0) {
            mk_error_set(error, "%s:%s: %s", name->host, name->port, strerror(errno));
        }
    }
    freeaddrinfo(addresses);
    return fd;
}
