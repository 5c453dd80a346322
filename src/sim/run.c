/* A run: time jumps from one event to the next; each is a step.
 *
 *   busy for some thousand steps -> quiet: all that is under way ends -> compare everything -> busy
 *   and at last over: every session ends, and nothing may be left of any. */
#include "sim/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

bool sim_run_ok(const struct sim_run *run)
{
    for (int i = 0; i < run->hosts_count; i++) {
        if (!sim_check_ok(&run->hosts[i].check)) {
            return false;
        }
    }
    return true;
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

/* ---- Moods ---- */

static bool host_at_rest(struct sim_host *host)
{
    const struct sim_run *run = host->run;
    const struct sim_machine *machine = &host->machine;
    struct mk_link *link;

    if (machine->server == NULL || machine->batch_out || host->loads_count > 0 ||
        machine->reads_fail || run->now_ms - host->booted_ms < QUIET_MIN_MS ||
        run->now_ms - host->stuck_until_ms < QUIET_MIN_MS ||
        store_totals(machine->store)->ready > 0 || !server_idle(machine->server) ||
        !server_serving(machine->server) ||
        store_applied(machine->store) != run->hosts[0].check.model.zxid) {
        return false;
    }
    for (link = host->links.next; link != &host->links; link = link->next) {
        if (!sim_link_quiet(MK_CONTAINER(link, struct sim_link, in_host))) {
            return false;
        }
    }
    /* Calls that outlive their sessions go on until their own time has come. */
    return run->mood == SIM_QUIET ||
           (host->check.model.sessions_count == 0 && host->check.calls_count == 0);
}

static bool at_rest(struct sim_run *run)
{
    if (run->now_ms - run->mood_since_ms < QUIET_MIN_MS ||
        sim_time(&run->hosts[0]).monotonic_ms - run->agreement.led_ms < QUIET_MIN_MS) {
        return false;
    }
    for (int i = 0; i < run->hosts_count; i++) {
        if (!host_at_rest(&run->hosts[i])) {
            return false;
        }
    }
    return true;
}

static void host_calms(struct sim_host *host)
{
    host->paused_until_ms = 0;
    memset(host->run->cut_until_ms[host->number], 0, sizeof(host->run->cut_until_ms[0]));
    host->sync_slow_until_ms = 0;
    host->sync_fails = false;
    if (host->machine.reads_fail) {
        sim_host_crash(host, "another disk");
    }
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
        for (int i = 0; i < run->hosts_count; i++) {
            host_calms(&run->hosts[i]);
        }
    }
}

/* Log time runs at least nine tenths as fast as the monotonic clock. */
static mk_ms log_time_at_least(const struct sim_host *host)
{
    mk_ms led_ms = host->run->agreement.led_ms; /* in between it stood still */
    mk_ms now_ms = sim_time(host).monotonic_ms;
    mk_ms since_ms = host->run->now_ms - host->committed_ms;

    since_ms = now_ms - led_ms < since_ms ? now_ms - led_ms : since_ms;
    return host->check.model.time_ms + since_ms * 9 / 10 - 2 * host->options.tick_ms;
}

static void nothing_left(struct sim_host *host)
{
    const struct sim_model *model = &host->check.model;
    struct mk_bytes calls = MK_BYTES(SIM_CALLS_PATH);

    for (size_t i = 0; i < model->znodes_count; i++) {
        if (sim_path_below(model->znodes[i]->path, calls)) {
            sim_check_fail(&host->check, "every session has ended, and %.*s is left",
                           (int)model->znodes[i]->path.len,
                           (const char *)model->znodes[i]->path.data);
        }
    }
}

static void compare_everything(struct sim_run *run)
{
    for (int i = 0; i < run->hosts_count; i++) {
        struct sim_host *host = &run->hosts[i];
        if (host->machine.server != NULL && !host->machine.reads_fail) {
            sim_host_compare(host);
        }
    }
}

static void look_at_rest(struct sim_run *run)
{
    for (int i = 0; i < run->hosts_count; i++) {
        struct sim_host *host = &run->hosts[i];
        sim_check_quiet(&host->check, log_time_at_least(host));
        sim_host_compare(host);
        if (run->mood == SIM_OVER) {
            nothing_left(host);
        }
    }
}

