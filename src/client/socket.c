/* Names, sockets, the clock: what this room asks of the system, without blocking but for names. */
#include "client/handle.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

mk_ms client_clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (mk_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

mk_ms client_clock_boot_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (mk_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct timespec client_clock_after(int wait_ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    if (wait_ms > 0) {
        at.tv_sec += wait_ms / 1000;
        at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
        if (at.tv_nsec >= 1000000000) {
            at.tv_nsec -= 1000000000;
            at.tv_sec++;
        }
    }
    return at;
}

struct addrinfo *client_socket_resolve(const struct client_server *server, struct mk_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int found = getaddrinfo(server->host, server->port, &hints, &addresses);

    if (found != 0) {
        mk_error_set(error, "%s", gai_strerror(found));
        return NULL;
    }
    return addresses;
}

int client_socket_connect(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int client_socket_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? error : errno;
}

/* strerror() may use a buffer that all threads share. */
const char *client_socket_text(int error)
{
    const char *text = strerrordesc_np(error);

    return text != NULL ? text : "an unknown error";
}
