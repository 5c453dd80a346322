/* `require "moonkeeper_testkit"`: the world as a userdata, and JSON. What is convenient is made of it in
 * lua/moonkeeper/testkit.lua; nobody else loads this.
 *
 * A client is a number, given out by world:client(). Requests answer with an xid, or nil if the client
 * is not connected; world:answer() looks whether the reply is there. */
#include <dirent.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testkit/json.h"
#include "testkit/world.h"
#include "tree/tree.h"

#define WORLD_METATABLE "moonkeeper.testkit.world"
#define RECIPES_MAX 1000

__attribute__((visibility("default"))) int luaopen_moonkeeper_testkit(lua_State *L);

/* ---- Arguments. [-0, +0, raises] ---- */

static struct mk_bytes check_bytes(lua_State *L, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);

    return mk_bytes_of(text, len);
}

static struct testkit_world *check_world(lua_State *L)
{
    struct testkit_world **world = luaL_checkudata(L, 1, WORLD_METATABLE);

    luaL_argcheck(L, *world != NULL && (*world)->server != NULL, 1, "the world has ended");
    return *world;
}

static struct testkit_client *check_client(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    lua_Integer number = luaL_checkinteger(L, 2);

    luaL_argcheck(L, number >= 1 && number <= (lua_Integer)world->clients_count, 2, "no client");
    return world->clients[number - 1];
}

/* ---- Results. [-0, +n, raises] ---- */

static void push_bytes(lua_State *L, struct mk_bytes bytes)
{
    if (bytes.data == NULL) {
        lua_pushnil(L);
    } else {
        lua_pushlstring(L, (const char *)bytes.data, bytes.len);
    }
}

static void set_number(lua_State *L, const char *name, int64_t number)
{
    lua_pushnumber(L, (lua_Number)number);
    lua_setfield(L, -2, name);
}

/* As call.session has it: neighbouring ids are equal as numbers of Lua. */
static void push_session(lua_State *L, mk_session session)
{
    char hex[17];

    (void)snprintf(hex, sizeof(hex), "%016" PRIx64, (uint64_t)session);
    lua_pushstring(L, hex);
}

static void push_strings(lua_State *L, struct mk_reader *fields)
{
    lua_newtable(L);
    for (int i = 1; mk_reader_left(fields) > 0; i++) {
        push_bytes(L, mk_read_field(fields));
        lua_rawseti(L, -2, i);
    }
}

static int buf_gc(lua_State *L)
{
    mk_buf_free(lua_touserdata(L, 1));
    return 0;
}

/* A buffer that the collector frees, since an error of Lua's is a longjmp. */
static struct mk_buf *buf_push(lua_State *L)
{
    struct mk_buf *buf = lua_newuserdata(L, sizeof(*buf));

    *buf = (struct mk_buf){0};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, buf_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return buf;
}

static void push_fields(lua_State *L, const struct mk_buf *buf)
{
    struct mk_reader reader = mk_reader_of(mk_buf_view(buf));

    push_strings(L, &reader);
}

/* ---- The world ---- */

/* world{ {name, source}, ... } */
static int world_make(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t count = lua_objlen(L, 1);
    luaL_argcheck(L, count <= RECIPES_MAX, 1, "too many recipes");
    luaL_checkstack(L, 2 * (int)count + 8, "recipes");

    struct server_recipe *recipes = lua_newuserdata(L, (count + 1) * sizeof(*recipes));
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_remove(L, -3);
        recipes[i].name = check_bytes(L, -2);
        recipes[i].source = check_bytes(L, -1);
    }

    struct testkit_world **world = lua_newuserdata(L, sizeof(struct testkit_world *));
    *world = NULL;
    luaL_getmetatable(L, WORLD_METATABLE);
    lua_setmetatable(L, -2);
    struct mk_error error;
    *world = testkit_world_new(recipes, count, &error);
    return *world != NULL ? 1 : luaL_error(L, "%s", error.text);
}

static int world_gc(lua_State *L)
{
    struct testkit_world **world = luaL_checkudata(L, 1, WORLD_METATABLE);

    if (*world != NULL) {
        testkit_world_free(*world);
        *world = NULL;
    }
    return 0;
}

static int world_advance(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    lua_Number ms = luaL_checknumber(L, 2);

    luaL_argcheck(L, ms >= 0 && ms <= 1e12, 2, "milliseconds, and not backwards");
    testkit_world_advance(world, (mk_ms)ms);
    return 0;
}

