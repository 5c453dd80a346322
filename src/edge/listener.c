/* Who may come in. The address is bound before anything else is touched, so that a port in use is
 * known at once; nobody is accepted until the core serves. A connection over a limit is closed right
 * after it was accepted, without a word, as ZooKeeper does it. */
#include "edge/dial.h"
#include "edge/loop.h"

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
static bool socket_admit(struct edge *edge, uv_tcp_t *socket, enum conn_entry entry)
{
    char text[64];
    uint16_t port = 0;

    if (edge->phase != EDGE_SERVING || !binding_peer_address(socket, text, sizeof(text), &port)) {
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
    conn_start(edge, socket, entry, address, port);
    return true;
}

static void connection_take(uv_stream_t *listener, int status, enum conn_entry entry)
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
    uv_tcp_t *socket = dial_socket_new(&edge->loop);
    if (uv_accept(listener, (uv_stream_t *)socket) != 0 || !socket_admit(edge, socket, entry)) {
        dial_socket_close(socket);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    const struct edge *edge = listener->data;

    connection_take(listener, status, edge->options->clients_either ? CONN_EITHER : CONN_PLAIN);
}

static void on_secure_connection(uv_stream_t *listener, int status)
{
    connection_take(listener, status, CONN_SECURE);
}

/* ---- Binding ---- */

/* One of the two ports for clients. */
struct port {
    const char *address; /* NULL: any */
    uint32_t number;
    const char *address_option, *other;
};

static struct port plain_port(const struct edge_options *options)
{
    return (struct port){options->address, options->port, "clientPortAddress", "--port"};
}

static struct port secure_port(const struct edge_options *options)
{
    return (struct port){options->secure_address, options->secure_port, "secureClientPortAddress",
                         "secureClientPort"};
}

static enum mk_status bind_failed(const struct port *port, int failed, struct mk_error *error)
{
    const char *host = port->address != NULL ? port->address : "any address";
    char advice[128];

    (void)snprintf(advice, sizeof(advice), "is %s one of this machine's?", port->address_option);
    if (failed == UV_EADDRINUSE) {
        (void)snprintf(advice, sizeof(advice),
                       "another process listens there: stop it, or choose another %s", port->other);
    } else if (failed == UV_EACCES) {
        (void)snprintf(advice, sizeof(advice),
                       "ports below 1024 need privileges: choose another %s", port->other);
    }
    mk_error_set(error, "cannot listen on %s, port %u: %s: %s", host, port->number,
                 uv_strerror(failed), advice);
    return failed == UV_EADDRINUSE ? MK_IN_USE : MK_IO;
}

static enum mk_status port_bind(struct edge *edge, struct binding *binding, const struct port *port,
                                struct mk_error *error)
{
    int failed = binding_bind(binding, &edge->loop, port->address, port->number);

    return failed == 0 ? MK_OK : bind_failed(port, failed, error);
}

enum mk_status edge_bind(struct edge *edge, struct mk_error *error)
{
    const struct edge_options *options = edge->options;
    struct port plain = plain_port(options), secure = secure_port(options);
    enum mk_status status = MK_OK;

    if (options->clients_plain) {
        status = port_bind(edge, &edge->listener, &plain, error);
    }
    if (status == MK_OK && options->secure_given) {
        status = port_bind(edge, &edge->secure_listener, &secure, error);
    }
    if (status == MK_OK) {
        status = ensemble_open(edge, error);
    }
    return status == MK_OK ? operators_open(edge, error) : status;
}

enum mk_status listener_listen(struct edge *edge, struct mk_error *error)
{
    struct port plain = plain_port(edge->options), secure = secure_port(edge->options);
    int backlog =
        edge->options->listen_backlog > 0 ? (int)edge->options->listen_backlog : BACKLOG_DEFAULT;

    int failed = binding_listen(&edge->listener, backlog, on_connection, edge);
    if (failed != 0) {
        return bind_failed(&plain, failed, error);
    }
    failed = binding_listen(&edge->secure_listener, backlog, on_secure_connection, edge);
    return failed == 0 ? MK_OK : bind_failed(&secure, failed, error);
}

void listener_close(struct edge *edge)
{
    binding_close(&edge->listener, NULL);
    binding_close(&edge->secure_listener, NULL);
}
