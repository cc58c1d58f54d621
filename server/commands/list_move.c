/* list_move.c - LMOVE RPOPLPUSH LMOVEM BLMOVE BRPOPLPUSH BLMOVEM */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "modules/spill/store.h"
#include "server/commands/checkpointing.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"

enum { MOVE_BATCH = 64, BATCH_BYTES = 64 * 1024, SMALL_ITEM_BYTES = 1024 };

struct move {
    struct slice source, destination;
    enum spill_end from, to;
    /* LMOVEM: */
    bool has_count;  /* else one element */
    bool is_exact;   /* EXACTLY: all of count or nothing */
    bool one_by_one; /* OBO: as count single moves, which reverses the block when both ends are the
                        same */
    uint64_t count;
};

/* 1: both are lists or the destination is not there; 0: no source. -EPROTOTYPE. */
static int find_both(struct call *call, const struct move *move, struct list_at *out_source)
{
    struct list_at destination;
    int rc = list_find(call, move->source, out_source);

    if (rc <= 0) return rc;
    rc = list_find(call, move->destination, &destination);
    return rc < 0 ? rc : 1;
}

/* A move adds nothing in all: it goes on when memory and disk are full, so that consumers that move
 * what they work on can empty them. */
static int push_moved(struct call *call, const struct move *move, const struct slice *items,
                      uint32_t item_count, struct list_at *out_destination)
{
    struct spill_store *store = call->server->store;
    int rc;

    /* Unless no checkpoint could be made any more: then nothing would ever be moved. */
    if (!call->is_replay && checkpointing_is_out_of_room(call->server)) return -ENOSPC;
    spill_store_use_reserve(store, true);
    rc = list_push_items(call, move->destination, move->to, items, item_count, out_destination);
    spill_store_use_reserve(store, false);
    for (uint32_t i = 0; i < item_count && rc >= 0; i++)
        spill_store_rewrote(store, items[i].size);
    return rc;
}

/* ---- one element
 * ------------------------------------------------------------------------------------ */

/* The element as it lies in the deque now, at the end it went to. It has moved: nothing may fail.
 */
static int reply_moved(struct call *call, const struct move *move, struct spill_deque *deque,
                       struct slice item)
{
    uint64_t index = move->to == SPILL_HEAD ? 0 : spill_deque_count(deque) - 1;
    int rc = list_reply_element(call, deque, index, item);

    if (rc >= 0) return rc;
    reply_bulk(call->reply, item);
    return 0;
}

/* The source's outermost element is moved and answered. item is a copy that moving does not
 * disturb. */
static int move_item(struct call *call, const struct move *move, struct list_at *source,
                     struct slice item)
{
    struct list_at destination;
    struct slice again;
    int rc;

    if (slice_equal(move->source, move->destination) && move->from == move->to) {
        spill_deque_unpin(source->deque);
        call_changed(call, move->source);
        return reply_moved(call, move, source->deque, item);
    }
    rc = push_moved(call, move, &item, 1, &destination);
    if (rc < 0) return rc;
    if (spill_deque_peek(source->deque, move->from, &again) != 1)
        abort(); /* pinned by the caller */
    spill_deque_drop_peeked(source->deque, move->from);
    rc = reply_moved(call, move, destination.deque, item);
    spill_deque_unpin(source->deque); /* before the list may go */
    list_removed_some(call, source);
    return rc;
}

static int move_one(struct call *call, const struct move *move, struct list_at *source)
{
    uint8_t small[SMALL_ITEM_BYTES], *copy = small;
    struct slice item;
    int64_t ready;
    int rc;

    if (!spill_deque_is_resident(source->deque)) {
        ready = spill_deque_pin_end(source->deque, move->from, 1, UINT64_MAX);
        if (ready < 0) return (int)ready;
    }
    rc = spill_deque_peek(source->deque, move->from, &item);
    if (rc != 1) goto out;
    if (item.size > sizeof(small)) copy = malloc(item.size);
    if (!copy) {
        rc = -ENOMEM;
        goto out;
    }
    if (item.size) memcpy(copy, item.bytes, item.size);
    rc = move_item(call, move, source, slice_of(copy, item.size));
out:
    if (rc < 0) spill_deque_unpin(source->deque);
    if (copy != small) free(copy);
    return rc;
}

/* ---- many elements
 * ------------------------------------------------------------------------------------ */

/* A block is moved as a whole: a snapshot shows it while it is dropped from the source and pushed,
 * element by element, onto the destination; another brings the destination back when that fails
 * half-way. */

static struct slice end_word(enum spill_end end)
{
    return end == SPILL_HEAD ? SLICE_LITERAL("LEFT") : SLICE_LITERAL("RIGHT");
}

static enum spill_end other(enum spill_end end)
{
    return end == SPILL_HEAD ? SPILL_TAIL : SPILL_HEAD;
}

/* In which direction of the source the elements are pushed. OBO: as they are popped. BULK: so that
 * the block keeps its order, which pushing at the head turns round. */
static enum spill_end push_direction(const struct move *move)
{
    if (move->one_by_one) return other(move->from);
    return move->to == SPILL_TAIL ? SPILL_TAIL : SPILL_HEAD;
}

