/* test_power_fixture.h - a directory whose changes are recorded, and what is found of its files "a"
 * and "b" in each state that power.h makes of that. */
#ifndef MODULES_BASE_TEST_POWER_FIXTURE_H
#define MODULES_BASE_TEST_POWER_FIXTURE_H
#include "modules/base/os.h"
#include "modules/base/power.h"
#include "modules/base/record.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_soak.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

static inline void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "power");
    (void)snprintf(fixture.work, sizeof(fixture.work), "%s/work", fixture.directory);
    (void)snprintf(fixture.after, sizeof(fixture.after), "%s/after", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.work, 0755), 0);
    ck_assert_int_eq(record_create(os_real(), fixture.work, RECORD_BYTES, &fixture.record), 0);
    fixture.os = record_os(fixture.record);
}

static inline void tear_down(void)
{
    record_destroy(fixture.record);
    test_directory_remove(fixture.directory);
}

/* ---- doing ------------------------------------------------------------------------------------
 */

static inline const char *path_of(const char *name)
{
    static char path[2][160];
    static unsigned turn;

    turn ^= 1;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", fixture.work, name);
    return path[turn];
}

static inline int make_file(const char *name)
{
    int fd = fixture.os->open(fixture.os, path_of(name), O_RDWR | O_CREAT, 0644);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static inline void put(int fd, uint64_t offset, char letter, size_t size)
{
    char bytes[4 * PAGE];

    memset(bytes, letter, size);
    ck_assert_int_eq(os_write_all(fixture.os, fd, bytes, size, offset), 0);
}

static inline void sync_file(int fd)
{
    ck_assert_int_eq(fixture.os->fdatasync(fixture.os, fd), 0);
}

static inline void sync_names(void)
{
    ck_assert_int_eq(fixture.os->fsync_directory(fixture.os, fixture.work), 0);
}

/* A file of that many pages of a letter, all of it synced. */
static inline int settled_file(const char *name, char letter, size_t pages)
{
    int fd = make_file(name);

    if (pages > 0) put(fd, 0, letter, pages * PAGE);
    sync_file(fd);
    sync_names();
    return fd;
}

static inline void close_file(int fd)
{
    ck_assert_int_eq(fixture.os->close(fixture.os, fd), 0);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

/* A file in a few letters: "-" there is none, else a run of equal sectors each ("a", "ab"), '.' for
 * zeros, '?' for a sector that is mixed, "" for an empty file. */
static inline void outcome_of(const char *directory, const char *name, char *out, size_t size)
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

static inline void note_outcome(const char *text)
{
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        if (strcmp(fixture.outcomes[i], text) == 0) return;
    ck_assert_uint_lt(fixture.outcome_count, OUTCOMES_MAX);
    strcpy(fixture.outcomes[fixture.outcome_count++], text);
}

/* Files "a" and "b". */
static inline int look(void *context, const struct power_state *state)
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

static inline void walk(void)
{
    struct power_walk all = { .record = fixture.record,
                              .directory = fixture.after,
                              .seed = soak_seed() + 7,
                              .states_per_event = 300,
                              .check = look };

    ck_assert_int_eq(power_walk(&all, &fixture.figures), 0);
}

static inline bool was_found(const char *text)
{
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        if (strcmp(fixture.outcomes[i], text) == 0) return true;
    return false;
}

/* Exactly these were found, in any order; separated by spaces. */
static inline void expect_outcomes(const char *expected)
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
static inline void from_here(void)
{
    fixture.from = record_count(fixture.record) + 1;
    record_mark(fixture.record, 0, fixture.from);
}
#endif
