/* A server over the memory store, and clients that speak to it in frames. Virtual time, no threads. */
#ifndef TEST_SERVER_WORLD_H
#define TEST_SERVER_WORLD_H

#include "jute/jute.h"
#include "server/server.h"

struct client {
    struct world *world;
    struct server_conn *conn; /* NULL: closed by the server */
    mk_session session;
    uint8_t password[JUTE_PASSWORD_BYTES];
    int32_t timeout_ms;
    int32_t xid;
    struct mk_buf input; /* frames received and not read yet */
    size_t read;
};

struct world {
    struct store_base *base;
    struct store *store;
    struct server *server;
    struct server_options options;
    struct server_recipe recipe;
    struct server_time now;
    struct mk_buf log; /* all entries that are durable */
    uint32_t epoch;
    mk_zxid log_last;
    struct client *clients[16];
    size_t clients_count;
    bool cold; /* the whole is not checked: that would bring all of it into memory */
    void (*settle)(struct world *world); /* of a member of a cluster; NULL: it is alone */
};

void world_init(struct world *world, const char *recipe_name, const char *recipe_source);
void world_deinit(struct world *world);
/* Let everything happen that can without time passing. */
void world_settle(struct world *world);
/* Settle, but leave what is proposed unsynced. */
bool world_deliver(struct world *world); /* what is for clients; false: nothing was */
void world_advance(struct world *world, mk_ms ms);
/* The server dies; the next one recovers from what is durable. Connections are gone. */
void world_restart(struct world *world);
char *world_read_file(const char *path); /* malloc'ed, NUL-terminated */

void client_init(struct client *client, struct world *world);
void client_deinit(struct client *client);
void client_connect(struct client *client, int32_t timeout_ms); /* or re-attach */
void client_disconnect(struct client *client);
int32_t client_send(struct client *client, struct jute_request *request); /* fills in the xid */
/* The next frame: false if there is none. */
bool client_next(struct client *client, struct jute_reply *reply);
/* Settle and expect the next reply to be this request's, with that error. */
struct jute_reply client_call(struct client *client, struct jute_request *request);

struct jute_request request_create(const char *path, const char *data, int32_t flags);
struct jute_request request_path(int32_t op, const char *path);
struct jute_request request_set(const char *path, const char *data, int32_t version);
struct jute_request request_delete(const char *path, int32_t version);
struct jute_request request_recipe(const char *operation, int64_t call_id, const char *json);

#endif
