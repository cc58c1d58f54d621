/* suite.h - what every program here shares: its place for files, its way to run and to end.
 *
 * A program is a Check suite. Check runs each test in a process of its own; what an unchecked
 * fixture starts lives in the program's first process and serves all tests of its case. */
#ifndef CLIENT_TESTS_LIB_SUITE_H
#define CLIENT_TESTS_LIB_SUITE_H
#include <check.h>
#include <stdbool.h>

/* A case whose tests may take a while even with sanitizers; added to suite. */
TCase *suite_case(Suite *suite, const char *name);

/* Runs it, prints Check's summary, removes the directory. The program's exit code. On a failure the
 * ends of the servers' logs are printed; with SLUICE_TEST_KEEP=1 the directory stays. */
int suite_run(Suite *suite);

/* The program's own directory, made at the first call, removed by suite_run. */
const char *suite_directory(void);

/* Something that is a failure wherever it is seen, also where Check does not listen (when a fixture
 * ends): in a test it fails the test, elsewhere the program. */
__attribute__((format(printf, 1, 2))) void suite_fail(const char *format, ...);

/* "build/VARIANT/" of this program, for its server and its siblings. */
const char *suite_build_directory(void);

/* How much to do: SLUICE_TEST_SCALE in percent, 100 when unset (soak: more; sanitizers: less). */
unsigned suite_scaled(unsigned count);

/* Prints why a test is left out on this machine; the caller returns. */
void suite_skip(const char *reason);
#endif
