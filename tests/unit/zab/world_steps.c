/* The schedule of a seed: which event is next. */
#include "world.h"

static struct machine *machine_any(struct world *world)
{
    return &world->machines[mk_random_below(&world->random, world->count)];
}

static bool conn_blocked(const struct world *world, const struct conn *conn, bool to_leader)
{
    if (conn->learner == NULL || conn->leader == NULL) {
        return false;
    }
    return to_leader ? world->blocked[conn->learner->index][conn->leader->index]
                     : world->blocked[conn->leader->index][conn->learner->index];
}

static bool deliver_any(struct world *world)
{
    size_t first = mk_random_below(&world->random, WORLD_CONNS_MAX);
    bool to_leader = mk_random_chance(&world->random, 500);
    bool done = false;

    for (size_t i = 0; i < 2 * (size_t)WORLD_CONNS_MAX && !done; i++) {
        struct conn *conn = &world->conns[(first + i / 2) % WORLD_CONNS_MAX];
        bool up = to_leader != (i % 2 == 0);
        done = conn->used && !conn_blocked(world, conn, up) && conn_deliver(conn, up);
    }
    return done;
}

static bool notify_any(struct world *world)
{
    size_t first = mk_random_below(&world->random, world->count * world->count);

    for (size_t i = 0; i < world->count * world->count; i++) {
        size_t pair = (first + i) % (world->count * world->count);
        size_t from = pair / world->count;
        size_t to = pair % world->count;
        if (world->noted[from][to] && world->machines[to].up && !world->blocked[from][to]) {
            machine_notified(&world->machines[to], from);
            return true;
        }
    }
    return false;
}

static bool sync_any(struct world *world)
{
    for (size_t i = 0; i < WORLD_CONNS_MAX; i++) {
        if (world->conns[i].used && world->conns[i].syncing) {
            return conn_sync(&world->conns[i]);
        }
    }
    return false;
}

static bool machine_wait_ends(struct machine *machine)
{
    if (machine->up && machine->dialling >= 0) {
        machine_dial(machine);
        return true;
    }
    if (machine->up && machine->install_void) {
        machine_install_void(machine);
        return true;
    }
    return false;
}

static void time_passes(struct world *world, mk_ms ms)
{
    world->now += ms;
    for (size_t i = 0; i < world->count; i++) {
        if (world->machines[i].up) {
            machine_tick(&world->machines[i]);
        }
    }
}

static void fault(struct world *world)
{
    struct machine *machine = machine_any(world);
    size_t from = mk_random_below(&world->random, world->count);
    size_t to = mk_random_below(&world->random, world->count);
    struct conn *conn = &world->conns[mk_random_below(&world->random, WORLD_CONNS_MAX)];

    switch (mk_random_below(&world->random, 9)) {
    case 0:
        if (machine->up) {
            machine_crash(machine);
        }
        break;
    case 1: world->blocked[from][to] = true; break;
    case 2: /* cut off altogether, for a while */
        for (size_t i = 0; i < world->count; i++) {
            world->blocked[from][i] = world->blocked[i][from] = true;
        }
        break;
    case 3:
    case 4:
    case 5:
        for (size_t i = 0; i < world->count; i++) {
            world->blocked[from][i] = world->blocked[i][from] = false;
        }
        break;
    case 6: /* a hint, which may be wrong */
        if (machine->up) {
            machine_reachable(machine, to, mk_random_chance(&world->random, 500));
        }
        break;
    default:
        for (size_t i = 0; i < WORLD_CONNS_MAX && !conn->used; i++) {
            conn = &world->conns[i];
        }
        if (conn->used) {
            conn_break(conn);
        }
        break;
    }
}

void world_step(struct world *world)
{
    struct machine *machine = machine_any(world);
    uint64_t dice = mk_random_below(&world->random, 1000);

    world->steps++;
    if (dice < 400) {
        (void)deliver_any(world);
    } else if (dice < 560) {
        (void)notify_any(world);
    } else if (dice < 700) {
        if (machine->up && (!machine->lazy || mk_random_chance(&world->random, 30))) {
            machine_log(machine, mk_random_below(&world->random, 6));
        }
        if (machine->up) {
            machine_epochs(machine, mk_random_below(&world->random, 3));
        }
    } else if (dice < 760) {
        (void)machine_wait_ends(machine);
    } else if (dice < 800) {
        (void)sync_any(world);
    } else if (dice < 900) {
        if (machine->up && zab_established(machine->zab) && machine->zab->role == ZAB_LEADING) {
            (void)machine_propose(machine);
        }
    } else if (dice < 980) {
        time_passes(world, (mk_ms)mk_random_below(&world->random, 12));
    } else if (dice < 990) {
        if (!machine->up) {
            machine_start(machine);
        }
    } else if (dice < 996) {
        fault(world);
    } else {
        time_passes(world, (mk_ms)mk_random_below(&world->random, 400));
    }
}

/* ---- After the faults ---- */

static bool settle(struct world *world)
{
    bool any = false;

    for (size_t i = 0; i < world->count; i++) {
        struct machine *machine = &world->machines[i];
        any |= machine_wait_ends(machine);
        any |= machine->log.count > 0 || machine->epochs.count > 0;
        machine_log(machine, machine->log.count);
        machine_epochs(machine, machine->epochs.count);
    }
    while (notify_any(world) || sync_any(world) || deliver_any(world)) {
        any = true;
    }
    return any;
}

static struct machine *leader_of_all(struct world *world)
{
    struct machine *leader = NULL;
    size_t serving = 0;

    for (size_t i = 0; i < world->count; i++) {
        struct machine *machine = &world->machines[i];
        serving += zab_established(machine->zab);
        if (zab_established(machine->zab) && machine->zab->role == ZAB_LEADING) {
            leader = machine;
        }
    }
    return serving == world->count ? leader : NULL;
}

/* Servers that may have lost what was committed do not vote: the others must be a quorum. */
static bool can_elect(const struct world *world)
{
    struct ids set = {0};

    for (size_t i = 0; i < world->count; i++) {
        if (!world->machines[i].zab->amnesiac) {
            ids_add(&set, (int64_t)i);
        }
    }
    return zab_quorum(&world->options.config, &set);
}

static bool all_committed(const struct world *world, size_t count)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->machines[i].committed < count) {
            return false;
        }
    }
    return true;
}

bool world_heal(struct world *world)
{
    struct machine *leader = NULL;

    world->crash_per_mille = 0;
    for (size_t i = 0; i < world->count; i++) {
        for (size_t j = 0; j < world->count; j++) {
            world->blocked[i][j] = false;
        }
        if (!world->machines[i].up) {
            machine_start(&world->machines[i]);
        }
    }
    for (unsigned round = 0; round < 20000; round++) {
        while (settle(world)) {
        }
        leader = leader_of_all(world);
        if (leader != NULL && machine_propose(leader)) {
            while (settle(world)) {
            }
            if (all_committed(world, leader->memory.count)) {
                return true;
            }
        }
        time_passes(world, 10);
    }
    return !can_elect(world);
}
