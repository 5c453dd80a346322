/* Which calls wait, for what, since when, behind whom: a page of them, as JSON.
 *
 *   {"calls":[{"call":"/zookeeper/calls/lock.acquire-…","operation":"lock.acquire","session":"…","since":…,
 *              "timeout_at":…,"runs":2,"waits":[{"deleted":"/l/lock-0000000000","owner":"…","call":"…"}],
 *              "runs_again_at":…}],
 *    "after":…}
 *
 * "after" is there if there may be more. Everybody sees the calls of their session, and those that somebody
 * made whom they have proved to be; who may deploy recipes sees all. Source: design, section 6.4. */
#include <string.h>

#include "server/internal.h"

/* One page is one turn of the loop: a few milliseconds at the most. */
#define PAGE_CALLS_MAX 100
#define PAGE_RECORDS_MAX 1000 /* looked at, most of which may be somebody else's */
#define OWNERS_CALLS_MAX 16   /* looked at, to find the one that made a znode */

#define NUMBER_DIGITS 16
#define RECORD_NAME_BYTES (1 + NUMBER_DIGITS)

struct page {
    struct server *server;
    struct store_view *view;
    const struct server_conn *conn;
    struct mk_bytes identities;
    bool all; /* the caller may know of every call */
    int32_t limit;
    int32_t count;
    struct mk_buf out;
};

/* ---- Numbers of calls, a handful at a time: the store may not be called while it visits ---- */

struct numbers {
    mk_zxid list[64];
    size_t count;
    bool done; /* there are no more */
};

/* Records have names of a dot and digits, which no other child of TREE_CALLS_PATH comes before. */
static bool number_visit(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct numbers *numbers = context;
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    mk_zxid number = 0;

    (void)czxid;
    (void)position;
    if (name.len == RECORD_NAME_BYTES) {
        tree_call_record_path(path, 0);
        memcpy(path + sizeof(path) - RECORD_NAME_BYTES, name.data, RECORD_NAME_BYTES);
        number = tree_call_of_path(mk_bytes_of(path, sizeof(path)));
    }
    if (number == 0) {
        numbers->done = true;
        return false;
    }
    numbers->list[numbers->count++] = number;
    return numbers->count < MK_COUNT(numbers->list);
}

static enum mk_status numbers_read(struct page *page, mk_zxid after, struct numbers *numbers)
{
    uint8_t from[TREE_CALL_RECORD_PATH_BYTES];

    tree_call_record_path(from, after);
    struct store_children query = {
        .path = MK_BYTES(TREE_CALLS_PATH),
        .from = mk_bytes_of(from + sizeof(from) - RECORD_NAME_BYTES, RECORD_NAME_BYTES)};
    numbers->count = 0;
    enum mk_status status = store_children_each(page->view, &query, number_visit, numbers);
    numbers->done = numbers->done || numbers->count < MK_COUNT(numbers->list);
    return status;
}

/* ---- One record ---- */

/* `*call` borrows from `copy`. MK_NO_NODE: it is no call that waits. */
static enum mk_status call_read(struct page *page, mk_zxid number, struct mk_buf *copy,
                                struct tree_call *call)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    struct store_znode record;

    tree_call_record_path(path, number);
    enum mk_status status =
        store_znode_read(page->view, mk_bytes_of(path, sizeof(path)), true, &record);
    if (status != MK_OK) {
        return status;
    }
    copy->len = 0;
    mk_buf_append_bytes(copy, record.data);
    bool waits = tree_call_decode(mk_buf_view(copy), call) == MK_OK && call->operation.len > 0;
    return waits ? MK_OK : MK_NO_NODE;
}

static bool may_see(const struct page *page, const struct tree_call *call)
{
    return page->all || call->session == page->conn->session_id ||
           tree_identities_share(page->identities, call->identities);
}

static bool made(const struct tree_call *call, struct mk_bytes path)
{
    for (int32_t i = 0; i < call->created_count; i++) {
        if (mk_bytes_equal(call->created[i].path, path)) {
            return true;
        }
    }
    return false;
}

struct gathering {
    mk_zxid list[OWNERS_CALLS_MAX];
    size_t count;
};

static bool gather(void *context, mk_zxid call)
{
    struct gathering *gathering = context;

    gathering->list[gathering->count++] = call;
    return gathering->count < MK_COUNT(gathering->list);
}

/* The call of `session` that made `path` and waits itself, if the caller may know of it: `,"call":…`. */
static enum mk_status put_maker(struct page *page, mk_session session, struct mk_bytes path)
{
    struct gathering gathering = {.count = 0};
    struct mk_buf copy = {0};
    struct tree_call call;
    enum mk_status status = store_session_calls_each(page->view, session, gather, &gathering);

    for (size_t i = 0; status == MK_OK && i < gathering.count; i++) {
        status = call_read(page, gathering.list[i], &copy, &call);
        if (status == MK_OK && made(&call, path) && may_see(page, &call)) {
            mk_buf_append_bytes(&page->out, MK_BYTES(",\"call\":"));
            recipe_json_string(&page->out, call.node_path);
            break;
        }
        status = status == MK_NO_NODE ? MK_OK : status;
    }
    mk_buf_free(&copy);
    return status;
}

/* ---- As JSON ---- */

static const char *wait_word(enum tree_wait_kind kind)
{
    switch (kind) {
    case TREE_WAIT_CREATED: return "created";
    case TREE_WAIT_DELETED: return "deleted";
    case TREE_WAIT_CHANGED: return "changed";
    case TREE_WAIT_CHILDREN:
    case TREE_WAIT_CHILDREN_ALL: return "children";
    }
    MK_ASSERT(false); /* tree_call_decode() has been here */
    return "";
}

