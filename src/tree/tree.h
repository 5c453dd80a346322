/* What a znode is: paths, stat, ACLs and identities, watch tables, and the record of a parked call.
 * Rules without I/O; nothing here knows where znodes are kept, nor what a connection is. */
#ifndef MK_TREE_H
#define MK_TREE_H

#include "base/base.h"

/* ---- Paths (UTF-8; "/" is the root) ---- */

/* ZooKeeper's PathUtils.validatePath: protocol reference, section 8.1. Malformed UTF-8 counts as
 * U+FFFD, which is invalid. MK_OK or MK_BAD_ARGUMENTS. */
enum mk_status tree_path_check(struct mk_bytes path);

/* "/a/b" -> "/a"; "/a" -> "/". `path` must contain a '/'; never called with "/". */
struct mk_bytes tree_path_parent(struct mk_bytes path);
/* "/a/b" -> "b"; "/a/" -> "". */
struct mk_bytes tree_path_name(struct mk_bytes path);
/* True if `path` is `ancestor` or lies below it; "/" is everybody's ancestor. */
bool tree_path_within(struct mk_bytes path, struct mk_bytes ancestor);
/* Append the sequence suffix for counter value `counter`, as ZooKeeper's "%010d". */
void tree_path_sequence(struct mk_buf *path, int32_t counter);

#define TREE_CONFIG_PATH "/zookeeper/config" /* who the members are; a reconfig changes it */
#define TREE_CALLS_PATH "/zookeeper/calls"
#define TREE_RECIPES_PATH "/zookeeper/recipes"
#define TREE_ANNOUNCED_PATH "/zookeeper/announced" /* which servers of an ensemble run recipes */

/* ---- Stat as kept (zookeeper-quorum.md section 9.3) ---- */

struct tree_stat {
    mk_zxid czxid, mzxid, pzxid;
    mk_ms ctime_ms, mtime_ms;
    int32_t version;
    int32_t cversion; /* how many children were ever created; served as 2 * this - children */
    int32_t aversion;
    int64_t owner; /* ephemeralOwner, raw: 0, a session, TREE_OWNER_CONTAINER or a TTL */
};
#define TREE_OWNER_CONTAINER INT64_MIN
#define TREE_TTL_MAX_MS 0xffffffffffLL
int64_t tree_owner_ttl(mk_ms ttl_ms);                        /* 1 .. TREE_TTL_MAX_MS */
mk_ms tree_owner_ttl_ms(int64_t owner, bool extended_types); /* the reverse; 0: no TTL */
/* The owning session of an ordinary ephemeral, or 0. Without `extended_types` a TTL owner reads as a
 * session, as in ZooKeeper. */
mk_session tree_owner_session(int64_t owner, bool extended_types);
/* One more than `version`; wraps, and skips -1, which means "any". */
int32_t tree_version_next(int32_t version);

/* ---- ACLs: kept as jute's vector<ACL> bytes; null stands for the open ACL, world:anyone:cdrwa ---- */

enum {
    TREE_READ = 1,
    TREE_WRITE = 2,
    TREE_CREATE = 4,
    TREE_DELETE = 8,
    TREE_ADMIN = 16,
    TREE_ALL = 31
};

/* Who a connection is: jute's vector<Id> bytes (scheme, id), e.g. ip:127.0.0.1, digest:bob:hash,
 * super:"". Sorted by arrival, no duplicates. */
struct tree_identities {
    struct mk_buf bytes; /* i32 count, then (string scheme, string id) each */
};
#define TREE_IDENTITIES_MAX 64
#define TREE_IDENTITIES_BYTES_MAX 65536 /* a call's record holds a copy; a user name may be long */
/* False when it would be more than TREE_IDENTITIES_MAX or TREE_IDENTITIES_BYTES_MAX. */
bool tree_identities_add(struct tree_identities *identities, struct mk_bytes scheme,
                         struct mk_bytes id);
bool tree_identities_super(struct mk_bytes identities);
/* Whether the two have somebody in common who has proved to be it: not an address, nor anybody. */
bool tree_identities_share(struct mk_bytes identities, struct mk_bytes others);

