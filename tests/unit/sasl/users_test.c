#include "sasl/sasl.h"
#include "unit/cmocka.h"

#include <stdio.h>

#define DIGEST "org.apache.zookeeper.server.auth.DigestLoginModule required\n"

static enum mk_status parsed(struct sasl_users **users, const char *file, struct mk_error *error)
{
    *users = sasl_users_new();
    return sasl_users_parse(*users, mk_bytes_text(file), "Server", error);
}

static void assert_password(const struct sasl_users *users, const char *name, const char *password)
{
    struct mk_bytes kept;
    assert_true(mk_bytes_equal(sasl_users_find(users, mk_bytes_text(name), &kept),
                               mk_bytes_text(password)));
    assert_true(mk_bytes_equal(kept, mk_bytes_text(name)));
}

static void assert_refused(const char *file, const char *why)
{
    struct sasl_users *users;
    struct mk_error error = {""};
    assert_int_equal(parsed(&users, file, &error), MK_BAD_ARGUMENTS);
    if (strstr(error.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, why);
    }
    sasl_users_free(users);
}

static void the_users_are_those_of_the_one_section(void **state)
{
    static const char file[] =
        "/* of\n * ours */\nClient {\n " DIGEST " username=\"bob\" password=\"x\";\n};\n"
        "Server { // here\n " DIGEST
        " debug=true user_super=\"a \\\"b\\\"\"\n user_bob=\"secret\"; };\n"
        "QuorumServer { com.sun.security.auth.module.Krb5LoginModule "
        "required; };";
    struct sasl_users *users;
    struct mk_error error = {""};

    assert_int_equal(parsed(&users, file, &error), MK_OK);

    assert_int_equal(sasl_users_count(users), 2);
    assert_password(users, "super", "a \"b\"");
    assert_password(users, "bob", "secret");
    struct mk_bytes kept;
    assert_null(sasl_users_find(users, MK_BYTES("eve"), &kept).data);
    assert_null(kept.data);
    sasl_users_free(users);
}

static void the_last_password_of_a_user_counts_and_may_be_empty(void **state)
{
    struct sasl_users *users;
    struct mk_error error = {""};

    assert_int_equal(
        parsed(&users, "Server { " DIGEST "user_a=\"1\" user_a=\"2\" user_b=\"\"; };", &error),
        MK_OK);
    assert_int_equal(sasl_users_count(users), 2);
    assert_password(users, "a", "2");
    assert_password(users, "b", "");
    sasl_users_free(users);
}

static void a_mistake_is_named_with_its_line(void **state)
{
    assert_refused("", "there is no section Server");
    assert_refused("Client { " DIGEST "; };", "there is no section Server");
    assert_refused("Server {\n\n" DIGEST "user_bob\n};", "line 5: expected =");
    assert_refused("Server { " DIGEST "user_bob=;\n};", "expected a value");
    assert_refused("Server { " DIGEST "user_bob=\"x\" };", "expected an option, or ;");
    assert_refused("Server { " DIGEST "user_bob=\"x\"; }", "expected ; behind the }");
    assert_refused("Server { " DIGEST "user_bob=\"x\n\"; };", "line 2: expected the closing quote");
    assert_refused("Server { " DIGEST "user_bob=\"x", "the closing quote");
    assert_refused("Server ", "expected {");
    assert_refused("Server { ", "expected the class of a login module");
    assert_refused("{", "expected the name of a section");
    assert_refused("/* for ever", "there is no section Server");
}

static void what_is_not_available_is_refused(void **state)
{
    assert_refused(
        "Server { com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true; };",
        "only DigestLoginModule is available");
    assert_refused("Server {\n " DIGEST " user_bob/host=\"x\"; };",
                   "line 3: \"bob/host\" cannot be a user");
    assert_refused("Server { " DIGEST " user_bob@REALM=\"x\"; };", "cannot be a user");
    assert_refused("Server { " DIGEST " user_=\"x\"; };", "cannot be a user");
}

static void there_is_a_limit_to_the_users(void **state)
{
    struct sasl_users *users = sasl_users_new();
    struct mk_error error = {""};
    char name[16];

    for (int i = 0; i < SASL_USERS_MAX; i++) {
        snprintf(name, sizeof(name), "u%d", i);
        assert_int_equal(sasl_users_put(users, mk_bytes_text(name), MK_BYTES("x"), &error), MK_OK);
    }
    assert_int_equal(sasl_users_put(users, MK_BYTES("more"), MK_BYTES("x"), &error),
                     MK_BAD_ARGUMENTS);
    assert_int_equal(sasl_users_put(users, MK_BYTES("u0"), MK_BYTES("y"), &error), MK_OK);
    assert_password(users, "u0", "y");
    sasl_users_free(users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_users_are_those_of_the_one_section),
        cmocka_unit_test(the_last_password_of_a_user_counts_and_may_be_empty),
        cmocka_unit_test(a_mistake_is_named_with_its_line),
        cmocka_unit_test(what_is_not_available_is_refused),
        cmocka_unit_test(there_is_a_limit_to_the_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
