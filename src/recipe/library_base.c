/* The global functions that are ours: those of LuaJIT show addresses (tostring), follow the hash
 * order (pairs), swallow spent budgets (pcall), run handlers where no hook fires (xpcall), or copy
 * without a charge (unpack). */
#include "recipe/environment.h"

#include "recipe/run.h"
#include "recipe/value.h"

/* ---- pcall, xpcall ---- */

/* Call the function at `at` with what lies above it. True: it returned, its results lie from `at`
 * on. False: it raised, and the error lies at `at`. Does not return if the run has to stop. */
static bool call_protected(lua_State *L, int at)
{
    struct sandbox *sandbox = sandbox_of(L);
    int depth = run_once_depth(sandbox->run);
    if (sandbox_call_protected(L, lua_gettop(L) - at, LUA_MULTRET)) {
        return true;
    }
    run_once_unwound(sandbox->run, depth);
    return false;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    sandbox_charge(L, (uint64_t)lua_gettop(L) * SANDBOX_ELEMENT);
    if (!call_protected(L, 2)) {
        lua_pushboolean(L, 0);
        lua_replace(L, 1);
    }
    return lua_gettop(L);
}

/* xpcall(f, handler, ...): the handler is called after the stack has been unwound, as an ordinary
 * function, and may itself raise. */
static int base_xpcall(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_checkany(L, 2);
    lua_pushvalue(L, 1);
    lua_insert(L, 3);
    lua_pushboolean(L, 1);
    lua_replace(L, 1);
    sandbox_charge(L, (uint64_t)lua_gettop(L) * SANDBOX_ELEMENT);
    if (call_protected(L, 3)) {
        lua_remove(L, 2);
        return lua_gettop(L);
    }
    sandbox_call(L, 1, LUA_MULTRET); /* the handler lies right below the error */
    lua_pushboolean(L, 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* ---- pairs: numbers ascending, then strings in byte order ---- */

/* Upvalues: the table, the list of its keys, how many there are, how many were visited. A key that
 * was removed meanwhile is passed over; one that was added is not visited. */
static int pairs_next(lua_State *L)
{
    int count = (int)lua_tointeger(L, lua_upvalueindex(3));
    int visited = (int)lua_tointeger(L, lua_upvalueindex(4));
    while (visited < count) {
        visited++;
        lua_rawgeti(L, lua_upvalueindex(2), visited);
        lua_pushvalue(L, -1);
        lua_rawget(L, lua_upvalueindex(1));
        if (!lua_isnil(L, -1)) {
            lua_pushinteger(L, visited);
            lua_replace(L, lua_upvalueindex(4));
            return 2;
        }
        lua_pop(L, 2);
    }
    lua_pushinteger(L, visited);
    lua_replace(L, lua_upvalueindex(4));
    return 0;
}

static int base_pairs(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct value_keys keys = value_keys_sorted(L, 1);
    lua_pushvalue(L, 1);
    lua_createtable(L, keys.count < 16 ? (int)keys.count : 16, 0); /* grows: see sandbox_alloc() */
    for (size_t i = 0; i < keys.count; i++) {
        value_key_push(L, &keys.keys[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushinteger(L, (lua_Integer)keys.count);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, pairs_next, 4);
    return 1;
}

/* ---- tostring, unpack ---- */

static int base_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    sandbox_push_text(L, 1);
    return 1;
}

#define UNPACK_MAX 4096 /* values; each takes a slot of the Lua stack */

static int base_unpack(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Number first = luaL_optnumber(L, 2, 1);
    lua_Number last = luaL_optnumber(L, 3, (lua_Number)lua_objlen(L, 1));
    if (first > last) {
        return 0;
    }
    bool bounded = first >= -INT32_MAX && last < INT32_MAX && last - first < UNPACK_MAX;
    if (!bounded || lua_checkstack(L, (int)(last - first) + 1) == 0) {
        return luaL_error(L, "unpack: too many results");
    }
    sandbox_charge(L, ((uint64_t)(last - first) + 1) * SANDBOX_ELEMENT);
    int count = (int)(last - first) + 1;
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)first + i);
    }
    return count;
}

void library_push_base(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pairs", base_pairs},   {"pcall", base_pcall},   {"tostring", base_tostring},
        {"unpack", base_unpack}, {"xpcall", base_xpcall}, {NULL, NULL},
    };
    environment_push_functions(L, functions);
}
