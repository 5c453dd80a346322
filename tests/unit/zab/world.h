/* A world of zab machines: servers with logs, disks that lose what was not synced, links that
 * delay, break and block one way, crashes between any two actions. One seed, one schedule. What
 * must hold across the servers is asserted whenever one of them says or stores something
 * (world_check.c). */
#ifndef TESTS_ZAB_WORLD_H
#define TESTS_ZAB_WORLD_H

#include "zab/internal.h"

#define WORLD_MACHINES_MAX 7
#define WORLD_CONNS_MAX 128
#define WORLD_TXNS_MAX 1024
#define WORLD_OPS_MAX 4096
#define WORLD_EPOCHS_MAX 4096

/* `hash` covers it and all before it: equal hashes are equal histories. */
struct txn {
    mk_zxid zxid;
    uint64_t value; /* no two proposals have the same */
    uint64_t hash;
};

struct history { /* of a machine: its state, then its log */
    struct txn txns[WORLD_TXNS_MAX];
    size_t count;
    size_t base;       /* so many are in the snapshot only */
    mk_zxid base_zxid; /* the snapshot's */
};

struct message {
    struct jute_packet packet;
    uint8_t data[ACTION_BYTES_MAX];
    struct txn txn;
    struct history *snapshot; /* comes behind a SNAP, as a message of its own */
};

struct pipe {
    struct message *messages;
    size_t head, count, cap;
    bool closed; /* nothing comes behind them */
};

struct conn {
    bool used;
    struct machine *learner; /* NULL: that end is closed */
    struct machine *leader;
    struct zab_learner *handle;
    struct pipe up, down;
    bool syncing; /* ZAB_SYNCHRONISE has not been answered */
    mk_zxid sync_zxid;
    size_t sync_committed;   /* anywhere, when it was decided what it lacks */
    size_t registered_count; /* what it had been sent before NEWLEADER */
    uint64_t registered_hash;
};

enum op_kind { OP_APPEND, OP_TRUNCATE, OP_MARK, OP_REPLACE, OP_ACCEPTED, OP_CURRENT, OP_UNMARK };
struct op {
    enum op_kind kind;
    struct txn txn;
    size_t index;
    mk_zxid zxid;
    int64_t epoch;
    struct history *snapshot;
};

struct ops { /* those of one file, in order; another file's overtake them */
    struct op at[WORLD_OPS_MAX];
    size_t head, count;
};

struct disk {
    struct history history;
    int64_t accepted, current;
    bool marked; /* does not vote: see ZAB_INSTALL */
};

struct machine {
    struct world *world;
    size_t index;
    int64_t id;
    bool up;
    bool java; /* as a leader: what an original ZooKeeper sends */
    bool lazy; /* its log's disk takes its time */
    struct zab *zab;
    struct history memory;
    struct disk disk;
    struct ops log;
    struct ops epochs;
    size_t committed; /* how many */
    size_t applied;
    int64_t dialling;  /* or -1 */
    struct conn *conn; /* to the leader */
    bool installing;   /* the stream has not come */
    bool forgets;
    bool install_void; /* it hung up first: zab has to be told */
    const struct message *handled;
};

struct world {
    struct mk_random random;
    uint64_t seed;
    mk_ms now;
    struct zab_options options;
    size_t count;
    struct machine machines[WORLD_MACHINES_MAX];
    struct conn conns[WORLD_CONNS_MAX];
    struct jute_notification notes[WORLD_MACHINES_MAX][WORLD_MACHINES_MAX];
    bool noted[WORLD_MACHINES_MAX][WORLD_MACHINES_MAX];
    bool blocked[WORLD_MACHINES_MAX][WORLD_MACHINES_MAX];
    uint32_t crash_per_mille; /* between two actions */
    uint64_t value;
    /* What has happened anywhere: see world_check.c. */
    struct txn committed[WORLD_TXNS_MAX];
    int64_t committed_in[WORLD_TXNS_MAX]; /* the epoch whose leader did */
    size_t committed_count;
    int64_t established[WORLD_EPOCHS_MAX];  /* id + 1 of the one leader */
    size_t initial_count[WORLD_EPOCHS_MAX]; /* the history with which its leader begins an epoch */
    uint64_t initial_hash[WORLD_EPOCHS_MAX];
    bool promised[WORLD_EPOCHS_MAX][WORLD_MACHINES_MAX];
    uint64_t steps, crashes, serves, truncations, snapshots, differences, forgotten;
};

struct world_options {
    uint64_t seed;
    size_t voters, observers;
    bool hierarchical;
    bool java;
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *world);

/* Events; each takes all actions that follow. */
void machine_start(struct machine *machine);
void machine_crash(struct machine *machine);
void machine_tick(struct machine *machine);
void machine_log(struct machine *machine, size_t count); /* so many operations are done, durably */
void machine_epochs(struct machine *machine, size_t count);
bool machine_propose(struct machine *machine);
void machine_dial(struct machine *machine);                  /* its dialling is answered */
void machine_notified(struct machine *machine, size_t from); /* that one's word arrives */
void machine_reachable(struct machine *machine, size_t other,
                       bool reachable); /* or so it is told */
void machine_install_void(struct machine *machine);
bool conn_sync(struct conn *conn); /* what ZAB_SYNCHRONISE asked for is written */
bool conn_deliver(struct conn *conn, bool to_leader); /* one message, or the end */
void conn_break(struct conn *conn); /* what was under way is lost from some point on */

/* One step of the seed's schedule, with faults; and what is left when all faults have gone: whether
 * a leader is followed by everybody, and a new proposal of its is committed everywhere. */
void world_step(struct world *world);
bool world_heal(struct world *world);

/* ---- world_check.c: what must hold. Numbers in comments: the invariants of the protocol. ---- */

mk_zxid history_last(const struct history *history);
size_t history_through(const struct history *history,
                       mk_zxid zxid); /* how many are at or below it */
void check_sent_by_learner(struct machine *machine, const struct jute_packet *packet);
void check_sent_by_leader(struct machine *machine, const struct jute_packet *packet);
void check_epoch_begins(struct machine *machine, int64_t epoch);
void check_epochs(const struct machine *machine, const struct op *op);
uint64_t txn_hash(const struct history *history, size_t index, const struct txn *txn);
void check_append(const struct history *history, size_t index, const struct txn *txn);
void check_truncate(const struct machine *machine, mk_zxid zxid);
void check_serve(struct machine *machine, int64_t epoch);
void check_commit(struct machine *machine, mk_zxid zxid);
void check_world(const struct world *world);

#endif
