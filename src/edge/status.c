/* The facts behind what an operator asks. Some cost system calls, and lists cost a walk: they are
 * looked up when asked for, by whoever is allowed to ask, in a turn of the loop. */
#include "edge/loop.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Of the process ---- */

/* Bytes in the files of the state. A directory that is not there has none. */
static uint64_t state_bytes(const char *data_dir)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/state", data_dir) >= sizeof(path)) {
        return 0;
    }
    DIR *listing = opendir(path);
    if (listing == NULL) {
        return 0;
    }
    uint64_t bytes = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        struct stat facts;
        if (fstatat(dirfd(listing), entry->d_name, &facts, 0) == 0 && S_ISREG(facts.st_mode)) {
            bytes += (uint64_t)facts.st_size;
        }
    }
    (void)closedir(listing);
    return bytes;
}

static uint64_t descriptors_count(void)
{
    struct stat facts;
    if (stat("/proc/self/fd", &facts) == 0 && facts.st_size > 0) {
        return (uint64_t)facts.st_size; /* Linux 6.2 and later */
    }
    uint64_t count = 0;
    DIR *listing = opendir("/proc/self/fd");
    if (listing != NULL) {
        while (readdir(listing) != NULL) {
            count++;
        }
        (void)closedir(listing);
    }
    return count > 3 ? count - 3 : 0; /* ".", ".." and the listing itself */
}

static uint64_t descriptors_max(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return (uint64_t)limit.rlim_cur;
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %llu", &pages) != 1) {
            pages = 0;
        }
        (void)fclose(file);
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- Lists ---- */

struct gathering {
    struct admin_facts *facts;
    size_t cap;
    size_t path_bytes;
    bool cut; /* something was left out */
};

static size_t cap_of(uint64_t entries)
{
    return entries < ADMIN_ENTRIES_MAX ? (size_t)entries : ADMIN_ENTRIES_MAX;
}

static void conns_gather(struct edge *edge, const struct conn *asking, struct admin_facts *facts)
{
    size_t cap = cap_of(edge->conns_count);
    struct mk_link *link = edge->conns.next;

    facts->conns = mk_alloc_zero(cap + 1, sizeof(facts->conns[0]));
    for (; link != &edge->conns && facts->conns_count < cap; link = link->next) {
        const struct conn *conn = MK_CONTAINER(link, struct conn, link);
        if (conn->core != NULL) {
            struct admin_conn *entry = &facts->conns[facts->conns_count++];
            server_conn_stats_read(conn->core, &entry->stats);
            entry->stats.address = mk_arena_copy(&facts->arena, entry->stats.address);
            entry->asking = conn == asking;
            entry->secure = conn->stream.session != NULL;
        }
    }
}

static bool session_gather(void *context, mk_session id, mk_ms expires_in_ms, bool local)
{
    struct gathering *gathering = context;
    struct admin_facts *facts = gathering->facts;

    if (facts->sessions_count == gathering->cap) {
        return false;
    }
    facts->sessions[facts->sessions_count++] = (struct admin_session){id, expires_in_ms, local};
    return true;
}

static void sessions_gather(struct edge *edge, struct admin_facts *facts)
{
    struct gathering gathering = {
        .facts = facts, .cap = cap_of(facts->stats.sessions + facts->stats.local_sessions)};

    facts->sessions = mk_alloc_zero(gathering.cap + 1, sizeof(facts->sessions[0]));
    server_sessions_each(edge->core.server, session_gather, &gathering);
}

static bool path_room(struct gathering *gathering, size_t count, size_t bytes)
{
    gathering->path_bytes += bytes;
    gathering->cut = count == gathering->cap || gathering->path_bytes > ADMIN_PATH_BYTES_MAX;
    return !gathering->cut;
}

static bool ephemeral_gather(void *context, mk_session session, struct mk_bytes path)
{
    struct gathering *gathering = context;
    struct admin_facts *facts = gathering->facts;

    if (!path_room(gathering, facts->ephemerals_count, path.len)) {
        return false;
    }
    facts->ephemerals[facts->ephemerals_count++] =
        (struct admin_path){session, mk_arena_copy(&facts->arena, path)};
    return true;
}

/* A row that cannot be read will stop the server when somebody needs it; not for a list. */
static void ephemerals_gather(struct edge *edge, struct admin_facts *facts)
{
    uint64_t all = (uint64_t)facts->stats.totals.ephemerals;
    struct gathering gathering = {.facts = facts, .cap = cap_of(all)};

    facts->ephemerals = mk_alloc_zero(gathering.cap + 1, sizeof(facts->ephemerals[0]));
    (void)server_ephemerals_each(edge->core.server, ephemeral_gather, &gathering);
}

