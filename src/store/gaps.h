/* Where, among committed rows, there is certainly nothing alive: ranges [low, high) of keys.
 *
 * A queue whose front is taken away leaves tombstones in front of its first live row, here and in
 * the base, and whoever asks for the first would pass over all of them each time. A cursor that had
 * to pass over many remembers the range here, the next one jumps over it, and a row that comes to
 * life in it breaks it. It is only a memory of what a scan would find: any range may be
 * forgotten. */
#ifndef MK_STORE_GAPS_H
#define MK_STORE_GAPS_H

#include "base/base.h"

/* Beyond, the oldest slots are used again: a scan is then slow once more. Adding moves up to this
 * many entries of 40 bytes, which is less work than the scan that found the gap. */
#define GAPS_MAX 1024
#define GAPS_KEY_BYTES_MAX 2048 /* ranges with longer keys are not remembered */

struct gap {
    struct mk_bytes low; /* owns both, in one piece of memory */
    struct mk_bytes high;
};
struct gaps {
    struct gap *gaps; /* disjoint, ascending */
    size_t count;
    size_t victim;
    uint64_t bytes;
};

void gaps_free(struct gaps *gaps);
void gaps_add(struct gaps *gaps, struct mk_bytes low, struct mk_bytes high);
void gaps_break(struct gaps *gaps, struct mk_bytes key);
/* The gap that holds `key`, or with `backwards` the keys just below it. NULL: none. */
const struct gap *gaps_at(const struct gaps *gaps, struct mk_bytes key, bool backwards);

#endif
