/* Four-letter words: four bytes on a connection of their own, a text back, the end. */
#include "cli/cli.h"
#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORD_BYTES 4
#define ANSWER_BYTES_MAX ((size_t)16 * 1024 * 1024) /* `dump` of very many sessions */

/* False: `error` says why. */
static bool answer_read(int fd, mk_ms until_ms, struct mk_buf *out, struct mk_error *error)
{
    ssize_t count = 1;

    while (count != 0 && out->len < ANSWER_BYTES_MAX) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        mk_ms left_ms = until_ms - client_now();
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0) {
            mk_error_set(error, "the answer did not end in time");
            return false;
        }
        mk_buf_reserve(out, 4096);
        count = recv(fd, out->data + out->len, 4096, 0);
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            mk_error_set(error, "%s", strerror(errno));
            return false;
        }
        out->len += count > 0 ? (size_t)count : 0;
    }
    return true;
}

int cli_word(struct cli *cli, int argc, char **argv)
{
    const char *at = cli->servers;
    mk_ms until_ms = client_now() + cli->timeout_ms;
    struct mk_error error = {""};
    struct mk_buf answer = {0};
    struct server_name name;
    int fd = -1;
    int code = CLI_OK;

    if (argc != 2 || strlen(argv[1]) != WORD_BYTES) {
        return cli_usage(argv[0], "usage: moonkeeper word WORD, of four letters");
    }
    while (fd < 0 && servers_next(&at, &name)) {
        fd = socket_connect(&name, until_ms, &error);
    }
    if (fd < 0) {
        return cli_fail(cli, CLI_UNREACHABLE, argv[0], NULL, error.text);
    }
    if (send(fd, argv[1], WORD_BYTES, MSG_NOSIGNAL) != WORD_BYTES ||
        !answer_read(fd, until_ms, &answer, &error)) {
        code = cli_fail(cli, CLI_LOST, argv[0], NULL,
                        error.text[0] != '\0' ? error.text : strerror(errno));
    } else if (answer.len == 0) {
        code = cli_fail(cli, CLI_FAILED, argv[0], NULL, "the server closed without an answer");
    } else {
        (void)fwrite(answer.data, 1, answer.len, stdout);
        if (answer.data[answer.len - 1] != '\n') {
            (void)putchar('\n'); /* "imok" has none */
        }
    }
    (void)close(fd);
    mk_buf_free(&answer);
    return code;
}
