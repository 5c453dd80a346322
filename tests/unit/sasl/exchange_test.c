/* The vectors were computed by another program from RFC 2831's formulas; kazoo's and Java's clients are
 * asked by the tests of compat. */
#include "sasl/sasl.h"
#include "unit/cmocka.h"

#include <stdio.h>

#define SECRET MK_BYTES("0123456789abcdef0123456789abcdef")
#define NONCE "gaZy1YKJq9ZmauxO4BTwIKNLbxBgmr5BOcR5qlfm"
#define RESPONSE(user, proof) RESPONSE_OF(user, "zk-sasl-md5", NONCE, "00000001", "", proof)
#define RESPONSE_OF(user, realm, nonce, nc, more, proof)                                     \
    "charset=utf-8,username=\"" user "\",realm=\"" realm "\",nonce=\"" nonce "\",nc=" nc     \
    ",cnonce=\"xyz\",digest-uri=\"zookeeper/zk-sasl-md5\",maxbuf=65536,response=" proof more \
    ",qop=auth"
#define BOB_PROOF "35145d27319d4212f3428a5a07b28e5d"
#define BOB RESPONSE("bob", BOB_PROOF)

struct fixture {
    struct sasl_users *users;
    struct sasl_exchange exchange;
    struct mk_buf reply;
    struct mk_bytes user;
};

static void user_put(struct fixture *fixture, const char *name, const char *password)
{
    assert_int_equal(
        sasl_users_put(fixture->users, mk_bytes_text(name), mk_bytes_text(password), NULL), MK_OK);
}

static void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.users = sasl_users_new()};
    user_put(fixture, "bob", "secret");
    user_put(fixture, "ren\xc3\xa9", "caf\xc3\xa9");
    user_put(fixture, "\xe4\xb8\xad", "secret");
    sasl_exchange_begin(&fixture->exchange, SECRET, 7);
}

static void fixture_deinit(struct fixture *fixture)
{
    sasl_users_free(fixture->users);
    mk_buf_free(&fixture->reply);
}

static enum mk_status step(struct fixture *fixture, const char *token)
{
    fixture->reply.len = 0;
    return sasl_exchange_step(&fixture->exchange, fixture->users, mk_bytes_text(token),
                              &fixture->reply, &fixture->user);
}

/* What becomes of a response to a challenge. */
static enum mk_status answered(const char *response)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(step(&fixture, ""), MK_OK);
    enum mk_status status = step(&fixture, response);
    if (status != MK_OK) {
        assert_int_equal(fixture.reply.len, 0);
        assert_null(fixture.user.data);
    }
    fixture_deinit(&fixture);
    return status;
}

static void assert_reply(const struct fixture *fixture, const char *expected)
{
    assert_true(mk_bytes_equal(mk_buf_view(&fixture->reply), mk_bytes_text(expected)));
}

static void the_challenge_is_zookeepers_byte_for_byte(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture);

    assert_int_equal(step(&fixture, "whatever comes first"), MK_OK);

    assert_reply(&fixture,
                 "realm=\"zk-sasl-md5\",nonce=\"" NONCE "\",charset=utf-8,algorithm=md5-sess");
    assert_int_equal(fixture.reply.len, 101);
    assert_null(fixture.user.data);
    fixture_deinit(&fixture);
}

static void who_knows_the_password_is_proved_and_told_that_the_server_knows_it_too(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(step(&fixture, ""), MK_OK);

    assert_int_equal(step(&fixture, BOB), MK_OK);

    assert_reply(&fixture, "rspauth=60560b176b32c1d09a019524a0347776");
    assert_true(mk_bytes_equal(fixture.user, MK_BYTES("bob")));
    fixture_deinit(&fixture);
}

static void a_token_behind_the_end_fails(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(step(&fixture, ""), MK_OK);
    assert_int_equal(step(&fixture, BOB), MK_OK);
    assert_int_equal(step(&fixture, BOB), MK_AUTH_FAILED);
    assert_int_equal(step(&fixture, ""), MK_AUTH_FAILED);
    fixture_deinit(&fixture);
}

static void there_is_one_try(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(step(&fixture, ""), MK_OK);
    assert_int_equal(step(&fixture, RESPONSE("bob", "00000000000000000000000000000000")),
                     MK_AUTH_FAILED);
    assert_int_equal(step(&fixture, BOB), MK_AUTH_FAILED);
    fixture_deinit(&fixture);
}

static void an_authorization_id_is_part_of_the_proof_and_gives_no_other_identity(void **state)
{
    static const char token[] = RESPONSE_OF("bob", "zk-sasl-md5", NONCE, "00000001",
                                            ",authzid=\"eve\"", "ec74783c81344a9ce37e94359acec70b");
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(step(&fixture, ""), MK_OK);
    assert_int_equal(step(&fixture, token), MK_OK);
    assert_reply(&fixture, "rspauth=c8e33466bc4da868443f8e032ea2c2f2");
    assert_true(mk_bytes_equal(fixture.user, MK_BYTES("bob")));
    fixture_deinit(&fixture);
}

