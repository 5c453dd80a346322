/* A line into words as zkCli takes it apart, and words into options as commons-cli does. A word goes to
 * the next blank; one that begins with a quote goes to the next such quote, and nothing is escaped. A
 * quote inside a word is part of it; one that nobody closes is passed over. */
#include "shell/internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t word_end(const char *line, size_t at)
{
    while (line[at] != '\0' && !is_blank(line[at])) {
        at++;
    }
    return at;
}

static void word_add(struct shell_words *words, const char *begin, size_t len)
{
    words->words = mk_realloc(words->words, (words->count + 2) * sizeof(char *));
    /* Cannot move: room for the whole line was reserved, and words do not overlap. */
    words->words[words->count++] = (char *)words->text.data + words->text.len;
    words->words[words->count] = NULL;
    mk_buf_append(&words->text, begin, len);
    mk_buf_put_u8(&words->text, '\0');
}

void shell_words_split(struct shell_words *words, const char *line)
{
    size_t len = strlen(line);
    size_t at = 0;

    memset(words, 0, sizeof(*words));
    mk_buf_reserve(&words->text, len * 2 + 2); /* "a b" needs a NUL for each word */
    while (at < len) {
        size_t begin = at;
        while (is_blank(line[begin])) {
            begin++;
        }
        bool quoted = line[begin] == '"' || line[begin] == '\'';
        const char *close = quoted ? strchr(line + begin + 1, line[begin]) : NULL;
        if (line[begin] == '\0') {
            return;
        }
        if (!quoted) {
            at = word_end(line, begin + 1);
            word_add(words, line + begin, at - begin);
        } else if (close != NULL) {
            word_add(words, line + begin + 1, (size_t)(close - line) - begin - 1);
            at = (size_t)(close - line) + 1;
        } else {
            at = begin + 1;
        }
    }
}

void shell_words_free(struct shell_words *words)
{
    mk_free(words->words);
    mk_buf_free(&words->text);
    memset(words, 0, sizeof(*words));
}

/* ---- Options ---- */

/* The option of that name; -1: there is none. */
static int option_find(const struct shell_command *command, const char *name, size_t len)
{
    for (int i = 0; i < SHELL_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        if (strlen(command->options[i].name) == len &&
            memcmp(command->options[i].name, name, len) == 0) {
            return i;
        }
    }
    return -1;
}

static bool is_option(const struct shell_command *command, const char *word)
{
    return word[0] == '-' && option_find(command, word + 1, strlen(word + 1)) >= 0;
}

/* Option `index`, its value behind it in the same word or in the next one, words[*at + 1]. */
static bool option_take(struct shell_call *call, int index, const char *rest, char **words,
                        size_t count, size_t *at, struct mk_error *error)
{
    const struct shell_option *option = &call->command->options[index];

    if (!option->value) {
        call->values[index] = "";
    } else if (*rest != '\0') {
        call->values[index] = rest;
    } else if (*at + 1 < count && !is_option(call->command, words[*at + 1])) {
        call->values[index] = words[++*at];
    } else {
        mk_error_set(error, "Missing argument for option: %s", option->name);
        return false;
    }
    return true;
}

/* A word that begins with a hyphen: one option, or several of one letter. */
static bool options_take(struct shell_call *call, char **words, size_t count, size_t *at,
                         struct mk_error *error)
{
    const char *word = words[*at];
    int index = option_find(call->command, word + 1, strlen(word + 1));

    if (index >= 0) {
        return option_take(call, index, "", words, count, at, error);
    }
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        index = option_find(call->command, letter, 1);
        if (index < 0) {
            mk_error_set(error, "Unrecognized option: %.200s", word);
            return false;
        }
        bool value = call->command->options[index].value;
        if (!option_take(call, index, value ? letter + 1 : "", words, count, at, error)) {
            return false;
        }
        if (value) {
            return true;
        }
    }
    return true;
}

bool shell_call_parse(struct shell_call *call, const struct shell_command *command, char **words,
                      size_t count, struct mk_error *error)
{
    bool ended = false; /* "--" was there */
    bool understood = true;

    MK_ASSERT(count > 0);
    memset(call, 0, sizeof(*call));
    call->command = command;
    call->words = words;
    call->count = 1;
    for (size_t at = 1; at < count && understood; at++) {
        if (!ended && strcmp(words[at], "--") == 0) {
            ended = true;
        } else if (!ended && words[at][0] == '-' && words[at][1] != '\0') {
            understood = options_take(call, words, count, &at, error);
        } else {
            words[call->count++] = words[at];
        }
    }
    if (understood && call->count < (size_t)command->words_min + 1) {
        mk_error_set(error, "%s %s", command->name, command->usage);
        understood = false;
    }
    return understood;
}

const char *shell_call_value(const struct shell_call *call, const char *option)
{
    int index = option_find(call->command, option, strlen(option));

    MK_ASSERT(index >= 0);
    return call->values[index];
}

bool shell_call_has(const struct shell_call *call, const char *option)
{
    return shell_call_value(call, option) != NULL;
}
