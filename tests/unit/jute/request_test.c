#include "frames.h"

#include <stdio.h>

/* A request frame of ZooKeeper's clients, decoded. */
static struct jute_request decoded(void **state, const char *digits)
{
    struct jute_request request;
    assert_int_equal(jute_request_decode(payload(hex(state, digits)), &request), MK_OK);
    return request;
}

/* What becomes of header and record of `op`, given without the frame's length. */
static enum mk_status status_of(void **state, const char *digits)
{
    struct jute_request request;
    return jute_request_decode(hex(state, digits), &request);
}

static enum mk_status status_of_op(int32_t op)
{
    uint8_t bytes[64] = {0};
    struct jute_request request;
    mk_store_u32(bytes, 77);
    mk_store_u32(bytes + 4, (uint32_t)op);

    enum mk_status status = jute_request_decode(mk_bytes_of(bytes, sizeof(bytes)), &request);

    assert_int_equal(request.xid, 77);
    assert_int_equal(request.op, op);
    return status;
}

/* ---- Connect ---- */

#define CONNECT_44                                        \
    "00000000 0000000000000009 00002710 0100002672780000" \
    "00000010 faf561f2ff88c191683a9105e096d176"

static void a_connect_request_is_decoded(void **state)
{
    struct jute_connect connect;
    struct mk_bytes frame = hex(state, "0000002d" CONNECT_44 "01");

    assert_int_equal(jute_connect_decode(payload(frame), &connect), MK_OK);

    assert_int_equal(connect.protocol_version, 0);
    assert_int_equal(connect.last_zxid_seen, 9);
    assert_int_equal(connect.timeout_ms, 10000);
    assert_int_equal(connect.session_id, 0x0100002672780000);
    assert_bytes(connect.password, hex(state, "faf561f2ff88c191683a9105e096d176"));
    assert_true(connect.read_only_present);
    assert_true(connect.read_only);
}

static void a_connect_request_of_an_old_client_has_no_read_only_byte(void **state)
{
    struct jute_connect connect;
    struct mk_bytes frame = hex(state, "0000002c" CONNECT_44);

    assert_int_equal(jute_connect_decode(payload(frame), &connect), MK_OK);

    assert_false(connect.read_only_present);
    assert_false(connect.read_only);
}

static void a_connect_request_may_have_any_password_or_none(void **state)
{
    struct jute_connect connect;
    const char *fixed = "00000007 ffffffffffffffff ffffffff 0000000000000000";
    struct mk_buf frame = {0};
    mk_buf_append_bytes(&frame, hex(state, fixed));

    mk_buf_put_field(&frame, MK_BYTES_NULL);
    assert_int_equal(jute_connect_decode(copy(state, mk_buf_view(&frame)), &connect), MK_OK);
    assert_null_bytes(connect.password);
    assert_int_equal(connect.protocol_version, 7);
    assert_int_equal(connect.timeout_ms, -1);

    frame.len -= 4;
    mk_buf_put_field(&frame, MK_BYTES("xyz"));
    assert_int_equal(jute_connect_decode(copy(state, mk_buf_view(&frame)), &connect), MK_OK);
    assert_text(connect.password, "xyz");
    mk_buf_free(&frame);
}

static void a_connect_request_cut_short_is_malformed(void **state)
{
    struct mk_bytes whole = hex(state, CONNECT_44);
    for (size_t len = 0; len < whole.len; len++) {
        struct jute_connect connect;
        struct mk_bytes cut = copy(state, mk_bytes_of(whole.data, len));
        assert_int_equal(jute_connect_decode(cut, &connect), MK_MALFORMED);
    }
}

/* ---- Headers ---- */

static void less_than_a_header_is_malformed_and_has_no_op(void **state)
{
    struct mk_bytes header = hex(state, "00000005 00000004");
    for (size_t len = 0; len < 8; len++) {
        struct jute_request request;
        struct mk_bytes cut = copy(state, mk_bytes_of(header.data, len));
        assert_int_equal(jute_request_decode(cut, &request), MK_MALFORMED);
        assert_false(request.malformed);
        assert_int_equal(request.xid, 0);
        assert_int_equal(request.op, JUTE_NOTIFICATION);
    }
}

