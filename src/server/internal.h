/* Private to server: what its files share. The life of a request is told in pipeline.c. */
#ifndef MK_SERVER_INTERNAL_H
#define MK_SERVER_INTERNAL_H

#include "apply/apply.h"
#include "jute/jute.h"
#include "prepare/prepare.h"
#include "recipe/recipe.h"
#include "server/history.h"
#include "server/server.h"
#include "sasl/sasl.h"
#include "session/session.h"
#include "zab/zab.h"

struct ensemble; /* ensemble.h */

/* Replies are not written for a connection that has this much waiting to be sent. */
#define OUTPUT_STALL_BYTES (1024 * 1024)

/* Who a connection is. Shared with its requests, which keep the identities they arrived under. */
struct identities {
    uint32_t refs;
    struct tree_identities set;
};

enum conn_state {
    CONN_FRESH,      /* nothing received yet */
    CONN_CONNECTING, /* its session is being created; requests wait */
    CONN_ATTACHED,
    CONN_CLOSING, /* to be closed once the output is sent; whatever still arrives is ignored */
};

/* What `cons` tells of a connection. */
struct conn_history {
    mk_ms established_ms; /* wall */
    mk_ms answered_ms;    /* monotonic, of the last request */
    int32_t op, cxid;     /* of that; cxid below 0: none yet */
    uint64_t latency_ms;  /* of that */
    struct mk_summary latencies;
};

/* Whoever cannot go on without rows from the disk: a connection, or something that the server does on
 * its own. */
struct load_waiter {
    struct mk_link link;      /* of a load, or server.unserved, or server.full */
    struct server_conn *conn; /* NULL: the server's own, or */
    struct server_peer *peer; /* a learner's, with the requests of its clients */
    bool blocked;             /* it is in one of these */
    uint32_t in_vain;         /* loads since it last went on */
};
/* A request that has asked for the disk this often (a listing of a huge cold directory, a multi over
 * many cold znodes) is executed with the core waiting for the disk: what one load brings in may be
 * evicted before the next, and it must end. */
#define LOADS_IN_VAIN_MAX 4

struct server_conn {
    void *owner;
    enum conn_state state;
    bool dirty;
    bool paused;
    bool stalled;  /* OUTPUT_STALL_BYTES reached: served again once drained */
    bool draining; /* its queue is being walked */
    bool read_only_present;
    bool admitted; /* has an identity of a scheme that is demanded, or none is */
    bool refused;  /* the reply that ends it is on its way: what still arrives is not executed */
    bool connect_pending; /* its createSession is among the commits */
    bool heard;           /* a learner's: since the leader was last told of its session */
    mk_session awaits;    /* a learner's: the leader is asked for this session; or 0 */
    int32_t awaits_timeout_ms;
    bool awaits_new;         /* ... to be made */
    struct mk_link all;      /* server.conns */
    struct mk_link dirties;  /* server.dirty */
    struct load_waiter wait; /* of the request whose turn it is, for the disk or a checkpoint */
    struct mk_buf out;
    struct mk_bytes address; /* owned */
    uint16_t port;
    struct identities *identities;
    struct sasl_exchange *sasl; /* NULL: none has begun */
    struct session *session;    /* NULL unless attached, and while it lives */
    mk_session session_id;
    struct tree_watcher watcher;
    struct mk_link queue; /* struct request, in the order received */
    uint32_t queued;
    uint32_t unprepared;   /* of these: writes not prepared yet; later ones wait behind them */
    struct mk_link held;   /* struct held: replies of parked calls */
    mk_zxid zxid_told;     /* the largest in a reply header: it never goes back */
    struct mk_timer timer; /* without a ConnectRequest it is closed */
    uint64_t received, sent;
    struct conn_history history;
};

/* The bucket of throttle.c. */
struct connect_throttle {
    uint32_t tokens;
    mk_ms filled_ms;   /* 0: not used yet */
    mk_ms adjusted_ms; /* when the drop rate last changed */
    uint32_t drop;     /* millionths */
    uint64_t debt;     /* of drops, in millionths */
};

