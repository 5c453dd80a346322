/* The AdminServer's commands: protocol reference, section 10.3. Each has ZooKeeper's names and keys; the
 * JSON is made on the HTTP's thread, from facts that were copied in a turn of the loop. */
#include "admin/commands.h"

#include "admin/environment.h"
#include "admin/lists.h"
#include "admin/metrics.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 3

typedef void command_fill(const struct admin_facts *facts, json_t *out);
static command_fill fill_nothing, fill_configuration, fill_connections, fill_hash, fill_dirs,
    fill_dump, fill_environment, fill_trace, fill_initial_configuration, fill_is_read_only,
    fill_last_snapshot, fill_leader, fill_monitor, fill_observers, fill_server_stats, fill_stats,
    fill_voting_view, fill_watches, fill_watches_by_path, fill_watch_summary, fill_zabstate;

struct command {
    const char *names[NAMES_MAX]; /* the first is the primary one */
    command_fill *fill;
    struct admin_needs needs;
    bool always; /* also while the server is not serving */
};

/* Sorted by primary name. */
static const struct command commands[] = {
    {{"configuration", "conf", "config"}, fill_configuration},
    {{"connection_stat_reset", "crst"}, fill_nothing, {.effect = ADMIN_RESET_CONNS}},
    {{"connections", "cons"}, fill_connections, {.lists = ADMIN_CONNS}},
    {{"dirs"}, fill_dirs},
    {{"dump"}, fill_dump, {.lists = ADMIN_SESSIONS | ADMIN_EPHEMERALS}},
    {{"environment", "env", "envi"}, fill_environment, .always = true},
    {{"get_trace_mask", "gtmk"}, fill_trace, .always = true},
    {{"hash"}, fill_hash},
    {{"initial_configuration", "icfg"}, fill_initial_configuration},
    {{"is_read_only", "isro"}, fill_is_read_only},
    {{"last_snapshot", "lsnp"}, fill_last_snapshot},
    {{"leader", "lead"}, fill_leader},
    {{"monitor", "mntr"}, fill_monitor},
    {{"observer_connection_stat_reset", "orst"}, fill_nothing},
    {{"observers", "obsr"}, fill_observers},
    {{"ruok"}, fill_nothing, .always = true},
    {{"server_stats", "srvr"}, fill_server_stats},
    {{"set_trace_mask", "stmk"}, fill_trace, {.effect = ADMIN_SET_TRACE}, .always = true},
    {{"stat_reset", "srst"}, fill_nothing, {.effect = ADMIN_RESET_SERVER}},
    {{"stats", "stat"}, fill_stats, {.lists = ADMIN_CONNS}},
    {{"voting_view"}, fill_voting_view},
    {{"watch_summary", "wchs"}, fill_watch_summary},
    {{"watches", "wchc"}, fill_watches, {.lists = ADMIN_WATCHES_BY_SESSION}},
    {{"watches_by_path", "wchp"}, fill_watches_by_path, {.lists = ADMIN_WATCHES_BY_PATH}},
    {{"zabstate"}, fill_zabstate},
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < MK_COUNT(commands); i++) {
        for (size_t j = 0; j < NAMES_MAX && commands[i].names[j] != NULL; j++) {
            if (strcmp(commands[i].names[j], name) == 0) {
                return &commands[i];
            }
        }
    }
    return NULL;
}

struct admin_needs command_needs(const struct command *command, int64_t trace_mask)
{
    struct admin_needs needs = command->needs;
    needs.trace_mask = trace_mask;
    return needs;
}

/* ---- Answers ---- */

static void text_put(json_t *object, const char *key, const char *value)
{
    json_t *text = json_string(value);
    json_object_set_new(object, key, text != NULL ? text : json_string("?")); /* not UTF-8 */
}

static void bytes_put(json_t *array, struct mk_bytes value)
{
    json_t *text = json_stringn((const char *)value.data, value.len);
    json_array_append_new(array, text != NULL ? text : json_string("?"));
}

