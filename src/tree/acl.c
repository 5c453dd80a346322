/* ACLs: who may do what. Four steps of a znode's life with them: `fix` when a client sends a list,
 * `check` when somebody wants something, `serve` when somebody asks for the list.
 *
 * A list is kept as jute's vector<ACL>: i32 count, then (i32 perms, string scheme, string id) each.
 * All walks are total: a list may have come from another server, so damage ends the walk, and what
 * cannot be read permits nothing. Source: PrepRequestProcessor.fixupACL, ZooKeeperServer.checkACL;
 * protocol reference, section 7. */
#include "tree/address.h"
#include "tree/identities.h"
#include "tree/tree.h"
#include "tree/x509_name.h"

#include <string.h>

struct acl_entry {
    int32_t perms;
    struct mk_bytes scheme;
    struct mk_bytes id;
    struct mk_bytes raw; /* all three as they lie in the list: equal entries are equal bytes */
};

struct acl_walk {
    struct mk_reader reader;
    int32_t count; /* as the list says */
    int32_t left;
};

static struct acl_walk acl_walk_start(struct mk_bytes acl)
{
    struct acl_walk walk = {mk_reader_of(acl), 0, 0};
    walk.count = mk_read_i32(&walk.reader);
    walk.left = walk.count;
    return walk;
}

static bool acl_walk_next(struct acl_walk *walk, struct acl_entry *entry)
{
    if (walk->left <= 0) {
        return false;
    }
    const uint8_t *start = walk->reader.at;
    walk->left--;
    entry->perms = mk_read_i32(&walk->reader);
    entry->scheme = mk_read_field(&walk->reader);
    entry->id = mk_read_field(&walk->reader);
    if (walk->reader.failed) {
        return false;
    }
    entry->raw = mk_bytes_of(start, (size_t)(walk->reader.at - start));
    return true;
}

/* Everything that was announced was there, and nothing else. */
static bool acl_walk_whole(const struct acl_walk *walk)
{
    return !walk->reader.failed && walk->left == 0 && mk_reader_left(&walk->reader) == 0;
}

/* ---- Schemes. world, auth and super have no provider: they are told apart below. Those that are
 * not loaded are refused, and entries with them that another server let in match nobody. ---- */

struct scheme {
    const char *name;
    bool authenticates; /* its identities are what `auth` stands for */
    bool (*loaded)(const struct tree_acl_rules *rules);
    bool (*valid)(struct mk_bytes id);
    bool (*matches)(const struct tree_acl_rules *rules, struct mk_bytes identity,
                    struct mk_bytes id);
};

static bool digest_loaded(const struct tree_acl_rules *rules)
{
    return rules->digest;
}

/* As Java's split(":") finds exactly two parts: it drops empty ones at the end, nowhere else. */
static bool digest_valid(struct mk_bytes id)
{
    size_t len = id.len;
    while (len > 0 && id.data[len - 1] == ':') {
        len--;
    }
    size_t colons = 0;
    for (size_t i = 0; i < len; i++) {
        colons += id.data[i] == ':';
    }
    return colons == 1;
}

static bool digest_matches(const struct tree_acl_rules *rules, struct mk_bytes identity,
                           struct mk_bytes id)
{
    (void)rules;
    return mk_bytes_equal(identity, id);
}

static bool sasl_loaded(const struct tree_acl_rules *rules)
{
    return rules->sasl;
}

/* The syntax of Kerberos names, as far as ZooKeeper looks at it: user, or user@realm. */
static bool sasl_valid(struct mk_bytes id)
{
    size_t ats = 0;
    for (size_t i = 0; i < id.len; i++) {
        ats += id.data[i] == '@';
    }
    return id.data != NULL && ats <= 1;
}

/* The user "super" is everybody whom SASL knows: SASLAuthenticationProvider.matches. */
static bool sasl_matches(const struct tree_acl_rules *rules, struct mk_bytes identity,
                         struct mk_bytes id)
{
    return mk_bytes_equal(identity, id) || mk_bytes_equal(identity, MK_BYTES("super")) ||
           (rules->sasl_any.data != NULL && mk_bytes_equal(id, rules->sasl_any));
}

static bool x509_loaded(const struct tree_acl_rules *rules)
{
    return rules->x509;
}

/* The configured super user, whom ZooKeeper lets match any name, holds super, too. */
static bool x509_matches(const struct tree_acl_rules *rules, struct mk_bytes identity,
                         struct mk_bytes id)
{
    (void)rules;
    return mk_bytes_equal(identity, id);
}

static bool ip_loaded(const struct tree_acl_rules *rules)
{
    (void)rules;
    return true;
}

static bool ip_matches(const struct tree_acl_rules *rules, struct mk_bytes identity,
                       struct mk_bytes id)
{
    (void)rules;
    return tree_address_range_has(identity, id);
}

