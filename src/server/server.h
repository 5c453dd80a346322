/* The core assembled: events in, actions out. Frames, time and finished disk work come in; frames to
 * send, batches to log, rows to load and checkpoints to write come out. What a process drives with libuv
 * and threads, the simulator drives from a seed. Never waits, never calls back.
 *
 * A turn: any number of events, then take the actions: every dirty connection, then the batch, the
 * loads, the checkpoint. One thread at a time may use a server. */
#ifndef MK_SERVER_H
#define MK_SERVER_H

#include "base/base.h"
#include "store/store.h"

struct sasl_users; /* sasl/sasl.h */

struct server_recipe { /* of the catalogue: enters the tree when it is not there yet */
    struct mk_bytes name;
    struct mk_bytes source;
};

/* Who may have a session now: zookeeper's connection_throttle_*. Ratios are in millionths. */
struct server_throttle {
    uint32_t tokens; /* that the bucket holds; 0: no throttle */
    mk_ms fill_ms;   /* ... it gets `fill_count` each */
    uint32_t fill_count;
    mk_ms freeze_ms; /* between changes of the drop rate; -1: it stays 0 */
    uint32_t drop_increase, drop_decrease;
    uint32_t decrease_ratio; /* of the bucket: as long as less is missing, the rate falls */
    bool weights;            /* else every ConnectRequest takes one token */
    uint32_t global_weight, renew_weight;
};

#define SERVER_MEMBERS_MAX 64
struct server_member {
    int64_t id; /* 0 .. 254 */
    bool observer;
    uint32_t weight; /* this and the group count only in hierarchical quorums */
    int64_t group;
};
/* Which ensemble a server is a member of; every member must have the same. */
struct server_ensemble {
    struct server_member members[SERVER_MEMBERS_MAX];
    size_t members_count; /* this server included; 0: it is alone */
    bool hierarchical;
    /* standaloneEnabled: fewer than two voters are none. */
    bool standalone;
    /* The members once more, with their addresses: as servers tell each other. What was stored last
     * (server_members), if that is later than what this server is configured with. */
    struct mk_bytes text;
    struct mk_bytes next_text;       /* server_members.next_text, if it was stored; or null */
    uint32_t init_limit, sync_limit; /* ticks: initLimit, syncLimit */
    mk_ms finalize_ms;               /* fastleader: how long a quorum of votes waits for a better */
    mk_ms notify_min_ms, notify_max_ms;
    uint32_t history_count; /* commitLogCount: transactions kept for learners that come back */
    /* snapshotSizeFactor, in millionths: a learner that lacks more gets what the log has, as long as that is
     * no more than this part of the state; 0: always the state */
    uint32_t log_share_max;
};

