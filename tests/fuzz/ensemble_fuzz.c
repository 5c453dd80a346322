/* Any text as an ensemble's configuration. What reads, is written as text that reads, and is written, to
 * the same; what does not, says why. */
#include "jute/jute.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jute_ensemble ensemble;
    struct mk_error error = {0};
    if (jute_ensemble_read((struct mk_bytes){data, size}, &ensemble, &error) != MK_OK) {
        MK_ASSERT(error.text[0] != '\0');
        return 0;
    }
    MK_ASSERT(ensemble.members_count <= JUTE_MEMBERS_MAX);
    struct mk_buf first = {0};
    struct mk_buf second = {0};
    jute_put_ensemble(&first, &ensemble);
    enum mk_status status = jute_ensemble_read(mk_buf_view(&first), &ensemble, &error);
    MK_ASSERT(status == MK_OK);
    jute_put_ensemble(&second, &ensemble);
    MK_ASSERT(mk_bytes_equal(mk_buf_view(&first), mk_buf_view(&second)));
    mk_buf_free(&first);
    mk_buf_free(&second);
    return 0;
}
