/* string: as in Lua 5.1, except that work is charged, patterns are matched by pattern.c, classes
 * are those of ASCII, and %p, dump and the names of old are absent. */
#include "recipe/environment.h"
#include "recipe/pattern.h"
#include "recipe/text.h"
#include "recipe/value.h"

#include <math.h>
#include <string.h>

/* ---- Positions: 1 is the first byte, -1 the last ---- */

static int64_t position_check(lua_State *L, int index, int64_t absent, size_t len)
{
    lua_Number number = luaL_optnumber(L, index, (lua_Number)absent);
    int64_t position = number >= 1e9 ? 1000000000 : number <= -1e9 ? -1000000000 : (int64_t)number;
    return position < 0 ? (int64_t)len + position + 1 : position;
}

/* The bytes from argument `index` to the one after it, both inclusive, clamped to the string. */
static struct mk_bytes range_check(lua_State *L, struct mk_bytes text, int index, int64_t first,
                                   int64_t last)
{
    int64_t begin = position_check(L, index, first, text.len);
    int64_t end = position_check(L, index + 1, last, text.len);
    begin = begin < 1 ? 1 : begin;
    end = end > (int64_t)text.len ? (int64_t)text.len : end;
    if (begin > end) {
        return mk_bytes_of(text.data, 0);
    }
    return mk_bytes_of(text.data + begin - 1, (size_t)(end - begin + 1));
}

/* ---- Bytes ---- */

static int string_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)sandbox_check_bytes(L, 1).len);
    return 1;
}

static int string_sub(lua_State *L)
{
    luaL_checknumber(L, 2);
    sandbox_push_bytes(L, range_check(L, sandbox_check_bytes(L, 1), 2, 1, -1));
    return 1;
}

static int string_byte(lua_State *L)
{
    struct mk_bytes text = sandbox_check_bytes(L, 1);
    int64_t first = position_check(L, 2, 1, text.len);
    struct mk_bytes range = range_check(L, text, 2, 1, first);
    if (range.len > 4096 || lua_checkstack(L, (int)range.len) == 0) {
        return luaL_error(L, "string.byte: too many bytes");
    }
    sandbox_charge(L, range.len);
    for (size_t i = 0; i < range.len; i++) {
        lua_pushinteger(L, range.data[i]);
    }
    return (int)range.len;
}

static int string_char(lua_State *L)
{
    int count = lua_gettop(L);
    struct mk_buf *out = &sandbox_of(L)->scratch;
    out->len = 0;
    for (int i = 1; i <= count; i++) {
        lua_Number byte = luaL_checknumber(L, i);
        luaL_argcheck(L, byte >= 0 && byte <= 255, i, "a byte is 0 to 255");
        mk_buf_put_u8(out, (uint8_t)byte);
    }
    sandbox_push_bytes(L, mk_buf_view(out));
    return 1;
}

/* Push the string at index 1 with every byte put through `convert`. */
static int bytes_convert(lua_State *L, uint8_t (*convert)(uint8_t byte), bool backwards)
{
    struct mk_bytes text = sandbox_check_bytes(L, 1);
    struct mk_buf *out = &sandbox_of(L)->scratch;
    sandbox_charge(L, text.len);
    if (text.len == 0) {
        lua_settop(L, 1);
        return 1;
    }
    out->len = 0;
    uint8_t *at = mk_buf_grow(out, text.len);
    for (size_t i = 0; i < text.len; i++) {
        at[i] = convert(text.data[backwards ? text.len - 1 - i : i]);
    }
    sandbox_push_bytes(L, mk_buf_view(out));
    return 1;
}

static uint8_t byte_same(uint8_t byte)
{
    return byte;
}

static uint8_t byte_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static uint8_t byte_upper(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? byte & 0xdf : byte;
}

static int string_lower(lua_State *L)
{
    return bytes_convert(L, byte_lower, false);
}

static int string_upper(lua_State *L)
{
    return bytes_convert(L, byte_upper, false);
}

static int string_reverse(lua_State *L)
{
    return bytes_convert(L, byte_same, true);
}

