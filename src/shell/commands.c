/* The table of commands, and how one is run. */
#include "shell/internal.h"

#include <stdio.h>
#include <string.h>

/* Sorted by name. Usages are zkCli's, with what 3.9 has added. */
static const struct shell_command commands[] = {
    {.name = "addWatch",
     .usage = "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - "
              "default is PERSISTENT_RECURSIVE",
     .summary = "be told of all changes of a znode, or of all below it, until removewatches",
     .run = shell_do_add_watch,
     .words_min = 1,
     .options = {{"m", true}}},
    {.name = "addauth",
     .usage = "scheme auth",
     .summary = "add an identity to the session; such lines are not kept in the history file",
     .run = shell_do_addauth,
     .words_min = 1},
    {.name = "close", .usage = "", .summary = "end the session", .run = shell_do_close},
    {.name = "config",
     .usage = "[-c] [-w] [-s]",
     .summary = "the ensemble's configuration; -c: as a list of servers for clients",
     .run = shell_do_config,
     .options = {{"c", false}, {"w", false}, {"s", false}}},
    {.name = "connect",
     .usage = "host:port",
     .summary = "end the session and begin another, with the same servers or others",
     .run = shell_do_connect,
     .offline = true},
    {.name = "create",
     .usage = "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
     .summary = "-s sequential, -e ephemeral, -c container, -t ttl in ms; acl: scheme:id:perms,…",
     .run = shell_do_create,
     .words_min = 1,
     .options = {{"e", false}, {"s", false}, {"c", false}, {"t", true}}},
    {.name = "delete",
     .usage = "[-v version] path",
     .summary = "delete a znode without children",
     .run = shell_do_delete,
     .words_min = 1,
     .options = {{"v", true}}},
    {.name = "deleteall",
     .usage = "path [-b batch size]",
     .summary = "delete a znode and all below it, 1000 in one transaction",
     .run = shell_do_deleteall,
     .words_min = 1,
     .options = {{"b", true}}},
    {.name = "delquota",
     .usage = "[-n|-b|-N|-B] path",
     .summary = "remove one limit of a quota, or all of it",
     .run = shell_do_delquota,
     .words_min = 1,
     .options = {{"n", false}, {"b", false}, {"N", false}, {"B", false}}},
    {.name = "get",
     .usage = "[-s] [-w] [-b] [-x] path",
     .summary = "the data; -s with stat, -w with a watch, -b as base64, -x as a hex dump",
     .run = shell_do_get,
     .words_min = 1,
     .options = {{"s", false}, {"w", false}, {"b", false}, {"x", false}}},
    {.name = "getAcl",
     .usage = "[-s] path",
     .summary = "who may do what",
     .run = shell_do_get_acl,
     .words_min = 1,
     .options = {{"s", false}}},
    {.name = "getAllChildrenNumber",
     .usage = "path",
     .summary = "how many znodes are below it",
     .run = shell_do_get_all_children_number,
     .words_min = 1},
    {.name = "getEphemerals",
     .usage = "path",
     .summary = "the ephemerals of this session, or those whose path begins with path",
     .run = shell_do_get_ephemerals},
    {.name = "help",
     .usage = "[command]",
     .summary = "this",
     .run = shell_do_help,
     .offline = true},
    {.name = "history",
     .usage = "",
     .summary = "the last eleven lines",
     .run = shell_do_history,
     .offline = true},
    {.name = "listquota",
     .usage = "path",
     .summary = "limits and use",
     .run = shell_do_listquota,
     .words_min = 1},
    {.name = "ls",
     .usage = "[-s] [-w] [-R] path",
     .summary = "the children; -s with stat, -w with a watch, -R with all below them",
     .run = shell_do_ls,
     .words_min = 1,
     .options = {{"s", false}, {"w", false}, {"R", false}}},
    {.name = "printwatches",
     .usage = "on|off",
     .summary = "whether events are printed",
     .run = shell_do_printwatches,
     .offline = true},
    {.name = "quit",
     .usage = "",
     .summary = "end the session and the shell",
     .run = shell_do_quit,
     .offline = true},
    {.name = "reconfig",
     .usage =
         "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] "
         "| [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
     .summary = "change the ensemble",
     .run = shell_do_reconfig,
     .options = {{"s", false},
                 {"v", true},
                 {"file", true},
                 {"members", true},
                 {"add", true},
                 {"remove", true}}},
    {.name = "redo",
     .usage = "cmdno",
     .summary = "run the line of that number again",
     .run = shell_do_redo,
     .offline = true},
    {.name = "removewatches",
     .usage = "path [-c|-d|-p|-r|-a] [-l]",
     .summary = "of children, of data, persistent, recursive, any; -l also without a server",
     .run = shell_do_remove_watches,
     .words_min = 1,
     .options =
         {{"c", false}, {"d", false}, {"p", false}, {"r", false}, {"a", false}, {"l", false}}},
    {.name = "set",
     .usage = "[-s] [-v version] [-b] path data",
     .summary = "replace the data; -s and print the stat, -b data is base64",
     .run = shell_do_set,
     .words_min = 2,
     .options = {{"s", false}, {"v", true}, {"b", false}}},
    {.name = "setAcl",
     .usage = "[-s] [-v version] [-R] path acl",
     .summary = "say who may do what: scheme:id:perms,… with perms of cdrwa; -R for all below, too",
     .run = shell_do_set_acl,
     .words_min = 2,
     .options = {{"s", false}, {"v", true}, {"R", false}}},
    {.name = "setquota",
     .usage = "-n|-b|-N|-B val path",
     .summary = "limit znodes (-n, hard: -N) or bytes (-b, hard: -B) below path",
     .run = shell_do_setquota,
     .words_min = 1,
     .options = {{"n", true}, {"b", true}, {"N", true}, {"B", true}}},
    {.name = "stat",
     .usage = "[-w] path",
     .summary = "what is known about a znode besides its data",
     .run = shell_do_stat,
     .words_min = 1,
     .options = {{"w", false}}},
    {.name = "sync",
     .usage = "path",
     .summary = "wait until the server has caught up with its leader",
     .run = shell_do_sync,
     .words_min = 1},
    {.name = "version",
     .usage = "",
     .summary = "of this program",
     .run = shell_do_version,
     .offline = true},
    {.name = "whoami", .usage = "", .summary = "the session's identities", .run = shell_do_whoami},
};

