/* Load for Redis, as load.c makes it for ZooKeeper's protocol: many connections, a closed loop of
 * --depth requests on each, GET or SET of values of 100 bytes at random among --keys keys. Or a lock for
 * each connection, by the usual two scripts, taken and given back one after the other: --op lock.
 *
 * All requests of a kind are equally long and all replies to them as well, so a read of n bytes
 * brought n / length replies, and each is compared with what it has to be. Anything else ends the
 * program with a message. The setup writes each key once. */
#define _GNU_SOURCE
#define BENCH_NAME "bench_redis"
#include "bench/figures.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 1000
#define DEPTH_MAX 1000
#define KEYS_MAX 1000000
#define KEY_DIGITS 12
#define VALUE_BYTES 100
#define REQUEST_BYTES_MAX 256
#define SILENCE_MS_MAX 10000

#define SHA1_DIGITS 40
/* Who sets the key has the lock; only who has it may delete it. */
#define LOCK_SCRIPT \
    "if redis.call('set',KEYS[1],ARGV[1],'NX','PX','30000') then return 1 else return 0 end"
#define UNLOCK_SCRIPT                                                                            \
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 " \
    "end"

struct options {
    bool set;
    bool lock;
    bool json;
    int port;
    struct servers servers;
    uint32_t connections_count;
    uint32_t depth;
    uint32_t keys_count;
    double seconds;
    double warmup_seconds;
};

/* A request of one kind: its bytes, where its key's digits are, and its reply. */
struct kind {
    char request[REQUEST_BYTES_MAX];
    size_t request_bytes;
    size_t digits_at;
    char reply[REQUEST_BYTES_MAX];
    size_t reply_bytes;
};

struct connection {
    int fd;
    uint64_t random;
    uint64_t *sent_ns; /* a ring: when each request in flight was written */
    uint32_t first;    /* of the ring: the oldest */
    uint32_t in_flight;
    size_t partial; /* bytes of the next reply that have come */
    uint32_t index;
    bool locked;        /* `lock`: the next request unlocks */
    uint64_t locked_ns; /* ... when the one that locked was sent */
};

struct run {
    const struct options *options;
    struct kind kind;
    struct kind unlock; /* `lock`: every other request */
    struct connection *connections;
    char *out;
    char *in;
    size_t in_bytes;
    struct histogram *histogram; /* NULL: not yet, or no more */
};

static void kind_init(struct kind *kind, bool set)
{
    char value[VALUE_BYTES + 1] = {0};

    memset(value, 'v', VALUE_BYTES);
    memset(kind, 0, sizeof(*kind));
    kind->request_bytes = (size_t)snprintf(kind->request, sizeof(kind->request),
                                           "*%d\r\n$3\r\n%s\r\n$%d\r\nk%0*d\r\n", set ? 3 : 2,
                                           set ? "SET" : "GET", KEY_DIGITS + 1, KEY_DIGITS, 0);
    kind->digits_at = kind->request_bytes - 2 - KEY_DIGITS;
    if (set) {
        kind->request_bytes += (size_t)snprintf(kind->request + kind->request_bytes,
                                                sizeof(kind->request) - kind->request_bytes,
                                                "$%d\r\n%s\r\n", VALUE_BYTES, value);
        kind->reply_bytes = (size_t)snprintf(kind->reply, sizeof(kind->reply), "+OK\r\n");
    } else {
        kind->reply_bytes =
            (size_t)snprintf(kind->reply, sizeof(kind->reply), "$%d\r\n%s\r\n", VALUE_BYTES, value);
    }
}

static void request_put(char *to, const struct kind *kind, uint64_t key)
{
    memcpy(to, kind->request, kind->request_bytes);
    for (int i = KEY_DIGITS - 1; i >= 0; i--, key /= 10) {
        to[kind->digits_at + (size_t)i] = (char)('0' + key % 10);
    }
}

static void send_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            DIE("cannot send: %s", strerror(errno));
        }
        bytes += sent > 0 ? sent : 0;
        count -= sent > 0 ? (size_t)sent : 0;
    }
}

