/* A pretend client: connects, keeps its session alive (or not), sets its watches again after it has
 * been away, and asks again for calls whose answer it has not seen.
 *
 *   no link -- act --> link, ConnectRequest -- response --> connected -- act --> a request ...
 *   the link breaks, or nothing is heard for too long --> no link
 *   the session is refused --> forgotten; the next ConnectRequest asks for a new one */
#include "sim/run.h"

#include <stdio.h>
#include <string.h>

#define ACT_EVERY_MS 6 /* on average */
#define PENDING_MAX 10

/* ---- Sets of paths ---- */

bool sim_paths_add(struct sim_paths *paths, struct mk_bytes path)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (mk_bytes_equal(paths->list[i], path)) {
            return false;
        }
    }
    if (paths->count == paths->cap) {
        paths->cap = paths->cap * 2 + 8;
        paths->list = mk_realloc(paths->list, paths->cap * sizeof(*paths->list));
    }
    uint8_t *copy = mk_alloc(path.len + 1);
    memcpy(copy, path.data, path.len);
    paths->list[paths->count++] = mk_bytes_of(copy, path.len);
    return true;
}

bool sim_paths_remove(struct sim_paths *paths, struct mk_bytes path)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (mk_bytes_equal(paths->list[i], path)) {
            mk_free((void *)(uintptr_t)paths->list[i].data);
            paths->list[i] = paths->list[--paths->count];
            return true;
        }
    }
    return false;
}

void sim_paths_free(struct sim_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        mk_free((void *)(uintptr_t)paths->list[i].data);
    }
    mk_free(paths->list);
    *paths = (struct sim_paths){0};
}

/* ---- Requests under way ---- */

static void pending_deinit(struct sim_pending *pending)
{
    mk_buf_free(&pending->path);
    mk_buf_free(&pending->data);
}

static struct sim_pending *pending_push(struct sim_client *client)
{
    if (client->pending_count == client->pending_cap) {
        client->pending_cap = client->pending_cap * 2 + 16;
        client->pending =
            mk_realloc(client->pending, client->pending_cap * sizeof(*client->pending));
    }
    struct sim_pending *pending = &client->pending[client->pending_count++];
    *pending = (struct sim_pending){.sent_ms = client->run->now_ms};
    return pending;
}

void sim_client_send_frame(struct sim_client *client, struct mk_bytes frame)
{
    client->sent_ms = client->run->now_ms;
    sim_link_send(client->link, frame);
}

static struct sim_pending *note_sent(struct sim_client *client, const struct jute_request *request)
{
    struct sim_pending *pending = pending_push(client);

    pending->xid = request->xid;
    pending->op = request->op;
    pending->watch = request->watch;
    pending->mode = request->flags;
    pending->call_id = request->call_id;
    if (request->path.data != NULL) {
        mk_buf_append_bytes(&pending->path, request->path);
    }
    if (request->op == JUTE_CALL) {
        mk_buf_append_bytes(&pending->path, request->operation);
        mk_buf_append_bytes(&pending->data, request->data);
    }
    return pending;
}

void sim_client_note(struct sim_client *client, const struct jute_request *request)
{
    (void)note_sent(client, request);
}

struct sim_pending *sim_client_send(struct sim_client *client, struct jute_request *request)
{
    struct mk_buf frame = {0};

    if (request->xid == 0) {
        request->xid = ++client->xid;
    }
    jute_request_encode(&frame, request);
    sim_client_send_frame(client, mk_buf_view(&frame));
    mk_buf_free(&frame);
    sim_log(client->run, "client %d sends op %d xid %d %.*s", client->number, (int)request->op,
            (int)request->xid, (int)request->path.len,
            request->path.data == NULL ? "" : (const char *)request->path.data);
    return request->op == JUTE_PING ? NULL : note_sent(client, request);
}

/* Results up to this id are not asked for again: those before the oldest call that is open. */
static int64_t done_through(const struct sim_client *client)
{
    int64_t done = client->call_id;

    for (size_t i = 0; i < client->pending_count; i++) {
        int64_t id = client->pending[i].call_id;
        done = id != 0 && id - 1 < done ? id - 1 : done;
    }
    for (size_t i = 0; i < client->unanswered_count; i++) {
        int64_t id = client->unanswered[i].call_id;
        done = id - 1 < done ? id - 1 : done;
    }
    return done;
}

