/* Servers speak to each other:
 *
 *   elections: a message is handed over at once, to whoever is up
 *   quorum ports: dialled --> a link, two streams of bytes --> one side closes, or is down --> broken
 *
 * What one side wrote before it closed the other side reads; what it wrote before it died is lost. */
#include "testkit/links.h"

/* Two for each pair would do; one that breaks is used again when both sides have let go of it. */
#define LINKS_MAX 64

struct link;
struct end {
    struct link *link;
    int side;
};
struct link {
    struct testkit_member *members[2]; /* who dialled, whom; NULL: it is not used */
    struct server_peer *peers[2];      /* NULL: that side has closed it */
    struct mk_buf wire[2];             /* to that side */
    struct end ends[2];
};

struct testkit_links {
    struct testkit_member *members;
    size_t count;
    struct link links[LINKS_MAX];
};

struct testkit_links *testkit_links_new(struct testkit_member *members, size_t count)
{
    struct testkit_links *links = mk_alloc_zero(1, sizeof(*links));

    links->members = members;
    links->count = count;
    return links;
}

void testkit_links_free(struct testkit_links *links)
{
    mk_free(links);
}

/* ---- One link ---- */

static struct link *link_new(struct testkit_links *links, struct testkit_member *from,
                             struct testkit_member *to)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct link *link = &links->links[i];
        if (link->members[0] == NULL) {
            *link = (struct link){.members = {from, to}, .ends = {{link, 0}, {link, 1}}};
            return link;
        }
    }
    MK_ASSERT(!"a pair has at most a few links");
    return NULL;
}

static void side_close(struct link *link, int side)
{
    struct server_peer *peer = link->peers[side];

    if (peer != NULL) {
        link->peers[side] = NULL;
        server_peer_closed(link->members[side]->server, peer);
    }
}

static void link_break(struct link *link)
{
    for (int side = 0; side < 2; side++) {
        side_close(link, side);
        mk_buf_free(&link->wire[side]);
    }
    link->members[0] = link->members[1] = NULL;
}

static bool wire_step(struct link *link, int side)
{
    struct server_peer *peer = link->peers[side];
    struct mk_buf bytes = link->wire[side];

    if (bytes.len == 0 || peer == NULL || server_peer_paused(peer)) {
        return false;
    }
    link->wire[side] = (struct mk_buf){0};
    server_peer_bytes(link->members[side]->server, peer, mk_buf_view(&bytes));
    mk_buf_free(&bytes);
    return true;
}

static bool link_step(struct link *link)
{
    if (link->members[0] == NULL) {
        return false;
    }
    if (wire_step(link, 0) || wire_step(link, 1)) {
        return true;
    }
    if (link->peers[0] == NULL || link->peers[1] == NULL) {
        link_break(link);
        return true;
    }
    return false;
}

/* ---- Members ---- */

static struct testkit_member *member_of(struct testkit_links *links, int64_t id)
{
    MK_ASSERT(id >= 1 && id <= (int64_t)links->count);
    return &links->members[id - 1];
}

void testkit_links_up(struct testkit_links *links, struct testkit_member *member)
{
    for (size_t i = 0; i < links->count; i++) {
        struct testkit_member *other = &links->members[i];
        if (other != member && other->server != NULL) {
            server_reachable(other->server, member->id, true);
            server_reachable(member->server, other->id, true);
        }
    }
}

void testkit_links_down(struct testkit_links *links, struct testkit_member *member)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct link *link = &links->links[i];
        if (link->members[0] == member || link->members[1] == member) {
            link_break(link);
        }
    }
    for (size_t i = 0; i < links->count; i++) {
        struct testkit_member *other = &links->members[i];
        if (other != member && other->server != NULL) {
            server_reachable(other->server, member->id, false);
        }
    }
}

static bool notify(struct testkit_links *links, struct testkit_member *member)
{
    struct mk_buf message = {0};
    int64_t to;
    bool any = false;

    while (server_notification_take(member->server, &to, &message)) {
        struct testkit_member *other = member_of(links, to);
        any = true;
        if (other->server != NULL) {
            server_notified(other->server, member->id, mk_buf_view(&message));
        }
    }
    mk_buf_free(&message);
    return any;
}

static bool dial(struct testkit_links *links, struct testkit_member *member)
{
    int64_t id;

    if (!server_dial_take(member->server, &id)) {
        return false;
    }
    struct testkit_member *other = member_of(links, id);
    if (other->server == NULL) {
        server_dial_failed(member->server, id);
        return true;
    }
    struct link *link = link_new(links, member, other);
    struct mk_bytes address = MK_BYTES("127.0.0.1");
    link->peers[1] = server_peer_open(other->server, -1, address, &link->ends[1]);
    link->peers[0] = server_peer_open(member->server, id, address, &link->ends[0]);
    return true;
}

static bool write_out(struct testkit_member *member)
{
    struct server_peer *peer;
    bool any = false;

    while ((peer = server_next_dirty_peer(member->server)) != NULL) {
        struct end *end = server_peer_owner(peer);
        struct mk_buf *output = server_peer_output(peer);
        any = true;
        mk_buf_append_bytes(&end->link->wire[1 - end->side], mk_buf_view(output));
        output->len = 0;
        if (server_peer_closing(peer)) {
            side_close(end->link, end->side);
        } else {
            server_peer_drained(member->server, peer);
        }
    }
    return any;
}

bool testkit_links_step(struct testkit_links *links)
{
    bool any = false;

    for (size_t i = 0; i < links->count; i++) {
        struct testkit_member *member = &links->members[i];
        if (member->server != NULL) {
            any = write_out(member) || any;
            any = notify(links, member) || any;
            any = dial(links, member) || any;
        }
    }
    for (size_t i = 0; i < LINKS_MAX; i++) {
        any = link_step(&links->links[i]) || any;
    }
    return any;
}
