#include "server/durability/oplog_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "server/durability/log_directory.h"

/* ---- frames -----------------------------------------------------------------------------------
 */

/* Ids grow, whatever the clock does: a time that went back stands still until it has caught up. */
static void next_id(const struct oplog *oplog, int64_t now_ms, uint64_t *out_ms, uint64_t *out_seq)
{
    uint64_t ms = now_ms > 0 ? (uint64_t)now_ms : 0;

    *out_ms = ms > oplog->last_ms ? ms : oplog->last_ms;
    *out_seq = *out_ms > oplog->last_ms ? 0 : oplog->last_seq + 1;
}

/* Commands on their way: parts as log_frame_parts gives them. */
struct load {
    int64_t now_ms;
    unsigned database;
    uint32_t count;
    struct slice *parts;
    size_t part_count;
};

static int append(struct oplog *oplog, const struct load *load)
{
    uint8_t header[LOG_FRAME_HEADER_BYTES];
    uint64_t ms, seq, position;
    int rc;

    log_frame_header(header, load->database, load->count);
    load->parts[0] = slice_of(header, sizeof(header));
    next_id(oplog, load->now_ms, &ms, &seq);
    rc = journal_append(oplog->journal, ms, seq, load->parts, load->part_count, &position);
    load->parts[0] = (struct slice){ 0 };
    if (rc < 0) return rc;
    oplog->last_ms = ms;
    oplog->last_seq = seq;
    return 0;
}

/* ---- frames without room ----------------------------------------------------------------------
 */

static size_t bytes_of(const struct load *load)
{
    size_t bytes = 0;

    for (size_t i = 1; i < load->part_count; i++)
        bytes += load->parts[i].size;
    return bytes;
}

static int keep(struct oplog *oplog, const struct load *load)
{
    size_t size = bytes_of(load);
    struct kept_frame *kept = malloc(sizeof(*kept) + size);
    uint8_t *at;

    if (!kept) return -ENOMEM;
    *kept = (struct kept_frame){
        .now_ms = load->now_ms, .database = load->database, .count = load->count, .size = size
    };
    at = kept->bytes;
    for (size_t i = 1; i < load->part_count; i++) {
        if (load->parts[i].size > 0) memcpy(at, load->parts[i].bytes, load->parts[i].size);
        at += load->parts[i].size;
    }
    *oplog->kept_tail = kept;
    oplog->kept_tail = &kept->next;
    oplog->kept_bytes += size;
    return 0;
}

static void drop_first_kept(struct oplog *oplog)
{
    struct kept_frame *kept = oplog->kept_head;

    oplog->kept_head = kept->next;
    if (!kept->next) oplog->kept_tail = &oplog->kept_head;
    oplog->kept_bytes -= kept->size;
    oplog->kept_error = 0;
    oplog->starved_us = 0;
    free(kept);
}

void oplog_drop_kept(struct oplog *oplog)
{
    while (oplog->kept_head)
        drop_first_kept(oplog);
}

static bool is_for_want_of_room(int rc)
{
    return rc == -EAGAIN || rc == -ENOSPC || rc == -EDQUOT || rc == -ENFILE || rc == -EMFILE ||
           rc == -ENOMEM;
}

int oplog_append_kept(struct oplog *oplog)
{
    struct kept_frame *kept;

    while ((kept = oplog->kept_head)) {
        struct slice parts[2] = { { 0 }, slice_of(kept->bytes, kept->size) };
        int rc =
            append(oplog, &(struct load){ kept->now_ms, kept->database, kept->count, parts, 2 });

        if (rc == -ENOSPC || rc == -EDQUOT) {
            oplog->room_error = rc;
            (void)log_reserve_give(oplog); /* nothing left: room must come from elsewhere */
        }
        if (rc != -EAGAIN && is_for_want_of_room(rc)) oplog->kept_error = rc;
        if (rc < 0) return rc;
        drop_first_kept(oplog);
    }
    return 0;
}

