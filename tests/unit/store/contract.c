/* The contract of a base, and of a store over it, tried through the door alone: rows reach a base
 * only by ingest(). */
#include "contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/checkpoint.h"

static const struct contract_factory *factory_of(void **state)
{
    return *state;
}

static struct store_base *open_base(void **state)
{
    const struct contract_factory *factory = factory_of(state);
    struct store_base *base = factory->open(factory->context);
    assert_non_null(base);
    return base;
}

static int contract_setup(void **state)
{
    const struct contract_factory *factory = factory_of(state);
    factory->reset(factory->context);
    return 0;
}

/* ---- Rows to ingest ---- */

struct batch {
    struct table table;
};

static void batch_add(struct batch *batch, struct mk_bytes key, struct mk_bytes value)
{
    struct row *row = row_new(key, value.len);
    if (value.data != NULL) {
        row_set(row, value);
    }
    table_insert(&batch->table, row);
}

static void batch_put(struct batch *batch, const char *key, const char *value)
{
    batch_add(batch, mk_bytes_text(key), value == NULL ? MK_BYTES_NULL : mk_bytes_text(value));
}

static void batch_ingest(struct batch *batch, struct store_base *base)
{
    struct store_rows_place place = {0};
    struct store_rows rows = {&batch->table, &place};
    struct mk_error error = {0};
    enum mk_status status = base->ops->ingest(base, &rows, &error);
    assert_int_equal(status, MK_OK);

    struct table_cursor cursor = table_first(&batch->table);
    for (struct row *row; (row = table_at(&cursor)) != NULL;) {
        table_step(&cursor, false);
        row_free(row);
    }
    table_free(&batch->table);
}

/* ---- Looking ---- */

static void assert_row(struct store_base *base, const char *key, const char *expected)
{
    struct mk_buf value = {0};
    enum mk_status status = base->ops->get(base, mk_bytes_text(key), true, &value);
    if (expected == NULL) {
        assert_int_equal(status, MK_NO_NODE);
    } else {
        assert_int_equal(status, MK_OK);
        assert_int_equal(value.len, strlen(expected));
        assert_memory_equal(value.data, expected, value.len);
    }
    mk_buf_free(&value);
}

static bool buf_is(const struct mk_buf *buf, const char *text)
{
    return buf->len == strlen(text) && (buf->len == 0 || memcmp(buf->data, text, buf->len) == 0);
}

/* Keys from `from` on, each followed by a space. */
static void assert_scan(struct store_base_iter *iter, const struct store_base *base,
                        const char *from, bool backwards, const char *expected)
{
    struct mk_buf seen = {0};
    enum mk_status status = base->ops->iter_seek(iter, mk_bytes_text(from), backwards);
    for (; status == MK_OK; status = base->ops->iter_step(iter)) {
        mk_buf_append_bytes(&seen, base->ops->iter_key(iter));
        mk_buf_put_u8(&seen, ' ');
    }
    assert_int_equal(status, MK_END);
    if (!buf_is(&seen, expected)) {
        print_error("from \"%s\": \"%.*s\", expected \"%s\"\n", from, (int)seen.len,
                    (const char *)seen.data, expected);
        fail();
    }
    mk_buf_free(&seen);
}

/* ---- The base ---- */

static void a_new_base_has_no_rows(void **state)
{
    struct store_base *base = open_base(state);

    assert_row(base, "a", NULL);
    struct store_base_iter *iter = base->ops->iter_new(base, true);
    assert_scan(iter, base, "", false, "");
    assert_scan(iter, base, "z", true, "");

    base->ops->iter_free(iter);
    base->ops->close(base);
}

static void later_rows_replace_and_delete_earlier_ones(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    batch_put(&batch, "a", "1");
    batch_put(&batch, "b", "2");
    batch_put(&batch, "c", "");
    batch_ingest(&batch, base);

    batch_put(&batch, "a", "changed");
    batch_put(&batch, "b", NULL);
    batch_put(&batch, "nothing", NULL);
    batch_ingest(&batch, base);

    assert_row(base, "a", "changed");
    assert_row(base, "b", NULL);
    assert_row(base, "c", "");
    assert_row(base, "nothing", NULL);
    base->ops->close(base);
}

