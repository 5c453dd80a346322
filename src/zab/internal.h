/* What the files of zab share. An event's function records what happened and calls the one function
 * that moves the phase: zab_leader_advance(), zab_learner_advance(), or the election's
 * zab_election_decide(). */
#ifndef ZAB_INTERNAL_H
#define ZAB_INTERNAL_H

#include "zab/zab.h"

#define COUNTER_MAX 0xfffffffeLL /* all ones would run into the bits of the epoch */
#define ROUND_MAX (1LL << 62)    /* of the election's rounds; so far only a liar gets */
#define REDIALS_MAX 6            /* a leader that is not one yet hangs up: it is asked again */
#define REDIAL_MS 10             /* ... after this, and after twice as long each time */
#define REFOLLOW_MS 100 /* who was followed in vain is not followed again before; doubling, too */
#define ACTION_BYTES_MAX 28 /* data that a packet carries itself: LearnerInfo is the longest */
/* Of one event: each learner is sent something and dropped, each member notified, and the rest. */
#define ACTIONS_MAX (3 * ZAB_LEARNERS_MAX + 8 * ZAB_MEMBERS_MAX + 64)

#define EPOCH_OF(zxid) ((int64_t)((zxid) >> 32))
#define COUNTER_OF(zxid) ((zxid)&0xffffffffLL)
#define EPOCH_BEGIN(epoch) ((mk_zxid)((uint64_t)(epoch) << 32))

enum phase {
    PHASE_NONE,     /* before zab_start(), after ZAB_FAIL */
    PHASE_SETTLING, /* LOOKING, but the disk is still cutting the log or replacing the state */
    PHASE_ELECTION,

    LEADER_COLLECTING,    /* a quorum's accepted epochs */
    LEADER_PROMISING,     /* its own one is being stored */
    LEADER_COMPARING,     /* a quorum's histories with its own */
    LEADER_TAKING,        /* its current epoch is being stored */
    LEADER_SYNCHRONISING, /* a quorum shall have its history */
    LEADER_BROADCAST,

    LEARNER_DIALLING,
    LEARNER_REDIALLING, /* waits before it dials again */
    LEARNER_GREETED,    /* FOLLOWERINFO is sent; LEADERINFO comes */
    LEARNER_PROMISING,  /* the accepted epoch is being stored */
    LEARNER_PROMISED,   /* ACKEPOCH is sent; DIFF, TRUNC or SNAP comes */
    LEARNER_HISTORY,    /* until NEWLEADER */
    LEARNER_TAKING,     /* history, then the current epoch, is becoming durable */
    LEARNER_TAKEN,      /* ACK of NEWLEADER is sent; UPTODATE comes */
    LEARNER_SERVING,
};

#define IDS (ZAB_ID_MAX + 1) /* what is known of servers is kept by id: members come and go */

struct ids { /* a set of servers */
    uint64_t bits[(IDS + 63) / 64];
};

struct vote {
    int64_t leader;
    mk_zxid zxid;
    int64_t round;
    int64_t peer_epoch;
};

struct heard { /* a member's last word */
    bool known;
    bool modern; /* version > 0 */
    int32_t state;
    struct vote vote;
};

struct election {
    int64_t round; /* the logical clock */
    struct vote initial;
    struct vote proposal;
    struct vote current;     /* how the last election ended */
    struct heard recv[IDS];  /* votes of this round, the own one included */
    struct heard out[IDS];   /* servers that have a leader */
    struct heard asked[IDS]; /* who looks for a leader: what it said last */
    struct ids gone;         /* who cannot be reached, in this election or before it */
    mk_ms resend_ms;
    mk_ms resend_at;
    struct vote pending; /* has a quorum, and waits until decide_at */
    bool deciding;
    mk_ms decide_at;
    unsigned failures; /* leaders followed in vain, in a row */
    mk_ms retry_at;    /* no leader is followed before */
};

struct epochs {
    int64_t accepted; /* no leader of an older one is followed */
    int64_t current;  /* the history is that of this one's leader */
};

struct leading {
    struct epochs own;    /* at the beginning: what followers' histories are compared with */
    mk_zxid own_zxid;     /* likewise */
    int64_t accepted_max; /* of all that were seen */
    struct ids compared;  /* whose ACKEPOCH counts */
    struct ids taken;     /* who has acknowledged NEWLEADER */
    mk_zxid acked[IDS];
    bool
        counts; /* something was acknowledged: what it commits is found when actions are asked for */
    struct mk_link learners;
    size_t learners_count;
    mk_ms deadline; /* of a phase before broadcast */
    mk_ms ping_at;
    bool exhausted; /* the counter is used up */
    bool retired;   /* the members have changed, and another is to lead: nothing commits any more */
    int64_t heir;   /* ... which one; -1: whoever is elected */
};

