#include "world.h"

#include <string.h>

/* ---- Pipes ---- */

static void message_free(struct message *message)
{
    mk_free(message->snapshot);
}

static struct message *pipe_at(const struct pipe *pipe, size_t index)
{
    return &pipe->messages[(pipe->head + index) & (pipe->cap - 1)];
}

static void pipe_keep(struct pipe *pipe, size_t count)
{
    while (pipe->count > count) {
        message_free(pipe_at(pipe, --pipe->count));
    }
}

static void pipe_put(struct pipe *pipe, const struct message *message)
{
    if (pipe->closed) {
        mk_free(message->snapshot);
        return;
    }
    if (pipe->count == pipe->cap) {
        size_t cap = pipe->cap == 0 ? 16 : pipe->cap * 2;
        struct message *messages = mk_alloc(cap * sizeof *messages);
        for (size_t i = 0; i < pipe->count; i++) {
            messages[i] = *pipe_at(pipe, i);
        }
        mk_free(pipe->messages);
        pipe->messages = messages;
        pipe->cap = cap;
        pipe->head = 0;
    }
    *pipe_at(pipe, pipe->count++) = *message;
}

/* ---- Connections ---- */

static struct conn *conn_new(struct world *world)
{
    for (size_t i = 0; i < WORLD_CONNS_MAX; i++) {
        if (!world->conns[i].used) {
            world->conns[i] = (struct conn){.used = true};
            return &world->conns[i];
        }
    }
    MK_ASSERT(!"a connection is free");
    return NULL;
}

static void conn_free_if_over(struct conn *conn)
{
    if (conn->learner == NULL && conn->leader == NULL) {
        pipe_keep(&conn->up, 0);
        pipe_keep(&conn->down, 0);
        mk_free(conn->up.messages);
        mk_free(conn->down.messages);
        conn->used = false;
    }
}

static void conn_close_learner(struct conn *conn)
{
    conn->learner->conn = NULL;
    conn->learner = NULL;
    conn->up.closed = true;
    conn->down.closed = true;
    pipe_keep(&conn->down, 0);
    conn_free_if_over(conn);
}

static void conn_close_leader(struct conn *conn)
{
    conn->leader = NULL;
    conn->handle = NULL;
    conn->syncing = false;
    conn->down.closed = true;
    conn->up.closed = true;
    pipe_keep(&conn->up, 0);
    conn_free_if_over(conn);
}

void conn_break(struct conn *conn)
{
    struct mk_random *random =
        &(conn->learner != NULL ? conn->learner : conn->leader)->world->random;

    pipe_keep(&conn->up, mk_random_below(random, conn->up.count + 1));
    pipe_keep(&conn->down, mk_random_below(random, conn->down.count + 1));
    conn->up.closed = true;
    conn->down.closed = true;
}

/* ---- The disk: operations in order; a crash loses those from some point on ---- */

static void op_put(struct ops *ops, struct op op)
{
    MK_ASSERT(ops->count < WORLD_OPS_MAX);
    ops->at[(ops->head + ops->count++) % WORLD_OPS_MAX] = op;
}

static void history_append(struct history *history, size_t index, const struct txn *txn)
{
    check_append(history, index, txn);
    MK_ASSERT(index < WORLD_TXNS_MAX);
    history->txns[index] = *txn;
    if (index == history->count) {
        history->count++;
    }
}

static void op_apply(struct machine *machine, struct op *op)
{
    struct disk *disk = &machine->disk;

    switch (op->kind) {
    case OP_APPEND: history_append(&disk->history, op->index, &op->txn); break;
    case OP_TRUNCATE: disk->history.count = history_through(&disk->history, op->zxid); break;
    case OP_MARK: disk->marked = true; break;
    case OP_UNMARK: disk->marked = false; break;
    case OP_REPLACE: disk->history = *op->snapshot; break;
    case OP_ACCEPTED:
        check_epochs(machine, op);
        disk->accepted = op->epoch;
        break;
    case OP_CURRENT:
        check_epochs(machine, op);
        disk->current = op->epoch;
        break;
    }
}

