/* Schemas of arguments: how they are declared, and what they accept. */
#include "recipe/schema.h"

#include "recipe/options.h"
#include "recipe/value.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {
    [SCHEMA_PATH] = "path",         [SCHEMA_STRING] = "string", [SCHEMA_BYTES] = "bytes",
    [SCHEMA_INTEGER] = "integer",   [SCHEMA_NUMBER] = "number", [SCHEMA_BOOLEAN] = "boolean",
    [SCHEMA_DURATION] = "duration", [SCHEMA_LIST] = "list",     [SCHEMA_MAP] = "map",
};

const char *schema_type_name(enum schema_type type)
{
    MK_ASSERT((size_t)type < MK_COUNT(type_names));
    return type_names[type];
}

/* ---- One value ---- */

static bool is_table(enum schema_type type)
{
    return type == SCHEMA_LIST || type == SCHEMA_MAP;
}

/* The value at `index`; of a table, its type alone. */
static struct schema_value value_at(lua_State *L, int index)
{
    struct schema_value value = {.lua_type = lua_type(L, index)};
    switch (value.lua_type) {
    case LUA_TSTRING: value.text = sandbox_bytes(L, index); break;
    case LUA_TNUMBER: value.number = lua_tonumber(L, index); break;
    case LUA_TBOOLEAN: value.number = lua_toboolean(L, index); break;
    default: break;
    }
    return value;
}

/* It becomes a number of milliseconds. */
static bool duration_convert(struct schema_value *value)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    if (value->lua_type == LUA_TNUMBER) {
        double ms = value->number;
        return ms >= 0 && ms <= VALUE_NUMBER_MAX && ms == floor(ms);
    }
    if (value->lua_type != LUA_TSTRING) {
        return false;
    }
    struct mk_bytes text = value->text;
    double count = 0;
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') {
        count = count * 10 + (text.data[digits++] - '0');
    }
    struct mk_bytes unit = mk_bytes_of(text.data + digits, text.len - digits);
    for (size_t i = 0; i < MK_COUNT(units) && digits > 0; i++) {
        if (mk_bytes_equal(unit, mk_bytes_text(units[i].unit))) {
            *value = (struct schema_value){.lua_type = LUA_TNUMBER, .number = count * units[i].ms};
            return value->number <= VALUE_NUMBER_MAX;
        }
    }
    return false;
}

bool schema_duration(lua_State *L, int index, double *ms)
{
    struct schema_value value = value_at(L, index);
    bool valid = duration_convert(&value);
    *ms = value.number;
    return valid;
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

static bool type_convert(enum schema_type type, struct schema_value *value)
{
    bool text = value->lua_type == LUA_TSTRING;
    bool number = value->lua_type == LUA_TNUMBER;
    switch (type) {
    case SCHEMA_PATH: return text && path_valid(value->text);
    case SCHEMA_STRING: return text && value_utf8_valid(value->text);
    case SCHEMA_BYTES: return text;
    case SCHEMA_INTEGER: return number && value->number == floor(value->number);
    case SCHEMA_NUMBER: return number;
    case SCHEMA_BOOLEAN: return value->lua_type == LUA_TBOOLEAN;
    case SCHEMA_DURATION: return duration_convert(value);
    case SCHEMA_LIST:
    case SCHEMA_MAP: return false;
    }
    MK_ASSERT(!"an unknown type of argument");
    return false;
}

static bool bounds_allow(const struct schema *schema, double size)
{
    return !(schema->has_min && size < schema->min) && !(schema->has_max && size > schema->max);
}

static bool choice_is(const struct schema_value *value, const struct schema_value *choice)
{
    if (value->lua_type != choice->lua_type) {
        return false;
    }
    return value->lua_type == LUA_TSTRING ? mk_bytes_equal(value->text, choice->text)
                                          : value->number == choice->number;
}

static bool choices_allow(const struct schema *schema, const struct schema_value *value)
{
    for (size_t i = 0; i < schema->choices_count; i++) {
        if (choice_is(value, &schema->choices[i])) {
            return true;
        }
    }
    return schema->choices_count == 0;
}

bool schema_accepts(const struct schema *schema, struct schema_value *value)
{
    if (!type_convert(schema->type, value)) {
        return false;
    }
    double size = value->lua_type == LUA_TSTRING ? (double)value->text.len : value->number;
    return bounds_allow(schema, size) && choices_allow(schema, value);
}

/* ---- What was expected, in words ---- */

static const char *type_text(enum schema_type type)
{
    switch (type) {
    case SCHEMA_PATH: return "a path like \"/a/b\"";
    case SCHEMA_STRING: return "text in UTF-8";
    case SCHEMA_BYTES: return "bytes";
    case SCHEMA_INTEGER: return "a whole number";
    case SCHEMA_NUMBER: return "a number";
    case SCHEMA_BOOLEAN: return "true or false";
    case SCHEMA_LIST: return "a list";
    case SCHEMA_MAP: return "a map";
    case SCHEMA_DURATION:
        return "a duration: \"250ms\", \"10s\", \"5m\", \"1h\" or whole milliseconds";
    }
    return "";
}

static const char *unit_text(enum schema_type type)
{
    switch (type) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES: return " bytes";
    case SCHEMA_LIST:
    case SCHEMA_MAP: return " elements";
    case SCHEMA_DURATION: return " ms";
    default: return "";
    }
}

