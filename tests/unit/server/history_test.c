/* The transactions in memory: with the log, durable, applied, kept, gone. */
#include <string.h>

#include "server/history.h"
#include "store/store.h"
#include "unit/cmocka.h"

static void put_entry(struct mk_buf *bytes, mk_zxid zxid, size_t data_bytes)
{
    size_t at = store_log_entry_begin(bytes);

    mk_buf_put_i64(bytes, 7); /* session */
    mk_buf_put_i32(bytes, 1); /* cxid */
    mk_buf_put_i64(bytes, zxid);
    memset(mk_buf_grow(bytes, data_bytes), 'x', data_bytes);
    store_log_entry_end(bytes, at);
}

static struct server_batch batch_of(mk_zxid first, uint32_t count, size_t data_bytes)
{
    struct server_batch batch = {.last = first + count - 1, .count = count};

    for (uint32_t i = 0; i < count; i++) {
        put_entry(&batch.bytes, first + i, data_bytes);
    }
    return batch;
}

static void log_batch(struct history *history, mk_zxid first, uint32_t count, size_t data_bytes)
{
    struct server_batch batch = batch_of(first, count, data_bytes);

    history_lend(history, &batch);
    history_give_back(history, &batch);
    mk_buf_free(&batch.bytes);
    history_check(history);
}

static void apply_through(struct history *history, mk_zxid first, mk_zxid through)
{
    struct mk_bytes entry;

    for (mk_zxid zxid = first; zxid <= through; zxid++) {
        assert_true(history_apply_next(history, through, &entry));
        assert_int_equal(history_entry_zxid(entry), zxid);
    }
    assert_false(history_apply_next(history, through, &entry));
}

static void trim(struct history *history, mk_zxid pinned)
{
    struct mk_buf spare = {0};

    while (history_trim(history, pinned, &spare)) {
        mk_buf_free(&spare);
    }
    history_check(history);
}

static void what_is_with_the_log_is_not_applied_before_it_is_durable(void **state)
{
    struct history history;
    struct mk_bytes entry;
    (void)state;
    history_init(&history, 0);
    struct server_batch batch = batch_of(11, 3, 10);

    history_lend(&history, &batch);
    assert_false(history_apply_next(&history, 100, &entry));
    history_give_back(&history, &batch);

    apply_through(&history, 11, 12);
    apply_through(&history, 13, 13);
    history_free(&history);
}

static void alone_a_batch_s_buffer_moves_in_and_out_again(void **state)
{
    struct history history;
    struct mk_buf spare = {0};
    (void)state;
    history_init(&history, 0);
    struct server_batch batch = batch_of(1, 2, 10);
    const uint8_t *data = batch.bytes.data;

    history_lend(&history, &batch);
    history_give_back(&history, &batch);
    assert_null(batch.bytes.data);
    assert_false(history_trim(&history, INT64_MAX, &spare));
    apply_through(&history, 1, 2);

    assert_true(history_trim(&history, INT64_MAX, &spare));
    assert_ptr_equal(spare.data, data);
    assert_int_equal(history_first(&history), 0);
    mk_buf_free(&spare);
    history_free(&history);
}

static void small_batches_are_kept_together_and_read_as_one_line(void **state)
{
    struct history history;
    struct mk_bytes entry;
    (void)state;
    history_init(&history, 500);

    for (mk_zxid zxid = 1; zxid <= 99; zxid += 3) {
        log_batch(&history, zxid, 3, 20);
        apply_through(&history, zxid, zxid + 2);
    }

    assert_int_equal(history.count, 1);
    struct history_cursor cursor = history_after(&history, 50);
    for (mk_zxid zxid = 51; zxid <= 99; zxid++) {
        assert_true(history_next(&history, &cursor, &entry));
        assert_int_equal(history_entry_zxid(entry), zxid);
    }
    assert_false(history_next(&history, &cursor, &entry));
    history_free(&history);
}