struct server_options {
    uint8_t server_id;               /* 0 .. 254; in an ensemble the id of a member */
    mk_ms tick_ms;                   /* tickTime */
    mk_ms session_timeout_min_ms;    /* 0: 2 ticks */
    mk_ms session_timeout_max_ms;    /* 0: 20 ticks */
    uint32_t frame_bytes_max;        /* jute.maxbuffer */
    bool extended_types;             /* extendedTypesEnabled: TTL znodes */
    bool reconfig;                   /* reconfigEnabled */
    struct tree_acl_rules acl;       /* skipACL, and which schemes there are */
    bool enforce_quota;              /* enforceQuota: hard limits refuse */
    uint32_t session_ephemerals_max; /* ephemeralsPerSession; 0: any number */
    struct mk_bytes super_digest;    /* DigestAuthenticationProvider.superDigest; or null */
    enum tree_digest digest_hash;    /* DigestAuthenticationProvider.digestAlg */
    /* enforce.auth.schemes, "digest,sasl": requests are taken only from who has an identity of one of
     * these; or null. */
    struct mk_bytes enforced_schemes;
    struct mk_bytes x509_super; /* X509AuthenticationProvider.superUser; or null */
    /* SASL. What is pointed to is borrowed, as all else here. */
    const struct sasl_users *sasl_users; /* NULL: clients that ask are told that there is no SASL */
    struct mk_bytes sasl_secret;         /* 32 random bytes, of which nonces are made */
    const struct mk_bytes *sasl_supers;  /* users who may do everything */
    size_t sasl_supers_count;
    bool sasl_failed_stay;    /* allowSaslFailedClients */
    uint32_t outstanding_max; /* globalOutstandingLimit: requests not answered yet, all sessions */
    uint32_t conn_outstanding_max;     /* ... of one connection; beyond it reading pauses */
    uint32_t conn_watches_max;         /* beyond it the connection is closed */
    uint32_t throttle_outstanding_max; /* request_throttle_max_requests; 0: none */
    mk_ms
        throttled_wait_ms; /* throttled_op_wait_time: who waited longer is refused; 0: nobody is */
    uint32_t large_request_bytes;      /* largeRequestThreshold; 0: none is large */
    uint64_t large_requests_bytes_max; /* of those that wait; beyond it the connection is closed */
    struct server_throttle throttle;
    mk_ms sessionless_timeout_ms;  /* a connection without ConnectRequest */
    uint64_t hash_secret;          /* a random number: of tables whose keys clients choose */
    uint64_t log_bytes_checkpoint; /* checkpoint after that much log: 64 MB */
    mk_ms checkpoint_ms;           /* ... or that long after the last change: 60 s */
    /* The reaper of containers and TTL znodes: znode.container.*. */
    mk_ms reap_interval_ms;        /* checkIntervalMs: between the beginnings of two rounds */
    uint32_t reaps_per_minute_max; /* maxPerMinute */
    mk_ms container_unused_ms;     /* maxNeverUsedIntervalMs; 0: never */
    /* Recipes. */
    bool recipes; /* calls and the catalogue; of an ensemble, when all of it has them */
    const struct server_recipe *catalogue;
    size_t catalogue_count;
    /* Who may deploy recipes: entries of a vector<ACL> without its count, or null: only super. In force
     * when recipes are new to the tree. */
    struct mk_bytes recipe_admin;
    int32_t recipe_admin_count;
    uint32_t calls_max;         /* parked calls, all sessions */
    uint32_t session_calls_max; /* ... of one session */
    uint32_t wakes_per_step;    /* ready calls run between two turns of requests */
    /* How long a batch in which calls have parked, and which is nobody's answer, waits for one that is.
     * 0: not at all. */
    mk_ms parked_patience_ms;
    mk_ms call_result_ms;               /* callResultSeconds */
    mk_ms slow_run_ms;                  /* slowRunMs; 0: none is told */
    mk_ms (*elapsed_ms)(void *context); /* clock for the budget of a run, from the edge; or NULL */
    void *elapsed_context;
    /* Sessions that only this server knows: localSessionsEnabled; and whether one becomes everybody's when it
     * makes its first ephemeral, localSessionsUpgradingEnabled. All members must have the same. */
    bool local_sessions, local_sessions_upgrade;
    bool
        read_only_mode; /* readonlymode.enabled: without a quorum, reads for who asks for no more */
    struct server_ensemble ensemble;
};
void server_options_default(struct server_options *options);

struct server;
struct server_conn;

/* `store` stays the caller's. Options are copied, what they point to is borrowed. */
struct server *server_new(const struct server_options *options, struct store *store,
                          const struct mk_log *log);
void server_free(struct server *server);

/* ---- Start: recover, then lead; as a member of an ensemble, recover, then join ---- */

/* An entry of the log above store_applied(), in order. Alone, what is logged is committed, and applied
 * now. A member applies it when it is known to be committed (R1). MK_CORRUPT: it cannot be decoded. */
enum mk_status server_recover(struct server *server, mk_zxid zxid, struct mk_bytes entry,
                              struct mk_error *error);
struct server_time {
    mk_ms monotonic_ms; /* never steps back */
    mk_ms wall_ms;      /* may do anything */
};
/* Begin a new epoch and serve. `epoch` = 1 + the largest of acceptedEpoch, currentEpoch and the last
 * zxid's, which the caller has made durable. `log_last` is the last zxid logged, or applied. MK_OK, or
 * a failure of the store. */
enum mk_status server_lead(struct server *server, uint32_t epoch, mk_zxid log_last,
                           struct server_time now);
struct server_epochs {
    int64_t accepted; /* the epoch that this server has promised to follow, */
    int64_t current;  /* and the one whose leader's history it has */
};
/* Take part in the ensemble's election. Both epochs are what is durable. `log_last` -1: some of what was
 * here may be lost (server_install.forgets). */
void server_join(struct server *server, struct server_epochs epochs, mk_zxid log_last,
                 struct server_time now);
/* Clients are served. While this is false a connection that is opened is closed, or it is in read-only
 * mode. */
bool server_serving(const struct server *server);
/* Why the server must stop at once, acknowledging nothing further (the store failed); NULL: it runs. */
const char *server_failure(const struct server *server);

/* ---- Events ---- */

