#include "unit/tree/lists.h"

#include <stdlib.h>
#include <string.h>

static struct mk_buf *scratch_next(void)
{
    static struct mk_buf ring[64];
    static size_t at;
    struct mk_buf *buf = &ring[at++ % MK_COUNT(ring)];
    mk_buf_free(buf);
    return buf;
}

static struct mk_bytes list_of(const char *text, bool acl)
{
    struct mk_buf *out = scratch_next();
    uint32_t count = 0;
    mk_buf_put_u32(out, 0);
    while (*text != '\0') {
        if (acl) {
            char *end;
            mk_buf_put_i32(out, (int32_t)strtol(text, &end, 10));
            MK_ASSERT(*end == ' ');
            text = end + 1;
        }
        size_t scheme_len = strcspn(text, ":");
        size_t len = strcspn(text, ",");
        MK_ASSERT(scheme_len < len);
        struct mk_bytes id = mk_bytes_of(text + scheme_len + 1, len - scheme_len - 1);
        mk_buf_put_field(out, mk_bytes_of(text, scheme_len));
        mk_buf_put_field(out, mk_bytes_equal(id, MK_BYTES("~")) ? MK_BYTES_NULL : id);
        count++;
        text += len;
        text += strspn(text, ", ");
    }
    mk_store_u32(out->data, count);
    return mk_buf_view(out);
}

struct mk_bytes acl_of(const char *text)
{
    return list_of(text, true);
}

struct mk_bytes identities_of(const char *text)
{
    return list_of(text, false);
}

const char *acl_text(struct mk_bytes acl)
{
    struct mk_buf *out = scratch_next();
    struct mk_reader reader = mk_reader_of(acl);
    int32_t count = mk_read_i32(&reader);
    for (int32_t i = 0; i < count; i++) {
        int32_t perms = mk_read_i32(&reader);
        struct mk_bytes scheme = mk_read_field(&reader);
        struct mk_bytes id = mk_read_field(&reader);
        MK_ASSERT(!reader.failed);
        mk_buf_printf(out, "%s%d %.*s:%.*s", i == 0 ? "" : ", ", (int)perms, (int)scheme.len,
                      (const char *)scheme.data, id.data == NULL ? 1 : (int)id.len,
                      id.data == NULL ? "~" : (const char *)id.data);
    }
    MK_ASSERT(mk_reader_left(&reader) == 0);
    mk_buf_put_u8(out, '\0');
    return (const char *)out->data;
}
