/* The exchange, as ZooKeeper's server leads it with the JDK's DIGEST-MD5 underneath:
 *
 *   begin -- any token --> challenged -- a response that proves the password --> done
 *   challenged -- any other, done -- any --> failed; the caller ends the connection
 *
 * Source: RFC 2831, section 2.1; protocol reference, section 13.1. */
#include "sasl/directives.h"
#include "sasl/sasl.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define REALM "zk-sasl-md5"
#define DIGEST_URI "zookeeper/" REALM
#define NONCE_RANDOM_BYTES 30 /* 40 characters, as ZooKeeper's */
#define MD5_BYTES 16
#define HEX_BYTES (2 * MD5_BYTES)

void sasl_exchange_begin(struct sasl_exchange *exchange, struct mk_bytes secret, uint64_t number)
{
    struct mk_buf seed = {0};
    struct mk_buf nonce = {0};
    uint8_t hash[SHA256_DIGEST_LENGTH];

    mk_buf_append_bytes(&seed, secret);
    mk_buf_put_u64(&seed, number);
    MK_ASSERT(SHA256(seed.data, seed.len, hash) != NULL);
    mk_buf_put_base64(&nonce, mk_bytes_of(hash, NONCE_RANDOM_BYTES));
    MK_ASSERT(nonce.len == SASL_NONCE_BYTES);
    memcpy(exchange->nonce, nonce.data, SASL_NONCE_BYTES);
    exchange->state = SASL_BEGIN;
    mk_buf_free(&seed);
    mk_buf_free(&nonce);
}

static void challenge_put(const struct sasl_exchange *exchange, struct mk_buf *reply)
{
    mk_buf_printf(reply, "realm=\"" REALM "\",nonce=\"%.*s\",charset=utf-8,algorithm=md5-sess",
                  SASL_NONCE_BYTES, (const char *)exchange->nonce);
}

/* ---- What the response must be ---- */

/* A name or password in which every character is one of ISO 8859-1 is hashed in that: section 2.1.2.1.
 * `text` is UTF-8; what is not, is hashed as it is. */
static void put_8859_1(struct mk_buf *out, struct mk_bytes text)
{
    size_t start = out->len;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool pair =
            (byte == 0xc2 || byte == 0xc3) && i + 1 < text.len && (text.data[i + 1] & 0xc0) == 0x80;
        if (byte >= 0x80 && !pair) {
            out->len = start;
            mk_buf_append_bytes(out, text);
            return;
        }
        if (pair) {
            i++;
            byte = (uint8_t)((byte & 3) << 6 | (text.data[i] & 0x3f));
        }
        mk_buf_put_u8(out, byte);
    }
}

/* False: this OpenSSL has no MD5, because of a policy; then nobody can come in. */
static bool md5(const struct mk_buf *data, uint8_t out[MD5_BYTES])
{
    return EVP_Digest(data->data, data->len, out, NULL, EVP_md5(), NULL) == 1;
}

