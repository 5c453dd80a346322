/* The engine: its budgets, its versions, and how a version is loaded. */
#include "recipe/environment.h"
#include "recipe/instance.h"
#include "recipe/plain.h"

#include <openssl/sha.h>
#include <string.h>

/* ---- The engine ---- */

static void options_resolve(struct recipe_options *options)
{
#define DEFAULT(field, value) options->field = options->field == 0 ? (value) : options->field
    DEFAULT(instructions_max, 1000000);
    DEFAULT(work_max, 16 * 1024 * 1024);
    DEFAULT(memory_bytes_max, 16 * 1024 * 1024);
    DEFAULT(alloc_bytes_max, 64 * 1024);
    DEFAULT(effects_max, 4096);
    DEFAULT(result_bytes_max, 64 * 1024);
    DEFAULT(nesting_max, 32);
    DEFAULT(elapsed_max_ms, 250);
#undef DEFAULT
}

struct recipe_engine *recipe_engine_new(const struct recipe_options *options)
{
    struct recipe_engine *engine = mk_alloc_zero(1, sizeof(*engine));
    engine->options = *options;
    options_resolve(&engine->options);
    engine->log.log = options->log;
    return engine;
}

static void version_free(struct recipe_version *version)
{
    sandbox_free(version->sandbox);
    mk_arena_free(&version->declared);
    mk_buf_free(&version->source);
    mk_free(version);
}

void recipe_engine_free(struct recipe_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    size_t cursor = 0;
    struct mk_bytes hash;
    void *version = NULL;
    while (mk_map_bytes_next(&engine->versions, &cursor, &hash, &version)) {
        version_free(version);
    }
    mk_map_bytes_free(&engine->versions);
    mk_free(engine);
}

/* ---- Versions ---- */

void recipe_version_hash(struct mk_bytes source, char out[RECIPE_VERSION_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256(source.data, source.len, hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 0xf];
    }
    out[RECIPE_VERSION_BYTES] = '\0';
}

struct recipe_version *recipe_version_find(struct recipe_engine *engine, struct mk_bytes hash)
{
    struct recipe_version *version = mk_map_bytes_get(&engine->versions, hash);
    if (version != NULL) {
        version->used = ++engine->uses;
    }
    return version;
}

void recipe_version_drop(struct recipe_engine *engine, struct recipe_version *version)
{
    void *removed = mk_map_bytes_remove(&engine->versions, mk_bytes_text(version->hash));
    MK_ASSERT(removed == version);
    MK_ASSERT(version->sandbox == NULL || version->sandbox->entered == 0);
    version_free(version);
}

const struct recipe_operation *recipe_operation_find(const struct recipe_version *version,
                                                     struct mk_bytes name)
{
    for (size_t i = 0; i < version->operations_count; i++) {
        if (mk_bytes_equal(mk_bytes_text(version->operations[i].shown.name), name)) {
            return &version->operations[i].shown;
        }
    }
    return NULL;
}

const struct recipe_operation *recipe_operation_at(const struct recipe_version *version,
                                                   size_t index)
{
    return index < version->operations_count ? &version->operations[index].shown : NULL;
}

bool recipe_version_overrides(const struct recipe_version *version)
{
    return version->overrides;
}

/* ---- The sandbox of a version ---- */

static struct sandbox *sandbox_compiled(struct recipe_version *version, const char *chunk,
                                        struct mk_error *error)
{
    struct sandbox *sandbox = sandbox_new(&version->engine->options, &version->engine->log);
    if (sandbox == NULL) {
        mk_error_set(error, "%s: the budget for memory is too small for any recipe", chunk);
        return NULL;
    }
    enum mk_status status = sandbox_compile(sandbox, mk_buf_view(&version->source), chunk, error);
    if (status != MK_OK) {
        sandbox_free(sandbox);
        return NULL;
    }
    return sandbox;
}

struct sandbox *version_sandbox(struct recipe_version *version)
{
    if (version->sandbox == NULL) {
        struct mk_error chunk;
        struct mk_error error;
        mk_error_set(&chunk, "%s@%.8s", version->name, version->hash);
        version->sandbox = sandbox_compiled(version, chunk.text, &error);
        if (version->sandbox != NULL && !instance_make(version->sandbox)) {
            sandbox_free(version->sandbox); /* its runs will say what is wrong */
            version->sandbox = sandbox_compiled(version, chunk.text, &error);
        }
    }
    return version->sandbox;
}

void version_sandbox_leave(struct recipe_version *version)
{
    if (version->sandbox->entered > 0) {
        return; /* the version runs further out, too */
    }
    sandbox_leave(version->sandbox);
    bool large = version->sandbox->pool.bytes > VERSION_SANDBOX_BYTES_MAX;
    if (large || version->sandbox->out_of_memory) {
        sandbox_free(version->sandbox);
        version->sandbox = NULL;
    }
}

/* ---- Loading: compile, run the chunk once, read what it declares ---- */

struct declaration {
    struct recipe_version *version;
    struct mk_error *error;
    bool valid;
};

static int declaration_read(lua_State *L)
{
    struct declaration *declaration = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_CHUNK);
    sandbox_call(L, 0, 1);
    operations_read(L, lua_gettop(L), declaration->version);
    return 0;
}

static int declaration_enter(lua_State *L)
{
    struct declaration *declaration = lua_touserdata(L, 1);
    const char *name = NULL;
    lua_pushcfunction(L, declaration_read);
    lua_pushlightuserdata(L, declaration);
    declaration->valid = sandbox_guard(L, 1, 0, &name);
    if (name != NULL) {
        mk_error_set(declaration->error, "%s", lua_tostring(L, -1));
    }
    return 0;
}

