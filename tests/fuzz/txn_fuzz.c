/* Any bytes as a logged transaction. What decodes, encodes to a canonical entry; that one decodes,
 * and encodes to itself. Multis are taken apart and put together on the way. */
#include "jute/jute.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct mk_buf *out, const struct jute_txn *txn)
{
    if (txn->type != JUTE_MULTI) {
        jute_txn_encode(out, txn);
        return;
    }
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    struct jute_txn_multi multi = jute_txn_multi_begin(out, txn);
    while (jute_txn_next(&cursor, &part)) {
        MK_ASSERT(part.zxid == txn->zxid);
        MK_ASSERT(part.type != JUTE_MULTI);
        jute_txn_multi_put(out, &multi, &part);
    }
    jute_txn_multi_end(out, &multi);
    MK_ASSERT(multi.count == txn->operations_count);
    MK_ASSERT(mk_reader_left(&cursor.reader) == 0);
}

static void paths_walk(const struct jute_txn *txn)
{
    struct jute_strings_cursor cursor = jute_strings_begin(txn->paths);
    struct mk_bytes path;
    int32_t count = 0;
    while (jute_strings_next(&cursor, &path)) {
        MK_ASSERT(path.data != NULL);
        count++;
    }
    MK_ASSERT(count == txn->paths.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jute_txn first;
    enum mk_status status = jute_txn_decode((struct mk_bytes){data, size}, &first);
    if (status != MK_OK) {
        MK_ASSERT(status == MK_MALFORMED);
        return 0;
    }
    paths_walk(&first);

    struct mk_buf canonical = {0};
    struct mk_buf again = {0};
    struct jute_txn second;
    encode(&canonical, &first);
    status = jute_txn_decode(mk_buf_view(&canonical), &second);
    MK_ASSERT(status == MK_OK);
    encode(&again, &second);

    MK_ASSERT(mk_bytes_equal(mk_buf_view(&canonical), mk_buf_view(&again)));
    mk_buf_free(&canonical);
    mk_buf_free(&again);
    return 0;
}
