/* A cursor that cannot leave its bytes. Everything that arrives from outside is read through it. */
#include "base/base.h"

struct mk_reader mk_reader_of(struct mk_bytes bytes)
{
    const uint8_t *at = bytes.data;
    if (at == NULL) {
        MK_ASSERT(bytes.len == 0);
        at = (const uint8_t *)""; /* so that pointers into nothing can still be compared */
    }
    return (struct mk_reader){at, at + bytes.len, false};
}

size_t mk_reader_left(const struct mk_reader *reader)
{
    MK_ASSERT(reader->at <= reader->end);
    return (size_t)(reader->end - reader->at);
}

/* The next `len` bytes, or NULL: then the reader stands at its end and has failed for good. */
static const uint8_t *reader_take(struct mk_reader *reader, size_t len)
{
    if (reader->failed || len > mk_reader_left(reader)) {
        reader->failed = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *taken = reader->at;
    reader->at += len;
    return taken;
}

uint8_t mk_read_u8(struct mk_reader *reader)
{
    const uint8_t *at = reader_take(reader, 1);
    return at == NULL ? 0 : at[0];
}

uint16_t mk_read_u16(struct mk_reader *reader)
{
    const uint8_t *at = reader_take(reader, 2);
    return at == NULL ? 0 : (uint16_t)((uint16_t)at[0] << 8 | at[1]);
}

int32_t mk_read_i32(struct mk_reader *reader)
{
    return (int32_t)mk_read_u32(reader);
}

uint32_t mk_read_u32(struct mk_reader *reader)
{
    const uint8_t *at = reader_take(reader, 4);
    return at == NULL ? 0 : mk_load_u32(at);
}

int64_t mk_read_i64(struct mk_reader *reader)
{
    return (int64_t)mk_read_u64(reader);
}

uint64_t mk_read_u64(struct mk_reader *reader)
{
    const uint8_t *at = reader_take(reader, 8);
    return at == NULL ? 0 : mk_load_u64(at);
}

struct mk_bytes mk_read_bytes(struct mk_reader *reader, size_t len)
{
    const uint8_t *at = reader_take(reader, len);
    return at == NULL ? MK_BYTES_NULL : (struct mk_bytes){at, len};
}

struct mk_bytes mk_read_field(struct mk_reader *reader)
{
    int32_t len = mk_read_i32(reader);
    if (reader->failed || len == -1) {
        return MK_BYTES_NULL;
    }
    if (len < -1) {
        reader->failed = true;
        reader->at = reader->end;
        return MK_BYTES_NULL;
    }
    return mk_read_bytes(reader, (size_t)len);
}
