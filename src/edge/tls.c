/* What connections of one kind have in common. It is made anew at each reload: sessions keep the one that
 * they have begun with, and a file that cannot be used leaves the old one in place. */
#include "edge/tls.h"

#include "edge/tls_session.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PASSWORD_BYTES_MAX 1024
#define NAME_BYTES_MAX 64 /* of a protocol or a cipher suite */
#define LIST_BYTES_MAX 4096

/* ---- Errors ---- */

static const char *openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    return reason != NULL ? reason : "it cannot be used";
}

static enum mk_status refused(const struct tls *tls, const char *key, const char *value,
                              const char *why, struct mk_error *error)
{
    mk_error_set(error, "%s%s=%.200s: %s", tls->prefix, key, value, why);
    ERR_clear_error();
    return MK_BAD_ARGUMENTS;
}

/* ---- Files ---- */

/* Whether it is there, and none of Java's other formats, by their type or its name. */
static enum mk_status file_check(const struct tls *tls, const char *key, const char *file,
                                 const char *type, struct mk_error *error)
{
    static const struct {
        const char *type, *ending;
    } others[] = {{"JKS", ".jks"}, {"PKCS12", ".p12"}, {"PKCS12", ".pfx"}, {"BCFKS", ".bcfks"}};
    const char *dot = strrchr(file, '.');

    for (size_t i = 0; i < MK_COUNT(others); i++) {
        bool is = type != NULL ? strcasecmp(type, others[i].type) == 0
                               : dot != NULL && strcasecmp(dot, others[i].ending) == 0;
        if (is) {
            return refused(tls, key, file,
                           "PEM files are read here, no Java key stores: convert it, keytool"
                           " -importkeystore -srckeystore FILE -destkeystore x.p12 -deststoretype"
                           " PKCS12 && openssl pkcs12 -in x.p12 -nodes -out x.pem",
                           error);
        }
    }
    if (type != NULL && strcasecmp(type, "PEM") != 0) {
        return refused(tls, key, file, "its type must be PEM", error);
    }
    return access(file, R_OK) == 0 ? MK_OK : refused(tls, key, file, strerror(errno), error);
}

/* The first line of a file. */
static enum mk_status password_read(const struct tls *tls, const char *key, const char *file,
                                    char password[PASSWORD_BYTES_MAX], struct mk_error *error)
{
    FILE *opened = fopen(file, "re");

    if (opened == NULL) {
        return refused(tls, key, file, "it cannot be opened", error);
    }
    bool read = fgets(password, PASSWORD_BYTES_MAX, opened) != NULL;
    (void)fclose(opened);
    if (!read) {
        return refused(tls, key, file, "it is empty", error);
    }
    password[strcspn(password, "\r\n")] = '\0';
    return MK_OK;
}

/* Never asked for on a terminal. */
static int on_password(char *to, int room, int writing, void *password)
{
    size_t length = password != NULL ? strlen(password) : 0;
    (void)writing;

    if (length > (size_t)room) {
        return 0;
    }
    memcpy(to, password != NULL ? password : "", length);
    return (int)length;
}

static enum mk_status key_load(const struct tls *tls, SSL_CTX *context, struct mk_error *error)
{
    const struct edge_tls_options *options = tls->options;
    const char *file = options->key_file;
    char password[PASSWORD_BYTES_MAX];

    if (file_check(tls, "keyStore.location", file, options->key_type, error) != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    SSL_CTX_set_default_passwd_cb(context, on_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, options->key_password);
    if (options->key_password_file != NULL) {
        if (password_read(tls, "keyStore.passwordPath", options->key_password_file, password,
                          error) != MK_OK) {
            return MK_BAD_ARGUMENTS;
        }
        SSL_CTX_set_default_passwd_cb_userdata(context, password);
    }
    int certificate = SSL_CTX_use_certificate_chain_file(context, file);
    int key = certificate == 1 ? SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) : 0;
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    OPENSSL_cleanse(password, sizeof(password));
    if (certificate == 1 && key == 1 && SSL_CTX_check_private_key(context) == 1) {
        return MK_OK;
    }
    mk_error_set(error,
                 "%skeyStore.location=%.200s: %s: it must hold %s in PEM form, and be readable for"
                 " the server",
                 tls->prefix, file, openssl_reason(),
                 certificate == 1 ? "the certificate's private key, of the password that is given,"
                                  : "the certificate, those that lead to its authority, and its"
                                    " private key");
    ERR_clear_error();
    return MK_BAD_ARGUMENTS;
}

