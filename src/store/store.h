/* Where znodes are kept: a committed state that survives crashes, and above it the state as it will
 * be when what is proposed has committed. Both are read and written through a *view*, by the same
 * functions, so that prepare and apply cannot disagree about what an operation does.
 *
 *   rows:  speculative table  >  active table  >  frozen table  >  base (RocksDB, or memory)
 *
 * One thread uses a store, except where a function says "any thread". Nothing here knows who asks, or
 * why. The log of transactions is the second half of this file; it has a thread of its own. */
#ifndef MK_STORE_H
#define MK_STORE_H

#include "base/base.h"
#include "tree/tree.h"

/* ---- The base: immutable sorted rows below the tables. Keys and values are bytes. ---- */

struct store_base_iter;
struct store_rows; /* a frozen table, in key order, as handed to ingest() */

struct store_base {
    const struct store_base_ops *ops;
};
struct store_base_ops {
    /* Any thread. `may_block` false: MK_WOULD_BLOCK rather than read the disk. MK_OK appends the
     * value to `value`. MK_NO_NODE: no such row. MK_CORRUPT, MK_IO: failures. */
    enum mk_status (*get)(struct store_base *base, struct mk_bytes key, bool may_block,
                          struct mk_buf *value);
    /* Any thread, one thread an iterator. seek: to the first row >= key, or with `backwards` to the
     * last row < key. step goes on in that direction. MK_OK, MK_END, MK_WOULD_BLOCK, failures. */
    struct store_base_iter *(*iter_new)(struct store_base *base, bool may_block);
    enum mk_status (*iter_seek)(struct store_base_iter *iter, struct mk_bytes key, bool backwards);
    enum mk_status (*iter_step)(struct store_base_iter *iter);
    struct mk_bytes (*iter_key)(const struct store_base_iter *iter);
    struct mk_bytes (*iter_value)(const struct store_base_iter *iter);
    void (*iter_free)(struct store_base_iter *iter);
    /* Any one thread: make all rows of `rows` part of the base, durably and at once, or not at all. */
    enum mk_status (*ingest)(struct store_base *base, const struct store_rows *rows,
                             struct mk_error *error);
    uint64_t (*memory_bytes)(struct store_base *base); /* caches and indexes now in memory */
    void (*close)(struct store_base *base);
};
/* Rows of a frozen table for ingest(), in key order: `cursor` starts at NULL. value null: deleted. */
bool store_rows_next(const struct store_rows *rows, const void **cursor, struct mk_bytes *key,
                     struct mk_bytes *value);

/* The stand-in: a sorted array. `stall_per_mille`: how often a read that may not block says
 * MK_WOULD_BLOCK (drawn from `random`, which may be NULL), until store_load() has loaded its key. */
struct store_base *store_base_memory(struct mk_random *random, uint32_t stall_per_mille);
/* One more close() is needed until it is gone: who simulates a crash closes the store and opens
 * another one over the same base. */
void store_base_memory_ref(struct store_base *base);
/* What a crash may lose: forget the newest `checkpoints` ingested ones (0: none; at most 15). */
void store_base_memory_lose(struct store_base *base, unsigned checkpoints);

/* RocksDB in `directory` (created if missing). One column family; only ingested files. */
struct store_disk_options {
    uint64_t cache_bytes; /* block cache */
    int open_files_max;
};
struct store_base *store_base_rocks(const char *directory, const struct store_disk_options *options,
                                    struct mk_error *error); /* NULL: failed */

/* ---- The store ---- */

struct store_options {
    uint64_t cache_bytes;       /* clean rows kept in memory */
    uint64_t overlay_bytes;     /* freeze the active table at this size */
    uint64_t overlay_bytes_max; /* store_full() from this size of active + frozen */
    uint32_t
        quota_step_rows; /* znodes counted in one step for a new quota; 0: 1024. The same on every
                               * server: it decides what usage is shown meanwhile */
    uint64_t hash_seed;  /* a secret, so that clients cannot choose paths that collide in
                                  * the hash index; behaviour does not depend on it */
};
struct store;
/* Takes `base`. Reads the applied zxid and totals; creates the initial tree if there is none (in the
 * active table, with zxid 0). NULL and `error` on failure. */
