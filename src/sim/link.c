/* A pretend connection: bytes that take their time, stop, come in pieces, or never come.
 *
 *   client -> up -> (up_event) -> arrived -> frames -> server
 *   server's output -> (at once, or take_event) -> down -> (down_event) -> received -> client
 *
 * It ends when the client hangs up, which the server hears of later; when the server closes it,
 * once its output has come through; or when the server dies. Then it is freed. */
#include "sim/run.h"

#include <string.h>

#define LATENCY_MAX_MS 4

static void up_happens(struct sim_run *run, void *owner);
static void down_happens(struct sim_run *run, void *owner);
static void take_happens(struct sim_run *run, void *owner);
static void hangup_happens(struct sim_run *run, void *owner);

static mk_ms latency(struct sim_link *link)
{
    struct sim_run *run = link->run;
    mk_ms delay_ms = (mk_ms)sim_below(run, LATENCY_MAX_MS);
    mk_ms stalled_ms = link->stalled_until_ms - run->now_ms;

    return stalled_ms > delay_ms ? stalled_ms : delay_ms;
}

static void event_soon(struct sim_link *link, struct sim_event *event)
{
    if (!sim_event_set(event)) {
        sim_event_at(link->run, event, latency(link));
    }
}

static void event_init(struct sim_link *link, struct sim_event *event,
                       void (*happen)(struct sim_run *run, void *owner))
{
    event->happen = happen;
    event->owner = link;
    event->host = link->host;
}

struct sim_link *sim_link_open(struct sim_host *host, struct sim_client *client)
{
    struct sim_link *link = mk_alloc_zero(1, sizeof(*link));

    link->run = host->run;
    link->host = host;
    link->client = client;
    event_init(link, &link->up_event, up_happens);
    event_init(link, &link->down_event, down_happens);
    event_init(link, &link->take_event, take_happens);
    event_init(link, &link->hangup_event, hangup_happens);
    mk_list_append(&host->links, &link->in_host);
    link->server = server_conn_open(host->machine.server, mk_bytes_text(client->address),
                                    (uint16_t)(1000 + client->number), link);
    link->check = sim_check_conn_new(&host->check, link->server, client->address);
    return link;
}

void sim_link_free(struct sim_link *link)
{
    struct sim_run *run = link->run;

    MK_ASSERT(link->server == NULL && link->client == NULL);
    sim_event_cancel(run, &link->up_event);
    sim_event_cancel(run, &link->down_event);
    sim_event_cancel(run, &link->take_event);
    sim_event_cancel(run, &link->hangup_event);
    mk_list_remove(&link->in_host);
    mk_buf_free(&link->up);
    mk_buf_free(&link->arrived);
    mk_buf_free(&link->down);
    mk_buf_free(&link->received);
    mk_free(link);
}

bool sim_link_quiet(const struct sim_link *link)
{
    return link->up.len == 0 && link->arrived.len == 0 && link->down.len == 0 &&
           link->client != NULL;
}

/* ---- Ends ---- */

static void server_side_close(struct sim_link *link)
{
    sim_check_conn_free(&link->host->check, link->check);
    server_conn_closed(link->host->machine.server, link->server);
    link->server = NULL;
    link->check = NULL;
}

static void client_side_close(struct sim_link *link)
{
    struct sim_client *client = link->client;

    link->client = NULL;
    if (client != NULL) {
        client->link = NULL;
        sim_client_lost(client);
    }
}

void sim_link_hang_up(struct sim_link *link)
{
    struct sim_run *run = link->run;

    if (sim_one_in(run, 2)) {
        link->up.len = sim_below(run, link->up.len + 1); /* the rest never arrives */
    }
    link->down.len = 0;
    client_side_close(link);
    sim_event_at(run, &link->hangup_event, (mk_ms)sim_below(run, sim_one_in(run, 8) ? 3000 : 50));
}

static void hangup_happens(struct sim_run *run, void *owner)
{
    struct sim_link *link = owner;

    if (link->server != NULL && sim_turn_begin(link->host)) {
        struct sim_host *host = link->host;
        sim_log(run, "the server sees that %s has hung up", link->check->address);
        server_side_close(link);
        sim_link_free(link);
        sim_turn_end(host);
    } else {
        sim_link_free(link);
    }
}

void sim_link_server_died(struct sim_link *link)
{
    if (link->server != NULL) {
        sim_check_conn_free(&link->host->check, link->check);
        link->server = NULL; /* the server frees its own side */
        link->check = NULL;
    }
    client_side_close(link);
    sim_link_free(link);
}