/* What an operator may decide about ACLs. A scheme that is not loaded is refused in new lists and
 * matches nobody in old ones; world and ip are always there. */
struct tree_acl_rules {
    bool skip;   /* everybody may do everything; lists must be valid all the same */
    bool digest; /* the scheme is loaded */
    bool sasl;   /* ... likewise */
    bool x509;   /* ... likewise */
    struct mk_bytes
        sasl_any; /* sasl entries with this id match whoever has a sasl identity; or null */
};

/* May somebody with `identities` (vector<Id> bytes) do what `permission` asks on a znode with `acl`?
 * MK_OK or MK_NO_AUTH. Source: protocol reference, section 7.1. */
enum mk_status tree_acl_check(const struct tree_acl_rules *rules, struct mk_bytes acl,
                              int permission, struct mk_bytes identities);

/* What tree_acl_fix() lets through. ZooKeeper has no such limits; its cost is quadratic too. */
#define TREE_ACL_ENTRIES_MAX 1024
#define TREE_ACL_BYTES_MAX (1 << 20) /* `auth` multiplies entries by identities */

/* The ACL as it will be stored: duplicates dropped, `auth` expanded, ids checked (section 7.4);
 * appended to `out` as vector<ACL> bytes. The open ACL leaves `out` empty and *open true.
 * MK_OK or MK_INVALID_ACL. */
enum mk_status tree_acl_fix(const struct tree_acl_rules *rules, struct mk_bytes acl,
                            struct mk_bytes identities, struct mk_buf *out, bool *open);

/* Kept as none, sent spelled out: the open ACL in its two forms. Any other stays as it is. */
struct mk_bytes tree_acl_kept(struct mk_bytes acl);
struct mk_bytes tree_acl_sent(struct mk_bytes acl);

/* The ACL as served to somebody with `identities`: digest ids redacted unless they hold ADMIN
 * (section 7.5). `acl` null: the open one, written out. */
void tree_acl_serve(const struct tree_acl_rules *rules, struct mk_bytes acl,
                    struct mk_bytes identities, struct mk_buf *out);

/* digest: append "user:base64(hash(credentials))". Source: DigestAuthenticationProvider. */
enum tree_digest {
    TREE_DIGEST_SHA1, /* what clients compute when they write ACLs, unless they are told */
    TREE_DIGEST_SHA224,
    TREE_DIGEST_SHA256,
    TREE_DIGEST_SHA384,
    TREE_DIGEST_SHA512,
};
void tree_digest_id(enum tree_digest hash, struct mk_bytes credentials, struct mk_buf *out);

/* whoAmI's display name of an identity: digest ids up to the colon. */
struct mk_bytes tree_identity_display(struct mk_bytes scheme, struct mk_bytes id);

/* ---- Quotas (protocol reference, section 8.3): two znodes below TREE_QUOTA_PATH for each ---- */

#define TREE_QUOTA_PATH "/zookeeper/quota"
#define TREE_QUOTA_LIMITS "zookeeper_limits"
#define TREE_QUOTA_STATS "zookeeper_stats"
/* Components of a path that a quota is for. Each change of a znode looks at no more of its ancestors,
 * however deep it lies; who wants a quota further down has none. */
#define TREE_QUOTA_DEPTH_MAX 64

enum tree_quota_part { TREE_QUOTA_NONE, TREE_QUOTA_IS_LIMITS, TREE_QUOTA_IS_STATS };
/* What the znode at `path` says of a quota, and of which: *root, a part of `path`. None: of no quota,
 * or of one that there cannot be: of the root, of what quotas are kept in, or too far down. */
enum tree_quota_part tree_quota_of_path(struct mk_bytes path, struct mk_bytes *root);

struct tree_quota {                 /* -1: no limit */
    int64_t count, bytes;           /* soft */
    int64_t count_hard, bytes_hard; /* instead of the soft ones, if there are any */
};
/* "count=5,bytes=-1=;byteHardLimit=100". What cannot be read sets no limit. */
void tree_quota_parse(struct mk_bytes text, struct tree_quota *out);
/* Usage, as ZooKeeper writes it: "count=2,bytes=5". */
void tree_quota_usage(struct mk_buf *out, int64_t count, int64_t bytes);

