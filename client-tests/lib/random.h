/* random.h - numbers from a seed, the same on every machine (splitmix64). */
#ifndef CLIENT_TESTS_LIB_RANDOM_H
#define CLIENT_TESTS_LIB_RANDOM_H
#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* In [0, bound); bound > 0. The bias of the remainder does not matter to a test. */
static inline uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(random_next(random) % bound);
}

static inline bool random_percent(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}
#endif
