/* The life of a connection with another server. Of two servers the one with the larger id makes the
 * connection that stays; a connection by the other one only asks it to do so:
 *
 *   we dial, our id is larger    hello and messages; it is the one                   dialled()
 *   we dial, our id is smaller   hello, then we close: "call me"                     dialled()
 *   it dials, its id is larger   it is the one, and replaces an older one            hello_came()
 *   it dials, its id is smaller  that one and an older one are closed, and we dial   hello_came()
 *
 * A connection that breaks is dialled again at once (by the server whose it is to dial; the other one
 * gives it a moment), or after a pause if it was a young one, then after RETRY_MS_MIN, and after twice
 * as long each time, up to RETRY_MS_MAX. A
 * message to somebody who is not connected is a reason to try earlier. Observers are dialled only
 * when there is something to tell them: nobody waits for their votes.
 *
 * There is no answer to a hello and no ping: whether a peer still lives is TCP's to find out. Who
 * connects and says nothing is closed after a while, and waits for nobody's turn but its own.
 *
 * Source: zookeeper-quorum.md, section 2. */
#include "edge/election.h"

#include "edge/dial.h"
#include "edge/election_wire.h"
#include "jute/jute.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS_MIN 50
#define RETRY_MS_MAX 3000
/* Behind the end of a younger connection there is a pause, a longer one each time. */
#define STEADY_MS RETRY_MS_MAX
/* A connection that lives and is replaced when it is younger than this, so many times in a row: that is
 * more than a server that starts anew, or does not trust its connection. */
#define REPLACED_MS 10000
#define REPLACED_MAX 3
#define TELL_MS 60000 /* Why a server cannot be reached is said again so often. */
#define BACKLOG 128
#define ADDRESS_BYTES_MAX 320 /* "host:port", a host having 255 bytes at most */

static void peer_dial(struct election_peer *peer);

mk_ms election_now_ms(void)
{
    return (mk_ms)(uv_hrtime() / 1000000);
}

struct election_peer *election_peer_find(struct election *election, int64_t id)
{
    for (size_t i = 0; i < election->peers_count; i++) {
        if (election->peers[i].member->id == id) {
            return &election->peers[i];
        }
    }
    return NULL;
}

/* ---- Who cannot be reached, and why ---- */

static void reachable_tell(struct election_peer *peer, bool reachable)
{
    const struct election_options *options = &peer->election->options;

    if (options->reachable != NULL) {
        options->reachable(options->context, peer->member->id, reachable);
    }
}

static void peer_missing(struct election_peer *peer, const char *why)
{
    const struct election_member *member = peer->member;
    mk_ms now = election_now_ms();

    if (peer->why == NULL) {
        peer->since_ms = now;
    }
    peer->why = why;
    if (peer->told != NULL && strcmp(peer->told, why) == 0 && now < peer->told_again_ms) {
        return;
    }
    peer->told = why;
    peer->told_again_ms = now + TELL_MS;
    mk_log(peer->election->options.log, MK_LOG_WARN,
           "a server cannot be reached for elections: %s  server=%" PRId64 " host=%s port=%" PRIu32
           " missing_ms=%" PRId64,
           why, member->id, member->host, member->port, now - peer->since_ms);
}

static void peer_reached(struct election_peer *peer)
{
    const struct election_member *member = peer->member;
    mk_ms now = election_now_ms();

    mk_log(peer->election->options.log, MK_LOG_INFO,
           "connected for elections  server=%" PRId64 " host=%s port=%" PRIu32
           " missing_ms=%" PRId64,
           member->id, member->host, member->port, peer->why != NULL ? now - peer->since_ms : 0);
    peer->since_ms = now;
    peer->why = peer->told = NULL;
    peer->backoff_ms = 0;
    peer->dial_due_ms = INT64_MAX;
    reachable_tell(peer, true);
}

/* ---- The connection that stays ---- */

static bool dialling(const struct election_peer *peer)
{
    return peer->dial != NULL || peer->opening != NULL;
}

static void dial_end(struct election_peer *peer)
{
    if (peer->dial != NULL) {
        dial_cancel(peer->dial);
        peer->dial = NULL;
    }
    if (peer->opening != NULL) {
        wire_close(peer->opening);
    }
}

