#include "edge/binding.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static void port_set(struct sockaddr *address, uint32_t port)
{
    if (address->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
    }
}

/* Which port it became, and the text for humans, of the first one. */
static int bound_address_read(struct binding *binding, uv_tcp_t *listener)
{
    struct sockaddr_storage address;
    int length = sizeof(address);
    char text[64];

    /* libuv keeps a bind that failed for later and tells it here. */
    int failed = uv_tcp_getsockname(listener, (struct sockaddr *)&address, &length);
    if (failed != 0 || binding->count > 0) {
        return failed;
    }
    bool six = address.ss_family == AF_INET6;
    if (six) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
        binding->port = ntohs(in6->sin6_port);
        uv_ip6_name(in6, text, sizeof(text));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
        binding->port = ntohs(in->sin_port);
        uv_ip4_name(in, text, sizeof(text));
    }
    (void)snprintf(binding->address, sizeof(binding->address), "%s%s%s:%u", six ? "[" : "", text,
                   six ? "]" : "", binding->port);
    return 0;
}

static int bind_one(struct binding *binding, uv_loop_t *loop, struct sockaddr *address,
                    uint32_t port)
{
    uv_tcp_t *listener = &binding->handles[binding->count];

    port_set(address, binding->count > 0 ? binding->port : port);
    int failed = uv_tcp_init_ex(loop, listener, address->sa_family);
    if (failed != 0) {
        return failed;
    }
    failed = uv_tcp_bind(listener, address, 0);
    if (failed == 0) {
        failed = bound_address_read(binding, listener);
    }
    if (failed != 0) {
        uv_close((uv_handle_t *)listener, NULL);
        uv_run(loop, UV_RUN_NOWAIT); /* Its place is used again. */
        return failed;
    }
    binding->count++;
    return 0;
}

/* All addresses: one IPv6 socket takes IPv4 too; without IPv6 there is IPv4. */
static int bind_all(struct binding *binding, uv_loop_t *loop, uint32_t port)
{
    struct sockaddr_in6 any6;
    struct sockaddr_in any4;

    uv_ip6_addr("::", 0, &any6);
    uv_ip4_addr("0.0.0.0", 0, &any4);
    int failed = bind_one(binding, loop, (struct sockaddr *)&any6, port);
    if (failed == UV_EAFNOSUPPORT || failed == UV_EADDRNOTAVAIL) {
        failed = bind_one(binding, loop, (struct sockaddr *)&any4, port);
    }
    return failed;
}

static int bind_named(struct binding *binding, uv_loop_t *loop, const char *host, uint32_t port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    uv_getaddrinfo_t request;

    int failed = uv_getaddrinfo(loop, &request, NULL, host, NULL, &hints);
    if (failed != 0) {
        return failed;
    }
    for (struct addrinfo *info = request.addrinfo; info != NULL && failed == 0;
         info = info->ai_next) {
        if (binding->count < BINDING_HANDLES_MAX) {
            failed = bind_one(binding, loop, info->ai_addr, port);
        }
    }
    uv_freeaddrinfo(request.addrinfo);
    return failed;
}

int binding_bind(struct binding *binding, uv_loop_t *loop, const char *host, uint32_t port)
{
    int failed =
        host == NULL ? bind_all(binding, loop, port) : bind_named(binding, loop, host, port);

    if (failed != 0 && binding->count > 0) {
        binding_close(binding, NULL);
        uv_run(loop, UV_RUN_NOWAIT);
        binding->count = 0;
    }
    return failed;
}

int binding_listen(struct binding *binding, int backlog, uv_connection_cb on_connection, void *data)
{
    for (size_t i = 0; i < binding->count; i++) {
        binding->handles[i].data = data;
        int failed = uv_listen((uv_stream_t *)&binding->handles[i], backlog, on_connection);
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

void binding_close(struct binding *binding, uv_close_cb closed)
{
    for (size_t i = 0; i < binding->count; i++) {
        if (!uv_is_closing((uv_handle_t *)&binding->handles[i])) {
            uv_close((uv_handle_t *)&binding->handles[i], closed);
        }
    }
}

bool binding_peer_address(const uv_tcp_t *socket, char *text, size_t size, uint16_t *port)
{
    static const char mapped[] = "::ffff:";
    struct sockaddr_storage peer;
    int length = sizeof(peer);

    if (uv_tcp_getpeername(socket, (struct sockaddr *)&peer, &length) != 0) {
        return false; /* It has gone again. */
    }
    if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer;
        *port = ntohs(in6->sin6_port);
        if (uv_ip6_name(in6, text, size) != 0) {
            return false;
        }
        if (strncmp(text, mapped, strlen(mapped)) == 0 && strchr(text, '.') != NULL) {
            memmove(text, text + strlen(mapped), strlen(text) - strlen(mapped) + 1);
        }
        return true;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)&peer;
    *port = ntohs(in->sin_port);
    return peer.ss_family == AF_INET && uv_ip4_name(in, text, size) == 0;
}
