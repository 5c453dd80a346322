/* What is counted of each operation, since the server began. Log time and counts, but for the run time,
 * which only an edge with a clock can measure.
 *
 * Runs are counted when they have happened: they cost what they cost, whatever becomes of the
 * transaction. Calls and their ends are counted when that is there. */
#include <string.h>

#include "prepare/context.h"

/* Ten times as many operations as the catalogue has; what comes after them is counted
 * together, under this name. 150 bytes each, and 11 lines of mntr. */
#define FIGURES_MAX 1024
#define FIGURES_OTHERS "others"
/* A slow run is told at most so often; the others of that time are counted in the next line. */
#define SLOW_LINE_MS 1000

static struct figures *figures_new(struct prepare *prepare, struct mk_bytes operation)
{
    struct figures *figures = mk_alloc_zero(1, sizeof(*figures) + operation.len);

    memcpy(figures->operation, operation.data, operation.len);
    figures->operation_len = operation.len;
    (void)mk_map_bytes_put(&prepare->figures,
                           mk_bytes_of((const uint8_t *)figures->operation, operation.len),
                           figures);
    return figures;
}

/* Names are those of operations that there are, or were: only who may deploy can make more. */
static struct figures *figures_of(struct prepare *prepare, struct mk_bytes operation)
{
    struct figures *figures = mk_map_bytes_get(&prepare->figures, operation);

    if (figures == NULL && prepare->figures.count >= FIGURES_MAX) {
        operation = MK_BYTES(FIGURES_OTHERS);
        figures = mk_map_bytes_get(&prepare->figures, operation);
    }
    return figures != NULL ? figures : figures_new(prepare, operation);
}

const struct figures *prepare_figures_find(const struct prepare *prepare, struct mk_bytes operation)
{
    return mk_map_bytes_get(&prepare->figures, operation);
}

void prepare_figures_free(struct prepare *prepare)
{
    struct mk_bytes operation;
    void *figures;
    size_t cursor = 0;

    while (mk_map_bytes_next(&prepare->figures, &cursor, &operation, &figures)) {
        mk_free(figures);
    }
    mk_map_bytes_free(&prepare->figures);
}

/* ---- Runs ---- */

static mk_ms clock_ms(const struct prepare *prepare)
{
    return prepare->options.elapsed_ms != NULL
               ? prepare->options.elapsed_ms(prepare->options.elapsed_context)
               : 0;
}

static void slow_told(struct call_step *step, const struct recipe_run *run, mk_ms run_ms,
                      uint32_t effects)
{
    struct prepare *prepare = step->prepare;

    if (prepare->options.slow_run_ms == 0 || run_ms < prepare->options.slow_run_ms) {
        return;
    }
    if (prepare->slow_told && step->at.time_ms - prepare->slow_told_ms < SLOW_LINE_MS) {
        prepare->slow_dropped++;
        return;
    }
    mk_log(prepare->log, MK_LOG_WARN,
           "a run of a recipe took long, and everybody waited  operation=%.*s run_ms=%lld "
           "instructions=%llu effects=%u session=0x%llx call=0x%llx others=%llu",
           (int)step->call.operation.len, (const char *)step->call.operation.data,
           (long long)run_ms, (unsigned long long)run->instructions, (unsigned)effects,
           (unsigned long long)step->call.session, (unsigned long long)step->number,
           (unsigned long long)prepare->slow_dropped);
    prepare->slow_told = true;
    prepare->slow_told_ms = step->at.time_ms;
    prepare->slow_dropped = 0;
}

/* The clock counts whole milliseconds, and a run takes microseconds: most take 0 and some take 1, as
 * often as makes the sum right. */
void prepare_figures_run(struct call_step *step, struct recipe_engine *engine,
                         struct recipe_run *run)
{
    int32_t parts = step->multi.count;
    mk_ms began_ms = clock_ms(step->prepare);

    recipe_run(engine, run);
    mk_ms run_ms = clock_ms(step->prepare) - began_ms;
    uint32_t effects = (uint32_t)(step->multi.count - parts);
    struct figures *figures = figures_of(step->prepare, step->call.operation);
    figures->instructions += run->instructions;
    figures->effects += effects;
    figures->run_ms += run_ms > 0 ? (uint64_t)run_ms : 0;
    slow_told(step, run, run_ms, effects);
}

/* ---- Calls ---- */

void prepare_figures_ended(struct call_step *step, bool failed)
{
    step->ended = true;
    step->ended_failed = failed;
    step->ended_operation = step->call.operation;
    step->ended_made_ms = step->call.made_ms;
}

void prepare_figures_commit(struct call_step *step)
{
    bool made = step->first && step->call.session != 0;

    if (made || step->ended) {
        struct mk_bytes operation = step->ended ? step->ended_operation : step->call.operation;
        struct figures *figures = figures_of(step->prepare, operation);
        figures->calls += made ? 1 : 0;
        figures->failures += step->ended && step->ended_failed ? 1 : 0;
        if (step->ended) {
            mk_ms latency_ms = step->at.time_ms - step->ended_made_ms;
            mk_summary_add(&figures->latency_ms, latency_ms > 0 ? (uint64_t)latency_ms : 0);
        }
    }
    step->ended = false;
}

void prepare_figures_read(struct call_step *step, bool failed)
{
    struct figures *figures = figures_of(step->prepare, step->call.operation);

    figures->calls++;
    figures->failures += failed ? 1 : 0;
    mk_summary_add(&figures->latency_ms, 0);
}

/* ---- For whoever asks ---- */

void prepare_figures_each(struct prepare *prepare, prepare_figures_visit *visit, void *context)
{
    struct store_view *view = store_committed(prepare->store);
    struct mk_bytes operation;
    void *entry;
    size_t cursor = 0;

    store_view_blocking(view, true); /* a few rows, of which most have just been changed */

    while (mk_map_bytes_next(&prepare->figures, &cursor, &operation, &entry)) {
        const struct figures *figures = entry;
        struct prepare_figures shown = {
            .operation = operation,
            .calls = figures->calls,
            .failures = figures->failures,
            .instructions = figures->instructions,
            .effects = figures->effects,
            .run_ms = figures->run_ms,
            .latency_ms = figures->latency_ms,
        };
        struct mk_buf key = {0};
        mk_buf_append_bytes(&key, operation);
        mk_buf_put_u8(&key, '\0');
        if (store_running_count(view, mk_buf_view(&key), MK_BYTES_NULL, &shown.waiting) != MK_OK) {
            shown.waiting =
                0; /* a failing disk: whoever needs the row to answer a client says so */
        }
        mk_buf_free(&key);
        visit(context, &shown);
    }
}
