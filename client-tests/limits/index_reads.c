/* The index of a list far above memory: an access to any place reads at most a path of it and one
 * chunk, and it takes no more memory for a hundred times as many elements.
 *
 * The list grows tenfold from 10^6 elements for as long as SLUICE_TEST_SCALE allows: 100 is 10^6
 * and 4 * 10^6, 10000 is the size of the soak: 10^8 elements, 5 GB on disk. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

enum {
    SMALL = 1000000,
    SOAK = 100000000,
    BATCH = 1000,
    ACCESSES = 300,
    INSERTIONS = 100,
    INSERTED_BEFORE = 600, /* pivots lie in the first chunk, at most in the second */
    BUDGET_BYTES = 8 << 20,
    BUFFERS_BYTES = 4 << 20, /* of transfers under way: spill_memory counts them, too */
};

static const char *const budget[] = { "--list-memory-max", "8mb", NULL };

static void make_element(char *element, size_t size, unsigned number)
{
    (void)snprintf(element, size, "%010u:abcdefghijklmnopqrstuvwxyz0123456789", number);
}

static void push(struct wire *wire, unsigned first, unsigned end)
{
    struct text command = { 0 };

    for (unsigned next = first; next < end; next += BATCH) {
        text_clear(&command);
        command_begin(&command, 2 + BATCH);
        command_add_string(&command, "RPUSH");
        command_add_string(&command, "k");
        for (unsigned i = 0; i < BATCH; i++) {
            char element[64];
            make_element(element, sizeof(element), next + i);
            command_add_string(&command, element);
        }
        ck_assert_int_eq(wire_send(wire, command.bytes, command.size), 0);
        expect_integer(wire, (long long)next + BATCH, "");
    }
    text_finish(&command);
}

/* Levels of nodes above the chunks. */
static int64_t index_height(struct wire *wire)
{
    static const char name[] = "\r\nindex_height\r\n:";
    struct text reply = { 0 };
    const char *found;
    long long height = -1;

    wire_command(wire, "SL.LIST INFO k");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    found = strstr(text_string(&reply), name);
    ck_assert_msg(found != NULL, "SL.LIST INFO has no height: %s", text_string(&reply));
    ck_assert_int_eq(sscanf(found + sizeof(name) - 1, "%lld", &height), 1);
    text_finish(&reply);
    return height;
}

/* Random LINDEX; the most nodes and chunks that one of them read. */
static int64_t most_reads_of_lindex(struct wire *wire, unsigned count)
{
    struct random random = { count };
    struct text reply = { 0 };
    int64_t most = 0;

    for (int i = 0; i < ACCESSES; i++) {
        unsigned index = random_below(&random, count);
        int64_t before = info_number(wire, "spill_reads"), reads;
        char element[64];

        make_element(element, sizeof(element), index);
        text_clear(&reply);
        wire_command(wire, "LINDEX k %u", index);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_msg(strstr(text_string(&reply), element) != NULL, "element %u is %s", index,
                      text_string(&reply));
        reads = info_number(wire, "spill_reads") - before;
        if (reads > most) most = reads;
    }
    text_finish(&reply);
    return most;
}

/* LINSERT, each undone, before pivots so near the head that finding them is no walk: what it reads
 * is what inserting costs. In between other places are looked at, so that memory holds these. */
static int64_t most_reads_of_linsert(struct wire *wire, unsigned count)
{
    struct random random = { count };
    int64_t most = 0;

    for (int i = 0; i < INSERTIONS; i++) {
        unsigned index = random_below(&random, INSERTED_BEFORE);
        int64_t before, reads;
        char pivot[64];

        for (int other = 0; other < 4; other++)
            wire_command(wire, "LINDEX k %u", random_below(&random, count));
        wire_skip(wire, 4);
        make_element(pivot, sizeof(pivot), index);
        before = info_number(wire, "spill_reads");
        expect_integer(wire, (long long)count + 1, "LINSERT k BEFORE %s new", pivot);
        reads = info_number(wire, "spill_reads") - before;
        if (reads > most) most = reads;
        expect_integer(wire, 1, "LREM k 1 new");
    }
    return most;
}

START_TEST(an_access_reads_a_path_and_the_index_stays_flat)
{
    struct server_options options = { .own_arguments = budget };
    uint64_t wanted = (uint64_t)suite_scaled(4) * SMALL;
    unsigned large = wanted < 2 * SMALL ? 2 * SMALL : wanted < SOAK ? (unsigned)wanted : SOAK;
    struct server server;
    struct wire *wire;

    server_start(&server, &options);
    wire = wire_open(&server);
    for (unsigned count = 0, next = SMALL; count < large; next *= 10) {
        int64_t height, lindex, linsert, pushed_index, index;

        if (next > large) next = large;
        push(wire, count, next);
        count = next;
        pushed_index = info_number(wire, "spill_index_memory");
        height = index_height(wire);
        lindex = most_reads_of_lindex(wire, count);
        linsert = most_reads_of_linsert(wire, count);
        index = info_number(wire, "spill_index_memory");
        printf("%u elements: %lld levels of nodes, at most %lld reads a LINDEX, %lld a LINSERT; "
               "index %lld bytes pushed, %lld read\n",
               count, (long long)height, (long long)lindex, (long long)linsert,
               (long long)pushed_index, (long long)index);
        (void)fflush(stdout);
        ck_assert_int_ge(height, 1);
        ck_assert_int_le(lindex, height + 1);
        ck_assert_int_le(linsert, height + 1);
        ck_assert_int_le(pushed_index, BUDGET_BYTES / 4);
        ck_assert_int_le(index, BUDGET_BYTES / 4);
        ck_assert_int_le(info_number(wire, "spill_memory"), BUDGET_BYTES + BUFFERS_BYTES);
    }
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index");
    TCase *tcase = suite_case(suite, "index");

    tcase_add_test(tcase, an_access_reads_a_path_and_the_index_stays_flat);
    return suite_run(suite);
}