static void get_appends_to_what_is_in_the_buffer(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    batch_put(&batch, "a", "one");
    batch_ingest(&batch, base);

    struct mk_buf value = {0};
    mk_buf_append(&value, "zero ", 5);
    enum mk_status status = base->ops->get(base, MK_BYTES("a"), true, &value);

    assert_int_equal(status, MK_OK);
    assert_true(buf_is(&value, "zero one"));
    mk_buf_free(&value);
    base->ops->close(base);
}

static void iterators_seek_and_step_either_way(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    batch_put(&batch, "b", "1");
    batch_put(&batch, "d", "2");
    batch_put(&batch, "f", "3");
    batch_ingest(&batch, base);
    batch_put(&batch, "c", "4");
    batch_put(&batch, "d", NULL);
    batch_ingest(&batch, base);

    struct store_base_iter *iter = base->ops->iter_new(base, true);
    assert_scan(iter, base, "", false, "b c f ");
    assert_scan(iter, base, "b", false, "b c f ");
    assert_scan(iter, base, "d", false, "f ");
    assert_scan(iter, base, "g", false, "");
    assert_scan(iter, base, "g", true, "f c b ");
    assert_scan(iter, base, "f", true, "c b ");
    assert_scan(iter, base, "c", true, "b ");
    assert_scan(iter, base, "b", true, "");
    assert_scan(iter, base, "b", false, "b c f ");

    base->ops->iter_free(iter);
    base->ops->close(base);
}

static void an_iterator_sees_the_base_as_it_was_when_it_was_made(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    batch_put(&batch, "a", "1");
    batch_put(&batch, "b", "1");
    batch_ingest(&batch, base);
    struct store_base_iter *before = base->ops->iter_new(base, true);

    batch_put(&batch, "a", NULL);
    batch_put(&batch, "c", "2");
    batch_ingest(&batch, base);

    struct store_base_iter *after = base->ops->iter_new(base, true);
    assert_scan(before, base, "", false, "a b ");
    assert_scan(after, base, "", false, "b c ");
    base->ops->iter_free(before);
    base->ops->iter_free(after);
    base->ops->close(base);
}

static void rows_are_there_again_after_closing_and_opening(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    batch_put(&batch, "a", "1");
    batch_put(&batch, "b", "1");
    batch_ingest(&batch, base);
    batch_put(&batch, "b", "2");
    batch_ingest(&batch, base);
    base->ops->close(base);

    base = open_base(state);

    assert_row(base, "a", "1");
    assert_row(base, "b", "2");
    base->ops->close(base);
}

static void keys_and_values_are_any_bytes(void **state)
{
    struct store_base *base = open_base(state);
    struct mk_buf large = {0};
    memset(mk_buf_grow(&large, 1 << 20), 'x', 1 << 20);
    struct mk_bytes keys[] = {MK_BYTES("\x00"), MK_BYTES("\x00\x00"), MK_BYTES("\x00\x01"),
                              MK_BYTES("c\x00\xff"), MK_BYTES("\xff\xff")};
    struct batch batch = {0};
    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        batch_add(&batch, keys[i], i % 2 == 0 ? mk_buf_view(&large) : keys[i]);
    }
    batch_ingest(&batch, base);

    struct store_base_iter *iter = base->ops->iter_new(base, true);
    enum mk_status status = base->ops->iter_seek(iter, keys[0], false);
    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        struct mk_bytes expected = i % 2 == 0 ? mk_buf_view(&large) : keys[i];
        struct mk_buf value = {0};
        assert_int_equal(status, MK_OK);
        assert_true(mk_bytes_equal(base->ops->iter_key(iter), keys[i]));
        assert_true(mk_bytes_equal(base->ops->iter_value(iter), expected));
        enum mk_status got = base->ops->get(base, keys[i], true, &value);
        assert_int_equal(got, MK_OK);
        assert_true(mk_bytes_equal(mk_buf_view(&value), expected));
        mk_buf_free(&value);
        status = base->ops->iter_step(iter);
    }
    assert_int_equal(status, MK_END);
    base->ops->iter_free(iter);
    mk_buf_free(&large);
    base->ops->close(base);
}

