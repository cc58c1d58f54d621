/* test_directory.h - a directory for a test.
 *
 * Who passes removes it; a test that fails or crashes does not come to that, so what is left when
 * the program ends goes then. */
#ifndef MODULES_BASE_TEST_DIRECTORY_H
#define MODULES_BASE_TEST_DIRECTORY_H
#include <check.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pid_t test_directory_program; /* Check runs each test in a child of it */

static inline int test_directory_remove_entry(const char *path, const struct stat *status, int kind,
                                              struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* With all that is in it. */
static inline void test_directory_remove(const char *path)
{
    ck_assert_int_eq(nftw(path, test_directory_remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Makes an empty one below parent; its path must fit. */
static inline void test_directory_make(char *path, size_t size, const char *parent,
                                       const char *name)
{
    int length =
        snprintf(path, size, "%s/sluice-%s.%d.XXXXXX", parent, name, (int)test_directory_program);

    ck_assert_int_lt(length, (int)size);
    ck_assert_ptr_nonnull(mkdtemp(path));
}

__attribute__((constructor)) static void test_directory_begin(void)
{
    test_directory_program = getpid();
}

__attribute__((destructor)) static void test_directory_end(void)
{
    const char *parents[] = { "/tmp", "/dev/shm", "/var/tmp", getenv("TMPDIR") };

    if (getpid() != test_directory_program) return;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]) && parents[i]; i++) {
        char pattern[200];
        glob_t found;

        (void)snprintf(pattern, sizeof(pattern), "%.100s/sluice-*.%d.??????", parents[i],
                       (int)test_directory_program);
        if (glob(pattern, 0, NULL, &found) != 0) continue;
        for (size_t k = 0; k < found.gl_pathc; k++)
            (void)nftw(found.gl_pathv[k], test_directory_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        globfree(&found);
    }
}
#endif
