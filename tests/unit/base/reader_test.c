#include "base/base.h"
#include "unit/cmocka.h"

static void what_a_buffer_wrote_is_read_back(void **state)
{
    struct mk_buf buf = {0};
    mk_buf_put_u8(&buf, 0xfe);
    mk_buf_put_u16(&buf, 0xfedc);
    mk_buf_put_i32(&buf, INT32_MIN);
    mk_buf_put_u32(&buf, UINT32_MAX);
    mk_buf_put_i64(&buf, INT64_MIN);
    mk_buf_put_u64(&buf, UINT64_MAX);
    mk_buf_put_field(&buf, MK_BYTES("/a"));

    struct mk_reader reader = mk_reader_of(mk_buf_view(&buf));

    assert_int_equal(mk_read_u8(&reader), 0xfe);
    assert_int_equal(mk_read_u16(&reader), 0xfedc);
    assert_true(mk_read_i32(&reader) == INT32_MIN);
    assert_true(mk_read_u32(&reader) == UINT32_MAX);
    assert_true(mk_read_i64(&reader) == INT64_MIN);
    assert_true(mk_read_u64(&reader) == UINT64_MAX);
    assert_true(mk_bytes_equal(mk_read_field(&reader), MK_BYTES("/a")));
    assert_int_equal(mk_reader_left(&reader), 0);
    assert_false(reader.failed);
    mk_buf_free(&buf);
}

static void a_read_past_the_end_yields_zero_and_fails_for_good(void **state)
{
    struct mk_reader reader = mk_reader_of(MK_BYTES("\1\2\3"));

    assert_int_equal(mk_read_i32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(mk_read_u8(&reader), 0);
    assert_null(mk_read_bytes(&reader, 0).data);
    assert_int_equal(mk_reader_left(&reader), 0);
}

static void each_integer_at_the_very_end_fails_by_one_byte(void **state)
{
    struct mk_bytes bytes = MK_BYTES("\1\2\3\4\5\6\7");
    struct mk_reader reader = mk_reader_of(bytes);
    assert_true(mk_read_u64(&reader) == 0 && reader.failed);
    reader = mk_reader_of(bytes);
    assert_true(mk_read_i64(&reader) == 0 && reader.failed);
    reader = mk_reader_of((struct mk_bytes){bytes.data, 3});
    assert_true(mk_read_u32(&reader) == 0 && reader.failed);
    reader = mk_reader_of((struct mk_bytes){bytes.data, 1});
    assert_true(mk_read_u16(&reader) == 0 && reader.failed);
    reader = mk_reader_of((struct mk_bytes){bytes.data, 0});
    assert_true(mk_read_u8(&reader) == 0 && reader.failed);
}

static void a_null_field_is_null_and_an_empty_one_is_not(void **state)
{
    struct mk_reader reader = mk_reader_of(MK_BYTES("\xff\xff\xff\xff\0\0\0\0"));

    assert_null(mk_read_field(&reader).data);
    struct mk_bytes empty = mk_read_field(&reader);

    assert_non_null(empty.data);
    assert_int_equal(empty.len, 0);
    assert_false(reader.failed);
}

static void a_field_longer_than_what_is_left_fails(void **state)
{
    struct mk_reader reader = mk_reader_of(MK_BYTES("\0\0\0\3ab"));
    assert_null(mk_read_field(&reader).data);
    assert_true(reader.failed);

    reader = mk_reader_of(MK_BYTES("\x7f\xff\xff\xff"
                                   "ab"));
    assert_null(mk_read_field(&reader).data);
    assert_true(reader.failed);
}

static void a_field_of_length_minus_two_fails(void **state)
{
    struct mk_reader reader = mk_reader_of(MK_BYTES("\xff\xff\xff\xfe"
                                                    "abcd"));

    assert_null(mk_read_field(&reader).data);

    assert_true(reader.failed);
    assert_int_equal(mk_reader_left(&reader), 0);
}

static void nothing_is_left_of_null(void **state)
{
    struct mk_reader reader = mk_reader_of(MK_BYTES_NULL);

    assert_int_equal(mk_reader_left(&reader), 0);
    assert_non_null(mk_read_bytes(&reader, 0).data);
    assert_false(reader.failed);
    assert_null(mk_read_bytes(&reader, SIZE_MAX).data);
    assert_true(reader.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_buffer_wrote_is_read_back),
        cmocka_unit_test(a_read_past_the_end_yields_zero_and_fails_for_good),
        cmocka_unit_test(each_integer_at_the_very_end_fails_by_one_byte),
        cmocka_unit_test(a_null_field_is_null_and_an_empty_one_is_not),
        cmocka_unit_test(a_field_longer_than_what_is_left_fails),
        cmocka_unit_test(a_field_of_length_minus_two_fails),
        cmocka_unit_test(nothing_is_left_of_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
