/* Private to tree/: IP addresses as ACLs and identities write them. */
#ifndef MK_TREE_ADDRESS_H
#define MK_TREE_ADDRESS_H

#include "base/base.h"

/* Is `id` an ACL id of scheme ip: an IPv4 or IPv6 address, perhaps with "/bits"? */
bool tree_address_range_valid(struct mk_bytes id);
/* Does the address `identity` lie in the range `id`? Addresses of the other family never do. */
bool tree_address_range_has(struct mk_bytes identity, struct mk_bytes id);

#endif
