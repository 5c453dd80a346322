/* The machine as a whole: its life, its roles, its disk; and what must hold in it at any time.
 *
 *   LOOKING -> LEADING | FOLLOWING | OBSERVING -> whatever fails -> LOOKING
 *
 * A log that is being cut, or a state that is being replaced, is nothing to base a vote on: the
 * election begins when that has ended. */
#include "zab/internal.h"

static void options_check(const struct zab_options *options)
{
    const struct zab_config *config = &options->config;
    struct ids all = {0};

    MK_ASSERT(config->members_count > 0 && config->members_count <= ZAB_MEMBERS_MAX);
    for (size_t i = 0; i < config->members_count; i++) {
        MK_ASSERT(!ids_have(&all, config->members[i].id)); /* once each */
        ids_add(&all, config->members[i].id);
    }
    MK_ASSERT(zab_quorum(config, &all) && ids_valid(options->id));
    MK_ASSERT(options->tick_ms > 0 && options->tick_ms <= ZAB_TICK_MS_MAX);
    MK_ASSERT(options->init_limit > 0 && options->init_limit <= ZAB_LIMIT_MAX);
    MK_ASSERT(options->sync_limit > 0 && options->sync_limit <= ZAB_LIMIT_MAX);
    MK_ASSERT(options->finalize_ms >= 0);
    MK_ASSERT(options->notify_min_ms > 0 && options->notify_min_ms <= options->notify_max_ms);
}

struct zab *zab_new(const struct zab_options *options)
{
    struct zab *zab = mk_alloc_zero(1, sizeof *zab);

    options_check(options);
    zab->options = *options;
    zab_members_init(zab, &options->config);
    zab->learn.leader = -1;
    mk_list_init(&zab->lead.learners);
    return zab;
}

void zab_free(struct zab *zab)
{
    struct zab_action action;

    if (zab == NULL) {
        return;
    }
    zab_leader_end(zab);
    zab->phase = PHASE_NONE;
    while (zab_action(zab, &action)) { /* those that were dropped are freed behind it */
    }
    zab_members_free(zab);
    mk_free(zab->queue);
    mk_free(zab);
}

void zab_start(struct zab *zab, int64_t accepted_epoch, int64_t current_epoch, mk_zxid logged,
               mk_ms now)
{
    MK_ASSERT(zab->phase == PHASE_NONE && zab->queue_count == 0);
    MK_ASSERT(current_epoch >= 0 && accepted_epoch >= current_epoch);
    MK_ASSERT(accepted_epoch <= ZAB_EPOCH_MAX && logged >= -1);

    zab->now = now;
    zab->wanted = (struct epochs){accepted_epoch, current_epoch};
    zab->stored = zab->wanted;
    zab->amnesiac = logged < 0;
    zab->logged = zab->durable = logged < 0 ? 0 : logged;
    zab_members_cut(zab, zab->logged);
    zab_do(zab, ZAB_ROLE)->id = -1;
    zab_election_begin(zab);
}

/* ---- Roles ---- */

static void settled(struct zab *zab)
{
    if (zab->phase == PHASE_SETTLING && !zab->truncating && !zab->installing) {
        zab_election_begin(zab);
    }
}

static void role_end(struct zab *zab)
{
    if (zab->role == ZAB_LEADING) {
        zab_leader_end(zab);
    } else if (zab->phase >= LEARNER_DIALLING) {
        if (zab->phase != LEARNER_SERVING) {
            zab_election_failed(zab);
        }
        zab_do(zab, ZAB_HANG_UP);
    }
    zab->role = ZAB_LOOKING;
    zab->epoch = 0;
    zab->committed = 0;
    zab->learn.ack_next = 0;
}

/* A follower that is cut off from the snapshot it was receiving votes with what it has; see
 * handle_snap() for when that is nothing. */
void zab_leave(struct zab *zab, const char *why)
{
    MK_ASSERT(zab->role != ZAB_LOOKING);
    role_end(zab);
    struct zab_action *action = zab_do(zab, ZAB_ROLE);
    action->role = ZAB_LOOKING;
    action->id = -1;
    action->why = why;
    zab->phase = PHASE_SETTLING;
    settled(zab);
}

void zab_leave_to(struct zab *zab, int64_t leader, const char *why)
{
    zab_leave(zab, why);
    if (zab->phase == PHASE_ELECTION && zab_votes(zab, leader)) {
        zab_election_skip(zab, leader);
    }
}

void zab_fail(struct zab *zab, const char *why)
{
    role_end(zab);
    zab_do(zab, ZAB_FAIL)->why = why;
    zab->phase = PHASE_NONE;
}

/* ---- Time ---- */

void zab_tick(struct zab *zab, mk_ms now)
{
    MK_ASSERT(now >= zab->now);
    zab->now = now;
    if (zab->phase == PHASE_ELECTION) {
        zab_election_tick(zab);
    } else if (zab->role == ZAB_LEADING) {
        zab_leader_tick(zab);
    } else if (zab->phase >= LEARNER_DIALLING) {
        zab_learner_tick(zab);
    }
}

mk_ms zab_next_tick(const struct zab *zab)
{
    if (zab->phase == PHASE_ELECTION) {
        return zab_election_next_tick(zab);
    }
    if (zab->role == ZAB_LEADING) {
        return zab_leader_next_tick(zab);
    }
    return zab->phase >= LEARNER_DIALLING ? zab_learner_next_tick(zab) : INT64_MAX;
}