static bool watch_gather(void *context, mk_session session, struct mk_bytes path)
{
    struct gathering *gathering = context;
    struct admin_facts *facts = gathering->facts;

    if (!path_room(gathering, facts->watches_count, path.len)) {
        return false;
    }
    facts->watches[facts->watches_count++] =
        (struct admin_path){session, mk_arena_copy(&facts->arena, path)};
    return true;
}

static void watches_gather(struct edge *edge, bool by_path, struct admin_facts *facts)
{
    struct gathering gathering = {.facts = facts, .cap = cap_of(facts->stats.data_watches)};

    facts->watches = mk_alloc_zero(gathering.cap + 1, sizeof(facts->watches[0]));
    if (by_path) {
        server_watches_by_path_each(edge->core.server, watch_gather, &gathering);
    } else {
        server_watches_by_session_each(edge->core.server, watch_gather, &gathering);
    }
    facts->watches_cut = gathering.cut;
}

/* ---- Together ---- */

static void effect_apply(struct edge *edge, const struct admin_needs *needs)
{
    struct server_conn *conn = NULL;

    switch (needs->effect) {
    case ADMIN_NONE: return;
    case ADMIN_RESET_SERVER: server_stats_reset(edge->core.server); return;
    case ADMIN_SET_TRACE: edge->trace_mask = needs->trace_mask; return;
    case ADMIN_RESET_CONNS:
        while ((conn = server_conn_next(edge->core.server, conn)) != NULL) {
            server_conn_stats_reset(conn);
        }
        return;
    }
}

/* ---- Operations of recipes ---- */

/* As many as are counted each by itself. */
#define OPERATIONS_MAX 1025

struct operations_gathering {
    struct admin_facts *facts;
};

static void operation_add(void *context, const struct server_operation_figures *figures)
{
    struct operations_gathering *gathering = context;
    struct admin_facts *facts = gathering->facts;

    if (facts->operations_count == OPERATIONS_MAX) {
        return;
    }
    char *name = mk_arena_alloc(&facts->arena, figures->operation.len + 1);
    memcpy(name, figures->operation.data, figures->operation.len);
    name[figures->operation.len] = '\0';
    facts->operations[facts->operations_count++] = (struct admin_operation){
        .name = name,
        .waiting = (uint64_t)figures->waiting,
        .calls = figures->calls,
        .failures = figures->failures,
        .instructions = figures->instructions,
        .effects = figures->effects,
        .run_ms = figures->run_ms,
        .latency_ms = figures->latency_ms,
    };
}

static int operations_compare(const void *a, const void *b)
{
    const struct admin_operation *left = a;
    const struct admin_operation *right = b;

    return strcmp(left->name, right->name);
}

static void operations_gather(struct edge *edge, struct admin_facts *facts)
{
    struct operations_gathering gathering = {.facts = facts};

    facts->operations = mk_arena_alloc(&facts->arena, OPERATIONS_MAX * sizeof(*facts->operations));
    server_figures_each(edge->core.server, operation_add, &gathering);
    qsort(facts->operations, facts->operations_count, sizeof(*facts->operations),
          operations_compare);
}

/* ---- Members of the ensemble ---- */

static void learner_gather(void *context, const struct server_learner_stats *learner)
{
    struct admin_facts *facts = context;

    for (size_t i = 0; i < facts->members_count; i++) {
        struct admin_member *member = &facts->members[i];
        if (member->id == learner->id) {
            member->learner = true;
            member->observer = learner->observer;
            member->serving = learner->serving;
            member->acked = learner->acked;
            member->queued_bytes = learner->queued_bytes;
        }
    }
}

static void members_gather(struct edge *edge, struct admin_facts *facts)
{
    const struct jute_ensemble *ensemble = edge->options->ensemble;
    struct election_peer_state peer;

    if (ensemble == NULL) {
        return;
    }
    size_t bytes = ensemble->members_count * sizeof(facts->members[0]);
    facts->members = memset(mk_arena_alloc(&facts->arena, bytes), 0, bytes);
    facts->members_count = ensemble->members_count;
    for (size_t i = 0; i < facts->members_count; i++) {
        facts->members[i].id = ensemble->members[i].id;
        facts->members[i].self = &ensemble->members[i] == edge->options->self;
    }
    for (size_t i = 0; ensemble_peer(edge, i, &peer); i++) {
        for (size_t j = 0; j < facts->members_count; j++) {
            struct admin_member *member = &facts->members[j];
            if (member->id == peer.id) {
                member->connected = peer.connected;
                member->for_ms = edge->now_ms - peer.since_ms;
                member->why = peer.why;
            }
        }
    }
    server_learners_each(edge->core.server, learner_gather, facts);
}

