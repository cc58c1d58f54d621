/* stream_group_giving.h - an entry is given to a reader of a group: whether it may be, to whom, and
 * what is counted. What new, claimed and old ones have in common. */
#ifndef SERVER_COMMANDS_STREAM_GROUP_GIVING_H
#define SERVER_COMMANDS_STREAM_GROUP_GIVING_H
#include "server/commands/stream_group_reading.h"

/* False: MAXSIZE or the room that an answer has is used up. An entry counts as it is answered, but
 * for its length's digits. */
bool group_answer_may_take(struct group_answer *answer, uint64_t fields_bytes);
/* It was taken, delivered if it is to be, and is written or will be. */
void group_answer_take(struct group_answer *answer, uint64_t fields_bytes);
/* Now and then, where there are many: others go first, and memory is looked at again. before: so
 * many were done when it was called last. 0; -ENOMEM: it grows, and may not; -ECANCELED: the client
 * has gone. */
int group_served_rest(struct call *call, struct group_served *served, uint64_t before,
                      uint64_t done, bool grows);

/* served->consumer, which was seen now. It is made by the first thing that it is given, as in Redis
 * 7.0: *out_is_new. 0 or -ENOMEM. */
int group_served_get_consumer(const struct group_reading *reading, struct group_served *served,
                              bool *out_is_new);
/* It was given that; or (rc negative) it was not, and goes again if it was made for it. Returns rc.
 */
int group_served_settle_consumer(const struct group_reading *reading, struct group_served *served,
                                 bool is_new, int rc);
/* Makes it the consumer's, delivered now. 0; -ENOMEM: nothing has changed. */
int group_served_deliver(const struct group_reading *reading, struct group_served *served,
                         struct stream_pending *pending);

/* What the consumer has pending behind an id, in order of ids: the history. 0, or why it ends
 * early. */
int group_served_give_again(struct call *call, const struct group_reading *reading,
                            struct group_answer *answer, struct group_served *served,
                            struct stream_gathered *entries);
#endif
