/* The base that stands in for RocksDB: a sorted array of rows for each checkpoint, in memory.
 *
 * A version is the base as one checkpoint made it; versions share their rows. Readers hold on to
 * the version that they began with, as RocksDB's iterators do. The newest MEMORY_VERSIONS_MAX are
 * kept, so that a simulated crash can lose checkpoints. A lock guards the list of versions, and
 * what may be read without stalling: no more than that has to work from several threads. */
#include <stdatomic.h>
#include <string.h>

#include "store/store.h"

#define MEMORY_VERSIONS_MAX 16 /* more lost checkpoints than anything could lose */
/* Keys known to be loaded; beyond, all are forgotten, as if the cache had been needed otherwise. */
#define MEMORY_LOADED_MAX 65536

struct memory_row {
    atomic_size_t refs; /* versions that have it */
    size_t key_len;
    size_t value_len;
    uint8_t bytes[]; /* key, value */
};

struct version {
    atomic_size_t refs; /* the base's list, and iterators */
    size_t count;
    struct memory_row *rows[];
};

struct memory {
    struct store_base base;
    size_t opens; /* close() calls until it is gone */
    atomic_flag lock;
    struct version *versions[MEMORY_VERSIONS_MAX]; /* newest last; at least one */
    size_t versions_count;
    uint64_t bytes; /* of the newest version */
    struct mk_random *random;
    uint32_t stall_per_mille;
    struct mk_map_bytes loaded; /* keys that do not stall any more; values own them */
};

struct store_base_iter {
    struct memory *memory;
    struct version *version;
    bool may_block;
    bool backwards;
    size_t at; /* backwards: one past the row at which it stands */
};

static struct memory *memory_of(struct store_base *base)
{
    return MK_CONTAINER(base, struct memory, base);
}

static void memory_lock(struct memory *memory)
{
    while (atomic_flag_test_and_set_explicit(&memory->lock, memory_order_acquire)) {
    }
}

static void memory_unlock(struct memory *memory)
{
    atomic_flag_clear_explicit(&memory->lock, memory_order_release);
}

/* ---- Rows and versions ---- */

static struct mk_bytes memory_key(const struct memory_row *row)
{
    return (struct mk_bytes){row->bytes, row->key_len};
}

static struct mk_bytes memory_value(const struct memory_row *row)
{
    return (struct mk_bytes){row->bytes + row->key_len, row->value_len};
}

static struct memory_row *memory_row_new(struct mk_bytes key, struct mk_bytes value)
{
    struct memory_row *row = mk_alloc(sizeof(*row) + key.len + value.len);
    atomic_init(&row->refs, 1);
    row->key_len = key.len;
    row->value_len = value.len;
    memcpy(row->bytes, key.data, key.len);
    if (value.len > 0) {
        memcpy(row->bytes + key.len, value.data, value.len);
    }
    return row;
}

static struct memory_row *memory_row_ref(struct memory_row *row)
{
    atomic_fetch_add(&row->refs, 1);
    return row;
}

static struct version *version_new(size_t rows_max)
{
    struct version *version = mk_alloc(sizeof(*version) + rows_max * sizeof(version->rows[0]));
    atomic_init(&version->refs, 1);
    version->count = 0;
    return version;
}

