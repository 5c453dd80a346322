/* Private to sim: what ZooKeeper is supposed to do, written as simply as it can be read, to compare
 * the server with. A sorted array of znodes, a list of sessions, and the rules of sections 4.2, 5
 * and 6 of ZooKeeper's client protocol. It shares no code with the rooms that it judges, but for
 * jute's decoders and the path of a call's record. */
#ifndef MK_SIM_MODEL_H
#define MK_SIM_MODEL_H

#include "base/base.h"
#include "jute/jute.h"

/* ---- Who somebody is ---- */

#define SIM_IDENTITIES_MAX 8
struct sim_identity {
    const char *scheme;
    const char *id;
};
struct sim_identities {
    size_t count;
    struct sim_identity list[SIM_IDENTITIES_MAX]; /* texts are constants, or live as long */
};
struct sim_credentials { /* of "digest" auth packets, and the identity that they give */
    const char *text;
    const char *id;
};
extern const struct sim_credentials sim_credentials[];
extern const size_t sim_credentials_count;
#define SIM_CREDENTIALS_SUPER 2 /* index of the one that superDigest names */
void sim_identities_add(struct sim_identities *identities, const char *scheme, const char *id);

enum {
    SIM_READ = 1,
    SIM_WRITE = 2,
    SIM_CREATE = 4,
    SIM_DELETE = 8,
    SIM_ADMIN = 16,
};
/* `acl` is a vector<ACL>, well-formed. */
bool sim_acl_permits(struct mk_bytes acl, int permission, const struct sim_identities *who);
/* What is kept of an ACL sent. 0, or a wire code. */
int32_t sim_acl_fix(struct mk_bytes acl, const struct sim_identities *who, struct mk_buf *out);
/* As getACL shows it to `who`. */
void sim_acl_serve(struct mk_bytes acl, const struct sim_identities *who, struct mk_buf *out);

/* ---- The tree and the sessions ---- */

struct sim_znode {                   /* never changed, but replaced */
    struct mk_bytes path, data, acl; /* in `bytes` */
    mk_zxid czxid, mzxid, pzxid;
    mk_ms ctime_ms, mtime_ms;
    mk_ms ptime_ms; /* of the transaction pzxid */
    int32_t version, aversion;
    int32_t created;  /* children ever */
    int32_t children; /* now */
    int64_t owner;    /* raw */
    uint64_t born;    /* larger than that of everything created before */
    uint8_t bytes[];
};

struct sim_session {
    mk_session id;
    int32_t timeout_ms;      /* as created */
    int32_t timeout_now_ms;  /* as last negotiated */
    mk_ms heard_ms;          /* when the server was last sent anything of it, monotonic */
    bool expirable;          /* it was silent for that long, at some tick */
    uint64_t last_committed; /* number of its last request that did */
    bool close_claimed;      /* a client was told that it has ended */
    mk_zxid claimed_at;      /* as of this */
};

struct sim_change { /* one that watches are told of */
    enum jute_event event;
    const struct sim_znode *znode;  /* as created, as changed, as it was when it was deleted */
    const struct sim_znode *parent; /* after it; NULL when data changed */
};

#define SIM_QUOTAS_MAX 32
#define SIM_QUOTA_STEP 3 /* znodes counted at a time; the machine's store is told the same */
struct sim_quota {
    struct mk_bytes root;
    bool limits, stats; /* it has this znode */
    int64_t count, bytes;
    bool counting;        /* from `next` on, in key order, nothing is counted yet */
    struct mk_bytes next; /* a path */
};

struct sim_undo {
    struct sim_znode *before; /* NULL: it was created */
    struct sim_znode *after;  /* NULL: it was deleted */
};

struct sim_model {
    bool extended_types;
    bool enforce_quota;
    int64_t session_ephemerals_max; /* 0: any number */
    struct sim_znode **znodes;      /* by path */
    size_t znodes_count, znodes_cap;
    struct sim_session **sessions; /* in the order of creation */
    size_t sessions_count, sessions_cap;
    struct mk_map_u64 ids; /* of all sessions that there ever were */
    mk_zxid zxid;
    mk_ms time_ms; /* of the last transaction */
    uint64_t born;
    struct sim_quota quotas[SIM_QUOTAS_MAX];
    size_t quotas_count;
    struct mk_arena texts; /* of quotas; grows */
    struct sim_quota quotas_before[SIM_QUOTAS_MAX];
    size_t quotas_before_count;
    /* Of the transaction begun, until the next begin. */
    struct sim_undo *undo;
    size_t undo_count, undo_cap;
    struct sim_change *changes;
    size_t changes_count, changes_cap;
};