static void look_at_unrest(struct sim_run *run)
{
    for (int i = 0; i < run->hosts_count; i++) {
        struct sim_host *host = &run->hosts[i];
        sim_check_quiet(&host->check, log_time_at_least(host));
        sim_check_fail(&host->check, "nothing is asked, and the server does not come to rest");
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
        look_at_rest(run);
        sim_agreement_quiet(&run->agreement);
        if (run->mood == SIM_OVER) {
            return false;
        }
        set_mood(run, run->step >= run->options.steps ? SIM_OVER : SIM_BUSY);
    } else if (run->now_ms - run->mood_since_ms > QUIET_MAX_MS) {
        look_at_unrest(run);
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

static void init(struct sim_run *run, const struct sim_options *options, struct sim_report *report)
{
    *run = (struct sim_run){.options = *options, .report = report};
    *report = (struct sim_report){0};
    mk_random_seed(&run->random, options->seed);
    mk_list_init(&run->wires);
    sim_agreement_init(&run->agreement);
    init_server_options(run);
    run->hosts_count = options->servers;
    if (run->hosts_count > 1) {
        run->observers = (int)sim_below(run, (uint64_t)run->hosts_count - 2);
        run->history_count = sim_one_in(run, 2) ? 1 + (uint32_t)sim_below(run, 30) : 500;
    }
    for (int i = 0; i < run->hosts_count; i++) {
        sim_host_init(run, &run->hosts[i], i);
    }
    run->clients_count = (int)(2 + sim_below(run, SIM_CLIENTS_MAX - 4));
    sim_client_choose(run);
    sim_fault_choose(run);
    for (int i = 0; i < run->hosts_count; i++) {
        sim_event_at(run, &run->hosts[i].boot_event, 0);
    }
    for (int i = 0; i < run->clients_count; i++) {
        sim_client_init(run, &run->clients[i], i);
    }
    set_mood(run, SIM_BUSY);
}

static void deinit(struct sim_run *run)
{
    for (int i = 0; i < run->hosts_count; i++) {
        sim_host_deinit(&run->hosts[i]);
    }
    for (int i = 0; i < run->clients_count; i++) {
        sim_client_deinit(&run->clients[i]);
    }
    sim_wires_free(run);
    sim_agreement_deinit(&run->agreement);
    mk_timers_free(&run->timers);
    mk_buf_free(&run->recipe_source);
    mk_buf_free(&run->tally_source);
    mk_buf_free(&run->line);
    mk_buf_free(&run->scratch);
}

static void add_stats(struct sim_report *report, const struct sim_check_stats *stats)
{
    report->requests += stats->frames;
    report->replies += stats->replies;
    report->events += stats->events;
    report->transactions += stats->commits;
    report->errors += stats->errors;
    report->sessions_expired += stats->expired;
    report->calls_parked += stats->calls;
    report->grants += stats->grants;
    report->timeouts += stats->timeouts;
    report->cancels += stats->cancels;
    report->comparisons += stats->comparisons;
    report->reaped += stats->reaped;
    report->counts += stats->counts;
    report->deployments += stats->deployments;
    report->passes += stats->passes;
    report->dry_runs += stats->dry_runs;
    report->call_reads += stats->call_reads;
    report->outlived += stats->outlived;
    report->gone += stats->gone;
}

static void write_report(struct sim_run *run)
{
    struct sim_report *report = run->report;

    report->passed = sim_run_ok(run);
    report->elections = run->agreement.elections;
    report->steps = run->step;
    report->virtual_ms = (uint64_t)run->now_ms;
    for (int i = 0; i < run->hosts_count; i++) {
        const struct sim_check *check = &run->hosts[i].check;
        add_stats(report, &check->stats);
        if (!sim_check_ok(check) && report->failure[0] == '\0') {
            memcpy(report->failure, check->failure.text, sizeof(report->failure));
        }
    }
    if (!report->passed) {
        sim_log(run, "failed: %s", report->failure);
    }
}

void sim_run(const struct sim_options *options, struct sim_report *report)
{
    struct sim_run *run = mk_alloc(sizeof(*run));
    struct mk_timer *timer;

    init(run, options, report);
    while (sim_run_ok(run) && change_mood(run) && (timer = mk_timers_first(&run->timers)) != NULL) {
        struct sim_event *event = MK_CONTAINER(timer, struct sim_event, timer);
        run->step++;
        if (options->step != NULL) {
            *options->step = run->step;
        }
        run->now_ms = timer->due;
        mk_timers_cancel(&run->timers, timer);
        if (event->host != NULL && run->now_ms < event->host->paused_until_ms) {
            sim_event_at(run, event, event->host->paused_until_ms - run->now_ms);
            continue;
        }
        event->happen(run, event->owner);
        sim_sabotage_power(run);
        if (run->step % 1024 == 0) {
            compare_everything(run);
        }
    }
    write_report(run);
    deinit(run);
    mk_free(run);
}