static int string_rep(lua_State *L)
{
    struct mk_bytes piece = sandbox_check_bytes(L, 1);
    lua_Number times = luaL_checknumber(L, 2);
    struct text text = {.data = NULL};
    if (piece.len > 0 && times > (double)sandbox_of(L)->limits->alloc_bytes_max) {
        sandbox_exhaust(L, "string.rep: too many repetitions");
    }
    int64_t count = piece.len > 0 && times >= 1 ? (int64_t)times : 0;
    for (int64_t i = 0; i < count; i++) {
        text_add(L, &text, piece);
    }
    text_push(L, &text);
    return 1;
}

/* ---- Patterns ---- */

/* A matcher for the subject at `subject` and the pattern at `pattern`, anchored or not. */
static struct pattern pattern_check(lua_State *L, int subject, int pattern, bool *anchored)
{
    struct sandbox *sandbox = sandbox_of(L);
    struct pattern matcher = {.subject = sandbox_check_bytes(L, subject),
                              .text = sandbox_check_bytes(L, pattern)};
    matcher.steps_max = sandbox->limits->work_max - sandbox->spent.work;
    *anchored = matcher.text.len > 0 && matcher.text.data[0] == '^';
    if (*anchored) {
        matcher.text = mk_bytes_of(matcher.text.data + 1, matcher.text.len - 1);
    }
    return matcher;
}

/* Pay for what the matcher did, and raise what stopped it. */
static void pattern_settle(lua_State *L, struct pattern *pattern)
{
    struct sandbox *sandbox = sandbox_of(L);
    sandbox_charge(L, pattern->exhausted ? UINT64_MAX : pattern->steps);
    if (pattern->error != NULL) {
        luaL_error(L, "%s", pattern->error);
    }
    pattern->steps = 0;
    pattern->steps_max = sandbox->limits->work_max - sandbox->spent.work;
}

/* The first match at or behind *at. */
static bool pattern_search(lua_State *L, struct pattern *pattern, bool anchored, size_t *at,
                           size_t *end)
{
    bool matched = pattern_match_at(pattern, *at, end);
    while (!matched && !anchored && pattern->error == NULL && *at < pattern->subject.len) {
        (*at)++;
        matched = pattern_match_at(pattern, *at, end);
    }
    pattern_settle(L, pattern);
    return matched;
}

static void capture_push(lua_State *L, const struct pattern *pattern, uint32_t index, size_t at,
                         size_t end)
{
    if (index == 0 && pattern->captures_count == 0) {
        sandbox_push_bytes(L, mk_bytes_of(pattern->subject.data + at, end - at));
        return;
    }
    if (index >= pattern->captures_count) {
        luaL_error(L, "invalid capture index");
    }
    const struct pattern_capture *capture = &pattern->captures[index];
    if (capture->position) {
        lua_pushinteger(L, (lua_Integer)capture->at + 1);
    } else {
        sandbox_push_bytes(L, mk_bytes_of(pattern->subject.data + capture->at, capture->len));
    }
}

/* All captures; if there are none, and `whole`, the match. Returns how many were pushed. */
static int captures_push(lua_State *L, const struct pattern *pattern, bool whole, size_t at,
                         size_t end)
{
    uint32_t count = pattern->captures_count == 0 && whole ? 1 : pattern->captures_count;
    luaL_checkstack(L, (int)count + 4, "captures");
    for (uint32_t i = 0; i < count; i++) {
        capture_push(L, pattern, i, at, end);
    }
    return (int)count;
}

static bool find_plain(lua_State *L, struct mk_bytes subject, struct mk_bytes text, size_t *at)
{
    sandbox_charge(L, subject.len - *at + 1);
    if (text.len == 0) {
        return true;
    }
    const uint8_t *found = memmem(subject.data + *at, subject.len - *at, text.data, text.len);
    *at = found == NULL ? 0 : (size_t)(found - subject.data);
    return found != NULL;
}

/* Where a search begins: argument 3, clamped to the string. */
static size_t search_begin(lua_State *L, struct mk_bytes subject)
{
    int64_t begin = position_check(L, 3, 1, subject.len);
    begin = begin < 1 ? 1 : begin;
    return begin > (int64_t)subject.len ? subject.len : (size_t)begin - 1;
}

