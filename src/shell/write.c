/* The commands that write, but for quotas. */
#include "shell/internal.h"

#include <errno.h>
#include <string.h>

#define TTL_MS_MAX INT64_C(0xffffffffff) /* it shares a number with the kind of the znode */
#define BATCH_DEFAULT 1000
/* Of the paths of one multi: far below what a server accepts as a request, jute.maxbuffer. */
#define BATCH_BYTES_MAX ((size_t)256 * 1024)
#define CONFIG_BYTES_MAX ((size_t)1024 * 1024)

/* -v: an int. False, said: it is none. */
static bool version_read(struct shell *shell, const struct shell_call *call, int32_t *version)
{
    const char *text = shell_call_value(call, "v");
    int64_t value = MOONKEEPER_ANY_VERSION;

    if (text != NULL && !shell_number_parse(text, 10, INT32_MIN, INT32_MAX, &value)) {
        (void)shell_fail(shell, NULL, "-v argument must be an int value");
        return false;
    }
    *version = (int32_t)value;
    return true;
}

/* ---- create ---- */

/* What speaks against the options; NULL: nothing, and mode and ttl are set. */
static const char *mode_read(const struct shell_call *call, struct moonkeeper_request *request)
{
    bool e = shell_call_has(call, "e");
    bool s = shell_call_has(call, "s");
    bool c = shell_call_has(call, "c");
    const char *ttl = shell_call_value(call, "t");

    if (c && (e || s)) {
        return "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.";
    }
    if (ttl != NULL && !shell_number_parse(ttl, 10, INT64_MIN, INT64_MAX, &request->ttl_ms)) {
        return "-t argument must be a long value";
    }
    if (ttl != NULL && e) {
        return "TTLs cannot be used with Ephemeral znodes";
    }
    if (ttl != NULL && c) {
        return "TTLs cannot be used with Container znodes";
    }
    if (ttl != NULL && (request->ttl_ms <= 0 || request->ttl_ms > TTL_MS_MAX)) {
        return "ttl must be positive and cannot be larger than: 1099511627775";
    }
    if (ttl != NULL) {
        request->mode = s ? MOONKEEPER_PERSISTENT_SEQUENTIAL_TTL : MOONKEEPER_PERSISTENT_TTL;
    } else if (c) {
        request->mode = MOONKEEPER_CONTAINER;
    } else if (e) {
        request->mode = s ? MOONKEEPER_EPHEMERAL_SEQUENTIAL : MOONKEEPER_EPHEMERAL;
    } else {
        request->mode = s ? MOONKEEPER_PERSISTENT_SEQUENTIAL : MOONKEEPER_PERSISTENT;
    }
    return NULL;
}

int shell_do_create(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CREATE, .path = call->words[1]};
    struct moonkeeper_result result = {0};
    struct shell_acls acls = {0};
    const char *flaw = mode_read(call, &request);
    int code = SHELL_FAILED;

    if (flaw != NULL) {
        return shell_fail(shell, NULL, "%s", flaw);
    }
    if (call->count > 2) {
        request.data = call->words[2];
        request.data_bytes = strlen(call->words[2]);
    }
    if (call->count > 3) {
        shell_acls_parse(shell, &acls, call->words[3]);
        request.acls = acls.list;
        request.acls_count = acls.count;
        if (acls.count == 0) { /* to the library none means the open one */
            shell_say(shell, "KeeperErrorCode = InvalidACL");
            code = shell_refused(shell, MOONKEEPER_INVALID_ACL, NULL);
            goto done;
        }
    }
    code = shell_path_ask(shell, &request, shell_call_has(call, "s"), &result);
    if (code == SHELL_OK && shell->json) {
        shell_show_text(shell, "path", result.path);
    } else if (code == SHELL_OK) {
        shell_say(shell, "Created %s", result.path);
    }
    moonkeeper_result_free(&result);

done:
    shell_acls_free(&acls);
    return code;
}

/* ---- set, delete ---- */

int shell_do_set(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_SET,
                                         .path = call->words[1],
                                         .data = call->words[2],
                                         .data_bytes = strlen(call->words[2])};
    struct moonkeeper_result result = {0};
    struct mk_buf decoded = {0};
    int code = SHELL_FAILED;

    if (shell_call_has(call, "b")) {
        mk_buf_reserve(&decoded, 1); /* empty data is not null */
        if (!parse_base64(&decoded, call->words[2])) {
            (void)shell_fail(shell, NULL, "the data is not base64");
            goto done;
        }
        request.data = decoded.data;
        request.data_bytes = decoded.len;
    }
    if (version_read(shell, call, &request.version)) {
        code = shell_path_ask(shell, &request, false, &result);
    }
    if (code == SHELL_OK && shell_call_has(call, "s")) {
        shell_show_stat(shell, &result.stat);
    }
    moonkeeper_result_free(&result);

done:
    mk_buf_free(&decoded);
    return code;
}

