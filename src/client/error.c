/* Names and sentences of codes, states and events. */
#include "client/client.h"
#include "jute/jute.h"

const char *moonkeeper_error_name(int error)
{
    switch (error) {
    case MOONKEEPER_TOO_MANY: return "TooMany";
    case MOONKEEPER_CALL_FAILED: return "CallFailed";
    default: return jute_error_name(error);
    }
}

/* What only clients say, or other servers than ours. */
static const char *client_text(int error)
{
    switch (error) {
    case MOONKEEPER_SYSTEM_ERROR: return "something broke at the server: its log says what";
    case MOONKEEPER_CONNECTION_LOSS:
        return "the connection is lost: what became of the request is not known";
    case MOONKEEPER_MARSHALLING_ERROR: return "one side could not read what the other sent";
    case MOONKEEPER_OPERATION_TIMEOUT:
        return "no answer in time: what became of the request is not known";
    case MOONKEEPER_INVALID_STATE: return "the system refuses a thread or a descriptor";
    case MOONKEEPER_NEW_CONFIG_NO_QUORUM: return "no quorum of the new ensemble is in step";
    case MOONKEEPER_RECONFIG_IN_PROGRESS: return "another reconfiguration is under way";
    case MOONKEEPER_INVALID_CALLBACK: return "this function waits, and may not do so in a callback";
    case MOONKEEPER_CLOSING: return "the handle was closed before the answer came";
    case MOONKEEPER_TOO_MANY: return "too much is outstanding on this handle";
    case MOONKEEPER_CALL_FAILED: return "the call ended with an error";
    default: return NULL;
    }
}

const char *moonkeeper_error_text(int error)
{
    const char *text = client_text(error);
    enum mk_status status = jute_error_status(error);

    if (text != NULL) {
        return text;
    }
    return status == MK_MALFORMED ? "an error that this library does not know"
                                  : mk_status_text(status);
}

const char *moonkeeper_state_name(enum moonkeeper_state state)
{
    switch (state) {
    case MOONKEEPER_CONNECTING: return "Disconnected";
    case MOONKEEPER_CONNECTED: return "SyncConnected";
    case MOONKEEPER_AUTHENTICATION_FAILED: return "AuthFailed";
    case MOONKEEPER_CONNECTED_READ_ONLY: return "ConnectedReadOnly";
    case MOONKEEPER_CLOSED: return "Closed";
    case MOONKEEPER_EXPIRED: return "Expired";
    }
    return "Unknown";
}

const char *moonkeeper_event_name(enum moonkeeper_event_type type)
{
    switch (type) {
    case MOONKEEPER_EVENT_NONE: return "None";
    case MOONKEEPER_EVENT_CREATED: return "NodeCreated";
    case MOONKEEPER_EVENT_DELETED: return "NodeDeleted";
    case MOONKEEPER_EVENT_DATA_CHANGED: return "NodeDataChanged";
    case MOONKEEPER_EVENT_CHILDREN_CHANGED: return "NodeChildrenChanged";
    case MOONKEEPER_EVENT_DATA_WATCH_REMOVED: return "DataWatchRemoved";
    case MOONKEEPER_EVENT_CHILD_WATCH_REMOVED: return "ChildWatchRemoved";
    case MOONKEEPER_EVENT_PERSISTENT_WATCH_REMOVED: return "PersistentWatchRemoved";
    }
    return "Unknown";
}
