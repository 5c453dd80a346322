/* setquota, delquota, listquota: what ZooKeeper's Java client does on its own side. A quota of /a/b is
 * two znodes, /zookeeper/quota/a/b/zookeeper_limits and …/zookeeper_stats; making the second lets the
 * server count. None may lie above or below another. Not atomic, as there: two at once may both find
 * that there is none. */
#include "shell/internal.h"

#include <inttypes.h>
#include <string.h>

#define QUOTA_ROOT "/zookeeper/quota"
#define LIMITS "zookeeper_limits"
#define STATS "zookeeper_stats"

/* "/zookeeper/quota" and the path, and a name; the caller frees it. */
static char *quota_path(const char *path, const char *name)
{
    char *below = shell_path_join(QUOTA_ROOT, path[0] == '/' ? path + 1 : path);
    char *whole = *name != '\0' ? shell_path_join(below, name) : below;

    if (whole != below) {
        mk_free(below);
    }
    return whole;
}

/* ---- One request each; a MOONKEEPER_… error ---- */

static int text_create(struct shell *shell, const char *path, const char *text)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CREATE,
                                         .path = path,
                                         .data = text,
                                         .data_bytes = text != NULL ? strlen(text) : 0};
    struct moonkeeper_result result = {0};
    int error = shell_ask(shell, &request, &result);

    moonkeeper_result_free(&result);
    return error;
}

static int quota_write(struct shell *shell, const char *path, const struct quota_text *quota)
{
    struct moonkeeper_request request = {
        .op = MOONKEEPER_SET, .path = path, .version = MOONKEEPER_ANY_VERSION};
    struct moonkeeper_result result = {0};
    struct mk_buf text = {0};

    quota_text_format(&text, quota);
    request.data = text.data;
    request.data_bytes = text.len;
    int error = shell_ask(shell, &request, &result);
    moonkeeper_result_free(&result);
    mk_buf_free(&text);
    return error;
}

static int quota_read(struct shell *shell, const char *path, struct quota_text *quota)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_GET, .path = path};
    struct moonkeeper_result result = {0};
    int error = shell_ask(shell, &request, &result);

    if (error == MOONKEEPER_OK) {
        *quota = quota_text_parse(result.data != NULL ? mk_bytes_of(result.data, result.data_bytes)
                                                      : MK_BYTES(""));
    }
    moonkeeper_result_free(&result);
    return error;
}

static int exists(struct shell *shell, const char *path)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_EXISTS, .path = path};
    struct moonkeeper_result result = {0};
    int error = shell_ask(shell, &request, &result);

    moonkeeper_result_free(&result);
    return error;
}

static int delete (struct shell *shell, const char *path)
{
    struct moonkeeper_request request = {
        .op = MOONKEEPER_DELETE, .path = path, .version = MOONKEEPER_ANY_VERSION};
    struct moonkeeper_result result = {0};
    int error = shell_ask(shell, &request, &result);

    moonkeeper_result_free(&result);
    return error;
}

/* ---- setquota ---- */

struct conflict {
    const char *own; /* the quota's own folder below QUOTA_ROOT: what lies in it is no conflict */
    char *found;     /* the path of a quota elsewhere below it */
};

static bool limits_look(void *context, const char *path)
{
    struct conflict *conflict = context;
    const char *name = strrchr(path, '/');
    size_t folder = (size_t)(name - path);

    if (strcmp(name + 1, LIMITS) != 0 || folder == strlen(conflict->own)) {
        return true;
    }
    conflict->found = shell_path_join("", path + strlen(QUOTA_ROOT));
    conflict->found[folder - strlen(QUOTA_ROOT)] = '\0';
    return false;
}

/* The path of a quota below that of `path`, or NULL; the caller frees it. */
static char *quota_below(struct shell *shell, const char *path, int *error)
{
    char *own = quota_path(path, "");
    struct conflict conflict = {.own = own};

    *error = shell_subtree_walk(shell, own, false, limits_look, &conflict);
    *error = *error == MOONKEEPER_NO_NODE ? MOONKEEPER_OK : *error;
    mk_free(own);
    return conflict.found;
}