static void an_unknown_operation_is_unimplemented_and_keeps_its_xid(void **state)
{
    static const int32_t ops[] = {0,  10, 23,  99,  108,       699,      702,
                                  -1, -2, -10, -12, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < MK_COUNT(ops); i++) {
        assert_int_equal(status_of_op(ops[i]), MK_UNIMPLEMENTED);
    }
}

static void check_and_delete_container_are_unimplemented_outside_a_multi(void **state)
{
    assert_int_equal(status_of_op(JUTE_CHECK), MK_UNIMPLEMENTED);
    assert_int_equal(status_of_op(JUTE_DELETE_CONTAINER), MK_UNIMPLEMENTED);
}

/* ---- Records ---- */

static void every_golden_request_is_decoded(void **state)
{
    for (size_t i = 0; i < golden_requests_count; i++) {
        const struct golden *golden = &golden_requests[i];
        struct jute_request request = decoded(state, golden->digits);
        assert_int_equal(request.xid, golden->xid);
        assert_int_equal(request.op, golden->op);
    }
}

static void every_golden_request_cut_short_is_malformed(void **state)
{
    for (size_t i = 0; i < golden_requests_count; i++) {
        struct mk_bytes whole = payload(hex(state, golden_requests[i].digits));
        for (size_t len = 8; len < whole.len; len++) {
            struct jute_request request;
            struct mk_bytes cut = copy(state, mk_bytes_of(whole.data, len));
            assert_int_equal(jute_request_decode(cut, &request), MK_MALFORMED);
            assert_true(request.malformed);
            assert_int_equal(request.xid, golden_requests[i].xid);
            assert_int_equal(request.op, golden_requests[i].op);
            assert_false(request.writes_only);
        }
    }
}

static void what_follows_a_record_is_ignored(void **state)
{
    for (size_t i = 0; i < golden_requests_count; i++) {
        struct mk_bytes whole = payload(hex(state, golden_requests[i].digits));
        struct mk_buf longer = {0};
        mk_buf_append_bytes(&longer, whole);
        mk_buf_put_u32(&longer, 0xffffffff);
        struct jute_request request;
        struct mk_bytes bytes = copy(state, mk_buf_view(&longer));
        assert_int_equal(jute_request_decode(bytes, &request), MK_OK);
        mk_buf_free(&longer);
    }
}

static void a_create_has_path_data_acl_and_mode(void **state)
{
    struct jute_request request = decoded(
        state, "00000033 00000001 00000001 00000002 2f61 00000002 6869 " OPEN_ACL " 00000002");

    assert_text(request.path, "/a");
    assert_text(request.data, "hi");
    assert_bytes(request.acl, hex(state, OPEN_ACL));
    assert_int_equal(request.flags, 2);
}

static void a_create_with_ttl_has_one(void **state)
{
    struct jute_request request =
        decoded(state, "00000039 00000002 00000015 00000002 2f74 00000000 " OPEN_ACL
                       " 00000005 000000000000ea60");

    assert_int_equal(request.flags, 5);
    assert_int_equal(request.ttl_ms, 60000);
}

static void null_path_data_and_acl_stay_null(void **state)
{
    struct jute_request request =
        decoded(state, "00000018 00000001 00000001 ffffffff ffffffff ffffffff 00000000");

    assert_null_bytes(request.path);
    assert_null_bytes(request.data);
    assert_null_bytes(request.acl);
}

static void empty_path_data_and_acl_are_not_null(void **state)
{
    struct jute_request request =
        decoded(state, "00000018 00000001 00000001 00000000 00000000 00000000 00000000");

    assert_text(request.path, "");
    assert_text(request.data, "");
    assert_bytes(request.acl, hex(state, "00000000"));
}

