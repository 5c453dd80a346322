/* What recipes write to the server's log: bounded in rate, in length and in what a line may
 * hold. */
#ifndef MK_RECIPE_LOG_H
#define MK_RECIPE_LOG_H

#include "recipe/recipe.h"

/* Enough for a developer to follow a call; a recipe in a loop, or callers who provoke it, cannot
 * bury what the server itself has to say. Further lines are counted and reported later. */
#define RECIPE_LOG_LINES_PER_SECOND 20
#define RECIPE_LOG_LINE_BYTES_MAX 400

struct recipe_log {
    const struct mk_log *log; /* may be NULL */
    mk_ms second_ms;          /* log time at which the current second began */
    uint32_t lines;           /* written in it */
    uint64_t dropped;         /* since the last line that was written */
};

/* One line, as long as `now_ms`'s second has room. Control characters become '?' in mk_log(). */
void recipe_log_write(struct recipe_log *log, enum mk_log_level level, mk_ms now_ms,
                      struct mk_bytes who, struct mk_bytes text);

#endif
