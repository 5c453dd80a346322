/* A session's life on this side:
 *
 *   client_attach: connect -- ConnectRequest --> granted | refused (expired) | closed: next server
 *   client_send, client_wait: requests out, replies in; a ping when nothing was sent for a while
 *   connection breaks, or silence: CLIENT_LOST -- client_recover --> attached again | expired
 *   client_deinit: closeSession, its answer, end
 *
 * Intervals are those of ZooKeeper's own clients: with a session timeout T a ping after T/3 without
 * having sent, the connection given up after 2T/3 without having heard. */
#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_LENGTH_BYTES 4
#define READ_BYTES 65536
#define CLOSE_MS 1000        /* how long to wait for the answer to closeSession */
#define RECOVER_PAUSE_MS 250 /* between two rounds over the list of servers */

mk_ms client_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (mk_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void client_init(struct client *client, const char *servers, mk_ms timeout_ms)
{
    *client =
        (struct client){.servers = servers, .socket = -1, .signals = -1, .timeout_ms = timeout_ms};
}

static void disconnect(struct client *client)
{
    if (client->socket >= 0) {
        (void)close(client->socket);
        client->socket = -1;
    }
    mk_buf_free(&client->in);
    client->in_used = 0;
}

void client_signals_catch(struct client *client)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0) {
        client->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
}

