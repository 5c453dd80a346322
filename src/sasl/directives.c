/* digest-response of RFC 2831, section 2.1.2: a list of directives with commas between, of which empty
 * ones count for nothing, and blanks around everything. */
#include "sasl/directives.h"

#include <string.h>

static const char *const names[DIRECTIVES] = {
    [DIRECTIVE_USERNAME] = "username",
    [DIRECTIVE_REALM] = "realm",
    [DIRECTIVE_NONCE] = "nonce",
    [DIRECTIVE_CNONCE] = "cnonce",
    [DIRECTIVE_NC] = "nc",
    [DIRECTIVE_QOP] = "qop",
    [DIRECTIVE_DIGEST_URI] = "digest-uri",
    [DIRECTIVE_RESPONSE] = "response",
    [DIRECTIVE_CHARSET] = "charset",
    [DIRECTIVE_AUTHZID] = "authzid",
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void pass(struct mk_bytes *text, size_t count)
{
    MK_ASSERT(count <= text->len);
    text->data += count;
    text->len -= count;
}

static void pass_blanks(struct mk_bytes *text)
{
    while (text->len > 0 && is_blank(text->data[0])) {
        pass(text, 1);
    }
}

/* Up to a blank, a comma or an equals sign; empty if there is none of it. */
static struct mk_bytes word_take(struct mk_bytes *text)
{
    size_t len = 0;

    while (len < text->len && !is_blank(text->data[len]) && text->data[len] != ',' &&
           text->data[len] != '=' && text->data[len] != '"') {
        len++;
    }
    struct mk_bytes word = {text->data, len};
    pass(text, len);
    return word;
}

/* What stands between the quotes; a backslash takes the byte behind it as it is. */
static bool quoted_take(struct mk_bytes *text, struct mk_arena *scraps, struct mk_bytes *value)
{
    size_t end = 1;
    bool escapes = false;

    while (end < text->len && text->data[end] != '"') {
        bool escape = text->data[end] == '\\';
        escapes = escapes || escape;
        end += escape ? 2 : 1;
    }
    if (end >= text->len) {
        return false;
    }
    *value = (struct mk_bytes){text->data + 1, end - 1};
    if (escapes) {
        uint8_t *plain = mk_arena_alloc(scraps, value->len);
        size_t len = 0;
        for (size_t i = 0; i < value->len; i++) {
            i += value->data[i] == '\\';
            plain[len++] = value->data[i];
        }
        *value = (struct mk_bytes){plain, len};
    }
    pass(text, end + 1);
    return true;
}

static bool same_name(struct mk_bytes name, const char *known)
{
    if (name.len != strlen(known)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.data[i];
        if (byte >= 'A' && byte <= 'Z') {
            byte = (uint8_t)(byte - 'A' + 'a');
        }
        if (byte != (uint8_t)known[i]) {
            return false;
        }
    }
    return true;
}

static bool directive_keep(struct directives *out, struct mk_bytes name, struct mk_bytes value)
{
    for (int i = 0; i < DIRECTIVES; i++) {
        if (same_name(name, names[i])) {
            bool first = out->values[i].data == NULL;
            out->values[i] = value;
            return first;
        }
    }
    return true;
}

static bool directive_take(struct mk_bytes *text, struct mk_arena *scraps, struct directives *out)
{
    struct mk_bytes name = word_take(text);
    struct mk_bytes value;

    pass_blanks(text);
    if (name.len == 0 || text->len == 0 || text->data[0] != '=') {
        return false;
    }
    pass(text, 1);
    pass_blanks(text);
    if (text->len > 0 && text->data[0] == '"') {
        if (!quoted_take(text, scraps, &value)) {
            return false;
        }
    } else {
        value = word_take(text);
        if (value.len == 0) {
            return false;
        }
    }
    return directive_keep(out, name, value);
}

bool directives_parse(struct mk_bytes text, struct mk_arena *scraps, struct directives *out)
{
    *out = (struct directives){0};
    pass_blanks(&text);
    while (text.len > 0) {
        if (text.data[0] != ',' && !directive_take(&text, scraps, out)) {
            return false;
        }
        pass_blanks(&text);
        if (text.len > 0) {
            if (text.data[0] != ',') {
                return false;
            }
            pass(&text, 1);
            pass_blanks(&text);
        }
    }
    return true;
}
