/* Private to testkit: what its functions take from Lua's stack and put onto it. */
#ifndef MK_TESTKIT_STACK_H
#define MK_TESTKIT_STACK_H

#include <lua.h>

#include "testkit/world.h"

#define TESTKIT_WORLD "moonkeeper.testkit.world" /* the metatable of the world's userdata */

/* ---- Arguments. [-0, +0, raises] ---- */

struct mk_bytes testkit_check_bytes(lua_State *L, int index); /* valid as long as the string is */
struct testkit_world *testkit_check_world(lua_State *L);      /* the first argument */
struct testkit_client *testkit_check_client(lua_State *L); /* the second: a number in that world */

/* ---- Results. [-0, +1, raises] ---- */

void testkit_push_bytes(lua_State *L, struct mk_bytes bytes); /* null is nil */
void testkit_push_session(lua_State *L, mk_session session);  /* as call.session has it */
/* A list of the fields that are left, or in the buffer. */
void testkit_push_strings(lua_State *L, struct mk_reader *fields);
void testkit_push_fields(lua_State *L, const struct mk_buf *buf);
/* A buffer, empty, that the collector frees. */
struct mk_buf *testkit_buf_push(lua_State *L);

/* Into the table on the top. [-0, +0, raises] */
void testkit_set_number(lua_State *L, const char *name, int64_t number);

#endif
