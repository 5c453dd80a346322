/* The quorum port. A leader is dialled by its learners; after that both sides of a connection are the
 * same here: bytes to the core, the core's output to the socket, one write a turn.
 *
 *   dial      the core says whom; up to TRIES_MAX times, RETRY_MS apart, then it is told that it failed
 *   accept    always, if the core wants it: an elected leader may be dialled before it knows
 *   open      input goes to the core until it wants no more for now; output as far as the socket takes
 *             it, the rest in the background; meanwhile further output stays with the core, which drops
 *             who falls too far behind
 *   closed    by the peer, by TCP (whose machine does not acknowledge for syncLimit ticks), or by the
 *             core */
#include "edge/ensemble.h"

#include <inttypes.h>
#include <string.h>

#define TRIES_MAX 5 /* as the original has it; so is the time between two */
#define RETRY_MS 100
#define BACKLOG 128
/* Twice as many as there can be members: one that comes back may be here before its old connection is
 * known to be broken. Of strangers the core keeps only some, fewer than that. */
#define LINKS_MAX (3 * JUTE_MEMBERS_MAX)
#define SENDING_IDLE_BYTES (64 * 1024) /* A larger buffer is not held on to while it is empty. */

struct link {
    struct quorum *quorum;
    struct stream stream;
    struct server_peer *core; /* NULL: not open yet, or closed */
    int64_t dialled;          /* the member that was, or -1 */
    struct mk_link list;      /* quorum->links */
};

static struct server *server_of(const struct quorum *quorum)
{
    return quorum->edge->core.server;
}

/* ---- One connection ---- */

static void on_freed(void *owner)
{
    mk_free(owner);
}

/* The core is to know it already, or never. */
static void link_end(struct link *link)
{
    link->quorum->links_count -= link->core != NULL;
    link->core = NULL;
    mk_list_remove(&link->list);
    stream_close(&link->stream);
}

static void link_close(struct link *link)
{
    struct server_peer *core = link->core;

    link_end(link);
    server_peer_closed(server_of(link->quorum), core);
}

static void link_reading_update(struct link *link)
{
    bool wanted = !server_peer_paused(link->core) && !server_peer_closing(link->core);

    if (stream_read(&link->stream, wanted) != MK_OK) {
        link_close(link);
    }
}

/* The core has something to do for it. Whoever it wants to leave is sent what the socket takes at once:
 * nothing that is still to come may be waited for. */
static void link_flush(struct link *link)
{
    struct mk_buf *output = server_peer_output(link->core);
    bool something = output->len > 0;
    enum mk_status status = stream_send(&link->stream, output);

    if (status == MK_OK && something) {
        server_peer_drained(server_of(link->quorum), link->core);
    }
    if (status == MK_IO || server_peer_closing(link->core)) {
        link_close(link);
    } else {
        link_reading_update(link);
    }
}

static void on_drained(void *owner)
{
    struct link *link = owner;

    turn_begin(link->quorum->edge);
    if (server_peer_output(link->core)->len == 0) {
        server_peer_drained(server_of(link->quorum), link->core);
    }
    link_flush(link);
}

static void on_bytes(void *owner, struct mk_bytes bytes)
{
    struct link *link = owner;

    turn_begin(link->quorum->edge);
    server_peer_bytes(server_of(link->quorum), link->core, bytes);
    link_reading_update(link);
}

static void dial_failed(struct quorum *quorum, const char *why);

/* Who has gone that was open, the core says. */
static void on_broken(void *owner, const char *why)
{
    struct link *link = owner;
    struct quorum *quorum = link->quorum;

    turn_begin(quorum->edge);
    if (link->core != NULL) {
        link_close(link);
        return;
    }
    link_end(link);
    if (quorum->opening == link) {
        quorum->opening = NULL;
        dial_failed(quorum, why);
    }
}

static void on_ended(void *owner)
{
    on_broken(owner, "it closed the connection");
}

/* ---- The beginning ---- */

