/* power.h - what a disk may hold after a loss of power, made from a record (record.h).
 *
 * A walk goes through the record's events; behind each it builds directories as they may be found
 * when the power went there, and has them checked. What was synced is there. Of what was not:
 *
 *   content   each page is as it was written by any of its writes, or as before all of them, and
 *             some states tear pages, so that each of their 512-byte sectors is
 *   size      what changed a file's size or gave blocks back happened up to any of its steps
 *   names     each creation, renaming and removal happened or did not, until its directory (both,
 *             if it led from one to another) was synced
 *
 * A sync that has failed leaves content like that for ever: a later one brings only the pages that
 * were written again since.
 *
 * All of these independently of each other: file systems promise more, no two of them the same. If
 * they combine to more states than asked for, the plain ones (nothing of it happened, all of it,
 * only the last, all but one) are followed by random ones from a seed.
 *
 * States that are the same in every byte, and at which the same was promised (marks, or what the
 * test says), are checked once. */
#ifndef MODULES_BASE_POWER_H
#define MODULES_BASE_POWER_H
#include "modules/base/record.h"

struct power_state {
    const char *directory;
    size_t event_count;               /* that were before the power went */
    uint64_t marks[RECORD_MARKS_MAX]; /* the last value of each; 0: none yet */
    uint64_t number;                  /* power_walk.only finds it again */
    const char *text;                 /* what of the unsynced was kept, in a few words */
};

struct power_walk {
    const struct record *record;
    const char *directory; /* made, filled, checked and removed again for each state */
    uint64_t seed;
    unsigned states_per_event; /* at most */
    unsigned event_step;       /* looks behind each so many events, and behind all marks; 0: 1 */
    uint64_t only;             /* 0, or the number of the one state to check */
    /* What was promised when the power went behind so many events, as a number that differs if that
     * does. NULL: marks tell all of it. */
    uint64_t (*promise)(void *context, size_t event_count);
    /* What is found there must be right. Not 0: the walk ends, and returns it. */
    int (*check)(void *context, const struct power_state *state);
    void *context;
};

struct power_figures {
    uint64_t event_count;
    uint64_t built_count, checked_count; /* states */
    uint64_t pending_max;                /* things that might have happened or not, at one event */
};

/* 0, what check has returned, or -errno of building. */
int power_walk(const struct power_walk *walk, struct power_figures *out_figures);
#endif
