/* Snapshots between servers, on libuv's threads:
 *
 *   out   pieces for learners, of state or log, of a few at once
 *   in    bytes of the leader's go into `state.new`, beside the state. When all have come and are durable,
 *         and nothing else is at work on state or log, the loop puts them in the old state's place: nobody
 *         is served yet
 *
 * A crash before or after any step leaves what a start can go on with:
 *
 *   mark      if something that the log loses may have been committed. So far state and log are whole, and
 *             to start as one that may have lost something is only careful. From here on it is needed: by
 *             what it has left this server must neither vote nor be counted
 *   cut       the log above the snapshot. If it ends before the old state now, a start empties it; else
 *             it goes on behind the old state. Were the state replaced first, then a start would find
 *             the end of another history behind the new state, and take it for its own
 *   replace   the state; a start ends it if it was begun. What is left of the log is not above the new
 *             state, and a start replays none of it
 *   empty     the log, which goes on behind the snapshot. A start does the same when the state is ahead
 *
 * Without a mark nothing in the log is above the snapshot, and nothing is cut. The mark goes when the server
 * serves: then it has all that was committed. What fails here ends the process: the server could not
 * follow. */
#include "edge/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEW_PATH_BYTES 1024
#define PIECES_MAX 2 /* of libuv's four threads: loads and checkpoints want some */
#define STREAM_OVERLAY_BYTES ((uint64_t)32 << 20) /* what an install keeps in memory */

struct piece_job {
    uv_work_t work;
    struct edge *edge;
    struct server_snapshot *snapshot;
};

struct snapshots {
    struct edge *edge;
    size_t pieces; /* under way */

    uv_work_t work;
    bool working;
    struct server_install step;
    struct store_install *install; /* NULL: none has begun */
    enum mk_status status;
    struct mk_error error;
    bool replacing; /* all is durable: the store is exchanged as soon as nothing uses the old one */
    bool marked;    /* the mark is there: see server_install.forgets */
    char new_path[NEW_PATH_BYTES];
};

/* ---- Out ---- */

static void log_reader_close(void *reader)
{
    store_log_reader_close(reader);
}

static enum mk_status log_piece_open(struct store_log *log, struct server_log_piece *piece)
{
    struct store_log_reader *reader;
    uint64_t bytes;
    enum mk_status status = store_log_reader_open(log, piece->after, &reader, &bytes, piece->error);

    if (status != MK_OK) {
        return status;
    }
    piece->reader = reader;
    piece->reader_close = log_reader_close;
    return bytes <= piece->bytes_max ? MK_OK : MK_NO_NODE;
}

static enum mk_status log_piece_read(struct store_log *log, struct server_log_piece *piece)
{
    enum mk_status status = piece->reader == NULL ? log_piece_open(log, piece) : MK_OK;

    return status == MK_OK ? store_log_reader_read(piece->reader, piece->through,
                                                   piece->piece_bytes, piece->out, piece->error)
                           : status;
}

static void piece_work(uv_work_t *work)
{
    struct piece_job *job = MK_CONTAINER(work, struct piece_job, work);
    struct server_log_piece *piece = server_snapshot_log(job->snapshot);

    if (piece != NULL) {
        piece->status = log_piece_read(job->edge->core.log, piece);
    } else {
        server_snapshot_read(job->snapshot);
    }
}

static void piece_done(uv_work_t *work, int cancelled)
{
    struct piece_job *job = MK_CONTAINER(work, struct piece_job, work);
    struct edge *edge = job->edge;
    (void)cancelled;

    turn_begin(edge);
    edge->snapshots->pieces--;
    server_snapshot_done(edge->core.server, job->snapshot);
    mk_free(job);
}

static void pieces_take(struct snapshots *snapshots)
{
    while (snapshots->pieces < PIECES_MAX) {
        struct server_snapshot *snapshot = server_snapshot_take(snapshots->edge->core.server);
        if (snapshot == NULL) {
            return;
        }
        struct piece_job *job = mk_alloc_zero(1, sizeof(*job));
        job->edge = snapshots->edge;
        job->snapshot = snapshot;
        snapshots->pieces++;
        uv_queue_work(&snapshots->edge->loop, &job->work, piece_work, piece_done);
    }
}

/* ---- In: on a thread ---- */

static enum mk_status mark_put(struct snapshots *snapshots)
{
    snapshots->marked = true;
    return edge_amnesiac_mark(snapshots->edge->options->data_dir, &snapshots->error);
}

static enum mk_status install_begin(struct snapshots *snapshots)
{
    const struct edge_core *core = &snapshots->edge->core;
    struct store_options rows = *core->store_options;
    struct store_install_options options = {
        .zxid = snapshots->step.zxid,
        .bytes_max = snapshots->edge->options->server.frame_bytes_max,
        .trailer = true,
    };
    enum mk_status status =
        store_state_settle(snapshots->edge->options->data_dir, &snapshots->error);

    if (status != MK_OK) {
        return status;
    }
    struct store_base *base =
        store_base_rocks(snapshots->new_path, core->disk_options, &snapshots->error);
    if (base == NULL) {
        return MK_IO;
    }
    rows.overlay_bytes = STREAM_OVERLAY_BYTES;
    snapshots->install = store_install_begin(base, &rows, &options, &snapshots->error);
    return snapshots->install != NULL ? MK_OK : MK_IO;
}

static enum mk_status bytes_work(struct snapshots *snapshots)
{
    struct server_install *step = &snapshots->step;
    enum mk_status status = snapshots->install != NULL ? MK_OK : install_begin(snapshots);

    if (status == MK_OK) {
        status =
            store_install_bytes(snapshots->install, step->bytes, &step->used, &snapshots->error);
    }
    step->whole = status == MK_END;
    step->broken = status == MK_MALFORMED;
    if (step->whole) {
        server_install_complete(snapshots->install);
    }
    return step->whole || step->broken ? MK_OK : status;
}

