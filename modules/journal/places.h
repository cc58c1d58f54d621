/* places.h - where the files of segments are: three directories, and two forms.
 *
 * A segment begins plain (N.log) in the hot directory, which is the journal's own. When it has
 * ended it may be packed (N.pak: packed.h), and by age it goes on to the cool and the cold
 * directory, below which every journal has a directory of its own, named after its number. A
 * segment only moves forward in this order, and is complete in its next place before it goes from
 * the last:
 *
 *     hot N.log → hot N.pak → cool → cold
 *
 * So whoever looks in this order finds it, also while it moves; and what a crash leaves in two
 * places is the same in both.
 *
 * Every function waits for the disk. */
#ifndef MODULES_JOURNAL_PLACES_H
#define MODULES_JOURNAL_PLACES_H
#include "modules/journal/journal.h"

struct os;
struct journal_key;

enum journal_tier { JOURNAL_HOT, JOURNAL_COOL, JOURNAL_COLD };
enum { JOURNAL_TIER_COUNT = JOURNAL_COLD + 1 };

/* Never changed while it is in use; any thread. */
struct journal_places {
    uint64_t journal;
    char *paths[JOURNAL_TIER_COUNT]; /* NULL: there is no such tier */
    struct journal_key *key;         /* NULL: packed segments are not encrypted, or see key_error */
    int key_error;                   /* why there is no key though there should be one, or 0 */
};

/* Where a segment's file was found. */
struct journal_place {
    enum journal_tier tier;
    bool is_packed;
};

/* path is the journal's; the others follow from the settings. Without a key. -ENOMEM. */
int journal_places_init(struct journal_places *places, const char *path, uint64_t journal,
                        const struct journal_settings *settings);
void journal_places_finish(struct journal_places *places); /* also of one that is all zero */
/* A path from the settings: one that is not absolute is taken from the journal's directory. Memory
 * of its own, or NULL. */
char *journal_places_resolve(const char *path, const char *setting);

/* The path of a segment's file there, in memory of its own, or NULL. */
char *journal_places_file(const struct journal_places *places, struct journal_place place,
                          uint64_t number);
/* Opens a segment's file for reading, wherever it is: a descriptor. -ENOENT: it is nowhere. */
int journal_places_open(struct os *os, const struct journal_places *places, uint64_t number,
                        struct journal_place *out_place);

struct journal_survey {
    uint64_t first, last;  /* segments that are there, in whatever form; 0, 0: none */
    uint64_t packed_end;   /* those below are packed or not hot; at least first */
    uint64_t cool_end;     /* those below are not hot */
    uint64_t cold_end;     /* those below are cold */
    uint64_t settled_last; /* the last that is packed or not hot; 0: none */
};
/* Looks what is there. Directories that are missing hold nothing. */
int journal_places_survey(struct os *os, const struct journal_places *places,
                          struct journal_survey *out_survey);

/* The nearest segment behind number, up to last, and before it, down to first: 0 when none is
 * there. Where the next number is missing the directories are asked, so that a stray file far away
 * costs a look at the files there are, not at all numbers between. */
int journal_places_after(struct os *os, const struct journal_places *places, uint64_t number,
                         uint64_t last, uint64_t *out_number);
int journal_places_before(struct os *os, const struct journal_places *places, uint64_t number,
                          uint64_t first, uint64_t *out_number);

/* Makes the journal's own directory of a tier, durably, unless it is there. */
int journal_places_make(struct os *os, const struct journal_places *places, enum journal_tier tier);
/* Removes everything of the segments [first, end), the coldest and oldest first, durably. */
int journal_places_remove(struct os *os, const struct journal_places *places, uint64_t first,
                          uint64_t end);
/* Removes one form of a segment from one place, durably. 0 also if it is gone. */
int journal_places_remove_one(struct os *os, const struct journal_places *places,
                              struct journal_place place, uint64_t number);
/* Removes what was being made when somebody died. For who alone may make it. */
int journal_places_clean(struct os *os, const struct journal_places *places);
#endif
