#include "base/base.h"
#include "unit/cmocka.h"

struct heard {
    int count;
    enum mk_log_level level;
    char line[2048];
};

static void hear(void *context, enum mk_log_level level, const char *line)
{
    struct heard *heard = context;
    heard->count++;
    heard->level = level;
    strncpy(heard->line, line, sizeof(heard->line) - 1);
}

static void what_is_more_verbose_than_the_level_is_not_written(void **state)
{
    struct heard heard = {0};
    struct mk_log log = {.level = MK_LOG_WARN, .write = hear, .context = &heard};

    mk_log(&log, MK_LOG_INFO, "leading  epoch=%d", 5);
    assert_int_equal(heard.count, 0);

    mk_log(&log, MK_LOG_WARN, "log sync took %d ms", 1840);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.level, MK_LOG_WARN);
    assert_string_equal(heard.line, "log sync took 1840 ms");
}

static void without_a_log_nothing_happens(void **state)
{
    struct mk_log log = {.level = MK_LOG_DEBUG};

    mk_log(NULL, MK_LOG_ERROR, "unheard");
    mk_log(&log, MK_LOG_ERROR, "unheard");
}

static void a_client_cannot_forge_a_line(void **state)
{
    struct heard heard = {0};
    struct mk_log log = {.level = MK_LOG_INFO, .write = hear, .context = &heard};

    mk_log(&log, MK_LOG_INFO, "bad path  path=%s", "/a\nerror forged\x1b[2J\x7f");

    assert_string_equal(heard.line, "bad path  path=/a?error forged?[2J?");
}

static void a_line_too_long_is_cut(void **state)
{
    struct heard heard = {0};
    struct mk_log log = {.level = MK_LOG_INFO, .write = hear, .context = &heard};
    char text[2000];
    memset(text, 'x', sizeof(text));
    text[1999] = '\0';

    mk_log(&log, MK_LOG_INFO, "%s", text);

    assert_int_equal(strlen(heard.line), 1023);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_more_verbose_than_the_level_is_not_written),
        cmocka_unit_test(without_a_log_nothing_happens),
        cmocka_unit_test(a_client_cannot_forge_a_line),
        cmocka_unit_test(a_line_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
