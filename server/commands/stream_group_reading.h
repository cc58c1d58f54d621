/* stream_group_reading.h - XREADGROUP: what is asked, and what comes of it for each stream. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_READING_H
#define SERVER_COMMANDS_STREAM_GROUP_READING_H
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_reading.h"
#include "server/commands/stream_reply.h"

struct group_reading {
    struct reading asked;
    struct slice group, consumer;
    int64_t min_idle_ms; /* of CLAIM; -1: not given */
    bool no_ack;
    uint64_t now_ms;
};

/* One that is pending and is answered: of the history, or claimed. */
struct group_old {
    struct stream_pending pending;
    bool is_there; /* there is such an entry, still */
};

struct group_served {
    struct stream_group_key key;
    struct stream_id after; /* unless is_new: entries with greater ids are wanted */
    struct group_old *old;
    uint64_t old_count;
    struct stream_range range;        /* of what is new; its count may be 0 */
    struct stream_id *ids;            /* of these, once they were read */
    uint64_t last_ordinal;            /* of the last one */
    struct stream_consumer *consumer; /* once it was delivered */
    uint32_t key_index;
    bool is_new;    /* ">" */
    bool is_served; /* it has a part in the answer */
    bool has_new_consumer;
};

/* False: an error was answered. */
bool group_reading_parse(struct call *call, struct group_reading *reading);

/* What is left of MAXCOUNT and MAXSIZE. */
struct group_limits {
    uint64_t count_left, bytes_left;
    bool is_first; /* nothing was found yet: one entry is taken whatever its size */
};
/* What this stream gives: nothing is changed. 0 or a negative errno. */
int group_served_find(struct call *call, const struct group_reading *reading,
                      struct group_limits *limits, struct group_served *served);
/* The consumer has asked, if there is one: no change that would have to be logged. */
void group_served_see(const struct group_reading *reading, const struct group_served *served);
/* Its part of the answer, after the name. */
int group_served_write(struct call *call, const struct group_reading *reading,
                       struct group_served *served);
/* What is new becomes the consumer's, who is made when there is none. -ENOMEM: nothing has changed.
 */
int group_served_deliver(struct call *call, const struct group_reading *reading,
                         struct group_served *served);
/* It does not, after all. */
void group_served_take_back(struct group_served *served);
/* The rest, which cannot fail: what is old is delivered once more, and the group goes on. True:
 * something has changed. */
bool group_served_settle(struct call *call, const struct group_reading *reading,
                         struct group_served *served);
/* Its key was found. */
void group_served_finish(struct group_served *served);
#endif
