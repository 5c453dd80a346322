/* Snapshot files (zookeeper-quorum.md, section 12.1):
 *
 *   "ZKSN" · i32 2 · i64 dbid · the stream · i64 adler32 of all before · string "/"
 *
 * What follows that first seal (a digest, the last zxid) is optional, and not needed. gzip's form is read
 * as the plain one, zlib tells them apart. */
#include "transfer/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "apply/apply.h"

#define SNAPSHOT_MAGIC 0x5a4b534eu /* "ZKSN" */
#define SNAPSHOT_VERSION 2
#define HEADER_BYTES 16
#define SEAL_BYTES 13 /* i64 adler32, i32 1, "/" */
#define PIECE_BYTES ((size_t)256 * 1024)

const struct store_options transfer_rows = {
    .cache_bytes = (uint64_t)64 << 20,
    .overlay_bytes = (uint64_t)64 << 20,
    .overlay_bytes_max = (uint64_t)256 << 20,
};
const struct store_disk_options transfer_disk = {
    .cache_bytes = (uint64_t)64 << 20,
    .open_files_max = 128,
};

/* ---- Paths ---- */

bool path_join(char path[PATH_BYTES], const char *directory, const char *name,
               struct mk_error *error)
{
    int bytes = snprintf(path, PATH_BYTES, "%s/%s", directory, name);
    if (bytes > 0 && bytes < PATH_BYTES) {
        return true;
    }
    mk_error_set(error, "%.200s...: the path is too long", directory);
    return false;
}

bool path_version_2(char path[PATH_BYTES], const char *directory, struct mk_error *error)
{
    struct stat stat_of;
    if (!path_join(path, directory, "version-2", error)) {
        return false;
    }
    if (stat(path, &stat_of) != 0) {
        snprintf(path, PATH_BYTES, "%s", directory);
    }
    return true;
}

enum mk_status path_failed(const char *verb, const char *path, struct mk_error *error)
{
    int code = errno;
    mk_error_set(error, "cannot %s %s: %s", verb, path, strerrordesc_np(code));
    return code == ENOSPC ? MK_NO_SPACE : MK_IO;
}

/* ---- Which there are ---- */

static bool suffix_known(const char *suffix)
{
    return *suffix == '\0' || strcmp(suffix, ".gz") == 0 || strcmp(suffix, ".snappy") == 0;
}

static bool name_parse(const char *name, struct snapshot_file *out)
{
    char *end;
    if (strncmp(name, "snapshot.", 9) != 0 || strlen(name) >= sizeof(out->name)) {
        return false;
    }
    errno = 0;
    uint64_t zxid = strtoull(name + 9, &end, 16);
    if (errno != 0 || end == name + 9 || zxid > INT64_MAX || !suffix_known(end)) {
        return false;
    }
    out->zxid = (mk_zxid)zxid;
    memcpy(out->name, name, strlen(name) + 1);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct snapshot_file *first = a;
    const struct snapshot_file *second = b;
    if (first->zxid != second->zxid) {
        return first->zxid > second->zxid ? -1 : 1;
    }
    return strcmp(first->name, second->name);
}

enum mk_status snapshot_files_list(const char *directory, struct snapshot_files *out,
                                   struct mk_error *error)
{
    DIR *open_directory = opendir(directory);
    out->count = 0;
    if (open_directory == NULL) {
        return path_failed("read", directory, error);
    }
    struct dirent *entry;
    while (out->count < SNAPSHOTS_MAX && (entry = readdir(open_directory)) != NULL) {
        out->count += name_parse(entry->d_name, &out->files[out->count]);
    }
    closedir(open_directory);
    if (out->count == SNAPSHOTS_MAX) {
        mk_error_set(error, "%s holds more than %d snapshots: remove old ones", directory,
                     SNAPSHOTS_MAX - 1);
        return MK_OVERLOADED;
    }
    if (out->count > 0) {
        qsort(out->files, out->count, sizeof(out->files[0]), newest_first);
    }
    return MK_OK;
}