/* The time is now: before the other events of a turn. Does what is due. */
void server_tick(struct server *server, struct server_time now);
/* When to tick at the latest, monotonic. */
mk_ms server_next_tick(const struct server *server);

/* A connection was accepted. `address` is its peer's textual IP address, copied. */
struct server_conn *server_conn_open(struct server *server, struct mk_bytes address, uint16_t port,
                                     void *owner);
/* Its peer has shown a certificate of that subject (RFC 2253). Before the first frame. False: it has more
 * identities than fit. */
bool server_conn_certified(struct server *server, struct server_conn *conn,
                           struct mk_bytes subject);
/* A whole frame, without its length. The first is the ConnectRequest. Borrowed for the call. */
void server_conn_frame(struct server *server, struct server_conn *conn, struct mk_bytes frame);
/* The socket is gone, or was closed because server_conn_closing(): forget the connection. */
void server_conn_closed(struct server *server, struct server_conn *conn);

/* ---- Actions ---- */

/* Connections with something to do since last asked; each once. NULL: no more. */
struct server_conn *server_next_dirty(struct server *server);
void *server_conn_owner(const struct server_conn *conn);
/* What to send: take the bytes and leave the buffer empty (swap or clear). */
struct mk_buf *server_conn_output(struct server_conn *conn);
/* All the output taken so far has reached the socket. A connection that does not read its replies is
 * not served further until then; call it after every complete write, it costs nothing otherwise. */
void server_conn_drained(struct server *server, struct server_conn *conn);
bool server_conn_closing(const struct server_conn *conn); /* close once the output is sent */
bool server_conn_paused(const struct server_conn *conn);  /* do not read from it for now */

/* Entries to log: take one batch when the log is idle, append it durably, give it back: what it
 * holds is applied and answered then. Batches go in order. */
struct server_batch {
    struct mk_buf bytes;
    mk_zxid last;
    uint32_t count;
};
bool server_batch_take(struct server *server, struct server_batch *batch);
/* There is a batch that waits for company, at the longest until server_next_tick(). */
bool server_batch_waits(const struct server *server);
/* From now on no batch waits for company: time will stand still, and everything is to be logged. */
void server_batch_hurry(struct server *server);
void server_batch_synced(struct server *server, struct server_batch *batch); /* frees it */

/* ---- A member's: all of it stands still in a server that is alone ---- */

/* The election: a message's body, from the member with that id, and to it. Only the newest to each
 * counts. */
void server_notified(struct server *server, int64_t from, struct mk_bytes message);
/* A connection for elections stands, or it broke or was refused. */
void server_reachable(struct server *server, int64_t id, bool reachable);
bool server_notification_take(struct server *server, int64_t *to, struct mk_buf *message);

/* Connect to the quorum port of that member: then open it as a peer, or say that it failed. One at a
 * time; a later one takes an earlier one's place. */
bool server_dial_take(struct server *server, int64_t *id);
void server_dial_failed(struct server *server, int64_t id);

/* A connection between this server's quorum port and another's. `dialled` is the member that was
 * dialled, or -1: it was accepted. NULL: it is not wanted now, close it. */
struct server_peer;
struct server_peer *server_peer_open(struct server *server, int64_t dialled,
                                     struct mk_bytes address, void *owner);
void server_peer_bytes(struct server *server, struct server_peer *peer, struct mk_bytes bytes);
/* The socket is gone, or was closed because server_peer_closing(): forget the peer. */
void server_peer_closed(struct server *server, struct server_peer *peer);
/* As of connections. Take it before the batch, so that what learners get goes out while the log syncs,
 * and once more behind it. */
struct server_peer *server_next_dirty_peer(struct server *server);
void *server_peer_owner(const struct server_peer *peer);
struct mk_buf *server_peer_output(struct server_peer *peer);
void server_peer_drained(struct server *server, struct server_peer *peer);
bool server_peer_closing(const struct server_peer *peer);
bool server_peer_paused(const struct server_peer *peer);

/* Epochs to make durable, the accepted one first; then say so. */
bool server_epochs_take(struct server *server, struct server_epochs *epochs);
void server_epochs_stored(struct server *server);
/* Who the members are now, and who is proposed. From now on connections are made to all of them. Make
 * the text of the first durable, if it is another; and that of the next, unless it is in the log;
 * otherwise there is to be none stored. What this is of is the server's, until it is said to be
 * stored. */
