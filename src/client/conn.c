/* One connection after the other, for as long as the session lives:
 *
 *   PAUSE -- due --> CONNECTING -- connect() --> HANDSHAKE -- ConnectResponse --> ATTACHED
 *     ^                  |                           |                               |
 *     |                  +------ not, or too late: the next address, the next server |
 *     +-- each server has been tried in vain, or a connection has broken ------------+
 *
 *   OVER: the session is unknown to the server, an authentication was refused, the end.
 *
 * Intervals are those of ZooKeeper's own clients: of a session timeout T, a ping after T/3 without
 * having sent, the connection given up after 2T/3 without having heard. */
#include "client/handle.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_LENGTH_BYTES 4
#define READ_BYTES ((size_t)64 * 1024)
#define CONNECT_ANSWER_BYTES_MAX 1024 /* it has 36 or 37 */
#define ATTEMPT_MS_MIN 1000           /* a server far away, or with much to do, needs as much */
#define PAUSE_MS_MIN 100              /* between rounds over the list of servers */
#define PAUSE_MS_MAX 1000             /* a quarter of the shortest usual session timeout */
#define IDLE_MS 3600000               /* nothing is due: look again some time */

static void fail(struct moonkeeper *handle, const char *why);

void client_conn_init(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    conn->fd = -1;
    conn->phase = CLIENT_PAUSE;
    conn->state = MOONKEEPER_CONNECTING;
    conn->server = handle->servers.count - 1; /* the next is the first */
    conn->read_write_seen = handle->public.session.id != 0;
    mk_list_init(&conn->queued);
    mk_list_init(&conn->sent);
    mk_list_init(&conn->calls);
}

static void disconnect(struct client_conn *conn)
{
    client_secure_free(conn->secure);
    conn->secure = NULL;
    if (conn->fd >= 0) {
        (void)close(conn->fd);
        conn->fd = -1;
    }
    mk_buf_free(&conn->in);
    mk_buf_free(&conn->out);
    conn->in_used = 0;
    conn->out_sent = 0;
    conn->chunks = 0;
    conn->close_xid = 0;
    conn->pings = 0;
}

static void addresses_forget(struct client_conn *conn)
{
    if (conn->addresses != NULL) {
        freeaddrinfo(conn->addresses);
        conn->addresses = NULL;
    }
    conn->address = NULL;
}

void client_conn_deinit(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    disconnect(conn);
    addresses_forget(conn);
    for (size_t i = 0; i < conn->auths_count; i++) {
        mk_buf_free(&conn->auths[i].frame);
    }
}

/* ---- Trying servers ---- */

/* The length of the next pause: it doubles, and chance keeps many clients from coming together. */
static mk_ms pause_ms(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;
    uint64_t ms = PAUSE_MS_MIN;

    for (int i = 0; i < conn->pauses && ms < PAUSE_MS_MAX; i++) {
        ms *= 2;
    }
    ms = ms < PAUSE_MS_MAX ? ms : PAUSE_MS_MAX;
    conn->pauses++;
    return (mk_ms)(ms / 2 + mk_random_below(&handle->random, ms / 2 + 1));
}

static int timeout_ms(struct moonkeeper *handle)
{
    return moonkeeper_timeout_ms(handle);
}

/* So that all servers can be tried before the session expires. */
static mk_ms attempt_ms(struct moonkeeper *handle)
{
    mk_ms ms = (mk_ms)timeout_ms(handle) * 2 / 3 / (mk_ms)handle->servers.count;

    return ms > ATTEMPT_MS_MIN ? ms : ATTEMPT_MS_MIN;
}

/* Every server has been tried. */
static void round_over(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    conn->tried = 0;
    conn->phase = CLIENT_PAUSE;
    conn->due_ms = client_clock_ms() + pause_ms(handle);
    client_lose_all(handle);
    (void)pthread_mutex_lock(&handle->lock);
    handle->public.rounds += handle->public.rounds < INT32_MAX ? 1 : 0;
    (void)pthread_cond_broadcast(&handle->changed);
    (void)pthread_mutex_unlock(&handle->lock);
}

static void trouble(struct moonkeeper *handle, const char *why)
{
    struct mk_buf name = {0};

    client_server_text(&name, &handle->servers.list[handle->conn.server]);
    client_trouble_set(handle, "%.*s: %s", (int)name.len, (const char *)name.data, why);
    mk_buf_free(&name);
}

