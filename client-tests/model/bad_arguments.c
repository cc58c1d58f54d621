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

/* Of both commands that tell the keys of a call. */
#define CALL_WORDS                                                                                 \
    {                                                                                              \
        "get", "SET", "mset", "lmpop", "BLMPOP", "blpop", "lmove", "object", "encoding", "client", \
            "id", "copy", "config|get", "nosuch", "0", "1", "2", "-1", "9223372036854775807", "a", \
            "", "LEFT", "GET", "del", "ping", "rename"                                             \
    }

/* Commands that have words of their own, which alone are drawn. What is compared of a reply that is
 * no error depends: ours describes itself in other sentences, and no two servers have the same
 * clients. */
static const struct subject {
    const char *name;
    enum pair_compare compare;
    const char *words[28];
} subjects[] = {
    /* Nothing that would tell how the two are set up, or change how they answer. */
    { "CONFIG SET",
      PAIR_BYTES,
      { "hz",
        "HZ",
        "maxmemory-samples",
        "list-max-listpack-size",
        "latency-tracking",
        "lazyfree-lazy-user-del",
        "latency-tracking-info-percentiles",
        "maxmemory-policy",
        "loglevel",
        "databases",
        "daemonize",
        "nosuch",
        "h*",
        "",
        "0",
        "1",
        "-1",
        "yes",
        "no",
        "a",
        "101",
        "10",
        "99999999999999999999",
        "notice",
        "noeviction",
        "1.5",
        "50 99" } },
    { "CONFIG GET", /* not hz, which redis-server forces into bounds without a word */
      PAIR_SORTED,
      { "MAXMEMORY-samples", "maxmemory-samples", "list-max-listpack-size", "lazyfree-lazy-*",
        "loglevel", "databases", "nosuch", "", "[l]oglevel", "l?glevel", "\\loglevel", "[",
        "loglevel*", "0" } },
    { "CONFIG RESETSTAT", PAIR_BYTES, { "", "a", "0" } },
    { "CONFIG REWRITE", PAIR_BYTES, { "", "a", "0" } }, /* both were started without a file */
    { "CLIENT LIST",
      PAIR_HEAD,
      { "TYPE", "type", "ID", "normal", "replica", "slave", "pubsub", "master", "nosuch", "1", "0",
        "-1", "999999", "a", "", "99999999999999999999", "1.5" } },
    /* Only clients that are not there: SKIPME alone would end all but this one. */
    { "CLIENT KILL",
      PAIR_BYTES,
      { "ID", "id", "ADDR", "LADDR", "TYPE", "USER", "replica", "pubsub", "nosuch", "999999", "0",
        "-1", "a", "", "127.0.0.1:1", "1.5", "99999999999999999999" } },
    { "CLIENT KILL ID 999999",
      PAIR_BYTES,
      { "ADDR", "LADDR", "TYPE", "USER", "SKIPME", "yes", "no", "replica", "nosuch", "a", "",
        "127.0.0.1:1" } },
    { "CLIENT PAUSE", PAIR_BYTES, { "0", "-1", "a", "", "1.5", "WRITE", "all", "nosuch" } },
    { "CLIENT REPLY", PAIR_BYTES, { "a", "", "onn", "0" } },
    { "CLIENT NO-EVICT", PAIR_BYTES, { "on", "OFF", "a", "", "0" } },
    { "COMMAND DOCS",
      PAIR_HEAD,
      { "get", "GET", "config", "config|set", "CONFIG|SET", "config|nosuch", "config|", "|",
        "get|x", "client|kill|x", "nosuch", "", "config set" } },
    { "COMMAND INFO",
      PAIR_HEAD,
      { "get", "GET", "config", "config|set", "CONFIG|SET", "config|nosuch", "config|", "|",
        "get|x", "client|kill|x", "nosuch", "", "config set" } },
    { "COMMAND LIST", /* FILTERBY without anything that only one of them has */
      PAIR_HEAD,
      { "FILTERBY", "filterby", "nosuch", "PATTERN", "ACLCAT", "", "a", "lp*", "ping" } },
    { "COMMAND LIST FILTERBY MODULE", PAIR_HEAD, { "", "a", "nosuch" } },
    { "COMMAND COUNT", PAIR_BYTES, { "a", "" } },
    { "COMMAND GETKEYS", PAIR_BYTES, CALL_WORDS },
    { "COMMAND GETKEYSANDFLAGS", PAIR_BYTES, CALL_WORDS },
    { "INFO nosuch", PAIR_BYTES, { "nosuch", "", "a", "modules" } },
    { "OBJECT HELP", PAIR_HEAD, { "a", "" } },
    /* No ids that the time is in; none that is less than what was deleted (XSETID), no overflow of
     * a sequence, of which 7.0 says something else; and "+" is new to XREAD. */
    { "XADD stream", PAIR_BYTES, { "NOMKSTREAM", "maxlen", "MINID", "~",   "=",
                                   "LIMIT",      "5-5",    "5-*",   "6-6", "6-*",
                                   "0-0",        "-",      "7",     "a",   "b",
                                   "1",          "-1",     "",      "1.5", "99999999999999999999",
                                   "a\r\nb" } },
    { "XADD", PAIR_BYTES, { "stream", "string", "none", "NOMKSTREAM", "6-6", "a", "b" } },
    { "XLEN", PAIR_BYTES, { "stream", "string", "none", "" } },
    { "XRANGE",
      PAIR_BYTES,
      { "stream", "stream", "string", "none", "-", "+", "(5-5", "(", "(-", "5", "a", "COUNT", "1",
        "0", "-1", "", "99999999999999999999" } },
    { "XREVRANGE stream",
      PAIR_BYTES,
      { "-", "+", "(5-5", "(0", "(-", "5", "a", "COUNT", "count", "1", "0", "-1", "" } },
    { "XREAD",
      PAIR_BYTES,
      { "COUNT", "count", "STREAMS", "STREAMS", "stream", "stream", "string", "none", "$", ">",
        "5-5", "5-4", "0", "-1", "a", "", "NOACK", "GROUP" } },
    { "XREAD STREAMS", PAIR_BYTES, { "stream", "string", "none", "$", ">", "5-4", "0", "a", "-" } },
    { "XDEL", PAIR_BYTES, { "stream", "stream", "string", "none", "5-5", "5", "0", "a", "-", "" } },
    { "XTRIM stream",
      PAIR_BYTES,
      { "MAXLEN", "minid", "~", "=", "LIMIT", "5", "0", "1", "-1", "a", "", "5-5", "-" } },
    { "XSETID",
      PAIR_BYTES,
      { "stream", "stream", "string", "none", "5-5", "6-6", "7", "ENTRIESADDED", "maxdeletedid",
        "0", "1", "-1", "a", "" } },
    { "XINFO", PAIR_BYTES, { "a", "HELP", "STREAM", "stream", "string", "none", "", "FULL" } },
    { "XINFO STREAM stream", PAIR_BYTES, { "FULL", "full", "COUNT", "1", "0", "-1", "a", "" } },
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
        "DISCARD",
        "UNWATCH",
        "SELECT 0",
        "FLUSHALL",
        "RPUSH list a b c 1",
        "SET string a",
        "SET number 10",
        "XADD stream 5-5 a b",
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

/* The words of name begin a command of so many arguments behind them. */
static void begin_command(struct text *command, const char *name, uint32_t argument_count)
{
    int count = 1;

    for (const char *at = name; (at = strchr(at, ' ')); at++)
        count++;
    command_begin(command, count + (int)argument_count);
    for (const char *at = name; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");

        command_add(command, at, size);
        at += size;
    }
}

static void call_subject(const struct subject *subject, uint32_t argument_count)
{
    struct text command = { 0 };
    size_t word_count = 0;

    while (word_count < COUNT_OF(subject->words) && subject->words[word_count])
        word_count++;
    ck_assert_uint_gt(word_count, 0);
    begin_command(&command, subject->name, argument_count);
    for (uint32_t i = 0; i < argument_count; i++)
        command_add_string(&command, subject->words[below(word_count)]);
    (void)pair_ask(&pair, 0, &command, subject->compare, NULL);
    text_finish(&command);
}

static void call_once(const char *name, uint32_t argument_count)
{
    struct text command = { 0 };
    bool blocks = name[0] == 'B';

    begin_command(&command, name, argument_count);
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

static void call_subject_often(const struct subject *subject)
{
    unsigned calls = suite_scaled(CALLS_EACH);

    reset_data();
    for (uint32_t argument_count = 1; argument_count <= ARGUMENTS_MAX; argument_count++) {
        for (unsigned i = 0; i < calls; i++)
            call_subject(subject, argument_count);
    }
}

static void start_pair(void)
{
    const char *chosen = getenv("SLUICE_SEED");

    drawn = (struct random){ chosen ? strtoull(chosen, NULL, 10) : 1 };
    pair_start(&pair, NULL);
    pair.keeps_history = true;
    pair_reset(&pair, 2);
    ask_line("CONFIG SET slowlog-log-slower-than -1", PAIR_BYTES); /* how long is not compared */
}

static void finish_pair(void)
{
    ck_assert_msg(pair.difference_count == 0, "%u differences:\n%.3000s", pair.difference_count,
                  text_string(&pair.report));
    pair_finish(&pair);
}

START_TEST(bad_arguments_are_refused_as_redis_refuses_them)
{
    start_pair();
    for (size_t i = 0; i < COUNT_OF(commands) && !pair_is_hopeless(&pair); i++)
        call_often(commands[i]);
    finish_pair();
}
END_TEST

START_TEST(bad_words_of_its_own_are_refused_as_redis_refuses_them)
{
    start_pair();
    for (size_t i = 0; i < COUNT_OF(subjects) && !pair_is_hopeless(&pair); i++)
        call_subject_often(&subjects[i]);
    finish_pair();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad arguments");
    TCase *tcase = suite_case(suite, "bad arguments");

    tcase_add_test(tcase, bad_arguments_are_refused_as_redis_refuses_them);
    tcase_add_test(tcase, bad_words_of_its_own_are_refused_as_redis_refuses_them);
    return suite_run(suite);
}
