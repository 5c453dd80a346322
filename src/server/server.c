/* A server's life: made, recovered entry by entry, leading; then ticks and checkpoints. The line that requests walk is in pipeline.c. */
#include "server/ensemble.h"

void server_options_default(struct server_options *options)
{
    *options = (struct server_options){
        .server_id = 1,
        .tick_ms = 3000,
        .frame_bytes_max = JUTE_FRAME_BYTES_MAX_DEFAULT,
        .outstanding_max = 1000,
        .conn_outstanding_max = 1000,
        .conn_watches_max = 4 * 1024 * 1024,
        .large_requests_bytes_max = 100 * 1024 * 1024,
        .throttle = {.fill_ms = 1,
                     .fill_count = 1,
                     .freeze_ms = -1,
                     .drop_increase = 20000,
                     .drop_decrease = 2000,
                     .global_weight = 3,
                     .renew_weight = 2},
        .sessionless_timeout_ms = 10000,
        .log_bytes_checkpoint = 64 * 1024 * 1024,
        .checkpoint_ms = 60000,
        .acl = {.digest = true},
        .session_ephemerals_max = 100000,
        .reap_interval_ms = 60000,
        .reaps_per_minute_max = 10000,
        .recipes = true,
        .calls_max = 100000,
        .session_calls_max = 1000,
        .wakes_per_step = 64,
        .call_result_ms = 600000,
        .slow_run_ms = 100,
        .ensemble = {.standalone = true,
                     .init_limit = 10,
                     .sync_limit = 5,
                     .finalize_ms = 200,
                     .notify_min_ms = 200,
                     .notify_max_ms = 60000,
                     .history_count = 500},
    };
}

static void fill_in_limits(struct server *server)
{
    struct server_options *options = &server->options;

    MK_ASSERT(options->tick_ms > 0);
    if (options->session_timeout_min_ms == 0) {
        options->session_timeout_min_ms = 2 * options->tick_ms;
    }
    if (options->session_timeout_max_ms == 0) {
        options->session_timeout_max_ms = 20 * options->tick_ms;
    }
    MK_ASSERT(options->session_timeout_min_ms <= options->session_timeout_max_ms);
    server->limits = (struct session_limits){
        .tick_ms = options->tick_ms,
        .timeout_min_ms = options->session_timeout_min_ms,
        .timeout_max_ms = options->session_timeout_max_ms,
    };
}

static void make_recipes(struct server *server)
{
    server->recipes = mk_alloc_zero(server->options.catalogue_count + 1, sizeof(*server->recipes));
    for (size_t i = 0; i < server->options.catalogue_count; i++) {
        server->recipes[i] = (struct prepare_recipe){server->options.catalogue[i].name,
                                                     server->options.catalogue[i].source};
    }
    struct recipe_options recipe_options = {
        .elapsed_ms = server->options.elapsed_ms,
        .elapsed_context = server->options.elapsed_context,
        .log = server->log,
    };
    struct prepare_options prepare_options = {
        .extended_types = server->options.extended_types,
        .acl = server->options.acl,
        .reconfig = server->options.reconfig,
        .reconfigure = server_members_plan,
        .reconfigure_context = server,
        .enforce_quota = server->options.enforce_quota,
        .session_ephemerals_max = server->options.session_ephemerals_max,
        .recipes = server->options.recipes,
        .transaction_bytes_max = server->options.frame_bytes_max / 2,
        .calls_max = server->options.calls_max,
        .session_calls_max = server->options.session_calls_max,
        .call_result_ms = server->options.call_result_ms,
        .slow_run_ms = server->options.slow_run_ms,
        .elapsed_ms = server->options.elapsed_ms,
        .elapsed_context = server->options.elapsed_context,
        .recipe_admin = server->options.recipe_admin,
        .recipe_admin_count = server->options.recipe_admin_count,
        .catalogue = server->recipes,
        .catalogue_count = server->options.catalogue_count,
    };
    if (server->options.recipes && server->engine == NULL) {
        server->engine = recipe_engine_new(&recipe_options);
    }
    server->prepare = prepare_new(&prepare_options, server->store, server->engine, server->log);
    if (!server_alone(server)) {
        prepare_pause(server->prepare, "this server has not found its ensemble yet");
    }
}

