/* A journal after the power went at any moment: whatever the disk holds then (power.h), what was
 * synced is there, exactly a prefix of what was appended behind it, and the journal goes on. */
#include "modules/base/test_suite.h"
#include "modules/journal/test_power_fixture.h"

enum { STEPS = 30, STATES_MIN = 40 }; /* a script of few frames has few states */

struct variant {
    const char *name;
    enum journal_way way;
    enum journal_publish publish;
    bool starts_in_memory;
    enum journal_codec codec;
    const char *cool_path;
};

static const struct variant variants[] = {
    { .name = "mapped", .way = JOURNAL_MAPPED },
    { .name = "buffered", .way = JOURNAL_BUFFERED },
    { .name = "buffered, synced", .way = JOURNAL_BUFFERED, .publish = JOURNAL_PUBLISH_SYNCED },
    { .name = "memory, mapped", .way = JOURNAL_MAPPED, .starts_in_memory = true },
    { .name = "memory, buffered", .way = JOURNAL_BUFFERED, .starts_in_memory = true },
    { .name = "packed", .way = JOURNAL_MAPPED, .codec = JOURNAL_CODEC_LZ4 },
    { .name = "tiers", .way = JOURNAL_BUFFERED, .cool_path = "../cool" },
    { .name = "packed, tiers", .codec = JOURNAL_CODEC_ZSTD, .cool_path = "../cool" },
};
enum { VARIANT_COUNT = sizeof(variants) / sizeof(variants[0]) };

/* ---- what is found ----------------------------------------------------------------------------
 */

/* The name stands where it was kept, at the last time that was durable or later; or, when frames
 * that it had seen are lost, where the journal was synced then, and those that are left are seen
 * again. */
static bool name_is_right(const char *path, const struct found *found, const uint64_t *marks)
{
    struct journal_reader *reader;
    struct found rest = { 0 };
    bool is_right;
    int rc;

    if (marks[MARK_KEPT] == 0) return true;
    if (journal_reader_open(os_real(), path, &reader) < 0) return false;
    rc = journal_reader_take_name(reader, "worker");
    is_right = rc >= 0 || rc == -ESTALE;
    if (rc == 0 && marks[MARK_KEPT_DURABLY] > 0) is_right = false;
    if (is_right) is_right = read_frames(reader, &rest);
    if (is_right && rc == 1 && rest.first > 0) {
        bool has_lost = found->next < marks[MARK_KEPT];
        uint64_t least = marks[MARK_KEPT_DURABLY], synced = marks[MARK_KEPT_SYNCED];

        if (has_lost && least > synced + 1) least = synced + 1;
        is_right = rest.first <= marks[MARK_KEPT] && rest.first >= least;
    }
    /* At the end: that is where it was kept, or a tail that it had seen is gone. */
    if (is_right && rc == 1 && rest.first == 0) is_right = found->next <= marks[MARK_KEPT];
    journal_reader_close(reader);
    return is_right;
}

static void set_options(struct journal_options *options, const char *path)
{
    *options = fixture.options;
    options->path = path;
    options->starts_in_memory = false;
    options->verifies_all = true;
}

static int append_one(struct journal *journal, uint64_t number)
{
    uint8_t bytes[8192];
    struct slice payload = slice_of(bytes, payload_of(number, bytes));
    uint64_t position;
    int rc;

    while ((rc = journal_append(journal, number, 0, &payload, 1, &position)) == -EAGAIN)
        if (journal_wait(journal) < 0) return -EIO;
    if (rc < 0) return rc;
    journal_sync(journal);
    while (journal_wait(journal) == 0)
        ;
    return journal_synced(journal) == journal_appended(journal) ? 0 : -EIO;
}

/* Opens for writing, as a server does, and appends a frame. */
static const char *go_on(struct os *os, struct io *io, const char *path, uint64_t number)
{
    static char why[JOURNAL_REPORT_TEXT_BYTES + 32];
    struct journal_options options;
    struct journal_report report;
    struct journal *journal;
    int rc;

    set_options(&options, path);
    rc = journal_open(os, io, &options, &report, &journal);
    if (rc < 0) {
        (void)snprintf(why, sizeof(why), "opening: %d %s", rc, report.text);
        return why;
    }
    rc = append_one(journal, number);
    if (journal_close(journal) < 0 || rc < 0) return "it cannot go on";
    return NULL;
}

static const char *check_directory(const char *directory, const uint64_t *marks)
{
    const char *path = path_below(directory, "j"), *why;
    struct found found = { .next = 1 }, after;
    bool is_there = access(path_below(directory, "j/meta"), F_OK) == 0;

    if (!is_there && marks[MARK_SYNCED] > 0) return "no journal is there";
    if (is_there && !read_all(path, &found)) return "reading fails";
    if (found.first == 0) found.next = 1; /* trimming leaves the last that was synced */
    why = judge(&found, marks);
    if (why) return why;
    if (is_there && !name_is_right(path, &found, marks)) return "the name stands elsewhere";
    why = go_on(os_real(), power.after_io, path, found.next);
    if (why) return why;
    if (!read_all(path, &after) || after.next != found.next + 1) return "what was found has gone";
    return NULL;
}