static void a_create_keeps_a_mode_that_is_none_for_prepare_to_judge(void **state)
{
    struct jute_request request =
        decoded(state, "00000018 00000001 00000001 ffffffff ffffffff ffffffff 00000007");

    assert_int_equal(request.flags, 7);
}

static void a_negative_acl_count_other_than_null_is_malformed(void **state)
{
    assert_int_equal(status_of(state, "00000001 00000001 00000000 00000000 fffffffe 00000000"),
                     MK_MALFORMED);
}

static void any_byte_but_zero_is_true(void **state)
{
    assert_true(decoded(state, "0000000f 00000003 00000004 00000002 2f61 07").watch);
    assert_true(decoded(state, "0000000f 00000003 00000004 00000002 2f61 80").watch);
    assert_false(decoded(state, "0000000f 00000003 00000004 00000002 2f61 00").watch);
}

static void a_string_length_below_minus_one_or_beyond_the_frame_is_malformed(void **state)
{
    assert_int_equal(status_of(state, "00000001 00000004 fffffffe 00000000 00"), MK_MALFORMED);
    assert_int_equal(status_of(state, "00000001 00000004 80000000 00000000 00"), MK_MALFORMED);
    assert_int_equal(status_of(state, "00000001 00000004 7fffffff 2f61 00"), MK_MALFORMED);
    assert_int_equal(status_of(state, "00000001 00000004 00000003 2f61 00"), MK_MALFORMED);
}

static void a_set_data_has_data_and_version(void **state)
{
    struct jute_request request =
        decoded(state, "00000018 00000004 00000005 00000002 2f61 00000002 796f ffffffff");

    assert_text(request.data, "yo");
    assert_int_equal(request.version, -1);
}

static void a_set_acl_has_acl_and_version(void **state)
{
    struct jute_request request =
        decoded(state, "0000002d 00000008 00000007 00000002 2f63 " OPEN_ACL " 00000009");

    assert_bytes(request.acl, hex(state, OPEN_ACL));
    assert_int_equal(request.version, 9);
}

static void an_auth_has_scheme_and_credentials(void **state)
{
    struct jute_request request = decoded(
        state,
        "00000024 fffffffc 00000064 00000000 00000006 646967657374 0000000a 626f623a736563726574");

    assert_text(request.scheme, "digest");
    assert_text(request.data, "bob:secret");
}

static void a_reconfig_has_its_three_lists_and_the_expected_config(void **state)
{
    struct jute_request request = decoded(
        state,
        "00000022 00000014 00000010 00000001 61 00000001 62 00000004 733d613a 0000000100000002");

    assert_text(request.joining, "a");
    assert_text(request.leaving, "b");
    assert_text(request.data, "s=a:");
    assert_int_equal(request.relative_zxid, 0x100000002);
}

static void an_add_watch_has_its_mode_whatever_it_is(void **state)
{
    assert_int_equal(decoded(state, "00000012 00000013 0000006a 00000002 2f70 00000009").flags, 9);
}

static void set_watches_has_three_lists_and_set_watches2_five(void **state)
{
    struct jute_request three = decoded(
        state,
        "00000022 fffffff8 00000065 0000000000000005 00000001 00000002 2f61 00000000 ffffffff");
    struct jute_request five =
        decoded(state, "00000030 fffffff8 00000069 0000000000000000 00000000 00000000 00000000"
                       "00000001 00000002 2f70 00000001 00000002 2f72");
    struct jute_strings_cursor cursor = jute_strings_begin(five.lists[4]);
    struct mk_bytes path;

    assert_int_equal(three.relative_zxid, 5);
    assert_int_equal(three.lists[0].count, 1);
    assert_int_equal(three.lists[2].count, 0);
    assert_int_equal(five.lists[0].count, 0);
    assert_int_equal(five.lists[3].count, 1);
    assert_true(jute_strings_next(&cursor, &path));
    assert_text(path, "/r");
}

static void a_list_of_more_watches_than_the_frame_can_hold_is_malformed(void **state)
{
    assert_int_equal(
        status_of(state,
                  "fffffff8 00000065 0000000000000000 7fffffff 00000002 2f61 00000000 00000000"),
        MK_MALFORMED);
}

