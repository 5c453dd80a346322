/* Two open-addressing hash maps with linear probing, one per kind of key.
 *
 * A slot is free (value NULL), a tomb (value TOMB: something was here, keep probing) or taken.
 * Capacity is a power of two. At most three quarters of the slots are taken or tombs, so that every
 * probe ends; beyond it the map is rehashed, to twice the size if the taken ones are the reason.
 * A removed entry becomes a tomb only if a probe could have gone past it. */
#include "base/base.h"

#define MAP_CAPACITY_MIN 16

static const char tomb_marker;
#define TOMB ((void *)(uintptr_t)&tomb_marker)

struct mk_map_u64_slot {
    uint64_t key;
    void *value;
};

struct mk_map_bytes_slot {
    uint64_t hash; /* kept: rehashing does not touch the keys, and probing rarely does */
    struct mk_bytes key;
    void *value;
};

static bool value_taken(const void *value)
{
    return value != NULL && value != TOMB;
}

static bool map_full(size_t capacity, size_t count, size_t tombs)
{
    return (count + tombs + 1) * 4 > capacity * 3;
}

static size_t map_capacity_next(size_t capacity, size_t count)
{
    if (capacity < MAP_CAPACITY_MIN) {
        return MAP_CAPACITY_MIN;
    }
    return count * 2 >= capacity ? capacity * 2 : capacity;
}

/* ---- u64 ---- */

static size_t u64_home(const struct mk_map_u64 *map, uint64_t key)
{
    key ^= key >> 32; /* session ids differ in the high bits, counters in the low ones */
    key *= 0x9e3779b97f4a7c15u;
    key ^= key >> 32;
    return (size_t)key & (map->capacity - 1);
}

static struct mk_map_u64_slot *u64_find(const struct mk_map_u64 *map, uint64_t key)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    for (size_t at = u64_home(map, key);; at = (at + 1) & mask) {
        struct mk_map_u64_slot *slot = &map->slots[at];
        if (slot->value == NULL) {
            return NULL;
        }
        if (slot->key == key && slot->value != TOMB) {
            return slot;
        }
    }
}

/* `key` is known to be absent. */
static void u64_insert(struct mk_map_u64 *map, uint64_t key, void *value)
{
    size_t mask = map->capacity - 1;
    size_t at = u64_home(map, key);
    while (value_taken(map->slots[at].value)) {
        at = (at + 1) & mask;
    }
    if (map->slots[at].value == TOMB) {
        map->tombs--;
    }
    map->slots[at] = (struct mk_map_u64_slot){key, value};
    map->count++;
}

static void u64_rehash(struct mk_map_u64 *map)
{
    struct mk_map_u64 old = *map;
    map->capacity = map_capacity_next(old.capacity, old.count);
    map->slots = mk_alloc_zero(map->capacity, sizeof(map->slots[0]));
    map->count = 0;
    map->tombs = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        if (value_taken(old.slots[i].value)) {
            u64_insert(map, old.slots[i].key, old.slots[i].value);
        }
    }
    MK_ASSERT(map->count == old.count);
    mk_free(old.slots);
}

void *mk_map_u64_get(const struct mk_map_u64 *map, uint64_t key)
{
    const struct mk_map_u64_slot *slot = u64_find(map, key);
    return slot == NULL ? NULL : slot->value;
}

void *mk_map_u64_put(struct mk_map_u64 *map, uint64_t key, void *value)
{
    MK_ASSERT(value != NULL);
    struct mk_map_u64_slot *slot = u64_find(map, key);
    if (slot != NULL) {
        void *old = slot->value;
        slot->value = value;
        return old;
    }
    if (map_full(map->capacity, map->count, map->tombs)) {
        u64_rehash(map);
    }
    u64_insert(map, key, value);
    return NULL;
}

void *mk_map_u64_remove(struct mk_map_u64 *map, uint64_t key)
{
    struct mk_map_u64_slot *slot = u64_find(map, key);
    if (slot == NULL) {
        return NULL;
    }
    void *old = slot->value;
    size_t mask = map->capacity - 1;
    size_t at = (size_t)(slot - map->slots);
    map->count--;
    slot->value = TOMB;
    map->tombs++;
    if (map->slots[(at + 1) & mask].value == NULL) {
        while (map->slots[at].value == TOMB) { /* no probe goes past a free slot */
            map->slots[at].value = NULL;
            map->tombs--;
            at = (at - 1) & mask;
        }
    }
    return old;
}

