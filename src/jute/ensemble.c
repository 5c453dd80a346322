/* The members of an ensemble as text: lines of a configuration file, and the whole of what servers tell
 * each other (zookeeper-quorum.md, section 13.1).
 *
 *   server.1=host:2888:3888:participant;0.0.0.0:2181     group.1=1:2:3     weight.1=2     version=0
 *
 * Lines come in any order, so groups and weights are kept until all members are known. */
#include "jute/jute.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHT_MAX 1000 /* sums of 64 stay far below 2^32 */

/* ---- Numbers and addresses ---- */

/* All of `text` as a number from 0 to `max`, without sign or blanks. */
static bool number_read(struct mk_bytes text, unsigned base, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : base;
        if (digit >= base || number > (max - digit) / base) {
            return false;
        }
        number = number * base + digit;
    }
    *out = number;
    return text.len > 0;
}

/* What is before the first `separator`; the rest is what is behind it, or null. */
static struct mk_bytes part_take(struct mk_bytes *rest, char separator)
{
    struct mk_bytes whole = *rest;
    const uint8_t *found = whole.len == 0 ? NULL : memchr(whole.data, separator, whole.len);
    if (found == NULL) {
        *rest = MK_BYTES_NULL;
        return whole;
    }
    size_t len = (size_t)(found - whole.data);
    *rest = mk_bytes_of(found + 1, whole.len - len - 1);
    return mk_bytes_of(whole.data, len);
}

/* A host, in brackets if it holds colons; what follows the colon behind it stays in *rest. */
static bool host_take(struct mk_bytes *rest, char host[JUTE_HOST_BYTES_MAX + 1])
{
    struct mk_bytes name;
    if (rest->len > 0 && rest->data[0] == '[') {
        *rest = mk_bytes_of(rest->data + 1, rest->len - 1);
        name = part_take(rest, ']');
        if (rest->len == 0 || rest->data[0] != ':') {
            return false;
        }
        *rest = mk_bytes_of(rest->data + 1, rest->len - 1);
    } else {
        name = part_take(rest, ':');
    }
    if (name.len == 0 || name.len > JUTE_HOST_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        /* Printable, and nothing that would end a host where it is written again. */
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f ||
            strchr("[];|=\\", name.data[i]) != NULL) {
            return false;
        }
    }
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    return true;
}

static bool port_read(struct mk_bytes text, uint16_t *port)
{
    uint64_t number;
    bool good = number_read(text, 10, UINT16_MAX, &number) && number > 0;
    *port = good ? (uint16_t)number : 0;
    return good;
}

/* "[host:]port" */
static bool endpoint_read(struct mk_bytes text, struct jute_endpoint *out)
{
    bool bracket = text.len > 0 && text.data[0] == '[';
    bool colon = text.len > 0 && memchr(text.data, ':', text.len) != NULL;
    if ((bracket || colon) && !host_take(&text, out->host)) {
        return false;
    }
    return port_read(text, &out->port);
}

/* ---- Members ---- */

static bool word_is(struct mk_bytes text, const char *word)
{
    if (text.len != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] | 0x20) != (uint8_t)word[i]) {
            return false;
        }
    }
    return true;
}

static enum mk_status refuse(struct mk_error *error, const char *what)
{
    mk_error_set(error, "%s", what);
    return MK_MALFORMED;
}

/* "host:port:port[:role]" */
static enum mk_status peer_read(struct mk_bytes text, struct jute_member *member,
                                struct mk_error *error)
{
    if (text.len > 0 && memchr(text.data, '|', text.len) != NULL) {
        return refuse(error, "several addresses of one server (\"|\") are not supported");
    }
    if (!host_take(&text, member->host)) {
        return refuse(error, "a server is host:port:port, and an IPv6 address stands in brackets");
    }
    bool ports = port_read(part_take(&text, ':'), &member->quorum_port);
    ports = port_read(part_take(&text, ':'), &member->election_port) && ports;
    if (!ports) {
        return refuse(error, "a server is host:port:port: its ports for followers and for "
                             "elections, from 1 to 65535");
    }
    member->observer = word_is(text, "observer");
    if (text.data != NULL && !member->observer && !word_is(text, "participant")) {
        return refuse(error, "a server is a participant or an observer");
    }
    return MK_OK;
}

static enum mk_status member_read(struct mk_bytes value, struct jute_member *member,
                                  struct mk_error *error)
{
    enum mk_status status = peer_read(part_take(&value, ';'), member, error);
    if (status != MK_OK || value.data == NULL) {
        return status;
    }
    struct mk_bytes client = part_take(&value, ';');
    bool secure = value.data != NULL;
    if ((client.len > 0 || !secure) && !endpoint_read(client, &member->client)) {
        return refuse(error, "behind the semicolon stands the clients' [host:]port");
    }
    if (secure && !endpoint_read(value, &member->secure)) {
        return refuse(error, "behind the second semicolon stands the [host:]port of TLS");
    }
    return MK_OK;
}

