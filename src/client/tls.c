/* TLS over a socket. OpenSSL would write with write(), whose SIGPIPE is the program's business, so it is given
 * a socket of our own making. */
#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client_tls {
    SSL_CTX *context;
    BIO_METHOD *socket;
    bool any_host;
};
struct client_secure {
    SSL *ssl;
    int fd;
    bool waits;
    const char *why;
};

/* ---- The socket ---- */

static int transferred(BIO *bio, ssize_t done, size_t *count)
{
    BIO_clear_retry_flags(bio);
    if (done > 0) {
        *count = (size_t)done;
        return 1;
    }
    return 0;
}

static int on_send(BIO *bio, const char *data, size_t len, size_t *count)
{
    const struct client_secure *secure = BIO_get_data(bio);
    ssize_t done = send(secure->fd, data, len, MSG_NOSIGNAL);
    int result = transferred(bio, done, count);

    if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return result;
}

static int on_receive(BIO *bio, char *data, size_t room, size_t *count)
{
    const struct client_secure *secure = BIO_get_data(bio);
    ssize_t done = recv(secure->fd, data, room, 0);
    int result = transferred(bio, done, count);

    if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return result;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");

    MK_ASSERT(method != NULL); /* only without memory */
    BIO_meth_set_write_ex(method, on_send);
    BIO_meth_set_read_ex(method, on_receive);
    BIO_meth_set_ctrl(method, on_control);
    return method;
}

/* ---- Files ---- */

/* Nobody is asked for a password on a terminal that may be the program's own. */
static int on_password(char *to, int room, int writing, void *context)
{
    (void)to, (void)room, (void)writing, (void)context;
    return 0;
}

static bool file_refused(const char *file, const char *what, struct mk_error *error)
{
    mk_error_set(error, "%.200s: %s", file,
                 access(file, R_OK) != 0 ? strerrordesc_np(errno) : what);
    ERR_clear_error();
    return false;
}

static bool files_load(SSL_CTX *context, const struct moonkeeper_tls *files, struct mk_error *error)
{
    const char *key = files->key != NULL ? files->key : files->certificate;

    SSL_CTX_set_default_passwd_cb(context, on_password);
    if (files->trusted == NULL) {
        (void)SSL_CTX_set_default_verify_paths(context);
    } else if (SSL_CTX_load_verify_file(context, files->trusted) != 1) {
        return file_refused(files->trusted, "it holds no certificates in PEM form", error);
    }
    if (files->certificate != NULL &&
        SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1) {
        return file_refused(files->certificate, "it holds no certificate in PEM form", error);
    }
    if (key != NULL && (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
                        SSL_CTX_check_private_key(context) != 1)) {
        return file_refused(key, "it does not hold the certificate's private key, unencrypted",
                            error);
    }
    return true;
}

struct client_tls *client_tls_new(const struct moonkeeper_tls *files, struct mk_error *error)
{
    struct client_tls *tls = mk_alloc_zero(1, sizeof(*tls));

    tls->context = SSL_CTX_new(TLS_client_method());
    MK_ASSERT(tls->context != NULL); /* only without memory */
    tls->socket = socket_method();
    tls->any_host = files->any_host;
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    /* What is to be sent grows, and moves, while a part of it is under way. */
    SSL_CTX_set_mode(tls->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    X509_STORE_set_flags(SSL_CTX_get_cert_store(tls->context), X509_V_FLAG_PARTIAL_CHAIN);
    if (!files_load(tls->context, files, error)) {
        client_tls_free(tls);
        return NULL;
    }
    return tls;
}

void client_tls_free(struct client_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        BIO_meth_free(tls->socket);
        mk_free(tls);
    }
}

