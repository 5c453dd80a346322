/* The simulator: a whole server, or several that are an ensemble, without a machine. Clients, network, disk and clocks come from one
 * seed; the same seed gives the same run, in any process. A checker compares everything that the
 * server logs and answers with a model of ZooKeeper. Or a story is told, step by step, with the
 * same checker.
 *
 * No clock, file, socket or thread here either: who calls gives the options, and is given lines. */
#ifndef MK_SIM_SIM_H
#define MK_SIM_SIM_H

#include "base/base.h"
#include "server/server.h"

/* ---- Runs from a seed ---- */

/* Bugs that are put between server and checker, or into the recipe, to see that they are found. */
enum sim_sabotage {
    SIM_SABOTAGE_NONE,
    SIM_SABOTAGE_FORGET_SYNCED,   /* a crash loses the batch that was synced last */
    SIM_SABOTAGE_SWAP_REPLIES,    /* two replies change places */
    SIM_SABOTAGE_LOSE_EVENT,      /* a notification is not sent */
    SIM_SABOTAGE_REPEAT_EVENT,    /* ... or is sent twice */
    SIM_SABOTAGE_STALE_STAT,      /* a Stat is not that of the znode */
    SIM_SABOTAGE_EARLY_REPLY,     /* a write is acknowledged before it is synced */
    SIM_SABOTAGE_HASTY_CLOCK,     /* sessions expire early */
    SIM_SABOTAGE_LOSE_CHECKPOINT, /* the log is trimmed, and the checkpoint is lost */
    SIM_SABOTAGE_FORGE_RESULT,    /* a call's result is another one */
    SIM_SABOTAGE_LOCK_FOR_ALL,    /* lock.acquire does not wait */
    SIM_SABOTAGE_LOCK_CONSTANT_FENCE,
    SIM_SABOTAGE_MIXED_VERSIONS,  /* a call that has waited ends on another version */
    SIM_SABOTAGE_REAL_DRY_RUN,    /* a dry run is a call as any */
    SIM_SABOTAGE_STALE_CALL_READ, /* a call that only reads answers something else */
    SIM_SABOTAGE_CALL_MOURNS,     /* a call that outlives its session ends with it */
    SIM_SABOTAGE_LOSE_LOAD,       /* nobody is told that rows have been loaded */
    /* Of an ensemble: */
    SIM_SABOTAGE_LOSE_TRUNCATION, /* what was to be cut off the log is there again after a crash */
    SIM_SABOTAGE_FORGET_EPOCHS,   /* a crash loses the epochs that were stored last */
    SIM_SABOTAGE_ALTER_PROPOSAL,  /* a learner is sent something else than the leader has */
    SIM_SABOTAGE_COUNT
};
const char *sim_sabotage_name(enum sim_sabotage sabotage); /* "lose-event" */

#define SIM_SERVERS_MAX 7

struct sim_options {
    uint64_t seed;
    uint64_t steps;
    int servers; /* 1: one that is alone; else so many, an ensemble */
    enum sim_sabotage sabotage;
    struct mk_bytes lock_source; /* recipes/lock.lua; borrowed */
    /* One line for each thing that happens, without a newline; NULL: none. */
    void (*log)(void *context, const char *line);
    void *log_context;
    /* The step that is about to happen, for whoever must say where a run died. NULL: not told. */
    volatile uint64_t *step;
};

struct sim_report {
    bool passed;
    char failure[512];
    uint64_t steps, virtual_ms;
    uint64_t requests, replies, events, transactions, errors;
    uint64_t sessions_expired, reaped, counts, calls_parked, grants, timeouts, cancels;
    uint64_t deployments, passes, dry_runs, call_reads, outlived, gone;
    uint64_t elections, truncations, snapshots, cuts, pauses;
    uint64_t crashes, breaks, stalls, slow_syncs, failed_syncs, wall_jumps, failed_reads, loads,
        checkpoints, comparisons;
};

/* Run a seed to its end, or to the first thing that is wrong. An assertion of the server's ends the
 * process. */
void sim_run(const struct sim_options *options, struct sim_report *report);

/* ---- Stories ---- */

struct sim_scenario_options {
    struct mk_bytes text; /* scenario.c says what may be in it */
    struct mk_bytes lock_source;
    /* The same text again, with what came of each command: whoever has the text compares. */
    void (*line)(void *context, const char *line);
    void *context;
};
/* False: the checker has found something wrong, or a command cannot be done; a line says so. */
bool sim_scenario(const struct sim_scenario_options *options);

#endif
