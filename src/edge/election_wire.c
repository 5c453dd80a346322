/* One connection of the election port: hello, then messages. What a hello means for other connections,
 * and who dials whom: election.c. */
#include "edge/election_wire.h"

#include "edge/dial.h"
#include "jute/jute.h"

#include <inttypes.h>

#define STRANGERS_MAX 64 /* connections whose hello has not come; the oldest makes room */
#define HELLO_BYTES_MAX (8 + 8 + 4 + JUTE_ELECTION_ADDRESSES_BYTES_MAX)

/* ---- Output, and the end ---- */

static void on_freed(void *owner)
{
    struct wire *wire = owner;

    mk_buf_free(&wire->hello);
    mk_buf_free(&wire->output);
    framing_free(&wire->input);
    mk_free(wire);
}

/* It is forgotten; its memory goes later, so that whoever is at work on it may look at `closed`. */
void wire_close(struct wire *wire)
{
    MK_ASSERT(!wire->closed);
    wire->closed = true;
    mk_list_remove(&wire->link);
    if (wire->peer == NULL) {
        wire->election->strangers_count--;
    } else if (wire->peer->wire == wire) {
        wire->peer->wire = NULL;
    } else if (wire->peer->opening == wire) {
        wire->peer->opening = NULL;
    }
    stream_close(&wire->stream);
}

static void wire_broken(struct wire *wire, const char *why)
{
    struct election_peer *peer = wire->peer;
    bool kept = peer != NULL && peer->wire == wire;
    bool unopened = peer != NULL && peer->opening == wire;

    wire_close(wire);
    if (kept) {
        election_peer_ended(peer, why);
    } else if (unopened) {
        election_peer_unopened(peer, why);
    }
}

/* What was to be said has been. */
static void on_drained(void *owner)
{
    struct wire *wire = owner;

    if (wire->calling) {
        wire_close(wire);
    } else {
        wire_flush(wire);
    }
}

void wire_write(struct wire *wire)
{
    enum mk_status status = stream_send(&wire->stream, &wire->output);

    if (status == MK_IO) {
        wire_broken(wire, "nothing can be written to it");
    } else if (status == MK_OK && wire->calling) {
        wire_close(wire);
    }
}

/* The newest message, if the connection has not got it. */
void wire_flush(struct wire *wire)
{
    struct election_peer *peer = wire->peer;

    if (wire->stream.writing || !peer->unsent) {
        return;
    }
    peer->unsent = false;
    mk_buf_put_field(&wire->output, mk_buf_view(&peer->newest));
    wire_write(wire);
}

/* ---- Input ---- */

static void stranger_log(const struct wire *wire, const char *what)
{
    char address[64] = "?";
    uint16_t port = 0;

    (void)binding_peer_address(wire->stream.socket, address, sizeof(address), &port);
    mk_log(wire->election->options.log, MK_LOG_WARN, "%s  address=%s", what, address);
}

/* Whole messages, for as long as the connection is open: what one of them leads to may close it. */
static void messages_take(struct wire *wire, struct mk_bytes unread)
{
    const struct election_options *options = &wire->election->options;
    int64_t from = wire->peer->member->id;
    struct mk_bytes message;

    enum framing_result result =
        framing_next(&wire->input, JUTE_ELECTION_BYTES_MAX, &unread, &message);
    while (result == FRAMING_FRAME && message.len > 0) {
        options->notified(options->context, from, message);
        if (wire->closed) {
            return;
        }
        result = framing_next(&wire->input, JUTE_ELECTION_BYTES_MAX, &unread, &message);
    }
    if (result != FRAMING_MORE) {
        wire_broken(wire, "it sent a message of impossible length");
    }
}

static void hello_refuse(struct wire *wire, int64_t id)
{
    const struct election *election = wire->election;

    if (id == election->options.id) {
        mk_log(election->options.log, MK_LOG_WARN,
               "a server with our own id connects for elections: do two have the same number in"
               " the file myid?  server=%" PRId64,
               id);
    } else {
        mk_log(election->options.log, MK_LOG_WARN,
               "a server that is not in the configuration connects for elections, and is refused"
               "  server=%" PRId64,
               id);
    }
    wire_close(wire);
}

/* With TLS: whether the certificate is that server's. It may name its address, too. */
static bool certificate_fits(const struct wire *wire, const struct election_member *member)
{
    char address[64] = "";
    uint16_t port = 0;

    if (wire->stream.session == NULL || tls_client_is(wire->stream.session, member->host)) {
        return true;
    }
    if (binding_peer_address(wire->stream.socket, address, sizeof(address), &port) &&
        tls_client_is(wire->stream.session, address)) {
        return true;
    }
    mk_log(wire->election->options.log, MK_LOG_WARN,
           "a server is refused for elections: its certificate is not one for its host or address"
           "  server=%" PRId64 " host=%s address=%s",
           member->id, member->host, address);
    return false;
}