static void op_next(struct machine *machine, struct ops *ops)
{
    struct op *op = &ops->at[ops->head];

    op_apply(machine, op);
    mk_free(op->snapshot);
    ops->head = (ops->head + 1) % WORLD_OPS_MAX;
    ops->count--;
}

/* From some point on, they are lost. */
static void ops_crash(struct machine *machine, struct ops *ops)
{
    size_t done = mk_random_below(&machine->world->random, ops->count + 1);

    while (done-- > 0) {
        op_next(machine, ops);
    }
    while (ops->count > 0) {
        mk_free(ops->at[ops->head].snapshot);
        ops->head = (ops->head + 1) % WORLD_OPS_MAX;
        ops->count--;
    }
}

/* ---- Actions ---- */

static void act_send(struct machine *machine, const struct zab_action *action)
{
    struct conn *conn =
        action->learner != NULL ? zab_learner_owner(action->learner) : machine->conn;
    struct message message = {.packet = action->packet};

    MK_ASSERT(conn != NULL);
    MK_ASSERT(!conn->syncing || action->learner == NULL);
    if (action->packet.type == JUTE_PACKET_NEWLEADER) {
        message.packet.data = MK_BYTES_NULL;
    } else if (action->packet.data.len > 0) {
        MK_ASSERT(action->packet.data.len <= sizeof message.data);
        memcpy(message.data, action->packet.data.data, action->packet.data.len);
    }
    if (action->learner != NULL) {
        check_sent_by_leader(machine, &action->packet);
        if (action->packet.type == JUTE_PACKET_NEWLEADER) {
            conn->registered_count = machine->memory.count;
            conn->registered_hash = conn->registered_count == 0
                                        ? 0
                                        : machine->memory.txns[conn->registered_count - 1].hash;
            if (zab_learner_observer(action->learner)) { /* gets only what is committed */
                conn->registered_count = 0;
            }
        }
        pipe_put(&conn->down, &message);
    } else {
        check_sent_by_learner(machine, &action->packet);
        pipe_put(&conn->up, &message);
    }
}

static void act_epochs(struct machine *machine, const struct zab_action *action)
{
    if (machine->zab->role == ZAB_LEADING && action->current == zab_epoch(machine->zab)) {
        check_epoch_begins(machine, action->current);
    }
    op_put(&machine->epochs, (struct op){.kind = OP_ACCEPTED, .epoch = action->accepted});
    op_put(&machine->epochs, (struct op){.kind = OP_CURRENT, .epoch = action->current});
}

static void act_append(struct machine *machine)
{
    struct txn txn = machine->handled->txn;
    struct history *memory = &machine->memory;
    size_t index = history_through(memory, txn.zxid - 1);

    history_append(memory, index, &txn);
    op_put(&machine->log, (struct op){.kind = OP_APPEND, .txn = txn, .index = index});
}

static void act_truncate(struct machine *machine, mk_zxid zxid)
{
    check_truncate(machine, zxid);
    machine->memory.count = history_through(&machine->memory, zxid);
    op_put(&machine->log, (struct op){.kind = OP_TRUNCATE, .zxid = zxid});
    machine->world->truncations++;
}

static void act_hang_up(struct machine *machine)
{
    machine->dialling = -1;
    if (machine->conn != NULL) {
        conn_close_learner(machine->conn);
    }
    if (machine->installing) {
        machine->installing = false;
        machine->install_void = true;
    }
}

static void put_txn(struct pipe *pipe, int32_t type, const struct txn *txn)
{
    struct message message = {.packet = JUTE_PACKET(type, txn->zxid), .txn = *txn};

    pipe_put(pipe, &message);
}

/* To each learner what its kind is told, in order. */
static void tell_committed(struct machine *machine, size_t from, size_t to)
{
    for (size_t i = 0; i < WORLD_CONNS_MAX; i++) {
        struct conn *conn = &machine->world->conns[i];
        if (!conn->used || conn->leader != machine || !zab_learner_registered(conn->handle)) {
            continue;
        }
        bool observer = zab_learner_observer(conn->handle);
        for (size_t at = from; at < to; at++) {
            put_txn(&conn->down, observer ? JUTE_PACKET_INFORM : JUTE_PACKET_COMMIT,
                    &machine->memory.txns[at]);
        }
    }
}

