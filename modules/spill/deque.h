/* deque.h - a list of byte strings that may be longer than memory, open at both ends.
 *
 * A deque is `head chunk · counted B+tree of chunks · tail chunk`; chunks and tree nodes that are
 * not needed live in the store's spill file; a few short elements are one small run. Every
 * operation is done whole or not at all. Functions return a result >= 0 or a negative errno; after
 * an error the deque and every out_ argument are as they were.
 *
 * Waiting. When an operation needs a chunk or node that is on disk, its read is started, what the
 * operation has gathered so far is pinned, and the store's wait hook is called (store.h). The hook
 * decides: it may suspend the caller (a fiber), block the thread, or return -EAGAIN, and then the
 * operation returns -EAGAIN with nothing changed. While a caller is suspended no other call may be
 * made on the same deque (the server locks the key); calls on other deques of the store are fine.
 *
 * Common errors, returned by all that may read: -EAGAIN as above; -EBADMSG: a chunk's checksum or
 * identity is wrong (spill_store_last_error names the list and the range); -EIO: the read failed;
 * -ENOMEM. By all that grow: -ENOSPC: the disk is full or maxdisk is reached and memory is short
 * too; -EMSGSIZE: the element is larger than the store allows.
 *
 * One thread (the store's owner) only. Nothing here logs. */
#ifndef MODULES_SPILL_DEQUE_H
#define MODULES_SPILL_DEQUE_H
#include "modules/base/slice.h"

struct spill_store; /* files, budget and cache shared by many deques: store.h */
struct spill_deque;
struct spill_snapshot; /* an unchanging picture of a deque */

enum spill_end { SPILL_HEAD = 0, SPILL_TAIL = 1 };

/* store must outlive the deque. */
int spill_deque_create(struct spill_store *store, struct spill_deque **out_deque);
/* O(1), never waits: what is on disk is given back in slices by spill_store_tick. Accepts NULL. */
void spill_deque_destroy(struct spill_deque *deque);

uint64_t spill_deque_count(const struct spill_deque *deque);
/* Sum of the elements' sizes, without what storing them costs. */
uint64_t spill_deque_bytes(const struct spill_deque *deque);

/* Copies the items, the last one ends up outermost: pushing a b c at the head gives c b a. All or
 * none. Pushing never reads from disk. */
int spill_deque_push(struct spill_deque *deque, enum spill_end end, const struct slice *items,
                     size_t item_count);

/* 1: *out_item is a view, good until the next call on any deque of the store or the next tick.
 * 0: empty. */
int spill_deque_peek(struct spill_deque *deque, enum spill_end end, struct slice *out_item);
/* Removes the outermost element, which the caller has just peeked (so it cannot fail or wait).
 * Requires a preceding successful peek at that end with nothing in between. */
void spill_deque_drop_peeked(struct spill_deque *deque, enum spill_end end);
/* Removes up to count elements at an end without looking at them. Whole chunks are dropped unread.
 * The number removed. */
int64_t spill_deque_drop(struct spill_deque *deque, enum spill_end end, uint64_t count);
/* Loads and pins what popping count elements at an end needs (at most bytes_max bytes of chunks),
 * so that as many peeks follow without waiting, until spill_deque_unpin or destroy. The number of
 * elements that are ready, or an error. */
int64_t spill_deque_pin_end(struct spill_deque *deque, enum spill_end end, uint64_t count,
                            uint64_t bytes_max);
void spill_deque_unpin(struct spill_deque *deque);

/* index counts from the head, 0 first. 1 and a view (as peek), or 0: out of range. */
int spill_deque_get(struct spill_deque *deque, uint64_t index, struct slice *out_item);
/* Views (as peek) of the element at index and those beyond it towards an end, as many as lie in the
 * same chunk and out_items has room for; their number. 0: out of range. -EAGAIN: not in memory; it
 * is not read for this, and nobody is told when it comes. Never waits. */
int spill_deque_view(struct spill_deque *deque, uint64_t index, enum spill_end towards,
                     struct slice *out_items, unsigned capacity);
/* -ERANGE: no such index. */
int spill_deque_set(struct spill_deque *deque, uint64_t index, struct slice item);
/* Inserts so that the new element has that index; index <= count. -ERANGE otherwise. */
int spill_deque_insert(struct spill_deque *deque, uint64_t index, struct slice item);
/* Removes count elements from index on; what lies beyond the end is ignored. */
int spill_deque_remove(struct spill_deque *deque, uint64_t index, uint64_t count);
/* Keeps [index, index + count). */
int spill_deque_keep(struct spill_deque *deque, uint64_t index, uint64_t count);

