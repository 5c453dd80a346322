/* Fast leader election: who has the most of the history among a quorum that agrees on it.
 *
 *   begin: vote for oneself, say so to all voters
 *     -> a better vote, or a later round: adopt it, say so to all
 *     -> a quorum votes as this server does: wait a little for a better vote, unless whoever might
 *        have one is not there; then it is decided
 *     -> a quorum follows a leader already, who says so too: join it
 *   afterwards: answer everybody who asks, for as long as the server runs
 *
 * Nothing is said once only: notifications get lost, so they are repeated, ever more seldom. A vote
 * is not a promise; what makes a leader safe is the discovery that follows. Reference: ZooKeeper's
 * FastLeaderElection, as section 3 of its quorum protocol has it. */
#include <string.h>

#include "zab/internal.h"

#define BIT(index) ((uint64_t)1 << (index))

/* ---- Votes ---- */

static bool vote_beats(const struct zab *zab, const struct vote *a, const struct vote *b)
{
    if (!zab_may_lead(&zab->options, a->leader)) {
        return false;
    }
    if (a->peer_epoch != b->peer_epoch) {
        return a->peer_epoch > b->peer_epoch;
    }
    return a->zxid != b->zxid ? a->zxid > b->zxid : a->leader > b->leader;
}

static bool vote_same(const struct vote *a, const struct vote *b)
{
    return a->leader == b->leader && a->zxid == b->zxid && a->round == b->round &&
           a->peer_epoch == b->peer_epoch;
}

/* Two servers that have a leader have the same one. Their zxids and rounds differ by right: only
 * while one of them is looking must everything agree. */
static bool heard_same(const struct heard *a, const struct heard *b)
{
    if (a->state == JUTE_LOOKING || b->state == JUTE_LOOKING) {
        return vote_same(&a->vote, &b->vote);
    }
    return a->vote.leader == b->vote.leader &&
           (a->modern != b->modern || a->vote.peer_epoch == b->vote.peer_epoch);
}

static struct vote vote_of(const struct jute_notification *notification)
{
    return (struct vote){.leader = notification->leader,
                         .zxid = notification->zxid,
                         .round = notification->round,
                         .peer_epoch = notification->peer_epoch};
}

static struct vote vote_initial(const struct zab *zab)
{
    if (zab->options.members[zab->self].observer) {
        return (struct vote){INT64_MIN, INT64_MIN, 0, INT64_MIN};
    }
    return (struct vote){.leader = zab->options.id,
                         .zxid = zab->amnesiac ? -1 : zab->logged,
                         .peer_epoch = zab->wanted.current};
}

/* ---- Saying ---- */

static int32_t state_of(const struct zab *zab)
{
    switch (zab->role) {
    case ZAB_LOOKING: return JUTE_LOOKING;
    case ZAB_LEADING: return JUTE_LEADING;
    case ZAB_FOLLOWING: return JUTE_FOLLOWING;
    case ZAB_OBSERVING: return JUTE_OBSERVING;
    }
    MK_ASSERT(!"a role");
    return JUTE_LOOKING;
}

static void say(struct zab *zab, int64_t to, const struct vote *vote, int64_t round)
{
    struct zab_action *action = zab_do(zab, ZAB_NOTIFY);

    action->id = to;
    action->notification = (struct jute_notification){.state = state_of(zab),
                                                      .leader = vote->leader,
                                                      .zxid = vote->zxid,
                                                      .round = round,
                                                      .peer_epoch = vote->peer_epoch,
                                                      .version = JUTE_NOTIFICATION_VERSION,
                                                      .config = zab->options.config_text};
}

/* The own vote, to all voters; it counts as heard by oneself. */
static void announce(struct zab *zab)
{
    struct election *election = &zab->election;

    election->proposal.round = election->round;
    for (size_t i = 0; i < zab->options.members_count; i++) {
        const struct zab_member *member = &zab->options.members[i];
        if (!member->observer && i != zab->self) {
            say(zab, member->id, &election->proposal, election->round);
        }
    }
    if (!zab->options.members[zab->self].observer && !zab->amnesiac) {
        election->recv[zab->self] = (struct heard){
            .known = true, .modern = true, .state = JUTE_LOOKING, .vote = election->proposal};
    }
}

/* Whoever looks for a leader is answered, in every state. An observer's word counts for nobody: it
 * only asks. (If it answered a voter, who answers it, the two would never end.) */
