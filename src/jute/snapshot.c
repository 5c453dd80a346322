/* Snapshots as servers send and store them (zookeeper-quorum.md, section 11):
 *
 *   count, sessions ─▶ count, ACLs ─▶ znodes, the root first ─▶ "/" ─▶ on the wire: "BenWasHere"
 *
 * The reader takes one record at a time from whatever has arrived, so that nobody has to hold a whole
 * one. It checks shapes and bounds; whether a znode's parent came before it, its receiver sees. */
#include "jute/jute.h"
#include "jute/vector.h"

#define STAT_BYTES 60

/* ---- Writing ---- */

void jute_put_snapshot_count(struct mk_buf *out, int32_t count)
{
    MK_ASSERT(count >= 0);
    mk_buf_put_i32(out, count);
}

void jute_put_snapshot_session(struct mk_buf *out, mk_session id, int32_t timeout_ms)
{
    mk_buf_put_i64(out, id);
    mk_buf_put_i32(out, timeout_ms);
}

void jute_put_snapshot_acl(struct mk_buf *out, int64_t id, struct mk_bytes acl)
{
    MK_ASSERT(id > 0 && acl.data != NULL);
    mk_buf_put_i64(out, id);
    jute_acl_put(out, acl);
}

void jute_put_snapshot_znode(struct mk_buf *out, const struct jute_snapshot_znode *znode)
{
    MK_ASSERT(znode->path.data != NULL);
    MK_ASSERT(!mk_bytes_equal(znode->path, MK_BYTES("/"))); /* that would be the end */
    mk_buf_put_field(out, znode->path);
    mk_buf_put_field(out, znode->data);
    mk_buf_put_i64(out, znode->acl);
    mk_buf_put_i64(out, znode->stat.czxid);
    mk_buf_put_i64(out, znode->stat.mzxid);
    mk_buf_put_i64(out, znode->stat.ctime_ms);
    mk_buf_put_i64(out, znode->stat.mtime_ms);
    mk_buf_put_i32(out, znode->stat.version);
    mk_buf_put_i32(out, znode->stat.cversion);
    mk_buf_put_i32(out, znode->stat.aversion);
    mk_buf_put_i64(out, znode->stat.owner);
    mk_buf_put_i64(out, znode->stat.pzxid);
}

void jute_put_snapshot_end(struct mk_buf *out)
{
    mk_buf_put_field(out, MK_BYTES("/"));
}

static struct mk_bytes trailer(void)
{
    return MK_BYTES("BenWasHere");
}

void jute_put_snapshot_trailer(struct mk_buf *out)
{
    mk_buf_put_field(out, trailer());
}

/* ---- Reading ---- */

enum { SESSIONS_COUNT, SESSIONS, ACLS_COUNT, ACLS, ZNODES, TRAILER, ENDED };

struct jute_snapshot_reader jute_snapshot_begin(size_t bytes_max, bool wire)
{
    return (struct jute_snapshot_reader){
        .bytes_max = bytes_max, .wire = wire, .state = SESSIONS_COUNT};
}

/* A vector<ACL>. Lengths and entries are taken one by one, so that a count that cannot be is seen
 * before anything is waited for. */
static enum mk_status acl_take(struct mk_reader *stream, size_t bytes_max, struct mk_bytes *acl)
{
    const uint8_t *start = stream->at;
    if (mk_reader_left(stream) < sizeof(int32_t)) {
        return MK_WOULD_BLOCK;
    }
    int32_t count = mk_read_i32(stream);
    if (count < 0) {
        return MK_MALFORMED;
    }
    for (int32_t i = 0; i < count; i++) {
        if (mk_reader_left(stream) < sizeof(int32_t)) {
            return MK_WOULD_BLOCK;
        }
        (void)mk_read_i32(stream); /* perms */
        for (int part = 0; part < 2; part++) {
            struct mk_bytes ignored;
            size_t taken = (size_t)(stream->at - start);
            if (taken > bytes_max) {
                return MK_MALFORMED;
            }
            enum mk_status status = jute_stream_field(stream, bytes_max - taken, &ignored);
            if (status != MK_OK) {
                return status;
            }
        }
    }
    *acl = mk_bytes_of(start, (size_t)(stream->at - start));
    return MK_OK;
}

static struct jute_stat_persisted stat_take(struct mk_reader *stream)
{
    struct jute_stat_persisted stat;
    stat.czxid = mk_read_i64(stream);
    stat.mzxid = mk_read_i64(stream);
    stat.ctime_ms = mk_read_i64(stream);
    stat.mtime_ms = mk_read_i64(stream);
    stat.version = mk_read_i32(stream);
    stat.cversion = mk_read_i32(stream);
    stat.aversion = mk_read_i32(stream);
    stat.owner = mk_read_i64(stream);
    stat.pzxid = mk_read_i64(stream);
    return stat;
}

