/* What zab says is to be done, done.
 *
 *   looking --> leading ----> serving --.       a role ends: clients and peers are disconnected, sessions
 *      ^   `--> following --> serving --|       live on; what was proposed and has not committed is
 *      |   `--> observing --> serving --'       forgotten, but for what the log has
 *      `--------------------------------'
 *
 * What is appended when a role ends goes to the log all the same: the vote counts it. It is applied when it
 * is known to be committed (R1), and in the own log (R2); clients are served when all of it is applied.
 * An answer to zab waits until zab has said all that it has to say. */
#include <inttypes.h>

#include "server/ensemble.h"

/* ---- Who this server is ---- */

bool server_alone(const struct server *server)
{
    return server->options.ensemble.members_count == 0;
}

bool server_leads(const struct server *server)
{
    return server->serving && server->role == ZAB_LEADING;
}

bool server_learns(const struct server *server)
{
    return server->serving && server->role != ZAB_LEADING;
}

static const char *role_name(enum zab_role role)
{
    switch (role) {
    case ZAB_LOOKING: return "looking";
    case ZAB_LEADING: return "leader";
    case ZAB_FOLLOWING: return "follower";
    case ZAB_OBSERVING: return "observer";
    }
    return "";
}

/* ---- A role begins ---- */

/* Of all that the log has, or is to have. */
static mk_zxid log_last(const struct server *server)
{
    mk_zxid last = history_last(&server->history);
    mk_zxid applied = store_applied(server->store);

    if (server->batch.count > 0) {
        return server->batch.last;
    }
    return last > applied ? last : applied;
}

static void clients_leave(struct server *server)
{
    struct server_conn *conn = NULL;

    while ((conn = server_conn_next(server, conn)) != NULL) {
        server_conn_end(server, conn);
    }
}

static void role_begin(struct server *server, const struct zab_action *action)
{
    struct ensemble *ensemble = server->ensemble;

    if (!server_alone(server)) {
        mk_log(server->log, MK_LOG_INFO,
               "role: %s%s%s  leader=%" PRId64 " epoch=%" PRId64 " zxid=0x%" PRIx64,
               role_name(action->role), action->why != NULL ? ": " : "",
               action->why != NULL ? action->why : "", action->id, zab_epoch(server->zab),
               (uint64_t)log_last(server));
    }
    if (action->role == ZAB_LOOKING && server->role != ZAB_LOOKING) {
        server->looking_ms = server->now.monotonic_ms;
    }
    server->role = action->role;
    server->serving = false;
    server->reads_only = false;
    clients_leave(server);
    server_forward_reset(server);
    server_proposals_forget(server);
    server->expired.len = 0;
    server->expired_done = 0;
    server->reaper.running = false;
    server_recipes_review(server);
    ensemble->serve_wanted = false;
    ensemble->appended = log_last(server);
    ensemble->told = ensemble->appended; /* what a leader begins with is what its learners get */
}

/* A quorum may have what the own log has not, yet. */
static void serve_if_applied(struct server *server)
{
    struct ensemble *ensemble = server->ensemble;

    if (!ensemble->serve_wanted || store_applied(server->store) < ensemble->serve_zxid) {
        return;
    }
    ensemble->serve_wanted = false;
    store_fuzzy_end(server->store); /* a snapshot knows of nothing that was not in this history */
    ensemble->serve_status = server_members_show(server);
    if (ensemble->serve_status == MK_OK) {
        ensemble->serve_status = server_serve_begin(server);
    }
    if (ensemble->serve_status != MK_OK) {
        server_fail(server, ensemble->serve_status, "beginning to serve");
        return;
    }
    if (!server_alone(server)) {
        mk_log(server->log, MK_LOG_INFO, "serving  role=%s epoch=%" PRId64 " zxid=0x%" PRIx64,
               role_name(server->role), zab_epoch(server->zab),
               (uint64_t)store_applied(server->store));
    }
    server_relay_resume_all(server);
}

static void commit_through(struct server *server, mk_zxid zxid)
{
    server->committed = zxid > server->committed ? zxid : server->committed;
    server_commit_all(server);
    serve_if_applied(server);
}

static void role_serve(struct server *server, const struct zab_action *action)
{
    server->ensemble->serve_wanted = true;
    server->ensemble->serve_zxid = action->zxid;
    commit_through(server, action->zxid);
}

/* What was committed before has become durable. */
void server_logged(struct server *server, mk_zxid zxid)
{
    zab_logged(server->zab, zxid);
    commit_through(server, 0);
    server_actions_run(server);
}

