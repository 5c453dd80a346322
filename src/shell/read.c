/* The commands that read. */
#include "shell/internal.h"

#include <string.h>

/* A request about words[1], with a watch if -w was given. */
static struct moonkeeper_request path_request(struct shell *shell, const struct shell_call *call,
                                              enum moonkeeper_op op, bool watch)
{
    return (struct moonkeeper_request){.op = op,
                                       .path = call->words[1],
                                       .watcher = watch ? shell_events_watcher : NULL,
                                       .watcher_context = &shell->events};
}

/* The old form "get path watch", where the last word may be any; `usage` is the new one. */
static bool watch_wanted(struct shell *shell, const struct shell_call *call, const char *usage)
{
    if (call->count > 2) {
        shell_say(shell, "'%s path [watch]' has been deprecated. Please use '%s %s path' instead.",
                  call->words[0], call->words[0], usage);
    }
    return call->count > 2 || shell_call_has(call, "w");
}

int shell_do_get(struct shell *shell, struct shell_call *call)
{
    bool watch = watch_wanted(shell, call, "[-s] [-w]");
    struct moonkeeper_request request = path_request(shell, call, MOONKEEPER_GET, watch);
    struct moonkeeper_result result = {0};
    struct mk_buf text = {0};
    int code = shell_path_ask(shell, &request, false, &result);

    if (code != SHELL_OK) {
        return code;
    }
    struct mk_bytes data =
        result.data != NULL ? mk_bytes_of(result.data, result.data_bytes) : MK_BYTES_NULL;
    if (data.data == NULL || (!shell_call_has(call, "b") && !shell_call_has(call, "x"))) {
        shell_show_data(shell, "data", data);
    } else if (shell_call_has(call, "b")) {
        mk_buf_put_base64(&text, data);
        mk_buf_put_u8(&text, '\0');
        shell_show_text(shell, "data_base64", (const char *)text.data);
    } else {
        format_hex(&text, data);
        mk_buf_put_u8(&text, '\0');
        shell_show_text(shell, "data_hex", (const char *)text.data);
    }
    if (shell_call_has(call, "s")) {
        shell_show_stat(shell, &result.stat);
    }
    mk_buf_free(&text);
    moonkeeper_result_free(&result);
    return SHELL_OK;
}

int shell_do_stat(struct shell *shell, struct shell_call *call)
{
    bool watch = watch_wanted(shell, call, "[-w]");
    struct moonkeeper_request request = path_request(shell, call, MOONKEEPER_EXISTS, watch);
    struct moonkeeper_result result = {0};
    int code = shell_path_ask(shell, &request, false, &result);

    if (code == SHELL_OK) {
        shell_show_stat(shell, &result.stat);
        moonkeeper_result_free(&result);
    }
    return code;
}

static bool path_show(void *context, const char *path)
{
    shell_show_path(context, path);
    return true;
}

static int ls_tree(struct shell *shell, const char *path, bool watch)
{
    struct mk_error error;

    if (!shell_path_check(path, false, &error)) {
        return shell_fail(shell, NULL, "%s", error.text);
    }
    int code = shell_subtree_walk(shell, path, watch, path_show, shell);
    return code == MOONKEEPER_OK ? SHELL_OK : shell_refused(shell, code, path);
}

int shell_do_ls(struct shell *shell, struct shell_call *call)
{
    bool watch = watch_wanted(shell, call, "[-w]");
    struct moonkeeper_request request = path_request(shell, call, MOONKEEPER_CHILDREN2, watch);
    struct moonkeeper_result result = {0};

    if (shell_call_has(call, "R")) {
        return ls_tree(shell, request.path, watch);
    }
    int code = shell_path_ask(shell, &request, false, &result);
    if (code == SHELL_OK) {
        shell_show_names(shell, "children", &result);
        if (shell_call_has(call, "s")) {
            shell_show_stat(shell, &result.stat);
        }
        moonkeeper_result_free(&result);
    }
    return code;
}