static void a_call_is_decoded(void **state)
{
    struct jute_request request =
        decoded(state, "00000036 0000001e 000002bc 0000000c 6c6f636b2e61637175697265"
                       "0000000000000007 0000000000000005 00000002 2f78 01 00000003 7b2020");

    assert_text(request.operation, "lock.acquire");
    assert_int_equal(request.call_id, 7);
    assert_int_equal(request.done_through, 5);
    assert_text(request.chroot, "/x");
    assert_int_equal(request.format, JUTE_CALL_MSGPACK);
    assert_text(request.data, "{  ");
}

static void a_call_in_a_format_that_is_none_is_malformed(void **state)
{
    static const char *const formats[] = {"02", "7f", "81", "ff"};
    char frame[128];

    for (size_t i = 0; i < MK_COUNT(formats); i++) {
        (void)snprintf(frame, sizeof(frame),
                       "0000001e 000002bc 00000001 61 0000000000000000"
                       "0000000000000000 ffffffff %s 00000000",
                       formats[i]);
        assert_int_equal(status_of(state, frame), MK_MALFORMED);
    }
}

static void a_dry_run_is_a_call_in_json(void **state)
{
    struct jute_request request =
        decoded(state, "00000036 0000001e 000002bc 0000000c 6c6f636b2e61637175697265"
                       "0000000000000007 0000000000000005 00000002 2f78 80 00000003 7b2020");

    assert_true(request.dry_run);
    assert_int_equal(request.format, JUTE_CALL_JSON);
}

/* ---- Multis ---- */

#define MULTI "00000007 0000000e"
#define MULTI_READ "00000007 00000016"
#define END "ffffffff 01 ffffffff"
#define CHECK_A "0000000d 00 ffffffff 00000002 2f61 00000001"
#define GET_A "00000004 00 ffffffff 00000002 2f61 01"
#define CREATE_A_MODE(mode) "00000001 00 ffffffff 00000002 2f61 00000000 00000000 000000" mode

static void a_multi_gives_its_operations_in_order(void **state)
{
    struct jute_request multi =
        decoded(state, "0000006c 00000007 0000000e"
                       "00000001 00 ffffffff 00000002 2f6d 00000000 " OPEN_ACL " 00000003"
                       "0000000d 00 ffffffff 00000005 2f6e6f7065 00000004"
                       "00000002 00 ffffffff 00000002 2f61 ffffffff" END);
    struct jute_multi_cursor cursor = jute_multi_begin(&multi);
    struct jute_request operation;

    assert_true(jute_multi_next(&cursor, &operation));
    assert_int_equal(operation.op, JUTE_CREATE);
    assert_text(operation.path, "/m");
    assert_bytes(operation.acl, hex(state, OPEN_ACL));
    assert_int_equal(operation.flags, 3);
    assert_true(jute_multi_next(&cursor, &operation));
    assert_int_equal(operation.op, JUTE_CHECK);
    assert_text(operation.path, "/nope");
    assert_int_equal(operation.version, 4);
    assert_null_bytes(operation.acl);
    assert_true(jute_multi_next(&cursor, &operation));
    assert_int_equal(operation.op, JUTE_DELETE);
    assert_int_equal(operation.version, -1);
    assert_false(jute_multi_next(&cursor, &operation));
    assert_false(jute_multi_next(&cursor, &operation));
}

static void a_multi_of_nothing_is_legal(void **state)
{
    struct jute_request multi = decoded(state, "00000011" MULTI END);
    struct jute_multi_cursor cursor = jute_multi_begin(&multi);
    struct jute_request operation;

    assert_false(jute_multi_next(&cursor, &operation));
}

static void whatever_header_is_done_ends_a_multi(void **state)
{
    struct jute_request multi = decoded(state, "00000011" MULTI "00000001 02 00000000");

    assert_int_equal(multi.operations.len, 0);
}

