#include "frames.h"

/* The Stat of /a as ZooKeeper served it after one setData and one child. */
#define STAT_A                                                                              \
    "0000000000000002 0000000000000004 000001a2015ceda2 000001a2015cedbe 00000001 00000001" \
    "00000000 0000000000000000 00000002 00000001 0000000000000003"

static const struct jute_stat stat_a = {
    .czxid = 2,
    .mzxid = 4,
    .ctime_ms = 0x1a2015ceda2,
    .mtime_ms = 0x1a2015cedbe,
    .version = 1,
    .cversion = 1,
    .aversion = 0,
    .ephemeral_owner = 0,
    .data_length = 2,
    .children_count = 1,
    .pzxid = 3,
};

/* ---- Connect ---- */

static void a_connect_response_carries_the_read_only_byte_if_the_request_did(void **state)
{
    struct mk_bytes password = hex(state, "faf561f2ff88c191683a9105e096d176");
    struct mk_buf out = {0};

    jute_connect_reply(&out, 10000, 0x0100002672780000, password.data, JUTE_READ_ONLY_FALSE);
    jute_connect_reply(&out, 10000, 0x0100002672780000, password.data, JUTE_READ_ONLY_ABSENT);

    assert_encoded(state, &out,
                   "00000025 00000000 00002710 0100002672780000"
                   "00000010 faf561f2ff88c191683a9105e096d176 00"
                   "00000024 00000000 00002710 0100002672780000"
                   "00000010 faf561f2ff88c191683a9105e096d176");
}

static void a_refused_connect_response_is_all_zeros(void **state)
{
    struct mk_buf out = {0};

    jute_connect_reply(&out, 0, 0, NULL, JUTE_READ_ONLY_FALSE);

    assert_encoded(state, &out,
                   "00000025 00000000 00000000 0000000000000000"
                   "00000010 00000000000000000000000000000000 00");
}

/* ---- Replies ---- */

static void a_reply_without_a_body_is_its_header(void **state)
{
    struct mk_buf out = {0};

    jute_reply_end(&out, jute_reply_begin(&out, JUTE_XID_PING, 1, 0));
    jute_reply_end(&out, jute_reply_begin(&out, JUTE_XID_AUTH, 0, -115));
    jute_reply_end(&out, jute_reply_begin(&out, 5, -1, -6));
    jute_reply_end(&out, jute_reply_begin(&out, 5, 4, jute_error_code(MK_NO_NODE)));

    assert_encoded(state, &out,
                   "00000010 fffffffe 0000000000000001 00000000"
                   "00000010 fffffffc 0000000000000000 ffffff8d"
                   "00000010 00000005 ffffffffffffffff fffffffa"
                   "00000010 00000005 0000000000000004 ffffff9b");
}

static void a_create_is_answered_with_its_path(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 1, 2, 0);
    mk_buf_put_field(&out, MK_BYTES("/a"));
    jute_reply_end(&out, frame);

    assert_encoded(state, &out, "00000016 00000001 0000000000000002 00000000 00000002 2f61");
}

static void a_create2_is_answered_with_path_and_stat(void **state)
{
    struct mk_buf out = {0};
    struct jute_stat stat = {
        .czxid = 3,
        .mzxid = 3,
        .ctime_ms = 0x1a2015cedad,
        .mtime_ms = 0x1a2015cedad,
        .ephemeral_owner = 0x0100002672780000,
        .pzxid = 3,
    };

    size_t frame = jute_reply_begin(&out, 2, 3, 0);
    mk_buf_put_field(&out, MK_BYTES("/a/b0000000000"));
    jute_put_stat(&out, &stat);
    jute_reply_end(&out, frame);

    assert_encoded(state, &out,
                   "00000066 00000002 0000000000000003 00000000"
                   "0000000e 2f612f6230303030303030303030"
                   "0000000000000003 0000000000000003 000001a2015cedad 000001a2015cedad"
                   "00000000 00000000 00000000 0100002672780000 00000000 00000000"
                   "0000000000000003");
}

static void a_get_data_is_answered_with_data_and_stat(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 3, 4, 0);
    mk_buf_put_field(&out, MK_BYTES("yo"));
    jute_put_stat(&out, &stat_a);
    jute_reply_end(&out, frame);

    assert_encoded(state, &out, "0000005a 00000003 0000000000000004 00000000 00000002 796f" STAT_A);
}

static void a_get_children_is_answered_with_count_and_names(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 7, 4, 0);
    mk_buf_put_i32(&out, 2);
    mk_buf_put_field(&out, MK_BYTES("config"));
    mk_buf_put_field(&out, MK_BYTES("quota"));
    jute_reply_end(&out, frame);

    assert_encoded(state, &out,
                   "00000027 00000007 0000000000000004 00000000"
                   "00000002 00000006 636f6e666967 00000005 71756f7461");
}

static void a_sasl_token_may_be_null(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 0x15, 0, 0);
    mk_buf_put_field(&out, MK_BYTES_NULL);
    jute_reply_end(&out, frame);

    assert_encoded(state, &out, "00000014 00000015 0000000000000000 00000000 ffffffff");
}

/* ---- Multis ---- */

