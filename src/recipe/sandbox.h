/* One lua_State under budgets: what every other file of this room stands on.
 *
 * Rules for C that Lua calls (style section 9). Each helper states its stack effect and whether
 * it raises, e.g. [-0, +1, raises]. A raise is a longjmp: nothing that needs freeing may be held
 * across it, so whatever such code allocates belongs to the sandbox (`scraps`, `scratch`) or to
 * the caller of recipe_run(). A C function has LUA_MINSTACK slots; whoever recurses asks for
 * more. */
#ifndef MK_RECIPE_SANDBOX_H
#define MK_RECIPE_SANDBOX_H

#include "recipe/pool.h"
#include "recipe/recipe.h"

#include <lauxlib.h>
#include <lua.h>

/* The count hook's period. Small enough for a useful number in `recipe_run.instructions`; the
 * 10,000 hooks of a run that spends its whole budget cost half a millisecond. */
#define SANDBOX_HOOK_INSTRUCTIONS 100
/* How often the clock is asked: in every tenth hook, and when this much work has been charged. */
#define SANDBOX_CLOCK_INSTRUCTIONS 1000
#define SANDBOX_CLOCK_WORK ((uint64_t)128 * 1024)

/* What LuaJIT adds to the bytes of a string or to the slots of a list, generously: a string of
 * alloc_bytes_max has to fit. */
#define SANDBOX_ALLOC_OVERHEAD 256

/* Why no further instruction of this run may be executed. Sticky: our pcall and xpcall, the only
 * ones that there are, pass the error on for as long as this is not STOP_NONE. */
enum sandbox_stop {
    STOP_NONE,
    STOP_BUDGET,     /* stop_text says which */
    STOP_WAIT,       /* call:wait parked the call */
    STOP_UNANSWERED, /* the host would block, or has failed */
    STOP_FAILED,     /* stop_name, stop_text */
};

/* Slots of the registry that hold what C code needs at hand. */
enum sandbox_slot {
    SLOT_CHUNK = 1, /* the compiled recipe; its environment is SLOT_ENVIRONMENT */
    SLOT_ENVIRONMENT,
    SLOT_ERROR, /* metatables, as the ones below */
    SLOT_LIST,
    SLOT_OPERATION,
    SLOT_CALL,
    SLOT_ARGUMENTS, /* decoded and checked, see struct sandbox */
    SLOT_MODULE,    /* what the chunk has returned, if it is `kept`, */
    SLOT_TRACE,     /* sandbox_guard()'s message handler */
    SLOT_VARIABLES, /* and those that its functions share: a function, a value, a function ... */
    SLOT_STAT,      /* functions that make a table of their arguments: see makers_build() */
    SLOT_RUN_CALL,
    SLOT_THREAD, /* of the next sandbox_guard_run(), or nil */
};

/* C functions that call Lua functions that call C functions, and so on: pcall in pcall, gsub in
 * gsub. LuaJIT does not count them, and each takes up to 2 KB of the C stack. */
#define SANDBOX_CALLS_NESTED_MAX 100

struct run_state;

/* What a run has used up so far. Runs within a run go on counting where that stands. */
struct sandbox_spent {
    uint64_t instructions; /* in whole hooks */
    uint64_t work;
    uint64_t churn_bytes; /* handed out to Lua */
    bool timed;           /* the clock has been asked; most runs end before */
    mk_ms started_ms;
    int calls_nested;
};

struct sandbox {
    const struct recipe_options *limits; /* every field resolved; outlives the sandbox */
    struct recipe_log *log;              /* of the engine, as above */
    lua_State *L;                        /* while an operation runs: the thread that it runs on */
    struct pool pool;                    /* all of L's memory */
    int entered;        /* how many sandbox_enter() are under way, one within the other */
    bool armed;         /* alloc_bytes_max is in force: not while compiling */
    bool out_of_memory; /* an allocation was refused: L must be thrown away */
    bool checking;      /* recipe_version_load(): operation{} looks at what it is given */

    enum sandbox_stop stop;
    const char *stop_name; /* of STOP_FAILED; a literal, or in `scraps` */
    struct mk_error stop_text;
    struct mk_error raised; /* a message on its way into Lua */
    struct mk_buf trace;    /* of the last error, if no structured one: "lock@1a2b3c4d:12 < ..." */
    struct sandbox_spent spent;
    struct run_state *run; /* NULL: no operation runs, so znodes are out of reach */
    int park_nested;       /* calls_nested of where a run can be left without a raise */

    /* A call's arguments are checked when it arrives and used in its first run, right
     * afterwards: they are decoded once. SLOT_ARGUMENTS holds those of `arguments`; none if its
     * operation is NULL. */
    struct {
        const void *operation;
        enum recipe_format format;
        struct mk_buf bytes;
        mk_ms timeout_ms;
    } arguments;

    bool kept; /* see recipe/instance.h; each of SLOT_VARIABLES' has a number in its function */
    int variables_count;
    struct sandbox_variable {
        uint8_t number;
        bool copied; /* a table */
    } * variables;

    struct mk_arena scraps; /* until the run has ended */
    struct mk_buf scratch;  /* within one C function that calls no Lua */
};

