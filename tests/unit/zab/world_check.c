/* What must hold across servers, as the papers on Zab and its reference have it. Each check is made
 * when something is said or stored, against what the disks have at that moment. */
#include "world.h"

mk_zxid history_last(const struct history *history)
{
    return history->count > history->base ? history->txns[history->count - 1].zxid
                                          : history->base_zxid;
}

size_t history_through(const struct history *history, mk_zxid zxid)
{
    size_t count = history->count;

    while (count > 0 && history->txns[count - 1].zxid > zxid) {
        count--;
    }
    return count;
}

static bool has(const struct history *history, mk_zxid zxid)
{
    size_t count = history_through(history, zxid);

    return count > 0 && history->txns[count - 1].zxid == zxid;
}

static bool begins_with(const struct history *history, const struct txn *txns, size_t count)
{
    return history->count >= count &&
           (count == 0 || history->txns[count - 1].hash == txns[count - 1].hash);
}

/* 3: nobody acknowledges one epoch twice. 6: ACK of NEWLEADER after history, after epoch. 7: ACK of
 * a proposal when it and all before it are durable. */
void check_sent_by_learner(struct machine *machine, const struct jute_packet *packet)
{
    const struct zab *zab = machine->zab;
    const struct conn *conn = machine->conn;
    const struct history *disk = &machine->disk.history;

    if (packet->type == JUTE_PACKET_ACKEPOCH) {
        struct mk_reader reader = mk_reader_of(packet->data);
        bool *promised = &machine->world->promised[zab->epoch][machine->index];
        MK_ASSERT(machine->disk.accepted >= zab->epoch);
        if (mk_read_i32(&reader) != -1) {
            MK_ASSERT(!*promised);
            *promised = true;
        }
    }
    if (packet->type == JUTE_PACKET_ACK && COUNTER_OF(packet->zxid) == 0) {
        MK_ASSERT(machine->disk.current == EPOCH_OF(packet->zxid));
        MK_ASSERT(disk->count >= conn->registered_count);
        MK_ASSERT(conn->registered_count == 0 ||
                  disk->txns[conn->registered_count - 1].hash == conn->registered_hash);
    } else if (packet->type == JUTE_PACKET_ACK) {
        MK_ASSERT(zab->role == ZAB_FOLLOWING);
        MK_ASSERT(has(disk, packet->zxid));
        MK_ASSERT(begins_with(&machine->memory, disk->txns, history_through(disk, packet->zxid)));
    }
}

static size_t committed_before(const struct world *world, int64_t epoch)
{
    size_t count = world->committed_count;

    while (count > 0 && world->committed_in[count - 1] >= epoch) {
        count--;
    }
    return count;
}

/* 5: whoever says NEWLEADER has all that was committed in any epoch before its own. */
void check_sent_by_leader(struct machine *machine, const struct jute_packet *packet)
{
    const struct world *world = machine->world;

    if (packet->type == JUTE_PACKET_LEADERINFO) {
        MK_ASSERT(machine->disk.accepted >= EPOCH_OF(packet->zxid));
    }
    if (packet->type == JUTE_PACKET_NEWLEADER) {
        MK_ASSERT(machine->disk.current == EPOCH_OF(packet->zxid));
        MK_ASSERT(begins_with(&machine->memory, world->committed,
                              committed_before(world, EPOCH_OF(packet->zxid))));
    }
}

void check_epoch_begins(struct machine *machine, int64_t epoch)
{
    struct world *world = machine->world;
    const struct history *memory = &machine->memory;

    MK_ASSERT(epoch > 0 && epoch < WORLD_EPOCHS_MAX);
    world->initial_count[epoch] = memory->count;
    world->initial_hash[epoch] = memory->count == 0 ? 0 : memory->txns[memory->count - 1].hash;
}

/* 2: epochs never step back, and the accepted one is never behind. 6: the current one is durable
 * only where the history is with which its leader began: or a crash now lets this server outrank
 * who has more. */
void check_epochs(const struct machine *machine, const struct op *op)
{
    const struct world *world = machine->world;
    const struct disk *disk = &machine->disk;

    if (op->kind == OP_ACCEPTED) {
        MK_ASSERT(op->epoch >= disk->accepted);
        return;
    }
    MK_ASSERT(op->epoch >= disk->current && op->epoch <= disk->accepted);
    if (op->epoch > disk->current) {
        size_t count = world->initial_count[op->epoch];
        MK_ASSERT(disk->history.count >= count);
        MK_ASSERT(count == 0 ||
                  disk->history.txns[count - 1].hash == world->initial_hash[op->epoch]);
    }
}