int shell_do_delete(struct shell *shell, struct shell_call *call)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_DELETE, .path = call->words[1]};
    struct moonkeeper_result result = {0};
    int64_t value = 0;

    if (call->count > 2) {
        shell_say(shell, "'delete path [version]' has been deprecated. Please use 'delete "
                         "[-v version] path' instead.");
        if (!shell_number_parse(call->words[2], 10, INT32_MIN, INT32_MAX, &value)) {
            return shell_fail(shell, NULL, "-v argument must be an int value");
        }
        request.version = (int32_t)value;
    } else if (!version_read(shell, call, &request.version)) {
        return SHELL_FAILED;
    }
    int code = shell_path_ask(shell, &request, false, &result);
    moonkeeper_result_free(&result);
    return code;
}

/* ---- deleteall ---- */

static bool path_keep(void *context, const char *path)
{
    struct shell_names *paths = context;

    shell_names_add_take(paths, shell_path_join("", path));
    return paths->count <= SHELL_SUBTREE_MAX;
}

/* All znodes from the last backwards, which are children before their parents, `batch` in one multi.
 * Whether all went well; an error of the connection ends it. */
static bool paths_delete(struct shell *shell, const struct shell_names *paths, size_t batch)
{
    struct moonkeeper_request *requests = mk_alloc_zero(batch, sizeof(*requests));
    size_t left = paths->count;
    bool all = true;
    int error = MOONKEEPER_OK;

    while (left > 0 && error != MOONKEEPER_CONNECTION_LOSS && error != MOONKEEPER_SESSION_EXPIRED) {
        struct moonkeeper_request multi = {.op = MOONKEEPER_MULTI, .requests = requests};
        struct moonkeeper_result result = {0};
        size_t bytes = 0;
        while (left > 0 && multi.requests_count < batch && bytes < BATCH_BYTES_MAX) {
            const char *path = paths->names[--left];
            bytes += strlen(path);
            requests[multi.requests_count++] = (struct moonkeeper_request){
                .op = MOONKEEPER_DELETE, .path = path, .version = MOONKEEPER_ANY_VERSION};
        }
        error = shell_ask(shell, &multi, &result);
        all = all && error == MOONKEEPER_OK;
        moonkeeper_result_free(&result);
    }
    mk_free(requests);
    return all && left == 0;
}

int shell_do_deleteall(struct shell *shell, struct shell_call *call)
{
    const char *path = call->words[1];
    const char *text = shell_call_value(call, "b");
    struct shell_names paths = {0};
    struct mk_error error;
    int64_t batch = BATCH_DEFAULT;
    int code = SHELL_OK;

    if (text != NULL && !shell_number_parse(text, 10, 1, BATCH_DEFAULT * 10, &batch)) {
        return shell_fail(shell, NULL, "-b argument must be an int value%s",
                          text[strspn(text, "0123456789")] == '\0' ? ", from 1 to 10000" : "");
    }
    if (!shell_path_check(path, false, &error)) {
        return shell_fail(shell, NULL, "%s", error.text);
    }
    int refused = shell_subtree_walk(shell, path, false, path_keep, &paths);
    if (refused != MOONKEEPER_OK) {
        code = shell_refused(shell, refused, path);
    } else if (paths.count > SHELL_SUBTREE_MAX) {
        code = shell_fail(shell, NULL,
                          "there are more than %d znodes below %s: delete parts of it first",
                          SHELL_SUBTREE_MAX, path);
    } else if (!paths_delete(shell, &paths, (size_t)batch)) {
        shell_say(shell, "Failed to delete some node(s) in the subtree!");
    }
    shell_names_free(&paths);
    return code;
}

/* ---- setAcl ---- */

struct acl_walk {
    struct shell *shell;
    struct moonkeeper_request request;
};

/* Each on its own: what is refused is told, and the others are set. */
static bool acl_set(void *context, const char *path)
{
    struct acl_walk *walk = context;
    struct moonkeeper_result result = {0};
    struct mk_buf words = {0};

    walk->request.path = path;
    int error = shell_ask(walk->shell, &walk->request, &result);
    if (error != MOONKEEPER_OK) {
        format_failure(&words, error, path);
        shell_say(walk->shell, "%.*s", (int)words.len, (const char *)words.data);
    }
    mk_buf_free(&words);
    moonkeeper_result_free(&result);
    return error != MOONKEEPER_CONNECTION_LOSS && error != MOONKEEPER_SESSION_EXPIRED;
}

int shell_do_set_acl(struct shell *shell, struct shell_call *call)
{
    struct acl_walk walk = {.shell = shell,
                            .request = {.op = MOONKEEPER_SET_ACL, .path = call->words[1]}};
    struct moonkeeper_result result = {0};
    struct shell_acls acls;
    struct mk_error error;
    int code = SHELL_FAILED;

    if (!version_read(shell, call, &walk.request.version)) {
        return SHELL_FAILED;
    }
    shell_acls_parse(shell, &acls, call->words[2]);
    walk.request.acls = acls.list;
    walk.request.acls_count = acls.count;
    if (acls.count == 0) {
        (void)shell_refused(shell, MOONKEEPER_INVALID_ACL, NULL);
    } else if (!shell_call_has(call, "R")) {
        code = shell_path_ask(shell, &walk.request, false, &result);
        if (code == SHELL_OK && shell_call_has(call, "s")) {
            shell_show_stat(shell, &result.stat);
        }
    } else if (!shell_path_check(call->words[1], false, &error)) {
        (void)shell_fail(shell, NULL, "%s", error.text);
    } else {
        int refused = shell_subtree_walk(shell, call->words[1], false, acl_set, &walk);
        code = refused == MOONKEEPER_OK ? SHELL_OK : shell_refused(shell, refused, call->words[1]);
    }
    moonkeeper_result_free(&result);
    shell_acls_free(&acls);
    return code;
}

