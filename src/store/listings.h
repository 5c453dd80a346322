/* The names of the children of hot parents, kept as one piece of memory that a reply can copy.
 *
 * Walking a hundred rows takes fifty times as long as copying what the walk found. A list is kept
 * when it has been walked, and forgotten when a child comes or goes, or when the room for lists is
 * used up: then the one that was asked for longest ago. Committed children only. */
#ifndef MK_STORE_LISTINGS_H
#define MK_STORE_LISTINGS_H

#include "base/base.h"

/* Paths may be chosen to collide in the map of lists; this many cannot make a lookup slow enough to
 * matter. */
#define LISTINGS_MAX 4096
/* A longer list is not kept: walking it is dear, but so is what it would drive out. */
#define LISTING_SHARE 4 /* of the room for all lists */

struct listings {
    struct mk_map_bytes paths; /* parent -> struct listing; the keys lie in the values */
    struct mk_link recent;     /* least recently asked for first */
    uint64_t bytes;
    uint64_t bytes_max;
};

void listings_init(struct listings *listings, uint64_t bytes_max);
void listings_free(struct listings *listings);
/* False: not kept. `*names` is valid until listings change. */
bool listings_find(struct listings *listings, struct mk_bytes parent, struct mk_bytes *names);
void listings_keep(struct listings *listings, struct mk_bytes parent, struct mk_bytes names);
void listings_forget(struct listings *listings, struct mk_bytes parent);
/* All that are kept, in no order that means anything. `cursor` starts at 0. */
bool listings_next(const struct listings *listings, size_t *cursor, struct mk_bytes *parent,
                   struct mk_bytes *names);

#endif
