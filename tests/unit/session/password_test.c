#include "session/session.h"
#include "unit/cmocka.h"

static void assert_password(mk_session id, const uint8_t expected[SESSION_PASSWORD_BYTES])
{
    uint8_t password[SESSION_PASSWORD_BYTES];
    session_password(id, password);
    assert_memory_equal(password, expected, sizeof(password));
    assert_true(session_password_check(id, mk_bytes_of(password, sizeof(password))));
}

static void passwords_are_those_of_zookeeper(void **state)
{
    static const struct {
        mk_session id;
        uint8_t password[SESSION_PASSWORD_BYTES];
    } vectors[] = {
        {0x10000134a100000,
         {0xc2, 0xc3, 0xd6, 0xbf, 0x27, 0xd7, 0xbe, 0x21, 0x70, 0x71, 0x83, 0xa5, 0x48, 0x35, 0xc4,
          0xd9}},
        {0x10000134a100001,
         {0xd5, 0xe4, 0xd0, 0xbf, 0xc7, 0x22, 0x9e, 0x66, 0x65, 0xb4, 0xea, 0xd0, 0x1c, 0xbe, 0xd8,
          0xa6}},
        {0x400001a70e20000,
         {0xec, 0x7e, 0xe0, 0xce, 0x09, 0x44, 0xc3, 0x3d, 0xaa, 0xd9, 0x90, 0xe9, 0xfa, 0xb1, 0x95,
          0x40}},
        {0x100002672780000,
         {0xfa, 0xf5, 0x61, 0xf2, 0xff, 0x88, 0xc1, 0x91, 0x68, 0x3a, 0x91, 0x05, 0xe0, 0x96, 0xd1,
          0x76}},
        {0x1000028b8c00000,
         {0xb2, 0xd7, 0x37, 0xce, 0x57, 0xf4, 0x3d, 0xfa, 0xe0, 0xfe, 0x1b, 0x90, 0xf8, 0x0d, 0x0b,
          0x4f}},
    };
    for (size_t i = 0; i < MK_COUNT(vectors); i++) {
        assert_password(vectors[i].id, vectors[i].password);
    }
}

static void a_password_that_differs_in_one_bit_is_wrong(void **state)
{
    uint8_t password[SESSION_PASSWORD_BYTES];
    session_password(0x10000134a100000, password);
    for (size_t bit = 0; bit < sizeof(password) * 8; bit++) {
        password[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(
            session_password_check(0x10000134a100000, mk_bytes_of(password, sizeof(password))));
        password[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_password_of_another_length_is_wrong(void **state)
{
    uint8_t password[SESSION_PASSWORD_BYTES + 1] = {0};
    session_password(0x10000134a100000, password);

    assert_false(session_password_check(0x10000134a100000, mk_bytes_of(password, 15)));
    assert_false(session_password_check(0x10000134a100000, mk_bytes_of(password, 17)));
    assert_false(session_password_check(0x10000134a100000, MK_BYTES("")));
    assert_false(session_password_check(0x10000134a100000, MK_BYTES_NULL));
}

static void no_password_opens_session_zero(void **state)
{
    uint8_t password[SESSION_PASSWORD_BYTES];
    session_password(0, password);
    assert_false(session_password_check(0, mk_bytes_of(password, sizeof(password))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_those_of_zookeeper),
        cmocka_unit_test(a_password_that_differs_in_one_bit_is_wrong),
        cmocka_unit_test(a_password_of_another_length_is_wrong),
        cmocka_unit_test(no_password_opens_session_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
