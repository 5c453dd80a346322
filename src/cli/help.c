/* What the program says about itself: one screen about all commands, one paragraph about each. */
#include "cli/help.h"

#include "cli/cli.h"
#include "shell/shell.h"

#include <stdio.h>
#include <string.h>

static const char overview[] =
    "Example: moonkeeper call lock.acquire path=/locks/a timeout=5s\n"
    "\n"
    "usage: moonkeeper [-s HOST:PORT[,HOST:PORT]] [--timeout 10s] [--json] [--auth SCHEME:ID] "
    "COMMAND ...\n"
    "\n"
    "A server of this machine, by its configuration\n"
    "  start stop restart status CONFIG         also start-foreground, print-cmd\n"
    "  import ZOOKEEPER_DATADIR DATADIR         export DATADIR ZOOKEEPER_DATADIR\n"
    "  repair --rejoin CONFIG                   a member of an ensemble starts from nothing\n"
    "  backup CONFIG                            restore BACKUP CONFIG\n"
    "Znodes\n"
    "  create [-e] [-s] [-c] [--hold[=TIME]] PATH [DATA]\n"
    "  get PATH            set [-v VERSION] PATH DATA       delete [-v VERSION] PATH\n"
    "  ls PATH             stat PATH       exists PATH      sync [PATH]\n"
    "Recipes\n"
    "  call [--hold[=TIME]] [--timeout TIME] [--dry-run] RECIPE.OPERATION [KEY=VALUE | "
    "KEY:=JSON]...\n"
    "  calls [open CHROOT | close CHROOT]       which calls wait; where clients with a chroot "
    "call\n"
    "  lock [--timeout TIME] [--grace TIME] PATH -- COMMAND ...   run it while the lock is held\n"
    "  lead [--value TEXT] ... PATH -- COMMAND ...                run it while elected\n"
    "  recipe test|explore|check FILE ...       try a recipe of yours, without a server\n"
    "  recipe deploy FILE  recipe rollback|remove NAME [VERSION]  recipe upgrade [NAME]...\n"
    "  recipe list [NAME]  recipe show|history NAME  recipe describe NAME|FILE [OPERATION]\n"
    "Others\n"
    "  shell [-server HOST:PORT[,...][/CHROOT]] [COMMAND ...]     ZooKeeper's zkCli, and more\n"
    "  word WORD           a four-letter word: ruok srvr stat mntr isro conf\n"
    "  version             help [COMMAND]\n"
    "\n"
    "Ephemerals, and locks that were granted, end with the session, so with this command: --hold\n"
    "keeps it for TIME (30s, 5m), or until Ctrl-C or the end of standard input.\n"
    "-s, --servers is " CLI_SERVERS_DEFAULT ", or $" CLI_SERVERS_ENVIRONMENT
    "; --timeout is the session's, too.\n"
    "--json: results and errors as JSON, the latter on standard error. --auth: who the session "
    "is,\n"
    "as digest:bob:secret; or $" CLI_AUTH_ENVIRONMENT ", which others of this machine cannot see.\n"
    "--tls-ca FILE, --tls-cert FILE, --tls-key FILE: with TLS; or $" CLI_TLS_CA_ENVIRONMENT
    ", ...\n"
    "\n"
    "Exit codes: 0 done; 1 the server answered with an error, the call failed; 2 usage;\n"
    "3 cannot connect; 4 connection or session lost: what became of it is unknown;\n"
    "128 + signal, 130 after Ctrl-C: the call was cancelled.\n";

