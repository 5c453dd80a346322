/* The table of options: what each is called, where it is kept, and what it may be. conf/moonkeeper.cfg
 * explains them in the same order, and a test compares the two. */
#include "edge/options.h"

#include "edge/option.h"
#include "edge/tls.h"
#include "admin/admin.h"
#include "sasl/sasl.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX 64 /* of what is compared for a suggestion */
/* In a contended place the next answer comes sooner; elsewhere a waiter's ticket may show that late. */
#define PARKED_PATIENCE_MS 5
#define HANDSHAKE_MS 5000
/* How the file's keys are called on ZooKeeper's command line; some write them so in the file too. */
#define PROPERTY_PREFIX "zookeeper."
#define PROPERTY_EDITS_MAX 2

#define AT(field) offsetof(struct edge_options, field)

/* What there is of TLS for clients and for other servers. */
#define TLS_OPTIONS(prefix, options)                                                             \
    {prefix "keyStore.location", OPTION_TEXT, AT(options.key_file)},                             \
        {prefix "keyStore.type", OPTION_TEXT, AT(options.key_type)},                             \
        {prefix "keyStore.password", OPTION_TEXT, AT(options.key_password)},                     \
        {prefix "keyStore.passwordPath", OPTION_TEXT, AT(options.key_password_file)},            \
        {prefix "trustStore.location", OPTION_TEXT, AT(options.trust_file)},                     \
        {prefix "trustStore.type", OPTION_TEXT, AT(options.trust_type)},                         \
        {prefix "clientAuth", OPTION_TEXT, AT(options.client_auth)},                             \
        {prefix "clientHostnameVerification", OPTION_TRUE_FALSE,                                 \
         AT(options.client_host_verified)},                                                      \
        {prefix "crl", OPTION_TRUE_FALSE, AT(options.crl)},                                      \
        {prefix "protocol", OPTION_TEXT, AT(options.protocol)},                                  \
        {prefix "enabledProtocols", OPTION_TEXT, AT(options.protocols)},                         \
        {prefix "ciphersuites", OPTION_TEXT, AT(options.ciphers)},                               \
    {                                                                                            \
        prefix "handshakeDetectionTimeoutMillis", OPTION_MS, AT(options.handshake_ms), 1, 600000 \
    }

