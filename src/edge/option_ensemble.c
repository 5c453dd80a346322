/* The options of an ensemble, looked at together: who is in it, which one this server is, and what of it
 * the core has to know. Lines come one by one, from the file of options or from dynamicConfigFile. */
#include "edge/options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TICK_MS_MAX 3600000 /* an hour: what the deadlines of an election are made of */

/* ---- Lines ---- */

static struct jute_ensemble *ensemble_of(struct edge_options *options)
{
    if (options->listed == NULL) {
        options->listed = mk_arena_alloc(&options->texts, sizeof(*options->listed));
        memset(options->listed, 0, sizeof(*options->listed));
    }
    return options->listed;
}

enum mk_status options_ensemble_line(struct edge_options *options, const char *key,
                                     const char *value, struct mk_error *error)
{
    struct mk_error why = {""};
    enum mk_status status =
        jute_ensemble_line(ensemble_of(options), mk_bytes_text(key), mk_bytes_text(value), &why);

    if (status == MK_OK) {
        return MK_OK;
    }
    mk_error_set(error, "%s=%s: %s", key, value, why.text);
    return MK_BAD_ARGUMENTS;
}

void options_member_refuses(struct edge_options *options, const char *key, const char *value)
{
    char line[256];

    if (options->member_refuses == NULL) {
        (void)snprintf(line, sizeof(line), "%s=%s", key, value);
        options->member_refuses = options_text(options, line);
    }
}

static enum mk_status dynamic_lines_take(struct edge_options *options, struct mk_bytes text,
                                         struct mk_error *error)
{
    struct mk_properties properties = mk_properties_of(text);
    struct mk_property line = {{0}, {0}};
    struct mk_error why = {"a broken escape, or a NUL byte"};
    enum mk_status status = mk_properties_next(&properties, &line);

    while (status == MK_OK) {
        mk_error_set(&why, "only server.N, group.N, weight.N and version may stand there");
        status = jute_ensemble_line(ensemble_of(options), mk_buf_view(&line.key),
                                    mk_buf_view(&line.value), &why);
        if (status == MK_OK) {
            mk_error_set(&why, "a broken escape, or a NUL byte");
            status = mk_properties_next(&properties, &line);
        }
    }
    mk_property_free(&line);
    if (status == MK_END) {
        return MK_OK;
    }
    mk_error_set(error, "%s line %u: %.400s", options->dynamic_file, properties.line, why.text);
    return MK_BAD_ARGUMENTS;
}

static enum mk_status dynamic_file_read(struct edge_options *options, struct mk_error *error)
{
    struct mk_buf text = {0};

    if (options->listed != NULL) {
        mk_error_set(error, "server.N, group.N and weight.N stand in dynamicConfigFile, or without "
                            "it in the options; not in both");
        return MK_BAD_ARGUMENTS;
    }
    enum mk_status status = options_file_read(options->dynamic_file, &text, error);
    if (status == MK_OK) {
        status = dynamic_lines_take(options, mk_buf_view(&text), error);
    }
    mk_buf_free(&text);
    return status;
}

/* ---- Who is in it ---- */

static const struct jute_member *same_address(const struct jute_ensemble *ensemble, size_t index)
{
    const struct jute_member *member = &ensemble->members[index];

    for (size_t i = 0; i < index; i++) {
        const struct jute_member *other = &ensemble->members[i];
        bool ports = other->quorum_port == member->quorum_port ||
                     other->quorum_port == member->election_port ||
                     other->election_port == member->quorum_port ||
                     other->election_port == member->election_port;
        if (ports && strcasecmp(other->host, member->host) == 0) {
            return other;
        }
    }
    return NULL;
}

static enum mk_status addresses_check(const struct jute_ensemble *ensemble, struct mk_error *error)
{
    for (size_t i = 0; i < ensemble->members_count; i++) {
        const struct jute_member *member = &ensemble->members[i];
        const struct jute_member *other = same_address(ensemble, i);
        if (member->quorum_port == member->election_port) {
            mk_error_set(error,
                         "server.%" PRId64 ": port %u is there for followers and for elections: "
                         "give two ports",
                         member->id, member->quorum_port);
            return MK_BAD_ARGUMENTS;
        }
        if (other != NULL) {
            mk_error_set(error,
                         "server.%" PRId64 " and server.%" PRId64 " have the same port at %s: "
                         "on one machine each server has ports of its own",
                         other->id, member->id, member->host);
            return MK_BAD_ARGUMENTS;
        }
    }
    return MK_OK;
}

struct census {
    size_t voters, observers;
    uint64_t weight; /* of all voters */
};

