/* What a client asks, and what it is told: requests, answers, watch events. Each request is a method of
 * the world's, (client, ...) -> xid, or nothing: the client is not connected. */
#include "testkit/requests.h"

#include <lauxlib.h>
#include <string.h>

#include "testkit/stack.h"

#define XID_SET_WATCHES \
    (-8) /* as ZooKeeper's clients have it: the answer to no request of theirs */

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

/* ---- Operations: alone, or in a multi. Their arguments begin at `at` on the stack. ---- */

#define ACL_BYTES_MAX 512 /* one entry, with names of identities as specs have them */

/* path, data, kind, acl; kind: 0 .. 3 as ZooKeeper's flags, 4 a container */
static struct jute_request create_of(lua_State *L, int at, uint8_t acl[ACL_BYTES_MAX])
{
    int32_t flags = (int32_t)luaL_checkinteger(L, at + 2);

    return (struct jute_request){
        .op = flags == 4 ? JUTE_CREATE_CONTAINER : JUTE_CREATE,
        .path = testkit_check_bytes(L, at),
        .data = testkit_check_bytes(L, at + 1),
        .flags = flags,
        .acl = mk_bytes_of(acl, acl_put(L, at + 3, acl, ACL_BYTES_MAX)),
    };
}

/* path, data, version */
static struct jute_request set_of(lua_State *L, int at)
{
    return (struct jute_request){.op = JUTE_SET_DATA,
                                 .path = testkit_check_bytes(L, at),
                                 .data = testkit_check_bytes(L, at + 1),
                                 .version = (int32_t)luaL_checkinteger(L, at + 2)};
}

/* path, version; of DELETE or CHECK */
static struct jute_request version_of(lua_State *L, int at, int32_t op)
{
    return (struct jute_request){.op = op,
                                 .path = testkit_check_bytes(L, at),
                                 .version = (int32_t)luaL_checkinteger(L, at + 1)};
}

static int client_create(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    uint8_t acl[ACL_BYTES_MAX];
    struct jute_request request = create_of(L, 3, acl);

    return ask(L, client, &request);
}

static int client_delete(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = version_of(L, 3, JUTE_DELETE);

    return ask(L, client, &request);
}

static int client_set(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = set_of(L, 3);

    return ask(L, client, &request);
}

/* ---- Multis ---- */

#define OPERATIONS_MAX 10000 /* more than a frame of jute.maxbuffer holds of any use */
#define OPERATION_WORDS 5    /* its name, and up to four arguments */

static void operation_put(lua_State *L, int at, struct mk_buf *out)
{
    static const char *const names[] = {"create", "delete", "set", "check", NULL};
    uint8_t acl[ACL_BYTES_MAX];
    struct jute_request operation;

    switch (luaL_checkoption(L, at, NULL, names)) {
    case 0: operation = create_of(L, at + 1, acl); break;
    case 1: operation = version_of(L, at + 1, JUTE_DELETE); break;
    case 2: operation = set_of(L, at + 1); break;
    default: operation = version_of(L, at + 1, JUTE_CHECK); break;
    }
    jute_multi_request_put(out, &operation);
}

/* multi(client, { {"create", path, data, kind, acl}, {"check", path, version}, ... }) */
static int client_multi(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);

    luaL_checktype(L, 3, LUA_TTABLE);
    size_t count = lua_objlen(L, 3);
    luaL_argcheck(L, count <= OPERATIONS_MAX, 3, "too many operations");
    struct mk_buf *operations = testkit_buf_push(L);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 3, (int)i);
        luaL_checktype(L, -1, LUA_TTABLE);
        int table = lua_gettop(L);
        for (int word = 1; word <= OPERATION_WORDS; word++) {
            lua_rawgeti(L, table, word);
        }
        operation_put(L, table + 1, operations);
        lua_settop(L, table - 1);
    }
    struct jute_request request = {.op = JUTE_MULTI, .operations = mk_buf_view(operations)};
    return ask(L, client, &request);
}

/* ---- Other requests ---- */

