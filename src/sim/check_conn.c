/* What the server is given: connections, and frames, each noted before it is handed over, with the
 * identities that it arrived under. */
#include "sim/check.h"

#include <string.h>

/* ---- Requests ---- */

void sim_op_unref(struct sim_op *op)
{
    MK_ASSERT(op->refs > 0);

    if (--op->refs == 0) {
        mk_buf_free(&op->frame);
        mk_buf_free(&op->body);
        mk_free(op);
    }
}

static bool is_write(int32_t op)
{
    switch (op) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL:
    case JUTE_DELETE:
    case JUTE_SET_DATA:
    case JUTE_SET_ACL:
    case JUTE_MULTI:
    case JUTE_CALL:
    case JUTE_CLOSE_SESSION: return true;
    default: return false;
    }
}

static struct sim_op *op_new(struct sim_check *check, struct sim_check_conn *conn,
                             struct mk_bytes frame)
{
    struct sim_op *op = mk_alloc_zero(1, sizeof(*op));

    mk_buf_append_bytes(&op->frame, frame);
    op->decoded = jute_request_decode(mk_buf_view(&op->frame), &op->request);
    op->session = conn->session;
    op->identities = conn->identities;
    op->received_zxid = check->model.zxid;
    op->number = check->agreement == NULL ? ++check->received : ++check->agreement->received;
    op->acknowledged = check->agreement == NULL ? 0 : check->agreement->acknowledged;
    op->server = check->options->server_id;
    op->asked_ms = conn->asked_ms;
    mk_list_init(&op->in_check);
    op->refs = 1;
    bool ping = op->decoded == MK_OK && op->request.op == JUTE_PING;
    mk_list_append(ping ? &conn->pings : &conn->ops, &op->in_conn);
    if (op->decoded == MK_OK && is_write(op->request.op)) {
        mk_list_append(check->agreement == NULL ? &check->writes : &check->agreement->writes,
                       &op->in_check);
        op->refs++;
    }
    return op;
}

