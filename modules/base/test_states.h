/* test_states.h - for tests that look at all that a disk may hold after a loss of power (power.h).
 *
 *   SLUICE_TEST_STATE=N   that state only: what a wrong one said of itself */
#ifndef MODULES_BASE_TEST_STATES_H
#define MODULES_BASE_TEST_STATES_H
#include "modules/base/power.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* As power_walk. */
static inline int states_walk(struct power_walk *walk, struct power_figures *out_figures)
{
    const char *only = getenv("SLUICE_TEST_STATE");

    if (only) walk->only = strtoull(only, NULL, 10);
    return power_walk(walk, out_figures);
}

/* Says which one, and returns what ends the walk. */
static inline int states_wrong(const struct power_state *state, const char *why)
{
    (void)fprintf(stderr, "state %llu behind event %zu (%s): %s\n",
                  (unsigned long long)state->number, state->event_count, state->text, why);
    return -1;
}

/* Fewer would show nothing. */
static inline void states_expect_more_than(const struct power_figures *figures, uint64_t count)
{
    (void)printf("%llu states of %llu events\n", (unsigned long long)figures->checked_count,
                 (unsigned long long)figures->event_count);
    ck_assert_uint_gt(figures->checked_count, count);
}
#endif