/* The shape of a path only: what it may hold is the business of who keeps it. */
static bool path_fits(const struct jute_snapshot_reader *reader, struct mk_bytes path)
{
    if (path.data == NULL) {
        return false;
    }
    return reader->rooted ? path.len > 0 && path.data[0] == '/' : path.len == 0;
}

/* One znode. MK_END: the end of all of them. */
static enum mk_status znode_take(struct jute_snapshot_reader *reader, struct mk_reader *stream,
                                 struct jute_snapshot_znode *out)
{
    enum mk_status status = jute_stream_field(stream, reader->bytes_max, &out->path);
    if (status != MK_OK) {
        return status;
    }
    if (!path_fits(reader, out->path)) {
        return MK_MALFORMED;
    }
    if (mk_bytes_equal(out->path, MK_BYTES("/"))) {
        return MK_END;
    }
    status = jute_stream_field(stream, reader->bytes_max, &out->data);
    if (status != MK_OK) {
        return status;
    }
    if (mk_reader_left(stream) < sizeof(int64_t) + STAT_BYTES) {
        return MK_WOULD_BLOCK;
    }
    out->acl = mk_read_i64(stream);
    out->stat = stat_take(stream);
    reader->rooted = true;
    return MK_OK;
}

static enum mk_status count_take(struct jute_snapshot_reader *reader, struct mk_reader *stream)
{
    if (mk_reader_left(stream) < sizeof(int32_t)) {
        return MK_WOULD_BLOCK;
    }
    reader->left = mk_read_i32(stream);
    reader->state++;
    return reader->left < 0 ? MK_MALFORMED : MK_OK;
}

static enum mk_status session_take(struct mk_reader *stream, struct jute_touch *out)
{
    return mk_reader_left(stream) < JUTE_TOUCH_BYTES ? MK_WOULD_BLOCK
                                                     : jute_touch_next(stream, out);
}

static enum mk_status acl_entry_take(struct jute_snapshot_reader *reader, struct mk_reader *stream,
                                     struct jute_snapshot_record *out)
{
    if (mk_reader_left(stream) < sizeof(int64_t)) {
        return MK_WOULD_BLOCK;
    }
    out->acl_id = mk_read_i64(stream);
    return out->acl_id <= 0 ? MK_MALFORMED : acl_take(stream, reader->bytes_max, &out->acl);
}

static enum mk_status trailer_take(struct mk_reader *stream)
{
    struct mk_bytes found;
    enum mk_status status = jute_stream_field(stream, trailer().len, &found);
    if (status != MK_OK) {
        return status;
    }
    return mk_bytes_equal(found, trailer()) ? MK_END : MK_MALFORMED;
}

/* What comes next, as the state has it. MK_OK with nothing in `out`: a count, or the end of the znodes;
 * *record says whether there is one. */
static enum mk_status part_take(struct jute_snapshot_reader *reader, struct mk_reader *stream,
                                struct jute_snapshot_record *out, bool *record)
{
    bool counted = reader->state == SESSIONS || reader->state == ACLS;
    *record = false;
    if (counted && reader->left == 0) {
        reader->state++;
        return MK_OK;
    }
    enum mk_status status = MK_MALFORMED; /* of what follows the end */
    switch (reader->state) {
    case SESSIONS_COUNT:
    case ACLS_COUNT: return count_take(reader, stream);
    case SESSIONS:
        out->kind = JUTE_SNAPSHOT_SESSION;
        status = session_take(stream, &out->session);
        break;
    case ACLS:
        out->kind = JUTE_SNAPSHOT_ACL;
        status = acl_entry_take(reader, stream, out);
        break;
    case ZNODES:
        out->kind = JUTE_SNAPSHOT_ZNODE;
        status = znode_take(reader, stream, &out->znode);
        if (status == MK_END && reader->wire) {
            reader->state = TRAILER;
            return MK_OK;
        }
        break;
    case TRAILER: status = trailer_take(stream); break;
    default: break;
    }
    *record = status == MK_OK;
    reader->left -= *record && counted;
    return status;
}

enum mk_status jute_snapshot_next(struct jute_snapshot_reader *reader, struct mk_bytes bytes,
                                  struct jute_snapshot_record *out, size_t *used)
{
    struct jute_snapshot_reader before = *reader;
    struct mk_reader stream = mk_reader_of(bytes);
    enum mk_status status = MK_OK;
    bool record = false;
    *out = (struct jute_snapshot_record){0};
    *used = 0;
    while (status == MK_OK && !record) {
        status = part_take(reader, &stream, out, &record);
    }
    MK_ASSERT(!stream.failed);
    if (status == MK_WOULD_BLOCK) {
        *reader = before; /* a count, or the end of the znodes, is read once more */
    } else if (status != MK_MALFORMED) {
        *used = bytes.len - mk_reader_left(&stream);
    }
    if (status == MK_END) {
        reader->state = ENDED;
    }
    return status;
}
