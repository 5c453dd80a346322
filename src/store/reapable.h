/* Containers and TTL znodes that have no children, in the order in which they are due: what znodes.c
 * calls when the row of a znode is written or goes. */
#ifndef MK_STORE_REAPABLE_H
#define MK_STORE_REAPABLE_H

#include "store/rows.h"

/* Where a znode is in that order. */
struct reapable_place {
    uint8_t why; /* enum store_reapable, or 0: nowhere */
    int64_t order;
};
struct reapable_place reapable_place_of(const struct store_znode *znode);
/* The znode at `path` was at `*place` and is at `now` from here on. Reads nothing. */
void reapable_move(struct store_view *view, struct mk_bytes path, struct reapable_place *place,
                   struct reapable_place now);

#endif
