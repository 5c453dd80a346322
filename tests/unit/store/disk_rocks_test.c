#include "unit/cmocka.h"
#include "unit/store/contract.h"
#include "unit/store/scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

static const struct store_disk_options disk_options = {.cache_bytes = 8 << 20,
                                                       .open_files_max = 64};

/* ---- The contract of every base ---- */

static void contract_reset(void *context)
{
    struct scratch *scratch = context;

    if (scratch->path[0] != '\0') {
        scratch_remove(scratch);
    }
    scratch_make(scratch);
}

static struct store_base *contract_open(void *context)
{
    struct scratch *scratch = context;
    struct mk_error error;
    struct store_base *base = store_base_rocks(scratch->path, &disk_options, &error);

    if (base == NULL) {
        fail_msg("%s", error.text);
    }
    return base;
}

/* ---- What is RocksDB's own ---- */

static int setup(void **state)
{
    struct scratch *scratch = mk_alloc_zero(1, sizeof(*scratch));

    scratch_make(scratch);
    *state = scratch;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    mk_free(*state);
    return 0;
}

static struct store *state_open(struct scratch *scratch)
{
    struct store_options options = {
        .cache_bytes = 1 << 20, .overlay_bytes = 1 << 20, .overlay_bytes_max = 4 << 20};
    struct mk_error error;
    struct store *store = store_open(contract_open(scratch), &options, &error);

    assert_non_null(store);
    return store;
}

static void checkpoint(struct store *store)
{
    struct mk_error error = {""};
    struct store_checkpoint *started = store_checkpoint_start(store);

    assert_non_null(started);
    enum mk_status status = store_checkpoint_write(started, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, MK_OK);
    store_checkpoint_done(store, started);
}

/* Znodes /<first> to /<last>, each created in a transaction of its own. */
static void znodes_create(struct store *store, mk_zxid first, mk_zxid last)
{
    struct store_view *view = store_committed(store);

    for (mk_zxid zxid = first; zxid <= last; zxid++) {
        char path[32];
        uint8_t data[400];
        struct store_znode znode;
        snprintf(path, sizeof(path), "/%d", (int)zxid);
        memset(data, (int)zxid, sizeof(data));
        store_begin(view, zxid, 1000);
        assert_int_equal(store_znode_create(view,
                                            &(struct store_create){.path = mk_bytes_text(path),
                                                                   .data = mk_bytes_of(data, 400),
                                                                   .parent_cversion = -1},
                                            &znode),
                         MK_OK);
        store_end(view);
    }
}

static size_t files_count(const struct scratch *scratch, const char *suffix)
{
    DIR *directory = opendir(scratch->path);
    struct dirent *entry;
    size_t count = 0;

    while ((entry = readdir(directory)) != NULL) {
        size_t len = strlen(entry->d_name);
        count += len > strlen(suffix) && strcmp(entry->d_name + len - strlen(suffix), suffix) == 0;
    }
    closedir(directory);
    return count;
}

static void the_state_after_a_restart_is_the_last_checkpoint(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = state_open(scratch);
    znodes_create(store, 1, 100);
    checkpoint(store);
    znodes_create(store, 101, 150);

    store_close(store);
    store = state_open(scratch);

    assert_int_equal(store_applied(store), 100);
    store_check(store);
    store_close(store);
}

static void many_checkpoints_are_merged_into_few_files(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = state_open(scratch);

    for (mk_zxid zxid = 1; zxid <= 600; zxid += 10) {
        znodes_create(store, zxid, zxid + 9);
        checkpoint(store);
    }

    store_check(store);
    store_close(store);
    assert_true(files_count(scratch, ".sst") < 20);
    store = state_open(scratch);
    assert_int_equal(store_applied(store), 600);
    store_check(store);
    store_close(store);
}

static void restarts_leave_no_files_behind(void **state)
{
    struct scratch *scratch = *state;

    for (int i = 0; i < 5; i++) {
        store_close(state_open(scratch));
    }

    assert_true(files_count(scratch, ".log") <= 2);
}

