/* test_key_fixture.h - a key in a file beside the journal of test_journal_fixture.h. */
#ifndef MODULES_JOURNAL_TEST_KEY_FIXTURE_H
#define MODULES_JOURNAL_TEST_KEY_FIXTURE_H
#include "modules/journal/test_journal_fixture.h"

#define SOME_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char key_path[160];

/* Another text takes the place of what is there. */
static inline void write_key(const char *text)
{
    int fd = open(key_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(close(fd), 0);
}

static inline void remove_key(void)
{
    ck_assert_int_eq(unlink(key_path), 0);
}

/* The journal is opened with it from now on; remove_key before the fixture is torn down. */
static inline void use_key(const char *text)
{
    (void)snprintf(key_path, sizeof(key_path), "%s/key", fixture.directory);
    write_key(text);
    fixture.options.settings.key_path = key_path;
}
#endif
