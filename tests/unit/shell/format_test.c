#include "shell/internal.h"
#include "unit/cmocka.h"

#include <stdlib.h>
#include <time.h>

static void assert_text(struct mk_buf *actual, const char *expected)
{
    mk_buf_put_u8(actual, '\0');
    assert_string_equal((const char *)actual->data, expected);
    mk_buf_free(actual);
}

static void time_zone(const char *zone)
{
    (void)setenv("TZ", zone, 1);
    tzset();
}

static void a_stat_is_the_block_that_zkcli_prints(void **state)
{
    struct moonkeeper_stat stat = {.czxid = 2,
                                   .mzxid = 0x10000000a,
                                   .pzxid = 3,
                                   .ctime_ms = INT64_C(1795318713123),
                                   .mtime_ms = 0,
                                   .version = 2,
                                   .cversion = 1,
                                   .aversion = -1,
                                   .ephemeral_owner = INT64_C(0x100000000000001),
                                   .data_length = 5,
                                   .children_count = 1};
    struct mk_buf out = {0};

    time_zone("UTC");
    format_stat(&out, &stat);
    assert_text(&out, "cZxid = 0x2\n"
                      "ctime = Sun Nov 22 03:38:33 UTC 2026\n"
                      "mZxid = 0x10000000a\n"
                      "mtime = Thu Jan 01 00:00:00 UTC 1970\n"
                      "pZxid = 0x3\n"
                      "cversion = 1\n"
                      "dataVersion = 2\n"
                      "aclVersion = -1\n"
                      "ephemeralOwner = 0x100000000000001\n"
                      "dataLength = 5\n"
                      "numChildren = 1\n");
}

static void dates_are_local_and_rounded_down(void **state)
{
    struct mk_buf out = {0};

    time_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    format_date(&out, INT64_C(1795318713999));
    assert_text(&out, "Sun Nov 22 04:38:33 CET 2026");
    time_zone("UTC");
    format_date(&out, -1);
    assert_text(&out, "Wed Dec 31 23:59:59 UTC 1969");
}

static void the_last_date_there_is_is_that_of_java(void **state)
{
    struct mk_buf out = {0};

    format_date(&out, INT64_MAX);
    assert_text(&out, "Sun Aug 17 07:12:55 UTC 292278994");
    format_date(&out, INT64_MIN);
    mk_buf_free(&out);
}

static void permissions_are_letters_in_the_order_cdrwa(void **state)
{
    struct moonkeeper_acl all = {.permissions = 31, .scheme = "world", .id = "anyone"};
    struct moonkeeper_acl read = {.permissions = 1, .scheme = "digest", .id = "u:hash"};
    struct mk_buf out = {0};

    format_acl(&out, &all);
    format_acl(&out, &read);
    assert_text(&out, "'world,'anyone\n: cdrwa\n'digest,'u:hash\n: r\n");
}

static void base64_goes_both_ways_with_every_remainder(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
    struct mk_buf out = {0};

    for (size_t i = 0; i < MK_COUNT(pairs); i++) {
        mk_buf_put_base64(&out, mk_bytes_text(pairs[i][0]));
        assert_text(&out, pairs[i][1]);
        assert_true(parse_base64(&out, pairs[i][1]));
        assert_text(&out, pairs[i][0]);
    }
    assert_true(parse_base64(&out, "Zm8")); /* padding may be left out */
    assert_text(&out, "fo");
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const texts[] = {"Z",   "Zg=",   "Zm8==", "Zm9v=", "Zm=9",
                                        "Z g", "Zm9vY", "Zg===", "===="};
    struct mk_buf out = {0};

    for (size_t i = 0; i < MK_COUNT(texts); i++) {
        assert_false(parse_base64(&out, texts[i]));
    }
    mk_buf_free(&out);
}