static enum mk_status trust_load(const struct tls *tls, SSL_CTX *context, struct mk_error *error)
{
    const struct edge_tls_options *options = tls->options;
    const char *file = options->trust_file;
    X509_STORE *store = SSL_CTX_get_cert_store(context);

    if (file_check(tls, "trustStore.location", file, options->trust_type, error) != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    if (SSL_CTX_load_verify_file(context, file) != 1) {
        return refused(tls, "trustStore.location", file,
                       "no certificates can be read from it: it must hold those that are trusted,"
                       " in PEM form",
                       error);
    }
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file));
    /* As in Java whatever is in the trust store is trusted, also what is no root. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (options->crl) {
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    return MK_OK;
}

/* ---- Protocols and ciphers ---- */

/* The next of "a, b" without the blanks around it. False: there are no more, or it is too long. */
static bool list_next(const char **list, char name[NAME_BYTES_MAX])
{
    *list += strspn(*list, ", \t");
    size_t length = strcspn(*list, ", \t");

    if (length == 0 || length >= NAME_BYTES_MAX) {
        return false;
    }
    memcpy(name, *list, length);
    name[length] = '\0';
    *list += length;
    return true;
}

/* Without a list it is what Java's context of that name offers. */
static enum mk_status protocols_set(const struct tls *tls, SSL_CTX *context, struct mk_error *error)
{
    const struct edge_tls_options *options = tls->options;
    const char *list = options->protocols != NULL ? options->protocols : options->protocol;
    const char *key = options->protocols != NULL ? "enabledProtocols" : "protocol";
    char name[NAME_BYTES_MAX];
    bool two = list == NULL, three = list == NULL;

    for (const char *at = list; at != NULL && list_next(&at, name);) {
        bool both = options->protocols == NULL && strcasecmp(name, "TLSv1.2") != 0;
        if (strcasecmp(name, "TLSv1.3") == 0 || strcasecmp(name, "TLS") == 0) {
            three = true;
            two = two || both;
        } else if (strcasecmp(name, "TLSv1.2") == 0) {
            two = true;
        } else {
            return refused(tls, key, list, "give TLSv1.2, TLSv1.3 or both", error);
        }
    }
    if (!two && !three) {
        return refused(tls, key, list, "give TLSv1.2, TLSv1.3 or both", error);
    }
    SSL_CTX_set_min_proto_version(context, two ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(context, three ? TLS1_3_VERSION : TLS1_2_VERSION);
    return MK_OK;
}

struct suites { /* as OpenSSL wants them, with colons between */
    char two[LIST_BYTES_MAX];
    char three[LIST_BYTES_MAX];
};

static bool suite_add(char list[LIST_BYTES_MAX], const char *name)
{
    size_t used = strlen(list);
    int added = snprintf(list + used, LIST_BYTES_MAX - used, "%s%s", used > 0 ? ":" : "", name);
    return added > 0 && (size_t)added < LIST_BYTES_MAX - used;
}

/* Java's names are those of the standard; those of TLS 1.3 name no exchange of keys. */
static bool suite_take(struct suites *suites, const char *name)
{
    if (strncmp(name, "TLS_", 4) == 0 && strstr(name, "_WITH_") == NULL) {
        return suite_add(suites->three, name);
    }
    const char *known = OPENSSL_cipher_name(name);
    return suite_add(suites->two, strcmp(known, "(NONE)") != 0 ? known : name);
}

static enum mk_status ciphers_set(const struct tls *tls, SSL_CTX *context, struct mk_error *error)
{
    const char *list = tls->options->ciphers;
    struct suites suites = {"", ""};
    char name[NAME_BYTES_MAX];

