/* Znodes that are on disk only: what is read from there, when, and for whom. */
#include <stdio.h>

#include "unit/cmocka.h"
#include "world.h"

#define READS_COUNT 16

static const struct store_base_ops *warm; /* of the base whose cold_get() stands in for the disk */

static enum mk_status cold_get(struct store_base *base, struct mk_bytes key, bool may_block,
                               struct mk_buf *value)
{
    return may_block ? warm->get(base, key, true, value) : MK_WOULD_BLOCK;
}

/* Everything that the world has so far is on disk from now on, and nothing of it in memory. */
static void chill(struct world *world, struct store_base_ops *cold)
{
    struct mk_error error;

    server_checkpoint_request(world->server);
    struct store_checkpoint *checkpoint = server_checkpoint_take(world->server);
    assert_non_null(checkpoint);
    assert_int_equal(store_checkpoint_write(checkpoint, &error), MK_OK);
    server_checkpoint_done(world->server, checkpoint);
    warm = world->base->ops;
    *cold = *warm;
    cold->get = cold_get;
    world->cold = true;
    world_restart(world);
    world->base->ops = cold;
}

static void create_all(struct client *client)
{
    char path[32];

    for (int i = 0; i < READS_COUNT; i++) {
        snprintf(path, sizeof(path), "/n%d", i);
        struct jute_request request = request_create(path, path, 0);
        assert_int_equal(client_call(client, &request).error, 0);
    }
}

static void send_gets(struct client *client, int step)
{
    char path[32];

    for (int i = 0; i < READS_COUNT; i++) {
        snprintf(path, sizeof(path), "/n%d", i * step);
        struct jute_request request = request_path(JUTE_GET_DATA, path);
        (void)client_send(client, &request);
    }
}

static size_t take_all(struct world *world, struct server_load *loads, size_t max)
{
    size_t count = 0;

    while (count < max && server_load_take(world->server, &loads[count])) {
        count++;
    }
    return count;
}

static void finish(struct world *world, struct server_load *load)
{
    assert_int_equal(store_load(store_base_of(world->store), &load->rows), MK_OK);
    server_load_done(world->server, load);
}

static void expect_all_in_order(struct client *client)
{
    struct jute_reply reply;
    char data[32];

    for (int i = 0; i < READS_COUNT; i++) {
        assert_true(client_next(client, &reply));
        assert_int_equal(reply.error, 0);
        int len = snprintf(data, sizeof(data), "/n%d", i);
        struct mk_reader reader = mk_reader_of(reply.body);
        assert_true(mk_bytes_equal(mk_read_field(&reader), mk_bytes_of(data, (size_t)len)));
    }
    assert_false(client_next(client, &reply));
}

static void start(struct world *world, struct client *client, struct store_base_ops *cold)
{
    world_init(world, NULL, NULL);
    client_init(client, world);
    client_connect(client, 10000);
    create_all(client);
    chill(world, cold);
    client_connect(client, 10000);
}

static void stop(struct world *world, struct client *client)
{
    world->base->ops = warm;
    client_deinit(client);
    world_deinit(world);
}

static void pipelined_reads_of_cold_znodes_go_to_the_disk_together(void **state)
{
    struct world world;
    struct client ann;
    struct store_base_ops cold;
    struct server_load loads[READS_COUNT + 1];

    (void)state;
    start(&world, &ann, &cold);

    send_gets(&ann, 1);
    size_t count = take_all(&world, loads, MK_COUNT(loads));

    assert_int_equal(count, READS_COUNT);
    while (count > 0) { /* the last first: they are answered in their order all the same */
        finish(&world, &loads[--count]);
    }
    world_settle(&world);
    expect_all_in_order(&ann);
    stop(&world, &ann);
}

static void what_several_requests_need_is_read_once(void **state)
{
    struct world world;
    struct client ann;
    struct store_base_ops cold;
    struct server_load loads[READS_COUNT];
    struct jute_reply reply;

    (void)state;
    start(&world, &ann, &cold);

    send_gets(&ann, 0);
    assert_int_equal(take_all(&world, loads, MK_COUNT(loads)), 1);
    finish(&world, &loads[0]);
    world_settle(&world);

    for (int i = 0; i < READS_COUNT; i++) {
        assert_true(client_next(&ann, &reply));
        assert_int_equal(reply.error, 0);
    }
    stop(&world, &ann);
}

static void what_the_disk_gives_back_is_asked_for_again(void **state)
{
    struct world world;
    struct client ann;
    struct store_base_ops cold;
    struct server_load loads[READS_COUNT];

    (void)state;
    start(&world, &ann, &cold);

    send_gets(&ann, 1);
    assert_int_equal(take_all(&world, loads, READS_COUNT), READS_COUNT);
    for (int i = 0; i < READS_COUNT; i++) {
        server_load_put_back(world.server, &loads[i]);
    }
    assert_int_equal(take_all(&world, loads, READS_COUNT), READS_COUNT);
    for (int i = 0; i < READS_COUNT; i++) {
        finish(&world, &loads[i]);
    }
    world_settle(&world);

    expect_all_in_order(&ann);
    stop(&world, &ann);
}

static void a_client_that_goes_leaves_nothing_that_waits_for_the_disk(void **state)
{
    struct world world;
    struct client ann;
    struct store_base_ops cold;
    struct server_load loads[READS_COUNT];

    (void)state;
    start(&world, &ann, &cold);

    send_gets(&ann, 1);
    size_t count = take_all(&world, loads, READS_COUNT / 2); /* the others are asked for only */
    client_disconnect(&ann);
    while (count > 0) {
        finish(&world, &loads[--count]);
    }
    world_settle(&world);

    client_connect(&ann, 10000);
    send_gets(&ann, 1);
    world_settle(&world);
    expect_all_in_order(&ann);
    stop(&world, &ann);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelined_reads_of_cold_znodes_go_to_the_disk_together),
        cmocka_unit_test(what_several_requests_need_is_read_once),
        cmocka_unit_test(what_the_disk_gives_back_is_asked_for_again),
        cmocka_unit_test(a_client_that_goes_leaves_nothing_that_waits_for_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
