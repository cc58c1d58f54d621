/* What only a reader holds is no loss of room: a list is dropped while somebody is still being sent
 * it, a checkpoint is made, and the server is killed before the reader has gone. */
#include "client-tests/durability/full_disk.h"

enum {
    PUSHED = 24000,       /* far more than sockets take */
    HELD_LEAST = 8 << 20, /* of the disk, for the reader */
    REST_MOST = 2 << 20,  /* of the file: room for what is in memory */
};

static const char *const arguments[] = { SMALL, "1gb", NULL };

static void start(void)
{
    options = (struct server_options){ .own_arguments = arguments };
    server_start(&server, &options);
    wire = wire_open(&server);
}

static void push_all(unsigned first, unsigned end)
{
    struct text reply = { 0 };

    for (; first < end; first += PUSHED_AT_ONCE)
        ck_assert(push(first, PUSHED_AT_ONCE, &reply));
    text_finish(&reply);
}

/* A client that has asked for all of k, and reads nothing. */
static struct wire *hold(void)
{
    struct wire *reader = wire_open(&server);

    reader->takes_nothing = true;
    wire_command(reader, "LRANGE k 0 -1");
    info_wait(wire, "streaming_clients", 1);
    return reader;
}

/* With the checkpoints by which the disk is given back. */
static void wait_for_used_at_most(int64_t bytes)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    do
        expect_ok(wire, "SAVE");
    while (info_number(wire, "spill_disk_used_bytes") > bytes && clock_probe(deadline_ms));
    ck_assert_int_le(info_number(wire, "spill_disk_used_bytes"), bytes);
}

static void save_twice(void)
{
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SAVE"); /* what only the first one refers to is free */
}

START_TEST(a_dropped_list_that_a_reader_holds_is_given_back_after_a_kill)
{
    struct wire *reader;

    start();
    push_all(0, PUSHED);
    reader = hold();
    expect_integer(wire, 1, "DEL k");
    save_twice();
    ck_assert_int_ge(info_number(wire, "spill_disk_used_bytes"), HELD_LEAST);
    restart();
    wait_for_used_at_most(0);
    ck_assert_int_le(info_number(wire, "spill_file_bytes"), REST_MOST);
    wire_close(reader);
    finish();
}
END_TEST

/* What is left of it is the picture's. */
START_TEST(so_is_what_was_taken_from_a_list_that_a_reader_holds)
{
    struct wire *reader;
    int64_t used;

    start();
    push_all(0, PUSHED);
    save_twice();
    used = info_number(wire, "spill_disk_used_bytes");
    reader = hold();
    pop(0, PUSHED / 2);
    save_twice();
    ck_assert_int_ge(info_number(wire, "spill_disk_used_bytes"), used - used / 16);
    restart();
    wait_for_used_at_most(used / 2 + used / 16);
    expect_contents(PUSHED / 2, PUSHED);
    wire_close(reader);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("held by a reader");
    TCase *cases = suite_case(suite, "held by a reader");

    tcase_add_test(cases, a_dropped_list_that_a_reader_holds_is_given_back_after_a_kill);
    tcase_add_test(cases, so_is_what_was_taken_from_a_list_that_a_reader_holds);
    return suite_run(suite);
}
