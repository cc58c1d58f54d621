/* stream_group_key.h - the group of a stream that a command names, and what follows a change. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_KEY_H
#define SERVER_COMMANDS_STREAM_GROUP_KEY_H
#include "modules/stream/group.h"
#include "server/commands/stream_key.h"

struct stream_group_key {
    struct stream_key stream;
    struct stream_groups *groups;
    struct stream_group *group;
};

/* 1: *out_key is that group. 0: there is no such stream (its key is NULL), or no such group.
 * -EPROTOTYPE: the key holds something else. */
int stream_group_find(struct call *call, struct slice name, struct slice group,
                      struct stream_group_key *out_key);
/* The same, with what Redis answers when there is none: 1; 0: answered; negative: as a handler. */
int stream_group_need(struct call *call, struct slice name, struct slice group,
                      struct stream_group_key *out_key);
/* For commands that only read: counts a keyspace hit or miss. */
void stream_group_count_look(struct call *call, const struct stream_group_key *key);
/* "No such consumer group … for key name …"; 0. */
int stream_group_missing(struct call *call, struct slice name, struct slice group);
/* The consumer, made when there is none. */
int stream_group_get_consumer(struct call *call, const struct stream_group_key *key,
                              struct slice name, struct stream_consumer **out_consumer);
/* What is pending, or who asks for it, has changed; as in Redis, that is no change of the key to
 * WATCH. */
void stream_group_changed(struct call *call, const struct stream_group_key *key);
/* The same, and something may be claimed sooner than who waits for that could know. */
void stream_group_made_idle(struct call *call, const struct stream_group_key *key);

/* Milliseconds since 1970, by the clock of this command; as it was when it is replayed. */
uint64_t stream_now_ms(const struct call *call);
/* What was delivered then or before has been idle for so long. */
uint64_t stream_delivered_max_ms(uint64_t now_ms, int64_t min_idle_ms);
/* Groups take memory that does not go to disk: -ENOMEM at the limit. */
int stream_group_may_grow(const struct call *call);
#endif
