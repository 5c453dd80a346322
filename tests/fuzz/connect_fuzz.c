/* Any bytes as a ConnectRequest. What decodes, encodes to a frame that decodes to the same. */
#include "jute/jute.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jute_connect first;
    if (jute_connect_decode((struct mk_bytes){data, size}, &first) != MK_OK) {
        return 0;
    }

    struct mk_buf out = {0};
    jute_connect_encode(&out, &first);
    struct jute_connect second;
    enum mk_status again = jute_connect_decode(mk_bytes_of(out.data + 4, out.len - 4), &second);

    MK_ASSERT(again == MK_OK);
    MK_ASSERT(out.len - 4 <= size);
    MK_ASSERT(first.protocol_version == second.protocol_version);
    MK_ASSERT(first.last_zxid_seen == second.last_zxid_seen);
    MK_ASSERT(first.timeout_ms == second.timeout_ms);
    MK_ASSERT(first.session_id == second.session_id);
    MK_ASSERT(mk_bytes_equal(first.password, second.password));
    MK_ASSERT(first.read_only == second.read_only);
    MK_ASSERT(first.read_only_present == second.read_only_present);
    mk_buf_free(&out);
    return 0;
}
