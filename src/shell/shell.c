/* The shell's life: options, a session, then one command, or lines from a terminal or a pipe.
 *
 *   options ─▶ "Connecting to …" ─┬─ words ─▶ one command ─▶ its exit code
 *                                 ├─ a terminal ─▶ edit.c ─┐
 *                                 └─ a pipe ─▶ input.c ────┴▶ shell_line_run() each ─▶ the last's
 *
 * Requests wait on this thread; what the library's thread hears meanwhile is queued by events.c and
 * printed between two commands, or while a line is edited. */
#include "shell/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS_DEFAULT 30000 /* as zkCli */

/* ---- Session ---- */

void shell_close(struct shell *shell)
{
    if (shell->handle != NULL) {
        (void)moonkeeper_close(shell->handle);
        shell->handle = NULL;
    }
}

bool shell_connect(struct shell *shell, const char *servers)
{
    struct moonkeeper_options options = {.servers = servers,
                                         .timeout_ms = shell->timeout_ms,
                                         .read_only = shell->read_only,
                                         .listener = shell_events_listener,
                                         .listener_context = &shell->events,
                                         .tls = shell->tls};
    char why[256];

    MK_ASSERT(servers != NULL);
    if (!moonkeeper_servers_check(servers, why, sizeof(why))) {
        (void)shell_fail(shell, NULL, "%s", why);
        return false;
    }
    char *text = mk_alloc(strlen(servers) + 1);
    memcpy(text, servers, strlen(servers) + 1); /* it may be the old text */
    shell_close(shell);
    mk_free(shell->servers_text);
    shell->servers_text = text;
    shell->servers = text;
    options.servers = text;
    shell->events.was_connected = false;
    int error = moonkeeper_open(&options, &shell->handle);
    if (error != MOONKEEPER_OK) {
        shell->handle = NULL;
        (void)shell_refused(shell, error, NULL);
        return false;
    }
    if (shell->wait_connection &&
        moonkeeper_connect_wait(shell->handle, shell->timeout_ms, 0) != MOONKEEPER_OK) {
        moonkeeper_trouble(shell->handle, why, sizeof(why));
        shell_close(shell);
        (void)shell_fail(shell, "ConnectionLoss", "no server gave a session in time: %s", why);
        return false;
    }
    return true;
}

static const char *state_words(struct shell *shell)
{
    switch (shell->handle != NULL ? moonkeeper_state(shell->handle) : MOONKEEPER_CLOSED) {
    case MOONKEEPER_CONNECTING: return "CONNECTING";
    case MOONKEEPER_CONNECTED: return "CONNECTED";
    case MOONKEEPER_CONNECTED_READ_ONLY: return "CONNECTEDREADONLY";
    case MOONKEEPER_AUTHENTICATION_FAILED: return "AUTH_FAILED";
    case MOONKEEPER_EXPIRED:
    case MOONKEEPER_CLOSED: break;
    }
    return "CLOSED";
}

void shell_prompt(struct shell *shell, struct mk_buf *out)
{
    struct mk_buf prompt = {0};

    mk_buf_printf(&prompt, "[zk: %s(%s) %zu] ", shell->servers, state_words(shell),
                  shell->lines_count);
    format_visible(out, mk_buf_view(&prompt));
    mk_buf_free(&prompt);
}

/* ---- Lines ---- */

void shell_line_run(struct shell *shell, const char *line)
{
    struct shell_words words;

    if (line[strspn(line, " \t\r\n\v\f")] == '\0') {
        return;
    }
    char **kept = &shell->lines[shell->lines_count % SHELL_HISTORY_MAX];
    mk_free(*kept);
    *kept = shell_path_join("", line);
    shell_words_split(&words, line);
    shell->exit_code = shell_run(shell, words.words, words.count);
    shell->lines_count++;
    shell_object_end(shell);
    (void)shell_events_print(shell);
    shell_words_free(&words);
}

/* ---- The command line ---- */

static int usage(const char *what, const char *word)
{
    fprintf(stderr, "moonkeeper: shell: %s%s; moonkeeper help shell tells more\n", what, word);
    return SHELL_USAGE;
}

