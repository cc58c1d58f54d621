/* stream_key.h - the stream under a key: look-up, and what follows a change. */
#ifndef SERVER_COMMANDS_STREAM_KEY_H
#define SERVER_COMMANDS_STREAM_KEY_H
#include "server/commands/command.h"

struct key;
struct stream;
struct value;

struct stream_key {
    struct key *key; /* NULL: not in the keyspace yet */
    struct value *value;
    struct stream *stream;
};

/* 1: out_key is that stream. 0: no such key. -EPROTOTYPE: the key holds something else. */
int stream_key_find(struct call *call, struct slice name, struct stream_key *out_key);
/* The same, and counts keyspace hits and misses: for commands that only read. */
int stream_key_find_read(struct call *call, struct slice name, struct stream_key *out_key);
/* An empty one that has no name yet: stream_key_add or stream_key_drop follows. */
int stream_key_make(struct call *call, struct stream_key *out_key);
int stream_key_add(struct call *call, struct slice name, struct stream_key *key);
void stream_key_drop(struct stream_key *key);
/* Groups or producers of it have changed: their memory is counted anew. */
void stream_key_recount(struct call *call, const struct stream_key *key);
#endif
