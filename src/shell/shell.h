/* The shell: `moonkeeper shell`, for people and scripts that know ZooKeeper's zkCli. Its commands, their
 * options, what they print on standard output and their exit codes are those of zkCli 3.8, with the
 * options that 3.9 has added; what differs by intention is listed in README.md. Beyond it: line
 * editing, history, completion, JSON.
 *
 * Called by cli. A client as any other: it knows servers by libmoonkeeper only. */
#ifndef MK_SHELL_H
#define MK_SHELL_H

#include "base/base.h"
#include "client/client.h"

enum shell_exit {
    SHELL_OK = 0,
    SHELL_FAILED = 1,       /* the last command failed, in whatever way; as zkCli */
    SHELL_USAGE = 2,        /* an option before the command makes no sense */
    SHELL_UNREACHABLE = 3,  /* -waitforconnection: no server gave a session in time */
    SHELL_NO_COMMAND = 127, /* the last command does not exist; as zkCli */
};

/* argv[0] is the name of the command; then options, and words if one command is to be run and not an
 * input to be read. `servers` is used if no -server is given, `json` as if --json were. `tls`: or NULL, and
 * borrowed. */
int shell_main(const char *servers, const struct moonkeeper_tls *tls, bool json, int argc,
               char **argv);

/* Every command, with a line about each, to standard output: part of the program's help. */
void shell_commands_print(void);

#endif
