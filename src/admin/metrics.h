/* Private to admin: the metrics, once, for mntr, for /commands/monitor and for Prometheus. */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "admin/admin.h"

enum metric_kind {
    METRIC_TEXT,
    METRIC_GAUGE,
    METRIC_COUNTER,
    METRIC_DECIMAL, /* a gauge with up to four decimals */
    METRIC_SUMMARY,
    METRIC_SPREAD, /* a summary with quantiles */
};
struct metric {
    const char *name; /* as ZooKeeper has it, without "zk_" */
    enum metric_kind kind;
    const char *text;
    uint64_t value;
    double decimal;
    const struct mk_summary *summary; /* SUMMARY */
    const struct mk_spread *spread;   /* SPREAD */
};
typedef void metric_visit(void *context, const struct metric *metric);
/* All of them, those first that monitoring reads most: some clients take the beginning only. */
void metrics_each(const struct admin_facts *facts, metric_visit *visit, void *context);
#define METRIC_QUANTILES 4
extern const struct metric_quantile {
    const char *name; /* "p50" */
    uint32_t per_mille;
} metric_quantiles[METRIC_QUANTILES];
/* mntr */
void metrics_append(const struct admin_facts *facts, struct mk_buf *out);

/* What is counted of each operation of a recipe, one figure after the other. */
#define METRIC_OPERATION_FIGURES 6
struct metric_operation_figure {
    const char *name; /* "recipe_calls" */
    enum metric_kind kind;
    size_t offset; /* of the uint64_t in struct admin_operation */
};
extern const struct metric_operation_figure metric_operation_figures[METRIC_OPERATION_FIGURES];
#define METRIC_OPERATION_LATENCY "recipe_latency"

/* As Java prints a double that was rounded to four decimals: 0.0, 3.7, 9.55. */
#define METRIC_DECIMAL_BYTES 64
void metric_decimal_print(double value, char out[METRIC_DECIMAL_BYTES]);
/* Latency of all requests. */
struct mk_summary metrics_latency(const struct server_stats *stats);
/* ZooKeeper counts the root twice; monitoring compares the number across servers. */
uint64_t metrics_znodes(const struct server_stats *stats);

#endif
