#include "edge/options.h"
#include "unit/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void assert_accepts(struct edge_options *options, const char *key, const char *value)
{
    struct mk_error error = {""};
    assert_int_equal(option_set(options, key, value, &error), MK_OK);
    assert_string_equal(error.text, "");
}

static void assert_ignored(struct edge_options *options, const char *keys)
{
    assert_int_equal(options->ignored.len, strlen(keys));
    assert_memory_equal(options->ignored.data, keys, strlen(keys));
}

static void assert_refuses(const char *key, const char *value, const char *message)
{
    struct edge_options options;
    struct mk_error error = {""};

    edge_options_default(&options);
    assert_int_equal(option_set(&options, key, value, &error), MK_BAD_ARGUMENTS);
    assert_non_null(strstr(error.text, message));
    edge_options_free(&options);
}

static void without_options_the_server_is_complete(void **state)
{
    struct edge_options options;
    struct mk_error error;
    char *argv[] = {(char[]){"moonkeeperd"}};

    edge_options_default(&options);

    assert_int_equal(edge_options_read(&options, 1, argv, &error), MK_OK);
    assert_string_equal(options.data_dir, "./data");
    assert_null(options.address);
    assert_int_equal(options.port, 2181);
    assert_int_equal(options.server.session_timeout_min_ms, 2 * options.server.tick_ms);
    assert_int_equal(options.server.session_timeout_max_ms, 20 * options.server.tick_ms);
    assert_true(options.sync);
    edge_options_free(&options);
}

static void numbers_are_taken_in_the_unit_that_the_manual_names(void **state)
{
    struct edge_options options;
    edge_options_default(&options);

    assert_accepts(&options, "tickTime", "2000");
    assert_accepts(&options, "callResultSeconds", "30");
    assert_accepts(&options, "preAllocSize", "1024");
    assert_accepts(&options, "cacheSize", "1G");
    assert_accepts(&options, "overlayBytes", "2m");
    assert_accepts(&options, "jute.maxbuffer", "0xfffff");

    assert_int_equal(options.server.tick_ms, 2000);
    assert_int_equal(options.server.call_result_ms, 30000);
    assert_int_equal(options.segment_bytes, 1024 * 1024);
    assert_int_equal(options.cache_bytes, 1 << 30);
    assert_int_equal(options.overlay_bytes, 2 << 20);
    assert_int_equal(options.server.frame_bytes_max, 0xfffff);
    edge_options_free(&options);
}

static void what_is_not_a_number_or_out_of_range_is_refused(void **state)
{
    assert_refuses("tickTime", "2s", "not a whole number");
    assert_refuses("tickTime", "", "not a whole number");
    assert_refuses("tickTime", " 1", "not a whole number");
    assert_refuses("tickTime", "0", "give 10 to");
    assert_refuses("clientPort", "65536", "give 0 to 65535");
    assert_refuses("clientPort", "-1", "give 0 to 65535");
    assert_refuses("cacheSize", "1T", "nor one with K, M or G");
    assert_refuses("cacheSize", "1GG", "nor one with K, M or G");
    assert_refuses("cacheSize", "9223372036854775807G", "not a whole number");
    assert_refuses("maxClientCnxns", "99999999999999999999", "not a whole number");
}

static void choices_are_as_zookeeper_spells_them(void **state)
{
    struct edge_options options;
    edge_options_default(&options);

    assert_accepts(&options, "extendedTypesEnabled", "TRUE");
    assert_accepts(&options, "skipACL", "yes");
    assert_accepts(&options, "forceSync", "no");
    assert_accepts(&options, "recipes", "off");
    assert_accepts(&options, "logLevel", "debug");

    assert_true(options.server.extended_types);
    assert_true(options.server.acl.skip);
    assert_false(options.sync);
    assert_false(options.server.recipes);
    assert_int_equal(options.log_level, MK_LOG_DEBUG);
    edge_options_free(&options);
    assert_refuses("extendedTypesEnabled", "yes", "give true or false");
    assert_refuses("skipACL", "true", "give yes or no");
    assert_refuses("logLevel", "trace", "give error, warn, info or debug");
}

static void an_unknown_key_suggests_the_nearest(void **state)
{
    assert_refuses("tickTme", "1", "unknown option tickTme: did you mean tickTime?");
    assert_refuses("ticktime", "1", "did you mean tickTime?");
    assert_refuses("clientport", "1", "did you mean clientPort?");
    assert_refuses("cachesize", "1", "did you mean cacheSize?");
    assert_refuses("zookeeper.skipAcls", "yes", "did you mean zookeeper.skipACL?");
    assert_refuses("snapcount", "1", "did you mean snapCount?");
    assert_refuses("somethingElseEntirely", "1", "moonkeeper.cfg explains");
    assert_refuses("", "1", "unknown option");
}

