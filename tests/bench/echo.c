/* The limit: what a server on libuv could answer if it had no work to do.
 *
 * Speaks just enough of the client protocol for bench_load: frames go in and out as they would with
 * a real server, of the same sizes and with the right xid, but each reply is a constant that was
 * built at start. What bench_load measures against it is the kernel, libuv and bench_load itself.
 * All replies that one read gave rise to leave in one write: the least that any server must do.
 *
 *   ConnectRequest              ConnectResponse, 37 bytes
 *   getData, exists, setData    data of --value-bytes and a Stat; a Stat; a Stat
 *   create                      the path, with ten digits more if the flags say sequential
 *   getChildren                 100 names of 11 bytes
 *   multi                       the results of 10 setData
 *   closeSession                an empty reply, then the connection is closed
 *   everything else             an empty reply
 * A getData or exists that asks for a watch gets it: the next setData of anyone tells all watchers,
 * whatever the path.
 *
 * Usage: bench_echo --port N [--value-bytes N]. Listens on the loopback address alone. Not robust:
 * it trusts its one client and ends when something is amiss. */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LISTEN_BACKLOG 1024
#define IN_BYTES_MAX (256 * 1024)   /* More than bench_load keeps in flight on a connection. */
#define OUT_BYTES_MAX (1024 * 1024) /* Replies to one read; flushed early beyond it. */
#define VALUE_BYTES_MAX (128 * 1024)
#define HEADER_BYTES 20 /* Length, xid, zxid, err. */
#define STAT_BYTES 68
#define CHILDREN_COUNT 100
#define CHILD_BYTES 11
#define MULTI_COUNT 10
#define SEQUENCE_BYTES 10

enum opcode {
    OPCODE_CREATE = 1,
    OPCODE_EXISTS = 3,
    OPCODE_GET_DATA = 4,
    OPCODE_SET_DATA = 5,
    OPCODE_GET_CHILDREN = 8,
    OPCODE_MULTI = 14,
    OPCODE_CLOSE_SESSION = -11,
};

struct canned {
    uint8_t *bytes;
    size_t count;
};

struct server {
    uv_tcp_t listener;
    struct canned connected;
    struct canned empty;
    struct canned stat;
    struct canned data;
    struct canned children;
    struct canned multi;
    struct canned event;
    struct client *watchers; /* A list, linked through `watcher_next`. */
    uint8_t out[OUT_BYTES_MAX];
    size_t out_count;
};

struct client {
    uv_tcp_t tcp;
    struct server *server;
    struct client *watcher_next;
    bool watching;
    bool connected;
    bool closing;
    size_t in_count;
    uint8_t in[IN_BYTES_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "bench_echo: %s\n", what);
    exit(1);
}

