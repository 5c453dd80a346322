#include "session/session.h"
#include "unit/cmocka.h"

static const struct session_limits limits = {
    .tick_ms = 2000, .timeout_min_ms = 4000, .timeout_max_ms = 40000};

/* ---- Timeouts ---- */

static void a_timeout_is_cut_to_what_the_server_grants(void **state)
{
    assert_int_equal(session_timeout_negotiate(&limits, 1), 4000);
    assert_int_equal(session_timeout_negotiate(&limits, 0), 4000);
    assert_int_equal(session_timeout_negotiate(&limits, -5), 4000);
    assert_int_equal(session_timeout_negotiate(&limits, INT32_MIN), 4000);
    assert_int_equal(session_timeout_negotiate(&limits, 10000), 10000);
    assert_int_equal(session_timeout_negotiate(&limits, 999999), 40000);
}

/* ---- Expiry ---- */

static void a_session_expires_at_the_first_tick_after_its_timeout(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, 7, 4000, 100);

    assert_int_equal(session_next_due(table), 6000);
    assert_null(session_expired_next(table, 5999));
    assert_ptr_equal(session_expired_next(table, 6000), session);
    session_table_free(table);
}

static void a_timeout_that_ends_on_a_tick_lasts_to_the_next_one(void **state)
{
    struct session_table *table = session_table_new(&limits);
    session_add(table, 7, 4000, 2000);

    assert_int_equal(session_next_due(table), 8000);
    session_table_free(table);
}

static void a_session_that_is_heard_from_does_not_expire(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, 7, 4000, 0);
    for (mk_ms now_ms = 1000; now_ms < 100000; now_ms += 1000) {
        session_touch(table, session, now_ms);
        assert_null(session_expired_next(table, now_ms));
        assert_true(session_next_due(table) > now_ms + 4000);
        assert_true(session_next_due(table) <= now_ms + 4000 + 2000);
    }
    assert_int_equal(session->touched_ms, 99000);
    session_table_free(table);
}

static void a_touch_within_the_same_bucket_moves_nothing(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *first = session_add(table, 1, 4000, 0);
    session_add(table, 2, 4000, 0);

    session_touch(table, first, 1999);

    assert_ptr_equal(session_expired_next(table, 6000), first);
    session_table_free(table);
}

static void a_new_timeout_counts_from_the_next_touch(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, 7, 4000, 0);
    session->timeout_ms = 8000;
    session_touch(table, session, 100);
    assert_int_equal(session_next_due(table), 10000);

    session->timeout_ms = 4000;
    session_touch(table, session, 200);
    assert_int_equal(session_next_due(table), 6000);
    session_table_free(table);
}

static void sessions_of_one_bucket_expire_in_the_order_in_which_they_came_into_it(void **state)
{
    struct session_table *table = session_table_new(&limits);
    session_add(table, 9, 4000, 0);
    session_add(table, 3, 4000, 1500);
    session_add(table, 5, 6000, 0);
    session_touch(table, session_add(table, 1, 4000, 0), 2000);
    session_add(table, 4, 4000, 1000);

    static const mk_session order[] = {9, 3, 4, 5, 1};
    for (size_t i = 0; i < MK_COUNT(order); i++) {
        assert_int_equal(session_expired_next(table, 100000)->id, order[i]);
    }
    assert_null(session_expired_next(table, 100000));
    session_table_free(table);
}

static void an_expired_session_is_given_out_once_and_closing(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, 7, 4000, 0);

    assert_ptr_equal(session_expired_next(table, 6000), session);
    assert_true(session->closing);
    assert_null(session_expired_next(table, 6000));
    assert_int_equal(session_next_due(table), INT64_MAX);
    assert_ptr_equal(session_find(table, 7), session);
    session_table_free(table);
}

static void a_closing_session_neither_expires_nor_comes_back(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, 7, 4000, 0);
    session->closing = true;

    session_touch(table, session, 3000);
    assert_int_equal(session->touched_ms, 0);
    assert_null(session_expired_next(table, 100000));
    session_table_free(table);
}

