/* The leader's side of forwarding: each request of a learner's clients becomes exactly one transaction, in
 * the order in which the learner sent them, an error if it cannot be carried out.
 *
 *   REQUEST -- prepared now --> a proposal                   (a sync: SYNC, once all before it committed)
 *           -- a call ----> RESULT, ahead of its proposal    (an error that says nothing, if it has none)
 *           -- rows are on the disk only --> relayed: waits, and all of this learner's behind it
 *
 * A session belongs to the server that it was made or found alive through last. Who writes through another
 * one is told that the session has moved. A local session (local.c) is its learner's own affair: it may write
 * what needs no session to live. */
#include "server/ensemble.h"

struct relayed {
    struct mk_link in_peer;
    struct mk_buf bytes; /* a packet */
};

/* ---- One request ---- */

static enum mk_status execute_sync(struct server *server, struct server_peer *peer)
{
    mk_zxid zxid = server_proposed_last(server);

    if (zxid <= server->ensemble->told && peer->syncs_done == peer->syncs.len) {
        server_peer_send(server, peer, &JUTE_PACKET(JUTE_PACKET_SYNC, 0));
    } else {
        mk_buf_put_i64(&peer->syncs, zxid);
    }
    return MK_OK;
}

static enum mk_status execute_create_session(struct server *server,
                                             const struct jute_forwarded *forwarded)
{
    struct mk_reader reader = mk_reader_of(forwarded->record);
    int32_t timeout_ms = mk_read_i32(&reader);

    if (reader.failed || session_find(server->sessions, forwarded->session) != NULL) {
        return server_propose_error(server, forwarded->session, forwarded->cxid,
                                    reader.failed ? MK_MALFORMED : MK_SESSION_EXPIRED);
    }
    mk_zxid zxid;
    enum mk_status status = server_propose_session(server, forwarded->session, timeout_ms, &zxid);
    if (status == MK_OK) {
        /* Its requests may come before this server has it in its own log, and applied. */
        (void)session_add(server->sessions, forwarded->session, timeout_ms,
                          server->now.monotonic_ms);
    }
    return status;
}

/* A session that its learner alone knows is unknown here, as one is that has expired. ZooKeeper takes the
 * one for the other; a learner of our kind says which sessions cannot be local. */
static bool is_local(const struct server *server, const struct server_peer *peer,
                     const struct jute_packet *packet, mk_session id)
{
    bool own = (int64_t)((uint64_t)id >> 56) == zab_learner_id(peer->learner);

    return server->options.local_sessions && own && packet->zxid != REQUEST_ZXID_GLOBAL &&
           session_find(server->sessions, id) == NULL;
}

/* Whether the session may write through this learner: MK_OK, or why not. */
static enum mk_status session_check(struct server *server, const struct server_peer *peer,
                                    mk_session id)
{
    struct session *session = session_find(server->sessions, id);
    int64_t learner = zab_learner_id(peer->learner);

    if (session == NULL || session->closing) {
        return MK_SESSION_EXPIRED;
    }
    if (session->server < 0) {
        session->server = learner; /* its first request under this leader */
    }
    return session->server == learner ? MK_OK : MK_SESSION_MOVED;
}

/* What a call was answered, or that it waits: the transaction does not say, and comes behind this. */
static void result_send(struct server *server, struct server_peer *peer,
                        const struct jute_forwarded *forwarded, mk_zxid zxid)
{
    const struct prepared *prepared = &server->prepared;
    struct mk_buf *wire = &server->ensemble->wire;
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_RESULT, zxid);

    wire->len = 0;
    jute_put_result(wire, &(struct jute_result){.session = forwarded->session,
                                                .cxid = forwarded->cxid,
                                                .parked = prepared->parked,
                                                .body = mk_buf_view(&prepared->body)});
    packet.data = mk_buf_view(wire);
    server_peer_send(server, peer, &packet);
}

/* The request has been prepared. Each has a transaction, also a call that has none of its own: an answer
 * may rest on what is proposed and can still be lost, and has its place among the answers. */
static enum mk_status answer(struct server *server, struct server_peer *peer,
                             const struct jute_forwarded *forwarded, mk_zxid zxid)
{
    const struct prepared *prepared = &server->prepared;

    if (!prepared->transaction) {
        enum mk_status status =
            server_propose_error(server, forwarded->session, forwarded->cxid, MK_UNIMPLEMENTED);
        if (status != MK_OK) {
            return status;
        }
        zxid = server_proposed_last(server);
    }
    if (zab_learner_announces(peer->learner) && (prepared->own_body || prepared->parked != 0)) {
        result_send(server, peer, forwarded, zxid);
    }
    return MK_OK;
}

