#include "tree/tree.h"
#include "unit/cmocka.h"
#include "unit/tree/lists.h"

static void assert_identities(const struct tree_identities *identities, const char *expected)
{
    struct mk_bytes bytes = identities_of(expected);
    assert_int_equal(identities->bytes.len, bytes.len);
    assert_memory_equal(identities->bytes.data, bytes.data, bytes.len);
}

static void identities_are_kept_in_the_order_of_arrival(void **state)
{
    struct tree_identities identities = {0};

    assert_true(tree_identities_add(&identities, MK_BYTES("ip"), MK_BYTES("127.0.0.1")));
    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), MK_BYTES("bob:h")));
    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), MK_BYTES("ann:h")));

    assert_identities(&identities, "ip:127.0.0.1, digest:bob:h, digest:ann:h");
    mk_buf_free(&identities.bytes);
}

static void an_identity_that_arrives_again_changes_nothing(void **state)
{
    struct tree_identities identities = {0};

    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), MK_BYTES("bob:h")));
    assert_true(tree_identities_add(&identities, MK_BYTES("ip"), MK_BYTES("bob:h")));
    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), MK_BYTES("bob:h")));

    assert_identities(&identities, "digest:bob:h, ip:bob:h");
    mk_buf_free(&identities.bytes);
}

static void a_connection_has_a_limited_number_of_identities(void **state)
{
    struct tree_identities identities = {0};
    for (uint8_t i = 0; i < TREE_IDENTITIES_MAX; i++) {
        assert_true(tree_identities_add(&identities, MK_BYTES("digest"), mk_bytes_of(&i, 1)));
    }
    size_t len = identities.bytes.len;
    uint8_t first = 0;

    assert_false(tree_identities_add(&identities, MK_BYTES("digest"), MK_BYTES("more")));
    assert_int_equal(identities.bytes.len, len);
    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), mk_bytes_of(&first, 1)));
    mk_buf_free(&identities.bytes);
}

static void the_identities_of_a_connection_take_a_limited_number_of_bytes(void **state)
{
    struct tree_identities identities = {0};
    uint8_t *name = mk_alloc_zero(1, TREE_IDENTITIES_BYTES_MAX);
    size_t fits = TREE_IDENTITIES_BYTES_MAX - 4 - 8 - 6;

    assert_false(tree_identities_add(&identities, MK_BYTES("digest"), mk_bytes_of(name, fits + 1)));
    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), mk_bytes_of(name, fits - 9)));
    assert_false(tree_identities_add(&identities, MK_BYTES("ip"), MK_BYTES("::1")));
    mk_free(name);
    mk_buf_free(&identities.bytes);
}

static void only_the_scheme_super_is_super(void **state)
{
    assert_true(tree_identities_super(identities_of("ip:::1, super:")));
    assert_true(tree_identities_super(identities_of("super:CN=root")));
    assert_false(tree_identities_super(identities_of("digest:super:h")));
    assert_false(tree_identities_super(identities_of("")));
    assert_false(tree_identities_super(MK_BYTES_NULL));
}

static void damaged_identities_are_nobodys(void **state)
{
    struct mk_bytes whole = identities_of("ip:::1, super:");
    for (size_t len = 0; len < whole.len; len++) {
        assert_false(tree_identities_super(mk_bytes_of(whole.data, len)));
    }
    assert_false(tree_identities_super(MK_BYTES("\xff\xff\xff\xff\0\0\0\5super\0\0\0\0")));
}

static void who_shares_an_identity_has_proved_to_be_it(void **state)
{
    static const struct {
        const char *one, *other;
        bool share;
    } cases[] = {
        {"ip:::1, digest:bob:h", "digest:amy:h, digest:bob:h", true},
        {"sasl:bob", "sasl:bob", true},
        {"ip:::1", "ip:::1", false},
        {"ip:::1, world:anyone", "world:anyone, ip:::1", false},
        {"digest:bob:h", "digest:bob:i", false},
        {"digest:bob", "sasl:bob", false},
        {"", "", false},
    };

    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        struct mk_bytes one = identities_of(cases[i].one);
        struct mk_bytes other = identities_of(cases[i].other);
        assert_int_equal(tree_identities_share(one, other), cases[i].share);
        assert_int_equal(tree_identities_share(other, one), cases[i].share);
    }
    assert_false(tree_identities_share(MK_BYTES_NULL, MK_BYTES_NULL));
}

static void digest_identities_are_displayed_without_their_hash(void **state)
{
    struct mk_bytes digest = MK_BYTES("digest");
    assert_true(mk_bytes_equal(tree_identity_display(digest, MK_BYTES("bob:h")), MK_BYTES("bob")));
    assert_true(mk_bytes_equal(tree_identity_display(digest, MK_BYTES(":h")), MK_BYTES("")));
    assert_true(mk_bytes_equal(tree_identity_display(digest, MK_BYTES("bob")), MK_BYTES("bob")));
    assert_true(mk_bytes_equal(tree_identity_display(digest, MK_BYTES("")), MK_BYTES("")));
    assert_true(
        mk_bytes_equal(tree_identity_display(MK_BYTES("ip"), MK_BYTES("::1")), MK_BYTES("::1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities_are_kept_in_the_order_of_arrival),
        cmocka_unit_test(an_identity_that_arrives_again_changes_nothing),
        cmocka_unit_test(a_connection_has_a_limited_number_of_identities),
        cmocka_unit_test(the_identities_of_a_connection_take_a_limited_number_of_bytes),
        cmocka_unit_test(only_the_scheme_super_is_super),
        cmocka_unit_test(damaged_identities_are_nobodys),
        cmocka_unit_test(who_shares_an_identity_has_proved_to_be_it),
        cmocka_unit_test(digest_identities_are_displayed_without_their_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