static const struct scheme schemes[] = {
    {"digest", true, digest_loaded, digest_valid, digest_matches},
    {"sasl", true, sasl_loaded, sasl_valid, sasl_matches},
    {"x509", true, x509_loaded, tree_x509_name_valid, x509_matches},
    {"ip", false, ip_loaded, tree_address_range_valid, ip_matches},
};

/* NULL: unknown, or not loaded. */
static const struct scheme *scheme_find(const struct tree_acl_rules *rules, struct mk_bytes name)
{
    for (size_t i = 0; i < MK_COUNT(schemes); i++) {
        if (mk_bytes_equal(name, mk_bytes_text(schemes[i].name))) {
            return schemes[i].loaded(rules) ? &schemes[i] : NULL;
        }
    }
    return NULL;
}

static bool entry_world(const struct acl_entry *entry)
{
    return mk_bytes_equal(entry->scheme, MK_BYTES("world")) &&
           mk_bytes_equal(entry->id, MK_BYTES("anyone"));
}

/* ---- Check ---- */

/* A list with nothing in it, which permits everything; a damaged one is not. */
static bool acl_empty(struct mk_bytes acl)
{
    struct acl_walk walk = acl_walk_start(acl);
    return !walk.reader.failed && (walk.count == 0 || walk.count == -1);
}

static bool entry_matches(const struct tree_acl_rules *rules, const struct acl_entry *entry,
                          struct mk_bytes identities)
{
    const struct scheme *scheme = scheme_find(rules, entry->scheme);
    if (scheme == NULL) {
        return false;
    }
    struct tree_identities_walk walk = tree_identities_walk_start(identities);
    struct tree_identity identity;
    while (tree_identities_walk_next(&walk, &identity)) {
        if (mk_bytes_equal(identity.scheme, entry->scheme) &&
            scheme->matches(rules, identity.id, entry->id)) {
            return true;
        }
    }
    return false;
}

enum mk_status tree_acl_check(const struct tree_acl_rules *rules, struct mk_bytes acl,
                              int permission, struct mk_bytes identities)
{
    MK_ASSERT(permission != 0);
    MK_ASSERT((permission & ~TREE_ALL) == 0);
    if (rules->skip || acl.data == NULL || acl_empty(acl) || tree_identities_super(identities)) {
        return MK_OK;
    }

    struct acl_walk walk = acl_walk_start(acl);
    struct acl_entry entry;
    while (acl_walk_next(&walk, &entry)) {
        if ((entry.perms & permission) == 0) {
            continue;
        }
        if (entry_world(&entry) || entry_matches(rules, &entry, identities)) {
            return MK_OK;
        }
    }
    return MK_NO_AUTH;
}

/* ---- Writing a list: the count goes in when it is known ---- */

struct acl_writer {
    struct mk_buf *out;
    size_t start;
    uint32_t count;
};

static struct acl_writer acl_writer_start(struct mk_buf *out)
{
    struct acl_writer writer = {out, out->len, 0};
    mk_buf_put_u32(out, 0);
    return writer;
}

static void acl_write(struct acl_writer *writer, int32_t perms, struct mk_bytes scheme,
                      struct mk_bytes id)
{
    mk_buf_put_i32(writer->out, perms);
    mk_buf_put_field(writer->out, scheme);
    mk_buf_put_field(writer->out, id);
    writer->count++;
}

static void acl_writer_done(struct acl_writer *writer)
{
    MK_ASSERT(writer->out->len >= writer->start + 4);
    mk_store_u32(writer->out->data + writer->start, writer->count);
}

/* ---- Fix ---- */

/* Does the same entry come before this one in its list? */
static bool entry_repeated(struct mk_bytes acl, const struct acl_entry *entry)
{
    struct acl_walk walk = acl_walk_start(acl);
    struct acl_entry before;
    while (acl_walk_next(&walk, &before) && before.raw.data < entry->raw.data) {
        if (mk_bytes_equal(before.raw, entry->raw)) {
            return true;
        }
    }
    return false;
}

/* False: that would be larger than a list may be. */
static bool fixed_write(struct acl_writer *fixed, int32_t perms, struct mk_bytes scheme,
                        struct mk_bytes id)
{
    size_t len = fixed->out->len - fixed->start;
    MK_ASSERT(len <= TREE_ACL_BYTES_MAX);
    size_t room = TREE_ACL_BYTES_MAX - len;
    if (room < 12 || scheme.len > room - 12 || id.len > room - 12 - scheme.len) {
        return false;
    }
    acl_write(fixed, perms, scheme, id);
    return true;
}

/* `auth` is whoever sends it: one entry for each identity that was proved. An ip is not proved, and
 * super is nobody in particular. */
