/* Synchronization: a learner's log becomes the leader's history, and stays so.
 *
 *   leader                                       learner
 *   DIFF, TRUNC or SNAP, then history   ->       cut back, or replaced; appended as it comes
 *   what is proposed, not committed     ->       appended, too
 *   NEWLEADER                           ->       all of that durable; then the current epoch durable
 *                                       <-       ACK(epoch << 32)
 *   of a quorum: established, UPTODATE  ->       applies, serves, acknowledges what came meanwhile
 *
 * A learner applies nothing before UPTODATE: only then it is certain that a quorum has the history.
 * Its current epoch says that its history is that leader's, so it is never durable before the
 * history is. A log whose last entry is of a later epoch than the current one is what a crash in
 * between leaves: the election compares epochs first, and ranks it rightly. */
#include "zab/internal.h"

/* ---- What a learner lacks ---- */

static struct zab_sync sync_of(int32_t type, mk_zxid header, mk_zxid send_after)
{
    return (struct zab_sync){.type = type, .header = header, .send_after = send_after};
}

/* The learner has a zxid that is not in the history, although its neighbours are. Within an epoch
 * it can be cut back to the one before: that it has. An epoch's beginning (epoch << 32) stands for
 * the history with which the epoch began; if something of that epoch is here, so is that history.
 * Anything else may have grown on another history: it is replaced. */
static struct zab_sync plan_unknown(const struct zab_history *history, mk_zxid peer, mk_zxid next,
                                    struct zab_sync snapshot)
{
    mk_zxid before = history->before(history->context, peer);

    if (EPOCH_OF(next) != EPOCH_OF(peer)) {
        return snapshot;
    }
    if (COUNTER_OF(peer) == 0) {
        return sync_of(JUTE_PACKET_DIFF, history->max, peer);
    }
    if (before == 0 || EPOCH_OF(before) != EPOCH_OF(peer)) {
        return snapshot;
    }
    return sync_of(JUTE_PACKET_TRUNC, before, before);
}

struct zab_sync zab_sync_plan(const struct zab_history *history, mk_zxid last, mk_zxid peer)
{
    struct zab_sync snapshot = sync_of(JUTE_PACKET_SNAP, last, last);

    if (peer == last) {
        return sync_of(JUTE_PACKET_DIFF, peer, last);
    }
    if (history->max == 0 || peer < history->min) {
        return snapshot;
    }
    MK_ASSERT(history->min <= history->max && history->max <= last);
    if (peer > history->max) {
        bool cut = COUNTER_OF(peer) != 0 && EPOCH_OF(peer) == EPOCH_OF(history->max);
        return cut ? sync_of(JUTE_PACKET_TRUNC, history->max, history->max) : snapshot;
    }
    mk_zxid next = history->at_or_after(history->context, peer);
    if (next == peer) {
        return sync_of(JUTE_PACKET_DIFF, history->max, peer);
    }
    return plan_unknown(history, peer, next, snapshot);
}

/* ---- The leader's side ---- */

void zab_leader_synchronises(struct zab *zab, struct zab_learner *learner)
{
    MK_ASSERT(learner->state == HANDLER_PROMISED);
    learner->state = HANDLER_SYNCHRONISING;
    zab_learner_alive(zab, learner);
    struct zab_action *action = zab_do(zab, ZAB_SYNCHRONISE);
    action->learner = learner;
    action->id = learner->id;
    action->zxid = learner->zxid;
}

void zab_learner_synchronised(struct zab *zab, struct zab_learner *learner)
{
    if (learner->state == HANDLER_DROPPED) {
        return;
    }
    MK_ASSERT(learner->state == HANDLER_SYNCHRONISING);
    learner->state = HANDLER_REGISTERED;
    learner->synchronised = zab->committed;
    zab_learner_alive(zab, learner);
    zab_do_send(zab, learner, JUTE_PACKET_NEWLEADER, EPOCH_BEGIN(zab->epoch));
}

/* It has acknowledged NEWLEADER: its history is this leader's, durably. Of what has committed before that it
 * may have had everything, and then acknowledges none of it. */
void zab_leader_taken(struct zab *zab, struct zab_learner *learner)
{
    MK_ASSERT(learner->state == HANDLER_TAKEN);
    if (learner->acked < learner->synchronised) {
        learner->acked = learner->synchronised;
    }
    if (zab_learner_counts(learner)) {
        ids_add(&zab->lead.taken, learner->id);
    }
    if (zab->phase == LEADER_BROADCAST) {
        learner->state = HANDLER_SERVING;
        zab_do_send(zab, learner, JUTE_PACKET_UPTODATE, -1);
        zab_leader_commit(zab);
    }
}

/* ---- The learner's side ---- */

/* What the log has through `zxid` is the leader's committed history, or will be at UPTODATE. */
static void history_begin(struct zab *zab, mk_zxid zxid)
{
    zab->learn.commits = zxid;
    zab->phase = LEARNER_HISTORY;
}

static void handle_trunc(struct zab *zab, mk_zxid zxid)
{
    if (zxid < 0 || zxid > zab->logged) {
        zab_leave(zab, "the leader wants the log cut where it does not reach");
        return;
    }
    if (zxid < zab->known) {
        zab_fail(zab, "the leader wants the log cut below what has been committed here: "
                      "empty this server with `moonkeeper repair --rejoin`");
        return;
    }
    zab->truncating = true;
    zab->logged = zxid;
    zab->durable = zxid;
    zab_members_cut(zab, zxid);
    zab_do(zab, ZAB_TRUNCATE)->zxid = zxid;
    history_begin(zab, zxid);
}

