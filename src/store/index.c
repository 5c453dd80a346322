/* The hash index. `now` takes all insertions; while `old` is not empty, every insertion and removal
 * also moves a few slots of it over. A moved or removed row leaves a tomb in `old`; `now` has none:
 * a removal there shifts back what follows. */
#include "store/index.h"

#include <string.h>

#define INDEX_CAPACITY_MIN 64
/* `old` has to be empty before `now` is full. A `now` of twice the size may take as many rows again
 * as `old` has slots, two thirds; more than two slots an insertion is for shrinking in time. */
#define INDEX_DRAIN_STEP 16

static const char tomb_marker; /* its address stands for a row; it is never looked into */
#define TOMB ((struct row *)(uintptr_t)&tomb_marker)

/* ---- The hash: as base's mk_bytes_hash() (wyhash's construction), with secret constants ---- */

__extension__ typedef unsigned __int128 uint128;

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load8(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline uint64_t load4(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

uint64_t index_hash(const struct index *index, struct mk_bytes key)
{
    const uint8_t *at = key.data;
    size_t left = key.len;
    uint64_t state = index->secret[0];
    for (; left > 16; at += 16, left -= 16) {
        state = mix(load8(at) ^ index->secret[1], load8(at + 8) ^ state);
    }
    uint64_t a = 0;
    uint64_t b = 0;
    if (left >= 8) {
        a = load8(at);
        b = load8(at + left - 8);
    } else if (left >= 4) {
        a = load4(at);
        b = load4(at + left - 4);
    } else if (left > 0) {
        a = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
    }
    state = mix(a ^ index->secret[1], b ^ state);
    return mix(state ^ index->secret[0], (uint64_t)key.len ^ index->secret[1]);
}

static uint64_t secret_next(uint64_t *seed) /* splitmix64 */
{
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t z = *seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void index_init(struct index *index, uint64_t seed)
{
    *index = (struct index){0};
    index->secret[0] = secret_next(&seed);
    index->secret[1] = secret_next(&seed) | 1;
}

void index_free(struct index *index)
{
    mk_free(index->now.slots);
    mk_free(index->old.slots);
    index->now = (struct index_slots){0};
    index->old = (struct index_slots){0};
}

/* ---- One array of slots ---- */

static struct index_slots slots_new(size_t capacity)
{
    return (struct index_slots){mk_alloc_zero(capacity, sizeof(struct index_slot)), capacity, 0};
}

/* A row is a few cache lines long, and with a million rows none of them is in the cache: fetch them
 * all at once, rather than one after the other as key and value are come to. */
static bool row_has_key(const struct row *row, struct mk_bytes key)
{
    const char *lines = (const char *)row;
    __builtin_prefetch(lines + 64);
    __builtin_prefetch(lines + 128);
    return row->key_len == key.len && memcmp(row->key, key.data, key.len) == 0;
}

static struct index_slot *slots_find(const struct index_slots *slots, struct mk_bytes key,
                                     uint64_t hash)
{
    if (slots->count == 0) {
        return NULL;
    }
    size_t mask = slots->capacity - 1;
    for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
        struct index_slot *slot = &slots->slots[at];
        if (slot->row == NULL) {
            return NULL;
        }
        if (slot->hash == hash && slot->row != TOMB && row_has_key(slot->row, key)) {
            return slot;
        }
    }
}

static struct index_slot *slots_find_row(const struct index_slots *slots, const struct row *row,
                                         uint64_t hash)
{
    if (slots->count == 0) {
        return NULL;
    }
    size_t mask = slots->capacity - 1;
    for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
        struct index_slot *slot = &slots->slots[at];
        if (slot->row == NULL || slot->row == row) {
            return slot->row == NULL ? NULL : slot;
        }
    }
}

static void slots_insert(struct index_slots *slots, struct row *row, uint64_t hash)
{
    size_t mask = slots->capacity - 1;
    size_t at = (size_t)hash & mask;
    while (slots->slots[at].row != NULL) {
        at = (at + 1) & mask;
    }
    slots->slots[at] = (struct index_slot){hash, row};
    slots->count++;
    MK_ASSERT(slots->count < slots->capacity);
}

/* Free a slot, and shift back those behind it that would not be found any more. */
static void slots_remove(struct index_slots *slots, struct index_slot *slot)
{
    size_t mask = slots->capacity - 1;
    size_t hole = (size_t)(slot - slots->slots);
    for (size_t at = (hole + 1) & mask; slots->slots[at].row != NULL; at = (at + 1) & mask) {
        size_t home = (size_t)slots->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            slots->slots[hole] = slots->slots[at];
            hole = at;
        }
    }
    slots->slots[hole].row = NULL;
    slots->count--;
}