/* ---- Proposals and commits ---- */

typedef bool learner_filter(const struct zab_learner *learner);

static bool is_follower(const struct zab_learner *learner)
{
    return zab_learner_registered(learner) && !zab_learner_observer(learner);
}

static bool is_observer(const struct zab_learner *learner)
{
    return zab_learner_registered(learner) && zab_learner_observer(learner);
}

static bool learners_write(struct server *server, learner_filter *filter, struct mk_bytes packets)
{
    struct mk_link *link = server->ensemble->peers.next;
    bool any = false;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->learner != NULL && filter(peer->learner)) {
            server_peer_write(server, peer, packets);
            any = true;
        }
    }
    return any;
}

static void put_packet(struct mk_buf *out, int32_t type, mk_zxid zxid, struct mk_bytes data)
{
    size_t packet = jute_packet_begin(out, type, zxid);

    mk_buf_append_bytes(out, data);
    jute_packet_end(out, packet);
}

void server_batch_taken(struct server *server, const struct server_batch *batch)
{
    struct mk_bytes entries = mk_buf_view(&batch->bytes);
    struct mk_buf *wire = &server->ensemble->wire;
    struct mk_bytes entry;
    size_t offset = 0;

    server_peers_pause(server); /* there is room again */
    if (server->role != ZAB_LEADING) {
        return;
    }
    if (!learners_write(server, is_follower, MK_BYTES(""))) {
        return;
    }
    wire->len = 0;
    while (store_log_entry_next(entries, &offset, &entry)) {
        mk_zxid zxid = history_entry_zxid(entry);
        if (zxid > server->ensemble->told) { /* else it is of the history that they begin with */
            put_packet(wire, JUTE_PACKET_PROPOSAL, zxid, entry);
        }
    }
    (void)learners_write(server, is_follower, mk_buf_view(wire));
    server_actions_run(server);
}

/* COMMITs of what a follower got in front of NEWLEADER are kept for behind UPTODATE. It can do nothing with
 * them before, and ZooKeeper's up to 3.9.2 end there (ZOOKEEPER-4394), and begin again. */
static void commits_write(struct server *server, struct mk_bytes packets)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->learner == NULL || !is_follower(peer->learner)) {
            continue;
        }
        if (peer->uptodate) {
            server_peer_write(server, peer, packets);
            continue;
        }
        mk_buf_append_bytes(&peer->commits, packets);
        if (peer->commits.len > PEER_COMMITS_BYTES_MAX) {
            server_peer_refuse(server, peer, "it does not come to the end of what it lacks");
        }
    }
}

static void uptodate(struct server *server, struct server_peer *peer)
{
    peer->uptodate = true;
    server_peer_write(server, peer, mk_buf_view(&peer->commits));
    mk_buf_free(&peer->commits);
}

/* The transaction changes the members; learners are told who is to lead them. */
static void activation_put(struct ensemble *ensemble, const struct zab_action *action,
                           struct mk_bytes entry)
{
    size_t packet =
        jute_packet_begin(&ensemble->wire, JUTE_PACKET_COMMIT_AND_ACTIVATE, action->zxid);
    mk_buf_put_i64(&ensemble->wire, action->id);
    jute_packet_end(&ensemble->wire, packet);

    packet =
        jute_packet_begin(&ensemble->wire_inform, JUTE_PACKET_INFORM_AND_ACTIVATE, action->zxid);
    mk_buf_put_i64(&ensemble->wire_inform, action->id);
    mk_buf_append_bytes(&ensemble->wire_inform, entry);
    jute_packet_end(&ensemble->wire_inform, packet);
}

/* COMMIT of each to followers; observers have not seen it yet, and get it with INFORM. */
static void commits_tell(struct server *server, const struct zab_action *action)
{
    mk_zxid through = action->zxid;
    struct ensemble *ensemble = server->ensemble;
    struct history_cursor cursor = history_after(&server->history, ensemble->told);
    bool observers = learners_write(server, is_observer, MK_BYTES(""));
    struct mk_bytes entry;

    ensemble->wire.len = 0;
    ensemble->wire_inform.len = 0;
    while (history_next(&server->history, &cursor, &entry) &&
           history_entry_zxid(entry) <= through) {
        mk_zxid zxid = history_entry_zxid(entry);
        if (action->activates && zxid == through) {
            activation_put(ensemble, action, entry);
            continue;
        }
        jute_put_packet(&ensemble->wire, &JUTE_PACKET(JUTE_PACKET_COMMIT, zxid));
        if (observers) {
            put_packet(&ensemble->wire_inform, JUTE_PACKET_INFORM, zxid, entry);
        }
    }
    ensemble->told = through;
    commits_write(server, mk_buf_view(&ensemble->wire));
    (void)learners_write(server, is_observer, mk_buf_view(&ensemble->wire_inform));
}

