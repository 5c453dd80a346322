/* What waits for the disk besides the log, on libuv's threads:
 *
 *   loads        rows that a read of the core missed; as many at once as there are threads
 *   checkpoint   a frozen table written and ingested; one at a time
 *   chores       log segments that a checkpoint has made superfluous removed, the next one written
 *                full of zeros, a backup; one at a time, so that no segment goes while it is copied
 *
 * A load or checkpoint that fails ends the process: the core could not go on, and the log has all that
 * was acknowledged. A chore that fails is said and tried again: the log needs it later, and says so
 * itself when it cannot go on. A backup that fails is said, and not tried again. */
#include "edge/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CHORES_RETRY_MS 10000
#define BACKUP_PATH_BYTES 1024
#define PREWRITE_DIVISOR 8 /* Looked after each time that part of a segment has been filled. */

/* As many jobs as libuv has threads; more would only queue. */
#define LOAD_JOBS_MAX 4
#define LOADS_PER_JOB 16
/* What a job has read waits in memory until all of it is. */
#define LOAD_JOB_BYTES_MAX ((size_t)1 << 20)

struct load_job {
    uv_work_t work;
    struct disk *disk;
    struct server_load loads[LOADS_PER_JOB];
    size_t count;
    size_t done; /* of them; the rest are for another job */
    enum mk_status status;
};
struct disk {
    struct edge *edge;
    size_t load_jobs; /* under way */

    uv_work_t checkpoint_work;
    struct store_checkpoint *checkpoint; /* under way */
    enum mk_status checkpoint_status;
    struct mk_error checkpoint_error;
    mk_ms checkpoint_took_ms;

    uv_work_t chores_work;
    bool chores_running;
    bool held; /* none is begun */
    bool prewrite_wanted;
    bool prewriting; /* what the chores under way do */
    bool backup_wanted;
    bool backing_up;
    struct store_backup backup;
    enum mk_status backup_status;
    struct mk_error backup_error;
    char backup_path[BACKUP_PATH_BYTES];
    mk_ms backup_began_ms;
    mk_zxid remove_wanted; /* segments up to here may go; 0: none */
    mk_zxid removing;
    enum mk_status chores_status;
    struct mk_error chores_error;
    mk_ms chores_not_before_ms;
    uint64_t logged_bytes; /* since prewriting was last wanted */
};

/* ---- Loads: many in one job, or handing them to and fro would cost more than they do ---- */

static void load_work(uv_work_t *work)
{
    struct load_job *job = MK_CONTAINER(work, struct load_job, work);
    struct store_base *base = store_base_of(job->disk->edge->core.store);
    size_t bytes = 0;

    while (job->done < job->count && job->status == MK_OK && bytes < LOAD_JOB_BYTES_MAX) {
        struct store_load *rows = &job->loads[job->done].rows;
        job->status = store_load(base, rows);
        bytes += rows->value.len;
        job->done++;
    }
}

static void load_done(uv_work_t *work, int cancelled)
{
    struct load_job *job = MK_CONTAINER(work, struct load_job, work);
    struct edge *edge = job->disk->edge;
    (void)cancelled;

    if (job->status == MK_CORRUPT) {
        edge_die(edge->log, EDGE_EXIT_CORRUPT, "stored data is damaged", job->status, NULL);
    }
    if (job->status == MK_IO || job->status == MK_NO_SPACE) {
        edge_die(edge->log, EDGE_EXIT_FAILED, "stored data cannot be read", job->status, NULL);
    }
    turn_begin(edge);
    job->disk->load_jobs--;
    for (size_t i = job->done; i < job->count; i++) {
        server_load_put_back(edge->core.server, &job->loads[i]);
    }
    for (size_t i = 0; i < job->done; i++) {
        server_load_done(edge->core.server, &job->loads[i]);
    }
    mk_free(job);
}

static void loads_take(struct disk *disk)
{
    struct server_load load;

    while (disk->load_jobs < LOAD_JOBS_MAX && server_load_take(disk->edge->core.server, &load)) {
        struct load_job *job = mk_alloc_zero(1, sizeof(*job));
        job->disk = disk;
        job->status = MK_OK;
        do {
            job->loads[job->count++] = load;
        } while (job->count < LOADS_PER_JOB && server_load_take(disk->edge->core.server, &load));
        disk->load_jobs++;
        uv_queue_work(&disk->edge->loop, &job->work, load_work, load_done);
    }
}

/* ---- Backups ---- */

/* What came of it, for `moonkeeper backup`, which waits for the file to become another one: one line. Who
 * cannot have it looks into the log. */
