/* COMMAND as redis-server answers it, and the commands that tell about the server or steer it:
 * DEBUG MEMORY LOLWUT ROLE WAIT REPLICAOF SAVE. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const debug_on[] = { "--enable-debug-command", "yes", NULL };
static const char *const tiny[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                    NULL };
static struct server server, redis, plain; /* plain: without DEBUG */
static struct wire *wire, *redis_wire;

static void start_servers(void)
{
    struct server_options options = { .arguments = debug_on, .own_arguments = tiny };

    server_start(&server, &options);
    server_start_redis(&redis, &options);
    server_start(&plain, NULL);
}

static void stop_servers(void)
{
    server_stop(&server);
    server_stop(&redis);
    server_stop(&plain);
}

static void open_clients(void)
{
    wire = wire_open(&server);
    redis_wire = wire_open(&redis);
    expect_ok(wire, "FLUSHALL");
}

static void close_clients(void)
{
    wire_close(wire);
    wire_close(redis_wire);
    server_must_live(&server);
}

static void speak(int protocol)
{
    wire_command(wire, "HELLO %d", protocol);
    wire_command(redis_wire, "HELLO %d", protocol);
    wire_skip(wire, 1);
    wire_skip(redis_wire, 1);
}

/* ---- replies as trees --------------------------------------------------------------------------
 */

/* A RESP2 reply. hiredis has trees too, but none as deep as COMMAND DOCS. */
struct node {
    char type; /* as on the wire */
    long long number;
    char *text; /* of '$' and '+'; NULL: none, or a null */
    size_t count;
    struct node *items;
};

static const char *parse(struct node *node, const char *at)
{
    const char *rest = strstr(at, "\r\n");

    ck_assert_ptr_nonnull(rest);
    *node = (struct node){ .type = *at };
    if (*at == '+' || *at == '-') {
        node->text = strndup(at + 1, (size_t)(rest - at - 1));
        return rest + 2;
    }
    ck_assert_msg(strchr("$*:", *at), "no RESP2: %.20s", at);
    node->number = strtoll(at + 1, NULL, 10);
    rest += 2;
    if (*at == '$' && node->number >= 0) {
        node->text = strndup(rest, (size_t)node->number);
        return rest + node->number + 2;
    }
    if (*at != '*' || node->number <= 0) return rest;
    node->count = (size_t)node->number;
    node->items = calloc(node->count, sizeof(*node->items));
    ck_assert_ptr_nonnull(node->items);
    for (size_t i = 0; i < node->count; i++)
        rest = parse(&node->items[i], rest);
    return rest;
}

static void forget(struct node *node)
{
    for (size_t i = 0; i < node->count; i++)
        forget(&node->items[i]);
    free(node->items);
    free(node->text);
}

static struct node ask(struct wire *to, const char *command, const char *name)
{
    struct text bytes = { 0 };
    struct node reply;

    if (name)
        wire_command(to, "COMMAND %s %s", command, name);
    else
        wire_command(to, "COMMAND %s", command);
    ck_assert_int_eq(wire_read(to, &bytes), 1);
    ck_assert_ptr_eq(parse(&reply, text_string(&bytes)), bytes.bytes + bytes.size);
    text_finish(&bytes);
    return reply;
}

/* The names of our commands and subcommands that redis-server has too. */
static struct node shared_names(void)
{
    struct node names = ask(wire, "LIST", NULL);

    for (size_t i = 0; i < names.count; i++) {
        struct node theirs = ask(redis_wire, "INFO", names.items[i].text);

        ck_assert_uint_eq(theirs.count, 1);
        if (!theirs.items[0].items) names.items[i].text[0] = '\0';
        forget(&theirs);
    }
    return names;
}

static bool is_text(const struct node *reply, const char *text)
{
    return reply->type == '$' && reply->text && strcmp(reply->text, text) == 0;
}

/* What is worded differently: what stands behind these words is not compared. Subcommands are: each
 * one when it is asked for, but their order and number differ. */
