/* What an operator asks: counters, and who is connected, watches, owns. Nothing here changes what a
 * client sees. Walks are O(what is visited); whoever asks stops them with `visit` returning false. */
#include "server/ensemble.h"

void server_stats_read(const struct server *server, struct server_stats *out)
{
    struct tree_watch_counts watches = tree_watches_count(server->watches);

    *out = server->stats;
    out->zxid = store_applied(server->store);
    out->log_time_ms = server->log_time_ms;
    server_roles_read(server, out);
    out->connections = server->conns_count;
    out->outstanding = server->outstanding;
    out->totals = *store_totals(server->store);
    out->watchers = watches.watchers;
    out->watched_paths = watches.paths;
    out->watches = watches.watches;
    out->data_watchers = watches.data_watchers;
    out->data_paths = watches.data_paths;
    out->data_watches = watches.data_watches;
    out->drop_millionths = server->throttle.drop;
    out->sessions = session_count(server->sessions);
    out->local_sessions = session_count(server->locals);
    out->memory_bytes = store_memory_bytes(server->store);
    for (size_t i = 0; i < MK_COUNT(out->watches_told); i++) {
        out->watches_told[i] = *tree_watches_told(server->watches, (int)i + 1);
    }
}

void server_stats_reset(struct server *server)
{
    struct server_stats *stats = &server->stats;

    stats->packets_received = 0;
    stats->packets_sent = 0;
    stats->read_latency = (struct mk_spread){0};
    stats->update_latency = (struct mk_spread){0};
    stats->response_bytes_last = stats->response_bytes_min = stats->response_bytes_max = 0;
}

/* ---- Connections ---- */

static mk_ms closes_ms(const struct server_conn *conn)
{
    const struct mk_timer *timer = conn->session != NULL ? &conn->session->timer : &conn->timer;
    return timer->index != 0 ? timer->due : 0;
}

void server_conn_stats_read(const struct server_conn *conn, struct server_conn_stats *out)
{
    const struct conn_history *history = &conn->history;

    *out = (struct server_conn_stats){
        .address = conn->address,
        .port = conn->port,
        .queued = conn->queued,
        .received = conn->received,
        .sent = conn->sent,
        .session = conn->session_id,
        .timeout_ms = conn->session != NULL ? conn->session->timeout_ms : 0,
        .established_ms = history->established_ms,
        .closes_ms = closes_ms(conn),
        .answered_ms = history->answered_ms,
        .op = history->op,
        .cxid = history->cxid,
        .zxid = conn->zxid_told,
        .latency_ms = history->latency_ms,
        .latencies = history->latencies,
    };
}

void server_conn_stats_reset(struct server_conn *conn)
{
    conn->received = 0;
    conn->sent = 0;
    conn->history = (struct conn_history){
        .established_ms = conn->history.established_ms,
        .cxid = -1,
    };
}

struct server_conn *server_conn_next(const struct server *server, const struct server_conn *after)
{
    struct mk_link *next = after == NULL ? server->conns.next : after->all.next;

    return next == &server->conns ? NULL : MK_CONTAINER(next, struct server_conn, all);
}

/* ---- Sessions and what they own ---- */

static bool sessions_of_each(const struct server *server, const struct session_table *table,
                             server_session_visit *visit, void *context)
{
    struct session *session;
    size_t cursor = 0;

    while (session_next(table, &cursor, &session)) {
        mk_ms due_ms = session->closing ? server->now.monotonic_ms : session->timer.due;
        if (!visit(context, session->id, due_ms - server->now.monotonic_ms, session->local)) {
            return false;
        }
    }
    return true;
}

void server_sessions_each(const struct server *server, server_session_visit *visit, void *context)
{
    if (sessions_of_each(server, server->locals, visit, context)) {
        (void)sessions_of_each(server, server->sessions, visit, context);
    }
}

enum mk_status server_ephemerals_each(struct server *server, server_path_visit *visit,
                                      void *context)
{
    struct store_view *view = store_committed(server->store);

    store_view_blocking(view, true);
    enum mk_status status = store_owned_each(view, visit, context);
    store_view_blocking(view, false);
    return status;
}

/* ---- Watches: of the data table, which is what ZooKeeper lists ---- */

struct watches_visit {
    server_path_visit *visit;
    void *context;
};

static bool watch_seen(void *context, struct tree_watcher *watcher, struct mk_bytes path)
{
    const struct watches_visit *visit = context;
    const struct server_conn *conn = MK_CONTAINER(watcher, struct server_conn, watcher);

    return visit->visit(visit->context, conn->session_id, path);
}

void server_watches_by_session_each(const struct server *server, server_path_visit *visit,
                                    void *context)
{
    struct watches_visit wanted = {visit, context};
    struct server_conn *conn = NULL;

    while ((conn = server_conn_next(server, conn)) != NULL) {
        if (!tree_watches_of_each(server->watches, &conn->watcher, watch_seen, &wanted)) {
            return;
        }
    }
}

void server_watches_by_path_each(const struct server *server, server_path_visit *visit,
                                 void *context)
{
    struct watches_visit wanted = {visit, context};

    tree_watches_each(server->watches, watch_seen, &wanted);
}

struct figures_walk {
    server_figures_visit *visit;
    void *context;
};

static void figures_show(void *context, const struct prepare_figures *figures)
{
    struct figures_walk *walk = context;
    struct server_operation_figures shown = {
        .operation = figures->operation,
        .waiting = figures->waiting,
        .calls = figures->calls,
        .failures = figures->failures,
        .instructions = figures->instructions,
        .effects = figures->effects,
        .run_ms = figures->run_ms,
        .latency_ms = figures->latency_ms,
    };

    walk->visit(walk->context, &shown);
}

void server_figures_each(const struct server *server, server_figures_visit *visit, void *context)
{
    struct figures_walk walk = {visit, context};

    prepare_figures_each(server->prepare, figures_show, &walk);
}