static bool signal_came(struct client *client)
{
    struct signalfd_siginfo info;

    if (read(client->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return false;
    }
    client->signal = (int)info.ssi_signo;
    return true;
}

/* ---- Bytes ---- */

static void lost(struct client *client, const char *why)
{
    if (client->socket >= 0) {
        mk_error_set(&client->error, "%s", why);
    }
    disconnect(client);
}

/* The socket's buffer is full. */
static void send_wait(struct client *client)
{
    struct pollfd wait = {.fd = client->socket, .events = POLLOUT};

    if (poll(&wait, 1, (int)client->timeout_ms) <= 0) {
        lost(client, "the server does not read");
    }
}

static void send_all(struct client *client, struct mk_bytes bytes)
{
    size_t sent = 0;

    while (client->socket >= 0 && sent < bytes.len) {
        ssize_t count = send(client->socket, bytes.data + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (count > 0) {
            sent += (size_t)count;
        } else if (errno == EAGAIN) {
            send_wait(client);
        } else if (errno != EINTR) {
            lost(client, strerror(errno));
        }
    }
    client->sent_ms = client_now();
}

static void receive(struct client *client)
{
    mk_buf_reserve(&client->in, READ_BYTES);
    ssize_t count = recv(client->socket, client->in.data + client->in.len, READ_BYTES, 0);

    if (count > 0) {
        client->in.len += (size_t)count;
        client->heard_ms = client_now();
    } else if (count == 0) {
        lost(client, "the server closed the connection");
    } else if (errno != EAGAIN && errno != EINTR) {
        lost(client, strerror(errno));
    }
}

/* The next whole frame in `in`, without its length. */
static bool next_frame(struct client *client, struct mk_bytes *frame)
{
    struct mk_bytes in = mk_buf_view(&client->in);

    if (client->in_used > 0) {
        memmove(client->in.data, client->in.data + client->in_used, in.len - client->in_used);
        client->in.len -= client->in_used;
        client->in_used = 0;
    }
    if (client->in.len < FRAME_LENGTH_BYTES) {
        return false;
    }
    size_t len = mk_load_u32(client->in.data);
    if (len > CLIENT_FRAME_BYTES_MAX) {
        lost(client, "what answers is not a ZooKeeper server");
        return false;
    }
    if (client->in.len < FRAME_LENGTH_BYTES + len) {
        return false;
    }
    *frame = mk_bytes_of(client->in.data + FRAME_LENGTH_BYTES, len);
    client->in_used = FRAME_LENGTH_BYTES + len;
    return true;
}

/* ---- Attaching ---- */

static void connect_send(struct client *client)
{
    struct mk_buf out = {0};
    struct jute_connect connect = {
        .last_zxid_seen = client->zxid_seen,
        .timeout_ms = (int32_t)client->timeout_ms,
        .session_id = client->session_id,
        .password = mk_bytes_of(client->password, sizeof(client->password)),
        .read_only_present = true,
    };

    jute_connect_encode(&out, &connect);
    send_all(client, mk_buf_view(&out));
    mk_buf_free(&out);
}

/* ConnectResponse: protocolVersion, timeOut, sessionId, passwd. */
static enum client_end connect_receive(struct client *client, mk_ms until_ms)
{
    struct mk_bytes frame;

    while (!next_frame(client, &frame)) {
        struct pollfd wait = {.fd = client->socket, .events = POLLIN};
        mk_ms left_ms = until_ms - client_now();
        if (client->socket >= 0 && (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0)) {
            lost(client, "it accepts connections but grants no session");
        }
        if (client->socket < 0) {
            return CLIENT_UNREACHABLE;
        }
        receive(client);
    }
    struct mk_reader reader = mk_reader_of(frame);
    (void)mk_read_i32(&reader);
    int32_t timeout_ms = mk_read_i32(&reader);
    int64_t session_id = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);
    if (reader.failed || password.len != sizeof(client->password)) {
        lost(client, "what answers is not a ZooKeeper server");
        return CLIENT_UNREACHABLE;
    }
    if (timeout_ms <= 0 || session_id == 0) {
        lost(client, "the session has expired");
        return CLIENT_EXPIRED;
    }
    client->timeout_ms = timeout_ms;
    client->session_id = session_id;
    memcpy(client->password, password.data, sizeof(client->password));
    return CLIENT_REPLY;
}

enum client_end client_attach(struct client *client)
{
    const char *at = client->servers;
    enum client_end end = CLIENT_UNREACHABLE;
    struct server_name name;

    while (end == CLIENT_UNREACHABLE && servers_next(&at, &name)) {
        struct mk_error why = {""};
        mk_ms until_ms = client_now() + client->timeout_ms;
        client->socket = socket_connect(&name, until_ms, &why);
        if (client->socket < 0) {
            client->error = why;
            continue;
        }
        connect_send(client);
        end = connect_receive(client, until_ms);
        if (end == CLIENT_UNREACHABLE) {
            why = client->error;
            mk_error_set(&client->error, "%s:%s: %.300s", name.host, name.port, why.text);
        }
    }
    return end;
}

enum client_end client_recover(struct client *client)
{
    mk_ms until_ms = client->heard_ms + client->timeout_ms;
    enum client_end end = client_attach(client);

    while (end == CLIENT_UNREACHABLE && client_now() < until_ms) {
        struct pollfd wait = {.fd = client->signals, .events = POLLIN};
        if (poll(&wait, 1, RECOVER_PAUSE_MS) > 0 && signal_came(client)) {
            return CLIENT_SIGNALLED;
        }
        end = client_attach(client);
    }
    return end;
}

/* ---- Requests and replies ---- */

int32_t client_send(struct client *client, struct jute_request *request)
{
    struct mk_buf out = {0};

    request->xid = ++client->xid;
    jute_request_encode(&out, request);
    send_all(client, mk_buf_view(&out));
    mk_buf_free(&out);
    return request->xid;
}

static void ping(struct client *client)
{
    struct mk_buf out = {0};
    struct jute_request request = {.xid = JUTE_XID_PING, .op = JUTE_PING};

    jute_request_encode(&out, &request);
    send_all(client, mk_buf_view(&out));
    mk_buf_free(&out);
}

/* The next reply among the frames that are there, passing over events and pings. */
static bool next_reply(struct client *client, struct jute_reply *reply)
{
    struct mk_bytes frame;

    while (next_frame(client, &frame)) {
        if (jute_reply_decode(frame, reply) != MK_OK) {
            lost(client, "the server sent what is not a reply");
            return false;
        }
        if (reply->xid > 0) {
            client->zxid_seen = reply->zxid > client->zxid_seen ? reply->zxid : client->zxid_seen;
            return true;
        }
    }
    return false;
}

/* Read and forget what is typed. True: there is no more to come. */
static bool input_ended(void)
{
    uint8_t scraps[4096];

    return read(STDIN_FILENO, scraps, sizeof(scraps)) <= 0;
}

static enum client_end wait_once(struct client *client, mk_ms until_ms, bool watch_input)
{
    struct pollfd waits[] = {{.fd = client->socket, .events = POLLIN},
                             {.fd = client->signals, .events = POLLIN},
                             {.fd = watch_input ? STDIN_FILENO : -1, .events = POLLIN}};
    mk_ms now_ms = client_now();
    mk_ms ping_ms = client->sent_ms + client->timeout_ms / 3;
    mk_ms silent_ms = client->heard_ms + client->timeout_ms * 2 / 3;
    mk_ms wake_ms = ping_ms < silent_ms ? ping_ms : silent_ms;

    if (now_ms >= until_ms) {
        return CLIENT_LATE;
    }
    if (now_ms >= silent_ms) {
        lost(client, "the server has fallen silent");
        return CLIENT_LOST;
    }
    if (now_ms >= ping_ms) {
        ping(client);
        return CLIENT_REPLY;
    }
    wake_ms = wake_ms < until_ms ? wake_ms : until_ms;
    if (poll(waits, MK_COUNT(waits), (int)(wake_ms - now_ms)) <= 0) {
        return CLIENT_REPLY; /* look at the clock again */
    }
    if (waits[1].revents != 0 && signal_came(client)) {
        return CLIENT_SIGNALLED;
    }
    if (waits[0].revents != 0) {
        receive(client);
    } else if (waits[2].revents != 0 && input_ended()) {
        return CLIENT_INPUT_ENDED;
    }
    return CLIENT_REPLY;
}

enum client_end client_wait(struct client *client, mk_ms until_ms, bool watch_input,
                            struct jute_reply *reply)
{
    while (!next_reply(client, reply)) {
        if (client->socket < 0) {
            return CLIENT_LOST;
        }
        enum client_end end = wait_once(client, until_ms, watch_input);
        if (end != CLIENT_REPLY) {
            return end;
        }
    }
    return CLIENT_REPLY;
}

/* ---- The end ---- */

void client_deinit(struct client *client)
{
    struct jute_request request = {.op = JUTE_CLOSE_SESSION};
    struct jute_reply reply;

    if (client->socket >= 0) {
        int32_t xid = client_send(client, &request);
        mk_ms until_ms = client_now() + CLOSE_MS;
        while (client_wait(client, until_ms, false, &reply) == CLIENT_REPLY && reply.xid != xid) {
            continue;
        }
    }
    disconnect(client);
    if (client->signals >= 0) {
        (void)close(client->signals);
        client->signals = -1;
    }
}
