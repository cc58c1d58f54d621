#include "server/config/test_fixture.h"

/* ---- CONFIG GET ----------------------------------------------------------------------------- */

static struct {
    char text[4096];
    size_t used;
} seen;

static void remember(void *context, struct slice name, struct slice value)
{
    (void)context;
    seen.used += (size_t)snprintf(seen.text + seen.used, sizeof(seen.text) - seen.used,
                                  "%.*s=%.*s;", (int)name.size, (const char *)name.bytes,
                                  (int)value.size, (const char *)value.bytes);
}

static const char *get(const char *pattern, const char *another)
{
    const struct slice patterns[] = { slice_of_string(pattern),
                                      slice_of_string(another ? another : "") };
    int64_t expected;

    seen.used = 0;
    seen.text[0] = 0;
    expected = config_get(fixture.config, patterns, another ? 2 : 1, NULL, NULL);
    ck_assert_int_eq(config_get(fixture.config, patterns, another ? 2 : 1, remember, NULL),
                     expected);
    return seen.text;
}

START_TEST(patterns_and_names_find_directives)
{
    ck_assert_str_eq(get("HZ", NULL), "HZ=10;");
    ck_assert_str_eq(get("maxmemory-s*", "hz"), "hz=10;maxmemory-samples=5;");
    ck_assert_str_eq(get("h?", "HZ"), "hz=10;");
    ck_assert_str_eq(get("REPL-DISKLESS-L*", NULL), "repl-diskless-load=disabled;");
    ck_assert_str_eq(get("slave-priority", NULL), "slave-priority=100;");
    ck_assert_str_eq(get("nothing", "no*thing"), "");
    ck_assert_str_eq(get("", NULL), "");
}
END_TEST

START_TEST(hidden_directives_are_shown_by_name_only)
{
    ck_assert_str_eq(get("list-chunk*", NULL), "");
    ck_assert_str_eq(get("list-chunk-bytes", NULL), "list-chunk-bytes=32768;");
}
END_TEST

