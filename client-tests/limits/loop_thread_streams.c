/* A stream far above maxmemory, of which the page cache has little: memory stays bounded, and the
 * loop's thread waits for no disk, while it is written, read by many from places of their own, by a
 * group and backward, trimmed and deleted. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/loop_trace.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MEMORY_MIB = 32,
    SLACK_MIB = 16,
    VALUE_BYTES = 2000,
    BATCH = 200,
    CLIENTS = 10,
    PER_READ = 50, /* of that many bytes, more than is answered at once */
};

/* Sanitizers keep freed memory, and make calls of their own. */
static bool has_sanitizer(void)
{
    return strstr(suite_build_directory(), "/release/") == NULL;
}

/* fsync NULL: without a log. */
static void start(struct server *server, const char *fsync)
{
    static const char *arguments[] = { "--maxmemory",
                                       "32mb",
                                       "--appendonly",
                                       NULL,
                                       "--appendfsync",
                                       NULL,
                                       "--save",
                                       "",
                                       "--stream-segment-bytes",
                                       "1mb",
                                       NULL };

    arguments[3] = fsync ? "yes" : "no";
    arguments[5] = fsync ? fsync : "no";
    server_start(server, &(struct server_options){ .own_arguments = arguments });
}

/* What no process has mapped leaves the page cache. */
static void forget_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return; /* trimmed away meanwhile */
    (void)fdatasync(fd);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    (void)close(fd);
}

/* Calls each with the path of every entry of a directory that begins so. */
static void for_each_in(const char *path, const char *prefix, void (*each)(const char *path))
{
    char below[PATH_MAX];
    const struct dirent *entry;
    DIR *directory = opendir(path);

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        ck_assert_int_lt(snprintf(below, sizeof(below), "%s/%s", path, entry->d_name), PATH_MAX);
        each(below);
    }
    (void)closedir(directory);
}

static void forget_journal(const char *path)
{
    for_each_in(path, "", forget_file);
}

/* So that who reads the stream has to wait for the disk, but for the end that is being written. */
static void forget_stream(const struct server *server)
{
    for_each_in(server->data_path, "stream-", forget_journal);
}

/* Entries (first, 0)…, each of which says which it is. */
static void add(struct wire *wire, unsigned first, unsigned count)
{
    char value[VALUE_BYTES + 1];

    for (unsigned done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(value, sizeof(value), "%0*u", VALUE_BYTES, first + done + i);
            wire_command(wire, "XADD s %u-0 f %s", first + done + i, value);
        }
        wire_skip(wire, BATCH);
    }
}

/* The entries [first, first + PER_READ) as they stand in answers, from the first id on. */
static void expect_page(struct wire *wire, unsigned first)
{
    struct text reply = { 0 }, expected = { 0 };
    char value[VALUE_BYTES + 1], id[16];
    const char *at;

    for (unsigned number = first; number < first + PER_READ; number++) {
        snprintf(id, sizeof(id), "%u-0", number);
        snprintf(value, sizeof(value), "%0*u", VALUE_BYTES, number);
        text_format(&expected, "*2\r\n$%zu\r\n%s\r\n*2\r\n$1\r\nf\r\n$%d\r\n%s\r\n", strlen(id), id,
                    VALUE_BYTES, value);
    }
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    at = text_string(&reply);
    ck_assert_uint_ge(reply.size, expected.size);
    ck_assert_mem_eq(at + reply.size - expected.size, expected.bytes, expected.size);
    text_finish(&reply);
    text_finish(&expected);
}

/* Each client reads its part, all at the same time. */
static void read_all(const struct server *server, unsigned count, bool is_group)
{
    struct wire *wires[CLIENTS];
    unsigned part = count / CLIENTS / PER_READ * PER_READ;

    for (unsigned i = 0; i < CLIENTS; i++)
        wires[i] = wire_open(server);
    for (unsigned done = 0; done < part; done += PER_READ) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (is_group)
                wire_command(wires[i], "XREADGROUP GROUP g c%u COUNT %d STREAMS s >", i, PER_READ);
            else
                wire_command(wires[i], "XREAD COUNT %d STREAMS s %u-0", PER_READ, i * part + done);
            if (is_group) wire_skip(wires[i], 1);
        }
        for (unsigned i = 0; i < CLIENTS && !is_group; i++)
            expect_page(wires[i], i * part + done + 1);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        wire_close(wires[i]);
}

