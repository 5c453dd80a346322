#include "session/session.h"
#include "unit/cmocka.h"

static void the_first_id_is_server_then_clock_then_counter(void **state)
{
    assert_int_equal(session_id_first(1, 0x134a10), 0x10000134a100000);
    assert_int_equal(session_id_first(3, 0x123456789a), 0x03123456789a0000);
    assert_int_equal(session_id_first(0xff, 1), (int64_t)0xff00000000010000u);
}

static void only_forty_bits_of_the_clock_are_used(void **state)
{
    assert_int_equal(session_id_first(1, 0x7700000000000001), 0x0100000000010000);
    assert_int_equal(session_id_first(1, 0x18bcfe56800), 0x018bcfe568000000);
}

static void no_session_gets_the_id_zero_or_that_of_a_container(void **state)
{
    assert_int_equal(session_id_first(0, 0), 1);
    assert_int_equal(session_id_first(0x80, 0), INT64_MIN + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_id_is_server_then_clock_then_counter),
        cmocka_unit_test(only_forty_bits_of_the_clock_are_used),
        cmocka_unit_test(no_session_gets_the_id_zero_or_that_of_a_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
