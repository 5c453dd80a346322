/* ACLs and identities as text, for tests: "31 world:anyone, 1 digest:bob:hash" and
 * "ip:127.0.0.1, digest:bob:hash". An id written ~ is jute's null. */
#ifndef TESTS_UNIT_TREE_LISTS_H
#define TESTS_UNIT_TREE_LISTS_H

#include "base/base.h"

/* Each returns memory that lives until the next 64 calls. */
struct mk_bytes acl_of(const char *text);
struct mk_bytes identities_of(const char *text);
const char *acl_text(struct mk_bytes acl);

#endif
