/* What a call remembers from run to run: names and encoded values, in the byte order of the
 * names. */
#ifndef MK_RECIPE_STEPS_H
#define MK_RECIPE_STEPS_H

#include "recipe/recipe.h"

/* A recipe remembers a handful. More than this would be a table: one step may remember a table. */
#define STEPS_MAX 64
#define STEP_NAME_BYTES_MAX 64

struct step {
    struct mk_bytes name;
    struct mk_bytes value; /* MessagePack */
};

struct steps {
    struct step entries[STEPS_MAX]; /* both borrow: from what was read, or from the run's scraps */
    uint32_t count;
    size_t bytes; /* when written, at most; the map's head left out */
};

/* Read what steps_write() wrote. False: the bytes are damaged. */
bool steps_read(struct steps *steps, struct mk_bytes bytes, uint32_t nesting_max);
void steps_write(const struct steps *steps, struct mk_buf *out);
const struct step *steps_find(const struct steps *steps, struct mk_bytes name); /* or NULL */
/* False: there are STEPS_MAX already. `name` must not be there. */
bool steps_add(struct steps *steps, struct mk_bytes name, struct mk_bytes value);

#endif
