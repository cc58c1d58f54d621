/* Data of a real redis-server comes in as it was, by SL.IMPORT and by --import; what cannot is
 * told; nobody else waits, and what was imported stays. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/entries.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const allowing[] = { "--enable-transfer-commands", "local", "--appendonly",
                                        "yes", NULL };
static struct server ours, redis;
static struct wire *wire, *theirs;
static char path[PATH_MAX + 64];

static void start_ours(const char *const *own_arguments)
{
    struct server_options options = { .own_arguments = own_arguments };

    server_start(&ours, &options);
    wire = wire_open(&ours);
}

static void start_redis(const char *const *arguments)
{
    struct server_options options = { .redis_arguments = arguments };

    server_start_redis(&redis, &options);
    theirs = wire_open(&redis);
}

static void stop_both(void)
{
    wire_close(wire);
    wire_close(theirs);
    wire = theirs = NULL;
    server_stop(&ours);
    if (redis.pid) server_kill(&redis);
}

static const char *redis_file(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", redis.data_path, name);
    return path;
}

static void data_path(char *out, size_t size, const char *name)
{
    ck_assert_int_lt(snprintf(out, size, "%s/%s", ours.data_path, name), (int)size);
}

static void send_bytes(const char *command, const char *key, size_t size, struct random *random)
{
    static char bytes[70000];
    bool is_dull = random_below(random, 2) == 0;
    bool is_number = size == 0;
    const char *items[3] = { command, key, bytes };
    size_t sizes[3] = { strlen(command), strlen(key), size };

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(is_dull ? 'a' + i / 50 % 5 : random_below(random, 256));
    if (is_number)
        sizes[2] = (size_t)snprintf(bytes, sizeof(bytes), "%lld",
                                    (long long)random_next(random) >> random_below(random, 64));
    wire_command_argv(theirs, 3, items, sizes);
}

/* Strings and lists of all sizes, some that expire in a far future, in three databases. */
static void fill_redis(uint64_t seed, unsigned key_count)
{
    struct random random;
    size_t sent = 0;

    random.state = seed;
    for (unsigned i = 0; i < key_count; i++) {
        char key[64];
        size_t elements = random_below(&random, 10) == 0 ? 1 + random_below(&random, 400)
                                                         : 1 + random_below(&random, 10);
        bool is_list = random_below(&random, 2) == 0;

        if (i % 20 == 0) {
            wire_command(theirs, "SELECT %d", (int)random_below(&random, 3) * 7);
            sent++;
        }
        (void)snprintf(key, sizeof(key), "key %u", i);
        for (size_t k = 0; k < (is_list ? elements : 1); k++, sent++) {
            size_t size = random_below(&random, 60) == 0 ? random_below(&random, 70000)
                                                         : random_below(&random, 60);
            send_bytes(is_list ? "RPUSH" : "SET", key, size, &random);
        }
        if (random_below(&random, 4) > 0) continue;
        wire_command(theirs, "PEXPIREAT %s %lld", key,
                     33000000000000LL + (long long)random_below(&random, 1000000));
        sent++;
    }
    wire_skip(theirs, sent);
}

static void expect_same(const char *when)
{
    struct text contents = { 0 };

    contents_add(&contents, theirs);
    contents_expect(wire, &contents, when);
    text_finish(&contents);
}

/* The reply of an import that has gone well has this in it. */
static void import_tells(const char *command, const char *part)
{
    struct text reply = { 0 };

    wire_command(wire, "SL.IMPORT %s %s", redis_file(command), "REPLACE");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    if (reply.bytes[0] != '*' || !strstr(reply.bytes, part))
        ck_abort_msg("'%s' is not in: %s", part, reply.bytes);
    text_finish(&reply);
}

static void wait_for_rewrite(void)
{
    expect_text(theirs, "Background append only file rewriting started", "BGREWRITEAOF");
    info_wait(theirs, "aof_rewrite_in_progress", 0);
}

/* ---- what comes in -----------------------------------------------------------------------------
 */

static const char *const redis_options[][5] = {
    { NULL },
    { "--rdbcompression", "no", "--list-max-listpack-size", "10", NULL },
    { "--list-max-listpack-size", "-5", "--list-compress-depth", "1", NULL },
};

START_TEST(an_rdb_file_comes_in_whole)
{
    start_redis(redis_options[_i]);
    start_ours(allowing);
    fill_redis((uint64_t)_i + 1, suite_scaled(400));
    entries_fill(theirs, (uint64_t)_i + 1, suite_scaled(20));
    expect_ok(theirs, "SAVE");
    import_tells("dump.rdb", "failed commands\r\n:0\r\n");
    expect_same("after the import");
    wire_close(wire);
    server_stop(&ours);
    server_restart(&ours);
    wire = wire_open(&ours);
    expect_same("after a restart");
    stop_both();
}
END_TEST

/* While a sync runs behind it, Redis answers before it writes: not so with appendfsync always. */
static const char *const aof_options[][9] = {
    { "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes", NULL },
    { "--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no",
      "--enable-debug-command", "yes", NULL },
    { "--appendonly", "yes", "--appendfsync", "always", "--aof-timestamp-enabled", "yes",
      "--enable-debug-command", "yes", NULL },
};

START_TEST(an_append_only_file_comes_in_whole)
{
    start_redis(aof_options[_i]);
    start_ours(allowing);
    fill_redis((uint64_t)_i + 20, suite_scaled(200));
    expect_ok(theirs, "SELECT 1");
    entries_fill(theirs, (uint64_t)_i + 2, suite_scaled(20));
    wait_for_rewrite();
    fill_redis((uint64_t)_i + 30, suite_scaled(100));
    expect_ok(theirs, "SELECT 0");
    entries_fill(theirs, (uint64_t)_i + 3, suite_scaled(20));
    expect_ok(theirs, "MULTI");
    wire_command(theirs, "RPUSH moved a b c d e");
    wire_command(theirs, "LMOVE moved other LEFT RIGHT");
    wire_command(theirs, "INCRBYFLOAT float 1.5");
    wire_skip(theirs, 3);
    wire_command(theirs, "EXEC");
    wire_skip(theirs, 1);
    wire_command(theirs, "BLPOP moved 0");
    wire_skip(theirs, 1);
    wire_command(theirs, "SET short-lived x PX 1");
    wire_command(theirs, "SWAPDB 0 7");
    wire_skip(theirs, 2);
    import_tells("appendonlydir", "failed commands\r\n:0\r\n");
    (void)usleep(2000);
    /* The file does not say how many entries groups have read, so Redis does not know then either.
     */
    expect_ok(theirs, "DEBUG LOADAOF");
    expect_same("after the import");
    stop_both();
}
END_TEST

/* A list that a set has taken the place of is not there any more, and that is told. */
START_TEST(what_another_type_has_replaced_does_not_stay)
{
    start_redis(aof_options[1]);
    start_ours(allowing);
    expect_integer(theirs, 1, "RPUSH renamed old");
    expect_integer(theirs, 1, "RPUSH stored old");
    expect_integer(theirs, 1, "RPUSH copied old");
    expect_integer(theirs, 2, "SADD s 1 2");
    expect_integer(theirs, 2, "SUNIONSTORE stored s");
    expect_integer(theirs, 1, "COPY s copied REPLACE");
    expect_ok(theirs, "RENAME s renamed");
    expect_integer(theirs, 2, "RPUSH here a b");
    expect_ok(theirs, "RENAME here moved");
    expect_ok(theirs, "SET kept 1");
    expect_integer(theirs, 1, "COPY kept again");
    import_tells("appendonlydir", "keys replaced by what is not here\r\n:2\r\n");
    expect_integer(wire, 0, "EXISTS renamed stored copied");
    expect_text(wire, "1) \"a\"\n2) \"b\"", "LRANGE moved 0 -1");
    expect_string(wire, "1", "GET again");
    expect_integer(wire, 3, "DBSIZE");
    stop_both();
}
END_TEST

