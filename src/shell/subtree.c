/* Walking a tree as ZooKeeper's clients walk it: a znode, its children, then what is below each of
 * them. A stack of paths of our own, because a tree may be deeper than the machine's. */
#include "shell/internal.h"

#include <stdlib.h>
#include <string.h>

void shell_names_add_take(struct shell_names *names, char *name)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 16 : names->capacity * 2;
        names->names = mk_realloc(names->names, names->capacity * sizeof(char *));
    }
    names->names[names->count++] = name;
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void shell_names_sort(struct shell_names *names)
{
    if (names->count > 0) {
        qsort(names->names, names->count, sizeof(char *), names_compare);
    }
}

void shell_names_free(struct shell_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        mk_free(names->names[i]);
    }
    mk_free(names->names);
    memset(names, 0, sizeof(*names));
}

/* "" as the parent: the name alone. */
char *shell_path_join(const char *parent, const char *name)
{
    size_t parent_len = strlen(parent);
    size_t name_len = strlen(name);
    bool slash = parent_len > 0 && parent[parent_len - 1] != '/';
    char *path = mk_alloc(parent_len + name_len + 2);

    memcpy(path, parent, parent_len);
    if (slash) {
        path[parent_len++] = '/';
    }
    memcpy(path + parent_len, name, name_len);
    path[parent_len + name_len] = '\0';
    return path;
}

/* Visit the children of a znode and push them so that the first is on top. */
static int children_visit(struct shell *shell, struct shell_names *stack, const char *path,
                          bool watch, shell_visit *visit, void *context, bool *go_on)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CHILDREN,
                                         .path = path,
                                         .watcher = watch ? shell_events_watcher : NULL,
                                         .watcher_context = &shell->events};
    struct moonkeeper_result result = {0};
    struct shell_names children = {0};
    int error = shell_ask(shell, &request, &result);

    for (size_t i = 0; error == MOONKEEPER_OK && i < result.names_count; i++) {
        shell_names_add_take(&children, shell_path_join(path, result.names[i]));
    }
    shell_names_sort(&children);
    for (size_t i = 0; i < children.count && *go_on; i++) {
        *go_on = visit(context, children.names[i]);
    }
    while (children.count > 0) {
        shell_names_add_take(stack, children.names[--children.count]);
    }
    shell_names_free(&children);
    moonkeeper_result_free(&result);
    return error == MOONKEEPER_NO_NODE ? MOONKEEPER_OK : error; /* it has gone meanwhile */
}

int shell_subtree_walk(struct shell *shell, const char *path, bool watch, shell_visit *visit,
                       void *context)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_GET,
                                         .path = path,
                                         .watcher = watch ? shell_events_watcher : NULL,
                                         .watcher_context = &shell->events};
    struct shell_names stack = {0};
    struct moonkeeper_result result = {0};
    int error = shell_ask(shell, &request, &result);

    moonkeeper_result_free(&result);
    bool go_on = error == MOONKEEPER_OK && visit(context, path);
    if (go_on) {
        shell_names_add_take(&stack, shell_path_join("", path));
    }
    while (go_on && error == MOONKEEPER_OK && stack.count > 0) {
        char *top = stack.names[--stack.count];
        error = children_visit(shell, &stack, top, watch, visit, context, &go_on);
        mk_free(top);
    }
    shell_names_free(&stack);
    return error;
}