bool mk_map_u64_next(const struct mk_map_u64 *map, size_t *cursor, uint64_t *key, void **value)
{
    while (*cursor < map->capacity) {
        const struct mk_map_u64_slot *slot = &map->slots[(*cursor)++];
        if (value_taken(slot->value)) {
            *key = slot->key;
            *value = slot->value;
            return true;
        }
    }
    return false;
}

void mk_map_u64_free(struct mk_map_u64 *map)
{
    mk_free(map->slots);
    *map = (struct mk_map_u64){0};
}

/* ---- bytes ---- */

static struct mk_map_bytes_slot *bytes_find(const struct mk_map_bytes *map, struct mk_bytes key,
                                            uint64_t hash)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
        struct mk_map_bytes_slot *slot = &map->slots[at];
        if (slot->value == NULL) {
            return NULL;
        }
        if (slot->hash == hash && slot->value != TOMB && mk_bytes_equal(slot->key, key)) {
            return slot;
        }
    }
}

/* The key is known to be absent. */
static void bytes_insert(struct mk_map_bytes *map, struct mk_map_bytes_slot entry)
{
    size_t mask = map->capacity - 1;
    size_t at = (size_t)entry.hash & mask;
    while (value_taken(map->slots[at].value)) {
        at = (at + 1) & mask;
    }
    if (map->slots[at].value == TOMB) {
        map->tombs--;
    }
    map->slots[at] = entry;
    map->count++;
}

static void bytes_rehash(struct mk_map_bytes *map)
{
    struct mk_map_bytes old = *map;
    map->capacity = map_capacity_next(old.capacity, old.count);
    map->slots = mk_alloc_zero(map->capacity, sizeof(map->slots[0]));
    map->count = 0;
    map->tombs = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        if (value_taken(old.slots[i].value)) {
            bytes_insert(map, old.slots[i]);
        }
    }
    MK_ASSERT(map->count == old.count);
    mk_free(old.slots);
}

void *mk_map_bytes_get(const struct mk_map_bytes *map, struct mk_bytes key)
{
    if (map->count == 0) {
        return NULL; /* before hashing: many tables are empty most of the time */
    }
    const struct mk_map_bytes_slot *slot =
        bytes_find(map, key, mk_bytes_hash_secret(key, map->secret));
    return slot == NULL ? NULL : slot->value;
}

void *mk_map_bytes_put(struct mk_map_bytes *map, struct mk_bytes key, void *value)
{
    MK_ASSERT(value != NULL);
    uint64_t hash = mk_bytes_hash_secret(key, map->secret);
    struct mk_map_bytes_slot *slot = bytes_find(map, key, hash);
    if (slot != NULL) {
        void *old = slot->value;
        slot->key = key; /* The key of the old value may go with it. */
        slot->value = value;
        return old;
    }
    if (map_full(map->capacity, map->count, map->tombs)) {
        bytes_rehash(map);
    }
    bytes_insert(map, (struct mk_map_bytes_slot){hash, key, value});
    return NULL;
}

void *mk_map_bytes_remove(struct mk_map_bytes *map, struct mk_bytes key)
{
    struct mk_map_bytes_slot *slot = bytes_find(map, key, mk_bytes_hash_secret(key, map->secret));
    if (slot == NULL) {
        return NULL;
    }
    void *old = slot->value;
    size_t mask = map->capacity - 1;
    size_t at = (size_t)(slot - map->slots);
    map->count--;
    slot->key = MK_BYTES_NULL;
    slot->value = TOMB;
    map->tombs++;
    if (map->slots[(at + 1) & mask].value == NULL) {
        while (map->slots[at].value == TOMB) {
            map->slots[at].value = NULL;
            map->tombs--;
            at = (at - 1) & mask;
        }
    }
    return old;
}

bool mk_map_bytes_next(const struct mk_map_bytes *map, size_t *cursor, struct mk_bytes *key,
                       void **value)
{
    while (*cursor < map->capacity) {
        const struct mk_map_bytes_slot *slot = &map->slots[(*cursor)++];
        if (value_taken(slot->value)) {
            *key = slot->key;
            *value = slot->value;
            return true;
        }
    }
    return false;
}

void mk_map_bytes_free(struct mk_map_bytes *map)
{
    mk_free(map->slots);
    *map = (struct mk_map_bytes){.secret = map->secret};
}
