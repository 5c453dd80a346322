#include "unit/cmocka.h"
#include "unit/store/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

/* The disk breaks on request: this takes the place of the C library's in this program. */
static int write_errno;

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    if (write_errno != 0) {
        errno = write_errno;
        return -1;
    }
    return syscall(SYS_pwritev, fd, parts, (long)count, (long)at, 0L);
}

static int setup(void **state)
{
    struct scratch *scratch = mk_alloc_zero(1, sizeof(*scratch));

    scratch_make(scratch);
    write_errno = 0;
    *state = scratch;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    mk_free(*state);
    return 0;
}

/* ---- Epoch files ---- */

static void an_epoch_that_was_never_written_is_an_answer(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    int64_t epoch;

    assert_int_equal(store_epoch_read(scratch->path, "acceptedEpoch", &epoch, &error), MK_NO_NODE);
}

static void an_epoch_is_decimal_text_without_a_newline(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    struct mk_buf bytes = {0};
    int64_t epoch;

    assert_int_equal(store_epoch_write(scratch->path, "currentEpoch", 7, &error), MK_OK);
    assert_int_equal(store_epoch_write(scratch->path, "currentEpoch", 2147483647, &error), MK_OK);

    assert_int_equal(store_epoch_read(scratch->path, "currentEpoch", &epoch, &error), MK_OK);
    assert_int_equal(epoch, 2147483647);
    scratch_read(scratch, "currentEpoch", &bytes);
    assert_int_equal(bytes.len, 10);
    assert_memory_equal(bytes.data, "2147483647", 10);
    assert_false(scratch_has(scratch, "currentEpoch.tmp"));
    mk_buf_free(&bytes);
}

static void an_epoch_written_by_an_editor_may_end_in_a_newline(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    int64_t epoch;
    scratch_write(scratch, "currentEpoch", MK_BYTES("12\n"));

    assert_int_equal(store_epoch_read(scratch->path, "currentEpoch", &epoch, &error), MK_OK);
    assert_int_equal(epoch, 12);
}

static void an_epoch_file_that_holds_something_else_is_damage(void **state)
{
    struct scratch *scratch = *state;
    const char *texts[] = {"", "x", "-1", " 1", "1x", "1\n2", "99999999999999999999", "1\n\n"};

    for (size_t i = 0; i < MK_COUNT(texts); i++) {
        struct mk_error error;
        int64_t epoch;
        scratch_write(scratch, "currentEpoch", mk_bytes_text(texts[i]));
        assert_int_equal(store_epoch_read(scratch->path, "currentEpoch", &epoch, &error),
                         MK_CORRUPT);
        assert_non_null(strstr(error.text, "/currentEpoch does not hold a decimal epoch"));
    }
}

static void a_full_disk_leaves_the_old_epoch_as_it_was(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    int64_t epoch;
    assert_int_equal(store_epoch_write(scratch->path, "currentEpoch", 3, &error), MK_OK);

    write_errno = ENOSPC;
    assert_int_equal(store_epoch_write(scratch->path, "currentEpoch", 4, &error), MK_NO_SPACE);
    write_errno = 0;

    assert_non_null(strstr(error.text, "currentEpoch.tmp: No space left on device; free some"));
    assert_int_equal(store_epoch_read(scratch->path, "currentEpoch", &epoch, &error), MK_OK);
    assert_int_equal(epoch, 3);
}

/* ---- The lock ---- */

static void a_directory_is_locked_for_one_opener_until_it_closes(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    char expected[128];
    int first;
    int second;
    assert_int_equal(store_directory_lock(scratch->path, &first, &error), MK_OK);

    assert_int_equal(store_directory_lock(scratch->path, &second, &error), MK_IN_USE);
    snprintf(expected, sizeof(expected), "%s is in use by process %d: ", scratch->path,
             (int)getpid());
    assert_memory_equal(error.text, expected, strlen(expected));
    close(first);

    assert_int_equal(store_directory_lock(scratch->path, &second, &error), MK_OK);
    close(second);
}

static void a_lock_ends_with_its_process_however_that_ends(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    int lock;
    pid_t child = fork();
    if (child == 0) {
        if (store_directory_lock(scratch->path, &lock, &error) == MK_OK) {
            (void)!write(lock, "x", 1);
            kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFSIGNALED(ended));

    assert_int_equal(store_directory_lock(scratch->path, &lock, &error), MK_OK);
    close(lock);
}

static void a_directory_that_is_missing_is_created(void **state)
{
    struct scratch *scratch = *state;
    struct mk_error error;
    char path[128];
    char file[160];
    int lock;
    snprintf(path, sizeof(path), "%s/new/", scratch->path);
    snprintf(file, sizeof(file), "%slock", path);

    assert_int_equal(store_directory_lock(path, &lock, &error), MK_OK);

    close(lock);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(path), 0);
}

static void a_directory_that_cannot_be_made_is_named(void **state)
{
    struct mk_error error;
    int lock;

    assert_int_equal(store_directory_lock("/proc/nowhere/data", &lock, &error), MK_IO);
    assert_non_null(strstr(error.text, "cannot create /proc/nowhere/data: No such file"));
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILES_TEST(an_epoch_that_was_never_written_is_an_answer),
        FILES_TEST(an_epoch_is_decimal_text_without_a_newline),
        FILES_TEST(an_epoch_written_by_an_editor_may_end_in_a_newline),
        FILES_TEST(an_epoch_file_that_holds_something_else_is_damage),
        FILES_TEST(a_full_disk_leaves_the_old_epoch_as_it_was),
        FILES_TEST(a_directory_is_locked_for_one_opener_until_it_closes),
        FILES_TEST(a_lock_ends_with_its_process_however_that_ends),
        FILES_TEST(a_directory_that_is_missing_is_created),
        FILES_TEST(a_directory_that_cannot_be_made_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
