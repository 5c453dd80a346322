#include "base/base.h"
#include "unit/cmocka.h"

static void each_status_has_a_name_and_a_sentence(void **state)
{
    for (int i = 0; i < (int)MK_STATUS_COUNT; i++) {
        assert_memory_equal(mk_status_name((enum mk_status)i), "MK_", 3);
        assert_true(strlen(mk_status_text((enum mk_status)i)) > 0);
    }
    assert_string_equal(mk_status_name(MK_NO_NODE), "MK_NO_NODE");
    assert_string_equal(mk_status_text(MK_NO_NODE), "no such znode");
    assert_string_equal(mk_status_name(MK_IN_USE), "MK_IN_USE");
}

static void ok_is_zero(void **state)
{
    assert_int_equal((int)MK_OK, 0);
}

static void an_error_too_long_is_cut(void **state)
{
    struct mk_error error;
    char text[600];
    memset(text, 'x', sizeof(text));
    text[599] = '\0';

    mk_error_set(&error, "%s", text);

    assert_int_equal(strlen(error.text), 511);
}

static void an_error_that_nobody_wants_may_be_null(void **state)
{
    mk_error_set(NULL, "log sync failed  errno=%d", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_a_name_and_a_sentence),
        cmocka_unit_test(ok_is_zero),
        cmocka_unit_test(an_error_too_long_is_cut),
        cmocka_unit_test(an_error_that_nobody_wants_may_be_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
