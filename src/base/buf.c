/* The growing buffer, and integers in network order. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_CAP_MIN 64 /* below it, growing by halves would allocate for every few fields */

void mk_buf_free(struct mk_buf *buf)
{
    mk_free(buf->data);
    *buf = (struct mk_buf){0};
}

void mk_buf_reserve(struct mk_buf *buf, size_t extra)
{
    MK_ASSERT(buf->len <= buf->cap);
    if (extra <= buf->cap - buf->len) {
        return;
    }
    MK_ASSERT(extra <= MK_ALLOC_MAX - buf->len);

    size_t cap = buf->cap + buf->cap / 2;
    if (cap < buf->len + extra) {
        cap = buf->len + extra;
    }
    if (cap < BUF_CAP_MIN) {
        cap = BUF_CAP_MIN;
    }
    buf->data = mk_realloc(buf->data, cap);
    buf->cap = cap;
}

uint8_t *mk_buf_grow(struct mk_buf *buf, size_t extra)
{
    if (extra == 0) {
        return buf->data; /* perhaps NULL, which may not even be added 0 to */
    }
    mk_buf_reserve(buf, extra);
    uint8_t *at = buf->data + buf->len;
    buf->len += extra;
    return at;
}

void mk_buf_append(struct mk_buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return; /* memcpy may not be given NULL, even for nothing. */
    }
    memcpy(mk_buf_grow(buf, len), data, len);
}

void mk_buf_append_bytes(struct mk_buf *buf, struct mk_bytes bytes)
{
    mk_buf_append(buf, bytes.data, bytes.len);
}

void mk_buf_put_u8(struct mk_buf *buf, uint8_t value)
{
    *mk_buf_grow(buf, 1) = value;
}

void mk_buf_put_u16(struct mk_buf *buf, uint16_t value)
{
    uint8_t *at = mk_buf_grow(buf, 2);
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void mk_buf_put_i32(struct mk_buf *buf, int32_t value)
{
    mk_buf_put_u32(buf, (uint32_t)value);
}

void mk_buf_put_u32(struct mk_buf *buf, uint32_t value)
{
    mk_store_u32(mk_buf_grow(buf, 4), value);
}

void mk_buf_put_i64(struct mk_buf *buf, int64_t value)
{
    mk_buf_put_u64(buf, (uint64_t)value);
}

void mk_buf_put_u64(struct mk_buf *buf, uint64_t value)
{
    mk_store_u64(mk_buf_grow(buf, 8), value);
}

void mk_buf_put_field(struct mk_buf *buf, struct mk_bytes bytes)
{
    if (bytes.data == NULL) {
        mk_buf_put_i32(buf, -1);
        return;
    }
    MK_ASSERT(bytes.len <= INT32_MAX);
    mk_buf_put_i32(buf, (int32_t)bytes.len);
    mk_buf_append_bytes(buf, bytes);
}

void mk_buf_put_decimal(struct mk_buf *buf, int64_t value)
{
    char digits[20]; /* of -2^63 with its sign */
    size_t at = sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    mk_buf_append(buf, digits + at, sizeof(digits) - at);
}

/* Each three bytes become four characters; what is missing from the last three, an equals sign. */
void mk_buf_put_base64(struct mk_buf *buf, struct mk_bytes bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.data[i + 2] : 0;
        mk_buf_put_u8(buf, (uint8_t)alphabet[group >> 18]);
        mk_buf_put_u8(buf, (uint8_t)alphabet[group >> 12 & 63]);
        mk_buf_put_u8(buf, left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=');
        mk_buf_put_u8(buf, left > 2 ? (uint8_t)alphabet[group & 63] : '=');
    }
}

MK_PRINTF(2, 0)
static int buf_vprintf_once(struct mk_buf *buf, const char *format, va_list arguments)
{
    size_t room = buf->cap - buf->len;
    char *at = room == 0 ? NULL : (char *)buf->data + buf->len;
    return vsnprintf(at, room, format, arguments);
}

void mk_buf_printf(struct mk_buf *buf, const char *format, ...)
{
    va_list arguments;
    va_list again;
    va_start(arguments, format);
    va_copy(again, arguments);

    int length = buf_vprintf_once(buf, format, arguments);
    MK_ASSERT(length >= 0);
    if ((size_t)length >= buf->cap - buf->len) { /* `>=`: vsnprintf also writes a NUL */
        mk_buf_reserve(buf, (size_t)length + 1);
        int length_again = buf_vprintf_once(buf, format, again);
        MK_ASSERT(length_again == length);
    }
    buf->len += (size_t)length; /* The NUL is not counted: the next append overwrites it. */

    va_end(again);
    va_end(arguments);
}

struct mk_bytes mk_buf_view(const struct mk_buf *buf)
{
    /* A buffer that nothing was put into is empty, which is not null. */
    return (struct mk_bytes){buf->data == NULL ? (const uint8_t *)"" : buf->data, buf->len};
}

void mk_store_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

void mk_store_u64(uint8_t *at, uint64_t value)
{
    mk_store_u32(at, (uint32_t)(value >> 32));
    mk_store_u32(at + 4, (uint32_t)value);
}

uint32_t mk_load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

uint64_t mk_load_u64(const uint8_t *at)
{
    return (uint64_t)mk_load_u32(at) << 32 | mk_load_u32(at + 4);
}
