#include "frames.h"
#include "jute/vector.h"

static struct jute_strings strings_of(void **state, const char *digits, bool *failed)
{
    struct mk_reader reader = mk_reader_of(hex(state, digits));
    struct jute_strings strings = jute_strings_read(&reader);
    *failed = reader.failed;
    return strings;
}

static bool strings_fail(void **state, const char *digits)
{
    bool failed;
    struct jute_strings strings = strings_of(state, digits, &failed);
    assert_int_equal(strings.count, 0);
    return failed;
}

static bool acl_fails(void **state, const char *digits)
{
    struct mk_reader reader = mk_reader_of(hex(state, digits));
    struct mk_bytes acl = jute_acl_read(&reader);
    assert_true(!reader.failed || acl.data == NULL);
    return reader.failed;
}

static void strings_come_out_in_order_and_null_stays_null(void **state)
{
    bool failed;
    struct jute_strings strings =
        strings_of(state, "00000003 00000002 2f61 ffffffff 00000000", &failed);
    struct jute_strings_cursor cursor = jute_strings_begin(strings);
    struct mk_bytes string;

    assert_false(failed);
    assert_int_equal(strings.count, 3);
    assert_true(jute_strings_next(&cursor, &string));
    assert_text(string, "/a");
    assert_true(jute_strings_next(&cursor, &string));
    assert_null_bytes(string);
    assert_true(jute_strings_next(&cursor, &string));
    assert_text(string, "");
    assert_false(jute_strings_next(&cursor, &string));
    assert_false(jute_strings_next(&cursor, &string));
}

static void a_null_vector_of_strings_counts_zero(void **state)
{
    bool failed;
    struct jute_strings strings = strings_of(state, "ffffffff", &failed);
    struct jute_strings_cursor cursor = jute_strings_begin(strings);
    struct mk_bytes string;

    assert_false(failed);
    assert_int_equal(strings.count, 0);
    assert_false(jute_strings_next(&cursor, &string));
}

static void strings_that_do_not_fit_their_bytes_are_malformed(void **state)
{
    assert_true(strings_fail(state, ""));
    assert_true(strings_fail(state, "fffffffe"));                   /* count -2 */
    assert_true(strings_fail(state, "00000001"));                   /* none there */
    assert_true(strings_fail(state, "7fffffff 00000000"));          /* never so many */
    assert_true(strings_fail(state, "00000001 fffffffe"));          /* length -2 */
    assert_true(strings_fail(state, "00000001 00000003 2f61"));     /* one byte short */
    assert_true(strings_fail(state, "00000002 00000004 00000000")); /* second one missing */
    assert_true(strings_fail(state, "00000001 7fffffff 2f61"));
}

static void strings_are_put_back_as_they_came(void **state)
{
    const char *digits = "00000002 00000002 2f61 ffffffff";
    bool failed;
    struct mk_buf out = {0};

    jute_strings_put(&out, strings_of(state, digits, &failed));

    assert_encoded(state, &out, digits);
}

static void an_acl_keeps_its_bytes_count_included(void **state)
{
    struct mk_bytes bytes = hex(state, OPEN_ACL " 07070707");
    struct mk_reader reader = mk_reader_of(bytes);

    struct mk_bytes acl = jute_acl_read(&reader);

    assert_false(reader.failed);
    assert_ptr_equal(acl.data, bytes.data);
    assert_int_equal(acl.len, bytes.len - 4);
    assert_int_equal(mk_reader_left(&reader), 4);
}

static void a_null_acl_is_null_and_an_empty_one_is_not(void **state)
{
    struct mk_reader null = mk_reader_of(hex(state, "ffffffff"));
    struct mk_reader empty = mk_reader_of(hex(state, "00000000"));

    assert_null_bytes(jute_acl_read(&null));
    assert_int_equal(jute_acl_read(&empty).len, 4);
    assert_false(null.failed || empty.failed);
}

static void a_null_scheme_or_id_is_not_malformed_here(void **state)
{
    assert_false(acl_fails(state, "00000001 0000001f ffffffff ffffffff"));
}

static void an_acl_that_does_not_fit_its_bytes_is_malformed(void **state)
{
    assert_true(acl_fails(state, ""));
    assert_true(acl_fails(state, "fffffffe"));                            /* count -2 */
    assert_true(acl_fails(state, "80000000"));                            /* count minimal */
    assert_true(acl_fails(state, "00000001 0000001f 00000000"));          /* no id */
    assert_true(acl_fails(state, "00000002 0000001f 00000000 00000000")); /* one missing */
    assert_true(acl_fails(state, "7fffffff 0000001f 00000000 00000000")); /* never so many */
    assert_true(acl_fails(state, "00000001 0000001f fffffffe 00000000 00000000")); /* length -2 */
    assert_true(acl_fails(state, "00000001 0000001f 00000000 00000001"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_come_out_in_order_and_null_stays_null),
        cmocka_unit_test(a_null_vector_of_strings_counts_zero),
        cmocka_unit_test(strings_that_do_not_fit_their_bytes_are_malformed),
        cmocka_unit_test(strings_are_put_back_as_they_came),
        cmocka_unit_test(an_acl_keeps_its_bytes_count_included),
        cmocka_unit_test(a_null_acl_is_null_and_an_empty_one_is_not),
        cmocka_unit_test(a_null_scheme_or_id_is_not_malformed_here),
        cmocka_unit_test(an_acl_that_does_not_fit_its_bytes_is_malformed),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
