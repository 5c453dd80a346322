/* Stats, data and JSON as they are printed. zxids are hex for people and numbers in JSON; session ids
 * are hex in both, because neighbouring ones are equal as doubles. */
#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static json_t *session_text(int64_t session)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, (uint64_t)session);
    return session == 0 ? json_null() : json_string(text);
}

json_t *output_stat(const struct moonkeeper_stat *stat)
{
    json_t *object = json_object();

    json_object_set_new(object, "czxid", json_integer(stat->czxid));
    json_object_set_new(object, "mzxid", json_integer(stat->mzxid));
    json_object_set_new(object, "pzxid", json_integer(stat->pzxid));
    json_object_set_new(object, "ctime_ms", json_integer(stat->ctime_ms));
    json_object_set_new(object, "mtime_ms", json_integer(stat->mtime_ms));
    json_object_set_new(object, "version", json_integer(stat->version));
    json_object_set_new(object, "cversion", json_integer(stat->cversion));
    json_object_set_new(object, "aversion", json_integer(stat->aversion));
    json_object_set_new(object, "ephemeral_owner", session_text(stat->ephemeral_owner));
    json_object_set_new(object, "data_length", json_integer(stat->data_length));
    json_object_set_new(object, "children_count", json_integer(stat->children_count));
    return object;
}

static json_t *utf8_string(struct mk_bytes text)
{
    return text.len == 0 ? json_string("") : json_stringn((const char *)text.data, text.len);
}

void output_put_data(json_t *object, struct mk_bytes data)
{
    json_t *text = data.data == NULL ? json_null() : utf8_string(data);
    struct mk_buf encoded = {0};

    if (text != NULL) {
        json_object_set_new(object, "data", text);
        return;
    }
    mk_buf_put_base64(&encoded, data);
    json_object_set_new(object, "data_base64", utf8_string(mk_buf_view(&encoded)));
    mk_buf_free(&encoded);
}

json_t *output_text(struct mk_bytes text)
{
    json_t *string = text.data == NULL ? json_null() : utf8_string(text);

    return string != NULL ? string : json_string("\xef\xbf\xbd");
}

void output_print(json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    MK_ASSERT(text != NULL);
    puts(text);
    free(text);
    json_decref(value);
}

void output_time(int64_t time_ms, char text[OUTPUT_TIME_BYTES])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char date[32] = "?";

    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    }
    (void)snprintf(text, OUTPUT_TIME_BYTES, "%s.%03dZ", date, (int)(time_ms % 1000));
}

static void time_line(const char *name, int64_t time_ms)
{
    char text[OUTPUT_TIME_BYTES];

    output_time(time_ms, text);
    printf("%-16s %s\n", name, text);
}

static void hex_line(const char *name, int64_t value)
{
    printf("%-16s 0x%" PRIx64 "\n", name, (uint64_t)value);
}

static void number_line(const char *name, int64_t value)
{
    printf("%-16s %" PRId64 "\n", name, value);
}

void output_stat_lines(const struct moonkeeper_stat *stat)
{
    hex_line("czxid", stat->czxid);
    hex_line("mzxid", stat->mzxid);
    hex_line("pzxid", stat->pzxid);
    time_line("ctime", stat->ctime_ms);
    time_line("mtime", stat->mtime_ms);
    number_line("version", stat->version);
    number_line("cversion", stat->cversion);
    number_line("aversion", stat->aversion);
    hex_line("ephemeral_owner", stat->ephemeral_owner);
    number_line("data_length", stat->data_length);
    number_line("children_count", stat->children_count);
}
