/* The files of a real redis-server: what it wrote is what is read. It runs beside, on a socket in a
 * directory of its own. */
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/rdb/source.h"
#include "modules/rdb/test_rdb_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    char directory[64], socket[96];
    pid_t pid;
    struct rdb_source source;
} redis;

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int run(const char *format, ...)
{
    char command[1024];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(command, sizeof(command), format, list);
    va_end(list);
    return system(command);
}

/* One command, in redis-cli's words. */
static void redis_do(const char *command)
{
    ck_assert_int_eq(run("redis-cli -s %s -e %s >/dev/null", redis.socket, command), 0);
}

static void start(const char *options)
{
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "exec redis-server --port 0 --unixsocket %s --dir %s --save '' --daemonize no "
                   "--logfile log %s",
                   redis.socket, redis.directory, options);
    redis.pid = fork();
    ck_assert_int_ge(redis.pid, 0);
    if (redis.pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    for (int tries = 0; run("redis-cli -s %s PING >/dev/null 2>&1", redis.socket) != 0; tries++) {
        ck_assert_int_lt(tries, 1000);
        (void)usleep(20000);
    }
}

static void stop(void)
{
    if (redis.pid > 0) {
        (void)kill(redis.pid, SIGKILL);
        (void)waitpid(redis.pid, NULL, 0);
    }
    redis.pid = 0;
}

static void setup(void)
{
    memset(&redis, 0, sizeof(redis));
    test_directory_make(redis.directory, sizeof(redis.directory), "/tmp", "redis");
    (void)snprintf(redis.socket, sizeof(redis.socket), "%s/s", redis.directory);
}

static void teardown(void)
{
    stop();
    rdb_source_finish(&redis.source);
    (void)run("rm -r %s", redis.directory);
}

static int tell_arguments(void *context, struct slice *arguments, uint32_t argument_count)
{
    (void)context;
    for (uint32_t i = 0; i < argument_count; i++)
        tell("[%.*s]", (int)(arguments[i].size < 40 ? arguments[i].size : 40),
             (const char *)arguments[i].bytes);
    tell("\n");
    return 0;
}

static void read_directory(void)
{
    const struct rdb_source_visitor visitor = { .rdb = telling,
                                                .aof = { .command = tell_arguments } };
    int rc;

    told.size = 0;
    told.text[0] = '\0';
    memset(told.kinds, 0, sizeof(told.kinds));
    told.hides_use = told.hides_times = true;
    rdb_source_finish(&redis.source);
    rc = rdb_source_find(os_real(), redis.directory, &redis.source);
    if (rc == 0) rc = rdb_source_check(&redis.source, NULL, NULL);
    if (rc == 0) rc = rdb_source_read(&redis.source, &visitor, NULL);
    ck_assert_msg(rc == 0, "%d %s", rc, redis.source.error);
}

static void expect_told(const char *line)
{
    if (!strstr(told.text, line)) ck_abort_msg("'%s' is not in:\n%s", line, told.text);
}

static void fill_with_all_types(void)
{
    redis_do("SET plain value");
    redis_do("SET number 12345");
    redis_do("SET negative -70000");
    redis_do("SET expiring x PXAT 33000000000123");
    redis_do("SETRANGE long 300000 x");
    redis_do("RPUSH list a 1 -1 300 70000 5000000000 '' 'with space'");
    redis_do("SADD intset 1 2 3");
    redis_do("SADD set a b c");
    redis_do("ZADD zset 1.5 a inf b");
    redis_do("HSET hash f v");
    redis_do("XADD stream 1-1 f v");
    redis_do("XADD stream 1-2 f v n 5");
    redis_do("XADD stream 1-3 f w");
    redis_do("XDEL stream 1-2");
    redis_do("XGROUP CREATE stream g 0");
    redis_do("XREADGROUP GROUP g c COUNT 1 STREAMS stream '>'");
    redis_do("XGROUP CREATECONSUMER stream g idle");
    redis_do("FUNCTION LOAD \"#!lua name=mylib\n "
             "redis.register_function('f', function() return 1 end)\"");
    redis_do("-n 3 SET elsewhere 1");
}

