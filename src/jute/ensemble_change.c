/* The members of an ensemble as a reconfig request wants them (zookeeper-protocol.md, section 4.2):
 *
 *   members    "server.1=…,server.2=…": these alone; or lines, as in a file
 *   leaving    "3,5": without these; numbers that nobody has do not matter
 *   joining    "server.4=host:port:port:role;port,…": with these, in the place of who has the number
 *
 * The last two go together, and only where every voter counts as one. */
#include "jute/jute.h"

#include <string.h>

static enum mk_status refuse(struct mk_error *error, const char *what)
{
    mk_error_set(error, "%s", what);
    return MK_BAD_ARGUMENTS;
}

static struct mk_bytes trim(struct mk_bytes text)
{
    while (text.len > 0 && text.data[0] <= ' ') {
        text = mk_bytes_of(text.data + 1, text.len - 1);
    }
    while (text.len > 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}

/* The next one that is not empty. False: that was all. */
static bool item_take(struct mk_bytes *list, struct mk_bytes *item)
{
    while (list->len > 0) {
        const uint8_t *comma = memchr(list->data, ',', list->len);
        size_t len = comma != NULL ? (size_t)(comma - list->data) : list->len;
        *item = trim(mk_bytes_of(list->data, len));
        size_t done = comma != NULL ? len + 1 : len;
        *list = mk_bytes_of(list->data + done, list->len - done);
        if (item->len > 0) {
            return true;
        }
    }
    return false;
}

static bool id_read(struct mk_bytes text, int64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.len && *id <= INT32_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *id = *id * 10 + (text.data[i] - '0');
    }
    return text.len > 0 && *id <= INT32_MAX;
}

static void member_remove(struct jute_ensemble *ensemble, int64_t id)
{
    for (size_t i = 0; i < ensemble->members_count; i++) {
        if (ensemble->members[i].id == id) {
            memmove(&ensemble->members[i], &ensemble->members[i + 1],
                    (ensemble->members_count - i - 1) * sizeof(ensemble->members[0]));
            ensemble->members_count--;
            return;
        }
    }
}

static enum mk_status leave(struct jute_ensemble *ensemble, struct mk_bytes list,
                            struct mk_error *error)
{
    struct mk_bytes item;
    int64_t id;

    while (item_take(&list, &item)) {
        if (!id_read(item, &id)) {
            return refuse(error, "those who leave are numbers, with commas between them");
        }
        member_remove(ensemble, id);
    }
    return MK_OK;
}

static enum mk_status join(struct jute_ensemble *ensemble, struct mk_bytes item,
                           struct mk_error *error)
{
    const uint8_t *equals = memchr(item.data, '=', item.len);
    int64_t id;

    if (equals == NULL) {
        return refuse(error, "those who join are server.N=host:port:port:role;port");
    }
    size_t len = (size_t)(equals - item.data);
    struct mk_bytes key = trim(mk_bytes_of(item.data, len));
    struct mk_bytes value = trim(mk_bytes_of(equals + 1, item.len - len - 1));
    size_t digits = key.len; /* ZooKeeper looks at what is behind the last dot only */
    while (digits > 0 && key.data[digits - 1] != '.') {
        digits--;
    }
    if (!id_read(mk_bytes_of(key.data + digits, key.len - digits), &id)) {
        return refuse(error, "those who join have a number: server.N");
    }
    member_remove(ensemble, id);
    struct mk_buf name = {0};
    mk_buf_printf(&name, "server.%lld", (long long)id);
    enum mk_status status = jute_ensemble_line(ensemble, mk_buf_view(&name), value, error);
    mk_buf_free(&name);
    if (status != MK_OK) {
        return MK_BAD_ARGUMENTS;
    }
    if (ensemble->members[ensemble->members_count - 1].client.port == 0) {
        return refuse(error, "those who join say all three ports: host:port:port:role;port");
    }
    return MK_OK;
}

static enum mk_status change(const struct jute_ensemble *now, const struct jute_request *request,
                             struct jute_ensemble *out, struct mk_error *error)
{
    struct mk_bytes list = request->joining, item;

    if (now->hierarchical) {
        return refuse(error, "with groups and weights, all members have to be given");
    }
    *out = *now;
    out->weights_count = out->groups_count = 0;
    enum mk_status status = leave(out, request->leaving, error);
    while (status == MK_OK && item_take(&list, &item)) {
        status = join(out, item, error);
    }
    return status;
}

/* Lines, or the same with commas between them. */
static enum mk_status replace(struct mk_bytes members, struct jute_ensemble *out,
                              struct mk_error *error)
{
    struct mk_buf lines = {0};

    mk_buf_append_bytes(&lines, members);
    for (size_t i = 0; i < lines.len; i++) {
        lines.data[i] = lines.data[i] == ',' ? '\n' : lines.data[i];
    }
    enum mk_status status = jute_ensemble_read(mk_buf_view(&lines), out, error);
    mk_buf_free(&lines);
    return status == MK_OK ? MK_OK : MK_BAD_ARGUMENTS;
}

/* ---- What must be so of all of them ---- */

static bool same_endpoint(const char *host, uint16_t port, const char *other, uint16_t other_port)
{
    return port != 0 && port == other_port && strcmp(host, other) == 0;
}

static bool shares_address(const struct jute_member *a, const struct jute_member *b)
{
    const struct {
        const char *host;
        uint16_t port;
    } of_a[] = {{a->host, a->quorum_port},
                {a->host, a->election_port},
                {a->client.host, a->client.port}},
      of_b[] = {
          {b->host, b->quorum_port}, {b->host, b->election_port}, {b->client.host, b->client.port}};

    for (size_t i = 0; i < MK_COUNT(of_a); i++) {
        for (size_t j = 0; j < MK_COUNT(of_b); j++) {
            bool any = of_a[i].host[0] == '\0'; /* all addresses: it may be another machine's */
            if (!any && same_endpoint(of_a[i].host, of_a[i].port, of_b[j].host, of_b[j].port)) {
                return true;
            }
        }
    }
    return false;
}

enum mk_status jute_ensemble_check(const struct jute_ensemble *ensemble, struct mk_error *error)
{
    uint64_t weight = 0;

    for (size_t i = 0; i < ensemble->members_count; i++) {
        const struct jute_member *member = &ensemble->members[i];
        weight += !member->observer ? member->weight : 0;
        if (member->quorum_port == member->election_port) {
            return refuse(error, "one port is for followers and for elections: give two");
        }
    }
    if (weight == 0) {
        return refuse(error, "there has to be a server that votes and may lead");
    }
    return MK_OK;
}

static enum mk_status addresses_check(const struct jute_ensemble *ensemble, struct mk_error *error)
{
    for (size_t i = 0; i < ensemble->members_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (shares_address(&ensemble->members[i], &ensemble->members[j])) {
                return refuse(error, "two servers have the same address");
            }
        }
    }
    return MK_OK;
}

enum mk_status jute_ensemble_change(const struct jute_ensemble *now,
                                    const struct jute_request *request, struct jute_ensemble *out,
                                    struct mk_error *error)
{
    enum mk_status status = request->data.data != NULL ? replace(request->data, out, error)
                                                       : change(now, request, out, error);

    if (status == MK_OK && jute_ensemble_finish(out, error) != MK_OK) {
        status = MK_BAD_ARGUMENTS;
    }
    if (status == MK_OK) {
        status = jute_ensemble_check(out, error);
    }
    return status == MK_OK ? addresses_check(out, error) : status;
}
