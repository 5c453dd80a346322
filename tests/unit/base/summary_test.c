#include "base/base.h"
#include "unit/cmocka.h"

static void a_summary_knows_count_sum_least_and_most(void **state)
{
    struct mk_summary summary = {0};

    mk_summary_add(&summary, 7);
    mk_summary_add(&summary, 3);
    mk_summary_add(&summary, 5);

    assert_int_equal(summary.count, 3);
    assert_int_equal(summary.sum, 15);
    assert_int_equal(summary.min, 3);
    assert_int_equal(summary.max, 7);
    assert_true(mk_summary_average(&summary) == 5.0);
}

static void an_empty_summary_is_all_zeros_and_adds_nothing(void **state)
{
    struct mk_summary empty = {0}, summary = {0};
    mk_summary_add(&summary, 9);

    mk_summary_merge(&summary, &empty);
    mk_summary_merge(&empty, &summary);

    assert_int_equal(summary.min, 9);
    assert_int_equal(empty.min, 9);
    assert_int_equal(empty.count, 1);
    assert_true(mk_summary_average(&(struct mk_summary){0}) == 0.0);
}

static void small_values_have_exact_quantiles(void **state)
{
    struct mk_spread spread = {0};
    for (uint64_t i = 1; i <= 10; i++) {
        mk_spread_add(&spread, i);
    }

    assert_int_equal(mk_spread_quantile(&spread, 0), 1);
    assert_int_equal(mk_spread_quantile(&spread, 500), 5);
    assert_int_equal(mk_spread_quantile(&spread, 950), 10);
    assert_int_equal(mk_spread_quantile(&spread, 1000), 10);
    assert_int_equal(mk_spread_quantile(&(struct mk_spread){0}, 500), 0);
}

static void large_values_have_quantiles_within_an_eighth(void **state)
{
    for (uint64_t value = 1; value < UINT64_C(1) << 24; value = value * 3 + 1) {
        struct mk_spread spread = {0};
        mk_spread_add(&spread, 0);
        mk_spread_add(&spread, value);
        mk_spread_add(&spread, value + value / 3);

        uint64_t median = mk_spread_quantile(&spread, 500);
        assert_true(median <= value);
        assert_true(median + median / 8 + 1 > value);
    }
}

static void values_beyond_the_last_bucket_are_counted_in_it(void **state)
{
    struct mk_spread spread = {0};

    mk_spread_add(&spread, UINT64_MAX);

    assert_int_equal(spread.all.max, UINT64_MAX);
    assert_int_equal(mk_spread_quantile(&spread, 990), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_summary_knows_count_sum_least_and_most),
        cmocka_unit_test(an_empty_summary_is_all_zeros_and_adds_nothing),
        cmocka_unit_test(small_values_have_exact_quantiles),
        cmocka_unit_test(large_values_have_quantiles_within_an_eighth),
        cmocka_unit_test(values_beyond_the_last_bucket_are_counted_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
