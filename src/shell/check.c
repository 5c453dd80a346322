/* Paths, numbers and ACLs as they were typed. A path is judged as ZooKeeper's client judges it, with its
 * words, because operators know them; positions count UTF-16 units, as it does. */
#include "shell/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Paths ---- */

#define REPLACEMENT 0xfffdu /* what Java reads where bytes make no character */

/* One character of UTF-8 at *at, which moves behind it. */
static uint32_t character_next(const uint8_t **at)
{
    const uint8_t *text = *at;
    size_t more = text[0] >= 0xf0 ? 3 : text[0] >= 0xe0 ? 2 : text[0] >= 0xc0 ? 1 : 0;
    uint32_t value = more > 0 ? text[0] & (0x3fu >> more) : text[0];

    *at += 1;
    if (more == 0) {
        return text[0] < 0x80 ? text[0] : REPLACEMENT;
    }
    for (size_t i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return REPLACEMENT;
        }
        value = value << 6 | (text[i] & 0x3f);
    }
    *at += more;
    return value;
}

/* Outside of the basic plane lie only surrogates, for it looks at UTF-16: refused as well. */
static bool character_refused(uint32_t c)
{
    return c <= 0x1f || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xf8ff) || c >= 0xfff0;
}

/* "." or ".." between slashes, the dot at `at` being its last character. */
static bool is_relative(const char *path, const char *at)
{
    bool ends = at[1] == '\0' || at[1] == '/';
    const char *begin = at[-1] == '.' ? at - 1 : at;

    return ends && begin > path && begin[-1] == '/';
}

/* What is wrong with it from the second character on; NULL: nothing. */
static const char *path_flaw(const char *path, size_t *position)
{
    const uint8_t *at = (const uint8_t *)path + 1;

    for (*position = 1; *at != '\0'; ++*position) {
        const char *here = (const char *)at;
        uint32_t c = character_next(&at);
        if (c == '/' && here[-1] == '/') {
            return "empty node name specified";
        }
        if (c == '.' && is_relative(path, here)) {
            return "relative paths not allowed";
        }
        if (character_refused(c)) {
            return "invalid character";
        }
    }
    return NULL;
}

bool shell_path_check(const char *path, bool sequential, struct mk_error *error)
{
    size_t len = strlen(path);
    size_t position = 0;
    char *whole = mk_alloc(len + 2);
    const char *flaw = NULL;

    memcpy(whole, path, len + 1);
    if (sequential) {
        whole[len++] = '1';
        whole[len] = '\0';
    }
    if (len == 0) {
        flaw = "Path length must be > 0";
    } else if (whole[0] != '/') {
        flaw = "Path must start with / character";
    } else if (len > 1 && whole[len - 1] == '/') {
        flaw = "Path must not end with / character";
    }
    if (flaw != NULL) {
        mk_error_set(error, "%s", flaw);
    } else {
        flaw = path_flaw(whole, &position);
        if (flaw != NULL) {
            mk_error_set(error, "Invalid path string \"%.300s\" caused by %s @%zu", whole, flaw,
                         position);
        }
    }
    mk_free(whole);
    return flaw == NULL;
}

/* ---- Numbers ---- */

bool shell_number_parse(const char *text, int base, int64_t min, int64_t max, int64_t *value)
{
    char *end = NULL;

    errno = 0;
    *value = strtoll(text, &end, base);
    bool blank = *text == ' ' || (*text >= '\t' && *text <= '\r');
    return *text != '\0' && !blank && *end == '\0' && errno == 0 && *value >= min && *value <= max;
}

/* ---- ACLs ---- */

static int32_t permissions_parse(struct shell *shell, const char *text)
{
    static const char letters[] = "rwcda"; /* in the order of their bits */
    int32_t permissions = 0;

    for (; *text != '\0'; text++) {
        const char *letter = strchr(letters, *text);
        if (letter == NULL) {
            shell_say(shell, "Unknown perm type: %c", *text);
        } else {
            permissions |= 1 << (letter - letters);
        }
    }
    return permissions;
}

static void acl_parse(struct shell *shell, struct shell_acls *acls, char *entry)
{
    char *id = strchr(entry, ':');
    char *permissions = strrchr(entry, ':');

    if (id == NULL || id == permissions) {
        shell_say(shell, "%s does not have the form scheme:id:perm", entry);
        return;
    }
    *id = '\0';
    *permissions = '\0';
    acls->list = mk_realloc(acls->list, (acls->count + 1) * sizeof(*acls->list));
    acls->list[acls->count++] = (struct moonkeeper_acl){
        .permissions = permissions_parse(shell, permissions + 1), .scheme = entry, .id = id + 1};
}

void shell_acls_parse(struct shell *shell, struct shell_acls *acls, const char *text)
{
    char *rest = NULL;

    memset(acls, 0, sizeof(*acls));
    mk_buf_append(&acls->text, text, strlen(text) + 1);
    char *entry = strtok_r((char *)acls->text.data, ",", &rest);
    for (; entry != NULL; entry = strtok_r(NULL, ",", &rest)) {
        acl_parse(shell, acls, entry);
    }
}

void shell_acls_free(struct shell_acls *acls)
{
    mk_free(acls->list);
    mk_buf_free(&acls->text);
    memset(acls, 0, sizeof(*acls));
}
