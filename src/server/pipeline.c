/* The line that every change walks, in order:
 *
 *   prepare -> zab_propose -> batch -> (log thread) -> zab_logged -> committed -> apply -> watches, replies
 *                               |                                      ^
 *                               +------> (learners' logs) -> ACK ------+
 *
 * Whatever arrived while the log was syncing one batch goes into the next (group commit). A request is
 * prepared on top of all that is proposed, long before that commits. Ways to fail: the log or the store
 * breaks, and the server stops at once; everything that was not applied was not acknowledged. */
#include "server/ensemble.h"

void server_fail(struct server *server, enum mk_status status, const char *what)
{
    if (server->failure.text[0] == '\0') {
        mk_error_set(&server->failure, "%s: %s", what, mk_status_text(status));
    }
}

/* ---- Commits: what follows when a zxid has been applied ---- */

static struct commit *commit_at(struct server *server, size_t index)
{
    return &server->commits[(server->commits_head + index) & (server->commits_cap - 1)];
}

static void commits_double(struct server *server)
{
    size_t cap = server->commits_cap == 0 ? 1024 : server->commits_cap * 2;
    struct commit *commits = mk_alloc(cap * sizeof(*commits));

    for (size_t i = 0; i < server->commits_count; i++) {
        commits[i] = *commit_at(server, i);
    }
    mk_free(server->commits);
    server->commits = commits;
    server->commits_cap = cap;
    server->commits_head = 0;
}

struct commit *server_commit_push(struct server *server, enum commit_kind kind, mk_zxid zxid)
{
    if (server->commits_count == server->commits_cap) {
        commits_double(server);
    }
    MK_ASSERT(server->commits_count == 0 ||
              commit_at(server, server->commits_count - 1)->zxid <= zxid);

    struct commit *commit = commit_at(server, server->commits_count++);
    *commit = (struct commit){.kind = kind, .zxid = zxid};
    return commit;
}

void server_commit_forget_conn(struct server *server, const struct server_conn *conn)
{
    for (size_t i = 0; i < server->commits_count; i++) {
        struct commit *commit = commit_at(server, i);
        if (commit->kind == COMMIT_CONNECT && commit->conn == conn) {
            commit->conn = NULL;
        }
    }
}

/* ---- Propose ---- */

/* An epoch begins with a zxid that no proposal has: then there is nothing to wait for. */
mk_zxid server_proposed_last(const struct server *server)
{
    mk_zxid proposed = zab_proposed(server->zab);

    return (uint32_t)proposed == 0 ? store_applied(server->store) : proposed;
}

static bool propose_begin(struct server *server, struct prepare_at *at, size_t *entry)
{
    MK_ASSERT(server_leads(server));

    if (!zab_next(server->zab, &at->zxid)) {
        /* An ensemble elects a leader for the next epoch as soon as nothing is outstanding. */
        server->load_wanted = NULL;
        if (server_alone(server)) {
            mk_error_set(&server->failure,
                         "the epoch's zxids are used up: restart the server to begin a new epoch");
        }
        return false;
    }
    at->time_ms = server->log_time_ms;
    *entry = store_log_entry_begin(&server->batch.bytes);
    return true;
}

/* `awaited`: by somebody who has no request outstanding. */
static void propose_end(struct server *server, const struct prepare_at *at, size_t entry,
                        bool awaited)
{
    store_log_entry_end(&server->batch.bytes, entry);
    zab_propose(server->zab, at->zxid);
    if (server->batch.count == 0) {
        server->batch_begun_ms = server->now.monotonic_ms;
    }
    server->batch_awaited = server->batch_awaited || awaited;
    server->batch.last = at->zxid;
    server->batch.count++;
    server->stats.proposals++;
    server->calls_due_ms = server->now.monotonic_ms; /* it may be what a call has waited for */
}

