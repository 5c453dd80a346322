/* Lines from a pipe or a file. Events are printed as they come, between two lines. */
#include "shell/internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536

/* Run the whole lines at the beginning of `in`, and take them out. */
static void lines_run(struct shell *shell, struct mk_buf *in)
{
    size_t begin = 0;

    while (!shell->quit) {
        uint8_t *newline = memchr(in->data + begin, '\n', in->len - begin);
        if (newline == NULL) {
            break;
        }
        *newline = '\0';
        if (newline > in->data + begin && newline[-1] == '\r') {
            newline[-1] = '\0';
        }
        shell_line_run(shell, (const char *)in->data + begin);
        begin = (size_t)(newline - in->data) + 1;
    }
    memmove(in->data, in->data + begin, in->len - begin);
    in->len -= begin;
}

/* More input, or the end: false. Prints what comes meanwhile. */
static bool input_await(struct shell *shell, struct mk_buf *in)
{
    struct pollfd wait[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = shell->events.wake, .events = POLLIN}};

    if (poll(wait, MK_COUNT(wait), -1) < 0) {
        return errno == EINTR;
    }
    if (wait[1].revents != 0) {
        (void)shell_events_print(shell);
    }
    if (wait[0].revents == 0) {
        return true;
    }
    mk_buf_reserve(in, READ_BYTES + 1);
    ssize_t count = read(STDIN_FILENO, in->data + in->len, READ_BYTES);
    in->len += count > 0 ? (size_t)count : 0;
    return count > 0 || (count < 0 && errno == EINTR);
}

void shell_input_run(struct shell *shell)
{
    struct mk_buf in = {0};

    mk_buf_reserve(&in, READ_BYTES + 1);
    while (!shell->quit && input_await(shell, &in)) {
        lines_run(shell, &in);
        if (in.len > SHELL_LINE_BYTES_MAX) {
            shell->exit_code =
                shell_fail(shell, NULL, "a line is longer than %zu bytes", SHELL_LINE_BYTES_MAX);
            in.len = 0;
            break;
        }
    }
    if (!shell->quit && in.len > 0) { /* the last line has no end */
        mk_buf_put_u8(&in, '\0');
        shell_line_run(shell, (const char *)in.data);
    }
    mk_buf_free(&in);
}
