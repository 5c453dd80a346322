#include "edge/framing.h"
#include "unit/cmocka.h"

#define FRAME_MAX 100

/* Give `bytes` in pieces of `piece` and collect the frames as "[one][two]"; "!" where it is bad. */
static void assert_frames(struct mk_bytes bytes, size_t piece, const char *expected)
{
    struct framing framing = {0};
    struct mk_buf frames = {0};
    enum framing_result result = FRAMING_MORE;

    for (size_t at = 0; at < bytes.len && result != FRAMING_BAD; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        struct mk_bytes unread = mk_bytes_of(bytes.data + at, len);
        struct mk_bytes frame;
        while ((result = framing_next(&framing, FRAME_MAX, &unread, &frame)) == FRAMING_FRAME) {
            mk_buf_printf(&frames, "[%.*s]", (int)frame.len, (const char *)frame.data);
        }
        if (result == FRAMING_MORE) {
            assert_int_equal(unread.len, 0);
        }
    }
    if (result == FRAMING_BAD) {
        mk_buf_printf(&frames, "!");
    }
    mk_buf_put_u8(&frames, '\0');
    assert_string_equal((const char *)frames.data, expected);
    framing_free(&framing);
    mk_buf_free(&frames);
}

static void frames_come_out_whole_however_they_arrive(void **state)
{
    struct mk_bytes bytes =
        MK_BYTES("\0\0\0\3one\0\0\0\0\0\0\0\5three\0\0\0\12ten bytes.\0\0\0\1x");

    for (size_t piece = 1; piece <= bytes.len; piece++) {
        assert_frames(bytes, piece, "[one][][three][ten bytes.][x]");
    }
}

static void a_frame_that_is_whole_is_seen_where_it_lies(void **state)
{
    struct framing framing = {0};
    struct mk_bytes bytes = MK_BYTES("\0\0\0\3one");
    struct mk_bytes unread = bytes;
    struct mk_bytes frame;

    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_FRAME);

    assert_ptr_equal(frame.data, bytes.data + 4);
    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_MORE);
    assert_null(framing.kept.data);
    framing_free(&framing);
}

static void the_largest_length_is_allowed_and_one_more_is_not(void **state)
{
    uint8_t bytes[4 + FRAME_MAX] = {0, 0, 0, FRAME_MAX};
    struct framing framing = {0};
    struct mk_bytes unread = mk_bytes_of(bytes, sizeof(bytes));
    struct mk_bytes frame;

    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_FRAME);
    assert_int_equal(frame.len, FRAME_MAX);

    bytes[3] = FRAME_MAX + 1;
    unread = mk_bytes_of(bytes, sizeof(bytes));
    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_BAD);
    framing_free(&framing);
}

static void a_negative_length_is_bad(void **state)
{
    for (size_t piece = 1; piece <= 7; piece++) {
        assert_frames(MK_BYTES("\0\0\0\1a\xff\xff\xff\xff"), piece, "[a]!");
        assert_frames(MK_BYTES("\x80\0\0\0"), piece, "!");
    }
}

static void a_bad_length_is_seen_before_its_frame_arrives(void **state)
{
    assert_frames(MK_BYTES("\0\0\1\0"), 4, "!");
}

static void what_is_kept_comes_before_what_is_read_next(void **state)
{
    struct framing framing = {0};
    struct mk_bytes unread = MK_BYTES_NULL;
    struct mk_bytes frame;

    framing_keep(&framing, MK_BYTES("\0\0\0\1a\0\0\0\1b\0\0\0\2c"));
    assert_int_equal(framing_kept(&framing), 15);

    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_FRAME);
    assert_memory_equal(frame.data, "a", 1);
    framing_keep(&framing, MK_BYTES("d\0"));
    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_FRAME);
    assert_memory_equal(frame.data, "b", 1);
    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_FRAME);
    assert_memory_equal(frame.data, "cd", 2);
    assert_int_equal(framing_next(&framing, FRAME_MAX, &unread, &frame), FRAMING_MORE);
    assert_int_equal(framing_kept(&framing), 1);
    framing_free(&framing);
}

static void the_first_four_bytes_can_be_looked_at_across_reads(void **state)
{
    struct framing framing = {0};
    uint8_t word[4];

    assert_false(framing_peek(&framing, MK_BYTES("ru"), word, FRAMING_LENGTH_BYTES));
    framing_keep(&framing, MK_BYTES("ru"));
    assert_true(framing_peek(&framing, MK_BYTES("ok\n"), word, FRAMING_LENGTH_BYTES));
    assert_memory_equal(word, "ruok", 4);
    assert_int_equal(framing_kept(&framing), 2);
    framing_free(&framing);
}

static void a_large_buffer_is_given_back_when_it_is_used_up(void **state)
{
    static uint8_t bytes[4 + 100000] = {0, 1, 0x86, 0xa0};
    struct framing framing = {0};
    struct mk_bytes unread = mk_bytes_of(bytes, 5000);
    struct mk_bytes frame;

    assert_int_equal(framing_next(&framing, 1 << 20, &unread, &frame), FRAMING_MORE);
    unread = mk_bytes_of(bytes + 5000, sizeof(bytes) - 5000);
    assert_int_equal(framing_next(&framing, 1 << 20, &unread, &frame), FRAMING_FRAME);
    assert_int_equal(frame.len, 100000);
    assert_int_equal(framing_next(&framing, 1 << 20, &unread, &frame), FRAMING_MORE);

    assert_int_equal(framing.kept.cap, 0);
    framing_free(&framing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_whole_however_they_arrive),
        cmocka_unit_test(a_frame_that_is_whole_is_seen_where_it_lies),
        cmocka_unit_test(the_largest_length_is_allowed_and_one_more_is_not),
        cmocka_unit_test(a_negative_length_is_bad),
        cmocka_unit_test(a_bad_length_is_seen_before_its_frame_arrives),
        cmocka_unit_test(what_is_kept_comes_before_what_is_read_next),
        cmocka_unit_test(the_first_four_bytes_can_be_looked_at_across_reads),
        cmocka_unit_test(a_large_buffer_is_given_back_when_it_is_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
