/* Parked calls: who is woken by what, in which order, and only once (design 6.3). Each test is made
 * in the committed view and in the speculative one: they may not differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

#define SESSION 0x77

static void open_tree(struct fixture *fixture, void **state)
{
    fixture_open(fixture);
    struct store_create calls = {.path = MK_BYTES("/zookeeper/calls"), .parent_cversion = -1};
    struct store_znode znode;
    begin(fixture); /* zxid 1 */
    enum mk_status status = store_session_put(fixture->view, SESSION, 10000);
    assert_int_equal(status, MK_OK);
    status = store_session_put(fixture->view, SESSION + 1, 10000);
    assert_int_equal(status, MK_OK);
    status = store_znode_create(fixture->view, &calls, &znode);
    assert_int_equal(status, MK_OK);
    end(fixture);
    create(fixture, "/lock", "");   /* zxid 2 */
    create(fixture, "/lock/a", ""); /* zxid 3 */
    if (*state != NULL) {
        fixture_speculate(fixture);
    }
}

static const char *record_path(mk_zxid call)
{
    static char path[64];
    uint8_t bytes[TREE_CALL_RECORD_PATH_BYTES];
    tree_call_record_path(bytes, call);
    snprintf(path, sizeof(path), "%.*s", (int)sizeof(bytes), (const char *)bytes);
    return path;
}

/* `call` says whose it is, and what is special about it. */
static void park_waits_of(struct fixture *fixture, mk_zxid number, const struct tree_call *call,
                          const struct tree_wait *waits, int count)
{
    struct tree_call *record = mk_alloc_zero(1, sizeof(*record));
    struct mk_buf bytes = {0};
    *record = *call;
    record->operation = MK_BYTES("lock.acquire");
    record->waits_count = count;
    for (int i = 0; i < count; i++) {
        record->waits[i] = waits[i];
    }
    tree_call_encode(&bytes, record);
    if (absent(fixture, record_path(number))) {
        struct store_create create = {.path = mk_bytes_text(record_path(number)),
                                      .data = mk_buf_view(&bytes),
                                      .parent_cversion = -1};
        enum mk_status status = try_create(fixture, &create);
        assert_int_equal(status, MK_OK);
    } else {
        set_bytes(fixture, record_path(number), mk_buf_view(&bytes));
    }
    mk_buf_free(&bytes);
    mk_free(record);
}

static void park_waits(struct fixture *fixture, mk_zxid call, mk_ms deadline_ms,
                       const struct tree_wait *waits, int count)
{
    struct tree_call made = {.session = SESSION, .deadline_ms = deadline_ms};
    park_waits_of(fixture, call, &made, waits, count);
}

static void park(struct fixture *fixture, mk_zxid call, enum tree_wait_kind kind, const char *path,
                 mk_zxid stamp)
{
    struct tree_wait wait = {kind, stamp, mk_bytes_text(path)};
    park_waits(fixture, call, 0, &wait, 1);
}

struct text {
    char text[256];
    size_t len;
};

static bool take_call(void *context, mk_zxid call)
{
    struct text *text = context;
    text->len +=
        (size_t)snprintf(text->text + text->len, sizeof(text->text) - text->len, "%d ", (int)call);
    return true;
}

/* ---- What wakes ---- */

static void a_created_znode_wakes_who_waited_for_it(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CREATED, "/lock/new", 0);
    create(&fixture, "/lock/other", "");
    assert_string_equal(ready(&fixture), "");

    create(&fixture, "/lock/new", "");

    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

static void a_deleted_znode_wakes_who_waited_for_that(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_DELETED, "/lock/a", 3);
    set_data(&fixture, "/lock/a", "x", 1);
    create(&fixture, "/lock/a/below", "");
    delete (&fixture, "/lock/a/below");
    assert_string_equal(ready(&fixture), "");

    delete (&fixture, "/lock/a");

    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

static void changed_data_wakes_who_waited_for_that(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CHANGED, "/lock/a", 3);
    park(&fixture, 11, TREE_WAIT_CHANGED, "/lock/absent", 0);
    create(&fixture, "/lock/a/below", "");
    assert_string_equal(ready(&fixture), "");

    set_data(&fixture, "/lock/a", "x", 1);
    assert_string_equal(ready(&fixture), "10 ");
    create(&fixture, "/lock/absent", "x");
    assert_string_equal(ready(&fixture), "10 11 ");
    fixture_close(&fixture);
}

