/* random_streams.h - random commands on streams, some of them wrong, are answered by ours and by
 * redis-server alike, readers that wait included. Which commands there are is the test's.
 *
 * SLUICE_SEED=N runs that seed only. */
#ifndef CLIENT_TESTS_MODEL_RANDOM_STREAMS_H
#define CLIENT_TESTS_MODEL_RANDOM_STREAMS_H
#include "client-tests/lib/command.h"
#include "client-tests/lib/pair.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 6,
    STEPS = 1500, /* of a seed, before scaling */
    KEYS_MAX = 3,
    BLOCKING_FIRST = 2,   /* connections that wait */
    BLOCKING_PERCENT = 6, /* of the steps are about these */
    WORDS_MAX = 40,
    WORD_BYTES = 48,
};

/* A command under construction: how many words it has is known last. */
struct line {
    char words[WORDS_MAX][WORD_BYTES];
    size_t filler; /* bytes of a long value behind them; 0: none */
    int count;
    enum pair_compare compare;
};

/* What a test is made of. */
struct random_test {
    unsigned transaction_percent; /* of the steps */
    /* A command in a transaction is one of these. */
    void (*make_addition)(struct line *line);
    void (*make_reading)(struct line *line);
    void (*make_waiting)(struct line *line); /* that blocks, or not */
    bool (*run_command)(void);               /* any other; false: the servers differ */
    void (*compare_contents)(void);          /* at the end of a seed */
};

static struct random drawn;
static struct pair pair;
/* About where each stream ends: ids are drawn around it. */
static unsigned last_ms[KEYS_MAX];

static inline unsigned below(unsigned bound)
{
    return random_below(&drawn, bound);
}

static inline bool percent(unsigned part)
{
    return random_percent(&drawn, part);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Words parted by spaces, or an empty one. */
__attribute__((format(printf, 2, 3))) static inline void add(struct line *line, const char *format,
                                                             ...)
{
    char text[4 * WORD_BYTES], *at = text;
    va_list list;

    va_start(list, format);
    ck_assert_int_lt(vsnprintf(text, sizeof(text), format, list), (int)sizeof(text));
    va_end(list);
    do {
        size_t size = strcspn(at, " ");

        ck_assert_int_lt(line->count, WORDS_MAX);
        ck_assert_uint_lt(size, WORD_BYTES);
        memcpy(line->words[line->count], at, size);
        line->words[line->count++][size] = '\0';
        at += size;
    } while (*at++ == ' ');
}

/* A stream's, or of something else. A stream's number. */
static inline unsigned add_key(struct line *line, unsigned keys)
{
    unsigned key = below(keys);

    if (percent(2))
        add(line, "string");
    else if (percent(2))
        add(line, "none");
    else
        add(line, "s%u", key);
    return key;
}

static inline bool somebody_waits(void)
{
    for (int i = BLOCKING_FIRST; i < PAIR_CONNECTIONS_MAX; i++) {
        if (pair.connections[i].is_blocked) return true;
    }
    return false;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* reply as in pair_ask. False: they differ. */
static inline bool ask_for(int connection, const struct line *line, struct text *reply)
{
    struct text command = { 0 }, filler = { 0 };
    bool equal;

    command_begin(&command, line->count + (line->filler > 0));
    for (int i = 0; i < line->count; i++)
        command_add_string(&command, line->words[i]);
    if (line->filler > 0) text_add_filler(&filler, line->filler);
    if (line->filler > 0) command_add(&command, filler.bytes, filler.size);
    equal = pair_ask(&pair, connection, &command, line->compare, reply);
    text_finish(&command);
    text_finish(&filler);
    return equal;
}

static inline bool ask(int connection, const struct line *line)
{
    return ask_for(connection, line, NULL);
}

static inline bool ask_text(int connection, const char *text)
{
    struct line line = { .count = 0 };

    add(&line, "%s", text);
    return ask(connection, &line);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static inline bool run_transaction(const struct random_test *test)
{
    unsigned count = 1 + below(6);
    bool equal = ask_text(0, "MULTI");

    for (unsigned i = 0; i < count && equal; i++) {
        struct line line = { .count = 0 };

        if (percent(50))
            test->make_addition(&line);
        else
            test->make_reading(&line);
        equal = ask(0, &line);
    }
    return equal && ask_text(0, "EXEC");
}

static inline bool run_step(const struct random_test *test)
{
    struct line line = { .count = 0 };
    unsigned choice = below(100);
    int connection = BLOCKING_FIRST + (int)below(PAIR_CONNECTIONS_MAX - BLOCKING_FIRST);
    bool is_blocking = choice < test->transaction_percent + BLOCKING_PERCENT;

    if (choice < test->transaction_percent) return run_transaction(test);
    if (is_blocking && pair.connections[connection].is_blocked && percent(30)) {
        pair_drop(&pair, connection);
        return true;
    }
    if (is_blocking && !pair.connections[connection].is_blocked) {
        test->make_waiting(&line);
        return ask(connection, &line);
    }
    return test->run_command();
}

static inline void run_seed(const struct random_test *test, uint64_t seed)
{
    unsigned steps = suite_scaled(STEPS);
    bool equal;

    drawn.state = seed;
    pair_reset(&pair, seed % 2 == 0 ? 3 : 2);
    for (unsigned i = 0; i < KEYS_MAX; i++)
        last_ms[i] = 1;
    equal = ask_text(0, "SET string value");
    for (unsigned step = 0; step < steps && equal; step++) {
        (void)snprintf(pair.place, sizeof(pair.place), "seed %llu, step %u",
                       (unsigned long long)seed, step);
        equal = run_step(test);
    }
    if (equal) test->compare_contents();
}

/* The pair has been started; it is finished. */
static inline void run_seeds(const struct random_test *test)
{
    const char *chosen = getenv("SLUICE_SEED");
    uint64_t first = chosen ? strtoull(chosen, NULL, 10) : 1, count = chosen ? 1 : SEEDS;

    for (uint64_t seed = first; seed < first + count && pair.difference_count == 0; seed++)
        run_seed(test, seed);
    pair_finish_equal(&pair);
}
#endif
