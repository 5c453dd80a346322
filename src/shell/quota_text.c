/* The data of zookeeper_limits and zookeeper_stats. Pieces are separated by runs of commas and
 * semicolons; an "=" that ends a piece is there to mislead old readers. Source: StatsTrack. */
#include "shell/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void piece_take(struct quota_text *quota, char *piece)
{
    char *equals = strchr(piece, '=');

    if (equals == NULL) {
        return;
    }
    *equals = '\0';
    int64_t value = equals[1] == '\0' ? -1 : strtoll(equals + 1, NULL, 10);
    if (strcmp(piece, "count") == 0) {
        quota->count = value;
    } else if (strcmp(piece, "bytes") == 0) {
        quota->bytes = value;
    } else if (strcmp(piece, "countHardLimit") == 0) {
        quota->count_hard = value;
        quota->has_hard = true;
    } else if (strcmp(piece, "byteHardLimit") == 0) {
        quota->bytes_hard = value;
        quota->has_hard = true;
    }
}

struct quota_text quota_text_parse(struct mk_bytes text)
{
    struct quota_text quota = {.count = -1, .bytes = -1, .count_hard = -1, .bytes_hard = -1};
    struct mk_buf copy = {0};
    char *rest = NULL;

    mk_buf_append_bytes(&copy, text);
    mk_buf_put_u8(&copy, '\0');
    char *piece = strtok_r((char *)copy.data, ",;", &rest);
    for (; piece != NULL; piece = strtok_r(NULL, ",;", &rest)) {
        piece_take(&quota, piece);
    }
    mk_buf_free(&copy);
    return quota;
}

void quota_text_format(struct mk_buf *out, const struct quota_text *quota)
{
    mk_buf_printf(out, "count=%" PRId64 ",bytes=%" PRId64, quota->count, quota->bytes);
    if (quota->has_hard) {
        mk_buf_printf(out, "=;byteHardLimit=%" PRId64 ";countHardLimit=%" PRId64, quota->bytes_hard,
                      quota->count_hard);
    }
}