/* The credentials that a digest packet holds; SIZE_MAX: none that anybody has. */
static size_t credentials_of(const struct jute_request *request)
{
    for (size_t i = 0; i < sim_credentials_count; i++) {
        if (mk_bytes_equal(request->scheme, MK_BYTES("digest")) &&
            mk_bytes_equal(request->data, mk_bytes_text(sim_credentials[i].text))) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Executed when it is received, not in its turn; answered in its turn. */
static void note_auth(struct sim_check_conn *conn, struct sim_op *op)
{
    size_t i = credentials_of(&op->request);

    if (i == SIM_CREDENTIALS_SUPER) {
        sim_identities_add(&conn->identities, "super", "");
    }
    if (i != SIZE_MAX) {
        sim_identities_add(&conn->identities, "digest", sim_credentials[i].id);
    } else if (!mk_bytes_equal(op->request.scheme, MK_BYTES("ip"))) {
        op->error = -115;
        conn->may_close = conn->unheard = true;
    }
}

/* ---- The handshake ---- */

static bool password_right(mk_session id, struct mk_bytes password)
{
    uint64_t state = ((uint64_t)id ^ 0xB3415C00u ^ 0x5DEECE66DULL) & 0xffffffffffffULL;
    bool right = password.data != NULL && password.len == 16;

    for (size_t i = 0; right && i < 16; i++) {
        if (i % 4 == 0) {
            state = (state * 0x5DEECE66DULL + 0xB) & 0xffffffffffffULL;
        }
        right = password.data[i] == (uint8_t)(state >> (16 + 8 * (i % 4)));
    }
    return right;
}

static int32_t negotiate(const struct sim_check *check, int32_t timeout_ms)
{
    mk_ms min_ms = check->options->session_timeout_min_ms;
    mk_ms max_ms = check->options->session_timeout_max_ms;

    min_ms = min_ms == 0 ? 2 * check->options->tick_ms : min_ms;
    max_ms = max_ms == 0 ? 20 * check->options->tick_ms : max_ms;
    return (int32_t)(timeout_ms < min_ms ? min_ms : timeout_ms > max_ms ? max_ms : timeout_ms);
}

static void connecting_push(struct sim_check *check, struct sim_check_conn *conn)
{
    if (check->connecting_count == check->connecting_cap) {
        check->connecting_cap = check->connecting_cap * 2 + 16;
        check->connecting =
            mk_realloc(check->connecting, check->connecting_cap * sizeof(*check->connecting));
        check->connecting_timeouts =
            mk_realloc(check->connecting_timeouts,
                       check->connecting_cap * sizeof(*check->connecting_timeouts));
    }
    check->connecting[check->connecting_count] = conn;
    check->connecting_timeouts[check->connecting_count] = conn->timeout_ms;
    check->connecting_count++;
}

static void note_moved_from(struct sim_check *check, const struct sim_check_conn *to)
{
    for (size_t i = 0; i < check->conns_count; i++) {
        struct sim_check_conn *conn = check->conns[i];
        if (conn != to && (conn->state == SIM_CONN_ATTACHED
                               ? conn->session == to->connect.session_id
                               : check->agreement != NULL && conn->state == SIM_CONN_CONNECTING &&
                                     conn->connect.session_id == to->connect.session_id)) {
            conn->may_close = true;
        }
    }
}

/* The connection that held the session until now will be closed, wherever it is. */
static void note_moved(struct sim_check *check, struct sim_check_conn *to)
{
    struct sim_life *life = sim_life_of(check, to->connect.session_id);

    if (check->agreement == NULL) {
        note_moved_from(check, to);
        return;
    }
    if (life != NULL) {
        to->asked_ms = check->now_ms;
        life->asked_ms[check->options->server_id - 1] = check->now_ms;
    }
    for (size_t i = 0; i < check->agreement->checks_count; i++) {
        note_moved_from(check->agreement->checks[i], to);
    }
}

static void note_connect(struct sim_check *check, struct sim_check_conn *conn,
                         struct mk_bytes frame)
{
    struct jute_connect *connect = &conn->connect;

    if (jute_connect_decode(frame, connect) != MK_OK ||
        connect->last_zxid_seen > check->model.zxid) {
        conn->may_close = true; /* and no answer */
        return;
    }
    conn->state = SIM_CONN_CONNECTING;
    conn->timeout_ms = negotiate(check, connect->timeout_ms);
    if (connect->session_id == 0) {
        if (check->agreement == NULL) {
            connecting_push(check, conn);
        }
        return;
    }
    /* A learner may be behind: its leader knows whether there is the session. */
    bool unknown =
        check->agreement == NULL && sim_model_session(&check->model, connect->session_id) == NULL;
    conn->connect_refusable = unknown || !password_right(connect->session_id, connect->password);
    connect->password = MK_BYTES_NULL; /* borrowed from the frame */
    if (!conn->connect_refusable) {
        note_moved(check, conn);
    }
}

/* ---- Connections ---- */

void sim_check_frame(struct sim_check *check, struct sim_check_conn *conn, struct mk_bytes frame)
{
    check->stats.frames++;
    if (conn->state == SIM_CONN_FRESH) {
        note_connect(check, conn, frame);
        return;
    }
    struct sim_op *op = op_new(check, conn, frame);
    /* The server does not listen to what is behind a refused auth. A member closes late what has moved. */
    bool heard = check->agreement == NULL ? !conn->may_close
                                          : !conn->unheard && !server_conn_closing(conn->server);
    if (conn->state == SIM_CONN_ATTACHED && heard) {
        sim_check_touch(check, conn->session);
    }
    if (op->decoded == MK_UNIMPLEMENTED || frame.len < 8) {
        conn->may_close = true;
    } else if (op->decoded == MK_OK && op->request.op == JUTE_AUTH) {
        note_auth(conn, op);
    }
}

struct sim_check_conn *sim_check_conn_new(struct sim_check *check, struct server_conn *server,
                                          const char *address)
{
    struct sim_check_conn *conn = mk_alloc_zero(1, sizeof(*conn));

    conn->server = server;
    conn->address = address;
    conn->opened_ms = check->now_ms;
    sim_identities_add(&conn->identities, "ip", address);
    mk_list_init(&conn->ops);
    mk_list_init(&conn->pings);
    if (check->conns_count == check->conns_cap) {
        check->conns_cap = check->conns_cap * 2 + 16;
        check->conns = mk_realloc(check->conns, check->conns_cap * sizeof(*check->conns));
    }
    check->conns[check->conns_count++] = conn;
    return conn;
}

static void ops_drop(struct mk_link *ops)
{
    while (!mk_list_empty(ops)) {
        struct sim_op *op = MK_CONTAINER(ops->next, struct sim_op, in_conn);
        mk_list_remove(&op->in_conn);
        sim_op_unref(op);
    }
}

void sim_check_conn_free(struct sim_check *check, struct sim_check_conn *conn)
{
    for (size_t i = 0; i < check->connecting_count; i++) {
        if (check->connecting[i] == conn) {
            check->connecting[i] = NULL;
        }
    }
    for (size_t i = 0; i < check->conns_count; i++) {
        if (check->conns[i] == conn) {
            check->conns_count--;
            memmove(check->conns + i, check->conns + i + 1,
                    (check->conns_count - i) * sizeof(*check->conns));
            break;
        }
    }
    ops_drop(&conn->ops);
    ops_drop(&conn->pings);
    sim_watches_drop(conn);
    sim_events_free(&conn->events);
    sim_events_free(&conn->found);
    mk_free(conn);
}