static bool md5_hex(const struct mk_buf *data, uint8_t out[HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[MD5_BYTES];

    if (!md5(data, hash)) {
        return false;
    }
    for (size_t i = 0; i < MD5_BYTES; i++) {
        out[2 * i] = (uint8_t)digits[hash[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[hash[i] & 15];
    }
    return true;
}

static void put_colon(struct mk_buf *out, struct mk_bytes text)
{
    mk_buf_put_u8(out, ':');
    mk_buf_append_bytes(out, text);
}

/* H(A1): of the password, for this exchange (md5-sess). */
static bool a1_hash(const struct directives *said, struct mk_bytes password, uint8_t out[HEX_BYTES])
{
    struct mk_buf text = {0};
    uint8_t secret[MD5_BYTES];

    put_8859_1(&text, said->values[DIRECTIVE_USERNAME]);
    put_colon(&text, MK_BYTES(REALM));
    mk_buf_put_u8(&text, ':');
    put_8859_1(&text, password);
    bool good = md5(&text, secret);

    text.len = 0;
    mk_buf_append(&text, secret, sizeof(secret));
    put_colon(&text, said->values[DIRECTIVE_NONCE]);
    put_colon(&text, said->values[DIRECTIVE_CNONCE]);
    if (said->values[DIRECTIVE_AUTHZID].len > 0) {
        put_colon(&text, said->values[DIRECTIVE_AUTHZID]);
    }
    good = good && md5_hex(&text, out);
    mk_buf_free(&text);
    return good;
}

/* The proof of either side: the client's is over "AUTHENTICATE:uri", the server's over ":uri". */
static bool proof(const struct directives *said, const uint8_t a1[HEX_BYTES],
                  struct mk_bytes method, uint8_t out[HEX_BYTES])
{
    struct mk_buf text = {0};
    uint8_t a2[HEX_BYTES];

    mk_buf_append_bytes(&text, method);
    put_colon(&text, said->values[DIRECTIVE_DIGEST_URI]);
    bool good = md5_hex(&text, a2);

    text.len = 0;
    mk_buf_append(&text, a1, HEX_BYTES);
    put_colon(&text, said->values[DIRECTIVE_NONCE]);
    put_colon(&text, said->values[DIRECTIVE_NC]);
    put_colon(&text, said->values[DIRECTIVE_CNONCE]);
    put_colon(&text, MK_BYTES("auth"));
    put_colon(&text, mk_bytes_of(a2, HEX_BYTES));
    good = good && md5_hex(&text, out);
    mk_buf_free(&text);
    return good;
}

/* ---- The response ---- */

static bool is(struct mk_bytes value, struct mk_bytes expected)
{
    return mk_bytes_equal(value, expected);
}

static bool absent_or(struct mk_bytes value, struct mk_bytes expected)
{
    return value.data == NULL || is(value, expected);
}

/* All that is not a secret. */
static bool response_fits(const struct sasl_exchange *exchange, const struct directives *said)
{
    const struct mk_bytes *values = said->values;

    return values[DIRECTIVE_USERNAME].data != NULL && values[DIRECTIVE_CNONCE].data != NULL &&
           is(values[DIRECTIVE_NONCE], mk_bytes_of(exchange->nonce, SASL_NONCE_BYTES)) &&
           is(values[DIRECTIVE_NC], MK_BYTES("00000001")) &&
           is(values[DIRECTIVE_REALM], MK_BYTES(REALM)) &&
           is(values[DIRECTIVE_DIGEST_URI], MK_BYTES(DIGEST_URI)) &&
           absent_or(values[DIRECTIVE_QOP], MK_BYTES("auth")) &&
           absent_or(values[DIRECTIVE_CHARSET], MK_BYTES("utf-8")) &&
           values[DIRECTIVE_RESPONSE].len == HEX_BYTES;
}

/* As long for a good one as for a bad one. */
static bool equal_hex(const uint8_t *a, const uint8_t *b)
{
    uint8_t different = 0;

    for (size_t i = 0; i < HEX_BYTES; i++) {
        different |= (uint8_t)(a[i] ^ b[i]);
    }
    return different == 0;
}

/* A user that is not there costs what one costs that is: the proof is made with some password. */
static bool response_proves(const struct directives *said, struct mk_bytes password,
                            uint8_t server_proof[HEX_BYTES])
{
    uint8_t a1[HEX_BYTES];
    uint8_t expected[HEX_BYTES];
    bool good = a1_hash(said, password.data != NULL ? password : MK_BYTES("nobody"), a1) &&
                proof(said, a1, MK_BYTES("AUTHENTICATE"), expected) &&
                proof(said, a1, MK_BYTES(""), server_proof);

    return good && equal_hex(expected, said->values[DIRECTIVE_RESPONSE].data) &&
           password.data != NULL;
}

static enum mk_status respond(const struct sasl_exchange *exchange, const struct sasl_users *users,
                              struct mk_bytes token, struct mk_buf *reply, struct mk_bytes *user)
{
    struct mk_arena scraps = {0};
    struct directives said;
    uint8_t server_proof[HEX_BYTES];
    enum mk_status status = MK_AUTH_FAILED;

    if (token.len <= SASL_TOKEN_BYTES_MAX && directives_parse(token, &scraps, &said) &&
        response_fits(exchange, &said)) {
        struct mk_bytes name;
        struct mk_bytes password = sasl_users_find(users, said.values[DIRECTIVE_USERNAME], &name);
        if (response_proves(&said, password, server_proof)) {
            mk_buf_append_bytes(reply, MK_BYTES("rspauth="));
            mk_buf_append(reply, server_proof, HEX_BYTES);
            *user = name;
            status = MK_OK;
        }
    }
    mk_arena_free(&scraps);
    return status;
}

enum mk_status sasl_exchange_step(struct sasl_exchange *exchange, const struct sasl_users *users,
                                  struct mk_bytes token, struct mk_buf *reply,
                                  struct mk_bytes *user)
{
    *user = MK_BYTES_NULL;
    switch (exchange->state) {
    case SASL_BEGIN:
        challenge_put(exchange, reply);
        exchange->state = SASL_CHALLENGED;
        return MK_OK;
    case SASL_CHALLENGED:
        exchange->state = SASL_DONE; /* there is no second try */
        return respond(exchange, users, token, reply, user);
    case SASL_DONE: return MK_AUTH_FAILED;
    }
    mk_assert_failed("an exchange is in a state of its own", __FILE__, __LINE__);
}