static enum mk_status execute_write(struct server *server, struct server_peer *peer,
                                    const struct jute_packet *packet,
                                    const struct jute_forwarded *forwarded,
                                    struct mk_bytes identities)
{
    bool local =
        forwarded->op != JUTE_CLOSE_SESSION && is_local(server, peer, packet, forwarded->session);
    struct prepare_who who = {forwarded->session, forwarded->cxid, identities, local};
    struct jute_request request;
    mk_zxid zxid;

    enum mk_status status = jute_request_decode(forwarded->payload, &request);
    bool malformed = status == MK_MALFORMED && request.malformed;
    bool unanswerable = forwarded->op == JUTE_CALL && !zab_learner_announces(peer->learner);
    if ((status != MK_OK && !malformed) || !server_request_is_write(forwarded->op) ||
        unanswerable) {
        return server_propose_error(server, forwarded->session, forwarded->cxid, MK_UNIMPLEMENTED);
    }
    status = local ? MK_OK : session_check(server, peer, forwarded->session);
    if (status != MK_OK) {
        return server_propose_error(server, forwarded->session, forwarded->cxid, status);
    }
    store_view_blocking(store_speculative(server->store), server_load_insists(&peer->wait));
    if (forwarded->op == JUTE_CLOSE_SESSION) {
        return server_propose_close(server, forwarded->session, forwarded->cxid, &zxid);
    }
    status = server_propose_request(server, &who, &request, &zxid);
    if (status != MK_OK) {
        return status;
    }
    server->batch_awaited = server->batch_awaited || server->prepared.parked == 0;
    return answer(server, peer, forwarded, zxid);
}

/* As far as they are valid; nobody is more than the learner says. */
static void identities_read(const struct jute_packet *packet, struct tree_identities *identities)
{
    struct jute_ids_cursor cursor = jute_ids_begin(packet);
    struct jute_id id;

    identities->bytes.len = 0;
    while (jute_ids_next(&cursor, &id)) {
        if (id.scheme.data != NULL && id.id.data != NULL) {
            (void)tree_identities_add(identities, id.scheme, id.id);
        }
    }
    if (identities->bytes.len == 0) {
        mk_buf_put_u32(&identities->bytes, 0);
    }
}

static void revalidate(struct server *server, struct server_peer *peer,
                       const struct jute_packet *packet)
{
    struct jute_packet answer = JUTE_PACKET(JUTE_PACKET_REVALIDATE, packet->zxid);
    struct mk_buf *wire = &server->ensemble->wire;
    struct jute_touch touch;

    if (jute_touch_read(packet->data, &touch) != MK_OK) {
        server_peer_refuse(server, peer, "a question about a session is none");
        return;
    }
    struct session *session = session_find(server->sessions, touch.session);
    bool valid = session != NULL && !session->closing;
    if (valid) {
        session->timeout_ms = touch.timeout_ms;
        session->server = zab_learner_id(peer->learner);
        session_touch(server->sessions, session, server->now.monotonic_ms);
        if (session->owner != NULL) {
            server_conn_end(server, session->owner); /* it was connected to this server */
        }
    }
    wire->len = 0;
    jute_put_validity(wire, (struct jute_validity){touch.session, valid});
    answer.data = mk_buf_view(wire);
    server_peer_send(server, peer, &answer);
}

static enum mk_status execute(struct server *server, struct server_peer *peer,
                              const struct jute_packet *packet)
{
    struct jute_forwarded forwarded;

    if (packet->type == JUTE_PACKET_REVALIDATE) {
        revalidate(server, peer, packet);
        return MK_OK;
    }
    /* Transactions of no session are the leader's own. */
    if (jute_forwarded_read(packet->data, &forwarded) != MK_OK || forwarded.session == 0) {
        server_peer_refuse(server, peer, "a request that it forwards is none");
        return MK_OK;
    }
    if (forwarded.op == JUTE_SYNC) {
        return execute_sync(server, peer);
    }
    if (store_full(server->store)) {
        server->load_wanted = NULL;
        return MK_WOULD_BLOCK; /* until a checkpoint has been written */
    }
    if (forwarded.op == JUTE_CREATE_SESSION) {
        return execute_create_session(server, &forwarded);
    }
    identities_read(packet, &server->ensemble->identities);
    return execute_write(server, peer, packet, &forwarded,
                         mk_buf_view(&server->ensemble->identities.bytes));
}

