/* Private to sim: the checker. It stands between the server and everything else: it sees each frame
 * that the server is given, each batch that it hands to the disk, and each byte that it answers,
 * and compares them with the model. What is wrong is said once, in `failure`; nothing is asserted.
 *
 * The order within one event of the server: its inputs are told to the checker first; then its new
 * output is looked at, transaction by transaction, because a reply says as of which one it was
 * written. */
#ifndef MK_SIM_CHECK_H
#define MK_SIM_CHECK_H

#include "server/server.h"
#include "sim/model.h"
#include "tree/tree.h"

struct sim_check;
struct sim_agreement;

/* ---- One request, as the server received it ---- */

struct sim_op {
    struct mk_link in_conn;  /* of its connection, until it is answered */
    struct mk_link in_check; /* writes that have not committed */
    unsigned refs;           /* lists that it is in */
    struct mk_buf frame;
    struct jute_request request; /* borrows from `frame` */
    enum mk_status decoded;
    mk_session session;
    struct sim_identities identities; /* in force when it was received */
    mk_zxid received_zxid;
    mk_zxid acknowledged; /* the last write of an ensemble that somebody knew of then */
    uint8_t server;       /* that has received it, of an ensemble */
    mk_ms asked_ms;       /* when its connection asked for the session */
    uint64_t number;      /* of all the requests received: one connection's commit in this order */
    bool committed;
    mk_zxid zxid;  /* of its transaction */
    int32_t error; /* its reply */
    bool body_known;
    struct mk_buf body;
    bool parked;  /* a call that waits: others' replies may overtake its own */
    mk_zxid call; /* the number of the call that it made */
};

struct sim_expected_event {
    mk_zxid zxid;
    enum jute_event event;
    struct mk_bytes path; /* owned */
};
struct sim_events {
    struct sim_expected_event *list;
    size_t first, count, cap;
};

enum { SIM_WATCH_DATA, SIM_WATCH_CHILD, SIM_WATCH_PERSISTENT, SIM_WATCH_RECURSIVE, SIM_WATCHES };

#define SIM_MEMBERS_MAX 7

struct sim_paths {         /* a set */
    struct mk_bytes *list; /* owned */
    size_t count, cap;
};

enum sim_conn_state { SIM_CONN_FRESH, SIM_CONN_CONNECTING, SIM_CONN_ATTACHED };

/* A connection, as the checker knows it. */
struct sim_check_conn {
    struct server_conn *server;
    const char *address;
    mk_ms opened_ms;
    enum sim_conn_state state;
    mk_ms asked_ms; /* for the session, in an ensemble */
    bool unheard;   /* what comes from now on is not listened to */
    bool may_close; /* there is a reason for the server to close it */
    bool connect_refusable;
    struct jute_connect connect;
    mk_session session;
    int32_t timeout_ms;
    struct sim_identities identities;
    struct mk_link ops; /* received, not answered, in order */
    struct mk_link pings;
    struct sim_paths watches[SIM_WATCHES];
    struct sim_events events; /* that it must be sent, in order */
    struct sim_events found;  /* sent by setWatches, its reply is to come */
    size_t checked;           /* bytes of the output that have been looked at */
    size_t tampered;          /* ... that sabotage has looked at */
    mk_zxid zxid_told;
};

/* ---- The recipes that clients call (recipes.c) ---- */

enum sim_operation {
    SIM_UNKNOWN,
    SIM_ACQUIRE,
    SIM_RELEASE,
    SIM_HOLDER,
    SIM_NAP,
    SIM_PASS, /* of the recipe gate, of which there are versions */
    SIM_ADD,
    SIM_GET,
    SIM_KEEP,
    SIM_DEPLOY,
    SIM_ROLLBACK,
    SIM_REMOVE,
    SIM_UPGRADE,
    SIM_LIST,
};
enum sim_operation sim_operation_of(struct mk_bytes name);
const char *sim_operation_name(enum sim_operation operation);
bool sim_operation_reads(enum sim_operation operation);
bool sim_operation_deploys(enum sim_operation operation);

struct mk_bytes sim_recipe_nap(void);
struct mk_bytes sim_recipe_tally(void);
#define SIM_GATES 4 /* versions of gate: 1 to 4 */
void sim_gate_source(struct mk_buf *out, int version);
int sim_gate_version(struct mk_bytes source); /* whatever it stands in; -1: it is none of gate's */

/* ---- Calls and locks ---- */

