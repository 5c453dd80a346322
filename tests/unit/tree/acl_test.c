#include "tree/tree.h"
#include "unit/cmocka.h"
#include "unit/tree/lists.h"

#include <stdio.h>

static const struct tree_acl_rules rules = {.digest = true};

static bool may(const char *acl, int permission, const char *identities)
{
    return tree_acl_check(&rules, acl_of(acl), permission, identities_of(identities)) == MK_OK;
}

/* The list that is stored, "open", or "invalid". */
static const char *fixed(const char *acl, const char *identities)
{
    struct mk_buf out = {0};
    mk_buf_append_bytes(&out, MK_BYTES("before"));
    bool open;
    enum mk_status status =
        tree_acl_fix(&rules, acl_of(acl), identities_of(identities), &out, &open);
    const char *text = "open";
    assert_memory_equal(out.data, "before", 6);
    if (status != MK_OK) {
        assert_int_equal(status, MK_INVALID_ACL);
        text = "invalid";
    } else if (!open) {
        text = acl_text(mk_bytes_of(out.data + 6, out.len - 6));
        mk_buf_free(&out);
        return text;
    }
    assert_int_equal(out.len, 6);
    mk_buf_free(&out);
    return text;
}

static const char *served(struct mk_bytes acl, const char *identities)
{
    struct mk_buf out = {0};
    tree_acl_serve(&rules, acl, identities_of(identities), &out);
    const char *text = acl_text(mk_buf_view(&out));
    mk_buf_free(&out);
    return text;
}

static bool ip_id_valid(const char *id)
{
    char text[128];
    snprintf(text, sizeof(text), "31 ip:%s", id);
    return strcmp(fixed(text, ""), "invalid") != 0;
}

static bool ip_has(const char *id, const char *peer)
{
    char acl[128];
    char identity[128];
    snprintf(acl, sizeof(acl), "1 ip:%s", id);
    snprintf(identity, sizeof(identity), "ip:%s", peer);
    return may(acl, TREE_READ, identity);
}

/* ---- Check ---- */

static void a_null_or_empty_list_permits_everything(void **state)
{
    assert_int_equal(tree_acl_check(&rules, MK_BYTES_NULL, TREE_ADMIN, MK_BYTES_NULL), MK_OK);
    assert_int_equal(
        tree_acl_check(&rules, MK_BYTES("\xff\xff\xff\xff"), TREE_ADMIN, MK_BYTES_NULL), MK_OK);
    assert_true(may("", TREE_ADMIN, ""));
}

static void super_may_everything(void **state)
{
    assert_true(may("1 digest:bob:h", TREE_DELETE, "super:"));
    assert_true(may("0 world:anyone", TREE_ADMIN, "ip:::1, super:CN=root"));
}

static void world_anyone_is_everybody(void **state)
{
    assert_true(may("1 world:anyone", TREE_READ, ""));
    assert_false(may("1 world:anyone", TREE_WRITE, ""));
    assert_false(may("1 world:nobody", TREE_READ, ""));
}

static void any_one_bit_of_the_wanted_permissions_suffices(void **state)
{
    assert_true(may("16 world:anyone", TREE_READ | TREE_ADMIN, ""));
    assert_true(may("1 world:anyone", TREE_READ | TREE_ADMIN, ""));
    assert_false(may("14 world:anyone", TREE_READ | TREE_ADMIN, ""));
}

static void a_digest_identity_matches_exactly(void **state)
{
    const char *acl = "1 world:anyone, 31 digest:bob:h";
    assert_true(may(acl, TREE_WRITE, "ip:::1, digest:bob:h"));
    assert_false(may(acl, TREE_WRITE, "digest:bob:i"));
    assert_false(may(acl, TREE_WRITE, "digest:bob"));
    assert_false(may(acl, TREE_WRITE, "ip:bob:h"));
}

static void each_entry_is_judged_alone(void **state)
{
    const char *acl = "2 digest:bob:h, 1 digest:ann:h";
    assert_true(may(acl, TREE_READ, "digest:ann:h"));
    assert_false(may(acl, TREE_WRITE, "digest:ann:h"));
    assert_true(may(acl, TREE_WRITE, "digest:ann:h, digest:bob:h"));
}

static void a_scheme_without_a_provider_matches_nobody(void **state)
{
    assert_false(may("31 sasl:bob", TREE_READ, "sasl:bob"));
    assert_false(may("31 x509:CN=bob", TREE_READ, "x509:CN=bob"));
    assert_false(may("31 auth:", TREE_READ, "auth:"));
}

static void a_damaged_list_permits_nothing_that_it_does_not_show(void **state)
{
    struct mk_bytes whole = acl_of("31 world:anyone");
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(
            tree_acl_check(&rules, mk_bytes_of(whole.data, len), TREE_READ, MK_BYTES_NULL),
            MK_NO_AUTH);
    }
    assert_int_equal(tree_acl_check(&rules, MK_BYTES("\xff\xff\xff\xfe"), TREE_READ, MK_BYTES_NULL),
                     MK_NO_AUTH);
}

/* ---- ip ---- */

static void an_ipv4_acl_is_an_address_or_a_network(void **state)
{
    assert_true(ip_has("10.1.2.3", "10.1.2.3"));
    assert_false(ip_has("10.1.2.3", "10.1.2.4"));
    assert_true(ip_has("10.1.0.0/16", "10.1.2.3"));
    assert_false(ip_has("10.1.0.0/16", "10.2.2.3"));
    assert_true(ip_has("10.1.2.4/29", "10.1.2.7"));
    assert_false(ip_has("10.1.2.4/29", "10.1.2.8"));
    assert_true(ip_has("10.1.2.3/32", "10.1.2.3"));
    assert_false(ip_has("10.1.2.3/32", "10.1.2.2"));
    assert_true(ip_has("1.2.3.4/0", "255.255.255.255"));
}

static void an_ipv6_acl_is_an_address_or_a_network_however_written(void **state)
{
    assert_true(ip_has("::1", "0:0:0:0:0:0:0:1"));
    assert_true(ip_has("2001:DB8::ff", "2001:db8:0:0:0:0:0:ff"));
    assert_true(ip_has("2001:db8::/32", "2001:db8:1::5"));
    assert_false(ip_has("2001:db8::/32", "2001:db9::5"));
    assert_true(ip_has("2001:db8:8000::/33", "2001:db8:ffff::"));
    assert_false(ip_has("2001:db8:8000::/33", "2001:db8:7fff::"));
    assert_true(ip_has("::/0", "fe80::1"));
    assert_true(ip_has("::ffff:10.1.2.3", "::ffff:a01:203"));
    assert_false(ip_has("::1/128", "::2"));
}

static void addresses_of_different_families_never_match(void **state)
{
    assert_false(ip_has("0.0.0.0/0", "::1"));
    assert_false(ip_has("::/0", "127.0.0.1"));
    assert_false(ip_has("::ffff:10.1.2.3", "10.1.2.3"));
}

static void an_ipv4_acl_id_is_a_dotted_quad_perhaps_with_bits(void **state)
{
    assert_true(ip_id_valid("0.0.0.0"));
    assert_true(ip_id_valid("255.255.255.255"));
    assert_true(ip_id_valid("10.0.0.0/0"));
    assert_true(ip_id_valid("10.0.0.0/32"));
    assert_false(ip_id_valid("10.0.0.0/33"));
    assert_false(ip_id_valid("10.0.0.0/"));
    assert_false(ip_id_valid("10.0.0.0/-1"));
    assert_false(ip_id_valid("10.0.0.0/8/8"));
    assert_false(ip_id_valid("10.0.0.0/4294967304"));
    assert_false(ip_id_valid("10.0.0"));
    assert_false(ip_id_valid("10.0.0.0.0"));
    assert_false(ip_id_valid("10.0.0.256"));
    assert_false(ip_id_valid("10.0.0.0000"));
    assert_false(ip_id_valid("10.0..0"));
    assert_false(ip_id_valid(" 10.0.0.0"));
    assert_false(ip_id_valid("localhost"));
    assert_false(ip_id_valid(""));
    assert_false(ip_id_valid("~"));
}

