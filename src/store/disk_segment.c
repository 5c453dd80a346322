/* One segment of the log, and the question that matters after a crash: is what cannot be read a
 * torn tail, which nobody was promised, or damage to what was acknowledged?
 *
 * The format is ZooKeeper's (zookeeper-quorum.md section 12.2), so that its tools read the files as
 * they are:
 *
 *     header, records..., trailer, zeros
 *     record  = i64 adler32(entry), zero-extended · i32 len · entry · 'B'
 *     trailer = u64 tag · i32 0 · u32 begin · u64 check
 *
 * The trailer is ours. ZooKeeper reads a record of length 0 as the end of the file and looks at
 * nothing behind it, nor at the checksum before it. Each batch is written together with a trailer,
 * in one call and under the one sync it needs anyway, and the next batch overwrites it. `begin` is
 * where its batch begins. It belongs to its place: `check` covers `begin` and the trailer's own
 * position.
 *
 * What we rely on: a sector of 512 bytes is written whole or not at all (its old content stays);
 * the file was zeros, durably, before the first record (store_log_prewrite); batch N + 1 is written
 * only after batch N has been synced. Of an unsynced batch any sectors may have arrived, in any
 * order: so a bad record may well be followed by good ones, and that alone proves nothing. Instead:
 *
 *   1. A trailer says that all before its `begin` had been synced when its batch was written. A bad
 *      record before the `begin` of any valid trailer is damage.
 *   2. A sector behind the last good record that still holds what it held before any batch reached
 *      it (zeros; or the trailer that the last batch left) was not written. Had a batch that covers
 *      it been synced, it would have been. So nothing behind such a sector was acknowledged: a torn
 *      tail begins at or before the first such sector, *if* the bad record reaches into it.
 *   3. Anything valid between the bad record and that sector means that the record was written, and
 *      is bad: damage. So does a record that ends before that sector and is followed by valid ones.
 *   4. Nothing valid after the bad record at all: a torn tail, cut off.
 *
 * The first bytes of a trailer are what makes rule 2 exact at the place where a batch begins in the
 * middle of a sector that did not arrive: a record begins with four zeros, a trailer with 0xa5.
 * That works with one byte left in the sector; hence the tag.
 *
 * What remains undecidable: damage to the very last record, which rule 4 takes for a torn tail
 * unless its trailer is there; and a damaged record with a whole sector of zeros in it, if the same
 * crash also loses the trailers of all later batches. A mark at a fixed place of the file would
 * settle the second, but makes two writes of each sync: 13 to 17% longer at the median, where a
 * trailer is 24 bytes more of one write. */
#include "store/disk_segment.h"

#include <string.h>
#include <zlib.h>

#define SEGMENT_MAGIC 0x5a4b4c47 /* "ZKLG" */
#define SEGMENT_VERSION 2
#define SEGMENT_DBID 0
#define SEGMENT_RECORD_END 'B'
#define TRAILER_TAG 0xa5a54d4b74726c31u /* read the head comment before you change the first byte */
#define SECTOR_BYTES 512
#define WINDOW_BYTES_MIN ((size_t)1 << 20)
/* Looking for records at any offset of a bad tail: so many bytes are summed, then we give up, and
 * call it damage, which is the safe side. Only data made to look like records comes near it. */
#define SEARCH_BYTES_MAX ((uint64_t)16 << 30)

/* ---- Writing ---- */

static uint64_t trailer_check(uint64_t begin, uint64_t position)
{
    uint8_t bytes[16];
    mk_store_u64(bytes, begin);
    mk_store_u64(bytes + 8, position);
    return mk_bytes_hash(mk_bytes_of(bytes, sizeof(bytes)));
}

void segment_trailer_put(uint8_t trailer[SEGMENT_TRAILER_BYTES], uint64_t begin, uint64_t end)
{
    MK_ASSERT(begin <= end && begin <= UINT32_MAX);
    mk_store_u64(trailer, TRAILER_TAG);
    mk_store_u32(trailer + 8, 0);
    mk_store_u32(trailer + 12, (uint32_t)begin);
    mk_store_u64(trailer + 16, trailer_check(begin, end));
}

void segment_start_put(uint8_t start[SEGMENT_START_BYTES])
{
    mk_store_u32(start, SEGMENT_MAGIC);
    mk_store_u32(start + 4, SEGMENT_VERSION);
    mk_store_u64(start + 8, SEGMENT_DBID);
    segment_trailer_put(start + SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES);
}

static uint32_t entry_adler(struct mk_bytes entry)
{
    return (uint32_t)adler32(adler32(0, NULL, 0), entry.data, (unsigned)entry.len);
}