static int connection_open(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        DIE("cannot connect to 127.0.0.1:%d: %s", port, strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* A call of `script` on the key, with the key as its token. The server knows the script by its hash
 * from now on. */
static void kind_init_script(struct kind *kind, int fd, const char *script)
{
    char load[REQUEST_BYTES_MAX];
    char answer[SHA1_DIGITS + 7]; /* "$40", the digits, and two ends of line */

    int bytes = snprintf(load, sizeof(load), "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n%s\r\n",
                         strlen(script), script);
    send_all(fd, load, (size_t)bytes);
    if (recv(fd, answer, sizeof(answer), MSG_WAITALL) != (ssize_t)sizeof(answer) ||
        memcmp(answer, "$40\r\n", 5) != 0) {
        DIE("a script could not be loaded");
    }
    memset(kind, 0, sizeof(*kind));
    kind->request_bytes =
        (size_t)snprintf(kind->request, sizeof(kind->request),
                         "*5\r\n$7\r\nEVALSHA\r\n$40\r\n%.40s\r\n$1\r\n1\r\n$%d\r\nl%0*d\r\n",
                         answer + 5, KEY_DIGITS + 1, KEY_DIGITS, 0);
    kind->digits_at = kind->request_bytes - 2 - KEY_DIGITS;
    kind->request_bytes +=
        (size_t)snprintf(kind->request + kind->request_bytes,
                         sizeof(kind->request) - kind->request_bytes, "$5\r\ntoken\r\n");
    kind->reply_bytes = (size_t)snprintf(kind->reply, sizeof(kind->reply), ":1\r\n");
}

/* Every key once, each awaited in batches: the run then finds all of them. */
static void keys_write(const struct run *run)
{
    struct kind set;
    char request[REQUEST_BYTES_MAX];
    char reply[REQUEST_BYTES_MAX];
    int fd = connection_open(run->options->port);

    kind_init(&set, true);
    for (uint32_t key = 0; key < run->options->keys_count; key++) {
        request_put(request, &set, key);
        send_all(fd, request, set.request_bytes);
        if (recv(fd, reply, set.reply_bytes, MSG_WAITALL) != (ssize_t)set.reply_bytes ||
            memcmp(reply, set.reply, set.reply_bytes) != 0) {
            DIE("a key could not be written");
        }
    }
    close(fd);
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Fill the connection up to --depth requests in flight, in one write. */
static void connection_refill(struct run *run, struct connection *connection, uint64_t now)
{
    const struct options *options = run->options;
    size_t bytes = 0;

    while (connection->in_flight < options->depth) {
        const struct kind *kind = connection->locked ? &run->unlock : &run->kind;
        request_put(run->out + bytes, kind,
                    options->lock ? connection->index
                                  : random_next(&connection->random) % options->keys_count);
        bytes += kind->request_bytes;
        uint32_t at = (connection->first + connection->in_flight++) % options->depth;
        connection->sent_ns[at] = now;
    }
    send_all(connection->fd, run->out, bytes);
}

static void reply_count(struct run *run, struct connection *connection, uint64_t now)
{
    if (connection->in_flight == 0) {
        DIE("a reply that nobody asked for");
    }
    uint64_t sent_ns = connection->sent_ns[connection->first];
    bool done = !run->options->lock || connection->locked;
    if (run->options->lock) { /* both together are one operation */
        sent_ns = connection->locked ? connection->locked_ns : sent_ns;
        connection->locked_ns = sent_ns;
        connection->locked = !connection->locked;
    }
    if (run->histogram != NULL && done) {
        histogram_add(run->histogram, now - sent_ns);
    }
    connection->first = (connection->first + 1) % run->options->depth;
    connection->in_flight--;
}

static void connection_read(struct run *run, struct connection *connection, uint64_t now)
{
    ssize_t got = recv(connection->fd, run->in, run->in_bytes, 0);
    size_t at = 0;

    if (got <= 0) {
        DIE("the connection ended: %s", got == 0 ? "closed" : strerror(errno));
    }
    while (at < (size_t)got) {
        size_t wanted = run->kind.reply_bytes - connection->partial;
        size_t part = (size_t)got - at < wanted ? (size_t)got - at : wanted;
        if (memcmp(run->in + at, run->kind.reply + connection->partial, part) != 0) {
            DIE("a wrong reply: %.40s", run->in + at);
        }
        at += part;
        connection->partial += part;
        if (connection->partial == run->kind.reply_bytes) {
            connection->partial = 0;
            reply_count(run, connection, now);
        }
    }
}

static void pump(struct run *run, int epoll, uint64_t until_ns)
{
    struct epoll_event events[256];

    while (now_ns() < until_ns) {
        int ready = epoll_wait(epoll, events, 256, SILENCE_MS_MAX);
        uint64_t now = now_ns();
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            DIE("no reply for %d ms", SILENCE_MS_MAX);
        }
        for (int i = 0; i < ready; i++) {
            connection_read(run, events[i].data.ptr, now);
            connection_refill(run, events[i].data.ptr, now);
        }
    }
}

static void run_all(const struct options *options)
{
    struct run run = {.options = options, .in_bytes = 256 * 1024};
    struct histogram *histogram = allocate(1, sizeof(*histogram));
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (options->lock) {
        int fd = connection_open(options->port);
        kind_init_script(&run.kind, fd, LOCK_SCRIPT);
        kind_init_script(&run.unlock, fd, UNLOCK_SCRIPT);
        close(fd);
    } else {
        kind_init(&run.kind, options->set);
        keys_write(&run);
    }
    run.in = allocate(1, run.in_bytes);
    run.out = allocate(options->depth, REQUEST_BYTES_MAX);
    run.connections = allocate(options->connections_count, sizeof(*run.connections));
    for (uint32_t i = 0; i < options->connections_count; i++) {
        struct connection *connection = &run.connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
        connection->fd = connection_open(options->port);
        connection->index = i;
        connection->random = 88172645463325252u + i;
        connection->sent_ns = allocate(options->depth, sizeof(uint64_t));
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
        connection_refill(&run, connection, now_ns());
    }
    pump(&run, epoll, now_ns() + (uint64_t)(options->warmup_seconds * 1e9));

    struct usage before = usage_read(&options->servers);
    uint64_t from_ns = now_ns();
    run.histogram = histogram;
    pump(&run, epoll, from_ns + (uint64_t)(options->seconds * 1e9));
    double seconds = (double)(now_ns() - from_ns) / 1e9;
    struct usage after = usage_read(&options->servers);

    if (histogram->count == 0) {
        DIE("no operation was completed in the time given");
    }
    results_print(&(struct load){.operation = options->lock  ? "lock"
                                              : options->set ? "set"
                                                             : "get",
                                 .connections_count = options->connections_count,
                                 .depth = options->depth,
                                 .seconds = seconds,
                                 .requests = options->lock ? 2 : 0},
                  histogram, &before, &after, options->json);
}

/* --- Command line: the part of bench_load's that makes sense here. */

static uint64_t number_parse(const char *text, uint64_t max, const char *what)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value == 0 || value > max) {
        DIE("%s must be a number from 1 to %" PRIu64, what, max);
    }
    return value;
}