static struct jute_member *member_find(struct jute_ensemble *ensemble, int64_t id)
{
    for (size_t i = 0; i < ensemble->members_count; i++) {
        if (ensemble->members[i].id == id) {
            return &ensemble->members[i];
        }
    }
    return NULL;
}

static enum mk_status server_line(struct jute_ensemble *ensemble, int64_t id, struct mk_bytes value,
                                  struct mk_error *error)
{
    struct jute_member member = {.id = id, .weight = 1};
    enum mk_status status = member_read(value, &member, error);
    if (status != MK_OK) {
        return status;
    }
    if (member_find(ensemble, id) != NULL) {
        return refuse(error, "there is a server of this number already");
    }
    if (ensemble->members_count == JUTE_MEMBERS_MAX) {
        mk_error_set(error, "an ensemble has at most %d servers", JUTE_MEMBERS_MAX);
        return MK_MALFORMED;
    }
    ensemble->members[ensemble->members_count++] = member;
    return MK_OK;
}

/* ---- Groups and weights ---- */

static enum mk_status group_line(struct jute_ensemble *ensemble, int64_t group,
                                 struct mk_bytes value, struct mk_error *error)
{
    if (group == 0) {
        return refuse(error, "groups are numbered from 1");
    }
    while (value.data != NULL) {
        uint64_t id;
        if (!number_read(part_take(&value, ':'), 10, JUTE_MEMBER_ID_MAX, &id)) {
            return refuse(error, "a group is a list of servers' numbers, with colons between");
        }
        for (size_t i = 0; i < ensemble->groups_count; i++) {
            if (ensemble->groups[i].id == (int64_t)id) {
                return refuse(error, "a server of this group is in a group already");
            }
        }
        if (ensemble->groups_count == JUTE_MEMBERS_MAX) {
            return refuse(error, "groups name more servers than there can be");
        }
        ensemble->groups[ensemble->groups_count].id = (int64_t)id;
        ensemble->groups[ensemble->groups_count++].group = group;
    }
    ensemble->hierarchical = true;
    return MK_OK;
}

static enum mk_status weight_line(struct jute_ensemble *ensemble, int64_t id, struct mk_bytes value,
                                  struct mk_error *error)
{
    uint64_t weight;
    if (!number_read(value, 10, WEIGHT_MAX, &weight)) {
        mk_error_set(error, "a weight is a number from 0 to %d", WEIGHT_MAX);
        return MK_MALFORMED;
    }
    for (size_t i = 0; i < ensemble->weights_count; i++) {
        if (ensemble->weights[i].id == id) {
            return refuse(error, "this server has a weight already");
        }
    }
    if (ensemble->weights_count == JUTE_MEMBERS_MAX) {
        return refuse(error, "more servers have weights than there can be");
    }
    ensemble->weights[ensemble->weights_count].id = id;
    ensemble->weights[ensemble->weights_count++].weight = (uint32_t)weight;
    return MK_OK;
}

/* ---- Lines, and the whole ---- */

typedef enum mk_status line_take(struct jute_ensemble *ensemble, int64_t id, struct mk_bytes value,
                                 struct mk_error *error);

enum mk_status jute_ensemble_line(struct jute_ensemble *ensemble, struct mk_bytes key,
                                  struct mk_bytes value, struct mk_error *error)
{
    static const struct {
        struct mk_bytes prefix;
        uint64_t max;
        line_take *take;
    } lines[] = {
        {{(const uint8_t *)"server.", 7}, JUTE_MEMBER_ID_MAX, server_line},
        {{(const uint8_t *)"group.", 6}, INT32_MAX, group_line},
        {{(const uint8_t *)"weight.", 7}, JUTE_MEMBER_ID_MAX, weight_line},
    };
    uint64_t number;
    if (mk_bytes_equal(key, MK_BYTES("version"))) {
        if (!number_read(value, 16, INT64_MAX, &number)) {
            return refuse(error, "a configuration's version is a hexadecimal number");
        }
        ensemble->version = (int64_t)number;
        return MK_OK;
    }
    for (size_t i = 0; i < MK_COUNT(lines); i++) {
        size_t len = lines[i].prefix.len;
        if (!mk_bytes_starts(key, lines[i].prefix)) {
            continue;
        }
        struct mk_bytes digits = mk_bytes_of(key.data + len, key.len - len);
        if (!number_read(digits, 10, lines[i].max, &number)) {
            mk_error_set(error, "what follows \"%s\" is a number from 0 to %llu",
                         (const char *)lines[i].prefix.data, (unsigned long long)lines[i].max);
            return MK_MALFORMED;
        }
        return lines[i].take(ensemble, (int64_t)number, value, error);
    }
    return MK_NO_NODE;
}

static int by_id(const void *a, const void *b)
{
    const struct jute_member *first = a;
    const struct jute_member *second = b;
    return (first->id > second->id) - (first->id < second->id);
}

