/* Streams in journals after the power went at any moment: whatever the disk holds then (power.h),
 * the streams of the last checkpoint are as they were when it was made, and go on; packed, written
 * anew without what was deleted, or not. */
#include "modules/base/test_states.h"
#include "modules/base/record.h"
#include "modules/stream/test_stream_files.h"

enum {
    STREAMS = 3,
    CHECKPOINTS_MAX = 100,
    STEPS = 40,
    VALUE_BYTES = 150,
    RECORD_BYTES = 256 << 20,
    MARK_CHECKPOINT = 1,
};

/* Of the entries of a stream [from, end) those that are less than thinned are there only if they
 * can be divided by it. from is there, or is end. */
enum { KEPT_EVERY = 8 };

struct range {
    uint64_t first; /* that was ever added: its ordinal is 1 */
    uint64_t from, thinned, end;
};

struct held {
    struct stream *stream; /* NULL: none */
    struct range range;
};

/* What a checkpoint holds. */
struct saved {
    struct {
        uint8_t *image;
        size_t size;
        struct range range;
    } streams[STREAMS];
};

static struct held held[STREAMS];
static struct saved saved[CHECKPOINTS_MAX];
static uint64_t saved_count;
static struct record *record;
static struct fault *device; /* below the record: a sync that fails there leaves what it leaves */
static uint64_t now_ms;
static struct io *after_io;
static char work[80], after[80];

static void setup_power(void)
{
    setup_in("/dev/shm", 0);
    io_destroy(files.io);
    fault_destroy(files.fault);
    memset(held, 0, sizeof(held));
    memset(saved, 0, sizeof(saved));
    saved_count = 0;
    (void)snprintf(work, sizeof(work), "%s/work", files.directory);
    (void)snprintf(after, sizeof(after), "%s/after", files.directory);
    ck_assert_int_eq(mkdir(work, 0755), 0);
    now_ms = 0;
    ck_assert_int_eq(fault_create(os_real(), &device), 0);
    ck_assert_int_eq(record_create(fault_os(device), work, RECORD_BYTES, &record), 0);
    ck_assert_int_eq(fault_create(record_os(record), &files.fault), 0);
    ck_assert_int_eq(io_create(fault_os(files.fault), 0, &files.io), 0);
    ck_assert_int_eq(io_create(os_real(), 0, &after_io), 0);
    files.options.directory = work;
    files.options.open_max = 2;
}

static void teardown_power(void)
{
    for (uint64_t i = 0; i < saved_count; i++)
        for (unsigned k = 0; k < STREAMS; k++)
            free(saved[i].streams[k].image);
    teardown_files();
    io_destroy(after_io);
    record_destroy(record);
    fault_destroy(device);
}

/* ---- what is found ----------------------------------------------------------------------------
 */

static int wait_after(void *context)
{
    (void)context;
    return io_wait(after_io) > 0 ? 0 : -EIO;
}

/* The first one that is there, from number on. */
static uint64_t next_there(const struct range *range, uint64_t number)
{
    if (number < range->from) number = range->from;
    while (number < range->thinned && number < range->end && number % KEPT_EVERY != 0)
        number++;
    return number;
}

static const char *judge(struct stream *found, const struct range *range)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t number = next_there(range, 0);
    int rc;

    stream_cursor_begin(&cursor, found, STREAM_ID_MIN, STREAM_FORWARD);
    while ((rc = stream_cursor_next(&cursor, &entry)) == 1) {
        if (entry.id.ms != number) return "an entry is missing";
        if (!slice_equal(entry.fields, value_of(number, VALUE_BYTES))) return "one has changed";
        number = next_there(range, number + 1);
    }
    if (rc < 0) return "reading fails";
    if (number != range->end) return "it ends elsewhere";
    return NULL;
}

static const char *go_on(struct stream *found, struct range range)
{
    for (unsigned i = 0; i < 20; i++)
        if (try_add(found, range.end++, VALUE_BYTES) < 0) return "adding fails";
    return judge(found, &range);
}

static const char *load_and_judge(struct stream_store *from, const struct saved *checkpoint)
{
    struct stream *loaded[STREAMS] = { NULL };
    const char *why = NULL;

    for (unsigned i = 0; i < STREAMS && !why; i++) {
        struct slice bytes = slice_of(checkpoint->streams[i].image, checkpoint->streams[i].size);
        if (!bytes.bytes) continue;
        if (stream_image_load(from, bytes, &loaded[i]) < 0) why = "an image cannot be loaded";
    }
    stream_checkpoint_loaded(from);
    for (unsigned i = 0; i < STREAMS && !why; i++) {
        const struct range *range = &checkpoint->streams[i].range;
        if (!loaded[i]) continue;
        why = judge(loaded[i], range);
        if (!why) why = go_on(loaded[i], *range);
    }
    for (unsigned i = 0; i < STREAMS; i++)
        stream_destroy(loaded[i]);
    return why;
}

