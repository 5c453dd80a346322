/* The arguments of `moonkeeper call`, from words to JSON.
 *
 *   key:=json   what it says
 *   key=text    text; if it might be more, such as 3, true or [1,2], whatever the operation declares
 *
 * Most words cannot be more than text, and nobody is asked. For the others the recipe's source is read,
 * as anybody may, and loaded by the engine that the server has. Where there is none to be read, they are
 * text, and the call says what is wrong. */
#include "cli/call.h"
#include "cli/recipe.h"

#include "recipe/recipe.h"

#include <stdio.h>
#include <string.h>

#define KEY_SIZE 256 /* of a declared one 64 bytes are much */
#define SERVERS_SIZE 4096

/* ---- Words ---- */

int call_argument_add(struct call *call, const char *word)
{
    const char *equals = strchr(word, '=');
    bool json = equals != NULL && equals > word && equals[-1] == ':';
    size_t key_len = equals == NULL ? 0 : (size_t)(equals - word) - (json ? 1 : 0);
    json_error_t error;
    char key[KEY_SIZE];

    if (key_len == 0 || key_len >= sizeof(key)) {
        return cli_usage("call", "\"%s\" is not KEY=VALUE or KEY:=JSON", word);
    }
    memcpy(key, word, key_len);
    key[key_len] = '\0';
    if (json_object_get(call->arguments, key) != NULL) {
        return cli_usage("call", "%s is given twice", key);
    }
    json_t *read = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (json && read == NULL) {
        return cli_usage("call", "%s: %s", word, error.text);
    }
    if (json) {
        return json_object_set_new(call->arguments, key, read) == 0
                   ? CLI_OK
                   : cli_usage("call", "%s: it is not UTF-8", word);
    }
    if (read != NULL && !json_is_string(read)) {
        (void)json_object_set(call->unsure, key, read);
    }
    json_decref(read);
    return json_object_set_new(call->arguments, key, json_string(equals + 1)) == 0
               ? CLI_OK
               : cli_usage("call", "%s: it is not UTF-8", word);
}

/* ---- What the operation declares ---- */

static bool read_znode(struct session *session, const char *path, mk_ms timeout_ms,
                       struct mk_buf *data)
{
    struct moonkeeper_request request = {
        .op = MOONKEEPER_GET, .path = path, .wait_ms = (int)timeout_ms};
    struct moonkeeper_result result;
    bool read = moonkeeper_ask(session->handle, &request, &result) == MOONKEEPER_OK;

    if (read) {
        mk_buf_append(data, result.data, result.data_bytes);
    }
    moonkeeper_result_free(&result);
    return read;
}

/* The source of the recipe's active version; false: there is none. */
static bool read_source(struct session *session, const char *recipe, mk_ms timeout_ms,
                        struct mk_buf *source)
{
    struct mk_buf path = {0};
    struct mk_buf version = {0};

    mk_buf_printf(&path, RECIPES_PATH "/%s", recipe);
    mk_buf_put_u8(&path, '\0');
    bool found = read_znode(session, (const char *)path.data, timeout_ms, &version) &&
                 version.len == RECIPE_VERSION_BYTES;
    if (found) {
        path.len--;
        mk_buf_put_u8(&path, '/');
        mk_buf_append_bytes(&path, mk_buf_view(&version));
        mk_buf_put_u8(&path, '\0');
        found = read_znode(session, (const char *)path.data, timeout_ms, source);
    }
    mk_buf_free(&path);
    mk_buf_free(&version);
    return found;
}

/* Recipes lie below no chroot, so the session is one of its own. */
static int fetch_source(struct call *call, const char *command, const char *recipe,
                        struct mk_buf *source)
{
    char servers[SERVERS_SIZE];
    struct cli whole = *call->cli;
    struct session session;

    if (snprintf(servers, sizeof(servers), "%s", call->cli->servers) < (int)sizeof(servers)) {
        servers[strcspn(servers, "/")] = '\0';
        whole.servers = servers;
    }
    session_init(&session);
    int code = session_open(&whole, &session, command);
    if (code == CLI_OK) {
        (void)read_source(&session, recipe, call->cli->timeout_ms, source);
    }
    session_close(&session);
    return code;
}

static bool fits(const char *type, const json_t *value)
{
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0 ||
        strcmp(type, "duration") == 0) {
        return json_is_number(value);
    }
    return (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "list") == 0 && json_is_array(value)) ||
           (strcmp(type, "map") == 0 && json_is_object(value));
}

/* The first element of `list`, an array of objects, whose "name" that is; or NULL. */
static json_t *named(const json_t *list, const char *name)
{
    json_t *element;
    size_t i;

    json_array_foreach(list, i, element)
    {
        const char *each = json_string_value(json_object_get(element, "name"));
        if (each != NULL && strcmp(each, name) == 0) {
            return element;
        }
    }
    return NULL;
}

static void types_apply(struct call *call, const json_t *operation)
{
    const char *key;
    json_t *value;

    json_object_foreach(call->unsure, key, value)
    {
        const json_t *declared = named(json_object_get(operation, "arguments"), key);
        const char *type = json_string_value(json_object_get(declared, "type"));
        if (type != NULL && fits(type, value)) {
            (void)json_object_set(call->arguments, key, value);
        }
    }
}

int call_arguments_type(struct call *call, const char *command)
{
    const char *dot = strchr(call->operation, '.');
    char recipe[RECIPE_NAME_SIZE];
    struct mk_buf source = {0};
    struct mk_error error;

    if (json_object_size(call->unsure) == 0 || dot == NULL || dot == call->operation ||
        (size_t)(dot - call->operation) >= sizeof(recipe) || call->operation[0] == '/') {
        return CLI_OK;
    }
    memcpy(recipe, call->operation, (size_t)(dot - call->operation));
    recipe[dot - call->operation] = '\0';
    int code = fetch_source(call, command, recipe, &source);
    json_t *description =
        source.len > 0 ? recipe_description(recipe, mk_buf_view(&source), &error) : NULL;
    types_apply(call, named(json_object_get(description, "operations"), dot + 1));
    json_decref(description);
    mk_buf_free(&source);
    return code;
}