/* A key that expired after the file was written is not made anew by the commands behind. */
START_TEST(what_is_overdue_does_not_come_in)
{
    start_ours(allowing);
    theirs = NULL;
    {
        static const char text[] = "INCR c|PEXPIREAT c 1000|INCR c|INCR c|"
                                   "SET s 1 PXAT 1000|APPEND s x|SET e 1 EXAT 1|"
                                   "RPUSH l a|EXPIREAT l 5|RPUSH l b|"
                                   "SET stays 1 PXAT 1000|SET stays 2|"
                                   "SET lives 1 PXAT 1000|PEXPIREAT lives 33000000000000|"
                                   "SET moved 1 PXAT 1000|PERSIST moved|"
                                   "SELECT 5|SET five 1 PXAT 1000|INCR five|SELECT 0|SET last 1|"
                                   "SET a 1 PXAT 1000|RENAME a renamed|SET b 1 PXAT 1000|"
                                   "COPY b copied|COPY b far DB 6|MOVE b 7|"
                                   "SELECT 8|SET swapped 1 PXAT 1000|SWAPDB 8 9|";
        char line[200];
        FILE *file;

        data_path(line, sizeof(line), "overdue.aof");
        file = fopen(line, "w");
        ck_assert_ptr_nonnull(file);
        for (const char *at = text; *at; at = strchr(at, '|') + 1) {
            struct text command = { 0 };
            (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "|"), at);
            ck_assert(command_from_line(&command, line));
            ck_assert_uint_eq(fwrite(command.bytes, 1, command.size, file), command.size);
            text_finish(&command);
        }
        ck_assert_int_eq(fclose(file), 0);
    }
    {
        struct text reply = { 0 };
        wire_command(wire, "SL.IMPORT overdue.aof");
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (!strstr(reply.bytes, "expired keys\r\n:10\r\n") ||
            !strstr(reply.bytes, "failed commands\r\n:0\r\n"))
            ck_abort_msg("%s", reply.bytes);
        text_finish(&reply);
    }
    expect_integer(wire, 4, "DBSIZE");
    expect_string(wire, "2", "GET stays");
    expect_integer(wire, 33000000000000, "PEXPIRETIME lives");
    expect_integer(wire, -1, "PEXPIRETIME moved");
    expect_string(wire, "1", "GET last");
    for (int i = 1; i < 16; i++) {
        expect_ok(wire, "SELECT %d", i);
        expect_integer(wire, 0, "DBSIZE");
    }
    wire_close(wire);
    server_stop(&ours);
}
END_TEST

START_TEST(what_cannot_come_in_is_told_by_its_kind)
{
    static const char *const arguments[] = {
        "--appendonly", "yes", "--appendfsync", "always", "--databases", "32", NULL
    };
    struct text reply = { 0 };

    start_redis(arguments);
    start_ours(allowing);
    wire_command(theirs, "SADD set 1 2");
    wire_command(theirs, "HSET hash f v");
    wire_command(theirs, "ZADD zset 1 a");
    wire_command(theirs, "XADD stream * f v");
    wire_command(theirs, "RPUSH list a b");
    wire_command(theirs, "SELECT 20");
    wire_command(theirs, "SET elsewhere 1");
    wire_command(theirs, "SELECT 0");
    wire_skip(theirs, 8);
    wait_for_rewrite();
    wire_command(theirs, "SADD set 3");
    wire_command(theirs, "SELECT 20");
    wire_command(theirs, "SET elsewhere 2");
    wire_command(theirs, "SELECT 1");
    wire_command(theirs, "SET here 1");
    wire_skip(theirs, 5);
    wire_command(wire, "SL.IMPORT %s", redis_file("appendonlydir"));
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    for (size_t i = 0; i < 6; i++) {
        static const char *const parts[] = {
            "sets\r\n:1\r\n",
            "hashes\r\n:1\r\n",
            "sorted sets\r\n:1\r\n",
            "streams\r\n:1\r\n",
            "of other databases\r\n:2\r\n",
            "command sadd\r\n:1\r\n",
        };
        if (!strstr(reply.bytes, parts[i])) ck_abort_msg("%s not in %s", parts[i], reply.bytes);
    }
    text_finish(&reply);
    expect_integer(wire, 2, "DBSIZE");
    expect_integer(wire, 2, "LLEN list");
    expect_integer(wire, 1, "XLEN stream");
    expect_ok(wire, "SELECT 1");
    expect_string(wire, "1", "GET here");
    stop_both();
}
END_TEST