static struct census census_of(const struct jute_ensemble *ensemble)
{
    struct census census = {0};

    for (size_t i = 0; i < ensemble->members_count; i++) {
        const struct jute_member *member = &ensemble->members[i];
        census.observers += member->observer;
        census.voters += !member->observer;
        census.weight += !member->observer ? member->weight : 0;
    }
    return census;
}

static enum mk_status census_check(const struct census *census, bool alone, struct mk_error *error)
{
    const char *wrong = NULL;

    if (census->voters == 0) {
        wrong = "there are observers, but no server that votes: nobody could lead";
    } else if (census->weight == 0) {
        wrong = "no server has a weight above 0: nobody could lead";
    } else if (alone && census->observers > 0) {
        wrong = "one server votes, and others observe: set standaloneEnabled=false to run that";
    }
    if (wrong != NULL) {
        mk_error_set(error, "server.N: %s", wrong);
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

/* ---- Which one this is ---- */

static void ids_append(const struct jute_ensemble *ensemble, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ensemble->members_count && length < size; i++) {
        length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, i > 0 ? ", " : "",
                                   ensemble->members[i].id);
    }
}

/* The number in the file myid, with blanks around it at most. */
static enum mk_status myid_parse(const char *path, const struct mk_buf *text, int64_t *id,
                                 struct mk_error *error)
{
    const char *at = (const char *)text->data, *end = at + text->len;
    char digits[4];
    size_t count = 0;

    for (; at < end && isspace((unsigned char)*at); at++) {
    }
    for (; at < end && isdigit((unsigned char)*at) && count < sizeof(digits) - 1; at++) {
        digits[count++] = *at;
    }
    for (; at < end && isspace((unsigned char)*at); at++) {
    }
    digits[count] = '\0';
    if (count == 0 || at < end) {
        mk_error_set(error, "%s must hold this server's number and nothing else: 0 to %d", path,
                     JUTE_MEMBER_ID_MAX);
        return MK_BAD_ARGUMENTS;
    }
    *id = strtol(digits, NULL, 10);
    return MK_OK;
}

static enum mk_status myid_read(const struct edge_options *options, int64_t *id,
                                struct mk_error *error)
{
    struct mk_buf text = {0};
    struct mk_error why = {""};
    char path[4096], ids[128];

    int length = snprintf(path, sizeof(path), "%s/myid", options->data_dir);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        mk_error_set(error, "dataDir: the path is too long");
        return MK_BAD_ARGUMENTS;
    }
    enum mk_status status = options_file_read(path, &text, &why);
    if (status == MK_OK) {
        status = myid_parse(path, &text, id, error);
    } else {
        ids_append(options->listed, ids, sizeof(ids));
        mk_error_set(error,
                     "%.300s: it must hold the number of this server, which is one of %s: "
                     "echo N > myid",
                     why.text, ids);
    }
    mk_buf_free(&text);
    return status;
}

static enum mk_status self_find(const struct edge_options *options, int64_t id,
                                const struct jute_member **self, struct mk_error *error)
{
    const struct jute_ensemble *ensemble = options->listed;

    for (size_t i = 0; i < ensemble->members_count; i++) {
        if (ensemble->members[i].id == id) {
            *self = &ensemble->members[i];
            return MK_OK;
        }
    }
    mk_error_set(error, "this is server %" PRId64 ", by %s/myid, but there is no server.%" PRId64,
                 id, options->data_dir, id);
    return MK_BAD_ARGUMENTS;
}

