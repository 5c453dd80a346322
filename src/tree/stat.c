/* The few rules of a znode's stat that are more than an assignment: what the raw ephemeralOwner
 * means, and how versions count. Source: EphemeralType; protocol reference, section 5. */
#include "tree/tree.h"

#define OWNER_TTL ((int64_t)-0x0100000000000000) /* 0xff in the top byte, type 0 below it */

/* An extended type: 0xff in the top byte, which no session id has while these types are on. The 16
 * bits below are the type, 0 for a TTL. */
static bool owner_extended(int64_t owner)
{
    return (uint64_t)owner >> 56 == 0xff;
}

int64_t tree_owner_ttl(mk_ms ttl_ms)
{
    MK_ASSERT(ttl_ms > 0);
    MK_ASSERT(ttl_ms <= TREE_TTL_MAX_MS);
    return OWNER_TTL | ttl_ms;
}

mk_ms tree_owner_ttl_ms(int64_t owner, bool extended_types)
{
    bool ttl = extended_types && (uint64_t)owner >> 40 == (uint64_t)OWNER_TTL >> 40;
    return ttl ? owner & TREE_TTL_MAX_MS : 0;
}

mk_session tree_owner_session(int64_t owner, bool extended_types)
{
    if (owner == TREE_OWNER_CONTAINER || (extended_types && owner_extended(owner))) {
        return 0;
    }
    return owner;
}

int32_t tree_version_next(int32_t version)
{
    if (version == -2) {
        return 0;
    }
    return version == INT32_MAX ? INT32_MIN : version + 1;
}
