#include "recipe/steps.h"

#include "recipe/value.h"

#define STEP_HEADS_BYTES 16 /* of name and value, in MessagePack: less than this */

bool steps_read(struct steps *steps, struct mk_bytes bytes, uint32_t nesting_max)
{
    steps->count = 0;
    steps->bytes = 0;
    if (bytes.len == 0) {
        return true;
    }
    struct mk_reader reader = mk_reader_of(bytes);
    uint32_t count = value_msgpack_read_map(&reader);
    bool valid = !reader.failed && count <= STEPS_MAX;
    for (uint32_t i = 0; i < count && valid; i++) {
        struct mk_bytes name = value_msgpack_read_text(&reader);
        const uint8_t *begin = reader.at;
        valid = !reader.failed && name.len <= STEP_NAME_BYTES_MAX &&
                value_msgpack_skip(&reader, nesting_max) && steps_find(steps, name) == NULL;
        if (valid) {
            (void)steps_add(steps, name, mk_bytes_of(begin, (size_t)(reader.at - begin)));
        }
    }
    return valid && mk_reader_left(&reader) == 0;
}

void steps_write(const struct steps *steps, struct mk_buf *out)
{
    if (steps->count == 0) {
        return;
    }
    value_msgpack_put_map(out, steps->count);
    for (uint32_t i = 0; i < steps->count; i++) {
        value_msgpack_put_text(out, steps->entries[i].name);
        mk_buf_append_bytes(out, steps->entries[i].value);
    }
}

const struct step *steps_find(const struct steps *steps, struct mk_bytes name)
{
    for (uint32_t i = 0; i < steps->count; i++) {
        if (mk_bytes_equal(steps->entries[i].name, name)) {
            return &steps->entries[i];
        }
    }
    return NULL;
}

bool steps_add(struct steps *steps, struct mk_bytes name, struct mk_bytes value)
{
    MK_ASSERT(steps_find(steps, name) == NULL);
    if (steps->count == STEPS_MAX) {
        return false;
    }
    uint32_t at = steps->count++;
    while (at > 0 && mk_bytes_compare(steps->entries[at - 1].name, name) > 0) {
        steps->entries[at] = steps->entries[at - 1];
        at--;
    }
    steps->entries[at] = (struct step){name, value};
    steps->bytes += name.len + value.len + STEP_HEADS_BYTES;
    return true;
}