static void a_multi_may_hold_every_write(void **state)
{
    static const char *const multis[] = {
        MULTI "00000001 00 ffffffff 00000001 61 00000000 00000000 00000000" END,
        MULTI "00000002 00 ffffffff 00000001 61 00000000" END,
        MULTI "00000005 00 ffffffff 00000001 61 00000000 00000000" END,
        MULTI "0000000d 00 ffffffff 00000001 61 00000000" END,
        MULTI "0000000f 00 ffffffff 00000001 61 00000000 00000000 00000000" END,
        MULTI "00000013 00 ffffffff 00000001 61 00000000 00000000 00000004" END,
        MULTI "00000015 00 ffffffff 00000001 61 00000000 00000000 00000005 0000000000000001" END,
    };
    for (size_t i = 0; i < MK_COUNT(multis); i++) {
        assert_int_equal(status_of(state, multis[i]), MK_OK);
    }
}

static void anything_but_writes_in_a_multi_is_malformed(void **state)
{
    for (int32_t op = -20; op < 800; op++) {
        bool legal = op == 1 || op == 2 || op == 5 || op == 13 || op == 15 || op == 19 || op == 21;
        uint8_t bytes[128] = {0};
        mk_store_u32(bytes + 4, JUTE_MULTI);
        mk_store_u32(bytes + 8, (uint32_t)op);
        for (size_t end = 17; end + 9 <= sizeof(bytes) && !legal; end++) {
            struct jute_request request;
            bytes[end + 4] = 1; /* an end header, wherever the record may end */
            struct mk_bytes frame = mk_bytes_of(bytes, end + 9);
            assert_int_equal(jute_request_decode(frame, &request), MK_MALFORMED);
            assert_false(request.writes_only);
            bytes[end + 4] = 0;
        }
    }
}

static void a_multi_without_its_end_is_malformed(void **state)
{
    assert_int_equal(status_of(state, MULTI), MK_MALFORMED);
    assert_int_equal(status_of(state, MULTI CHECK_A), MK_MALFORMED);
    assert_int_equal(status_of(state, MULTI_READ GET_A), MK_MALFORMED);
    assert_int_equal(status_of(state, MULTI CHECK_A "ffffffff 01 ffffff"), MK_MALFORMED);
}

static void a_create_mode_that_is_none_makes_its_multi_malformed(void **state)
{
    assert_int_equal(status_of(state, MULTI CREATE_A_MODE("06") END), MK_OK);
    assert_int_equal(status_of(state, MULTI CREATE_A_MODE("07") END), MK_MALFORMED);
    assert_int_equal(status_of(state, MULTI "00000001 00 ffffffff 00000002 2f61 00000000 00000000"
                                            "ffffffff" END),
                     MK_MALFORMED);
}

static void reads_in_a_multi_are_malformed_without_a_body_to_answer(void **state)
{
    struct jute_request request;

    assert_int_equal(jute_request_decode(hex(state, MULTI GET_A END), &request), MK_MALFORMED);
    assert_false(request.writes_only);
    assert_int_equal(status_of(state, MULTI CHECK_A GET_A END), MK_MALFORMED);
}

static void a_multi_read_gives_its_reads_in_order(void **state)
{
    struct jute_request multi =
        decoded(state, "0000002f" MULTI_READ GET_A "00000008 00 ffffffff 00000000 00" END);
    struct jute_multi_cursor cursor = jute_multi_begin(&multi);
    struct jute_request operation;

    assert_true(jute_multi_next(&cursor, &operation));
    assert_int_equal(operation.op, JUTE_GET_DATA);
    assert_text(operation.path, "/a");
    assert_true(operation.watch);
    assert_true(jute_multi_next(&cursor, &operation));
    assert_int_equal(operation.op, JUTE_GET_CHILDREN);
    assert_text(operation.path, "");
    assert_false(operation.watch);
    assert_false(jute_multi_next(&cursor, &operation));
}

static void a_multi_read_of_writes_is_malformed_and_says_so(void **state)
{
    struct jute_request request;

    assert_int_equal(jute_request_decode(hex(state, MULTI_READ CHECK_A END), &request),
                     MK_MALFORMED);
    assert_true(request.writes_only);
    assert_int_equal(request.xid, 7);
}

