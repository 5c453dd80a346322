/* The table of options: what each is called, where it is kept, and what it may be. conf/moonkeeper.cfg
 * explains them in the same order, and a test compares the two. */
#include "edge/options.h"

#include "edge/words.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define DAY_MS INT64_C(86400000)
#define NAME_BYTES_MAX 64 /* of what is compared for a suggestion */

enum option_kind {
    OPTION_TEXT,       /* char * */
    OPTION_MS,         /* mk_ms */
    OPTION_SECONDS,    /* mk_ms, written in seconds */
    OPTION_INTEGER,    /* int64_t */
    OPTION_COUNT,      /* uint32_t */
    OPTION_BYTES,      /* uint64_t, with K, M or G */
    OPTION_BYTES_U32,  /* uint32_t, likewise */
    OPTION_KILOBYTES,  /* uint64_t, written in KiB */
    OPTION_TRUE_FALSE, /* bool */
    OPTION_YES_NO,     /* bool */
    OPTION_ON_OFF,     /* bool */
    OPTION_LEVEL,      /* uint32_t: enum mk_log_level */
    OPTION_WORDS,      /* uint32_t: set of four-letter words */
};
struct option {
    const char *name;
    enum option_kind kind;
    size_t offset;
    int64_t min, max; /* as written */
};
#define AT(field) offsetof(struct edge_options, field)

static const struct option options_table[] = {
    {"dataDir", OPTION_TEXT, AT(data_dir)},
    {"dataLogDir", OPTION_TEXT, AT(log_dir)},
    {"clientPort", OPTION_COUNT, AT(port), 0, 65535},
    {"clientPortAddress", OPTION_TEXT, AT(address)},
    {"clientPortListenBacklog", OPTION_INTEGER, AT(listen_backlog), -1, 65535},
    {"clientTcpKeepAlive", OPTION_TRUE_FALSE, AT(keepalive)},
    {"maxClientCnxns", OPTION_COUNT, AT(address_conns_max), 0, 1000000},
    {"maxCnxns", OPTION_COUNT, AT(conns_max), 0, 1000000},
    {"nio.sessionlessCnxnTimeout", OPTION_MS, AT(server.sessionless_timeout_ms), 100, DAY_MS},
    {"4lw.commands.whitelist", OPTION_WORDS, AT(words)},

    {"tickTime", OPTION_MS, AT(server.tick_ms), 10, DAY_MS},
    {"minSessionTimeout", OPTION_MS, AT(server.session_timeout_min_ms), -1, DAY_MS},
    {"maxSessionTimeout", OPTION_MS, AT(server.session_timeout_max_ms), -1, 7 * DAY_MS},

    {"jute.maxbuffer", OPTION_BYTES_U32, AT(server.frame_bytes_max), KIB, 64 * MIB},
    {"globalOutstandingLimit", OPTION_COUNT, AT(server.outstanding_max), 1, 1000000},
    {"connectionOutstandingLimit", OPTION_COUNT, AT(server.conn_outstanding_max), 1, 1000000},
    {"connectionOutputBytesMax", OPTION_BYTES, AT(conn_output_bytes_max), MIB, 16 * GIB},
    {"connectionWatchesMax", OPTION_COUNT, AT(server.conn_watches_max), 1, 100000000},

    {"extendedTypesEnabled", OPTION_TRUE_FALSE, AT(server.extended_types)},
    {"skipACL", OPTION_YES_NO, AT(server.skip_acl)},
    {"DigestAuthenticationProvider.superDigest", OPTION_TEXT, AT(super_digest)},

    {"forceSync", OPTION_YES_NO, AT(sync)},
    {"fsync.warningthresholdms", OPTION_MS, AT(sync_warning_ms), 1, DAY_MS},
    {"preAllocSize", OPTION_KILOBYTES, AT(segment_bytes), 64, 4 * MIB - 1},
    {"cacheSize", OPTION_BYTES, AT(cache_bytes), 8 * MIB, 1024 * GIB},
    {"overlayBytes", OPTION_BYTES, AT(overlay_bytes), MIB, 16 * GIB},
    {"checkpointLogBytes", OPTION_BYTES, AT(server.log_bytes_checkpoint), MIB, 16 * GIB},
    {"checkpointSeconds", OPTION_SECONDS, AT(server.checkpoint_ms), 1, 86400},

    {"recipes", OPTION_ON_OFF, AT(server.recipes)},
    {"recipeDir", OPTION_TEXT, AT(recipe_dir)},
    {"callResultSeconds", OPTION_SECONDS, AT(server.call_result_ms), 1, 7 * 86400},
    {"callsMax", OPTION_COUNT, AT(server.calls_max), 1, 10000000},
    {"sessionCallsMax", OPTION_COUNT, AT(server.session_calls_max), 1, 1000000},
    {"wakesPerStep", OPTION_COUNT, AT(server.wakes_per_step), 1, 10000},

    {"logLevel", OPTION_LEVEL, AT(log_level)},
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void edge_options_default(struct edge_options *options)
{
    memset(options, 0, sizeof(*options));
    server_options_default(&options->server);
    options->data_dir = options_text(options, "./data");
    options->port = 2181;
    options->listen_backlog = -1;
    options->address_conns_max = 60;
    options->conn_output_bytes_max = 64 * MIB;
    options->cache_bytes = 256 * MIB;
    options->overlay_bytes = 32 * MIB;
    options->segment_bytes = 64 * MIB;
    options->sync = true;
    options->sync_warning_ms = 1000;
    options->log_level = MK_LOG_INFO;

    struct mk_buf missing = {0};
    enum mk_status status = words_parse(mk_bytes_text(WORDS_DEFAULT), &options->words, &missing);
    MK_ASSERT(status == MK_OK && missing.len == 0);
}

void edge_options_free(struct edge_options *options)
{
    mk_buf_free(&options->ignored);
    mk_arena_free(&options->texts);
    memset(options, 0, sizeof(*options));
}

char *options_text(struct edge_options *options, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mk_arena_alloc(&options->texts, size), text, size);
}

