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
    create(fixture, "/zookeeper/calls", ""); /* zxid 1 */
    create(fixture, "/lock", "");            /* zxid 2 */
    create(fixture, "/lock/a", "");          /* zxid 3 */
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

static struct mk_buf record(mk_ms deadline_ms, const struct tree_wait *waits, int count)
{
    static struct tree_call call;
    call = (struct tree_call){.session = SESSION, .deadline_ms = deadline_ms};
    call.operation = MK_BYTES("lock.acquire");
    call.waits_count = count;
    for (int i = 0; i < count; i++) {
        call.waits[i] = waits[i];
    }
    struct mk_buf bytes = {0};
    tree_call_encode(&bytes, &call);
    return bytes;
}

static void park_waits(struct fixture *fixture, mk_zxid call, mk_ms deadline_ms,
                       const struct tree_wait *waits, int count)
{
    struct mk_buf bytes = record(deadline_ms, waits, count);
    if (absent(fixture, record_path(call))) {
        struct store_create create = {.path = mk_bytes_text(record_path(call)),
                                      .data = mk_buf_view(&bytes),
                                      .parent_cversion = -1};
        enum mk_status status = try_create(fixture, &create);
        assert_int_equal(status, MK_OK);
    } else {
        set_bytes(fixture, record_path(call), mk_buf_view(&bytes));
    }
    mk_buf_free(&bytes);
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

static const char *ready(struct fixture *fixture)
{
    static struct text text;
    text = (struct text){.len = 0};
    enum mk_status status = store_ready_each(fixture->view, take_call, &text);
    assert_int_equal(status, MK_OK);
    return text.text;
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
        IN_BOTH_VIEWS(the_earliest_deadline_comes_first),
        IN_BOTH_VIEWS(a_sessions_calls_are_listed_oldest_first),
        IN_BOTH_VIEWS(what_is_no_record_has_no_indexes),
        cmocka_unit_test(totals_count_calls_waits_and_who_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
