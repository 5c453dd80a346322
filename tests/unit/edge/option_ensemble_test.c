#include "edge/options.h"
#include "unit/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- A data directory with a file myid, and lines ---- */

struct scene {
    struct edge_options options;
    struct mk_error error;
    char folder[64];
};

static void file_write(const struct scene *scene, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", scene->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void scene_set(struct scene *scene, const char *key, const char *value)
{
    enum mk_status status = option_set(&scene->options, key, value, &scene->error);
    assert_string_equal(scene->error.text, "");
    assert_int_equal(status, MK_OK);
}

static void scene_begin(struct scene *scene, const char *myid)
{
    memset(scene, 0, sizeof(*scene));
    edge_options_default(&scene->options);
    (void)snprintf(scene->folder, sizeof(scene->folder), "/tmp/ensemble_test_XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    scene_set(scene, "dataDir", scene->folder);
    if (myid != NULL) {
        file_write(scene, "myid", myid);
    }
}

static void scene_three(struct scene *scene, const char *myid)
{
    scene_begin(scene, myid);
    scene_set(scene, "server.3", "c.example:2888:3888:observer");
    scene_set(scene, "server.1", "a.example:2888:3888;2182");
    scene_set(scene, "server.2", "[::1]:2888:3888:participant;127.0.0.1:2183");
}

static void scene_end(struct scene *scene)
{
    char path[128];
    static const char *const files[] = {"myid", "dynamic"};

    for (size_t i = 0; i < MK_COUNT(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", scene->folder, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(scene->folder), 0);
    edge_options_free(&scene->options);
}

static void assert_valid(struct scene *scene)
{
    enum mk_status status = options_check(&scene->options, &scene->error);
    assert_string_equal(scene->error.text, "");
    assert_int_equal(status, MK_OK);
}

/* Checked, refused with `message`, and done with. */
static void assert_refused(struct scene *scene, const char *message)
{
    assert_int_equal(options_check(&scene->options, &scene->error), MK_BAD_ARGUMENTS);
    if (strstr(scene->error.text, message) == NULL) {
        assert_string_equal(scene->error.text, message);
    }
    scene_end(scene);
}

/* ---- What makes a member ---- */

static void lines_and_myid_make_a_member(void **state)
{
    static const char text[] = "server.1=a.example:2888:3888:participant;0.0.0.0:2182\n"
                               "server.2=[::1]:2888:3888:participant;127.0.0.1:2183\n"
                               "server.3=c.example:2888:3888:observer\n"
                               "version=0";
    struct scene scene;
    scene_three(&scene, " 2\n");
    scene_set(&scene, "initLimit", "20");

    assert_valid(&scene);

    const struct server_ensemble *ensemble = &scene.options.server.ensemble;
    assert_int_equal(scene.options.server.server_id, 2);
    assert_string_equal(scene.options.self->host, "::1");
    assert_int_equal(ensemble->members_count, 3);
    assert_int_equal(ensemble->members[0].id, 1);
    assert_false(ensemble->members[1].observer);
    assert_true(ensemble->members[2].observer);
    assert_int_equal(ensemble->init_limit, 20);
    assert_int_equal(ensemble->sync_limit, 5);
    assert_true(mk_bytes_equal(ensemble->text, mk_bytes_text(text)));
    scene_end(&scene);
}

static void the_own_line_says_where_clients_are_served(void **state)
{
    struct scene scene;
    scene_three(&scene, "2");
    assert_valid(&scene);
    assert_int_equal(scene.options.port, 2183);
    assert_string_equal(scene.options.address, "127.0.0.1");
    scene_end(&scene);

    scene_three(&scene, "1");
    assert_valid(&scene);
    assert_int_equal(scene.options.port, 2182);
    assert_null(scene.options.address);
    scene_end(&scene);

    scene_three(&scene, "1");
    scene_set(&scene, "clientPort", "2181");
    assert_refused(&scene, "clientPort=2181, but server.1 says that clients use 2182");
}

static void groups_and_weights_are_the_cores_to_count(void **state)
{
    struct scene scene;
    scene_three(&scene, "1");
    scene_set(&scene, "weight.1", "2");
    scene_set(&scene, "group.7", "1:2");

    assert_valid(&scene);

    const struct server_ensemble *ensemble = &scene.options.server.ensemble;
    assert_true(ensemble->hierarchical);
    assert_int_equal(ensemble->members[0].weight, 2);
    assert_int_equal(ensemble->members[0].group, 7);
    assert_int_equal(ensemble->members[1].weight, 1);
    scene_end(&scene);
}

static void one_line_is_a_server_that_is_alone_unless_it_may_not_be(void **state)
{
    struct scene scene;
    scene_begin(&scene, NULL);
    scene_set(&scene, "server.1", "localhost:2888:3888");
    assert_valid(&scene);
    assert_null(scene.options.ensemble);
    assert_int_equal(scene.options.server.ensemble.members_count, 0);
    assert_int_equal(scene.options.ignored.len, strlen("server.1"));
    scene_end(&scene);

    scene_begin(&scene, "1");
    scene_set(&scene, "server.1", "localhost:2888:3888");
    scene_set(&scene, "standaloneEnabled", "false");
    assert_valid(&scene);
    assert_int_equal(scene.options.server.ensemble.members_count, 1);
    scene_end(&scene);
}

static void the_lines_may_stand_in_a_file_of_their_own(void **state)
{
    char path[128];
    struct scene scene;
    scene_begin(&scene, "2");
    file_write(&scene, "dynamic", "server.1=a:1:2\nserver.2=b:1:2\nversion=100000000\n");
    (void)snprintf(path, sizeof(path), "%s/dynamic", scene.folder);
    scene_set(&scene, "dynamicConfigFile", path);

    assert_valid(&scene);

    assert_int_equal(scene.options.server.ensemble.members_count, 2);
    assert_int_equal(scene.options.ensemble->version, 0x100000000);
    scene_end(&scene);

    scene_three(&scene, "1");
    scene_set(&scene, "dynamicConfigFile", path);
    assert_refused(&scene, "not in both");

    scene_begin(&scene, "2");
    file_write(&scene, "dynamic", "server.1=a:1:2\ntickTime=2000\n");
    (void)snprintf(path, sizeof(path), "%s/dynamic", scene.folder);
    scene_set(&scene, "dynamicConfigFile", path);
    assert_refused(&scene, "dynamic line 2: only server.N, group.N, weight.N and version");

    scene_begin(&scene, "2");
    scene_set(&scene, "dynamicConfigFile", "/does/not/exist");
    assert_refused(&scene, "/does/not/exist cannot be opened");

    scene_begin(&scene, "2");
    file_write(&scene, "dynamic", "\n");
    (void)snprintf(path, sizeof(path), "%s/dynamic", scene.folder);
    scene_set(&scene, "dynamicConfigFile", path);
    assert_refused(&scene, "lists no server");
}

/* ---- What is wrong with one ---- */

static void a_server_must_know_which_one_it_is(void **state)
{
    static const char *const bad[] = {"", "x", "1 2", "1x", "-1", "0001"};
    struct scene scene;

    scene_three(&scene, NULL);
    assert_refused(&scene, "myid cannot be opened: No such file or directory: it must hold the "
                           "number of this server, which is one of 1, 2, 3");
    scene_three(&scene, "4");
    assert_refused(&scene, "but there is no server.4");
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        scene_three(&scene, bad[i]);
        assert_refused(&scene, "must hold this server's number and nothing else");
    }
}

static void a_line_that_is_none_is_refused_where_it_stands(void **state)
{
    static const struct {
        const char *key, *value, *message;
    } lines[] = {
        {"server.1", "a", "server.1=a: a server is host:port:port"},
        {"server.1", "a:1:2:voter", "a participant or an observer"},
        {"server.1", "a:1:2|b:1:2", "are not supported"},
        {"server.255", "a:1:2", "a number from 0 to 254"},
        {"server.x", "a:1:2", "a number from 0 to 254"},
        {"group.0", "1:2", "groups are numbered from 1"},
        {"weight.1", "x", "a weight is a number"},
    };
    struct scene scene;
    scene_begin(&scene, NULL);

    for (size_t i = 0; i < MK_COUNT(lines); i++) {
        scene.error.text[0] = '\0';
        assert_int_equal(option_set(&scene.options, lines[i].key, lines[i].value, &scene.error),
                         MK_BAD_ARGUMENTS);
        assert_non_null(strstr(scene.error.text, lines[i].message));
    }
    scene_end(&scene);
}

static void more_than_64_servers_are_refused(void **state)
{
    char key[32], value[32];
    struct scene scene;
    scene_begin(&scene, "1");

    for (int i = 0; i < 64; i++) {
        (void)snprintf(key, sizeof(key), "server.%d", i);
        (void)snprintf(value, sizeof(value), "h%d:2888:3888", i);
        scene_set(&scene, key, value);
    }

    assert_int_equal(option_set(&scene.options, "server.64", "h:1:2", &scene.error),
                     MK_BAD_ARGUMENTS);
    assert_non_null(strstr(scene.error.text, "at most 64"));
    scene.error.text[0] = '\0';
    assert_valid(&scene);
    scene_end(&scene);
}

static void two_servers_at_one_address_are_refused(void **state)
{
    struct scene scene;

    scene_three(&scene, "1");
    scene_set(&scene, "server.4", "A.example:3888:4888");
    assert_refused(&scene, "server.1 and server.4 have the same port at A.example");
    scene_three(&scene, "1");
    scene_set(&scene, "server.4", "d:2888:2888");
    assert_refused(&scene, "server.4: port 2888 is there for followers and for elections");
    scene_three(&scene, "1");
    assert_int_equal(option_set(&scene.options, "server.1", "d:1:2", &scene.error),
                     MK_BAD_ARGUMENTS);
    assert_non_null(strstr(scene.error.text, "there is a server of this number already"));
    scene_end(&scene);
}

static void an_ensemble_that_nobody_could_lead_is_refused(void **state)
{
    struct scene scene;

    scene_begin(&scene, "1");
    scene_set(&scene, "server.1", "a:1:2:observer");
    assert_refused(&scene, "no server that votes");
    scene_begin(&scene, "1");
    scene_set(&scene, "server.1", "a:1:2");
    scene_set(&scene, "server.2", "b:1:2:observer");
    assert_refused(&scene, "set standaloneEnabled=false");
    scene_begin(&scene, "1");
    scene_set(&scene, "server.1", "a:1:2");
    scene_set(&scene, "server.2", "b:1:2");
    scene_set(&scene, "group.1", "1:2");
    scene_set(&scene, "weight.1", "0");
    scene_set(&scene, "weight.2", "0");
    assert_refused(&scene, "no server has a weight above 0");
    scene_begin(&scene, "1");
    scene_set(&scene, "standaloneEnabled", "false");
    assert_refused(&scene, "standaloneEnabled=false: that needs an ensemble");
    scene_begin(&scene, "1");
    scene_set(&scene, "peerType", "observer");
    assert_refused(&scene, "peerType=observer: that needs an ensemble");
    scene_begin(&scene, "1");
    scene_set(&scene, "group.1", "1:2");
    assert_refused(&scene, "names the server 1, which there is not");
}

/* What one server ignores because it means nothing there must not be ignored by a member. */
static void what_a_member_cannot_do_is_refused(void **state)
{
    static const struct {
        const char *key, *value;
    } keys[] = {
        {"electionAlg", "1"},
        {"leaderServes", "no"},
        {"quorum.auth.enableSasl", "true"},
        {"multiAddress.enabled", "true"},
        {"oraclePath", "/chassis"},
        {"reconfigEnabled", "true"},
    };

    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        char message[128];
        struct scene scene;

        scene_begin(&scene, NULL);
        scene_set(&scene, keys[i].key, keys[i].value);
        assert_valid(&scene);
        scene_end(&scene);

        scene_three(&scene, "1");
        scene_set(&scene, keys[i].key, keys[i].value);
        (void)snprintf(message, sizeof(message), "%s=%s: not available yet in an ensemble",
                       keys[i].key, keys[i].value);
        assert_refused(&scene, message);
    }
}

static void limits_must_fit_together(void **state)
{
    struct scene scene;

    scene_three(&scene, "1");
    scene_set(&scene, "fastleader.minNotificationInterval", "70000");
    assert_refused(&scene, "is larger than fastleader.maxNotificationInterval=60000");
    scene_three(&scene, "1");
    scene_set(&scene, "tickTime", "3600001");
    assert_refused(&scene, "takes up to 3600000");
    scene_three(&scene, "1");
    scene_set(&scene, "peerType", "voter");
    assert_refused(&scene, "peerType: give participant or observer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_myid_make_a_member),
        cmocka_unit_test(the_own_line_says_where_clients_are_served),
        cmocka_unit_test(groups_and_weights_are_the_cores_to_count),
        cmocka_unit_test(one_line_is_a_server_that_is_alone_unless_it_may_not_be),
        cmocka_unit_test(the_lines_may_stand_in_a_file_of_their_own),
        cmocka_unit_test(a_server_must_know_which_one_it_is),
        cmocka_unit_test(a_line_that_is_none_is_refused_where_it_stands),
        cmocka_unit_test(more_than_64_servers_are_refused),
        cmocka_unit_test(two_servers_at_one_address_are_refused),
        cmocka_unit_test(an_ensemble_that_nobody_could_lead_is_refused),
        cmocka_unit_test(what_a_member_cannot_do_is_refused),
        cmocka_unit_test(limits_must_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
