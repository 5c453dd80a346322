/* Load generator: the client protocol in its raw form, many connections, many requests in flight.
 *
 * The life of a run:
 *   1. a control connection creates the znodes that the operation needs (existing ones will do);
 *   2. each worker thread (usually one) opens its share of the connections, a session each;
 *   3. start: every connection sends --depth requests, and one more for each reply: a closed loop;
 *      replies count from the end of --warmup on, for --seconds, or until --count are done;
 *   4. drain: what is in flight is awaited; sessions are closed; the control connection removes
 *      the znodes;
 *   5. one line of figures, or a JSON object.
 *
 * Every reply is checked: xid in order, err 0, and exactly the length that the operation's reply
 * has (a failed multi is shorter). Anything else, 10 s without a byte, or a closed connection: a
 * message and exit code 1. Ephemeral znodes then go with their sessions; others stay, under --root.
 *
 * Two operations are not a closed loop of requests. `watchers`: all connections watch one znode,
 * the first sets it; a round ends when the last has been told, and rounds are what is counted.
 * `connect`: a connection is opened, shakes hands, closes its session, and starts again.
 *
 * Latency is from the write of a request to the read that brought its reply, kept in log buckets of
 * at most 1.6 % width. The clock is read once per read, not per reply: at depth 16 that saves more
 * than it blurs. This one file is long because it and figures.h must build alone, with nothing but
 * libc. */
#define _GNU_SOURCE
#define BENCH_NAME "bench_load"
#include "bench/figures.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 20000 /* File descriptors; and 16 bits of a created znode's number. */
#define DEPTH_MAX 10000
#define THREADS_MAX 16
#define VALUE_BYTES_MAX (100 * 1024) /* Ten in a multi stay below the default jute.maxbuffer. */
#define SECONDS_MAX 3600
#define PATH_BYTES_MAX 128
#define NUMBER_DIGITS 12 /* Hex, of one length: a request is patched, not built. */
#define CHILDREN_COUNT 100
#define CHILD_NAME_BYTES 11 /* "c" and ten digits. */
#define MULTI_COUNT 10
#define STAT_BYTES 68
#define REPLY_HEADER_BYTES 16
#define IN_BYTES_MIN (64 * 1024)
#define OPENING_MAX 32 /* Handshakes under way: below ZooKeeper's listen backlog of 50. */
#define CONNECTIONS_PER_SOURCE 50 /* ZooKeeper's default maxClientCnxns is 60. */
#define SOURCES_COUNT 250         /* For churn: enough for 7,000,000 ports. */
#define CONTROL_WINDOW 256        /* Requests in flight while znodes are created and removed. */
#define SESSION_TIMEOUT_MS 40000
#define PING_INTERVAL_NS 1300000000u /* Servers' default minimum for a timeout is 4 s. */
#define SILENCE_NS_MAX 10000000000u
#define XID_PING (-2)
#define XID_NOTIFICATION (-1)
#define ERROR_NO_NODE (-101)
#define ERROR_NODE_EXISTS (-110)
#define FLAGS_PERSISTENT 0
#define FLAGS_EPHEMERAL_SEQ 3

enum opcode {
    OPCODE_CREATE = 1,
    OPCODE_DELETE = 2,
    OPCODE_EXISTS = 3,
    OPCODE_GET_DATA = 4,
    OPCODE_SET_DATA = 5,
    OPCODE_GET_CHILDREN = 8,
    OPCODE_SYNC = 9,
    OPCODE_PING = 11,
    OPCODE_MULTI = 14,
    OPCODE_CALL = 700,
    OPCODE_CLOSE_SESSION = -11,
};

enum operation {
    OPERATION_GET,
    OPERATION_EXISTS,
    OPERATION_SET,
    OPERATION_CREATE,
    OPERATION_MIXED,
    OPERATION_CHILDREN,
    OPERATION_EPHEMERAL,
    OPERATION_MULTI,
    OPERATION_WATCHERS,
    OPERATION_CONNECT,
    OPERATION_CALL,
    OPERATION_COUNT,
};

static const char *const operation_names[OPERATION_COUNT] = {
    "get",       "exists", "set",      "create",  "mixed", "children",
    "ephemeral", "multi",  "watchers", "connect", "call",
};

struct options {
    enum operation operation;
    const char *root;
    struct servers servers;
    uint32_t connections_count;
    uint32_t depth;
    uint32_t threads_count;
    uint64_t keys_count;
    uint64_t count; /* 0: the run ends after `seconds`. */
    size_t value_bytes;
    double seconds;
    double warmup_seconds;
    bool keep;
    bool reuse;
    bool json;
};

/* --- Small things. */

