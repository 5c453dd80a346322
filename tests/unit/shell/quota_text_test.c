#include "shell/internal.h"
#include "unit/cmocka.h"

static void assert_again(const char *text, const char *expected)
{
    struct quota_text quota = quota_text_parse(mk_bytes_text(text));
    struct mk_buf out = {0};

    quota_text_format(&out, &quota);
    mk_buf_put_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    mk_buf_free(&out);
}

static void limits_are_written_as_they_were_read(void **state)
{
    assert_again("count=5,bytes=-1", "count=5,bytes=-1");
    assert_again("count=5,bytes=-1=;byteHardLimit=100;countHardLimit=-1",
                 "count=5,bytes=-1=;byteHardLimit=100;countHardLimit=-1");
}

static void any_order_and_runs_of_separators_are_understood(void **state)
{
    assert_again("countHardLimit=7,;,bytes=9,count=1",
                 "count=1,bytes=9=;byteHardLimit=-1;countHardLimit=7");
}

static void what_is_missing_or_empty_is_no_limit(void **state)
{
    assert_again("", "count=-1,bytes=-1");
    assert_again("count=,nonsense,other=4", "count=-1,bytes=-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_written_as_they_were_read),
        cmocka_unit_test(any_order_and_runs_of_separators_are_understood),
        cmocka_unit_test(what_is_missing_or_empty_is_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
