#include "frames.h"

#define DATA_MAX 64
/* type, zxid, data, authinfo */
#define ACK "00000003 0000000100000005 ffffffff ffffffff"
#define PING_TOUCHES                     \
    "00000005 0000000100000005 00000018" \
    "0100002672780000 00002710 0200002672780000 00000fa0 ffffffff"
#define REQUEST_SYNC                                   \
    "00000001 ffffffffffffffff 00000016"               \
    "0100002672780000 00000007 00000009 00000002 2f61" \
    "00000002 00000002 6970 00000007 302e302e302e31 00000005 776f726c64 ffffffff"

static const char *const packets[] = {
    ACK,
    PING_TOUCHES,
    REQUEST_SYNC,
    "0000000a 0000000100000000 00000009 76657273696f6e3d30 ffffffff", /* NEWLEADER */
    "0000000b 0000000000000000 00000014 0000000000000003 00010000 0000000000000000 ffffffff",
    "00000011 0000000100000000 00000004 00010000 ffffffff", /* LEADERINFO */
    "00000012 0000000000000000 00000004 ffffffff ffffffff", /* ACKEPOCH */
    "0000000d 0000000100000005 ffffffff ffffffff",          /* DIFF */
    "0000000c ffffffffffffffff ffffffff ffffffff",          /* UPTODATE */
    "00000002 0000000100000006 00000000 00000000",          /* empty, not null */
};

static enum mk_status status_of(void **state, const char *digits)
{
    struct jute_packet packet;
    size_t used;
    return jute_packet_read(hex(state, digits), DATA_MAX, &packet, &used);
}

static struct jute_packet packet_of(void **state, const char *digits)
{
    struct jute_packet packet;
    size_t used;
    struct mk_bytes bytes = hex(state, digits);
    assert_int_equal(jute_packet_read(bytes, DATA_MAX, &packet, &used), MK_OK);
    assert_int_equal(used, bytes.len);
    return packet;
}

/* ---- Packets ---- */

static void every_packet_is_written_as_it_was_read(void **state)
{
    for (size_t i = 0; i < MK_COUNT(packets); i++) {
        struct jute_packet packet = packet_of(state, packets[i]);
        struct mk_buf out = {0};

        jute_put_packet(&out, &packet);

        assert_encoded(state, &out, packets[i]);
    }
}

static void a_packet_whose_end_has_not_arrived_asks_for_more(void **state)
{
    for (size_t i = 0; i < MK_COUNT(packets); i++) {
        struct mk_bytes whole = hex(state, packets[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct jute_packet packet;
            size_t used;
            struct mk_bytes part = copy(state, mk_bytes_of(whole.data, len));
            assert_int_equal(jute_packet_read(part, DATA_MAX, &packet, &used), MK_WOULD_BLOCK);
            assert_int_equal(used, 0);
        }
    }
}

static void packets_back_to_back_are_read_one_by_one(void **state)
{
    struct mk_bytes both = hex(state, PING_TOUCHES ACK);
    struct jute_packet packet;
    size_t first, second;

    assert_int_equal(jute_packet_read(both, DATA_MAX, &packet, &first), MK_OK);
    assert_int_equal(packet.type, JUTE_PACKET_PING);
    struct mk_bytes rest = mk_bytes_of(both.data + first, both.len - first);
    assert_int_equal(jute_packet_read(rest, DATA_MAX, &packet, &second), MK_OK);
    assert_int_equal(packet.type, JUTE_PACKET_ACK);
    assert_int_equal(packet.zxid, 0x100000005);
    assert_null_bytes(packet.data);
    assert_int_equal(packet.authinfo_count, -1);
    assert_int_equal(first + second, both.len);
}

static void a_length_that_cannot_be_is_refused_before_its_bytes_come(void **state)
{
    assert_int_equal(status_of(state, "00000002 0000000100000006 00000041"), MK_MALFORMED);
    assert_int_equal(status_of(state, "00000002 0000000100000006 7fffffff"), MK_MALFORMED);
    assert_int_equal(status_of(state, "00000002 0000000100000006 fffffffe"), MK_MALFORMED);
    assert_int_equal(status_of(state, "00000002 0000000100000006 00000040"), MK_WOULD_BLOCK);
}

static void identities_are_bounded_in_number_and_in_bytes(void **state)
{
    const char *const head = "00000001 ffffffffffffffff ffffffff ";
    const struct {
        const char *authinfo;
        enum mk_status status;
    } cases[] = {
        {"00000008", MK_WOULD_BLOCK}, /* eight of eight bytes each are as many as there may be */
        {"00000009", MK_MALFORMED},
        {"7fffffff", MK_MALFORMED},
        {"fffffffe", MK_MALFORMED},
        {"00000001 00000038", MK_WOULD_BLOCK}, /* 56 and two lengths are 64 */
        {"00000001 00000039", MK_MALFORMED},
        {"00000002 00000031", MK_MALFORMED}, /* no room for the other three lengths */
        {"00000001 fffffffe", MK_MALFORMED},
        {"00000001 ffffffff ffffffff", MK_OK},
    };
    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        struct mk_buf digits = {0};
        mk_buf_printf(&digits, "%s%s", head, cases[i].authinfo);
        mk_buf_put_u8(&digits, 0);

        assert_int_equal(status_of(state, (const char *)digits.data), cases[i].status);

        mk_buf_free(&digits);
    }
}