static int world_cut(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    lua_Integer entries = luaL_checkinteger(L, 2);

    luaL_argcheck(L, entries >= 0 && entries <= INT32_MAX, 2, "a number of proposals");
    luaL_argcheck(L, !world->cut_armed, 1, "a fail-over is under way already");
    testkit_world_cut(world, (uint32_t)entries);
    return 0;
}

static int world_dark(lua_State *L)
{
    lua_pushboolean(L, check_world(L)->dark);
    return 1;
}

static int world_fail_over(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    struct mk_error error;

    return testkit_world_fail_over(world, &error) ? 0 : luaL_error(L, "%s", error.text);
}

static int world_check(lua_State *L)
{
    server_check(check_world(L)->server);
    return 0;
}

static int world_log(lua_State *L)
{
    struct mk_bytes lines = mk_buf_view(&check_world(L)->lines);

    lua_pushlstring(L, lines.len > 0 ? (const char *)lines.data : "", lines.len);
    return 1;
}

static int world_stats(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    struct server_stats stats;

    server_stats_read(world->server, &stats);
    lua_newtable(L);
    set_number(L, "now_ms", world->now.monotonic_ms);
    set_number(L, "zxid", stats.zxid);
    set_number(L, "proposals", (int64_t)stats.proposals);
    set_number(L, "woken", (int64_t)stats.calls_woken);
    set_number(L, "waiting", stats.totals.calls);
    return 1;
}

/* children(path) -> names, or nil: there is no such znode */
static int world_children(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    struct mk_bytes path = check_bytes(L, 2);
    struct mk_buf *names = buf_push(L);

    if (testkit_world_children(world, path, names) != MK_OK) {
        return 0;
    }
    push_fields(L, names);
    return 1;
}

/* znode(path) -> what it is, whoever may read it; or nil */
static int world_znode(lua_State *L)
{
    struct testkit_world *world = check_world(L);
    struct store_znode znode;

    if (store_znode_read(store_committed(world->store), check_bytes(L, 2), true, &znode) != MK_OK) {
        return 0;
    }
    mk_session owner = tree_owner_session(znode.stat.owner, true);
    lua_newtable(L);
    push_bytes(L, znode.data);
    lua_setfield(L, -2, "data");
    set_number(L, "czxid", znode.stat.czxid);
    set_number(L, "mzxid", znode.stat.mzxid);
    set_number(L, "version", znode.stat.version);
    set_number(L, "children", znode.children_count);
    lua_pushboolean(L, znode.stat.owner == TREE_OWNER_CONTAINER);
    lua_setfield(L, -2, "container");
    if (owner != 0) {
        push_session(L, owner);
        lua_setfield(L, -2, "owner");
    }
    return 1;
}

/* ---- Sessions ---- */

static int client_make(lua_State *L)
{
    struct testkit_world *world = check_world(L);

    (void)testkit_client_new(world);
    lua_pushinteger(L, world->clients_count);
    return 1;
}

/* attach(client, timeout_ms) -> id, timeout_ms; or nil: the session has ended; false: no answer */
static int client_attach(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    lua_Number timeout_ms = luaL_checknumber(L, 3);

    luaL_argcheck(L, timeout_ms >= 1 && timeout_ms <= TESTKIT_TIMEOUT_MAX_MS, 3, "1ms to a day");
    switch (testkit_client_attach(client, (mk_ms)timeout_ms)) {
    case TESTKIT_ATTACHED:
        push_session(L, client->session);
        lua_pushinteger(L, client->timeout_ms);
        return 2;
    case TESTKIT_REFUSED: return 0;
    case TESTKIT_UNANSWERED: lua_pushboolean(L, 0); return 1;
    }
    return 0;
}

static int client_detach(lua_State *L)
{
    testkit_client_detach(check_client(L));
    return 0;
}

static int client_connected(lua_State *L)
{
    lua_pushboolean(L, check_client(L)->conn != NULL);
    return 1;
}

static int client_alive(lua_State *L)
{
    struct testkit_client *client = check_client(L);

    lua_pushboolean(L, testkit_world_session_alive(client->world, client->session));
    return 1;
}