struct sim_result {        /* of a call's reply body, or of a call node's JSON */
    struct mk_bytes error; /* null: it returned */
    struct mk_bytes value;
};

struct sim_outcome { /* how a call with an id ended; once */
    mk_session session;
    int64_t call_id;
    struct mk_buf body;
};

struct sim_call { /* a parked call, from its record in the model */
    mk_zxid number;
    mk_session session;
    int64_t call_id;
    bool finished; /* only its result is kept */
    mk_ms deadline_ms;
    mk_ms wake_at_ms;       /* it waits for this time and no lock; or 0 */
    mk_ms due_ms;           /* when it is to be run or ended at the latest; or 0 */
    struct mk_bytes ticket; /* owned; or null */
    enum sim_operation operation;
    struct mk_bytes
        version; /* owned: the path of the version that it runs on; null: the server's */
    int gate;    /* that version of gate, or -1 */
    struct mk_bytes awaited; /* owned: the first path that it waits for; or null */
    bool outlives;
    uint64_t gone; /* 0, or when its session's end came, and its turn in it */
};

struct sim_ending { /* of a call, in the transaction just done */
    mk_zxid number;
    const struct sim_call *call; /* NULL: it ends in its first run */
    struct sim_op *op;           /* that the transaction answers; or NULL */
    enum sim_operation operation;
};

struct sim_tally { /* what /tally says from this transaction on */
    mk_zxid zxid;
    int64_t value;
};

struct sim_lock {
    struct mk_bytes path;   /* owned */
    mk_zxid fence;          /* of the last grant */
    uint64_t born;          /* of the ticket that got it */
    struct mk_bytes ticket; /* owned */
};

struct sim_check_stats {
    uint64_t frames, replies, events, commits, errors, comparisons;
    uint64_t reaped, counts, calls, grants, timeouts, cancels, outcomes, expired, crashes;
    uint64_t deployments, passes, dry_runs, call_reads, outlived, gone;
};

struct sim_check {
    struct sim_model model;
    struct sim_agreement *agreement; /* of the ensemble that its server is a member of; or NULL */
    size_t agreed_next;              /* ... the index there of what it applies next */
    bool agreed_serving;             /* ... it has served since it began its role */
    int64_t agreed_epoch;
    struct mk_error failure; /* text empty: nothing is wrong */
    const struct server_options *options;
    mk_ms now_ms; /* monotonic */
    struct sim_check_conn **conns;
    size_t conns_count, conns_cap;
    struct mk_link writes; /* struct sim_op, not committed */
    uint64_t received;
    struct sim_check_conn **connecting; /* new sessions in the order asked for; NULL: it has gone */
    int32_t *connecting_timeouts;
    size_t connecting_count, connecting_cap;
    struct sim_outcome *outcomes;
    size_t outcomes_count, outcomes_cap;
    struct sim_call *calls;
    size_t calls_count, calls_cap;
    uint64_t calls_gone; /* ever */
    struct sim_lock *locks;
    size_t locks_count, locks_cap;
    struct sim_tally *tallies;
    size_t tallies_count, tallies_cap;
    int gate_before; /* the active version of gate before the transaction just done; or -1 */
    int64_t tally_before;
    struct mk_buf body, txn; /* scratch */
    struct sim_check_stats stats;
};

void sim_check_init(struct sim_check *check, const struct server_options *options);
void sim_check_deinit(struct sim_check *check);
void sim_check_fail(struct sim_check *check, const char *format, ...) MK_PRINTF(2, 3);
static inline bool sim_check_ok(const struct sim_check *check)
{
    return check->failure.text[0] == '\0';
}

/* ---- What the servers of an ensemble have in common (check_agree.c) ----
 *
 * One history: what any server applies, whichever is the first. Each server has a checker, with a model at
 * what that server has applied; a request is known to all of them, and is what it is in each model. */

struct sim_agreed {
    mk_zxid zxid;
    struct mk_bytes entry; /* owned */
    struct sim_op *op;     /* that it is the transaction of; or NULL */
    uint64_t hash;         /* of the store behind it, once somebody has looked; or 0 */
};

struct sim_life { /* of a session */
    mk_session id;
    mk_zxid made;
    int32_t timeout_ms, timeout_now_ms;
    mk_ms heard_ms; /* by any server */
    bool expirable;
    bool claimed;                    /* a client has it */
    mk_ms asked_ms[SIM_MEMBERS_MAX]; /* for it, last, of each server */
};