static void deletion_wakes_who_waited_for_a_change(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CHANGED, "/lock/a", 3);
    park(&fixture, 11, TREE_WAIT_CHILDREN, "/lock/a", 3);
    delete (&fixture, "/lock/a");
    assert_string_equal(ready(&fixture), "10 11 ");
    fixture_close(&fixture);
}

static void children_that_come_or_go_wake_the_first_waiter_only(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 12, TREE_WAIT_CHILDREN, "/lock", 3);
    park(&fixture, 11, TREE_WAIT_CHILDREN, "/lock", 3);
    park(&fixture, 13, TREE_WAIT_CHILDREN, "/lock", 3);
    set_data(&fixture, "/lock/a", "x", 1);
    assert_string_equal(ready(&fixture), "");

    create(&fixture, "/lock/b", "");
    assert_string_equal(ready(&fixture), "11 ");
    delete (&fixture, "/lock/b");
    assert_string_equal(ready(&fixture), "11 12 ");
    fixture_close(&fixture);
}

static void children_wake_all_who_asked_for_that(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 12, TREE_WAIT_CHILDREN_ALL, "/lock", 3);
    park(&fixture, 11, TREE_WAIT_CHILDREN_ALL, "/lock", 3);
    park(&fixture, 13, TREE_WAIT_CHILDREN, "/lock", 3);

    create(&fixture, "/lock/b", "");

    assert_string_equal(ready(&fixture), "13 11 12 ");
    fixture_close(&fixture);
}

static void children_of_the_root_are_waited_for_as_well(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CHILDREN, "/", 2);
    create(&fixture, "/new", "");
    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

/* ---- When, how often, in which order ---- */

static void a_wait_that_does_not_hold_when_it_is_written_is_ready_at_once(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_DELETED, "/lock/a", 2);
    park(&fixture, 11, TREE_WAIT_CREATED, "/lock/a", 0);
    park(&fixture, 12, TREE_WAIT_DELETED, "/lock/gone", 1);
    park(&fixture, 13, TREE_WAIT_CHANGED, "/lock/a", 2);
    park(&fixture, 14, TREE_WAIT_CHILDREN, "/lock", 2);
    park(&fixture, 15, TREE_WAIT_CHILDREN, "/lock", 3);
    assert_string_equal(ready(&fixture), "10 11 12 13 14 ");
    fixture_close(&fixture);
}

static void a_call_is_ready_once_until_its_record_is_rewritten(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    struct tree_wait waits[] = {{TREE_WAIT_CHANGED, 3, MK_BYTES("/lock/a")},
                                {TREE_WAIT_CHILDREN, 3, MK_BYTES("/lock")},
                                {TREE_WAIT_CHANGED, 3, MK_BYTES("/lock/a")},
                                {TREE_WAIT_DELETED, 3, MK_BYTES("/lock/a")}};
    park_waits(&fixture, 10, 0, waits, 4);
    set_data(&fixture, "/lock/a", "x", 1);
    set_data(&fixture, "/lock/a", "y", 2);
    delete (&fixture, "/lock/a");
    assert_string_equal(ready(&fixture), "10 ");

    park(&fixture, 10, TREE_WAIT_CREATED, "/lock/a", 0);
    assert_string_equal(ready(&fixture), "");
    create(&fixture, "/lock/a", "");
    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

static void calls_run_in_the_order_in_which_they_became_ready(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CREATED, "/lock/z", 0);
    park(&fixture, 11, TREE_WAIT_CREATED, "/lock/y", 0);
    park(&fixture, 12, TREE_WAIT_CREATED, "/lock/x", 0);
    struct store_znode znode;
    struct store_create y = {.path = MK_BYTES("/lock/y"), .parent_cversion = -1};
    struct store_create x = {.path = MK_BYTES("/lock/x"), .parent_cversion = -1};

    begin(&fixture); /* two in one transaction: in the order of its operations */
    enum mk_status status = store_znode_create(fixture.view, &x, &znode);
    assert_int_equal(status, MK_OK);
    status = store_znode_create(fixture.view, &y, &znode);
    assert_int_equal(status, MK_OK);
    end(&fixture);
    create(&fixture, "/lock/z", "");

    assert_string_equal(ready(&fixture), "12 11 10 ");
    fixture_close(&fixture);
}

static void a_deleted_record_is_never_woken(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CREATED, "/lock/x", 0);
    park(&fixture, 11, TREE_WAIT_CREATED, "/lock/x", 0);
    delete (&fixture, record_path(10));
    create(&fixture, "/lock/x", "");
    assert_string_equal(ready(&fixture), "11 ");
    delete (&fixture, record_path(11));
    assert_string_equal(ready(&fixture), "");
    fixture_close(&fixture);
}