static void act_commit(struct machine *machine, mk_zxid zxid)
{
    size_t before = machine->committed;

    check_commit(machine, zxid);
    if (machine->zab->role == ZAB_LEADING) {
        tell_committed(machine, before, machine->committed);
    }
    machine->applied = machine->committed; /* as far as it is durable; a crash forgets it anyway */
}

static void act_serve(struct machine *machine, int64_t epoch)
{
    check_serve(machine, epoch);
    machine->applied = machine->committed;
    op_put(&machine->log, (struct op){.kind = OP_UNMARK});
}

static void act(struct machine *machine, const struct zab_action *action)
{
    struct world *world = machine->world;

    switch (action->kind) {
    case ZAB_NOTIFY:
        world->notes[machine->index][action->id] = action->notification;
        world->noted[machine->index][action->id] = true;
        break;
    case ZAB_ROLE:
        MK_ASSERT(machine->conn == NULL && machine->dialling < 0);
        machine->committed = 0;
        break;
    case ZAB_DIAL: machine->dialling = action->id; break;
    case ZAB_HANG_UP: act_hang_up(machine); break;
    case ZAB_DROP: conn_close_leader(zab_learner_owner(action->learner)); break;
    case ZAB_SEND: act_send(machine, action); break;
    case ZAB_STORE_EPOCHS: act_epochs(machine, action); break;
    case ZAB_SYNCHRONISE: {
        struct conn *conn = zab_learner_owner(action->learner);
        conn->syncing = true;
        conn->sync_zxid = action->zxid;
        break;
    }
    case ZAB_TRUNCATE: act_truncate(machine, action->zxid); break;
    case ZAB_INSTALL:
        machine->installing = true;
        machine->forgets = action->forgets;
        world->forgotten += action->forgets;
        break;
    case ZAB_MEMBERS: break;
    case ZAB_APPEND: act_append(machine); break;
    case ZAB_COMMIT: act_commit(machine, action->zxid); break;
    case ZAB_SERVE: act_serve(machine, action->epoch); break;
    case ZAB_FAIL: MK_ASSERT(!"a server cannot follow"); break;
    }
}

static void take(struct machine *machine)
{
    struct world *world = machine->world;
    struct zab_action action;

    while (machine->up && zab_action(machine->zab, &action)) {
        act(machine, &action);
        if (world->crash_per_mille > 0 &&
            mk_random_chance(&world->random, world->crash_per_mille) &&
            mk_random_chance(&world->random, 100)) {
            machine_crash(machine);
            return;
        }
    }
    if (machine->up) {
        zab_check(machine->zab);
    }
}

/* ---- Events ---- */

void machine_start(struct machine *machine)
{
    struct world *world = machine->world;
    struct zab_options options = world->options;
    const struct disk *disk = &machine->disk;

    MK_ASSERT(!machine->up);
    options.id = machine->id;
    machine->up = true;
    machine->memory = disk->history;
    machine->zab = zab_new(&options);
    machine->dialling = -1;
    machine->applied = disk->history.base;
    zab_start(machine->zab, disk->accepted, disk->current,
              disk->marked ? -1 : history_last(&disk->history), world->now);
    take(machine);
}

void machine_crash(struct machine *machine)
{
    struct world *world = machine->world;

    MK_ASSERT(machine->up);
    for (size_t i = 0; i < WORLD_CONNS_MAX; i++) {
        struct conn *conn = &world->conns[i];
        if (conn->used && (conn->learner == machine || conn->leader == machine)) {
            conn_break(conn);
        }
        if (conn->used && conn->learner == machine) {
            conn_close_learner(conn);
        }
        if (conn->used && conn->leader == machine) {
            conn_close_leader(conn);
        }
    }
    ops_crash(machine, &machine->log);
    ops_crash(machine, &machine->epochs);
    memset(world->noted[machine->index], 0, sizeof world->noted[machine->index]);
    zab_free(machine->zab);
    machine->zab = NULL;
    machine->up = false;
    machine->installing = machine->install_void = false;
    machine->committed = 0;
    world->crashes++;
}

