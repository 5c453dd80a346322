/* Locks, queues, counters, barriers and semaphores among many clients: as calls of Moonkeeper's
 * recipes, or as the client libraries do it with ZooKeeper's plain requests.
 *
 * The life of a run: the setup makes what the scenario needs; every client opens a session; then each
 * does operation after operation, one request in flight, for --warmup and --seconds; what is counted
 * are operations that end within the latter. At the end every session is closed, whatever it waits
 * for, and the znodes that are left stay.
 *
 * An operation is: acquire and release of a lock or a semaphore; put and take (and the recipe's ack)
 * of a message; an addition; for the barrier a round, in which all clients go in and come out.
 *
 * The client-side algorithms are those of Curator 5 and kazoo 2.8, as their code has them, without
 * what they do besides for lost connections: the fewest requests that they ever need. All names and
 * orders that a client learns come from replies; nothing that one client of this process knows helps
 * another, except that a round of the barrier begins when the one before it is over for all.
 *
 * This one file is long because each scenario is short, and all share one client. */
#define _GNU_SOURCE
#define BENCH_NAME "bench_recipes"
#include "bench/session.h"

#include <getopt.h>
#include <sys/epoll.h>

#define CLIENTS_MAX 1000
#define SECONDS_MAX 20.0 /* With the warm-up below a session's timeout. */
#define PATH_BYTES_MAX 256
#define NAME_BYTES_MAX 64
#define NAMES_MAX 20000 /* Of a list of children that is kept: the queue's. */
#define PERMITS 4
#define SEQUENCE_DIGITS 10
#define ROOT "/bench-recipes"
#define MESSAGE                                                                                    \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23"                                                                                           \
    "456789"

enum side { SIDE_RECIPE, SIDE_CURATOR, SIDE_KAZOO, SIDE_COUNT };
static const char *const side_names[SIDE_COUNT] = {"recipe", "curator", "kazoo"};

struct client;
struct scenario {
    const char *name;
    uint32_t clients_count;
    bool together; /* an operation is one of all clients */
    void (*setup)(struct session *session, uint32_t clients_count);
    struct {
        void (*begin)(struct client *client);
        void (*answered)(struct client *client, const struct said *said);
        void (*told)(struct client *client, int32_t event_type, struct text path);
    } sides[SIDE_COUNT];
};

struct options {
    const struct scenario *scenario;
    enum side side;
    uint32_t clients_count;
    struct servers servers;
    double seconds;
    double warmup_seconds;
    bool json;
};

struct run {
    const struct options *options;
    const struct scenario *scenario;
    struct client *clients;
    uint32_t idle_count; /* `together`: clients that have done their part */
    uint64_t round_ns;   /* ... when this round began */
    uint64_t from_ns, to_ns;
    uint64_t now_ns;
    struct histogram histogram;
};

struct client {
    struct session session;
    struct run *run;
    uint32_t index;
    int step; /* of the scenario's own */
    uint64_t begun_ns;
    char path[PATH_BYTES_MAX];  /* what it works on */
    char own[PATH_BYTES_MAX];   /* its znode there; or the ticket, id, permits of a call */
    char ahead[PATH_BYTES_MAX]; /* whose end it waits for */
    char fence[NAME_BYTES_MAX];
    int lock_step;
    char lock_own[PATH_BYTES_MAX];
    char (*names)[NAME_BYTES_MAX]; /* children that it knows of, sorted; from `names_at` on */
    uint32_t names_count, names_at;
};

static void client_begin(struct client *client)
{
    client->begun_ns = client->run->now_ns;
    client->run->scenario->sides[client->run->options->side].begin(client);
}

static void record(struct run *run, uint64_t begun_ns)
{
    if (run->now_ns >= run->from_ns && run->now_ns < run->to_ns) {
        histogram_add(&run->histogram, run->now_ns - begun_ns);
    }
}

/* The operation is done: the next one. */
static void client_done(struct client *client)
{
    struct run *run = client->run;

    if (!run->scenario->together) {
        record(run, client->begun_ns);
        client_begin(client);
        return;
    }
    if (++run->idle_count < run->options->clients_count) {
        return;
    }
    record(run, run->round_ns);
    run->idle_count = 0;
    run->round_ns = run->now_ns;
    for (uint32_t i = 0; i < run->options->clients_count; i++) {
        client_begin(&run->clients[i]);
    }
}