static int32_t get_i32(const uint8_t *from)
{
    return (int32_t)((uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
                     (uint32_t)from[3]);
}

static void set_i32(uint8_t *to, int32_t value)
{
    to[0] = (uint8_t)((uint32_t)value >> 24);
    to[1] = (uint8_t)((uint32_t)value >> 16);
    to[2] = (uint8_t)((uint32_t)value >> 8);
    to[3] = (uint8_t)value;
}

static void set_number(uint8_t *to, uint64_t number)
{
    static const char digits[16] = "0123456789abcdef";

    for (int i = NUMBER_DIGITS - 1; i >= 0; i--, number >>= 4) {
        to[i] = (uint8_t)digits[number & 15];
    }
}

/* --- Requests. Each kind is built once; to send one is to copy it and patch xid and numbers. */

struct frame {
    uint8_t *bytes;
    size_t count;
    size_t reply_bytes;                 /* What follows the length of its reply; 0: a call's, of any
                                         * length. */
    size_t call_id_at;                  /* Of a call; 0: it is none. */
    size_t number_offsets[MULTI_COUNT]; /* Where the digits of its paths are. */
    size_t numbers_count;
};

static void put_i32(struct frame *frame, int32_t value)
{
    set_i32(frame->bytes + frame->count, value);
    frame->count += 4;
}

static void put_u8(struct frame *frame, uint8_t value)
{
    frame->bytes[frame->count++] = value;
}

static void put_text(struct frame *frame, const char *text)
{
    put_i32(frame, (int32_t)strlen(text));
    memcpy(frame->bytes + frame->count, text, strlen(text));
    frame->count += strlen(text);
}

static void put_value(struct frame *frame, size_t count)
{
    put_i32(frame, (int32_t)count);
    memset(frame->bytes + frame->count, 'v', count);
    frame->count += count;
}

static void put_acl_open(struct frame *frame)
{
    put_i32(frame, 1);
    put_i32(frame, 31); /* All permissions. */
    put_text(frame, "world");
    put_text(frame, "anyone");
}

/* `name` NULL: the root itself. Of a name that ends in '#' the '#' stands for the number. */
static void put_path(struct frame *frame, const char *root, const char *name)
{
    char path[PATH_BYTES_MAX + 1];
    size_t name_bytes = name == NULL ? 0 : strlen(name);
    bool numbered = name_bytes > 0 && name[name_bytes - 1] == '#';

    snprintf(path, sizeof(path), name == NULL ? "/%s%.0s" : "/%s/%s", root,
             name == NULL ? "" : name);
    if (numbered) {
        snprintf(path + strlen(path) - 1, NUMBER_DIGITS + 1, "%0*d", NUMBER_DIGITS, 0);
    }
    put_text(frame, path);
    if (numbered) {
        frame->number_offsets[frame->numbers_count++] = frame->count - NUMBER_DIGITS;
    }
}

static void frame_begin(struct frame *frame, size_t capacity, enum opcode opcode)
{
    memset(frame, 0, sizeof(*frame));
    frame->bytes = allocate(1, capacity);
    put_i32(frame, 0); /* The length: frame_end fills it in. */
    put_i32(frame, 0); /* The xid: filled in as it is sent. */
    put_i32(frame, (int32_t)opcode);
}

static void frame_end(struct frame *frame, size_t reply_body_bytes)
{
    set_i32(frame->bytes, (int32_t)frame->count - 4);
    frame->reply_bytes = REPLY_HEADER_BYTES + reply_body_bytes;
}

static void frame_init_bare(struct frame *frame, enum opcode opcode)
{
    frame_begin(frame, 64, opcode);
    frame_end(frame, 0);
}

static void frame_init_read(struct frame *frame, enum opcode opcode, const char *root,
                            const char *name, bool watch, size_t reply_body_bytes)
{
    frame_begin(frame, PATH_BYTES_MAX + 64, opcode);
    put_path(frame, root, name);
    put_u8(frame, watch);
    frame_end(frame, reply_body_bytes);
}

static void frame_init_set(struct frame *frame, const char *root, const char *name,
                           size_t value_bytes)
{
    frame_begin(frame, PATH_BYTES_MAX + value_bytes + 64, OPCODE_SET_DATA);
    put_path(frame, root, name);
    put_value(frame, value_bytes);
    put_i32(frame, -1);
    frame_end(frame, STAT_BYTES);
}

static void frame_init_create(struct frame *frame, const char *root, const char *name,
                              size_t value_bytes, int32_t flags)
{
    size_t path_bytes;

    frame_begin(frame, PATH_BYTES_MAX + value_bytes + 128, OPCODE_CREATE);
    put_path(frame, root, name);
    path_bytes = frame->count - 16;
    put_value(frame, value_bytes);
    put_acl_open(frame);
    put_i32(frame, flags);
    frame_end(frame, 4 + path_bytes + (flags == FLAGS_EPHEMERAL_SEQ ? 10 : 0));
}

static void frame_init_delete(struct frame *frame, const char *root, const char *name)
{
    frame_begin(frame, PATH_BYTES_MAX + 64, OPCODE_DELETE);
    put_path(frame, root, name);
    put_i32(frame, -1);
    frame_end(frame, 0);
}

static void frame_init_sync(struct frame *frame)
{
    frame_begin(frame, 64, OPCODE_SYNC);
    put_text(frame, "/");
    frame_end(frame, 4 + 1);
}

/* Moonkeeper's: one more for a counter. */
static void frame_init_call(struct frame *frame, const char *root)
{
    char arguments[PATH_BYTES_MAX + 32];

    frame_begin(frame, PATH_BYTES_MAX + 128, OPCODE_CALL);
    put_text(frame, "counter.add");
    frame->call_id_at = frame->count;
    for (int i = 0; i < 4; i++) {
        put_i32(frame, 0); /* Its id, and the id up to which results are no longer needed. */
    }
    put_i32(frame, -1); /* No chroot. */
    put_u8(frame, 0);   /* JSON. */
    snprintf(arguments, sizeof(arguments), "{\"path\":\"/%s/k%0*d\"}", root, NUMBER_DIGITS, 0);
    put_text(frame, arguments);
    frame->number_offsets[frame->numbers_count++] = frame->count - 2 - NUMBER_DIGITS;
    frame_end(frame, 0);
    frame->reply_bytes = 0;
}

static void frame_init_multi(struct frame *frame, const char *root, const char *name,
                             size_t value_bytes)
{
    frame_begin(frame, MULTI_COUNT * (PATH_BYTES_MAX + value_bytes + 64) + 64, OPCODE_MULTI);
    for (int i = 0; i < MULTI_COUNT; i++) {
        put_i32(frame, OPCODE_SET_DATA);
        put_u8(frame, 0);
        put_i32(frame, -1);
        put_path(frame, root, name);
        put_value(frame, value_bytes);
        put_i32(frame, -1);
    }
    put_i32(frame, -1);
    put_u8(frame, 1);
    put_i32(frame, -1);
    frame_end(frame, MULTI_COUNT * (9 + STAT_BYTES) + 9);
}

/* --- A run, its workers and their connections. */

struct run {
    const struct options *options;
    struct frame main;  /* What the operation sends, the reads of `mixed` included. */
    struct frame other; /* `mixed` and `watchers`: the set. */
    struct frame ping;
    struct frame close;
    pthread_barrier_t ready; /* Passed twice: all are connected; the times below are set. */
    uint64_t start_ns;
    uint64_t measure_from_ns;
    uint64_t measure_to_ns; /* UINT64_MAX when the run ends by count. */
};

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_OPENING,
    CONNECTION_READY,
    CONNECTION_CLOSING
};

