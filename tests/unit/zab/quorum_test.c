/* Which sets of servers may decide: any two of them must share one. */
#include "unit/cmocka.h"

#include "zab/internal.h"

static struct zab_config ensemble(size_t voters, size_t observers)
{
    struct zab_config config = {.members_count = voters + observers};

    for (size_t i = 0; i < config.members_count; i++) {
        config.members[i] =
            (struct zab_member){.id = (int64_t)i, .observer = i >= voters, .weight = 1};
    }
    return config;
}

/* Those of the numbers whose bits are set. */
static bool decides(const struct zab_config *config, uint64_t servers)
{
    struct ids set = {{servers}};

    return zab_quorum(config, &set);
}

static void more_than_half_of_the_voters_are_a_quorum(void **state)
{
    struct zab_config four = ensemble(4, 0);
    struct zab_config five = ensemble(5, 0);

    (void)state;
    assert_false(decides(&four, 0x3));
    assert_true(decides(&four, 0x7));
    assert_false(decides(&five, 0x11));
    assert_true(decides(&five, 0x15));
}

static void observers_are_not_counted_on_either_side(void **state)
{
    struct zab_config config = ensemble(3, 4);

    (void)state;
    assert_true(decides(&config, 0x03));
    assert_false(decides(&config, 0x79)); /* one voter, all observers */
}

static void a_full_ensemble_of_64_can_decide(void **state)
{
    struct zab_config config = ensemble(ZAB_MEMBERS_MAX, 0);

    (void)state;
    assert_false(decides(&config, 0xffffffff));
    assert_true(decides(&config, 0x1ffffffff));
}

/* Three groups of three. */
static struct zab_config groups(void)
{
    struct zab_config config = ensemble(9, 0);

    config.hierarchical = true;
    for (size_t i = 0; i < 9; i++) {
        config.members[i].group = (int64_t)(i / 3);
    }
    return config;
}

static void two_of_three_in_two_of_three_groups_are_a_quorum(void **state)
{
    struct zab_config config = groups();

    (void)state;
    assert_true(decides(&config, 0x1b));  /* 0 1, 3 4: four of nine */
    assert_false(decides(&config, 0x0f)); /* all of one group, one of another */
    assert_false(decides(&config, 0x49)); /* one of each */
}

static void weights_and_not_servers_are_counted_in_a_group(void **state)
{
    struct zab_config config = groups();

    (void)state;
    config.members[0].weight = 3;         /* against two */
    assert_true(decides(&config, 0x19));  /* 0, 3 4 */
    assert_false(decides(&config, 0x1e)); /* 1 2, 3 4 */
}

static void a_group_without_weight_has_no_say(void **state)
{
    struct zab_config config = groups();

    (void)state;
    config.members[6].weight = config.members[7].weight = config.members[8].weight = 0;
    assert_false(decides(&config, 0x1c3)); /* 0 1, and the group without: one of two */
    assert_true(decides(&config, 0x1b));
}

static bool may_lead(const struct zab_config *config, int64_t id)
{
    struct zab_options options = {.config = *config,
                                  .tick_ms = 2000,
                                  .init_limit = 10,
                                  .sync_limit = 5,
                                  .notify_min_ms = 200,
                                  .notify_max_ms = 60000};
    struct zab *zab = zab_new(&options);
    bool may = zab_may_lead(zab, id);

    zab_free(zab);
    return may;
}

static void who_has_no_weight_may_not_lead_a_hierarchical_ensemble(void **state)
{
    struct zab_config config = groups();

    (void)state;
    config.members[4].weight = 0;
    assert_false(may_lead(&config, 4));
    assert_true(may_lead(&config, 5));
    config.hierarchical = false;
    assert_true(may_lead(&config, 4));
    assert_false(may_lead(&config, 77));
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
