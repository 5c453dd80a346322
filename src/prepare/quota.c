/* Quotas: whether a change keeps to its limits, and the steps by which the usage of a new one is counted.
 * Source: ZooKeeperServer.checkQuota; protocol reference, section 8.3. There the committed usage counts,
 * and what is under way may overshoot; here it is the usage as it will be. */
#include "prepare/context.h"

#define LOGGED_PATH_BYTES_MAX 256 /* of a path in a log line */

struct limit {
    const char *what;
    int64_t more, used;
    int64_t soft, hard; /* -1: none; a hard one stands in for the soft one */
};

static bool exceeds(const struct prepare *prepare, const struct limit *limit, struct mk_bytes root)
{
    bool hard = limit->hard > -1;
    int64_t most = hard ? limit->hard : limit->soft;

    if (limit->more == 0 || most < 0 || limit->used + limit->more <= most) {
        return false;
    }
    int len = (int)(root.len < LOGGED_PATH_BYTES_MAX ? root.len : LOGGED_PATH_BYTES_MAX);
    mk_log(prepare->log, MK_LOG_WARN, "quota exceeded  path=%.*s %s=%lld %s_limit=%lld refused=%s",
           len, (const char *)root.data, limit->what, (long long)(limit->used + limit->more),
           hard ? "hard" : "soft", (long long)most,
           hard && prepare->options.enforce_quota ? "yes" : "no");
    return hard;
}

enum mk_status prepare_quota_check(const struct prepare *prepare, struct mk_bytes path,
                                   int64_t count, int64_t bytes)
{
    struct store_quota quota;

    if (count == 0 && bytes == 0) {
        return MK_OK;
    }
    enum mk_status status = store_quota_find(prepare->view, path, &quota);
    if (status != MK_OK) {
        return status == MK_NO_NODE ? MK_OK : status;
    }
    const struct limit limits[] = {
        {"count", count, quota.count, quota.limits.count, quota.limits.count_hard},
        {"bytes", bytes, quota.bytes, quota.limits.bytes, quota.limits.bytes_hard},
    };
    bool refused = false;
    for (size_t i = 0; !refused && i < MK_COUNT(limits); i++) {
        refused = exceeds(prepare, &limits[i], quota.root) && prepare->options.enforce_quota;
    }
    return refused ? MK_QUOTA_EXCEEDED : MK_OK;
}

enum mk_status prepare_quota_count(struct prepare *prepare, const struct prepare_at *at,
                                   struct mk_buf *out)
{
    struct jute_txn txn = {
        .zxid = at->zxid,
        .time_ms = at->time_ms,
        .type = JUTE_ERROR,
        .error = jute_error_code(MK_NO_NODE),
    };

    store_begin(prepare->view, at->zxid, at->time_ms);
    enum mk_status status = store_quota_count(prepare->view);
    if (status != MK_OK) {
        store_abort(prepare->view);
        return status;
    }
    store_end(prepare->view);
    jute_txn_encode(out, &txn);
    return MK_OK;
}

/* All of them go in one transaction, at the end of the session. */
enum mk_status prepare_owner_check(const struct prepare *prepare, mk_session session)
{
    int64_t count = 0;

    if (prepare->options.session_ephemerals_max == 0) {
        return MK_OK;
    }
    enum mk_status status = store_ephemerals_count(prepare->view, session, &count);
    if (status != MK_OK) {
        return status;
    }
    return count < prepare->options.session_ephemerals_max ? MK_OK : MK_QUOTA_EXCEEDED;
}
