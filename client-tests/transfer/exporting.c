/* What SL.EXPORT writes, redis-cli --pipe makes into the same keys in a redis-server: as they were
 * at one moment, whatever goes on meanwhile, lists on disk included. */
#include "client-tests/lib/contents.h"
#include "client-tests/lib/entries.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const allowing[] = { "--enable-transfer-commands",
                                        "local",
                                        "--list-chunk-bytes",
                                        "512",
                                        "--list-memory-max",
                                        "512kb",
                                        NULL };
static struct server ours, redis;
static struct wire *wire, *theirs;
static char path[PATH_MAX + 64];

static void start_ours(const char *const *own_arguments)
{
    struct server_options options = { .own_arguments = own_arguments };

    server_start(&ours, &options);
    wire = wire_open(&ours);
}

static void stop_ours(void)
{
    wire_close(wire);
    server_stop(&ours);
}

static const char *data_file(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", ours.data_path, name);
    return path;
}

static bool is_there(const char *name)
{
    return access(data_file(name), F_OK) == 0;
}

/* Strings, small lists, and lists far above the budget, in three databases. */
static void fill(uint64_t seed, unsigned key_count)
{
    struct random random = { seed };
    size_t sent = 0;

    for (unsigned i = 0; i < key_count; i++) {
        static char bytes[40000];
        const char *items[3] = { "SET", "", bytes };
        char key[32];
        bool is_list = random_percent(&random, 50);
        size_t elements = !is_list                      ? 1
                          : random_percent(&random, 10) ? random_below(&random, 3000)
                                                        : random_below(&random, 20);

        if (i % 20 == 0) {
            wire_command(wire, "SELECT %d", (int)random_below(&random, 3) * 5);
            sent++;
        }
        (void)snprintf(key, sizeof(key), "key\r\n%u", i);
        items[0] = is_list ? "RPUSH" : "SET";
        items[1] = key;
        for (size_t k = 0; k < elements; k++, sent++) {
            size_t size = random_below(&random, random_percent(&random, 1) ? sizeof(bytes) : 80);
            size_t sizes[3] = { strlen(items[0]), strlen(key), size };
            for (size_t b = 0; b < size; b++)
                bytes[b] = (char)random_below(&random, 256);
            wire_command_argv(wire, 3, items, sizes);
        }
        if (elements == 0 || random_percent(&random, 70)) continue;
        wire_command(wire, "PEXPIREAT %s %lld", key,
                     33000000000000LL + (long long)random_below(&random, 1000000));
        sent++;
    }
    wire_command(wire, "SELECT 0");
    wire_skip(wire, sent + 1);
}

/* Feeds the file to a redis-server, whose contents must be these then. */
static void expect_file(const char *name, const struct text *contents)
{
    char command[2 * PATH_MAX];

    server_start_redis(&redis, NULL);
    (void)snprintf(command, sizeof(command), "redis-cli -p %d --pipe < %s | grep -q 'errors: 0'",
                   redis.port, data_file(name));
    ck_assert_int_eq(system(command), 0);
    theirs = wire_open(&redis);
    contents_expect(theirs, contents, "in redis-server");
    wire_close(theirs);
    server_kill(&redis);
}

static void expect_exported(const char *name)
{
    struct text reply = { 0 };

    wire_command(wire, "SL.EXPORT %s", name);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    if (reply.bytes[0] != '*') ck_abort_msg("%s", reply.bytes);
    text_finish(&reply);
}

START_TEST(all_keys_come_out_as_they_are)
{
    struct text contents = { 0 };

    start_ours(allowing);
    fill((uint64_t)_i + 1, suite_scaled(300));
    entries_fill(wire, (uint64_t)_i + 1, suite_scaled(20));
    contents_add(&contents, wire);
    ck_assert_int_gt(info_number(wire, "spill_evicted_chunks"), 0);
    expect_exported("all.resp");
    contents_expect(wire, &contents, "after the export");
    expect_file("all.resp", &contents);
    /* And in again. */
    expect_ok(wire, "FLUSHALL");
    wire_command(wire, "SL.IMPORT all.resp");
    wire_skip(wire, 1);
    contents_expect(wire, &contents, "after taking it in again");
    text_finish(&contents);
    stop_ours();
}
END_TEST

START_TEST(an_empty_server_has_an_empty_file)
{
    struct text contents = { 0 };

    start_ours(allowing);
    contents_add(&contents, wire);
    expect_exported("none.resp");
    expect_file("none.resp", &contents);
    expect_ok(wire, "SET gone x PX 1");
    (void)usleep(3000);
    expect_exported("none2.resp");
    expect_file("none2.resp", &contents);
    text_finish(&contents);
    stop_ours();
}
END_TEST

/* Everything is changed while it goes on. */
START_TEST(it_is_one_moment_whatever_goes_on)
{
    struct text contents = { 0 };
    struct wire *other;

    start_ours(allowing);
    other = wire_open(&ours);
    fill(77, suite_scaled(600));
    contents_add(&contents, wire);
    wire_command(wire, "SL.EXPORT moment.resp");
    server_wait_log(&ours, "Export to ");
    for (unsigned i = 0; i < suite_scaled(600); i += 3) {
        wire_command(other, "RPUSH key\r\n%u new", i);
        wire_command(other, "LPOP key\r\n%u 10", i + 1);
        wire_command(other, "SET key\r\n%u new", i + 2);
    }
    wire_skip(other, suite_scaled(600) / 3 * 3);
    expect_ok(other, "SWAPDB 0 5");
    expect_ok(other, "FLUSHALL");
    wire_skip(wire, 1);
    expect_integer(other, 0, "DBSIZE");
    expect_file("moment.resp", &contents);
    text_finish(&contents);
    wire_close(other);
    stop_ours();
}
END_TEST

