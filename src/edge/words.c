/* Four-letter words. The texts are ZooKeeper's, to the byte where a client or a monitoring tool is
 * known to look: zkServer.sh greps "Mode", kazoo reads "zookeeper.version=" and takes one recv(),
 * exporters split mntr at its tabs. */
#include "edge/words.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Every word of ZooKeeper 3.9. Those without an answer are known, so that they are refused by name
 * rather than taken for the length of a frame. */
typedef void word_answer(const struct words_facts *facts, struct mk_buf *out);
static word_answer answer_ruok, answer_srvr, answer_stat, answer_mntr, answer_isro, answer_conf,
    answer_envi, answer_dirs, answer_wchs, answer_srst;

static const struct word {
    word_answer *answer; /* NULL: not available yet */
    char name[WORD_BYTES + 1];
    bool always; /* also while the server is not serving */
} words_table[] = {
    {answer_ruok, "ruok", true},  {answer_srvr, "srvr", false}, {answer_stat, "stat", false},
    {answer_mntr, "mntr", false}, {answer_isro, "isro", true},  {answer_conf, "conf", false},
    {answer_envi, "envi", true},  {answer_dirs, "dirs", false}, {answer_wchs, "wchs", false},
    {answer_srst, "srst", false}, {NULL, "cons", false},        {NULL, "dump", false},
    {NULL, "wchc", false},        {NULL, "wchp", false},        {NULL, "crst", false},
    {NULL, "gtmk", true},         {NULL, "stmk", true},         {NULL, "hash", false},
};

int words_find(const uint8_t name[WORD_BYTES])
{
    for (size_t i = 0; i < MK_COUNT(words_table); i++) {
        if (memcmp(words_table[i].name, name, WORD_BYTES) == 0) {
            return (int)i;
        }
    }
    return WORD_NONE;
}

static const struct word *word_of(int word)
{
    MK_ASSERT(word >= 0 && (size_t)word < MK_COUNT(words_table));
    return &words_table[word];
}

bool words_lists_conns(int word)
{
    return word_of(word)->answer == answer_stat;
}

bool words_resets(int word)
{
    return word_of(word)->answer == answer_srst;
}

static uint32_t words_all(void)
{
    uint32_t words = 0;
    for (size_t i = 0; i < MK_COUNT(words_table); i++) {
        words |= words_table[i].answer != NULL ? UINT32_C(1) << i : 0;
    }
    return words;
}

static enum mk_status word_add(struct mk_bytes name, uint32_t *words, struct mk_buf *missing)
{
    if (name.len == 1 && name.data[0] == '*') {
        *words |= words_all();
        return MK_OK;
    }
    int word = name.len == WORD_BYTES ? words_find(name.data) : WORD_NONE;
    if (word == WORD_NONE) {
        return MK_BAD_ARGUMENTS;
    }
    if (word_of(word)->answer != NULL) {
        *words |= UINT32_C(1) << word;
    } else {
        mk_buf_printf(missing, "%s%s", missing->len > 0 ? ", " : "", word_of(word)->name);
    }
    return MK_OK;
}

enum mk_status words_parse(struct mk_bytes list, uint32_t *words, struct mk_buf *missing)
{
    *words = 0;
    size_t at = 0;
    while (at < list.len) {
        size_t end = at;
        while (end < list.len && list.data[end] != ',') {
            end++;
        }
        size_t begin = at;
        at = end + 1;
        while (begin < end && list.data[begin] == ' ') {
            begin++;
        }
        while (end > begin && list.data[end - 1] == ' ') {
            end--;
        }
        if (begin == end) {
            continue; /* "ruok,,stat": ZooKeeper does not mind. */
        }
        if (word_add(mk_bytes_of(list.data + begin, end - begin), words, missing) != MK_OK) {
            return MK_BAD_ARGUMENTS;
        }
    }
    return MK_OK;
}

void words_answer(int word, uint32_t allowed, const struct words_facts *facts, struct mk_buf *out)
{
    const struct word *entry = word_of(word);

    if (entry->answer == NULL || (allowed & UINT32_C(1) << word) == 0) {
        mk_buf_printf(out, "%s is not executed because it is not in the whitelist.\n", entry->name);
    } else if (!facts->serving && !entry->always) {
        mk_buf_printf(out, "This ZooKeeper instance is not currently serving requests\n");
    } else {
        entry->answer(facts, out);
    }
}

/* ---- Answers ---- */

static void answer_ruok(const struct words_facts *facts, struct mk_buf *out)
{
    (void)facts;
    mk_buf_printf(out, "imok");
}

static void answer_isro(const struct words_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, facts->serving ? "rw" : "null");
}