/* ---- Reading one ---- */

struct input {
    const char *path;
    gzFile file;
    struct mk_buf bytes; /* read, and not used yet */
    uint32_t adler;      /* of all that was used */
    bool end;
};

static enum mk_status damaged(const struct input *input, const char *what, struct mk_error *error)
{
    mk_error_set(error, "%s is damaged or incomplete: %s", input->path, what);
    return MK_CORRUPT;
}

static enum mk_status input_read(struct input *input, struct mk_error *error)
{
    mk_buf_reserve(&input->bytes, PIECE_BYTES);
    errno = 0;
    int count = gzread(input->file, input->bytes.data + input->bytes.len, PIECE_BYTES);
    if (count < 0) {
        return errno != 0 ? path_failed("read", input->path, error)
                          : damaged(input, "it does not decompress", error);
    }
    input->end = count == 0;
    input->bytes.len += (size_t)count;
    return MK_OK;
}

static void input_use(struct input *input, size_t len)
{
    input->adler = (uint32_t)adler32_z(input->adler, input->bytes.data, len);
    memmove(input->bytes.data, input->bytes.data + len, input->bytes.len - len);
    input->bytes.len -= len;
}

/* At least `len` bytes are there. */
static enum mk_status input_need(struct input *input, size_t len, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    while (status == MK_OK && input->bytes.len < len && !input->end) {
        status = input_read(input, error);
    }
    if (status == MK_OK && input->bytes.len < len) {
        status = damaged(input, "it ends too early", error);
    }
    return status;
}

static enum mk_status header_read(struct input *input, struct mk_error *error)
{
    enum mk_status status = input_need(input, HEADER_BYTES, error);
    if (status == MK_OK && (mk_load_u32(input->bytes.data) != SNAPSHOT_MAGIC ||
                            mk_load_u32(input->bytes.data + 4) != SNAPSHOT_VERSION)) {
        return damaged(input, "it does not begin as snapshots do", error);
    }
    if (status == MK_OK) {
        input_use(input, HEADER_BYTES);
    }
    return status;
}

static enum mk_status stream_read(struct input *input, struct store_install *install,
                                  struct mk_error *error)
{
    enum mk_status status = MK_OK;
    while (status == MK_OK) {
        size_t used;
        struct mk_error why = {0};
        status = store_install_bytes(install, mk_buf_view(&input->bytes), &used, &why);
        input_use(input, used);
        if (status == MK_MALFORMED) {
            return damaged(input, why.text, error);
        }
        if (status == MK_OK) {
            status = input_need(input, input->bytes.len + 1, error);
        } else if (status != MK_END) {
            *error = why;
        }
    }
    return status == MK_END ? MK_OK : status;
}

static enum mk_status seal_read(struct input *input, struct mk_error *error)
{
    static const uint8_t slash[] = {0, 0, 0, 1, '/'};
    enum mk_status status = input_need(input, SEAL_BYTES, error);
    if (status != MK_OK) {
        return status;
    }
    bool sealed = mk_load_u64(input->bytes.data) == input->adler &&
                  memcmp(input->bytes.data + 8, slash, sizeof(slash)) == 0;
    return sealed ? MK_OK : damaged(input, "its checksum is another", error);
}

enum mk_status snapshot_file_read(const char *path, struct store_install *install,
                                  struct mk_error *error)
{
    struct input input = {.path = path, .adler = 1};
    input.file = gzopen(path, "rb");
    if (input.file == NULL) {
        return path_failed("open", path, error);
    }
    (void)gzbuffer(input.file, PIECE_BYTES);
    enum mk_status status = header_read(&input, error);
    if (status == MK_OK) {
        status = stream_read(&input, install, error);
    }
    if (status == MK_OK) {
        status = seal_read(&input, error);
    }
    (void)gzclose(input.file);
    mk_buf_free(&input.bytes);
    return status;
}

/* ---- Writing one ---- */

