/* The log thread, and the way around it. A batch usually goes through the thread, in four steps:
 *
 *   1. loop:   log_thread_append() leaves the batch and posts `work`
 *   2. thread: writes it and syncs, once
 *   3. thread: sets `synced` and rings uv_async
 *   4. loop:   on_synced(), which applies the batch and answers; what has come in meanwhile is the
 *              next batch, so that one sync serves all who waited for it
 *
 * Between 1 and 3 the batch is the thread's. If the write or the sync fails, nobody knows what is on
 * disk: the process ends in step 2.
 *
 * What else writes where the log is, epochs and the cutting off of its end, takes the same way.
 *
 * The thread sleeps between batches. Watching for the next one for 20 to 150 us instead made neither
 * one client's sets nor a saturated server faster (two cores), and took the core that the loop or
 * a client could use.
 *
 * Both hand-overs wake a sleeping thread, which costs a lone client a third of its latency, and those
 * who hand a lock over as much: where hardly anybody else could use the time, log_thread_append_now()
 * does step 2 on the loop's own thread. The loop is deaf while it syncs; so after a slow one it goes
 * through the thread for a while, and a disk that has become slow or stuck holds it up once in
 * NOW_RETRY_MS at most. */
#include "edge/log_thread.h"

#include <stdatomic.h>
#include <unistd.h>

#define NOW_SYNC_MS_MAX 2 /* A sync that takes longer is not one to wait for. */
#define NOW_RETRY_MS 10000

struct log_thread {
    struct log_thread_options options;
    uv_async_t async;
    uv_thread_t thread;
    uv_sem_t work;
    mk_ms took_ms;      /* of the last batch */
    bool busy;          /* the loop's: a batch was left and has not come back */
    atomic_bool synced; /* the batch is on disk and the loop's again */
    bool stopping;      /* set before the last post */
    mk_ms now_after_ms; /* the loop's: no batch is appended on its thread before this time */
    struct server_batch batch;
    struct {
        void (*work)(void *context); /* NULL: it is a batch */
        void (*done)(void *context);
        void *context;
    } job;
};

_Noreturn void edge_die(const struct mk_log *log, enum edge_exit code, const char *what,
                        enum mk_status status, const struct mk_error *error)
{
    mk_log(log, MK_LOG_ERROR,
           "%s: %s; stopping, so that nothing is acknowledged that is not kept"
           "  status=%s",
           what, error != NULL && error->text[0] != '\0' ? error->text : mk_status_text(status),
           mk_status_name(status));
    _exit(code);
}

/* How long it took. */
static mk_ms batch_append(const struct log_thread *thread, const struct server_batch *batch)
{
    struct mk_error error = {""};
    uint64_t begin_ns = uv_hrtime();

    enum mk_status status =
        store_log_append(thread->options.store_log, batch->bytes.data, batch->bytes.len, &error);
    if (status != MK_OK) {
        edge_die(thread->options.log, EDGE_EXIT_FAILED, "the log cannot be written", status,
                 &error);
    }
    mk_ms took_ms = (mk_ms)((uv_hrtime() - begin_ns) / 1000000);
    if (took_ms >= thread->options.sync_warning_ms) {
        mk_log(thread->options.log, MK_LOG_WARN,
               "log sync took %lld ms, longer than fsync.warningthresholdms: is the disk shared?"
               "  zxid=0x%llx bytes=%zu",
               (long long)took_ms, (unsigned long long)batch->last, batch->bytes.len);
    }
    return took_ms;
}

static void thread_run(void *context)
{
    struct log_thread *thread = context;

    for (;;) {
        uv_sem_wait(&thread->work);
        if (thread->stopping) {
            return;
        }
        if (thread->job.work != NULL) {
            thread->job.work(thread->job.context);
        } else {
            thread->took_ms = batch_append(thread, &thread->batch);
        }
        atomic_store(&thread->synced, true);
        uv_async_send(&thread->async);
    }
}

static void on_async(uv_async_t *async)
{
    struct log_thread *thread = async->data;

    if (!atomic_exchange(&thread->synced, false)) {
        return; /* uv_async may call once more than it was rung. */
    }
    thread->busy = false;
    if (thread->job.work != NULL) {
        thread->job.work = NULL;
        thread->job.done(thread->job.context);
        return;
    }
    struct server_batch batch = thread->batch;
    thread->batch = (struct server_batch){0};
    thread->options.on_synced(thread->options.context, &batch);
}

void log_thread_append(struct log_thread *thread, const struct server_batch *batch)
{
    MK_ASSERT(!thread->busy);
    MK_ASSERT(batch->bytes.len > 0);

    thread->busy = true;
    thread->batch = *batch;
    uv_sem_post(&thread->work);
}

void log_thread_run(struct log_thread *thread, void (*work)(void *context),
                    void (*done)(void *context), void *context)
{
    MK_ASSERT(!thread->busy);

    thread->busy = true;
    thread->job.work = work;
    thread->job.done = done;
    thread->job.context = context;
    uv_sem_post(&thread->work);
}

bool log_thread_append_now(struct log_thread *thread, const struct server_batch *batch,
                           mk_ms now_ms)
{
    MK_ASSERT(!thread->busy);
    MK_ASSERT(batch->bytes.len > 0);

    if (now_ms < thread->now_after_ms) {
        return false;
    }
    thread->took_ms = batch_append(thread, batch);
    if (thread->took_ms > NOW_SYNC_MS_MAX) {
        thread->now_after_ms = now_ms + NOW_RETRY_MS;
    }
    return true;
}

bool log_thread_idle(const struct log_thread *thread)
{
    return !thread->busy;
}

mk_ms log_thread_took_ms(const struct log_thread *thread)
{
    MK_ASSERT(!thread->busy);
    return thread->took_ms;
}

struct log_thread *log_thread_start(const struct log_thread_options *options)
{
    struct log_thread *thread = mk_alloc_zero(1, sizeof(*thread));
    thread->options = *options;
    atomic_init(&thread->synced, false);
    thread->async.data = thread;

    bool failed = uv_async_init(options->loop, &thread->async, on_async) != 0 ||
                  uv_sem_init(&thread->work, 0) != 0 ||
                  uv_thread_create(&thread->thread, thread_run, thread) != 0;
    if (failed) {
        edge_die(options->log, EDGE_EXIT_FAILED, "the log thread cannot be started", MK_IO, NULL);
    }
    return thread;
}

static void on_closed(uv_handle_t *handle)
{
    struct log_thread *thread = handle->data;

    uv_sem_destroy(&thread->work);
    mk_free(thread);
}

void log_thread_stop(struct log_thread *thread)
{
    MK_ASSERT(!thread->busy);

    thread->stopping = true;
    uv_sem_post(&thread->work);
    uv_thread_join(&thread->thread);
    uv_close((uv_handle_t *)&thread->async, on_closed);
}
