/* States behind an event are numbered: first all combinations, if there are no more than asked for;
 * else the plain ones. The rest is random, each from the seed, the event and its own number, so
 * that any of them can be had again alone. */
#include "modules/base/power.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/power_disk_internal.h"
#include "modules/base/power_state_internal.h"
#include "modules/base/random.h"

enum { STATE_BITS = 20, TEXT_BYTES = 512 };

struct seen {
    uint64_t *hashes; /* 0: free */
    size_t count, capacity;
};

struct walker {
    const struct power_walk *walk;
    struct power_figures *figures;
    struct power_disk disk;
    struct power_slots slots;
    struct seen seen;
    uint64_t marks[RECORD_MARKS_MAX];
    size_t event_count;
};

/* ---- what was checked -------------------------------------------------------------------------
 */

static void seen_put(struct seen *seen, uint64_t hash)
{
    size_t at = hash % seen->capacity;

    while (seen->hashes[at] != 0)
        at = (at + 1) % seen->capacity;
    seen->hashes[at] = hash;
    seen->count++;
}

static void seen_grow(struct seen *seen)
{
    struct seen larger = { .capacity = seen->capacity > 0 ? 4 * seen->capacity : 1024 };

    larger.hashes = calloc(larger.capacity, sizeof(*larger.hashes));
    if (!larger.hashes) abort(); /* a test without memory proves nothing */
    for (size_t i = 0; i < seen->capacity; i++) {
        if (seen->hashes[i] != 0) seen_put(&larger, seen->hashes[i]);
    }
    free(seen->hashes);
    *seen = larger;
}

/* True: it was not there yet. */
static bool seen_add(struct seen *seen, uint64_t hash)
{
    if (hash == 0) hash = 1;
    if (seen->count * 2 >= seen->capacity) seen_grow(seen);
    for (size_t at = hash % seen->capacity; seen->hashes[at] != 0; at = (at + 1) % seen->capacity) {
        if (seen->hashes[at] == hash) return false;
    }
    seen_put(seen, hash);
    return true;
}

/* ---- choosing ---------------------------------------------------------------------------------
 */

/* UINT64_MAX: more than can be counted. */
static uint64_t combinations(const struct power_slots *slots)
{
    uint64_t product = 1;

    for (size_t i = 0; i < slots->count; i++) {
        if (__builtin_mul_overflow(product, slots->slots[i].max + 1, &product)) return UINT64_MAX;
    }
    return product;
}

static void choose_combination(struct power_slots *slots, uint64_t number)
{
    for (size_t i = 0; i < slots->count; i++) {
        slots->slots[i].value = (unsigned)(number % (slots->slots[i].max + 1));
        number /= slots->slots[i].max + 1;
    }
}

static void choose_all(struct power_slots *slots, bool is_kept)
{
    for (size_t i = 0; i < slots->count; i++)
        slots->slots[i].value = is_kept ? slots->slots[i].max : 0;
}

static void choose_random(struct power_slots *slots, struct random *random)
{
    uint64_t eighths = random_below(random, 9); /* as likely as this is each slot kept whole */
    bool is_between = random_below(random, 2), is_torn = random_below(random, 3) == 0;

    for (size_t i = 0; i < slots->count; i++) {
        struct power_slot *slot = &slots->slots[i];
        slot->value = random_below(random, 8) < eighths ? slot->max : 0;
        if (is_between && random_below(random, 2)) {
            slot->value = (unsigned)random_below(random, slot->max + 1);
        }
        if (is_torn && slot->kind == POWER_SLOT_PAGE && slot->value > 0) {
            slot->torn = (uint8_t)random_next(random);
        }
    }
}

/* The plain ones: 0 nothing, 1 all, then in turn all but one and only one, from the last on. False:
 * there are no more of them than that. */
static bool choose_plain(struct power_slots *slots, uint64_t number, uint64_t limit)
{
    uint64_t slot = number / 2; /* from the end, counted from 1 */

    choose_all(slots, number % 2 == 1);
    if (slot == 0) return true;
    if (number >= limit || slot > slots->count) return false;
    slots->slots[slots->count - slot].value =
        number % 2 == 1 ? 0 : slots->slots[slots->count - slot].max;
    return true;
}