static void number_put(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void json_append(json_t *object, struct mk_buf *out)
{
    size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(15);
    size_t length = json_dumpb(object, NULL, 0, flags);

    mk_buf_reserve(out, length + 1);
    out->len += json_dumpb(object, (char *)out->data + out->len, length, flags);
    mk_buf_put_u8(out, '\n');
}

static json_t *answer_new(const char *command, const char *error)
{
    json_t *answer = json_object();

    text_put(answer, "command", command);
    json_object_set_new(answer, "error", error != NULL ? json_string(error) : json_null());
    return answer;
}

void command_answer(const struct command *command, const struct admin_facts *facts,
                    struct mk_buf *out)
{
    bool serves = facts->serving || facts->stats.reads_only || command->always;
    json_t *answer =
        answer_new(command->names[0],
                   serves ? NULL : "This ZooKeeper instance is not currently serving requests");

    if (serves) {
        command->fill(facts, answer);
    }
    json_append(answer, out);
    json_decref(answer);
}

void command_refuse(const char *name, const char *error, struct mk_buf *out)
{
    json_t *answer = answer_new(name, error);
    json_append(answer, out);
    json_decref(answer);
}

void commands_page(const char *path, struct mk_buf *out)
{
    for (size_t i = 0; i < MK_COUNT(commands); i++) {
        const char *name = commands[i].names[0];
        mk_buf_printf(out, "<a href=\"%s/%s\">%s</a>\n<br/>\n", path, name, name);
    }
}

/* ---- What each says ---- */

static void fill_nothing(const struct admin_facts *facts, json_t *out)
{
    (void)facts;
    (void)out;
}

static void fill_configuration(const struct admin_facts *facts, json_t *out)
{
    const struct admin_settings *settings = facts->settings;

    number_put(out, "client_port", settings->port);
    text_put(out, "data_dir", settings->data_dir);
    text_put(out, "data_log_dir", settings->log_dir);
    number_put(out, "tick_time", (uint64_t)settings->tick_ms);
    number_put(out, "max_client_cnxns", settings->address_conns_max);
    number_put(out, "min_session_timeout", (uint64_t)settings->session_timeout_min_ms);
    number_put(out, "max_session_timeout", (uint64_t)settings->session_timeout_max_ms);
    number_put(out, "server_id", settings->server_id);
    json_object_set_new(out, "client_port_listen_backlog", json_integer(settings->listen_backlog));
}

static void initial_line(const char *line, size_t length, struct mk_buf *out)
{
    static const char *const secrets[] = {"igest", "assword"};
    const char *equals = memchr(line, '=', length);

    for (size_t i = 0; i < MK_COUNT(secrets) && equals != NULL; i++) {
        if (memmem(line, (size_t)(equals - line), secrets[i], strlen(secrets[i])) != NULL) {
            mk_buf_append(out, line, (size_t)(equals - line) + 1);
            mk_buf_append(out, "***", 3);
            return;
        }
    }
    mk_buf_append(out, line, length);
}

/* Whoever asks is not authenticated: what is a secret is not told. */
static void fill_initial_configuration(const struct admin_facts *facts, json_t *out)
{
    struct mk_buf text = {0};
    const char *at = facts->settings->file;

    while (*at != '\0') {
        size_t length = strcspn(at, "\n");
        initial_line(at, length, &text);
        at += length;
        if (*at == '\n') {
            mk_buf_put_u8(&text, '\n');
            at++;
        }
    }
    mk_buf_put_u8(&text, '\0');
    text_put(out, "initial_configuration", (const char *)text.data);
    mk_buf_free(&text);
}

/* `brief`: as stats has it. */
static json_t *connection_of(const struct server_conn_stats *conn, bool brief)
{
    char address[96];
    json_t *entry = json_object();

    (void)snprintf(address, sizeof(address), "%.*s:%u", (int)conn->address.len,
                   (const char *)conn->address.data, (unsigned)conn->port);
    text_put(entry, "remote_socket_address", address);
    number_put(entry, "interest_ops", 1);
    number_put(entry, "outstanding_requests", conn->queued);
    number_put(entry, "packets_received", conn->received);
    number_put(entry, "packets_sent", conn->sent);
    if (brief || conn->session == 0) {
        return entry;
    }
    json_object_set_new(entry, "session_id", json_integer(conn->session));
    text_put(entry, "last_operation", lists_operation(conn->op));
    number_put(entry, "established", (uint64_t)conn->established_ms);
    number_put(entry, "session_timeout", (uint64_t)conn->timeout_ms);
    json_object_set_new(entry, "last_cxid", json_integer(conn->cxid));
    json_object_set_new(entry, "last_zxid", json_integer(conn->zxid));
    number_put(entry, "last_response_time", (uint64_t)conn->answered_ms);
    number_put(entry, "last_latency", conn->latency_ms);
    number_put(entry, "min_latency", conn->latencies.min);
    number_put(entry, "avg_latency", (uint64_t)mk_summary_average(&conn->latencies));
    number_put(entry, "max_latency", conn->latencies.max);
    return entry;
}

static void connections_put(const struct admin_facts *facts, bool brief, json_t *out)
{
    json_t *plain = json_array(), *secure = json_array();

    for (size_t i = 0; i < facts->conns_count; i++) {
        const struct admin_conn *conn = &facts->conns[i];
        json_array_append_new(conn->secure ? secure : plain, connection_of(&conn->stats, brief));
    }
    json_object_set_new(out, "connections", plain);
    json_object_set_new(out, "secure_connections", secure);
    if (facts->stats.connections > facts->conns_count) {
        number_put(out, "connections_left_out", facts->stats.connections - facts->conns_count);
    }
}

static void fill_connections(const struct admin_facts *facts, json_t *out)
{
    connections_put(facts, false, out);
}

static void fill_hash(const struct admin_facts *facts, json_t *out)
{
    (void)facts;
    json_object_set_new(out, "digests", json_array());
}

static void fill_dirs(const struct admin_facts *facts, json_t *out)
{
    number_put(out, "datadir_size", facts->data_bytes);
    number_put(out, "logdir_size", facts->log_bytes);
}

/* The array below `key`, made if it is not there. */
static json_t *array_below(json_t *object, const char *key)
{
    json_t *array = json_object_get(object, key);
    if (array == NULL) {
        array = json_array();
        json_object_set_new(object, key, array);
    }
    return array;
}

/* {"<session>": ["/path", ...], ...} */
static json_t *paths_by_session(const struct admin_path *paths, size_t count)
{
    json_t *object = json_object();
    char key[32];

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof(key), "%" PRId64, paths[i].session);
        bytes_put(array_below(object, key), paths[i].path);
    }
    return object;
}

