/* A log that a ZooKeeper, or a Moonkeeper that has stopped, has left: read, and not touched. Unlike in our
 * own log, any file may end torn: a ZooKeeper begins another one when it starts, and leaves that of
 * before as the crash did (zookeeper-quorum.md, section 12.2). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/disk_segment.h"
#include "store/store.h"

#define FILES_MAX 65536 /* 4 TiB of them, as long as ZooKeeper makes them */

struct foreign {
    struct disk_place place;
    mk_zxid *firsts; /* by which the files are named; ascending */
    size_t count;
    mk_zxid last; /* read so far, or `after` */
    mk_zxid after;
    bool any; /* an entry above `after` */
};

static void file_name(char name[32], mk_zxid first)
{
    snprintf(name, 32, "log.%" PRIx64, (uint64_t)first);
}

static bool name_parse(const char *name, mk_zxid *first)
{
    char again[32];
    if (strncmp(name, "log.", 4) != 0) {
        return false;
    }
    *first = (mk_zxid)strtoull(name + 4, NULL, 16);
    file_name(again, *first);
    return strcmp(again, name) == 0 && *first >= 0;
}

static int ascending(const void *a, const void *b)
{
    mk_zxid first = *(const mk_zxid *)a;
    mk_zxid second = *(const mk_zxid *)b;
    return (first > second) - (first < second);
}

static enum mk_status files_list(struct foreign *foreign, struct mk_error *error)
{
    DIR *directory = opendir(foreign->place.path);
    if (directory == NULL) {
        return disk_failure(&foreign->place, "list", "", error);
    }
    struct dirent *entry;
    mk_zxid first;
    while ((entry = readdir(directory)) != NULL && foreign->count < FILES_MAX) {
        if (name_parse(entry->d_name, &first)) {
            foreign->firsts =
                mk_realloc(foreign->firsts, (foreign->count + 1) * sizeof(*foreign->firsts));
            foreign->firsts[foreign->count++] = first;
        }
    }
    closedir(directory);
    if (foreign->count == FILES_MAX) {
        mk_error_set(error, "%s holds more than %d files of a log", foreign->place.path,
                     FILES_MAX - 1);
        return MK_OVERLOADED;
    }
    if (foreign->count > 0) {
        qsort(foreign->firsts, foreign->count, sizeof(*foreign->firsts), ascending);
    }
    return MK_OK;
}

/* The last file that may hold the entry behind `after`, or the first there is. */
static size_t file_first(const struct foreign *foreign)
{
    size_t at = 0;
    while (at + 1 < foreign->count && foreign->firsts[at + 1] <= foreign->after + 1) {
        at++;
    }
    return at;
}

static enum mk_status entry_check(struct foreign *foreign, const struct disk_file *file,
                                  mk_zxid zxid, struct mk_error *error)
{
    if (zxid <= foreign->last || foreign->last == 0 || segment_zxid_follows(foreign->last, zxid)) {
        return MK_OK;
    }
    mk_error_set(error,
                 "transactions are missing: 0x%" PRIx64 " in %s/%s does not follow 0x%" PRIx64
                 ": where are the files in between?",
                 (uint64_t)zxid, foreign->place.path, file->name, (uint64_t)foreign->last);
    return MK_CORRUPT;
}

static enum mk_status entries_visit(struct foreign *foreign, const struct disk_file *file,
                                    struct segment_reader *reader, uint64_t end,
                                    store_log_visit *visit, void *context, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    uint64_t at = SEGMENT_HEADER_BYTES;
    while (status == MK_OK && at < end) {
        mk_zxid zxid;
        struct mk_bytes entry;
        status = segment_record_read(reader, at, &zxid, &entry);
        if (status == MK_OK) {
            at += SEGMENT_FRAME_BYTES + entry.len;
            status = zxid > foreign->after ? entry_check(foreign, file, zxid, error) : MK_OK;
        }
        if (status == MK_OK && zxid > foreign->last) {
            foreign->last = zxid;
            foreign->any = true;
            status = visit(context, zxid, entry);
        }
    }
    return status == MK_MALFORMED ? MK_CORRUPT : status;
}

static enum mk_status file_visit(struct foreign *foreign, mk_zxid first, store_log_visit *visit,
                                 void *context, struct mk_error *error)
{
    char name[32];
    struct disk_file file;
    file_name(name, first);
    enum mk_status status = disk_file_open(&file, &foreign->place, name, O_RDONLY, error);
    if (status != MK_OK) {
        return status;
    }
    struct segment_reader reader = {0};
    struct segment_summary summary = {0};
    status = segment_reader_init(&reader, &file, error);
    if (status == MK_OK) {
        status = segment_summarise(&reader, 0, &summary);
    }
    if (status == MK_OK && summary.state == SEGMENT_DAMAGED) {
        mk_error_set(error,
                     "%s/%s is damaged at byte %" PRIu64 ": what follows it was acknowledged; "
                     "take the files of another server, or of a backup",
                     foreign->place.path, name, summary.end);
        status = MK_CORRUPT;
    }
    if (status == MK_OK && summary.first != 0) {
        status = entries_visit(foreign, &file, &reader, summary.end, visit, context, error);
    }
    segment_reader_deinit(&reader);
    disk_file_close(&file);
    return status;
}

enum mk_status store_log_read(const char *directory, mk_zxid after, store_log_visit *visit,
                              void *context, mk_zxid *last, struct mk_error *error)
{
    struct foreign foreign = {.after = after, .last = after};
    enum mk_status status = disk_place_open(&foreign.place, directory, false, error);
    if (status != MK_OK) {
        return status;
    }
    status = files_list(&foreign, error);
    for (size_t i = file_first(&foreign); status == MK_OK && i < foreign.count; i++) {
        status = file_visit(&foreign, foreign.firsts[i], visit, context, error);
    }
    *last = foreign.any ? foreign.last : 0;
    mk_free(foreign.firsts);
    disk_place_close(&foreign.place);
    return status;
}