static int check_state(void *context, const struct power_state *state)
{
    static const struct saved nothing;
    uint64_t number = state->marks[MARK_CHECKPOINT];
    struct stream_options options = files.options;
    const struct stream_hooks hooks = { .wait = wait_after };
    struct stream_store *found;
    const char *why;

    (void)context;
    options.directory = state->directory;
    ck_assert_int_eq(stream_store_create(os_real(), after_io, &options, &hooks, &found), 0);
    why = load_and_judge(found, number > 0 ? &saved[number - 1] : &nothing);
    stream_store_destroy(found);
    return why ? states_wrong(state, why) : 0;
}

/* ---- what is done -----------------------------------------------------------------------------
 */

/* False: what a failed sync has left is mended first, as time goes by; or the next segment could
 * not be made. */
static bool add_mended(struct held *one)
{
    int rc = try_add(one->stream, one->range.end, VALUE_BYTES);

    ck_assert(rc == 0 || rc == -EROFS || rc == -EIO);
    return rc == 0;
}

static void step_some_add(struct held *one)
{
    uint64_t count = random_below(&dice, 150);

    if (!one->stream) {
        ck_assert_int_eq(stream_create(store, &one->stream), 0);
        stream_set_codec(one->stream, (enum journal_codec)random_below(&dice, 3));
        one->range.first = one->range.from = one->range.thinned = one->range.end =
            1 + random_below(&dice, 1000);
    }
    for (; count > 0 && add_mended(one); count--)
        one->range.end++;
}

static void step_some_trim(struct held *one)
{
    struct range *range = &one->range;
    uint64_t gone;

    if (!one->stream) return;
    gone = random_below(&dice, stream_count(one->stream) + 1);
    trim_to(one->stream, stream_count(one->stream) - gone);
    range->from = next_there(range, 0);
    for (; gone > 0; gone--)
        range->from = next_there(range, range->from + 1);
}

/* Most of the older half is deleted. */
static void step_some_thin_out(struct held *one)
{
    struct range *range = &one->range;
    uint64_t number = range->from > range->thinned ? range->from : range->thinned;
    uint64_t end = range->thinned + (range->end - range->thinned) * 3 / 4;

    if (!one->stream) return;
    for (; number < end; number++) {
        uint64_t ordinal = number - range->first + 1;
        if (number % KEPT_EVERY == 0) continue;
        ck_assert_int_eq(stream_delete(one->stream, ordinal, (struct stream_id){ number, 0 }), 1);
    }
    range->thinned = end;
    range->from = next_there(range, 0);
}

static void step_some_destroy(struct held *one)
{
    stream_destroy(one->stream);
    one->stream = NULL;
}

static void destroy_all(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        step_some_destroy(&held[i]);
}

static void save_one(const struct held *one, unsigned index, struct saved *checkpoint)
{
    if (!one->stream) return;
    write_image(one->stream);
    checkpoint->streams[index].image = image.bytes;
    checkpoint->streams[index].size = image.size;
    checkpoint->streams[index].range = one->range;
    image.bytes = NULL;
}

static void some_step(void)
{
    struct held *one = &held[random_below(&dice, STREAMS)];

    switch (random_below(&dice, 10)) {
    case 0:
        step_some_trim(one);
        break;
    case 2:
    case 3:
        step_some_thin_out(one);
        break;
    case 1:
        if (random_below(&dice, 3) == 0) step_some_destroy(one);
        break;
    default:
        step_some_add(one);
    }
    now_ms += 500;
    (void)stream_store_tick(store, now_ms, 0);
    ck_assert_int_eq(record_look(record), 0);
}

/* One of the next syncs fails, or all for a while. When all of the file system cannot be synced,
 * who has a file open is told of it, too. */
static void step_fail(void)
{
    static const enum fault_call calls[] = { FAULT_SYNC_MAP, FAULT_FDATASYNC, FAULT_FSYNC };

    fault_clear(device);
    if (random_below(&dice, 2) == 0) {
        fault_fail(device, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_FROM_THEN_ON);
        for (unsigned i = 0; i < 3; i++)
            fault_fail(device, calls[i], 1, EIO, FAULT_FROM_THEN_ON);
        return;
    }
    fault_fail(device, calls[random_below(&dice, 3)], 1 + random_below(&dice, 3), EIO,
               random_below(&dice, 3) == 0 ? FAULT_FROM_THEN_ON : FAULT_ONCE);
}

/* Streams change while it is being made, behind their images. */
static void step_save_all(void)
{
    struct saved *checkpoint = &saved[saved_count];
    bool is_complete = random_below(&dice, 4) > 0;
    int rc;

    if (saved_count == CHECKPOINTS_MAX) return;
    stream_checkpoint_begin(store);
    for (unsigned i = 0; i < STREAMS; i++)
        save_one(&held[i], i, checkpoint);
    saved_count++;
    for (uint64_t count = random_below(&dice, 4); count > 0; count--)
        some_step();
    rc = sync_checkpoint();
    ck_assert(rc == 1 || rc == -EIO);
    is_complete = is_complete && rc == 1;
    if (is_complete) record_mark(record, MARK_CHECKPOINT, saved_count);
    stream_checkpoint_end(store, is_complete);
}

