/* Arguments of a call, against what its operation declares. */
#include "recipe/plain.h"
#include "recipe/value.h"

#include <string.h>

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

/* What is not there stays so: giving it nil would make room for it. */
static void argument_check(lua_State *L, int arguments, const struct argument *argument)
{
    lua_getfield(L, arguments, argument->name);
    bool absent = lua_isnil(L, -1);
    bool null = value_is_null(L, -1);
    if ((absent || null) && !argument->optional) {
        sandbox_raise(L, "BadArguments", "%s is missing", argument->what);
    }
    if (absent && argument->value.data == NULL) {
        lua_pop(L, 1);
        return;
    }
    if (null && argument->value.data == NULL) {
        lua_pop(L, 1);
        lua_pushnil(L);
    } else {
        if (absent || null) {
            lua_pop(L, 1);
            value_push_msgpack(L, argument->value);
        }
        schema_check(L, &argument->schema, argument->what);
    }
    lua_setfield(L, arguments, argument->name);
}

static void names_check(lua_State *L, const struct operation *operation, int index)
{
    bool known = true;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        known = known && lua_type(L, -2) == LUA_TSTRING &&
                argument_known(operation, sandbox_bytes(L, lua_gettop(L) - 1));
    }
    struct value_keys keys = {.count = 0};
    if (!known) { /* which one is told must not depend on the order in a table */
        keys = value_keys_sorted(L, index);
    }
    for (size_t i = 0; i < keys.count; i++) {
        if (!argument_known(operation, keys.keys[i].text)) {
            argument_unknown(L, operation, keys.keys[i].text);
        }
    }
}

size_t arguments_plain_max(const struct recipe_options *limits)
{
    return limits->result_bytes_max < limits->alloc_bytes_max ? limits->result_bytes_max
                                                              : limits->alloc_bytes_max;
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
    if (lua_type(L, index) != LUA_TTABLE || sandbox_has_metatable(L, index, SLOT_LIST)) {
        sandbox_raise(L, "BadArguments", "arguments must be a map of names to values");
    }
    names_check(L, operation, index);
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
    struct plain plain;
    if (plain_read(operation, format, bytes, arguments_plain_max(sandbox_of(L)->limits), &plain)) {
        plain_push(L, &plain);
        *timeout_ms = plain.timeout_ms;
    } else if (!arguments_take(L, operation, format, bytes, timeout_ms)) {
        arguments_decode(L, operation, format, bytes, timeout_ms);
    }
}
