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

/* ---- Of an ensemble: until `until_ms` its leader may not hear of sessions ---- */

static void disturb(struct sim_run *run, mk_ms ms)
{
    mk_ms heard_again_ms = 10 * run->server_options.tick_ms; /* pings, and an election */

    sim_agreement_disturb(&run->agreement,
                          sim_time(&run->hosts[0]).monotonic_ms + ms + heard_again_ms);
}

static mk_ms some_time(struct sim_run *run)
{
    return (mk_ms)sim_below(run, sim_one_in(run, 6) ? 5000 : 700);
}

/* Or anybody, if nobody leads. */
static struct sim_host *the_leader(struct sim_run *run)
{
    const struct sim_agreement *agreement = &run->agreement;

    return agreement->epoch == 0 ? some_host(run)
                                 : &run->hosts[agreement->leaders.data[agreement->epoch] - 1];
}

static struct sim_host *leader_or_any(struct sim_run *run)
{
    return sim_one_in(run, 2) ? the_leader(run) : some_host(run);
}

static void fault_member_crash(struct sim_run *run)
{
    struct sim_host *host = leader_or_any(run);

    if (host->machine.server != NULL) {
        disturb(run, 0);
        sim_host_crash(host, "power failed");
    }
}

static void fault_all_crash(struct sim_run *run)
{
    disturb(run, 0);
    for (int i = 0; i < run->hosts_count; i++) {
        if (run->hosts[i].machine.server != NULL && !sim_one_in(run, 4)) {
            sim_host_crash(&run->hosts[i], "power failed for all");
        }
    }
}

static void cut(struct sim_run *run, const struct sim_host *from, const struct sim_host *to,
                mk_ms ms)
{
    if (from != to) {
        run->cut_until_ms[from->number][to->number] = run->now_ms + ms;
    }
}

static void fault_isolate(struct sim_run *run)
{
    struct sim_host *host = leader_or_any(run);
    mk_ms ms = some_time(run);
    uint64_t ways = 1 + sim_below(run, 3); /* to it, from it, or both */

    for (int i = 0; i < run->hosts_count; i++) {
        if ((ways & 1) != 0) {
            cut(run, &run->hosts[i], host, ms);
        }
        if ((ways & 2) != 0) {
            cut(run, host, &run->hosts[i], ms);
        }
    }
    disturb(run, ms);
    run->report->cuts++;
    sim_log(run, "server %d is cut off for %lld ms, ways %d", host->number + 1, (long long)ms,
            (int)ways);
}

static void fault_cut_pair(struct sim_run *run)
{
    struct sim_host *from = some_host(run);
    struct sim_host *to = some_host(run);
    mk_ms ms = some_time(run);

    cut(run, from, to, ms);
    disturb(run, ms);
    run->report->cuts++;
    sim_log(run, "nothing comes from server %d to %d for %lld ms", from->number + 1, to->number + 1,
            (long long)ms);
}

static void fault_partition(struct sim_run *run)
{
    uint64_t side = sim_below(run, 1ULL << run->hosts_count);
    mk_ms ms = some_time(run);

    for (int i = 0; i < run->hosts_count * run->hosts_count; i++) {
        int from = i / run->hosts_count;
        int to = i % run->hosts_count;
        if ((side >> from & 1) != (side >> to & 1)) {
            cut(run, &run->hosts[from], &run->hosts[to], ms);
        }
    }
    disturb(run, ms);
    run->report->cuts++;
    sim_log(run, "servers 0x%x and the others are apart for %lld ms", (unsigned)side,
            (long long)ms);
}

static struct sim_wire *some_wire(struct sim_run *run)
{
    struct mk_link *link = run->wires.next;
    uint64_t count = 0;

    for (; link != &run->wires; link = link->next) {
        count++;
    }
    if (count == 0) {
        return NULL;
    }
    link = run->wires.next;
    for (uint64_t i = sim_below(run, count); i > 0; i--) {
        link = link->next;
    }
    return MK_CONTAINER(link, struct sim_wire, in_run);
}

static void fault_wire_breaks(struct sim_run *run)
{
    struct sim_wire *wire = some_wire(run);

    if (wire != NULL) {
        sim_log(run, "the connection of servers %d and %d breaks", wire->ends[0].host->number + 1,
                wire->ends[1].host->number + 1);
        disturb(run, 0);
        run->report->breaks++;
        sim_wire_break(wire);
    }
}

