/* What a record tells of a directory, and what power.h makes of it. */
#include "modules/base/os.h"
#include "modules/base/power.h"
#include "modules/base/random.h"
#include "modules/base/record.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_soak.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORD_BYTES = 64 << 20, PAGE = 4096, OUTCOMES_MAX = 4096 };

static struct {
    char directory[64], work[96], after[96];
    struct record *record;
    struct os *os;
    /* What was found behind the events from `from` on, each once. */
    size_t from;
    char outcomes[OUTCOMES_MAX][64];
    unsigned outcome_count;
    struct power_figures figures;
} fixture;

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "power");
    (void)snprintf(fixture.work, sizeof(fixture.work), "%s/work", fixture.directory);
    (void)snprintf(fixture.after, sizeof(fixture.after), "%s/after", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.work, 0755), 0);
    ck_assert_int_eq(record_create(os_real(), fixture.work, RECORD_BYTES, &fixture.record), 0);
    fixture.os = record_os(fixture.record);
}

static void tear_down(void)
{
    record_destroy(fixture.record);
    test_directory_remove(fixture.directory);
}

/* ---- doing ------------------------------------------------------------------------------------
 */

static const char *path_of(const char *name)
{
    static char path[2][160];
    static unsigned turn;

    turn ^= 1;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", fixture.work, name);
    return path[turn];
}

static int make_file(const char *name)
{
    int fd = fixture.os->open(fixture.os, path_of(name), O_RDWR | O_CREAT, 0644);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void put(int fd, uint64_t offset, char letter, size_t size)
{
    char bytes[4 * PAGE];

    memset(bytes, letter, size);
    ck_assert_int_eq(os_write_all(fixture.os, fd, bytes, size, offset), 0);
}

static void sync_file(int fd)
{
    ck_assert_int_eq(fixture.os->fdatasync(fixture.os, fd), 0);
}

static void sync_names(void)
{
    ck_assert_int_eq(fixture.os->fsync_directory(fixture.os, fixture.work), 0);
}

/* A file of that many pages of a letter, all of it synced. */
static int settled_file(const char *name, char letter, size_t pages)
{
    int fd = make_file(name);

    if (pages > 0) put(fd, 0, letter, pages * PAGE);
    sync_file(fd);
    sync_names();
    return fd;
}

static void close_file(int fd)
{
    ck_assert_int_eq(fixture.os->close(fixture.os, fd), 0);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

/* A file in a few letters: "-" there is none, else a run of equal sectors each ("a", "ab"), '.' for
 * zeros, '?' for a sector that is mixed, "" for an empty file. */
static void outcome_of(const char *directory, const char *name, char *out, size_t size)
{
    char path[160], bytes[512], last = 0;
    int fd;
    ssize_t got;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_RDONLY);
    if (fd < 0) {
        (void)snprintf(out, size, "-");
        return;
    }
    while (size > 1 && (got = read(fd, bytes, sizeof(bytes))) > 0) {
        char letter = bytes[0] ? bytes[0] : '.';
        for (ssize_t i = 1; i < got; i++)
            if (bytes[i] != bytes[0]) letter = '?';
        if (letter == last) continue;
        *out++ = last = letter;
        size--;
    }
    *out = '\0';
    close(fd);
}

static void note_outcome(const char *text)
{
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        if (strcmp(fixture.outcomes[i], text) == 0) return;
    ck_assert_uint_lt(fixture.outcome_count, OUTCOMES_MAX);
    strcpy(fixture.outcomes[fixture.outcome_count++], text);
}

/* Files "a" and "b". */
static int look(void *context, const struct power_state *state)
{
    char text[64], *at = text;

    (void)context;
    if (state->event_count < fixture.from) return 0;
    outcome_of(state->directory, "a", at, 30);
    at += strlen(at);
    *at++ = '|';
    outcome_of(state->directory, "b", at, 30);
    note_outcome(text);
    return 0;
}

static void walk(void)
{
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .seed = soak_seed() + 7,
                              .states_per_event = 300,
                              .check = look };

    ck_assert_int_eq(power_walk(&all, &fixture.figures), 0);
}