struct store *store_open(struct store_base *base, const struct store_options *options,
                         struct mk_error *error);
void store_close(struct store *store); /* closes the base too; loses what is not checkpointed */
mk_zxid store_applied(const struct store *store); /* highest zxid whose changes are in */
mk_zxid store_durable(const struct store *store); /* highest zxid in the base */

struct store_totals {
    int64_t znodes; /* without the root's double count */
    int64_t ephemerals;
    int64_t
        data_bytes; /* path bytes + data bytes of every znode, as ZooKeeper's approximate size */
    int64_t sessions;
    int64_t calls;     /* call records */
    int64_t awaited;   /* waits of calls that are parked and not ready */
    int64_t ready;     /* waits that do not hold any more, as one if of one kind at one znode; calls
                       * that such a wait of `children` woke; calls whose session has ended */
    int64_t reapable;  /* containers and TTL znodes without children */
    int64_t quotas;    /* paths that have any of a quota's two znodes */
    int64_t counting;  /* ... of which the usage is still being counted */
    int64_t deadlines; /* calls that have a time to end or to run at */
    int64_t slowed;    /* calls that are looked at again at a time */
};
const struct store_totals *store_totals(const struct store *store); /* committed */
uint64_t store_memory_bytes(const struct store *store);

/* ---- Views and transactions ---- */

struct store_view;
struct store_view *store_committed(struct store *store);
struct store_view *store_speculative(struct store *store);

/* Whether reads through `view` may wait for the disk. If not, they return MK_WOULD_BLOCK and
 * store_load_wanted() says what to load. Initially they may. */
void store_view_blocking(struct store_view *view, bool may_block);

/* Every change is made between begin and end, at one zxid, larger than all before. In the committed
 * view, end makes `zxid` the applied one. */
void store_begin(struct store_view *view, mk_zxid zxid, mk_ms time_ms);
void store_end(struct store_view *view);
void store_abort(struct store_view *view); /* speculative only: as if never begun */
/* The committed view has reached `zxid`: forget speculative rows that nothing later has changed. */
void store_speculative_forget(struct store *store, mk_zxid zxid);
void store_speculative_reset(struct store *store);      /* forget all: leadership was lost */
mk_zxid store_view_zxid(const struct store_view *view); /* of the last transaction begun */

/* What the last MK_WOULD_BLOCK needs. Copy it, load it on any thread, say done, then ask again. */
struct store_load {
    struct mk_buf key;
    bool range; /* rows from key on (or before it, backwards), not one row */
    bool backwards;
    uint32_t settles;    /* checkpoints that the store had taken in when this was asked for */
    struct mk_buf value; /* of the row, if it is one and `found`; else there is none */
    bool found;
};
void store_load_wanted(const struct store *store, struct store_load *out);
enum mk_status store_load(struct store_base *base, struct store_load *load); /* any thread */
/* Take in what a load that went well has found, unless it may have been written since; and free it. */
void store_load_done(struct store *store, struct store_load *load);
void store_load_free(struct store_load *load); /* of one that is not to be done */
/* What reading the committed znode at `path` needs, if it is not in memory; it is not looked for on
 * disk. False: nothing has to be loaded. */
bool store_znode_load_wanted(struct store *store, struct mk_bytes path, struct store_load *out);
struct store_base *store_base_of(struct store *store);

/* ---- Znodes. All views into memory are valid until the next call on the same store. ---- */

struct store_znode {
    struct tree_stat stat;
    int32_t children_count;
    uint32_t position;   /* of its creation within its czxid's transaction */
    int32_t data_length; /* 0 for null */
    bool data_null;
    struct mk_bytes data; /* with `with_data` only; null if data_null */
    struct mk_bytes acl;  /* vector<ACL>; null: the open ACL */
};

