/* What a call can do: once, recall, wait; and fail(). Its run is in library_run.c. */
#include "recipe/environment.h"
#include "recipe/options.h"
#include "recipe/run.h"
#include "recipe/value.h"

#include <math.h>

/* ---- once, recall ---- */

static struct mk_bytes step_name_check(lua_State *L, const char *what)
{
    struct mk_bytes name = sandbox_check_bytes(L, 2);
    if (name.len == 0 || name.len > STEP_NAME_BYTES_MAX) {
        luaL_error(L, "%s: a step's name has 1 to %d bytes", what, STEP_NAME_BYTES_MAX);
    }
    return name;
}

/* Encode the value on top, remember it, and put what later runs will see in its place: a copy, so
 * that changing it afterwards changes nothing in this run either. */
static void step_remember(lua_State *L, struct run_state *state, struct mk_bytes name)
{
    struct sandbox *sandbox = sandbox_of(L);
    size_t bytes_max = sandbox->limits->result_bytes_max;
    if (lua_isnil(L, -1)) {
        luaL_error(L, "call:once('%s'): the function must return what is to be remembered",
                   lua_tostring(L, 2));
    }
    sandbox->scratch.len = 0;
    value_append_msgpack(L, lua_gettop(L), &sandbox->scratch, bytes_max);
    struct mk_bytes value = mk_arena_copy(&sandbox->scraps, mk_buf_view(&sandbox->scratch));
    if (!steps_add(&state->steps, mk_arena_copy(&sandbox->scraps, name), value)) {
        luaL_error(L, "call:once: more than %d steps", STEPS_MAX);
    }
    if (state->steps.bytes > bytes_max) {
        sandbox_exhaust(L, "a call remembers more than %zu bytes", bytes_max);
    }
    lua_pop(L, 1);
    value_push_msgpack(L, value);
}

static int call_once(lua_State *L)
{
    struct run_state *state = run_of_call(L, "call:once");
    struct mk_bytes name = step_name_check(L, "call:once");
    luaL_checktype(L, 3, LUA_TFUNCTION);
    const struct step *step = steps_find(&state->steps, name);
    if (step != NULL) {
        value_push_msgpack(L, step->value);
        return 1;
    }
    if (state->once_depth == 0) {
        state->once_effects = state->effects_count;
    }
    state->once_depth++; /* a raise leaves it so: see run_once_unwound() */
    lua_settop(L, 3);
    sandbox_call(L, 0, 1);
    if (steps_find(&state->steps, name) != NULL) {
        luaL_error(L, "call:once('%s') within itself", lua_tostring(L, 2));
    }
    step_remember(L, state, name);
    state->once_depth--;
    return 1;
}

static int call_recall(lua_State *L)
{
    struct run_state *state = run_of_call(L, "call:recall");
    const struct step *step = steps_find(&state->steps, step_name_check(L, "call:recall"));
    if (step == NULL) {
        lua_pushnil(L);
    } else {
        value_push_msgpack(L, step->value);
    }
    return 1;
}

/* ---- wait ---- */

static const enum recipe_wait_kind wait_kinds[] = {RECIPE_WAIT_CREATED, RECIPE_WAIT_DELETED,
                                                   RECIPE_WAIT_CHANGED, RECIPE_WAIT_CHILDREN};

static void wait_add(lua_State *L, struct recipe_run *run, enum recipe_wait_kind kind, int index)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        luaL_error(L, "call:wait: a path is a string, not a %s", luaL_typename(L, index));
    }
    if (run->waits_count == RECIPE_WAITS_MAX) {
        luaL_error(L, "call:wait: more than %d paths", RECIPE_WAITS_MAX);
    }
    struct mk_bytes path = sandbox_bytes(L, index);
    run->waits[run->waits_count++] =
        (struct recipe_wait){.kind = kind, .path_at = run->wait_paths.len, .path_len = path.len};
    mk_buf_append_bytes(&run->wait_paths, path);
}