/* A door of prepare has answered MK_WOULD_BLOCK, or failed. */
static enum mk_status propose_cancel(struct server *server, size_t entry, enum mk_status status)
{
    server->batch.bytes.len = entry;
    if (status == MK_WOULD_BLOCK) {
        server_load_push(server);
    } else if (status >= MK_IO) {
        server_fail(server, status, "preparing a transaction");
        return MK_WOULD_BLOCK;
    }
    return status;
}

static void propose_call_end(struct server *server, mk_zxid zxid)
{
    if (server->prepared.audit.len > 0) {
        struct commit *audit = server_commit_push(server, COMMIT_AUDIT, zxid);
        mk_buf_append_bytes(&audit->body, mk_buf_view(&server->prepared.audit));
    }
    if (server->prepared.ended == 0) {
        return;
    }
    struct commit *commit = server_commit_push(server, COMMIT_CALL_END, zxid);
    commit->call = server->prepared.ended;
    mk_buf_append_bytes(&commit->body, mk_buf_view(&server->prepared.ended_body));
}

enum mk_status server_propose_request(struct server *server, const struct prepare_who *who,
                                      const struct jute_request *request, mk_zxid *zxid)
{
    struct prepare_at at;
    size_t entry;

    prepare_result_reset(&server->prepared);
    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    enum mk_status status = prepare_request(server->prepare, &at, who, request,
                                            &server->batch.bytes, &server->prepared);
    if (status != MK_OK) {
        return propose_cancel(server, entry, status);
    }
    if (!server->prepared.transaction) {
        server->batch.bytes.len = entry;
        *zxid = server_proposed_last(server);
        return MK_OK;
    }
    propose_end(server, &at, entry, false);
    *zxid = at.zxid;
    if (request->op == JUTE_RECONFIG) {
        server_members_proposed(server, mk_buf_view(&server->batch.bytes), entry);
    }
    if (request->op == JUTE_CALL || server->prepared.own_body) {
        server->calls_alive = true;
        server->stats.calls_made++;
        server->stats.calls_parked += server->prepared.parked != 0;
    }
    propose_call_end(server, at.zxid);
    return MK_OK;
}

enum mk_status server_propose_session(struct server *server, mk_session id, int32_t timeout_ms,
                                      mk_zxid *zxid)
{
    struct prepare_at at;
    size_t entry;

    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    enum mk_status status =
        prepare_create_session(server->prepare, &at, id, timeout_ms, &server->batch.bytes);
    if (status != MK_OK) {
        return propose_cancel(server, entry, status);
    }
    propose_end(server, &at, entry, true);
    *zxid = at.zxid;
    return MK_OK;
}

enum mk_status server_propose_error(struct server *server, mk_session id, int32_t cxid,
                                    enum mk_status error)
{
    struct prepare_at at;
    size_t entry;

    MK_ASSERT(id != 0);
    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    struct jute_txn txn = {
        .client_id = id,
        .cxid = cxid,
        .zxid = at.zxid,
        .time_ms = at.time_ms,
        .type = JUTE_ERROR,
        .error = jute_error_code(error),
    };
    jute_txn_encode(&server->batch.bytes, &txn);
    propose_end(server, &at, entry, true);
    return MK_OK;
}

enum mk_status server_propose_announced(struct server *server, struct mk_bytes ids)
{
    struct prepare_at at;
    size_t entry;

    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    enum mk_status status = prepare_announced(server->prepare, &at, ids, &server->batch.bytes);
    if (status != MK_OK) {
        return propose_cancel(server, entry, status);
    }
    propose_end(server, &at, entry, true);
    return MK_OK;
}

enum mk_status server_propose_catalogue(struct server *server)
{
    struct prepare_at at;
    size_t entry;

    prepare_result_reset(&server->prepared);
    if (!propose_begin(server, &at, &entry)) {
        return MK_OVERLOADED;
    }
    enum mk_status status =
        prepare_catalogue(server->prepare, &at, &server->batch.bytes, &server->prepared);
    if (status != MK_OK) {
        server->batch.bytes.len = entry;
        return status;
    }
    propose_end(server, &at, entry, true);
    propose_call_end(server, at.zxid);
    return MK_OK;
}

