#include "server/config/test_fixture.h"

/* ---- files ---------------------------------------------------------------------------------- */

START_TEST(a_file_has_comments_quotes_and_includes)
{
    char text[512];

    write_file("more.conf", "maxclients 77\r\n");
    (void)snprintf(text, sizeof(text),
                   "# comment\n\n  port 7000 \r\n\trequirepass 'a b'\n"
                   "logfile \"x\\x41\"\ninclude %s\nHZ 20",
                   path_of("more.conf"));
    write_file("main.conf", text);
    ck_assert_int_eq(config_load_file(fixture.config, path_of("main.conf"), &fixture.error), 0);
    ck_assert_int_eq(fixture.config->port, 7000);
    ck_assert_str_eq(fixture.config->requirepass, "a b");
    ck_assert_str_eq(fixture.config->logfile, "xA");
    ck_assert_int_eq(fixture.config->hz, 20);
    ck_assert_int_eq(fixture.config->maxclients, 77);
    ck_assert_str_eq(config_file(fixture.config), path_of("main.conf"));
}
END_TEST

START_TEST(includes_may_be_patterns)
{
    char line[160];

    write_file("1.inc", "hz 11\nmaxclients 5\n");
    write_file("2.inc", "hz 12\n");
    (void)snprintf(line, sizeof(line), "include %s", path_of("*.inc"));
    ck_assert_int_eq(load(line), 0);
    ck_assert_int_eq(fixture.config->hz, 12);
    ck_assert_int_eq(fixture.config->maxclients, 5);
    (void)snprintf(line, sizeof(line), "include %s", path_of("*.none"));
    ck_assert_int_eq(load(line), 0);
    (void)snprintf(line, sizeof(line), "include %s", path_of("none.inc"));
    ck_assert_int_eq(load(line), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "can't open config file"));
}
END_TEST

START_TEST(a_file_that_includes_itself_ends)
{
    char line[160];

    (void)snprintf(line, sizeof(line), "include %s", path_of("loop.conf"));
    write_file("loop.conf", line);
    ck_assert_int_eq(config_load_file(fixture.config, path_of("loop.conf"), &fixture.error),
                     -EINVAL);
}
END_TEST

START_TEST(errors_name_line_and_text)
{
    ck_assert_int_eq(load("port 0\nfoo bar\n"), -EINVAL);
    ck_assert_str_eq(fixture.error.text, "Reading the configuration, at line 2\n>>> 'foo bar'\n"
                                         "Bad directive or wrong number of arguments");
    write_file("bad.conf", "\nmaxmemory 12 13\n");
    ck_assert_int_eq(config_load_file(fixture.config, path_of("bad.conf"), &fixture.error),
                     -EINVAL);
    ck_assert_str_eq(fixture.error.text,
                     "Reading the configuration file, at line 2\n>>> 'maxmemory 12 13'\n"
                     "wrong number of arguments");
    ck_assert_int_eq(load("maxmemory \"12"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "Unbalanced quotes in configuration line"));
    ck_assert_int_eq(load("include"), -EINVAL);
    ck_assert_int_eq(config_load_text(fixture.config, SLICE_LITERAL("hz 1\0000"), &fixture.error),
                     -EINVAL);
    ck_assert_int_eq(config_load_file(fixture.config, path_of("none.conf"), &fixture.error),
                     -ENOENT);
    ck_assert_int_eq(config_load_file(fixture.config, fixture.directory, &fixture.error), -EISDIR);
}
END_TEST

START_TEST(an_error_is_safe_to_print)
{
    char line[3000];

    memset(line, '\033', sizeof(line) - 1);
    line[sizeof(line) - 1] = 0;
    ck_assert_int_eq(load(line), -EINVAL);
    ck_assert_ptr_null(strchr(fixture.error.text, '\033'));
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "Bad directive or wrong number of arguments"));
}
END_TEST

