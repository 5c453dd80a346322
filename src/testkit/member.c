/* A member's life:
 *
 *   boot: the store over the memory disk, the log's entries recovered; alone, a new epoch led
 *   step: frames out, rows loaded, batches to the log, checkpoints and snapshots to the disk
 *   crash: what is in the log and in the disk's checkpoints is what the next boot finds
 *
 * Whatever goes to its disk is durable at once, but for what a cut keeps from its log. */
#include "testkit/member.h"

#include "testkit/world.h"

#define ENTRY_ZXID_AT 12 /* in a TxnHeader: behind the client's id and cxid */
#define STORE_BYTES (16u << 20)
#define INSTALL_BYTES_MAX (1u << 20) /* of a record in a snapshot: a frame is no longer */

void testkit_member_init(struct testkit_member *member, struct testkit_world *world, int64_t id)
{
    *member = (struct testkit_member){.world = world, .id = id, .base = store_base_memory(NULL, 0)};
}

void testkit_member_deinit(struct testkit_member *member)
{
    MK_ASSERT(member->server == NULL);
    member->base->ops->close(member->base);
    mk_buf_free(&member->entries);
}

/* ---- Boot ---- */

static struct store_options store_options(void)
{
    return (struct store_options){
        .cache_bytes = STORE_BYTES,
        .overlay_bytes = STORE_BYTES,
        .overlay_bytes_max = 4 * STORE_BYTES,
    };
}

static mk_zxid entry_zxid(struct mk_bytes entry)
{
    MK_ASSERT(entry.len >= ENTRY_ZXID_AT + sizeof(mk_zxid));
    return (mk_zxid)mk_load_u64(entry.data + ENTRY_ZXID_AT);
}

static bool recover(struct testkit_member *member, struct mk_error *error)
{
    struct mk_bytes entry;
    size_t offset = 0;

    member->entries_last = store_applied(member->store);
    if (member->entries.len == 0) {
        return true;
    }
    while (store_log_entry_next(mk_buf_view(&member->entries), &offset, &entry)) {
        mk_zxid zxid = entry_zxid(entry);
        if (zxid <= store_applied(member->store)) {
            continue;
        }
        member->entries_last = zxid;
        if (server_recover(member->server, zxid, entry, error) != MK_OK) {
            return false;
        }
    }
    return true;
}

static void ensemble_of(const struct testkit_world *world, struct server_ensemble *ensemble)
{
    ensemble->text = MK_BYTES("");
    ensemble->history_count = TESTKIT_HISTORY_COUNT;
    ensemble->members_count = world->members_count;
    for (size_t i = 0; i < world->members_count; i++) {
        ensemble->members[i] = (struct server_member){.id = world->members[i].id, .weight = 1};
    }
}

static bool begin(struct testkit_member *member, struct mk_error *error)
{
    struct testkit_world *world = member->world;

    if (world->members_count > 1) {
        server_join(member->server, member->epochs, member->entries_last, world->now);
        return true;
    }
    member->epochs.accepted++;
    member->epochs.current = member->epochs.accepted;
    enum mk_status status = server_lead(member->server, (uint32_t)member->epochs.accepted,
                                        member->entries_last, world->now);
    if (status != MK_OK) {
        mk_error_set(error, "leading failed: %s", mk_status_text(status));
    }
    return status == MK_OK;
}

bool testkit_member_boot(struct testkit_member *member, struct mk_error *error)
{
    struct testkit_world *world = member->world;
    struct store_options stores = store_options();
    struct server_options options;

    server_options_default(&options);
    options.server_id = (uint8_t)member->id;
    options.tick_ms = world->tick_ms;
    options.session_timeout_min_ms = 2 * TESTKIT_TICK_MS;
    options.session_timeout_max_ms = TESTKIT_TIMEOUT_MAX_MS;
    options.extended_types = true;
    options.catalogue = world->catalogue;
    options.catalogue_count = world->catalogue_count;
    options.super_digest = mk_buf_view(&world->super_digest);
    if (world->members_count > 1) {
        ensemble_of(world, &options.ensemble);
    }

    MK_ASSERT(member->server == NULL);
    store_base_memory_ref(member->base);
    member->store = store_open(member->base, &stores, error);
    if (member->store == NULL) {
        return false;
    }
    member->server = server_new(&options, member->store, &world->log);
    return recover(member, error) && begin(member, error);
}

static void install_drop(struct testkit_member *member)
{
    if (member->install != NULL) {
        store_install_abort(member->install);
        member->install_base->ops->close(member->install_base);
        member->install = NULL;
    }
}

void testkit_member_crash(struct testkit_member *member)
{
    install_drop(member);
    if (member->server != NULL) {
        server_free(member->server);
    }
    if (member->store != NULL) {
        store_close(member->store);
    }
    member->server = NULL;
    member->store = NULL;
}

/* ---- Clients and rows ---- */

static bool deliver(struct testkit_member *member)
{
    struct server_conn *conn;
    bool moved = false;

    while ((conn = server_next_dirty(member->server)) != NULL) {
        struct testkit_client *client = server_conn_owner(conn);
        struct mk_buf *output = server_conn_output(conn);
        moved = true;
        mk_buf_append_bytes(&client->input, mk_buf_view(output));
        output->len = 0;
        if (server_conn_closing(conn)) {
            testkit_client_detach(client);
        } else {
            server_conn_drained(member->server, conn);
        }
    }
    return moved;
}

