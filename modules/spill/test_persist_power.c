/* Lists after the power went at any moment, while they change and checkpoints are made: whatever
 * the disk holds then (power.h), the newest checkpoint that has its name opens, is not older than
 * the last complete one, and every list is as it was at its moment. */
#include "modules/base/test_states.h"
#include "modules/base/record.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/spill/test_persist_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { LISTS = 6, STEPS = 1200, LIVES = 3, CHECKPOINTS_MAX = 200, FILE_BYTES_MAX = 4 << 20 };
enum { RECORD_BYTES = 512 << 20, MARK_COMPLETE = 1 };

struct list {
    struct spill_deque *deque; /* NULL: there is none */
    struct model model;
    bool is_unseen; /* the running checkpoint has not saved it yet */
};

static char home[48], after[64];
static struct record *record;
static struct list lists[LISTS];
static struct saved made[CHECKPOINTS_MAX]; /* by number, from 1 */
static unsigned number;                    /* of the running one, or the last */
static unsigned complete;                  /* of the last that is */
static bool is_running;
static bool completes_early; /* the bug: what it replaces is free before it is durable */
static uint8_t *file_bytes;

static void set_up(void)
{
    memset(lists, 0, sizeof(lists));
    number = complete = 0;
    is_running = completes_early = false;
    test_directory_make(home, sizeof(home), "/dev/shm", "spill-power");
    (void)snprintf(directory, sizeof(directory), "%s/data", home);
    (void)snprintf(after, sizeof(after), "%s/after", home);
    ck_assert_int_eq(mkdir(directory, 0755), 0);
    file_bytes = malloc(FILE_BYTES_MAX);
    ck_assert_ptr_nonnull(file_bytes);
    ck_assert_int_eq(record_create(os_real(), directory, RECORD_BYTES, &record), 0);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < CHECKPOINTS_MAX; i++)
        saved_drop(&made[i]);
    free(file_bytes);
    record_destroy(record);
    test_directory_remove(home);
}

/* ---- the caller's file ------------------------------------------------------------------------
 */

static size_t put(size_t at, const void *bytes, size_t size)
{
    ck_assert_uint_le(at + size, FILE_BYTES_MAX);
    memcpy(file_bytes + at, bytes, size);
    return at + size;
}

static size_t take(size_t at, void *bytes, size_t size)
{
    memcpy(bytes, file_bytes + at, size);
    return at + size;
}

static size_t encode(const struct saved *saved)
{
    size_t at = put(0, &number, sizeof(number));

    for (unsigned i = 0; i < LISTS; i++) {
        const struct saved_list *list = &saved->lists[i];
        at = put(at, &list->is_there, sizeof(list->is_there));
        at = put(at, &list->size, sizeof(list->size));
        at = put(at, list->bytes, list->size);
    }
    at = put(at, &saved->state_size, sizeof(saved->state_size));
    return put(at, saved->state, saved->state_size);
}

/* As encode, from a file that was found. models stay empty. */
static unsigned decode(struct saved *saved)
{
    unsigned found;
    size_t at = take(0, &found, sizeof(found));

    for (unsigned i = 0; i < LISTS; i++) {
        struct saved_list *list = &saved->lists[i];
        at = take(at, &list->is_there, sizeof(list->is_there));
        at = take(at, &list->size, sizeof(list->size));
        ck_assert_uint_le(list->size, sizeof(list->bytes));
        at = take(at, list->bytes, list->size);
    }
    at = take(at, &saved->state_size, sizeof(saved->state_size));
    ck_assert_uint_le(at + saved->state_size, FILE_BYTES_MAX);
    saved->state = malloc(saved->state_size + 1);
    ck_assert_ptr_nonnull(saved->state);
    (void)take(at, saved->state, saved->state_size);
    return found;
}

/* Durable, under the name that recovery looks for. */
static void write_file(const struct saved *saved)
{
    struct os *os = record_os(record);
    size_t size = encode(saved);
    char new[96], path[96];
    int fd;

    (void)snprintf(new, sizeof(new), "%s/checkpoint.new", directory);
    (void)snprintf(path, sizeof(path), "%s/checkpoint", directory);
    fd = os->open(os, new, O_RDWR | O_CREAT | O_TRUNC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os_write_all(os, fd, file_bytes, size, 0), 0);
    ck_assert_int_eq(os->fsync(os, fd), 0);
    ck_assert_int_eq(os->close(os, fd), 0);
    ck_assert_int_eq(os->rename(os, new, path), 0);
    ck_assert_int_eq(os->fsync_directory(os, directory), 0);
}

