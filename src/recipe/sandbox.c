/* The lua_State of one recipe version and the budgets of its runs.
 *
 * What was measured on LuaJIT 2.1 decides the shape (design section 6.5). Compiled traces never
 * call hooks: the JIT is off. No hook fires inside an xpcall handler: xpcall is ours. One
 * instruction may run for seconds: library functions charge for what they handle, and the
 * allocator bounds strings. An error outside a protected call ends the process: every entry is a
 * lua_cpcall(). */
#include "recipe/sandbox.h"

#include "recipe/environment.h"

#include <luajit.h>
#include <string.h>

/* Arrays and the Lua stack grow by reallocation, strings never do. So this bounds a list
 * (131,072 elements at 64 KB) and lets deep recursion end in Lua's own "stack overflow" (a stack
 * of 512 KB). */
#define REALLOC_FACTOR 16
/* What one run may allocate in sum, in multiples of memory_bytes_max: bounds concatenation in a
 * loop, which is one instruction whatever the length. */
#define CHURN_FACTOR 4
/* lua_newstate() crashes when it gets less than it wants, 12 KB; the environment takes 36 KB. */
#define MEMORY_BYTES_MIN ((size_t)64 * 1024)
/* Collect when this much is in use of what was after the last collection. A collection looks at all that
 * lives, which are the libraries, 46 KB; runs leave 1 to 3 KB each. */
#define GC_PAUSE_PERCENT 400
/* More scratch than this is not kept. A usual run needs less than 1 KB. */
#define SCRATCH_BYTES_MAX ((size_t)1024 * 1024)

/* ---- Memory ---- */

/* lua_Alloc: a refusal becomes an error in LuaJIT, and out_of_memory keeps a recipe from
 * catching it. */
static void *sandbox_alloc(void *context, void *memory, size_t size_before, size_t size)
{
    struct sandbox *sandbox = context;
    if (size > size_before) {
        size_t max = sandbox->limits->alloc_bytes_max * (memory == NULL ? 1 : REALLOC_FACTOR);
        if (sandbox->armed && size > max + SANDBOX_ALLOC_OVERHEAD) {
            sandbox->out_of_memory = true;
            return NULL;
        }
        sandbox->spent.churn_bytes += size - size_before;
    }
    void *moved = pool_realloc(&sandbox->pool, memory, size_before, size);
    sandbox->out_of_memory = sandbox->out_of_memory || (moved == NULL && size > 0);
    return moved;
}

/* ---- Raising ---- */

/* A line of a recipe: not a C function, and not one of our own makers, whose chunk has no name. */
static bool frame_is_shown(const lua_Debug *frame)
{
    return frame->currentline > 0 && frame->short_src[0] != '\0';
}

void sandbox_where(lua_State *L, struct mk_error *out)
{
    lua_Debug frame;
    out->text[0] = '\0';
    for (int level = 0; lua_getstack(L, level, &frame) != 0; level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame_is_shown(&frame)) {
            mk_error_set(out, "%s:%d: ", frame.short_src, frame.currentline);
            return;
        }
    }
}

_Noreturn static void raise(lua_State *L)
{
    (void)lua_error(L);
    MK_ASSERT(!"lua_error() returned");
}

void sandbox_stop(lua_State *L, enum sandbox_stop stop)
{
    struct sandbox *sandbox = sandbox_of(L);
    MK_ASSERT(stop != STOP_NONE);
    if (sandbox->stop == STOP_NONE) {
        sandbox->stop = stop;
    }
    lua_pushnil(L); /* lua_error() wants a value; nobody looks at this one */
    raise(L);
}

/* A raise unwinds the C stack by the tables that debuggers use, frame by frame, for a microsecond each. A
 * thread that yields and is never resumed costs next to nothing; but with a C function on the way, such
 * as pcall, there is no other way than to raise through it. */
int sandbox_park(lua_State *L)
{
    struct sandbox *sandbox = sandbox_of(L);
    MK_ASSERT(sandbox->stop == STOP_NONE);
    if (sandbox->spent.calls_nested > sandbox->park_nested) {
        sandbox_stop(L, STOP_WAIT);
    }
    sandbox->stop = STOP_WAIT;
    return lua_yield(L, 0);
}