static void a_failed_multi_is_nothing_but_errors(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 7, 5, 0);
    jute_put_multi_error(&out, 0);
    jute_put_multi_error(&out, jute_error_code(MK_NO_NODE));
    jute_put_multi_error(&out, jute_error_code(MK_RUNTIME_INCONSISTENCY));
    jute_put_multi_end(&out);
    jute_reply_end(&out, frame);

    assert_encoded(state, &out,
                   "00000040 00000007 0000000000000005 00000000"
                   "ffffffff 00 00000000 00000000"
                   "ffffffff 00 ffffff9b ffffff9b"
                   "ffffffff 00 fffffffe fffffffe"
                   "ffffffff 01 ffffffff");
}

static void a_successful_multi_has_a_result_for_each_operation(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 8, 6, 0);
    jute_put_multi_result(&out, JUTE_CHECK);
    jute_put_multi_result(&out, JUTE_SET_DATA);
    jute_put_stat(&out, &stat_a);
    jute_put_multi_end(&out);
    jute_reply_end(&out, frame);

    assert_encoded(state, &out,
                   "0000006f 00000008 0000000000000006 00000000"
                   "0000000d 00 00000000"
                   "00000005 00 00000000" STAT_A "ffffffff 01 ffffffff");
}

static void a_multi_of_nothing_is_answered_with_its_end(void **state)
{
    struct mk_buf out = {0};

    size_t frame = jute_reply_begin(&out, 18, 10, 0);
    jute_put_multi_end(&out);
    jute_reply_end(&out, frame);

    assert_encoded(state, &out, "00000019 00000012 000000000000000a 00000000 ffffffff 01 ffffffff");
}

/* ---- Notifications ---- */

static void a_notification_has_no_request_and_says_connected(void **state)
{
    struct mk_buf out = {0};

    jute_notification(&out, -1, JUTE_EVENT_DATA_CHANGED, MK_BYTES("/a"));
    jute_notification(&out, 4, JUTE_EVENT_DELETED, MK_BYTES("/a/b0000000000"));

    assert_encoded(state, &out,
                   "0000001e ffffffff ffffffffffffffff 00000000 00000003 00000003 00000002 2f61"
                   "0000002a ffffffff 0000000000000004 00000000 00000002 00000003"
                   "0000000e 2f612f6230303030303030303030");
}

/* ---- Decoding ---- */

static void a_reply_is_decoded_and_its_body_left_to_the_caller(void **state)
{
    struct jute_reply reply;
    struct mk_bytes frame =
        hex(state, "0000005a 00000003 0000000000000004 00000000 00000002 796f" STAT_A);

    assert_int_equal(jute_reply_decode(payload(frame), &reply), MK_OK);
    struct mk_reader body = mk_reader_of(reply.body);
    struct mk_bytes data = mk_read_field(&body);
    struct jute_stat stat = jute_read_stat(&body);

    assert_int_equal(reply.xid, 3);
    assert_int_equal(reply.zxid, 4);
    assert_int_equal(reply.error, 0);
    assert_text(data, "yo");
    assert_int_equal(stat.czxid, 2);
    assert_int_equal(stat.mzxid, 4);
    assert_int_equal(stat.ctime_ms, 0x1a2015ceda2);
    assert_int_equal(stat.mtime_ms, 0x1a2015cedbe);
    assert_int_equal(stat.version, 1);
    assert_int_equal(stat.cversion, 1);
    assert_int_equal(stat.aversion, 0);
    assert_int_equal(stat.ephemeral_owner, 0);
    assert_int_equal(stat.data_length, 2);
    assert_int_equal(stat.children_count, 1);
    assert_int_equal(stat.pzxid, 3);
    assert_false(body.failed);
    assert_int_equal(mk_reader_left(&body), 0);
}

static void less_than_a_reply_header_is_malformed(void **state)
{
    struct mk_bytes header = hex(state, "00000003 0000000000000004 00000000");
    for (size_t len = 0; len < header.len; len++) {
        struct jute_reply reply;
        struct mk_bytes cut = copy(state, mk_bytes_of(header.data, len));
        assert_int_equal(jute_reply_decode(cut, &reply), MK_MALFORMED);
    }
}

static void a_stat_cut_short_fails_the_reader(void **state)
{
    struct mk_bytes whole = hex(state, STAT_A);
    for (size_t len = 0; len < whole.len; len++) {
        struct mk_reader reader = mk_reader_of(copy(state, mk_bytes_of(whole.data, len)));
        (void)jute_read_stat(&reader);
        assert_true(reader.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_response_carries_the_read_only_byte_if_the_request_did),
        cmocka_unit_test(a_refused_connect_response_is_all_zeros),
        cmocka_unit_test(a_reply_without_a_body_is_its_header),
        cmocka_unit_test(a_create_is_answered_with_its_path),
        cmocka_unit_test(a_create2_is_answered_with_path_and_stat),
        cmocka_unit_test(a_get_data_is_answered_with_data_and_stat),
        cmocka_unit_test(a_get_children_is_answered_with_count_and_names),
        cmocka_unit_test(a_sasl_token_may_be_null),
        cmocka_unit_test(a_failed_multi_is_nothing_but_errors),
        cmocka_unit_test(a_successful_multi_has_a_result_for_each_operation),
        cmocka_unit_test(a_multi_of_nothing_is_answered_with_its_end),
        cmocka_unit_test(a_notification_has_no_request_and_says_connected),
        cmocka_unit_test(a_reply_is_decoded_and_its_body_left_to_the_caller),
        cmocka_unit_test(less_than_a_reply_header_is_malformed),
        cmocka_unit_test(a_stat_cut_short_fails_the_reader),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
