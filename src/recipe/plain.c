#include "recipe/plain.h"

#include <string.h>

/* Whole numbers of so many digits are doubles without rounding. */
#define DIGITS_MAX 15

/* ---- JSON, as far as that goes ---- */

static void space_skip(struct mk_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\t' || *reader->at == '\r')) {
        reader->at++;
    }
}

static bool accept(struct mk_reader *reader, uint8_t byte)
{
    space_skip(reader);
    if (reader->at == reader->end || *reader->at != byte) {
        return false;
    }
    reader->at++;
    return true;
}

/* Behind the opening quote: ASCII that stands for itself. */
static bool text_read(struct mk_reader *reader, struct mk_bytes *out)
{
    const uint8_t *begin = reader->at;
    while (reader->at < reader->end && *reader->at >= ' ' && *reader->at < 0x80 &&
           *reader->at != '"' && *reader->at != '\\') {
        reader->at++;
    }
    *out = mk_bytes_of(begin, (size_t)(reader->at - begin));
    return reader->at < reader->end && *reader->at++ == '"';
}

static bool digit_is_next(const struct mk_reader *reader)
{
    return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* What ends it, or makes it another number, is for the caller to see. "-0" is not whole: it is less than
 * nothing to who divides by it. */
static bool number_read(struct mk_reader *reader, double *out)
{
    bool negative = *reader->at == '-';
    reader->at += negative ? 1 : 0;
    const uint8_t *begin = reader->at;
    int64_t number = 0;
    while (digit_is_next(reader) && reader->at - begin < DIGITS_MAX) {
        number = number * 10 + (*reader->at++ - '0');
    }
    bool zero = reader->at > begin && *begin == '0';
    *out = (double)(negative ? -number : number);
    return reader->at > begin && !digit_is_next(reader) &&
           !(zero && (negative || reader->at - begin > 1));
}

static bool word_read(struct mk_reader *reader, struct mk_bytes word)
{
    struct mk_bytes left = mk_bytes_of(reader->at, (size_t)(reader->end - reader->at));
    reader->at += mk_bytes_starts(left, word) ? word.len : 0;
    return reader->at > left.data;
}

static bool value_read(struct mk_reader *reader, struct schema_value *out)
{
    space_skip(reader);
    uint8_t first = reader->at < reader->end ? *reader->at : 0;
    switch (first) {
    case '"':
        reader->at++;
        out->lua_type = LUA_TSTRING;
        return text_read(reader, &out->text);
    case 't':
        *out = (struct schema_value){.lua_type = LUA_TBOOLEAN, .number = 1};
        return word_read(reader, MK_BYTES("true"));
    case 'f':
        *out = (struct schema_value){.lua_type = LUA_TBOOLEAN, .number = 0};
        return word_read(reader, MK_BYTES("false"));
    default: out->lua_type = LUA_TNUMBER; return first != 0 && number_read(reader, &out->number);
    }
}

/* ---- Against what the operation declares ---- */

/* Whose name it is; the number of all: nobody's. */
static size_t argument_find(const struct operation *operation, struct mk_bytes name)
{
    size_t at = 0;
    while (at < operation->arguments_count &&
           !mk_bytes_equal(operation->arguments[at].name_bytes, name)) {
        at++;
    }
    return at;
}

/* Behind the opening brace. */
static bool map_read(struct mk_reader *reader, struct plain *out)
{
    const struct operation *operation = out->operation;
    if (accept(reader, '}')) {
        return true;
    }
    do {
        struct mk_bytes name;
        if (!accept(reader, '"') || !text_read(reader, &name) || !accept(reader, ':')) {
            return false;
        }
        size_t at = argument_find(operation, name);
        if (at == operation->arguments_count || out->values[at].lua_type != LUA_TNIL ||
            !value_read(reader, &out->values[at]) ||
            !schema_accepts(&operation->arguments[at].schema, &out->values[at])) {
            return false;
        }
    } while (accept(reader, ','));
    return accept(reader, '}');
}

/* Those that are absent have their defaults, if they may be absent. */
static bool defaults_take(struct plain *out)
{
    for (size_t i = 0; i < out->operation->arguments_count; i++) {
        const struct argument *argument = &out->operation->arguments[i];
        if (out->values[i].lua_type != LUA_TNIL) {
            continue;
        }
        if (!argument->optional || argument->parsed.lua_type == LUA_TTABLE) {
            return false;
        }
        out->values[i] = argument->parsed;
    }
    return true;
}

bool plain_read(const struct operation *operation, enum recipe_format format, struct mk_bytes bytes,
                size_t bytes_max, struct plain *out)
{
    struct mk_reader reader = mk_reader_of(bytes);
    out->operation = operation;
    out->bytes_len = bytes.len;
    out->timeout_ms = -1;
    for (size_t i = 0; i < operation->arguments_count; i++) {
        out->values[i] = (struct schema_value){.lua_type = LUA_TNIL};
    }
    if (bytes.len > 0) {
        if (format != RECIPE_JSON || bytes.len > bytes_max || !accept(&reader, '{') ||
            !map_read(&reader, out)) {
            return false;
        }
        space_skip(&reader);
    }
    if (mk_reader_left(&reader) > 0 || !defaults_take(out)) {
        return false;
    }
    size_t timeout = argument_find(operation, MK_BYTES("timeout"));
    if (timeout < operation->arguments_count && out->values[timeout].lua_type == LUA_TNUMBER) {
        out->timeout_ms = (mk_ms)out->values[timeout].number;
    }
    return true;
}

void plain_push(lua_State *L, const struct plain *plain)
{
    const struct operation *operation = plain->operation;
    sandbox_charge(L, plain->bytes_len);
    luaL_checkstack(L, 4, "arguments");
    lua_createtable(L, 0, (int)operation->arguments_count);
    for (size_t i = 0; i < operation->arguments_count; i++) {
        const struct schema_value *value = &plain->values[i];
        struct mk_bytes name = operation->arguments[i].name_bytes;
        if (value->lua_type == LUA_TNIL) {
            continue;
        }
        lua_pushlstring(L, (const char *)name.data, name.len);
        switch (value->lua_type) {
        case LUA_TSTRING: sandbox_push_bytes(L, value->text); break;
        case LUA_TNUMBER: lua_pushnumber(L, value->number); break;
        default: lua_pushboolean(L, value->number != 0); break;
        }
        lua_rawset(L, -3);
    }
}
