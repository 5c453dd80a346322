/* Plain data between Lua and bytes: nil, booleans, numbers, strings, lists, maps.
 *
 * Both formats keep the same rules, in both directions:
 * - A number beyond ±2^53, NaN or infinity is refused: it would not come back as it was.
 * - A map's keys are strings; they are written in byte order, so that equal maps are equal bytes.
 * - A table is a list if its keys are 1..n with n > 0, or if it was decoded from a list or made by
 *   json.list(); the empty table is otherwise a map.
 * - null inside a list or a map is the value json.null (a light userdata; not nil, hence true).
 * - Nesting ends at nesting_max, which also ends cycles. */
#ifndef MK_RECIPE_VALUE_H
#define MK_RECIPE_VALUE_H

#include "recipe/sandbox.h"

#define VALUE_NUMBER_MAX 9007199254740992.0 /* 2^53 */

/* ---- Keys of a table, in the order that pairs() shows. ---- */

struct value_key {
    struct mk_bytes text; /* null: a number; borrowed from the table, until Lua code runs again */
    double number;
};
struct value_keys {
    struct value_key *keys; /* in the sandbox's scraps */
    size_t count;
    bool list;    /* they are 1..count */
    bool strings; /* all of them are strings */
};
/* Raises if a key is neither a number nor a string: such keys have no order. [-0, +0, raises] */
struct value_keys value_keys_sorted(lua_State *L, int index);
void value_key_push(lua_State *L, const struct value_key *key); /* [-0, +1, raises] */

/* ---- Decoding: the whole of `bytes` is one value. [-0, +1, raises] ---- */

void value_push_null(lua_State *L);
bool value_is_null(lua_State *L, int index);
void value_push_json(lua_State *L, struct mk_bytes bytes);
void value_push_msgpack(lua_State *L, struct mk_bytes bytes);
void value_push(lua_State *L, enum recipe_format format, struct mk_bytes bytes);

/* ---- Encoding: append the value at `index` to `out`, which then is at most `bytes_max` long;
 * beyond it the budget is spent. [-0, +0, raises] ---- */

void value_append_json(lua_State *L, int index, struct mk_buf *out, size_t bytes_max);
void value_append_msgpack(lua_State *L, int index, struct mk_buf *out, size_t bytes_max);
void value_append(lua_State *L, enum recipe_format format, int index, struct mk_buf *out,
                  size_t bytes_max);

/* ---- Shared by the two formats ---- */

/* What is at `index`, for an encoder: a list's length, or a map's sorted keys. [-0, +0, raises] */
struct value_keys value_table_shape(lua_State *L, int index, bool *list);
/* `blame` is the name of the error raised: bytes that cannot be decoded are the caller's mistake,
 * values that cannot be encoded are the recipe's. */
#define VALUE_DECODING "BadArguments"
#define VALUE_ENCODING "RecipeError"
double value_check_number(lua_State *L, const char *blame, double number);
void value_check_depth(lua_State *L, const char *blame, uint32_t depth); /* also grows the stack */
void value_check_size(lua_State *L, const struct mk_buf *out, size_t bytes_max);

/* Length of the UTF-8 sequence at the beginning of `bytes`, or 0: malformed, overlong, a surrogate,
 * beyond U+10FFFF. `bytes` is not empty. */
size_t value_utf8_length(struct mk_bytes bytes);
bool value_utf8_valid(struct mk_bytes bytes);

/* Step over one value. False: malformed, or nested deeper than `depth_max`. Knows no Lua. */
bool value_msgpack_skip(struct mk_reader *reader, uint32_t depth_max);
void value_msgpack_put_map(struct mk_buf *out, uint32_t count);
void value_msgpack_put_text(struct mk_buf *out, struct mk_bytes text);
/* The length of a map or a string at the reader; `failed` is set if there is none. */
uint32_t value_msgpack_read_map(struct mk_reader *reader);
struct mk_bytes value_msgpack_read_text(struct mk_reader *reader);

#endif