void sandbox_exhausted(lua_State *L)
{
    struct sandbox *sandbox = sandbox_of(L);
    if (sandbox->stop == STOP_NONE) {
        struct mk_error what = sandbox->stop_text;
        struct mk_error where;
        sandbox_where(L, &where);
        mk_error_set(&sandbox->stop_text, "%s%s", where.text, what.text);
    }
    sandbox_stop(L, STOP_BUDGET);
}

void sandbox_raise_message(lua_State *L, const char *name, struct mk_bytes message)
{
    luaL_checkstack(L, 4, "raising an error");
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "error");
    sandbox_push_bytes(L, message);
    lua_setfield(L, -2, "message");
    sandbox_set_metatable(L, SLOT_ERROR);
    raise(L);
}

void sandbox_raised(lua_State *L, const char *name)
{
    struct mk_error message;
    struct mk_error where;
    sandbox_where(L, &where);
    mk_error_set(&message, "%s%s", where.text, sandbox_of(L)->raised.text);
    sandbox_raise_message(L, name, mk_bytes_text(message.text));
}

/* ---- Calling Lua ---- */

static void nesting_check(lua_State *L, struct sandbox *sandbox)
{
    if (sandbox->spent.calls_nested >= SANDBOX_CALLS_NESTED_MAX) {
        luaL_error(L, "stack overflow: more than %d calls through library functions",
                   SANDBOX_CALLS_NESTED_MAX);
    }
    luaL_checkstack(L, LUA_MINSTACK, "a call");
}

void sandbox_call(lua_State *L, int arguments, int results)
{
    struct sandbox *sandbox = sandbox_of(L);
    nesting_check(L, sandbox);
    sandbox->spent.calls_nested++; /* a raise leaves it so; whoever catches puts it right */
    lua_call(L, arguments, results);
    sandbox->spent.calls_nested--;
}

bool sandbox_call_protected(lua_State *L, int arguments, int results)
{
    struct sandbox *sandbox = sandbox_of(L);
    int nested = sandbox->spent.calls_nested;
    nesting_check(L, sandbox);
    sandbox->spent.calls_nested++;
    bool returned = lua_pcall(L, arguments, results, 0) == 0;
    sandbox->spent.calls_nested = nested;
    if (!returned && (sandbox->stop != STOP_NONE || sandbox->out_of_memory)) {
        raise(L);
    }
    if (!returned) {
        sandbox_charge(L, SANDBOX_RAISE);
    }
    return returned;
}

/* ---- Budgets ---- */

/* From the first question on: that is after a few microseconds, and asking costs a system call. */
static void clock_check(lua_State *L, struct sandbox *sandbox)
{
    const struct recipe_options *limits = sandbox->limits;
    if (limits->elapsed_ms == NULL) {
        return;
    }
    mk_ms now_ms = limits->elapsed_ms(limits->elapsed_context);
    if (!sandbox->spent.timed) {
        sandbox->spent.timed = true;
        sandbox->spent.started_ms = now_ms;
    }
    if (now_ms - sandbox->spent.started_ms > limits->elapsed_max_ms) {
        sandbox_exhaust(L, "the run took longer than %lld ms", (long long)limits->elapsed_max_ms);
    }
}

static void hook(lua_State *L, lua_Debug *frame)
{
    (void)frame;
    struct sandbox *sandbox = sandbox_of(L);
    const struct recipe_options *limits = sandbox->limits;
    if (sandbox->stop != STOP_NONE) {
        sandbox_stop(L, sandbox->stop);
    }
    sandbox->spent.instructions += SANDBOX_HOOK_INSTRUCTIONS;
    if (sandbox->spent.instructions > limits->instructions_max) {
        sandbox_exhaust(L, "the run took more than %llu instructions",
                        (unsigned long long)limits->instructions_max);
    }
    if (sandbox->spent.churn_bytes > limits->memory_bytes_max * CHURN_FACTOR) {
        sandbox_exhaust(L, "the run allocated more than %llu bytes",
                        (unsigned long long)limits->memory_bytes_max * CHURN_FACTOR);
    }
    if (sandbox->spent.instructions % SANDBOX_CLOCK_INSTRUCTIONS == 0) {
        clock_check(L, sandbox);
    }
}