void machine_tick(struct machine *machine)
{
    zab_tick(machine->zab, machine->world->now);
    take(machine);
}

static void notify_disk(struct machine *machine, const struct op *op)
{
    switch (op->kind) {
    case OP_TRUNCATE: zab_truncated(machine->zab); break;
    case OP_REPLACE: zab_installed(machine->zab, history_last(&machine->memory)); break;
    case OP_CURRENT: zab_epochs_stored(machine->zab); break;
    case OP_APPEND: zab_logged(machine->zab, op->txn.zxid); break;
    default: return;
    }
    take(machine);
}

/* Appends that are done together are told together. */
static void ops_do(struct machine *machine, struct ops *ops, size_t count)
{
    while (machine->up && count-- > 0 && ops->count > 0) {
        struct op op = ops->at[ops->head];
        op_next(machine, ops);
        bool more = count > 0 && ops->count > 0 && ops->at[ops->head].kind == OP_APPEND;
        if (op.kind != OP_APPEND || !more) {
            op.snapshot = NULL;
            notify_disk(machine, &op);
        }
    }
}

void machine_log(struct machine *machine, size_t count)
{
    ops_do(machine, &machine->log, count);
}

void machine_epochs(struct machine *machine, size_t count)
{
    ops_do(machine, &machine->epochs, count);
}

bool machine_propose(struct machine *machine)
{
    struct world *world = machine->world;
    struct history *memory = &machine->memory;
    struct txn txn = {.value = ++world->value};

    if (memory->count >= WORLD_TXNS_MAX - 1 || !zab_next(machine->zab, &txn.zxid)) {
        return false;
    }
    txn.hash = txn_hash(memory, memory->count, &txn);
    op_put(&machine->log, (struct op){.kind = OP_APPEND, .txn = txn, .index = memory->count});
    history_append(memory, memory->count, &txn);
    zab_propose(machine->zab, txn.zxid);
    for (size_t i = 0; i < WORLD_CONNS_MAX; i++) {
        struct conn *conn = &world->conns[i];
        if (conn->used && conn->leader == machine && zab_learner_registered(conn->handle) &&
            !zab_learner_observer(conn->handle)) {
            put_txn(&conn->down, JUTE_PACKET_PROPOSAL, &txn);
        }
    }
    take(machine);
    return true;
}

void machine_dial(struct machine *machine)
{
    struct world *world = machine->world;
    struct machine *leader = &world->machines[machine->dialling];
    bool reached = leader->up && !world->blocked[machine->index][leader->index] &&
                   !world->blocked[leader->index][machine->index];

    machine->dialling = -1;
    if (reached) {
        struct conn *conn = conn_new(world);
        conn->learner = machine;
        machine->conn = conn;
        conn->leader = leader;
        conn->handle = zab_learner_new(leader->zab, conn);
        if (conn->handle == NULL) {
            conn_close_leader(conn);
        }
    }
    zab_dialled(machine->zab, reached);
    take(machine);
}

void machine_notified(struct machine *machine, size_t from)
{
    struct world *world = machine->world;

    world->noted[from][machine->index] = false;
    zab_notified(machine->zab, world->machines[from].id, &world->notes[from][machine->index], NULL);
    take(machine);
}

void machine_reachable(struct machine *machine, size_t other, bool reachable)
{
    zab_reachable(machine->zab, machine->world->machines[other].id, reachable);
    take(machine);
}

void machine_install_void(struct machine *machine)
{
    machine->install_void = false;
    zab_installed(machine->zab, history_last(&machine->memory));
    take(machine);
}

/* ---- Synchronising a learner ---- */

static mk_zxid history_at_or_after(void *context, mk_zxid zxid)
{
    const struct history *history = context;
    size_t index = history_through(history, zxid - 1);

    return index < history->count ? history->txns[index].zxid : 0;
}

