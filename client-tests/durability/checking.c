/* sluice-check tells of a data directory what is whole, what is not, and where; it changes nothing
 * but a torn tail, when it is told to. */
#include "client-tests/durability/checking.h"
#include "client-tests/lib/contents.h"
#include <stdint.h>

static void start(const char *appendfsync)
{
    static const char *own[] = { "--appendonly",
                                 "yes",
                                 "--list-memory-max",
                                 "256kb",
                                 "--list-chunk-bytes",
                                 "512",
                                 "--appendfsync",
                                 NULL,
                                 NULL }; /* the server starts with it again */
    struct server_options options = { .own_arguments = own };

    own[7] = appendfsync;
    server_start(&server, &options);
    wire = wire_open(&server);
}

/* Where the log ends, as a check tells it. */
static long log_end(void)
{
    const char *at;

    ck_assert_int_eq(check(""), 0);
    at = strstr(text_string(&output), "up to 0000000001.log offset ");
    ck_assert_ptr_nonnull(at);
    return strtol(strstr(at, "offset ") + 7, NULL, 10);
}

static void fill_list(void)
{
    for (int i = 0; i < 3000; i++)
        wire_command(wire, "RPUSH list element-number-%d-of-the-list", i);
    wire_skip(wire, 3000);
}

START_TEST(what_a_killed_server_leaves_is_whole)
{
    start("everysec");
    expect_ok(wire, "SET before 1");
    fill_list();
    for (int i = 1; i <= 5; i++)
        wire_command(wire, "XADD stream 1-%d field value", i);
    wire_skip(wire, 5);
    expect_integer(wire, 1, "XDEL stream 1-3");
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET after 1");
    expect_ok(wire, "XGROUP CREATE stream group 0");
    wire_command(wire, "XREADGROUP GROUP group one COUNT 1 BLOCK 10 STREAMS stream >");
    wire_skip(wire, 1);
    kill_it();
    expect_check("", 0, "checkpoint-1 is whole: 1 strings, 1 lists, 1 streams\n");
    expect_check("", 0, "with 3010 commands are whole, up to 0000000001.log offset ");
    expect_check("", 0, "; 3 with 3 are done again behind the checkpoint\n");
    expect_check("", 0,
                 "note   not checked: whether the commands of the log do today what they did");
    expect_check("", 0, "lists: 1 lists with 3000 elements, ");
    expect_check("", 0,
                 "streams: 1 streams with 4 entries, 0 groups, 0 pending entries, are whole");
}
END_TEST

/* Work on two lists that never ends where it began, and a checkpoint now and then. */
static void work(unsigned round)
{
    static unsigned number;

    for (unsigned i = 0; i < 1000; i++) {
        wire_command(wire, "RPUSH list:%u element-number-%u-of-the-list", i % 2, number++);
        if (i % 3 == 0) wire_command(wire, "LPOP list:%u", (i + round) % 2);
        if (i % 500 == 499) wire_command(wire, "BGSAVE SCHEDULE");
    }
}

/* Behind the end may lie what was not appended to its end. */
static void expect_no_damage(void)
{
    int code = check("");

    if (code == 1 && strstr(text_string(&output), ": 0 whole frames with 0 commands are in it"))
        code = check("--repair");
    if (code != 0 || strstr(text_string(&output), "room that is lost"))
        ck_abort_msg("%d: %s", code, text_string(&output));
}

START_TEST(nothing_is_wrong_wherever_a_server_was_killed)
{
    static const char *const modes[] = { "always", "everysec", "no" };

    start(modes[_i]);
    for (unsigned round = 0; round < suite_scaled(4); round++) {
        work(round);
        wire_skip(wire, 700 + 80 * (round % 8)); /* amid it */
        kill_it();
        expect_no_damage();
        server_restart(&server);
        wire = wire_open(&server);
    }
    expect_integer(wire, 1, "DEL list:0");
    expect_ok(wire, "SAVE");
    kill_it();
    expect_no_damage();
}
END_TEST

START_TEST(it_is_for_directories_of_servers_that_do_not_run)
{
    start("everysec");
    expect_check("", 2, "a server works in ");
    expect_check("--repair", 2, "a server works in ");
    kill_it();
    expect_check("--unknown", 2, "Usage: ");
    expect_check("--help", 0, "Usage: ");
    expect_check("/tmp", 2, "Usage: "); /* two directories */
    (void)snprintf(server.data_path, sizeof(server.data_path), "%s", suite_build_directory());
    expect_check("", 2, "is this a data directory?");
}
END_TEST