struct request {
    uint64_t sent_ns;
    size_t reply_bytes;
};

struct connection {
    struct worker *worker;
    enum connection_state state;
    int fd;
    uint32_t index; /* Among all of the run. */
    uint32_t in_flight;
    int32_t xid_sent;
    int32_t xid_received;
    uint64_t created_count;
    uint64_t random;
    uint64_t opened_ns;
    uint64_t written_ns;
    struct request *requests; /* A ring of `depth`, by xid. */
    uint8_t *in;
    size_t in_count;
    uint8_t *out;
    size_t out_count;
    bool out_blocked;
};

struct worker {
    struct run *run;
    pthread_t thread;
    struct connection *connections;
    uint32_t connections_count;
    uint32_t opening_count;
    uint32_t open_count;
    uint32_t told_count; /* `watchers`: notifications of this round. */
    int epoll_fd;
    bool sending;
    uint64_t in_flight;
    uint64_t issued;
    uint64_t issued_max;
    size_t in_bytes_max;
    size_t out_bytes_max;
    uint64_t heard_ns;
    uint64_t pinged_ns;
    uint64_t done_ns; /* The last measured reply. */
    struct histogram histogram;
};

/* `source` other than 0 picks one of many loopback addresses to connect from: servers limit the
 * connections of one address, and churn would run out of ports that are not in TIME_WAIT. */
static int socket_open(int port, uint32_t source)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0) {
        DIE("socket: %s", strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (source != 0) {
        from.sin_addr.s_addr = htonl(0x7f000100u + source);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, (const struct sockaddr *)&from, sizeof(from)) != 0) {
            DIE("bind: %s", strerror(errno));
        }
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        DIE("cannot connect to 127.0.0.1:%d: %s", port, strerror(errno));
    }
    return fd;
}

static size_t connect_request(uint8_t *to)
{
    memset(to, 0, 49);
    set_i32(to, 45);
    set_i32(to + 16, SESSION_TIMEOUT_MS);
    set_i32(to + 28, 16);
    return 49;
}

static void connect_response_check(const uint8_t *payload, size_t count)
{
    if (count != 37 && count != 36) {
        DIE("a ConnectResponse of %zu bytes", count);
    }
    if (get_i32(payload + 4) <= 0) {
        DIE("the server refused a new session");
    }
}

/* --- The control connection: blocking, one stretch of equal requests at a time. */

struct control {
    int fd;
    int32_t xid;
    uint8_t *in;
    size_t in_count;
    size_t in_bytes_max;
};

static void control_send(struct control *control, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(control->fd, bytes, count, MSG_NOSIGNAL);

        if (sent <= 0) {
            DIE("the control connection broke: %s", strerror(errno));
        }
        bytes += sent;
        count -= (size_t)sent;
    }
}

/* The next reply, without its length; valid until the next call. */
static const uint8_t *control_receive(struct control *control, size_t *count, size_t *consumed)
{
    memmove(control->in, control->in + *consumed, control->in_count - *consumed);
    control->in_count -= *consumed;
    while (control->in_count < 4 ||
           control->in_count - 4 < (size_t)(uint32_t)get_i32(control->in)) {
        ssize_t got = recv(control->fd, control->in + control->in_count,
                           control->in_bytes_max - control->in_count, 0);

        if (got <= 0) {
            DIE("the control connection broke or said nothing for 10 s: %s", strerror(errno));
        }
        control->in_count += (size_t)got;
    }
    *count = (size_t)get_i32(control->in);
    *consumed = 4 + *count;
    return control->in + 4;
}

