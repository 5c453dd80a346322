/* Members of an ensemble: which of them run recipes is in the tree, where whoever leads next finds it;
 * and while not all do, none runs. The server decides that. */
#include "prepare/context.h"

void prepare_lead(struct prepare *prepare)
{
    prepare->gone_last = false;
    prepare_builtin_lead(prepare);
}

void prepare_pause(struct prepare *prepare, const char *why)
{
    prepare->paused = why != NULL;
    mk_error_set(&prepare->why, "%s", why != NULL ? why : "");
}

const char *prepare_paused(const struct prepare *prepare)
{
    return prepare->paused ? prepare->why.text : NULL;
}

static enum mk_status put(struct prepare *prepare, struct mk_bytes ids, struct jute_txn *part)
{
    struct mk_bytes path = MK_BYTES(TREE_ANNOUNCED_PATH);
    enum mk_status status = prepare_own_set_data(prepare, path, ids, part);

    if (status == MK_NO_NODE) {
        struct mk_bytes acl = prepare_own_acl(prepare, TREE_READ, MK_BYTES(""), 0);
        status = prepare_own_create(prepare, path, ids, acl, 0, false, part);
    }
    return status;
}

enum mk_status prepare_announced(struct prepare *prepare, const struct prepare_at *at,
                                 struct mk_bytes ids, struct mk_buf *out)
{
    struct jute_txn txn = {0};

    mk_arena_reset(&prepare->scraps);
    store_begin(prepare->view, at->zxid, at->time_ms);
    enum mk_status status = put(prepare, mk_arena_copy(&prepare->scraps, ids), &txn);
    if (status != MK_OK) {
        store_abort(prepare->view);
        return status;
    }
    store_end(prepare->view);
    txn.zxid = at->zxid;
    txn.time_ms = at->time_ms;
    jute_txn_encode(out, &txn);
    return MK_OK;
}
