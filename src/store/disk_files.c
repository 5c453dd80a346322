/* Files, directories, epoch files and the lock: see disk_files.h and store.h. */
#include "store/disk_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/store.h"

#define EPOCH_TEXT_MAX 24 /* 19 digits, a sign, and room for a newline that someone's editor left */

/* ---- Failures ---- */

static enum mk_status failure_status(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* RLIMIT_FSIZE, or a file system that holds no larger file */ return MK_NO_SPACE;
    default: return MK_IO;
    }
}

static const char *failure_advice(int code)
{
    switch (code) {
    case ENOSPC: return "free some space on that disk, then start again";
    case EDQUOT: return "raise the quota of this user or free some space, then start again";
    case EFBIG: return "raise the limit on file sizes (ulimit -f), then start again";
    case EIO:
        return "the disk or the way to it has failed: read the kernel's log before anything else";
    case EACCES:
    case EPERM: return "let the user that the server runs as read and write there";
    case EROFS:
        return "mount that file system writable; if it became read-only by itself, its disk failed";
    case EMFILE:
    case ENFILE: return "raise the limit on open files (ulimit -n), then start again";
    default: return "put that right, then start again";
    }
}

static enum mk_status path_failure(const char *verb, const char *path, const char *name,
                                   struct mk_error *error)
{
    int code = errno;

    mk_error_set(error, "cannot %s %s%s%s: %s; %s", verb, path, name[0] != '\0' ? "/" : "", name,
                 strerrordesc_np(code), failure_advice(code));
    return failure_status(code);
}

enum mk_status disk_failure(const struct disk_place *place, const char *verb, const char *name,
                            struct mk_error *error)
{
    return path_failure(verb, place->path, name, error);
}

/* ---- Directories ---- */

/* A directory's own name is an entry of its parent: without a sync there, all below may vanish. */
static enum mk_status parent_sync(const char *path, bool sync, struct mk_error *error)
{
    if (!sync) {
        return MK_OK;
    }

    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    char parent[PATH_MAX];
    if (len >= sizeof(parent)) {
        errno = ENAMETOOLONG;
        return path_failure("open", path, "", error);
    }
    if (len == 0) {
        memcpy(parent, ".", 2);
    } else {
        memcpy(parent, path, len);
        parent[len] = '\0';
    }

    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return path_failure("open", parent, "", error);
    }
    enum mk_status status = MK_OK;
    if (fsync(fd) != 0) {
        status = path_failure("sync", parent, "", error);
    }
    close(fd);
    return status;
}

#define TREE_DEPTH_MAX 3 /* a copy of a data directory, its state, the files in that */

static void tree_remove(int parent, const char *name, unsigned depth)
{
    if (unlinkat(parent, name, 0) == 0 || depth == 0) {
        return;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            tree_remove(dirfd(directory), entry->d_name, depth - 1);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    } else if (fd >= 0) {
        close(fd);
    }
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

void disk_tree_remove(int parent, const char *name)
{
    tree_remove(parent, name, TREE_DEPTH_MAX);
}

enum mk_status disk_place_open(struct disk_place *place, const char *path, bool sync,
                               struct mk_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return path_failure("open", path, "", error);
    }
    size_t size = strlen(path) + 1;
    place->path = mk_alloc(size);
    memcpy(place->path, path, size);
    place->fd = fd;
    place->sync = sync;
    return MK_OK;
}

enum mk_status disk_place_make(struct disk_place *place, const char *path, bool sync,
                               struct mk_error *error)
{
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        return path_failure("create", path, "", error);
    }
    /* Even if it existed: whoever made it may have been killed before it came to this. */
    enum mk_status status = parent_sync(path, sync, error);
    return status == MK_OK ? disk_place_open(place, path, sync, error) : status;
}

void disk_place_close(struct disk_place *place)
{
    close(place->fd);
    mk_free(place->path);
    place->fd = -1;
    place->path = NULL;
}

