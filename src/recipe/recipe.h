/* The Lua engine: loads recipe versions, runs their operations in a sandbox under budgets, and
 * says how a run ended. A run sees and changes znodes only through the host that is handed in;
 * it knows neither the tree nor the store nor zxids' making. The only room that sees lua.h.
 *
 * Every run executes the recipe's chunk afresh in an environment that it cannot change, and
 * calls the operation's `run` (or `cancel`) from the top. Nothing survives a run but `once` and
 * znodes. */
#ifndef MK_RECIPE_H
#define MK_RECIPE_H

#include "base/base.h"

struct recipe_options {                 /* budgets of one run; 0 takes the default */
    uint64_t instructions_max;          /* 1,000,000 */
    uint64_t work_max;                  /* of library functions, in bytes handled: 16 MB */
    uint64_t memory_bytes_max;          /* of one version's lua_State: 16 MB */
    uint64_t alloc_bytes_max;           /* of one allocation, which bounds a comparison: 64 KB */
    uint32_t effects_max;               /* creates, sets, deletes: 4,096 */
    uint32_t result_bytes_max;          /* 64 KB; also the bound on once */
    uint32_t nesting_max;               /* of values, JSON, MessagePack: 32 */
    mk_ms elapsed_max_ms;               /* by the clock of `elapsed_ms`: 250 */
    mk_ms (*elapsed_ms)(void *context); /* handed in by the edge; NULL: stands still */
    void *elapsed_context;
    const struct mk_log *log;
    bool deployment; /* its versions are the server's own: they see the library `deployment` */
};
struct recipe_engine;
struct recipe_engine *recipe_engine_new(const struct recipe_options *options);
void recipe_engine_free(struct recipe_engine *engine);

/* ---- Versions ---- */

#define RECIPE_VERSION_BYTES 64 /* hex SHA-256 of the source */
#define RECIPE_SOURCE_BYTES_MAX (256 * 1024)
#define RECIPE_NAME_BYTES_MAX 64 /* [a-z][a-z0-9_]* */
/* Owned by the engine until recipe_version_drop(), or, once there are very many, until another one has
 * been loaded: find it again by its hash. One that is being run stays. */
struct recipe_version;

/* The content hash, as the version is called in the tree. */
void recipe_version_hash(struct mk_bytes source, char out[RECIPE_VERSION_BYTES + 1]);

/* Compile, run the chunk once in the sandbox, check every operation's declaration. The same source
 * twice gives the same version. NULL: `error` says "lock.lua:12: ..." */
struct recipe_version *recipe_version_load(struct recipe_engine *engine, struct mk_bytes name,
                                           struct mk_bytes source, struct mk_error *error);
struct recipe_version *recipe_version_find(struct recipe_engine *engine, struct mk_bytes hash);
void recipe_version_drop(struct recipe_engine *engine, struct recipe_version *version);

/* The recipe says `override = true`: it may replace one of the catalogue's. */
bool recipe_version_overrides(const struct recipe_version *version);

struct recipe_operation {
    const char *name; /* "acquire"; lives as long as its version */
    const char *doc;
    bool has_cancel;
    bool reads_only;
    bool outlives_session;
    mk_ms deadline_ms; /* no call of it lasts longer; 0: no such bound */
};
/* NULL: the version has no such operation ("acquire", without the recipe's name). */
const struct recipe_operation *recipe_operation_find(const struct recipe_version *version,
                                                     struct mk_bytes name);
/* The version's operations, by name; NULL: there are no more. */
const struct recipe_operation *recipe_operation_at(const struct recipe_version *version,
                                                   size_t index);

/* What the version declares, appended as JSON: {"name", "version", "operations": [{"name", "doc",
 * "arguments": [{"name", "type", ...}]}]}; flags, bounds and defaults only where there are any. False: it
 * does not fit into its memory. */
bool recipe_version_describe(struct recipe_version *version, struct mk_buf *out);

enum recipe_format { RECIPE_JSON = 0, RECIPE_MSGPACK = 1 };

/* Check `arguments` (a map in `format`; null or empty: no arguments) against the schema.
 * *timeout_ms is the duration given as `timeout`, or -1. MK_OK, or MK_BAD_ARGUMENTS with a
 * sentence in `error`. */
enum mk_status recipe_arguments_check(struct recipe_version *version,
                                      const struct recipe_operation *operation,
                                      enum recipe_format format, struct mk_bytes arguments,
                                      mk_ms *timeout_ms, struct mk_error *error);

/* ---- The host: what a run may see and do ---- */
/* Paths are as the recipe wrote them, shape unchecked. */

struct recipe_znode {
    mk_zxid czxid, mzxid, pzxid;
    mk_ms ctime_ms, mtime_ms;
    int32_t version, cversion, aversion, children_count, data_length;
    mk_session owner;     /* of an ephemeral, or 0 */
    struct mk_bytes data; /* valid until the next host call */
};
struct recipe_create {
    struct mk_bytes path, data;
    bool ephemeral, sequential, container;
    bool parents; /* make missing parents, as containers */
};
struct recipe_siblings { /* children of `path`; or the one next to a child */
    struct mk_bytes path;
    bool by_creation;
    bool backwards;
    struct mk_bytes from; /* a child's name, exclusive; null: the first (backwards: the last). By
                           * creation it must exist: MK_NO_NODE, as if `path` did not. */
};
struct recipe_host;
typedef bool recipe_child_visit(void *context, struct mk_bytes name); /* false stops */

