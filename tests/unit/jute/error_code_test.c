#include "frames.h"

#include <sys/wait.h>
#include <unistd.h>

static bool has_a_code(enum mk_status status)
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO); /* what the assertion says is no news here */
        (void)jute_error_code(status);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

static void what_is_never_sent_has_no_code_and_asking_is_a_bug(void **state)
{
    assert_true(has_a_code(MK_NO_NODE));
    assert_false(has_a_code(MK_WOULD_BLOCK));
    assert_false(has_a_code(MK_END));
}

static void a_failure_is_a_system_error(void **state)
{
    assert_int_equal(jute_error_code(MK_IO), -1);
    assert_int_equal(jute_error_code(MK_NO_SPACE), -1);
    assert_int_equal(jute_error_code(MK_CORRUPT), -1);
    assert_int_equal(jute_error_code(MK_IN_USE), -1);
}

static void every_answer_has_a_code_that_leads_back_to_it(void **state)
{
    for (int status = MK_OK; status < MK_WOULD_BLOCK; status++) {
        int32_t code = jute_error_code((enum mk_status)status);
        assert_true(status == MK_OK ? code == 0 : code < -1);
        assert_int_equal(jute_error_status(code), status);
        assert_string_not_equal(jute_error_name(code), "Unknown");
    }
}

static void the_codes_that_clients_meet_most_are_zookeepers(void **state)
{
    assert_int_equal(jute_error_code(MK_NO_NODE), -101);
    assert_int_equal(jute_error_code(MK_NO_AUTH), -102);
    assert_int_equal(jute_error_code(MK_BAD_VERSION), -103);
    assert_int_equal(jute_error_code(MK_NODE_EXISTS), -110);
    assert_int_equal(jute_error_code(MK_NOT_EMPTY), -111);
    assert_int_equal(jute_error_code(MK_SESSION_EXPIRED), -112);
    assert_int_equal(jute_error_code(MK_INVALID_ACL), -114);
    assert_int_equal(jute_error_code(MK_MALFORMED), -5);
    assert_int_equal(jute_error_code(MK_UNIMPLEMENTED), -6);
    assert_int_equal(jute_error_code(MK_BAD_ARGUMENTS), -8);
}

static void a_code_that_no_answer_has_is_malformed(void **state)
{
    static const int32_t codes[] = {1, -1, -3, -4, -7, -12, -100, -104, -126, -128, INT32_MIN};
    for (size_t i = 0; i < MK_COUNT(codes); i++) {
        assert_int_equal(jute_error_status(codes[i]), MK_MALFORMED);
    }
}

static void names_are_zookeepers(void **state)
{
    assert_string_equal(jute_error_name(0), "Ok");
    assert_string_equal(jute_error_name(-101), "NoNode");
    assert_string_equal(jute_error_name(-127), "ThrottledOp");
    assert_string_equal(jute_error_name(-126), "Unknown");
    assert_string_equal(jute_error_name(7), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_never_sent_has_no_code_and_asking_is_a_bug),
        cmocka_unit_test(a_failure_is_a_system_error),
        cmocka_unit_test(every_answer_has_a_code_that_leads_back_to_it),
        cmocka_unit_test(the_codes_that_clients_meet_most_are_zookeepers),
        cmocka_unit_test(a_code_that_no_answer_has_is_malformed),
        cmocka_unit_test(names_are_zookeepers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
