/* The end of a process that found itself wrong. stdio is used here and nowhere else in the core:
 * the line must reach the operator even when nothing else can be trusted. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void mk_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "bug: assertion failed: %s  at=%s:%d\n", condition, file, line);
    abort();
}
