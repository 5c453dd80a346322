/* Connections to other servers' quorum ports: bytes become packets, packets go to zab and to whoever has
 * to do with what they carry.
 *
 *   dialled (ZAB_DIAL) -- it is the leader, until ZAB_HANG_UP or an end --> closing -- edge --> freed
 *   accepted, while zab takes learners -- until ZAB_DROP or an end -------> closing -- edge --> freed
 *
 * Nothing that a peer sends is trusted: what cannot be read ends the connection, with a reason. What it
 * has not read is bounded, and so is what has been read from it and waits. */
#include <string.h>

#include "server/ensemble.h"

/* ---- Open and close ---- */

static struct server_peer *peer_new(struct server *server, int64_t dialled, struct mk_bytes address,
                                    void *owner)
{
    struct server_peer *peer = mk_alloc_zero(1, sizeof(*peer));
    size_t len = address.len < PEER_ADDRESS_BYTES ? address.len : PEER_ADDRESS_BYTES - 1;

    memcpy(peer->address, address.data, len);
    peer->owner = owner;
    peer->dialled = dialled;
    peer->wait.peer = peer;
    mk_list_init(&peer->dirties);
    mk_list_init(&peer->requests);
    mk_list_init(&peer->wait.link);
    mk_list_append(&server->ensemble->peers, &peer->all);
    return peer;
}

static void peer_free(struct server_peer *peer)
{
    server_sync_end(peer);
    server_relay_drop(peer);
    mk_list_remove(&peer->dirties);
    mk_list_remove(&peer->all);
    mk_buf_free(&peer->in);
    mk_buf_free(&peer->out);
    mk_buf_free(&peer->commits);
    mk_free(peer);
}

static struct server_peer *open_leader(struct server *server, int64_t dialled,
                                       struct mk_bytes address, void *owner)
{
    struct ensemble *ensemble = server->ensemble;

    if (!ensemble->dialling || ensemble->dial_id != dialled) {
        return NULL;
    }
    MK_ASSERT(ensemble->leader == NULL);
    ensemble->dialling = false;
    ensemble->leader = peer_new(server, dialled, address, owner);
    zab_dialled(server->zab, true);
    return ensemble->leader;
}

static bool is_stranger(const struct server_peer *peer)
{
    return !peer->closing && peer->learner != NULL && zab_learner_unknown(peer->learner);
}

/* The oldest of them: of one address, or of all (NULL), if there are as many as `max`. */
static struct server_peer *stranger_too_many(struct server *server, const char *address, size_t max)
{
    struct mk_link *link = server->ensemble->peers.next;
    struct server_peer *oldest = NULL;
    size_t count = 0;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (is_stranger(peer) && (address == NULL || strcmp(peer->address, address) == 0)) {
            oldest = oldest == NULL ? peer : oldest;
            count++;
        }
    }
    return count < max ? NULL : oldest;
}

/* The newest of them has come from that address: its own make room first. */
static void strangers_bound(struct server *server, const char *address)
{
    struct server_peer *goes = stranger_too_many(server, address, STRANGERS_OF_ADDRESS_MAX + 1);

    if (goes == NULL) {
        goes = stranger_too_many(server, NULL, STRANGERS_MAX + 1);
    }
    if (goes != NULL) {
        server_peer_refuse(server, goes, "it has not said who it is, and others wait to do so");
    }
}

static struct server_peer *open_learner(struct server *server, struct mk_bytes address, void *owner)
{
    if (!zab_accepts_learners(server->zab)) {
        return NULL;
    }
    struct server_peer *peer = peer_new(server, -1, address, owner);
    peer->learner = zab_learner_new(server->zab, peer);
    if (peer->learner == NULL) {
        peer_free(peer);
        return NULL;
    }
    strangers_bound(server, peer->address);
    return peer;
}

struct server_peer *server_peer_open(struct server *server, int64_t dialled,
                                     struct mk_bytes address, void *owner)
{
    struct server_peer *peer = dialled >= 0 ? open_leader(server, dialled, address, owner)
                                            : open_learner(server, address, owner);
    server_actions_run(server);
    return peer;
}

void server_dial_failed(struct server *server, int64_t id)
{
    struct ensemble *ensemble = server->ensemble;

    if (ensemble->dialling && ensemble->dial_id == id) {
        ensemble->dialling = false;
        zab_dialled(server->zab, false);
        server_actions_run(server);
    }
}

