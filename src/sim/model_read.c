/* What a read must answer, from the model as it stands: order of checks as in section 4.2. */
#include <string.h>

#include "sim/model.h"
#include "tree/tree.h"

enum { MARSHALLING = -5, BAD_ARGUMENTS = -8, NO_NODE = -101, NO_AUTH = -102 };

int32_t sim_model_may_see(const struct sim_model *model, const struct sim_who *who,
                          const struct sim_znode *znode)
{
    if (!sim_path_below(znode->path, MK_BYTES(SIM_CALLS_PATH))) {
        return 0;
    }
    for (size_t i = 0; i < who->identities->count; i++) {
        if (strcmp(who->identities->list[i].scheme, "super") == 0) {
            return 0;
        }
    }
    if (znode->path.data[sizeof(SIM_CALLS_PATH)] == '.') {
        return NO_NODE;
    }
    /* One without an owner is of a call that outlives its session: its ACL says whose. */
    return sim_owner_session(model, znode->owner) == who->session || znode->owner == 0 ? 0
                                                                                       : NO_AUTH;
}

static int32_t find_for(const struct sim_model *model, const struct sim_who *who,
                        struct mk_bytes path, int permission, const struct sim_znode **out)
{
    if (path.data == NULL) {
        return MARSHALLING;
    }
    *out = sim_model_find(model, path);
    if (*out == NULL) {
        return NO_NODE;
    }
    int32_t error = sim_model_may_see(model, who, *out);
    if (error == 0 && !sim_acl_permits((*out)->acl, permission, who->identities)) {
        error = NO_AUTH;
    }
    return error;
}

/* ---- Children ---- */

struct names {
    struct mk_buf *out;
    uint32_t count;
};

static void put_name(struct names *names, struct mk_bytes path)
{
    size_t skip = sim_path_parent(path).len;

    skip += skip == 1 ? 0 : 1;
    mk_buf_put_field(names->out, mk_bytes_of(path.data + skip, path.len - skip));
    names->count++;
}

/* Of the calls of `session` that outlive it, the one behind `after` in the order of their ids. */
static bool outliving_next(const struct sim_model *model, mk_session session,
                           const struct tree_call *after, struct tree_call *next)
{
    struct mk_bytes records = MK_BYTES(SIM_CALLS_PATH "/.0");
    bool found = false;

    for (size_t i = sim_model_rank(model, records); i < model->znodes_count; i++) {
        struct tree_call call;
        if (!mk_bytes_starts(model->znodes[i]->path, records)) {
            break;
        }
        if (tree_call_decode(model->znodes[i]->data, &call) != MK_OK || !call.outlives_session ||
            call.session != session || call.node_path.data == NULL) {
            continue;
        }
        /* Records are in the order of their numbers, as are the paths of nodes of one operation. */
        bool behind = after == NULL || call.call_id > after->call_id ||
                      (call.call_id == after->call_id &&
                       mk_bytes_compare(call.node_path, after->node_path) > 0);
        if (behind && (!found || call.call_id < next->call_id)) {
            *next = call;
            found = true;
        }
    }
    return found;
}

/* Everybody sees their own calls: those that end with the session, and then those that do not. */
static void put_calls(const struct sim_model *model, const struct sim_who *who, struct names *names)
{
    struct mk_bytes calls = MK_BYTES(SIM_CALLS_PATH);
    struct tree_call last;
    struct tree_call next;
    bool any = false;

    for (size_t i = sim_model_rank(model, calls); i < model->znodes_count; i++) {
        const struct sim_znode *znode = model->znodes[i];
        if (sim_path_child_of(znode->path, calls) &&
            sim_owner_session(model, znode->owner) == who->session) {
            put_name(names, znode->path);
        }
    }
    while (outliving_next(model, who->session, any ? &last : NULL, &next)) {
        put_name(names, next.node_path);
        last = next;
        any = true;
    }
}

static void put_names(const struct sim_model *model, const struct sim_who *who,
                      const struct sim_znode *parent, struct mk_buf *out)
{
    size_t count_at = out->len;
    struct names names = {.out = out};

    mk_buf_put_i32(out, 0);
    if (mk_bytes_equal(parent->path, MK_BYTES(SIM_CALLS_PATH))) {
        put_calls(model, who, &names);
    } else {
        for (size_t i = sim_model_rank(model, parent->path); i < model->znodes_count; i++) {
            const struct sim_znode *znode = model->znodes[i];
            if (!mk_bytes_starts(znode->path, parent->path)) {
                break;
            }
            if (sim_path_child_of(znode->path, parent->path)) {
                put_name(&names, znode->path);
            }
        }
    }
    mk_store_u32(out->data + count_at, names.count);
}