/* set_acl(client, path, acl) */
static int client_set_acl(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    uint8_t acl[ACL_BYTES_MAX];
    struct jute_request request = {.op = JUTE_SET_ACL,
                                   .path = testkit_check_bytes(L, 3),
                                   .acl = mk_bytes_of(acl, acl_put(L, 4, acl, sizeof(acl))),
                                   .version = -1};

    return ask(L, client, &request);
}

/* ...(client, path, watch) */
static int ask_path(lua_State *L, int32_t op)
{
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = {
        .op = op, .path = testkit_check_bytes(L, 3), .watch = lua_toboolean(L, 4)};

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
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = {.op = JUTE_AUTH,
                                   .xid = JUTE_XID_AUTH,
                                   .scheme = testkit_check_bytes(L, 3),
                                   .data = testkit_check_bytes(L, 4)};

    return ask(L, client, &request);
}

static int client_close(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = {.op = JUTE_CLOSE_SESSION};

    return ask(L, client, &request);
}

/* call(client, operation, id, done_through, json, chroot or nil) */
static int client_call(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = {
        .op = JUTE_CALL,
        .operation = testkit_check_bytes(L, 3),
        .call_id = (int64_t)luaL_checknumber(L, 4),
        .done_through = (int64_t)luaL_checknumber(L, 5),
        .chroot = lua_isnoneornil(L, 7) ? MK_BYTES_NULL : testkit_check_bytes(L, 7),
        .format = JUTE_CALL_JSON,
        .data = testkit_check_bytes(L, 6),
    };

    return ask(L, client, &request);
}

/* ---- Watches ---- */

/* Fields of the list at `index`, into a buffer on the stack. [-0, +1, raises] */
static struct jute_strings paths_push(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    int count = (int)lua_objlen(L, index);
    struct mk_buf *paths = testkit_buf_push(L);

    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        mk_buf_put_field(paths, testkit_check_bytes(L, -1));
        lua_pop(L, 1);
    }
    return (struct jute_strings){.count = count, .bytes = mk_buf_view(paths)};
}

/* set_watches(client, data, exists, children): lists of paths, watched since what it was last told */
static int client_set_watches(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
    struct jute_request request = {
        .op = JUTE_SET_WATCHES, .xid = XID_SET_WATCHES, .relative_zxid = client->zxid};

    for (int i = 0; i < 3; i++) {
        request.lists[i] = paths_push(L, 3 + i);
    }
    return ask(L, client, &request);
}

/* event(client) -> "changed", path: what has happened to a znode that it watches; or nothing */
static int client_event(lua_State *L)
{
    static const char *const names[] = {[JUTE_EVENT_CREATED] = "created",
                                        [JUTE_EVENT_DELETED] = "deleted",
                                        [JUTE_EVENT_DATA_CHANGED] = "changed",
                                        [JUTE_EVENT_CHILDREN_CHANGED] = "children"};
    struct testkit_client *client = testkit_check_client(L);
    struct jute_reply reply;

    if (!testkit_client_answer(client, JUTE_XID_NOTIFICATION, &reply)) {
        return 0;
    }
    struct mk_reader reader = mk_reader_of(reply.body);
    int32_t event = mk_read_i32(&reader);
    (void)mk_read_i32(&reader); /* the connection's state */
    struct mk_bytes path = mk_read_field(&reader);
    MK_ASSERT(event >= JUTE_EVENT_CREATED && event <= JUTE_EVENT_CHILDREN_CHANGED);
    MK_ASSERT(!reader.failed);
    lua_pushstring(L, names[event]);
    testkit_push_bytes(L, path);
    testkit_client_take(client, JUTE_XID_NOTIFICATION);
    return 2;
}

/* ---- Answers ---- */

static void push_stat(lua_State *L, struct mk_reader *reader)
{
    struct jute_stat stat = jute_read_stat(reader);

    lua_newtable(L);
    testkit_set_number(L, "czxid", stat.czxid);
    testkit_set_number(L, "mzxid", stat.mzxid);
    testkit_set_number(L, "pzxid", stat.pzxid);
    testkit_set_number(L, "version", stat.version);
    testkit_set_number(L, "children", stat.children_count);
    if (stat.ephemeral_owner != 0) {
        testkit_push_session(L, stat.ephemeral_owner);
        lua_setfield(L, -2, "owner");
    }
}

