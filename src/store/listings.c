/* Kept lists of children: a map by parent, and a ring in the order of use. */
#include "store/listings.h"

#include <string.h>

#include "store/keys.h"

#define LISTING_OVERHEAD_BYTES 80 /* malloc's header, and a slot of the map at half load */

struct listing {
    struct mk_link recent;
    size_t parent_len;
    size_t names_len;
    uint8_t bytes[]; /* the parent, then the names */
};

static struct mk_bytes listing_parent(const struct listing *listing)
{
    return (struct mk_bytes){listing->bytes, listing->parent_len};
}

static struct mk_bytes listing_names(const struct listing *listing)
{
    return (struct mk_bytes){listing->bytes + listing->parent_len, listing->names_len};
}

static uint64_t listing_bytes(size_t parent_len, size_t names_len)
{
    return sizeof(struct listing) + parent_len + names_len + LISTING_OVERHEAD_BYTES;
}

/* The root is written "" or "/". */
static struct mk_bytes canonical(struct mk_bytes parent)
{
    return key_path_is_root(parent) ? MK_BYTES("") : parent;
}

void listings_init(struct listings *listings, uint64_t bytes_max)
{
    *listings = (struct listings){.bytes_max = bytes_max};
    mk_list_init(&listings->recent);
}

static void listing_drop(struct listings *listings, struct listing *listing)
{
    uint64_t bytes = listing_bytes(listing->parent_len, listing->names_len);
    MK_ASSERT(listings->bytes >= bytes);
    void *dropped = mk_map_bytes_remove(&listings->paths, listing_parent(listing));
    MK_ASSERT(dropped == listing);
    listings->bytes -= bytes;
    mk_list_remove(&listing->recent);
    mk_free(listing);
}

void listings_free(struct listings *listings)
{
    while (!mk_list_empty(&listings->recent)) {
        listing_drop(listings, MK_CONTAINER(listings->recent.next, struct listing, recent));
    }
    mk_map_bytes_free(&listings->paths);
}

bool listings_find(struct listings *listings, struct mk_bytes parent, struct mk_bytes *names)
{
    struct listing *listing = mk_map_bytes_get(&listings->paths, canonical(parent));
    if (listing == NULL) {
        return false;
    }
    mk_list_remove(&listing->recent);
    mk_list_append(&listings->recent, &listing->recent);
    *names = listing_names(listing);
    return true;
}

void listings_keep(struct listings *listings, struct mk_bytes parent, struct mk_bytes names)
{
    struct mk_bytes key = canonical(parent);
    uint64_t bytes = listing_bytes(key.len, names.len);
    listings_forget(listings, key);
    if (bytes > listings->bytes_max / LISTING_SHARE) {
        return;
    }
    while (listings->bytes + bytes > listings->bytes_max || listings->paths.count == LISTINGS_MAX) {
        listing_drop(listings, MK_CONTAINER(listings->recent.next, struct listing, recent));
    }

    struct listing *listing = mk_alloc(sizeof(*listing) + key.len + names.len);
    listing->parent_len = key.len;
    listing->names_len = names.len;
    memcpy(listing->bytes, key.data, key.len);
    if (names.len > 0) {
        memcpy(listing->bytes + key.len, names.data, names.len);
    }
    mk_list_append(&listings->recent, &listing->recent);
    void *old = mk_map_bytes_put(&listings->paths, listing_parent(listing), listing);
    MK_ASSERT(old == NULL);
    listings->bytes += bytes;
}

void listings_forget(struct listings *listings, struct mk_bytes parent)
{
    struct listing *listing = mk_map_bytes_get(&listings->paths, canonical(parent));
    if (listing != NULL) {
        listing_drop(listings, listing);
    }
}

bool listings_next(const struct listings *listings, size_t *cursor, struct mk_bytes *parent,
                   struct mk_bytes *names)
{
    void *value;
    if (!mk_map_bytes_next(&listings->paths, cursor, parent, &value)) {
        return false;
    }
    *names = listing_names(value);
    return true;
}
