#include "shell/internal.h"
#include "unit/cmocka.h"

static void assert_path(const char *path, bool sequential, const char *flaw)
{
    struct mk_error error = {""};

    assert_int_equal(shell_path_check(path, sequential, &error), *flaw == '\0');
    assert_string_equal(error.text, flaw);
}

static void paths_begin_with_a_slash_and_end_without(void **state)
{
    assert_path("/", false, "");
    assert_path("/a/b", false, "");
    assert_path("", false, "Path length must be > 0");
    assert_path("a", false, "Path must start with / character");
    assert_path("/a/", false, "Path must not end with / character");
    assert_path("/a/", true, ""); /* the number comes behind it */
    assert_path("/", true, "");
}

static void flaws_are_told_with_their_place(void **state)
{
    assert_path("/a//b", false,
                "Invalid path string \"/a//b\" caused by empty node name specified @3");
    assert_path("/a/./b", false,
                "Invalid path string \"/a/./b\" caused by relative paths not allowed @3");
    assert_path("/a/..", false,
                "Invalid path string \"/a/..\" caused by relative paths not allowed @4");
    assert_path("/.", false, "Invalid path string \"/.\" caused by relative paths not allowed @1");
    assert_path("/a\x01", false, "Invalid path string \"/a\x01\" caused by invalid character @2");
    assert_path("/\xc3\xbc\x7f", false,
                "Invalid path string \"/\xc3\xbc\x7f\" caused by invalid character @2");
    assert_path("/\xc2\x9b", false,
                "Invalid path string \"/\xc2\x9b\" caused by invalid character @1");
    assert_path("/\xf0\x9f\x8c\x99", false,
                "Invalid path string \"/\xf0\x9f\x8c\x99\" caused by invalid character @1");
}

static void dots_in_names_are_no_relative_paths(void **state)
{
    assert_path("/a.b/.c/..d/e..", false, "");
    assert_path("/...", false, "");
}

static void bytes_that_make_no_character_are_refused(void **state)
{
    assert_path("/a\xe2\x82", false,
                "Invalid path string \"/a\xe2\x82\" caused by invalid character @2");
    assert_path("/\xf0", false, "Invalid path string \"/\xf0\" caused by invalid character @1");
    assert_path("/\xff/", true, "Invalid path string \"/\xff/1\" caused by invalid character @1");
}

static void numbers_are_whole_and_within_their_bounds(void **state)
{
    int64_t value = 0;

    assert_true(shell_number_parse("-1", 10, -1, 10, &value));
    assert_int_equal(value, -1);
    assert_true(shell_number_parse("1a", 16, 0, 100, &value));
    assert_int_equal(value, 26);
    assert_false(shell_number_parse("11", 10, 0, 10, &value));
    assert_false(shell_number_parse("", 10, 0, 10, &value));
    assert_false(shell_number_parse(" 1", 10, 0, 10, &value));
    assert_false(shell_number_parse("1 ", 10, 0, 10, &value));
    assert_false(shell_number_parse("99999999999999999999", 10, 0, INT64_MAX, &value));
}

static void an_acl_goes_to_its_first_and_last_colon(void **state)
{
    struct shell shell = {.print_watches = true};
    struct shell_acls acls;

    shell_acls_parse(&shell, &acls, "world:anyone:cdrwa,digest:u:hash=:r,ip:::1:w");
    assert_int_equal(acls.count, 3);
    assert_int_equal(acls.list[0].permissions, 31);
    assert_string_equal(acls.list[1].scheme, "digest");
    assert_string_equal(acls.list[1].id, "u:hash=");
    assert_int_equal(acls.list[1].permissions, 1);
    assert_string_equal(acls.list[2].id, "::1");
    assert_int_equal(acls.list[2].permissions, 2);
    shell_acls_free(&acls);
}

static void what_has_no_form_of_an_acl_is_left_out(void **state)
{
    struct shell shell = {.print_watches = true};
    struct shell_acls acls;

    shell_acls_parse(&shell, &acls, "foo,a:b,world:anyone:qr");
    assert_int_equal(acls.count, 1);
    assert_int_equal(acls.list[0].permissions, 1);
    shell_acls_free(&acls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_begin_with_a_slash_and_end_without),
        cmocka_unit_test(flaws_are_told_with_their_place),
        cmocka_unit_test(dots_in_names_are_no_relative_paths),
        cmocka_unit_test(bytes_that_make_no_character_are_refused),
        cmocka_unit_test(numbers_are_whole_and_within_their_bounds),
        cmocka_unit_test(an_acl_goes_to_its_first_and_last_colon),
        cmocka_unit_test(what_has_no_form_of_an_acl_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
