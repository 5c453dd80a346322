/* state.new takes the place of state; and the logs of others are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/store.h"

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

/* A directory with one file that says which it is. */
static void put(struct scratch *scratch, const char *name, const char *what)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", scratch->path, name);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/what", name);
    scratch_write(scratch, path, mk_bytes_text(what));
}

static void assert_state(struct scratch *scratch, const char *what)
{
    struct mk_buf bytes = {0};
    scratch_read(scratch, "state/what", &bytes);
    assert_int_equal(bytes.len, strlen(what));
    assert_memory_equal(bytes.data, what, bytes.len);
    mk_buf_free(&bytes);
    assert_false(scratch_has(scratch, "state.new"));
    assert_false(scratch_has(scratch, "state.old"));
}

static void another_state_takes_the_place_of_the_one_there(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    put(scratch, "state", "old");
    put(scratch, "state.new", "new");

    assert_int_equal(store_state_replace(scratch->path, &error), MK_OK);

    assert_state(scratch, "new");
}

static void a_first_state_takes_an_empty_place(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    put(scratch, "state.new", "new");

    assert_int_equal(store_state_replace(scratch->path, &error), MK_OK);

    assert_state(scratch, "new");
}

/* What a crash leaves at each step of filling and replacing, and what a start makes of it. */
static void after_a_crash_there_is_the_old_state_or_the_new_one(void **state)
{
    static const struct {
        const char *there[3]; /* what state, state.new and state.old say; NULL: not there */
        const char *after;
    } steps[] = {
        {{"old", "half", NULL}, "old"},  /* filling it */
        {{"old", "new", NULL}, "old"},   /* before the first rename */
        {{NULL, "new", "old"}, "new"},   /* between the two */
        {{"new", NULL, "old"}, "new"},   /* before the old one is gone */
        {{"new", "half", "old"}, "new"}, /* ... and the next one is filled */
        {{NULL, NULL, "old"}, "old"},    {{"old", NULL, NULL}, "old"},
    };
    static const char *const names[] = {"state", "state.new", "state.old"};
    struct scratch *scratch = *state;
    struct mk_error error;
    for (size_t i = 0; i < MK_COUNT(steps); i++) {
        for (size_t j = 0; j < MK_COUNT(names); j++) {
            if (steps[i].there[j] != NULL) {
                put(scratch, names[j], steps[i].there[j]);
            }
        }

        assert_int_equal(store_state_settle(scratch->path, &error), MK_OK);

        assert_state(scratch, steps[i].after);
        scratch_remove(scratch);
        scratch_make(scratch);
    }
}

static void without_a_state_what_was_never_finished_is_gone(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    put(scratch, "state.new", "half");

    assert_int_equal(store_state_settle(scratch->path, &error), MK_OK);

    assert_false(scratch_has(scratch, "state.new"));
    assert_false(scratch_has(scratch, "state"));
}

/* ---- Logs of others ---- */

struct seen {
    mk_zxid zxids[64];
    size_t count;
};

static enum mk_status on_entry(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    struct seen *seen = context;
    assert_true(scratch_entry_valid(zxid, entry));
    seen->zxids[seen->count++] = zxid;
    return MK_OK;
}

static const struct store_log_options log_options = {
    .segment_bytes = 4096, .segment_first_bytes = 4096, .sync = false};

/* Entries from..to, in as many segments as they need; as a server of ours leaves them. */
static void log_write(struct scratch *scratch, mk_zxid from, mk_zxid to)
{
    struct mk_error error;
    struct store_log *log = store_log_open(scratch->path, &log_options, &error);
    assert_non_null(log);
    for (mk_zxid zxid = from; zxid <= to; zxid++) {
        struct mk_buf batch = {0};
        scratch_entry_put(&batch, zxid, 1000);
        assert_int_equal(store_log_append(log, batch.data, batch.len, &error), MK_OK);
        mk_buf_free(&batch);
    }
    store_log_close(log);
}

static enum mk_status read_behind(struct scratch *scratch, mk_zxid after, struct seen *seen,
                                  struct mk_error *error)
{
    mk_zxid last;
    *seen = (struct seen){0};
    enum mk_status status = store_log_read(scratch->path, after, on_entry, seen, &last, error);
    assert_true(status != MK_OK || last == (seen->count > 0 ? seen->zxids[seen->count - 1] : 0));
    return status;
}

static void a_log_is_read_behind_any_of_its_entries(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    struct seen seen;
    log_write(scratch, 5, 24);
    for (mk_zxid after = 4; after <= 25; after++) {
        assert_int_equal(read_behind(scratch, after, &seen, &error), MK_OK);
        assert_int_equal(seen.count, after < 24 ? 24 - after : 0);
        assert_true(seen.count == 0 || seen.zxids[0] == after + 1);
    }
}

static void entries_that_are_missing_are_missed(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error = {0};
    struct seen seen;
    log_write(scratch, 5, 24);

    assert_int_equal(read_behind(scratch, 3, &seen, &error), MK_CORRUPT);
    assert_non_null(strstr(error.text, "missing: 0x5"));
    assert_int_equal(seen.count, 0);
    assert_int_equal(read_behind(scratch, 0, &seen, &error), MK_OK); /* it begins where it begins */
    scratch_unlink(scratch, "log.8");
    assert_int_equal(read_behind(scratch, 4, &seen, &error), MK_CORRUPT);
    assert_int_equal(seen.count, 3);
}

/* As ZooKeeper leaves it: it has begun another file, and nothing was acknowledged of what is torn. */
static void any_file_may_end_torn_but_none_may_be_damaged(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error = {0};
    struct seen seen;
    struct mk_buf bytes = {0};
    log_write(scratch, 5, 7);
    scratch_read(scratch, "log.5", &bytes);
    scratch_write(scratch, "log.5", mk_bytes_of(bytes.data, 16 + 3 * 1045 - 100));
    assert_int_equal(read_behind(scratch, 4, &seen, &error), MK_OK);
    assert_int_equal(seen.count, 2);

    scratch_write(scratch, "log.5", mk_buf_view(&bytes));
    scratch_flip(scratch, "log.5", 16 + 1045 + 500, 1); /* in the second of three */
    assert_int_equal(read_behind(scratch, 4, &seen, &error), MK_CORRUPT);
    assert_non_null(strstr(error.text, "log.5 is damaged"));
    mk_buf_free(&bytes);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(another_state_takes_the_place_of_the_one_there),
        TEST(a_first_state_takes_an_empty_place),
        TEST(after_a_crash_there_is_the_old_state_or_the_new_one),
        TEST(without_a_state_what_was_never_finished_is_gone),
        TEST(a_log_is_read_behind_any_of_its_entries),
        TEST(entries_that_are_missing_are_missed),
        TEST(any_file_may_end_torn_but_none_may_be_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
