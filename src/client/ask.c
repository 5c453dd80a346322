/* Functions that wait: submit, and sleep until the handle's thread has put the result where this one
 * finds it. Who gives up takes its waiter off the request, under the lock, so that the answer finds
 * nobody. */
#include "client/handle.h"

#include <errno.h>
#include <string.h>
#include <time.h>

void moonkeeper_result_free(struct moonkeeper_result *result)
{
    struct mk_arena arena = {.blocks = result->memory};

    mk_arena_free(&arena);
    *result = (struct moonkeeper_result){.error = 0};
}

/* Under the lock. Until `done` the request is there, and after it the waiter is its owner's again. */
static void wait_locked(struct moonkeeper *handle, struct client_pending *pending,
                        struct client_waiter *waiter, int wait_ms)
{
    struct timespec until = client_clock_after(wait_ms);
    int error = 0;

    while (!waiter->done && error != ETIMEDOUT) {
        error = wait_ms < 0 ? pthread_cond_wait(&waiter->answered, &handle->lock)
                            : pthread_cond_timedwait(&waiter->answered, &handle->lock, &until);
    }
    if (!waiter->done) {
        pending->waiter = NULL;
        waiter->result.error = MOONKEEPER_OPERATION_TIMEOUT;
    }
}

int moonkeeper_ask(struct moonkeeper *handle, const struct moonkeeper_request *request,
                   struct moonkeeper_result *result)
{
    struct client_pending *pending;
    struct client_waiter waiter;
    int error = client_in_callback(handle) ? MOONKEEPER_INVALID_CALLBACK
                                           : client_submit_locked(handle, request, &pending);

    if (error == MOONKEEPER_OK) {
        waiter = (struct client_waiter){.done = false};
        client_condition_init(&waiter.answered);
        pending->waiter = &waiter;
        wait_locked(handle, pending, &waiter,
                    request->wait_ms != 0 ? request->wait_ms : handle->options.wait_ms);
        (void)pthread_mutex_unlock(&handle->lock);
        (void)pthread_cond_destroy(&waiter.answered);
    } else {
        waiter.result = (struct moonkeeper_result){.error = error};
    }
    error = waiter.result.error;
    if (result != NULL) {
        *result = waiter.result;
    } else {
        moonkeeper_result_free(&waiter.result);
    }
    return error;
}

/* ---- The common ones ---- */

static int ask_stat(struct moonkeeper *handle, const struct moonkeeper_request *request,
                    struct moonkeeper_stat *stat)
{
    struct moonkeeper_result result;
    int error = moonkeeper_ask(handle, request, &result);

    if (stat != NULL) {
        *stat = result.stat;
    }
    moonkeeper_result_free(&result);
    return error;
}

int moonkeeper_create(struct moonkeeper *handle, const char *path, const void *data,
                      size_t data_bytes, enum moonkeeper_mode mode,
                      struct moonkeeper_result *result)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CREATE,
                                         .path = path,
                                         .data = data,
                                         .data_bytes = data_bytes,
                                         .mode = mode};

    return moonkeeper_ask(handle, &request, result);
}

int moonkeeper_delete(struct moonkeeper *handle, const char *path, int32_t version)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_DELETE, .path = path, .version = version};

    return moonkeeper_ask(handle, &request, NULL);
}

int moonkeeper_exists(struct moonkeeper *handle, const char *path, struct moonkeeper_stat *stat)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_EXISTS, .path = path};

    return ask_stat(handle, &request, stat);
}

int moonkeeper_get(struct moonkeeper *handle, const char *path, struct moonkeeper_result *result)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_GET, .path = path};

    return moonkeeper_ask(handle, &request, result);
}

int moonkeeper_set(struct moonkeeper *handle, const char *path, const void *data, size_t data_bytes,
                   int32_t version, struct moonkeeper_stat *stat)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_SET,
                                         .path = path,
                                         .data = data,
                                         .data_bytes = data_bytes,
                                         .version = version};

    return ask_stat(handle, &request, stat);
}

int moonkeeper_children(struct moonkeeper *handle, const char *path,
                        struct moonkeeper_result *result)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CHILDREN2, .path = path};

    return moonkeeper_ask(handle, &request, result);
}

int moonkeeper_sync(struct moonkeeper *handle, const char *path)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_SYNC, .path = path};

    return moonkeeper_ask(handle, &request, NULL);
}

int moonkeeper_multi(struct moonkeeper *handle, const struct moonkeeper_request *requests,
                     size_t requests_count, struct moonkeeper_result *result)
{
    struct moonkeeper_request request = {
        .op = MOONKEEPER_MULTI, .requests = requests, .requests_count = requests_count};

    return moonkeeper_ask(handle, &request, result);
}

int moonkeeper_auth(struct moonkeeper *handle, const char *scheme, const void *data,
                    size_t data_bytes)
{
    struct moonkeeper_request request = {
        .op = MOONKEEPER_AUTH, .scheme = scheme, .data = data, .data_bytes = data_bytes};

    return moonkeeper_ask(handle, &request, NULL);
}

int moonkeeper_call(struct moonkeeper *handle, const char *operation, const char *arguments,
                    int wait_ms, struct moonkeeper_result *result)
{
    const char *object = arguments != NULL ? arguments : "{}";
    struct moonkeeper_request request = {.op = MOONKEEPER_CALL,
                                         .operation = operation,
                                         .data = object,
                                         .data_bytes = strlen(object),
                                         .wait_ms = wait_ms};

    return moonkeeper_ask(handle, &request, result);
}
