/* A run: time jumps from one event to the next; each is a step.
 *
 *   busy for some thousand steps -> quiet: all that is under way ends -> compare everything -> busy
 *   and at last over: every session ends, and nothing may be left of any. */
#include "sim/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MONOTONIC_START_MS 1000000
#define WALL_START_MS 1700000000000
#define QUIET_MIN_MS 3000
#define QUIET_MAX_MS 120000 /* by then everything must have come to its end */

/* ---- Chance, time, log ---- */

uint64_t sim_below(struct sim_run *run, uint64_t bound)
{
    return mk_random_below(&run->random, bound);
}

bool sim_one_in(struct sim_run *run, uint64_t n)
{
    return mk_random_below(&run->random, n) == 0;
}

size_t sim_weighted(struct sim_run *run, const unsigned *weights, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++) {
        total += weights[i];
    }
    if (total == 0) {
        return SIZE_MAX;
    }
    uint64_t drawn = sim_below(run, total);
    size_t i = 0;
    while (drawn >= weights[i]) {
        drawn -= weights[i++];
    }
    return i;
}

void sim_weights_taste(struct sim_run *run, unsigned *weights, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        weights[i] *= sim_one_in(run, 4) ? 0 : 1 + (unsigned)sim_below(run, 4);
    }
}

struct server_time sim_time(const struct sim_run *run)
{
    return (struct server_time){.monotonic_ms = MONOTONIC_START_MS + run->now_ms,
                                .wall_ms = WALL_START_MS + run->now_ms + run->wall_off_ms};
}

