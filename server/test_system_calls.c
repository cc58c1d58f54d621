/* A whole server of which one system call fails: each in turn, once or from then on, each way.
 * What it promises all the same stands in test_failing_server.h. */
#include "modules/base/fault.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "server/test_failing_server.h"

struct way {
    int error;
    enum fault_duration duration;
    size_t transfer_bytes_max; /* 0: no limit */
};

static int serve(void *context, int argument_count, char *const *arguments)
{
    const struct failing *failing = context;
    const struct way *way = failing->how;
    struct fault *fault;
    int code;

    if (fault_create(os_real(), &fault) < 0) return CODE_OF_THE_TEST;
    if (failing->nth > 0) fault_fail(fault, FAULT_ANY, failing->nth, way->error, way->duration);
    fault_limit_transfer(fault, way->transfer_bytes_max);
    code = boot_and_run(fault_os(fault), argument_count, arguments);
    fixture.figures->calls = fault_count(fault, FAULT_ANY);
    fixture.figures->fired = fault_fired(fault);
    return code;
}

/* way must outlive what it is handed to. */
static struct failing failing_of(const struct way *way, uint64_t nth)
{
    return (struct failing){ nth, way->duration != FAULT_ONCE, serve, way };
}

static void say_where(uint64_t nth, int error, enum fault_duration duration)
{
    if (getenv("SLUICE_TEST_VERBOSE"))
        (void)fprintf(stderr, "%s: call %llu, %s, %s\n", fixture.fsync, (unsigned long long)nth,
                      strerror(error), duration == FAULT_ONCE ? "once" : "from then on");
}

static const char *const modes[] = { "always", "everysec", "no" };
static const int errors[] = { EIO, ENOSPC, ENOMEM };

/* Of the calls every so many-th, another one in each mode and way; all of them in `make soak`. */
static uint64_t step_of(uint64_t calls)
{
    return soak_is_full() ? 1 : calls / 20 + 1;
}

START_TEST(each_may_fail_and_what_was_answered_is_there)
{
    enum fault_duration duration = _i / 9 ? FAULT_FROM_THEN_ON : FAULT_ONCE;
    int error = errors[_i / 3 % 3];
    const struct way way = { error, duration, 0 };
    const char *only = getenv("SLUICE_TEST_CALL");
    uint64_t calls, step;

    fixture.fsync = modes[_i % 3];
    make_golden();
    attempt(failing_of(&(struct way){ 0 }, 0));
    calls = fixture.figures->calls;
    ck_assert_uint_gt(calls, 100);
    ck_assert_uint_eq(fixture.refused + fixture.closed, 0);
    step = step_of(calls);
    for (uint64_t nth = 1 + (uint64_t)_i * 7 % step; nth <= calls; nth += step) {
        if (only) nth = strtoull(only, NULL, 10);
        say_where(nth, error, duration);
        attempt(failing_of(&way, nth));
        if (only) return;
    }
    (void)printf("%s, %s %s: %llu calls; %u starts and %u commands refused, %u closed\n",
                 fixture.fsync, strerror(error), duration == FAULT_ONCE ? "once" : "from then on",
                 (unsigned long long)calls, fixture.starts_refused, fixture.refused,
                 fixture.closed);
    ck_assert_uint_gt(fixture.starts_refused + fixture.refused + fixture.closed, 0);
}
END_TEST

START_TEST(short_transfers_do_not_matter)
{
    fixture.fsync = modes[_i];
    make_golden();
    attempt(failing_of(&(struct way){ .transfer_bytes_max = 1000 }, 0));
    ck_assert_uint_eq(fixture.refused + fixture.closed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server and system calls that fail");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_loop_test(cases, each_may_fail_and_what_was_answered_is_there, 0, 18);
    tcase_add_loop_test(cases, short_transfers_do_not_matter, 0, 3);
    return test_suite_run(suite);
}
