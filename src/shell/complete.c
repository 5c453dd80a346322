/* What a line may go on with: commands, their options, paths. */
#include "shell/internal.h"

#include <string.h>

#define ANSWER_MS_MAX 1000 /* whoever has pressed a key does not want to wait longer */

static void candidate_add(struct shell_completion *out, const char *name, const char *prefix,
                          size_t prefix_bytes)
{
    if (strncmp(name, prefix, prefix_bytes) == 0) {
        shell_names_add_take(&out->names, shell_path_join("", name));
    }
}

static void commands_complete(const char *prefix, struct shell_completion *out)
{
    const struct shell_command *command;

    for (size_t i = 0; (command = shell_command_at(i)) != NULL; i++) {
        candidate_add(out, command->name, prefix, strlen(prefix));
    }
}

static void options_complete(const struct shell_command *command, const char *prefix,
                             struct shell_completion *out)
{
    char name[16] = "-";

    for (size_t i = 0; i < SHELL_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        (void)snprintf(name + 1, sizeof(name) - 1, "%s", command->options[i].name);
        candidate_add(out, name, prefix, strlen(prefix));
    }
}

/* Whether the name can be typed where the word stands: a quote would end it, a blank as well, unless it
 * is quoted. */
static bool name_fits(const char *name, char quote)
{
    return quote != '\0' ? strchr(name, quote) == NULL : strpbrk(name, " \t\"'") == NULL;
}

static void paths_complete(struct shell *shell, const char *prefix, char quote,
                           struct shell_completion *out)
{
    const char *begun = strrchr(prefix, '/') + 1; /* of the name */
    char *parent = shell_path_join("", prefix);
    struct moonkeeper_request request = {
        .op = MOONKEEPER_CHILDREN, .path = parent, .wait_ms = ANSWER_MS_MAX};
    struct moonkeeper_result result = {0};

    parent[begun - prefix > 1 ? begun - prefix - 1 : 1] = '\0';
    if (shell->handle != NULL) {
        (void)moonkeeper_ask(shell->handle, &request, &result); /* no answer: no candidates */
    }
    for (size_t i = 0; i < result.names_count; i++) {
        const char *name = result.names[i];
        if (mk_bytes_starts(mk_bytes_text(name), mk_bytes_text(begun)) && name_fits(name, quote)) {
            shell_names_add_take(&out->names, shell_path_join(parent, name));
        }
    }
    moonkeeper_result_free(&result);
    mk_free(parent);
}

/* Where the last word begins: behind a blank outside of quotes, and behind the quote that opens it. */
static const char *last_word(const char *line, char *quote)
{
    const char *word = line;

    *quote = '\0';
    for (const char *at = line; *at != '\0'; at++) {
        if (*quote != '\0') {
            *quote = *at == *quote ? '\0' : *quote;
        } else if (*at == ' ' || *at == '\t') {
            word = at + 1;
        } else if ((*at == '"' || *at == '\'') && at == word) {
            *quote = *at;
            word = at + 1;
        }
    }
    return word;
}

void shell_complete(struct shell *shell, const char *line, struct shell_completion *out)
{
    struct shell_words words;
    char quote = '\0';
    const char *word = last_word(line, &quote);

    memset(out, 0, sizeof(*out));
    out->word_bytes = strlen(word);
    shell_words_split(&words, line);
    const struct shell_command *command =
        words.count > 0 ? shell_command_find(words.words[0]) : NULL;
    if (line[strspn(line, " \t")] == '\0' || (words.count == 1 && *word != '\0' && quote == '\0')) {
        commands_complete(word, out);
    } else if (word[0] == '-' && command != NULL) {
        options_complete(command, word, out);
    } else if (word[0] == '/') {
        paths_complete(shell, word, quote, out);
    }
    shell_names_sort(&out->names);
    shell_words_free(&words);
}