static void answer(struct zab *zab, int64_t from, const struct jute_notification *notification)
{
    const struct election *election = &zab->election;
    bool looking = zab->role == ZAB_LOOKING;
    const struct vote *vote = looking ? &election->proposal : &election->current;

    if (zab->options.members[zab->self].observer) {
        return;
    }
    if (zab_voter_index(&zab->options, from) == MEMBER_NONE) {
        say(zab, from, vote, election->round);
    } else if (notification->state == JUTE_LOOKING && !looking) {
        say(zab, from, vote, vote->round);
    } else if (notification->state == JUTE_LOOKING && notification->round < election->round) {
        say(zab, from, vote, election->round);
    }
}

/* ---- Deciding ---- */

static uint64_t supporters(const struct zab *zab, const struct heard map[], const struct heard *of)
{
    uint64_t set = 0;

    for (size_t i = 0; i < zab->options.members_count; i++) {
        if (map[i].known && heard_same(&map[i], of)) {
            set |= BIT(i);
        }
    }
    return set;
}

/* A leader that is followed must say itself that it leads: those who follow may not know yet that
 * it is gone. If it is this server, it must be in this very round. */
static bool leads(const struct zab *zab, const struct heard map[], const struct vote *vote)
{
    size_t index = zab_voter_index(&zab->options, vote->leader);

    if (index == MEMBER_NONE) {
        return false;
    }
    if (vote->leader == zab->options.id) {
        return vote->round == zab->election.round && !zab->amnesiac;
    }
    return map[index].known && map[index].state == JUTE_LEADING;
}

static bool joins(const struct zab *zab, const struct heard map[], struct vote *vote)
{
    for (size_t i = 0; i < zab->options.members_count; i++) {
        const struct heard *heard = &map[i];
        if (heard->known && heard->state != JUTE_LOOKING && leads(zab, map, &heard->vote) &&
            zab_quorum(&zab->options, supporters(zab, map, heard))) {
            *vote = heard->vote;
            return true;
        }
    }
    return false;
}

/* Voters who may have a better vote than this one: not those who have voted for it, nor those who are
 * not there, as long as its own server is. The wait for them only saves an election that discovery would
 * have to begin again; so it is no harm if one of them was there after all. */
static uint64_t undecided(const struct zab *zab, const struct vote *vote, uint64_t supporters)
{
    uint64_t gone = zab->election.gone;
    size_t leader = zab_voter_index(&zab->options, vote->leader);

    MK_ASSERT(leader != MEMBER_NONE);
    if ((gone & BIT(leader)) != 0) {
        gone = 0;
    }
    return zab_voters(&zab->options) & ~supporters & ~gone;
}

/* Whether there is an outcome, and how long it waits for a better one. */
static bool outcome(const struct zab *zab, struct vote *vote, mk_ms *wait_ms)
{
    const struct election *election = &zab->election;
    struct heard mine = {.known = true, .state = JUTE_LOOKING, .vote = election->proposal};
    uint64_t set = supporters(zab, election->recv, &mine);

    *wait_ms = 0;
    if (joins(zab, election->recv, vote) || joins(zab, election->out, vote)) {
        return true;
    }
    if (!zab_quorum(&zab->options, set) || !zab_may_lead(&zab->options, mine.vote.leader)) {
        return false;
    }
    *vote = election->proposal;
    *wait_ms = undecided(zab, vote, set) != 0 ? zab->options.finalize_ms : 0;
    return true;
}

static void finish(struct zab *zab, const struct vote *vote)
{
    struct election *election = &zab->election;
    bool lead = vote->leader == zab->options.id;
    bool observer = zab->options.members[zab->self].observer;

    election->round = vote->round;
    election->current = *vote;
    election->deciding = false;
    zab->role = lead ? ZAB_LEADING : observer ? ZAB_OBSERVING : ZAB_FOLLOWING;
    struct zab_action *action = zab_do(zab, ZAB_ROLE);
    action->role = zab->role;
    action->id = vote->leader;
    if (lead) {
        zab_leader_begin(zab);
    } else {
        zab_learner_begin(zab, vote->leader);
    }
}

static void decide(struct zab *zab)
{
    struct election *election = &zab->election;
    struct vote vote;
    mk_ms wait_ms;

    if (!outcome(zab, &vote, &wait_ms)) {
        election->deciding = false;
        return;
    }
    mk_ms due = zab->now + wait_ms;
    if (election->deciding && vote_same(&vote, &election->pending) && election->decide_at < due) {
        due = election->decide_at;
    }
    if (vote.leader != zab->options.id && due < election->retry_at) {
        due = election->retry_at;
    }
    election->deciding = true;
    election->pending = vote;
    election->decide_at = due;
    if (due <= zab->now) {
        finish(zab, &vote);
    }
}

/* ---- Events ---- */

