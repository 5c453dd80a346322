/* Declarations: operation{...}, and the arguments that a call gives against them. */
#include "recipe/environment.h"
#include "recipe/options.h"
#include "recipe/value.h"
#include "recipe/version.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {
    [ARGUMENT_PATH] = "path",         [ARGUMENT_STRING] = "string", [ARGUMENT_BYTES] = "bytes",
    [ARGUMENT_INTEGER] = "integer",   [ARGUMENT_NUMBER] = "number", [ARGUMENT_BOOLEAN] = "boolean",
    [ARGUMENT_DURATION] = "duration", [ARGUMENT_LIST] = "list",     [ARGUMENT_MAP] = "map",
};

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

/* "duration?" False: there is no such type. */
static bool type_parse(struct mk_bytes text, struct argument *out)
{
    out->optional = text.len > 0 && text.data[text.len - 1] == '?';
    text.len -= out->optional ? 1 : 0;
    for (size_t i = 0; i < MK_COUNT(type_names); i++) {
        if (mk_bytes_equal(text, mk_bytes_text(type_names[i]))) {
            out->type = (enum argument_type)i;
            return true;
        }
    }
    return false;
}

/* ---- operation{...} ---- */

static void fields_check(lua_State *L)
{
    struct option fields[] = {
        {"doc", LUA_TSTRING},      {"run", LUA_TFUNCTION},       {"args", LUA_TTABLE},
        {"cancel", LUA_TFUNCTION}, {"reads_only", LUA_TBOOLEAN}, {"outlives_session", LUA_TBOOLEAN},
    };
    options_read(L, 1, "operation", fields, MK_COUNT(fields));
    for (size_t i = 0; i < 2; i++) {
        if (!fields[i].given) {
            luaL_error(L, "operation: '%s' is missing", fields[i].name);
        }
    }
}

/* The name and the type of one argument lie on top. [-0, +0, raises] */
static void argument_declared_check(lua_State *L, const struct value_key *key)
{
    struct argument argument = {.type = ARGUMENT_PATH};
    const char *name = lua_tostring(L, -2);
    bool typed = lua_type(L, -1) == LUA_TSTRING && type_parse(sandbox_bytes(L, -1), &argument);
    if (key->text.data == NULL || !name_valid(key->text)) {
        luaL_error(L, "operation: '%s' is no name for an argument: [a-z][a-z0-9_]*", name);
    }
    if (!typed) {
        luaL_error(L,
                   "operation: the type of argument '%s' must be path, string, bytes, "
                   "integer, number, boolean, duration, list or map, with or without a '?'",
                   name);
    }
    if (mk_bytes_equal(key->text, MK_BYTES("timeout")) && argument.type != ARGUMENT_DURATION) {
        luaL_error(L, "operation: the argument 'timeout' must be a duration");
    }
}

