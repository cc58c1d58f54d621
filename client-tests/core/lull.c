/* A checkpoint begins when nobody holds a key. Who holds one for long does not make others wait for
 * that, but those who have to wait for something themselves. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum {
    ELEMENTS = 300000,
    ELEMENT_BYTES = 300,
    PUSHED_AT_ONCE = 500,
    ROUNDS = 20,
    BETWEEN = 1000 /* commands that are answered while somebody walks: longer than any patience */
};

static struct server server;
static struct wire *control, *walker;

/* In the smallest slices, and nearly all of it on disk, a walk takes many turns. */
static void start(void)
{
    static const char *const arguments[] = {
        "--list-memory-max",  "1mb", "--maxmemory", "256mb", "--slice-us", "10",
        "--list-chunk-bytes", "512", NULL
    };
    struct server_options options = { .own_arguments = arguments };

    server_start(&server, &options);
    control = wire_open(&server);
    walker = wire_open(&server);
}

static void stop(void)
{
    wire_close(control);
    wire_close(walker);
    server_stop(&server);
}

static void fill(void)
{
    struct text command = { 0 };
    char element[ELEMENT_BYTES];

    memset(element, 'x', sizeof(element));
    command_begin(&command, 2 + PUSHED_AT_ONCE);
    command_add_string(&command, "RPUSH");
    command_add_string(&command, "walked");
    for (unsigned i = 0; i < PUSHED_AT_ONCE; i++)
        command_add(&command, element, sizeof(element));
    for (unsigned at = 0; at < ELEMENTS; at += PUSHED_AT_ONCE) {
        (void)wire_send(control, command.bytes, command.size);
        (void)ask_integer(control, "");
    }
    text_finish(&command);
}

/* How many commands were answered while the walk went on. */
static unsigned answered_meanwhile(void)
{
    unsigned answered = 0;

    while (answered < BETWEEN && info_number(control, "claims") > 0) {
        expect_ok(control, "SET other %u", answered);
        answered++;
    }
    return answered;
}

START_TEST(a_checkpoint_that_waits_for_a_long_walk_holds_up_nobody_else)
{
    unsigned caught = 0;

    fill();
    for (int round = 0; round < ROUNDS && caught == 0; round++) {
        int64_t saves = info_number(control, "rdb_saves"), queued;
        bool is_walking;

        wire_command(walker, "LREM walked 0 never");
        do
            is_walking = info_number(control, "claims") > 0;
        while (!is_walking && !wire_wait(walker, 0));
        expect_text(control, "Background saving started", "BGSAVE");
        queued = info_number(control, "queued_commands");
        if (answered_meanwhile() == BETWEEN && info_number(control, "claims") > 0) {
            caught++;
            ck_assert_int_eq(info_number(control, "rdb_saves"), saves);
        }
        ck_assert_int_eq(info_number(control, "queued_commands"), queued);
        expect_integer(walker, 0, "");
        info_wait(control, "rdb_saves", saves + 1);
    }
    ck_assert_uint_gt(caught, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("the lull before a checkpoint");
    TCase *tcase = suite_case(suite, "walks");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, a_checkpoint_that_waits_for_a_long_walk_holds_up_nobody_else);
    return suite_run(suite);
}
