/* Which sets of servers may decide: any two of them must share one. */
#include "unit/cmocka.h"

#include "zab/internal.h"

static struct zab_options ensemble(size_t voters, size_t observers)
{
    struct zab_options options = {.members_count = voters + observers};

    for (size_t i = 0; i < options.members_count; i++) {
        options.members[i] =
            (struct zab_member){.id = (int64_t)i, .observer = i >= voters, .weight = 1};
    }
    return options;
}

static void more_than_half_of_the_voters_are_a_quorum(void **state)
{
    struct zab_options four = ensemble(4, 0);
    struct zab_options five = ensemble(5, 0);

    (void)state;
    assert_false(zab_quorum(&four, 0x3));
    assert_true(zab_quorum(&four, 0x7));
    assert_false(zab_quorum(&five, 0x11));
    assert_true(zab_quorum(&five, 0x15));
}

static void observers_are_not_counted_on_either_side(void **state)
{
    struct zab_options options = ensemble(3, 4);

    (void)state;
    assert_true(zab_quorum(&options, 0x03));
    assert_false(zab_quorum(&options, 0x79)); /* one voter, all observers */
}

static void a_full_ensemble_of_64_can_decide(void **state)
{
    struct zab_options options = ensemble(ZAB_MEMBERS_MAX, 0);

    (void)state;
    assert_false(zab_quorum(&options, 0xffffffff));
    assert_true(zab_quorum(&options, 0x1ffffffff));
}

/* Three groups of three. */
static struct zab_options groups(void)
{
    struct zab_options options = ensemble(9, 0);

    options.hierarchical = true;
    for (size_t i = 0; i < 9; i++) {
        options.members[i].group = (int64_t)(i / 3);
    }
    return options;
}

static void two_of_three_in_two_of_three_groups_are_a_quorum(void **state)
{
    struct zab_options options = groups();

    (void)state;
    assert_true(zab_quorum(&options, 0x1b));  /* 0 1, 3 4: four of nine */
    assert_false(zab_quorum(&options, 0x0f)); /* all of one group, one of another */
    assert_false(zab_quorum(&options, 0x49)); /* one of each */
}

static void weights_and_not_servers_are_counted_in_a_group(void **state)
{
    struct zab_options options = groups();

    (void)state;
    options.members[0].weight = 3;            /* against two */
    assert_true(zab_quorum(&options, 0x19));  /* 0, 3 4 */
    assert_false(zab_quorum(&options, 0x1e)); /* 1 2, 3 4 */
}

static void a_group_without_weight_has_no_say(void **state)
{
    struct zab_options options = groups();

    (void)state;
    options.members[6].weight = options.members[7].weight = options.members[8].weight = 0;
    assert_false(zab_quorum(&options, 0x1c3)); /* 0 1, and the group without: one of two */
    assert_true(zab_quorum(&options, 0x1b));
}

static void who_has_no_weight_may_not_lead_a_hierarchical_ensemble(void **state)
{
    struct zab_options options = groups();

    (void)state;
    options.members[4].weight = 0;
    assert_false(zab_may_lead(&options, 4));
    assert_true(zab_may_lead(&options, 5));
    options.hierarchical = false;
    assert_true(zab_may_lead(&options, 4));
    assert_false(zab_may_lead(&options, 77));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_half_of_the_voters_are_a_quorum),
        cmocka_unit_test(observers_are_not_counted_on_either_side),
        cmocka_unit_test(a_full_ensemble_of_64_can_decide),
        cmocka_unit_test(two_of_three_in_two_of_three_groups_are_a_quorum),
        cmocka_unit_test(weights_and_not_servers_are_counted_in_a_group),
        cmocka_unit_test(a_group_without_weight_has_no_say),
        cmocka_unit_test(who_has_no_weight_may_not_lead_a_hierarchical_ensemble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