static void what_only_zookeeper_can_use_is_listed_once(void **state)
{
    struct edge_options options;
    edge_options_default(&options);

    assert_accepts(&options, "snapCount", "10");
    assert_accepts(&options, "syncEnabled", "true");
    assert_accepts(&options, "snapCount", "20");
    assert_accepts(&options, "autopurge.purgeInterval", "1");
    assert_accepts(&options, "admin.rateLimiterIntervalInMS", "1");
    assert_accepts(&options, "ssl.sslProvider", "OPENSSL");
    assert_accepts(&options, "leaderServes", "yes");

    assert_ignored(&options, "snapCount, syncEnabled, autopurge.purgeInterval, "
                             "admin.rateLimiterIntervalInMS, "
                             "ssl.sslProvider, leaderServes");
    edge_options_free(&options);
}

static void a_key_may_be_written_as_the_system_property_that_it_is(void **state)
{
    struct edge_options options;
    edge_options_default(&options);

    assert_accepts(&options, "zookeeper.skipACL", "yes");
    assert_accepts(&options, "zookeeper.snapCount", "1000");
    assert_accepts(&options, "zookeeper.some.plugin.of.mine", "1");

    assert_true(options.server.acl.skip);
    assert_ignored(&options, "zookeeper.snapCount, zookeeper.some.plugin.of.mine");
    edge_options_free(&options);
}

static void what_would_be_unsafe_to_ignore_is_refused(void **state)
{
    assert_refuses("observerMasterPort", "2191", "observers connect to the leader here");
    assert_refuses("admin.forceHttps", "true", "that part of TLS is not available");
    assert_refuses("ssl.ocsp", "true", "that part of TLS is not available");
    assert_refuses("X509AuthenticationProvider.clientCertIdType", "SAN", "is not available");
}

/* ---- Authentication ---- */

static enum mk_status checked(struct edge_options *options, struct mk_error *error,
                              const char *schemes)
{
    edge_options_default(options);
    assert_accepts(options, "enforce.auth.enabled", "true");
    assert_accepts(options, "enforce.auth.schemes", schemes);
    return options_check(options, error);
}

static void demanded_schemes_are_handed_to_the_core_without_blanks(void **state)
{
    struct edge_options options;
    struct mk_error error;

    assert_int_equal(checked(&options, &error, "digest, ip"), MK_OK);
    assert_true(mk_bytes_equal(options.server.enforced_schemes, MK_BYTES("digest,ip")));
    edge_options_free(&options);
}

static void schemes_without_enforcement_demand_nothing(void **state)
{
    struct edge_options options;
    struct mk_error error;

    edge_options_default(&options);
    assert_accepts(&options, "enforce.auth.schemes", "digest");
    assert_int_equal(options_check(&options, &error), MK_OK);
    assert_null(options.server.enforced_schemes.data);
    edge_options_free(&options);
}

static void a_demanded_scheme_by_which_nobody_can_come_in_is_refused(void **state)
{
    static const char *const schemes[] = {"", "nosuch", "world", "x509", "digest,", "digest,,ip"};
    struct edge_options options;
    struct mk_error error;

    for (size_t i = 0; i < MK_COUNT(schemes); i++) {
        enum mk_status expected = strcmp(schemes[i], "digest,") == 0 ? MK_OK : MK_BAD_ARGUMENTS;
        assert_int_equal(checked(&options, &error, schemes[i]), expected);
        edge_options_free(&options);
    }
    edge_options_default(&options);
    assert_accepts(&options, "enforce.auth.enabled", "true");
    assert_accepts(&options, "enforce.auth.schemes", "digest");
    assert_accepts(&options, "DigestAuthenticationProvider.enabled", "false");
    assert_int_equal(options_check(&options, &error), MK_BAD_ARGUMENTS);
    assert_non_null(strstr(error.text, "the scheme \"digest\" is not there"));
    edge_options_free(&options);
}