void sim_log(struct sim_run *run, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (run->options.log == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    run->line.len = 0;
    mk_buf_printf(&run->line, "%llu %lld %s", (unsigned long long)run->step, (long long)run->now_ms,
                  text);
    mk_buf_put_u8(&run->line, 0);
    run->options.log(run->options.log_context, (const char *)run->line.data);
}

static void core_line(void *context, enum mk_log_level level, const char *line)
{
    sim_log(context, "server: %d %s", (int)level, line);
}

void sim_event_at(struct sim_run *run, struct sim_event *event, mk_ms delay_ms)
{
    MK_ASSERT(delay_ms >= 0);
    mk_timers_set(&run->timers, &event->timer, run->now_ms + delay_ms);
}

void sim_event_cancel(struct sim_run *run, struct sim_event *event)
{
    mk_timers_cancel(&run->timers, &event->timer);
}

bool sim_event_set(const struct sim_event *event)
{
    return event->timer.index != 0;
}

/* ---- A turn of the server ---- */

static void look_at_output(struct sim_run *run)
{
    for (size_t i = 0; i < run->check.conns_count; i++) {
        sim_sabotage_output(run, run->check.conns[i]);
        sim_check_output(&run->check, run->check.conns[i]);
    }
}

void sim_turn_check(struct sim_run *run)
{
    look_at_output(run);
    if (server_failure(run->machine.server) != NULL) {
        return; /* it has stopped in the middle of something; what it said until then holds */
    }
    for (size_t i = 0; i < run->check.conns_count; i++) {
        sim_check_settled(&run->check, run->check.conns[i]);
    }
}

bool sim_turn_begin(struct sim_run *run)
{
    if (run->machine.server == NULL) {
        return false;
    }
    sim_check_tick(&run->check, sim_time(run).monotonic_ms);
    server_tick(run->machine.server, sim_sabotage_time(run, sim_time(run)));
    sim_turn_check(run);
    return true;
}

static void take_batch(struct sim_run *run)
{
    struct sim_machine *machine = &run->machine;

    if (machine->batch_out) {
        return;
    }
    if (sim_one_in(run, 4)) { /* let more come together */
        if (!sim_event_set(&run->take_event)) {
            sim_event_at(run, &run->take_event, (mk_ms)sim_below(run, 6));
        }
        return;
    }
    if (sim_machine_batch_take(machine)) {
        mk_ms max_ms = run->now_ms < run->sync_slow_until_ms ? run->sync_max_ms : 3;
        sim_event_at(run, &run->sync_event, (mk_ms)sim_below(run, (uint64_t)max_ms));
    }
}

static void load_happens(struct sim_run *run, void *owner)
{
    struct sim_load_event *load = owner;

    load->used = false;
    run->loads_count--;
    if (sim_turn_begin(run)) {
        enum mk_status status = load->loaded ? MK_OK : sim_machine_load(&run->machine, &load->load);
        if (run->machine.reads_fail) {
            store_load_free(&load->load.rows);
            sim_run_crash(run, "rows cannot be loaded"); /* as a process would */
            return;
        }
        if (status != MK_OK && status != MK_NO_NODE && status != MK_END) {
            sim_check_fail(&run->check, "loading rows failed: %s", mk_status_text(status));
        }
        if (!sim_sabotage_load(run, &load->load)) {
            server_load_done(run->machine.server, &load->load);
        }
        sim_turn_check(run);
        sim_turn_end(run);
    }
}

static void take_loads(struct sim_run *run)
{
    struct server_load load;

    while (run->loads_count < SIM_LOADS_MAX && server_load_take(run->machine.server, &load)) {
        struct sim_load_event *event = run->loads;
        while (event->used) {
            event++;
        }
        *event = (struct sim_load_event){
            .event = {.happen = load_happens, .owner = event}, .load = load, .used = true};
        /* What it reads may be old when it is handed over. */
        event->loaded =
            sim_below(run, 2) == 0 && sim_machine_load(&run->machine, &event->load) == MK_OK;
        run->loads_count++;
        run->report->loads++;
        sim_event_at(run, &event->event, (mk_ms)sim_below(run, 20));
    }
}

/* The server waits for nothing: no batch is with the disk, waits for company or is to be taken, no rows are on their way, no
 * checkpoint is being written. Then it has nothing to wait for either: what it was asked is answered. */
static void nobody_forgotten(struct sim_run *run)
{
    const struct sim_machine *machine = &run->machine;
    struct mk_link *link;

    if (machine->batch_out || sim_event_set(&run->take_event) || run->loads_count > 0 ||
        machine->checkpoint != NULL || server_batch_waits(machine->server)) {
        return;
    }
    for (link = run->links.next; link != &run->links; link = link->next) {
        const struct sim_link *each = MK_CONTAINER(link, struct sim_link, in_run);
        /* Behind what a client has not read, nothing need be answered. */
        if (each->server != NULL && server_conn_output(each->server)->len == 0 &&
            !sim_event_set(&each->down_event)) {
            sim_check_forgotten(&run->check, each->check);
        }
    }
}

static void schedule_tick(struct sim_run *run)
{
    mk_ms due_ms = server_next_tick(run->machine.server);

    if (due_ms == INT64_MAX) {
        sim_event_cancel(run, &run->tick_event);
        return;
    }
    mk_ms delay_ms = due_ms - sim_time(run).monotonic_ms;
    sim_event_at(run, &run->tick_event, delay_ms > 1 ? delay_ms : 1);
}

void sim_turn_end(struct sim_run *run)
{
    struct server *server = run->machine.server;
    struct server_conn *conn;

    if (!sim_check_ok(&run->check) || server == NULL) {
        return;
    }
    if (server_failure(server) != NULL) {
        if (run->machine.reads_fail) {
            sim_run_crash(run, server_failure(server));
        } else {
            sim_check_fail(&run->check, "the server gave up: %s", server_failure(server));
        }
        return;
    }
    take_batch(run);
    take_loads(run);
    if (sim_machine_checkpoint_take(&run->machine)) {
        sim_event_at(run, &run->write_event, (mk_ms)sim_below(run, 100));
    }
    while (sim_check_ok(&run->check) && (conn = server_next_dirty(server)) != NULL) {
        sim_link_dirty(server_conn_owner(conn));
    }
    nobody_forgotten(run);
    schedule_tick(run);
}

static void tick_happens(struct sim_run *run, void *owner)
{
    (void)owner;
    if (sim_turn_begin(run)) {
        sim_turn_end(run);
    }
}

/* ---- The disk ---- */

static void log_entry(struct sim_run *run, struct mk_bytes entry)
{
    struct jute_txn txn;

    if (run->options.log == NULL || jute_txn_decode(entry, &txn) != MK_OK) {
        return;
    }
    sim_log(run, "0x%llx session 0x%llx cxid %d type %d error %d %.*s",
            (unsigned long long)txn.zxid, (unsigned long long)txn.client_id, (int)txn.cxid,
            (int)txn.type, (int)txn.error, (int)txn.path.len,
            txn.path.data == NULL ? "" : (const char *)txn.path.data);
    if (txn.type != JUTE_MULTI) {
        return;
    }
    struct jute_txn_cursor cursor = jute_txn_begin(&txn);
    struct jute_txn part;
    while (jute_txn_next(&cursor, &part)) {
        sim_log(run, "    type %d error %d %.*s", (int)part.type, (int)part.error,
                (int)part.path.len, part.path.data == NULL ? "" : (const char *)part.path.data);
    }
}

void sim_run_synced(struct sim_run *run)
{
    struct mk_buf batch = {0};
    struct mk_bytes entry;
    size_t offset = 0;

    mk_buf_append_bytes(&batch, mk_buf_view(&run->machine.batch.bytes));
    sim_log(run, "synced %u transactions up to 0x%llx", (unsigned)run->machine.batch.count,
            (unsigned long long)run->machine.batch.last);
    sim_machine_batch_sync(&run->machine, sim_sabotage_sync(run));
    run->committed_ms = run->now_ms;
    while (sim_check_ok(&run->check) &&
           store_log_entry_next(mk_buf_view(&batch), &offset, &entry)) {
        log_entry(run, entry);
        look_at_output(run); /* what was written just before it */
        sim_check_commit(&run->check, entry);
    }
    mk_buf_free(&batch);
    sim_turn_check(run);
}

static void sync_happens(struct sim_run *run, void *owner)
{
    (void)owner;
    if (run->sync_fails) {
        run->sync_fails = false;
        run->report->failed_syncs++;
        sim_run_crash(run, "the sync failed");
        return;
    }
    if (sim_turn_begin(run)) {
        sim_run_synced(run);
        sim_turn_end(run);
    }
}

static void write_happens(struct sim_run *run, void *owner)
{
    struct mk_error error;

    (void)owner;
    if (!sim_machine_checkpoint_write(&run->machine, &error)) {
        sim_check_fail(&run->check, "a checkpoint could not be written: %s", error.text);
        return;
    }
    sim_event_at(run, &run->done_event, (mk_ms)sim_below(run, 100));
}

static void done_happens(struct sim_run *run, void *owner)
{
    (void)owner;
    if (sim_turn_begin(run)) {
        sim_machine_checkpoint_done(&run->machine);
        run->report->checkpoints++;
        sim_log(run, "checkpoint at 0x%llx done",
                (unsigned long long)store_durable(run->machine.store));
        sim_turn_check(run);
        sim_turn_end(run);
    }
}

/* ---- Crash and boot ---- */

static void drop_loads(struct sim_run *run)
{
    for (size_t i = 0; i < SIM_LOADS_MAX; i++) {
        if (run->loads[i].used) {
            sim_event_cancel(run, &run->loads[i].event);
            store_load_free(&run->loads[i].load.rows);
            run->loads[i].used = false;
        }
    }
    run->loads_count = 0;
}

void sim_run_crash(struct sim_run *run, const char *why)
{
    struct sim_machine *machine = &run->machine;
    uint32_t count = machine->batch_out ? machine->batch.count : 0;
    uint32_t kept = (uint32_t)sim_below(run, count + 1);
    unsigned lost = sim_one_in(run, 3) ? (unsigned)sim_below(run, SIM_CHECKPOINTS_LOST_MAX + 1) : 0;
    struct mk_bytes entry;
    size_t offset = 0;

    sim_log(run, "crash: %s; %u of %u transactions kept, %u checkpoints lost", why, kept, count,
            lost);
    for (uint32_t i = 0; i < kept; i++) {
        MK_ASSERT(store_log_entry_next(mk_buf_view(&machine->batch.bytes), &offset, &entry));
        log_entry(run, entry);
        sim_check_commit(&run->check, entry);
    }
    sim_check_crash(&run->check);
    struct sim_event *events[] = {&run->tick_event, &run->take_event, &run->sync_event,
                                  &run->write_event, &run->done_event};
    for (size_t i = 0; i < MK_COUNT(events); i++) {
        sim_event_cancel(run, events[i]);
    }
    drop_loads(run);
    while (!mk_list_empty(&run->links)) {
        sim_link_server_died(MK_CONTAINER(run->links.next, struct sim_link, in_run));
    }
    sim_machine_crash(machine, kept, lost);
    sim_sabotage_crash(run);
    run->sync_fails = false;
    run->report->crashes++;
    sim_event_at(run, &run->boot_event, (mk_ms)sim_below(run, sim_one_in(run, 10) ? 5000 : 300));
}

static void boot_happens(struct sim_run *run, void *owner)
{
    struct mk_error error;

    (void)owner;
    if (!sim_machine_boot(&run->machine, sim_time(run), &error)) {
        sim_check_fail(&run->check, "the server does not come up: %s", error.text);
        return;
    }
    sim_log(run, "boot: epoch %u, applied 0x%llx", (unsigned)run->machine.epoch,
            (unsigned long long)store_applied(run->machine.store));
    run->check.now_ms = sim_time(run).monotonic_ms;
    run->committed_ms = run->booted_ms = run->now_ms;
    sim_check_boot(&run->check);
    if (sim_one_in(run, 2)) { /* which brings all rows into memory */
        sim_check_store(&run->check, run->machine.store);
    }
    sim_turn_end(run);
}

/* ---- Moods ---- */

static bool at_rest(struct sim_run *run)
{
    struct mk_link *link;

    if (run->machine.server == NULL || run->machine.batch_out || run->loads_count > 0 ||
        run->machine.reads_fail || run->now_ms - run->mood_since_ms < QUIET_MIN_MS ||
        run->now_ms - run->booted_ms < QUIET_MIN_MS ||
        store_totals(run->machine.store)->ready > 0 || !server_idle(run->machine.server)) {
        return false;
    }
    for (link = run->links.next; link != &run->links; link = link->next) {
        if (!sim_link_quiet(MK_CONTAINER(link, struct sim_link, in_run))) {
            return false;
        }
    }
    /* Calls that outlive their sessions go on until their own time has come. */
    return run->mood == SIM_QUIET ||
           (run->check.model.sessions_count == 0 && run->check.calls_count == 0);
}

static void set_mood(struct sim_run *run, enum sim_mood mood)
{
    run->mood = mood;
    run->mood_since_ms = run->now_ms;
    run->mood_step = run->step + 1000 + sim_below(run, 5000);
    sim_log(run, "%s", mood == SIM_BUSY ? "busy" : mood == SIM_QUIET ? "quiet" : "over");
    if (mood == SIM_BUSY) {
        sim_fault_begin(run);
    } else {
        sim_event_cancel(run, &run->fault_event);
        run->sync_slow_until_ms = 0;
        run->sync_fails = false;
        if (run->machine.reads_fail) {
            sim_run_crash(run, "another disk");
        }
    }
}

/* Log time runs at least nine tenths as fast as the monotonic clock. */
static mk_ms log_time_at_least(const struct sim_run *run)
{
    mk_ms since_ms = run->now_ms - run->committed_ms;

    return run->check.model.time_ms + since_ms * 9 / 10 - 2 * run->server_options.tick_ms;
}

static void nothing_left(struct sim_run *run)
{
    const struct sim_model *model = &run->check.model;
    struct mk_bytes calls = MK_BYTES(SIM_CALLS_PATH);

    for (size_t i = 0; i < model->znodes_count; i++) {
        if (sim_path_below(model->znodes[i]->path, calls)) {
            sim_check_fail(&run->check, "every session has ended, and %.*s is left",
                           (int)model->znodes[i]->path.len,
                           (const char *)model->znodes[i]->path.data);
        }
    }
}

static void compare_everything(struct sim_run *run)
{
    if (sim_check_ok(&run->check)) {
        sim_check_store(&run->check, run->machine.store);
        server_check(run->machine.server);
    }
}

/* False: the run is over. */
static bool change_mood(struct sim_run *run)
{
    if (run->mood == SIM_BUSY) {
        if (run->step >= run->mood_step || run->step >= run->options.steps) {
            set_mood(run, run->step >= run->options.steps ? SIM_OVER : SIM_QUIET);
        }
        return true;
    }
    if (at_rest(run)) {
        sim_check_quiet(&run->check, log_time_at_least(run));
        compare_everything(run);
        if (run->mood == SIM_OVER) {
            nothing_left(run);
            return false;
        }
        set_mood(run, run->step >= run->options.steps ? SIM_OVER : SIM_BUSY);
    } else if (run->now_ms - run->mood_since_ms > QUIET_MAX_MS) {
        sim_check_quiet(&run->check, log_time_at_least(run));
        sim_check_fail(&run->check, "nothing is asked, and the server does not come to rest");
    }
    return true;
}

/* ---- From the first step to the last ---- */

static void init_server_options(struct sim_run *run)
{
    struct server_options *options = &run->server_options;

    server_options_default(options);
    options->tick_ms = 100;
    options->extended_types = true;
    options->super_digest = mk_bytes_text(sim_credentials[SIM_CREDENTIALS_SUPER].id);
    options->outstanding_max = 60;
    options->conn_outstanding_max = 12;
    options->sessionless_timeout_ms = 1000;
    options->checkpoint_ms = 4000;
    options->log_bytes_checkpoint = 256 * 1024;
    options->wakes_per_step = 4;
    options->parked_patience_ms = (mk_ms)(sim_one_in(run, 2) ? 0 : 1 + sim_below(run, 50));
    options->session_calls_max = 20;
    options->call_result_ms = 3000;
    options->reap_interval_ms = (mk_ms)(20 + sim_below(run, 600));
    options->reaps_per_minute_max = sim_one_in(run, 3) ? 100000 : 3000;
    options->enforce_quota = sim_one_in(run, 2);
    options->session_ephemerals_max = sim_one_in(run, 2) ? 0 : 1 + (uint32_t)sim_below(run, 20);
    options->container_unused_ms = (mk_ms)(sim_one_in(run, 2) ? 0 : 1 + sim_below(run, 5000));
    mk_buf_append_bytes(&run->recipe_source, run->options.lock_source);
    mk_buf_append_bytes(&run->tally_source, sim_recipe_tally());
    sim_sabotage_recipes(run);
    run->recipes[0] = (struct server_recipe){.name = MK_BYTES("lock"),
                                             .source = mk_buf_view(&run->recipe_source)};
    run->recipes[1] = (struct server_recipe){.name = MK_BYTES("nap"), .source = sim_recipe_nap()};
    run->recipes[2] = (struct server_recipe){.name = MK_BYTES("tally"),
                                             .source = mk_buf_view(&run->tally_source)};
    options->catalogue = run->recipes;
    options->catalogue_count = MK_COUNT(run->recipes);
}

static void init_events(struct sim_run *run)
{
    run->tick_event.happen = tick_happens;
    run->take_event.happen = tick_happens;
    run->sync_event.happen = sync_happens;
    run->write_event.happen = write_happens;
    run->done_event.happen = done_happens;
    run->boot_event.happen = boot_happens;
}

static void init(struct sim_run *run, const struct sim_options *options, struct sim_report *report)
{
    *run = (struct sim_run){.options = *options, .report = report};
    *report = (struct sim_report){0};
    mk_random_seed(&run->random, options->seed);
    mk_list_init(&run->links);
    init_server_options(run);
    init_events(run);
    run->core_log = (struct mk_log){.level = MK_LOG_DEBUG, .write = core_line, .context = run};
    struct sim_machine_options machine = {
        .server = &run->server_options,
        .seed = options->seed,
        .stall_per_mille = (uint32_t)(sim_one_in(run, 2) ? sim_below(run, 300) : 0),
        .cache_bytes = 1024 << sim_below(run, 8),
        .overlay_bytes = 16384 << sim_below(run, 5),
        .log = options->log == NULL ? NULL : &run->core_log,
    };
    sim_machine_init(&run->machine, &machine);
    sim_check_init(&run->check, &run->server_options);
    run->clients_count = (int)(2 + sim_below(run, SIM_CLIENTS_MAX - 4));
    sim_client_choose(run);
    sim_fault_choose(run);
    sim_event_at(run, &run->boot_event, 0);
    for (int i = 0; i < run->clients_count; i++) {
        sim_client_init(run, &run->clients[i], i);
    }
    set_mood(run, SIM_BUSY);
}

static void deinit(struct sim_run *run)
{
    drop_loads(run);
    while (!mk_list_empty(&run->links)) {
        sim_link_server_died(MK_CONTAINER(run->links.next, struct sim_link, in_run));
    }
    for (int i = 0; i < run->clients_count; i++) {
        sim_client_deinit(&run->clients[i]);
    }
    sim_check_deinit(&run->check);
    sim_machine_deinit(&run->machine);
    mk_timers_free(&run->timers);
    mk_buf_free(&run->recipe_source);
    mk_buf_free(&run->tally_source);
    mk_buf_free(&run->line);
    mk_buf_free(&run->scratch);
}

static void write_report(struct sim_run *run)
{
    const struct sim_check_stats *stats = &run->check.stats;
    struct sim_report *report = run->report;

    report->passed = sim_check_ok(&run->check);
    memcpy(report->failure, run->check.failure.text, sizeof(report->failure));
    report->steps = run->step;
    report->virtual_ms = (uint64_t)run->now_ms;
    report->requests = stats->frames;
    report->replies = stats->replies;
    report->events = stats->events;
    report->transactions = stats->commits;
    report->errors = stats->errors;
    report->sessions_expired = stats->expired;
    report->calls_parked = stats->calls;
    report->grants = stats->grants;
    report->timeouts = stats->timeouts;
    report->cancels = stats->cancels;
    report->comparisons = stats->comparisons;
    report->reaped = stats->reaped;
    report->counts = stats->counts;
    report->deployments = stats->deployments;
    report->passes = stats->passes;
    report->dry_runs = stats->dry_runs;
    report->call_reads = stats->call_reads;
    report->outlived = stats->outlived;
    report->gone = stats->gone;
}

void sim_run(const struct sim_options *options, struct sim_report *report)
{
    struct sim_run *run = mk_alloc(sizeof(*run));
    struct mk_timer *timer;

    init(run, options, report);
    while (sim_check_ok(&run->check) && change_mood(run) &&
           (timer = mk_timers_first(&run->timers)) != NULL) {
        struct sim_event *event = MK_CONTAINER(timer, struct sim_event, timer);
        run->step++;
        if (options->step != NULL) {
            *options->step = run->step;
        }
        run->now_ms = timer->due;
        mk_timers_cancel(&run->timers, timer);
        event->happen(run, event->owner);
        if (run->step % 1024 == 0 && run->machine.server != NULL && !run->machine.reads_fail) {
            compare_everything(run);
        }
    }
    if (!sim_check_ok(&run->check)) {
        sim_log(run, "failed: %s", run->check.failure.text);
    }
    write_report(run);
    deinit(run);
    mk_free(run);
}