const struct shell_command *shell_command_at(size_t index)
{
    return index < MK_COUNT(commands) ? &commands[index] : NULL;
}

const struct shell_command *shell_command_find(const char *name)
{
    for (size_t i = 0; i < MK_COUNT(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

void shell_commands_print(void)
{
    for (size_t i = 0; i < MK_COUNT(commands); i++) {
        printf("  %-21s %s\n", commands[i].name, commands[i].summary);
    }
}

/* A handle whose session has ended is as good as none. */
static bool session_lives(struct shell *shell)
{
    enum moonkeeper_state state =
        shell->handle != NULL ? moonkeeper_state(shell->handle) : MOONKEEPER_CLOSED;

    return state != MOONKEEPER_CLOSED && state != MOONKEEPER_EXPIRED &&
           state != MOONKEEPER_AUTHENTICATION_FAILED;
}

int shell_run(struct shell *shell, char **words, size_t count)
{
    const struct shell_command *command = count > 0 ? shell_command_find(words[0]) : NULL;
    struct shell_call call;
    struct mk_error error;

    if (command == NULL) {
        (void)shell_fail(shell, NULL, "Command not found: Command not found %s; help lists them",
                         count > 0 ? words[0] : "");
        return SHELL_NO_COMMAND;
    }
    if (!shell_call_parse(&call, command, words, count, &error)) {
        return shell_fail(shell, NULL, "%s", error.text);
    }
    if (!command->offline && !session_lives(shell)) {
        if (shell->json) {
            return shell_fail(shell, "SessionExpired", "Not connected");
        }
        shell_print(shell, "Not connected\n");
        return SHELL_OK; /* as zkCli */
    }
    return command->run(shell, &call);
}

int shell_ask(struct shell *shell, struct moonkeeper_request *request,
              struct moonkeeper_result *result)
{
    request->wait_ms = -1; /* the library's own: until an answer, or until no server is to be had */
    int error = moonkeeper_ask(shell->handle, request, result);
    (void)shell_events_print(shell); /* what came before the answer is told before it */
    return error;
}

int shell_path_ask(struct shell *shell, struct moonkeeper_request *request, bool sequential,
                   struct moonkeeper_result *result)
{
    struct mk_error error;

    if (!shell_path_check(request->path, sequential, &error)) {
        return shell_fail(shell, NULL, "%s", error.text);
    }
    int code = shell_ask(shell, request, result);
    if (code != MOONKEEPER_OK) {
        moonkeeper_result_free(result);
        return shell_refused(shell, code, request->path);
    }
    return SHELL_OK;
}
