/* call:run("counter.add", { path = "/a" }): an operation within another, in the same transaction.
 *
 *   the arguments are encoded ─▶ run_execute(), often in another version's sandbox ─▶ RETURNED: decoded
 *                                  │                          ├─▶ FAILED, no effect: raised, for pcall
 *                                  │                          └─▶ FAILED behind an effect: all fails
 *                                  └─ a budget, a host that cannot answer: so does the caller's run
 *
 * Values cross as bytes, because the two lua_States share nothing. Both may be the same one: then Lua
 * calls C calls Lua, as it does in table.sort. What has been spent, effects too, is counted on. */
#include "recipe/environment.h"
#include "recipe/run.h"
#include "recipe/value.h"

#include <string.h>

/* Of one call:run, whatever it runs: about what entering a sandbox and executing a chunk costs. The
 * hook that counts instructions starts anew with each, so this is also what ends a loop of them. */
#define RUN_WORK 1024

/* The operation called `name`: of the caller's own recipe in the version that runs, of another in the
 * one that is active now. [-0, +0, raises] */
static void target_find(lua_State *L, const struct run_state *caller, struct mk_bytes name,
                        struct recipe_run *run)
{
    struct recipe_host *host = caller->run->host;
    const uint8_t *dot = name.len == 0 ? NULL : memchr(name.data, '.', name.len);
    size_t recipe_len = dot == NULL ? 0 : (size_t)(dot - name.data);
    struct mk_bytes recipe = mk_bytes_of(name.data, recipe_len);
    enum mk_status status = MK_UNIMPLEMENTED;
    if (dot != NULL && mk_bytes_equal(recipe, mk_bytes_text(caller->version->name))) {
        run->version = caller->version;
        run->operation =
            recipe_operation_find(run->version, mk_bytes_of(dot + 1, name.len - recipe_len - 1));
        status = run->operation == NULL ? MK_UNIMPLEMENTED : MK_OK;
    } else if (dot != NULL && host->ops->operation != NULL) {
        status = host->ops->operation(host, name, &run->version, &run->operation);
    }
    if (status == MK_OK && run->version->engine != caller->version->engine) {
        status = MK_UNIMPLEMENTED; /* the server's own, which has another kind of host */
    }
    run_check(L, status, "call:run", name);
}

/* The caller's arguments, as bytes in the scraps. [-0, +0, raises] */
static struct mk_bytes arguments_encode(lua_State *L, int index)
{
    struct sandbox *sandbox = sandbox_of(L);
    if (lua_isnil(L, index)) {
        return MK_BYTES("");
    }
    luaL_checktype(L, index, LUA_TTABLE);
    sandbox->scratch.len = 0;
    value_append_msgpack(L, index, &sandbox->scratch, sandbox->limits->result_bytes_max);
    return mk_arena_copy(&sandbox->scraps, mk_buf_view(&sandbox->scratch));
}

/* What came of it, in the caller's scraps: its buffers are freed before anything may raise. */
struct outcome {
    enum recipe_end end;
    enum sandbox_stop stop;
    bool effects; /* some were made */
    const char *name;
    struct mk_bytes value; /* the result, or the message */
};

static struct outcome run_within(struct run_state *caller, struct recipe_run *run,
                                 struct mk_arena *scraps)
{
    struct run_state state = {
        .run = run,
        .version = run->version,
        .operation = operation_of(run->operation),
        .caller = caller,
        .depth = caller->depth + 1,
        .reads_only = caller->reads_only || run->operation->reads_only,
        .effects_count = caller->effects_count,
    };
    run_execute(&state);
    MK_ASSERT(run->end != RECIPE_PARKED);

    struct mk_bytes name =
        mk_arena_copy(scraps, mk_bytes_of(run->error_name, strlen(run->error_name) + 1));
    struct outcome outcome = {
        .end = run->end,
        .stop = state.stop,
        .effects = state.effects_count > caller->effects_count,
        .name = (const char *)name.data,
        .value = mk_arena_copy(
            scraps, mk_buf_view(run->end == RECIPE_RETURNED ? &run->result : &run->message)),
    };
    caller->run->unanswered = run->unanswered;
    run_effects_adopt(caller->version->sandbox->L, caller, state.effects_count);
    recipe_run_deinit(run);
    return outcome;
}

/* A failed operation that no effect preceded is an error like any other. One that had made effects
 * fails the whole call: they cannot be taken back alone, and half of it must not be committed. */
_Noreturn static void failed(lua_State *L, const struct outcome *outcome)
{
    struct sandbox *sandbox = sandbox_of(L);
    if (outcome->end == RECIPE_UNANSWERED) {
        sandbox_stop(L, STOP_UNANSWERED);
    }
    if (outcome->stop == STOP_NONE && !outcome->effects) {
        sandbox_raise_message(L, outcome->name, outcome->value);
    }
    mk_error_set(&sandbox->stop_text, "%.*s", (int)outcome->value.len,
                 outcome->value.len == 0 ? "" : (const char *)outcome->value.data);
    sandbox->stop_name = outcome->name;
    sandbox_stop(L, STOP_FAILED);
}

int library_call_run(lua_State *L)
{
    struct run_state *caller = run_of_call(L, "call:run");
    const struct recipe_run *outer = caller->run;
    struct sandbox *sandbox = sandbox_of(L);
    struct mk_bytes name = sandbox_check_bytes(L, 2);
    lua_settop(L, 3);
    if (caller->depth == RUN_DEPTH_MAX) {
        sandbox_raise(L, "Limit", "call:run: more than %d operations within each other",
                      RUN_DEPTH_MAX);
    }
    luaL_checkstack(L, LUA_MINSTACK, "call:run");
    sandbox_charge(L, RUN_WORK);
    struct recipe_run run = {
        .format = RECIPE_MSGPACK,
        .arguments = arguments_encode(L, 3),
        .zxid = outer->zxid,
        .now_ms = outer->now_ms,
        .session = outer->session,
        .host = outer->host,
    };
    target_find(L, caller, name, &run);
    struct outcome outcome = run_within(caller, &run, &sandbox->scraps);
    if (outcome.end != RECIPE_RETURNED) {
        failed(L, &outcome);
    }
    value_push_msgpack(L, outcome.value);
    return 1;
}
