/* Checkpoints after the power went at any moment, while the next ones are made: whatever the disk
 * holds then (power.h), the newest that has a name is whole, each key in it is as it was when it
 * was begun, and it goes on from a position that the log had not been trimmed behind. So the older
 * one and the log behind it stay until the newer one's name is on the device. */
#include "server/durability/test_checkpoint_run.h"

#include "modules/base/test_states.h"
#include "modules/base/record.h"
#include "modules/base/test_suite.h"

enum {
    ROUNDS = 5,
    CHECKPOINTS_MAX = 4 * ROUNDS,
    RECORD_BYTES = 256 << 20,
    MARK_COMPLETE = 0, /* number of the last that was told to be */
    MARK_TRIMMED = 1,  /* the log, up to this position */
};

static struct record *record;
static char home[64], after[80];
static struct contents made[CHECKPOINTS_MAX]; /* by number */

static void mark_trimmed(uint64_t position)
{
    record_mark(record, MARK_TRIMMED, position);
}

static void setup_with(uint32_t stream_bytes_max)
{
    name_parts();
    fixture.stream_bytes_max = stream_bytes_max;
    fixture.on_trim = mark_trimmed;
    test_directory_make(home, sizeof(home), "/dev/shm", "ckpt-power");
    (void)snprintf(after, sizeof(after), "%s/after", home);
    ck_assert_int_eq(record_create(os_real(), fixture.own.directory, RECORD_BYTES, &record), 0);
    make_parts(record_os(record));
}

static void setup(void)
{
    setup_with(UINT32_MAX);
}

static void setup_with_journals(void)
{
    setup_with(STREAM_BYTES_MAX);
}

static void teardown(void)
{
    destroy_parts();
    record_destroy(record);
    test_directory_remove(home);
}

/* ---- work ---- */

static uint64_t begin_next(void)
{
    struct checkpoint_info info;
    begin();
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_lt(info.begun_count, CHECKPOINTS_MAX);
    made[info.begun_count] = fixture.next;
    return info.begun_count;
}

/* To its end. 0, or why it failed. */
static int make_one(unsigned changes)
{
    struct checkpoint_info info;
    uint64_t number = begin_next();
    int rc = run(changes);
    checkpoint_get_info(fixture.checkpoint, &info);
    if (rc == 0) ck_assert_uint_eq(info.number, number);
    record_mark(record, MARK_COMPLETE, info.number);
    return rc;
}

enum trouble { NONE, ONCE, FOR_GOOD };

/* The directory, whose sync gives a checkpoint its name, cannot be synced for a while. */
static void fail_one(enum trouble trouble)
{
    struct checkpoint_info info;
    fault_fail(fixture.fault, FAULT_FSYNC_DIRECTORY, 1, EIO,
               trouble == ONCE ? FAULT_ONCE : FAULT_FROM_THEN_ON);
    ck_assert_int_eq(make_one(10), -EIO);
    fault_clear(fixture.fault);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_int_eq(info.has_strayed, trouble == FOR_GOOD);
}

static void play(enum trouble trouble)
{
    memset(made, 0, sizeof(made));
    change_much(300);
    for (unsigned round = 0; round < ROUNDS; round++) {
        ck_assert_int_eq(make_one(round % 2 ? 10 : 0), 0);
        change_much(60);
        if (trouble == NONE) continue;
        fail_one(trouble);
        change_much(60);
    }
}

/* ---- the oracle ---- */

static const char *compare(struct parts *parts, const struct checkpoint_head *head)
{
    static struct contents got;
    static char why[80];
    unsigned database, index;
    read_contents(parts, &got);
    if (!find_difference(&got, &made[head->number], &database, &index)) return NULL;
    (void)snprintf(why, sizeof(why), "database %u key %u is another", database, index);
    return why;
}

static const char *judge(struct parts *parts, const struct power_state *state,
                         struct checkpoint_head *head)
{
    static char why[CHECKPOINT_ERROR_BYTES];
    int rc = load(parts, head, why);
    if (rc < 0) return why;
    if (head->number < state->marks[MARK_COMPLETE]) return "the last complete one is gone";
    if (head->log_position < state->marks[MARK_TRIMMED]) return "the log behind it is gone";
    return rc == 0 ? NULL : compare(parts, head);
}

static int check_state(void *context, const struct power_state *state)
{
    struct checkpoint_head head = { 0 };
    struct parts parts;
    const char *why;
    (void)context;
    (void)snprintf(parts.directory, sizeof(parts.directory), "%s", state->directory);
    (void)snprintf(parts.spill, sizeof(parts.spill), "%s/spill", state->directory);
    why = judge(&parts, state, &head);
    unload(&parts);
    if (!why) return 0;
    (void)fprintf(stderr, "state %llu behind event %zu (%s): %s, checkpoint %llu\n",
                  (unsigned long long)state->number, state->event_count, state->text, why,
                  (unsigned long long)head.number);
    return -1;
}

static int walk(struct power_figures *figures)
{
    struct power_walk all = { .record = record,
                              .directory = after,
                              .seed = soak_seed(),
                              .states_per_event = soak_is_full() ? 200 : 12,
                              .event_step = 1,
                              .check = check_state };
    return states_walk(&all, figures);
}

/* ---- tests ---- */

START_TEST(the_older_one_stays_until_the_newer_is_certain)
{
    struct power_figures figures;
    play((enum trouble)_i);
    ck_assert_msg(walk(&figures) == 0, "seed %llu", (unsigned long long)soak_seed());
    states_expect_more_than(&figures, 100);
}
END_TEST

/* The test would find a name that is taken for certain before it is. */
START_TEST(a_planted_bug_is_found)
{
    struct power_figures figures;
    record_plant(record, (enum record_plant)_i);
    play(NONE);
    ck_assert_int_ne(walk(&figures), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoints and the loss of power");
    TCase *tests = test_suite_case(suite, "all", setup, teardown);
    TCase *journals = test_suite_case(suite, "streams in journals", setup_with_journals, teardown);

    tcase_add_loop_test(tests, the_older_one_stays_until_the_newer_is_certain, NONE, FOR_GOOD + 1);
    tcase_add_loop_test(tests, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    tcase_add_loop_test(journals, the_older_one_stays_until_the_newer_is_certain, NONE, NONE + 1);
    return test_suite_run(suite);
}