/* ---- Growing and shrinking ---- */

static void index_drain(struct index *index, size_t steps)
{
    while (index->old.count > 0 && steps-- > 0) {
        struct index_slot *slot = &index->old.slots[index->drained++];
        if (slot->row != NULL && slot->row != TOMB) {
            slots_insert(&index->now, slot->row, slot->hash);
            slot->row = TOMB;
            index->old.count--;
        }
    }
    if (index->old.slots != NULL && index->old.count == 0) {
        mk_free(index->old.slots);
        index->old = (struct index_slots){0};
    }
}

static void index_resize(struct index *index, size_t capacity)
{
    index_drain(index, SIZE_MAX);
    index->old = index->now;
    index->now = slots_new(capacity);
    index->drained = 0;
}

static void index_make_room(struct index *index)
{
    if (index->now.capacity == 0) {
        index->now = slots_new(INDEX_CAPACITY_MIN);
    }
    index_drain(index, INDEX_DRAIN_STEP);
    if ((index_count(index) + 1) * 3 > index->now.capacity * 2) {
        index_resize(index, index->now.capacity * 2);
    }
}

static void index_tighten(struct index *index)
{
    index_drain(index, INDEX_DRAIN_STEP);
    bool settled = index->old.slots == NULL;
    if (settled && index->now.capacity > INDEX_CAPACITY_MIN &&
        index->now.count < index->now.capacity / 8) {
        index_resize(index, index->now.capacity / 4);
    }
}

/* ---- The index ---- */

struct row *index_find(const struct index *index, struct mk_bytes key, uint64_t hash)
{
    const struct index_slot *slot = slots_find(&index->now, key, hash);
    if (slot == NULL && index->old.count > 0) {
        slot = slots_find(&index->old, key, hash);
    }
    return slot == NULL ? NULL : slot->row;
}

void index_insert(struct index *index, struct row *row, uint64_t hash)
{
    index_make_room(index);
    slots_insert(&index->now, row, hash);
}

void index_replace(struct index *index, const struct row *old, struct row *row, uint64_t hash)
{
    struct index_slot *slot = slots_find_row(&index->now, old, hash);
    if (slot == NULL) {
        slot = slots_find_row(&index->old, old, hash);
    }
    MK_ASSERT(slot != NULL);
    slot->row = row;
}

void index_remove(struct index *index, const struct row *row, uint64_t hash)
{
    struct index_slot *slot = slots_find_row(&index->now, row, hash);
    if (slot != NULL) {
        slots_remove(&index->now, slot);
    } else {
        slot = slots_find_row(&index->old, row, hash);
        MK_ASSERT(slot != NULL);
        slot->row = TOMB;
        index->old.count--;
    }
    index_tighten(index);
}

size_t index_count(const struct index *index)
{
    return index->now.count + index->old.count;
}

size_t index_bytes(const struct index *index)
{
    return (index->now.capacity + index->old.capacity) * sizeof(struct index_slot);
}

struct row *index_next(const struct index *index, size_t *cursor)
{
    while (*cursor < index->now.capacity + index->old.capacity) {
        size_t at = (*cursor)++;
        const struct index_slot *slot = at < index->now.capacity
                                            ? &index->now.slots[at]
                                            : &index->old.slots[at - index->now.capacity];
        if (slot->row != NULL && slot->row != TOMB) {
            return slot->row;
        }
    }
    return NULL;
}
