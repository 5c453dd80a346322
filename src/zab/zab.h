/* Zab, the agreement on one order of transactions, as ZooKeeper's servers speak it: who leads, what
 * a learner's log lacks, what has a quorum. (state, event) -> (state, actions): an event goes in,
 * and what is to be done comes out. It knows zxids and epochs, never a transaction's bytes; it has
 * no clock and touches neither log nor network: the server does both on its word.
 *
 *   event (zab_tick, zab_notified, zab_leader_packet, zab_logged, ...)
 *     -> while (zab_action(zab, &action)) do it, in this order
 *
 * A standalone server is an ensemble of one: it elects itself at once, and its own log is the
 * quorum. Sources: Zab (Junqueira, Reed, Serafini, DSN 2011); ZooKeeper's wire protocol. */
#ifndef MK_ZAB_H
#define MK_ZAB_H

#include "base/base.h"
#include "jute/jute.h"

#define ZAB_MEMBERS_MAX 64 /* a set of them is the bits of one word */
#define ZAB_LEARNERS_MAX \
    512                /* connections to one leader; more are refused, as more observers are */
#define ZAB_ID_MAX 254 /* the top byte of session ids; 255 would make TTLs ambiguous */
#define ZAB_LIMIT_MAX 1000000 /* ticks: of init_limit and sync_limit */
#define ZAB_TICK_MS_MAX 3600000
#define ZAB_EPOCH_MAX 0x7ffffffeLL /* zxids are signed, and there is always a next epoch */

struct zab_member {
    int64_t id; /* 0 to ZAB_ID_MAX */
    bool observer;
    uint32_t weight; /* these two count only if the ensemble is hierarchical */
    int64_t group;
    uint64_t address; /* of its quorum port: another number if it is another address */
};

/* Who the members are. The later of two has the larger version; 0 is what a server is configured with
 * before any ensemble has agreed on it. */
struct zab_config {
    struct zab_member members[ZAB_MEMBERS_MAX];
    size_t members_count; /* at least one that votes */
    bool hierarchical;
    struct mk_bytes text; /* the lines about members, without that of the version; borrowed */
    int64_t version;
};

struct zab_options {
    int64_t id;               /* this server's; it need not be a member: then it follows, unheard */
    struct zab_config config; /* what it starts with; the text is copied */
    bool reconfig;            /* members may change */
    mk_ms tick_ms;
    uint32_t init_limit; /* ticks for each step until a leader is established */
    uint32_t sync_limit; /* ticks that a peer may be silent, and a proposal unacknowledged */
    mk_ms finalize_ms;   /* how long a quorum of votes waits for a better one */
    mk_ms notify_min_ms; /* votes are said again after this, doubling */
    mk_ms notify_max_ms;
    bool announces; /* says to leader and learners that this server runs recipes */
};

enum zab_role { ZAB_LOOKING, ZAB_LEADING, ZAB_FOLLOWING, ZAB_OBSERVING };

struct zab;
struct zab_learner; /* a connection to this leader */

/* ---- Life ---- */

/* Asserts that the options are in their ranges: who reads them from a file checks them first. */
struct zab *zab_new(const struct zab_options *options);
void zab_free(struct zab *zab); /* with all learners */

/* Once. Both epochs are what is durable: ZAB_EPOCH_MAX >= accepted >= current >= 0; `logged` is the
 * last zxid in the own log (or what its state holds, if that is more), committed or not. -1: what
 * was here may be lost; then this server does not vote until a leader has synchronised it. */
void zab_start(struct zab *zab, int64_t accepted_epoch, int64_t current_epoch, mk_zxid logged,
               mk_ms now);

/* Monotonic. Every other event happens at the time of the last tick: so tick first. */
void zab_tick(struct zab *zab, mk_ms now);
mk_ms zab_next_tick(const struct zab *zab); /* when, at the latest; INT64_MAX: never */

/* ---- Events: the election ---- */

/* `config`: the one in the notification, as far as it can be read; or NULL. One that is later than the
 * own one is taken over by who looks for a leader: its sender knows that it has committed. */
void zab_notified(struct zab *zab, int64_t from, const struct jute_notification *notification,
                  const struct zab_config *config);
/* Whether that server can be reached for elections: a connection with it stands, or it broke, or was
 * refused, and there has been none since. Nobody waits for the vote of a server that is not there; whose
 * state was never told may be. */
void zab_reachable(struct zab *zab, int64_t id, bool reachable);

/* ---- Events: the connection to the leader ---- */

void zab_dialled(struct zab *zab, bool connected); /* the answer to ZAB_DIAL */
/* Every packet that the leader sends, also those that are the server's business alone (SYNC,
 * REVALIDATE, the touches in an answer to PING). None between ZAB_INSTALL and zab_installed().
 * `config`: what a reconfig's transaction in it changes the members to, or what NEWLEADER says that
 * they are; NULL: it has none. */
