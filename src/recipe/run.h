/* One run of an operation, as the functions that it calls see it. */
#ifndef MK_RECIPE_RUN_H
#define MK_RECIPE_RUN_H

#include "recipe/sandbox.h"
#include "recipe/steps.h"
#include "recipe/version.h"

/* Runs within runs: enough for recipes that stand on recipes, and little of the C stack. */
#define RUN_DEPTH_MAX 8

struct run_state {
    struct recipe_run *run;
    struct recipe_version *version;
    const struct operation *operation;
    struct run_state *caller; /* whose call:run this is; NULL: nobody's */
    int depth;                /* 1: nobody's */
    bool reads_only;          /* it declares so, or a caller does */
    enum sandbox_stop stop;   /* when it has ended: why it had to */
    struct steps steps;
    uint32_t effects_count;
    int once_depth;        /* how many call:once() are being executed, one within the other */
    uint32_t once_effects; /* effects_count when the outermost of them began */
    /* The first effect that a further run would make once more: a literal, or NULL, and its line. */
    const char *unrepeatable;
    int unrepeatable_line;
};

/* Run it to its end: recipe_run(), and that of a run within a run. */
void run_execute(struct run_state *state);

/* The run at hand, or an error: the recipe's chunk itself runs before there is a call.
 * [-0, +0, raises] */
struct run_state *run_of(lua_State *L, const char *what);
/* The same for `what` with a colon: call.once(...) passes no call. [-0, +0, raises] */
struct run_state *run_of_call(lua_State *L, const char *what);

/* Before and after an effect; `what` is "znode.create". The first may raise. */
void run_effect_begin(lua_State *L, struct run_state *state, const char *what);
void run_effect_done(lua_State *L, struct run_state *state, const char *what);
/* A run within this one has ended, and had made `effects_count` effects, those before it included. */
void run_effects_adopt(lua_State *L, struct run_state *state, uint32_t effects_count);

/* pcall() unwinds out of call:once(): what was begun there is not remembered. `state` may be
 * NULL. */
int run_once_depth(const struct run_state *state);
void run_once_unwound(struct run_state *state, int depth);

/* Raise what `status` says about `what`; nothing on MK_OK. [-0, +0, raises] */
void run_check(lua_State *L, enum mk_status status, const char *what, struct mk_bytes path);

#endif