static bool is_own_wording(const struct node *word)
{
    return is_text(word, "summary") || is_text(word, "complexity") || is_text(word, "notes") ||
           is_text(word, "subcommands");
}

static bool is_same(const struct node *ours, const struct node *theirs);

/* The versions of a history are facts, its sentences are not. */
static bool is_same_history(const struct node *ours, const struct node *theirs)
{
    if (ours->count != theirs->count) return false;
    for (size_t i = 0; i < ours->count; i++) {
        if (ours->items[i].count != 2 || theirs->items[i].count != 2) return false;
        if (!is_same(&ours->items[i].items[0], &theirs->items[i].items[0])) return false;
    }
    return true;
}

static bool is_same_array(const struct node *ours, const struct node *theirs)
{
    if (ours->count != theirs->count) return false;
    for (size_t i = 0; i < ours->count; i++) {
        if (i > 0 && is_own_wording(&ours->items[i - 1])) continue;
        if (i > 0 && is_text(&ours->items[i - 1], "history")) {
            if (!is_same_history(&ours->items[i], &theirs->items[i])) return false;
        } else if (!is_same(&ours->items[i], &theirs->items[i])) {
            return false;
        }
    }
    return true;
}

static bool is_same(const struct node *ours, const struct node *theirs)
{
    if (ours->type != theirs->type) return false;
    if (ours->type == '*') return is_same_array(ours, theirs);
    if (ours->number != theirs->number || !ours->text != !theirs->text) return false;
    return !ours->text || strcmp(ours->text, theirs->text) == 0;
}

/* ---- COMMAND -----------------------------------------------------------------------------------
 */

enum { INFO_FIELDS = 10, SUBCOMMANDS_FIELD = 9, ARITY_FIELD = 1 };

START_TEST(command_info_is_that_of_redis)
{
    struct node names = shared_names();
    unsigned compared = 0;

    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i].text;
        struct node ours, theirs;

        if (!name[0]) continue;
        ours = ask(wire, "INFO", name);
        theirs = ask(redis_wire, "INFO", name);
        ck_assert_uint_eq(ours.items[0].count, INFO_FIELDS);
        ck_assert_uint_eq(theirs.items[0].count, INFO_FIELDS);
        for (size_t k = 0; k < SUBCOMMANDS_FIELD; k++)
            ck_assert_msg(is_same(&ours.items[0].items[k], &theirs.items[0].items[k]),
                          "COMMAND INFO %s differs in field %zu", name, k);
        compared++;
        forget(&ours);
        forget(&theirs);
    }
    ck_assert_uint_gt(compared, 100);
    forget(&names);
}
END_TEST

START_TEST(command_info_is_that_of_redis_in_resp3)
{
    struct node names = shared_names();
    unsigned compared = 0;

    speak(3);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i].text;
        struct text ours = { 0 }, theirs = { 0 };

        if (!name[0]) continue;
        wire_command(wire, "COMMAND INFO %s", name);
        wire_command(redis_wire, "COMMAND INFO %s", name);
        ck_assert_int_eq(wire_read(wire, &ours), 1);
        ck_assert_int_eq(wire_read(redis_wire, &theirs), 1);
        /* Notes are worded differently, subcommands come in another order: RESP2 compared them. */
        if (!strstr(text_string(&theirs), "notes") && !strchr(text_string(&theirs), '|')) {
            ck_assert_msg(ours.size == theirs.size &&
                              memcmp(ours.bytes, theirs.bytes, ours.size) == 0,
                          "COMMAND INFO %s differs in RESP3:\n%s\n%s", name, text_string(&ours),
                          text_string(&theirs));
            compared++;
        }
        text_finish(&ours);
        text_finish(&theirs);
    }
    ck_assert_uint_gt(compared, 80);
    forget(&names);
}
END_TEST

