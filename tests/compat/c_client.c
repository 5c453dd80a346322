/* ZooKeeper's own C client, multi-threaded, against a server: what it can do, with assertions on. Run by
 * c_client_test.sh. Every reply that is out of order, and every byte that it does not expect, makes it
 * drop the connection or end the process: so what is tested is mostly that it never does.
 *
 *     compat_c_client 127.0.0.1:2181 */
#include <zookeeper/zookeeper.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUTSTANDING 10000
#define WAIT_SECONDS 60

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, session_events, events, event_type, replies, replies_failed;
static char event_path[256];
static int passed, failed;

static void check(int good, const char *name)
{
    printf("%s - %s\n", good ? "ok" : "not ok", name);
    (void)fflush(stdout);
    passed += good != 0;
    failed += good == 0;
}

/* Wait until *value reaches `wanted`. */
static int wait_for(const int *value, int wanted)
{
    struct timespec until;
    int reached;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    (void)pthread_mutex_lock(&lock);
    while (*value < wanted && pthread_cond_timedwait(&changed, &lock, &until) == 0) {
    }
    reached = *value >= wanted;
    (void)pthread_mutex_unlock(&lock);
    return reached;
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) {
        session_events++;
        connected = state == ZOO_CONNECTED_STATE;
    } else {
        events++;
        event_type = type;
        (void)snprintf(event_path, sizeof(event_path), "%s", path);
    }
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static void count_reply(int rc)
{
    (void)pthread_mutex_lock(&lock);
    replies++;
    replies_failed += rc != ZOK;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    count_reply(rc);
}

static void on_string(int rc, const char *value, const void *data)
{
    count_reply(rc);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data)
{
    count_reply(rc);
}

static void test_znodes(zhandle_t *zh)
{
    char path[256];
    char data[64];
    int len = sizeof(data);
    struct Stat stat;
    struct String_vector names = {0};

    check(zoo_create(zh, "/c", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof(path)) == ZOK &&
              strcmp(path, "/c") == 0,
          "the C client creates");
    check(zoo_create2(zh, "/c/s-", "x", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, path,
                      sizeof(path), &stat) == ZOK &&
              strcmp(path, "/c/s-0000000000") == 0 &&
              stat.ephemeralOwner == zoo_client_id(zh)->client_id,
          "the C client creates an ephemeral sequential znode and has its Stat");
    check(zoo_create2(zh, "/c/container", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path,
                      sizeof(path), &stat) == ZOK &&
              stat.ephemeralOwner == 0,
          "the C client creates a container");
    check(zoo_get(zh, "/c", 0, data, &len, &stat) == ZOK && len == 3 &&
              memcmp(data, "one", 3) == 0 && stat.numChildren == 2,
          "the C client gets");
    check(zoo_set2(zh, "/c", "two", 3, 0, &stat) == ZOK && stat.version == 1 &&
              zoo_set(zh, "/c", "three", 5, 0) == ZBADVERSION,
          "the C client sets, and is refused a wrong version");
    check(zoo_get_children(zh, "/c", 0, &names) == ZOK && names.count == 2, "the C client lists");
    deallocate_String_vector(&names);
    check(zoo_delete(zh, "/c", -1) == ZNOTEMPTY && zoo_exists(zh, "/nope", 0, &stat) == ZNONODE,
          "the C client is told what is not empty, and what is not there");
}

static void test_acl(zhandle_t *zh)
{
    struct ACL_vector acl = {0};
    struct Stat stat;
    char path[64];

    int rc = zoo_create(zh, "/acl", "", 0, &ZOO_CREATOR_ALL_ACL, 0, path, sizeof(path));
    check(rc == ZINVALIDACL, "the C client is refused an ACL of nobody");
    check(zoo_get_acl(zh, "/c", &acl, &stat) == ZOK && acl.count == 1 &&
              strcmp(acl.data[0].id.id, "anyone") == 0 &&
              zoo_set_acl(zh, "/c", 0, &ZOO_OPEN_ACL_UNSAFE) == ZOK,
          "the C client gets and sets ACLs");
    deallocate_ACL_vector(&acl);
}

