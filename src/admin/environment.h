/* Private to admin: what envi says of the process and the machine. */
#ifndef ADMIN_ENVIRONMENT_H
#define ADMIN_ENVIRONMENT_H

#include "admin/admin.h"

typedef void environment_visit(void *context, const char *key, const char *value);
void environment_each(const struct admin_settings *settings, environment_visit *visit,
                      void *context);

#endif
