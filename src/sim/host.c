/* A host: one server in its turns, with a disk that takes its time, and a power supply.
 *
 *   boot -> turns: time, something that came, then what the server wants done -> crash -> boot
 *
 * After each call of the server the checker is shown what it has answered. */
#include "sim/run.h"

#include <stdio.h>
#include <string.h>

#define MONOTONIC_START_MS 1000000
#define WALL_START_MS 1700000000000

struct server_time sim_time(const struct sim_host *host)
{
    mk_ms now_ms = host->run->now_ms;

    return (struct server_time){.monotonic_ms = MONOTONIC_START_MS + now_ms,
                                .wall_ms = WALL_START_MS + now_ms + host->wall_off_ms};
}

static void log_entry(struct sim_run *run, struct mk_bytes entry)
{
    struct jute_txn txn;

    if (run->options.log == NULL || jute_txn_decode(entry, &txn) != MK_OK) {
        return;
    }
    sim_log(run, "0x%llx at %lld session 0x%llx cxid %d type %d error %d %.*s",
            (unsigned long long)txn.zxid, (long long)txn.time_ms, (unsigned long long)txn.client_id,
            (int)txn.cxid, (int)txn.type, (int)txn.error, (int)txn.path.len,
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

/* ---- A turn of the server ---- */

static void look_at_output(struct sim_host *host)
{
    for (size_t i = 0; i < host->check.conns_count; i++) {
        sim_sabotage_output(host->run, host->check.conns[i]);
        sim_check_output(&host->check, host->check.conns[i]);
    }
}

/* What the server has applied meanwhile, which only a member does without being told. */
static void follow(struct sim_host *host)
{
    struct sim_check *check = &host->check;
    struct mk_bytes entry;

    while (sim_check_ok(check) && sim_machine_applied_next(&host->machine, &entry)) {
        if (sim_entry_zxid(entry) <= check->model.zxid) {
            sim_agree_again(check, entry);
            continue;
        }
        log_entry(host->run, entry);
        look_at_output(host);
        sim_check_commit(check, entry);
        host->committed_ms = host->run->now_ms;
    }
    sim_agree_role(check, host->machine.server);
}

void sim_turn_check(struct sim_host *host)
{
    if (sim_host_is_member(host)) {
        follow(host);
    }
    look_at_output(host);
    if (server_failure(host->machine.server) != NULL) {
        return; /* it has stopped in the middle of something; what it said until then holds */
    }
    for (size_t i = 0; i < host->check.conns_count; i++) {
        sim_check_settled(&host->check, host->check.conns[i]);
    }
}

bool sim_host_is_member(const struct sim_host *host)
{
    return host->options.ensemble.members_count > 1;
}

bool sim_turn_begin(struct sim_host *host)
{
    struct sim_run *run = host->run;

    if (host->machine.server == NULL) {
        return false;
    }
    sim_check_tick(&host->check, sim_time(host).monotonic_ms);
    server_tick(host->machine.server, sim_sabotage_time(run, sim_time(host)));
    sim_turn_check(host);
    return true;
}

static void take_batch(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct sim_machine *machine = &host->machine;

    if (machine->batch_out) {
        return;
    }
    if (sim_one_in(run, 4)) { /* let more come together */
        if (!sim_event_set(&host->take_event)) {
            sim_event_at(run, &host->take_event, (mk_ms)sim_below(run, 6));
        }
        return;
    }
    if (sim_machine_batch_take(machine)) {
        mk_ms max_ms = run->now_ms < host->sync_slow_until_ms ? host->sync_max_ms : 3;
        mk_ms sync_ms = (mk_ms)sim_below(run, (uint64_t)max_ms);
        if (sim_host_is_member(host) && sync_ms > 2 * host->options.tick_ms) {
            host->stuck_until_ms = run->now_ms + sync_ms;
        }
        sim_event_at(run, &host->sync_event, sync_ms);
    }
}

static void load_happens(struct sim_run *run, void *owner)
{
    struct sim_load_event *load = owner;
    struct sim_host *host = load->event.host;

    load->used = false;
    host->loads_count--;
    if (sim_turn_begin(host)) {
        enum mk_status status =
            load->loaded ? MK_OK : sim_machine_load(&host->machine, &load->load);
        if (host->machine.reads_fail) {
            store_load_free(&load->load.rows);
            sim_host_crash(host, "rows cannot be loaded"); /* as a process would */
            return;
        }
        if (status != MK_OK && status != MK_NO_NODE && status != MK_END) {
            sim_check_fail(&host->check, "loading rows failed: %s", mk_status_text(status));
        }
        if (!sim_sabotage_load(run, &load->load)) {
            server_load_done(host->machine.server, &load->load);
        }
        sim_turn_check(host);
        sim_turn_end(host);
    }
}

static void take_loads(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct server_load load;

    while (host->loads_count < SIM_LOADS_MAX && server_load_take(host->machine.server, &load)) {
        struct sim_load_event *event = host->loads;
        while (event->used) {
            event++;
        }
        *event =
            (struct sim_load_event){.event = {.happen = load_happens, .owner = event, .host = host},
                                    .load = load,
                                    .used = true};
        /* What it reads may be old when it is handed over. */
        event->loaded =
            sim_below(run, 2) == 0 && sim_machine_load(&host->machine, &event->load) == MK_OK;
        host->loads_count++;
        run->report->loads++;
        sim_event_at(run, &event->event, (mk_ms)sim_below(run, 20));
    }
}

/* The server waits for nothing: no batch is with the disk, waits for company or is to be taken, no rows are on their way, no
 * checkpoint is being written. Then it has nothing to wait for either: what it was asked is answered. */
static void nobody_forgotten(struct sim_host *host)
{
    const struct sim_machine *machine = &host->machine;
    struct mk_link *link;

    if (machine->batch_out || sim_event_set(&host->take_event) || host->loads_count > 0 ||
        machine->checkpoint != NULL || server_batch_waits(machine->server)) {
        return;
    }
    for (link = host->links.next; link != &host->links; link = link->next) {
        const struct sim_link *each = MK_CONTAINER(link, struct sim_link, in_host);
        /* Behind what a client has not read, nothing need be answered. */
        if (each->server != NULL && server_conn_output(each->server)->len == 0 &&
            !sim_event_set(&each->down_event)) {
            sim_check_forgotten(&host->check, each->check);
        }
    }
}

static void schedule_tick(struct sim_host *host)
{
    struct sim_run *run = host->run;
    mk_ms due_ms = server_next_tick(host->machine.server);

    if (due_ms == INT64_MAX) {
        sim_event_cancel(run, &host->tick_event);
        return;
    }
    mk_ms delay_ms = due_ms - sim_time(host).monotonic_ms;
    sim_event_at(run, &host->tick_event, delay_ms > 1 ? delay_ms : 1);
}

void sim_turn_end(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct server *server = host->machine.server;
    struct server_conn *conn;

    if (!sim_check_ok(&host->check) || server == NULL) {
        return;
    }
    if (server_failure(server) != NULL) {
        if (host->machine.reads_fail) {
            sim_host_crash(host, server_failure(server));
        } else {
            sim_check_fail(&host->check, "the server gave up: %s", server_failure(server));
        }
        return;
    }
    if (sim_host_is_member(host)) {
        sim_wires_turn(host);
    }
    take_batch(host);
    take_loads(host);
    if (sim_machine_checkpoint_take(&host->machine)) {
        sim_event_at(run, &host->write_event, (mk_ms)sim_below(run, 100));
    }
    while (sim_check_ok(&host->check) && (conn = server_next_dirty(server)) != NULL) {
        sim_link_dirty(server_conn_owner(conn));
    }
    if (sim_host_is_member(host)) {
        sim_member_turn(host);
        sim_wires_turn(host);
    } else {
        nobody_forgotten(host);
    }
    schedule_tick(host);
}

static void tick_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;

    (void)run;
    if (sim_turn_begin(host)) {
        sim_turn_end(host);
    }
}

/* ---- The disk ---- */

static void member_synced(struct sim_host *host)
{
    sim_log(host->run, "%ssynced %u transactions up to 0x%llx", host->name,
            (unsigned)host->machine.batch.count, (unsigned long long)host->machine.batch.last);
    sim_machine_batch_sync(&host->machine, sim_sabotage_sync(host->run));
    sim_turn_check(host);
}

void sim_host_synced(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct mk_buf batch = {0};
    struct mk_bytes entry;
    size_t offset = 0;

    if (sim_host_is_member(host)) {
        member_synced(host);
        return;
    }
    mk_buf_append_bytes(&batch, mk_buf_view(&host->machine.batch.bytes));
    sim_log(run, "synced %u transactions up to 0x%llx", (unsigned)host->machine.batch.count,
            (unsigned long long)host->machine.batch.last);
    sim_machine_batch_sync(&host->machine, sim_sabotage_sync(run));
    host->committed_ms = run->now_ms;
    while (sim_check_ok(&host->check) &&
           store_log_entry_next(mk_buf_view(&batch), &offset, &entry)) {
        log_entry(run, entry);
        look_at_output(host); /* what was written just before it */
        sim_check_commit(&host->check, entry);
    }
    mk_buf_free(&batch);
    sim_turn_check(host);
}

static void sync_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;

    if (host->sync_fails) {
        host->sync_fails = false;
        run->report->failed_syncs++;
        sim_host_crash(host, "the sync failed");
        return;
    }
    if (sim_turn_begin(host)) {
        sim_host_synced(host);
        sim_turn_end(host);
    }
}