static mk_zxid history_before(void *context, mk_zxid zxid)
{
    const struct history *history = context;
    size_t count = history_through(history, zxid - 1);

    return count > history->base ? history->txns[count - 1].zxid : 0;
}

struct syncing {
    struct history kept; /* what is committed, or will be when this leader is established */
    mk_zxid last;
};

/* A leader does not keep all; and an original's state has the zxid with which its epoch began. */
static void syncing_of(struct machine *leader, struct syncing *out)
{
    struct mk_random *random = &leader->world->random;
    bool established = zab_established(leader->zab);
    struct history *kept = &out->kept;

    *kept = leader->memory;
    kept->count = established ? leader->committed : kept->count;
    out->last = history_last(kept);
    if (leader->java && (!established || zab_committed(leader->zab) > out->last)) {
        out->last = EPOCH_BEGIN(zab_epoch(leader->zab));
    }
    if (kept->count > kept->base && mk_random_chance(random, 500)) {
        kept->base += mk_random_below(random, kept->count - kept->base + 1);
    }
}

/* Our snapshot is a checkpoint: at what is applied. An original's is its tree, which changes
 * meanwhile: some of what it has already follows again. */
static size_t send_snapshot(struct conn *conn, const struct syncing *syncing)
{
    struct machine *leader = conn->leader;
    bool established = zab_established(leader->zab);
    struct message header = {.packet = JUTE_PACKET(JUTE_PACKET_SNAP, syncing->last)};
    struct message stream = {.snapshot = mk_alloc(sizeof *stream.snapshot)};
    size_t count = syncing->kept.count;
    size_t again = 0;

    *stream.snapshot = leader->memory;
    if (!leader->java && !established) {
        count = leader->applied;
        header.packet.zxid = count > leader->memory.base ? leader->memory.txns[count - 1].zxid
                                                         : leader->memory.base_zxid;
    } else if (leader->java) {
        again = mk_random_below(&leader->world->random, 4);
        again = again < count - leader->memory.base ? again : count - leader->memory.base;
    }
    stream.snapshot->count = count;
    stream.snapshot->base = count;
    stream.snapshot->base_zxid = header.packet.zxid;
    pipe_put(&conn->down, &header);
    pipe_put(&conn->down, &stream);
    leader->world->snapshots++;
    return count - again;
}

bool conn_sync(struct conn *conn)
{
    struct machine *leader = conn->leader;
    struct syncing *syncing = mk_alloc(sizeof *syncing);
    struct history *kept = &syncing->kept;

    MK_ASSERT(conn->syncing);
    conn->syncing = false;
    conn->sync_committed = leader->world->committed_count;
    syncing_of(leader, syncing);
    struct zab_history history = {
        .at_or_after = history_at_or_after, .before = history_before, .context = kept};
    if (kept->count > kept->base) {
        history.min = kept->txns[kept->base].zxid;
        history.max = kept->txns[kept->count - 1].zxid;
    }
    struct zab_sync plan = zab_sync_plan(&history, syncing->last, conn->sync_zxid);
    size_t from;
    if (plan.type == JUTE_PACKET_SNAP) {
        from = send_snapshot(conn, syncing);
    } else {
        struct message header = {.packet = JUTE_PACKET(plan.type, plan.header)};
        pipe_put(&conn->down, &header);
        from = history_through(kept, plan.send_after);
        leader->world->differences += plan.type == JUTE_PACKET_DIFF;
    }
    for (size_t i = from; i < kept->count; i++) {
        put_txn(&conn->down, JUTE_PACKET_PROPOSAL, &leader->memory.txns[i]);
        put_txn(&conn->down, JUTE_PACKET_COMMIT, &leader->memory.txns[i]);
    }
    for (size_t i = kept->count; i < leader->memory.count; i++) {
        if (!zab_learner_observer(conn->handle)) {
            put_txn(&conn->down, JUTE_PACKET_PROPOSAL, &leader->memory.txns[i]);
        }
    }
    mk_free(syncing);
    zab_learner_synchronised(leader->zab, conn->handle);
    take(leader);
    return true;
}

