/* A leader: its learners, and the one function that moves it from phase to phase.
 *
 *   COLLECTING     a quorum has said which epoch it accepted last: this one's is the next
 *   PROMISING      own accepted epoch durable: LEADERINFO to all who wait
 *   COMPARING      a quorum has acknowledged the epoch, and nobody in it has more history
 *   TAKING         own history, then current epoch durable: to learners what they lack, NEWLEADER
 *   SYNCHRONISING  a quorum has acknowledged NEWLEADER: UPTODATE
 *   BROADCAST      proposals, until there is no quorum in touch or the counter is used up
 *
 * Each step before BROADCAST must be done in init_limit ticks. Whoever comes late is led through
 * the same packets by itself. A learner that says something wrong is left with a reason; the others
 * stay. */
#include <string.h>

#include "zab/internal.h"

struct zab_learner *zab_learner_next(const struct zab *zab, const struct zab_learner *previous)
{
    struct mk_link *next = previous == NULL ? zab->lead.learners.next : previous->link.next;

    return next == &zab->lead.learners ? NULL : MK_CONTAINER(next, struct zab_learner, link);
}

/* ---- Phases ---- */

void zab_leader_begin(struct zab *zab)
{
    struct leading *lead = &zab->lead;

    MK_ASSERT(mk_list_empty(&lead->learners));
    lead->own = zab->wanted;
    lead->own_zxid = zab->logged;
    lead->accepted_max = zab->wanted.accepted;
    lead->compared = lead->taken = (struct ids){0};
    memset(lead->acked, 0, sizeof lead->acked);
    lead->counts = false;
    lead->deadline = zab->now + zab_ticks_ms(zab, zab->options.init_limit);
    lead->ping_at = zab->now + (zab->options.tick_ms + 1) / 2;
    lead->exhausted = lead->retired = false;
    lead->heir = -1;
    zab->epoch = 0;
    zab->phase = LEADER_COLLECTING;
    zab_leader_advance(zab);
}

static struct ids only(int64_t id)
{
    struct ids set = {0};

    ids_add(&set, id);
    return set;
}

static void phase_enter(struct zab *zab, enum phase phase)
{
    zab->phase = phase;
    zab->lead.deadline = zab->now + zab_ticks_ms(zab, zab->options.init_limit);
}

static struct ids greeted(const struct zab *zab)
{
    struct ids set = only(zab->options.id);

    for (struct zab_learner *learner = NULL; (learner = zab_learner_next(zab, learner)) != NULL;) {
        if (learner->state >= HANDLER_GREETED && zab_learner_counts(learner)) {
            ids_add(&set, learner->id);
        }
    }
    return set;
}

static bool alone(const struct zab *zab)
{
    struct ids set = only(zab->options.id);

    return zab_agree(zab, &set);
}

static void epoch_choose(struct zab *zab)
{
    if (zab->lead.accepted_max >= ZAB_EPOCH_MAX) {
        zab_fail(zab, "the epochs are used up: the ensemble's data has to be moved to a new one");
        return;
    }
    zab->epoch = zab->lead.accepted_max + 1;
    zab->wanted.accepted = zab->epoch;
    zab->lead.compared = only(zab->options.id);
    zab_members_begin(zab, EPOCH_BEGIN(zab->epoch));
    phase_enter(zab, LEADER_PROMISING);
}

/* Every learner goes as far as this leader has come, whenever it came itself. */
static void learners_go_on(struct zab *zab)
{
    struct zab_learner *learner = zab_learner_next(zab, NULL);

    while (learner != NULL) {
        struct zab_learner *next = zab_learner_next(zab, learner);
        if (learner->state == HANDLER_GREETED && zab->phase >= LEADER_COMPARING &&
            zab->stored.accepted >= zab->epoch) {
            zab_leader_offer(zab, learner);
        } else if (learner->state == HANDLER_PROMISED && zab->phase >= LEADER_SYNCHRONISING) {
            zab_leader_synchronises(zab, learner);
        }
        learner = next;
    }
}

