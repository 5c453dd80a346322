#include "base/base.h"
#include "unit/cmocka.h"

static void null_is_not_empty(void **state)
{
    struct mk_bytes empty = MK_BYTES("");

    assert_false(mk_bytes_equal(MK_BYTES_NULL, empty));
    assert_true(mk_bytes_equal(MK_BYTES_NULL, MK_BYTES_NULL));
    assert_true(mk_bytes_equal(empty, mk_bytes_text("")));
    assert_true(mk_bytes_compare(MK_BYTES_NULL, empty) < 0);
    assert_int_equal(mk_bytes_compare(empty, empty), 0);
}

static void the_shorter_of_two_that_begin_alike_comes_first(void **state)
{
    assert_true(mk_bytes_compare(MK_BYTES("/a"), MK_BYTES("/a/b")) < 0);
    assert_true(mk_bytes_compare(MK_BYTES("/b"), MK_BYTES("/a/b")) > 0);
    assert_int_equal(mk_bytes_compare(MK_BYTES("/a"), MK_BYTES("/a")), 0);
}

static void bytes_compare_as_unsigned(void **state)
{
    assert_true(mk_bytes_compare(MK_BYTES("\x7f"), MK_BYTES("\x80")) < 0);
}

static void everything_starts_with_nothing(void **state)
{
    assert_true(mk_bytes_starts(MK_BYTES("/a"), MK_BYTES("")));
    assert_true(mk_bytes_starts(MK_BYTES("/a"), MK_BYTES_NULL));
    assert_true(mk_bytes_starts(MK_BYTES("/ab"), MK_BYTES("/a")));
    assert_false(mk_bytes_starts(MK_BYTES("/a"), MK_BYTES("/ab")));
    assert_false(mk_bytes_starts(MK_BYTES("/b"), MK_BYTES("/a")));
}

/* The simulator compares logs of two processes, and of two releases: these numbers may not change
 * without a reason. */
static void the_hash_of_a_text_is_the_same_in_every_process(void **state)
{
    assert_true(mk_bytes_hash(MK_BYTES("")) == mk_bytes_hash(MK_BYTES_NULL));
    assert_true(mk_bytes_hash(MK_BYTES("/zookeeper")) == 0x45f8308a9d140b27u);
    assert_true(mk_bytes_hash(MK_BYTES("/locks/printer/lock-0000000001")) == 0x0a9868fd724cdc49u);
}

static void texts_of_every_length_that_differ_in_one_bit_hash_differently(void **state)
{
    uint8_t text[80];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i * 7);
    }

    for (size_t len = 1; len <= sizeof(text); len++) {
        uint64_t before = mk_bytes_hash(mk_bytes_of(text, len));
        for (size_t bit = 0; bit < len * 8; bit++) {
            text[bit / 8] ^= (uint8_t)(1u << bit % 8);
            uint64_t after = mk_bytes_hash(mk_bytes_of(text, len));
            text[bit / 8] ^= (uint8_t)(1u << bit % 8);

            int changed = __builtin_popcountll(before ^ after);
            assert_in_range(changed, 8, 56); /* about half of the bits */
        }
    }
}

static void zeros_of_different_lengths_hash_differently(void **state)
{
    static const uint8_t zeros[64];
    for (size_t a = 0; a < sizeof(zeros); a++) {
        for (size_t b = a + 1; b < sizeof(zeros); b++) {
            assert_true(mk_bytes_hash(mk_bytes_of(zeros, a)) !=
                        mk_bytes_hash(mk_bytes_of(zeros, b)));
        }
    }
}

/* The first word makes a factor of the plain hash 0: whatever stands in the second is lost. */
static void texts_that_were_chosen_to_collide_do_not_if_there_is_a_secret(void **state)
{
    static const char one[] = "\xdb\x28\xb4\xa0\xd1\x7e\x03\xe7"
                              "11111111"
                              "/znode";
    static const char other[] = "\xdb\x28\xb4\xa0\xd1\x7e\x03\xe7"
                                "22222222"
                                "/znode";
    struct mk_bytes a = mk_bytes_of(one, sizeof(one) - 1);
    struct mk_bytes b = mk_bytes_of(other, sizeof(other) - 1);

    assert_true(mk_bytes_hash(a) == mk_bytes_hash(b));
    assert_true(mk_bytes_hash_secret(a, 0x1234) != mk_bytes_hash_secret(b, 0x1234));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_not_empty),
        cmocka_unit_test(the_shorter_of_two_that_begin_alike_comes_first),
        cmocka_unit_test(bytes_compare_as_unsigned),
        cmocka_unit_test(everything_starts_with_nothing),
        cmocka_unit_test(the_hash_of_a_text_is_the_same_in_every_process),
        cmocka_unit_test(texts_of_every_length_that_differ_in_one_bit_hash_differently),
        cmocka_unit_test(zeros_of_different_lengths_hash_differently),
        cmocka_unit_test(texts_that_were_chosen_to_collide_do_not_if_there_is_a_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
