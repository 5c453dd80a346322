/* Between servers: messages of the election, and connections to the quorum port.
 *
 *   server's output -> coming -> (event) -> the other server        late, in pieces, not while it is cut
 *
 * What is cut is late: TCP sends again. A connection ends when one side closes it and the other has read
 * what came before; or breaks, and what was under way is lost; or its host dies, which the other side learns
 * at once, or when the host is back. Of the election only the newest message matters, and it is sent again
 * whenever two servers have found each other again. */
#include "sim/run.h"

#include <string.h>

#define LATENCY_MAX_MS 4

bool sim_cut(const struct sim_host *from, const struct sim_host *to)
{
    return from->run->now_ms < from->run->cut_until_ms[from->number][to->number];
}

static mk_ms cut_ms(const struct sim_host *from, const struct sim_host *to)
{
    return from->run->cut_until_ms[from->number][to->number] - from->run->now_ms;
}

static mk_ms latency(struct sim_run *run, mk_ms stalled_until_ms)
{
    mk_ms delay_ms = (mk_ms)sim_below(run, LATENCY_MAX_MS);
    mk_ms stalled_ms = stalled_until_ms - run->now_ms;

    return stalled_ms > delay_ms ? stalled_ms : delay_ms;
}

/* ---- The election ---- */

static void mail_happens(struct sim_run *run, void *owner)
{
    struct sim_mail *mail = owner;

    if (!mail->pending) {
        return;
    }
    if (sim_cut(mail->from, mail->to)) {
        sim_event_at(run, &mail->event, cut_ms(mail->from, mail->to));
        return;
    }
    if (!sim_turn_begin(mail->to)) {
        return; /* until it is up: sim_wires_boot() */
    }
    mail->pending = false;
    server_notified(mail->to->machine.server, mail->from->number + 1, mk_buf_view(&mail->newest));
    sim_turn_check(mail->to);
    sim_turn_end(mail->to);
}

void sim_mail_init(struct sim_mail *mail, struct sim_host *from, struct sim_host *to)
{
    *mail = (struct sim_mail){.from = from, .to = to};
    mail->event = (struct sim_event){.happen = mail_happens, .owner = mail, .host = to};
}

void sim_mail_again(struct sim_mail *mail)
{
    if (mail->newest.len > 0) {
        mail->pending = true;
        if (!sim_event_set(&mail->event)) {
            sim_event_at(mail->from->run, &mail->event, latency(mail->from->run, 0));
        }
    }
}

void sim_mail_send(struct sim_mail *mail, struct mk_bytes message)
{
    mail->newest.len = 0;
    mk_buf_append_bytes(&mail->newest, message);
    sim_mail_again(mail);
}

/* ---- Connections ---- */

static struct sim_wire_end *other_end(struct sim_wire_end *end)
{
    return &end->wire->ends[end == &end->wire->ends[0] ? 1 : 0];
}

static void wire_free(struct sim_run *run, struct sim_wire *wire)
{
    for (int i = 0; i < 2; i++) {
        sim_event_cancel(run, &wire->ends[i].event);
        mk_buf_free(&wire->ends[i].coming);
    }
    mk_list_remove(&wire->in_run);
    mk_free(wire);
}

static void end_soon(struct sim_wire_end *end)
{
    if (!sim_event_set(&end->event)) {
        struct sim_run *run = end->host->run;
        sim_event_at(run, &end->event, latency(run, end->wire->stalled_until_ms));
    }
}

/* This side is closed, or gone; the other one is to learn of it. */
static void end_closes(struct sim_wire_end *end)
{
    struct sim_wire_end *other = other_end(end);

    end->peer = NULL;
    end->accepts = false;
    end->coming.len = 0;
    other->shut = true;
    end_soon(other);
}

static bool wire_is_over(const struct sim_wire *wire)
{
    return wire->ends[0].peer == NULL && wire->ends[1].peer == NULL && !wire->ends[1].accepts;
}

/* Of what is coming, seldom not all. */
static void end_feed(struct sim_wire_end *end)
{
    struct sim_host *host = end->host;
    struct mk_buf *coming = &end->coming;
    size_t len = sim_one_in(host->run, 6) ? sim_below(host->run, coming->len + 1) : coming->len;
    struct mk_buf bytes = {0};

    mk_buf_append(&bytes, coming->data, len);
    memmove(coming->data, coming->data + len, coming->len - len);
    coming->len -= len;
    server_peer_bytes(host->machine.server, end->peer, mk_buf_view(&bytes));
    mk_buf_free(&bytes);
    sim_turn_check(host);
}

static void end_accept(struct sim_wire_end *end)
{
    end->accepts = false;
    end->peer = server_peer_open(end->host->machine.server, -1, MK_BYTES("10.1.0.1"), end);
    if (end->peer == NULL) {
        end_closes(end);
    }
    sim_turn_check(end->host);
}

static void end_work(struct sim_wire_end *end)
{
    struct server *server = end->host->machine.server;

    if (end->accepts) {
        end_accept(end);
    }
    if (end->peer != NULL && end->coming.len > 0 && !server_peer_paused(end->peer)) {
        end_feed(end);
    }
    if (end->peer != NULL && end->coming.len > 0 && !server_peer_paused(end->peer)) {
        end_soon(end);
    }
    if (end->peer != NULL && end->coming.len == 0 && end->shut) {
        struct server_peer *peer = end->peer;
        end->peer = NULL;
        server_peer_closed(server, peer);
        sim_turn_check(end->host);
    }
}

