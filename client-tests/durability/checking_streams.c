/* A stream's journal is damaged where a start looks: the server refuses, naming it, and
 * sluice-check mends what can be mended, and says what cannot. */
#include "client-tests/durability/checking.h"

enum { ENTRIES = 1000 };

static const char *with_log[] = { "--appendonly", "yes", NULL };

/* A stream in a journal, of which a checkpoint has all but the last three entries. */
static void make_stream(void)
{
    struct server_options options = { .own_arguments = with_log };

    server_start(&server, &options);
    wire = wire_open(&server);
    for (int i = 1; i <= ENTRIES; i++)
        wire_command(wire, "XADD stream %d-1 field entry-number-%d-of-the-stream", i, i);
    wire_skip(wire, ENTRIES);
    expect_ok(wire, "XGROUP CREATE stream group 0");
    expect_ok(wire, "SAVE");
    for (int i = 1; i <= 3; i++)
        wire_command(wire, "XADD stream %d-1 field entry-behind", ENTRIES + i);
    wire_skip(wire, 3);
    kill_it();
}

static void remove_file(const char *name)
{
    char path[PATH_MAX];

    data_file(path, name);
    ck_assert_int_eq(unlink(path), 0);
}

static void expect_refused(const char *words)
{
    struct server other = { 0 };

    server_start_refused(&other, &(struct server_options){ .own_arguments = with_log,
                                                           .data_directory = server.data_path });
    ck_assert(server_log_has(&other, words));
}

/* All that was saved, and it goes on. */
static void expect_whole_again(void)
{
    expect_check("", 0,
                 "streams: 1 streams with 1000 entries, 1 groups, 0 pending entries, are whole");
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, ENTRIES + 3, "XLEN stream");
    expect_string(wire, "2000-1", "XADD stream 2000-1 field value");
    expect_ok(wire, "SAVE");
    wire_close(wire);
    server_stop(&server);
}

START_TEST(a_meta_is_made_anew)
{
    make_stream();
    if (_i == 0)
        write_at("stream-1/meta", 100, "x", 1);
    else
        remove_file("stream-1/meta");
    expect_refused(_i == 0 ? "meta is damaged" : "meta is missing");
    expect_check("", 1,
                 _i == 0 ? "/stream-1: meta is damaged: --repair makes it anew"
                         : "/stream-1: meta is missing: --repair makes it anew");
    expect_check("--repair", 0, "/stream-1/meta was made anew from the segments");
    expect_whole_again();
}
END_TEST

START_TEST(a_segments_header_is_made_anew)
{
    make_stream();
    write_at("stream-1/0000000001.log", 9, "x", 1);
    expect_refused("0000000001.log is damaged");
    expect_check("", 1, "/stream-1: ");
    expect_check("--repair", 0, "/stream-1: 1 damaged headers of segments were made anew");
    expect_whole_again();
}
END_TEST

START_TEST(what_cannot_be_mended_is_told)
{
    make_stream();
    remove_file("stream-1/meta");
    write_at("stream-1/0000000001.log", 9, "x", 1); /* in its header */
    expect_check("--repair", 1, "/stream-1/meta cannot be made anew: segment 1 is not whole");
    expect_check("--repair", 1, "/stream-1: meta is missing\n");
}
END_TEST

/* What is damaged among entries is lost; all else of it is read. */
START_TEST(entries_that_are_damaged_are_told_by_their_place)
{
    make_stream();
    damage_text("stream-1/0000000001.log", "entry-number-500-of-the-stream");
    expect_check("--repair", 1, "/stream-1: damaged at 0000000001.log offset ");
    expect_check("", 1, "/stream-1: damaged at 0000000001.log offset ");
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, ENTRIES + 3, "XLEN stream");
    expect_error(wire, "ERR data on disk is damaged", "XRANGE stream 500-1 500-1");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checking streams");
    TCase *tcase = suite_case(suite, "sluice-check");

    tcase_add_loop_test(tcase, a_meta_is_made_anew, 0, 2);
    tcase_add_test(tcase, a_segments_header_is_made_anew);
    tcase_add_test(tcase, what_cannot_be_mended_is_told);
    tcase_add_test(tcase, entries_that_are_damaged_are_told_by_their_place);
    return suite_run(suite);
}
