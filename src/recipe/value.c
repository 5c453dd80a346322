/* What JSON and MessagePack share: the order of keys, the shape of a table, the bounds. */
#include "recipe/value.h"

#include <math.h>
#include <stdlib.h>

/* ---- Keys ---- */

static int key_compare(const void *left, const void *right)
{
    const struct value_key *a = left;
    const struct value_key *b = right;
    if (a->text.data == NULL && b->text.data == NULL) {
        return (a->number > b->number) - (a->number < b->number);
    }
    if (a->text.data == NULL || b->text.data == NULL) {
        return a->text.data == NULL ? -1 : 1;
    }
    return mk_bytes_compare(a->text, b->text);
}

static struct value_key key_read(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: return (struct value_key){.number = lua_tonumber(L, index)};
    case LUA_TSTRING: return (struct value_key){.text = sandbox_bytes(L, index)};
    default:
        luaL_error(L, "a table's keys must be numbers and strings to have an order, not %s",
                   luaL_typename(L, index));
        return (struct value_key){.number = 0};
    }
}

static size_t table_count(lua_State *L, int index)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        count++;
    }
    return count;
}

struct value_keys value_keys_sorted(lua_State *L, int index)
{
    struct sandbox *sandbox = sandbox_of(L);
    luaL_checkstack(L, 4, "ordering a table's keys");
    struct value_keys sorted = {.count = table_count(L, index), .list = true, .strings = true};
    sandbox_charge(L, sorted.count * 2 * SANDBOX_ELEMENT); /* read, and sorted or encoded */
    sorted.keys = mk_arena_alloc(&sandbox->scraps, sorted.count * sizeof(struct value_key));

    bool ordered = true;
    size_t at = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        MK_ASSERT(at < sorted.count);
        sorted.keys[at] = key_read(L, lua_gettop(L) - 1);
        ordered = ordered && (at == 0 || key_compare(&sorted.keys[at - 1], &sorted.keys[at]) < 0);
        sorted.strings = sorted.strings && sorted.keys[at].text.data != NULL;
        at++;
    }
    if (!ordered) { /* a list's keys come in order */
        qsort(sorted.keys, sorted.count, sizeof(struct value_key), key_compare);
    }
    for (size_t i = 0; i < sorted.count && sorted.list; i++) {
        const struct value_key *key = &sorted.keys[i];
        sorted.list = key->text.data == NULL && key->number == (double)(i + 1);
    }
    return sorted;
}

void value_key_push(lua_State *L, const struct value_key *key)
{
    if (key->text.data == NULL) {
        lua_pushnumber(L, key->number);
    } else {
        lua_pushlstring(L, (const char *)key->text.data, key->text.len);
    }
}

/* ---- Null ---- */

void value_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

bool value_is_null(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TLIGHTUSERDATA;
}

/* ---- Bounds ---- */

double value_check_number(lua_State *L, const char *blame, double number)
{
    if (!isfinite(number)) {
        sandbox_raise(L, blame, "NaN and infinity cannot be passed on");
    }
    if (fabs(number) > VALUE_NUMBER_MAX) {
        sandbox_raise(L, blame, "a number beyond 2^53 would be rounded: pass it on as a string");
    }
    return number;
}

void value_check_size(lua_State *L, const struct mk_buf *out, size_t bytes_max)
{
    if (out->len > bytes_max) {
        sandbox_exhaust(L, "a value takes more than %zu bytes when it is encoded", bytes_max);
    }
}

void value_check_depth(lua_State *L, const char *blame, uint32_t depth)
{
    uint32_t max = sandbox_of(L)->limits->nesting_max;
    if (depth > max) {
        sandbox_raise(L, blame, "values are nested deeper than %u", (unsigned)max);
    }
    luaL_checkstack(L, 8, "nested values");
}

struct value_keys value_table_shape(lua_State *L, int index, bool *list)
{
    struct value_keys keys = value_keys_sorted(L, index);
    bool marked = sandbox_has_metatable(L, index, SLOT_LIST);
    *list = keys.list && (keys.count > 0 || marked);
    if (!*list && (!keys.strings || marked)) {
        sandbox_raise(L, VALUE_ENCODING,
                      "a table is neither a list (keys 1 to n) nor a map (keys "
                      "that are strings), so it cannot be encoded");
    }
    return keys;
}

/* ---- UTF-8 ---- */

size_t value_utf8_length(struct mk_bytes bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800,
                                     0x10000}; /* by length: shorter ones exist */
    uint8_t first = bytes.data[0];
    if (first < 0x80) {
        return 1;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length > bytes.len) {
        return 0;
    }
    uint32_t code = first & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (bytes.data[i] & 0x3fU);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[length] || code > 0x10ffff || surrogate ? 0 : length;
}

bool value_utf8_valid(struct mk_bytes bytes)
{
    const uint8_t *end = bytes.data + bytes.len;
    const uint8_t *at = bytes.data;
    while (at < end) {
        size_t length = *at < 0x80 ? 1 : value_utf8_length(mk_bytes_of(at, (size_t)(end - at)));
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

/* ---- By format ---- */

void value_push(lua_State *L, enum recipe_format format, struct mk_bytes bytes)
{
    switch (format) {
    case RECIPE_JSON: value_push_json(L, bytes); return;
    case RECIPE_MSGPACK: value_push_msgpack(L, bytes); return;
    }
    MK_ASSERT(!"an unknown format");
}

void value_append(lua_State *L, enum recipe_format format, int index, struct mk_buf *out,
                  size_t bytes_max)
{
    switch (format) {
    case RECIPE_JSON: value_append_json(L, index, out, bytes_max); return;
    case RECIPE_MSGPACK: value_append_msgpack(L, index, out, bytes_max); return;
    }
    MK_ASSERT(!"an unknown format");
}