static void choice_append(struct mk_buf *out, const struct schema_value *choice)
{
    switch (choice->lua_type) {
    case LUA_TSTRING: recipe_json_string(out, choice->text); break;
    case LUA_TNUMBER: mk_buf_printf(out, "%.15g", choice->number); break;
    default: mk_buf_printf(out, "%s", choice->number != 0 ? "true" : "false"); break;
    }
}

_Noreturn static void mismatch(lua_State *L, const struct schema *schema, const char *what)
{
    struct mk_buf *text = &sandbox_of(L)->scratch;
    const char *unit = unit_text(schema->type);
    text->len = 0;
    mk_buf_printf(text, "%s", type_text(schema->type));
    if (schema->has_min && schema->has_max) {
        mk_buf_printf(text, ", %.15g to %.15g%s", schema->min, schema->max, unit);
    } else if (schema->has_min) {
        mk_buf_printf(text, ", at least %.15g%s", schema->min, unit);
    } else if (schema->has_max) {
        mk_buf_printf(text, ", at most %.15g%s", schema->max, unit);
    }
    for (size_t i = 0; i < schema->choices_count; i++) {
        mk_buf_printf(text, i == 0 ? ", one of: " : ", ");
        choice_append(text, &schema->choices[i]);
    }
    sandbox_raise(L, "BadArguments", "%s must be %.*s", what, (int)text->len,
                  (const char *)text->data);
}

/* ---- Checking ---- */

/* Each element of the list on top. */
static void list_check(lua_State *L, const struct schema *items, const char *what)
{
    struct mk_error where;
    int index = lua_gettop(L);
    int count = (int)lua_objlen(L, index);
    luaL_checkstack(L, 4, "checking a list");
    sandbox_charge(L, (uint64_t)count * SANDBOX_ELEMENT);
    for (int i = 1; i <= count; i++) {
        mk_error_set(&where, "element %d of %s", i, what);
        lua_rawgeti(L, index, i);
        schema_check(L, items, where.text);
        lua_rawseti(L, index, i);
    }
}

#define KEY_SHOWN_MAX 64 /* bytes of a map's key in a message */

/* Each value of the map on top, whose keys are `keys`. */
static void map_check(lua_State *L, const struct schema *items, const struct value_keys *keys,
                      const char *what)
{
    struct mk_error where;
    int index = lua_gettop(L);
    luaL_checkstack(L, 4, "checking a map");
    for (size_t i = 0; i < keys->count; i++) {
        struct mk_bytes key = keys->keys[i].text;
        mk_error_set(&where, "element '%.*s' of %s",
                     key.len > KEY_SHOWN_MAX ? KEY_SHOWN_MAX : (int)key.len,
                     key.len > 0 ? (const char *)key.data : "", what);
        value_key_push(L, &keys->keys[i]);
        lua_pushvalue(L, -1);
        lua_rawget(L, index);
        schema_check(L, items, where.text);
        lua_rawset(L, index);
    }
}

/* The list or map on top. */
static void table_check(lua_State *L, const struct schema *schema, const char *what)
{
    int index = lua_gettop(L);
    bool list = schema->type == SCHEMA_LIST;
    bool bounded = schema->has_min || schema->has_max;
    struct value_keys keys = {.count = 0};
    if (lua_type(L, index) != LUA_TTABLE ||
        sandbox_has_metatable(L, index, SLOT_LIST) != list) { /* decoded, hence marked */
        mismatch(L, schema, what);
    }
    if (!list && (bounded || schema->items != NULL)) {
        keys = value_keys_sorted(L, index);
    }
    double size = list ? (double)lua_objlen(L, index) : (double)keys.count;
    if (bounded && !bounds_allow(schema, size)) {
        mismatch(L, schema, what);
    }
    if (schema->items != NULL && list) {
        list_check(L, schema->items, what);
    } else if (schema->items != NULL) {
        map_check(L, schema->items, &keys, what);
    }
}

