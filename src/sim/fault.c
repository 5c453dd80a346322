/* What goes wrong, and when: drawn one after the other while the run is busy. */
#include "sim/run.h"

static struct sim_host *some_host(struct sim_run *run)
{
    uint64_t count = (uint64_t)run->hosts_count;

    return &run->hosts[count == 1 ? 0 : sim_below(run, count)];
}

static struct sim_link *some_link(struct sim_run *run)
{
    struct sim_host *host = some_host(run);
    struct mk_link *link = host->links.next;
    uint64_t count = 0;

    for (; link != &host->links; link = link->next) {
        count++;
    }
    if (count == 0) {
        return NULL;
    }
    link = host->links.next;
    for (uint64_t i = sim_below(run, count); i > 0; i--) {
        link = link->next;
    }
    return MK_CONTAINER(link, struct sim_link, in_host);
}

static void fault_crash(struct sim_run *run)
{
    struct sim_host *host = some_host(run);

    if (host->machine.server != NULL) {
        sim_host_crash(host, "power failed");
    }
}

static void fault_break(struct sim_run *run)
{
    struct sim_link *link = some_link(run);

    if (link != NULL && link->client != NULL) {
        sim_log(run, "the connection of client %d breaks", link->client->number);
        run->report->breaks++;
        sim_link_hang_up(link);
    }
}

static void fault_stall(struct sim_run *run)
{
    struct sim_link *link = some_link(run);

    if (link != NULL) {
        link->stalled_until_ms = run->now_ms + (mk_ms)sim_below(run, 1500);
        run->report->stalls++;
        sim_log(run, "a connection stalls until %lld", (long long)link->stalled_until_ms);
    }
}

static void fault_slow_reader(struct sim_run *run)
{
    struct sim_link *link = some_link(run);

    if (link != NULL) {
        link->reads_slowly = !link->reads_slowly;
        run->report->stalls++;
    }
}

static void fault_sleep(struct sim_run *run)
{
    struct sim_client *client = &run->clients[sim_below(run, (uint64_t)run->clients_count)];

    client->sleeping = true;
    sim_event_at(run, &client->act_event, (mk_ms)sim_below(run, 4000));
    sim_log(run, "client %d sleeps", client->number);
}

static void fault_slow_syncs(struct sim_run *run)
{
    struct sim_host *host = some_host(run);

    host->sync_max_ms = (mk_ms)(5 + sim_below(run, sim_one_in(run, 4) ? 800 : 60));
    host->sync_slow_until_ms = run->now_ms + (mk_ms)sim_below(run, 1000);
    run->report->slow_syncs++;
    sim_log(run, "syncs take up to %lld ms", (long long)host->sync_max_ms);
}

static void fault_sync_fails(struct sim_run *run)
{
    some_host(run)->sync_fails = true;
}

static void fault_wall_jumps(struct sim_run *run)
{
    struct sim_host *host = some_host(run);
    mk_ms jump_ms = (mk_ms)sim_below(run, sim_one_in(run, 3) ? 7200000 : 3000);

    host->wall_off_ms += sim_one_in(run, 2) ? jump_ms : -jump_ms;
    run->report->wall_jumps++;
    sim_log(run, "the wall clock is off by %lld ms", (long long)host->wall_off_ms);
}

static void fault_read_fails(struct sim_run *run)
{
    struct sim_host *host = some_host(run);

    if (host->machine.server != NULL) {
        sim_log(run, "the disk cannot be read any more");
        host->machine.reads_fail = true;
        run->report->failed_reads++;
    }
}

static const struct {
    unsigned weight;
    void (*happen)(struct sim_run *run);
} faults[] = {
    {4, fault_crash},       {6, fault_break},      {4, fault_stall},
    {2, fault_slow_reader}, {3, fault_sleep},      {3, fault_slow_syncs},
    {2, fault_sync_fails},  {2, fault_wall_jumps}, {1, fault_read_fails},
};

static void fault_happens(struct sim_run *run, void *owner)
{
    (void)owner;
    size_t i = sim_weighted(run, run->fault_weights, MK_COUNT(faults));
    if (i == SIZE_MAX) {
        return; /* a run without faults */
    }
    faults[i].happen(run);
    sim_event_at(run, &run->fault_event, (mk_ms)sim_below(run, (uint64_t)run->fault_every_ms));
}

void sim_fault_choose(struct sim_run *run)
{
    MK_ASSERT(MK_COUNT(faults) <= SIM_FAULTS_MAX);

    for (size_t i = 0; i < MK_COUNT(faults); i++) {
        run->fault_weights[i] = faults[i].weight;
    }
    sim_weights_taste(run, run->fault_weights, MK_COUNT(faults));
    run->fault_every_ms = 20 << sim_below(run, 6);
}

void sim_fault_begin(struct sim_run *run)
{
    run->fault_event.happen = fault_happens;
    sim_event_at(run, &run->fault_event, (mk_ms)sim_below(run, (uint64_t)run->fault_every_ms));
}
