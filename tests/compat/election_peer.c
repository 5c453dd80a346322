/* Takes part in an election over our election sockets, for tests against ZooKeeper's servers:
 *
 *   compat_election_peer ID ID=HOST:PORT...
 *
 * Agrees to whatever vote it hears from a server that looks for a leader, asks again and again, and
 * writes a line for each notification. Ends with its standard input. */
#include "edge/election.h"
#include "jute/jute.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 200

struct voter {
    struct election *election;
    struct election_member members[8];
    size_t members_count;
    int64_t id;
    struct jute_notification vote;
    char stdin_bytes[64];
};

static void vote_send(struct voter *voter)
{
    struct mk_buf message = {0};

    jute_put_notification(&message, &voter->vote);
    for (size_t i = 0; i < voter->members_count; i++) {
        if (voter->members[i].id != voter->id) {
            election_send(voter->election, voter->members[i].id, mk_buf_view(&message));
        }
    }
    mk_buf_free(&message);
}

static void on_notified(void *context, int64_t from, struct mk_bytes message)
{
    struct voter *voter = context;
    struct jute_notification heard;

    if (jute_notification_read(message, &heard) != MK_OK) {
        printf("from=%" PRId64 " malformed\n", from);
        return;
    }
    printf("from=%" PRId64 " state=%" PRId32 " leader=%" PRId64 " round=%" PRId64 " config=%d\n",
           from, heard.state, heard.leader, heard.round, heard.config.len > 0);
    if (heard.state == JUTE_LOOKING && heard.leader >= 0) {
        heard.config = MK_BYTES_NULL;
        voter->vote = heard;
        vote_send(voter);
    }
}

static void on_timer(uv_timer_t *timer)
{
    vote_send(timer->data);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct voter *voter = handle->data;
    *buf = uv_buf_init(voter->stdin_bytes, sizeof(voter->stdin_bytes));
}

static void on_stdin(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct voter *voter = stream->data;

    if (count < 0) {
        uv_close((uv_handle_t *)stream, NULL);
        election_close(voter->election);
        uv_stop(stream->loop);
    }
}

static void log_write(void *context, enum mk_log_level level, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    static const struct mk_log log = {MK_LOG_INFO, log_write, NULL};
    struct voter voter = {.id = argc > 1 ? atoll(argv[1]) : -1};
    struct mk_error error = {""};
    uv_loop_t loop;
    struct streams streams;
    uv_timer_t timer = {.data = &voter};
    uv_pipe_t input = {.data = &voter};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 2; i < argc && i < 10; i++) {
        struct election_member *member = &voter.members[voter.members_count++];
        char *host = strchr(argv[i], '='), *port = strrchr(argv[i], ':');
        if (host == NULL || port == NULL) {
            return 2;
        }
        *host = *port = '\0';
        *member =
            (struct election_member){atoll(argv[i]), host + 1, (uint32_t)atoi(port + 1), false};
    }
    /* Before it knows a vote it asks as an observer does: for nobody. */
    voter.vote = (struct jute_notification){.state = JUTE_LOOKING,
                                            .leader = INT64_MIN,
                                            .zxid = INT64_MIN,
                                            .peer_epoch = INT64_MIN,
                                            .version = JUTE_NOTIFICATION_VERSION};
    uv_loop_init(&loop);
    streams_init(&streams, &loop, &log, 64);
    voter.election = election_open(&(struct election_options){.loop = &loop,
                                                              .log = &log,
                                                              .streams = &streams,
                                                              .members = voter.members,
                                                              .members_count = voter.members_count,
                                                              .id = voter.id,
                                                              .connect_timeout_ms = 5000,
                                                              .silence_ms = 10000,
                                                              .notified = on_notified,
                                                              .context = &voter},
                                   &error);
    if (voter.election == NULL || election_start(voter.election, &error) != MK_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 0, ASK_MS);
    uv_pipe_init(&loop, &input, 0);
    uv_pipe_open(&input, 0);
    uv_read_start((uv_stream_t *)&input, on_alloc, on_stdin);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
