/* Lines from a terminal: editing, history and completion, by libedit. Events and states are printed as
 * they come: the line that is edited is wiped, and shown again below them. */
#include "shell/internal.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define PATH_BYTES 4096
#define KEPT_BYTES_MAX 4096      /* of a line in the history: longer ones carry data */
#define CANDIDATES_SHOWN_MAX 200 /* of a completion; a parent may have a million children */

struct editor {
    struct shell *shell;
    EditLine *line;
    History *history;
    char file[PATH_BYTES]; /* of the history; "": there is none */
    struct mk_buf prompt;
    mbstate_t state; /* of the character that is being read */
    int signals;     /* a signalfd: while a line is edited, SIGINT gives up the line */
    bool interrupted;
};

/* ---- Events while a line is edited ---- */

static void events_show(struct editor *editor)
{
    if (editor->shell->print_watches) {
        (void)fputs("\r\033[K", stdout);
    }
    if (shell_events_print(editor->shell)) {
        (void)fflush(stdout);
    }
    /* The prompt tells the state, which may be another one now. */
    (void)el_set(editor->line, EL_REFRESH);
}

/* ---- Keys ---- */

/* A byte of the terminal's; -1: no more, or interrupted. */
static int byte_read(struct editor *editor)
{
    struct pollfd wait[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = editor->shell->events.wake, .events = POLLIN},
                            {.fd = editor->signals, .events = POLLIN}};
    struct signalfd_siginfo signal;
    unsigned char byte;

    for (;;) {
        int ready = poll(wait, MK_COUNT(wait), -1);
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready < 0) {
            return -1;
        }
        if (wait[1].revents != 0) {
            events_show(editor);
        }
        if (wait[2].revents != 0) {
            (void)!read(editor->signals, &signal, sizeof(signal));
            editor->interrupted = true;
            return -1;
        }
        ssize_t count = wait[0].revents != 0 ? read(STDIN_FILENO, &byte, 1) : 0;
        if (wait[0].revents != 0 && (count >= 0 || errno != EINTR)) {
            return count == 1 ? byte : -1;
        }
    }
}

/* One character, as libedit wants it: 1, or 0 at the end. A byte that is part of none stands for
 * itself, so that nothing that a terminal sends can stop the shell. */
static int character_read(EditLine *line, wchar_t *out)
{
    struct editor *editor = NULL;
    int byte;

    (void)el_get(line, EL_CLIENTDATA, &editor);
    while ((byte = byte_read(editor)) >= 0) {
        char c = (char)byte;
        size_t used = mbrtowc(out, &c, 1, &editor->state);
        if (used == (size_t)-2) {
            continue;
        }
        if (used == (size_t)-1) {
            memset(&editor->state, 0, sizeof(editor->state));
            *out = (wchar_t)(unsigned char)byte;
        }
        return 1;
    }
    return 0;
}

/* ---- Completion ---- */

static void candidates_show(struct editor *editor, const struct shell_names *names)
{
    struct mk_buf text = {0};
    struct mk_buf visible = {0};

    (void)fputc('\n', stdout);
    for (size_t i = 0; i < names->count && i < CANDIDATES_SHOWN_MAX; i++) {
        const char *slash = strrchr(names->names[i], '/');
        mk_buf_printf(&text, "%s  ", slash != NULL ? slash + 1 : names->names[i]);
    }
    if (names->count > CANDIDATES_SHOWN_MAX) {
        mk_buf_printf(&text, "and %zu more", names->count - CANDIDATES_SHOWN_MAX);
    }
    format_visible(&visible, mk_buf_view(&text));
    (void)fwrite(visible.data, 1, visible.len, stdout);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    mk_buf_free(&text);
    mk_buf_free(&visible);
    (void)el_set(editor->line, EL_REFRESH);
}

/* How many bytes all of them begin with; never half of a character. */
static size_t common_bytes(const struct shell_names *names)
{
    const char *first = names->names[0];
    size_t common = strlen(first);

    for (size_t i = 1; i < names->count; i++) {
        size_t same = 0;
        while (same < common && first[same] == names->names[i][same]) {
            same++;
        }
        common = same;
    }
    while (common > 0 && (first[common] & 0xc0) == 0x80) {
        common--;
    }
    return common;
}

