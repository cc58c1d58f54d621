/* Random commands on the entries of streams, compared byte for byte. Ids are small, so that they
 * meet; nodes of the reference have no limit, so that approximate trims take all or nothing in
 * both. */
#include "client-tests/model/random_streams.h"

enum {
    KEYS = 3,
    MS_RANGE = 60,
    SEQ_RANGE = 4,
};

static void add_wrong_id(struct line *line)
{
    static const char *const wrong[] = { "",    "a",   "1-", "-1", "1-1-1",
                                         "1-x", "(1",  "*",  "$",  "99999999999999999999",
                                         "1-*", "0-0", ">",  "+",  "1.5" };

    add(line, "%s", wrong[below(sizeof(wrong) / sizeof(wrong[0]))]);
}

static void add_id(struct line *line, const char *before)
{
    if (percent(3))
        add_wrong_id(line);
    else if (percent(20))
        add(line, "%s%u", before, below(MS_RANGE));
    else
        add(line, "%s%u-%u", before, below(MS_RANGE), below(SEQ_RANGE));
}

/* ---- commands -------------------------------------------------------------------------------- */

/* ms_max: of a MINID; length_min: of a MAXLEN. */
static void add_trim(struct line *line, unsigned ms_max, unsigned length_min)
{
    bool by_id = percent(50);

    add(line, by_id ? "MINID" : "MAXLEN");
    /* Redis looks at the last entry of a node, deleted or not, before that node may go. */
    if (percent(30)) add(line, percent(50) || by_id ? "=" : "~");
    if (by_id)
        add(line, "%u", below(ms_max + 1));
    else
        add(line, "%d", percent(3) ? -1 : (int)(length_min + below(40)));
    if (percent(10)) add(line, "LIMIT");
    if (percent(10)) add(line, "%u", below(50));
}

static void move_on(unsigned key)
{
    if (percent(30)) last_ms[key] += below(3);
    if (percent(5)) last_ms[key] = below(MS_RANGE);
}

static void add_new_id(struct line *line, unsigned key)
{
    if (percent(4))
        add_wrong_id(line);
    else if (percent(30))
        add(line, "%u-*", last_ms[key]);
    else
        add(line, "%u-%u", last_ms[key], below(SEQ_RANGE));
    /* No two servers have the same time. */
    if (strcmp(line->words[line->count - 1], "*") == 0) line->words[line->count - 1][0] = '!';
}

/* What is added is not trimmed at once: 7.0 wakes readers for that, and has nothing for them. */
static void make_xadd(struct line *line)
{
    unsigned key, pairs = 1 + below(3);

    add(line, "XADD");
    key = add_key(line, KEYS);
    move_on(key);
    if (percent(5)) add(line, "NOMKSTREAM");
    if (percent(20)) add_trim(line, last_ms[key], 1);
    add_new_id(line, key);
    for (unsigned i = 0; i < pairs; i++) {
        add(line, "field%u", below(3));
        add(line, "%u", below(100000));
    }
    if (percent(3)) line->count--; /* a value is missing */
    if (percent(4)) {
        add(line, "long");
        line->filler = 1 + below(20000);
    }
}

static void add_count(struct line *line)
{
    if (!percent(50)) return;
    add(line, "COUNT");
    add(line, "%d", (int)below(12) - 1);
}

static void make_xrange(struct line *line)
{
    bool is_reverse = percent(50);
    const char *ends[2] = { is_reverse ? "+" : "-", is_reverse ? "-" : "+" };

    add(line, is_reverse ? "XREVRANGE" : "XRANGE");
    (void)add_key(line, KEYS);
    for (int i = 0; i < 2; i++) {
        if (percent(30))
            add(line, "%s", ends[i]);
        else
            add_id(line, percent(20) ? "(" : "");
    }
    add_count(line);
    if (percent(3)) add(line, "COUNT");
}

static void make_xread(struct line *line, bool blocks)
{
    unsigned count = 1 + below(3);

    add(line, "XREAD");
    add_count(line);
    if (blocks) add(line, "BLOCK");
    if (blocks) add(line, "0");
    add(line, "STREAMS");
    for (unsigned i = 0; i < count; i++)
        add(line, "s%u", below(KEYS));
    for (unsigned i = 0; i < count; i++) {
        if (percent(blocks ? 80 : 20))
            add(line, "$");
        else
            add_id(line, "");
        /* The last entry, which 7.0 does not know. */
        if (strcmp(line->words[line->count - 1], "+") == 0) line->words[line->count - 1][0] = '$';
    }
    if (percent(3)) line->count--;
}