static double seconds_parse(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= 0) || value > 3600) {
        DIE("seconds must be from 0 to 3600");
    }
    return value;
}

static void options_parse(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {{"op", required_argument, NULL, 'o'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"server-pid", required_argument, NULL, 'P'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"depth", required_argument, NULL, 'd'},
                                          {"keys", required_argument, NULL, 'k'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"warmup", required_argument, NULL, 'w'},
                                          {"single", no_argument, NULL, '1'},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->set = strcmp(optarg, "set") == 0;
            options->lock = strcmp(optarg, "lock") == 0;
            break;
        case 'p': options->port = (int)number_parse(optarg, 65535, "--port"); break;
        case 'P':
            options->servers.pids_count = servers_parse(optarg, INT32_MAX, options->servers.pids);
            break;
        case 'c':
            options->connections_count =
                (uint32_t)number_parse(optarg, CONNECTIONS_MAX, "--connections");
            break;
        case 'd': options->depth = (uint32_t)number_parse(optarg, DEPTH_MAX, "--depth"); break;
        case 'k': options->keys_count = (uint32_t)number_parse(optarg, KEYS_MAX, "--keys"); break;
        case 's': options->seconds = seconds_parse(optarg); break;
        case 'w': options->warmup_seconds = seconds_parse(optarg); break;
        case '1': options->connections_count = options->depth = 1; break;
        case 'j': options->json = true; break;
        default: exit(2);
        }
    }
    if (options->lock) {
        options->depth = 1; /* who has not been given the lock cannot give it back */
    }
}

int main(int argc, char **argv)
{
    struct options options = {.port = 6379,
                              .connections_count = 50,
                              .depth = 16,
                              .keys_count = 1000,
                              .seconds = 5,
                              .warmup_seconds = 1};

    options_parse(&options, argc, argv);
    run_all(&options);
    return 0;
}
