/* Records of processes that died, bugs that are planted, and walks over what power.h makes of
 * records. */
#include "modules/base/random.h"
#include "modules/base/test_power_fixture.h"
#include "modules/base/test_suite.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* ---- what was there, forks, plants ------------------------------------------------------------
 */

START_TEST(what_was_there_at_the_start_is_synced)
{
    struct record *second;
    int fd = settled_file("a", 'x', 3);

    put(fd, PAGE, 'y', 2 * PAGE);
    close_file(fd);
    ck_assert_int_eq(mkdir(path_of("d"), 0755), 0);
    ck_assert_int_eq(record_create(os_real(), fixture.work, RECORD_BYTES, &second), 0);
    record_destroy(fixture.record);
    fixture.record = second;
    fixture.os = record_os(second);
    fd = make_file("b");
    close_file(fd);
    walk();
    expect_outcomes("xy|- xy|");
}
END_TEST

START_TEST(a_child_that_is_killed_leaves_its_events)
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        put(make_file("a"), 0, 'x', 512);
        record_mark(fixture.record, 3, 77);
        (void)raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_uint_eq(record_event(fixture.record, record_count(fixture.record) - 1)->value, 77);
    walk();
    expect_outcomes("-|- |- .|- x|-");
}
END_TEST

static void work_and_die(void)
{
    int rc, fd = settled_file("a", 'x', 2);
    char *map = fixture.os->map(fixture.os, fd, 2 * PAGE, PROT_READ | PROT_WRITE, 0, &rc);

    ck_assert_int_eq(fixture.os->mkdir(fixture.os, path_of("d"), 0755), 0);
    memset(map + PAGE, 'y', PAGE);
    /* Calls that were made and not told of. */
    ck_assert_int_eq(rename(path_of("a"), path_of("b")), 0);
    ck_assert_int_ge(open(path_of("d/new"), O_RDWR | O_CREAT, 0644), 0);
    (void)raise(SIGKILL);
}

START_TEST(another_process_goes_on_where_one_was_killed)
{
    int status, fd;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) work_and_die();
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(record_resume(fixture.record, fixture.work), 0);
    from_here();
    walk();
    ck_assert(was_found("x|-") && was_found("xy|-") && was_found("-|xy") && was_found("-|x"));
    ck_assert(!was_found("-|-"));
    fixture.outcome_count = 0;
    fd = fixture.os->open(fixture.os, path_of("b"), O_RDWR, 0);
    sync_file(fd);
    sync_names();
    from_here();
    put(fd, 0, 'z', 512);
    close_file(fd);
    walk();
    expect_outcomes("-|xy -|zxy");
    ck_assert_int_eq(fixture.os->unlink(fixture.os, path_of("d/new")), 0);
}
END_TEST

START_TEST(directories_syncs_that_are_left_out_are_missed)
{
    record_plant(fixture.record, RECORD_DIRECTORY_SYNCS_LEFT_OUT);
    close_file(settled_file("a", 'x', 1));
    from_here();
    close_file(make_file("b"));
    walk();
    ck_assert(was_found("-|-"));
}
END_TEST

START_TEST(syncs_that_come_late_are_missed)
{
    int fd = settled_file("a", 'x', 1);

    record_plant(fixture.record, RECORD_SYNCS_LATE);
    put(fd, 0, 'y', PAGE);
    sync_file(fd);
    from_here();
    put(fd, PAGE, 'z', 1);
    walk();
    ck_assert(was_found("xz|-"));
    fixture.outcome_count = 0;
    sync_file(fd);
    from_here();
    close_file(make_file("b"));
    walk();
    expect_outcomes("y|- y.|- yz|- y| y.| yz|");
    close_file(fd);
}
END_TEST

/* ---- figures and failures ---------------------------------------------------------------------
 */

static int fail_at_y(void *context, const struct power_state *state)
{
    char text[32];

    outcome_of(state->directory, "a", text, sizeof(text));
    if (strcmp(text, "yx") != 0) return 0;
    *(uint64_t *)context = state->number;
    return -EBADMSG;
}

START_TEST(a_state_that_fails_ends_the_walk_and_can_be_had_again)
{
    uint64_t number = 0, again = 0;
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .states_per_event = 20,
                              .check = fail_at_y,
                              .context = &number };
    int fd = settled_file("a", 'x', 1);

    put(fd, 0, 'y', 512);
    ck_assert_int_eq(power_walk(&all, &fixture.figures), -EBADMSG);
    ck_assert_uint_gt(number, 0);
    all.only = number;
    all.context = &again;
    ck_assert_int_eq(power_walk(&all, &fixture.figures), -EBADMSG);
    ck_assert_uint_eq(again, number);
    ck_assert_uint_eq(fixture.figures.checked_count, 1);
    ck_assert_int_ne(access(fixture.after, F_OK), 0);
    close_file(fd);
}
END_TEST

