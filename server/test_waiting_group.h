/* test_waiting_group.h - for test_waiting_allocations.c, whose server and clients it uses: memory
 * is refused half-way through what a consumer has pending, while a checkpoint has a picture of it.
 */
#ifndef SERVER_TEST_WAITING_GROUP_H
#define SERVER_TEST_WAITING_GROUP_H
#include "server/test_waiting_fixture.h"

enum {
    REFUSED_FROM_MAX = 16,
    PENDING = 300, /* in several nodes, each of which is copied under a picture */
    NAME_BYTES =
        6 * 1024 * 1024,  /* a picture with it is not written while the disk does not answer */
    PICTURE_BYTES = 2000, /* and takes more than that, whatever names are in it */
};

static inline uint64_t stream_bytes(void)
{
    const char *field = strstr(connection_ask(&fixture.control, "INFO memory"), "\r\nmem_streams:");

    ck_assert_ptr_nonnull(field);
    return strtoull(field + strlen("\r\nmem_streams:"), NULL, 10);
}

static inline bool is_saving(void)
{
    const char *info = connection_ask(&fixture.control, "INFO persistence");

    return !strstr(info, "rdb_bgsave_in_progress:0\r\n") ||
           !strstr(info, "aof_rewrite_in_progress:0\r\n");
}

/* Nor is a checkpoint under way that the server makes unasked. */
static inline void wait_until_saved(void)
{
    while (is_saving())
        usleep(1000);
}

/* All entries are c's, and there is a consumer with a long name. */
static inline void fill_group(void)
{
    static char command[NAME_BYTES + 128];
    char line[64];
    int size = snprintf(command, sizeof(command),
                        "*5\r\n$6\r\nXGROUP\r\n$14\r\nCREATECONSUMER\r\n$1\r\ns\r\n"
                        "$1\r\ng\r\n$%d\r\n",
                        NAME_BYTES);

    expect("DEL s", ":");
    expect("XGROUP CREATE s g 0 MKSTREAM", "+OK");
    for (int i = 1; i <= PENDING; i++) {
        (void)snprintf(line, sizeof(line), "XADD s %d-0 f v", i);
        expect(line, "$");
    }
    expect("XREADGROUP GROUP g c STREAMS s >", "*1");
    memset(command + size, 'n', NAME_BYTES);
    command[size + NAME_BYTES] = '\r';
    command[size + NAME_BYTES + 1] = '\n';
    connection_send(&fixture.control, command, (size_t)size + NAME_BYTES + 2);
    expect("", ":1");
}

/* Nothing that comes to the log then is in the checkpoint. Where the server has begun one of its
 * own just before, that is waited for: it may have begun before what was filled in. */
static inline void begin_picture(void)
{
    static const char busy[] = "-ERR Another child process is active";
    uint64_t before;
    const char *got;

    for (;;) {
        wait_until_saved(); /* its picture would count in what there was before */
        atomic_store(&fixture.shared->saves_wait, true);
        before = stream_bytes();
        got = connection_ask(&fixture.control, "BGSAVE");
        if (strncmp(got, busy, strlen(busy)) != 0) break;
        atomic_store(&fixture.shared->saves_wait, false);
    }
    ck_assert_msg(strncmp(got, "+Background saving started", 26) == 0, "BGSAVE: %.100s", got);
    while (stream_bytes() < before + PICTURE_BYTES)
        usleep(1000);
}

static inline void copy_answer(const char *command, char *out_text, size_t text_bytes)
{
    (void)snprintf(out_text, text_bytes, "%s", connection_ask(&fixture.control, command));
}

/* How many are left, with the nth allocation and all behind it refused; c stays unless all went. */
static inline unsigned drop_consumer(uint64_t nth)
{
    char text[64];
    unsigned left;

    refuse(nth, UINT64_MAX / 2);
    copy_answer("XGROUP DELCONSUMER s g c", text, sizeof(text));
    grant_all();
    must_live();
    reopen(&fixture.control); /* it may be closed, for want of memory for the answer */
    copy_answer("XPENDING s g", text, sizeof(text));
    ck_assert_int_eq(sscanf(text, "*4\r\n:%u\r\n", &left), 1);
    return left;
}

START_TEST(what_went_of_a_consumer_stays_gone)
{
    static const char *const asked[] = { "XPENDING s g", "XLEN s" };
    char before[2][256], after[256];
    unsigned half_way = 0;

    /* Which allocations copy a node is not the same each time: others come between. */
    for (uint64_t round = 0; half_way < 3; round++) {
        unsigned left;

        ck_assert_uint_lt(round, 100);
        fill_group();
        begin_picture();
        left = drop_consumer(1 + round % REFUSED_FROM_MAX);
        half_way += left > 0 && left < PENDING;
        for (int i = 0; i < 2; i++)
            copy_answer(asked[i], before[i], sizeof(before[i]));
        atomic_store(&fixture.shared->saves_wait, false);
        wait_until_saved();
        process_kill(&fixture.process);
        process_start_as(&fixture.process, serve, NULL, fixture.data, "no");
        reopen(&fixture.control);
        while (strncmp(connection_ask(&fixture.control, "EXISTS a"), "-LOADING", 8) == 0)
            usleep(1000);
        for (int i = 0; i < 2; i++) {
            copy_answer(asked[i], after, sizeof(after));
            ck_assert_str_eq(after, before[i]);
        }
    }
}
END_TEST

/* Each allocation of an XCLAIM, under a picture, once. */
START_TEST(who_could_be_given_nothing_is_not_made)
{
    enum { ALLOCATIONS = 12 };
    char text[64];

    fill_group();
    for (unsigned nth = 1; nth <= ALLOCATIONS; nth++) {
        bool is_given;

        begin_picture();
        (void)snprintf(text, sizeof(text), "XCLAIM s g new%u 0 %u-0 JUSTID", nth, nth * 20);
        refuse(nth, 1);
        (void)connection_ask(&fixture.control, text);
        grant_all();
        must_live();
        reopen(&fixture.control);
        (void)snprintf(text, sizeof(text), "XPENDING s g - + 1 new%u", nth);
        is_given = strncmp(connection_ask(&fixture.control, text), "*1", 2) == 0;
        (void)snprintf(text, sizeof(text), "XGROUP CREATECONSUMER s g new%u", nth);
        expect(text, is_given ? ":0" : ":1");
        atomic_store(&fixture.shared->saves_wait, false);
        wait_until_saved();
    }
}
END_TEST
#endif
