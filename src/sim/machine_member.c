/* What the disk of a member does besides: the end of the log is cut off, and a state takes the place of
 * another. A crash before a step is done finds things as they were before it. */
#include "sim/machine.h"

#define INSTALL_FIELD_BYTES_MAX (1 << 20)
#define INSTALL_OVERLAY_BYTES (1 << 16)

void sim_machine_log_truncate(struct sim_machine *machine, mk_zxid zxid, bool lie)
{
    struct mk_bytes bytes = mk_buf_view(&machine->entries);
    struct mk_bytes entry;
    size_t offset = 0;
    size_t end = 0;

    MK_ASSERT(!machine->batch_out);
    while (store_log_entry_next(bytes, &offset, &entry) && sim_entry_zxid(entry) <= zxid) {
        end = offset;
    }
    MK_ASSERT(machine->followed <= end); /* what is applied stays */
    if (lie && end < bytes.len) {
        machine->uncut_behind = zxid;
        machine->uncut.len = 0;
        mk_buf_append(&machine->uncut, bytes.data + end, bytes.len - end);
    }
    machine->entries.len = end;
    machine->entries_last = zxid;
}

static bool install_begin(struct sim_machine *machine, mk_zxid zxid, struct mk_error *error)
{
    struct store_options store = machine->store_options;
    struct store_install_options options = {
        .zxid = zxid, .bytes_max = INSTALL_FIELD_BYTES_MAX, .trailer = true};

    store.overlay_bytes = INSTALL_OVERLAY_BYTES;
    machine->install_base = store_base_memory(&machine->stalls, machine->stall_per_mille);
    store_base_memory_ref(machine->install_base);
    machine->install = store_install_begin(machine->install_base, &store, &options, error);
    return machine->install != NULL;
}

static bool install_bytes(struct sim_machine *machine, struct server_install *step,
                          struct mk_error *error)
{
    if (machine->install == NULL && !install_begin(machine, step->zxid, error)) {
        return false;
    }
    enum mk_status status = store_install_bytes(machine->install, step->bytes, &step->used, error);
    step->whole = status == MK_END;
    step->broken = status == MK_MALFORMED;
    if (step->whole) {
        server_install_complete(machine->install);
    }
    return status == MK_OK || step->whole || step->broken;
}

void sim_machine_install_drop(struct sim_machine *machine)
{
    if (machine->install != NULL) {
        store_install_abort(machine->install);
        machine->install_base->ops->close(machine->install_base);
        machine->install = NULL;
    }
}

static bool install_finish(struct sim_machine *machine, const struct server_install *step,
                           struct mk_error *error)
{
    MK_ASSERT(machine->install != NULL && !machine->batch_out);
    machine->forgot = machine->forgot || step->forgets;
    store_fuzzy_begin(store_install_store(machine->install));
    enum mk_status status = store_install_finish(machine->install, error);
    machine->install = NULL;
    if (status != MK_OK) {
        return false;
    }
    store_close(server_store_release(machine->server));
    machine->base->ops->close(machine->base);
    machine->base = machine->install_base;
    machine->entries.len = 0;
    machine->entries_cut = machine->followed = 0;
    machine->lied = SIZE_MAX;
    machine->entries_last = machine->trimmed = step->zxid;
    for (int i = 0; i <= SIM_CHECKPOINTS_LOST_MAX; i++) {
        machine->checkpoints[i] = i == 0 ? step->zxid : 0; /* the only one: no crash loses it */
    }
    machine->store = store_open(sim_machine_disk(machine), &machine->store_options, error);
    if (machine->store == NULL) {
        return false;
    }
    server_store_replaced(machine->server, machine->store);
    return true;
}

bool sim_machine_install(struct sim_machine *machine, struct server_install *step,
                         struct mk_error *error)
{
    switch (step->step) {
    case SERVER_INSTALL_BYTES: return install_bytes(machine, step, error);
    case SERVER_INSTALL_DISCARD: sim_machine_install_drop(machine); return true;
    case SERVER_INSTALL_FINISH: return install_finish(machine, step, error);
    }
    return false;
}
