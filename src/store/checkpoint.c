/* Checkpoints: the active table becomes the frozen one, a thread writes it into the base, and its
 * rows are clean from then on.
 *
 *   start   core        meta row; active -> frozen
 *   write   any thread  frozen -> base, durably and at once
 *   done    core        frozen -> settled
 *
 * If write fails, the frozen table stays, and the next start hands it out once more. */
#include "store/checkpoint.h"

#include "store/keys.h"

#define META_VERSION 5
#define META_TOTALS 12
#define META_BYTES (1 + 8 + 8 * META_TOTALS)

/* The totals in the order in which the meta row has them. */
static void totals_list(struct store_totals *totals, int64_t *list[META_TOTALS])
{
    list[0] = &totals->znodes;
    list[1] = &totals->ephemerals;
    list[2] = &totals->data_bytes;
    list[3] = &totals->sessions;
    list[4] = &totals->calls;
    list[5] = &totals->awaited;
    list[6] = &totals->ready;
    list[7] = &totals->reapable;
    list[8] = &totals->quotas;
    list[9] = &totals->counting;
    list[10] = &totals->deadlines;
    list[11] = &totals->slowed;
}

/* What may be in the base is what was there when a checkpoint began. */
static bool calls_any(const struct store *store)
{
    const struct store_totals *totals = &store->totals;

    return totals->calls > 0 || totals->awaited > 0 || totals->ready > 0;
}

static void meta_put(struct store *store)
{
    uint8_t value[META_BYTES];
    value[0] = META_VERSION;
    mk_store_u64(value + 1, (uint64_t)store->applied);
    int64_t *totals[META_TOTALS];
    totals_list(&store->totals, totals);
    for (size_t i = 0; i < MK_COUNT(totals); i++) {
        mk_store_u64(value + 9 + i * 8, (uint64_t)*totals[i]);
    }
    mk_arena_reset(&store->scraps);
    committed_put(&store->committed, key_path(&store->scraps, KEY_META, MK_BYTES("")),
                  mk_bytes_of(value, sizeof(value)), false);
}

bool checkpoint_meta_decode(struct mk_bytes value, mk_zxid *applied, struct store_totals *out)
{
    if (value.len != META_BYTES || value.data[0] != META_VERSION) {
        return false;
    }
    *applied = (mk_zxid)mk_load_u64(value.data + 1);
    int64_t *totals[META_TOTALS];
    totals_list(out, totals);
    for (size_t i = 0; i < MK_COUNT(totals); i++) {
        *totals[i] = (int64_t)mk_load_u64(value.data + 9 + i * 8);
    }
    return true;
}

enum mk_status checkpoint_load(struct store *store, struct mk_error *error)
{
    struct store_base *base = store->committed.base;
    struct mk_buf value = {0};
    struct mk_bytes key = key_path(&store->scraps, KEY_META, MK_BYTES(""));
    enum mk_status status = base->ops->get(base, key, true, &value);
    bool other = status == MK_OK && value.len > 0 && value.data[0] != META_VERSION;
    if (status == MK_OK &&
        checkpoint_meta_decode(mk_buf_view(&value), &store->applied, &store->totals)) {
        store->durable = store->applied;
        store->committed.base_calls = calls_any(store);
    } else if (other) {
        status = MK_CORRUPT;
        mk_error_set(error,
                     "the state was written by another version of this program: its layout is %u, "
                     "this version reads %u; start the version that wrote it",
                     (unsigned)value.data[0], (unsigned)META_VERSION);
    } else if (status != MK_NO_NODE) {
        status = status == MK_OK ? MK_CORRUPT : status;
        mk_error_set(error,
                     "cannot read what the state is complete up to: %s; it has to be restored "
                     "from a backup, or emptied so that the other servers fill it again",
                     mk_status_text(status));
    }
    mk_buf_free(&value);
    return status;
}

bool store_changed(const struct store *store)
{
    const struct store_checkpoint *last = &store->checkpoint;
    bool failed = store->committed.frozen.number != 0 && !last->writing;
    return failed || store->committed.active.bytes > 0 || store->applied != last->applied;
}

bool store_checkpoint_due(const struct store *store)
{
    return store->committed.active.bytes >= store->options.overlay_bytes;
}

bool store_full(const struct store *store)
{
    const struct committed *rows = &store->committed;
    return rows->active.bytes + rows->frozen.bytes >= store->options.overlay_bytes_max;
}

struct store_checkpoint *store_checkpoint_start(struct store *store)
{
    MK_ASSERT(!store->views[0].begun);
    struct store_checkpoint *checkpoint = &store->checkpoint;
    if (checkpoint->writing) {
        return NULL;
    }
    if (store->committed.frozen.number == 0) {
        meta_put(store);
        committed_freeze(&store->committed);
        checkpoint->applied = store->applied;
        checkpoint->calls = calls_any(store);
        store->committed.base_calls = store->committed.base_calls || checkpoint->calls;
    }
    checkpoint->writing = true;
    checkpoint->written = false;
    return checkpoint;
}

bool store_rows_next(const struct store_rows *rows, const void **cursor, struct mk_bytes *key,
                     struct mk_bytes *value)
{
    struct store_rows_place *place = rows->place;
    if (*cursor == NULL) {
        place->cursor = table_first(rows->table);
    } else {
        MK_ASSERT(*cursor == place->given);
        table_step(&place->cursor, false);
    }
    const struct row *row = table_at(&place->cursor);
    place->given = row;
    *cursor = row;
    if (row == NULL) {
        return false;
    }
    *key = row_key(row);
    *value = row->tombstone ? MK_BYTES_NULL : row_value(row);
    return true;
}

enum mk_status store_checkpoint_write(struct store_checkpoint *checkpoint, struct mk_error *error)
{
    MK_ASSERT(checkpoint->writing);
    struct committed *committed = &checkpoint->store->committed;
    struct store_rows_place place = {0};
    struct store_rows rows = {&committed->frozen.table, &place};
    enum mk_status status = committed->base->ops->ingest(committed->base, &rows, error);
    checkpoint->written = status == MK_OK;
    return status;
}

void store_checkpoint_done(struct store *store, struct store_checkpoint *checkpoint)
{
    MK_ASSERT(checkpoint == &store->checkpoint && checkpoint->writing);
    checkpoint->writing = false;
    if (checkpoint->written) {
        committed_settle(&store->committed);
        store->committed.base_calls = checkpoint->calls;
        MK_ASSERT(checkpoint->applied >= store->durable);
        store->durable = checkpoint->applied;
    }
}
