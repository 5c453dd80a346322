/* Four-letter words. The texts are ZooKeeper's, to the byte where a client or a monitoring tool is
 * known to look: zkServer.sh greps "Mode", kazoo reads "zookeeper.version=" and takes one recv(),
 * exporters split mntr at its tabs. */
#include "admin/admin.h"
#include "admin/environment.h"
#include "admin/lists.h"
#include "admin/metrics.h"

#include <inttypes.h>
#include <string.h>

typedef void word_answer(const struct admin_facts *facts, struct mk_buf *out);
static word_answer answer_ruok, answer_srvr, answer_stat, answer_mntr, answer_isro, answer_conf,
    answer_envi, answer_dirs, answer_wchs, answer_srst, answer_crst, answer_trace, answer_hash,
    answer_memb;

/* Every word of ZooKeeper 3.9, and memb. */
static const struct word {
    word_answer *answer;
    char name[ADMIN_WORD_BYTES + 1];
    bool always; /* also while the server is not serving */
    uint8_t argument_bytes;
    struct admin_needs needs;
} words_table[] = {
    {answer_ruok, "ruok", .always = true},
    {answer_srvr, "srvr"},
    {answer_stat, "stat", .needs = {.lists = ADMIN_CONNS}},
    {answer_mntr, "mntr", .needs = {.lists = ADMIN_OPERATIONS}},
    {answer_isro, "isro", .always = true},
    {answer_conf, "conf"},
    {answer_envi, "envi", .always = true},
    {answer_dirs, "dirs"},
    {answer_wchs, "wchs"},
    {answer_srst, "srst", .needs = {.effect = ADMIN_RESET_SERVER}},
    {answer_crst, "crst", .needs = {.effect = ADMIN_RESET_CONNS}},
    {lists_cons_append, "cons", .needs = {.lists = ADMIN_CONNS}},
    {lists_dump_append, "dump",
     .needs = {.lists = ADMIN_CONNS | ADMIN_SESSIONS | ADMIN_EPHEMERALS}},
    {lists_wchc_append, "wchc", .needs = {.lists = ADMIN_WATCHES_BY_SESSION}},
    {lists_wchp_append, "wchp", .needs = {.lists = ADMIN_WATCHES_BY_PATH}},
    {answer_trace, "gtmk", .always = true},
    {answer_trace, "stmk", .always = true, .argument_bytes = 8,
     .needs = {.effect = ADMIN_SET_TRACE}},
    {answer_hash, "hash"},
    {answer_memb, "memb", .always = true, .needs = {.lists = ADMIN_MEMBERS}},
};

int admin_word_find(const uint8_t name[ADMIN_WORD_BYTES])
{
    for (size_t i = 0; i < MK_COUNT(words_table); i++) {
        if (memcmp(words_table[i].name, name, ADMIN_WORD_BYTES) == 0) {
            return (int)i;
        }
    }
    return ADMIN_WORD_NONE;
}

static const struct word *word_of(int word)
{
    MK_ASSERT(word >= 0 && (size_t)word < MK_COUNT(words_table));
    return &words_table[word];
}

static bool word_allowed(int word, uint32_t allowed)
{
    return (allowed & UINT32_C(1) << word) != 0;
}

/* ---- The whitelist ---- */

static enum mk_status word_add(struct mk_bytes name, uint32_t *words)
{
    if (name.len == 1 && name.data[0] == '*') {
        *words |= (UINT32_C(1) << MK_COUNT(words_table)) - 1;
        return MK_OK;
    }
    int word = name.len == ADMIN_WORD_BYTES ? admin_word_find(name.data) : ADMIN_WORD_NONE;
    if (word == ADMIN_WORD_NONE) {
        return MK_BAD_ARGUMENTS;
    }
    *words |= UINT32_C(1) << word;
    return MK_OK;
}

enum mk_status admin_words_parse(struct mk_bytes list, uint32_t *words)
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
        if (word_add(mk_bytes_of(list.data + begin, end - begin), words) != MK_OK) {
            return MK_BAD_ARGUMENTS;
        }
    }
    return MK_OK;
}

/* ---- One word ---- */

size_t admin_word_argument_bytes(int word)
{
    return word_of(word)->argument_bytes;
}

struct admin_needs admin_word_needs(int word, uint32_t allowed, const uint8_t *argument)
{
    if (!word_allowed(word, allowed)) {
        return (struct admin_needs){0};
    }
    struct admin_needs needs = word_of(word)->needs;
    if (needs.effect == ADMIN_SET_TRACE) {
        needs.trace_mask = (int64_t)mk_load_u64(argument);
    }
    return needs;
}

