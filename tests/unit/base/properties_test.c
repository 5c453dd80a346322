#include "base/base.h"
#include "unit/cmocka.h"

/* All entries of `text` as "key=value|key=value", or "MALFORMED:<line>". */
static void assert_entries(struct mk_bytes text, const char *expected)
{
    struct mk_properties properties = mk_properties_of(text);
    struct mk_property property = {{0}, {0}};
    struct mk_buf all = {0};

    enum mk_status status = mk_properties_next(&properties, &property);
    for (; status == MK_OK; status = mk_properties_next(&properties, &property)) {
        mk_buf_printf(&all, "%s%s=%s", all.len > 0 ? "|" : "", (const char *)property.key.data,
                      (const char *)property.value.data);
    }
    if (status == MK_MALFORMED) {
        mk_buf_printf(&all, "MALFORMED:%u", properties.line);
    }
    mk_buf_put_u8(&all, '\0');
    assert_string_equal((const char *)all.data, expected);
    mk_property_free(&property);
    mk_buf_free(&all);
}

static void key_and_value_are_separated_by_equals_colon_or_blank(void **state)
{
    assert_entries(MK_BYTES("a=1\nb:2\nc 3\nd = 4\ne : 5\nf  \t 6\n"), "a=1|b=2|c=3|d=4|e=5|f=6");
}

static void only_the_first_separator_counts(void **state)
{
    assert_entries(MK_BYTES("a==1\nb=c=d\nserver.1=h:2888:3888;2181\n"),
                   "a==1|b=c=d|server.1=h:2888:3888;2181");
}

static void comments_and_blank_lines_are_skipped(void **state)
{
    assert_entries(MK_BYTES("# one\n! two\n\n   \n  # three\na=1\n"), "a=1");
}

static void a_comment_does_not_begin_inside_a_value(void **state)
{
    assert_entries(MK_BYTES("a=1 # not a comment\n"), "a=1 # not a comment");
}

static void a_comment_cannot_be_continued(void **state)
{
    assert_entries(MK_BYTES("# one \\\na=1\n"), "a=1");
}

static void a_backslash_continues_the_line_without_the_blanks_that_follow(void **state)
{
    assert_entries(MK_BYTES("list=ruok,\\\n     srvr,\\\r\n\tstat\n"), "list=ruok,srvr,stat");
}

static void escapes_mean_what_they_say(void **state)
{
    assert_entries(MK_BYTES("a\\=b=c\\\\d\\te\\:f\n"), "a=b=c\\d\te:f");
    assert_entries(MK_BYTES("a=\\u0041\\u00e9\\u20ac\n"), "a=A\xc3\xa9\xe2\x82\xac");
}

static void values_are_trimmed(void **state)
{
    assert_entries(MK_BYTES("dataDir=/var/lib/x   \t\n"), "dataDir=/var/lib/x");
    assert_entries(MK_BYTES("a=\\ b\n"), "a=b");
}

static void every_kind_of_newline_ends_a_line(void **state)
{
    assert_entries(MK_BYTES("a=1\rb=2\r\nc=3\nd=4"), "a=1|b=2|c=3|d=4");
}

static void a_key_may_stand_alone(void **state)
{
    assert_entries(MK_BYTES("a\nb=\n=c\n"), "a=|b=|=c");
}

static void a_broken_escape_names_its_line(void **state)
{
    assert_entries(MK_BYTES("a=1\n\nb=\\u00g0\n"), "a=1MALFORMED:3");
    assert_entries(MK_BYTES("a=\\u12"), "MALFORMED:1");
    assert_entries(MK_BYTES("a=\\ud800\n"), "MALFORMED:1");
}

static void nul_is_refused_however_it_is_written(void **state)
{
    assert_entries(MK_BYTES("a=b\0c\n"), "MALFORMED:1");
    assert_entries(MK_BYTES("a=\\u0000\n"), "MALFORMED:1");
    assert_entries(MK_BYTES("a=\\\0\n"), "MALFORMED:1");
}

static void nothing_is_no_entry(void **state)
{
    assert_entries(MK_BYTES_NULL, "");
    assert_entries(MK_BYTES("\\"), "=");
}

/* Bytes that mean something to the parser, in any order: it ends, and stays inside (under ASan). */
static void any_bytes_give_entries_or_an_error(void **state)
{
    static const char alphabet[] = "ab=: \\u0\n\r\t#!\0\xff";
    struct mk_property property = {{0}, {0}};
    struct mk_random random;

    mk_random_seed(&random, 1);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        size_t len = mk_random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)alphabet[mk_random_below(&random, sizeof(alphabet) - 1)];
        }
        struct mk_properties properties = mk_properties_of(mk_bytes_of(bytes, len));
        size_t entries = 0;
        while (mk_properties_next(&properties, &property) == MK_OK) {
            entries++;
            assert_true(properties.line <= len + 1);
        }
        assert_true(entries <= len);
    }
    mk_property_free(&property);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_and_value_are_separated_by_equals_colon_or_blank),
        cmocka_unit_test(only_the_first_separator_counts),
        cmocka_unit_test(comments_and_blank_lines_are_skipped),
        cmocka_unit_test(a_comment_does_not_begin_inside_a_value),
        cmocka_unit_test(a_comment_cannot_be_continued),
        cmocka_unit_test(a_backslash_continues_the_line_without_the_blanks_that_follow),
        cmocka_unit_test(escapes_mean_what_they_say),
        cmocka_unit_test(values_are_trimmed),
        cmocka_unit_test(every_kind_of_newline_ends_a_line),
        cmocka_unit_test(a_key_may_stand_alone),
        cmocka_unit_test(a_broken_escape_names_its_line),
        cmocka_unit_test(nul_is_refused_however_it_is_written),
        cmocka_unit_test(nothing_is_no_entry),
        cmocka_unit_test(any_bytes_give_entries_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
