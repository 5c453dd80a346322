/* A member of an ensemble: its two ports, and what it writes besides its log.
 *
 *   open    both ports are bound, before anything else is touched
 *   start   when the loop runs: others are dialled and accepted
 *   take    once a turn: votes to the election's connections, packets to the quorum's, epochs and the
 *           cutting off of the log's end to the log's thread, in the order in which the core asks
 *   close   when what clients are owed is done, before the last checkpoint: the others need not wait */
#include "edge/ensemble.h"

#include <inttypes.h>

/* ---- The election ---- */

static void on_notified(void *context, int64_t from, struct mk_bytes message)
{
    struct ensemble *ensemble = context;

    turn_begin(ensemble->edge);
    server_notified(ensemble->edge->core.server, from, message);
}

static void on_reachable(void *context, int64_t id, bool reachable)
{
    struct ensemble *ensemble = context;

    turn_begin(ensemble->edge);
    server_reachable(ensemble->edge->core.server, id, reachable);
}

static void notifications_take(struct ensemble *ensemble)
{
    struct server *server = ensemble->edge->core.server;
    int64_t to = -1;

    while (server_notification_take(server, &to, &ensemble->message)) {
        election_send(ensemble->election, to, mk_buf_view(&ensemble->message));
    }
}

/* ---- Epochs, and a log that is cut off: on the log's thread ---- */

static void epoch_write(struct ensemble *ensemble, const char *name, int64_t epoch, int64_t *stored)
{
    if (ensemble->status == MK_OK && epoch != *stored) {
        ensemble->status =
            store_epoch_write(ensemble->edge->core.log_path, name, epoch, &ensemble->error);
        *stored = epoch;
    }
}

/* The accepted one first: whoever reads them after a crash finds it the larger. */
static void epochs_work(void *context)
{
    struct ensemble *ensemble = context;

    epoch_write(ensemble, "acceptedEpoch", ensemble->epochs.accepted, &ensemble->stored.accepted);
    epoch_write(ensemble, "currentEpoch", ensemble->epochs.current, &ensemble->stored.current);
}

static void epochs_done(void *context)
{
    struct ensemble *ensemble = context;
    struct edge *edge = ensemble->edge;

    if (ensemble->status != MK_OK) {
        edge_die(edge->log, EDGE_EXIT_FAILED, "the epoch cannot be written", ensemble->status,
                 &ensemble->error);
    }
    turn_begin(edge);
    server_epochs_stored(edge->core.server);
}

static void truncate_work(void *context)
{
    struct ensemble *ensemble = context;

    ensemble->status =
        store_log_truncate(ensemble->edge->core.log, ensemble->truncate_zxid, &ensemble->error);
}

static void truncate_done(void *context)
{
    struct ensemble *ensemble = context;
    struct edge *edge = ensemble->edge;

    if (ensemble->status != MK_OK) {
        edge_die(edge->log, EDGE_EXIT_FAILED, "the log's end cannot be cut off", ensemble->status,
                 &ensemble->error);
    }
    turn_begin(edge);
    mk_log(edge->log, MK_LOG_INFO,
           "the log is cut off: what was behind it has not committed  zxid=0x%" PRIx64,
           (uint64_t)ensemble->truncate_zxid);
    server_truncated(edge->core.server);
}

static void disk_jobs_take(struct ensemble *ensemble)
{
    struct edge *edge = ensemble->edge;

    if (!log_thread_idle(edge->log_thread)) {
        return;
    }
    ensemble->status = MK_OK;
    if (server_epochs_take(edge->core.server, &ensemble->epochs)) {
        log_thread_run(edge->log_thread, epochs_work, epochs_done, ensemble);
    } else if (server_truncate_take(edge->core.server, &ensemble->truncate_zxid)) {
        log_thread_run(edge->log_thread, truncate_work, truncate_done, ensemble);
    }
}

/* ---- Turns ---- */

void ensemble_take(struct edge *edge)
{
    struct ensemble *ensemble = edge->ensemble;

    if (ensemble == NULL || ensemble->closed) {
        return;
    }
    disk_jobs_take(ensemble);
    notifications_take(ensemble);
    quorum_take(&ensemble->quorum);
}

void ensemble_flush(struct edge *edge)
{
    struct ensemble *ensemble = edge->ensemble;

    if (ensemble == NULL || ensemble->closed) {
        return;
    }
    quorum_flush(&ensemble->quorum);
}

bool ensemble_peer(const struct edge *edge, size_t index, struct election_peer_state *out)
{
    const struct ensemble *ensemble = edge->ensemble;

    return ensemble != NULL && !ensemble->closed &&
           election_peer_state(ensemble->election, index, out);
}

/* ---- Life ---- */

static void members_read(struct ensemble *ensemble, const struct jute_ensemble *configured)
{
    for (size_t i = 0; i < configured->members_count; i++) {
        const struct jute_member *member = &configured->members[i];
        ensemble->members[i] = (struct election_member){.id = member->id,
                                                        .host = member->host,
                                                        .port = member->election_port,
                                                        .observer = member->observer};
    }
}

enum mk_status ensemble_open(struct edge *edge, struct mk_error *error)
{
    const struct edge_options *options = edge->options;
    const struct jute_member *self = options->self;

    if (options->ensemble == NULL) {
        return MK_OK;
    }
    struct ensemble *ensemble = mk_alloc_zero(1, sizeof(*ensemble));
    ensemble->edge = edge;
    members_read(ensemble, options->ensemble);
    ensemble->election = election_open(
        &(struct election_options){
            .loop = &edge->loop,
            .log = edge->log,
            .streams = &edge->streams,
            .tls = options->peers_tls,
            .dials_secure = options->peers_secure,
            .accepts_either = options->peers_either,
            .members = ensemble->members,
            .members_count = options->ensemble->members_count,
            .id = self->id,
            .listen_all = options->listen_all,
            .keepalive = options->peer_keepalive,
            .connect_timeout_ms = options->peer_connect_ms,
            .silence_ms = options->server.tick_ms * options->server.ensemble.sync_limit,
            .notified = on_notified,
            .reachable = on_reachable,
            .context = ensemble,
        },
        error);
    if (ensemble->election == NULL) {
        mk_free(ensemble);
        return MK_IN_USE;
    }
    enum mk_status status = quorum_open(
        &ensemble->quorum, edge, options->listen_all ? NULL : self->host, self->quorum_port, error);
    if (status != MK_OK) {
        election_close(ensemble->election);
        uv_run(&edge->loop, UV_RUN_NOWAIT);
        mk_free(ensemble);
        return status;
    }
    edge->ensemble = ensemble;
    return MK_OK;
}

enum mk_status ensemble_start(struct edge *edge, struct mk_error *error)
{
    struct ensemble *ensemble = edge->ensemble;

    if (ensemble == NULL) {
        return MK_OK;
    }
    ensemble->stored = edge->core.epochs;
    enum mk_status status = quorum_start(&ensemble->quorum, error);
    return status == MK_OK ? election_start(ensemble->election, error) : status;
}

void ensemble_close(struct edge *edge)
{
    struct ensemble *ensemble = edge->ensemble;

    if (ensemble == NULL || ensemble->closed) {
        return;
    }
    ensemble->closed = true;
    quorum_close(&ensemble->quorum);
    election_close(ensemble->election);
}

void ensemble_free(struct edge *edge)
{
    if (edge->ensemble != NULL) {
        mk_buf_free(&edge->ensemble->message);
        mk_free(edge->ensemble);
    }
}
