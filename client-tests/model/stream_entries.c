/* Random commands on the entries of streams, some of them wrong, are answered by ours and by
 * redis-server byte for byte, readers that wait included. Ids are small, so that they meet; nodes
 * of the reference have no limit, so that approximate trims take all or nothing in both.
 *
 * SLUICE_SEED=N runs that seed only. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/pair.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 6,
    STEPS = 1500, /* of a seed, before scaling */
    KEYS = 3,
    MS_RANGE = 60,
    SEQ_RANGE = 4,
    BLOCKING_FIRST = 2, /* connections that wait */
    WORDS_MAX = 40,
    WORD_BYTES = 48,
};

/* A command under construction: how many words it has is known last. */
struct line {
    char words[WORDS_MAX][WORD_BYTES];
    size_t filler; /* bytes of a long value behind them; 0: none */
    int count;
};

static struct random drawn;
static struct pair pair;
/* About where each stream ends: ids are drawn around it. */
static unsigned last_ms[KEYS];

static unsigned below(unsigned bound)
{
    return random_below(&drawn, bound);
}

static bool percent(unsigned part)
{
    return random_percent(&drawn, part);
}

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    va_list list;

    ck_assert_int_lt(line->count, WORDS_MAX);
    va_start(list, format);
    (void)vsnprintf(line->words[line->count++], WORD_BYTES, format, list);
    va_end(list);
}

static unsigned add_key(struct line *line)
{
    unsigned key = below(KEYS);

    if (percent(2))
        add(line, "string");
    else if (percent(2))
        add(line, "none");
    else
        add(line, "s%u", key);
    return key;
}

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
    key = add_key(line);
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
    (void)add_key(line);
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

static void make_xdel(struct line *line)
{
    unsigned count = 1 + below(8);

    add(line, "XDEL");
    (void)add_key(line);
    for (unsigned i = 0; i < count; i++)
        add_id(line, "");
}

static void make_xtrim(struct line *line)
{
    add(line, "XTRIM");
    (void)add_key(line);
    add_trim(line, MS_RANGE, 0);
}

/* Never below what was deleted: redis-server 7.0 takes that, later ones do not. */
static void make_xsetid(struct line *line)
{
    unsigned key;

    add(line, "XSETID");
    key = add_key(line);
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
    (void)add_key(line);
    if (choice == 3) add(line, "FULL");
    if (choice == 3) add_count(line);
}

static bool somebody_waits(void)
{
    for (int i = BLOCKING_FIRST; i < PAIR_CONNECTIONS_MAX; i++) {
        if (pair.connections[i].is_blocked) return true;
    }
    return false;
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

static bool ask(int connection, const struct line *line)
{
    struct text command = { 0 }, filler = { 0 };
    bool equal;

    command_begin(&command, line->count + (line->filler > 0));
    for (int i = 0; i < line->count; i++)
        command_add_string(&command, line->words[i]);
    if (line->filler > 0) text_add_filler(&filler, line->filler);
    if (line->filler > 0) command_add(&command, filler.bytes, filler.size);
    equal = pair_ask(&pair, connection, &command, PAIR_BYTES, NULL);
    text_finish(&command);
    text_finish(&filler);
    return equal;
}

static bool ask_text(int connection, const char *text)
{
    struct text command = { 0 };
    bool equal;

    ck_assert(command_from_line(&command, text));
    equal = pair_ask(&pair, connection, &command, PAIR_BYTES, NULL);
    text_finish(&command);
    return equal;
}

/* Whether a node without entries is counted among the tree's depends on the order in which they
 * were deleted there; so nothing is asked of an empty stream. False: they differ. */
static bool look(const struct line *line)
{
    struct line length = { .count = 0 };
    struct text command = { 0 }, reply = { 0 };
    bool equal, is_empty;

    add(&length, "XLEN");
    add(&length, "%s", line->words[2]);
    command_begin(&command, length.count);
    for (int i = 0; i < length.count; i++)
        command_add_string(&command, length.words[i]);
    equal = pair_ask(&pair, 0, &command, PAIR_BYTES, &reply);
    is_empty = strcmp(text_string(&reply), ":0\r\n") == 0;
    text_finish(&command);
    text_finish(&reply);
    return equal && (is_empty || ask(0, line));
}

static bool run_transaction(void)
{
    unsigned count = 1 + below(6);
    bool equal = ask_text(0, "MULTI");

    for (unsigned i = 0; i < count && equal; i++) {
        struct line line = { .count = 0 };

        if (percent(50))
            make_xadd(&line);
        else
            make_xrange(&line);
        equal = ask(0, &line);
    }
    return equal && ask_text(0, "EXEC");
}

static bool run_step(void)
{
    struct line line = { .count = 0 };
    unsigned choice = below(100);
    int connection = BLOCKING_FIRST + (int)below(PAIR_CONNECTIONS_MAX - BLOCKING_FIRST);

    if (choice < 4) return run_transaction();
    if (choice < 10 && pair.connections[connection].is_blocked && percent(30)) {
        pair_drop(&pair, connection);
        return true;
    }
    if (choice < 10 && !pair.connections[connection].is_blocked) {
        make_xread(&line, true);
        return ask(connection, &line);
    }
    make_command(&line);
    return strcmp(line.words[0], "XINFO") == 0 ? look(&line) : ask(0, &line);
}

static void compare_contents(void)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct line line = { .count = 0 };

        add(&line, "XINFO");
        add(&line, "STREAM");
        add(&line, "s%u", i);
        add(&line, "FULL");
        (void)look(&line);
    }
}

static void run_seed(uint64_t seed)
{
    unsigned steps = suite_scaled(STEPS);
    bool equal;

    drawn.state = seed;
    pair_reset(&pair, seed % 2 == 0 ? 3 : 2);
    for (unsigned i = 0; i < KEYS; i++)
        last_ms[i] = 1;
    equal = ask_text(0, "SET string value");
    for (unsigned step = 0; step < steps && equal; step++) {
        (void)snprintf(pair.place, sizeof(pair.place), "seed %llu, step %u",
                       (unsigned long long)seed, step);
        equal = run_step();
    }
    if (equal) compare_contents();
}

START_TEST(random_commands_on_streams_are_answered_as_redis_answers_them)
{

    const char *chosen = getenv("SLUICE_SEED");
    uint64_t first = chosen ? strtoull(chosen, NULL, 10) : 1, count = chosen ? 1 : SEEDS;
    unsigned differences;

    pair_start(&pair, NULL);
    pair_reset(&pair, 2);
    (void)ask_text(0, "CONFIG SET stream-node-max-entries 0 stream-node-max-bytes 0");
    for (uint64_t seed = first; seed < first + count && pair.difference_count == 0; seed++)
        run_seed(seed);
    differences = pair.difference_count;
    if (differences > 0) printf("%s\n", text_string(&pair.report));
    (void)fflush(stdout);
    pair_finish(&pair);
    ck_assert_msg(differences == 0, "%u differences, printed above", differences);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_entries");
    TCase *random = suite_case(suite, "random");

    tcase_add_test(random, random_commands_on_streams_are_answered_as_redis_answers_them);
    return suite_run(suite);
}
