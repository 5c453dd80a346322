/* What is printed: results on standard output, as text or as one JSON object a command, the rest on
 * standard error. What goes to a terminal is made visible first. */
#include "shell/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_BYTES ((size_t)64 * 1024) /* a listing may be longer than memory has to hold */

static void text_write(FILE *file, bool terminal, struct mk_bytes text)
{
    struct mk_buf visible = {0};

    if (terminal) {
        format_visible(&visible, text);
        text = mk_buf_view(&visible);
    }
    if (text.len > 0) {
        (void)fwrite(text.data, 1, text.len, file);
    }
    (void)fflush(file);
    mk_buf_free(&visible);
}

void shell_flush(struct shell *shell)
{
    text_write(stdout, shell->terminal_out, mk_buf_view(&shell->out));
    shell->out.len = 0;
}

MK_PRINTF(2, 0)
static void text_append(struct mk_buf *out, const char *format, va_list arguments)
{
    va_list again;

    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    MK_ASSERT(len >= 0);
    mk_buf_reserve(out, (size_t)len + 1);
    (void)vsnprintf((char *)out->data + out->len, (size_t)len + 1, format, arguments);
    out->len += (size_t)len;
}

void shell_print(struct shell *shell, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    text_append(&shell->out, format, arguments);
    va_end(arguments);
    if (shell->out.len >= FLUSH_BYTES) {
        shell_flush(shell);
    }
}

/* A line, behind what standard output has got so far. */
static void line_say(struct shell *shell, struct mk_buf *line)
{
    shell_flush(shell);
    mk_buf_put_u8(line, '\n');
    text_write(stderr, shell->terminal_err, mk_buf_view(line));
}

void shell_say(struct shell *shell, const char *format, ...)
{
    struct mk_buf line = {0};
    va_list arguments;

    va_start(arguments, format);
    text_append(&line, format, arguments);
    va_end(arguments);
    line_say(shell, &line);
    mk_buf_free(&line);
}

/* {"error": …, "message": …} or the message alone. */
static void failure_say(struct shell *shell, const char *error, struct mk_bytes message)
{
    struct mk_buf line = {0};

    if (shell->json) {
        json_t *object = json_pack("{s:s*, s:o}", "error", error, "message",
                                   shell_json_text((const char *)message.data, message.len));
        char *text = json_dumps(object, JSON_COMPACT);
        mk_buf_printf(&line, "%s", text);
        free(text);
        json_decref(object);
    } else {
        mk_buf_append_bytes(&line, message);
    }
    line_say(shell, &line);
    mk_buf_free(&line);
}

int shell_fail(struct shell *shell, const char *error, const char *format, ...)
{
    struct mk_buf message = {0};
    va_list arguments;

    va_start(arguments, format);
    text_append(&message, format, arguments);
    va_end(arguments);
    failure_say(shell, error, mk_buf_view(&message));
    mk_buf_free(&message);
    return SHELL_FAILED;
}

int shell_refused(struct shell *shell, int error, const char *path)
{
    struct mk_buf message = {0};

    format_failure(&message, error, path);
    failure_say(shell, moonkeeper_error_name(error), mk_buf_view(&message));
    mk_buf_free(&message);
    return SHELL_FAILED;
}

/* ---- Results ---- */

json_t *shell_json_text(const char *text, size_t len)
{
    json_t *string = len == 0 ? json_string("") : json_stringn(text, len);

    return string != NULL ? string : json_string("\xef\xbf\xbd");
}

/* Takes `value`. */
static void member_set(struct shell *shell, const char *name, json_t *value)
{
    if (shell->object == NULL) {
        shell->object = json_object();
    }
    json_object_set_new(shell->object, name, value);
}

void shell_object_end(struct shell *shell)
{
    if (shell->object != NULL) {
        char *text = json_dumps(shell->object, JSON_COMPACT);
        MK_ASSERT(text != NULL);
        shell_print(shell, "%s\n", text);
        free(text);
        json_decref(shell->object);
        shell->object = NULL;
    }
    shell_flush(shell);
}

void shell_show_text(struct shell *shell, const char *name, const char *text)
{
    if (shell->json) {
        member_set(shell, name, shell_json_text(text, strlen(text)));
    } else {
        shell_print(shell, "%s\n", text);
    }
}

void shell_show_number(struct shell *shell, const char *name, int64_t number)
{
    if (shell->json) {
        member_set(shell, name, json_integer(number));
    } else {
        shell_print(shell, "%" PRId64 "\n", number);
    }
}

void shell_show_data(struct shell *shell, const char *name, struct mk_bytes data)
{
    char encoded[32];
    struct mk_buf base64 = {0};

    if (!shell->json) {
        mk_buf_append_bytes(&shell->out, data.data != NULL ? data : MK_BYTES("null"));
        mk_buf_put_u8(&shell->out, '\n');
        return;
    }
    json_t *text = data.data == NULL ? json_null()
                   : data.len == 0   ? json_string("")
                                     : json_stringn((const char *)data.data, data.len);
    if (text != NULL) {
        member_set(shell, name, text);
        return;
    }
    mk_buf_put_base64(&base64, data);
    (void)snprintf(encoded, sizeof(encoded), "%s_base64", name);
    member_set(shell, encoded, shell_json_text((const char *)base64.data, base64.len));
    mk_buf_free(&base64);
}

void shell_show_stat(struct shell *shell, const struct moonkeeper_stat *stat)
{
    char owner[17];

    if (!shell->json) {
        format_stat(&shell->out, stat);
        return;
    }
    /* As a text: neighbouring sessions are equal as doubles. */
    (void)snprintf(owner, sizeof(owner), "%016" PRIx64, (uint64_t)stat->ephemeral_owner);
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:s?, s:i, s:i}", "czxid", stat->czxid, "mzxid",
        stat->mzxid, "pzxid", stat->pzxid, "ctime_ms", stat->ctime_ms, "mtime_ms", stat->mtime_ms,
        "version", stat->version, "cversion", stat->cversion, "aversion", stat->aversion,
        "ephemeral_owner", stat->ephemeral_owner != 0 ? owner : NULL, "data_length",
        stat->data_length, "children_count", stat->children_count);
    MK_ASSERT(object != NULL);
    member_set(shell, "stat", object);
}

void shell_show_names(struct shell *shell, const char *name, const struct moonkeeper_result *result)
{
    struct shell_names names = {0};

    for (size_t i = 0; i < result->names_count; i++) {
        shell_names_add_take(&names, shell_path_join("", result->names[i]));
    }
    shell_names_sort(&names);
    if (shell->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < names.count; i++) {
            json_array_append_new(list, shell_json_text(names.names[i], strlen(names.names[i])));
        }
        member_set(shell, name, list);
    } else {
        for (size_t i = 0; i < names.count; i++) {
            shell_print(shell, "%s%s", i == 0 ? "[" : ", ", names.names[i]);
        }
        shell_print(shell, "%s]\n", names.count == 0 ? "[" : "");
    }
    shell_names_free(&names);
}

void shell_show_path(struct shell *shell, const char *path)
{
    if (!shell->json) {
        shell_print(shell, "%s\n", path);
        return;
    }
    json_t *list = shell->object != NULL ? json_object_get(shell->object, "paths") : NULL;
    if (list == NULL) {
        list = json_array();
        member_set(shell, "paths", list);
    }
    json_array_append_new(list, shell_json_text(path, strlen(path)));
}
