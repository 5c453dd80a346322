/* The calls that a client makes, of the lock and of the recipes of recipes.c, and what it deploys, by
 * opcode 700 and through call nodes. */
#include <stdio.h>
#include <string.h>

#include "sim/run.h"

/* ---- The lock, naps ---- */

static struct mk_bytes acquire_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct mk_buf *json = &arguments->data;

    json->len = 0;
    mk_buf_printf(json, "{\"path\":\"/locks/l%d\"", (int)sim_below(run, run->locks));
    if (!sim_one_in(run, 3)) {
        mk_buf_printf(json, ",\"timeout\":\"%dms\"", (int)sim_below(run, 1000));
    }
    mk_buf_put_u8(json, '}');
    return mk_buf_view(json);
}

static struct mk_bytes release_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct mk_buf *json = &arguments->data;
    struct mk_bytes ticket = MK_BYTES("/locks/l0/lock-0000000000");

    if (client->tickets.count > 0) {
        ticket = client->tickets.list[sim_below(run, client->tickets.count)];
    }
    struct mk_bytes lock = sim_path_parent(ticket);
    json->len = 0;
    mk_buf_printf(json, "{\"path\":\"%.*s\",\"ticket\":\"%.*s\"}", (int)lock.len,
                  (const char *)lock.data, (int)ticket.len, (const char *)ticket.data);
    (void)sim_paths_remove(&client->tickets, ticket);
    return mk_buf_view(json);
}

static struct mk_bytes nap_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct mk_buf *json = &arguments->data;

    json->len = 0;
    mk_buf_printf(json, "{\"time\":%d", (int)sim_below(run, 1500));
    if (sim_one_in(run, 4)) {
        mk_buf_printf(json, ",\"timeout\":%d", (int)sim_below(run, 1500));
    }
    mk_buf_put_u8(json, '}');
    return mk_buf_view(json);
}

/* One of the calls that wait, a second time, over the same connection. */
static bool ask_twice(struct sim_client *client)
{
    for (size_t i = 0; i < client->pending_count; i++) {
        struct sim_pending *pending = &client->pending[i];
        if (pending->op == JUTE_CALL && pending->call_id != 0) {
            struct sim_pending again = *pending; /* what is sent moves the list */
            char operation[64];
            (void)snprintf(operation, sizeof(operation), "%.*s", (int)again.path.len,
                           (const char *)again.path.data);
            sim_client_call(client, operation, again.call_id, mk_buf_view(&again.data));
            return true;
        }
    }
    return false;
}

void sim_act_call(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    bool release = client->tickets.count > 0 ? !sim_one_in(run, 3) : sim_one_in(run, 20);
    int64_t call_id = sim_one_in(run, 6) ? 0 : ++client->call_id;
    struct mk_bytes json =
        release ? release_arguments(client, arguments) : acquire_arguments(client, arguments);

    bool nap = !release && sim_one_in(run, 5);
    if (nap) {
        json = nap_arguments(client, arguments);
    }
    if (sim_one_in(run, 60)) {
        json = MK_BYTES("{\"nonsense\":1}");
    }
    if (sim_one_in(run, 20) && ask_twice(client)) {
        return;
    }
    sim_client_call(client,
                    sim_one_in(run, 100) ? "lock.nosuch"
                    : nap                ? "nap.take"
                    : release            ? "lock.release"
                                         : "lock.acquire",
                    call_id, json);
}

static void make_node(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    bool release = client->tickets.count > 0 && sim_one_in(run, 2);
    struct jute_request request = {
        .op = sim_one_in(run, 2) ? JUTE_CREATE : JUTE_CREATE2,
        .flags = sim_one_in(run, 30) ? 1 : 3,
        .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
    };
    bool nap = !release && sim_one_in(run, 4);
    request.path = release ? MK_BYTES(SIM_CALLS_PATH "/lock.release-")
                   : nap   ? MK_BYTES(SIM_CALLS_PATH "/nap.take-")
                           : MK_BYTES(SIM_CALLS_PATH "/lock.acquire-");
    request.data = release ? release_arguments(client, arguments)
                   : nap   ? nap_arguments(client, arguments)
                           : acquire_arguments(client, arguments);
    (void)sim_client_send(client, &request);
}

