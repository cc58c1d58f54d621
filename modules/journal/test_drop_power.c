/* A journal frames of which are dropped, after the power went at any moment: of what was synced
 * only such are missing that were to be dropped by then, and the journal goes on. */
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/journal/test_power_fixture.h"

enum { STEPS = 16, STATES_MIN = 40, KEPT_EVERY = 5, NOTE = 1, MARK_DROPPED = MARK_SYNCED + 1 };

static uint64_t dropped; /* number of the last frame of segments that were written anew */

/* Of each five frames that are long enough to tell anything, about four. */
static bool is_dropped(const void *context, uint64_t head)
{
    (void)context;
    return head % KEPT_EVERY != 0;
}

static bool may_be_dropped(uint64_t number)
{
    uint8_t bytes[8192];

    return payload_of(number, bytes) >= 8 && is_dropped(NULL, load_u64le(bytes));
}

/* ---- what is found ----------------------------------------------------------------------------
 */

struct judging {
    const uint64_t *marks;
    uint64_t next; /* number that follows the last one that was found */
};

/* NULL: a frame with that number may come next; else what is wrong. */
static const char *judge_number(const struct judging *judging, uint64_t number)
{
    if (number < judging->next) return "frames are out of order";
    for (uint64_t missing = judging->next; missing < number; missing++) {
        if (missing > judging->marks[MARK_DROPPED])
            return "a frame of a segment that stays is missing";
        if (!may_be_dropped(missing)) return "a frame is missing";
    }
    return NULL;
}

static const char *judge_frame(struct judging *judging, const struct journal_entry *entry)
{
    uint8_t bytes[8192];
    const char *why = judge_number(judging, entry->time_ms);

    if (!slice_equal(entry->payload, slice_of(bytes, payload_of(entry->time_ms, bytes))))
        return "a frame has changed";
    judging->next = entry->time_ms + 1;
    return why;
}

/* Forward, then back to the first one. */
static const char *judge_frames(struct journal_reader *reader, struct judging *judging)
{
    struct journal_entry entry;
    uint64_t count = 0, last = UINT64_MAX;
    const char *why = NULL;
    int rc;

    while (!why && (rc = journal_reader_next(reader, &entry)) == 1) {
        why = judge_frame(judging, &entry);
        count++;
    }
    if (why) return why;
    if (rc < 0) return "reading fails";
    if (judging->next <= judging->marks[MARK_SYNCED])
        why = judge_number(judging, judging->marks[MARK_SYNCED] + 1);
    for (; !why && (rc = journal_reader_previous(reader, &entry)) == 1; last = entry.time_ms) {
        if (entry.time_ms >= last || count-- == 0) why = "there are others backward";
    }
    if (why) return why;
    return rc < 0 || count > 0 ? "reading backward fails" : NULL;
}

static const char *judge_directory(const char *path, struct judging *judging)
{
    struct journal_reader *reader;
    const char *why;

    judging->next = 1;
    if (journal_reader_open(os_real(), path, &reader) < 0) return "no reader opens it";
    why = journal_reader_seek_start(reader) < 0 ? "seeking fails" : judge_frames(reader, judging);
    journal_reader_close(reader);
    return why;
}

/* As a writer finds it, who looks at all of it. */
static const char *open_again(const char *path)
{
    struct journal_options options = fixture.options;
    struct journal_report report;
    struct journal *journal;

    options.path = path;
    options.verifies_all = true;
    if (journal_open(os_real(), power.after_io, &options, &report, &journal) < 0)
        return "it does not open";
    while (journal_wait(journal) == 0) {}
    return journal_close(journal) < 0 ? "it does not close" : NULL;
}

static int check_state(void *context, const struct power_state *state)
{
    const char *path = path_below(state->directory, "j"), *why;
    struct judging judging = { .marks = state->marks };

    (void)context;
    if (access(path_below(state->directory, "j/meta"), F_OK) < 0)
        return state->marks[MARK_SYNCED] > 0 ? states_wrong(state, "no journal is there") : 0;
    forget_boot_of(state->directory);
    why = judge_directory(path, &judging);
    if (!why) why = open_again(path);
    if (!why) why = judge_directory(path, &judging);
    return why ? states_wrong(state, why) : 0;
}

/* ---- what is done -----------------------------------------------------------------------------
 */

static void step_append(uint64_t count)
{
    for (; count > 0 && fixture.next < FRAMES_MAX; count--) {
        ck_assert_int_eq(append_next(), 0);
        power.ends[fixture.next - 1] = journal_appended(fixture.journal);
    }
}

static void step_sync(void)
{
    sync_all();
    power.synced = fixture.next - 1;
    record_mark(power.record, MARK_SYNCED, power.synced);
}

/* The last frame of a segment and those before it. */
static uint64_t last_of(uint64_t segment)
{
    uint64_t number = fixture.next - 1;

    while (number > 0 && power.ends[number] > journal_segment_start(segment + 1))
        number--;
    return number;
}

static void step_drop(void)
{
    struct journal_dropping dropping = {
        .codec = JOURNAL_CODEC_LZ4 + (enum journal_codec)random_below(&power.random, 2),
        .note = NOTE,
        .is_dropped = is_dropped
    };
    uint64_t end = journal_segment_of(journal_synced(fixture.journal)), last;

    if (end < 2 || journal_is_dropping(fixture.journal)) return;
    dropping.number = 1 + random_below(&power.random, end - 1);
    last = last_of(dropping.number);
    if (last > dropped) dropped = last;
    record_mark(power.record, MARK_DROPPED, dropped);
    ck_assert_int_eq(journal_drop_frames(fixture.journal, &dropping), 0);
    if (random_below(&power.random, 4) == 0) return; /* other things happen meanwhile */
    settle();
}

static void step_reopen(void)
{
    step_sync();
    close_journal();
    open_journal();
}

static void do_step(void)
{
    switch (random_below(&power.random, 8)) {
    case 0:
        step_reopen();
        break;
    case 1:
        step_sync();
        break;
    case 2:
    case 3:
    case 4:
        step_drop();
        break;
    default:
        step_append(random_below(&power.random, 400));
    }
}

/* _i: what the journal is packed with otherwise, and which script. */
START_TEST(whatever_the_disk_holds_only_what_was_to_be_dropped_is_missing)
{
    uint64_t seed = soak_seed() * 1000 + (uint64_t)_i;
    struct power_figures figures;

    dropped = 0;
    random_init(&power.random, seed);
    fixture.options.settings.codec = (enum journal_codec)(_i % 3);
    fixture.is_text = false;
    open_journal();
    step_append(500);
    step_sync();
    for (unsigned i = 0; i < STEPS; i++)
        do_step();
    settle();
    close_journal();
    ck_assert_msg(walk(seed, check_state, &figures) == 0, "script %d, seed %llu", _i,
                  (unsigned long long)soak_seed());
    states_expect_more_than(&figures, STATES_MIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frames that are dropped: loss of power");
    TCase *cases = test_suite_case(suite, "all", setup_power, teardown_power);

    tcase_add_loop_test(cases, whatever_the_disk_holds_only_what_was_to_be_dropped_is_missing, 0,
                        soak_is_full() ? 12 : 3);
    return test_suite_run(suite);
}
