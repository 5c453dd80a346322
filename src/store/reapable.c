/* Who may be reaped, and in which order.
 *
 * A place follows from the znode alone: its owner, its children, pzxid and mtime. So it is the same on
 * every server, whatever their options say about when the reaper comes, and nothing is scanned at the
 * start, nor when the reaper comes. */
#include "store/reapable.h"

#include "store/keys.h"

struct reapable_place reapable_place_of(const struct store_znode *znode)
{
    const struct tree_stat *stat = &znode->stat;
    if (stat->owner >= 0 || znode->children_count != 0) {
        return (struct reapable_place){0};
    }
    if (stat->owner == TREE_OWNER_CONTAINER) {
        bool used = stat->cversion != 0;
        return used ? (struct reapable_place){STORE_REAPABLE_EMPTIED, stat->pzxid}
                    : (struct reapable_place){STORE_REAPABLE_UNUSED, stat->mtime_ms};
    }
    mk_ms ttl_ms = tree_owner_ttl_ms(stat->owner, true);
    if (ttl_ms == 0) {
        return (struct reapable_place){0};
    }
    /* A time that another server wrote may be anything. */
    int64_t due_ms;
    if (__builtin_add_overflow(stat->mtime_ms, ttl_ms, &due_ms)) {
        due_ms = INT64_MAX;
    }
    return (struct reapable_place){STORE_REAPABLE_EXPIRING, due_ms < 0 ? 0 : due_ms};
}

static void totals_add(struct store_view *view, int change)
{
    if (!view->speculative) {
        view->store->totals.reapable += change;
    }
}

void reapable_move(struct store_view *view, struct mk_bytes path, struct reapable_place *place,
                   struct reapable_place now)
{
    struct mk_arena *arena = &view->store->scraps;
    if (place->why == now.why && place->order == now.order) {
        return;
    }
    if (place->why != 0) {
        rows_delete(view, key_reapable(arena, place->why, place->order, path));
        totals_add(view, -1);
    }
    if (now.why != 0) {
        rows_put_fresh(view, key_reapable(arena, now.why, now.order, path), MK_BYTES(""));
        totals_add(view, 1);
    }
    *place = now;
}

enum mk_status store_reapable_first(struct store_view *view, enum store_reapable why,
                                    int64_t *order, struct mk_bytes *path)
{
    rows_enter(view);
    if (!rows_any(view, KEY_REAPABLE)) {
        return MK_END;
    }
    struct mk_arena *arena = &view->store->scraps;
    uint8_t why_byte = (uint8_t)why;
    struct mk_bytes prefix = key_path(arena, KEY_REAPABLE, mk_bytes_of(&why_byte, 1));
    struct range range = {.low = prefix, .high = key_after_prefix(arena, prefix)};
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    if (status == MK_OK && cursor.key.len <= 10) {
        status = MK_CORRUPT;
    }
    if (status == MK_OK) {
        *order = (int64_t)mk_load_u64(cursor.key.data + 2);
        *path = mk_arena_copy(arena, mk_bytes_of(cursor.key.data + 10, cursor.key.len - 10));
    }
    rows_cursor_close(&cursor);
    return status;
}
