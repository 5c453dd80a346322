/* What a learner lacks, written to it before it takes part.
 *
 *   DIFF or TRUNC -- history that is told to be committed, then what is outstanding --> registered
 *   what is in the log only -- DIFF, a piece whenever the last one has been sent
 *        -- history behind it, then what is outstanding ----------------------------> registered
 *        -- too much of it, or not in the log any more: SNAP
 *   SNAP -- checkpoint --> stream of it, a piece whenever the last one has been sent
 *        -- history behind it, then what is outstanding ----------------------------> registered
 *
 * While pieces are on their way the history behind them is kept, whatever its size: up to a bound, at which
 * the learner is left. */
#include "server/ensemble.h"

/* ---- History, as zab asks for it ---- */

static mk_zxid at_or_after(void *context, mk_zxid zxid)
{
    const struct server *server = context;
    struct history_cursor cursor = history_after(&server->history, zxid - 1);
    struct mk_bytes entry;

    return history_next(&server->history, &cursor, &entry) &&
                   history_entry_zxid(entry) <= server->ensemble->told
               ? history_entry_zxid(entry)
               : 0;
}

static mk_zxid before(void *context, mk_zxid zxid)
{
    const struct server *server = context;

    return history_before(&server->history, zxid);
}

static struct zab_history history_of(struct server *server)
{
    mk_zxid min = at_or_after(server, 1);
    mk_zxid max = min == 0 ? 0 : history_before(&server->history, server->ensemble->told + 1);

    return (struct zab_history){min, max, at_or_after, before, server};
}

/* ---- Written ---- */

static void put_entry(struct mk_buf *out, int32_t type, struct mk_bytes entry)
{
    size_t packet = jute_packet_begin(out, type, history_entry_zxid(entry));

    mk_buf_append_bytes(out, entry);
    jute_packet_end(out, packet);
}

static void entry_write(struct server *server, struct server_peer *peer, struct mk_bytes entry)
{
    mk_zxid zxid = history_entry_zxid(entry);
    bool committed = zxid <= server->ensemble->told;

    if (committed || !zab_learner_observer(peer->learner)) {
        put_entry(&peer->out, JUTE_PACKET_PROPOSAL, entry);
    }
    if (committed) {
        jute_put_packet(&peer->out, &JUTE_PACKET(JUTE_PACKET_COMMIT, zxid));
    }
}

/* All that the learner has not got. Of what is still in the batch, that is what this leader has begun
 * with; its own proposals go to all learners when the batch is taken. */
static void history_write(struct server *server, struct server_peer *peer, mk_zxid after)
{
    struct history_cursor cursor = history_after(&server->history, after);
    struct mk_bytes entry;
    size_t offset = 0;

    while (history_next(&server->history, &cursor, &entry)) {
        entry_write(server, peer, entry);
    }
    while (store_log_entry_next(mk_buf_view(&server->batch.bytes), &offset, &entry) &&
           history_entry_zxid(entry) <= server->ensemble->told) {
        if (history_entry_zxid(entry) > after) {
            entry_write(server, peer, entry);
        }
    }
    peer->sync_step = SYNC_NONE;
    peer->synchronised = true;
    server->ensemble->answers++;
    server_peer_mark_dirty(server, peer);
}

/* The zxid of the state that the learner is to come to: of an epoch without transactions its own, which
 * learners of this epoch have shown before; but who is just behind the last one lacks nothing. */
static mk_zxid last_told(const struct server *server, mk_zxid peer_last)
{
    mk_zxid epoch = zab_epoch(server->zab) << 32;
    mk_zxid told = server->ensemble->told;

    return server_leads(server) && told < epoch && peer_last != told ? epoch : told;
}

/* ---- Pieces, of a snapshot or of the log ---- */

struct server_snapshot {
    struct server_peer *peer; /* NULL: it has gone */
    struct store_base *base;
    struct store_snapshot *stream; /* NULL: to be opened */
    bool of_log;
    struct server_log_piece log;
    bool out;     /* a piece is being read */
    bool begun;   /* SNAP or DIFF has been sent */
    mk_zxid zxid; /* what it goes up to */
    struct mk_buf piece;
    enum mk_status status;
    struct mk_error error;
};

static struct server_snapshot *snapshot_new(struct server *server, struct server_peer *peer)
{
    MK_ASSERT(peer->snapshot == NULL);
    peer->snapshot = mk_alloc_zero(1, sizeof(*peer->snapshot));
    peer->snapshot->peer = peer;
    peer->snapshot->base = store_base_of(server->store);
    return peer->snapshot;
}

