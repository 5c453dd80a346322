/* Quotas: usage that is exact at every change, counted in steps when a quota is new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

#define LIMITS "/zookeeper_limits"
#define STATS "/zookeeper_stats"
#define OF_A "/zookeeper/quota/a"

static void make_quota(struct fixture *fixture, const char *quota)
{
    char path[128];
    create(fixture, quota, "");
    snprintf(path, sizeof(path), "%s" LIMITS, quota);
    create(fixture, path, "count=10,bytes=-1");
    snprintf(path, sizeof(path), "%s" STATS, quota);
    create(fixture, path, "count=0,bytes=0");
}

static void assert_usage(struct fixture *fixture, const char *quota, const char *usage)
{
    char path[128];
    snprintf(path, sizeof(path), "%s" STATS, quota);
    assert_text(look(fixture, path).data, usage);
}

static void creating_the_stats_counts_what_is_there(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "12");
    create(&fixture, "/a/b", "345");
    create(&fixture, "/a!", "is another subtree");

    make_quota(&fixture, OF_A);

    assert_usage(&fixture, OF_A, "count=2,bytes=5");
    fixture_close(&fixture);
}

static void every_change_below_moves_the_usage_and_nothing_else_of_the_stats(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    make_quota(&fixture, OF_A);
    struct store_znode before = look(&fixture, OF_A STATS);

    create(&fixture, "/a/b", "12345");
    create(&fixture, "/a/b/c", NULL);
    set_data(&fixture, "/a/b/c", "0123456789", 1);
    assert_usage(&fixture, OF_A, "count=3,bytes=15");
    set_data(&fixture, "/a/b/c", "", 2);
    delete (&fixture, "/a/b/c");
    set_data(&fixture, "/a", "12", 1);
    create(&fixture, "/b", "elsewhere");

    assert_usage(&fixture, OF_A, "count=2,bytes=7");
    struct store_znode after = look(&fixture, OF_A STATS);
    assert_int_equal(after.stat.mzxid, before.stat.mzxid);
    assert_int_equal(after.stat.pzxid, before.stat.pzxid);
    assert_int_equal(after.stat.mtime_ms, before.stat.mtime_ms);
    assert_int_equal(after.stat.version, before.stat.version);
    assert_int_equal(after.stat.cversion, before.stat.cversion);
    assert_int_equal(after.data_length, 15);
    fixture_close(&fixture);
}

static void the_root_of_a_quota_need_not_be_there(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    make_quota(&fixture, OF_A);
    assert_usage(&fixture, OF_A, "count=0,bytes=0");

    create(&fixture, "/a", "x");
    assert_usage(&fixture, OF_A, "count=1,bytes=1");
    delete (&fixture, "/a");

    assert_usage(&fixture, OF_A, "count=0,bytes=0");
    fixture_close(&fixture);
}

static void what_a_client_writes_into_the_stats_does_not_last(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    make_quota(&fixture, OF_A);
    char long_data[1000] = {0};
    memset(long_data, 'x', sizeof(long_data) - 1);
    set_data(&fixture, OF_A STATS, long_data, 1);

    create(&fixture, "/a/b", "");

    assert_usage(&fixture, OF_A, "count=2,bytes=0");
    fixture_close(&fixture);
}

static void without_limits_the_usage_stays_as_it_was_counted(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    make_quota(&fixture, OF_A);
    delete (&fixture, OF_A LIMITS);
    create(&fixture, "/a/b", "");
    assert_usage(&fixture, OF_A, "count=1,bytes=0");

    create(&fixture, OF_A LIMITS, "count=1,bytes=1");

    assert_usage(&fixture, OF_A, "count=2,bytes=0");
    fixture_close(&fixture);
}

static void stats_that_come_back_are_counted_afresh(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    make_quota(&fixture, OF_A);
    delete (&fixture, OF_A STATS);
    create(&fixture, "/a/b", "12");

    create(&fixture, OF_A STATS, "");

    assert_usage(&fixture, OF_A, "count=2,bytes=2");
    delete (&fixture, OF_A STATS);
    delete (&fixture, OF_A LIMITS);
    assert_int_equal(store_totals(fixture.store)->quotas, 0);
    fixture_close(&fixture);
}

static void the_deepest_quota_counts_and_the_outer_one_takes_over_when_it_goes(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    create(&fixture, "/a/b", "1");
    make_quota(&fixture, OF_A);
    make_quota(&fixture, OF_A "/b");

    create(&fixture, "/a/b/c", "23");
    assert_usage(&fixture, OF_A "/b", "count=2,bytes=3");
    assert_usage(&fixture, OF_A, "count=2,bytes=1");
    struct store_quota quota;
    enum mk_status status = store_quota_find(fixture.view, MK_BYTES("/a/b/c/d"), &quota);
    assert_int_equal(status, MK_OK);
    assert_text(quota.root, "/a/b");

    delete (&fixture, OF_A "/b" LIMITS);

    assert_usage(&fixture, OF_A, "count=3,bytes=3");
    status = store_quota_find(fixture.view, MK_BYTES("/a/b/c/d"), &quota);
    assert_int_equal(status, MK_OK);
    assert_text(quota.root, "/a");
    fixture_close(&fixture);
}

/* ---- A subtree that takes more than one step ---- */

