/* vector<string> and vector<ACL>: read once for their shape, kept as the bytes they came in. */
#include "jute/vector.h"

#define STRING_BYTES_MIN 4 /* i32 length */
#define ACL_BYTES_MIN 12   /* i32 perms, scheme, id */

int32_t jute_count_read(struct mk_reader *reader, size_t entry_bytes_min)
{
    int32_t count = mk_read_i32(reader);
    if (count < -1 || (count > 0 && (size_t)count > mk_reader_left(reader) / entry_bytes_min)) {
        reader->failed = true;
        return -1;
    }
    return count;
}

static struct mk_bytes bytes_since(const uint8_t *start, const struct mk_reader *reader)
{
    MK_ASSERT(start <= reader->at);
    return mk_bytes_of(start, (size_t)(reader->at - start));
}

struct jute_strings jute_strings_read(struct mk_reader *reader)
{
    int32_t count = jute_count_read(reader, STRING_BYTES_MIN);
    const uint8_t *start = reader->at;
    for (int32_t i = 0; i < count && !reader->failed; i++) {
        (void)mk_read_field(reader);
    }
    if (reader->failed || count <= 0) {
        return (struct jute_strings){0, MK_BYTES_NULL};
    }
    return (struct jute_strings){count, bytes_since(start, reader)};
}

void jute_strings_put(struct mk_buf *out, struct jute_strings strings)
{
    MK_ASSERT(strings.count >= 0);
    MK_ASSERT((size_t)strings.count <= strings.bytes.len / STRING_BYTES_MIN);
    mk_buf_put_i32(out, strings.count);
    mk_buf_append_bytes(out, strings.bytes);
}

struct jute_strings_cursor jute_strings_begin(struct jute_strings strings)
{
    MK_ASSERT(strings.count >= 0);
    return (struct jute_strings_cursor){mk_reader_of(strings.bytes), strings.count};
}

bool jute_strings_next(struct jute_strings_cursor *cursor, struct mk_bytes *string)
{
    if (cursor->left == 0) {
        return false;
    }
    cursor->left--;
    *string = mk_read_field(&cursor->reader);
    MK_ASSERT(!cursor->reader.failed); /* jute_strings_read() has been here. */
    return true;
}

struct mk_bytes jute_acl_read(struct mk_reader *reader)
{
    const uint8_t *start = reader->at;
    int32_t count = jute_count_read(reader, ACL_BYTES_MIN);
    for (int32_t i = 0; i < count && !reader->failed; i++) {
        (void)mk_read_i32(reader);   /* perms */
        (void)mk_read_field(reader); /* scheme */
        (void)mk_read_field(reader); /* id */
    }
    if (reader->failed || count < 0) {
        return MK_BYTES_NULL;
    }
    return bytes_since(start, reader);
}

void jute_acl_put(struct mk_buf *out, struct mk_bytes acl)
{
    if (acl.data == NULL) {
        mk_buf_put_i32(out, -1);
        return;
    }
    MK_ASSERT(acl.len >= sizeof(int32_t));
    mk_buf_append_bytes(out, acl);
}