/* Whoever connects with TLS must be a member by its certificate, or have its address in it. */
static bool certificate_fits(const struct link *link, const char *address)
{
    const struct edge *edge = link->quorum->edge;
    const struct jute_ensemble *ensemble = edge->options->ensemble;
    const struct tls_session *session = link->stream.session;

    if (session == NULL || link->dialled >= 0 || tls_client_is(session, address)) {
        return true;
    }
    for (size_t i = 0; i < ensemble->members_count; i++) {
        if (tls_client_is(session, ensemble->members[i].host)) {
            return true;
        }
    }
    mk_log(edge->log, MK_LOG_WARN,
           "a connection to the quorum port is refused: its certificate is not one for any"
           " server's host, nor for its address  address=%s",
           address);
    return false;
}

/* Bytes may go both ways, if the core wants it. */
static void on_opened(void *owner)
{
    struct link *link = owner;
    struct quorum *quorum = link->quorum;
    struct edge *edge = quorum->edge;
    int64_t dialled = link->dialled;
    char address[64] = "";
    uint16_t port = 0;

    turn_begin(edge);
    if (dialled >= 0) {
        quorum->opening = NULL;
        quorum->leader = NULL;
    }
    if (edge->phase < EDGE_CHECKPOINTING && quorum->links_count < LINKS_MAX &&
        binding_peer_address(link->stream.socket, address, sizeof(address), &port) &&
        certificate_fits(link, address)) {
        link->core = server_peer_open(edge->core.server, dialled, mk_bytes_text(address), link);
    }
    if (link->core != NULL) {
        quorum->links_count++;
        link_reading_update(link);
        return;
    }
    link_end(link);
    if (dialled >= 0) {
        server_dial_failed(server_of(quorum), dialled);
    }
}

