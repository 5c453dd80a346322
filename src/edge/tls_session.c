/* One connection's TLS. OpenSSL reads records where they were shown, and takes exactly what it needs: a
 * record that has begun lies in its own buffer, so nothing that was shown is ever left over. */
#include "edge/tls_session.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

struct tls_session {
    const struct tls *tls;
    SSL *ssl;
    struct mk_bytes shown;  /* what is left of the records that have arrived */
    struct mk_buf *records; /* to be sent */
    X509 *refused;          /* the certificate that was not accepted; NULL: none */
    const char *why;
};

/* ---- Records: where OpenSSL thinks that a socket is ---- */

static int on_records_read(BIO *bio, char *to, size_t room, size_t *count)
{
    struct tls_session *session = BIO_get_data(bio);
    size_t len = session->shown.len < room ? session->shown.len : room;

    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, session->shown.data, len);
    session->shown = mk_bytes_of(session->shown.data + len, session->shown.len - len);
    *count = len;
    return 1;
}

static int on_records_write(BIO *bio, const char *from, size_t len, size_t *count)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    mk_buf_append(session->records, from, len);
    *count = len;
    return 1;
}

static long on_records_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_records_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "records");

    MK_ASSERT(method != NULL); /* only without memory */
    BIO_meth_set_read_ex(method, on_records_read);
    BIO_meth_set_write_ex(method, on_records_write);
    BIO_meth_set_ctrl(method, on_records_control);
    return method;
}

/* ---- The beginning and the end ---- */

/* OpenSSL forgets whose certificate it was that it did not like. */
static int on_verified(int accepted, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = BIO_get_data(SSL_get_rbio(ssl));
    X509 *certificate = X509_STORE_CTX_get0_cert(store);

    if (!accepted && session->refused == NULL && certificate != NULL) {
        X509_up_ref(certificate);
        session->refused = certificate;
    }
    return accepted;
}

static struct tls_session *session_new(struct tls *tls, struct mk_buf *records)
{
    struct tls_session *session = mk_alloc_zero(1, sizeof(*session));
    BIO *bio = BIO_new(tls->records);

    session->tls = tls;
    session->records = records;
    session->ssl = SSL_new(tls->context);
    MK_ASSERT(bio != NULL && session->ssl != NULL); /* only without memory */
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return session;
}

struct tls_session *tls_accept(struct tls *tls, struct mk_buf *records)
{
    struct tls_session *session = session_new(tls, records);
    int mode = SSL_VERIFY_PEER;

    if (tls->client_auth == TLS_CLIENT_NEED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    } else if (tls->client_auth == TLS_CLIENT_NONE) {
        mode = SSL_VERIFY_NONE;
    }
    SSL_set_verify(session->ssl, mode, on_verified);
    SSL_set_accept_state(session->ssl);
    return session;
}

static bool is_address(const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Which certificate to show. An address is no host name (RFC 6066, section 3), nor is what is too long. */
static void host_name_tell(SSL *ssl, const char *host)
{
    char name[TLSEXT_MAXLEN_host_name + 1]; /* OpenSSL's macro takes it as if it wrote there */

    if (!is_address(host) && strlen(host) < sizeof(name)) {
        memcpy(name, host, strlen(host) + 1);
        (void)SSL_set_tlsext_host_name(ssl, name);
    }
}

struct tls_session *tls_dial(struct tls *tls, const char *host, struct mk_buf *records)
{
    struct tls_session *session = session_new(tls, records);

    host_name_tell(session->ssl, host);
    if (tls->options->host_verified) {
        X509_VERIFY_PARAM *wanted = SSL_get0_param(session->ssl);
        X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        int set = is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host)
                                   : X509_VERIFY_PARAM_set1_host(wanted, host, 0);
        MK_ASSERT(set == 1); /* Otherwise any certificate would do. */
    }
    SSL_set_verify(session->ssl, SSL_VERIFY_PEER, on_verified);
    SSL_set_connect_state(session->ssl);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (session != NULL) {
        SSL_free(session->ssl);
        X509_free(session->refused);
        mk_free(session);
    }
}

/* ---- Why it failed ---- */

