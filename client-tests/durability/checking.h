/* checking.h - a server whose data directory sluice-check looks at, and damage done to its files.
 */
#ifndef CLIENT_TESTS_DURABILITY_CHECKING_H
#define CLIENT_TESTS_DURABILITY_CHECKING_H
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct server server;
static struct wire *wire;
static struct text output;

static inline void kill_it(void)
{
    wire_close(wire);
    server_kill(&server);
}

/* Its exit code; what it says is in output. */
static inline int check(const char *option)
{
    char command[2 * PATH_MAX], line[4096];
    FILE *pipe;
    int status;

    (void)snprintf(command, sizeof(command), "%s/sluice-check %s %s 2>&1", suite_build_directory(),
                   option, server.data_path);
    text_clear(&output);
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    while (fgets(line, sizeof(line), pipe))
        text_add_string(&output, line);
    status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static inline void expect_check(const char *option, int code, const char *words)
{
    int got = check(option);

    if (got != code || !strstr(text_string(&output), words))
        ck_abort_msg("exit code %d, expected %d with '%s':\n%s", got, code, words,
                     text_string(&output));
}

static inline void data_file(char *path, const char *name)
{
    ck_assert_int_lt(snprintf(path, PATH_MAX, "%s/%s", server.data_path, name), PATH_MAX);
}

static inline void write_at(const char *name, long offset, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    int fd;

    data_file(path, name);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);
}

/* Changes a byte of the first place where text stands in the file. */
static inline void damage_text(const char *name, const char *text)
{
    char path[PATH_MAX];
    struct text bytes = { 0 };
    const char *at;

    data_file(path, name);
    ck_assert_int_eq(text_add_file(&bytes, path), 0);
    at = memmem(bytes.bytes, bytes.size, text, strlen(text));
    ck_assert_ptr_nonnull(at);
    write_at(name, at - bytes.bytes, "#", 1);
    text_finish(&bytes);
}

#endif