/* `dialled` is the member that was, or -1. */
static void link_begin(struct quorum *quorum, uv_tcp_t *socket, int64_t dialled)
{
    static const struct stream_events events = {on_opened, on_bytes,   on_ended,
                                                on_broken, on_drained, on_freed};
    struct edge *edge = quorum->edge;
    const struct edge_options *options = edge->options;

    struct link *link = mk_alloc_zero(1, sizeof(*link));
    link->quorum = quorum;
    link->dialled = dialled;
    stream_init(&link->stream, &edge->streams, socket, &events, link);
    link->stream.idle_bytes = SENDING_IDLE_BYTES;
    mk_list_append(&quorum->links, &link->list);
    dial_socket_tune(socket, options->peer_keepalive,
                     options->server.tick_ms * options->server.ensemble.sync_limit);
    if (dialled >= 0 && options->peers_secure) {
        quorum->opening = link;
        stream_secure(&link->stream, options->peers_tls, quorum->leader->host, false);
    } else if (dialled < 0 && options->peers_tls != NULL) {
        stream_secure(&link->stream, options->peers_tls, NULL, options->peers_either);
    } else {
        on_opened(link);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct quorum *quorum = listener->data;

    turn_begin(quorum->edge);
    if (status != 0) {
        mk_log(quorum->edge->log, MK_LOG_WARN,
               "a connection to the quorum port could not be accepted: %s", uv_strerror(status));
        return;
    }
    uv_tcp_t *socket = dial_socket_new(&quorum->edge->loop);
    if (uv_accept(listener, (uv_stream_t *)socket) != 0) {
        dial_socket_close(socket);
        return;
    }
    if (quorum->links_count >= LINKS_MAX) {
        quorum_flush(quorum); /* Whom the core has left goes at the end of the turn, or now. */
    }
    link_begin(quorum, socket, -1);
}

/* ---- Dialling the leader ---- */

static void leader_dial(struct quorum *quorum);

static void on_retry(uv_timer_t *retry)
{
    struct quorum *quorum = retry->data;
    leader_dial(quorum);
}

static void dial_forget(struct quorum *quorum)
{
    uv_timer_stop(&quorum->retry);
    if (quorum->dial != NULL) {
        dial_cancel(quorum->dial);
        quorum->dial = NULL;
    }
    if (quorum->opening != NULL) {
        link_end(quorum->opening);
        quorum->opening = NULL;
    }
    quorum->leader = NULL;
}

static void dial_failed(struct quorum *quorum, const char *why)
{
    const struct jute_member *leader = quorum->leader;

    if (quorum->tries < TRIES_MAX) {
        uv_timer_start(&quorum->retry, on_retry, RETRY_MS, 0);
        return;
    }
    mk_log(quorum->edge->log, MK_LOG_WARN,
           "the elected leader cannot be reached: %s  server=%" PRId64 " host=%s port=%u tries=%u",
           why, leader->id, leader->host, leader->quorum_port, quorum->tries);
    quorum->leader = NULL;
    server_dial_failed(server_of(quorum), leader->id);
}

static void on_dialled(void *context, uv_tcp_t *socket, const char *why)
{
    struct quorum *quorum = context;

    turn_begin(quorum->edge);
    quorum->dial = NULL;
    if (socket == NULL) {
        dial_failed(quorum, why);
        return;
    }
    link_begin(quorum, socket, quorum->leader->id);
}

static void leader_dial(struct quorum *quorum)
{
    const struct edge_options *options = quorum->edge->options;
    const struct server_ensemble *ensemble = &options->server.ensemble;
    mk_ms limit_ms = options->server.tick_ms * ensemble->init_limit;

    quorum->tries++;
    quorum->dial = dial_start(&(struct dial_options){.loop = &quorum->edge->loop,
                                                     .host = quorum->leader->host,
                                                     .port = quorum->leader->quorum_port,
                                                     .timeout_ms = limit_ms / TRIES_MAX + 1,
                                                     .done = on_dialled,
                                                     .context = quorum});
}

static const struct jute_member *member_find(const struct edge_options *options, int64_t id)
{
    const struct jute_ensemble *ensemble = options->ensemble;

    for (size_t i = 0; i < ensemble->members_count; i++) {
        if (ensemble->members[i].id == id) {
            return &ensemble->members[i];
        }
    }
    return NULL;
}

/* ---- Together ---- */

void quorum_flush(struct quorum *quorum)
{
    struct server_peer *dirty = server_next_dirty_peer(server_of(quorum));

    for (; dirty != NULL; dirty = server_next_dirty_peer(server_of(quorum))) {
        link_flush(server_peer_owner(dirty));
    }
}

void quorum_take(struct quorum *quorum)
{
    int64_t id = -1;

    quorum_flush(quorum);
    if (!server_dial_take(server_of(quorum), &id)) {
        return;
    }
    dial_forget(quorum);
    quorum->leader = member_find(quorum->edge->options, id);
    MK_ASSERT(quorum->leader != NULL); /* The core follows members only. */
    quorum->tries = 0;
    leader_dial(quorum);
}

enum mk_status quorum_open(struct quorum *quorum, struct edge *edge, const char *host,
                           uint32_t port, struct mk_error *error)
{
    quorum->edge = edge;
    mk_list_init(&quorum->links);
    int failed = binding_bind(&quorum->binding, &edge->loop, host, port);
    if (failed != 0) {
        mk_error_set(error, "cannot listen for the other servers at %s, port %" PRIu32 ": %s",
                     host != NULL ? host : "any address", port, uv_strerror(failed));
        return failed == UV_EADDRINUSE ? MK_IN_USE : MK_IO;
    }
    quorum->retry.data = quorum;
    uv_timer_init(&edge->loop, &quorum->retry);
    return MK_OK;
}

enum mk_status quorum_start(struct quorum *quorum, struct mk_error *error)
{
    int failed = binding_listen(&quorum->binding, BACKLOG, on_connection, quorum);

    if (failed != 0) {
        mk_error_set(error, "cannot listen for the other servers at %s: %s",
                     quorum->binding.address, uv_strerror(failed));
        return MK_IO;
    }
    return MK_OK;
}

void quorum_close(struct quorum *quorum)
{
    dial_forget(quorum);
    while (!mk_list_empty(&quorum->links)) {
        link_end(MK_CONTAINER(quorum->links.next, struct link, list));
    }
    binding_close(&quorum->binding, NULL);
    if (!uv_is_closing((uv_handle_t *)&quorum->retry)) {
        uv_close((uv_handle_t *)&quorum->retry, NULL);
    }
}