/* ---- work -------------------------------------------------------------------------------------
 */

static void see_list(unsigned which)
{
    if (!lists[which].is_unseen) return;
    lists[which].is_unseen = false;
    made[number].lists[which].model = model_copy(&lists[which].model);
    save_one(&made[number], which, lists[which].deque);
}

static void begin_checkpoint(void)
{
    ck_assert_uint_lt(++number, CHECKPOINTS_MAX);
    begin_picture();
    for (unsigned i = 0; i < LISTS; i++)
        lists[i].is_unseen = lists[i].deque != NULL;
    is_running = true;
}

static void step_on(unsigned which)
{
    struct list *list = &lists[which];

    if (!list->deque) {
        list->deque = deque_open();
        list->model = (struct model){ 0 };
        return;
    }
    see_list(which);
    if (random_below(&dice, 80) == 0) {
        spill_deque_destroy(list->deque);
        free(list->model.elements);
        *list = (struct list){ 0 };
        return;
    }
    deque = list->deque;
    model = list->model;
    step();
    if (snapshot) drop_snapshot();
    list->deque = deque;
    list->model = model;
}

static void work(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        step_on((unsigned)random_below(&dice, LISTS));
        if (random_below(&dice, 3) == 0) turn();
    }
}

static void end_checkpoint(void)
{
    for (unsigned i = 0; i < LISTS; i++)
        see_list(i);
    ck_assert_int_eq(wait_for_roots(), 0);
    work((unsigned)random_below(&dice, 20));
    ck_assert_int_eq(wait_for_sync(), 0);
    take_state(&made[number]);
    is_running = false;
    if (completes_early) {
        spill_checkpoint_complete(store);
        work(300);
    }
    write_file(&made[number]);
    complete = number;
    record_mark(record, MARK_COMPLETE, number);
    if (!completes_early) spill_checkpoint_complete(store);
}

static void abort_checkpoint(void)
{
    spill_checkpoint_abort(store, false);
    for (unsigned i = 0; i < LISTS; i++)
        lists[i].is_unseen = false;
    is_running = false;
}

static void open_last(void)
{
    struct spill_hooks hooks = test_hooks();

    if (complete == 0) {
        ck_assert_int_eq(spill_store_create(fault_os(fault), io, &persist_options, &hooks, &store),
                         0);
        return;
    }
    reopen(&made[complete]);
    for (unsigned i = 0; i < LISTS; i++) {
        const struct saved_list *list = &made[complete].lists[i];
        if (!list->is_there) continue;
        lists[i].deque = load_one(list);
        lists[i].model = model_copy(&list->model);
    }
}

/* A process that works and is killed. */
static void live(void)
{
    open_last();
    for (unsigned i = 0; i < STEPS; i += 40) {
        work(40);
        if (!is_running) {
            begin_checkpoint();
        } else if (random_below(&dice, 8) == 0) {
            abort_checkpoint();
        } else {
            end_checkpoint();
        }
    }
    for (unsigned i = 0; i < LISTS; i++) {
        if (!lists[i].deque) continue;
        spill_deque_destroy(lists[i].deque);
        free(lists[i].model.elements);
        lists[i] = (struct list){ 0 };
    }
    crash();
    is_running = false;
}

/* ---- the oracle -------------------------------------------------------------------------------
 */

static const char *compare_list(const struct saved_list *found, const struct model *expected)
{
    struct spill_deque *loaded;
    const char *why = NULL;
    struct slice item;
    int rc = spill_deque_load(store, slice_of(found->bytes, found->size), &loaded);

    if (rc < 0) return "a root does not fit";
    if (spill_deque_count(loaded) != expected->count) why = "a list has another length";
    for (size_t i = 0; !why && i < expected->count; i++) {
        RETRIED(rc, spill_deque_get(loaded, i, &item));
        if (rc < 0) why = spill_store_last_error(store);
        if (rc == 0 || (rc == 1 && !element_is(expected->elements[i], item)))
            why = "an element is another";
    }
    spill_deque_destroy(loaded);
    return why;
}

