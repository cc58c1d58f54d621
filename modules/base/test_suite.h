/* test_suite.h - what the main of every test program of modules/ and server/ does: makes a suite of
 * cases, and runs it.
 *
 * Check runs each test in a process of its own, with the fixture of its case around it. */
#ifndef MODULES_BASE_TEST_SUITE_H
#define MODULES_BASE_TEST_SUITE_H
#include <check.h>
#include <stdlib.h>

/* Of one test, on a machine that is busy with something else, with sanitizers: what takes so long
 * hangs. Who does more on purpose says so with tcase_set_timeout. */
enum { TEST_SUITE_TIMEOUT_S = 300 };

/* A case of suite. The two run in the process of each test, NULL: none. */
static inline TCase *test_suite_case(Suite *suite, const char *name, SFun before_each,
                                     SFun after_each)
{
    TCase *cases = tcase_create(name);

    tcase_set_timeout(cases, TEST_SUITE_TIMEOUT_S);
    tcase_add_checked_fixture(cases, before_each, after_each);
    suite_add_tcase(suite, cases);
    return cases;
}

/* Runs and frees it, and prints Check's summary. Returns the program's exit code. */
static inline int test_suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif
