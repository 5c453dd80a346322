/* Preloaded into a program, it writes down everything that the program does to the files below one
 * directory, in order, so that rebuild.py can make that directory as a crash at any moment might
 * have left it. `kill -9` cannot do that: the system's page cache survives it, and a program that
 * never syncs passes.
 *
 *     CRASH_DIR          the directory; absolute, without symbolic links
 *     CRASH_TRACE        the file to append to
 *     CRASH_IGNORE_SYNC  if set, syncs succeed, do nothing, and are not written down: a test that
 *                        does not fail then tests nothing
 *     CRASH_KILL_AT      if set, the process is killed as it is about to make its Nth sync
 *
 * A record of the trace: u8 kind, u32 object, u64 number, u32 length, bytes; little-endian.
 *
 *     C object path         a file was created
 *     O object path         an old file was opened
 *     D path                a directory was made
 *     L object path         a second name
 *     R old NUL new         renamed
 *     U path                a name was removed
 *     W object offset data  written
 *     T object size         cut or extended
 *     A object size         at least so large
 *     B number object path  a sync begins; object 0: of the directory `path`
 *     E number              it has ended
 *     M text                whatever the test wants to know: "acknowledged 17"
 *
 * Marks come from mark() in the program, which writes to descriptor CRASH_MARK_FD, or from any
 * other process that appends a record to the file.
 *
 * Everything but a sync happens with a lock held, so that the order in the trace is the order in
 * which it happened. What a sync covers is what was written before it began. A file is an object; a
 * name is where it was found when it was opened. Writing through a shared mapping, stdio and rings
 * is not seen: rebuild.py's check that the whole trace yields the whole directory would fail. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CRASH_MARK_FD 1000
#define DESCRIPTORS_MAX 65536
#define OBJECTS_MAX 65536
#define DIRECTORY UINT32_MAX /* in `descriptors`: a directory */

struct object {
    dev_t device;
    ino_t inode;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX];
static size_t root_len;
static int trace = -1;
static bool ignore_sync;
static const char *failing; /* CRASH_SYNC_FAILS: while a file of this name exists, syncs fail */
static uint32_t descriptors[DESCRIPTORS_MAX]; /* the object of each; 0: not below the directory */
static struct object objects[OBJECTS_MAX];    /* from 1; the newest of an inode counts */
static uint32_t objects_count;
static uint64_t syncs_count;
static uint64_t kill_at;

/* ---- The trace. Raw system calls only: the C library's functions are ours here. ---- */

static void start(void)
{
    const char *directory = getenv("CRASH_DIR");
    const char *path = getenv("CRASH_TRACE");

    const char *at = getenv("CRASH_KILL_AT");

    ignore_sync = getenv("CRASH_IGNORE_SYNC") != NULL;
    failing = getenv("CRASH_SYNC_FAILS");
    kill_at = at != NULL ? strtoull(at, NULL, 10) : 0;
    if (directory == NULL || path == NULL || strlen(directory) >= sizeof(root)) {
        return;
    }
    root_len = strlen(directory);
    memcpy(root, directory, root_len + 1);
    int fd =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    trace = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 1001); /* out of the program's way */
    syscall(SYS_close, fd);
}

static void fatal(const char *what)
{
    fprintf(stderr, "crash shim: %s\n", what);
    abort();
}

static void record(char kind, uint32_t object, uint64_t number, const void *bytes, size_t len)
{
    uint8_t header[17];
    uint32_t len32 = (uint32_t)len;
    header[0] = (uint8_t)kind;
    memcpy(header + 1, &object, 4);
    memcpy(header + 5, &number, 8);
    memcpy(header + 13, &len32, 4);
    struct iovec parts[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)bytes, len}};
    if (syscall(SYS_writev, trace, parts, 2L) != (long)(sizeof(header) + len)) {
        fatal("cannot write the trace");
    }
}

static void record_text(char kind, uint32_t object, uint64_t number, const char *text)
{
    record(kind, object, number, text, strlen(text));
}

/* ---- Names and objects ---- */

/* The absolute path of `path` below the directory; false if it is elsewhere. */
static bool traced_path(int directory, const char *path, char absolute[PATH_MAX])
{
    char base[PATH_MAX] = "";
    pthread_once(&once, start);
    if (trace < 0 || path == NULL) {
        return false;
    }
    if (path[0] != '/') {
        char link[64] = "/proc/self/cwd";
        if (directory != AT_FDCWD) {
            snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
        }
        ssize_t len = readlink(link, base, sizeof(base) - 2);
        if (len < 0) {
            return false;
        }
        base[len] = '/';
        base[len + 1] = '\0';
    }
    size_t base_len = strlen(base);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    if (base_len + len >= PATH_MAX) {
        return false;
    }
    memcpy(absolute, base, base_len);
    memcpy(absolute + base_len, path, len);
    absolute[base_len + len] = '\0';
    return strncmp(absolute, root, root_len) == 0 &&
           (absolute[root_len] == '/' || absolute[root_len] == '\0');
}

