/* A committed transaction becomes a fact: the tree changes, watches fire, and the body of the reply to
 * whoever asked is written. The same code on leader, follower, in recovery and in the simulator. It
 * decides nothing: every check was made when the transaction was prepared. */
#ifndef MK_APPLY_H
#define MK_APPLY_H

#include "base/base.h"
#include "jute/jute.h"
#include "session/session.h"
#include "store/store.h"
#include "tree/tree.h"

/* What a watch tells. The znode is the one of `path`: as it is, or as it was before it was deleted; the
 * parent for children events. Whoever is told must be able to READ it (protocol reference, section
 * 6.5). */
struct apply_event {
    mk_zxid zxid;
    int event; /* enum jute_event */
    struct mk_bytes path;
    struct mk_bytes acl; /* the znode's; null: open to all */
    int64_t owner;       /* ... raw ephemeralOwner */
};
typedef void apply_tell(void *context, struct tree_watcher *watcher,
                        const struct apply_event *event);

struct apply {
    struct store *store;
    struct tree_watches *watches;
    bool extended_types;
    apply_tell *tell;
    void *context;
    mk_ms time_ms; /* the newest transaction's, as the fact APPLY_TIME has it */
};

/* A fact: i64, the time in the header of the newest transaction. Log time goes on from there, also when
 * the log that is left behind a checkpoint is empty. */
#define APPLY_TIME "time"

/* What the server has to know of an applied transaction. */
struct apply_result {
    mk_session session_created; /* or 0 */
    int32_t session_timeout_ms;
    mk_session session_closed; /* or 0 */
    int32_t error;             /* the reply's header: a wire code */
};

/* Apply `txn` at the committed view. `body`, if not NULL, gets the reply's body (no header). MK_OK, or
 * a failure of the store, after which nothing may be served. An operation that does not fit the tree is
 * not a failure: it changes nothing, as in ZooKeeper (replay is idempotent). */
enum mk_status apply_txn(struct apply *apply, const struct jute_txn *txn, struct mk_buf *body,
                         struct apply_result *result);

/* A znode's Stat as clients see it: cversion converted, owners of containers and TTLs hidden. */
struct jute_stat apply_stat(const struct store_znode *znode, bool extended_types);

#endif