struct learning {
    int64_t leader;
    mk_ms deadline;
    mk_ms redial_at;
    unsigned redials;
    bool promised_before; /* ACKEPOCH says -1 */
    bool announced;       /* the leader has */
    mk_zxid installed;    /* the snapshot's zxid; -1: there was none */
    mk_zxid history;      /* the last zxid before NEWLEADER */
    mk_zxid commits;      /* told to be committed, served or not */
    mk_zxid ack_from;     /* what is acknowledged after UPTODATE begins behind this */
    mk_zxid ack_next;     /* proposals from here on are acknowledged when durable; 0: not yet */
    int64_t heir;         /* the leader that is to be, once it serves; -1: it has not been said */
};

enum learner_state {
    HANDLER_NEW,      /* has said nothing */
    HANDLER_GREETED,  /* FOLLOWERINFO read */
    HANDLER_OFFERED,  /* LEADERINFO sent */
    HANDLER_PROMISED, /* ACKEPOCH read */
    HANDLER_SYNCHRONISING,
    HANDLER_REGISTERED, /* NEWLEADER sent */
    HANDLER_TAKEN,      /* has acknowledged it */
    HANDLER_SERVING,    /* UPTODATE sent */
    HANDLER_DROPPED,    /* ZAB_DROP is on its way */
};

struct zab_learner {
    struct mk_link link;
    void *owner;
    enum learner_state state;
    int64_t id;
    bool observer;
    bool announces;
    int64_t accepted;
    mk_zxid zxid;         /* its last logged one */
    mk_zxid synchronised; /* what it lacked of all that had committed by then is sent */
    mk_zxid acked;
    mk_zxid mark; /* this proposal it shall have acknowledged in time; 0: none */
    mk_ms mark_at;
    mk_ms deadline;
};

struct members {              /* a configuration, and what it points to */
    struct zab_config config; /* none if it has no members */
    struct mk_buf text;
    mk_zxid zxid; /* of the transaction in the log that proposes it; 0: NEWLEADER does */
};

struct queued {
    struct zab_action action;
    uint8_t data[ACTION_BYTES_MAX];
};

struct zab {
    struct zab_options options; /* its config is not looked at */
    struct members active;
    struct members next; /* proposed, and not known to be committed: later than the active one */
    int64_t next_stored; /* the version of that which is durable, if it is not in the log */
    struct mk_buf told;  /* scratch: the text of one, with its version */
    mk_ms now;
    enum zab_role role;
    enum phase phase;
    int64_t epoch;

    struct epochs wanted; /* what was promised or taken: what follows from it waits for `stored` */
    struct epochs stored;
    struct epochs storing;
    bool storing_now;

    mk_zxid logged;    /* the last appended one */
    mk_zxid durable;   /* of these, the last that is on disk */
    mk_zxid proposed;  /* leader: last handed out, or epoch << 32 */
    mk_zxid committed; /* 0 until established */
    mk_zxid known;     /* the highest that was ever committed here: nothing below it may go */
    bool truncating;
    bool installing;
    bool amnesiac; /* what was here may be lost: no vote until synchronised */

    struct election election;
    struct leading lead;
    struct learning learn;

    struct queued *queue;
    size_t queue_cap, queue_head, queue_count;
    struct queued current;       /* the action that was taken last: its packet's data */
    struct zab_learner *dropped; /* freed when the next one is asked for */

    mk_ms time_ms; /* log time: see zab_time() */
    mk_ms time_monotonic_ms;
    bool time_known;
};

/* quorum.c */
bool zab_quorum(const struct zab_config *config, const struct ids *set);
const struct zab_member *zab_member_find(const struct zab_config *config, int64_t id); /* or NULL */
bool zab_votes_in(const struct zab_config *config, int64_t id);

/* members.c */
void zab_members_init(struct zab *zab, const struct zab_config *config);
void zab_members_free(struct zab *zab);
bool zab_members_pending(const struct zab *zab); /* there is a next one */
/* Of both, the active one and the next. */
bool zab_agree(const struct zab *zab, const struct ids *set);
bool zab_votes(const struct zab *zab, int64_t id); /* in one of them */
bool zab_may_lead(const struct zab *zab, int64_t id);
bool zab_observes(const struct zab *zab, int64_t id); /* as a member that does not vote */
void zab_members_activate(struct zab *zab);           /* the next one */
void zab_members_adopt(struct zab *zab, const struct zab_config *config, mk_zxid zxid);
void zab_members_begin(struct zab *zab, int64_t version); /* the initial ones get a version */
void zab_members_offered(struct zab *zab, const struct zab_config *config);
bool zab_members_durable(const struct zab *zab);     /* as far as NEWLEADER's ACK promises it */
void zab_members_cut(struct zab *zab, mk_zxid zxid); /* the log ends there */
struct mk_bytes zab_members_text(struct zab *zab, const struct zab_config *config);

