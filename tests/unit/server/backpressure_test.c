/* A connection that asks faster than it is answered is not read from until it has been. */
#include <stdio.h>

#include "unit/cmocka.h"
#include "world.h"

#define OUTSTANDING_MAX 4

static void send_creates(struct client *client, int first, int count)
{
    char path[32];

    for (int i = first; i < first + count; i++) {
        snprintf(path, sizeof(path), "/n%d", i);
        struct jute_request request = request_create(path, "", 0);
        (void)client_send(client, &request);
    }
}

static void reading_pauses_at_the_limit_and_goes_on_when_the_requests_are_answered(void **state)
{
    struct world world;
    struct client ann;

    (void)state;
    world_init(&world, NULL, NULL);
    world.options.conn_outstanding_max = OUTSTANDING_MAX;
    world_restart(&world);
    client_init(&ann, &world);
    client_connect(&ann, 10000);

    send_creates(&ann, 0, OUTSTANDING_MAX - 1);
    assert_false(server_conn_paused(ann.conn));
    send_creates(&ann, OUTSTANDING_MAX - 1, 1);
    assert_true(server_conn_paused(ann.conn));

    world_settle(&world);

    assert_false(server_conn_paused(ann.conn));
    client_deinit(&ann);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_pauses_at_the_limit_and_goes_on_when_the_requests_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