static int append_or_keep(struct oplog *oplog, const struct load *load)
{
    int rc = oplog_journal_error(oplog);

    if (rc < 0) return rc;
    if (!oplog->kept_head) rc = append(oplog, load);
    if (oplog->kept_head || is_for_want_of_room(rc)) rc = keep(oplog, load);
    if (rc < 0) {
        oplog_fail(oplog, rc);
        return rc;
    }
    oplog->frame_number++;
    oplog->command_count += load->count;
    return 0;
}

static int append_slice(struct oplog *oplog, int64_t now_ms, unsigned database,
                        struct slice commands, uint32_t count)
{
    struct slice parts[2] = { { 0 }, commands };

    return append_or_keep(oplog, &(struct load){ now_ms, database, count, parts, 2 });
}

int oplog_end_batch(struct oplog *oplog)
{
    struct slice commands = slice_of(oplog->batch, oplog->batch_size);
    uint32_t count = oplog->batch_count;
    int rc;

    if (count == 0) return 0;
    oplog->batch_count = 0;
    oplog->batch_size = 0;
    rc = append_slice(oplog, oplog->batch_ms, oplog->batch_database, commands, count);
    if (rc < 0) oplog->is_lost = true;
    return rc;
}

static bool goes_with_batch(const struct oplog *oplog, int64_t now_ms, unsigned database,
                            size_t size)
{
    return oplog->batch_ms == now_ms && oplog->batch_database == database &&
           size <= OPLOG_BATCH_BYTES - oplog->batch_size;
}

int oplog_append(struct oplog *oplog, int64_t now_ms, unsigned database, struct slice command)
{
    if (!goes_with_batch(oplog, now_ms, database, command.size)) {
        int rc = oplog_end_batch(oplog);

        if (rc < 0) return rc;
        if (command.size > OPLOG_BATCH_BYTES)
            return append_slice(oplog, now_ms, database, command, 1);
        oplog->batch_ms = now_ms;
        oplog->batch_database = database;
    }
    if (oplog_journal_error(oplog)) return oplog_journal_error(oplog);
    memcpy(oplog->batch + oplog->batch_size, command.bytes, command.size);
    oplog->batch_size += command.size;
    oplog->batch_count++;
    return 0;
}

int oplog_append_frame(struct oplog *oplog, int64_t now_ms, struct log_frame *frame)
{
    struct load load = { .now_ms = now_ms, .database = frame->database, .count = frame->count };
    int rc = oplog_end_batch(oplog);

    if (rc < 0) return rc;
    load.parts = log_frame_parts(frame, &load.part_count);
    return append_or_keep(oplog, &load);
}

void oplog_fail(struct oplog *oplog, int error)
{
    if (!oplog->error) oplog->error = error;
    oplog->is_lost = true;
    journal_give_up(oplog->journal);
}

bool oplog_give_way(struct oplog *oplog)
{
    if (!log_reserve_give_way(oplog)) return false;
    if (!oplog->room_error) oplog->room_error = -ENOSPC;
    return true;
}

/* ---- room -------------------------------------------------------------------------------------
 */

int oplog_reserve(struct oplog *oplog, uint64_t bytes, bool adds)
{
    int rc = oplog_error(oplog);

    if (rc < 0) return rc;
    if (bytes > JOURNAL_PAYLOAD_BYTES_MAX - LOG_FRAME_HEADER_BYTES) return -EMSGSIZE;
    if (adds && oplog->room_error) return oplog->room_error;
    if (oplog->kept_head || oplog->is_late) return -EAGAIN;
    rc = journal_reserve(oplog->journal,
                         journal_frame_bytes(LOG_FRAME_HEADER_BYTES + oplog->batch_size + bytes));
    if (rc == 0) oplog->is_told_full = false;
    if (rc != -ENOSPC && rc != -EDQUOT) return rc;
    /* The journal tells of an attempt that may be old, and has begun another: that one counts. */
    if (!oplog->is_told_full) {
        oplog->is_told_full = true;
        return -EAGAIN;
    }
    oplog->room_error = rc;
    if (adds) return rc;
    return log_reserve_give(oplog) ? -EAGAIN : rc;
}