enum request_state {
    REQUEST_QUEUED,   /* a frame to be executed when its turn comes */
    REQUEST_PROPOSED, /* waits for its zxid to be applied (a sync: for what was proposed before it) */
    REQUEST_FORWARDED, /* waits for the leader's answer: its transaction, or SYNC */
    REQUEST_DONE,      /* its reply is written, and waits for those before it */
};

struct request {
    struct mk_link in_conn;
    struct server_conn *conn; /* NULL: gone; it is finished all the same */
    enum request_state state;
    int32_t xid;
    int32_t op;
    struct identities *identities;
    mk_ms received_ms;
    uint32_t large_bytes; /* 0: it is none */
    bool own_body;
    bool reads;              /* a call that only reads: it goes the way of reads */
    bool close_after;        /* closeSession */
    mk_zxid parked;          /* a call that waits: the reply is held */
    int64_t call_id;         /* a call's */
    mk_zxid after;           /* FORWARDED: its transaction is later than this one */
    struct mk_link in_syncs; /* FORWARDED, a sync: ensemble.syncs */
    struct mk_buf
        bytes; /* QUEUED: the frame; PROPOSED: the body, if own_body; DONE: the reply frame */
};

/* What is to happen when a zxid has been applied; in zxid order. */
enum commit_kind {
    COMMIT_REQUEST,
    COMMIT_CONNECT,  /* answer the ConnectRequest of `conn` */
    COMMIT_CALL_END, /* answer whoever holds the reply of `call` */
    COMMIT_AUDIT,    /* log `body`: somebody has changed what is deployed */
};
struct commit {
    enum commit_kind kind;
    mk_zxid zxid;
    struct request *request;
    struct server_conn *conn; /* CONNECT; NULL when it has gone */
    int32_t timeout_ms;       /* CONNECT */
    mk_zxid call;             /* CALL_END */
    struct mk_buf body;       /* CALL_END; AUDIT: the line */
};

/* A parked call whose reply a connection waits for. */
struct held {
    struct mk_link in_conn;
    struct server_conn *conn;
    mk_zxid call;
    int64_t call_id;
    int32_t xid;
};

#define LOADS_MAX 64 /* in flight for who waits; more would only queue in the disk */
/* Made ahead: for as many reads as are outstanding by default. Beyond it a read asks in its turn. */
#define LOADS_AHEAD_MAX 1000

struct reaper {
    mk_ms round_at_ms; /* monotonic: when the next round is to begin */
    bool running;      /* a round is */
    struct prepare_round round;
    mk_ms next_ms; /* monotonic: its next deletion, not before */
    struct load_waiter wait;
};

#define REQUESTS_SPARE_MAX (MK_MEMORY_REUSED ? 1000 : 0) /* outstanding by default; 150 KiB */

struct server {
    struct server_options options;
    struct session_limits limits;
    struct store *store;
    const struct mk_log *log;
    struct recipe_engine *engine;
    struct prepare *prepare;
    struct prepare_recipe *recipes; /* the catalogue, as prepare has it */
    struct prepared prepared;
    struct apply apply;
    struct tree_watches *watches;
    struct session_table *sessions; /* that all servers know */
    struct session_table *locals;   /* that only this one does */
    struct zab *zab;
    struct ensemble *ensemble;
    enum zab_role role;
    bool serving;
    bool reads_only;   /* read-only mode: there is no quorum */
    bool forgets;      /* this server has lost its data, and has not served since */
    mk_ms looking_ms;  /* monotonic: since when it has been looking for a leader */
    mk_zxid committed; /* all through here is; what of it is durable is applied, too */
    struct mk_error failure;
    struct server_time now;
    mk_ms log_time_ms;
    mk_session session_next, session_local_next; /* ids_begin() */
    struct mk_buf expired; /* ids of expired sessions, 8 bytes each; closed up to expired_done */
    size_t expired_done;

    uint64_t sasl_exchanges; /* begun: no two nonces are made of the same number */

