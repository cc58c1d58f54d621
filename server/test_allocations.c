/* A whole server that is refused memory: each allocation in turn, once, or so many in a row, or all
 * from then on. What it promises all the same stands in test_failing_server.h. */
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "server/net/test_event_memory.h"
#include "server/test_failing_server.h"
#include "server/test_wrapped_malloc.h"

enum { IN_A_ROW = 40 };

struct way {
    uint64_t in_a_row;
    const char *text;
};

static const struct way ways[] = {
    { 1, "once" },
    { IN_A_ROW, "and those behind it" },
    { UINT64_MAX / 2, "from then on" },
};

static int serve(void *context, int argument_count, char *const *arguments)
{
    const struct failing *failing = context;
    const struct way *way = failing->how;
    int code;

    test_event_memory(__wrap_malloc, __wrap_realloc, free);
    atomic_store(&memory_rule->count, 0);
    if (failing->nth > 0) {
        memory_rule->first = failing->nth;
        memory_rule->end = failing->nth + way->in_a_row;
    }
    code = boot_and_run(os_real(), argument_count, arguments);
    memory_rule->first = UINT64_MAX;
    fixture.figures->calls = atomic_load(&memory_rule->count);
    fixture.figures->fired = atomic_load(&memory_rule->refused);
    return code;
}

static struct failing failing_of(const struct way *way, uint64_t nth)
{
    return (struct failing){ nth, way->in_a_row > IN_A_ROW, serve, way };
}

static const char *const modes[] = { "always", "everysec", "no" };

static uint64_t step_of(uint64_t calls)
{
    return soak_is_full() ? 1 : calls / 20 + 1;
}

START_TEST(each_may_be_refused_and_what_was_answered_is_there)
{
    const struct way *way = &ways[_i / 3];
    const char *only = getenv("SLUICE_TEST_CALL");
    uint64_t calls, step;

    fixture.fsync = modes[_i % 3];
    fixture.may_mix = true;
    make_golden();
    attempt(failing_of(way, 0));
    calls = fixture.figures->calls;
    ck_assert_uint_gt(calls, 300);
    ck_assert_uint_eq(fixture.refused + fixture.closed, 0);
    step = step_of(calls);
    for (uint64_t nth = 1 + (uint64_t)_i * 7 % step; nth <= calls; nth += step) {
        if (only) nth = strtoull(only, NULL, 10);
        if (getenv("SLUICE_TEST_VERBOSE"))
            (void)fprintf(stderr, "%s: allocation %llu %s\n", fixture.fsync,
                          (unsigned long long)nth, way->text);
        attempt(failing_of(way, nth));
        if (only) return;
    }
    (void)printf("%s, %s: %llu allocations; %u starts and %u commands refused, %u closed\n",
                 fixture.fsync, way->text, (unsigned long long)calls, fixture.starts_refused,
                 fixture.refused, fixture.closed);
    ck_assert_uint_gt(fixture.starts_refused, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server that is refused memory");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_loop_test(cases, each_may_be_refused_and_what_was_answered_is_there, 0, 9);
    return test_suite_run(suite);
}
