/*   start ──▶ resolve ──▶ connect to the first address ──▶ … to the next … ──▶ done
 *             (or not: an address needs no resolving)
 *
 * Whoever dials is told once, from attempt_end(), or never after dial_cancel(). libuv may hold on to
 * the requests for a while after that: the memory goes when the last of them has come back. */
#include "edge/dial.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HOST_BYTES_MAX 256 /* a DNS name has 253 at most */
#define ADDRESSES_MAX 8    /* of one name; more are not tried */
#define KEEPALIVE_SECONDS 60

struct dial {
    struct dial_options options;
    char host[HOST_BYTES_MAX];
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t addresses_count;
    size_t address; /* the one that is tried */
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_timer_t timer;
    uv_tcp_t *socket; /* on its way */
    int held;         /* requests and handles that libuv has */
    bool ended;       /* told, or cancelled */
    const char *why;
};

static void address_try(struct dial *dial);

/* ---- Sockets ---- */

uv_tcp_t *dial_socket_new(uv_loop_t *loop)
{
    uv_tcp_t *socket = mk_alloc_zero(1, sizeof(*socket));
    int failed = uv_tcp_init(loop, socket);
    MK_ASSERT(failed == 0); /* It opens nothing. */
    return socket;
}

static void on_socket_closed(uv_handle_t *handle)
{
    mk_free(handle);
}

void dial_socket_close(uv_tcp_t *socket)
{
    uv_close((uv_handle_t *)socket, on_socket_closed);
}

void dial_socket_tune(uv_tcp_t *socket, bool keepalive, mk_ms silence_ms)
{
    unsigned silence = silence_ms < INT32_MAX ? (unsigned)silence_ms : INT32_MAX;
    uv_os_fd_t descriptor = -1;

    uv_tcp_nodelay(socket, 1);
    if (keepalive) {
        uv_tcp_keepalive(socket, 1, KEEPALIVE_SECONDS);
    }
    if (uv_fileno((uv_handle_t *)socket, &descriptor) == 0) {
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
    }
}

/* ---- The end ---- */

static void release(struct dial *dial)
{
    MK_ASSERT(dial->held > 0);
    if (--dial->held == 0) {
        mk_free(dial);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void dial_end(struct dial *dial)
{
    MK_ASSERT(!dial->ended);
    dial->ended = true;
    (void)uv_cancel((uv_req_t *)&dial->resolve); /* Who is being served is not to be stopped. */
    uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

void dial_cancel(struct dial *dial)
{
    uv_tcp_t *socket = dial->socket;

    dial_end(dial);
    dial->socket = NULL;
    if (socket != NULL) {
        dial_socket_close(socket);
    }
}

static void attempt_end(struct dial *dial, uv_tcp_t *socket)
{
    struct dial_options options = dial->options;
    const char *why = dial->why;

    dial->socket = NULL;
    dial_end(dial);
    options.done(options.context, socket, socket == NULL ? why : NULL);
}

/* ---- Connecting ---- */

static void address_failed(struct dial *dial, int failed)
{
    uv_tcp_t *socket = dial->socket;

    dial->socket = NULL;
    dial->why = uv_strerror(failed);
    if (socket != NULL) {
        dial_socket_close(socket);
    }
    dial->address++;
    address_try(dial);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct dial *dial = connect->data;
    bool ours = !dial->ended && dial->socket == (uv_tcp_t *)(void *)connect->handle;

    if (ours && status == 0) {
        attempt_end(dial, dial->socket);
    } else if (ours) {
        address_failed(dial, status);
    } else if (!dial->ended && dial->socket == NULL) {
        address_try(dial); /* The time of the one before is over, and its request is back now. */
    }
    release(dial);
}

static void on_time_over(uv_timer_t *timer)
{
    struct dial *dial = timer->data;

    dial->why = uv_strerror(UV_ETIMEDOUT);
    if (dial->socket == NULL) {
        dial->why = "its name is not resolved in time";
        attempt_end(dial, NULL);
        return;
    }
    dial_socket_close(dial->socket);
    dial->socket = NULL; /* on_connected() is called for it, and goes on. */
    dial->address++;
}

static void address_try(struct dial *dial)
{
    if (dial->address == dial->addresses_count) {
        attempt_end(dial, NULL);
        return;
    }
    mk_ms share_ms = dial->options.timeout_ms / (mk_ms)dial->addresses_count;
    dial->socket = dial_socket_new(dial->options.loop);
    dial->connect.data = dial;
    uv_timer_start(&dial->timer, on_time_over, (uint64_t)(share_ms > 0 ? share_ms : 1), 0);
    int failed =
        uv_tcp_connect(&dial->connect, dial->socket,
                       (const struct sockaddr *)&dial->addresses[dial->address], on_connected);
    if (failed == 0) {
        dial->held++;
    } else {
        address_failed(dial, failed);
    }
}

/* ---- Resolving ---- */

static void address_add(struct dial *dial, const struct sockaddr *address)
{
    bool six = address->sa_family == AF_INET6;

    if (dial->addresses_count < ADDRESSES_MAX && (six || address->sa_family == AF_INET)) {
        memcpy(&dial->addresses[dial->addresses_count++], address,
               six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    }
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct dial *dial = resolve->data;

    for (struct addrinfo *info = found; info != NULL; info = info->ai_next) {
        address_add(dial, info->ai_addr);
    }
    uv_freeaddrinfo(found);
    if (!dial->ended) {
        dial->why = status != 0 ? uv_strerror(status) : "its name has no address";
        address_try(dial);
    }
    release(dial);
}

/* What needs no resolving does not wait behind what does. */
static bool address_is_literal(struct dial *dial)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (uv_ip4_addr(dial->host, (int)dial->options.port, &in) == 0) {
        address_add(dial, (const struct sockaddr *)&in);
    } else if (uv_ip6_addr(dial->host, (int)dial->options.port, &in6) == 0) {
        address_add(dial, (const struct sockaddr *)&in6);
    }
    return dial->addresses_count > 0;
}

static void on_begin(uv_timer_t *timer)
{
    struct dial *dial = timer->data;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[16];

    if (address_is_literal(dial)) {
        address_try(dial);
        return;
    }
    uv_timer_start(&dial->timer, on_time_over, (uint64_t)dial->options.timeout_ms, 0);
    (void)snprintf(port, sizeof(port), "%u", dial->options.port);
    dial->resolve.data = dial;
    int failed =
        uv_getaddrinfo(dial->options.loop, &dial->resolve, on_resolved, dial->host, port, &hints);
    if (failed == 0) {
        dial->held++;
    } else {
        dial->why = uv_strerror(failed);
        attempt_end(dial, NULL);
    }
}

struct dial *dial_start(const struct dial_options *options)
{
    struct dial *dial = mk_alloc_zero(1, sizeof(*dial));

    dial->options = *options;
    int length = snprintf(dial->host, sizeof(dial->host), "%s", options->host);
    MK_ASSERT(length >= 0 && (size_t)length < sizeof(dial->host));
    dial->timer.data = dial;
    dial->held = 1; /* the timer */
    uv_timer_init(options->loop, &dial->timer);
    uv_timer_start(&dial->timer, on_begin, 0, 0); /* Nobody is called back from within a call. */
    return dial;
}