/* call_node(client, id) -> path of the parked call's node, or nil */
static int client_call_node(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    int64_t id = (int64_t)luaL_checknumber(L, 3);
    struct mk_buf *path = buf_push(L);

    if (!testkit_world_call_node(client->world, client->session, id, path)) {
        return 0;
    }
    push_bytes(L, mk_buf_view(path));
    return 1;
}

/* ---- Requests: ...(client, ...) -> xid, or nil: it is not connected ---- */

static int ask(lua_State *L, struct testkit_client *client, struct jute_request *request)
{
    int32_t xid = testkit_client_ask(client, request);

    if (xid == 0) {
        return 0;
    }
    lua_pushinteger(L, xid);
    return 1;
}

/* An ACL of one entry, as in zkCli: "world:anyone:r" or "digest:ann:hash:cdrwa". */
static size_t acl_put(lua_State *L, int index, uint8_t *out, size_t size)
{
    static const char letters[] = "rwcda"; /* bits 1, 2, 4, 8, 16 */
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    const char *id = strchr(text, ':');
    const char *rights = strrchr(text, ':');
    int32_t mask = 0;

    luaL_argcheck(L, id != NULL && rights > id && len + 16 <= size, index,
                  "an ACL is scheme:id:rights, such as world:anyone:r");
    for (const char *right = rights + 1; *right != '\0'; right++) {
        const char *letter = strchr(letters, *right);
        luaL_argcheck(L, letter != NULL, index, "rights are letters of cdrwa");
        mask |= 1 << (letter - letters);
    }
    size_t scheme_len = (size_t)(id - text);
    size_t id_len = (size_t)(rights - id - 1);
    mk_store_u32(out, 1);
    mk_store_u32(out + 4, (uint32_t)mask);
    mk_store_u32(out + 8, (uint32_t)scheme_len);
    memcpy(out + 12, text, scheme_len);
    mk_store_u32(out + 12 + scheme_len, (uint32_t)id_len);
    memcpy(out + 16 + scheme_len, id + 1, id_len);
    return 16 + scheme_len + id_len;
}

/* create(client, path, data, kind, acl); kind: 0 .. 3 as ZooKeeper's flags, 4 a container */
static int client_create(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    uint8_t acl[512];
    struct jute_request request = {
        .path = check_bytes(L, 3),
        .data = check_bytes(L, 4),
        .flags = (int32_t)luaL_checkinteger(L, 5),
        .acl = mk_bytes_of(acl, acl_put(L, 6, acl, sizeof(acl))),
    };

    request.op = request.flags == 4 ? JUTE_CREATE_CONTAINER : JUTE_CREATE;
    return ask(L, client, &request);
}

static int client_delete(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    struct jute_request request = {
        .op = JUTE_DELETE, .path = check_bytes(L, 3), .version = (int32_t)luaL_checkinteger(L, 4)};

    return ask(L, client, &request);
}

/* set_acl(client, path, acl) */
static int client_set_acl(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    uint8_t acl[512];
    struct jute_request request = {.op = JUTE_SET_ACL,
                                   .path = check_bytes(L, 3),
                                   .acl = mk_bytes_of(acl, acl_put(L, 4, acl, sizeof(acl))),
                                   .version = -1};

    return ask(L, client, &request);
}

static int client_set(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    struct jute_request request = {.op = JUTE_SET_DATA,
                                   .path = check_bytes(L, 3),
                                   .data = check_bytes(L, 4),
                                   .version = (int32_t)luaL_checkinteger(L, 5)};

    return ask(L, client, &request);
}

static int ask_path(lua_State *L, int32_t op)
{
    struct testkit_client *client = check_client(L);
    struct jute_request request = {.op = op, .path = check_bytes(L, 3)};

    return ask(L, client, &request);
}

static int client_get(lua_State *L)
{
    return ask_path(L, JUTE_GET_DATA);
}

static int client_exists(lua_State *L)
{
    return ask_path(L, JUTE_EXISTS);
}

static int client_children(lua_State *L)
{
    return ask_path(L, JUTE_GET_CHILDREN);
}

/* auth(client, scheme, credentials) */
static int client_auth(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    struct jute_request request = {.op = JUTE_AUTH,
                                   .xid = JUTE_XID_AUTH,
                                   .scheme = check_bytes(L, 3),
                                   .data = check_bytes(L, 4)};

    return ask(L, client, &request);
}

static int client_close(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    struct jute_request request = {.op = JUTE_CLOSE_SESSION};

    return ask(L, client, &request);
}

