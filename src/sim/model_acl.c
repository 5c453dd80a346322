/* The model's idea of identities and ACLs (section 7): schemes world, ip, digest, auth and super,
 * as far as the simulator's clients use them. */
#include <string.h>

#include "sim/model.h"

/* SHA1 of the text in base64, computed once, elsewhere: the server's own must come to the same. */
const struct sim_credentials sim_credentials[] = {
    {"bob:secret", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="},
    {"ann:secret", "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM="},
    {"super:secret", "super:lK75jTNcA+U9vtVEw5vB51mj/w4="},
};
const size_t sim_credentials_count = MK_COUNT(sim_credentials);

void sim_identities_add(struct sim_identities *identities, const char *scheme, const char *id)
{
    for (size_t i = 0; i < identities->count; i++) {
        if (strcmp(identities->list[i].scheme, scheme) == 0 &&
            strcmp(identities->list[i].id, id) == 0) {
            return;
        }
    }
    MK_ASSERT(identities->count < SIM_IDENTITIES_MAX);
    identities->list[identities->count++] = (struct sim_identity){scheme, id};
}

/* ---- A vector<ACL> ---- */

struct entry {
    int32_t permissions;
    struct mk_bytes scheme, id;
};

static bool entry_next(struct mk_reader *reader, struct entry *entry)
{
    if (mk_reader_left(reader) == 0) {
        return false;
    }
    entry->permissions = mk_read_i32(reader);
    entry->scheme = mk_read_field(reader);
    entry->id = mk_read_field(reader);
    MK_ASSERT(!reader->failed);
    return true;
}

static struct mk_reader entries_of(struct mk_bytes acl)
{
    struct mk_reader reader = mk_reader_of(acl);

    (void)mk_read_i32(&reader);
    return reader;
}

static bool is(struct mk_bytes bytes, const char *text)
{
    return mk_bytes_equal(bytes, mk_bytes_text(text));
}

static bool matches(const struct entry *entry, const struct sim_identities *who)
{
    if (is(entry->scheme, "world")) {
        return true;
    }
    for (size_t i = 0; i < who->count; i++) {
        if (is(entry->scheme, who->list[i].scheme) && is(entry->id, who->list[i].id)) {
            return true;
        }
    }
    return false;
}

bool sim_acl_permits(struct mk_bytes acl, int permission, const struct sim_identities *who)
{
    struct mk_reader reader = entries_of(acl);
    struct entry entry;

    for (size_t i = 0; i < who->count; i++) {
        if (strcmp(who->list[i].scheme, "super") == 0) {
            return true;
        }
    }
    while (entry_next(&reader, &entry)) {
        if ((entry.permissions & permission) != 0 && matches(&entry, who)) {
            return true;
        }
    }
    return false;
}

/* ---- Fixing (section 7.4) ---- */

static void put_entry(struct mk_buf *out, size_t start, int32_t permissions, struct mk_bytes scheme,
                      struct mk_bytes id)
{
    struct mk_reader reader = entries_of(mk_bytes_of(out->data + start, out->len - start));
    struct entry there;

    while (entry_next(&reader, &there)) {
        if (there.permissions == permissions && mk_bytes_equal(there.scheme, scheme) &&
            mk_bytes_equal(there.id, id)) {
            return;
        }
    }
    mk_buf_put_i32(out, permissions);
    mk_buf_put_field(out, scheme);
    mk_buf_put_field(out, id);
    mk_store_u32(out->data + start, mk_load_u32(out->data + start) + 1);
}

static bool put_authenticated(struct mk_buf *out, size_t start, int32_t permissions,
                              const struct sim_identities *who)
{
    bool any = false;

    for (size_t i = 0; i < who->count; i++) {
        if (strcmp(who->list[i].scheme, "digest") == 0) {
            any = true;
            put_entry(out, start, permissions, MK_BYTES("digest"), mk_bytes_text(who->list[i].id));
        }
    }
    return any;
}

static bool id_valid(const struct entry *entry)
{
    if (is(entry->scheme, "world")) {
        return is(entry->id, "anyone");
    }
    if (is(entry->scheme, "digest")) {
        return entry->id.data != NULL && memchr(entry->id.data, ':', entry->id.len) != NULL;
    }
    return is(entry->scheme, "ip"); /* the clients send only good ones */
}

static bool fix_entry(const struct entry *entry, const struct sim_identities *who,
                      struct mk_buf *out, size_t start)
{
    if (is(entry->scheme, "auth")) {
        return put_authenticated(out, start, entry->permissions, who);
    }
    if (!id_valid(entry)) {
        return false;
    }
    put_entry(out, start, entry->permissions, entry->scheme, entry->id);
    return true;
}

int32_t sim_acl_fix(struct mk_bytes acl, const struct sim_identities *who, struct mk_buf *out)
{
    const int32_t invalid_acl = -114;
    size_t start = out->len;

    if (acl.data == NULL || acl.len == 4) {
        return invalid_acl;
    }
    struct mk_reader reader = entries_of(acl);
    struct entry entry;
    mk_buf_put_i32(out, 0);
    while (entry_next(&reader, &entry)) {
        if (!fix_entry(&entry, who, out, start)) {
            return invalid_acl;
        }
    }
    return 0;
}

/* ---- Serving (section 7.5) ---- */

void sim_acl_serve(struct mk_bytes acl, const struct sim_identities *who, struct mk_buf *out)
{
    struct mk_reader reader = entries_of(acl);
    struct entry entry;
    bool redact = !sim_acl_permits(acl, SIM_ADMIN, who);

    mk_buf_append(out, acl.data, 4);
    while (entry_next(&reader, &entry)) {
        mk_buf_put_i32(out, entry.permissions);
        mk_buf_put_field(out, entry.scheme);
        if (redact && is(entry.scheme, "digest")) {
            const uint8_t *colon = memchr(entry.id.data, ':', entry.id.len);
            size_t user = (size_t)(colon - entry.id.data);
            mk_buf_put_i32(out, (int32_t)user + 2);
            mk_buf_append(out, entry.id.data, user);
            mk_buf_append_bytes(out, MK_BYTES(":x"));
        } else {
            mk_buf_put_field(out, entry.id);
        }
    }
}