static void establish(struct zab *zab)
{
    zab->phase = LEADER_BROADCAST;
    if (zab_members_pending(zab)) { /* in its log, and so in a quorum's of both, by now */
        zab_members_activate(zab);
        zab->lead.retired = !zab_may_lead(zab, zab->options.id);
    }
    zab->proposed = EPOCH_BEGIN(zab->epoch);
    zab->committed = zab->proposed;
    zab->known = zab->logged > zab->known ? zab->logged : zab->known;
    zab->election.current.peer_epoch = zab->epoch;
    zab->election.failures = 0;
    struct zab_action *action = zab_do(zab, ZAB_SERVE);
    action->epoch = zab->epoch;
    action->zxid = zab->logged;
    for (struct zab_learner *learner = NULL; (learner = zab_learner_next(zab, learner)) != NULL;) {
        if (learner->state == HANDLER_TAKEN) {
            zab_leader_taken(zab, learner);
        }
    }
}

void zab_leader_advance(struct zab *zab)
{
    struct leading *lead = &zab->lead;
    struct ids there = greeted(zab);

    if (zab->phase == LEADER_COLLECTING && zab_agree(zab, &there)) {
        epoch_choose(zab);
    }
    /* Alone, nobody is told before it is stored: both epochs can be stored at once. */
    if (zab->phase == LEADER_PROMISING && (zab->stored.accepted >= zab->epoch || alone(zab))) {
        phase_enter(zab, LEADER_COMPARING);
    }
    /* The current epoch says that the history is there: it must not be durable before it. */
    if (zab->phase == LEADER_COMPARING && zab_agree(zab, &lead->compared) &&
        zab->durable == zab->logged) {
        zab->wanted.current = zab->epoch;
        phase_enter(zab, LEADER_TAKING);
    }
    if (zab->phase == LEADER_TAKING && zab->stored.current == zab->epoch) {
        phase_enter(zab, LEADER_SYNCHRONISING);
        ids_add(&lead->taken, zab->options.id);
    }
    if (zab->phase == LEADER_SYNCHRONISING && zab_agree(zab, &lead->taken)) {
        establish(zab);
    }
    learners_go_on(zab);
}

/* ---- Learners ---- */

bool zab_accepts_learners(const struct zab *zab)
{
    return zab_leader_role(zab) && !zab->lead.retired &&
           zab->lead.learners_count < ZAB_LEARNERS_MAX;
}

/* A learner says who it is as soon as it is connected, whatever the leader waits for. */
static mk_ms greeting_ms(const struct zab *zab)
{
    const struct zab_options *options = &zab->options;

    return zab_ticks_ms(zab, options->sync_limit < options->init_limit ? options->sync_limit
                                                                       : options->init_limit);
}

struct zab_learner *zab_learner_new(struct zab *zab, void *owner)
{
    if (!zab_accepts_learners(zab)) {
        return NULL;
    }
    struct zab_learner *learner = mk_alloc_zero(1, sizeof *learner);
    learner->owner = owner;
    learner->id = -1;
    learner->deadline = zab->now + greeting_ms(zab);
    mk_list_append(&zab->lead.learners, &learner->link);
    zab->lead.learners_count++;
    return learner;
}

static void learner_unlink(struct zab *zab, struct zab_learner *learner)
{
    MK_ASSERT(zab->lead.learners_count > 0);
    mk_list_remove(&learner->link);
    zab->lead.learners_count--;
}

void zab_learner_drop(struct zab *zab, struct zab_learner *learner, const char *why)
{
    MK_ASSERT(learner->state != HANDLER_DROPPED);
    learner_unlink(zab, learner);
    learner->state = HANDLER_DROPPED;
    struct zab_action *action = zab_do(zab, ZAB_DROP);
    action->learner = learner;
    action->id = learner->id;
    action->why = why;
}