static void snapshot_free(struct server_snapshot *snapshot)
{
    if (snapshot->stream != NULL) {
        store_snapshot_close(snapshot->stream);
    }
    if (snapshot->log.reader != NULL) {
        snapshot->log.reader_close(snapshot->log.reader);
    }
    mk_buf_free(&snapshot->piece);
    mk_free(snapshot);
}

/* Whether the base holds all that the learner needs before what history has. */
static void stream_if_checkpointed(struct server *server, struct server_peer *peer)
{
    bool behind = store_durable(server->store) < peer->sync_pinned ||
                  store_durable(server->store) == 0; /* there may be no checkpoint at all */

    if (behind && store_changed(server->store)) {
        server_checkpoint_request(server);
        return;
    }
    peer->sync_pinned = store_durable(server->store);
    mk_zxid first = history_first(&server->history);
    if (store_applied(server->store) > peer->sync_pinned &&
        (first == 0 || first > peer->sync_pinned + 1)) {
        server_peer_refuse(server, peer, "what is behind the snapshot is gone: it may come again");
        return;
    }
    peer->sync_step = SYNC_STREAM;
    (void)snapshot_new(server, peer);
}

static void checkpoint_await(struct server *server, struct server_peer *peer)
{
    peer->sync_step = SYNC_CHECKPOINT;
    peer->sync_pinned = store_applied(server->store);
    stream_if_checkpointed(server, peer);
}

/* What a snapshot would have, about: each znode besides its path and data. */
#define SNAPSHOT_ZNODE_BYTES 100

/* All that is not in memory any more is applied: so it is committed. */
static void log_begin(struct server *server, struct server_peer *peer, mk_zxid peer_last)
{
    const struct store_totals *totals = store_totals(server->store);
    uint64_t state_bytes =
        (uint64_t)totals->data_bytes + (uint64_t)totals->znodes * SNAPSHOT_ZNODE_BYTES;
    uint64_t share = server->options.ensemble.log_share_max; /* in millionths */
    uint64_t bytes_max = state_bytes / 1000000 * share + state_bytes % 1000000 * share / 1000000;
    mk_zxid first = history_first(&server->history);
    struct server_snapshot *snapshot = snapshot_new(server, peer);

    snapshot->of_log = true;
    snapshot->zxid = first > 0 ? first - 1 : store_applied(server->store);
    snapshot->log = (struct server_log_piece){
        .after = peer_last,
        .through = snapshot->zxid,
        .bytes_max = bytes_max < SYNC_LOG_BYTES_MAX ? bytes_max : SYNC_LOG_BYTES_MAX,
        .piece_bytes = SNAPSHOT_PIECE_BYTES,
        .out = &snapshot->piece,
        .error = &snapshot->error,
    };
    peer->sync_step = SYNC_LOG;
    peer->sync_pinned = snapshot->zxid;
}

struct server_log_piece *server_snapshot_log(struct server_snapshot *snapshot)
{
    return snapshot->of_log ? &snapshot->log : NULL;
}

void server_sync_checkpointed(struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->sync_step == SYNC_CHECKPOINT) {
            stream_if_checkpointed(server, peer);
        }
    }
    server_actions_run(server);
}

struct server_snapshot *server_snapshot_take(struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        struct server_snapshot *snapshot = peer->snapshot;
        if (snapshot != NULL && !snapshot->out && peer->out.len < SNAPSHOT_PIECE_BYTES) {
            snapshot->out = true;
            return snapshot;
        }
    }
    return NULL;
}

void server_snapshot_read(struct server_snapshot *snapshot)
{
    MK_ASSERT(!snapshot->of_log);
    if (snapshot->stream == NULL) {
        snapshot->status = store_snapshot_open(snapshot->base, &snapshot->stream, &snapshot->zxid,
                                               &snapshot->error);
    }
    if (snapshot->stream != NULL) {
        snapshot->status = store_snapshot_read(snapshot->stream, SNAPSHOT_PIECE_BYTES, true,
                                               &snapshot->piece, &snapshot->error);
    }
}

static void log_entries_write(struct server *server, struct server_peer *peer,
                              struct mk_bytes entries)
{
    struct mk_bytes entry;
    size_t offset = 0;

    while (store_log_entry_next(entries, &offset, &entry)) {
        entry_write(server, peer, entry);
    }
    server_peer_written(server, peer);
}