static int check_again(void *context, const struct power_state *state)
{
    const uint64_t *marks = context;
    const char *why;

    forget_boot_of(state->directory);
    why = check_directory(state->directory, marks);
    return why ? states_wrong(state, why) : 0;
}

/* The power goes again while it recovers. */
static int recover_and_lose(const struct power_state *state)
{
    uint64_t marks[RECORD_MARKS_MAX];
    struct power_figures figures;
    struct power_walk walk = { .directory = power.again,
                               .seed = state->number,
                               .states_per_event = 3,
                               .event_step = 3,
                               .check = check_again,
                               .context = marks };
    struct record *record;
    struct io *io;
    const char *path = path_below(state->directory, "j");
    int rc;

    memcpy(marks, state->marks, sizeof(marks));
    ck_assert_int_eq(record_create(os_real(), state->directory, RECORD_BYTES, &record), 0);
    ck_assert_int_eq(io_create(record_os(record), 0, &io), 0);
    /* Its number does not matter: the states behind the append are not for this oracle. */
    {
        struct journal_options options;
        struct journal_report report;
        struct journal *journal;
        set_options(&options, path);
        rc = journal_open(record_os(record), io, &options, &report, &journal);
        if (rc == 0) rc = journal_close(journal);
    }
    io_destroy(io);
    if (rc < 0) {
        record_destroy(record);
        return states_wrong(state, "recovery fails while it is recorded");
    }
    walk.record = record;
    rc = power_walk(&walk, &figures);
    power.looked_again += figures.checked_count;
    record_destroy(record);
    return rc < 0 ? states_wrong(state, "and then the power went again") : 0;
}

static int check_state(void *context, const struct power_state *state)
{
    const char *why;

    (void)context;
    forget_boot_of(state->directory);
    if (state->number % 61 == 0) return recover_and_lose(state);
    why = check_directory(state->directory, state->marks);
    return why ? states_wrong(state, why) : 0;
}

/* ---- what is done -----------------------------------------------------------------------------
 */

static void mark_synced(void)
{
    uint64_t synced = journal_synced(fixture.journal);

    if (journal_is_in_memory(fixture.journal)) return;
    while (power.synced + 1 < fixture.next && power.ends[power.synced + 1] <= synced)
        power.synced++;
    record_mark(power.record, MARK_SYNCED, power.synced);
}

static void step_append(uint64_t count)
{
    for (uint64_t i = 0; i < count && fixture.next < FRAMES_MAX; i++) {
        if (append_next() < 0) return; /* it is as good as killed */
        power.ends[fixture.next - 1] = journal_appended(fixture.journal);
        if (i % 3 == 0) ck_assert_int_eq(record_look(power.record), 0);
    }
}

static void step_sync(void)
{
    journal_sync(fixture.journal);
    settle();
    mark_synced();
}

/* Where the frames are that are there, and which is the next. */
static void learn_frames(void)
{
    struct journal_entry entry;

    fixture.next = 1;
    open_reader();
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    while (journal_reader_next(fixture.reader, &entry) == 1) {
        fixture.next = entry.time_ms + 1;
        power.ends[entry.time_ms] = journal_reader_position(fixture.reader);
    }
    ck_assert_uint_ge(fixture.next, power.synced + 1);
    mark_synced();
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
}

static void step_reopen(void)
{
    (void)journal_close(fixture.journal);
    fixture.journal = NULL;
    fault_clear(fixture.fault);
    open_journal();
    if (journal_is_in_memory(fixture.journal)) {
        fixture.next = 1; /* what was in memory is lost */
        return;
    }
    learn_frames();
}

/* The process is killed at one of its next calls, and another goes on. */
static void step_kill(void)
{
    uint64_t nth = 1 + random_below(&power.random, 30);

    fault_fail(fixture.fault, FAULT_ANY_CHANGE, nth, EIO, FAULT_FROM_THEN_ON);
    for (unsigned i = 0; i < 8 && fault_fired(fixture.fault) == 0; i++) {
        step_append(60);
        journal_sync(fixture.journal);
        settle();
        /* What was answered before it was killed counts. */
        if (fault_fired(fixture.fault) == 0) mark_synced();
    }
    step_reopen();
}

static void step_trim(void)
{
    uint64_t number = power.trimmed + random_below(&power.random, 400);

    if (number < 2 || number > power.synced) return;
    power.trimmed = number;
    record_mark(power.record, MARK_TRIMMED, number);
    journal_trim(fixture.journal, power.ends[number - 1]);
    settle();
}