START_TEST(a_pattern_of_stars_ends)
{
    char pattern[2001];

    for (size_t i = 0; i < 2000; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[2000] = 0;
    ck_assert_str_eq(get(pattern, NULL), "");
}
END_TEST

/* ---- CONFIG SET ----------------------------------------------------------------------------- */

START_TEST(unknown_names_are_refused)
{
    ck_assert_int_eq(set("foo", "bar"), -EINVAL);
    ck_assert_str_eq(fixture.error.text,
                     "Unknown option or number of arguments for CONFIG SET - 'foo'");
    ck_assert_int_eq(set("include", "x"), -EINVAL);
    ck_assert_str_eq(fixture.error.text,
                     "Unknown option or number of arguments for CONFIG SET - 'include'");
}
END_TEST

START_TEST(immutable_and_protected_directives_are_refused)
{
    expect_refused("databases", "4", "can't set immutable config");
    expect_refused("dbfilename", "x", "can't set protected config");
    expect_refused("dir", "/tmp", "can't set protected config");
    ck_assert_int_eq(load("enable-protected-configs yes"), 0);
    expect_set("dbfilename", "x", "x");
    expect_refused("dir", "/tmp", "can't set immutable config");
}
END_TEST

START_TEST(protected_directives_may_be_open_to_local_clients_only)
{
    const struct config_pair pair = { SLICE_LITERAL("dbfilename"), SLICE_LITERAL("x") };

    ck_assert_int_eq(load("enable-protected-configs local"), 0);
    ck_assert_int_eq(config_set(fixture.config, &pair, 1, false, &fixture.error), -EINVAL);
    ck_assert_int_eq(config_set(fixture.config, &pair, 1, true, &fixture.error), 0);
}
END_TEST

START_TEST(what_nobody_carries_out_is_immutable)
{
    expect_refused("maxclients", "5", "can't set immutable config");
    expect_refused("maxclients", "x", "argument couldn't be parsed into an integer");
    expect_set("maxclients", "10000", "10000");
    listen_to("maxclients");
    expect_set("maxclients", "5", "5");
}
END_TEST

START_TEST(an_alias_names_itself_in_errors)
{
    expect_set("slave-priority", "7", "7");
    expect_value("replica-priority", "7");
    ck_assert_int_eq(set("SLAVE-priority", "x"), -EINVAL);
    ck_assert_str_eq(fixture.error.text,
                     "CONFIG SET failed (possibly related to argument 'slave-priority') - "
                     "argument couldn't be parsed into an integer");
}
END_TEST

START_TEST(all_are_set_or_none)
{
    const struct config_pair good[] = { { SLICE_LITERAL("hz"), SLICE_LITERAL("20") },
                                        { SLICE_LITERAL("timeout"), SLICE_LITERAL("5") } };
    const struct config_pair bad[] = { { SLICE_LITERAL("hz"), SLICE_LITERAL("30") },
                                       { SLICE_LITERAL("timeout"), SLICE_LITERAL("x") } };
    const struct config_pair unknown[] = { { SLICE_LITERAL("hz"), SLICE_LITERAL("30") },
                                           { SLICE_LITERAL("foo"), SLICE_LITERAL("x") } };
    const struct config_pair twice[] = { { SLICE_LITERAL("slave-priority"), SLICE_LITERAL("3") },
                                         { SLICE_LITERAL("hz"), SLICE_LITERAL("30") },
                                         { SLICE_LITERAL("replica-priority"),
                                           SLICE_LITERAL("3") } };

    listen_to("timeout");
    ck_assert_int_eq(config_set(fixture.config, good, 2, false, &fixture.error), 0);
    expect_value("hz", "20");
    expect_value("timeout", "5");
    ck_assert_int_eq(config_set(fixture.config, bad, 2, false, &fixture.error), -EINVAL);
    expect_value("hz", "20");
    ck_assert_int_eq(config_set(fixture.config, unknown, 2, false, &fixture.error), -EINVAL);
    expect_value("hz", "20");
    ck_assert_int_eq(config_set(fixture.config, twice, 3, false, &fixture.error), -EINVAL);
    ck_assert_str_eq(fixture.error.text,
                     "CONFIG SET failed (possibly related to argument 'replica-priority') - "
                     "duplicate parameter");
    expect_value("hz", "20");
    expect_value("replica-priority", "100");
}
END_TEST

/* Takes every value of hz but 66, and keeps what it has taken. */
static int take_hz(void *context, const struct config *config, struct config_error *error)
{
    if (config->hz == 66) return config_refuse(error, "66 is too much");
    *(int64_t *)context = config->hz;
    return 0;
}

static int take_timeout(void *context, const struct config *config, struct config_error *error)
{
    (void)error;
    *(int64_t *)context = config->timeout_s;
    return 0;
}

START_TEST(a_listener_that_refuses_undoes_all)
{
    const struct config_pair pairs[] = { { SLICE_LITERAL("timeout"), SLICE_LITERAL("9") },
                                         { SLICE_LITERAL("requirepass"), SLICE_LITERAL("new") },
                                         { SLICE_LITERAL("hz"), SLICE_LITERAL("66") } };
    int64_t hz = 0, timeout = 0;

    ck_assert_int_eq(config_on_change(fixture.config, "hz", take_hz, &hz), 0);
    ck_assert_int_eq(config_on_change(fixture.config, "timeout", take_timeout, &timeout), 0);
    ck_assert_int_eq(set("timeout", "5"), 0);
    ck_assert_int_eq(set("requirepass", "old"), 0);
    ck_assert_int_eq(config_set(fixture.config, pairs, 3, false, &fixture.error), -EINVAL);
    ck_assert_str_eq(fixture.error.text,
                     "CONFIG SET failed (possibly related to argument 'hz') - 66 is too much");
    ck_assert_int_eq(timeout, 5);
    expect_value("timeout", "5");
    expect_value("requirepass", "old");
    expect_value("hz", "10");
    ck_assert_int_eq(set("hz", "65"), 0);
    ck_assert_int_eq(hz, 65);
}
END_TEST

START_TEST(a_listener_runs_once_and_only_for_changes)
{
    const struct config_pair pairs[] = { { SLICE_LITERAL("hz"), SLICE_LITERAL("20") },
                                         { SLICE_LITERAL("timeout"), SLICE_LITERAL("9") } };
    int calls = 0;

    ck_assert_int_eq(config_on_change(fixture.config, "hz", accept_change, &calls), 0);
    ck_assert_int_eq(config_on_change(fixture.config, "timeout", accept_change, &calls), 0);
    ck_assert_int_eq(config_set(fixture.config, pairs, 2, false, &fixture.error), 0);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(config_set(fixture.config, pairs, 2, false, &fixture.error), 0);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(set("port", "1"), -EINVAL);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(passwords_are_sensitive)
{
    ck_assert(config_is_sensitive(SLICE_LITERAL("RequirePass")));
    ck_assert(config_is_sensitive(SLICE_LITERAL("masterauth")));
    ck_assert(!config_is_sensitive(SLICE_LITERAL("maxmemory")));
    ck_assert(!config_is_sensitive(SLICE_LITERAL("foo")));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        patterns_and_names_find_directives,
        hidden_directives_are_shown_by_name_only,
        a_pattern_of_stars_ends,
        unknown_names_are_refused,
        immutable_and_protected_directives_are_refused,
        protected_directives_may_be_open_to_local_clients_only,
        what_nobody_carries_out_is_immutable,
        an_alias_names_itself_in_errors,
        all_are_set_or_none,
        a_listener_that_refuses_undoes_all,
        a_listener_runs_once_and_only_for_changes,
        passwords_are_sensitive,
    };

    return run_tests("config get and set", tests, sizeof(tests) / sizeof(tests[0]));
}
