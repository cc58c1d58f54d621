/* finder.h - many entries of one stream by their ids, in order.
 *
 * A search costs a journal a job of an I/O thread and a walk of up to a step of its index (64 KiB).
 * Who is not far behind the one before is met by reading on from there instead:
 *
 *   ids      1-0   3-0   4-0                              90-0
 *   entries  |=====:=====:============================| . . . |=====   read; searched
 *                        |<-- STREAM_FIND_WALK_BYTES ->|
 *
 * A finder owns nothing, and needs no end; what happens to the stream meanwhile does not harm it,
 * as with a cursor, but what was deleted or trimmed since may still be found, and what was added
 * not. One thread. */
#ifndef MODULES_STREAM_FINDER_H
#define MODULES_STREAM_FINDER_H
#include "modules/stream/stream.h"

enum { STREAM_FIND_WALK_BYTES = 64 << 10, STREAM_FIND_AT_ONCE = 16 };

struct stream_finder {
    struct stream_cursor cursor;
    /* Read already, and not less than what was sought last, from at on; of the fields only how long
     * they are. */
    struct stream_entry entries[STREAM_FIND_AT_ONCE];
    int count, at;
    uint64_t walked_bytes; /* since the one before */
    bool has_begun;
};

void stream_finder_begin(struct stream_finder *finder, struct stream *stream);
/* id is not less than the one before. 1: *out_ordinal is that of the entry with exactly that id. 0:
 * there is none. Negative as stream_find: it can be asked for again. */
int stream_finder_next(struct stream_finder *finder, struct stream_id id, uint64_t *out_ordinal);

/* The same with what the entries hold, one read at a time; owns nothing either. */
struct stream_seeker {
    struct stream_cursor cursor; /* behind what was found last */
    struct stream_id greater;    /* no entry lies between what was sought last and that one */
    bool has_greater;
    bool has_place; /* the cursor knows where it stands; else it has just begun somewhere */
    bool has_begun; /* false: it has passed what may be sought next */
    struct stream_id sought; /* last, and told of */
    bool has_sought;
};

void stream_seeker_begin(struct stream_seeker *seeker, struct stream *stream);
/* As stream_find. What is not greater than the one before is searched for, unless that ended in an
 * error: then it may be sought again. */
int stream_seeker_next(struct stream_seeker *seeker, struct stream_id id,
                       struct stream_entry *out_entry);
#endif