/* MK_OK, MK_NO_NODE, MK_WOULD_BLOCK, failures. Any bytes may be asked for as path. A hit allocates
 * nothing. Data over 128 bytes is a row of its own and is read only `with_data`. */
enum mk_status store_znode_read(struct store_view *view, struct mk_bytes path, bool with_data,
                                struct store_znode *out);

struct store_create {
    struct mk_bytes path;    /* checked by the caller: tree_path_check() */
    struct mk_bytes data;    /* or null */
    struct mk_bytes acl;     /* fixed vector<ACL>; null: open */
    int64_t owner;           /* raw ephemeralOwner */
    int32_t parent_cversion; /* the parent's after it; -1: one more than it was */
    bool keep_parent;        /* if the znode exists: do not fix the parent up (all types but 1) */
};
/* As zookeeper-quorum.md section 9.3 has it, in the transaction begun. `*out` is the new znode.
 * MK_NO_NODE: no parent. MK_NODE_EXISTS (the ACL and the parent are fixed up as there). */
enum mk_status store_znode_create(struct store_view *view, const struct store_create *create,
                                  struct store_znode *out);
enum mk_status store_znode_delete(struct store_view *view, struct mk_bytes path);
enum mk_status store_znode_set_data(struct store_view *view, struct mk_bytes path,
                                    struct mk_bytes data, int32_t version, struct store_znode *out);
enum mk_status store_znode_set_acl(struct store_view *view, struct mk_bytes path,
                                   struct mk_bytes acl, int32_t version, struct store_znode *out);

/* Children of `path`, O(log n) to the first, then O(1) each. `visit` returns false to stop; it may
 * not call the store. By name: `from` is a name; by creation: (from_zxid, from_position). Exclusive;
 * null or 0: from the very first (backwards: last). MK_OK when all were visited or `visit` stopped. */
struct store_children {
    struct mk_bytes path;
    bool by_creation;
    bool backwards;
    struct mk_bytes from;
    mk_zxid from_zxid;
    uint32_t from_position;
};
typedef bool store_child_visit(void *context, struct mk_bytes name, mk_zxid czxid,
                               uint32_t position); /* czxid, position by creation only */
enum mk_status store_children_each(struct store_view *view, const struct store_children *query,
                                   store_child_visit *visit, void *context);
/* The names of all committed children of `path`, each as mk_buf_put_field() writes it, one behind the
 * other, as whoever listed them last has left them with keep(). False: nobody has, or they have
 * changed since, or there was no room. `*names` is valid until the next call on the store. */
bool store_listing_find(struct store *store, struct mk_bytes path, struct mk_bytes *names);
void store_listing_keep(struct store *store, struct mk_bytes path, struct mk_bytes names);
/* All znodes below `path`, at any depth. O(result). */
enum mk_status store_descendants_count(struct store_view *view, struct mk_bytes path,
                                       int64_t *count);

/* ---- Sessions and their ephemerals ---- */

/* MK_OK, whether it was there or not; failures. */
enum mk_status store_session_put(struct store_view *view, mk_session id, int32_t timeout_ms);
/* Its calls, but those that outlive it, are gone from then on; not its ephemerals. MK_OK, whether it was
 * there or not; MK_WOULD_BLOCK; failures. */
enum mk_status store_session_remove(struct store_view *view, mk_session id);
/* MK_OK, MK_NO_NODE, ... */
enum mk_status store_session_read(struct store_view *view, mk_session id, int32_t *timeout_ms);
typedef bool store_session_visit(void *context, mk_session id, int32_t timeout_ms);
enum mk_status store_sessions_each(struct store_view *view, store_session_visit *visit,
                                   void *context);