START_TEST(a_torn_tail_is_told_and_cut)
{
    static const char garbage[1000] = "garbage";
    struct text contents = { 0 };

    start("everysec");
    expect_ok(wire, "SET a 1");
    expect_integer(wire, 2, "RPUSH l x y");
    contents_add(&contents, wire);
    kill_it();
    write_at("log/0000000001.log", log_end(), garbage, sizeof(garbage));
    expect_check("", 1, "lies a torn tail of 7 bytes, never known to be on the device: 0 whole");
    expect_check("", 1, "--repair cuts it"); /* nothing was changed */
    expect_check("--repair", 0, "REPAIR log: 7 bytes and 0 segments were cut off");
    expect_check("", 0, "log: 2 frames with 2 commands are whole");
    server_restart(&server);
    wire = wire_open(&server);
    contents_expect(wire, &contents, "after the cut");
    text_finish(&contents);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* Never synced, so damage in the middle makes all behind it a tail: it is told command by command.
 */
START_TEST(what_goes_with_a_tail_is_told)
{
    start("no");
    expect_ok(wire, "SET first value-of-the-first");
    expect_ok(wire, "SET second value-of-the-second");
    expect_ok(wire, "SELECT 3");
    expect_ok(wire, "SET third\n value-of-the-third");
    kill_it();
    damage_text("log/0000000001.log", "value-of-the-second");
    expect_check("", 1, "1 whole frames with 1 commands are in it");
    ck_assert_ptr_nonnull(strstr(text_string(&output), "log: 1 frames with 1 commands are whole"));
    ck_assert_ptr_nonnull(
        strstr(text_string(&output), "Z database 3: SET third\\x0a (3 arguments), at "));
    expect_check("--repair", 0, "were cut off");
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, 1, "DBSIZE");
    expect_string(wire, "value-of-the-first", "GET first");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

static unsigned lines_with(const char *words)
{
    unsigned count = 0;

    for (const char *at = text_string(&output); (at = strstr(at, words)); at++)
        count++;
    return count;
}

/* However many there are. */
START_TEST(each_command_that_is_lost_is_told)
{
    start("no");
    expect_ok(wire, "SET first value-of-the-first");
    for (int i = 0; i < 150; i++)
        expect_ok(wire, "SET lost:%d value", i);
    kill_it();
    damage_text("log/0000000001.log", "value-of-the-first");
    expect_check("", 1, ": 150 whole frames with 150 commands are in it");
    ck_assert_uint_eq(lines_with("\nlost   "), 150);
    ck_assert_ptr_nonnull(strstr(text_string(&output), "/log/0000000001.log offset "));
    expect_check("--repair", 0, "REPAIR log: behind ");
    ck_assert_uint_eq(lines_with("database 0: SET lost:"), 150);
    expect_check("", 0, "log: 0 frames with 0 commands are whole");
}
END_TEST

START_TEST(damage_of_what_was_synced_is_no_tail)
{
    start("always");
    expect_ok(wire, "SET first value-of-the-first");
    expect_ok(wire, "SET second value-of-the-second");
    expect_ok(wire, "SET third value-of-the-third");
    kill_it();
    damage_text("log/0000000001.log", "value-of-the-first");
    expect_check("", 1, "damaged at 0000000001.log offset ");
    ck_assert_ptr_nonnull(strstr(text_string(&output), "2 whole frames, 2 commands."));
    expect_check("--repair", 1, "This is no torn tail");
    expect_check("", 1, "damaged at 0000000001.log offset "); /* and was not cut */
}
END_TEST

static void expect_survivors(const char *lines)
{
    server_restart(&server);
    wire = wire_open(&server);
    expect_text(wire, lines, "MGET first second third");
    expect_ok(wire, "SET fourth value");
    kill_it();
    server_restart(&server);
    wire = wire_open(&server);
    expect_text(wire, lines, "MGET first second third");
    expect_string(wire, "value", "GET fourth");
    wire_close(wire);
    server_stop(&server);
}

START_TEST(a_log_is_cut_at_damage_by_who_is_told_to)
{
    start("always");
    expect_ok(wire, "SET first value-of-the-first");
    expect_ok(wire, "SET second value-of-the-second");
    expect_ok(wire, "SET third value-of-the-third");
    kill_it();
    damage_text("log/0000000001.log", "value-of-the-second");
    expect_check("--cut-damage", 0, "1 whole frames, 1 commands. They are given up");
    ck_assert_ptr_nonnull(strstr(text_string(&output), " database 0: SET third"));
    ck_assert_ptr_nonnull(strstr(text_string(&output), "REPAIR log: it ends at "));
    expect_check("", 0, "log: 1 frames with 1 commands are whole");
    expect_survivors("1) \"value-of-the-first\"\n2) (nil)\n3) (nil)");
}
END_TEST

START_TEST(damage_before_the_checkpoint_goes_on_loses_nothing)
{
    start("always");
    expect_ok(wire, "SET first value-of-the-first");
    expect_ok(wire, "SET second value-of-the-second");
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET third value-of-the-third");
    kill_it();
    damage_text("log/0000000001.log", "value-of-the-first");
    expect_check("", 1, "damaged at 0000000001.log offset ");
    expect_check("--repair", 0, "are passed over: nothing that counts was in them");
    expect_check("", 0, "1 with 1 are done again behind the checkpoint");
    expect_survivors(
        "1) \"value-of-the-first\"\n2) \"value-of-the-second\"\n3) \"value-of-the-third\"");
}
END_TEST

START_TEST(damage_of_a_checkpoint_is_found)
{
    start("everysec");
    expect_ok(wire, "SET a some-value-of-a-string");
    expect_ok(wire, "SAVE");
    kill_it();
    damage_text("checkpoint-1", "some-value-of-a-string");
    expect_check("", 1, "DAMAGE checkpoint: ");
    ck_assert_ptr_nonnull(strstr(text_string(&output), "checkpoint-1"));
}
END_TEST

START_TEST(damage_of_a_list_on_disk_is_found_by_its_key)
{
    start("everysec");
    fill_list();
    expect_ok(wire, "SELECT 4");
    expect_integer(wire, 2, "RPUSH good a b");
    expect_ok(wire, "SAVE");
    kill_it();
    damage_text("spill/spill-00000001.dat", "element-number-1000-of");
    expect_check("", 1, "DAMAGE list \"list\" of database 0: ");
    ck_assert_ptr_null(strstr(text_string(&output), "\"good\""));
    ck_assert_ptr_nonnull(strstr(text_string(&output), "/spill/spill-00000001.dat offset "));
    ck_assert_ptr_nonnull(strstr(text_string(&output), " of its 3000 elements are lost\n"));
}
END_TEST

/* Each byte of the file up to size, or as many as there is time for, changed and put back. Zeros
 * that fill a frame up to eight bytes mean nothing: at most so many are passed over. */
static void each_byte_counts(const char *name, long size, unsigned zeros_max)
{
    unsigned zeros = 0;
    struct text bytes = { 0 };
    long step = size / (long)suite_scaled(400) + 1;
    char path[PATH_MAX];

    data_file(path, name);
    ck_assert_int_eq(text_add_file(&bytes, path), 0);
    if (size > (long)bytes.size) size = (long)bytes.size;
    for (long at = 0; at < size; at += step) {
        uint8_t was = (uint8_t)bytes.bytes[at], changed = was ^ (uint8_t)(1u << at % 8);
        write_at(name, at, &changed, 1);
        int code = check("");
        if (code == 0 && was == 0 && zeros++ < zeros_max) code = -1;
        if (code == 0 || (code > 0 && !strstr(text_string(&output), "DAMAGE") &&
                          !strstr(text_string(&output), "version")))
            ck_abort_msg("byte %ld of %s: %s", at, name, text_string(&output));
        write_at(name, at, &was, 1);
    }
    ck_assert_int_eq(check(""), 0);
    text_finish(&bytes);
}

START_TEST(each_byte_of_log_and_checkpoint_counts)
{
    start("always");
    expect_ok(wire, "SET a some-value PX 1000000000");
    expect_integer(wire, 3, "RPUSH list a b c");
    expect_ok(wire, "SAVE");
    expect_ok(wire, "MSET b 1 c 2");
    kill_it();
    each_byte_counts("log/0000000001.log", log_end(), 3 * 7);
    each_byte_counts("checkpoint-1", LONG_MAX, 0);
}
END_TEST

/* ---- what no checksum says --------------------------------------------------------------------
 */

/* In the data directory. */
static void shell(const char *words)
{
    char command[2 * PATH_MAX];

    ck_assert_int_lt(snprintf(command, sizeof(command), "cd %s && %s", server.data_path, words),
                     (int)sizeof(command));
    ck_assert_int_eq(system(command), 0);
}

START_TEST(a_log_that_is_gone_is_missed)
{
    start("everysec");
    expect_ok(wire, "SET a 1");
    expect_ok(wire, "SAVE");
    kill_it();
    expect_check("", 0, "ok     log: ");
    shell("rm -r log");
    expect_check("", 1, "/log, which is not there: restore a backup");
}
END_TEST

START_TEST(a_log_without_its_checkpoint_is_told)
{
    start("everysec");
    expect_ok(wire, "SET a 1");
    expect_ok(wire, "SAVE");
    kill_it();
    shell("mv log log-7");
    expect_check("", 1, "log: the checkpoint that it goes on from is missing in ");
}
END_TEST

/* Every frame of it is whole, but it is not the one that the checkpoint was made of. */
START_TEST(the_log_of_another_life_is_none_of_the_checkpoint)
{
    static char value[64 * 1024];

    memset(value, 'v', sizeof(value) - 1);
    start("always");
    expect_ok(wire, "MSET a some-value b another c the-third");
    expect_ok(wire, "SAVE");
    kill_it();
    shell("mkdir aside && mv checkpoint-1 aside && rm -r log");
    server_restart(&server);
    wire = wire_open(&server);
    expect_ok(wire, "SET large %s", value);
    kill_it();
    expect_check("", 0, "log: 1 frames with 1 commands are whole");
    shell("mv aside/checkpoint-1 .");
    expect_check("", 1, "DAMAGE log: the checkpoint goes on at ");
    ck_assert_ptr_nonnull(strstr(text_string(&output), ", where no frame begins\n"));
}
END_TEST

START_TEST(what_was_not_checked_is_said)
{
    start("everysec");
    fill_list();
    expect_ok(wire, "SAVE");
    kill_it();
    shell("touch checkpoint-0 notes && mkdir log-99");
    expect_check("", 0, "/checkpoint-0, a checkpoint that does not count: ");
    expect_check("", 0, "/log-99, a log that does not count: ");
    expect_check("", 0, "/notes, none of the files that this program knows\n");
    ck_assert_ptr_null(strstr(text_string(&output), "/spill, "));
    write_at("checkpoint-1", 3, "#", 1);
    expect_check("", 1,
                 "note   not checked: the log, as the checkpoint should say which one counts");
    expect_check("", 1, "note   not checked: lists on disk, as no whole checkpoint leads to them");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checking");
    TCase *tcase = suite_case(suite, "sluice-check");

    tcase_add_test(tcase, what_a_killed_server_leaves_is_whole);
    tcase_add_loop_test(tcase, nothing_is_wrong_wherever_a_server_was_killed, 0, 3);
    tcase_add_test(tcase, it_is_for_directories_of_servers_that_do_not_run);
    tcase_add_test(tcase, a_torn_tail_is_told_and_cut);
    tcase_add_test(tcase, what_goes_with_a_tail_is_told);
    tcase_add_test(tcase, each_command_that_is_lost_is_told);
    tcase_add_test(tcase, damage_of_what_was_synced_is_no_tail);
    tcase_add_test(tcase, a_log_is_cut_at_damage_by_who_is_told_to);
    tcase_add_test(tcase, damage_before_the_checkpoint_goes_on_loses_nothing);
    tcase_add_test(tcase, damage_of_a_checkpoint_is_found);
    tcase_add_test(tcase, each_byte_of_log_and_checkpoint_counts);
    tcase_add_test(tcase, damage_of_a_list_on_disk_is_found_by_its_key);
    tcase_add_test(tcase, a_log_that_is_gone_is_missed);
    tcase_add_test(tcase, a_log_without_its_checkpoint_is_told);
    tcase_add_test(tcase, the_log_of_another_life_is_none_of_the_checkpoint);
    tcase_add_test(tcase, what_was_not_checked_is_said);
    return suite_run(suite);
}