enum mk_status disk_place_sync(const struct disk_place *place, struct mk_error *error)
{
    if (place->sync && fsync(place->fd) != 0) {
        return disk_failure(place, "sync", "", error);
    }
    return MK_OK;
}

/* ---- Files ---- */

static void file_name_set(struct disk_file *file, const char *name)
{
    size_t size = strlen(name) + 1;

    MK_ASSERT(size <= sizeof(file->name));
    memcpy(file->name, name, size);
}

enum mk_status disk_file_open(struct disk_file *file, const struct disk_place *place,
                              const char *name, int flags, struct mk_error *error)
{
    file->place = place;
    file_name_set(file, name);
    file->fd = openat(place->fd, name, flags | O_CLOEXEC, 0640);
    return file->fd >= 0 ? MK_OK : disk_failure(place, "open", name, error);
}

enum mk_status disk_file_find(struct disk_file *file, const struct disk_place *place,
                              const char *name, struct mk_error *error)
{
    if (faccessat(place->fd, name, F_OK, 0) != 0 && errno == ENOENT) {
        return MK_NO_NODE;
    }
    return disk_file_open(file, place, name, O_RDONLY, error);
}

void disk_file_close(struct disk_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
    }
    file->fd = -1;
}

enum mk_status disk_file_size(const struct disk_file *file, uint64_t *size, struct mk_error *error)
{
    struct stat stat;

    if (fstat(file->fd, &stat) != 0) {
        return disk_failure(file->place, "look at", file->name, error);
    }
    *size = (uint64_t)stat.st_size;
    return MK_OK;
}

static struct mk_bytes bytes_after(struct mk_bytes bytes, size_t count)
{
    return count == 0 ? bytes : mk_bytes_of(bytes.data + count, bytes.len - count);
}

enum mk_status disk_file_write(const struct disk_file *file, uint64_t at, struct mk_bytes head,
                               struct mk_bytes tail, struct mk_error *error)
{
    while (head.len + tail.len > 0) {
        /* iovec has no const: writing reads only. */
        struct iovec parts[2] = {{(void *)(uintptr_t)head.data, head.len},
                                 {(void *)(uintptr_t)tail.data, tail.len}};
        ssize_t written = pwritev(file->fd, parts, 2, (off_t)at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return disk_failure(file->place, "write to", file->name, error);
        }
        size_t from_head = (size_t)written < head.len ? (size_t)written : head.len;
        size_t from_tail = (size_t)written - from_head;
        at += (uint64_t)written;
        head = bytes_after(head, from_head);
        tail = bytes_after(tail, from_tail);
    }
    return MK_OK;
}

enum mk_status disk_file_read(const struct disk_file *file, uint64_t at, uint8_t *data, size_t len,
                              size_t *got, struct mk_error *error)
{
    *got = 0;
    while (*got < len) {
        ssize_t count = pread(file->fd, data + *got, len - *got, (off_t)(at + *got));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return disk_failure(file->place, "read", file->name, error);
        }
        if (count == 0) {
            break;
        }
        *got += (size_t)count;
    }
    return MK_OK;
}

enum mk_status disk_file_sync(const struct disk_file *file, struct mk_error *error)
{
    if (file->place->sync && fdatasync(file->fd) != 0) {
        return disk_failure(file->place, "sync", file->name, error);
    }
    return MK_OK;
}

enum mk_status disk_file_truncate(const struct disk_file *file, uint64_t size,
                                  struct mk_error *error)
{
    if (ftruncate(file->fd, (off_t)size) != 0) {
        return disk_failure(file->place, "cut", file->name, error);
    }
    return disk_file_sync(file, error);
}

enum mk_status disk_file_rename(struct disk_file *file, const char *name, struct mk_error *error)
{
    const struct disk_place *place = file->place;

    if (renameat(place->fd, file->name, place->fd, name) != 0) {
        return disk_failure(place, "rename", file->name, error);
    }
    file_name_set(file, name);
    return disk_place_sync(place, error);
}

