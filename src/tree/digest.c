/* The digest scheme's ids: user:base64(SHA1(user:password)), or another hash if the operator says so.
 * Neither secret nor slow enough to stop a guesser, but what every ZooKeeper client computes. Source: DigestAuthenticationProvider. */
#include "tree/tree.h"

#include <openssl/sha.h>
#include <string.h>

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
    mk_buf_put_base64(out, mk_bytes_of(bytes, bytes_len));
}
