#include "recipe/text.h"

#include <string.h>

#define TEXT_CAP_MIN ((size_t)64)

static void text_grow(lua_State *L, struct text *text, size_t len)
{
    size_t cap = text->cap < TEXT_CAP_MIN ? TEXT_CAP_MIN : text->cap;
    while (cap < len) {
        cap *= 2;
    }
    if (cap == text->cap) {
        return;
    }
    sandbox_charge(L, cap); /* bounds the scraps, too */
    uint8_t *data = mk_arena_alloc(&sandbox_of(L)->scraps, cap);
    if (text->len > 0) {
        memcpy(data, text->data, text->len);
    }
    text->data = data;
    text->cap = cap;
}

void text_add(lua_State *L, struct text *text, struct mk_bytes bytes)
{
    uint64_t max = sandbox_of(L)->limits->alloc_bytes_max;
    sandbox_charge(L, bytes.len + 1);
    if (bytes.len > max - text->len) {
        sandbox_exhaust(L, "a string of more than %llu bytes", (unsigned long long)max);
    }
    if (bytes.len == 0) {
        return;
    }
    text_grow(L, text, text->len + bytes.len);
    memcpy(text->data + text->len, bytes.data, bytes.len);
    text->len += bytes.len;
}

void text_push(lua_State *L, const struct text *text)
{
    sandbox_push_bytes(L, (struct mk_bytes){text->data, text->len});
}