static struct jute_request call_of(const char *operation, int64_t call_id,
                                   struct mk_bytes arguments)
{
    return (struct jute_request){
        .op = JUTE_CALL,
        .operation = mk_bytes_text(operation),
        .call_id = call_id,
        .data = arguments,
        .format = JUTE_CALL_JSON,
    };
}

void sim_client_call(struct sim_client *client, const char *operation, int64_t call_id,
                     struct mk_bytes arguments)
{
    struct jute_request request = call_of(operation, call_id, arguments);
    int64_t done = done_through(client);

    request.done_through = call_id != 0 && call_id - 1 < done ? call_id - 1 : done;
    (void)sim_client_send(client, &request);
}

void sim_client_try(struct sim_client *client, const char *operation, int64_t call_id,
                    struct mk_bytes arguments)
{
    struct jute_request request = call_of(operation, call_id, arguments);

    request.dry_run = true;
    struct sim_pending *pending = sim_client_send(client, &request);
    pending->call_id = 0;
}

/* ---- Connecting ---- */

static void send_auth(struct sim_client *client)
{
    for (size_t i = 0; i < sim_credentials_count; i++) {
        struct jute_request request = {
            .xid = JUTE_XID_AUTH,
            .op = JUTE_AUTH,
            .scheme = MK_BYTES("digest"),
            .data = mk_bytes_text(sim_credentials[i].text),
        };
        if ((client->identities & 1u << i) != 0) {
            (void)sim_client_send(client, &request);
        }
    }
}

static void send_connect(struct sim_client *client)
{
    struct sim_run *run = client->run;
    struct mk_buf frame = {0};
    struct jute_connect connect = {
        .last_zxid_seen = client->zxid_seen,
        .timeout_ms =
            (int32_t)(sim_one_in(run, 10) ? sim_below(run, 5000) : 300 + sim_below(run, 900)),
        .session_id = client->session,
        .password = mk_bytes_of(client->password, sizeof(client->password)),
        .read_only_present = !sim_one_in(run, 4),
    };
    uint8_t wrong[JUTE_PASSWORD_BYTES] = {1, 2, 3};
    if (client->session != 0 && sim_one_in(run, 40)) {
        connect.password = mk_bytes_of(wrong, sizeof(wrong));
    }
    if (sim_one_in(run, 200)) {
        connect.last_zxid_seen += 1 + (mk_zxid)sim_below(run, 1ULL << 34);
    }
    jute_connect_encode(&frame, &connect);
    if (sim_one_in(run, 200)) {
        mk_store_u32(frame.data, 9); /* cut short: what follows makes no sense either */
    }
    sim_client_send_frame(client, mk_buf_view(&frame));
    mk_buf_free(&frame);
    sim_log(run, "client %d connects, session 0x%llx", client->number,
            (unsigned long long)client->session);
}

static struct sim_host *choose_host(struct sim_run *run)
{
    uint64_t count = (uint64_t)run->hosts_count;

    return &run->hosts[count == 1 ? 0 : sim_below(run, count)];
}

struct sim_check *sim_client_check(const struct sim_client *client)
{
    return client->link != NULL ? &client->link->host->check : &client->run->hosts[0].check;
}

static void open_link(struct sim_client *client)
{
    struct sim_run *run = client->run;

    struct sim_host *host = choose_host(run);
    if (!sim_turn_begin(host)) {
        return; /* the server is down: connection refused */
    }
    client->link = sim_link_open(host, client);
    client->heard_ms = run->now_ms;
    sim_turn_end(host);
    if (client->link == NULL || sim_one_in(run, 100)) {
        return; /* it died just now; or the client says nothing at all */
    }
    send_connect(client);
    if (sim_one_in(run, 3)) { /* some do not wait for the response */
        send_auth(client);
        struct jute_request ping = {.xid = JUTE_XID_PING, .op = JUTE_PING};
        (void)sim_client_send(client, &ping);
    }
}

