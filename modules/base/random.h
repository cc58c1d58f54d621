/* random.h - random numbers: unpredictable ones from the kernel, fast ones from a seed.
 *
 * A struct random belongs to one thread. Same seed, same numbers, on every machine: tests print
 * their seed. Not for secrets; those come from random_entropy. */
#ifndef MODULES_BASE_RANDOM_H
#define MODULES_BASE_RANDOM_H
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4]; /* never all zero */
};

/* Fills bytes from the kernel's generator: seeds of hash tables (so that nobody can prepare
 * collisions), ids, nonces. 0 or -errno. */
int random_entropy(void *bytes, size_t size);

void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Even over [0, limit); limit > 0. */
uint64_t random_below(struct random *random, uint64_t limit);
void random_fill(struct random *random, void *bytes, size_t size);
#endif
