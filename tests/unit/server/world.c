#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/cmocka.h"

static const uint8_t acl_open[] = "\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone";

static void serve(struct world *world)
{
    struct mk_error error;
    struct store_options options = {
        .cache_bytes = 1 << 20,
        .overlay_bytes = 64 << 20,
        .overlay_bytes_max = 128 << 20,
    };
    world->store = store_open(world->base, &options, &error);
    assert_non_null(world->store);
    world->server = server_new(&world->options, world->store, NULL);
    struct mk_bytes log = mk_buf_view(&world->log);
    struct mk_bytes entry;
    size_t offset = 0;
    while (store_log_entry_next(log, &offset, &entry)) {
        mk_zxid zxid = (mk_zxid)mk_load_u64(entry.data + 12);
        if (zxid > store_applied(world->store)) {
            assert_int_equal(server_recover(world->server, zxid, entry, &error), MK_OK);
        }
    }
    world->epoch++;
    assert_int_equal(server_lead(world->server, world->epoch, world->log_last, world->now), MK_OK);
    world_settle(world);
}

void world_init(struct world *world, const char *recipe_name, const char *recipe_source)
{
    memset(world, 0, sizeof(*world));
    world->now = (struct server_time){.monotonic_ms = 1000, .wall_ms = 1700000000000};
    world->base = store_base_memory(NULL, 0);
    server_options_default(&world->options);
    world->options.tick_ms = 2000;
    world->options.extended_types = true;
    world->options.super_digest = MK_BYTES("super:lK75jTNcA+U9vtVEw5vB51mj/w4="); /* :secret */
    if (recipe_name != NULL) {
        world->recipe.name = mk_bytes_text(recipe_name);
        world->recipe.source = mk_bytes_text(recipe_source);
        world->options.catalogue = &world->recipe;
        world->options.catalogue_count = 1;
    }
    serve(world);
}

void world_deinit(struct world *world)
{
    server_free(world->server);
    store_close(world->store);
    mk_buf_free(&world->log);
}

bool world_deliver(struct world *world)
{
    struct server_conn *conn;
    bool any = false;

    while ((conn = server_next_dirty(world->server)) != NULL) {
        struct client *client = server_conn_owner(conn);
        struct mk_buf *output = server_conn_output(conn);
        any = true;
        mk_buf_append_bytes(&client->input, mk_buf_view(output));
        output->len = 0;
        if (server_conn_closing(conn)) {
            client->conn = NULL;
            server_conn_closed(world->server, conn);
        } else {
            server_conn_drained(world->server, conn);
        }
    }
    return any;
}

void world_settle(struct world *world)
{
    struct server_batch batch;
    struct server_load load;
    bool more = true;

    if (world->settle != NULL) {
        world->settle(world);
        return;
    }
    while (more) {
        more = world_deliver(world);
        while (server_load_take(world->server, &load)) {
            assert_int_equal(store_load(store_base_of(world->store), &load.rows), MK_OK);
            server_load_done(world->server, &load);
            more = true;
        }
        if (server_batch_take(world->server, &batch)) {
            mk_buf_append_bytes(&world->log, mk_buf_view(&batch.bytes));
            world->log_last = batch.last;
            server_batch_synced(world->server, &batch);
            more = true;
        }
    }
    assert_null(server_failure(world->server));
    if (!world->cold) {
        server_check(world->server);
    }
}

void world_advance(struct world *world, mk_ms ms)
{
    mk_ms until_ms = world->now.monotonic_ms + ms;

    while (world->now.monotonic_ms < until_ms) {
        mk_ms step_ms =
            until_ms - world->now.monotonic_ms < 100 ? until_ms - world->now.monotonic_ms : 100;
        world->now.monotonic_ms += step_ms;
        world->now.wall_ms += step_ms;
        server_tick(world->server, world->now);
        world_settle(world);
    }
}

static void keep_open(struct store_base *base)
{
    (void)base;
}

void world_restart(struct world *world)
{
    /* The base survives its store, as files do. */
    const struct store_base_ops *ops = world->base->ops;
    struct store_base_ops kept = *ops;

    kept.close = keep_open;
    for (size_t i = 0; i < world->clients_count; i++) {
        world->clients[i]->conn = NULL;
    }
    server_free(world->server);
    world->base->ops = &kept;
    store_close(world->store);
    world->base->ops = ops;
    serve(world);
}