static void an_ipv6_acl_id_is_eight_groups_of_which_some_may_be_left_out(void **state)
{
    assert_true(ip_id_valid("::"));
    assert_true(ip_id_valid("::1"));
    assert_true(ip_id_valid("1::"));
    assert_true(ip_id_valid("1:2:3:4:5:6:7:8"));
    assert_true(ip_id_valid("1:2:3:4:5:6:7::"));
    assert_true(ip_id_valid("::2:3:4:5:6:7:8"));
    assert_true(ip_id_valid("1:2:3:4:5:6:1.2.3.4"));
    assert_true(ip_id_valid("::1/128"));
    assert_true(ip_id_valid("::1/0"));
    assert_false(ip_id_valid("::1/129"));
    assert_false(ip_id_valid("1:2:3:4:5:6:7"));
    assert_false(ip_id_valid("1:2:3:4:5:6:7:8:9"));
    assert_false(ip_id_valid("1:2:3:4::5:6:7:8"));
    assert_false(ip_id_valid("1::2::3"));
    assert_false(ip_id_valid(":::"));
    assert_false(ip_id_valid("1:::2"));
    assert_false(ip_id_valid(":1:2:3:4:5:6:7"));
    assert_false(ip_id_valid("1:2:3:4:5:6:7:"));
    assert_false(ip_id_valid("::1:"));
    assert_false(ip_id_valid("12345::"));
    assert_false(ip_id_valid("g::"));
    assert_false(ip_id_valid("1:2:3:4:5:6:7:1.2.3.4"));
    assert_false(ip_id_valid("::1.2.3.4:5"));
    assert_false(ip_id_valid("1.2.3.4::"));
    assert_false(ip_id_valid("fe80::1%eth0"));
    assert_false(ip_id_valid("::1.2.3"));
}

static void an_identity_that_is_no_address_matches_no_network(void **state)
{
    assert_false(ip_has("0.0.0.0/0", "~"));
    assert_false(ip_has("0.0.0.0/0", ""));
    assert_false(ip_has("0.0.0.0/0", "10.0.0.0/8"));
    assert_false(ip_has("::/0", "fe80::1%eth0"));
}

/* ---- Fix ---- */

static void a_null_empty_or_damaged_list_is_invalid(void **state)
{
    struct mk_buf out = {0};
    bool open;
    assert_string_equal(fixed("", ""), "invalid");
    assert_int_equal(tree_acl_fix(&rules, MK_BYTES_NULL, MK_BYTES_NULL, &out, &open),
                     MK_INVALID_ACL);
    assert_int_equal(tree_acl_fix(&rules, MK_BYTES("\xff\xff\xff\xff"), MK_BYTES_NULL, &out, &open),
                     MK_INVALID_ACL);

    struct mk_bytes whole = acl_of("31 world:anyone, 1 digest:bob:h");
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(
            tree_acl_fix(&rules, mk_bytes_of(whole.data, len), MK_BYTES_NULL, &out, &open),
            MK_INVALID_ACL);
    }
    assert_int_equal(out.len, 0);
    mk_buf_free(&out);
}

static void the_open_list_is_not_written_out(void **state)
{
    assert_string_equal(fixed("31 world:anyone", ""), "open");
    assert_string_equal(fixed("31 world:anyone, 31 world:anyone", ""), "open");
    assert_string_equal(fixed("1 world:anyone", ""), "1 world:anyone");
    assert_string_equal(fixed("31 world:anyone, 1 ip:::1", ""), "31 world:anyone, 1 ip:::1");
}

static void exact_duplicates_are_dropped_and_the_order_is_kept(void **state)
{
    assert_string_equal(fixed("2 ip:::1, 1 world:anyone, 2 ip:::1, 3 ip:::1, 1 world:anyone", ""),
                        "2 ip:::1, 1 world:anyone, 3 ip:::1");
}

static void permissions_are_stored_as_sent(void **state)
{
    assert_string_equal(fixed("0 world:anyone", ""), "0 world:anyone");
    assert_string_equal(fixed("-1 world:anyone", ""), "-1 world:anyone");
    assert_string_equal(fixed("63 world:anyone", ""), "63 world:anyone");
}

static void world_knows_only_anyone(void **state)
{
    assert_string_equal(fixed("31 world:somebody", ""), "invalid");
    assert_string_equal(fixed("31 world:", ""), "invalid");
    assert_string_equal(fixed("31 world:~", ""), "invalid");
}

