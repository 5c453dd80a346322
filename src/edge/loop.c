/* The loop: one thread, in which the core runs. A turn of it:
 *
 *   1. poll       sockets are read, the log thread and the disk threads report: events for the core.
 *                 The first of them tells the core the time.
 *   2. turn_end   the core's actions: the batch to the log thread, output to the sockets, one write a
 *                 connection; loads and a checkpoint to the disk threads
 *   3. timer      set to when the core next wants to know the time
 *
 * So system calls and syncs are as many as turns, not as requests.
 *
 *   STARTING ──▶ SERVING ──▶ DRAINING ──▶ CHECKPOINTING ──▶ STOPPED
 *    the core     SIGTERM,    all is        the log is
 *    serves       SIGINT      answered      empty of news
 *
 * A member of an ensemble listens at once, and is SERVING here whether it serves or looks for a leader.
 *
 * phase_advance() alone moves it, at the end of a turn. A second signal, or a phase that takes longer
 * than it may, moves it on at once: what was acknowledged is in the log anyway. */
#include "edge/loop.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS_MAX 5000       /* a client that waits longer will have to ask again anyway */
#define CHECKPOINT_MS_MAX 30000 /* systemd kills after 60 s; the log is replayed at the start */
#define TIMER_MS_MAX 1000
/* Between two questions to the kernel, which cost as much as a tenth of a run: what is told is in ms. */
#define ELAPSED_ASK_NS 1000000
#define ALONE_MS 3 /* Requests of several clients come closer together than this, if it matters. */
/* A batch of a few clients: a release, who it wakes, and who has come meanwhile, and some more of these. */
#define SMALL_BATCH_MAX 16
/* Handshakes of accepted connections that are not done. Each may cost 50 KiB that no budget knows of. */
#define HANDSHAKES_MAX 500
#define SMALL_BATCHES_MIN 8 /* Of many clients, too, a few may come first. */

struct server_time edge_now(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct server_time){
        .monotonic_ms = (mk_ms)(uv_hrtime() / 1000000),
        .wall_ms = (mk_ms)wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
    };
}

/* Of the processor, not of the wall: a recipe is not to blame for what else the machine does. */
mk_ms edge_elapsed_ms(void *context)
{
    struct edge_elapsed *last = context;
    uint64_t now_ns = uv_hrtime();
    struct timespec used;

    if (now_ns - last->asked_ns >= ELAPSED_ASK_NS) {
        last->asked_ns = now_ns;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        last->used_ms = (mk_ms)used.tv_sec * 1000 + used.tv_nsec / 1000000;
    }
    return last->used_ms;
}

/* ---- Phases ---- */

static bool draining_done(struct edge *edge)
{
    if (!server_idle(edge->core.server) || !log_thread_idle(edge->log_thread)) {
        return false;
    }
    for (struct mk_link *link = edge->conns.next; link != &edge->conns; link = link->next) {
        struct conn *conn = MK_CONTAINER(link, struct conn, link);
        if (conn->core != NULL && conn_output_bytes(conn) > 0) {
            return false;
        }
    }
    return true;
}

static void serving_begin(struct edge *edge)
{
    struct mk_error error = {""};
    struct server_stats stats;
    const struct edge_core *core = &edge->core;
    const char *address = edge->options->clients_plain ? edge->listener.address : "none";

    if (listener_listen(edge, &error) != MK_OK || ensemble_start(edge, &error) != MK_OK) {
        mk_log(edge->log, MK_LOG_ERROR, "%s", error.text);
        edge->exit = EDGE_EXIT_BIND;
        edge->phase = EDGE_STOPPED;
        return;
    }
    edge->phase = EDGE_SERVING;
    server_stats_read(core->server, &stats);
    if (edge->options->secure_given) {
        mk_log(edge->log, MK_LOG_INFO, "listening for clients with TLS  address=%s",
               edge->secure_listener.address);
    }
    if (edge->ensemble != NULL) {
        mk_log(edge->log, MK_LOG_INFO,
               "listening, and looking for the others  address=%s data=%s server=%" PRId64
               " servers=%zu accepted_epoch=%" PRId64 " current_epoch=%" PRId64
               " recovery_ms=%" PRId64 " version=%s",
               address, edge->options->data_dir, edge->options->self->id,
               edge->options->ensemble->members_count, core->epochs.accepted, core->epochs.current,
               core->recovery_ms, EDGE_VERSION);
        return;
    }
    mk_log(edge->log, MK_LOG_INFO,
           "serving  address=%s data=%s mode=%s epoch=%" PRId64 " zxid=0x%" PRIx64
           " znodes=%" PRId64 " sessions=%" PRIu64 " recipes=%zu recovery_ms=%" PRId64
           " version=%s",
           address, edge->options->data_dir, stats.mode, core->epochs.current, (uint64_t)stats.zxid,
           stats.totals.znodes, stats.sessions, edge->options->server.catalogue_count,
           core->recovery_ms, EDGE_VERSION);
}

