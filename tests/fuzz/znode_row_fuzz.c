/* Any bytes as the row of a znode. What decodes, encodes to the same bytes. */
#include "store/znodes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_znode znode;
    if (!znode_decode((struct mk_bytes){data, size}, &znode)) {
        return 0;
    }
    MK_ASSERT(znode.data_length >= 0);
    MK_ASSERT(!znode.data_null || znode.data_length == 0);
    MK_ASSERT(znode.data.data == NULL || znode.data.len == (size_t)znode.data_length);

    struct mk_buf out = {0};
    znode_encode(&out, &znode);
    MK_ASSERT(mk_bytes_equal(mk_buf_view(&out), mk_bytes_of(data, size)));
    mk_buf_free(&out);
    return 0;
}