static void commit(struct server *server, const struct zab_action *action)
{
    if (server->role == ZAB_LEADING && !server_alone(server)) {
        commits_tell(server, action);
        server_relay_committed(server);
    }
    commit_through(server, action->zxid);
}

/* The packet that is being handled holds a transaction: it has been looked at when it came. */
static void append(struct server *server)
{
    struct ensemble *ensemble = server->ensemble;
    const struct jute_packet *packet = ensemble->packet;

    MK_ASSERT(packet != NULL && ensemble->leader != NULL);
    size_t entry = store_log_entry_begin(&server->batch.bytes);
    mk_buf_append_bytes(&server->batch.bytes, ensemble->packet_txn);
    store_log_entry_end(&server->batch.bytes, entry);
    server->batch.last = packet->zxid;
    server->batch.count++;
    ensemble->appended = packet->zxid;
    zab_time_seen(server->zab, ensemble->packet_time_ms);
}

/* ---- The own disk ---- */

static void epochs_store(struct server *server, const struct zab_action *action)
{
    server->ensemble->epochs = (struct server_epochs){action->accepted, action->current};
    server->ensemble->epochs_wanted = true;
}

/* Alone, the edge has made durable the epoch that it has begun with; there is no other. */
static bool epochs_are_durable(const struct server *server)
{
    return server_alone(server) && server->ensemble->epochs_wanted;
}

bool server_epochs_take(struct server *server, struct server_epochs *epochs)
{
    struct ensemble *ensemble = server->ensemble;

    if (!ensemble->epochs_wanted || ensemble->epochs_out || server->failure.text[0] != '\0') {
        return false;
    }
    *epochs = ensemble->epochs;
    ensemble->epochs_wanted = false;
    ensemble->epochs_out = true;
    return true;
}

void server_epochs_stored(struct server *server)
{
    MK_ASSERT(server->ensemble->epochs_out);

    server->ensemble->epochs_out = false;
    zab_epochs_stored(server->zab);
    server_actions_run(server);
}

/* What is applied is committed, and cannot be taken back (R4). */
static void log_truncate(struct server *server, mk_zxid zxid)
{
    struct ensemble *ensemble = server->ensemble;

    if (zxid < store_applied(server->store)) {
        mk_error_set(&server->failure,
                     "the leader wants back what this server has applied: through 0x%" PRIx64
                     ", not 0x%" PRIx64 "; if the leader's data is right, repair this server with "
                     "`moonkeeper repair --rejoin`",
                     (uint64_t)zxid, (uint64_t)store_applied(server->store));
        return;
    }
    ensemble->truncate_zxid = zxid;
    ensemble->truncate_wanted = true;
}

/* What was appended before goes to the log first, and is cut off there. */
bool server_log_changes(const struct server *server)
{
    return server->ensemble->truncate_wanted || server->ensemble->truncate_out;
}

bool server_truncate_take(struct server *server, mk_zxid *zxid)
{
    struct ensemble *ensemble = server->ensemble;

    if (!ensemble->truncate_wanted || server->batch_out || server->batch.count > 0 ||
        server->failure.text[0] != '\0') {
        return false;
    }
    *zxid = ensemble->truncate_zxid;
    history_truncate(&server->history, *zxid);
    ensemble->appended = log_last(server);
    ensemble->truncate_wanted = false;
    ensemble->truncate_out = true;
    return true;
}

void server_truncated(struct server *server)
{
    MK_ASSERT(server->ensemble->truncate_out);

    server->ensemble->truncate_out = false;
    zab_truncated(server->zab);
    server_actions_run(server);
    server_leader_resume(server);
}

/* ---- The election ---- */

static void note_write(struct server *server, const struct zab_action *action)
{
    struct ensemble *ensemble = server->ensemble;

    if (action->id < 0 || action->id > ZAB_ID_MAX) {
        return; /* a stranger asks */
    }
    struct note *note = &ensemble->notes[action->id];
    ensemble->notes_pending += !note->pending;
    note->pending = true;
    note->message.len = 0;
    jute_put_notification(&note->message, &action->notification);
}