void zab_election_begin(struct zab *zab)
{
    struct election *election = &zab->election;

    MK_ASSERT(zab->role == ZAB_LOOKING && !zab->truncating && !zab->installing);
    zab->phase = PHASE_ELECTION;
    election->round++;
    memset(election->recv, 0, sizeof election->recv);
    memset(election->out, 0, sizeof election->out);
    election->initial = vote_initial(zab);
    election->proposal = election->initial;
    election->deciding = false;
    election->resend_ms = zab->options.notify_min_ms;
    election->resend_at = zab->now + election->resend_ms;
    announce(zab);
    decide(zab);
}

static void heard_looking(struct zab *zab, size_t index,
                          const struct jute_notification *notification)
{
    struct election *election = &zab->election;
    struct vote vote = vote_of(notification);

    election->out[index].known = false;
    if (vote.zxid == -1 || zab->amnesiac || vote.round < election->round) {
        return;
    }
    if (vote.round > election->round) {
        election->round = vote.round;
        memset(election->recv, 0, sizeof election->recv);
        election->proposal = vote_beats(zab, &vote, &election->initial) ? vote : election->initial;
        announce(zab);
    } else if (vote_beats(zab, &vote, &election->proposal)) {
        election->proposal = vote;
        announce(zab);
    } else if (vote_beats(zab, &election->proposal, &vote)) {
        /* It may have been told while it still followed a leader, and have thought nothing of it. */
        say(zab, zab->options.members[index].id, &election->proposal, election->round);
    }
    election->recv[index] = (struct heard){
        .known = true, .modern = notification->version > 0, .state = JUTE_LOOKING, .vote = vote};
}

static void heard_settled(struct zab *zab, size_t index,
                          const struct jute_notification *notification)
{
    struct election *election = &zab->election;
    struct heard heard = {.known = true,
                          .modern = notification->version > 0,
                          .state = notification->state,
                          .vote = vote_of(notification)};

    if (heard.vote.round == election->round) {
        election->recv[index] = heard;
    }
    election->out[index] = heard;
}

void zab_notified(struct zab *zab, int64_t from, const struct jute_notification *notification)
{
    size_t index = zab_voter_index(&zab->options, from);

    if (zab->phase == PHASE_NONE || zab->phase == PHASE_SETTLING || from == zab->options.id ||
        notification->round < 0 || notification->round > ROUND_MAX) {
        return;
    }
    answer(zab, from, notification);
    if (zab->phase != PHASE_ELECTION || index == MEMBER_NONE ||
        zab_voter_index(&zab->options, notification->leader) == MEMBER_NONE) {
        return;
    }
    if (notification->state == JUTE_LOOKING) {
        heard_looking(zab, index, notification);
    } else if (notification->state == JUTE_FOLLOWING || notification->state == JUTE_LEADING) {
        heard_settled(zab, index, notification);
    }
    decide(zab);
}

void zab_reachable(struct zab *zab, int64_t id, bool reachable)
{
    size_t index = zab_voter_index(&zab->options, id);

    if (index == MEMBER_NONE || index == zab->self) {
        return;
    }
    zab->election.gone &= ~BIT(index);
    zab->election.gone |= reachable ? 0 : BIT(index);
    if (zab->phase == PHASE_ELECTION) {
        decide(zab);
    }
}

void zab_election_tick(struct zab *zab)
{
    struct election *election = &zab->election;

    if (election->resend_at <= zab->now) {
        election->resend_ms = election->resend_ms * 2 < zab->options.notify_max_ms
                                  ? election->resend_ms * 2
                                  : zab->options.notify_max_ms;
        election->resend_at = zab->now + election->resend_ms;
        announce(zab);
    }
    decide(zab);
}

mk_ms zab_election_next_tick(const struct zab *zab)
{
    const struct election *election = &zab->election;
    uint64_t others = zab_voters(&zab->options) & ~BIT(zab->self);
    mk_ms due = others == 0 ? INT64_MAX : election->resend_at;

    return election->deciding && election->decide_at < due ? election->decide_at : due;
}

/* A leader that cannot be followed, time and again, is not asked without a pause: but never so long
 * that a leader who waits for this server would give up. */
void zab_election_failed(struct zab *zab)
{
    struct election *election = &zab->election;
    mk_ms pause_ms = zab_ticks_ms(zab, zab->options.init_limit) / 4;
    unsigned doublings = election->failures < 10 ? election->failures : 10;

    if (pause_ms > ((mk_ms)REFOLLOW_MS << doublings)) {
        pause_ms = (mk_ms)REFOLLOW_MS << doublings;
    }
    election->failures++;
    election->retry_at = zab->now + pause_ms;
}
