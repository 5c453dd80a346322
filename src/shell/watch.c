/* addWatch and removewatches. All watches of the shell have one function and one context, so that an
 * event is told once, however many of them it meets. */
#include "shell/internal.h"

#include <string.h>

int shell_do_add_watch(struct shell *shell, struct shell_call *call)
{
    const char *mode = shell_call_value(call, "m");
    bool recursive = mode == NULL || strcmp(mode, "PERSISTENT_RECURSIVE") == 0;
    struct moonkeeper_request request = {.op = MOONKEEPER_ADD_WATCH,
                                         .path = call->words[1],
                                         .watch_mode = recursive
                                                           ? MOONKEEPER_WATCH_PERSISTENT_RECURSIVE
                                                           : MOONKEEPER_WATCH_PERSISTENT,
                                         .watcher = shell_events_watcher,
                                         .watcher_context = &shell->events};
    struct moonkeeper_result result = {0};
    struct mk_error error;

    if (call->count > 2 || (!recursive && strcmp(mode, "PERSISTENT") != 0)) {
        return shell_fail(shell, NULL, "%s %s", call->command->name, call->command->usage);
    }
    if (!shell_path_check(call->words[1], false, &error)) {
        return shell_fail(shell, NULL, "%s", error.text);
    }
    int code = shell_ask(shell, &request, &result);
    moonkeeper_result_free(&result);
    return code == MOONKEEPER_OK ? SHELL_OK : shell_refused(shell, code, request.path);
}

int shell_do_remove_watches(struct shell *shell, struct shell_call *call)
{
    static const struct {
        const char *option;
        enum moonkeeper_watch_type type;
    } types[] = {{"c", MOONKEEPER_WATCH_TYPE_CHILDREN},
                 {"d", MOONKEEPER_WATCH_TYPE_DATA},
                 {"p", MOONKEEPER_WATCH_TYPE_PERSISTENT},
                 {"r", MOONKEEPER_WATCH_TYPE_PERSISTENT_RECURSIVE}};
    struct moonkeeper_request request = {.op = MOONKEEPER_REMOVE_WATCHES,
                                         .path = call->words[1],
                                         .watch_type = MOONKEEPER_WATCH_TYPE_ANY,
                                         .local = shell_call_has(call, "l")};
    struct moonkeeper_result result = {0};
    struct mk_error error;

    for (size_t i = MK_COUNT(types); i > 0; i--) { /* of several the first counts, as there */
        if (shell_call_has(call, types[i - 1].option)) {
            request.watch_type = types[i - 1].type;
        }
    }
    if (!shell_path_check(call->words[1], false, &error)) {
        return shell_fail(shell, NULL, "%s", error.text);
    }
    int code = shell_ask(shell, &request, &result);
    moonkeeper_result_free(&result);
    return code == MOONKEEPER_OK ? SHELL_OK : shell_refused(shell, code, request.path);
}
