/* COMMAND and its subcommands, as redis-server answers them; sentences are our own. */
#include "client-tests/commands/beside_redis.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const struct node *item(const struct node *node, size_t index)
{
    if (!node->items || index >= node->count) ck_abort_msg("a reply is too short");
    return &node->items[index];
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

/* ---- what our commands take and this redis-server does not ------------------------------------
 */

/* Than 7.0, which is what we compare with. */
static bool is_newer(const struct node *version)
{
    unsigned major, minor;

    if (!version->text || sscanf(version->text, "%u.%u.", &major, &minor) != 2) return false;
    return major > 7 || (major == 7 && minor > 0);
}

/* An argument, or a line of a history. */
static bool tells_of_newer(const struct node *node)
{
    if (node->count == 2 && is_newer(&node->items[0])) return true;
    for (size_t i = 0; i + 1 < node->count; i += 2) {
        if (is_text(&node->items[i], "since") && is_newer(&node->items[i + 1])) return true;
    }
    return false;
}

static void drop(struct node *node, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        forget(&node->items[i]);
    node->count -= count;
    memmove(node->items + first, node->items + first + count,
            (node->count - first) * sizeof(*node->items));
}

static void drop_newer(struct node *node)
{
    for (size_t i = 0; i < node->count;) {
        if (tells_of_newer(&node->items[i])) {
            drop(node, i, 1);
            continue;
        }
        drop_newer(&node->items[i]);
        if (i > 0 && is_text(&node->items[i - 1], "history") && node->items[i].count == 0)
            drop(node, --i, 2);
        else
            i++;
    }
}

START_TEST(command_docs_are_those_of_redis_but_for_the_wording)
{
    struct node names = shared_names();

    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i].text;
        struct node ours, theirs;

        if (!name[0]) continue;
        ours = ask(wire, "DOCS", name);
        theirs = ask(redis_wire, "DOCS", name);
        drop_newer(&ours);
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
        with_children += item(item(&all, i), SUBCOMMANDS_FIELD)->count;
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
        NULL
    };

    expect_lines(wire, lines);
    expect_text(wire,
                "1) 1) \"a\"\n   2) 1) RW\n      2) access\n      3) delete\n"
                "2) 1) \"b\"\n   2) 1) RW\n      2) insert",
                "COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT");
}
END_TEST

static void start_servers(void)
{
    start_both(NULL);
}

int main(void)
{
    Suite *suite = suite_create("COMMAND");
    TCase *tcase = suite_case(suite, "command");

    tcase_add_unchecked_fixture(tcase, start_servers, stop_both);
    tcase_add_checked_fixture(tcase, open_clients, close_clients);
    tcase_add_test(tcase, command_info_is_that_of_redis);
    tcase_add_test(tcase, command_info_is_that_of_redis_in_resp3);
    tcase_add_test(tcase, command_docs_are_those_of_redis_but_for_the_wording);
    tcase_add_test(tcase, every_command_of_our_own_describes_its_arguments);
    tcase_add_test(tcase, command_counts_what_it_lists);
    tcase_add_test(tcase, command_list_takes_filters);
    tcase_add_test(tcase, command_getkeys_finds_keys_wherever_they_stand);
    return suite_run(suite);
}
