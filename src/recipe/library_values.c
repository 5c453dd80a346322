/* json and msgpack. */
#include "recipe/environment.h"
#include "recipe/value.h"

static int encode(lua_State *L, enum recipe_format format)
{
    struct sandbox *sandbox = sandbox_of(L);
    luaL_checkany(L, 1);
    sandbox->scratch.len = 0;
    value_append(L, format, 1, &sandbox->scratch, sandbox->limits->alloc_bytes_max);
    sandbox_push_bytes(L, mk_buf_view(&sandbox->scratch));
    return 1;
}

static int json_encode(lua_State *L)
{
    return encode(L, RECIPE_JSON);
}

static int json_decode(lua_State *L)
{
    value_push_json(L, sandbox_check_bytes(L, 1));
    return 1;
}

static int msgpack_encode(lua_State *L)
{
    return encode(L, RECIPE_MSGPACK);
}

static int msgpack_decode(lua_State *L)
{
    value_push_msgpack(L, sandbox_check_bytes(L, 1));
    return 1;
}

/* json.list(table): encoded as a list even while it is empty. Returns the table. */
static int values_list(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1) != 0) {
        lua_pop(L, 1); /* an error, an operation, a call; or marked already */
        return 1;
    }
    sandbox_set_metatable(L, SLOT_LIST);
    return 1;
}

static void null_set(lua_State *L)
{
    value_push_null(L);
    lua_setfield(L, -2, "null");
}

void library_push_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"list", values_list}, {NULL, NULL}};
    environment_push_functions(L, functions);
    null_set(L);
}

void library_push_msgpack(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", msgpack_encode},
                                         {"decode", msgpack_decode},
                                         {"list", values_list},
                                         {NULL, NULL}};
    environment_push_functions(L, functions);
    null_set(L);
}