static void control_open(struct control *control, int port)
{
    struct timeval silence = {.tv_sec = SILENCE_NS_MAX / NS_PER_SECOND};
    uint8_t hello[64];
    size_t consumed = 0;
    size_t count;
    const uint8_t *reply;

    control->fd = socket_open(port, 0);
    control->xid = 0;
    control->in_count = 0;
    control->in_bytes_max = IN_BYTES_MIN;
    control->in = allocate(1, control->in_bytes_max);
    setsockopt(control->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
    control_send(control, hello, connect_request(hello));
    reply = control_receive(control, &count, &consumed);
    connect_response_check(reply, count);
    control->in_count = 0;
}

static void control_send_batch(struct control *control, const struct frame *frame, uint64_t from,
                               uint64_t count)
{
    uint8_t *out = allocate(count, frame->count);

    for (uint64_t i = 0; i < count; i++) {
        uint8_t *to = out + i * frame->count;

        memcpy(to, frame->bytes, frame->count);
        set_i32(to + 4, ++control->xid);
        if (frame->numbers_count > 0) {
            set_number(to + frame->number_offsets[0], from + i);
        }
    }
    control_send(control, out, count * frame->count);
    free(out);
}

static void control_receive_batch(struct control *control, uint64_t count, int32_t tolerated)
{
    size_t consumed = 0;

    for (uint64_t i = 0; i < count; i++) {
        size_t reply_bytes;
        const uint8_t *reply = control_receive(control, &reply_bytes, &consumed);
        int32_t error = reply_bytes < REPLY_HEADER_BYTES ? -1 : get_i32(reply + 12);

        if (error != 0 && error != tolerated) {
            DIE("a request of setup or clean-up was answered with error %d", error);
        }
    }
    control->in_count = 0; /* The last reply of a batch is the last byte that the server sends. */
}

/* Send `frame` once for each of `count` numbers from `from` on.
 * An answer of error `tolerated` will do. */
static void control_repeat(struct control *control, const struct frame *frame, uint64_t from,
                           uint64_t count, int32_t tolerated)
{
    for (uint64_t done = 0; done < count;) {
        uint64_t batch = count - done < CONTROL_WINDOW ? count - done : CONTROL_WINDOW;

        control_send_batch(control, frame, from + done, batch);
        control_receive_batch(control, batch, tolerated);
        done += batch;
    }
}

static void control_close(struct control *control)
{
    struct frame close_session;

    frame_init_bare(&close_session, OPCODE_CLOSE_SESSION);
    control_repeat(control, &close_session, 0, 1, 0);
    free(close_session.bytes);
    free(control->in);
    close(control->fd);
}

/* --- What the operation needs in the tree, before and after. */

static uint64_t keys_needed(const struct options *options)
{
    switch (options->operation) {
    case OPERATION_GET:
    case OPERATION_EXISTS:
    case OPERATION_SET:
    case OPERATION_MIXED:
    case OPERATION_CALL:
    case OPERATION_MULTI: return options->keys_count;
    default: return 0;
    }
}

static bool needs_znodes(const struct options *options)
{
    return options->operation != OPERATION_CONNECT;
}

static void control_create(struct control *control, const char *root, const char *name,
                           size_t value_bytes, uint64_t count)
{
    struct frame frame;

    frame_init_create(&frame, root, name, value_bytes, FLAGS_PERSISTENT);
    control_repeat(control, &frame, 0, count, ERROR_NODE_EXISTS);
    free(frame.bytes);
}

static void control_delete(struct control *control, const char *root, const char *name,
                           uint64_t from, uint64_t count)
{
    struct frame frame;

    frame_init_delete(&frame, root, name);
    control_repeat(control, &frame, from, count, ERROR_NO_NODE);
    free(frame.bytes);
}

static void children_each(const struct options *options, struct control *control, bool create)
{
    for (int i = 0; i < CHILDREN_COUNT; i++) {
        char name[32];

        snprintf(name, sizeof(name), "children/c%010d", i);
        if (create) {
            control_create(control, options->root, name, 0, 1);
        } else {
            control_delete(control, options->root, name, 0, 1);
        }
    }
}

static void znodes_create(const struct options *options)
{
    struct control control;

    if (options->reuse || !needs_znodes(options)) {
        return;
    }
    control_open(&control, servers_port(&options->servers, 0));
    control_create(&control, options->root, NULL, 0, 1);
    control_create(&control, options->root, "k#", /* An empty counter is 0. */
                   options->operation == OPERATION_CALL ? 0 : options->value_bytes,
                   keys_needed(options));
    if (options->operation == OPERATION_CHILDREN) {
        control_create(&control, options->root, "children", 0, 1);
        children_each(options, &control, true);
    }
    if (options->operation == OPERATION_WATCHERS) {
        control_create(&control, options->root, "watched", options->value_bytes, 1);
    }
    control_close(&control);
}

/* Who is connected to another server of an ensemble than the one that was asked to create may look
 * sooner than that server has heard of it. */
static void servers_sync(const struct options *options)
{
    struct frame sync;

    frame_init_sync(&sync);
    for (uint32_t i = 1; i < options->servers.ports_count; i++) {
        struct control control;

        control_open(&control, options->servers.ports[i]);
        control_repeat(&control, &sync, 0, 1, 0);
        control_close(&control);
    }
    free(sync.bytes);
}

static uint64_t created_number(uint32_t connection_index, uint64_t n)
{
    return (uint64_t)connection_index << 32 | n;
}

static void znodes_delete(const struct options *options, const struct worker *workers)
{
    struct control control;

    if (options->keep || !needs_znodes(options)) {
        return;
    }
    control_open(&control, servers_port(&options->servers, 0));
    control_delete(&control, options->root, "k#", 0, keys_needed(options));
    for (uint32_t i = 0; i < options->threads_count; i++) {
        for (uint32_t j = 0; j < workers[i].connections_count; j++) {
            const struct connection *connection = &workers[i].connections[j];

            control_delete(&control, options->root, "n#", created_number(connection->index, 0),
                           connection->created_count);
        }
    }
    if (options->operation == OPERATION_CHILDREN) {
        children_each(options, &control, false);
        control_delete(&control, options->root, "children", 0, 1);
    }
    if (options->operation == OPERATION_WATCHERS) {
        control_delete(&control, options->root, "watched", 0, 1);
    }
    control_delete(&control, options->root, NULL, 0, 1);
    control_close(&control);
}

static void run_init(struct run *run, const struct options *options)
{
    const char *root = options->root;
    size_t value_bytes = options->value_bytes;
    size_t data_bytes = 4 + value_bytes + STAT_BYTES;
    size_t children_bytes = 4 + CHILDREN_COUNT * (4 + CHILD_NAME_BYTES);

    memset(run, 0, sizeof(*run));
    run->options = options;
    frame_init_bare(&run->ping, OPCODE_PING);
    set_i32(run->ping.bytes + 4, XID_PING);
    frame_init_bare(&run->close, OPCODE_CLOSE_SESSION);
    frame_init_set(&run->other, root, options->operation == OPERATION_WATCHERS ? "watched" : "k#",
                   value_bytes);
    switch (options->operation) {
    case OPERATION_GET:
    case OPERATION_MIXED:
        frame_init_read(&run->main, OPCODE_GET_DATA, root, "k#", false, data_bytes);
        break;
    case OPERATION_EXISTS:
        frame_init_read(&run->main, OPCODE_EXISTS, root, "k#", false, STAT_BYTES);
        break;
    case OPERATION_SET: frame_init_set(&run->main, root, "k#", value_bytes); break;
    case OPERATION_CREATE:
        frame_init_create(&run->main, root, "n#", value_bytes, FLAGS_PERSISTENT);
        break;
    case OPERATION_CHILDREN:
        frame_init_read(&run->main, OPCODE_GET_CHILDREN, root, "children", false, children_bytes);
        break;
    case OPERATION_EPHEMERAL:
        frame_init_create(&run->main, root, "e-", value_bytes, FLAGS_EPHEMERAL_SEQ);
        break;
    case OPERATION_MULTI: frame_init_multi(&run->main, root, "k#", value_bytes); break;
    case OPERATION_CALL: frame_init_call(&run->main, root); break;
    case OPERATION_WATCHERS:
        frame_init_read(&run->main, OPCODE_GET_DATA, root, "watched", true, data_bytes);
        break;
    case OPERATION_CONNECT:
    case OPERATION_COUNT: frame_init_bare(&run->main, OPCODE_PING); break;
    }
}

/* --- Connections: bytes out. */

static void connection_flush(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = connection};
    ssize_t sent;
    bool blocked;

    if (connection->out_count == 0) {
        return;
    }
    sent =
        send(connection->fd, connection->out, connection->out_count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        DIE("connection %u: write: %s", connection->index, strerror(errno));
    }
    if (sent > 0) {
        connection->out_count -= (size_t)sent;
        memmove(connection->out, connection->out + sent, connection->out_count);
    }
    blocked = connection->out_count > 0;
    if (blocked != connection->out_blocked) {
        connection->out_blocked = blocked;
        event.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
        epoll_ctl(connection->worker->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    }
}

static uint64_t connection_random(struct connection *connection)
{
    uint64_t x = connection->random; /* xorshift64 */

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    connection->random = x;
    return x;
}

static void connection_append(struct connection *connection, const struct frame *frame,
                              uint64_t now)
{
    uint8_t *to = connection->out + connection->out_count;
    struct worker *worker = connection->worker;
    const struct options *options = worker->run->options;
    struct request *request;

    memcpy(to, frame->bytes, frame->count);
    set_i32(to + 4, ++connection->xid_sent);
    for (size_t i = 0; i < frame->numbers_count; i++) {
        uint64_t number = options->operation == OPERATION_CREATE
                              ? created_number(connection->index, connection->created_count++)
                              : connection_random(connection) % options->keys_count;

        set_number(to + frame->number_offsets[i], number);
    }
    if (frame->call_id_at != 0) { /* What was sent `depth` requests ago has been answered. */
        uint32_t id = (uint32_t)connection->xid_sent;
        set_i32(to + frame->call_id_at + 4, (int32_t)id);
        set_i32(to + frame->call_id_at + 12,
                (int32_t)(id > options->depth ? id - options->depth : 0));
    }
    connection->out_count += frame->count;
    connection->written_ns = now;
    request = &connection->requests[(uint32_t)connection->xid_sent % options->depth];
    request->sent_ns = now;
    request->reply_bytes = frame->reply_bytes;
    connection->in_flight++;
    worker->in_flight++;
}

/* Closed loop: bring the connection back to its depth, in one write. */
static void connection_refill(struct connection *connection, uint64_t now)
{
    struct worker *worker = connection->worker;
    const struct run *run = worker->run;
    bool mixed = run->options->operation == OPERATION_MIXED;

    while (worker->sending && connection->in_flight < run->options->depth &&
           worker->issued < worker->issued_max) {
        bool set = mixed && connection_random(connection) % 10 == 0;

        connection_append(connection, set ? &run->other : &run->main, now);
        worker->issued++;
    }
    connection_flush(connection);
}

static void connection_open(struct connection *connection, uint64_t now)
{
    struct worker *worker = connection->worker;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    bool churn = worker->run->options->operation == OPERATION_CONNECT;
    uint64_t source = churn ? 1 + connection_random(connection) % SOURCES_COUNT
                            : connection->index / CONNECTIONS_PER_SOURCE;

    connection->opened_ns = now;
    connection->fd = socket_open(servers_port(&worker->run->options->servers, connection->index),
                                 (uint32_t)source);
    connection->state = CONNECTION_OPENING;
    connection->xid_sent = 0;
    connection->xid_received = 0;
    connection->in_flight = 0;
    connection->in_count = 0;
    connection->out_count = connect_request(connection->out);
    connection->out_blocked = false;
    connection->written_ns = now;
    worker->opening_count++;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        DIE("epoll: %s", strerror(errno));
    }
    connection_flush(connection);
}