void segment_record_seal(uint8_t *record, struct mk_bytes entry)
{
    MK_ASSERT(entry.data == record + SEGMENT_PREFIX_BYTES);
    MK_ASSERT(record[SEGMENT_PREFIX_BYTES + entry.len] == SEGMENT_RECORD_END);
    mk_store_u64(record, entry_adler(entry));
}

mk_zxid segment_entry_zxid(struct mk_bytes entry)
{
    MK_ASSERT(entry.len >= SEGMENT_ENTRY_BYTES_MIN);
    return (mk_zxid)mk_load_u64(entry.data + 12); /* after clientId and cxid */
}

bool segment_zxid_follows(mk_zxid last, mk_zxid next)
{
    return last == 0 ? next > 0 : next == last + 1 || (next >> 32) > (last >> 32);
}

/* ---- Reading ---- */

enum mk_status segment_reader_init(struct segment_reader *reader, const struct disk_file *file,
                                   struct mk_error *error)
{
    memset(reader, 0, sizeof(*reader));
    reader->file = file;
    reader->error = error;
    return disk_file_size(file, &reader->size, error);
}

void segment_reader_deinit(struct segment_reader *reader)
{
    mk_free(reader->window);
    reader->window = NULL;
}

/* `len` bytes at `at`, which the file has; valid until the next call. */
static enum mk_status reader_bytes(struct segment_reader *reader, uint64_t at, size_t len,
                                   const uint8_t **bytes)
{
    MK_ASSERT(at <= reader->size && len <= reader->size - at);
    if (at >= reader->window_at && at + len <= reader->window_at + reader->window_len) {
        *bytes = reader->window + (at - reader->window_at);
        return MK_OK;
    }

    size_t want = len > WINDOW_BYTES_MIN ? len : WINDOW_BYTES_MIN;
    if (want > reader->window_cap) {
        reader->window = mk_realloc(reader->window, want);
        reader->window_cap = want;
    }
    reader->window_at = at;
    enum mk_status status =
        disk_file_read(reader->file, at, reader->window, want, &reader->window_len, reader->error);
    if (status != MK_OK) {
        return status;
    }
    if (reader->window_len < len) { /* The file shrank under us: nobody may do that. */
        mk_error_set(reader->error, "%s/%s became shorter while it was read: who writes there?",
                     reader->file->place->path, reader->file->name);
        return MK_IO;
    }
    *bytes = reader->window;
    return MK_OK;
}

/* The length of the entry at `at`, as far as its frame can be believed; 0: it cannot. */
static size_t frame_entry_len(const struct segment_reader *reader, uint64_t at,
                              const uint8_t prefix[SEGMENT_PREFIX_BYTES])
{
    uint32_t len = mk_load_u32(prefix + 8);
    bool fits = len <= INT32_MAX && at + SEGMENT_FRAME_BYTES + len <= reader->size;
    bool plausible = mk_load_u32(prefix) == 0 && len >= SEGMENT_ENTRY_BYTES_MIN;
    return fits && plausible ? len : 0;
}

enum mk_status segment_record_read(struct segment_reader *reader, uint64_t at, mk_zxid *zxid,
                                   struct mk_bytes *entry)
{
    const uint8_t *bytes;
    if (at > reader->size || reader->size - at < SEGMENT_FRAME_BYTES) {
        return MK_MALFORMED;
    }
    enum mk_status status = reader_bytes(reader, at, SEGMENT_PREFIX_BYTES, &bytes);
    if (status != MK_OK) {
        return status;
    }
    size_t len = frame_entry_len(reader, at, bytes);
    if (len == 0) {
        return MK_MALFORMED;
    }
    status = reader_bytes(reader, at, SEGMENT_FRAME_BYTES + len, &bytes);
    if (status != MK_OK) {
        return status;
    }

    *entry = mk_bytes_of(bytes + SEGMENT_PREFIX_BYTES, len);
    bool ends = bytes[SEGMENT_PREFIX_BYTES + len] == SEGMENT_RECORD_END;
    if (!ends || mk_load_u64(bytes) != entry_adler(*entry)) {
        return MK_MALFORMED;
    }
    *zxid = segment_entry_zxid(*entry);
    return MK_OK;
}

static bool trailer_valid(const uint8_t trailer[SEGMENT_TRAILER_BYTES], uint64_t position,
                          uint64_t *begin)
{
    *begin = mk_load_u32(trailer + 12);
    return mk_load_u64(trailer) == TRAILER_TAG && mk_load_u32(trailer + 8) == 0 &&
           mk_load_u64(trailer + 16) == trailer_check(*begin, position);
}

/* ---- Judging a tail ---- */

