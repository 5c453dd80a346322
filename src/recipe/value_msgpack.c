/* MessagePack to Lua values and back, and the few pieces of which `once` is built.
 *
 * Why not a library: it allocates what a length announces before it has looked for the bytes,
 * and it builds objects of its own on the heap, which a raise leaks. A reader over bytes does
 * neither. Source: the MessagePack specification. Extension types are refused: Lua has nothing
 * for them. */
#include "recipe/value.h"

#include <string.h>

enum msgpack_kind {
    MSGPACK_NONE, /* malformed, or an extension type */
    MSGPACK_NULL,
    MSGPACK_BOOLEAN,
    MSGPACK_INTEGER, /* in `integer`, or beyond 63 bits */
    MSGPACK_NUMBER,
    MSGPACK_TEXT, /* str or bin; `length` bytes follow */
    MSGPACK_LIST, /* `length` values follow */
    MSGPACK_MAP,  /* `length` pairs follow */
};

struct msgpack_head {
    enum msgpack_kind kind;
    bool boolean;
    int64_t integer;
    double number;
    uint32_t length;
};

/* ---- Reading ---- */

static uint32_t length_read(struct mk_reader *reader, int width)
{
    switch (width) {
    case 1: return mk_read_u8(reader);
    case 2: return mk_read_u16(reader);
    default: return mk_read_u32(reader);
    }
}

static int64_t integer_read(struct mk_reader *reader, int width, bool is_signed)
{
    uint64_t value = width == 1   ? mk_read_u8(reader)
                     : width == 2 ? mk_read_u16(reader)
                     : width == 4 ? mk_read_u32(reader)
                                  : mk_read_u64(reader);
    if (!is_signed) {
        return value > INT64_MAX ? INT64_MAX : (int64_t)value; /* either is beyond 2^53 */
    }
    int unused = 64 - 8 * width;
    return (int64_t)(value << unused) >> unused;
}

