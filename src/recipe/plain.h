/* Arguments as nearly every call gives them, read and checked without Lua: a flat JSON map of strings
 * without escapes, whole numbers, true and false, for arguments that are neither lists nor maps.
 * Whatever else there is, a mistake too, is arguments.c's business, by which this must not be told
 * apart: it accepts less, and never anything else. */
#ifndef MK_RECIPE_PLAIN_H
#define MK_RECIPE_PLAIN_H

#include "recipe/version.h"

struct plain {
    const struct operation *operation;
    size_t bytes_len; /* of what was read */
    mk_ms timeout_ms; /* of `timeout`; -1: none */
    /* Of operation->arguments, as the recipe sees them; LUA_TNIL: absent. Texts are borrowed. */
    struct schema_value values[OPERATION_ARGUMENTS_MAX];
};

/* False: they are of another kind, or wrong, and `out` is of no use. Null or no bytes: no arguments. */
bool plain_read(const struct operation *operation, enum recipe_format format, struct mk_bytes bytes,
                size_t bytes_max, struct plain *out);
/* As a table. [-0, +1, raises] */
void plain_push(lua_State *L, const struct plain *plain);

#endif
