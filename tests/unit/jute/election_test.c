#include "frames.h"

/* "127.0.0.1:3888" */
#define ADDRESS "0000000e 3132372e302e302e313a33383838"
#define HELLO_V1 "ffffffffffff0000 0000000000000003 " ADDRESS
#define HELLO_V2 "ffffffffffff0001 0000000000000003 00000007 613a317c623a32" /* a:1|b:2 */
#define HELLO_LEGACY "0000000000000003"

/* state, leader, zxid, round; peerEpoch; version; configuration */
#define VOTE "00000002 0000000000000003 0000000500000007 0000000000000009"
#define PEER_EPOCH " 0000000000000006"
#define CONFIG " 00000009 76657273696f6e3d30"

static enum mk_status hello_status(void **state, const char *digits)
{
    struct jute_election_hello hello;
    size_t used;
    return jute_election_hello_read(hex(state, digits), &hello, &used);
}

static void a_server_says_first_who_it_is_and_where(void **state)
{
    struct mk_bytes bytes = hex(state, HELLO_V1 "00000024");
    struct jute_election_hello hello;
    size_t used;

    assert_int_equal(jute_election_hello_read(bytes, &hello, &used), MK_OK);
    assert_int_equal(hello.id, 3);
    assert_text(hello.addresses, "127.0.0.1:3888");
    assert_int_equal(used, bytes.len - 4);

    struct mk_buf out = {0};
    jute_put_election_hello(&out, &hello);
    assert_encoded(state, &out, HELLO_V1);
}

static void servers_of_other_releases_are_understood(void **state)
{
    struct jute_election_hello hello;
    size_t used;

    assert_int_equal(jute_election_hello_read(hex(state, HELLO_V2), &hello, &used), MK_OK);
    assert_text(hello.addresses, "a:1|b:2");
    assert_int_equal(jute_election_hello_read(hex(state, HELLO_LEGACY VOTE), &hello, &used), MK_OK);
    assert_int_equal(hello.id, 3);
    assert_null_bytes(hello.addresses);
    assert_int_equal(used, 8);
}

static void a_hello_whose_end_has_not_arrived_asks_for_more(void **state)
{
    const char *const hellos[] = {HELLO_V1, HELLO_V2, HELLO_LEGACY};
    for (size_t i = 0; i < MK_COUNT(hellos); i++) {
        struct mk_bytes whole = hex(state, hellos[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct jute_election_hello hello;
            size_t used;
            struct mk_bytes part = copy(state, mk_bytes_of(whole.data, len));
            assert_int_equal(jute_election_hello_read(part, &hello, &used), MK_WOULD_BLOCK);
        }
    }
}

static void a_hello_that_is_none_is_refused(void **state)
{
    assert_int_equal(hello_status(state, "fffffffffffffffe"), MK_MALFORMED);
    assert_int_equal(hello_status(state, "8000000000000000"), MK_MALFORMED);
    assert_int_equal(hello_status(state, "ffffffffffff0000 fffffffffffffffe " ADDRESS),
                     MK_MALFORMED);
    assert_int_equal(hello_status(state, "ffffffffffff0000 0000000000000003 00000000"),
                     MK_MALFORMED);
    assert_int_equal(hello_status(state, "ffffffffffff0000 0000000000000003 ffffffff"),
                     MK_MALFORMED);
    assert_int_equal(hello_status(state, "ffffffffffff0000 0000000000000003 00000801"),
                     MK_MALFORMED);
    assert_int_equal(hello_status(state, "ffffffffffff0000 0000000000000003 00000800"),
                     MK_WOULD_BLOCK);
}

static void a_notification_is_written_as_it_was_read(void **state)
{
    const char *const whole = VOTE PEER_EPOCH "00000002" CONFIG;
    struct jute_notification notification;

    assert_int_equal(jute_notification_read(hex(state, whole), &notification), MK_OK);
    assert_int_equal(notification.state, JUTE_LEADING);
    assert_int_equal(notification.leader, 3);
    assert_int_equal(notification.zxid, 0x500000007);
    assert_int_equal(notification.round, 9);
    assert_int_equal(notification.peer_epoch, 6);
    assert_int_equal(notification.version, 2);
    assert_text(notification.config, "version=0");

    struct mk_buf out = {0};
    jute_put_notification(&out, &notification);
    assert_encoded(state, &out, whole);
}

static void an_observer_s_first_vote_is_the_smallest_there_is(void **state)
{
    const char *const whole =
        "00000000 8000000000000000 8000000000000000 0000000000000001 8000000000000000 00000002 "
        "00000000";
    struct jute_notification notification;

    assert_int_equal(jute_notification_read(hex(state, whole), &notification), MK_OK);
    assert_int_equal(notification.leader, INT64_MIN);
    assert_int_equal(notification.peer_epoch, INT64_MIN);
    assert_int_equal(notification.config.len, 0);
    struct mk_buf out = {0};
    jute_put_notification(&out, &notification);
    assert_encoded(state, &out, whole);
}

static void notifications_of_older_releases_end_earlier(void **state)
{
    struct jute_notification notification;

    assert_int_equal(jute_notification_read(hex(state, VOTE), &notification), MK_OK);
    assert_int_equal(notification.peer_epoch, 5);
    assert_int_equal(notification.version, 0);

    struct mk_bytes of_3_4_6 = hex(state, VOTE PEER_EPOCH "00000001");
    assert_int_equal(jute_notification_read(of_3_4_6, &notification), MK_OK);
    assert_int_equal(notification.peer_epoch, 6);
    assert_int_equal(notification.version, 0);
    assert_null_bytes(notification.config);

    struct mk_bytes longer = hex(state, VOTE PEER_EPOCH "00000001 ffffffff");
    assert_int_equal(jute_notification_read(longer, &notification), MK_OK);
    assert_int_equal(notification.version, 1);
}

static void a_notification_that_is_cut_short_is_ignored(void **state)
{
    struct mk_bytes whole = hex(state, VOTE PEER_EPOCH "00000002" CONFIG);
    for (size_t len = 0; len < whole.len; len++) {
        bool older = len == 28 || len == 40;
        struct jute_notification notification;
        enum mk_status status =
            jute_notification_read(copy(state, mk_bytes_of(whole.data, len)), &notification);
        assert_int_equal(status, older ? MK_OK : MK_MALFORMED);
    }
}

static void a_notification_of_no_state_or_configuration_is_ignored(void **state)
{
    struct jute_notification notification;
    const char *const bad[] = {
        "00000004 0000000000000003 0000000500000007 0000000000000009",
        "ffffffff 0000000000000003 0000000500000007 0000000000000009",
        VOTE PEER_EPOCH "00000002 ffffffff",
        VOTE PEER_EPOCH "00000002 fffffffe",
        VOTE PEER_EPOCH "00000002 00000001",
    };
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        assert_int_equal(jute_notification_read(hex(state, bad[i]), &notification), MK_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_says_first_who_it_is_and_where),
        cmocka_unit_test(servers_of_other_releases_are_understood),
        cmocka_unit_test(a_hello_whose_end_has_not_arrived_asks_for_more),
        cmocka_unit_test(a_hello_that_is_none_is_refused),
        cmocka_unit_test(a_notification_is_written_as_it_was_read),
        cmocka_unit_test(an_observer_s_first_vote_is_the_smallest_there_is),
        cmocka_unit_test(notifications_of_older_releases_end_earlier),
        cmocka_unit_test(a_notification_that_is_cut_short_is_ignored),
        cmocka_unit_test(a_notification_of_no_state_or_configuration_is_ignored),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
