/* Opening the log after whatever happened: see disk_log.c for the rules, and disk_segment.c for
 * what makes a tail torn or damaged. */
#include "store/disk_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Opening: find the segments ---- */

static int segment_compare(const void *a, const void *b)
{
    mk_zxid left = ((const struct segment *)a)->first;
    mk_zxid right = ((const struct segment *)b)->first;
    return (left > right) - (left < right);
}

static bool segment_name_parse(const char *name, mk_zxid *first)
{
    if (strncmp(name, "log.", 4) != 0 || name[4] == '\0') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    uint64_t zxid = strtoull(name + 4, &end, 16);
    char again[32];
    disk_log_segment_name(again, (mk_zxid)zxid);
    *first = (mk_zxid)zxid;
    return errno == 0 && *end == '\0' && strcmp(again, name) == 0 && *first >= 0;
}

static enum mk_status segments_list(struct store_log *log, struct mk_error *error)
{
    int fd = dup(log->place.fd);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        enum mk_status status = disk_failure(&log->place, "list", "", error);
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }

    rewinddir(directory); /* The descriptor shares its position with `place.fd`. */
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory)) != NULL) {
        struct segment segment = {0};
        if (segment_name_parse(entry->d_name, &segment.first)) {
            disk_log_segments_push(log, segment);
        }
        errno = 0;
    }
    enum mk_status status = errno == 0 ? MK_OK : disk_failure(&log->place, "list", "", error);
    closedir(directory);
    if (log->segments_count > 0) {
        qsort(log->segments, log->segments_count, sizeof(struct segment), segment_compare);
    }
    return status;
}

/* A `next` that exists was synced before it got its name. */
static enum mk_status next_find(struct store_log *log, struct mk_error *error)
{
    struct disk_file file;
    enum mk_status status = disk_name_remove(&log->place, NEXT_TEMPORARY, error);
    if (status == MK_OK) {
        status = disk_name_remove(&log->place, SMALL_TEMPORARY, error);
    }
    if (status == MK_OK) {
        status = disk_file_find(&file, &log->place, NEXT_NAME, error);
    }
    if (status != MK_OK) {
        return status == MK_NO_NODE ? MK_OK : status;
    }
    status = disk_file_size(&file, &log->next_size, error);
    disk_file_close(&file);
    if (status == MK_OK && log->next_size != log->options.segment_bytes) {
        return disk_name_remove(&log->place, NEXT_NAME, error); /* The configuration has changed. */
    }
    log->next = status == MK_OK ? NEXT_READY : NEXT_ABSENT;
    return status;
}

/* ---- Opening: read them ---- */

/* Read segment `i`. The one that was in use last is read from the disk itself: if the process
 * before us died of a failed sync, the system's cache may hold pages that the disk never got. */
