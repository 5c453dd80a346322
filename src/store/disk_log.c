/* The log: segment files that hold every transaction since some checkpoint (store.h, second half).
 *
 * The life of a segment:
 *
 *     next.tmp ──▶ next ──▶ log.<zxid> ──▶ ... ──▶ removed
 *       prewrite    ready    current      full
 *
 * store_log_prewrite() writes `next.tmp` full of zeros, syncs it, and renames it to `next`, on a
 * thread of its own: a sync into such a file has only data to write, and no length or blocks to
 * record: 1.3 to 2 times as fast, as measured. When an entry no longer fits into the current
 * segment, the log thread renames `next` to log.<zxid of that entry>. If there is no `next`, it
 * makes a small one itself rather than wait.
 *
 * One append: fill in the checksums, one pwritev of the batch and a trailer (see disk_segment.c),
 * one fdatasync. If the batch does not fit into the current segment, what fits is written *and
 * synced* before anything is written to the next one, so that a later segment vouches for those
 * before it.
 *
 * Recovery, in store_log_open(): every segment is read in order; each must begin where the one
 * before ended. Only the last may have a torn tail; it is cut by shortening the file, which also
 * makes it full. Nothing that was cut can come back, because nothing is ever written behind a cut.
 * What remains is synced before it is believed: the process that wrote it may have died before its
 * sync.
 *
 * Ways to fail: a write or sync that fails is the end of the log for this process; each later
 * append returns the same. A failed prewrite costs nothing but a smaller segment.
 *
 * Threads: append, truncate and reset on the log thread; prewrite on another; remove_through on a
 * third; replay, last, first and bytes on any. `lock` guards the list of segments and the state of
 * `next`, and is never held across a write or a sync. */
#include "store/disk_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZERO_CHUNK_BYTES ((size_t)1 << 20)
#define COPY_CHUNK_BYTES ((size_t)1 << 20)

void disk_log_segment_name(char name[32], mk_zxid first)
{
    snprintf(name, 32, "log.%" PRIx64, (uint64_t)first);
}

/* ---- The list of segments. `lock` is held, or no other thread exists yet. ---- */

void disk_log_facts_update(struct store_log *log)
{
    uint64_t bytes = log->next == NEXT_READY ? log->next_size : 0;
    for (size_t i = 0; i < log->segments_count; i++) {
        bytes += log->segments[i].size;
    }
    bool empty = log->segments_count == 0;
    atomic_store(&log->first, empty ? 0 : log->segments[0].first);
    atomic_store(&log->last, empty ? 0 : log->segments[log->segments_count - 1].last);
    atomic_store(&log->bytes, bytes);
}

void disk_log_segments_push(struct store_log *log, struct segment segment)
{
    if (log->segments_count == log->segments_cap) {
        log->segments_cap = log->segments_cap == 0 ? 16 : log->segments_cap * 2;
        log->segments = mk_realloc(log->segments, log->segments_cap * sizeof(struct segment));
    }
    log->segments[log->segments_count++] = segment;
}

enum mk_status disk_log_damage(const struct disk_file *file, const struct segment_summary *summary,
                               struct mk_error *error)
{
    if (summary->missing != 0) {
        mk_error_set(error,
                     "%s/%s is damaged: at byte %" PRIu64 " entry 0x%" PRIx64
                     " should come, but it is missing; " DISK_LOG_DAMAGE_ADVICE,
                     file->place->path, file->name, summary->end, (uint64_t)summary->missing);
        return MK_CORRUPT;
    }
    char proof[48] = "the segment after it";
    if (summary->state == SEGMENT_DAMAGED) {
        snprintf(proof, sizeof(proof), "what is at byte %" PRIu64, summary->found_at);
    }
    mk_error_set(error,
                 "%s/%s is damaged at byte %" PRIu64
                 ": acknowledged entries were there, as %s proves; " DISK_LOG_DAMAGE_ADVICE,
                 file->place->path, file->name, summary->end, proof);
    return MK_CORRUPT;
}

void store_log_close(struct store_log *log)
{
    disk_file_close(&log->file);
    disk_place_close(&log->place);
    pthread_mutex_destroy(&log->lock);
    mk_free(log->segments);
    mk_free(log);
}

mk_zxid store_log_last(const struct store_log *log)
{
    return atomic_load(&log->last);
}

mk_zxid store_log_first(const struct store_log *log)
{
    return atomic_load(&log->first);
}

uint64_t store_log_bytes(const struct store_log *log)
{
    return atomic_load(&log->bytes);
}

/* ---- Writing segments beforehand ---- */

/* `file` becomes `size` bytes of nothing, durably. In steps that reach the disk one by one, so that
 * the log's own syncs never queue behind the whole of it. */
