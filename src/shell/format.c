/* Texts as zkCli prints them. Scripts cut them apart, so nothing here is a matter of taste. */
#include "shell/internal.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* ---- Stats, ACLs, events ---- */

void format_date(struct mk_buf *out, int64_t time_ms)
{
    /* Names of days and months in English whatever the locale is, as zkCli's are in most. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(time_ms / 1000 - (time_ms % 1000 < 0 ? 1 : 0));
    struct tm parts;

    if (localtime_r(&seconds, &parts) == NULL) {
        mk_buf_printf(out, "%" PRId64, time_ms); /* a year that an int cannot hold */
        return;
    }
    mk_buf_printf(out, "%.3s %.3s %02d %02d:%02d:%02d %s %04d", days + 3 * parts.tm_wday,
                  months + 3 * parts.tm_mon, parts.tm_mday, parts.tm_hour, parts.tm_min,
                  parts.tm_sec, parts.tm_zone, parts.tm_year + 1900);
}

void format_stat(struct mk_buf *out, const struct moonkeeper_stat *stat)
{
    mk_buf_printf(out, "cZxid = 0x%" PRIx64 "\nctime = ", (uint64_t)stat->czxid);
    format_date(out, stat->ctime_ms);
    mk_buf_printf(out, "\nmZxid = 0x%" PRIx64 "\nmtime = ", (uint64_t)stat->mzxid);
    format_date(out, stat->mtime_ms);
    mk_buf_printf(out, "\npZxid = 0x%" PRIx64 "\n", (uint64_t)stat->pzxid);
    mk_buf_printf(out, "cversion = %" PRId32 "\ndataVersion = %" PRId32 "\naclVersion = %" PRId32,
                  stat->cversion, stat->version, stat->aversion);
    mk_buf_printf(out, "\nephemeralOwner = 0x%" PRIx64 "\n", (uint64_t)stat->ephemeral_owner);
    mk_buf_printf(out, "dataLength = %" PRId32 "\nnumChildren = %" PRId32 "\n", stat->data_length,
                  stat->children_count);
}

void format_acl(struct mk_buf *out, const struct moonkeeper_acl *acl)
{
    static const struct {
        int32_t bit;
        char letter;
    } letters[] = {{MOONKEEPER_CREATE_CHILDREN, 'c'},
                   {MOONKEEPER_DELETE_CHILDREN, 'd'},
                   {MOONKEEPER_READ, 'r'},
                   {MOONKEEPER_WRITE, 'w'},
                   {MOONKEEPER_ADMIN, 'a'}};

    mk_buf_printf(out, "'%s,'%s\n: ", acl->scheme, acl->id);
    for (size_t i = 0; i < MK_COUNT(letters); i++) {
        if ((acl->permissions & letters[i].bit) != 0) {
            mk_buf_put_u8(out, (uint8_t)letters[i].letter);
        }
    }
    mk_buf_put_u8(out, '\n');
}