    struct mk_link conns, dirty;
    struct mk_link full;     /* struct load_waiter: until a checkpoint has been written */
    struct mk_link unserved; /* ... until one load less is under way */
    size_t conns_count;
    struct mk_timers timers;

    struct commit *commits; /* ring */
    size_t commits_head, commits_count, commits_cap;
    uint64_t outstanding; /* requests queued or proposed, all connections */
    uint64_t
        parking; /* ... of these: calls that have parked; their replies come with another commit */
    struct mk_link requests_spare; /* freed, to be used again */
    size_t requests_spare_count;
    struct mk_map_u64 held; /* call -> struct held */
    struct mk_buf body;     /* scratch: the reply body that apply writes */

    struct server_batch batch; /* being filled */
    struct mk_buf batch_spare; /* empty; for the batch after it */
    bool batch_awaited;        /* by somebody who has no request outstanding */
    mk_ms batch_begun_ms;      /* monotonic: its first transaction */
    bool batch_out;            /* one is with the log */
    struct history history;    /* what has been taken for the log, as long as it is needed */
    uint64_t log_bytes;        /* since the last checkpoint */

    struct mk_link loads_asked;     /* struct load: those that nobody has taken yet, */
    struct mk_link loads_taken;     /* and those that somebody has; */
    struct mk_link loads_ranges;    /* of both: those of ranges, */
    struct mk_map_bytes loads_rows; /* and those of one row, by its key */
    size_t loads_count;             /* made for who waits */
    size_t loads_ahead_count;       /* made for reads whose turn is yet to come */
    struct load *load_wanted;       /* by the last step that could not be made, or NULL */

    struct store_checkpoint *checkpoint; /* being written */
    bool checkpoint_requested;
    mk_ms checkpoint_at_ms; /* monotonic, of the last one */

    bool calls_alive;                /* there may be parked or kept calls */
    struct load_waiter calls_wait;   /* of the next step of one */
    mk_ms calls_due_ms;              /* monotonic, when to look again */
    struct load_waiter count_wait;   /* of the next step of counting for a quota */
    struct load_waiter expired_wait; /* of the end of the next expired session */

    struct reaper reaper;

    struct connect_throttle throttle;
    uint64_t large_bytes;       /* of large requests that wait */
    uint32_t frame_large_bytes; /* of the frame being received, if it is large */
    struct server_stats stats;
};

/* conn.c */
void server_conn_refuse(struct server *server, struct server_conn *conn); /* its session */
void server_conn_mark_dirty(struct server *server, struct server_conn *conn);
void server_conn_end(struct server *server,
                     struct server_conn *conn); /* after what is written is sent */
void server_conn_touch(struct server *server, struct server_conn *conn);
void server_conn_detach(struct server_conn *conn); /* from its session */
void server_conn_connect(struct server *server, struct server_conn *conn, struct mk_bytes frame);
/* It has this session from now on, and is told so. */
void server_conn_attach(struct server *server, struct server_conn *conn, struct session *session,
                        int32_t timeout_ms);
/* Its session is to be made, by a transaction. False: that cannot be; it is closed. */
bool server_conn_create(struct server *server, struct server_conn *conn, mk_session id,
                        int32_t timeout_ms);
struct identities *server_identities_ref(struct identities *identities);
void server_identities_unref(struct identities *identities);
bool server_identity_add(const struct server *server, struct server_conn *conn,
                         struct mk_bytes scheme, struct mk_bytes id);
/* Does an identity of `scheme` let its connection make requests? */
bool server_scheme_admits(const struct server *server, struct mk_bytes scheme);

/* auth.c */
/* An auth packet: if it is good, be somebody more from now on. The reply's frame goes to `reply`; if
 * false, the connection is to be closed behind it. */
bool server_conn_auth(struct server *server, struct server_conn *conn,
                      const struct jute_request *request, struct mk_buf *reply);
/* A SASL token, likewise. */
bool server_conn_sasl(struct server *server, struct server_conn *conn,
                      const struct jute_request *request, struct mk_buf *reply);

