/* A whole server that frees large strings: which thread does, by the limit of memory, and at
 * its end. The program is linked with --wrap=free (see the Makefile). */
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "server/test_power_client.h"

#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { LARGE_BYTES = 8 << 20, COUNTED_BYTES_MIN = 6 << 20, STRINGS = 3 };

/* Large blocks that were freed; the server's process counts. */
struct counts {
    atomic_uint by_loop, by_others;
};

static struct {
    char directory[64];
    struct process process;
    struct connection connection;
    struct counts *counts;
} fixture;

void __real_free(void *block);
void __wrap_free(void *block);

void __wrap_free(void *block)
{
    if (fixture.counts && block && malloc_usable_size(block) >= COUNTED_BYTES_MIN) {
        atomic_uint *count =
            gettid() == getpid() ? &fixture.counts->by_loop : &fixture.counts->by_others;
        atomic_fetch_add(count, 1);
    }
    __real_free(block);
}

/* What the sanitizer finds is told apart from a server's own errors. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99";
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "blocks");
    (void)snprintf(fixture.process.socket_path, sizeof(fixture.process.socket_path), "%s/socket",
                   fixture.directory);
    (void)snprintf(fixture.process.log_path, sizeof(fixture.process.log_path), "%s.log",
                   fixture.directory);
    fixture.counts = mmap(NULL, sizeof(*fixture.counts), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(fixture.counts != MAP_FAILED);
    process_start(&fixture.process, os_real(), fixture.directory, "no");
    ck_assert(connection_open(&fixture.connection, &fixture.process));
    while (strncmp(connection_ask(&fixture.connection, "EXISTS a"), "-LOADING", 8) == 0)
        usleep(1000);
}

static void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.connection);
    munmap(fixture.counts, sizeof(*fixture.counts));
    fixture.counts = NULL;
    (void)unlink(fixture.process.log_path);
    test_directory_remove(fixture.directory);
}

static void expect(const char *command, const char *reply)
{
    const char *got = connection_ask(&fixture.connection, command);

    ck_assert_msg(strncmp(got, reply, strlen(reply)) == 0, "%s: %.100s", command, got);
}

static void limit_memory(const char *limit)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "CONFIG SET maxmemory %s", limit);
    expect(command, "+OK");
}

static void make_strings(void)
{
    for (unsigned i = 0; i < STRINGS; i++) {
        char command[64];

        (void)snprintf(command, sizeof(command), "SETRANGE s%u %d x", i, LARGE_BYTES - 1);
        expect(command, ":8388608");
    }
    ck_assert_uint_eq(atomic_load(&fixture.counts->by_loop), 0);
    ck_assert_uint_eq(atomic_load(&fixture.counts->by_others), 0);
}

/* Each way to lose a string. */
static void drop_strings(void)
{
    expect("DEL s0", ":1");
    expect("SET s1 small", "+OK");
    expect("EXPIRE s2 -1", ":1");
}

static void expect_freed(unsigned by_others, unsigned by_loop)
{
    for (unsigned i = 0; i < WAIT_MS; i++) {
        if (atomic_load(&fixture.counts->by_others) == by_others) break;
        usleep(1000);
    }
    ck_assert_uint_eq(atomic_load(&fixture.counts->by_others), by_others);
    ck_assert_uint_eq(atomic_load(&fixture.counts->by_loop), by_loop);
}

static void expect_end(void)
{
    int status;

    ck_assert_int_eq(waitpid(fixture.process.pid, &status, 0), fixture.process.pid);
    fixture.process.pid = 0;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it ended with %d", status);
}

/* That of the machine, or one that leaves room for what is on its way. */
static const char *const limits[] = { "0", "4gb" };

START_TEST(the_loop_frees_no_large_string)
{
    limit_memory(limits[_i]);
    make_strings();
    drop_strings();
    expect_freed(STRINGS, 0);
    expect("PING", "+PONG");
}
END_TEST

/* It would count for too long. */
START_TEST(what_is_a_large_part_of_the_limit_is_freed_at_once)
{
    make_strings();
    limit_memory("40mb");
    expect("DEL s0", ":1");
    expect("DEL s1 s2", ":2");
    ck_assert_uint_eq(atomic_load(&fixture.counts->by_loop), STRINGS);
    expect_freed(0, STRINGS);
}
END_TEST

/* Bits of _i: some were dropped before; by a signal. Each is freed once: the sanitizer tells. */
START_TEST(a_server_that_ends_frees_what_is_left)
{
    make_strings();
    if (_i & 1) drop_strings();
    if (_i & 2) {
        ck_assert_int_eq(kill(fixture.process.pid, SIGTERM), 0);
    } else {
        connection_send(&fixture.connection, "SHUTDOWN\r\n", strlen("SHUTDOWN\r\n"));
    }
    expect_end();
    ck_assert_uint_eq(
        atomic_load(&fixture.counts->by_loop) + atomic_load(&fixture.counts->by_others), STRINGS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("large blocks of a server");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, the_loop_frees_no_large_string, 0, 2);
    tcase_add_test(cases, what_is_a_large_part_of_the_limit_is_freed_at_once);
    tcase_add_loop_test(cases, a_server_that_ends_frees_what_is_left, 0, 4);
    return test_suite_run(suite);
}