void zab_leader_packet(struct zab *zab, const struct jute_packet *packet,
                       const struct zab_config *config);
void zab_leader_alive(struct zab *zab); /* it sends, but not packets: a snapshot */
/* The connection broke, or cannot be read any further. `why` lives until ZAB_ROLE is taken. */
void zab_leader_lost(struct zab *zab, const char *why);

/* ---- Events: connections to this leader ---- */

bool zab_accepts_learners(const struct zab *zab);
/* NULL: not now, or too many. `owner` is the caller's. */
struct zab_learner *zab_learner_new(struct zab *zab, void *owner);
void *zab_learner_owner(const struct zab_learner *learner);
/* As zab_leader_packet(). A ZAB_DROP may be the consequence. Of ACKs alone several may be handed in
 * before actions are asked for. */
void zab_learner_packet(struct zab *zab, struct zab_learner *learner,
                        const struct jute_packet *packet);
void zab_learner_alive(struct zab *zab,
                       struct zab_learner *learner); /* it takes a snapshot's bytes */
void zab_learner_lost(struct zab *zab, struct zab_learner *learner); /* frees it */
/* The answer to ZAB_SYNCHRONISE: the header, the history and every outstanding proposal (these to
 * followers only) have been written to it. From now on it is registered. */
void zab_learner_synchronised(struct zab *zab, struct zab_learner *learner);

int64_t zab_learner_id(const struct zab_learner *learner);
bool zab_learner_unknown(const struct zab_learner *learner);    /* has not said who it is */
bool zab_learner_observer(const struct zab_learner *learner);   /* gets INFORM */
bool zab_learner_registered(const struct zab_learner *learner); /* gets live traffic */
bool zab_learner_serving(const struct zab_learner *learner);    /* UPTODATE is sent */
mk_zxid zab_learner_acked(const struct zab_learner *learner);   /* 0: nothing of this epoch */
bool zab_learner_known(const struct zab_learner *learner);      /* it has said who it is, */
bool zab_learner_announces(const struct zab_learner *learner);  /* and that it runs recipes */

/* ---- Events: the own disk. What is done to the log happens in the order in which it was asked
 * for, and so do epochs; the two may overtake each other. ---- */

void zab_epochs_stored(struct zab *zab); /* the answer to ZAB_STORE_EPOCHS */
/* Everything appended through `zxid` is durable. Not between ZAB_TRUNCATE and zab_truncated(), nor
 * between ZAB_INSTALL and zab_installed(): what was under way then may be gone. */
void zab_logged(struct zab *zab, mk_zxid zxid);
void zab_truncated(struct zab *zab);               /* the answer to ZAB_TRUNCATE: all durable */
void zab_installed(struct zab *zab, mk_zxid zxid); /* the answer to ZAB_INSTALL: durable */

/* ---- The established leader ---- */

/* The zxid of the next proposal. False: the epoch's are used up (or this server does not lead); as
 * soon as all that is proposed has committed, the leader steps down, and the next epoch begins. */
bool zab_next(struct zab *zab, mk_zxid *zxid);
/* A proposal with that zxid has been made; it goes to the own log and to registered learners. */
void zab_propose(struct zab *zab, mk_zxid zxid);

/* ---- Members ---- */

/* The transaction with that zxid changes the members: it was proposed a moment ago; or, between
 * zab_new() and zab_start(), it was found in the log, or is what zab_members_stored() was about (0); those
 * in the order of their versions. From now on a quorum is one of both, the old members and the new; when it
 * commits, the new ones alone. */
void zab_reconfigure(struct zab *zab, mk_zxid zxid, const struct zab_config *config);
/* A proposed configuration that is not in the log (zab_config_next_logged()) is durable: the answer to
 * ZAB_MEMBERS. */
void zab_members_stored(struct zab *zab, int64_t version);
bool zab_config_next_logged(const struct zab *zab);
/* Whether a quorum of these, were they the members, has this leader's history. */
bool zab_config_synced(const struct zab *zab, const struct zab_config *config);
/* How it is now, until the next event: the members; those that are proposed, or NULL. */
const struct zab_config *zab_config(const struct zab *zab);
const struct zab_config *zab_config_next(const struct zab *zab);

/* ---- What is so ---- */

enum zab_role zab_role(const struct zab *zab);
bool zab_established(const struct zab *zab);      /* ZAB_SERVE was said in this role */
int64_t zab_leader(const struct zab *zab);        /* -1 while LOOKING */
bool zab_leader_announces(const struct zab *zab); /* the leader, also if it is this server */
int64_t zab_epoch(const struct zab *zab);         /* of the leader; 0 while none is agreed on */
/* The last zxid handed out, or epoch << 32; of a learner: the last in its log. */
mk_zxid zab_proposed(const struct zab *zab);
mk_zxid zab_committed(const struct zab *zab); /* since ZAB_SERVE; before it 0 */
/* The ids of voters that count as synchronised with this leader, itself included. */
size_t zab_synced_voters(const struct zab *zab);