void server_notified(struct server *server, int64_t from, struct mk_bytes message)
{
    struct jute_notification notification;

    if (jute_notification_read(message, &notification) == MK_OK) {
        zab_notified(server->zab, from, &notification,
                     server_members_noted(server, notification.config));
        server_actions_run(server);
    }
}

void server_reachable(struct server *server, int64_t id, bool reachable)
{
    zab_reachable(server->zab, id, reachable);
    server_actions_run(server);
}

bool server_notification_take(struct server *server, int64_t *to, struct mk_buf *message)
{
    struct ensemble *ensemble = server->ensemble;

    for (int64_t id = 0; ensemble->notes_pending > 0 && id <= ZAB_ID_MAX; id++) {
        struct note *note = &ensemble->notes[id];
        if (note->pending) {
            note->pending = false;
            ensemble->notes_pending--;
            *to = id;
            message->len = 0;
            mk_buf_append_bytes(message, mk_buf_view(&note->message));
            return true;
        }
    }
    return false;
}

/* ---- Connections ---- */

static void dial(struct server *server, int64_t id)
{
    server->ensemble->dial_id = id;
    server->ensemble->dial_wanted = true;
    server->ensemble->dialling = true;
}

bool server_dial_take(struct server *server, int64_t *id)
{
    if (!server->ensemble->dial_wanted) {
        return false;
    }
    server->ensemble->dial_wanted = false;
    *id = server->ensemble->dial_id;
    return true;
}

static void hang_up(struct server *server)
{
    server->ensemble->dial_wanted = false;
    server->ensemble->dialling = false;
    if (server->ensemble->leader != NULL) {
        server_peer_end(server, server->ensemble->leader, NULL);
    }
}

static void packet_send(struct server *server, const struct zab_action *action)
{
    struct jute_packet packet = action->packet;
    struct mk_buf *wire = &server->ensemble->wire;

    if (action->learner != NULL) {
        struct server_peer *peer = zab_learner_owner(action->learner);
        server_peer_send(server, peer, &packet);
        if (packet.type == JUTE_PACKET_UPTODATE) {
            uptodate(server, peer);
        }
        return;
    }
    MK_ASSERT(server->ensemble->leader != NULL);
    if (packet.type == JUTE_PACKET_PING) {
        wire->len = 0;
        server_forward_touches(server, wire);
        packet.data = wire->len > 0 ? mk_buf_view(wire) : MK_BYTES("");
    }
    server_peer_send(server, server->ensemble->leader, &packet);
}

/* ---- Actions ---- */

static void act(struct server *server, const struct zab_action *action)
{
    switch (action->kind) {
    case ZAB_NOTIFY: note_write(server, action); break;
    case ZAB_ROLE: role_begin(server, action); break;
    case ZAB_DIAL: dial(server, action->id); break;
    case ZAB_HANG_UP: hang_up(server); break;
    case ZAB_DROP: server_peer_end(server, zab_learner_owner(action->learner), action->why); break;
    case ZAB_SEND: packet_send(server, action); break;
    case ZAB_STORE_EPOCHS: epochs_store(server, action); break;
    case ZAB_SYNCHRONISE:
        server_sync_begin(server, zab_learner_owner(action->learner), action->zxid);
        break;
    case ZAB_TRUNCATE: log_truncate(server, action->zxid); break;
    case ZAB_INSTALL: server_install_begin(server, action); break;
    case ZAB_MEMBERS: server_members_changed(server); break;
    case ZAB_APPEND: append(server); break;
    case ZAB_COMMIT: commit(server, action); break;
    case ZAB_SERVE: role_serve(server, action); break;
    case ZAB_FAIL: mk_error_set(&server->failure, "%s", action->why); break;
    }
}

static void answer_peer(struct server *server, struct server_peer *peer)
{
    const char *why = peer->refused;
    struct zab_learner *learner = peer->learner;

    if (why != NULL && !peer->closing) {
        bool leader = peer == server->ensemble->leader;
        server_peer_end(server, peer, why);
        if (leader) {
            zab_leader_lost(server->zab, why);
        } else if (learner != NULL) {
            zab_learner_lost(server->zab, learner);
        }
    } else if (peer->synchronised && learner != NULL) {
        zab_learner_synchronised(server->zab, learner);
    }
    peer->refused = NULL;
    peer->synchronised = false;
}

