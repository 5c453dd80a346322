/* Names and sentences of the status codes, and the text that explains a failure. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

struct status_entry {
    const char *name;
    const char *text;
};

#define STATUS_ENTRY(status, sentence) [status] = {#status, sentence},
static const struct status_entry status_table[MK_STATUS_COUNT] = {MK_STATUS_TABLE(STATUS_ENTRY)};

static const struct status_entry *status_entry_of(enum mk_status status)
{
    MK_ASSERT((unsigned)status < (unsigned)MK_STATUS_COUNT);
    return &status_table[status];
}

const char *mk_status_name(enum mk_status status)
{
    return status_entry_of(status)->name;
}

const char *mk_status_text(enum mk_status status)
{
    return status_entry_of(status)->text;
}

void mk_error_set(struct mk_error *error, const char *format, ...)
{
    if (error == NULL) {
        return; /* The caller does not want the text, only the status. */
    }

    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    MK_ASSERT(length >= 0);
}
