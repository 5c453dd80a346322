/* Opening a session, asking one question, waiting, holding on. The library's thread reports into `news`,
 * under its lock; the command's thread sleeps in poll(), where signals and standard input wake it, too. */
#include "cli/session.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

mk_ms cli_clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (mk_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- News, on the library's thread ---- */

static void news_unlock(struct session_news *news)
{
    uint64_t one = 1;
    ssize_t written = write(news->fd, &one, sizeof(one));

    MK_ASSERT(written == (ssize_t)sizeof(one)); /* it never blocks at so small a number */
    (void)pthread_mutex_unlock(&news->lock);
}

static void state_came(void *context, struct moonkeeper *handle, enum moonkeeper_state state)
{
    struct session_news *news = context;

    (void)handle;
    (void)pthread_mutex_lock(&news->lock);
    news->state = state;
    news_unlock(news);
}

static void text_copy(struct mk_buf *out, const char *text)
{
    if (text != NULL) {
        mk_buf_append_bytes(out, mk_bytes_text(text));
        mk_buf_put_u8(out, '\0');
    }
}

static void answer_came(void *context, const struct moonkeeper_result *result)
{
    struct session_news *news = context;

    (void)pthread_mutex_lock(&news->lock);
    news->answered = true;
    news->error = result->error;
    text_copy(&news->call_error, result->call_error);
    text_copy(&news->call_message, result->call_message);
    if (result->data != NULL) {
        mk_buf_append(&news->data, result->data, result->data_bytes);
    }
    news_unlock(news);
}

void session_poke(struct session *session)
{
    (void)pthread_mutex_lock(&session->news.lock);
    session->news.poked = true;
    news_unlock(&session->news);
}

/* ---- Opening and closing ---- */

void session_init(struct session *session)
{
    /* It will be connected when anybody looks; only a break after that is news. */
    *session = (struct session){.signals = -1, .news = {.state = MOONKEEPER_CONNECTED, .fd = -1}};
    (void)pthread_mutex_init(&session->news.lock, NULL);
}

/* Everybody that --auth names. */
static int identities_add(struct cli *cli, struct session *session, const char *command)
{
    char scheme[64];

    for (size_t i = 0; i < cli->auths_count; i++) {
        const char *credentials = strchr(cli->auths[i], ':') + 1;
        (void)snprintf(scheme, sizeof(scheme), "%.*s", (int)(credentials - 1 - cli->auths[i]),
                       cli->auths[i]);
        int error = moonkeeper_auth(session->handle, scheme, credentials, strlen(credentials));
        if (error != MOONKEEPER_OK) {
            return cli_fail(cli, CLI_FAILED, command, moonkeeper_error_name(error),
                            moonkeeper_error_text(error));
        }
    }
    return CLI_OK;
}

int session_open(struct cli *cli, struct session *session, const char *command)
{
    struct moonkeeper_options options = {
        .servers = cli->servers,
        .timeout_ms = (int)cli->timeout_ms,
        .in_order = true,
        .listener = state_came,
        .listener_context = &session->news,
        .tls = cli_tls(cli),
    };
    char trouble[300];

    session->news.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = session->news.fd < 0 ? MOONKEEPER_INVALID_STATE
                                     : moonkeeper_open(&options, &session->handle);
    if (error != MOONKEEPER_OK) {
        return cli_fail(cli, CLI_UNREACHABLE, command, NULL, moonkeeper_error_text(error));
    }
    if (moonkeeper_connect_wait(session->handle, options.timeout_ms, 1) != MOONKEEPER_OK) {
        moonkeeper_trouble(session->handle, trouble, sizeof(trouble));
        return cli_fail(cli, CLI_UNREACHABLE, command, NULL,
                        trouble[0] != '\0' ? trouble : "no server granted a session in time");
    }
    return identities_add(cli, session, command);
}

void session_close(struct session *session)
{
    (void)moonkeeper_close(session->handle);
    mk_buf_free(&session->news.call_error);
    mk_buf_free(&session->news.call_message);
    mk_buf_free(&session->news.data);
    if (session->news.fd >= 0) {
        (void)close(session->news.fd);
    }
    if (session->signals >= 0) {
        (void)close(session->signals);
    }
    (void)pthread_mutex_destroy(&session->news.lock);
}

/* ---- One question ---- */

/* Whether nothing says what became of the request. A server's own errors come with its zxid. */
static bool outcome_unknown(const struct moonkeeper_result *result)
{
    return result->error == MOONKEEPER_OPERATION_TIMEOUT ||
           result->error == MOONKEEPER_CONNECTION_LOSS ||
           result->error == MOONKEEPER_SESSION_EXPIRED ||
           (result->error == MOONKEEPER_MARSHALLING_ERROR && result->zxid < 0);
}

static int lost_say(struct cli *cli, const char *command, int error)
{
    struct mk_error text;

    if (error == MOONKEEPER_MARSHALLING_ERROR) {
        return cli_fail(cli, CLI_LOST, command, NULL, "the server's answer makes no sense");
    }
    if (error == MOONKEEPER_OPERATION_TIMEOUT) {
        mk_error_set(&text, "no answer within %lld ms: whether it happened is not known",
                     (long long)cli->timeout_ms);
        return cli_fail(cli, CLI_LOST, command, "ConnectionLoss", text.text);
    }
    return cli_fail(cli, CLI_LOST, command, moonkeeper_error_name(error),
                    moonkeeper_error_text(error));
}

int session_error(struct cli *cli, const char *command, const struct moonkeeper_request *request,
                  const struct moonkeeper_result *result)
{
    struct mk_error text;

    if (outcome_unknown(result)) {
        return lost_say(cli, command, result->error);
    }
    mk_error_set(&text, "%s%s%.300s", moonkeeper_error_text(result->error),
                 request->path != NULL ? ": " : "", request->path != NULL ? request->path : "");
    return cli_fail(cli, CLI_FAILED, command, moonkeeper_error_name(result->error), text.text);
}

int session_ask(struct cli *cli, struct session *session, const char *command,
                const struct moonkeeper_request *request, struct moonkeeper_result *result)
{
    int error = moonkeeper_ask(session->handle, request, result);

    return error == MOONKEEPER_OK ? CLI_OK : session_error(cli, command, request, result);
}

/* ---- Waiting ---- */

int session_begin(struct session *session, const struct moonkeeper_request *request)
{
    return moonkeeper_submit(session->handle, request, answer_came, &session->news);
}

static const int ends_processes[] = {SIGINT, SIGTERM, SIGHUP};

void session_signals_catch(struct session *session)
{
    session_signals_add(session, ends_processes, MK_COUNT(ends_processes));
}

void session_signals_add(struct session *session, const int *numbers, size_t count)
{
    sigset_t set;

    (void)sigprocmask(SIG_BLOCK, NULL, &set);
    if (session->signals < 0) {
        session->mask_before = set;
    }
    for (size_t i = 0; i < count; i++) {
        (void)sigaddset(&set, numbers[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0) {
        session->signals = signalfd(session->signals, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
}

static bool signal_came(struct session *session)
{
    struct signalfd_siginfo info;

    if (read(session->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return false;
    }
    session->signal = (int)info.ssi_signo;
    return true;
}

/* Read and forget what is typed. True: there is no more to come. */
static bool input_ended(void)
{
    uint8_t scraps[4096];

    return read(STDIN_FILENO, scraps, sizeof(scraps)) <= 0;
}

/* What is new. True: *end says what. */
static bool news_look(struct session *session, enum session_end *end)
{
    struct session_news *news = &session->news;
    uint64_t count;

    (void)pthread_mutex_lock(&news->lock);
    (void)!read(news->fd, &count, sizeof(count));
    bool answered = news->answered;
    enum moonkeeper_state state = news->state;
    bool poked = news->poked;
    news->answered = false;
    news->poked = false;
    (void)pthread_mutex_unlock(&news->lock);
    bool connected = state == MOONKEEPER_CONNECTED || state == MOONKEEPER_CONNECTED_READ_ONLY;
    bool broken = state == MOONKEEPER_CONNECTING && session->lost_ms == 0;
    bool over = !connected && state != MOONKEEPER_CONNECTING && !session->lost_said;
    if (connected || broken) {
        session->lost_ms = broken ? cli_clock_ms() : 0;
    }
    *end = answered ? SESSION_ANSWERED
           : over   ? SESSION_LOST
           : poked  ? SESSION_CHANGED
                    : SESSION_BROKEN;
    return answered || over || poked || broken;
}

/* Until when the session may live, without anything heard. */
static mk_ms alive_until_ms(struct session *session)
{
    return session->lost_ms == 0 || session->lost_said
               ? INT64_MAX
               : session->lost_ms + moonkeeper_timeout_ms(session->handle);
}

static enum session_end wait_for_end(struct session *session, mk_ms until_ms, bool watch_input)
{
    struct pollfd waits[] = {{.fd = session->news.fd, .events = POLLIN},
                             {.fd = session->signals, .events = POLLIN},
                             {.fd = watch_input ? STDIN_FILENO : -1, .events = POLLIN}};
    enum session_end end;

    while (!news_look(session, &end)) {
        mk_ms now_ms = cli_clock_ms();
        mk_ms alive_ms = alive_until_ms(session);
        mk_ms wake_ms = alive_ms < until_ms ? alive_ms : until_ms;
        if (now_ms >= wake_ms) {
            return now_ms >= until_ms ? SESSION_LATE : SESSION_LOST;
        }
        mk_ms wait_ms = wake_ms - now_ms < INT32_MAX ? wake_ms - now_ms : INT32_MAX;
        if (poll(waits, MK_COUNT(waits), (int)wait_ms) <= 0) {
            continue;
        }
        if (waits[1].revents != 0 && signal_came(session)) {
            return SESSION_SIGNALLED;
        }
        if (waits[0].revents == 0 && waits[2].revents != 0 && input_ended()) {
            return SESSION_INPUT_ENDED;
        }
    }
    return end;
}

enum session_end session_wait(struct session *session, mk_ms until_ms, bool watch_input)
{
    enum session_end end = wait_for_end(session, until_ms, watch_input);

    session->lost_said = session->lost_said || end == SESSION_LOST;
    return end;
}

/* ---- Holding on ---- */

bool session_hold_parse(const char *text, mk_ms *hold_ms)
{
    if (text == NULL) {
        *hold_ms = HOLD_OPEN;
        return true;
    }
    return cli_duration_parse(text, hold_ms);
}

int session_hold(struct cli *cli, struct session *session, const char *command, mk_ms hold_ms)
{
    mk_ms until_ms = hold_ms == HOLD_OPEN ? INT64_MAX : cli_clock_ms() + hold_ms;
    enum session_end end;

    if (session->signals < 0) {
        session_signals_catch(session);
    }
    (void)fflush(stdout); /* whoever reads the result may go on, and end us by a signal */
    do {
        end = session_wait(session, until_ms, hold_ms == HOLD_OPEN);
    } while (end == SESSION_BROKEN);
    if (end == SESSION_LOST) {
        return cli_fail(cli, CLI_LOST, command, "SessionExpired",
                        "the session has ended, and what was held with it");
    }
    return CLI_OK; /* a signal, the time, the end of the input */
}
