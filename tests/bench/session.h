/* A session of ZooKeeper's protocol on a connection of its own, for scenarios in which each client does
 * one thing after another: requests, their answers, watches' events, and Moonkeeper's calls. The
 * program defines BENCH_NAME, as for figures.h. Whatever it does not expect ends the program. */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "bench/figures.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/socket.h>

#define SESSION_TIMEOUT_MS 40000 /* Longer than a run: nobody has to ping. */
#define SESSIONS_PER_SOURCE 50   /* ZooKeeper's default maxClientCnxns is 60. */
#define REQUEST_BYTES_MAX 4096
#define SESSION_IN_BYTES (1024 * 1024) /* A list of children is what is long: 40,000 names. */
#define XID_EVENT (-1)
#define EVENT_DELETED 2
#define EVENT_CHILDREN 4
#define ERROR_NO_NODE (-101)
#define ERROR_BAD_VERSION (-103)
#define ERROR_NODE_EXISTS (-110)
#define FLAG_EPHEMERAL 1
#define FLAG_SEQUENTIAL 2
#define STAT_BYTES 68
#define STAT_VERSION_AT 32
#define STAT_CHILDREN_AT 56

enum opcode {
    OPCODE_CREATE = 1,
    OPCODE_DELETE = 2,
    OPCODE_EXISTS = 3,
    OPCODE_GET = 4,
    OPCODE_SET = 5,
    OPCODE_CHILDREN = 8,
    OPCODE_CALL = 700,
    OPCODE_CLOSE = -11,
};

struct session {
    int fd;
    int32_t xid; /* of the request in flight; there is never more than one */
    int64_t call_id;
    uint64_t requests_count;
    uint8_t out[REQUEST_BYTES_MAX];
    size_t out_count;
    uint8_t *in;
    size_t in_count;
    size_t in_taken; /* of `in`: frames that have been handed out */
};

/* What a server says: an answer, or an event. The body borrows until the next read. */
struct said {
    bool event;
    int32_t event_type;
    int32_t error;
    const uint8_t *body;
    size_t bytes;
};

static inline int32_t bytes_i32(const uint8_t *from)
{
    return (int32_t)((uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
                     (uint32_t)from[3]);
}

static inline void bytes_set_i32(uint8_t *to, int32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)((uint32_t)value >> (24 - 8 * i));
    }
}

/* --- Requests. */

static inline void put_bytes(struct session *session, const void *bytes, size_t count)
{
    if (count > REQUEST_BYTES_MAX - session->out_count) {
        DIE("a request of more than %d bytes", REQUEST_BYTES_MAX);
    }
    memcpy(session->out + session->out_count, bytes, count);
    session->out_count += count;
}

static inline void put_u8(struct session *session, uint8_t value)
{
    put_bytes(session, &value, 1);
}

static inline void put_i32(struct session *session, int32_t value)
{
    uint8_t bytes[4];

    bytes_set_i32(bytes, value);
    put_bytes(session, bytes, sizeof(bytes));
}

static inline void put_i64(struct session *session, int64_t value)
{
    put_i32(session, (int32_t)(value >> 32));
    put_i32(session, (int32_t)(uint32_t)value);
}

static inline void put_text(struct session *session, const char *text)
{
    put_i32(session, (int32_t)strlen(text));
    put_bytes(session, text, strlen(text));
}

static inline void request_begin(struct session *session, enum opcode opcode)
{
    session->out_count = 0;
    put_i32(session, 0);
    put_i32(session, ++session->xid);
    put_i32(session, (int32_t)opcode);
}

static inline void request_send(struct session *session)
{
    const uint8_t *at = session->out;
    size_t left = session->out_count;

    bytes_set_i32(session->out, (int32_t)left - 4);
    session->requests_count++;
    while (left > 0) {
        ssize_t sent = send(session->fd, at, left, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            DIE("cannot send: %s", strerror(errno));
        }
        at += sent > 0 ? sent : 0;
        left -= sent > 0 ? (size_t)sent : 0;
    }
}

