/* Private to cli: a server of this machine, as who operates it sees it: a configuration, a process. */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include "base/base.h"

#include <sys/types.h>

#define SERVICE_PATH_BYTES 4096

/* What the file says about where the server is; service_config.c. */
struct service {
    const char *config; /* the file, borrowed */
    char data_dir[SERVICE_PATH_BYTES];
    char pid_file[SERVICE_PATH_BYTES]; /* zookeeper_server.pid in it: scripts look for that name */
    char log_file[SERVICE_PATH_BYTES]; /* what a server in the background says */
    char address[256];                 /* to be connected to */
    char port[6];
    bool secure; /* only a port for TLS was found */
};

/* Read the file as far as it concerns us: what else is in it is the server's to judge. False: `error`
 * says why. */
bool service_config_read(struct service *service, const char *config, struct mk_error *error);

/* ---- service_process.c ---- */

/* Where moonkeeperd is: beside this program, in the sbin of its installation, or in PATH. */
bool service_program_find(char path[SERVICE_PATH_BYTES]);

/* Which process has locked the data directory; 0: none, -1: it cannot be told, `error` says why. */
pid_t service_holder(const struct service *service, struct mk_error *error);
/* The number in the pid file; 0: there is no file or no number in it. */
pid_t service_pid_read(const struct service *service);
bool service_pid_write(const struct service *service, pid_t pid, struct mk_error *error);

/* A server in the background, in a session of its own, its output appended to the log file.
 * `*log_begin` is where its part of that file begins. -1: `error` says why. */
pid_t service_spawn(const struct service *service, const char *program, off_t *log_begin,
                    struct mk_error *error);

/* Ask the process to end and wait for that. False: it has not within that time, or must not be asked. */
bool service_end(pid_t pid, mk_ms wait_ms, struct mk_error *error);

#endif
