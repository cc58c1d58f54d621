#include "modules/base/log.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char directory[64], path[96], other[96];
    struct log *log;
    char text[1 << 20];
} fixture;

static void set_up(void)
{
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/tmp", "log");
    snprintf(fixture.path, sizeof(fixture.path), "%s/log", fixture.directory);
    snprintf(fixture.other, sizeof(fixture.other), "%s/other", fixture.directory);
    ck_assert_int_eq(log_create(fixture.path, LOG_NOTICE, 'M', &fixture.log), 0);
}

static void tear_down(void)
{
    log_destroy(fixture.log);
    (void)unlink(fixture.path);
    (void)unlink(fixture.other);
    ck_assert_int_eq(rmdir(fixture.directory), 0);
}

static const char *text_of(const char *path)
{
    size_t size;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size = fread(fixture.text, 1, sizeof(fixture.text) - 1, file);
    fixture.text[size] = '\0';
    fclose(file);
    return fixture.text;
}

static void expect_pattern(const char *text, const char *pattern)
{
    regex_t regex;
    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "%s does not look like %s", text,
                  pattern);
    regfree(&regex);
}

START_TEST(a_line_names_process_role_time_level_and_message)
{
    char pattern[160];
    snprintf(pattern, sizeof(pattern),
             "^%d:M [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8}\\.[0-9]{3} # disk 7 is full\n$",
             (int)getpid());
    log_write(fixture.log, LOG_WARNING, "disk %d is full", 7);
    expect_pattern(text_of(fixture.path), pattern);
}
END_TEST

START_TEST(messages_below_the_level_are_dropped)
{
    log_write(fixture.log, LOG_DEBUG, "one");
    log_write(fixture.log, LOG_VERBOSE, "two");
    log_write(fixture.log, LOG_NOTICE, "three");
    log_set_level(fixture.log, LOG_DEBUG);
    log_write(fixture.log, LOG_DEBUG, "four");
    log_set_level(fixture.log, LOG_NOTHING);
    log_write(fixture.log, LOG_WARNING, "five");
    log_write(NULL, LOG_WARNING, "six");
    expect_pattern(text_of(fixture.path), "^[^\n]* \\* three\n[^\n]* \\. four\n$");
}
END_TEST

START_TEST(a_message_cannot_forge_a_line)
{
    log_write(fixture.log, LOG_NOTICE, "name %s end", "a\n1:M # forged\x1b[2J\x7f");
    expect_pattern(text_of(fixture.path),
                   " \\* name a\\\\x0a1:M # forged\\\\x1b\\[2J\\\\x7f end\n$");
    ck_assert_ptr_eq(strchr(fixture.text, '\n'), fixture.text + strlen(fixture.text) - 1);
}
END_TEST

START_TEST(a_message_that_is_too_long_is_cut)
{
    char message[5000];
    for (int fill = 'x';; fill = '\n') { /* as it is, and with every byte escaped */
        const char *text;
        memset(message, fill, sizeof(message) - 1);
        message[sizeof(message) - 1] = '\0';
        log_write(fixture.log, LOG_NOTICE, "%s", message);
        text = text_of(fixture.path);
        ck_assert_str_eq(text + strlen(text) - 4, "...\n");
        if (fill == '\n') break;
    }
}
END_TEST

START_TEST(reopening_goes_on_in_a_new_file)
{
    log_write(fixture.log, LOG_NOTICE, "before");
    ck_assert_int_eq(rename(fixture.path, fixture.other), 0);
    log_write(fixture.log, LOG_NOTICE, "between");
    ck_assert_int_eq(log_reopen(fixture.log, fixture.path), 0);
    log_write(fixture.log, LOG_NOTICE, "after");
    expect_pattern(text_of(fixture.other), "before\n.*between\n$");
    expect_pattern(text_of(fixture.path), "^[^\n]*after\n$");
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_an_error_and_changes_nothing)
{
    struct log *log = NULL;
    ck_assert_int_eq(log_create(fixture.directory, LOG_NOTICE, 'M', &log), -EISDIR);
    ck_assert_ptr_null(log);
    ck_assert_int_eq(log_reopen(fixture.log, fixture.directory), -EISDIR);
    log_write(fixture.log, LOG_NOTICE, "still here");
    expect_pattern(text_of(fixture.path), "still here\n$");
}
END_TEST

START_TEST(lines_that_are_lost_are_counted)
{
    ck_assert_int_eq(log_reopen(fixture.log, "/dev/full"), 0);
    errno = EAGAIN;
    log_write(fixture.log, LOG_NOTICE, "lost");
    ck_assert_int_eq(errno, EAGAIN); /* the caller's is kept */
    log_write(fixture.log, LOG_NOTICE, "lost");
    ck_assert_uint_eq(log_lost_lines(fixture.log), 2);
}
END_TEST

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *argument)
{
    for (int i = 0; i < LINES; i++)
        log_write(fixture.log, LOG_NOTICE, "[%s %d]", (char *)argument, i);
    return NULL;
}

START_TEST(lines_of_several_threads_do_not_mix)
{
    static char names[THREADS][2] = { "a", "b", "c", "d" };
    pthread_t threads[THREADS];
    int count = 0;
    char *line, *rest;
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(log_reopen(fixture.log, fixture.path), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    (void)text_of(fixture.path);
    for (line = strtok_r(fixture.text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        expect_pattern(line, "^[0-9]+:M [^*]* \\* \\[[a-d] [0-9]+\\]$");
        count++;
    }
    ck_assert_int_eq(count, THREADS * LINES);
}
END_TEST

START_TEST(level_names_are_those_of_the_configuration)
{
    enum log_level level;
    for (int i = LOG_DEBUG; i <= LOG_NOTHING; i++) {
        ck_assert(log_parse_level(log_level_name((enum log_level)i), &level));
        ck_assert_int_eq((int)level, i);
    }
    ck_assert(log_parse_level("WARNING", &level));
    ck_assert_int_eq((int)level, LOG_WARNING);
    ck_assert(!log_parse_level("warn", &level));
    ck_assert(!log_parse_level("", &level));
}
END_TEST

START_TEST(standard_streams_are_written_and_left_open)
{
    int saved = dup(STDERR_FILENO);
    int fd = open(fixture.other, O_WRONLY | O_CREAT, 0600);
    fflush(stderr);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_eq(log_reopen(fixture.log, "-"), 0);
    log_write(fixture.log, LOG_NOTICE, "to standard error");
    ck_assert_int_eq(log_reopen(fixture.log, fixture.path), 0);
    ck_assert_int_ge(fcntl(STDERR_FILENO, F_GETFD), 0);
    ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    close(fd);
    expect_pattern(text_of(fixture.other), "to standard error\n$");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, a_line_names_process_role_time_level_and_message);
    tcase_add_test(cases, messages_below_the_level_are_dropped);
    tcase_add_test(cases, a_message_cannot_forge_a_line);
    tcase_add_test(cases, a_message_that_is_too_long_is_cut);
    tcase_add_test(cases, reopening_goes_on_in_a_new_file);
    tcase_add_test(cases, a_file_that_cannot_be_opened_is_an_error_and_changes_nothing);
    tcase_add_test(cases, lines_that_are_lost_are_counted);
    tcase_add_test(cases, lines_of_several_threads_do_not_mix);
    tcase_add_test(cases, level_names_are_those_of_the_configuration);
    tcase_add_test(cases, standard_streams_are_written_and_left_open);
    return test_suite_run(suite);
}
