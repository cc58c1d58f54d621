/* conf/sluice.conf is the manual of the directives: it must not drift from options.def. Run from
 * the root of the repository, where the path below begins. */
#include "server/config/config_internal.h"
#include "server/config/test_fixture.h"

static const char conf_path[] = "conf/sluice.conf";

static char *conf_text(void)
{
    char *text = NULL;
    size_t size;

    ck_assert_int_eq(config_read_file(os_real(), conf_path, &text, &size), 0);
    return text;
}

/* name as a word of its own, from text on. */
static const char *find_word(const char *text, const char *name)
{
    static const char inside[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const size_t size = strlen(name);

    for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
        if ((at == text || !strchr(inside, at[-1])) && (!at[size] || !strchr(inside, at[size])))
            return at;
    }
    return NULL;
}

START_TEST(the_file_says_what_holds_anyway)
{
    struct config *defaults = NULL;

    ck_assert_int_eq(config_create(os_real(), &defaults, &fixture.error), 0);
    ck_assert_msg(config_load_file(fixture.config, conf_path, &fixture.error) == 0, "%s",
                  fixture.error.text);
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        char *of_file = NULL, *of_rows = NULL;

        ck_assert_int_eq(
            option_print(option, option_value(fixture.config, option), false, &of_file), 0);
        ck_assert_int_eq(option_print(option, option_value(defaults, option), false, &of_rows), 0);
        ck_assert_msg(strcmp(of_file, of_rows) == 0, "%s: %s, not %s", option->name, of_file,
                      of_rows);
        free(of_file);
        free(of_rows);
    }
    config_destroy(defaults);
}
END_TEST

START_TEST(every_directive_is_explained_or_listed)
{
    char *text = conf_text();
    const char *refused = strstr(text, "# These are refused"), *list = strstr(text, "do nothing:");

    ck_assert_ptr_nonnull(refused);
    ck_assert_ptr_nonnull(list);
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        const char *at = find_word(text, option->name);
        char line[128];

        ck_assert_msg(at, "%s is not mentioned", option->name);
        if (option->flags & REMEMBERED) {
            ck_assert_msg(find_word(list, option->name), "%s is not listed", option->name);
            continue;
        }
        if (at > refused) continue;
        /* A line that sets it, or a commented one that could. */
        (void)snprintf(line, sizeof(line), "\n%s ", option->name);
        if (strstr(text, line)) continue;
        (void)snprintf(line, sizeof(line), "\n# %s ", option->name);
        ck_assert_msg(strstr(text, line), "%s has no line of its own", option->name);
    }
    free(text);
}
END_TEST

/* Where the block of lines begins that at stands in: behind an empty line. */
static const char *block_of(const char *text, const char *at)
{
    while (at > text && !(at[0] == '\n' && at[1] == '\n'))
        at--;
    return at;
}

/* Sizes are explained at the top of the file; of the others, the comment above the line names the
 * unit. */
START_TEST(units_are_named)
{
    char *text = conf_text();

    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        char line[128], *at;

        if (option->unit[0] == 0 || (option->flags & REMEMBERED)) continue;
        (void)snprintf(line, sizeof(line), "\n%s ", option->name);
        at = strstr(text, line);
        if (!at) continue; /* of those that are refused */
        *at = 0;
        ck_assert_msg(strcasestr(block_of(text, at - 1), option->unit), "%s: no word of %s",
                      option->name, option->unit);
        *at = '\n';
    }
    free(text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_file_says_what_holds_anyway,
        every_directive_is_explained_or_listed,
        units_are_named,
    };

    return run_tests("conf/sluice.conf", tests, sizeof(tests) / sizeof(tests[0]));
}