struct server *server_new(const struct server_options *options, struct store *store,
                          const struct mk_log *log)
{
    struct server *server = mk_alloc_zero(1, sizeof(*server));

    bool alone = options->ensemble.members_count == 0;
    server->options = *options;
    server->store = store;
    server->log = log;
    fill_in_limits(server);
    mk_list_init(&server->conns);
    mk_list_init(&server->dirty);
    mk_list_init(&server->full);
    server_loads_init(server);
    mk_list_init(&server->requests_spare);
    history_init(&server->history, alone ? 0 : options->ensemble.history_count);
    server->sessions = session_table_new(&server->limits);
    server->locals = session_table_new(&server->limits);
    server->watches = tree_watches_new(options->hash_secret);
    server->apply = (struct apply){
        .store = store,
        .watches = server->watches,
        .extended_types = options->extended_types,
        .tell = server_watches_tell,
        .context = server,
    };
    make_recipes(server);
    server_ensemble_init(server);
    return server;
}

void server_free(struct server *server)
{
    while (!mk_list_empty(&server->conns)) {
        server_conn_closed(server, MK_CONTAINER(server->conns.next, struct server_conn, all));
    }
    for (size_t i = 0; i < server->commits_count; i++) {
        struct commit *commit =
            &server->commits[(server->commits_head + i) & (server->commits_cap - 1)];
        if (commit->kind == COMMIT_REQUEST) {
            server_request_free(server, commit->request);
        }
        mk_buf_free(&commit->body);
    }
    server_loads_deinit(server);
    server_ensemble_deinit(server);
    server_requests_spare_free(server);
    prepare_free(server->prepare);
    mk_free(server->recipes);
    if (server->engine != NULL) {
        recipe_engine_free(server->engine);
    }
    prepare_result_deinit(&server->prepared);
    session_table_free(server->sessions);
    session_table_free(server->locals);
    tree_watches_free(server->watches);
    mk_timers_free(&server->timers);
    mk_map_u64_free(&server->held);
    mk_free(server->commits);
    mk_buf_free(&server->body);
    mk_buf_free(&server->expired);
    mk_buf_free(&server->batch.bytes);
    mk_buf_free(&server->batch_spare);
    history_free(&server->history);
    mk_free(server);
}

struct store *server_store_release(struct server *server)
{
    struct store *store = server->store;

    MK_ASSERT(!server->serving && server->checkpoint == NULL && server->loads_count == 0);
    MK_ASSERT(server->loads_ahead_count == 0);
    prepare_free(server->prepare);
    server->prepare = NULL;
    mk_free(server->recipes);
    server->recipes = NULL;
    server->store = NULL;
    server->apply.store = NULL;
    return store;
}

void server_store_set(struct server *server, struct store *store)
{
    MK_ASSERT(server->store == NULL && server->prepare == NULL);
    server->store = store;
    server->apply.store = store;
    server->apply.time_ms = 0;
    make_recipes(server);
}

/* ---- Start ---- */

enum mk_status server_recover(struct server *server, mk_zxid zxid, struct mk_bytes entry,
                              struct mk_error *error)
{
    struct apply_result result;
    struct jute_txn txn;

    MK_ASSERT(!server->serving);
    if (jute_txn_decode(entry, &txn) != MK_OK || txn.zxid != zxid) {
        mk_error_set(error,
                     "the log's entry 0x%llx has a good checksum and cannot be decoded: was it "
                     "written by a newer version?",
                     (unsigned long long)zxid);
        return MK_CORRUPT;
    }
    server->stats.recovered++;
    if (!server_alone(server)) {
        history_recover(&server->history, entry);
        server_members_recover(server, &txn);
        return MK_OK;
    }
    enum mk_status status = apply_txn(&server->apply, &txn, NULL, &result);
    if (status != MK_OK) {
        mk_error_set(error, "applying the log's entry 0x%llx failed: %s", (unsigned long long)zxid,
                     mk_status_text(status));
    }
    return status;
}

