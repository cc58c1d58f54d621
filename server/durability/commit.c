/* commit.c - when an answer may leave.
 *
 *   turn      frames are appended, answers computed; at its end oplog_commit: is what they rest on
 *             safe?                              yes: they leave
 *   no, and no ticket is under way              one begins: its goal is all that was appended
 *   no, and one is                              within its goal they wait for it, else for the next
 *   the journal moves                           the goal is reached: released
 *
 * So there are at most two tickets that anybody waits for, and one sync serves all who came while
 * the one before it ran. What is safe: with `always` what is synced; else what a killed process
 * leaves behind, which is all where the log is mapped. */
#include "server/durability/oplog_internal.h"

#include <errno.h>

enum {
    SECOND_US = 1000000,
    LATE_US = 2 * SECOND_US,
    ROOM_US = 2 * SECOND_US, /* so long answers wait for room that does not come */
    RETRY_US = 100000,
    QUIET_US = 200,
};

static uint64_t safe_position(const struct oplog *oplog)
{
    if (oplog->fsync == OPLOG_FSYNC_ALWAYS) return journal_synced(oplog->journal);
    if (oplog->is_buffered) return journal_published(oplog->journal);
    return journal_appended(oplog->journal);
}

static void start_sync(struct oplog *oplog)
{
    oplog->sync_goal = journal_appended(oplog->journal);
    oplog->sync_frame_number = oplog->frame_number;
    journal_sync(oplog->journal);
}

/* What brings the goal nearer. */
static void ask(struct oplog *oplog)
{
    if (oplog->fsync == OPLOG_FSYNC_ALWAYS)
        start_sync(oplog);
    else
        journal_publish(oplog->journal);
}

static void begin(struct oplog *oplog)
{
    oplog->ticket++;
    oplog->is_under_way = true;
    oplog->has_waiting = false;
    oplog->group_commands = oplog->command_count - oplog->begun_count;
    oplog->begun_count = oplog->command_count;
    oplog->begun_us = oplog->now_us;
    oplog->retried_us = oplog->now_us;
    oplog->starved_us = 0;
    ask(oplog);
    oplog->goal = journal_appended(oplog->journal); /* with the note that a sync begins with */
}

static bool is_safe(const struct oplog *oplog)
{
    return !oplog->kept_head && safe_position(oplog) >= journal_appended(oplog->journal);
}

static void settle_tickets(struct oplog *oplog)
{
    if (oplog->is_under_way && safe_position(oplog) >= oplog->goal) {
        oplog->released = oplog->ticket;
        oplog->is_under_way = false;
        oplog->has_settled = true;
        oplog->expected_count = oplog->command_count + oplog->batch_count + oplog->group_commands;
    }
    if (oplog->is_under_way || !oplog->has_waiting || !is_safe(oplog)) return;
    oplog->has_waiting = false; /* somebody else has synced it */
    oplog->released = ++oplog->ticket;
}

static void settle_sync(struct oplog *oplog)
{
    if (oplog->sync_goal == 0 || journal_synced(oplog->journal) < oplog->sync_goal) return;
    oplog->sync_goal = 0;
    oplog->synced_frame_number = oplog->sync_frame_number;
    oplog->was_delayed = false;
    oplog->is_late = false;
    if (!oplog->is_hurried) return;
    oplog->is_hurried = false;
    start_sync(oplog);
}

void oplog_commit_progress(struct oplog *oplog)
{
    settle_sync(oplog);
    settle_tickets(oplog);
}

/* ---- once a turn ------------------------------------------------------------------------------
 */

static bool has_unsynced(const struct oplog *oplog)
{
    return journal_synced(oplog->journal) != journal_appended(oplog->journal);
}