static int string_find(lua_State *L)
{
    bool anchored = false;
    size_t end = 0;
    struct pattern pattern = pattern_check(L, 1, 2, &anchored);
    struct mk_bytes text = sandbox_check_bytes(L, 2);
    size_t at = search_begin(L, pattern.subject);
    bool plain = lua_toboolean(L, 4) != 0 || pattern_plain(text);
    bool found = plain ? find_plain(L, pattern.subject, text, &at)
                       : pattern_search(L, &pattern, anchored, &at, &end);
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    end = plain ? at + text.len : end;
    lua_pushinteger(L, (lua_Integer)at + 1);
    lua_pushinteger(L, (lua_Integer)end);
    return 2 + (plain ? 0 : captures_push(L, &pattern, false, at, end));
}

static int string_match(lua_State *L)
{
    bool anchored = false;
    size_t end = 0;
    struct pattern pattern = pattern_check(L, 1, 2, &anchored);
    size_t at = search_begin(L, pattern.subject);
    if (!pattern_search(L, &pattern, anchored, &at, &end)) {
        lua_pushnil(L);
        return 1;
    }
    return captures_push(L, &pattern, true, at, end);
}

/* Upvalues: subject, pattern, where to go on. */
static int gmatch_next(lua_State *L)
{
    bool anchored = false;
    size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    size_t end = 0;
    struct pattern pattern = pattern_check(L, lua_upvalueindex(1), lua_upvalueindex(2), &anchored);
    if (at > pattern.subject.len || !pattern_search(L, &pattern, anchored, &at, &end)) {
        return 0;
    }
    size_t next = anchored ? pattern.subject.len + 1 : end > at ? end : end + 1;
    lua_pushinteger(L, (lua_Integer)next);
    lua_replace(L, lua_upvalueindex(3));
    return captures_push(L, &pattern, true, at, end);
}

static int string_gmatch(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, gmatch_next, 3);
    return 1;
}

/* ---- gsub ---- */

/* "%1" of a replacement that is a string. */
static void replacement_expand(lua_State *L, struct text *out, const struct pattern *pattern,
                               size_t at, size_t end)
{
    struct mk_bytes text = sandbox_bytes(L, 3);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte != '%') {
            text_add(L, out, mk_bytes_of(&text.data[i], 1));
            continue;
        }
        i++;
        uint8_t digit = i < text.len ? text.data[i] : 0;
        if (digit == '0') {
            text_add(L, out, mk_bytes_of(pattern->subject.data + at, end - at));
        } else if (digit >= '1' && digit <= '9') {
            capture_push(L, pattern, (uint32_t)(digit - '1'), at, end);
            text_add(L, out, sandbox_check_bytes(L, lua_gettop(L)));
            lua_pop(L, 1);
        } else if (digit != 0) {
            text_add(L, out, mk_bytes_of(&text.data[i], 1));
        }
    }
}

