/* Every run begins with what the recipe's file makes from its first line on. Making that anew takes
 * longer than most runs, and nearly all of it are functions, which cannot change: what can are the
 * local variables that they share, and the tables in those.
 *
 *     make:  the chunk runs ─▶ module ─▶ each operation's run and cancel ─▶ the variables they reach
 *     push:  each variable gets its first value again, a table as a new copy ─▶ module
 *
 * A recipe that keeps more in its variables than plain values, libraries, functions and tables of
 * these, or one table in two places, is not kept: its chunk runs each time. So does that of a recipe
 * which is running further out, whose variables are in use. */
#include "recipe/instance.h"

#include "recipe/environment.h"

/* Variables, and entries of their tables: beyond that a copy costs more than the chunk. */
#define VARIABLES_MAX 128
#define ENTRIES_MAX 256
#define DEPTH_MAX 32 /* functions in variables of functions, tables in tables */

struct collector {
    struct sandbox *sandbox;
    int seen;      /* where on the stack: identities of variables and of tables */
    int variables; /* ... function, first value, function, first value ... */
    int entries;
    bool kept;
};

/* ---- Making ---- */

static bool value_plain(lua_State *L, int index)
{
    int type = lua_type(L, index);
    return type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING ||
           type == LUA_TLIGHTUSERDATA;
}

static bool function_collect(lua_State *L, struct collector *collector, int depth);

/* Whether `key` was seen before; it has been now. */
static bool seen_before(lua_State *L, struct collector *collector, const void *key)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_rawget(L, collector->seen);
    bool before = !lua_isnil(L, -1);
    lua_pop(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_pushboolean(L, 1);
    lua_rawset(L, collector->seen);
    return before;
}

/* Of the table on top: can it be copied, and everything in it? */
static bool table_collect(lua_State *L, struct collector *collector, int depth)
{
    int table = lua_gettop(L);

    if (depth == DEPTH_MAX || seen_before(L, collector, lua_topointer(L, table))) {
        return false;
    }
    if (lua_getmetatable(L, table)) {
        return false;
    }
    luaL_checkstack(L, 8, "tables in tables");
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        bool good = value_plain(L, -2) && ++collector->entries <= ENTRIES_MAX;
        if (good && lua_istable(L, -1)) {
            good = table_collect(L, collector, depth + 1);
        } else if (good && lua_isfunction(L, -1)) {
            good = function_collect(L, collector, depth + 1);
        } else if (good) {
            good = value_plain(L, -1);
        }
        lua_settop(L, table + 2);
        if (!good) {
            return false;
        }
    }
    return true;
}

/* The variable's value is on top: can it have this value again? */
static bool variable_collect(lua_State *L, struct collector *collector, int depth)
{
    if (lua_isfunction(L, -1)) {
        return function_collect(L, collector, depth + 1);
    }
    return value_plain(L, -1) || environment_is_library(L, lua_gettop(L)) ||
           (lua_istable(L, -1) && table_collect(L, collector, depth + 1));
}

/* All variables of the function on top, and of those in them. */
static bool function_collect(lua_State *L, struct collector *collector, int depth)
{
    int function = lua_gettop(L);
    struct sandbox *sandbox = collector->sandbox;

    if (lua_iscfunction(L, function)) {
        /* A library's is the same for ever; one with variables of its own is an iterator. */
        return lua_getupvalue(L, function, 1) == NULL;
    }
    if (depth == DEPTH_MAX) {
        return false;
    }
    luaL_checkstack(L, 8, "functions in functions");
    for (int n = 1; lua_getupvalue(L, function, n) != NULL; n++) {
        if (!seen_before(L, collector, lua_upvalueid(L, function, n))) {
            int count = sandbox->variables_count;
            if (count == VARIABLES_MAX || n > UINT8_MAX) {
                return false;
            }
            sandbox->variables_count++;
            sandbox->variables[count].number = (uint8_t)n;
            sandbox->variables[count].copied =
                lua_istable(L, -1) && !environment_is_library(L, lua_gettop(L));
            lua_pushvalue(L, function);
            lua_rawseti(L, collector->variables, 2 * count + 1);
            lua_pushvalue(L, -1);
            lua_rawseti(L, collector->variables, 2 * count + 2);
            if (!variable_collect(L, collector, depth)) {
                return false;
            }
        }
        lua_settop(L, function);
    }
    return true;
}

static bool operations_collect(lua_State *L, struct collector *collector, int module)
{
    static const char *const parts[] = {"run", "cancel"};

    for (lua_pushnil(L); lua_next(L, module); lua_settop(L, module + 3)) {
        for (size_t i = 0; i < MK_COUNT(parts) && lua_istable(L, module + 4); i++) {
            lua_getfield(L, module + 4, parts[i]);
            bool good =
                lua_isnil(L, -1) || (lua_isfunction(L, -1) && function_collect(L, collector, 0));
            lua_settop(L, module + 4);
            if (!good) {
                return false;
            }
        }
    }
    return true;
}

static int make(lua_State *L)
{
    struct collector *collector = lua_touserdata(L, 1);

    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_CHUNK);
    sandbox_call(L, 0, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    int module = lua_gettop(L);
    lua_newtable(L);
    collector->seen = lua_gettop(L);
    lua_newtable(L);
    collector->variables = lua_gettop(L);
    if (!operations_collect(L, collector, module)) {
        return 0;
    }
    lua_pushvalue(L, collector->variables);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_VARIABLES);
    lua_pushvalue(L, module);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_MODULE);
    collector->kept = true;
    return 0;
}

static int make_enter(lua_State *L)
{
    const char *name = NULL;
    void *collector = lua_touserdata(L, 1);

    lua_pushcfunction(L, make);
    lua_pushlightuserdata(L, collector);
    (void)sandbox_guard(L, 1, 0, &name); /* an error: each run will meet it, and say so */
    return 0;
}

bool instance_make(struct sandbox *sandbox)
{
    struct collector collector = {.sandbox = sandbox};

    sandbox->variables = mk_alloc_zero(VARIABLES_MAX, sizeof(*sandbox->variables));
    bool done = sandbox_enter(sandbox, NULL, make_enter, &collector);
    sandbox->kept = done && collector.kept;
    sandbox_leave(sandbox);
    return !sandbox->out_of_memory;
}

/* ---- Pushing ---- */

/* A copy of the table on top in its place; function_collect() has bounded it. */
static void table_copy(lua_State *L)
{
    int table = lua_gettop(L);

    luaL_checkstack(L, 8, "tables in tables");
    lua_createtable(L, (int)lua_objlen(L, table), 0);
    for (lua_pushnil(L); lua_next(L, table);) {
        if (lua_istable(L, -1)) {
            table_copy(L);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, table + 1);
    }
    lua_remove(L, table);
}

void instance_push(lua_State *L)
{
    const struct sandbox *sandbox = sandbox_of(L);

    if (!sandbox->kept || sandbox->entered > 1) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_CHUNK);
        sandbox_call(L, 0, 1);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_VARIABLES);
    int variables = lua_gettop(L);
    for (int i = 0; i < sandbox->variables_count; i++) {
        lua_rawgeti(L, variables, 2 * i + 1);
        lua_rawgeti(L, variables, 2 * i + 2);
        if (sandbox->variables[i].copied) {
            table_copy(L);
        }
        (void)lua_setupvalue(L, variables + 1, sandbox->variables[i].number);
        lua_settop(L, variables);
    }
    lua_settop(L, variables - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_MODULE);
}