/* The path of a quota above that of `path`, or NULL; the caller frees it. */
static char *quota_above(struct shell *shell, const char *path, int *error)
{
    char *above = shell_path_join("", path);
    char *slash = strrchr(above, '/');

    while (slash > above) {
        *slash = '\0';
        char *limits = quota_path(above, LIMITS);
        *error = exists(shell, limits);
        mk_free(limits);
        if (*error != MOONKEEPER_NO_NODE) {
            break; /* there it is, or it cannot be told */
        }
        *error = MOONKEEPER_OK;
        slash = strrchr(above, '/');
    }
    if (slash > above && *error == MOONKEEPER_OK) {
        return above;
    }
    mk_free(above);
    return NULL;
}

/* Whether there is no quota above or below `path`. If there is, or if it cannot be told, that is said. */
static bool quota_alone(struct shell *shell, const char *path)
{
    int error = MOONKEEPER_OK;
    char *above = NULL;
    char *below = quota_below(shell, path, &error);

    if (below != NULL) {
        (void)shell_fail(shell, NULL, "%s has a child %s which has a quota", path, below);
    } else if (error == MOONKEEPER_OK) {
        above = quota_above(shell, path, &error);
    }
    if (above != NULL) {
        (void)shell_fail(shell, NULL, "%s has a parent %s which has a quota", path, above);
    }
    if (error != MOONKEEPER_OK) {
        (void)shell_refused(shell, error, path);
    }
    bool yes = below == NULL && above == NULL && error == MOONKEEPER_OK;
    mk_free(above);
    mk_free(below);
    return yes;
}

/* Every znode of `folder`, from the top; those that exist are fine. */
static int folders_create(struct shell *shell, char *folder)
{
    int error = MOONKEEPER_OK;

    for (char *at = strchr(folder + 1, '/'); error == MOONKEEPER_OK; at = strchr(at + 1, '/')) {
        if (at != NULL) {
            *at = '\0';
        }
        error = text_create(shell, folder, NULL);
        error = error == MOONKEEPER_NODE_EXISTS ? MOONKEEPER_OK : error;
        if (at == NULL) {
            break;
        }
        *at = '/';
    }
    return error;
}

/* The limits that `quota` has, over those that are there. */
static int limits_merge(struct shell *shell, const char *limits, const struct quota_text *quota)
{
    struct quota_text old;
    int error = quota_read(shell, limits, &old);

    if (error != MOONKEEPER_OK) {
        return error;
    }
    old.count = quota->count > 0 ? quota->count : old.count;
    old.bytes = quota->bytes > 0 ? quota->bytes : old.bytes;
    old.count_hard = quota->count_hard > 0 ? quota->count_hard : old.count_hard;
    old.bytes_hard = quota->bytes_hard > 0 ? quota->bytes_hard : old.bytes_hard;
    old.has_hard = old.has_hard || old.count_hard > 0 || old.bytes_hard > 0;
    return quota_write(shell, limits, &old);
}

static int quota_create(struct shell *shell, const char *path, const struct quota_text *quota)
{
    char *folder = quota_path(path, "");
    char *limits = quota_path(path, LIMITS);
    char *stats = quota_path(path, STATS);
    struct mk_buf text = {0};
    int error = folders_create(shell, folder);

    quota_text_format(&text, quota);
    mk_buf_put_u8(&text, '\0');
    if (error == MOONKEEPER_OK) {
        error = text_create(shell, limits, (const char *)text.data);
    }
    if (error == MOONKEEPER_OK) {
        error = text_create(shell, stats, "count=0,bytes=0"); /* the server counts what there is */
    } else if (error == MOONKEEPER_NODE_EXISTS) {
        error = limits_merge(shell, limits, quota);
    }
    if (error != MOONKEEPER_OK) {
        (void)shell_refused(shell, error, limits);
    }
    mk_buf_free(&text);
    mk_free(stats);
    mk_free(limits);
    mk_free(folder);
    return error;
}