bool moonkeeper_tls_check(const struct moonkeeper_tls *tls, char *why, size_t why_bytes)
{
    struct mk_error error = {""};
    struct client_tls *made = client_tls_new(tls, &error);

    if (made == NULL && why != NULL && why_bytes > 0) {
        size_t len = strnlen(error.text, why_bytes - 1);
        memcpy(why, error.text, len);
        why[len] = '\0';
    }
    client_tls_free(made);
    return made != NULL;
}

/* ---- One connection ---- */

static bool is_address(const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static void host_expect(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
    int set = is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host)
                               : X509_VERIFY_PARAM_set1_host(wanted, host, 0);
    MK_ASSERT(set == 1); /* Otherwise any certificate would do. */
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

struct client_secure *client_secure_new(struct client_tls *tls, int fd, const char *host)
{
    struct client_secure *secure = mk_alloc_zero(1, sizeof(*secure));
    BIO *bio = BIO_new(tls->socket);

    secure->fd = fd;
    secure->ssl = SSL_new(tls->context);
    MK_ASSERT(bio != NULL && secure->ssl != NULL); /* only without memory */
    BIO_set_data(bio, secure);
    BIO_set_init(bio, 1);
    SSL_set_bio(secure->ssl, bio, bio);
    host_name_tell(secure->ssl, host);
    if (!tls->any_host) {
        host_expect(secure->ssl, host);
    }
    SSL_set_connect_state(secure->ssl);
    return secure;
}

void client_secure_free(struct client_secure *secure)
{
    if (secure == NULL) {
        return;
    }
    if (secure->why == NULL && SSL_is_init_finished(secure->ssl) == 1) {
        (void)SSL_shutdown(secure->ssl);
    }
    ERR_clear_error();
    SSL_free(secure->ssl);
    mk_free(secure);
}

static const char *failure_text(const SSL *ssl, unsigned long code)
{
    long refusal = SSL_get_verify_result(ssl);
    int reason = ERR_GET_REASON(code);

    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && refusal != X509_V_OK) {
        return X509_verify_cert_error_string(refusal); /* "certificate has expired" */
    }
    if (reason == SSL_R_WRONG_VERSION_NUMBER) {
        return "it does not speak TLS";
    }
    if (reason >= SSL_AD_REASON_OFFSET) {
        return "it does not accept this client's certificate, or wants one";
    }
    const char *text = ERR_reason_error_string(code);
    return text != NULL ? text : "it broke the protocol of TLS";
}

/* Of a call of OpenSSL's that did not do all: as send() and recv() would have it. */
static ssize_t stopped(struct client_secure *secure, int result)
{
    int error = SSL_get_error(secure->ssl, result);

    secure->waits = error == SSL_ERROR_WANT_READ;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    unsigned long code = ERR_peek_error();
    secure->why = code != 0 ? failure_text(secure->ssl, code) : "it closed the connection";
    ERR_clear_error();
    errno = EPROTO;
    return code == 0 ? 0 : -1;
}

ssize_t client_secure_send(struct client_secure *secure, const void *data, size_t len)
{
    size_t count = 0;

    ERR_clear_error();
    int result = SSL_write_ex(secure->ssl, data, len, &count);
    if (result == 1) {
        secure->waits = false;
        return (ssize_t)count;
    }
    ssize_t done = stopped(secure, result);
    return done == 0 ? -1 : done;
}

ssize_t client_secure_receive(struct client_secure *secure, void *data, size_t room)
{
    size_t count = 0;

    ERR_clear_error();
    int result = SSL_read_ex(secure->ssl, data, room, &count);
    if (!SSL_in_init(secure->ssl)) {
        secure->waits = false; /* The handshake is done: what is to be sent can be. */
    }
    if (result == 1) {
        return (ssize_t)count;
    }
    bool waited = secure->waits;
    ssize_t done = stopped(secure, result);
    secure->waits = waited;
    return done;
}

bool client_secure_waits(const struct client_secure *secure)
{
    return secure->waits;
}

const char *client_secure_why(const struct client_secure *secure)
{
    return secure->why != NULL ? secure->why : "it closed the connection";
}