void server_peer_closed(struct server *server, struct server_peer *peer)
{
    if (peer == server->ensemble->leader) {
        server->ensemble->leader = NULL;
        server_install_abandon(server);
        zab_leader_lost(server->zab, "the connection to the leader broke");
    } else if (peer->learner != NULL) {
        zab_learner_lost(server->zab, peer->learner);
    }
    peer_free(peer);
    server_actions_run(server);
    server_recipes_review(server);
}

void server_peer_end(struct server *server, struct server_peer *peer, const char *why)
{
    if (peer->closing) {
        return;
    }
    if (why != NULL) {
        mk_log(server->log, MK_LOG_INFO, "a connection to a server ends: %s  address=%s", why,
               peer->address);
    }
    peer->closing = true;
    peer->learner = NULL;
    if (peer == server->ensemble->leader) {
        server->ensemble->leader = NULL;
        server_install_abandon(server);
    }
    server_sync_end(peer);
    server_relay_drop(peer);
    server_peer_mark_dirty(server, peer);
}

void server_peer_refuse(struct server *server, struct server_peer *peer, const char *why)
{
    if (!peer->closing && peer->refused == NULL) {
        peer->refused = why;
        server->ensemble->answers++;
    }
}

/* ---- Out ---- */

void server_peer_mark_dirty(struct server *server, struct server_peer *peer)
{
    if (!peer->dirty) {
        peer->dirty = true;
        mk_list_append(&server->ensemble->dirty, &peer->dirties);
    }
}

void server_peer_written(struct server *server, struct server_peer *peer)
{
    if (peer->out.len > PEER_OUTPUT_BYTES_MAX) {
        server_peer_refuse(server, peer, "it does not read what it is sent");
    }
    server_peer_mark_dirty(server, peer);
}

void server_peer_send(struct server *server, struct server_peer *peer,
                      const struct jute_packet *packet)
{
    jute_put_packet(&peer->out, packet);
    server_peer_written(server, peer);
}

void server_peer_write(struct server *server, struct server_peer *peer, struct mk_bytes packets)
{
    if (packets.len > 0) {
        mk_buf_append_bytes(&peer->out, packets);
        server_peer_written(server, peer);
    }
}

/* ---- In ---- */

/* In a packet. Of what is kept for somebody who has not said who it is, many times this is held. */
static size_t data_max(const struct server *server, const struct server_peer *peer)
{
    if (is_stranger(peer)) {
        return STRANGER_DATA_BYTES_MAX;
    }
    return (size_t)server->options.frame_bytes_max * PEER_DATA_BYTES_FRAMES + PEER_DATA_BYTES_MORE;
}

/* zab goes by the packet's zxid, and the log keeps the data: they must be of the same transaction. */
static bool is_sound(struct server *server, const struct jute_packet *packet,
                     const struct zab_config **config)
{
    bool activates = packet->type == JUTE_PACKET_INFORM_AND_ACTIVATE;
    struct mk_bytes data = packet->data;
    struct jute_txn txn;

    *config = packet->type == JUTE_PACKET_NEWLEADER ? server_members_noted(server, data) : NULL;
    if (packet->type != JUTE_PACKET_PROPOSAL && packet->type != JUTE_PACKET_INFORM && !activates) {
        return true;
    }
    if (activates) { /* the leader's id comes first */
        struct mk_reader reader = mk_reader_of(data);
        (void)mk_read_i64(&reader);
        data = mk_read_bytes(&reader, mk_reader_left(&reader));
        if (reader.failed) {
            return false;
        }
    }
    if (jute_txn_decode(data, &txn) != MK_OK || txn.zxid != packet->zxid || txn.time_ms < 0) {
        return false;
    }
    server->ensemble->packet_time_ms = txn.time_ms;
    server->ensemble->packet_txn = data;
    *config = server_members_in(server, &txn);
    return !server->options.reconfig || txn.type != JUTE_RECONFIG || *config != NULL;
}

static void leader_packet(struct server *server, const struct jute_packet *packet)
{
    const struct zab_config *config;

    if (!is_sound(server, packet, &config)) {
        server_peer_refuse(server, server->ensemble->leader,
                           "a transaction of the leader's is none");
        return;
    }
    if (packet->type == JUTE_PACKET_RESULT) {
        zab_leader_alive(server->zab);
        server_forward_reply(server, packet);
        return;
    }
    server->ensemble->packet = packet;
    zab_leader_packet(server->zab, packet, config);
    server_actions_run(server);
    server->ensemble->packet = NULL;
    if (packet->type == JUTE_PACKET_SYNC || packet->type == JUTE_PACKET_REVALIDATE) {
        server_forward_reply(server, packet);
    }
}