static int32_t get_i32(const uint8_t *from)
{
    return (int32_t)((uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
                     (uint32_t)from[3]);
}

static void put_i32(uint8_t *to, int32_t value)
{
    to[0] = (uint8_t)((uint32_t)value >> 24);
    to[1] = (uint8_t)((uint32_t)value >> 16);
    to[2] = (uint8_t)((uint32_t)value >> 8);
    to[3] = (uint8_t)value;
}

/* A reply of `count` bytes, its length filled in, else zeros: zxid, err and Stat may be so. */
static struct canned canned_new(size_t count)
{
    struct canned canned = {calloc(1, count), count};

    if (canned.bytes == NULL) {
        die("out of memory");
    }
    put_i32(canned.bytes, (int32_t)count - 4);
    return canned;
}

static void canned_init(struct server *server, size_t value_bytes)
{
    static const char event_path[] = "/watched";
    uint8_t *at;

    server->connected = canned_new(41);
    put_i32(server->connected.bytes + 8, 10000); /* Session timeout, ms. */
    server->connected.bytes[19] = 1;             /* Session id: any but 0. */
    put_i32(server->connected.bytes + 20, 16);

    server->empty = canned_new(HEADER_BYTES);
    server->stat = canned_new(HEADER_BYTES + STAT_BYTES);
    server->data = canned_new(HEADER_BYTES + 4 + value_bytes + STAT_BYTES);
    put_i32(server->data.bytes + HEADER_BYTES, (int32_t)value_bytes);

    server->children = canned_new(HEADER_BYTES + 4 + CHILDREN_COUNT * (4 + CHILD_BYTES));
    at = server->children.bytes + HEADER_BYTES;
    put_i32(at, CHILDREN_COUNT);
    for (int i = 0; i < CHILDREN_COUNT; i++) {
        put_i32(at + 4 + i * (4 + CHILD_BYTES), CHILD_BYTES);
    }

    server->multi = canned_new(HEADER_BYTES + MULTI_COUNT * (9 + STAT_BYTES) + 9);
    at = server->multi.bytes + HEADER_BYTES;
    for (int i = 0; i < MULTI_COUNT; i++, at += 9 + STAT_BYTES) {
        put_i32(at, OPCODE_SET_DATA);
    }
    put_i32(at, -1);
    at[4] = 1;
    put_i32(at + 5, -1);

    server->event = canned_new(HEADER_BYTES + 12 + sizeof(event_path) - 1);
    put_i32(server->event.bytes + 4, -1);
    put_i32(server->event.bytes + HEADER_BYTES, 3);     /* NodeDataChanged */
    put_i32(server->event.bytes + HEADER_BYTES + 4, 3); /* SyncConnected */
    put_i32(server->event.bytes + HEADER_BYTES + 8, sizeof(event_path) - 1);
    memcpy(server->event.bytes + HEADER_BYTES + 12, event_path, sizeof(event_path) - 1);
}

static void client_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void client_close(struct client *client)
{
    struct client **link = &client->server->watchers;

    while (client->watching && *link != NULL && *link != client) {
        link = &(*link)->watcher_next;
    }
    if (client->watching) {
        *link = client->watcher_next;
    }
    if (!uv_is_closing((uv_handle_t *)&client->tcp)) {
        uv_close((uv_handle_t *)&client->tcp, client_closed);
    }
}

static void rest_written(uv_write_t *write, int status)
{
    (void)status; /* A connection that broke is noticed by its read. */
    free(write);
}

/* Write at once what the socket takes; the rest, if any, waits in a copy of its own. */
static void client_write(struct client *client, const uint8_t *bytes, size_t count)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)count);
    int written = uv_try_write((uv_stream_t *)&client->tcp, &buf, 1);
    size_t rest = count - (written > 0 ? (size_t)written : 0);
    uv_write_t *write;

    if (rest == 0 || (written < 0 && written != UV_EAGAIN)) {
        return;
    }
    write = malloc(sizeof(*write) + rest);
    if (write == NULL) {
        die("out of memory");
    }
    memcpy(write + 1, bytes + count - rest, rest);
    buf = uv_buf_init((char *)(write + 1), (unsigned)rest);
    uv_write(write, (uv_stream_t *)&client->tcp, &buf, 1, rest_written);
}

static void out_flush(struct server *server, struct client *client)
{
    if (server->out_count > 0) {
        client_write(client, server->out, server->out_count);
        server->out_count = 0;
    }
}

static uint8_t *out_reserve(struct server *server, struct client *client, size_t count)
{
    uint8_t *to;

    if (server->out_count + count > sizeof(server->out)) {
        out_flush(server, client);
    }
    to = server->out + server->out_count;
    server->out_count += count;
    return to;
}

static void reply_canned(struct client *client, const struct canned *canned, const uint8_t *xid)
{
    uint8_t *to = out_reserve(client->server, client, canned->count);

    memcpy(to, canned->bytes, canned->count);
    memcpy(to + 4, xid, 4);
}

/* `frame` starts with the xid; `count` is its length. Path: at 8. Flags: the last four bytes. */
static void reply_create(struct client *client, const uint8_t *frame, size_t count)
{
    size_t path_bytes = (size_t)get_i32(frame + 8);
    size_t sequence_bytes = (frame[count - 1] & 2) != 0 ? SEQUENCE_BYTES : 0;
    size_t reply_bytes = HEADER_BYTES + 4 + path_bytes + sequence_bytes;
    uint8_t *to;

    if (path_bytes > count) {
        die("malformed create");
    }
    to = out_reserve(client->server, client, reply_bytes);
    memset(to, 0, HEADER_BYTES);
    put_i32(to, (int32_t)reply_bytes - 4);
    memcpy(to + 4, frame, 4);
    put_i32(to + HEADER_BYTES, (int32_t)(path_bytes + sequence_bytes));
    memcpy(to + HEADER_BYTES + 4, frame + 12, path_bytes);
    memset(to + HEADER_BYTES + 4 + path_bytes, '0', sequence_bytes);
}

