/* A machine's life: boot, batches and checkpoints to a disk that is memory, crash, boot.
 *
 * What a crash keeps is what a disk would have kept: of the log all that was synced, and as much of
 * the batch under way as the crash says; of the state the checkpoints, but for the newest ones that
 * it says. The log is trimmed only below a checkpoint that no crash can lose. */
#include "sim/machine.h"

#include "sim/model.h"

#include <string.h>

#define ENTRY_ZXID_AT 12 /* in a TxnHeader: behind the client's id and cxid */

/* ---- The disk: the memory base, until reads fail ---- */

static struct sim_machine *machine_of(struct store_base *disk)
{
    return MK_CONTAINER(disk, struct sim_machine, disk);
}

static enum mk_status disk_get(struct store_base *disk, struct mk_bytes key, bool may_block,
                               struct mk_buf *value)
{
    struct sim_machine *machine = machine_of(disk);

    if (machine->reads_fail) {
        return MK_IO;
    }
    if (machine->reads_stall && !may_block) {
        return MK_WOULD_BLOCK;
    }
    return machine->base->ops->get(machine->base, key, may_block, value);
}

static struct store_base_iter *disk_iter_new(struct store_base *disk, bool may_block)
{
    struct sim_machine *machine = machine_of(disk);
    return machine->base->ops->iter_new(machine->base, may_block);
}

static enum mk_status disk_ingest(struct store_base *disk, const struct store_rows *rows,
                                  struct mk_error *error)
{
    struct sim_machine *machine = machine_of(disk);
    return machine->base->ops->ingest(machine->base, rows, error);
}

static uint64_t disk_memory_bytes(struct store_base *disk)
{
    struct sim_machine *machine = machine_of(disk);
    return machine->base->ops->memory_bytes(machine->base);
}

static void disk_close(struct store_base *disk)
{
    struct sim_machine *machine = machine_of(disk);
    machine->base->ops->close(machine->base);
}

static void disk_init(struct sim_machine *machine)
{
    machine->disk_ops = *machine->base->ops; /* iterators are the base's own */
    machine->disk_ops.get = disk_get;
    machine->disk_ops.iter_new = disk_iter_new;
    machine->disk_ops.ingest = disk_ingest;
    machine->disk_ops.memory_bytes = disk_memory_bytes;
    machine->disk_ops.close = disk_close;
    machine->disk.ops = &machine->disk_ops;
}

void sim_machine_init(struct sim_machine *machine, const struct sim_machine_options *options)
{
    *machine = (struct sim_machine){
        .options = *options->server,
        .store_options =
            {
                .cache_bytes = options->cache_bytes,
                .overlay_bytes = options->overlay_bytes,
                .overlay_bytes_max = 4 * options->overlay_bytes,
                .quota_step_rows = SIM_QUOTA_STEP,
                .hash_seed = options->seed,
            },
        .log = options->log,
        .lied = SIZE_MAX,
        .stall_per_mille = options->stall_per_mille,
    };
    machine->options.hash_secret = options->seed;
    mk_random_seed(&machine->stalls, options->seed);
    machine->base = store_base_memory(&machine->stalls, options->stall_per_mille);
    disk_init(machine);
}

void sim_machine_deinit(struct sim_machine *machine)
{
    if (machine->server != NULL) {
        sim_machine_crash(machine, 0, 0);
    }
    machine->base->ops->close(machine->base);
    mk_buf_free(&machine->entries);
    mk_buf_free(&machine->uncut);
}

/* ---- The log ---- */

mk_zxid sim_entry_zxid(struct mk_bytes entry)
{
    MK_ASSERT(entry.len >= ENTRY_ZXID_AT + sizeof(mk_zxid));
    return (mk_zxid)mk_load_u64(entry.data + ENTRY_ZXID_AT);
}

/* Append the first `count` entries of `batch`. */
static void log_append(struct sim_machine *machine, struct mk_bytes batch, uint32_t count)
{
    struct mk_bytes entry;
    size_t offset = 0;

    machine->entries_cut = machine->entries.len;
    for (uint32_t i = 0; i < count && store_log_entry_next(batch, &offset, &entry); i++) {
        machine->entries_last = sim_entry_zxid(entry);
    }
    mk_buf_append(&machine->entries, batch.data, offset);
}

