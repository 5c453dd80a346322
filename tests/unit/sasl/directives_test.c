#include "sasl/directives.h"
#include "unit/cmocka.h"

static struct mk_arena scraps;

static int scraps_free(void **state)
{
    mk_arena_free(&scraps);
    return 0;
}

static bool parses(const char *text, struct directives *out)
{
    return directives_parse(mk_bytes_text(text), &scraps, out);
}

static void assert_value(const struct directives *said, enum directive directive, const char *value)
{
    assert_true(mk_bytes_equal(said->values[directive], mk_bytes_text(value)));
}

static void values_stand_plain_or_in_quotes_in_any_order(void **state)
{
    struct directives said;
    assert_true(parses("nc=00000001,username=\"b,o=b\",qop=auth", &said));
    assert_value(&said, DIRECTIVE_NC, "00000001");
    assert_value(&said, DIRECTIVE_USERNAME, "b,o=b");
    assert_value(&said, DIRECTIVE_QOP, "auth");
    assert_null(said.values[DIRECTIVE_REALM].data);
}

static void a_backslash_takes_the_next_byte_as_it_is(void **state)
{
    struct directives said;
    assert_true(parses("username=\"a\\\"b\\\\c\"", &said));
    assert_value(&said, DIRECTIVE_USERNAME, "a\"b\\c");
}

static void an_empty_string_is_not_an_absent_one(void **state)
{
    struct directives said;
    assert_true(parses("username=\"\"", &said));
    assert_non_null(said.values[DIRECTIVE_USERNAME].data);
    assert_int_equal(said.values[DIRECTIVE_USERNAME].len, 0);
}

static void blanks_and_empty_elements_count_for_nothing(void **state)
{
    struct directives said;
    assert_true(parses(" , ,nc = 1 ,\t, realm=\"r\" ,", &said));
    assert_value(&said, DIRECTIVE_NC, "1");
    assert_value(&said, DIRECTIVE_REALM, "r");
    assert_true(parses("", &said));
}

static void names_are_known_in_either_case_and_unknown_ones_passed_over(void **state)
{
    struct directives said;
    assert_true(parses("NC=1,maxbuf=65536,cipher=\"x\",Digest-URI=\"u\",x=1,x=2", &said));
    assert_value(&said, DIRECTIVE_NC, "1");
    assert_value(&said, DIRECTIVE_DIGEST_URI, "u");
}

static void a_directive_that_comes_twice_is_refused(void **state)
{
    struct directives said;
    assert_false(parses("nc=1,nc=1", &said));
    assert_false(parses("username=\"\",username=\"b\"", &said));
}

static void what_is_not_a_list_of_directives_is_refused(void **state)
{
    static const char *const bad[] = {"nc",       "nc=",      "=1",        "nc=1 qop=auth",
                                      "nc=\"1",   "nc=\"1\\", "nc=\"1\"2", "nc=1=2",
                                      "\"nc\"=1", "nc==1",    "nc=\"\\"};
    struct directives said;
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        assert_false(parses(bad[i], &said));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_plain_or_in_quotes_in_any_order),
        cmocka_unit_test(a_backslash_takes_the_next_byte_as_it_is),
        cmocka_unit_test(an_empty_string_is_not_an_absent_one),
        cmocka_unit_test(blanks_and_empty_elements_count_for_nothing),
        cmocka_unit_test(names_are_known_in_either_case_and_unknown_ones_passed_over),
        cmocka_unit_test(a_directive_that_comes_twice_is_refused),
        cmocka_unit_test(what_is_not_a_list_of_directives_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, scraps_free);
}
