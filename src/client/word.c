/* Four-letter words: four bytes on a connection of their own, a text back, the end. */
#include "client/handle.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORD_BYTES 4
#define READ_BYTES 4096
#define ANSWER_BYTES_MAX ((size_t)16 * 1024 * 1024) /* `dump` of very many sessions */

/* False: the time is over. */
static bool wait_for(int fd, short events, mk_ms until_ms)
{
    struct pollfd wait = {.fd = fd, .events = events};
    mk_ms left_ms = until_ms - client_clock_ms();

    return left_ms > 0 && poll(&wait, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX) > 0;
}

/* A connected socket, or -1. */
static int address_connect(const struct addrinfo *address, mk_ms until_ms)
{
    int fd = client_socket_connect(address);

    if (fd < 0) {
        return -1;
    }
    int error = wait_for(fd, POLLOUT, until_ms) ? client_socket_error(fd) : ETIMEDOUT;
    if (error != 0) {
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int server_connect(const struct client_server *server, mk_ms until_ms,
                          struct mk_error *error)
{
    struct mk_error why;
    struct addrinfo *addresses = client_socket_resolve(server, &why);
    int fd = -1;

    for (struct addrinfo *at = addresses; at != NULL && fd < 0; at = at->ai_next) {
        fd = address_connect(at, until_ms);
        if (fd < 0) {
            mk_error_set(&why, "%s", client_socket_text(errno));
        }
    }
    if (addresses != NULL) {
        freeaddrinfo(addresses);
    }
    if (fd < 0) {
        struct mk_buf name = {0};
        client_server_text(&name, server);
        mk_error_set(error, "%.*s: %.200s", (int)name.len, (const char *)name.data, why.text);
        mk_buf_free(&name);
    }
    return fd;
}

/* Up to the end of the connection. False: `error` says why. */
static bool answer_read(int fd, mk_ms until_ms, struct mk_buf *out, struct mk_error *error)
{
    for (;;) {
        if (!wait_for(fd, POLLIN, until_ms)) {
            mk_error_set(error, "the answer did not end in time");
            return false;
        }
        mk_buf_reserve(out, READ_BYTES);
        ssize_t count = recv(fd, out->data + out->len, READ_BYTES, 0);
        if (count == 0) {
            return true;
        }
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            mk_error_set(error, "%s", client_socket_text(errno));
            return false;
        }
        out->len += count > 0 ? (size_t)count : 0;
        if (out->len > ANSWER_BYTES_MAX) {
            mk_error_set(error, "the answer does not end");
            return false;
        }
    }
}

/* MOONKEEPER_OK, or `error` says why not. */
static int word_ask(const struct client_servers *servers, const char *word, mk_ms until_ms,
                    struct mk_buf *answer, struct mk_error *error)
{
    int fd = -1;

    for (size_t i = 0; i < servers->count && fd < 0; i++) {
        fd = server_connect(&servers->list[i], until_ms, error);
    }
    if (fd < 0) {
        return MOONKEEPER_CONNECTION_LOSS;
    }
    bool sent = send(fd, word, WORD_BYTES, MSG_NOSIGNAL) == WORD_BYTES;
    if (!sent) {
        mk_error_set(error, "%s", client_socket_text(errno));
    }
    bool done = sent && answer_read(fd, until_ms, answer, error);
    (void)close(fd);
    return done ? MOONKEEPER_OK : MOONKEEPER_OPERATION_TIMEOUT;
}

int moonkeeper_word(const char *servers, const char *word, int wait_ms,
                    struct moonkeeper_result *result)
{
    struct client_servers parsed;
    struct mk_error error;
    struct mk_buf answer = {0};
    struct mk_arena memory = {0};
    mk_ms until_ms = wait_ms < 0 ? INT64_MAX : client_clock_ms() + wait_ms;

    *result = (struct moonkeeper_result){.error = MOONKEEPER_BAD_ARGUMENTS};
    if (strlen(word) != WORD_BYTES || !client_servers_parse(servers, &parsed, &error)) {
        return result->error;
    }
    result->error = word_ask(&parsed, word, until_ms, &answer, &error);
    if (result->error == MOONKEEPER_OK) {
        result->data = client_text_copy(&memory, mk_buf_view(&answer));
        result->data_bytes = answer.len;
    } else {
        result->call_message = client_text_copy(&memory, mk_bytes_text(error.text));
    }
    result->memory = memory.blocks;
    mk_buf_free(&answer);
    client_servers_free(&parsed);
    return result->error;
}