/* An option, and its value if it takes one, or NULL. SHELL_OK or SHELL_USAGE, said. */
static int option_take(struct shell *shell, const char *option, const char *value)
{
    int64_t timeout_ms = 0;

    if (strcmp(option, "-server") == 0) {
        shell->servers = value;
    } else if (strcmp(option, "-timeout") == 0) {
        if (!shell_number_parse(value, 10, 1, INT32_MAX, &timeout_ms)) {
            return usage("-timeout must be a number of milliseconds, not ", value);
        }
        shell->timeout_ms = (int)timeout_ms;
    } else if (strcmp(option, "-r") == 0) {
        shell->read_only = true;
    } else if (strcmp(option, "-waitforconnection") == 0) {
        shell->wait_connection = true;
    } else if (strcmp(option, "--json") == 0) {
        shell->json = true;
    } else if (strcmp(option, "-s") == 0 || strcmp(option, "-client-configuration") == 0) {
        return usage("TLS is moonkeeper's --tls-ca before the command, SASL there is none; so no ",
                     option);
    } else {
        return usage("there is no option ", option);
    }
    return SHELL_OK;
}

/* The options, up to the first word that is none: *at. SHELL_OK or SHELL_USAGE, said. */
static int options_read(struct shell *shell, int argc, char **argv, int *at)
{
    int code = SHELL_OK;

    for (*at = 1; code == SHELL_OK && *at < argc && argv[*at][0] == '-'; ++*at) {
        const char *option = argv[*at];
        bool takes = strcmp(option, "-server") == 0 || strcmp(option, "-timeout") == 0;
        if (takes && *at + 1 >= argc) {
            return usage("no argument found for option ", option);
        }
        *at += takes ? 1 : 0;
        code = option_take(shell, option, takes ? argv[*at] : NULL);
    }
    return code;
}

static void shell_init(struct shell *shell, const char *servers, bool json)
{
    memset(shell, 0, sizeof(*shell));
    shell->servers = servers;
    shell->json = json;
    shell->timeout_ms = TIMEOUT_MS_DEFAULT;
    shell->print_watches = true;
    shell->terminal_out = isatty(STDOUT_FILENO) == 1;
    shell->terminal_err = isatty(STDERR_FILENO) == 1;
    shell_events_init(&shell->events);
    /* For the characters of lines that are edited; numbers and dates stay as they are. */
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
}

static void shell_deinit(struct shell *shell)
{
    if (!shell->quit) {
        shell->print_watches =
            false; /* the end of the session is nobody's news, unless asked for */
    }
    shell_close(shell);
    (void)shell_events_print(shell);
    shell_events_free(&shell->events);
    for (size_t i = 0; i < SHELL_HISTORY_MAX; i++) {
        mk_free(shell->lines[i]);
    }
    mk_buf_free(&shell->out);
    mk_free(shell->servers_text);
}

static void run(struct shell *shell, int argc, char **argv)
{
    if (argc > 0) {
        shell->exit_code = shell_run(shell, argv, (size_t)argc);
        shell_object_end(shell);
        (void)shell_events_print(shell);
    } else if (isatty(STDIN_FILENO) == 1 && shell->terminal_out && !shell->json) {
        shell_edit_run(shell);
    } else {
        shell_input_run(shell);
    }
}

int shell_main(const char *servers, const struct moonkeeper_tls *tls, bool json, int argc,
               char **argv)
{
    struct shell *shell = mk_alloc(sizeof(*shell));
    int at = 0;

    shell_init(shell, servers, json);
    shell->tls = tls;
    int code = options_read(shell, argc, argv, &at);
    if (code == SHELL_OK) {
        if (!shell->json) {
            shell_print(shell, "Connecting to %s\n", shell->servers);
            shell_flush(shell);
        }
        if (shell_connect(shell, shell->servers)) {
            run(shell, argc - at, argv + at);
            code = shell->exit_code;
        } else {
            code = shell->wait_connection ? SHELL_UNREACHABLE : SHELL_USAGE;
        }
    }
    shell_deinit(shell);
    mk_free(shell);
    return code;
}