/* NULL: not even an empty state fits into memory_bytes_max. */
struct sandbox *sandbox_new(const struct recipe_options *limits, struct recipe_log *log);
void sandbox_free(struct sandbox *sandbox);

/* Compile `source` into SLOT_CHUNK. `chunk` is what positions in messages begin with.
 * MK_OK, or MK_BAD_ARGUMENTS with "lock.lua:12: ..." in `error`. */
enum mk_status sandbox_compile(struct sandbox *sandbox, struct mk_bytes source, const char *chunk,
                               struct mk_error *error);

/* Call `function` under a fresh set of budgets, or, from within a run of `outer`, under what that has
 * left; with `context` as its light userdata argument. `outer` may be the sandbox itself. `function`
 * catches the errors of scripts by sandbox_guard(). False: the run had to stop, and `stop` says
 * why. */
bool sandbox_enter(struct sandbox *sandbox, struct sandbox *outer, lua_CFunction function,
                   void *context);

/* After the outermost run: release its scraps. */
void sandbox_leave(struct sandbox *sandbox);

/* Within sandbox_enter(): lua_pcall() for code outside of Lua. True: it returned. False: it raised;
 * then *name is the error's name and its message is on the stack, or *name is NULL because the run
 * has to stop. [-(arguments + 1), +(results | 1 | 0), raises only for want of memory] */
bool sandbox_guard(lua_State *L, int arguments, int results, const char **name);

/* The same for a function that may park: on a thread that sandbox_park() can leave. One result.
 * [-(arguments + 1), +(1 | 0), raises only for want of memory] */
bool sandbox_guard_run(lua_State *L, int arguments, const char **name);

static inline struct sandbox *sandbox_of(lua_State *L)
{
    void *context = NULL;
    (void)lua_getallocf(L, &context);
    return context;
}

/* ---- Raising ---- */

/* End the run for the reason that the sandbox now holds. [raises] */
_Noreturn void sandbox_stop(lua_State *L, enum sandbox_stop stop);
/* End the run as STOP_WAIT; for a C function to return. [raises] */
int sandbox_park(lua_State *L);
/* A budget is spent. [raises] */
_Noreturn void sandbox_exhausted(lua_State *L);
#define sandbox_exhaust(L, ...) \
    (mk_error_set(&sandbox_of(L)->stop_text, __VA_ARGS__), sandbox_exhausted(L))

/* A structured error, which the recipe may catch: {error = name, message = ...}; the script's
 * position goes in front of the message. [raises] */
_Noreturn void sandbox_raised(lua_State *L, const char *name);
#define sandbox_raise(L, name, ...) \
    (mk_error_set(&sandbox_of(L)->raised, __VA_ARGS__), sandbox_raised(L, name))
/* The same with `message`, as it is. [raises] */
_Noreturn void sandbox_raise_message(lua_State *L, const char *name, struct mk_bytes message);

/* "lock@1a2b3c4d:12: " of the innermost Lua function, or "". Allocates nothing from Lua. */
void sandbox_where(lua_State *L, struct mk_error *out);

/* ---- Calling Lua: never by lua_call() and lua_pcall() themselves ---- */

/* lua_call(), bounded in depth. [-(arguments + 1), +results, raises] */
void sandbox_call(lua_State *L, int arguments, int results);
/* lua_pcall() without a handler: false if an error was raised, which is then on the stack. An
 * error that ends the run is passed on. [-(arguments + 1), +(results | 1), raises if the run has
 * to stop] */
bool sandbox_call_protected(lua_State *L, int arguments, int results);

/* ---- Budgets ---- */

/* Work is counted in bytes handled; what is not bytes has a price in bytes that takes about as
 * long. 16 MB of it, whatever the function, take 50 to 200 ms. */
#define SANDBOX_ELEMENT 16 /* one element of a table read or written */
#define SANDBOX_RAISE 1024 /* an error that is caught: the C stack is unwound */
/* `amount` of work is about to be done. [-0, +0, raises] */
void sandbox_charge(lua_State *L, uint64_t amount);
/* Push a string: charged, and refused beyond alloc_bytes_max. [-0, +1, raises] */
void sandbox_push_bytes(lua_State *L, struct mk_bytes bytes);

/* ---- Shared small things ---- */

/* luaL_checklstring() as bytes, never null; valid while the string is on the stack. [raises] */
struct mk_bytes sandbox_check_bytes(lua_State *L, int index);
/* The string at `index`, which is one. [-0, +0] */
struct mk_bytes sandbox_bytes(lua_State *L, int index);
void sandbox_set_metatable(lua_State *L, enum sandbox_slot slot); /* of the value on top [-0, +0] */
bool sandbox_has_metatable(lua_State *L, int index, enum sandbox_slot slot); /* [-0, +0] */
/* The table at `index` may be written to by rawset: libraries and what else we made may not.
 * [-0, +0, raises] */
void sandbox_check_writable(lua_State *L, int index);
/* Any value as text, without addresses: those differ between processes. [-0, +1, raises] */
void sandbox_push_text(lua_State *L, int index);

#endif
