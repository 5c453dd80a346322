/* The process of a server: who it is, its start, its end.
 *
 * Whether a server runs is told by the lock that it holds on its data directory, and never by a pid
 * alone: a pid that was written down outlives its process, and then belongs to somebody else's. */
#include "cli/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAM "moonkeeperd"
#define PID_TEXT_BYTES 16

/* ---- The program ---- */

static bool program_try(char path[SERVICE_PATH_BYTES], const char *directory, size_t len,
                        const char *below)
{
    int bytes = snprintf(path, SERVICE_PATH_BYTES, "%.*s%s/" PROGRAM, (int)len, directory, below);

    return bytes > 0 && bytes < SERVICE_PATH_BYTES && access(path, X_OK) == 0;
}

bool service_program_find(char path[SERVICE_PATH_BYTES])
{
    char self[SERVICE_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *at = getenv("PATH");

    self[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL && (program_try(path, self, (size_t)(slash - self), "") ||
                          program_try(path, self, (size_t)(slash - self), "/../sbin"))) {
        return true;
    }
    while (at != NULL && *at != '\0') {
        size_t part = strcspn(at, ":");
        if (part > 0 && program_try(path, at, part, "")) {
            return true;
        }
        at += part + (at[part] == ':' ? 1 : 0);
    }
    return false;
}

/* ---- Who it is ---- */

/* The number at the beginning of a file; 0: there is none. */
static pid_t number_read(int file)
{
    char text[PID_TEXT_BYTES] = "";
    ssize_t len = pread(file, text, sizeof(text) - 1, 0);
    long value = len > 0 ? strtol(text, NULL, 10) : 0;

    return value > 0 && value <= INT32_MAX ? (pid_t)value : 0;
}

pid_t service_holder(const struct service *service, struct mk_error *error)
{
    char path[SERVICE_PATH_BYTES + 8];
    pid_t holder = 0;

    (void)snprintf(path, sizeof(path), "%s/lock", service->data_dir);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        if (errno == ENOENT) {
            return 0; /* no server has ever been here */
        }
        mk_error_set(error, "%.300s: %s", path, strerror(errno));
        return -1;
    }
    if (flock(file, LOCK_SH | LOCK_NB) != 0) {
        /* Whoever has locked it writes its number next: for an instant there is none yet. */
        for (int tries = 0; (holder = number_read(file)) == 0 && tries < 50; tries++) {
            (void)poll(NULL, 0, 10);
        }
        if (holder == 0) {
            mk_error_set(error, "%.300s is locked by a process that does not say who it is", path);
            holder = -1;
        }
    }
    (void)close(file);
    return holder;
}

pid_t service_pid_read(const struct service *service)
{
    int file = open(service->pid_file, O_RDONLY | O_CLOEXEC);
    pid_t pid = file >= 0 ? number_read(file) : 0;

    if (file >= 0) {
        (void)close(file);
    }
    return pid;
}

bool service_pid_write(const struct service *service, pid_t pid, struct mk_error *error)
{
    char text[PID_TEXT_BYTES];
    char path[SERVICE_PATH_BYTES + 8];
    int len = snprintf(text, sizeof(text), "%d", (int)pid); /* without newline, as zkServer.sh */

    /* Under another name first: whoever reads it must never see half of a number. */
    (void)snprintf(path, sizeof(path), "%s.tmp", service->pid_file);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written = file >= 0 && write(file, text, (size_t)len) == len;
    if (file >= 0) {
        written = close(file) == 0 && written;
    }
    if (!written || rename(path, service->pid_file) != 0) {
        mk_error_set(error, "%.300s cannot be written: %s", service->pid_file, strerror(errno));
        return false;
    }
    return true;
}

/* ---- Its start ---- */

/* In the child: never returns. */
_Noreturn static void program_become(const struct service *service, const char *program, int log,
                                     int null)
{
    (void)setsid(); /* the end of the terminal is not the server's end */
    if (dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
        dup2(log, STDERR_FILENO) >= 0) {
        (void)execl(program, program, "--config", service->config, (char *)NULL);
    }
    dprintf(STDERR_FILENO, "moonkeeper: %s: %s\n", program, strerror(errno));
    _exit(127);
}

pid_t service_spawn(const struct service *service, const char *program, off_t *log_begin,
                    struct mk_error *error)
{
    struct stat status;
    int null = -1;
    int log = -1;
    pid_t pid = -1;

    /* For ourselves only, as the server would make it. */
    if (mkdir(service->data_dir, 0700) != 0 && errno != EEXIST && errno != ENOENT) {
        mk_error_set(error, "%.300s cannot be made: %s", service->data_dir, strerror(errno));
        return -1;
    }
    log = open(service->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (log < 0 || fstat(log, &status) != 0) {
        mk_error_set(error, "%.300s cannot be written: %s", service->log_file, strerror(errno));
        goto done;
    }
    *log_begin = status.st_size;
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid = null >= 0 ? fork() : -1;
    if (pid == 0) {
        program_become(service, program, log, null);
    }
    if (pid < 0) {
        mk_error_set(error, "no process can be had: %s", strerror(errno));
    }

done:
    if (null >= 0) {
        (void)close(null);
    }
    if (log >= 0) {
        (void)close(log);
    }
    return pid;
}

/* ---- Its end ---- */

bool service_end(pid_t pid, mk_ms wait_ms, struct mk_error *error)
{
    /* A descriptor of the process, not its number: that may be somebody else's a moment later. */
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    bool ended = process < 0 && errno == ESRCH;

    if (process >= 0) {
        struct pollfd wait = {.fd = process, .events = POLLIN};
        if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0) != 0 && errno != ESRCH) {
            mk_error_set(error, "process %d cannot be told: %s", (int)pid, strerror(errno));
            (void)close(process);
            return false;
        }
        ended = poll(&wait, 1, wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX) > 0;
        (void)close(process);
    }
    if (!ended) {
        mk_error_set(error, "process %d has not ended within %lld s", (int)pid,
                     (long long)(wait_ms / 1000));
    }
    return ended;
}