/* actions.c */
struct zab_action *zab_do(struct zab *zab, enum zab_action_kind kind);
struct zab_action *zab_do_send(struct zab *zab, struct zab_learner *learner, int32_t type,
                               mk_zxid zxid);
void zab_do_send_data(struct zab *zab, struct zab_learner *learner, int32_t type, mk_zxid zxid,
                      const struct mk_buf *data);
void zab_forget_actions(struct zab *zab, const struct zab_learner *learner);

/* zab.c */
void zab_leave(struct zab *zab, const char *why); /* whatever it was: LOOKING */
/* ... and on to that leader, without an election; -1: to an election after all. */
void zab_leave_to(struct zab *zab, int64_t leader, const char *why);
void zab_fail(struct zab *zab, const char *why);

/* election.c */
void zab_election_begin(struct zab *zab);
void zab_election_skip(struct zab *zab, int64_t leader); /* the old one has named it */
void zab_election_failed(struct zab *zab); /* the leader that was followed came to nothing */
void zab_election_tick(struct zab *zab);
mk_ms zab_election_next_tick(const struct zab *zab);

/* leader.c */
void zab_leader_begin(struct zab *zab);
void zab_leader_advance(struct zab *zab);
void zab_leader_end(struct zab *zab);
void zab_leader_tick(struct zab *zab);
mk_ms zab_leader_next_tick(const struct zab *zab);
void zab_learner_drop(struct zab *zab, struct zab_learner *learner, const char *why);
struct zab_learner *zab_learner_next(const struct zab *zab, const struct zab_learner *previous);

/* learner.c */
void zab_learner_begin(struct zab *zab, int64_t leader);
void zab_learner_advance(struct zab *zab);
void zab_learner_tick(struct zab *zab);
mk_ms zab_learner_next_tick(const struct zab *zab);

/* discovery.c: the leader's side, then the learner's, as in the two below */
void zab_leader_discovers(struct zab *zab, struct zab_learner *learner,
                          const struct jute_packet *packet);
void zab_leader_offer(struct zab *zab, struct zab_learner *learner);
void zab_learner_greet(struct zab *zab);
void zab_learner_discovers(struct zab *zab, const struct jute_packet *packet);
void zab_learner_promised(struct zab *zab);

/* synchronization.c */
void zab_leader_synchronises(struct zab *zab, struct zab_learner *learner);
void zab_leader_taken(struct zab *zab, struct zab_learner *learner);
void zab_learner_header(struct zab *zab, const struct jute_packet *packet);
void zab_learner_history(struct zab *zab, const struct jute_packet *packet,
                         const struct zab_config *config);
void zab_learner_take(struct zab *zab);
void zab_learner_late(struct zab *zab, const struct jute_packet *packet,
                      const struct zab_config *config);

/* broadcast.c */
void zab_leader_acked(struct zab *zab, struct zab_learner *learner, mk_zxid zxid);
void zab_leader_commit(struct zab *zab);
bool zab_follows(mk_zxid before, mk_zxid zxid);
bool zab_learner_append(struct zab *zab, mk_zxid zxid,
                        const struct zab_config *config); /* false: it has been left */
bool zab_learner_commit(struct zab *zab, mk_zxid zxid);   /* likewise */
void zab_learner_live(struct zab *zab, const struct jute_packet *packet,
                      const struct zab_config *config);
void zab_learner_activate(struct zab *zab, const struct jute_packet *packet,
                          const struct zab_config *config);
bool zab_learner_moves(struct zab *zab); /* the members have changed, and so it has left */
bool zab_learner_ack_next(struct zab *zab, struct zab_action *out);

static inline mk_ms zab_ticks_ms(const struct zab *zab, uint32_t ticks)
{
    return zab->options.tick_ms * (mk_ms)ticks;
}

static inline bool ids_valid(int64_t id)
{
    return id >= 0 && id <= ZAB_ID_MAX;
}

static inline void ids_add(struct ids *set, int64_t id)
{
    MK_ASSERT(ids_valid(id));
    set->bits[id / 64] |= (uint64_t)1 << (id % 64);
}

static inline void ids_remove(struct ids *set, int64_t id)
{
    MK_ASSERT(ids_valid(id));
    set->bits[id / 64] &= ~((uint64_t)1 << (id % 64));
}

static inline bool ids_have(const struct ids *set, int64_t id)
{
    return ids_valid(id) && (set->bits[id / 64] >> (id % 64) & 1) != 0;
}

/* Whether its word is counted where it is a voter: a learner that follows. */
static inline bool zab_learner_counts(const struct zab_learner *learner)
{
    return !learner->observer && ids_valid(learner->id);
}

static inline bool zab_leader_role(const struct zab *zab)
{
    return zab->role == ZAB_LEADING;
}

#endif
