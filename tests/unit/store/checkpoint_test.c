/* Checkpoints: when they are due, what they hold, and that the core goes on while one is
 * written. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static void fill(struct fixture *fixture, const char *prefix, int count)
{
    char path[64];
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "/%s-%05d", prefix, i);
        create(fixture, path, "some data");
    }
}

static void a_checkpoint_is_due_when_the_active_table_is_large(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    assert_true(store_changed(fixture.store)); /* the first znodes */
    assert_false(store_checkpoint_due(fixture.store));

    fill(&fixture, "x", 4000);

    assert_true(store_checkpoint_due(fixture.store));
    checkpoint(&fixture);
    assert_false(store_checkpoint_due(fixture.store));
    assert_false(store_changed(fixture.store));
    assert_int_equal(store_durable(fixture.store), 4000);
    fixture_close(&fixture);
}

static void a_transaction_without_rows_is_a_change_to_be_checkpointed(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    checkpoint(&fixture);
    begin(&fixture);
    end(&fixture);
    assert_true(store_changed(fixture.store));
    checkpoint(&fixture);
    fixture_reopen(&fixture);
    assert_int_equal(store_applied(fixture.store), 1);
    fixture_close(&fixture);
}

static void only_one_checkpoint_is_written_at_a_time(void **state)
{
    struct fixture fixture;
    struct mk_error error;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    struct store_checkpoint *first = store_checkpoint_start(fixture.store);
    assert_non_null(first);
    create(&fixture, "/b", "");
    assert_null(store_checkpoint_start(fixture.store));

    enum mk_status status = store_checkpoint_write(first, &error);
    assert_int_equal(status, MK_OK);
    assert_null(store_checkpoint_start(fixture.store));
    store_checkpoint_done(fixture.store, first);

    assert_int_equal(store_durable(fixture.store), 1);
    assert_int_equal(store_applied(fixture.store), 2);
    assert_true(store_changed(fixture.store));
    fixture_close(&fixture);
}

static void a_full_store_says_so_until_a_checkpoint_is_done(void **state)
{
    struct fixture fixture;
    struct mk_error error;
    fixture_open(&fixture);
    fill(&fixture, "x", 8000);
    struct store_checkpoint *writing = store_checkpoint_start(fixture.store);
    assert_non_null(writing);
    fill(&fixture, "y", 8000);
    assert_true(store_full(fixture.store));

    enum mk_status status = store_checkpoint_write(writing, &error);
    assert_int_equal(status, MK_OK);
    store_checkpoint_done(fixture.store, writing);

    assert_false(store_full(fixture.store));
    fixture_close(&fixture);
}

/* ---- A write that fails is tried again with the same rows ---- */

struct failing {
    struct store_base base;
    struct store_base_ops ops;
    struct store_base *real;
    int failures;
    bool unreadable;
};

static enum mk_status failing_get(struct store_base *base, struct mk_bytes key, bool may_block,
                                  struct mk_buf *value)
{
    struct failing *failing = MK_CONTAINER(base, struct failing, base);
    return failing->unreadable ? MK_IO
                               : failing->real->ops->get(failing->real, key, may_block, value);
}

static struct store_base_iter *failing_iter_new(struct store_base *base, bool may_block)
{
    struct failing *failing = MK_CONTAINER(base, struct failing, base);
    return failing->real->ops->iter_new(failing->real, may_block);
}

static enum mk_status failing_ingest(struct store_base *base, const struct store_rows *rows,
                                     struct mk_error *error)
{
    struct failing *failing = MK_CONTAINER(base, struct failing, base);
    if (failing->failures > 0) {
        failing->failures--;
        return MK_NO_SPACE;
    }
    return failing->real->ops->ingest(failing->real, rows, error);
}

static void failing_close(struct store_base *base)
{
    struct failing *failing = MK_CONTAINER(base, struct failing, base);
    failing->real->ops->close(failing->real);
}

static void failing_init(struct failing *failing, struct store_base *real)
{
    *failing = (struct failing){.real = real};
    failing->ops = *real->ops;
    failing->ops.get = failing_get;
    failing->ops.iter_new = failing_iter_new;
    failing->ops.ingest = failing_ingest;
    failing->ops.close = failing_close;
    failing->base.ops = &failing->ops;
}