/* A call is a znode: make one, look at it, cancel it, throw it away. */
void sim_act_node(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;

    if (client->nodes.count == 0 || sim_one_in(run, 3)) {
        make_node(client, arguments);
        return;
    }
    struct jute_request request = {
        .op = sim_one_in(run, 2) ? JUTE_GET_DATA : JUTE_DELETE,
        .path = client->nodes.list[sim_below(run, client->nodes.count)],
        .watch = sim_one_in(run, 2),
        .version = (int32_t)sim_below(run, 3) - 1,
    };
    (void)sim_client_send(client, &request);
}

/* In the same queue as those who call: Curator's and kazoo's way. */
void sim_act_raw_lock(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct jute_request request = {
        .op = JUTE_CREATE,
        .flags = 3,
        .data = MK_BYTES(""),
        .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
    };
    arguments->path.len = 0;
    mk_buf_printf(&arguments->path, "/locks/l%d/raw%s", (int)sim_below(run, run->locks),
                  sim_one_in(run, 2) ? "-lock-" : "__lock__");
    request.path = mk_buf_view(&arguments->path);
    (void)sim_client_send(client, &request);
}

/* ---- tally, dry runs ---- */

static struct mk_bytes add_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    arguments->data.len = 0;
    mk_buf_printf(&arguments->data, "{\"by\":%d}", (int)sim_below(client->run, 10));
    return mk_buf_view(&arguments->data);
}

/* No more of them than there may be calls of a session. */
static struct mk_bytes keep_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    arguments->data.len = 0;
    mk_buf_printf(&arguments->data, "{\"time\":%d}", (int)sim_below(client->run, 2500));
    return mk_buf_view(&arguments->data);
}

static struct mk_bytes pass_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;

    sim_choose_new_path(client, &arguments->path);
    arguments->data.len = 0;
    mk_buf_printf(&arguments->data, "{\"path\":\"%.*s\"", (int)arguments->path.len,
                  (const char *)arguments->path.data);
    if (sim_one_in(run, 2)) {
        mk_buf_printf(&arguments->data, ",\"timeout\":%d", (int)sim_below(run, 3000));
    }
    mk_buf_put_u8(&arguments->data, '}');
    return mk_buf_view(&arguments->data);
}

/* Its ids mean nothing, not even those of calls that have been made. */
static void try_something(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    int64_t id = sim_one_in(run, 2) ? 0 : (int64_t)sim_below(run, (uint64_t)client->call_id + 2);

    switch (sim_below(run, 5)) {
    case 0: sim_client_try(client, "lock.acquire", id, acquire_arguments(client, arguments)); break;
    case 1: sim_client_try(client, "gate.pass", id, pass_arguments(client, arguments)); break;
    case 2: sim_client_try(client, "recipe.remove", id, MK_BYTES("{\"name\":\"gate\"}")); break;
    default: sim_client_try(client, "tally.add", id, add_arguments(client, arguments)); break;
    }
}

static void make_keep_node(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    struct jute_request request = {
        .op = sim_one_in(run, 2) ? JUTE_CREATE : JUTE_CREATE2,
        .path = MK_BYTES(SIM_CALLS_PATH "/tally.keep-"),
        .flags = sim_one_in(run, 20) ? 3 : 2, /* it outlives its session */
        .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
        .data = keep_arguments(client, arguments),
    };
    (void)sim_client_send(client, &request);
}

void sim_act_tally(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;

    switch (sim_below(run, 9)) {
    case 0:
    case 1:
        sim_client_call(client, "tally.add", sim_one_in(run, 2) ? 0 : ++client->call_id,
                        add_arguments(client, arguments));
        break;
    case 2:
    case 3:
        sim_client_call(client, "tally.get", sim_one_in(run, 2) ? 0 : ++client->call_id,
                        MK_BYTES("{}"));
        break;
    case 4:
        sim_client_call(client, "tally.keep", ++client->call_id, keep_arguments(client, arguments));
        break;
    case 5: make_keep_node(client, arguments); break;
    case 6:
        sim_client_call(client, "lock.holder", sim_one_in(run, 2) ? 0 : ++client->call_id,
                        MK_BYTES("{\"path\":\"/locks/l0\"}"));
        break;
    default: try_something(client, arguments); break;
    }
}

