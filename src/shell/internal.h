/* Private to shell: what its files share. */
#ifndef SHELL_INTERNAL_H
#define SHELL_INTERNAL_H

#include "client/client.h"
#include "shell/shell.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

/* The longest line. A znode's data is at most jute.maxbuffer, 1 MiB unless raised. */
#define SHELL_LINE_BYTES_MAX ((size_t)4 * 1024 * 1024)
/* Lines kept for `history` and `redo`, and in the file. */
#define SHELL_HISTORY_MAX 1000
#define SHELL_OPTIONS_MAX 7
/* Events that wait to be printed; beyond it they are counted, and the number is told. */
#define SHELL_EVENTS_MAX 10000
/* Znodes that deleteall and setAcl -R take on: their paths are all kept in memory. */
#define SHELL_SUBTREE_MAX 5000000

/* ---- words.c: a line into words, words into options ---- */

/* The words of a line, quoted as zkCli understands it; they borrow from `text`. */
struct shell_words {
    struct mk_buf text;
    char **words;
    size_t count;
};
void shell_words_split(struct shell_words *words, const char *line);
void shell_words_free(struct shell_words *words);

struct shell_option {
    const char *name; /* without its hyphen; NULL behind the last */
    bool value;
};

struct shell;
struct shell_call;
struct shell_command {
    const char *name;
    const char *usage;   /* what follows the name */
    const char *summary; /* for help */
    int (*run)(struct shell *shell, struct shell_call *call);
    int words_min; /* besides its name */
    bool offline;  /* needs no session */
    struct shell_option options[SHELL_OPTIONS_MAX];
};

/* A command with its words (words[0] is its name) and options: values[i] belongs to options[i], is ""
 * if the option takes none, and NULL if it was not given. */
struct shell_call {
    const struct shell_command *command;
    const char *values[SHELL_OPTIONS_MAX];
    char **words;
    size_t count;
};
/* Options and words of `words`, whose order changes. False: `error` says what is wrong with them. */
bool shell_call_parse(struct shell_call *call, const struct shell_command *command, char **words,
                      size_t count, struct mk_error *error);
/* The value of an option, "" if it takes none; NULL: it was not given. */
const char *shell_call_value(const struct shell_call *call, const char *option);
bool shell_call_has(const struct shell_call *call, const char *option);

/* ---- check.c: what is refused before it is sent, in the words of ZooKeeper's client ---- */

/* False: `error` says what is wrong with the path. A sequential one gets a number behind it. */
bool shell_path_check(const char *path, bool sequential, struct mk_error *error);
bool shell_number_parse(const char *text, int base, int64_t min, int64_t max, int64_t *value);

/* "scheme:id:perms,…"; what does not have that form is told on standard error, and left out. */
struct shell_acls {
    struct mk_buf text;
    struct moonkeeper_acl *list;
    size_t count;
};
void shell_acls_parse(struct shell *shell, struct shell_acls *acls, const char *text);
void shell_acls_free(struct shell_acls *acls);

/* ---- format.c: texts, byte for byte as zkCli has them ---- */

void format_stat(struct mk_buf *out, const struct moonkeeper_stat *stat);
void format_date(struct mk_buf *out, int64_t time_ms); /* local time, as java.util.Date prints it */
void format_acl(struct mk_buf *out, const struct moonkeeper_acl *acl);
void format_event(struct mk_buf *out, const char *state, const char *type, const char *path);
void format_hex(struct mk_buf *out, struct mk_bytes data);
bool parse_base64(struct mk_buf *out, const char *text); /* false: it is none */
/* "version host:port,host:port" of the text of a configuration. */
void format_config_clients(struct mk_buf *out, struct mk_bytes config);
/* What a server's error code means to a command about `path` (or NULL). */
void format_failure(struct mk_buf *out, int error, const char *path);

/* Text as a terminal may be given it: newlines and tabs stay; other control characters and bytes that
 * are not UTF-8 become \xNN. */
void format_visible(struct mk_buf *out, struct mk_bytes text);

/* ---- quota_text.c: "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1" ---- */

struct quota_text {
    int64_t count, bytes, count_hard, bytes_hard; /* -1: no limit */
    bool has_hard; /* whether hard limits are part of the text: not in those of old clients */
};
struct quota_text quota_text_parse(struct mk_bytes text);
void quota_text_format(struct mk_buf *out, const struct quota_text *quota);

/* ---- events.c: from the library's thread to ours ---- */

struct shell_event {
    struct shell_event *next;
    int type;          /* enum moonkeeper_event_type */
    const char *state; /* a constant */
    char path[];       /* "" with MOONKEEPER_EVENT_NONE */
};
struct shell_events {
    pthread_mutex_t lock;
    struct shell_event *first;
    struct shell_event **last;
    size_t count;
    size_t dropped;
    int wake; /* an eventfd: readable when there are some */
    bool was_connected;
};
void shell_events_init(struct shell_events *events);
void shell_events_free(struct shell_events *events);
moonkeeper_watcher shell_events_watcher;   /* context: the struct shell_events */
moonkeeper_listener shell_events_listener; /* the same */
/* Print those that have come, on standard output; whether there were any. */
bool shell_events_print(struct shell *shell);

/* ---- shell.c ---- */

