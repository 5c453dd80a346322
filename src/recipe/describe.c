/* What a version declares, as JSON: for command lines, and for whoever writes a client. */
#include "recipe/run.h"
#include "recipe/value.h"

static void text_put(struct mk_buf *out, const char *name, struct mk_bytes text)
{
    mk_buf_printf(out, ",\"%s\":", name);
    recipe_json_string(out, text);
}

static void flag_put(struct mk_buf *out, const char *name, bool flag)
{
    if (flag) {
        mk_buf_printf(out, ",\"%s\":true", name);
    }
}

static void bound_put(struct mk_buf *out, const char *name, bool has, double bound)
{
    if (has) {
        mk_buf_printf(out, ",\"%s\":%.17g", name, bound);
    }
}

static void choices_put(struct mk_buf *out, const struct schema *schema)
{
    mk_buf_printf(out, ",\"one_of\":[");
    for (size_t i = 0; i < schema->choices_count; i++) {
        const struct schema_value *choice = &schema->choices[i];
        mk_buf_append(out, ",", i > 0 ? 1 : 0);
        switch (choice->lua_type) {
        case LUA_TSTRING: recipe_json_string(out, choice->text); break;
        case LUA_TBOOLEAN: mk_buf_printf(out, "%s", choice->number != 0 ? "true" : "false"); break;
        default: mk_buf_printf(out, "%.17g", choice->number); break;
        }
    }
    mk_buf_put_u8(out, ']');
}

/* Without the braces: an argument has a name before it and a default behind. */
static void schema_put(struct mk_buf *out, const struct schema *schema)
{
    mk_buf_printf(out, "\"type\":\"%s\"", schema_type_name(schema->type));
    bound_put(out, "min", schema->has_min, schema->min);
    bound_put(out, "max", schema->has_max, schema->max);
    if (schema->choices_count > 0) {
        choices_put(out, schema);
    }
    if (schema->items != NULL) { /* at most SCHEMA_DEPTH_MAX deep */
        mk_buf_printf(out, ",\"items\":{");
        schema_put(out, schema->items);
        mk_buf_put_u8(out, '}');
    }
}

/* [-0, +0, raises] */
static void argument_put(lua_State *L, struct mk_buf *out, const struct argument *argument)
{
    mk_buf_printf(out, "{\"name\":\"%s\",", argument->name);
    schema_put(out, &argument->schema);
    flag_put(out, "optional", argument->optional);
    if (argument->value.data != NULL) {
        mk_buf_printf(out, ",\"default\":");
        value_push_msgpack(L, argument->value);
        value_append_json(L, lua_gettop(L), out, SIZE_MAX / 2);
        lua_pop(L, 1);
    }
    mk_buf_put_u8(out, '}');
}

static void operation_put(lua_State *L, struct mk_buf *out, const struct operation *operation)
{
    mk_buf_printf(out, "{\"name\":\"%s\"", operation->shown.name);
    text_put(out, "doc", mk_bytes_text(operation->shown.doc));
    flag_put(out, "reads_only", operation->shown.reads_only);
    flag_put(out, "outlives_session", operation->shown.outlives_session);
    flag_put(out, "has_cancel", operation->shown.has_cancel);
    bound_put(out, "deadline_ms", operation->shown.deadline_ms > 0,
              (double)operation->shown.deadline_ms);
    mk_buf_printf(out, ",\"arguments\":[");
    for (size_t i = 0; i < operation->arguments_count; i++) {
        mk_buf_append(out, ",", i > 0 ? 1 : 0);
        argument_put(L, out, &operation->arguments[i]);
    }
    mk_buf_printf(out, "]}");
}

struct description {
    const struct recipe_version *version;
    struct mk_buf *out;
};

static int description_put(lua_State *L)
{
    const struct description *description = lua_touserdata(L, 1);
    const struct recipe_version *version = description->version;
    struct mk_buf *out = description->out;

    mk_buf_printf(out, "{\"name\":\"%s\",\"version\":\"%s\"", version->name, version->hash);
    flag_put(out, "override", version->overrides);
    mk_buf_printf(out, ",\"operations\":[");
    for (size_t i = 0; i < version->operations_count; i++) {
        mk_buf_append(out, ",", i > 0 ? 1 : 0);
        operation_put(L, out, &version->operations[i]);
    }
    mk_buf_printf(out, "]}");
    return 0;
}

static int description_enter(lua_State *L)
{
    const char *name;
    lua_pushcfunction(L, description_put);
    lua_insert(L, 1);
    (void)sandbox_guard(L, 1, 0, &name);
    return 0;
}

bool recipe_version_describe(struct recipe_version *version, struct mk_buf *out)
{
    struct description description = {.version = version, .out = out};
    struct sandbox *sandbox = version_sandbox(version);
    size_t start = out->len;
    if (sandbox == NULL) {
        return false;
    }
    bool whole = sandbox_enter(sandbox, NULL, description_enter, &description) &&
                 out->len > start + 1 && out->data[out->len - 1] == '}';
    version_sandbox_leave(version);
    if (!whole) {
        out->len = start;
    }
    return whole;
}
