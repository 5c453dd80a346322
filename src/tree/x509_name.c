/* An id of the scheme x509 is a distinguished name (RFC 2253, with what Java allows besides): parts
 * type=value between "," or ";", or "+" within one. Compared it is byte by byte, so only its form matters
 * here. Source: what Java's X500Principal accepts. */
#include "tree/x509_name.h"

#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

static void blanks_skip(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n')) {
        cursor->at++;
    }
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static uint8_t upper(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
}

static bool same_word(struct mk_bytes text, const char *word)
{
    size_t len = strlen(word);

    if (text.len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (upper(text.data[i]) != (uint8_t)word[i]) {
            return false;
        }
    }
    return true;
}

static bool is_number_list(struct mk_bytes text) /* 1.2.840 */
{
    bool digit = false;

    for (size_t i = 0; i < text.len; i++) {
        bool dot = text.data[i] == '.';
        if (!is_digit(text.data[i]) && !(dot && digit)) {
            return false;
        }
        digit = !dot;
    }
    return digit && memchr(text.data, '.', text.len) != NULL;
}

static bool type_valid(struct mk_bytes type)
{
    static const char *const words[] = {
        "CN",           "C",          "L",           "S",        "ST",           "O",
        "OU",           "T",          "IP",          "STREET",   "DC",           "DNQ",
        "SURNAME",      "GIVENNAME",  "UID",         "INITIALS", "SERIALNUMBER", "EMAIL",
        "EMAILADDRESS", "GENERATION", "DNQUALIFIER",
    };

    for (size_t i = 0; i < MK_COUNT(words); i++) {
        if (same_word(type, words[i])) {
            return true;
        }
    }
    if (type.len > 4 && same_word(mk_bytes_of(type.data, 4), "OID.")) {
        type = mk_bytes_of(type.data + 4, type.len - 4);
    }
    return is_number_list(type);
}

static bool type_take(struct cursor *cursor)
{
    blanks_skip(cursor);
    const uint8_t *begin = cursor->at;
    const uint8_t *equals = memchr(begin, '=', (size_t)(cursor->end - begin));

    if (equals == NULL) {
        return false;
    }
    const uint8_t *last = equals;
    while (last > begin && last[-1] == ' ') {
        last--;
    }
    cursor->at = equals + 1;
    return type_valid(mk_bytes_of(begin, (size_t)(last - begin)));
}

static int hex_digit(uint8_t byte)
{
    if (is_digit(byte)) {
        return byte - '0';
    }
    return upper(byte) >= 'A' && upper(byte) <= 'F' ? upper(byte) - 'A' + 10 : -1;
}

/* Behind a backslash: what would mean something, a blank, or a byte as two digits. */
static bool escaped_take(struct cursor *cursor)
{
    size_t left = (size_t)(cursor->end - ++cursor->at);

    if (left > 0 && memchr(",=+<>#;\"\\ ", *cursor->at, 10) != NULL) {
        cursor->at++;
        return true;
    }
    if (left < 2 || hex_digit(cursor->at[0]) < 0 || hex_digit(cursor->at[1]) < 0) {
        return false;
    }
    cursor->at += 2;
    return true;
}

static bool quoted_take(struct cursor *cursor)
{
    cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at != '\\') {
            cursor->at++;
        } else if (!escaped_take(cursor)) {
            return false;
        }
    }
    if (cursor->at == cursor->end) {
        return false;
    }
    cursor->at++;
    blanks_skip(cursor);
    return true;
}

/* One value in DER, a length of one byte or of more before it. */
static bool hex_take(struct cursor *cursor)
{
    uint8_t head[4] = {0};
    size_t digits = 0;

    for (cursor->at++; cursor->at < cursor->end && hex_digit(*cursor->at) >= 0; cursor->at++) {
        if (digits < 2 * sizeof(head)) {
            head[digits / 2] = (uint8_t)(head[digits / 2] << 4 | hex_digit(*cursor->at));
        }
        digits++;
    }
    blanks_skip(cursor);
    size_t bytes = digits / 2;
    if (digits % 2 != 0 || bytes < 2) {
        return false;
    }
    switch (head[1]) {
    case 0x81: return bytes == 3u + head[2];
    case 0x82: return bytes == 4u + head[2] * 256u + head[3];
    default: return head[1] < 0x80 && bytes == 2u + head[1];
    }
}

static bool is_separator(uint8_t byte)
{
    return byte == ',' || byte == ';' || byte == '+';
}

/* Within a value Java takes "=" and "#" as they are. */
static bool plain_take(struct cursor *cursor)
{
    while (cursor->at < cursor->end && !is_separator(*cursor->at)) {
        if (*cursor->at == '\\') {
            if (!escaped_take(cursor)) {
                return false;
            }
        } else if (*cursor->at == '<' || *cursor->at == '>' || *cursor->at == '"') {
            return false;
        } else {
            cursor->at++;
        }
    }
    return true;
}

static bool value_take(struct cursor *cursor)
{
    blanks_skip(cursor);
    if (cursor->at < cursor->end && *cursor->at == '"') {
        return quoted_take(cursor);
    }
    if (cursor->at < cursor->end && *cursor->at == '#') {
        return hex_take(cursor);
    }
    return plain_take(cursor);
}

bool tree_x509_name_valid(struct mk_bytes name)
{
    struct cursor cursor = {name.data, name.data + name.len};

    if (name.data == NULL) {
        return false;
    }
    while (name.len > 0) {
        if (!type_take(&cursor) || !value_take(&cursor)) {
            return false;
        }
        if (cursor.at == cursor.end) {
            return true;
        }
        if (!is_separator(*cursor.at++)) {
            return false;
        }
    }
    return true;
}
