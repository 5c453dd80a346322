/* What a client asks, at random, of few paths, so that clients are in each other's way; and what it
 * makes of the answers. It may look at the model to find a path that is there. Calls: client_call.c. */
#include "sim/run.h"

#include <stdio.h>
#include <string.h>

#define ZNODES_MAX 250 /* more, and deletes become frequent */

/* ---- Arguments ---- */

static void arguments_free(struct sim_arguments *arguments)
{
    mk_buf_free(&arguments->path);
    mk_buf_free(&arguments->data);
    mk_buf_free(&arguments->acl);
    mk_buf_free(&arguments->more);
}

void sim_choose_new_path(struct sim_client *client, struct mk_buf *path)
{
    struct sim_run *run = client->run;
    uint64_t depth = 1 + sim_below(run, 3);

    path->len = 0;
    for (uint64_t i = 0; i < depth; i++) {
        mk_buf_printf(path, "/%c%d", "abc"[i], (int)sim_below(run, 4));
    }
}

/* One that is there; seldom one of the server's own. */
static void choose_old_path(struct sim_client *client, struct mk_buf *path)
{
    const struct sim_model *model = &sim_client_check(client)->model;
    const struct sim_znode *znode = NULL;

    for (int tries = 0; tries < 3; tries++) {
        znode = model->znodes[sim_below(client->run, model->znodes_count)];
        if (!sim_path_below(znode->path, MK_BYTES("/zookeeper"))) {
            break;
        }
    }
    path->len = 0;
    mk_buf_append_bytes(path, znode->path);
}

static struct mk_bytes choose_path(struct sim_client *client, struct mk_buf *path)
{
    static const char *const odd[] = {"",
                                      "a",
                                      "/a0/",
                                      "/a0//b0",
                                      "/a0/./b0",
                                      "/zookeeper",
                                      "/zookeeper/config",
                                      SIM_CALLS_PATH,
                                      "/a0/\x01"};
    struct sim_run *run = client->run;

    if (sim_one_in(run, 60)) {
        path->len = 0;
        size_t i = 1 + sim_below(run, MK_COUNT(odd) - 1);
        bool calls = mk_bytes_equal(mk_bytes_text(odd[i]), MK_BYTES(SIM_CALLS_PATH));
        mk_buf_append_bytes(path, mk_bytes_text(odd[calls && run->hosts_count > 1 ? 1 : i]));
    } else if (sim_one_in(run, 3)) {
        sim_choose_new_path(client, path);
    } else {
        choose_old_path(client, path);
    }
    return mk_buf_view(path);
}

static struct mk_bytes choose_data(struct sim_client *client, struct mk_buf *data)
{
    struct sim_run *run = client->run;
    uint64_t len = sim_one_in(run, 1500)  ? sim_below(run, 400000)
                   : sim_one_in(run, 200) ? sim_below(run, 60000)
                   : sim_one_in(run, 6)   ? sim_below(run, 400)
                                          : sim_below(run, 20);

    if (sim_one_in(run, 20)) {
        return MK_BYTES_NULL;
    }
    data->len = 0;
    uint8_t *bytes = mk_buf_grow(data, len + 1);
    memset(bytes, 'a' + (int)sim_below(run, 26), len);
    return mk_bytes_of(bytes, len);
}

static void put_acl_entry(struct mk_buf *acl, int32_t permissions, const char *scheme,
                          const char *id)
{
    mk_buf_put_i32(acl, permissions);
    mk_buf_put_field(acl, mk_bytes_text(scheme));
    mk_buf_put_field(acl, mk_bytes_text(id));
}

static struct mk_bytes choose_acl(struct sim_client *client, struct mk_buf *acl)
{
    struct sim_run *run = client->run;
    uint64_t kind = sim_one_in(run, 5) ? 1 + sim_below(run, 8) : 0;

    acl->len = 0;
    mk_buf_put_i32(acl, kind == 8 ? 0 : kind == 2 || kind == 4 ? 2 : 1);
    switch (kind) {
    case 0: put_acl_entry(acl, 31, "world", "anyone"); break;
    case 1: put_acl_entry(acl, 1 + (int32_t)sim_below(run, 31), "world", "anyone"); break;
    case 2:
        put_acl_entry(acl, 31, "digest", sim_credentials[0].id);
        put_acl_entry(acl, 5, "world", "anyone");
        break;
    case 3: put_acl_entry(acl, 31, "auth", ""); break;
    case 4:
        put_acl_entry(acl, 13, "digest", sim_credentials[1].id);
        put_acl_entry(acl, 13, "digest", sim_credentials[1].id);
        break;
    case 5: put_acl_entry(acl, 31, "ip", client->address); break;
    case 6: put_acl_entry(acl, 31, "digest", "nocolon"); break;
    case 7: put_acl_entry(acl, 31, "nosuch", "x"); break;
    default: break;
    }
    return mk_buf_view(acl);
}

