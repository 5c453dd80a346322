#include "frames.h"

#include <string.h>

static struct jute_ensemble *read_good(const char *text)
{
    static struct jute_ensemble ensemble;
    struct mk_error error = {0};
    if (jute_ensemble_read(mk_bytes_text(text), &ensemble, &error) != MK_OK) {
        fail_msg("%s", error.text);
    }
    return &ensemble;
}

static void assert_refused(const char *text, const char *why)
{
    static struct jute_ensemble ensemble;
    struct mk_error error = {0};
    assert_int_equal(jute_ensemble_read(mk_bytes_text(text), &ensemble, &error), MK_MALFORMED);
    if (strstr(error.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, why);
    }
}

static void assert_written(const struct jute_ensemble *ensemble, const char *text)
{
    struct mk_buf out = {0};
    jute_put_ensemble(&out, ensemble);
    assert_text(mk_buf_view(&out), text);
    mk_buf_free(&out);
}

#define THREE                                                         \
    "server.1=127.0.0.1:2888:3888:participant\n"                      \
    "server.2=zk-2.example:2889:3889:participant;0.0.0.0:2182\n"      \
    "server.3=[fe80::1]:2890:3890:observer;[::1]:2183;0.0.0.0:2281\n" \
    "version=100000000"

static void an_ensemble_is_written_as_it_was_read(void **state)
{
    struct jute_ensemble *ensemble = read_good(THREE);

    assert_int_equal(ensemble->members_count, 3);
    assert_int_equal(ensemble->version, 0x100000000);
    assert_false(ensemble->hierarchical);
    const struct jute_member *third = &ensemble->members[2];
    assert_int_equal(third->id, 3);
    assert_string_equal(third->host, "fe80::1");
    assert_int_equal(third->quorum_port, 2890);
    assert_int_equal(third->election_port, 3890);
    assert_true(third->observer);
    assert_string_equal(third->client.host, "::1");
    assert_int_equal(third->client.port, 2183);
    assert_int_equal(third->secure.port, 2281);
    assert_int_equal(third->weight, 1);
    assert_written(ensemble, THREE);
}

static void lines_come_in_any_order_and_roles_in_any_case(void **state)
{
    struct jute_ensemble *ensemble = read_good("version=0\nserver.10=b:1:2:OBSERVER\n"
                                               "server.2=a:1:2;2181\nclientPort=2181\n");

    assert_written(ensemble, "server.2=a:1:2:participant;0.0.0.0:2181\n"
                             "server.10=b:1:2:observer\nversion=0");
}

static void groups_and_weights_belong_to_servers(void **state)
{
    struct jute_ensemble *ensemble =
        read_good("group.2=3\ngroup.1=1:2\nweight.3=0\nserver.3=c:1:2\nserver.2=b:1:2\n"
                  "server.1=a:1:2\nserver.4=d:1:2:observer\n");

    assert_true(ensemble->hierarchical);
    assert_int_equal(ensemble->members[0].group, 1);
    assert_int_equal(ensemble->members[2].group, 2);
    assert_int_equal(ensemble->members[2].weight, 0);
    assert_int_equal(ensemble->members[3].group, 0);
    assert_written(ensemble, "server.1=a:1:2:participant\nserver.2=b:1:2:participant\n"
                             "server.3=c:1:2:participant\nserver.4=d:1:2:observer\n"
                             "group.1=1:2\ngroup.2=3\n"
                             "weight.1=1\nweight.2=1\nweight.3=0\nweight.4=1\nversion=0");
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    const struct {
        const char *text, *why;
    } cases[] = {
        {"version=0\nserver.1=a\n", "line 2: a server is host:port:port"},
        {"server.1=a:1", "ports"},
        {"server.1=a:1:0", "ports"},
        {"server.1=a:1:65536", "ports"},
        {"server.1=a:1:-2", "ports"},
        {"server.1=:1:2", "host:port:port"},
        {"server.1=::1:1:2", "brackets"},
        {"server.1=[::1]1:2", "brackets"},
        {"server.1=[::1", "brackets"},
        {"server.1=a b:1:2", "host:port:port"},
        {"server.1=a:1:2:voter", "participant or an observer"},
        {"server.1=a:1:2:", "participant or an observer"},
        {"server.1=a:1:2;", "[host:]port"},
        {"server.1=a:1:2;x", "[host:]port"},
        {"server.1=a:1:2;1;", "second semicolon"},
        {"server.1=a:1:2|b:1:2", "several addresses"},
        {"server.1=a:1:2\nserver.1=b:1:2", "line 2: there is a server of this number"},
        {"server.255=a:1:2", "from 0 to 254"},
        {"server.=a:1:2", "from 0 to 254"},
        {"server.1x=a:1:2", "from 0 to 254"},
        {"version=g", "hexadecimal"},
        {"version=8000000000000000", "hexadecimal"},
        {"weight.1=1001\nserver.1=a:1:2", "from 0 to 1000"},
        {"weight.1=1\nweight.1=1", "weight already"},
        {"weight.2=1\nserver.1=a:1:2", "there is not"},
        {"group.1=1:2\nserver.1=a:1:2", "group.1 names the server 2"},
        {"group.0=1\nserver.1=a:1:2", "from 1"},
        {"group.1=1\ngroup.2=1\nserver.1=a:1:2", "in a group already"},
        {"group.1=1:\nserver.1=a:1:2", "colons between"},
        {"group.1=1\nserver.1=a:1:2\nserver.2=b:1:2", "server.2 is in none"},
        {"a=\\u00g0", "line 1: an escape"},
    };
    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        assert_refused(cases[i].text, cases[i].why);
    }
}

static void an_ensemble_has_no_more_servers_than_there_can_be(void **state)
{
    struct mk_buf text = {0};
    for (int i = 0; i < JUTE_MEMBERS_MAX; i++) {
        mk_buf_printf(&text, "server.%d=a:1:2\n", i);
    }
    mk_buf_put_u8(&text, '\0');
    assert_int_equal(read_good((const char *)text.data)->members_count, JUTE_MEMBERS_MAX);

    text.len--;
    mk_buf_printf(&text, "server.200=a:1:2\n");
    mk_buf_put_u8(&text, '\0');
    assert_refused((const char *)text.data, "at most 64 servers");
    mk_buf_free(&text);
}

static void a_host_is_as_long_as_names_may_be(void **state)
{
    struct mk_buf text = {0};
    mk_buf_printf(&text, "server.1=%0*d:1:2", JUTE_HOST_BYTES_MAX, 0);
    mk_buf_put_u8(&text, '\0');
    assert_int_equal(strlen(read_good((const char *)text.data)->members[0].host),
                     JUTE_HOST_BYTES_MAX);
    text.len = 0;
    mk_buf_printf(&text, "server.1=%0*d:1:2", JUTE_HOST_BYTES_MAX + 1, 0);
    mk_buf_put_u8(&text, '\0');
    assert_refused((const char *)text.data, "host:port:port");
    mk_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ensemble_is_written_as_it_was_read),
        cmocka_unit_test(lines_come_in_any_order_and_roles_in_any_case),
        cmocka_unit_test(groups_and_weights_belong_to_servers),
        cmocka_unit_test(what_is_wrong_is_said_with_its_line),
        cmocka_unit_test(an_ensemble_has_no_more_servers_than_there_can_be),
        cmocka_unit_test(a_host_is_as_long_as_names_may_be),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
