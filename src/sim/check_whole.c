/* Everything at once: the store against the model, and what must hold when nothing is under way. */
#include <string.h>

#include "sim/check.h"

/* ---- The store ---- */

static const char *differs(const struct sim_znode *znode, const struct store_znode *stored)
{
    struct mk_bytes open = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone");
    struct mk_bytes acl = stored->acl.data == NULL ? open : stored->acl;
    const struct tree_stat *stat = &stored->stat;

    if (stat->czxid != znode->czxid || stat->mzxid != znode->mzxid || stat->pzxid != znode->pzxid) {
        return "its zxids";
    }
    if (stat->ctime_ms != znode->ctime_ms || stat->mtime_ms != znode->mtime_ms) {
        return "its times";
    }
    if (stat->version != znode->version || stat->aversion != znode->aversion ||
        stat->cversion != znode->created) {
        return "its versions";
    }
    if (stat->owner != znode->owner) {
        return "its owner";
    }
    if (stored->children_count != znode->children) {
        return "how many children it has";
    }
    if (stored->data_null != (znode->data.data == NULL) ||
        !mk_bytes_equal(stored->data, znode->data)) {
        return "its data";
    }
    return mk_bytes_equal(acl, znode->acl) ? NULL : "its ACL";
}

static void compare_znode(struct sim_check *check, struct store *store,
                          const struct sim_znode *znode)
{
    struct store_znode stored;
    enum mk_status status = store_znode_read(store_committed(store), znode->path, true, &stored);
    const char *what = status == MK_OK ? differs(znode, &stored) : mk_status_text(status);

    if (what != NULL) {
        sim_check_fail(check, "the store has %.*s otherwise than the model: %s",
                       (int)znode->path.len, (const char *)znode->path.data, what);
    }
}

static bool session_stored(void *context, mk_session id, int32_t timeout_ms)
{
    struct sim_check *check = context;
    const struct sim_session *session = sim_model_session(&check->model, id);

    if (session == NULL || session->timeout_ms != timeout_ms) {
        sim_check_fail(check, "the store has a session 0x%llx that the model has not, or otherwise",
                       (unsigned long long)id);
    }
    return true;
}

void sim_check_store(struct sim_check *check, struct store *store)
{
    struct sim_model *model = &check->model;

    if (!sim_check_ok(check)) {
        return;
    }
    check->stats.comparisons++;
    store_view_blocking(store_committed(store), true);
    if (store_applied(store) != model->zxid) {
        sim_check_fail(check, "the store is at 0x%llx and the model at 0x%llx",
                       (unsigned long long)store_applied(store), (unsigned long long)model->zxid);
    }
    if (store_totals(store)->znodes != (int64_t)model->znodes_count ||
        store_totals(store)->sessions != (int64_t)model->sessions_count) {
        sim_check_fail(
            check, "the store counts %lld znodes and %lld sessions, the model %zu and %zu",
            (long long)store_totals(store)->znodes, (long long)store_totals(store)->sessions,
            model->znodes_count, model->sessions_count);
    }
    for (size_t i = 0; i < model->znodes_count; i++) {
        compare_znode(check, store, model->znodes[i]);
    }
    if (store_sessions_each(store_committed(store), session_stored, check) != MK_OK) {
        sim_check_fail(check, "the store's sessions cannot be read");
    }
}

/* ---- Quiet ---- */

static void ephemerals_quiet(struct sim_check *check)
{
    const struct sim_model *model = &check->model;

    for (size_t i = 0; i < model->znodes_count; i++) {
        mk_session owner = sim_owner_session(model, model->znodes[i]->owner);
        if (owner != 0 && sim_model_session(model, owner) == NULL) {
            sim_check_fail(check, "%.*s is an ephemeral of session 0x%llx, which has ended",
                           (int)model->znodes[i]->path.len,
                           (const char *)model->znodes[i]->path.data, (unsigned long long)owner);
        }
    }
}

static void conn_quiet(struct sim_check *check, struct sim_check_conn *conn)
{
    struct mk_link *link;

    for (link = conn->ops.next; link != &conn->ops; link = link->next) {
        const struct sim_op *op = MK_CONTAINER(link, struct sim_op, in_conn);
        if (sim_call_of(check, op->session, op->request.call_id) == NULL) {
            sim_check_fail(check, "xid %d (op %d) of session 0x%llx was never answered",
                           (int)op->request.xid, (int)op->request.op,
                           (unsigned long long)conn->session);
        }
    }
}

static void requests_quiet(struct sim_check *check)
{
    for (size_t i = 0; i < check->conns_count; i++) {
        conn_quiet(check, check->conns[i]);
    }
}