/* ---- Passing on ---- */

static void a_woken_call_that_ends_passes_its_wake_on(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    for (mk_zxid call = 10; call <= 13; call++) {
        park(&fixture, call, TREE_WAIT_CHILDREN, "/lock", 3);
    }
    create(&fixture, "/lock/b", "");
    assert_string_equal(ready(&fixture), "10 ");

    delete (&fixture, record_path(10));

    assert_string_equal(ready(&fixture), "11 ");
    fixture_close(&fixture);
}

static void a_call_that_was_not_woken_passes_nothing_on(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CHILDREN, "/lock", 3);
    park(&fixture, 11, TREE_WAIT_CHILDREN, "/lock", 3);
    create(&fixture, "/lock/b", "");
    delete (&fixture, record_path(11));
    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

static void a_wake_is_not_passed_to_who_has_seen_the_change(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CHILDREN, "/lock", 3);
    create(&fixture, "/lock/b", "");
    park(&fixture, 11, TREE_WAIT_CHILDREN, "/lock", fixture.zxid);
    delete (&fixture, record_path(10));
    assert_string_equal(ready(&fixture), "");
    fixture_close(&fixture);
}

/* ---- Many at once ---- */

static void one_change_breaks_the_waits_of_all_in_a_few_rows(void **state)
{
    struct fixture fixture;
    (void)state;
    void *committed = NULL;
    open_tree(&fixture, &committed);
    for (mk_zxid call = 1000; call < 3000; call++) {
        park(&fixture, call, TREE_WAIT_DELETED, "/lock/a", 3);
    }

    delete (&fixture, "/lock/a");

    assert_int_equal(store_totals(fixture.store)->ready, 1);
    assert_int_equal(store_totals(fixture.store)->awaited, 2000);
    for (mk_zxid call = 1000; call < 3000; call++) {
        mk_zxid first;
        enum mk_status status = store_ready_first(fixture.view, &first);
        assert_int_equal(status, MK_OK);
        assert_int_equal(first, call);
        delete (&fixture, record_path(first));
    }
    assert_int_equal(store_totals(fixture.store)->ready, 0);
    fixture_close(&fixture);
}

static void who_parks_again_is_not_ready_while_others_are(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    for (mk_zxid call = 10; call < 13; call++) {
        park(&fixture, call, TREE_WAIT_CHILDREN_ALL, "/lock", 3);
    }
    create(&fixture, "/lock/b", "");
    mk_zxid changed = fixture.zxid;
    assert_string_equal(ready(&fixture), "10 11 12 ");

    park(&fixture, 10, TREE_WAIT_CHILDREN_ALL, "/lock", changed);
    assert_string_equal(ready(&fixture), "11 12 ");
    park(&fixture, 11, TREE_WAIT_CHILDREN_ALL, "/lock", changed);
    park(&fixture, 12, TREE_WAIT_CHILDREN_ALL, "/lock", changed);
    assert_string_equal(ready(&fixture), "");
    create(&fixture, "/lock/c", "");
    assert_string_equal(ready(&fixture), "10 11 12 ");
    fixture_close(&fixture);
}

static void a_wait_that_holds_again_wakes_nobody(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CREATED, "/lock/new", 0);
    create(&fixture, "/lock/new", "");
    assert_string_equal(ready(&fixture), "10 ");

    delete (&fixture, "/lock/new");

    assert_string_equal(ready(&fixture), "");
    fixture_close(&fixture);
}

/* ---- The end of a session ---- */

static void session_remove(struct fixture *fixture, mk_session id)
{
    begin(fixture);
    enum mk_status status = store_session_remove(fixture->view, id);
    assert_int_equal(status, MK_OK);
    end(fixture);
}

static void a_sessions_end_makes_its_calls_wait_for_nothing(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 11, TREE_WAIT_DELETED, "/lock/a", 3);
    park(&fixture, 10, TREE_WAIT_CHILDREN, "/lock", 3);
    park_waits(&fixture, 12, 5000, NULL, 0);

    session_remove(&fixture, SESSION);

    assert_string_equal(gone(&fixture), "10 11 12 ");
    delete (&fixture, "/lock/a");
    assert_string_equal(ready(&fixture), "");
    delete (&fixture, record_path(10));
    assert_string_equal(gone(&fixture), "11 12 ");
    fixture_close(&fixture);
}