static bool was_found(const char *text)
{
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        if (strcmp(fixture.outcomes[i], text) == 0) return true;
    return false;
}

/* Exactly these were found, in any order; separated by spaces. */
static void expect_outcomes(const char *expected)
{
    char text[512], *rest = text, *one, found[1024] = "";
    unsigned count = 0;

    for (unsigned i = 0; i < fixture.outcome_count && strlen(found) < 900; i++) {
        strcat(found, " ");
        strcat(found, fixture.outcomes[i]);
    }
    (void)snprintf(text, sizeof(text), "%s", expected);
    while ((one = strtok_r(rest, " ", &rest)) != NULL) {
        ck_assert_msg(was_found(one), "not found: %s; found:%s", one, found);
        count++;
    }
    ck_assert_msg(count == fixture.outcome_count, "expected %s, found:%s", expected, found);
}

/* What is possible from now on; marked, for what was found before is not shown again. */
static void from_here(void)
{
    fixture.from = record_count(fixture.record) + 1;
    record_mark(fixture.record, 0, fixture.from);
}

/* ---- content ----------------------------------------------------------------------------------
 */

START_TEST(what_was_synced_is_there_and_what_was_not_may_be)
{
    int fd = settled_file("a", 'x', 1);

    from_here();
    put(fd, 0, 'y', PAGE);
    close_file(fd);
    walk();
    ck_assert(was_found("x|-") && was_found("y|-"));
    ck_assert(!was_found("-|-") && !was_found("|-") && !was_found(".|-"));
}
END_TEST

START_TEST(pages_reach_the_disk_in_any_order)
{
    int fd = settled_file("a", 'x', 2);

    from_here();
    put(fd, 0, 'y', PAGE);
    put(fd, PAGE, 'z', PAGE);
    close_file(fd);
    walk();
    ck_assert(was_found("x|-") && was_found("yx|-") && was_found("xz|-") && was_found("yz|-"));
}
END_TEST

START_TEST(a_page_may_be_torn_between_sectors_and_not_inside)
{
    int fd = settled_file("a", 'x', 1);
    bool is_torn = false;

    from_here();
    put(fd, 0, 'y', PAGE);
    put(fd, 0, 'z', PAGE);
    close_file(fd);
    walk();
    for (unsigned i = 0; i < fixture.outcome_count; i++) {
        if (strstr(fixture.outcomes[i], "yz") || strstr(fixture.outcomes[i], "zy")) is_torn = true;
        ck_assert_ptr_null(strchr(fixture.outcomes[i], '?'));
    }
    ck_assert(is_torn);
}
END_TEST

START_TEST(an_older_write_of_a_page_does_not_come_after_a_newer_one)
{
    int fd = settled_file("a", 'x', 1);

    put(fd, 0, 'y', PAGE);
    sync_file(fd);
    from_here();
    put(fd, 0, 'z', 512);
    close_file(fd);
    walk();
    expect_outcomes("y|- zy|-");
}
END_TEST

START_TEST(a_file_that_grew_may_have_its_size_without_its_content)
{
    int fd = settled_file("a", 'x', 1);

    from_here();
    put(fd, PAGE, 'y', 512);
    close_file(fd);
    walk();
    expect_outcomes("x|- x.|- xy|-");
}
END_TEST

START_TEST(blocks_that_were_given_back_do_not_return_with_their_content)
{
    int fd = settled_file("a", 'x', 2);

    from_here();
    ck_assert_int_eq(fixture.os->truncate(fixture.os, fd, PAGE), 0);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fd, 0, 2 * PAGE), 0);
    walk();
    expect_outcomes("x|- x.|-"); /* "x" is one page or two */
    fixture.outcome_count = 0;
    sync_file(fd);
    from_here();
    put(fd, 0, 'y', PAGE);
    ck_assert_int_eq(fixture.os->punch(fixture.os, fd, 0, PAGE), 0);
    close_file(fd);
    walk();
    ck_assert(was_found("x.|-") && was_found("y.|-") && was_found(".|-"));
}
END_TEST