static void expect_all_types(void)
{
    static uint8_t zeros[300001];
    char shown[100], line[200];

    zeros[300000] = 'x';
    tell_long(shown, sizeof(shown), zeros, sizeof(zeros));
    (void)snprintf(line, sizeof(line), "0 long string %s\n", shown);
    expect_told(line);
    expect_told("function =#!lua name=mylib");
    expect_told("0 plain string \"value\"\n");
    expect_told("0 number string \"12345\"\n");
    expect_told("0 negative string \"-70000\"\n");
    expect_told("0 expiring string @33000000000123 \"x\"\n");
    expect_told("0 list list \"a\" \"1\" \"-1\" \"300\" \"70000\" \"5000000000\" \"\" "
                "\"with space\"\n");
    expect_told("0 stream stream 1-1 \"f\" \"v\" 1-3 \"f\" \"w\""
                " [2 last 1-3 deleted 1-2 added 3] group g 1-1 read -1"
                " consumer c pending 1-1 times 1 consumer idle\n");
    expect_told("3 elsewhere string \"1\"\n");
    ck_assert_uint_eq(told.kinds[RDB_SET], 2);
    ck_assert_uint_eq(told.kinds[RDB_ZSET], 1);
    ck_assert_uint_eq(told.kinds[RDB_HASH], 1);
    ck_assert_uint_eq(told.kinds[RDB_STREAM], 1);
}

START_TEST(an_rdb_file_of_redis_holds_what_it_held)
{
    static const char *const options[] = {
        "", "--rdbcompression no --rdbchecksum no", "--maxmemory-policy allkeys-lfu",
        "--set-max-intset-entries 0 --zset-max-listpack-entries 0 "
        "--hash-max-listpack-entries 0"
    };

    start(options[_i]);
    fill_with_all_types();
    redis_do("SAVE");
    stop();
    read_directory();
    expect_all_types();
}
END_TEST

START_TEST(an_append_only_file_of_redis_holds_what_it_held)
{
    start(_i == 0 ? "--appendonly yes" : "--appendonly yes --aof-use-rdb-preamble no");
    fill_with_all_types();
    redis_do("BGREWRITEAOF");
    while (run("redis-cli -s %s INFO persistence | grep -q aof_rewrite_in_progress:1",
               redis.socket) == 0)
        (void)usleep(20000);
    redis_do("LPOP list");
    ck_assert_int_eq(run("printf 'MULTI\\nSET a 1\\nRPUSH list z\\nEXEC\\n' | redis-cli -s %s "
                         ">/dev/null",
                         redis.socket),
                     0);
    redis_do("-n 3 DEL elsewhere");
    redis_do("SHUTDOWN");
    (void)waitpid(redis.pid, NULL, 0);
    redis.pid = 0;
    read_directory();
    if (_i == 0) expect_all_types();
    if (_i == 1) expect_told("[RPUSH][list][a][1][-1][300]");
    expect_told("[LPOP][list]\n");
    expect_told("[MULTI]\n[SET][a][1]\n[RPUSH][list][z]\n[EXEC]\n[SELECT][3]\n[DEL][elsewhere]\n");
    ck_assert_uint_eq(redis.source.torn_bytes, 0);
}
END_TEST

/* Lists of every size of node and element, compressed inside or not. */
START_TEST(long_lists_of_redis_come_back_element_by_element)
{
    static const char *const options[] = { "", "--list-max-listpack-size 3",
                                           "--list-max-listpack-size -5 --list-compress-depth 1",
                                           "--rdbcompression no" };
    enum { ELEMENTS = 300 };
    static char expected[TOLD_BYTES_MAX];
    static uint8_t bytes[120000];
    struct random random;
    size_t used = 0;
    char name[128];
    FILE *file;

    random_init(&random, 11);
    start(options[_i]);
    (void)snprintf(name, sizeof(name), "%s/commands", redis.directory);
    file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    used += (size_t)snprintf(expected, sizeof(expected), "0 l list");
    for (int i = 0; i < ELEMENTS; i++) {
        size_t size = random_below(&random, i % 20 == 0 ? sizeof(bytes) : 3000);
        bool is_dull = random_below(&random, 2) == 0;
        char shown[100];
        if (size <= SHOWN_BYTES) size = SHOWN_BYTES + 1;
        for (size_t k = 0; k < size; k++)
            bytes[k] = is_dull ? (uint8_t)('a' + k / 100 % 7) : (uint8_t)random_below(&random, 256);
        (void)fprintf(file, "*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$%zu\r\n", size);
        ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
        (void)fprintf(file, "\r\n");
        tell_long(shown, sizeof(shown), bytes, size);
        used += (size_t)snprintf(expected + used, sizeof(expected) - used, " %s", shown);
    }
    used += (size_t)snprintf(expected + used, sizeof(expected) - used, "\n");
    ck_assert_uint_lt(used, sizeof(expected) - 1);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(run("redis-cli -s %s --pipe < %s >/dev/null", redis.socket, name), 0);
    redis_do("SAVE");
    stop();
    read_directory();
    expect_told(expected);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis files");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_loop_test(cases, an_rdb_file_of_redis_holds_what_it_held, 0, 4);
    tcase_add_loop_test(cases, an_append_only_file_of_redis_holds_what_it_held, 0, 2);
    tcase_add_loop_test(cases, long_lists_of_redis_come_back_element_by_element, 0, 4);
    return test_suite_run(suite);
}
