/* A learner: its one connection, to the leader that it follows or observes, phase by phase.
 *
 *   DIALLING -> GREETED -> PROMISING -> PROMISED      discovery.c
 *     -> HISTORY -> TAKING -> TAKEN                   synchronization.c
 *     -> SERVING                                      broadcast.c
 *
 * Whatever goes wrong (the connection breaks, the leader is silent or says what it must not) ends
 * in zab_leave(): another election. Only what cannot be undone, a cut below what is committed, is
 * the end. */
#include "zab/internal.h"

static void dial(struct zab *zab)
{
    zab->phase = LEARNER_DIALLING;
    zab->learn.deadline = zab->now + zab_ticks_ms(zab, zab->options.init_limit);
    zab_do(zab, ZAB_DIAL)->id = zab->learn.leader;
}

void zab_learner_begin(struct zab *zab, int64_t leader)
{
    MK_ASSERT(leader != zab->options.id);
    zab->learn = (struct learning){.leader = leader, .installed = -1, .heir = -1};
    zab->epoch = 0;
    dial(zab);
}

/* Its next packet may take as long as a step of the leader may; sync_limit once it serves us. */
static void heard(struct zab *zab)
{
    uint32_t ticks =
        zab->phase == LEARNER_SERVING ? zab->options.sync_limit : zab->options.init_limit;

    zab->learn.deadline = zab->now + zab_ticks_ms(zab, ticks);
}

void zab_dialled(struct zab *zab, bool connected)
{
    if (zab->phase != LEARNER_DIALLING) {
        return;
    }
    if (!connected) {
        zab_leave(zab, "the leader cannot be reached");
        return;
    }
    heard(zab);
    zab_learner_greet(zab);
}

/* A server that was elected, and does not know it yet, hangs up: it is not lost for that. */
void zab_leader_lost(struct zab *zab, const char *why)
{
    if (zab->phase == LEARNER_GREETED && zab->learn.redials < REDIALS_MAX) {
        zab->phase = LEARNER_REDIALLING;
        zab->learn.redial_at = zab->now + ((mk_ms)REDIAL_MS << zab->learn.redials++);
    } else if (zab->phase >= LEARNER_GREETED) {
        zab_leave(zab, why);
    }
}

void zab_leader_alive(struct zab *zab)
{
    if (zab->phase >= LEARNER_GREETED) {
        heard(zab);
    }
}

/* An original ZooKeeper that leads hangs up if anything comes before the ACK of its NEWLEADER. */
static void answer_ping(struct zab *zab, const struct jute_packet *packet)
{
    if (zab->phase >= LEARNER_TAKEN) {
        zab_do_send(zab, NULL, JUTE_PACKET_PING, packet->zxid);
    }
}

void zab_leader_packet(struct zab *zab, const struct jute_packet *packet,
                       const struct zab_config *config)
{
    if (zab->phase < LEARNER_GREETED) {
        return; /* it was left meanwhile */
    }
    MK_ASSERT(!zab->installing);
    heard(zab);
    if (packet->type == JUTE_PACKET_PING && zab->phase >= LEARNER_HISTORY) {
        answer_ping(zab, packet);
        return;
    }
    switch (zab->phase) {
    case LEARNER_GREETED: zab_learner_discovers(zab, packet); break;
    case LEARNER_PROMISING: zab_leave(zab, "the leader does not wait for an answer"); break;
    case LEARNER_PROMISED: zab_learner_header(zab, packet); break;
    case LEARNER_HISTORY: zab_learner_history(zab, packet, config); break;
    case LEARNER_TAKING:
    case LEARNER_TAKEN: zab_learner_late(zab, packet, config); break;
    default: zab_learner_live(zab, packet, config); break;
    }
}

/* The disk has done something. */
void zab_learner_advance(struct zab *zab)
{
    if (zab->phase == LEARNER_PROMISING && zab->stored.accepted >= zab->epoch) {
        zab_learner_promised(zab);
    } else if (zab->phase == LEARNER_TAKING) {
        zab_learner_take(zab);
    }
}

void zab_learner_tick(struct zab *zab)
{
    if (zab->phase == LEARNER_REDIALLING && zab->learn.redial_at <= zab->now) {
        dial(zab);
    } else if (zab->learn.deadline <= zab->now) {
        zab_leave(zab, "the leader has been silent for too long");
    }
}

mk_ms zab_learner_next_tick(const struct zab *zab)
{
    return zab->phase == LEARNER_REDIALLING ? zab->learn.redial_at : zab->learn.deadline;
}
