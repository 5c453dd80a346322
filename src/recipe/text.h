/* A string in the making, in the run's scraps: a raise leaks nothing, and functions that call back
 * into Lua may each have one. */
#ifndef MK_RECIPE_TEXT_H
#define MK_RECIPE_TEXT_H

#include "recipe/sandbox.h"

struct text {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Charged; refused beyond alloc_bytes_max. [-0, +0, raises] */
void text_add(lua_State *L, struct text *text, struct mk_bytes bytes);
void text_push(lua_State *L, const struct text *text); /* [-0, +1, raises] */

#endif
