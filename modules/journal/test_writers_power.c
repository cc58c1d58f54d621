/* A journal of several writers after the power went at any moment, also between the steps of an
 * append: what was synced is there, and exactly a prefix of what was appended behind it. */
#include "modules/base/test_suite.h"
#include "modules/journal/journal_writer.h"
#include "modules/journal/test_power_fixture.h"
#include "modules/journal/writer_internal.h"

#include <setjmp.h>

enum { WRITERS = 3, STEPS = 50 };

static struct {
    struct journal_writer *writers[WRITERS];
    struct journal_settings settings;
    jmp_buf death;
    enum journal_writer_step dies_at; /* STEP_COUNT: it lives */
} several;

/* ---- what is done -----------------------------------------------------------------------------
 */

/* Each half-done append may be what the power leaves. */
static void at_step(void *context, enum journal_writer_step step)
{
    (void)context;
    ck_assert_int_eq(record_look(power.record), 0);
    if (step == several.dies_at) longjmp(several.death, 1);
}

static void open_writer(unsigned which)
{
    struct journal_report report;
    int rc = journal_writer_open(fault_os(fixture.fault), fixture.path, &several.settings, &report,
                                 &several.writers[which]);

    ck_assert_msg(rc == 0, "open: %d %s", rc, report.text);
    several.writers[which]->at_step = at_step;
}

static void close_writer(unsigned which)
{
    journal_writer_close(several.writers[which]);
    several.writers[which] = NULL;
}

static void append(unsigned which)
{
    uint8_t bytes[8192];
    struct slice part = slice_of(bytes, payload_of(fixture.next, bytes));
    uint64_t position;

    ck_assert_int_eq(
        journal_writer_append(several.writers[which], fixture.next, 0, &part, 1, &position), 0);
    fixture.next++;
}

/* It leaves a claim behind, which another one seals, or a frame that is complete. */
static void append_and_die(unsigned which)
{
    several.dies_at = (enum journal_writer_step)random_below(&power.random, JOURNAL_WRITER_ROLLS);
    if (setjmp(several.death) == 0) {
        append(which);
    } else if (several.dies_at == JOURNAL_WRITER_COMMITTED) {
        fixture.next++;
    }
    several.dies_at = JOURNAL_WRITER_STEP_COUNT;
    close_writer(which);
    open_writer(which);
}

static void sync_all_of_them(unsigned which)
{
    struct journal_writer *writer = several.writers[which];

    /* Twice: what blocks is looked at when it does so again. */
    ck_assert_int_eq(journal_writer_publish(writer), 0);
    ck_assert_int_eq(journal_writer_publish(writer), 0);
    ck_assert_int_eq(journal_writer_sync(writer), 0);
    power.synced = fixture.next - 1;
    record_mark(power.record, MARK_SYNCED, power.synced);
}

static void do_step(void)
{
    unsigned which = (unsigned)random_below(&power.random, WRITERS);

    switch (random_below(&power.random, 8)) {
    case 0:
        append_and_die(which);
        break;
    case 1:
    case 2:
        sync_all_of_them(which);
        break;
    case 3:
        for (unsigned i = 0; i < 40; i++)
            append((which + i) % WRITERS);
        break;
    default:
        append(which);
    }
}

static void run_script(uint64_t seed)
{
    random_init(&power.random, seed);
    several.settings = (struct journal_settings){ .roll_bytes = JOURNAL_ROLL_BYTES_MIN };
    several.dies_at = JOURNAL_WRITER_STEP_COUNT;
    for (unsigned i = 0; i < WRITERS; i++)
        open_writer(i);
    for (unsigned i = 0; i < STEPS; i++)
        do_step();
    for (unsigned i = 0; i < WRITERS; i++)
        close_writer(i);
}

/* ---- what is found ----------------------------------------------------------------------------
 */

/* The first writer since the machine was started recovers; it appends and syncs. */
static const char *go_on(const char *path, uint64_t number)
{
    static char why[JOURNAL_REPORT_TEXT_BYTES + 32];
    uint8_t bytes[8192];
    struct slice part = slice_of(bytes, payload_of(number, bytes));
    struct journal_report report;
    struct journal_writer *writer;
    uint64_t position;
    int rc = journal_writer_open(os_real(), path, &several.settings, &report, &writer);

    if (rc < 0) {
        (void)snprintf(why, sizeof(why), "opening: %d %s", rc, report.text);
        return why;
    }
    rc = journal_writer_append(writer, number, 0, &part, 1, &position);
    if (rc == 0) rc = journal_writer_sync(writer);
    journal_writer_close(writer);
    return rc < 0 ? "it cannot go on" : NULL;
}

static const char *check_directory(const char *directory, const uint64_t *marks)
{
    const char *path = path_below(directory, "j"), *why;
    struct found found = { .next = 1 }, after;
    bool is_there = access(path_below(directory, "j/meta"), F_OK) == 0;

    if (!is_there && marks[MARK_SYNCED] > 0) return "no journal is there";
    if (is_there && !read_all(path, &found)) return "reading fails";
    if (found.first == 0) found.next = 1;
    why = judge(&found, marks);
    if (!why) why = go_on(path, found.next);
    if (why) return why;
    if (!read_all(path, &after) || after.next != found.next + 1) return "what was found has gone";
    return NULL;
}

static int check_state(void *context, const struct power_state *state)
{
    const char *why;

    (void)context;
    forget_boot_of(state->directory);
    why = check_directory(state->directory, state->marks);
    return why ? states_wrong(state, why) : 0;
}

START_TEST(whatever_the_disk_holds_what_was_synced_is_there_and_it_goes_on)
{
    uint64_t seed = soak_seed() * 1000 + (uint64_t)_i;
    struct power_figures figures;

    run_script(seed);
    ck_assert_msg(walk(seed, check_state, &figures) == 0, "script %d, seed %llu", _i,
                  (unsigned long long)soak_seed());
    states_expect_more_than(&figures, 100);
}
END_TEST

/* A journal that is told it was synced before it is must be found out. */
START_TEST(a_planted_bug_is_found)
{
    struct power_figures figures;

    record_plant(power.record, (enum record_plant)_i);
    run_script(1);
    ck_assert_int_ne(walk(1, check_state, &figures), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal: loss of power, several writers");
    TCase *cases = test_suite_case(suite, "all", setup_power, teardown_power);

    tcase_add_loop_test(cases, whatever_the_disk_holds_what_was_synced_is_there_and_it_goes_on, 0,
                        soak_is_full() ? 4 : 2);
    tcase_add_loop_test(cases, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    return test_suite_run(suite);
}
