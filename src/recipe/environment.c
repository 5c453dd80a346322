/* The allow-list.
 *
 * One environment serves all runs, because nothing that a recipe can reach can be written: a
 * recipe sees the libraries through proxies, empty tables that read from the real ones and
 * refuse to be assigned to, has no rawset, setmetatable or getfenv, and cannot assign to
 * globals. So what one run does, the next cannot see. A name that is not here is an error at
 * once: it is a misspelling, or something that a recipe may not have. */
#include "recipe/environment.h"

#include <lualib.h>

/* From LuaJIT's own libraries: constant time, no addresses, no state. */
static const char *const base_names[] = {"assert", "error", "ipairs", "select", "tonumber", "type"};
static const char *const math_names[] = {
    "abs",   "acos", "asin",  "atan", "atan2", "ceil", "cos",   "cosh", "deg", "exp",
    "floor", "fmod", "frexp", "huge", "ldexp", "log",  "log10", "max",  "min", "modf",
    "pi",    "pow",  "rad",   "sin",  "sinh",  "sqrt", "tan",   "tanh"};

void environment_push_functions(lua_State *L, const luaL_Reg *functions)
{
    lua_newtable(L);
    for (; functions->name != NULL; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

static int name_unknown(lua_State *L)
{
    sandbox_push_text(L, 2);
    return luaL_error(L, "there is no '%s' here: misspelt, or not available to recipes",
                      lua_tostring(L, -1));
}

static int assignment_refused(lua_State *L)
{
    sandbox_push_text(L, 2);
    return luaL_error(L, "'%s' cannot be assigned to: use a local variable", lua_tostring(L, -1));
}

/* Put a proxy in place of the table on top of the stack. [-1, +1, raises] */
static void proxy(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, assignment_refused);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    (void)lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

bool environment_is_library(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) {
        return false;
    }
    lua_getfield(L, -1, "__newindex");
    bool library = lua_tocfunction(L, -1) == assignment_refused;
    lua_pop(L, 2);
    return library;
}

/* Copy `names` from the table on top into the one below. [-1, +0, raises] */
static void copy_names(lua_State *L, const char *const *names, size_t names_count)
{
    for (size_t i = 0; i < names_count; i++) {
        lua_getfield(L, -1, names[i]);
        MK_ASSERT(!lua_isnil(L, -1));
        lua_setfield(L, -3, names[i]);
    }
    lua_pop(L, 1);
}

/* Turn the table of functions on top into library `name` of the table below. [-1, +0, raises] */
static void library_set(lua_State *L, const char *name)
{
    proxy(L);
    lua_setfield(L, -2, name);
}

/* ("x"):rep(3) finds our functions, and the metatable that leads there is out of reach. */
static void string_methods_set(lua_State *L, int library_at)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, library_at);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    (void)lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void metatable_new(lua_State *L, enum sandbox_slot slot)
{
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (slot == SLOT_CALL) {
        library_push_call(L);
        lua_setfield(L, -2, "__index");
    }
    lua_rawseti(L, LUA_REGISTRYINDEX, slot);
}

static void libraries_push(lua_State *L)
{
    lua_pushcfunction(L, luaopen_math);
    lua_call(L, 0, 0);
    lua_newtable(L);
    lua_getglobal(L, "math");
    copy_names(L, math_names, MK_COUNT(math_names));
    library_set(L, "math");

    library_push_string(L);
    string_methods_set(L, lua_gettop(L));
    library_set(L, "string");
    library_push_table(L);
    library_set(L, "table");
    library_push_json(L);
    library_set(L, "json");
    library_push_msgpack(L);
    library_set(L, "msgpack");
    library_push_log(L);
    library_set(L, "log");
    library_push_znode(L);
    library_set(L, "znode");
    library_push_session(L);
    library_set(L, "session");
    if (sandbox_of(L)->limits->deployment) {
        library_push_deployment(L);
        library_set(L, "deployment");
    }
}

/* Tables with always the same keys are made by Lua, from one constructor, in a third of the time that it
 * takes to set field by field through its C API. The chunk has no name: sandbox_where() looks past it. */
static void makers_build(lua_State *L)
{
    static const char source[] =
        "return function(czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion,"
        "                children_count, data_length, owner)"
        "  return { czxid = czxid, mzxid = mzxid, pzxid = pzxid, ctime = ctime, mtime = mtime,"
        "    version = version, cversion = cversion, aversion = aversion,"
        "    children_count = children_count, data_length = data_length, owner = owner } "
        "end, function(args, zxid, now, session)"
        "  return { args = args, zxid = zxid, now = now, session = session } "
        "end";
    int failed = luaL_loadbuffer(L, source, sizeof(source) - 1, "=");
    MK_ASSERT(failed == 0 || sandbox_of(L)->out_of_memory);
    lua_call(L, 0, 2);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_RUN_CALL);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_STAT);
}

void environment_build(lua_State *L)
{
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 0);

    library_push_base(L);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    copy_names(L, base_names, MK_COUNT(base_names));
    lua_pushcfunction(L, library_operation);
    lua_setfield(L, -2, "operation");
    lua_pushcfunction(L, library_fail);
    lua_setfield(L, -2, "fail");
    libraries_push(L);

    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, name_unknown);
    lua_setfield(L, -2, "__index");
    (void)lua_setmetatable(L, -2);
    proxy(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ENVIRONMENT);

    for (enum sandbox_slot slot = SLOT_ERROR; slot <= SLOT_CALL; slot++) {
        metatable_new(L, slot);
    }
    makers_build(L);
}
