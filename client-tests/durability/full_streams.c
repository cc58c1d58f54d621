/* A full disk under streams and their groups: entries are refused with the cause, while deliveries,
 * acknowledgements and whatever removes go on. A server killed there starts again with all of that
 * as it was; and when room comes back, entries are taken again. */
#include "client-tests/durability/full_disk.h"
#include <stdlib.h>

enum {
    ENTRY_BYTES = 4000,
    ENTRIES = 2000, /* of the stream whose group is at work, 8 MB: a journal */
    READ_AT_ONCE = 20,
    READS = 40,     /* in each round */
    FILLS_MAX = 50, /* each has less room than the one before */
};

/* ---- entries ---------------------------------------------------------------------------------
 */

static bool is_refused(const struct text *reply)
{
    if (reply->bytes[0] != '-') return false;
    ck_assert_msg(strncmp(reply->bytes, "-MISCONF ", 9) == 0 && strstr(reply->bytes, refusal), "%s",
                  reply->bytes);
    return true;
}

/* Entry number-0. False: refused, for want of room. */
static bool add(const char *key, unsigned number)
{
    static char value[ENTRY_BYTES + 1];
    struct text reply = { 0 };
    bool was_refused;

    element_make(value, sizeof(value), number);
    wire_command(wire, "XADD %s %u-0 f %s", key, number, value);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    was_refused = is_refused(&reply);
    text_finish(&reply);
    return !was_refused;
}

/* Until one is refused; the number of the next one. */
static unsigned fill_with_entries(const char *key, unsigned number)
{
    unsigned first = number;

    while (add(key, number))
        ck_assert_uint_lt(++number - first, PUSHES_MAX);
    return number;
}

/* Until even a checkpoint gives no room back: the log, too, has what is added. */
static unsigned fill_all_with_entries(const char *key)
{
    unsigned end = 1, before;

    for (unsigned i = 0; i < FILLS_MAX; i++) {
        before = end;
        end = fill_with_entries(key, before);
        if (end == before) return end;
        save();
    }
    ck_abort_msg("the disk does not become full");
    return end;
}

/* ---- a group at work, and what is to be found --------------------------------------------------
 */

static struct {
    unsigned added;     /* entries 1-0 … of the stream q */
    unsigned delivered; /* so many of these, in order */
    bool is_pending[ENTRIES + 1], has_gone[ENTRIES + 1];
} group;

static void do_with(unsigned number)
{
    switch (number % 10) {
    case 0: /* stays pending */
        break;
    case 1:
        expect_text(wire, "1) (integer) 1", "XACKDEL q g IDS 1 %u-0", number);
        group.has_gone[number] = true;
        group.is_pending[number] = false;
        break;
    case 2:
        expect_integer(wire, 1, "XDEL q %u-0", number); /* and stays pending */
        group.has_gone[number] = true;
        break;
    case 3:
        wire_command(wire, "XCLAIM q g other 0 %u-0 JUSTID", number);
        wire_skip(wire, 1);
        break;
    case 4:
        expect_integer(wire, 1, "XNACK q g FAIL IDS 1 %u-0", number);
        break;
    default:
        expect_integer(wire, 1, "XACK q g %u-0", number);
        group.is_pending[number] = false;
        break;
    }
}

/* The next entries are delivered, each once, and dealt with. */
static void read_and_deal(void)
{
    struct text reply = { 0 };
    char id[32];

    wire_command(wire, "XREADGROUP GROUP g c COUNT %d STREAMS q >", READ_AT_ONCE);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_msg(reply.bytes[0] == '*', "%.200s", reply.bytes);
    for (unsigned i = 0; i < READ_AT_ONCE; i++) {
        unsigned number = ++group.delivered;

        (void)snprintf(id, sizeof(id), "\r\n%u-0\r\n", number);
        ck_assert_msg(strstr(reply.bytes, id), "%u-0 was not delivered", number);
        group.is_pending[number] = true;
    }
    text_finish(&reply);
    for (unsigned i = group.delivered - READ_AT_ONCE + 1; i <= group.delivered; i++)
        do_with(i);
}

static void work(void)
{
    for (unsigned i = 0; i < READS; i++)
        read_and_deal();
}

