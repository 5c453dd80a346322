/* Prometheus' text format. Names are ZooKeeper's provider's: mntr's without "zk_". A summary has its
 * count and sum, a latency its quantiles too; what is a text is not there. */
#include "admin/prometheus.h"

#include "admin/metrics.h"

#include <inttypes.h>
#include <string.h>

static void head_append(struct mk_buf *out, const char *name, const char *type)
{
    mk_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, name, name, type);
}

static void sums_append(struct mk_buf *out, const char *name, const struct mk_summary *summary)
{
    mk_buf_printf(out, "%s_count %" PRIu64 "\n%s_sum %" PRIu64 "\n", name, summary->count, name,
                  summary->sum);
}

static void metric_append(void *context, const struct metric *metric)
{
    static const struct {
        const char *label;
        uint32_t per_mille;
    } quantiles[] = {{"0.5", 500}, {"0.9", 900}, {"0.99", 990}};
    struct mk_buf *out = context;
    char decimal[METRIC_DECIMAL_BYTES];

    switch (metric->kind) {
    case METRIC_TEXT: return;
    case METRIC_GAUGE:
    case METRIC_COUNTER:
        head_append(out, metric->name, metric->kind == METRIC_GAUGE ? "gauge" : "counter");
        mk_buf_printf(out, "%s %" PRIu64 "\n", metric->name, metric->value);
        return;
    case METRIC_DECIMAL:
        head_append(out, metric->name, "gauge");
        metric_decimal_print(metric->decimal, decimal);
        mk_buf_printf(out, "%s %s\n", metric->name, decimal);
        return;
    case METRIC_SUMMARY:
        head_append(out, metric->name, "summary");
        sums_append(out, metric->name, metric->summary);
        return;
    case METRIC_SPREAD:
        head_append(out, metric->name, "summary");
        for (size_t i = 0; i < MK_COUNT(quantiles); i++) {
            mk_buf_printf(out, "%s{quantile=\"%s\"} %" PRIu64 "\n", metric->name,
                          quantiles[i].label,
                          mk_spread_quantile(metric->spread, quantiles[i].per_mille));
        }
        sums_append(out, metric->name, &metric->spread->all);
        return;
    }
}

/* One figure of all operations: recipe_calls{key="lock.acquire"} 3 */
static void operations_append(const struct admin_facts *facts,
                              const struct metric_operation_figure *figure, struct mk_buf *out)
{
    head_append(out, figure->name, figure->kind == METRIC_GAUGE ? "gauge" : "counter");
    for (size_t i = 0; i < facts->operations_count; i++) {
        const uint8_t *at = (const uint8_t *)&facts->operations[i] + figure->offset;
        uint64_t value;
        memcpy(&value, at, sizeof(value));
        mk_buf_printf(out, "%s{key=\"%s\"} %" PRIu64 "\n", figure->name, facts->operations[i].name,
                      value);
    }
}

static void latencies_append(const struct admin_facts *facts, struct mk_buf *out)
{
    static const char name[] = METRIC_OPERATION_LATENCY;

    head_append(out, name, "summary");
    for (size_t i = 0; i < facts->operations_count; i++) {
        const struct admin_operation *operation = &facts->operations[i];
        mk_buf_printf(out, "%s_count{key=\"%s\"} %" PRIu64 "\n%s_sum{key=\"%s\"} %" PRIu64 "\n",
                      name, operation->name, operation->latency_ms.count, name, operation->name,
                      operation->latency_ms.sum);
    }
}

void prometheus_append(const struct admin_facts *facts, struct mk_buf *out)
{
    metrics_each(facts, metric_append, out);
    for (size_t i = 0; i < METRIC_OPERATION_FIGURES && facts->operations_count > 0; i++) {
        operations_append(facts, &metric_operation_figures[i], out);
    }
    if (facts->operations_count > 0) {
        latencies_append(facts, out);
    }
}
