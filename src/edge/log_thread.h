/* Private to edge: the thread that makes batches durable, one at a time, in order. */
#ifndef EDGE_LOG_THREAD_H
#define EDGE_LOG_THREAD_H

#include "edge/edge.h"

#include <uv.h>

struct log_thread;
struct log_thread_options {
    uv_loop_t *loop;
    struct store_log *store_log;
    const struct mk_log *log;
    mk_ms sync_warning_ms;
    /* On the loop's thread, when the batch is on disk: it is the caller's again. */
    void (*on_synced)(void *context, struct server_batch *batch);
    void *context;
};
struct log_thread *log_thread_start(const struct log_thread_options *options);
/* Take the batch and make it durable. Only when idle. */
void log_thread_append(struct log_thread *thread, const struct server_batch *batch);
/* Make the batch durable on the caller's own thread, the loop's; it stays the caller's. Only when idle.
 * False, and nothing was done: syncs have been slow lately, and the loop should not wait for one. */
bool log_thread_append_now(struct log_thread *thread, const struct server_batch *batch,
                           mk_ms now_ms);
/* Anything else that must not happen while a batch is written: `work` on the thread, then `done` on the
 * loop's. Only when idle. */
void log_thread_run(struct log_thread *thread, void (*work)(void *context),
                    void (*done)(void *context), void *context);
bool log_thread_idle(const struct log_thread *thread);
mk_ms log_thread_took_ms(const struct log_thread *thread); /* for the last batch; only when idle */
/* Ends the thread, which must be idle; its memory goes when the loop has closed its handle. */
void log_thread_stop(struct log_thread *thread);

/* A failure after which nothing may be acknowledged: say why, and end the process now. Any thread. */
_Noreturn void edge_die(const struct mk_log *log, enum edge_exit code, const char *what,
                        enum mk_status status, const struct mk_error *error);

#endif