/* Paths of a session's ephemerals in path order, from `from` (exclusive; null: the first). */
typedef bool store_path_visit(void *context, struct mk_bytes path);
enum mk_status store_ephemerals_each(struct store_view *view, mk_session id, struct mk_bytes from,
                                     store_path_visit *visit, void *context);
/* How many they are. In the speculative view O(1), but for the first time of a session that began before. */
enum mk_status store_ephemerals_count(struct store_view *view, mk_session id, int64_t *count);
/* All ephemerals, by session and then path. */
typedef bool store_owned_visit(void *context, mk_session id, struct mk_bytes path);
enum mk_status store_owned_each(struct store_view *view, store_owned_visit *visit, void *context);

/* ---- Parked calls: indexes that follow from the call records (tree_call), in every view alike.
 * Writing or deleting a record's znode updates them, and so does every change of an awaited znode. A
 * call that a `children` wait woke passes its wake on when it ends. ---- */

/* The call that is to run first: a wait of it no longer holds, and that was so of no other's before, but
 * of those with the same wait. MK_END: there is none. */
enum mk_status store_ready_first(struct store_view *view, mk_zxid *call);
/* The first of those whose session has ended, and which do not outlive it. */
enum mk_status store_gone_first(struct store_view *view, mk_zxid *call);
/* The call that is due first, and when: tree_call_due_ms(). MK_OK, MK_END if there is none. */
enum mk_status store_deadline_first(struct store_view *view, mk_ms *due_ms, mk_zxid *call);
/* Likewise of those that are slowed (not_before_ms). */
enum mk_status store_slowed_first(struct store_view *view, mk_ms *time_ms, mk_zxid *call);
typedef bool store_call_visit(void *context, mk_zxid call);
/* The call of a session that has this id, which is positive. MK_NO_NODE: none is parked. */
enum mk_status store_session_call_find(struct store_view *view, mk_session id, int64_t call_id,
                                       mk_zxid *call);
/* How many calls of a session there are, finished ones that are kept included. */
enum mk_status store_session_calls_count(struct store_view *view, mk_session id, uint32_t *count);
/* Calls of a session, by id, those without one first; oldest first. */
enum mk_status store_session_calls_each(struct store_view *view, mk_session id,
                                        store_call_visit *visit, void *context);
/* Calls of all sessions, in no order that means anything, from behind `after` ({0}: the first). */
struct store_call_place {
    mk_session session;
    int64_t call_id;
    mk_zxid call;
};
typedef bool store_call_place_visit(void *context, struct store_call_place place);
enum mk_status store_calls_each(struct store_view *view, struct store_call_place after,
                                store_call_place_visit *visit, void *context);
/* How many calls run, parked or ready, an operation whose name begins with `operations`, on a version
 * that ends in `version` (null: on any). O(operations and versions that calls run). */
enum mk_status store_running_count(struct store_view *view, struct mk_bytes operations,
                                   struct mk_bytes version, int64_t *count);

/* ---- Quotas: the usage of each, exact with every change, kept as data of its zookeeper_stats. That
 * data changes without the znode's Stat (but its length), so nothing may be cached by mzxid of it. ---- */

struct store_quota {
    struct mk_bytes root; /* part of the path asked for */
    int64_t count, bytes; /* usage; of a new quota, of what is counted yet */
    struct tree_quota limits;
};
/* The quota that a znode at `path`, there or not, is under: the deepest one. MK_OK; MK_NO_NODE: none, or
 * its usage is not kept, because it has no zookeeper_stats. MK_WOULD_BLOCK, failures. */
enum mk_status store_quota_find(struct store_view *view, struct mk_bytes path,
                                struct store_quota *out);
/* In the transaction begun: go on counting for a new quota, a bounded number of znodes. MK_END: there
 * is none. */
enum mk_status store_quota_count(struct store_view *view);

/* ---- Containers and TTL znodes without children, in the order in which they are due. Derived from the
 * znodes in every view alike, so that nobody ever has to look for them. ---- */

