/* Making keys, and taking them apart. */
#include "store/keys.h"

#include <string.h>

static uint8_t *key_new(struct mk_arena *arena, enum key_kind kind, size_t rest,
                        struct mk_bytes *key)
{
    uint8_t *memory = mk_arena_alloc(arena, rest + 1);
    memory[0] = (uint8_t)kind;
    *key = (struct mk_bytes){memory, rest + 1};
    return memory + 1;
}

static uint8_t *put(uint8_t *at, struct mk_bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    return at + bytes.len;
}

bool key_path_is_root(struct mk_bytes path)
{
    return path.len == 0 || (path.len == 1 && path.data[0] == '/');
}

static struct mk_bytes without_root(struct mk_bytes path)
{
    return key_path_is_root(path) ? MK_BYTES("") : path;
}

static size_t last_slash(struct mk_bytes path)
{
    const uint8_t *slash = memrchr(path.data, '/', path.len);
    MK_ASSERT(slash != NULL);
    return (size_t)(slash - path.data);
}

bool key_znode(struct mk_arena *arena, struct mk_bytes path, struct mk_bytes *key)
{
    if (key_path_is_root(path)) {
        key_new(arena, KEY_CHILD, 1, key)[0] = 0;
        return true;
    }
    if (path.data[0] != '/' || memchr(path.data, 0, path.len) != NULL) {
        return false;
    }
    size_t slash = last_slash(path);
    bool empty_name = slash == path.len - 1;
    if (empty_name || (slash > 0 && path.data[slash - 1] == '/')) {
        return false;
    }
    uint8_t *at = key_new(arena, KEY_CHILD, path.len, key);
    put(at, path);
    at[slash] = 0;
    return true;
}

struct mk_bytes key_path_parent(struct mk_bytes path)
{
    return (struct mk_bytes){path.data, last_slash(path)};
}

struct mk_bytes key_path_name(struct mk_bytes path)
{
    size_t slash = last_slash(path);
    return (struct mk_bytes){path.data + slash + 1, path.len - slash - 1};
}

struct mk_bytes key_znode_path(struct mk_arena *arena, struct mk_bytes key)
{
    MK_ASSERT(key.len >= 2 && key.data[0] == KEY_CHILD);
    if (key.len == 2) {
        return MK_BYTES("/");
    }
    struct mk_bytes path = mk_arena_copy(arena, (struct mk_bytes){key.data + 1, key.len - 1});
    uint8_t *nul = memchr((void *)(uintptr_t)path.data, 0, path.len);
    MK_ASSERT(nul != NULL);
    *nul = '/';
    return path;
}

struct mk_bytes key_path(struct mk_arena *arena, enum key_kind kind, struct mk_bytes path)
{
    struct mk_bytes key;
    put(key_new(arena, kind, path.len, &key), path);
    return key;
}

struct mk_bytes key_below(struct mk_arena *arena, enum key_kind kind, struct mk_bytes path,
                          uint8_t separator, struct mk_bytes rest)
{
    path = without_root(path);
    struct mk_bytes key;
    uint8_t *at = put(key_new(arena, kind, path.len + 1 + rest.len, &key), path);
    *at++ = separator;
    put(at, rest);
    return key;
}

struct mk_bytes key_order(struct mk_arena *arena, struct mk_bytes parent, mk_zxid czxid,
                          uint32_t position)
{
    uint8_t rest[12];
    mk_store_u64(rest, (uint64_t)czxid);
    mk_store_u32(rest + 8, position);
    return key_below(arena, KEY_ORDER, parent, 0, mk_bytes_of(rest, sizeof(rest)));
}

struct mk_bytes key_u64(struct mk_arena *arena, enum key_kind kind, uint64_t a)
{
    struct mk_bytes key;
    mk_store_u64(key_new(arena, kind, 8, &key), a);
    return key;
}

struct mk_bytes key_u64_u64(struct mk_arena *arena, enum key_kind kind, uint64_t a, uint64_t b)
{
    struct mk_bytes key;
    uint8_t *at = key_new(arena, kind, 16, &key);
    mk_store_u64(at, a);
    mk_store_u64(at + 8, b);
    return key;
}

struct mk_bytes key_parked(struct mk_arena *arena, mk_session id, int64_t call_id, mk_zxid call)
{
    struct mk_bytes key;
    uint8_t *at = key_new(arena, KEY_PARKED, 24, &key);
    mk_store_u64(at, (uint64_t)id);
    mk_store_u64(at + 8, (uint64_t)call_id);
    mk_store_u64(at + 16, (uint64_t)call);
    return key;
}

struct mk_bytes key_ephemeral(struct mk_arena *arena, mk_session id, struct mk_bytes path)
{
    struct mk_bytes key;
    uint8_t *at = key_new(arena, KEY_EPHEMERAL, 8 + path.len, &key);
    mk_store_u64(at, (uint64_t)id);
    put(at + 8, path);
    return key;
}

struct mk_bytes key_awaited(struct mk_arena *arena, struct mk_bytes path, uint8_t wait,
                            uint64_t rank, mk_zxid call)
{
    uint8_t rest[17];
    rest[0] = wait;
    mk_store_u64(rest + 1, rank);
    mk_store_u64(rest + 9, (uint64_t)call);
    return key_below(arena, KEY_AWAITED, path, 0, mk_bytes_of(rest, sizeof(rest)));
}

struct mk_bytes key_broken(struct mk_arena *arena, struct mk_bytes path, uint8_t wait)
{
    return key_below(arena, KEY_BROKEN, path, 0, mk_bytes_of(&wait, 1));
}

struct mk_bytes key_queued(struct mk_arena *arena, enum key_kind kind, mk_zxid zxid,
                           uint32_t position)
{
    struct mk_bytes key;
    uint8_t *at = key_new(arena, kind, 12, &key);
    mk_store_u64(at, (uint64_t)zxid);
    mk_store_u32(at + 8, position);
    return key;
}

struct mk_bytes key_reapable(struct mk_arena *arena, uint8_t why, int64_t order,
                             struct mk_bytes path)
{
    struct mk_bytes key;
    uint8_t *at = key_new(arena, KEY_REAPABLE, 9 + path.len, &key);
    at[0] = why;
    mk_store_u64(at + 1, (uint64_t)order);
    put(at + 9, path);
    return key;
}

struct mk_bytes key_after(struct mk_arena *arena, struct mk_bytes key)
{
    uint8_t *memory = mk_arena_alloc(arena, key.len + 1);
    *put(memory, key) = 0;
    return (struct mk_bytes){memory, key.len + 1};
}

struct mk_bytes key_after_prefix(struct mk_arena *arena, struct mk_bytes key)
{
    struct mk_bytes after = mk_arena_copy(arena, key);
    while (after.len > 0 && after.data[after.len - 1] == 0xff) {
        after.len--;
    }
    MK_ASSERT(after.len > 0); /* the kind is never 0xff */
    ((uint8_t *)(uintptr_t)after.data)[after.len - 1]++;
    return after;
}
