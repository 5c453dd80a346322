/* An option's value: read from text, checked, and written back as text. */
#include "edge/option.h"

#include "admin/admin.h"
#include "edge/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MILLION 1000000u

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* The first name of each is the one that is written back. */
static const struct hash_name {
    const char *name;
    enum tree_digest hash;
} hash_names[] = {
    {"SHA1", TREE_DIGEST_SHA1},      {"SHA-1", TREE_DIGEST_SHA1},
    {"SHA", TREE_DIGEST_SHA1},       {"SHA-224", TREE_DIGEST_SHA224},
    {"SHA-256", TREE_DIGEST_SHA256}, {"SHA-384", TREE_DIGEST_SHA384},
    {"SHA-512", TREE_DIGEST_SHA512},
};

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
    case OPTION_COUNT_OR_NONE: *(uint32_t *)field = number > 0 ? (uint32_t)number : 0; break;
    case OPTION_BYTES: *(uint64_t *)field = (uint64_t)number; break;
    case OPTION_BYTES_U32: *(uint32_t *)field = (uint32_t)number; break;
    case OPTION_KILOBYTES: *(uint64_t *)field = (uint64_t)number * 1024; break;
    default: MK_ASSERT(false);
    }
    return MK_OK;
}

/* "0", "1", "0.02": digits of a fraction beyond the sixth do not count. */
static enum mk_status ratio_set(const struct option *option, void *field, const char *value,
                                struct mk_error *error)
{
    const char *at = value;
    uint32_t millionths = 0, unit = MILLION;

    for (; isdigit((unsigned char)*at) && millionths <= MILLION; at++) {
        millionths = millionths * 10 + (uint32_t)(*at - '0') * MILLION;
    }
    bool valid = at > value;
    if (*at == '.') {
        for (at++; isdigit((unsigned char)*at); at++) {
            unit /= 10;
            millionths += (uint32_t)(*at - '0') * unit;
        }
    }
    if (!valid || *at != '\0' || millionths > MILLION) {
        mk_error_set(error, "%s=%s: give a fraction from 0 to 1, such as 0.02", option->name,
                     value);
        return MK_BAD_ARGUMENTS;
    }
    *(uint32_t *)field = millionths;
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

static enum mk_status hash_set(const struct option *option, void *field, const char *value,
                               struct mk_error *error)
{
    for (size_t i = 0; i < MK_COUNT(hash_names); i++) {
        if (strcasecmp(value, hash_names[i].name) == 0) {
            *(uint32_t *)field = (uint32_t)hash_names[i].hash;
            return MK_OK;
        }
    }
    mk_error_set(error, "%s=%s: give SHA1, SHA-224, SHA-256, SHA-384 or SHA-512", option->name,
                 value);
    return MK_BAD_ARGUMENTS;
}

static const char *hash_name_of(uint32_t hash)
{
    size_t i = 0;
    while ((uint32_t)hash_names[i].hash != hash) {
        i++;
        MK_ASSERT(i < MK_COUNT(hash_names));
    }
    return hash_names[i].name;
}

static enum mk_status words_set(const struct option *option, void *field, const char *value,
                                struct mk_error *error)
{
    enum mk_status status = admin_words_parse(mk_bytes_text(value), field);
    if (status != MK_OK) {
        mk_error_set(error, "%s=%s: give four-letter words with commas between, or *", option->name,
                     value);
    }
    return status;
}

enum mk_status option_value_set(struct edge_options *options, const struct option *option,
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
    case OPTION_RATIO: return ratio_set(option, field, value, error);
    case OPTION_WORDS: return words_set(option, field, value, error);
    case OPTION_HASH: return hash_set(option, field, value, error);
    case OPTION_MS:
    case OPTION_SECONDS:
    case OPTION_INTEGER:
    case OPTION_COUNT:
    case OPTION_COUNT_OR_NONE:
    case OPTION_BYTES:
    case OPTION_BYTES_U32:
    case OPTION_KILOBYTES: return integer_set(option, field, value, error);
    }
    return MK_BAD_ARGUMENTS;
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

static void ratio_append(uint32_t millionths, struct mk_buf *out)
{
    unsigned digits = 6;
    uint32_t fraction = millionths % MILLION;

    mk_buf_printf(out, "%" PRIu32, millionths / MILLION);
    while (fraction > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (fraction > 0) {
        mk_buf_printf(out, ".%0*" PRIu32, (int)digits, fraction);
    }
}

static void words_append(uint32_t words, struct mk_buf *out)
{
    uint32_t defaults = 0;
    enum mk_status status = admin_words_parse(MK_BYTES(ADMIN_WORDS_DEFAULT), &defaults);
    MK_ASSERT(status == MK_OK);
    mk_buf_printf(out, "%s", words == defaults ? ADMIN_WORDS_DEFAULT : "(changed)");
}

void option_value_append(const struct edge_options *options, const struct option *option,
                         struct mk_buf *out)
{
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
    case OPTION_COUNT_OR_NONE: {
        uint32_t count = *(const uint32_t *)field;
        mk_buf_printf(out, "%" PRId64, count > 0 ? (int64_t)count : -1);
        return;
    }
    case OPTION_BYTES: bytes_append(*(const uint64_t *)field, out); return;
    case OPTION_BYTES_U32: bytes_append(*(const uint32_t *)field, out); return;
    case OPTION_KILOBYTES: mk_buf_printf(out, "%" PRIu64, *(const uint64_t *)field / 1024); return;
    case OPTION_TRUE_FALSE: text = *(const bool *)field ? "true" : "false"; break;
    case OPTION_YES_NO: text = *(const bool *)field ? "yes" : "no"; break;
    case OPTION_ON_OFF: text = *(const bool *)field ? "on" : "off"; break;
    case OPTION_LEVEL: text = level_names[*(const uint32_t *)field]; break;
    case OPTION_RATIO: ratio_append(*(const uint32_t *)field, out); return;
    case OPTION_WORDS: words_append(*(const uint32_t *)field, out); return;
    case OPTION_HASH: text = hash_name_of(*(const uint32_t *)field); break;
    }
    mk_buf_printf(out, "%s", text);
}