/* Append what takes the place of the match [at, end). */
static void replacement_add(lua_State *L, struct text *out, const struct pattern *pattern,
                            size_t at, size_t end)
{
    switch (lua_type(L, 3)) {
    case LUA_TTABLE:
        capture_push(L, pattern, 0, at, end);
        lua_gettable(L, 3);
        break;
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        sandbox_call(L, captures_push(L, pattern, true, at, end), 1);
        break;
    default: replacement_expand(L, out, pattern, at, end); return;
    }
    if (lua_toboolean(L, -1) == 0) {
        text_add(L, out, mk_bytes_of(pattern->subject.data + at, end - at));
    } else if (lua_isstring(L, -1) != 0) {
        text_add(L, out, sandbox_check_bytes(L, lua_gettop(L)));
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    lua_pop(L, 1);
}

static int string_gsub(lua_State *L)
{
    bool anchored = false;
    struct text out = {.data = NULL};
    struct pattern pattern = pattern_check(L, 1, 2, &anchored);
    int type = lua_type(L, 3);
    luaL_argcheck(L,
                  type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE ||
                      type == LUA_TFUNCTION,
                  3, "string, function or table expected");
    lua_Number max = luaL_optnumber(L, 4, (lua_Number)pattern.subject.len + 1);
    lua_settop(L, 3);
    if (type == LUA_TNUMBER) {
        (void)lua_tostring(L, 3);
    }
    size_t at = 0;
    lua_Integer count = 0;
    while ((lua_Number)count < max) {
        size_t end = at;
        bool matched = pattern_match_at(&pattern, at, &end);
        pattern_settle(L, &pattern);
        if (matched) {
            count++;
            replacement_add(L, &out, &pattern, at, end);
            pattern.steps_max = sandbox_of(L)->limits->work_max - sandbox_of(L)->spent.work;
        }
        if (matched && end > at) {
            at = end;
        } else if (at < pattern.subject.len) {
            text_add(L, &out, mk_bytes_of(&pattern.subject.data[at++], 1));
        } else {
            break;
        }
        if (anchored) {
            break;
        }
    }
    if (at < pattern.subject.len) {
        text_add(L, &out, mk_bytes_of(pattern.subject.data + at, pattern.subject.len - at));
    }
    text_push(L, &out);
    lua_pushinteger(L, count);
    return 2;
}

/* ---- format ---- */

struct conversion {
    char flags[8]; /* of "-+ #0" */
    int width;     /* or 0 */
    int precision; /* or -1 */
    uint8_t letter;
};

/* The digits at *at, at most two, as in Lua 5.1. */
static int digits_parse(struct mk_bytes format, size_t *at)
{
    int number = 0;
    for (int i = 0; i < 2 && *at < format.len; i++) {
        uint8_t byte = format.data[*at];
        if (byte < '0' || byte > '9') {
            break;
        }
        number = number * 10 + (byte - '0');
        (*at)++;
    }
    return number;
}

/* After '%'. */
static struct conversion conversion_parse(lua_State *L, struct mk_bytes format, size_t *at)
{
    struct conversion conversion = {.precision = -1};
    size_t flags = 0;
    while (*at < format.len && format.data[*at] != 0 && strchr("-+ #0", format.data[*at]) != NULL) {
        if (flags == 5) {
            luaL_error(L, "string.format: repeated flags");
        }
        conversion.flags[flags++] = (char)format.data[(*at)++];
    }
    conversion.width = digits_parse(format, at);
    if (*at < format.len && format.data[*at] == '.') {
        (*at)++;
        conversion.precision = digits_parse(format, at);
    }
    if (*at == format.len) {
        luaL_error(L, "string.format: the format ends within a conversion");
    }
    conversion.letter = format.data[(*at)++];
    return conversion;
}

/* A whole number with nothing around it, "%d" or "%.0f": what recipes write into znodes. */
static bool number_plain(const struct conversion *conversion, lua_Number number)
{
    bool integer = conversion->letter == 'd' || conversion->letter == 'i';
    bool plain = conversion->flags[0] == '\0' && conversion->width == 0 &&
                 (integer ? conversion->precision < 0
                          : conversion->letter == 'f' && conversion->precision == 0);
    return plain && fabs(number) <= VALUE_NUMBER_MAX && (integer || number == floor(number)) &&
           (number != 0 || !signbit(number));
}

/* The specification is put together from parts that were checked one by one. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void number_format(struct mk_buf *out, const struct conversion *conversion,
                          lua_Number number)
{
    struct mk_error spec;
    if (number_plain(conversion, number)) {
        mk_buf_put_decimal(out, (int64_t)number);
        return;
    }
    bool integer = strchr("diouxXc", conversion->letter) != NULL;
    const char *length = conversion->letter == 'c' ? "" : integer ? "ll" : "";
    if (conversion->precision < 0) {
        mk_error_set(&spec, "%%%s*%s%c", conversion->flags, length, conversion->letter);
    } else {
        mk_error_set(&spec, "%%%s*.%d%s%c", conversion->flags, conversion->precision, length,
                     conversion->letter);
    }
    if (conversion->letter == 'c') {
        mk_buf_printf(out, spec.text, conversion->width, (int)number);
    } else if (integer) {
        mk_buf_printf(out, spec.text, conversion->width, (long long)number);
    } else {
        mk_buf_printf(out, spec.text, conversion->width, number);
    }
}
#pragma GCC diagnostic pop

static void quoted_add(lua_State *L, struct text *out, struct mk_bytes text)
{
    text_add(L, out, MK_BYTES("\""));
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '"': text_add(L, out, MK_BYTES("\\\"")); break;
        case '\\': text_add(L, out, MK_BYTES("\\\\")); break;
        case '\n': text_add(L, out, MK_BYTES("\\\n")); break;
        case '\r': text_add(L, out, MK_BYTES("\\r")); break;
        case '\0': text_add(L, out, MK_BYTES("\\000")); break;
        default: text_add(L, out, mk_bytes_of(&text.data[i], 1)); break;
        }
    }
    text_add(L, out, MK_BYTES("\""));
}

static void padding_add(lua_State *L, struct text *out, int count)
{
    for (int i = 0; i < count; i++) {
        text_add(L, out, MK_BYTES(" "));
    }
}

/* %s: any value; only '-' means something to it. */
static void text_format(lua_State *L, struct text *out, const struct conversion *conversion,
                        int argument)
{
    sandbox_push_text(L, argument);
    struct mk_bytes text = sandbox_bytes(L, -1);
    if (conversion->precision >= 0 && text.len > (size_t)conversion->precision) {
        text.len = (size_t)conversion->precision;
    }
    bool left = strchr(conversion->flags, '-') != NULL;
    int padding = text.len >= (size_t)conversion->width ? 0 : conversion->width - (int)text.len;
    padding_add(L, out, left ? 0 : padding);
    text_add(L, out, text);
    padding_add(L, out, left ? padding : 0);
    lua_pop(L, 1);
}

static void conversion_add(lua_State *L, struct text *out, const struct conversion *conversion,
                           int argument)
{
    struct mk_buf *scratch = &sandbox_of(L)->scratch;
    lua_Number number = 0;
    switch (conversion->letter) {
    case 's':
        luaL_checkany(L, argument);
        text_format(L, out, conversion, argument);
        return;
    case 'q': quoted_add(L, out, sandbox_check_bytes(L, argument)); return;
    case 'c':
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X':
        number = luaL_checknumber(L, argument);
        luaL_argcheck(L, number >= -9223372036854775808.0 && number < 9223372036854775808.0,
                      argument, "the number does not fit into 64 bits");
        break;
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G': number = luaL_checknumber(L, argument); break;
    default: luaL_error(L, "string.format: unknown conversion '%%%c'", conversion->letter);
    }
    scratch->len = 0;
    number_format(scratch, conversion, number);
    text_add(L, out, mk_buf_view(scratch));
}

/* Append what is copied as it is, up to the next conversion; "%%" stands for one '%'. */
static size_t literal_add(lua_State *L, struct text *out, struct mk_bytes format, size_t at)
{
    size_t begin = at;
    while (at < format.len) {
        bool doubled = at + 1 < format.len && format.data[at + 1] == '%';
        if (format.data[at] != '%') {
            at++;
        } else if (doubled) {
            text_add(L, out, mk_bytes_of(format.data + begin, at + 1 - begin));
            at += 2;
            begin = at;
        } else {
            break;
        }
    }
    text_add(L, out, mk_bytes_of(format.data + begin, at - begin));
    return at;
}

static int string_format(lua_State *L)
{
    struct mk_bytes format = sandbox_check_bytes(L, 1);
    struct text out = {.data = NULL};
    int argument = 1;
    size_t at = literal_add(L, &out, format, 0);
    while (at < format.len) {
        at++;
        struct conversion conversion = conversion_parse(L, format, &at);
        conversion_add(L, &out, &conversion, ++argument);
        at = literal_add(L, &out, format, at);
    }
    text_push(L, &out);
    return 1;
}

void library_push_string(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"byte", string_byte},       {"char", string_char},
        {"find", string_find},       {"format", string_format},
        {"gmatch", string_gmatch},   {"gsub", string_gsub},
        {"len", string_len},         {"lower", string_lower},
        {"match", string_match},     {"rep", string_rep},
        {"reverse", string_reverse}, {"sub", string_sub},
        {"upper", string_upper},     {NULL, NULL},
    };
    environment_push_functions(L, functions);
}