void schema_check(lua_State *L, const struct schema *schema, const char *what)
{
    if (is_table(schema->type)) {
        table_check(L, schema, what);
        return;
    }
    struct schema_value value = value_at(L, lua_gettop(L));
    if (!schema_accepts(schema, &value)) {
        mismatch(L, schema, what);
    }
    if (schema->type == SCHEMA_DURATION) {
        lua_pop(L, 1);
        lua_pushnumber(L, value.number);
    }
}

/* ---- Declarations ---- */

/* "duration?" False: there is no such type. */
static bool type_parse(struct mk_bytes text, enum schema_type *type, bool *optional)
{
    bool marked = text.len > 0 && text.data[text.len - 1] == '?';
    text.len -= marked ? 1 : 0;
    for (size_t i = 0; i < MK_COUNT(type_names); i++) {
        if (mk_bytes_equal(text, mk_bytes_text(type_names[i]))) {
            *type = (enum schema_type)i;
            *optional = *optional || marked;
            return true;
        }
    }
    return false;
}

static void type_read(lua_State *L, int index, const char *what, struct argument *out)
{
    if (lua_type(L, index) != LUA_TSTRING ||
        !type_parse(sandbox_bytes(L, index), &out->schema.type, &out->optional)) {
        luaL_error(L,
                   "operation: the type of %s must be path, string, bytes, integer, number, "
                   "boolean, duration, list or map, with or without a '?'",
                   what);
    }
}

/* The bound on top: a number; of a duration also "10s". */
static double bound_read(lua_State *L, const struct schema *schema, const char *what,
                         const char *name)
{
    double bound = lua_tonumber(L, -1);
    bool valid = lua_type(L, -1) == LUA_TNUMBER;
    switch (schema->type) {
    case SCHEMA_PATH:
    case SCHEMA_BOOLEAN: luaL_error(L, "operation: %s has no '%s'", what, name); break;
    case SCHEMA_DURATION: valid = schema_duration(L, lua_gettop(L), &bound); break;
    case SCHEMA_NUMBER: valid = valid && bound == bound; break;
    case SCHEMA_INTEGER: valid = valid && bound == floor(bound); break;
    default: valid = valid && bound == floor(bound) && bound >= 0; break;
    }
    if (!valid) {
        luaL_error(L, "operation: '%s' of %s is no such bound", name, what);
    }
    return bound;
}

static void bounds_read(lua_State *L, int index, const char *what, struct schema *out)
{
    lua_getfield(L, index, "min");
    lua_getfield(L, index, "max");
    out->has_max = !lua_isnil(L, -1);
    out->max = out->has_max ? bound_read(L, out, what, "max") : 0;
    lua_pop(L, 1);
    out->has_min = !lua_isnil(L, -1);
    out->min = out->has_min ? bound_read(L, out, what, "min") : 0;
    lua_pop(L, 1);
    if (out->has_min && out->has_max && out->min > out->max) {
        luaL_error(L, "operation: 'min' of %s is more than its 'max'", what);
    }
}

/* The value on top, to be kept. */
static struct schema_value value_keep(lua_State *L, struct mk_arena *arena)
{
    struct schema_value value = value_at(L, lua_gettop(L));
    value.text = mk_arena_copy(arena, value.text);
    return value;
}