static void acls_show(struct shell *shell, const struct moonkeeper_result *result)
{
    struct mk_buf text = {0};

    for (size_t i = 0; i < result->acls_count; i++) {
        format_acl(&text, &result->acls[i]);
    }
    mk_buf_put_u8(&text, '\0');
    if (shell->json) {
        shell_show_text(shell, "acl", (const char *)text.data);
    } else {
        shell_print(shell, "%s", (const char *)text.data);
    }
    mk_buf_free(&text);
}

int shell_do_get_acl(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = path_request(shell, call, MOONKEEPER_GET_ACL, false);
    struct moonkeeper_result result = {0};
    int code = shell_path_ask(shell, &request, false, &result);

    if (code == SHELL_OK) {
        acls_show(shell, &result);
        if (shell_call_has(call, "s")) {
            shell_show_stat(shell, &result.stat);
        }
        moonkeeper_result_free(&result);
    }
    return code;
}

int shell_do_get_ephemerals(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_GET_EPHEMERALS,
                                         .path = call->count > 1 ? call->words[1] : "/"};
    struct moonkeeper_result result = {0};
    int code = shell_path_ask(shell, &request, false, &result);

    if (code == SHELL_OK) {
        shell_show_names(shell, "paths", &result);
        moonkeeper_result_free(&result);
    }
    return code;
}

int shell_do_get_all_children_number(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request =
        path_request(shell, call, MOONKEEPER_GET_ALL_CHILDREN_NUMBER, false);
    struct moonkeeper_result result = {0};
    int code = shell_path_ask(shell, &request, false, &result);

    if (code == SHELL_OK) {
        shell_show_number(shell, "number", result.number);
        moonkeeper_result_free(&result);
    }
    return code;
}

int shell_do_sync(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = path_request(shell, call, MOONKEEPER_SYNC, false);
    struct moonkeeper_result result = {0};
    int code = shell_path_ask(shell, &request, false, &result);

    if (code == SHELL_OK) {
        shell_show_text(shell, "result", "Sync is OK");
        moonkeeper_result_free(&result);
    }
    return code;
}

int shell_do_whoami(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_WHO_AM_I};
    struct moonkeeper_result result = {0};
    int code = shell_ask(shell, &request, &result);

    (void)call;
    if (code != MOONKEEPER_OK) {
        moonkeeper_result_free(&result);
        return shell_refused(shell, code, NULL);
    }
    if (shell->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < result.identities_count; i++) {
            const struct moonkeeper_identity *one = &result.identities[i];
            json_array_append_new(list, json_pack("{s:o, s:o}", "scheme",
                                                  shell_json_text(one->scheme, strlen(one->scheme)),
                                                  "id", shell_json_text(one->id, strlen(one->id))));
        }
        shell->object = json_pack("{s:o}", "identities", list);
    } else {
        shell_print(shell, "Auth scheme: User\n");
        for (size_t i = 0; i < result.identities_count; i++) {
            shell_print(shell, "%s: %s\n", result.identities[i].scheme, result.identities[i].id);
        }
    }
    moonkeeper_result_free(&result);
    return SHELL_OK;
}

int shell_do_config(struct shell *shell, struct shell_call *call)
{
    bool watch = shell_call_has(call, "w");
    struct moonkeeper_request request = {.op = MOONKEEPER_GET_CONFIG,
                                         .watcher = watch ? shell_events_watcher : NULL,
                                         .watcher_context = &shell->events};
    struct moonkeeper_result result = {0};
    struct mk_buf text = {0};
    int code = shell_ask(shell, &request, &result);

    if (code != MOONKEEPER_OK) {
        moonkeeper_result_free(&result);
        return shell_refused(shell, code, "/zookeeper/config");
    }
    struct mk_bytes data =
        result.data != NULL ? mk_bytes_of(result.data, result.data_bytes) : MK_BYTES_NULL;
    if (shell_call_has(call, "c")) {
        format_config_clients(&text, data.data != NULL ? data : MK_BYTES("null"));
        mk_buf_put_u8(&text, '\0');
        shell_show_text(shell, "clients", (const char *)text.data);
    } else {
        shell_show_data(shell, "config", data);
    }
    if (shell_call_has(call, "s")) {
        shell_show_stat(shell, &result.stat);
    }
    mk_buf_free(&text);
    moonkeeper_result_free(&result);
    return SHELL_OK;
}