static void arguments_declared_check(lua_State *L)
{
    lua_getfield(L, 1, "args");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    int args = lua_gettop(L);
    struct value_keys keys = value_keys_sorted(L, args);
    if (keys.count > OPERATION_ARGUMENTS_MAX) {
        luaL_error(L, "operation: more than %d arguments", OPERATION_ARGUMENTS_MAX);
    }
    for (size_t i = 0; i < keys.count; i++) {
        value_key_push(L, &keys.keys[i]);
        lua_pushvalue(L, -1);
        lua_rawget(L, args);
        argument_declared_check(L, &keys.keys[i]);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

int library_operation(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (sandbox_of(L)->run != NULL) {
        return luaL_error(L, "operation: declare operations at the top of the recipe");
    }
    if (sandbox_of(L)->checking) {
        fields_check(L);
        arguments_declared_check(L);
    }
    sandbox_set_metatable(L, SLOT_OPERATION);
    return 1;
}

/* ---- What a loaded recipe declares ---- */

static const char *text_keep(struct recipe_version *version, struct mk_bytes text)
{
    MK_ASSERT(text.data != NULL);
    char *copy = mk_arena_alloc(&version->declared, text.len + 1);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

static bool flag_read(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool flag = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return flag;
}

static void arguments_read(lua_State *L, int index, struct recipe_version *version,
                           struct operation *operation)
{
    lua_getfield(L, index, "args");
    if (lua_type(L, -1) == LUA_TTABLE) {
        struct value_keys keys = value_keys_sorted(L, lua_gettop(L));
        operation->arguments =
            mk_arena_alloc(&version->declared, keys.count * sizeof(*operation->arguments));
        operation->arguments_count = keys.count;
        for (size_t i = 0; i < keys.count; i++) {
            value_key_push(L, &keys.keys[i]);
            lua_rawget(L, -2);
            struct argument *argument = &operation->arguments[i];
            bool valid = type_parse(sandbox_check_bytes(L, lua_gettop(L)), argument);
            MK_ASSERT(valid); /* arguments_declared_check() */
            argument->name = text_keep(version, keys.keys[i].text);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static void operation_read(lua_State *L, int index, struct recipe_version *version,
                           struct mk_bytes name, struct operation *operation)
{
    *operation = (struct operation){.arguments = NULL};
    operation->shown.name = text_keep(version, name);
    lua_getfield(L, index, "doc");
    operation->shown.doc = text_keep(version, sandbox_check_bytes(L, lua_gettop(L)));
    lua_pop(L, 1);
    operation->shown.has_cancel = flag_read(L, index, "cancel");
    operation->shown.reads_only = flag_read(L, index, "reads_only");
    operation->shown.outlives_session = flag_read(L, index, "outlives_session");
    arguments_read(L, index, version, operation);
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
        operation_read(L, lua_gettop(L), version, keys.keys[i].text, &version->operations[i]);
        version->operations_count++;
        lua_pop(L, 2);
    }
}

/* ---- Arguments of a call ---- */

/* "250ms", "10s", "5m", "1h", or whole milliseconds. False: neither. */
static bool duration_parse(lua_State *L, int index, double *ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    if (lua_type(L, index) == LUA_TNUMBER) {
        *ms = lua_tonumber(L, index);
        return *ms >= 0 && *ms == floor(*ms);
    }
    if (lua_type(L, index) != LUA_TSTRING) {
        return false;
    }
    struct mk_bytes text = sandbox_bytes(L, index);
    double count = 0;
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') {
        count = count * 10 + (text.data[digits++] - '0');
    }
    struct mk_bytes unit = mk_bytes_of(text.data + digits, text.len - digits);
    for (size_t i = 0; i < MK_COUNT(units) && digits > 0; i++) {
        if (mk_bytes_equal(unit, mk_bytes_text(units[i].unit))) {
            *ms = count * units[i].ms;
            return *ms <= VALUE_NUMBER_MAX;
        }
    }
    return false;
}

/* The shape only, as a courtesy: what znodes may be called is the host's business. */
static bool path_valid(struct mk_bytes path)
{
    if (path.len == 0 || path.data[0] != '/' || !value_utf8_valid(path)) {
        return false;
    }
    for (size_t i = 0; i < path.len; i++) {
        bool slash = path.data[i] == '/';
        bool last = i + 1 == path.len;
        if (path.data[i] == 0 || (slash && last && path.len > 1) ||
            (slash && !last && path.data[i + 1] == '/')) {
            return false;
        }
    }
    return true;
}

static bool table_valid(lua_State *L, int index, bool list_wanted)
{
    if (lua_type(L, index) != LUA_TTABLE) {
        return false;
    }
    return sandbox_has_metatable(L, index, SLOT_LIST) == list_wanted; /* decoded, hence marked */
}

/* Check the value on top, and put what the recipe sees in its place. NULL, or what was expected. */
static const char *argument_convert(lua_State *L, enum argument_type type)
{
    int index = lua_gettop(L);
    int lua = lua_type(L, index);
    double number = lua == LUA_TNUMBER ? lua_tonumber(L, index) : 0;
    switch (type) {
    case ARGUMENT_PATH:
        return lua == LUA_TSTRING && path_valid(sandbox_bytes(L, index)) ? NULL
                                                                         : "a path like \"/a/b\"";
    case ARGUMENT_STRING:
        return lua == LUA_TSTRING && value_utf8_valid(sandbox_bytes(L, index)) ? NULL
                                                                               : "text in UTF-8";
    case ARGUMENT_BYTES: return lua == LUA_TSTRING ? NULL : "bytes";
    case ARGUMENT_INTEGER:
        return lua == LUA_TNUMBER && number == floor(number) ? NULL : "a whole number";
    case ARGUMENT_NUMBER: return lua == LUA_TNUMBER ? NULL : "a number";
    case ARGUMENT_BOOLEAN: return lua == LUA_TBOOLEAN ? NULL : "true or false";
    case ARGUMENT_LIST: return table_valid(L, index, true) ? NULL : "a list";
    case ARGUMENT_MAP: return table_valid(L, index, false) ? NULL : "a map";
    case ARGUMENT_DURATION:
        if (!duration_parse(L, index, &number)) {
            return "a duration: \"250ms\", \"10s\", \"5m\", \"1h\" or whole milliseconds";
        }
        lua_pushnumber(L, number);
        lua_replace(L, index);
        return NULL;
    }
    MK_ASSERT(!"an unknown argument type");
    return NULL;
}

/* The names that the operation knows, for whoever used another. */
_Noreturn static void argument_unknown(lua_State *L, const struct operation *operation,
                                       struct mk_bytes name)
{
    struct mk_buf *text = &sandbox_of(L)->scratch;
    text->len = 0;
    for (size_t i = 0; i < operation->arguments_count; i++) {
        mk_buf_printf(text, "%s%s", i == 0 ? "" : ", ", operation->arguments[i].name);
    }
    int name_len = name.len > RECIPE_NAME_BYTES_MAX ? RECIPE_NAME_BYTES_MAX : (int)name.len;
    sandbox_raise(L, "BadArguments", "unknown argument '%.*s'; known: %.*s", name_len,
                  (const char *)name.data, (int)text->len, (const char *)text->data);
}

static bool argument_known(const struct operation *operation, struct mk_bytes name)
{
    for (size_t i = 0; i < operation->arguments_count; i++) {
        if (mk_bytes_equal(name, mk_bytes_text(operation->arguments[i].name))) {
            return true;
        }
    }
    return false;
}

static void argument_check(lua_State *L, int arguments, const struct argument *argument)
{
    lua_getfield(L, arguments, argument->name);
    bool absent = lua_isnil(L, -1) || value_is_null(L, -1);
    if (absent && !argument->optional) {
        sandbox_raise(L, "BadArguments", "argument '%s' is missing", argument->name);
    }
    if (absent) {
        lua_pop(L, 1);
        lua_pushnil(L);
    } else {
        const char *expected = argument_convert(L, argument->type);
        if (expected != NULL) {
            sandbox_raise(L, "BadArguments", "argument '%s' must be %s", argument->name, expected);
        }
    }
    lua_setfield(L, arguments, argument->name);
}

static void arguments_decode(lua_State *L, const struct operation *operation,
                             enum recipe_format format, struct mk_bytes bytes, mk_ms *timeout_ms)
{
    size_t bytes_max = sandbox_of(L)->limits->result_bytes_max;
    if (bytes.len > bytes_max) {
        sandbox_raise(L, "BadArguments", "the arguments take more than %zu bytes", bytes_max);
    }
    if (bytes.len == 0) {
        lua_newtable(L);
    } else {
        value_push(L, format, bytes);
    }
    if (value_is_null(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    int index = lua_gettop(L);
    if (!table_valid(L, index, false)) {
        sandbox_raise(L, "BadArguments", "arguments must be a map of names to values");
    }
    struct value_keys keys = value_keys_sorted(L, index);
    for (size_t i = 0; i < keys.count; i++) {
        if (!argument_known(operation, keys.keys[i].text)) {
            argument_unknown(L, operation, keys.keys[i].text);
        }
    }
    *timeout_ms = -1;
    for (size_t i = 0; i < operation->arguments_count; i++) {
        argument_check(L, index, &operation->arguments[i]);
    }
    lua_getfield(L, index, "timeout");
    if (lua_type(L, -1) == LUA_TNUMBER && argument_known(operation, MK_BYTES("timeout"))) {
        *timeout_ms = (mk_ms)lua_tonumber(L, -1);
    }
    lua_pop(L, 1);
}

void arguments_keep(lua_State *L, const struct operation *operation, enum recipe_format format,
                    struct mk_bytes bytes, mk_ms timeout_ms)
{
    struct sandbox *sandbox = sandbox_of(L);
    sandbox->arguments.operation = NULL;
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ARGUMENTS);
    sandbox->arguments.bytes.len = 0;
    mk_buf_append_bytes(&sandbox->arguments.bytes, bytes);
    sandbox->arguments.format = format;
    sandbox->arguments.timeout_ms = timeout_ms;
    sandbox->arguments.operation = operation;
}

/* Once only: a run may do with its arguments what it likes. */
static bool arguments_take(lua_State *L, const struct operation *operation,
                           enum recipe_format format, struct mk_bytes bytes, mk_ms *timeout_ms)
{
    struct sandbox *sandbox = sandbox_of(L);
    struct mk_bytes kept = mk_buf_view(&sandbox->arguments.bytes);
    bool same = sandbox->arguments.operation == operation && sandbox->arguments.format == format &&
                kept.len == bytes.len && memcmp(kept.data, bytes.data, kept.len) == 0;
    if (same) {
        sandbox->arguments.operation = NULL;
        *timeout_ms = sandbox->arguments.timeout_ms;
        lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ARGUMENTS);
    }
    return same;
}

void arguments_push(lua_State *L, const struct operation *operation, enum recipe_format format,
                    struct mk_bytes bytes, mk_ms *timeout_ms)
{
    if (bytes.len == 0 || !arguments_take(L, operation, format, bytes, timeout_ms)) {
        arguments_decode(L, operation, format, bytes, timeout_ms);
    }
}
