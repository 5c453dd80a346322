/* A store that is filled from a snapshot, in memory that is bounded: it is an ordinary store, and its
 * table goes into the base whenever it has grown.
 *
 *   sessions ─▶ ACLs, kept as rows for as long as this lasts ─▶ znodes, as they are ─▶ end:
 *   what any server has and this one had not ─▶ indexes of calls ─▶ usage of quotas ─▶ no more ACLs
 *
 * All that follows from a znode is made by the same functions as ever (znode_restore()). Only calls are
 * looked at last, because they wait for znodes that may come after them. */
#include "store/calls.h"
#include "store/checkpoint.h"

#include "jute/jute.h"
#include "store/znodes.h"

#define POSITIONS_MAX STORE_POSITIONS_AGAIN /* znodes; more than an ensemble of them can hold */
#define BATCH_MAX 256                       /* rows that are gathered before they are changed */

enum kept { KEPT_ACL = 'a', KEPT_CALL = 'c' };

struct store_install {
    struct store *store;
    struct store_install_options options;
    struct jute_snapshot_reader reader;
    struct mk_buf acl; /* of one znode: rows may go while it is put there */
    uint32_t position; /* of the next znode */
    mk_ms time_ms;
    bool complete;
};

static struct store_view *view_of(struct store_install *install)
{
    return store_committed(install->store);
}

/* ---- Rows that are there for as long as this lasts ---- */

static struct mk_bytes kept_key(struct store_install *install, enum kept what, int64_t number)
{
    struct mk_arena *arena = &install->store->scraps;
    return key_u64_u64(arena, KEY_INSTALL, (uint64_t)what, (uint64_t)number);
}

static enum mk_status keep(struct store_install *install, enum kept what, int64_t number,
                           struct mk_bytes value)
{
    struct store_view *view = view_of(install);
    rows_enter(view);
    rows_write_begin(view);
    rows_put(view, kept_key(install, what, number), value);
    return rows_write_end(view);
}

/* Up to BATCH_MAX numbers that are kept, from `from` on. */
static enum mk_status kept_list(struct store_install *install, enum kept what, int64_t from,
                                int64_t numbers[BATCH_MAX], size_t *count)
{
    struct store_view *view = view_of(install);
    rows_enter(view);
    struct mk_arena *arena = &install->store->scraps;
    struct mk_bytes prefix = key_u64(arena, KEY_INSTALL, (uint64_t)what);
    struct range range = {kept_key(install, what, from), key_after_prefix(arena, prefix), false};
    struct rows_cursor cursor;
    *count = 0;
    enum mk_status status = rows_cursor_open(&cursor, view, range);
    for (; status == MK_OK && *count < BATCH_MAX; status = rows_cursor_step(&cursor)) {
        MK_ASSERT(cursor.key.len == 17);
        numbers[(*count)++] = (int64_t)mk_load_u64(cursor.key.data + 9);
    }
    rows_cursor_close(&cursor);
    return status == MK_END ? MK_OK : status;
}

typedef enum mk_status kept_visit(struct store_install *install, enum kept what, int64_t number);

static enum mk_status kept_each(struct store_install *install, enum kept what, kept_visit *visit)
{
    int64_t numbers[BATCH_MAX];
    size_t count = BATCH_MAX;
    int64_t from = 0;
    enum mk_status status = MK_OK;
    while (status == MK_OK && count == BATCH_MAX) {
        status = kept_list(install, what, from, numbers, &count);
        for (size_t i = 0; status == MK_OK && i < count; i++) {
            status = visit(install, what, numbers[i]);
            from = numbers[i] + 1; /* ids and zxids; the largest of all would be the last */
            if (numbers[i] == INT64_MAX) {
                return status;
            }
        }
    }
    return status;
}

static enum mk_status kept_drop(struct store_install *install, enum kept what, int64_t number)
{
    struct store_view *view = view_of(install);
    rows_enter(view);
    rows_write_begin(view);
    rows_delete(view, kept_key(install, what, number));
    return rows_write_end(view);
}

/* ---- Begin, and the end ---- */

struct store_install *store_install_begin(struct store_base *base,
                                          const struct store_options *store_options,
                                          const struct store_install_options *options,
                                          struct mk_error *error)
{
    bool fresh;
    struct store *store = store_open_bare(base, store_options, &fresh, error);
    if (store == NULL) {
        return NULL;
    }
    if (!fresh) {
        mk_error_set(error, "a snapshot can only be taken in where there is no state yet");
        store_close(store);
        return NULL;
    }
    struct store_install *install = mk_alloc_zero(1, sizeof(*install));
    install->store = store;
    install->options = *options;
    install->reader = jute_snapshot_begin(options->bytes_max, options->trailer);
    return install;
}

struct store *store_install_store(struct store_install *install)
{
    MK_ASSERT(install->complete);
    return install->store;
}

mk_ms store_install_time(const struct store_install *install)
{
    return install->time_ms;
}

void store_install_abort(struct store_install *install)
{
    store_close(install->store);
    mk_buf_free(&install->acl);
    mk_free(install);
}

static enum mk_status checkpoint(struct store *store, struct mk_error *error)
{
    struct store_checkpoint *checkpoint = store_checkpoint_start(store);
    MK_ASSERT(checkpoint != NULL);
    enum mk_status status = store_checkpoint_write(checkpoint, error);
    store_checkpoint_done(store, checkpoint);
    return status;
}

enum mk_status store_install_finish(struct store_install *install, struct mk_error *error)
{
    MK_ASSERT(install->complete);
    struct store *store = install->store;
    store_again(store, false);
    enum mk_status status = MK_OK;
    if (store_changed(store)) {
        status = checkpoint(store, error);
    }
    MK_ASSERT(status != MK_OK || store_durable(store) == store_applied(store));
    store_install_abort(install);
    return status;
}

