#include "client/servers.h"
#include "unit/cmocka.h"

/* "host:port" of each, joined by blanks, and the chroot. NULL: refused. */
static const char *parsed(const char *text, struct mk_buf *out)
{
    struct client_servers servers;
    struct mk_error error = {""};

    out->len = 0;
    if (!client_servers_parse(text, &servers, &error)) {
        assert_true(error.text[0] != '\0');
        return NULL;
    }
    for (size_t i = 0; i < servers.count; i++) {
        mk_buf_printf(out, "%s", i > 0 ? " " : "");
        client_server_text(out, &servers.list[i]);
    }
    mk_buf_printf(out, "%s%s", servers.chroot[0] != '\0' ? " below " : "", servers.chroot);
    mk_buf_put_u8(out, '\0');
    client_servers_free(&servers);
    return (const char *)out->data;
}

static void assert_parsed(const char *text, const char *expected)
{
    struct mk_buf out = {0};
    const char *found = parsed(text, &out);

    assert_non_null(found);
    assert_string_equal(found, expected);
    mk_buf_free(&out);
}

static void assert_refused(const char *text)
{
    struct mk_buf out = {0};

    assert_null(parsed(text, &out));
    mk_buf_free(&out);
}

static void a_connect_string_is_a_list_of_hosts_and_ports(void **state)
{
    assert_parsed("zk1:2181", "zk1:2181");
    assert_parsed("zk1:1,zk2:65535,10.0.0.1:2181", "zk1:1 zk2:65535 10.0.0.1:2181");
}

static void a_port_that_is_left_out_is_2181(void **state)
{
    assert_parsed("zk1,zk2:3,[::1]", "zk1:2181 zk2:3 [::1]:2181");
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
    assert_parsed("[fe80::1%eth0]:2181,[::1]:5", "[fe80::1%eth0]:2181 [::1]:5");
    assert_refused("::1");
    assert_refused("fe80::1:2181");
    assert_refused("[::1");
    assert_refused("[::1]5");
    assert_refused("[]:5");
    assert_refused("[ ]:5");
    assert_refused("[[::1]:5");
}

static void blanks_around_a_server_and_a_comma_at_the_end_are_passed_over(void **state)
{
    assert_parsed(" zk1:1 , zk2:2,", "zk1:1 zk2:2");
}

static void what_is_no_server_is_refused(void **state)
{
    const char *const wrong[] = {"",        ",",    "a,,b", ":1",         "a:",    "a:0",
                                 "a:65536", "a:-1", "a:1x", "a:99999999", "a:1:2", "/chroot"};

    for (size_t i = 0; i < MK_COUNT(wrong); i++) {
        assert_refused(wrong[i]);
    }
}

static void a_list_of_more_than_64_servers_is_refused(void **state)
{
    struct mk_buf text = {0};

    for (int i = 0; i < CLIENT_SERVERS_MAX; i++) {
        mk_buf_printf(&text, "%shost%d", i > 0 ? "," : "", i);
    }
    mk_buf_put_u8(&text, '\0');
    struct mk_buf out = {0};
    assert_non_null(parsed((const char *)text.data, &out));
    text.len--;
    mk_buf_printf(&text, ",host64");
    mk_buf_put_u8(&text, '\0');

    assert_refused((const char *)text.data);

    mk_buf_free(&out);
    mk_buf_free(&text);
}

static void a_chroot_follows_the_list(void **state)
{
    assert_parsed("a:1,b:2/app/one", "a:1 b:2 below /app/one");
    assert_parsed("a:1/", "a:1");
    assert_refused("a:1/app/");
    assert_refused("a:1//app");
}

static void a_shuffle_by_one_seed_is_always_the_same_and_loses_nobody(void **state)
{
    struct client_servers servers;
    struct mk_error error;
    struct mk_random random;
    struct mk_buf order[3] = {{0}, {0}, {0}};
    const uint64_t seeds[] = {7, 7, 8};

    for (int i = 0; i < 3; i++) {
        assert_true(client_servers_parse("a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1", &servers, &error));
        mk_random_seed(&random, seeds[i]);
        client_servers_shuffle(&servers, &random);
        int seen = 0;
        for (size_t j = 0; j < servers.count; j++) {
            client_server_text(&order[i], &servers.list[j]);
            seen |= 1 << (servers.list[j].host[0] - 'a');
        }
        assert_int_equal(seen, 0xff);
        client_servers_free(&servers);
    }

    assert_true(mk_bytes_equal(mk_buf_view(&order[0]), mk_buf_view(&order[1])));
    assert_false(mk_bytes_equal(mk_buf_view(&order[0]), mk_buf_view(&order[2])));
    for (int i = 0; i < 3; i++) {
        mk_buf_free(&order[i]);
    }
}

/* ---- The chroot ---- */

static void assert_sent_as(const char *chroot, const char *path, const char *expected)
{
    struct mk_buf out = {0};

    client_chroot_add(&out, mk_bytes_text(chroot), mk_bytes_text(path));

    assert_true(mk_bytes_equal(mk_buf_view(&out), mk_bytes_text(expected)));
    mk_buf_free(&out);
}

static void a_path_is_sent_with_the_chroot_before_it(void **state)
{
    assert_sent_as("", "/a", "/a");
    assert_sent_as("", "/", "/");
    assert_sent_as("/app", "/a/b", "/app/a/b");
    assert_sent_as("/app", "/", "/app");
}

static void a_path_that_comes_back_loses_the_chroot(void **state)
{
    struct mk_bytes chroot = MK_BYTES("/app");
    struct mk_bytes below = MK_BYTES("/app/a/b");
    struct mk_bytes itself = MK_BYTES("/app");

    assert_true(client_chroot_strip(chroot, &below));
    assert_true(client_chroot_strip(chroot, &itself));

    assert_true(mk_bytes_equal(below, MK_BYTES("/a/b")));
    assert_true(mk_bytes_equal(itself, MK_BYTES("/")));
}

static void a_path_beside_the_chroot_is_not_below_it(void **state)
{
    const char *const others[] = {"/", "/ap", "/apple", "/apple/a", "/other/app"};

    for (size_t i = 0; i < MK_COUNT(others); i++) {
        struct mk_bytes path = mk_bytes_text(others[i]);
        assert_false(client_chroot_strip(MK_BYTES("/app"), &path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_string_is_a_list_of_hosts_and_ports),
        cmocka_unit_test(a_port_that_is_left_out_is_2181),
        cmocka_unit_test(an_ipv6_address_stands_in_brackets),
        cmocka_unit_test(blanks_around_a_server_and_a_comma_at_the_end_are_passed_over),
        cmocka_unit_test(what_is_no_server_is_refused),
        cmocka_unit_test(a_list_of_more_than_64_servers_is_refused),
        cmocka_unit_test(a_chroot_follows_the_list),
        cmocka_unit_test(a_shuffle_by_one_seed_is_always_the_same_and_loses_nobody),
        cmocka_unit_test(a_path_is_sent_with_the_chroot_before_it),
        cmocka_unit_test(a_path_that_comes_back_loses_the_chroot),
        cmocka_unit_test(a_path_beside_the_chroot_is_not_below_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