/* ---- Up ---- */

void sim_link_send(struct sim_link *link, struct mk_bytes frame)
{
    mk_buf_append_bytes(&link->up, frame);
    event_soon(link, &link->up_event);
}

/* Move some of what is under way; seldom not all of it. */
static void move_bytes(struct sim_run *run, struct mk_buf *from, struct mk_buf *to)
{
    size_t len = sim_one_in(run, 6) ? sim_below(run, from->len + 1) : from->len;

    if (len == 0) {
        return;
    }
    mk_buf_append(to, from->data, len);
    from->len -= len;
    memmove(from->data, from->data + len, from->len);
}

/* The first whole frame of `bytes`, without its length. */
static bool frame_of(const struct mk_buf *bytes, struct mk_bytes *frame)
{
    if (bytes->len < 4 || mk_load_u32(bytes->data) > bytes->len - 4) {
        return false;
    }
    *frame = mk_bytes_of(bytes->data + 4, mk_load_u32(bytes->data));
    return true;
}

static void consume(struct mk_buf *bytes, size_t len)
{
    bytes->len -= len;
    memmove(bytes->data, bytes->data + len, bytes->len);
}

static void feed_server(struct sim_link *link)
{
    struct sim_run *run = link->run;
    struct sim_host *host = link->host;
    struct mk_bytes frame;

    while (sim_check_ok(&host->check) && !server_conn_paused(link->server) &&
           frame_of(&link->arrived, &frame)) {
        if (!server_conn_closing(link->server)) {
            sim_check_frame(&host->check, link->check, frame);
            server_conn_frame(host->machine.server, link->server, sim_sabotage_frame(run, frame));
            sim_turn_check(host);
        }
        consume(&link->arrived, 4 + frame.len);
    }
}

static void up_happens(struct sim_run *run, void *owner)
{
    struct sim_link *link = owner;

    if (link->server == NULL) {
        link->up.len = 0;
        return;
    }
    move_bytes(run, &link->up, &link->arrived);
    struct sim_host *host = link->host;
    if (sim_turn_begin(host)) {
        feed_server(link);
        sim_turn_end(host);
    }
    /* The turn may have ended the link: then nobody is left to fire this event, and none is set. */
}

/* ---- Down ---- */

static void take_output(struct sim_link *link)
{
    struct mk_buf *output = server_conn_output(link->server);

    if (output->len > 0) {
        sim_check_taken(link->check, output->len);
        if (link->client != NULL) {
            mk_buf_append_bytes(&link->down, mk_buf_view(output));
        }
        output->len = 0;
    }
    event_soon(link, &link->down_event);
}

void sim_link_dirty(struct sim_link *link)
{
    if (link->up.len > 0 || link->arrived.len > 0) {
        event_soon(link, &link->up_event); /* it may have been paused */
    }
    if (!link->reads_slowly) {
        take_output(link);
    } else if (!sim_event_set(&link->take_event)) {
        sim_event_at(link->run, &link->take_event, (mk_ms)sim_below(link->run, 400));
    }
}

static void take_happens(struct sim_run *run, void *owner)
{
    struct sim_link *link = owner;
    struct sim_host *host = link->host;

    (void)run;
    if (link->server != NULL && sim_turn_begin(host)) {
        take_output(link);
        sim_turn_end(host);
    }
}

/* All that was taken has come through, or nobody is there to take it. */
static void drained(struct sim_link *link)
{
    struct sim_host *host = link->host;

    if (link->server == NULL || !sim_turn_begin(host)) {
        return;
    }
    bool all_taken = server_conn_output(link->server)->len == 0;
    if (all_taken && server_conn_closing(link->server)) {
        server_side_close(link);
        client_side_close(link);
        sim_link_free(link);
    } else if (all_taken) {
        server_conn_drained(host->machine.server, link->server);
        sim_turn_check(host);
    }
    sim_turn_end(host);
}

static void down_happens(struct sim_run *run, void *owner)
{
    struct sim_link *link = owner;
    struct mk_bytes frame;

    move_bytes(run, &link->down, &link->received);
    while (link->client != NULL && frame_of(&link->received, &frame)) {
        link->client->heard_ms = run->now_ms;
        sim_client_frame(link->client, frame);
        consume(&link->received, 4 + frame.len);
    }
    if (link->down.len > 0) {
        event_soon(link, &link->down_event);
    } else {
        drained(link);
    }
}