enum store_reapable {
    STORE_REAPABLE_EMPTIED =
        1,                   /* containers that had children; order: the zxid that took the last */
    STORE_REAPABLE_UNUSED,   /* containers that never had any; order: their mtime */
    STORE_REAPABLE_EXPIRING, /* TTL znodes; order: their mtime plus their TTL */
};
/* The first that is left. `*path` is valid until the next call. MK_OK, MK_END, MK_WOULD_BLOCK, ... */
enum mk_status store_reapable_first(struct store_view *view, enum store_reapable why,
                                    int64_t *order, struct mk_bytes *path);

/* ---- Small facts of the server's own, checkpointed with the rest: name to bytes. ---- */

void store_fact_put(struct store_view *view, struct mk_bytes name, struct mk_bytes value);
enum mk_status store_fact_read(struct store_view *view, struct mk_bytes name, struct mk_buf *value);

/* ---- Checkpoints ---- */

struct store_checkpoint;
bool store_checkpoint_due(const struct store *store); /* the active table has reached its size */
bool store_changed(const struct store *store);        /* the active table holds anything */
bool store_full(const struct store *store); /* no more changes, please, until one is done */
/* Freeze the active table, by a swap of pointers. NULL while another is being written. */
struct store_checkpoint *store_checkpoint_start(struct store *store);
enum mk_status store_checkpoint_write(struct store_checkpoint *checkpoint,
                                      struct mk_error *error); /* any thread */
void store_checkpoint_done(struct store *store, struct store_checkpoint *checkpoint); /* frees it */

/* ---- Snapshots: a checkpoint on its way to another server, in ZooKeeper's format (jute.h) ---- */

/* A stream of what the newest checkpoint in `base` holds: sessions, ACLs, znodes; of siblings that one
 * transaction created, the order, too. Not in it: facts, and in which order calls became ready. From
 * begin to end it is of that one checkpoint, whatever is ingested meanwhile. Any one thread. MK_NO_NODE:
 * there is no checkpoint yet. */
struct store_snapshot;
enum mk_status store_snapshot_open(struct store_base *base, struct store_snapshot **out,
                                   mk_zxid *zxid, struct mk_error *error);
/* Append the next piece, of about `bytes_about` bytes (more by one record; fewer, even none, where a lot
 * is read for few). `trailer`: the form of the wire. MK_OK; MK_END: that was the last; failures. */
enum mk_status store_snapshot_read(struct store_snapshot *snapshot, size_t bytes_about,
                                   bool trailer, struct mk_buf *out, struct mk_error *error);
void store_snapshot_close(struct store_snapshot *snapshot);

/* The other way: a store that is filled from a stream, beside whatever else there is. Any one thread. */
struct store_install;
struct store_install_options {
    mk_zxid zxid;     /* of the snapshot: what the store will have applied */
    size_t bytes_max; /* of a path, a znode's data, an ACL */
    bool trailer;     /* the form of the wire */
};
/* Takes `base`, which must be empty. NULL: failed. Memory is bounded by store_options. */
struct store_install *store_install_begin(struct store_base *base,
                                          const struct store_options *store,
                                          const struct store_install_options *options,
                                          struct mk_error *error);
/* Take what is whole of `bytes`: *used of them. MK_OK: more is to come, and what was not used comes once
 * more with it; MK_END: the stream is complete, *used says where it ends; MK_MALFORMED: it is no
 * snapshot; failures. */
enum mk_status store_install_bytes(struct store_install *install, struct mk_bytes bytes,
                                   size_t *used, struct mk_error *error);
/* When complete: the store, for applying what a snapshot that was taken in the midst of changes may
 * hold in part (store_again()). It belongs to the install. */
struct store *store_install_store(struct store_install *install);
/* The newest time in it: log time is not behind this. */
mk_ms store_install_time(const struct store_install *install);
/* Make all of it durable, and close it; or let go of it (its base is of no use then). Both free it. */
enum mk_status store_install_finish(struct store_install *install, struct mk_error *error);
void store_install_abort(struct store_install *install);

