/* Lua's patterns, as a function of bytes that always ends: a matcher with a budget of steps and of
 * depth. Semantics: Lua 5.1 reference manual, section 5.4.1. Knows nothing of Lua states. */
#ifndef MK_RECIPE_PATTERN_H
#define MK_RECIPE_PATTERN_H

#include "base/base.h"

#define PATTERN_CAPTURES_MAX 32 /* as in Lua */
/* Of single, optional and lazy items that follow each other; each takes a C stack frame. */
#define PATTERN_DEPTH_MAX 200

struct pattern_capture {
    size_t at;
    size_t len;
    bool position; /* "()": its value is `at` */
    bool open;
};

struct pattern {
    struct mk_bytes subject;
    struct mk_bytes text;
    uint64_t steps; /* taken so far, over all matches; counted in bytes looked at */
    uint64_t steps_max;
    const char *error; /* why the match was given up; NULL: it was not */
    bool exhausted;    /* `error` is about steps_max */
    uint32_t depth;
    uint32_t captures_count;
    struct pattern_capture captures[PATTERN_CAPTURES_MAX];
};

/* Does the pattern match at `at` exactly? Then *end is where the match ends. A leading '^' is the
 * caller's business. False with `error`: malformed, or too much work. */
bool pattern_match_at(struct pattern *pattern, size_t at, size_t *end);

/* Is there nothing special in `text`, so that it can be searched for as it is? */
bool pattern_plain(struct mk_bytes text);

#endif