static void piece_write(struct server *server, struct server_snapshot *snapshot)
{
    struct server_peer *peer = snapshot->peer;
    bool of_log = snapshot->of_log;

    if (!snapshot->begun) {
        snapshot->begun = true;
        peer->sync_pinned = snapshot->zxid;
        int32_t type = of_log ? JUTE_PACKET_DIFF : JUTE_PACKET_SNAP;
        mk_zxid header = of_log ? server->ensemble->told : snapshot->zxid;
        server_peer_send(server, peer, &JUTE_PACKET(type, header));
    }
    if (of_log) {
        log_entries_write(server, peer, mk_buf_view(&snapshot->piece));
    } else {
        server_peer_write(server, peer, mk_buf_view(&snapshot->piece));
    }
    snapshot->piece.len = 0;
    zab_learner_alive(server->zab, peer->learner);
    if (snapshot->status == MK_END) {
        peer->snapshot = NULL;
        history_write(server, peer, snapshot->zxid);
        snapshot_free(snapshot);
    }
}

void server_snapshot_done(struct server *server, struct server_snapshot *snapshot)
{
    MK_ASSERT(snapshot->out);
    snapshot->out = false;
    if (snapshot->peer == NULL) {
        snapshot_free(snapshot);
        return;
    }
    if (snapshot->of_log) {
        snapshot->status = snapshot->log.status;
    }
    if (snapshot->status == MK_OK || snapshot->status == MK_END) {
        piece_write(server, snapshot);
    } else if (snapshot->status == MK_NO_NODE && snapshot->of_log && !snapshot->begun) {
        struct server_peer *peer = snapshot->peer;
        peer->snapshot = NULL;
        snapshot_free(snapshot);
        mk_log(server->log, MK_LOG_INFO,
               "what a server lacks is not in the log any more, or too much: it gets a snapshot  "
               "id=%lld",
               (long long)zab_learner_id(peer->learner));
        checkpoint_await(server, peer);
    } else {
        mk_log(server->log, MK_LOG_ERROR, "what another server lacks cannot be read: %s  status=%s",
               snapshot->error.text, mk_status_name(snapshot->status));
        server_peer_refuse(server, snapshot->peer, "this server cannot read what it needs");
    }
    server_actions_run(server);
}

void server_sync_drained(struct server *server, struct server_peer *peer)
{
    bool pieces = peer->sync_step == SYNC_STREAM || peer->sync_step == SYNC_LOG;

    if (pieces && peer->learner != NULL) {
        zab_learner_alive(server->zab, peer->learner);
        server_actions_run(server);
    }
}

/* ---- Begun and ended ---- */

/* Whether what the learner lacks may be in the log, as far as it is not in memory. */
static bool in_log_only(const struct server *server, mk_zxid peer_last)
{
    mk_zxid first = history_first(&server->history);
    mk_zxid kept = first > 0 ? first : store_applied(server->store);

    return server->options.ensemble.log_share_max > 0 && peer_last > 0 && peer_last < kept;
}

void server_sync_begin(struct server *server, struct server_peer *peer, mk_zxid peer_last)
{
    struct zab_history history = history_of(server);
    struct zab_sync plan = zab_sync_plan(&history, last_told(server, peer_last), peer_last);

    bool by_log = plan.type == JUTE_PACKET_SNAP && in_log_only(server, peer_last);

    mk_log(server->log, MK_LOG_INFO,
           "synchronising a server  id=%lld by=%s zxid=0x%llx its_zxid=0x%llx",
           (long long)zab_learner_id(peer->learner),
           by_log                           ? "log"
           : plan.type == JUTE_PACKET_DIFF  ? "history"
           : plan.type == JUTE_PACKET_TRUNC ? "truncation"
                                            : "snapshot",
           (unsigned long long)plan.header, (unsigned long long)peer_last);
    if (by_log) {
        log_begin(server, peer, peer_last);
    } else if (plan.type == JUTE_PACKET_SNAP) {
        checkpoint_await(server, peer);
    } else {
        server_peer_send(server, peer, &JUTE_PACKET(plan.type, plan.header));
        history_write(server, peer, plan.send_after);
    }
}

void server_sync_end(struct server_peer *peer)
{
    peer->sync_step = SYNC_NONE;
    if (peer->snapshot != NULL) {
        peer->snapshot->peer = NULL;
        if (!peer->snapshot->out) {
            snapshot_free(peer->snapshot);
        } /* else: whoever reads it gives it back */
        peer->snapshot = NULL;
    }
}

mk_zxid server_history_pinned(const struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;
    mk_zxid pinned = INT64_MAX;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->sync_step != SYNC_NONE && peer->sync_pinned < pinned) {
            pinned = peer->sync_pinned;
        }
    }
    return pinned;
}

void server_sync_bound(struct server *server)
{
    struct mk_link *link = server->ensemble->peers.next;

    if (server->history.bytes <= HISTORY_PINNED_BYTES_MAX) {
        return;
    }
    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->sync_step != SYNC_NONE) {
            server_peer_refuse(server, peer, "too much has happened since its snapshot began");
        }
    }
}