static const struct topic {
    const char *name;
    const char *synopsis;
    const char *text;
} topics[] = {
    {"create", "create [-e] [-s] [-c] [--hold[=TIME]] PATH [DATA]",
     "Make a znode and print its path. -e: it ends with the session; -s: a number that grows is\n"
     "appended; -c: a container, which goes when its last child has gone.\n"
     "--hold keeps the session for TIME, or until Ctrl-C or the end of standard input.\n"},
    {"get", "get PATH", "Print the data of a znode.\n"},
    {"set", "set [-v VERSION] PATH DATA",
     "Replace the data of a znode, if its version is VERSION, and print the new version.\n"},
    {"delete", "delete [-v VERSION] PATH",
     "Delete a znode without children, if its version is VERSION.\n"},
    {"ls", "ls PATH", "Print the names of the children, sorted, one a line.\n"},
    {"stat", "stat PATH", "Print what is known about a znode besides its data.\n"},
    {"exists", "exists PATH", "Print true; or false, and end with exit code 1.\n"},
    {"sync", "sync [PATH]", "Wait until the server has caught up with its leader.\n"},
    {"call",
     "call [--hold[=TIME]] [--timeout TIME] [--dry-run] [--linearizable] RECIPE.OPERATION\n"
     "            [KEY=VALUE | KEY:=JSON]...",
     "Call an operation of a recipe, wait for its result and print it. Ctrl-C cancels.\n"
     "VALUE is what the operation declares: where it wants a number, 3 is one; else it is text.\n"
     "--timeout: the call's argument of that name. --dry-run: nothing happens; printed is what "
     "the\n"
     "first run would return or wait for, and what it would read and change.\n"
     "--linearizable: of an operation that only reads, in an ensemble: as of now, and not as of a\n"
     "server that may be behind.\n"
     "What was granted ends with the session: --hold keeps it for TIME, or until Ctrl-C or the\n"
     "end of standard input.\n"},
    {"calls", "calls [open CHROOT | close CHROOT]",
     "Print the calls that wait: since when, for what, and whose that is. Those made by the same\n"
     "--auth; all of them, for who may deploy recipes.\n"
     "open: let clients with a CHROOT make calls below CHROOT/zookeeper/calls, confined to it; "
     "close:\n"
     "no longer. Both are for administrators.\n"},
    {"lock", "lock [--timeout TIME] [--grace TIME] PATH -- COMMAND [ARGUMENT]...",
     "Run a command while the lock at PATH is held. It finds MOONKEEPER_FENCE, MOONKEEPER_TICKET\n"
     "and MOONKEEPER_PATH in its environment; signals are passed on to it. --timeout: wait for "
     "the\n"
     "lock no longer than TIME.\n"
     "When two thirds of the session timeout have passed without a server, or the session or the\n"
     "ticket is gone, the command and all of its process group get SIGTERM, and SIGKILL after\n"
     "--grace (5s), but in any case before the session can have expired.\n"
     "Exit codes: the command's, or 128 + the signal that ended it; 123 it was stopped, because\n"
     "the lock was lost; 124 not granted in time; 125 not asked for, or refused; 126, 127 the\n"
     "command cannot be run, is not there; 128 + signal, if one came while the lock was waited "
     "for.\n"},
    {"lead", "lead [--value TEXT] [--timeout TIME] [--grace TIME] PATH -- COMMAND [ARGUMENT]...",
     "Run a command while this candidate leads the election at PATH: as lock, with "
     "election.campaign\n"
     "in the place of lock.acquire. --value: what observers are told of the leader.\n"},
    {"recipe",
     "recipe test FILE\n"
     "       moonkeeper recipe explore FILE [--seeds A..B] [--seed N] [--minutes M] [--steps N]\n"
     "                                      [--servers N] [--invariants FILE]\n"
     "       moonkeeper recipe check FILE...\n"
     "       moonkeeper recipe describe NAME|FILE [OPERATION]\n"
     "       moonkeeper recipe deploy [--name NAME] [--expect VERSION|none] [--comment TEXT] FILE\n"
     "       moonkeeper recipe rollback [--expect VERSION] [--comment TEXT] NAME [VERSION]\n"
     "       moonkeeper recipe remove [--fail-waiting] [--expect VERSION] NAME [VERSION]\n"
     "       moonkeeper recipe upgrade [--comment TEXT] [NAME...]\n"
     "       moonkeeper recipe list [NAME] | show NAME [VERSION] | history NAME",
     "Try a recipe on this machine, without a server; luajit is needed, for test busted as well.\n"
     "test FILE: run its spec, NAME_spec.lua beside NAME.lua or in ../spec.\n"
     "explore FILE: run its operations and faults in random order, and check after each step what\n"
     "NAME_invariants.lua, beside it or in ../spec, says. A failure prints the shortest schedule\n"
     "that was found, and the command that repeats it.\n"
     "  --seeds A..B       which schedules, 1..100\n"
     "  --seed N           this one\n"
     "  --minutes M        from the first seed on, for so long\n"
     "  --steps N          how long a schedule is, 200\n"
     "  --servers N        up to 5, as an ensemble whose leader it is that dies; 1\n"
     "  --invariants FILE  what has to hold, if it lies elsewhere\n"
     "Exit codes: 0 all holds; 1 it does not, or cannot be tried; 2 usage; 128 + signal.\n"
     "\n"
     "check: whether a server would take it; the version that it would be, or file, line, reason.\n"
     "describe: what its operations do, and their arguments; of a server's recipe, or of a file.\n"
     "deploy: make the file the active version; calls that wait go on with theirs. --expect: the\n"
     "version that it replaces, or how it begins, or none; another one is a Conflict.\n"
     "rollback: to the version that the last change replaced, or to VERSION.\n"
     "remove: a version that is not active, or the recipe. --fail-waiting: end the calls that "
     "wait\n"
     "on it, their cancel runs; without it they are a Conflict.\n"
     "upgrade: take what the server's own catalogue has now, but for what was replaced by deploy.\n"
     "list: what is active and how much it is used; show: its source; history: who did what.\n"
     "Changing anything needs the right to write /zookeeper/recipes: recipeAdmin, --auth.\n"},
    {"shell",
     "shell [-server HOST:PORT[,HOST:PORT][/CHROOT]] [-timeout MS] [-r]\n"
     "                        [-waitforconnection] [--json] [COMMAND ...]",
     "Commands as ZooKeeper's zkCli.sh has them: one from the command line, or lines from a\n"
     "terminal, which can be edited, or from a pipe. -timeout: of the session, 30000; -r: be\n"
     "content with a server in read-only mode; -waitforconnection: for so long, before anything\n"
     "else; --json: results and events as JSON.\n"
     "Exit codes: 0 the last command succeeded; 1 it failed; 2 usage of shell itself; 3 no "
     "session\n"
     "with -waitforconnection; 127 there is no such command.\n"
     "Lines are kept in $XDG_STATE_HOME/moonkeeper/history, or ~/.local/state/moonkeeper/history,\n"
     "but for those of addauth. Tab completes commands, options and paths. Commands:\n"},
    {"word", "word WORD",
     "Send a four-letter word to the first server that accepts a connection: ruok srvr stat mntr\n"
     "isro conf, and what else it allows.\n"},
    {"start", "start [--wait TIME] CONFIG",
     "Start moonkeeperd in the background, and wait until it answers, at most TIME (60s).\n"
     "moonkeeperd is looked for beside this program, in the sbin of the installation, in PATH.\n"
     "Its output is appended to moonkeeper_server.out, its number written to\n"
     "zookeeper_server.pid, both in dataDir.\n"
     "Exit codes: 0 it answers; 1 it runs already, or has failed, and why; 2 CONFIG cannot be\n"
     "read; 4 no answer in time: it is left to go on.\n"},
    {"start-foreground", "start-foreground CONFIG",
     "Become moonkeeperd: its output comes here, and Ctrl-C stops it.\n"},
    {"stop", "stop [--wait TIME] CONFIG",
     "Stop the server that start has started, and wait for its orderly end, at most TIME (60s).\n"
     "Exit codes: 0 it has ended, or there was none; 1 it has not, or was started otherwise.\n"},
    {"restart", "restart [--wait TIME] CONFIG",
     "stop, then start; but a configuration that the server would refuse is told first, with\n"
     "exit code 2, and the server that runs is left alone.\n"},
    {"status", "status CONFIG",
     "Find the client port in CONFIG, as zkServer.sh does, ask there, and print the mode.\n"
     "Exit codes: 0 it answers; 1 it does not.\n"},
    {"print-cmd", "print-cmd CONFIG", "Print the command that start runs.\n"},
    {"repair", "repair --rejoin CONFIG",
     "Of a member of an ensemble that has stopped, whose data is damaged or must not be believed:\n"
     "put state and log aside (nothing is deleted), and have the next start get everything from\n"
     "the leader. Until it has, the server takes no part in elections. Its promises, the epochs,\n"
     "stay. While more than half of the others run, nothing is lost. Exit codes: 0 done;\n"
     "2 CONFIG is not an ensemble's; 3 the server still runs.\n"},
    {"backup", "backup [--wait TIME] CONFIG",
     "Have a server that runs write a backup into its backupDir, and print its directory: all\n"
     "that was acknowledged before, with sessions and their ephemerals. Of an ensemble any member\n"
     "will do. Waits up to TIME (10m). Exit codes: 0 it is written; 1 it is not, and why;\n"
     "2 CONFIG cannot be read.\n"},
    {"restore", "restore BACKUP CONFIG",
     "Make of a backup, which stays as it is, the data of a server that has none: dataDir holds\n"
     "no more than myid. Of an ensemble every member is restored from the same backup, and only\n"
     "then is one started: none that still has other data may be among them. Exit codes: 0 done;\n"
     "1 why not; 2 CONFIG is not valid; 3 a server runs there.\n"},
    {"import", "import [--log-from DIR] [--log-to DIR] ZOOKEEPER_DATADIR DATADIR",
     "Make the data of a ZooKeeper, which must have been stopped, a server's data: znodes with\n"
     "their Stats, ACLs, and sessions, with which clients go on. From the newest snapshot that is\n"
     "whole, and the log behind it. --log-from, --log-to: dataLogDir, if it is another.\n"
     "ZOOKEEPER_DATADIR is not changed; on a failure nothing is left in DATADIR. Exit code 1: "
     "why.\n"},
    {"export", "export [--log-from DIR] DATADIR ZOOKEEPER_DATADIR",
     "Write the data of a server that has been stopped as a snapshot from which a ZooKeeper\n"
     "starts. What recipes have made are ordinary znodes there: a lock that is held is held as\n"
     "long as its session lives, a call that waits has nobody who would go on with it.\n"},
    {"version", "version", "Print the version.\n"},
    {"help", "help [COMMAND]", "Print one screen about all commands, or more about one.\n"},
};

void help_print(void)
{
    (void)fputs(overview, stdout);
}

int help_topic_print(const char *name)
{
    for (size_t i = 0; i < MK_COUNT(topics); i++) {
        if (strcmp(name, topics[i].name) == 0) {
            printf("usage: moonkeeper %s\n\n%s", topics[i].synopsis, topics[i].text);
            if (strcmp(name, "shell") == 0) {
                shell_commands_print();
            }
            return CLI_OK;
        }
    }
    return cli_usage("help", "%s: no such command", name);
}
