/* stream.h - the value of a stream key: its entries, its consumer groups, what producers of it have
 * added of late. Loop thread only. */
#ifndef SERVER_TYPES_STREAM_H
#define SERVER_TYPES_STREAM_H
#include "server/types/value.h"

struct stream;
struct stream_group_store;
struct stream_groups;
struct stream_producers;
struct stream_settings;
struct stream_store;

/* One without entries, groups and producers; the caller's until the keyspace takes it. store must
 * outlive it. 0 or -errno as stream_create. Destroying it never waits. */
int stream_value_create(struct stream_store *store, struct value **out_value);
/* The value of a stream that there is; takes it over. groups and producers may be NULL. -ENOMEM:
 * they are still the caller's. */
int stream_value_create_of(struct stream *stream, struct stream_groups *groups,
                           struct stream_producers *producers, struct value **out_value);

/* value is a stream. What these return belongs to it. */
struct stream *stream_value_stream(const struct value *value);
/* NULL: it has none. */
struct stream_groups *stream_value_groups(const struct value *value);
struct stream_producers *stream_value_producers(const struct value *value);
/* Its groups, made when it has none. -ENOMEM. */
int stream_value_get_groups(struct value *value, struct stream_group_store *store,
                            struct stream_groups **out_groups);

/* It has none; takes them over. */
void stream_value_set_groups(struct value *value, struct stream_groups *groups);
void stream_value_set_producers(struct value *value, struct stream_producers *producers);

/* NULL: it was told nothing. */
const struct stream_settings *stream_value_settings(const struct value *value);
/* Takes a copy of settings, which need memory unless they are the default ones. -ENOMEM: it has
 * those it had. A codec of its own is the stream's at once; what else they say is for others to
 * carry out. */
int stream_value_set_settings(struct value *value, const struct stream_settings *settings);

/* After a change of its groups, producers or settings: what its counted_bytes became more, or
 * (negative) less, by. keyspace_account gets it. */
int64_t stream_value_recount(struct value *value);
#endif