static void auth_becomes_one_entry_for_each_identity_that_was_proved(void **state)
{
    assert_string_equal(fixed("5 auth:", "ip:::1, digest:bob:h, super:, digest:ann:h"),
                        "5 digest:bob:h, 5 digest:ann:h");
    assert_string_equal(fixed("5 auth:whatever", "digest:bob:h"), "5 digest:bob:h");
    assert_string_equal(fixed("5 auth:~", "digest:bob:h"), "5 digest:bob:h");
    assert_string_equal(fixed("1 world:anyone, 31 auth:", "digest:bob:h"),
                        "1 world:anyone, 31 digest:bob:h");
}

static void auth_of_nobody_is_invalid(void **state)
{
    assert_string_equal(fixed("31 auth:", ""), "invalid");
    assert_string_equal(fixed("31 auth:", "ip:127.0.0.1"), "invalid");
    assert_string_equal(fixed("31 auth:", "super:"), "invalid");
    assert_string_equal(fixed("1 world:anyone, 31 auth:", "ip:::1"), "invalid");
}

static void a_digest_id_has_exactly_two_parts_as_java_counts_them(void **state)
{
    assert_string_equal(fixed("31 digest:bob:h", ""), "31 digest:bob:h");
    assert_string_equal(fixed("31 digest:bob:h::", ""), "31 digest:bob:h::");
    assert_string_equal(fixed("31 digest::h", ""), "31 digest::h");
    assert_string_equal(fixed("31 digest:bob", ""), "invalid");
    assert_string_equal(fixed("31 digest:bob:", ""), "invalid");
    assert_string_equal(fixed("31 digest:bob::h", ""), "invalid");
    assert_string_equal(fixed("31 digest:a:b:c", ""), "invalid");
    assert_string_equal(fixed("31 digest::", ""), "invalid");
    assert_string_equal(fixed("31 digest:", ""), "invalid");
    assert_string_equal(fixed("31 digest:~", ""), "invalid");
}

static void schemes_without_a_provider_are_invalid(void **state)
{
    assert_string_equal(fixed("31 sasl:bob", ""), "invalid");
    assert_string_equal(fixed("31 x509:CN=bob", ""), "invalid");
    assert_string_equal(fixed("31 super:", "super:"), "invalid");
    assert_string_equal(fixed("31 nosuch:x", ""), "invalid");
    assert_string_equal(fixed("31 :x", ""), "invalid");
}

/* ---- What an operator may decide ---- */

static const struct tree_acl_rules with_sasl = {
    .digest = true, .sasl = true, .sasl_any = {(const uint8_t *)"anybody", 7}};

static bool may_by(const struct tree_acl_rules *by, const char *acl, const char *identities)
{
    return tree_acl_check(by, acl_of(acl), TREE_READ, identities_of(identities)) == MK_OK;
}

static bool fixes_by(const struct tree_acl_rules *by, const char *acl, const char *identities)
{
    struct mk_buf out = {0};
    bool open;
    enum mk_status status = tree_acl_fix(by, acl_of(acl), identities_of(identities), &out, &open);
    mk_buf_free(&out);
    return status == MK_OK;
}

static void skipping_acls_lets_everybody_do_everything_but_not_write_invalid_ones(void **state)
{
    static const struct tree_acl_rules skip = {.skip = true, .digest = true};
    struct mk_buf out = {0};

    assert_true(may_by(&skip, "16 digest:bob:h", ""));
    assert_false(fixes_by(&skip, "31 nosuch:x", ""));
    tree_acl_serve(&skip, acl_of("31 digest:bob:h"), MK_BYTES_NULL, &out);
    assert_string_equal(acl_text(mk_buf_view(&out)), "31 digest:bob:h");
    mk_buf_free(&out);
}

static void without_the_digest_scheme_its_entries_match_nobody_and_are_refused(void **state)
{
    static const struct tree_acl_rules no_digest = {0};

    assert_false(may_by(&no_digest, "1 digest:bob:h", "digest:bob:h"));
    assert_false(fixes_by(&no_digest, "31 digest:bob:h", ""));
    assert_false(fixes_by(&no_digest, "31 auth:", "digest:bob:h"));
    assert_true(may_by(&no_digest, "1 world:anyone", ""));
    assert_true(may_by(&no_digest, "1 ip:10.0.0.1", "ip:10.0.0.1"));
}