/* False: that was all of them. */
static bool server_next(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;
    struct mk_error error;

    addresses_forget(conn);
    if (conn->tried == handle->servers.count) {
        return false;
    }
    conn->tried++;
    conn->server = (conn->server + 1) % handle->servers.count;
    (void)pthread_mutex_lock(&handle->lock);
    handle->public.server = &handle->servers.list[conn->server];
    (void)pthread_mutex_unlock(&handle->lock);
    conn->addresses = client_socket_resolve(&handle->servers.list[conn->server], &error);
    conn->address = conn->addresses;
    if (conn->addresses == NULL) {
        trouble(handle, error.text);
    }
    return true;
}

/* False: there is none left in this round. */
static bool address_next(struct moonkeeper *handle)
{
    while (handle->conn.address == NULL) {
        if (!server_next(handle)) {
            return false;
        }
    }
    return true;
}

/* Begin to connect to the next address that does not fail at once. */
static void connect_next(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    while (conn->fd < 0) {
        if (!address_next(handle)) {
            round_over(handle);
            return;
        }
        conn->fd = client_socket_connect(conn->address);
        conn->address = conn->address->ai_next;
        if (conn->fd < 0) {
            trouble(handle, client_socket_text(errno));
        }
    }
    conn->phase = CLIENT_CONNECTING;
    conn->due_ms = client_clock_ms() + attempt_ms(handle);
}

/* ---- The handshake ---- */

static void handshake_begin(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;
    struct moonkeeper_session session;
    static const uint8_t none[MOONKEEPER_PASSWORD_BYTES] = {0};

    if (handle->tls != NULL) {
        conn->secure =
            client_secure_new(handle->tls, conn->fd, handle->servers.list[conn->server].host);
    }
    moonkeeper_session(handle, &session);
    struct jute_connect connect = {
        .last_zxid_seen = conn->zxid_seen,
        .timeout_ms = handle->options.timeout_ms,
        .session_id = conn->read_write_seen ? session.id : 0,
        .password = mk_bytes_of(conn->read_write_seen ? session.password : none, sizeof(none)),
        .read_only = handle->options.read_only,
        .read_only_present = true,
    };
    jute_connect_encode(&conn->out, &connect);
    conn->phase = CLIENT_HANDSHAKE;
    conn->ping_boot_ms = client_clock_boot_ms();
}

static void over(struct moonkeeper *handle, enum moonkeeper_state state, const char *why)
{
    trouble(handle, why);
    handle->conn.phase = CLIENT_OVER;
    handle->conn.state = state;
    client_end_all(handle, state);
    disconnect(&handle->conn);
}

static void attach(struct moonkeeper *handle, int32_t granted_ms,
                   const struct moonkeeper_session *session, bool read_only)
{
    struct client_conn *conn = &handle->conn;

    conn->phase = CLIENT_ATTACHED;
    conn->state = read_only ? MOONKEEPER_CONNECTED_READ_ONLY : MOONKEEPER_CONNECTED;
    conn->read_write_seen = conn->read_write_seen || !read_only;
    conn->attached_ms = client_clock_ms();
    conn->heard_ms = conn->attached_ms;
    conn->tried = 0;
    addresses_forget(conn);
    (void)pthread_mutex_lock(&handle->lock);
    handle->public.timeout_ms = granted_ms;
    handle->public.session.id = session->id;
    memcpy(handle->public.session.password, session->password, sizeof(session->password));
    (void)pthread_mutex_unlock(&handle->lock);
    client_sure_since(handle, conn->ping_boot_ms);
    client_frames_begin(handle);
    client_state_tell(handle, conn->state);
}

/* ConnectResponse: protocolVersion, timeOut, sessionId, passwd, and readOnly from most servers. */
static void handshake_take(struct moonkeeper *handle, struct mk_bytes frame)
{
    struct moonkeeper_session session = {0};
    struct moonkeeper_session asked;
    struct mk_reader reader = mk_reader_of(frame);

    (void)mk_read_i32(&reader);
    int32_t granted_ms = mk_read_i32(&reader);
    session.id = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);
    bool read_only = mk_reader_left(&reader) > 0 && mk_read_u8(&reader) != 0;
    if (reader.failed || password.len != sizeof(session.password)) {
        fail(handle, "what answers is not a ZooKeeper server");
        return;
    }
    memcpy(session.password, password.data, sizeof(session.password));
    moonkeeper_session(handle, &asked);
    bool other = handle->conn.read_write_seen && session.id != asked.id;
    if (granted_ms <= 0 || session.id == 0 || other) {
        over(handle, MOONKEEPER_EXPIRED, "the session has expired");
        return;
    }
    attach(handle, granted_ms, &session, read_only);
}