/* In a sandbox of its own, in which positions read "lock.lua:12". */
static bool version_check(struct recipe_version *version, struct mk_error *error)
{
    struct mk_error chunk;
    mk_error_set(&chunk, "%s.lua", version->name);
    struct sandbox *sandbox = sandbox_compiled(version, chunk.text, error);
    if (sandbox == NULL) {
        return false;
    }
    sandbox->checking = true;
    struct declaration declaration = {.version = version, .error = error};
    if (!sandbox_enter(sandbox, NULL, declaration_enter, &declaration)) {
        declaration.valid = false;
        mk_error_set(error, "%s: %s", chunk.text, sandbox->stop_text.text);
    }
    sandbox_free(sandbox);
    return declaration.valid;
}

static bool recipe_name_valid(struct mk_bytes name)
{
    bool valid = name.len > 0 && name.len <= RECIPE_NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len && valid; i++) {
        uint8_t byte = name.data[i];
        bool letter = byte >= 'a' && byte <= 'z';
        valid = letter || (i > 0 && ((byte >= '0' && byte <= '9') || byte == '_'));
    }
    return valid;
}

static bool version_running(const struct recipe_version *version)
{
    return version->sandbox != NULL && version->sandbox->entered > 0;
}

/* Of those that do not run, but for `newest`, the one that was used before all others. */
static struct recipe_version *version_oldest(const struct recipe_engine *engine,
                                             const struct recipe_version *newest)
{
    struct recipe_version *oldest = NULL;
    struct mk_bytes hash;
    void *each;
    size_t cursor = 0;
    while (mk_map_bytes_next(&engine->versions, &cursor, &hash, &each)) {
        struct recipe_version *version = each;
        if (version != newest && !version_running(version) &&
            (oldest == NULL || version->used < oldest->used)) {
            oldest = version;
        }
    }
    return oldest;
}

struct recipe_version *recipe_version_load(struct recipe_engine *engine, struct mk_bytes name,
                                           struct mk_bytes source, struct mk_error *error)
{
    char hash[RECIPE_VERSION_BYTES + 1];
    if (!recipe_name_valid(name)) {
        mk_error_set(error, "a recipe's name is [a-z][a-z0-9_]*, at most %d bytes",
                     RECIPE_NAME_BYTES_MAX);
        return NULL;
    }
    if (source.len > RECIPE_SOURCE_BYTES_MAX) {
        mk_error_set(error, "%.*s.lua: more than %d bytes", (int)name.len, (const char *)name.data,
                     RECIPE_SOURCE_BYTES_MAX);
        return NULL;
    }
    recipe_version_hash(source, hash);
    struct recipe_version *version = recipe_version_find(engine, mk_bytes_text(hash));
    if (version != NULL) {
        return version;
    }

    version = mk_alloc_zero(1, sizeof(*version));
    version->engine = engine;
    memcpy(version->hash, hash, sizeof(hash));
    memcpy(version->name, name.data, name.len);
    mk_buf_append_bytes(&version->source, source);
    if (!version_check(version, error)) {
        version_free(version);
        return NULL;
    }
    (void)mk_map_bytes_put(&engine->versions, mk_bytes_text(version->hash), version);
    version->used = ++engine->uses;
    struct recipe_version *oldest =
        engine->versions.count > VERSIONS_LOADED_MAX ? version_oldest(engine, version) : NULL;
    if (oldest != NULL) {
        recipe_version_drop(engine, oldest);
    }
    return version;
}

/* ---- Arguments, without a run ---- */

struct arguments_check {
    const struct operation *operation;
    enum recipe_format format;
    struct mk_bytes bytes;
    mk_ms timeout_ms;
    bool valid;
    struct mk_error *error;
};

static int arguments_read(lua_State *L)
{
    struct arguments_check *check = lua_touserdata(L, 1);
    arguments_push(L, check->operation, check->format, check->bytes, &check->timeout_ms);
    arguments_keep(L, check->operation, check->format, check->bytes, check->timeout_ms);
    return 0;
}

static int arguments_enter(lua_State *L)
{
    struct arguments_check *check = lua_touserdata(L, 1);
    const char *name = NULL;
    lua_pushcfunction(L, arguments_read);
    lua_pushlightuserdata(L, check);
    check->valid = sandbox_guard(L, 1, 0, &name);
    if (name != NULL) {
        mk_error_set(check->error, "%s", lua_tostring(L, -1));
    }
    return 0;
}

enum mk_status recipe_arguments_check(struct recipe_version *version,
                                      const struct recipe_operation *operation,
                                      enum recipe_format format, struct mk_bytes arguments,
                                      mk_ms *timeout_ms, struct mk_error *error)
{
    struct arguments_check check = {.operation = operation_of(operation),
                                    .format = format,
                                    .bytes = arguments,
                                    .timeout_ms = -1,
                                    .error = error};
    struct plain plain;
    if (plain_read(check.operation, format, arguments,
                   arguments_plain_max(&version->engine->options), &plain)) {
        *timeout_ms = plain.timeout_ms;
        return MK_OK;
    }
    struct sandbox *sandbox = version_sandbox(version);
    if (sandbox == NULL) {
        mk_error_set(error, "the recipe does not fit into its memory");
        return MK_BAD_ARGUMENTS;
    }
    if (!sandbox_enter(sandbox, NULL, arguments_enter, &check)) {
        check.valid = false;
        mk_error_set(error, "%s", sandbox->stop_text.text);
    }
    version_sandbox_leave(version);
    *timeout_ms = check.valid ? check.timeout_ms : -1;
    return check.valid ? MK_OK : MK_BAD_ARGUMENTS;
}
