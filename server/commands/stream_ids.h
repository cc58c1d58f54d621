/* stream_ids.h - ids in a row, as commands take them: a few at once, many in a fiber, where others
 * go first between them. */
#ifndef SERVER_COMMANDS_STREAM_IDS_H
#define SERVER_COMMANDS_STREAM_IDS_H
#include "modules/stream/stream_id.h"
#include "server/commands/command.h"
#include "server/commands/stream_trimming.h"

enum { STREAM_IDS_INLINE = 8 };

struct stream_ids {
    struct stream_id *ids;
    uint32_t count;
    struct stream_id few[STREAM_IDS_INLINE];
};

/* The arguments from first on, count of them. 1; 0: one is no id, answered; negative, as a handler:
 * -EAGAIN when there are many and the call cannot be suspended. */
int stream_ids_take(struct call *call, uint32_t first, uint32_t count, struct stream_ids *out_ids);
/* What is wrong with numids; commands say it in words of their own. */
struct stream_ids_errors {
    const char *not_positive, *too_many; /* too_many: of ids there are fewer */
};
/* "IDS numids id [id ...]", IDS at that index; *out_next is behind it. As stream_ids_take. */
int stream_ids_parse(struct call *call, uint32_t index, const struct stream_ids_errors *errors,
                     struct stream_ids *out_ids, uint32_t *out_next);
/* Of a zeroed one, too. */
void stream_ids_finish(struct stream_ids *ids);
/* Something was done for so many of them. has_changed: of which something remains, and from here on
 * the call goes on without its client, too. Else -ECANCELED: the client has gone. */
int stream_ids_breathe(struct call *call, uint32_t done_count, bool has_changed);

/* What XDELEX and XACKDEL take from first on, in any order. As stream_ids_take; stream_ids_finish
 * is needed whatever is returned. */
struct stream_id_options {
    struct stream_ids ids;
    uint32_t numids_index;
    enum stream_references references;
};
int stream_id_options_parse(struct call *call, uint32_t first, struct stream_id_options *options);

/* The call did what it says for so many of its id_count ids only: that is what is said it did. */
void stream_ids_say_first(struct call *call, uint32_t numids_index, uint32_t id_count,
                          uint32_t done_count);
#endif