/* The field on top: a path, or a list of paths. */
static void wait_add_field(lua_State *L, struct recipe_run *run, enum recipe_wait_kind kind)
{
    int index = lua_gettop(L);
    if (lua_type(L, index) != LUA_TTABLE) {
        wait_add(L, run, kind, index);
        return;
    }
    struct value_keys keys = value_keys_sorted(L, index);
    if (!keys.list) {
        luaL_error(L, "call:wait: a path, or a list of paths");
    }
    for (size_t i = 0; i < keys.count; i++) {
        value_key_push(L, &keys.keys[i]);
        lua_rawget(L, index);
        wait_add(L, run, kind, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* A time in the past, however far, wakes at once. */
static mk_ms wake_at(lua_State *L, double at)
{
    if (!(at <= VALUE_NUMBER_MAX)) {
        luaL_error(L, "call:wait: 'at' is a time in ms, such as call.now + 1000");
    }
    return at < 1 ? 1 : (mk_ms)ceil(at);
}

static void wait_read(lua_State *L, struct recipe_run *run)
{
    struct option fields[] = {{"created", LUA_TNONE}, {"deleted", LUA_TNONE},
                              {"changed", LUA_TNONE}, {"children", LUA_TNONE},
                              {"all", LUA_TBOOLEAN},  {"at", LUA_TNUMBER}};
    const struct option *all = &fields[MK_COUNT(wait_kinds)];
    const struct option *at = &fields[MK_COUNT(wait_kinds) + 1];
    run->waits_count = 0;
    options_read(L, 2, "call:wait", fields, MK_COUNT(fields));
    for (size_t i = 0; i < MK_COUNT(wait_kinds); i++) {
        enum recipe_wait_kind kind = wait_kinds[i];
        if (kind == RECIPE_WAIT_CHILDREN && all->flag) {
            kind = RECIPE_WAIT_CHILDREN_ALL;
        }
        if (fields[i].given) {
            lua_getfield(L, 2, fields[i].name);
            wait_add_field(L, run, kind);
            lua_pop(L, 1);
        }
    }
    run->wake_at_ms = at->given ? wake_at(L, at->number) : 0;
    if (run->waits_count == 0 && run->wake_at_ms == 0) {
        luaL_error(L, "call:wait: nothing to wait for");
    }
}

static int call_wait(lua_State *L)
{
    struct run_state *state = run_of_call(L, "call:wait");
    struct sandbox *sandbox = sandbox_of(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (state->caller != NULL) {
        sandbox_raise(L, "Conflict", "what call:run runs cannot wait, and would have to");
    }
    if (state->run->cancel) {
        return luaL_error(L, "call:wait: cancel cannot wait");
    }
    if (state->reads_only) {
        return luaL_error(L, "call:wait: the operation declares reads_only");
    }
    if (!state->run->may_park) {
        mk_error_set(&sandbox->stop_text, "a call without an id may not wait");
        sandbox->stop_name = "BadArguments";
        sandbox_stop(L, STOP_FAILED);
    }
    if (state->once_depth > 0) {
        return luaL_error(L, "call:wait inside call:once: the step would never be remembered");
    }
    if (state->unrepeatable != NULL) {
        return luaL_error(L,
                          "call:wait: the next run starts from the top and would repeat %s "
                          "(line %d): effects of a run that waits stand inside call:once",
                          state->unrepeatable, state->unrepeatable_line);
    }
    wait_read(L, state->run);
    return sandbox_park(L);
}

void library_push_call(lua_State *L)
{
    static const luaL_Reg functions[] = {{"once", call_once},
                                         {"recall", call_recall},
                                         {"wait", call_wait},
                                         {"run", library_call_run},
                                         {NULL, NULL}};
    environment_push_functions(L, functions);
}

/* ---- fail ---- */

int library_fail(lua_State *L)
{
    struct mk_bytes name = sandbox_check_bytes(L, 1);
    struct mk_bytes message = lua_isnoneornil(L, 2) ? MK_BYTES("") : sandbox_check_bytes(L, 2);
    bool valid = name.len > 0 && name.len <= RECIPE_ERROR_NAME_BYTES_MAX && name.data[0] >= 'A' &&
                 name.data[0] <= 'Z';
    for (size_t i = 0; i < name.len && valid; i++) {
        uint8_t lower = name.data[i] | 0x20;
        valid = lower >= 'a' && lower <= 'z';
    }
    if (!valid) {
        return luaL_error(L, "fail: an error's name is like NotOwner, at most %d letters",
                          RECIPE_ERROR_NAME_BYTES_MAX);
    }
    sandbox_raise_message(L, lua_tostring(L, 1), message);
}
