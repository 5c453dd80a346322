/* table: as in Lua 5.1, charged by elements; sort is a merge sort, so that a comparator that
 * contradicts itself gives some order and not an endless loop, and equal elements keep theirs. */
#include "recipe/environment.h"
#include "recipe/text.h"
#include "recipe/value.h"

static int length_check(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    return (int)lua_objlen(L, index); /* far below INT_MAX: memory ends first */
}

static int table_concat(lua_State *L)
{
    int length = length_check(L, 1);
    struct mk_bytes separator = lua_isnoneornil(L, 2) ? MK_BYTES("") : sandbox_check_bytes(L, 2);
    int first = luaL_optint(L, 3, 1);
    int last = luaL_optint(L, 4, length);
    struct text text = {.data = NULL};
    for (int64_t i = first; i <= last; i++) {
        lua_rawgeti(L, 1, (int)i);
        if (lua_isstring(L, -1) == 0) {
            return luaL_error(L, "table.concat: a %s at index %d", luaL_typename(L, -1), (int)i);
        }
        sandbox_charge(L, SANDBOX_ELEMENT);
        text_add(L, &text, sandbox_check_bytes(L, lua_gettop(L)));
        lua_pop(L, 1);
        if (i < last) {
            text_add(L, &text, separator);
        }
    }
    text_push(L, &text);
    return 1;
}

static int table_insert(lua_State *L)
{
    sandbox_check_writable(L, 1);
    int length = length_check(L, 1);
    int position = length + 1;
    if (lua_gettop(L) == 3) {
        position = luaL_checkint(L, 2);
        luaL_argcheck(L, position >= 1 && position <= length + 1, 2, "position out of bounds");
    } else if (lua_gettop(L) != 2) {
        return luaL_error(L, "table.insert: wrong number of arguments");
    }
    sandbox_charge(L, (uint64_t)(length + 2 - position) * SANDBOX_ELEMENT);
    for (int i = length; i >= position; i--) {
        lua_rawgeti(L, 1, i);
        lua_rawseti(L, 1, i + 1);
    }
    lua_rawseti(L, 1, position);
    return 0;
}

static int table_remove(lua_State *L)
{
    sandbox_check_writable(L, 1);
    int length = length_check(L, 1);
    int position = luaL_optint(L, 2, length);
    if (length == 0) {
        return 0;
    }
    luaL_argcheck(L, position >= 1 && position <= length, 2, "position out of bounds");
    sandbox_charge(L, (uint64_t)(length + 1 - position) * SANDBOX_ELEMENT);
    lua_rawgeti(L, 1, position);
    for (int i = position; i < length; i++) {
        lua_rawgeti(L, 1, i + 1);
        lua_rawseti(L, 1, i);
    }
    lua_pushnil(L);
    lua_rawseti(L, 1, length);
    return 1;
}

static int table_maxn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct value_keys keys = value_keys_sorted(L, 1);
    lua_Number max = 0;
    for (size_t i = 0; i < keys.count && keys.keys[i].text.data == NULL; i++) {
        max = keys.keys[i].number > max ? keys.keys[i].number : max;
    }
    lua_pushnumber(L, max);
    return 1;
}

/* ---- sort ---- */

enum { SORT_LIST = 1, SORT_LESS = 2, SORT_FROM = 3, SORT_TO = 4 }; /* stack indexes */

/* Does the value at -1 come before that at -2? [-0, +0, raises] */
static bool sort_less(lua_State *L)
{
    if (lua_isnil(L, SORT_LESS)) {
        sandbox_charge(L, lua_type(L, -1) == LUA_TSTRING ? lua_objlen(L, -1) : 0);
        return lua_lessthan(L, -1, -2) != 0;
    }
    lua_pushvalue(L, SORT_LESS);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -4);
    sandbox_call(L, 2, 1);
    bool less = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return less;
}

/* Merge the runs [begin, middle) and [middle, end) of `from` into `to`. */
static void sort_merge(lua_State *L, int from, int to, int begin, int middle, int end)
{
    int left = begin;
    int right = middle;
    for (int at = begin; at < end; at++) {
        bool take_right = left == middle;
        sandbox_charge(L, SANDBOX_ELEMENT);
        if (left < middle && right < end) {
            lua_rawgeti(L, from, left);
            lua_rawgeti(L, from, right);
            take_right = sort_less(L);
            lua_pop(L, 2);
        }
        lua_rawgeti(L, from, take_right ? right++ : left++);
        lua_rawseti(L, to, at);
    }
}

static int table_sort(lua_State *L)
{
    sandbox_check_writable(L, SORT_LIST);
    int length = length_check(L, SORT_LIST);
    if (!lua_isnoneornil(L, SORT_LESS)) {
        luaL_checktype(L, SORT_LESS, LUA_TFUNCTION);
    }
    lua_settop(L, SORT_LESS);
    sandbox_charge(L, (uint64_t)length * 2 * SANDBOX_ELEMENT);
    lua_newtable(
        L); /* SORT_FROM: a copy, so that a comparator that writes to the list changes nothing */
    lua_newtable(L); /* SORT_TO */
    for (int i = 1; i <= length; i++) {
        lua_rawgeti(L, SORT_LIST, i);
        if (lua_isnil(L, -1)) {
            return luaL_error(L, "table.sort: the list has a hole at index %d", i);
        }
        lua_rawseti(L, SORT_FROM, i);
    }
    int from = SORT_FROM;
    int to = SORT_TO;
    for (int64_t width = 1; width < length; width *= 2) {
        for (int64_t begin = 1; begin <= length; begin += 2 * width) {
            int64_t end = begin + 2 * width > length + 1 ? length + 1 : begin + 2 * width;
            int64_t middle = begin + width > end ? end : begin + width;
            sort_merge(L, from, to, (int)begin, (int)middle, (int)end);
        }
        from = from == SORT_FROM ? SORT_TO : SORT_FROM;
        to = to == SORT_FROM ? SORT_TO : SORT_FROM;
    }
    for (int i = 1; i <= length; i++) {
        lua_rawgeti(L, from, i);
        lua_rawseti(L, SORT_LIST, i);
    }
    return 0;
}

void library_push_table(lua_State *L)
{
    static const luaL_Reg functions[] = {{"concat", table_concat}, {"insert", table_insert},
                                         {"maxn", table_maxn},     {"remove", table_remove},
                                         {"sort", table_sort},     {NULL, NULL}};
    environment_push_functions(L, functions);
}