/* ---- Ends ---- */

static void lost(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;
    mk_ms now_ms = client_clock_ms();

    /* One that breaks as soon as it is made gets a pause, so that the two do not spin. */
    bool stable = now_ms - conn->attached_ms > PAUSE_MS_MAX;
    conn->pauses = stable ? 0 : conn->pauses;
    conn->due_ms = stable ? now_ms : now_ms + pause_ms(handle);
    conn->phase = CLIENT_PAUSE;
    conn->state = MOONKEEPER_CONNECTING;
    client_state_set(handle, conn->state);
    client_lose_all(handle);
    client_state_tell(handle, conn->state);
}

/* The connection is over, or the attempt at one. */
static void fail(struct moonkeeper *handle, const char *why)
{
    bool attached = handle->conn.phase == CLIENT_ATTACHED;

    trouble(handle, why);
    disconnect(&handle->conn);
    if (attached) {
        lost(handle);
    } else {
        handle->conn.phase = CLIENT_PAUSE; /* the next address, at once */
        handle->conn.due_ms = 0;
    }
}

/* ---- Bytes ---- */

static ssize_t bytes_send(struct client_conn *conn, const void *data, size_t len)
{
    return conn->secure != NULL ? client_secure_send(conn->secure, data, len)
                                : send(conn->fd, data, len, MSG_NOSIGNAL);
}

static ssize_t bytes_receive(struct client_conn *conn, void *data, size_t room)
{
    return conn->secure != NULL ? client_secure_receive(conn->secure, data, room)
                                : recv(conn->fd, data, room, 0);
}

static const char *bytes_why(const struct client_conn *conn, int error)
{
    return conn->secure != NULL && error == EPROTO ? client_secure_why(conn->secure)
                                                   : client_socket_text(error);
}

static void flush(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    while (conn->fd >= 0 && conn->out_sent < conn->out.len) {
        ssize_t count =
            bytes_send(conn, conn->out.data + conn->out_sent, conn->out.len - conn->out_sent);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) {
            return;
        }
        if (count < 0) {
            fail(handle, bytes_why(conn, errno));
            return;
        }
        conn->out_sent += (size_t)count;
        conn->sent_ms = client_clock_ms();
    }
    conn->out.len = 0;
    conn->out_sent = 0;
}

/* The next whole frame in `in`; its length is believed only within bounds. */
static bool next_frame(struct moonkeeper *handle, struct mk_bytes *frame)
{
    struct client_conn *conn = &handle->conn;
    size_t left = conn->in.len - conn->in_used;
    size_t bytes_max = conn->phase == CLIENT_HANDSHAKE ? CONNECT_ANSWER_BYTES_MAX
                                                       : handle->options.answer_bytes_max;

    if (left < FRAME_LENGTH_BYTES) {
        return false;
    }
    size_t len = mk_load_u32(conn->in.data + conn->in_used);
    if (len > bytes_max) {
        fail(handle, conn->phase == CLIENT_HANDSHAKE ? "what answers is not a ZooKeeper server"
                                                     : "the server sent a frame that is too long");
        return false;
    }
    if (left - FRAME_LENGTH_BYTES < len) {
        return false;
    }
    *frame = mk_bytes_of(conn->in.data + conn->in_used + FRAME_LENGTH_BYTES, len);
    conn->in_used += FRAME_LENGTH_BYTES + len;
    return true;
}

static void frames_take(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;
    struct mk_bytes frame;

    while ((conn->phase == CLIENT_HANDSHAKE || conn->phase == CLIENT_ATTACHED) &&
           next_frame(handle, &frame)) {
        if (conn->phase == CLIENT_HANDSHAKE) {
            handshake_take(handle, frame);
            continue;
        }
        const char *why = client_frame_take(handle, frame);
        if (why == NULL) {
            continue;
        }
        if (conn->phase != CLIENT_OVER) {
            fail(handle, why);
        } else if (conn->close_xid == 0) {
            over(handle, MOONKEEPER_AUTHENTICATION_FAILED, why);
        }
    }
}