static void expect_group_as_it_was(void)
{
    unsigned pending = 0, gone = 0;
    struct text reply = { 0 };
    char id[32];

    for (unsigned i = 1; i <= group.delivered; i++) {
        pending += group.is_pending[i];
        gone += group.has_gone[i];
    }
    expect_integer(wire, group.added - gone, "XLEN q");
    wire_command(wire, "XPENDING q g - + %d", ENTRIES);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_uint_eq(strtoul(reply.bytes + 1, NULL, 10), pending);
    for (unsigned i = 1; i <= group.delivered; i++) {
        (void)snprintf(id, sizeof(id), "\r\n%u-0\r\n", i);
        ck_assert_msg(group.is_pending[i] == (strstr(reply.bytes, id) != NULL), "%u-0 is%s pending",
                      i, group.is_pending[i] ? " not" : "");
    }
    text_clear(&reply);
    wire_command(wire, "XINFO GROUPS q");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    (void)snprintf(id, sizeof(id), "\r\n%u-0\r\n", group.delivered);
    ck_assert_msg(strstr(reply.bytes, id), "%u-0 is not the last: %s", group.delivered,
                  reply.bytes);
    text_finish(&reply);
}

/* ---- a full disk -----------------------------------------------------------------------------
 */

/* The stream q with its group, and the rest of the disk taken by another stream. */
static void make_queue_and_fill(void)
{
    while (group.added < ENTRIES)
        ck_assert(add("q", ++group.added));
    expect_ok(wire, "XGROUP CREATE q g 0");
    work();
    (void)fill_all_with_entries("filler");
}

/* What was refused before has asked for a checkpoint, which may have given some room back: that is
 * used up again. */
static void add_until_refused(void)
{
    group.added = fill_with_entries("q", group.added + 1) - 1;
}

/* An entry is taken again: that is a matter of checkpoints, however long they take. */
static void wait_for_entry(void)
{
    int64_t began = ended_checkpoints(), deadline_ms = clock_ms() + WAIT_MS;

    while (!add("q", group.added + 1)) {
        ck_assert_msg(ended_checkpoints() - began <= CHECKPOINTS_MAX, "no room after checkpoints");
        ck_assert_msg(clock_probe(deadline_ms), "no room");
    }
    group.added++;
}

START_TEST(groups_work_on_a_full_disk_and_nothing_of_it_is_lost)
{
    if (!start_on_a_small_disk_in_mode(_i)) return;
    make_queue_and_fill();
    add_until_refused();
    work();
    expect_group_as_it_was();
    restart();
    expect_group_as_it_was();
    add_until_refused();
    expect_integer(wire, 1, "DEL filler");
    wait_for_entry();
    read_and_deal();
    restart();
    expect_group_as_it_was();
    finish();
}
END_TEST

/* All that was delivered goes, and what was pending of it is dropped when it is looked at. */
static void trim_and_look(void)
{
    unsigned left = group.added - group.delivered, gone = 0;

    for (unsigned i = 1; i <= group.delivered; i++) {
        gone += !group.has_gone[i];
        group.has_gone[i] = true;
    }
    expect_integer(wire, gone, "XTRIM q MAXLEN %u", left);
    expect_group_as_it_was();
    wire_command(wire, "XAUTOCLAIM q g c 0 0 COUNT %d", ENTRIES);
    wire_skip(wire, 1);
    memset(group.is_pending, 0, sizeof(group.is_pending));
}

START_TEST(what_is_trimmed_on_a_full_disk_stays_so)
{
    if (!start_on_a_small_disk_in_mode(_i)) return;
    make_queue_and_fill();
    add_until_refused();
    trim_and_look();
    expect_group_as_it_was();
    restart();
    expect_group_as_it_was();
    work();
    expect_group_as_it_was();
    finish();
}
END_TEST

/* Somebody else takes what the log's reserve leaves of the disk. */
static void take_what_is_free(void)
{
    static const char bytes[4096];
    char path[600];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/of-others", mount_point);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    while (write(fd, bytes, sizeof(bytes)) > 0)
        continue;
    ck_assert_int_eq(errno, ENOSPC);
    (void)close(fd);
}

/* No checkpoint knows the journals: they go at the start, and are written anew from the log. The
 * disk had room for one of each, and has for no more. */
START_TEST(what_filled_the_disk_is_replayed_on_it)
{
    unsigned filled, more;

    if (!start_on_a_small_disk_in_mode(_i % MODES)) return;
    filled = fill_with_entries("filler", 1) - 1;
    more = fill_with_entries("q", 1) - 1;
    server_kill(&server);
    wire_close(wire);
    if (_i >= MODES) take_what_is_free();
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, filled, "XLEN filler");
    expect_integer(wire, more, "XLEN q");
    expect_integer(wire, 1, "XDEL filler 1-0");
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full disk, streams");
    TCase *cases = suite_case(suite, "full disk, streams");

    tcase_add_loop_test(cases, groups_work_on_a_full_disk_and_nothing_of_it_is_lost, 0, MODES);
    tcase_add_loop_test(cases, what_filled_the_disk_is_replayed_on_it, 0, 2 * MODES);
    tcase_add_loop_test(cases, what_is_trimmed_on_a_full_disk_stays_so, 0, MODES);
    return suite_run(suite);
}
