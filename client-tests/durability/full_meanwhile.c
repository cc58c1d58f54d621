/* Whatever is asked for while the disk is full gets an answer that names the cause and changes
 * nothing, or is done; nothing is lost by it, and when there is room again it is done without a
 * restart. A server starts on a full disk, and ends on one. */
#include "client-tests/durability/full_disk.h"

#include "client-tests/lib/contents.h"
#include <stdlib.h>
#include <sys/wait.h>

enum {
    STRING_BYTES = 100000,
    OWN_DISK_BYTES = 20 << 20, /* that this server may fill where another program has the rest */
    LARGER_BYTES = 256 << 20,
    MORE_THAN_HALF = SMALL_DISK_BYTES / 2 / ELEMENT_BYTES + 1, /* of the disk; elements */
};

static struct text reply;

/* The answer to what was sent. */
static const char *answer(void)
{
    text_clear(&reply);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    return text_string(&reply);
}

static void expect_no_room(const char *beginning)
{
    const char *text = answer();

    ck_assert_msg(strncmp(text, beginning, strlen(beginning)) == 0 && strstr(text, refusal),
                  "%s, not %s", text, beginning);
}

/* What was refused leaves the server as it was: data is there, and adding is refused, now or when
 * the last bytes of a chunk are used up. */
static void expect_full(unsigned *end)
{
    expect_contents(0, *end);
    *end = fill(*end);
}

static bool is_there(const char *name)
{
    char path[2 * sizeof(mount_point)];

    (void)snprintf(path, sizeof(path), "%s/%s", mount_point, name);
    return access(path, F_OK) == 0;
}

static void enlarge_disk(void)
{
    ck_assert_int_eq(mount("tmpfs", mount_point, "tmpfs", MS_REMOUNT, size_option(LARGER_BYTES)),
                     0);
}

/* As fill; what another program has is more than adding waits for when that gives it back. */
static unsigned fill_what_others_leave(void)
{
    take_room_but(OWN_DISK_BYTES);
    return fill(0);
}

/* As fill; then there is no room for as much again, although a checkpoint, that of a backup itself
 * included, gives back the log at any moment: after one fill that may be half of the disk. */
static unsigned fill_more_than_half(void)
{
    unsigned end = fill(0);

    while (end < MORE_THAN_HALF) {
        wait_for_room(end++);
        end = fill(end);
    }
    return end;
}

/* What the server did before it was killed is what it does then. */
static void restart_and_expect(unsigned end)
{
    restart();
    expect_contents(0, end);
    finish();
}

/* ---- saving ------------------------------------------------------------------------------------
 */

static void send_string(unsigned number)
{
    static char bytes[STRING_BYTES];

    memset(bytes, 'a' + (int)(number % 26), sizeof(bytes));
    wire_command(wire, "SET string:%u %b", number, bytes, sizeof(bytes));
}

static void expect_strings(unsigned first, unsigned end)
{
    expect_integer(wire, end - first, "DBSIZE");
    for (unsigned i = first; i < end; i++)
        expect_integer(wire, STRING_BYTES, "STRLEN string:%u", i);
}

/* Strings are in the log and in each checkpoint: one does not fit beside the other. */
static unsigned fill_with_strings(void)
{
    unsigned count = 0;

    take_room_but(OWN_DISK_BYTES);
    do
        send_string(count);
    while (answer()[0] == '+' && ++count < PUSHES_MAX);
    ck_assert_msg(strstr(text_string(&reply), "MISCONF Errors writing to the AOF file: No space"),
                  "%s", text_string(&reply));
    return count;
}

/* There is room: it is taken as soon as the log's reserve is whole. */
static void set_again(unsigned number)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    for (send_string(number); answer()[0] != '+'; send_string(number))
        ck_assert_msg(clock_probe(deadline_ms), "%s", text_string(&reply));
}

START_TEST(a_checkpoint_that_finds_no_room_is_told)
{
    unsigned count;
    int64_t failures;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    count = fill_with_strings();
    wire_command(wire, "SAVE");
    expect_no_room("-ERR The checkpoint failed while ");
    failures = info_number(wire, "aof_rewrites_consecutive_failures");
    wire_command(wire, "BGREWRITEAOF"); /* or one is under way */
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    info_wait_least(wire, "aof_rewrites_consecutive_failures", failures + 1);
    wire_command(wire, "DEBUG RELOAD");
    expect_no_room("-ERR Error trying to load the checkpoint");
    expect_strings(0, count);
    expect_integer(wire, 1, "DEL string:0");
    restart();
    expect_strings(1, count);
    expect_integer(wire, 1, "DEL string:1");
    give_room();
    set_again(count);
    expect_ok(wire, "SAVE");
    restart();
    expect_strings(2, count + 1);
    finish();
}
END_TEST