static void fill_dump(const struct admin_facts *facts, json_t *out)
{
    json_t *expiries = json_object();
    char key[32];

    for (size_t i = 0; i < facts->sessions_count; i++) {
        const struct admin_session *session = &facts->sessions[i];
        (void)snprintf(key, sizeof(key), "%" PRId64, facts->wall_ms + session->expires_in_ms);
        json_array_append_new(array_below(expiries, key), json_integer(session->id));
    }
    json_object_set_new(out, "expiry_time_to_session_ids", expiries);
    json_object_set_new(out, "session_id_to_ephemeral_paths",
                        paths_by_session(facts->ephemerals, facts->ephemerals_count));
    uint64_t sessions = facts->stats.sessions + facts->stats.local_sessions;
    if (sessions > facts->sessions_count) {
        number_put(out, "sessions_left_out", sessions - facts->sessions_count);
    }
    if ((uint64_t)facts->stats.totals.ephemerals > facts->ephemerals_count) {
        number_put(out, "ephemerals_left_out",
                   (uint64_t)facts->stats.totals.ephemerals - facts->ephemerals_count);
    }
}

static void environment_put(void *context, const char *key, const char *value)
{
    text_put(context, key, value);
}

static void fill_environment(const struct admin_facts *facts, json_t *out)
{
    environment_each(facts->settings, environment_put, out);
}

static void fill_trace(const struct admin_facts *facts, json_t *out)
{
    json_object_set_new(out, "tracemask", json_integer(facts->trace_mask));
}

static void fill_is_read_only(const struct admin_facts *facts, json_t *out)
{
    json_object_set_new(out, "read_only", json_boolean(facts->stats.reads_only));
}

static void fill_last_snapshot(const struct admin_facts *facts, json_t *out)
{
    char zxid[32];

    (void)snprintf(zxid, sizeof(zxid), "%" PRIx64, (uint64_t)facts->checkpoint_zxid);
    text_put(out, "zxid", zxid);
    number_put(out, "timestamp", (uint64_t)(facts->counters.checkpoint_wall_ms / 1000));
}

/* ---- One server has no leader, no observers, no votes ---- */

static void fill_leader(const struct admin_facts *facts, json_t *out)
{
    (void)facts;
    text_put(out, "error", "server is not initialized");
}

static void fill_observers(const struct admin_facts *facts, json_t *out)
{
    (void)facts;
    number_put(out, "synced_observers", 0);
    json_object_set_new(out, "observers", json_array());
}

static void fill_voting_view(const struct admin_facts *facts, json_t *out)
{
    (void)facts;
    json_object_set_new(out, "current_config", json_object());
}

static void fill_zabstate(const struct admin_facts *facts, json_t *out)
{
    (void)facts;
    json_object_set_new(out, "voting", json_false());
    text_put(out, "zabstate", "");
}

/* ---- Numbers ---- */

static void summary_put(json_t *out, const char *name, const struct mk_summary *summary)
{
    static const char *const prefixes[] = {"min", "max", "cnt", "sum"};
    const uint64_t values[] = {summary->min, summary->max, summary->count, summary->sum};
    char key[96];

    (void)snprintf(key, sizeof(key), "avg_%s", name);
    json_object_set_new(out, key, json_real(mk_summary_average(summary)));
    for (size_t i = 0; i < MK_COUNT(prefixes); i++) {
        (void)snprintf(key, sizeof(key), "%s_%s", prefixes[i], name);
        number_put(out, key, values[i]);
    }
}