/* What has been used goes; what is left of a frame moves to the front. A buffer that has held a large
 * answer is given back. */
static void in_compact(struct client_conn *conn)
{
    if (conn->in_used == conn->in.len && conn->in.cap > 4 * READ_BYTES) {
        mk_buf_free(&conn->in);
    } else if (conn->in_used > 0) {
        memmove(conn->in.data, conn->in.data + conn->in_used, conn->in.len - conn->in_used);
        conn->in.len -= conn->in_used;
    }
    conn->in_used = 0;
}

static void receive(struct moonkeeper *handle)
{
    struct client_conn *conn = &handle->conn;

    mk_buf_reserve(&conn->in, READ_BYTES);
    ssize_t count = bytes_receive(conn, conn->in.data + conn->in.len, conn->in.cap - conn->in.len);
    if (count > 0) {
        conn->in.len += (size_t)count;
        conn->heard_ms = client_clock_ms();
        frames_take(handle);
        in_compact(conn);
    } else if (count == 0) {
        fail(handle, conn->phase == CLIENT_HANDSHAKE
                         ? "it accepts connections but grants no session"
                         : "the server closed the connection");
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(handle, bytes_why(conn, errno));
    }
}

/* ---- Called by the thread ---- */

short client_conn_events(const struct moonkeeper *handle)
{
    const struct client_conn *conn = &handle->conn;

    if (conn->phase == CLIENT_CONNECTING) {
        return POLLOUT;
    }
    bool sends = conn->out_sent < conn->out.len &&
                 (conn->secure == NULL || !client_secure_waits(conn->secure));
    return sends ? POLLIN | POLLOUT : POLLIN;
}

void client_conn_ready(struct moonkeeper *handle, short events)
{
    struct client_conn *conn = &handle->conn;

    if (conn->phase == CLIENT_CONNECTING && events != 0) {
        int error = client_socket_error(conn->fd);
        if (error != 0) {
            fail(handle, client_socket_text(error));
        } else {
            handshake_begin(handle);
        }
    } else if ((events & ~POLLOUT) != 0) {
        receive(handle);
    }
}

static mk_ms step_attached(struct moonkeeper *handle, mk_ms now_ms)
{
    struct client_conn *conn = &handle->conn;
    mk_ms silent_ms = conn->heard_ms + (mk_ms)timeout_ms(handle) * 2 / 3;

    if (now_ms >= silent_ms) {
        fail(handle, "the server has fallen silent");
        return now_ms;
    }
    do {
        client_frames_fill(handle);
        flush(handle);
    } while (conn->phase == CLIENT_ATTACHED && conn->out.len == 0 && !mk_list_empty(&conn->queued));
    if (conn->phase != CLIENT_ATTACHED) {
        return now_ms;
    }
    mk_ms ping_ms = conn->sent_ms + timeout_ms(handle) / 3;
    if (now_ms >= ping_ms && conn->out.len == 0) {
        client_frames_ping(conn);
        ping_ms = now_ms + timeout_ms(handle) / 3;
    }
    return ping_ms < silent_ms ? ping_ms : silent_ms;
}

mk_ms client_conn_step(struct moonkeeper *handle, mk_ms now_ms)
{
    struct client_conn *conn = &handle->conn;
    mk_ms due_ms = now_ms + IDLE_MS;

    conn->step_boot_ms = client_clock_boot_ms();
    switch (conn->phase) {
    case CLIENT_PAUSE:
        if (now_ms >= conn->due_ms) {
            connect_next(handle);
        }
        due_ms = conn->due_ms;
        break;
    case CLIENT_CONNECTING:
    case CLIENT_HANDSHAKE:
        if (now_ms >= conn->due_ms) {
            fail(handle, conn->phase == CLIENT_CONNECTING
                             ? "no connection in time"
                             : "it accepts connections but grants no session");
        }
        due_ms = conn->due_ms;
        break;
    case CLIENT_ATTACHED: due_ms = step_attached(handle, now_ms); break;
    case CLIENT_OVER: break;
    }
    flush(handle);
    return due_ms;
}