static void names_are_hashed_in_iso_8859_1_if_they_fit_into_it(void **state)
{
    assert_int_equal(answered(RESPONSE("ren\xc3\xa9", "38f9b527305b1f814706312bdfb46282")), MK_OK);
    assert_int_equal(answered(RESPONSE("\xe4\xb8\xad", "e91527b0a11c442c3cb711a85d6ef604")), MK_OK);
}

static void what_does_not_fit_the_challenge_fails(void **state)
{
    assert_int_equal(answered(RESPONSE_OF("bob", "elsewhere", NONCE, "00000001", "", BOB_PROOF)),
                     MK_AUTH_FAILED);
    assert_int_equal(answered(RESPONSE_OF("bob", "zk-sasl-md5", "AAAA", "00000001", "", BOB_PROOF)),
                     MK_AUTH_FAILED);
    assert_int_equal(answered(RESPONSE_OF("bob", "zk-sasl-md5", NONCE, "00000002", "", BOB_PROOF)),
                     MK_AUTH_FAILED);
    assert_int_equal(
        answered(RESPONSE_OF("bob", "zk-sasl-md5", NONCE, "00000001", ",qop=auth", BOB_PROOF)),
        MK_AUTH_FAILED);
    assert_int_equal(answered(RESPONSE("eve", BOB_PROOF)), MK_AUTH_FAILED);
    assert_int_equal(answered(RESPONSE("", BOB_PROOF)), MK_AUTH_FAILED);
    assert_int_equal(answered(RESPONSE("bob", "35145d27")), MK_AUTH_FAILED);
    assert_int_equal(answered(RESPONSE("bob", "35145D27319D4212F3428A5A07B28E5D")), MK_AUTH_FAILED);
}

static void every_response_that_is_cut_off_fails(void **state)
{
    char token[] = BOB;
    for (size_t len = strlen(token) - strlen(",qop=auth") - 1; len > 0; len--) {
        token[len] = '\0';
        assert_int_equal(answered(token), MK_AUTH_FAILED);
    }
    assert_int_equal(answered(""), MK_AUTH_FAILED);
}

static void a_response_of_more_than_4096_bytes_fails(void **state)
{
    char token[SASL_TOKEN_BYTES_MAX + 2];
    int length = snprintf(token, sizeof(token), "%s,x=", BOB);
    memset(token + length, 'x', sizeof(token) - (size_t)length);
    token[SASL_TOKEN_BYTES_MAX] = '\0';
    assert_int_equal(answered(token), MK_OK);
    token[SASL_TOKEN_BYTES_MAX] = 'x';
    token[SASL_TOKEN_BYTES_MAX + 1] = '\0';
    assert_int_equal(answered(token), MK_AUTH_FAILED);
}

static void a_null_token_is_an_empty_one(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(sasl_exchange_step(&fixture.exchange, fixture.users, MK_BYTES_NULL,
                                        &fixture.reply, &fixture.user),
                     MK_OK);
    assert_int_equal(sasl_exchange_step(&fixture.exchange, fixture.users, MK_BYTES_NULL,
                                        &fixture.reply, &fixture.user),
                     MK_AUTH_FAILED);
    fixture_deinit(&fixture);
}

static void no_two_exchanges_have_one_nonce(void **state)
{
    struct sasl_exchange one, two, other;
    sasl_exchange_begin(&one, SECRET, 1);
    sasl_exchange_begin(&two, SECRET, 2);
    sasl_exchange_begin(&other, MK_BYTES("another secret of thirty-two byte"), 1);
    assert_memory_not_equal(one.nonce, two.nonce, SASL_NONCE_BYTES);
    assert_memory_not_equal(one.nonce, other.nonce, SASL_NONCE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_challenge_is_zookeepers_byte_for_byte),
        cmocka_unit_test(who_knows_the_password_is_proved_and_told_that_the_server_knows_it_too),
        cmocka_unit_test(a_token_behind_the_end_fails),
        cmocka_unit_test(there_is_one_try),
        cmocka_unit_test(an_authorization_id_is_part_of_the_proof_and_gives_no_other_identity),
        cmocka_unit_test(names_are_hashed_in_iso_8859_1_if_they_fit_into_it),
        cmocka_unit_test(what_does_not_fit_the_challenge_fails),
        cmocka_unit_test(every_response_that_is_cut_off_fails),
        cmocka_unit_test(a_response_of_more_than_4096_bytes_fails),
        cmocka_unit_test(a_null_token_is_an_empty_one),
        cmocka_unit_test(no_two_exchanges_have_one_nonce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