static const struct option options_table[] = {
    {"dataDir", OPTION_TEXT, AT(data_dir)},
    {"dataLogDir", OPTION_TEXT, AT(log_dir)},
    {"backupDir", OPTION_TEXT, AT(backup_dir)},
    {"clientPort", OPTION_COUNT, AT(port), 0, 65535},
    {"clientPortAddress", OPTION_TEXT, AT(address)},
    {"clientPortListenBacklog", OPTION_INTEGER, AT(listen_backlog), -1, 65535},
    {"secureClientPort", OPTION_COUNT, AT(secure_port), 0, 65535},
    {"secureClientPortAddress", OPTION_TEXT, AT(secure_address)},
    {"client.portUnification", OPTION_TRUE_FALSE, AT(clients_either)},
    {"clientTcpKeepAlive", OPTION_TRUE_FALSE, AT(keepalive)},
    {"maxClientCnxns", OPTION_COUNT, AT(address_conns_max), 0, 1000000},
    {"maxCnxns", OPTION_COUNT, AT(conns_max), 0, 1000000},
    {"nio.sessionlessCnxnTimeout", OPTION_MS, AT(server.sessionless_timeout_ms), 100, DAY_MS},
    {"4lw.commands.whitelist", OPTION_WORDS, AT(words)},

    {"admin.enableServer", OPTION_TRUE_FALSE, AT(admin)},
    {"admin.serverAddress", OPTION_TEXT, AT(admin_address)},
    {"admin.serverPort", OPTION_COUNT, AT(admin_port), 0, 65535},
    {"admin.commandURL", OPTION_TEXT, AT(admin_path)},
    {"admin.idleTimeout", OPTION_MS, AT(admin_idle_ms), 1000, DAY_MS},
    {"metricsProvider.className", OPTION_TEXT, AT(metrics_class)},
    {"metricsProvider.httpHost", OPTION_TEXT, AT(prometheus_address)},
    {"metricsProvider.httpPort", OPTION_COUNT, AT(prometheus_port), 0, 65535},

    {"tickTime", OPTION_MS, AT(server.tick_ms), 10, DAY_MS},
    {"minSessionTimeout", OPTION_MS, AT(server.session_timeout_min_ms), -1, DAY_MS},
    {"maxSessionTimeout", OPTION_MS, AT(server.session_timeout_max_ms), -1, 7 * DAY_MS},
    {"localSessionsEnabled", OPTION_TRUE_FALSE, AT(server.local_sessions)},
    {"localSessionsUpgradingEnabled", OPTION_TRUE_FALSE, AT(server.local_sessions_upgrade)},

    {"dynamicConfigFile", OPTION_TEXT, AT(dynamic_file)},
    {"peerType", OPTION_TEXT, AT(peer_type)},
    {"standaloneEnabled", OPTION_TRUE_FALSE, AT(standalone_allowed)},
    {"initLimit", OPTION_COUNT, AT(server.ensemble.init_limit), 1, 1000000},
    {"syncLimit", OPTION_COUNT, AT(server.ensemble.sync_limit), 1, 1000000},
    {"quorumListenOnAllIPs", OPTION_TRUE_FALSE, AT(listen_all)},
    {"cnxTimeout", OPTION_MS, AT(peer_connect_ms), 1, DAY_MS},
    {"tcpKeepAlive", OPTION_TRUE_FALSE, AT(peer_keepalive)},
    {"fastleader.minNotificationInterval", OPTION_MS, AT(server.ensemble.notify_min_ms), 1, DAY_MS},
    {"fastleader.maxNotificationInterval", OPTION_MS, AT(server.ensemble.notify_max_ms), 1, DAY_MS},
    {"commitLogCount", OPTION_COUNT, AT(server.ensemble.history_count), 1, 1000000},
    {"snapshotSizeFactor", OPTION_RATIO, AT(server.ensemble.log_share_max)},
    {"logKeptBytes", OPTION_BYTES, AT(log_kept_bytes), 0, 16 * GIB},
    {"readonlymode.enabled", OPTION_TRUE_FALSE, AT(server.read_only_mode)},

    {"jute.maxbuffer", OPTION_BYTES_U32, AT(server.frame_bytes_max), KIB, 64 * MIB},
    {"globalOutstandingLimit", OPTION_COUNT, AT(server.outstanding_max), 1, 1000000},
    {"request_throttle_max_requests", OPTION_COUNT, AT(server.throttle_outstanding_max), 0,
     1000000},
    {"throttled_op_wait_time", OPTION_MS, AT(server.throttled_wait_ms), 0, DAY_MS},
    {"largeRequestThreshold", OPTION_COUNT_OR_NONE, AT(server.large_request_bytes), -1, 64 * MIB},
    {"largeRequestMaxBytes", OPTION_BYTES, AT(server.large_requests_bytes_max), MIB, 16 * GIB},
    {"connection_throttle_tokens", OPTION_COUNT, AT(server.throttle.tokens), 0, 1000000},
    {"connection_throttle_fill_time", OPTION_MS, AT(server.throttle.fill_ms), 1, DAY_MS},
    {"connection_throttle_fill_count", OPTION_COUNT, AT(server.throttle.fill_count), 1, 1000000},
    {"connection_throttle_freeze_time", OPTION_MS, AT(server.throttle.freeze_ms), -1, DAY_MS},
    {"connection_throttle_drop_increase", OPTION_RATIO, AT(server.throttle.drop_increase)},
    {"connection_throttle_drop_decrease", OPTION_RATIO, AT(server.throttle.drop_decrease)},
    {"connection_throttle_decrease_ratio", OPTION_RATIO, AT(server.throttle.decrease_ratio)},
    {"connection_throttle_weight_enabled", OPTION_TRUE_FALSE, AT(server.throttle.weights)},
    {"connection_throttle_global_session_weight", OPTION_COUNT, AT(server.throttle.global_weight),
     1, 1000},
    {"connection_throttle_renew_session_weight", OPTION_COUNT, AT(server.throttle.renew_weight), 1,
     1000},
    {"connectionOutstandingLimit", OPTION_COUNT, AT(server.conn_outstanding_max), 1, 1000000},
    {"connectionOutputBytesMax", OPTION_BYTES, AT(conn_output_bytes_max), MIB, 16 * GIB},
    {"connectionWatchesMax", OPTION_COUNT, AT(server.conn_watches_max), 1, 100000000},

    {"reconfigEnabled", OPTION_TRUE_FALSE, AT(server.reconfig)},
    {"skipACL", OPTION_YES_NO, AT(server.acl.skip)},
    {"DigestAuthenticationProvider.enabled", OPTION_TRUE_FALSE, AT(server.acl.digest)},
    {"DigestAuthenticationProvider.superDigest", OPTION_TEXT, AT(super_digest)},
    {"DigestAuthenticationProvider.digestAlg", OPTION_HASH, AT(digest_hash)},
    {"enforce.auth.enabled", OPTION_TRUE_FALSE, AT(auth_enforced)},
    {"enforce.auth.schemes", OPTION_TEXT, AT(auth_schemes)},
    {"saslUsersFile", OPTION_TEXT, AT(sasl_users_file)},
    {"sasl.serverconfig", OPTION_TEXT, AT(sasl_section)},
    {"SASLAuthenticationProvider.superPassword", OPTION_TEXT, AT(sasl_super_password)},
    {"sessionRequireClientSASLAuth", OPTION_TRUE_FALSE, AT(sasl_required)},
    {"allowSaslFailedClients", OPTION_TRUE_FALSE, AT(server.sasl_failed_stay)},
    {"superUser", OPTION_TEXT, AT(sasl_super)},
    {"letAnySaslUserDoX", OPTION_TEXT, AT(sasl_any)},

    TLS_OPTIONS("ssl.", clients_tls_options),
    {"client.certReload", OPTION_TRUE_FALSE, AT(clients_tls_options.reloaded)},
    {"netty.server.outstandingHandshake.limit", OPTION_INTEGER, AT(handshakes_max), -1, 100000},
    {"X509AuthenticationProvider.superUser", OPTION_TEXT, AT(x509_super)},
    {"sslQuorum", OPTION_TRUE_FALSE, AT(peers_secure)},
    {"portUnification", OPTION_TRUE_FALSE, AT(peers_either)},
    TLS_OPTIONS("ssl.quorum.", peers_tls_options),
    {"ssl.quorum.hostnameVerification", OPTION_TRUE_FALSE, AT(peers_tls_options.host_verified)},
    {"sslQuorumReloadCertFiles", OPTION_TRUE_FALSE, AT(peers_tls_options.reloaded)},

    {"extendedTypesEnabled", OPTION_TRUE_FALSE, AT(server.extended_types)},
    {"znode.container.checkIntervalMs", OPTION_MS, AT(server.reap_interval_ms), 1, DAY_MS},
    {"znode.container.maxPerMinute", OPTION_COUNT, AT(server.reaps_per_minute_max), 1, 1000000},
    {"znode.container.maxNeverUsedIntervalMs", OPTION_MS, AT(server.container_unused_ms), 0,
     INT64_MAX},
    {"enforceQuota", OPTION_TRUE_FALSE, AT(server.enforce_quota)},
    {"ephemeralsPerSession", OPTION_COUNT, AT(server.session_ephemerals_max), 0, 100000000},

    {"forceSync", OPTION_YES_NO, AT(sync)},
    {"fsync.warningthresholdms", OPTION_MS, AT(sync_warning_ms), 1, DAY_MS},
    {"preAllocSize", OPTION_KILOBYTES, AT(segment_bytes), 64, 4 * MIB - 1},
    {"cacheSize", OPTION_BYTES, AT(cache_bytes), 8 * MIB, 1024 * GIB},
    {"overlayBytes", OPTION_BYTES, AT(overlay_bytes), MIB, 16 * GIB},
    {"checkpointLogBytes", OPTION_BYTES, AT(server.log_bytes_checkpoint), MIB, 16 * GIB},
    {"checkpointSeconds", OPTION_SECONDS, AT(server.checkpoint_ms), 1, 86400},

    {"recipes", OPTION_ON_OFF, AT(server.recipes)},
    {"recipeDir", OPTION_TEXT, AT(recipe_dir)},
    {"recipeAdmin", OPTION_TEXT, AT(recipe_admin)},
    {"slowRunMs", OPTION_MS, AT(server.slow_run_ms), 0, 60000},
    {"callResultSeconds", OPTION_SECONDS, AT(server.call_result_ms), 1, 7 * 86400},
    {"callsMax", OPTION_COUNT, AT(server.calls_max), 1, 10000000},
    {"sessionCallsMax", OPTION_COUNT, AT(server.session_calls_max), 1, 1000000},
    {"wakesPerStep", OPTION_COUNT, AT(server.wakes_per_step), 1, 10000},

    {"logLevel", OPTION_LEVEL, AT(log_level)},
};

