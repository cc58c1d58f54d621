/* test_soak.h - how much a test of a module does: `make soak` asks for more than `make check` has
 * time for.
 *
 *   SLUICE_SEED=N            is added to the seeds of random tests
 *   SLUICE_TEST_SCALE=1000   above 100: loops that skip what is alike skip nothing; of what is too
 *                            much even then, so many percent of what `make check` does */
#ifndef MODULES_BASE_TEST_SOAK_H
#define MODULES_BASE_TEST_SOAK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* 0 in `make check`, where the same is done each time. */
static inline uint64_t soak_seed(void)
{
    const char *text = getenv("SLUICE_SEED");

    return text ? strtoull(text, NULL, 10) : 0;
}

static inline bool soak_is_full(void)
{
    const char *text = getenv("SLUICE_TEST_SCALE");

    return text && strtoul(text, NULL, 10) > 100;
}

/* Never fewer than `make check` does. */
static inline size_t soak_scaled(size_t count)
{
    const char *text = getenv("SLUICE_TEST_SCALE");
    size_t scale = text ? strtoul(text, NULL, 10) : 0;

    return scale > 100 ? count * scale / 100 : count;
}
#endif
