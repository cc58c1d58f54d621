/* stream_group_full.h - what XINFO STREAM FULL tells of groups: as they were when it was asked,
 * written piece by piece while they change. Loop thread only. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_FULL_H
#define SERVER_COMMANDS_STREAM_GROUP_FULL_H
#include "server/commands/stream_key.h"

struct stream_full;

/* The groups of key, of each at most count_max that it, and each of its consumers, has pending.
 * Lets others go first now and then, where that is possible. 0; -ENOMEM; -ENOBUFS: there are many
 * consumers, and it could not stay; -ECANCELED: the client has gone; or why it cannot be told (yet)
 * how far a group lags behind. */
int stream_full_create(struct call *call, const struct stream_key *key, uint64_t count_max,
                       struct stream_full **out_full);
/* Accepts NULL. */
void stream_full_destroy(struct stream_full *full);

/* The array of groups, from where it stands on: about wanted bytes, or less. How many, about; 0:
 * that was all. */
size_t stream_full_write(struct stream_full *full, struct reply *reply, size_t wanted);
/* False: answers that are being sent, and what groups keep for them, take as much memory as they
 * may: it should not wait for a client that reads. */
bool stream_full_may_stay(const struct stream_full *full);
#endif