/* ---- Deployments, and calls that wait meanwhile ---- */

/* One of gate's versions, or seldom something that is none. */
static struct mk_bytes deploy_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;

    arguments->more.len = 0;
    sim_gate_source(&arguments->more, 1 + (int)sim_below(run, SIM_GATES));
    sim_sabotage_gate(run, &arguments->more);
    if (sim_one_in(run, 10)) {
        arguments->more.len /= 2;
    }
    arguments->data.len = 0;
    mk_buf_append_bytes(&arguments->data, MK_BYTES("{\"name\":\"gate\",\"source\":\""));
    mk_buf_append_bytes(&arguments->data, mk_buf_view(&arguments->more));
    mk_buf_append_bytes(&arguments->data, MK_BYTES("\""));
    if (sim_one_in(run, 6)) {
        mk_buf_append_bytes(&arguments->data, MK_BYTES(",\"expect\":\"none\""));
    }
    mk_buf_put_u8(&arguments->data, '}');
    return mk_buf_view(&arguments->data);
}

/* All of gate, or one of the versions that there are. */
static struct mk_bytes remove_arguments(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    const struct sim_model *model = &sim_client_check(client)->model;
    size_t i = sim_model_rank(model, MK_BYTES(SIM_RECIPES_PATH "/gate/0")) + sim_below(run, 3);
    struct mk_bytes below = MK_BYTES(SIM_RECIPES_PATH "/gate/");

    arguments->data.len = 0;
    mk_buf_append_bytes(&arguments->data, MK_BYTES("{\"name\":\"gate\""));
    if (!sim_one_in(run, 3) && i < model->znodes_count &&
        mk_bytes_starts(model->znodes[i]->path, below)) {
        mk_buf_printf(&arguments->data, ",\"version\":\"%.8s\"",
                      (const char *)model->znodes[i]->path.data + below.len);
    }
    mk_buf_append_bytes(&arguments->data,
                        sim_one_in(run, 3) ? MK_BYTES("}") : MK_BYTES(",\"fail_waiting\":true}"));
    return mk_buf_view(&arguments->data);
}

static enum sim_operation choose_deployment(struct sim_client *client,
                                            struct sim_arguments *arguments, struct mk_bytes *json)
{
    struct sim_run *run = client->run;

    switch (sim_below(run, 8)) {
    case 0: *json = MK_BYTES("{\"name\":\"gate\"}"); return SIM_ROLLBACK;
    case 1: *json = remove_arguments(client, arguments); return SIM_REMOVE;
    case 2:
        *json =
            sim_one_in(run, 2) ? MK_BYTES("{\"name\":\"nap\"}") : MK_BYTES("{\"name\":\"lock\"}");
        return SIM_UPGRADE;
    case 3: *json = MK_BYTES("{\"name\":\"gate\"}"); return SIM_LIST;
    default: *json = deploy_arguments(client, arguments); return SIM_DEPLOY;
    }
}

/* By its node; or else by opcode 700. */
static void make_call(struct sim_client *client, enum sim_operation operation, struct mk_bytes json)
{
    struct sim_run *run = client->run;
    struct mk_buf path = {0};
    struct jute_request request = {
        .op = JUTE_CREATE,
        .flags = 3,
        .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
        .data = json,
    };

    if (!sim_one_in(run, 3) || sim_operation_reads(operation)) {
        sim_client_call(client, sim_operation_name(operation), ++client->call_id, json);
        return;
    }
    mk_buf_printf(&path, SIM_CALLS_PATH "/%s-", sim_operation_name(operation));
    request.path = mk_buf_view(&path);
    (void)sim_client_send(client, &request);
    mk_buf_free(&path);
}

/* Who may deploy does so half of the time; who may not tries now and then. */
void sim_act_recipe(struct sim_client *client, struct sim_arguments *arguments)
{
    struct sim_run *run = client->run;
    bool may = (client->identities & 1u << SIM_CREDENTIALS_SUPER) != 0;
    enum sim_operation operation = SIM_PASS;
    struct mk_bytes json;

    if (sim_one_in(run, may ? 2 : 20)) {
        operation = choose_deployment(client, arguments, &json);
    } else {
        json = pass_arguments(client, arguments);
    }
    make_call(client, operation, json);
}
