/* stream_group_info.h - what XINFO STREAM FULL tells. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_INFO_H
#define SERVER_COMMANDS_STREAM_GROUP_INFO_H
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_tail.h"

struct stream_groups;

struct stream_full {
    uint64_t count_max;              /* of what each group and consumer has pending */
    struct stream_gathered gathered; /* what is told of groups: the latest of it */
    struct stream_tail tail;         /* and what comes before that */
};

/* To be called before each of what there may be many, with a number that changes: others go first
 * now and then, and what was gathered goes over to the tail. 0; -EMSGSIZE: the answer is too long
 * already; -ENOBUFS, -ENOMEM: the tail could not take it; -ECANCELED: the client has gone. */
int stream_full_rest(struct call *call, struct stream_full *full, uint64_t number);

/* Of all groups; NULL: 0. */
uint64_t stream_groups_consumer_count(const struct stream_groups *groups);

/* The groups, which are gathered. 0 or a negative errno: what was written is not an answer. */
int stream_groups_reply_full(struct call *call, const struct stream_key *key,
                             struct stream_full *full);
#endif
