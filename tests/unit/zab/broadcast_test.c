#include "unit/cmocka.h"

#include "alone.h"
#include "zab/internal.h"

static void the_first_proposal_of_an_epoch_has_counter_one(void **state)
{
    struct zab *zab = alone_new(1, 0x100000007);
    mk_zxid zxid;

    (void)state;

    assert_true(zab_next(zab, &zxid));

    assert_int_equal(zxid, 0x200000001);
    zab_free(zab);
}

static void a_proposal_commits_when_the_log_has_it_and_not_before(void **state)
{
    struct zab *zab = alone_new(0, 0);
    struct zab_action action;

    (void)state;
    zab_propose(zab, 0x100000001);
    zab_propose(zab, 0x100000002);
    assert_false(zab_action(zab, &action));
    assert_int_equal(zab_committed(zab), 0x100000000);

    zab_logged(zab, 0x100000001);

    assert_true(zab_action(zab, &action));
    assert_int_equal(action.kind, ZAB_COMMIT);
    assert_int_equal(action.zxid, 0x100000001);
    assert_int_equal(zab_committed(zab), 0x100000001);
    zab_free(zab);
}

/* ZOOKEEPER-1277: the counter ran into the epoch's bits. */
static void an_epoch_without_zxids_left_ends_when_all_of_it_is_committed(void **state)
{
    struct zab *zab = alone_new(0, 0);
    struct zab_action action;
    mk_zxid zxid;

    (void)state;
    zab->proposed = zab->logged = zab->durable = zab->committed = 0x1fffffffd;
    assert_true(zab_next(zab, &zxid));
    assert_int_equal(zxid, 0x1fffffffe);
    zab_propose(zab, zxid);
    assert_false(zab_next(zab, &zxid));
    zab_tick(zab, 1000);
    assert_true(zab_established(zab));

    zab_logged(zab, 0x1fffffffe);
    while (zab_action(zab, &action)) {
        if (action.kind == ZAB_STORE_EPOCHS) {
            zab_epochs_stored(zab);
        }
    }

    assert_true(zab_next(zab, &zxid));
    assert_int_equal(zxid, 0x200000001);
    zab_free(zab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_proposal_of_an_epoch_has_counter_one),
        cmocka_unit_test(a_proposal_commits_when_the_log_has_it_and_not_before),
        cmocka_unit_test(an_epoch_without_zxids_left_ends_when_all_of_it_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