static enum mk_status propose_call_step(struct server *server, mk_zxid call, enum prepare_why why)
{
    struct prepare_at at;
    size_t entry;

    prepare_result_reset(&server->prepared);
    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    enum mk_status status =
        prepare_call_step(server->prepare, &at, call, why, &server->batch.bytes, &server->prepared);
    if (status != MK_OK) {
        return propose_cancel(server, entry, status);
    }
    propose_end(server, &at, entry, server->prepared.ended != 0);
    propose_call_end(server, at.zxid);
    return MK_OK;
}

enum mk_status server_propose_close(struct server *server, mk_session id, int32_t cxid,
                                    mk_zxid *zxid)
{
    struct session *session = session_find(server->sessions, id);
    struct prepare_at at;
    size_t entry;

    MK_ASSERT(session != NULL);
    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    enum mk_status status =
        prepare_close_session(server->prepare, &at, id, cxid, &server->batch.bytes);
    if (status != MK_OK) {
        return propose_cancel(server, entry, status);
    }
    propose_end(server, &at, entry, true);
    session->closing = true;
    *zxid = at.zxid;
    return MK_OK;
}

enum mk_status server_propose_reap(struct server *server)
{
    struct prepare_at at;
    size_t entry;

    if (!propose_begin(server, &at, &entry)) {
        return MK_WOULD_BLOCK;
    }
    enum mk_status status =
        prepare_reap(server->prepare, &at, &server->reaper.round, &server->batch.bytes);
    if (status != MK_OK) {
        return propose_cancel(server, entry, status);
    }
    propose_end(server, &at, entry, true);
    return MK_OK;
}

void server_propose_count(struct server *server)
{
    struct prepare_at at;
    size_t entry;

    if (store_totals(server->store)->counting == 0 || server->count_wait.blocked ||
        !server_leads(server) || store_full(server->store) || !propose_begin(server, &at, &entry)) {
        return;
    }
    store_view_blocking(store_speculative(server->store), server_load_insists(&server->count_wait));
    enum mk_status status = prepare_quota_count(server->prepare, &at, &server->batch.bytes);
    if (status == MK_OK) {
        propose_end(server, &at, entry, true);
    } else {
        status = propose_cancel(server, entry, status);
    }
    if (status == MK_WOULD_BLOCK) {
        server_load_wait(server, &server->count_wait);
    } else {
        server->count_wait.in_vain = 0;
    }
}

void server_pipeline_sync(struct server *server, struct request *request)
{
    request->state = REQUEST_PROPOSED;
    request->own_body = true;
    mk_zxid zxid = server_proposed_last(server);
    if (zxid > store_applied(server->store)) {
        server_commit_push(server, COMMIT_REQUEST, zxid)->request = request;
    } else {
        server_request_complete(server, request, store_applied(server->store), 0, MK_BYTES_NULL);
    }
}

/* ---- Calls that are ready or due ---- */

static mk_ms monotonic_of(const struct server *server, mk_ms log_time_ms)
{
    if (log_time_ms == INT64_MAX) {
        return INT64_MAX;
    }
    mk_ms left_ms = log_time_ms - server->log_time_ms;
    /* Log time may run a tenth slower than the monotonic clock: then it is looked at once more. */
    return server->now.monotonic_ms + (left_ms > 0 ? left_ms : 0);
}

