/* What an argument may be: declared with an operation, asked of each call. */
#ifndef MK_RECIPE_SCHEMA_H
#define MK_RECIPE_SCHEMA_H

#include "recipe/sandbox.h"

enum schema_type {
    SCHEMA_PATH,
    SCHEMA_STRING,
    SCHEMA_BYTES,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_BOOLEAN,
    SCHEMA_DURATION,
    SCHEMA_LIST,
    SCHEMA_MAP,
};

/* Declarations beyond these are refused: a choice among more is data, not a schema. */
#define SCHEMA_CHOICES_MAX 32
#define SCHEMA_DEPTH_MAX 4 /* lists of lists of lists of values */

/* One value that is no table, without Lua. */
struct schema_value {
    int lua_type; /* LUA_TSTRING: text; LUA_TNUMBER: number; LUA_TBOOLEAN: number, 0 or 1 */
    double number;
    struct mk_bytes text;
};

struct schema {
    enum schema_type type;
    bool has_min, has_max;
    double min, max; /* of a value; of a text's bytes; of a list's or a map's elements */
    struct schema_value *choices;
    size_t choices_count;
    const struct schema *items; /* of each element; NULL: anything */
};

/* One declared argument. */
struct argument {
    const char *name;
    struct mk_bytes name_bytes; /* the same */
    const char *what;           /* "argument 'name'": who is told what is wrong with it */
    struct schema schema;
    bool optional;
    struct mk_bytes value;      /* the default, as MessagePack; null: none */
    struct schema_value parsed; /* as the recipe sees it; LUA_TNIL: none; LUA_TTABLE: it is one */
};

/* Read the declaration at `index`, "integer?" or { type = "integer", optional = true, ... }; what
 * `out` points to is allocated from `arena`. Raises a sentence about what is wrong with it.
 * [-0, +0, raises] */
void schema_read(lua_State *L, int index, struct mk_arena *arena, const char *name,
                 struct argument *out);

/* Check the value on top and put what the recipe sees in its place: durations, also within lists
 * and maps, become whole milliseconds. Raises BadArguments: "`what` must be ...".
 * [-0, +0, raises] */
void schema_check(lua_State *L, const struct schema *schema, const char *what);

/* Whether a value that is no table fits; a duration becomes whole milliseconds. False, too, if the schema
 * wants a list or a map. */
bool schema_accepts(const struct schema *schema, struct schema_value *value);

/* "250ms", "10s", "5m", "1h", or whole milliseconds, at `index`. False: neither. */
bool schema_duration(lua_State *L, int index, double *ms);

const char *schema_type_name(enum schema_type type);

#endif
