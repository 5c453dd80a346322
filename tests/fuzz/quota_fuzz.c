/* Any bytes as the limits of a quota, and as the path of a znode that makes one. Input: u8 length of the
 * path behind "/zookeeper/quota", the path, and the rest is the limits. */
#include "tree/tree.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path_try(struct mk_bytes rest)
{
    struct mk_buf path = {0};
    struct mk_bytes root = MK_BYTES_NULL;

    mk_buf_append_bytes(&path, MK_BYTES(TREE_QUOTA_PATH));
    mk_buf_append_bytes(&path, rest);
    struct mk_bytes whole = mk_buf_view(&path);
    if (tree_path_check(whole) == MK_OK && tree_quota_of_path(whole, &root) != TREE_QUOTA_NONE) {
        MK_ASSERT(tree_path_check(root) == MK_OK);
        MK_ASSERT(root.len > 1 && root.data == whole.data + strlen(TREE_QUOTA_PATH));
        MK_ASSERT(tree_path_within(whole, MK_BYTES(TREE_QUOTA_PATH)));
    }
    mk_buf_free(&path);
}

/* What the server writes as usage it reads as limits of the same numbers: nobody else's text is
 * understood better than its own. */
static void usage_try(int64_t count, int64_t bytes)
{
    struct mk_buf text = {0};
    struct tree_quota again;

    tree_quota_usage(&text, count, bytes);
    tree_quota_parse(mk_buf_view(&text), &again);
    MK_ASSERT(again.count == count && again.bytes == bytes);
    MK_ASSERT(again.count_hard == -1 && again.bytes_hard == -1);
    mk_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mk_reader reader = mk_reader_of((struct mk_bytes){data, size});
    struct mk_bytes path = mk_read_bytes(&reader, mk_read_u8(&reader));
    struct tree_quota quota;

    if (reader.failed) {
        return 0;
    }
    path_try(path);
    tree_quota_parse(mk_read_bytes(&reader, mk_reader_left(&reader)), &quota);
    MK_ASSERT(quota.count > INT64_MIN && quota.bytes > INT64_MIN);
    MK_ASSERT(quota.count_hard > INT64_MIN && quota.bytes_hard > INT64_MIN);
    usage_try(quota.count, quota.bytes);
    return 0;
}