static void make_waiting_xread(struct line *line)
{
    make_xread(line, true);
}

static void make_xdel(struct line *line)
{
    unsigned count = 1 + below(8);

    add(line, "XDEL");
    (void)add_key(line, KEYS);
    for (unsigned i = 0; i < count; i++)
        add_id(line, "");
}

static void make_xtrim(struct line *line)
{
    add(line, "XTRIM");
    (void)add_key(line, KEYS);
    add_trim(line, MS_RANGE, 0);
}

/* Never below what was deleted: redis-server 7.0 takes that, later ones do not. */
static void make_xsetid(struct line *line)
{
    unsigned key;

    add(line, "XSETID");
    key = add_key(line, KEYS);
    last_ms[key] = MS_RANGE + below(4);
    add(line, "%u-%u", last_ms[key], SEQ_RANGE + below(4));
    if (percent(40)) add(line, "ENTRIESADDED");
    if (percent(40)) add(line, "%u", below(2000));
    if (percent(20)) add(line, "MAXDELETEDID");
    if (percent(20)) add_id(line, "");
}

static void make_look(struct line *line)
{
    unsigned choice = below(4);

    if (choice == 0) add(line, "XLEN");
    if (choice == 1) add(line, "TYPE");
    if (choice >= 2) add(line, "XINFO");
    if (choice >= 2) add(line, "STREAM");
    (void)add_key(line, KEYS);
    if (choice == 3) add(line, "FULL");
    if (choice == 3) add_count(line);
}

/* An empty stream that comes to stand under a name wakes readers in 7.0, which has nothing for
 * them.
 */
static void make_key_command(struct line *line)
{
    static const char *const names[] = { "DEL", "RENAME", "COPY", "UNLINK" };
    unsigned choice = somebody_waits() ? 3 * below(2) : below(4);

    add(line, "%s", names[choice]);
    add(line, "s%u", below(KEYS));
    if (choice == 1 || choice == 2) add(line, "s%u", below(KEYS));
    if (choice == 2 && percent(50)) add(line, "REPLACE");
}

static void make_command(struct line *line)
{
    unsigned choice = below(100);

    if (choice < 45)
        make_xadd(line);
    else if (choice < 60)
        make_xrange(line);
    else if (choice < 70)
        make_xread(line, false);
    else if (choice < 80)
        make_xdel(line);
    else if (choice < 85)
        make_xtrim(line);
    else if (choice < 87)
        make_xsetid(line);
    else if (choice < 98)
        make_look(line);
    else
        make_key_command(line);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Whether a node without entries is counted among the tree's depends on the order in which they
 * were deleted there; so nothing is asked of an empty stream. False: they differ. */
static bool look(const struct line *line)
{
    struct line length = { .count = 0 };
    struct text reply = { 0 };
    bool equal, is_empty;

    add(&length, "XLEN %s", line->words[2]);
    equal = ask_for(0, &length, &reply);
    is_empty = strcmp(text_string(&reply), ":0\r\n") == 0;
    text_finish(&reply);
    return equal && (is_empty || ask(0, line));
}

static bool run_command(void)
{
    struct line line = { .count = 0 };

    make_command(&line);
    return strcmp(line.words[0], "XINFO") == 0 ? look(&line) : ask(0, &line);
}

static void compare_contents(void)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct line line = { .count = 0 };

        add(&line, "XINFO STREAM s%u FULL", i);
        (void)look(&line);
    }
}

START_TEST(random_commands_on_streams_are_answered_as_redis_answers_them)
{
    static const struct random_test test = { .transaction_percent = 4,
                                             .make_addition = make_xadd,
                                             .make_reading = make_xrange,
                                             .make_waiting = make_waiting_xread,
                                             .run_command = run_command,
                                             .compare_contents = compare_contents };

    pair_start(&pair, NULL);
    pair_reset(&pair, 2);
    (void)ask_text(0, "CONFIG SET stream-node-max-entries 0 stream-node-max-bytes 0");
    run_seeds(&test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_entries");
    TCase *random = suite_case(suite, "random");

    tcase_add_test(random, random_commands_on_streams_are_answered_as_redis_answers_them);
    return suite_run(suite);
}
