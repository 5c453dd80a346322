/* Any text as a connect string. What is taken has between one and a few servers, each of which is
 * written as something that is taken again and means the same. */
#include "client/servers.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void server_again(const struct client_server *server)
{
    struct client_servers again;
    struct mk_error error;
    struct mk_buf text = {0};

    client_server_text(&text, server);
    mk_buf_put_u8(&text, 0);
    MK_ASSERT(client_servers_parse((const char *)text.data, &again, &error));
    MK_ASSERT(again.count == 1 && again.chroot[0] == '\0');
    MK_ASSERT(strcmp(again.list[0].host, server->host) == 0);
    MK_ASSERT(strcmp(again.list[0].port, server->port) == 0);
    client_servers_free(&again);
    mk_buf_free(&text);
}

static void chroot_try(const char *chroot)
{
    struct mk_bytes path = MK_BYTES("/a/b");
    struct mk_buf out = {0};

    MK_ASSERT(chroot[0] == '\0' || (chroot[0] == '/' && chroot[strlen(chroot) - 1] != '/'));
    client_chroot_add(&out, mk_bytes_text(chroot), path);
    struct mk_bytes stripped = mk_buf_view(&out);
    MK_ASSERT(client_chroot_strip(mk_bytes_text(chroot), &stripped));
    MK_ASSERT(mk_bytes_equal(stripped, path));
    mk_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mk_alloc(size + 1);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';

    struct client_servers servers;
    struct mk_error error = {""};
    if (client_servers_parse(text, &servers, &error)) {
        MK_ASSERT(servers.count >= 1 && servers.count <= CLIENT_SERVERS_MAX);
        for (size_t i = 0; i < servers.count; i++) {
            server_again(&servers.list[i]);
        }
        chroot_try(servers.chroot);
        client_servers_free(&servers);
    } else {
        MK_ASSERT(error.text[0] != '\0');
    }
    mk_free(text);
    return 0;
}