static void write_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;
    struct mk_error error;

    if (!sim_machine_checkpoint_write(&host->machine, &error)) {
        sim_check_fail(&host->check, "a checkpoint could not be written: %s", error.text);
        return;
    }
    sim_event_at(run, &host->done_event, (mk_ms)sim_below(run, 100));
}

static void done_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;

    if (sim_turn_begin(host)) {
        sim_machine_checkpoint_done(&host->machine);
        run->report->checkpoints++;
        sim_log(run, "checkpoint at 0x%llx done",
                (unsigned long long)store_durable(host->machine.store));
        sim_turn_check(host);
        sim_turn_end(host);
    }
}

/* ---- Crash and boot ---- */

static void drop_loads(struct sim_host *host)
{
    struct sim_run *run = host->run;
    for (size_t i = 0; i < SIM_LOADS_MAX; i++) {
        if (host->loads[i].used) {
            sim_event_cancel(run, &host->loads[i].event);
            store_load_free(&host->loads[i].load.rows);
            host->loads[i].used = false;
        }
    }
    host->loads_count = 0;
}

static void links_die(struct sim_host *host)
{
    while (!mk_list_empty(&host->links)) {
        sim_link_server_died(MK_CONTAINER(host->links.next, struct sim_link, in_host));
    }
}