enum mk_status disk_name_remove(const struct disk_place *place, const char *name,
                                struct mk_error *error)
{
    if (unlinkat(place->fd, name, 0) == 0) {
        return disk_place_sync(place, error);
    }
    return errno == ENOENT ? MK_OK : disk_failure(place, "remove", name, error);
}

/* ---- Epoch files ---- */

static bool epoch_parse(const char *text, int64_t *epoch)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || text[0] < '0' || text[0] > '9') {
        return false;
    }
    *epoch = value;
    return *end == '\0' || (*end == '\n' && end[1] == '\0');
}

enum mk_status store_epoch_read(const char *directory, const char *name, int64_t *epoch,
                                struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_open(&place, directory, true, error);
    if (status != MK_OK) {
        return status;
    }

    struct disk_file file;
    char text[EPOCH_TEXT_MAX + 1];
    size_t len = 0;
    status = disk_file_find(&file, &place, name, error);
    if (status == MK_OK) {
        status = disk_file_read(&file, 0, (uint8_t *)text, EPOCH_TEXT_MAX, &len, error);
        disk_file_close(&file);
    }
    text[len] = '\0';
    if (status == MK_OK && !epoch_parse(text, epoch)) {
        mk_error_set(
            error,
            "%s/%s does not hold a decimal epoch: write one into it that is larger than any "
            "before, or restore a copy of the data directory (`moonkeeper repair --rejoin` "
            "is not there yet)",
            directory, name);
        status = MK_CORRUPT;
    }
    disk_place_close(&place);
    return status;
}

enum mk_status store_epoch_write(const char *directory, const char *name, int64_t epoch,
                                 struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_open(&place, directory, true, error);
    if (status != MK_OK) {
        return status;
    }

    /* ZooKeeper looks for a left-over NAME.tmp when NAME is too old, so the name is not ours to
     * choose. A crash before the rename leaves the old epoch, after it the new one. */
    struct disk_file file;
    char temporary[32];
    char text[EPOCH_TEXT_MAX];
    MK_ASSERT((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp", name) < sizeof(temporary));
    int len = snprintf(text, sizeof(text), "%" PRId64, epoch);

    status = disk_file_open(&file, &place, temporary, O_RDWR | O_CREAT | O_TRUNC, error);
    if (status == MK_OK) {
        status = disk_file_write(&file, 0, mk_bytes_of(text, (size_t)len), MK_BYTES_NULL, error);
        if (status == MK_OK) {
            status = disk_file_sync(&file, error);
        }
        if (status == MK_OK) {
            status = disk_file_rename(&file, name, error);
        }
        disk_file_close(&file);
    }
    disk_place_close(&place);
    return status;
}

/* ---- The lock ---- */

/* flock() belongs to the open file: it ends with the process however that ends, and a second
 * opening in the same process is refused too. The process id inside is for the message only. */
enum mk_status store_directory_lock(const char *directory, int *lock, struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_make(&place, directory, true, error);
    if (status != MK_OK) {
        return status;
    }

    struct disk_file file;
    status = disk_file_open(&file, &place, "lock", O_RDWR | O_CREAT, error);
    if (status == MK_OK && flock(file.fd, LOCK_EX | LOCK_NB) != 0) {
        char holder[16] = "";
        ssize_t len = pread(file.fd, holder, sizeof(holder) - 1, 0);
        holder[len > 0 ? strspn(holder, "0123456789") : 0] = '\0';
        mk_error_set(
            error,
            "%s is in use by process %s: two servers must not share a directory; stop that "
            "one, or give this one a dataDir of its own",
            directory, holder[0] != '\0' ? holder : "(unknown)");
        disk_file_close(&file);
        status = MK_IN_USE;
    }
    if (status == MK_OK) {
        char text[16];
        int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
        struct mk_error
            ignored; /* On a full disk the lock still holds; only the message is poorer. */
        if (ftruncate(file.fd, 0) == 0) {
            (void)!disk_file_write(&file, 0, mk_bytes_of(text, (size_t)len), MK_BYTES_NULL,
                                   &ignored);
        }
        *lock = file.fd;
    }
    disk_place_close(&place);
    return status;
}