/* ---- mappings ---------------------------------------------------------------------------------
 */

START_TEST(stores_into_a_mapping_are_seen_page_by_page)
{
    int rc, fd = settled_file("a", 'x', 3);
    char *map = fixture.os->map(fixture.os, fd, 3 * PAGE, PROT_READ | PROT_WRITE, 0, &rc);

    ck_assert_ptr_nonnull(map);
    memset(map, 'y', PAGE);
    memset(map + 2 * PAGE, 'z', PAGE);
    from_here();
    ck_assert_int_eq(record_look(fixture.record), 0);
    walk();
    ck_assert(was_found("yxz|-") && was_found("xz|-") && was_found("yx|-"));
    fixture.outcome_count = 0;
    ck_assert_int_eq(fixture.os->sync_map(fixture.os, map + 2 * PAGE, PAGE), 0);
    from_here();
    memset(map + PAGE, 'w', PAGE);
    ck_assert_int_eq(fixture.os->unmap(fixture.os, map, 3 * PAGE), 0);
    close_file(fd);
    walk();
    ck_assert(was_found("ywz|-") && was_found("xz|-") && was_found("xwz|-") && was_found("yxz|-"));
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        ck_assert_msg(strstr(fixture.outcomes[i], "z|") != NULL, "%s", fixture.outcomes[i]);
}
END_TEST

START_TEST(what_is_written_beside_a_mapping_is_no_store)
{
    int rc, fd = settled_file("a", 'x', 2);
    char *map = fixture.os->map(fixture.os, fd, 8 * PAGE, PROT_READ | PROT_WRITE, 0, &rc);
    size_t count;

    put(fd, PAGE, 'y', 2 * PAGE);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fd, 0, 6 * PAGE), 0);
    ck_assert_int_eq(fixture.os->punch(fixture.os, fd, 0, PAGE), 0);
    ck_assert_int_eq(fixture.os->truncate(fixture.os, fd, PAGE + 1), 0);
    count = record_count(fixture.record);
    ck_assert_int_eq(record_look(fixture.record), 0);
    ck_assert_uint_eq(record_count(fixture.record), count);
    map[PAGE] = 'q';
    ck_assert_int_eq(fixture.os->unmap(fixture.os, map, 8 * PAGE), 0);
    ck_assert_uint_eq(record_count(fixture.record), count + 1);
    ck_assert_uint_eq(record_event(fixture.record, count)->offset, PAGE);
    ck_assert_uint_eq(record_event(fixture.record, count)->size, 1);
    close_file(fd);
}
END_TEST

START_TEST(a_mapping_keeps_no_lock_alive)
{
    int rc, other, fd = settled_file("a", 'x', 1);
    char *map = fixture.os->map(fixture.os, fd, PAGE, PROT_READ | PROT_WRITE, 0, &rc);

    ck_assert_int_eq(fixture.os->lock(fixture.os, fd), 0);
    /* Another of the same file stays mapped. */
    other = fixture.os->open(fixture.os, path_of("a"), O_RDWR, 0);
    ck_assert_int_eq(fixture.os->lock(fixture.os, other), -EWOULDBLOCK);
    ck_assert_int_eq(munmap(map, PAGE), 0); /* behind the record's back */
    close_file(fd);
    ck_assert_int_eq(fixture.os->lock(fixture.os, other), 0);
    close_file(other);
}
END_TEST

/* ---- names ------------------------------------------------------------------------------------
 */

START_TEST(a_new_name_counts_with_its_directory)
{
    int fd = make_file("a");

    put(fd, 0, 'x', PAGE);
    sync_file(fd);
    walk();
    ck_assert(was_found("-|-") && was_found("x|-"));
    fixture.outcome_count = 0;
    sync_names();
    from_here();
    put(make_file("b"), 0, 'y', 1);
    close_file(fd);
    walk();
    ck_assert(was_found("x|-") && was_found("x|y"));
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        ck_assert_int_eq(fixture.outcomes[i][0], 'x');
}
END_TEST