struct sim_agreement {
    struct sim_agreed *list;
    size_t count, cap;
    struct mk_link writes; /* struct sim_op, not committed; some will never be */
    uint64_t received;
    struct sim_life *lives;
    size_t lives_count, lives_cap;
    struct mk_map_u64 lives_by_id; /* index + 1 */
    struct sim_check *checks[SIM_MEMBERS_MAX];
    size_t checks_count;
    mk_zxid acknowledged;
    mk_ms disturbed_until_ms; /* until then nobody can tell what a leader has heard of sessions */
    int64_t epoch;            /* the newest in which anybody has served as the leader */
    mk_ms led_ms;             /* ... when he began */
    struct mk_buf leaders;    /* of each epoch: the leader's id, or 0 */
    uint64_t elections;
};

void sim_agreement_init(struct sim_agreement *agreement);
void sim_agreement_deinit(struct sim_agreement *agreement);
void sim_agreement_join(struct sim_agreement *agreement, struct sim_check *check);
/* Until that time sessions may end early: their leader may not hear of them. */
void sim_agreement_disturb(struct sim_agreement *agreement, mk_ms until_ms);
/* Nothing is under way: what has not been committed never will be. */
void sim_agreement_quiet(struct sim_agreement *agreement);

/* What this server applies: as all have it, or the first to have it. False: they have it otherwise. */
bool sim_agree(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry,
               struct sim_op **op);
/* It applies again what it had applied before it went down. */
void sim_agree_again(struct sim_check *check, struct mk_bytes entry);
/* A snapshot has taken the place of its state. */
void sim_agree_installed(struct sim_check *check, mk_zxid zxid);
/* After each call of the server: who leads, and what those who serve must have. */
void sim_agree_role(struct sim_check *check, const struct server *server);
bool sim_agree_leads(const struct sim_check *check); /* and serves */
void sim_agree_hash(struct sim_check *check, struct store *store);
/* Whoever has asked that server for the session then may find that it is another server's. */
bool sim_life_moved(const struct sim_check *check, mk_session id, int64_t server, mk_ms asked_ms);
struct sim_life *sim_life_of(const struct sim_check *check, mk_session id); /* or NULL */
void sim_lives_tick(struct sim_check *check);
void sim_lives_quiet(struct sim_check *check);

/* ---- What goes to the server (check_conn.c) ---- */

struct sim_check_conn *sim_check_conn_new(struct sim_check *check, struct server_conn *server,
                                          const char *address);
void sim_check_conn_free(struct sim_check *check, struct sim_check_conn *conn);
/* Before server_conn_frame(). */
void sim_check_frame(struct sim_check *check, struct sim_check_conn *conn, struct mk_bytes frame);
void sim_check_tick(struct sim_check *check, mk_ms now_ms); /* before server_tick() */
void sim_check_touch(struct sim_check *check, mk_session session);
/* A client was told that the session has ended, or may have been. */
void sim_check_ended(struct sim_check *check, mk_session session);
void sim_op_unref(struct sim_op *op);

/* ---- What it answers (check_reply.c) ---- */

/* Look at the output of one connection as far as it was written as of the model's zxid. */
void sim_check_output(struct sim_check *check, struct sim_check_conn *conn);
/* Nothing may be left over: the last transaction of the event has been committed. */
void sim_check_settled(struct sim_check *check, struct sim_check_conn *conn);
/* The server has nothing left to wait for: every request is answered but calls that wait. */
void sim_check_forgotten(struct sim_check *check, struct sim_check_conn *conn);
/* After bytes have been taken from the front of the output. */
void sim_check_taken(struct sim_check_conn *conn, size_t bytes);

/* ---- What it logs and commits (check_commit.c) ---- */

void sim_check_commit(struct sim_check *check, struct mk_bytes entry);
/* The request that has not committed and that this is the transaction of; or NULL. */
struct sim_op *sim_op_of(struct sim_check *check, const struct jute_txn *txn);
/* The server has gone; what was not committed by then never will be. */
void sim_check_crash(struct sim_check *check);
void sim_check_boot(struct sim_check *check);

/* ---- Watches (check_watch.c) ---- */

void sim_watches_fire(struct sim_check *check); /* of the transaction just done in the model */
void sim_watch_add(struct sim_check_conn *conn, int kind, struct mk_bytes path);
bool sim_watch_has(const struct sim_check_conn *conn, int kind, struct mk_bytes path);
bool sim_watch_remove(struct sim_check_conn *conn, int kind, struct mk_bytes path);
void sim_watches_drop(struct sim_check_conn *conn);
/* Compare what setWatches sent with what it should have; set the rest. */
void sim_watches_set(struct sim_check *check, struct sim_check_conn *conn,
                     const struct jute_request *request);
