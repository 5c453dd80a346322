#include "shell/internal.h"
#include "unit/cmocka.h"

/* The words of a line as "[one][two]". */
static void assert_words(const char *line, const char *expected)
{
    struct shell_words words;
    struct mk_buf all = {0};

    shell_words_split(&words, line);
    for (size_t i = 0; i < words.count; i++) {
        mk_buf_printf(&all, "[%s]", words.words[i]);
    }
    mk_buf_put_u8(&all, '\0');
    assert_string_equal((const char *)all.data, expected);
    mk_buf_free(&all);
    shell_words_free(&words);
}

static void blanks_separate_words(void **state)
{
    assert_words("create /a data", "[create][/a][data]");
    assert_words("  create \t /a  ", "[create][/a]");
    assert_words("", "");
    assert_words(" \t ", "");
}

static void quotes_hold_a_word_together_and_vanish(void **state)
{
    assert_words("set /a \"x y\" 'p  q'", "[set][/a][x y][p  q]");
    assert_words("set /a 'say \"hi\"' \"it's\"", "[set][/a][say \"hi\"][it's]");
    assert_words("set /a ''", "[set][/a][]");
    assert_words("''''", "[][]");
    assert_words("\"a\"b", "[a][b]");
}

static void a_quote_within_a_word_is_part_of_it(void **state)
{
    assert_words("get a\"b c\"", "[get][a\"b][c\"]");
}

static void a_quote_that_nobody_closes_is_passed_over(void **state)
{
    assert_words("get \"/unclosed x", "[get][/unclosed][x]");
    assert_words("get \"", "[get]");
    assert_words("'\"", "");
}

static void nothing_is_escaped(void **state)
{
    assert_words("set /a \\n \\\"x y\\\"", "[set][/a][\\n][\\\"x][y\\\"]");
}

/* ---- Options ---- */

static const struct shell_command command = {
    .name = "do",
    .usage = "[-s] [-v version] [-file f] path",
    .words_min = 1,
    .options = {{"s", false}, {"w", false}, {"v", true}, {"file", true}}};

/* "s=,v=5|/a|b", or the error. */
static void assert_call(const char *line, const char *expected)
{
    struct shell_words words;
    struct shell_call call;
    struct mk_error error = {""};
    struct mk_buf all = {0};

    shell_words_split(&words, line);
    if (shell_call_parse(&call, &command, words.words, words.count, &error)) {
        for (size_t i = 0; command.options[i].name != NULL; i++) {
            if (shell_call_has(&call, command.options[i].name)) {
                mk_buf_printf(&all, "%s=%s,", command.options[i].name, call.values[i]);
            }
        }
        for (size_t i = 1; i < call.count; i++) {
            mk_buf_printf(&all, "|%s", call.words[i]);
        }
    } else {
        mk_buf_printf(&all, "%s", error.text);
    }
    mk_buf_put_u8(&all, '\0');
    assert_string_equal((const char *)all.data, expected);
    mk_buf_free(&all);
    shell_words_free(&words);
}

static void options_stand_anywhere_before_two_hyphens(void **state)
{
    assert_call("do -s /a", "s=,|/a");
    assert_call("do /a -s b", "s=,|/a|b");
    assert_call("do -- -s", "|-s");
    assert_call("do -", "|-");
}

static void options_of_one_letter_may_share_a_hyphen(void **state)
{
    assert_call("do -sw /a", "s=,w=,|/a");
    assert_call("do -sv5 /a", "s=,v=5,|/a");
    assert_call("do -sv 5 /a", "s=,v=5,|/a");
}

static void a_value_is_in_the_same_word_or_the_next(void **state)
{
    assert_call("do -v 5 /a", "v=5,|/a");
    assert_call("do -v5 /a", "v=5,|/a");
    assert_call("do -v -1 /a", "v=-1,|/a");
    assert_call("do -file x /a", "file=x,|/a");
}

static void mistakes_are_told_in_the_words_of_zkcli(void **state)
{
    assert_call("do -x /a", "Unrecognized option: -x");
    assert_call("do -sx /a", "Unrecognized option: -sx");
    assert_call("do --s /a", "Unrecognized option: --s");
    assert_call("do /a -v", "Missing argument for option: v");
    assert_call("do -v -s /a", "Missing argument for option: v");
    assert_call("do -s", "do [-s] [-v version] [-file f] path");
}

static void commands_are_found_by_name_and_sorted_for_help(void **state)
{
    const struct shell_command *one;

    for (size_t i = 0; (one = shell_command_at(i)) != NULL; i++) {
        assert_ptr_equal(shell_command_find(one->name), one);
        assert_true(i == 0 || strcmp(shell_command_at(i - 1)->name, one->name) < 0);
    }
    assert_null(shell_command_find("Get"));
    assert_null(shell_command_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_separate_words),
        cmocka_unit_test(quotes_hold_a_word_together_and_vanish),
        cmocka_unit_test(a_quote_within_a_word_is_part_of_it),
        cmocka_unit_test(a_quote_that_nobody_closes_is_passed_over),
        cmocka_unit_test(nothing_is_escaped),
        cmocka_unit_test(options_stand_anywhere_before_two_hyphens),
        cmocka_unit_test(options_of_one_letter_may_share_a_hyphen),
        cmocka_unit_test(a_value_is_in_the_same_word_or_the_next),
        cmocka_unit_test(mistakes_are_told_in_the_words_of_zkcli),
        cmocka_unit_test(commands_are_found_by_name_and_sorted_for_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