START_TEST(a_file_without_end_is_refused)
{
    ck_assert_int_eq(config_load_file(fixture.config, "/dev/zero", &fixture.error), -EFBIG);
}
END_TEST

/* ---- the command line ----------------------------------------------------------------------- */

static int load_words(int stdin_fd, int count, char **words)
{
    return config_load_arguments(fixture.config, count, words, stdin_fd, &fixture.error);
}
#define LOAD_ARGUMENTS(...)                                                                        \
    load_words(-1, (int)(sizeof((char *[]){ "sluice", __VA_ARGS__ }) / sizeof(char *)),            \
               (char *[]){ "sluice", __VA_ARGS__ })

START_TEST(arguments_are_directives)
{
    ck_assert_int_eq(LOAD_ARGUMENTS("--port", "0", "--save", "", "--bind", "127.0.0.1", "::1",
                                    "--hz 33", "--requirepass", "a \"b"),
                     0);
    ck_assert_int_eq(fixture.config->port, 0);
    expect_value("bind", "127.0.0.1 ::1");
    expect_value("requirepass", "a \"b");
    expect_value("hz", "33");
}
END_TEST

START_TEST(a_lone_save_stands_for_none)
{
    ck_assert_int_eq(LOAD_ARGUMENTS("--save", "60", "1"), 0);
    expect_value("save", "60 1");
    ck_assert_int_eq(LOAD_ARGUMENTS("--save", "60 1 30 2"), 0); /* one word with four in it */
    expect_value("save", "60 1 60 1 30 2");                     /* lines add up */
    ck_assert_int_eq(LOAD_ARGUMENTS("--save", "--port", "7001"), 0);
    ck_assert_int_eq(fixture.config->port, 7001);
    ck_assert_int_eq(LOAD_ARGUMENTS("--save"), 0);
}
END_TEST

START_TEST(a_value_may_look_like_a_name)
{
    ck_assert_int_eq(LOAD_ARGUMENTS("--requirepass", "--secret", "--port", "7001"), 0);
    expect_value("requirepass", "--secret");
    ck_assert_int_eq(fixture.config->port, 7001);
}
END_TEST

START_TEST(wrong_arguments_are_named)
{
    ck_assert_int_eq(LOAD_ARGUMENTS("--port", "0", "extra"), -EINVAL);
    ck_assert_str_eq(fixture.error.text, "Reading the command line\n>>> 'port \"0\" \"extra\"'\n"
                                         "wrong number of arguments");
    ck_assert_int_eq(LOAD_ARGUMENTS("--port"), -EINVAL);
    ck_assert_int_eq(LOAD_ARGUMENTS("-x"), -EINVAL);
    ck_assert_int_eq(LOAD_ARGUMENTS("--"), 0);
    ck_assert_int_eq(LOAD_ARGUMENTS("--foo", "bar"), -EINVAL);
}
END_TEST

START_TEST(arguments_come_after_the_file_and_standard_input)
{
    int ends[2];

    write_file("main.conf", "port 1\nhz 1\ntimeout 1\n");
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "hz 2\ntimeout 2", 14), 14);
    ck_assert_int_eq(close(ends[1]), 0);
    ck_assert_int_eq(load_words(ends[0], 5,
                                (char *[]){ "sluice", (char *)(uintptr_t)path_of("main.conf"),
                                            "--timeout", "3", "-" }),
                     0);
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(fixture.config->port, 1);
    ck_assert_int_eq(fixture.config->hz, 2);
    ck_assert_int_eq(fixture.config->timeout_s, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_file_has_comments_quotes_and_includes,
        includes_may_be_patterns,
        a_file_that_includes_itself_ends,
        errors_name_line_and_text,
        an_error_is_safe_to_print,
        a_file_without_end_is_refused,
        arguments_are_directives,
        a_lone_save_stands_for_none,
        a_value_may_look_like_a_name,
        wrong_arguments_are_named,
        arguments_come_after_the_file_and_standard_input,
    };

    return run_tests("config load", tests, sizeof(tests) / sizeof(tests[0]));
}