static void sync_each_second(struct oplog *oplog, uint64_t now_us)
{
    uint64_t passed_us = now_us - oplog->synced_us;

    if (!has_unsynced(oplog) || passed_us < SECOND_US) return;
    if (oplog->sync_goal == 0) {
        oplog->synced_us = now_us;
        start_sync(oplog);
        return;
    }
    if (!oplog->was_delayed) oplog->delayed_sync_count++;
    oplog->was_delayed = true;
    oplog->is_late = passed_us > LATE_US;
}

/* Why what somebody waits for has not reached the log: there was no room. 0: it is only slow, or
 * nobody waits. */
static int starving_error(const struct oplog *oplog, const struct journal_info *info)
{
    if (oplog->kept_head) return oplog->kept_error ? oplog->kept_error : info->write_error;
    return oplog->is_under_way ? info->write_error : 0;
}

/* Answers wait for room for a while, but not for ever: then the log has failed. What is in memory
 * goes into the checkpoint behind which another one takes its place. */
static void bear_with_want(struct oplog *oplog, int error, uint64_t now_us)
{
    if (error == 0) {
        oplog->starved_us = 0;
    } else if (oplog->starved_us == 0) {
        oplog->starved_us = now_us;
    } else if (now_us - oplog->starved_us > ROOM_US) {
        oplog_fail(oplog, error);
    }
}

/* A write that the disk was too full for has given up: it is asked for again. */
static void retry(struct oplog *oplog, uint64_t now_us)
{
    struct journal_info info;

    if (now_us - oplog->retried_us < RETRY_US) return;
    oplog->retried_us = now_us;
    journal_get_info(oplog->journal, &info);
    bear_with_want(oplog, starving_error(oplog, &info), now_us);
    if (oplog_journal_error(oplog)) return;
    if (info.room_error == 0 && info.write_error == 0 && !oplog->kept_head) return;
    if (oplog->kept_head && oplog_append_kept(oplog) == 0) oplog->on_progress(oplog->context);
    if (oplog->is_under_way) ask(oplog);
    if (oplog->sync_goal) journal_sync(oplog->journal);
}

static void take_times(struct oplog *oplog, uint64_t now_us)
{
    oplog->now_us = now_us;
    if (oplog->has_settled) oplog->sync_us = now_us - oplog->begun_us;
    oplog->has_settled = false;
    if (oplog->command_count == oplog->seen_count) return;
    if (oplog->seen_count == oplog->begun_count) oplog->waiting_us = now_us;
    oplog->seen_count = oplog->command_count;
    oplog->appended_us = now_us;
}

/* How long a sync is put off for those who are about to come. */
static uint64_t quiet_us(const struct oplog *oplog)
{
    return oplog->sync_us / 4 < QUIET_US ? oplog->sync_us / 4 : QUIET_US;
}

/* Whose answers the last sync has let go write again soon, and one sync can serve them together
 * with those who have waited meanwhile. So it begins when as many have come as were let go, or for
 * a moment nobody came, but no later than a part of what it takes itself. Who writes alone waits
 * for nobody. */
static bool may_begin(const struct oplog *oplog)
{
    if (oplog->kept_head) return false;
    if (oplog->fsync != OPLOG_FSYNC_ALWAYS || oplog->group_commands <= 1) return true;
    if (oplog->command_count >= oplog->expected_count) return true;
    return oplog->now_us - oplog->appended_us >= quiet_us(oplog) ||
           oplog->now_us - oplog->waiting_us >= oplog->sync_us / 2;
}

static bool take_lost(struct oplog *oplog)
{
    bool is_lost = oplog->is_lost;

    oplog->is_lost = false;
    return is_lost;
}