enum answer {
    ANSWER_NONE,
    ANSWER_PATH,
    ANSWER_STAT,
    ANSWER_DATA,
    ANSWER_NAMES,
    ANSWER_MULTI,
    ANSWER_CALL
};
static const char *const answer_names[] = {"none",  "path",  "stat", "data",
                                           "names", "multi", "call", NULL};

/* Name and message of an error code. [-0, +2, raises] */
static int push_error(lua_State *L, int32_t error)
{
    lua_pushstring(L, jute_error_name(error));
    lua_pushstring(L, mk_status_text(jute_error_status(error)));
    return 2;
}

/* Of an operation that was done: a path, a stat, or true. [-0, +1, raises] */
static void push_done(lua_State *L, int32_t type, struct mk_reader *reader)
{
    if (type == JUTE_CREATE) {
        testkit_push_bytes(L, mk_read_field(reader));
    } else if (type == JUTE_CREATE2) {
        testkit_push_bytes(L, mk_read_field(reader));
        (void)jute_read_stat(reader);
    } else if (type == JUTE_SET_DATA) {
        push_stat(L, reader);
    } else {
        lua_pushboolean(L, 1);
    }
}

/* false, results; or of the operation that was refused: error name, message, its place */
static int push_multi(lua_State *L, struct mk_reader *reader)
{
    lua_pushboolean(L, 0);
    lua_newtable(L);
    for (int place = 1;; place++) {
        int32_t type = mk_read_i32(reader);
        bool done = mk_read_u8(reader) != 0;
        int32_t error = mk_read_i32(reader);
        MK_ASSERT(!reader->failed);
        if (done) {
            return 2;
        }
        if (type != -1) {
            push_done(L, type, reader);
            lua_rawseti(L, -2, place);
        } else if ((error = mk_read_i32(reader)) != 0) { /* those before it say 0 */
            int results = push_error(L, error);
            lua_pushinteger(L, place);
            return results + 1;
        }
    }
}

/* error name, message; or false, value, stat */
static int push_answer(lua_State *L, enum answer kind, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);

    if (reply->error != 0) {
        return push_error(L, reply->error);
    }
    if (kind == ANSWER_MULTI) {
        return push_multi(L, &reader);
    }
    lua_pushboolean(L, 0);
    switch (kind) {
    case ANSWER_NONE: return 1;
    case ANSWER_PATH: testkit_push_bytes(L, mk_read_field(&reader)); return 2;
    case ANSWER_STAT: push_stat(L, &reader); return 2;
    case ANSWER_DATA:
        testkit_push_bytes(L, mk_read_field(&reader));
        push_stat(L, &reader);
        return 3;
    case ANSWER_NAMES:
        (void)mk_read_i32(&reader); /* how many */
        testkit_push_strings(L, &reader);
        return 2;
    case ANSWER_MULTI:
    case ANSWER_CALL: break;
    }
    struct mk_bytes error = mk_read_field(&reader);
    struct mk_bytes message = mk_read_field(&reader);
    struct mk_bytes result = mk_read_field(&reader);
    if (error.data != NULL) {
        lua_pop(L, 1);
        testkit_push_bytes(L, error);
        testkit_push_bytes(L, message);
    } else {
        testkit_push_bytes(L, result);
    }
    return 2;
}

/* answer(client, xid, kind) -> nothing: there is none; error name, message; or false, value, stat */
static int client_answer(lua_State *L)
{
    struct testkit_client *client = testkit_check_client(L);
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

/* ---- For the world's table of methods ---- */

const luaL_Reg testkit_requests[] = {
    {"create", client_create}, {"delete", client_delete},     {"set", client_set},
    {"multi", client_multi},   {"set_acl", client_set_acl},   {"get", client_get},
    {"exists", client_exists}, {"children", client_children}, {"auth", client_auth},
    {"close", client_close},   {"call", client_call},         {"set_watches", client_set_watches},
    {"event", client_event},   {"answer", client_answer},     {NULL, NULL}};
