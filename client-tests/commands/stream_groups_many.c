/* What is pending in a group when there is much of it, and when there is no memory for more. */
#include "client-tests/commands/two_clients.h"
#include "client-tests/lib/clock.h"
#include <string.h>

static const char *const own[] = { "--enable-debug-command", "yes", "--maxmemory", "64mb", NULL };

enum { MANY = 20000 };

static void deliver_many(void)
{
    enum { BATCH = 500 };

    expect_ok(wire, "XGROUP CREATE s g 0 MKSTREAM");
    for (int i = 0; i < MANY; i += BATCH) {
        for (int k = 1; k <= BATCH; k++)
            wire_command(wire, "XADD s %d-0 f v", i + k);
        wire_skip(wire, BATCH);
        wire_command(wire, "XREADGROUP GROUP g c STREAMS s >");
        wire_skip(wire, 1);
    }
    expect_text(wire,
                "1) (integer) 20000\n2) \"1-0\"\n3) \"20000-0\"\n"
                "4) 1) 1) \"c\"\n      2) \"20000\"",
                "XPENDING s g");
}

START_TEST(xautoclaim_passes_over_what_was_delivered_of_late)
{
    deliver_many();
    expect_text(wire, "1) \"19000-0\"", "XCLAIM s g c 0 19000-0 IDLE 500000 JUSTID");
    expect_text(wire, "1) \"0-0\"\n2) 1) \"19000-0\"\n3) (empty array)",
                "XAUTOCLAIM s g d 400000 0 COUNT 10 JUSTID");
    expect_text(wire, "1) \"3-0\"\n2) 1) \"1-0\"\n   2) \"2-0\"\n3) (empty array)",
                "XAUTOCLAIM s g d 0 0 COUNT 2 JUSTID");
}
END_TEST

START_TEST(a_consumer_with_a_long_list_goes_in_steps)
{
    deliver_many();
    expect_integer(wire, MANY, "XGROUP DELCONSUMER s g c");
    expect_text(wire, "1) (integer) 0\n2) (nil)\n3) (nil)\n4) (nil)", "XPENDING s g");
}
END_TEST

/* Strings take the memory that there is. */
static void fill_memory(void)
{
    struct text value = { 0 }, reply = { 0 };

    text_add_filler(&value, 4 << 20);
    for (int i = 0; i < 64 && text_string(&reply)[0] != '-'; i++) {
        text_clear(&reply);
        wire_command(wire, "SET string%d %b", i, text_string(&value), value.size);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
    }
    ck_assert_msg(strncmp(text_string(&reply), "-OOM ", 5) == 0, "%s", text_string(&reply));
    for (int i = 0; i < 100000; i++) { /* what is left, to the last bytes */
        text_clear(&reply);
        wire_command(wire, "SET small%d %b", i, text_string(&value), (size_t)10000);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (text_string(&reply)[0] == '-') break;
    }
    text_finish(&value);
    text_finish(&reply);
}

/* What FLUSHALL drops goes by and by. */
static void wait_for_memory(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text reply = { 0 };

    expect_ok(wire, "FLUSHALL");
    do {
        text_clear(&reply);
        wire_command(wire, "SET probe x");
        ck_assert_int_eq(wire_read(wire, &reply), 1);
    } while (strcmp(text_string(&reply), "+OK\r\n") != 0 && clock_probe(deadline_ms));
    ck_assert_str_eq(text_string(&reply), "+OK\r\n");
    text_finish(&reply);
}

START_TEST(deliveries_are_refused_at_the_limit_but_not_without_pending)
{
    expect_ok(wire, "XGROUP CREATE s g 0 MKSTREAM");
    expect_string(wire, "1-0", "XADD s 1-0 f v");
    expect_string(wire, "2-0", "XADD s 2-0 f v");
    wire_command(wire, "XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    wire_skip(wire, 1);
    fill_memory();
    expect_error(wire, "OOM ", "XREADGROUP GROUP g c STREAMS s >");
    expect_text(wire,
                "1) 1) \"s\"\n   2) 1) 1) \"1-0\"\n         2) 1) \"f\"\n            2) \"v\"",
                "XREADGROUP GROUP g c STREAMS s 0");
    expect_integer(wire, 1, "XACK s g 1-0");
    expect_text(wire,
                "1) 1) \"s\"\n   2) 1) 1) \"2-0\"\n         2) 1) \"f\"\n            2) \"v\"",
                "XREADGROUP GROUP g c NOACK STREAMS s >");
    wait_for_memory();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_groups_many");
    TCase *tcase = two_clients_case(suite, "many", own);

    tcase_add_test(tcase, xautoclaim_passes_over_what_was_delivered_of_late);
    tcase_add_test(tcase, a_consumer_with_a_long_list_goes_in_steps);
    tcase_add_test(tcase, deliveries_are_refused_at_the_limit_but_not_without_pending);
    return suite_run(suite);
}