static void a_packet_s_identities_come_in_order(void **state)
{
    struct jute_packet packet = packet_of(state, REQUEST_SYNC);
    struct jute_ids_cursor cursor = jute_ids_begin(&packet);
    struct jute_id id;

    assert_true(jute_ids_next(&cursor, &id));
    assert_text(id.scheme, "ip");
    assert_text(id.id, "0.0.0.1");
    assert_true(jute_ids_next(&cursor, &id));
    assert_text(id.scheme, "world");
    assert_null_bytes(id.id);
    assert_false(jute_ids_next(&cursor, &id));

    packet = packet_of(state, ACK);
    cursor = jute_ids_begin(&packet);
    assert_false(jute_ids_next(&cursor, &id));
}

static void data_may_be_put_where_it_will_be_sent_from(void **state)
{
    struct mk_buf out = {0};
    mk_buf_put_u8(&out, 0xee); /* what was there before */

    size_t packet = jute_packet_begin(&out, JUTE_PACKET_NEWLEADER, 0x100000000);
    mk_buf_append_bytes(&out, MK_BYTES("version=0"));
    jute_packet_end(&out, packet);

    assert_encoded(state, &out,
                   "ee 0000000a 0000000100000000 00000009 76657273696f6e3d30 ffffffff");
}

/* ---- What they carry ---- */

static void a_learner_says_who_it_is_in_as_many_bytes_as_its_release_has(void **state)
{
    const char *const whole = "0000000000000003 00010000 0000000100000000";
    struct mk_bytes bytes = hex(state, whole);
    struct jute_learner_info info;

    assert_int_equal(jute_learner_info_read(bytes, &info), MK_OK);
    assert_int_equal(info.id, 3);
    assert_int_equal(info.protocol_version, JUTE_PROTOCOL_VERSION);
    assert_int_equal(info.config_version, 0x100000000);
    struct mk_buf out = {0};
    jute_put_learner_info(&out, &info);
    assert_encoded(state, &out, whole);

    for (size_t len = 0; len < bytes.len; len++) {
        struct mk_bytes part = copy(state, mk_bytes_of(bytes.data, len));
        assert_int_equal(jute_learner_info_read(part, &info), len < 8 ? MK_MALFORMED : MK_OK);
        assert_int_equal(info.protocol_version, len < 12 ? 0 : JUTE_PROTOCOL_VERSION);
        assert_int_equal(info.config_version, 0);
    }
    assert_int_equal(jute_learner_info_read(MK_BYTES_NULL, &info), MK_MALFORMED);
}

static void who_runs_recipes_says_so_behind_what_a_zookeeper_reads(void **state)
{
    const char *const learner = "0000000000000003 00010000 0000000000000000 4d4b726563697031";
    const char *const leader = "00010000 4d4b726563697031";
    struct mk_bytes as_learner = hex(state, learner), as_leader = hex(state, leader);
    struct jute_learner_info info;
    struct jute_leader_info leader_info;
    struct mk_buf out = {0}, leader_out = {0};

    assert_int_equal(jute_learner_info_read(as_learner, &info), MK_OK);
    assert_true(info.announces);
    jute_put_learner_info(&out, &info);
    assert_encoded(state, &out, learner);
    assert_int_equal(jute_leader_info_read(as_leader, &leader_info), MK_OK);
    assert_int_equal(leader_info.protocol_version, JUTE_PROTOCOL_VERSION);
    assert_true(leader_info.announces);
    jute_put_leader_info(&leader_out, &leader_info);
    assert_encoded(state, &leader_out, leader);

    for (size_t len = 4; len < as_leader.len; len++) {
        struct mk_bytes part = copy(state, mk_bytes_of(as_leader.data, len));
        assert_int_equal(jute_leader_info_read(part, &leader_info), MK_OK);
        assert_false(leader_info.announces);
    }
    struct mk_bytes later =
        hex(state, "0000000000000003 00010000 0000000000000000 4d4b726563697032");
    assert_int_equal(jute_learner_info_read(later, &info), MK_OK);
    assert_false(info.announces);
    assert_int_equal(jute_leader_info_read(MK_BYTES("abc"), &leader_info), MK_MALFORMED);
}