static void a_timeout_from_another_server_may_be_anything(void **state)
{
    struct session_table *table = session_table_new(&limits);
    session_add(table, 1, -1, 500);
    assert_int_equal(session_next_due(table), 2000);
    session_add(table, 2, INT32_MAX, 500);
    assert_int_equal(session_expired_next(table, 2000)->id, 1);
    assert_int_equal(session_next_due(table), 2147486000);
    session_table_free(table);
}

/* ---- The table ---- */

static void adding_a_session_that_is_there_finds_it_as_it_is(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, 7, 4000, 0);

    assert_ptr_equal(session_add(table, 7, 9000, 5000), session);
    assert_int_equal(session->timeout_ms, 4000);
    assert_int_equal(session_next_due(table), 6000);
    assert_int_equal(session_count(table), 1);
    session_table_free(table);
}

static void a_removed_session_is_gone_and_does_not_expire(void **state)
{
    struct session_table *table = session_table_new(&limits);
    session_remove(table, session_add(table, 7, 4000, 0));

    assert_null(session_find(table, 7));
    assert_int_equal(session_count(table), 0);
    assert_int_equal(session_next_due(table), INT64_MAX);
    assert_null(session_expired_next(table, 100000));
    session_table_free(table);
}

static void ids_with_the_high_bit_set_are_sessions_like_others(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct session *session = session_add(table, -5, 4000, 0);
    assert_ptr_equal(session_find(table, -5), session);
    assert_null(session_find(table, 5));
    session_table_free(table);
}

static void a_walk_meets_each_session_once(void **state)
{
    struct session_table *table = session_table_new(&limits);
    for (mk_session id = 1; id <= 100; id++) {
        session_add(table, id, 4000, 0);
    }
    mk_session sum = 0;
    size_t cursor = 0;
    struct session *session;
    while (session_next(table, &cursor, &session)) {
        sum += session->id;
    }
    assert_int_equal(sum, 5050);
    session_table_free(table);
}

static void a_hundred_thousand_sessions_expire_in_due_order(void **state)
{
    struct session_table *table = session_table_new(&limits);
    struct mk_random random;
    mk_random_seed(&random, 1);
    for (mk_session id = 1; id <= 100000; id++) {
        struct session *session =
            session_add(table, id, 4000 + (int32_t)mk_random_below(&random, 36000), 0);
        session_touch(table, session, (mk_ms)mk_random_below(&random, 4000));
    }

    size_t expired = 0;
    for (mk_ms now_ms = 0; now_ms <= 60000; now_ms += 500) {
        struct session *session;
        while ((session = session_expired_next(table, now_ms)) != NULL) {
            mk_ms silent_ms = now_ms - session->touched_ms;
            assert_true(silent_ms > session->timeout_ms);
            assert_true(silent_ms <= session->timeout_ms + limits.tick_ms);
            session_remove(table, session);
            expired++;
        }
    }
    assert_int_equal(expired, 100000);
    assert_int_equal(session_count(table), 0);
    session_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_is_cut_to_what_the_server_grants),
        cmocka_unit_test(a_session_expires_at_the_first_tick_after_its_timeout),
        cmocka_unit_test(a_timeout_that_ends_on_a_tick_lasts_to_the_next_one),
        cmocka_unit_test(a_session_that_is_heard_from_does_not_expire),
        cmocka_unit_test(a_touch_within_the_same_bucket_moves_nothing),
        cmocka_unit_test(a_new_timeout_counts_from_the_next_touch),
        cmocka_unit_test(sessions_of_one_bucket_expire_in_the_order_in_which_they_came_into_it),
        cmocka_unit_test(an_expired_session_is_given_out_once_and_closing),
        cmocka_unit_test(a_closing_session_neither_expires_nor_comes_back),
        cmocka_unit_test(a_timeout_from_another_server_may_be_anything),
        cmocka_unit_test(adding_a_session_that_is_there_finds_it_as_it_is),
        cmocka_unit_test(a_removed_session_is_gone_and_does_not_expire),
        cmocka_unit_test(ids_with_the_high_bit_set_are_sessions_like_others),
        cmocka_unit_test(a_walk_meets_each_session_once),
        cmocka_unit_test(a_hundred_thousand_sessions_expire_in_due_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