void sim_model_init(struct sim_model *model, bool extended_types, bool enforce_quota);
void sim_model_deinit(struct sim_model *model);

/* Everything is changed between begin and the next begin or abort. */
void sim_model_begin(struct sim_model *model, mk_zxid zxid, mk_ms time_ms);
void sim_model_abort(struct sim_model *model); /* the tree as before begin; zxid and time stay */

const struct sim_znode *sim_model_find(const struct sim_model *model, struct mk_bytes path);
/* The first znode whose path is not smaller. */
size_t sim_model_rank(const struct sim_model *model, struct mk_bytes path);

/* Raw changes, without any check but that they are possible at all (asserted). */
const struct sim_znode *sim_model_create(struct sim_model *model, struct mk_bytes path,
                                         struct mk_bytes data, struct mk_bytes acl, int64_t owner);
void sim_model_delete(struct sim_model *model, struct mk_bytes path);
const struct sim_znode *sim_model_set_data(struct sim_model *model, struct mk_bytes path,
                                           struct mk_bytes data);
const struct sim_znode *sim_model_set_acl(struct sim_model *model, struct mk_bytes path,
                                          struct mk_bytes acl);

/* Nothing but the data, and nobody is told. */
void sim_model_replace_data(struct sim_model *model, struct mk_bytes path, struct mk_bytes data);

/* Quotas (model_quota.c): what the changes above call, and who asks. */
void sim_quota_created(struct sim_model *model, const struct sim_znode *znode);
void sim_quota_deleted(struct sim_model *model, const struct sim_znode *znode);
void sim_quota_set(struct sim_model *model, const struct sim_znode *before,
                   const struct sim_znode *after);
bool sim_quota_count(struct sim_model *model); /* one step; false: there is nothing to count */
int32_t sim_quota_allows(struct sim_model *model, struct mk_bytes path, int64_t count,
                         int64_t bytes); /* 0, or a wire code */

struct sim_session *sim_model_session(const struct sim_model *model, mk_session id); /* or NULL */
bool sim_model_session_known(const struct sim_model *model, mk_session id); /* now, or before */
struct sim_session *sim_model_session_add(struct sim_model *model, mk_session id,
                                          int32_t timeout_ms);
void sim_model_session_remove(struct sim_model *model, mk_session id);

bool sim_path_child_of(struct mk_bytes path, struct mk_bytes parent); /* directly */
bool sim_path_below(struct mk_bytes path, struct mk_bytes ancestor);  /* at any depth, not itself */
struct mk_bytes sim_path_parent(struct mk_bytes path);
bool sim_path_valid(struct mk_bytes path);
/* Whether a znode may be reaped: from *due_ms on, in log time. `unused_ms`: as
 * maxNeverUsedIntervalMs. */
bool sim_model_reapable(const struct sim_model *model, const struct sim_znode *znode,
                        mk_ms unused_ms, mk_ms *due_ms);
mk_session sim_owner_session(const struct sim_model *model, int64_t owner);
void sim_put_stat(const struct sim_model *model, const struct sim_znode *znode, struct mk_buf *out);

/* ---- What a request must do (model_write.c, model_read.c) ---- */

struct sim_who {
    mk_session session;
    const struct sim_identities *identities;
};

/* Do a write that is no call, in the transaction begun. The wire code of its reply, and its body.
 * `txn` gets the transaction that the server must have made of it (with the model's zxid and time),
 * or its MULTI's parts. When the code is not 0, or a multi has failed, nothing has changed. */
int32_t sim_model_write(struct sim_model *model, const struct sim_who *who,
                        const struct jute_request *request, struct mk_buf *body,
                        struct mk_buf *txn);
/* Answer a read. SET_WATCHES* and the handling of watches are not done here. */
int32_t sim_model_read(const struct sim_model *model, const struct sim_who *who,
                       const struct jute_request *request, struct mk_buf *body);

/* Below the calls everybody sees only their own: 0, or the code of the error. */
int32_t sim_model_may_see(const struct sim_model *model, const struct sim_who *who,
                          const struct sim_znode *znode);

#define SIM_CALLS_PATH "/zookeeper/calls"
#define SIM_RECIPES_PATH "/zookeeper/recipes"
bool sim_path_reserved(struct mk_bytes path); /* the server's own: below calls or recipes */

#endif