/* `wire` is the one that stays. What the peer was told last it is told again: it may never have read it,
 * or have started anew since. */
void election_peer_keep(struct election_peer *peer, struct wire *wire)
{
    MK_ASSERT(peer->wire == NULL);
    wire->peer = peer;
    peer->wire = wire;
    peer->unsent = peer->newest.len > 0;
    dial_end(peer);
    peer_reached(peer);
}

static bool wanted(const struct election_peer *peer)
{
    return !peer->member->observer || peer->unsent;
}

static void pause_set(struct election_peer *peer, mk_ms lived_ms)
{
    mk_ms twice_ms = peer->pause_ms * 2 < RETRY_MS_MIN ? RETRY_MS_MIN : peer->pause_ms * 2;

    if (lived_ms >= STEADY_MS) {
        peer->pause_ms = 0;
    } else {
        peer->pause_ms = twice_ms < RETRY_MS_MAX ? twice_ms : RETRY_MS_MAX;
    }
}

void election_peer_ended(struct election_peer *peer, const char *why)
{
    mk_ms now = election_now_ms();

    pause_set(peer, now - peer->since_ms);
    peer_missing(peer, why);
    reachable_tell(peer, false);
    if (wanted(peer) && !dialling(peer)) {
        bool theirs = peer->election->options.id < peer->member->id; /* they may be dialling now */
        mk_ms least_ms = theirs ? RETRY_MS_MIN : 0;
        peer->dial_due_ms = now + (peer->pause_ms > least_ms ? peer->pause_ms : least_ms);
        election_timer_set(peer->election);
    }
}

/* Of two servers with one number each takes the other's place again and again. */
void election_peer_replaced(struct election_peer *peer)
{
    mk_ms now = election_now_ms();

    peer->replaced = now - peer->since_ms < REPLACED_MS ? peer->replaced + 1 : 0;
    if (peer->replaced == REPLACED_MAX) {
        peer->replaced = 0;
        mk_log(peer->election->options.log, MK_LOG_WARN,
               "a server's connections for elections replace each other: do two servers have the"
               " same number in the file myid?  server=%" PRId64 " host=%s port=%" PRIu32,
               peer->member->id, peer->member->host, peer->member->port);
    }
}

/* "Call me": whatever connection there is, the peer does not have it any more. */
void election_peer_call_back(struct election_peer *peer)
{
    if (peer->wire != NULL) {
        election_peer_replaced(peer);
        wire_close(peer->wire);
        peer->since_ms = election_now_ms();
        peer->why = "it asked for a new connection";
    }
    if (!dialling(peer)) {
        peer_dial(peer);
    }
}

/* ---- Dialling ---- */

static void hello_put(const struct election *election, struct mk_buf *out)
{
    const struct election_member *self = election->self;
    char address[ADDRESS_BYTES_MAX];

    /* An IPv6 address has brackets, so that its port can be told from it. */
    bool six = strchr(self->host, ':') != NULL;
    int length = snprintf(address, sizeof(address), "%s%s%s:%" PRIu32, six ? "[" : "", self->host,
                          six ? "]" : "", self->port);
    MK_ASSERT(length > 0 && (size_t)length < sizeof(address));
    jute_put_election_hello(
        out, &(struct jute_election_hello){.id = self->id, .addresses = mk_bytes_text(address)});
}

/* Whoever is not connected: when to try again. */
static void retry_set(struct election_peer *peer)
{
    mk_ms twice_ms = peer->backoff_ms * 2;

    peer->backoff_ms = twice_ms < RETRY_MS_MIN ? RETRY_MS_MIN : twice_ms;
    if (peer->backoff_ms > RETRY_MS_MAX) {
        peer->backoff_ms = RETRY_MS_MAX;
    }
    peer->dial_due_ms = wanted(peer) ? election_now_ms() + peer->backoff_ms : INT64_MAX;
    election_timer_set(peer->election);
}