static void connection_close_start(struct connection *connection, uint64_t now)
{
    connection->state = CONNECTION_CLOSING;
    connection_append(connection, &connection->worker->run->close, now);
    connection_flush(connection);
}

static void connection_close_done(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    connection->state = CONNECTION_CLOSED;
    connection->worker->open_count--;
}

/* --- Connections: frames in. */

static void worker_record(struct worker *worker, uint64_t sent_ns, uint64_t now)
{
    if (now >= worker->run->measure_from_ns && now < worker->run->measure_to_ns) {
        histogram_add(&worker->histogram, now - sent_ns);
        worker->done_ns = now;
    }
}

static void connection_on_connected(struct connection *connection, const uint8_t *payload,
                                    size_t count, uint64_t now)
{
    struct worker *worker = connection->worker;

    connect_response_check(payload, count);
    connection->state = CONNECTION_READY;
    worker->opening_count--;
    worker->open_count++;
    if (worker->run->options->operation == OPERATION_CONNECT) {
        connection_close_start(connection, now);
    }
}

static void connection_on_reply(struct connection *connection, const uint8_t *payload, size_t count,
                                uint64_t now)
{
    struct worker *worker = connection->worker;
    const struct request *request;
    int32_t xid = get_i32(payload);
    int32_t error = get_i32(payload + 12);

    if (connection->in_flight == 0 || xid != connection->xid_received + 1) {
        DIE("connection %u: xid %d where %d was due", connection->index, xid,
            connection->xid_received + 1);
    }
    connection->xid_received = xid;
    connection->in_flight--;
    worker->in_flight--;
    request = &connection->requests[(uint32_t)xid % worker->run->options->depth];
    if (error != 0) {
        DIE("connection %u: xid %d was answered with error %d", connection->index, xid, error);
    }
    bool call = request->reply_bytes == 0;
    if (call && (count < REPLY_HEADER_BYTES + 4 || get_i32(payload + REPLY_HEADER_BYTES) != -1)) {
        DIE("connection %u: xid %d: a call failed", connection->index, xid);
    }
    if (!call && count != request->reply_bytes) {
        DIE("connection %u: xid %d: a reply of %zu bytes where %zu were due (a failed multi, or "
            "keys "
            "made with another --value-bytes?)",
            connection->index, xid, count, request->reply_bytes);
    }
    if (connection->state == CONNECTION_CLOSING) {
        connection_close_done(connection);
    } else if (worker->run->options->operation != OPERATION_WATCHERS) {
        worker_record(worker, request->sent_ns, now);
    }
}