START_TEST(renaming_shows_the_old_or_the_new_and_nothing_else)
{
    int old = settled_file("a", 'x', 1), new = settled_file("b", 'y', 1);

    from_here();
    ck_assert_int_eq(fixture.os->rename(fixture.os, path_of("b"), path_of("a")), 0);
    walk();
    expect_outcomes("x|y y|-");
    close_file(old);
    close_file(new);
}
END_TEST

START_TEST(renaming_before_a_sync_finds_an_empty_file)
{
    int fd = settled_file("a", 'x', 1);

    close_file(fd);
    fd = make_file("b");
    put(fd, 0, 'y', PAGE);
    ck_assert_int_eq(fixture.os->rename(fixture.os, path_of("b"), path_of("a")), 0);
    close_file(fd);
    walk();
    ck_assert(was_found("|-") && was_found("y|-") && was_found("x|-"));
}
END_TEST

START_TEST(a_removed_file_may_come_back_and_a_new_one_of_its_name_is_another)
{
    int fd = settled_file("a", 'x', 1);

    close_file(fd);
    from_here();
    ck_assert_int_eq(fixture.os->unlink(fixture.os, path_of("a")), 0);
    fd = make_file("a");
    put(fd, 0, 'y', 512);
    walk();
    expect_outcomes("x|- -|- |- y|- .|-");
    fixture.outcome_count = 0;
    sync_names();
    sync_file(fd);
    from_here();
    walk();
    expect_outcomes("y|-");
    close_file(fd);
}
END_TEST

START_TEST(a_new_directory_counts_with_the_one_above_it)
{
    int fd;

    ck_assert_int_eq(fixture.os->mkdir(fixture.os, path_of("d"), 0755), 0);
    fd = make_file("d/a");
    sync_file(fd);
    ck_assert_int_eq(fixture.os->fsync_directory(fixture.os, path_of("d")), 0);
    close_file(fd);
    from_here();
    put(make_file("b"), 0, 'y', 1);
    walk();
    ck_assert_uint_ge(fixture.figures.checked_count, 6);
    ck_assert(was_found("-|-") && was_found("-|y"));
}
END_TEST

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
    Suite *suite = suite_create("record and power");
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int failed;
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, what_was_synced_is_there_and_what_was_not_may_be);
    tcase_add_test(cases, pages_reach_the_disk_in_any_order);
    tcase_add_test(cases, a_page_may_be_torn_between_sectors_and_not_inside);
    tcase_add_test(cases, an_older_write_of_a_page_does_not_come_after_a_newer_one);
    tcase_add_test(cases, a_file_that_grew_may_have_its_size_without_its_content);
    tcase_add_test(cases, blocks_that_were_given_back_do_not_return_with_their_content);
    tcase_add_test(cases, stores_into_a_mapping_are_seen_page_by_page);
    tcase_add_test(cases, what_is_written_beside_a_mapping_is_no_store);
    tcase_add_test(cases, a_mapping_keeps_no_lock_alive);
    tcase_add_test(cases, a_new_name_counts_with_its_directory);
    tcase_add_test(cases, renaming_shows_the_old_or_the_new_and_nothing_else);
    tcase_add_test(cases, renaming_before_a_sync_finds_an_empty_file);
    tcase_add_test(cases, a_removed_file_may_come_back_and_a_new_one_of_its_name_is_another);
    tcase_add_test(cases, a_new_directory_counts_with_the_one_above_it);
    tcase_add_test(cases, what_was_there_at_the_start_is_synced);
    tcase_add_test(cases, a_child_that_is_killed_leaves_its_events);
    tcase_add_test(cases, another_process_goes_on_where_one_was_killed);
    tcase_add_test(cases, directories_syncs_that_are_left_out_are_missed);
    tcase_add_test(cases, syncs_that_come_late_are_missed);
    tcase_add_test(cases, a_state_that_fails_ends_the_walk_and_can_be_had_again);
    tcase_add_test(cases, what_is_promised_too_early_is_missed_in_states_that_were_seen);
    tcase_add_loop_test(cases, what_is_really_there_is_one_of_the_states, 0, 20);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