static void version_unref(struct version *version)
{
    if (atomic_fetch_sub(&version->refs, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < version->count; i++) {
        if (atomic_fetch_sub(&version->rows[i]->refs, 1) == 1) {
            mk_free(version->rows[i]);
        }
    }
    mk_free(version);
}

static struct version *memory_newest(struct memory *memory)
{
    memory_lock(memory);
    struct version *version = memory->versions[memory->versions_count - 1];
    atomic_fetch_add(&version->refs, 1);
    memory_unlock(memory);
    return version;
}

/* How many rows of `version` have a smaller key. */
static size_t version_rank(const struct version *version, struct mk_bytes key)
{
    size_t low = 0;
    size_t high = version->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mk_bytes_compare(memory_key(version->rows[middle]), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- Stalls: the disk that is not there ---- */

static void loaded_forget(struct memory *memory)
{
    size_t cursor = 0;
    struct mk_bytes key;
    void *owner;
    while (mk_map_bytes_next(&memory->loaded, &cursor, &key, &owner)) {
        mk_free(owner);
    }
    mk_map_bytes_free(&memory->loaded);
}

static void loaded_add(struct memory *memory, struct mk_bytes key)
{
    if (mk_map_bytes_get(&memory->loaded, key) != NULL) {
        return;
    }
    if (memory->loaded.count == MEMORY_LOADED_MAX) {
        loaded_forget(memory);
    }
    uint8_t *owner = mk_alloc(key.len + 1);
    memcpy(owner, key.data, key.len);
    mk_map_bytes_put(&memory->loaded, mk_bytes_of(owner, key.len), owner);
}

/* Whether a read of `key` stalls now. One that may block does not, and loads it. */
static bool memory_stalls(struct memory *memory, struct mk_bytes key, bool may_block)
{
    if (memory->random == NULL || memory->stall_per_mille == 0) {
        return false;
    }
    memory_lock(memory);
    bool stalls = false;
    if (may_block) {
        loaded_add(memory, key);
    } else if (mk_map_bytes_get(&memory->loaded, key) == NULL) {
        stalls = mk_random_chance(memory->random, memory->stall_per_mille);
    }
    memory_unlock(memory);
    return stalls;
}

/* ---- Reading ---- */

static enum mk_status memory_get(struct store_base *base, struct mk_bytes key, bool may_block,
                                 struct mk_buf *value)
{
    struct memory *memory = memory_of(base);
    if (memory_stalls(memory, key, may_block)) {
        return MK_WOULD_BLOCK;
    }
    struct version *version = memory_newest(memory);
    size_t at = version_rank(version, key);
    bool found = at < version->count && mk_bytes_equal(memory_key(version->rows[at]), key);
    if (found) {
        mk_buf_append_bytes(value, memory_value(version->rows[at]));
    }
    version_unref(version);
    return found ? MK_OK : MK_NO_NODE;
}

static struct store_base_iter *memory_iter_new(struct store_base *base, bool may_block)
{
    struct store_base_iter *iter = mk_alloc_zero(1, sizeof(*iter));
    iter->memory = memory_of(base);
    iter->version = memory_newest(iter->memory);
    iter->may_block = may_block;
    return iter;
}

static const struct memory_row *iter_row(const struct store_base_iter *iter)
{
    size_t at = iter->backwards ? iter->at - 1 : iter->at;
    MK_ASSERT(at < iter->version->count);
    return iter->version->rows[at];
}

static enum mk_status iter_arrive(struct store_base_iter *iter)
{
    bool end = iter->backwards ? iter->at == 0 : iter->at == iter->version->count;
    if (end) {
        return MK_END;
    }
    bool stalls = memory_stalls(iter->memory, memory_key(iter_row(iter)), iter->may_block);
    return stalls ? MK_WOULD_BLOCK : MK_OK;
}

static enum mk_status memory_iter_seek(struct store_base_iter *iter, struct mk_bytes key,
                                       bool backwards)
{
    iter->backwards = backwards;
    iter->at = version_rank(iter->version, key);
    return iter_arrive(iter);
}

static enum mk_status memory_iter_step(struct store_base_iter *iter)
{
    iter->at = iter->backwards ? iter->at - 1 : iter->at + 1;
    return iter_arrive(iter);
}

static struct mk_bytes memory_iter_key(const struct store_base_iter *iter)
{
    return memory_key(iter_row(iter));
}

static struct mk_bytes memory_iter_value(const struct store_base_iter *iter)
{
    return memory_value(iter_row(iter));
}

static void memory_iter_free(struct store_base_iter *iter)
{
    version_unref(iter->version);
    mk_free(iter);
}

/* ---- Ingesting, losing ---- */

static void memory_publish(struct memory *memory, struct version *version)
{
    struct version *forgotten = NULL;
    memory_lock(memory);
    if (memory->versions_count == MEMORY_VERSIONS_MAX) {
        forgotten = memory->versions[0];
        memory->versions_count--;
        memmove(&memory->versions[0], &memory->versions[1],
                memory->versions_count * sizeof(memory->versions[0]));
    }
    memory->versions[memory->versions_count++] = version;
    memory_unlock(memory);
    if (forgotten != NULL) {
        version_unref(forgotten);
    }
}

static size_t rows_count(const struct store_rows *rows)
{
    const void *cursor = NULL;
    struct mk_bytes key;
    struct mk_bytes value;
    size_t count = 0;
    while (store_rows_next(rows, &cursor, &key, &value)) {
        count++;
    }
    return count;
}

/* Rows of `before` from *at on go over to `after`, as long as they come before `key` (null: all).
 * True: *at is a row with that key. */
static bool version_carry(struct version *after, const struct version *before, size_t *at,
                          struct mk_bytes key)
{
    for (; *at < before->count; ++*at) {
        int order = key.data == NULL ? -1 : mk_bytes_compare(memory_key(before->rows[*at]), key);
        if (order >= 0) {
            return order == 0;
        }
        after->rows[after->count++] = memory_row_ref(before->rows[*at]);
    }
    return false;
}

/* A merge of the newest version and `rows`, which win. */
static enum mk_status memory_ingest(struct store_base *base, const struct store_rows *rows,
                                    struct mk_error *error)
{
    (void)error;
    struct memory *memory = memory_of(base);
    struct version *before = memory_newest(memory);
    struct version *after = version_new(before->count + rows_count(rows));
    size_t at = 0;
    const void *cursor = NULL;
    struct mk_bytes key;
    struct mk_bytes value;
    while (store_rows_next(rows, &cursor, &key, &value)) {
        if (version_carry(after, before, &at, key)) {
            at++;
        }
        if (value.data != NULL) {
            after->rows[after->count++] = memory_row_new(key, value);
        }
    }
    version_carry(after, before, &at, MK_BYTES_NULL);
    version_unref(before);
    memory_publish(memory, after);
    return MK_OK;
}

void store_base_memory_lose(struct store_base *base, unsigned checkpoints)
{
    struct memory *memory = memory_of(base);
    memory_lock(memory);
    for (; checkpoints > 0 && memory->versions_count > 1; checkpoints--) {
        version_unref(memory->versions[--memory->versions_count]);
    }
    memory_unlock(memory);
}

/* ---- Opening, closing ---- */

static uint64_t memory_memory_bytes(struct store_base *base)
{
    (void)base;
    return 0; /* It stands for a disk. */
}

static void memory_close(struct store_base *base)
{
    struct memory *memory = memory_of(base);
    MK_ASSERT(memory->opens > 0);
    if (--memory->opens > 0) {
        loaded_forget(memory); /* whoever opens it again finds nothing in the page cache */
        return;
    }
    for (size_t i = 0; i < memory->versions_count; i++) {
        version_unref(memory->versions[i]);
    }
    loaded_forget(memory);
    mk_free(memory);
}

static const struct store_base_ops memory_ops = {
    .get = memory_get,
    .iter_new = memory_iter_new,
    .iter_seek = memory_iter_seek,
    .iter_step = memory_iter_step,
    .iter_key = memory_iter_key,
    .iter_value = memory_iter_value,
    .iter_free = memory_iter_free,
    .ingest = memory_ingest,
    .memory_bytes = memory_memory_bytes,
    .close = memory_close,
};

struct store_base *store_base_memory(struct mk_random *random, uint32_t stall_per_mille)
{
    struct memory *memory = mk_alloc_zero(1, sizeof(*memory));
    memory->base.ops = &memory_ops;
    memory->opens = 1;
    atomic_flag_clear(&memory->lock);
    memory->versions[memory->versions_count++] = version_new(0);
    memory->random = random;
    memory->stall_per_mille = stall_per_mille;
    return &memory->base;
}

void store_base_memory_ref(struct store_base *base)
{
    memory_of(base)->opens++;
}