void options_ignore(struct edge_options *options, const char *key)
{
    size_t length = strlen(key);
    const char *ignored = (const char *)options->ignored.data;
    for (size_t at = 0; at + length <= options->ignored.len; at++) {
        bool begins = at == 0 || ignored[at - 1] == ' ';
        bool ends = at + length == options->ignored.len || ignored[at + length] == ',';
        if (begins && ends && memcmp(ignored + at, key, length) == 0) {
            return;
        }
    }
    mk_buf_printf(&options->ignored, "%s%s", options->ignored.len > 0 ? ", " : "", key);
}

const char *option_name(size_t index)
{
    return index < MK_COUNT(options_table) ? options_table[index].name : NULL;
}

/* ---- Values ---- */

static bool factor_parse(const char *suffix, int64_t *factor)
{
    if (suffix[0] != '\0' && suffix[1] != '\0') {
        return false;
    }
    switch (suffix[0]) {
    case '\0': *factor = 1; return true;
    case 'k':
    case 'K': *factor = KIB; return true;
    case 'm':
    case 'M': *factor = MIB; return true;
    case 'g':
    case 'G': *factor = GIB; return true;
    default: return false;
    }
}

/* `*number` from decimal digits or 0x..., with a factor of K, M or G if `suffix`. */
static bool integer_parse(const char *value, bool suffix, int64_t *number)
{
    const char *digits = value[0] == '-' || value[0] == '+' ? value + 1 : value;
    if (!isdigit((unsigned char)digits[0])) {
        return false;
    }
    bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    char *end = NULL;
    int64_t factor = 1;

    errno = 0;
    *number = strtoll(value, &end, hex ? 16 : 10);
    if (errno != 0 || (*end != '\0' && !suffix) || !factor_parse(end, &factor)) {
        return false;
    }
    return !__builtin_mul_overflow(*number, factor, number);
}

static enum mk_status integer_set(const struct option *option, void *field, const char *value,
                                  struct mk_error *error)
{
    bool suffix = option->kind == OPTION_BYTES || option->kind == OPTION_BYTES_U32;
    int64_t number = 0;

    if (!integer_parse(value, suffix, &number)) {
        mk_error_set(error, "%s=%s is not a whole number%s", option->name, value,
                     suffix ? ", nor one with K, M or G" : "");
        return MK_BAD_ARGUMENTS;
    }
    if (number < option->min || number > option->max) {
        mk_error_set(error, "%s=%s is out of range: give %" PRId64 " to %" PRId64, option->name,
                     value, option->min, option->max);
        return MK_BAD_ARGUMENTS;
    }
    switch (option->kind) {
    case OPTION_MS: *(mk_ms *)field = number; break;
    case OPTION_SECONDS: *(mk_ms *)field = number * 1000; break;
    case OPTION_INTEGER: *(int64_t *)field = number; break;
    case OPTION_COUNT: *(uint32_t *)field = (uint32_t)number; break;
    case OPTION_BYTES: *(uint64_t *)field = (uint64_t)number; break;
    case OPTION_BYTES_U32: *(uint32_t *)field = (uint32_t)number; break;
    case OPTION_KILOBYTES: *(uint64_t *)field = (uint64_t)number * 1024; break;
    default: MK_ASSERT(false);
    }
    return MK_OK;
}