static void fault_wire_stalls(struct sim_run *run)
{
    struct sim_wire *wire = some_wire(run);

    if (wire != NULL) {
        mk_ms ms = some_time(run);
        wire->stalled_until_ms = run->now_ms + ms;
        disturb(run, ms);
        run->report->stalls++;
        sim_log(run, "the connection of servers %d and %d stalls for %lld ms",
                wire->ends[0].host->number + 1, wire->ends[1].host->number + 1, (long long)ms);
    }
}

static void fault_mail_again(struct sim_run *run)
{
    sim_mail_again(&some_host(run)->member.mails[some_host(run)->number]);
    run->report->breaks++;
}

static void fault_pause(struct sim_run *run)
{
    struct sim_host *host = leader_or_any(run);
    mk_ms ms = some_time(run);

    if (host->machine.server != NULL) {
        host->paused_until_ms = run->now_ms + ms;
        disturb(run, ms);
        run->report->pauses++;
        sim_log(run, "server %d does not run for %lld ms", host->number + 1, (long long)ms);
    }
}

static void fault_member_slow_syncs(struct sim_run *run)
{
    disturb(run, 2000);
    fault_slow_syncs(run);
}

/* It comes back when the leader has long given up on it. */
static void fault_disk_sticks(struct sim_run *run)
{
    struct sim_host *host = leader_or_any(run);

    host->sync_max_ms = 4000;
    host->sync_slow_until_ms = run->now_ms + 50;
    disturb(run, 5000);
    run->report->slow_syncs++;
    sim_log(run, "the disk of server %d sticks", host->number + 1);
}

static void fault_member_sync_fails(struct sim_run *run)
{
    disturb(run, 0);
    fault_sync_fails(run);
}

static void fault_member_read_fails(struct sim_run *run)
{
    disturb(run, 0);
    fault_read_fails(run);
}

/* ---- The choice ---- */

struct fault {
    unsigned weight;
    void (*happen)(struct sim_run *run);
};

static const struct fault alone[] = {
    {4, fault_crash},       {6, fault_break},      {4, fault_stall},
    {2, fault_slow_reader}, {3, fault_sleep},      {3, fault_slow_syncs},
    {2, fault_sync_fails},  {2, fault_wall_jumps}, {1, fault_read_fails},
};

static const struct fault ensemble[] = {
    /* What clients can bring about: */
    {6, fault_break},
    {4, fault_stall},
    {2, fault_slow_reader},
    {3, fault_sleep},
    {2, fault_wall_jumps},
#define FAULTS_OF_CLIENTS 5
    {5, fault_member_crash},
    {1, fault_all_crash},
    {4, fault_isolate},
    {3, fault_cut_pair},
    {2, fault_partition},
    {4, fault_wire_breaks},
    {4, fault_wire_stalls},
    {2, fault_mail_again},
    {4, fault_pause},
    {3, fault_member_slow_syncs},
    {2, fault_disk_sticks},
    {2, fault_member_sync_fails},
    {1, fault_member_read_fails},
};

static const struct fault *faults_of(const struct sim_run *run, size_t *count)
{
    bool one = run->hosts_count == 1;

    *count = one ? MK_COUNT(alone) : MK_COUNT(ensemble);
    return one ? alone : ensemble;
}

static void fault_happens(struct sim_run *run, void *owner)
{
    size_t count;
    const struct fault *faults = faults_of(run, &count);

    (void)owner;
    size_t i = sim_weighted(run, run->fault_weights, count);
    if (i == SIZE_MAX) {
        return; /* a run without faults */
    }
    faults[i].happen(run);
    sim_event_at(run, &run->fault_event, (mk_ms)sim_below(run, (uint64_t)run->fault_every_ms));
}

void sim_fault_choose(struct sim_run *run)
{
    size_t count;
    const struct fault *faults = faults_of(run, &count);

    MK_ASSERT(count <= SIM_FAULTS_MAX);
    for (size_t i = 0; i < count; i++) {
        run->fault_weights[i] = faults[i].weight;
    }
    sim_weights_taste(run, run->fault_weights, count);
    run->fault_every_ms = 20 << sim_below(run, 6);
    if (run->hosts_count > 1 && sim_one_in(run, 6)) { /* then sessions end when they must */
        for (size_t i = FAULTS_OF_CLIENTS; i < count; i++) {
            run->fault_weights[i] = 0;
        }
    }
}

void sim_fault_begin(struct sim_run *run)
{
    run->fault_event.happen = fault_happens;
    sim_event_at(run, &run->fault_event, (mk_ms)sim_below(run, (uint64_t)run->fault_every_ms));
}
