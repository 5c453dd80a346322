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

/* ---- Votes ---- */

static bool vote_beats(const struct zab *zab, const struct vote *a, const struct vote *b)
{
    if (!zab_may_lead(zab, a->leader)) {
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

/* Who does not vote proposes nobody; a voter of the next configuration alone votes for others. */
static struct vote vote_initial(const struct zab *zab)
{
    if (!zab_votes_in(&zab->active.config, zab->options.id)) {
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
                                                      .version = JUTE_NOTIFICATION_VERSION};
}

/* The own vote, to all voters; it counts as heard by oneself. */
static void announce(struct zab *zab)
{
    struct election *election = &zab->election;

    election->proposal.round = election->round;
    for (int64_t id = 0; id < IDS; id++) {
        if (id != zab->options.id && zab_votes(zab, id)) {
            say(zab, id, &election->proposal, election->round);
        }
    }
    if (zab_votes(zab, zab->options.id) && !zab->amnesiac) {
        election->recv[zab->options.id] = (struct heard){
            .known = true, .modern = true, .state = JUTE_LOOKING, .vote = election->proposal};
    }
}

/* Whoever looks for a leader is answered, in every state. The word of who does not vote counts for nobody:
 * it only asks. (If it answered a voter, who answers it, the two would never end.) But to who looks, and
 * knows older members, it says which ones there are. */
static void answer(struct zab *zab, int64_t from, const struct jute_notification *notification,
                   bool again, bool older)
{
    const struct election *election = &zab->election;
    bool looking = zab->role == ZAB_LOOKING;
    const struct vote *vote = looking ? &election->proposal : &election->current;

    if (!zab_votes(zab, zab->options.id)) {
        if (older && !again && !looking && notification->state == JUTE_LOOKING) {
            say(zab, from, vote, vote->round);
        }
    } else if (!zab_votes(zab, from)) {
        say(zab, from, vote, election->round);
    } else if (notification->state == JUTE_LOOKING && !looking) {
        say(zab, from, vote, vote->round);
    } else if (notification->state == JUTE_LOOKING && notification->round < election->round &&
               !again) {
        say(zab, from, vote, election->round);
    }
}

/* ---- Deciding ---- */

static struct ids supporters(const struct heard map[], const struct heard *of)
{
    struct ids set = {0};

    for (int64_t id = 0; id < IDS; id++) {
        if (map[id].known && heard_same(&map[id], of)) {
            ids_add(&set, id);
        }
    }
    return set;
}

/* A leader that is followed must say itself that it leads: those who follow may not know yet that
 * it is gone. If it is this server, it must be in this very round. */
static bool leads(const struct zab *zab, const struct heard map[], const struct vote *vote)
{
    if (!zab_votes(zab, vote->leader)) {
        return false;
    }
    if (vote->leader == zab->options.id) {
        return vote->round == zab->election.round && !zab->amnesiac;
    }
    return map[vote->leader].known && map[vote->leader].state == JUTE_LEADING;
}

static bool joins(const struct zab *zab, const struct heard map[], struct vote *vote)
{
    for (int64_t id = 0; id < IDS; id++) {
        const struct heard *heard = &map[id];
        if (!heard->known || heard->state == JUTE_LOOKING || !leads(zab, map, &heard->vote)) {
            continue;
        }
        struct ids set = supporters(map, heard);
        if (zab_agree(zab, &set)) {
            *vote = heard->vote;
            return true;
        }
    }
    return false;
}

/* Voters who may have a better vote than this one: not those who have voted for it, nor those who are
 * not there, as long as its own server is. The wait for them only saves an election that discovery would
 * have to begin again; so it is no harm if one of them was there after all. */
static bool undecided(const struct zab *zab, const struct vote *vote, const struct ids *supporters)
{
    bool there = !ids_have(&zab->election.gone, vote->leader);

    for (int64_t id = 0; id < IDS; id++) {
        bool gone = there && ids_have(&zab->election.gone, id);
        if (!gone && !ids_have(supporters, id) && zab_votes(zab, id)) {
            return true;
        }
    }
    return false;
}

/* Whether there is an outcome, and how long it waits for a better one. */
static bool outcome(const struct zab *zab, struct vote *vote, mk_ms *wait_ms)
{
    const struct election *election = &zab->election;
    struct heard mine = {.known = true, .state = JUTE_LOOKING, .vote = election->proposal};
    struct ids set = supporters(election->recv, &mine);

    *wait_ms = 0;
    if (joins(zab, election->recv, vote) || joins(zab, election->out, vote)) {
        return true;
    }
    if (!zab_agree(zab, &set) || !zab_may_lead(zab, mine.vote.leader)) {
        return false;
    }
    *vote = election->proposal;
    *wait_ms = undecided(zab, vote, &set) ? zab->options.finalize_ms : 0;
    return true;
}

static void finish(struct zab *zab, const struct vote *vote)
{
    struct election *election = &zab->election;
    bool lead = vote->leader == zab->options.id;
    bool observer = zab_observes(zab, zab->options.id);

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

void zab_election_skip(struct zab *zab, int64_t leader)
{
    struct election *election = &zab->election;
    struct vote vote = {.leader = leader,
                        .zxid = zab->logged,
                        .round = election->round,
                        .peer_epoch = zab->wanted.current};

    MK_ASSERT(zab->phase == PHASE_ELECTION && zab_votes(zab, leader));
    finish(zab, &vote);
}

void zab_election_begin(struct zab *zab)
{
    struct election *election = &zab->election;

    MK_ASSERT(zab->role == ZAB_LOOKING && !zab->truncating && !zab->installing);
    zab->phase = PHASE_ELECTION;
    election->round++;
    memset(election->recv, 0, sizeof election->recv);
    memset(election->out, 0, sizeof election->out);
    memset(election->asked, 0, sizeof election->asked);
    election->initial = vote_initial(zab);
    election->proposal = election->initial;
    election->deciding = false;
    election->resend_ms = zab->options.notify_min_ms;
    election->resend_at = zab->now + election->resend_ms;
    announce(zab);
    decide(zab);
}

static void heard_looking(struct zab *zab, int64_t from,
                          const struct jute_notification *notification, bool again)
{
    struct election *election = &zab->election;
    struct vote vote = vote_of(notification);

    election->out[from].known = false;
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
    } else if (vote_beats(zab, &election->proposal, &vote) && !again) {
        /* It may have been told while it still followed a leader, and have thought nothing of it. */
        say(zab, from, &election->proposal, election->round);
    }
    election->recv[from] = (struct heard){
        .known = true, .modern = notification->version > 0, .state = JUTE_LOOKING, .vote = vote};
}

static void heard_settled(struct zab *zab, int64_t from,
                          const struct jute_notification *notification)
{
    struct election *election = &zab->election;
    struct heard heard = {.known = true,
                          .modern = notification->version > 0,
                          .state = notification->state,
                          .vote = vote_of(notification)};

    if (heard.vote.round == election->round) {
        election->recv[from] = heard;
    }
    election->out[from] = heard;
}

/* Two who do not agree on who votes could answer each other for ever: who repeats itself has been told. */
static bool said_before(struct zab *zab, int64_t from, const struct jute_notification *notification)
{
    struct heard *asked = ids_valid(from) ? &zab->election.asked[from] : NULL;
    struct vote vote = vote_of(notification);

    if (asked == NULL || notification->state != JUTE_LOOKING) {
        return false;
    }
    bool before = asked->known && vote_same(&asked->vote, &vote);
    *asked = (struct heard){.known = true, .state = notification->state, .vote = vote};
    return before;
}

/* What a member knows to have committed is so, wherever this one was meanwhile. */
static void learn(struct zab *zab, const struct zab_config *config)
{
    if (zab->phase == PHASE_ELECTION && zab->options.reconfig && config != NULL &&
        config->version > zab->active.config.version) {
        zab_members_adopt(zab, config, 0);
        zab_election_begin(zab);
    }
}

void zab_notified(struct zab *zab, int64_t from, const struct jute_notification *notification,
                  const struct zab_config *config)
{
    if (zab->phase == PHASE_NONE || zab->phase == PHASE_SETTLING || from == zab->options.id ||
        notification->round < 0 || notification->round > ROUND_MAX) {
        return;
    }
    learn(zab, config);
    bool again = said_before(zab, from, notification);
    bool older = config != NULL && config->version < zab->active.config.version;
    answer(zab, from, notification, again, older);
    if (zab->phase != PHASE_ELECTION || !zab_votes(zab, from) ||
        !zab_votes(zab, notification->leader)) {
        return;
    }
    if (notification->state == JUTE_LOOKING) {
        heard_looking(zab, from, notification, again);
    } else if (notification->state == JUTE_FOLLOWING || notification->state == JUTE_LEADING) {
        heard_settled(zab, from, notification);
    }
    decide(zab);
}

void zab_reachable(struct zab *zab, int64_t id, bool reachable)
{
    if (!ids_valid(id) || id == zab->options.id) {
        return;
    }
    if (reachable) {
        ids_remove(&zab->election.gone, id);
    } else {
        ids_add(&zab->election.gone, id);
    }
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

static bool alone(const struct zab *zab)
{
    for (int64_t id = 0; id < IDS; id++) {
        if (id != zab->options.id && zab_votes(zab, id)) {
            return false;
        }
    }
    return true;
}

mk_ms zab_election_next_tick(const struct zab *zab)
{
    const struct election *election = &zab->election;
    mk_ms due = alone(zab) ? INT64_MAX : election->resend_at;

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