/* As the store does it: ask, load what was wanted, ask again. */
static enum mk_status get_patiently(struct store_base *base, struct mk_bytes key,
                                    struct mk_buf *value)
{
    for (int tries = 0; tries < 3; tries++) {
        value->len = 0;
        enum mk_status status = base->ops->get(base, key, false, value);
        if (status != MK_WOULD_BLOCK) {
            return status;
        }
        struct store_load load = {0};
        mk_buf_append_bytes(&load.key, key);
        status = store_load(base, &load);
        assert_int_equal(status, MK_OK);
        store_load_free(&load);
    }
    return MK_WOULD_BLOCK;
}

static void what_was_loaded_is_read_without_blocking(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    char key[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key %06d", i);
        batch_put(&batch, key, key);
    }
    batch_ingest(&batch, base);
    base->ops->close(base);
    base = open_base(state);

    struct mk_buf value = {0};
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key %06d", i);
        enum mk_status status = get_patiently(base, mk_bytes_text(key), &value);
        assert_int_equal(status, MK_OK);
        assert_true(buf_is(&value, key));
        snprintf(key, sizeof(key), "key %06d absent", i);
        status = get_patiently(base, mk_bytes_text(key), &value);
        assert_int_equal(status, MK_NO_NODE);
    }
    mk_buf_free(&value);
    base->ops->close(base);
}

static void a_scan_that_may_not_block_goes_on_after_loading(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    char key[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key %06d", i);
        batch_put(&batch, key, key);
    }
    batch_ingest(&batch, base);
    base->ops->close(base);
    base = open_base(state);

    struct store_load load = {.range = true};
    mk_buf_append(&load.key, "k", 1);
    int next = 0;
    for (int stalls = 0; next < 5000 && stalls <= 5000; stalls++) {
        struct store_base_iter *iter = base->ops->iter_new(base, false);
        enum mk_status status = base->ops->iter_seek(iter, mk_buf_view(&load.key), false);
        while (status == MK_OK) {
            snprintf(key, sizeof(key), "key %06d", next);
            assert_true(mk_bytes_equal(base->ops->iter_key(iter), mk_bytes_text(key)));
            load.key.len = 0;
            mk_buf_append(&load.key, key, strlen(key));
            mk_buf_put_u8(&load.key, 0);
            next++;
            status = base->ops->iter_step(iter);
        }
        base->ops->iter_free(iter);
        if (status == MK_WOULD_BLOCK) {
            status = store_load(base, &load);
            assert_int_equal(status, MK_OK);
        }
    }

    assert_int_equal(next, 5000);
    store_load_free(&load);
    base->ops->close(base);
}

/* ---- The store over it ---- */

static const struct store_options options = {
    .cache_bytes = 1 << 20,
    .overlay_bytes = 1 << 20,
    .overlay_bytes_max = 4 << 20,
};

static struct store *open_store(void **state)
{
    struct mk_error error = {0};
    struct store *store = store_open(open_base(state), &options, &error);
    if (store == NULL) {
        print_error("%s\n", error.text);
    }
    assert_non_null(store);
    return store;
}

static void create_in(struct store_view *view, const char *path, const char *data)
{
    struct store_create create = {
        .path = mk_bytes_text(path), .data = mk_bytes_text(data), .parent_cversion = -1};
    struct store_znode znode;
    enum mk_status status = store_znode_create(view, &create, &znode);
    assert_int_equal(status, MK_OK);
}

static void checkpoint(struct store *store)
{
    struct mk_error error = {0};
    struct store_checkpoint *checkpoint = store_checkpoint_start(store);
    assert_non_null(checkpoint);
    enum mk_status status = store_checkpoint_write(checkpoint, &error);
    assert_int_equal(status, MK_OK);
    store_checkpoint_done(store, checkpoint);
}

static void assert_data(struct store *store, const char *path, const char *expected)
{
    struct store_znode znode;
    enum mk_status status =
        store_znode_read(store_committed(store), mk_bytes_text(path), true, &znode);
    if (expected == NULL) {
        assert_int_equal(status, MK_NO_NODE);
    } else {
        assert_int_equal(status, MK_OK);
        assert_true(mk_bytes_equal(znode.data, mk_bytes_text(expected)));
    }
}

