#include "base/base.h"
#include "unit/cmocka.h"

static void the_earliest_is_first_and_ties_come_in_the_order_of_adding(void **state)
{
    struct mk_timers timers = {0};
    struct mk_timer late = {0};
    struct mk_timer early = {0};
    struct mk_timer early_too = {0};
    mk_timers_set(&timers, &late, 20);
    mk_timers_set(&timers, &early, 10);
    mk_timers_set(&timers, &early_too, 10);

    assert_ptr_equal(mk_timers_first(&timers), &early);
    mk_timers_cancel(&timers, &early);
    assert_ptr_equal(mk_timers_first(&timers), &early_too);
    mk_timers_cancel(&timers, &early_too);
    assert_ptr_equal(mk_timers_first(&timers), &late);
    mk_timers_cancel(&timers, &late);
    assert_null(mk_timers_first(&timers));

    mk_timers_free(&timers);
}

static void a_timer_that_is_set_again_moves(void **state)
{
    struct mk_timers timers = {0};
    struct mk_timer a = {0};
    struct mk_timer b = {0};
    mk_timers_set(&timers, &a, 10);
    mk_timers_set(&timers, &b, 20);

    mk_timers_set(&timers, &a, 30);
    assert_ptr_equal(mk_timers_first(&timers), &b);
    mk_timers_set(&timers, &a, 5);
    assert_ptr_equal(mk_timers_first(&timers), &a);

    assert_int_equal(timers.count, 2);
    mk_timers_free(&timers);
}

static void cancelling_what_is_not_in_does_nothing(void **state)
{
    struct mk_timers timers = {0};
    struct mk_timer timer = {0};

    mk_timers_cancel(&timers, &timer);
    mk_timers_set(&timers, &timer, 1);
    mk_timers_free(&timers);
    mk_timers_cancel(&timers, &timer);

    assert_null(mk_timers_first(&timers));
}

static struct mk_timer *earliest(struct mk_timer *all, size_t count)
{
    struct mk_timer *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct mk_timer *one = &all[i];
        if (one->index != 0 && (first == NULL || one->due < first->due ||
                                (one->due == first->due && one->order < first->order))) {
            first = one;
        }
    }
    return first;
}

static void the_heap_agrees_with_a_search(void **state)
{
    struct mk_timers timers = {0};
    struct mk_timer all[64] = {{0}};
    struct mk_random random;
    mk_random_seed(&random, 3);

    for (int i = 0; i < 50000; i++) {
        struct mk_timer *timer = &all[mk_random_below(&random, MK_COUNT(all))];
        if (mk_random_chance(&random, 600)) {
            mk_timers_set(&timers, timer, (mk_ms)mk_random_below(&random, 50));
        } else {
            mk_timers_cancel(&timers, timer);
        }
        assert_ptr_equal(mk_timers_first(&timers), earliest(all, MK_COUNT(all)));
    }

    mk_timers_free(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_is_first_and_ties_come_in_the_order_of_adding),
        cmocka_unit_test(a_timer_that_is_set_again_moves),
        cmocka_unit_test(cancelling_what_is_not_in_does_nothing),
        cmocka_unit_test(the_heap_agrees_with_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