/* As Java prints a double that was rounded to four decimals: 0.0, 3.7, 9.55. */
static void average_append(const struct server_stats *stats, struct mk_buf *out)
{
    double average = stats->latency_count == 0
                         ? 0.0
                         : (double)stats->latency_sum_ms / (double)stats->latency_count;
    char text[64];
    int length = snprintf(text, sizeof(text), "%.4f", average);
    MK_ASSERT(length > 5 && (size_t)length < sizeof(text));
    while (text[length - 1] == '0' && text[length - 2] != '.') {
        length--;
    }
    mk_buf_append(out, text, (size_t)length);
}

/* ZooKeeper counts the root twice; monitoring compares the number across servers. */
static int64_t znodes_as_zookeeper_counts(const struct server_stats *stats)
{
    return stats->totals.znodes + 1;
}

static void version_line(struct mk_buf *out)
{
    mk_buf_printf(out, "Zookeeper version: %s\n", EDGE_ZOOKEEPER_VERSION);
}

static void state_lines(const struct server_stats *stats, struct mk_buf *out)
{
    mk_buf_printf(out, "Latency min/avg/max: %" PRIu64 "/", stats->latency_min_ms);
    average_append(stats, out);
    mk_buf_printf(out, "/%" PRIu64 "\n", stats->latency_max_ms);
    mk_buf_printf(out, "Received: %" PRIu64 "\n", stats->packets_received);
    mk_buf_printf(out, "Sent: %" PRIu64 "\n", stats->packets_sent);
    mk_buf_printf(out, "Connections: %" PRIu64 "\n", stats->connections);
    mk_buf_printf(out, "Outstanding: %" PRIu64 "\n", stats->outstanding);
    mk_buf_printf(out, "Zxid: 0x%" PRIx64 "\n", (uint64_t)stats->zxid);
    mk_buf_printf(out, "Mode: %s\n", stats->mode);
    mk_buf_printf(out, "Node count: %" PRId64 "\n", znodes_as_zookeeper_counts(stats));
}

static void answer_srvr(const struct words_facts *facts, struct mk_buf *out)
{
    version_line(out);
    state_lines(&facts->stats, out);
}

/* The number in brackets is the interest in the socket: 1 reads; the asking one has ended reading,
 * and its word is the one packet that it has sent. */
static void answer_stat(const struct words_facts *facts, struct mk_buf *out)
{
    version_line(out);
    mk_buf_printf(out, "Clients:\n");
    for (size_t i = 0; i < facts->conns_count; i++) {
        const struct words_conn *conn = &facts->conns[i];
        mk_buf_printf(out,
                      " /%.*s:%u[%d](queued=%" PRIu64 ",recved=%" PRIu64 ",sent=%" PRIu64 ")\n",
                      (int)conn->stats.address.len, (const char *)conn->stats.address.data,
                      (unsigned)conn->stats.port, conn->asking ? 0 : 1, conn->stats.queued,
                      conn->stats.received + (conn->asking ? 1 : 0), conn->stats.sent);
    }
    mk_buf_printf(out, "\n");
    state_lines(&facts->stats, out);
}

static void metric(struct mk_buf *out, const char *name, uint64_t value)
{
    mk_buf_printf(out, "zk_%s\t%" PRIu64 "\n", name, value);
}

static void mntr_zookeeper(const struct words_facts *facts, struct mk_buf *out)
{
    const struct server_stats *stats = &facts->stats;

    mk_buf_printf(out, "zk_version\t%s\n", EDGE_ZOOKEEPER_VERSION);
    mk_buf_printf(out, "zk_server_state\t%s\n", stats->mode);
    mk_buf_printf(out, "zk_avg_latency\t");
    average_append(stats, out);
    mk_buf_printf(out, "\n");
    metric(out, "max_latency", stats->latency_max_ms);
    metric(out, "min_latency", stats->latency_min_ms);
    metric(out, "packets_received", stats->packets_received);
    metric(out, "packets_sent", stats->packets_sent);
    metric(out, "num_alive_connections", stats->connections);
    metric(out, "outstanding_requests", stats->outstanding);
    metric(out, "znode_count", (uint64_t)znodes_as_zookeeper_counts(stats));
    metric(out, "watch_count", stats->watches);
    metric(out, "ephemerals_count", (uint64_t)stats->totals.ephemerals);
    metric(out, "approximate_data_size", (uint64_t)stats->totals.data_bytes);
    metric(out, "open_file_descriptor_count", facts->descriptors);
    metric(out, "max_file_descriptor_count", facts->descriptors_max);
    metric(out, "uptime", facts->uptime_ms);
    metric(out, "global_sessions", stats->sessions);
    metric(out, "local_sessions", 0);
    metric(out, "last_client_response_size", stats->response_bytes_last);
    metric(out, "max_client_response_size", stats->response_bytes_max);
    metric(out, "min_client_response_size", stats->response_bytes_min);
    metric(out, "auth_failed_count", stats->auth_failed);
    metric(out, "stale_sessions_expired", stats->sessions_expired);
    metric(out, "proposal_count", stats->proposals);
    metric(out, "commit_count", stats->commits);
}

