/* Where a server is, by its configuration. The port is looked for where zkServer.sh looks, in the same
 * order: clientPort, the line of this server (server.<myid>=...;[address:]port) in the file or in the
 * dynamic file, secureClientPort; and then there is the default of moonkeeperd. */
#include "cli/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024) /* as moonkeeperd */
#define PORT_DEFAULT "2181"
#define ADDRESS_DEFAULT "localhost"
#define DATA_DIR_DEFAULT "./data"

/* False: `error` says why. */
static bool file_read(const char *path, struct mk_buf *out, struct mk_error *error)
{
    FILE *file = fopen(path, "rb");
    size_t count = 1;

    if (file == NULL) {
        mk_error_set(error, "%.300s cannot be opened: %s", path, strerror(errno));
        return false;
    }
    while (count > 0 && out->len <= FILE_BYTES_MAX) {
        mk_buf_reserve(out, 4096);
        count = fread(out->data + out->len, 1, 4096, file);
        out->len += count;
    }
    bool failed = ferror(file) != 0 || out->len > FILE_BYTES_MAX;
    (void)fclose(file);
    if (failed) {
        mk_error_set(error, "%.300s cannot be read, or is larger than %zu bytes", path,
                     FILE_BYTES_MAX);
    }
    return !failed;
}

/* The last value of `key` in the text, as the server would take it. False: it is not there, is empty or
 * longer than `out`. */
static bool value_find(struct mk_bytes text, const char *key, char *out, size_t out_bytes)
{
    struct mk_properties properties = mk_properties_of(text);
    struct mk_property property = {{0}, {0}};
    bool found = false;

    while (mk_properties_next(&properties, &property) == MK_OK) {
        if (strcmp((const char *)property.key.data, key) == 0) {
            found = property.value.len > 0 && property.value.len < out_bytes;
            (void)snprintf(out, out_bytes, "%s", found ? (const char *)property.value.data : "");
        }
    }
    mk_property_free(&property);
    return found;
}

/* "2888:3888;2181", "...;10.0.0.1:2181", "...;[::1]:2181". */
static bool server_line_take(struct service *service, const char *line)
{
    const char *client = strrchr(line, ';');
    const char *colon = client == NULL ? NULL : strrchr(client, ':');
    const char *port = colon != NULL ? colon + 1 : client != NULL ? client + 1 : "";

    if (*port == '\0' || strlen(port) >= sizeof(service->port)) {
        return false;
    }
    memcpy(service->port, port, strlen(port) + 1);
    if (colon != NULL) {
        bool brackets = client[1] == '[' && colon[-1] == ']';
        const char *begin = client + (brackets ? 2 : 1);
        (void)snprintf(service->address, sizeof(service->address), "%.*s",
                       (int)(colon - begin - (brackets ? 1 : 0)), begin);
    }
    return true;
}

static bool server_line_find(struct service *service, struct mk_bytes text)
{
    char path[SERVICE_PATH_BYTES + 8];
    char line[1024];
    char key[32];
    struct mk_buf myid = {0};
    struct mk_buf dynamic = {0};
    struct mk_error ignored;
    bool found = false;

    (void)snprintf(path, sizeof(path), "%s/myid", service->data_dir);
    if (file_read(path, &myid, &ignored)) {
        mk_buf_put_u8(&myid, '\0');
        size_t digits = strspn((const char *)myid.data, "0123456789");
        (void)snprintf(key, sizeof(key), "server.%.*s", (int)(digits < 20 ? digits : 20),
                       (const char *)myid.data);
        found = value_find(text, key, line, sizeof(line)) && server_line_take(service, line);
        if (!found && value_find(text, "dynamicConfigFile", path, sizeof(path)) &&
            file_read(path, &dynamic, &ignored)) {
            found = value_find(mk_buf_view(&dynamic), key, line, sizeof(line)) &&
                    server_line_take(service, line);
        }
    }
    mk_buf_free(&dynamic);
    mk_buf_free(&myid);
    return found;
}

static void port_find(struct service *service, struct mk_bytes text)
{
    if (!value_find(text, "clientPortAddress", service->address, sizeof(service->address))) {
        memcpy(service->address, ADDRESS_DEFAULT, sizeof(ADDRESS_DEFAULT));
    }
    if (value_find(text, "clientPort", service->port, sizeof(service->port)) ||
        server_line_find(service, text)) {
        return;
    }
    if (value_find(text, "secureClientPort", service->port, sizeof(service->port))) {
        service->secure = true;
        if (!value_find(text, "secureClientPortAddress", service->address,
                        sizeof(service->address))) {
            memcpy(service->address, ADDRESS_DEFAULT, sizeof(ADDRESS_DEFAULT));
        }
        return;
    }
    memcpy(service->port, PORT_DEFAULT, sizeof(PORT_DEFAULT));
}

bool service_config_read(struct service *service, const char *config, struct mk_error *error)
{
    struct mk_buf text = {0};

    memset(service, 0, sizeof(*service));
    service->config = config;
    if (!file_read(config, &text, error)) {
        mk_buf_free(&text);
        return false;
    }
    struct mk_bytes view = mk_buf_view(&text);
    /* Room for the names below it; a longer one, the server would refuse as well. */
    if (!value_find(view, "dataDir", service->data_dir, sizeof(service->data_dir) - 64)) {
        memcpy(service->data_dir, DATA_DIR_DEFAULT, sizeof(DATA_DIR_DEFAULT));
    }
    int pid_bytes = snprintf(service->pid_file, sizeof(service->pid_file),
                             "%s/zookeeper_server.pid", service->data_dir);
    int log_bytes = snprintf(service->log_file, sizeof(service->log_file),
                             "%s/moonkeeper_server.out", service->data_dir);
    MK_ASSERT(pid_bytes > 0 && pid_bytes < SERVICE_PATH_BYTES);
    MK_ASSERT(log_bytes > 0 && log_bytes < SERVICE_PATH_BYTES);
    port_find(service, view);
    mk_buf_free(&text);
    return true;
}
