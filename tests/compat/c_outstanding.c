/* ZooKeeper's C client with 10,000 requests outstanding, of all kinds: every completion is checked, and
 * that they come in the order of the requests. The server is killed and started again in between, by
 * c_outstanding_test.py, which does so when it reads "# kill the server" here.
 *
 *     compat_c_outstanding 127.0.0.1:2181 */
#include <zookeeper/zookeeper.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUTSTANDING 10000
#define KINDS 8 /* of requests; eight in a row, one of each, are a group, with a znode of its own */
#define WAIT_SECONDS 60
#define SESSION_TIMEOUT_MS 30000
/* When so many have been answered, 10,000 more are waiting, and the server is to be killed. */
#define ANSWERED_BEFORE_KILL 20000

struct multi {
    zoo_op_t ops[2];
    zoo_op_result_t results[2];
    struct Stat stat;
    char path[32];
};

/* A round is a number of requests by one connection. All of it is guarded by `lock`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int number;       /* of the round: the first part of its paths */
    int sent;         /* requests */
    int completed;    /* of them; the number of the next that is to complete */
    int answered;     /* completed by the server: all before the first that was lost */
    int out_of_order; /* completions */
    int wrong;        /* answers */
    int answered_after_loss;
    int connections; /* of the session, so far */
    bool connected;
    bool expired;
    struct multi multis[OUTSTANDING / KINDS + 1]; /* group number, modulo */
} run = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int passed, failed;

static void check(bool good, const char *name)
{
    printf("%s - %s\n", good ? "ok" : "not ok", name);
    (void)fflush(stdout);
    passed += good;
    failed += !good;
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    if (type != ZOO_SESSION_EVENT) {
        return;
    }
    (void)pthread_mutex_lock(&run.lock);
    run.connected = state == ZOO_CONNECTED_STATE;
    run.connections += run.connected;
    run.expired = run.expired || state == ZOO_EXPIRED_SESSION_STATE;
    (void)pthread_cond_broadcast(&run.changed);
    (void)pthread_mutex_unlock(&run.lock);
}

/* Wait, with the lock held, until *value is at least `wanted`. */
static bool wait_for(const int *value, int wanted)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    while (*value < wanted && pthread_cond_timedwait(&run.changed, &run.lock, &until) == 0) {
    }
    return *value >= wanted;
}

/* --- Completions: request `number` was answered with `rc`; `good` is whether as it should be. */

static void complete(const void *context, int rc, bool good)
{
    int number = (int)(intptr_t)context;

    (void)pthread_mutex_lock(&run.lock);
    run.out_of_order += number != run.completed;
    if (rc == ZCONNECTIONLOSS) {
        /* Whether it was carried out is seen later. */
    } else {
        run.answered_after_loss += run.answered != run.completed;
        run.answered++;
        if (!good && run.wrong++ < 10) {
            printf("# request %d was answered with %d\n", number, rc);
        }
    }
    run.completed++;
    (void)pthread_cond_broadcast(&run.changed);
    (void)pthread_mutex_unlock(&run.lock);
}

static int group_of(const void *context)
{
    return (int)(intptr_t)context / KINDS;
}

static void group_path(int group, char *path, size_t size)
{
    (void)snprintf(path, size, "/r%d/g%d", run.number, group);
}

static void on_created(int rc, const char *value, const void *context)
{
    char path[32];
    group_path(group_of(context), path, sizeof(path));
    complete(context, rc, rc == ZOK && strcmp(value, path) == 0);
}

static void on_set(int rc, const struct Stat *stat, const void *context)
{
    complete(context, rc, rc == ZOK && stat->version == 1 && stat->dataLength == 3);
}

static void on_got(int rc, const char *value, int length, const struct Stat *stat,
                   const void *context)
{
    complete(context, rc,
             rc == ZOK && length == 3 && memcmp(value, "set", 3) == 0 && stat->version == 1);
}

static void on_numbered(int rc, const char *value, const void *context)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/r%d/numbered/n-%010d", run.number, group_of(context));
    complete(context, rc, rc == ZOK && strcmp(value, path) == 0);
}

static void on_multi(int rc, const void *context)
{
    const struct multi *multi = &run.multis[group_of(context) % (OUTSTANDING / KINDS + 1)];
    complete(context, rc,
             rc == ZOK && multi->results[0].err == ZOK && multi->results[1].err == ZOK &&
                 multi->stat.version == 2);
}

static void on_not_deleted(int rc, const void *context)
{
    complete(context, rc, rc == ZBADVERSION);
}

static void on_children(int rc, const struct String_vector *names, const struct Stat *stat,
                        const void *context)
{
    complete(context, rc, rc == ZOK && names->count == 0 && stat->version == 2);
}

/* --- Requests. */

static int send_multi(zhandle_t *zh, int group, const char *path, const void *context)
{
    struct multi *multi = &run.multis[group % (OUTSTANDING / KINDS + 1)];

    (void)snprintf(multi->path, sizeof(multi->path), "%s", path);
    zoo_check_op_init(&multi->ops[0], multi->path, 1);
    zoo_set_op_init(&multi->ops[1], multi->path, "multi", 5, 1, &multi->stat);
    return zoo_amulti(zh, 2, multi->ops, multi->results, on_multi, context);
}