void edge_options_default(struct edge_options *options)
{
    memset(options, 0, sizeof(*options));
    server_options_default(&options->server);
    options->server.parked_patience_ms = PARKED_PATIENCE_MS;
    options->data_dir = options_text(options, "./data");
    options->port = 2181;
    options->listen_backlog = -1;
    options->address_conns_max = 60;
    options->conn_output_bytes_max = 64 * MIB;
    options->cache_bytes = 256 * MIB;
    options->overlay_bytes = 32 * MIB;
    options->segment_bytes = 64 * MIB;
    options->log_kept_bytes = 32 * MIB;
    options->server.ensemble.log_share_max = 330000;
    options->sync = true;
    options->sync_warning_ms = 1000;
    options->sasl_section = options_text(options, "Server");
    options->log_level = MK_LOG_INFO;
    options->admin_address = options_text(options, "127.0.0.1");
    options->admin_port = 8080;
    options->admin_path = options_text(options, "/commands");
    options->admin_idle_ms = 30000;
    options->prometheus_address = options_text(options, "0.0.0.0");
    options->prometheus_port = 7000;
    options->peer_type = options_text(options, "participant");
    options->standalone_allowed = true;
    options->peer_connect_ms = 5000;
    options->handshakes_max = -1;
    options->clients_tls_options = (struct edge_tls_options){
        .client_auth = options_text(options, "need"), .handshake_ms = HANDSHAKE_MS};
    options->peers_tls_options =
        (struct edge_tls_options){.client_auth = options_text(options, "need"),
                                  .host_verified = true,
                                  .client_host_verified = true,
                                  .dials = true,
                                  .handshake_ms = HANDSHAKE_MS};

    enum mk_status status = admin_words_parse(MK_BYTES(ADMIN_WORDS_DEFAULT), &options->words);
    MK_ASSERT(status == MK_OK);
}