static void connection_on_frame(struct connection *connection, const uint8_t *payload, size_t count,
                                uint64_t now)
{
    if (connection->state == CONNECTION_OPENING) {
        connection_on_connected(connection, payload, count, now);
        return;
    }
    if (count < REPLY_HEADER_BYTES) {
        DIE("connection %u: a reply of %zu bytes", connection->index, count);
    }
    switch (get_i32(payload)) {
    case XID_PING: break;
    case XID_NOTIFICATION: connection->worker->told_count++; break;
    default: connection_on_reply(connection, payload, count, now); break;
    }
}

/* `connect`: the session is closed and the next one begins on a connection of its own. */
static void connection_on_churned(struct connection *connection, uint64_t now)
{
    struct worker *worker = connection->worker;

    worker_record(worker, connection->opened_ns, now);
    if (worker->sending && worker->issued < worker->issued_max) {
        worker->issued++;
        connection_open(connection, now);
    }
}

static void connection_on_readable(struct connection *connection)
{
    struct worker *worker = connection->worker;
    ssize_t got = recv(connection->fd, connection->in + connection->in_count,
                       worker->in_bytes_max - connection->in_count, MSG_DONTWAIT);
    uint64_t now = now_ns();
    size_t at = 0;

    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        DIE("connection %u: the server closed it (%s)", connection->index,
            got == 0 ? "end of stream" : strerror(errno));
    }
    worker->heard_ns = now;
    connection->in_count += (size_t)got;
    while (connection->state != CONNECTION_CLOSED && connection->in_count - at >= 4) {
        size_t frame_bytes = (size_t)(uint32_t)get_i32(connection->in + at);

        if (frame_bytes > worker->in_bytes_max - 4) {
            DIE("connection %u: a reply of %zu bytes", connection->index, frame_bytes);
        }
        if (connection->in_count - at - 4 < frame_bytes) {
            break;
        }
        connection_on_frame(connection, connection->in + at + 4, frame_bytes, now);
        at += 4 + frame_bytes;
    }
    connection->in_count -= at;
    memmove(connection->in, connection->in + at, connection->in_count);
    if (connection->state == CONNECTION_READY) {
        connection_refill(connection, now);
    } else if (connection->state == CONNECTION_CLOSED &&
               worker->run->options->operation == OPERATION_CONNECT) {
        connection_on_churned(connection, now);
    }
}

/* --- Workers. */

/* A run is short, but sessions that wait for others must not expire meanwhile. */
static void worker_ping_idle(struct worker *worker, uint64_t now)
{
    if (now - worker->pinged_ns < NS_PER_SECOND / 4) {
        return;
    }
    worker->pinged_ns = now;
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        struct connection *connection = &worker->connections[i];

        if (connection->state == CONNECTION_READY && connection->out_count == 0 &&
            now - connection->written_ns > PING_INTERVAL_NS) {
            const struct frame *ping = &worker->run->ping;

            memcpy(connection->out, ping->bytes, ping->count);
            connection->out_count = ping->count;
            connection->written_ns = now;
            connection_flush(connection);
        }
    }
}

/* One round of the event loop. Returns the time after it. */
static uint64_t worker_step(struct worker *worker)
{
    struct epoll_event events[256];
    int count = epoll_wait(worker->epoll_fd, events, 256, 50);
    uint64_t now;

    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;

        if ((events[i].events & EPOLLOUT) != 0) {
            connection_flush(connection);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            connection_on_readable(connection);
        }
    }
    now = now_ns();
    if (now - worker->heard_ns > SILENCE_NS_MAX) {
        DIE("no byte from the server for 10 s: %" PRIu64 " requests in flight", worker->in_flight);
    }
    worker_ping_idle(worker, now);
    return now;
}

static void worker_connect(struct worker *worker)
{
    uint32_t next = 0;

    worker->heard_ns = now_ns();
    while (worker->open_count < worker->connections_count) {
        while (next < worker->connections_count && worker->opening_count < OPENING_MAX) {
            connection_open(&worker->connections[next++], now_ns());
        }
        worker_step(worker);
    }
}

static void worker_disconnect(struct worker *worker)
{
    worker->heard_ns = now_ns();
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        if (worker->connections[i].state == CONNECTION_READY) {
            connection_close_start(&worker->connections[i], now_ns());
        }
    }
    while (worker->open_count > 0) {
        worker_step(worker);
    }
}

/* The closed loop of every operation but `watchers`; `connect` opens where the others refill. */
static void worker_pump(struct worker *worker)
{
    bool churn = worker->run->options->operation == OPERATION_CONNECT;
    uint64_t now = now_ns();

    worker->heard_ns = now;
    worker->sending = true;
    for (uint32_t i = 0; i < worker->connections_count && worker->issued < worker->issued_max;
         i++) {
        if (churn) {
            worker->issued++;
            connection_open(&worker->connections[i], now);
        } else {
            connection_refill(&worker->connections[i], now);
        }
    }
    while (now < worker->run->measure_to_ns &&
           (worker->issued < worker->issued_max || worker->in_flight + worker->opening_count > 0)) {
        now = worker_step(worker);
    }
    worker->sending = false;
    while (worker->in_flight + worker->opening_count > 0) {
        worker_step(worker);
    }
}