/* ---- life -------------------------------------------------------------------------------------
 */

/* With `always`, answers of this turn may tell of what was not on the device yet. */
static void take_error(struct oplog *oplog)
{
    if (oplog->error) return;
    oplog->error = journal_error(oplog->journal);
    if (oplog_is_uncertain(oplog)) oplog->is_lost = true;
}

static void journal_moved(void *context)
{
    struct oplog *oplog = context;
    struct journal_info info;

    if (!oplog->journal) return; /* it is being opened */
    take_error(oplog);
    journal_get_info(oplog->journal, &info);
    /* What is left is tried again with the next progress. That there is no room is none: asking
     * again at once would have an I/O thread do nothing else, so commit.c does, now and then. */
    if (info.room_error == 0) (void)oplog_append_kept(oplog);
    oplog_commit_progress(oplog);
    oplog->on_progress(oplog->context);
}

int oplog_open_journal(struct oplog *oplog, const struct journal_options *options,
                       struct journal_report *out_report, struct journal **out_journal)
{
    struct journal_options all = *options;

    all.settings.roll_bytes = oplog->roll_bytes;
    all.way = oplog->fsync == OPLOG_FSYNC_ALWAYS ? JOURNAL_BUFFERED : JOURNAL_MAPPED;
    all.pins_room = true;
    all.drops_written = true;
    all.on_progress = journal_moved;
    all.context = oplog;
    return journal_open(oplog->os, oplog->io, &all, out_report, out_journal);
}

void oplog_take_way(struct oplog *oplog)
{
    struct journal_info info;

    journal_get_info(oplog->journal, &info);
    oplog->is_buffered = info.way == JOURNAL_BUFFERED;
    oplog->roll_bytes = info.settings.roll_bytes;
}

static int open_journal(struct oplog *oplog, const struct oplog_options *options,
                        struct journal_report *out_report)
{
    struct journal_options journal = { .path = oplog->path,
                                       .synced_position = options->synced_position,
                                       .refuses_tail = options->refuses_tail };
    struct journal_info info;
    int rc = oplog_open_journal(oplog, &journal, out_report, &oplog->journal);

    if (rc < 0) return rc;
    journal_get_info(oplog->journal, &info);
    oplog->last_ms = info.last_time_ms;
    oplog->last_seq = info.last_seq;
    oplog_take_way(oplog);
    return 0;
}

void oplog_destroy(struct oplog *oplog)
{
    log_reserve_close(oplog);
    free(oplog->batch);
    free(oplog->path);
    free(oplog->directory);
    free(oplog);
}

static void nothing(void *context)
{
    (void)context;
}

int oplog_create(struct os *os, struct io *io, const struct oplog_options *options,
                 struct oplog **out_oplog)
{
    struct oplog *oplog = calloc(1, sizeof(*oplog));

    if (!oplog) return -ENOMEM;
    oplog->os = os;
    oplog->io = io;
    oplog->fsync = options->fsync;
    oplog->on_progress = options->on_progress ? options->on_progress : nothing;
    oplog->context = options->context;
    oplog->kept_tail = &oplog->kept_head;
    oplog->reserve.fd = -1;
    oplog->roll_bytes = options->roll_bytes;
    oplog->first_segment = options->first_segment;
    oplog->directory = strdup(options->directory);
    oplog->path = log_directory_path(options->directory, options->first_segment);
    oplog->batch = malloc(OPLOG_BATCH_BYTES);
    if (!oplog->directory || !oplog->path || !oplog->batch) {
        oplog_destroy(oplog);
        return -ENOMEM;
    }
    *out_oplog = oplog;
    return 0;
}

int oplog_open(struct os *os, struct io *io, const struct oplog_options *options,
               struct journal_report *out_report, struct oplog **out_oplog)
{
    struct oplog *oplog;
    int rc = oplog_create(os, io, options, &oplog);

