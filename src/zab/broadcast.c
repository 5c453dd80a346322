/* Broadcast: propose in order, commit in order.
 *
 *   leader                                  follower                       observer
 *   zab_next, zab_propose: to its own log
 *   and as PROPOSAL to followers     ->     to its log; when durable
 *   zab_logged: its own word         <-     ACK
 *   of a quorum: committed; COMMIT   ->     applied         INFORM   ->    to its log, applied
 *
 * Acknowledgements of one learner come in order, so the last one stands for all before it, and all that
 * have come together are counted together. A word
 * counts only from a voter that has taken the leader's history: who has a proposal without the
 * epoch would lose an election to one who has the epoch without the proposal. */
#include "zab/internal.h"

/* ---- The leader ---- */

bool zab_next(struct zab *zab, mk_zxid *zxid)
{
    if (zab->phase != LEADER_BROADCAST || zab->lead.exhausted || zab->lead.retired) {
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

static struct ids have(const struct zab *zab, const struct zab_config *config, mk_zxid zxid)
{
    struct ids set = {0};

    for (size_t i = 0; i < config->members_count; i++) {
        int64_t id = config->members[i].id;
        if (zab->lead.acked[id] >= zxid && ids_have(&zab->lead.taken, id)) {
            ids_add(&set, id);
        }
    }
    return set;
}

/* The highest zxid that a quorum of these has: it is one of those that were acknowledged. */
static mk_zxid agreed(const struct zab *zab, const struct zab_config *config)
{
    mk_zxid highest = zab->committed;

    for (size_t i = 0; i < config->members_count; i++) {
        mk_zxid acked = zab->lead.acked[config->members[i].id];
        if (acked > highest) {
            struct ids set = have(zab, config, acked);
            highest = zab_quorum(config, &set) ? acked : highest;
        }
    }
    return highest;
}

static void commit(struct zab *zab, mk_zxid zxid)
{
    MK_ASSERT(zxid <= zab->proposed);
    if (zxid > zab->committed) {
        zab->committed = zxid;
        zab->known = zxid;
        zab_do(zab, ZAB_COMMIT)->zxid = zxid;
    }
}

/* Who leads when the next members are the active ones: this server, if it is there, where it was; or
 * else who has the most of what is proposed, so that the least of it is lost. */
static int64_t heir(const struct zab *zab)
{
    const struct zab_config *next = &zab->next.config;
    const struct zab_member *now = zab_member_find(&zab->active.config, zab->options.id);
    const struct zab_member *then = zab_member_find(next, zab->options.id);
    int64_t best = -1;

    if (now != NULL && then != NULL && !then->observer && then->address == now->address) {
        return zab->options.id;
    }
    for (size_t i = 0; i < next->members_count; i++) {
        const struct zab_member *member = &next->members[i];
        bool can = !member->observer && member->id != zab->options.id &&
                   (!next->hierarchical || member->weight > 0) &&
                   ids_have(&zab->lead.taken, member->id) &&
                   zab->lead.acked[member->id] >= zab->next.zxid;
        if (can && (best < 0 || zab->lead.acked[member->id] > zab->lead.acked[best])) {
            best = member->id;
        }
    }
    return best;
}

static void commit_members(struct zab *zab)
{
    mk_zxid zxid = zab->next.zxid;
    int64_t leader = heir(zab);

    zab_members_activate(zab);
    zab->committed = zxid;
    zab->known = zxid;
    struct zab_action *action = zab_do(zab, ZAB_COMMIT);
    action->zxid = zxid;
    action->activates = true;
    action->id = leader;
    zab->lead.heir = leader;
    zab->lead.retired = leader != zab->options.id;
}

/* Up to the transaction that changes the members the active ones decide; it and what comes behind
 * need the next ones as well, until it has committed. */
void zab_leader_commit(struct zab *zab)
{
    bool again = zab->phase == LEADER_BROADCAST && !zab->lead.retired;

    zab->lead.counts = false;
    while (again) {
        mk_zxid zxid = agreed(zab, &zab->active.config);
        again = zab->next.zxid > 0 && zxid >= zab->next.zxid;
        if (!again) {
            commit(zab, zxid);
        } else if (agreed(zab, &zab->next.config) >= zab->next.zxid) {
            commit(zab, zab->next.zxid - 1);
            commit_members(zab);
            again = !zab->lead.retired;
        } else {
            commit(zab, zab->next.zxid - 1);
            again = false;
        }
    }
    if (zab->lead.exhausted && zab->phase == LEADER_BROADCAST && zab->committed == zab->proposed) {
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
    if (zab_learner_counts(learner)) {
        zab->lead.acked[learner->id] = zxid;
        zab->lead.counts = true;
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

bool zab_learner_append(struct zab *zab, mk_zxid zxid, const struct zab_config *config)
{
    if (!zab_follows(zab->logged, zxid) || EPOCH_OF(zxid) > zab->epoch) {
        zab_leave(zab, "the leader leaves a gap in its history");
        return false;
    }
    zab->logged = zxid;
    zab_do(zab, ZAB_APPEND)->zxid = zxid;
    if (config != NULL) {
        zab_reconfigure(zab, zxid, config);
    }
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
        if (zab_members_pending(zab) && zab->next.zxid <= zxid) {
            zab_members_activate(zab);
        }
        zab->committed = zxid;
        zab->known = zxid;
        zab_do(zab, ZAB_COMMIT)->zxid = zxid;
    }
    return true;
}

/* The members have changed: whoever has another part among them now, or another leader, begins anew. */
bool zab_learner_moves(struct zab *zab)
{
    int64_t leader = zab->learn.heir >= 0 ? zab->learn.heir : zab->learn.leader;
    bool observer = zab->role == ZAB_OBSERVING;

    if (zab->options.reconfig && (leader != zab->learn.leader || !zab_votes(zab, leader) ||
                                  observer != zab_observes(zab, zab->options.id))) {
        zab_leave_to(zab, leader, "the members have changed");
        return true;
    }
    return false;
}

/* COMMITANDACTIVATE, INFORMANDACTIVATE: the transaction that changes the members commits. */
void zab_learner_activate(struct zab *zab, const struct jute_packet *packet,
                          const struct zab_config *config)
{
    struct mk_reader reader = mk_reader_of(packet->data);
    int64_t leader = mk_read_i64(&reader);
    bool inform = packet->type == JUTE_PACKET_INFORM_AND_ACTIVATE;

    if (!zab->options.reconfig) {
        zab_fail(zab, "the leader changes the ensemble's members, which this server does not: set "
                      "reconfigEnabled=true here, too");
    } else if (reader.failed) {
        zab_leave(zab, "the leader does not say who is to lead");
    } else if ((!inform || zab_learner_append(zab, packet->zxid, config)) &&
               zab_learner_commit(zab, packet->zxid)) {
        zab->learn.heir = leader;
        (void)(zab->phase == LEARNER_SERVING && zab_learner_moves(zab));
    }
}

void zab_learner_live(struct zab *zab, const struct jute_packet *packet,
                      const struct zab_config *config)
{
    bool observer = zab->role == ZAB_OBSERVING;

    switch (packet->type) {
    case JUTE_PACKET_PROPOSAL:
    case JUTE_PACKET_COMMIT:
        if (!observer) {
            zab_learner_late(zab, packet, config);
        } /* else: it is told by INFORM */
        break;
    case JUTE_PACKET_INFORM:
        if (observer) {
            zab_learner_late(zab, packet, config);
        }
        break;
    case JUTE_PACKET_COMMIT_AND_ACTIVATE:
        if (!observer) {
            zab_learner_activate(zab, packet, config);
        }
        break;
    case JUTE_PACKET_INFORM_AND_ACTIVATE:
        if (observer) {
            zab_learner_activate(zab, packet, config);
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
        zab->lead.acked[zab->options.id] = zxid;
        zab_leader_commit(zab);
    } else if (zab_leader_role(zab)) {
        zab_leader_advance(zab);
    } else {
        zab_learner_advance(zab);
    }
}