static void a_checkpoint_that_failed_is_written_again(void **state)
{
    static const struct store_options options = {.overlay_bytes = 1000};
    struct mk_error error;
    struct failing failing;
    failing_init(&failing, store_base_memory(NULL, 0));
    failing.failures = 1;
    struct fixture fixture = {.store = store_open(&failing.base, &options, &error)};
    fixture.view = store_committed(fixture.store);
    create(&fixture, "/a", "");

    struct store_checkpoint *first = store_checkpoint_start(fixture.store);
    enum mk_status status = store_checkpoint_write(first, &error);
    assert_int_equal(status, MK_NO_SPACE);
    store_checkpoint_done(fixture.store, first);
    assert_int_equal(store_durable(fixture.store), 0);
    assert_true(store_changed(fixture.store));
    create(&fixture, "/b", "");
    checkpoint(&fixture);

    assert_int_equal(store_durable(fixture.store), 1);
    checkpoint(&fixture);
    assert_int_equal(store_durable(fixture.store), 2);
    store_check(fixture.store);
    store_close(fixture.store);
}

/* ---- What cannot be read is not believed to be absent ---- */

/* A store that holds the session, of which nothing is in memory, over a disk that cannot be read. */
static struct store *open_unreadable(struct failing *failing, mk_session id)
{
    static const struct store_options options = {.overlay_bytes = 1000};
    struct mk_error error;
    struct fixture before;
    fixture_open(&before);
    begin(&before);
    enum mk_status status = store_session_put(before.view, id, 4000);
    assert_int_equal(status, MK_OK);
    end(&before);
    checkpoint(&before);
    store_close(before.store);

    failing_init(failing, before.base);
    struct store *store = store_open(&failing->base, &options, &error);
    failing->unreadable = true;
    return store;
}

static void the_end_of_a_session_that_cannot_be_read_fails(void **state)
{
    struct failing failing;
    struct store *store = open_unreadable(&failing, 7);
    struct store_view *view = store_committed(store);

    store_begin(view, store_applied(store) + 1, 0);
    enum mk_status status = store_session_remove(view, 7);
    store_end(view);

    assert_int_equal(status, MK_IO);
    assert_int_equal(store_totals(store)->sessions, 1);
    store_close(store);
}

static void a_session_is_not_put_where_it_cannot_be_read_whether_it_is_there(void **state)
{
    struct failing failing;
    struct store *store = open_unreadable(&failing, 7);
    struct store_view *view = store_committed(store);

    store_begin(view, store_applied(store) + 1, 0);
    enum mk_status status = store_session_put(view, 7, 5000);
    store_end(view);

    assert_int_equal(status, MK_IO);
    store_close(store);
}

/* ---- While one is written ---- */

static void *write_it(void *context)
{
    struct mk_error error;
    enum mk_status status = store_checkpoint_write(context, &error);
    return (void *)(uintptr_t)status;
}

static void the_core_goes_on_while_a_thread_writes(void **state)
{
    struct fixture fixture;
    char path[64];
    fixture_open(&fixture);
    for (int round = 0; round < 20; round++) {
        fill(&fixture, round % 2 == 0 ? "even" : "odd", 500);
        struct store_checkpoint *writing = store_checkpoint_start(fixture.store);
        assert_non_null(writing);
        pthread_t thread;
        int failed = pthread_create(&thread, NULL, write_it, writing);
        assert_int_equal(failed, 0);
        for (int i = 0; i < 500; i++) {
            snprintf(path, sizeof(path), "/%s-%05d", round % 2 == 0 ? "even" : "odd", i);
            assert_text(look(&fixture, path).data, "some data");
            set_data(&fixture, path, "other data", 1);
            delete (&fixture, path);
            assert_true(absent(&fixture, path));
        }
        assert_string_equal(names_of(&fixture, "/"), "zookeeper ");
        void *result;
        failed = pthread_join(thread, &result);
        assert_int_equal(failed, 0);
        assert_int_equal((uintptr_t)result, MK_OK);
        store_checkpoint_done(fixture.store, writing);
    }
    checkpoint(&fixture);
    fixture_close(&fixture);
}

static void rows_read_while_frozen_stay_in_memory_afterwards(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill(&fixture, "x", 1000);
    checkpoint(&fixture);
    uint64_t before = store_memory_bytes(fixture.store);
    for (int i = 0; i < 1000; i++) {
        look(&fixture, "/x-00500"); /* settles some rows with each call */
    }
    assert_true(store_memory_bytes(fixture.store) <= before);
    assert_true(store_memory_bytes(fixture.store) > before / 2);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_due_when_the_active_table_is_large),
        cmocka_unit_test(a_transaction_without_rows_is_a_change_to_be_checkpointed),
        cmocka_unit_test(only_one_checkpoint_is_written_at_a_time),
        cmocka_unit_test(a_full_store_says_so_until_a_checkpoint_is_done),
        cmocka_unit_test(a_checkpoint_that_failed_is_written_again),
        cmocka_unit_test(the_end_of_a_session_that_cannot_be_read_fails),
        cmocka_unit_test(a_session_is_not_put_where_it_cannot_be_read_whether_it_is_there),
        cmocka_unit_test(the_core_goes_on_while_a_thread_writes),
        cmocka_unit_test(rows_read_while_frozen_stay_in_memory_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
