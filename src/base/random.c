/* xoshiro256** (Blackman, Vigna: "Scrambled linear pseudorandom number generators", 2018), seeded
 * through splitmix64 as its authors advise. Not for secrets. */
#include "base/base.h"

__extension__ typedef unsigned __int128 uint128;

static uint64_t rotate_left(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

void mk_random_seed(struct mk_random *random, uint64_t seed)
{
    for (size_t i = 0; i < MK_COUNT(random->state); i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        random->state[i] = mixed ^ mixed >> 31;
    }
}

uint64_t mk_random_next(struct mk_random *random)
{
    uint64_t *s = random->state;
    MK_ASSERT((s[0] | s[1] | s[2] | s[3]) != 0); /* never seeded: it would yield zeros for ever */

    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire, "Fast random integer generation in an interval", 2019: without bias. */
uint64_t mk_random_below(struct mk_random *random, uint64_t bound)
{
    MK_ASSERT(bound > 0);
    uint128 product = (uint128)mk_random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound; /* 2^64 mod bound; a division, rarely needed */
        while ((uint64_t)product < threshold) {
            product = (uint128)mk_random_next(random) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

bool mk_random_chance(struct mk_random *random, uint32_t per_mille)
{
    return mk_random_below(random, 1000) < per_mille;
}
