/* list_remove.c - LREM: what equals an element is removed.
 *
 * Above a small size it runs in a fiber, in slices, and holds its key, as list_walk.c says. What is
 * left of a chunk takes room beside what was there, until the next checkpoint: where that room runs
 * short, as on a full disk, LREM goes in steps. Each is a removal of its own in the log, behind
 * each it rests while a checkpoint gives room back, and its key stays held: nobody sees the list
 * between two. A process that dies between two has done some of them, of a command that was not
 * answered. Not inside EXEC, which is one frame of the log: there it is done at once or refused. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "modules/base/number.h"
#include "modules/spill/store.h"
#include "server/commands/checkpointing.h"
#include "server/commands/disk_log.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/parking.h"
#include "server/commands/read_error.h"
#include "server/commands/server.h"

struct removal {
    struct slice element;
    enum spill_end from;
    uint64_t limit;   /* still to be removed at most */
    uint64_t passed;  /* elements at that end that stay */
    uint64_t removed; /* by all steps */
    unsigned steps;   /* that are in the log */
};

static bool equals(void *context, struct slice item)
{
    return slice_equal(item, *(const struct slice *)context);
}

static int64_t remove_at_once(struct call *call, struct list_at *list, struct removal *removal)
{
    int64_t removed = spill_deque_remove_matching(list->deque, removal->from, removal->limit,
                                                  equals, &removal->element);

    if (removed > 0) list_removed_some(call, list);
    return removed;
}

/* ---- in steps ----------------------------------------------------------------------------------
 */

/* What the step did, for the log. */
static void say_step(struct call *call, const struct removal *removal, uint64_t removed)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    int64_t count = removal->from == SPILL_TAIL ? -(int64_t)removed : (int64_t)removed;
    struct slice arguments[4] = { SLICE_LITERAL("LREM"), call->arguments[1] };

    arguments[2] = slice_of(digits, number_format_int64(digits, count));
    arguments[3] = removal->element;
    effect_say(call, arguments, 4);
}

/* The list may be gone afterwards. True: nothing is left to be done. */
static bool end_step(struct call *call, struct list_at *list, struct removal *removal,
                     uint64_t removed)
{
    bool is_over = removed == removal->limit || removal->passed == spill_deque_count(list->deque);

    removal->removed += removed;
    removal->limit -= removed;
    if (removed == 0) return is_over;
    if (!is_over || removal->steps > 0) say_step(call, removal, removed);
    list_removed_some(call, list);
    return is_over;
}

/* From here on it goes on without its client, too: some of it is done. */
static int rest(struct call *call, struct removal *removal)
{
    removal->steps++;
    call->parked->must_finish = true;
    effect_log_step(call);
    return checkpointing_rest(call);
}

/* What was waited for in vain. */
static void describe_want_of_room(struct call *call, char text[READ_ERROR_BYTES])
{
    enum spill_disk disk = spill_store_disk(call->server->store);
    struct checkpoint_info info;
    int used = snprintf(text, READ_ERROR_BYTES, "%s, and no room came back",
                        disk == SPILL_DISK_AT_LIMIT ? "maxdisk is reached"
                                                    : "The disk is full (No space left on device)");

    disk_log_refused(call->server, disk);
    checkpoint_get_info(call->server->checkpointing->checkpoint, &info);
    if (info.error)
        (void)snprintf(text + used, READ_ERROR_BYTES - (size_t)used,
                       " (the checkpoint failed while %s: %s)", info.failed_step,
                       strerror(-info.error));
}

/* Some of it is done and stays so: who asked is told how much. */
static int answer_stopped(struct call *call, const struct removal *removal, int rc)
{
    char text[READ_ERROR_BYTES];

    if (removal->steps == 0 || rc == -ECANCELED) return rc;
    if (rc == -ENOSPC) {
        describe_want_of_room(call, text);
    } else if (rc == -EBADMSG || rc == -EIO) {
        read_error_describe(call, text);
        read_error_log(call, text);
    } else {
        (void)snprintf(text, sizeof(text), "%s", strerror(-rc));
    }
    return call_errorf(call, "%s %s: LREM has removed %llu elements before; ask again for the rest",
                       rc == -ENOSPC ? "MISCONF" : "ERR", text,
                       (unsigned long long)removal->removed);
}

static int remove_in_steps(struct call *call, struct list_at *list, struct removal *removal)
{
    for (;;) {
        int64_t removed = spill_deque_remove_some(list->deque, removal->from, removal->limit,
                                                  equals, &removal->element, &removal->passed);
        int rc;

        if (removed < 0) return answer_stopped(call, removal, (int)removed);
        if (end_step(call, list, removal, (uint64_t)removed)) break;
        rc = rest(call, removal);
        if (rc == 0) rc = list_find(call, call->arguments[1], list);
        if (rc < 0) return answer_stopped(call, removal, rc);
        if (rc == 0) break; /* nobody takes it away from who holds it */
    }
    reply_integer(call->reply, (int64_t)removal->removed);
    return 0;
}

/* ---- the command -------------------------------------------------------------------------------
 */

/* LREM key count element */
int list_lrem(struct call *call)
{
    struct removal removal = { .element = call->arguments[3] };
    struct list_at list;
    int64_t count, removed;
    int rc;

    if (!call_integer(call, 2, &count)) return 0;
    rc = list_find(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = list_may_walk(call, list.deque);
    if (rc < 0) return rc;
    removal.from = count < 0 ? SPILL_TAIL : SPILL_HEAD;
    removal.limit = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
    if (removal.limit == 0) removal.limit = UINT64_MAX;
    if (call_has_own_fiber(call)) return remove_in_steps(call, &list, &removal);
    removed = remove_at_once(call, &list, &removal);
    if (removed == -ENOSPC && !call_can_suspend(call)) return -EAGAIN; /* in a fiber, in steps */
    if (removed < 0) return (int)removed;
    reply_integer(call->reply, removed);
    return 0;
}
