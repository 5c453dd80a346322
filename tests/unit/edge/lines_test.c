#include "edge/edge.h"
#include "unit/cmocka.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct lines_file {
    FILE *file;
    struct edge_lines *lines;
    const struct mk_log *log;
};

static int lines_open(void **state)
{
    struct lines_file *lines = test_calloc(1, sizeof(*lines));
    lines->file = tmpfile();
    lines->lines = edge_lines_new(MK_LOG_INFO, fileno(lines->file));
    lines->log = edge_lines_log(lines->lines);
    *state = lines;
    return 0;
}

static int lines_close(void **state)
{
    struct lines_file *lines = *state;
    edge_lines_free(lines->lines);
    (void)fclose(lines->file);
    test_free(lines);
    return 0;
}

/* Lines that were written; the first goes to `first`. */
static size_t lines_count(const struct lines_file *lines, char *first, size_t size)
{
    char line[2000];
    size_t count = 0;

    rewind(lines->file);
    while (fgets(line, sizeof(line), lines->file) != NULL) {
        if (count++ == 0 && first != NULL) {
            (void)snprintf(first, size, "%s", line);
        }
    }
    return count;
}

static void a_line_is_time_level_sentence_keys(void **state)
{
    struct lines_file *lines = *state;
    char line[2000];
    regex_t pattern;

    mk_log(lines->log, MK_LOG_INFO, "serving  port=%d", 2181);

    assert_int_equal(lines_count(lines, line, sizeof(line)), 1);
    assert_int_equal(regcomp(&pattern,
                             "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"
                             " info  serving  port=2181\n$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_int_equal(regexec(&pattern, line, 0, NULL, 0), 0);
    regfree(&pattern);
}

static void lines_above_the_level_are_not_written(void **state)
{
    struct lines_file *lines = *state;

    mk_log(lines->log, MK_LOG_DEBUG, "detail");

    assert_int_equal(lines_count(lines, NULL, 0), 0);
}

static void one_sentence_cannot_flood_the_log_whatever_its_keys(void **state)
{
    struct lines_file *lines = *state;

    for (int i = 0; i < 1000; i++) {
        mk_log(lines->log, MK_LOG_WARN, "connection refused  port=%d", i);
    }
    mk_log(lines->log, MK_LOG_WARN, "something else");

    assert_int_equal(lines_count(lines, NULL, 0), EDGE_LINES_MAX + 1);
}

static void errors_are_always_written(void **state)
{
    struct lines_file *lines = *state;

    for (int i = 0; i < 100; i++) {
        mk_log(lines->log, MK_LOG_ERROR, "the disk is full");
    }

    assert_int_equal(lines_count(lines, NULL, 0), 100);
}

static void the_longest_line_is_written_whole(void **state)
{
    struct lines_file *lines = *state;
    char text[1024];
    char line[2000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    mk_log(lines->log, MK_LOG_ERROR, "%s", text);

    assert_int_equal(lines_count(lines, line, sizeof(line)), 1);
    assert_non_null(strstr(line, text));
}

#define T(test) cmocka_unit_test_setup_teardown(test, lines_open, lines_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_line_is_time_level_sentence_keys),
        T(lines_above_the_level_are_not_written),
        T(one_sentence_cannot_flood_the_log_whatever_its_keys),
        T(errors_are_always_written),
        T(the_longest_line_is_written_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
