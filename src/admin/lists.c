/* Words whose answers are lists: of connections, sessions, ephemerals and watches. Formats are
 * ZooKeeper's: protocol reference, section 10.2. What a list leaves out is said in a last line. */
#include "admin/lists.h"

#include "jute/jute.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A line stays a line: a watch may be of any bytes, which no znode's path ever holds. */
static void path_append(struct mk_bytes path, struct mk_buf *out)
{
    for (size_t i = 0; i < path.len; i++) {
        mk_buf_put_u8(out, path.data[i] < ' ' ? '?' : path.data[i]);
    }
    mk_buf_put_u8(out, '\n');
}

static void left_out_append(uint64_t all, size_t listed, struct mk_buf *out)
{
    if (all > listed) {
        mk_buf_printf(out, "... %" PRIu64 " more are not listed\n", all - listed);
    }
}

/* ---- Connections ---- */

const char *lists_operation(int32_t op)
{
    switch (op) {
    case JUTE_CREATE_SESSION: return "SESS";
    case JUTE_CLOSE_SESSION: return "CLOS";
    case JUTE_PING: return "PING";
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: return "CREA";
    case JUTE_DELETE: return "DELE";
    case JUTE_SET_DATA: return "SETD";
    case JUTE_GET_DATA: return "GETD";
    case JUTE_EXISTS: return "EXIS";
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2: return "GETC";
    case JUTE_GET_ACL: return "GETA";
    case JUTE_SET_ACL: return "SETA";
    case JUTE_GET_ALL_CHILDREN_NUMBER: return "GETACN";
    case JUTE_GET_EPHEMERALS: return "GETE";
    case JUTE_SYNC: return "SYNC";
    case JUTE_CHECK: return "CHEC";
    case JUTE_MULTI: return "MULT";
    case JUTE_MULTI_READ: return "MLTR";
    case JUTE_RECONFIG: return "RECO";
    case JUTE_SET_WATCHES: return "SETW";
    case JUTE_SET_WATCHES2: return "STW2";
    case JUTE_ADD_WATCH: return "ADDW";
    case JUTE_CHECK_WATCHES: return "CHKW";
    case JUTE_REMOVE_WATCHES: return "REMW";
    case JUTE_WHO_AM_I: return "HOMI";
    case JUTE_CALL: return "CALL";
    case JUTE_CALLS: return "CALLS";
    default: return "NA";
    }
}

/* The number in brackets is the interest in the socket: 1 reads; the asking one has ended reading,
 * and its word is the one packet that it has sent. */
static void conn_append(const struct admin_conn *conn, bool brief, struct mk_buf *out)
{
    const struct server_conn_stats *stats = &conn->stats;

    mk_buf_printf(out, " /%.*s:%u[%d](queued=%" PRIu64 ",recved=%" PRIu64 ",sent=%" PRIu64,
                  (int)stats->address.len, (const char *)stats->address.data, (unsigned)stats->port,
                  conn->asking ? 0 : 1, stats->queued, stats->received + (conn->asking ? 1 : 0),
                  stats->sent);
    if (!brief && stats->session != 0) {
        mk_buf_printf(out, ",sid=0x%" PRIx64 ",lop=%s,est=%" PRId64 ",to=%" PRId32,
                      (uint64_t)stats->session, lists_operation(stats->op), stats->established_ms,
                      stats->timeout_ms);
        if (stats->cxid >= 0) {
            mk_buf_printf(out, ",lcxid=0x%" PRIx32, (uint32_t)stats->cxid);
        }
        mk_buf_printf(out,
                      ",lzxid=0x%" PRIx64 ",lresp=%" PRId64 ",llat=%" PRIu64 ",minlat=%" PRIu64
                      ",avglat=%" PRIu64 ",maxlat=%" PRIu64,
                      (uint64_t)stats->zxid, stats->answered_ms, stats->latency_ms,
                      stats->latencies.min, (uint64_t)mk_summary_average(&stats->latencies),
                      stats->latencies.max);
    }
    mk_buf_printf(out, ")\n");
}

static void conns_append(const struct admin_facts *facts, bool brief, struct mk_buf *out)
{
    for (size_t i = 0; i < facts->conns_count; i++) {
        conn_append(&facts->conns[i], brief, out);
    }
    left_out_append(facts->stats.connections, facts->conns_count, out);
    mk_buf_printf(out, "\n");
}

void lists_clients_append(const struct admin_facts *facts, struct mk_buf *out)
{
    conns_append(facts, true, out);
}

void lists_cons_append(const struct admin_facts *facts, struct mk_buf *out)
{
    conns_append(facts, false, out);
}

/* ---- dump: sessions and connections in the sets in which they expire ---- */

struct expiry {
    mk_ms in_ms;
    size_t index; /* in the list */
};

static int expiry_compare(const void *a, const void *b)
{
    const struct expiry *first = a, *second = b;
    if (first->in_ms != second->in_ms) {
        return first->in_ms < second->in_ms ? -1 : 1;
    }
    return first->index < second->index ? -1 : first->index > second->index;
}

/* As Java prints a date: "Sun Nov 22 03:32:31 UTC 2026". */
static void expiry_time_append(mk_ms wall_ms, struct mk_buf *out)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char text[64] = "";

    if (localtime_r(&seconds, &parts) != NULL) {
        (void)strftime(text, sizeof(text), "%a %b %d %H:%M:%S %Z %Y", &parts);
    }
    mk_buf_printf(out, "%s", text);
}

typedef void member_append(const struct admin_facts *facts, size_t index, struct mk_buf *out);

