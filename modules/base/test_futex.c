#include "modules/base/futex.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(a_futex_sleeps_only_while_the_word_is_as_expected)
{
    uint32_t word = 7;
    ck_assert_int_eq(futex_wait(&word, 6, FUTEX_FOREVER), 0);
    ck_assert_int_eq(futex_wait(&word, 7, 0), -ETIMEDOUT);
    ck_assert_int_eq(futex_wait(&word, 7, 1000), -ETIMEDOUT);
    ck_assert_int_eq(futex_wake_all(&word), 0);
}
END_TEST

START_TEST(a_futex_wakes_a_process_that_may_only_read_the_word)
{
    uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status, woken;
    pid_t child;

    ck_assert_ptr_ne(word, MAP_FAILED);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (mprotect(word, 4096, PROT_READ) < 0) _exit(1);
        _exit(futex_wait(word, 0, FUTEX_FOREVER) == 0 ? 0 : 2);
    }
    do { /* until the child has fallen asleep */
        (void)sched_yield();
        woken = futex_wake_all(word);
        ck_assert_int_ge(woken, 0);
    } while (woken == 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(munmap(word, 4096), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("futex");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, a_futex_sleeps_only_while_the_word_is_as_expected);
    tcase_add_test(cases, a_futex_wakes_a_process_that_may_only_read_the_word);
    return test_suite_run(suite);
}
