/* The options of authentication, looked at together: what the core is to demand, and of whom. */
#include "edge/options.h"

#include <string.h>

/* Those that somebody can be here. world is everybody, and none of ZooKeeper's providers. */
static bool scheme_is_there(const struct edge_options *options, struct mk_bytes scheme)
{
    return mk_bytes_equal(scheme, MK_BYTES("ip")) ||
           (mk_bytes_equal(scheme, MK_BYTES("digest")) && options->server.acl.digest) ||
           (mk_bytes_equal(scheme, MK_BYTES("x509")) && options->server.acl.x509) ||
           (mk_bytes_equal(scheme, MK_BYTES("sasl")) && options->server.acl.sasl);
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
            mk_error_set(
                error,
                "enforce.auth.schemes: the scheme \"%.*s\" is not there, so nobody could "
                "have authenticated by it: give digest, ip or, with saslUsersFile, sasl, or, "
                "with secureClientPort, x509",
                (int)len, (const char *)schemes.data);
            return MK_BAD_ARGUMENTS;
        }
        len += comma != NULL;
        schemes = mk_bytes_of(schemes.data + len, schemes.len - len);
    }
    return MK_OK;
}

enum mk_status options_super_user_add(struct edge_options *options, const char *user,
                                      struct mk_error *error)
{
    if (options->sasl_supers_count == EDGE_SUPER_USERS_MAX) {
        mk_error_set(error, "superUser.N: there are more than %d", EDGE_SUPER_USERS_MAX);
        return MK_BAD_ARGUMENTS;
    }
    options->sasl_supers[options->sasl_supers_count++] = mk_bytes_text(options_text(options, user));
    return MK_OK;
}

static struct mk_bytes text_or_null(const char *text)
{
    return text != NULL ? mk_bytes_text(text) : MK_BYTES_NULL;
}

static enum mk_status sasl_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;

    server->acl.sasl = options->sasl_users_file != NULL;
    server->acl.sasl_any = text_or_null(options->sasl_any);
    if (options->sasl_required && !server->acl.sasl) {
        mk_error_set(error, "sessionRequireClientSASLAuth=true needs saslUsersFile: name the file"
                            " that has the users");
        return MK_BAD_ARGUMENTS;
    }
    if (options->sasl_section == NULL) {
        mk_error_set(error,
                     "sasl.serverconfig is empty: name the section of saslUsersFile to read");
        return MK_BAD_ARGUMENTS;
    }
    if (options->sasl_super != NULL &&
        options_super_user_add(options, options->sasl_super, error) != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    server->sasl_supers = options->sasl_supers;
    server->sasl_supers_count = options->sasl_supers_count;
    return MK_OK;
}

/* What the core is to demand. As in ZooKeeper, a demand for SASL leaves no room for another. */
static enum mk_status enforcement_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;

    server->enforced_schemes = options->sasl_required ? MK_BYTES("sasl") : MK_BYTES_NULL;
    if (options->sasl_required || !options->auth_enforced) {
        return MK_OK;
    }
    if (options->auth_schemes == NULL) {
        mk_error_set(error, "enforce.auth.enabled=true needs enforce.auth.schemes: give digest, ip"
                            " or sasl");
        return MK_BAD_ARGUMENTS;
    }
    server->enforced_schemes = schemes_trimmed(options, options->auth_schemes);
    return schemes_check(options, server->enforced_schemes, error);
}

/* "digest:ann:HASH,sasl:bob,ip:10.0.0.0/8": each may read and write what recipes live in. */
static enum mk_status recipe_admin_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;
    struct mk_buf acl = {0};
    struct mk_buf fixed = {0};
    int32_t count = 0;
    bool open = false;

    mk_buf_put_i32(&acl, 0);
    for (const char *at = options->recipe_admin; at != NULL && *at != '\0'; count++) {
        size_t len = strcspn(at, ",");
        size_t scheme_len = strcspn(at, ":");
        scheme_len = scheme_len < len ? scheme_len : len;
        mk_buf_put_i32(&acl, TREE_READ | TREE_WRITE);
        mk_buf_put_field(&acl, mk_bytes_of(at, scheme_len));
        mk_buf_put_field(&acl, len > scheme_len
                                   ? mk_bytes_of(at + scheme_len + 1, len - scheme_len - 1)
                                   : MK_BYTES(""));
        at += len + (at[len] == ',' ? 1 : 0);
    }
    mk_store_u32(acl.data, (uint32_t)count);
    bool good = count == 0 || tree_acl_fix(&server->acl, mk_buf_view(&acl), MK_BYTES_NULL, &fixed,
                                           &open) == MK_OK;
    if (good && count > 0) {
        struct mk_bytes kept = mk_arena_copy(&options->texts, mk_buf_view(&acl));
        server->recipe_admin = mk_bytes_of(kept.data + 4, kept.len - 4);
        server->recipe_admin_count = count;
    } else if (!good) {
        mk_error_set(error,
                     "recipeAdmin: \"%.100s\" is not a list like "
                     "digest:ann:HASH,sasl:bob,ip:10.0.0.0/8 of schemes that are there",
                     options->recipe_admin);
    }
    mk_buf_free(&acl);
    mk_buf_free(&fixed);
    return good ? MK_OK : MK_BAD_ARGUMENTS;
}

enum mk_status options_auth_check(struct edge_options *options, struct mk_error *error)
{
    struct server_options *server = &options->server;

    server->super_digest = text_or_null(options->super_digest);
    server->digest_hash = (enum tree_digest)options->digest_hash;
    enum mk_status status = sasl_check(options, error);
    if (status == MK_OK) {
        status = recipe_admin_check(options, error);
    }
    return status == MK_OK ? enforcement_check(options, error) : status;
}