static const char *refusal_text(long refusal)
{
    switch (refusal) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "its certificate is not valid yet";
    case X509_V_ERR_CERT_REVOKED: return "its certificate has been revoked";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "its certificate is of an authority that is not in the trust store";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "the trust store has no list of what its certificate's authority has revoked";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "the trust store's list of what its certificate's authority has revoked has expired";
    case X509_V_ERR_INVALID_PURPOSE:
        return "its certificate is for another use: see its extended key usage";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "its certificate is not one for the host that was dialled";
    default: return X509_verify_cert_error_string(refusal);
    }
}

/* The other side has ended it, and said why. */
static const char *alert_text(int alert)
{
    switch (alert) {
    case SSL_AD_UNKNOWN_CA: return "it does not trust the authority of the certificate shown here";
    case SSL_AD_CERTIFICATE_EXPIRED: return "to it the certificate shown here has expired";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_UNKNOWN: return "it does not accept the certificate shown here";
    case SSL_AD_CERTIFICATE_REQUIRED: return "it wants a certificate, and none was shown here";
    case SSL_AD_PROTOCOL_VERSION: return "it offers no version of TLS that is spoken here";
    case SSL_AD_HANDSHAKE_FAILURE: return "to it nothing that is offered here is good enough";
    default: return SSL_alert_desc_string_long(alert);
    }
}

static const char *failure_text(const struct tls_session *session, unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    long refusal = SSL_get_verify_result(session->ssl);

    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && refusal != X509_V_OK) {
        return refusal_text(refusal);
    }
    if (reason >= SSL_AD_REASON_OFFSET) {
        return alert_text(reason - SSL_AD_REASON_OFFSET);
    }
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "it has shown no certificate";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_PACKET_LENGTH_TOO_LONG: return "it does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL: return "it speaks no version of TLS that is offered";
    case SSL_R_NO_SHARED_CIPHER: return "it has no cipher suite in common";
    default: break;
    }
    const char *text = ERR_reason_error_string(code);
    return text != NULL ? text : "it broke the protocol of TLS";
}

/* Of a call of OpenSSL's that did not do all. */
static enum mk_status stopped(struct tls_session *session, int result)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ: return MK_WOULD_BLOCK;
    case SSL_ERROR_ZERO_RETURN: return MK_END;
    default: break;
    }
    session->why = failure_text(session, ERR_peek_error());
    ERR_clear_error();
    return MK_IO;
}

const char *tls_why(const struct tls_session *session)
{
    return session->why != NULL ? session->why : "it closed the connection";
}

/* ---- Records and bytes ---- */

void tls_show(struct tls_session *session, struct mk_bytes records)
{
    MK_ASSERT(session->shown.len == 0);
    session->shown = records;
}

enum mk_status tls_handshake(struct tls_session *session)
{
    ERR_clear_error(); /* What another connection has left would be taken for ours. */
    int result = SSL_do_handshake(session->ssl);

    return result == 1 ? MK_OK : stopped(session, result);
}

enum mk_status tls_read(struct tls_session *session, uint8_t *plain, size_t room, size_t *count)
{
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, plain, room, count);

    return result == 1 ? MK_OK : stopped(session, result);
}

enum mk_status tls_write(struct tls_session *session, struct mk_bytes plain)
{
    size_t count = 0;

    ERR_clear_error();
    int result = SSL_write_ex(session->ssl, plain.data, plain.len, &count);
    if (result == 1) {
        MK_ASSERT(count == plain.len); /* Records are always taken. */
        return MK_OK;
    }
    (void)stopped(session, result);
    return MK_IO;
}

void tls_end(struct tls_session *session)
{
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
}

/* ---- Who it is ---- */

bool tls_subject(const struct tls_session *session, struct mk_buf *out)
{
    X509 *certificate =
        session->refused != NULL ? session->refused : SSL_get0_peer_certificate(session->ssl);

    return certificate != NULL && tls_name_write(X509_get_subject_name(certificate), out);
}

bool tls_client_is(const struct tls_session *session, const char *host)
{
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);

    const struct edge_tls_options *options = session->tls->options;
    bool asked = options->client_host_verified && (options->host_verified || !options->dials);

    if (!asked || certificate == NULL) {
        return true; /* whether it may have none, clientAuth has said */
    }
    return is_address(host) ? X509_check_ip_asc(certificate, host, 0) == 1
                            : X509_check_host(certificate, host, 0,
                                              X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}