/* We only ask to be called. That it has not helped the last time is worth a line. */
static void call_begin(struct wire *wire)
{
    static const char asked[] = "it was asked to connect, and has not done so";
    struct election_peer *peer = wire->peer;

    wire->calling = true;
    wire->due_ms = election_now_ms() + wire->election->options.silence_ms;
    mk_list_append(&wire->election->callers, &wire->link);
    if (peer->why == asked) {
        peer_missing(peer, asked);
    }
    peer->why = asked;
    reachable_tell(peer, true);
    retry_set(peer);
}

void election_peer_unopened(struct election_peer *peer, const char *why)
{
    peer_missing(peer, why);
    reachable_tell(peer, false);
    retry_set(peer);
}

void election_peer_opened(struct election_peer *peer, struct wire *wire)
{
    struct election *election = peer->election;

    MK_ASSERT(peer->wire == NULL);
    peer->opening = NULL;
    hello_put(election, &wire->output);
    if (election->options.id < peer->member->id) {
        call_begin(wire);
    } else {
        election_peer_keep(peer, wire);
    }
    wire_write(wire); /* The hello goes alone: it must come in one piece. */
    if (!wire->closed && !wire->calling) {
        wire_flush(wire);
    }
    if (!wire->closed && !wire->calling) {
        wire_read(wire);
    }
}

static void dialled(void *context, uv_tcp_t *socket, const char *why)
{
    struct election_peer *peer = context;
    struct election *election = peer->election;

    MK_ASSERT(peer->wire == NULL);
    peer->dial = NULL;
    if (socket == NULL) {
        election_peer_unopened(peer, why);
        return;
    }
    struct wire *wire = wire_new(election, socket, peer);
    peer->opening = wire;
    if (election->options.dials_secure) {
        stream_secure(&wire->stream, election->options.tls, peer->member->host, false);
    } else {
        election_peer_opened(peer, wire);
    }
}

static void peer_dial(struct election_peer *peer)
{
    const struct election_options *options = &peer->election->options;

    MK_ASSERT(!dialling(peer) && peer->wire == NULL);
    peer->dialled_ms = election_now_ms();
    peer->dial_due_ms = INT64_MAX;
    peer->dial = dial_start(&(struct dial_options){.loop = options->loop,
                                                   .host = peer->member->host,
                                                   .port = peer->member->port,
                                                   .timeout_ms = options->connect_timeout_ms,
                                                   .done = dialled,
                                                   .context = peer});
}

void election_send(struct election *election, int64_t to, struct mk_bytes message)
{
    struct election_peer *peer = election_peer_find(election, to);

    MK_ASSERT(message.len > 0 && message.len <= JUTE_ELECTION_BYTES_MAX);
    if (peer == NULL || election->closing) {
        return; /* It has left the configuration, or we leave. */
    }
    peer->newest.len = 0;
    mk_buf_append_bytes(&peer->newest, message);
    peer->unsent = true;
    if (peer->wire != NULL) {
        wire_flush(peer->wire);
    } else if (!dialling(peer)) {
        mk_ms due_ms = peer->dialled_ms + RETRY_MS_MIN;
        peer->dial_due_ms = due_ms < peer->dial_due_ms ? due_ms : peer->dial_due_ms;
        election_timer_set(election);
    }
}

/* ---- Time ---- */

static void on_timer(uv_timer_t *timer)
{
    struct election *election = timer->data;
    mk_ms now = election_now_ms();

    wires_expire(&election->strangers, now);
    wires_expire(&election->callers, now);
    for (size_t i = 0; i < election->peers_count; i++) {
        struct election_peer *peer = &election->peers[i];
        if (peer->dial_due_ms <= now && !dialling(peer) && peer->wire == NULL) {
            peer_dial(peer);
        }
    }
    election_timer_set(election);
}

static mk_ms first_due(const struct mk_link *wires, mk_ms due_ms)
{
    if (mk_list_empty(wires)) {
        return due_ms;
    }
    mk_ms first_ms = MK_CONTAINER(wires->next, struct wire, link)->due_ms;
    return first_ms < due_ms ? first_ms : due_ms;
}