/* What lies behind the last valid record, which ends at `bad`. */
struct tail {
    uint64_t bad;
    mk_zxid last;       /* of the last valid record */
    bool zeros;         /* nothing but zeros, and perhaps a trailer at `bad` */
    bool has_trailer;   /* at `bad` */
    uint64_t unwritten; /* the first place that was not written, by rule 2; or the file's size */
    uint64_t valid_at;  /* the first valid record or trailer behind `bad`; or the file's size */
    bool has_record;    /* a valid record was found: only trailers matter from there on */
    uint64_t synced;    /* the largest `begin` of a trailer behind `bad` */
    uint64_t synced_at; /* where that trailer is */
    uint64_t search_budget; /* bytes that may still be summed */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The trailer that the last batch left at `bad`, as far as it lies in the sector of `bad`: the rest
 * of it may have been overwritten by sectors that did arrive. */
static enum mk_status tail_start(struct segment_reader *reader, struct tail *tail)
{
    uint64_t left = reader->size - tail->bad;
    size_t len = (size_t)smaller(left, SEGMENT_TRAILER_BYTES);
    if (len == 0) {
        return MK_OK;
    }
    const uint8_t *bytes;
    enum mk_status status = reader_bytes(reader, tail->bad, len, &bytes);
    if (status != MK_OK) {
        return status;
    }

    uint64_t begin;
    tail->has_trailer = len == SEGMENT_TRAILER_BYTES && trailer_valid(bytes, tail->bad, &begin) &&
                        begin <= tail->bad;
    uint8_t tag[SEGMENT_PREFIX_BYTES] = {0};
    mk_store_u64(tag, TRAILER_TAG);
    size_t in_sector = (size_t)(SECTOR_BYTES - tail->bad % SECTOR_BYTES);
    size_t compared = smaller(smaller(in_sector, sizeof(tag)), len);
    if (memcmp(bytes, tag, compared) == 0) {
        tail->unwritten = tail->bad;
    }
    return MK_OK;
}

static bool bytes_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* The first sector behind `bad` that is zeros, but for what a trailer that began in the sector
 * before may have left at its start; and whether everything is. */
static enum mk_status tail_zeros_find(struct segment_reader *reader, struct tail *tail)
{
    uint64_t at = tail->bad + (tail->has_trailer ? SEGMENT_TRAILER_BYTES : 0);
    tail->zeros = true;
    while (at < reader->size) {
        size_t step = SECTOR_BYTES - at % SECTOR_BYTES;
        size_t len = (size_t)smaller(step, reader->size - at);
        const uint8_t *bytes;
        enum mk_status status = reader_bytes(reader, at, len, &bytes);
        if (status != MK_OK) {
            return status;
        }
        bool whole = len == SECTOR_BYTES;
        if (!bytes_zero(bytes, len)) {
            tail->zeros = false;
        }
        if (whole && tail->unwritten == reader->size &&
            bytes_zero(bytes + SEGMENT_TRAILER_BYTES, len - SEGMENT_TRAILER_BYTES)) {
            tail->unwritten = at;
        }
        if (!tail->zeros && tail->unwritten != reader->size) {
            break; /* Both questions are answered. */
        }
        at += len;
    }
    return MK_OK;
}

/* Is there a valid record, later than all that we have, or a valid trailer at `at`? */
static enum mk_status tail_look(struct segment_reader *reader, struct tail *tail, uint64_t at,
                                const uint8_t *bytes, size_t len)
{
    uint64_t begin;
    if (len >= SEGMENT_TRAILER_BYTES && trailer_valid(bytes, at, &begin)) {
        tail->valid_at = smaller(tail->valid_at, at);
        if (begin > tail->synced) {
            tail->synced = begin;
            tail->synced_at = at;
        }
        return MK_OK;
    }
    size_t entry_len = frame_entry_len(reader, at, bytes);
    if (entry_len == 0 || tail->has_record) {
        return MK_OK;
    }
    if (tail->search_budget < entry_len) {
        tail->valid_at = tail->bad; /* See SEARCH_BYTES_MAX. */
        return MK_OK;
    }
    tail->search_budget -= entry_len;

    mk_zxid zxid;
    struct mk_bytes entry;
    enum mk_status status = segment_record_read(reader, at, &zxid, &entry);
    if (status == MK_OK && zxid > tail->last) {
        tail->valid_at = smaller(tail->valid_at, at);
        tail->has_record = true;
    }
    return status == MK_MALFORMED ? MK_OK : status;
}

/* Look at every offset behind `bad`. */
static enum mk_status tail_search(struct segment_reader *reader, struct tail *tail)
{
    uint64_t at = tail->bad + 1;
    while (at + SEGMENT_PREFIX_BYTES <= reader->size) {
        const uint8_t *bytes;
        size_t len = (size_t)smaller(reader->size - at, SECTOR_BYTES + SEGMENT_TRAILER_BYTES);
        enum mk_status status = reader_bytes(reader, at, len, &bytes);
        if (status != MK_OK) {
            return status;
        }
        if (len > SECTOR_BYTES && bytes_zero(bytes, len)) {
            at += SECTOR_BYTES;
            continue;
        }
        /* Copied, since reading a record moves the window. */
        uint8_t copy[SECTOR_BYTES + SEGMENT_TRAILER_BYTES];
        memcpy(copy, bytes, len);
        size_t step = len > SECTOR_BYTES ? SECTOR_BYTES : len - SEGMENT_PREFIX_BYTES + 1;
        for (size_t i = 0; i < step && status == MK_OK; i++) {
            status = tail_look(reader, tail, at + i, copy + i, len - i);
        }
        if (status != MK_OK) {
            return status;
        }
        at += step;
    }
    return MK_OK;
}

/* Rule 3's second half: the frame says that the bad record ends before the first unwritten sector.
 * */
static enum mk_status tail_record_was_written(struct segment_reader *reader,
                                              const struct tail *tail, bool *written)
{
    *written = false;
    if (tail->unwritten == tail->bad || reader->size - tail->bad < SEGMENT_PREFIX_BYTES) {
        return MK_OK;
    }
    const uint8_t *bytes;
    enum mk_status status = reader_bytes(reader, tail->bad, SEGMENT_PREFIX_BYTES, &bytes);
    if (status != MK_OK) {
        return status;
    }
    uint64_t len = mk_load_u32(bytes + 8);
    bool reaches = tail->bad + SEGMENT_FRAME_BYTES + len > tail->unwritten;
    *written = tail->unwritten >= tail->bad + SEGMENT_PREFIX_BYTES && !reaches;
    return MK_OK;
}

static enum mk_status tail_judge(struct segment_reader *reader, struct segment_summary *summary)
{
    struct tail tail = {.bad = summary->end,
                        .last = summary->last,
                        .unwritten = reader->size,
                        .valid_at = reader->size,
                        .search_budget = SEARCH_BYTES_MAX};
    enum mk_status status = tail_start(reader, &tail);
    if (status == MK_OK) {
        status = tail_zeros_find(reader, &tail);
    }
    summary->has_trailer = tail.has_trailer;
    if (status != MK_OK || tail.zeros) {
        return status;
    }

