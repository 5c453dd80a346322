/* Borrowed views of bytes: comparison and hashing. */
#include "base/base.h"

#include <string.h>

struct mk_bytes mk_bytes_of(const void *data, size_t len)
{
    MK_ASSERT(data != NULL);
    return (struct mk_bytes){data, len};
}

struct mk_bytes mk_bytes_text(const char *text)
{
    MK_ASSERT(text != NULL);
    return (struct mk_bytes){(const uint8_t *)text, strlen(text)};
}

bool mk_bytes_equal(struct mk_bytes a, struct mk_bytes b)
{
    if (a.len != b.len || (a.data == NULL) != (b.data == NULL)) {
        return false;
    }
    return a.data == b.data || memcmp(a.data, b.data, a.len) == 0;
}

int mk_bytes_compare(struct mk_bytes a, struct mk_bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order != 0) {
        return order;
    }
    if (a.len != b.len) {
        return a.len < b.len ? -1 : 1;
    }
    return (int)(a.data != NULL) - (int)(b.data != NULL); /* null comes before empty */
}

bool mk_bytes_starts(struct mk_bytes bytes, struct mk_bytes prefix)
{
    if (bytes.len < prefix.len) {
        return false;
    }
    return prefix.len == 0 || memcmp(bytes.data, prefix.data, prefix.len) == 0;
}

/* Hash: 16 bytes a step, each step one 64 × 64 → 128 bit multiplication whose halves are
 * xored (the construction of wyhash). Not seeded: maps must iterate alike in every process. Keys
 * of an attacker's choice can therefore collide; the maps that hold them are bounded by count. */

__extension__ typedef unsigned __int128 uint128;

#define HASH_K0 0x9e3779b97f4a7c15u /* odd, half of the bits set; 2^64 / golden ratio */
#define HASH_K1 0xe7037ed1a0b428dbu
#define HASH_K2 0x8ebc6af09c88c6e3u

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Little-endian on every machine, so that a hash is the same everywhere. */
static inline uint64_t hash_load8(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline uint64_t hash_load4(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

/* The last 0 to 16 bytes as two words; those of 4 or more may overlap. */
static inline void hash_load_tail(const uint8_t *at, size_t len, uint64_t *a, uint64_t *b)
{
    if (len >= 8) {
        *a = hash_load8(at);
        *b = hash_load8(at + len - 8);
    } else if (len >= 4) {
        *a = hash_load4(at);
        *b = hash_load4(at + len - 4);
    } else if (len > 0) {
        *a = (uint64_t)at[0] << 16 | (uint64_t)at[len / 2] << 8 | at[len - 1];
        *b = 0;
    } else {
        *a = 0;
        *b = 0;
    }
}

/* A product is 0 when one factor is, whatever the other: so the secret goes into what the bytes are
 * combined with, or bytes that equal the constant would collide with all others like them. */
uint64_t mk_bytes_hash_secret(struct mk_bytes bytes, uint64_t secret)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.len;
    uint64_t constant = HASH_K1 ^ secret;
    uint64_t state = HASH_K0 ^ secret;
    while (left > 16) {
        state = hash_mix(hash_load8(at) ^ constant, hash_load8(at + 8) ^ state);
        at += 16;
        left -= 16;
    }

    uint64_t a;
    uint64_t b;
    hash_load_tail(at, left, &a, &b);
    state = hash_mix(a ^ constant, b ^ state);
    return hash_mix(state ^ HASH_K2, (uint64_t)bytes.len ^ constant);
}

uint64_t mk_bytes_hash(struct mk_bytes bytes)
{
    return mk_bytes_hash_secret(bytes, 0);
}