static void sessions_quiet(struct sim_check *check)
{
    mk_ms slack_ms = 3 * check->options->tick_ms;

    if (check->agreement != NULL) {
        sim_lives_quiet(check);
        return;
    }
    for (size_t i = 0; i < check->model.sessions_count; i++) {
        const struct sim_session *session = check->model.sessions[i];
        mk_ms silent_ms = check->now_ms - session->heard_ms;
        if (session->close_claimed) {
            sim_check_fail(
                check, "somebody was told at 0x%llx that session 0x%llx has ended, and it lives",
                (unsigned long long)session->claimed_at, (unsigned long long)session->id);
        }
        if (silent_ms > session->timeout_now_ms + slack_ms) {
            sim_check_fail(check, "session 0x%llx was silent for %lld ms and has not expired",
                           (unsigned long long)session->id, (long long)silent_ms);
        }
    }
}

/* What has been due and without children for some rounds is reaped. */
static void reaper_quiet(struct sim_check *check, mk_ms log_time_ms)
{
    const struct sim_model *model = &check->model;
    mk_ms rounds_ms = 3 * check->options->reap_interval_ms;

    for (size_t i = 0; i < model->znodes_count; i++) {
        const struct sim_znode *znode = model->znodes[i];
        mk_ms due_ms;
        if (sim_model_reapable(model, znode, check->options->container_unused_ms, &due_ms) &&
            due_ms + rounds_ms < log_time_ms && znode->ptime_ms + rounds_ms < log_time_ms) {
            sim_check_fail(check, "%.*s was due at %lld and has not been reaped",
                           (int)znode->path.len, (const char *)znode->path.data, (long long)due_ms);
        }
    }
}

static bool is_waiting(const struct sim_check *check, const struct sim_znode *ticket)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        if (mk_bytes_equal(check->calls[i].ticket, ticket->path)) {
            return true;
        }
    }
    return false;
}

static const char *waits_wrongly(const struct sim_check *check, const struct sim_call *call,
                                 mk_ms log_time_ms)
{
    const struct sim_znode *ticket = sim_model_find(&check->model, call->ticket);
    const struct sim_znode *awaited = sim_model_find(&check->model, call->awaited);

    if (call->due_ms != 0 && call->due_ms < log_time_ms) {
        return "is past its time";
    }
    if (call->gone != 0) {
        return "is there, and its session has ended";
    }
    if (call->finished) {
        return NULL;
    }
    switch (call->operation) {
    case SIM_ACQUIRE:
        return ticket == NULL ? "waits, and its ticket is gone"
               : sim_lock_first(check, sim_path_parent(call->ticket)) == ticket
                   ? "waits for a lock that is free"
                   : NULL;
    case SIM_PASS: return awaited != NULL ? "waits for a znode that is there" : NULL;
    case SIM_REMOVE: return awaited == NULL ? "waits for what has been removed" : NULL;
    default: return call->wake_at_ms == 0 ? "waits for nothing" : NULL;
    }
}

static void calls_quiet(struct sim_check *check, mk_ms log_time_ms)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        const struct sim_call *call = &check->calls[i];
        const char *wrong = waits_wrongly(check, call, log_time_ms);
        if (wrong != NULL) {
            sim_check_fail(check, "call 0x%llx %s", (unsigned long long)call->number, wrong);
        }
    }
    for (size_t i = 0; i < check->model.znodes_count; i++) {
        const struct sim_znode *znode = check->model.znodes[i];
        struct mk_bytes name = MK_BYTES("/lock-");
        size_t at = znode->path.len < name.len + 10 ? 0 : znode->path.len - name.len - 10;
        if (at > 0 && sim_owner_session(&check->model, znode->owner) != 0 &&
            memcmp(znode->path.data + at, name.data, name.len) == 0 &&
            !sim_lock_is_granted(check, znode) && !is_waiting(check, znode)) {
            sim_check_fail(check, "the ticket %.*s is nobody's", (int)znode->path.len,
                           (const char *)znode->path.data);
        }
    }
}

static void quotas_quiet(struct sim_check *check)
{
    for (size_t i = 0; i < check->model.quotas_count; i++) {
        const struct sim_quota *quota = &check->model.quotas[i];
        if (quota->counting) {
            sim_check_fail(check, "the quota of %.*s was never counted to its end",
                           (int)quota->root.len, (const char *)quota->root.data);
        }
    }
}

void sim_check_quiet(struct sim_check *check, mk_ms log_time_ms)
{
    ephemerals_quiet(check);
    requests_quiet(check);
    sessions_quiet(check);
    calls_quiet(check, log_time_ms);
    sim_recipes_quiet(check);
    reaper_quiet(check, log_time_ms);
    quotas_quiet(check);
}
