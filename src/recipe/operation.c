/* Declarations: operation{...}, and what a loaded recipe has declared. */
#include "recipe/environment.h"
#include "recipe/options.h"
#include "recipe/value.h"
#include "recipe/version.h"

#include <string.h>

/* [a-z][a-z0-9_]*, at most RECIPE_NAME_BYTES_MAX: names of operations and of arguments. */
static bool name_valid(struct mk_bytes name)
{
    if (name.len == 0 || name.len > RECIPE_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.data[i];
        bool letter = byte >= 'a' && byte <= 'z';
        bool later = (byte >= '0' && byte <= '9') || byte == '_';
        if (!letter && (i == 0 || !later)) {
            return false;
        }
    }
    return true;
}

static const char *text_keep(struct mk_arena *arena, struct mk_bytes text)
{
    MK_ASSERT(text.data != NULL);
    char *copy = mk_arena_alloc(arena, text.len + 1);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

/* ---- operation{...} ---- */

static void fields_check(lua_State *L)
{
    struct option fields[] = {
        {"doc", LUA_TSTRING},      {"run", LUA_TFUNCTION},       {"args", LUA_TTABLE},
        {"cancel", LUA_TFUNCTION}, {"reads_only", LUA_TBOOLEAN}, {"outlives_session", LUA_TBOOLEAN},
        {"deadline", LUA_TNONE},
    };
    options_read(L, 1, "operation", fields, MK_COUNT(fields));
    for (size_t i = 0; i < 2; i++) {
        if (!fields[i].given) {
            luaL_error(L, "operation: '%s' is missing", fields[i].name);
        }
    }
}

/* Of an operation that may wait: how long, in ms, a call of it lasts at most; 0: for ever. */
static mk_ms deadline_read(lua_State *L, int index)
{
    double ms = 0;
    lua_getfield(L, index, "deadline");
    if (!lua_isnil(L, -1) && (!schema_duration(L, lua_gettop(L), &ms) || ms < 1)) {
        luaL_error(L, "operation: 'deadline' must be a duration like \"1h\", at least 1 ms");
    }
    lua_pop(L, 1);
    return (mk_ms)ms;
}

/* From the table at `index`: its `args`, sorted by name; out->arguments lies in `arena`. Also run
 * without a use for what it reads, so that a mistake is reported with its line. */
static void arguments_read(lua_State *L, int index, struct mk_arena *arena, struct operation *out)
{
    lua_getfield(L, index, "args");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    int args = lua_gettop(L);
    luaL_checktype(L, args, LUA_TTABLE);
    struct value_keys keys = value_keys_sorted(L, args);
    if (keys.count > OPERATION_ARGUMENTS_MAX) {
        luaL_error(L, "operation: more than %d arguments", OPERATION_ARGUMENTS_MAX);
    }
    out->arguments = mk_arena_alloc(arena, keys.count * sizeof(*out->arguments));
    for (size_t i = 0; i < keys.count; i++) {
        value_key_push(L, &keys.keys[i]);
        if (keys.keys[i].text.data == NULL || !name_valid(keys.keys[i].text)) {
            luaL_error(L, "operation: '%s' is no name for an argument: [a-z][a-z0-9_]*",
                       lua_tostring(L, -1));
        }
        const char *name = text_keep(arena, keys.keys[i].text);
        lua_rawget(L, args);
        schema_read(L, lua_gettop(L), arena, name, &out->arguments[i]);
        lua_pop(L, 1);
    }
    out->arguments_count = keys.count;
    lua_pop(L, 1);
}

static void declaration_check(lua_State *L)
{
    struct operation ignored = {.arguments = NULL};
    fields_check(L);
    arguments_read(L, 1, &sandbox_of(L)->scraps, &ignored);
    (void)deadline_read(L, 1);
}

int library_operation(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (sandbox_of(L)->run != NULL) {
        return luaL_error(L, "operation: declare operations at the top of the recipe");
    }
    if (sandbox_of(L)->checking) {
        declaration_check(L);
    }
    sandbox_set_metatable(L, SLOT_OPERATION);
    return 1;
}

/* ---- What a loaded recipe declares ---- */

static bool flag_read(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool flag = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return flag;
}

static void operation_read(lua_State *L, int index, struct recipe_version *version,
                           struct mk_bytes name, struct operation *operation)
{
    *operation = (struct operation){.arguments = NULL};
    operation->shown.name = text_keep(&version->declared, name);
    lua_getfield(L, index, "doc");
    operation->shown.doc = text_keep(&version->declared, sandbox_check_bytes(L, lua_gettop(L)));
    lua_pop(L, 1);
    operation->shown.has_cancel = flag_read(L, index, "cancel");
    operation->shown.reads_only = flag_read(L, index, "reads_only");
    operation->shown.outlives_session = flag_read(L, index, "outlives_session");
    operation->shown.deadline_ms = deadline_read(L, index);
    arguments_read(L, index, &version->declared, operation);
}

/* `override = true`, beside the operations. False: the key names something else. */
static bool override_read(lua_State *L, int index, const struct value_key *key,
                          struct recipe_version *version)
{
    if (!mk_bytes_equal(key->text, MK_BYTES("override"))) {
        return false;
    }
    lua_getfield(L, index, "override");
    bool boolean = lua_type(L, -1) == LUA_TBOOLEAN;
    version->overrides = boolean && lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return boolean;
}

void operations_read(lua_State *L, int index, struct recipe_version *version)
{
    if (lua_type(L, index) != LUA_TTABLE) {
        luaL_error(L, "%s.lua: a recipe returns a table of operations, not a %s", version->name,
                   luaL_typename(L, index));
    }
    struct value_keys keys = value_keys_sorted(L, index);
    if (keys.count == 0 || keys.count > VERSION_OPERATIONS_MAX) {
        luaL_error(L, "%s.lua: a recipe has 1 to %d operations, not %d", version->name,
                   VERSION_OPERATIONS_MAX, (int)keys.count);
    }
    version->operations =
        mk_arena_alloc(&version->declared, keys.count * sizeof(*version->operations));
    for (size_t i = 0; i < keys.count; i++) {
        if (override_read(L, index, &keys.keys[i], version)) {
            continue;
        }
        value_key_push(L, &keys.keys[i]);
        if (keys.keys[i].text.data == NULL || !name_valid(keys.keys[i].text)) {
            luaL_error(L, "%s.lua: '%s' is no name for an operation: [a-z][a-z0-9_]*",
                       version->name, lua_tostring(L, -1));
        }
        lua_pushvalue(L, -1);
        lua_rawget(L, index);
        if (!sandbox_has_metatable(L, lua_gettop(L), SLOT_OPERATION)) {
            luaL_error(L, "%s.lua: '%s' is not an operation{...}", version->name,
                       lua_tostring(L, -2));
        }
        operation_read(L, lua_gettop(L), version, keys.keys[i].text,
                       &version->operations[version->operations_count]);
        version->operations_count++;
        lua_pop(L, 2);
    }
    if (version->operations_count == 0) {
        luaL_error(L, "%s.lua: a recipe has at least one operation", version->name);
    }
}
