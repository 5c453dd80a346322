/* Gaps: a sorted array of disjoint ranges. */
#include "store/gaps.h"

#include <string.h>

static struct gap gap_new(struct mk_bytes low, struct mk_bytes high)
{
    uint8_t *memory = mk_alloc(low.len + high.len + 1);
    memcpy(memory, low.data, low.len);
    memcpy(memory + low.len, high.data, high.len);
    return (struct gap){{memory, low.len}, {memory + low.len, high.len}};
}

static uint64_t gap_bytes(const struct gap *gap)
{
    return sizeof(*gap) + gap->low.len + gap->high.len;
}

/* Take `count` gaps out, from slot `at`. */
static void gaps_cut(struct gaps *gaps, size_t at, size_t count)
{
    MK_ASSERT(at + count <= gaps->count);
    if (count == 0) {
        return; /* there may be no array yet */
    }
    for (size_t i = at; i < at + count; i++) {
        gaps->bytes -= gap_bytes(&gaps->gaps[i]);
        mk_free((void *)(uintptr_t)gaps->gaps[i].low.data);
    }
    memmove(&gaps->gaps[at], &gaps->gaps[at + count],
            (gaps->count - at - count) * sizeof(gaps->gaps[0]));
    gaps->count -= count;
}

static void gaps_put(struct gaps *gaps, size_t at, struct mk_bytes low, struct mk_bytes high)
{
    MK_ASSERT(gaps->count < GAPS_MAX && mk_bytes_compare(low, high) < 0);
    memmove(&gaps->gaps[at + 1], &gaps->gaps[at], (gaps->count - at) * sizeof(gaps->gaps[0]));
    gaps->gaps[at] = gap_new(low, high);
    gaps->bytes += gap_bytes(&gaps->gaps[at]);
    gaps->count++;
}

/* How many gaps end before `key`; with `touching`, those that end exactly there do not count. */
static size_t gaps_rank(const struct gaps *gaps, struct mk_bytes key, bool touching)
{
    size_t low = 0;
    size_t high = gaps->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = mk_bytes_compare(gaps->gaps[middle].high, key);
        if (order < 0 || (order == 0 && !touching)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void gaps_free(struct gaps *gaps)
{
    gaps_cut(gaps, 0, gaps->count);
    mk_free(gaps->gaps);
    *gaps = (struct gaps){0};
}

void gaps_add(struct gaps *gaps, struct mk_bytes low, struct mk_bytes high)
{
    if (low.len + high.len > GAPS_KEY_BYTES_MAX || mk_bytes_compare(low, high) >= 0) {
        return;
    }
    if (gaps->gaps == NULL) {
        gaps->gaps = mk_alloc(GAPS_MAX * sizeof(gaps->gaps[0]));
    }
    /* Those that overlap or touch it become one with it. */
    size_t first = gaps_rank(gaps, low, true);
    size_t end = first;
    while (end < gaps->count && mk_bytes_compare(gaps->gaps[end].low, high) <= 0) {
        end++;
    }
    struct gap whole = {low, high};
    if (end > first && mk_bytes_compare(gaps->gaps[first].low, low) < 0) {
        whole.low = gaps->gaps[first].low;
    }
    if (end > first && mk_bytes_compare(gaps->gaps[end - 1].high, high) > 0) {
        whole.high = gaps->gaps[end - 1].high;
    }
    struct gap owned = gap_new(whole.low, whole.high);
    gaps_cut(gaps, first, end - first);
    if (gaps->count == GAPS_MAX) {
        gaps->victim = (gaps->victim + 1) % GAPS_MAX;
        gaps_cut(gaps, gaps->victim, 1);
        first = gaps_rank(gaps, owned.low, true);
    }
    gaps_put(gaps, first, owned.low, owned.high);
    mk_free((void *)(uintptr_t)owned.low.data);
}

const struct gap *gaps_at(const struct gaps *gaps, struct mk_bytes key, bool backwards)
{
    if (gaps->count == 0) {
        return NULL;
    }
    size_t at = gaps_rank(gaps, key, backwards);
    if (at == gaps->count) {
        return NULL;
    }
    int order = mk_bytes_compare(gaps->gaps[at].low, key);
    return order < 0 || (order == 0 && !backwards) ? &gaps->gaps[at] : NULL;
}

void gaps_break(struct gaps *gaps, struct mk_bytes key)
{
    const struct gap *found = gaps_at(gaps, key, false);
    if (found == NULL) {
        return;
    }
    size_t at = (size_t)(found - gaps->gaps);
    struct gap owned = gap_new(found->low, found->high);
    struct gap after = gap_new(key, MK_BYTES("")); /* gap_new() leaves a byte behind for the NUL */
    gaps_cut(gaps, at, 1);

    uint8_t *successor = (uint8_t *)(uintptr_t)after.low.data;
    successor[key.len] = 0;
    after.low.len++;
    if (mk_bytes_compare(after.low, owned.high) < 0) {
        gaps_put(gaps, at, after.low, owned.high);
    }
    if (gaps->count < GAPS_MAX && mk_bytes_compare(owned.low, key) < 0) {
        gaps_put(gaps, at, owned.low, key);
    }
    mk_free(successor);
    mk_free((void *)(uintptr_t)owned.low.data);
}
