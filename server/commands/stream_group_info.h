/* stream_group_info.h - the groups of a stream as XINFO STREAM FULL shows them. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_INFO_H
#define SERVER_COMMANDS_STREAM_GROUP_INFO_H
#include "server/commands/stream_key.h"

/* An array of maps; of what is pending, each shows the first pending_max. 0, or a negative errno,
 * and then the caller cuts off what was written. */
int stream_groups_reply_full(struct call *call, const struct stream_key *key, uint64_t pending_max);
#endif