/* ---- One znode ---- */

static int32_t read_one(const struct sim_model *model, const struct sim_who *who,
                        const struct jute_request *request, struct mk_buf *body)
{
    const struct sim_znode *znode;
    int permission = request->op == JUTE_GET_ACL ? SIM_READ | SIM_ADMIN : SIM_READ;
    int32_t error = find_for(model, who, request->path, permission, &znode);

    if (error != 0) {
        return error;
    }
    switch (request->op) {
    case JUTE_GET_DATA: mk_buf_put_field(body, znode->data); break;
    case JUTE_GET_ACL: sim_acl_serve(znode->acl, who->identities, body); break;
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2: put_names(model, who, znode, body); break;
    default: break;
    }
    if (request->op != JUTE_GET_CHILDREN) {
        sim_put_stat(model, znode, body);
    }
    return 0;
}

static int32_t read_descendants(const struct sim_model *model, const struct sim_who *who,
                                const struct jute_request *request, struct mk_buf *body)
{
    const struct sim_znode *znode;
    int32_t error = find_for(model, who, request->path, SIM_READ, &znode);
    int32_t count = 0;

    for (size_t i = 0; error == 0 && i < model->znodes_count; i++) {
        count += sim_path_below(model->znodes[i]->path, request->path) ? 1 : 0;
    }
    if (error == 0) {
        mk_buf_put_i32(body, count);
    }
    return error;
}

static int32_t read_ephemerals(const struct sim_model *model, const struct sim_who *who,
                               const struct jute_request *request, struct mk_buf *body)
{
    uint32_t count = 0;

    mk_buf_put_i32(body, 0);
    for (size_t i = 0; i < model->znodes_count; i++) {
        const struct sim_znode *znode = model->znodes[i];
        if (sim_owner_session(model, znode->owner) == who->session &&
            (request->path.data == NULL || mk_bytes_starts(znode->path, request->path))) {
            mk_buf_put_field(body, znode->path);
            count++;
        }
    }
    mk_store_u32(body->data, count);
    return 0;
}

static int32_t read_who_am_i(const struct sim_who *who, struct mk_buf *body)
{
    mk_buf_put_i32(body, (int32_t)who->identities->count);
    for (size_t i = 0; i < who->identities->count; i++) {
        const struct sim_identity *identity = &who->identities->list[i];
        const char *colon = strchr(identity->id, ':');
        bool digest = strcmp(identity->scheme, "digest") == 0;
        size_t len = digest ? (size_t)(colon - identity->id) : strlen(identity->id);
        mk_buf_put_field(body, mk_bytes_text(identity->scheme));
        mk_buf_put_field(body, mk_bytes_of(identity->id, len));
    }
    return 0;
}

static int32_t read_multi(const struct sim_model *model, const struct sim_who *who,
                          const struct jute_request *request, struct mk_buf *body)
{
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    struct jute_request operation;
    struct mk_buf one = {0};

    while (jute_multi_next(&cursor, &operation)) {
        one.len = 0;
        int32_t error = read_one(model, who, &operation, &one);
        mk_buf_put_i32(body, error == 0 ? operation.op : -1);
        mk_buf_put_u8(body, 0);
        mk_buf_put_i32(body, error);
        if (error == 0) {
            mk_buf_append_bytes(body, mk_buf_view(&one));
        } else {
            mk_buf_put_i32(body, error);
        }
    }
    mk_buf_put_i32(body, -1);
    mk_buf_put_u8(body, 1);
    mk_buf_put_i32(body, -1);
    mk_buf_free(&one);
    return 0;
}

int32_t sim_model_read(const struct sim_model *model, const struct sim_who *who,
                       const struct jute_request *request, struct mk_buf *body)
{
    switch (request->op) {
    case JUTE_EXISTS:
        if (request->path.data != NULL &&
            memchr(request->path.data, '\0', request->path.len) != NULL) {
            return BAD_ARGUMENTS;
        }
        return read_one(model, who, request, body);
    case JUTE_GET_ALL_CHILDREN_NUMBER: return read_descendants(model, who, request, body);
    case JUTE_GET_EPHEMERALS: return read_ephemerals(model, who, request, body);
    case JUTE_WHO_AM_I: return read_who_am_i(who, body);
    case JUTE_MULTI_READ: return read_multi(model, who, request, body);
    default: return read_one(model, who, request, body);
    }
}
