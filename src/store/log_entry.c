/* Framing of log entries: i64 checksum, i32 length, entry, 0x42 (zookeeper-quorum.md 12.2). Pure:
 * the checksum is left zero here and filled in by store_log_append(), off the core's thread. */
#include "store/store.h"

#define ENTRY_HEADER_BYTES 12
#define ENTRY_END 0x42 /* 'B' */

size_t store_log_entry_begin(struct mk_buf *batch)
{
    size_t entry = batch->len;
    mk_buf_put_u64(batch, 0);
    mk_buf_put_u32(batch, 0);
    return entry;
}

void store_log_entry_end(struct mk_buf *batch, size_t entry)
{
    MK_ASSERT(entry + ENTRY_HEADER_BYTES < batch->len);
    size_t len = batch->len - entry - ENTRY_HEADER_BYTES;
    MK_ASSERT(len <= INT32_MAX);
    mk_store_u32(batch->data + entry + 8, (uint32_t)len);
    mk_buf_put_u8(batch, ENTRY_END);
}

bool store_log_entry_next(struct mk_bytes batch, size_t *offset, struct mk_bytes *entry)
{
    MK_ASSERT(*offset <= batch.len);
    if (batch.len - *offset <= ENTRY_HEADER_BYTES) {
        return false;
    }
    const uint8_t *at = batch.data + *offset;
    size_t len = mk_load_u32(at + 8);
    size_t left = batch.len - *offset - ENTRY_HEADER_BYTES;
    if (len == 0 || len >= left || at[ENTRY_HEADER_BYTES + len] != ENTRY_END) {
        return false;
    }
    *entry = (struct mk_bytes){at + ENTRY_HEADER_BYTES, len};
    *offset += ENTRY_HEADER_BYTES + len + 1;
    return true;
}
