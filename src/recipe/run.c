/* One run, from its inputs to one of four ends.
 *
 *     enter ─▶ the chunk runs ─▶ operation's run(call) ─▶ its result is encoded ─▶ RETURNED
 *                                   │
 *                                   ├─ call:wait ──────────────▶ PARKED       (STOP_WAIT)
 *                                   ├─ the host cannot answer ──▶ UNANSWERED   (STOP_UNANSWERED)
 *                                   ├─ a budget, no id to wait ─▶ FAILED      (STOP_BUDGET, _FAILED)
 *                                   └─ an error not caught ────▶ FAILED
 *
 * Everything right of "enter" happens in Lua, that is, below one protected call. */
#include "recipe/run.h"

#include "recipe/environment.h"
#include "recipe/instance.h"
#include "recipe/log.h"
#include "recipe/value.h"

#include <string.h>

/* ---- What functions called by the recipe ask of the run ---- */

struct run_state *run_of(lua_State *L, const char *what)
{
    struct run_state *state = sandbox_of(L)->run;
    if (state == NULL) {
        luaL_error(L, "%s works inside an operation's run and cancel only", what);
    }
    return state;
}

struct run_state *run_of_call(lua_State *L, const char *what)
{
    struct run_state *state = run_of(L, what);
    if (!sandbox_has_metatable(L, 1, SLOT_CALL)) {
        luaL_error(L, "write %s(...), with a colon", what);
    }
    return state;
}

void run_effect_begin(lua_State *L, struct run_state *state, const char *what)
{
    uint32_t max = sandbox_of(L)->limits->effects_max;
    if (state->operation->shown.reads_only) {
        luaL_error(L, "%s: the operation declares reads_only", what);
    }
    if (state->reads_only) {
        luaL_error(L, "%s: an operation that called this one declares reads_only", what);
    }
    if (state->effects_count >= max) {
        sandbox_exhaust(L, "the run has more than %u effects", (unsigned)max);
    }
}

static int line_at_hand(lua_State *L)
{
    lua_Debug frame;
    for (int level = 0; lua_getstack(L, level, &frame) != 0; level++) {
        lua_getinfo(L, "l", &frame);
        if (frame.currentline > 0) {
            return frame.currentline;
        }
    }
    return 0;
}

void run_effect_done(lua_State *L, struct run_state *state, const char *what)
{
    state->effects_count++;
    if (state->once_depth == 0 && state->unrepeatable == NULL) {
        state->unrepeatable = what;
        state->unrepeatable_line = line_at_hand(L);
    }
}

void run_effects_adopt(lua_State *L, struct run_state *state, uint32_t effects_count)
{
    MK_ASSERT(effects_count >= state->effects_count);
    if (effects_count > state->effects_count) {
        state->effects_count = effects_count - 1;
        run_effect_done(L, state, "call:run");
    }
}

int run_once_depth(const struct run_state *state)
{
    return state == NULL ? 0 : state->once_depth;
}

void run_once_unwound(struct run_state *state, int depth)
{
    if (state == NULL || state->once_depth == depth) {
        return;
    }
    MK_ASSERT(state->once_depth > depth);
    state->once_depth = depth;
    if (state->effects_count > state->once_effects && depth == 0 && state->unrepeatable == NULL) {
        state->unrepeatable = "an effect of a call:once that failed";
        state->unrepeatable_line = 0;
    }
}

/* "NoNode" of "MK_NO_NODE", in the run's scraps. */
static const char *answer_name(struct sandbox *sandbox, enum mk_status status)
{
    if (status == MK_OVERLOADED) {
        return "Overload"; /* as callers know it from elsewhere */
    }
    const char *name = mk_status_name(status) + strlen("MK_");
    char *out = mk_arena_alloc(&sandbox->scraps, strlen(name) + 1);
    size_t len = 0;
    for (size_t i = 0; name[i] != '\0'; i++) {
        bool first = i == 0 || name[i - 1] == '_';
        if (name[i] != '_') {
            out[len++] = (char)(first ? name[i] : name[i] | 0x20);
        }
    }
    out[len] = '\0';
    return out;
}

void run_check(lua_State *L, enum mk_status status, const char *what, struct mk_bytes path)
{
    struct sandbox *sandbox = sandbox_of(L);
    if (status == MK_OK) {
        return;
    }
    if (status == MK_WOULD_BLOCK ||
        status >= MK_IO) { /* nothing that a recipe could do is of use */
        sandbox->run->run->unanswered = status;
        sandbox_stop(L, STOP_UNANSWERED);
    }
    const char *name = answer_name(sandbox, status);
    int path_len = path.len > 256 ? 256 : (int)path.len;
    sandbox_raise(L, name, "%s %.*s: %s", what, path_len, (const char *)path.data,
                  mk_status_text(status));
}

