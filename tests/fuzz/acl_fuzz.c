/* Any bytes as an ACL and as identities. Input: a byte of permissions, u16 length of the ACL, the
 * ACL, and the rest is identities. */
#include "tree/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tree_acl_rules rules = {
    .digest = true, .sasl = true, .sasl_any = {(const uint8_t *)"any", 3}};

/* A vector<ACL> with nothing missing and nothing behind it. */
static void assert_whole(struct mk_bytes acl)
{
    struct mk_reader reader = mk_reader_of(acl);
    int32_t count = mk_read_i32(&reader);
    MK_ASSERT(count >= 0);
    for (int32_t i = 0; i < count; i++) {
        mk_read_i32(&reader);
        mk_read_field(&reader);
        mk_read_field(&reader);
    }
    MK_ASSERT(!reader.failed);
    MK_ASSERT(mk_reader_left(&reader) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mk_reader reader = mk_reader_of((struct mk_bytes){data, size});
    int permission = 1 + mk_read_u8(&reader) % TREE_ALL;
    struct mk_bytes acl = mk_read_bytes(&reader, mk_read_u16(&reader));
    struct mk_bytes identities = mk_read_bytes(&reader, mk_reader_left(&reader));

    struct mk_buf served = {0};
    enum mk_status before = tree_acl_check(&rules, acl, permission, identities);
    MK_ASSERT(before == MK_OK || before == MK_NO_AUTH);
    tree_acl_serve(&rules, acl, identities, &served);
    assert_whole(mk_buf_view(&served));

    struct mk_buf fixed = {0};
    bool open;
    if (tree_acl_fix(&rules, acl, identities, &fixed, &open) == MK_OK) {
        struct mk_bytes kept = open ? MK_BYTES_NULL : mk_buf_view(&fixed);
        if (!open) {
            assert_whole(kept);
        }
        /* What is stored permits no less than what was sent: `auth` became the sender. */
        enum mk_status after = tree_acl_check(&rules, kept, permission, identities);
        MK_ASSERT(before != MK_OK || after == MK_OK);
    } else {
        MK_ASSERT(fixed.len == 0);
    }
    mk_buf_free(&served);
    mk_buf_free(&fixed);
    return 0;
}
