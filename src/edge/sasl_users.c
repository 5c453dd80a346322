/* The file of SASL users, read once at the start. What is in it: sasl/users.c. */
#include "edge/edge.h"
#include "sasl/sasl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static enum mk_status file_read(const char *path, struct mk_buf *out, struct mk_error *error)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        mk_error_set(error, "saslUsersFile=%s cannot be opened: %s", path, strerror(errno));
        return MK_IO;
    }
    mk_buf_reserve(out, SASL_FILE_BYTES_MAX + 1);
    out->len = fread(out->data, 1, SASL_FILE_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (failed || out->len > SASL_FILE_BYTES_MAX) {
        mk_error_set(error, "saslUsersFile=%s %s", path,
                     failed ? "cannot be read: is it a file?" : "is larger than 4 MiB");
        return MK_IO;
    }
    return MK_OK;
}

static enum mk_status users_read(struct edge_options *options, struct mk_error *error)
{
    struct mk_buf text = {0};
    struct mk_error why = {""};
    enum mk_status status = file_read(options->sasl_users_file, &text, error);

    if (status == MK_OK) {
        options->sasl_users = sasl_users_new();
        status =
            sasl_users_parse(options->sasl_users, mk_buf_view(&text), options->sasl_section, &why);
        if (status != MK_OK) {
            mk_error_set(error, "saslUsersFile=%s: %s", options->sasl_users_file, why.text);
        }
    }
    if (status == MK_OK && options->sasl_super_password != NULL) {
        status = sasl_users_put(options->sasl_users, MK_BYTES("super"),
                                mk_bytes_text(options->sasl_super_password), error);
    }
    mk_buf_free(&text);
    return status;
}

enum mk_status edge_sasl_users_read(struct edge_options *options, struct mk_error *error)
{
    if (options->sasl_users_file == NULL) {
        return MK_OK;
    }
    if (getrandom(options->sasl_secret, sizeof(options->sasl_secret), 0) !=
        (ssize_t)sizeof(options->sasl_secret)) {
        mk_error_set(error, "SASL needs random bytes, and the system gives none: %s",
                     strerror(errno));
        return MK_IO;
    }
    enum mk_status status = users_read(options, error);
    options->server.sasl_users = options->sasl_users;
    options->server.sasl_secret = mk_bytes_of(options->sasl_secret, sizeof(options->sasl_secret));
    return status;
}
