/* The heap. There is no failure to handle: a process without memory cannot keep its promises, and
 * the budgets that prevent it are enforced long before, by named maxima in each room. */
#include "base/base.h"

#include <stdlib.h>

/* malloc(0) may return NULL, which is no failure; one byte avoids the question. */
static size_t size_checked(size_t size)
{
    MK_ASSERT(size <= MK_ALLOC_MAX);
    return size == 0 ? 1 : size;
}

void *mk_alloc(size_t size)
{
    void *memory = malloc(size_checked(size));
    MK_ASSERT(memory != NULL);
    return memory;
}

void *mk_alloc_zero(size_t count, size_t size)
{
    MK_ASSERT(size == 0 || count <= MK_ALLOC_MAX / size);
    void *memory = calloc(1, size_checked(count * size));
    MK_ASSERT(memory != NULL);
    return memory;
}

void *mk_realloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size_checked(size));
    MK_ASSERT(moved != NULL);
    return moved;
}

void mk_free(void *memory)
{
    free(memory);
}