static void watch_add(struct client *client, bool wanted)
{
    if (wanted && !client->watching) {
        client->watching = true;
        client->watcher_next = client->server->watchers;
        client->server->watchers = client;
    }
}

static void watchers_tell(struct server *server)
{
    while (server->watchers != NULL) {
        struct client *client = server->watchers;

        server->watchers = client->watcher_next;
        client->watching = false;
        client_write(client, server->event.bytes, server->event.count);
    }
}

static void client_on_frame(struct client *client, const uint8_t *frame, size_t count)
{
    struct server *server = client->server;

    if (!client->connected) {
        client->connected = true;
        memcpy(out_reserve(server, client, server->connected.count), server->connected.bytes,
               server->connected.count);
        return;
    }
    switch (get_i32(frame + 4)) {
    case OPCODE_GET_DATA:
        watch_add(client, frame[count - 1] != 0);
        reply_canned(client, &server->data, frame);
        break;
    case OPCODE_EXISTS:
        watch_add(client, frame[count - 1] != 0);
        reply_canned(client, &server->stat, frame);
        break;
    case OPCODE_SET_DATA:
        watchers_tell(server);
        reply_canned(client, &server->stat, frame);
        break;
    case OPCODE_CREATE: reply_create(client, frame, count); break;
    case OPCODE_GET_CHILDREN: reply_canned(client, &server->children, frame); break;
    case OPCODE_MULTI: reply_canned(client, &server->multi, frame); break;
    case OPCODE_CLOSE_SESSION:
        reply_canned(client, &server->empty, frame);
        client->closing = true;
        break;
    default: reply_canned(client, &server->empty, frame); break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *client = handle->data;

    (void)suggested;
    *buf = uv_buf_init((char *)client->in + client->in_count,
                       (unsigned)(sizeof(client->in) - client->in_count));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct client *client = stream->data;
    size_t at = 0;

    (void)buf;
    if (count < 0) {
        client_close(client);
        return;
    }
    client->in_count += (size_t)count;
    while (client->in_count - at >= 4) {
        size_t frame_bytes = (size_t)(uint32_t)get_i32(client->in + at);

        if (frame_bytes < 8 || frame_bytes > sizeof(client->in) - 4) {
            die("a frame of impossible length");
        }
        if (client->in_count - at < 4 + frame_bytes) {
            break;
        }
        client_on_frame(client, client->in + at + 4, frame_bytes);
        at += 4 + frame_bytes;
    }
    memmove(client->in, client->in + at, client->in_count - at);
    client->in_count -= at;
    out_flush(client->server, client);
    if (client->closing) {
        client_close(client);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct client *client = malloc(sizeof(*client));

    if (status != 0 || client == NULL) {
        die("cannot accept");
    }
    memset(client, 0, offsetof(struct client, in));
    client->server = listener->data;
    client->tcp.data = client;
    uv_tcp_init(listener->loop, &client->tcp);
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0) {
        die("cannot accept");
    }
    uv_tcp_nodelay(&client->tcp, 1);
    uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read);
}

static void server_listen(struct server *server, int port)
{
    struct sockaddr_in address;

    uv_tcp_init(uv_default_loop(), &server->listener);
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", port, &address);
    if (uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&server->listener, LISTEN_BACKLOG, on_connection) != 0) {
        die("cannot listen");
    }
}

int main(int argc, char **argv)
{
    static struct server server;
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"value-bytes", required_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    long value_bytes = 100;
    int port = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'v': value_bytes = atol(optarg); break;
        default:
            port = 0;
            optind = argc;
            break;
        }
    }
    if (port < 1 || port > 65535 || value_bytes < 0 || value_bytes > VALUE_BYTES_MAX) {
        fprintf(stderr, "usage: bench_echo --port N [--value-bytes 0..%d]\n", VALUE_BYTES_MAX);
        return 2;
    }
    canned_init(&server, (size_t)value_bytes);
    server_listen(&server, port);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