uint64_t oplog_commit(struct oplog *oplog, uint64_t now_us)
{
    if (oplog->room_error) log_reserve_mend(oplog, now_us);
    (void)oplog_end_batch(oplog); /* what is lost is told now */
    if (take_lost(oplog)) return OPLOG_LOST;
    if (oplog_error(oplog)) {
        /* What there is no room for keeps the checkpoint from beginning that all wait for. */
        if (oplog->is_being_replaced && oplog->kept_head) retry(oplog, now_us);
        return 0;
    }
    take_times(oplog, now_us);
    if (oplog->kept_head || oplog->is_under_way || oplog->sync_goal) retry(oplog, now_us);
    if (take_lost(oplog)) return OPLOG_LOST; /* who waited for room is told */
    if (oplog->fsync == OPLOG_FSYNC_EVERYSEC) sync_each_second(oplog, now_us);
    if (oplog->has_waiting) settle_tickets(oplog);
    if (is_safe(oplog)) return 0;
    if (!oplog->is_under_way && may_begin(oplog)) begin(oplog);
    if (oplog->is_under_way && !oplog->kept_head && journal_appended(oplog->journal) <= oplog->goal)
        return oplog->ticket;
    oplog->has_waiting = true;
    return oplog->ticket + 1;
}

uint64_t oplog_released(const struct oplog *oplog)
{
    return oplog->released;
}

int64_t oplog_wait_us(const struct oplog *oplog, uint64_t now_us)
{
    uint64_t passed_us = now_us - oplog->synced_us;

    if (oplog_error(oplog)) return oplog->is_being_replaced && oplog->kept_head ? RETRY_US : -1;
    if (oplog->has_waiting && !oplog->is_under_way && !oplog->kept_head)
        return (int64_t)quiet_us(oplog) + 1;
    if (oplog->room_error || oplog->kept_head || oplog->is_under_way) return RETRY_US;
    if (oplog->fsync != OPLOG_FSYNC_EVERYSEC || !has_unsynced(oplog)) return -1;
    if (oplog->sync_goal) return RETRY_US;
    return passed_us < SECOND_US ? (int64_t)(SECOND_US - passed_us) : 0;
}

void oplog_set_fsync(struct oplog *oplog, enum oplog_fsync fsync)
{
    oplog->fsync = fsync;
    oplog->is_late = false;
    settle_tickets(oplog);
    if (oplog->is_under_way) ask(oplog);
}

void oplog_hurry(struct oplog *oplog)
{
    if (oplog->fsync != OPLOG_FSYNC_NO || oplog_error(oplog)) return;
    (void)oplog_end_batch(oplog); /* a failure is told by the next commit */
    if (oplog->sync_goal) {
        oplog->is_hurried = true;
        return;
    }
    start_sync(oplog);
    settle_sync(oplog); /* there may be nothing to sync */
}

void oplog_start_sync(struct oplog *oplog)
{
    if (oplog->sync_goal == 0 && has_unsynced(oplog) && !oplog_journal_error(oplog))
        start_sync(oplog);
}

bool oplog_is_settled(struct oplog *oplog)
{
    (void)oplog_end_batch(oplog); /* a failure is told by the next commit */
    /* What the other log has no place for fails the checkpoint behind which it would count. */
    return !oplog->kept_head || oplog_journal_error(oplog);
}

/* ---- at once ----------------------------------------------------------------------------------
 */

/* 0: something has moved. Else nothing will. */
static int wait_for_progress(struct oplog *oplog)
{
    struct journal_info info;
    int rc = oplog_error(oplog);

    if (rc == 0) rc = journal_wait(oplog->journal);
    if (rc != -EAGAIN) return rc;
    journal_get_info(oplog->journal, &info);
    if (info.write_error) return info.write_error;
    return info.room_error ? info.room_error : -EIO;
}

int oplog_sync_now(struct oplog *oplog)
{
    int rc = oplog_end_batch(oplog);

    if (oplog_error(oplog)) return oplog_error(oplog); /* also while another journal is there */
    while (rc == 0 && oplog->kept_head) {
        rc = oplog_append_kept(oplog);
        if (rc == -EAGAIN) rc = wait_for_progress(oplog);
    }
    if (rc == 0) start_sync(oplog);
    while (rc == 0 && has_unsynced(oplog) && oplog->sync_goal)
        rc = wait_for_progress(oplog);
    oplog_commit_progress(oplog);
    return rc;
}