static void choose(struct walker *walker, uint64_t number)
{
    struct power_slots *slots = &walker->slots;
    uint64_t limit = walker->walk->states_per_event, all = combinations(slots);
    struct random random;

    for (size_t i = 0; i < slots->count; i++)
        slots->slots[i].torn = 0;
    if (all <= limit && number < all) {
        choose_combination(slots, number);
        return;
    }
    if (all > limit && choose_plain(slots, number, limit / 2)) return;
    random_init(&random, walker->walk->seed ^ walker->event_count << STATE_BITS ^ number);
    choose_random(slots, &random);
}

static void describe(const struct power_slots *slots, char text[TEXT_BYTES])
{
    unsigned kept[3] = { 0 }, all[3] = { 0 }, torn = 0;

    for (size_t i = 0; i < slots->count; i++) {
        const struct power_slot *slot = &slots->slots[i];
        all[slot->kind]++;
        if (slot->value > 0) kept[slot->kind]++;
        if (slot->torn) torn++;
    }
    (void)snprintf(text, TEXT_BYTES,
                   "kept %u of %u namings, of the shapes of %u of %u files, of %u of %u pages, %u "
                   "of them torn",
                   kept[0], all[0], kept[1], all[1], kept[2], all[2], torn);
}

/* ---- checking ---------------------------------------------------------------------------------
 */

static uint64_t promise_hash(const struct walker *walker)
{
    const struct power_walk *walk = walker->walk;
    uint64_t hash = walk->promise ? walk->promise(walk->context, walker->event_count) : 0;

    for (unsigned i = 0; i < RECORD_MARKS_MAX; i++)
        hash = hash * UINT64_C(0x9e3779b97f4a7c15) + walker->marks[i];
    return hash;
}

static int check_state(struct walker *walker, uint64_t number)
{
    const struct power_walk *walk = walker->walk;
    char text[TEXT_BYTES];
    struct power_state state = { .directory = walk->directory,
                                 .event_count = walker->event_count,
                                 .number = walker->event_count << STATE_BITS | number,
                                 .text = text };
    int rc;

    if (walk->only != 0 && walk->only != state.number) return 0;
    choose(walker, number);
    walker->figures->built_count++;
    if (!seen_add(&walker->seen,
                  power_state_hash(&walker->disk, &walker->slots) ^ promise_hash(walker))) {
        return 0;
    }
    walker->figures->checked_count++;
    memcpy(state.marks, walker->marks, sizeof(state.marks));
    describe(&walker->slots, text);
    rc = power_state_build(&walker->disk, &walker->slots, walk->directory);
    if (rc == 0) rc = walk->check(walk->context, &state);
    if (rc != 0) {
        (void)power_state_remove(walk->directory); /* what it has found is worth more */
        return rc;
    }
    return power_state_remove(walk->directory);
}

static int check_event(struct walker *walker)
{
    uint64_t limit = walker->walk->states_per_event, all;
    int rc = 0;

    power_slots_collect(&walker->slots, &walker->disk);
    if (walker->slots.count > walker->figures->pending_max) {
        walker->figures->pending_max = walker->slots.count;
    }
    all = combinations(&walker->slots);
    /* Some torn ones beside all the combinations of few. */
    if (all < limit) limit = all == 1 ? 1 : all + (limit - all) / 4;
    for (uint64_t number = 0; rc == 0 && number < limit; number++)
        rc = check_state(walker, number);
    return rc;
}

static int take_event(struct walker *walker, size_t index)
{
    const struct record_event *event = record_event(walker->walk->record, index);
    unsigned step = walker->walk->event_step > 1 ? walker->walk->event_step : 1;

    power_disk_take(&walker->disk, index, event);
    walker->event_count = index + 1;
    if (event->kind == RECORD_MARK) {
        walker->marks[event->number] = event->value;
    } else if (event->kind == RECORD_SYNC_BEGIN || index % step != 0) {
        return 0;
    }
    return check_event(walker);
}

int power_walk(const struct power_walk *walk, struct power_figures *out_figures)
{
    struct walker walker = { .walk = walk, .figures = out_figures };
    size_t index = 0, count = record_count(walk->record);
    int rc = power_state_remove(walk->directory);

    *out_figures = (struct power_figures){ .event_count = count };
    power_disk_init(&walker.disk);
    for (bool has_begun = false; !has_begun && index < count; index++) {
        const struct record_event *event = record_event(walk->record, index);
        power_disk_take(&walker.disk, index, event);
        has_begun = event->kind == RECORD_SYNC_ALL;
    }
    for (; rc == 0 && index < count; index++)
        rc = take_event(&walker, index);
    power_disk_finish(&walker.disk);
    free(walker.slots.slots);
    free(walker.seen.hashes);
    return rc;
}
