/* Answers to results. A server is believed nothing: a count that what is left cannot hold, a path that
 * does not lie below the chroot, an operation's result in the place of another's make an answer that
 * is none. */
#include "client/codec.h"
#include "client/servers.h"

#include <string.h>

#define NAME_BYTES_MIN 4     /* i32 length */
#define ACL_BYTES_MIN 12     /* i32 permissions, scheme, id */
#define IDENTITY_BYTES_MIN 8 /* scheme, id */

struct decoding {
    struct mk_reader reader;
    struct mk_arena *arena;
    struct mk_bytes chroot;
};

/* ---- Parts ---- */

char *client_text_copy(struct mk_arena *arena, struct mk_bytes text)
{
    char *copy = mk_arena_alloc(arena, text.len + 1);

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

/* NULL if the reader has failed, or if it is null or holds a NUL, which fails it. */
static const char *string_read(struct mk_reader *reader, struct mk_arena *arena)
{
    struct mk_bytes text = mk_read_field(reader);

    if (text.data == NULL || memchr(text.data, '\0', text.len) != NULL) {
        reader->failed = true;
        return NULL;
    }
    return client_text_copy(arena, text);
}

static const char *path_read(struct decoding *decoding)
{
    struct mk_bytes path = mk_read_field(&decoding->reader);

    if (path.data == NULL || memchr(path.data, '\0', path.len) != NULL ||
        !client_chroot_strip(decoding->chroot, &path)) {
        decoding->reader.failed = true;
        return NULL;
    }
    return client_text_copy(decoding->arena, path);
}

static void data_read(struct decoding *decoding, struct moonkeeper_result *out)
{
    struct mk_bytes data = mk_read_field(&decoding->reader);

    if (data.data != NULL) {
        out->data = client_text_copy(decoding->arena, data);
        out->data_bytes = data.len;
    }
}

static void stat_read(struct decoding *decoding, struct moonkeeper_result *out)
{
    struct jute_stat stat = jute_read_stat(&decoding->reader);

    out->has_stat = true;
    out->stat = (struct moonkeeper_stat){
        .czxid = stat.czxid,
        .mzxid = stat.mzxid,
        .pzxid = stat.pzxid,
        .ctime_ms = stat.ctime_ms,
        .mtime_ms = stat.mtime_ms,
        .version = stat.version,
        .cversion = stat.cversion,
        .aversion = stat.aversion,
        .ephemeral_owner = stat.ephemeral_owner,
        .data_length = stat.data_length,
        .children_count = stat.children_count,
    };
}

/* A vector's count; null counts 0. */
static size_t count_read(struct mk_reader *reader, size_t entry_bytes_min)
{
    int32_t count = mk_read_i32(reader);

    if (count < -1 || (count > 0 && (size_t)count > mk_reader_left(reader) / entry_bytes_min)) {
        reader->failed = true;
    }
    return reader->failed || count < 0 ? 0 : (size_t)count;
}

static void names_read(struct decoding *decoding, bool paths, struct moonkeeper_result *out)
{
    size_t count = count_read(&decoding->reader, NAME_BYTES_MIN);
    const char **names = mk_arena_alloc(decoding->arena, (count + 1) * sizeof(*names));

    for (size_t i = 0; i < count && !decoding->reader.failed; i++) {
        names[i] = paths ? path_read(decoding) : string_read(&decoding->reader, decoding->arena);
    }
    out->names = names;
    out->names_count = count;
}

static void acls_read(struct decoding *decoding, struct moonkeeper_result *out)
{
    size_t count = count_read(&decoding->reader, ACL_BYTES_MIN);
    struct moonkeeper_acl *acls = mk_arena_alloc(decoding->arena, (count + 1) * sizeof(*acls));

    for (size_t i = 0; i < count && !decoding->reader.failed; i++) {
        acls[i].permissions = mk_read_i32(&decoding->reader);
        acls[i].scheme = string_read(&decoding->reader, decoding->arena);
        acls[i].id = string_read(&decoding->reader, decoding->arena);
    }
    out->acls = acls;
    out->acls_count = count;
}

static void identities_read(struct decoding *decoding, struct moonkeeper_result *out)
{
    size_t count = count_read(&decoding->reader, IDENTITY_BYTES_MIN);
    struct moonkeeper_identity *identities =
        mk_arena_alloc(decoding->arena, (count + 1) * sizeof(*identities));

    for (size_t i = 0; i < count && !decoding->reader.failed; i++) {
        identities[i].scheme = string_read(&decoding->reader, decoding->arena);
        identities[i].id = string_read(&decoding->reader, decoding->arena);
    }
    out->identities = identities;
    out->identities_count = count;
}

/* string error, string message, buffer result. */
static void call_read(struct decoding *decoding, struct moonkeeper_result *out)
{
    struct mk_bytes error = mk_read_field(&decoding->reader);
    struct mk_bytes message = mk_read_field(&decoding->reader);

    data_read(decoding, out);
    if (error.data != NULL) {
        out->error = MOONKEEPER_CALL_FAILED;
        out->call_error = client_text_copy(decoding->arena, error);
        out->call_message = client_text_copy(decoding->arena, message);
    }
}

/* ---- Multis ---- */

/* Whether a result of this type may answer this operation. */
static bool type_answers(int32_t type, enum moonkeeper_op op)
{
    switch (op) {
    case MOONKEEPER_CREATE: return type == JUTE_CREATE || type == JUTE_CREATE2;
    case MOONKEEPER_DELETE: return type == JUTE_DELETE;
    case MOONKEEPER_SET: return type == JUTE_SET_DATA;
    case MOONKEEPER_CHECK: return type == JUTE_CHECK;
    case MOONKEEPER_GET: return type == JUTE_GET_DATA;
    case MOONKEEPER_CHILDREN: return type == JUTE_GET_CHILDREN;
    default: return false;
    }
}

static void part_read(struct decoding *decoding, int32_t type, struct moonkeeper_result *out)
{
    switch (type) {
    case JUTE_CREATE: out->path = path_read(decoding); break; /* ZooKeeper 3.8.0: without Stat */
    case JUTE_CREATE2:
        out->path = path_read(decoding);
        stat_read(decoding, out);
        break;
    case JUTE_SET_DATA: stat_read(decoding, out); break;
    case JUTE_GET_DATA:
        data_read(decoding, out);
        stat_read(decoding, out);
        break;
    case JUTE_GET_CHILDREN: names_read(decoding, false, out); break;
    default: break; /* DELETE, CHECK */
    }
}

/* The header of one result: false at the end of the list. */
static bool part_header_read(struct mk_reader *reader, int32_t *type, int32_t *error)
{
    *type = mk_read_i32(reader);
    bool done = mk_read_u8(reader) != 0;
    *error = mk_read_i32(reader);
    return !done && !reader->failed;
}

/* Of a multi the error is that of the operation that failed; those before it say 0. */
static void part_error_read(struct decoding *decoding, enum moonkeeper_op multi,
                            struct moonkeeper_result *part, struct moonkeeper_result *whole)
{
    part->error = mk_read_i32(&decoding->reader);
    if (multi == MOONKEEPER_MULTI && whole->error == 0) {
        whole->error = part->error;
    }
}

static void multi_read(struct decoding *decoding, const struct client_asked *asked,
                       struct moonkeeper_result *out)
{
    struct mk_reader *reader = &decoding->reader;
    struct moonkeeper_result *results =
        mk_arena_alloc(decoding->arena, (asked->multi.len + 1) * sizeof(*results));
    int32_t type;
    int32_t error;
    size_t count = 0;

    while (part_header_read(reader, &type, &error) && count < asked->multi.len) {
        struct moonkeeper_result *part = &results[count];
        *part = (struct moonkeeper_result){.error = error, .zxid = out->zxid};
        if (type == -1) {
            part_error_read(decoding, asked->op, part, out);
        } else if (type_answers(type, (enum moonkeeper_op)asked->multi.data[count])) {
            part_read(decoding, type, part);
        } else {
            reader->failed = true;
        }
        count++;
    }
    if (type != -1 || count != asked->multi.len) {
        reader->failed = true;
    }
    out->results = results;
    out->results_count = count;
}

/* ---- Whole answers ---- */

static void body_read(struct decoding *decoding, const struct client_asked *asked,
                      struct moonkeeper_result *out)
{
    switch (asked->op) {
    case MOONKEEPER_CREATE:
        out->path = path_read(decoding);
        stat_read(decoding, out);
        break;
    case MOONKEEPER_EXISTS:
    case MOONKEEPER_SET:
    case MOONKEEPER_SET_ACL: stat_read(decoding, out); break;
    case MOONKEEPER_GET:
    case MOONKEEPER_GET_CONFIG:
    case MOONKEEPER_RECONFIG:
        data_read(decoding, out);
        stat_read(decoding, out);
        break;
    case MOONKEEPER_GET_ACL:
        acls_read(decoding, out);
        stat_read(decoding, out);
        break;
    case MOONKEEPER_CHILDREN: names_read(decoding, false, out); break;
    case MOONKEEPER_CHILDREN2:
        names_read(decoding, false, out);
        stat_read(decoding, out);
        break;
    case MOONKEEPER_SYNC: out->path = path_read(decoding); break;
    case MOONKEEPER_MULTI:
    case MOONKEEPER_MULTI_READ: multi_read(decoding, asked, out); break;
    case MOONKEEPER_GET_EPHEMERALS: names_read(decoding, true, out); break;
    case MOONKEEPER_GET_ALL_CHILDREN_NUMBER: out->number = mk_read_i32(&decoding->reader); break;
    case MOONKEEPER_ADD_WATCH: out->error = mk_read_i32(&decoding->reader); break;
    case MOONKEEPER_WHO_AM_I: identities_read(decoding, out); break;
    case MOONKEEPER_CALL: call_read(decoding, out); break;
    case MOONKEEPER_CALLS: data_read(decoding, out); break;
    case MOONKEEPER_DELETE:
    case MOONKEEPER_CHECK:
    case MOONKEEPER_REMOVE_WATCHES:
    case MOONKEEPER_AUTH: break;
    }
}

bool client_result_decode(const struct client_asked *asked, const struct jute_reply *reply,
                          struct mk_bytes chroot, struct mk_arena *arena,
                          struct moonkeeper_result *out)
{
    struct decoding decoding = {
        .reader = mk_reader_of(reply->body), .arena = arena, .chroot = chroot};

    *out = (struct moonkeeper_result){.error = reply->error, .zxid = reply->zxid};
    if (reply->error != 0) {
        return true; /* whatever follows an error, clients ignore it */
    }
    body_read(&decoding, asked, out);
    if (decoding.reader.failed) {
        *out = (struct moonkeeper_result){.zxid = reply->zxid};
        return false;
    }
    return true;
}