/* throttle.c */
bool server_throttle_admits(struct server *server, bool renews); /* a ConnectRequest */
/* Whether there is room for a frame of that length. */
bool server_large_admits(struct server *server, size_t bytes);

/* requests.c */
bool server_request_is_write(int32_t op);
/* Nobody answers it any more; its connection is closed, or about to be. */
void server_request_forsake(struct server *server, struct request *request);
void server_request_receive(struct server *server, struct server_conn *conn, struct mk_bytes frame);
void server_request_free(struct server *server, struct request *request);
void server_requests_spare_free(struct server *server);
void server_request_complete(struct server *server, struct request *request, mk_zxid zxid,
                             int32_t error, struct mk_bytes body);
/* `write` is about to be applied. What its connection asked before it must not see it, so what waits
 * there, for the disk or for a slow reader, is answered first. Usually nothing does. */
void server_requests_before(struct server *server, const struct request *write);
/* Everybody on the connection of one who has asked for the call is answered with `body`. */
void server_call_answer(struct server *server, mk_zxid call, mk_zxid zxid, struct mk_bytes body);
/* Execute what can be, from the head of the queue. */
void server_requests_drain(struct server *server, struct server_conn *conn);
/* Reply headers, and what is counted with them. Between them append the body to conn->out. */
size_t server_reply_begin(struct server *server, struct server_conn *conn, int32_t xid,
                          mk_zxid zxid, int32_t error);
void server_reply_end(struct server *server, struct server_conn *conn, size_t frame);
void server_reply_error(struct server *server, struct server_conn *conn, int32_t xid,
                        enum mk_status status);

/* reads.c: everything that changes nothing but watches. MK_OK: it has been answered, errors included.
 * MK_WOULD_BLOCK: ask again. */
enum mk_status server_read_execute(struct server *server, struct server_conn *conn,
                                   const struct jute_request *request, struct mk_bytes identities);

/* Whether `path` is below TREE_CALLS_PATH, or a child of an open gate. MK_OK, MK_WOULD_BLOCK, failures. */
enum mk_status server_below_calls(struct server *server, struct mk_bytes path, bool *below);
/* There everybody sees only their own. MK_OK, MK_NO_AUTH, or MK_NO_NODE for what is the server's own.
 * `owner` is the znode's. */
enum mk_status server_may_see(const struct server_conn *conn, struct mk_bytes path,
                              bool below_calls, int64_t owner, struct mk_bytes identities);

/* calls.c: which calls wait. MK_OK: answered; MK_WOULD_BLOCK, failures. */
enum mk_status server_calls_list(struct server *server, struct server_conn *conn,
                                 const struct jute_request *request, struct mk_bytes identities);

/* watches.c */
enum mk_status server_watches_set(struct server *server, struct server_conn *conn,
                                  const struct jute_request *request);
void server_watches_add(struct server *server, struct server_conn *conn,
                        const struct jute_request *request);
void server_watches_check(struct server *server, struct server_conn *conn,
                          const struct jute_request *request);
void server_watch_put(struct server *server, struct server_conn *conn, struct mk_bytes path,
                      enum tree_watch kind);
void server_watches_tell(void *context, struct tree_watcher *watcher,
                         const struct apply_event *event);

/* loads.c */
void server_loads_init(struct server *server);
void server_loads_deinit(struct server *server);
void server_loads_check(const struct server *server);
/* The store has answered MK_WOULD_BLOCK: ask for the rows that it has missed. */
void server_load_push(struct server *server);
/* Behind that, for whoever could not go on: until those rows are there. */
void server_load_wait(struct server *server, struct load_waiter *waiter);
/* Loads have been in vain for so long that the waiter reads from the disk here and now. */
static inline bool server_load_insists(const struct load_waiter *waiter)
{
    return waiter->in_vain >= LOADS_IN_VAIN_MAX;
}
/* A read has to wait for its turn: ask for what it will miss, if that can be known. */
void server_load_ahead(struct server *server, const struct jute_request *request);
/* What all of these have waited for has come. */
void server_waiters_resume(struct server *server, struct mk_link *waiters);

