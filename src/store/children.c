/* Listing: children by name or in the order of their creation, and everything below a znode. */
#include "store/keys.h"
#include "store/znodes.h"

static struct range range_by_name(struct mk_arena *arena, const struct store_children *query)
{
    /* A name is never empty. The root's own row has the root's children's prefix and an empty
     * one. */
    struct mk_bytes low = key_below(arena, KEY_CHILD, query->path, 0, MK_BYTES("\x01"));
    struct mk_bytes high = key_below(arena, KEY_CHILD, query->path, 1, MK_BYTES(""));
    struct mk_bytes from = key_below(arena, KEY_CHILD, query->path, 0, query->from);
    if (query->from.data == NULL) {
        return (struct range){low, high, query->backwards};
    }
    if (query->backwards) {
        return (struct range){low, from, true};
    }
    struct mk_bytes after = key_after(arena, from);
    return (struct range){mk_bytes_compare(after, low) < 0 ? low : after, high, false};
}

static struct range range_by_creation(struct mk_arena *arena, const struct store_children *query)
{
    struct mk_bytes low = key_below(arena, KEY_ORDER, query->path, 0, MK_BYTES(""));
    struct mk_bytes high = key_below(arena, KEY_ORDER, query->path, 1, MK_BYTES(""));
    if (query->from_zxid == 0 && query->from_position == 0) {
        return (struct range){low, high, query->backwards};
    }
    struct mk_bytes from = key_order(arena, query->path, query->from_zxid, query->from_position);
    if (query->backwards) {
        return (struct range){low, from, true};
    }
    return (struct range){key_after(arena, from), high, false};
}

/* `prefix_len`: of the keys, up to the name, or to czxid and position. */
static enum mk_status child_visit(const struct rows_cursor *cursor, bool by_creation,
                                  size_t prefix_len, store_child_visit *visit, void *context)
{
    if (!by_creation) {
        struct mk_bytes name = {cursor->key.data + prefix_len, cursor->key.len - prefix_len};
        return visit(context, name, 0, 0) ? MK_OK : MK_END;
    }
    if (cursor->key.len != prefix_len + 12) {
        return MK_CORRUPT;
    }
    mk_zxid czxid = (mk_zxid)mk_load_u64(cursor->key.data + prefix_len);
    uint32_t position = mk_load_u32(cursor->key.data + prefix_len + 8);
    return visit(context, cursor->value, czxid, position) ? MK_OK : MK_END;
}

enum mk_status store_children_each(struct store_view *view, const struct store_children *query,
                                   store_child_visit *visit, void *context)
{
    rows_enter(view);
    struct store_znode parent;
    enum mk_status status = znode_find(view, query->path, &parent);
    if (status != MK_OK || parent.children_count == 0) {
        return status;
    }
    struct mk_arena *arena = &view->store->scraps;
    struct range range =
        query->by_creation ? range_by_creation(arena, query) : range_by_name(arena, query);
    size_t prefix_len = key_path_is_root(query->path) ? 2 : query->path.len + 2;
    int32_t left = parent.children_count;
    struct rows_cursor cursor;
    status = rows_cursor_open(&cursor, view, range);
    while (status == MK_OK) {
        status = child_visit(&cursor, query->by_creation, prefix_len, visit, context);
        /* The last one is known by its number: no need to look what comes after it. */
        if (status == MK_OK) {
            status = --left > 0 ? rows_cursor_step(&cursor) : MK_END;
        }
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

bool store_listing_find(struct store *store, struct mk_bytes path, struct mk_bytes *names)
{
    return listings_find(&store->listings, path, names);
}

void store_listing_keep(struct store *store, struct mk_bytes path, struct mk_bytes names)
{
    MK_ASSERT(!store->views[0].begun);
    if (names.len > 0) { /* To find that a znode has no children, one look at it is enough. */
        listings_keep(&store->listings, path, names);
    }
}

static enum mk_status range_count(struct store_view *view, struct range range, int64_t *count)
{
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        ++*count;
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

enum mk_status store_descendants_count(struct store_view *view, struct mk_bytes path,
                                       int64_t *count)
{
    rows_enter(view);
    *count = 0;
    struct store_znode znode;
    enum mk_status status = znode_find(view, path, &znode);
    if (status != MK_OK || znode.children_count == 0) {
        return status;
    }
    /* Children of "/a" are "/a\0...", those further down "/a/...\0...". */
    struct mk_arena *arena = &view->store->scraps;
    struct range children = {key_below(arena, KEY_CHILD, path, 0, MK_BYTES("\x01")),
                             key_below(arena, KEY_CHILD, path, 1, MK_BYTES("")), false};
    struct range further = {key_below(arena, KEY_CHILD, path, '/', MK_BYTES("")),
                            key_below(arena, KEY_CHILD, path, '/' + 1, MK_BYTES("")), false};
    status = range_count(view, children, count);
    return status == MK_OK ? range_count(view, further, count) : status;
}