static void step_keep(void)
{
    bool is_durable = random_below(&power.random, 2);
    struct journal_reader *reader;
    struct journal_entry entry;
    uint64_t count;
    int rc;

    if (journal_is_in_memory(fixture.journal)) return;
    ck_assert_int_eq(journal_reader_open(fault_os(fixture.fault), fixture.path, &reader), 0);
    rc = journal_reader_take_name(reader, "worker");
    ck_assert_msg(rc >= 0 || rc == -ESTALE, "%d", rc);
    count = random_below(&power.random, 50) + (rc == -ESTALE); /* else where it stands is unknown */
    for (rc = 1; rc == 1 && count > 0; count--) {
        rc = journal_reader_next(reader, &entry);
        if (rc == 1) power.kept = entry.time_ms + 1;
    }
    if (power.kept > 0) {
        record_mark(power.record, MARK_KEPT, power.kept);
        ck_assert_int_eq(journal_reader_keep(reader, is_durable), 0);
        if (is_durable) {
            record_mark(power.record, MARK_KEPT_DURABLY, power.kept);
            record_mark(power.record, MARK_KEPT_SYNCED, power.synced);
        }
    }
    journal_reader_close(reader);
}

static void step_tend(void)
{
    journal_tend(fixture.journal, UINT64_MAX / 2);
    settle();
}

static void do_step(void)
{
    switch (random_below(&power.random, 12)) {
    case 0:
        step_trim();
        break;
    case 1:
        step_keep();
        break;
    case 2:
        step_tend();
        break;
    case 3:
        step_reopen();
        break;
    case 4:
        step_kill();
        break;
    case 5:
        publish();
        break;
    case 6:
    case 7:
        step_sync();
        break;
    case 8:
        step_append(150);
        break;
    default:
        step_append(1 + random_below(&power.random, 12));
    }
    mark_synced();
}

/* Making a journal is killed at one call after the other, until it succeeds. */
static void step_make(void)
{
    for (uint64_t nth = 1; !fixture.journal; nth += random_below(&power.random, 3)) {
        fault_fail(fixture.fault, FAULT_ANY_CHANGE, nth, EIO, FAULT_FROM_THEN_ON);
        if (try_open() == 0 && fault_fired(fixture.fault) > 0) step_reopen();
        fault_clear(fixture.fault);
    }
}

/* A script whose journal is in memory to its end has no states. Syncing nothing leaves it there. */
static void leave_memory(void)
{
    if (!journal_is_in_memory(fixture.journal)) return;
    step_append(1);
    step_sync();
    ck_assert(!journal_is_in_memory(fixture.journal));
}

static void run_script(const struct variant *variant, uint64_t seed)
{
    random_init(&power.random, seed);
    fixture.options.way = variant->way;
    fixture.options.publish = variant->publish;
    fixture.options.starts_in_memory = variant->starts_in_memory;
    fixture.options.settings.codec = variant->codec;
    fixture.options.settings.cool_path = variant->cool_path;
    fixture.options.settings.cool_after_ms = variant->cool_path ? 1 : 0;
    fixture.is_text = variant->codec != JOURNAL_CODEC_NONE;
    if (random_below(&power.random, 2)) step_make();
    if (!fixture.journal) open_journal();
    for (unsigned i = 0; i < STEPS; i++) {
        if (i == STEPS / 2) leave_memory();
        do_step();
    }
    close_journal();
}

/* _i: the variant, and which of its scripts. */
START_TEST(whatever_the_disk_holds_what_was_synced_is_there_and_it_goes_on)
{
    const struct variant *variant = &variants[_i % VARIANT_COUNT];
    uint64_t seed = soak_seed() * 1000 + (uint64_t)_i;
    struct power_figures figures;

    run_script(variant, seed);
    ck_assert_msg(walk(seed, check_state, &figures) == 0, "%s, script %d, seed %llu", variant->name,
                  _i, (unsigned long long)soak_seed());
    (void)printf("%s: %llu states of %llu events, %llu in recovery\n", variant->name,
                 (unsigned long long)figures.checked_count, (unsigned long long)figures.event_count,
                 (unsigned long long)power.looked_again);
    ck_assert_uint_gt(figures.checked_count, STATES_MIN);
}
END_TEST

/* ---- the test itself --------------------------------------------------------------------------
 */

/* A journal that forgets to sync, or is told it had before it has, must be found out. */
START_TEST(a_planted_bug_is_found)
{
    struct power_figures figures;

    if (_i == RECORD_DIRECTORY_SYNCS_LEFT_OUT) record_plant(power.record, _i);
    open_journal();
    step_sync();
    if (_i == RECORD_SYNCS_LATE) record_plant(power.record, _i);
    for (unsigned i = 0; i < 4; i++) {
        step_append(100);
        step_sync();
    }
    ck_assert_int_ne(walk(1, check_state, &figures), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal: loss of power");
    TCase *cases = test_suite_case(suite, "all", setup_power, teardown_power);
    int scripts = soak_is_full() ? 4 : 1;

    tcase_add_loop_test(cases, whatever_the_disk_holds_what_was_synced_is_there_and_it_goes_on, 0,
                        scripts * VARIANT_COUNT);
    tcase_add_loop_test(cases, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    return test_suite_run(suite);
}