void edge_options_free(struct edge_options *options)
{
    sasl_users_free(options->sasl_users);
    tls_free(options->clients_tls);
    tls_free(options->peers_tls);
    mk_buf_free(&options->ignored);
    mk_arena_free(&options->texts);
    memset(options, 0, sizeof(*options));
}

char *options_text(struct edge_options *options, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mk_arena_alloc(&options->texts, size), text, size);
}

void options_ignore(struct edge_options *options, const char *key)
{
    size_t length = strlen(key);
    const char *ignored = (const char *)options->ignored.data;
    for (size_t at = 0; at + length <= options->ignored.len; at++) {
        bool begins = at == 0 || ignored[at - 1] == ' ';
        bool ends = at + length == options->ignored.len || ignored[at + length] == ',';
        if (begins && ends && memcmp(ignored + at, key, length) == 0) {
            return;
        }
    }
    mk_buf_printf(&options->ignored, "%s%s", options->ignored.len > 0 ? ", " : "", key);
}

const char *option_name(size_t index)
{
    return index < MK_COUNT(options_table) ? options_table[index].name : NULL;
}

/* ---- Keys ---- */

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return strncasecmp(&a, &b, 1) == 0;
}

/* Edits (insert, remove, replace a letter) that make `b` of `a`, whatever the case. */
static unsigned edits_between(const char *a, const char *b)
{
    size_t a_len = strnlen(a, NAME_BYTES_MAX), b_len = strnlen(b, NAME_BYTES_MAX);
    unsigned row[NAME_BYTES_MAX + 1];

    for (size_t j = 0; j <= b_len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replaced = diagonal + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);
            diagonal = row[j];
            row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

struct nearest {
    const char *name; /* NULL: none is near enough */
    unsigned edits;   /* one more than allowed, until there is a name */
};

static void nearest_try(struct nearest *nearest, const char *key, const char *name)
{
    unsigned edits = edits_between(key, name);
    if (edits < nearest->edits) {
        *nearest = (struct nearest){name, edits};
    }
}

/* The name that `key` was most likely meant to be, at most `edits_max` away. */
static const char *key_nearest(const char *key, unsigned edits_max)
{
    struct nearest nearest = {NULL, edits_max + 1};

    for (size_t i = 0; option_name(i) != NULL; i++) {
        nearest_try(&nearest, key, option_name(i));
    }
    for (size_t i = 0; zookeeper_key_name(i) != NULL; i++) {
        nearest_try(&nearest, key, zookeeper_key_name(i));
    }
    return nearest.name;
}

/* A system property of ZooKeeper's may be anything that some plugin reads: only what is nearly the
 * name of a known one is taken for a mistake. */
static enum mk_status property_unknown(struct edge_options *options, const char *key,
                                       const char *name, struct mk_error *error)
{
    const char *nearest = key_nearest(name, PROPERTY_EDITS_MAX);

    if (nearest == NULL) {
        options_ignore(options, key);
        return MK_OK;
    }
    mk_error_set(error, "unknown option %s: did you mean " PROPERTY_PREFIX "%s?", key, nearest);
    return MK_BAD_ARGUMENTS;
}

static enum mk_status key_unknown(const char *key, struct mk_error *error)
{
    const char *nearest = key_nearest(key, 1 + (unsigned)strnlen(key, NAME_BYTES_MAX) / 4);

    if (nearest != NULL) {
        mk_error_set(error, "unknown option %s: did you mean %s?", key, nearest);
    } else {
        mk_error_set(error, "unknown option %s: moonkeeper.cfg explains those there are", key);
    }
    return MK_BAD_ARGUMENTS;
}

static enum mk_status foreign_key_set(struct edge_options *options, const char *key,
                                      const char *name, const char *value, struct mk_error *error)
{
    switch (zookeeper_key_find(name, value)) {
    case ZOOKEEPER_KEY_UNKNOWN:
        return name != key ? property_unknown(options, key, name, error) : key_unknown(key, error);
    case ZOOKEEPER_KEY_SERVER: return options_ensemble_line(options, name, value, error);
    case ZOOKEEPER_KEY_MEMBER:
        options_member_refuses(options, key, value);
        options_ignore(options, key);
        return MK_OK;
    case ZOOKEEPER_KEY_IGNORED: options_ignore(options, key); return MK_OK;
    case ZOOKEEPER_KEY_SUPER_USER: return options_super_user_add(options, value, error);
    case ZOOKEEPER_KEY_OBSERVERS:
        mk_error_set(error, "%s=%s: observers connect to the leader here: remove the line", key,
                     value);
        return MK_BAD_ARGUMENTS;
    case ZOOKEEPER_KEY_TLS:
        mk_error_set(error, "%s=%s: that part of TLS is not available: remove the line", key,
                     value);
        return MK_BAD_ARGUMENTS;
    }
    return MK_BAD_ARGUMENTS;
}

enum mk_status option_set(struct edge_options *options, const char *key, const char *value,
                          struct mk_error *error)
{
    bool property = strncmp(key, PROPERTY_PREFIX, strlen(PROPERTY_PREFIX)) == 0;
    const char *name = property ? key + strlen(PROPERTY_PREFIX) : key;

    for (size_t i = 0; i < MK_COUNT(options_table); i++) {
        if (strcmp(options_table[i].name, name) == 0) {
            options->port_given |= options_table[i].offset == AT(port);
            options->secure_given |= options_table[i].offset == AT(secure_port);
            return option_value_set(options, &options_table[i], value, error);
        }
    }
    return foreign_key_set(options, key, name, value, error);
}

/* Of the providers of metrics there is Prometheus' and none: mntr needs none. */
static enum mk_status operators_check(struct edge_options *options, struct mk_error *error)
{
    static const char prometheus[] =
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    const char *provider = options->metrics_class;

    options->prometheus = provider != NULL && strcmp(provider, prometheus) == 0;
    if (provider != NULL && !options->prometheus) {
        options_ignore(options, "metricsProvider.className");
    }
    if (options->admin_path == NULL || options->admin_path[0] != '/' ||
        options->admin_path[1] == '\0') {
        mk_error_set(error, "admin.commandURL must begin with / and go on: /commands");
        return MK_BAD_ARGUMENTS;
    }
    if (options->admin_address == NULL) {
        options->admin_address = options_text(options, "0.0.0.0");
    }
    if (options->prometheus_address == NULL) {
        options->prometheus_address = options_text(options, "0.0.0.0");
    }
    return MK_OK;
}

enum mk_status options_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;

    if (options->data_dir == NULL) {
        mk_error_set(error, "dataDir is empty: name the directory to keep the data in");
        return MK_BAD_ARGUMENTS;
    }
    if (server->session_timeout_min_ms <= 0) {
        server->session_timeout_min_ms = 2 * server->tick_ms;
    }
    if (server->session_timeout_max_ms <= 0) {
        server->session_timeout_max_ms = 20 * server->tick_ms;
    }
    if (server->session_timeout_min_ms > server->session_timeout_max_ms) {
        mk_error_set(error,
                     "minSessionTimeout=%" PRId64 " is larger than maxSessionTimeout=%" PRId64,
                     server->session_timeout_min_ms, server->session_timeout_max_ms);
        return MK_BAD_ARGUMENTS;
    }
    server->elapsed_ms = edge_elapsed_ms;
    server->elapsed_context = &options->elapsed;
    enum mk_status status = options_ensemble_check(options, error);
    if (status == MK_OK) {
        options_tls_settle(options);
        status = options_auth_check(options, error);
    }
    return status == MK_OK ? operators_check(options, error) : status;
}

void option_value(const struct edge_options *options, size_t index, struct mk_buf *out)
{
    MK_ASSERT(index < MK_COUNT(options_table));
    option_value_append(options, &options_table[index], out);
}