static void handle_snap(struct zab *zab, mk_zxid zxid)
{
    if (zxid < 0) {
        zab_leave(zab, "the leader's snapshot has no zxid");
        return;
    }
    struct zab_action *action = zab_do(zab, ZAB_INSTALL);
    action->zxid = zxid;
    action->forgets = zxid < zab->logged || zab->amnesiac;
    zab->installing = true;
    zab->learn.installed = zxid;
    history_begin(zab, zxid);
}

void zab_learner_header(struct zab *zab, const struct jute_packet *packet)
{
    switch (packet->type) {
    case JUTE_PACKET_DIFF:
        if (zab->amnesiac) {
            zab_leave(zab, "the leader sends a difference to what is lost");
            return;
        }
        history_begin(zab, zab->logged);
        break;
    case JUTE_PACKET_TRUNC: handle_trunc(zab, packet->zxid); break;
    case JUTE_PACKET_SNAP: handle_snap(zab, packet->zxid); break;
    default: zab_leave(zab, "the leader does not say how to synchronise"); break;
    }
}

void zab_learner_history(struct zab *zab, const struct jute_packet *packet,
                         const struct zab_config *config)
{
    if (packet->type != JUTE_PACKET_NEWLEADER) {
        zab_learner_late(zab, packet, config);
        return;
    }
    if (packet->zxid != EPOCH_BEGIN(zab->epoch)) {
        zab_leave(zab, "the leader's NEWLEADER is of another epoch");
        return;
    }
    if (zab->logged < zab->known) {
        zab_fail(zab, "the leader lacks what has been committed here: its log or this one was "
                      "exchanged; empty the wrong one with `moonkeeper repair --rejoin`");
        return;
    }
    zab_members_offered(zab, config);
    zab->learn.history = zab->logged;
    zab->learn.ack_from =
        zab->learn.commits > EPOCH_BEGIN(zab->epoch) ? zab->learn.commits : EPOCH_BEGIN(zab->epoch);
    zab->phase = LEARNER_TAKING;
    zab_learner_advance(zab);
}

/* History durable, then the epoch, then the word. */
void zab_learner_take(struct zab *zab)
{
    MK_ASSERT(zab->phase == LEARNER_TAKING);
    if (zab->truncating || zab->durable < zab->learn.history || !zab_members_durable(zab)) {
        return;
    }
    zab->wanted.current = zab->epoch;
    if (zab->stored.current != zab->epoch) {
        return;
    }
    zab->amnesiac = false;
    zab->phase = LEARNER_TAKEN;
    zab_do_send(zab, NULL, JUTE_PACKET_ACK, EPOCH_BEGIN(zab->epoch));
}

static void handle_uptodate(struct zab *zab)
{
    struct learning *learn = &zab->learn;

    if (zab->phase != LEARNER_TAKEN) {
        zab_leave(zab, "the leader says UPTODATE before its history was taken");
        return;
    }
    zab->phase = LEARNER_SERVING;
    zab->election.current.peer_epoch = zab->epoch;
    zab->election.failures = 0;
    zab_do_send(zab, NULL, JUTE_PACKET_ACK, EPOCH_BEGIN(zab->epoch));
    if (zab->role == ZAB_FOLLOWING) {
        learn->ack_next = learn->ack_from + 1;
    }
    if (zab_members_pending(zab) && zab->next.zxid <= learn->commits) {
        zab_members_activate(zab);
    }
    if (zab_learner_moves(zab)) {
        return;
    }
    struct zab_action *action = zab_do(zab, ZAB_SERVE);
    action->epoch = zab->epoch;
    action->zxid = learn->commits;
    zab->committed = learn->commits;
    zab->known = zab->committed > zab->known ? zab->committed : zab->known;
}

/* What an original ZooKeeper sends behind a snapshot may begin at or below the snapshot's zxid. All of
 * that is in the snapshot: it is neither appended nor committed once more. */
static bool in_snapshot(const struct zab *zab, const struct jute_packet *packet)
{
    return zab->phase == LEARNER_HISTORY && packet->zxid > 0 &&
           packet->zxid <= zab->learn.installed;
}

/* Before UPTODATE, what comes is noted: appended, or told to be committed. */
void zab_learner_late(struct zab *zab, const struct jute_packet *packet,
                      const struct zab_config *config)
{
    if (in_snapshot(zab, packet)) {
        return;
    }
    switch (packet->type) {
    case JUTE_PACKET_PROPOSAL: (void)zab_learner_append(zab, packet->zxid, config); break;
    case JUTE_PACKET_COMMIT: (void)zab_learner_commit(zab, packet->zxid); break;
    case JUTE_PACKET_INFORM:
        (void)(zab_learner_append(zab, packet->zxid, config) &&
               zab_learner_commit(zab, packet->zxid));
        break;
    case JUTE_PACKET_COMMIT_AND_ACTIVATE:
    case JUTE_PACKET_INFORM_AND_ACTIVATE: zab_learner_activate(zab, packet, config); break;
    case JUTE_PACKET_UPTODATE: handle_uptodate(zab); break;
    default: break; /* nothing else can mean anything yet */
    }
}