static bool session_known(void *context, mk_session id, int32_t timeout_ms)
{
    struct server *server = context;

    /* A new leader grants everyone the full timeout: nobody could reach the old one. */
    (void)session_add(server->sessions, id, timeout_ms, server->now.monotonic_ms);
    return true;
}

/* In the header of the last transaction, whether it was replayed now or lies behind a checkpoint. */
static enum mk_status time_of_last(struct server *server, mk_ms *time_ms)
{
    struct mk_buf value = {0};

    store_view_blocking(store_committed(server->store), true);
    enum mk_status status =
        store_fact_read(store_committed(server->store), MK_BYTES(APPLY_TIME), &value);
    *time_ms = status == MK_OK && value.len == 8 ? (mk_ms)mk_load_u64(value.data) : 0;
    mk_buf_free(&value);
    return status == MK_NO_NODE ? MK_OK : status;
}

/* Whoever was connected to anybody may come here, and has the full timeout for it. */
static enum mk_status sessions_load(struct server *server)
{
    session_table_free(server->sessions);
    server->sessions = session_table_new(&server->limits);
    store_view_blocking(store_committed(server->store), true);
    return store_sessions_each(store_committed(server->store), session_known, server);
}

/* Who holds an old session's id must not get another's. All sessions of which this server has told a client are
 * in the history that it begins with, each in a transaction of its own. (What it had asked its leader for
 * before may still come; nobody has been told of it, and who is given the same id now may find it
 * refused, or ended.) No transaction tells of local sessions: time has to. */
static void ids_begin(struct server *server)
{
    uint8_t id = server->options.server_id;
    mk_session local = session_id_local(id, server->log_time_ms);

    server->session_next = session_id_behind(id, store_applied(server->store));
    if (local > server->session_local_next) {
        server->session_local_next = local;
    }
}

enum mk_status server_sessions_begin(struct server *server)
{
    mk_ms time_seen_ms;
    enum mk_status status = time_of_last(server, &time_seen_ms);

    if (status != MK_OK) {
        return status;
    }
    zab_time_seen(server->zab, time_seen_ms + 1);
    server->log_time_ms = zab_time(server->zab, server->now.monotonic_ms, server->now.wall_ms);
    ids_begin(server);
    status = sessions_load(server);
    if (status == MK_OK) {
        server_locals_begin(server);
    }
    return status;
}

enum mk_status server_catalogue_install(struct server *server)
{
    enum mk_status status;

    store_view_blocking(store_speculative(server->store), true);
    while ((status = server_propose_catalogue(server)) == MK_OK) {
    }
    store_view_blocking(store_speculative(server->store), false);
    return status == MK_END ? MK_OK : status;
}

enum mk_status server_serve_begin(struct server *server)
{
    enum mk_status status = server_sessions_begin(server);

    store_speculative_reset(server->store);
    server->forgets = false;
    server->serving = status == MK_OK;
    if (status == MK_OK && server->options.recipes && server_alone(server)) {
        status = server_catalogue_install(server);
    }
    server->calls_alive = true; /* until it is seen that there are none */
    server->calls_due_ms = server->now.monotonic_ms;
    server->reaper.running = false;
    server->reaper.round_at_ms = server->now.monotonic_ms + server->options.reap_interval_ms;
    server->serving = status == MK_OK;
    if (status == MK_OK) {
        server_recipes_review(server);
    }
    return status;
}

static void start(struct server *server, struct server_epochs epochs, mk_zxid log_last,
                  struct server_time now)
{
    MK_ASSERT(server->role == ZAB_LOOKING && !server->serving);
    MK_ASSERT(log_last == -1 || log_last >= store_applied(server->store));

    server->now = now;
    server->checkpoint_at_ms = now.monotonic_ms;
    server->looking_ms = now.monotonic_ms;
    server->forgets = log_last == -1;
    server->committed = store_applied(server->store);
    zab_start(server->zab, epochs.accepted, epochs.current, log_last, now.monotonic_ms);
    server_actions_run(server);
}

