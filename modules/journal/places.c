#include "modules/journal/places.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/cipher.h"
#include "modules/journal/format.h"
#include "modules/journal/meta.h"

static const char *const suffixes[] = { "log", "pak" };
/* The same while they are being made. */
static const char *const half_made[] = { "log.new", "pak.new", "idx.new" };

/* ---- paths ------------------------------------------------------------------------------------
 */

char *journal_places_resolve(const char *path, const char *setting)
{
    return setting[0] == '/' ? strdup(setting) : journal_join_path(path, setting);
}

static char *tier_path(const char *path, const char *tier, uint64_t journal)
{
    char name[20];
    char *base = journal_places_resolve(path, tier), *joined;

    (void)snprintf(name, sizeof(name), "%016" PRIx64, journal);
    joined = base ? journal_join_path(base, name) : NULL;
    free(base);
    return joined;
}

int journal_places_init(struct journal_places *places, const char *path, uint64_t journal,
                        const struct journal_settings *settings)
{
    const char *tiers[JOURNAL_TIER_COUNT] = { NULL, settings->cool_path, settings->cold_path };
    bool is_whole;

    *places = (struct journal_places){ .journal = journal };
    places->paths[JOURNAL_HOT] = strdup(path);
    is_whole = places->paths[JOURNAL_HOT] != NULL;
    for (unsigned i = JOURNAL_COOL; i < JOURNAL_TIER_COUNT; i++) {
        if (!tiers[i]) continue;
        places->paths[i] = tier_path(path, tiers[i], journal);
        is_whole = is_whole && places->paths[i];
    }
    if (is_whole) return 0;
    journal_places_finish(places);
    return -ENOMEM;
}

void journal_places_finish(struct journal_places *places)
{
    for (unsigned i = 0; i < JOURNAL_TIER_COUNT; i++)
        free(places->paths[i]);
    journal_key_destroy(places->key);
    *places = (struct journal_places){ 0 };
}

static char *path_of(const struct journal_places *places, enum journal_tier tier, uint64_t number,
                     const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(name, number, suffix);
    return journal_join_path(places->paths[tier], name);
}

char *journal_places_file(const struct journal_places *places, struct journal_place place,
                          uint64_t number)
{
    return path_of(places, place.tier, number, suffixes[place.is_packed]);
}

int journal_places_open(struct os *os, const struct journal_places *places, uint64_t number,
                        struct journal_place *out_place)
{
    for (unsigned i = 0; i < 2 * JOURNAL_TIER_COUNT; i++) {
        struct journal_place place = { (enum journal_tier)(i / 2), i % 2 != 0 };
        char *file;
        int fd;
        if (!places->paths[place.tier]) continue;
        file = journal_places_file(places, place, number);
        if (!file) return -ENOMEM;
        fd = os->open(os, file, O_RDONLY | O_NOFOLLOW, 0);
        free(file);
        if (fd == -ENOENT) continue;
        *out_place = place;
        return fd;
    }
    return -ENOENT;
}

/* ---- what is there ----------------------------------------------------------------------------
 */

struct look {
    struct journal_survey *survey;
    enum journal_tier tier;
    /* Least numbers; 0: none. */
    uint64_t plain_hot, hot, cool;
};

static void lower(uint64_t *least, uint64_t number)
{
    if (*least == 0 || number < *least) *least = number;
}

static int note_file(void *context, const char *name)
{
    struct look *look = context;
    uint64_t plain = journal_file_number(name, suffixes[0]);
    uint64_t number = plain > 0 ? plain : journal_file_number(name, suffixes[1]);

    if (number == 0) return 0;
    lower(&look->survey->first, number);
    if (number > look->survey->last) look->survey->last = number;
    if (look->tier == JOURNAL_HOT) lower(&look->hot, number);
    if (look->tier == JOURNAL_HOT && plain > 0) lower(&look->plain_hot, number);
    if (look->tier == JOURNAL_COOL) lower(&look->cool, number);
    if ((look->tier != JOURNAL_HOT || plain == 0) && number > look->survey->settled_last) {
        look->survey->settled_last = number;
    }
    return 0;
}

/* A directory that is listed while a segment in it gets its other form may show neither. */
static int look_before(struct os *os, const struct journal_places *places,
                       struct journal_survey *survey)
{
    while (survey->first > 1) {
        struct journal_place place;
        int fd = journal_places_open(os, places, survey->first - 1, &place);
        if (fd < 0) return fd == -ENOENT ? 0 : fd;
        (void)os->close(os, fd); /* read only */
        survey->first--;
    }
    return 0;
}

int journal_places_survey(struct os *os, const struct journal_places *places,
                          struct journal_survey *out_survey)
{
    struct look look = { .survey = out_survey };
    uint64_t end;

    *out_survey = (struct journal_survey){ 0 };
    /* In the order in which segments move: one that moves meanwhile is perhaps seen twice. */
    for (unsigned i = 0; i < JOURNAL_TIER_COUNT; i++) {
        int rc;
        look.tier = (enum journal_tier)i;
        if (!places->paths[i]) continue;
        rc = os->list(os, places->paths[i], note_file, &look);
        if (rc < 0 && (rc != -ENOENT || i == JOURNAL_HOT)) return rc;
    }
    end = out_survey->last + 1;
    out_survey->packed_end = look.plain_hot > 0 ? look.plain_hot : end;
    out_survey->cool_end = look.hot > 0 ? look.hot : end;
    out_survey->cold_end =
        look.cool > 0 && look.cool < out_survey->cool_end ? look.cool : out_survey->cool_end;
    return look_before(os, places, out_survey);
}

/* ---- from one to the next ---------------------------------------------------------------------
 */

