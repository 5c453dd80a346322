/* Zab, the agreement on one order of transactions: (state, event) -> (state, actions). It hands out
 * zxids, knows which proposals are durable where, and says what has committed. It does not know what a
 * transaction means, and touches neither the log nor the network: the server does both on its word.
 *
 * A standalone server is an ensemble of one: it leads by its own vote, and a proposal commits when its
 * own log has it. Everything that is built on it already lives by the rules of leader change.
 * Source: Zab (Junqueira, Reed, Serafini, DSN 2011). */
#ifndef MK_ZAB_H
#define MK_ZAB_H

#include "base/base.h"
#include "jute/jute.h"

enum zab_phase {
    ZAB_LOOKING,   /* no leader is known; nothing may be proposed */
    ZAB_BROADCAST, /* established: proposals are made and commit */
};

struct zab {
    enum zab_phase phase;
    uint32_t epoch;    /* of the leader that this server follows or is */
    mk_zxid proposed;  /* last zxid handed out, or the last logged before this epoch */
    mk_zxid durable;   /* highest zxid in the own log */
    mk_zxid committed; /* highest zxid that has a quorum, and all before it */
    /* Log time: see zab_time(). */
    mk_ms time_ms;
    mk_ms time_monotonic_ms;
    bool time_known;
};

/* Looking, with the last logged zxid. Alone, what is logged is committed (R1). */
void zab_init(struct zab *zab, mk_zxid logged);

/* This server has won the election of `epoch` (larger than any it has accepted, and durable). Its
 * first proposal will be epoch << 32 | 1. */
void zab_lead(struct zab *zab, uint32_t epoch);

/* The zxid of the next proposal. When the counter is used up, no more can be made in this epoch:
 * false, and a new election is due. */
bool zab_next(const struct zab *zab, mk_zxid *zxid);
/* A proposal with that zxid has been made; it goes to the own log and, in time, to the learners. */
void zab_propose(struct zab *zab, mk_zxid zxid);

/* The own log is durable through `zxid`: this counts as this server's acknowledgement. */
void zab_logged(struct zab *zab, mk_zxid zxid);
mk_zxid zab_committed(const struct zab *zab);

/* Log time, for the headers of transactions: never steps back, runs with the monotonic clock, and is
 * steered towards wall time by at most a tenth. A new leader goes on from the last header. Epoch
 * milliseconds. */
mk_ms zab_time(struct zab *zab, mk_ms monotonic_ms, mk_ms wall_ms);
/* A header with this time was seen (recovery, or as a follower). */
void zab_time_seen(struct zab *zab, mk_ms time_ms);

void zab_check(const struct zab *zab); /* asserts every invariant */

#endif