static void end_happens(struct sim_run *run, void *owner)
{
    struct sim_wire_end *end = owner;
    struct sim_wire_end *other = other_end(end);
    struct sim_host *host = end->host;

    if (sim_cut(other->host, host)) {
        sim_event_at(run, &end->event, cut_ms(other->host, host));
        return;
    }
    if (sim_turn_begin(host)) {
        end_work(end);
        sim_turn_end(host); /* in which this end may be closed, and the wire be over */
    }
}

static struct sim_wire *wire_new(struct sim_host *from, struct sim_host *to)
{
    struct sim_wire *wire = mk_alloc_zero(1, sizeof(*wire));
    struct sim_host *hosts[] = {from, to};

    for (int i = 0; i < 2; i++) {
        struct sim_wire_end *end = &wire->ends[i];
        end->wire = wire;
        end->host = hosts[i];
        end->event = (struct sim_event){.happen = end_happens, .owner = end, .host = hosts[i]};
    }
    mk_list_append(&from->run->wires, &wire->in_run);
    return wire;
}

void sim_wire_dial(struct sim_host *from, struct sim_host *to)
{
    struct sim_wire *wire = wire_new(from, to);
    struct sim_wire_end *end = &wire->ends[0];

    end->peer = server_peer_open(from->machine.server, to->number + 1, MK_BYTES("10.1.0.2"), end);
    if (end->peer == NULL) {
        wire_free(from->run, wire);
        return;
    }
    wire->ends[1].accepts = true;
    end_soon(&wire->ends[1]);
}

/* ---- What a server sends ---- */

static void end_send(struct sim_wire_end *end)
{
    struct server *server = end->host->machine.server;
    struct mk_buf *output = server_peer_output(end->peer);
    struct sim_wire_end *other = other_end(end);

    if (output->len > 0 && !end->wire->broken && (other->peer != NULL || other->accepts)) {
        sim_sabotage_packets(end->host->run, output);
        mk_buf_append_bytes(&other->coming, mk_buf_view(output));
        end_soon(other);
    }
    output->len = 0;
    if (server_peer_closing(end->peer)) {
        struct server_peer *peer = end->peer;
        end_closes(end);
        server_peer_closed(server, peer);
    } else {
        server_peer_drained(server, end->peer);
    }
    sim_turn_check(end->host);
}

/* Those whose peers have stopped reading may go on; those that nobody has any more go. */
static void wires_look(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct mk_link *link = run->wires.next;

    while (link != &run->wires) {
        struct sim_wire *wire = MK_CONTAINER(link, struct sim_wire, in_run);
        link = link->next;
        for (int i = 0; i < 2; i++) {
            struct sim_wire_end *end = &wire->ends[i];
            if (end->host == host && end->peer != NULL && end->coming.len > 0 &&
                !server_peer_paused(end->peer)) {
                end_soon(end);
            }
        }
        if (wire_is_over(wire)) {
            wire_free(run, wire);
        }
    }
}

void sim_wires_turn(struct sim_host *host)
{
    struct server_peer *peer;

    while (sim_check_ok(&host->check) &&
           (peer = server_next_dirty_peer(host->machine.server)) != NULL) {
        end_send(server_peer_owner(peer));
    }
    wires_look(host);
}

/* ---- Ends ---- */

/* The other side learns of it now; or when the host is up again, if it has not given up before. */
void sim_wires_crash(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct mk_link *link = run->wires.next;
    bool seen = sim_one_in(run, 2);

    for (int i = 0; i < run->hosts_count; i++) {
        host->member.mails[i].pending = false;
        host->member.mails[i].newest.len = 0;
    }
    while (link != &run->wires) {
        struct sim_wire *wire = MK_CONTAINER(link, struct sim_wire, in_run);
        link = link->next;
        for (int i = 0; i < 2; i++) {
            struct sim_wire_end *end = &wire->ends[i];
            if (end->host != host) {
                continue;
            }
            end->peer = NULL;
            end->accepts = false;
            end->coming.len = 0;
            if (seen) {
                end_closes(end);
            }
        }
        if (wire_is_over(wire)) {
            wire_free(run, wire);
        }
    }
}

void sim_wires_boot(struct sim_host *host)
{
    struct sim_run *run = host->run;

    for (struct mk_link *link = run->wires.next; link != &run->wires; link = link->next) {
        struct sim_wire *wire = MK_CONTAINER(link, struct sim_wire, in_run);
        for (int i = 0; i < 2; i++) {
            if (wire->ends[i].host == host && wire->ends[i].peer == NULL) {
                end_closes(&wire->ends[i]);
            }
        }
    }
    for (int i = 0; i < run->hosts_count; i++) {
        sim_mail_again(&run->hosts[i].member.mails[host->number]);
    }
}

void sim_wire_break(struct sim_wire *wire)
{
    wire->broken = true;
    for (int i = 0; i < 2; i++) {
        struct sim_wire_end *end = &wire->ends[i];
        if (sim_one_in(end->host->run, 2)) {
            end->coming.len = sim_below(end->host->run, end->coming.len + 1);
        }
        end->shut = true;
        end_soon(end);
    }
}

void sim_wires_free(struct sim_run *run)
{
    while (!mk_list_empty(&run->wires)) {
        wire_free(run, MK_CONTAINER(run->wires.next, struct sim_wire, in_run));
    }
}
