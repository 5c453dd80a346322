/* Framing of log entries in a batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"

static void add(struct mk_buf *batch, const char *text)
{
    size_t entry = store_log_entry_begin(batch);
    mk_buf_append_bytes(batch, mk_bytes_text(text));
    store_log_entry_end(batch, entry);
}

static void a_batch_gives_its_entries_back_in_order(void **state)
{
    struct mk_buf batch = {0};
    add(&batch, "one");
    add(&batch, "the second");
    size_t offset = 0;
    struct mk_bytes entry;

    assert_true(store_log_entry_next(mk_buf_view(&batch), &offset, &entry));
    assert_true(mk_bytes_equal(entry, MK_BYTES("one")));
    assert_true(store_log_entry_next(mk_buf_view(&batch), &offset, &entry));
    assert_true(mk_bytes_equal(entry, MK_BYTES("the second")));
    assert_false(store_log_entry_next(mk_buf_view(&batch), &offset, &entry));
    assert_int_equal(offset, batch.len);
    mk_buf_free(&batch);
}

static void an_entry_is_framed_as_zookeeper_does(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 'o', 'n', 'e', 'B'};
    struct mk_buf batch = {0};
    add(&batch, "one");
    assert_int_equal(batch.len, sizeof(expected));
    assert_memory_equal(batch.data, expected, sizeof(expected));
    mk_buf_free(&batch);
}

static void a_torn_batch_ends_before_the_tear(void **state)
{
    struct mk_buf batch = {0};
    add(&batch, "one");
    add(&batch, "two");
    for (size_t len = 0; len < batch.len; len++) {
        size_t offset = 0;
        struct mk_bytes entry;
        int entries = 0;
        while (store_log_entry_next((struct mk_bytes){batch.data, len}, &offset, &entry)) {
            entries++;
        }
        assert_int_equal(entries, len < 16 ? 0 : 1);
    }
    mk_buf_free(&batch);
}

static void nonsense_lengths_end_the_walk(void **state)
{
    struct mk_buf batch = {0};
    add(&batch, "one");
    static const uint32_t lengths[] = {0, 2, 4, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < MK_COUNT(lengths); i++) {
        size_t offset = 0;
        struct mk_bytes entry;
        mk_store_u32(batch.data + 8, lengths[i]);
        assert_false(store_log_entry_next(mk_buf_view(&batch), &offset, &entry));
    }
    mk_buf_free(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_gives_its_entries_back_in_order),
        cmocka_unit_test(an_entry_is_framed_as_zookeeper_does),
        cmocka_unit_test(a_torn_batch_ends_before_the_tear),
        cmocka_unit_test(nonsense_lengths_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
