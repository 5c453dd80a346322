#include "base/base.h"
#include "unit/cmocka.h"

/* Recorded seeds of the simulator depend on these numbers. */
static void a_seed_yields_the_same_numbers_in_every_process(void **state)
{
    struct mk_random random;
    mk_random_seed(&random, 42);

    assert_true(mk_random_next(&random) == 0x15780b2e0c2ec716u);
    assert_true(mk_random_next(&random) == 0x6104d9866d113a7eu);
}

static void different_seeds_yield_different_numbers(void **state)
{
    struct mk_random a;
    struct mk_random b;
    mk_random_seed(&a, 0);
    mk_random_seed(&b, 1);

    assert_true(mk_random_next(&a) != mk_random_next(&b));
}

static void numbers_below_a_bound_are_spread_evenly(void **state)
{
    struct mk_random random;
    size_t counts[7] = {0};
    mk_random_seed(&random, 4);

    for (int i = 0; i < 70000; i++) {
        uint64_t number = mk_random_below(&random, 7);
        assert_true(number < 7);
        counts[number]++;
    }

    for (size_t i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
}

static void below_one_there_is_only_zero(void **state)
{
    struct mk_random random;
    mk_random_seed(&random, 5);

    assert_int_equal(mk_random_below(&random, 1), 0);
    assert_true(mk_random_below(&random, UINT64_MAX) < UINT64_MAX);
}

static void a_chance_of_none_never_happens_and_of_all_always(void **state)
{
    struct mk_random random;
    mk_random_seed(&random, 6);

    for (int i = 0; i < 1000; i++) {
        assert_false(mk_random_chance(&random, 0));
        assert_true(mk_random_chance(&random, 1000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_yields_the_same_numbers_in_every_process),
        cmocka_unit_test(different_seeds_yield_different_numbers),
        cmocka_unit_test(numbers_below_a_bound_are_spread_evenly),
        cmocka_unit_test(below_one_there_is_only_zero),
        cmocka_unit_test(a_chance_of_none_never_happens_and_of_all_always),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