void sim_host_crash(struct sim_host *host, const char *why)
{
    struct sim_run *run = host->run;
    struct sim_machine *machine = &host->machine;
    uint32_t count = machine->batch_out ? machine->batch.count : 0;
    uint32_t kept = (uint32_t)sim_below(run, count + 1);
    unsigned lost = sim_one_in(run, 3) ? (unsigned)sim_below(run, SIM_CHECKPOINTS_LOST_MAX + 1) : 0;
    struct mk_bytes entry;
    size_t offset = 0;

    sim_log(run, "%scrash: %s; %u of %u transactions kept, %u checkpoints lost", host->name, why,
            kept, count, lost);
    for (uint32_t i = 0; i < kept && !sim_host_is_member(host); i++) {
        MK_ASSERT(store_log_entry_next(mk_buf_view(&machine->batch.bytes), &offset, &entry));
        log_entry(run, entry);
        sim_check_commit(&host->check, entry);
    }
    sim_check_crash(&host->check);
    if (sim_host_is_member(host)) {
        sim_member_crash(host);
    }
    struct sim_event *events[] = {&host->tick_event, &host->take_event, &host->sync_event,
                                  &host->write_event, &host->done_event};
    for (size_t i = 0; i < MK_COUNT(events); i++) {
        sim_event_cancel(run, events[i]);
    }
    drop_loads(host);
    links_die(host);
    sim_machine_crash(machine, kept, lost);
    sim_sabotage_crash(host);
    host->sync_fails = false;
    run->report->crashes++;
    sim_event_at(run, &host->boot_event, (mk_ms)sim_below(run, sim_one_in(run, 10) ? 5000 : 300));
}

