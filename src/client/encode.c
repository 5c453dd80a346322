/* A request as the caller has filled it in to a frame. What only the server can judge is left to it: the
 * characters of a path, modes of watches, ACLs. */
#include "client/codec.h"
#include "client/servers.h"

#include <string.h>

#define CONFIG_PATH "/zookeeper/config"

static bool path_good(const char *path)
{
    return path != NULL && path[0] == '/';
}

static bool op_has_path(enum moonkeeper_op op)
{
    switch (op) {
    case MOONKEEPER_CREATE:
    case MOONKEEPER_DELETE:
    case MOONKEEPER_EXISTS:
    case MOONKEEPER_GET:
    case MOONKEEPER_SET:
    case MOONKEEPER_GET_ACL:
    case MOONKEEPER_SET_ACL:
    case MOONKEEPER_CHILDREN:
    case MOONKEEPER_SYNC:
    case MOONKEEPER_CHILDREN2:
    case MOONKEEPER_CHECK:
    case MOONKEEPER_REMOVE_WATCHES:
    case MOONKEEPER_GET_ALL_CHILDREN_NUMBER:
    case MOONKEEPER_ADD_WATCH: return true;
    case MOONKEEPER_MULTI:
    case MOONKEEPER_RECONFIG:
    case MOONKEEPER_MULTI_READ:
    case MOONKEEPER_AUTH:
    case MOONKEEPER_GET_EPHEMERALS:
    case MOONKEEPER_WHO_AM_I:
    case MOONKEEPER_CALL:
    case MOONKEEPER_CALLS:
    case MOONKEEPER_GET_CONFIG: break;
    }
    return false;
}

/* ---- What would be too long: looked at before anything is copied. ---- */

