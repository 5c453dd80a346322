/* znode and session: what a recipe sees of the tree and does to it, through the host. */
#include "recipe/environment.h"
#include "recipe/options.h"
#include "recipe/run.h"
#include "recipe/value.h"

#include <string.h>

/* What the host does for a question, however little it answers, in bytes' worth of work. */
#define READ_WORK 256
#define SEARCH_WORK 1024 /* a cursor is opened */

/* ---- Reading one znode ---- */

/* False: there is none. */
static bool znode_read(lua_State *L, const char *what, struct recipe_znode *out)
{
    struct run_state *state = run_of(L, what);
    struct mk_bytes path = sandbox_check_bytes(L, 1);
    *out = (struct recipe_znode){.version = 0};
    sandbox_charge(L, READ_WORK);
    enum mk_status status = state->run->host->ops->read(state->run->host, path, out);
    if (status == MK_NO_NODE) {
        return false;
    }
    run_check(L, status, what, path);
    return true;
}

static void session_push(lua_State *L, mk_session session)
{
    static const char digits[] = "0123456789abcdef";
    char text[16];
    for (int i = 0; i < 16; i++) {
        text[i] = digits[(uint64_t)session >> (60 - 4 * i) & 0xf];
    }
    lua_pushlstring(L, text, sizeof(text));
}

static void stat_push(lua_State *L, const struct recipe_znode *znode)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_STAT);
    lua_pushnumber(L, (lua_Number)znode->czxid);
    lua_pushnumber(L, (lua_Number)znode->mzxid);
    lua_pushnumber(L, (lua_Number)znode->pzxid);
    lua_pushnumber(L, (lua_Number)znode->ctime_ms);
    lua_pushnumber(L, (lua_Number)znode->mtime_ms);
    lua_pushnumber(L, znode->version);
    lua_pushnumber(L, znode->cversion);
    lua_pushnumber(L, znode->aversion);
    lua_pushnumber(L, znode->children_count);
    lua_pushnumber(L, znode->data_length);
    if (znode->owner != 0) {
        session_push(L, znode->owner);
    } else {
        lua_pushnil(L);
    }
    sandbox_call(L, 11, 1);
}

static int znode_get(lua_State *L)
{
    struct recipe_znode znode;
    if (!znode_read(L, "znode.get", &znode)) {
        lua_pushnil(L);
        return 1;
    }
    sandbox_push_bytes(L, znode.data);
    stat_push(L, &znode);
    return 2;
}

static int znode_stat(lua_State *L)
{
    struct recipe_znode znode;
    if (!znode_read(L, "znode.stat", &znode)) {
        lua_pushnil(L);
        return 1;
    }
    stat_push(L, &znode);
    return 1;
}

static int znode_exists(lua_State *L)
{
    struct recipe_znode znode;
    lua_pushboolean(L, znode_read(L, "znode.exists", &znode));
    return 1;
}

static int znode_count(lua_State *L)
{
    struct recipe_znode znode;
    bool exists = znode_read(L, "znode.count", &znode);
    lua_pushinteger(L, exists ? znode.children_count : 0);
    return 1;
}

/* ---- Effects ---- */

static int znode_create(lua_State *L)
{
    static const char what[] = "znode.create";
    enum { DATA, EPHEMERAL, SEQUENTIAL, CONTAINER, PARENTS };
    struct option options[] = {[DATA] = {"data", LUA_TSTRING},
                               [EPHEMERAL] = {"ephemeral", LUA_TBOOLEAN},
                               [SEQUENTIAL] = {"sequential", LUA_TBOOLEAN},
                               [CONTAINER] = {"container", LUA_TBOOLEAN},
                               [PARENTS] = {"parents", LUA_TBOOLEAN}};
    struct run_state *state = run_of(L, what);
    struct recipe_host *host = state->run->host;
    options_read(L, 2, what, options, MK_COUNT(options));
    struct recipe_create create = {
        .path = sandbox_check_bytes(L, 1),
        .data = options[DATA].given ? options[DATA].text : MK_BYTES(""),
        .ephemeral = options[EPHEMERAL].flag,
        .sequential = options[SEQUENTIAL].flag,
        .container = options[CONTAINER].flag,
        .parents = options[PARENTS].flag,
    };

    run_effect_begin(L, state, what);
    struct mk_buf *path = &sandbox_of(L)->scratch;
    path->len = 0;
    run_check(L, host->ops->create(host, &create, path), what, create.path);
    run_effect_done(L, state, what);
    sandbox_push_bytes(L, mk_buf_view(path));
    return 1;
}

