/* Private to admin: the metrics as Prometheus reads them. */
#ifndef ADMIN_PROMETHEUS_H
#define ADMIN_PROMETHEUS_H

#include "admin/admin.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void prometheus_append(const struct admin_facts *facts, struct mk_buf *out);

#endif
