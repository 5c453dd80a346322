/* JSON (RFC 8259), strictly: to Lua values without anything in between, and back.
 *
 * Why not a library: it would build a tree of its own on the heap, which a raise leaks; it would
 * seed its hash from the operating system; and it would round large numbers without saying so. */
#include "recipe/value.h"

#include <string.h>

struct parser {
    lua_State *L;
    struct mk_bytes all; /* for positions */
    const uint8_t *at;
    const uint8_t *end;
};

/* ---- Decoding ---- */

_Noreturn static void parse_fail(const struct parser *parser, const char *what)
{
    sandbox_raise(parser->L, VALUE_DECODING, "JSON: %s at byte %zu", what,
                  (size_t)(parser->at - parser->all.data) + 1);
}

static void space_skip(struct parser *parser)
{
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\t' ||
                                        *parser->at == '\n' || *parser->at == '\r')) {
        parser->at++;
    }
}

/* The byte at hand, or 0 at the end: no grammar rule begins with 0. */
static uint8_t peek(const struct parser *parser)
{
    return parser->at < parser->end ? *parser->at : 0;
}

/* Step over `byte`, if it comes next, and over the space before it. */
static bool accept(struct parser *parser, uint8_t byte)
{
    space_skip(parser);
    if (peek(parser) != byte) {
        return false;
    }
    parser->at++;
    return true;
}

static uint32_t hex_parse(struct parser *parser)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = peek(parser);
        uint8_t lower = byte | 0x20;
        if (byte >= '0' && byte <= '9') {
            code = code << 4 | (uint32_t)(byte - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            code = code << 4 | (uint32_t)(lower - 'a' + 10);
        } else {
            parse_fail(parser, "four hexadecimal digits expected");
        }
        parser->at++;
    }
    return code;
}