/* What the client was watching when its connection broke; the server says what it missed. */
static void send_watches(struct sim_client *client)
{
    struct jute_request request = {
        .op = sim_one_in(client->run, 2) ? JUTE_SET_WATCHES2 : JUTE_SET_WATCHES,
        .relative_zxid = client->zxid_seen,
    };
    struct mk_buf lists[JUTE_LISTS_MAX] = {{0}};
    bool any = false;
    int used = request.op == JUTE_SET_WATCHES ? SIM_LIST_PERSISTENT : JUTE_LISTS_MAX;

    for (int list = 0; list < used; list++) {
        for (size_t i = 0; i < client->watches[list].count; i++) {
            mk_buf_put_field(&lists[list], client->watches[list].list[i]);
            any = true;
        }
        request.lists[list].count = (int32_t)client->watches[list].count;
        request.lists[list].bytes = lists[list].len > 0 ? mk_buf_view(&lists[list]) : MK_BYTES("");
    }
    if (any) {
        (void)sim_client_send(client, &request);
    }
    for (int list = 0; list < JUTE_LISTS_MAX; list++) {
        mk_buf_free(&lists[list]);
        if (list >= used) { /* it has not asked for these again */
            sim_paths_free(&client->watches[list]);
        }
    }
}

static void forget_session(struct sim_client *client)
{
    client->session = 0;
    client->xid = 0;
    client->call_id = 0;
    client->closing = false;
    client->identities = (unsigned)sim_below(client->run, 4);
    if (client->number == 0 && sim_one_in(client->run, 2)) {
        client->identities |= 1u << SIM_CREDENTIALS_SUPER;
    }
    for (int list = 0; list < JUTE_LISTS_MAX; list++) {
        sim_paths_free(&client->watches[list]);
    }
    sim_paths_free(&client->tickets);
    sim_paths_free(&client->nodes);
    for (size_t i = 0; i < client->unanswered_count; i++) {
        pending_deinit(&client->unanswered[i]);
    }
    client->unanswered_count = 0;
}

/* Calls with an id that were open when the connection broke: exactly once, however often asked. */
static void ask_again(struct sim_client *client)
{
    while (client->unanswered_count > 0) {
        struct sim_pending again = client->unanswered[0];
        char operation[64];
        (void)snprintf(operation, sizeof(operation), "%.*s", (int)again.path.len,
                       (const char *)again.path.data);
        sim_client_call(client, operation, again.call_id, mk_buf_view(&again.data));
        client->unanswered_count--;
        memmove(client->unanswered, client->unanswered + 1,
                client->unanswered_count * sizeof(again));
        pending_deinit(&again);
    }
}

static void connected(struct sim_client *client, struct mk_bytes frame)
{
    struct mk_reader reader = mk_reader_of(frame);

    (void)mk_read_i32(&reader);
    client->timeout_ms = mk_read_i32(&reader);
    mk_session session = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);
    if (client->timeout_ms <= 0) {
        sim_log(client->run, "client %d is refused", client->number);
        forget_session(client);
        return; /* the server closes */
    }
    MK_ASSERT(password.len == JUTE_PASSWORD_BYTES);
    memcpy(client->password, password.data, JUTE_PASSWORD_BYTES);
    bool again = client->session == session;
    client->session = session;
    client->connected = true;
    sim_log(client->run, "client %d has session 0x%llx", client->number,
            (unsigned long long)session);
    send_auth(client);
    if (again) {
        send_watches(client);
        ask_again(client);
    }
}

/* ---- Disconnected ---- */

static void keep_call(struct sim_client *client, struct sim_pending *pending)
{
    if (client->unanswered_count == client->unanswered_cap) {
        client->unanswered_cap = client->unanswered_cap * 2 + 8;
        client->unanswered =
            mk_realloc(client->unanswered, client->unanswered_cap * sizeof(*client->unanswered));
    }
    client->unanswered[client->unanswered_count++] = *pending;
}

void sim_client_lost(struct sim_client *client)
{
    struct sim_run *run = client->run;

    for (size_t i = 0; i < client->pending_count; i++) {
        if (client->pending[i].call_id != 0) {
            keep_call(client, &client->pending[i]);
        } else {
            pending_deinit(&client->pending[i]);
        }
    }
    client->pending_count = 0;
    client->connected = false;
    if (client->closing) {
        forget_session(client);
    }
    sim_log(run, "client %d has lost its connection", client->number);
    if (run->mood == SIM_OVER && client->session == 0) {
        sim_event_cancel(run, &client->act_event);
        return;
    }
    sim_event_at(run, &client->act_event, (mk_ms)sim_below(run, sim_one_in(run, 8) ? 3000 : 100));
}

/* ---- Frames that come ---- */