/* Room comes from what removes alone, however long no checkpoint was possible. */
START_TEST(strings_that_fill_the_disk_can_be_removed)
{
    unsigned count;

    if (!start_on_a_small_disk()) return;
    count = fill_with_strings();
    info_wait_least(wire, "aof_rewrites_consecutive_failures", 2);
    for (unsigned i = 0; i < count; i++)
        expect_integer(wire, 1, "DEL string:%u", i);
    wait_for_room(0);
    save();
    restart_and_expect(1);
}
END_TEST

/* ---- copies ------------------------------------------------------------------------------------
 */

static int check_directory(const char *option, const char *name)
{
    char command[4 * sizeof(mount_point)];
    int status;

    (void)snprintf(command, sizeof(command), "%s/sluice-check %s %s/%s", suite_build_directory(),
                   option, mount_point, name);
    status = system(command);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_backup_to_the_same_disk_finds_no_room)
{
    unsigned end;

    if (!start_on_a_small_disk()) return;
    end = fill_more_than_half();
    wire_command(wire, "SL.BACKUP below");
    expect_no_room("-ERR Backup failed while ");
    ck_assert(!is_there("below"));
    expect_full(&end);
    enlarge_disk();
    wait_for_room(end++);
    expect_ok(wire, "SL.BACKUP below");
    ck_assert_int_eq(check_directory("", "below"), 0);
    restart_and_expect(end);
}
END_TEST

START_TEST(an_export_to_the_same_disk_finds_no_room)
{
    unsigned end;

    if (!start_on_a_small_disk()) return;
    end = fill_more_than_half();
    wire_command(wire, "SL.EXPORT all.resp");
    expect_no_room("-ERR Export failed: ");
    ck_assert(!is_there("all.resp") && !is_there("all.resp.tmp"));
    expect_full(&end);
    enlarge_disk();
    wait_for_room(end++);
    wire_command(wire, "SL.EXPORT all.resp");
    ck_assert_int_eq(answer()[0], '*');
    restart_and_expect(end);
}
END_TEST

