/* Private to prepare: what its files share. */
#ifndef MK_PREPARE_CONTEXT_H
#define MK_PREPARE_CONTEXT_H

#include "prepare/prepare.h"

/* The server's own recipe, `recipe`, which deploys the others: builtin.c. */
struct builtin {
    struct recipe_engine *engine; /* with larger budgets: sources are its arguments; or NULL */
    struct recipe_version *version;
    char hash[RECIPE_VERSION_BYTES + 1];
    struct mk_buf audit; /* of the transaction at hand */
    size_t installed;    /* how much of the catalogue prepare_catalogue() has gone through */
    bool removing;       /* there may be a version whose calls are being ended */
    bool removing_turn;  /* they and the ready calls take turns */
    struct store_call_place ended; /* how far they have been looked for */
};

/* What a run fills, in the order of struct recipe_run. */
enum run_buffer { RUN_RESULT, RUN_MESSAGE, RUN_ONCE, RUN_WAIT_PATHS, RUN_BUFFERS };

/* Of one operation; see struct prepare_figures. */
struct figures {
    uint64_t calls, failures, instructions, effects, run_ms;
    struct mk_summary latency_ms;
    size_t operation_len;
    char operation[];
};

struct prepare {
    struct prepare_options options;
    struct store *store;
    struct store_view *view; /* the speculative one; in reading.c the one that is read from */
    struct recipe_engine *engine;
    const struct mk_log *log;
    bool paused;            /* nothing runs, ... */
    struct mk_error why;    /* ... because of that */
    bool gone_last;         /* the last call whose turn it was had lost its session */
    struct mk_arena scraps; /* of the request at hand; reset by every door function */
    struct mk_buf scratch;  /* see prepare_scratch() */
    struct mk_buf run_buffers[RUN_BUFFERS]; /* empty; for the next run */
    struct builtin builtin;
    struct mk_map_bytes figures; /* operation -> struct figures */
    bool slow_told;              /* a slow run, ... */
    mk_ms slow_told_ms;          /* ... at this log time */
    uint64_t slow_dropped;       /* and so many that were not told since */
};

/* Who changes what: a client, or a recipe on behalf of one. */
struct changer {
    mk_session session;
    struct mk_bytes identities;
    bool local; /* the session can own no ephemerals */
};

/* An empty buffer to put something together in, until the next call of it. */
struct mk_buf *prepare_scratch(struct prepare *prepare);

enum mk_status prepare_may(const struct prepare *prepare, const struct changer *changer,
                           struct mk_bytes acl, int permission);

/* ---- quota.c ---- */

/* May there be so many more znodes and bytes at and below `path`? MK_OK, MK_QUOTA_EXCEEDED, ... */
enum mk_status prepare_quota_check(const struct prepare *prepare, struct mk_bytes path,
                                   int64_t count, int64_t bytes);

/* May the session own one more ephemeral? */
enum mk_status prepare_owner_check(const struct prepare *prepare, mk_session session);

/* ---- changes.c: one operation: checked, done in the speculative view, and written as a part ---- */

/* The operations that a multi may hold, and setACL. `part` borrows from the request and the scraps. */
enum mk_status prepare_change_request(struct prepare *prepare, const struct changer *changer,
                                      const struct jute_request *request, bool in_multi,
                                      struct jute_txn *part);

struct change_create {
    struct mk_bytes path, data;
    struct mk_bytes acl; /* fixed; null: open */
    int32_t type;        /* JUTE_CREATE, JUTE_CREATE2, JUTE_CREATE_CONTAINER, JUTE_CREATE_TTL */
    bool ephemeral, sequential;
    mk_ms ttl_ms;
};
enum mk_status prepare_change_create(struct prepare *prepare, const struct changer *changer,
                                     const struct change_create *create, struct jute_txn *part);
enum mk_status prepare_change_delete(struct prepare *prepare, const struct changer *changer,
                                     struct mk_bytes path, int32_t version, struct jute_txn *part);
enum mk_status prepare_change_set_data(struct prepare *prepare, const struct changer *changer,
                                       struct mk_bytes path, struct mk_bytes data, int32_t version,
                                       struct jute_txn *part);

/* The same for what the server does in its own name: no ACL, no reserved paths; what must hold is
 * asserted by the caller's logic. MK_NO_NODE and the like are answers. */
enum mk_status prepare_own_create(struct prepare *prepare, struct mk_bytes path,
                                  struct mk_bytes data, struct mk_bytes acl,
                                  mk_session ephemeral_owner, bool container,
                                  struct jute_txn *part);