static int32_t choose_version(struct sim_client *client)
{
    return sim_one_in(client->run, 2) ? -1 : (int32_t)sim_below(client->run, 4);
}

/* ---- Writes ---- */

static bool many_znodes(const struct sim_client *client)
{
    return sim_client_check(client)->model.znodes_count > ZNODES_MAX;
}

static struct jute_request some_create(struct sim_client *client, struct sim_arguments *arguments)
{
    static const struct {
        int32_t op, flags;
    } kinds[] = {
        {JUTE_CREATE, 0},     {JUTE_CREATE, 0},           {JUTE_CREATE, 1},  {JUTE_CREATE, 2},
        {JUTE_CREATE, 3},     {JUTE_CREATE2, 0},          {JUTE_CREATE2, 1}, {JUTE_CREATE2, 2},
        {JUTE_CREATE2, 3},    {JUTE_CREATE_CONTAINER, 4}, {JUTE_CREATE, 4},  {JUTE_CREATE_TTL, 5},
        {JUTE_CREATE_TTL, 6},
    };
    struct sim_run *run = client->run;
    size_t kind = sim_below(run, MK_COUNT(kinds));
    struct jute_request request = {
        .op = kinds[kind].op,
        .flags = kinds[kind].flags,
        .data = choose_data(client, &arguments->data),
        .acl = choose_acl(client, &arguments->acl),
        .ttl_ms = 1 + (int64_t)sim_below(run, sim_one_in(run, 2) ? 100000 : 2000),
    };
    if (request.op == JUTE_CREATE_TTL && sim_one_in(run, 10)) {
        request.ttl_ms = sim_one_in(run, 2) ? 0 : 1LL << 40;
    }
    if (sim_one_in(run, 4)) {
        choose_old_path(client, &arguments->path);
        mk_buf_printf(&arguments->path, "%s%c", arguments->path.len > 1 ? "/" : "",
                      "sdl"[sim_below(run, 3)]);
    } else {
        sim_choose_new_path(client, &arguments->path);
    }
    if (sim_one_in(run, 60)) {
        (void)choose_path(client, &arguments->path);
    }
    if (sim_path_below(mk_buf_view(&arguments->path), MK_BYTES("/locks"))) {
        /* Nobody forges a ticket: a znode of that name, of another owner. */
        mk_buf_append_bytes(&arguments->path, MK_BYTES("x"));
    }
    request.path = mk_buf_view(&arguments->path);
    return request;
}

static struct jute_request some_delete(struct sim_client *client, struct sim_arguments *arguments)
{
    return (struct jute_request){.op = JUTE_DELETE,
                                 .path = choose_path(client, &arguments->path),
                                 .version = choose_version(client)};
}

static struct jute_request some_set(struct sim_client *client, struct sim_arguments *arguments)
{
    return (struct jute_request){.op = JUTE_SET_DATA,
                                 .path = choose_path(client, &arguments->path),
                                 .data = choose_data(client, &arguments->data),
                                 .version = choose_version(client)};
}

static struct jute_request some_check(struct sim_client *client, struct sim_arguments *arguments)
{
    return (struct jute_request){.op = JUTE_CHECK,
                                 .path = choose_path(client, &arguments->path),
                                 .version = choose_version(client)};
}

static void do_create(struct sim_client *client, struct sim_arguments *arguments)
{
    struct jute_request request =
        many_znodes(client) ? some_delete(client, arguments) : some_create(client, arguments);

    if (sim_one_in(client->run, 100) && request.op != JUTE_DELETE) {
        request.flags = (int32_t)sim_below(client->run, 9) - 1;
    }
    (void)sim_client_send(client, &request);
}

static void do_delete(struct sim_client *client, struct sim_arguments *arguments)
{
    struct jute_request request = some_delete(client, arguments);

    (void)sim_client_send(client, &request);
}

static void do_set(struct sim_client *client, struct sim_arguments *arguments)
{
    struct jute_request request = some_set(client, arguments);

    (void)sim_client_send(client, &request);
}