static void a_store_opens_at_its_last_checkpoint(void **state)
{
    struct store *store = open_store(state);
    struct store_view *view = store_committed(store);
    assert_int_equal(store_applied(store), 0);
    store_begin(view, 0x100000001, 1000);
    create_in(view, "/a", "one");
    enum mk_status put = store_session_put(view, 77, 4000);
    assert_int_equal(put, MK_OK);
    store_fact_put(view, MK_BYTES("name"), MK_BYTES("value"));
    store_end(view);
    checkpoint(store);
    struct store_totals totals = *store_totals(store);
    uint64_t hash = store_hash(store);
    store_begin(view, 0x100000002, 1000);
    create_in(view, "/b", "two");
    store_end(view);
    assert_int_equal(store_applied(store), 0x100000002);
    assert_int_equal(store_durable(store), 0x100000001);
    store_close(store);

    store = open_store(state);

    assert_int_equal(store_applied(store), 0x100000001);
    assert_int_equal(store_durable(store), 0x100000001);
    assert_memory_equal(&totals, store_totals(store), sizeof(totals));
    assert_data(store, "/a", "one");
    assert_data(store, "/b", NULL);
    assert_true(store_hash(store) == hash);
    struct mk_buf value = {0};
    enum mk_status status = store_fact_read(store_committed(store), MK_BYTES("name"), &value);
    assert_int_equal(status, MK_OK);
    assert_true(buf_is(&value, "value"));
    mk_buf_free(&value);
    store_check(store);
    store_close(store);
}

static void many_checkpoints_of_many_znodes_read_back(void **state)
{
    struct store *store = open_store(state);
    struct store_view *view = store_committed(store);
    char path[64];
    mk_zxid zxid = 0;
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof(path), "/znode-%04d", i * 7919 % 3000);
        store_begin(view, ++zxid, 1000);
        create_in(view, path, path);
        store_end(view);
        if (i % 500 == 499) {
            checkpoint(store);
        }
        if (i % 3 == 0) {
            store_begin(view, ++zxid, 1000);
            enum mk_status status = store_znode_delete(view, mk_bytes_text(path));
            assert_int_equal(status, MK_OK);
            store_end(view);
        }
    }
    checkpoint(store);
    store_check(store);
    uint64_t hash = store_hash(store);
    store_close(store);

    store = open_store(state);

    store_check(store);
    assert_true(store_hash(store) == hash);
    for (int i = 0; i < 3000; i++) {
        snprintf(path, sizeof(path), "/znode-%04d", i * 7919 % 3000);
        assert_data(store, path, i % 3 == 0 ? NULL : path);
    }
    store_close(store);
}

static void a_state_of_another_layout_is_refused_with_its_number(void **state)
{
    struct store_base *base = open_base(state);
    struct batch batch = {0};
    struct mk_error error = {0};
    batch_put(&batch, "m", "\x01 is how it begins");
    batch_ingest(&batch, base);

    struct store *store = store_open(base, &options, &error);

    assert_null(store);
    assert_non_null(strstr(error.text, "its layout is 1"));
}

int contract_run(const char *group, const struct contract_factory *factory)
{
    void *state = (void *)(uintptr_t)factory;
#define CONTRACT(test)                           \
    {                                            \
#test, test, contract_setup, NULL, state \
    }
    const struct CMUnitTest tests[] = {
        CONTRACT(a_new_base_has_no_rows),
        CONTRACT(later_rows_replace_and_delete_earlier_ones),
        CONTRACT(get_appends_to_what_is_in_the_buffer),
        CONTRACT(iterators_seek_and_step_either_way),
        CONTRACT(an_iterator_sees_the_base_as_it_was_when_it_was_made),
        CONTRACT(rows_are_there_again_after_closing_and_opening),
        CONTRACT(keys_and_values_are_any_bytes),
        CONTRACT(what_was_loaded_is_read_without_blocking),
        CONTRACT(a_scan_that_may_not_block_goes_on_after_loading),
        CONTRACT(a_store_opens_at_its_last_checkpoint),
        CONTRACT(many_checkpoints_of_many_znodes_read_back),
        CONTRACT(a_state_of_another_layout_is_refused_with_its_number),
    };
#undef CONTRACT
    return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}
