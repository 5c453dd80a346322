#include "store/owned.h"

#define CHANGE_BYTES (2 * sizeof(uint64_t))

void owned_free(struct owned *owned)
{
    mk_map_u64_free(&owned->counts);
    mk_buf_free(&owned->changes);
}

bool owned_read(const struct owned *owned, mk_session id, int64_t *count)
{
    const void *known = mk_map_u64_get(&owned->counts, (uint64_t)id);

    *count = (int64_t)(uintptr_t)known - 1;
    return known != NULL;
}

void owned_know(struct owned *owned, mk_session id, int64_t count)
{
    MK_ASSERT(count >= 0);
    (void)mk_map_u64_put(&owned->counts, (uint64_t)id, (void *)((uintptr_t)count + 1));
}

void owned_forget(struct owned *owned, mk_session id)
{
    (void)mk_map_u64_remove(&owned->counts, (uint64_t)id);
}

/* Whoever is not known stays so. A session may have had ephemerals before it was made: of what a ZooKeeper
 * has left behind. Then they have to be counted after all. */
static void add(struct owned *owned, mk_session id, int64_t difference)
{
    int64_t count;

    if (owned_read(owned, id, &count)) {
        if (count + difference >= 0) {
            owned_know(owned, id, count + difference);
        } else {
            owned_forget(owned, id);
        }
    }
}

void owned_change(struct owned *owned, mk_session id, int64_t difference)
{
    mk_buf_put_i64(&owned->changes, id);
    mk_buf_put_i64(&owned->changes, difference);
    add(owned, id, difference);
}

void owned_end(struct owned *owned)
{
    owned->changes.len = 0;
}

/* What has become known meanwhile was counted with the changes before it, and has the later ones. */
void owned_abort(struct owned *owned)
{
    const uint8_t *change = owned->changes.data;

    for (size_t at = 0; at < owned->changes.len; at += CHANGE_BYTES) {
        mk_session id = (mk_session)mk_load_u64(change + at);
        add(owned, id, -(int64_t)mk_load_u64(change + at + sizeof(uint64_t)));
    }
    owned->changes.len = 0;
}