/* What everybody needs: a run in which nobody may do anything is a dull one. */
static bool is_everybodys(struct mk_bytes path)
{
    return path.len <= 1 || mk_bytes_starts(path, MK_BYTES("/zookeeper")) ||
           mk_bytes_starts(path, MK_BYTES("/locks")) || mk_bytes_starts(path, MK_BYTES("/tally"));
}

static void do_set_acl(struct sim_client *client, struct sim_arguments *arguments)
{
    struct jute_request request = {.op = JUTE_SET_ACL,
                                   .path = choose_path(client, &arguments->path),
                                   .acl = choose_acl(client, &arguments->acl),
                                   .version = choose_version(client)};

    if (!is_everybodys(request.path)) {
        (void)sim_client_send(client, &request);
    }
}

static void do_multi(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct mk_buf frame = {0};
    struct jute_request header = {.xid = ++client->xid, .op = JUTE_MULTI};
    size_t start = jute_multi_request_begin(&frame, header.xid, JUTE_MULTI);

    for (uint64_t i = sim_below(run, 6); i > 0; i--) {
        struct jute_request part;
        switch (sim_below(run, 5)) {
        case 0:
        case 1: part = some_create(client, arguments); break;
        case 2: part = some_delete(client, arguments); break;
        case 3: part = some_set(client, arguments); break;
        default: part = some_check(client, arguments); break;
        }
        jute_multi_request_put(&frame, &part);
    }
    jute_multi_request_end(&frame, start);
    sim_client_send_frame(client, mk_buf_view(&frame));
    mk_buf_free(&frame);
    sim_log(run, "client %d sends a multi xid %d", client->number, (int)header.xid);
    sim_client_note(client, &header);
}

/* ---- Quotas ---- */

static struct mk_bytes choose_limits(struct sim_client *client, struct mk_bytes root,
                                     struct mk_buf *data)
{
    struct sim_run *run = client->run;

    data->len = 0;
    mk_buf_printf(data, "count=%d,bytes=%d", (int)sim_below(run, 9) - 1,
                  (int)sim_below(run, 90) - 1);
    /* What the locks need is not limited: or nobody could say who must be granted one. */
    if (sim_one_in(run, 2) && !mk_bytes_equal(root, MK_BYTES("/locks"))) {
        mk_buf_printf(data, "=;byteHardLimit=%d;countHardLimit=%d", (int)sim_below(run, 900) - 1,
                      (int)sim_below(run, 30) - 1);
    }
    return mk_buf_view(data);
}

static const char *const quota_parts[] = {"", "/zookeeper_limits", "/zookeeper_stats"};

static void send_quota_part(struct sim_client *client, struct sim_arguments *arguments,
                            struct mk_bytes root, size_t part, int32_t op)
{
    struct jute_request request = {
        .op = op,
        .watch = sim_one_in(client->run, 2),
        .version = -1,
        .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
        .data = part == 1 ? choose_limits(client, root, &arguments->data)
                          : choose_data(client, &arguments->data),
    };

    arguments->path.len = 0;
    mk_buf_printf(&arguments->path, "/zookeeper/quota%.*s%s", (int)root.len,
                  (const char *)root.data, quota_parts[part]);
    request.path = mk_buf_view(&arguments->path);
    (void)sim_client_send(client, &request);
}

/* A quota is made, as zkCli's setquota does it; or one of its znodes comes, goes, or changes. */
static void do_quota(struct sim_client *client, struct sim_arguments *arguments)
{
    static const char *const roots[] = {"/a0",    "/a0", "/a0/b0",       "/a0/b0/c0", "/a1",
                                        "/locks", "",    SIM_CALLS_PATH, "/zookeeper"};
    static const int32_t ops[] = {JUTE_CREATE, JUTE_CREATE2, JUTE_DELETE, JUTE_SET_DATA,
                                  JUTE_GET_DATA};
    struct sim_run *run = client->run;
    struct mk_bytes root = mk_bytes_text(roots[sim_below(run, MK_COUNT(roots))]);

    if (sim_one_in(run, 3)) {
        for (size_t part = 0; part < MK_COUNT(quota_parts); part++) {
            send_quota_part(client, arguments, root, part, JUTE_CREATE);
        }
        return;
    }
    send_quota_part(client, arguments, root, sim_below(run, MK_COUNT(quota_parts)),
                    ops[sim_below(run, MK_COUNT(ops))]);
}

/* ---- Reads and watches ---- */

