/* Broadcast: propose in order, commit in order.
 *
 *   leader                                  follower                       observer
 *   zab_next, zab_propose: to its own log
 *   and as PROPOSAL to followers     ->     to its log; when durable
 *   zab_logged: its own word         <-     ACK
 *   of a quorum: committed; COMMIT   ->     applied         INFORM   ->    to its log, applied
 *
 * Acknowledgements of one learner come in order, so the last one stands for all before it. A word
 * counts only from a voter that has taken the leader's history: who has a proposal without the
 * epoch would lose an election to one who has the epoch without the proposal. */
#include "zab/internal.h"

#define BIT(index) ((uint64_t)1 << (index))

/* ---- The leader ---- */

bool zab_next(struct zab *zab, mk_zxid *zxid)
{
    if (zab->phase != LEADER_BROADCAST || zab->lead.exhausted) {
        return false;
    }
    if (COUNTER_OF(zab->proposed) >= COUNTER_MAX) {
        zab->lead.exhausted = true;
        return false;
    }
    *zxid = zab->proposed + 1;
    return true;
}

void zab_propose(struct zab *zab, mk_zxid zxid)
{
    MK_ASSERT(zab->phase == LEADER_BROADCAST && !zab->lead.exhausted);
    MK_ASSERT(zxid == zab->proposed + 1);

    zab->proposed = zxid;
    zab->logged = zxid;
}

static uint64_t have(const struct zab *zab, mk_zxid zxid)
{
    uint64_t set = 0;

    for (size_t i = 0; i < zab->options.members_count; i++) {
        if (zab->lead.acked[i] >= zxid) {
            set |= BIT(i);
        }
    }
    return set & zab->lead.taken;
}

/* The highest zxid that a quorum has: it is one of those that were acknowledged. */
void zab_leader_commit(struct zab *zab)
{
    const struct leading *lead = &zab->lead;
    mk_zxid committed = zab->committed;

    if (zab->phase != LEADER_BROADCAST) {
        return;
    }
    for (size_t i = 0; i < zab->options.members_count; i++) {
        if (lead->acked[i] > committed && zab_quorum(&zab->options, have(zab, lead->acked[i]))) {
            committed = lead->acked[i];
        }
    }
    if (committed > zab->committed) {
        MK_ASSERT(committed <= zab->proposed);
        zab->committed = committed;
        zab->known = committed;
        zab_do(zab, ZAB_COMMIT)->zxid = committed;
    }
    if (lead->exhausted && zab->committed == zab->proposed) {
        zab_leave(zab, "the epoch's zxids are used up: a new one begins");
    }
}

void zab_leader_acked(struct zab *zab, struct zab_learner *learner, mk_zxid zxid)
{
    if (EPOCH_OF(zxid) != zab->epoch || zab->phase != LEADER_BROADCAST || zxid > zab->proposed) {
        zab_learner_drop(zab, learner, "it acknowledges what was not proposed");
        return;
    }
    if (zxid <= learner->acked) {
        return;
    }
    learner->acked = zxid;
    if (learner->member != MEMBER_NONE) {
        zab->lead.acked[learner->member] = zxid;
        zab_leader_commit(zab);
    }
}

/* ---- The learner ---- */

/* Whether `zxid` can come right after `before` in a history: the next of its epoch, or the first of
 * a later one. */
bool zab_follows(mk_zxid before, mk_zxid zxid)
{
    return EPOCH_OF(zxid) == EPOCH_OF(before)
               ? zxid == before + 1
               : EPOCH_OF(zxid) > EPOCH_OF(before) && COUNTER_OF(zxid) == 1;
}

bool zab_learner_append(struct zab *zab, mk_zxid zxid)
{
    if (!zab_follows(zab->logged, zxid) || EPOCH_OF(zxid) > zab->epoch) {
        zab_leave(zab, "the leader leaves a gap in its history");
        return false;
    }
    zab->logged = zxid;
    zab_do(zab, ZAB_APPEND)->zxid = zxid;
    return true;
}

bool zab_learner_commit(struct zab *zab, mk_zxid zxid)
{
    if (zxid > zab->logged || !zab_follows(zab->learn.commits, zxid)) {
        zab_leave(zab, "the leader commits out of order");
        return false;
    }
    zab->learn.commits = zxid;
    if (zab->phase == LEARNER_SERVING) {
        zab->committed = zxid;
        zab->known = zxid;
        zab_do(zab, ZAB_COMMIT)->zxid = zxid;
    }
    return true;
}

void zab_learner_live(struct zab *zab, const struct jute_packet *packet)
{
    bool observer = zab->role == ZAB_OBSERVING;

    switch (packet->type) {
    case JUTE_PACKET_PROPOSAL:
    case JUTE_PACKET_COMMIT:
        if (!observer) {
            zab_learner_late(zab, packet);
        } /* else: it is told by INFORM */
        break;
    case JUTE_PACKET_INFORM:
        if (observer) {
            zab_learner_late(zab, packet);
        }
        break;
    case JUTE_PACKET_SYNC:
    case JUTE_PACKET_REVALIDATE: break; /* the server's business */
    default: zab_leave(zab, "the leader sends what a leader does not send"); break;
    }
}

bool zab_learner_ack_next(struct zab *zab, struct zab_action *out)
{
    struct learning *learn = &zab->learn;

    if (zab->phase != LEARNER_SERVING || learn->ack_next == 0 || learn->ack_next > zab->durable) {
        return false;
    }
    *out = (struct zab_action){.kind = ZAB_SEND,
                               .packet = JUTE_PACKET(JUTE_PACKET_ACK, learn->ack_next)};
    learn->ack_next++;
    return true;
}

/* ---- The own log ---- */

void zab_logged(struct zab *zab, mk_zxid zxid)
{
    if (zab->truncating || zab->installing || zxid <= zab->durable) {
        return; /* it was under way before, and may be gone; or the state has it anyway */
    }
    MK_ASSERT(zxid <= zab->logged);
    zab->durable = zxid;
    if (zab->phase == LEADER_BROADCAST && EPOCH_OF(zxid) == zab->epoch) {
        zab->lead.acked[zab->self] = zxid;
        zab_leader_commit(zab);
    } else if (zab_leader_role(zab)) {
        zab_leader_advance(zab);
    } else {
        zab_learner_advance(zab);
    }
}