/* -1, any version, unless argument `index` says which. */
static int32_t version_check(lua_State *L, int index, const char *what)
{
    if (lua_isnoneornil(L, index)) {
        return -1;
    }
    lua_Number version = luaL_checknumber(L, index);
    if (!(version >= INT32_MIN && version <= INT32_MAX)) {
        luaL_error(L, "%s: a version has 32 bits", what);
    }
    return (int32_t)version;
}

static int znode_set(lua_State *L)
{
    static const char what[] = "znode.set";
    struct run_state *state = run_of(L, what);
    struct recipe_host *host = state->run->host;
    struct mk_bytes path = sandbox_check_bytes(L, 1);
    struct mk_bytes data = sandbox_check_bytes(L, 2);
    int32_t version = version_check(L, 3, what);
    int32_t version_now = 0;

    run_effect_begin(L, state, what);
    run_check(L, host->ops->set(host, path, data, version, &version_now), what, path);
    run_effect_done(L, state, what);
    lua_pushinteger(L, version_now);
    return 1;
}

/* True, or false if there was nothing to delete; a path of nil is nothing, too: `cancel` recalls
 * what may never have been made. */
static int znode_delete(lua_State *L)
{
    static const char what[] = "znode.delete";
    struct run_state *state = run_of(L, what);
    struct recipe_host *host = state->run->host;
    luaL_checkany(L, 1);
    if (lua_isnil(L, 1)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    struct mk_bytes path = sandbox_check_bytes(L, 1);
    int32_t version = version_check(L, 2, what);

    run_effect_begin(L, state, what);
    enum mk_status status = host->ops->remove(host, path, version);
    if (status != MK_NO_NODE) {
        run_check(L, status, what, path);
        run_effect_done(L, state, what);
    }
    lua_pushboolean(L, status == MK_OK);
    return 1;
}

/* ---- Children and siblings ---- */

#define LIKE_MAX 16

/* What is wanted of the children, and those found so far. The host calls back, and nothing may be
 * raised through it: names go to the run's scraps, and a spent budget is noted. */
struct search {
    struct sandbox *sandbox;
    struct mk_bytes like[LIKE_MAX]; /* a name contains one of them; borrowed from the Lua stack */
    size_t like_count;
    size_t limit;
    struct found {
        struct mk_bytes name;
        struct found *next;
    } * first, *last;
    size_t count;
    uint64_t work;
    bool over;
};

static bool search_visit(void *context, struct mk_bytes name)
{
    struct search *search = context;
    search->work += name.len * (1 + search->like_count) + sizeof(struct found);
    if (search->work > search->sandbox->limits->work_max - search->sandbox->spent.work) {
        search->over = true;
        return false;
    }
    bool wanted = search->like_count == 0;
    for (size_t i = 0; i < search->like_count && !wanted; i++) {
        struct mk_bytes part = search->like[i];
        wanted = memmem(name.data, name.len, part.data, part.len) != NULL;
    }
    if (!wanted) {
        return true;
    }
    struct found *found = mk_arena_alloc(&search->sandbox->scraps, sizeof(*found));
    *found = (struct found){.name = mk_arena_copy(&search->sandbox->scraps, name)};
    if (search->last == NULL) {
        search->first = found;
    } else {
        search->last->next = found;
    }
    search->last = found;
    return ++search->count < search->limit;
}

static void like_add(lua_State *L, struct search *search, const char *what, int index)
{
    if (lua_type(L, index) != LUA_TSTRING || lua_objlen(L, index) == 0 ||
        search->like_count == LIKE_MAX) {
        luaL_error(L, "%s: 'like' is a string, or a list of at most %d strings", what, LIKE_MAX);
    }
    search->like[search->like_count++] = sandbox_bytes(L, index);
}

/* Borrows from the options' table. [-0, +0, raises] */
static void like_read(lua_State *L, int index, struct search *search, const char *what)
{
    lua_getfield(L, index, "like");
    if (lua_type(L, -1) == LUA_TTABLE) {
        int count = (int)lua_objlen(L, -1);
        for (int i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, i);
            like_add(L, search, what, lua_gettop(L));
            lua_pop(L, 1);
        }
    } else {
        like_add(L, search, what, lua_gettop(L));
    }
    lua_pop(L, 1);
}