/* Run what is ready or due, a bounded number. */
static void calls_run(struct server *server)
{
    uint32_t steps = 0;

    if (!server->calls_alive || server->calls_wait.blocked || !server_leads(server) ||
        server->now.monotonic_ms < server->calls_due_ms || store_full(server->store)) {
        return;
    }
    while (steps++ < server->options.wakes_per_step) {
        store_view_blocking(store_speculative(server->store),
                            server_load_insists(&server->calls_wait));
        mk_zxid call;
        mk_ms next_ms;
        enum prepare_why why;
        enum mk_status status =
            prepare_call_due(server->prepare, server->log_time_ms, &call, &why, &next_ms);
        if (status == MK_END) {
            server->calls_due_ms = monotonic_of(server, next_ms);
            return;
        }
        if (status == MK_OK) {
            status = propose_call_step(server, call, why);
            server->stats.calls_woken += status == MK_OK;
        } else {
            status = propose_cancel(server, server->batch.bytes.len, status);
        }
        if (status == MK_WOULD_BLOCK) {
            server_load_wait(server, &server->calls_wait);
            return;
        }
        server->calls_wait.in_vain = 0;
        if (status == MK_END) {
            continue;
        }
        if (status != MK_OK) {
            /* A record that cannot be read: not ours. It stays, and is not looked at again until
             * something else is due. */
            mk_log(server->log, MK_LOG_ERROR, "a call's record is damaged  call=0x%llx",
                   (unsigned long long)call);
            server->calls_due_ms = server->now.monotonic_ms + server->options.tick_ms;
            return;
        }
    }
}

/* ---- Log ---- */

/* Two buffers take turns: one is with the log, the other is being filled. One that a burst has made
 * larger than this is not held on to. */
#define BATCH_KEPT_BYTES_MAX ((size_t)4 << 20)

static void batch_buffer_keep(struct server *server, struct mk_buf *bytes)
{
    if (bytes->cap > BATCH_KEPT_BYTES_MAX || server->batch_spare.cap > 0) {
        mk_buf_free(bytes);
        return;
    }
    bytes->len = 0;
    server->batch_spare = *bytes;
    *bytes = (struct mk_buf){0};
}

/* A call that has parked is answered when another transaction ends it: nobody waits for its own. Alone
 * it would occupy the log for a sync, while the release that it waits for comes in and has to wait, too.
 * So it goes with the next batch that is somebody's answer, here or at a learner. A learner's own log
 * waits for nothing: its leader counts on it. */
static bool batch_may_wait(const struct server *server)
{
    bool awaited = server->batch_awaited || server->outstanding > server->parking;

    MK_ASSERT(server->outstanding >= server->parking);
    return !awaited && server_leads(server) && server->now.monotonic_ms < server_batch_due(server);
}

mk_ms server_batch_due(const struct server *server)
{
    return server->batch_begun_ms + server->options.parked_patience_ms;
}

bool server_batch_waits(const struct server *server)
{
    return server->batch.count > 0 && !server->batch_out && batch_may_wait(server);
}

void server_batch_hurry(struct server *server)
{
    server->options.parked_patience_ms = 0;
}

bool server_batch_take(struct server *server, struct server_batch *batch)
{
    if (server->batch_out || server->ensemble->truncate_out || server->failure.text[0] != '\0') {
        return false;
    }
    calls_run(server); /* behind the transactions that woke them, and with them in one sync */
    server_reaper_run(server);
    server_propose_count(server);
    if (server->batch.count == 0 || batch_may_wait(server)) {
        return false;
    }
    *batch = server->batch;
    history_lend(&server->history, batch);
    server->batch = (struct server_batch){.bytes = server->batch_spare};
    server->batch_spare = (struct mk_buf){0};
    server->batch_awaited = false;
    server->batch_out = true;
    server->stats.batches++;
    if (!server_alone(server)) {
        server_batch_taken(server, batch);
    }
    return true;
}

/* ---- Apply ---- */

static void held_answer(struct server *server, struct held *held, mk_zxid zxid,
                        struct mk_bytes body)
{
    struct server_conn *conn = held->conn;

    if (conn->state == CONN_ATTACHED) {
        size_t frame = server_reply_begin(server, conn, held->xid, zxid, 0);
        mk_buf_append_bytes(&conn->out, body);
        server_reply_end(server, conn, frame);
    }
    mk_list_remove(&held->in_conn);
    mk_free(held);
}

