/* Private to edge: what an option is, and its value as text. Which there are: options.c. */
#ifndef EDGE_OPTION_H
#define EDGE_OPTION_H

#include "edge/edge.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define DAY_MS INT64_C(86400000)

enum option_kind {
    OPTION_TEXT,          /* char * */
    OPTION_MS,            /* mk_ms */
    OPTION_SECONDS,       /* mk_ms, written in seconds */
    OPTION_INTEGER,       /* int64_t */
    OPTION_COUNT,         /* uint32_t */
    OPTION_COUNT_OR_NONE, /* uint32_t, written -1 for 0 */
    OPTION_BYTES,         /* uint64_t, with K, M or G */
    OPTION_BYTES_U32,     /* uint32_t, likewise */
    OPTION_KILOBYTES,     /* uint64_t, written in KiB */
    OPTION_TRUE_FALSE,    /* bool */
    OPTION_YES_NO,        /* bool */
    OPTION_ON_OFF,        /* bool */
    OPTION_LEVEL,         /* uint32_t: enum mk_log_level */
    OPTION_RATIO,         /* uint32_t: millionths, written as a fraction of 1 */
    OPTION_WORDS,         /* uint32_t: set of four-letter words */
    OPTION_HASH,          /* uint32_t: enum tree_digest, by Java's names */
};
struct option {
    const char *name;
    enum option_kind kind;
    size_t offset;
    int64_t min, max; /* as written */
};

/* Set the option's field of `options` to what `value` says. MK_BAD_ARGUMENTS: `error` says what would
 * be right. */
enum mk_status option_value_set(struct edge_options *options, const struct option *option,
                                const char *value, struct mk_error *error);
/* The value that it has now, as it would be written. */
void option_value_append(const struct edge_options *options, const struct option *option,
                         struct mk_buf *out);

#endif
