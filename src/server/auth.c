/* How a connection becomes somebody more: by a certificate, before it has sent anything; by auth packets
 * (digest, ip) and SASL tokens. Those are taken when they are received, not in their turn: what follows has
 * the identity, what came before has not. Their replies wait for their turn all the same. Protocol
 * reference, sections 7.3 and 13. */
#include "server/internal.h"

/* ---- Certificates ---- */

bool server_conn_certified(struct server *server, struct server_conn *conn, struct mk_bytes subject)
{
    struct mk_bytes super = server->options.x509_super;
    bool is_super = super.data != NULL && mk_bytes_equal(subject, super);

    return (!is_super || server_identity_add(server, conn, MK_BYTES("super"), subject)) &&
           server_identity_add(server, conn, MK_BYTES("x509"), subject);
}

/* ---- Auth packets ---- */

static bool auth_digest(struct server *server, struct server_conn *conn,
                        struct mk_bytes credentials)
{
    struct mk_buf id = {0};
    bool added;

    if (!server->options.acl.digest || credentials.data == NULL) {
        return false;
    }
    tree_digest_id(server->options.digest_hash, credentials, &id);
    added = true;
    if (server->options.super_digest.data != NULL &&
        mk_bytes_equal(mk_buf_view(&id), server->options.super_digest)) {
        added = server_identity_add(server, conn, MK_BYTES("super"), MK_BYTES(""));
    }
    added = added && server_identity_add(server, conn, MK_BYTES("digest"), mk_buf_view(&id));
    mk_buf_free(&id);
    return added;
}

bool server_conn_auth(struct server *server, struct server_conn *conn,
                      const struct jute_request *request, struct mk_buf *reply)
{
    bool accepted = false;

    if (mk_bytes_equal(request->scheme, MK_BYTES("digest"))) {
        accepted = auth_digest(server, conn, request->data);
    } else if (mk_bytes_equal(request->scheme, MK_BYTES("ip"))) {
        accepted = true; /* the address is there since the connection was opened */
    }
    size_t frame =
        jute_reply_begin(reply, request->xid, 0, accepted ? 0 : jute_error_code(MK_AUTH_FAILED));
    jute_reply_end(reply, frame);
    server->stats.auth_failed += accepted ? 0 : 1;
    return accepted;
}

/* ---- SASL ---- */

static bool is_super(const struct server *server, struct mk_bytes user)
{
    for (size_t i = 0; i < server->options.sasl_supers_count; i++) {
        if (mk_bytes_equal(server->options.sasl_supers[i], user)) {
            return true;
        }
    }
    return false;
}

static bool sasl_become(struct server *server, struct server_conn *conn, struct mk_bytes user)
{
    return (!is_super(server, user) ||
            server_identity_add(server, conn, MK_BYTES("super"), MK_BYTES(""))) &&
           server_identity_add(server, conn, MK_BYTES("sasl"), user);
}

/* The next step of the connection's exchange, which begins with the first token. */
static enum mk_status sasl_step(struct server *server, struct server_conn *conn,
                                struct mk_bytes token, struct mk_buf *answer)
{
    struct mk_bytes user;

    if (conn->sasl == NULL) {
        conn->sasl = mk_alloc_zero(1, sizeof(*conn->sasl));
        sasl_exchange_begin(conn->sasl, server->options.sasl_secret, ++server->sasl_exchanges);
    }
    enum mk_status status =
        sasl_exchange_step(conn->sasl, server->options.sasl_users, token, answer, &user);
    if (status == MK_OK && user.data != NULL && !sasl_become(server, conn, user)) {
        status = MK_AUTH_FAILED;
    }
    return status;
}

/* The error of a failed exchange; 0: the client may stay, as who it is already. Where SASL is demanded,
 * nobody may. */
static int32_t sasl_failed(struct server *server, struct server_conn *conn)
{
    bool demanded = server->options.enforced_schemes.data != NULL &&
                    server_scheme_admits(server, MK_BYTES("sasl"));

    server->stats.auth_failed++;
    mk_log(server->log, MK_LOG_WARN, "a client failed to authenticate by SASL  address=%.*s",
           (int)conn->address.len, (const char *)conn->address.data);
    if (server->options.sasl_failed_stay && !demanded) {
        mk_free(conn->sasl);
        conn->sasl = NULL; /* it may try again from the beginning */
        return 0;
    }
    return jute_error_code(demanded ? MK_AUTH_REQUIRED : MK_AUTH_FAILED);
}

bool server_conn_sasl(struct server *server, struct server_conn *conn,
                      const struct jute_request *request, struct mk_buf *reply)
{
    struct mk_buf answer = {0};
    int32_t error = 0;

    /* Without SASL: no error and a null token, and the client goes on. */
    if (server->options.sasl_users != NULL &&
        sasl_step(server, conn, request->data, &answer) != MK_OK) {
        answer.len = 0;
        error = sasl_failed(server, conn);
    }
    size_t frame = jute_reply_begin(reply, request->xid, 0, error);
    mk_buf_put_field(reply, answer.len > 0 ? mk_buf_view(&answer) : MK_BYTES_NULL);
    jute_reply_end(reply, frame);
    mk_buf_free(&answer);
    return error == 0;
}
