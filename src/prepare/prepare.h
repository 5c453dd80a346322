/* A request and the state as it will be, when all that is proposed has committed, become one definite
 * transaction, or an error. Recipes run here, and are woken here. What prepare decides it also does, in
 * the store's speculative view, so that the next request is prepared on top of it.
 *
 * Prepare never waits, replies to nobody and proposes nothing: the server does, with what it returns. */
#ifndef MK_PREPARE_H
#define MK_PREPARE_H

#include "base/base.h"
#include "jute/jute.h"
#include "recipe/recipe.h"
#include "session/session.h"
#include "store/store.h"
#include "tree/tree.h"

struct prepare_recipe { /* of the catalogue */
    struct mk_bytes name, source;
};

struct prepare_options {
    bool extended_types; /* TTL znodes */
    struct tree_acl_rules acl;
    bool reconfig; /* reconfigEnabled */
    /* Appends the text of the members of the ensemble, as this RECONFIG request makes them; or why it
     * cannot. NULL: this server is alone. */
    enum mk_status (*reconfigure)(void *context, const struct jute_request *request,
                                  struct mk_buf *text);
    void *reconfigure_context;
    bool enforce_quota;              /* hard limits refuse */
    uint32_t session_ephemerals_max; /* 0: any number */
    bool recipes;
    uint32_t transaction_bytes_max; /* half of jute.maxbuffer */
    uint32_t calls_max;             /* parked or kept, all sessions */
    uint32_t session_calls_max;     /* ... of one session; also its remembered results */
    mk_ms call_result_ms;           /* how long a finished call node is kept */
    /* Who may deploy: what the ACL of TREE_RECIPES_PATH says besides world:anyone:r, as entries of a
     * vector<ACL>, without its count. Nobody but super if there are none. */
    struct mk_bytes recipe_admin;
    int32_t recipe_admin_count;
    mk_ms slow_run_ms;                  /* a run that takes longer is told in the log; 0: none */
    mk_ms (*elapsed_ms)(void *context); /* the clock for that, from the edge; or NULL */
    void *elapsed_context;
    const struct prepare_recipe *catalogue; /* borrowed */
    size_t catalogue_count;
};

struct prepare;
/* `store` and `engine` stay the caller's; `engine` may be NULL when recipes are off. */
struct prepare *prepare_new(const struct prepare_options *options, struct store *store,
                            struct recipe_engine *engine, const struct mk_log *log);
void prepare_free(struct prepare *prepare);

/* What every transaction is made at and for. */
struct prepare_at {
    mk_zxid zxid;  /* that the transaction will have: the next one */
    mk_ms time_ms; /* log time, for its header */
};
struct prepare_who {
    mk_session session;
    int32_t cxid;
    struct mk_bytes identities; /* vector<Id> */
    bool local; /* the session is known to its own server alone: it can own nothing */
};

/* What came of it. Zero-initialise before the first use; prepare_result_reset() between uses. */
struct prepared {
    bool transaction; /* one was appended to `out`; else the request is answered at once */
    bool own_body;    /* `body` is the reply's; else the one that apply writes */
    struct mk_buf body;
    mk_zxid parked; /* the call that the reply now waits for, or 0 */
    mk_zxid ended;  /* a parked call that ends with this transaction, or 0: the body of its */
    struct mk_buf ended_body; /* held reply, if anyone holds one */
    struct mk_buf audit;      /* for the log, once it has committed; or empty */
};
void prepare_result_reset(struct prepared *prepared);
void prepare_result_deinit(struct prepared *prepared);

/* Prepare a write, or a call. Appends one transaction (TxnHeader, body) to `out`: for a request that
 * fails, the error transaction. MK_WOULD_BLOCK: nothing has happened; load, ask again. Failures. */
enum mk_status prepare_request(struct prepare *prepare, const struct prepare_at *at,
                               const struct prepare_who *who, const struct jute_request *request,
                               struct mk_buf *out, struct prepared *prepared);

/* Whether a call of `operation` only reads, by what is deployed: MK_OK; MK_END: no, or there is no such
 * operation; MK_WOULD_BLOCK: that is not in memory. Failures. */
enum mk_status prepare_call_reads(struct prepare *prepare, struct mk_bytes operation);
/* Such a call, without a transaction: it sees `view`, and `time_ms` is its call.now. Appends the reply's
 * body. MK_END: the operation does not only read, or is not there, any more. MK_WOULD_BLOCK, failures. */
enum mk_status prepare_call_read(struct prepare *prepare, struct store_view *view, mk_ms time_ms,
                                 const struct prepare_who *who, const struct jute_request *request,
                                 struct mk_buf *body);

enum mk_status prepare_create_session(struct prepare *prepare, const struct prepare_at *at,
                                      mk_session session, int32_t timeout_ms, struct mk_buf *out);