/* ---- The own disk ---- */

static void disk_done(struct zab *zab)
{
    if (zab->phase == PHASE_SETTLING) {
        settled(zab);
    } else if (zab->role == ZAB_LEADING) {
        zab_leader_advance(zab);
    } else {
        zab_learner_advance(zab);
    }
}

void zab_epochs_stored(struct zab *zab)
{
    MK_ASSERT(zab->storing_now);
    zab->storing_now = false;
    zab->stored = zab->storing;
    disk_done(zab);
}

void zab_truncated(struct zab *zab)
{
    MK_ASSERT(zab->truncating);
    zab->truncating = false;
    disk_done(zab);
}

/* Whether it was replaced or, after a hang-up, not: the log ends with `zxid` now. What may have
 * been committed and is gone with it makes this server one that does not vote until it is
 * synchronised. */
void zab_installed(struct zab *zab, mk_zxid zxid)
{
    MK_ASSERT(zab->installing && zxid >= 0);
    zab->installing = false;
    if (zxid < zab->logged) {
        zab->amnesiac = true;
    }
    zab->logged = zxid;
    zab->durable = zxid;
    zab_members_cut(zab, zxid);
    disk_done(zab);
}

/* ---- What is so ---- */

enum zab_role zab_role(const struct zab *zab)
{
    return zab->role;
}

bool zab_established(const struct zab *zab)
{
    return zab->phase == LEADER_BROADCAST || zab->phase == LEARNER_SERVING;
}

int64_t zab_leader(const struct zab *zab)
{
    switch (zab->role) {
    case ZAB_LOOKING: return -1;
    case ZAB_LEADING: return zab->options.id;
    case ZAB_FOLLOWING:
    case ZAB_OBSERVING: return zab->learn.leader;
    }
    return -1;
}

bool zab_leader_announces(const struct zab *zab)
{
    return zab->role == ZAB_LEADING ? zab->options.announces
                                    : zab->role != ZAB_LOOKING && zab->learn.announced;
}

int64_t zab_epoch(const struct zab *zab)
{
    return zab->epoch;
}

mk_zxid zab_proposed(const struct zab *zab)
{
    return zab->phase == LEADER_BROADCAST ? zab->proposed : zab->logged;
}

mk_zxid zab_committed(const struct zab *zab)
{
    return zab->committed;
}

static void leader_check(const struct zab *zab)
{
    size_t count = 0;

    for (struct zab_learner *learner = NULL; (learner = zab_learner_next(zab, learner)) != NULL;) {
        count++;
        MK_ASSERT(learner->state != HANDLER_DROPPED);
        MK_ASSERT(learner->acked <= zab->proposed);
        MK_ASSERT(learner->state != HANDLER_SERVING || zab->phase == LEADER_BROADCAST);
        MK_ASSERT(learner->state < HANDLER_SYNCHRONISING || zab->phase >= LEADER_SYNCHRONISING);
    }
    MK_ASSERT(count == zab->lead.learners_count && count <= ZAB_LEARNERS_MAX);
    MK_ASSERT(zab->phase < LEADER_PROMISING || zab->epoch > zab->lead.own.accepted);
    MK_ASSERT(zab->phase < LEADER_SYNCHRONISING || zab->stored.current >= zab->epoch);
    if (zab->phase == LEADER_BROADCAST) {
        MK_ASSERT(EPOCH_OF(zab->proposed) == zab->epoch && EPOCH_OF(zab->committed) == zab->epoch);
        MK_ASSERT(zab->committed <= zab->proposed);
        MK_ASSERT(COUNTER_OF(zab->proposed) <= COUNTER_MAX);
    }
}

void zab_check(const struct zab *zab)
{
    MK_ASSERT(zab->durable <= zab->logged);
    MK_ASSERT(zab->wanted.accepted >= zab->wanted.current);
    MK_ASSERT(zab->stored.accepted >= zab->stored.current);
    MK_ASSERT(zab->wanted.accepted >= zab->stored.accepted);
    MK_ASSERT(zab->wanted.current >= zab->stored.current);
    MK_ASSERT(zab_established(zab) || zab->committed == 0);
    MK_ASSERT(!zab_members_pending(zab) || zab->next.config.version > zab->active.config.version);
    MK_ASSERT(zab->next.zxid <= zab->logged && zab->next.zxid >= 0);
    MK_ASSERT(zab->next.zxid == 0 || zab->next.zxid > zab->committed);
    switch (zab->role) {
    case ZAB_LOOKING: MK_ASSERT(zab->phase <= PHASE_ELECTION); break;
    case ZAB_LEADING:
        MK_ASSERT(zab->phase >= LEADER_COLLECTING && zab->phase <= LEADER_BROADCAST);
        leader_check(zab);
        break;
    case ZAB_FOLLOWING:
    case ZAB_OBSERVING:
        MK_ASSERT(zab->phase >= LEARNER_DIALLING);
        MK_ASSERT(mk_list_empty(&zab->lead.learners));
        MK_ASSERT(zab->phase < LEARNER_PROMISED || zab->stored.accepted >= zab->epoch);
        MK_ASSERT(zab->phase < LEARNER_TAKEN || zab->stored.current == zab->epoch);
        MK_ASSERT(zab->phase != LEARNER_SERVING || zab->committed <= zab->logged);
        break;
    }
}