struct server_members {
    const struct jute_ensemble *active, *next; /* NULL: none is proposed */
    bool next_logged;
    struct mk_bytes active_text, next_text;
};
bool server_members_take(struct server *server, struct server_members *members);
void server_members_stored(struct server *server);
/* One of the active members, or NULL. */
const struct jute_member *server_member(const struct server *server, int64_t id);
/* Everything above that zxid to be removed from the log, which is idle; then say so, when it is durable. */
bool server_truncate_take(struct server *server, mk_zxid *zxid);
void server_truncated(struct server *server);

/* Out: a piece of what a learner lacks, read on any thread; then say done, in any order. Of the state: by
 * server_snapshot_read(). Of the log, if server_snapshot_log() is not NULL: by whoever has the log. */
struct server_snapshot;
struct server_snapshot *server_snapshot_take(struct server *server);
struct server_log_piece {
    mk_zxid after;      /* entries behind this one, */
    mk_zxid through;    /* ... up to here, */
    uint64_t bytes_max; /* ... if the log has no more than this behind it, */
    size_t piece_bytes; /* ... about so much at a time, */
    struct mk_buf *out; /* ... appended to this, framed as in a batch */
    /* Then MK_OK: there is more; MK_END: that was all; MK_NO_NODE, at first: the log does not have it, or
     * has too much; another: `error` says it. */
    enum mk_status status;
    struct mk_error *error;
    void *reader;                       /* whoever reads keeps it here, */
    void (*reader_close)(void *reader); /* ... and is told when it is over, on the core's thread */
};
struct server_log_piece *server_snapshot_log(struct server_snapshot *snapshot);
void server_snapshot_read(struct server_snapshot *snapshot);
void server_snapshot_done(struct server *server, struct server_snapshot *snapshot);

/* In: the leader replaces this server's state and log. One step at a time:
 *
 *   BYTES:    into a new state beside the old one, begun with the first; any thread
 *   FINISH:   make the new state durable, on any thread; then, in the loop: server_store_release(),
 *             close the old store, put the new state in its place, empty the log so that it goes on
 *             behind `zxid`, open the store, server_store_replaced()
 *   DISCARD:  instead, if the leader has gone or its stream was none: away with what there is
 */
enum server_install_step { SERVER_INSTALL_BYTES, SERVER_INSTALL_FINISH, SERVER_INSTALL_DISCARD };
struct server_install {
    enum server_install_step step;
    struct mk_bytes bytes; /* BYTES: of the stream; valid until done */
    mk_zxid zxid;          /* of the snapshot */
    /* FINISH: what the log loses may have been committed. Before it does, mark durably that this server
     * is to be started with log_last -1; and take the mark away when it serves. */
    bool forgets;
    size_t used; /* answers of BYTES: how much was taken in; the rest is shown again, with more */
    bool whole;  /* ... and the stream is complete */
    bool broken; /* ... or is none */
};
bool server_install_take(struct server *server, struct server_install *install);
void server_install_done(struct server *server, const struct server_install *install);
/* What the stream does not say, when it is whole; on the thread that took in the last of it. */
void server_install_complete(struct store_install *install);
/* What `store` has is a leader's snapshot as it came: no log belongs to it. */
bool server_install_is_all(struct store *store);
struct store *server_store_release(struct server *server);
void server_store_replaced(struct server *server, struct store *store);

/* Rows to bring into memory with store_load() on any thread; then say done, in any order. */
struct load;
struct server_load {
    struct load *load; /* the server's */
    struct store_load rows;
};
bool server_load_take(struct server *server, struct server_load *load);
void server_load_put_back(struct server *server, struct server_load *load); /* as if not taken */
void server_load_done(struct server *server, struct server_load *load);     /* frees it */

/* A checkpoint to write on any thread; NULL: none. Then say done. */
struct store_checkpoint *server_checkpoint_take(struct server *server);
void server_checkpoint_done(struct server *server, struct store_checkpoint *checkpoint);
/* Take a checkpoint as soon as possible (shutdown, backup). */
void server_checkpoint_request(struct server *server);

/* Nothing is outstanding: every request received has been answered (for an orderly shutdown). */
bool server_idle(const struct server *server);
/* Requests received and not answered. */
uint64_t server_outstanding(const struct server *server);
/* Requests answered without the log; starts anew with server_stats_reset(). */
uint64_t server_reads(const struct server *server);

/* ---- What an operator asks ---- */