/* One of the answers that wait. False: there is none. */
static bool answer(struct server *server)
{
    struct ensemble *ensemble = server->ensemble;

    if (epochs_are_durable(server)) {
        ensemble->epochs_wanted = false;
        zab_epochs_stored(server->zab);
        return true;
    }
    if (ensemble->answers == 0) {
        return false;
    }
    for (struct mk_link *link = ensemble->peers.next; link != &ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->refused != NULL || peer->synchronised) {
            ensemble->answers--;
            answer_peer(server, peer);
            return true;
        }
    }
    ensemble->answers = 0; /* of peers that have gone */
    return false;
}

void server_actions_run(struct server *server)
{
    struct zab_action action;

    do {
        while (server->failure.text[0] == '\0' && zab_action(server->zab, &action)) {
            act(server, &action);
        }
    } while (server->failure.text[0] == '\0' && answer(server));
}

/* ---- What an operator asks ---- */

static void learner_count(void *context, const struct server_learner_stats *learner)
{
    struct server_stats *stats = context;

    if (learner->observer) {
        stats->observers++;
        stats->synced_observers += learner->serving;
    } else {
        stats->followers++;
        stats->synced_followers += learner->serving;
    }
}

void server_roles_read(const struct server *server, struct server_stats *out)
{
    out->reads_only = server->reads_only;
    out->mode = server_alone(server) ? "standalone"
                : server->reads_only ? "read-only"
                                     : role_name(server->role);
    out->epoch = zab_epoch(server->zab);
    out->leader = zab_leader(server->zab);
    out->syncs_pending = 0;
    out->followers = out->synced_followers = out->observers = out->synced_observers = 0;
    server_learners_each(server, learner_count, out);
    struct mk_link *link = server->ensemble->peers.next;
    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        out->syncs_pending += (peer->syncs.len - peer->syncs_done) / sizeof(mk_zxid);
    }
}

void server_learners_each(const struct server *server, server_learner_visit *visit, void *context)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->learner != NULL) {
            struct server_learner_stats learner = {
                .id = zab_learner_id(peer->learner),
                .observer = zab_learner_observer(peer->learner),
                .serving = zab_learner_serving(peer->learner),
                .acked = zab_learner_acked(peer->learner),
                .address = mk_bytes_text(peer->address),
                .queued_bytes = peer->out.len,
            };
            visit(context, &learner);
        }
    }
}

/* ---- Life ---- */

static struct zab_options zab_options_of(struct server *server)
{
    const struct server_options *options = &server->options;
    const struct server_ensemble *ensemble = &options->ensemble;
    struct zab_options zab = {
        .id = options->server_id,
        .config = {.members = {{.id = options->server_id, .weight = 1}},
                   .members_count = 1,
                   .hierarchical = ensemble->hierarchical,
                   .text = ensemble->text},
        .reconfig = options->reconfig && !server_alone(server), /* alone: nothing to change */
        .tick_ms = options->tick_ms,
        .init_limit = ensemble->init_limit,
        .sync_limit = ensemble->sync_limit,
        .finalize_ms = ensemble->finalize_ms,
        .notify_min_ms = ensemble->notify_min_ms,
        .notify_max_ms = ensemble->notify_max_ms,
        .announces = options->recipes,
    };

    for (size_t i = 0; i < ensemble->members_count; i++) {
        const struct server_member *member = &ensemble->members[i];
        zab.config.members[i] = (struct zab_member){.id = member->id,
                                                    .observer = member->observer,
                                                    .weight = member->weight,
                                                    .group = member->group};
        zab.config.members_count = i + 1;
    }
    (void)server_members_init(server, &zab.config);
    return zab;
}

void server_ensemble_init(struct server *server)
{
    struct ensemble *ensemble = mk_alloc_zero(1, sizeof(*ensemble));

    mk_list_init(&ensemble->peers);
    mk_list_init(&ensemble->dirty);
    mk_list_init(&ensemble->syncs);
    server->ensemble = ensemble;
    struct zab_options options = zab_options_of(server);
    server->role = ZAB_LOOKING;
    server->zab = zab_new(&options);
}

void server_ensemble_deinit(struct server *server)
{
    struct ensemble *ensemble = server->ensemble;

    server_forward_reset(server);
    server_peers_free(server);
    zab_free(server->zab);
    mk_buf_free(&ensemble->install.bytes);
    server_members_deinit(server);
    for (size_t i = 0; i < MK_COUNT(ensemble->notes); i++) {
        mk_buf_free(&ensemble->notes[i].message);
    }
    mk_map_u64_free(&ensemble->connecting);
    mk_buf_free(&ensemble->results);
    mk_buf_free(&ensemble->wire);
    mk_buf_free(&ensemble->wire_inform);
    mk_buf_free(&ensemble->identities.bytes);
    mk_free(ensemble);
}
