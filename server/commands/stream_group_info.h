/* stream_group_info.h - what XINFO GROUPS and XINFO STREAM FULL tell of a group alike. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_INFO_H
#define SERVER_COMMANDS_STREAM_GROUP_INFO_H
#include <stdint.h>

struct reply;
struct stream;
struct stream_group;

/* How many entries it has yet to deliver: those behind the last one that it has, as they are. 0, or
 * why that cannot be told (yet). */
int stream_group_find_lag(struct stream *stream, const struct stream_group *group,
                          uint64_t *out_lag);
/* Three fields: last-delivered-id, entries-read, lag. */
void stream_group_reply_progress(struct reply *reply, const struct stream_group *group,
                                 uint64_t lag);
#endif