static void backup_answer(const struct disk *disk, const char *outcome, const char *text)
{
    const char *data_dir = disk->edge->options->data_dir;
    char path[BACKUP_PATH_BYTES];
    char temporary[BACKUP_PATH_BYTES + 4];

    int bytes = snprintf(path, sizeof(path), "%s/" EDGE_BACKUP_ANSWER, data_dir);
    if (bytes < 0 || (size_t)bytes >= sizeof(path)) {
        return;
    }
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    if (file != NULL) {
        (void)fprintf(file, "%s %s\n", outcome, text);
        if (fclose(file) == 0) {
            (void)rename(temporary, path);
        }
    }
}

static void backup_refuse(const struct disk *disk, const char *why)
{
    mk_log(disk->edge->log, MK_LOG_ERROR, "%s", why);
    backup_answer(disk, "failed", why);
}

void disk_backup(struct disk *disk)
{
    const struct edge_options *options = disk->edge->options;

    if (options->backup_dir == NULL) {
        backup_refuse(disk, "no backup is made: say where it should go, with the option backupDir");
    } else if (edge_amnesiac(options->data_dir) || store_fuzzy(disk->edge->core.store)) {
        backup_refuse(
            disk, "no backup is made: this server has not got all that it lacks from its leader "
                  "yet; back up another one");
    } else if (disk->backup_wanted || disk->backing_up) {
        mk_log(disk->edge->log, MK_LOG_WARN, "no second backup is begun: one is being made");
    } else {
        disk->backup_wanted = true;
    }
}

/* "20261128T012233Z-0x100000a2f": sorted by name they are sorted by age. */
static bool backup_path_make(struct disk *disk)
{
    const struct edge *edge = disk->edge;
    time_t now = (time_t)(edge_now().wall_ms / 1000);
    struct tm utc;
    char when[32];

    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    int bytes =
        snprintf(disk->backup_path, sizeof(disk->backup_path), "%s/%s-0x%" PRIx64,
                 edge->options->backup_dir, when, (uint64_t)store_applied(edge->core.store));
    return bytes > 0 && (size_t)bytes < sizeof(disk->backup_path);
}

static void backup_begin(struct disk *disk)
{
    if (!disk->backup_wanted) {
        return;
    }
    disk->backup_wanted = false;
    disk->backing_up = backup_path_make(disk);
    disk->backup_began_ms = disk->edge->now_ms;
    /* What has been applied is committed; a copy that somebody starts as it is does not vote. */
    disk->backup = (struct store_backup){
        .committed = store_applied(disk->edge->core.store),
        .mark = disk->edge->options->ensemble != NULL ? EDGE_AMNESIAC : NULL,
    };
    if (!disk->backing_up) {
        backup_refuse(disk, "no backup is made: the path of backupDir is too long");
    }
}

static void backup_work(struct disk *disk)
{
    const struct edge *edge = disk->edge;

    (void)mkdir(edge->options->backup_dir, 0750); /* If it cannot be made, the backup says why. */
    disk->backup_status = store_backup_write(store_base_of(edge->core.store), edge->core.log,
                                             disk->backup_path, &disk->backup, &disk->backup_error);
}

static void backup_done(struct disk *disk)
{
    const struct mk_log *log = disk->edge->log;

    disk->backing_up = false;
    if (disk->backup_status == MK_OK) {
        mk_log(log, MK_LOG_INFO,
               "backup written  directory=%s zxid=0x%" PRIx64 " copied_bytes=%" PRIu64
               " took_ms=%" PRId64,
               disk->backup_path, (uint64_t)disk->backup.zxid, disk->backup.bytes,
               disk->edge->now_ms - disk->backup_began_ms);
        backup_answer(disk, "written", disk->backup_path);
    } else {
        mk_log(log, MK_LOG_ERROR,
               "the backup could not be written, nothing of it is left: %s  status=%s",
               disk->backup_error.text, mk_status_name(disk->backup_status));
        backup_answer(disk, "failed", disk->backup_error.text);
    }
}

/* ---- Chores ---- */

static void chores_work(uv_work_t *work)
{
    struct disk *disk = MK_CONTAINER(work, struct disk, chores_work);
    struct store_log *log = disk->edge->core.log;

    disk->chores_status = MK_OK;
    if (disk->removing != 0) {
        const struct edge_options *options = disk->edge->options;
        uint64_t kept = options->ensemble != NULL ? options->log_kept_bytes : 0;
        disk->chores_status =
            store_log_remove_through(log, disk->removing, kept, &disk->chores_error);
    }
    if (disk->prewriting && disk->chores_status == MK_OK) {
        disk->chores_status = store_log_prewrite(log, &disk->chores_error);
    }
    if (disk->backing_up) {
        backup_work(disk);
    }
}

