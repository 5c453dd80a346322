/* `require "moonkeeper_testkit"`: the world as a userdata, and JSON. What is convenient is made of it in
 * lua/moonkeeper/testkit.lua; nobody else loads this.
 *
 * A client is a number, given out by world:client(). What it may ask is in requests.c. */
#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/json.h"
#include "testkit/requests.h"
#include "testkit/stack.h"
#include "testkit/world.h"
#include "tree/tree.h"

#define RECIPES_MAX 1000

__attribute__((visibility("default"))) int luaopen_moonkeeper_testkit(lua_State *L);

/* ---- The world ---- */

/* world({ {name, source}, ... }, servers) */
static int world_make(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t count = lua_objlen(L, 1);
    lua_Integer servers = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, servers >= 1 && servers <= TESTKIT_SERVERS_MAX, 2, "1 to 5 servers");
    luaL_argcheck(L, count <= RECIPES_MAX, 1, "too many recipes");
    luaL_checkstack(L, 2 * (int)count + 8, "recipes");

    struct server_recipe *recipes = lua_newuserdata(L, (count + 1) * sizeof(*recipes));
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_remove(L, -3);
        recipes[i].name = testkit_check_bytes(L, -2);
        recipes[i].source = testkit_check_bytes(L, -1);
    }

    struct testkit_world **world = lua_newuserdata(L, sizeof(struct testkit_world *));
    *world = NULL;
    luaL_getmetatable(L, TESTKIT_WORLD);
    lua_setmetatable(L, -2);
    struct mk_error error;
    *world = testkit_world_new(recipes, count, (size_t)servers, &error);
    return *world != NULL ? 1 : luaL_error(L, "%s", error.text);
}

static int world_gc(lua_State *L)
{
    struct testkit_world **world = luaL_checkudata(L, 1, TESTKIT_WORLD);

    if (*world != NULL) {
        testkit_world_free(*world);
        *world = NULL;
    }
    return 0;
}

static int world_advance(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    lua_Number ms = luaL_checknumber(L, 2);

    luaL_argcheck(L, ms >= 0 && ms <= 1e12, 2, "milliseconds, and not backwards");
    testkit_world_advance(world, (mk_ms)ms);
    return 0;
}

static int world_cut(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    lua_Integer entries = luaL_checkinteger(L, 2);

    luaL_argcheck(L, entries >= 0 && entries <= INT32_MAX, 2, "a number of proposals");
    luaL_argcheck(L, !world->cut_armed, 1, "a fail-over is under way already");
    testkit_world_cut(world, (uint32_t)entries);
    return 0;
}

static int world_dark(lua_State *L)
{
    lua_pushboolean(L, testkit_check_world(L)->dark);
    return 1;
}

static int world_fail_over(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    struct mk_error error;

    return testkit_world_fail_over(world, &error) ? 0 : luaL_error(L, "%s", error.text);
}

static int world_check(lua_State *L)
{
    testkit_world_check(testkit_check_world(L));
    return 0;
}

static int world_log(lua_State *L)
{
    struct mk_bytes lines = mk_buf_view(&testkit_check_world(L)->lines);

    lua_pushlstring(L, lines.len > 0 ? (const char *)lines.data : "", lines.len);
    return 1;
}

static int world_stats(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    struct server_stats stats;

    server_stats_read(world->leader->server, &stats);
    lua_newtable(L);
    testkit_set_number(L, "now_ms", world->now.monotonic_ms);
    testkit_set_number(L, "log_time_ms", stats.log_time_ms);
    /* Of several servers one uses up a zxid for a refusal, too: the last change counts. */
    testkit_set_number(
        L, "zxid",
        world->links == NULL ? stats.zxid : store_view_zxid(store_committed(world->leader->store)));
    testkit_set_number(L, "proposals", (int64_t)stats.proposals);
    testkit_set_number(L, "woken", (int64_t)stats.calls_woken);
    testkit_set_number(L, "waiting", stats.totals.calls);
    return 1;
}

/* children(path) -> names, or nil: there is no such znode */
static int world_children(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    struct mk_bytes path = testkit_check_bytes(L, 2);
    struct mk_buf *names = testkit_buf_push(L);

    if (testkit_world_children(world, path, names) != MK_OK) {
        return 0;
    }
    testkit_push_fields(L, names);
    return 1;
}

