/* Names of subjects: the tables are what Java 17's X500Principal says of the same texts. */
#include "tree/tree.h"
#include "tree/x509_name.h"
#include "unit/cmocka.h"
#include "unit/tree/lists.h"

static void names_that_java_reads_are_valid(void **state)
{
    static const char *const names[] = {
        "",
        "CN=bob",
        "cn=bob",
        "CN=",
        "CN=a;O=b",
        "CN=a+O=b",
        "1.2.3=x",
        "OID.1.2.3=#1303414243",
        "1.2=x",
        "CN=a=b",
        "CN=a#b",
        "CN=\"a,b\"",
        "CN=a\\,b",
        "S=x",
        "CN = bob , O = x",
        "emailAddress=a@b",
        "CN=\xc3\xa4",
        "DNQUALIFIER=x",
        "CN=\\41b",
        "1.2.3=#1303414243",
        "CN=bob, O=x",
    };

    for (size_t i = 0; i < MK_COUNT(names); i++) {
        if (!tree_x509_name_valid(mk_bytes_text(names[i]))) {
            fail_msg("%s", names[i]);
        }
    }
}

static void what_java_does_not_read_is_no_name(void **state)
{
    static const char *const texts[] = {
        " ",   "bob",     "CN=bob,",  "CN=bob,,O=x", "CN=a+",    "FOO=x",  "1.2.3=#13",
        "1=x", "CN=a<b",  "CN=\"a",   "CN=a\\",      "CN=a\\zb", "CN=#zz", "=x",
        ",",   "CN=a\"b", "CN=#0403", "CN=\"a\"b",   "CN=a+b",   "CN=\\4", "CN=#616g",
    };

    assert_false(tree_x509_name_valid(MK_BYTES_NULL));
    for (size_t i = 0; i < MK_COUNT(texts); i++) {
        if (tree_x509_name_valid(mk_bytes_text(texts[i]))) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void a_value_in_hex_is_one_whole_value_however_long(void **state)
{
    struct mk_buf name = {0};

    for (size_t bytes = 127; bytes <= 300; bytes += 173) {
        name.len = 0;
        mk_buf_printf(&name, bytes < 256 ? "1.2=#13817f" : "1.2=#1382012c");
        for (size_t i = 0; i < bytes; i++) {
            mk_buf_printf(&name, "41");
        }
        assert_true(tree_x509_name_valid(mk_buf_view(&name)));
        mk_buf_printf(&name, "41");
        assert_false(tree_x509_name_valid(mk_buf_view(&name)));
    }
    mk_buf_free(&name);
}

static void an_entry_matches_its_name_and_no_other_once_the_scheme_is_there(void **state)
{
    static const struct tree_acl_rules rules = {.x509 = true};
    struct mk_buf fixed = {0};
    bool open = false;

    assert_int_equal(
        tree_acl_check(&rules, acl_of("31 x509:CN=bob"), TREE_READ, identities_of("x509:CN=bob")),
        MK_OK);
    assert_int_equal(
        tree_acl_check(&rules, acl_of("31 x509:CN=bob"), TREE_READ, identities_of("x509:CN=Bob")),
        MK_NO_AUTH);
    assert_int_equal(
        tree_acl_fix(&rules, acl_of("31 auth:"), identities_of("x509:CN=bob"), &fixed, &open),
        MK_OK);
    assert_string_equal(acl_text(mk_buf_view(&fixed)), "31 x509:CN=bob");
    fixed.len = 0;
    assert_int_equal(tree_acl_fix(&rules, acl_of("31 x509:bob"), identities_of(""), &fixed, &open),
                     MK_INVALID_ACL);
    mk_buf_free(&fixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_java_reads_are_valid),
        cmocka_unit_test(what_java_does_not_read_is_no_name),
        cmocka_unit_test(a_value_in_hex_is_one_whole_value_however_long),
        cmocka_unit_test(an_entry_matches_its_name_and_no_other_once_the_scheme_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