void sim_events_push(struct sim_events *events, mk_zxid zxid, enum jute_event event,
                     struct mk_bytes path);
void sim_events_pop(struct sim_events *events);
void sim_events_free(struct sim_events *events);

/* ---- Calls and locks (check_call.c) ---- */

/* The tree has changed in a transaction of a call: follow records, results, locks. `op` or NULL. */
void sim_calls_follow(struct sim_check *check, const struct jute_txn *txn, struct sim_op *op);
void sim_call_replied(struct sim_check *check, const struct sim_op *op,
                      const struct jute_reply *reply);
/* The session has ended, and nobody can ask for its calls' outcomes any more. */
void sim_calls_forget(struct sim_check *check, mk_session session);
/* Its calls, but those that outlive it, are to be ended, one after the other. */
void sim_calls_gone(struct sim_check *check, mk_session session);
bool sim_result_of_body(struct mk_bytes body, struct sim_result *result);
bool sim_result_refused(const struct sim_result *result); /* a call that never ran */
/* The value of `"name":` in JSON as the server writes it: without spaces. */
struct mk_bytes sim_json_member(struct mk_bytes json, const char *name, const char *until);
int64_t sim_number_of(struct mk_bytes digits);
enum sim_operation sim_op_operation(const struct sim_op *op);

/* ---- Locks (check_lock.c) ---- */

bool sim_lock_contends(struct mk_bytes path, struct mk_bytes lock);
void sim_lock_granted(struct sim_check *check, struct mk_bytes path, mk_zxid fence,
                      mk_session session);
bool sim_lock_is_granted(const struct sim_check *check, const struct sim_znode *ticket);
void sim_locks_deinit(struct sim_check *check);
/* Of the lock that `ticket` is a child of: the contender that was created first; or NULL. */
const struct sim_znode *sim_lock_first(const struct sim_check *check, struct mk_bytes lock);
const struct sim_call *sim_call_of(const struct sim_check *check, mk_session session,
                                   int64_t call_id);
bool sim_call_has_ended(const struct sim_check *check, mk_session session, int64_t call_id);
void sim_calls_deinit(struct sim_check *check);

/* ---- Recipes other than the lock, and their versions (check_recipe.c) ---- */

void sim_recipes_before(struct sim_check *check); /* a transaction */
/* `txn`, of a call, has been done. */
void sim_recipes_follow(struct sim_check *check, const struct jute_txn *txn,
                        const struct sim_op *op);
void sim_recipes_after(struct sim_check *check);
void sim_recipe_returned(struct sim_check *check, const struct sim_ending *ending,
                         struct mk_bytes value);
void sim_recipe_failed(struct sim_check *check, const struct sim_ending *ending,
                       struct mk_bytes error);
/* What tally.add answers, when it has no id; false: it has not added anything. */
bool sim_tally_body(const struct sim_check *check, const struct sim_op *op, struct mk_buf *body);
int64_t sim_tally_now(const struct sim_check *check);
/* A call begins on the version that is active, and stays with that. */
void sim_version_follow(struct sim_check *check, struct sim_call *call,
                        const struct tree_call *record);
/* The version of a call is being removed, and its calls ended. */
bool sim_version_marked(const struct sim_check *check, struct mk_bytes version);
/* Replies to what leaves no transaction: operations that only read, and dry runs. */
void sim_call_read_replied(struct sim_check *check, const struct sim_op *op,
                           const struct jute_reply *reply);
void sim_call_tried_replied(struct sim_check *check, const struct sim_op *op,
                            const struct jute_reply *reply);
void sim_recipes_quiet(struct sim_check *check);

/* ---- Memory (check.c) ---- */

struct mk_bytes sim_copy_of(struct mk_bytes bytes); /* owned */
void sim_free_bytes(struct mk_bytes bytes);
void sim_set_bytes(struct mk_bytes *to, struct mk_bytes from); /* copied; null stays null */
/* A longer array, if there is no room for one more. */
void *sim_grown(void *array, size_t count, size_t *cap, size_t size);

/* ---- Everything at once (check_whole.c) ---- */

void sim_check_store(struct sim_check *check, struct store *store);
/* Nothing is under way, and nothing has failed for a while. `log_time_ms` is not later than now. */
void sim_check_quiet(struct sim_check *check, mk_ms log_time_ms);

#endif