static void install_work(uv_work_t *work)
{
    struct snapshots *snapshots = MK_CONTAINER(work, struct snapshots, work);

    snapshots->status = MK_OK;
    switch (snapshots->step.step) {
    case SERVER_INSTALL_BYTES: snapshots->status = bytes_work(snapshots); break;
    case SERVER_INSTALL_FINISH:
        snapshots->status = snapshots->step.forgets ? mark_put(snapshots) : MK_OK;
        if (snapshots->status == MK_OK) {
            store_fuzzy_begin(store_install_store(snapshots->install));
            snapshots->status = store_install_finish(snapshots->install, &snapshots->error);
            snapshots->install = NULL;
        }
        break;
    case SERVER_INSTALL_DISCARD:
        if (snapshots->install != NULL) {
            store_install_abort(snapshots->install);
            snapshots->install = NULL;
        }
        snapshots->status =
            store_state_settle(snapshots->edge->options->data_dir, &snapshots->error);
        break;
    }
}

/* ---- In: in the loop ---- */

/* Cut, replace, empty, and open again. */
static enum mk_status store_change(struct snapshots *snapshots, struct store **store)
{
    const struct edge_core *core = &snapshots->edge->core;
    enum mk_status status = store_log_truncate(core->log, snapshots->step.zxid, &snapshots->error);

    if (status == MK_OK) {
        status = store_state_replace(snapshots->edge->options->data_dir, &snapshots->error);
    }
    if (status == MK_OK) {
        status = store_log_reset(core->log, snapshots->step.zxid, &snapshots->error);
    }
    if (status != MK_OK) {
        return status;
    }
    struct store_base *base =
        store_base_rocks(core->state_path, core->disk_options, &snapshots->error);
    *store = base != NULL ? store_open(base, core->store_options, &snapshots->error) : NULL;
    return *store != NULL ? MK_OK : MK_IO;
}

/* Nothing reads or writes the old state or the log. */
static bool at_rest(const struct snapshots *snapshots)
{
    const struct edge *edge = snapshots->edge;

    return snapshots->pieces == 0 && disk_idle(edge->disk) && log_thread_idle(edge->log_thread);
}

static void store_replace(struct snapshots *snapshots)
{
    struct edge *edge = snapshots->edge;

    snapshots->replacing = false;
    store_close(server_store_release(edge->core.server));
    *edge->core.store_owner = NULL;
    snapshots->status = store_change(snapshots, edge->core.store_owner);
    if (snapshots->status == MK_OK) {
        edge->core.store = *edge->core.store_owner;
    }
    if (snapshots->status != MK_OK) {
        edge_die(edge->log, EDGE_EXIT_FAILED, "the leader's snapshot cannot be installed",
                 snapshots->status, &snapshots->error);
    }
    disk_release(edge->disk);
    mk_log(edge->log, MK_LOG_INFO, "the leader's snapshot is installed  zxid=0x%" PRIx64,
           (uint64_t)snapshots->step.zxid);
    server_store_replaced(edge->core.server, edge->core.store);
}

static void install_done(uv_work_t *work, int cancelled)
{
    struct snapshots *snapshots = MK_CONTAINER(work, struct snapshots, work);
    struct edge *edge = snapshots->edge;
    (void)cancelled;

    if (snapshots->status != MK_OK) {
        edge_die(edge->log, EDGE_EXIT_FAILED, "the leader's snapshot cannot be taken in",
                 snapshots->status, &snapshots->error);
    }
    turn_begin(edge);
    snapshots->working = false;
    if (snapshots->step.step == SERVER_INSTALL_FINISH) {
        snapshots->replacing = true;
        disk_hold(edge->disk);
        return;
    }
    if (snapshots->step.broken) {
        mk_log(edge->log, MK_LOG_WARN, "the leader's snapshot cannot be read: %s",
               snapshots->error.text);
    }
    server_install_done(edge->core.server, &snapshots->step);
}

/* ---- Together ---- */

void snapshots_take(struct snapshots *snapshots)
{
    struct edge *edge = snapshots->edge;

    if (edge->phase >= EDGE_DRAINING) {
        return; /* what is under way comes to its end; nothing is begun */
    }
    if (snapshots->replacing && at_rest(snapshots)) {
        store_replace(snapshots);
    }
    if (snapshots->marked && server_serving(edge->core.server)) {
        snapshots->marked = !edge_amnesiac_end(edge->options->data_dir);
    }
    if (snapshots->replacing) {
        return; /* no further piece of the old state, nor another step */
    }
    pieces_take(snapshots);
    if (!snapshots->working && server_install_take(edge->core.server, &snapshots->step)) {
        snapshots->working = true;
        uv_queue_work(&edge->loop, &snapshots->work, install_work, install_done);
    }
}

bool snapshots_idle(const struct snapshots *snapshots)
{
    return snapshots->pieces == 0 && !snapshots->working;
}

struct snapshots *snapshots_new(struct edge *edge)
{
    struct snapshots *snapshots = mk_alloc_zero(1, sizeof(*snapshots));
    const char *data_dir = edge->options->data_dir;

    snapshots->edge = edge;
    (void)snprintf(snapshots->new_path, sizeof(snapshots->new_path), "%s/state.new", data_dir);
    snapshots->marked = edge_amnesiac(data_dir);
    return snapshots;
}

void snapshots_free(struct snapshots *snapshots)
{
    MK_ASSERT(snapshots == NULL || snapshots_idle(snapshots));
    if (snapshots != NULL && snapshots->install != NULL) {
        store_install_abort(snapshots->install);
    }
    mk_free(snapshots);
}
