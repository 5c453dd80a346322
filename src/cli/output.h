/* Private to cli: results on standard output. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/base.h"
#include "client/client.h"

#include <jansson.h>

json_t *output_stat(const struct moonkeeper_stat *stat); /* a new reference, as all of these */
json_t *output_text(struct mk_bytes text); /* null is JSON's null; malformed: U+FFFD */
/* {"data": text} or, if it is not UTF-8, {"data_base64": text}; added to `object`. */
void output_put_data(json_t *object, struct mk_bytes data);
void output_print(json_t *value); /* one line; takes the reference */

#define OUTPUT_TIME_BYTES 48
void output_time(int64_t time_ms, char text[OUTPUT_TIME_BYTES]); /* since 1970, as ISO 8601 */
void output_stat_lines(const struct moonkeeper_stat *stat);

#endif