static void a_sasl_identity_matches_its_own_entry_and_super_every_one(void **state)
{
    assert_true(may_by(&with_sasl, "1 sasl:bob", "sasl:bob"));
    assert_false(may_by(&with_sasl, "1 sasl:bob", "sasl:eve"));
    assert_false(may_by(&with_sasl, "1 sasl:bob", "digest:bob:h"));
    assert_true(may_by(&with_sasl, "1 sasl:bob", "sasl:super"));
    assert_false(may_by(&with_sasl, "1 digest:bob:h", "sasl:super"));
    assert_false(may_by(&rules, "1 sasl:bob", "sasl:bob"));
}

static void an_entry_may_stand_for_all_sasl_users(void **state)
{
    assert_true(may_by(&with_sasl, "1 sasl:anybody", "sasl:eve"));
    assert_false(may_by(&with_sasl, "1 sasl:anybody", "digest:eve:h"));
    assert_false(may_by(&with_sasl, "2 sasl:anybody", "sasl:eve"));
}

static void a_sasl_id_has_at_most_one_at_sign(void **state)
{
    assert_true(fixes_by(&with_sasl, "31 sasl:bob", ""));
    assert_true(fixes_by(&with_sasl, "31 sasl:bob/host@REALM", ""));
    assert_true(fixes_by(&with_sasl, "31 sasl:", ""));
    assert_false(fixes_by(&with_sasl, "31 sasl:a@b@c", ""));
    assert_true(fixes_by(&with_sasl, "31 auth:", "sasl:bob"));
}

static void a_null_scheme_is_invalid(void **state)
{
    struct mk_buf acl = {0};
    struct mk_buf out = {0};
    bool open;
    mk_buf_put_i32(&acl, 1);
    mk_buf_put_i32(&acl, 31);
    mk_buf_put_field(&acl, MK_BYTES_NULL);
    mk_buf_put_field(&acl, MK_BYTES("anyone"));

    assert_int_equal(tree_acl_fix(&rules, mk_buf_view(&acl), MK_BYTES_NULL, &out, &open),
                     MK_INVALID_ACL);
    mk_buf_free(&acl);
    mk_buf_free(&out);
}

static void a_list_has_a_limited_number_of_entries(void **state)
{
    struct mk_buf acl = {0};
    struct mk_buf out = {0};
    bool open;
    mk_buf_put_i32(&acl, TREE_ACL_ENTRIES_MAX);
    for (int32_t i = 0; i < TREE_ACL_ENTRIES_MAX; i++) {
        mk_buf_put_i32(&acl, i);
        mk_buf_put_field(&acl, MK_BYTES("ip"));
        mk_buf_put_field(&acl, MK_BYTES("::1"));
    }

    assert_int_equal(tree_acl_fix(&rules, mk_buf_view(&acl), MK_BYTES_NULL, &out, &open), MK_OK);
    assert_int_equal(out.len, acl.len);

    mk_store_u32(acl.data, TREE_ACL_ENTRIES_MAX + 1);
    mk_buf_append_bytes(&acl, MK_BYTES("\0\0\x10\0\0\0\0\2ip\0\0\0\3::1"));
    assert_int_equal(tree_acl_fix(&rules, mk_buf_view(&acl), MK_BYTES_NULL, &out, &open),
                     MK_INVALID_ACL);
    mk_buf_free(&acl);
    mk_buf_free(&out);
}

static void auth_cannot_make_a_list_of_any_size(void **state)
{
    struct tree_identities identities = {0};
    uint8_t *name = mk_alloc_zero(1, 60000);
    assert_true(tree_identities_add(&identities, MK_BYTES("digest"), mk_bytes_of(name, 60000)));
    struct mk_buf acl = {0};
    struct mk_buf out = {0};
    bool open;
    mk_buf_put_i32(&acl, 18);
    for (int32_t i = 0; i < 18; i++) {
        mk_buf_put_i32(&acl, i);
        mk_buf_put_field(&acl, MK_BYTES("auth"));
        mk_buf_put_field(&acl, MK_BYTES(""));
    }

    assert_int_equal(
        tree_acl_fix(&rules, mk_buf_view(&acl), mk_buf_view(&identities.bytes), &out, &open),
        MK_INVALID_ACL);
    mk_store_u32(acl.data, 17);
    acl.len -= 16;
    assert_int_equal(
        tree_acl_fix(&rules, mk_buf_view(&acl), mk_buf_view(&identities.bytes), &out, &open),
        MK_OK);
    mk_free(name);
    mk_buf_free(&identities.bytes);
    mk_buf_free(&acl);
    mk_buf_free(&out);
}