/* Of an error's message, in the log; the trace is what is new there. */
#define MISTAKE_BYTES_MAX 160

/* ---- In Lua: the call ---- */

static void session_text(mk_session session, char out[17])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[i] = digits[(uint64_t)session >> (60 - 4 * i) & 0xf];
    }
    out[16] = '\0';
}

static void call_push(lua_State *L, const struct run_state *state)
{
    const struct recipe_run *run = state->run;
    char session[17];
    mk_ms timeout_ms = -1;
    session_text(run->session, session);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_RUN_CALL);
    arguments_push(L, state->operation, run->format, run->arguments, &timeout_ms);
    lua_pushnumber(L, (lua_Number)run->zxid);
    lua_pushnumber(L, (lua_Number)run->now_ms);
    lua_pushlstring(L, session, 16);
    sandbox_call(L, 4, 1);
    sandbox_set_metatable(L, SLOT_CALL);
}

/* Leave the operation's function and its call. */
static int operation_prepare(lua_State *L)
{
    struct run_state *state = lua_touserdata(L, 1);
    sandbox_of(L)->run = NULL; /* further out there may be a run of the same version */
    instance_push(L);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_getfield(L, -1, state->operation->shown.name);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_getfield(L, -1, state->run->cancel ? "cancel" : "run");

    sandbox_of(L)->run = state;
    call_push(L, state);
    return 2;
}

static int result_encode(lua_State *L)
{
    struct run_state *state = lua_touserdata(L, 1);
    struct recipe_run *run = state->run;
    size_t bytes_max = sandbox_of(L)->limits->result_bytes_max;
    if (!run->cancel) {
        value_append(L, run->format, 2, &run->result, run->result.len + bytes_max);
    }
    return 0;
}

/* [A-Z][A-Za-z]*: what a caller may be told as the name of an error. */
static bool error_name_valid(const char *name)
{
    size_t len = strlen(name);
    bool valid = len > 0 && len <= RECIPE_ERROR_NAME_BYTES_MAX && name[0] >= 'A' && name[0] <= 'Z';
    for (size_t i = 1; i < len && valid; i++) {
        char lower = (char)(name[i] | 0x20);
        valid = lower >= 'a' && lower <= 'z';
    }
    return valid;
}

static void message_append(struct recipe_run *run, struct mk_bytes text, size_t bytes_max)
{
    while (text.len > 0) {
        size_t length = value_utf8_length(text);
        size_t step = length == 0 ? 1 : length;
        if (run->message.len + (length == 0 ? 3 : length) > bytes_max) {
            return;
        }
        if (length == 0) {
            mk_buf_append(&run->message, "\xef\xbf\xbd", 3); /* U+FFFD */
        } else {
            mk_buf_append(&run->message, text.data, length);
        }
        text = mk_bytes_of(text.data + step, text.len - step);
    }
}

static void failed_set(struct recipe_run *run, const char *name, struct mk_bytes message,
                       size_t bytes_max)
{
    const char *checked = error_name_valid(name) ? name : "RecipeError";
    memcpy(run->error_name, checked, strlen(checked) + 1);
    run->end = RECIPE_FAILED;
    message_append(run, message, bytes_max);
}

/* A Lua error is a mistake in the recipe, whoever is told of it: its author reads the log. */
static void mistake_log(lua_State *L, const struct run_state *state, struct mk_bytes message)
{
    struct sandbox *sandbox = sandbox_of(L);
    struct mk_error who;
    struct mk_error text;
    int shown = message.len > MISTAKE_BYTES_MAX ? MISTAKE_BYTES_MAX : (int)message.len;
    mk_error_set(&who, "%s.%s", state->version->name, state->operation->shown.name);
    mk_error_set(&text, "%s: %.*s  trace=%.*s", state->run->cancel ? "cancel failed" : "failed",
                 shown, message.len == 0 ? "" : (const char *)message.data, (int)sandbox->trace.len,
                 sandbox->trace.len == 0 ? "" : (const char *)sandbox->trace.data);
    recipe_log_write(sandbox->log, MK_LOG_WARN, state->run->now_ms, mk_bytes_text(who.text),
                     mk_bytes_text(text.text));
}

