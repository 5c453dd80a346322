/* What is measured, under ZooKeeper's names. Of what only an ensemble has, most names are there and count
 * nothing, as on a ZooKeeper that runs alone: rules that read them go on working. What describes the insides of ZooKeeper's threads has no counterpart and is not there. */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const struct metric_quantile metric_quantiles[METRIC_QUANTILES] = {
    {"p50", 500}, {"p95", 950}, {"p99", 990}, {"p999", 999}};

struct mk_summary metrics_latency(const struct server_stats *stats)
{
    struct mk_summary latency = stats->read_latency.all;
    mk_summary_merge(&latency, &stats->update_latency.all);
    return latency;
}

uint64_t metrics_znodes(const struct server_stats *stats)
{
    return (uint64_t)stats->totals.znodes + 1;
}

void metric_decimal_print(double value, char out[METRIC_DECIMAL_BYTES])
{
    int length = snprintf(out, METRIC_DECIMAL_BYTES, "%.4f", value);
    MK_ASSERT(length > 5 && length < METRIC_DECIMAL_BYTES);
    while (out[length - 1] == '0' && out[length - 2] != '.') {
        out[--length] = '\0';
    }
}

/* ---- The list ---- */

struct each {
    metric_visit *visit;
    void *context;
};

static void text(const struct each *each, const char *name, const char *value)
{
    each->visit(each->context, &(struct metric){.name = name, .kind = METRIC_TEXT, .text = value});
}

static void gauge(const struct each *each, const char *name, uint64_t value)
{
    each->visit(each->context,
                &(struct metric){.name = name, .kind = METRIC_GAUGE, .value = value});
}

static void counter(const struct each *each, const char *name, uint64_t value)
{
    each->visit(each->context,
                &(struct metric){.name = name, .kind = METRIC_COUNTER, .value = value});
}

static void decimal(const struct each *each, const char *name, double value)
{
    each->visit(each->context,
                &(struct metric){.name = name, .kind = METRIC_DECIMAL, .decimal = value});
}

static void summary(const struct each *each, const char *name, const struct mk_summary *value)
{
    each->visit(each->context,
                &(struct metric){.name = name, .kind = METRIC_SUMMARY, .summary = value});
}

static void spread(const struct each *each, const char *name, const struct mk_spread *value)
{
    each->visit(each->context,
                &(struct metric){.name = name, .kind = METRIC_SPREAD, .spread = value});
}

static void once(const struct each *each, const char *name, uint64_t value)
{
    struct mk_summary observed = {0};
    mk_summary_add(&observed, value);
    summary(each, name, &observed);
}

static void the_state(const struct each *each, const struct admin_facts *facts)
{
    const struct server_stats *stats = &facts->stats;
    struct mk_summary latency = metrics_latency(stats);

    text(each, "version", facts->settings->version);
    text(each, "server_state", stats->mode);
    decimal(each, "avg_latency", mk_summary_average(&latency));
    gauge(each, "max_latency", latency.max);
    gauge(each, "min_latency", latency.min);
    gauge(each, "packets_received", stats->packets_received);
    gauge(each, "packets_sent", stats->packets_sent);
    gauge(each, "num_alive_connections", stats->connections);
    gauge(each, "outstanding_requests", stats->outstanding);
    gauge(each, "znode_count", metrics_znodes(stats));
    gauge(each, "watch_count", stats->watches);
    gauge(each, "ephemerals_count", (uint64_t)stats->totals.ephemerals);
    gauge(each, "approximate_data_size", (uint64_t)stats->totals.data_bytes);
    gauge(each, "open_file_descriptor_count", facts->descriptors);
    gauge(each, "max_file_descriptor_count", facts->descriptors_max);
    gauge(each, "uptime", facts->uptime_ms);
    gauge(each, "global_sessions", stats->sessions);
    gauge(each, "local_sessions", stats->local_sessions);
    gauge(each, "last_client_response_size", stats->response_bytes_last);
    gauge(each, "max_client_response_size", stats->response_bytes_max);
    gauge(each, "min_client_response_size", stats->response_bytes_min);
    gauge(each, "auth_failed_count", stats->auth_failed);
    decimal(each, "connection_drop_probability", stats->drop_millionths / 1e6);
    gauge(each, "outstanding_tls_handshake", facts->counters.handshakes);
    gauge(each, "non_mtls_remote_conn_count", 0);
    gauge(each, "non_mtls_local_conn_count", 0);
}