static void event_came(struct sim_client *client, const struct jute_reply *reply)
{
    struct mk_reader reader = mk_reader_of(reply->body);
    int32_t event = mk_read_i32(&reader);
    (void)mk_read_i32(&reader);
    struct mk_bytes path = mk_read_field(&reader);

    if (event == JUTE_EVENT_CHILDREN_CHANGED || event == JUTE_EVENT_DELETED) {
        (void)sim_paths_remove(&client->watches[SIM_LIST_CHILD], path);
    }
    if (event != JUTE_EVENT_CHILDREN_CHANGED) {
        (void)sim_paths_remove(&client->watches[SIM_LIST_DATA], path);
        (void)sim_paths_remove(&client->watches[SIM_LIST_EXIST], path);
    }
}

static void reply_came(struct sim_client *client, const struct jute_reply *reply)
{
    for (size_t i = 0; i < client->pending_count; i++) {
        struct sim_pending pending = client->pending[i];
        if (pending.xid != reply->xid) {
            continue;
        }
        client->pending_count--;
        memmove(client->pending + i, client->pending + i + 1,
                (client->pending_count - i) * sizeof(pending));
        sim_client_answered(client, &pending, reply);
        pending_deinit(&pending);
        return;
    }
}

void sim_client_frame(struct sim_client *client, struct mk_bytes frame)
{
    struct jute_reply reply;

    if (!client->connected) {
        connected(client, frame);
        return;
    }
    if (jute_reply_decode(frame, &reply) != MK_OK) {
        sim_check_fail(sim_client_check(client), "client %d received a malformed reply",
                       client->number);
        return;
    }
    if (reply.xid == JUTE_XID_NOTIFICATION) {
        event_came(client, &reply);
        return;
    }
    if (reply.zxid > client->zxid_seen && reply.xid != JUTE_XID_PING) {
        client->zxid_seen = reply.zxid;
    }
    reply_came(client, &reply);
}

/* ---- Acting ---- */

static void act_connected(struct sim_client *client)
{
    struct sim_run *run = client->run;
    struct jute_request ping = {.xid = JUTE_XID_PING, .op = JUTE_PING};
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};

    if (client->closing) {
        return;
    }
    if (run->mood == SIM_OVER) {
        client->closing = true;
        (void)sim_client_send(client, &close);
    } else if (run->mood == SIM_BUSY && client->pending_count < PENDING_MAX) {
        /* Mostly one at a time; now and then many, without waiting for any answer. */
        uint64_t count = sim_one_in(run, 8) ? 2 + sim_below(run, 12) : 1;
        for (uint64_t i = 0; i < count && client->link != NULL && !client->closing; i++) {
            sim_client_do(client);
        }
    } else if (run->now_ms - client->sent_ms > client->timeout_ms / 3) {
        (void)sim_client_send(client, &ping);
    }
}

static void act_happens(struct sim_run *run, void *owner)
{
    struct sim_client *client = owner;
    mk_ms patience_ms = client->connected ? client->timeout_ms * 2 / 3 : 1500;

    client->sleeping = false;
    if (run->mood == SIM_OVER && client->session == 0 && client->link == NULL) {
        return;
    }
    if (client->link == NULL) {
        open_link(client);
    } else if (run->now_ms - client->heard_ms > patience_ms && client->sent_ms > client->heard_ms) {
        sim_log(run, "client %d hears nothing", client->number);
        sim_link_hang_up(client->link);
        return; /* which has set the next event */
    } else if (client->connected) {
        act_connected(client);
    }
    mk_ms every_ms = run->mood == SIM_BUSY && client->connected ? 2 * ACT_EVERY_MS : 60;
    if (!sim_event_set(&client->act_event)) {
        sim_event_at(run, &client->act_event, (mk_ms)sim_below(run, (uint64_t)every_ms));
    }
}

void sim_client_init(struct sim_run *run, struct sim_client *client, int number)
{
    *client = (struct sim_client){.run = run, .number = number};
    (void)snprintf(client->address, sizeof(client->address), "10.0.0.%d", number + 1);
    client->act_event.happen = act_happens;
    client->act_event.owner = client;
    forget_session(client);
    sim_event_at(run, &client->act_event, (mk_ms)sim_below(run, 20));
}

void sim_client_deinit(struct sim_client *client)
{
    for (size_t i = 0; i < client->pending_count; i++) {
        pending_deinit(&client->pending[i]);
    }
    forget_session(client);
    mk_free(client->pending);
    mk_free(client->unanswered);
}
