/* Who may come in. The address is bound before anything else is touched, so that a port in use is
 * known at once; nobody is accepted until the core serves. A connection over a limit is closed right
 * after it was accepted, without a word, as ZooKeeper does it. */
#include "edge/loop.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define BACKLOG_DEFAULT 1024 /* A restart brings all clients at once. */

static struct mk_bytes address_text(const struct address_count *address)
{
    return mk_bytes_of(address->text, address->len);
}

static struct address_count *address_find(struct edge *edge, const char *text)
{
    struct address_count *address = mk_map_bytes_get(&edge->addresses, mk_bytes_text(text));
    if (address == NULL) {
        address = mk_alloc_zero(1, sizeof(*address));
        int length = snprintf(address->text, sizeof(address->text), "%s", text);
        MK_ASSERT(length > 0 && (size_t)length < sizeof(address->text));
        address->len = (uint32_t)length;
        (void)mk_map_bytes_put(&edge->addresses, address_text(address), address);
    }
    return address;
}

void address_release(struct edge *edge, struct address_count *address)
{
    MK_ASSERT(address->conns > 0);
    if (--address->conns == 0) {
        (void)mk_map_bytes_remove(&edge->addresses, address_text(address));
        mk_free(address);
    }
}

/* The peer's address as text. One that came over IPv6 but is IPv4 is shown, counted and matched
 * against ACLs as IPv4. */
static bool peer_of(const uv_tcp_t *tcp, char *text, size_t size, uint16_t *port)
{
    static const char mapped[] = "::ffff:";
    struct sockaddr_storage peer;
    int length = sizeof(peer);

    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&peer, &length) != 0) {
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

static void on_refused_closed(uv_handle_t *handle)
{
    mk_free(handle->data);
}

static bool within_limits(const struct edge *edge, const struct address_count *address)
{
    const struct edge_options *options = edge->options;

    if (options->conns_max > 0 && edge->conns_count >= options->conns_max) {
        mk_log(edge->log, MK_LOG_WARN,
               "connection refused, there are as many as maxCnxns allows"
               "  address=%s max=%u",
               address->text, options->conns_max);
        return false;
    }
    if (options->address_conns_max > 0 && address->conns >= options->address_conns_max) {
        mk_log(edge->log, MK_LOG_WARN,
               "connection refused, its address has as many as maxClientCnxns allows"
               "  address=%s max=%u",
               address->text, options->address_conns_max);
        return false;
    }
    return true;
}

/* Take it in, or say why not. */
static bool conn_admit(struct conn *conn)
{
    struct edge *edge = conn->edge;
    char text[64];
    uint16_t port = 0;

    if (edge->phase != EDGE_SERVING || !peer_of(&conn->tcp, text, sizeof(text), &port)) {
        return false;
    }
    struct address_count *address = address_find(edge, text);
    bool allowed = within_limits(edge, address);
    address->conns++;
    if (!allowed) {
        edge->counters.conns_rejected++;
        address_release(edge, address);
        return false;
    }
    conn_start(conn, address, port);
    return true;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct edge *edge = listener->data;

    turn_begin(edge);
    if (status != 0) {
        mk_log(edge->log, MK_LOG_WARN,
               "a connection could not be accepted: %s: are there enough"
               " file descriptors (ulimit -n)?",
               uv_strerror(status));
        return;
    }
    struct conn *conn = mk_alloc_zero(1, sizeof(*conn));
    conn->edge = edge;
    uv_tcp_init(&edge->loop, &conn->tcp);
    conn->tcp.data = conn;
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0 || !conn_admit(conn)) {
        uv_close((uv_handle_t *)&conn->tcp, on_refused_closed);
    }
}

/* ---- Binding ---- */

static void port_set(struct sockaddr *address, uint32_t port)
{
    if (address->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
    }
}

