/* Every command that redis-server and ours both have, called with no to seven arguments that were
 * drawn from what is wrong in one place or another: the errors are the same byte for byte, and so
 * are the replies where the arguments happened to be right.
 *
 * SLUICE_SEED=N runs that seed only. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/pair.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ARGUMENTS_MAX = 7, CALLS_EACH = 30, CALLS_A_RESET = 15 };

/* Left out: what ends the connection or the server, tells times, sizes and addresses, asks for
 * other commands than the two have in common, is ours alone to refuse, or walks in another order.
 * What blocks runs inside MULTI. */
static const char *const commands[] = {
    "APPEND",
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "COPY",
    "DBSIZE",
    "DECR",
    "DECRBY",
    "DEL",
    "DISCARD",
    "ECHO",
    "EXEC",
    "EXISTS",
    "EXPIRE",
    "EXPIREAT",
    "EXPIRETIME",
    "FLUSHALL",
    "FLUSHDB",
    "GET",
    "GETDEL",
    "GETEX",
    "GETSET",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "KEYS",
    "LINDEX",
    "LINSERT",
    "LLEN",
    "LMOVE",
    "LMPOP",
    "LPOP",
    "LPOS",
    "LPUSH",
    "LPUSHX",
    "LRANGE",
    "LREM",
    "LSET",
    "LTRIM",
    "MGET",
    "MOVE",
    "MSET",
    "MSETNX",
    "MULTI",
    "OBJECT",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PEXPIRETIME",
    "PING",
    "PSETEX",
    "PTTL",
    "RENAME",
    "RENAMENX",
    "RPOP",
    "RPOPLPUSH",
    "RPUSH",
    "RPUSHX",
    "SELECT",
    "SET",
    "SETEX",
    "SETNX",
    "STRLEN",
    "SUBSTR",
    "SWAPDB",
    "TOUCH",
    "TTL",
    "TYPE",
    "UNLINK",
    "UNWATCH",
    "WAIT",
    "WATCH",

    "CLIENT UNBLOCK",
    "CLIENT SETNAME",
    "CLIENT NO-EVICT",
    "CLIENT FOO",
    "SLOWLOG GET",
    "LATENCY HISTORY",
    "LATENCY GRAPH",
    "LATENCY RESET",
    "CONFIG FOO",
    "MEMORY FOO",
    "OBJECT FREQ",
    "OBJECT REFCOUNT",
    "COMMAND FOO",
};

static const char *const keys[] = { "list", "string", "number", "none" };

static const char *const values[] = {
    "",
    "a",
    "0",
    "1",
    "-1",
    "2",
    "3",
    "list",
    "string",
    "number",
    "none",
    "9223372036854775807",
    "-9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "1.5",
    "nan",
    "inf",
    "-inf",
    " 1",
    "1 ",
    "0x10",
    "+1",
    "01",
    "-0",
    "LEFT",
    "RIGHT",
    "COUNT",
    "EX",
    "PX",
    "NX",
    "XX",
    "GT",
    "LT",
    "GET",
    "KEEPTTL",
    "PERSIST",
    "EXAT",
    "PXAT",
    "RANK",
    "MAXLEN",
    "BEFORE",
    "AFTER",
    "DB",
    "REPLACE",
    "ASYNC",
    "SYNC",
    "*",
    "TIMEOUT",
    "ERROR",
    "ON",
    "10000",
    "\r\n",
    "a\r\nb",
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct pair pair;
static struct random drawn;

static uint32_t below(size_t bound)
{
    return random_below(&drawn, (uint32_t)bound);
}

static void ask_line(const char *line, enum pair_compare compare)
{
    struct text command = { 0 };

    ck_assert(command_from_line(&command, line));
    (void)pair_ask(&pair, 0, &command, compare, NULL);
    text_finish(&command);
}

/* Whatever the calls before have left behind. */
static void reset_data(void)
{
    static const char *const lines[] = {
        "DISCARD",      "UNWATCH",       "SELECT 0", "FLUSHALL", "RPUSH list a b c 1",
        "SET string a", "SET number 10",
    };

    for (size_t i = 0; i < COUNT_OF(lines); i++)
        ask_line(lines[i], PAIR_BYTES);
}

/* Times are told to a millisecond, and KEYS in any order. */
static enum pair_compare comparison(const char *name)
{
    static const char *const times[] = { "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME" };

    for (size_t i = 0; i < COUNT_OF(times); i++) {
        if (strcmp(name, times[i]) == 0) return PAIR_TYPE;
    }
    return strcmp(name, "KEYS") == 0 ? PAIR_SORTED : PAIR_BYTES;
}

/* Of a timeout that overflows redis-server 7.0 says that it is negative, later ones as ours that it
 * is out of range. */
static const char *draw_value(bool blocks)
{
    const char *value;

    do {
        value = values[below(COUNT_OF(values))];
    } while (blocks && ((strlen(value) > 18 && value[0] == '9') || strcmp(value, "inf") == 0));
    return value;
}

static void call_once(const char *name, uint32_t argument_count)
{
    struct text command = { 0 };
    const char *space = strchr(name, ' ');
    bool blocks = name[0] == 'B';

    command_begin(&command, 1 + (space != NULL) + (int)argument_count);
    command_add(&command, name, space ? (size_t)(space - name) : strlen(name));
    if (space) command_add_string(&command, space + 1);
    for (uint32_t i = 0; i < argument_count; i++) {
        bool is_key = i == 0 && below(10) < 6;

        command_add_string(&command, is_key ? keys[below(COUNT_OF(keys))] : draw_value(blocks));
    }
    if (blocks) ask_line("MULTI", PAIR_BYTES);
    (void)pair_ask(&pair, 0, &command, comparison(name), NULL);
    if (blocks) ask_line("EXEC", PAIR_BYTES);
    text_finish(&command);
}

static void call_often(const char *name)
{
    unsigned calls = suite_scaled(CALLS_EACH), made = 0;

    reset_data();
    for (uint32_t argument_count = 0; argument_count <= ARGUMENTS_MAX; argument_count++) {
        for (unsigned i = 0; i < (argument_count ? calls : 1); i++) {
            call_once(name, argument_count);
            if (++made % CALLS_A_RESET == 0) reset_data();
        }
    }
}

START_TEST(bad_arguments_are_refused_as_redis_refuses_them)
{
    const char *chosen = getenv("SLUICE_SEED");

    drawn = (struct random){ chosen ? strtoull(chosen, NULL, 10) : 1 };
    pair_start(&pair, NULL);
    pair.keeps_history = true;
    pair_reset(&pair, 2);
    ask_line("CONFIG SET slowlog-log-slower-than -1", PAIR_BYTES); /* how long is not compared */
    for (size_t i = 0; i < COUNT_OF(commands) && !pair_is_hopeless(&pair); i++)
        call_often(commands[i]);
    ck_assert_msg(pair.difference_count == 0, "%u differences:\n%.3000s", pair.difference_count,
                  text_string(&pair.report));
    pair_finish(&pair);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad arguments");
    TCase *tcase = suite_case(suite, "bad arguments");

    tcase_add_test(tcase, bad_arguments_are_refused_as_redis_refuses_them);
    return suite_run(suite);
}