/* The index of the block's first element in that direction. */
static uint64_t block_start(const struct move *move, uint64_t total, uint64_t count,
                            enum spill_end towards)
{
    uint64_t lowest = move->from == SPILL_HEAD ? 0 : total - count;

    return towards == SPILL_TAIL ? lowest : lowest + count - 1;
}

/* The batch's bytes are copied because a cursor's views last one step. */
struct batch {
    struct slice items[MOVE_BATCH];
    uint32_t count;
    size_t used_bytes;
    uint8_t bytes[BATCH_BYTES];
};

static int push_batch(struct call *call, const struct move *move, struct batch *batch)
{
    struct list_at destination;
    int rc = 0;

    if (batch->count > 0) rc = push_moved(call, move, batch->items, batch->count, &destination);
    batch->count = 0;
    batch->used_bytes = 0;
    return rc;
}

static int add_to_batch(struct call *call, const struct move *move, struct batch *batch,
                        struct slice item)
{
    int rc = 0;

    if (batch->count == MOVE_BATCH || item.size > BATCH_BYTES - batch->used_bytes)
        rc = push_batch(call, move, batch);
    if (rc < 0) return rc;
    if (item.size > BATCH_BYTES) {
        struct list_at destination;

        return push_moved(call, move, &item, 1, &destination);
    }
    if (item.size) memcpy(batch->bytes + batch->used_bytes, item.bytes, item.size);
    batch->items[batch->count++] = slice_of(batch->bytes + batch->used_bytes, item.size);
    batch->used_bytes += item.size;
    return 0;
}

static int push_block(struct call *call, const struct move *move, struct spill_snapshot *snapshot,
                      uint64_t total, uint64_t count)
{
    enum spill_end towards = push_direction(move);
    struct spill_cursor *cursor = NULL;
    struct batch *batch = malloc(sizeof(*batch));
    int rc = -ENOMEM;

    if (!batch) return rc;
    batch->count = 0;
    batch->used_bytes = 0;
    rc = spill_cursor_create(snapshot, block_start(move, total, count, towards), towards, &cursor);
    for (uint64_t i = 0; i < count && rc >= 0; i++) {
        struct slice item;

        rc = spill_cursor_next(cursor, &item);
        if (rc == 1) rc = add_to_batch(call, move, batch, item);
        if (rc >= 0 && (i + 1) % MOVE_BATCH == 0) rc = parking_breathe(call->server);
    }
    if (rc >= 0) rc = push_batch(call, move, batch);
    spill_cursor_destroy(cursor);
    free(batch);
    return rc < 0 ? rc : 0;
}

/* The destination as it was: its snapshot is put back, or a list made here goes again. */
static void undo_push(struct call *call, const struct move *move, struct spill_snapshot *before)
{
    struct list_at destination;

    if (list_find(call, move->destination, &destination) != 1) {
        spill_snapshot_release(before);
        return;
    }
    if (before)
        spill_deque_restore(destination.deque, before);
    else
        keyspace_remove(call->server->keyspace, destination.key);
}

/* The reply shows the block as it lies in the destination now. */
static int reply_block(struct call *call, const struct move *move, uint64_t count)
{
    struct list_at destination;
    uint64_t total;

    if (call->is_replay) return 0;                                      /* to nobody */
    if (list_find(call, move->destination, &destination) != 1) abort(); /* just pushed to */
    total = spill_deque_count(destination.deque);
    return list_reply_range(call, destination.deque, move->to == SPILL_HEAD ? 0 : total - count,
                            count, SPILL_TAIL, NULL);
}

static int move_block(struct call *call, const struct move *move, struct list_at *source,
                      uint64_t count)
{
    struct spill_snapshot *block = NULL, *before = NULL;
    struct list_at destination;
    bool is_same = slice_equal(move->source, move->destination);
    uint64_t total = spill_deque_count(source->deque);
    int64_t dropped = 0;
    int rc = list_may_walk(call, source->deque);

    if (rc < 0) return rc;
    rc = list_find(call, move->destination, &destination);
    if (rc == 1 && !is_same) rc = spill_deque_snapshot(destination.deque, &before);
    if (rc < 0) return rc;
    rc = spill_deque_snapshot(source->deque, &block);
    if (rc == 0) dropped = spill_deque_drop(source->deque, move->from, count);
    if (dropped < 0) rc = (int)dropped;
    if (rc == 0) rc = push_block(call, move, block, total, count);
    call->reply->had_error = false;
    if (rc == 0) rc = reply_block(call, move, count);
    if (rc < 0 || call->reply->had_error) { /* too much to answer: then it was not moved */
        if (!is_same) undo_push(call, move, before);
        if (block) spill_deque_restore(source->deque, block);
        return rc;
    }
    spill_snapshot_release(before);
    spill_snapshot_release(block);
    if (!is_same) list_removed_some(call, source);
    return rc;
}

/* 1: it moved and answered, *out_result is the handler's; 0: there is nothing (or not enough) to
 * move. */