/* ---- Records ---- */

static enum mk_status session_take(struct store_install *install, const struct jute_touch *session)
{
    return store_session_put(view_of(install), session->session, session->timeout_ms);
}

/* An ACL that no entry has, because it changed while the snapshot was taken, is one by which nobody may do
 * anything, until what is applied again says which it is. */
static enum mk_status acl_find(struct store_install *install, int64_t id, struct mk_bytes *acl)
{
    static const uint8_t nobody[4];
    *acl = MK_BYTES_NULL;
    if (id == JUTE_SNAPSHOT_ACL_OPEN) {
        return MK_OK;
    }
    struct mk_bytes value;
    rows_enter(view_of(install));
    enum mk_status status = rows_get(view_of(install), kept_key(install, KEPT_ACL, id), &value);
    if (status == MK_NO_NODE) {
        value = mk_bytes_of(nobody, sizeof(nobody));
        status = MK_OK;
    }
    if (status == MK_OK) {
        install->acl.len = 0;
        mk_buf_append_bytes(&install->acl, value);
        *acl = tree_acl_kept(mk_buf_view(&install->acl));
    }
    return status;
}

static enum mk_status znode_take(struct store_install *install,
                                 const struct jute_snapshot_znode *record)
{
    struct mk_bytes path = record->path.len == 0 ? MK_BYTES("/") : record->path;
    const struct jute_stat_persisted *stat = &record->stat;
    struct store_znode znode = {
        .stat = {.czxid = stat->czxid,
                 .mzxid = stat->mzxid,
                 .pzxid = stat->pzxid,
                 .ctime_ms = stat->ctime_ms,
                 .mtime_ms = stat->mtime_ms,
                 .version = stat->version,
                 .cversion = stat->cversion,
                 .aversion = stat->aversion,
                 .owner = stat->owner},
        .position = install->position++,
        .data = record->data,
    };
    if (install->position == POSITIONS_MAX || tree_path_check(path) != MK_OK) {
        return MK_MALFORMED;
    }
    install->time_ms = stat->ctime_ms > install->time_ms ? stat->ctime_ms : install->time_ms;
    install->time_ms = stat->mtime_ms > install->time_ms ? stat->mtime_ms : install->time_ms;
    enum mk_status status = acl_find(install, record->acl, &znode.acl);
    if (status == MK_OK) {
        status = znode_restore(view_of(install), path, &znode);
    }
    mk_zxid call = tree_call_of_path(path);
    if (status == MK_OK && call != 0) {
        status = keep(install, KEPT_CALL, call, MK_BYTES(""));
    }
    return status;
}

static enum mk_status call_take(struct store_install *install, enum kept what, int64_t number)
{
    enum mk_status status = calls_restore(view_of(install), number);
    return status == MK_OK ? kept_drop(install, what, number) : status;
}

static enum mk_status complete(struct store_install *install)
{
    enum mk_status status = znodes_plant(view_of(install), install->position);
    if (status == MK_OK) {
        status = kept_each(install, KEPT_CALL, call_take);
    }
    while (status == MK_OK) {
        status = store_quota_count(view_of(install));
    }
    return status == MK_END ? kept_each(install, KEPT_ACL, kept_drop) : status;
}

static enum mk_status record_take(struct store_install *install,
                                  const struct jute_snapshot_record *record)
{
    switch (record->kind) {
    case JUTE_SNAPSHOT_SESSION: return session_take(install, &record->session);
    case JUTE_SNAPSHOT_ACL: return keep(install, KEPT_ACL, record->acl_id, record->acl);
    case JUTE_SNAPSHOT_ZNODE: return znode_take(install, &record->znode);
    }
    MK_ASSERT(!"a record of unknown kind");
    return MK_MALFORMED;
}

/* ---- The stream ---- */

static void changes_begin(struct store_install *install)
{
    struct store_view *view = view_of(install);
    view->begun = true;
    view->zxid = install->options.zxid;
}

static void changes_end(struct store_install *install)
{
    view_of(install)->begun = false;
}

/* Whatever has come of a record, MK_END stands for the end of the stream here. */
static enum mk_status next_take(struct store_install *install, struct mk_bytes bytes, size_t *used)
{
    struct jute_snapshot_record record;
    enum mk_status status = jute_snapshot_next(&install->reader, bytes, &record, used);
    if (status == MK_WOULD_BLOCK || status == MK_MALFORMED) {
        return status;
    }
    bool end = status == MK_END;
    changes_begin(install);
    status = end ? complete(install) : record_take(install, &record);
    changes_end(install);
    return end && status == MK_OK ? MK_END : status;
}

enum mk_status store_install_bytes(struct store_install *install, struct mk_bytes bytes,
                                   size_t *used, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    MK_ASSERT(!install->complete);
    *used = 0;
    while (status == MK_OK) {
        size_t taken;
        struct mk_bytes rest = mk_bytes_of(bytes.data + *used, bytes.len - *used);
        status = next_take(install, rest, &taken);
        *used += taken;
        if (status == MK_OK && store_checkpoint_due(install->store)) {
            status = checkpoint(install->store, error);
        }
    }
    if (status == MK_END) {
        install->complete = true;
        install->store->applied = install->options.zxid;
        view_of(install)->zxid = install->options.zxid;
    } else if (status == MK_MALFORMED) {
        mk_error_set(error, "what was sent is not a snapshot, from its znode number %u on",
                     (unsigned)install->position);
    } else if (status != MK_WOULD_BLOCK) {
        mk_error_set(error, "a snapshot cannot be stored: %s", mk_status_text(status));
    }
    return status == MK_WOULD_BLOCK ? MK_OK : status;
}
