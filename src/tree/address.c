/* IP addresses from text. Own code, because the C library's reads what ACLs must not contain (names
 * of interfaces) and because it belongs to the world of sockets, of which this room knows nothing.
 *
 * IPv4 is a dotted quad of decimal numbers. IPv6 is eight groups of one to four hexadecimal digits;
 * one "::" stands for one or more groups of zeros; the last two may be a dotted quad (RFC 4291). */
#include "tree/address.h"

#include <string.h>

struct address {
    uint8_t bytes[16];
    size_t len; /* 4 or 16 */
};

static int digit_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : 16;
}

/* One number of 1 to `digits_max` digits at the front of `text`, cut off from it. False if none. */
static bool number_take(struct mk_bytes *text, int base, size_t digits_max, unsigned *value)
{
    size_t digits = 0;
    *value = 0;
    while (digits < text->len && digit_value(text->data[digits]) < base) {
        if (digits == digits_max) {
            return false;
        }
        *value = *value * (unsigned)base + (unsigned)digit_value(text->data[digits]);
        digits++;
    }
    if (digits == 0) {
        return false; /* Nothing can be added to a null text's address, not even 0. */
    }
    text->data += digits;
    text->len -= digits;
    return true;
}

static bool byte_take(struct mk_bytes *text, uint8_t byte)
{
    if (text->len == 0 || text->data[0] != byte) {
        return false;
    }
    text->data++;
    text->len--;
    return true;
}

/* Exactly a dotted quad. */
static bool quad_parse(struct mk_bytes text, uint8_t out[4])
{
    for (size_t i = 0; i < 4; i++) {
        unsigned value;
        if (i > 0 && !byte_take(&text, '.')) {
            return false;
        }
        if (!number_take(&text, 10, 3, &value) || value > 255) {
            return false;
        }
        out[i] = (uint8_t)value;
    }
    return text.len == 0;
}

/* Groups up to "::" or the end of `text`; a dotted quad counts as two and must be the last.
 * Returns how many bytes they fill, or SIZE_MAX; at most `room` bytes are written. */
static size_t groups_parse(struct mk_bytes *text, uint8_t *out, size_t room)
{
    size_t filled = 0;
    while (text->len > 0) {
        struct mk_bytes rest = *text;
        unsigned value;
        if (room - filled >= 4 && quad_parse(rest, out + filled)) {
            text->len = 0;
            return filled + 4;
        }
        if (room - filled < 2 || !number_take(&rest, 16, 4, &value)) {
            return SIZE_MAX;
        }
        out[filled++] = (uint8_t)(value >> 8);
        out[filled++] = (uint8_t)value;
        *text = rest;
        if (text->len == 0 || mk_bytes_starts(*text, MK_BYTES("::"))) {
            return filled;
        }
        if (!byte_take(text, ':') || text->len == 0) {
            return SIZE_MAX;
        }
    }
    return filled;
}

static bool v6_parse(struct mk_bytes text, uint8_t out[16])
{
    uint8_t head[16];
    uint8_t tail[16];
    size_t head_len = 0;
    if (text.len > 0 && text.data[0] != ':') {
        head_len = groups_parse(&text, head, sizeof(head));
        if (head_len == SIZE_MAX) {
            return false;
        }
    }
    if (text.len == 0) {
        if (head_len != 16) {
            return false;
        }
        memcpy(out, head, 16);
        return true;
    }

    if (!mk_bytes_starts(text, MK_BYTES("::"))) {
        return false;
    }
    text = mk_bytes_of(text.data + 2, text.len - 2);
    size_t tail_len = groups_parse(&text, tail, sizeof(tail));
    if (tail_len == SIZE_MAX || text.len > 0 || head_len + tail_len > 14) {
        return false;
    }
    memset(out, 0, 16);
    memcpy(out, head, head_len);
    memcpy(out + 16 - tail_len, tail, tail_len);
    return true;
}

static bool address_parse(struct mk_bytes text, struct address *out)
{
    if (text.len > 0 && memchr(text.data, ':', text.len) != NULL) {
        out->len = 16;
        return v6_parse(text, out->bytes);
    }
    out->len = 4;
    return quad_parse(text, out->bytes);
}

/* "address" or "address/bits". */
static bool range_parse(struct mk_bytes text, struct address *address, unsigned *bits)
{
    const uint8_t *slash = text.len == 0 ? NULL : memchr(text.data, '/', text.len);
    struct mk_bytes front = text;
    if (slash != NULL) {
        front.len = (size_t)(slash - text.data);
    }
    if (!address_parse(front, address)) {
        return false;
    }
    unsigned bits_max = (unsigned)address->len * 8;
    if (slash == NULL) {
        *bits = bits_max;
        return true;
    }
    struct mk_bytes back = mk_bytes_of(slash + 1, text.len - front.len - 1);
    return number_take(&back, 10, 3, bits) && back.len == 0 && *bits <= bits_max;
}

bool tree_address_range_valid(struct mk_bytes id)
{
    struct address address;
    unsigned bits;
    return range_parse(id, &address, &bits);
}

bool tree_address_range_has(struct mk_bytes identity, struct mk_bytes id)
{
    struct address peer;
    struct address range;
    unsigned bits;
    if (!address_parse(identity, &peer) || !range_parse(id, &range, &bits) ||
        peer.len != range.len) {
        return false;
    }
    MK_ASSERT(bits <= peer.len * 8);
    size_t whole = bits / 8;
    if (memcmp(peer.bytes, range.bytes, whole) != 0) {
        return false;
    }
    unsigned rest = bits % 8;
    return rest == 0 || ((peer.bytes[whole] ^ range.bytes[whole]) >> (8 - rest)) == 0;
}
