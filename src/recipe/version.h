/* A recipe version: its source, what its operations declare, and the sandbox they run in. */
#ifndef MK_RECIPE_VERSION_H
#define MK_RECIPE_VERSION_H

#include "recipe/log.h"
#include "recipe/sandbox.h"
#include "recipe/schema.h"

/* More than any recipe of the catalogue has by far; a declaration beyond them is refused. */
#define VERSION_OPERATIONS_MAX 64
#define OPERATION_ARGUMENTS_MAX 32

struct operation {
    struct recipe_operation shown; /* first: operation_of() */
    struct argument *arguments;    /* sorted by name */
    size_t arguments_count;
};

static inline const struct operation *operation_of(const struct recipe_operation *shown)
{
    return (const struct operation *)(const void *)shown;
}

/* As many as there may be recipes in a tree. What nobody has called for longest goes from memory, and is
 * loaded again when it is called: 150 us. Each takes 50 KB to 100 KB, at most VERSION_SANDBOX_BYTES_MAX. */
#define VERSIONS_LOADED_MAX 256

struct recipe_engine {
    struct recipe_options options; /* every field resolved */
    struct recipe_log log;
    struct mk_map_bytes versions; /* by hash; at most VERSIONS_LOADED_MAX that are not being run */
    uint64_t uses;                /* of versions, all of them */
};

struct recipe_version {
    struct recipe_engine *engine;
    uint64_t used; /* engine->uses, when it was last found */
    char hash[RECIPE_VERSION_BYTES + 1];
    char name[RECIPE_NAME_BYTES_MAX + 1];
    struct mk_buf source;
    struct mk_arena declared; /* what the operations' pointers point to */
    bool overrides;           /* `override = true` */
    struct operation *operations;
    size_t operations_count;
    struct sandbox *sandbox; /* NULL: made when it is next needed */
};

/* The sandbox with the compiled recipe, made if need be. NULL: it does not fit into the budgets. */
struct sandbox *version_sandbox(struct recipe_version *version);
/* A sandbox that grew beyond this is thrown away after the run: making another (30 us for the lock)
 * costs less than collecting that much garbage, and one heavy run is no burden to the next. The
 * lock's takes 46 KB when it is new and stays below 200 KB with the garbage of its runs. */
#define VERSION_SANDBOX_BYTES_MAX ((size_t)2 * 1024 * 1024)

/* After sandbox_enter(): a sandbox that grew too large or ran out of memory is thrown away. */
void version_sandbox_leave(struct recipe_version *version);

/* ---- operation.c ---- */

/* From what the recipe returned, at `index`, fill version->operations. [-0, +0, raises] */
void operations_read(lua_State *L, int index, struct recipe_version *version);

/* ---- arguments.c ---- */

/* Decode and check a call's arguments against the schema: durations become whole milliseconds, null
 * becomes the default or nil. Raises BadArguments. *timeout_ms is that of `timeout`, or -1. [-0, +1, raises] */
void arguments_push(lua_State *L, const struct operation *operation, enum recipe_format format,
                    struct mk_bytes bytes, mk_ms *timeout_ms);
/* Longer ones are never plain (plain.h): nothing of a plain one exceeds a budget. */
size_t arguments_plain_max(const struct recipe_options *limits);
/* Keep the arguments on top for the next arguments_push() with the same bytes. [-1, +0, raises] */
void arguments_keep(lua_State *L, const struct operation *operation, enum recipe_format format,
                    struct mk_bytes bytes, mk_ms timeout_ms);

#endif
