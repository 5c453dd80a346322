#include "recipe/pool.h"

#include <string.h>

struct pool_block {
    struct pool_block *next;
    _Alignas(16) uint8_t data[];
};

struct pool_free {
    struct pool_free *next;
};

static size_t class_of(size_t size)
{
    return (size + POOL_GRAIN - 1) / POOL_GRAIN;
}

static bool block_add(struct pool *pool)
{
    if (pool->bytes_max - pool->bytes < POOL_BLOCK_BYTES) {
        return false;
    }
    struct pool_block *block = mk_alloc(POOL_BLOCK_BYTES);
    block->next = pool->blocks;
    pool->blocks = block;
    pool->bytes += POOL_BLOCK_BYTES;
    pool->at =
        block->data; /* what was left of the block before is forgotten: less than 512 bytes */
    pool->end = (uint8_t *)block + POOL_BLOCK_BYTES;
    return true;
}

static void *small_take(struct pool *pool, size_t size)
{
    size_t class = class_of(size);
    struct pool_free *taken = pool->free[class];
    if (taken != NULL) {
        pool->free[class] = taken->next;
        return taken;
    }
    if ((size_t)(pool->end - pool->at) < class * POOL_GRAIN && !block_add(pool)) {
        return NULL;
    }
    uint8_t *memory = pool->at;
    pool->at += class * POOL_GRAIN;
    return memory;
}

static void small_return(struct pool *pool, void *memory, size_t size)
{
    struct pool_free *returned = memory;
    returned->next = pool->free[class_of(size)];
    pool->free[class_of(size)] = returned;
}

static void *take(struct pool *pool, size_t size)
{
    if (size <= POOL_SMALL_MAX) {
        return small_take(pool, size);
    }
    if (size > pool->bytes_max - pool->bytes) {
        return NULL;
    }
    pool->bytes += size;
    return mk_alloc(size);
}

static void give_back(struct pool *pool, void *memory, size_t size)
{
    if (memory == NULL) {
        return;
    }
    if (size <= POOL_SMALL_MAX) {
        small_return(pool, memory, size);
    } else {
        pool->bytes -= size;
        mk_free(memory);
    }
}

static void *large_resize(struct pool *pool, void *memory, size_t size_before, size_t size)
{
    if (size > size_before && size - size_before > pool->bytes_max - pool->bytes) {
        return NULL;
    }
    pool->bytes += size - size_before; /* wraps to less if it shrinks */
    return mk_realloc(memory, size);
}

void *pool_realloc(struct pool *pool, void *memory, size_t size_before, size_t size)
{
    if (size == 0) {
        give_back(pool, memory, size_before);
        return NULL;
    }
    if (memory == NULL) {
        return take(pool, size);
    }
    if (size_before > POOL_SMALL_MAX && size > POOL_SMALL_MAX) {
        return large_resize(pool, memory, size_before, size);
    }
    if (class_of(size_before) == class_of(size)) {
        return memory;
    }
    void *moved = take(pool, size);
    if (moved == NULL) {
        /* What is too large for its new class serves in it as well. */
        return size < size_before && size_before <= POOL_SMALL_MAX ? memory : NULL;
    }
    memcpy(moved, memory, size < size_before ? size : size_before);
    give_back(pool, memory, size_before);
    return moved;
}

void pool_free(struct pool *pool)
{
    while (pool->blocks != NULL) {
        struct pool_block *block = pool->blocks;
        pool->blocks = block->next;
        pool->bytes -= POOL_BLOCK_BYTES;
        mk_free(block);
    }
    MK_ASSERT(pool->bytes == 0);
}
