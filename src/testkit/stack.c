/* Arguments and results of what Lua calls. An error of Lua's is a longjmp: what has to be freed lies in
 * a userdata with a __gc. */
#include "testkit/stack.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>

/* ---- Arguments. [-0, +0, raises] ---- */

struct mk_bytes testkit_check_bytes(lua_State *L, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);

    return mk_bytes_of(text, len);
}

struct testkit_world *testkit_check_world(lua_State *L)
{
    struct testkit_world **world = luaL_checkudata(L, 1, TESTKIT_WORLD);

    luaL_argcheck(L, *world != NULL && (*world)->leader != NULL, 1, "the world has ended");
    return *world;
}

struct testkit_client *testkit_check_client(lua_State *L)
{
    struct testkit_world *world = testkit_check_world(L);
    lua_Integer number = luaL_checkinteger(L, 2);

    luaL_argcheck(L, number >= 1 && number <= (lua_Integer)world->clients_count, 2, "no client");
    return world->clients[number - 1];
}

/* ---- Results. [-0, +n, raises] ---- */

void testkit_push_bytes(lua_State *L, struct mk_bytes bytes)
{
    if (bytes.data == NULL) {
        lua_pushnil(L);
    } else {
        lua_pushlstring(L, (const char *)bytes.data, bytes.len);
    }
}

void testkit_set_number(lua_State *L, const char *name, int64_t number)
{
    lua_pushnumber(L, (lua_Number)number);
    lua_setfield(L, -2, name);
}

/* As call.session has it: neighbouring ids are equal as numbers of Lua. */
void testkit_push_session(lua_State *L, mk_session session)
{
    char hex[17];

    (void)snprintf(hex, sizeof(hex), "%016" PRIx64, (uint64_t)session);
    lua_pushstring(L, hex);
}

void testkit_push_strings(lua_State *L, struct mk_reader *fields)
{
    lua_newtable(L);
    for (int i = 1; mk_reader_left(fields) > 0; i++) {
        testkit_push_bytes(L, mk_read_field(fields));
        lua_rawseti(L, -2, i);
    }
}

static int buf_gc(lua_State *L)
{
    mk_buf_free(lua_touserdata(L, 1));
    return 0;
}

/* A buffer that the collector frees, since an error of Lua's is a longjmp. */
struct mk_buf *testkit_buf_push(lua_State *L)
{
    struct mk_buf *buf = lua_newuserdata(L, sizeof(*buf));

    *buf = (struct mk_buf){0};
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, buf_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return buf;
}

void testkit_push_fields(lua_State *L, const struct mk_buf *buf)
{
    struct mk_reader reader = mk_reader_of(mk_buf_view(buf));

    testkit_push_strings(L, &reader);
}