static bool load(struct testkit_member *member)
{
    struct server_load wanted;
    bool moved = false;

    while (server_load_take(member->server, &wanted)) {
        enum mk_status status = store_load(store_base_of(member->store), &wanted.rows);
        MK_ASSERT(status == MK_OK); /* the disk is memory */
        server_load_done(member->server, &wanted);
        moved = true;
    }
    return moved;
}

/* ---- The log ---- */

/* The first `count` entries reach the log. */
static void log_append(struct testkit_member *member, const struct server_batch *batch,
                       uint32_t count)
{
    struct mk_bytes bytes = mk_buf_view(&batch->bytes);
    struct mk_bytes entry;
    size_t offset = 0;

    MK_ASSERT(count <= batch->count);
    for (uint32_t i = 0; i < count; i++) {
        bool more = store_log_entry_next(bytes, &offset, &entry);
        MK_ASSERT(more);
    }
    mk_buf_append(&member->entries, bytes.data, offset);
}

static bool log_batch(struct testkit_member *member)
{
    struct testkit_world *world = member->world;
    bool cut = world->cut_armed && member == world->leader;
    struct server_batch batch;

    if (!server_batch_take(member->server, &batch)) {
        return false;
    }
    if (cut && batch.count > world->cut_left) {
        log_append(member, &batch, world->cut_left);
        mk_buf_free(&batch.bytes);
        if (world->leaks && world->links != NULL) {
            (void)testkit_links_step(world->links);
        }
        world->dark = true;
        return false;
    }
    world->cut_left -= cut ? batch.count : 0;
    log_append(member, &batch, batch.count);
    member->entries_last = batch.last;
    server_batch_synced(member->server, &batch);
    return true;
}

static bool log_truncate(struct testkit_member *member)
{
    struct mk_bytes entry;
    mk_zxid zxid;
    size_t end = 0;

    if (!server_truncate_take(member->server, &zxid)) {
        return false;
    }
    for (size_t offset = 0; offset < member->entries.len; end = offset) {
        bool more = store_log_entry_next(mk_buf_view(&member->entries), &offset, &entry);
        MK_ASSERT(more);
        if (entry_zxid(entry) > zxid) {
            break;
        }
    }
    member->entries.len = end;
    member->entries_last = zxid;
    server_truncated(member->server);
    return true;
}

static bool epochs(struct testkit_member *member)
{
    if (!server_epochs_take(member->server, &member->epochs)) {
        return false;
    }
    server_epochs_stored(member->server);
    return true;
}

/* ---- Checkpoints, snapshots ---- */

static bool checkpoint(struct testkit_member *member)
{
    struct store_checkpoint *wanted = server_checkpoint_take(member->server);
    struct mk_error error;

    if (wanted == NULL) {
        return false;
    }
    enum mk_status status = store_checkpoint_write(wanted, &error);
    MK_ASSERT(status == MK_OK); /* the disk is memory */
    server_checkpoint_done(member->server, wanted);
    return true;
}

static bool snapshot_out(struct testkit_member *member)
{
    struct server_snapshot *snapshot = server_snapshot_take(member->server);

    if (snapshot == NULL) {
        return false;
    }
    server_snapshot_read(snapshot);
    server_snapshot_done(member->server, snapshot);
    return true;
}

static void install_bytes(struct testkit_member *member, struct server_install *step)
{
    struct store_options stores = store_options();
    struct store_install_options options = {
        .zxid = step->zxid, .bytes_max = INSTALL_BYTES_MAX, .trailer = true};
    struct mk_error error;

    if (member->install == NULL) {
        member->install_base = store_base_memory(NULL, 0);
        store_base_memory_ref(member->install_base);
        member->install = store_install_begin(member->install_base, &stores, &options, &error);
        MK_ASSERT(member->install != NULL);
    }
    enum mk_status status = store_install_bytes(member->install, step->bytes, &step->used, &error);
    step->whole = status == MK_END;
    if (step->whole) {
        server_install_complete(member->install);
    }
    step->broken = status != MK_OK && status != MK_END;
    server_install_done(member->server, step);
}

static void install_finish(struct testkit_member *member)
{
    struct store_options stores = store_options();
    struct mk_error error;

    store_fuzzy_begin(store_install_store(member->install));
    enum mk_status status = store_install_finish(member->install, &error);
    MK_ASSERT(status == MK_OK); /* the disk is memory */
    member->install = NULL;
    store_close(server_store_release(member->server));
    member->base->ops->close(member->base);
    member->base = member->install_base;
    member->entries.len = 0;
    store_base_memory_ref(member->base);
    member->store = store_open(member->base, &stores, &error);
    MK_ASSERT(member->store != NULL);
    member->entries_last = store_applied(member->store);
    server_store_replaced(member->server, member->store);
}

static bool snapshot_in(struct testkit_member *member)
{
    struct server_install step;

    if (!server_install_take(member->server, &step)) {
        return false;
    }
    switch (step.step) {
    case SERVER_INSTALL_BYTES: install_bytes(member, &step); break;
    case SERVER_INSTALL_FINISH: install_finish(member); break;
    case SERVER_INSTALL_DISCARD:
        install_drop(member);
        server_install_done(member->server, &step);
        break;
    }
    return true;
}

bool testkit_member_step(struct testkit_member *member)
{
    bool moved = deliver(member);

    moved = load(member) || moved;
    moved = log_batch(member) || moved;
    if (member->world->dark) {
        return false;
    }
    moved = checkpoint(member) || moved;
    if (member->world->members_count > 1) {
        moved = epochs(member) || moved;
        moved = log_truncate(member) || moved;
        moved = snapshot_out(member) || moved;
        moved = snapshot_in(member) || moved;
    }
    return moved;
}