void sandbox_charge(lua_State *L, uint64_t amount)
{
    struct sandbox *sandbox = sandbox_of(L);
    uint64_t left = sandbox->limits->work_max - sandbox->spent.work;
    if (amount > left) {
        sandbox->spent.work = sandbox->limits->work_max;
        sandbox_exhaust(L, "library functions did more than %llu bytes' worth of work",
                        (unsigned long long)sandbox->limits->work_max);
    }
    uint64_t before = sandbox->spent.work;
    sandbox->spent.work += amount;
    if (before / SANDBOX_CLOCK_WORK != sandbox->spent.work / SANDBOX_CLOCK_WORK) {
        clock_check(L, sandbox);
    }
}

void sandbox_push_bytes(lua_State *L, struct mk_bytes bytes)
{
    uint64_t max = sandbox_of(L)->limits->alloc_bytes_max;
    sandbox_charge(L, bytes.len);
    if (bytes.len > max) {
        sandbox_exhaust(L, "a string of %llu bytes is longer than %llu",
                        (unsigned long long)bytes.len, (unsigned long long)max);
    }
    lua_pushlstring(L, bytes.len == 0 ? "" : (const char *)bytes.data, bytes.len);
}

/* ---- Life ---- */

static int trace_note(lua_State *L);

static int panic(lua_State *L)
{
    (void)L;
    MK_ASSERT(!"an error of a recipe was raised outside a protected call");
    return 0;
}

static int environment_enter(lua_State *L)
{
    lua_pushcfunction(L, trace_note);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_TRACE);
    environment_build(L);
    return 0;
}

struct sandbox *sandbox_new(const struct recipe_options *limits, struct recipe_log *log)
{
    if (limits->memory_bytes_max < MEMORY_BYTES_MIN) {
        return NULL;
    }
    struct sandbox *sandbox = mk_alloc_zero(1, sizeof(*sandbox));
    sandbox->limits = limits;
    sandbox->log = log;
    sandbox->pool.bytes_max = limits->memory_bytes_max;
    sandbox->L = lua_newstate(sandbox_alloc, sandbox);
    if (sandbox->L == NULL) {
        sandbox_free(sandbox);
        return NULL;
    }
    lua_atpanic(sandbox->L, panic);
    (void)lua_gc(sandbox->L, LUA_GCSETPAUSE, GC_PAUSE_PERCENT);
    luaJIT_setmode(sandbox->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (!sandbox_enter(sandbox, NULL, environment_enter, NULL)) {
        sandbox_free(sandbox);
        return NULL;
    }
    sandbox_leave(sandbox);
    return sandbox;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (sandbox == NULL) {
        return;
    }
    if (sandbox->L != NULL) {
        lua_close(sandbox->L);
    }
    pool_free(&sandbox->pool);
    mk_buf_free(&sandbox->arguments.bytes);
    mk_arena_free(&sandbox->scraps);
    mk_buf_free(&sandbox->scratch);
    mk_buf_free(&sandbox->trace);
    mk_free(sandbox->variables);
    mk_free(sandbox);
}

/* ---- Compiling ---- */

struct compilation {
    struct mk_bytes source;
    const char *chunk;
    struct mk_error *error;
    bool done;
};

static const char *source_read(lua_State *L, void *context, size_t *size)
{
    (void)L;
    struct compilation *compilation = context;
    struct mk_bytes all = compilation->source;
    compilation->source = MK_BYTES_NULL;
    *size = all.len;
    return all.len == 0 ? NULL : (const char *)all.data;
}

/* A literal like 1LL makes LuaJIT load its FFI while it parses, and the FFI is not for recipes. It
 * does not become reachable, but its boxed integers would be values that nothing here expects. */
static bool ffi_loaded(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "ffi");
    bool loaded = !lua_isnil(L, -1);
    lua_pop(L, 2);
    return loaded;
}