static void log_trim(struct sim_machine *machine, mk_zxid through)
{
    struct mk_bytes bytes = mk_buf_view(&machine->entries);
    struct mk_bytes entry;
    size_t offset = 0;
    size_t cut = 0;

    machine->trimmed = through > machine->trimmed ? through : machine->trimmed;
    while (store_log_entry_next(bytes, &offset, &entry) && sim_entry_zxid(entry) <= through) {
        cut = offset;
    }
    if (cut > 0) {
        memmove(machine->entries.data, machine->entries.data + cut, bytes.len - cut);
        machine->entries.len -= cut;
    }
    machine->entries_cut = machine->entries_cut > cut ? machine->entries_cut - cut : 0;
    machine->followed = machine->followed > cut ? machine->followed - cut : 0;
    if (machine->lied != SIZE_MAX) {
        machine->lied = machine->lied > cut ? machine->lied - cut : 0;
    }
}

/* As if what is behind `len` had never been written. */
static void log_shorten(struct sim_machine *machine, size_t len)
{
    struct mk_bytes entry;
    size_t offset = 0;

    machine->entries.len = len;
    machine->entries_last = 0;
    while (store_log_entry_next(mk_buf_view(&machine->entries), &offset, &entry)) {
        machine->entries_last = sim_entry_zxid(entry);
    }
}

bool sim_machine_applied_next(struct sim_machine *machine, struct mk_bytes *entry)
{
    size_t offset = machine->followed;

    if (!store_log_entry_next(mk_buf_view(&machine->entries), &offset, entry) ||
        sim_entry_zxid(*entry) > store_applied(machine->store)) {
        return false;
    }
    machine->followed = offset;
    return true;
}

/* ---- Boot ---- */

static bool recover(struct sim_machine *machine, struct mk_error *error)
{
    struct mk_bytes bytes = mk_buf_view(&machine->entries);
    struct mk_bytes entry;
    size_t offset = 0;

    mk_zxid applied = store_applied(machine->store);
    machine->followed = 0;
    while (bytes.len > 0 && store_log_entry_next(bytes, &offset, &entry)) {
        mk_zxid zxid = sim_entry_zxid(entry);
        if (zxid <= applied) {
            machine->followed = offset;
        } else if (server_recover(machine->server, zxid, entry, error) != MK_OK) {
            return false;
        }
    }
    MK_ASSERT(offset == bytes.len);
    return true;
}

struct store_base *sim_machine_disk(struct sim_machine *machine)
{
    store_base_memory_ref(machine->base);
    return &machine->disk;
}

static bool lead(struct sim_machine *machine, struct server_time now, struct mk_error *error)
{
    uint32_t logged_epoch = (uint32_t)(machine->entries_last >> 32);
    machine->epoch = 1 + (machine->epoch > logged_epoch ? machine->epoch : logged_epoch);
    enum mk_status status =
        server_lead(machine->server, machine->epoch, machine->entries_last, now);

    if (status != MK_OK) {
        mk_error_set(error, "leading failed: %s", mk_status_text(status));
    }
    return status == MK_OK;
}

bool sim_machine_boot(struct sim_machine *machine, struct server_time now, struct mk_error *error)
{
    MK_ASSERT(machine->server == NULL);

    machine->store = store_open(sim_machine_disk(machine), &machine->store_options, error);
    if (machine->store == NULL) {
        return false;
    }
    machine->server = server_new(&machine->options, machine->store, machine->log);
    if (!recover(machine, error)) {
        return false;
    }
    if (machine->entries_last < store_applied(machine->store)) {
        machine->entries_last = store_applied(machine->store);
    }
    if (machine->options.ensemble.members_count <= 1) {
        return lead(machine, now, error);
    }
    server_join(machine->server, machine->epochs, machine->forgot ? -1 : machine->entries_last,
                now);
    return true;
}

/* ---- Crash ---- */