enum mk_status server_lead(struct server *server, uint32_t epoch, mk_zxid log_last,
                           struct server_time now)
{
    MK_ASSERT(server_alone(server));
    /* Its one vote is a quorum: it is elected, in the epoch that the caller has made durable. */
    start(server, (struct server_epochs){(int64_t)epoch - 1, (int64_t)epoch - 1}, log_last, now);
    MK_ASSERT(server->ensemble->serve_status != MK_OK || zab_epoch(server->zab) == epoch);
    return server->ensemble->serve_status;
}

void server_join(struct server *server, struct server_epochs epochs, mk_zxid log_last,
                 struct server_time now)
{
    MK_ASSERT(!server_alone(server));
    server_members_recovered(server);
    start(server, epochs, log_last, now);
}

bool server_serving(const struct server *server)
{
    return server->serving;
}

const char *server_failure(const struct server *server)
{
    return server->failure.text[0] != '\0' ? server->failure.text : NULL;
}

/* ---- Time ---- */

/* The queue hands each session out once; what cannot be proposed yet waits in `expired`. */
static void gather_expired(struct server *server)
{
    struct session *session;

    while ((session = session_expired_next(server->sessions, server->now.monotonic_ms)) != NULL) {
        mk_log(server->log, MK_LOG_INFO, "session expired  session=0x%llx timeout_ms=%d",
               (unsigned long long)session->id, (int)session->timeout_ms);
        mk_buf_put_i64(&server->expired, session->id);
        server->stats.sessions_expired++;
    }
}

void server_expire_sessions(struct server *server)
{
    mk_zxid zxid;

    if (!server_leads(server)) {
        return; /* it has been waiting for the disk since it led */
    }
    gather_expired(server);
    while (server->expired_done < server->expired.len && !server->expired_wait.blocked &&
           !store_full(server->store)) {
        mk_session id = (mk_session)mk_load_u64(server->expired.data + server->expired_done);
        store_view_blocking(store_speculative(server->store),
                            server_load_insists(&server->expired_wait));
        if (server_propose_close(server, id, 0, &zxid) != MK_OK) {
            server_load_wait(server, &server->expired_wait);
            return;
        }
        server->expired_done += sizeof(id);
        server->expired_wait.in_vain = 0;
    }
    if (server->expired_done == server->expired.len) {
        server->expired.len = 0;
        server->expired_done = 0;
    }
}

static void close_silent(struct server *server)
{
    struct mk_timer *timer;

    while ((timer = mk_timers_first(&server->timers)) != NULL &&
           timer->due <= server->now.monotonic_ms) {
        struct server_conn *conn = MK_CONTAINER(timer, struct server_conn, timer);
        mk_timers_cancel(&server->timers, timer);
        server->stats.sessionless_expired++;
        server_conn_end(server, conn);
    }
}

void server_tick(struct server *server, struct server_time now)
{
    MK_ASSERT(now.monotonic_ms >= server->now.monotonic_ms);
    server->now = now;
    close_silent(server);
    zab_tick(server->zab, now.monotonic_ms);
    server_actions_run(server);
    server->log_time_ms = zab_time(server->zab, now.monotonic_ms, now.wall_ms);
    server_read_only_tick(server);
    if (server->serving || server->reads_only) {
        server_locals_expire(server);
    }
    if (!server_leads(server)) {
        return;
    }
    if (server->ensemble->review_wanted) {
        server_recipes_review(server);
    }
    server_expire_sessions(server);
    server_reaper_tick(server);
    if (server->calls_alive && server->calls_due_ms <= now.monotonic_ms &&
        server->outstanding == 0 && !prepare_removing(server->prepare) &&
        store_totals(server->store)->calls == 0 &&
        server_proposed_last(server) == store_applied(server->store)) {
        server->calls_alive = false; /* until the next one is made */
    }
}

