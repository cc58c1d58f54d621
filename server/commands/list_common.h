/* list_common.h - what the list commands share: look-up, ends, removal of empty keys, walks. */
#ifndef SERVER_COMMANDS_LIST_COMMON_H
#define SERVER_COMMANDS_LIST_COMMON_H
#include "modules/spill/deque.h"
#include "server/commands/command.h"

struct key;

/* A walk over more than this runs in a fiber, in slices: of elements; of descriptors alone. */
enum { LIST_INLINE_WALK_BYTES = 256 * 1024, LIST_INLINE_WALK_CHUNKS = 2048 };

struct list_at {
    struct key *key;
    struct spill_deque *deque;
};

/* 1: out_list is that list. 0: no such key. -EPROTOTYPE: the key holds something else. */
int list_find(struct call *call, struct slice name, struct list_at *out_list);
/* As list_find, and counts keyspace hits and misses: for commands that only read. */
int list_find_read(struct call *call, struct slice name, struct list_at *out_list);
/* Makes the list when the key is not there, with the items in it: no empty list is ever seen.
 * Returns as spill_deque_push; -EPROTOTYPE. *out_list is the list. */
int list_push_items(struct call *call, struct slice name, enum spill_end end,
                    const struct slice *items, uint32_t item_count, struct list_at *out_list);
/* After elements were removed: the key goes when the list is empty; marks it changed. */
void list_removed_some(struct call *call, struct list_at *list);

/* LEFT or RIGHT. False: syntax error, answered. */
bool list_parse_end(struct call *call, uint32_t index, enum spill_end *out_end);

/* 0: a walk over the list may go on here; -EAGAIN: it is so long that it needs a fiber. */
int list_may_walk(const struct call *call, const struct spill_deque *deque);
/* The same for spill_deque_info, which reads nothing. */
int list_may_survey(const struct call *call, const struct spill_deque *deque);

/* Replies count elements of a list from index on in direction towards, as an array; of any size: a
 * large one is written as the socket drains, from a snapshot, and CALL_STREAMING is returned.
 * before_array, when given, is written once nothing can fail any more, before the array's header.
 */
int list_reply_range(struct call *call, struct spill_deque *deque, uint64_t index, uint64_t count,
                     enum spill_end towards, void (*before_array)(struct call *call));
/* Replies with the element at index, which is there, and item is: a long one is written as the
 * socket drains. */
int list_reply_element(struct call *call, struct spill_deque *deque, uint64_t index,
                       struct slice item);
/* Replies with the outermost element of an end, which is there, and removes it. */
int list_reply_pop(struct call *call, struct list_at *list, enum spill_end end,
                   void (*before_item)(struct call *call));
/* The same for the count outermost elements of an end, which are removed (count at most the
 * list's). */
int list_reply_taken(struct call *call, struct list_at *list, enum spill_end end, uint64_t count,
                     void (*before_array)(struct call *call));
#endif
