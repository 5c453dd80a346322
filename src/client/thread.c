/* The thread of a handle: take what was submitted, do what is due, wait, take what came. */
#include "client/handle.h"

#include <poll.h>
#include <unistd.h>

/* Whether the handle is being closed. */
static bool news_take(struct moonkeeper *handle)
{
    uint64_t count;

    client_submitted_take(handle);
    (void)pthread_mutex_lock(&handle->lock);
    if (handle->woken) {
        ssize_t bytes = read(handle->wake_fd, &count, sizeof(count));
        MK_ASSERT(bytes == (ssize_t)sizeof(count)); /* woken is set by who writes */
        handle->woken = false;
    }
    bool closing = handle->closing;
    (void)pthread_mutex_unlock(&handle->lock);
    return closing;
}

/* What was submitted before goes first, then the session's end, and its answer. True: enough. */
static bool close_step(struct moonkeeper *handle, mk_ms now_ms)
{
    struct client_conn *conn = &handle->conn;

    if (handle->close_due_ms == 0) {
        handle->close_due_ms = now_ms + CLIENT_CLOSE_MS;
    }
    if (conn->phase != CLIENT_ATTACHED || now_ms >= handle->close_due_ms) {
        return true;
    }
    if (!mk_list_empty(&conn->queued)) {
        return false;
    }
    if (handle->detaching) {
        return mk_list_empty(&conn->sent) && conn->out.len == 0;
    }
    if (conn->close_xid == 0) {
        client_frames_close(conn);
    }
    return false;
}

/* Until `due_ms`, or until there is something to do. */
static void wait_once(struct moonkeeper *handle, mk_ms due_ms)
{
    struct pollfd waits[] = {
        {.fd = handle->conn.fd, .events = client_conn_events(handle)},
        {.fd = handle->wake_fd, .events = POLLIN},
    };
    mk_ms now_ms = client_clock_ms();
    mk_ms close_ms = handle->close_due_ms != 0 ? handle->close_due_ms : INT64_MAX;
    mk_ms wake_ms = due_ms < close_ms ? due_ms : close_ms;
    mk_ms wait_ms = wake_ms > now_ms ? wake_ms - now_ms : 0;

    int ready = poll(waits, MK_COUNT(waits), wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX);
    if (ready > 0 && waits[0].revents != 0) {
        client_conn_ready(handle, waits[0].revents);
    }
}

void *client_thread(void *argument)
{
    struct moonkeeper *handle = argument;

    for (;;) {
        bool closing = news_take(handle);
        mk_ms now_ms = client_clock_ms();
        if (closing && handle->conn.phase != CLIENT_ATTACHED) {
            break;
        }
        mk_ms due_ms = client_conn_step(handle, now_ms);
        if (closing && close_step(handle, now_ms)) {
            break;
        }
        wait_once(handle, due_ms);
    }
    if (!client_state_final(handle->conn.state)) {
        client_end_all(handle, MOONKEEPER_CLOSED);
    }
    return NULL;
}
