#include "recipe/options.h"

#include "recipe/value.h"

/* The option that the key at `index` names, or NULL. */
static struct option *option_find(lua_State *L, int index, struct option *options, size_t count)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        return NULL;
    }
    struct mk_bytes name = sandbox_bytes(L, index);
    for (size_t i = 0; i < count; i++) {
        if (mk_bytes_equal(name, mk_bytes_text(options[i].name))) {
            return &options[i];
        }
    }
    return NULL;
}

/* Take the value on top for the option that the key below it names. */
static bool option_take(lua_State *L, struct option *options, size_t count)
{
    struct option *option = option_find(L, lua_gettop(L) - 1, options, count);
    int type = lua_type(L, -1);
    if (option == NULL || (option->type != LUA_TNONE && option->type != type)) {
        return false;
    }
    option->given = true;
    if (type == LUA_TBOOLEAN) {
        option->flag = lua_toboolean(L, -1) != 0;
    } else if (type == LUA_TNUMBER) {
        option->number = lua_tonumber(L, -1);
    } else if (type == LUA_TSTRING) {
        option->text = sandbox_bytes(L, -1);
    }
    return true;
}

static void mistake_raise(lua_State *L, int index, const char *what, struct option *options,
                          size_t count)
{
    struct value_keys keys = value_keys_sorted(L, index);
    for (size_t i = 0; i < keys.count; i++) {
        value_key_push(L, &keys.keys[i]);
        struct option *option = option_find(L, lua_gettop(L), options, count);
        if (option == NULL) {
            luaL_error(L, "%s: there is no '%s'", what, lua_tostring(L, -1));
            return;
        }
        lua_rawget(L, index);
        if (option->type != LUA_TNONE && option->type != lua_type(L, -1)) {
            luaL_error(L, "%s: '%s' must be a %s, not a %s", what, option->name,
                       lua_typename(L, option->type), luaL_typename(L, -1));
        }
        lua_pop(L, 1);
    }
}

void options_read(lua_State *L, int index, const char *what, struct option *options, size_t count)
{
    if (lua_isnoneornil(L, index)) {
        return;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    bool valid = true;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        valid = option_take(L, options, count) && valid;
    }
    if (!valid) {
        mistake_raise(L, index, what, options, count);
    }
}