START_TEST(keys_that_are_here_stay_unless_they_are_to_be_replaced)
{
    struct text reply = { 0 };

    start_redis(NULL);
    start_ours(allowing);
    expect_ok(theirs, "MSET a theirs b theirs");
    expect_integer(theirs, 2, "RPUSH list x y");
    expect_integer(theirs, 1, "RPUSH new z");
    expect_ok(theirs, "SAVE");
    expect_ok(wire, "SET a ours");
    expect_integer(wire, 1, "RPUSH list ours");
    wire_command(wire, "SL.IMPORT %s", redis_file("dump.rdb"));
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    if (!strstr(reply.bytes, "existing keys\r\n:2\r\n")) ck_abort_msg("%s", reply.bytes);
    text_finish(&reply);
    expect_string(wire, "ours", "GET a");
    expect_string(wire, "theirs", "GET b");
    expect_text(wire, "1) \"ours\"", "LRANGE list 0 -1");
    expect_text(wire, "1) \"z\"", "LRANGE new 0 -1");
    import_tells("dump.rdb", "lists\r\n:2\r\n");
    expect_same("after replacing");
    stop_both();
}
END_TEST

START_TEST(commands_are_not_run_on_keys_that_are_here)
{
    start_redis(aof_options[0]);
    start_ours(allowing);
    expect_integer(theirs, 1, "RPUSH list x");
    expect_ok(wire, "SET a ours");
    expect_error(wire, "ERR Import failed after 0 keys and 0 commands: the commands of an append",
                 "SL.IMPORT %s", redis_file("appendonlydir"));
    expect_integer(wire, 1, "DBSIZE");
    stop_both();
}
END_TEST

/* ---- what is refused ---------------------------------------------------------------------------
 */

static void change_file(const char *name, long offset, int whence, const char *bytes)
{
    FILE *file = fopen(redis_file(name), "r+");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, offset, whence), 0);
    ck_assert_uint_eq(fwrite(bytes, 1, strlen(bytes), file), strlen(bytes));
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(of_a_damaged_file_nothing_comes_in)
{
    start_redis(NULL);
    start_ours(allowing);
    fill_redis(5, 50);
    expect_ok(theirs, "SAVE");
    change_file("dump.rdb", -9, SEEK_END, "damaged");
    expect_error(wire, "ERR Import failed after 0 keys and 0 commands: ", "SL.IMPORT %s",
                 redis_file("dump.rdb"));
    expect_integer(wire, 0, "DBSIZE");
    expect_error(wire, "ERR Import failed after 0 keys and 0 commands: ", "SL.IMPORT %s",
                 redis_file("nothing"));
    expect_integer(wire, 0, "DBSIZE");
    stop_both();
}
END_TEST

START_TEST(a_torn_end_is_left_out_and_told)
{
    start_redis(aof_options[0]);
    start_ours(allowing);
    expect_ok(theirs, "SET a 1");
    change_file("appendonlydir/appendonly.aof.1.incr.aof", 0, SEEK_END, "*2\r\n$3\r\nDE");
    import_tells("appendonlydir", "torn bytes at the end\r\n:10\r\n");
    expect_same("without the torn end");
    stop_both();
}
END_TEST

START_TEST(it_is_for_those_who_may)
{
    start_ours(NULL);
    expect_error(wire, "ERR sl.import command not allowed.", "SL.IMPORT /etc/passwd");
    expect_error(wire, "ERR wrong number of arguments", "SL.IMPORT");
    wire_close(wire);
    server_stop(&ours);
    start_ours(allowing);
    expect_error(wire, "ERR syntax error", "SL.IMPORT /etc/passwd REPLACED");
    expect_error(wire, "ERR that is no path", "SL.IMPORT %s", "");
    expect_error(wire, "ERR Import failed after 0 keys and 0 commands: /etc/passwd: at byte 0: no",
                 "SL.IMPORT /etc/passwd");
    expect_ok(wire, "MULTI");
    expect_error(wire, "ERR Command not allowed inside a transaction", "SL.IMPORT /etc/passwd");
    stop_both();
}
END_TEST

/* ---- beside others -----------------------------------------------------------------------------
 */

