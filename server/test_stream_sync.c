/* A whole server whose streams cannot be brought to the device for a while: it says so, adds
 * nothing to them, and goes on by itself when it can; nothing that was answered is missing. */
#include "modules/base/test_suite.h"
#include "server/test_failing_server.h"

enum { ENTRIES = 300, LINE_BYTES = 256 };

static const char save_fails[] =
    "-ERR The checkpoint failed while syncing streams: Input/output error\r\n";

/* In memory that the server's process shares. */
static _Atomic bool *is_failing;

/* At `always` only journals of streams are mapped. */
static int sync_map(struct os *os, void *address, size_t size)
{
    (void)os;
    return *is_failing ? -EIO : os_real()->sync_map(os_real(), address, size);
}

static int sync_data(struct os *os, int fd)
{
    (void)os;
    return *is_failing && is_file_of(fd, "/stream-") ? -EIO : os_real()->fdatasync(os_real(), fd);
}

static int serve(void *failing, int argument_count, char *const *arguments)
{
    static struct os os;

    (void)failing;
    os = *os_real();
    os.sync_map = sync_map;
    os.fdatasync = sync_data;
    return boot_and_run(&os, argument_count, arguments);
}

static const char *ask(const char *command)
{
    return connection_ask(&fixture.connection, command);
}

static void expect(const char *command, const char *expected)
{
    const char *reply = ask(command);

    ck_assert_msg(strncmp(reply, expected, strlen(expected)) == 0, "%s: %s", command, reply);
}

static bool add_to(const char *key, unsigned number)
{
    char line[LINE_BYTES];
    const char *reply;

    (void)snprintf(line, sizeof(line), "XADD %s %u-0 f %0200u", key, number, number);
    reply = ask(line);
    if (*reply == '$') return true;
    ck_assert_str_eq(reply, "-MISCONF A stream could not be brought to the disk (Input/output "
                            "error): nothing was changed. What it had written is written once "
                            "more; reads go on.\r\n");
    return false;
}

static bool add(unsigned number)
{
    return add_to("s", number);
}

static void expect_field(const char *field, bool is_there)
{
    const char *info = ask("INFO persistence");

    ck_assert_msg((strstr(info, field) != NULL) == is_there, "%s in %s", field, info);
}

/* The first sync that fails ends a checkpoint; others are under way. */
static void wait_for(const char *field)
{
    for (unsigned i = 0; !strstr(ask("INFO persistence"), field); i++) {
        ck_assert_msg(i < WAIT_MS / 10, "no %s", field);
        usleep(10000);
    }
}

/* What is saved is what was answered. */
static void expect_entries(unsigned count)
{
    char line[LINE_BYTES];

    (void)snprintf(line, sizeof(line), ":%u\r\n", count);
    ck_assert_str_eq(ask("XLEN s"), line);
    (void)snprintf(line, sizeof(line), "%0200u", count);
    ck_assert_ptr_nonnull(strstr(ask("XREVRANGE s + - COUNT 1"), line));
}

/* A server that waits for each sync of its log before it answers. */
static void start_it(void)
{
    is_failing =
        mmap(NULL, sizeof(*is_failing), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(is_failing != MAP_FAILED);
    fixture.fsync = "always";
    ck_assert_int_eq(mkdir(fixture.data, 0755), 0);
    ck_assert(start((struct failing){ .serve = serve }));
}

START_TEST(streams_go_on_when_the_disk_does)
{
    unsigned number = 1;

    start_it();
    for (; number <= ENTRIES; number++)
        ck_assert(add(number));
    *is_failing = true;
    expect("SAVE", save_fails);
    ck_assert(!add(number));
    expect_entries(number - 1);
    expect_field("checkpoint_suspect_streams:1\r\n", true);
    expect("SAVE", save_fails);
    *is_failing = false;
    for (unsigned i = 0; !add(number); i++) {
        ck_assert_msg(i < WAIT_MS / 10, "it does not go on");
        usleep(10000);
    }
    expect_field("checkpoint_suspect_streams:0\r\n", true);
    expect_field("checkpoint_mended_streams:0\r\n", false);
    expect_field("stream_rewrite_errors:0\r\n", true);
    expect("SAVE", "+OK\r\n");
    process_kill(&fixture.process);
    ck_assert(start((struct failing){ 0 }));
    expect_entries(number);
    munmap((void *)is_failing, sizeof(*is_failing));
}
END_TEST

/* What adds nothing to it is done, is in the log, and is there after a crash or an end; so is what
 * goes, by whatever name. */
START_TEST(what_is_done_to_a_suspect_stream_is_kept)
{
    start_it();
    for (unsigned number = 1; number <= ENTRIES; number++)
        ck_assert(add(number) && add_to("gone", number));
    expect("XGROUP CREATE s g 0", "+OK");
    expect("XREADGROUP GROUP g c COUNT 10 STREAMS s >", "*1");
    *is_failing = true;
    expect("SAVE", save_fails);
    wait_for("checkpoint_suspect_streams:2\r\n");
    expect("XACK s g 1-0 2-0 3-0", ":3");
    expect("XREADGROUP GROUP g c COUNT 5 STREAMS s >", "*1");
    expect("XDEL s 250-0", ":1");
    expect("COPY s other", ":1");
    expect("RENAME s t", "+OK");
    expect("XTRIM t MAXLEN 290", ":9");
    expect("DEL gone", ":1");
    expect("XADD t 301-0 f v", "-MISCONF");
    expect("SAVE", save_fails);
    if (_i == 0)
        process_kill(&fixture.process);
    else
        expect_end(SIGTERM, true);
    ck_assert(start((struct failing){ 0 }));
    expect("EXISTS s gone", ":0");
    expect("XLEN t", ":290");
    expect("XLEN other", ":299");
    expect("XPENDING t g", "*4\r\n:12\r\n$3\r\n4-0\r\n$4\r\n15-0");
    expect("XPENDING other g", "*4\r\n:12\r\n$3\r\n4-0\r\n$4\r\n15-0");
    expect("XADD t 301-0 f v", "$5");
    expect("SAVE", "+OK");
    munmap((void *)is_failing, sizeof(*is_failing));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server whose streams cannot be synced");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, streams_go_on_when_the_disk_does);
    tcase_add_loop_test(cases, what_is_done_to_a_suspect_stream_is_kept, 0, 2);
    return test_suite_run(suite);
}