static void the_result_of_a_forwarded_call_says_whose_it_is(void **state)
{
    const char *const whole = "0100000000000001 00000007 0000000100000005 ffffffff";
    struct mk_bytes bytes = hex(state, whole);
    struct jute_result result;
    struct mk_buf out = {0};

    assert_int_equal(jute_result_read(bytes, &result), MK_OK);
    assert_int_equal(result.session, 0x100000000000001);
    assert_int_equal(result.cxid, 7);
    assert_int_equal(result.parked, 0x100000005);
    assert_int_equal(result.body.len, 4);
    jute_put_result(&out, &result);
    assert_encoded(state, &out, whole);
    for (size_t len = 0; len < 20; len++) {
        struct mk_bytes part = copy(state, mk_bytes_of(bytes.data, len));
        assert_int_equal(jute_result_read(part, &result), MK_MALFORMED);
    }
    struct mk_bytes nobody = hex(state, "0000000000000000 00000007 0000000100000005");
    assert_int_equal(jute_result_read(nobody, &result), MK_MALFORMED);
    struct mk_bytes negative = hex(state, "0100000000000001 00000007 8000000100000005");
    assert_int_equal(jute_result_read(negative, &result), MK_MALFORMED);
}

static void a_ping_is_answered_with_the_sessions_that_are_alive(void **state)
{
    struct jute_packet packet = packet_of(state, PING_TOUCHES);
    struct mk_reader reader = mk_reader_of(packet.data);
    struct jute_touch touch;

    assert_int_equal(jute_touch_next(&reader, &touch), MK_OK);
    assert_int_equal(touch.session, 0x100002672780000);
    assert_int_equal(touch.timeout_ms, 10000);
    assert_int_equal(jute_touch_next(&reader, &touch), MK_OK);
    assert_int_equal(touch.session, 0x200002672780000);
    assert_int_equal(jute_touch_next(&reader, &touch), MK_END);

    reader = mk_reader_of(MK_BYTES_NULL);
    assert_int_equal(jute_touch_next(&reader, &touch), MK_END);
    reader = mk_reader_of(hex(state, "0100002672780000 000027"));
    assert_int_equal(jute_touch_next(&reader, &touch), MK_MALFORMED);
    assert_int_equal(jute_touch_next(&reader, &touch), MK_MALFORMED);
}

static void a_session_is_asked_about_and_answered_for(void **state)
{
    struct jute_touch touch;
    struct jute_validity validity;
    struct mk_buf out = {0};

    assert_int_equal(jute_touch_read(hex(state, "0100002672780000 00002710"), &touch), MK_OK);
    jute_put_touch(&out, touch);
    assert_encoded(state, &out, "0100002672780000 00002710");
    assert_int_equal(jute_touch_read(MK_BYTES_NULL, &touch), MK_MALFORMED);

    assert_int_equal(jute_validity_read(hex(state, "0100002672780000 01"), &validity), MK_OK);
    assert_true(validity.valid);
    jute_put_validity(&out, validity);
    assert_encoded(state, &out, "0100002672780000 01");
    assert_int_equal(jute_validity_read(hex(state, "0100002672780000"), &validity), MK_MALFORMED);
}

static void a_forwarded_request_decodes_as_the_client_sent_it(void **state)
{
    struct jute_packet packet = packet_of(state, REQUEST_SYNC);
    struct jute_forwarded forwarded;
    struct jute_request request;

    assert_int_equal(jute_forwarded_read(packet.data, &forwarded), MK_OK);
    assert_int_equal(forwarded.session, 0x100002672780000);
    assert_int_equal(forwarded.cxid, 7);
    assert_int_equal(forwarded.op, JUTE_SYNC);
    assert_bytes(forwarded.record, hex(state, "00000002 2f61"));
    assert_int_equal(jute_request_decode(forwarded.payload, &request), MK_OK);
    assert_int_equal(request.xid, 7);
    assert_text(request.path, "/a");

    struct mk_buf out = {0};
    jute_put_forwarded(&out, &forwarded);
    assert_bytes(mk_buf_view(&out), packet.data);
    mk_buf_free(&out);
    for (size_t len = 0; len < 16; len++) {
        struct mk_bytes part = copy(state, mk_bytes_of(packet.data.data, len));
        assert_int_equal(jute_forwarded_read(part, &forwarded), MK_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_is_written_as_it_was_read),
        cmocka_unit_test(a_packet_whose_end_has_not_arrived_asks_for_more),
        cmocka_unit_test(packets_back_to_back_are_read_one_by_one),
        cmocka_unit_test(a_length_that_cannot_be_is_refused_before_its_bytes_come),
        cmocka_unit_test(identities_are_bounded_in_number_and_in_bytes),
        cmocka_unit_test(a_packet_s_identities_come_in_order),
        cmocka_unit_test(data_may_be_put_where_it_will_be_sent_from),
        cmocka_unit_test(a_learner_says_who_it_is_in_as_many_bytes_as_its_release_has),
        cmocka_unit_test(who_runs_recipes_says_so_behind_what_a_zookeeper_reads),
        cmocka_unit_test(the_result_of_a_forwarded_call_says_whose_it_is),
        cmocka_unit_test(a_ping_is_answered_with_the_sessions_that_are_alive),
        cmocka_unit_test(a_session_is_asked_about_and_answered_for),
        cmocka_unit_test(a_forwarded_request_decodes_as_the_client_sent_it),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