/* 64 MB of commands. */
static void write_large_file(void)
{
    static char value[65536];
    FILE *file = fopen(redis_file("large.aof"), "w");

    ck_assert_ptr_nonnull(file);
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 1000; i++)
        (void)fprintf(file, "*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$%zu\r\n%s\r\n", strlen(value), value);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(a_backlog_above_maxmemory_comes_in_while_others_are_served)
{
    static const char *const arguments[] = { "--enable-transfer-commands", "local", "--maxmemory",
                                             "24mb", NULL };
    struct wire *other;
    long long pings = 0;

    start_redis(NULL);
    start_ours(arguments);
    other = wire_open(&ours);
    write_large_file();
    wire_command(wire, "SL.IMPORT %s", redis_file("large.aof"));
    info_wait(other, "import_in_progress", 1);
    while (!wire_wait(wire, 0)) {
        expect_text(other, "PONG", "PING");
        pings++;
    }
    wire_skip(wire, 1);
    ck_assert_int_gt(pings, 0);
    expect_integer(wire, 1000, "LLEN l");
    info_wait(other, "import_in_progress", 0);
    wire_close(other);
    stop_both();
}
END_TEST

/* Strings cannot go to disk: what memory does not hold is refused, and the rest is not tried. */
START_TEST(what_memory_does_not_hold_ends_it)
{
    static const char *const arguments[] = { "--enable-transfer-commands", "local", "--maxmemory",
                                             "24mb", NULL };
    static char value[20000];

    start_redis(NULL);
    start_ours(arguments);
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 3000; i++)
        wire_command(theirs, "SET key:%d %s", i, value);
    wire_skip(theirs, 3000);
    expect_ok(theirs, "SAVE");
    expect_error(wire, "ERR Import failed after ", "SL.IMPORT %s", redis_file("dump.rdb"));
    ck_assert(server_log_has(&ours, "OOM command not allowed"));
    ck_assert_int_gt(ask_integer(wire, "DBSIZE"), 0);
    expect_ok(wire, "FLUSHALL"); /* the server goes on */
    stop_both();
}
END_TEST

START_TEST(one_at_a_time_and_it_ends_with_who_asked_or_with_its_client)
{
    struct wire *other;

    start_redis(NULL);
    start_ours(allowing);
    other = wire_open(&ours);
    write_large_file();
    /* Writes wait, so it is under way for as long as the test likes. */
    expect_ok(other, "CLIENT PAUSE 1000000 WRITE");
    wire_command(wire, "SL.IMPORT %s", redis_file("large.aof"));
    info_wait(other, "import_in_progress", 1);
    expect_error(other, "ERR An import is in progress already", "SL.IMPORT %s",
                 redis_file("large.aof"));
    wire_close(wire);
    info_wait(other, "import_in_progress", 0);
    expect_ok(other, "CLIENT UNPAUSE");
    expect_ok(other, "CLIENT PAUSE 1000000 WRITE");
    wire = wire_open(&ours);
    wire_command(wire, "SL.IMPORT %s REPLACE", redis_file("large.aof"));
    while (ask_integer(other, "CLIENT KILL ADDR import:0") == 0) {}
    expect_error(wire, "ERR Import failed after", "");
    info_wait(other, "import_in_progress", 0);
    wire_close(other);
    stop_both();
}
END_TEST

START_TEST(a_server_stops_in_the_middle_of_one)
{
    struct wire *other;

    start_redis(NULL);
    start_ours(allowing);
    write_large_file();
    expect_ok(wire, "CLIENT PAUSE 1000000 WRITE");
    wire_command(wire, "SL.IMPORT %s", redis_file("large.aof"));
    other = wire_open(&ours);
    info_wait(other, "import_in_progress", 1);
    wire_close(other);
    stop_both();
}
END_TEST

/* ---- at the start ------------------------------------------------------------------------------
 */

START_TEST(at_the_start_it_comes_in_before_anyone_is_served)
{
    const char *arguments[] = { "--import", NULL, "--appendonly", "yes", NULL };

    start_redis(NULL);
    fill_redis(9, suite_scaled(300));
    expect_ok(theirs, "SAVE");
    arguments[1] = redis_file("dump.rdb");
    start_ours(arguments);
    server_wait_log(&ours, "Ready to accept connections");
    ck_assert(server_log_has(&ours, "Import ended"));
    expect_same("after the start");
    /* The next start finds all of it here. */
    wire_close(wire);
    server_stop(&ours);
    server_restart(&ours);
    wire = wire_open(&ours);
    server_wait_log(&ours, "Import ended: 0 strings, 0 lists");
    expect_same("after the second start");
    stop_both();
}
END_TEST