static int compile(lua_State *L)
{
    struct compilation *compilation = lua_touserdata(L, 1);
    const char *chunk = lua_pushfstring(L, "=%s", compilation->chunk);
    if (lua_loadx(L, source_read, compilation, chunk, "t") != 0) {
        const char *text = lua_tostring(L, -1);
        mk_error_set(compilation->error, "%s", text == NULL ? "out of memory" : text);
        return 0;
    }
    if (ffi_loaded(L)) {
        mk_error_set(compilation->error, "%s: literals like 1LL, 1ULL and 1i are not available",
                     compilation->chunk);
        return 0;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ENVIRONMENT);
    lua_setfenv(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_CHUNK);
    compilation->done = true;
    return 0;
}

enum mk_status sandbox_compile(struct sandbox *sandbox, struct mk_bytes source, const char *chunk,
                               struct mk_error *error)
{
    struct compilation compilation = {.source = source, .chunk = chunk, .error = error};
    if (source.len > 0 && source.data[0] == '\x1b') {
        mk_error_set(error, "%s: bytecode is not accepted, only source", chunk);
        return MK_BAD_ARGUMENTS;
    }
    sandbox->stop = STOP_NONE;
    if (lua_cpcall(sandbox->L, compile, &compilation) != 0) {
        lua_settop(sandbox->L, 0);
        mk_error_set(error, "%s: too large for %llu bytes of memory", chunk,
                     (unsigned long long)sandbox->limits->memory_bytes_max);
    }
    return compilation.done ? MK_OK : MK_BAD_ARGUMENTS;
}

/* ---- Entering ---- */

static void spent_begin(struct sandbox *sandbox, const struct sandbox *outer)
{
    sandbox->spent = outer == NULL ? (struct sandbox_spent){.instructions = 0} : outer->spent;
    sandbox->spent.calls_nested += outer == NULL ? 0 : 1;
}

static void spent_end(const struct sandbox *sandbox, struct sandbox *outer, int calls_nested)
{
    if (outer != NULL) {
        outer->spent = sandbox->spent;
        outer->spent.calls_nested = calls_nested;
    }
}

bool sandbox_enter(struct sandbox *sandbox, struct sandbox *outer, lua_CFunction function,
                   void *context)
{
    const struct recipe_options *limits = sandbox->limits;
    int top = lua_gettop(sandbox->L); /* not 0: of the C function that calls this */
    int calls_nested = outer == NULL ? 0 : outer->spent.calls_nested;
    MK_ASSERT(!sandbox->out_of_memory);
    MK_ASSERT(outer != NULL || sandbox->entered == 0);
    sandbox->stop = STOP_NONE;
    spent_begin(sandbox, outer);
    sandbox->entered++;
    sandbox->armed = true;

    /* Set once and for all in effect, which LuaJIT likes; each time, because that restarts the
     * count. */
    (void)lua_sethook(sandbox->L, hook, LUA_MASKCOUNT, SANDBOX_HOOK_INSTRUCTIONS);
    bool returned = lua_cpcall(sandbox->L, function, context) == 0;
    lua_settop(sandbox->L, top);

    sandbox->entered--;
    sandbox->armed = sandbox->entered > 0;
    spent_end(sandbox, outer, calls_nested);
    if (sandbox->out_of_memory && sandbox->stop == STOP_NONE) {
        sandbox->stop = STOP_BUDGET;
        mk_error_set(&sandbox->stop_text,
                     "the recipe needed more than %llu bytes of memory, or more than %llu at once",
                     (unsigned long long)limits->memory_bytes_max,
                     (unsigned long long)limits->alloc_bytes_max);
    }
    return returned && sandbox->stop == STOP_NONE;
}

void sandbox_leave(struct sandbox *sandbox)
{
    MK_ASSERT(sandbox->entered == 0);
    mk_arena_reset(&sandbox->scraps);
    if (sandbox->scratch.cap > SCRATCH_BYTES_MAX) {
        mk_buf_free(&sandbox->scratch);
    }
}