static void utf8_put(struct mk_buf *out, uint32_t code)
{
    if (code < 0x80) {
        mk_buf_put_u8(out, (uint8_t)code);
        return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    mk_buf_put_u8(out, (uint8_t)(first[more] | code >> (6 * more)));
    while (more-- > 0) {
        mk_buf_put_u8(out, (uint8_t)(0x80 | (code >> (6 * more) & 0x3f)));
    }
}

/* After "\u". A character beyond U+FFFF is written as two surrogates; one alone is no character. */
static void unicode_parse(struct parser *parser, struct mk_buf *out)
{
    uint32_t code = hex_parse(parser);
    if (code >= 0xd800 && code <= 0xdbff) {
        bool pair = parser->end - parser->at >= 6 && parser->at[0] == '\\' && parser->at[1] == 'u';
        parser->at += pair ? 2 : 0;
        uint32_t low = pair ? hex_parse(parser) : 0;
        if (low < 0xdc00 || low > 0xdfff) {
            parse_fail(parser, "a surrogate without its other half");
        }
        code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        parse_fail(parser, "a surrogate without its other half");
    }
    utf8_put(out, code);
}

/* After a backslash. */
static void escape_parse(struct parser *parser, struct mk_buf *out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    uint8_t letter = peek(parser);
    const char *found = letter == 0 ? NULL : strchr(letters, letter);
    if (letter != 'u' && found == NULL) {
        parse_fail(parser, "unknown escape");
    }
    parser->at++;
    if (found == NULL) {
        unicode_parse(parser, out);
    } else {
        mk_buf_put_u8(out, (uint8_t)meanings[found - letters]);
    }
}

/* Up to the next quote, backslash or error: what can be copied as it is. */
static struct mk_bytes plain_parse(struct parser *parser)
{
    const uint8_t *begin = parser->at;
    while (parser->at < parser->end && *parser->at != '"' && *parser->at != '\\') {
        if (*parser->at < ' ') {
            parse_fail(parser, "a control character in a string");
        }
        if (*parser->at < 0x80) {
            parser->at++;
            continue;
        }
        size_t left = (size_t)(parser->end - parser->at);
        size_t length = value_utf8_length(mk_bytes_of(parser->at, left));
        if (length == 0) {
            parse_fail(parser, "malformed UTF-8");
        }
        parser->at += length;
    }
    if (parser->at == parser->end) {
        parse_fail(parser, "a string without an end");
    }
    return mk_bytes_of(begin, (size_t)(parser->at - begin));
}

/* After the opening quote. */
static void string_parse(struct parser *parser)
{
    struct mk_bytes plain = plain_parse(parser);
    if (*parser->at == '"') { /* the usual string has no escapes */
        parser->at++;
        sandbox_push_bytes(parser->L, plain);
        return;
    }
    struct mk_buf *text = &sandbox_of(parser->L)->scratch;
    text->len = 0;
    mk_buf_append_bytes(text, plain);
    while (*parser->at == '\\') {
        parser->at++;
        escape_parse(parser, text);
        mk_buf_append_bytes(text, plain_parse(parser));
    }
    parser->at++;
    sandbox_push_bytes(parser->L, mk_buf_view(text));
}

static size_t digits_skip(struct parser *parser)
{
    const uint8_t *begin = parser->at;
    while (peek(parser) >= '0' && peek(parser) <= '9') {
        parser->at++;
    }
    return (size_t)(parser->at - begin);
}

static void number_parse(struct parser *parser)
{
    const uint8_t *begin = parser->at;
    parser->at += peek(parser) == '-' ? 1 : 0;
    bool zero = peek(parser) == '0';
    size_t digits = digits_skip(parser);
    bool valid = digits == 1 || (digits > 1 && !zero);
    bool integer = true;
    if (valid && peek(parser) == '.') {
        parser->at++;
        integer = false;
        valid = digits_skip(parser) > 0;
    }
    if (valid && (peek(parser) | 0x20) == 'e') {
        parser->at++;
        integer = false;
        parser->at += peek(parser) == '+' || peek(parser) == '-' ? 1 : 0;
        valid = digits_skip(parser) > 0;
    }
    if (!valid) {
        parse_fail(parser, "a malformed number");
    }
    struct mk_bytes text = mk_bytes_of(begin, (size_t)(parser->at - begin));
    /* Compared as text: 2^53 + 1 is 2^53 by the time that it is a double. */
    struct mk_bytes magnitude = mk_bytes_of(parser->at - digits, digits);
    bool beyond = integer &&
                  (digits > 16 ||
                   (digits == 16 && mk_bytes_compare(magnitude, MK_BYTES("9007199254740992")) > 0));
    sandbox_push_bytes(parser->L, text);
    if (lua_isnumber(parser->L, -1) == 0) { /* LuaJIT reads exponents of some digits only */
        parse_fail(parser, "an exponent beyond all bounds");
    }
    lua_Number number = beyond ? 2 * VALUE_NUMBER_MAX : lua_tonumber(parser->L, -1);
    lua_pop(parser->L, 1);
    lua_pushnumber(parser->L, value_check_number(parser->L, VALUE_DECODING, number));
}

static void value_parse(struct parser *parser, uint32_t depth);

/* After '['. */
static void list_parse(struct parser *parser, uint32_t depth)
{
    lua_newtable(parser->L);
    sandbox_set_metatable(parser->L, SLOT_LIST);
    if (accept(parser, ']')) {
        return;
    }
    int count = 0;
    do {
        value_parse(parser, depth + 1);
        lua_rawseti(parser->L, -2, ++count);
    } while (accept(parser, ','));
    if (!accept(parser, ']')) {
        parse_fail(parser, "',' or ']' expected");
    }
}

/* After '{'. */
static void map_parse(struct parser *parser, uint32_t depth)
{
    lua_newtable(parser->L);
    if (accept(parser, '}')) {
        return;
    }
    do {
        if (!accept(parser, '"')) {
            parse_fail(parser, "a key in quotes expected");
        }
        string_parse(parser);
        lua_pushvalue(parser->L, -1);
        lua_rawget(parser->L, -3);
        if (!lua_isnil(parser->L, -1)) {
            parse_fail(parser, "a key that was there before");
        }
        lua_pop(parser->L, 1);
        if (!accept(parser, ':')) {
            parse_fail(parser, "':' expected");
        }
        value_parse(parser, depth + 1);
        lua_rawset(parser->L, -3);
    } while (accept(parser, ','));
    if (!accept(parser, '}')) {
        parse_fail(parser, "',' or '}' expected");
    }
}

static void word_parse(struct parser *parser, struct mk_bytes word)
{
    size_t left = (size_t)(parser->end - parser->at);
    if (!mk_bytes_starts(mk_bytes_of(parser->at, left), word)) {
        parse_fail(parser, "a value expected");
    }
    parser->at += word.len;
}

static void value_parse(struct parser *parser, uint32_t depth)
{
    lua_State *L = parser->L;
    value_check_depth(L, VALUE_DECODING, depth);
    space_skip(parser);
    switch (peek(parser)) {
    case '{':
        parser->at++;
        map_parse(parser, depth);
        return;
    case '[':
        parser->at++;
        list_parse(parser, depth);
        return;
    case '"':
        parser->at++;
        string_parse(parser);
        return;
    case 't':
        word_parse(parser, MK_BYTES("true"));
        lua_pushboolean(L, 1);
        return;
    case 'f':
        word_parse(parser, MK_BYTES("false"));
        lua_pushboolean(L, 0);
        return;
    case 'n':
        word_parse(parser, MK_BYTES("null"));
        value_push_null(L);
        return;
    default: number_parse(parser); return;
    }
}

void value_push_json(lua_State *L, struct mk_bytes bytes)
{
    struct parser parser = {.L = L, .all = bytes, .at = bytes.data, .end = bytes.data + bytes.len};
    sandbox_charge(L, bytes.len);
    value_parse(&parser, 0);
    space_skip(&parser);
    if (parser.at != parser.end) {
        parse_fail(&parser, "the end expected");
    }
}

/* ---- Encoding ---- */

static void json_byte_put(struct mk_buf *out, uint8_t byte)
{
    switch (byte) {
    case '"': mk_buf_append(out, "\\\"", 2); return;
    case '\\': mk_buf_append(out, "\\\\", 2); return;
    case '\n': mk_buf_append(out, "\\n", 2); return;
    case '\r': mk_buf_append(out, "\\r", 2); return;
    case '\t': mk_buf_append(out, "\\t", 2); return;
    default:
        if (byte < ' ' || byte == 0x7f) {
            mk_buf_printf(out, "\\u%04x", byte);
        } else {
            mk_buf_put_u8(out, byte);
        }
        return;
    }
}

/* How much of `text` can be copied as it is, ASCII only. */
static size_t plain_length(struct mk_bytes text)
{
    size_t at = 0;
    while (at < text.len && text.data[at] >= ' ' && text.data[at] < 0x7f && text.data[at] != '"' &&
           text.data[at] != '\\') {
        at++;
    }
    return at;
}

void recipe_json_string(struct mk_buf *out, struct mk_bytes text)
{
    mk_buf_put_u8(out, '"');
    while (text.len > 0) {
        size_t plain = plain_length(text);
        mk_buf_append(out, text.data, plain);
        text = (struct mk_bytes){text.data + plain, text.len - plain};
        if (text.len == 0) {
            break;
        }
        size_t length = value_utf8_length(text);
        if (length == 0) {
            mk_buf_append(out, "\xef\xbf\xbd", 3); /* U+FFFD, one for each byte that fits nowhere */
            length = 1;
        } else if (length == 1) {
            json_byte_put(out, text.data[0]);
        } else {
            mk_buf_append(out, text.data, length);
        }
        text.data += length;
        text.len -= length;
    }
    mk_buf_put_u8(out, '"');
}

static void json_append_string(lua_State *L, int index, struct mk_buf *out)
{
    struct mk_bytes text = sandbox_bytes(L, index);
    sandbox_charge(L, text.len);
    if (!value_utf8_valid(text)) {
        sandbox_raise(L, VALUE_ENCODING,
                      "a string that is not UTF-8 does not fit into JSON: use MessagePack");
    }
    recipe_json_string(out, text);
}

/* The shortest of the usual three precisions that reads back as the same number. */
static void json_append_number(lua_State *L, double number, struct mk_buf *out)
{
    if (number == (double)(int64_t)number) {
        mk_buf_put_decimal(out, (int64_t)number);
        return;
    }
    static const int precisions[] = {15, 16, 17};
    size_t begin = out->len;
    for (size_t i = 0; i < MK_COUNT(precisions); i++) {
        out->len = begin;
        mk_buf_printf(out, "%.*g", precisions[i], number);
        lua_pushlstring(L, (const char *)out->data + begin, out->len - begin);
        bool same = lua_tonumber(L, -1) == number;
        lua_pop(L, 1);
        if (same) {
            return;
        }
    }
}

static void json_append_at(lua_State *L, int index, struct mk_buf *out, size_t bytes_max,
                           uint32_t depth);

static void json_append_table(lua_State *L, int index, struct mk_buf *out, size_t bytes_max,
                              uint32_t depth)
{
    bool list = false;
    struct value_keys keys = value_table_shape(L, index, &list);
    mk_buf_put_u8(out, list ? '[' : '{');
    for (size_t i = 0; i < keys.count; i++) {
        if (i > 0) {
            mk_buf_put_u8(out, ',');
        }
        value_key_push(L, &keys.keys[i]);
        if (!list) {
            json_append_string(L, lua_gettop(L), out);
            mk_buf_put_u8(out, ':');
        }
        lua_rawget(L, index);
        json_append_at(L, lua_gettop(L), out, bytes_max, depth + 1);
        lua_pop(L, 1);
    }
    mk_buf_put_u8(out, list ? ']' : '}');
}

static void json_append_at(lua_State *L, int index, struct mk_buf *out, size_t bytes_max,
                           uint32_t depth)
{
    value_check_depth(L, VALUE_ENCODING, depth);
    sandbox_charge(L, SANDBOX_ELEMENT);
    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA: mk_buf_append(out, "null", 4); break;
    case LUA_TBOOLEAN:
        mk_buf_append_bytes(out, lua_toboolean(L, index) ? MK_BYTES("true") : MK_BYTES("false"));
        break;
    case LUA_TNUMBER:
        json_append_number(L, value_check_number(L, VALUE_ENCODING, lua_tonumber(L, index)), out);
        break;
    case LUA_TSTRING: json_append_string(L, index, out); break;
    case LUA_TTABLE: json_append_table(L, index, out, bytes_max, depth); break;
    default: sandbox_raise(L, VALUE_ENCODING, "a %s cannot be encoded", luaL_typename(L, index));
    }
    value_check_size(L, out, bytes_max);
}

void value_append_json(lua_State *L, int index, struct mk_buf *out, size_t bytes_max)
{
    json_append_at(L, index, out, bytes_max, 0);
}