static void a_multi_read_that_mixes_reads_and_writes_is_just_malformed(void **state)
{
    struct jute_request request;
    struct mk_bytes frame = hex(state, MULTI_READ CHECK_A GET_A END);

    assert_int_equal(jute_request_decode(frame, &request), MK_MALFORMED);
    assert_false(request.writes_only);
}

static void a_multi_read_may_not_hold_exists(void **state)
{
    struct jute_request request;
    struct mk_bytes frame = hex(state, MULTI_READ "00000003 00 ffffffff 00000002 2f61 00" END);

    assert_int_equal(jute_request_decode(frame, &request), MK_MALFORMED);
    assert_false(request.writes_only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_request_is_decoded),
        cmocka_unit_test(a_connect_request_of_an_old_client_has_no_read_only_byte),
        cmocka_unit_test(a_connect_request_may_have_any_password_or_none),
        cmocka_unit_test(a_connect_request_cut_short_is_malformed),
        cmocka_unit_test(less_than_a_header_is_malformed_and_has_no_op),
        cmocka_unit_test(an_unknown_operation_is_unimplemented_and_keeps_its_xid),
        cmocka_unit_test(check_and_delete_container_are_unimplemented_outside_a_multi),
        cmocka_unit_test(every_golden_request_is_decoded),
        cmocka_unit_test(every_golden_request_cut_short_is_malformed),
        cmocka_unit_test(what_follows_a_record_is_ignored),
        cmocka_unit_test(a_create_has_path_data_acl_and_mode),
        cmocka_unit_test(a_create_with_ttl_has_one),
        cmocka_unit_test(null_path_data_and_acl_stay_null),
        cmocka_unit_test(empty_path_data_and_acl_are_not_null),
        cmocka_unit_test(a_create_keeps_a_mode_that_is_none_for_prepare_to_judge),
        cmocka_unit_test(a_negative_acl_count_other_than_null_is_malformed),
        cmocka_unit_test(any_byte_but_zero_is_true),
        cmocka_unit_test(a_string_length_below_minus_one_or_beyond_the_frame_is_malformed),
        cmocka_unit_test(a_set_data_has_data_and_version),
        cmocka_unit_test(a_set_acl_has_acl_and_version),
        cmocka_unit_test(an_auth_has_scheme_and_credentials),
        cmocka_unit_test(a_reconfig_has_its_three_lists_and_the_expected_config),
        cmocka_unit_test(an_add_watch_has_its_mode_whatever_it_is),
        cmocka_unit_test(set_watches_has_three_lists_and_set_watches2_five),
        cmocka_unit_test(a_list_of_more_watches_than_the_frame_can_hold_is_malformed),
        cmocka_unit_test(a_call_is_decoded),
        cmocka_unit_test(a_call_in_a_format_that_is_none_is_malformed),
        cmocka_unit_test(a_dry_run_is_a_call_in_json),
        cmocka_unit_test(a_multi_gives_its_operations_in_order),
        cmocka_unit_test(a_multi_of_nothing_is_legal),
        cmocka_unit_test(whatever_header_is_done_ends_a_multi),
        cmocka_unit_test(a_multi_may_hold_every_write),
        cmocka_unit_test(anything_but_writes_in_a_multi_is_malformed),
        cmocka_unit_test(a_multi_without_its_end_is_malformed),
        cmocka_unit_test(a_create_mode_that_is_none_makes_its_multi_malformed),
        cmocka_unit_test(reads_in_a_multi_are_malformed_without_a_body_to_answer),
        cmocka_unit_test(a_multi_read_gives_its_reads_in_order),
        cmocka_unit_test(a_multi_read_of_writes_is_malformed_and_says_so),
        cmocka_unit_test(a_multi_read_that_mixes_reads_and_writes_is_just_malformed),
        cmocka_unit_test(a_multi_read_may_not_hold_exists),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
