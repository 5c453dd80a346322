/* JSON through jansson. Lua's errors are longjmps, so whatever has to be freed lies in a *box*, a
 * userdata that frees it when it is collected; and what builds a value answers with a sentence
 * instead of raising. */
#include "testkit/json.h"

#include <jansson.h>
#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define NESTING_MAX 32 /* the engine's own limit */
#define STACK_OF_LEVEL 4
#define INTEGER_MAX 9007199254740992.0 /* 2^53: beyond, a number of Lua is not exact */

struct box {
    json_t *value;
    char *text;
};

static int box_free(lua_State *L)
{
    struct box *box = lua_touserdata(L, 1);

    json_decref(box->value);
    free(box->text);
    *box = (struct box){NULL, NULL};
    return 0;
}

/* [-0, +1, raises] */
static struct box *box_push(lua_State *L)
{
    struct box *box = lua_newuserdata(L, sizeof(*box));

    *box = (struct box){NULL, NULL};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, box_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_checkstack(L, NESTING_MAX * STACK_OF_LEVEL, "a value for JSON");
    return box;
}

/* ---- To JSON. Each: NULL and *out, or what is wrong. [-0, +0, -] ---- */

static const char *value_build(lua_State *L, int index, int nesting, json_t **out);

static const char *number_build(double number, json_t **out)
{
    bool whole = floor(number) == number && fabs(number) <= INTEGER_MAX;

    *out = whole ? json_integer((json_int_t)number) : json_real(number);
    return *out != NULL ? NULL : "JSON has no such number";
}

static const char *list_build(lua_State *L, int index, int nesting, json_t *list)
{
    size_t count = lua_objlen(L, index);

    for (size_t i = 1; i <= count; i++) {
        json_t *item = NULL;
        lua_rawgeti(L, index, (int)i);
        const char *wrong = value_build(L, lua_gettop(L), nesting, &item);
        lua_pop(L, 1);
        if (wrong != NULL) {
            return wrong;
        }
        json_array_append_new(list, item);
    }
    return NULL;
}

static const char *map_build(lua_State *L, int index, int nesting, json_t *map)
{
    const char *wrong = NULL;

    lua_pushnil(L);
    while (wrong == NULL && lua_next(L, index) != 0) {
        json_t *item = NULL;
        if (lua_type(L, -2) != LUA_TSTRING) {
            wrong = "a table is either a list, or a map whose keys are strings";
        } else {
            wrong = value_build(L, lua_gettop(L), nesting, &item);
        }
        if (wrong == NULL && json_object_set_new(map, lua_tostring(L, -2), item) != 0) {
            wrong = "a key is not UTF-8";
        }
        lua_pop(L, wrong == NULL ? 1 : 2);
    }
    return wrong;
}

static const char *table_build(lua_State *L, int index, int nesting, json_t **out)
{
    bool list = lua_objlen(L, index) > 0;

    if (nesting == NESTING_MAX) {
        return "tables are nested too deeply, or in each other";
    }
    *out = list ? json_array() : json_object();
    const char *wrong =
        list ? list_build(L, index, nesting + 1, *out) : map_build(L, index, nesting + 1, *out);
    if (wrong != NULL) {
        json_decref(*out);
        *out = NULL;
    }
    return wrong;
}

static const char *value_build(lua_State *L, int index, int nesting, json_t **out)
{
    size_t len;
    const char *text;

    switch (lua_type(L, index)) {
    case LUA_TNIL: *out = json_null(); return NULL;
    case LUA_TBOOLEAN: *out = json_boolean(lua_toboolean(L, index)); return NULL;
    case LUA_TNUMBER: return number_build(lua_tonumber(L, index), out);
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        *out = json_stringn(text, len);
        return *out != NULL ? NULL : "a string is not UTF-8";
    case LUA_TTABLE: return table_build(L, index, nesting, out);
    default: return "JSON has no functions, threads or userdata";
    }
}

int testkit_json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    struct box *box = box_push(L);
    const char *wrong = value_build(L, 1, 0, &box->value);

    if (wrong != NULL) {
        return luaL_error(L, "%s", wrong);
    }
    box->text = json_dumps(box->value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (box->text == NULL) {
        return luaL_error(L, "the value cannot be written as JSON");
    }
    lua_pushstring(L, box->text);
    return 1;
}

/* ---- From JSON. [-0, +1, raises] ---- */

static void value_push(lua_State *L, json_t *value);

static void list_push(lua_State *L, const json_t *list)
{
    lua_createtable(L, (int)json_array_size(list), 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        value_push(L, json_array_get(list, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static void map_push(lua_State *L, json_t *map)
{
    const char *key;
    json_t *value;

    lua_createtable(L, 0, (int)json_object_size(map));
    json_object_foreach(map, key, value)
    {
        lua_pushstring(L, key);
        value_push(L, value);
        lua_rawset(L, -3);
    }
}

static void value_push(lua_State *L, json_t *value)
{
    luaL_checkstack(L, STACK_OF_LEVEL, "a value of JSON");
    switch (json_typeof(value)) {
    case JSON_OBJECT: map_push(L, value); break;
    case JSON_ARRAY: list_push(L, value); break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER: lua_pushnumber(L, (lua_Number)json_integer_value(value)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_NULL: lua_pushnil(L); break;
    }
}

int testkit_json_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct box *box = box_push(L);
    json_error_t error;

    box->value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (box->value == NULL) {
        return luaL_error(L, "not JSON: %s", error.text);
    }
    value_push(L, box->value);
    return 1;
}