static enum mk_status choice_set(const struct option *option, void *field, const char *value,
                                 const char *yes, const char *no, struct mk_error *error)
{
    bool is_yes = strcasecmp(value, yes) == 0;
    if (!is_yes && strcasecmp(value, no) != 0) {
        mk_error_set(error, "%s=%s: give %s or %s", option->name, value, yes, no);
        return MK_BAD_ARGUMENTS;
    }
    *(bool *)field = is_yes;
    return MK_OK;
}

static enum mk_status level_set(const struct option *option, void *field, const char *value,
                                struct mk_error *error)
{
    for (size_t i = 0; i < MK_COUNT(level_names); i++) {
        if (strcasecmp(value, level_names[i]) == 0) {
            *(uint32_t *)field = (uint32_t)i;
            return MK_OK;
        }
    }
    mk_error_set(error, "%s=%s: give error, warn, info or debug", option->name, value);
    return MK_BAD_ARGUMENTS;
}

static enum mk_status words_set(struct edge_options *options, const struct option *option,
                                void *field, const char *value, struct mk_error *error)
{
    struct mk_buf missing = {0};
    enum mk_status status = words_parse(mk_bytes_text(value), field, &missing);
    if (status != MK_OK) {
        mk_error_set(error, "%s=%s: give four-letter words with commas between, or *", option->name,
                     value);
    } else if (missing.len > 0) {
        mk_buf_put_u8(&missing, '\0');
        options_ignore(options, (const char *)missing.data);
    }
    mk_buf_free(&missing);
    return status;
}

static enum mk_status value_set(struct edge_options *options, const struct option *option,
                                const char *value, struct mk_error *error)
{
    void *field = (char *)options + option->offset;

    switch (option->kind) {
    case OPTION_TEXT:
        *(char **)field = value[0] != '\0' ? options_text(options, value) : NULL;
        return MK_OK;
    case OPTION_TRUE_FALSE: return choice_set(option, field, value, "true", "false", error);
    case OPTION_YES_NO: return choice_set(option, field, value, "yes", "no", error);
    case OPTION_ON_OFF: return choice_set(option, field, value, "on", "off", error);
    case OPTION_LEVEL: return level_set(option, field, value, error);
    case OPTION_WORDS: return words_set(options, option, field, value, error);
    case OPTION_MS:
    case OPTION_SECONDS:
    case OPTION_INTEGER:
    case OPTION_COUNT:
    case OPTION_BYTES:
    case OPTION_BYTES_U32:
    case OPTION_KILOBYTES: return integer_set(option, field, value, error);
    }
    return MK_BAD_ARGUMENTS;
}

/* ---- Keys ---- */

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return strncasecmp(&a, &b, 1) == 0;
}

/* Edits (insert, remove, replace a letter) that make `b` of `a`, whatever the case. */
static unsigned edits_between(const char *a, const char *b)
{
    size_t a_len = strnlen(a, NAME_BYTES_MAX), b_len = strnlen(b, NAME_BYTES_MAX);
    unsigned row[NAME_BYTES_MAX + 1];

    for (size_t j = 0; j <= b_len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replaced = diagonal + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);
            diagonal = row[j];
            row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

/* The name that `key` was most likely meant to be; NULL if none is near. */
static const char *key_nearest(const char *key)
{
    const char *nearest = NULL;
    unsigned least = 2 + (unsigned)strnlen(key, NAME_BYTES_MAX) / 4;

    for (size_t i = 0; option_name(i) != NULL; i++) {
        unsigned edits = edits_between(key, option_name(i));
        if (edits < least) {
            least = edits;
            nearest = option_name(i);
        }
    }
    for (size_t i = 0; zookeeper_key_name(i) != NULL; i++) {
        unsigned edits = edits_between(key, zookeeper_key_name(i));
        if (edits < least) {
            least = edits;
            nearest = zookeeper_key_name(i);
        }
    }
    return nearest;
}

static enum mk_status key_unknown(const char *key, struct mk_error *error)
{
    static const char property[] = "zookeeper.";
    const char *bare = strncmp(key, property, strlen(property)) == 0 ? key + strlen(property) : key;
    const char *nearest = key_nearest(bare);

    if (nearest != NULL) {
        mk_error_set(error, "unknown option %s: did you mean %s?", key, nearest);
    } else {
        mk_error_set(error, "unknown option %s: moonkeeper.cfg explains those there are", key);
    }
    return MK_BAD_ARGUMENTS;
}

static enum mk_status foreign_key_set(struct edge_options *options, const char *key,
                                      const char *value, struct mk_error *error)
{
    switch (zookeeper_key_find(key, value)) {
    case ZOOKEEPER_KEY_UNKNOWN: return key_unknown(key, error);
    case ZOOKEEPER_KEY_IGNORED: options_ignore(options, key); return MK_OK;
    case ZOOKEEPER_KEY_ENSEMBLE:
        mk_error_set(error,
                     "%s=%s: ensembles are not available yet: remove the line to run one server",
                     key, value);
        return MK_BAD_ARGUMENTS;
    case ZOOKEEPER_KEY_TLS:
        mk_error_set(error, "%s=%s: TLS is not available yet: remove the line to serve without it",
                     key, value);
        return MK_BAD_ARGUMENTS;
    case ZOOKEEPER_KEY_AUTH:
        mk_error_set(error,
                     "%s=%s is not available yet, and ignoring it would let in whom it is "
                     "meant to keep out: remove the line if that is acceptable",
                     key, value);
        return MK_BAD_ARGUMENTS;
    }
    return MK_BAD_ARGUMENTS;
}

enum mk_status option_set(struct edge_options *options, const char *key, const char *value,
                          struct mk_error *error)
{
    for (size_t i = 0; i < MK_COUNT(options_table); i++) {
        if (strcmp(options_table[i].name, key) == 0) {
            return value_set(options, &options_table[i], value, error);
        }
    }
    return foreign_key_set(options, key, value, error);
}

enum mk_status options_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;

    if (options->data_dir == NULL) {
        mk_error_set(error, "dataDir is empty: name the directory to keep the data in");
        return MK_BAD_ARGUMENTS;
    }
    if (server->session_timeout_min_ms <= 0) {
        server->session_timeout_min_ms = 2 * server->tick_ms;
    }
    if (server->session_timeout_max_ms <= 0) {
        server->session_timeout_max_ms = 20 * server->tick_ms;
    }
    if (server->session_timeout_min_ms > server->session_timeout_max_ms) {
        mk_error_set(error,
                     "minSessionTimeout=%" PRId64 " is larger than maxSessionTimeout=%" PRId64,
                     server->session_timeout_min_ms, server->session_timeout_max_ms);
        return MK_BAD_ARGUMENTS;
    }
    server->super_digest =
        options->super_digest != NULL ? mk_bytes_text(options->super_digest) : MK_BYTES_NULL;
    server->elapsed_ms = edge_elapsed_ms;
    return MK_OK;
}

