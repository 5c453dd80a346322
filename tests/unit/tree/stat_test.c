#include "tree/tree.h"
#include "unit/cmocka.h"

static void the_owner_of_an_ordinary_ephemeral_is_its_session(void **state)
{
    assert_int_equal(tree_owner_session(0x10000134a100000, true), 0x10000134a100000);
    assert_int_equal(tree_owner_session(0x10000134a100000, false), 0x10000134a100000);
    assert_int_equal(tree_owner_session((int64_t)0xfe00000000000001u, true),
                     (int64_t)0xfe00000000000001u);
    assert_int_equal(tree_owner_session(0, true), 0);
}

static void a_container_has_no_owner(void **state)
{
    assert_int_equal(tree_owner_session(TREE_OWNER_CONTAINER, true), 0);
    assert_int_equal(tree_owner_session(TREE_OWNER_CONTAINER, false), 0);
}

static void a_ttl_is_kept_in_the_owner_field(void **state)
{
    assert_int_equal(tree_owner_ttl(1), (int64_t)0xff00000000000001u);
    assert_int_equal(tree_owner_ttl(TREE_TTL_MAX_MS), (int64_t)0xff0000ffffffffffu);
    assert_int_equal(tree_owner_ttl_ms(tree_owner_ttl(3000), true), 3000);
    assert_int_equal(tree_owner_session(tree_owner_ttl(3000), true), 0);
}

static void without_extended_types_a_ttl_owner_is_read_as_a_session(void **state)
{
    assert_int_equal(tree_owner_session(tree_owner_ttl(3000), false), tree_owner_ttl(3000));
    assert_int_equal(tree_owner_ttl_ms(tree_owner_ttl(3000), false), 0);
}

static void only_type_zero_is_a_ttl(void **state)
{
    assert_int_equal(tree_owner_ttl_ms((int64_t)0xff00010000000bb8u, true), 0);
    assert_int_equal(tree_owner_session((int64_t)0xff00010000000bb8u, true), 0);
    assert_int_equal(tree_owner_ttl_ms(0x10000134a100000, true), 0);
    assert_int_equal(tree_owner_ttl_ms(TREE_OWNER_CONTAINER, true), 0);
    assert_int_equal(tree_owner_ttl_ms(0, true), 0);
}

static void versions_wrap_and_skip_minus_one_which_means_any(void **state)
{
    assert_int_equal(tree_version_next(0), 1);
    assert_int_equal(tree_version_next(INT32_MAX), INT32_MIN);
    assert_int_equal(tree_version_next(-3), -2);
    assert_int_equal(tree_version_next(-2), 0);
    assert_int_equal(tree_version_next(-1), 0); /* the configuration's, and the root's aversion */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_of_an_ordinary_ephemeral_is_its_session),
        cmocka_unit_test(a_container_has_no_owner),
        cmocka_unit_test(a_ttl_is_kept_in_the_owner_field),
        cmocka_unit_test(without_extended_types_a_ttl_owner_is_read_as_a_session),
        cmocka_unit_test(only_type_zero_is_a_ttl),
        cmocka_unit_test(versions_wrap_and_skip_minus_one_which_means_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