void zab_check(const struct zab *zab); /* asserts every invariant */

/* ---- Actions ---- */

enum zab_action_kind {
    ZAB_NOTIFY, /* .id .notification: to that server's election connection; the latest counts */
    /* .role .leader .why: a new role. What belonged to the old one is void: clients are
     * disconnected (sessions live on), what is proposed and not committed is no longer to be seen.
     * ZAB_DROP and ZAB_HANG_UP for its connections came before. `why` is NULL if there is nothing
     * to say. */
    ZAB_ROLE,
    ZAB_DIAL,    /* .id: connect to that member's quorum port, five tries, 100 ms apart; answer */
    ZAB_HANG_UP, /* close the connection to the leader, or stop dialling; nothing of it any more */
    ZAB_DROP,    /* .learner .why: close that connection. Freed when the next action is asked for */
    /* .learner (NULL: the leader) .packet: behind everything written to it before. The data of an
     * answer to PING (type PING to the leader) is the server's to add. */
    ZAB_SEND,
    ZAB_STORE_EPOCHS, /* .accepted .current: make durable, the first one first; answer */
    /* .learner .zxid, its last logged one: write what it lacks (zab_sync_plan() says what) and all
     * that is outstanding; answer. Nothing else is written to it meanwhile. */
    ZAB_SYNCHRONISE,
    /* .zxid: remove what the log has above it; answer. If that is below what is applied, or the log
     * does not have it: the server must stop, it cannot follow. */
    ZAB_TRUNCATE,
    /* .zxid .forgets: a snapshot comes next from the leader, to replace state and log; answer when
     * it has. After a ZAB_HANG_UP it must be answered, too: with the last zxid of the log as it is
     * then. `forgets`: something above the snapshot's zxid that the log loses may have been
     * committed: before that, mark durably that the next zab_start() is told -1; ZAB_SERVE ends
     * that. */
    ZAB_INSTALL,
    ZAB_APPEND, /* the transaction in the packet being handled, to the own log. After a snapshot by an
                   * original ZooKeeper its zxid may be at or below the snapshot's */
    /* .zxid .activates .id: all through it is committed: apply what is durable; tell the learners.
     * `activates`: the last one has changed the members, and they are told so, with .id, the leader
     * that is to be. */
    ZAB_COMMIT,
    /* zab_config() or zab_config_next() is another one. It comes before the ZAB_COMMIT or ZAB_SERVE
     * that is the reason. Make the first durable before anything above its version is applied, so that
     * the next zab_new() is told of it; and the other, too, if the log does not have it. */
    ZAB_MEMBERS,
    /* .epoch .zxid: established: history through .zxid is committed. A leader's next proposal is
     * epoch << 32 | 1. */
    ZAB_SERVE,
    ZAB_FAIL, /* .why: this server cannot follow, and must stop. Nothing comes after it */
};

struct zab_action {
    enum zab_action_kind kind;
    enum zab_role role;
    int64_t id; /* or the leader's */
    struct zab_learner *learner;
    mk_zxid zxid;
    int64_t epoch;
    int64_t accepted;
    int64_t current;
    bool forgets;
    bool activates;
    const char *why;
    struct jute_packet packet;             /* its data is valid until the next action */
    struct jute_notification notification; /* likewise */
};

/* The next one. False: none. To be asked until then after every event, before the next. */
bool zab_action(struct zab *zab, struct zab_action *out);

/* ---- What a learner's log lacks: a function of its own, for whoever has the history ---- */

/* Committed transactions that are kept without a hole: the zxid of the first, and of the last. Both
 * 0: none. */
struct zab_history {
    mk_zxid min;
    mk_zxid max;
    mk_zxid (*at_or_after)(void *context, mk_zxid zxid); /* the first such, or 0 */
    mk_zxid (*before)(void *context, mk_zxid zxid);      /* the last such, or 0 */
    void *context;
};

struct zab_sync {
    int32_t type;       /* JUTE_PACKET_DIFF, _TRUNC or _SNAP */
    mk_zxid header;     /* for the packet; of a SNAP the caller's: the zxid of its snapshot */
    mk_zxid send_after; /* each kept transaction above it follows as PROPOSAL and COMMIT */
};

/* For a learner whose last logged zxid is `peer`, by a leader whose last committed one is `last`
 * (of an epoch that is not established yet: its last logged one). */
struct zab_sync zab_sync_plan(const struct zab_history *history, mk_zxid last, mk_zxid peer);

/* ---- Log time ---- */

/* For the headers of transactions: never steps back, runs with the monotonic clock, and is steered
 * towards wall time by at most a tenth. A new leader goes on from the last header. Epoch
 * milliseconds. */
mk_ms zab_time(struct zab *zab, mk_ms monotonic_ms, mk_ms wall_ms);
/* A header with this time was seen (recovery, or as a follower). */
void zab_time_seen(struct zab *zab, mk_ms time_ms);

#endif