/* ---- The way back ---- */

static void bytes_append(uint64_t bytes, struct mk_buf *out)
{
    static const char units[] = {'G', 'M', 'K'};
    static const uint64_t factors[] = {GIB, MIB, KIB};

    for (size_t i = 0; i < MK_COUNT(factors); i++) {
        if (bytes > 0 && bytes % factors[i] == 0) {
            mk_buf_printf(out, "%" PRIu64 "%c", bytes / factors[i], units[i]);
            return;
        }
    }
    mk_buf_printf(out, "%" PRIu64, bytes);
}

static void words_append(uint32_t words, struct mk_buf *out)
{
    uint32_t defaults = 0;
    struct mk_buf missing = {0};
    enum mk_status status = words_parse(mk_bytes_text(WORDS_DEFAULT), &defaults, &missing);
    MK_ASSERT(status == MK_OK);
    mk_buf_printf(out, "%s", words == defaults ? WORDS_DEFAULT : "(changed)");
}

void option_value(const struct edge_options *options, size_t index, struct mk_buf *out)
{
    MK_ASSERT(index < MK_COUNT(options_table));
    const struct option *option = &options_table[index];
    const void *field = (const char *)options + option->offset;
    const char *text = NULL;

    switch (option->kind) {
    case OPTION_TEXT:
        text = *(char *const *)field;
        mk_buf_printf(out, "%s", text != NULL ? text : "");
        return;
    case OPTION_MS:
    case OPTION_INTEGER: mk_buf_printf(out, "%" PRId64, *(const int64_t *)field); return;
    case OPTION_SECONDS: mk_buf_printf(out, "%" PRId64, *(const mk_ms *)field / 1000); return;
    case OPTION_COUNT: mk_buf_printf(out, "%" PRIu32, *(const uint32_t *)field); return;
    case OPTION_BYTES: bytes_append(*(const uint64_t *)field, out); return;
    case OPTION_BYTES_U32: bytes_append(*(const uint32_t *)field, out); return;
    case OPTION_KILOBYTES: mk_buf_printf(out, "%" PRIu64, *(const uint64_t *)field / 1024); return;
    case OPTION_TRUE_FALSE: text = *(const bool *)field ? "true" : "false"; break;
    case OPTION_YES_NO: text = *(const bool *)field ? "yes" : "no"; break;
    case OPTION_ON_OFF: text = *(const bool *)field ? "on" : "off"; break;
    case OPTION_LEVEL: text = level_names[*(const uint32_t *)field]; break;
    case OPTION_WORDS: words_append(*(const uint32_t *)field, out); return;
    }
    mk_buf_printf(out, "%s", text);
}
