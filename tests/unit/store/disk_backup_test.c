#include "unit/cmocka.h"
#include "unit/store/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

#define CHECKPOINTED 300 /* zxids up to here are in the state, those above are in the log alone */
#define LOGGED 450
#define LATER 500     /* ... and up to here logged after the backup */
#define PATH_BYTES 64 /* as in struct scratch */

struct bench {
    struct scratch scratch;
    struct store *store;
    struct store_base *base;
    struct store_log *log;
    char backup[PATH_BYTES];
};

static void path_of(const struct bench *bench, const char *name, char *path)
{
    assert_true(snprintf(path, PATH_BYTES, "%s/%s", bench->scratch.path, name) < PATH_BYTES);
}

static struct store *state_open(const char *directory, struct store_base **base)
{
    struct store_disk_options disk = {.cache_bytes = 8 << 20, .open_files_max = 64};
    struct store_options rows = {
        .cache_bytes = 1 << 20, .overlay_bytes = 1 << 20, .overlay_bytes_max = 4 << 20};
    struct mk_error error = {""};

    *base = store_base_rocks(directory, &disk, &error);
    assert_string_equal(error.text, "");
    return store_open(*base, &rows, &error);
}

static struct store_log *log_open(const char *directory)
{
    struct store_log_options options = {
        .segment_bytes = 16384, .segment_first_bytes = 16384, .sync = false};
    struct mk_error error = {""};
    struct store_log *log = store_log_open(directory, &options, &error);

    assert_string_equal(error.text, "");
    return log;
}

static void znode_create(struct store *store, mk_zxid zxid)
{
    struct store_view *view = store_committed(store);
    struct store_znode znode;
    char path[32];

    snprintf(path, sizeof(path), "/%d", (int)zxid);
    store_begin(view, zxid, 1000);
    assert_int_equal(store_znode_create(view,
                                        &(struct store_create){.path = mk_bytes_text(path),
                                                               .data = mk_bytes_text(path),
                                                               .parent_cversion = -1},
                                        &znode),
                     MK_OK);
    store_end(view);
}

static void log_append(struct store_log *log, mk_zxid first, mk_zxid last)
{
    struct mk_error error = {""};

    for (mk_zxid zxid = first; zxid <= last; zxid++) {
        struct mk_buf batch = {0};
        scratch_entry_put(&batch, zxid, 60);
        assert_int_equal(store_log_append(log, batch.data, batch.len, &error), MK_OK);
        mk_buf_free(&batch);
    }
}