/* Insert what all candidates agree on, or show them; what libedit is to do next. */
static unsigned char completion_apply(struct editor *editor,
                                      const struct shell_completion *completion)
{
    if (completion->names.count == 0) {
        return CC_ERROR;
    }
    char *first = completion->names.names[0];
    size_t common = common_bytes(&completion->names);
    bool sole = completion->names.count == 1;
    if (!sole && common <= completion->word_bytes) {
        candidates_show(editor, &completion->names);
        return CC_REDISPLAY;
    }
    first[common] = '\0';
    (void)el_insertstr(editor->line, first + completion->word_bytes);
    if (sole && first[0] != '/') {
        (void)el_insertstr(editor->line, " "); /* a path may go on, a command does not */
    }
    return CC_REFRESH;
}

static unsigned char on_tab(EditLine *line, wint_t key)
{
    struct editor *editor = NULL;
    const LineInfo *info = el_line(line);
    struct shell_completion completion;
    struct mk_buf before = {0};

    (void)key;
    (void)el_get(line, EL_CLIENTDATA, &editor);
    mk_buf_append(&before, info->buffer, (size_t)(info->cursor - info->buffer));
    mk_buf_put_u8(&before, '\0');
    shell_complete(editor->shell, (const char *)before.data, &completion);
    unsigned char answer = completion_apply(editor, &completion);
    shell_names_free(&completion.names);
    mk_buf_free(&before);
    return answer;
}

/* ---- History ---- */

/* Make each folder of a path, for ourselves only. */
static void folders_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
}

/* $XDG_STATE_HOME/moonkeeper/history, or below ~/.local/state. Without either there is no file. */
static void history_locate(struct editor *editor)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int bytes = 0;

    if (state != NULL && state[0] == '/') {
        bytes = snprintf(editor->file, PATH_BYTES, "%s/moonkeeper/history", state);
    } else if (home != NULL && home[0] == '/') {
        bytes = snprintf(editor->file, PATH_BYTES, "%s/.local/state/moonkeeper/history", home);
    }
    if (bytes <= 0 || bytes >= PATH_BYTES) {
        editor->file[0] = '\0';
    }
}

/* Whether a line may be written down: those of addauth, by whatever blanks and quotes, hold secrets. */
static bool line_may_be_kept(const char *line)
{
    if (strlen(line) > KEPT_BYTES_MAX) {
        return false;
    }

    struct shell_words words;

    shell_words_split(&words, line);
    bool may = words.count > 0 && strcmp(words.words[0], "addauth") != 0;
    shell_words_free(&words);
    return may;
}

static void history_save(struct editor *editor)
{
    char path[PATH_BYTES + 8];
    HistEvent event;
    mode_t mask = umask(0077);

    /* Under another name first: two shells may end at once. */
    if (editor->file[0] != '\0') {
        folders_make(editor->file);
        (void)snprintf(path, sizeof(path), "%s.%d", editor->file, (int)getpid());
        if (history(editor->history, &event, H_SAVE, path) < 0 || rename(path, editor->file) != 0) {
            (void)unlink(path);
        }
    }
    (void)umask(mask);
}

/* ---- The life of an editor ---- */

static char *on_prompt(EditLine *line)
{
    struct editor *editor = NULL;

    (void)el_get(line, EL_CLIENTDATA, &editor);
    editor->prompt.len = 0;
    shell_prompt(editor->shell, &editor->prompt);
    mk_buf_put_u8(&editor->prompt, '\0');
    return (char *)editor->prompt.data;
}

/* Keys that libedit does not know by itself, in the forms in which common terminals send them. */
static const struct {
    const char *key;
    const char *command;
} keys[] = {
    {"^I", "mk-complete"},
    {"^R", "em-inc-search-prev"},
    {"\\e[3~", "ed-delete-next-char"}, /* Delete */
    {"\\e[1~", "ed-move-to-beg"},      /* Home */
    {"\\e[H", "ed-move-to-beg"},
    {"\\e[4~", "ed-move-to-end"}, /* End */
    {"\\e[F", "ed-move-to-end"},
    {"\\e[1;5D", "ed-prev-word"}, /* Ctrl and an arrow */
    {"\\e[1;5C", "em-next-word"},
};