/* Everybody who has asked for the call hears the same, each under their own xid. */
void server_call_answer(struct server *server, mk_zxid call, mk_zxid zxid, struct mk_bytes body)
{
    struct held *first = mk_map_u64_remove(&server->held, (uint64_t)call);

    if (first == NULL) {
        return; /* a call node's, or nobody is connected that waits */
    }
    struct server_conn *conn = first->conn;
    struct mk_link *link = conn->held.next;
    while (link != &conn->held) {
        struct held *held = MK_CONTAINER(link, struct held, in_conn);
        link = link->next;
        if (held->call == call) {
            held_answer(server, held, zxid, body);
        }
    }
}

/* The session ends: its connection hears it of every call that it waits for, and then no more. The
 * calls themselves end in transactions of their own. */
static void calls_lost(struct server *server, mk_session id, mk_zxid zxid)
{
    struct session *session = session_find(server->sessions, id);
    struct server_conn *conn = session == NULL ? NULL : session->owner;
    struct mk_buf body = {0};

    if (conn == NULL || mk_list_empty(&conn->held)) {
        return;
    }
    prepare_call_lost(&body);
    while (!mk_list_empty(&conn->held)) {
        struct held *held = MK_CONTAINER(conn->held.next, struct held, in_conn);
        (void)mk_map_u64_remove(&server->held, (uint64_t)held->call);
        held_answer(server, held, zxid, mk_buf_view(&body));
    }
    mk_buf_free(&body);
}

static void commit_done(struct server *server, struct commit *commit, mk_zxid zxid,
                        const struct apply_result *result, struct mk_bytes body)
{
    switch (commit->kind) {
    case COMMIT_REQUEST: {
        bool own = commit->request->own_body;
        server_request_complete(server, commit->request, zxid, own ? 0 : result->error,
                                own ? MK_BYTES_NULL : body);
        break;
    }
    case COMMIT_CONNECT:
        if (commit->conn != NULL) {
            commit->conn->connect_pending = false;
        }
        if (commit->conn != NULL && commit->conn->state == CONN_CONNECTING) {
            server_conn_attach(server, commit->conn,
                               session_find(server->sessions, result->session_created),
                               commit->timeout_ms);
        }
        break;
    case COMMIT_CALL_END:
        server_call_answer(server, commit->call, zxid, mk_buf_view(&commit->body));
        mk_buf_free(&commit->body);
        break;
    case COMMIT_AUDIT:
        mk_log(server->log, MK_LOG_INFO, "%.*s zxid=0x%llx", (int)commit->body.len,
               (const char *)commit->body.data, (unsigned long long)zxid);
        mk_buf_free(&commit->body);
        break;
    }
}

static void session_ended(struct server *server, mk_session id)
{
    struct session *session = session_find(server->sessions, id);

    if (session == NULL) {
        return;
    }
    struct server_conn *conn = session->owner;
    if (conn != NULL) {
        /* Only one that asked for it has a reply coming; it is written by now. */
        server_conn_end(server, conn);
    }
    session_remove(server->sessions, session);
}

/* The transaction's own request is the first of those that wait for its zxid, behind the caller whose
 * call it cancels. (If it has none, a sync may be.) */
static struct request *request_of(struct server *server, mk_zxid zxid)
{
    for (size_t i = 0; i < server->commits_count && commit_at(server, i)->zxid == zxid; i++) {
        if (commit_at(server, i)->kind == COMMIT_REQUEST) {
            return commit_at(server, i)->request;
        }
    }
    return NULL;
}

