#include "base/base.h"
#include "unit/cmocka.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run `act` in a child; what it wrote to stderr goes to `text`. True if it was ended by SIGABRT. */
static bool aborts(void (*act)(void), char *text, size_t text_size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }

    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while (len + 1 < text_size && (got = read(ends[0], text + len, text_size - len - 1)) > 0) {
        len += (size_t)got;
    }
    text[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void assert_that_one_is_two(void)
{
    volatile int one = 1;
    MK_ASSERT(one == 2);
}

static void assert_that_one_is_one(void)
{
    volatile int one = 1;
    MK_ASSERT(one == 1);
}

static void allocate_more_than_there_may_be(void)
{
    mk_free(mk_alloc(MK_ALLOC_MAX + 1));
}

static void allocate_a_count_that_overflows(void)
{
    mk_free(mk_alloc_zero(SIZE_MAX / 2, 3));
}

static void a_false_assertion_ends_the_process_and_says_where(void **state)
{
    char text[512];

    assert_true(aborts(assert_that_one_is_two, text, sizeof(text)));

    assert_non_null(strstr(text, "bug: assertion failed: one == 2"));
    assert_non_null(strstr(text, "assert_test.c:"));
}

static void a_true_assertion_does_nothing(void **state)
{
    char text[512];

    assert_false(aborts(assert_that_one_is_one, text, sizeof(text)));

    assert_string_equal(text, "");
}

static void an_absurd_size_is_a_bug(void **state)
{
    char text[512];

    assert_true(aborts(allocate_more_than_there_may_be, text, sizeof(text)));
    assert_true(aborts(allocate_a_count_that_overflows, text, sizeof(text)));
}

static void nothing_can_be_allocated_and_freed(void **state)
{
    void *nothing = mk_alloc(0);

    assert_non_null(nothing);

    mk_free(mk_realloc(nothing, 0));
    mk_free(mk_alloc_zero(0, 16));
    mk_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_false_assertion_ends_the_process_and_says_where),
        cmocka_unit_test(a_true_assertion_does_nothing),
        cmocka_unit_test(an_absurd_size_is_a_bug),
        cmocka_unit_test(nothing_can_be_allocated_and_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
