/* What a recipe can see: an allow-list, the same for every run, that no recipe can change.
 *
 * The functions below each push one table of functions. [-0, +1, raises] */
#ifndef MK_RECIPE_ENVIRONMENT_H
#define MK_RECIPE_ENVIRONMENT_H

#include "recipe/sandbox.h"

/* Whether this value is a library, which nothing can change. [-0, +0, raises] */
bool environment_is_library(lua_State *L, int index);
/* Fill SLOT_ENVIRONMENT and the metatables' slots. [-0, +0, raises] */
void environment_build(lua_State *L);

void library_push_base(lua_State *L);   /* library_base.c */
void library_push_string(lua_State *L); /* library_string.c */
void library_push_table(lua_State *L);  /* library_table.c */
void library_push_json(lua_State *L);   /* library_values.c: json, msgpack */
void library_push_msgpack(lua_State *L);
void library_push_log(lua_State *L);   /* library_log.c */
void library_push_znode(lua_State *L); /* library_znode.c: znode, session */
void library_push_session(lua_State *L);
void library_push_call(lua_State *L);       /* library_call.c: the methods of `call` */
int library_call_run(lua_State *L);         /* call:run(name, arguments), in library_run.c */
int library_fail(lua_State *L);             /* fail(name, message) */
int library_operation(lua_State *L);        /* operation{...}, in operation.c */
void library_push_deployment(lua_State *L); /* library_deployment.c: the server's own only */

/* A table with the functions of `functions`, which ends with a NULL name. [-0, +1, raises] */
void environment_push_functions(lua_State *L, const luaL_Reg *functions);

#endif