void admin_word_answer(int word, uint32_t allowed, const struct admin_facts *facts,
                       struct mk_buf *out)
{
    const struct word *entry = word_of(word);

    if (!word_allowed(word, allowed)) {
        mk_buf_printf(out, "%s is not executed because it is not in the whitelist.\n", entry->name);
    } else if (!facts->serving && !facts->stats.reads_only && !entry->always) {
        mk_buf_printf(out, "This ZooKeeper instance is not currently serving requests\n");
    } else {
        entry->answer(facts, out);
    }
}

void admin_facts_free(struct admin_facts *facts)
{
    mk_arena_free(&facts->arena);
    mk_free(facts->conns);
    mk_free(facts->sessions);
    mk_free(facts->ephemerals);
    mk_free(facts->watches);
}

/* ---- Answers ---- */

static void answer_ruok(const struct admin_facts *facts, struct mk_buf *out)
{
    (void)facts;
    mk_buf_printf(out, "imok");
}

static void answer_isro(const struct admin_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, facts->serving ? "rw" : facts->stats.reads_only ? "ro" : "null");
}

static void version_line(const struct admin_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "Zookeeper version: %s\n", facts->settings->version);
    if (facts->stats.reads_only) {
        mk_buf_printf(out, "READ-ONLY mode; serving only read-only clients\n");
    }
}

static void state_lines(const struct server_stats *stats, struct mk_buf *out)
{
    struct mk_summary latency = metrics_latency(stats);
    char average[METRIC_DECIMAL_BYTES];

    metric_decimal_print(mk_summary_average(&latency), average);
    mk_buf_printf(out, "Latency min/avg/max: %" PRIu64 "/%s/%" PRIu64 "\n", latency.min, average,
                  latency.max);
    mk_buf_printf(out, "Received: %" PRIu64 "\n", stats->packets_received);
    mk_buf_printf(out, "Sent: %" PRIu64 "\n", stats->packets_sent);
    mk_buf_printf(out, "Connections: %" PRIu64 "\n", stats->connections);
    mk_buf_printf(out, "Outstanding: %" PRIu64 "\n", stats->outstanding);
    mk_buf_printf(out, "Zxid: 0x%" PRIx64 "\n", (uint64_t)stats->zxid);
    mk_buf_printf(out, "Mode: %s\n", stats->mode);
    mk_buf_printf(out, "Node count: %" PRIu64 "\n", metrics_znodes(stats));
}

static void answer_srvr(const struct admin_facts *facts, struct mk_buf *out)
{
    version_line(facts, out);
    state_lines(&facts->stats, out);
}

static void answer_stat(const struct admin_facts *facts, struct mk_buf *out)
{
    version_line(facts, out);
    mk_buf_printf(out, "Clients:\n");
    lists_clients_append(facts, out);
    state_lines(&facts->stats, out);
}

/* How a leader sees one that follows it. */
static void learner_append(const struct admin_member *member, mk_zxid zxid, struct mk_buf *out)
{
    const char *role = member->observer ? "observes" : "follows";

    if (!member->serving || member->acked >> 32 != zxid >> 32) {
        mk_buf_printf(out, "%s, %s; %" PRIu64 " bytes queued\n", role,
                      member->serving ? "nothing of this epoch yet" : "is being synchronised",
                      member->queued_bytes);
        return;
    }
    mk_zxid lag = zxid > member->acked ? zxid - member->acked : 0;
    mk_buf_printf(
        out, "%s, zxid 0x%" PRIx64 ", %" PRId64 " transactions behind; %" PRIu64 " bytes queued\n",
        role, (uint64_t)member->acked, lag, member->queued_bytes);
}

static void member_append(const struct admin_member *member, const struct server_stats *stats,
                          struct mk_buf *out)
{
    mk_buf_printf(out, "server.%" PRId64 ": ", member->id);
    if (member->self) {
        mk_buf_printf(out, "%s, this server\n", stats->mode);
    } else if (member->learner) {
        learner_append(member, stats->zxid, out);
    } else if (member->id == stats->leader) {
        mk_buf_printf(out, "leads\n");
    } else if (member->connected) {
        mk_buf_printf(out, "connected for %" PRId64 " s\n", member->for_ms / 1000);
    } else {
        mk_buf_printf(out, "missing for %" PRId64 " s: %s\n", member->for_ms / 1000,
                      member->why != NULL ? member->why : "not tried yet");
    }
}