/* A snapshot shares chunks and nodes; the deque copies what it changes while one is outstanding.
 * O(1), never waits. */
int spill_deque_snapshot(struct spill_deque *deque, struct spill_snapshot **out_snapshot);
void spill_snapshot_release(struct spill_snapshot *snapshot); /* accepts NULL; never waits */
uint64_t spill_snapshot_count(const struct spill_snapshot *snapshot);
/* Puts the deque back to what the snapshot shows, and releases the snapshot: the way back for an
 * operation of many steps that failed half-way. Never fails. */
void spill_deque_restore(struct spill_deque *deque, struct spill_snapshot *snapshot);

/* A cursor walks a snapshot in either direction, chunk by chunk, pinning only the chunk it is in
 * and reading the next ones ahead. It holds a reference to the snapshot. */
struct spill_cursor;
int spill_cursor_create(struct spill_snapshot *snapshot, uint64_t index, enum spill_end towards,
                        struct spill_cursor **out_cursor);
void spill_cursor_destroy(struct spill_cursor *cursor); /* accepts NULL */
/* 1: *out_item is a view, good until the next call on this cursor. 0: the end was passed. */
int spill_cursor_next(struct spill_cursor *cursor, struct slice *out_item);
/* The same, but the cursor stays before the element: its next call gives it again. */
int spill_cursor_peek(struct spill_cursor *cursor, struct slice *out_item);
/* Lets go of the chunk it is in, until the next call: for a walk that may not go on soon, as a
 * thousand of them would hold a thousand chunks in memory. Ends the last view. */
void spill_cursor_rest(struct spill_cursor *cursor);
/* True when the next call of spill_cursor_next cannot wait. */
bool spill_cursor_ready(const struct spill_cursor *cursor);

/* Removes elements that match accepts, walking from an end, at most limit of them (0: no limit).
 * Reads the whole list if it must, calls the store's pause hook between chunks; on error nothing
 * has changed. The number removed. -ENOSPC: memory and disk have no room for what is left of so
 * many chunks, beside what was there; fewer may find some. */
int64_t spill_deque_remove_matching(struct spill_deque *deque, enum spill_end from, uint64_t limit,
                                    bool (*accepts)(void *context, struct slice item),
                                    void *context);
/* The same, but instead of -ENOSPC it stops where room runs short, with what was removed until then
 * (a chunk's matches at least). *passed, 0 at first: so many elements at that end were asked for
 * already and stay. When neither limit nor the list's end was reached, call again with the rest of
 * limit when there is room (spill_store_may_rewrite), the list being the same until then. */
int64_t spill_deque_remove_some(struct spill_deque *deque, enum spill_end from, uint64_t limit,
                                bool (*accepts)(void *context, struct slice item), void *context,
                                uint64_t *passed);

struct spill_deque_info {
    uint64_t element_count, element_bytes;
    uint64_t chunk_count, chunks_in_memory, chunks_prefetching;
    uint64_t elements_in_memory, bytes_in_memory; /* bytes of chunks and nodes, as allocated */
    uint64_t bytes_on_disk; /* extents, in whole blocks or their share of one */
    uint32_t tree_height;   /* levels of the tree, that of the chunks too; 0: no tree */
};
/* Reads nothing: figures of unloaded subtrees come from their references. Looks at every block in
 * memory and calls the store's pause hook after each few hundred; meanwhile eviction and reads go
 * on, so that what is in memory is told as it was when the walk came by. 0, or the hook's error. */
int spill_deque_info(struct spill_deque *deque, struct spill_deque_info *out_info);
/* Of the whole list, in memory or not. O(1). */
uint64_t spill_deque_chunk_count(const struct spill_deque *deque);
/* By which the store's errors name it; a list that was copied shares parts with another, and these
 * keep the other's. 0: it is so small that it is never on disk. */
uint64_t spill_deque_number(const struct spill_deque *deque);
/* True: nothing of it is on disk only, so that no operation on it waits. False: something may be
 * (of more than 32 chunks it says so after snapshots and changes in the middle although all is in
 * memory). O(1). */
bool spill_deque_is_resident(const struct spill_deque *deque);

/* Walks all that is loaded and asserts every invariant; for tests. */
void spill_deque_check(const struct spill_deque *deque);
#endif