static void metric_put(void *context, const struct metric *metric)
{
    json_t *out = context;
    char key[96];

    switch (metric->kind) {
    case METRIC_TEXT: text_put(out, metric->name, metric->text); return;
    case METRIC_GAUGE:
    case METRIC_COUNTER: number_put(out, metric->name, metric->value); return;
    case METRIC_DECIMAL: json_object_set_new(out, metric->name, json_real(metric->decimal)); return;
    case METRIC_SUMMARY: summary_put(out, metric->name, metric->summary); return;
    case METRIC_SPREAD:
        summary_put(out, metric->name, &metric->spread->all);
        for (size_t i = 0; i < METRIC_QUANTILES; i++) {
            (void)snprintf(key, sizeof(key), "%s_%s", metric_quantiles[i].name, metric->name);
            number_put(out, key, mk_spread_quantile(metric->spread, metric_quantiles[i].per_mille));
        }
        return;
    }
}

static void fill_monitor(const struct admin_facts *facts, json_t *out)
{
    metrics_each(facts, metric_put, out);
}

static json_t *response_sizes(const struct server_stats *stats)
{
    json_t *sizes = json_object();

    number_put(sizes, "last_buffer_size", stats->response_bytes_last);
    number_put(sizes, "min_buffer_size", stats->response_bytes_min);
    number_put(sizes, "max_buffer_size", stats->response_bytes_max);
    return sizes;
}

static json_t *server_stats_of(const struct admin_facts *facts)
{
    const struct server_stats *stats = &facts->stats;
    struct mk_summary latency = metrics_latency(stats);
    json_t *object = json_object();

    number_put(object, "packets_sent", stats->packets_sent);
    number_put(object, "packets_received", stats->packets_received);
    number_put(object, "fsync_threshold_exceed_count", facts->counters.syncs_slow);
    json_object_set_new(object, "client_response_stats", response_sizes(stats));
    number_put(object, "uptime", facts->uptime_ms);
    json_object_set_new(object, "provider_null", json_false());
    text_put(object, "server_state", stats->mode);
    number_put(object, "outstanding_requests", stats->outstanding);
    number_put(object, "min_latency", latency.min);
    json_object_set_new(object, "avg_latency", json_real(mk_summary_average(&latency)));
    number_put(object, "max_latency", latency.max);
    number_put(object, "data_dir_size", facts->data_bytes);
    number_put(object, "log_dir_size", facts->log_bytes);
    number_put(object, "last_processed_zxid", (uint64_t)stats->zxid);
    number_put(object, "num_alive_client_connections", stats->connections);
    number_put(object, "auth_failed_count", stats->auth_failed);
    number_put(object, "non_mtlsremote_conn_count", 0);
    number_put(object, "non_mtlslocal_conn_count", 0);
    return object;
}

static void fill_server_stats(const struct admin_facts *facts, json_t *out)
{
    text_put(out, "version", facts->settings->version);
    json_object_set_new(out, "read_only", json_boolean(facts->stats.reads_only));
    json_object_set_new(out, "server_stats", server_stats_of(facts));
    json_object_set_new(out, "client_response", response_sizes(&facts->stats));
    number_put(out, "node_count", metrics_znodes(&facts->stats));
}

static void fill_stats(const struct admin_facts *facts, json_t *out)
{
    fill_server_stats(facts, out);
    connections_put(facts, true, out);
}

/* ---- Watches ---- */

static void left_out_put(const struct admin_facts *facts, json_t *out)
{
    if (facts->watches_cut) {
        number_put(out, "watches_left_out", facts->stats.data_watches - facts->watches_count);
    }
}

static void fill_watches(const struct admin_facts *facts, json_t *out)
{
    json_object_set_new(out, "session_id_to_watched_paths",
                        paths_by_session(facts->watches, facts->watches_count));
    left_out_put(facts, out);
}

static void fill_watches_by_path(const struct admin_facts *facts, json_t *out)
{
    json_t *object = json_object();

    for (size_t i = 0; i < facts->watches_count; i++) {
        struct mk_buf key = {0};
        mk_buf_append_bytes(&key, facts->watches[i].path);
        mk_buf_put_u8(&key, '\0');
        if (json_object_get(object, (const char *)key.data) == NULL &&
            json_object_set_new(object, (const char *)key.data, json_array()) != 0) {
            key.len = 0; /* A path that is not UTF-8 is of no znode. */
            mk_buf_append(&key, "?", 2);
        }
        json_array_append_new(array_below(object, (const char *)key.data),
                              json_integer(facts->watches[i].session));
        mk_buf_free(&key);
    }
    json_object_set_new(out, "path_to_session_ids", object);
    left_out_put(facts, out);
}

static void fill_watch_summary(const struct admin_facts *facts, json_t *out)
{
    number_put(out, "num_connections", facts->stats.data_watchers);
    number_put(out, "num_paths", facts->stats.data_paths);
    number_put(out, "num_total_watches", facts->stats.data_watches);
}