/* Whose the awaited znode is, as any client that may read it could find out. */
static enum mk_status put_owner(struct page *page, struct mk_bytes path)
{
    struct store_znode znode;
    enum mk_status status = store_znode_read(page->view, path, false, &znode);

    if (status == MK_OK) {
        status = tree_acl_check(&page->server->options.acl, znode.acl, TREE_READ, page->identities);
    }
    mk_session owner =
        status == MK_OK ? tree_owner_session(znode.stat.owner, page->server->options.extended_types)
                        : 0;
    if (owner != 0) {
        mk_buf_printf(&page->out, ",\"owner\":\"%016llx\"", (unsigned long long)owner);
        status = put_maker(page, owner, path);
    }
    return status == MK_NO_NODE || status == MK_NO_AUTH ? MK_OK : status;
}

static enum mk_status put_waits(struct page *page, const struct tree_call *call)
{
    enum mk_status status = MK_OK;

    mk_buf_append_bytes(&page->out, MK_BYTES(",\"waits\":["));
    for (int32_t i = 0; status == MK_OK && i < call->waits_count; i++) {
        mk_buf_printf(&page->out, "%s{\"%s\":", i > 0 ? "," : "", wait_word(call->waits[i].kind));
        recipe_json_string(&page->out, call->waits[i].path);
        status = put_owner(page, call->waits[i].path);
        mk_buf_put_u8(&page->out, '}');
    }
    mk_buf_put_u8(&page->out, ']');
    return status;
}

static enum mk_status put_call(struct page *page, const struct tree_call *call)
{
    struct mk_buf *out = &page->out;

    mk_buf_append_bytes(out, page->count > 0 ? MK_BYTES(",{\"call\":") : MK_BYTES("{\"call\":"));
    recipe_json_string(out, call->node_path);
    mk_buf_append_bytes(out, MK_BYTES(",\"operation\":"));
    recipe_json_string(out, call->operation);
    mk_buf_printf(out, ",\"session\":\"%016llx\",\"since\":%lld,\"runs\":%d",
                  (unsigned long long)call->session, (long long)call->made_ms, call->wakes + 1);
    if (call->deadline_ms > 0) {
        mk_buf_printf(out, ",\"timeout_at\":%lld", (long long)call->deadline_ms);
    }
    if (call->wake_at_ms > 0) {
        mk_buf_printf(out, ",\"runs_again_at\":%lld", (long long)call->wake_at_ms);
    }
    enum mk_status status = put_waits(page, call);
    mk_buf_put_u8(out, '}');
    page->count++;
    return status;
}

/* ---- A page ---- */

static enum mk_status rights_look(struct page *page)
{
    struct store_znode recipes;

    page->all = tree_identities_super(page->identities);
    if (page->all) {
        return MK_OK;
    }
    enum mk_status status =
        store_znode_read(page->view, MK_BYTES(TREE_RECIPES_PATH), false, &recipes);
    if (status == MK_OK) {
        status =
            tree_acl_check(&page->server->options.acl, recipes.acl, TREE_WRITE, page->identities);
        page->all = status == MK_OK;
    }
    return status == MK_NO_NODE || status == MK_NO_AUTH ? MK_OK : status;
}

/* *after: the last call that was looked at; 0: there are no more. */
static enum mk_status calls_put(struct page *page, mk_zxid *after)
{
    struct numbers numbers = {.done = false};
    struct mk_buf copy = {0};
    struct tree_call call;
    int32_t seen = 0;
    enum mk_status status = MK_OK;

    while (status == MK_OK && !numbers.done) {
        status = numbers_read(page, *after, &numbers);
        for (size_t i = 0; status == MK_OK && i < numbers.count; i++) {
            if (page->count == page->limit || seen == PAGE_RECORDS_MAX) {
                mk_buf_free(&copy);
                return MK_OK;
            }
            *after = numbers.list[i];
            seen++;
            status = call_read(page, *after, &copy, &call);
            if (status == MK_OK && may_see(page, &call)) {
                status = put_call(page, &call);
            }
            status = status == MK_NO_NODE ? MK_OK : status;
        }
    }
    *after = 0;
    mk_buf_free(&copy);
    return status;
}

enum mk_status server_calls_list(struct server *server, struct server_conn *conn,
                                 const struct jute_request *request, struct mk_bytes identities)
{
    bool limited = request->flags > 0 && request->flags < PAGE_CALLS_MAX;
    struct page page = {
        .server = server,
        .view = store_committed(server->store),
        .conn = conn,
        .identities = identities,
        .limit = limited ? request->flags : PAGE_CALLS_MAX,
    };
    mk_zxid after = request->call_id;

    if (after < 0 || request->flags < 0) {
        return MK_BAD_ARGUMENTS;
    }
    enum mk_status status = rights_look(&page);
    mk_buf_append_bytes(&page.out, MK_BYTES("{\"calls\":["));
    if (status == MK_OK) {
        status = calls_put(&page, &after);
    }
    mk_buf_put_u8(&page.out, ']');
    if (after > 0) {
        mk_buf_printf(&page.out, ",\"after\":%lld", (long long)after);
    }
    mk_buf_put_u8(&page.out, '}');
    if (status == MK_OK) {
        size_t frame =
            server_reply_begin(server, conn, request->xid, store_applied(server->store), 0);
        mk_buf_put_field(&conn->out, mk_buf_view(&page.out));
        server_reply_end(server, conn, frame);
    }
    mk_buf_free(&page.out);
    return status;
}
