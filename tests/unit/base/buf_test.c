#include "base/base.h"
#include "unit/cmocka.h"

static void an_unused_buffer_is_empty_and_not_null(void **state)
{
    struct mk_buf buf = {0};

    assert_true(mk_bytes_equal(mk_buf_view(&buf), MK_BYTES("")));

    mk_buf_free(&buf);
}

static void integers_are_written_in_network_order(void **state)
{
    struct mk_buf buf = {0};

    mk_buf_put_u8(&buf, 0x01);
    mk_buf_put_u16(&buf, 0x0203);
    mk_buf_put_u32(&buf, 0x04050607);
    mk_buf_put_u64(&buf, 0x08090a0b0c0d0e0f);
    mk_buf_put_i32(&buf, -2);
    mk_buf_put_i64(&buf, -3);

    assert_true(mk_bytes_equal(mk_buf_view(&buf), MK_BYTES("\x01\x02\x03\x04\x05\x06\x07\x08"
                                                           "\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                                                           "\xff\xff\xff\xfe"
                                                           "\xff\xff\xff\xff\xff\xff\xff\xfd")));
    mk_buf_free(&buf);
}

static void a_null_field_has_length_minus_one_and_an_empty_one_zero(void **state)
{
    struct mk_buf buf = {0};

    mk_buf_put_field(&buf, MK_BYTES_NULL);
    mk_buf_put_field(&buf, MK_BYTES(""));
    mk_buf_put_field(&buf, MK_BYTES("ab"));

    assert_true(mk_bytes_equal(mk_buf_view(&buf), MK_BYTES("\xff\xff\xff\xff"
                                                           "\0\0\0\0"
                                                           "\0\0\0\2ab")));
    mk_buf_free(&buf);
}

static void what_was_appended_survives_growth(void **state)
{
    struct mk_buf buf = {0};

    for (int i = 0; i < 100000; i++) {
        mk_buf_put_i32(&buf, i);
    }

    for (int i = 0; i < 100000; i++) {
        assert_int_equal(mk_load_u32(buf.data + 4 * i), i);
    }
    mk_buf_free(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.cap, 0);
}

static void reserved_room_is_not_moved_when_it_is_used(void **state)
{
    struct mk_buf buf = {0};
    mk_buf_put_u8(&buf, 1);
    mk_buf_reserve(&buf, 1000);
    const uint8_t *before = buf.data;

    memset(mk_buf_grow(&buf, 1000), 7, 1000);

    assert_ptr_equal(buf.data, before);
    assert_int_equal(buf.len, 1001);
    mk_buf_free(&buf);
}

static void formatted_text_fits_whatever_its_length(void **state)
{
    char text[300];
    memset(text, 'y', sizeof(text));

    for (int len = 0; len < (int)sizeof(text); len++) {
        struct mk_buf buf = {0};
        mk_buf_append(&buf, "x=", 2);
        mk_buf_printf(&buf, "%.*s", len, text);
        assert_int_equal(buf.len, 2 + len);
        assert_memory_equal(buf.data + 2, text, len);
        mk_buf_free(&buf);
    }
}

static void nothing_can_be_appended_from_nowhere(void **state)
{
    struct mk_buf buf = {0};

    mk_buf_append(&buf, NULL, 0);
    mk_buf_append_bytes(&buf, MK_BYTES_NULL);

    assert_int_equal(buf.len, 0);
    mk_buf_free(&buf);
}

static void stored_integers_are_loaded_again_at_any_address(void **state)
{
    uint8_t bytes[16];
    for (size_t at = 0; at < 8; at++) {
        mk_store_u64(bytes + at, 0xfedcba9876543210);
        assert_true(mk_load_u64(bytes + at) == 0xfedcba9876543210);
        mk_store_u32(bytes + at, 0x89abcdef);
        assert_true(mk_load_u32(bytes + at) == 0x89abcdef);
    }
}

static void assert_base64(struct mk_bytes bytes, const char *expected)
{
    struct mk_buf buf = {0};
    mk_buf_put_base64(&buf, bytes);
    assert_true(mk_bytes_equal(mk_buf_view(&buf), mk_bytes_text(expected)));
    mk_buf_free(&buf);
}

/* RFC 4648, section 10. */
static void base64_is_padded_to_groups_of_four(void **state)
{
    assert_base64(MK_BYTES("f"), "Zg==");
    assert_base64(MK_BYTES("fo"), "Zm8=");
    assert_base64(MK_BYTES("foo"), "Zm9v");
    assert_base64(MK_BYTES("foobar"), "Zm9vYmFy");
    assert_base64(MK_BYTES("\xfb\xff"), "+/8=");
}

static void assert_decimal(int64_t value, const char *expected)
{
    struct mk_buf buf = {0};
    mk_buf_put_decimal(&buf, value);
    assert_true(mk_bytes_equal(mk_buf_view(&buf), mk_bytes_text(expected)));
    mk_buf_free(&buf);
}

static void any_integer_is_written_in_decimal(void **state)
{
    assert_decimal(0, "0");
    assert_decimal(7, "7");
    assert_decimal(-10, "-10");
    assert_decimal(1234567890123456789, "1234567890123456789");
    assert_decimal(INT64_MAX, "9223372036854775807");
    assert_decimal(INT64_MIN, "-9223372036854775808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unused_buffer_is_empty_and_not_null),
        cmocka_unit_test(integers_are_written_in_network_order),
        cmocka_unit_test(a_null_field_has_length_minus_one_and_an_empty_one_zero),
        cmocka_unit_test(what_was_appended_survives_growth),
        cmocka_unit_test(reserved_room_is_not_moved_when_it_is_used),
        cmocka_unit_test(formatted_text_fits_whatever_its_length),
        cmocka_unit_test(nothing_can_be_appended_from_nowhere),
        cmocka_unit_test(stored_integers_are_loaded_again_at_any_address),
        cmocka_unit_test(any_integer_is_written_in_decimal),
        cmocka_unit_test(base64_is_padded_to_groups_of_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