static bool is_any(const char *host)
{
    return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Where clients are served: the line of this server may say so, and nothing else may differ from it. */
static enum mk_status client_port_set(struct edge_options *options, const struct jute_member *self,
                                      struct mk_error *error)
{
    const struct jute_endpoint *client = &self->client;

    if (self->secure.port != 0 && !options->secure_given) {
        options->secure_given = true;
        options->secure_port = self->secure.port;
        options->secure_address = is_any(self->secure.host) || options->secure_address != NULL
                                      ? options->secure_address
                                      : options_text(options, self->secure.host);
    }
    if (client->port == 0) {
        return MK_OK;
    }
    if (options->port_given && options->port != client->port) {
        mk_error_set(error,
                     "clientPort=%" PRIu32 ", but server.%" PRId64 " says that clients use %u: "
                     "leave one of them, or make them equal",
                     options->port, self->id, client->port);
        return MK_BAD_ARGUMENTS;
    }
    options->port = client->port;
    options->port_given = true;
    if (!is_any(client->host) && options->address == NULL) {
        options->address = options_text(options, client->host);
    }
    return MK_OK;
}

/* ---- Together ---- */

static enum mk_status limits_check(const struct edge_options *options, struct mk_error *error)
{
    const struct server_ensemble *ensemble = &options->server.ensemble;

    if (options->member_refuses != NULL) {
        mk_error_set(
            error, "%s: not available yet in an ensemble, and not safe to ignore: remove the line",
            options->member_refuses);
        return MK_BAD_ARGUMENTS;
    }
    if (options->server.reconfig) {
        mk_error_set(error, "reconfigEnabled=true: not available yet in an ensemble: remove the "
                            "line, in the other servers' options, too");
        return MK_BAD_ARGUMENTS;
    }
    if (ensemble->notify_min_ms > ensemble->notify_max_ms) {
        mk_error_set(error,
                     "fastleader.minNotificationInterval=%" PRId64
                     " is larger than fastleader.maxNotificationInterval=%" PRId64,
                     ensemble->notify_min_ms, ensemble->notify_max_ms);
        return MK_BAD_ARGUMENTS;
    }
    if (options->server.tick_ms > TICK_MS_MAX) {
        mk_error_set(error, "tickTime=%" PRId64 ": a member of an ensemble takes up to %d",
                     options->server.tick_ms, TICK_MS_MAX);
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

/* What the core is to know of it. */
static void server_ensemble_fill(struct edge_options *options, const struct jute_member *self)
{
    const struct jute_ensemble *listed = options->listed;
    struct server_ensemble *ensemble = &options->server.ensemble;
    struct mk_buf text = {0};

    for (size_t i = 0; i < listed->members_count; i++) {
        const struct jute_member *member = &listed->members[i];
        ensemble->members[i] = (struct server_member){.id = member->id,
                                                      .observer = member->observer,
                                                      .weight = member->weight,
                                                      .group = member->group};
    }
    ensemble->members_count = listed->members_count;
    ensemble->hierarchical = listed->hierarchical;
    jute_put_ensemble(&text, listed);
    mk_buf_put_u8(&text, '\0');
    options->ensemble_text = options_text(options, (const char *)text.data);
    ensemble->text = mk_bytes_text(options->ensemble_text);
    mk_buf_free(&text);
    options->server.server_id = (uint8_t)self->id;
    options->ensemble = listed;
    options->self = self;
}

static enum mk_status member_check(struct edge_options *options, struct mk_error *error)
{
    const struct jute_member *self = NULL;
    int64_t id = -1;

    enum mk_status status = addresses_check(options->listed, error);
    if (status == MK_OK) {
        status = limits_check(options, error);
    }
    if (status == MK_OK) {
        status = myid_read(options, &id, error);
    }
    if (status == MK_OK) {
        status = self_find(options, id, &self, error);
    }
    if (status == MK_OK) {
        status = client_port_set(options, self, error);
    }
    if (status == MK_OK) {
        server_ensemble_fill(options, self);
    }
    return status;
}

/* Nobody is listed: then nothing may ask for others. */
static enum mk_status nobody_check(const struct edge_options *options, struct mk_error *error)
{
    bool observer = strcasecmp(options->peer_type, "observer") == 0;

    if (options->dynamic_file != NULL) {
        mk_error_set(error, "dynamicConfigFile=%s lists no server", options->dynamic_file);
        return MK_BAD_ARGUMENTS;
    }
    if (observer || !options->standalone_allowed) {
        mk_error_set(error, "%s: that needs an ensemble: add lines server.N, or remove it",
                     observer ? "peerType=observer" : "standaloneEnabled=false");
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

/* One line alone is a standalone server, to ZooKeeper too: some installations write it always. */
static void alone_ignore(struct edge_options *options)
{
    char key[32];

    (void)snprintf(key, sizeof(key), "server.%" PRId64, options->listed->members[0].id);
    options_ignore(options, key);
}

enum mk_status options_ensemble_check(struct edge_options *options, struct mk_error *error)
{
    if (options->peer_type == NULL || (strcasecmp(options->peer_type, "participant") != 0 &&
                                       strcasecmp(options->peer_type, "observer") != 0)) {
        mk_error_set(error, "peerType: give participant or observer");
        return MK_BAD_ARGUMENTS;
    }
    if (options->dynamic_file != NULL && dynamic_file_read(options, error) != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    if (options->listed == NULL) {
        return nobody_check(options, error);
    }
    if (jute_ensemble_finish(options->listed, error) != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    struct census census = census_of(options->listed);
    bool alone = census.voters == 1 && options->standalone_allowed;
    if (census_check(&census, alone, error) != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    if (alone) {
        alone_ignore(options);
        return MK_OK;
    }
    return member_check(options, error) == MK_OK ? MK_OK : MK_BAD_ARGUMENTS;
}