/* The largest data that there is, several times at once: more than a slow reader can take. */
static void do_large_reads(struct sim_client *client)
{
    const struct sim_model *model = &sim_client_check(client)->model;
    const struct sim_znode *largest = model->znodes[0];

    for (size_t i = 0; i < model->znodes_count; i++) {
        largest = model->znodes[i]->data.len > largest->data.len ? model->znodes[i] : largest;
    }
    for (int i = 0; i < 6; i++) {
        struct jute_request request = {.op = JUTE_GET_DATA, .path = largest->path};
        (void)sim_client_send(client, &request);
    }
}

static void do_read(struct sim_client *client, struct sim_arguments *arguments)
{
    static const int32_t ops[] = {
        JUTE_EXISTS,        JUTE_EXISTS,       JUTE_GET_DATA,      JUTE_GET_DATA,
        JUTE_GET_ACL,       JUTE_GET_CHILDREN, JUTE_GET_CHILDREN2, JUTE_GET_ALL_CHILDREN_NUMBER,
        JUTE_GET_EPHEMERALS};
    struct sim_run *run = client->run;
    struct jute_request request = {.op = ops[sim_below(run, MK_COUNT(ops))],
                                   .path = choose_path(client, &arguments->path),
                                   .watch = sim_one_in(run, 3)};

    (void)sim_client_send(client, &request);
    if (sim_one_in(run, 100)) {
        do_large_reads(client);
    }
}

static void do_multi_read(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct mk_buf frame = {0};
    struct jute_request header = {.xid = ++client->xid, .op = JUTE_MULTI_READ};
    size_t start = jute_multi_request_begin(&frame, header.xid, JUTE_MULTI_READ);

    for (uint64_t i = sim_below(run, 4); i > 0; i--) {
        struct jute_request part = {.op = sim_one_in(run, 2) ? JUTE_GET_DATA : JUTE_GET_CHILDREN,
                                    .path = choose_path(client, &arguments->path)};
        if (sim_one_in(run, 40)) {
            part.op = JUTE_DELETE; /* which has no place there */
        }
        jute_multi_request_put(&frame, &part);
    }
    jute_multi_request_end(&frame, start);
    sim_client_send_frame(client, mk_buf_view(&frame));
    mk_buf_free(&frame);
    sim_client_note(client, &header);
}

static void do_watch(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct jute_request request = {.op = JUTE_ADD_WATCH,
                                   .path = choose_path(client, &arguments->path),
                                   .flags = (int32_t)sim_below(run, 2)};

    if (sim_one_in(run, 2)) {
        request.op = sim_one_in(run, 2) ? JUTE_CHECK_WATCHES : JUTE_REMOVE_WATCHES;
        request.flags = 1 + (int32_t)sim_below(run, 5);
    }
    if (sim_one_in(run, 50)) {
        request.flags = 9;
    }
    (void)sim_client_send(client, &request);
}

/* An operation that there is not, a record that ends too early, or not even a header. */
static void do_nonsense(struct sim_client *client)
{
    struct sim_run *run = client->run;
    struct jute_request odd = {.xid = ++client->xid, .op = 99};
    struct mk_buf frame = {0};
    int32_t len = sim_one_in(run, 4) ? 4 : 8;

    mk_buf_put_i32(&frame, len);
    mk_buf_put_i32(&frame, odd.xid);
    if (len == 8) {
        mk_buf_put_i32(&frame, sim_one_in(run, 2) ? odd.op : JUTE_GET_DATA);
    }
    sim_client_send_frame(client, mk_buf_view(&frame));
    mk_buf_free(&frame);
    sim_client_note(client, &odd);
}

static void do_other(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct jute_request request = {.path = choose_path(client, &arguments->path)};

    switch (sim_below(run, 8)) {
    case 0:
    case 1:
    case 2: request.op = JUTE_SYNC; break;
    case 3: request.op = JUTE_WHO_AM_I; break;
    case 4:
        request.op = JUTE_AUTH;
        request.xid = JUTE_XID_AUTH;
        request.scheme = sim_one_in(run, 8) ? MK_BYTES("nosuch") : MK_BYTES("digest");
        request.data = mk_bytes_text(sim_credentials[sim_below(run, 2)].text);
        if (sim_one_in(run, 6)) {
            request.scheme = MK_BYTES("ip");
        }
        break;
    default:
        request.op = JUTE_PING;
        request.xid = JUTE_XID_PING;
        break;
    }
    (void)sim_client_send(client, &request);
    if (sim_one_in(run, 60)) {
        do_nonsense(client);
    }
}