static const char *below_root(const char *absolute)
{
    return absolute[root_len] == '/' ? absolute + root_len + 1 : absolute + root_len;
}

static uint32_t object_new(const struct stat *stat)
{
    if (objects_count + 1 == OBJECTS_MAX) {
        fatal("too many files");
    }
    objects_count++;
    objects[objects_count] = (struct object){stat->st_dev, stat->st_ino};
    return objects_count;
}

static uint32_t object_find(const struct stat *stat)
{
    for (uint32_t i = objects_count; i > 0; i--) {
        if (objects[i].device == stat->st_dev && objects[i].inode == stat->st_ino) {
            return i;
        }
    }
    return 0;
}

static uint32_t object_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX ? descriptors[fd] : 0;
}

static bool is_file(int fd)
{
    uint32_t object = object_of(fd);
    return object != 0 && object != DIRECTORY;
}

/* ---- Opening and closing ---- */

static void opened(int fd, const char *absolute, bool created, int flags)
{
    struct stat stat;
    if (fd >= DESCRIPTORS_MAX || fstat(fd, &stat) != 0) {
        fatal("a strange descriptor");
    }
    if (S_ISDIR(stat.st_mode)) {
        descriptors[fd] = DIRECTORY;
        return;
    }
    uint32_t object = created ? 0 : object_find(&stat);
    if (object == 0) {
        object = object_new(&stat);
        record_text(created ? 'C' : 'O', object, 0, below_root(absolute));
    }
    descriptors[fd] = object;
    if (!created && (flags & O_TRUNC) != 0) {
        record('T', object, 0, "", 0);
    }
}

