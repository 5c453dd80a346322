/* Tables of named options, as recipes give them: { by = "creation", limit = 10 }. */
#ifndef MK_RECIPE_OPTIONS_H
#define MK_RECIPE_OPTIONS_H

#include "recipe/sandbox.h"

struct option {
    const char *name;
    int type; /* LUA_TSTRING and so on; LUA_TNONE: the caller looks for itself */
    /* Out: */
    bool given;
    bool flag; /* of a boolean */
    double number;
    struct mk_bytes text; /* borrowed from the table */
};

/* Fill `options` from the table at `index`, or leave them as not given if there is nothing
 * there. Raises "`what`: ..." for a name that is not among them and for a value of another type;
 * of several mistakes the same one in every process. [-0, +0, raises] */
void options_read(lua_State *L, int index, const char *what, struct option *options, size_t count);

#endif
