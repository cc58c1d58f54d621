/* test_fixture.h - what the tests of this folder share: a config, a directory of its own,
 * expectations. */
#ifndef SERVER_CONFIG_TEST_FIXTURE_H
#define SERVER_CONFIG_TEST_FIXTURE_H
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "server/config/config.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    struct config *config;
    struct config_error error;
    char directory[64];
} fixture;

static inline void set_up(void)
{
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/tmp", "config");
    ck_assert_int_eq(config_create(os_real(), &fixture.config, &fixture.error), 0);
}

static inline void tear_down(void)
{
    config_destroy(fixture.config);
    test_directory_remove(fixture.directory);
}

static inline const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", fixture.directory, name);
    return path;
}

static inline void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void expect_value(const char *name, const char *expected)
{
    char *text = NULL;

    ck_assert_int_eq(config_text(fixture.config, name, &text), 0);
    ck_assert_str_eq(text, expected);
    free(text);
}

static inline int load(const char *text)
{
    return config_load_text(fixture.config, slice_of_string(text), &fixture.error);
}

static inline int set(const char *name, const char *value)
{
    const struct config_pair pair = { slice_of_string(name), slice_of_string(value) };

    return config_set(fixture.config, &pair, 1, false, &fixture.error);
}

static inline void expect_set(const char *name, const char *value, const char *shown)
{
    ck_assert_msg(set(name, value) == 0, "%s", fixture.error.text);
    expect_value(name, shown);
}

/* reason is what follows "CONFIG SET failed (...) - ". */
static inline void expect_refused(const char *name, const char *value, const char *reason)
{
    char expected[1024], *before = NULL, *after = NULL;

    ck_assert_int_eq(config_text(fixture.config, name, &before), 0);
    (void)snprintf(expected, sizeof(expected),
                   "CONFIG SET failed (possibly related to argument '%s') - %s", name, reason);
    ck_assert_int_eq(set(name, value), -EINVAL);
    ck_assert_str_eq(fixture.error.text, expected);
    ck_assert_int_eq(config_text(fixture.config, name, &after), 0);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}

static inline int accept_change(void *context, const struct config *config,
                                struct config_error *error)
{
    (void)config;
    (void)error;
    if (context) ++*(int *)context;
    return 0;
}

static inline void listen_to(const char *name)
{
    ck_assert_int_eq(config_on_change(fixture.config, name, accept_change, NULL), 0);
}

static inline int run_tests(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *group = test_suite_case(suite, name, set_up, tear_down);

    for (size_t i = 0; i < count; i++)
        tcase_add_test(group, tests[i]);
    return test_suite_run(suite);
}
#endif
