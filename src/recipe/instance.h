/* The recipe's functions, made once and used by many runs, with nothing left in them of the run
 * before. Private to the room. */
#ifndef MK_RECIPE_INSTANCE_H
#define MK_RECIPE_INSTANCE_H

#include "recipe/sandbox.h"

/* Run the chunk of a sandbox that was just compiled and keep what it returns, if that can be set back
 * to what it is now. False: it ran out of memory, and the sandbox must be thrown away. */
bool instance_make(struct sandbox *sandbox);

/* The table of operations, as if the chunk had just run. [-0, +1, raises] */
void instance_push(lua_State *L);

#endif
