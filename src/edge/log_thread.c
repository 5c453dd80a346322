/* The log thread. A batch goes through it in four steps:
 *
 *   1. loop:   log_thread_append() leaves the batch and rings
 *   2. thread: writes it and syncs, once
 *   3. thread: says done, through uv_async
 *   4. loop:   on_synced(), which applies the batch and answers; what has come in meanwhile is the
 *              next batch, so that one sync serves all who waited for it
 *
 * `state` says whose the batch is, and only its owner touches it. After a batch the thread watches the
 * state for SPIN_NS before it goes to sleep: under load the next batch is left within microseconds,
 * and waking a sleeping thread costs both sides more than that.
 *
 * If the write or the sync fails, nobody knows what is on disk: the process ends in step 2. */
#include "edge/log_thread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SPIN_NS 20000

enum log_thread_state {
    LOG_IDLE,    /* loop's: no batch */
    LOG_WORKING, /* thread's: a batch to write */
    LOG_SYNCED,  /* loop's: a batch that is durable */
    LOG_STOPPING,
};
struct log_thread {
    struct log_thread_options options;
    uv_async_t async;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t cond;
    atomic_int state;
    atomic_bool sleeping; /* under the mutex; read without it to save a futex call */
    struct server_batch batch;
};

_Noreturn void edge_die(const struct mk_log *log, enum edge_exit code, const char *what,
                        enum mk_status status, const struct mk_error *error)
{
    mk_log(log, MK_LOG_ERROR, "%s: %s; stopping, so that nothing is acknowledged that is not kept"
                              "  status=%s", what,
           error != NULL && error->text[0] != '\0' ? error->text : mk_status_text(status),
           mk_status_name(status));
    _exit(code);
}

static void batch_append(struct log_thread *thread)
{
    struct mk_error error = {""};
    uint64_t begin_ns = uv_hrtime();

    enum mk_status status = store_log_append(thread->options.store_log, thread->batch.bytes.data,
                                             thread->batch.bytes.len, &error);
    if (status != MK_OK) {
        edge_die(thread->options.log, EDGE_EXIT_FAILED, "the log cannot be written", status,
                 &error);
    }
    mk_ms took_ms = (mk_ms)((uv_hrtime() - begin_ns) / 1000000);
    if (took_ms >= thread->options.sync_warning_ms) {
        mk_log(thread->options.log, MK_LOG_WARN,
               "log sync took %lld ms, longer than fsync.warningthresholdms: is the disk shared?"
               "  zxid=0x%llx bytes=%zu",
               (long long)took_ms, (unsigned long long)thread->batch.last,
               thread->batch.bytes.len);
    }
}

static void thread_sleep(struct log_thread *thread)
{
    uv_mutex_lock(&thread->mutex);
    atomic_store(&thread->sleeping, true);
    for (;;) {
        int state = atomic_load(&thread->state);
        if (state == LOG_WORKING || state == LOG_STOPPING) {
            break;
        }
        uv_cond_wait(&thread->cond, &thread->mutex);
    }
    atomic_store(&thread->sleeping, false);
    uv_mutex_unlock(&thread->mutex);
}

/* Until there is a batch. False: to stop. */
static bool batch_wait(struct log_thread *thread)
{
    uint64_t until_ns = uv_hrtime() + SPIN_NS;

    for (;;) {
        for (int i = 0; i < 64; i++) {
            int state = atomic_load(&thread->state);
            if (state == LOG_WORKING) {
                return true;
            }
            if (state == LOG_STOPPING) {
                return false;
            }
        }
        if (uv_hrtime() >= until_ns) {
            thread_sleep(thread);
        }
    }
}

static void thread_run(void *context)
{
    struct log_thread *thread = context;

    while (batch_wait(thread)) {
        batch_append(thread);
        atomic_store(&thread->state, LOG_SYNCED);
        uv_async_send(&thread->async);
    }
}

static void on_async(uv_async_t *async)
{
    struct log_thread *thread = async->data;

    if (atomic_load(&thread->state) != LOG_SYNCED) {
        return; /* uv_async may call once more than it was rung. */
    }
    struct server_batch batch = thread->batch;
    thread->batch = (struct server_batch){0};
    atomic_store(&thread->state, LOG_IDLE);
    thread->options.on_synced(thread->options.context, &batch);
}

static void state_set(struct log_thread *thread, enum log_thread_state state)
{
    atomic_store(&thread->state, state);
    if (atomic_load(&thread->sleeping)) {
        uv_mutex_lock(&thread->mutex);
        uv_cond_signal(&thread->cond);
        uv_mutex_unlock(&thread->mutex);
    }
}

void log_thread_append(struct log_thread *thread, const struct server_batch *batch)
{
    MK_ASSERT(log_thread_idle(thread));
    MK_ASSERT(batch->bytes.len > 0);

    thread->batch = *batch;
    state_set(thread, LOG_WORKING);
}

bool log_thread_idle(const struct log_thread *thread)
{
    return atomic_load(&thread->state) == LOG_IDLE;
}

struct log_thread *log_thread_start(const struct log_thread_options *options)
{
    struct log_thread *thread = mk_alloc_zero(1, sizeof(*thread));
    thread->options = *options;
    atomic_init(&thread->state, LOG_IDLE);
    atomic_init(&thread->sleeping, false);
    thread->async.data = thread;

    int failed = uv_async_init(options->loop, &thread->async, on_async) != 0 ||
                 uv_mutex_init(&thread->mutex) != 0 || uv_cond_init(&thread->cond) != 0 ||
                 uv_thread_create(&thread->thread, thread_run, thread) != 0;
    if (failed) {
        edge_die(options->log, EDGE_EXIT_FAILED, "the log thread cannot be started", MK_IO, NULL);
    }
    return thread;
}

static void on_closed(uv_handle_t *handle)
{
    struct log_thread *thread = handle->data;

    uv_cond_destroy(&thread->cond);
    uv_mutex_destroy(&thread->mutex);
    mk_buf_free(&thread->batch.bytes);
    mk_free(thread);
}

void log_thread_stop(struct log_thread *thread)
{
    state_set(thread, LOG_STOPPING);
    uv_thread_join(&thread->thread);
    uv_close((uv_handle_t *)&thread->async, on_closed);
}