enum mk_status prepare_own_set_data(struct prepare *prepare, struct mk_bytes path,
                                    struct mk_bytes data, struct jute_txn *part);
enum mk_status prepare_own_delete(struct prepare *prepare, struct mk_bytes path,
                                  struct jute_txn *part);

/* world:anyone has these permissions, and `admins`, entries of a vector<ACL>, whatever they say; in the
 * scraps. */
struct mk_bytes prepare_own_acl(struct prepare *prepare, int permissions, struct mk_bytes admins,
                                int32_t admins_count);

/* ---- results.c: what a session's finished calls returned, for retries: one record znode ---- */

#define RESULTS_PATH_BYTES (sizeof(TREE_CALLS_PATH "/.s") - 1 + 16)
void prepare_results_path(uint8_t out[RESULTS_PATH_BYTES], mk_session session);
/* What a session's record says to who has seen all answers up to `done_through`. */
struct prepare_results {
    bool exists;
    int64_t done_through;
    uint32_t count;       /* of answers above it, */
    size_t kept_bytes;    /* so long, */
    size_t last_bytes;    /* and of these so many are the record's end */
    struct mk_bytes body; /* the reply's body that the call asked for had; null: none is known */
    struct mk_bytes record;
};
/* All in the scraps. */
enum mk_status prepare_results_read(struct prepare *prepare, mk_session session, int64_t call_id,
                                    int64_t done_through, struct prepare_results *out);
/* Remember one more in the record as it was read, forget those up to done_through; written as a part. */
enum mk_status prepare_results_add(struct prepare *prepare, mk_session session,
                                   const struct prepare_results *results, int64_t call_id,
                                   struct mk_bytes body, struct jute_txn *part);

/* ---- call.c ---- */

/* Is `path` directly below TREE_CALLS_PATH, or below an open gate? MK_OK, and then *chroot is what calls
 * made there are confined to (part of `path`; "" for none), or MK_NO_NODE, MK_WOULD_BLOCK, failures. */
enum mk_status prepare_call_gate(struct prepare *prepare, struct mk_bytes path,
                                 struct mk_bytes *chroot);
/* Is `path` an open gate, or anywhere below one? MK_OK, MK_NO_NODE: no; MK_WOULD_BLOCK, failures. */
enum mk_status prepare_call_gate_above(struct prepare *prepare, struct mk_bytes path);

/* What "lock.acquire" stands for now: the recipe's active version. */
struct call_target {
    struct mk_bytes hash; /* in the scraps */
    struct recipe_version *version;
    const struct recipe_operation *operation;
};
/* `calls`: TREE_CALLS_PATH, or a gate. */
enum mk_status prepare_call_may(struct prepare *prepare, const struct prepare_who *who,
                                struct mk_bytes calls);
bool prepare_call_chroot(struct mk_bytes *chroot); /* false: it is no path */
/* The reply's body for a call that is not made. */
void prepare_call_refuse(struct mk_buf *body, enum mk_status status, const struct mk_error *why);
/* MK_OK, or a refusal with its reason: MK_UNIMPLEMENTED. */
enum mk_status prepare_call_target(struct prepare *prepare, struct mk_bytes operation,
                                   struct call_target *target, struct mk_error *why);
enum mk_status prepare_call_make(struct prepare *prepare, const struct prepare_at *at,
                                 const struct prepare_who *who, const struct jute_request *request,
                                 struct mk_buf *out, struct prepared *prepared);
enum mk_status prepare_call_make_node(struct prepare *prepare, const struct prepare_at *at,
                                      const struct prepare_who *who,
                                      const struct jute_request *request, struct mk_bytes chroot,
                                      struct mk_buf *out, struct prepared *prepared);
enum mk_status prepare_call_delete_node(struct prepare *prepare, const struct prepare_at *at,
                                        const struct prepare_who *who,
                                        const struct jute_request *request, struct mk_buf *out,
                                        struct prepared *prepared);

/* ---- step.c: one transaction of one call ---- */

struct call_step {
    struct prepare *prepare;
    struct prepare_at at;
    struct prepare_who who; /* of the request, or the call's session and cxid 0 */
    mk_zxid number;         /* the call's */
    bool first;             /* this is the run that makes it */
    bool delete_node;       /* the caller deletes the call node with it */
    bool session_ends;
    bool last;             /* its time is over: it returns now, or not at all */
    mk_ms parked_ms;       /* log time of the run before; not of the first */
    struct tree_call call; /* in the scraps */
    bool
        results_read; /* this is an opcode-700 request's first run, before which they were looked at */
    struct prepare_results results;
    struct mk_bytes node; /* path of the call node; on the first run, up to its number, or null */
    bool ended;           /* with the transaction at hand; what is counted of it: */
    bool ended_failed;
    struct mk_bytes ended_operation;
    mk_ms ended_made_ms;
    bool created_overflow; /* it made more than a record can remember: it may not park */
    int32_t node_type;     /* how it is created: JUTE_CREATE or JUTE_CREATE2 */
    /* The transaction being written. */
    struct mk_buf *out;
    size_t start;
    struct jute_txn_multi multi;
};