static const struct {
    const char *option;
    const char *words;
    int64_t max;
} kinds[] = {{"n", "num", INT32_MAX},
             {"b", "bytes", INT64_MAX},
             {"N", "num", INT32_MAX},
             {"B", "bytes", INT64_MAX}};

/* How many of -n -b -N -B were given. More than one, or none if `required`: said, and -1. */
static int kinds_given(struct shell *shell, const struct shell_call *call, bool required)
{
    int given = 0;
    const char *first = NULL;

    for (size_t i = 0; i < MK_COUNT(kinds); i++) {
        if (!shell_call_has(call, kinds[i].option)) {
            continue;
        }
        if (++given > 1) {
            (void)shell_fail(shell, NULL,
                             "The option '%s' was specified but an option from this group has "
                             "already been selected: '%s'",
                             kinds[i].option, first);
            return -1;
        }
        first = kinds[i].option;
    }
    if (given == 0 && required) {
        (void)shell_fail(shell, NULL,
                         "Missing required option: [-n num soft quota, -b bytes soft quota, -N num "
                         "hard quota, -B bytes hard quota]");
        return -1;
    }
    return given;
}

/* The limit that was given. False, said: it is no number, or not greater than zero. */
static bool limit_read(struct shell *shell, const struct shell_call *call, struct quota_text *quota)
{
    int64_t *fields[] = {&quota->count, &quota->bytes, &quota->count_hard, &quota->bytes_hard};

    for (size_t i = 0; i < MK_COUNT(kinds); i++) {
        const char *text = shell_call_value(call, kinds[i].option);
        if (text == NULL) {
            continue;
        }
        if (!shell_number_parse(text, 10, INT64_MIN, kinds[i].max, fields[i])) {
            shell_say(shell, "NumberFormatException happens when parsing the option value");
            return false;
        }
        if (*fields[i] <= 0) {
            shell_say(shell, "the %s quota must be greater than zero", kinds[i].words);
            return false;
        }
    }
    return true;
}

int shell_do_setquota(struct shell *shell, struct shell_call *call)
{
    const char *path = call->words[1];
    struct quota_text quota = {
        .count = -1, .bytes = -1, .count_hard = -1, .bytes_hard = -1, .has_hard = true};
    struct mk_error flaw;
    int error = MOONKEEPER_OK;

    if (kinds_given(shell, call, true) < 0) {
        return SHELL_FAILED;
    }
    if (strncmp(path, QUOTA_ROOT, strlen(QUOTA_ROOT)) == 0) {
        shell_say(shell, "cannot set a quota under the path: " QUOTA_ROOT);
        return SHELL_OK; /* exit codes of these as zkCli */
    }
    if (!limit_read(shell, call, &quota)) {
        return SHELL_OK;
    }
    if (!shell_path_check(path, false, &flaw)) {
        return shell_fail(shell, NULL, "%s", flaw.text);
    }
    if (strcmp(path, "/") == 0) {
        return shell_fail(shell, NULL, "Path must not end with / character");
    }
    error = exists(shell, path);
    if (error == MOONKEEPER_NO_NODE) {
        return shell_fail(shell, NULL, "%s does not exist.", path);
    }
    if (error != MOONKEEPER_OK) {
        return shell_refused(shell, error, path);
    }
    if (!quota_alone(shell, path)) {
        return SHELL_FAILED;
    }
    return quota_create(shell, path, &quota) == MOONKEEPER_OK ? SHELL_OK : SHELL_FAILED;
}

/* ---- delquota ---- */