/* znode(path) -> what it is, whoever may read it; or nil */
static int world_znode(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    struct store_znode znode;

    if (store_znode_read(store_committed(world->leader->store), testkit_check_bytes(L, 2), true,
                         &znode) != MK_OK) {
        return 0;
    }
    mk_session owner = tree_owner_session(znode.stat.owner, true);
    lua_newtable(L);
    testkit_push_bytes(L, znode.data);
    lua_setfield(L, -2, "data");
    testkit_set_number(L, "czxid", znode.stat.czxid);
    testkit_set_number(L, "mzxid", znode.stat.mzxid);
    testkit_set_number(L, "version", znode.stat.version);
    testkit_set_number(L, "children", znode.children_count);
    lua_pushboolean(L, znode.stat.owner == TREE_OWNER_CONTAINER);
    lua_setfield(L, -2, "container");
    if (owner != 0) {
        testkit_push_session(L, owner);
        lua_setfield(L, -2, "owner");
    }
    return 1;
}

/* ---- Sessions ---- */

static int client_make(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);

    (void)testkit_client_new(world);
    lua_pushinteger(L, world->clients_count);
    return 1;
}

/* attach(client, timeout_ms) -> id, timeout_ms; or nil: the session has ended; false: no answer */
static int client_attach(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    lua_Number timeout_ms = luaL_checknumber(L, 3);

    luaL_argcheck(L, timeout_ms >= 1 && timeout_ms <= TESTKIT_TIMEOUT_MAX_MS, 3, "1ms to a day");
    switch (testkit_client_attach(client, (mk_ms)timeout_ms)) {
    case TESTKIT_ATTACHED:
        testkit_push_session(L, client->session);
        lua_pushinteger(L, client->timeout_ms);
        return 2;
    case TESTKIT_REFUSED: return 0;
    case TESTKIT_UNANSWERED: lua_pushboolean(L, 0); return 1;
    }
    return 0;
}

static int client_detach(lua_State *L)
{
    testkit_client_detach(testkit_check_client(L));
    return 0;
}

static int client_connected(lua_State *L)
{
    lua_pushboolean(L, testkit_check_client(L)->conn != NULL);
    return 1;
}

static int client_alive(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);

    lua_pushboolean(L, testkit_world_session_alive(client->world, client->session));
    return 1;
}

/* call_node(client, id) -> path of the parked call's node, or nil */
static int client_call_node(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    int64_t id = (int64_t)luaL_checknumber(L, 3);
    struct mk_buf *path = testkit_buf_push(L);

    if (!testkit_world_call_node(client->world, client->session, id, path)) {
        return 0;
    }
    testkit_push_bytes(L, mk_buf_view(path));
    return 1;
}

/* ---- Recipes on disk ---- */

static int is_recipe(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 4, ".lua") == 0;
}

/* recipes(directory) -> names of its .lua files, sorted; or nil: it is not a directory */
static int recipes_list(lua_State *L)
{
    const char *directory = luaL_checkstring(L, 1);
    struct mk_buf *names = testkit_buf_push(L);
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_recipe, alphasort);

    for (int i = 0; i < count; i++) {
        mk_buf_put_field(names, mk_bytes_text(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    if (count < 0) {
        return 0;
    }
    testkit_push_fields(L, names);
    return 1;
}

/* ---- The module ---- */

static const luaL_Reg world_methods[] = {{"advance", world_advance},
                                         {"cut", world_cut},
                                         {"dark", world_dark},
                                         {"fail_over", world_fail_over},
                                         {"check", world_check},
                                         {"log", world_log},
                                         {"stats", world_stats},
                                         {"free", world_gc},
                                         {"children_of", world_children},
                                         {"znode", world_znode},
                                         {"client", client_make},
                                         {"attach", client_attach},
                                         {"detach", client_detach},
                                         {"connected", client_connected},
                                         {"alive", client_alive},
                                         {"call_node", client_call_node},
                                         {NULL, NULL}};

static const luaL_Reg module_functions[] = {{"world", world_make},
                                            {"recipes", recipes_list},
                                            {"encode", testkit_json_encode},
                                            {"decode", testkit_json_decode},
                                            {NULL, NULL}};

int luaopen_moonkeeper_testkit(lua_State *L)
{
    luaL_newmetatable(L, TESTKIT_WORLD);
    lua_newtable(L);
    luaL_register(L, NULL, world_methods);
    luaL_register(L, NULL, testkit_requests);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, world_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);

    lua_newtable(L);
    luaL_register(L, NULL, module_functions);
    return 1;
}