struct output {
    const char *path;
    int fd;
    struct mk_buf bytes;
    uint32_t adler;
};

static enum mk_status output_flush(struct output *output, struct mk_error *error)
{
    size_t at = 0;
    output->adler = (uint32_t)adler32_z(output->adler, output->bytes.data, output->bytes.len);
    while (at < output->bytes.len) {
        ssize_t count = write(output->fd, output->bytes.data + at, output->bytes.len - at);
        if (count < 0 && errno != EINTR) {
            return path_failed("write", output->path, error);
        }
        at += count > 0 ? (size_t)count : 0;
    }
    output->bytes.len = 0;
    return MK_OK;
}

static enum mk_status stream_write(struct output *output, struct store_snapshot *snapshot,
                                   struct mk_error *error)
{
    mk_buf_put_u32(&output->bytes, SNAPSHOT_MAGIC);
    mk_buf_put_i32(&output->bytes, SNAPSHOT_VERSION);
    mk_buf_put_i64(&output->bytes, -1);
    bool more = true;
    while (more) {
        enum mk_status status =
            store_snapshot_read(snapshot, PIECE_BYTES, false, &output->bytes, error);
        more = status == MK_OK;
        if (status == MK_OK || status == MK_END) {
            status = output_flush(output, error);
        }
        if (status != MK_OK) {
            return status;
        }
    }
    mk_buf_put_i64(&output->bytes, output->adler);
    mk_buf_put_field(&output->bytes, MK_BYTES("/"));
    return output_flush(output, error);
}

/* By a rename, so that a snapshot that has its name is whole. */
static enum mk_status output_publish(struct output *output, const char *directory, const char *path,
                                     struct mk_error *error)
{
    if (fsync(output->fd) != 0) {
        return path_failed("sync", output->path, error);
    }
    if (rename(output->path, path) != 0) {
        return path_failed("rename", output->path, error);
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    enum mk_status status = synced ? MK_OK : path_failed("sync", directory, error);
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

enum mk_status snapshot_file_write(const char *directory, const char *name,
                                   struct store_snapshot *snapshot, struct mk_error *error)
{
    char path[PATH_BYTES];
    char temporary[PATH_BYTES];
    if (!path_join(path, directory, name, error) ||
        !path_join(temporary, directory, "export.tmp", error)) {
        return MK_BAD_ARGUMENTS;
    }
    struct output output = {.path = temporary, .adler = 1};
    output.fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (output.fd < 0) {
        return path_failed("create", temporary, error);
    }
    enum mk_status status = stream_write(&output, snapshot, error);
    if (status == MK_OK) {
        status = output_publish(&output, directory, path, error);
    }
    close(output.fd);
    mk_buf_free(&output.bytes);
    if (status != MK_OK) {
        (void)unlink(temporary);
    }
    return status;
}

/* ---- Transactions ---- */

enum mk_status entry_apply(struct apply *apply, mk_zxid zxid, struct mk_bytes entry,
                           struct mk_error *error)
{
    struct jute_txn txn;
    struct apply_result result;
    enum mk_status status = jute_txn_decode(entry, &txn);
    if (status != MK_OK || txn.zxid != zxid) {
        mk_error_set(error, "the log's entry 0x%" PRIx64 " is none that is known", (uint64_t)zxid);
        return MK_CORRUPT;
    }
    status = apply_txn(apply, &txn, NULL, &result);
    if (status == MK_OK && store_checkpoint_due(apply->store)) {
        struct store_checkpoint *checkpoint = store_checkpoint_start(apply->store);
        MK_ASSERT(checkpoint != NULL);
        status = store_checkpoint_write(checkpoint, error);
        store_checkpoint_done(apply->store, checkpoint);
    }
    if (status != MK_OK && error->text[0] == '\0') {
        mk_error_set(error, "the log's entry 0x%" PRIx64 " cannot be applied: %s", (uint64_t)zxid,
                     mk_status_text(status));
    }
    return status;
}