static int try_move(struct call *call, const struct move *move, int *out_result)
{
    struct list_at source;
    uint64_t there;
    int rc = find_both(call, move, &source);

    if (rc <= 0) return rc;
    there = spill_deque_count(source.deque);
    if (move->is_exact && there < move->count) return 0;
    if (!move->has_count)
        *out_result = move_one(call, move, &source);
    else
        *out_result = move_block(call, move, &source, move->count < there ? move->count : there);
    return *out_result < 0 ? *out_result : 1;
}

/* ---- commands
 * ---------------------------------------------------------------------------------------- */

static bool parse_ends(struct call *call, struct move *move)
{
    move->source = call->arguments[1];
    move->destination = call->arguments[2];
    return list_parse_end(call, 3, &move->from) && list_parse_end(call, 4, &move->to);
}

static int move_or_null(struct call *call, const struct move *move)
{
    int result = 0, rc = try_move(call, move, &result);

    if (rc == 1) return result;
    if (rc == 0) {
        if (move->has_count)
            reply_null_array(call->reply);
        else
            reply_null(call->reply);
    }
    return rc;
}

/* As the command that does not wait. */
static void say_moved(struct call *call, const struct move *move)
{
    struct slice arguments[8] = { move->has_count ? SLICE_LITERAL("LMOVEM")
                                                  : SLICE_LITERAL("LMOVE"),
                                  move->source, move->destination, end_word(move->from),
                                  end_word(move->to) };
    uint32_t count = 5;

    /* BLMOVEM source destination from to timeout, then what LMOVEM has there. */
    for (uint32_t i = 6; move->has_count && i < call->argument_count; i++)
        arguments[count++] = call->arguments[i];
    effect_say(call, arguments, count);
}

static int move_or_block(struct call *call, const struct move *move, int64_t deadline_us)
{
    int result = 0, rc = try_move(call, move, &result);

    if (rc == 1) {
        say_moved(call, move);
        return result;
    }
    if (rc < 0) return rc;
    if (call->in_transaction) {
        if (move->has_count)
            reply_null_array(call->reply);
        else
            reply_null(call->reply);
        return 0;
    }
    return call_block(call, VALUE_LIST, call->arguments + 1, 1, deadline_us);
}

/* LMOVE source destination LEFT|RIGHT LEFT|RIGHT */
int list_lmove(struct call *call)
{
    struct move move = { 0 };

    if (!parse_ends(call, &move)) return 0;
    return move_or_null(call, &move);
}

/* RPOPLPUSH source destination */
int list_rpoplpush(struct call *call)
{
    struct move move = { .source = call->arguments[1],
                         .destination = call->arguments[2],
                         .from = SPILL_TAIL,
                         .to = SPILL_HEAD };

    return move_or_null(call, &move);
}

/* BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout */
int list_blmove(struct call *call)
{
    struct move move = { 0 };
    int64_t deadline_us;

    if (!parse_ends(call, &move) || !call_timeout(call, 5, &deadline_us)) return 0;
    return move_or_block(call, &move, deadline_us);
}

/* BRPOPLPUSH source destination timeout */
int list_brpoplpush(struct call *call)
{
    struct move move = { .source = call->arguments[1],
                         .destination = call->arguments[2],
                         .from = SPILL_TAIL,
                         .to = SPILL_HEAD };
    int64_t deadline_us;

    if (!call_timeout(call, 3, &deadline_us)) return 0;
    return move_or_block(call, &move, deadline_us);
}

/* [COUNT count | EXACTLY count  OBO | BULK] from index at on. LMOVEM always answers an array. */
static bool parse_how_many(struct call *call, uint32_t at, struct move *move)
{
    int64_t count;

    move->has_count = true;
    move->count = 1;
    if (call->argument_count == at) return true;
    if (call->argument_count != at + 3) {
        (void)call_syntax_error(call);
        return false;
    }
    if (slice_is(call->arguments[at], "EXACTLY"))
        move->is_exact = true;
    else if (!slice_is(call->arguments[at], "COUNT")) {
        (void)call_syntax_error(call);
        return false;
    }
    if (!call_integer_between(call, at + 1, 1, INT64_MAX, "ERR count should be greater than 0",
                              &count))
        return false;
    move->count = (uint64_t)count;
    if (slice_is(call->arguments[at + 2], "OBO"))
        move->one_by_one = true;
    else if (!slice_is(call->arguments[at + 2], "BULK")) {
        (void)call_syntax_error(call);
        return false;
    }
    return true;
}

/* LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT|EXACTLY count OBO|BULK] */
int list_lmovem(struct call *call)
{
    struct move move = { 0 };

    if (!parse_ends(call, &move) || !parse_how_many(call, 5, &move)) return 0;
    return move_or_null(call, &move);
}

/* BLMOVEM source destination LEFT|RIGHT LEFT|RIGHT timeout [COUNT|EXACTLY count OBO|BULK] */
int list_blmovem(struct call *call)
{
    struct move move = { 0 };
    int64_t deadline_us;

    if (!parse_ends(call, &move) || !call_timeout(call, 5, &deadline_us) ||
        !parse_how_many(call, 6, &move))
        return 0;
    return move_or_block(call, &move, deadline_us);
}