static void a_sessions_end_takes_its_calls_out_of_those_that_are_ready(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park(&fixture, 10, TREE_WAIT_CREATED, "/lock/a", 0);
    park(&fixture, 11, TREE_WAIT_DELETED, "/lock/a", 3);
    delete (&fixture, "/lock/a");
    assert_string_equal(ready(&fixture), "10 11 ");

    session_remove(&fixture, SESSION);

    assert_string_equal(ready(&fixture), "");
    assert_string_equal(gone(&fixture), "10 11 ");
    fixture_close(&fixture);
}

static void a_call_that_is_gone_passes_its_wake_on_at_once(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    struct tree_wait wait = {TREE_WAIT_CHILDREN, 3, MK_BYTES("/lock")};
    park_waits_of(&fixture, 10, &(struct tree_call){.session = SESSION}, &wait, 1);
    park_waits_of(&fixture, 11, &(struct tree_call){.session = SESSION + 1}, &wait, 1);
    create(&fixture, "/lock/b", "");
    assert_string_equal(ready(&fixture), "10 ");

    session_remove(&fixture, SESSION);

    assert_string_equal(gone(&fixture), "10 ");
    assert_string_equal(ready(&fixture), "11 ");
    fixture_close(&fixture);
}

static void a_call_that_outlives_its_session_goes_on_waiting(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    struct tree_call call = {.session = SESSION, .outlives_session = true};
    struct tree_wait wait = {TREE_WAIT_DELETED, 3, MK_BYTES("/lock/a")};
    park_waits_of(&fixture, 10, &call, &wait, 1);

    session_remove(&fixture, SESSION);
    assert_string_equal(gone(&fixture), "");
    delete (&fixture, "/lock/a");

    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

static void a_record_of_a_session_that_has_ended_is_gone_at_once(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    session_remove(&fixture, SESSION);

    park(&fixture, 10, TREE_WAIT_DELETED, "/lock/a", 3);

    assert_string_equal(gone(&fixture), "10 ");
    fixture_close(&fixture);
}

/* ---- Slowed ---- */

static void a_slowed_call_is_not_ready_before_it_is_looked_at_again(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    struct tree_call call = {.session = SESSION, .not_before_ms = 7000};
    struct tree_wait wait = {TREE_WAIT_DELETED, 3, MK_BYTES("/lock/a")};
    park_waits_of(&fixture, 10, &call, &wait, 1);
    delete (&fixture, "/lock/a");
    assert_string_equal(ready(&fixture), "");
    mk_ms time_ms = 0;
    mk_zxid slowed = 0;
    enum mk_status status = store_slowed_first(fixture.view, &time_ms, &slowed);
    assert_int_equal(status, MK_OK);
    assert_int_equal(time_ms, 7000);
    assert_int_equal(slowed, 10);

    park(&fixture, 10, TREE_WAIT_DELETED, "/lock/a", 3);

    assert_string_equal(ready(&fixture), "10 ");
    status = store_slowed_first(fixture.view, &time_ms, &slowed);
    assert_int_equal(status, MK_END);
    fixture_close(&fixture);
}

/* ---- Deadlines, sessions, totals ---- */

static void the_earliest_deadline_comes_first(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    mk_ms deadline_ms = 0;
    mk_zxid call = 0;
    enum mk_status status = store_deadline_first(fixture.view, &deadline_ms, &call);
    assert_int_equal(status, MK_END);
    park_waits(&fixture, 10, 5000, NULL, 0);
    park_waits(&fixture, 11, 4000, NULL, 0);
    park_waits(&fixture, 12, 0, NULL, 0);

    status = store_deadline_first(fixture.view, &deadline_ms, &call);
    assert_int_equal(status, MK_OK);
    assert_int_equal(deadline_ms, 4000);
    assert_int_equal(call, 11);

    park_waits(&fixture, 11, 6000, NULL, 0);
    status = store_deadline_first(fixture.view, &deadline_ms, &call);
    assert_int_equal(status, MK_OK);
    assert_int_equal(call, 10);
    assert_string_equal(ready(&fixture), "");
    fixture_close(&fixture);
}

static void a_sessions_calls_are_listed_oldest_first(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    park_waits(&fixture, 0x200000001, 0, NULL, 0);
    park_waits(&fixture, 11, 0, NULL, 0);
    park_waits(&fixture, 10, 0, NULL, 0);
    struct text text = {.len = 0};
    delete (&fixture, record_path(11));

    enum mk_status status = store_session_calls_each(fixture.view, SESSION, take_call, &text);

    assert_int_equal(status, MK_OK);
    assert_string_equal(text.text, "10 1 ");
    text = (struct text){.len = 0};
    status = store_session_calls_each(fixture.view, SESSION + 1, take_call, &text);
    assert_int_equal(status, MK_OK);
    assert_string_equal(text.text, "");
    fixture_close(&fixture);
}

static void what_is_no_record_has_no_indexes(void **state)
{
    struct fixture fixture;
    open_tree(&fixture, state);
    create(&fixture, record_path(10), "no record");
    create(&fixture, record_path(11), NULL);
    set_data(&fixture, record_path(10), "nor is this", 1);
    park(&fixture, 11, TREE_WAIT_CREATED, "/lock/x", 0);
    set_data(&fixture, record_path(11), "it was one", 2);
    create(&fixture, "/lock/x", "");
    assert_string_equal(ready(&fixture), "");
    fixture_close(&fixture);
}

static void totals_count_calls_waits_and_who_is_ready(void **state)
{
    struct fixture fixture;
    (void)state;
    void *committed = NULL;
    open_tree(&fixture, &committed);
    struct tree_wait waits[] = {{TREE_WAIT_CHANGED, 3, MK_BYTES("/lock/a")},
                                {TREE_WAIT_CHILDREN, 3, MK_BYTES("/lock")}};
    park_waits(&fixture, 10, 0, waits, 2);
    park_waits(&fixture, 11, 0, waits, 2);
    assert_int_equal(store_totals(fixture.store)->calls, 2);
    assert_int_equal(store_totals(fixture.store)->awaited, 4);

    create(&fixture, "/lock/b", "");

    assert_int_equal(store_totals(fixture.store)->awaited, 2);
    assert_int_equal(store_totals(fixture.store)->ready, 1);
    checkpoint(&fixture);
    fixture_reopen(&fixture);
    assert_int_equal(store_totals(fixture.store)->ready, 1);
    assert_string_equal(ready(&fixture), "10 ");
    fixture_close(&fixture);
}

#define IN_BOTH_VIEWS(test)                                            \
    {#test, test, NULL, NULL, NULL},                                   \
    {                                                                  \
#test " (speculative)", test, NULL, NULL, (void *)(uintptr_t)1 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH_VIEWS(a_created_znode_wakes_who_waited_for_it),
        IN_BOTH_VIEWS(a_deleted_znode_wakes_who_waited_for_that),
        IN_BOTH_VIEWS(changed_data_wakes_who_waited_for_that),
        IN_BOTH_VIEWS(deletion_wakes_who_waited_for_a_change),
        IN_BOTH_VIEWS(children_that_come_or_go_wake_the_first_waiter_only),
        IN_BOTH_VIEWS(children_wake_all_who_asked_for_that),
        IN_BOTH_VIEWS(children_of_the_root_are_waited_for_as_well),
        IN_BOTH_VIEWS(a_wait_that_does_not_hold_when_it_is_written_is_ready_at_once),
        IN_BOTH_VIEWS(a_call_is_ready_once_until_its_record_is_rewritten),
        IN_BOTH_VIEWS(calls_run_in_the_order_in_which_they_became_ready),
        IN_BOTH_VIEWS(a_deleted_record_is_never_woken),
        IN_BOTH_VIEWS(a_woken_call_that_ends_passes_its_wake_on),
        IN_BOTH_VIEWS(a_call_that_was_not_woken_passes_nothing_on),
        IN_BOTH_VIEWS(a_wake_is_not_passed_to_who_has_seen_the_change),
        cmocka_unit_test(one_change_breaks_the_waits_of_all_in_a_few_rows),
        IN_BOTH_VIEWS(who_parks_again_is_not_ready_while_others_are),
        IN_BOTH_VIEWS(a_wait_that_holds_again_wakes_nobody),
        IN_BOTH_VIEWS(a_sessions_end_makes_its_calls_wait_for_nothing),
        IN_BOTH_VIEWS(a_sessions_end_takes_its_calls_out_of_those_that_are_ready),
        IN_BOTH_VIEWS(a_call_that_is_gone_passes_its_wake_on_at_once),
        IN_BOTH_VIEWS(a_call_that_outlives_its_session_goes_on_waiting),
        IN_BOTH_VIEWS(a_record_of_a_session_that_has_ended_is_gone_at_once),
        IN_BOTH_VIEWS(a_slowed_call_is_not_ready_before_it_is_looked_at_again),
        IN_BOTH_VIEWS(the_earliest_deadline_comes_first),
        IN_BOTH_VIEWS(a_sessions_calls_are_listed_oldest_first),
        IN_BOTH_VIEWS(what_is_no_record_has_no_indexes),
        cmocka_unit_test(totals_count_calls_waits_and_who_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