static bool editor_init(struct editor *editor, struct shell *shell)
{
    HistEvent event;
    sigset_t interrupt;

    memset(editor, 0, sizeof(*editor));
    editor->shell = shell;
    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    editor->signals = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
    MK_ASSERT(editor->signals >= 0);
    editor->line = el_init("moonkeeper", stdin, stdout, stderr);
    editor->history = history_init();
    if (editor->line == NULL || editor->history == NULL) {
        return false;
    }
    (void)history(editor->history, &event, H_SETSIZE, SHELL_HISTORY_MAX);
    (void)history(editor->history, &event, H_SETUNIQUE, 1);
    history_locate(editor);
    if (editor->file[0] != '\0') {
        (void)history(editor->history, &event, H_LOAD, editor->file);
    }
    (void)el_set(editor->line, EL_CLIENTDATA, editor);
    (void)el_set(editor->line, EL_PROMPT, on_prompt);
    (void)el_set(editor->line, EL_EDITOR, "emacs");
    /* Suspended, resized, ended by a signal: libedit sets the terminal right, and draws anew. */
    (void)el_set(editor->line, EL_SIGNAL, 1);
    (void)el_set(editor->line, EL_HIST, history, editor->history);
    (void)el_set(editor->line, EL_GETCFN, character_read);
    /* The wide one keeps the names, which are constants; the other leaks copies of them. */
    (void)el_wset(editor->line, EL_ADDFN, L"mk-complete", L"complete commands and paths", on_tab);
    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        (void)el_set(editor->line, EL_BIND, keys[i].key, keys[i].command, NULL);
    }
    (void)el_source(editor->line, NULL); /* ~/.editrc: whoever has one wants its keys */
    return true;
}

static void editor_deinit(struct editor *editor)
{
    if (editor->history != NULL) {
        history_end(editor->history);
    }
    if (editor->line != NULL) {
        el_end(editor->line);
    }
    (void)close(editor->signals);
    mk_buf_free(&editor->prompt);
}

/* A line without its newline, the caller's to free; NULL: the end, or interrupted. */
static char *line_read(struct editor *editor)
{
    int count = 0;
    sigset_t interrupt;

    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    editor->interrupted = false;
    memset(&editor->state, 0, sizeof(editor->state)); /* half a character may have been given up */
    (void)pthread_sigmask(SIG_BLOCK, &interrupt, NULL);
    (void)el_set(editor->line, EL_PREP_TERM,
                 1); /* before the prompt: who sees it may type Ctrl-D */
    const char *text = el_gets(editor->line, &count);
    (void)pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL); /* during a command it ends the program */
    if (text == NULL || count <= 0 || editor->interrupted) {
        return NULL;
    }
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    char *line = mk_alloc(len + 1);
    memcpy(line, text, len);
    line[len] = '\0';
    return line;
}

void shell_edit_run(struct shell *shell)
{
    struct editor *editor = mk_alloc(sizeof(*editor));
    HistEvent event;

    shell_print(shell, "Welcome to Moonkeeper! help lists the commands, quit ends.\n");
    shell_flush(shell);
    bool usable = editor_init(editor, shell);
    while (usable && !shell->quit) {
        char *line = line_read(editor);
        if (line == NULL && editor->interrupted) {
            (void)fputs("^C\n", stdout);
            el_reset(editor->line);
            continue;
        }
        if (line == NULL) {
            (void)fputc('\n', stdout);
            break;
        }
        if (line_may_be_kept(line)) {
            (void)history(editor->history, &event, H_ENTER, line);
            history_save(editor); /* now: Ctrl-C during the command ends the program */
        }
        shell_line_run(shell, line);
        mk_free(line);
    }
    editor_deinit(editor);
    mk_free(editor);
}
