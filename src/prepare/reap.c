/* Containers that are empty and TTL znodes whose time is over: each goes in a transaction of its own,
 * as in ZooKeeper (protocol reference, section 5.5). The store keeps them in the order in which they are
 * due, and keeps that order in the speculative view too; so what is found here has no children once all
 * that is proposed has committed, and nothing has to be looked at again. */
#include "prepare/context.h"

struct place { /* the first of one kind */
    enum store_reapable why;
    int64_t before; /* taken if its order is smaller */
};

static enum mk_status first_of(struct prepare *prepare, const struct place *place,
                               struct mk_bytes *path)
{
    int64_t order;
    enum mk_status status = store_reapable_first(prepare->view, place->why, &order, path);

    return status == MK_OK && order >= place->before ? MK_END : status;
}

static enum mk_status find(struct prepare *prepare, const struct prepare_round *round,
                           struct mk_bytes *path)
{
    const struct place places[] = {
        {STORE_REAPABLE_EMPTIED, round->emptied_through + 1},
        {STORE_REAPABLE_UNUSED, round->unused_ms > 0 ? round->time_ms - round->unused_ms : 0},
        {STORE_REAPABLE_EXPIRING, prepare->options.extended_types ? round->time_ms : 0},
    };
    enum mk_status status = MK_END;

    for (size_t i = 0; status == MK_END && i < MK_COUNT(places); i++) {
        status = first_of(prepare, &places[i], path);
    }
    return status;
}

enum mk_status prepare_reap(struct prepare *prepare, const struct prepare_at *at,
                            const struct prepare_round *round, struct mk_buf *out)
{
    struct jute_txn txn = {
        .zxid = at->zxid,
        .time_ms = at->time_ms,
        .type = JUTE_DELETE_CONTAINER,
    };
    struct mk_bytes path;

    mk_arena_reset(&prepare->scraps);
    enum mk_status status = find(prepare, round, &path);
    if (status != MK_OK) {
        return status;
    }
    txn.path = mk_arena_copy(&prepare->scraps, path);
    store_begin(prepare->view, at->zxid, at->time_ms);
    status = store_znode_delete(prepare->view, txn.path);
    if (status != MK_OK) {
        MK_ASSERT(status == MK_WOULD_BLOCK ||
                  status >= MK_IO); /* the order follows from the znodes */
        store_abort(prepare->view);
        return status;
    }
    store_end(prepare->view);
    jute_txn_encode(out, &txn);
    return MK_OK;
}
