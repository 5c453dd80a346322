/* A member that lost or distrusts what it holds: its state and log are put aside, and it is marked as one that
 * has forgotten. From then on it takes no part in elections and acknowledges nothing, until an established
 * leader has brought it up to date. Its promises, the epoch files, stay.
 *
 * The mark comes first and is durable before anything is moved: a crash in between leaves a member that has
 * forgotten, and asking once more goes on where it was. Nothing is deleted. */
#include "edge/edge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK EDGE_AMNESIAC
#define PATH_BYTES 4096
#define ASIDE_MAX 1000 /* folders of that kind; who has more has not looked at why */

static enum mk_status failed(const char *path, const char *what, struct mk_error *error)
{
    enum mk_status status = errno == ENOSPC ? MK_NO_SPACE : MK_IO;

    mk_error_set(error, "%.300s cannot be %s: %s", path, what, strerror(errno));
    return status;
}

static bool path_of(char path[PATH_BYTES], const char *directory, const char *name,
                    struct mk_error *error)
{
    int bytes = snprintf(path, PATH_BYTES, "%s/%s", directory, name);

    if (bytes < 0 || bytes >= PATH_BYTES) {
        mk_error_set(error, "%.200s...: the path is too long", directory);
        return false;
    }
    return true;
}

static enum mk_status directory_sync(const char *directory, struct mk_error *error)
{
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int synced = file >= 0 ? fsync(file) : -1;
    enum mk_status status = synced == 0 ? MK_OK : failed(directory, "synced", error);

    if (file >= 0) {
        (void)close(file);
    }
    return status;
}

bool edge_amnesiac(const char *data_dir)
{
    struct mk_error ignored;
    char path[PATH_BYTES];

    return path_of(path, data_dir, MARK, &ignored) && access(path, F_OK) == 0;
}

enum mk_status edge_amnesiac_mark(const char *data_dir, struct mk_error *error)
{
    char path[PATH_BYTES];

    if (!path_of(path, data_dir, MARK, error)) {
        return MK_BAD_ARGUMENTS;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (file < 0) {
        return failed(path, "made", error);
    }
    (void)close(file);
    return directory_sync(data_dir, error);
}

bool edge_amnesiac_end(const char *data_dir)
{
    struct mk_error ignored;
    char path[PATH_BYTES];

    /* Should it be there again after a crash, this server only forgets what others have. */
    return path_of(path, data_dir, MARK, &ignored) && unlink(path) == 0;
}

/* A name that is new in both directories; a folder of that name in each. */
static enum mk_status aside_make(const char *const homes[2], char name[EDGE_ASIDE_BYTES],
                                 struct mk_error *error)
{
    char path[2][PATH_BYTES];

    for (int number = 1; number <= ASIDE_MAX; number++) {
        (void)snprintf(name, EDGE_ASIDE_BYTES, "aside-%d", number);
        if (!path_of(path[0], homes[0], name, error) || !path_of(path[1], homes[1], name, error)) {
            return MK_BAD_ARGUMENTS;
        }
        if (access(path[0], F_OK) == 0 || access(path[1], F_OK) == 0) {
            continue;
        }
        for (size_t i = 0; i < (strcmp(path[0], path[1]) == 0 ? 1 : 2); i++) {
            if (mkdir(path[i], 0750) != 0) {
                return failed(path[i], "made", error);
            }
        }
        return MK_OK;
    }
    mk_error_set(error, "%.300s holds %d folders aside-N: remove those that are not needed",
                 homes[0], ASIDE_MAX);
    return MK_IO;
}

static enum mk_status entry_move(const char *from, const char *name, const char *to,
                                 struct mk_error *error)
{
    char old_path[PATH_BYTES];
    char new_path[PATH_BYTES];

    if (!path_of(old_path, from, name, error) || !path_of(new_path, to, name, error)) {
        return MK_BAD_ARGUMENTS;
    }
    return rename(old_path, new_path) == 0 || errno == ENOENT
               ? MK_OK
               : failed(old_path, "moved aside", error);
}

/* All of the log's segments; what else is there, the epochs, stays. */
static enum mk_status segments_move(const char *log, const char *to, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    DIR *directory = opendir(log);
    struct dirent *entry;

    if (directory == NULL) {
        return errno == ENOENT ? MK_OK : failed(log, "opened", error);
    }
    while (status == MK_OK && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "log.", 4) == 0) {
            status = entry_move(log, entry->d_name, to, error);
        }
    }
    (void)closedir(directory);
    return status;
}

enum mk_status edge_rejoin(const char *data_dir, const char *log_home, char aside[EDGE_ASIDE_BYTES],
                           struct mk_error *error)
{
    const char *const homes[2] = {data_dir, log_home};
    char log[PATH_BYTES];
    char to_data[PATH_BYTES];
    char to_log[PATH_BYTES];
    enum mk_status status = edge_amnesiac_mark(data_dir, error);

    if (status == MK_OK) {
        status = aside_make(homes, aside, error);
    }
    if (status != MK_OK || !path_of(log, log_home, "log", error) ||
        !path_of(to_data, data_dir, aside, error) || !path_of(to_log, log_home, aside, error)) {
        return status != MK_OK ? status : MK_BAD_ARGUMENTS;
    }
    status = entry_move(data_dir, "state", to_data, error);
    if (status == MK_OK) {
        status = entry_move(data_dir, "state.new", to_data, error);
    }
    if (status == MK_OK) {
        status = segments_move(log, to_log, error);
    }
    for (size_t i = 0; i < MK_COUNT(homes) && status == MK_OK; i++) {
        status = directory_sync(homes[i], error);
    }
    return status;
}