static size_t sets_count(const struct expiry *expiries, size_t count)
{
    size_t sets = 0;
    for (size_t i = 0; i < count; i++) {
        sets += i == 0 || expiries[i].in_ms != expiries[i - 1].in_ms;
    }
    return sets;
}

/* Sorts `expiries`. */
static void sets_append(const struct admin_facts *facts, const char *what, struct expiry *expiries,
                        size_t count, member_append *append, struct mk_buf *out)
{
    qsort(expiries, count, sizeof(*expiries), expiry_compare);
    mk_buf_printf(out, "%s Sets (%zu)/(%zu):\n", what, sets_count(expiries, count), count);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && expiries[end].in_ms == expiries[i].in_ms) {
            end++;
        }
        mk_buf_printf(out, "%zu expire at ", end - i);
        expiry_time_append(facts->wall_ms + expiries[i].in_ms, out);
        mk_buf_printf(out, ":\n");
        for (; i < end; i++) {
            append(facts, expiries[i].index, out);
        }
    }
}

static void session_append(const struct admin_facts *facts, size_t index, struct mk_buf *out)
{
    mk_buf_printf(out, "\t0x%" PRIx64 "\n", (uint64_t)facts->sessions[index].id);
}

static void address_append(const struct admin_facts *facts, size_t index, struct mk_buf *out)
{
    const struct server_conn_stats *stats = &facts->conns[index].stats;

    mk_buf_printf(out, "\tip: /%.*s:%u sessionId: 0x%" PRIx64 "\n", (int)stats->address.len,
                  (const char *)stats->address.data, (unsigned)stats->port,
                  (uint64_t)stats->session);
}

static void ephemerals_append(const struct admin_facts *facts, struct mk_buf *out)
{
    size_t owners = 0;

    for (size_t i = 0; i < facts->ephemerals_count; i++) {
        owners += i == 0 || facts->ephemerals[i].session != facts->ephemerals[i - 1].session;
    }
    mk_buf_printf(out, "ephemeral nodes dump:\nSessions with Ephemerals (%zu):\n", owners);
    for (size_t i = 0; i < facts->ephemerals_count; i++) {
        const struct admin_path *ephemeral = &facts->ephemerals[i];
        if (i == 0 || ephemeral->session != facts->ephemerals[i - 1].session) {
            mk_buf_printf(out, "0x%" PRIx64 ":\n", (uint64_t)ephemeral->session);
        }
        mk_buf_printf(out, "\t");
        path_append(ephemeral->path, out);
    }
    left_out_append((uint64_t)facts->stats.totals.ephemerals, facts->ephemerals_count, out);
}

/* Those that all servers know, or those that only this one does. */
static void session_sets_append(const struct admin_facts *facts, const char *what, bool local,
                                struct expiry *expiries, struct mk_buf *out)
{
    uint64_t all = local ? facts->stats.local_sessions : facts->stats.sessions;
    size_t count = 0;

    for (size_t i = 0; i < facts->sessions_count; i++) {
        if (facts->sessions[i].local == local) {
            expiries[count++] = (struct expiry){facts->sessions[i].expires_in_ms, i};
        }
    }
    sets_append(facts, what, expiries, count, session_append, out);
    left_out_append(all, count, out);
}

void lists_dump_append(const struct admin_facts *facts, struct mk_buf *out)
{
    size_t room =
        facts->sessions_count > facts->conns_count ? facts->sessions_count : facts->conns_count;
    struct expiry *expiries = mk_alloc_zero(room + 1, sizeof(*expiries));

    mk_buf_printf(out, "SessionTracker dump:\n");
    if (facts->stats.local_sessions > 0) {
        session_sets_append(facts, "Local Session", true, expiries, out);
        session_sets_append(facts, "Global Session", false, expiries, out);
    } else {
        session_sets_append(facts, "Session", false, expiries, out);
    }
    ephemerals_append(facts, out);
    mk_buf_printf(out, "Connections dump:\n");
    for (size_t i = 0; i < facts->conns_count; i++) {
        mk_ms in_ms = facts->conns[i].stats.closes_ms - facts->monotonic_ms;
        expiries[i] = (struct expiry){in_ms > 0 ? in_ms : 0, i};
    }
    sets_append(facts, "Connections", expiries, facts->conns_count, address_append, out);
    left_out_append(facts->stats.connections, facts->conns_count, out);
    mk_free(expiries);
}

/* ---- Watches ---- */

static void watches_end(const struct admin_facts *facts, struct mk_buf *out)
{
    if (facts->watches_cut) {
        mk_buf_printf(out, "... and more: %zu of %zu watches are listed\n", facts->watches_count,
                      facts->stats.data_watches);
    }
    mk_buf_printf(out, "\n");
}

void lists_wchc_append(const struct admin_facts *facts, struct mk_buf *out)
{
    for (size_t i = 0; i < facts->watches_count; i++) {
        const struct admin_path *watch = &facts->watches[i];
        if (i == 0 || watch->session != facts->watches[i - 1].session) {
            mk_buf_printf(out, "0x%" PRIx64 "\n", (uint64_t)watch->session);
        }
        mk_buf_printf(out, "\t");
        path_append(watch->path, out);
    }
    watches_end(facts, out);
}

void lists_wchp_append(const struct admin_facts *facts, struct mk_buf *out)
{
    for (size_t i = 0; i < facts->watches_count; i++) {
        const struct admin_path *watch = &facts->watches[i];
        if (i == 0 || !mk_bytes_equal(watch->path, facts->watches[i - 1].path)) {
            path_append(watch->path, out);
        }
        mk_buf_printf(out, "\t0x%" PRIx64 "\n", (uint64_t)watch->session);
    }
    watches_end(facts, out);
}
