/* test_waiting_fixture.h - for test_waiting_allocations.c: a server in a process of its own whose
 * memory the test rules, and whose disk it can have wait; and its clients. */
#ifndef SERVER_TEST_WAITING_FIXTURE_H
#define SERVER_TEST_WAITING_FIXTURE_H
#include "modules/base/test_directory.h"
#include "server/net/test_event_memory.h"
#include "server/test_power_client.h"
#include "server/test_wrapped_malloc.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum {
    CLIENTS = 4,
    LONG_BYTES = 200 * 1024, /* of an element that is sent in pieces */
    ELEMENTS = 10000,        /* of a list most of which is on disk */
    AT_ONCE = 4,
};

/* With the server. */
struct shared {
    struct memory_rule rule;
    atomic_bool reads_wait; /* the disk does not answer yet */
    atomic_bool saves_wait; /* nor does it take what a checkpoint writes */
};

static struct {
    char directory[64], data[80];
    struct process process;
    struct connection control, clients[CLIENTS];
    struct shared *shared;
} fixture;

/* What the sanitizer finds is told apart from a server's own errors. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99";
}

/* ---- a server whose memory we rule ------------------------------------------------------------
 */

static inline ssize_t read_late(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    while (atomic_load(&fixture.shared->reads_wait))
        usleep(100);
    return os_real()->pread(os, fd, bytes, size, offset);
}

static inline ssize_t write_late(struct os *os, int fd, const void *bytes, size_t size,
                                 uint64_t offset)
{
    while (atomic_load(&fixture.shared->saves_wait) && is_file_of(fd, "/checkpoint"))
        usleep(100);
    return os_real()->pwrite(os, fd, bytes, size, offset);
}

static inline int serve(void *context, int argument_count, char *const *arguments)
{
    struct os os = *os_real();

    (void)context;
    test_event_memory(__wrap_malloc, __wrap_realloc, free);
    memory_rule = &fixture.shared->rule;
    os.pread = read_late;
    os.pwrite = write_late;
    return boot_and_run(&os, argument_count, arguments);
}

static inline void grant_all(void)
{
    atomic_store(&fixture.shared->rule.first, UINT64_MAX);
    atomic_store(&fixture.shared->rule.end, UINT64_MAX);
}

/* From now on, and counted from now on. */
static inline void refuse(uint64_t nth, uint64_t in_a_row)
{
    grant_all();
    atomic_store(&fixture.shared->rule.count, 0);
    atomic_store(&fixture.shared->rule.refused, 0);
    atomic_store(&fixture.shared->rule.end, nth + in_a_row);
    atomic_store(&fixture.shared->rule.first, nth);
}

static inline void must_live(void)
{
    ck_assert_msg(!process_has_ended(&fixture.process), "the server has ended with status %x",
                  (unsigned)fixture.process.status);
}

static inline void reopen(struct connection *connection)
{
    connection_close(connection);
    ck_assert_msg(connection_open(connection, &fixture.process), "the server has ended");
}

/* What control asks while nothing is refused. */
static inline void expect(const char *command, const char *reply)
{
    const char *got = connection_ask(&fixture.control, command);

    ck_assert_msg(strncmp(got, reply, strlen(reply)) == 0, "%s: %.100s", command, got);
}

/* A list most of which is on disk, and one with an element that is sent in pieces. */
static inline void fill(void)
{
    static char command[LONG_BYTES + 64];
    int size = snprintf(command, sizeof(command), "*3\r\n$5\r\nRPUSH\r\n$4\r\nlong\r\n$%d\r\n",
                        LONG_BYTES);

    memset(command + size, 'x', LONG_BYTES);
    command[size + LONG_BYTES] = '\r';
    command[size + LONG_BYTES + 1] = '\n';
    connection_send(&fixture.control, command, (size_t)size + LONG_BYTES + 2);
    expect("", ":1");
    for (unsigned i = 0; i < ELEMENTS / AT_ONCE; i++) {
        size = snprintf(command, sizeof(command), "RPUSH big");
        for (unsigned k = 0; k < AT_ONCE; k++)
            size += snprintf(command + size, sizeof(command) - (size_t)size, " same-%030u", k % 2);
        expect(command, ":");
    }
}

static inline void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "waiting");
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.data, 0755), 0);
    process_set_paths(&fixture.process, fixture.directory, "");
    fixture.shared = mmap(NULL, sizeof(*fixture.shared), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(fixture.shared != MAP_FAILED);
    grant_all();
    fixture.control.fd = -1;
    for (int i = 0; i < CLIENTS; i++)
        fixture.clients[i].fd = -1;
    process_start_as(&fixture.process, serve, NULL, fixture.data, "no");
    reopen(&fixture.control);
    while (strncmp(connection_ask(&fixture.control, "EXISTS a"), "-LOADING", 8) == 0)
        usleep(1000);
    fill();
    expect("CONFIG SET slowlog-log-slower-than 0", "+OK"); /* which looks at arguments */
}

static inline void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.control);
    for (int i = 0; i < CLIENTS; i++)
        connection_close(&fixture.clients[i]);
    munmap(fixture.shared, sizeof(*fixture.shared));
    test_directory_remove(fixture.directory);
}
#endif
