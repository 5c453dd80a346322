#include "session/session.h"
#include "unit/cmocka.h"

static void ids_count_from_behind_the_zxid_at_which_their_server_begins(void **state)
{
    assert_int_equal(session_id_behind(3, 0xc00000002), 0x0300000c00000003);
    assert_int_equal(session_id_behind(0xfe, 0), (int64_t)0xfe00000000000001u);
    assert_int_equal(session_id_behind(1, INT64_MAX), 0x0100000000000000);
}

static void a_local_id_is_server_then_clock_then_counter(void **state)
{
    assert_int_equal(session_id_local(1, 0x134a10), 0x018000134a100000);
    assert_int_equal(session_id_local(3, 0x923456789a), 0x03923456789a0000);
    assert_int_equal(session_id_local(1, 0x18bcfe56800), 0x018bcfe568000000);
}

static void no_local_id_is_another_kind_of_id(void **state)
{
    assert_int_equal(session_id_local(3, 0x123456789a), 0x03923456789a0000);
    assert_true(session_id_local(1, 0) > session_id_behind(1, (mk_zxid)0x1fffff << 32));
}

static void no_session_gets_the_id_zero_or_that_of_a_container(void **state)
{
    assert_int_equal(session_id_behind(0, INT64_MAX), 1);
    assert_int_equal(session_id_behind(0x80, INT64_MAX), INT64_MIN + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_count_from_behind_the_zxid_at_which_their_server_begins),
        cmocka_unit_test(a_local_id_is_server_then_clock_then_counter),
        cmocka_unit_test(no_local_id_is_another_kind_of_id),
        cmocka_unit_test(no_session_gets_the_id_zero_or_that_of_a_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