/* ---- reconfig ---- */

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)(*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text);
    }
}

/* The "server.N=…" lines of a file with commas between. False, said: it cannot be read. */
static bool members_read(struct shell *shell, const char *path, struct mk_buf *members)
{
    FILE *file = fopen(path, "rb");
    struct mk_buf text = {0};
    struct mk_property property = {{0}, {0}};
    size_t count = 1;

    if (file == NULL) {
        (void)shell_fail(shell, NULL, "Error processing %s: %s", path, strerror(errno));
        return false;
    }
    while (count > 0 && text.len < CONFIG_BYTES_MAX) {
        mk_buf_reserve(&text, 4096);
        count = fread(text.data + text.len, 1, 4096, file);
        text.len += count;
    }
    (void)fclose(file);
    struct mk_properties properties = mk_properties_of(mk_buf_view(&text));
    while (mk_properties_next(&properties, &property) == MK_OK) {
        if (strncmp((const char *)property.key.data, "server.", 7) == 0) {
            mk_buf_printf(members, "%s%s=%s", members->len > 0 ? "," : "",
                          (const char *)property.key.data, (const char *)property.value.data);
        }
    }
    mk_buf_put_u8(members, '\0');
    mk_property_free(&property);
    mk_buf_free(&text);
    return true;
}

/* What speaks against the options; NULL: nothing. */
static const char *reconfig_flaw(const struct shell_call *call)
{
    bool whole = shell_call_has(call, "file") || shell_call_has(call, "members");
    bool parts = shell_call_has(call, "add") || shell_call_has(call, "remove");

    if (whole && parts) {
        return "Can't use -file or -members together with -add or -remove (mixing incremental and "
               "non-incremental modes is not allowed)";
    }
    if (shell_call_has(call, "file") && shell_call_has(call, "members")) {
        return "Can't use -file and -members together (conflicting non-incremental modes)";
    }
    return NULL;
}

static int reconfig_ask(struct shell *shell, const struct shell_call *call,
                        struct moonkeeper_request *request)
{
    struct moonkeeper_result result = {0};
    int code = shell_ask(shell, request, &result);

    if (code != MOONKEEPER_OK) {
        moonkeeper_result_free(&result);
        return shell_refused(shell, code, NULL);
    }
    if (!shell->json) {
        shell_print(shell, "Committed new configuration:\n");
    }
    shell_show_data(shell, "config",
                    result.data != NULL ? mk_bytes_of(result.data, result.data_bytes)
                                        : MK_BYTES_NULL);
    if (shell_call_has(call, "s")) {
        shell_show_stat(shell, &result.stat);
    }
    moonkeeper_result_free(&result);
    return SHELL_OK;
}

int shell_do_reconfig(struct shell *shell, struct shell_call *call)
{
    static const char *const texts[] = {"add", "remove", "members"};
    struct moonkeeper_request request = {.op = MOONKEEPER_RECONFIG, .config = -1};
    const char **fields[] = {&request.joining, &request.leaving, &request.members};
    char *copies[MK_COUNT(texts)] = {NULL};
    struct mk_buf members = {0};
    const char *file = shell_call_value(call, "file");
    const char *version = shell_call_value(call, "v");
    const char *flaw = reconfig_flaw(call);
    int code = SHELL_FAILED;

    for (size_t i = 0; i < MK_COUNT(texts); i++) {
        const char *value = shell_call_value(call, texts[i]);
        if (value != NULL) {
            copies[i] = shell_path_join("", value);
            lower(copies[i]);
            *fields[i] = copies[i];
        }
    }
    if (file == NULL && copies[0] == NULL && copies[1] == NULL && copies[2] == NULL) {
        (void)shell_fail(shell, NULL, "%s %s", call->command->name, call->command->usage);
    } else if (version != NULL &&
               !shell_number_parse(version, 16, INT64_MIN, INT64_MAX, &request.config)) {
        (void)shell_fail(shell, NULL, "-v must be followed by a long (configuration version)");
    } else if (flaw != NULL) {
        (void)shell_fail(shell, NULL, "%s", flaw);
    } else if (file == NULL || members_read(shell, file, &members)) {
        if (file != NULL) {
            lower((char *)members.data);
            request.members = (const char *)members.data;
        }
        code = reconfig_ask(shell, call, &request);
    }
    for (size_t i = 0; i < MK_COUNT(texts); i++) {
        mk_free(copies[i]);
    }
    mk_buf_free(&members);
    return code;
}
