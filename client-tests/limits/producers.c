/* What producers have added (XADD IDMP) is known in memory: at the limit it is refused, while
 * entries that need none of it go on to disk. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <string.h>

enum {
    MAXMEMORY_MIB = 32,
    NAME_BYTES = 1000,
    BATCH = 100,
    /* More than there is memory for, with nothing but their names. */
    BATCHES = MAXMEMORY_MIB * 1048576 / NAME_BYTES / BATCH * 2,
};

static struct server server;
static struct wire *wire;

static void start(void)
{
    const char *const arguments[] = { "--maxmemory", "32mb", NULL };

    server_start_with(&server, arguments);
    wire = wire_open(&server);
}

static void stop(void)
{
    wire_close(wire);
    server_stop(&server);
}

/* How many of a batch are refused. Each has a producer of its own. */
static unsigned add_batch(unsigned batch)
{
    struct text reply = { 0 };
    unsigned refused = 0;
    char name[NAME_BYTES];

    memset(name, 'p', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (unsigned i = 0; i < BATCH; i++)
        wire_command(wire, "XADD s IDMP %s%u i * f v", name, batch * BATCH + i);
    for (unsigned i = 0; i < BATCH; i++) {
        text_clear(&reply);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        refused += strncmp(text_string(&reply), "-OOM ", 5) == 0;
        if (refused == 0) ck_assert_int_eq(text_string(&reply)[0], '$');
    }
    text_finish(&reply);
    return refused;
}

START_TEST(they_are_refused_at_the_limit_and_entries_go_on)
{
    unsigned batch = 0, refused = 0;
    long long length;

    while (refused < BATCH) {
        ck_assert_uint_lt(batch, BATCHES);
        refused = add_batch(batch++);
    }
    ck_assert_uint_gt(batch, 10);
    ck_assert_int_le(info_number(wire, "used_memory"), (int64_t)MAXMEMORY_MIB << 20);
    length = ask_integer(wire, "XLEN s");
    wire_command(wire, "XADD s * f v");
    wire_skip(wire, 1);
    expect_integer(wire, length + 1, "XLEN s");
    /* Room is there again when they are forgotten. */
    expect_integer(wire, 1, "DEL s");
    while (add_batch(0) > 0) /* what is free is looked at now and then */
        ck_assert_uint_gt(batch--, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers and maxmemory");
    TCase *tcase = suite_case(suite, "limit");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, they_are_refused_at_the_limit_and_entries_go_on);
    return suite_run(suite);
}
