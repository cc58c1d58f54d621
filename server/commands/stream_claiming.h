/* stream_claiming.h - what XCLAIM and XAUTOCLAIM do with one pending entry. */
#ifndef SERVER_COMMANDS_STREAM_CLAIMING_H
#define SERVER_COMMANDS_STREAM_CLAIMING_H
#include "modules/stream/finder.h"
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_key.h"

struct stream_claiming {
    struct slice consumer_name;
    struct stream_consumer *consumer; /* NULL: not looked for yet */
    struct stream_seeker seeker;
    uint64_t now_ms;
    uint64_t delivered_max_ms; /* of what has been idle for long enough */
    uint64_t delivered_ms;     /* what it is then */
    int64_t retry_count;       /* -1: one more than before, but with just_ids */
    bool is_forced;            /* what is not pending becomes so, when there is such an entry */
    bool just_ids;
};

enum stream_claimed { STREAM_CLAIM_NOTHING = 0, STREAM_CLAIMED = 1, STREAM_CLAIM_GONE = 2 };

/* What claiming reads may be waited for here. -EAGAIN: only in a fiber. */
int stream_claiming_may_read(struct call *call, const struct stream_group_key *key,
                             const struct stream_claiming *claiming);
/* As stream_find: mostly ids go up. */
int stream_claiming_find(const struct stream_group_key *key, struct stream_claiming *claiming,
                         struct stream_id id, struct stream_entry *out_entry);
/* STREAM_CLAIMED: it is the consumer's, and was written to claimed. STREAM_CLAIM_GONE: there is no
 * such entry any more, and it is not pending either. STREAM_CLAIM_NOTHING: it is not pending, or
 * not idle for long enough. Negative: nothing was done. */
int stream_claim(struct call *call, const struct stream_group_key *key,
                 struct stream_claiming *claiming, struct stream_id id,
                 struct stream_gathered *claimed);
#endif