/* Time stands still for the core from here on: no session may expire because we no longer listen. */
static void draining_begin(struct edge *edge)
{
    edge->phase = EDGE_DRAINING;
    edge->phase_due_ms = edge->now_ms + DRAIN_MS_MAX;
    server_batch_hurry(edge->core.server);
    listener_close(edge);
    for (struct mk_link *link = edge->conns.next; link != &edge->conns; link = link->next) {
        conn_reading_update(MK_CONTAINER(link, struct conn, link));
    }
    mk_log(edge->log, MK_LOG_INFO, "stopping  connections=%zu", edge->conns_count);
}

static void checkpointing_begin(struct edge *edge)
{
    edge->phase = EDGE_CHECKPOINTING;
    edge->phase_due_ms = edge->now_ms + CHECKPOINT_MS_MAX;
    ensemble_close(edge);
    server_checkpoint_request(edge->core.server);
    disk_take(edge->disk);
}

static bool threads_idle(struct edge *edge)
{
    return log_thread_idle(edge->log_thread) && disk_idle(edge->disk) &&
           snapshots_idle(edge->snapshots);
}

static void phase_advance(struct edge *edge)
{
    bool late = edge->now_ms >= edge->phase_due_ms;

    if (edge->phase == EDGE_STARTING &&
        (edge->ensemble != NULL || server_serving(edge->core.server))) {
        serving_begin(edge);
    }
    if (edge->phase == EDGE_DRAINING && (late || draining_done(edge))) {
        checkpointing_begin(edge);
        late = false;
    }
    if (edge->phase == EDGE_CHECKPOINTING && (late || threads_idle(edge))) {
        edge->phase = EDGE_STOPPED;
    }
    if (edge->phase == EDGE_STOPPED) {
        uv_stop(&edge->loop);
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct edge *edge = signal->data;

    turn_begin(edge);
    if (number == SIGUSR1) {
        disk_backup(edge->disk);
        return;
    }
    if (number == SIGHUP) {
        certificates_reload(edge);
        return;
    }
    if (edge->phase == EDGE_STARTING || edge->phase == EDGE_SERVING) {
        draining_begin(edge);
    } else {
        edge->phase_due_ms = edge->now_ms;
    }
}

/* ---- Turns ---- */

/* How long polling may wait, at most. */
static mk_ms timer_ms_max(const struct edge *edge)
{
    mk_ms half_tick_ms = edge->options->server.tick_ms / 2;

    return half_tick_ms < TIMER_MS_MAX ? half_tick_ms : TIMER_MS_MAX;
}

/* The core's time is the time in which we could listen. If the last turn is longer ago than polling
 * waits, then the process was stopped, the machine was suspended, or a turn took very long. What clients
 * sent meanwhile is still in their sockets and will be read after the core has heard the time: if it
 * heard all of the gap at once, it would expire sessions that are not silent. */
static void time_lost(struct edge *edge, mk_ms now_ms)
{
    mk_ms gap_ms = now_ms - edge->now_ms;
    mk_ms gap_ms_max = timer_ms_max(edge) + edge->options->server.tick_ms / 2; /* < any timeout */

    if (edge->now_ms == 0 || gap_ms <= gap_ms_max) {
        return;
    }
    edge->lost_ms += gap_ms - gap_ms_max;
    mk_log(edge->log, MK_LOG_WARN,
           "the server could not listen for %lld ms, and no session expires for it: was it"
           " stopped, or is the machine overloaded?",
           (long long)gap_ms);
}

void turn_begin(struct edge *edge)
{
    if (edge->turn_open) {
        return;
    }
    struct server_time now = edge_now();
    time_lost(edge, now.monotonic_ms);
    edge->turn_open = true;
    edge->now_ms = now.monotonic_ms;
    now.monotonic_ms -= edge->lost_ms;
    if (edge->phase < EDGE_DRAINING) {
        edge->now = now;
    }
    server_tick(edge->core.server, edge->now);
}

/* One connection has been the only one to ask for anything, for a while: nobody else is kept waiting
 * by a sync on this thread, and nothing more could join the batch. */
static bool client_alone(const struct edge *edge)
{
    return edge->now_ms - edge->alone_since_ms >= ALONE_MS;
}

/* A few clients write, and nobody reads: whoever asks for something during the sync would have had to
 * wait for the next one anyway. */
static bool writers_few(struct edge *edge, const struct server_batch *batch)
{
    uint64_t reads = server_reads(edge->core.server);

    if (reads != edge->reads) {
        edge->reads = reads;
        edge->read_ms = edge->now_ms;
    }
    edge->small_batches = batch->count <= SMALL_BATCH_MAX ? edge->small_batches + 1 : 0;
    return edge->small_batches > SMALL_BATCHES_MIN && edge->now_ms - edge->read_ms >= ALONE_MS;
}

void conn_heard(struct conn *conn)
{
    struct edge *edge = conn->edge;

    if (edge->alone != conn) {
        edge->alone = conn;
        edge->alone_since_ms = edge->now_ms;
    }
}

static void sync_count(struct edge *edge)
{
    mk_ms took_ms = log_thread_took_ms(edge->log_thread);

    mk_summary_add(&edge->counters.syncs_ms, (uint64_t)took_ms);
    edge->counters.syncs_slow += took_ms >= edge->options->sync_warning_ms;
}

static void batch_hand_over(struct edge *edge)
{
    struct server_batch batch = {0};

    if (!log_thread_idle(edge->log_thread) || !server_batch_take(edge->core.server, &batch)) {
        return;
    }
    disk_logged(edge->disk, batch.bytes.len);
    mk_summary_add(&edge->counters.log_batches, batch.count);
    ensemble_flush(edge); /* The others' logs sync while ours does. */
    bool few = writers_few(edge, &batch);
    if ((few || (batch.count == 1 && client_alone(edge))) &&
        log_thread_append_now(edge->log_thread, &batch, edge->now_ms)) {
        sync_count(edge);
        server_batch_synced(edge->core.server, &batch);
    } else {
        log_thread_append(edge->log_thread, &batch);
    }
}

static void on_synced(void *context, struct server_batch *batch)
{
    struct edge *edge = context;

    turn_begin(edge);
    sync_count(edge);
    server_batch_synced(edge->core.server, batch);
}

static void due_close(struct edge *edge, struct mk_link *conns)
{
    while (!mk_list_empty(conns)) {
        struct conn *conn = MK_CONTAINER(conns->next, struct conn, list);
        if (conn->linger_due_ms > edge->now_ms) {
            break;
        }
        conn_close(conn);
    }
}

static void on_timer(uv_timer_t *timer);

static void timer_set(struct edge *edge)
{
    mk_ms due_ms = edge->now_ms + timer_ms_max(edge);
    mk_ms core_due_ms = server_next_tick(edge->core.server);
    core_due_ms += core_due_ms < INT64_MAX - edge->lost_ms ? edge->lost_ms : 0;

    if (edge->phase < EDGE_DRAINING) {
        due_ms = core_due_ms < due_ms ? core_due_ms : due_ms;
    } else {
        due_ms = edge->phase_due_ms < due_ms ? edge->phase_due_ms : due_ms;
    }
    if (uv_is_active((uv_handle_t *)&edge->timer) && edge->timer_due_ms <= due_ms) {
        return; /* It fires early enough, and nearly every turn would move it a little. */
    }
    edge->timer_due_ms = due_ms;
    mk_ms delay_ms = due_ms > edge->now_ms ? due_ms - edge->now_ms : 1;
    uv_update_time(&edge->loop);
    uv_timer_start(&edge->timer, on_timer, (uint64_t)delay_ms, 0);
}

/* Before anything is sent: what the core wrote after it failed may be wrong. */
static void failure_check(struct edge *edge)
{
    const char *failure = server_failure(edge->core.server);

    if (failure != NULL) {
        mk_log(edge->log, MK_LOG_ERROR, "the server cannot go on: %s", failure);
        _exit(EDGE_EXIT_FAILED);
    }
}

/* The core's actions. The batch first: the log thread writes while we do. */
static void turn_end(struct edge *edge)
{
    if (!edge->turn_open) {
        return;
    }
    failure_check(edge);
    ensemble_take(edge);
    batch_hand_over(edge);
    struct server_conn *dirty = server_next_dirty(edge->core.server);
    for (; dirty != NULL; dirty = server_next_dirty(edge->core.server)) {
        conn_flush(server_conn_owner(dirty));
    }
    batch_hand_over(edge); /* A connection that closed may have had something to say. */
    ensemble_flush(edge);
    snapshots_take(edge->snapshots);
    disk_take(edge->disk);
    mk_summary_add(&edge->counters.outstanding, server_outstanding(edge->core.server));
    due_close(edge, &edge->flushing);
    due_close(edge, &edge->lingering);
    phase_advance(edge);
    timer_set(edge);
    edge->turn_open = false;
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn_end(prepare->data); /* What timers and idle began, before polling. */
}

static void on_check(uv_check_t *check)
{
    turn_end(check->data);
}

static void on_timer(uv_timer_t *timer)
{
    turn_begin(timer->data);
}

static void on_idle(uv_idle_t *idle)
{
    struct edge *edge = idle->data;

    turn_begin(edge);
    struct mk_link ready; /* Who is paused again meanwhile must not be served twice in one turn. */
    mk_list_init(&ready);
    while (!mk_list_empty(&edge->resuming)) {
        struct mk_link *link = edge->resuming.next;
        mk_list_remove(link);
        mk_list_append(&ready, link);
    }
    while (!mk_list_empty(&ready)) {
        struct mk_link *link = ready.next;
        mk_list_remove(link);
        conn_resume(MK_CONTAINER(link, struct conn, list));
    }
    if (mk_list_empty(&edge->resuming)) {
        uv_idle_stop(&edge->idle);
    }
}

void resume_soon(struct edge *edge)
{
    if (!uv_is_active((uv_handle_t *)&edge->idle)) {
        uv_idle_start(&edge->idle, on_idle);
    }
}

/* ---- Life ---- */

struct edge *edge_new(const struct edge_options *options, const struct mk_log *log)
{
    struct edge *edge = mk_alloc_zero(1, sizeof(*edge));
    edge->options = options;
    edge->log = log;
    edge->phase = EDGE_STARTING;
    edge->started_ms = edge_now().monotonic_ms;
    edge->phase_due_ms = INT64_MAX;
    mk_list_init(&edge->conns);
    mk_list_init(&edge->resuming);
    mk_list_init(&edge->flushing);
    mk_list_init(&edge->lingering);
    int failed = uv_loop_init(&edge->loop);
    MK_ASSERT(failed == 0); /* Only without memory or descriptors, before anything was opened. */
    streams_init(&edge->streams, &edge->loop, log,
                 options->handshakes_max > 0 ? (size_t)options->handshakes_max : HANDSHAKES_MAX);
    edge->questions = questions_new(edge);
    return edge;
}

static void handles_start(struct edge *edge)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};

    edge->prepare.data = edge->check.data = edge->idle.data = edge->timer.data = edge;
    uv_prepare_init(&edge->loop, &edge->prepare);
    uv_check_init(&edge->loop, &edge->check);
    uv_idle_init(&edge->loop, &edge->idle);
    uv_timer_init(&edge->loop, &edge->timer);
    uv_prepare_start(&edge->prepare, on_prepare);
    uv_check_start(&edge->check, on_check);
    /* Without TLS there is nothing to read again, and a server goes with its terminal, as ever. */
    size_t count = MK_COUNT(numbers) - (edge->certificates == NULL ? 1 : 0);
    for (size_t i = 0; i < count; i++) {
        edge->signals[i].data = edge;
        uv_signal_init(&edge->loop, &edge->signals[i]);
        uv_signal_start(&edge->signals[i], on_signal, numbers[i]);
    }
}

