/* test_command_docs.c - the rows of command_docs.def belong to commands and hold together. */
#include <check.h>

#include "modules/base/test_suite.h"
#include "server/commands/command_docs.h"
#include "server/commands/getkeys.h"
#include "server/commands/table.h"

static struct command_table *table;

static void make_table(void)
{
    ck_assert_int_eq(command_table_create(&table), 0);
}

static void drop_table(void)
{
    command_table_destroy(table);
}

START_TEST(every_row_belongs_to_a_command)
{
    const struct command_docs *docs;

    for (uint32_t i = 0; (docs = command_docs_at(i)) != NULL; i++) {
        const struct command *command = command_find_full(table, slice_of_string(docs->name));

        ck_assert_msg(command != NULL, "no command %s", docs->name);
        ck_assert_msg(command->docs == docs, "two rows for %s", docs->name);
    }
}
END_TEST

static int spec_count(const struct command *command)
{
    struct key_spec space[KEY_SPEC_SPACE];
    const struct key_spec *specs = key_specs_of(command, space);
    int count = 0;

    while (specs[count].begin != KEY_BEGIN_NONE) {
        count++;
    }
    return count;
}

static void check_arguments(const struct command *command, const struct command_argument *arguments)
{
    for (const struct command_argument *at = arguments; at->name; at++) {
        bool is_group = at->type == ARGUMENT_ONEOF || at->type == ARGUMENT_BLOCK;

        ck_assert_msg(at->type != ARGUMENT_PURE_TOKEN || at->token, "%s: %s has no token",
                      command->full_name, at->name);
        ck_assert_msg(is_group == (at->children != NULL), "%s: %s and its children",
                      command->full_name, at->name);
        ck_assert_msg(at->key_number <= spec_count(command), "%s: %s has no key specification",
                      command->full_name, at->name);
        ck_assert_msg(!(at->flags & ARGUMENT_MULTIPLE_TOKEN) || at->token,
                      "%s: %s has no token to repeat", command->full_name, at->name);
        if (at->children) check_arguments(command, at->children);
    }
}

START_TEST(arguments_hold_together)
{
    const struct command_docs *docs;

    for (uint32_t i = 0; (docs = command_docs_at(i)) != NULL; i++) {
        if (docs->arguments)
            check_arguments(command_find_full(table, slice_of_string(docs->name)), docs->arguments);
    }
}
END_TEST

/* ---- keys ----------------------------------------------------------------------------------- */

enum { ARGUMENTS_MAX = 16 };

struct seen {
    uint32_t indexes[ARGUMENTS_MAX], flags[ARGUMENTS_MAX];
    int64_t count;
};

static void see(void *context, uint32_t index, uint32_t flags)
{
    struct seen *seen = context;

    ck_assert_int_lt(seen->count, ARGUMENTS_MAX);
    seen->indexes[seen->count] = index;
    seen->flags[seen->count++] = flags;
}

/* Words are parted by single spaces. */
static struct seen look(const char *line)
{
    struct slice arguments[ARGUMENTS_MAX] = { 0 };
    uint32_t count = 0;
    struct seen seen = { .count = 0 };
    const struct command *command;
    int64_t visited;

    for (const char *end; *line; line = *end ? end + 1 : end) {
        end = strchrnul(line, ' ');
        ck_assert_uint_lt(count, ARGUMENTS_MAX);
        arguments[count++] = slice_of(line, (size_t)(end - line));
    }
    command = command_find(table, arguments[0]);
    ck_assert_ptr_nonnull(command);
    if (command->child_count > 0) command = command_child(command, arguments[1]);
    visited = keys_visit(command, arguments, count, see, &seen);
    if (visited < 0) seen.count = visited;
    ck_assert_int_eq(seen.count, visited);
    return seen;
}

/* What COMMAND GETKEYS tells and what dispatch claims are found in two ways: they must agree. */
START_TEST(specifications_find_the_keys_that_dispatch_claims)
{
    static const char *const words[] = { "x", "2", "2", "a", "b", "c", "d", "e" };
    struct slice arguments[8] = { 0 };
    unsigned compared = 0;

    for (uint32_t i = 0; i < 8; i++) {
        arguments[i] = slice_of_string(words[i]);
    }
    for (uint32_t i = 0; i < command_count(table); i++) {
        const struct command *command = command_at(table, i);
        uint32_t indexes[8];
        struct seen seen = { .count = 0 };
        int expected = command_keys(command, arguments, 8, indexes, 8);

        if (expected <= 0) continue;
        ck_assert_msg(keys_visit(command, arguments, 8, see, &seen) == expected, "%s",
                      command->full_name);
        for (int k = 0; k < expected; k++) {
            ck_assert_msg(seen.indexes[k] == indexes[k], "%s", command->full_name);
        }
        compared++;
    }
    ck_assert_uint_gt(compared, 50);
}
END_TEST

START_TEST(options_decide_what_set_does_with_its_key)
{
    ck_assert_uint_eq(look("set k v").flags[0], KEY_OW | KEY_UPDATE);
    ck_assert_uint_eq(look("set k v nx get").flags[0], KEY_RW | KEY_ACCESS | KEY_UPDATE);
    ck_assert_uint_eq(look("set get get").flags[0], KEY_OW | KEY_UPDATE);
}
END_TEST

START_TEST(wrong_numbers_of_keys_are_refused)
{
    ck_assert_int_eq(look("lmpop 2 a b left").count, 2);
    ck_assert_int_lt(look("lmpop 0 a left").count, 0);
    ck_assert_int_lt(look("lmpop -1 a left").count, 0);
    ck_assert_int_lt(look("lmpop x a left").count, 0);
    ck_assert_int_lt(look("lmpop 3 a left").count, 0);
    ck_assert_int_lt(look("lmpop 9223372036854775807 a left").count, 0);
    ck_assert_int_lt(look("blmpop 0").count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command_docs");
    TCase *tcase = test_suite_case(suite, "command_docs", make_table, drop_table);

    tcase_add_test(tcase, every_row_belongs_to_a_command);
    tcase_add_test(tcase, arguments_hold_together);
    tcase_add_test(tcase, specifications_find_the_keys_that_dispatch_claims);
    tcase_add_test(tcase, options_decide_what_set_does_with_its_key);
    tcase_add_test(tcase, wrong_numbers_of_keys_are_refused);
    return test_suite_run(suite);
}
