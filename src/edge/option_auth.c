/* The options of authentication, looked at together: what the core is to demand, and of whom. */
#include "edge/options.h"

#include <string.h>

/* Those that somebody can be here. world is everybody, and none of ZooKeeper's providers. */
static bool scheme_is_there(const struct edge_options *options, struct mk_bytes scheme)
{
    return mk_bytes_equal(scheme, MK_BYTES("ip")) ||
           (mk_bytes_equal(scheme, MK_BYTES("digest")) && options->server.acl.digest);
}

/* The list without the blanks around its names, which ZooKeeper's own examples have. */
static struct mk_bytes schemes_trimmed(struct edge_options *options, const char *schemes)
{
    char *trimmed = options_text(options, schemes);
    size_t len = 0;

    for (const char *at = schemes; *at != '\0'; at++) {
        if (*at != ' ' && *at != '\t') {
            trimmed[len++] = *at;
        }
    }
    return mk_bytes_of((const uint8_t *)trimmed, len);
}

static enum mk_status schemes_check(const struct edge_options *options, struct mk_bytes schemes,
                                    struct mk_error *error)
{
    while (schemes.len > 0) {
        const uint8_t *comma = memchr(schemes.data, ',', schemes.len);
        size_t len = comma == NULL ? schemes.len : (size_t)(comma - schemes.data);
        if (!scheme_is_there(options, mk_bytes_of(schemes.data, len))) {
            mk_error_set(error,
                         "enforce.auth.schemes: the scheme \"%.*s\" is not there, so nobody could "
                         "have authenticated by it: give digest or ip",
                         (int)len, (const char *)schemes.data);
            return MK_BAD_ARGUMENTS;
        }
        len += comma != NULL;
        schemes = mk_bytes_of(schemes.data + len, schemes.len - len);
    }
    return MK_OK;
}

enum mk_status options_auth_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;

    server->super_digest =
        options->super_digest != NULL ? mk_bytes_text(options->super_digest) : MK_BYTES_NULL;
    server->digest_hash = (enum tree_digest)options->digest_hash;
    server->enforced_schemes = MK_BYTES_NULL;
    if (!options->auth_enforced) {
        return MK_OK;
    }
    if (options->auth_schemes == NULL) {
        mk_error_set(error,
                     "enforce.auth.enabled=true needs enforce.auth.schemes: give digest or ip");
        return MK_BAD_ARGUMENTS;
    }
    server->enforced_schemes = schemes_trimmed(options, options->auth_schemes);
    return schemes_check(options, server->enforced_schemes, error);
}