char *world_read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 65536);

    if (file == NULL || text == NULL || fread(text, 1, 65535, file) == 0) {
        fail_msg("cannot read %s", path);
    }
    fclose(file);
    return text;
}

/* ---- Clients ---- */

void client_init(struct client *client, struct world *world)
{
    memset(client, 0, sizeof(*client));
    client->world = world;
    world->clients[world->clients_count++] = client;
}

void client_deinit(struct client *client)
{
    mk_buf_free(&client->input);
}

void client_connect(struct client *client, int32_t timeout_ms)
{
    struct world *world = client->world;
    struct mk_buf out = {0};
    struct jute_connect connect = {
        .timeout_ms = timeout_ms,
        .session_id = client->session,
        .password = mk_bytes_of(client->password, sizeof(client->password)),
        .read_only_present = true,
    };

    client->input.len = 0;
    client->read = 0;
    client->conn = server_conn_open(world->server, MK_BYTES("127.0.0.1"), 1, client);
    jute_connect_encode(&out, &connect);
    server_conn_frame(world->server, client->conn, mk_bytes_of(out.data + 4, out.len - 4));
    mk_buf_free(&out);
    world_settle(world);
    assert_true(client->input.len >= 41);
    struct mk_reader reader = mk_reader_of(mk_bytes_of(client->input.data + 8, 12));
    client->timeout_ms = mk_read_i32(&reader);
    client->session = mk_read_i64(&reader);
    memcpy(client->password, client->input.data + 24, sizeof(client->password));
    client->read = 41;
}

void client_disconnect(struct client *client)
{
    if (client->conn != NULL) {
        server_conn_closed(client->world->server, client->conn);
        client->conn = NULL;
    }
}

int32_t client_send(struct client *client, struct jute_request *request)
{
    struct mk_buf out = {0};

    if (request->xid == 0) {
        request->xid = ++client->xid;
    }
    jute_request_encode(&out, request);
    if (client->conn != NULL) {
        server_conn_frame(client->world->server, client->conn,
                          mk_bytes_of(out.data + 4, out.len - 4));
    }
    mk_buf_free(&out);
    return request->xid;
}

bool client_next(struct client *client, struct jute_reply *reply)
{
    if (client->read + 4 > client->input.len) {
        return false;
    }
    size_t len = mk_load_u32(client->input.data + client->read);
    struct mk_bytes frame = mk_bytes_of(client->input.data + client->read + 4, len);
    client->read += 4 + len;
    assert_int_equal(jute_reply_decode(frame, reply), MK_OK);
    return true;
}

struct jute_reply client_call(struct client *client, struct jute_request *request)
{
    struct jute_reply reply = {0};
    int32_t xid = client_send(client, request);

    world_settle(client->world);
    assert_true(client_next(client, &reply));
    assert_int_equal(reply.xid, xid);
    return reply;
}

struct jute_request request_create(const char *path, const char *data, int32_t flags)
{
    return (struct jute_request){
        .op = JUTE_CREATE,
        .path = mk_bytes_text(path),
        .data = mk_bytes_text(data),
        .acl = mk_bytes_of(acl_open, sizeof(acl_open) - 1),
        .flags = flags,
    };
}

struct jute_request request_path(int32_t op, const char *path)
{
    return (struct jute_request){.op = op, .path = mk_bytes_text(path)};
}

struct jute_request request_set(const char *path, const char *data, int32_t version)
{
    return (struct jute_request){.op = JUTE_SET_DATA,
                                 .path = mk_bytes_text(path),
                                 .data = mk_bytes_text(data),
                                 .version = version};
}

struct jute_request request_delete(const char *path, int32_t version)
{
    return (struct jute_request){
        .op = JUTE_DELETE, .path = mk_bytes_text(path), .version = version};
}

struct jute_request request_recipe(const char *operation, int64_t call_id, const char *json)
{
    return (struct jute_request){
        .op = JUTE_CALL,
        .operation = mk_bytes_text(operation),
        .call_id = call_id,
        .chroot = MK_BYTES_NULL,
        .format = JUTE_CALL_JSON,
        .data = mk_bytes_text(json),
    };
}