void format_event(struct mk_buf *out, const char *state, const char *type, const char *path)
{
    mk_buf_printf(out, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s\n", state, type, path);
}

/* ---- Data ---- */

/* Sixteen bytes from `row` on, as numbers and as what can be seen of them. */
static void hex_row(struct mk_buf *out, struct mk_bytes data, size_t row)
{
    mk_buf_printf(out, "|%08zx|", row);
    for (size_t i = row; i < row + 16; i++) {
        if (i < data.len) {
            mk_buf_printf(out, " %02x", data.data[i]);
        } else {
            mk_buf_append(out, "   ", 3);
        }
    }
    mk_buf_append(out, " |", 2);
    for (size_t i = row; i < row + 16; i++) {
        bool visible = i < data.len && data.data[i] > 0x1f && data.data[i] < 0x7f;
        mk_buf_put_u8(out, visible ? data.data[i] : i < data.len ? '.' : ' ');
    }
    mk_buf_append(out, "|\n", 2);
}

void format_hex(struct mk_buf *out, struct mk_bytes data)
{
    static const char rule[] =
        "+--------+-------------------------------------------------+----------------+";

    if (data.len == 0) {
        return;
    }
    mk_buf_printf(out,
                  "         +-------------------------------------------------+\n"
                  "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n%s\n",
                  rule);
    for (size_t row = 0; row < data.len; row += 16) {
        hex_row(out, data, row);
    }
    mk_buf_printf(out, "%s", rule);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* As java.util.Base64: padding may be left out, nothing may follow it, bits left over are dropped. */
bool parse_base64(struct mk_buf *out, const char *text)
{
    size_t digits = strspn(text, base64_digits);
    size_t padding = strspn(text + digits, "=");
    uint32_t group = 0;

    if (text[digits + padding] != '\0' || digits % 4 == 1 ||
        (padding > 0 && (digits + padding) % 4 != 0) || padding > 2) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        group = group << 6 | (uint32_t)(strchr(base64_digits, text[i]) - base64_digits);
        if (i % 4 != 0) { /* 6, 4 and 2 bits are left over in turn */
            mk_buf_put_u8(out, (uint8_t)(group >> (6 - 2 * (i % 4))));
        }
    }
    return true;
}

/* ---- Configurations ---- */

void format_config_clients(struct mk_buf *out, struct mk_bytes config)
{
    struct mk_properties properties = mk_properties_of(config);
    struct mk_property property = {{0}, {0}};
    struct mk_buf clients = {0};
    struct mk_buf version = {0};

    while (mk_properties_next(&properties, &property) == MK_OK) {
        const char *key = (const char *)property.key.data;
        const char *client = strrchr((const char *)property.value.data, ';');
        if (strcmp(key, "version") == 0) {
            version.len = 0;
            mk_buf_append_bytes(&version, mk_buf_view(&property.value));
        } else if (strncmp(key, "server.", 7) == 0 && client != NULL) {
            bool address = strchr(client, ':') != NULL;
            mk_buf_printf(&clients, "%s%s%s", clients.len > 0 ? "," : "",
                          address ? "" : "0.0.0.0:", client + 1);
        }
    }
    mk_buf_append_bytes(out, mk_buf_view(&version));
    mk_buf_put_u8(out, ' ');
    mk_buf_append_bytes(out, mk_buf_view(&clients));
    mk_buf_free(&version);
    mk_buf_free(&clients);
    mk_property_free(&property);
}

/* ---- Failures ---- */

/* KeeperException's words where they are not the name of the code. */
static const char *code_words(int error)
{
    switch (error) {
    case MOONKEEPER_NOT_EMPTY: return "Directory not empty";
    case MOONKEEPER_SESSION_EXPIRED: return "Session expired";
    case MOONKEEPER_INVALID_CALLBACK: return "Invalid callback";
    case MOONKEEPER_SESSION_MOVED: return "Session moved";
    case MOONKEEPER_NOT_READ_ONLY: return "Not a read-only call";
    case MOONKEEPER_EPHEMERAL_ON_LOCAL_SESSION: return "Ephemeral node on local session";
    case MOONKEEPER_NO_WATCHER: return "No such watcher";
    case MOONKEEPER_RECONFIG_DISABLED: return "Reconfig is disabled";
    case MOONKEEPER_AUTH_REQUIRED: return "Session closed because client failed to authenticate";
    case MOONKEEPER_QUOTA_EXCEEDED: return "Quota has exceeded";
    case MOONKEEPER_THROTTLED: return "Op throttled due to high load";
    default: return moonkeeper_error_name(error);
    }
}

/* What zkCli itself says about the most common; NULL: it says the code. */
static const char *command_words(int error)
{
    switch (error) {
    case MOONKEEPER_NO_NODE: return "Node does not exist: ";
    case MOONKEEPER_NO_CHILDREN_FOR_EPHEMERALS: return "Ephemerals cannot have children: ";
    case MOONKEEPER_NODE_EXISTS: return "Node already exists: ";
    case MOONKEEPER_NOT_EMPTY: return "Node not empty: ";
    case MOONKEEPER_NOT_READ_ONLY: return "Not a read-only call: ";
    case MOONKEEPER_INVALID_ACL: return "Acl is not valid : ";
    case MOONKEEPER_NO_AUTH: return "Insufficient permission : ";
    case MOONKEEPER_BAD_ARGUMENTS: return "Arguments are not valid : ";
    case MOONKEEPER_BAD_VERSION: return "version No is not valid : ";
    case MOONKEEPER_QUOTA_EXCEEDED: return "Quota has exceeded : ";
    default: return NULL;
    }
}

void format_failure(struct mk_buf *out, int error, const char *path)
{
    const char *words = command_words(error);

    if (error == MOONKEEPER_RECONFIG_IN_PROGRESS) {
        mk_buf_printf(out, "Another reconfiguration is in progress -- concurrent reconfigs not "
                           "supported (yet)");
    } else if (error == MOONKEEPER_NEW_CONFIG_NO_QUORUM) {
        mk_buf_printf(out, "No quorum of new config is connected and up-to-date with the leader of "
                           "last committed config - try invoking reconfiguration after new servers "
                           "are connected and synced");
    } else if (words != NULL) {
        mk_buf_printf(out, "%s%s", words, path != NULL ? path : "null");
    } else {
        mk_buf_printf(out, "KeeperErrorCode = %s%s%s", code_words(error),
                      path != NULL ? " for " : "", path != NULL ? path : "");
    }
}

/* ---- For terminals ---- */

/* The bytes of a well-formed UTF-8 character at `text`; 0: it is none. */
static size_t character_bytes(const uint8_t *text, size_t left)
{
    uint8_t first = text[0];
    size_t len = first < 0x80   ? 1
                 : first < 0xc2 ? 0
                 : first < 0xe0 ? 2
                 : first < 0xf0 ? 3
                 : first < 0xf5 ? 4
                                : 0;

    if (len > left) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

/* Control characters, the second range of them (U+0080 to U+009F), and those that turn the direction of
 * the text around (U+202A to U+202E, U+2066 to U+2069), with which it would not say what it shows. */
static bool character_hidden(const uint8_t *c, size_t len)
{
    if (len == 1) {
        return (c[0] < 0x20 && c[0] != '\n' && c[0] != '\t') || c[0] == 0x7f;
    }
    if (len == 2) {
        return c[0] == 0xc2 && c[1] < 0xa0;
    }
    return len == 3 && c[0] == 0xe2 &&
           ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) ||
            (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

void format_visible(struct mk_buf *out, struct mk_bytes text)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = character_bytes(text.data + at, text.len - at);
        if (len > 0 && !character_hidden(text.data + at, len)) {
            mk_buf_append(out, text.data + at, len);
            at += len;
            continue;
        }
        for (size_t end = at + (len > 0 ? len : 1); at < end; at++) {
            mk_buf_printf(out, "\\x%02x", text.data[at]);
        }
    }
}
