/* stream_id.h - ids of entries: milliseconds since 1970, and a number among those of the same one.
 * Pure functions; any thread. */
#ifndef MODULES_STREAM_STREAM_ID_H
#define MODULES_STREAM_STREAM_ID_H
#include <stdbool.h>
#include <stdint.h>

struct stream_id {
    uint64_t ms, seq;
};

#define STREAM_ID_MIN ((struct stream_id){ 0, 0 })
#define STREAM_ID_MAX ((struct stream_id){ UINT64_MAX, UINT64_MAX })

/* Negative, 0, positive: as memcmp. */
static inline int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    if (a.seq != b.seq) return a.seq < b.seq ? -1 : 1;
    return 0;
}

/* The next greater, the next smaller one. False: there is none; *id stays. */
static inline bool stream_id_increment(struct stream_id *id)
{
    if (id->seq != UINT64_MAX) {
        id->seq++;
        return true;
    }
    if (id->ms == UINT64_MAX) return false;
    *id = (struct stream_id){ id->ms + 1, 0 };
    return true;
}

static inline bool stream_id_decrement(struct stream_id *id)
{
    if (id->seq != 0) {
        id->seq--;
        return true;
    }
    if (id->ms == 0) return false;
    *id = (struct stream_id){ id->ms - 1, UINT64_MAX };
    return true;
}
#endif
