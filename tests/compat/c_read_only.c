/* ZooKeeper's C client, content with a server that only reads, until one is there that writes:
 * sessions_test.py starts the others when it reads "read-only" here.
 *
 *     compat_c_read_only 127.0.0.1:2181,127.0.0.1:2182 */
#include <zookeeper/zookeeper.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_SECONDS 120
#define SESSION_TIMEOUT_MS 10000

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)type;
    (void)state;
    (void)path;
    (void)context;
}

static void await_state(zhandle_t *zh, int state, const char *name)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    time_t deadline = time(NULL) + WAIT_SECONDS;

    while (zoo_state(zh) != state) {
        if (time(NULL) > deadline) {
            printf("never %s\n", name);
            exit(1);
        }
        (void)nanosleep(&pause, NULL);
    }
    printf("%s\n", name);
    (void)fflush(stdout);
}

/* What a request returns, once it has reached a server. */
static int create(zhandle_t *zh, const char *path)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    int code;

    while ((code = zoo_create(zh, path, "c", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0)) ==
           ZCONNECTIONLOSS) {
        (void)nanosleep(&pause, NULL);
    }
    return code;
}

int main(int argc, char **argv)
{
    char data[16] = "";
    int len = sizeof(data) - 1;

    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh =
        argc == 2 ? zookeeper_init(argv[1], on_event, SESSION_TIMEOUT_MS, NULL, NULL, ZOO_READONLY)
                  : NULL;
    if (zh == NULL) {
        return 2;
    }
    await_state(zh, ZOO_READONLY_STATE, "read-only");
    printf("get %d", zoo_get(zh, "/a", 0, data, &len, NULL));
    printf(" %.*s\n", len, data);
    printf("create %d\n", zoo_create(zh, "/c", "c", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    (void)fflush(stdout);
    await_state(zh, ZOO_CONNECTED_STATE, "connected");
    printf("create %d\n", create(zh, "/c"));
    (void)fflush(stdout);
    return zookeeper_close(zh) == ZOK ? 0 : 1;
}
