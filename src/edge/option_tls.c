/* The options of TLS, looked at together: who has it, and with which files. */
#include "edge/options.h"

#include "edge/tls.h"

/* As in ZooKeeper a port for TLS alone is no reason for one without. */
void options_tls_settle(struct edge_options *options)
{
    struct server_options *server = &options->server;

    options->clients_plain = options->port_given || !options->secure_given;
    server->acl.x509 = options->secure_given || options->clients_either;
    server->x509_super =
        options->x509_super != NULL ? mk_bytes_text(options->x509_super) : MK_BYTES_NULL;
}

enum mk_status edge_tls_read(struct edge_options *options, struct mk_error *error)
{
    bool clients = options->secure_given || options->clients_either;
    bool peers = options->ensemble != NULL && (options->peers_secure || options->peers_either);

    if (clients) {
        options->clients_tls = tls_new(&options->clients_tls_options, "ssl.", error);
    }
    if (peers && (!clients || options->clients_tls != NULL)) {
        options->peers_tls = tls_new(&options->peers_tls_options, "ssl.quorum.", error);
    }
    return (!clients || options->clients_tls != NULL) && (!peers || options->peers_tls != NULL)
               ? MK_OK
               : MK_BAD_ARGUMENTS;
}