static void clients(const struct each *each, const struct admin_facts *facts)
{
    const struct server_stats *stats = &facts->stats;
    const struct admin_counters *counters = &facts->counters;

    counter(each, "bytes_received_count", counters->bytes_received);
    counter(each, "response_bytes", stats->response_bytes);
    counter(each, "watch_bytes", stats->watch_bytes);
    counter(each, "connection_request_count", stats->connect_requests);
    counter(each, "connection_revalidate_count", stats->revalidated);
    counter(each, "connection_rejected", counters->conns_rejected + stats->connects_rejected);
    summary(each, "connection_token_deficit", &stats->token_deficit);
    counter(each, "large_requests_rejected", stats->large_requests_rejected);
    counter(each, "request_throttle_wait_count", stats->throttle_waits);
    counter(each, "throttled_ops", stats->throttled);
    counter(each, "unsuccessful_handshake", counters->handshakes_failed);
    counter(each, "tls_handshake_exceeded", counters->handshakes_pushed);
    counter(each, "connection_drop_count", counters->conns_dropped);
    counter(each, "sessionless_connections_expired", stats->sessionless_expired);
    counter(each, "stale_sessions_expired", stats->sessions_expired);
    spread(each, "readlatency", &stats->read_latency);
    spread(each, "updatelatency", &stats->update_latency);
    summary(each, "node_created_watch_count", &stats->watches_told[0]);
    summary(each, "node_deleted_watch_count", &stats->watches_told[1]);
    summary(each, "node_changed_watch_count", &stats->watches_told[2]);
    summary(each, "node_children_watch_count", &stats->watches_told[3]);
}

static void the_pipeline(const struct each *each, const struct admin_facts *facts)
{
    const struct server_stats *stats = &facts->stats;
    const struct admin_counters *counters = &facts->counters;

    counter(each, "proposal_count", stats->proposals);
    counter(each, "commit_count", stats->commits);
    spread(each, "propagation_latency", &stats->commit_latency);
    summary(each, "prep_processor_queue_size", &counters->outstanding);
    summary(each, "sync_processor_batch_size", &counters->log_batches);
    summary(each, "fsynctime", &counters->syncs_ms);
    summary(each, "snapshottime", &counters->checkpoints_ms);
    once(each, "dbinittime", (uint64_t)counters->recovery_ms);
    once(each, "startup_txns_loaded", stats->recovered);
}

/* Of a member, in the role that it has. */
static void the_role(const struct each *each, const struct admin_facts *facts)
{
    const struct server_stats *stats = &facts->stats;

    if (facts->settings->ensemble == NULL) {
        return;
    }
    gauge(each, "quorum_size", facts->settings->voters);
    gauge(each, "members_missing", facts->members_missing);
    if (stats->reads_only) {
        text(each, "peer_state", "looking");
        return;
    }
    if (strcmp(stats->mode, "leader") != 0) {
        text(each, "peer_state",
             strcmp(stats->mode, "observer") == 0 ? "observing - broadcast"
                                                  : "following - broadcast");
        return;
    }
    text(each, "peer_state", "leading - broadcast");
    gauge(each, "learners", stats->followers + stats->observers);
    gauge(each, "followers", stats->followers);
    gauge(each, "synced_followers", stats->synced_followers);
    gauge(each, "synced_observers", stats->synced_observers);
    gauge(each, "synced_non_voting_followers", 0);
    gauge(each, "pending_syncs", stats->syncs_pending);
}

/* What nothing is counted of. */
static void the_ensemble(const struct each *each)
{
    static const char *const counters[] = {
        "learner_proposal_received_count",
        "learner_commit_received_count",
        "looking_count",
        "diff_count",
        "snap_count",
        "revalidate_count",
        "quit_leading_due_to_disloyal_voter",
        "ensemble_auth_success",
        "ensemble_auth_fail",
        "ensemble_auth_skip",
        "insecure_admin_count",
        "digest_mismatches_count",
        "unrecoverable_error_count",
        "cnxn_closed_without_zk_server_running",
    };
    static const char *const summaries[] = {
        "election_time",       "leader_unavailable_time", "unavailable_time",
        "follower_sync_time",  "observer_sync_time",      "inflight_snap_count",
        "inflight_diff_count",
    };
    static const char *const spreads[] = {
        "quorum_ack_latency",
        "commit_propagation_latency",
        "proposal_ack_creation_latency",
        "proposal_latency",
    };
    struct mk_summary nothing = {0};
    struct mk_spread nothing_spread = {0};

    for (size_t i = 0; i < MK_COUNT(counters); i++) {
        counter(each, counters[i], 0);
    }
    for (size_t i = 0; i < MK_COUNT(summaries); i++) {
        summary(each, summaries[i], &nothing);
    }
    for (size_t i = 0; i < MK_COUNT(spreads); i++) {
        spread(each, spreads[i], &nothing_spread);
    }
}