static void choices_read(lua_State *L, int index, struct mk_arena *arena, const char *what,
                         struct schema *out)
{
    lua_getfield(L, index, "one_of");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    struct mk_error choice;
    struct value_keys keys = value_keys_sorted(L, lua_gettop(L));
    if (is_table(out->type) || !keys.list || keys.count == 0 || keys.count > SCHEMA_CHOICES_MAX) {
        luaL_error(L, "operation: 'one_of' of %s is a list of 1 to %d values, none of them a table",
                   what, SCHEMA_CHOICES_MAX);
    }
    struct schema each = *out; /* without the choices themselves */
    struct schema_value *choices = mk_arena_alloc(arena, keys.count * sizeof(*choices));
    mk_error_set(&choice, "operation: each of 'one_of' of %s", what);
    for (size_t i = 0; i < keys.count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        schema_check(L, &each, choice.text);
        choices[i] = value_keep(L, arena);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    out->choices = choices;
    out->choices_count = keys.count;
}

static void argument_read(lua_State *L, int index, struct mk_arena *arena, const char *what,
                          int depth, struct argument *out);

static void items_read(lua_State *L, int index, struct mk_arena *arena, const char *what, int depth,
                       struct schema *out)
{
    lua_getfield(L, index, "items");
    if (!lua_isnil(L, -1)) {
        struct mk_error elements;
        struct argument each;
        mk_error_set(&elements, "the elements of %s", what);
        if (!is_table(out->type)) {
            luaL_error(L, "operation: %s has no 'items': it is no list and no map", what);
        }
        if (depth == SCHEMA_DEPTH_MAX) {
            luaL_error(L, "operation: %s are nested more than %d deep", elements.text,
                       SCHEMA_DEPTH_MAX);
        }
        argument_read(L, lua_gettop(L), arena, elements.text, depth + 1, &each);
        if (each.optional) {
            luaL_error(L, "operation: %s cannot be optional", elements.text);
        }
        struct schema *items = mk_arena_alloc(arena, sizeof(*items));
        *items = each.schema;
        out->items = items;
    }
    lua_pop(L, 1);
}

/* As a call would give it: written and read again, so that lists are known as such. */
static void default_read(lua_State *L, int index, struct mk_arena *arena, const char *what,
                         struct argument *out)
{
    struct sandbox *sandbox = sandbox_of(L);
    struct mk_error text;
    lua_getfield(L, index, "default");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    bool empty = lua_type(L, -1) == LUA_TTABLE && value_keys_sorted(L, lua_gettop(L)).count == 0;
    if (empty && out->schema.type == SCHEMA_LIST) {
        lua_newtable(L); /* {} is a map, unless a list is what is wanted */
        sandbox_set_metatable(L, SLOT_LIST);
        lua_replace(L, -2);
    }
    sandbox->scratch.len = 0;
    value_append_msgpack(L, lua_gettop(L), &sandbox->scratch, sandbox->limits->result_bytes_max);
    out->value = mk_arena_copy(arena, mk_buf_view(&sandbox->scratch));
    out->optional = true;
    lua_pop(L, 1);
    value_push_msgpack(L, out->value);
    mk_error_set(&text, "operation: the default of %s", what);
    schema_check(L, &out->schema, text.text);
    out->parsed = value_keep(L, arena);
    lua_pop(L, 1);
}

/* { type = ..., ... } at `index`. */
static void long_read(lua_State *L, int index, struct mk_arena *arena, const char *what, int depth,
                      struct argument *out)
{
    struct mk_error where;
    struct option fields[] = {{"type", LUA_TSTRING},  {"optional", LUA_TBOOLEAN},
                              {"default", LUA_TNONE}, {"min", LUA_TNONE},
                              {"max", LUA_TNONE},     {"one_of", LUA_TTABLE},
                              {"items", LUA_TNONE}};
    mk_error_set(&where, "operation: %s", what);
    options_read(L, index, where.text, fields, MK_COUNT(fields));
    out->optional = fields[1].flag;
    lua_getfield(L, index, "type");
    type_read(L, lua_gettop(L), what, out);
    lua_pop(L, 1);
    bounds_read(L, index, what, &out->schema);
    choices_read(L, index, arena, what, &out->schema);
    items_read(L, index, arena, what, depth, &out->schema);
    default_read(L, index, arena, what, out);
}

static void argument_read(lua_State *L, int index, struct mk_arena *arena, const char *what,
                          int depth, struct argument *out)
{
    *out = (struct argument){.optional = false};
    luaL_checkstack(L, LUA_MINSTACK, "reading a declaration");
    if (lua_type(L, index) == LUA_TTABLE) {
        long_read(L, index, arena, what, depth, out);
    } else {
        type_read(L, index, what, out);
    }
}

void schema_read(lua_State *L, int index, struct mk_arena *arena, const char *name,
                 struct argument *out)
{
    struct mk_error what;
    mk_error_set(&what, "argument '%s'", name);
    argument_read(L, index, arena, what.text, 1, out);
    out->name = name;
    out->name_bytes = mk_bytes_text(name);
    out->what =
        memcpy(mk_arena_alloc(arena, strlen(what.text) + 1), what.text, strlen(what.text) + 1);
    if (strcmp(name, "timeout") == 0 && out->schema.type != SCHEMA_DURATION) {
        luaL_error(L, "operation: the argument 'timeout' must be a duration");
    }
}
