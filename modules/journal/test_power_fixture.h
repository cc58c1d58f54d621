/* test_power_fixture.h - a journal whose system calls are recorded, and what is found of it in a
 * directory as it may be after a loss of power: for test_power_loss.c and test_writers_power.c. */
#ifndef MODULES_JOURNAL_TEST_POWER_FIXTURE_H
#define MODULES_JOURNAL_TEST_POWER_FIXTURE_H
#include "modules/base/test_states.h"
#include "modules/base/random.h"
#include "modules/base/record.h"
#include "modules/base/test_soak.h"
#include "modules/journal/test_journal_fixture.h"

enum { RECORD_BYTES = 256 << 20, FRAMES_MAX = 20000 };

/* Marks in the record. */
enum { MARK_SYNCED = 1, MARK_TRIMMED, MARK_KEPT, MARK_KEPT_DURABLY, MARK_KEPT_SYNCED };

static struct {
    char work[80], after[80], again[80];
    struct record *record;
    struct io *after_io; /* of recovery */
    struct random random;
    uint64_t ends[FRAMES_MAX]; /* position behind each frame */
    uint64_t synced, trimmed, kept;
    uint64_t looked_again; /* states in whose recovery the power went again */
} power;

/* In memory of its own turn; three turns are enough for one expression. */
static inline const char *path_below(const char *directory, const char *name)
{
    static char path[3][128];
    static unsigned turn;

    turn = (turn + 1) % 3;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
    return path[turn];
}

static inline void setup_power(void)
{
    setup_in_memory();
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    memset(&power, 0, sizeof(power));
    (void)snprintf(power.work, sizeof(power.work), "%s/work", fixture.directory);
    (void)snprintf(power.after, sizeof(power.after), "%s/after", fixture.directory);
    (void)snprintf(power.again, sizeof(power.again), "%s/again", fixture.directory);
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/j", power.work);
    ck_assert_int_eq(mkdir(power.work, 0755), 0);
    ck_assert_int_eq(mkdir(path_below(power.work, "cool"), 0755), 0);
    ck_assert_int_eq(record_create(os_real(), power.work, RECORD_BYTES, &power.record), 0);
    ck_assert_int_eq(fault_create(record_os(power.record), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.io), 0);
    ck_assert_int_eq(io_create(os_real(), 0, &power.after_io), 0);
}

static inline void teardown_power(void)
{
    char command[128];

    fault_clear(fixture.fault);
    journal_reader_close(fixture.reader);
    (void)journal_close(fixture.journal);
    io_destroy(fixture.io);
    io_destroy(power.after_io);
    fault_destroy(fixture.fault);
    record_destroy(power.record);
    (void)snprintf(command, sizeof(command), "rm -r %s", fixture.directory);
    ck_assert_int_eq(system(command), 0);
}

/* ---- what is found ----------------------------------------------------------------------------
 */

struct found {
    uint64_t first, next; /* frames [first, next); first 0: there are none */
};

/* Goes on from where the reader stands. Whether all is as it should be. */
static inline bool read_frames(struct journal_reader *reader, struct found *found)
{
    uint8_t bytes[8192];
    int rc;

    *found = (struct found){ 0 };
    for (;;) {
        struct journal_entry entry;
        rc = journal_reader_next(reader, &entry);
        if (rc != 1) break;
        if (found->first == 0) found->first = found->next = entry.time_ms;
        if (entry.time_ms != found->next || entry.seq != 0) return false;
        if (!slice_equal(entry.payload, slice_of(bytes, payload_of(found->next, bytes)))) {
            return false;
        }
        found->next++;
    }
    return rc == 0;
}

static inline bool read_all(const char *path, struct found *found)
{
    struct journal_reader *reader;
    bool is_good;
    int rc = journal_reader_open(os_real(), path, &reader);

    if (rc < 0) {
        (void)fprintf(stderr, "opening a reader: %d\n", rc);
        return false;
    }
    rc = journal_reader_seek_start(reader);
    *found = (struct found){ 0 };
    is_good = rc == 0 && read_frames(reader, found);
    if (!is_good) {
        (void)fprintf(stderr, "seeking %d, then frames [%llu, %llu)\n", rc,
                      (unsigned long long)found->first, (unsigned long long)found->next);
    }
    journal_reader_close(reader);
    return is_good;
}

/* ---- the oracle -------------------------------------------------------------------------------
 */

/* Everything that was synced, and no more than a prefix behind it. */
static inline const char *judge(const struct found *found, const uint64_t *marks)
{
    uint64_t first = found->first > 0 ? found->first : found->next;

    if (found->next < marks[MARK_SYNCED] + 1 && marks[MARK_SYNCED] > 0) return "synced is missing";
    if (first > 1 && first > marks[MARK_TRIMMED]) return "more was trimmed than asked for";
    return NULL;
}

/* What a loss of power does to the live page: no process of this boot has published anything. */
static inline void forget_boot_of(const char *directory)
{
    int fd = open(path_below(directory, "j/meta"), O_RDWR);
    uint64_t none = 0;

    if (fd < 0) return;
    ck_assert_int_eq(pwrite(fd, &none, sizeof(none), 4096), sizeof(none));
    close(fd);
}

static inline int walk(uint64_t seed, int (*check)(void *context, const struct power_state *state),
                       struct power_figures *figures)
{
    struct power_walk all = { .record = power.record,
                              .directory = power.after,
                              .seed = seed,
                              .states_per_event = soak_is_full() ? 40 : 5,
                              .event_step = soak_is_full() ? 1 : 3,
                              .check = check };

    return states_walk(&all, figures);
}

#endif