static void a_joined_batch_is_applied_from_where_the_one_before_ended(void **state)
{
    struct history history;
    struct mk_bytes entry;
    (void)state;
    history_init(&history, 500);

    log_batch(&history, 1, 2, 20);
    apply_through(&history, 1, 2);
    assert_false(history_apply_next(&history, 9, &entry)); /* it has noticed the end */
    log_batch(&history, 3, 2, 20);
    log_batch(&history, 5, 1, 20);

    apply_through(&history, 3, 5);
    history_free(&history);
}

static void the_oldest_go_when_enough_are_kept_unless_a_learner_needs_them(void **state)
{
    struct history history;
    (void)state;
    history_init(&history, 10);

    for (mk_zxid zxid = 1; zxid <= 40; zxid += 4) {
        log_batch(&history, zxid, 4, HISTORY_CHUNK_BYTES / 4);
    }
    trim(&history, INT64_MAX);
    assert_int_equal(history_first(&history), 1); /* nothing is applied */
    apply_through(&history, 1, 40);

    trim(&history, 6);
    assert_int_equal(history_first(&history), 5);
    trim(&history, INT64_MAX);
    assert_int_equal(history_first(&history), 29);
    assert_int_equal(history_last(&history), 40);
    history_free(&history);
}

static void what_is_cut_off_has_never_been(void **state)
{
    struct history history;
    struct mk_bytes entry;
    (void)state;
    history_init(&history, 500);
    log_batch(&history, 1, 4, HISTORY_CHUNK_BYTES / 3);
    log_batch(&history, 5, 4, 20);
    apply_through(&history, 1, 2);

    history_truncate(&history, 3);

    history_check(&history);
    assert_int_equal(history_last(&history), 3);
    log_batch(&history, 10, 2, 20);
    apply_through(&history, 3, 3);
    assert_true(history_apply_next(&history, 20, &entry));
    assert_int_equal(history_entry_zxid(entry), 10);
    history_free(&history);
}

static void a_gap_between_epochs_is_looked_up_on_either_side(void **state)
{
    struct history history;
    struct mk_bytes entry;
    (void)state;
    history_init(&history, 500);
    log_batch(&history, (1LL << 32) + 1, 2, HISTORY_CHUNK_BYTES);
    log_batch(&history, (2LL << 32) + 1, 2, 20);

    struct history_cursor cursor = history_after(&history, 2LL << 32);

    assert_true(history_next(&history, &cursor, &entry));
    assert_int_equal(history_entry_zxid(entry), (2LL << 32) + 1);
    assert_int_equal(history_before(&history, 2LL << 32), (1LL << 32) + 2);
    assert_int_equal(history_before(&history, (1LL << 32) + 2), (1LL << 32) + 1);
    assert_int_equal(history_before(&history, (1LL << 32) + 1), 0);
    assert_int_equal(history_before(&history, (2LL << 32) + 2), (2LL << 32) + 1);
    history_free(&history);
}

static void what_the_log_held_at_the_start_waits_to_be_applied(void **state)
{
    struct history history;
    struct mk_buf bytes = {0};
    struct mk_bytes entry;
    size_t offset = 0;
    (void)state;
    history_init(&history, 500);
    put_entry(&bytes, 8, 10);
    put_entry(&bytes, 9, 10);

    while (store_log_entry_next(mk_buf_view(&bytes), &offset, &entry)) {
        history_recover(&history, entry);
    }
    history_check(&history);

    apply_through(&history, 8, 8);
    log_batch(&history, 10, 1, 10);
    apply_through(&history, 9, 10);
    mk_buf_free(&bytes);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_with_the_log_is_not_applied_before_it_is_durable),
        cmocka_unit_test(alone_a_batch_s_buffer_moves_in_and_out_again),
        cmocka_unit_test(small_batches_are_kept_together_and_read_as_one_line),
        cmocka_unit_test(a_joined_batch_is_applied_from_where_the_one_before_ended),
        cmocka_unit_test(the_oldest_go_when_enough_are_kept_unless_a_learner_needs_them),
        cmocka_unit_test(what_is_cut_off_has_never_been),
        cmocka_unit_test(a_gap_between_epochs_is_looked_up_on_either_side),
        cmocka_unit_test(what_the_log_held_at_the_start_waits_to_be_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
