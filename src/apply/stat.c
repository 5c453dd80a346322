/* The Stat that clients see, from the one that is kept. Source: DataNode.copyStat. */
#include "apply/apply.h"

struct jute_stat apply_stat(const struct store_znode *znode, bool extended_types)
{
    const struct tree_stat *stat = &znode->stat;
    /* Creations plus deletions of children. Unsigned: both counters may wrap. */
    uint32_t cversion = 2u * (uint32_t)stat->cversion - (uint32_t)znode->children_count;

    return (struct jute_stat){
        .czxid = stat->czxid,
        .mzxid = stat->mzxid,
        .ctime_ms = stat->ctime_ms,
        .mtime_ms = stat->mtime_ms,
        .version = stat->version,
        .cversion = (int32_t)cversion,
        .aversion = stat->aversion,
        .ephemeral_owner = tree_owner_session(stat->owner, extended_types),
        .data_length = znode->data_length,
        .children_count = znode->children_count,
        .pzxid = stat->pzxid,
    };
}
