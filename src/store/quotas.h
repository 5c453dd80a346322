/* Quotas: what the room's other files call when znodes come, go and change their data. */
#ifndef MK_STORE_QUOTAS_H
#define MK_STORE_QUOTAS_H

#include "store/rows.h"

struct quota {   /* the value of a row `quota` */
    bool limits; /* it has a zookeeper_limits: what is below its root is its own */
    bool stats;  /* it has a zookeeper_stats: its usage is kept there */
    int64_t count, bytes;
};

/* Znodes counted from a position on. */
struct quotas_scan {
    int64_t count, bytes;
    struct mk_bytes next; /* the child key to go on with; null: that was all */
};

/* A change of one znode: where, and by how much it changes usage. The rest is found by
 * quotas_foresee(). */
struct quotas_change {
    struct mk_bytes path;
    int64_t count, bytes;
    enum tree_quota_part part; /* the znode is itself part of a quota, */
    bool created;              /* and comes, or goes */
    struct mk_bytes root;      /* the quota concerned; null: none */
    struct quota quota;
    struct mk_bytes recount; /* the quota whose znodes have to be counted afresh; null: none */
    struct quota recounted;
    struct quotas_scan scan;  /* of them, the first step */
    struct mk_bytes counting; /* how far they, or else the root's, are counted; null: all */
    struct mk_bytes
        stats; /* what the new zookeeper_stats says, whatever its maker wrote; or null */
};

/* Before the operation writes: MK_OK, MK_WOULD_BLOCK, failures. Of a znode that is created, or
 * deleted, or gets other data. */
enum mk_status quotas_foresee_create(struct store_view *view, struct quotas_change *change);
enum mk_status quotas_foresee_delete(struct store_view *view, struct quotas_change *change);
enum mk_status quotas_foresee_set(struct store_view *view, struct quotas_change *change);

/* While it writes, before the znode's own rows. */
void quotas_changed(struct store_view *view, const struct quotas_change *change);

bool quota_decode(struct mk_bytes value, struct quota *out);
/* Count what is below `root` and itself, from the child key `from` on (null: all), `rows_max` at most. */
enum mk_status quotas_scan(struct store_view *view, struct mk_bytes root, struct mk_bytes from,
                           uint32_t rows_max, struct quotas_scan *out);

#endif