/* One round: all watch, one sets, all are told. The setter is the first, a watcher itself. */
static void worker_watch_round(struct worker *worker)
{
    struct run *run = worker->run;
    uint64_t start_ns;

    for (uint32_t i = 0; i < worker->connections_count; i++) {
        connection_append(&worker->connections[i], &run->main, now_ns());
        connection_flush(&worker->connections[i]);
    }
    while (worker->in_flight > 0) {
        worker_step(worker);
    }
    if (worker->told_count != 0) {
        DIE("a watcher was told before anything changed");
    }
    start_ns = now_ns();
    connection_append(&worker->connections[0], &run->other, start_ns);
    connection_flush(&worker->connections[0]);
    while (worker->told_count < worker->connections_count) {
        worker_step(worker);
    }
    worker_record(worker, start_ns, now_ns());
    while (worker->in_flight > 0) {
        worker_step(worker);
    }
    worker->told_count = 0;
}

static void worker_watch(struct worker *worker)
{
    worker->heard_ns = now_ns();
    while (now_ns() < worker->run->measure_to_ns && worker->issued < worker->issued_max) {
        worker_watch_round(worker);
        worker->issued++;
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    enum operation operation = worker->run->options->operation;

    if (operation != OPERATION_CONNECT) {
        worker_connect(worker);
    }
    pthread_barrier_wait(&worker->run->ready);
    pthread_barrier_wait(&worker->run->ready);
    if (operation == OPERATION_WATCHERS) {
        worker_watch(worker);
    } else {
        worker_pump(worker);
    }
    worker_disconnect(worker);
    return NULL;
}

static void worker_init(struct worker *worker, struct run *run, uint32_t index)
{
    const struct options *options = run->options;
    uint32_t threads = options->threads_count;
    uint32_t first = (uint32_t)((uint64_t)options->connections_count * index / threads);
    uint32_t end = (uint32_t)((uint64_t)options->connections_count * (index + 1) / threads);
    size_t frame_bytes_max =
        run->main.count > run->other.count ? run->main.count : run->other.count;

    memset(worker, 0, sizeof(*worker));
    worker->run = run;
    worker->connections_count = end - first;
    worker->connections = allocate(worker->connections_count, sizeof(struct connection));
    worker->issued_max = options->count == 0 ? UINT64_MAX
                                             : options->count * (index + 1) / threads -
                                                   options->count * index / threads;
    worker->in_bytes_max = IN_BYTES_MIN + 2 * run->main.reply_bytes;
    worker->out_bytes_max = (size_t)(options->depth + 1) * frame_bytes_max + 256;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        struct connection *connection = &worker->connections[i];

        connection->worker = worker;
        connection->index = first + i;
        connection->random = 0x9e3779b97f4a7c15u * (connection->index + 1);
        connection->requests = allocate(options->depth, sizeof(struct request));
        connection->in = allocate(1, worker->in_bytes_max);
        connection->out = allocate(1, worker->out_bytes_max);
    }
}

static void worker_deinit(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        free(worker->connections[i].requests);
        free(worker->connections[i].in);
        free(worker->connections[i].out);
    }
    free(worker->connections);
    close(worker->epoll_fd);
}

/* --- The run. */

static void run_times_set(struct run *run)
{
    const struct options *options = run->options;

    run->start_ns = now_ns();
    run->measure_from_ns = run->start_ns;
    run->measure_to_ns = UINT64_MAX;
    if (options->count == 0) {
        run->measure_from_ns += (uint64_t)(options->warmup_seconds * 1e9);
        run->measure_to_ns = run->measure_from_ns + (uint64_t)(options->seconds * 1e9);
    }
}

static void run_measure(struct run *run, struct worker *workers)
{
    const struct options *options = run->options;
    struct histogram *histogram = allocate(1, sizeof(*histogram));
    struct usage before;
    struct usage after = {0};
    uint64_t done_ns = 0;

    pthread_barrier_wait(&run->ready);
    run_times_set(run);
    pthread_barrier_wait(&run->ready);
    sleep_until(run->measure_from_ns);
    before = usage_read(&options->servers);
    if (options->count == 0) {
        sleep_until(run->measure_to_ns);
        after = usage_read(&options->servers);
    }
    for (uint32_t i = 0; i < options->threads_count; i++) {
        pthread_join(workers[i].thread, NULL);
        histogram_merge(histogram, &workers[i].histogram);
        done_ns = workers[i].done_ns > done_ns ? workers[i].done_ns : done_ns;
    }
    if (options->count != 0) {
        after = usage_read(&options->servers);
    } else {
        done_ns = run->measure_to_ns;
    }
    if (histogram->count == 0) {
        DIE("no operation was completed in the time given");
    }
    results_print(&(struct load){.operation = operation_names[options->operation],
                                 .connections_count = options->connections_count,
                                 .depth = options->depth,
                                 .seconds = (double)(done_ns - run->measure_from_ns) / 1e9},
                  histogram, &before, &after, options->json);
    free(histogram);
}

static void run_all(const struct options *options)
{
    static struct worker workers[THREADS_MAX];
    struct run run;

    znodes_create(options);
    servers_sync(options);
    run_init(&run, options);
    pthread_barrier_init(&run.ready, NULL, options->threads_count + 1);
    for (uint32_t i = 0; i < options->threads_count; i++) {
        worker_init(&workers[i], &run, i);
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            DIE("cannot start a thread");
        }
    }
    run_measure(&run, workers);
    fflush(stdout);
    znodes_delete(options, workers);
    for (uint32_t i = 0; i < options->threads_count; i++) {
        worker_deinit(&workers[i]);
    }
    pthread_barrier_destroy(&run.ready);
    free(run.main.bytes);
    free(run.other.bytes);
    free(run.ping.bytes);
    free(run.close.bytes);
}