/* Own: the ensemble as this server sees it, also while it looks for a leader. */
static void answer_memb(const struct admin_facts *facts, struct mk_buf *out)
{
    const struct server_stats *stats = &facts->stats;

    mk_buf_printf(out, "Mode: %s\n", stats->mode);
    mk_buf_printf(out, "Zxid: 0x%" PRIx64 "\n", (uint64_t)stats->zxid);
    if (facts->settings->ensemble != NULL && stats->epoch >= 0) {
        mk_buf_printf(out, "Epoch: %" PRId64 "\n", stats->epoch);
    }
    for (size_t i = 0; i < facts->members_count; i++) {
        member_append(&facts->members[i], stats, out);
    }
}

static void answer_mntr(const struct admin_facts *facts, struct mk_buf *out)
{
    metrics_append(facts, out);
}

static void port_append(const char *name, uint32_t port, struct mk_buf *out)
{
    mk_buf_printf(out, "%s=%" PRId64 "\n", name, port != 0 ? (int64_t)port : -1);
}

static void answer_conf(const struct admin_facts *facts, struct mk_buf *out)
{
    const struct admin_settings *settings = facts->settings;

    port_append("clientPort", settings->port, out);
    port_append("secureClientPort", settings->secure_port, out);
    mk_buf_printf(out, "dataDir=%s\n", settings->data_dir);
    mk_buf_printf(out, "dataDirSize=%" PRIu64 "\n", facts->data_bytes);
    mk_buf_printf(out, "dataLogDir=%s\n", settings->log_dir);
    mk_buf_printf(out, "dataLogSize=%" PRIu64 "\n", facts->log_bytes);
    mk_buf_printf(out, "tickTime=%" PRId64 "\n", settings->tick_ms);
    mk_buf_printf(out, "maxClientCnxns=%u\n", settings->address_conns_max);
    mk_buf_printf(out, "minSessionTimeout=%" PRId64 "\n", settings->session_timeout_min_ms);
    mk_buf_printf(out, "maxSessionTimeout=%" PRId64 "\n", settings->session_timeout_max_ms);
    mk_buf_printf(out, "clientPortListenBacklog=%" PRId64 "\n", settings->listen_backlog);
    mk_buf_printf(out, "serverId=%u\n", settings->server_id);
    if (settings->ensemble != NULL) {
        mk_buf_printf(out, "initLimit=%u\n", settings->init_limit);
        mk_buf_printf(out, "syncLimit=%u\n", settings->sync_limit);
        mk_buf_printf(out, "electionAlg=3\n");
        mk_buf_printf(out, "electionPort=%u\n", settings->election_port);
        mk_buf_printf(out, "quorumPort=%u\n", settings->quorum_port);
        mk_buf_printf(out, "peerType=%d\n", settings->observer ? 1 : 0);
        mk_buf_printf(out, "membership: \n%s", settings->ensemble);
    }
}

static void environment_line(void *context, const char *key, const char *value)
{
    mk_buf_printf(context, "%s=%s\n", key, value);
}

static void answer_envi(const struct admin_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "Environment:\n");
    environment_each(facts->settings, environment_line, out);
}

static void answer_dirs(const struct admin_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "datadir_size: %" PRIu64 "\n", facts->data_bytes);
    mk_buf_printf(out, "logdir_size: %" PRIu64 "\n", facts->log_bytes);
}

static void answer_wchs(const struct admin_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "%zu connections watching %zu paths\nTotal watches:%zu\n",
                  facts->stats.data_watchers, facts->stats.data_paths, facts->stats.data_watches);
}

static void answer_srst(const struct admin_facts *facts, struct mk_buf *out)
{
    (void)facts;
    mk_buf_printf(out, "Server stats reset.\n");
}

static void answer_crst(const struct admin_facts *facts, struct mk_buf *out)
{
    (void)facts;
    mk_buf_printf(out, "Connection stats reset.\n");
}

static void answer_trace(const struct admin_facts *facts, struct mk_buf *out)
{
    mk_buf_printf(out, "%" PRId64, facts->trace_mask);
}

/* The digests of the whole tree, of which there are none: as with digest.enabled=false. */
static void answer_hash(const struct admin_facts *facts, struct mk_buf *out)
{
    (void)facts;
    (void)out;
}
