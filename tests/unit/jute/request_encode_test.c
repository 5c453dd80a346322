#include "frames.h"

static void every_golden_request_is_encoded_byte_for_byte(void **state)
{
    for (size_t i = 0; i < golden_requests_count; i++) {
        struct jute_request request;
        struct mk_buf out = {0};
        struct mk_bytes frame = hex(state, golden_requests[i].digits);
        assert_int_equal(jute_request_decode(payload(frame), &request), MK_OK);

        jute_request_encode(&out, &request);

        assert_bytes(mk_buf_view(&out), frame);
        mk_buf_free(&out);
    }
}

static void every_golden_multi_is_put_together_again_from_its_operations(void **state)
{
    for (size_t i = 0; i < golden_requests_count; i++) {
        struct jute_request request;
        struct mk_bytes frame = hex(state, golden_requests[i].digits);
        assert_int_equal(jute_request_decode(payload(frame), &request), MK_OK);
        if (request.op != JUTE_MULTI && request.op != JUTE_MULTI_READ) {
            continue;
        }
        struct mk_buf out = {0};
        struct jute_multi_cursor cursor = jute_multi_begin(&request);
        struct jute_request operation;

        size_t multi = jute_multi_request_begin(&out, request.xid, request.op);
        while (jute_multi_next(&cursor, &operation)) {
            jute_multi_request_put(&out, &operation);
        }
        jute_multi_request_end(&out, multi);

        assert_bytes(mk_buf_view(&out), frame);
        mk_buf_free(&out);
    }
}

static void requests_are_appended_one_after_the_other(void **state)
{
    struct mk_buf out = {0};
    struct jute_request ping = {.xid = JUTE_XID_PING, .op = JUTE_PING};
    struct jute_request exists = {.xid = 5, .op = JUTE_EXISTS, .path = MK_BYTES("/nope")};

    jute_request_encode(&out, &ping);
    jute_request_encode(&out, &exists);

    assert_encoded(state, &out,
                   "00000008 fffffffe 0000000b 00000012 00000005 00000003 00000005 2f6e6f7065 00");
}

static void an_operation_that_no_server_knows_can_be_sent(void **state)
{
    struct mk_buf out = {0};
    struct jute_request request = {.xid = 5, .op = 99};

    jute_request_encode(&out, &request);

    assert_encoded(state, &out, "00000008 00000005 00000063");
}

static void a_connect_request_is_encoded_with_and_without_the_read_only_byte(void **state)
{
    static const uint8_t zeros[JUTE_PASSWORD_BYTES];
    struct mk_buf out = {0};
    struct jute_connect connect = {
        .timeout_ms = 10000,
        .password = {zeros, sizeof(zeros)},
        .read_only_present = true,
    };

    jute_connect_encode(&out, &connect);
    connect.read_only_present = false;
    jute_connect_encode(&out, &connect);

    assert_encoded(state, &out,
                   "0000002d 00000000 0000000000000000 00002710 0000000000000000"
                   "00000010 00000000000000000000000000000000 00"
                   "0000002c 00000000 0000000000000000 00002710 0000000000000000"
                   "00000010 00000000000000000000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_request_is_encoded_byte_for_byte),
        cmocka_unit_test(every_golden_multi_is_put_together_again_from_its_operations),
        cmocka_unit_test(requests_are_appended_one_after_the_other),
        cmocka_unit_test(an_operation_that_no_server_knows_can_be_sent),
        cmocka_unit_test(a_connect_request_is_encoded_with_and_without_the_read_only_byte),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