enum edge_exit edge_run(struct edge *edge, const struct edge_core *core)
{
    edge->core = *core;
    status_settings_read(edge);
    edge->disk = disk_new(edge);
    edge->snapshots = snapshots_new(edge);
    edge->log_thread = log_thread_start(&(struct log_thread_options){
        .loop = &edge->loop,
        .store_log = core->log,
        .log = edge->log,
        .sync_warning_ms = edge->options->sync_warning_ms,
        .on_synced = on_synced,
        .context = edge,
    });
    certificates_open(edge);
    handles_start(edge);
    turn_begin(edge);
    turn_end(edge);
    uv_run(&edge->loop, UV_RUN_DEFAULT);
    operators_close(edge);

    if (edge->exit == EDGE_EXIT_OK) {
        mk_log(edge->log, MK_LOG_INFO, "stopped  zxid=0x%" PRIx64 " checkpoint=0x%" PRIx64,
               (uint64_t)store_applied(core->store), (uint64_t)store_durable(core->store));
    }
    if (!threads_idle(edge)) {
        _exit(edge->exit); /* They are at work on what the caller is about to free. */
    }
    while (!mk_list_empty(&edge->conns)) {
        conn_close(MK_CONTAINER(edge->conns.next, struct conn, link));
    }
    return edge->exit;
}

static void handle_close(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void edge_free(struct edge *edge)
{
    if (edge == NULL) {
        return;
    }
    operators_close(edge);
    if (edge->log_thread != NULL) {
        log_thread_stop(edge->log_thread);
    }
    disk_free(edge->disk);
    snapshots_free(edge->snapshots);
    ensemble_close(edge);
    uv_walk(&edge->loop, handle_close, NULL);
    uv_run(&edge->loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&edge->loop);
    MK_ASSERT(busy == 0);
    ensemble_free(edge);
    certificates_free(edge);
    MK_ASSERT(edge->addresses.count == 0);
    mk_map_bytes_free(&edge->addresses);
    streams_deinit(&edge->streams);
    mk_arena_free(&edge->texts);
    mk_free(edge);
}