static bool commit_entry(struct server *server, struct mk_bytes entry)
{
    struct apply_result result;
    struct jute_result told;
    struct jute_txn txn;
    enum mk_status status = jute_txn_decode(entry, &txn);

    MK_ASSERT(status == MK_OK); /* we have encoded it, or seen that it can be decoded */
    MK_ASSERT(txn.zxid <= server->committed);
    bool learns = server_learns(server);
    bool is_told = learns && server_forward_result(server, &txn, &told);
    struct request *forwarded = learns ? server_forward_match(server, &txn, is_told) : NULL;
    struct request *request = forwarded != NULL ? forwarded : request_of(server, txn.zxid);
    if (request != NULL) {
        server_requests_before(server, request);
    }
    bool body_wanted = request != NULL && !request->own_body && request->conn != NULL && !is_told;
    server->body.len = 0;
    /* What is committed is applied, wherever its rows are; prepare has just read them. */
    store_view_blocking(store_committed(server->store), true);
    status = apply_txn(&server->apply, &txn, body_wanted ? &server->body : NULL, &result);
    if (status != MK_OK) {
        server_fail(server, status, "applying a transaction");
        return false;
    }
    store_speculative_forget(server->store, txn.zxid);
    server->stats.commits++;
    if (server->log_time_ms >= txn.time_ms) {
        mk_spread_add(&server->stats.commit_latency, (uint64_t)(server->log_time_ms - txn.time_ms));
    }
    if (result.session_closed != 0) {
        calls_lost(server, result.session_closed, txn.zxid);
    }
    if (result.session_created != 0) {
        struct session *session = session_add(server->sessions, result.session_created,
                                              result.session_timeout_ms, server->now.monotonic_ms);
        session->server = (int64_t)((uint64_t)session->id >> 56); /* who has made the id */
        server_local_upgraded(server, session);
    }
    if (forwarded != NULL) {
        server_forward_complete(server, forwarded, is_told ? &told : NULL, txn.zxid, result.error,
                                mk_buf_view(&server->body));
    }
    if (learns) {
        server_forward_calls_ended(server, &txn);
    }
    while (server->commits_count > 0 && commit_at(server, 0)->zxid <= txn.zxid) {
        struct commit commit = *commit_at(server, 0);
        server->commits_head = (server->commits_head + 1) & (server->commits_cap - 1);
        server->commits_count--;
        commit_done(server, &commit, txn.zxid, &result, mk_buf_view(&server->body));
    }
    server_forward_applied(server, &txn);
    server_recipes_applied(server, &txn);
    if (result.session_closed != 0) {
        session_ended(server, result.session_closed);
    }
    return true;
}

/* What has a quorum and is in the own log (R2). */
void server_commit_all(struct server *server)
{
    struct mk_bytes entry;
    struct mk_buf spare = {0};

    mk_zxid gate = server_members_gate(server);
    mk_zxid through = server->committed < gate ? server->committed : gate;

    while (history_apply_next(&server->history, through, &entry)) {
        /* What is above the last checkpoint only is in the log as well as in the state. */
        if (history_entry_zxid(entry) > store_applied(server->store) &&
            !commit_entry(server, entry)) {
            return;
        }
    }
    while (history_trim(&server->history, server_history_pinned(server), &spare)) {
        batch_buffer_keep(server, &spare);
    }
    server_sync_bound(server);
}

static void commit_forsake(struct server *server, struct commit *commit)
{
    if (commit->kind == COMMIT_REQUEST) {
        server_request_forsake(server, commit->request);
    } else if (commit->kind == COMMIT_CONNECT && commit->conn != NULL) {
        commit->conn->connect_pending = false;
    }
    mk_buf_free(&commit->body);
}

void server_proposals_forget(struct server *server)
{
    for (size_t i = 0; i < server->commits_count; i++) {
        commit_forsake(server, commit_at(server, i));
    }
    server->commits_count = 0;
    store_speculative_reset(server->store);
}

void server_batch_synced(struct server *server, struct server_batch *batch)
{
    mk_zxid last = batch->last;

    MK_ASSERT(server->batch_out);
    server->batch_out = false;
    server->log_bytes += batch->bytes.len;
    history_give_back(&server->history, batch);
    batch_buffer_keep(server, &batch->bytes);
    *batch = (struct server_batch){0};
    server_logged(server, last);
}
