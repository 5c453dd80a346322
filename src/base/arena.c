/* Scraps of one step in blocks that double in size. Under AddressSanitizer every scrap is a block
 * of its own and a reset keeps none, so that a scrap used after the reset, or past its end, is
 * reported as what it is. */
#include "base/base.h"

#include <string.h>

#define ARENA_BLOCK_MIN ((size_t)4096)
#define ARENA_BLOCK_MAX ((size_t)1 << 20) /* a larger scrap gets a block of its size */
#define ARENA_ALIGN ((size_t)16)

struct mk_arena_block {
    struct mk_arena_block *next;
    size_t size; /* of data[] */
    size_t used;
    _Alignas(16) uint8_t data[];
};

static struct mk_arena_block *arena_block_new(struct mk_arena *arena, size_t size)
{
    size_t block_size = size;
    if (MK_MEMORY_REUSED) {
        size_t last = arena->blocks == NULL ? ARENA_BLOCK_MIN / 2 : arena->blocks->size;
        size_t doubled = last >= ARENA_BLOCK_MAX / 2 ? ARENA_BLOCK_MAX : last * 2;
        block_size = size > doubled ? size : doubled;
    }

    struct mk_arena_block *block = mk_alloc(sizeof(*block) + block_size);
    block->next = arena->blocks;
    block->size = block_size;
    block->used = 0;
    arena->blocks = block;
    return block;
}

void *mk_arena_alloc(struct mk_arena *arena, size_t size)
{
    MK_ASSERT(size <= MK_ALLOC_MAX / 2);
    struct mk_arena_block *block = arena->blocks;
    if (block == NULL || size > block->size - block->used || !MK_MEMORY_REUSED) {
        block = arena_block_new(arena, size);
    }

    void *memory = block->data + block->used;
    size_t rounded = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    size_t left = block->size - block->used;
    block->used += rounded < left ? rounded : left;
    return memory;
}

struct mk_bytes mk_arena_copy(struct mk_arena *arena, struct mk_bytes bytes)
{
    if (bytes.data == NULL) {
        return MK_BYTES_NULL;
    }
    uint8_t *copy = mk_arena_alloc(arena, bytes.len);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return (struct mk_bytes){copy, bytes.len};
}

static bool block_is_worth_keeping(const struct mk_arena_block *block)
{
    return block->size <= ARENA_BLOCK_MAX && MK_MEMORY_REUSED;
}

/* Keep the largest block that is not oversized: after a few steps one block fits a usual step,
 * and one unusual step does not hold on to its memory for ever. */
void mk_arena_reset(struct mk_arena *arena)
{
    struct mk_arena_block *kept = NULL;
    struct mk_arena_block *block = arena->blocks;
    if (block != NULL && block->next == NULL && block_is_worth_keeping(block)) {
        block->used = 0; /* nearly always */
        return;
    }
    while (block != NULL) {
        struct mk_arena_block *next = block->next;
        struct mk_arena_block *loser = block;
        if (block_is_worth_keeping(block) && (kept == NULL || block->size > kept->size)) {
            loser = kept;
            kept = block;
        }
        mk_free(loser);
        block = next;
    }

    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    arena->blocks = kept;
}

void mk_arena_free(struct mk_arena *arena)
{
    struct mk_arena_block *block = arena->blocks;
    while (block != NULL) {
        struct mk_arena_block *next = block->next;
        mk_free(block);
        block = next;
    }
    arena->blocks = NULL;
}
