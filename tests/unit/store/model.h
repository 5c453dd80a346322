/* Random transactions, and everything that can be seen through a view, for tests that compare views
 * and stores with each other. */
#ifndef TESTS_STORE_MODEL_H
#define TESTS_STORE_MODEL_H

#include "store/store.h"

enum op_kind {
    OP_CREATE,
    OP_DELETE,
    OP_SET_DATA,
    OP_SET_ACL,
    OP_SESSION_PUT,
    OP_SESSION_REMOVE,
    OP_FACT,
    OP_QUOTA_COUNT,
};

struct op {
    enum op_kind kind;
    char path[80];
    struct mk_buf data; /* a record for records of calls */
    bool data_null;
    bool acl;
    int64_t owner;
    int32_t number; /* version, timeout or parent_cversion */
    bool keep_parent;
    mk_session session;
    mk_zxid call;
    struct mk_buf result; /* what the operation answered when it was first made */
};

#define MODEL_OPS_MAX 6
struct txn {
    mk_zxid zxid;
    struct op ops[MODEL_OPS_MAX];
    size_t count;
};

/* A random transaction at `zxid`. Waits in its records look at `view`, which may have to block. */
struct txn *model_txn_new(struct mk_random *random, struct store_view *view, mk_zxid zxid);
void model_txn_free(struct txn *txn);

/* Make one operation in the transaction begun; what it answered goes to `result`. MK_WOULD_BLOCK:
 * nothing happened. Otherwise MK_OK, whatever the answer was. */
enum mk_status model_op_apply(struct store_view *view, const struct op *op, struct mk_buf *result);

/* Append all that the door shows of `view`. MK_WOULD_BLOCK: partly. */
enum mk_status model_view_show(struct store_view *view, struct mk_buf *out);

/* The load that the last MK_WOULD_BLOCK wants. */
void model_load(struct store *store);

#endif