static bool entry_fix_auth(const struct tree_acl_rules *rules, const struct acl_entry *entry,
                           struct mk_bytes identities, struct acl_writer *fixed)
{
    struct tree_identities_walk walk = tree_identities_walk_start(identities);
    struct tree_identity identity;
    bool found = false;
    while (tree_identities_walk_next(&walk, &identity)) {
        const struct scheme *scheme = scheme_find(rules, identity.scheme);
        if (scheme == NULL || !scheme->authenticates) {
            continue;
        }
        if (!fixed_write(fixed, entry->perms, identity.scheme, identity.id)) {
            return false;
        }
        found = true;
    }
    return found;
}

static bool entry_fix(const struct tree_acl_rules *rules, const struct acl_entry *entry,
                      struct mk_bytes identities, struct acl_writer *fixed)
{
    if (mk_bytes_equal(entry->scheme, MK_BYTES("auth"))) {
        /* Its id, kazoo's null too, says nothing. */
        return entry_fix_auth(rules, entry, identities, fixed);
    }
    if (!entry_world(entry)) {
        const struct scheme *scheme = scheme_find(rules, entry->scheme);
        if (scheme == NULL || !scheme->valid(entry->id)) {
            return false;
        }
    }
    return fixed_write(fixed, entry->perms, entry->scheme, entry->id);
}

static const uint8_t acl_open_bytes[] = "\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone";

struct mk_bytes tree_acl_sent(struct mk_bytes acl)
{
    return acl.data != NULL ? acl : mk_bytes_of(acl_open_bytes, sizeof(acl_open_bytes) - 1);
}

struct mk_bytes tree_acl_kept(struct mk_bytes acl)
{
    return mk_bytes_equal(acl, tree_acl_sent(MK_BYTES_NULL)) ? MK_BYTES_NULL : acl;
}

enum mk_status tree_acl_fix(const struct tree_acl_rules *rules, struct mk_bytes acl,
                            struct mk_bytes identities, struct mk_buf *out, bool *open)
{
    *open = mk_bytes_equal(acl, tree_acl_sent(MK_BYTES_NULL));
    if (*open) {
        return MK_OK; /* as nearly all are sent: there is nothing to fix */
    }
    struct acl_walk walk = acl_walk_start(acl);
    if (walk.count <= 0 || walk.count > TREE_ACL_ENTRIES_MAX) {
        return MK_INVALID_ACL;
    }

    struct acl_writer fixed = acl_writer_start(out);
    struct acl_entry entry;
    bool good = true;
    while (good && acl_walk_next(&walk, &entry)) {
        good = entry_repeated(acl, &entry) || entry_fix(rules, &entry, identities, &fixed);
    }
    if (!good || !acl_walk_whole(&walk)) {
        out->len = fixed.start;
        return MK_INVALID_ACL;
    }
    MK_ASSERT(fixed.count > 0);
    acl_writer_done(&fixed);

    struct mk_bytes kept =
        tree_acl_kept(mk_bytes_of(out->data + fixed.start, out->len - fixed.start));
    *open = kept.data == NULL;
    if (*open) {
        out->len = fixed.start;
    }
    return MK_OK;
}

/* ---- Serve ---- */

/* "user:x" for "user:hash". A digest id always has a colon, unless another server let it in
 * without: then nothing of it is shown. */
static void acl_write_redacted(struct acl_writer *served, const struct acl_entry *entry)
{
    const uint8_t *colon = entry->id.len == 0 ? NULL : memchr(entry->id.data, ':', entry->id.len);
    size_t user_len = colon == NULL ? 0 : (size_t)(colon - entry->id.data);
    mk_buf_put_i32(served->out, entry->perms);
    mk_buf_put_field(served->out, entry->scheme);
    mk_buf_put_i32(served->out, (int32_t)(user_len + 2));
    mk_buf_append(served->out, entry->id.data, user_len);
    mk_buf_append(served->out, ":x", 2);
    served->count++;
}

void tree_acl_serve(const struct tree_acl_rules *rules, struct mk_bytes acl,
                    struct mk_bytes identities, struct mk_buf *out)
{
    struct acl_writer served = acl_writer_start(out);
    if (acl.data == NULL) {
        acl_write(&served, TREE_ALL, MK_BYTES("world"), MK_BYTES("anyone"));
        acl_writer_done(&served);
        return;
    }

    bool whole = tree_acl_check(rules, acl, TREE_ADMIN, identities) == MK_OK;
    struct acl_walk walk = acl_walk_start(acl);
    struct acl_entry entry;
    while (acl_walk_next(&walk, &entry)) {
        if (!whole && mk_bytes_equal(entry.scheme, MK_BYTES("digest"))) {
            acl_write_redacted(&served, &entry);
        } else {
            acl_write(&served, entry.perms, entry.scheme, entry.id);
        }
    }
    acl_writer_done(&served);
}
