/* stream_group_reading.h - XREADGROUP: what is asked, and what comes of it for each stream. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_READING_H
#define SERVER_COMMANDS_STREAM_GROUP_READING_H
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_reading.h"
#include "server/commands/stream_reply.h"

enum {
    STREAM_GROUP_INLINE_BYTES = 64 * 1024,
    STREAM_GROUP_AT_ONCE = 16, /* entries that are read together */
};

struct stream_id_list;

struct group_reading {
    struct reading asked;
    struct slice group, consumer;
    int64_t min_idle_ms; /* of CLAIM; -1: not given */
    int64_t taken_max;   /* a replay: so many were taken in all; -1: all that are asked */
    bool no_ack;
    uint64_t now_ms;
};

/* Entries of a journal that were read before anything is changed. */
struct group_ahead {
    struct group_ahead_entry *entries; /* NULL: none were */
    struct stream_range range;         /* they are all of it */
    uint64_t count;
    uint8_t *bytes; /* their fields, one behind the other */
    size_t byte_count;
};

struct group_served {
    struct stream_group_key key;
    struct stream_id after;    /* unless is_new: entries with greater ids are wanted */
    struct stream_range range; /* of what was new, and was delivered; its count may be 0 */
    struct stream_id_list
        *listed; /* of the history, where it may be long: what range counts; or NULL */
    struct group_ahead ahead;
    struct stream_consumer *consumer; /* once it was given something */
    uint32_t key_index;
    bool is_new;    /* ">" */
    bool is_served; /* it has a part in the answer */
    bool has_changed;
};

/* False: an error was answered. */
bool group_reading_parse(struct call *call, struct group_reading *reading);

/* What is answered, and what may still be taken for it. */
struct group_answer {
    struct stream_gathered parts;    /* of the streams that are served */
    uint64_t count_left, bytes_left; /* of MAXCOUNT, MAXSIZE */
    uint64_t taken, taken_max;       /* so many were, those that have gone too; more may not be */
    uint64_t bytes;                  /* of entries that are written */
    uint64_t bytes_max;              /* more are not: the first one is, whatever its size */
    bool may_stream; /* what is longer than fits in memory is answered from ranges and lists */
    bool is_long;    /* it is: entries are not written any more */
    bool is_full;    /* bytes_max are written, or as many were claimed as may be at a time */
};

/* What this stream gives, and all that follows from it for the group, one entry after the other. A
 * negative errno: it was not served, or less of it than was asked; what was taken is answered, and
 * nothing else has changed. Suspends itself where it can; nowhere else does it return -EAGAIN once
 * group_ahead_read has seen to that. */
int group_served_serve(struct call *call, const struct group_reading *reading,
                       struct group_answer *answer, struct group_served *served);
/* How many may be taken of it. */
uint64_t group_served_count_max(const struct call *call, const struct group_reading *reading,
                                const struct group_answer *answer);

/* Where nobody can be suspended: reads what this stream will give, unless it is in memory. 0;
 * -EAGAIN: it has to be done in a fiber, as there is much to do, or to wait for; -ENOMEM, or why it
 * cannot be read. */
int group_ahead_read(struct call *call, const struct group_reading *reading,
                     struct group_served *served);
/* So many from index on, which are there. Good until finish. */
void group_ahead_get(const struct group_ahead *ahead, uint64_t index, uint32_t count,
                     struct stream_entry *out_entries);
/* Of a zeroed one, too. */
void group_ahead_finish(struct group_ahead *ahead);
#endif