void election_timer_set(struct election *election)
{
    mk_ms due_ms = INT64_MAX, now = election_now_ms();

    if (election->closing) {
        return;
    }
    due_ms = first_due(&election->strangers, due_ms);
    due_ms = first_due(&election->callers, due_ms);
    for (size_t i = 0; i < election->peers_count; i++) {
        mk_ms dial_due_ms = election->peers[i].dial_due_ms;
        due_ms = dial_due_ms < due_ms ? dial_due_ms : due_ms;
    }
    if (due_ms == INT64_MAX) {
        uv_timer_stop(&election->timer);
        return;
    }
    uv_update_time(election->options.loop);
    uv_timer_start(&election->timer, on_timer, due_ms > now ? (uint64_t)(due_ms - now) : 0, 0);
}

/* ---- Life ---- */

static void peers_make(struct election *election)
{
    const struct election_options *options = &election->options;

    election->peers = mk_alloc_zero(options->members_count, sizeof(election->peers[0]));
    for (size_t i = 0; i < options->members_count; i++) {
        if (options->members[i].id == options->id) {
            election->self = &options->members[i];
            continue;
        }
        struct election_peer *peer = &election->peers[election->peers_count++];
        peer->election = election;
        peer->member = &options->members[i];
        peer->dial_due_ms = INT64_MAX;
        peer->since_ms = election_now_ms();
        peer->why = "it has not been tried yet";
    }
    MK_ASSERT(election->self != NULL);
}

static void election_free(struct election *election)
{
    for (size_t i = 0; i < election->peers_count; i++) {
        mk_buf_free(&election->peers[i].newest);
    }
    mk_free(election->peers);
    mk_free(election);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct election *election = handle->data;

    if (--election->handles == 0) {
        election_free(election);
    }
}

struct election *election_open(const struct election_options *options, struct mk_error *error)
{
    struct election *election = mk_alloc_zero(1, sizeof(*election));

    election->options = *options;
    mk_list_init(&election->strangers);
    mk_list_init(&election->callers);
    peers_make(election);
    const char *host = options->listen_all ? NULL : election->self->host;
    int failed = binding_bind(&election->binding, options->loop, host, election->self->port);
    if (failed != 0) {
        mk_error_set(error, "cannot listen for elections at %s, port %" PRIu32 ": %s",
                     host != NULL ? host : "any address", election->self->port,
                     uv_strerror(failed));
        election_free(election);
        return NULL;
    }
    election->timer.data = election;
    uv_timer_init(options->loop, &election->timer);
    election->handles = 1 + election->binding.count;
    for (size_t i = 0; i < election->binding.count; i++) {
        election->binding.handles[i].data = election;
    }
    return election;
}

uint32_t election_port(const struct election *election)
{
    return election->binding.port;
}

enum mk_status election_start(struct election *election, struct mk_error *error)
{
    int failed = binding_listen(&election->binding, BACKLOG, wire_accept, election);

    if (failed != 0) {
        mk_error_set(error, "cannot listen for elections at %s: %s", election->binding.address,
                     uv_strerror(failed));
        return MK_IO;
    }
    for (size_t i = 0; i < election->peers_count; i++) {
        if (!election->peers[i].member->observer) {
            election->peers[i].dial_due_ms = 0;
        }
    }
    election_timer_set(election);
    return MK_OK;
}

void election_close(struct election *election)
{
    election->closing = true;
    wires_expire(&election->strangers, INT64_MAX);
    wires_expire(&election->callers, INT64_MAX);
    for (size_t i = 0; i < election->peers_count; i++) {
        struct election_peer *peer = &election->peers[i];
        if (peer->wire != NULL) {
            wire_close(peer->wire);
        }
        dial_end(peer);
    }
    binding_close(&election->binding, on_handle_closed);
    uv_close((uv_handle_t *)&election->timer, on_handle_closed);
}

bool election_peer_state(const struct election *election, size_t index,
                         struct election_peer_state *out)
{
    if (index >= election->peers_count) {
        return false;
    }
    const struct election_peer *peer = &election->peers[index];
    *out = (struct election_peer_state){.id = peer->member->id,
                                        .connected = peer->wire != NULL,
                                        .since_ms = peer->since_ms,
                                        .why = peer->wire != NULL ? NULL : peer->why};
    return true;
}
