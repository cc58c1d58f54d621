/* test_import_server.h - the thread of an import and a server that is played here: what it is sent,
 * and what follows from what it answers. */
#ifndef SERVER_TRANSFER_TEST_IMPORT_SERVER_H
#define SERVER_TRANSFER_TEST_IMPORT_SERVER_H
#include "modules/base/number.h"
#include "modules/base/os.h"
#include "server/transfer/import.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 1 << 16, INPUT_BYTES_MAX = 1 << 20, WAIT_MS = 60000 };

static struct {
    char path[64];
    int fd; /* the server's end */
    struct import *import;
    char commands[TEXT_BYTES_MAX]; /* "SET k v;" */
    size_t commands_size;
    char input[INPUT_BYTES_MAX];
    size_t input_size;
    unsigned answered;
    /* What the nth command, from 1, is answered with. */
    const char *(*answer)(unsigned nth, const char *command);
    unsigned closes_after; /* commands; 0: not at all */
} fixture;

static inline const char *answer_well(unsigned nth, const char *command)
{
    (void)nth;
    return strcmp(command, "EXISTS") == 0 ? ":0\r\n" : "+OK\r\n";
}

static inline void write_bytes(const void *bytes, size_t size)
{
    FILE *file;
    int fd;

    strcpy(fixture.path, "/tmp/sluice-import-XXXXXX");
    fd = mkstemp(fixture.path);
    ck_assert_int_ge(fd, 0);
    file = fdopen(fd, "w");
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void write_file(const char *text)
{
    write_bytes(text, strlen(text));
}

static inline void setup(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.fd = -1;
    fixture.answer = answer_well;
}

static inline void teardown(void)
{
    import_destroy(fixture.import);
    if (fixture.fd >= 0) (void)close(fixture.fd);
    if (fixture.path[0]) (void)unlink(fixture.path);
}

static inline bool is_run(void *context, struct slice name)
{
    (void)context;
    return slice_is(name, "SET") || slice_is(name, "RPUSH") || slice_is(name, "DEL") ||
           slice_is(name, "RENAME") || slice_is(name, "COPY");
}

static inline void start(bool is_empty, bool replaces)
{
    struct import_options options = { .path = fixture.path,
                                      .database_count = 16,
                                      .value_bytes_max = 100,
                                      .command_bytes_max = 200,
                                      .is_empty = is_empty,
                                      .replaces = replaces,
                                      .is_run = is_run };
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    options.fd = fds[0];
    fixture.fd = fds[1];
    ck_assert_int_eq(import_create(os_real(), &options, &fixture.import), 0);
}

/* ---- the played server -------------------------------------------------------------------------
 */

/* The number behind a mark, and the step behind its line; 0: the line is not whole yet. */
static inline size_t take_number(size_t at, size_t *out_number)
{
    const char *end = memchr(fixture.input + at, '\n', fixture.input_size - at);

    if (!end) return 0;
    *out_number = strtoul(fixture.input + at + 1, NULL, 10);
    return (size_t)(end - fixture.input) + 1;
}

/* Takes a command out of the input: its name, or NULL: none is whole. */
static inline const char *take_command(void)
{
    static char name[64];
    size_t count, at, mark = fixture.commands_size;

    if (fixture.input_size == 0 || (at = take_number(0, &count)) == 0) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t size;
        at = at < fixture.input_size ? take_number(at, &size) : 0;
        if (at == 0 || at + size + 2 > fixture.input_size) {
            fixture.commands_size = mark;
            return NULL;
        }
        if (i == 0) (void)snprintf(name, sizeof(name), "%.*s", (int)size, fixture.input + at);
        fixture.commands_size += (size_t)snprintf(fixture.commands + fixture.commands_size,
                                                  TEXT_BYTES_MAX - fixture.commands_size, "%s%.*s",
                                                  i > 0 ? " " : "", (int)size, fixture.input + at);
        at += size + 2;
    }
    fixture.commands_size += (size_t)snprintf(fixture.commands + fixture.commands_size,
                                              TEXT_BYTES_MAX - fixture.commands_size, ";");
    memmove(fixture.input, fixture.input + at, fixture.input_size - at);
    fixture.input_size -= at;
    return name;
}

static inline void answer_all(void)
{
    const char *name;

    while (fixture.fd >= 0 && (name = take_command())) {
        const char *answer = fixture.answer(++fixture.answered, name);
        (void)send(fixture.fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (fixture.answered != fixture.closes_after) continue;
        (void)close(fixture.fd);
        fixture.fd = -1;
    }
}

/* Serves until the import has ended; its summary. */
static inline const struct import_summary *serve(void)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = import_event_fd(fixture.import), .events = POLLIN },
                                 { .fd = fixture.fd, .events = POLLIN } };
        ssize_t size;
        ck_assert_int_gt(poll(fds, 2, WAIT_MS), 0);
        if (fds[0].revents) break;
        size = recv(fixture.fd, fixture.input + fixture.input_size,
                    INPUT_BYTES_MAX - fixture.input_size, 0);
        if (size > 0) fixture.input_size += (size_t)size;
        answer_all();
    }
    return import_get_summary(fixture.import);
}
#endif