static uint64_t members_missing(const struct edge *edge)
{
    struct election_peer_state peer;
    uint64_t missing = 0;

    for (size_t i = 0; ensemble_peer(edge, i, &peer); i++) {
        missing += !peer.connected;
    }
    return missing;
}

void status_gather(struct edge *edge, const struct conn *asking, const struct admin_needs *needs,
                   struct admin_facts *facts)
{
    effect_apply(edge, needs);
    *facts = (struct admin_facts){
        .settings = &edge->settings,
        .counters = edge->counters,
        .serving = server_serving(edge->core.server),
        .members_missing = members_missing(edge),
        .wall_ms = edge->now.wall_ms,
        .monotonic_ms = edge->now.monotonic_ms,
        .uptime_ms = (uint64_t)(edge->now_ms - edge->started_ms),
        .descriptors = descriptors_count(),
        .descriptors_max = descriptors_max(),
        .data_bytes = state_bytes(edge->options->data_dir),
        .log_bytes = store_log_bytes(edge->core.log),
        .resident_bytes = resident_bytes(),
        .trace_mask = edge->trace_mask,
        .checkpoint_zxid = store_durable(edge->core.store),
    };
    facts->counters.handshakes = edge->streams.handshakes_count;
    facts->counters.handshakes_pushed = edge->streams.handshakes_pushed;
    facts->counters.handshakes_failed = edge->streams.handshakes_failed;
    server_stats_read(edge->core.server, &facts->stats);
    if ((needs->lists & ADMIN_OPERATIONS) != 0) {
        operations_gather(edge, facts);
    }
    if ((needs->lists & ADMIN_MEMBERS) != 0) {
        members_gather(edge, facts);
    }
    if ((needs->lists & ADMIN_CONNS) != 0) {
        conns_gather(edge, asking, facts);
    }
    if ((needs->lists & ADMIN_SESSIONS) != 0) {
        sessions_gather(edge, facts);
    }
    if ((needs->lists & ADMIN_EPHEMERALS) != 0) {
        ephemerals_gather(edge, facts);
    }
    if ((needs->lists & (ADMIN_WATCHES_BY_SESSION | ADMIN_WATCHES_BY_PATH)) != 0) {
        watches_gather(edge, (needs->lists & ADMIN_WATCHES_BY_PATH) != 0, facts);
    }
}

void status_word(struct edge *edge, const struct conn *asking, int word, const uint8_t *argument,
                 struct mk_buf *out)
{
    struct admin_needs needs = admin_word_needs(word, edge->options->words, argument);
    struct admin_facts facts;

    status_gather(edge, asking, &needs, &facts);
    admin_word_answer(word, edge->options->words, &facts, out);
    admin_facts_free(&facts);
}

/* "/var/lib/x" of "x", for as long as the edge lives. */
static const char *path_absolute(struct edge *edge, const char *path)
{
    char absolute[4096];
    if (realpath(path, absolute) == NULL) {
        return path;
    }
    size_t size = strlen(absolute) + 1;
    return memcpy(mk_arena_alloc(&edge->texts, size), absolute, size);
}

static void member_settings_read(const struct edge_options *options,
                                 struct admin_settings *settings)
{
    const struct server_ensemble *ensemble = &options->server.ensemble;

    settings->ensemble = options->ensemble_text;
    settings->init_limit = ensemble->init_limit;
    settings->sync_limit = ensemble->sync_limit;
    settings->quorum_port = options->self->quorum_port;
    settings->election_port = options->self->election_port;
    settings->observer = options->self->observer;
    for (size_t i = 0; i < ensemble->members_count; i++) {
        settings->voters += !ensemble->members[i].observer;
    }
}

void status_settings_read(struct edge *edge)
{
    const struct edge_options *options = edge->options;
    const char *log_dir = options->log_dir != NULL ? options->log_dir : options->data_dir;

    edge->settings = (struct admin_settings){
        .version = EDGE_ZOOKEEPER_VERSION,
        .own_version = EDGE_VERSION,
        .data_dir = path_absolute(edge, options->data_dir),
        .log_dir = path_absolute(edge, log_dir),
        .port = edge->listener.port,
        .secure_port = edge->secure_listener.port,
        .listen_backlog = options->listen_backlog,
        .address_conns_max = options->address_conns_max,
        .cache_bytes = options->cache_bytes,
        .tick_ms = options->server.tick_ms,
        .session_timeout_min_ms = options->server.session_timeout_min_ms,
        .session_timeout_max_ms = options->server.session_timeout_max_ms,
        .server_id = options->server.server_id,
        .file = options->file_text != NULL ? options->file_text : "",
    };
    if (options->ensemble != NULL) {
        member_settings_read(options, &edge->settings);
    }
    edge->counters.recovery_ms = edge->core.recovery_ms;
    edge->trace_mask = ADMIN_TRACE_MASK_DEFAULT;
}