struct server_stats {
    mk_zxid zxid;      /* last applied */
    mk_ms log_time_ms; /* of what is proposed now */
    /* "standalone", "leader", "follower", "observer", "looking", "read-only" */
    const char *mode;
    bool reads_only;       /* there is no quorum, and some clients are served all the same */
    int64_t epoch, leader; /* of an ensemble; -1 while there is none */
    uint64_t followers, observers, synced_followers, synced_observers; /* of this leader */
    uint64_t syncs_pending;                                            /* ... not answered yet */
    uint64_t packets_received, packets_sent;
    uint64_t connections, outstanding;
    struct mk_spread read_latency, update_latency; /* ms, from the frame to the reply */
    struct store_totals totals;
    size_t watchers, watched_paths, watches;
    size_t data_watchers, data_paths, data_watches; /* without child watches */
    struct mk_summary watches_told[4]; /* how many at once; by event: created to children changed */
    uint64_t watch_bytes;              /* of notifications */
    uint64_t sessions;                 /* that all servers know */
    uint64_t local_sessions;           /* that only this one does */
    uint64_t memory_bytes; /* store, sessions, watches, buffers: what the budget counts */
    uint64_t response_bytes, response_bytes_last, response_bytes_min, response_bytes_max;
    uint64_t malformed, auth_failed, sessions_expired, proposals, commits;
    uint64_t reaped; /* containers and TTL znodes */
    uint64_t calls_made, calls_parked, calls_woken, checkpoints;
    uint64_t batches, loads;
    uint64_t connect_requests, revalidated; /* ... of these: of a session that there was */
    uint64_t sessionless_expired;
    uint64_t connects_rejected;      /* by the throttle */
    struct mk_summary token_deficit; /* what was missing in its bucket, at each ConnectRequest */
    uint32_t drop_millionths;        /* its drop rate now */
    uint64_t large_requests_rejected, throttle_waits, throttled;
    struct mk_spread commit_latency; /* ms, from a transaction's own time to its being applied */
    uint64_t recovered;              /* transactions of the log, at the start */
};
void server_stats_read(const struct server *server, struct server_stats *out);
/* Of each operation that was called since the server began, in no particular order. */
struct server_operation_figures {
    struct mk_bytes operation;
    int64_t waiting;
    uint64_t calls, failures, instructions, effects, run_ms;
    struct mk_summary latency_ms;
};
typedef void server_figures_visit(void *context, const struct server_operation_figures *figures);
void server_figures_each(const struct server *server, server_figures_visit *visit, void *context);
void server_stats_reset(struct server *server); /* srst */

struct server_conn_stats {
    struct mk_bytes address;
    uint16_t port;
    uint64_t queued, received, sent;
    mk_session session; /* 0: none */
    int32_t timeout_ms;
    mk_ms established_ms; /* wall */
    mk_ms closes_ms;      /* monotonic, if nothing more is heard from it; 0: never */
    mk_ms answered_ms;    /* monotonic, of the last request answered; and of that: */
    int32_t op, cxid;     /* cxid below 0: none yet */
    mk_zxid zxid;
    uint64_t latency_ms;
    struct mk_summary latencies; /* ms */
};
void server_conn_stats_read(const struct server_conn *conn, struct server_conn_stats *out);
void server_conn_stats_reset(struct server_conn *conn); /* crst */
struct server_conn *server_conn_next(const struct server *server, const struct server_conn *after);

/* The servers that follow or observe this leader. */
struct server_learner_stats {
    int64_t id; /* -1: it has not said */
    bool observer, serving;
    mk_zxid acked; /* the last that it has in its log; 0: none of this epoch */
    struct mk_bytes address;
    uint64_t queued_bytes; /* to be sent to it */
};
typedef void server_learner_visit(void *context, const struct server_learner_stats *learner);
void server_learners_each(const struct server *server, server_learner_visit *visit, void *context);

/* Walks: `visit` returns false to stop, and may change nothing. O(what is visited). */
typedef bool server_session_visit(void *context, mk_session id, mk_ms expires_in_ms, bool local);
void server_sessions_each(const struct server *server, server_session_visit *visit, void *context);
typedef bool server_path_visit(void *context, mk_session session, struct mk_bytes path);
/* Ephemeral znodes, those of one session together. May wait for the disk. */
enum mk_status server_ephemerals_each(struct server *server, server_path_visit *visit,
                                      void *context);
/* Watches but those of children alone: those of one session together, or those of one path. */
void server_watches_by_session_each(const struct server *server, server_path_visit *visit,
                                    void *context);
void server_watches_by_path_each(const struct server *server, server_path_visit *visit,
                                 void *context);

/* Simulator and tests: every invariant of the core. Asserts. */
void server_check(struct server *server);

#endif
