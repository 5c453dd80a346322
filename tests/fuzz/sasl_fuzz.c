/* Any bytes as a client's response, or as the file of users. Input: a byte that says which, the bytes. */
#include "sasl/directives.h"
#include "sasl/sasl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_file(struct mk_bytes bytes)
{
    struct sasl_users *users = sasl_users_new();
    struct mk_error error = {""};
    enum mk_status status = sasl_users_parse(users, bytes, "Server", &error);

    MK_ASSERT(status == MK_OK || status == MK_BAD_ARGUMENTS);
    MK_ASSERT((status == MK_OK) == (error.text[0] == '\0'));
    MK_ASSERT(sasl_users_count(users) <= SASL_USERS_MAX);
    sasl_users_free(users);
}

/* Nobody guesses a proof: whatever the bytes are, they prove nothing. */
static void as_response(struct mk_bytes bytes)
{
    struct sasl_users *users = sasl_users_new();
    struct sasl_exchange exchange;
    struct mk_buf reply = {0};
    struct mk_bytes user;
    enum mk_status status = sasl_users_put(users, MK_BYTES("bob"), MK_BYTES("secret"), NULL);
    MK_ASSERT(status == MK_OK);

    sasl_exchange_begin(&exchange, MK_BYTES("a secret"), 1);
    status = sasl_exchange_step(&exchange, users, bytes, &reply, &user);
    MK_ASSERT(status == MK_OK && user.data == NULL);
    reply.len = 0;
    status = sasl_exchange_step(&exchange, users, bytes, &reply, &user);
    MK_ASSERT(status == MK_AUTH_FAILED && user.data == NULL && reply.len == 0);
    mk_buf_free(&reply);
    sasl_users_free(users);
}

/* What parses without a backslash lies within the bytes. */
static void as_directives(struct mk_bytes bytes)
{
    struct mk_arena scraps = {0};
    struct directives said;
    bool escapes = bytes.len > 0 && memchr(bytes.data, '\\', bytes.len) != NULL;

    if (directives_parse(bytes, &scraps, &said)) {
        for (int i = 0; i < DIRECTIVES && !escapes; i++) {
            const struct mk_bytes *value = &said.values[i];
            MK_ASSERT(value->data == NULL || (value->data >= bytes.data &&
                                              value->data + value->len <= bytes.data + bytes.len));
        }
    }
    mk_arena_free(&scraps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct mk_bytes bytes = {data + 1, size - 1};
    if (data[0] % 2 == 0) {
        as_file(bytes);
    } else {
        as_response(bytes);
        as_directives(bytes);
    }
    return 0;
}