static void hello_came(struct wire *wire, int64_t id, struct mk_bytes rest)
{
    struct election *election = wire->election;
    struct election_peer *peer = election_peer_find(election, id);

    if (peer == NULL) {
        hello_refuse(wire, id);
        return;
    }
    if (!certificate_fits(wire, peer->member)) {
        wire_close(wire);
        return;
    }
    if (id < election->options.id) {
        wire_close(wire);
        election_peer_call_back(peer);
        return;
    }
    if (peer->wire != NULL) {
        election_peer_replaced(peer);
        wire_close(peer->wire);
    }
    mk_list_remove(&wire->link);
    election->strangers_count--;
    election_peer_keep(peer, wire);
    wire_flush(wire);
    if (!wire->closed && rest.len > 0) {
        messages_take(wire, rest);
    }
}

static void hello_take(struct wire *wire, struct mk_bytes bytes)
{
    struct jute_election_hello hello;
    size_t used = 0, before = wire->hello.len;

    size_t room = HELLO_BYTES_MAX - before;
    mk_buf_append(&wire->hello, bytes.data, bytes.len < room ? bytes.len : room);
    enum mk_status status = jute_election_hello_read(mk_buf_view(&wire->hello), &hello, &used);
    if (status == MK_WOULD_BLOCK) {
        return;
    }
    if (status != MK_OK) {
        stranger_log(wire, "a connection to the election port does not begin as a server's");
        wire_close(wire);
        return;
    }
    MK_ASSERT(used > before && used <= wire->hello.len); /* else it would have been read before */
    size_t taken = used - before;
    hello_came(wire, hello.id, mk_bytes_of(bytes.data + taken, bytes.len - taken));
}

static void on_opened(void *owner)
{
    struct wire *wire = owner;

    if (wire->peer != NULL) {
        election_peer_opened(wire->peer, wire);
    } /* else a hello is to come */
}

static void on_bytes(void *owner, struct mk_bytes bytes)
{
    struct wire *wire = owner;

    if (wire->peer == NULL) {
        hello_take(wire, bytes);
    } else {
        messages_take(wire, bytes);
    }
}

static void on_broken(void *owner, const char *why)
{
    wire_broken(owner, why);
}

static void on_ended(void *owner)
{
    wire_broken(owner, "it closed the connection");
}

void wire_read(struct wire *wire)
{
    if (stream_read(&wire->stream, true) != MK_OK) {
        wire_broken(wire, "nothing can be read from it");
    }
}

/* ---- The beginning ---- */

struct wire *wire_new(struct election *election, uv_tcp_t *socket, struct election_peer *peer)
{
    static const struct stream_events events = {on_opened, on_bytes,   on_ended,
                                                on_broken, on_drained, on_freed};
    struct wire *wire = mk_alloc_zero(1, sizeof(*wire));

    wire->election = election;
    wire->peer = peer;
    wire->due_ms = INT64_MAX;
    mk_list_init(&wire->link);
    stream_init(&wire->stream, election->options.streams, socket, &events, wire);
    dial_socket_tune(socket, election->options.keepalive, election->options.silence_ms);
    return wire;
}

void wire_accept(uv_stream_t *listener, int status)
{
    struct election *election = listener->data;

    if (status != 0) {
        mk_log(election->options.log, MK_LOG_WARN,
               "a connection to the election port could not be accepted: %s", uv_strerror(status));
        return;
    }
    uv_tcp_t *socket = dial_socket_new(election->options.loop);
    if (uv_accept(listener, (uv_stream_t *)socket) != 0) {
        dial_socket_close(socket);
        return;
    }
    if (election->strangers_count == STRANGERS_MAX) {
        wire_close(MK_CONTAINER(election->strangers.next, struct wire, link));
    }
    struct wire *wire = wire_new(election, socket, NULL);
    wire->due_ms = election_now_ms() + election->options.silence_ms;
    mk_list_append(&election->strangers, &wire->link);
    election->strangers_count++;
    if (election->options.tls != NULL) {
        stream_secure(&wire->stream, election->options.tls, NULL, election->options.accepts_either);
    }
    wire_read(wire);
    election_timer_set(election);
}

void wires_expire(struct mk_link *wires, mk_ms now)
{
    while (!mk_list_empty(wires)) {
        struct wire *wire = MK_CONTAINER(wires->next, struct wire, link);
        if (wire->due_ms > now) {
            return;
        }
        if (wire->peer == NULL && !wire->election->closing) {
            stranger_log(wire, "a connection to the election port said nothing, and is closed");
        }
        wire_close(wire);
    }
}