START_TEST(command_docs_are_those_of_redis_but_for_the_wording)
{
    struct node names = shared_names();

    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i].text;
        struct node ours, theirs;

        if (!name[0]) continue;
        ours = ask(wire, "DOCS", name);
        theirs = ask(redis_wire, "DOCS", name);
        ck_assert_msg(is_same(&ours, &theirs), "COMMAND DOCS %s differs", name);
        forget(&ours);
        forget(&theirs);
    }
    forget(&names);
}
END_TEST

/* What redis-server does not have cannot be compared: but if it takes arguments, it says which. */
START_TEST(every_command_of_our_own_describes_its_arguments)
{
    struct node names = ask(wire, "LIST", NULL);
    unsigned judged = 0;

    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i].text;
        struct node theirs = ask(redis_wire, "INFO", name), info = ask(wire, "INFO", name);
        struct node docs = ask(wire, "DOCS", name);
        const struct node *fields = &docs.items[1];
        long long least = llabs(info.items[0].items[ARITY_FIELD].number);
        bool has_arguments = false;

        for (size_t k = 0; k + 1 < fields->count; k += 2) {
            has_arguments |= is_text(&fields->items[k], "arguments");
            has_arguments |= is_text(&fields->items[k], "subcommands");
        }
        if (theirs.items[0].count == 0 && least > (strchr(name, '|') ? 2 : 1)) {
            ck_assert_msg(has_arguments, "%s describes no arguments", name);
            judged++;
        }
        forget(&theirs);
        forget(&info);
        forget(&docs);
    }
    ck_assert_uint_gt(judged, 3);
    forget(&names);
}
END_TEST

START_TEST(command_counts_what_it_lists)
{
    struct node all = ask(wire, "INFO", NULL), docs = ask(wire, "DOCS", NULL);
    struct node names = ask(wire, "LIST", NULL);
    size_t with_children = all.count;

    for (size_t i = 0; i < all.count; i++)
        with_children += all.items[i].items[SUBCOMMANDS_FIELD].count;
    ck_assert_uint_eq(names.count, with_children);
    ck_assert_uint_eq(docs.count, 2 * all.count);
    expect_integer(wire, (long long)all.count, "COMMAND COUNT");
    wire_command(wire, "COMMAND");
    wire_skip(wire, 1);
    forget(&all);
    forget(&docs);
    forget(&names);
}
END_TEST