/* The name of what was raised; its message is pushed. [-0, +1, raises] */
static const char *failure(lua_State *L, int index)
{
    if (!sandbox_has_metatable(L, index, SLOT_ERROR)) {
        sandbox_push_text(L, index);
        return "RecipeError";
    }
    lua_getfield(L, index, "error"); /* stays on the stack below the message: keeps it alive */
    lua_getfield(L, index, "message");
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
        return lua_tostring(L, -2);
    }
    lua_pushliteral(L, "an error object that was tampered with");
    return "RecipeError";
}

/* Lines of a trace: the innermost ones, where the mistake is. A stack that overflowed has 65,000. */
#define TRACE_LINES_MAX 12

/* A thread that has failed does not know any more which line its innermost function was in, if that is Lua's. The
 * message, which is on top, begins with it: "lock@1a2b3c4d:12: attempt to ...". */
static void frame_complete(lua_State *thread, lua_Debug *frame)
{
    enum { DIGITS_MAX = 9 };
    size_t len = strlen(frame->short_src);
    const char *message = lua_type(thread, -1) == LUA_TSTRING ? lua_tostring(thread, -1) : "";
    if (frame->currentline > 0 || strcmp(frame->what, "C") == 0 ||
        strncmp(message, frame->short_src, len) != 0 || message[len] != ':') {
        return;
    }
    int line = 0;
    const char *digits = message + len + 1;
    for (int i = 0; i < DIGITS_MAX && digits[i] >= '0' && digits[i] <= '9'; i++) {
        line = line * 10 + (digits[i] - '0');
    }
    frame->currentline = line;
}

/* Note where a Lua error came from, while that can still be seen: the functions from `level` outwards. Allocates
 * nothing from Lua. */
static void trace_write(lua_State *L, int level)
{
    struct sandbox *sandbox = sandbox_of(L);
    lua_Debug frame;
    sandbox->trace.len = 0;
    for (int lines = 0; lines < TRACE_LINES_MAX && lua_getstack(L, level, &frame) != 0; level++) {
        lua_getinfo(L, "Sl", &frame);
        if (level == 0) {
            frame_complete(L, &frame);
        }
        if (frame_is_shown(&frame)) {
            mk_buf_printf(&sandbox->trace, "%s%s:%d", lines == 0 ? "" : " < ", frame.short_src,
                          frame.currentline);
            lines++;
        }
    }
}

/* Whether the error at `index` is a mistake, that is, none of our own. */
static bool is_mistake(lua_State *L, int index)
{
    const struct sandbox *sandbox = sandbox_of(L);
    return sandbox->stop == STOP_NONE && !sandbox->out_of_memory &&
           !sandbox_has_metatable(L, index, SLOT_ERROR);
}

/* The message handler of sandbox_guard(): leaves the error as it is. */
static int trace_note(lua_State *L)
{
    if (is_mistake(L, 1)) {
        trace_write(L, 1);
    }
    return 1;
}

/* What was raised is on top. */
static bool guard_failed(lua_State *L, int calls_nested, const char **name)
{
    struct sandbox *sandbox = sandbox_of(L);
    sandbox->spent.calls_nested = calls_nested;
    if (sandbox->stop == STOP_NONE && !sandbox->out_of_memory) {
        *name = failure(L, lua_gettop(L));
    }
    return false;
}

bool sandbox_guard(lua_State *L, int arguments, int results, const char **name)
{
    struct sandbox *sandbox = sandbox_of(L);
    *name = NULL;
    int nested = sandbox->spent.calls_nested;
    int handler = lua_gettop(L) - arguments;
    sandbox->trace.len = 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_TRACE);
    lua_insert(L, handler);
    bool returned = lua_pcall(L, arguments, results, handler) == 0;
    lua_remove(L, handler);
    return returned || guard_failed(L, nested, name);
}

