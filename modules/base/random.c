#include "modules/base/random.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

int random_entropy(void *bytes, size_t size)
{
    uint8_t *p = bytes;
    while (size > 0) {
        ssize_t got = getrandom(p, size, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        p += got;
        size -= (size_t)got;
    }
    return 0;
}

/* SplitMix64: turns any seed, zero included, into well mixed state. */
static uint64_t split_mix(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void random_init(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->state[i] = split_mix(&seed);
}

static uint64_t rotated(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

/* xoshiro256** of Blackman and Vigna, which they gave to the public domain. */
uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotated(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t limit)
{
    unsigned __int128 product;
    uint64_t uneven;
    assert(limit > 0);
    /* The high half of number * limit is even over [0, limit) but for the first 2^64 % limit values
     * of the low half, which are drawn again. */
    uneven = (0 - limit) % limit;
    do {
        product = (unsigned __int128)random_next(random) * limit;
    } while ((uint64_t)product < uneven);
    return (uint64_t)(product >> 64);
}

void random_fill(struct random *random, void *bytes, size_t size)
{
    uint8_t *p = bytes;
    while (size > 0) {
        uint64_t value = random_next(random);
        size_t part = size < sizeof(value) ? size : sizeof(value);
        memcpy(p, &value, part);
        p += part;
        size -= part;
    }
}