static const char *open_and_compare(const struct saved *found, const struct saved *expected)
{
    static char why[SPILL_WHY_BYTES];
    const char *wrong = NULL;

    if (reopen_with(slice_of(found->state, found->state_size), why) < 0) return why;
    for (unsigned i = 0; !wrong && i < LISTS; i++) {
        const struct saved_list *list = &expected->lists[i];
        if (found->lists[i].is_there != list->is_there) wrong = "another list is there";
        if (!wrong && list->is_there) wrong = compare_list(&found->lists[i], &list->model);
    }
    spill_store_check(store);
    if (wrong) {
        (void)snprintf(why, sizeof(why), "%.150s", wrong);
        wrong = why;
    }
    crash();
    return wrong;
}

static bool read_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t size;

    if (fd < 0) return false;
    size = read(fd, file_bytes, FILE_BYTES_MAX);
    close(fd);
    return size > 0;
}

static int check_state(void *context, const struct power_state *state)
{
    struct saved found = { 0 };
    const char *why = NULL;
    char path[96];
    unsigned which = 0;

    (void)context;
    (void)snprintf(path, sizeof(path), "%s/checkpoint", state->directory);
    if (read_file(path)) which = decode(&found);
    if (which < state->marks[MARK_COMPLETE]) why = "the last checkpoint is missing";
    persist_options.directory = state->directory;
    if (!why && which > 0) why = open_and_compare(&found, &made[which]);
    saved_drop(&found);
    if (!why) return 0;
    (void)fprintf(stderr, "state %llu behind event %zu (%s): %s, checkpoint %u\n",
                  (unsigned long long)state->number, state->event_count, state->text, why, which);
    return -1;
}

static int walk(uint64_t seed, unsigned step, struct power_figures *figures)
{
    struct power_walk all = { .record = record,
                              .directory = after,
                              .seed = seed,
                              .states_per_event = soak_is_full() ? 30 : 4,
                              .event_step = soak_is_full() ? 1 : step,
                              .check = check_state };
    int rc;

    ck_assert_int_eq(fault_create(os_real(), &fault), 0);
    ck_assert_int_eq(io_create(fault_os(fault), 0, &io), 0);
    rc = states_walk(&all, figures);
    io_destroy(io);
    fault_destroy(fault);
    return rc;
}

static void play(uint64_t seed)
{
    persist_options = (struct spill_options){
        .directory = directory, .memory_bytes = 96 << 10, .chunk_bytes = 512, .prefetch_bytes = 4096
    };
    random_init(&dice, seed);
    next_number = 1;
    count_max = 300;
    ck_assert_int_eq(fault_create(record_os(record), &fault), 0);
    ck_assert_int_eq(io_create(fault_os(fault), 0, &io), 0);
    for (unsigned i = 0; i < LIVES; i++)
        live();
    io_destroy(io);
    fault_destroy(fault);
}

START_TEST(whatever_the_disk_holds_the_last_checkpoint_is_there_and_right)
{
    uint64_t seed = soak_seed() * 1000 + (uint64_t)_i;
    struct power_figures figures;

    play(seed);
    ck_assert_msg(walk(seed, 3, &figures) == 0, "seed %llu", (unsigned long long)soak_seed());
    states_expect_more_than(&figures, 100);
}
END_TEST

START_TEST(extents_reused_before_the_checkpoint_are_found)
{
    struct power_figures figures;

    completes_early = true;
    play(1);
    ck_assert_int_ne(walk(1, 1, &figures), 0);
}
END_TEST

START_TEST(other_planted_bugs_are_found)
{
    struct power_figures figures;

    record_plant(record, (enum record_plant)_i);
    play(1);
    ck_assert_int_ne(walk(1, 1, &figures), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill: loss of power");
    TCase *tcase = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(tcase, whatever_the_disk_holds_the_last_checkpoint_is_there_and_right, 0,
                        soak_is_full() ? 10 : 3);
    tcase_add_test(tcase, extents_reused_before_the_checkpoint_are_found);
    tcase_add_loop_test(tcase, other_planted_bugs_are_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    return test_suite_run(suite);
}