static void check(const struct said *said, int32_t tolerated)
{
    if (said->error != 0 && said->error != tolerated) {
        DIE("a request was answered with error %d", said->error);
    }
}

static void path_join(char *to, const char *parent, const char *name)
{
    if (snprintf(to, PATH_BYTES_MAX, "%s/%s", parent, name) >= PATH_BYTES_MAX) {
        DIE("a path of more than %d bytes", PATH_BYTES_MAX);
    }
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

static void setup_znode(struct session *session, const char *path, const char *data)
{
    request_create(session, path, data, 0);
    session_wait(session, ERROR_NODE_EXISTS);
}

/* --- Lists of children. */

static int names_compare(const void *one, const void *other)
{
    return strcmp(one, other);
}

/* Keep a list of children, sorted by name; with equal prefixes that is the order of creation. */
static void names_keep(struct client *client, const struct said *said)
{
    size_t at = 4;
    int32_t count = said->bytes < 4 ? 0 : bytes_i32(said->body);

    if (count > NAMES_MAX) {
        DIE("a list of %d children", count);
    }
    if (client->names == NULL) {
        client->names = allocate(NAMES_MAX, NAME_BYTES_MAX);
    }
    client->names_count = client->names_at = 0;
    for (int32_t i = 0; i < count; i++) {
        text_copy(client->names[client->names_count++], NAME_BYTES_MAX, said_text(said, &at));
    }
    qsort(client->names, client->names_count, NAME_BYTES_MAX, names_compare);
}

/* Where `name` is among them, or -1. */
static int64_t names_find(const struct client *client, const char *name)
{
    for (uint32_t i = 0; i < client->names_count; i++) {
        if (strcmp(client->names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

/* --- Lock. Curator's InterProcessMutex: create, list, and while somebody is ahead, watch whoever is
 * next ahead, and list again when that one is gone. */

enum { LOCK_CREATE, LOCK_LIST, LOCK_WATCH, LOCK_WAIT };

static void lock_begin(struct client *client, const char *parent)
{
    char path[PATH_BYTES_MAX];

    path_join(path, parent, "lock-");
    client->lock_step = LOCK_CREATE;
    request_create(&client->session, path, "", FLAG_EPHEMERAL | FLAG_SEQUENTIAL);
}

static void lock_list(struct client *client)
{
    char parent[PATH_BYTES_MAX];

    snprintf(parent, sizeof(parent), "%.*s",
             (int)(name_of(client->lock_own) - 1 - client->lock_own), client->lock_own);
    client->lock_step = LOCK_LIST;
    request_read(&client->session, OPCODE_CHILDREN, parent, false);
}

/* Of the list of children, the one with the largest number below our own: false, there is none.
 * The list is not kept: with many contenders that alone would be what is measured. */
static bool lock_ahead(struct client *client, const struct said *said)
{
    const char *own = name_of(client->lock_own);
    const char *own_number = own + strlen(own) - SEQUENCE_DIGITS;
    int32_t count = said->bytes < 4 ? 0 : bytes_i32(said->body);
    struct text found = {NULL, 0};
    size_t at = 4;

    for (int32_t i = 0; i < count; i++) {
        struct text name = said_text(said, &at);
        const char *number = name.text + name.bytes - SEQUENCE_DIGITS;
        if (name.bytes < SEQUENCE_DIGITS || memcmp(number, own_number, SEQUENCE_DIGITS) >= 0) {
            continue;
        }
        if (found.text == NULL ||
            memcmp(number, found.text + found.bytes - SEQUENCE_DIGITS, SEQUENCE_DIGITS) > 0) {
            found = name;
        }
    }
    if (found.text != NULL) {
        snprintf(client->ahead, PATH_BYTES_MAX, "%.*s%.*s", (int)(own - client->lock_own),
                 client->lock_own, (int)found.bytes, found.text);
    }
    return found.text != NULL;
}

/* True: the lock is held. */
static bool lock_answered(struct client *client, const struct said *said)
{
    size_t at = 0;

    switch (client->lock_step) {
    case LOCK_CREATE:
        check(said, 0);
        text_copy(client->lock_own, PATH_BYTES_MAX, said_text(said, &at));
        lock_list(client);
        return false;
    case LOCK_LIST:
        check(said, 0);
        if (!lock_ahead(client, said)) {
            return true;
        }
        client->lock_step = LOCK_WATCH;
        request_read(&client->session, OPCODE_GET, client->ahead, true);
        return false;
    default:
        check(said, ERROR_NO_NODE);
        if (said->error == ERROR_NO_NODE) {
            lock_list(client);
        } else {
            client->lock_step = LOCK_WAIT;
        }
        return false;
    }
}

static void lock_told(struct client *client)
{
    if (client->lock_step == LOCK_WAIT) {
        lock_list(client);
    }
}

/* --- Scenarios lock-uncontended, lock-contended. */

enum { STEP_LOCK, STEP_UNLOCK };

static void locks_setup(struct session *session, uint32_t clients_count)
{
    char path[PATH_BYTES_MAX];

    setup_znode(session, ROOT "/lock", "");
    for (uint32_t i = 0; i < clients_count; i++) {
        snprintf(path, sizeof(path), ROOT "/lock-%u", i);
        setup_znode(session, path, "");
    }
}

static void own_lock_begin(struct client *client)
{
    snprintf(client->path, PATH_BYTES_MAX, ROOT "/lock-%u", client->index);
    client->step = STEP_LOCK;
    lock_begin(client, client->path);
}

static void one_lock_begin(struct client *client)
{
    client->step = STEP_LOCK;
    lock_begin(client, ROOT "/lock");
}

static void locking_answered(struct client *client, const struct said *said)
{
    if (client->step == STEP_UNLOCK) {
        check(said, 0);
        client_done(client);
    } else if (lock_answered(client, said)) {
        client->step = STEP_UNLOCK;
        request_delete(&client->session, client->lock_own);
    }
}

static void locking_told(struct client *client, int32_t event_type, struct text path)
{
    (void)event_type;
    (void)path;
    lock_told(client);
}

static void lock_call(struct client *client)
{
    client->step = STEP_LOCK;
    request_call(&client->session, "lock.acquire", "{\"path\":\"%s\"}", client->path);
}

static void own_lock_call(struct client *client)
{
    snprintf(client->path, PATH_BYTES_MAX, ROOT "/lock-%u", client->index);
    lock_call(client);
}

static void one_lock_call(struct client *client)
{
    snprintf(client->path, PATH_BYTES_MAX, ROOT "/lock");
    lock_call(client);
}

static void lock_call_answered(struct client *client, const struct said *said)
{
    check(said, 0);
    struct text result = said_result(said);

    if (client->step == STEP_UNLOCK) {
        client_done(client);
        return;
    }
    json_part(result, "\"ticket\":\"", "\"", client->own, PATH_BYTES_MAX);
    client->step = STEP_UNLOCK;
    request_call(&client->session, "lock.release", "{\"path\":\"%s\",\"ticket\":\"%s\"}",
                 client->path, client->own);
}

/* --- Scenario queue. kazoo's Queue keeps the list of entries, and drops it when an entry of it is
 * gone; Curator's DistributedQueue goes on with the next one. */

#define QUEUE ROOT "/queue"

enum { STEP_PUT, STEP_LIST, STEP_GET, STEP_DELETE, STEP_TAKE, STEP_ACK };

static void queue_setup(struct session *session, uint32_t clients_count)
{
    (void)clients_count;
    setup_znode(session, QUEUE, "");
}

static void queue_begin(struct client *client)
{
    client->step = STEP_PUT;
    request_create(&client->session, QUEUE "/entry-100-", MESSAGE, FLAG_SEQUENTIAL);
}

static void queue_next(struct client *client)
{
    if (client->names_at == client->names_count) {
        client->step = STEP_LIST;
        request_read(&client->session, OPCODE_CHILDREN, QUEUE, false);
        return;
    }
    path_join(client->own, QUEUE, client->names[client->names_at++]);
    client->step = STEP_GET;
    request_read(&client->session, OPCODE_GET, client->own, false);
}

static void queue_answered(struct client *client, const struct said *said)
{
    check(said, client->step == STEP_GET || client->step == STEP_DELETE ? ERROR_NO_NODE : 0);
    if (said->error == ERROR_NO_NODE) {
        if (client->run->options->side == SIDE_KAZOO) {
            client->names_at = client->names_count;
        }
        queue_next(client);
        return;
    }
    switch (client->step) {
    case STEP_LIST:
        names_keep(client, said);
        queue_next(client);
        return;
    case STEP_GET:
        client->step = STEP_DELETE;
        request_delete(&client->session, client->own);
        return;
    case STEP_DELETE: client_done(client); return;
    default: queue_next(client);
    }
}

static void queue_call(struct client *client)
{
    client->step = STEP_PUT;
    request_call(&client->session, "queue.put",
                 "{\"path\":\"" QUEUE "-ours\",\"data\":\"" MESSAGE "\"}");
}

static void queue_call_answered(struct client *client, const struct said *said)
{
    check(said, 0);
    struct text result = said_result(said);

    switch (client->step) {
    case STEP_PUT:
        client->step = STEP_TAKE;
        request_call(&client->session, "queue.take", "{\"path\":\"" QUEUE "-ours\"}");
        return;
    case STEP_TAKE:
        json_part(result, "\"id\":\"", "\"", client->own, PATH_BYTES_MAX);
        json_part(result, "\"fence\":", ",}", client->fence, NAME_BYTES_MAX);
        client->step = STEP_ACK;
        request_call(&client->session, "queue.ack",
                     "{\"path\":\"" QUEUE "-ours\",\"id\":\"%s\",\"fence\":%s}", client->own,
                     client->fence);
        return;
    default: client_done(client);
    }
}

/* --- Scenario counter: read, and set what was read and one more, until nobody came between. */

#define COUNTER ROOT "/counter"

static void counter_setup(struct session *session, uint32_t clients_count)
{
    (void)clients_count;
    setup_znode(session, COUNTER, "0");
}

static void counter_begin(struct client *client)
{
    client->step = STEP_GET;
    request_read(&client->session, OPCODE_GET, COUNTER, false);
}

static void counter_answered(struct client *client, const struct said *said)
{
    size_t at = 0;

    check(said, client->step == STEP_PUT ? ERROR_BAD_VERSION : 0);
    if (said->error != 0) {
        counter_begin(client);
    } else if (client->step == STEP_PUT) {
        client_done(client);
    } else {
        char number[NAME_BYTES_MAX];
        text_copy(number, sizeof(number), said_text(said, &at));
        snprintf(number, sizeof(number), "%lld", strtoll(number, NULL, 10) + 1);
        if (said->bytes - at != STAT_BYTES) {
            DIE("a stat of %zu bytes", said->bytes - at);
        }
        client->step = STEP_PUT;
        request_set(&client->session, COUNTER, number,
                    bytes_i32(said->body + at + STAT_VERSION_AT));
    }
}

static void counter_call(struct client *client)
{
    request_call(&client->session, "counter.add", "{\"path\":\"" COUNTER "\"}");
}

static void call_answered(struct client *client, const struct said *said)
{
    check(said, 0);
    (void)said_result(said);
    client_done(client);
}

/* --- Scenario double-barrier. Curator's DistributedDoubleBarrier. */

#define BARRIER ROOT "/barrier"

enum {
    ENTER_READY,
    ENTER_CREATE,
    ENTER_LIST,
    ENTER_WAIT,
    ENTER_MAKE_READY,
    LEAVE_LIST,
    LEAVE_DELETE,
    LEAVE_WATCH,
    LEAVE_WAIT,
    LEAVE_LAST,
    LEAVE_READY,
};

static void barrier_setup(struct session *session, uint32_t clients_count)
{
    (void)clients_count;
    setup_znode(session, BARRIER, "");
}

static void barrier_begin(struct client *client)
{
    snprintf(client->own, PATH_BYTES_MAX, BARRIER "/member-%06u", client->index);
    client->step = ENTER_READY;
    request_read(&client->session, OPCODE_EXISTS, BARRIER "/ready", true);
}

static void barrier_list(struct client *client, int step)
{
    client->step = step;
    request_read(&client->session, OPCODE_CHILDREN, BARRIER, false);
}

static void names_drop_ready(struct client *client)
{
    if (client->names_count > 0 && strcmp(client->names[client->names_count - 1], "ready") == 0) {
        client->names_count--; /* It sorts behind all members. */
    }
}

/* Whoever is the first waits for the last; all others go, and wait for the first. */
static void barrier_leave(struct client *client)
{
    int64_t own = names_find(client, name_of(client->own));

    if (client->names_count == 0 || (client->names_count == 1 && own == 0)) {
        client->step = client->names_count == 0 ? LEAVE_READY : LEAVE_LAST;
        request_delete(&client->session, client->names_count == 0 ? BARRIER "/ready" : client->own);
        return;
    }
    uint32_t awaited = own == 0 ? client->names_count - 1 : 0;
    path_join(client->ahead, BARRIER, client->names[awaited]);
    if (own > 0) {
        client->step = LEAVE_DELETE;
        request_delete(&client->session, client->own);
    } else {
        client->step = LEAVE_WATCH;
        request_read(&client->session, OPCODE_EXISTS, client->ahead, true);
    }
}

static void barrier_answered(struct client *client, const struct said *said)
{
    uint32_t wanted = client->run->options->clients_count;

    switch (client->step) {
    case ENTER_READY:
        check(said, ERROR_NO_NODE);
        client->step = ENTER_CREATE;
        request_create(&client->session, client->own, "", FLAG_EPHEMERAL);
        return;
    case ENTER_CREATE:
        check(said, 0);
        barrier_list(client, ENTER_LIST);
        return;
    case ENTER_LIST:
        check(said, 0);
        names_keep(client, said);
        if (names_find(client, "ready") >= 0) {
            barrier_list(client, LEAVE_LIST);
        } else if (client->names_count < wanted) {
            client->step = ENTER_WAIT;
        } else {
            client->step = ENTER_MAKE_READY;
            request_create(&client->session, BARRIER "/ready", "", FLAG_EPHEMERAL);
        }
        return;
    case ENTER_MAKE_READY:
        check(said, ERROR_NODE_EXISTS);
        barrier_list(client, LEAVE_LIST);
        return;
    case LEAVE_LIST:
        check(said, 0);
        names_keep(client, said);
        names_drop_ready(client);
        barrier_leave(client);
        return;
    case LEAVE_DELETE:
        check(said, ERROR_NO_NODE);
        client->step = LEAVE_WATCH;
        request_read(&client->session, OPCODE_EXISTS, client->ahead, true);
        return;
    case LEAVE_WATCH:
        check(said, ERROR_NO_NODE);
        if (said->error == 0) {
            client->step = LEAVE_WAIT;
        } else {
            barrier_list(client, LEAVE_LIST);
        }
        return;
    case LEAVE_LAST:
        check(said, ERROR_NO_NODE);
        client->step = LEAVE_READY;
        request_delete(&client->session, BARRIER "/ready");
        return;
    default: check(said, ERROR_NO_NODE); client_done(client);
    }
}

static void barrier_told(struct client *client, int32_t event_type, struct text path)
{
    bool ready = path.bytes == strlen(BARRIER "/ready") &&
                 memcmp(path.text, BARRIER "/ready", path.bytes) == 0;

    if (client->step == ENTER_WAIT && ready && event_type != EVENT_DELETED) {
        barrier_list(client, LEAVE_LIST);
    } else if (client->step == LEAVE_WAIT && path.bytes == strlen(client->ahead) &&
               memcmp(path.text, client->ahead, path.bytes) == 0) {
        barrier_list(client, LEAVE_LIST);
    }
}

static void barrier_call(struct client *client)
{
    client->step = ENTER_CREATE;
    request_call(&client->session, "double_barrier.enter",
                 "{\"path\":\"" BARRIER "-ours\",\"count\":%u}",
                 client->run->options->clients_count);
}

static void barrier_call_answered(struct client *client, const struct said *said)
{
    check(said, 0);
    struct text result = said_result(said);

    if (client->step == LEAVE_DELETE) {
        client_done(client);
        return;
    }
    json_part(result, "\"ticket\":\"", "\"", client->own, PATH_BYTES_MAX);
    client->step = LEAVE_DELETE;
    request_call(&client->session, "double_barrier.leave",
                 "{\"path\":\"" BARRIER "-ours\",\"ticket\":\"%s\"}", client->own);
}

/* --- Scenario semaphore. Curator's InterProcessSemaphoreV2: who has the lock makes a lease, and
 * keeps the lock until there are no more leases than permits. */

#define SEMAPHORE ROOT "/semaphore"

enum { LEASE_LOCK, LEASE_CREATE, LEASE_LIST, LEASE_WAIT, LEASE_UNLOCK, LEASE_RETURN };

static void semaphore_setup(struct session *session, uint32_t clients_count)
{
    (void)clients_count;
    setup_znode(session, SEMAPHORE, "");
    setup_znode(session, SEMAPHORE "/locks", "");
    setup_znode(session, SEMAPHORE "/leases", "");
}

static void semaphore_begin(struct client *client)
{
    client->step = LEASE_LOCK;
    lock_begin(client, SEMAPHORE "/locks");
}

static void leases_list(struct client *client)
{
    client->step = LEASE_LIST;
    request_read(&client->session, OPCODE_CHILDREN, SEMAPHORE "/leases", true);
}

static void semaphore_answered(struct client *client, const struct said *said)
{
    size_t at = 0;

    if (client->step != LEASE_LOCK) {
        check(said, 0);
    }
    switch (client->step) {
    case LEASE_LOCK:
        if (lock_answered(client, said)) {
            client->step = LEASE_CREATE;
            request_create(&client->session, SEMAPHORE "/leases/lease-", "",
                           FLAG_EPHEMERAL | FLAG_SEQUENTIAL);
        }
        return;
    case LEASE_CREATE:
        text_copy(client->own, PATH_BYTES_MAX, said_text(said, &at));
        leases_list(client);
        return;
    case LEASE_LIST:
        if (bytes_i32(said->body) > PERMITS) {
            client->step = LEASE_WAIT;
            return;
        }
        client->step = LEASE_UNLOCK;
        request_delete(&client->session, client->lock_own);
        return;
    case LEASE_UNLOCK:
        client->step = LEASE_RETURN;
        request_delete(&client->session, client->own);
        return;
    default: client_done(client);
    }
}

static void semaphore_told(struct client *client, int32_t event_type, struct text path)
{
    (void)path;
    if (client->step == LEASE_LOCK) {
        if (event_type == EVENT_DELETED) {
            lock_told(client);
        }
    } else if (client->step == LEASE_WAIT) {
        leases_list(client);
    }
}

static void semaphore_call_setup(struct session *session, uint32_t clients_count)
{
    (void)clients_count;
    request_call(session, "semaphore.set_limit", "{\"path\":\"" SEMAPHORE "-ours\",\"limit\":%d}",
                 PERMITS);
    session_wait(session, 0);
}

static void semaphore_call(struct client *client)
{
    client->step = LEASE_LOCK;
    request_call(&client->session, "semaphore.acquire", "{\"path\":\"" SEMAPHORE "-ours\"}");
}

static void semaphore_call_answered(struct client *client, const struct said *said)
{
    check(said, 0);
    struct text result = said_result(said);

    if (client->step == LEASE_RETURN) {
        client_done(client);
        return;
    }
    json_part(result, "\"permits\":[", "]", client->own, PATH_BYTES_MAX);
    json_part(result, "\"fence\":", ",}", client->fence, NAME_BYTES_MAX);
    client->step = LEASE_RETURN;
    request_call(&client->session, "semaphore.release", "{\"permits\":[%s],\"fence\":%s}",
                 client->own, client->fence);
}

static const struct scenario scenarios[] = {
    {"lock-uncontended",
     64,
     false,
     locks_setup,
     {[SIDE_RECIPE] = {own_lock_call, lock_call_answered, NULL},
      [SIDE_CURATOR] = {own_lock_begin, locking_answered, locking_told}}},
    {"lock-contended",
     64,
     false,
     locks_setup,
     {[SIDE_RECIPE] = {one_lock_call, lock_call_answered, NULL},
      [SIDE_CURATOR] = {one_lock_begin, locking_answered, locking_told}}},
    {"queue",
     64,
     false,
     queue_setup,
     {[SIDE_RECIPE] = {queue_call, queue_call_answered, NULL},
      [SIDE_CURATOR] = {queue_begin, queue_answered, NULL},
      [SIDE_KAZOO] = {queue_begin, queue_answered, NULL}}},
    {"counter",
     64,
     false,
     counter_setup,
     {[SIDE_RECIPE] = {counter_call, call_answered, NULL},
      [SIDE_CURATOR] = {counter_begin, counter_answered, NULL}}},
    {"double-barrier",
     100,
     true,
     barrier_setup,
     {[SIDE_RECIPE] = {barrier_call, barrier_call_answered, NULL},
      [SIDE_CURATOR] = {barrier_begin, barrier_answered, barrier_told}}},
    {"semaphore",
     64,
     false,
     semaphore_setup,
     {[SIDE_RECIPE] = {semaphore_call, semaphore_call_answered, NULL},
      [SIDE_CURATOR] = {semaphore_begin, semaphore_answered, semaphore_told}}},
};

/* --- The run. */

static void client_on_readable(struct client *client)
{
    struct said said;

    session_read(&client->session, false);
    client->run->now_ns = now_ns();
    const struct scenario *scenario = client->run->scenario;
    enum side side = client->run->options->side;
    while (session_next(&client->session, &said)) {
        size_t at = 0;
        if (!said.event) {
            scenario->sides[side].answered(client, &said);
        } else if (scenario->sides[side].told != NULL) {
            scenario->sides[side].told(client, said.event_type, said_text(&said, &at));
        }
    }
}

static void pump(struct run *run, int epoll, uint64_t until_ns)
{
    struct epoll_event events[256];

    while (now_ns() < until_ns) {
        int count = epoll_wait(epoll, events, 256, 10000);
        if (count == 0) {
            DIE("no byte from the server for 10 s");
        }
        for (int i = 0; i < count; i++) {
            client_on_readable(events[i].data.ptr);
        }
    }
    run->now_ns = now_ns();
}

static void setup(const struct options *options)
{
    struct session session;

    session_open(&session, servers_port(&options->servers, 0), 0);
    setup_znode(&session, ROOT, "");
    options->scenario->setup(&session, options->clients_count);
    if (options->side == SIDE_RECIPE && options->scenario->setup == semaphore_setup) {
        semaphore_call_setup(&session, options->clients_count);
    }
    session_close(&session);
}

static uint64_t requests_of(const struct run *run)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < run->options->clients_count; i++) {
        count += run->clients[i].session.requests_count;
    }
    return count;
}

static void measure(struct run *run, int epoll)
{
    const struct options *options = run->options;

    run->from_ns = now_ns() + (uint64_t)(options->warmup_seconds * 1e9);
    run->to_ns = run->from_ns + (uint64_t)(options->seconds * 1e9);
    run->now_ns = run->round_ns = now_ns();
    for (uint32_t i = 0; i < options->clients_count; i++) {
        client_begin(&run->clients[i]);
    }
    pump(run, epoll, run->from_ns);
    struct usage before = usage_read(&options->servers);
    uint64_t requests = requests_of(run);
    pump(run, epoll, run->to_ns);
    struct usage after = usage_read(&options->servers);
    requests = requests_of(run) - requests;
    if (run->histogram.count == 0) {
        DIE("no operation was completed in the time given");
    }
    results_print(
        &(struct load){.operation = options->scenario->name,
                       .connections_count = options->clients_count,
                       .depth = 1,
                       .seconds = options->seconds,
                       .requests = (double)requests / (double)run->histogram.count /
                                   (run->scenario->together ? options->clients_count : 1)},
        &run->histogram, &before, &after, options->json);
}

static void run_all(const struct options *options)
{
    static struct run run;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    setup(options);
    run.options = options;
    run.scenario = options->scenario;
    run.clients = allocate(options->clients_count, sizeof(struct client));
    for (uint32_t i = 0; i < options->clients_count; i++) {
        struct client *client = &run.clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

        session_open(&client->session, servers_port(&options->servers, i), i);
        client->run = &run;
        client->index = i;
        epoll_ctl(epoll, EPOLL_CTL_ADD, client->session.fd, &event);
    }
    measure(&run, epoll);
    for (uint32_t i = 0; i < options->clients_count; i++) {
        session_close(&run.clients[i].session);
        free(run.clients[i].names);
    }
    free(run.clients);
    close(epoll);
}

/* --- Command line. */

static void usage_print(FILE *to)
{
    fputs(
        "Usage: bench_recipes --port 2181 --scenario lock-contended --side recipe\n"
        "  --scenario NAME    lock-uncontended lock-contended queue counter double-barrier "
        "semaphore\n"
        "  --side NAME        recipe: Moonkeeper's; curator or kazoo (queue): as those libraries\n"
        "  --clients N        64; double-barrier: 100\n"
        "  --seconds S        length of the measurement, 5; with the warm-up at most 20\n"
        "  --warmup S         the same load before it, not counted, 1\n"
        "  --port A,B,C       of an ensemble: clients take its servers in turn\n"
        "  --server-pid PIDS  report these processes' CPU time and RSS\n"
        "  --json             one JSON object on stdout\n"
        "Exit codes: 0 measured, 1 the server failed or answered wrongly, 2 usage.\n",
        to);
}

static void usage_fail(const char *what)
{
    fprintf(stderr, BENCH_NAME ": bad or missing %s\n", what);
    usage_print(stderr);
    exit(2);
}

static double number_parse(const char *text, double max, const char *what)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !(number >= 0 && number <= max)) {
        usage_fail(what);
    }
    return number;
}

static const struct scenario *scenario_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(name, scenarios[i].name) == 0) {
            return &scenarios[i];
        }
    }
    usage_fail("--scenario");
    return NULL;
}