static void test_watches(zhandle_t *zh)
{
    struct Stat stat;
    char path[64];

    int before = events;
    int rc = zoo_wexists(zh, "/c/watched", on_event, NULL, &stat);
    (void)zoo_create(zh, "/c/watched", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof(path));
    check(rc == ZNONODE && wait_for(&events, before + 1) && event_type == ZOO_CREATED_EVENT &&
              strcmp(event_path, "/c/watched") == 0,
          "the C client's exists watch fires on creation");
    rc = zoo_wexists(zh, "/c/watched", on_event, NULL, &stat);
    (void)zoo_set(zh, "/c/watched", "x", 1, -1);
    check(rc == ZOK && wait_for(&events, before + 2) && event_type == ZOO_CHANGED_EVENT,
          "the C client's watch fires on a change");
    rc = zoo_wexists(zh, "/c/watched", on_event, NULL, &stat);
    check(rc == ZOK &&
              zoo_remove_watches(zh, "/c/watched", ZWATCHTYPE_DATA, on_event, NULL, 0) == ZOK,
          "the C client removes a watch");
}

static void test_multi(zhandle_t *zh)
{
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    struct Stat stat;
    char path[64];

    zoo_create_op_init(&ops[0], "/c/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof(path));
    zoo_set_op_init(&ops[1], "/c/m", "2", 1, 0, &stat);
    zoo_check_op_init(&ops[2], "/c/m", 1);
    zoo_delete_op_init(&ops[3], "/c/m", 1);
    check(zoo_multi(zh, 4, ops, results) == ZOK && results[3].err == ZOK &&
              strcmp(path, "/c/m") == 0 && stat.version == 1,
          "the C client's multi succeeds as a whole");
    zoo_check_op_init(&ops[2], "/c/m", 9);
    check(zoo_multi(zh, 4, ops, results) == ZBADVERSION && results[0].err == ZOK &&
              results[2].err == ZBADVERSION && results[3].err == ZRUNTIMEINCONSISTENCY &&
              zoo_exists(zh, "/c/m", 0, &stat) == ZNONODE,
          "the C client's multi fails as a whole, and says where");
}

static void test_outstanding(zhandle_t *zh)
{
    int sent = 0;

    replies = replies_failed = 0;
    for (int i = 0; i < OUTSTANDING; i++) {
        int rc = i % 4 == 0   ? zoo_aset(zh, "/c", "x", 1, -1, on_stat, NULL)
                 : i % 4 == 1 ? zoo_aget(zh, "/c", 0, on_data, NULL)
                 : i % 4 == 2 ? zoo_aexists(zh, "/c", 0, on_stat, NULL)
                              : zoo_acreate(zh, "/c/n-", "", 0, &ZOO_OPEN_ACL_UNSAFE,
                                            ZOO_EPHEMERAL_SEQUENTIAL, on_string, NULL);
        sent += rc == ZOK;
    }
    check(sent == OUTSTANDING && wait_for(&replies, OUTSTANDING) && replies_failed == 0,
          "10,000 requests of the C client are outstanding at once, and all are answered");
}

static void test_sync_and_close(zhandle_t *zh, const char *hosts)
{
    struct Stat stat;

    replies = 0;
    check(zoo_async(zh, "/c", on_string, NULL) == ZOK && wait_for(&replies, 1),
          "the C client syncs");
    check(session_events == 1 && zoo_state(zh) == ZOO_CONNECTED_STATE,
          "the C client has been connected once, and never lost the connection");
    check(zookeeper_close(zh) == ZOK, "the C client closes its session");
    zh = zookeeper_init(hosts, on_event, 10000, NULL, NULL, 0);
    check(zh != NULL && wait_for(&session_events, 2) &&
              zoo_exists(zh, "/c/s-0000000000", 0, &stat) == ZNONODE &&
              zoo_exists(zh, "/c", 0, &stat) == ZOK && stat.numChildren == 2,
          "the C client's ephemerals went with its session");
    (void)zookeeper_close(zh);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: compat_c_client HOST:PORT\n");
        return 2;
    }
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(argv[1], on_event, 10000, NULL, NULL, 0);
    check(zh != NULL && wait_for(&connected, 1), "the C client connects");
    if (connected) {
        test_znodes(zh);
        test_acl(zh);
        test_watches(zh);
        test_multi(zh);
        test_outstanding(zh);
        test_sync_and_close(zh, argv[1]);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