mk_ms server_next_tick(const struct server *server)
{
    mk_ms due_ms = zab_next_tick(server->zab);
    const struct mk_timer *timer = mk_timers_first(&server->timers);

    if (timer != NULL && timer->due < due_ms) {
        due_ms = timer->due;
    }
    if (server_leads(server) && session_next_due(server->sessions) < due_ms) {
        due_ms = session_next_due(server->sessions);
    }
    if ((server->serving || server->reads_only) && session_next_due(server->locals) < due_ms) {
        due_ms = session_next_due(server->locals);
    }
    if (server_read_only_due(server) < due_ms) {
        due_ms = server_read_only_due(server);
    }
    /* While a batch is with the log no call can run; when it is back, the turn looks again. */
    if (server->calls_alive && server_leads(server) && !server->calls_wait.blocked &&
        !server->batch_out && server->calls_due_ms < due_ms) {
        due_ms = server->calls_due_ms;
    }
    if (server_alone(server) && server->batch.count > 0 && !server->batch_out &&
        server_batch_due(server) < due_ms) {
        due_ms = server_batch_due(server);
    }
    mk_ms reap_ms = server_reaper_due(server);
    if (reap_ms < due_ms) {
        due_ms = reap_ms;
    }
    if (server->checkpoint == NULL && store_changed(server->store) &&
        server->checkpoint_at_ms + server->options.checkpoint_ms < due_ms) {
        due_ms = server->checkpoint_at_ms + server->options.checkpoint_ms;
    }
    return due_ms;
}

/* ---- Checkpoints ---- */

void server_checkpoint_request(struct server *server)
{
    server->checkpoint_requested = true;
}

static bool checkpoint_due(const struct server *server)
{
    return server->checkpoint_requested || store_checkpoint_due(server->store) ||
           server->log_bytes >= server->options.log_bytes_checkpoint ||
           server->now.monotonic_ms - server->checkpoint_at_ms >= server->options.checkpoint_ms;
}

struct store_checkpoint *server_checkpoint_take(struct server *server)
{
    if (server->checkpoint != NULL || server_install_finishes(server) || !checkpoint_due(server) ||
        server->failure.text[0] != '\0') {
        return NULL;
    }
    server->checkpoint_requested = false;
    if (!store_changed(server->store)) {
        server->checkpoint_at_ms = server->now.monotonic_ms;
        return NULL;
    }
    server->log_bytes = 0;
    server->checkpoint = store_checkpoint_start(server->store);
    return server->checkpoint;
}

void server_checkpoint_done(struct server *server, struct store_checkpoint *checkpoint)
{
    MK_ASSERT(checkpoint == server->checkpoint);
    store_checkpoint_done(server->store, checkpoint);
    server->checkpoint = NULL;
    server->checkpoint_at_ms = server->now.monotonic_ms;
    server->stats.checkpoints++;
    server_waiters_resume(server, &server->full);
    server_sync_checkpointed(server);
    server_leader_resume(server); /* there may be room again for what it sends */
}

/* ---- At rest ---- */

uint64_t server_outstanding(const struct server *server)
{
    return server->outstanding;
}

uint64_t server_reads(const struct server *server)
{
    return server->stats.read_latency.all.count;
}

bool server_idle(const struct server *server)
{
    return server->outstanding == 0 && server->batch.count == 0 && !server->batch_out;
}

void server_check(struct server *server)
{
    struct server_conn *conn = NULL;
    uint64_t queued = 0;

    zab_check(server->zab);
    server_loads_check(server);
    history_check(&server->history);
    while ((conn = server_conn_next(server, conn)) != NULL) {
        queued += conn->queued;
        MK_ASSERT(conn->session == NULL || conn->session->owner == conn);
        MK_ASSERT(conn->state == CONN_ATTACHED || conn->session == NULL);
        MK_ASSERT(conn->unprepared <= conn->queued);
    }
    MK_ASSERT(queued <= server->outstanding);
    MK_ASSERT(server->parking <= server->outstanding);
    /* A leader's learners' sessions are known before they are applied. */
    MK_ASSERT(!server->serving || !server_alone(server) ||
              session_count(server->sessions) == (size_t)store_totals(server->store)->sessions);
    store_check(server->store);
}