START_TEST(a_start_tells_what_its_import_has_left_out)
{
    const char *arguments[] = { "--import", NULL, NULL };

    start_redis(NULL);
    expect_ok(theirs, "SET s 1");
    expect_integer(theirs, 2, "SADD set a b");
    expect_integer(theirs, 1, "ZADD sorted 1 a");
    expect_ok(theirs, "SAVE");
    arguments[1] = redis_file("dump.rdb");
    start_ours(arguments);
    server_wait_log(&ours, "Ready to accept connections");
    ck_assert(server_log_has(&ours, "Import left out: 1 sets"));
    ck_assert(server_log_has(&ours, "Import left out: 1 sorted sets"));
    ck_assert(!server_log_has(&ours, "hashes"));
    expect_string(wire, "1", "GET s");
    stop_both();
}
END_TEST

/* Or all of it: this looks from time to time. */
static void wait_until_some_came_in(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text reply = { 0 };
    bool some;

    do {
        text_clear(&reply);
        wire_command(wire, "INFO everything");
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        some =
            strstr(reply.bytes, "import_in_progress:0") ||
            (strstr(reply.bytes, "import_phase:sending") && !strstr(reply.bytes, "import_keys:0"));
    } while (!some && clock_probe(deadline_ms));
    ck_assert(some);
    text_finish(&reply);
}

/* A part of it would be taken for keys that are here by the next start that imports. */
START_TEST(a_server_that_is_stopped_while_it_imports_saves_nothing)
{
    static const char *const saving[] = { "--appendonly", "no", "--save", "3600 1", NULL };
    const char *importing[] = { "--appendonly", "no", "--save", "3600 1", "--import", NULL, NULL };
    long long keys;

    start_redis(NULL);
    fill_redis(11, suite_scaled(20000));
    keys = ask_integer(theirs, "DBSIZE");
    expect_ok(theirs, "SAVE");
    start_ours(saving);
    wire_close(wire);
    server_stop(&ours);
    importing[5] = redis_file("dump.rdb");
    ours.options.own_arguments = importing;
    server_restart_unready(&ours);
    wire = wire_open(&ours);
    wait_until_some_came_in();
    wire_close(wire);
    server_stop(&ours);
    ours.options.own_arguments = saving;
    server_restart(&ours);
    wire = wire_open(&ours);
    if (!server_log_has(&ours, "Import ended")) keys = 0;
    expect_integer(wire, keys, "DBSIZE");
    stop_both();
}
END_TEST

START_TEST(a_start_fails_with_its_import)
{
    const char *const arguments[] = { "--import", "/nowhere/to/be/found", NULL };
    struct server_options options = { .own_arguments = arguments };

    server_start_refused(&ours, &options);
    ck_assert(server_log_has(&ours, "/nowhere/to/be/found: No such file"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("importing");
    TCase *comes = suite_case(suite, "comes in"), *refused = suite_case(suite, "refused");
    TCase *beside = suite_case(suite, "beside others"), *start = suite_case(suite, "at the start");

    tcase_add_loop_test(comes, an_rdb_file_comes_in_whole, 0, 3);
    tcase_add_loop_test(comes, an_append_only_file_comes_in_whole, 0, 3);
    tcase_add_test(comes, what_is_overdue_does_not_come_in);
    tcase_add_test(comes, what_another_type_has_replaced_does_not_stay);
    tcase_add_test(comes, what_cannot_come_in_is_told_by_its_kind);
    tcase_add_test(comes, keys_that_are_here_stay_unless_they_are_to_be_replaced);
    tcase_add_test(comes, commands_are_not_run_on_keys_that_are_here);
    tcase_add_test(refused, of_a_damaged_file_nothing_comes_in);
    tcase_add_test(refused, a_torn_end_is_left_out_and_told);
    tcase_add_test(refused, it_is_for_those_who_may);
    tcase_add_test(beside, a_backlog_above_maxmemory_comes_in_while_others_are_served);
    tcase_add_test(beside, what_memory_does_not_hold_ends_it);
    tcase_add_test(beside, one_at_a_time_and_it_ends_with_who_asked_or_with_its_client);
    tcase_add_test(beside, a_server_stops_in_the_middle_of_one);
    tcase_add_test(start, at_the_start_it_comes_in_before_anyone_is_served);
    tcase_add_test(start, a_start_tells_what_its_import_has_left_out);
    tcase_add_test(start, a_server_that_is_stopped_while_it_imports_saves_nothing);
    tcase_add_test(start, a_start_fails_with_its_import);
    return suite_run(suite);
}