uint64_t txn_hash(const struct history *history, size_t index, const struct txn *txn)
{
    uint8_t bytes[24];

    mk_store_u64(bytes, index == 0 ? 0 : history->txns[index - 1].hash);
    mk_store_u64(bytes + 8, (uint64_t)txn->zxid);
    mk_store_u64(bytes + 16, txn->value);
    return mk_bytes_hash(mk_bytes_of(bytes, sizeof bytes));
}

/* 11, and global primary order: one zxid is one transaction, behind one history. */
void check_append(const struct history *history, size_t index, const struct txn *txn)
{
    MK_ASSERT(index <= history->count);
    MK_ASSERT(index == 0 || history->txns[index - 1].zxid < txn->zxid);
    MK_ASSERT(index == history->count || history->txns[index].hash == txn->hash);
    MK_ASSERT(txn_hash(history, index, txn) == txn->hash);
}

/* 10: what is cut off was not committed when that was decided, and is of the epoch that stays last.
 * (It may be meanwhile, by others; then it comes again behind the cut.) */
void check_truncate(const struct machine *machine, mk_zxid zxid)
{
    const struct world *world = machine->world;
    size_t kept = history_through(&machine->memory, zxid);

    MK_ASSERT(kept >= machine->memory.base && kept >= machine->applied);
    MK_ASSERT(EPOCH_OF(zxid) == EPOCH_OF(history_last(&machine->memory)));
    MK_ASSERT(kept == machine->memory.count || kept >= machine->conn->sync_committed ||
              machine->memory.txns[kept].hash != world->committed[kept].hash);
}

static struct ids servers_with(const struct world *world, size_t count, uint64_t hash,
                               int64_t epoch)
{
    struct ids set = {0};

    for (size_t i = 0; i < world->count; i++) {
        const struct disk *disk = &world->machines[i].disk;
        bool all = count == 0 ||
                   (disk->history.count >= count && disk->history.txns[count - 1].hash == hash);
        if (all && disk->current >= epoch) {
            ids_add(&set, (int64_t)i);
        }
    }
    return set;
}

/* The prefix of one sequence that everybody who commits commits (agreement, total order, 9). Only a
 * leader makes it longer, and only with what a quorum has on disk (5, 8). */
static void commit_through(struct machine *machine, size_t count, int64_t epoch)
{
    struct world *world = machine->world;
    const struct txn *txns = machine->memory.txns;
    uint64_t hash = count == 0 ? 0 : txns[count - 1].hash;

    MK_ASSERT(count >= machine->committed);
    size_t both = count < world->committed_count ? count : world->committed_count;
    MK_ASSERT(begins_with(&machine->memory, world->committed, both));
    if (count > world->committed_count) {
        MK_ASSERT(machine->zab->role == ZAB_LEADING);
        for (size_t i = world->committed_count; i < count; i++) {
            world->committed[i] = txns[i];
            world->committed_in[i] = epoch;
        }
        world->committed_count = count;
    }
    if (machine->zab->role == ZAB_LEADING) {
        struct ids set = servers_with(world, count, hash, epoch);
        MK_ASSERT(zab_quorum(&world->options.config, &set));
    }
    machine->committed = count;
}

/* 1: one leader per epoch. Primary integrity: it has all that anybody has committed. */
void check_serve(struct machine *machine, int64_t epoch)
{
    struct world *world = machine->world;
    bool leads = machine->zab->role == ZAB_LEADING;

    MK_ASSERT(epoch > 0 && epoch < WORLD_EPOCHS_MAX);
    machine->committed = 0;
    if (leads) {
        MK_ASSERT(world->established[epoch] == 0);
        world->established[epoch] = machine->id + 1;
        MK_ASSERT(begins_with(&machine->memory, world->committed, world->committed_count));
        commit_through(machine, machine->memory.count, epoch);
    } else {
        MK_ASSERT(world->established[epoch] == zab_leader(machine->zab) + 1);
        commit_through(machine, history_through(&machine->memory, machine->zab->learn.commits),
                       epoch);
    }
    world->serves++;
}

void check_commit(struct machine *machine, mk_zxid zxid)
{
    size_t count = history_through(&machine->memory, zxid);

    MK_ASSERT(count > 0 && machine->memory.txns[count - 1].zxid == zxid);
    commit_through(machine, count, zab_epoch(machine->zab));
}

void check_world(const struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->machines[i].up) {
            zab_check(world->machines[i].zab);
        }
    }
}