/* ---- What arrives ---- */

static void stream_arrives(struct machine *machine, struct history *snapshot)
{
    if (machine->forgets) {
        op_put(&machine->log, (struct op){.kind = OP_MARK});
    }
    machine->memory = *snapshot;
    machine->applied = snapshot->count;
    machine->installing = false;
    op_put(&machine->log, (struct op){.kind = OP_REPLACE, .snapshot = snapshot});
}

static void packet_arrives(struct conn *conn, bool to_leader, struct message *message)
{
    struct machine *machine = to_leader ? conn->leader : conn->learner;

    switch (message->packet.type) {
    case JUTE_PACKET_LEADERINFO:
    case JUTE_PACKET_ACKEPOCH:
    case JUTE_PACKET_FOLLOWERINFO:
    case JUTE_PACKET_OBSERVERINFO: message->packet.data.data = message->data; break;
    default: break;
    }
    machine->handled = message;
    if (to_leader) {
        zab_learner_packet(machine->zab, conn->handle, &message->packet);
    } else {
        zab_leader_packet(machine->zab, &message->packet, NULL);
    }
    take(machine);
    machine->handled = NULL;
}

static bool end_arrives(struct conn *conn, bool to_leader)
{
    struct machine *machine = to_leader ? conn->leader : conn->learner;

    if (to_leader) {
        struct zab_learner *handle = conn->handle;
        conn_close_leader(conn);
        zab_learner_lost(machine->zab, handle);
    } else {
        conn_close_learner(conn);
        if (machine->installing) { /* the rest of the stream will not come */
            machine->installing = false;
            machine->install_void = true;
        }
        zab_leader_lost(machine->zab, "the connection broke");
    }
    take(machine);
    return true;
}

bool conn_deliver(struct conn *conn, bool to_leader)
{
    struct pipe *pipe = to_leader ? &conn->up : &conn->down;
    struct machine *machine = to_leader ? conn->leader : conn->learner;

    if (machine == NULL) {
        return false;
    }
    if (!to_leader && (machine->zab->installing && !machine->installing)) {
        return false; /* nothing is read until the snapshot is in place */
    }
    if (pipe->count == 0) {
        return pipe->closed && end_arrives(conn, to_leader);
    }
    struct message message = *pipe_at(pipe, 0);
    pipe->head = (pipe->head + 1) & (pipe->cap - 1);
    pipe->count--;
    if (message.snapshot != NULL) {
        stream_arrives(machine, message.snapshot);
    } else {
        packet_arrives(conn, to_leader, &message);
    }
    return true;
}

/* ---- The world ---- */

struct world *world_new(const struct world_options *options)
{
    struct world *world = mk_alloc_zero(1, sizeof *world);

    mk_random_seed(&world->random, options->seed);
    world->seed = options->seed;
    world->count = options->voters + options->observers;
    MK_ASSERT(world->count <= WORLD_MACHINES_MAX);
    world->options = (struct zab_options){
        .config = {.members_count = world->count, .hierarchical = options->hierarchical},
        .tick_ms = 100,
        .init_limit = 20,
        .sync_limit = 10,
        .finalize_ms = 50,
        .notify_min_ms = 50,
        .notify_max_ms = 1000};
    for (size_t i = 0; i < world->count; i++) {
        world->options.config.members[i] = (struct zab_member){.id = (int64_t)i,
                                                               .observer = i >= options->voters,
                                                               .weight = i == 2 ? 2 : 1,
                                                               .group = (int64_t)(i / 3)};
        world->machines[i] =
            (struct machine){.world = world, .index = i, .id = (int64_t)i, .dialling = -1};
        world->machines[i].lazy = mk_random_chance(&world->random, 200);
        world->machines[i].java = options->java && mk_random_chance(&world->random, 500);
    }
    return world;
}

void world_free(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->machines[i].up) {
            machine_crash(&world->machines[i]);
        }
    }
    mk_free(world);
}