static inline void request_create(struct session *session, const char *path, const char *data,
                                  int32_t flags)
{
    request_begin(session, OPCODE_CREATE);
    put_text(session, path);
    put_text(session, data);
    put_i32(session, 1); /* One ACL entry: everybody may do everything. */
    put_i32(session, 31);
    put_text(session, "world");
    put_text(session, "anyone");
    put_i32(session, flags);
    request_send(session);
}

static inline void request_delete(struct session *session, const char *path)
{
    request_begin(session, OPCODE_DELETE);
    put_text(session, path);
    put_i32(session, -1);
    request_send(session);
}

/* exists, getData, getChildren */
static inline void request_read(struct session *session, enum opcode opcode, const char *path,
                                bool watch)
{
    request_begin(session, opcode);
    put_text(session, path);
    put_u8(session, watch);
    request_send(session);
}

static inline void request_set(struct session *session, const char *path, const char *data,
                               int32_t version)
{
    request_begin(session, OPCODE_SET);
    put_text(session, path);
    put_text(session, data);
    put_i32(session, version);
    request_send(session);
}

/* A call of a recipe: with an id of its own, so that it happens once and may wait. */
static inline void request_call(struct session *session, const char *operation, const char *format,
                                ...) __attribute__((format(printf, 3, 4)));

static inline void request_call(struct session *session, const char *operation, const char *format,
                                ...)
{
    char arguments[REQUEST_BYTES_MAX / 2];
    va_list values;

    va_start(values, format);
    int bytes = vsnprintf(arguments, sizeof(arguments), format, values);
    va_end(values);
    if (bytes < 0 || (size_t)bytes >= sizeof(arguments)) {
        DIE("%s: arguments of %d bytes", operation, bytes);
    }
    request_begin(session, OPCODE_CALL);
    put_text(session, operation);
    put_i64(session, ++session->call_id);
    put_i64(session, session->call_id - 1);
    put_i32(session, -1); /* No chroot. */
    put_u8(session, 0);   /* JSON. */
    put_text(session, arguments);
    request_send(session);
}

/* --- What comes back. */

/* Read what there is. Without `block`, that may be nothing. */
static inline void session_read(struct session *session, bool block)
{
    memmove(session->in, session->in + session->in_taken, session->in_count - session->in_taken);
    session->in_count -= session->in_taken;
    session->in_taken = 0;
    ssize_t got = recv(session->fd, session->in + session->in_count,
                       SESSION_IN_BYTES - session->in_count, block ? 0 : MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR) && !block) {
        return;
    }
    if (got <= 0) {
        DIE("the server closed a connection, or said nothing for 10 s (%s)",
            got == 0 ? "end of stream" : strerror(errno));
    }
    session->in_count += (size_t)got;
}

/* The next frame that has been read, if it has been read whole; NULL otherwise. */
static inline const uint8_t *session_frame(struct session *session, size_t *bytes)
{
    const uint8_t *at = session->in + session->in_taken;
    size_t left = session->in_count - session->in_taken;

    if (left < 4) {
        return NULL;
    }
    *bytes = (size_t)(uint32_t)bytes_i32(at);
    if (*bytes > SESSION_IN_BYTES - 4) {
        DIE("a reply of %zu bytes", *bytes);
    }
    if (left - 4 < *bytes) {
        return NULL;
    }
    session->in_taken += 4 + *bytes;
    return at + 4;
}

/* False: nothing more has been read. */
static inline bool session_next(struct session *session, struct said *said)
{
    size_t bytes;
    const uint8_t *frame = session_frame(session, &bytes);

    if (frame == NULL) {
        return false;
    }
    if (bytes < 16) {
        DIE("a reply of %zu bytes", bytes);
    }
    int32_t xid = bytes_i32(frame);
    *said = (struct said){.event = xid == XID_EVENT,
                          .error = bytes_i32(frame + 12),
                          .body = frame + 16,
                          .bytes = bytes - 16};
    if (said->event) {
        if (said->bytes < 12) {
            DIE("an event of %zu bytes", said->bytes);
        }
        said->event_type = bytes_i32(said->body);
        said->body += 8; /* Behind type and state: its path. */
        said->bytes -= 8;
    } else if (xid != session->xid) {
        DIE("an answer to request %d where %d is in flight", xid, session->xid);
    }
    return true;
}

