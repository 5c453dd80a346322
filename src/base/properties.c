/* Java properties: "key = value", "key: value" or "key value" a line; # and ! begin a comment; a
 * backslash at the end continues the line; \t \n \r \f \uXXXX are what they say and any other
 * backslash is dropped. Source: java.util.Properties.load. Bytes above 0x7f are passed on as they are,
 * so that a file in UTF-8 means what it shows. */
#include "base/base.h"

struct mk_properties mk_properties_of(struct mk_bytes text)
{
    return (struct mk_properties){.text = mk_reader_of(text), .line = 0, .next_line = 1};
}

void mk_property_free(struct mk_property *property)
{
    mk_buf_free(&property->key);
    mk_buf_free(&property->value);
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\f';
}

static bool is_newline(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

/* Past one "\n", "\r" or "\r\n". */
static void newline_skip(struct mk_properties *properties)
{
    struct mk_reader *text = &properties->text;

    uint8_t first = mk_read_u8(text);
    if (first == '\r' && mk_reader_left(text) > 0 && *text->at == '\n') {
        (void)mk_read_u8(text);
    }
    properties->next_line++;
}

static void blanks_skip(struct mk_properties *properties)
{
    while (mk_reader_left(&properties->text) > 0 && is_blank(*properties->text.at)) {
        (void)mk_read_u8(&properties->text);
    }
}

static void comment_skip(struct mk_properties *properties)
{
    struct mk_reader *text = &properties->text;

    while (mk_reader_left(text) > 0 && !is_newline(*text->at)) {
        (void)mk_read_u8(text);
    }
}

/* To the first byte of an entry, past blank lines and comments. False: there is none. */
static bool entry_find(struct mk_properties *properties)
{
    struct mk_reader *text = &properties->text;

    for (;;) {
        blanks_skip(properties);
        if (mk_reader_left(text) == 0) {
            return false;
        }
        if (*text->at == '#' || *text->at == '!') {
            comment_skip(properties);
        } else if (is_newline(*text->at)) {
            newline_skip(properties);
        } else {
            properties->line = properties->next_line;
            return true;
        }
    }
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    if (byte >= 'A' && byte <= 'F') {
        return byte - 'A' + 10;
    }
    return -1;
}

/* The four digits after \u, as UTF-8. Halves of a surrogate pair are not worth a rule: refused. */
static bool unicode_append(struct mk_reader *text, struct mk_buf *out)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(mk_read_u8(text));
        if (digit < 0) {
            return false;
        }
        code = code << 4 | (uint32_t)digit;
    }
    if (code == 0 || (code >= 0xd800 && code <= 0xdfff)) {
        return false;
    }

    if (code < 0x80) {
        mk_buf_put_u8(out, (uint8_t)code);
    } else if (code < 0x800) {
        mk_buf_put_u8(out, (uint8_t)(0xc0 | code >> 6));
        mk_buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        mk_buf_put_u8(out, (uint8_t)(0xe0 | code >> 12));
        mk_buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        mk_buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
    return true;
}

/* What follows a backslash. */
static bool escape_append(struct mk_properties *properties, struct mk_buf *out)
{
    struct mk_reader *text = &properties->text;

    if (mk_reader_left(text) == 0) {
        return true; /* A backslash that ends the file continues a line that is empty. */
    }
    if (is_newline(*text->at)) {
        newline_skip(properties);
        blanks_skip(properties);
        return true;
    }
    uint8_t byte = mk_read_u8(text);
    switch (byte) {
    case 't': mk_buf_put_u8(out, '\t'); return true;
    case 'n': mk_buf_put_u8(out, '\n'); return true;
    case 'r': mk_buf_put_u8(out, '\r'); return true;
    case 'f': mk_buf_put_u8(out, '\f'); return true;
    case 'u': return unicode_append(text, out);
    case '\0': return false;
    default: mk_buf_put_u8(out, byte); return true;
    }
}

/* Up to the end of the line; of a key also up to what separates it from its value. */
static bool part_read(struct mk_properties *properties, bool is_key, struct mk_buf *out)
{
    struct mk_reader *text = &properties->text;
    bool valid = true;

    while (valid && mk_reader_left(text) > 0 && !is_newline(*text->at)) {
        uint8_t byte = *text->at;
        if (is_key && (byte == '=' || byte == ':' || is_blank(byte))) {
            break;
        }
        (void)mk_read_u8(text);
        if (byte == '\\') {
            valid = escape_append(properties, out);
        } else {
            valid = byte != '\0';
            mk_buf_put_u8(out, byte);
        }
    }
    return valid;
}

static void separator_skip(struct mk_properties *properties)
{
    struct mk_reader *text = &properties->text;

    blanks_skip(properties);
    if (mk_reader_left(text) > 0 && (*text->at == '=' || *text->at == ':')) {
        (void)mk_read_u8(text);
        blanks_skip(properties);
    }
}

/* Trimmed at both ends, with a NUL that does not count. */
static void part_finish(struct mk_buf *part)
{
    size_t begin = 0;
    while (begin < part->len && part->data[begin] <= ' ') {
        begin++;
    }
    while (part->len > begin && part->data[part->len - 1] <= ' ') {
        part->len--;
    }
    for (size_t i = begin; i < part->len && begin > 0; i++) {
        part->data[i - begin] = part->data[i];
    }
    part->len -= begin;
    mk_buf_put_u8(part, '\0');
    part->len--;
}

enum mk_status mk_properties_next(struct mk_properties *properties, struct mk_property *out)
{
    out->key.len = 0;
    out->value.len = 0;
    if (!entry_find(properties)) {
        return MK_END;
    }

    if (!part_read(properties, true, &out->key)) {
        return MK_MALFORMED;
    }
    separator_skip(properties);
    if (!part_read(properties, false, &out->value)) {
        return MK_MALFORMED;
    }
    part_finish(&out->key);
    part_finish(&out->value);
    return MK_OK;
}
