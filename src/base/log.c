/* One event, one line. The line is complete before it is handed on, and holds no control
 * characters: what a client names a znode cannot forge a second line. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_LINE_MAX 1023 /* bytes; the NUL comes on top */

static void line_clean(char *line)
{
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == '\x7f') {
            *at = '?';
        }
    }
}

void mk_log(const struct mk_log *log, enum mk_log_level level, const char *format, ...)
{
    if (log == NULL || log->write == NULL || level > log->level) {
        return;
    }

    char line[LOG_LINE_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    MK_ASSERT(length >= 0);

    line_clean(line);
    log->write(log->context, level, line);
}