/* What /zookeeper/config says, if no transaction does: with the version as its mzxid, at what is applied. */
enum mk_status store_config_put(struct store *store, struct mk_bytes text, mk_zxid version);

/* Transactions up to the applied zxid are applied again: while this is on, they may begin in the committed
 * view at any zxid, and their effects may be there, in part or whole, with those of later ones. Once
 * the last that a snapshot may know of has been applied, the state is the one without the repetition. */
void store_again(struct store *store, bool again);
/* The state is that of such a snapshot: what is applied is applied again from now on, and whenever the
 * store has been opened, until all that the snapshot may know of has been. Between transactions. */
void store_fuzzy_begin(struct store *store);
void store_fuzzy_end(struct store *store); /* nothing, if it has not begun */
bool store_fuzzy(const struct store *store);

/* Debug and simulator: every index agrees with the znodes. Asserts. O(everything). */
void store_check(struct store *store);
/* A hash over all committed rows but those that differ by history: of positions of znodes in their
 * transactions, only the order among siblings counts. */
uint64_t store_hash(struct store *store);

/* ==== The log: segment files in ZooKeeper's format (zookeeper-quorum.md section 12.2) ==== */

/* Framing of an entry in a batch: begin, append TxnHeader and body to `batch`, end. The checksum is
 * filled in by store_log_append(), off the core's thread. */
size_t store_log_entry_begin(struct mk_buf *batch);
void store_log_entry_end(struct mk_buf *batch, size_t entry);
/* Walk a batch's entries: `offset` starts at 0. False at the end. */
bool store_log_entry_next(struct mk_bytes batch, size_t *offset, struct mk_bytes *entry);

struct store_log_options {
    uint64_t
        segment_bytes; /* prewritten size; a new segment is begun when the next entry does not fit */
    uint64_t segment_first_bytes; /* of the very first one, so that a first start is quick */
    bool sync;                    /* false: never sync; for tests that must be seen failing */
};
struct store_log;
/* Open or create `directory`; find where the valid entries end. A torn tail (nothing valid after the
 * first bad record) is cut off; anything valid after a bad record is damage: MK_CORRUPT, with the
 * file and offset and what to do. */
struct store_log *store_log_open(const char *directory, const struct store_log_options *options,
                                 struct mk_error *error);
void store_log_close(struct store_log *log);
mk_zxid store_log_last(const struct store_log *log);  /* zxid of the last entry; 0: empty */
mk_zxid store_log_first(const struct store_log *log); /* zxid of the first entry still kept; 0 */
/* Entries with zxid > `after`, in order. `visit` returns a status; anything but MK_OK stops. */
typedef enum mk_status store_log_visit(void *context, mk_zxid zxid, struct mk_bytes entry);
enum mk_status store_log_replay(struct store_log *log, mk_zxid after, store_log_visit *visit,
                                void *context, struct mk_error *error);
/* The same a piece at a time, on any one thread; what is removed from the log meanwhile stays readable.
 * Open it behind the entry of zxid `after`. MK_NO_NODE: the log has no such entry, or not any more.
 * `*bytes` of the log are behind it. */
struct store_log_reader;
enum mk_status store_log_reader_open(struct store_log *log, mk_zxid after,
                                     struct store_log_reader **out, uint64_t *bytes,
                                     struct mk_error *error);
/* Append entries to `out`, framed as in a batch, until these are `bytes` or more. MK_END: there is none
 * at or below `through` any more; so far as they were durable when the reader was opened. */
enum mk_status store_log_reader_read(struct store_log_reader *reader, mk_zxid through, size_t bytes,
                                     struct mk_buf *out, struct mk_error *error);
void store_log_reader_close(struct store_log_reader *reader);
/* Log thread: fill in checksums, write, and make durable (one fdatasync). `batch` is changed in
 * place. Each entry's zxid follows the one before: one more, or of a later epoch (after open of an
 * empty log and after reset: anything larger). MK_IO, MK_NO_SPACE: fatal to the caller. */