/* A log of Redis with numbers [0, MORE_THAN_HALF) behind each other. */
static const char *write_commands(void)
{
    static char path[600];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/commands.aof", suite_directory());
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (unsigned i = 0; i < MORE_THAN_HALF; i++)
        (void)fprintf(file, "*3\r\n$5\r\nRPUSH\r\n$8\r\nimported\r\n$%d\r\n%s\r\n", ELEMENT_BYTES,
                      element_of(i));
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* What it has taken by then is a part of it, in order. */
START_TEST(an_import_ends_where_the_disk_is_full)
{
    const char *path;
    long long count;
    unsigned end;

    if (!start_on_a_small_disk()) return;
    path = write_commands();
    end = fill_more_than_half();
    wire_command(wire, "SL.IMPORT %s REPLACE", path);
    expect_no_room("-ERR Import failed after 0 keys and ");
    count = ask_integer(wire, "LLEN imported");
    if (count > 0) expect_string(wire, element_of((unsigned)count - 1), "LINDEX imported -1");
    expect_integer(wire, count > 0, "DEL imported");
    expect_full(&end);
    enlarge_disk();
    wait_for_room(end++);
    wire_command(wire, "SL.IMPORT %s REPLACE", path);
    ck_assert_int_eq(answer()[0], '*');
    expect_integer(wire, MORE_THAN_HALF, "LLEN imported");
    restart_and_expect(end);
}
END_TEST

/* ---- beginning again ---------------------------------------------------------------------------
 */

START_TEST(what_is_loaded_again_is_what_there_was)
{
    unsigned end;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    end = fill_what_others_leave();
    take_room_but(0);
    expect_ok(wire, "DEBUG LOADAOF");
    expect_full(&end);
    wire_command(wire, "DEBUG RELOAD");
    if (answer()[0] == '-')
        ck_assert_msg(strstr(text_string(&reply), refusal), "%s", text_string(&reply));
    expect_full(&end);
    pop(0, 100);
    give_room();
    wait_for_room(end++);
    expect_contents(100, end);
    expect_ok(wire, "DEBUG RELOAD");
    expect_contents(100, end);
    finish();
}
END_TEST

static void kill_it(void)
{
    server_kill(&server);
    wire_close(wire);
}

/* By itself; its exit code is 0. */
static void wait_for_end(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    int status = 0;

    wire_wait_end(wire);
    wire_close(wire);
    while (waitpid(server.pid, &status, WNOHANG) == 0)
        if (!clock_probe(deadline_ms)) ck_abort_msg("the server does not end");
    server.pid = 0;
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void start_again(void)
{
    server_restart(&server);
    wire = wire_open(&server);
}

static void lose_reserve(void)
{
    char path[2 * sizeof(mount_point)];

    (void)snprintf(path, sizeof(path), "%s/log.reserve", mount_point);
    ck_assert_int_eq(truncate(path, 0), 0);
}

START_TEST(a_server_starts_where_others_took_all_that_was_left)
{
    unsigned end;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    end = fill_what_others_leave();
    kill_it();
    take_room_but(0);
    start_again();
    expect_full(&end);
    pop(0, end / 2);
    give_room();
    wait_for_room(end++);
    expect_contents((end - 1) / 2, end);
    restart();
    expect_contents((end - 1) / 2, end);
    finish();
}
END_TEST

/* Nothing can be logged, so nothing is taken out; but what there is can be read. */
START_TEST(a_server_without_any_room_starts_and_is_read)
{
    unsigned end;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    end = fill_what_others_leave();
    kill_it();
    lose_reserve();
    take_room_but(0);
    start_again();
    expect_full(&end);
    for (unsigned i = 0; i < 10; i++) {
        take_room_but(0);
        expect_string(wire, element_of(i), "LINDEX k %u", i);
    }
    give_room();
    wait_for_room(end++);
    pop(0, end / 2);
    expect_contents(end / 2, end);
    restart();
    expect_contents(end / 2, end);
    finish();
}
END_TEST

/* ---- ending ------------------------------------------------------------------------------------
 */

START_TEST(a_server_ends_in_order)
{
    unsigned end;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    end = fill_what_others_leave();
    take_room_but(0);
    pop(0, 100);
    wire_close(wire);
    server_stop(&server); /* exit code 0 */
    start_again();
    expect_contents(100, end);
    wire_command(wire, "SHUTDOWN");
    wait_for_end();
    start_again();
    expect_contents(100, end);
    give_room();
    wait_for_room(end++);
    expect_contents(100, end);
    finish();
}
END_TEST

START_TEST(what_cannot_be_saved_at_the_end_keeps_the_server)
{
    unsigned count;

    if (!start_on_a_small_disk()) return;
    count = fill_with_strings();
    expect_error(wire, "ERR Errors trying to SHUTDOWN. Check logs.", "SHUTDOWN SAVE");
    expect_strings(0, count);
    wire_command(wire, "SHUTDOWN NOSAVE");
    wait_for_end();
    start_again();
    expect_strings(0, count);
    finish();
}
END_TEST

/* ---- mending -----------------------------------------------------------------------------------
 */

/* Behind the last frame of the log, a part of one. That is not always in the last file: the next
 * one may have been made ahead. */
static void tear_log(void)
{
    char command[8 * sizeof(mount_point)];

    (void)snprintf(command, sizeof(command),
                   "cd %s/log && set -- $(%s/sluice-check %s | sed -n 's/.*up to \\([0-9]*.log\\) "
                   "offset \\([0-9]*\\);.*/\\1 \\2/p') && printf garbage | "
                   "dd of=$1 bs=1 seek=$2 conv=notrunc status=none",
                   mount_point, suite_build_directory(), mount_point);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(a_torn_log_is_cut)
{
    unsigned end;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    end = fill_what_others_leave();
    kill_it();
    tear_log();
    take_room_but(0);
    ck_assert_int_eq(check_directory("", ""), 1);
    ck_assert_int_eq(check_directory("--repair", ""), 0);
    ck_assert_int_eq(check_directory("", ""), 0);
    tear_log();
    start_again(); /* does the same */
    expect_full(&end);
    give_room();
    wait_for_room(end++);
    restart_and_expect(end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full disk meanwhile");
    TCase *cases = suite_case(suite, "asked for");
    TCase *starts = suite_case(suite, "starts");

    tcase_add_loop_test(cases, a_checkpoint_that_finds_no_room_is_told, 0, MODES);
    tcase_add_test(cases, strings_that_fill_the_disk_can_be_removed);
    tcase_add_test(cases, a_backup_to_the_same_disk_finds_no_room);
    tcase_add_test(cases, an_export_to_the_same_disk_finds_no_room);
    tcase_add_test(cases, an_import_ends_where_the_disk_is_full);
    tcase_add_loop_test(cases, what_is_loaded_again_is_what_there_was, 0, MODES);
    tcase_add_loop_test(starts, a_server_starts_where_others_took_all_that_was_left, 0, MODES);
    tcase_add_loop_test(starts, a_server_without_any_room_starts_and_is_read, 0, MODES);
    tcase_add_loop_test(starts, a_server_ends_in_order, 0, MODES);
    tcase_add_test(starts, what_cannot_be_saved_at_the_end_keeps_the_server);
    tcase_add_loop_test(starts, a_torn_log_is_cut, 0, MODES);
    return suite_run(suite);
}