struct shell {
    const char *servers;              /* as typed, for the prompt; owned: servers_text */
    const struct moonkeeper_tls *tls; /* NULL: without */
    char *servers_text;
    int timeout_ms;
    bool read_only;
    bool wait_connection;
    bool json;
    bool terminal_out; /* what is a terminal gets no control characters */
    bool terminal_err;
    bool print_watches;
    bool quit;
    int exit_code;             /* of the last command */
    struct moonkeeper *handle; /* NULL: closed */
    struct shell_events events;
    struct mk_buf out;              /* not yet printed */
    json_t *object;                 /* with --json: the result so far, or NULL */
    char *lines[SHELL_HISTORY_MAX]; /* line i at [i % SHELL_HISTORY_MAX] */
    size_t lines_count;
};

/* Close what there is, and open a handle for `servers`. False, said: they make no sense. */
bool shell_connect(struct shell *shell, const char *servers);
void shell_close(struct shell *shell);
/* Run one line, and keep it. */
void shell_line_run(struct shell *shell, const char *line);
/* Read lines from standard input until its end, or `quit`; plain, or with a terminal. */
void shell_input_run(struct shell *shell);
void shell_edit_run(struct shell *shell);
/* "[zk: host(CONNECTED) 3] ". */
void shell_prompt(struct shell *shell, struct mk_buf *out);

/* ---- output.c ---- */

void shell_print(struct shell *shell, const char *format, ...) MK_PRINTF(2, 3); /* buffered */
void shell_flush(struct shell *shell);
/* A line on standard error. */
void shell_say(struct shell *shell, const char *format, ...) MK_PRINTF(2, 3);
/* The same about a command that failed, with --json as {"error": name, "message": …}; returns
 * SHELL_FAILED. `error` may be NULL. */
int shell_fail(struct shell *shell, const char *error, const char *format, ...) MK_PRINTF(3, 4);
/* That a request about `path` was answered with an error. */
int shell_refused(struct shell *shell, int error, const char *path);

/* Results, as text or as members of the JSON object. */
void shell_show_text(struct shell *shell, const char *name, const char *text);
void shell_show_number(struct shell *shell, const char *name, int64_t number);
void shell_show_data(struct shell *shell, const char *name, struct mk_bytes data); /* a line */
void shell_show_stat(struct shell *shell, const struct moonkeeper_stat *stat);
void shell_show_names(struct shell *shell, const char *name,
                      const struct moonkeeper_result *result); /* "[a, b]", sorted */
void shell_show_path(struct shell *shell, const char *path);   /* one of many, a line each */
void shell_object_end(struct shell *shell);            /* print the object, if there is one */
json_t *shell_json_text(const char *text, size_t len); /* malformed: U+FFFD */

/* ---- subtree.c ---- */

/* Sorted copies of names, for walking trees. */
struct shell_names {
    char **names;
    size_t count;
    size_t capacity;
};
void shell_names_add_take(struct shell_names *names, char *name);
void shell_names_sort(struct shell_names *names);
void shell_names_free(struct shell_names *names);
char *shell_path_join(const char *parent, const char *name);
/* Call `visit` for the znode and all below it, parents first, the children of one sorted and
 * together, as ZooKeeper's clients walk. What vanishes meanwhile is passed over; an error of the
 * znode itself, or false from `visit` (0), ends the walk and is returned. */
typedef bool shell_visit(void *context, const char *path);
int shell_subtree_walk(struct shell *shell, const char *path, bool watch, shell_visit *visit,
                       void *context);

/* ---- Requests ---- */

/* Wait for the result, which must be freed; a MOONKEEPER_… error. */
int shell_ask(struct shell *shell, struct moonkeeper_request *request,
              struct moonkeeper_result *result);
/* The same for a path as it was typed, which is checked. An exit code: if it is not SHELL_OK, why was
 * said, and there is nothing to be freed. */
int shell_path_ask(struct shell *shell, struct moonkeeper_request *request, bool sequential,
                   struct moonkeeper_result *result);

/* ---- commands.c: the table; and the files that have the commands ---- */

const struct shell_command *shell_command_find(const char *name);
const struct shell_command *shell_command_at(size_t index); /* sorted; NULL behind the last */
/* Run a command of `count` words; an exit code. */
int shell_run(struct shell *shell, char **words, size_t count);

typedef int shell_run_function(struct shell *shell, struct shell_call *call);
shell_run_function shell_do_get, shell_do_ls, shell_do_stat, shell_do_get_acl,
    shell_do_get_ephemerals, shell_do_get_all_children_number, shell_do_sync, shell_do_whoami,
    shell_do_config; /* read.c */
shell_run_function shell_do_create, shell_do_set, shell_do_delete, shell_do_deleteall,
    shell_do_set_acl, shell_do_reconfig;                                     /* write.c */
shell_run_function shell_do_setquota, shell_do_delquota, shell_do_listquota; /* quota.c */
shell_run_function shell_do_add_watch, shell_do_remove_watches;              /* watch.c */
shell_run_function shell_do_addauth, shell_do_connect, shell_do_close, shell_do_quit,
    shell_do_version, shell_do_history, shell_do_redo, shell_do_printwatches,
    shell_do_help; /* session.c */

/* ---- complete.c ---- */

/* What the word at the end of `line` may go on with. */
struct shell_completion {
    size_t word_bytes;        /* of the word so far that the candidates would replace */
    struct shell_names names; /* whole candidates, sorted */
};
void shell_complete(struct shell *shell, const char *line, struct shell_completion *out);

#endif