/* What acknowledgements commit is found once for all that have come in a row. */
static void learner_packet(struct server *server, struct server_peer *peer,
                           const struct jute_packet *packet)
{
    if (packet->type == JUTE_PACKET_ACK) {
        zab_learner_packet(server->zab, peer->learner, packet);
        return;
    }
    server_actions_run(server);
    if (peer->closing) {
        return;
    }
    zab_learner_packet(server->zab, peer->learner, packet);
    server_actions_run(server);
    if (peer->closing) {
        return;
    }
    if (packet->type == JUTE_PACKET_FOLLOWERINFO || packet->type == JUTE_PACKET_OBSERVERINFO) {
        server_recipes_review(server);
    }
    server_relay(server, peer, packet);
}

/* The leader's, while the own log is being cut or replaced: what comes behind is to be appended to it. And
 * while the store has no room, until a checkpoint has been written: what is committed has to be applied, so
 * it must not come. Should that take longer than syncLimit, the leader leaves this server, which comes
 * again when it has room. */
static bool held(const struct server *server, const struct server_peer *peer)
{
    return peer == server->ensemble->leader &&
           (server_log_changes(server) || server_installs(server) || store_full(server->store));
}

/* The packets that have arrived whole. */
static void consume(struct server *server, struct server_peer *peer)
{
    size_t done = 0;

    while (done < peer->in.len && !peer->closing && server->failure.text[0] == '\0' &&
           !held(server, peer)) {
        struct mk_bytes rest = mk_bytes_of(peer->in.data + done, peer->in.len - done);
        struct jute_packet packet;
        size_t used;
        enum mk_status status = jute_packet_read(rest, data_max(server, peer), &packet, &used);
        if (status == MK_WOULD_BLOCK) {
            break;
        }
        if (status != MK_OK) {
            server_peer_refuse(server, peer, "it sends what is no packet");
            break;
        }
        done += used;
        if (peer == server->ensemble->leader) {
            leader_packet(server, &packet);
            server_actions_run(server);
        } else {
            learner_packet(server, peer, &packet);
        }
    }
    server_actions_run(server);
    if (done > 0) {
        memmove(peer->in.data, peer->in.data + done, peer->in.len - done);
        peer->in.len -= done;
    }
}

static void update_pause(struct server *server, struct server_peer *peer)
{
    bool leader = peer == server->ensemble->leader;
    bool full = leader && server_installs(server)
                    ? peer->in.len > INSTALL_INPUT_BYTES_MAX + data_max(server, peer)
                    : held(server, peer);
    bool pause = full || peer->requests_bytes > PEER_REQUESTS_BYTES_MAX ||
                 peer->syncs.len > PEER_SYNCS_BYTES_MAX ||
                 server->batch.bytes.len > PEER_BATCH_BYTES_MAX;

    if (pause != peer->paused) {
        peer->paused = pause;
        server_peer_mark_dirty(server, peer);
    }
}

void server_peers_pause(struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        update_pause(server, MK_CONTAINER(link, struct server_peer, all));
    }
}

void server_leader_resume(struct server *server)
{
    struct server_peer *leader = server->ensemble->leader;

    if (leader != NULL) {
        consume(server, leader);
        server_peers_pause(server);
    }
}

void server_peer_bytes(struct server *server, struct server_peer *peer, struct mk_bytes bytes)
{
    if (peer->closing || bytes.len == 0) {
        return;
    }
    mk_buf_append_bytes(&peer->in, bytes);
    consume(server, peer);
    update_pause(server, peer);
}

/* ---- What the edge asks ---- */

struct server_peer *server_next_dirty_peer(struct server *server)
{
    if (mk_list_empty(&server->ensemble->dirty)) {
        return NULL;
    }
    struct server_peer *peer =
        MK_CONTAINER(server->ensemble->dirty.next, struct server_peer, dirties);
    mk_list_remove(&peer->dirties);
    peer->dirty = false;
    return peer;
}

void *server_peer_owner(const struct server_peer *peer)
{
    return peer->owner;
}

struct mk_buf *server_peer_output(struct server_peer *peer)
{
    return &peer->out;
}

bool server_peer_closing(const struct server_peer *peer)
{
    return peer->closing;
}

bool server_peer_paused(const struct server_peer *peer)
{
    return peer->paused;
}

void server_peers_free(struct server *server)
{
    while (!mk_list_empty(&server->ensemble->peers)) {
        peer_free(MK_CONTAINER(server->ensemble->peers.next, struct server_peer, all));
    }
}

void server_peer_drained(struct server *server, struct server_peer *peer)
{
    server_sync_drained(server, peer);
}