/* ---- Watches: who wants to know. Two tables as ZooKeeper has them, data and child. ---- */

/* Kinds; a watcher may hold several on one path. */
enum tree_watch {
    TREE_WATCH_DATA = 1,       /* getData, exists: once */
    TREE_WATCH_CHILD = 2,      /* getChildren: once */
    TREE_WATCH_PERSISTENT = 4, /* both tables, stays */
    TREE_WATCH_RECURSIVE = 8,  /* data table, for the path and all below, stays */
    TREE_WATCH_ANY = 15,
};

struct tree_watches;  /* all watches of a server */
struct tree_watcher { /* embedded in whatever is told; tree_watcher_init() before use */
    struct mk_link watches;
    size_t count;
    size_t data_count; /* of these: not of children alone */
    uint64_t told;     /* private: stamp of the last trigger, to tell each at most once */
};

/* `secret`: so that clients cannot choose paths that collide in the table. */
struct tree_watches *tree_watches_new(uint64_t secret);
void tree_watches_free(struct tree_watches *watches); /* all watchers must be gone */
void tree_watcher_init(struct tree_watcher *watcher);
/* O(1) expected each; adding what is there already changes nothing. */
void tree_watch_add(struct tree_watches *watches, struct tree_watcher *watcher,
                    struct mk_bytes path, enum tree_watch kind);
/* Remove those of `kinds` (a mask) that `watcher` holds at exactly `path`. True if there was one. */
bool tree_watch_remove(struct tree_watches *watches, struct tree_watcher *watcher,
                       struct mk_bytes path, unsigned kinds);
bool tree_watch_has(const struct tree_watches *watches, const struct tree_watcher *watcher,
                    struct mk_bytes path, unsigned kinds);
void tree_watches_drop(struct tree_watches *watches, struct tree_watcher *watcher); /* all of it */

/* A change has been applied: call `tell` for everyone concerned, in ZooKeeper's order (section 6.2),
 * at most once per table trigger, and forget the one-shot watches first (`tell` may add watches, and
 * may not drop watchers). `event` is WatcherEvent.type: 1 created, 2 deleted, 3 data changed,
 * 4 children changed (then `path` is the parent). */
typedef void tree_watch_tell(void *context, struct tree_watcher *watcher, int event,
                             struct mk_bytes path);
void tree_watches_created(struct tree_watches *watches, struct mk_bytes path, tree_watch_tell *tell,
                          void *context);
void tree_watches_deleted(struct tree_watches *watches, struct mk_bytes path, tree_watch_tell *tell,
                          void *context);
void tree_watches_changed(struct tree_watches *watches, struct mk_bytes path, tree_watch_tell *tell,
                          void *context);

struct tree_watch_counts {
    size_t watchers; /* that hold at least one watch */
    size_t paths;
    size_t watches;                                 /* each (watcher, path, kind) is one */
    size_t data_watchers, data_paths, data_watches; /* the same without TREE_WATCH_CHILD */
    size_t bytes; /* memory that they take, without the path table's and malloc's own */
};
struct tree_watch_counts tree_watches_count(const struct tree_watches *watches);
/* How many were told at once of events of that type, 1 to 4, when anybody was. */
const struct mk_summary *tree_watches_told(const struct tree_watches *watches, int event);

/* Watches but those of TREE_WATCH_CHILD, each (watcher, path) once: of one watcher, or of all, those
 * of one path together. False: `visit` returned false, and all stopped. */
typedef bool tree_watch_visit(void *context, struct tree_watcher *watcher, struct mk_bytes path);
bool tree_watches_of_each(const struct tree_watches *watches, const struct tree_watcher *watcher,
                          tree_watch_visit *visit, void *context);
bool tree_watches_each(const struct tree_watches *watches, tree_watch_visit *visit, void *context);

/* ---- Gates: X + TREE_CALLS_PATH, where a client whose chroot is X makes calls ---- */