static void sasl_is_there_when_its_users_file_is_named(void **state)
{
    struct edge_options options;
    struct mk_error error;

    edge_options_default(&options);
    assert_accepts(&options, "saslUsersFile", "/etc/users.jaas");
    assert_accepts(&options, "sessionRequireClientSASLAuth", "true");
    assert_accepts(&options, "enforce.auth.schemes", "digest");
    assert_accepts(&options, "superUser.1", "ann");
    assert_accepts(&options, "zookeeper.superUser", "bob");
    assert_accepts(&options, "letAnySaslUserDoX", "anybody");
    assert_int_equal(options_check(&options, &error), MK_OK);
    assert_true(options.server.acl.sasl);
    assert_true(mk_bytes_equal(options.server.acl.sasl_any, MK_BYTES("anybody")));
    assert_true(mk_bytes_equal(options.server.enforced_schemes, MK_BYTES("sasl")));
    assert_int_equal(options.server.sasl_supers_count, 2);
    assert_true(mk_bytes_equal(options.server.sasl_supers[0], MK_BYTES("ann")));
    assert_true(mk_bytes_equal(options.server.sasl_supers[1], MK_BYTES("bob")));
    edge_options_free(&options);
}

static void sasl_cannot_be_demanded_without_users(void **state)
{
    struct edge_options options;
    struct mk_error error;

    edge_options_default(&options);
    assert_accepts(&options, "sessionRequireClientSASLAuth", "true");
    assert_int_equal(options_check(&options, &error), MK_BAD_ARGUMENTS);
    assert_non_null(strstr(error.text, "needs saslUsersFile"));
    edge_options_free(&options);
    assert_int_equal(checked(&options, &error, "sasl"), MK_BAD_ARGUMENTS);
    edge_options_free(&options);
}

static void there_is_a_limit_to_super_users(void **state)
{
    struct edge_options options;
    struct mk_error error;

    edge_options_default(&options);
    for (int i = 0; i < EDGE_SUPER_USERS_MAX; i++) {
        assert_accepts(&options, "superUser.7", "ann");
    }
    assert_int_equal(option_set(&options, "superUser.8", "bob", &error), MK_BAD_ARGUMENTS);
    edge_options_free(&options);
}

static void the_hash_of_digests_is_called_as_java_calls_it(void **state)
{
    struct edge_options options;
    struct mk_error error;

    edge_options_default(&options);
    assert_accepts(&options, "DigestAuthenticationProvider.digestAlg", "SHA-256");
    assert_int_equal(options_check(&options, &error), MK_OK);
    assert_int_equal(options.server.digest_hash, TREE_DIGEST_SHA256);
    assert_accepts(&options, "DigestAuthenticationProvider.digestAlg", "SHA-1");
    assert_int_equal(options.digest_hash, TREE_DIGEST_SHA1);
    edge_options_free(&options);
    assert_refuses("DigestAuthenticationProvider.digestAlg", "MD5", "give SHA1, SHA-224");
}

static void session_timeouts_must_fit_together(void **state)
{
    struct edge_options options;
    struct mk_error error;
    char *argv[] = {(char[]){"moonkeeperd"}, (char[]){"--option=minSessionTimeout=70000"}};

    edge_options_default(&options);
    assert_int_equal(edge_options_read(&options, 2, argv, &error), MK_BAD_ARGUMENTS);
    assert_string_equal(error.text,
                        "minSessionTimeout=70000 is larger than maxSessionTimeout=60000");
    edge_options_free(&options);
}

/* ---- The command line ---- */

static char config_path[] = "options_test.cfg.XXXXXX";

