#include "tree/tree.h"
#include "unit/cmocka.h"

#define BOB_SHA256 "bob:huAluaVu3uER4LIpielGv9Qqk5x3YVDr6I2R/mXf2wE="

static void assert_digest(struct mk_bytes credentials, const char *expected)
{
    struct mk_buf out = {0};
    tree_digest_id(TREE_DIGEST_SHA1, credentials, &out);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
    mk_buf_free(&out);
}

static void a_digest_id_is_the_user_and_the_hash_of_user_and_password(void **state)
{
    assert_digest(MK_BYTES("bob:secret"), "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=");
    assert_digest(MK_BYTES("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
}

static void the_user_ends_at_the_first_colon(void **state)
{
    struct mk_buf out = {0};
    tree_digest_id(TREE_DIGEST_SHA1, MK_BYTES("a:b:c"), &out);
    assert_int_equal(out.len, 2 + 28);
    assert_memory_equal(out.data, "a:", 2);
    mk_buf_free(&out);
}

static void credentials_without_a_colon_are_a_user_as_a_whole(void **state)
{
    struct mk_buf out = {0};
    tree_digest_id(TREE_DIGEST_SHA1, MK_BYTES("nocolon"), &out);
    assert_int_equal(out.len, 8 + 28);
    assert_memory_equal(out.data, "nocolon:", 8);
    mk_buf_free(&out);
}

static void empty_credentials_are_a_user_without_a_name(void **state)
{
    assert_digest(MK_BYTES(""), ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    assert_digest(MK_BYTES_NULL, ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
}

/* The values of `printf %s bob:secret | openssl dgst -sha256 -binary | base64`, and so on. */
static void another_hash_gives_another_id(void **state)
{
    struct mk_buf out = {0};
    tree_digest_id(TREE_DIGEST_SHA256, MK_BYTES("bob:secret"), &out);
    assert_int_equal(out.len, strlen(BOB_SHA256));
    assert_memory_equal(out.data, BOB_SHA256, out.len);
    mk_buf_free(&out);
}

static void the_length_of_an_id_follows_from_its_hash(void **state)
{
    static const size_t characters[] = {28, 40, 44, 64, 88};
    for (unsigned hash = TREE_DIGEST_SHA1; hash <= TREE_DIGEST_SHA512; hash++) {
        struct mk_buf out = {0};
        tree_digest_id((enum tree_digest)hash, MK_BYTES("a:b"), &out);
        assert_int_equal(out.len, 2 + characters[hash]);
        mk_buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_id_is_the_user_and_the_hash_of_user_and_password),
        cmocka_unit_test(the_user_ends_at_the_first_colon),
        cmocka_unit_test(credentials_without_a_colon_are_a_user_as_a_whole),
        cmocka_unit_test(empty_credentials_are_a_user_without_a_name),
        cmocka_unit_test(another_hash_gives_another_id),
        cmocka_unit_test(the_length_of_an_id_follows_from_its_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
