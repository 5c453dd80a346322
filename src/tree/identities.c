/* Who a connection is: a short list that only grows, kept as jute writes it, so that it can be put
 * into a record or a reply as it is. */
#include "tree/identities.h"
#include "tree/tree.h"

#include <string.h>

struct tree_identities_walk tree_identities_walk_start(struct mk_bytes identities)
{
    struct tree_identities_walk walk = {mk_reader_of(identities), 0};
    walk.left = mk_read_i32(&walk.reader);
    return walk;
}

bool tree_identities_walk_next(struct tree_identities_walk *walk, struct tree_identity *identity)
{
    if (walk->left <= 0) {
        return false;
    }
    walk->left--;
    identity->scheme = mk_read_field(&walk->reader);
    identity->id = mk_read_field(&walk->reader);
    return !walk->reader.failed;
}

bool tree_identities_add(struct tree_identities *identities, struct mk_bytes scheme,
                         struct mk_bytes id)
{
    struct mk_buf *bytes = &identities->bytes;
    struct tree_identities_walk walk = tree_identities_walk_start(mk_buf_view(bytes));
    struct tree_identity known;
    uint32_t count = 0;
    while (tree_identities_walk_next(&walk, &known)) {
        if (mk_bytes_equal(known.scheme, scheme) && mk_bytes_equal(known.id, id)) {
            return true;
        }
        count++;
    }
    MK_ASSERT(mk_reader_left(&walk.reader) == 0);

    if (count >= TREE_IDENTITIES_MAX || scheme.len > TREE_IDENTITIES_BYTES_MAX ||
        id.len > TREE_IDENTITIES_BYTES_MAX ||
        bytes->len + 12 + scheme.len + id.len > TREE_IDENTITIES_BYTES_MAX) {
        return false;
    }
    if (bytes->len == 0) {
        mk_buf_put_u32(bytes, 0);
    }
    mk_buf_put_field(bytes, scheme);
    mk_buf_put_field(bytes, id);
    mk_store_u32(bytes->data, count + 1);
    return true;
}

bool tree_identities_super(struct mk_bytes identities)
{
    struct tree_identities_walk walk = tree_identities_walk_start(identities);
    struct tree_identity identity;
    while (tree_identities_walk_next(&walk, &identity)) {
        if (mk_bytes_equal(identity.scheme, MK_BYTES("super"))) {
            return true;
        }
    }
    return false;
}

static bool identities_have(struct mk_bytes identities, const struct tree_identity *wanted)
{
    struct tree_identities_walk walk = tree_identities_walk_start(identities);
    struct tree_identity identity;
    while (tree_identities_walk_next(&walk, &identity)) {
        if (mk_bytes_equal(identity.scheme, wanted->scheme) &&
            mk_bytes_equal(identity.id, wanted->id)) {
            return true;
        }
    }
    return false;
}

bool tree_identities_share(struct mk_bytes identities, struct mk_bytes others)
{
    struct tree_identities_walk walk = tree_identities_walk_start(identities);
    struct tree_identity identity;
    while (tree_identities_walk_next(&walk, &identity)) {
        bool proved = !mk_bytes_equal(identity.scheme, MK_BYTES("ip")) &&
                      !mk_bytes_equal(identity.scheme, MK_BYTES("world"));
        if (proved && identities_have(others, &identity)) {
            return true;
        }
    }
    return false;
}

struct mk_bytes tree_identity_display(struct mk_bytes scheme, struct mk_bytes id)
{
    if (!mk_bytes_equal(scheme, MK_BYTES("digest")) || id.len == 0) {
        return id;
    }
    const uint8_t *colon = memchr(id.data, ':', id.len);
    return colon == NULL ? id : mk_bytes_of(id.data, (size_t)(colon - id.data));
}