    if (list == NULL) {
        return MK_OK;
    }
    bool good = true;
    for (const char *at = list; good && list_next(&at, name);) {
        good = suite_take(&suites, name);
    }
    if (!good || (suites.two[0] != '\0' && SSL_CTX_set_cipher_list(context, suites.two) != 1) ||
        (suites.three[0] != '\0' && SSL_CTX_set_ciphersuites(context, suites.three) != 1) ||
        (suites.two[0] == '\0' && suites.three[0] == '\0')) {
        return refused(tls, "ciphersuites", list, "OpenSSL knows none of them", error);
    }
    if (suites.three[0] == '\0') {
        SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    }
    if (suites.two[0] == '\0') {
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    }
    return MK_OK;
}

/* ---- Life ---- */

/* Sessions are not kept: a connection lives long, and each is to be verified by what is trusted now. Buffers
 * go while they are empty, and an idle client costs what it needs: to take and return one is cheap
 * beside a record. */
static void habits_set(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

static SSL_CTX *context_new(const struct tls *tls, struct mk_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());

    MK_ASSERT(context != NULL); /* only without memory */
    habits_set(context);
    if (protocols_set(tls, context, error) != MK_OK || ciphers_set(tls, context, error) != MK_OK ||
        key_load(tls, context, error) != MK_OK ||
        (tls->options->trust_file != NULL && trust_load(tls, context, error) != MK_OK)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static enum mk_status options_check(struct tls *tls, struct mk_error *error)
{
    static const char *const auths[] = {
        [TLS_CLIENT_NEED] = "need", [TLS_CLIENT_WANT] = "want", [TLS_CLIENT_NONE] = "none"};
    const struct edge_tls_options *options = tls->options;
    const char *auth = options->client_auth != NULL ? options->client_auth : "need";
    size_t found = 0;

    while (found < MK_COUNT(auths) && strcasecmp(auth, auths[found]) != 0) {
        found++;
    }
    if (found == MK_COUNT(auths)) {
        return refused(tls, "clientAuth", auth, "give need, want or none", error);
    }
    tls->client_auth = (enum tls_client_auth)found;
    if (options->key_file == NULL) {
        mk_error_set(error,
                     "TLS needs %skeyStore.location: a PEM file with the server's certificate and"
                     " its private key",
                     tls->prefix);
        return MK_BAD_ARGUMENTS;
    }
    if (options->trust_file == NULL && (tls->client_auth != TLS_CLIENT_NONE || tls->dials)) {
        mk_error_set(error,
                     "TLS needs %strustStore.location: a PEM file with the certificates that are"
                     " trusted%s",
                     tls->prefix, tls->dials ? "" : "; or ssl.clientAuth=none, to ask for none");
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

struct tls *tls_new(const struct edge_tls_options *options, const char *prefix,
                    struct mk_error *error)
{
    struct tls *tls = mk_alloc_zero(1, sizeof(*tls));

    tls->options = options;
    tls->prefix = prefix;
    tls->dials = options->dials;
    tls->records = tls_records_method();
    if (options_check(tls, error) == MK_OK) {
        tls->context = context_new(tls, error);
    }
    if (tls->context == NULL) {
        tls_free(tls);
        return NULL;
    }
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->records);
    mk_free(tls);
}

enum mk_status tls_reload(struct tls *tls, struct mk_error *error)
{
    SSL_CTX *context = context_new(tls, error);

    if (context == NULL) {
        return MK_BAD_ARGUMENTS;
    }
    SSL_CTX_free(tls->context);
    tls->context = context;
    return MK_OK;
}

int64_t tls_expires(const struct tls *tls)
{
    struct tm when;
    X509 *certificate = SSL_CTX_get0_certificate(tls->context);

    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) == 1 ? (int64_t)timegm(&when)
                                                                        : INT64_MAX;
}

const struct edge_tls_options *tls_options(const struct tls *tls)
{
    return tls->options;
}