static int run_enter(lua_State *L)
{
    struct run_state *state = lua_touserdata(L, 1);
    const char *name = NULL;
    lua_pushcfunction(L, operation_prepare);
    lua_pushlightuserdata(L, state);
    bool returned = sandbox_guard(L, 1, 2, &name) && sandbox_guard_run(L, 1, &name);
    if (returned) {
        lua_pushcfunction(L, result_encode);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, state);
        lua_insert(L, -2);
        returned = sandbox_guard(L, 2, 0, &name);
    }
    if (returned) {
        state->run->end = RECIPE_RETURNED;
    } else if (name != NULL) {
        if (strcmp(name, "RecipeError") == 0) {
            mistake_log(L, state, sandbox_bytes(L, -1));
        }
        failed_set(state->run, name, sandbox_bytes(L, -1), sandbox_of(L)->limits->result_bytes_max);
    }
    return 0;
}

/* ---- Around Lua ---- */

/* A run that did not return leaves no result, and one that did not park leaves no waits. */
static void run_end(struct run_state *state, struct sandbox *sandbox, size_t result_begin,
                    size_t waits_begin)
{
    struct recipe_run *run = state->run;
    size_t bytes_max = sandbox->limits->result_bytes_max;
    switch (sandbox->stop) {
    case STOP_NONE: break; /* run_enter() has set `end` */
    case STOP_WAIT: run->end = RECIPE_PARKED; break;
    case STOP_UNANSWERED: run->end = RECIPE_UNANSWERED; break;
    case STOP_BUDGET:
        failed_set(run, "Budget", mk_bytes_text(sandbox->stop_text.text), bytes_max);
        break;
    case STOP_FAILED:
        failed_set(run, sandbox->stop_name, mk_bytes_text(sandbox->stop_text.text), bytes_max);
        break;
    }
    if (run->end != RECIPE_RETURNED) {
        run->result.len = result_begin;
    }
    if (run->end != RECIPE_PARKED) {
        run->waits_count = 0;
        run->wake_at_ms = 0;
        run->wait_paths.len = waits_begin;
    }
    if (run->end == RECIPE_FAILED) { /* its effects are undone, and so is what it remembers */
        mk_buf_append_bytes(&run->once_out, run->once);
    } else if (run->end != RECIPE_UNANSWERED) {
        steps_write(&state->steps, &run->once_out);
    }
    run->instructions = sandbox->spent.instructions;
    state->stop = sandbox->stop;
}

static void not_entered(struct run_state *state, const char *name, struct mk_bytes message)
{
    struct recipe_run *run = state->run;
    failed_set(run, name, message, run->version->engine->options.result_bytes_max);
    mk_buf_append_bytes(&run->once_out, run->once);
}

void run_execute(struct run_state *state)
{
    struct recipe_run *run = state->run;
    struct sandbox *outer = state->caller == NULL ? NULL : state->caller->version->sandbox;
    uint32_t nesting_max = run->version->engine->options.nesting_max;
    MK_ASSERT(run->host != NULL);
    run->waits_count = 0;
    run->wake_at_ms = 0;
    run->instructions = 0;
    run->unanswered = MK_OK;
    run->error_name[0] = '\0';
    struct sandbox *sandbox = version_sandbox(run->version);
    if (sandbox == NULL) {
        not_entered(state, "Budget", MK_BYTES("the recipe does not fit into its memory"));
        return;
    }
    if (!steps_read(&state->steps, run->once, nesting_max)) {
        not_entered(state, "RecipeError", MK_BYTES("what the call remembers is damaged"));
        return;
    }

    size_t result_begin = run->result.len;
    size_t waits_begin = run->wait_paths.len;
    struct run_state *further_out = sandbox->run;
    (void)sandbox_enter(sandbox, outer, run_enter, state);
    sandbox->run = further_out;
    run_end(state, sandbox, result_begin, waits_begin);
    version_sandbox_leave(run->version);
}

void recipe_run(struct recipe_engine *engine, struct recipe_run *run)
{
    struct run_state state = {.run = run, .version = run->version, .depth = 1};
    MK_ASSERT(run->version->engine == engine);
    if (run->cancel && !run->operation->has_cancel) {
        run->waits_count = 0;
        run->wake_at_ms = 0;
        run->instructions = 0;
        run->error_name[0] = '\0';
        run->end = RECIPE_RETURNED;
        mk_buf_append_bytes(&run->once_out, run->once);
        return;
    }
    state.operation = operation_of(run->operation);
    state.reads_only = run->operation->reads_only;
    run_execute(&state);
}

void recipe_run_deinit(struct recipe_run *run)
{
    mk_buf_free(&run->result);
    mk_buf_free(&run->message);
    mk_buf_free(&run->once_out);
    mk_buf_free(&run->wait_paths);
}