/* The end of a session, asked for (cxid) or expired (0). Its calls are then due, to be ended. */
enum mk_status prepare_close_session(struct prepare *prepare, const struct prepare_at *at,
                                     mk_session session, int32_t cxid, struct mk_buf *out);

/* ---- The reaper ---- */

/* What one round of the reaper may take. What becomes due meanwhile waits for the next, so that a
 * round ends, and none of the three kinds can keep the others waiting for ever. */
struct prepare_round {
    mk_zxid emptied_through; /* containers that lost their last child by then */
    mk_ms time_ms;           /* log time: TTL znodes that were due before */
    mk_ms unused_ms;         /* containers that never had a child, that old; 0: none of them */
};
/* Delete one container or TTL znode that has no children, as it will be: one transaction. MK_END: the
 * round is over. */
enum mk_status prepare_reap(struct prepare *prepare, const struct prepare_at *at,
                            const struct prepare_round *round, struct mk_buf *out);

/* ---- Quotas ---- */

/* Count on for a new quota: one transaction, which a ZooKeeper takes for a deletion by its reaper that
 * came too late. MK_END: there is nothing to count. */
enum mk_status prepare_quota_count(struct prepare *prepare, const struct prepare_at *at,
                                   struct mk_buf *out);

/* ---- Parked calls ---- */

enum prepare_why {
    PREPARE_READY,    /* a wait no longer holds, or the time waited for has come: run again */
    PREPARE_DEADLINE, /* its time is over */
    PREPARE_SLOWED,   /* it was slowed for long enough */
    PREPARE_GONE,     /* its session has ended */
    PREPARE_REMOVED,  /* its version is being removed; call 0: all of its calls have ended */
};
/* The next call that is to be run or ended at log time `time_ms`: MK_OK, or MK_END, and then
 * *next_ms is when the next one may be due (INT64_MAX: none in sight). */
enum mk_status prepare_call_due(struct prepare *prepare, mk_ms time_ms, mk_zxid *call,
                                enum prepare_why *why, mk_ms *next_ms);
/* Whether versions may be being removed, so that prepare_call_due() has to be asked. */
bool prepare_removing(const struct prepare *prepare);
/* Run or end it: one transaction. MK_END: there was nothing to do after all. */
enum mk_status prepare_call_step(struct prepare *prepare, const struct prepare_at *at, mk_zxid call,
                                 enum prepare_why why, struct mk_buf *out,
                                 struct prepared *prepared);

/* What the session's call was answered, as long as that is remembered: by whoever leads. `*body` is good
 * until the next call of any of these functions. MK_NO_NODE: not known. MK_WOULD_BLOCK, failures. */
enum mk_status prepare_call_answered(struct prepare *prepare, struct store_view *view,
                                     mk_session session, int64_t call_id, struct mk_bytes *body);

/* The reply's body for whoever still waits for a call when their session ends. */
void prepare_call_lost(struct mk_buf *body);

/* ---- Figures of each operation ---- */

struct prepare_figures {                    /* since the server began, but for `waiting` */
    struct mk_bytes operation;              /* "lock.acquire" */
    int64_t waiting;                        /* calls that are parked or ready now, on any version */
    uint64_t calls, failures;               /* made; ended without a result */
    uint64_t instructions, effects, run_ms; /* of all runs */
    struct mk_summary latency_ms;           /* of calls that have ended: from made to ended */
};
typedef void prepare_figures_visit(void *context, const struct prepare_figures *figures);
void prepare_figures_each(struct prepare *prepare, prepare_figures_visit *visit, void *context);

/* ---- Members of an ensemble ---- */

/* This server begins to lead: what earlier leaders have begun is to be looked for in the tree. */
void prepare_lead(struct prepare *prepare);
/* From now on no call is made or run, and those that wait stand still, because of `why`, which who calls
 * is told. What a call was answered before can still be asked for. NULL: they go on. */
void prepare_pause(struct prepare *prepare, const char *why);
/* Why they stand still, or NULL. */
const char *prepare_paused(const struct prepare *prepare);
/* Keep in the tree which servers have announced recipes: one transaction, as `ids` is all that the znode
 * says. MK_OK, MK_WOULD_BLOCK, failures. */
enum mk_status prepare_announced(struct prepare *prepare, const struct prepare_at *at,
                                 struct mk_bytes ids, struct mk_buf *out);

/* ---- The catalogue ---- */

/* Recipes are new to this tree: make the znodes that they live in, then install the catalogue, a
 * recipe in a transaction. MK_END: it is done, or was done by an earlier server; a newer catalogue
 * changes nothing by itself. */
enum mk_status prepare_catalogue(struct prepare *prepare, const struct prepare_at *at,
                                 struct mk_buf *out, struct prepared *prepared);

#endif