/* A thread on top, to be had again from SLOT_THREAD by who is done with it. [-0, +1, raises] */
static lua_State *thread_take(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_THREAD);
    lua_State *thread = lua_tothread(L, -1);
    if (thread == NULL) {
        lua_pop(L, 1);
        return lua_newthread(L);
    }
    lua_pushnil(L); /* a run within this one takes another */
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_THREAD);
    return thread;
}

/* A thread that has yielded or failed cannot be used again, and becomes garbage. */
bool sandbox_guard_run(lua_State *L, int arguments, const char **name)
{
    struct sandbox *sandbox = sandbox_of(L);
    int nested = sandbox->spent.calls_nested;
    int park_nested = sandbox->park_nested;
    *name = NULL;
    sandbox->trace.len = 0;
    lua_State *thread = thread_take(L);
    lua_insert(L, -arguments - 2); /* where it is safe from the collector */
    lua_xmove(L, thread, arguments + 1);

    sandbox->L = thread;
    sandbox->park_nested = nested;
    int status = lua_resume(thread, arguments);
    sandbox->park_nested = park_nested;
    sandbox->L = L;
    MK_ASSERT(status != LUA_YIELD || sandbox->stop == STOP_WAIT);
    if (status == LUA_YIELD) {
        lua_pop(L, 1);
        return false;
    }
    if (status != 0 && is_mistake(thread, lua_gettop(thread))) {
        trace_write(thread, 0);
    }
    lua_settop(thread, status == 0 ? 1 : lua_gettop(thread));
    lua_xmove(thread, L, 1);
    lua_insert(L, -2);
    if (status == 0) {
        lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_THREAD);
        return true;
    }
    lua_pop(L, 1);
    return guard_failed(L, nested, name);
}

/* ---- Shared small things ---- */

struct mk_bytes sandbox_check_bytes(lua_State *L, int index)
{
    size_t len = 0;
    const char *data = luaL_checklstring(L, index, &len);
    return mk_bytes_of(data, len);
}

struct mk_bytes sandbox_bytes(lua_State *L, int index)
{
    size_t len = 0;
    const char *data = lua_tolstring(L, index, &len);
    MK_ASSERT(data != NULL);
    return mk_bytes_of(data, len);
}

void sandbox_set_metatable(lua_State *L, enum sandbox_slot slot)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
    (void)lua_setmetatable(L, -2);
}

bool sandbox_has_metatable(lua_State *L, int index, enum sandbox_slot slot)
{
    if (lua_type(L, index) != LUA_TTABLE || lua_getmetatable(L, index) == 0) {
        return false;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
    bool equal = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    return equal;
}

void sandbox_check_writable(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    if (lua_getmetatable(L, index) == 0) {
        return;
    }
    lua_pop(L, 1);
    if (!sandbox_has_metatable(L, index, SLOT_LIST)) {
        luaL_error(L, "this table cannot be changed");
    }
}

static void push_error_text(lua_State *L, int index)
{
    lua_getfield(L, index, "error");
    lua_pushliteral(L, ": ");
    lua_getfield(L, index, "message");
    bool intact = lua_type(L, -3) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING;
    if (!intact) {
        lua_pop(L, 3);
        lua_pushliteral(L, "error");
        return;
    }
    sandbox_charge(L, lua_objlen(L, -1));
    lua_concat(L, 3);
}

void sandbox_push_text(lua_State *L, int index)
{
    luaL_checkstack(L, 5, "converting a value to text");
    switch (lua_type(L, index)) {
    case LUA_TNIL: lua_pushliteral(L, "nil"); break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TSTRING: lua_pushvalue(L, index); break;
    case LUA_TNUMBER:
        lua_pushvalue(L, index);
        (void)lua_tostring(L, -1);
        break;
    case LUA_TLIGHTUSERDATA: lua_pushliteral(L, "null"); break; /* the only one: see value.h */
    default:
        if (sandbox_has_metatable(L, index, SLOT_ERROR)) {
            push_error_text(L, index);
        } else {
            lua_pushstring(L, luaL_typename(L, index));
        }
        break;
    }
}