static void a_row_that_is_only_on_the_disk_is_not_waited_for(void **state)
{
    struct scratch *scratch = *state;
    struct mk_buf value = {0};
    struct store_base *base = contract_open(scratch);
    struct store *store = store_open(
        base, &(struct store_options){.overlay_bytes = 1 << 20, .overlay_bytes_max = 4 << 20},
        &(struct mk_error){""});
    znodes_create(store, 1, 1000);
    checkpoint(store);
    store_close(store);

    base = contract_open(scratch);
    struct store_base_iter *iter = base->ops->iter_new(base, true);
    assert_int_equal(base->ops->iter_seek(iter, MK_BYTES("~~~~"), true), MK_OK);
    struct mk_bytes found = base->ops->iter_key(iter);
    mk_buf_append_bytes(&value, found);
    base->ops->iter_free(iter);
    base->ops->close(base);

    base = contract_open(scratch);
    struct mk_buf key = value;
    struct mk_buf row = {0};
    assert_int_equal(base->ops->get(base, mk_buf_view(&key), false, &row), MK_WOULD_BLOCK);
    iter = base->ops->iter_new(base, false);
    assert_int_equal(base->ops->iter_seek(iter, mk_buf_view(&key), false), MK_WOULD_BLOCK);
    base->ops->iter_free(iter);
    assert_int_equal(base->ops->get(base, mk_buf_view(&key), true, &row), MK_OK);
    assert_int_equal(base->ops->get(base, mk_buf_view(&key), false, &row), MK_OK);
    base->ops->close(base);
    mk_buf_free(&row);
    mk_buf_free(&key);
}

static void its_memory_stays_near_the_size_of_the_cache(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = state_open(scratch);

    for (mk_zxid zxid = 1; zxid <= 50000; zxid += 10000) {
        znodes_create(store, zxid, zxid + 9999);
        checkpoint(store);
    }
    store_check(store); /* reads everything */

    struct store_base *base = store_base_of(store);
    assert_true(base->ops->memory_bytes(base) < 12 << 20);
    store_close(store);
}

static void refused(struct scratch *scratch, const char *reason)
{
    struct mk_error error;
    struct store_base *base = store_base_rocks(scratch->path, &disk_options, &error);

    assert_null(base);
    if (strstr(error.text, reason) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, reason);
    }
    assert_non_null(strstr(error.text, scratch->path));
}

static void a_second_opener_is_refused(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = state_open(scratch);

    refused(scratch, "another process has it open");

    store_close(store);
}

static void a_missing_table_or_a_damaged_manifest_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = state_open(scratch);
    znodes_create(store, 1, 100);
    checkpoint(store);
    store_close(store);
    DIR *directory = opendir(scratch->path);
    struct dirent *entry;
    char table[32] = "";
    while ((entry = readdir(directory)) != NULL) {
        if (strstr(entry->d_name, ".sst") != NULL) {
            snprintf(table, sizeof(table), "%.31s", entry->d_name);
        }
    }
    closedir(directory);

    struct mk_buf bytes = {0};
    scratch_read(scratch, table, &bytes);
    scratch_unlink(scratch, table);
    refused(scratch, "moonkeeper repair --rejoin");
    scratch_write(scratch, table, mk_buf_view(&bytes));
    store_close(state_open(scratch));
    scratch_write(scratch, "CURRENT", MK_BYTES("MANIFEST-000000\n"));
    refused(scratch, "MANIFEST-000000");
    mk_buf_free(&bytes);
}

static void a_damaged_block_is_a_failure_and_not_an_answer(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = state_open(scratch);
    znodes_create(store, 1, 1000);
    checkpoint(store);
    store_close(store);
    DIR *directory = opendir(scratch->path);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strstr(entry->d_name, ".sst") != NULL) {
            scratch_flip(scratch, entry->d_name, 2000, 0x10);
        }
    }
    closedir(directory);

    struct store_base *base = contract_open(scratch);
    struct store_base_iter *iter = base->ops->iter_new(base, true);
    enum mk_status status = base->ops->iter_seek(iter, MK_BYTES(""), false);
    while (status == MK_OK) {
        status = base->ops->iter_step(iter);
    }
    assert_int_equal(status, MK_CORRUPT);
    base->ops->iter_free(iter);
    base->ops->close(base);
}

#define ROCKS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    struct scratch scratch = {""};
    const struct contract_factory contract = {&scratch, contract_reset, contract_open};
    const struct CMUnitTest tests[] = {
        ROCKS_TEST(the_state_after_a_restart_is_the_last_checkpoint),
        ROCKS_TEST(many_checkpoints_are_merged_into_few_files),
        ROCKS_TEST(restarts_leave_no_files_behind),
        ROCKS_TEST(a_row_that_is_only_on_the_disk_is_not_waited_for),
        ROCKS_TEST(its_memory_stays_near_the_size_of_the_cache),
        ROCKS_TEST(a_second_opener_is_refused),
        ROCKS_TEST(a_missing_table_or_a_damaged_manifest_is_named),
        ROCKS_TEST(a_damaged_block_is_a_failure_and_not_an_answer),
    };

    int failed = contract_run("the store over RocksDB", &contract);
    scratch_remove(&scratch);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