static size_t text_bytes(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

/* Of all that the caller has handed over; saturates. */
static size_t request_bytes(const struct moonkeeper_request *request)
{
    size_t bytes = text_bytes(request->path) + text_bytes(request->scheme) +
                   text_bytes(request->joining) + text_bytes(request->leaving) +
                   text_bytes(request->members) + text_bytes(request->operation);

    for (size_t i = 0; request->acls != NULL && i < request->acls_count; i++) {
        bytes += 12 + text_bytes(request->acls[i].scheme) + text_bytes(request->acls[i].id);
    }
    return request->data_bytes > SIZE_MAX / 2 ? SIZE_MAX / 2 : bytes + request->data_bytes;
}

static bool request_fits(const struct moonkeeper_request *request, size_t bytes_max)
{
    size_t bytes = request_bytes(request);

    for (size_t i = 0; i < request->requests_count && bytes <= bytes_max; i++) {
        bytes += request_bytes(&request->requests[i]);
    }
    return bytes <= bytes_max && bytes <= INT32_MAX / 2;
}

/* ---- One operation ---- */

static struct mk_bytes text_view(const char *text)
{
    return text == NULL ? MK_BYTES_NULL : mk_bytes_text(text);
}

/* Empty is not null: data may point anywhere if there are no bytes. */
static struct mk_bytes data_view(const struct moonkeeper_request *request)
{
    return request->data == NULL ? MK_BYTES_NULL : mk_bytes_of(request->data, request->data_bytes);
}

/* vector<ACL> */
static void acl_put(struct mk_buf *out, const struct moonkeeper_request *request)
{
    if (request->op == MOONKEEPER_CREATE && request->acls_count == 0) {
        mk_buf_put_i32(out, 1);
        mk_buf_put_i32(out, MOONKEEPER_ALL);
        mk_buf_put_field(out, MK_BYTES("world"));
        mk_buf_put_field(out, MK_BYTES("anyone"));
        return;
    }
    mk_buf_put_i32(out, (int32_t)request->acls_count);
    for (size_t i = 0; i < request->acls_count; i++) {
        mk_buf_put_i32(out, request->acls[i].permissions);
        mk_buf_put_field(out, text_view(request->acls[i].scheme));
        mk_buf_put_field(out, text_view(request->acls[i].id));
    }
}

static int32_t create_op(enum moonkeeper_mode mode)
{
    switch (mode) {
    case MOONKEEPER_PERSISTENT:
    case MOONKEEPER_EPHEMERAL:
    case MOONKEEPER_PERSISTENT_SEQUENTIAL:
    case MOONKEEPER_EPHEMERAL_SEQUENTIAL: return JUTE_CREATE2;
    case MOONKEEPER_CONTAINER: return JUTE_CREATE_CONTAINER;
    case MOONKEEPER_PERSISTENT_TTL:
    case MOONKEEPER_PERSISTENT_SEQUENTIAL_TTL: return JUTE_CREATE_TTL;
    }
    return 0;
}

static int32_t wire_op(const struct moonkeeper_request *request)
{
    switch (request->op) {
    case MOONKEEPER_CREATE: return create_op(request->mode);
    case MOONKEEPER_GET_CONFIG: return JUTE_GET_DATA;
    default: return (int32_t)request->op; /* the numbers are the protocol's */
    }
}

static int32_t wire_flags(const struct moonkeeper_request *request)
{
    switch (request->op) {
    case MOONKEEPER_ADD_WATCH: return (int32_t)request->watch_mode;
    case MOONKEEPER_REMOVE_WATCHES: return (int32_t)request->watch_type;
    case MOONKEEPER_CALLS: return request->limit;
    default: return (int32_t)request->mode;
    }
}

/* Borrows from `path` and `acl`, which are empty buffers of the caller's. */
static struct jute_request wire_request(const struct moonkeeper_request *request,
                                        struct mk_bytes chroot, struct mk_buf *path,
                                        struct mk_buf *acl)
{
    bool has_acl = request->op == MOONKEEPER_CREATE || request->op == MOONKEEPER_SET_ACL;

    client_request_path(request, chroot, path);
    if (has_acl) {
        acl_put(acl, request);
    }
    return (struct jute_request){
        .op = wire_op(request),
        .path = path->len > 0 ? mk_buf_view(path) : MK_BYTES_NULL,
        .data = data_view(request),
        .acl = has_acl ? mk_buf_view(acl) : MK_BYTES_NULL,
        .flags = wire_flags(request),
        .version = request->version,
        .ttl_ms = request->ttl_ms,
        .watch = request->watcher != NULL,
        .scheme = text_view(request->scheme),
        .operation = text_view(request->operation),
        .chroot = chroot.len > 0 ? chroot : MK_BYTES_NULL,
        .format = (uint8_t)request->format,
        .dry_run = request->dry_run,
        .linearizable = request->linearizable,
        .call_id = request->after,
    };
}

/* ---- Whole requests ---- */

void client_request_path(const struct moonkeeper_request *request, struct mk_bytes chroot,
                         struct mk_buf *out)
{
    if (request->op == MOONKEEPER_GET_CONFIG) {
        mk_buf_append_bytes(out, MK_BYTES(CONFIG_PATH));
    } else if (request->op == MOONKEEPER_GET_EPHEMERALS) {
        const char *prefix = request->path != NULL ? request->path : "/";
        client_chroot_add(out, chroot, mk_bytes_text(prefix));
    } else if (op_has_path(request->op)) {
        client_chroot_add(out, chroot, mk_bytes_text(request->path));
    }
}

static bool multi_may_hold(enum moonkeeper_op multi, enum moonkeeper_op op)
{
    switch (op) {
    case MOONKEEPER_CREATE:
    case MOONKEEPER_DELETE:
    case MOONKEEPER_SET:
    case MOONKEEPER_CHECK: return multi == MOONKEEPER_MULTI;
    case MOONKEEPER_GET:
    case MOONKEEPER_CHILDREN: return multi == MOONKEEPER_MULTI_READ;
    default: return false;
    }
}

/* What holds for a request, alone or in a multi. */
static bool request_good(const struct moonkeeper_request *request)
{
    bool mode_good = request->op != MOONKEEPER_CREATE || create_op(request->mode) != 0;
    bool lists_good = (request->acls_count == 0 || request->acls != NULL) &&
                      (request->requests_count == 0 || request->requests != NULL);
    bool path_needed = op_has_path(request->op) ||
                       (request->op == MOONKEEPER_GET_EPHEMERALS && request->path != NULL);

    return mode_good && lists_good && (!path_needed || path_good(request->path)) &&
           (request->data != NULL || request->data_bytes == 0) &&
           request->acls_count < INT32_MAX / 12;
}

static bool multi_good(const struct moonkeeper_request *multi)
{
    for (size_t i = 0; i < multi->requests_count; i++) {
        const struct moonkeeper_request *part = &multi->requests[i];
        if (!multi_may_hold(multi->op, part->op) || !request_good(part) || part->watcher != NULL) {
            return false;
        }
    }
    return true;
}

static void multi_encode(const struct moonkeeper_request *multi, struct mk_bytes chroot,
                         struct mk_buf *out)
{
    size_t frame = jute_multi_request_begin(out, 0, (int32_t)multi->op);
    struct mk_buf path = {0};
    struct mk_buf acl = {0};

    for (size_t i = 0; i < multi->requests_count; i++) {
        path.len = 0;
        acl.len = 0;
        struct jute_request part = wire_request(&multi->requests[i], chroot, &path, &acl);
        jute_multi_request_put(out, &part);
    }
    jute_multi_request_end(out, frame);
    mk_buf_free(&path);
    mk_buf_free(&acl);
}

static void reconfig_fill(const struct moonkeeper_request *request, struct jute_request *wire)
{
    wire->joining = text_view(request->joining);
    wire->leaving = text_view(request->leaving);
    wire->data = text_view(request->members);
    wire->relative_zxid = request->config;
}

/* What only some operations need. */
static bool op_good(const struct moonkeeper_request *request)
{
    switch (request->op) {
    case MOONKEEPER_CHECK: return false; /* on its own it exists on no server */
    case MOONKEEPER_ADD_WATCH: return request->watcher != NULL;
    case MOONKEEPER_AUTH: return request->scheme != NULL;
    case MOONKEEPER_CALL:
        return request->operation != NULL && request->format <= MOONKEEPER_MSGPACK &&
               (!request->dry_run ||
                (request->format == MOONKEEPER_JSON && !request->linearizable));
    case MOONKEEPER_CALLS: return request->after >= 0 && request->limit >= 0;
    case MOONKEEPER_GET_EPHEMERALS:
    case MOONKEEPER_MULTI:
    case MOONKEEPER_MULTI_READ:
    case MOONKEEPER_RECONFIG:
    case MOONKEEPER_WHO_AM_I:
    case MOONKEEPER_GET_CONFIG: return true;
    default: return op_has_path(request->op); /* anything else is no operation */
    }
}

int client_request_encode(const struct moonkeeper_request *request, struct mk_bytes chroot,
                          size_t bytes_max, struct mk_buf *out)
{
    bool multi = request->op == MOONKEEPER_MULTI || request->op == MOONKEEPER_MULTI_READ;
    struct mk_buf path = {0};
    struct mk_buf acl = {0};

    if (!op_good(request) || !request_good(request) || (multi && !multi_good(request)) ||
        !request_fits(request, bytes_max)) {
        return MOONKEEPER_BAD_ARGUMENTS;
    }
    if (multi) {
        multi_encode(request, chroot, out);
        return MOONKEEPER_OK;
    }
    struct jute_request wire = wire_request(request, chroot, &path, &acl);
    if (request->op == MOONKEEPER_RECONFIG) {
        reconfig_fill(request, &wire);
    }
    jute_request_encode(out, &wire);
    mk_buf_free(&path);
    mk_buf_free(&acl);
    return MOONKEEPER_OK;
}
