/* Watch events and states, from the library's thread to the shell's. The queue is bounded: a recursive
 * watch on a busy tree tells more than anybody reads, and the thread that it comes from must not wait.
 * What did not fit is counted, and told. */
#include "shell/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void shell_events_init(struct shell_events *events)
{
    memset(events, 0, sizeof(*events));
    (void)pthread_mutex_init(&events->lock, NULL);
    events->last = &events->first;
    events->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MK_ASSERT(events->wake >= 0);
}

static void list_free(struct shell_event *event)
{
    while (event != NULL) {
        struct shell_event *next = event->next;
        mk_free(event);
        event = next;
    }
}

void shell_events_free(struct shell_events *events)
{
    list_free(events->first);
    (void)close(events->wake);
    (void)pthread_mutex_destroy(&events->lock);
}

static void event_put(struct shell_events *events, int type, const char *state, const char *path)
{
    size_t len = strlen(path);
    struct shell_event *event = mk_alloc(sizeof(*event) + len + 1);

    event->next = NULL;
    event->type = type;
    event->state = state;
    memcpy(event->path, path, len + 1);

    (void)pthread_mutex_lock(&events->lock);
    if (events->count < SHELL_EVENTS_MAX) {
        *events->last = event;
        events->last = &event->next;
        events->count++;
        event = NULL;
    } else {
        events->dropped++;
    }
    (void)pthread_mutex_unlock(&events->lock);
    mk_free(event);
    (void)eventfd_write(events->wake, 1);
}

void shell_events_watcher(void *context, const struct moonkeeper_event *event)
{
    if (event->type != MOONKEEPER_EVENT_NONE) { /* the listener tells of states, once */
        event_put(context, event->type, "SyncConnected", event->path);
    }
}

void shell_events_listener(void *context, struct moonkeeper *handle, enum moonkeeper_state state)
{
    struct shell_events *events = context;
    const char *name = NULL;

    (void)handle;
    switch (state) {
    case MOONKEEPER_CONNECTING: name = events->was_connected ? "Disconnected" : NULL; break;
    case MOONKEEPER_CONNECTED: name = "SyncConnected"; break;
    case MOONKEEPER_CONNECTED_READ_ONLY: name = "ConnectedReadOnly"; break;
    case MOONKEEPER_AUTHENTICATION_FAILED: name = "AuthFailed"; break;
    case MOONKEEPER_EXPIRED: name = "Expired"; break;
    case MOONKEEPER_CLOSED: name = "Closed"; break;
    }
    /* Only this thread writes it while there is a handle. */
    events->was_connected =
        state == MOONKEEPER_CONNECTED || state == MOONKEEPER_CONNECTED_READ_ONLY;
    if (name != NULL) {
        event_put(events, MOONKEEPER_EVENT_NONE, name, "");
    }
}

static void event_print(struct shell *shell, const struct shell_event *event)
{
    bool none = event->type == MOONKEEPER_EVENT_NONE;
    const char *type =
        none ? "None" : moonkeeper_event_name((enum moonkeeper_event_type)event->type);

    if (!shell->json) {
        format_event(&shell->out, event->state, type, none ? "null" : event->path);
        return;
    }
    if (none) { /* not a result that a program has asked for */
        shell_say(shell, "{\"state\":\"%s\"}", event->state);
        return;
    }
    json_t *object = json_pack("{s:s, s:s, s:o}", "event", type, "state", event->state, "path",
                               shell_json_text(event->path, strlen(event->path)));
    char *text = json_dumps(object, JSON_COMPACT);
    shell_print(shell, "%s\n", text);
    free(text);
    json_decref(object);
}

bool shell_events_print(struct shell *shell)
{
    struct shell_events *events = &shell->events;
    eventfd_t ignored;

    (void)eventfd_read(events->wake, &ignored);
    (void)pthread_mutex_lock(&events->lock);
    struct shell_event *first = events->first;
    size_t dropped = events->dropped;
    events->first = NULL;
    events->last = &events->first;
    events->count = 0;
    events->dropped = 0;
    (void)pthread_mutex_unlock(&events->lock);

    if (shell->print_watches) {
        for (const struct shell_event *event = first; event != NULL; event = event->next) {
            event_print(shell, event);
        }
        if (dropped > 0) {
            shell_say(shell, "%zu events came too fast and are not shown", dropped);
        }
    }
    bool some = first != NULL && shell->print_watches;
    list_free(first);
    if (some) {
        shell_flush(shell);
    }
    return some;
}