/* Only one of them at a time pictures the keys; the other follows. */
START_TEST(checkpoints_are_made_besides)
{
    struct text contents = { 0 };
    struct wire *other;

    start_ours(allowing);
    other = wire_open(&ours);
    fill(5, suite_scaled(300));
    contents_add(&contents, wire);
    for (int i = 0; i < 10; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%d.resp", i);
        wire_command(other, "BGSAVE SCHEDULE");
        expect_exported(name);
        wire_skip(other, 1);
    }
    info_wait(other, "rdb_bgsave_in_progress", 0);
    expect_exported("last.resp");
    expect_file("last.resp", &contents);
    text_finish(&contents);
    wire_close(other);
    stop_ours();
}
END_TEST

/* Of so many keys it takes many turns. */
START_TEST(an_export_waits_for_the_picture_of_a_checkpoint)
{
    unsigned count = suite_scaled(200) * 1000;

    start_ours(allowing);
    for (unsigned i = 0; i < count; i++)
        wire_command(wire, "SET key:%u %u", i, i);
    wire_skip(wire, count);
    for (int i = 0; i < 3; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%d.resp", i);
        wire_command(wire, "BGSAVE SCHEDULE");
        wire_skip(wire, 1);
        expect_exported(name);
    }
    stop_ours();
}
END_TEST

START_TEST(it_does_not_write_over_anything)
{
    start_ours(allowing);
    expect_ok(wire, "SET a 1");
    expect_exported("a.resp");
    expect_error(wire, "ERR Export failed: there is such a file already", "SL.EXPORT a.resp");
    ck_assert(is_there("a.resp"));
    expect_error(wire, "ERR Export failed: No such file or directory", "SL.EXPORT nowhere/a.resp");
    expect_error(wire, "ERR Export failed: there is such a file", "SL.EXPORT %s", ours.data_path);
    expect_exported("b.resp"); /* the failures left nothing behind */
    ck_assert(!is_there("a.resp.tmp"));
    stop_ours();
}
END_TEST

START_TEST(it_is_for_those_who_may)
{
    start_ours(NULL);
    expect_error(wire, "ERR sl.export command not allowed.", "SL.EXPORT a.resp");
    ck_assert(!is_there("a.resp"));
    stop_ours();
    start_ours(allowing);
    expect_error(wire, "ERR that is no path", "SL.EXPORT %s", "");
    expect_ok(wire, "MULTI");
    expect_error(wire, "ERR Command not allowed inside a transaction", "SL.EXPORT a.resp");
    stop_ours();
}
END_TEST

/* 40 MB in one list. */
static void fill_long_list(void)
{
    static char element[4096];

    memset(element, 'e', sizeof(element) - 1);
    for (int i = 0; i < 10000; i++)
        wire_command(wire, "RPUSH long %s", element);
    wire_skip(wire, 10000);
}

START_TEST(a_client_that_goes_leaves_nothing_behind)
{
    struct wire *other;

    start_ours(allowing);
    other = wire_open(&ours);
    fill_long_list();
    wire_command(wire, "SL.EXPORT left.resp");
    server_wait_log(&ours, "Export to ");
    wire_close(wire);
    wire = wire_open(&ours);
    while (!server_log_has(&ours, "Export failed") && !server_log_has(&ours, "Export ended"))
        expect_text(other, "PONG", "PING");
    ck_assert(!is_there("left.resp.tmp"));
    ck_assert(is_there("left.resp") == server_log_has(&ours, "Export ended"));
    expect_exported("next.resp");
    wire_close(other);
    stop_ours();
}
END_TEST

START_TEST(a_server_that_stops_leaves_nothing_behind)
{
    start_ours(allowing);
    fill_long_list();
    wire_command(wire, "SL.EXPORT left.resp");
    server_wait_log(&ours, "Export to ");
    stop_ours();
    ck_assert(!is_there("left.resp.tmp"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporting");
    TCase *comes = suite_case(suite, "comes out"), *refused = suite_case(suite, "refused");
    TCase *ends = suite_case(suite, "ends");

    tcase_add_loop_test(comes, all_keys_come_out_as_they_are, 0, 2);
    tcase_add_test(comes, an_empty_server_has_an_empty_file);
    tcase_add_test(comes, it_is_one_moment_whatever_goes_on);
    tcase_add_test(comes, checkpoints_are_made_besides);
    tcase_add_test(comes, an_export_waits_for_the_picture_of_a_checkpoint);
    tcase_add_test(refused, it_does_not_write_over_anything);
    tcase_add_test(refused, it_is_for_those_who_may);
    tcase_add_test(ends, a_client_that_goes_leaves_nothing_behind);
    tcase_add_test(ends, a_server_that_stops_leaves_nothing_behind);
    return suite_run(suite);
}
