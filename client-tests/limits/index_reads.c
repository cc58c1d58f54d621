/* The index of a list far above memory: an access to any place reads at most a path of it and one
 * chunk, and it takes no more memory for ten times as many elements.
 *
 * SLUICE_TEST_SCALE=10000 is the size of the soak: 10^8 elements. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

enum { BATCH = 1000, ACCESSES = 200 };

static const char *const budget[] = { "--list-memory-max", "8mb", NULL };

static void push(struct wire *wire, unsigned first, unsigned count)
{
    struct text command = { 0 };

    for (unsigned done = 0; done < count; done += BATCH) {
        text_clear(&command);
        command_begin(&command, 2 + BATCH);
        command_add_string(&command, "RPUSH");
        command_add_string(&command, "k");
        for (unsigned i = 0; i < BATCH; i++) {
            char element[64];
            (void)snprintf(element, sizeof(element), "%010u:abcdefghijklmnopqrstuvwxyz0123456789",
                           first + done + i);
            command_add_string(&command, element);
        }
        (void)wire_send(wire, command.bytes, command.size);
        expect_integer(wire, (long long)first + done + BATCH, "");
    }
    text_finish(&command);
}

/* Random LINDEX; the most chunks that one of them read. */
static int64_t most_reads(struct wire *wire, unsigned count)
{
    struct random random = { count };
    int64_t most = 0;

    for (int i = 0; i < ACCESSES; i++) {
        unsigned index = random_below(&random, count);
        int64_t before = info_number(wire, "spill_fetched_chunks"), reads;
        struct text reply = { 0 };
        char expected[32];
        wire_command(wire, "LINDEX k %u", index);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        (void)snprintf(expected, sizeof(expected), "%010u:", index);
        ck_assert_msg(strstr(text_string(&reply), expected) != NULL, "index %u is %s", index,
                      text_string(&reply));
        reads = info_number(wire, "spill_fetched_chunks") - before;
        if (reads > most) most = reads;
        text_finish(&reply);
    }
    return most;
}

START_TEST(an_access_reads_a_path_and_the_index_stays_flat)
{
    struct server_options options = { .own_arguments = budget };
    unsigned small = 1000000, large = suite_scaled(4000) * 1000;
    struct server server;
    struct wire *wire;
    int64_t small_index, large_index, small_reads, large_reads;

    if (large < 2 * small) large = 2 * small;
    server_start(&server, &options);
    wire = wire_open(&server);
    push(wire, 0, small);
    small_reads = most_reads(wire, small);
    small_index = info_number(wire, "spill_index_memory");
    push(wire, small, large - small);
    large_reads = most_reads(wire, large);
    large_index = info_number(wire, "spill_index_memory");
    printf("%u elements: %lld reads at most, index %lld bytes; %u: %lld reads, %lld bytes\n", small,
           (long long)small_reads, (long long)small_index, large, (long long)large_reads,
           (long long)large_index);
    /* A node has at least 32 children when it is full half: 10^8 elements of 47 bytes are 160,000
     * chunks, four levels of nodes at the very most, and the chunk. */
    ck_assert_int_le(small_reads, 4);
    ck_assert_int_le(large_reads, 5);
    ck_assert_int_le(large_index, small_index + 2 * 1048576);
    ck_assert_int_le(info_number(wire, "spill_memory"), 8 * 1048576 + 4 * 1048576);
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