static enum mk_status segment_blank(const struct disk_file *file, uint64_t size,
                                    struct mk_error *error)
{
    uint8_t *zeros = mk_alloc_zero(1, ZERO_CHUNK_BYTES);
    uint8_t start[SEGMENT_START_BYTES];
    enum mk_status status = MK_OK;
    for (uint64_t at = 0; at < size && status == MK_OK; at += ZERO_CHUNK_BYTES) {
        size_t len = size - at < ZERO_CHUNK_BYTES ? (size_t)(size - at) : ZERO_CHUNK_BYTES;
        status = disk_file_write(file, at, mk_bytes_of(zeros, len), MK_BYTES_NULL, error);
        if (file->place->sync) { /* A hint: the sync below is what counts. */
            (void)sync_file_range(file->fd, (off_t)at, (off_t)len,
                                  SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        }
    }
    mk_free(zeros);
    segment_start_put(start);
    if (status == MK_OK) {
        status = disk_file_write(file, 0, mk_bytes_of(start, sizeof(start)), MK_BYTES_NULL, error);
    }
    return status == MK_OK ? disk_file_sync(file, error) : status;
}

static enum mk_status segment_make(struct store_log *log, const char *temporary, uint64_t size,
                                   struct disk_file *file, struct mk_error *error)
{
    enum mk_status status =
        disk_file_open(file, &log->place, temporary, O_RDWR | O_CREAT | O_TRUNC, error);
    if (status != MK_OK) {
        return status;
    }
    status = segment_blank(file, size, error);
    if (status != MK_OK) {
        struct mk_error ignored; /* The first failure is the one to report. */
        disk_file_close(file);
        (void)!disk_name_remove(&log->place, temporary, &ignored);
    }
    return status;
}

enum mk_status store_log_prewrite(struct store_log *log, struct mk_error *error)
{
    pthread_mutex_lock(&log->lock);
    bool wanted = log->next == NEXT_ABSENT;
    log->next = wanted ? NEXT_WRITING : log->next;
    pthread_mutex_unlock(&log->lock);
    if (!wanted) {
        return MK_OK;
    }

    struct disk_file file;
    uint64_t size = log->options.segment_bytes;
    enum mk_status status = segment_make(log, NEXT_TEMPORARY, size, &file, error);
    if (status == MK_OK) {
        status = disk_file_rename(&file, NEXT_NAME, error);
        disk_file_close(&file);
    }

    pthread_mutex_lock(&log->lock);
    log->next = status == MK_OK ? NEXT_READY : NEXT_ABSENT;
    log->next_size = size;
    disk_log_facts_update(log);
    pthread_mutex_unlock(&log->lock);
    return status;
}

/* ---- Appending ---- */

static bool next_take(struct store_log *log, uint64_t size_min)
{
    pthread_mutex_lock(&log->lock);
    bool ready = log->next == NEXT_READY && log->next_size >= size_min;
    if (ready) {
        log->next = NEXT_TAKEN;
        log->size = log->next_size;
    }
    pthread_mutex_unlock(&log->lock);
    return ready;
}

/* A new current segment, whose first entry is `first` and takes up `record_bytes`. */
static enum mk_status log_roll(struct store_log *log, mk_zxid first, size_t record_bytes,
                               struct mk_error *error)
{
    uint64_t size_min = SEGMENT_HEADER_BYTES + (uint64_t)record_bytes + SEGMENT_TRAILER_BYTES;
    enum mk_status status;
    MK_ASSERT(size_min <= SEGMENT_BYTES_MAX);
    disk_file_close(&log->file);
    if (next_take(log, size_min)) {
        status = disk_file_open(&log->file, &log->place, NEXT_NAME, O_RDWR, error);
    } else {
        uint64_t size = log->options.segment_first_bytes;
        log->size = size < size_min ? size_min : size;
        status = segment_make(log, SMALL_TEMPORARY, log->size, &log->file, error);
    }
    if (status != MK_OK) {
        return status;
    }

    char name[32];
    disk_log_segment_name(name, first);
    status = disk_file_rename(&log->file, name, error);
    if (status != MK_OK) {
        return status;
    }
    log->at = SEGMENT_HEADER_BYTES;
    pthread_mutex_lock(&log->lock);
    log->next = log->next == NEXT_TAKEN ? NEXT_ABSENT : log->next;
    disk_log_segments_push(
        log, (struct segment){.first = first,
                              .last = atomic_load(&log->last), /* none of its own yet */
                              .end = log->at,
                              .size = log->size});
    disk_log_facts_update(log);
    pthread_mutex_unlock(&log->lock);
    return MK_OK;
}

/* Write entries up to `last` behind those of the current segment, and make them durable. */
static enum mk_status log_write(struct store_log *log, struct mk_bytes records, mk_zxid last,
                                struct mk_error *error)
{
    uint8_t trailer[SEGMENT_TRAILER_BYTES];
    uint64_t end = log->at + records.len;
    MK_ASSERT(end + SEGMENT_TRAILER_BYTES <= log->size);