static uint64_t promised_from(void *context, size_t event_count)
{
    return event_count >= *(const size_t *)context;
}

/* -EBADMSG: what is promised by then is missing. */
static int expect_y_from(void *context, const struct power_state *state)
{
    char text[32];

    outcome_of(state->directory, "a", text, sizeof(text));
    return promised_from(context, state->event_count) && strcmp(text, "y") != 0 ? -EBADMSG : 0;
}

/* Nothing is done behind the promise: the states are those that were right before. */
START_TEST(what_is_promised_too_early_is_missed_in_states_that_were_seen)
{
    size_t promised_at;
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .states_per_event = 2,
                              .promise = promised_from,
                              .check = expect_y_from,
                              .context = &promised_at };
    int fd = settled_file("a", 'x', 1);

    put(fd, 0, 'y', PAGE);
    promised_at = record_count(fixture.record) + 1;
    sync_names();
    ck_assert_int_eq(power_walk(&all, &fixture.figures), -EBADMSG);
    sync_file(fd);
    promised_at = record_count(fixture.record);
    ck_assert_int_eq(power_walk(&all, &fixture.figures), 0);
    close_file(fd);
}
END_TEST

static void do_anything(struct random *random)
{
    const char *name = random_below(random, 2) ? "a" : "b";
    int fd = make_file(name);
    uint64_t page = random_below(random, 4) * PAGE;

    switch (random_below(random, 8)) {
    case 0:
        ck_assert_int_eq(fixture.os->truncate(fixture.os, fd, page + random_below(random, 2)), 0);
        break;
    case 1:
        ck_assert_int_eq(fixture.os->punch(fixture.os, fd, page, PAGE), 0);
        break;
    case 2:
        ck_assert_int_eq(fixture.os->unlink(fixture.os, path_of(name)), 0);
        break;
    case 3:
        ck_assert_int_eq(fixture.os->rename(fixture.os, path_of(name), path_of("c")), 0);
        break;
    case 4:
        if (access(path_of("c"), F_OK) < 0) break;
        ck_assert_int_eq(fixture.os->rename(fixture.os, path_of("c"), path_of(name)), 0);
        break;
    default:
        put(fd, page + 512 * random_below(random, 8), (char)('a' + random_below(random, 26)),
            512 * (1 + random_below(random, 12)));
    }
    if (random_below(random, 4) == 0) sync_file(fd);
    if (random_below(random, 4) == 0) sync_names();
    close_file(fd);
}

static int find_real(void *context, const struct power_state *state)
{
    char path[160], command[400];

    if (state->event_count < record_count(fixture.record)) return 0;
    (void)snprintf(path, sizeof(path), "%s", fixture.work);
    (void)snprintf(command, sizeof(command), "diff -r %s %s >/dev/null", path, state->directory);
    if (system(command) == 0) *(bool *)context = true;
    return 0;
}

START_TEST(what_is_really_there_is_one_of_the_states)
{
    struct random random;
    bool was_there = false;
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .states_per_event = 4,
                              .check = find_real,
                              .context = &was_there };

    random_init(&random, soak_seed() * 1000 + (uint64_t)_i);
    for (unsigned i = 0; i < 60; i++)
        do_anything(&random);
    record_mark(fixture.record, 0, 1);
    ck_assert_int_eq(power_walk(&all, &fixture.figures), 0);
    ck_assert(was_there);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("records and walks");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, what_was_there_at_the_start_is_synced);
    tcase_add_test(cases, a_child_that_is_killed_leaves_its_events);
    tcase_add_test(cases, another_process_goes_on_where_one_was_killed);
    tcase_add_test(cases, directories_syncs_that_are_left_out_are_missed);
    tcase_add_test(cases, syncs_that_come_late_are_missed);
    tcase_add_test(cases, a_state_that_fails_ends_the_walk_and_can_be_had_again);
    tcase_add_test(cases, what_is_promised_too_early_is_missed_in_states_that_were_seen);
    tcase_add_loop_test(cases, what_is_really_there_is_one_of_the_states, 0, 20);
    return test_suite_run(suite);
}