/* What ZooKeeper has no name for. The budget: memory_bytes against memory_budget_bytes. */
static void mntr_own(const struct words_facts *facts, struct mk_buf *out)
{
    const struct server_stats *stats = &facts->stats;

    metric(out, "memory_bytes", stats->memory_bytes);
    metric(out, "memory_budget_bytes", facts->options->cache_bytes);
    metric(out, "watched_paths", stats->watched_paths);
    metric(out, "malformed_requests", stats->malformed);
    metric(out, "log_batches", stats->batches);
    metric(out, "log_bytes", facts->log_bytes);
    metric(out, "checkpoints", stats->checkpoints);
    metric(out, "disk_loads", stats->loads);
    metric(out, "quotas", (uint64_t)stats->totals.quotas);
    metric(out, "reapable_znodes", (uint64_t)stats->totals.reapable);
    metric(out, "reaped_znodes", stats->reaped);
    metric(out, "calls_made", stats->calls_made);
    metric(out, "calls_parked", stats->calls_parked);
    metric(out, "calls_woken", stats->calls_woken);
}

static void answer_mntr(const struct words_facts *facts, struct mk_buf *out)
{
    mntr_zookeeper(facts, out);
    mntr_own(facts, out);
}

static void answer_conf(const struct words_facts *facts, struct mk_buf *out)
{
    const struct server_options *server = &facts->options->server;

    mk_buf_printf(out, "clientPort=%u\n", facts->port);
    mk_buf_printf(out, "secureClientPort=-1\n");
    mk_buf_printf(out, "dataDir=%s\n", facts->data_dir);
    mk_buf_printf(out, "dataDirSize=%" PRIu64 "\n", facts->data_bytes);
    mk_buf_printf(out, "dataLogDir=%s\n", facts->log_dir);
    mk_buf_printf(out, "dataLogSize=%" PRIu64 "\n", facts->log_bytes);
    mk_buf_printf(out, "tickTime=%" PRId64 "\n", server->tick_ms);
    mk_buf_printf(out, "maxClientCnxns=%u\n", facts->options->address_conns_max);
    mk_buf_printf(out, "minSessionTimeout=%" PRId64 "\n", server->session_timeout_min_ms);
    mk_buf_printf(out, "maxSessionTimeout=%" PRId64 "\n", server->session_timeout_max_ms);
    mk_buf_printf(out, "clientPortListenBacklog=%" PRId64 "\n", facts->options->listen_backlog);
    mk_buf_printf(out, "serverId=%u\n", (unsigned)server->server_id);
}

/* kazoo's server_version() takes the three numbers after "zookeeper.version=". */
static void answer_envi(const struct words_facts *facts, struct mk_buf *out)
{
    (void)facts;
    char host[256] = "";
    char folder[4096] = "";
    struct utsname system = {0};
    const struct passwd *user = getpwuid(geteuid());

    (void)gethostname(host, sizeof(host) - 1);
    (void)uname(&system);
    if (getcwd(folder, sizeof(folder)) == NULL) {
        folder[0] = '\0';
    }
    mk_buf_printf(out, "Environment:\n");
    mk_buf_printf(out, "zookeeper.version=%s\n", EDGE_ZOOKEEPER_VERSION);
    mk_buf_printf(out, "moonkeeper.version=%s\n", EDGE_VERSION);
    mk_buf_printf(out, "host.name=%s\n", host);
    mk_buf_printf(out, "os.name=%s\n", system.sysname);
    mk_buf_printf(out, "os.arch=%s\n", system.machine);
    mk_buf_printf(out, "os.version=%s\n", system.release);
    mk_buf_printf(out, "user.name=%s\n", user != NULL ? user->pw_name : "?");
    mk_buf_printf(out, "user.home=%s\n", user != NULL ? user->pw_dir : "?");
    mk_buf_printf(out, "user.dir=%s\n", folder);
}

static void answer_dirs(const struct words_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "datadir_size: %" PRIu64 "\n", facts->data_bytes);
    mk_buf_printf(out, "logdir_size: %" PRIu64 "\n", facts->log_bytes);
}

static void answer_wchs(const struct words_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "%zu connections watching %zu paths\nTotal watches:%zu\n",
                  facts->stats.watchers, facts->stats.watched_paths, facts->stats.watches);
}

static void answer_srst(const struct words_facts *facts, struct mk_buf *out)
{
    (void)facts;
    mk_buf_printf(out, "Server stats reset.\n");
}
