/* From a request to something that stands in the queue of its handle's thread. */
#include "client/handle.h"

#include <string.h>

void client_pending_free(struct client_pending *pending)
{
    mk_buf_free(&pending->frame);
    mk_buf_free(&pending->path);
    mk_buf_free(&pending->multi);
    mk_free(pending);
}

bool client_sets_watch(const struct client_pending *pending)
{
    return pending->watcher != NULL && pending->asked.op != MOONKEEPER_REMOVE_WATCHES;
}

/* What will be needed of the request when its answer has come. */
static void remember(struct client_pending *pending, const struct moonkeeper_request *request,
                     struct mk_bytes chroot)
{
    bool removes = request->op == MOONKEEPER_REMOVE_WATCHES;

    pending->asked.op = request->op;
    pending->watcher = request->watcher;
    pending->watcher_context = request->watcher_context;
    pending->watch_argument = removes ? (int)request->watch_type : (int)request->watch_mode;
    pending->local = request->local;
    if (pending->watcher != NULL || removes) {
        client_request_path(request, chroot, &pending->path);
    }
    for (size_t i = 0; i < request->requests_count; i++) {
        mk_buf_put_u8(&pending->multi, (uint8_t)request->requests[i].op);
    }
    pending->asked.multi = mk_buf_view(&pending->multi);
    if (request->op == MOONKEEPER_CALL) {
        pending->operation_len = strlen(request->operation);
    }
}

static bool may_have_watcher(enum moonkeeper_op op)
{
    switch (op) {
    case MOONKEEPER_EXISTS:
    case MOONKEEPER_GET:
    case MOONKEEPER_CHILDREN:
    case MOONKEEPER_CHILDREN2:
    case MOONKEEPER_ADD_WATCH:
    case MOONKEEPER_REMOVE_WATCHES:
    case MOONKEEPER_GET_CONFIG: return true;
    default: return false;
    }
}

static bool has_room(const struct moonkeeper *handle, const struct client_pending *pending)
{
    bool watch = client_sets_watch(pending);

    return handle->requests_count < handle->options.requests_max &&
           pending->bytes <= handle->options.bytes_max - handle->bytes_count &&
           (!watch || handle->watches_asked + handle->watches_set < handle->options.watches_max);
}

/* MOONKEEPER_OK: in the queue. */
static int enqueue(struct moonkeeper *handle, struct client_pending *pending)
{
    if (client_state_final(handle->public.state)) {
        return client_state_error(handle->public.state);
    }
    if (handle->closing) {
        return MOONKEEPER_CLOSING;
    }
    if (!has_room(handle, pending)) {
        return MOONKEEPER_TOO_MANY;
    }
    handle->requests_count++;
    handle->bytes_count += pending->bytes;
    handle->watches_asked += client_sets_watch(pending) ? 1 : 0;
    if (pending->asked.op == MOONKEEPER_CALL) {
        pending->call_id = ++handle->call_id;
    }
    mk_list_append(&handle->submitted, &pending->link);
    client_wake(handle);
    return MOONKEEPER_OK;
}

int client_submit_locked(struct moonkeeper *handle, const struct moonkeeper_request *request,
                         struct client_pending **out)
{
    struct client_pending *pending = mk_alloc_zero(1, sizeof(*pending));
    int error =
        client_request_encode(request, handle->chroot, handle->options.bytes_max, &pending->frame);

    pending->bytes = pending->frame.len;
    if ((request->watcher != NULL && !may_have_watcher(request->op)) ||
        pending->bytes > handle->options.bytes_max) {
        error = MOONKEEPER_BAD_ARGUMENTS;
    }
    if (error == MOONKEEPER_OK) {
        remember(pending, request, handle->chroot);
        (void)pthread_mutex_lock(&handle->lock);
        error = enqueue(handle, pending);
        if (error != MOONKEEPER_OK) {
            (void)pthread_mutex_unlock(&handle->lock);
        }
    }
    if (error != MOONKEEPER_OK) {
        client_pending_free(pending);
        return error;
    }
    *out = pending;
    return MOONKEEPER_OK;
}

int moonkeeper_submit(struct moonkeeper *handle, const struct moonkeeper_request *request,
                      moonkeeper_done *done, void *context)
{
    struct client_pending *pending;
    int error = client_submit_locked(handle, request, &pending);

    if (error == MOONKEEPER_OK) {
        pending->done = done;
        pending->context = context;
        (void)pthread_mutex_unlock(&handle->lock);
    }
    return error;
}