enum mk_status store_log_append(struct store_log *log, uint8_t *batch, size_t len,
                                struct mk_error *error);
/* Another thread than the log's: write the next segment full of zeros if it is missing. */
enum mk_status store_log_prewrite(struct store_log *log, struct mk_error *error);
/* Remove whole segments that hold nothing above `zxid`, but none of the last `kept` bytes of entries, and
 * never the one in use. Any one thread. */
enum mk_status store_log_remove_through(struct store_log *log, mk_zxid zxid, uint64_t kept,
                                        struct mk_error *error);
uint64_t store_log_bytes(const struct store_log *log); /* on disk */
/* Log thread: remove every entry above `zxid`, durably (a leader's TRUNC). */
enum mk_status store_log_truncate(struct store_log *log, mk_zxid zxid, struct mk_error *error);
/* Log thread: empty the log (applied exceeds the last entry): it starts afresh after `zxid`. */
enum mk_status store_log_reset(struct store_log *log, mk_zxid zxid, struct mk_error *error);

/* ==== Backup: a copy from which a server can start ==== */

struct store_backup {
    /* The caller's: all through here is committed, what the log has beyond may not be. */
    mk_zxid committed;
    const char *mark; /* the name of a file that is to be in it, besides; or NULL */
    /* And the answer: */
    mk_zxid zxid;   /* every transaction up to here is in it */
    uint64_t bytes; /* copied; what RocksDB could link is not counted */
};
/* Write `directory`, which must not exist, while state and log are in use. `base` must be RocksDB's.
 * Files of the state are linked where the file system allows it, the log is copied as far as it was
 * durable, epoch files too. Durable when it returns, and whole: it appears under its name by a rename.
 * On a failure nothing is left. The thread that removes segments, so that none goes meanwhile. */
enum mk_status store_backup_write(struct store_base *base, struct store_log *log,
                                  const char *directory, struct store_backup *backup,
                                  struct mk_error *error);

/* Copy the state and the log of a backup, which stays as it is, to directories that must not exist. Durable
 * when it returns. `*committed` is what was said when it was made; INT64_MAX: nothing was. */
enum mk_status store_backup_read(const char *backup, const char *state, const char *log,
                                 mk_zxid *committed, struct mk_error *error);

/* ==== Another state in the place of the one on disk ====
 *
 * In a data directory `state` is the base. `state.new` is filled beside it, and finished and closed it
 * takes its place; whatever happens in between, a start finds the one or the other whole. */

/* At the start, before `state` is opened, and before `state.new` is begun: end what was left half done. */
enum mk_status store_state_settle(const char *directory, struct mk_error *error);
/* `state.new` is `state` from now on, durably. Neither may be open. */
enum mk_status store_state_replace(const char *directory, struct mk_error *error);

/* ==== Logs of others ==== */

/* Entries above `after` of a log in ZooKeeper's format that nobody writes, in order; its files are not
 * touched. What is torn off at the end of a file was never acknowledged. *last is the last zxid there
 * is; 0: none. MK_CORRUPT: something is damaged or missing, also between `after` and the first. */
enum mk_status store_log_read(const char *directory, mk_zxid after, store_log_visit *visit,
                              void *context, mk_zxid *last, struct mk_error *error);

/* Epoch files: decimal text, replaced by rename and synced. MK_NO_NODE: there is none. */
enum mk_status store_epoch_read(const char *directory, const char *name, int64_t *epoch,
                                struct mk_error *error);
enum mk_status store_epoch_write(const char *directory, const char *name, int64_t epoch,
                                 struct mk_error *error);

/* Lock `directory` (created if missing) for this process: MK_IN_USE if another one has it. Returns
 * a descriptor to keep open through *lock. */
enum mk_status store_directory_lock(const char *directory, int *lock, struct mk_error *error);

#endif
