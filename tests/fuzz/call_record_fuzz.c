/* Any bytes as the record of a parked call. What decodes, encodes to the same bytes. */
#include "tree/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tree_call call;
    if (tree_call_decode((struct mk_bytes){data, size}, &call) != MK_OK) {
        MK_ASSERT(call.waits_count == 0);
        return 0;
    }

    struct mk_buf out = {0};
    tree_call_encode(&out, &call);
    MK_ASSERT(mk_bytes_equal(mk_buf_view(&out), mk_bytes_of(data, size)));
    mk_buf_free(&out);
    return 0;
}