static double number_read(struct mk_reader *reader, int width)
{
    if (width == 4) {
        uint32_t bits = mk_read_u32(reader);
        float number = 0;
        memcpy(&number, &bits, sizeof(number));
        return number;
    }
    uint64_t bits = mk_read_u64(reader);
    double number = 0;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

/* What a byte from 0xc0 to 0xdf says; where a length or a number follows, how wide it is. */
static struct msgpack_head head_read_long(struct mk_reader *reader, uint8_t byte)
{
    static const int widths[] = {1, 2, 4, 8};
    int width = byte <= 0xc6   ? widths[(byte - 0xc4) & 3]
                : byte <= 0xcb ? byte == 0xca ? 4 : 8
                : byte <= 0xcf ? widths[byte - 0xcc]
                : byte <= 0xd3 ? widths[byte - 0xd0]
                : byte <= 0xdb ? widths[(byte - 0xd9) & 3]
                               : widths[1 + (byte & 1)];
    switch (byte) {
    case 0xc0: return (struct msgpack_head){.kind = MSGPACK_NULL};
    case 0xc2:
    case 0xc3: return (struct msgpack_head){.kind = MSGPACK_BOOLEAN, .boolean = byte == 0xc3};
    case 0xca:
    case 0xcb:
        return (struct msgpack_head){.kind = MSGPACK_NUMBER, .number = number_read(reader, width)};
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return (struct msgpack_head){.kind = MSGPACK_INTEGER,
                                     .integer = integer_read(reader, width, byte >= 0xd0)};
    case 0xc4:
    case 0xc5:
    case 0xc6:
    case 0xd9:
    case 0xda:
    case 0xdb:
        return (struct msgpack_head){.kind = MSGPACK_TEXT, .length = length_read(reader, width)};
    case 0xdc:
    case 0xdd:
        return (struct msgpack_head){.kind = MSGPACK_LIST, .length = length_read(reader, width)};
    case 0xde:
    case 0xdf:
        return (struct msgpack_head){.kind = MSGPACK_MAP, .length = length_read(reader, width)};
    default: return (struct msgpack_head){.kind = MSGPACK_NONE};
    }
}

static struct msgpack_head head_read(struct mk_reader *reader)
{
    uint8_t byte = mk_read_u8(reader);
    struct msgpack_head head;
    if (byte <= 0x7f || byte >= 0xe0) {
        head = (struct msgpack_head){.kind = MSGPACK_INTEGER, .integer = (int8_t)byte};
    } else if (byte <= 0x8f) {
        head = (struct msgpack_head){.kind = MSGPACK_MAP, .length = byte & 0xfU};
    } else if (byte <= 0x9f) {
        head = (struct msgpack_head){.kind = MSGPACK_LIST, .length = byte & 0xfU};
    } else if (byte <= 0xbf) {
        head = (struct msgpack_head){.kind = MSGPACK_TEXT, .length = byte & 0x1fU};
    } else {
        head = head_read_long(reader, byte);
    }
    if (reader->failed) {
        head = (struct msgpack_head){.kind = MSGPACK_NONE};
    }
    return head;
}

bool value_msgpack_skip(struct mk_reader *reader, uint32_t depth_max)
{
    struct msgpack_head head = head_read(reader);
    switch (head.kind) {
    case MSGPACK_NONE: return false;
    case MSGPACK_NULL:
    case MSGPACK_BOOLEAN:
    case MSGPACK_INTEGER:
    case MSGPACK_NUMBER: return true;
    case MSGPACK_TEXT: (void)mk_read_bytes(reader, head.length); return !reader->failed;
    case MSGPACK_LIST:
    case MSGPACK_MAP: break;
    }
    uint64_t values = head.kind == MSGPACK_MAP ? 2 * (uint64_t)head.length : head.length;
    bool valid = values == 0 || depth_max > 0;
    for (uint64_t i = 0; i < values && valid; i++) {
        valid = value_msgpack_skip(reader, depth_max - 1);
    }
    return valid;
}

uint32_t value_msgpack_read_map(struct mk_reader *reader)
{
    struct msgpack_head head = head_read(reader);
    reader->failed = reader->failed || head.kind != MSGPACK_MAP;
    return reader->failed ? 0 : head.length;
}

struct mk_bytes value_msgpack_read_text(struct mk_reader *reader)
{
    struct msgpack_head head = head_read(reader);
    reader->failed = reader->failed || head.kind != MSGPACK_TEXT;
    return reader->failed ? MK_BYTES_NULL : mk_read_bytes(reader, head.length);
}

/* ---- Decoding ---- */

_Noreturn static void decode_fail(lua_State *L, const char *what)
{
    sandbox_raise(L, VALUE_DECODING, "MessagePack: %s", what);
}

static void value_decode(lua_State *L, struct mk_reader *reader, uint32_t depth);

static void text_decode(lua_State *L, struct mk_reader *reader, uint32_t length)
{
    struct mk_bytes text = mk_read_bytes(reader, length);
    if (reader->failed) {
        decode_fail(L, "the bytes end within a string");
    }
    sandbox_push_bytes(L, text);
}

static void list_decode(lua_State *L, struct mk_reader *reader, uint32_t length, uint32_t depth)
{
    lua_newtable(L);
    sandbox_set_metatable(L, SLOT_LIST);
    for (uint32_t i = 0; i < length; i++) {
        value_decode(L, reader, depth + 1);
        lua_rawseti(L, -2, (int)i + 1); /* the bytes end long before INT_MAX values */
    }
}

static void map_decode(lua_State *L, struct mk_reader *reader, uint32_t length, uint32_t depth)
{
    lua_newtable(L);
    for (uint32_t i = 0; i < length; i++) {
        struct msgpack_head head = head_read(reader);
        if (head.kind != MSGPACK_TEXT) {
            decode_fail(L, "a map's key is not a string");
        }
        text_decode(L, reader, head.length);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (!lua_isnil(L, -1)) {
            decode_fail(L, "a map has the same key twice");
        }
        lua_pop(L, 1);
        value_decode(L, reader, depth + 1);
        lua_rawset(L, -3);
    }
}

static void value_decode(lua_State *L, struct mk_reader *reader, uint32_t depth)
{
    value_check_depth(L, VALUE_DECODING, depth);
    struct msgpack_head head = head_read(reader);
    switch (head.kind) {
    case MSGPACK_NONE: decode_fail(L, "the bytes are not a value"); break;
    case MSGPACK_NULL: value_push_null(L); return;
    case MSGPACK_BOOLEAN: lua_pushboolean(L, head.boolean); return;
    case MSGPACK_INTEGER:
        if (head.integer > (int64_t)VALUE_NUMBER_MAX || head.integer < -(int64_t)VALUE_NUMBER_MAX) {
            head.integer = INT64_MAX; /* 2^53 + 1 as a double is within the bounds */
        }
        lua_pushnumber(L, value_check_number(L, VALUE_DECODING, (double)head.integer));
        return;
    case MSGPACK_NUMBER:
        lua_pushnumber(L, value_check_number(L, VALUE_DECODING, head.number));
        return;
    case MSGPACK_TEXT: text_decode(L, reader, head.length); return;
    case MSGPACK_LIST: list_decode(L, reader, head.length, depth); return;
    case MSGPACK_MAP: map_decode(L, reader, head.length, depth); return;
    }
}

void value_push_msgpack(lua_State *L, struct mk_bytes bytes)
{
    struct mk_reader reader = mk_reader_of(bytes);
    sandbox_charge(L, bytes.len);
    value_decode(L, &reader, 0);
    if (mk_reader_left(&reader) > 0) {
        decode_fail(L, "bytes follow the value");
    }
}

/* ---- Encoding: the shortest form, so that equal values are equal bytes ---- */

static void uint_put(struct mk_buf *out, uint64_t value)
{
    if (value <= 0x7f) {
        mk_buf_put_u8(out, (uint8_t)value);
    } else if (value <= UINT8_MAX) {
        mk_buf_put_u8(out, 0xcc);
        mk_buf_put_u8(out, (uint8_t)value);
    } else if (value <= UINT16_MAX) {
        mk_buf_put_u8(out, 0xcd);
        mk_buf_put_u16(out, (uint16_t)value);
    } else if (value <= UINT32_MAX) {
        mk_buf_put_u8(out, 0xce);
        mk_buf_put_u32(out, (uint32_t)value);
    } else {
        mk_buf_put_u8(out, 0xcf);
        mk_buf_put_u64(out, value);
    }
}

static void integer_put(struct mk_buf *out, int64_t value)
{
    if (value >= 0) {
        uint_put(out, (uint64_t)value);
    } else if (value >= -32) {
        mk_buf_put_u8(out, (uint8_t)value);
    } else if (value >= INT8_MIN) {
        mk_buf_put_u8(out, 0xd0);
        mk_buf_put_u8(out, (uint8_t)value);
    } else if (value >= INT16_MIN) {
        mk_buf_put_u8(out, 0xd1);
        mk_buf_put_u16(out, (uint16_t)value);
    } else if (value >= INT32_MIN) {
        mk_buf_put_u8(out, 0xd2);
        mk_buf_put_i32(out, (int32_t)value);
    } else {
        mk_buf_put_u8(out, 0xd3);
        mk_buf_put_i64(out, value);
    }
}

static void number_put(struct mk_buf *out, double number)
{
    if (number == (double)(int64_t)number) {
        integer_put(out, (int64_t)number);
        return;
    }
    uint64_t bits = 0;
    memcpy(&bits, &number, sizeof(bits));
    mk_buf_put_u8(out, 0xcb);
    mk_buf_put_u64(out, bits);
}

/* `kinds`: the first bytes of the forms with 8, 16 and 32 bits of length; 0: there is none. */
static void length_put(struct mk_buf *out, const uint8_t kinds[3], uint32_t length)
{
    if (length <= UINT8_MAX && kinds[0] != 0) {
        mk_buf_put_u8(out, kinds[0]);
        mk_buf_put_u8(out, (uint8_t)length);
    } else if (length <= UINT16_MAX) {
        mk_buf_put_u8(out, kinds[1]);
        mk_buf_put_u16(out, (uint16_t)length);
    } else {
        mk_buf_put_u8(out, kinds[2]);
        mk_buf_put_u32(out, length);
    }
}

/* Text goes as str, other bytes as bin: a reader in another language can tell them apart. */
void value_msgpack_put_text(struct mk_buf *out, struct mk_bytes text)
{
    MK_ASSERT(text.len <= UINT32_MAX);
    bool utf8 = value_utf8_valid(text);
    if (utf8 && text.len < 32) {
        mk_buf_put_u8(out, (uint8_t)(0xa0 | text.len));
    } else if (utf8) {
        length_put(out, (const uint8_t[]){0xd9, 0xda, 0xdb}, (uint32_t)text.len);
    } else {
        length_put(out, (const uint8_t[]){0xc4, 0xc5, 0xc6}, (uint32_t)text.len);
    }
    mk_buf_append_bytes(out, text);
}

void value_msgpack_put_map(struct mk_buf *out, uint32_t count)
{
    if (count < 16) {
        mk_buf_put_u8(out, (uint8_t)(0x80 | count));
    } else {
        length_put(out, (const uint8_t[]){0, 0xde, 0xdf}, count);
    }
}

static void list_put(struct mk_buf *out, uint32_t count)
{
    if (count < 16) {
        mk_buf_put_u8(out, (uint8_t)(0x90 | count));
    } else {
        length_put(out, (const uint8_t[]){0, 0xdc, 0xdd}, count);
    }
}

static void text_append(lua_State *L, int index, struct mk_buf *out)
{
    struct mk_bytes text = sandbox_bytes(L, index);
    sandbox_charge(L, text.len);
    value_msgpack_put_text(out, text);
}

static void value_append_at(lua_State *L, int index, struct mk_buf *out, size_t bytes_max,
                            uint32_t depth);

static void table_append(lua_State *L, int index, struct mk_buf *out, size_t bytes_max,
                         uint32_t depth)
{
    bool list = false;
    struct value_keys keys = value_table_shape(L, index, &list);
    MK_ASSERT(keys.count <= UINT32_MAX);
    if (list) {
        list_put(out, (uint32_t)keys.count);
    } else {
        value_msgpack_put_map(out, (uint32_t)keys.count);
    }
    for (size_t i = 0; i < keys.count; i++) {
        value_key_push(L, &keys.keys[i]);
        if (!list) {
            text_append(L, lua_gettop(L), out);
        }
        lua_rawget(L, index);
        value_append_at(L, lua_gettop(L), out, bytes_max, depth + 1);
        lua_pop(L, 1);
    }
}

static void value_append_at(lua_State *L, int index, struct mk_buf *out, size_t bytes_max,
                            uint32_t depth)
{
    value_check_depth(L, VALUE_ENCODING, depth);
    sandbox_charge(L, SANDBOX_ELEMENT);
    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA: mk_buf_put_u8(out, 0xc0); break;
    case LUA_TBOOLEAN: mk_buf_put_u8(out, lua_toboolean(L, index) ? 0xc3 : 0xc2); break;
    case LUA_TNUMBER:
        number_put(out, value_check_number(L, VALUE_ENCODING, lua_tonumber(L, index)));
        break;
    case LUA_TSTRING: text_append(L, index, out); break;
    case LUA_TTABLE: table_append(L, index, out, bytes_max, depth); break;
    default: sandbox_raise(L, VALUE_ENCODING, "a %s cannot be encoded", luaL_typename(L, index));
    }
    value_check_size(L, out, bytes_max);
}

void value_append_msgpack(lua_State *L, int index, struct mk_buf *out, size_t bytes_max)
{
    value_append_at(L, index, out, bytes_max, 0);
}
