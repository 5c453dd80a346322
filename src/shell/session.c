/* The commands about the session, and about the shell itself. */
#include "shell/internal.h"

#include <string.h>

#define SHELL_VERSION "0.1.0" /* as cli/cli.h */
#define HISTORY_SHOWN 11      /* with the line that asks for it */

int shell_do_addauth(struct shell *shell, struct shell_call *call)
{
    const char *auth = call->count > 2 ? call->words[2] : NULL;
    int error =
        moonkeeper_auth(shell->handle, call->words[1], auth, auth != NULL ? strlen(auth) : 0);

    return error == MOONKEEPER_OK ? SHELL_OK : shell_refused(shell, error, NULL);
}

int shell_do_connect(struct shell *shell, struct shell_call *call)
{
    const char *servers = call->count > 1 ? call->words[1] : shell->servers;

    return shell_connect(shell, servers) ? SHELL_OK : SHELL_FAILED;
}

int shell_do_close(struct shell *shell, struct shell_call *call)
{
    (void)call;
    shell_close(shell);
    return SHELL_OK;
}

int shell_do_quit(struct shell *shell, struct shell_call *call)
{
    (void)call;
    shell_close(shell);
    shell->quit = true;
    return shell->exit_code; /* that of the command before */
}

int shell_do_version(struct shell *shell, struct shell_call *call)
{
    (void)call;
    shell_show_text(shell, "version", "Moonkeeper CLI version: " SHELL_VERSION);
    return SHELL_OK;
}

/* ---- Lines that were typed ---- */

static const char *line_at(const struct shell *shell, size_t index)
{
    return shell->lines[index % SHELL_HISTORY_MAX];
}

int shell_do_history(struct shell *shell, struct shell_call *call)
{
    size_t last = shell->lines_count;
    size_t first = last < HISTORY_SHOWN ? 0 : last - HISTORY_SHOWN + 1;

    (void)call;
    for (size_t i = first; i <= last; i++) {
        if (line_at(shell, i) != NULL) { /* none, as the one command of a program's call */
            shell_print(shell, "%zu - %s\n", i, line_at(shell, i));
        }
    }
    return SHELL_OK;
}

int shell_do_redo(struct shell *shell, struct shell_call *call)
{
    struct shell_words words;
    int64_t index = 0;

    if (call->count < 2) {
        return SHELL_OK;
    }
    size_t oldest =
        shell->lines_count < SHELL_HISTORY_MAX ? 0 : shell->lines_count - SHELL_HISTORY_MAX + 1;
    if (!shell_number_parse(call->words[1], 0, (int64_t)oldest, (int64_t)shell->lines_count - 1,
                            &index)) {
        return shell_fail(shell, NULL, "Command index out of range");
    }
    shell_words_split(&words, line_at(shell, (size_t)index));
    int code = SHELL_FAILED;
    if (words.count > 0 && strcmp(words.words[0], "redo") == 0) {
        (void)shell_fail(shell, NULL, "No redoing redos");
    } else {
        char **now = &shell->lines[shell->lines_count % SHELL_HISTORY_MAX];
        mk_free(*now);
        *now = shell_path_join("", line_at(shell, (size_t)index));
        code = shell_run(shell, words.words, words.count);
    }
    shell_words_free(&words);
    return code;
}

int shell_do_printwatches(struct shell *shell, struct shell_call *call)
{
    if (call->count > 1) {
        shell->print_watches = strcmp(call->words[1], "on") == 0;
    } else {
        shell_show_text(shell, "result",
                        shell->print_watches ? "printwatches is on" : "printwatches is off");
    }
    return SHELL_OK;
}

int shell_do_help(struct shell *shell, struct shell_call *call)
{
    const struct shell_command *command;

    for (size_t i = 0; (command = shell_command_at(i)) != NULL; i++) {
        if (call->count < 2 || strcmp(call->words[1], command->name) == 0) {
            shell_print(shell, "%s%s%s\n    %s\n", command->name,
                        *command->usage != '\0' ? " " : "", command->usage, command->summary);
        }
    }
    return SHELL_OK;
}
