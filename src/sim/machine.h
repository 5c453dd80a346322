/* Private to sim: a machine of one server, its disk and its log, which a crash treats as a real one
 * would. It decides nothing: when the disk is done, and when the power goes, its owner says. The server is
 * alone, or a member of an ensemble, as its options say. */
#ifndef MK_SIM_MACHINE_H
#define MK_SIM_MACHINE_H

#include "base/base.h"
#include "server/server.h"
#include "store/store.h"

/* A crash may lose this many of the newest checkpoints; the log is kept for as long. */
#define SIM_CHECKPOINTS_LOST_MAX 2

struct sim_machine {
    struct server_options options;
    struct store_options store_options;
    const struct mk_log *log;

    /* Survives a crash. */
    struct mk_random stalls; /* which reads need the disk */
    uint32_t stall_per_mille;
    struct store_base *base;
    struct store_base disk; /* what the store is given: `base`, and reads that fail */
    struct store_base_ops disk_ops;
    struct mk_buf entries; /* the log: what has been synced, framed as in a batch */
    size_t entries_cut;    /* where the batch begins that was synced last */
    mk_zxid entries_last;  /* or, if the log holds nothing, what has been trimmed or applied */
    mk_zxid checkpoints[SIM_CHECKPOINTS_LOST_MAX + 1]; /* zxids of the newest ones, newest first */
    mk_zxid trimmed; /* the log holds nothing up to this zxid: no checkpoint below may be all */
    uint32_t epoch;  /* of a server that is alone */
    /* A member's: */
    struct server_epochs epochs;
    struct server_epochs epochs_before; /* for sabotage */
    bool forgot; /* some of what was logged is gone: server_install.forgets */

    /* Does not. NULL: the server is down. */
    struct server *server;
    struct store *store;
    bool batch_out;
    struct server_batch batch; /* with the disk, not synced */
    struct store_checkpoint *checkpoint;
    size_t followed; /* in `entries`: where what the checker has not seen applied begins */
    mk_zxid uncut_behind;
    struct mk_buf uncut; /* what was cut off, and a crash brings back (sabotage) */
    size_t lied;         /* ... and what the disk has not got, though it says so (sabotage) */
    bool epochs_out;     /* with the disk */
    struct server_epochs storing;
    struct store_install *install; /* a state that is being received, beside the one that serves */
    struct store_base *install_base;
    bool reads_fail;  /* the disk answers MK_IO from now on */
    bool reads_stall; /* a read that may not block, would */
};

struct sim_machine_options {
    const struct server_options *server;
    uint64_t seed;
    uint32_t stall_per_mille; /* how many reads that may not block would */
    uint64_t cache_bytes;     /* the store's: clean rows in memory */
    uint64_t overlay_bytes;   /* ... checkpoint at this size, stop at four times that */
    const struct mk_log *log; /* the server's; borrowed */
};

void sim_machine_init(struct sim_machine *machine, const struct sim_machine_options *options);
void sim_machine_deinit(struct sim_machine *machine);

/* Power on: open the store, recover from the log; lead with the next epoch, or join. False: `error`. */
bool sim_machine_boot(struct sim_machine *machine, struct server_time now, struct mk_error *error);
/* Power off. Of the batch that is with the disk, the first `entries_kept` entries are in the log
 * all the same; up to `checkpoints_lost` of the newest checkpoints are not in the base: as many as
 * the log can make up for. */
void sim_machine_crash(struct sim_machine *machine, uint32_t entries_kept,
                       unsigned checkpoints_lost);

/* Give the disk a batch, if it is idle and there is one: it is `batch` then. */
bool sim_machine_batch_take(struct sim_machine *machine);
/* It is durable: in the log, and known to the server. `lie`: the log has it not (sabotage); a member's
 * has it until the next crash. */
void sim_machine_batch_sync(struct sim_machine *machine, bool lie);

/* The next entry that the server has applied since it came up, in the order of the log. */
bool sim_machine_applied_next(struct sim_machine *machine, struct mk_bytes *entry);

/* ---- A member's disk (machine_member.c) ---- */

/* The log ends with that zxid. `lie`: until the next crash (sabotage). */
void sim_machine_log_truncate(struct sim_machine *machine, mk_zxid zxid, bool lie);
/* One step of receiving a state, and what is to be said when it is done: for all steps but the last
 * server_install_done(). False: `error`. */
bool sim_machine_install(struct sim_machine *machine, struct server_install *step,
                         struct mk_error *error);
void sim_machine_install_drop(struct sim_machine *machine);

/* Write the checkpoint that the server wants, if any; then say that it is done. */
bool sim_machine_checkpoint_take(struct sim_machine *machine);
bool sim_machine_checkpoint_write(struct sim_machine *machine, struct mk_error *error);
void sim_machine_checkpoint_done(struct sim_machine *machine);

/* What no disk may do (sabotage), to a machine that is down: lose the batch that was synced last;
 * lose the newest checkpoint, when the log has been trimmed up to it. */
void sim_machine_log_cut(struct sim_machine *machine);
void sim_machine_checkpoint_forget(struct sim_machine *machine);

struct store_base *sim_machine_disk(struct sim_machine *machine); /* with one more reference */
mk_zxid sim_entry_zxid(struct mk_bytes entry);

enum mk_status sim_machine_load(struct sim_machine *machine, struct server_load *load);

#endif