static enum mk_status segment_read(struct store_log *log, size_t i, struct disk_file *file,
                                   struct segment_summary *summary, struct mk_error *error)
{
    char name[32];
    disk_log_segment_name(name, log->segments[i].first);
    enum mk_status status = disk_file_open(file, &log->place, name, O_RDWR, error);
    if (status != MK_OK) {
        return status;
    }
    if (i + 1 == log->segments_count) {
        status = disk_file_sync(file, error);
        (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
    }

    struct segment_reader reader = {0};
    if (status == MK_OK) {
        status = segment_reader_init(&reader, file, error);
    }
    if (status == MK_OK) {
        status = segment_summarise(&reader, i == 0 ? 0 : log->segments[i - 1].last, summary);
    }
    segment_reader_deinit(&reader);
    if (status != MK_OK) {
        return status;
    }
    if (summary->first != 0 && summary->first != log->segments[i].first) {
        mk_error_set(error,
                     "%s/%s begins with entry 0x%" PRIx64
                     ", which is not the one in its name: who renamed it? " DISK_LOG_DAMAGE_ADVICE,
                     log->place.path, file->name, (uint64_t)summary->first);
        return MK_CORRUPT;
    }
    return summary->state == SEGMENT_DAMAGED ? disk_log_damage(file, summary, error) : MK_OK;
}

/* A segment in which nothing was written before the crash: its name is of an entry that does not
 * exist. Only the last one can be like that. */
static enum mk_status segment_drop_empty(struct store_log *log, size_t i, struct disk_file *file,
                                         struct mk_error *error)
{
    MK_ASSERT(i + 1 == log->segments_count);
    disk_file_close(file);
    log->segments_count--;
    return disk_name_remove(&log->place, file->name, error);
}

static enum mk_status segments_read(struct store_log *log, struct mk_error *error)
{
    for (size_t i = 0; i < log->segments_count; i++) {
        struct segment_summary summary;
        bool is_last = i + 1 == log->segments_count;
        disk_file_close(&log->file);
        enum mk_status status = segment_read(log, i, &log->file, &summary, error);
        if (status == MK_OK && !is_last && (summary.state == SEGMENT_TORN || summary.first == 0)) {
            status = disk_log_damage(&log->file, &summary, error);
        } else if (status == MK_OK && summary.first == 0) {
            return segment_drop_empty(log, i, &log->file, error);
        }
        if (status == MK_OK && summary.state == SEGMENT_TORN) {
            status = disk_file_truncate(&log->file, summary.end, error);
            summary.size = summary.end;
        }
        if (status != MK_OK) {
            return status;
        }
        log->segments[i] = (struct segment){
            .first = summary.first, .last = summary.last, .end = summary.end, .size = summary.size};
    }
    return MK_OK;
}

/* Go on in the last segment if it has room. A trailer must be at its end before the first batch. */
static enum mk_status log_continue(struct store_log *log, struct mk_error *error)
{
    if (log->segments_count == 0 || log->file.fd < 0) {
        disk_file_close(&log->file);
        return MK_OK;
    }
    const struct segment *current = &log->segments[log->segments_count - 1];
    log->at = current->end;
    log->size = current->size;
    if (log->at + SEGMENT_TRAILER_BYTES > log->size || log->size > SEGMENT_BYTES_MAX) {
        disk_file_close(&log->file);
        return MK_OK;
    }
    uint8_t trailer[SEGMENT_TRAILER_BYTES];
    segment_trailer_put(trailer, log->at, log->at);
    enum mk_status status = disk_file_write(
        &log->file, log->at, mk_bytes_of(trailer, sizeof(trailer)), MK_BYTES_NULL, error);
    return status == MK_OK ? disk_file_sync(&log->file, error) : status;
}

static bool options_valid(const struct store_log_options *options)
{
    return options->segment_bytes <= SEGMENT_BYTES_MAX &&
           options->segment_first_bytes <= options->segment_bytes &&
           options->segment_first_bytes >= SEGMENT_START_BYTES;
}

struct store_log *store_log_open(const char *directory, const struct store_log_options *options,
                                 struct mk_error *error)
{
    MK_ASSERT(options_valid(options));
    struct store_log *log = mk_alloc_zero(1, sizeof(*log));
    log->options = *options;
    log->file.fd = -1;
    if (disk_place_make(&log->place, directory, options->sync, error) != MK_OK) {
        mk_free(log);
        return NULL;
    }
    MK_ASSERT(pthread_mutex_init(&log->lock, NULL) == 0);

    /* Names that the process before us made may not be durable yet: they are before we answer. */
    enum mk_status status = disk_place_sync(&log->place, error);
    if (status == MK_OK) {
        status = next_find(log, error);
    }
    if (status == MK_OK) {
        status = segments_list(log, error);
    }
    if (status == MK_OK) {
        status = segments_read(log, error);
    }
    if (status == MK_OK) {
        status = log_continue(log, error);
    }
    if (status != MK_OK) {
        store_log_close(log);
        return NULL;
    }
    disk_log_facts_update(log);
    log->after = atomic_load(&log->last);
    return log;
}
