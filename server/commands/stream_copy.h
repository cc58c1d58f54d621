/* stream_copy.h - COPY of a stream. */
#ifndef SERVER_COMMANDS_STREAM_COPY_H
#define SERVER_COMMANDS_STREAM_COPY_H
#include "server/commands/command.h"

/* A value of its own with all that value, a stream, has. A long one is copied in a fiber, in
 * slices. 0, or as a handler. */
int stream_copy(struct call *call, const struct value *value, struct value **out_value);
#endif