struct range {
    uint64_t first, last;
    uint64_t least, greatest; /* found in it; 0: none */
};

static int note_in_range(void *context, const char *name)
{
    struct range *range = context;

    for (unsigned i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        uint64_t number = journal_file_number(name, suffixes[i]);
        if (number == 0 || number < range->first || number > range->last) continue;
        lower(&range->least, number);
        if (number > range->greatest) range->greatest = number;
    }
    return 0;
}

static int find_in_range(struct os *os, const struct journal_places *places, struct range *range)
{
    for (unsigned i = 0; i < JOURNAL_TIER_COUNT; i++) {
        int rc = places->paths[i] ? os->list(os, places->paths[i], note_in_range, range) : 0;
        if (rc < 0 && (rc != -ENOENT || i == JOURNAL_HOT)) return rc;
    }
    return 0;
}

/* 1: it is there. 0: it is not. */
static int has_segment(struct os *os, const struct journal_places *places, uint64_t number)
{
    struct journal_place place;
    int fd = journal_places_open(os, places, number, &place);

    if (fd < 0) return fd == -ENOENT ? 0 : fd;
    (void)os->close(os, fd); /* read only */
    return 1;
}

int journal_places_after(struct os *os, const struct journal_places *places, uint64_t number,
                         uint64_t last, uint64_t *out_number)
{
    struct range range = { .first = number + 1, .last = last };
    int rc;

    *out_number = 0;
    if (number >= last) return 0;
    rc = has_segment(os, places, number + 1);
    if (rc == 1) *out_number = number + 1;
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = find_in_range(os, places, &range);
    if (rc == 0) *out_number = range.least;
    return rc;
}

int journal_places_before(struct os *os, const struct journal_places *places, uint64_t number,
                          uint64_t first, uint64_t *out_number)
{
    struct range range = { .first = first, .last = number - 1 };
    int rc;

    *out_number = 0;
    if (number <= first || number <= 1) return 0;
    rc = has_segment(os, places, number - 1);
    if (rc == 1) *out_number = number - 1;
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = find_in_range(os, places, &range);
    if (rc == 0) *out_number = range.greatest;
    return rc;
}

/* ---- making and removing ----------------------------------------------------------------------
 */

static int sync_above(struct os *os, const char *path)
{
    char *above = journal_join_path(path, "..");
    int rc = above ? os->fsync_directory(os, above) : -ENOMEM;

    free(above);
    return rc;
}

int journal_places_make(struct os *os, const struct journal_places *places, enum journal_tier tier)
{
    int rc = os->mkdir(os, places->paths[tier], 0755);

    /* Also when it was there: who made it may have been killed before it was durable. */
    return rc < 0 && rc != -EEXIST ? rc : sync_above(os, places->paths[tier]);
}

/* 1: it is removed. 0: it was not there. */
static int remove_file(struct os *os, const struct journal_places *places, enum journal_tier tier,
                       uint64_t number, const char *suffix)
{
    char *file = path_of(places, tier, number, suffix);
    int rc = file ? os->unlink(os, file) : -ENOMEM;

    free(file);
    if (rc == -ENOENT) return 0;
    return rc < 0 ? rc : 1;
}

/* The index goes first: one without a segment would be nobody's. Each segment for good before the
 * next: names go in any order, and one that is missing between others would be damage. */
static int remove_in(struct os *os, const struct journal_places *places, enum journal_tier tier,
                     uint64_t first, uint64_t end)
{
    static const char *const all[] = { "idx", "pak", "log" };

    for (uint64_t number = first; number < end; number++) {
        bool has_removed = false;
        int rc = 0;
        for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
            rc = remove_file(os, places, tier, number, all[i]);
            if (rc < 0) return rc;
            if (rc > 0) has_removed = true;
        }
        if (has_removed) rc = os->fsync_directory(os, places->paths[tier]);
        if (rc < 0) return rc;
    }
    return 0;
}

int journal_places_remove(struct os *os, const struct journal_places *places, uint64_t first,
                          uint64_t end)
{
    int rc = 0;

    /* The oldest are in the coldest: power that goes meanwhile leaves no gap. */
    for (unsigned left = JOURNAL_TIER_COUNT; rc == 0 && left > 0; left--) {
        enum journal_tier tier = (enum journal_tier)(left - 1);
        if (places->paths[tier]) rc = remove_in(os, places, tier, first, end);
    }
    return rc;
}

int journal_places_remove_one(struct os *os, const struct journal_places *places,
                              struct journal_place place, uint64_t number)
{
    int rc = remove_file(os, places, place.tier, number, suffixes[place.is_packed]);

    return rc > 0 ? os->fsync_directory(os, places->paths[place.tier]) : rc;
}

struct sweep {
    struct os *os;
    const struct journal_places *places;
    enum journal_tier tier;
};

static int remove_half_made(void *context, const char *name)
{
    struct sweep *sweep = context;

    for (unsigned i = 0; i < sizeof(half_made) / sizeof(*half_made); i++) {
        uint64_t number = journal_file_number(name, half_made[i]);
        int rc = number > 0
                     ? remove_file(sweep->os, sweep->places, sweep->tier, number, half_made[i])
                     : 0;
        if (rc < 0) return rc;
    }
    return 0;
}

int journal_places_clean(struct os *os, const struct journal_places *places)
{
    for (unsigned i = 0; i < JOURNAL_TIER_COUNT; i++) {
        struct sweep sweep = { os, places, (enum journal_tier)i };
        int rc = places->paths[i] ? os->list(os, places->paths[i], remove_half_made, &sweep) : 0;
        if (rc < 0 && rc != -ENOENT) return rc;
    }
    return 0;
}