static int setup(void **state)
{
    struct bench *bench = mk_alloc_zero(1, sizeof(*bench));
    struct mk_error error = {""};
    char path[PATH_BYTES];

    scratch_make(&bench->scratch);
    path_of(bench, "state", path);
    bench->store = state_open(path, &bench->base);
    path_of(bench, "log", path);
    bench->log = log_open(path);
    assert_int_equal(store_epoch_write(path, "acceptedEpoch", 7, &error), MK_OK);
    assert_int_equal(store_epoch_write(path, "currentEpoch", 6, &error), MK_OK);
    path_of(bench, "backup", bench->backup);

    log_append(bench->log, 1, LOGGED);
    for (mk_zxid zxid = 1; zxid <= CHECKPOINTED; zxid++) {
        znode_create(bench->store, zxid);
    }
    struct store_checkpoint *checkpoint = store_checkpoint_start(bench->store);
    assert_int_equal(store_checkpoint_write(checkpoint, &error), MK_OK);
    store_checkpoint_done(bench->store, checkpoint);
    *state = bench;
    return 0;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    store_close(bench->store);
    store_log_close(bench->log);
    (void)chmod(bench->scratch.path, 0700);
    (void)nftw(bench->scratch.path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mk_free(bench);
    return 0;
}

static struct store_backup backup_write(struct bench *bench)
{
    struct store_backup backup = {0};
    struct mk_error error = {""};

    enum mk_status status =
        store_backup_write(bench->base, bench->log, bench->backup, &backup, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, MK_OK);
    return backup;
}

static enum mk_status last_visit(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    mk_zxid *last = context;

    assert_int_equal(zxid, *last + 1);
    assert_true(scratch_entry_valid(zxid, entry));
    *last = zxid;
    return MK_OK;
}

static void a_backup_has_the_state_and_the_log_behind_it(void **state)
{
    struct bench *bench = *state;
    char path[PATH_BYTES];
    struct store_base *base;
    struct mk_error error = {""};
    int64_t epoch;

    struct store_backup backup = backup_write(bench);

    assert_int_equal(backup.zxid, LOGGED);
    path_of(bench, "backup/state", path);
    struct store *store = state_open(path, &base);
    assert_int_equal(store_applied(store), CHECKPOINTED);
    store_check(store);
    store_close(store);
    path_of(bench, "backup/log", path);
    struct store_log *log = log_open(path);
    mk_zxid last = CHECKPOINTED;
    assert_int_equal(store_log_replay(log, CHECKPOINTED, last_visit, &last, &error), MK_OK);
    assert_int_equal(last, LOGGED);
    assert_int_equal(store_epoch_read(path, "acceptedEpoch", &epoch, &error), MK_OK);
    assert_int_equal(epoch, 7);
    assert_int_equal(store_epoch_read(path, "currentEpoch", &epoch, &error), MK_OK);
    assert_int_equal(epoch, 6);
    log_append(log, LOGGED + 1, LATER);
    assert_int_equal(store_log_last(log), LATER);
    store_log_close(log);
}

static void what_the_server_does_later_does_not_change_a_backup(void **state)
{
    struct bench *bench = *state;
    char path[PATH_BYTES];
    struct store_base *base;
    struct mk_error error = {""};
    backup_write(bench);

    log_append(bench->log, LOGGED + 1, LATER);
    assert_int_equal(store_log_remove_through(bench->log, LOGGED, 0, &error), MK_OK);
    for (mk_zxid zxid = CHECKPOINTED + 1; zxid <= LOGGED; zxid++) {
        znode_create(bench->store, zxid);
    }
    struct store_checkpoint *checkpoint = store_checkpoint_start(bench->store);
    assert_int_equal(store_checkpoint_write(checkpoint, &error), MK_OK);
    store_checkpoint_done(bench->store, checkpoint);

    path_of(bench, "backup/log", path);
    struct store_log *log = log_open(path);
    assert_int_equal(store_log_first(log), 1);
    assert_int_equal(store_log_last(log), LOGGED);
    store_log_close(log);
    path_of(bench, "backup/state", path);
    struct store *store = state_open(path, &base);
    assert_int_equal(store_applied(store), CHECKPOINTED);
    store_close(store);
}

static void damage_to_a_backups_last_entry_is_found(void **state)
{
    struct bench *bench = *state;
    struct scratch copy = {""};
    struct store_log_options options = {.segment_bytes = 16384, .segment_first_bytes = 16384};
    struct mk_error error = {""};
    char newest[32] = "";
    struct mk_buf bytes = {0};
    backup_write(bench);

    path_of(bench, "backup/log", copy.path);
    for (mk_zxid zxid = 1; zxid <= LOGGED; zxid++) {
        char name[32];
        snprintf(name, sizeof(name), "log.%llx", (unsigned long long)zxid);
        if (scratch_has(&copy, name)) {
            memcpy(newest, name, sizeof(newest));
        }
    }
    scratch_read(&copy, newest, &bytes);
    scratch_flip(&copy, newest, bytes.len - 24 - 40, 1); /* before the trailer */
    mk_buf_free(&bytes);

    assert_null(store_log_open(copy.path, &options, &error));
    assert_non_null(strstr(error.text, "is damaged"));
}

static void a_name_that_is_taken_is_refused(void **state)
{
    struct bench *bench = *state;
    struct store_backup backup = {0};
    struct mk_error error = {""};
    backup_write(bench);

    assert_int_equal(store_backup_write(bench->base, bench->log, bench->backup, &backup, &error),
                     MK_NODE_EXISTS);

    assert_non_null(strstr(error.text, "is there already"));
}

static void what_an_interrupted_backup_left_is_made_anew(void **state)
{
    struct bench *bench = *state;
    char path[PATH_BYTES];
    path_of(bench, "backup.tmp", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(bench, "backup.tmp/state", path);
    assert_int_equal(mkdir(path, 0700), 0);
    scratch_write(&bench->scratch, "backup.tmp/state/CURRENT", MK_BYTES("half"));

    struct store_backup backup = backup_write(bench);

    assert_int_equal(backup.zxid, LOGGED);
    assert_false(scratch_has(&bench->scratch, "backup.tmp"));
}

static void a_backup_that_fails_leaves_nothing(void **state)
{
    struct bench *bench = *state;
    struct store_backup backup = {0};
    struct mk_error error = {""};
    char path[PATH_BYTES];
    path_of(bench, "log/log.1", path);
    assert_int_equal(truncate(path, 100), 0); /* while it is open: something has gone wrong */

    assert_int_equal(store_backup_write(bench->base, bench->log, bench->backup, &backup, &error),
                     MK_CORRUPT);

    assert_non_null(strstr(error.text, "log.1 is shorter"));
    assert_false(scratch_has(&bench->scratch, "backup"));
    assert_false(scratch_has(&bench->scratch, "backup.tmp"));
}

/* ---- Read ---- */

static enum mk_status read_back(struct bench *bench, mk_zxid *committed, struct mk_error *error)
{
    char state[PATH_BYTES];
    char log[PATH_BYTES];

    path_of(bench, "other/state", state);
    path_of(bench, "other/log", log);
    return store_backup_read(bench->backup, state, log, committed, error);
}

static void other_make(struct bench *bench)
{
    char path[PATH_BYTES];

    path_of(bench, "other", path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void a_backup_is_read_back_with_what_was_said_of_it_and_stays_as_it_is(void **state)
{
    struct bench *bench = *state;
    struct store_backup backup = {.committed = LOGGED - 5, .mark = "mark"};
    struct mk_error error = {""};
    struct store_base *base;
    mk_zxid committed;
    mk_zxid last = 0;
    char path[PATH_BYTES];
    assert_int_equal(store_backup_write(bench->base, bench->log, bench->backup, &backup, &error),
                     MK_OK);
    assert_true(scratch_has(&bench->scratch, "backup/mark"));
    other_make(bench);

    for (int again = 0; again < 2; again++) {
        assert_int_equal(read_back(bench, &committed, &error), MK_OK);

        assert_int_equal(committed, LOGGED - 5);
        assert_false(scratch_has(&bench->scratch, "other/mark"));
        path_of(bench, "other/state", path);
        struct store *store = state_open(path, &base);
        assert_int_equal(store_applied(store), CHECKPOINTED);
        store_close(store);
        path_of(bench, "other/log", path);
        struct store_log *log = log_open(path);
        assert_int_equal(store_log_truncate(log, committed, &error), MK_OK);
        assert_int_equal(store_log_last(log), LOGGED - 5);
        store_log_close(log);
        path_of(bench, "other", path);
        (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        other_make(bench);
    }
    path_of(bench, "backup/log", path); /* nobody has cut that one */
    struct store_log *log = log_open(path);
    assert_int_equal(store_log_replay(log, 0, last_visit, &last, &error), MK_OK);
    assert_int_equal(last, LOGGED);
    store_log_close(log);
}

static void a_backup_is_not_mixed_with_what_is_there(void **state)
{
    struct bench *bench = *state;
    struct mk_error error = {""};
    mk_zxid committed;
    char path[PATH_BYTES];
    backup_write(bench);
    other_make(bench);
    path_of(bench, "other/log", path);
    assert_int_equal(mkdir(path, 0700), 0);

    assert_int_equal(read_back(bench, &committed, &error), MK_NODE_EXISTS);

    assert_non_null(strstr(error.text, "move it away"));
    assert_false(scratch_has(&bench->scratch, "other/state"));
}

static void what_is_no_backup_is_said_so_and_nothing_is_made(void **state)
{
    struct bench *bench = *state;
    struct mk_error error = {""};
    mk_zxid committed;
    backup_write(bench);
    other_make(bench);
    scratch_write(&bench->scratch, "backup/state/a-name-that-no-database-of-ours-has-ever-had",
                  MK_BYTES("x"));

    assert_int_equal(read_back(bench, &committed, &error), MK_BAD_ARGUMENTS);

    assert_non_null(strstr(error.text, "is no file of a backup"));
    assert_false(scratch_has(&bench->scratch, "other/state"));
    assert_false(scratch_has(&bench->scratch, "other/log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_backup_has_the_state_and_the_log_behind_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_server_does_later_does_not_change_a_backup, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damage_to_a_backups_last_entry_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_taken_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_interrupted_backup_left_is_made_anew, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_backup_that_fails_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_backup_is_read_back_with_what_was_said_of_it_and_stays_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backup_is_not_mixed_with_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_backup_is_said_so_and_nothing_is_made, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
