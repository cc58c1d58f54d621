/* effects.def and commands.def: each command that writes is judged, and nothing else is. */
#include "modules/base/test_suite.h"
#include "server/commands/command.h"
#include "server/commands/table.h"
#include "server/durability/effects.h"

#include <check.h>

static struct command_table *table;

static void set_up(void)
{
    ck_assert_int_eq(command_table_create(&table), 0);
}

static void tear_down(void)
{
    command_table_destroy(table);
}

static void expect_judged(const struct command *command)
{
    bool writes = (command->flags & COMMAND_WRITE) != 0;

    ck_assert_msg((effect_form_of(command->full_name) != EFFECT_NONE) == writes, "%s",
                  command->full_name);
    ck_assert_int_eq(command->effect, effect_form_of(command->full_name));
}

START_TEST(every_command_that_writes_is_judged_and_no_other)
{
    for (uint32_t i = 0; i < command_count(table); i++) {
        const struct command *command = command_at(table, i);

        expect_judged(command);
        for (uint32_t k = 0; k < command->child_count; k++)
            expect_judged(command->children[k]);
    }
}
END_TEST

START_TEST(what_blocks_is_rewritten)
{
    for (uint32_t i = 0; i < command_count(table); i++) {
        const struct command *command = command_at(table, i);

        if (!(command->flags & COMMAND_BLOCKING) || !(command->flags & COMMAND_WRITE)) continue;
        ck_assert_msg(command->effect == EFFECT_REWRITTEN, "%s", command->name);
    }
}
END_TEST

START_TEST(every_row_names_a_command)
{
    static const char *const names[] = {
#define AS_SENT(name)   (name),
#define REWRITTEN(name) (name),
#define EITHER(name)    (name),
#include "server/durability/effects.def"
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct command *command = command_find_full(table, slice_of_string(names[i]));

        ck_assert_msg(command && (command->flags & COMMAND_WRITE), "%s", names[i]);
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(names[i], names[k]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("effects");
    TCase *cases = test_suite_case(suite, "effects", set_up, tear_down);

    tcase_add_test(cases, every_command_that_writes_is_judged_and_no_other);
    tcase_add_test(cases, what_blocks_is_rewritten);
    tcase_add_test(cases, every_row_names_a_command);
    return test_suite_run(suite);
}
