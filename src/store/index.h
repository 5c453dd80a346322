/* Where a row is, by its exact key: a hash index over rows, with linear probing.
 *
 * It grows and shrinks a few slots at a time, because rehashing a million rows at once would be a
 * pause that clients notice. The hash is keyed: clients choose paths, and a hash that they could
 * compute would let them choose collisions. Nothing but the time it takes depends on the key. */
#ifndef MK_STORE_INDEX_H
#define MK_STORE_INDEX_H

#include "store/row.h"

struct index_slot {
    uint64_t hash;
    struct row *row; /* NULL: free */
};
struct index_slots {
    struct index_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};
struct index {
    struct index_slots now;
    struct index_slots old; /* being emptied into `now`, from slot 0 to `drained` */
    size_t drained;
    uint64_t secret[2];
};

void index_init(struct index *index, uint64_t seed);
void index_free(struct index *index); /* not the rows */
uint64_t index_hash(const struct index *index, struct mk_bytes key);
struct row *index_find(const struct index *index, struct mk_bytes key, uint64_t hash);
void index_insert(struct index *index, struct row *row, uint64_t hash); /* its key is not in it */
void index_replace(struct index *index, const struct row *old, struct row *row, uint64_t hash);
void index_remove(struct index *index, const struct row *row, uint64_t hash);
size_t index_count(const struct index *index);
size_t index_bytes(const struct index *index);
/* All rows, in no particular order. `cursor` starts at 0. NULL at the end. */
struct row *index_next(const struct index *index, size_t *cursor);

#endif
