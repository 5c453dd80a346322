/* Log time: what deadlines and ctimes hang on. */
#include "unit/cmocka.h"
#include "alone.h"

static void it_starts_at_wall_time(void **state)
{
    struct zab *zab = alone_new(0, 0);

    (void)state;

    assert_int_equal(zab_time(zab, 50, 1000000), 1000000);
    zab_free(zab);
}

static void a_new_leader_goes_on_from_the_last_header_if_its_clock_is_behind(void **state)
{
    struct zab *zab = alone_new(0, 0);

    (void)state;
    zab_time_seen(zab, 2000000);

    assert_int_equal(zab_time(zab, 50, 1000000), 2000000);
    zab_free(zab);
}

static void a_leap_of_the_wall_clock_moves_it_by_a_tenth_at_most(void **state)
{
    struct zab *zab = alone_new(0, 0);

    (void)state;
    (void)zab_time(zab, 0, 1000000);

    assert_int_equal(zab_time(zab, 1000, 1000000 + 3600000), 1000000 + 1100);
    zab_free(zab);
}

static void it_slows_but_never_steps_back_when_the_wall_clock_does(void **state)
{
    struct zab *zab = alone_new(0, 0);
    mk_ms last;

    (void)state;
    last = zab_time(zab, 0, 1000000);
    for (mk_ms monotonic = 1; monotonic < 2000; monotonic++) {
        mk_ms now = zab_time(zab, monotonic, 10);
        assert_true(now >= last);
        last = now;
    }
    assert_true(last >= 1000000 + 1790 && last <= 1000000 + 1810);
    zab_free(zab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_at_wall_time),
        cmocka_unit_test(a_new_leader_goes_on_from_the_last_header_if_its_clock_is_behind),
        cmocka_unit_test(a_leap_of_the_wall_clock_moves_it_by_a_tenth_at_most),
        cmocka_unit_test(it_slows_but_never_steps_back_when_the_wall_clock_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