static void chores_done(uv_work_t *work, int cancelled)
{
    struct disk *disk = MK_CONTAINER(work, struct disk, chores_work);
    struct edge *edge = disk->edge;
    (void)cancelled;

    turn_begin(edge);
    disk->chores_running = false;
    if (disk->backing_up) {
        backup_done(disk);
    }
    if (disk->chores_status == MK_OK) {
        return;
    }
    mk_log(edge->log, MK_LOG_ERROR,
           "the log's segments cannot be looked after: %s; the server"
           " stops when the present segment is full  status=%s",
           disk->chores_error.text, mk_status_name(disk->chores_status));
    disk->chores_not_before_ms = edge->now_ms + CHORES_RETRY_MS;
    disk->prewrite_wanted |= disk->prewriting;
    if (disk->remove_wanted < disk->removing) {
        disk->remove_wanted = disk->removing;
    }
}

static void chores_start(struct disk *disk)
{
    bool wanted = disk->prewrite_wanted || disk->remove_wanted != 0 || disk->backup_wanted;
    if (!wanted || disk->held || disk->chores_running || disk->edge->phase >= EDGE_DRAINING ||
        disk->edge->now_ms < disk->chores_not_before_ms) {
        return;
    }
    backup_begin(disk);
    disk->chores_running = true;
    disk->prewriting = disk->prewrite_wanted;
    disk->removing = disk->remove_wanted;
    disk->prewrite_wanted = false;
    disk->remove_wanted = 0;
    uv_queue_work(&disk->edge->loop, &disk->chores_work, chores_work, chores_done);
}

void disk_logged(struct disk *disk, size_t bytes)
{
    disk->logged_bytes += bytes;
    if (disk->logged_bytes >= disk->edge->options->segment_bytes / PREWRITE_DIVISOR) {
        disk->logged_bytes = 0;
        disk->prewrite_wanted = true;
    }
}

/* ---- Checkpoints ---- */

static void checkpoint_work(uv_work_t *work)
{
    struct disk *disk = MK_CONTAINER(work, struct disk, checkpoint_work);

    uint64_t begin_ns = uv_hrtime();

    disk->checkpoint_status = store_checkpoint_write(disk->checkpoint, &disk->checkpoint_error);
    disk->checkpoint_took_ms = (mk_ms)((uv_hrtime() - begin_ns) / 1000000);
}

static void checkpoint_done(uv_work_t *work, int cancelled)
{
    struct disk *disk = MK_CONTAINER(work, struct disk, checkpoint_work);
    struct edge *edge = disk->edge;
    (void)cancelled;

    if (disk->checkpoint_status != MK_OK) {
        edge_die(edge->log, EDGE_EXIT_FAILED, "a checkpoint cannot be written",
                 disk->checkpoint_status, &disk->checkpoint_error);
    }
    turn_begin(edge);
    edge->counters.checkpoint_wall_ms = edge->now.wall_ms;
    mk_summary_add(&edge->counters.checkpoints_ms, (uint64_t)disk->checkpoint_took_ms);
    struct store_checkpoint *checkpoint = disk->checkpoint;
    disk->checkpoint = NULL;
    server_checkpoint_done(edge->core.server, checkpoint);
    disk->remove_wanted = store_durable(edge->core.store);
}

static void checkpoint_take(struct disk *disk)
{
    if (disk->checkpoint != NULL) {
        return;
    }
    disk->checkpoint = server_checkpoint_take(disk->edge->core.server);
    if (disk->checkpoint != NULL) {
        uv_queue_work(&disk->edge->loop, &disk->checkpoint_work, checkpoint_work, checkpoint_done);
    }
}

/* ---- Together ---- */

void disk_take(struct disk *disk)
{
    loads_take(disk);
    checkpoint_take(disk);
    chores_start(disk);
}

bool disk_idle(const struct disk *disk)
{
    return disk->load_jobs == 0 && disk->checkpoint == NULL && !disk->chores_running;
}

void disk_hold(struct disk *disk)
{
    disk->held = true;
}

void disk_release(struct disk *disk)
{
    MK_ASSERT(disk->held && disk_idle(disk));
    disk->held = false;
    disk->remove_wanted = 0; /* It was said of the old state: the new one may not have so much. */
    disk->prewrite_wanted = true;
}

struct disk *disk_new(struct edge *edge)
{
    struct disk *disk = mk_alloc_zero(1, sizeof(*disk));
    disk->edge = edge;
    disk->prewrite_wanted = true;
    return disk;
}

void disk_free(struct disk *disk)
{
    MK_ASSERT(disk == NULL || disk_idle(disk));
    mk_free(disk);
}