static void step(struct fixture *fixture, enum mk_status expected)
{
    begin(fixture);
    enum mk_status status = store_quota_count(fixture->view);
    end(fixture);
    assert_int_equal(status, expected);
}

static void fill(struct fixture *fixture, int count)
{
    create(fixture, "/a", "");
    for (int i = 1; i < count; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/a/%04d", i);
        create(fixture, path, "x");
    }
}

static void a_large_subtree_is_counted_1024_znodes_at_a_time(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill(&fixture, 2500);
    create(&fixture, "/a/0001/deep", "123");
    make_quota(&fixture, OF_A);
    assert_usage(&fixture, OF_A, "count=1024,bytes=1023");
    assert_int_equal(store_totals(fixture.store)->counting, 1);

    step(&fixture, MK_OK);
    assert_usage(&fixture, OF_A, "count=2048,bytes=2047");
    step(&fixture, MK_OK);

    assert_usage(&fixture, OF_A, "count=2501,bytes=2502");
    assert_int_equal(store_totals(fixture.store)->counting, 0);
    step(&fixture, MK_END);
    fixture_close(&fixture);
}

static void changes_in_the_midst_of_counting_are_counted_once(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill(&fixture, 1100);
    make_quota(&fixture, OF_A);
    assert_usage(&fixture, OF_A, "count=1024,bytes=1023");

    delete (&fixture, "/a/0001"); /* is counted */
    create(&fixture, "/a/0000", "12");
    set_data(&fixture, "/a/0002", "", 1);
    assert_usage(&fixture, OF_A, "count=1024,bytes=1023");
    delete (&fixture, "/a/1099"); /* is not */
    create(&fixture, "/a/2000", "12345");
    set_data(&fixture, "/a/1098", "", 1);
    assert_usage(&fixture, OF_A, "count=1024,bytes=1023");
    step(&fixture, MK_OK);

    assert_usage(&fixture, OF_A, "count=1100,bytes=1102");
    fixture_close(&fixture);
}

static void counting_goes_on_behind_a_crash(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill(&fixture, 1500);
    make_quota(&fixture, OF_A);
    checkpoint(&fixture);

    fixture_reopen(&fixture);
    assert_usage(&fixture, OF_A, "count=1024,bytes=1023");
    step(&fixture, MK_OK);

    assert_usage(&fixture, OF_A, "count=1500,bytes=1499");
    fixture_close(&fixture);
}

static void a_quota_that_goes_is_not_counted_to_the_end(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill(&fixture, 1500);
    make_quota(&fixture, OF_A);

    delete (&fixture, OF_A STATS);

    assert_int_equal(store_totals(fixture.store)->counting, 0);
    step(&fixture, MK_END);
    fixture_close(&fixture);
}

static void a_step_reads_little_more_than_a_mebibyte_of_rows(void **state)
{
    struct fixture fixture;
    struct mk_buf acl = {0};
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    memset(mk_buf_grow(&acl, 400000), 0, 400000);
    for (int i = 0; i < 5; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/a/%d", i);
        struct store_create heavy = {
            .path = mk_bytes_text(path), .acl = mk_buf_view(&acl), .parent_cversion = -1};
        enum mk_status status = try_create(&fixture, &heavy);
        assert_int_equal(status, MK_OK);
    }
    mk_buf_free(&acl);

    make_quota(&fixture, OF_A);

    assert_usage(&fixture, OF_A, "count=4,bytes=0");
    step(&fixture, MK_OK);
    assert_usage(&fixture, OF_A, "count=6,bytes=0");
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating_the_stats_counts_what_is_there),
        cmocka_unit_test(every_change_below_moves_the_usage_and_nothing_else_of_the_stats),
        cmocka_unit_test(the_root_of_a_quota_need_not_be_there),
        cmocka_unit_test(what_a_client_writes_into_the_stats_does_not_last),
        cmocka_unit_test(without_limits_the_usage_stays_as_it_was_counted),
        cmocka_unit_test(stats_that_come_back_are_counted_afresh),
        cmocka_unit_test(the_deepest_quota_counts_and_the_outer_one_takes_over_when_it_goes),
        cmocka_unit_test(a_large_subtree_is_counted_1024_znodes_at_a_time),
        cmocka_unit_test(changes_in_the_midst_of_counting_are_counted_once),
        cmocka_unit_test(counting_goes_on_behind_a_crash),
        cmocka_unit_test(a_quota_that_goes_is_not_counted_to_the_end),
        cmocka_unit_test(a_step_reads_little_more_than_a_mebibyte_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