/* call(client, operation, id, done_through, json, chroot or nil) */
static int client_call(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    struct jute_request request = {
        .op = JUTE_CALL,
        .operation = check_bytes(L, 3),
        .call_id = (int64_t)luaL_checknumber(L, 4),
        .done_through = (int64_t)luaL_checknumber(L, 5),
        .chroot = lua_isnoneornil(L, 7) ? MK_BYTES_NULL : check_bytes(L, 7),
        .format = JUTE_CALL_JSON,
        .data = check_bytes(L, 6),
    };

    return ask(L, client, &request);
}

/* ---- Answers ---- */

static void push_stat(lua_State *L, struct mk_reader *reader)
{
    struct jute_stat stat = jute_read_stat(reader);

    lua_newtable(L);
    set_number(L, "czxid", stat.czxid);
    set_number(L, "mzxid", stat.mzxid);
    set_number(L, "pzxid", stat.pzxid);
    set_number(L, "version", stat.version);
    set_number(L, "children", stat.children_count);
    if (stat.ephemeral_owner != 0) {
        push_session(L, stat.ephemeral_owner);
        lua_setfield(L, -2, "owner");
    }
}

enum answer { ANSWER_NONE, ANSWER_PATH, ANSWER_STAT, ANSWER_DATA, ANSWER_NAMES, ANSWER_CALL };
static const char *const answer_names[] = {"none", "path", "stat", "data", "names", "call", NULL};

/* error name, message; or false, value, stat */
static int push_answer(lua_State *L, enum answer kind, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);

    if (reply->error != 0) {
        lua_pushstring(L, jute_error_name(reply->error));
        lua_pushstring(L, mk_status_text(jute_error_status(reply->error)));
        return 2;
    }
    lua_pushboolean(L, 0);
    switch (kind) {
    case ANSWER_NONE: return 1;
    case ANSWER_PATH: push_bytes(L, mk_read_field(&reader)); return 2;
    case ANSWER_STAT: push_stat(L, &reader); return 2;
    case ANSWER_DATA:
        push_bytes(L, mk_read_field(&reader));
        push_stat(L, &reader);
        return 3;
    case ANSWER_NAMES:
        (void)mk_read_i32(&reader); /* how many */
        push_strings(L, &reader);
        return 2;
    case ANSWER_CALL: break;
    }
    struct mk_bytes error = mk_read_field(&reader);
    struct mk_bytes message = mk_read_field(&reader);
    struct mk_bytes result = mk_read_field(&reader);
    if (error.data != NULL) {
        lua_pop(L, 1);
        push_bytes(L, error);
        push_bytes(L, message);
    } else {
        push_bytes(L, result);
    }
    return 2;
}

/* answer(client, xid, kind) -> nothing: there is none; error name, message; or false, value, stat */
static int client_answer(lua_State *L)
{
    struct testkit_client *client = check_client(L);
    int32_t xid = (int32_t)luaL_checkinteger(L, 3);
    enum answer kind = (enum answer)luaL_checkoption(L, 4, NULL, answer_names);
    struct jute_reply reply;

    if (!testkit_client_answer(client, xid, &reply)) {
        return 0;
    }
    int results = push_answer(L, kind, &reply);
    testkit_client_take(client, xid);
    return results;
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
    struct mk_buf *names = buf_push(L);
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
    push_fields(L, names);
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
                                         {"create", client_create},
                                         {"delete", client_delete},
                                         {"set", client_set},
                                         {"set_acl", client_set_acl},
                                         {"get", client_get},
                                         {"exists", client_exists},
                                         {"children", client_children},
                                         {"auth", client_auth},
                                         {"close", client_close},
                                         {"call", client_call},
                                         {"answer", client_answer},
                                         {NULL, NULL}};

static const luaL_Reg module_functions[] = {{"world", world_make},
                                            {"recipes", recipes_list},
                                            {"encode", testkit_json_encode},
                                            {"decode", testkit_json_decode},
                                            {NULL, NULL}};

int luaopen_moonkeeper_testkit(lua_State *L)
{
    luaL_newmetatable(L, WORLD_METATABLE);
    lua_newtable(L);
    luaL_register(L, NULL, world_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, world_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);

    lua_newtable(L);
    luaL_register(L, NULL, module_functions);
    return 1;
}