/* What the server's own recipe may ask besides: the library `deployment`. */
struct recipe_figures { /* of one operation, since the server began, but for `waiting` */
    const char *name;
    int64_t waiting; /* calls that are parked now, on any version */
    uint64_t calls, failures, instructions, effects, run_ms;
    uint64_t latency_avg_ms, latency_max_ms; /* from made to ended */
};
struct recipe_deploy_ops {
    enum mk_status (*may)(struct recipe_host *host); /* MK_OK, MK_NO_AUTH */
    void (*who)(struct recipe_host *host, struct mk_buf *out);
    /* NULL: `error` says why the source is no recipe. */
    struct recipe_version *(*check)(struct recipe_host *host, struct mk_bytes name,
                                    struct mk_bytes source, struct mk_error *error);
    /* Calls that are parked on that version. */
    enum mk_status (*waiting)(struct recipe_host *host, struct mk_bytes name, struct mk_bytes hash,
                              int64_t *calls);
    /* The catalogue that the server was started with. False: there are not so many. */
    bool (*catalogue)(struct recipe_host *host, size_t index, struct mk_bytes *name,
                      struct mk_bytes *source);
    /* Of the operations of recipe `name`. MK_END: there are not so many. */
    enum mk_status (*figures)(struct recipe_host *host, struct mk_bytes name, struct mk_bytes hash,
                              size_t index, struct recipe_figures *out);
    /* A line for the log, once the transaction has committed. */
    void (*audit)(struct recipe_host *host, struct mk_bytes line);
};
struct recipe_host_ops {
    /* Each returns MK_OK, an answer (MK_NO_NODE, MK_NO_AUTH, ...), or MK_WOULD_BLOCK or a failure
     * (MK_IO, ...), which end the run at once, whatever the recipe catches. */
    enum mk_status (*read)(struct recipe_host *host, struct mk_bytes path,
                           struct recipe_znode *out);
    enum mk_status (*children)(struct recipe_host *host, const struct recipe_siblings *query,
                               recipe_child_visit *visit, void *context);
    enum mk_status (*create)(struct recipe_host *host, const struct recipe_create *create,
                             struct mk_buf *path); /* the path made */
    enum mk_status (*set)(struct recipe_host *host, struct mk_bytes path, struct mk_bytes data,
                          int32_t version, int32_t *version_now);
    enum mk_status (*remove)(struct recipe_host *host, struct mk_bytes path, int32_t version);
    enum mk_status (*session_alive)(struct recipe_host *host, mk_session session, bool *alive);
    /* What "counter.add" stands for now, for call:run. MK_UNIMPLEMENTED: nothing. */
    enum mk_status (*operation)(struct recipe_host *host, struct mk_bytes name,
                                struct recipe_version **version,
                                const struct recipe_operation **operation);
    const struct recipe_deploy_ops *deploy; /* NULL but for recipe_options.deployment */
};
struct recipe_host { /* embedded in the caller's own */
    const struct recipe_host_ops *ops;
};

/* ---- Runs ---- */

enum recipe_wait_kind { /* as tree_wait_kind */
                        RECIPE_WAIT_CREATED = 1,
                        RECIPE_WAIT_DELETED = 2,
                        RECIPE_WAIT_CHANGED = 3,
                        RECIPE_WAIT_CHILDREN = 4,
                        RECIPE_WAIT_CHILDREN_ALL = 5,
};
#define RECIPE_WAITS_MAX 16
#define RECIPE_ERROR_NAME_BYTES_MAX 64

enum recipe_end {
    RECIPE_RETURNED,   /* result */
    RECIPE_FAILED,     /* error_name, message: fail(), a Lua error, a budget */
    RECIPE_PARKED,     /* waits, or a time to wake at, or both; once */
    RECIPE_UNANSWERED, /* the host could not answer, and `unanswered` says why */
};

struct recipe_run {
    /* In. */
    struct recipe_version *version;
    const struct recipe_operation *operation;
    bool cancel; /* run `cancel`, after a call that did not return */
    bool may_park;
    enum recipe_format format; /* of arguments and result */
    struct mk_bytes arguments; /* checked */
    struct mk_bytes once;      /* remembered steps, as a run left them; or empty */
    mk_zxid zxid;              /* call.zxid: that this run's transaction will have */
    mk_ms now_ms;              /* call.now: log time */
    mk_session session;        /* call.session; hex in Lua */
    struct recipe_host *host;
    /* Out: the buffers are the caller's, zero-initialised, appended to. */
    enum recipe_end end;
    int32_t waits_count;
    struct mk_buf result;
    char error_name[RECIPE_ERROR_NAME_BYTES_MAX + 1];
    struct mk_buf message;  /* UTF-8, bounded by result_bytes_max */
    struct mk_buf once_out; /* set however the run ended but UNANSWERED. FAILED: `once` as it came
                             * in, because the effects of its steps are undone with the run. */
    struct recipe_wait {
        enum recipe_wait_kind kind;
        size_t path_at, path_len; /* in wait_paths */
    } waits[RECIPE_WAITS_MAX];
    struct mk_buf wait_paths;
    mk_ms wake_at_ms;      /* PARKED: log time at which to run again at the latest; 0: none */
    uint64_t instructions; /* spent, in whole hundreds */
    /* UNANSWERED: MK_WOULD_BLOCK: load, run again; or the host's failure: stop serving. */
    enum mk_status unanswered;
};
/* Never fails: whatever the script does, the run ends. Names of errors that the engine itself
 * gives: Budget, BadArguments, RecipeError (a Lua error: "lock@1a2b3c4d:12: attempt to ..."),
 * and those of answers of the host that the recipe did not catch: NoNode, NoAuth, ... */
void recipe_run(struct recipe_engine *engine, struct recipe_run *run);
void recipe_run_deinit(struct recipe_run *run); /* free its buffers */

/* Append `text` as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void recipe_json_string(struct mk_buf *out, struct mk_bytes text);

#endif
