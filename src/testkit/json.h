/* Private to testkit: values of Lua as JSON, for arguments and results of calls. */
#ifndef MK_TESTKIT_JSON_H
#define MK_TESTKIT_JSON_H

#include <lua.h>

/* encode(value) -> text. A table with keys 1 .. n is a list, any other one, the empty one too, a map.
 * Whole numbers are written as such. Raises on what JSON has not. [-1, +1, raises] */
int testkit_json_encode(lua_State *L);
/* decode(text) -> value. null is nil. Raises on what is not JSON. [-1, +1, raises] */
int testkit_json_decode(lua_State *L);

#endif