static void a_hex_dump_has_sixteen_bytes_a_row(void **state)
{
    struct mk_buf out = {0};

    format_hex(&out, MK_BYTES("0123456789abcdef\n\x7f"));
    assert_text(&out,
                "         +-------------------------------------------------+\n"
                "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n"
                "+--------+-------------------------------------------------+----------------+\n"
                "|00000000| 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 |0123456789abcdef|\n"
                "|00000010| 0a 7f                                           |..              |\n"
                "+--------+-------------------------------------------------+----------------+");
    format_hex(&out, MK_BYTES(""));
    assert_text(&out, "");
}

static void a_configuration_gives_a_list_of_servers_for_clients(void **state)
{
    struct mk_buf out = {0};

    format_config_clients(&out, MK_BYTES("server.1=a:2888:3888:participant;10.0.0.1:2181\n"
                                         "server.2=b:2888:3888;2182\nversion=100000000"));
    assert_text(&out, "100000000 10.0.0.1:2181,0.0.0.0:2182");
    format_config_clients(&out, MK_BYTES(""));
    assert_text(&out, " ");
}

static void failures_have_the_words_of_zkcli(void **state)
{
    struct mk_buf out = {0};

    format_failure(&out, MOONKEEPER_NO_NODE, "/a");
    assert_text(&out, "Node does not exist: /a");
    format_failure(&out, MOONKEEPER_BAD_VERSION, "/a");
    assert_text(&out, "version No is not valid : /a");
    format_failure(&out, MOONKEEPER_INVALID_ACL, NULL);
    assert_text(&out, "Acl is not valid : null");
    format_failure(&out, MOONKEEPER_NO_WATCHER, "/a");
    assert_text(&out, "KeeperErrorCode = No such watcher for /a");
    format_failure(&out, MOONKEEPER_CONNECTION_LOSS, "/a");
    assert_text(&out, "KeeperErrorCode = ConnectionLoss for /a");
    format_failure(&out, MOONKEEPER_RECONFIG_DISABLED, NULL);
    assert_text(&out, "KeeperErrorCode = Reconfig is disabled");
}

static void what_a_terminal_would_obey_is_made_visible(void **state)
{
    struct mk_buf out = {0};

    format_visible(&out, MK_BYTES("a\tb\nc \xc3\xbc \xe2\x82\xac \xf0\x9f\x8c\x99"));
    assert_text(&out, "a\tb\nc \xc3\xbc \xe2\x82\xac \xf0\x9f\x8c\x99");
    format_visible(&out, MK_BYTES("\033[2J\r\007\177"));
    assert_text(&out, "\\x1b[2J\\x0d\\x07\\x7f");
    format_visible(&out, MK_BYTES("\xc2\x9b"
                                  "2J \xe2\x80\xae \xe2\x81\xa6"));
    assert_text(&out, "\\xc2\\x9b2J \\xe2\\x80\\xae \\xe2\\x81\\xa6");
    format_visible(&out, MK_BYTES("\xff\xc3(\x9b \xe2\x82"));
    assert_text(&out, "\\xff\\xc3(\\x9b \\xe2\\x82");
    format_visible(&out, mk_bytes_of("\0", 1));
    assert_text(&out, "\\x00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stat_is_the_block_that_zkcli_prints),
        cmocka_unit_test(dates_are_local_and_rounded_down),
        cmocka_unit_test(the_last_date_there_is_is_that_of_java),
        cmocka_unit_test(permissions_are_letters_in_the_order_cdrwa),
        cmocka_unit_test(base64_goes_both_ways_with_every_remainder),
        cmocka_unit_test(what_is_not_base64_is_refused),
        cmocka_unit_test(a_hex_dump_has_sixteen_bytes_a_row),
        cmocka_unit_test(a_configuration_gives_a_list_of_servers_for_clients),
        cmocka_unit_test(failures_have_the_words_of_zkcli),
        cmocka_unit_test(what_a_terminal_would_obey_is_made_visible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
