/* Any bytes as a snapshot, on the wire or of a file (the first byte), read whole and in pieces of one
 * size (the second): both give the same records and the same end, within the bound. */
#include "jute/jute.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 128
/* The most that one record may ask for: path, data and what is around them; or an ACL. */
#define RECORD_BYTES_MAX (2 * BYTES_MAX + 128)

static void record_put(struct mk_buf *out, const struct jute_snapshot_record *record)
{
    switch (record->kind) {
    case JUTE_SNAPSHOT_SESSION:
        jute_put_snapshot_session(out, record->session.session, record->session.timeout_ms);
        break;
    case JUTE_SNAPSHOT_ACL: jute_put_snapshot_acl(out, record->acl_id, record->acl); break;
    case JUTE_SNAPSHOT_ZNODE: jute_put_snapshot_znode(out, &record->znode); break;
    }
}

static enum mk_status read_all(struct mk_bytes stream, bool wire, size_t piece, struct mk_buf *out)
{
    struct jute_snapshot_reader reader = jute_snapshot_begin(BYTES_MAX, wire);
    struct jute_snapshot_record record;
    size_t from = 0, to = 0;
    enum mk_status status = MK_WOULD_BLOCK;
    for (;;) {
        size_t used;
        status =
            jute_snapshot_next(&reader, mk_bytes_of(stream.data + from, to - from), &record, &used);
        from += used;
        if (status == MK_OK) {
            record_put(out, &record);
        } else if (status == MK_WOULD_BLOCK && to < stream.len) {
            MK_ASSERT(used == 0 && to - from < RECORD_BYTES_MAX);
            to = stream.len - to < piece ? stream.len : to + piece;
        } else {
            return status;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct mk_bytes stream = mk_bytes_of(data + 2, size - 2);
    struct mk_buf single = {0};
    struct mk_buf pieces = {0};
    enum mk_status first = read_all(stream, data[0] != 0, 1, &single);
    enum mk_status second = read_all(stream, data[0] != 0, 1 + (size_t)data[1], &pieces);
    MK_ASSERT(first == second);
    MK_ASSERT(mk_bytes_equal(mk_buf_view(&single), mk_buf_view(&pieces)));
    mk_buf_free(&single);
    mk_buf_free(&pieces);
    return 0;
}
