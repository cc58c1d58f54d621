/* stream_fields.h - the fields of an entry as they come: bulk strings, one behind the other. */
#ifndef SERVER_COMMANDS_STREAM_FIELDS_H
#define SERVER_COMMANDS_STREAM_FIELDS_H
#include "modules/base/slice.h"

struct call;

enum { STREAM_FIELDS_INLINE_BYTES = 512 };

struct stream_fields {
    struct slice bytes; /* good until the call ends, or stream_fields_finish */
    bool is_in_request; /* where they lie in it */
    uint8_t *copy;      /* NULL: none was needed, or it is in small */
    uint8_t small[STREAM_FIELDS_INLINE_BYTES];
};

/* The call's arguments from first to the last one: where they lie in the request when that has them
 * so, else copied. -ENOMEM. */
int stream_fields_take(const struct call *call, uint32_t first, struct stream_fields *out_fields);
void stream_fields_finish(struct stream_fields *fields);
#endif
