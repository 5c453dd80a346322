/* The digest scheme's ids: user:base64(SHA1(user:password)), or another hash if the operator says so. Neither secret nor slow enough to stop
 * a guesser, but what every ZooKeeper client computes. Source: DigestAuthenticationProvider. */
#include "tree/tree.h"

#include <openssl/sha.h>
#include <string.h>

/* Standard alphabet, padded: 20 bytes of SHA1 become 28 characters. */
static void base64_append(struct mk_buf *out, const uint8_t *bytes, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes[i + 2] : 0;
        mk_buf_put_u8(out, (uint8_t)alphabet[group >> 18]);
        mk_buf_put_u8(out, (uint8_t)alphabet[group >> 12 & 63]);
        mk_buf_put_u8(out, left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=');
        mk_buf_put_u8(out, left > 2 ? (uint8_t)alphabet[group & 63] : '=');
    }
}

static size_t hash_of(enum tree_digest hash, const uint8_t *data, size_t len,
                      uint8_t out[SHA512_DIGEST_LENGTH])
{
    switch (hash) {
    case TREE_DIGEST_SHA1: MK_ASSERT(SHA1(data, len, out) != NULL); return SHA_DIGEST_LENGTH;
    case TREE_DIGEST_SHA224: MK_ASSERT(SHA224(data, len, out) != NULL); return SHA224_DIGEST_LENGTH;
    case TREE_DIGEST_SHA256: MK_ASSERT(SHA256(data, len, out) != NULL); return SHA256_DIGEST_LENGTH;
    case TREE_DIGEST_SHA384: MK_ASSERT(SHA384(data, len, out) != NULL); return SHA384_DIGEST_LENGTH;
    case TREE_DIGEST_SHA512: MK_ASSERT(SHA512(data, len, out) != NULL); return SHA512_DIGEST_LENGTH;
    }
    mk_assert_failed("there is no such hash", __FILE__, __LINE__);
}

void tree_digest_id(enum tree_digest hash, struct mk_bytes credentials, struct mk_buf *out)
{
    static const uint8_t nothing[1];
    const uint8_t *data = credentials.len == 0 ? nothing : credentials.data;
    const uint8_t *colon = memchr(data, ':', credentials.len);
    uint8_t bytes[SHA512_DIGEST_LENGTH];
    size_t bytes_len = hash_of(hash, data, credentials.len, bytes);

    mk_buf_append(out, data, colon == NULL ? credentials.len : (size_t)(colon - data));
    mk_buf_put_u8(out, ':');
    base64_append(out, bytes, bytes_len);
}