static int config_write(void **state)
{
    int file = mkstemp(config_path);
    static const char text[] = "# a zoo.cfg\ntickTime=2000\ninitLimit=10\ndataDir=/from/file\n"
                               "clientPort=2182\nmaxClientCnxns=7\n";
    if (file < 0 || write(file, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1) {
        return -1;
    }
    return close(file);
}

static int config_remove(void **state)
{
    return unlink(config_path);
}

static void the_command_line_overrides_the_file_wherever_it_stands(void **state)
{
    struct edge_options options;
    struct mk_error error = {""};
    char *argv[] = {(char[]){"moonkeeperd"},
                    (char[]){"--port"},
                    (char[]){"2183"},
                    (char[]){"--config"},
                    config_path,
                    (char[]){"--option"},
                    (char[]){"logLevel=warn"},
                    (char[]){"--data=/from/line"}};

    edge_options_default(&options);
    assert_int_equal(edge_options_read(&options, MK_COUNT(argv), argv, &error), MK_OK);

    assert_int_equal(options.port, 2183);
    assert_string_equal(options.data_dir, "/from/line");
    assert_int_equal(options.address_conns_max, 7);
    assert_int_equal(options.server.tick_ms, 2000);
    assert_int_equal(options.log_level, MK_LOG_WARN);
    edge_options_free(&options);
}

static void assert_line_refused(int argc, char *const *argv, const char *message)
{
    struct edge_options options;
    struct mk_error error = {""};

    edge_options_default(&options);
    assert_int_not_equal(edge_options_read(&options, argc, argv, &error), MK_OK);
    assert_non_null(strstr(error.text, message));
    edge_options_free(&options);
}

static void a_mistake_on_the_command_line_is_named(void **state)
{
    char *missing[] = {(char[]){"moonkeeperd"}, (char[]){"--port"}};
    char *unknown[] = {(char[]){"moonkeeperd"}, (char[]){"--prot"}, (char[]){"1"}};
    char *pair[] = {(char[]){"moonkeeperd"}, (char[]){"--option"}, (char[]){"tickTime"}};
    char *absent[] = {(char[]){"moonkeeperd"}, (char[]){"--config=/does/not/exist"}};
    char *folder[] = {(char[]){"moonkeeperd"}, (char[]){"--config=/"}};

    assert_line_refused(2, missing, "--port needs a value");
    assert_line_refused(3, unknown, "unknown argument --prot");
    assert_line_refused(3, pair, "write it as KEY=VALUE");
    assert_line_refused(2, absent, "/does/not/exist cannot be opened");
    assert_line_refused(2, folder, "/ cannot be read: is it a file?");
}

/* ---- The manual ---- */

/* Our folder of sources, as ctest hands it over. */
static FILE *manual_open(void)
{
    const char *folder = getenv("SOURCE_DIR");
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/conf/moonkeeper.cfg", folder != NULL ? folder : ".");
    return fopen(path, "r");
}

/* "#key=value" with no blank after the #: an option that is at its default. */
static bool manual_option(char *line, char **key, char **value)
{
    char *equals = strchr(line, '=');
    line[strcspn(line, "\n")] = '\0';
    if (line[0] != '#' || line[1] == ' ' || line[1] == '\0' || equals == NULL) {
        return false;
    }
    *equals = '\0';
    *key = line + 1;
    *value = equals + 1;
    return true;
}

static void the_manual_has_every_option_in_order_with_its_default(void **state)
{
    FILE *manual = manual_open();
    struct edge_options options;
    struct mk_buf value = {0};
    char line[512];
    size_t index = 0;

    assert_non_null(manual);
    edge_options_default(&options);
    while (fgets(line, sizeof(line), manual) != NULL) {
        char *key = NULL, *text = NULL;
        assert_true(strlen(line) <= 101);
        if (!manual_option(line, &key, &text)) {
            continue;
        }
        assert_non_null(option_name(index));
        assert_string_equal(key, option_name(index));
        value.len = 0;
        option_value(&options, index, &value);
        mk_buf_put_u8(&value, '\0');
        assert_string_equal(text, (const char *)value.data);
        index++;
    }
    assert_null(option_name(index));
    mk_buf_free(&value);
    edge_options_free(&options);
    (void)fclose(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_server_is_complete),
        cmocka_unit_test(numbers_are_taken_in_the_unit_that_the_manual_names),
        cmocka_unit_test(what_is_not_a_number_or_out_of_range_is_refused),
        cmocka_unit_test(choices_are_as_zookeeper_spells_them),
        cmocka_unit_test(an_unknown_key_suggests_the_nearest),
        cmocka_unit_test(what_only_zookeeper_can_use_is_listed_once),
        cmocka_unit_test(a_key_may_be_written_as_the_system_property_that_it_is),
        cmocka_unit_test(what_would_be_unsafe_to_ignore_is_refused),
        cmocka_unit_test(demanded_schemes_are_handed_to_the_core_without_blanks),
        cmocka_unit_test(schemes_without_enforcement_demand_nothing),
        cmocka_unit_test(a_demanded_scheme_by_which_nobody_can_come_in_is_refused),
        cmocka_unit_test(sasl_is_there_when_its_users_file_is_named),
        cmocka_unit_test(sasl_cannot_be_demanded_without_users),
        cmocka_unit_test(there_is_a_limit_to_super_users),
        cmocka_unit_test(the_hash_of_digests_is_called_as_java_calls_it),
        cmocka_unit_test(session_timeouts_must_fit_together),
        cmocka_unit_test_setup_teardown(the_command_line_overrides_the_file_wherever_it_stands,
                                        config_write, config_remove),
        cmocka_unit_test(a_mistake_on_the_command_line_is_named),
        cmocka_unit_test(the_manual_has_every_option_in_order_with_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