/* The disk is well again, and so is what it had failed. */
static void step_recover(void)
{
    struct stream_trouble trouble;

    fault_clear(device);
    now_ms += 2000;
    settle_at(now_ms);
    stream_store_get_trouble(store, &trouble);
    ck_assert_uint_eq(trouble.suspect_count, 0);
    ck_assert_uint_eq(trouble.damaged_count, 0);
}

static void run_script(uint64_t seed, bool fails)
{
    random_init(&dice, seed);
    create_store();
    for (unsigned i = 0; i < STEPS; i++) {
        if (fails && random_below(&dice, 5) == 0) step_fail();
        if (fails && random_below(&dice, 6) == 0) step_recover();
        if (random_below(&dice, fails ? 3 : 6) == 0)
            step_save_all();
        else
            some_step();
    }
    step_recover();
    step_save_all();
    destroy_all();
    stream_store_destroy(store);
    store = NULL;
}

static int walk_all(uint64_t seed, struct power_figures *figures)
{
    struct power_walk all = { .record = record,
                              .directory = after,
                              .seed = seed,
                              .states_per_event = soak_is_full() ? 20 : 2,
                              .event_step = soak_is_full() ? 1 : 13,
                              .check = check_state };

    return states_walk(&all, figures);
}

START_TEST(whatever_the_disk_holds_the_checkpoint_is_there)
{
    uint64_t seed = soak_seed() * 1000 + (uint64_t)_i;
    struct power_figures figures;

    run_script(seed, false);
    ck_assert_msg(walk_all(seed, &figures) == 0, "script %d, seed %llu", _i,
                  (unsigned long long)soak_seed());
    states_expect_more_than(&figures, 10);
}
END_TEST

START_TEST(what_failed_syncs_have_left_was_mended_before_a_checkpoint)
{
    uint64_t seed = soak_seed() * 1000 + 500 + (uint64_t)_i;
    struct power_figures figures;

    run_script(seed, true);
    ck_assert_msg(walk_all(seed, &figures) == 0, "script %d, seed %llu", _i,
                  (unsigned long long)soak_seed());
    states_expect_more_than(&figures, 20);
}
END_TEST

/* Its meta is written once, and is not on the device. */
START_TEST(what_the_first_sync_of_a_journal_has_left_is_mended)
{
    struct power_figures figures;

    random_init(&dice, 1);
    create_store();
    ck_assert_int_eq(stream_create(store, &held[0].stream), 0);
    held[0].range = (struct range){ .first = 1, .from = 1, .thinned = 1, .end = 100 };
    add_entries(held[0].stream, 1, 100, VALUE_BYTES);
    settle();
    fault_fail(device, FAULT_FSYNC, 1, EIO, FAULT_ONCE);
    stream_checkpoint_begin(store);
    write_image(held[0].stream);
    ck_assert_int_eq(sync_checkpoint(), -EIO);
    stream_checkpoint_end(store, false);
    step_recover();
    for (unsigned i = 0; i < 5; i++)
        step_save_all();
    ck_assert_int_eq(walk_all(1, &figures), 0);
    destroy_all();
}
END_TEST

/* A store that forgets to sync, or is told it had before it has, must be found out. */
START_TEST(a_planted_bug_is_found)
{
    struct power_figures figures;
    int rc;

    random_init(&dice, 1);
    if (_i == RECORD_DIRECTORY_SYNCS_LEFT_OUT)
        record_plant(record, RECORD_DIRECTORY_SYNCS_LEFT_OUT);
    create_store();
    step_some_add(&held[0]);
    step_some_add(&held[0]);
    if (_i == RECORD_SYNCS_LATE) record_plant(record, RECORD_SYNCS_LATE);
    for (unsigned i = 0; i < 3; i++) {
        add_entries(held[0].stream, held[0].range.end, held[0].range.end + 100, VALUE_BYTES);
        held[0].range.end += 100;
        step_save_all();
    }
    rc = walk_all(1, &figures);
    destroy_all();
    ck_assert_int_ne(rc, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams: loss of power");
    TCase *cases = test_suite_case(suite, "all", setup_power, teardown_power);

    tcase_add_loop_test(cases, whatever_the_disk_holds_the_checkpoint_is_there, 0,
                        soak_is_full() ? 20 : 8);
    tcase_add_loop_test(cases, what_failed_syncs_have_left_was_mended_before_a_checkpoint, 0,
                        soak_is_full() ? 40 : 12);
    tcase_add_test(cases, what_the_first_sync_of_a_journal_has_left_is_mended);
    tcase_add_loop_test(cases, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    return test_suite_run(suite);
}