/* X of the path of a gate, and of the path of a gate's child; null: it cannot be one. */
struct mk_bytes tree_gate_of_calls(struct mk_bytes path);
struct mk_bytes tree_gate_of_path(struct mk_bytes path);
/* X of each gate that `path` may be, or be below, from the top; null: no more. *from is 0 at first. */
struct mk_bytes tree_gate_above(struct mk_bytes path, size_t *from);
/* A list is read to here: a thousand gates, and it is looked through whenever one is used. */
#define TREE_GATES_BYTES_MAX ((size_t)64 * 1024)
/* Whether the gate of `chroot` is open, `list` being the data of TREE_CALLS_PATH: one chroot a line. */
bool tree_gate_open(struct mk_bytes list, struct mk_bytes chroot);

/* ---- The record of a parked call: data of the znode TREE_CALLS_PATH "/.<16 hex digits>" ----
 * The number of a call is the zxid of the transaction that made it. Encoding: src/recipe/README.md. */

/* What a parked call waits for, at one path. */
enum tree_wait_kind {
    TREE_WAIT_CREATED = 1,  /* stamp is 0: absent when the run ended */
    TREE_WAIT_DELETED = 2,  /* stamp is the czxid */
    TREE_WAIT_CHANGED = 3,  /* stamp is the mzxid */
    TREE_WAIT_CHILDREN = 4, /* stamp is the pzxid; wakes the first waiter */
    TREE_WAIT_CHILDREN_ALL = 5,
};
#define TREE_WAITS_MAX 16
#define TREE_CREATED_MAX 64

struct tree_wait {
    enum tree_wait_kind kind;
    mk_zxid stamp; /* 0: the znode was absent */
    struct mk_bytes path;
};

struct tree_call {
    mk_session session; /* whose call it is */
    int64_t call_id;    /* the caller's counter; 0: made through a call node only */
    int32_t cxid;       /* xid of the request that waits for a held reply; 0: none */
    bool node;          /* made through a call node: the result goes there and stays */
    bool outlives_session;
    uint8_t format;            /* of arguments and result: JUTE_CALL_* */
    mk_ms deadline_ms;         /* log time; 0: none */
    mk_ms made_ms;             /* log time */
    int32_t wakes;             /* runs since it was made */
    mk_ms not_before_ms;       /* slowed: not to be run before this log time; 0: at once */
    mk_ms wake_at_ms;          /* to be run again at this log time at the latest; 0: no such time */
    struct mk_bytes operation; /* "lock.acquire" */
    struct mk_bytes version;   /* hex content hash of the recipe version it runs on */
    struct mk_bytes chroot;    /* "" or a path */
    struct mk_bytes arguments;
    struct mk_bytes identities; /* vector<Id> in force when it was made */
    struct mk_bytes once;       /* the engine's own: remembered steps */
    struct mk_bytes node_path;  /* its call node */
    int32_t waits_count;
    struct tree_wait waits[TREE_WAITS_MAX];
    int32_t created_count; /* znodes that the call has made, for when it does not return */
    struct {
        struct mk_bytes path;
        mk_zxid czxid;
    } created[TREE_CREATED_MAX];
};
/* Paths have passed tree_path_check(); times and wakes are not negative. */
void tree_call_encode(struct mk_buf *out, const struct tree_call *call);
/* Borrows from `record`. MK_OK or MK_MALFORMED. */
enum mk_status tree_call_decode(struct mk_bytes record, struct tree_call *out);

/* The log time at which the call is due whatever else happens: its deadline, or the time that it
 * waits for, which a call that is slowed may not make any earlier. 0: there is none. */
mk_ms tree_call_due_ms(const struct tree_call *call);

#define TREE_CALL_RECORD_PATH_BYTES (sizeof(TREE_CALLS_PATH "/.") - 1 + 16)
/* "/zookeeper/calls/.0000000100000002" for call 0x100000002; `out` gets exactly that many bytes. */
void tree_call_record_path(uint8_t out[TREE_CALL_RECORD_PATH_BYTES], mk_zxid call);
/* The call number if `path` is the path of a call record, else 0. */
mk_zxid tree_call_of_path(struct mk_bytes path);

#endif