static int open_at(int directory, const char *path, int flags, mode_t mode)
{
    char absolute[PATH_MAX];
    if (!traced_path(directory, path, absolute)) {
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    }
    pthread_mutex_lock(&lock);
    bool existed = syscall(SYS_faccessat, directory, path, F_OK) == 0;
    int fd = (int)syscall(SYS_openat, directory, path, flags, mode);
    int code = errno;
    if (fd >= 0) {
        opened(fd, absolute, !existed, flags);
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(directory, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int directory, const char *path, int flags, ...) __attribute__((alias("openat")));

int creat(const char *path, mode_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) __attribute__((alias("creat")));

int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (object_of(fd) != 0) {
        descriptors[fd] = 0;
    }
    int result = (int)syscall(SYS_close, fd);
    int code = errno;
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

static int duplicated(int from, int to)
{
    if (to >= 0 && to < DESCRIPTORS_MAX) {
        descriptors[to] = object_of(from);
    }
    return to;
}

int dup(int fd)
{
    pthread_mutex_lock(&lock);
    int result = duplicated(fd, (int)syscall(SYS_dup, fd));
    pthread_mutex_unlock(&lock);
    return result;
}

int dup2(int fd, int to)
{
    pthread_mutex_lock(&lock);
    int result = duplicated(fd, (int)syscall(SYS_dup2, fd, to));
    pthread_mutex_unlock(&lock);
    return result;
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
        result = duplicated(fd, result);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

/* ---- Writing ---- */

static void written(int fd, uint64_t at, const struct iovec *parts, int count, ssize_t len)
{
    for (int i = 0; i < count && len > 0; i++) {
        size_t part = parts[i].iov_len < (size_t)len ? parts[i].iov_len : (size_t)len;
        if (part > 0) {
            record('W', descriptors[fd], at, parts[i].iov_base, part);
        }
        at += part;
        len -= (ssize_t)part;
    }
}

/* `at` < 0: where the descriptor is. */
static ssize_t write_at(int fd, const struct iovec *parts, int count, off_t at)
{
    if (fd == CRASH_MARK_FD) {
        pthread_once(&once, start);
        record('M', 0, 0, parts[0].iov_base, parts[0].iov_len);
        return (ssize_t)parts[0].iov_len;
    }
    bool traced = is_file(fd);
    if (traced) {
        pthread_mutex_lock(&lock);
    }
    ssize_t len = at < 0 ? syscall(SYS_writev, fd, parts, (long)count)
                         : syscall(SYS_pwritev, fd, parts, (long)count, (long)at, 0L);
    int code = errno;
    if (traced && len > 0) {
        off_t end = at < 0 ? lseek(fd, 0, SEEK_CUR) : at + len;
        written(fd, (uint64_t)(end - len), parts, count, len);
    }
    if (traced) {
        pthread_mutex_unlock(&lock);
    }
    errno = code;
    return len;
}

static struct iovec part_of(const void *data, size_t len)
{
    return (struct iovec){(void *)(uintptr_t)data, len};
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct iovec part = part_of(data, len);
    return write_at(fd, &part, 1, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    struct iovec part = part_of(data, len);
    return write_at(fd, &part, 1, at);
}
ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) __attribute__((alias("pwrite")));

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return write_at(fd, parts, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return write_at(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
    __attribute__((alias("pwritev")));

int ftruncate(int fd, off_t size)
{
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, size);
    int code = errno;
    if (result == 0 && is_file(fd)) {
        record('T', descriptors[fd], (uint64_t)size, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

int fallocate(int fd, int mode, off_t at, off_t len)
{
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_fallocate, fd, mode, at, len);
    int code = errno;
    if (result == 0 && is_file(fd)) {
        if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) {
            fatal("fallocate of a kind that rebuild.py does not know");
        }
        if ((mode & FALLOC_FL_KEEP_SIZE) == 0) {
            record('A', descriptors[fd], (uint64_t)(at + len), "", 0);
        }
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}
int fallocate64(int fd, int mode, off_t at, off_t len) __attribute__((alias("fallocate")));

int posix_fallocate(int fd, off_t at, off_t len)
{
    return fallocate(fd, 0, at, len) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off_t at, off_t len) __attribute__((alias("posix_fallocate")));

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
                        unsigned flags)
{
    if (is_file(to)) {
        errno = EXDEV; /* Whoever copies falls back to read and write, which we see. */
        return -1;
    }
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t at)
{
    if ((protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0 && is_file(fd)) {
        fatal("a shared mapping cannot be followed");
    }
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, at); /* NOLINT */
}
void *mmap64(void *address, size_t len, int protection, int flags, int fd, off_t at)
    __attribute__((alias("mmap")));

/* ---- Syncing ---- */

static int sync_of(int fd, long call)
{
    uint32_t object = object_of(fd);
    if (object == 0) {
        return (int)syscall(call, fd);
    }
    if (ignore_sync) {
        return 0;
    }
    if (failing != NULL && syscall(SYS_access, failing, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    char absolute[PATH_MAX] = "";
    pthread_mutex_lock(&lock);
    if (object == DIRECTORY && !traced_path(fd, ".", absolute)) {
        fatal("a directory without a path");
    }
    if (object == DIRECTORY) {
        absolute[strlen(absolute) - 2] = '\0'; /* "/." */
    }
    uint64_t number = ++syncs_count;
    if (number == kill_at) {
        kill(getpid(), SIGKILL);
    }
    record_text('B', object == DIRECTORY ? 0 : object, number,
                object == DIRECTORY ? below_root(absolute) : "");
    pthread_mutex_unlock(&lock);

    int result = (int)syscall(call, fd);
    int code = errno;
    if (result == 0) {
        pthread_mutex_lock(&lock);
        record('E', 0, number, "", 0);
        pthread_mutex_unlock(&lock);
    }
    errno = code;
    return result;
}

int fsync(int fd)
{
    return sync_of(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_of(fd, SYS_fdatasync);
}

/* Not a sync: it neither flushes the disk's own cache nor records a file's length. */
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags)
{
    return is_file(fd) ? 0 : (int)syscall(SYS_sync_file_range, fd, at, len, flags);
}

/* ---- Names ---- */

static int rename_at(int from_directory, const char *from, int to_directory, const char *to,
                     unsigned flags)
{
    char old[PATH_MAX];
    char new[PATH_MAX];
    bool traced = traced_path(from_directory, from, old);
    if (traced_path(to_directory, to, new) != traced) {
        fatal("a file is renamed into or out of the directory");
    }
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    int code = errno;
    if (result == 0 && traced) {
        char both[2 * PATH_MAX];
        int len = snprintf(both, sizeof(both), "%s%c%s", below_root(old), '\0', below_root(new));
        record('R', 0, 0, both, (size_t)len);
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

int rename(const char *from, const char *to)
{
    return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    return rename_at(from_directory, from, to_directory, to, 0);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags)
{
    if (flags != 0) {
        fatal("renameat2 of a kind that rebuild.py does not know");
    }
    return rename_at(from_directory, from, to_directory, to, flags);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
    char new[PATH_MAX];
    struct stat stat;
    bool traced = traced_path(to_directory, to, new);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
    int code = errno;
    if (result == 0 && traced) {
        if (fstatat(to_directory, to, &stat, 0) != 0 || object_find(&stat) == 0) {
            fatal("a link to a file that was never opened");
        }
        record_text('L', object_find(&stat), 0, below_root(new));
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int directory, const char *path, int flags)
{
    char absolute[PATH_MAX];
    bool traced = traced_path(directory, path, absolute);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, directory, path, flags);
    int code = errno;
    if (result == 0 && traced) {
        record_text('U', 0, 0, below_root(absolute));
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
    int result = unlink(path);
    return result != 0 && errno == EISDIR ? rmdir(path) : result;
}

int mkdirat(int directory, const char *path, mode_t mode)
{
    char absolute[PATH_MAX];
    bool traced = traced_path(directory, path, absolute);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_mkdirat, directory, path, mode);
    int code = errno;
    if (result == 0 && traced) {
        record_text('D', 0, 0, below_root(absolute));
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}
