/* Any bytes as a request. What decodes, encodes to a canonical frame, never longer than what came;
 * that one decodes, and encodes to itself. Multis are taken apart and put together on the way. */
#include "jute/jute.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void strings_walk(struct jute_strings strings)
{
    struct jute_strings_cursor cursor = jute_strings_begin(strings);
    struct mk_bytes string;
    int32_t count = 0;
    while (jute_strings_next(&cursor, &string)) {
        MK_ASSERT(string.data == NULL ||
                  (string.data > strings.bytes.data &&
                   string.data + string.len <= strings.bytes.data + strings.bytes.len));
        count++;
    }
    MK_ASSERT(count == strings.count);
    MK_ASSERT(mk_reader_left(&cursor.reader) == 0);
}

static void operation_check(const struct jute_request *multi, const struct jute_request *operation)
{
    bool is_read = operation->op == JUTE_GET_DATA || operation->op == JUTE_GET_CHILDREN;
    MK_ASSERT(is_read == (multi->op == JUTE_MULTI_READ));
    MK_ASSERT(operation->flags >= 0);
    MK_ASSERT(operation->flags <= 6);
}

static void encode(struct mk_buf *out, const struct jute_request *request)
{
    if (request->op != JUTE_MULTI && request->op != JUTE_MULTI_READ) {
        jute_request_encode(out, request);
        return;
    }
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    struct jute_request operation;
    size_t multi = jute_multi_request_begin(out, request->xid, request->op);
    while (jute_multi_next(&cursor, &operation)) {
        operation_check(request, &operation);
        jute_multi_request_put(out, &operation);
    }
    jute_multi_request_end(out, multi);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jute_request first;
    enum mk_status status = jute_request_decode((struct mk_bytes){data, size}, &first);
    if (status != MK_OK) {
        MK_ASSERT(status == MK_MALFORMED || status == MK_UNIMPLEMENTED);
        MK_ASSERT(size >= 8 || (status == MK_MALFORMED && first.xid == 0 && first.op == 0));
        MK_ASSERT(!first.writes_only || (first.op == JUTE_MULTI_READ && status == MK_MALFORMED));
        return 0;
    }
    for (size_t i = 0; i < JUTE_LISTS_MAX; i++) {
        strings_walk(first.lists[i]);
    }

    struct mk_buf canonical = {0};
    struct mk_buf again = {0};
    struct jute_request second;
    encode(&canonical, &first);
    status = jute_request_decode(mk_bytes_of(canonical.data + 4, canonical.len - 4), &second);
    MK_ASSERT(status == MK_OK);
    encode(&again, &second);

    MK_ASSERT(canonical.len - 4 <= size);
    MK_ASSERT(memcmp(canonical.data + 4, data, 8) == 0);
    MK_ASSERT(mk_bytes_equal(mk_buf_view(&canonical), mk_buf_view(&again)));
    mk_buf_free(&canonical);
    mk_buf_free(&again);
    return 0;
}