static void do_close(struct sim_client *client, struct sim_arguments *arguments)
{
    struct jute_request request = {.op = JUTE_CLOSE_SESSION};

    (void)sim_client_send(client, &request);
    client->closing = true;
    if (sim_one_in(client->run, 3)) { /* what is behind it has come too late */
        do_read(client, arguments);
        do_delete(client, arguments);
    }
}

/* ---- The choice ---- */

static const struct {
    unsigned weight;
    void (*act)(struct sim_client *client, struct sim_arguments *arguments);
    bool calls; /* not in an ensemble, which has no recipes */
} acts[] = {
    {20, do_create, false},    {10, do_delete, false},   {14, do_set, false},
    {4, do_set_acl, false},    {8, do_multi, false},     {24, do_read, false},
    {2, do_multi_read, false}, {5, do_watch, false},     {5, do_other, false},
    {14, sim_act_call, true},  {6, sim_act_node, true},  {2, sim_act_raw_lock, false},
    {8, do_quota, true},       {8, sim_act_tally, true}, {6, sim_act_recipe, true},
};

void sim_client_choose(struct sim_run *run)
{
    MK_ASSERT(MK_COUNT(acts) <= SIM_ACTS_MAX);

    for (size_t i = 0; i < MK_COUNT(acts); i++) {
        run->act_weights[i] = acts[i].weight;
    }
    sim_weights_taste(run, run->act_weights, MK_COUNT(acts));
    for (size_t i = 0; i < MK_COUNT(acts) && run->hosts_count > 1; i++) {
        run->act_weights[i] = acts[i].calls ? 0 : run->act_weights[i];
    }
    run->locks = 1 + sim_below(run, 3);
}

void sim_client_do(struct sim_client *client)
{
    struct sim_run *run = client->run;
    struct sim_arguments arguments = {{0}};
    size_t i = sim_weighted(run, run->act_weights, MK_COUNT(acts));

    if (sim_one_in(run, 300)) {
        do_close(client, &arguments);
    } else if (i != SIZE_MAX) {
        acts[i].act(client, &arguments);
    }
    arguments_free(&arguments);
}

/* ---- Answers ---- */

static void result_came(struct sim_client *client, struct mk_bytes json)
{
    struct mk_bytes name = MK_BYTES("\"ticket\":\"");
    const uint8_t *at = json.len == 0 ? NULL : memmem(json.data, json.len, name.data, name.len);

    if (at != NULL) {
        at += name.len;
        const uint8_t *end = memchr(at, '"', (size_t)(json.data + json.len - at));
        if (end != NULL) {
            (void)sim_paths_add(&client->tickets, mk_bytes_of(at, (size_t)(end - at)));
        }
    }
}

static void watch_came(struct sim_client *client, const struct sim_pending *pending, int32_t error)
{
    struct mk_bytes path = mk_buf_view(&pending->path);
    int list = pending->op == JUTE_GET_CHILDREN || pending->op == JUTE_GET_CHILDREN2
                   ? SIM_LIST_CHILD
               : error != 0 ? SIM_LIST_EXIST
                            : SIM_LIST_DATA;

    if (error == 0 || (error == -101 && pending->op == JUTE_EXISTS)) {
        (void)sim_paths_add(&client->watches[list], path);
    }
}

void sim_client_answered(struct sim_client *client, struct sim_pending *pending,
                         const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    struct mk_bytes path = mk_buf_view(&pending->path);

    switch (pending->op) {
    case JUTE_CALL:
        (void)mk_read_field(&reader);
        (void)mk_read_field(&reader);
        result_came(client, mk_read_field(&reader));
        break;
    case JUTE_CREATE:
    case JUTE_CREATE2:
        if (reply->error == 0 && mk_bytes_starts(path, MK_BYTES(SIM_CALLS_PATH "/"))) {
            (void)sim_paths_add(&client->nodes, mk_read_field(&reader));
        }
        break;
    case JUTE_GET_DATA:
        if (reply->error == 0 && mk_bytes_starts(path, MK_BYTES(SIM_CALLS_PATH "/"))) {
            result_came(client, mk_read_field(&reader));
        }
        break;
    case JUTE_DELETE:
        if (reply->error == 0 || reply->error == -101) {
            (void)sim_paths_remove(&client->nodes, path);
        }
        break;
    case JUTE_ADD_WATCH:
        if (reply->error == 0) {
            (void)sim_paths_add(
                &client->watches[pending->mode == 0 ? SIM_LIST_PERSISTENT : SIM_LIST_RECURSIVE],
                path);
        }
        break;
    default: break;
    }
    if (pending->watch) {
        watch_came(client, pending, reply->error);
    }
}