enum mk_status jute_ensemble_finish(struct jute_ensemble *ensemble, struct mk_error *error)
{
    for (size_t i = 0; i < ensemble->groups_count; i++) {
        struct jute_member *member = member_find(ensemble, ensemble->groups[i].id);
        if (member == NULL) {
            mk_error_set(error, "group.%lld names the server %lld, which there is not",
                         (long long)ensemble->groups[i].group, (long long)ensemble->groups[i].id);
            return MK_MALFORMED;
        }
        member->group = ensemble->groups[i].group;
    }
    for (size_t i = 0; i < ensemble->weights_count; i++) {
        struct jute_member *member = member_find(ensemble, ensemble->weights[i].id);
        if (member == NULL) {
            mk_error_set(error, "weight.%lld is of a server that there is not",
                         (long long)ensemble->weights[i].id);
            return MK_MALFORMED;
        }
        member->weight = ensemble->weights[i].weight;
    }
    for (size_t i = 0; i < ensemble->members_count; i++) {
        const struct jute_member *member = &ensemble->members[i];
        if (ensemble->hierarchical && !member->observer && member->group == 0) {
            mk_error_set(error, "there are groups, but server.%lld is in none",
                         (long long)member->id);
            return MK_MALFORMED;
        }
    }
    qsort(ensemble->members, ensemble->members_count, sizeof(ensemble->members[0]), by_id);
    return MK_OK;
}

enum mk_status jute_ensemble_read(struct mk_bytes text, struct jute_ensemble *out,
                                  struct mk_error *error)
{
    struct mk_properties properties = mk_properties_of(text);
    struct mk_property line = {0};
    struct mk_error why = {0};
    *out = (struct jute_ensemble){0};
    enum mk_status status;
    while ((status = mk_properties_next(&properties, &line)) == MK_OK) {
        status = jute_ensemble_line(out, mk_buf_view(&line.key), mk_buf_view(&line.value), &why);
        if (status == MK_MALFORMED) {
            break;
        }
    }
    mk_property_free(&line);
    if (status == MK_END) {
        return jute_ensemble_finish(out, error);
    }
    mk_error_set(error, "line %u: %s", properties.line,
                 why.text[0] != '\0' ? why.text : "an escape is broken");
    return status;
}

/* ---- Writing ---- */

static void host_put(struct mk_buf *out, const char *host)
{
    bool colons = strchr(host, ':') != NULL;
    mk_buf_printf(out, colons ? "[%s]" : "%s", host);
}

static void endpoint_put(struct mk_buf *out, const struct jute_endpoint *endpoint)
{
    mk_buf_put_u8(out, ';');
    if (endpoint->port != 0) {
        host_put(out, endpoint->host[0] == '\0' ? "0.0.0.0" : endpoint->host);
        mk_buf_printf(out, ":%u", (unsigned)endpoint->port);
    }
}

static void member_put(struct mk_buf *out, const struct jute_member *member)
{
    mk_buf_printf(out, "server.%lld=", (long long)member->id);
    host_put(out, member->host);
    mk_buf_printf(out, ":%u:%u:%s", (unsigned)member->quorum_port, (unsigned)member->election_port,
                  member->observer ? "observer" : "participant");
    if (member->client.port != 0 || member->secure.port != 0) {
        endpoint_put(out, &member->client);
    }
    if (member->secure.port != 0) {
        endpoint_put(out, &member->secure);
    }
    mk_buf_put_u8(out, '\n');
}

/* The line of the group that `first` is in, if no member before it is. */
static void group_put(struct mk_buf *out, const struct jute_ensemble *ensemble, size_t first)
{
    int64_t group = ensemble->members[first].group;
    if (group == 0) {
        return;
    }
    for (size_t i = 0; i < first; i++) {
        if (ensemble->members[i].group == group) {
            return;
        }
    }
    mk_buf_printf(out, "group.%lld", (long long)group);
    for (size_t i = first; i < ensemble->members_count; i++) {
        if (ensemble->members[i].group == group) {
            mk_buf_printf(out, "%c%lld", i == first ? '=' : ':',
                          (long long)ensemble->members[i].id);
        }
    }
    mk_buf_put_u8(out, '\n');
}

void jute_put_ensemble_members(struct mk_buf *out, const struct jute_ensemble *ensemble)
{
    for (size_t i = 0; i < ensemble->members_count; i++) {
        member_put(out, &ensemble->members[i]);
    }
    for (size_t i = 0; i < ensemble->members_count && ensemble->hierarchical; i++) {
        group_put(out, ensemble, i);
    }
    for (size_t i = 0; i < ensemble->members_count && ensemble->hierarchical; i++) {
        const struct jute_member *member = &ensemble->members[i];
        mk_buf_printf(out, "weight.%lld=%u\n", (long long)member->id, (unsigned)member->weight);
    }
}

void jute_put_ensemble(struct mk_buf *out, const struct jute_ensemble *ensemble)
{
    jute_put_ensemble_members(out, ensemble);
    mk_buf_printf(out, "version=%llx", (unsigned long long)ensemble->version);
}
