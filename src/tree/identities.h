/* Private to tree/: a walk over vector<Id> bytes. Total: damaged bytes end the walk. */
#ifndef MK_TREE_IDENTITIES_H
#define MK_TREE_IDENTITIES_H

#include "base/base.h"

struct tree_identity {
    struct mk_bytes scheme;
    struct mk_bytes id;
};
struct tree_identities_walk {
    struct mk_reader reader;
    int32_t left;
};
struct tree_identities_walk tree_identities_walk_start(struct mk_bytes identities);
bool tree_identities_walk_next(struct tree_identities_walk *walk, struct tree_identity *identity);

#endif