    bool written = false;
    status = tail_search(reader, &tail);
    if (status == MK_OK) {
        status = tail_record_was_written(reader, &tail, &written);
    }
    if (status != MK_OK) {
        return status;
    }
    summary->state = SEGMENT_TORN;
    summary->found_at = tail.valid_at;
    if (tail.synced > tail.bad) {
        summary->state = SEGMENT_DAMAGED; /* rule 1 */
        summary->found_at = tail.synced_at;
    } else if (tail.valid_at < (written ? reader->size : tail.unwritten)) {
        summary->state = SEGMENT_DAMAGED; /* rule 3 */
    }
    return MK_OK;
}

/* ---- The whole segment ---- */

/* Without a valid header nothing was ever acknowledged in it if nothing valid is in it. */
static enum mk_status header_check(struct segment_reader *reader, bool *valid)
{
    *valid = false;
    if (reader->size < SEGMENT_HEADER_BYTES) {
        return MK_OK;
    }
    const uint8_t *bytes;
    enum mk_status status = reader_bytes(reader, 0, SEGMENT_HEADER_BYTES, &bytes);
    *valid = status == MK_OK && mk_load_u32(bytes) == SEGMENT_MAGIC &&
             mk_load_u32(bytes + 4) == SEGMENT_VERSION;
    return status;
}

enum mk_status segment_summarise(struct segment_reader *reader, mk_zxid last,
                                 struct segment_summary *summary)
{
    *summary = (struct segment_summary){.state = SEGMENT_CLEAN, .size = reader->size};
    bool valid;
    enum mk_status status = header_check(reader, &valid);
    if (status != MK_OK) {
        return status;
    }
    summary->end = valid ? SEGMENT_HEADER_BYTES : 0;

    mk_zxid previous = last;
    while (valid) {
        mk_zxid zxid;
        struct mk_bytes entry;
        status = segment_record_read(reader, summary->end, &zxid, &entry);
        if (status == MK_MALFORMED) {
            break;
        }
        if (status != MK_OK) {
            return status;
        }
        if (!segment_zxid_follows(previous, zxid)) {
            summary->state = SEGMENT_DAMAGED;
            summary->found_at = summary->end;
            summary->missing = previous + 1;
            return MK_OK;
        }
        summary->first = summary->first == 0 ? zxid : summary->first;
        summary->last = previous = zxid;
        summary->end += SEGMENT_FRAME_BYTES + entry.len;
    }
    return tail_judge(reader, summary);
}
