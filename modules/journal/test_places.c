/* Where segments are found when a system call fails or a directory shows less than there is: what
 * failed is told, a descriptor that was opened is closed, and the next look sees all. */
#include "modules/journal/places.h"
#include "modules/journal/test_journal_fixture.h"

enum { JOURNAL_ID = 0x51 };

static const int errors[] = { EIO, ENOMEM, EINTR, EMFILE };

static struct {
    struct os os; /* what lists hide segments before this one; below the fault */
    uint64_t hidden_before;
    struct fault *fault;
    struct journal_places places;
} own;

/* ---- the fixture ------------------------------------------------------------------------------
 */

struct filter {
    int (*each)(void *context, const char *name);
    void *context;
};

static int pass_on(void *context, const char *name)
{
    const struct filter *filter = context;
    uint64_t number = journal_file_number(name, "log");

    if (number > 0 && number < own.hidden_before) return 0;
    return filter->each(filter->context, name);
}

static int list_less(struct os *os, const char *path, int (*each)(void *context, const char *name),
                     void *context)
{
    struct filter filter = { each, context };

    (void)os;
    return os_real()->list(os_real(), path, pass_on, &filter);
}

static void make_file(enum journal_tier tier, uint64_t number, const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES], file[300];
    int fd;

    journal_file_name(name, number, suffix);
    (void)snprintf(file, sizeof(file), "%s/%s", own.places.paths[tier], name);
    fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
}

/* 2 and 3 are cold, 5 cool, 6 packed, 7 and 9 hot; 4 and 8 are missing. */
static void set_up(void)
{
    static const struct {
        enum journal_tier tier;
        uint64_t number;
        const char *suffix;
    } files[] = { { JOURNAL_COLD, 2, "pak" }, { JOURNAL_COLD, 3, "log" },
                  { JOURNAL_COOL, 5, "pak" }, { JOURNAL_HOT, 6, "pak" },
                  { JOURNAL_HOT, 7, "log" },  { JOURNAL_HOT, 9, "log" } };
    struct journal_settings settings = { .cool_path = "cool", .cold_path = "cold" };
    char path[160];

    setup_in_memory();
    memset(&own, 0, sizeof(own));
    own.os = *os_real();
    own.os.list = list_less;
    ck_assert_int_eq(fault_create(&own.os, &own.fault), 0);
    ck_assert_int_eq(mkdir(fixture.path, 0700), 0);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", fixture.path, i ? "cold" : "cool");
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    ck_assert_int_eq(journal_places_init(&own.places, fixture.path, JOURNAL_ID, &settings), 0);
    ck_assert_int_eq(mkdir(own.places.paths[JOURNAL_COOL], 0700), 0);
    ck_assert_int_eq(mkdir(own.places.paths[JOURNAL_COLD], 0700), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        make_file(files[i].tier, files[i].number, files[i].suffix);
}

static void tear_down(void)
{
    journal_places_finish(&own.places);
    fault_destroy(own.fault);
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    test_directory_remove(fixture.directory);
}

/* ---- looks ------------------------------------------------------------------------------------
 */

/* 0 and what was found, or the error. */
struct finding {
    int rc;
    uint64_t numbers[4];
};

typedef struct finding look_at(struct os *os, uint64_t number);

static struct finding survey(struct os *os, uint64_t number)
{
    struct journal_survey seen = { 0 };
    int rc = journal_places_survey(os, &own.places, &seen);

    (void)number;
    return (struct finding){ rc, { seen.first, seen.last, seen.packed_end, seen.cool_end } };
}

static struct finding after(struct os *os, uint64_t number)
{
    struct finding finding = { 0 };

    finding.rc = journal_places_after(os, &own.places, number, 9, &finding.numbers[0]);
    return finding;
}

static struct finding before(struct os *os, uint64_t number)
{
    struct finding finding = { 0 };

    finding.rc = journal_places_before(os, &own.places, number, 2, &finding.numbers[0]);
    return finding;
}

static const struct look {
    look_at *at;
    uint64_t number;
    uint64_t want[4];
    uint64_t calls_min;
} looks[] = {
    { survey, 0, { 2, 9, 7, 6 }, 3 + 6 }, /* listed; 1 is nowhere */
    { after, 6, { 7 }, 2 },               /* opened, closed */
    { after, 7, { 9 }, 6 + 3 },           /* looked for in each place and form; listed */
    { before, 6, { 5 }, 4 + 1 },          /* found in the second tier, closed */
    { before, 5, { 3 }, 6 + 3 },
};

static void expect_found(struct finding finding, const struct look *look)
{
    ck_assert_int_eq(finding.rc, 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(finding.numbers[i], look->want[i]);
}

/* Closing what was only read tells nothing. */
static void expect_each_may_fail(const struct look *look, int error, uint64_t calls_min)
{
    bool has_fired = true;
    uint64_t nth;

    for (nth = 1; has_fired; nth++) {
        uint64_t closes = fault_count(own.fault, FAULT_CLOSE);
        struct finding finding;

        fault_fail(own.fault, FAULT_ANY, nth, error, FAULT_ONCE);
        finding = look->at(fault_os(own.fault), look->number);
        has_fired = fault_fired(own.fault) > 0;
        fault_clear(own.fault);
        if (finding.rc < 0)
            ck_assert_int_eq(finding.rc, has_fired ? -error : 0);
        else
            expect_found(finding, look);
        if (has_fired && finding.rc == 0)
            ck_assert_uint_gt(fault_count(own.fault, FAULT_CLOSE), closes);
        expect_found(look->at(fault_os(own.fault), look->number), look);
    }
    ck_assert_uint_ge(nth - 2, calls_min); /* the last turn was one without a fault */
}

START_TEST(each_system_call_of_a_look_may_fail)
{
    const struct look *look = &looks[_i / 4];

    expect_each_may_fail(look, errors[_i % 4], look->calls_min);
}
END_TEST

/* Of 2, 3 and 4 only the last is listed: the others got their other form meanwhile. */
static void hide_some(void)
{
    char name[JOURNAL_FILE_NAME_BYTES], path[300];

    journal_file_name(name, 2, "pak");
    (void)snprintf(path, sizeof(path), "%s/%s", own.places.paths[JOURNAL_COLD], name);
    ck_assert_int_eq(unlink(path), 0);
    make_file(JOURNAL_COLD, 2, "log");
    make_file(JOURNAL_COLD, 4, "pak");
    own.hidden_before = 4;
}

START_TEST(segments_that_a_list_does_not_show_are_found)
{
    hide_some();
    expect_each_may_fail(&looks[0], errors[_i], 3 + 5 + 1 + 5 + 1 + 6);
}
END_TEST

/* Each look would cost one. */
START_TEST(no_descriptor_stays_open)
{
    int first = open("/dev/null", O_RDONLY), second;

    for (unsigned i = 0; i < sizeof(looks) / sizeof(*looks); i++)
        expect_each_may_fail(&looks[i], EIO, 1);
    hide_some();
    expect_each_may_fail(&looks[0], EIO, 1);
    second = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(second, first + 1);
    ck_assert_int_eq(close(first) + close(second), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("places of segments");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, each_system_call_of_a_look_may_fail, 0,
                        4 * (int)(sizeof(looks) / sizeof(*looks)));
    tcase_add_loop_test(cases, segments_that_a_list_does_not_show_are_found, 0, 4);
    tcase_add_test(cases, no_descriptor_stays_open);
    return test_suite_run(suite);
}
