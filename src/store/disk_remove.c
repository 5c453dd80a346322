/* Shortening the log: at its old end, when a checkpoint has made segments superfluous; at its new
 * end, when a leader says that entries never were (TRUNC); or altogether. */
#include "store/disk_log.h"

#include <fcntl.h>
#include <string.h>

/* ---- Removing ---- */

/* `lock` is held. */
static bool oldest_removable(const struct store_log *log, mk_zxid zxid, uint64_t kept)
{
    uint64_t bytes = 0;
    if (log->segments_count < 2 || log->segments[0].last > zxid) {
        return false;
    }
    for (size_t i = 1; i < log->segments_count && bytes < kept; i++) {
        bytes += log->segments[i].end;
    }
    return bytes >= kept;
}

/* Oldest first, each durably before the next: what a crash leaves has no hole. */
enum mk_status store_log_remove_through(struct store_log *log, mk_zxid zxid, uint64_t kept,
                                        struct mk_error *error)
{
    for (;;) {
        pthread_mutex_lock(&log->lock);
        struct segment oldest = {0};
        bool removable = oldest_removable(log, zxid, kept);
        if (removable) {
            oldest = log->segments[0];
            log->segments_count--;
            memmove(log->segments, log->segments + 1, log->segments_count * sizeof(struct segment));
            disk_log_facts_update(log);
        }
        pthread_mutex_unlock(&log->lock);
        if (!removable) {
            return MK_OK;
        }
        char name[32];
        disk_log_segment_name(name, oldest.first);
        enum mk_status status = disk_name_remove(&log->place, name, error);
        if (status != MK_OK) {
            return status;
        }
    }
}

/* Newest first, each durably before the next: what a crash leaves is a shorter log, without a hole.
 * */
static enum mk_status segments_remove_above(struct store_log *log, mk_zxid zxid,
                                            struct mk_error *error)
{
    enum mk_status status = MK_OK;
    disk_file_close(&log->file);
    while (status == MK_OK) {
        char name[32];
        pthread_mutex_lock(&log->lock);
        size_t count = log->segments_count;
        bool remove = count > 0 && log->segments[count - 1].first > zxid;
        if (remove) {
            disk_log_segment_name(name, log->segments[count - 1].first);
            log->segments_count--;
            disk_log_facts_update(log);
        }
        pthread_mutex_unlock(&log->lock);
        if (!remove) {
            break;
        }
        status = disk_name_remove(&log->place, name, error);
    }
    return status;
}

/* Where the entries up to `zxid` end in the segment of `file`, and which is the last of them. */
static enum mk_status segment_find_end(const struct disk_file *file, uint64_t until, mk_zxid zxid,
                                       uint64_t *end, mk_zxid *last, struct mk_error *error)
{
    struct segment_reader reader;
    *end = SEGMENT_HEADER_BYTES;
    enum mk_status status = segment_reader_init(&reader, file, error);
    while (status == MK_OK && *end < until) {
        mk_zxid found;
        struct mk_bytes entry;
        status = segment_record_read(&reader, *end, &found, &entry);
        if (status == MK_MALFORMED) {
            struct segment_summary summary = {
                .state = SEGMENT_DAMAGED, .end = *end, .found_at = until};
            status = disk_log_damage(file, &summary, error);
        } else if (status == MK_OK && found > zxid) {
            break;
        } else if (status == MK_OK) {
            *end += SEGMENT_FRAME_BYTES + entry.len;
            *last = found;
        }
    }
    segment_reader_deinit(&reader);
    return status;
}

/* The last segment loses what is above `zxid`, by shortening the file: see the head comment. */
static enum mk_status segment_cut(struct store_log *log, mk_zxid zxid, struct mk_error *error)
{
    struct disk_file file;
    char name[32];
    pthread_mutex_lock(&log->lock);
    struct segment current = log->segments[log->segments_count - 1];
    pthread_mutex_unlock(&log->lock);
    disk_log_segment_name(name, current.first);
    enum mk_status status = disk_file_open(&file, &log->place, name, O_RDWR, error);
    if (status != MK_OK) {
        return status;
    }
    uint64_t end;
    mk_zxid last = 0;
    status = segment_find_end(&file, current.end, zxid, &end, &last, error);
    if (status == MK_OK) {
        status = disk_file_truncate(&file, end, error);
    }
    disk_file_close(&file);
    if (status != MK_OK) {
        return status;
    }
    MK_ASSERT(last >= current.first);
    pthread_mutex_lock(&log->lock);
    log->segments[log->segments_count - 1] =
        (struct segment){.first = current.first, .last = last, .end = end, .size = end};
    disk_log_facts_update(log);
    pthread_mutex_unlock(&log->lock);
    return MK_OK;
}

enum mk_status store_log_truncate(struct store_log *log, mk_zxid zxid, struct mk_error *error)
{
    if (zxid >= store_log_last(log)) {
        return MK_OK;
    }
    enum mk_status status = segments_remove_above(log, zxid, error);
    if (status == MK_OK && zxid < store_log_last(log)) {
        status = segment_cut(log, zxid, error);
    }
    log->after = store_log_last(log);
    log->failed = log->failed || status != MK_OK;
    return status;
}

enum mk_status store_log_reset(struct store_log *log, mk_zxid zxid, struct mk_error *error)
{
    enum mk_status status = segments_remove_above(log, -1, error);
    log->after = 0; /* The first entry afterwards may leave a gap. */
    log->floor = zxid;
    log->failed = log->failed || status != MK_OK;
    return status;
}