static enum side side_parse(const char *name)
{
    for (int i = 0; i < SIDE_COUNT; i++) {
        if (strcmp(name, side_names[i]) == 0) {
            return (enum side)i;
        }
    }
    usage_fail("--side");
    return SIDE_COUNT;
}

static void options_check(struct options *options)
{
    if (options->servers.ports_count == 0) {
        usage_fail("--port");
    }
    if (options->scenario == NULL) {
        usage_fail("--scenario");
    }
    if (options->side == SIDE_COUNT || options->scenario->sides[options->side].begin == NULL) {
        usage_fail("--side: this scenario has no such one");
    }
    if (options->seconds + options->warmup_seconds > SECONDS_MAX) {
        usage_fail("--seconds");
    }
    if (options->clients_count == 0) {
        options->clients_count = options->scenario->clients_count;
    }
}

static void options_parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"scenario", required_argument, NULL, 'n'},
                                          {"side", required_argument, NULL, 'i'},
                                          {"clients", required_argument, NULL, 'c'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"warmup", required_argument, NULL, 'w'},
                                          {"server-pid", required_argument, NULL, 'P'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p':
            options->servers.ports_count =
                servers_parse(optarg, UINT16_MAX, options->servers.ports);
            break;
        case 'n': options->scenario = scenario_parse(optarg); break;
        case 'i': options->side = side_parse(optarg); break;
        case 'c':
            options->clients_count = (uint32_t)number_parse(optarg, CLIENTS_MAX, "--clients");
            break;
        case 's': options->seconds = number_parse(optarg, SECONDS_MAX, "--seconds"); break;
        case 'w': options->warmup_seconds = number_parse(optarg, SECONDS_MAX, "--warmup"); break;
        case 'P':
            options->servers.pids_count = servers_parse(optarg, INT32_MAX, options->servers.pids);
            break;
        case 'j': options->json = true; break;
        case 'h': usage_print(stdout); exit(0);
        default: usage_fail("option");
        }
    }
    options_check(options);
}

int main(int argc, char **argv)
{
    struct options options = {.side = SIDE_COUNT, .seconds = 5, .warmup_seconds = 1};

    options_parse(&options, argc, argv);
    run_all(&options);
    return 0;
}