/* Both znodes, and the folders above them for as long as they are empty. */
static int quota_delete(struct shell *shell, const char *path)
{
    static const char *const names[] = {LIMITS, STATS};
    int error = MOONKEEPER_OK;

    for (size_t i = 0; i < MK_COUNT(names) && error == MOONKEEPER_OK; i++) {
        char *name = quota_path(path, names[i]);
        error = delete (shell, name);
        error = error == MOONKEEPER_NO_NODE ? MOONKEEPER_OK : error;
        mk_free(name);
    }
    char *folder = quota_path(path, "");
    while (error == MOONKEEPER_OK && strlen(folder) > strlen(QUOTA_ROOT)) {
        error = delete (shell, folder);
        *strrchr(folder, '/') = '\0';
    }
    mk_free(folder);
    return error == MOONKEEPER_NOT_EMPTY || error == MOONKEEPER_NO_NODE ? MOONKEEPER_OK : error;
}

int shell_do_delquota(struct shell *shell, struct shell_call *call)
{
    const char *path = call->words[1];
    int given = kinds_given(shell, call, false);
    struct mk_error flaw;
    struct quota_text quota;

    if (given < 0) {
        return SHELL_FAILED;
    }
    if (!shell_path_check(path, false, &flaw)) {
        return shell_fail(shell, NULL, "%s", flaw.text);
    }
    char *limits = quota_path(path, LIMITS);
    int error = quota_read(shell, limits, &quota);
    if (error == MOONKEEPER_NO_NODE) {
        struct mk_buf words = {0};
        mk_buf_printf(&words, "Quota does not exist for %s", path);
        mk_buf_put_u8(&words, '\0');
        shell_show_text(shell, "result", (const char *)words.data);
        mk_buf_free(&words);
        mk_free(limits);
        return SHELL_OK;
    }
    if (error == MOONKEEPER_OK && given == 0) {
        error = quota_delete(shell, path);
    } else if (error == MOONKEEPER_OK) {
        quota.count = shell_call_has(call, "n") ? -1 : quota.count;
        quota.bytes = shell_call_has(call, "b") ? -1 : quota.bytes;
        quota.count_hard = shell_call_has(call, "N") ? -1 : quota.count_hard;
        quota.bytes_hard = shell_call_has(call, "B") ? -1 : quota.bytes_hard;
        error = quota_write(shell, limits, &quota);
    }
    int code = error == MOONKEEPER_OK ? SHELL_OK : shell_refused(shell, error, limits);
    mk_free(limits);
    return code;
}

/* ---- listquota ---- */

static void quota_show(struct shell *shell, const char *kind, const char *path,
                       const struct quota_text *quota)
{
    struct mk_buf text = {0};

    quota_text_format(&text, quota);
    mk_buf_put_u8(&text, '\0');
    if (shell->json) {
        shell_show_text(shell, kind, (const char *)text.data);
    } else {
        shell_print(shell, "Output %s for %s %s\n", kind, path, (const char *)text.data);
    }
    mk_buf_free(&text);
}

int shell_do_listquota(struct shell *shell, struct shell_call *call)
{
    const char *path = call->words[1];
    struct quota_text quota;
    struct mk_error flaw;
    int code = SHELL_OK;

    if (!shell_path_check(path, false, &flaw)) {
        return shell_fail(shell, NULL, "%s", flaw.text);
    }
    char *limits = quota_path(path, LIMITS);
    char *stats = quota_path(path, STATS);
    if (!shell->json) {
        shell_say(shell, "absolute path is %s", limits);
    }
    int error = quota_read(shell, limits, &quota);
    if (error == MOONKEEPER_OK) {
        quota_show(shell, "quota", path, &quota);
        error = quota_read(shell, stats, &quota);
    }
    if (error == MOONKEEPER_OK) {
        quota_show(shell, "stat", path, &quota);
    } else if (error == MOONKEEPER_NO_NODE) {
        shell_say(shell, "quota for %s does not exist.", path);
    } else {
        code = shell_refused(shell, error, limits);
    }
    mk_free(stats);
    mk_free(limits);
    return code;
}