/* The answer to the request in flight, for what is done before anything is measured. */
static inline void session_wait(struct session *session, int32_t tolerated)
{
    struct said said = {.event = true};

    while (said.event) {
        while (!session_next(session, &said)) {
            session_read(session, true);
        }
    }
    if (said.error != 0 && said.error != tolerated) {
        DIE("a request of the setup was answered with error %d", said.error);
    }
}

/* --- Reading bodies. */

/* The field at *at, and *at behind it: text is NULL if it is null. */
struct text {
    const char *text;
    size_t bytes;
};

static inline struct text said_text(const struct said *said, size_t *at)
{
    if (said->bytes < 4 || *at > said->bytes - 4) {
        DIE("a body that ends early");
    }
    int32_t bytes = bytes_i32(said->body + *at);
    *at += 4;
    if (bytes < 0) {
        return (struct text){NULL, 0};
    }
    if ((size_t)bytes > said->bytes - *at) {
        DIE("a body that ends early");
    }
    struct text text = {(const char *)said->body + *at, (size_t)bytes};
    *at += (size_t)bytes;
    return text;
}

static inline void text_copy(char *to, size_t to_bytes, struct text text)
{
    if (text.text == NULL || text.bytes >= to_bytes) {
        DIE("a text of %zu bytes", text.bytes);
    }
    memcpy(to, text.text, text.bytes);
    to[text.bytes] = '\0';
}

/* The result of a call, as JSON. A call that failed ends the program. */
static inline struct text said_result(const struct said *said)
{
    size_t at = 0;
    struct text error = said_text(said, &at);
    struct text message = said_text(said, &at);

    if (error.text != NULL) {
        DIE("a call failed: %.*s: %.*s", (int)error.bytes, error.text, (int)message.bytes,
            message.text == NULL ? "" : message.text);
    }
    return said_text(said, &at);
}

/* What stands in `json` from behind `begin` to before one of `ends`: enough for results of ours,
 * whose texts have nothing to escape. */
static inline void json_part(struct text json, const char *begin, const char *ends, char *to,
                             size_t to_bytes)
{
    const char *from = memmem(json.text, json.bytes, begin, strlen(begin));

    if (from == NULL) {
        DIE("a result without %s: %.*s", begin, (int)json.bytes, json.text);
    }
    from += strlen(begin);
    size_t bytes = 0;
    while (from + bytes < json.text + json.bytes && strchr(ends, from[bytes]) == NULL) {
        bytes++;
    }
    text_copy(to, to_bytes, (struct text){from, bytes});
}

/* --- Opening and closing. */

static inline void session_open(struct session *session, int port, uint32_t index)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct timeval silence = {.tv_sec = 10};
    int one = 1;
    size_t bytes;
    const uint8_t *reply;

    *session = (struct session){.in = allocate(1, SESSION_IN_BYTES)};
    session->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(session->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
    from.sin_addr.s_addr = htonl(0x7f000101u + index / SESSIONS_PER_SOURCE);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(session->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
        connect(session->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        DIE("cannot connect to 127.0.0.1:%d: %s", port, strerror(errno));
    }
    put_i32(session, 0);
    put_i32(session, 0); /* Protocol version. */
    put_i64(session, 0); /* Last zxid seen. */
    put_i32(session, SESSION_TIMEOUT_MS);
    put_i64(session, 0); /* A new session, */
    put_i32(session, 16);
    put_i64(session, 0); /* whose password is yet to come. */
    put_i64(session, 0);
    put_u8(session, 0); /* Not read-only. */
    request_send(session);
    while ((reply = session_frame(session, &bytes)) == NULL) {
        session_read(session, true);
    }
    if (bytes < 36 || bytes_i32(reply + 4) <= 0) {
        DIE("the server refused a session");
    }
}

/* Ask for the session's end, whatever is in flight, and wait for that of the connection. */
static inline void session_close(struct session *session)
{
    request_begin(session, OPCODE_CLOSE);
    request_send(session);
    while (recv(session->fd, session->in, SESSION_IN_BYTES, 0) > 0) {
    }
    close(session->fd);
    free(session->in);
}

#endif
