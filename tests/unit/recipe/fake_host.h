/* A tree in a list, and the plumbing of a test that loads a recipe and runs it. */
#ifndef TESTS_UNIT_RECIPE_FAKE_HOST_H
#define TESTS_UNIT_RECIPE_FAKE_HOST_H

#include "recipe/recipe.h"
#include "unit/cmocka.h"

#define FAKE_ZNODES_MAX 6000
#define ANN 0x1000000000000a11
#define BOB 0x1000000000000b0b

struct fake_znode {
    char path[128];
    struct mk_buf data;
    mk_session owner;
    mk_zxid czxid, mzxid, pzxid;
    int32_t version, created; /* how many children were ever created below it */
};

struct world {
    struct recipe_host host;   /* first: world_of() */
    struct fake_znode *znodes; /* in the order of creation */
    size_t znodes_count;
    mk_zxid zxid; /* of the run at hand */
    mk_ms now_ms;
    mk_session session;    /* whose calls they are; ANN at first */
    mk_session dead;       /* the one session that is not alive */
    enum mk_status answer; /* not MK_OK: every host call answers so */
    uint32_t effects;
    bool may_park;

    struct recipe_options options;
    struct mk_log log;
    struct mk_buf log_text;
    mk_ms elapsed_ms; /* what the clock says; grows by elapsed_step_ms when asked */
    mk_ms elapsed_step_ms;

    struct recipe_engine *engine;
    struct recipe_version *version;
    struct recipe_run run; /* the last one */
    struct mk_buf once;    /* what the call at hand remembers */
};

void world_open(struct world *world);
void world_close(struct world *world);
/* After changing world->options. */
void world_engine_renew(struct world *world);

/* Load; asserts that it loads. */
void world_load(struct world *world, const char *name, const char *source);
void world_load_file(struct world *world, const char *path);
/* Load; asserts that it does not, and returns why. */
const char *world_load_error(struct world *world, const char *source);

/* One run of `operation`, with a fresh memory or with that of the run before. Its effects stay
 * if it returned or parked. */
void world_run(struct world *world, const char *operation, const char *arguments);
void world_rerun(struct world *world, const char *operation, const char *arguments);
void world_cancel(struct world *world, const char *operation, const char *arguments);
/* Load a recipe whose one operation has this body, and run it. */
void world_eval(struct world *world, const char *body);

const char *world_result(struct world *world);  /* asserts that the run returned */
const char *world_message(struct world *world); /* asserts that it failed */
void world_returned(struct world *world, const char *json);
void world_failed(struct world *world, const char *name, const char *part_of_message);
/* "deleted /a/b, children /c"; asserts that the run parked. */
const char *world_waits(struct world *world);

struct fake_znode *world_znode(struct world *world, const char *path); /* or NULL */
void world_create(struct world *world, const char *path, const char *data);
void world_delete(struct world *world, const char *path);

#endif
