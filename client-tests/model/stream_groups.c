/* Random commands on consumer groups. Ids are small, so that they meet. Idle times are not
 * compared, and how long something must have been idle is either no time or far longer than a test;
 * nor is how far a group is behind, which is known here in more cases. */
#include "client-tests/model/random_streams.h"

enum {
    KEYS = 2,
    GROUPS = 3,
    CONSUMERS = 4,
    MS_RANGE = 40,
};

static void add_group(struct line *line)
{
    add(line, "g%u", below(percent(4) ? GROUPS + 1 : GROUPS));
}

static void add_consumer(struct line *line)
{
    add(line, "c%u", below(CONSUMERS));
}

static void add_wrong_id(struct line *line)
{
    static const char *const wrong[] = { "", "a", "1-", "1-1-1", "(1", "*", "+", "-" };

    add(line, "%s", wrong[below(sizeof(wrong) / sizeof(wrong[0]))]);
}

static void add_id(struct line *line)
{
    if (percent(1))
        add_wrong_id(line);
    else
        add(line, "%u-%u", 1 + below(MS_RANGE), below(3));
}

static void add_ids(struct line *line)
{
    unsigned count = 1 + below(6);

    for (unsigned i = 0; i < count; i++)
        add_id(line);
}

static void add_word(struct line *line, unsigned part, const char *word)
{
    if (percent(part)) add(line, "%s", word);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void make_xadd(struct line *line)
{
    unsigned key = below(KEYS);

    last_ms[key] = last_ms[key] >= MS_RANGE ? MS_RANGE : last_ms[key] + below(2);
    add(line, "XADD s%u %u-%u field %u", key, last_ms[key], below(3), below(1000));
}

/* Now and then options twice, where they do not belong, or without their value. */
static void add_odd_options(struct line *line)
{
    static const char *const words[] = {
        "COUNT 9",  "COUNT -1", "COUNT x",  "COUNT",         "NOACK",         "JUSTID",
        "FORCE",    "IDLE 0",   "TIME 5",   "TIME",          "RETRYCOUNT 2",  "LASTID 3-0",
        "LASTID x", "MKSTREAM", "mkstream", "ENTRIESREAD 2", "ENTRIESREAD -2"
    };

    while (percent(8))
        add(line, "%s", words[below(sizeof(words) / sizeof(words[0]))]);
}

/* A group that goes, or a stream that comes to stand under a name, wakes all that wait there in
 * 7.0, which may have nothing for them and says so. */
static void make_xgroup(struct line *line)
{
    static const char *const words[] = { "CREATE",         "CREATE",      "CREATE", "SETID",
                                         "CREATECONSUMER", "DELCONSUMER", "DESTROY" };
    const char *word = words[below(7)];

    if (strcmp(word, "DESTROY") == 0 && (somebody_waits() || percent(60))) word = "CREATE";
    add(line, "XGROUP %s", word);
    (void)add_key(line, KEYS);
    add_group(line);
    if (strcmp(word, "CREATE") == 0 || strcmp(word, "SETID") == 0) {
        if (percent(40))
            add(line, percent(50) ? "$" : "0");
        else
            add_id(line);
        add_word(line, strcmp(word, "CREATE") == 0 ? 60 : 2, "MKSTREAM");
        add_word(line, 2, "ENTRIESREAD");
    } else if (strcmp(word, "DESTROY") != 0) {
        add_consumer(line);
    }
    add_odd_options(line);
}

static void add_count(struct line *line, int least)
{
    if (percent(50)) add(line, "COUNT %d", least + (int)below(8));
}

/* What waits reads from one group of one stream: which of several is served first is another
 * matter. */
static void make_xreadgroup(struct line *line, bool blocks)
{
    unsigned count = blocks ? 1 : 1 + below(3), first = below(KEYS);

    add(line, "XREADGROUP GROUP");
    add_group(line);
    add_consumer(line);
    add_count(line, -1);
    if (blocks) add(line, "BLOCK 0");
    add_word(line, 15, "NOACK");
    add_odd_options(line);
    add(line, "STREAMS");
    for (unsigned i = 0; i < count; i++)
        add(line, "s%u", percent(30) ? first : (first + i) % KEYS);
    for (unsigned i = 0; i < count; i++) {
        if (blocks || percent(60))
            add(line, ">");
        else if (percent(50))
            add(line, "0");
        else
            add_id(line);
    }
}

static void make_present_xreadgroup(struct line *line)
{
    make_xreadgroup(line, false);
}

static void make_waiting_xreadgroup(struct line *line)
{
    make_xreadgroup(line, true);
}

static void make_xack(struct line *line)
{
    add(line, "XACK");
    (void)add_key(line, KEYS);
    add_group(line);
    add_ids(line);
    add_odd_options(line);
}

static void make_xpending(struct line *line)
{
    add(line, "XPENDING");
    (void)add_key(line, KEYS);
    add_group(line);
    if (percent(40)) return;
    line->compare = PAIR_IDLE;
    if (percent(30)) add(line, "IDLE %s", percent(50) ? "0" : "1000000");
    if (percent(60)) {
        add(line, "- +");
    } else {
        add_id(line);
        add_id(line);
    }
    add(line, "%u", below(30));
    if (percent(40)) add_consumer(line);
}

/* Nothing is idle for that long but what XCLAIM says is. */
static const char *least_idle(void)
{
    return percent(60) ? "0" : "1000000";
}

static void make_xclaim(struct line *line)
{
    add(line, "XCLAIM");
    (void)add_key(line, KEYS);
    add_group(line);
    add_consumer(line);
    add(line, "%s", least_idle());
    add_ids(line);
    if (percent(25)) add(line, "IDLE %s", percent(50) ? "0" : "2000000");
    if (percent(10)) add(line, "TIME 1000");
    if (percent(25)) add(line, "RETRYCOUNT %u", below(9));
    add_word(line, 30, "FORCE");
    add_word(line, 40, "JUSTID");
    if (percent(5)) {
        add(line, "LASTID");
        add_id(line);
    }
    add_word(line, 2, "FOO");
    add_odd_options(line);
}

static void make_xautoclaim(struct line *line)
{
    add(line, "XAUTOCLAIM");
    (void)add_key(line, KEYS);
    add_group(line);
    add_consumer(line);
    add(line, "%s", least_idle());
    if (percent(50))
        add(line, "0");
    else
        add_id(line);
    if (percent(3))
        add(line, "COUNT 0");
    else
        add_count(line, 6); /* so that all that there is, is looked at */
    add_word(line, 40, "JUSTID");
    add_odd_options(line);
}

static void make_removal(struct line *line)
{
    if (percent(70)) {
        add(line, "XDEL");
        (void)add_key(line, KEYS);
        add_ids(line);
    } else {
        add(line, "XTRIM");
        (void)add_key(line, KEYS);
        add(line, "MAXLEN %u", 5 + below(20));
    }
}

static void make_key_command(struct line *line)
{
    static const char *const words[] = { "DEL", "RENAME", "UNLINK" };
    unsigned choice = somebody_waits() ? 2 * below(2) : below(3);

    add(line, "%s s%u", words[choice], below(KEYS));
    if (choice == 1) add(line, "s%u", below(KEYS));
    for (unsigned i = 0; i < KEYS; i++)
        last_ms[i] = 1;
}

static void make_command(struct line *line)
{
    unsigned choice = below(100);

    if (choice < 28)
        make_xadd(line);
    else if (choice < 38)
        make_xgroup(line);
    else if (choice < 58)
        make_xreadgroup(line, false);
    else if (choice < 66)
        make_xack(line);
    else if (choice < 76)
        make_xpending(line);
    else if (choice < 86)
        make_xclaim(line);
    else if (choice < 92)
        make_xautoclaim(line);
    else if (choice < 99)
        make_removal(line);
    else
        make_key_command(line);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool run_command(void)
{
    struct line line = { .count = 0 };

    make_command(&line);
    return ask(0, &line);
}

static void compare_contents(void)
{
    for (unsigned i = 0; i < KEYS * GROUPS; i++) {
        struct line summary = { .count = 0 }, all = { .compare = PAIR_IDLE };

        add(&summary, "XPENDING s%u g%u", i / GROUPS, i % GROUPS);
        (void)ask(0, &summary);
        add(&all, "XPENDING s%u g%u - + 1000", i / GROUPS, i % GROUPS);
        (void)ask(0, &all);
    }
}

START_TEST(random_commands_on_groups_are_answered_as_redis_answers_them)
{
    static const struct random_test test = { .transaction_percent = 3,
                                             .make_addition = make_xadd,
                                             .make_reading = make_present_xreadgroup,
                                             .make_waiting = make_waiting_xreadgroup,
                                             .run_command = run_command,
                                             .compare_contents = compare_contents };

    pair_start(&pair, NULL);
    run_seeds(&test);
}
END_TEST

static void read_with_long_name(const struct text *name, unsigned count)
{
    struct text command = { 0 };

    command_begin(&command, 9);
    command_add_string(&command, "XREADGROUP");
    command_add_string(&command, "GROUP");
    command_add_string(&command, "g");
    command_add(&command, text_string(name), name->size);
    command_add_string(&command, "COUNT");
    command_add_number(&command, count);
    command_add_string(&command, "STREAMS");
    command_add_string(&command, "s");
    command_add_string(&command, ">");
    (void)pair_ask(&pair, 0, &command, PAIR_BYTES, NULL);
    text_finish(&command);
}

/* In turns of c's and of the long name's, which makes an answer too long to be written at once. */
static void fill_with_long_names(void)
{
    enum { ENTRIES = 90, TURN = 30, NAME_BYTES = 5000 };
    struct text name = { 0 };

    text_add_filler(&name, NAME_BYTES);
    (void)ask_text(0, "XGROUP CREATE s g 0 MKSTREAM");
    for (unsigned i = 1; i <= ENTRIES; i++) {
        struct line line = { .count = 0 };

        add(&line, "XADD s %u-%u f v", i, i % 3);
        (void)ask(0, &line);
    }
    read_with_long_name(&name, TURN);
    (void)ask_text(0, "XREADGROUP GROUP g c COUNT 30 STREAMS s >");
    read_with_long_name(&name, TURN);
    text_finish(&name);
}

/* _i: the protocol. */
START_TEST(what_is_pending_is_told_as_redis_tells_it_when_it_is_long)
{
    static const char *const asked[] = { "- + 1000",  "- + 89",      "- + 15",   "(7-1 80 50",
                                         "50 + 1000", "- + 1000 c",  "+ - 1000", "IDLE 0 - + 1000",
                                         "- + 0",     "60 60-9 1000" };

    pair_start(&pair, NULL);
    pair_reset(&pair, _i);
    fill_with_long_names();
    for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct line line = { .compare = PAIR_IDLE };

        add(&line, "XPENDING s g %s", asked[i]);
        (void)ask(0, &line);
        (void)ask_text(0, "PING");
    }
    pair_finish_equal(&pair);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_groups");
    TCase *random = suite_case(suite, "random"), *told = suite_case(suite, "long");

    tcase_add_test(random, random_commands_on_groups_are_answered_as_redis_answers_them);
    tcase_add_loop_test(told, what_is_pending_is_told_as_redis_tells_it_when_it_is_long, 2, 4);
    return suite_run(suite);
}