void zab_learner_lost(struct zab *zab, struct zab_learner *learner)
{
    MK_ASSERT(learner != zab->dropped);
    if (learner->state != HANDLER_DROPPED) {
        learner_unlink(zab, learner);
    }
    zab_forget_actions(zab, learner);
    mk_free(learner);
}

void zab_leader_end(struct zab *zab)
{
    struct zab_learner *learner;

    while ((learner = zab_learner_next(zab, NULL)) != NULL) {
        zab_learner_drop(zab, learner, "this server leads no more");
    }
}

/* Any packet shows that it lives; of somebody who does not say who it is that means nothing. */
static void heard(struct zab *zab, struct zab_learner *learner)
{
    uint32_t ticks = zab->options.sync_limit;

    if (learner->state == HANDLER_NEW) {
        return;
    }
    if (learner->state < HANDLER_TAKEN) {
        ticks += zab->options.init_limit;
    }
    learner->deadline = zab->now + zab_ticks_ms(zab, ticks);
}

void zab_learner_alive(struct zab *zab, struct zab_learner *learner)
{
    heard(zab, learner);
}

static void handle_ack(struct zab *zab, struct zab_learner *learner, mk_zxid zxid)
{
    if (learner->state < HANDLER_REGISTERED) {
        zab_learner_drop(zab, learner, "it acknowledges what it was not sent");
    } else if (COUNTER_OF(zxid) != 0) {
        zab_leader_acked(zab, learner, zxid);
    } else if (learner->state == HANDLER_REGISTERED) {
        if (zxid != EPOCH_BEGIN(zab->epoch)) {
            zab_learner_drop(zab, learner, "it acknowledges another epoch than this one");
            return;
        }
        learner->state = HANDLER_TAKEN;
        heard(zab, learner); /* from here on its deadline is the shorter one */
        zab_leader_taken(zab, learner);
        zab_leader_advance(zab);
    } /* else: it acknowledges UPTODATE, with the same zxid */
}

void zab_learner_packet(struct zab *zab, struct zab_learner *learner,
                        const struct jute_packet *packet)
{
    if (learner->state == HANDLER_DROPPED) {
        return;
    }
    heard(zab, learner);
    switch (packet->type) {
    case JUTE_PACKET_FOLLOWERINFO:
    case JUTE_PACKET_OBSERVERINFO:
    case JUTE_PACKET_ACKEPOCH: zab_leader_discovers(zab, learner, packet); break;
    case JUTE_PACKET_ACK: handle_ack(zab, learner, packet->zxid); break;
    case JUTE_PACKET_PING: break; /* what it carries is the server's business */
    case JUTE_PACKET_REQUEST:
    case JUTE_PACKET_REVALIDATE:
        if (learner->state != HANDLER_SERVING) {
            zab_learner_drop(zab, learner, "it forwards requests before it is up to date");
        }
        break;
    default: zab_learner_drop(zab, learner, "it sends what a learner does not send"); break;
    }
}

/* ---- Time ---- */

static struct ids in_touch(const struct zab *zab)
{
    struct ids set = only(zab->options.id);

    for (struct zab_learner *learner = NULL; (learner = zab_learner_next(zab, learner)) != NULL;) {
        if (zab_learner_counts(learner) && learner->deadline > zab->now) {
            ids_add(&set, learner->id);
        }
    }
    return set;
}

static struct ids synced(const struct zab *zab)
{
    struct ids there = in_touch(zab);
    struct ids set = {0};

    for (int64_t id = 0; id < IDS; id++) {
        if (zab->phase == LEADER_BROADCAST && ids_have(&there, id) &&
            ids_have(&zab->lead.taken, id)) {
            ids_add(&set, id);
        }
    }
    return set;
}

size_t zab_synced_voters(const struct zab *zab)
{
    struct ids set = synced(zab);
    size_t count = 0;

    for (int64_t id = 0; id < IDS; id++) {
        count += ids_have(&set, id) && zab_votes_in(&zab->active.config, id);
    }
    return count;
}

bool zab_config_synced(const struct zab *zab, const struct zab_config *config)
{
    struct ids set = synced(zab);

    return zab_quorum(config, &set);
}

