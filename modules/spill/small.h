/* small.h - a list that is still small (handle.h): one packed run.
 *
 * The functions are for handles that are not grown. One thread (the store's owner). */
#ifndef MODULES_SPILL_SMALL_H
#define MODULES_SPILL_SMALL_H
#include "modules/spill/handle.h"

/* 1: done. 0: with these items it is no longer small, nothing has changed. -ENOMEM. */
int small_push(struct spill_deque *deque, enum spill_end end, const struct slice *items,
               size_t item_count);
/* As spill_deque_peek, _get, _view, _remove_matching and _info (without the handle's bytes). */
int small_peek(const struct spill_deque *deque, enum spill_end end, struct slice *out_item);
int small_get(const struct spill_deque *deque, uint64_t index, struct slice *out_item);
int small_view(const struct spill_deque *deque, uint64_t index, enum spill_end towards,
               struct slice *out_items, unsigned capacity);
int64_t small_remove_matching(struct spill_deque *deque, enum spill_end from, uint64_t limit,
                              bool (*accepts)(void *context, struct slice item), void *context);
void small_info(const struct spill_deque *deque, struct spill_deque_info *out_info);
/* The list must not be empty. */
void small_drop_one(struct spill_deque *deque, enum spill_end end);
/* Elements [index, index + count) go; they must lie within. */
void small_remove(struct spill_deque *deque, uint64_t index, uint64_t count);
/* True: element index < element_count is now item. False: item has another size. */
bool small_overwrite(struct spill_deque *deque, uint64_t index, struct slice item);
/* Removes all elements and the run. */
void small_clear(struct spill_deque *deque);
/* The run has become somebody else's, who accounts for it and its elements. */
void small_forget_run(struct spill_deque *deque);
void small_check(const struct spill_deque *deque);
#endif