/* ---- Serve ---- */

static void digest_ids_are_redacted_for_those_without_admin(void **state)
{
    struct mk_bytes acl = acl_of("1 world:anyone, 31 digest:bob:h, 1 ip:::1");
    assert_string_equal(served(acl, "ip:::1"), "1 world:anyone, 31 digest:bob:x, 1 ip:::1");
    assert_string_equal(served(acl, "digest:bob:h"), "1 world:anyone, 31 digest:bob:h, 1 ip:::1");
    assert_string_equal(served(acl, "super:"), "1 world:anyone, 31 digest:bob:h, 1 ip:::1");
}

static void a_digest_id_without_a_colon_is_hidden_as_a_whole(void **state)
{
    assert_string_equal(served(acl_of("1 digest:secret, 1 digest:~"), ""),
                        "1 digest::x, 1 digest::x");
}

static void the_open_list_is_served_written_out(void **state)
{
    assert_string_equal(served(MK_BYTES_NULL, ""), "31 world:anyone");
}

static void a_damaged_list_is_served_as_far_as_it_can_be_read(void **state)
{
    struct mk_bytes whole = acl_of("1 world:anyone, 31 ip:::1");
    assert_string_equal(served(mk_bytes_of(whole.data, whole.len - 1), ""), "1 world:anyone");
    assert_string_equal(served(MK_BYTES("\0"), ""), "");
    assert_string_equal(served(MK_BYTES("\xff\xff\xff\xff"), ""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_null_or_empty_list_permits_everything),
        cmocka_unit_test(super_may_everything),
        cmocka_unit_test(world_anyone_is_everybody),
        cmocka_unit_test(any_one_bit_of_the_wanted_permissions_suffices),
        cmocka_unit_test(a_digest_identity_matches_exactly),
        cmocka_unit_test(each_entry_is_judged_alone),
        cmocka_unit_test(a_scheme_without_a_provider_matches_nobody),
        cmocka_unit_test(a_damaged_list_permits_nothing_that_it_does_not_show),
        cmocka_unit_test(an_ipv4_acl_is_an_address_or_a_network),
        cmocka_unit_test(an_ipv6_acl_is_an_address_or_a_network_however_written),
        cmocka_unit_test(addresses_of_different_families_never_match),
        cmocka_unit_test(an_ipv4_acl_id_is_a_dotted_quad_perhaps_with_bits),
        cmocka_unit_test(an_ipv6_acl_id_is_eight_groups_of_which_some_may_be_left_out),
        cmocka_unit_test(an_identity_that_is_no_address_matches_no_network),
        cmocka_unit_test(a_null_empty_or_damaged_list_is_invalid),
        cmocka_unit_test(the_open_list_is_not_written_out),
        cmocka_unit_test(exact_duplicates_are_dropped_and_the_order_is_kept),
        cmocka_unit_test(permissions_are_stored_as_sent),
        cmocka_unit_test(world_knows_only_anyone),
        cmocka_unit_test(auth_becomes_one_entry_for_each_identity_that_was_proved),
        cmocka_unit_test(auth_of_nobody_is_invalid),
        cmocka_unit_test(a_digest_id_has_exactly_two_parts_as_java_counts_them),
        cmocka_unit_test(schemes_without_a_provider_are_invalid),
        cmocka_unit_test(skipping_acls_lets_everybody_do_everything_but_not_write_invalid_ones),
        cmocka_unit_test(without_the_digest_scheme_its_entries_match_nobody_and_are_refused),
        cmocka_unit_test(a_sasl_identity_matches_its_own_entry_and_super_every_one),
        cmocka_unit_test(an_entry_may_stand_for_all_sasl_users),
        cmocka_unit_test(a_sasl_id_has_at_most_one_at_sign),
        cmocka_unit_test(a_null_scheme_is_invalid),
        cmocka_unit_test(a_list_has_a_limited_number_of_entries),
        cmocka_unit_test(auth_cannot_make_a_list_of_any_size),
        cmocka_unit_test(digest_ids_are_redacted_for_those_without_admin),
        cmocka_unit_test(a_digest_id_without_a_colon_is_hidden_as_a_whole),
        cmocka_unit_test(the_open_list_is_served_written_out),
        cmocka_unit_test(a_damaged_list_is_served_as_far_as_it_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