/* --- Command line. */

static void usage_print(FILE *to)
{
    fputs(
        "Usage: bench_load --port 2181 --op get --connections 50 --depth 16 --seconds 5\n"
        "  --port N           of a server on 127.0.0.1; A,B,C of an ensemble: connections take "
        "its\n"
        "                     servers in turn\n"
        "  --op NAME          get exists set create mixed children ephemeral multi watchers "
        "connect call\n"
        "                     mixed: 90 % get, 10 % set; children: of a znode with 100;\n"
        "                     ephemeral: sequential create; multi: of 10 sets;\n"
        "                     watchers: rounds until the last of all connections is told;\n"
        "                     connect: new session, close it\n"
        "                     call: Moonkeeper's counter.add, on --keys counters\n"
        "  --connections N    50; watchers: 1000\n"
        "  --depth N          requests in flight on each, 16; watchers, connect: 1\n"
        "  --single           one connection, one request at a time\n"
        "  --seconds S        length of the measurement, 5\n"
        "  --warmup S         the same load before it, not counted, 0\n"
        "  --count N          instead of seconds: this many operations, all measured\n"
        "  --threads N        1\n"
        "  --keys N           znodes that get, exists, set, mixed, multi choose from, 1000\n"
        "  --value-bytes N    100\n"
        "  --root NAME        znode under / to work in, bench\n"
        "  --keep             leave the znodes behind\n"
        "  --reuse            take, and leave, the znodes as an earlier run with --keep left them\n"
        "  --server-pid PIDS  report these processes' CPU time and RSS\n"
        "  --json             one JSON object on stdout\n"
        "Exit codes: 0 measured, 1 the server failed or answered wrongly, 2 usage.\n",
        to);
}

static void usage_fail(const char *what)
{
    fprintf(stderr, "bench_load: bad or missing %s\n", what);
    usage_print(stderr);
    exit(2);
}

static enum operation operation_parse(const char *name)
{
    for (int i = 0; i < OPERATION_COUNT; i++) {
        if (strcmp(name, operation_names[i]) == 0) {
            return (enum operation)i;
        }
    }
    return OPERATION_COUNT;
}

static uint64_t number_parse(const char *text, uint64_t min, uint64_t max, const char *what)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > max) {
        usage_fail(what);
    }
    return number;
}

static double seconds_parse(const char *text, const char *what)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds >= 0.0 && seconds <= SECONDS_MAX)) {
        usage_fail(what);
    }
    return seconds;
}

static void options_check(struct options *options, bool single)
{
    bool watchers = options->operation == OPERATION_WATCHERS;

    if (options->operation == OPERATION_COUNT) {
        usage_fail("--op");
    }
    if (options->servers.ports_count == 0) {
        usage_fail("--port");
    }
    if (strchr(options->root, '/') != NULL || strlen(options->root) < 1 ||
        strlen(options->root) > PATH_BYTES_MAX / 2) {
        usage_fail("--root");
    }
    if (options->connections_count == 0) {
        options->connections_count = watchers ? 1000 : 50;
    }
    options->connections_count = single ? 1 : options->connections_count;
    options->depth = single ? 1 : options->depth;
    if (options->operation == OPERATION_CONNECT) {
        options->depth = 1;
    }
    if (watchers) {
        options->depth = 2; /* The setter's watch and its set. */
        options->threads_count = 1;
    }
    if (options->threads_count > options->connections_count) {
        usage_fail("--threads: more than connections");
    }
}

static void options_parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"op", required_argument, NULL, 'o'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"depth", required_argument, NULL, 'd'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"warmup", required_argument, NULL, 'w'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"keys", required_argument, NULL, 'k'},
                                          {"value-bytes", required_argument, NULL, 'v'},
                                          {"root", required_argument, NULL, 'r'},
                                          {"server-pid", required_argument, NULL, 'P'},
                                          {"single", no_argument, NULL, '1'},
                                          {"keep", no_argument, NULL, 'K'},
                                          {"reuse", no_argument, NULL, 'R'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool single = false;
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p':
            options->servers.ports_count =
                servers_parse(optarg, UINT16_MAX, options->servers.ports);
            break;
        case 'o': options->operation = operation_parse(optarg); break;
        case 'c':
            options->connections_count =
                (uint32_t)number_parse(optarg, 1, CONNECTIONS_MAX, "--connections");
            break;
        case 'd': options->depth = (uint32_t)number_parse(optarg, 1, DEPTH_MAX, "--depth"); break;
        case 's': options->seconds = seconds_parse(optarg, "--seconds"); break;
        case 'w': options->warmup_seconds = seconds_parse(optarg, "--warmup"); break;
        case 'n': options->count = number_parse(optarg, 1, UINT32_MAX, "--count"); break;
        case 't':
            options->threads_count = (uint32_t)number_parse(optarg, 1, THREADS_MAX, "--threads");
            break;
        case 'k': options->keys_count = number_parse(optarg, 1, UINT32_MAX, "--keys"); break;
        case 'v':
            options->value_bytes = number_parse(optarg, 0, VALUE_BYTES_MAX, "--value-bytes");
            break;
        case 'r': options->root = optarg; break;
        case 'P':
            options->servers.pids_count = servers_parse(optarg, INT32_MAX, options->servers.pids);
            break;
        case '1': single = true; break;
        case 'K': options->keep = true; break;
        case 'R': options->reuse = options->keep = true; break;
        case 'j': options->json = true; break;
        case 'h': usage_print(stdout); exit(0);
        default: usage_fail("option");
        }
    }
    options_check(options, single);
}

int main(int argc, char **argv)
{
    struct options options = {.operation = OPERATION_COUNT,
                              .root = "bench",
                              .depth = 16,
                              .threads_count = 1,
                              .keys_count = 1000,
                              .value_bytes = 100,
                              .seconds = 5.0};
    struct rlimit files;

    options_parse(&options, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    run_all(&options);
    return 0;
}