/* server.c */
void server_expire_sessions(struct server *server);
/* Leading or following has begun, all history is applied: clients may come. MK_OK, or a failure. */
enum mk_status server_serve_begin(struct server *server);

/* What clients need, whatever they are let in for: ids that are new, and which sessions there are. MK_OK, or
 * a failure. */
enum mk_status server_sessions_begin(struct server *server);
/* All of the catalogue into the tree, if recipes are new to it. MK_OK; MK_OVERLOADED: not now; failures. */
enum mk_status server_catalogue_install(struct server *server);

/* Another store, or none for a moment, in the place of the one there was. */
void server_store_set(struct server *server, struct store *store);

/* local.c: sessions that only this server knows */
void server_session_touch(struct server *server, struct session *session); /* of either kind */
struct server_conn *server_session_conn(const struct server *server, mk_session id); /* or NULL */
void server_local_attach(struct server *server, struct server_conn *conn, int32_t timeout_ms);
/* False: it is none of these. */
bool server_local_reattach(struct server *server, struct server_conn *conn,
                           const struct jute_connect *connect, int32_t timeout_ms);
/* The session must become everybody's before `request` is prepared. */
bool server_local_upgrades(const struct server *server, const struct session *session,
                           const struct jute_request *request);
void server_local_upgraded(struct server *server, struct session *global);
void server_local_remove(struct server *server, struct session *session);
void server_locals_expire(struct server *server);
void server_locals_begin(struct server *server);

/* read_only.c */
void server_read_only_tick(struct server *server);
mk_ms server_read_only_due(const struct server *server);
void server_read_only_connect(struct server *server, struct server_conn *conn,
                              const struct jute_connect *connect, int32_t timeout_ms);

/* role.c */
bool server_alone(const struct server *server);
/* It serves, and makes proposals. */
bool server_leads(const struct server *server);
/* It serves, and what its clients write goes to the leader. */
bool server_learns(const struct server *server);

/* reaper.c */
void server_reaper_tick(struct server *server); /* begins a round when it is time */
void server_reaper_run(struct server *server);  /* deletes, as fast as it may */
mk_ms server_reaper_due(const struct server *server);

/* pipeline.c */
mk_ms server_batch_due(const struct server *server); /* monotonic; it has a transaction */
enum mk_status server_propose_request(struct server *server, const struct prepare_who *who,
                                      const struct jute_request *request, mk_zxid *zxid);
/* A transaction that is an answer only, and uses up a zxid. */
enum mk_status server_propose_error(struct server *server, mk_session id, int32_t cxid,
                                    enum mk_status error);
/* What is proposed by now has been applied when this zxid has. */
mk_zxid server_proposed_last(const struct server *server);
/* Everything committed and durable becomes fact. */
void server_commit_all(struct server *server);
/* What is proposed and not committed will not be, as far as this server knows. */
void server_proposals_forget(struct server *server);
/* Keep in the tree who has announced recipes. MK_OK, MK_WOULD_BLOCK. */
enum mk_status server_propose_announced(struct server *server, struct mk_bytes ids);
/* One transaction of installing the catalogue. MK_END: it is in the tree. */
enum mk_status server_propose_catalogue(struct server *server);
enum mk_status server_propose_session(struct server *server, mk_session id, int32_t timeout_ms,
                                      mk_zxid *zxid);
/* Ends the session; its calls are ended behind it, a bounded number a turn. MK_WOULD_BLOCK: ask again. */
enum mk_status server_propose_close(struct server *server, mk_session id, int32_t cxid,
                                    mk_zxid *zxid);
/* One deletion of the reaper's round. MK_END: the round is over. */
enum mk_status server_propose_reap(struct server *server);
/* One step of counting for new quotas, if there are any. */
void server_propose_count(struct server *server);
void server_pipeline_sync(struct server *server, struct request *request);
void server_commit_forget_conn(struct server *server, const struct server_conn *conn);
struct commit *server_commit_push(struct server *server, enum commit_kind kind, mk_zxid zxid);
void server_fail(struct server *server, enum mk_status status, const char *what);

#endif
