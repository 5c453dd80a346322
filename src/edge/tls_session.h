/* Private to TLS's files. */
#ifndef EDGE_TLS_SESSION_H
#define EDGE_TLS_SESSION_H

#include "edge/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

enum tls_client_auth { TLS_CLIENT_NEED, TLS_CLIENT_WANT, TLS_CLIENT_NONE };

struct tls {
    const struct edge_tls_options *options;
    const char *prefix; /* "ssl." or "ssl.quorum." */
    enum tls_client_auth client_auth;
    bool dials;
    SSL_CTX *context;
    BIO_METHOD *records; /* how a session gets and puts records */
};
BIO_METHOD *tls_records_method(void); /* the caller's */

/* tls_name.c: `name` as Java's X500Principal.getName() has it. False: it cannot be written so. */
bool tls_name_write(X509_NAME *name, struct mk_buf *out);

#endif