    *out_report = (struct journal_report){ 0 };
    if (rc < 0) return rc;
    rc = log_reserve_open(oplog);
    if (rc == 0) rc = open_journal(oplog, options, out_report);
    if ((rc == -ENOSPC || rc == -EDQUOT) && log_reserve_give_all(oplog) == 0)
        rc = open_journal(oplog, options, out_report);
    if (rc < 0) {
        (void)journal_close(oplog->journal);
        oplog_destroy(oplog);
        return rc;
    }
    *out_oplog = oplog;
    return 0;
}

int oplog_close(struct oplog *oplog)
{
    int rc, closed;

    if (!oplog) return 0;
    oplog->on_progress = nothing;
    rc = oplog_sync_now(oplog);
    oplog_drop_kept(oplog); /* lost with the process; what they did was not answered */
    closed = journal_close(oplog->journal);
    oplog_destroy(oplog);
    return rc < 0 ? rc : closed;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

uint64_t oplog_position(struct oplog *oplog)
{
    (void)oplog_end_batch(oplog); /* a failure is told by the next commit */
    return journal_appended(oplog->journal);
}

uint64_t oplog_synced_position(const struct oplog *oplog)
{
    return journal_synced(oplog->journal);
}

uint64_t oplog_frame_number(const struct oplog *oplog)
{
    return oplog->frame_number + (oplog->batch_count > 0);
}

uint64_t oplog_synced_frame_number(const struct oplog *oplog)
{
    return oplog->synced_frame_number;
}

void oplog_trim(struct oplog *oplog, uint64_t position)
{
    journal_trim(oplog->journal, position);
}

int oplog_error(const struct oplog *oplog)
{
    return oplog->error ? oplog->error : journal_error(oplog->journal);
}

int oplog_journal_error(const struct oplog *oplog)
{
    return oplog->is_being_replaced ? journal_error(oplog->journal) : oplog_error(oplog);
}

bool oplog_is_uncertain(const struct oplog *oplog)
{
    return oplog->fsync == OPLOG_FSYNC_ALWAYS && oplog_error(oplog) != 0;
}

uint64_t oplog_first_segment(const struct oplog *oplog)
{
    return oplog->first_segment;
}

int oplog_room_error(const struct oplog *oplog)
{
    return oplog->room_error;
}

const char *oplog_path(const struct oplog *oplog)
{
    return oplog->path;
}

uint64_t oplog_distance(const struct oplog *oplog, uint64_t from, uint64_t to)
{
    uint64_t segments = journal_segment_of(to) - journal_segment_of(from);

    if (to <= from) return 0;
    return segments * oplog->roll_bytes + journal_offset_of(to) - journal_offset_of(from);
}

uint64_t oplog_memory_bytes(const struct oplog *oplog)
{
    struct journal_info info;

    journal_get_info(oplog->journal, &info);
    return OPLOG_BATCH_BYTES + oplog->kept_bytes + info.buffered_bytes;
}

bool oplog_is_buffered(const struct oplog *oplog)
{
    return oplog->is_buffered;
}

void oplog_get_info(const struct oplog *oplog, struct oplog_info *out_info)
{
    struct journal_info info;

    journal_get_info(oplog->journal, &info);
    *out_info = (struct oplog_info){
        .start = info.start,
        .appended = info.appended,
        .synced = info.synced,
        .bytes = oplog_distance(oplog, info.start, info.appended),
        .unsynced_bytes = oplog_distance(oplog, info.synced, info.appended),
        .frame_count = info.append_count,
        .sync_count = info.sync_count,
        .stall_count = info.stall_count,
        .delayed_sync_count = oplog->delayed_sync_count,
        .kept_bytes = oplog->kept_bytes,
        .reserve_bytes = oplog->reserve.bytes,
        .is_syncing = oplog->sync_goal > 0,
        .is_late = oplog->is_late,
        .is_being_replaced = oplog->is_being_replaced,
        .replaced_count = oplog->replaced_count,
        .error = oplog_error(oplog),
        .room_error = oplog->room_error,
    };
}