/* ---- In order ---- */

static void relay_wait(struct server_peer *peer, const struct jute_packet *packet)
{
    struct relayed *relayed = mk_alloc_zero(1, sizeof(*relayed));

    jute_put_packet(&relayed->bytes, packet);
    peer->requests_bytes += relayed->bytes.len;
    mk_list_append(&peer->requests, &relayed->in_peer);
}

static void relayed_free(struct server_peer *peer, struct relayed *relayed)
{
    peer->requests_bytes -= relayed->bytes.len;
    mk_list_remove(&relayed->in_peer);
    mk_buf_free(&relayed->bytes);
    mk_free(relayed);
}

void server_relay_resume_all(struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        server_relay_resume(server, MK_CONTAINER(link, struct server_peer, all));
    }
}

void server_relay_resume(struct server *server, struct server_peer *peer)
{
    while (!mk_list_empty(&peer->requests) && !peer->closing && server_leads(server)) {
        struct relayed *first = MK_CONTAINER(peer->requests.next, struct relayed, in_peer);
        struct jute_packet packet;
        size_t used;
        enum mk_status status =
            jute_packet_read(mk_buf_view(&first->bytes), first->bytes.len, &packet, &used);
        MK_ASSERT(status == MK_OK); /* we have put it there */
        status = execute(server, peer, &packet);
        if (status == MK_WOULD_BLOCK) {
            server_load_wait(server, &peer->wait);
            break;
        }
        peer->wait.in_vain = 0;
        relayed_free(peer, first);
    }
    server_peers_pause(server); /* there may be room again */
}

void server_relay_drop(struct server_peer *peer)
{
    while (!mk_list_empty(&peer->requests)) {
        relayed_free(peer, MK_CONTAINER(peer->requests.next, struct relayed, in_peer));
    }
    mk_list_remove(&peer->wait.link);
    peer->wait.blocked = false;
    mk_buf_free(&peer->syncs);
    peer->syncs_done = 0;
}

static void relay_request(struct server *server, struct server_peer *peer,
                          const struct jute_packet *packet)
{
    bool first = mk_list_empty(&peer->requests) && server_leads(server);
    enum mk_status status = first ? execute(server, peer, packet) : MK_WOULD_BLOCK;

    if (status == MK_WOULD_BLOCK) {
        relay_wait(peer, packet);
        if (first) {
            server_load_wait(server, &peer->wait);
        }
    } /* else, if this server does not serve yet: when it does */
}

/* ---- Sessions ---- */

static void relay_touches(struct server *server, struct server_peer *peer,
                          const struct jute_packet *packet)
{
    struct mk_reader reader = mk_reader_of(packet->data);
    struct jute_touch touch;
    enum mk_status status = MK_END;

    if (packet->data.len > 0) {
        while ((status = jute_touch_next(&reader, &touch)) == MK_OK) {
            struct session *session = session_find(server->sessions, touch.session);
            if (session != NULL) {
                session_touch(server->sessions, session, server->now.monotonic_ms);
            }
        }
    }
    if (status != MK_END) {
        server_peer_refuse(server, peer, "the sessions that it has heard of cannot be read");
    }
}

void server_relay(struct server *server, struct server_peer *peer, const struct jute_packet *packet)
{
    switch (packet->type) {
    case JUTE_PACKET_REQUEST:
    case JUTE_PACKET_REVALIDATE:
        MK_ASSERT(zab_learner_serving(peer->learner)); /* or zab would have dropped it */
        relay_request(server, peer, packet);
        break;
    case JUTE_PACKET_PING:
        if (server_leads(server)) {
            relay_touches(server, peer, packet);
        }
        break;
    default: break;
    }
}

static void answer_syncs(struct server *server, struct server_peer *peer)
{
    while (peer->syncs_done < peer->syncs.len) {
        mk_zxid zxid = (mk_zxid)mk_load_u64(peer->syncs.data + peer->syncs_done);
        if (zxid > server->ensemble->told) {
            return;
        }
        peer->syncs_done += sizeof(zxid);
        server_peer_send(server, peer, &JUTE_PACKET(JUTE_PACKET_SYNC, 0));
    }
    peer->syncs.len = 0;
    peer->syncs_done = 0;
}

void server_relay_committed(struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        answer_syncs(server, MK_CONTAINER(link, struct server_peer, all));
    }
    server_peers_pause(server); /* there is room again */
}