/* Open, run, and write the transaction. *body gets the reply's body for an opcode-700 caller. *parked:
 * it waits, and there is none. */
enum mk_status prepare_step_run(struct call_step *step, struct mk_buf *body, bool *parked);
/* How a call ends whose session has ended. */
#define PREPARE_GONE_ERROR "SessionExpired"
#define PREPARE_GONE_MESSAGE "the caller's session has ended"
/* End the call without a return: `cancel` runs, what it made goes. */
enum mk_status prepare_step_end(struct call_step *step, const char *error, struct mk_bytes message,
                                struct mk_buf *body);
/* It was slowed, and its time has come: from now on its waits wake it again. */
enum mk_status prepare_step_resume(struct call_step *step);
void prepare_step_begin(struct call_step *step);
void prepare_step_abort(struct call_step *step);
void prepare_step_put(struct call_step *step, const struct jute_txn *part);
/* Ends the transaction; asserts that it fits. */
void prepare_step_commit(struct call_step *step);

/* The call's record. It borrows from the store: until the next call on it. */
enum mk_status prepare_call_look(struct prepare *prepare, mk_zxid number, struct tree_call *call);

/* The version that runs `hash` of recipe `name`: loaded from the tree if it is not in memory. */
enum mk_status prepare_step_version(struct prepare *prepare, struct mk_bytes name,
                                    struct mk_bytes hash, struct recipe_version **version,
                                    struct mk_error *error);

/* ---- dry_run.c ---- */

/* The first run of a call, whose transaction is then undone: appends the reply's body, whose result is a
 * report. MK_OK, MK_WOULD_BLOCK. */
enum mk_status prepare_dry_run(struct call_step *step, struct recipe_version *version,
                               const struct recipe_operation *operation, struct mk_buf *body);

/* ---- host.c: what a running recipe sees of the speculative view ---- */

struct host {
    struct recipe_host base;
    struct call_step *step;
    struct changer changer;
    bool reads_only;
};
void prepare_host_init(struct host *host, struct call_step *step, bool reads_only);
/* A path as the recipe wrote it, below the call's chroot; in the scraps. */
struct mk_bytes prepare_host_path(const struct call_step *step, struct mk_bytes path);

/* ---- figures.c: what is counted of each operation ---- */

void prepare_figures_free(struct prepare *prepare);
/* recipe_run(), and count what it took. */
void prepare_figures_run(struct call_step *step, struct recipe_engine *engine,
                         struct recipe_run *run);
/* The call ends with the step's transaction. Before its record is changed. */
void prepare_figures_ended(struct call_step *step, bool failed);
void prepare_figures_commit(struct call_step *step);
void prepare_figures_read(struct call_step *step, bool failed); /* a call that only read */
/* NULL: nobody has called it. */
const struct figures *prepare_figures_find(const struct prepare *prepare,
                                           struct mk_bytes operation);

/* ---- builtin.c: the server's own recipe ---- */

void prepare_builtin_init(struct prepare *prepare);
void prepare_builtin_deinit(struct prepare *prepare);
void prepare_builtin_lead(struct prepare *prepare);
bool prepare_builtin_is(struct mk_bytes operation); /* "recipe.deploy" */
/* The engine that `version` belongs to. */
struct recipe_engine *prepare_engine_of(const struct prepare *prepare,
                                        const struct recipe_version *version);
/* What its operations may see and do, instead of what prepare_host_init() has set. */
void prepare_builtin_host(struct host *host);
/* The next call to be ended because its version is being removed; 0: they have all ended. MK_END: none.
 * *more: there is more to look through than one look may. */
enum mk_status prepare_builtin_due(struct prepare *prepare, mk_zxid *call, bool *more);
/* The last of them has ended: remove the version. */
enum mk_status prepare_builtin_ended(struct prepare *prepare, const struct prepare_at *at,
                                     struct mk_buf *out);
/* What the transaction at hand has to say in the log: to `prepared`. */
void prepare_builtin_audit(struct prepare *prepare, struct prepared *prepared);

#endif
