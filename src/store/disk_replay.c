/* Reading the log back: all at once, when a server starts; or a piece at a time, for a learner that lacks
 * what is no longer in memory, while others append to the log and remove from it. */
#include "store/disk_log.h"

#include <fcntl.h>
#include <string.h>

/* Open every segment that holds something above `after`, all under the lock: so that whoever
 * removes segments meanwhile takes nothing away from us. */
enum mk_status disk_log_parts_open(struct store_log *log, mk_zxid after, struct log_part **parts,
                                   size_t *parts_count, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    pthread_mutex_lock(&log->lock);
    *parts = mk_alloc_zero(log->segments_count + 1, sizeof(**parts));
    *parts_count = 0;
    for (size_t i = 0; i < log->segments_count && status == MK_OK; i++) {
        char name[32];
        if (log->segments[i].last <= after) {
            continue;
        }
        struct log_part *part = &(*parts)[(*parts_count)++];
        disk_log_segment_name(name, log->segments[i].first);
        part->end = log->segments[i].end;
        status = disk_file_open(&part->file, &log->place, name, O_RDONLY, error);
    }
    pthread_mutex_unlock(&log->lock);
    return status;
}

/* The entry at `*at`, and `*at` behind it. What was acknowledged must be there. */
static enum mk_status part_read(const struct log_part *part, struct segment_reader *reader,
                                uint64_t *at, mk_zxid *zxid, struct mk_bytes *entry,
                                struct mk_error *error)
{
    enum mk_status status = segment_record_read(reader, *at, zxid, entry);
    if (status == MK_MALFORMED) {
        struct segment_summary summary = {
            .state = SEGMENT_DAMAGED, .end = *at, .found_at = part->end};
        return disk_log_damage(&part->file, &summary, error);
    }
    *at += status == MK_OK ? SEGMENT_FRAME_BYTES + entry->len : 0;
    return status;
}

/* ---- All at once ---- */

static enum mk_status replay_segment(const struct log_part *part, mk_zxid after,
                                     store_log_visit *visit, void *context, struct mk_error *error)
{
    struct segment_reader reader;
    uint64_t at = SEGMENT_HEADER_BYTES;
    enum mk_status status = segment_reader_init(&reader, &part->file, error);
    while (status == MK_OK && at < part->end) {
        mk_zxid zxid;
        struct mk_bytes entry;
        status = part_read(part, &reader, &at, &zxid, &entry, error);
        if (status == MK_OK && zxid > after) {
            status = visit(context, zxid, entry);
        }
    }
    segment_reader_deinit(&reader);
    return status;
}

enum mk_status store_log_replay(struct store_log *log, mk_zxid after, store_log_visit *visit,
                                void *context, struct mk_error *error)
{
    struct log_part *parts;
    size_t parts_count;
    enum mk_status status = disk_log_parts_open(log, after, &parts, &parts_count, error);
    for (size_t i = 0; i < parts_count; i++) {
        if (status == MK_OK) {
            status = replay_segment(&parts[i], after, visit, context, error);
        }
        disk_file_close(&parts[i].file);
    }
    mk_free(parts);
    return status;
}

/* ---- A piece at a time ---- */

struct store_log_reader {
    struct log_part *parts;
    size_t parts_count;
    size_t part; /* which one is read */
    uint64_t at; /* where the next entry is in it */
    bool reading;
    struct segment_reader segment; /* of that part, if `reading` */
    struct mk_error *error;        /* of whoever calls now */
};

/* MK_END: there is none any more. `*entry` lives until the next call. */
static enum mk_status reader_next(struct store_log_reader *reader, mk_zxid *zxid,
                                  struct mk_bytes *entry)
{
    while (reader->part < reader->parts_count) {
        const struct log_part *part = &reader->parts[reader->part];
        if (!reader->reading) {
            enum mk_status status =
                segment_reader_init(&reader->segment, &part->file, reader->error);
            reader->reading = true;
            reader->at = SEGMENT_HEADER_BYTES;
            if (status != MK_OK) {
                return status;
            }
        }
        if (reader->at < part->end) {
            reader->segment.error = reader->error;
            return part_read(part, &reader->segment, &reader->at, zxid, entry, reader->error);
        }
        segment_reader_deinit(&reader->segment);
        reader->reading = false;
        reader->part++;
    }
    return MK_END;
}

/* Behind the entry of that zxid, which must be there: MK_NO_NODE. */
static enum mk_status reader_seek(struct store_log_reader *reader, mk_zxid zxid)
{
    mk_zxid found = 0;
    struct mk_bytes entry;
    enum mk_status status = MK_OK;
    while (status == MK_OK && found < zxid) {
        status = reader_next(reader, &found, &entry);
    }
    return status == MK_END || (status == MK_OK && found > zxid) ? MK_NO_NODE : status;
}

enum mk_status store_log_reader_open(struct store_log *log, mk_zxid after,
                                     struct store_log_reader **out, uint64_t *bytes,
                                     struct mk_error *error)
{
    struct store_log_reader *reader = mk_alloc_zero(1, sizeof(*reader));
    reader->error = error;
    enum mk_status status =
        disk_log_parts_open(log, after - 1, &reader->parts, &reader->parts_count, error);
    if (status == MK_OK) {
        status = reader_seek(reader, after);
    }
    if (status != MK_OK) {
        store_log_reader_close(reader);
        return status;
    }
    *bytes = 0;
    for (size_t i = reader->part; i < reader->parts_count; i++) {
        *bytes += reader->parts[i].end - (i == reader->part ? reader->at : SEGMENT_HEADER_BYTES);
    }
    *out = reader;
    return MK_OK;
}

enum mk_status store_log_reader_read(struct store_log_reader *reader, mk_zxid through, size_t bytes,
                                     struct mk_buf *out, struct mk_error *error)
{
    size_t before = out->len;
    reader->error = error;
    while (out->len - before < bytes) {
        mk_zxid zxid;
        struct mk_bytes entry;
        enum mk_status status = reader_next(reader, &zxid, &entry);
        if (status != MK_OK) {
            return status;
        }
        if (zxid > through) {
            return MK_END;
        }
        size_t at = store_log_entry_begin(out);
        mk_buf_append_bytes(out, entry);
        store_log_entry_end(out, at);
    }
    return MK_OK;
}

void store_log_reader_close(struct store_log_reader *reader)
{
    if (reader->reading) {
        segment_reader_deinit(&reader->segment);
    }
    for (size_t i = 0; i < reader->parts_count; i++) {
        disk_file_close(&reader->parts[i].file);
    }
    mk_free(reader->parts);
    mk_free(reader);
}
