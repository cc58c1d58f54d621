/* The event loop never waits for a disk: in steady spilling and draining its thread makes no system
 * call that could and has no major fault. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ELEMENT_BYTES = 1000, BATCH = 200 };

static bool has_sanitizer(void)
{
    return strstr(suite_build_directory(), "/release/") == NULL;
}

static void push(struct wire *wire, unsigned count)
{
    char element[ELEMENT_BYTES + 1];

    memset(element, 'x', ELEMENT_BYTES);
    element[ELEMENT_BYTES] = '\0';
    for (unsigned done = 0; done < count; done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            wire_command(wire, "RPUSH k %s", element);
        wire_skip(wire, BATCH);
    }
}

static void pop(struct wire *wire, unsigned count)
{
    for (unsigned done = 0; done < count; done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            wire_command(wire, "LPOP k");
        wire_skip(wire, BATCH);
    }
}

/* What walks, inside a transaction. */
static void transact(struct wire *wire)
{
    static const char *const commands[] = {
        "LRANGE k 1000 1999",    "LREM k 0 nothing",   "LINSERT k AFTER nothing x",
        "LPOS k nothing RANK 1", "LINDEX k 30000",     "LPOP k 100",
        "LTRIM k 100 -101",      "LSET k 20000 other", "LLEN k",
    };
    size_t count = sizeof(commands) / sizeof(commands[0]);

    expect_ok(wire, "MULTI");
    for (size_t i = 0; i < count; i++)
        wire_command(wire, commands[i]);
    wire_skip(wire, count);
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    expect_integer(wire, 60000 - 300, "LLEN k");
}

/* strace on the loop's thread alone; the calls it saw go to path. */
static pid_t start_trace(const struct server *server, const char *path)
{
    static const char calls[] = "trace=pread64,preadv,preadv2,pwrite64,pwritev,pwritev2,fsync,"
                                "fdatasync,sync_file_range,fallocate,ftruncate,unlink,unlinkat,"
                                "openat,rename,renameat,msync,mmap,munmap";
    char thread[16];
    pid_t pid;

    (void)snprintf(thread, sizeof(thread), "%d", (int)server->pid);
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        (void)execlp("strace", "strace", "-q", "-y", "-e", calls, "-o", path, "-p", thread,
                     (char *)NULL);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

/* Until the kernel says that somebody traces the thread. False: strace ended before that. */
static bool wait_traced(const struct server *server, pid_t tracer)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    char path[64], needle[32];

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)server->pid);
    (void)snprintf(needle, sizeof(needle), "TracerPid:\t%d\n", (int)tracer);
    do {
        struct text status = { 0 };
        bool traced;
        if (waitpid(tracer, NULL, WNOHANG) == tracer) return false;
        ck_assert_int_eq(text_add_file(&status, path), 0);
        traced = strstr(text_string(&status), needle) != NULL;
        text_finish(&status);
        if (traced) return true;
    } while (clock_probe(deadline_ms));
    ck_abort_msg("strace does not attach");
}

/* strace -y names the file behind each descriptor: /proc is no disk, the server looks there at its
 * own memory. */
static void expect_no_call(const struct text *trace)
{
    static const char *const waiting[] = { "pread",     "pwrite", "sync",   "fallocate",
                                           "ftruncate", "unlink", "rename", "openat(" };
    const char *line = text_string(trace);

    while (*line) {
        size_t length = strcspn(line, "\n");
        for (size_t i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++) {
            const char *found = memmem(line, length, waiting[i], strlen(waiting[i]));
            if (!found || memmem(line, length, "/proc/", 6)) continue;
            ck_abort_msg("the loop's thread called %.*s", (int)length, line);
        }
        line += length + (line[length] == '\n');
    }
}

/* Without the log, and with it in each mode. */
static const char *const fsyncs[] = { NULL, "no", "everysec", "always" };
enum { FSYNCS = sizeof(fsyncs) / sizeof(fsyncs[0]) };

START_TEST(the_loop_thread_touches_no_disk)
{
    const char *arguments[] = { "--maxmemory",
                                "32mb",
                                "--appendonly",
                                fsyncs[_i] ? "yes" : "no",
                                "--appendfsync",
                                fsyncs[_i] ? fsyncs[_i] : "no",
                                NULL };
    struct server_options options = { .arguments = arguments };
    struct server server;
    struct wire *wire;
    struct text trace = { 0 };
    char path[PATH_MAX + 16];
    pid_t tracer;
    int64_t faults;
    unsigned count = suite_scaled(100) * 400;

    if (has_sanitizer()) {
        suite_skip("system calls of the loop: a sanitizer's runtime makes its own");
        return;
    }
    server_start(&server, &options);
    wire = wire_open(&server);
    push(wire, 60000); /* what is done once is done by now: spilling goes on steadily */
    (void)snprintf(path, sizeof(path), "%s/trace", server.directory);
    tracer = start_trace(&server, path);
    if (!wait_traced(&server, tracer)) {
        suite_skip("strace may not attach on this machine");
        server_stop(&server);
        return;
    }
    faults = server_loop_major_faults(&server);
    push(wire, count);
    pop(wire, count);
    for (unsigned i = 0; i < 200; i++) {
        wire_command(wire, "LINDEX k %u", i * 290);
        wire_skip(wire, 1);
    }
    expect_integer(wire, 0, "LREM k 0 nothing");
    transact(wire);
    expect_integer(wire, 1, "DEL k");
    info_wait(wire, "spill_lists_being_freed", 0);
    ck_assert_int_eq(server_loop_major_faults(&server), faults);
    ck_assert_int_gt(info_number(wire, "spill_writes"), 0);
    ck_assert_int_gt(info_number(wire, "spill_reads"), 0);
    (void)kill(tracer, SIGTERM);
    while (waitpid(tracer, NULL, 0) < 0 && errno == EINTR) {}
    ck_assert_int_eq(text_add_file(&trace, path), 0);
    expect_no_call(&trace);
    text_finish(&trace);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop thread");
    TCase *tcase = suite_case(suite, "loop thread");

    tcase_add_loop_test(tcase, the_loop_thread_touches_no_disk, 0, FSYNCS);
    return suite_run(suite);
}
