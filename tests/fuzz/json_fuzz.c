/* Any bytes as JSON and as MessagePack. What a recipe decodes it encodes to something that
 * decodes to the same; and of JSON it accepts what jansson accepts, but for the bounds of
 * numbers and nesting, and for a zero byte behind a number, which jansson passes over. */
#include "recipe/recipe.h"

#include <jansson.h>
#include <string.h>

/* The first byte of the input chooses the format. `echo` returns what it is given: decoded from one
 * format, and encoded in it. */
static const char source[] = "return { echo = operation { doc = '', args = { v = 'list' },\n"
                             "  run = function(call) return call.args end } }";

static enum mk_status host_read(struct recipe_host *host, struct mk_bytes path,
                                struct recipe_znode *out)
{
    (void)host;
    (void)path;
    (void)out;
    return MK_NO_NODE;
}

static const struct recipe_host_ops host_ops = {.read = host_read};
static struct recipe_host host = {&host_ops};

struct echo {
    struct recipe_engine *engine;
    struct recipe_version *version;
    enum recipe_format format;
};

static struct recipe_run echo_run(const struct echo *echo, struct mk_bytes arguments)
{
    struct recipe_run run = {.version = echo->version,
                             .operation = recipe_operation_find(echo->version, MK_BYTES("echo")),
                             .format = echo->format,
                             .arguments = arguments,
                             .host = &host};
    recipe_run(echo->engine, &run);
    return run;
}

/* {"v": [input]}, so that every value is an argument. */
static void arguments_build(enum recipe_format format, struct mk_bytes input, struct mk_buf *out)
{
    if (format == RECIPE_JSON) {
        mk_buf_printf(out, "{\"v\":[");
        mk_buf_append_bytes(out, input);
        mk_buf_printf(out, "]}");
    } else {
        mk_buf_append(out, "\x81\xa1v\x91", 4);
        mk_buf_append_bytes(out, input);
    }
}

/* Refused for what JSON itself does not forbid? */
static bool refused_by_bounds(const struct recipe_run *run)
{
    static const char *const reasons[] = {"2^53",        "nested deeper", "bytes",
                                          "a string of", "infinity",      "exponent"};
    struct mk_bytes message = mk_buf_view(&run->message);
    for (size_t i = 0; i < MK_COUNT(reasons); i++) {
        if (memmem(message.data, message.len, reasons[i], strlen(reasons[i])) != NULL) {
            return true;
        }
    }
    return strcmp(run->error_name, "Budget") == 0;
}

static void jansson_compare(const struct recipe_run *run, struct mk_bytes arguments)
{
    json_t *value = json_loadb((const char *)arguments.data, arguments.len,
                               JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (run->end == RECIPE_RETURNED) {
        MK_ASSERT(value != NULL || memmem(arguments.data, arguments.len, "\\u0000", 6) != NULL);
    } else if (value != NULL && memchr(arguments.data, 0, arguments.len) == NULL) {
        MK_ASSERT(refused_by_bounds(run) || json_object_size(value) != 1);
    }
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct recipe_options options = {.memory_bytes_max = 0};
    struct mk_error error;
    struct echo echo = {.engine = recipe_engine_new(&options), .format = data[0] % 2};
    echo.version = recipe_version_load(echo.engine, MK_BYTES("echo"), MK_BYTES(""), &error);
    MK_ASSERT(echo.version == NULL);
    echo.version =
        recipe_version_load(echo.engine, MK_BYTES("echo"), mk_bytes_text(source), &error);
    MK_ASSERT(echo.version != NULL);

    struct mk_buf arguments = {.data = NULL};
    arguments_build(echo.format, mk_bytes_of(data + 1, size - 1), &arguments);
    struct recipe_run first = echo_run(&echo, mk_buf_view(&arguments));
    MK_ASSERT(first.end == RECIPE_RETURNED || first.end == RECIPE_FAILED);
    if (echo.format == RECIPE_JSON) {
        jansson_compare(&first, mk_buf_view(&arguments));
    }
    if (first.end == RECIPE_RETURNED) {
        struct recipe_run second = echo_run(&echo, mk_buf_view(&first.result));
        MK_ASSERT(second.end == RECIPE_RETURNED);
        MK_ASSERT(first.result.len == second.result.len);
        MK_ASSERT(memcmp(first.result.data, second.result.data, first.result.len) == 0);
        recipe_run_deinit(&second);
    }
    recipe_run_deinit(&first);
    recipe_engine_free(echo.engine);
    mk_buf_free(&arguments);
    return 0;
}
