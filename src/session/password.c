/* Session passwords: four outputs of java.util.Random, seeded with the session id. No secret, since
 * anybody can compute it; but all servers of an ensemble must compute the same one, or clients lose
 * their sessions when they change servers. Source: zookeeper-quorum.md, section 8. */
#include "session/session.h"

#include <string.h>

#define PASSWORD_SALT 0xb3415c00u

/* java.util.Random: a linear congruential generator of 48 bits. */
#define RANDOM_MULTIPLIER 0x5deece66du
#define RANDOM_INCREMENT 0xbu
#define RANDOM_MASK (((uint64_t)1 << 48) - 1)

void session_password(mk_session id, uint8_t out[SESSION_PASSWORD_BYTES])
{
    uint64_t state = ((uint64_t)id ^ PASSWORD_SALT ^ RANDOM_MULTIPLIER) & RANDOM_MASK;
    for (size_t word = 0; word < SESSION_PASSWORD_BYTES / 4; word++) {
        state = (state * RANDOM_MULTIPLIER + RANDOM_INCREMENT) & RANDOM_MASK;
        uint32_t value = (uint32_t)(state >> 16);
        for (size_t byte = 0; byte < 4; byte++) { /* little-endian, unlike everything else */
            out[word * 4 + byte] = (uint8_t)(value >> (8 * byte));
        }
    }
}

bool session_password_check(mk_session id, struct mk_bytes password)
{
    if (id == 0 || password.len != SESSION_PASSWORD_BYTES) {
        return false;
    }
    uint8_t expected[SESSION_PASSWORD_BYTES];
    session_password(id, expected);
    return memcmp(expected, password.data, sizeof(expected)) == 0;
}
