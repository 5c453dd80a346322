/* Memory for one lua_State: small objects of one size from one list. LuaJIT says how large what it
 * returns was, so nothing needs a header, and taking and returning are a few instructions each. */
#ifndef MK_RECIPE_POOL_H
#define MK_RECIPE_POOL_H

#include "base/base.h"

#define POOL_GRAIN ((size_t)16)
#define POOL_SMALL_MAX ((size_t)512) /* larger ones come from the heap one by one */
#define POOL_BLOCK_BYTES ((size_t)16 * 1024)

struct pool {
    struct pool_block *blocks;
    uint8_t *at; /* what is left of the newest block */
    uint8_t *end;
    struct pool_free *free[POOL_SMALL_MAX / POOL_GRAIN + 1];
    size_t bytes; /* taken from the heap; never shrinks by small objects */
    size_t bytes_max;
};

/* As lua_Alloc: `size` 0 frees; NULL if bytes_max would be exceeded, and then nothing has
 * changed. */
void *pool_realloc(struct pool *pool, void *memory, size_t size_before, size_t size);
void pool_free(struct pool *pool); /* the small objects; the large ones are returned by then */

#endif
