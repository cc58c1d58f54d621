/* picture.h - what all databases hold at one moment, key by key, while commands go on.
 *
 * Each key that is there when a picture is begun is given to its save() exactly once, as it was
 * then: by keyspace_picture_step, or earlier, before something happens to it. Whoever looks a key
 * up has it saved first, reading or not: the work is the same, and nobody can forget it. Taking a
 * picture needs no memory. Loop thread only. */
#ifndef SERVER_KEYSPACE_PICTURE_H
#define SERVER_KEYSPACE_PICTURE_H
#include "modules/base/slice.h"

struct keyspace;
struct value;

struct pictured_key {
    unsigned database; /* its number when the picture was begun */
    struct slice name; /* good during the call */
    struct value *value;
    int64_t expires_at_ms; /* -1: never */
};

/* From here on, what is there now is saved. None is running. save() may not call the keyspace but
 * keyspace_account; what it wants to keep of a value it copies or refers to, as the value may
 * change or go as soon as it has returned. No caller may hold a struct key across this. */
void keyspace_picture_begin(struct keyspace *keyspace,
                            void (*save)(void *context, const struct pictured_key *key),
                            void *context);
/* Visits at most step_max buckets or keys: true when there is more to do. Cheap when none runs. */
bool keyspace_picture_step(struct keyspace *keyspace, uint64_t step_max);
/* Nothing more is saved. The rest is still to be walked through, by steps, before the next picture
 * can begin. */
void keyspace_picture_abandon(struct keyspace *keyspace);
bool keyspace_picture_is_running(const struct keyspace *keyspace);

struct keyspace_picture_progress {
    uint64_t visited_count, total_count; /* keys of the picture that runs, or of the last one */
};
void keyspace_picture_progress(const struct keyspace *keyspace,
                               struct keyspace_picture_progress *out_progress);
#endif