START_TEST(command_list_takes_filters)
{
    static const char *const lines[] = {
        "COMMAND LIST FILTERBY PATTERN LPO*",
        "1) \"lpop\"\n2) \"lpos\"",
        "COMMAND LIST FILTERBY PATTERN memory|u*",
        "1) \"memory|usage\"",
        "COMMAND LIST FILTERBY ACLCAT transaction",
        "1) \"multi\"\n2) \"exec\"\n3) \"discard\"\n4) \"watch\"\n5) \"unwatch\"",
        "COMMAND LIST FILTERBY ACLCAT @transaction",
        "(empty array)",
        "COMMAND LIST FILTERBY MODULE any",
        "(empty array)",
        "COMMAND LIST FILTERBY ACLCAT",
        "(error) ERR syntax error",
        "COMMAND LIST PATTERN a b",
        "(error) ERR syntax error",
        "COMMAND INFO nosuch",
        "1) (nil)",
        "COMMAND DOCS nosuch",
        "(empty array)",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(command_getkeys_finds_keys_wherever_they_stand)
{
    static const char *const lines[] = {
        "COMMAND GETKEYS GET k",
        "1) \"k\"",
        "COMMAND GETKEYS MSET a 1 b 2",
        "1) \"a\"\n2) \"b\"",
        "COMMAND GETKEYS BLPOP a b c 0",
        "1) \"a\"\n2) \"b\"\n3) \"c\"",
        "COMMAND GETKEYS BLMPOP 0 2 a b LEFT",
        "1) \"a\"\n2) \"b\"",
        "COMMAND GETKEYS OBJECT ENCODING k",
        "1) \"k\"",
        "COMMAND GETKEYS LMPOP 0 a LEFT",
        "(error) ERR Invalid arguments specified for command",
        "COMMAND GETKEYS LMPOP 3 a LEFT",
        "(error) ERR Invalid arguments specified for command",
        "COMMAND GETKEYS LMPOP 9223372036854775807 a LEFT",
        "(error) ERR Invalid arguments specified for command",
        "COMMAND GETKEYS CLIENT ID",
        "(error) ERR The command has no key arguments",
        "COMMAND GETKEYS BLPOP 0",
        "(error) ERR Invalid number of arguments specified for command",
        "COMMAND GETKEYS OBJECT NOSUCH k",
        "(error) ERR Invalid command specified",
        "COMMAND GETKEYS NOSUCH k",
        "(error) ERR Invalid command specified",
        "COMMAND GETKEYSANDFLAGS SET k v",
        "1) 1) \"k\"\n   2) 1) OW\n      2) update",
        "COMMAND GETKEYSANDFLAGS SET k v PX 1 GET",
        "1) 1) \"k\"\n   2) 1) RW\n      2) access\n      3) update",
        "COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT",
        "1) 1) \"a\"\n   2) 1) RW\n      2) access\n      3) delete\n"
        "2) 1) \"b\"\n   2) 1) RW\n      2) insert",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

/* ---- DEBUG -------------------------------------------------------------------------------------
 */

START_TEST(debug_is_refused_unless_the_configuration_allows_it)
{
    struct wire *to_plain = wire_open(&plain);

    expect_error(to_plain, "ERR DEBUG command not allowed. If the enable-debug-command option is",
                 "DEBUG SLEEP 0");
    expect_error(to_plain, "ERR DEBUG command not allowed.", "DEBUG NOSUCH");
    wire_close(to_plain);
    expect_ok(wire, "DEBUG SLEEP 0");
}
END_TEST

START_TEST(debug_protocol_shows_every_type_as_redis_does)
{
    static const char *const types[] = { "string", "integer", "double", "bignum",  "null",
                                         "array",  "set",     "map",    "attrib",  "push",
                                         "true",   "false",   "nosuch", "verbatim" };

    for (int protocol = 2; protocol <= 3; protocol++) {
        speak(protocol);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            /* A push brings a reply after it, and no other type does. */
            int replies = protocol == 3 && strcmp(types[i], "push") == 0 ? 2 : 1;
            struct text ours = { 0 }, theirs = { 0 };

            wire_command(wire, "DEBUG PROTOCOL %s", types[i]);
            wire_command(redis_wire, "DEBUG PROTOCOL %s", types[i]);
            for (int k = 0; k < replies; k++) {
                ck_assert_int_eq(wire_read(wire, &ours), 1);
                ck_assert_int_eq(wire_read(redis_wire, &theirs), 1);
            }
            ck_assert_str_eq(text_string(&ours), text_string(&theirs));
            text_finish(&ours);
            text_finish(&theirs);
        }
        expect_text(wire, "PONG", "PING");
    }
}
END_TEST

START_TEST(debug_refuses_what_it_does_not_know)
{
    static const char *const lines[] = {
        "DEBUG NOSUCH",
        "(error) ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.",
        "DEBUG SLEEP",
        "(error) ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.",
        "DEBUG SLEEP x",
        "(error) ERR value is not a valid float",
        "DEBUG SLEEP nan",
        "(error) ERR value is not a valid float",
        "DEBUG OBJECT nokey",
        "(error) ERR no such key",
        "DEBUG QUICKLIST-PACKED-THRESHOLD 100b",
        "OK",
        "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
        "(error) ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        "DEBUG SET-ACTIVE-EXPIRE x",
        "(error) ERR value is not an integer or out of range",
        "DEBUG ERROR \"OWN words\"",
        "(error) OWN words",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(debug_object_tells_how_a_value_is_stored)
{
    static const char *const lines[] = { "RPUSH l a bb ccc",
                                         "(integer) 3",
                                         "SET s 123",
                                         "OK",
                                         "DEBUG OBJECT l",
                                         "Value at:0x…",
                                         "DEBUG OBJECT s",
                                         "Value at:0x…",
                                         "OBJECT REFCOUNT l",
                                         "(integer) 1",
                                         NULL };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(keys_stay_until_looked_at_while_active_expiry_is_off)
{
    int64_t deadline = clock_ms() + WAIT_MS;

    expect_ok(wire, "DEBUG SET-ACTIVE-EXPIRE 0");
    expect_ok(wire, "SET unseen v PX 1");
    expect_ok(wire, "SET seen v PX 1");
    while (ask_integer(wire, "EXISTS seen") == 1) {
        ck_assert_msg(clock_probe(deadline), "the key never expires");
    }
    expect_integer(wire, 1, "DBSIZE");
    expect_ok(wire, "DEBUG SET-ACTIVE-EXPIRE 1");
    while (ask_integer(wire, "DBSIZE") == 1) {
        ck_assert_msg(clock_probe(deadline), "active expiry does not come back");
    }
}
END_TEST

/* ---- MEMORY ------------------------------------------------------------------------------------
 */

START_TEST(memory_usage_counts_what_is_in_memory)
{
    enum { ELEMENTS = 20000, ELEMENT_BYTES = 100 };
    char element[ELEMENT_BYTES + 1];
    long long one, hundred;

    memset(element, 'x', ELEMENT_BYTES);
    element[ELEMENT_BYTES] = '\0';
    expect_nil(wire, "MEMORY USAGE nokey");
    expect_integer(wire, 1, "RPUSH l %s", element);
    one = ask_integer(wire, "MEMORY USAGE l");
    ck_assert_int_gt(one, ELEMENT_BYTES);
    for (int i = 1; i < 100; i++)
        expect_integer(wire, i + 1, "RPUSH l %s", element);
    hundred = ask_integer(wire, "MEMORY USAGE l SAMPLES 0");
    ck_assert_int_gt(hundred, one + 99 * ELEMENT_BYTES);
    for (int i = 100; i < ELEMENTS; i++)
        wire_command(wire, "RPUSH l %s", element);
    wire_skip(wire, ELEMENTS - 100);
    /* list-memory-max is 256 KiB: nearly all of it is on disk by now. */
    ck_assert_int_lt(ask_integer(wire, "MEMORY USAGE l"), ELEMENTS * ELEMENT_BYTES / 2);
}
END_TEST

START_TEST(memory_usage_refuses_what_redis_refuses)
{
    static const char *const lines[] = {
        "RPUSH l a",
        "(integer) 1",
        "MEMORY USAGE l SAMPLES",
        "(error) ERR syntax error",
        "MEMORY USAGE l SAMPLES -1",
        "(error) ERR syntax error",
        "MEMORY USAGE l SAMPLES x",
        "(error) ERR value is not an integer or out of range",
        "MEMORY USAGE l FOO 1",
        "(error) ERR syntax error",
        "MEMORY NOSUCH",
        "(error) ERR unknown subcommand 'NOSUCH'. Try MEMORY HELP.",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(memory_stats_has_the_fields_of_redis)
{
    struct text ours = { 0 }, theirs = { 0 };
    char field[64];

    expect_ok(wire, "SET s v");
    expect_ok(redis_wire, "SET s v");
    wire_command(wire, "MEMORY STATS");
    wire_command(redis_wire, "MEMORY STATS");
    ck_assert_int_eq(wire_read(wire, &ours), 1);
    ck_assert_int_eq(wire_read(redis_wire, &theirs), 1);
    for (const char *at = text_string(&theirs); (at = strchr(at, '$')) != NULL; at++) {
        if (sscanf(at, "$%*d\r\n%63[a-z0-9.-]\r\n", field) != 1 || field[0] < 'a') continue;
        ck_assert_msg(strstr(text_string(&ours), field) != NULL, "no field %s", field);
    }
    text_finish(&ours);
    text_finish(&theirs);
    expect_ok(redis_wire, "FLUSHALL");
}
END_TEST

START_TEST(memory_reports_and_purges)
{
    struct text report = { 0 };

    expect_ok(wire, "MEMORY PURGE");
    wire_command(wire, "MEMORY MALLOC-STATS");
    ck_assert_int_eq(wire_read(wire, &report), 1);
    ck_assert_int_eq(report.bytes[0], '$');
    ck_assert_uint_gt(report.size, 20);
    text_finish(&report);
    wire_command(wire, "MEMORY DOCTOR");
    report = (struct text){ 0 };
    ck_assert_int_eq(wire_read(wire, &report), 1);
    ck_assert_int_eq(report.bytes[0], '$');
    text_finish(&report);
}
END_TEST

/* ---- the others --------------------------------------------------------------------------------
 */

START_TEST(lolwut_ends_with_the_version)
{
    static const char *const forms[] = { "LOLWUT", "LOLWUT VERSION 5", "LOLWUT VERSION 99" };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct text art = { 0 };

        wire_command_line(wire, forms[i]);
        ck_assert_int_eq(wire_read(wire, &art), 1);
        ck_assert_ptr_nonnull(strstr(text_string(&art), "\nSluice ver. 0.1.0\n\r\n"));
        text_finish(&art);
    }
    expect_error(wire, "ERR value is not an integer", "LOLWUT VERSION x");
}
END_TEST

START_TEST(replication_is_that_of_a_master_alone)
{
    static const char *const lines[] = { "ROLE",
                                         "1) \"master\"\n2) (integer) 0\n3) (empty array)",
                                         "WAIT 0 0",
                                         "(integer) 0",
                                         "WAIT 3 0",
                                         "(integer) 0",
                                         "WAIT x 0",
                                         "(error) ERR value is not an integer or out of range",
                                         "WAIT 0 -1",
                                         "(error) ERR timeout is negative",
                                         "REPLICAOF NO ONE",
                                         "OK",
                                         "slaveof no one",
                                         "OK",
                                         "REPLICAOF 127.0.0.1 6379",
                                         "(error) ERR This server replicates no other server…",
                                         NULL };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(nothing_claims_to_have_saved)
{
    static const char *const commands[] = { "SAVE", "BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF",
                                            "LASTSAVE" };

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        expect_error(wire, "ERR Nothing can be saved", commands[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server commands");
    TCase *tcase = suite_case(suite, "server");

    tcase_add_unchecked_fixture(tcase, start_servers, stop_servers);
    tcase_add_checked_fixture(tcase, open_clients, close_clients);
    tcase_add_test(tcase, command_info_is_that_of_redis);
    tcase_add_test(tcase, command_info_is_that_of_redis_in_resp3);
    tcase_add_test(tcase, command_docs_are_those_of_redis_but_for_the_wording);
    tcase_add_test(tcase, every_command_of_our_own_describes_its_arguments);
    tcase_add_test(tcase, command_counts_what_it_lists);
    tcase_add_test(tcase, command_list_takes_filters);
    tcase_add_test(tcase, command_getkeys_finds_keys_wherever_they_stand);
    tcase_add_test(tcase, debug_is_refused_unless_the_configuration_allows_it);
    tcase_add_test(tcase, debug_protocol_shows_every_type_as_redis_does);
    tcase_add_test(tcase, debug_refuses_what_it_does_not_know);
    tcase_add_test(tcase, debug_object_tells_how_a_value_is_stored);
    tcase_add_test(tcase, keys_stay_until_looked_at_while_active_expiry_is_off);
    tcase_add_test(tcase, memory_usage_counts_what_is_in_memory);
    tcase_add_test(tcase, memory_usage_refuses_what_redis_refuses);
    tcase_add_test(tcase, memory_stats_has_the_fields_of_redis);
    tcase_add_test(tcase, memory_reports_and_purges);
    tcase_add_test(tcase, lolwut_ends_with_the_version);
    tcase_add_test(tcase, replication_is_that_of_a_master_alone);
    tcase_add_test(tcase, nothing_claims_to_have_saved);
    return suite_run(suite);
}
