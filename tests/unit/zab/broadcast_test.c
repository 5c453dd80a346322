/* An ensemble of one: proposals commit in order when the own log has them. */
#include "unit/cmocka.h"
#include "zab/zab.h"

static void the_first_proposal_of_an_epoch_has_counter_one(void **state)
{
    struct zab zab;
    mk_zxid zxid;

    (void)state;
    zab_init(&zab, 0x100000007);
    zab_lead(&zab, 2);

    assert_true(zab_next(&zab, &zxid));
    assert_int_equal(zxid, 0x200000001);
}

static void a_proposal_commits_when_the_log_has_it_and_not_before(void **state)
{
    struct zab zab;

    (void)state;
    zab_init(&zab, 0);
    zab_lead(&zab, 1);
    zab_propose(&zab, 0x100000001);
    zab_propose(&zab, 0x100000002);
    assert_int_equal(zab_committed(&zab), 0x100000000);

    zab_logged(&zab, 0x100000001);

    assert_int_equal(zab_committed(&zab), 0x100000001);
}

static void an_epoch_without_zxids_left_proposes_nothing_more(void **state)
{
    struct zab zab;
    mk_zxid zxid;

    (void)state;
    zab_init(&zab, 0);
    zab_lead(&zab, 1);
    zab.proposed = 0x1fffffffe;
    zab.durable = zab.committed = zab.proposed;

    assert_false(zab_next(&zab, &zxid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_proposal_of_an_epoch_has_counter_one),
        cmocka_unit_test(a_proposal_commits_when_the_log_has_it_and_not_before),
        cmocka_unit_test(an_epoch_without_zxids_left_proposes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