static int send_request(zhandle_t *zh, int number)
{
    const void *context = (const void *)(intptr_t)number;
    char path[32];
    char numbered[32];

    group_path(number / KINDS, path, sizeof(path));
    (void)snprintf(numbered, sizeof(numbered), "/r%d/numbered/n-", run.number);
    switch (number % KINDS) {
    case 0: return zoo_acreate(zh, path, "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_created, context);
    case 1: return zoo_aset(zh, path, "set", 3, 0, on_set, context);
    case 2: return zoo_aget(zh, path, 0, on_got, context);
    case 3: return zoo_aexists(zh, path, 0, on_set, context);
    case 4:
        return zoo_acreate(zh, numbered, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, on_numbered,
                           context);
    case 5: return send_multi(zh, number / KINDS, path, context);
    case 6: return zoo_adelete(zh, path, 1, on_not_deleted, context);
    default: return zoo_aget_children2(zh, path, 0, on_children, context);
    }
}

static bool round_begin(zhandle_t *zh)
{
    char path[32];
    char made[64];

    (void)pthread_mutex_lock(&run.lock);
    run.number++;
    run.sent = run.completed = run.answered = 0;
    (void)pthread_mutex_unlock(&run.lock);
    (void)snprintf(path, sizeof(path), "/r%d", run.number);
    bool good = zoo_create(zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof(made)) == ZOK;
    (void)snprintf(path, sizeof(path), "/r%d/numbered", run.number);
    return good && zoo_create(zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof(made)) == ZOK;
}

static bool round_end(void)
{
    (void)pthread_mutex_lock(&run.lock);
    bool good = wait_for(&run.completed, run.sent);
    (void)pthread_mutex_unlock(&run.lock);
    return good;
}

static void test_all_at_once(zhandle_t *zh)
{
    bool good = round_begin(zh);

    for (; good && run.sent < OUTSTANDING; run.sent++) {
        good = send_request(zh, run.sent) == ZOK;
    }
    good = good && round_end();
    check(good && run.answered == OUTSTANDING && run.wrong == 0,
          "10,000 requests of eight kinds are sent at once, and each is answered as it should be");
    check(run.out_of_order == 0, "the answers come in the order of the requests");
}

/* Keep 10,000 waiting, until the connection is gone. */
static void send_until_lost(zhandle_t *zh)
{
    bool asked = false;

    (void)pthread_mutex_lock(&run.lock);
    while (run.answered == run.completed && run.connected) {
        if (run.sent - run.completed >= OUTSTANDING) {
            if (!wait_for(&run.completed, run.sent - OUTSTANDING + 1)) {
                break;
            }
            continue;
        }
        int number = run.sent++;
        if (!asked && run.answered >= ANSWERED_BEFORE_KILL) {
            printf("# kill the server\n");
            (void)fflush(stdout);
            asked = true;
        }
        (void)pthread_mutex_unlock(&run.lock);
        (void)send_request(zh, number);
        (void)pthread_mutex_lock(&run.lock);
    }
    (void)pthread_mutex_unlock(&run.lock);
}

/* What was answered is there; of the rest, a part that begins where the answers ended. */
static bool tree_is_a_prefix(zhandle_t *zh)
{
    char path[32];
    struct String_vector names = {0};
    struct Stat stat;
    int groups_answered = run.answered / KINDS;
    bool good;

    (void)snprintf(path, sizeof(path), "/r%d/numbered", run.number);
    good = zoo_get_children2(zh, path, 0, &names, &stat) == ZOK;
    printf("# sent %d, answered %d; numbered %d\n", run.sent, run.answered, names.count);
    good = good && names.count >= groups_answered && names.count <= run.sent / KINDS + 1;
    for (int i = 0; good && i < names.count; i++) {
        good = atoi(names.data[i] + 2) < names.count;
    }
    deallocate_String_vector(&names);
    for (int group = 0; good && group < groups_answered; group += 100) {
        group_path(group, path, sizeof(path));
        good = zoo_exists(zh, path, 0, &stat) == ZOK && stat.version == 2;
    }
    return good;
}

static void test_killed(zhandle_t *zh)
{
    int connections = run.connections;
    int64_t session = zoo_client_id(zh)->client_id;

    check(round_begin(zh), "a round begins");
    send_until_lost(zh);
    check(round_end() && run.answered < run.sent,
          "each request that was waiting when the server was killed completes, as lost");
    check(run.out_of_order == 0 && run.answered_after_loss == 0 && run.wrong == 0,
          "in order, and all that was answered before the first that was lost");

    (void)pthread_mutex_lock(&run.lock);
    bool again = wait_for(&run.connections, connections + 1);
    (void)pthread_mutex_unlock(&run.lock);
    check(again && zoo_client_id(zh)->client_id == session && !run.expired,
          "the C client connects again, with the same session");
    check(tree_is_a_prefix(zh),
          "what was answered before the kill is there, and of what was not, the first part");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: compat_c_outstanding HOST:PORT\n");
        return 2;
    }
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(argv[1], on_event, SESSION_TIMEOUT_MS, NULL, NULL, 0);
    if (zh == NULL) {
        return 1;
    }
    (void)pthread_mutex_lock(&run.lock);
    bool connected = wait_for(&run.connections, 1);
    (void)pthread_mutex_unlock(&run.lock);
    check(connected, "the C client connects");
    if (connected) {
        test_all_at_once(zh);
        test_killed(zh);
        test_all_at_once(zh);
    }
    check(zookeeper_close(zh) == ZOK, "the C client closes its session");
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