/* Which port it became, and the text for humans, of the first listener. */
static int bound_address_read(struct edge *edge, uv_tcp_t *listener)
{
    struct sockaddr_storage address;
    int length = sizeof(address);
    char text[64];

    /* libuv keeps a bind that failed for later and tells it here. */
    int failed = uv_tcp_getsockname(listener, (struct sockaddr *)&address, &length);
    if (failed != 0 || edge->listeners_count > 0) {
        return failed;
    }
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
        edge->port = ntohs(in6->sin6_port);
        uv_ip6_name(in6, text, sizeof(text));
        (void)snprintf(edge->address, sizeof(edge->address), "[%s]:%u", text, edge->port);
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
        edge->port = ntohs(in->sin_port);
        uv_ip4_name(in, text, sizeof(text));
        (void)snprintf(edge->address, sizeof(edge->address), "%s:%u", text, edge->port);
    }
    return 0;
}

static int bind_one(struct edge *edge, struct sockaddr *address)
{
    uv_tcp_t *listener = &edge->listeners[edge->listeners_count];

    port_set(address, edge->listeners_count > 0 ? edge->port : edge->options->port);
    int failed = uv_tcp_init_ex(&edge->loop, listener, address->sa_family);
    if (failed != 0) {
        return failed;
    }
    listener->data = edge;
    failed = uv_tcp_bind(listener, address, 0);
    if (failed == 0) {
        failed = bound_address_read(edge, listener);
    }
    if (failed != 0) {
        uv_close((uv_handle_t *)listener, NULL);
        uv_run(&edge->loop, UV_RUN_NOWAIT); /* Its place is used again. */
        return failed;
    }
    edge->listeners_count++;
    return 0;
}

/* All addresses: one IPv6 socket takes IPv4 too; without IPv6 there is IPv4. */
static int bind_all(struct edge *edge)
{
    struct sockaddr_in6 any6;
    struct sockaddr_in any4;

    uv_ip6_addr("::", 0, &any6);
    uv_ip4_addr("0.0.0.0", 0, &any4);
    int failed = bind_one(edge, (struct sockaddr *)&any6);
    if (failed == UV_EAFNOSUPPORT || failed == UV_EADDRNOTAVAIL) {
        failed = bind_one(edge, (struct sockaddr *)&any4);
    }
    return failed;
}

static int bind_named(struct edge *edge, const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    uv_getaddrinfo_t request;

    int failed = uv_getaddrinfo(&edge->loop, &request, NULL, host, NULL, &hints);
    if (failed != 0) {
        return failed;
    }
    for (struct addrinfo *info = request.addrinfo; info != NULL && failed == 0;
         info = info->ai_next) {
        if (edge->listeners_count < LISTENERS_MAX) {
            failed = bind_one(edge, info->ai_addr);
        }
    }
    uv_freeaddrinfo(request.addrinfo);
    return failed;
}

static enum mk_status bind_failed(const struct edge *edge, int failed, struct mk_error *error)
{
    const char *host = edge->options->address != NULL ? edge->options->address : "any address";
    const char *advice = "is clientPortAddress one of this machine's?";

    if (failed == UV_EADDRINUSE) {
        advice = "another process listens there: stop it, or choose another --port";
    } else if (failed == UV_EACCES) {
        advice = "ports below 1024 need privileges: choose another --port";
    }
    mk_error_set(error, "cannot listen on %s, port %u: %s: %s", host, edge->options->port,
                 uv_strerror(failed), advice);
    return failed == UV_EADDRINUSE ? MK_IN_USE : MK_IO;
}

enum mk_status edge_bind(struct edge *edge, struct mk_error *error)
{
    const char *host = edge->options->address;

    int failed = host == NULL ? bind_all(edge) : bind_named(edge, host);
    if (failed == 0) {
        return operators_open(edge, error);
    }
    return bind_failed(edge, failed, error);
}

enum mk_status listener_listen(struct edge *edge, struct mk_error *error)
{
    int backlog =
        edge->options->listen_backlog > 0 ? (int)edge->options->listen_backlog : BACKLOG_DEFAULT;

    for (size_t i = 0; i < edge->listeners_count; i++) {
        int failed = uv_listen((uv_stream_t *)&edge->listeners[i], backlog, on_connection);
        if (failed != 0) {
            return bind_failed(edge, failed, error);
        }
    }
    return MK_OK;
}

void listener_close(struct edge *edge)
{
    for (size_t i = 0; i < edge->listeners_count; i++) {
        if (!uv_is_closing((uv_handle_t *)&edge->listeners[i])) {
            uv_close((uv_handle_t *)&edge->listeners[i], NULL);
        }
    }
}