static void boot_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;
    struct mk_error error;

    if (!sim_machine_boot(&host->machine, sim_time(host), &error)) {
        sim_check_fail(&host->check, "the server does not come up: %s", error.text);
        return;
    }
    sim_log(run, "%sboot: epoch %u, applied 0x%llx", host->name, (unsigned)host->machine.epoch,
            (unsigned long long)store_applied(host->machine.store));
    host->check.now_ms = sim_time(host).monotonic_ms;
    host->committed_ms = host->booted_ms = run->now_ms;
    if (sim_host_is_member(host)) {
        sim_member_boot(host);
        return;
    }
    sim_check_boot(&host->check);
    if (sim_one_in(run, 2)) { /* which brings all rows into memory */
        sim_check_store(&host->check, host->machine.store);
    }
    sim_turn_end(host);
}

void sim_host_compare(struct sim_host *host)
{
    if (!sim_check_ok(&host->check)) {
        return;
    }
    /* Who does not serve may be behind what it has shown before, or in the midst of catching up. */
    if (!sim_host_is_member(host) || server_serving(host->machine.server)) {
        sim_check_store(&host->check, host->machine.store);
        sim_agree_hash(&host->check, host->machine.store);
    }
    server_check(host->machine.server);
}

/* ---- Life ---- */

static void core_line(void *context, enum mk_log_level level, const char *line)
{
    struct sim_host *host = context;

    sim_log(host->run, "%sserver: %d %s", host->name, (int)level, line);
}

static void event_init(struct sim_host *host, struct sim_event *event,
                       void (*happen)(struct sim_run *run, void *owner))
{
    *event = (struct sim_event){.happen = happen, .owner = host, .host = host};
}

void sim_host_init(struct sim_run *run, struct sim_host *host, int number)
{
    *host = (struct sim_host){.run = run, .number = number, .options = run->server_options};
    mk_list_init(&host->links);
    if (run->options.servers > 1) {
        (void)snprintf(host->name, sizeof(host->name), "%d: ", number + 1);
        sim_member_init(host);
    }
    host->log = (struct mk_log){.level = MK_LOG_DEBUG, .write = core_line, .context = host};
    event_init(host, &host->tick_event, tick_happens);
    event_init(host, &host->take_event, tick_happens);
    event_init(host, &host->sync_event, sync_happens);
    event_init(host, &host->write_event, write_happens);
    event_init(host, &host->done_event, done_happens);
    event_init(host, &host->boot_event, boot_happens);
    struct sim_machine_options machine = {
        .server = &host->options,
        .seed = run->options.seed + (uint64_t)number,
        .stall_per_mille = (uint32_t)(sim_one_in(run, 2) ? sim_below(run, 300) : 0),
        .cache_bytes = 1024 << sim_below(run, 8),
        .overlay_bytes = 16384 << sim_below(run, 5),
        .log = run->options.log == NULL ? NULL : &host->log,
    };
    sim_machine_init(&host->machine, &machine);
    sim_check_init(&host->check, &host->options);
    if (sim_host_is_member(host)) {
        sim_agreement_join(&run->agreement, &host->check);
    }
}

void sim_host_deinit(struct sim_host *host)
{
    drop_loads(host);
    links_die(host);
    if (sim_host_is_member(host)) {
        sim_member_deinit(host);
    }
    sim_check_deinit(&host->check);
    sim_machine_deinit(&host->machine);
}