void sim_machine_crash(struct sim_machine *machine, uint32_t entries_kept,
                       unsigned checkpoints_lost)
{
    MK_ASSERT(machine->server != NULL);
    MK_ASSERT(checkpoints_lost <= SIM_CHECKPOINTS_LOST_MAX);

    if (machine->batch_out) {
        MK_ASSERT(entries_kept <= machine->batch.count);
        log_append(machine, mk_buf_view(&machine->batch.bytes), entries_kept);
        mk_buf_free(&machine->batch.bytes);
        machine->batch_out = false;
    }
    sim_machine_install_drop(machine);
    server_free(machine->server);
    store_close(machine->store);
    machine->server = NULL;
    machine->store = NULL;
    machine->checkpoint = NULL;
    machine->reads_fail = machine->reads_stall = false;
    machine->epochs_out = false;
    if (machine->uncut.len > 0 && machine->entries_last == machine->uncut_behind) {
        mk_buf_append_bytes(&machine->entries, mk_buf_view(&machine->uncut));
        log_shorten(machine, machine->entries.len);
    }
    machine->uncut.len = 0;
    if (machine->lied < machine->entries.len) {
        log_shorten(machine, machine->lied);
    }
    machine->lied = SIZE_MAX;

    while (machine->checkpoints[checkpoints_lost] < machine->trimmed) {
        checkpoints_lost--;
    }
    store_base_memory_lose(machine->base, checkpoints_lost);
    for (unsigned i = 0; i < checkpoints_lost; i++) {
        memmove(&machine->checkpoints[0], &machine->checkpoints[1],
                sizeof(machine->checkpoints) - sizeof(machine->checkpoints[0]));
        machine->checkpoints[SIM_CHECKPOINTS_LOST_MAX] = 0;
    }
}

/* ---- Batches ---- */

bool sim_machine_batch_take(struct sim_machine *machine)
{
    if (machine->batch_out || !server_batch_take(machine->server, &machine->batch)) {
        return false;
    }
    machine->batch_out = true;
    return true;
}

void sim_machine_batch_sync(struct sim_machine *machine, bool lie)
{
    MK_ASSERT(machine->batch_out);

    bool member = machine->options.ensemble.members_count > 1;
    if (lie && member && machine->lied > machine->entries.len) {
        machine->lied = machine->entries.len;
    }
    if (!lie || member) {
        log_append(machine, mk_buf_view(&machine->batch.bytes), machine->batch.count);
    }
    machine->batch_out = false;
    server_batch_synced(machine->server, &machine->batch);
}

/* ---- Checkpoints ---- */

bool sim_machine_checkpoint_take(struct sim_machine *machine)
{
    if (machine->checkpoint != NULL) {
        return false;
    }
    machine->checkpoint = server_checkpoint_take(machine->server);
    return machine->checkpoint != NULL;
}

bool sim_machine_checkpoint_write(struct sim_machine *machine, struct mk_error *error)
{
    MK_ASSERT(machine->checkpoint != NULL);
    return store_checkpoint_write(machine->checkpoint, error) == MK_OK;
}

void sim_machine_checkpoint_done(struct sim_machine *machine)
{
    MK_ASSERT(machine->checkpoint != NULL);

    server_checkpoint_done(machine->server, machine->checkpoint);
    machine->checkpoint = NULL;
    memmove(&machine->checkpoints[1], &machine->checkpoints[0],
            sizeof(machine->checkpoints) - sizeof(machine->checkpoints[0]));
    machine->checkpoints[0] = store_durable(machine->store);
    log_trim(machine, machine->checkpoints[SIM_CHECKPOINTS_LOST_MAX]);
}

void sim_machine_log_cut(struct sim_machine *machine)
{
    MK_ASSERT(machine->server == NULL);
    log_shorten(machine, machine->entries_cut);
}

void sim_machine_checkpoint_forget(struct sim_machine *machine)
{
    MK_ASSERT(machine->server == NULL);
    log_trim(machine, machine->checkpoints[0]);
    store_base_memory_lose(machine->base, 1);
}

enum mk_status sim_machine_load(struct sim_machine *machine, struct server_load *load)
{
    return store_load(store_base_of(machine->store), &load->rows);
}