/* What is searched, where and how, from arguments 1 and 2; the first two options are those of a
 * search that finds one name. */
enum { BY, LIKE, BACKWARDS, LIMIT, FROM };

static void search_read(lua_State *L, const char *what, size_t options_count, struct search *search,
                        struct recipe_siblings *query)
{
    struct option options[] = {[BY] = {"by", LUA_TSTRING},
                               [LIKE] = {"like", LUA_TNONE},
                               [BACKWARDS] = {"backwards", LUA_TBOOLEAN},
                               [LIMIT] = {"limit", LUA_TNUMBER},
                               [FROM] = {"from", LUA_TSTRING}};
    *query = (struct recipe_siblings){.path = sandbox_check_bytes(L, 1)};
    *search = (struct search){.sandbox = sandbox_of(L), .limit = 1};
    options_read(L, 2, what, options, options_count);
    query->by_creation = mk_bytes_equal(options[BY].text, MK_BYTES("creation"));
    query->backwards = options[BACKWARDS].flag;
    query->from = options[FROM].text;
    if (options[BY].given && !query->by_creation &&
        !mk_bytes_equal(options[BY].text, MK_BYTES("name"))) {
        luaL_error(L, "%s: 'by' is \"name\" or \"creation\"", what);
    }
    if (options[LIKE].given) {
        like_read(L, 2, search, what);
    }
    if (options_count == MK_COUNT(options)) {
        double limit = options[LIMIT].given ? options[LIMIT].number : INT32_MAX;
        if (!(limit >= 1 && limit <= INT32_MAX)) {
            luaL_error(L, "%s: 'limit' is at least 1", what);
        }
        search->limit = (size_t)limit;
    }
}

static enum mk_status search_do(lua_State *L, struct run_state *state, struct search *search,
                                const struct recipe_siblings *query)
{
    struct recipe_host *host = state->run->host;
    sandbox_charge(L, SEARCH_WORK);
    enum mk_status status = host->ops->children(host, query, search_visit, search);
    if (search->over) {
        sandbox_charge(L, UINT64_MAX);
    }
    sandbox_charge(L, search->work);
    return status;
}