/* What ZooKeeper has no name for. The budget: memory_bytes against memory_budget_bytes. */
static void own(const struct each *each, const struct admin_facts *facts)
{
    const struct server_stats *stats = &facts->stats;

    gauge(each, "memory_bytes", stats->memory_bytes);
    gauge(each, "memory_budget_bytes", facts->settings->cache_bytes);
    gauge(each, "resident_bytes", facts->resident_bytes);
    gauge(each, "watched_paths", stats->watched_paths);
    counter(each, "malformed_requests", stats->malformed);
    counter(each, "log_batches", stats->batches);
    gauge(each, "log_bytes", facts->log_bytes);
    counter(each, "slow_syncs", facts->counters.syncs_slow);
    counter(each, "checkpoints", stats->checkpoints);
    counter(each, "disk_loads", stats->loads);
    gauge(each, "quotas", (uint64_t)stats->totals.quotas);
    gauge(each, "reapable_znodes", (uint64_t)stats->totals.reapable);
    counter(each, "reaped_znodes", stats->reaped);
    counter(each, "calls_made", stats->calls_made);
    counter(each, "calls_parked", stats->calls_parked);
    counter(each, "calls_woken", stats->calls_woken);
}

void metrics_each(const struct admin_facts *facts, metric_visit *visit, void *context)
{
    struct each each = {visit, context};

    the_state(&each, facts);
    own(&each, facts);
    clients(&each, facts);
    the_pipeline(&each, facts);
    the_role(&each, facts);
    the_ensemble(&each);
}

/* ---- mntr ---- */

static void summary_append(struct mk_buf *out, const char *name, const struct mk_summary *summary)
{
    char average[METRIC_DECIMAL_BYTES];

    metric_decimal_print(mk_summary_average(summary), average);
    mk_buf_printf(out, "zk_avg_%s\t%s\n", name, average);
    mk_buf_printf(out, "zk_min_%s\t%" PRIu64 "\n", name, summary->min);
    mk_buf_printf(out, "zk_max_%s\t%" PRIu64 "\n", name, summary->max);
    mk_buf_printf(out, "zk_cnt_%s\t%" PRIu64 "\n", name, summary->count);
    mk_buf_printf(out, "zk_sum_%s\t%" PRIu64 "\n", name, summary->sum);
}

static void spread_append(struct mk_buf *out, const char *name, const struct mk_spread *spread)
{
    summary_append(out, name, &spread->all);
    for (size_t i = 0; i < METRIC_QUANTILES; i++) {
        mk_buf_printf(out, "zk_%s_%s\t%" PRIu64 "\n", metric_quantiles[i].name, name,
                      mk_spread_quantile(spread, metric_quantiles[i].per_mille));
    }
}

static void metric_append(void *context, const struct metric *metric)
{
    struct mk_buf *out = context;
    char decimal_text[METRIC_DECIMAL_BYTES];

    switch (metric->kind) {
    case METRIC_TEXT: mk_buf_printf(out, "zk_%s\t%s\n", metric->name, metric->text); return;
    case METRIC_GAUGE:
    case METRIC_COUNTER:
        mk_buf_printf(out, "zk_%s\t%" PRIu64 "\n", metric->name, metric->value);
        return;
    case METRIC_DECIMAL:
        metric_decimal_print(metric->decimal, decimal_text);
        mk_buf_printf(out, "zk_%s\t%s\n", metric->name, decimal_text);
        return;
    case METRIC_SUMMARY: summary_append(out, metric->name, metric->summary); return;
    case METRIC_SPREAD: spread_append(out, metric->name, metric->spread); return;
    }
}

const struct metric_operation_figure metric_operation_figures[METRIC_OPERATION_FIGURES] = {
    {"recipe_calls", METRIC_COUNTER, offsetof(struct admin_operation, calls)},
    {"recipe_failures", METRIC_COUNTER, offsetof(struct admin_operation, failures)},
    {"recipe_waiting", METRIC_GAUGE, offsetof(struct admin_operation, waiting)},
    {"recipe_run_ms", METRIC_COUNTER, offsetof(struct admin_operation, run_ms)},
    {"recipe_instructions", METRIC_COUNTER, offsetof(struct admin_operation, instructions)},
    {"recipe_effects", METRIC_COUNTER, offsetof(struct admin_operation, effects)},
};

/* As ZooKeeper writes what it counts for each of many keys: the key comes before the name. */
static void operation_append(const struct admin_operation *operation, struct mk_buf *out)
{
    struct mk_buf name = {0};

    for (size_t i = 0; i < METRIC_OPERATION_FIGURES; i++) {
        const struct metric_operation_figure *figure = &metric_operation_figures[i];
        const uint8_t *at = (const uint8_t *)operation + figure->offset;
        uint64_t value;
        memcpy(&value, at, sizeof(value));
        mk_buf_printf(out, "zk_%s_%s\t%" PRIu64 "\n", operation->name, figure->name, value);
    }
    mk_buf_printf(&name, "%s_" METRIC_OPERATION_LATENCY, operation->name);
    mk_buf_put_u8(&name, '\0');
    summary_append(out, (const char *)name.data, &operation->latency_ms);
    mk_buf_free(&name);
}

void metrics_append(const struct admin_facts *facts, struct mk_buf *out)
{
    metrics_each(facts, metric_append, out);
    for (size_t i = 0; i < facts->operations_count; i++) {
        operation_append(&facts->operations[i], out);
    }
}