/* From the end to the beginning, each page's first entry looked at. */
static void read_backward(struct wire *wire, unsigned count)
{
    struct text reply = { 0 };
    char head[32];

    for (unsigned next = count; next > 0; next -= PER_READ) {
        ck_assert_int_gt(snprintf(head, sizeof(head), "*%d\r\n*2\r\n$%d\r\n%u-0\r\n", PER_READ,
                                  snprintf(NULL, 0, "%u-0", next), next),
                         0);
        wire_command(wire, "XREVRANGE s %u - COUNT %d", next, PER_READ);
        text_clear(&reply);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_msg(strncmp(text_string(&reply), head, strlen(head)) == 0, "%.40s",
                      text_string(&reply));
    }
    text_finish(&reply);
}

static void look_anywhere(struct wire *wire, unsigned count)
{
    for (unsigned i = 0; i < 200; i++) {
        unsigned first = i * 7919 % (count - PER_READ) + 1;

        if (i % 2 == 0) {
            wire_command(wire, "XRANGE s %u + COUNT %d", first, PER_READ);
            expect_page(wire, first);
        } else {
            wire_command(wire, "XREVRANGE s %u - COUNT %d", first, PER_READ);
            wire_skip(wire, 1);
        }
    }
}

static void remove_all(struct wire *wire, unsigned count)
{
    for (unsigned number = 1; number <= 1000; number += 7)
        expect_integer(wire, 1, "XDEL s %u-0", count / 2 + number);
    expect_integer(wire, count / 4, "XTRIM s MINID %u", count / 4 + 1);
    expect_integer(wire, 1, "DEL s");
}

/* All of it: rounded to what pages and clients divide. */
static unsigned entries_of(unsigned megabytes)
{
    unsigned step = CLIENTS * PER_READ * 4, count = suite_scaled(megabytes) * 1000000 / VALUE_BYTES;

    return (count / step + 1) * step;
}

static void work(const struct server *server, struct wire *wire, unsigned count)
{
    int64_t fetched = server_read_bytes(server);

    add(wire, 1, count);
    forget_stream(server);
    read_all(server, count, false);
    expect_ok(wire, "XGROUP CREATE s g 0");
    read_all(server, count / 4, true);
    forget_stream(server);
    read_backward(wire, count);
    forget_stream(server);
    look_anywhere(wire, count);
    ck_assert_int_gt(server_read_bytes(server), fetched); /* it had to wait for the disk */
    remove_all(wire, count);
}

static const char *const fsyncs[] = { NULL, "always" };
enum { FSYNCS = sizeof(fsyncs) / sizeof(fsyncs[0]) };

START_TEST(a_stream_far_above_maxmemory_takes_no_more)
{
    struct memory_watch *watch;
    struct server server;
    struct wire *wire;
    int64_t largest_kib;

    start(&server, fsyncs[_i]);
    wire = wire_open(&server);
    watch = memory_watch_start(&server);
    work(&server, wire, entries_of(60));
    largest_kib = memory_watch_stop(watch);
    if (!has_sanitizer()) ck_assert_int_le(largest_kib, (MEMORY_MIB + SLACK_MIB) * 1024);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(the_loop_thread_waits_for_no_stream)
{
    struct server server;
    struct tracer tracer;
    struct text trace = { 0 };
    struct wire *wire;
    int64_t faults;

    if (has_sanitizer()) {
        suite_skip("system calls of the loop: a sanitizer's runtime makes its own");
        return;
    }
    start(&server, fsyncs[_i]);
    wire = wire_open(&server);
    work(&server, wire, entries_of(3)); /* so that no code is new */
    if (!tracer_start(&tracer, &server, LOOP_TRACE_CALLS, NULL)) {
        suite_skip("strace may not attach on this machine");
        server_stop(&server);
        return;
    }
    faults = server_loop_major_faults(&server);
    work(&server, wire, entries_of(8));
    ck_assert_int_eq(server_loop_major_faults(&server), faults);
    tracer_stop(&tracer, &trace);
    loop_trace_expect_no_wait(&trace, server.pid);
    text_finish(&trace);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams above maxmemory");
    TCase *tcase = suite_case(suite, "memory");

    tcase_add_loop_test(tcase, a_stream_far_above_maxmemory_takes_no_more, 0, FSYNCS);
    tcase = suite_case(suite, "loop thread");
    tcase_add_loop_test(tcase, the_loop_thread_waits_for_no_stream, 0, FSYNCS);
    return suite_run(suite);
}