/* A list of names; of a znode that does not exist, the empty list. */
static int znode_children(lua_State *L)
{
    static const char what[] = "znode.children";
    struct run_state *state = run_of(L, what);
    struct search search;
    struct recipe_siblings query;
    search_read(L, what, FROM + 1, &search, &query);
    enum mk_status status = search_do(L, state, &search, &query);
    if (status != MK_NO_NODE || query.from.data != NULL) {
        run_check(L, status, what, query.path);
    }
    lua_newtable(L);
    sandbox_set_metatable(L, SLOT_LIST);
    int count = 0;
    for (const struct found *found = search.first; found != NULL; found = found->next) {
        sandbox_push_bytes(L, found->name);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* Push the path of what was found below `parent`, or nil. */
static int found_push(lua_State *L, const struct search *search, struct mk_bytes parent)
{
    if (search->first == NULL) {
        lua_pushnil(L);
        return 1;
    }
    bool root = parent.len == 1;
    struct mk_buf *path = &sandbox_of(L)->scratch;
    path->len = 0;
    mk_buf_append_bytes(path, parent);
    mk_buf_append(path, "/", root ? 0 : 1);
    mk_buf_append_bytes(path, search->first->name);
    sandbox_push_bytes(L, mk_buf_view(path));
    return 1;
}

static int child_push(lua_State *L, const char *what, bool backwards)
{
    struct run_state *state = run_of(L, what);
    struct search search;
    struct recipe_siblings query;
    search_read(L, what, LIKE + 1, &search, &query);
    query.backwards = backwards;
    enum mk_status status = search_do(L, state, &search, &query);
    if (status != MK_NO_NODE) {
        run_check(L, status, what, query.path);
    }
    return found_push(L, &search, query.path);
}

static int znode_first_child(lua_State *L)
{
    return child_push(L, "znode.first_child", false);
}

static int znode_last_child(lua_State *L)
{
    return child_push(L, "znode.last_child", true);
}

/* A neighbour of a znode that is gone is an error and not nil: nil means "nobody is before me", and
 * recipes grant on it. */
static int sibling_push(lua_State *L, const char *what, bool backwards)
{
    struct run_state *state = run_of(L, what);
    struct mk_bytes path = sandbox_check_bytes(L, 1);
    struct search search;
    struct recipe_siblings query;
    struct recipe_znode znode;
    search_read(L, what, LIKE + 1, &search, &query);
    const uint8_t *slash = memrchr(path.data, '/', path.len);
    if (slash == NULL || path.len == 1) {
        run_check(L, MK_BAD_ARGUMENTS, what, path);
    }
    if (!query.by_creation && !znode_read(L, what, &znode)) { /* by creation, the host says so */
        run_check(L, MK_NO_NODE, what, path);
    }
    size_t parent_len = (size_t)(slash - path.data);
    query.path = mk_bytes_of(path.data, parent_len == 0 ? 1 : parent_len);
    query.from = mk_bytes_of(slash + 1, path.len - parent_len - 1);
    query.backwards = backwards;
    run_check(L, search_do(L, state, &search, &query), what, path);
    return found_push(L, &search, query.path);
}

static int znode_sibling_before(lua_State *L)
{
    return sibling_push(L, "znode.sibling_before", true);
}

static int znode_sibling_after(lua_State *L)
{
    return sibling_push(L, "znode.sibling_after", false);
}

void library_push_znode(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"get", znode_get},
        {"stat", znode_stat},
        {"exists", znode_exists},
        {"count", znode_count},
        {"create", znode_create},
        {"set", znode_set},
        {"delete", znode_delete},
        {"children", znode_children},
        {"first_child", znode_first_child},
        {"last_child", znode_last_child},
        {"sibling_before", znode_sibling_before},
        {"sibling_after", znode_sibling_after},
        {NULL, NULL},
    };
    environment_push_functions(L, functions);
}

/* ---- session ---- */

static int session_alive(lua_State *L)
{
    static const char what[] = "session.alive";
    struct run_state *state = run_of(L, what);
    struct recipe_host *host = state->run->host;
    struct mk_bytes text = sandbox_check_bytes(L, 1);
    uint64_t session = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool digit = byte >= '0' && byte <= '9';
        if (text.len != 16 || (!digit && !(byte >= 'a' && byte <= 'f'))) {
            return luaL_error(L, "session.alive: a session's id is 16 hexadecimal digits");
        }
        session = session << 4 | (uint64_t)(digit ? byte - '0' : byte - 'a' + 10);
    }
    bool alive = false;
    run_check(L, host->ops->session_alive(host, (mk_session)session, &alive), what, text);
    lua_pushboolean(L, alive);
    return 1;
}

void library_push_session(lua_State *L)
{
    static const luaL_Reg functions[] = {{"alive", session_alive}, {NULL, NULL}};
    environment_push_functions(L, functions);
}