    segment_trailer_put(trailer, log->at, end);
    enum mk_status status =
        disk_file_write(&log->file, log->at, records, mk_bytes_of(trailer, sizeof(trailer)), error);
    if (status == MK_OK) {
        status = disk_file_sync(&log->file, error);
    }
    if (status != MK_OK) {
        return status;
    }
    log->at = end;
    pthread_mutex_lock(&log->lock);
    struct segment *current = &log->segments[log->segments_count - 1];
    current->last = last;
    current->end = end;
    atomic_store(&log->last, last);
    pthread_mutex_unlock(&log->lock);
    return MK_OK;
}

/* Seal the entries of `batch` from `*offset` on that fit into `room` bytes, together with a
 * trailer. `*next` is the zxid of the first one that does not, and 0 if all do. */
static void batch_seal(struct store_log *log, uint8_t *batch, size_t len, uint64_t room,
                       size_t *offset, mk_zxid *next, size_t *next_bytes)
{
    size_t start = *offset;
    struct mk_bytes entry;
    size_t end = start;
    *next = 0;
    while (store_log_entry_next(mk_bytes_of(batch, len), &end, &entry)) {
        mk_zxid zxid = segment_entry_zxid(entry);
        if (end - start + SEGMENT_TRAILER_BYTES > room) {
            *next = zxid;
            *next_bytes = end - *offset;
            return;
        }
        MK_ASSERT(segment_zxid_follows(log->after, zxid) && zxid > log->floor);
        segment_record_seal(batch + *offset, entry);
        log->after = zxid;
        *offset = end;
    }
    MK_ASSERT(*offset == len);
}

enum mk_status store_log_append(struct store_log *log, uint8_t *batch, size_t len,
                                struct mk_error *error)
{
    size_t offset = 0;
    if (log->failed) {
        mk_error_set(error, "%s takes no more entries since an earlier failure: restart the server",
                     log->place.path);
        return MK_IO;
    }
    while (offset < len) {
        size_t start = offset;
        mk_zxid next;
        size_t next_bytes = 0;
        uint64_t room = log->file.fd < 0 ? 0 : log->size - log->at;
        batch_seal(log, batch, len, room, &offset, &next, &next_bytes);

        enum mk_status status = MK_OK;
        if (offset > start) {
            status = log_write(log, mk_bytes_of(batch + start, offset - start), log->after, error);
        }
        if (status == MK_OK && next != 0) {
            status = log_roll(log, next, next_bytes, error);
        }
        if (status != MK_OK) {
            log->failed = true;
            return status;
        }
    }
    return MK_OK;
}

/* ---- Copying ---- */

static enum mk_status segment_copy(const struct disk_file *from, uint64_t end,
                                   const struct disk_file *to, struct mk_error *error)
{
    uint8_t trailer[SEGMENT_TRAILER_BYTES];
    uint8_t *chunk = mk_alloc(COPY_CHUNK_BYTES);
    enum mk_status status = MK_OK;

    for (uint64_t at = 0; at < end && status == MK_OK; at += COPY_CHUNK_BYTES) {
        size_t len = end - at < COPY_CHUNK_BYTES ? (size_t)(end - at) : COPY_CHUNK_BYTES;
        size_t got;
        status = disk_file_read(from, at, chunk, len, &got, error);
        if (status == MK_OK && got < len) {
            mk_error_set(error, "%s/%s is shorter than its entries: something has cut it",
                         from->place->path, from->name);
            status = MK_CORRUPT;
        }
        if (status == MK_OK) {
            status = disk_file_write(to, at, mk_bytes_of(chunk, len), MK_BYTES_NULL, error);
        }
    }
    mk_free(chunk);
    segment_trailer_put(trailer, end, end);
    if (status == MK_OK) {
        status =
            disk_file_write(to, end, mk_bytes_of(trailer, sizeof(trailer)), MK_BYTES_NULL, error);
    }
    return status == MK_OK ? disk_file_sync(to, error) : status;
}

enum mk_status disk_log_copy(struct store_log *log, const struct disk_place *place, mk_zxid *last,
                             uint64_t *bytes, struct mk_error *error)
{
    struct log_part *parts;
    size_t parts_count;
    *last = store_log_last(log); /* What is appended meanwhile may come too. */
    enum mk_status status = disk_log_parts_open(log, 0, &parts, &parts_count, error);

    for (size_t i = 0; i < parts_count; i++) {
        struct disk_file copy = {.fd = -1};
        if (status == MK_OK) {
            status =
                disk_file_open(&copy, place, parts[i].file.name, O_RDWR | O_CREAT | O_EXCL, error);
        }
        if (status == MK_OK) {
            status = segment_copy(&parts[i].file, parts[i].end, &copy, error);
            *bytes += parts[i].end;
        }
        disk_file_close(&copy);
        disk_file_close(&parts[i].file);
    }
    mk_free(parts);
    return status;
}