/* A follower must acknowledge in sync_limit ticks what it was proposed: looked at now and then, so
 * that no proposal has to be remembered. */
static bool acknowledges(struct zab *zab, struct zab_learner *learner)
{
    if (!zab_learner_counts(learner) || learner->state != HANDLER_SERVING ||
        learner->acked >= zab->proposed || COUNTER_OF(zab->proposed) == 0) {
        learner->mark = 0;
    } else if (learner->mark == 0 || learner->acked >= learner->mark) {
        learner->mark = zab->proposed;
        learner->mark_at = zab->now;
    }
    return learner->mark == 0 ||
           zab->now - learner->mark_at <= zab_ticks_ms(zab, zab->options.sync_limit);
}

static void learners_tick(struct zab *zab)
{
    struct zab_learner *learner = zab_learner_next(zab, NULL);

    while (learner != NULL) {
        struct zab_learner *next = zab_learner_next(zab, learner);
        if (learner->deadline <= zab->now) {
            zab_learner_drop(zab, learner, "it has been silent for too long");
        } else if (!acknowledges(zab, learner)) {
            zab_learner_drop(zab, learner, "it acknowledges proposals too slowly");
        } else if (learner->state >= HANDLER_REGISTERED) {
            zab_do_send(zab, learner, JUTE_PACKET_PING,
                        zab->phase == LEADER_BROADCAST ? zab->proposed : zab->logged);
        }
        learner = next;
    }
}

void zab_leader_tick(struct zab *zab)
{
    struct leading *lead = &zab->lead;
    bool established = zab->phase == LEADER_BROADCAST;

    if (!established && lead->deadline <= zab->now) {
        zab_leave(zab, "not enough followers came in time");
        return;
    }
    zab_leader_commit(zab);
    struct ids there = in_touch(zab);
    if (lead->retired && !zab_agree(zab, &there)) {
        zab_leave_to(zab, lead->heir, "the members have changed, and another leads");
        return;
    }
    if (!zab_leader_role(zab) || lead->ping_at > zab->now) {
        return;
    }
    lead->ping_at = zab->now + (zab->options.tick_ms + 1) / 2;
    if (established && !zab_agree(zab, &there)) {
        zab_leave(zab, "a quorum of followers is out of touch");
        return;
    }
    learners_tick(zab);
}

mk_ms zab_leader_next_tick(const struct zab *zab)
{
    const struct leading *lead = &zab->lead;

    if (zab->phase == LEADER_BROADCAST) {
        struct ids there = in_touch(zab);
        if ((lead->exhausted && zab->committed == zab->proposed) ||
            (lead->retired && !zab_agree(zab, &there))) {
            return zab->now;
        }
        return alone(zab) && lead->learners_count == 0 ? INT64_MAX : lead->ping_at;
    }
    return lead->deadline < lead->ping_at ? lead->deadline : lead->ping_at;
}

/* ---- What is so ---- */

void *zab_learner_owner(const struct zab_learner *learner)
{
    return learner->owner;
}

bool zab_learner_unknown(const struct zab_learner *learner)
{
    return learner->state == HANDLER_NEW;
}

int64_t zab_learner_id(const struct zab_learner *learner)
{
    return learner->id;
}

bool zab_learner_observer(const struct zab_learner *learner)
{
    return learner->observer;
}

bool zab_learner_registered(const struct zab_learner *learner)
{
    return learner->state >= HANDLER_REGISTERED && learner->state != HANDLER_DROPPED;
}

bool zab_learner_serving(const struct zab_learner *learner)
{
    return learner->state == HANDLER_SERVING;
}

mk_zxid zab_learner_acked(const struct zab_learner *learner)
{
    return learner->acked;
}

bool zab_learner_known(const struct zab_learner *learner)
{
    return learner->state != HANDLER_NEW && learner->state != HANDLER_DROPPED;
}

bool zab_learner_announces(const struct zab_learner *learner)
{
    return learner->announces;
}
