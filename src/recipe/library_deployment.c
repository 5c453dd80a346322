/* deployment: what the server's own recipe, and no other, may ask. It deploys the others. */
#include "recipe/environment.h"
#include "recipe/run.h"

/* The host of the run at hand. [-0, +0, raises] */
static struct recipe_host *host_of(lua_State *L, const char *what)
{
    struct recipe_host *host = run_of(L, what)->run->host;
    MK_ASSERT(host->ops->deploy != NULL);
    return host;
}

/* may(): raises NoAuth unless the caller may deploy. */
static int deployment_may(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.may");
    run_check(L, host->ops->deploy->may(host), "deploying: WRITE on",
              MK_BYTES("/zookeeper/recipes"));
    return 0;
}

/* who(): the caller's identities, to be read by people. */
static int deployment_who(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.who");
    struct mk_buf *text = &sandbox_of(L)->scratch;
    text->len = 0;
    host->ops->deploy->who(host, text);
    sandbox_push_bytes(L, mk_buf_view(text));
    return 1;
}

/* check(name, source): the source's hash, whether it overrides. Raises BadArguments with the file and
 * the line of what is wrong. */
static int deployment_check(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.check");
    struct mk_bytes name = sandbox_check_bytes(L, 1);
    struct mk_bytes source = sandbox_check_bytes(L, 2);
    struct mk_error why = {""};
    sandbox_charge(L, source.len);
    const struct recipe_version *version = host->ops->deploy->check(host, name, source, &why);
    if (version == NULL) {
        sandbox_raise_message(L, "BadArguments", mk_bytes_text(why.text));
    }
    lua_pushlstring(L, version->hash, RECIPE_VERSION_BYTES);
    lua_pushboolean(L, recipe_version_overrides(version));
    return 2;
}

/* hash(source): what its version is called. */
static int deployment_hash(lua_State *L)
{
    char hash[RECIPE_VERSION_BYTES + 1];
    struct mk_bytes source = sandbox_check_bytes(L, 1);
    sandbox_charge(L, source.len);
    recipe_version_hash(source, hash);
    lua_pushlstring(L, hash, RECIPE_VERSION_BYTES);
    return 1;
}

/* waiting(name, hash): how many calls are parked on that version. */
static int deployment_waiting(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.waiting");
    struct mk_bytes name = sandbox_check_bytes(L, 1);
    struct mk_bytes hash = sandbox_check_bytes(L, 2);
    int64_t calls = 0;
    run_check(L, host->ops->deploy->waiting(host, name, hash, &calls), "the calls of", name);
    lua_pushnumber(L, (lua_Number)calls);
    return 1;
}

/* catalogue(name): the source that the server was started with, or nil. */
static int deployment_catalogue(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.catalogue");
    struct mk_bytes wanted = sandbox_check_bytes(L, 1);
    struct mk_bytes name;
    struct mk_bytes source;
    for (size_t i = 0; host->ops->deploy->catalogue(host, i, &name, &source); i++) {
        sandbox_charge(L, SANDBOX_ELEMENT);
        if (mk_bytes_equal(name, wanted)) {
            sandbox_push_bytes(L, source);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

/* catalogue_next(name): the name in the catalogue that follows, the first one after "", or nil. */
static int deployment_catalogue_next(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.catalogue_next");
    struct mk_bytes after = sandbox_check_bytes(L, 1);
    struct mk_bytes next = MK_BYTES_NULL;
    struct mk_bytes name;
    struct mk_bytes source;
    for (size_t i = 0; host->ops->deploy->catalogue(host, i, &name, &source); i++) {
        sandbox_charge(L, SANDBOX_ELEMENT);
        if (mk_bytes_compare(name, after) > 0 &&
            (next.data == NULL || mk_bytes_compare(name, next) < 0)) {
            next = name;
        }
    }
    if (next.data == NULL) {
        lua_pushnil(L);
    } else {
        sandbox_push_bytes(L, next);
    }
    return 1;
}

static void figure_set(lua_State *L, const char *name, uint64_t value)
{
    /* Beyond 2^53 it would be refused as a result; nobody counts that far. */
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, name);
}

static void figures_push(lua_State *L, const struct recipe_figures *figures)
{
    lua_createtable(L, 0, 9);
    lua_pushstring(L, figures->name);
    lua_setfield(L, -2, "name");
    figure_set(L, "calls", figures->calls);
    figure_set(L, "failures", figures->failures);
    figure_set(L, "waiting", (uint64_t)figures->waiting);
    figure_set(L, "latency_avg_ms", figures->latency_avg_ms);
    figure_set(L, "latency_max_ms", figures->latency_max_ms);
    figure_set(L, "run_ms", figures->run_ms);
    figure_set(L, "instructions", figures->instructions);
    figure_set(L, "effects", figures->effects);
}

/* figures(name, hash): a list of maps, one for each operation of that version. */
static int deployment_figures(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.figures");
    struct mk_bytes name = sandbox_check_bytes(L, 1);
    struct mk_bytes hash = sandbox_check_bytes(L, 2);
    struct recipe_figures figures;
    enum mk_status status;
    lua_newtable(L);
    sandbox_set_metatable(L, SLOT_LIST);
    for (size_t i = 0;
         (status = host->ops->deploy->figures(host, name, hash, i, &figures)) == MK_OK; i++) {
        sandbox_charge(L, 9 * SANDBOX_ELEMENT);
        figures_push(L, &figures);
        lua_rawseti(L, -2, (int)i + 1);
    }
    run_check(L, status == MK_END ? MK_OK : status, "the figures of", name);
    return 1;
}

/* audit(line) */
static int deployment_audit(lua_State *L)
{
    struct recipe_host *host = host_of(L, "deployment.audit");
    host->ops->deploy->audit(host, sandbox_check_bytes(L, 1));
    return 0;
}

void library_push_deployment(lua_State *L)
{
    static const luaL_Reg functions[] = {{"audit", deployment_audit},
                                         {"catalogue", deployment_catalogue},
                                         {"catalogue_next", deployment_catalogue_next},
                                         {"check", deployment_check},
                                         {"figures", deployment_figures},
                                         {"hash", deployment_hash},
                                         {"may", deployment_may},
                                         {"waiting", deployment_waiting},
                                         {"who", deployment_who},
                                         {NULL, NULL}};
    environment_push_functions(L, functions);
}
