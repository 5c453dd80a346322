/* A segment of the log as we write it, and then what a crash or a bad disk makes of it; or any bytes.
 *
 * Whatever the file holds, it is judged, and its entries follow each other. Untouched it is clean and
 * whole. If sectors of the last batch alone did not arrive, nothing before that batch is lost or called
 * damaged. If an entry before the last batch has a wrong byte and that batch's trailer is there, it
 * is damage, and never a torn tail. */
#include "store/disk_segment.h"
#include "store/store.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCHES_MAX 8
#define ENTRIES_MAX 6 /* of a batch */
#define SECTOR 512
#define ZEROS 4096 /* that the file ends in */

struct segment {
    struct mk_buf bytes;
    uint64_t begin; /* of the last batch */
    uint64_t end;
    mk_zxid last;
    mk_zxid before; /* the last entry before the last batch */
    uint64_t entry_at;
    size_t entry_len; /* an entry before the last batch; 0: there is none */
};

static void entry_put(struct segment *segment, struct mk_reader *program)
{
    size_t record = segment->bytes.len;
    struct mk_bytes body = mk_read_bytes(program, mk_read_u16(program) % 1200);

    (void)store_log_entry_begin(&segment->bytes);
    mk_buf_put_i64(&segment->bytes, 1);
    mk_buf_put_i32(&segment->bytes, 1);
    mk_buf_put_i64(&segment->bytes, ++segment->last);
    mk_buf_put_i64(&segment->bytes, 1700000000000);
    mk_buf_put_i32(&segment->bytes, 1);
    mk_buf_append_bytes(&segment->bytes, body);
    store_log_entry_end(&segment->bytes, record);
    size_t len = segment->bytes.len - record - SEGMENT_FRAME_BYTES;
    uint8_t *at = segment->bytes.data + record;
    segment_record_seal(at, mk_bytes_of(at + SEGMENT_PREFIX_BYTES, len));
}

static void segment_build(struct segment *segment, struct mk_reader *program)
{
    uint8_t start[SEGMENT_START_BYTES];
    uint8_t trailer[SEGMENT_TRAILER_BYTES];

    segment_start_put(start);
    mk_buf_append(&segment->bytes, start, SEGMENT_HEADER_BYTES);
    segment->begin = segment->end = SEGMENT_HEADER_BYTES;
    for (int left = 1 + mk_read_u8(program) % BATCHES_MAX; left > 0; left--) {
        if (segment->end > segment->begin) {
            segment->entry_at = segment->begin + SEGMENT_PREFIX_BYTES;
            segment->entry_len = mk_load_u32(segment->bytes.data + segment->begin + 8);
        }
        segment->begin = segment->bytes.len;
        segment->before = segment->last;
        for (int i = 1 + mk_read_u8(program) % ENTRIES_MAX; i > 0; i--) {
            entry_put(segment, program);
        }
        segment->end = segment->bytes.len;
    }
    segment_trailer_put(trailer, segment->begin, segment->end);
    mk_buf_append(&segment->bytes, trailer, sizeof(trailer));
    memset(mk_buf_grow(&segment->bytes, ZEROS), 0, ZEROS);
}

static struct segment_summary judge(struct mk_bytes bytes)
{
    const struct disk_place place = {.path = (char[]){"nowhere"}};
    struct disk_file file = {.place = &place, .name = "log"};
    struct segment_reader reader;
    struct segment_summary summary;
    struct mk_error error;

    file.fd = memfd_create("segment", MFD_CLOEXEC);
    MK_ASSERT(file.fd >= 0);
    MK_ASSERT(write(file.fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    MK_ASSERT(segment_reader_init(&reader, &file, &error) == MK_OK);
    MK_ASSERT(segment_summarise(&reader, 0, &summary) == MK_OK);

    mk_zxid last = 0;
    uint64_t at = SEGMENT_HEADER_BYTES;
    while (summary.first != 0 && at < summary.end) {
        mk_zxid zxid;
        struct mk_bytes entry;
        MK_ASSERT(segment_record_read(&reader, at, &zxid, &entry) == MK_OK);
        MK_ASSERT(segment_zxid_follows(last, zxid));
        MK_ASSERT(last != 0 || zxid == summary.first);
        last = zxid;
        at += SEGMENT_FRAME_BYTES + entry.len;
    }
    MK_ASSERT(last == summary.last);
    segment_reader_deinit(&reader);
    close(file.fd);
    return summary;
}

/* Of the sectors that the last batch and its trailer were written to, some are as they were before. */
static void sectors_lose(struct segment *segment, const struct segment *before,
                         struct mk_reader *program)
{
    uint64_t from = segment->begin / SECTOR;
    uint64_t to = (segment->end + SEGMENT_TRAILER_BYTES - 1) / SECTOR;

    for (uint64_t sector = from; sector <= to; sector++) {
        if (mk_read_u8(program) & 1) {
            memcpy(segment->bytes.data + sector * SECTOR, before->bytes.data + sector * SECTOR,
                   SECTOR);
        }
    }
}

/* The file as it was before the last batch: that batch's place is zeros, behind the trailer. */
static struct segment as_before(const struct segment *segment)
{
    struct segment before = {.begin = segment->begin};

    mk_buf_append_bytes(&before.bytes, mk_buf_view(&segment->bytes));
    memset(before.bytes.data + segment->begin, 0, before.bytes.len - segment->begin);
    segment_trailer_put(before.bytes.data + segment->begin, SEGMENT_HEADER_BYTES, segment->begin);
    return before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mk_reader program = mk_reader_of((struct mk_bytes){data, size});
    struct segment segment = {0};
    uint8_t how = mk_read_u8(&program);

    if (how % 4 == 0) {
        (void)judge(mk_read_bytes(&program, mk_reader_left(&program)));
        return 0;
    }
    segment_build(&segment, &program);
    struct segment_summary summary;
    if (how % 4 == 1) {
        summary = judge(mk_buf_view(&segment.bytes));
        MK_ASSERT(summary.state == SEGMENT_CLEAN);
        MK_ASSERT(summary.last == segment.last && summary.end == segment.end);
    } else if (how % 4 == 2) {
        struct segment before = as_before(&segment);
        sectors_lose(&segment, &before, &program);
        summary = judge(mk_buf_view(&segment.bytes));
        MK_ASSERT(summary.state != SEGMENT_DAMAGED);
        MK_ASSERT(summary.last >= segment.before && summary.end >= segment.begin);
        mk_buf_free(&before.bytes);
    } else if (segment.entry_len > 0) {
        uint8_t bit = 1 + mk_read_u8(&program) % 255;
        segment.bytes.data[segment.entry_at + mk_read_u16(&program) % segment.entry_len] ^= bit;
        summary = judge(mk_buf_view(&segment.bytes));
        MK_ASSERT(summary.state == SEGMENT_DAMAGED);
    }
    mk_buf_free(&segment.bytes);
    return 0;
}
