#include "server/durability/checkpoint_internal.h"

#include "modules/base/clock.h"
#include "modules/base/log.h"
#include "modules/spill/persist.h"
#include "modules/stream/checkpoint.h"
#include "modules/stream/stream.h"
#include "server/durability/checkpoint_files.h"
#include "server/keyspace/keyspace.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BUCKETS_A_LOOK = 64,                 /* at the clock */
    PENDING_BYTES_MAX = 4 * 1024 * 1024, /* that wait for the disk: the walk waits, too */
    PENDING_LISTS_MAX = 256,
    KEPT_MAX = 16, /* large groups and producers that are being written */
    STATE_PIECES_A_TURN = 16,
};

static const char looking_at_log[] = "looking at the log";

typedef unsigned long long ull;

static const struct checkpoint_options *options_of(const struct checkpoint *checkpoint)
{
    return &checkpoint->options;
}

int checkpoint_create(const struct checkpoint_options *options, struct checkpoint **out_checkpoint)
{
    struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
    if (!checkpoint) return -ENOMEM;
    checkpoint->options = *options;
    checkpoint->kept_end = &checkpoint->kept_first;
    checkpoint->info = (struct checkpoint_info){ .failed_step = "", .took_ms = { -1, -1 } };
    *out_checkpoint = checkpoint;
    return 0;
}

void checkpoint_destroy(struct checkpoint *checkpoint)
{
    if (!checkpoint) return;
    checkpoint_abort(checkpoint, -ECANCELED);
    (void)checkpoint_wait(checkpoint);
    free(checkpoint);
}

/* ---- beginning ---- */

static bool is_requested(const struct checkpoint *checkpoint)
{
    return checkpoint->info.is_requested[CHECKPOINT_AS_SAVE] ||
           checkpoint->info.is_requested[CHECKPOINT_AS_REWRITE];
}

uint64_t checkpoint_request(struct checkpoint *checkpoint, enum checkpoint_kind kind)
{
    if (!is_requested(checkpoint)) checkpoint->info.next_kind = kind;
    checkpoint->info.is_requested[kind] = true;
    return checkpoint->info.begun_count + 1;
}

uint64_t checkpoint_request_for_log(struct checkpoint *checkpoint)
{
    checkpoint->info.next_is_all = true;
    return checkpoint_request(checkpoint, CHECKPOINT_AS_REWRITE);
}

uint64_t checkpoint_request_held(struct checkpoint *checkpoint, enum checkpoint_kind kind)
{
    assert(checkpoint->held_turn == 0);
    checkpoint->held_turn = checkpoint_request(checkpoint, kind);
    return checkpoint->held_turn;
}

void checkpoint_let_go(struct checkpoint *checkpoint)
{
    checkpoint->held_turn = 0;
}

static bool is_held_back(const struct checkpoint *checkpoint)
{
    return checkpoint->held_turn > 0 && checkpoint->info.begun_count >= checkpoint->held_turn;
}

bool checkpoint_wants_to_begin(const struct checkpoint *checkpoint)
{
    /* Somebody else's picture (an export's) comes to its end first. */
    return checkpoint->info.step == CHECKPOINT_IDLE && is_requested(checkpoint) &&
           !is_held_back(checkpoint) && !keyspace_picture_is_running(checkpoint->options.keyspace);
}

static uint64_t log_position(const struct checkpoint *checkpoint)
{
    const struct checkpoint_log *log = &checkpoint->options.log;
    return log->position ? log->position(log->context) : 0;
}

static int create_writer(struct checkpoint *checkpoint)
{
    const struct checkpoint_options *options = options_of(checkpoint);
    struct checkpoint_head head = { .number = checkpoint->last_number,
                                    .log_position = checkpoint->position,
                                    .time_ms = (uint64_t)checkpoint->info.began_ms };
    return checkpoint_writer_create(options->os, options->io, options->directory, &head, NULL, NULL,
                                    &checkpoint->writer);
}

static void note_begin(struct checkpoint_info *info)
{
    info->begun_count++;
    info->began_ms = clock_realtime_ms();
    info->began_us = clock_monotonic_us();
}

static void forget_requests(struct checkpoint_info *info)
{
    memset(info->is_requested, 0, sizeof(info->is_requested));
    info->next_is_all = false;
}

/* One of the other kind follows it, unless it is of all. */
static void take_request(struct checkpoint *checkpoint)
{
    struct checkpoint_info *info = &checkpoint->info;
    info->kind = info->next_kind;
    info->is_both = info->next_is_all && info->is_requested[CHECKPOINT_AS_SAVE] &&
                    info->is_requested[CHECKPOINT_AS_REWRITE];
    info->is_requested[info->kind] = false;
    if (info->next_is_all) forget_requests(info);
    info->next_kind =
        info->is_requested[CHECKPOINT_AS_SAVE] ? CHECKPOINT_AS_SAVE : CHECKPOINT_AS_REWRITE;
}

static void start_picture(struct checkpoint *checkpoint)
{
    const struct checkpoint_options *options = options_of(checkpoint);
    struct keyspace_picture_progress progress;
    struct keyspace_info keyspace;
    keyspace_info(options->keyspace, &keyspace);
    checkpoint->changes = keyspace.changes;
    keyspace_picture_begin(options->keyspace, checkpoint_save_key, checkpoint);
    keyspace_picture_progress(options->keyspace, &progress);
    log_write(options->log_file, LOG_NOTICE, "Checkpoint %llu has begun, of %llu keys",
              (ull)checkpoint->last_number, (ull)progress.total_count);
}

static void end_failed(struct checkpoint *checkpoint);

void checkpoint_begin(struct checkpoint *checkpoint)
{
    int rc;
    if (!checkpoint_wants_to_begin(checkpoint)) return;
    rc = spill_checkpoint_begin(checkpoint->options.store);
    if (rc == -EAGAIN) return; /* it is still wanted in the next turn */
    take_request(checkpoint);
    checkpoint->last_number++;
    checkpoint->position = log_position(checkpoint);
    note_begin(&checkpoint->info);
    checkpoint->error = 0;
    checkpoint->is_syncing = checkpoint->has_synced = checkpoint->has_state = false;
    if (rc == 0) {
        rc = create_writer(checkpoint);
        if (rc < 0) spill_checkpoint_abort(checkpoint->options.store, false);
    }
    if (rc < 0) {
        checkpoint_spoil(checkpoint, rc, "beginning");
        end_failed(checkpoint);
        return;
    }
    checkpoint->info.step = CHECKPOINT_SAVING;
    stream_checkpoint_begin(checkpoint->options.streams);
    start_picture(checkpoint);
}

/* ---- ends ---- */

void checkpoint_spoil(struct checkpoint *checkpoint, int error, const char *step)
{
    assert(error < 0);
    if (checkpoint->error) return;
    checkpoint->error = error;
    checkpoint->failed_step = step;
}

static bool is_of(const struct checkpoint_info *info, enum checkpoint_kind kind)
{
    return info->is_both || info->kind == kind;
}

/* For who asked for it, or for either. */
static void note_end(struct checkpoint_info *info, bool has_failed)
{
    int64_t took_ms = (int64_t)((clock_monotonic_us() - info->began_us) / 1000);

    for (enum checkpoint_kind kind = 0; kind < CHECKPOINT_KIND_COUNT; kind++) {
        if (!is_of(info, kind)) continue;
        info->took_ms[kind] = took_ms;
        info->has_failed[kind] = has_failed;
        info->complete_counts[kind] += !has_failed;
    }
    info->ended_count++;
}

static void destroy_writer(struct checkpoint *checkpoint)
{
    checkpoint_writer_destroy(checkpoint->writer);
    checkpoint->writer = NULL;
}

/* Nothing of it is left, and nothing goes on. */
static void end_failed(struct checkpoint *checkpoint)
{
    struct checkpoint_info *info = &checkpoint->info;
    destroy_writer(checkpoint);
    info->step = CHECKPOINT_IDLE;
    info->error = checkpoint->error;
    info->failed_step = checkpoint->failed_step;
    info->failed_ms = clock_realtime_ms();
    info->failed_count++;
    info->failed_in_a_row++;
    note_end(info, true);
    checkpoint->error = 0;
    log_write(checkpoint->options.log_file, LOG_WARNING,
              "Checkpoint %llu failed while %s: %s. The older one and the log stay as they are",
              (ull)checkpoint->last_number, info->failed_step, strerror(-info->error));
}

static void clean(struct io_job *job, struct os *os)
{
    struct checkpoint *checkpoint = (struct checkpoint *)(void *)job;
    job->rc = checkpoint_files_remove(os, checkpoint->options.directory, checkpoint->info.number);
}

static void cleaned(struct io_job *job)
{
    struct checkpoint *checkpoint = (struct checkpoint *)(void *)job;
    if (job->rc < 0)
        log_write(checkpoint->options.log_file, LOG_WARNING,
                  "Older checkpoints could not be removed: %s", strerror(-job->rc));
    checkpoint->is_cleaning = false;
}

static void start_cleaning(struct checkpoint *checkpoint)
{
    checkpoint->info.step = CHECKPOINT_CLEANING;
    checkpoint->is_cleaning = true;
    checkpoint->cleaning = (struct io_job){ .run = clean, .done = cleaned };
    io_submit(checkpoint->options.io, &checkpoint->cleaning);
}

/* The file is there for good. */
static void end_complete(struct checkpoint *checkpoint)
{
    const struct checkpoint_log *log = &checkpoint->options.log;
    struct checkpoint_info *info = &checkpoint->info;
    spill_checkpoint_complete(checkpoint->options.store);
    stream_checkpoint_end(checkpoint->options.streams, true);
    info->file_bytes = checkpoint_writer_written_bytes(checkpoint->writer);
    destroy_writer(checkpoint);
    info->number = checkpoint->last_number;
    info->position = checkpoint->position;
    info->changes = checkpoint->changes;
    info->completed_ms = clock_realtime_ms();
    info->error = 0;
    info->has_strayed = false;
    info->failed_step = "";
    info->failed_in_a_row = 0;
    note_end(info, false);
    checkpoint->error = 0;
    log_write(checkpoint->options.log_file, LOG_NOTICE,
              "Checkpoint %llu is complete: %llu bytes after %lld ms", (ull)info->number,
              (ull)info->file_bytes, (long long)info->took_ms[info->kind]);
    if (log->trim) log->trim(log->context, info->position);
    start_cleaning(checkpoint);
}

/* ---- steps ---- */

static bool is_disk_behind(const struct checkpoint *checkpoint)
{
    return checkpoint_writer_pending_bytes(checkpoint->writer) > PENDING_BYTES_MAX ||
           spill_checkpoint_pending(checkpoint->options.store) > PENDING_LISTS_MAX;
}

static bool is_congested(const struct checkpoint *checkpoint)
{
    return is_disk_behind(checkpoint) || checkpoint->kept_count > KEPT_MAX;
}

/* Goes through keys for a slice. True: there are more. */
static bool walk(struct checkpoint *checkpoint, uint64_t slice_us)
{
    uint64_t began_us = clock_monotonic_us();
    bool waits = checkpoint->error == 0;
    while (!waits || !is_congested(checkpoint)) {
        if (!keyspace_picture_step(checkpoint->options.keyspace, BUCKETS_A_LOOK)) return false;
        if (clock_monotonic_us() - began_us >= slice_us) break;
    }
    return true;
}

static void store_synced(void *context, int rc)
{
    struct checkpoint *checkpoint = context;
    checkpoint->is_syncing = false;
    checkpoint->has_synced = rc == 0;
    if (rc < 0) checkpoint_spoil(checkpoint, rc, "syncing the lists' file");
}

/* The groups and producers that wait, unless the disk is behind. True: some still do. */
static bool save_kept(struct checkpoint *checkpoint)
{
    if (checkpoint->error || checkpoint->kept_count == 0) return false;
    return is_disk_behind(checkpoint) || checkpoint_save_kept(checkpoint);
}

static bool step_saving(struct checkpoint *checkpoint, uint64_t slice_us)
{
    bool has_kept = save_kept(checkpoint);
    if (walk(checkpoint, slice_us) || has_kept) return !is_disk_behind(checkpoint);
    if (checkpoint->error || checkpoint->kept_count > 0 ||
        spill_checkpoint_pending(checkpoint->options.store) > 0)
        return false;
    checkpoint->info.step = CHECKPOINT_SYNCING;
    checkpoint->is_syncing = true;
    spill_checkpoint_sync(checkpoint->options.store, store_synced, checkpoint);
    return true;
}

/* The log must reach P on the device before anything says that it goes on from there. */
static bool step_syncing(struct checkpoint *checkpoint)
{
    const struct checkpoint_log *log = &checkpoint->options.log;
    int rc = log->sync ? log->sync(log->context, checkpoint->position) : 1;
    int streams_rc = stream_checkpoint_sync(checkpoint->options.streams);
    if (rc < 0) checkpoint_spoil(checkpoint, rc, "syncing the log");
    if (streams_rc < 0) checkpoint_spoil(checkpoint, streams_rc, "syncing streams");
    if (rc != 1 || streams_rc != 1 || !checkpoint->has_synced) return false;
    checkpoint->info.step = CHECKPOINT_WRITING;
    return true;
}

static bool step_writing(struct checkpoint *checkpoint)
{
    int rc = 1;
    if (checkpoint->has_state || is_congested(checkpoint)) return false;
    for (int i = 0; i < STATE_PIECES_A_TURN && rc == 1; i++)
        rc = checkpoint_save_store(checkpoint);
    if (rc < 0) checkpoint_spoil(checkpoint, rc, "saving the lists' places");
    if (rc != 0) return rc == 1;
    checkpoint->has_state = true;
    checkpoint_writer_finish(checkpoint->writer);
    return false;
}

/* The picture has to be walked to its end before the next one can begin. */
static bool step_aborting(struct checkpoint *checkpoint, uint64_t slice_us)
{
    enum checkpoint_writer_state state = checkpoint_writer_state(checkpoint->writer);
    if (walk(checkpoint, slice_us)) return true;
    if (checkpoint->is_syncing) return false;
    if (state == CHECKPOINT_WRITER_DONE) { /* it was too late to give up */
        end_complete(checkpoint);
    } else if (state == CHECKPOINT_WRITER_FAILED) {
        bool has_strayed = checkpoint_writer_has_strayed(checkpoint->writer);
        if (has_strayed) checkpoint->info.has_strayed = true;
        spill_checkpoint_abort(checkpoint->options.store, has_strayed);
        if (has_strayed)
            stream_checkpoint_stray(checkpoint->options.streams);
        else
            stream_checkpoint_end(checkpoint->options.streams, false);
        end_failed(checkpoint);
    }
    return false;
}

static void start_aborting(struct checkpoint *checkpoint)
{
    checkpoint->info.step = CHECKPOINT_ABORTING;
    checkpoint_drop_kept(checkpoint);
    keyspace_picture_abandon(checkpoint->options.keyspace);
    checkpoint_writer_cancel(checkpoint->writer, checkpoint->error);
}

static bool is_under_way(const struct checkpoint *checkpoint)
{
    return checkpoint->info.step >= CHECKPOINT_SAVING &&
           checkpoint->info.step <= CHECKPOINT_WRITING;
}

/* What happened since the last turn. */
static void look(struct checkpoint *checkpoint)
{
    if (!is_under_way(checkpoint)) return;
    if (checkpoint_writer_state(checkpoint->writer) == CHECKPOINT_WRITER_FAILED)
        checkpoint_spoil(checkpoint, checkpoint_writer_error(checkpoint->writer),
                         checkpoint_writer_failed_step(checkpoint->writer));
    if (checkpoint->error)
        start_aborting(checkpoint);
    else if (checkpoint_writer_state(checkpoint->writer) == CHECKPOINT_WRITER_DONE)
        end_complete(checkpoint);
}

bool checkpoint_step(struct checkpoint *checkpoint, uint64_t slice_us)
{
    look(checkpoint);
    switch (checkpoint->info.step) {
    case CHECKPOINT_IDLE:
    case CHECKPOINT_WANTED:
        return false;
    case CHECKPOINT_SAVING:
        return step_saving(checkpoint, slice_us) || checkpoint->error;
    case CHECKPOINT_SYNCING:
        return step_syncing(checkpoint) || checkpoint->error;
    case CHECKPOINT_WRITING:
        return step_writing(checkpoint) || checkpoint->error;
    case CHECKPOINT_CLEANING:
        if (!checkpoint->is_cleaning) checkpoint->info.step = CHECKPOINT_IDLE;
        return false;
    case CHECKPOINT_ABORTING:
        return step_aborting(checkpoint, slice_us);
    }
    return false;
}

void checkpoint_abort(struct checkpoint *checkpoint, int error)
{
    forget_requests(&checkpoint->info);
    if (is_under_way(checkpoint)) checkpoint_spoil(checkpoint, error, "it was given up");
}

void checkpoint_lose_log(struct checkpoint *checkpoint, int error)
{
    if (is_under_way(checkpoint)) checkpoint_spoil(checkpoint, error, looking_at_log);
}

void checkpoint_refuse(struct checkpoint *checkpoint, int error)
{
    if (checkpoint->info.step != CHECKPOINT_IDLE || !is_requested(checkpoint)) return;
    checkpoint->info.next_is_all = true;
    take_request(checkpoint);
    note_begin(&checkpoint->info);
    checkpoint->last_number++;
    checkpoint_spoil(checkpoint, error, looking_at_log);
    end_failed(checkpoint);
}

/* Waits for whatever comes first; at most a little while, as the store may do something then. */
static void wait_a_little(const struct checkpoint *checkpoint)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    if (io_wait(checkpoint->options.io) == 0) (void)nanosleep(&moment, NULL);
}

/* Somebody else's picture, an export's, which may have been given up. */
static void end_other_picture(struct checkpoint *checkpoint)
{
    if (checkpoint->info.step != CHECKPOINT_IDLE) return;
    while (keyspace_picture_step(checkpoint->options.keyspace, UINT64_MAX)) {}
}

int checkpoint_wait(struct checkpoint *checkpoint)
{
    end_other_picture(checkpoint);
    while (checkpoint->info.step != CHECKPOINT_IDLE || is_requested(checkpoint)) {
        bool has_more;
        checkpoint_begin(checkpoint);
        has_more = checkpoint_step(checkpoint, UINT64_MAX);
        if (spill_store_tick(checkpoint->options.store, 0)) has_more = true;
        if (stream_store_tick(checkpoint->options.streams, (uint64_t)clock_realtime_ms(), 0))
            has_more = true;
        if (!has_more && checkpoint->info.step != CHECKPOINT_IDLE) wait_a_little(checkpoint);
    }
    return checkpoint->info.error;
}

void checkpoint_loaded(struct checkpoint *checkpoint, uint64_t number, uint64_t position,
                       uint64_t file_bytes)
{
    struct keyspace_info keyspace;
    assert(checkpoint->info.step == CHECKPOINT_IDLE);
    keyspace_info(checkpoint->options.keyspace, &keyspace);
    checkpoint->last_number = number;
    checkpoint->info.number = number;
    checkpoint->info.position = position;
    checkpoint->info.file_bytes = file_bytes;
    checkpoint->info.changes = keyspace.changes;
}

void checkpoint_set_store(struct checkpoint *checkpoint, struct spill_store *store)
{
    assert(checkpoint->info.step == CHECKPOINT_IDLE);
    checkpoint->options.store = store;
}

void checkpoint_set_streams(struct checkpoint *checkpoint, struct stream_store *streams)
{
    assert(checkpoint->info.step == CHECKPOINT_IDLE);
    checkpoint->options.streams = streams;
}

void checkpoint_get_info(const struct checkpoint *checkpoint, struct checkpoint_info *out_info)
{
    const struct checkpoint_log *log = &checkpoint->options.log;
    struct keyspace_picture_progress progress;
    *out_info = checkpoint->info;
    if (checkpoint_wants_to_begin(checkpoint)) out_info->step = CHECKPOINT_WANTED;
    keyspace_picture_progress(checkpoint->options.keyspace, &progress);
    out_info->keys_saved = progress.visited_count;
    out_info->keys_total = progress.total_count;
    if (checkpoint->writer) {
        out_info->written_bytes = checkpoint_writer_written_bytes(checkpoint->writer);
        out_info->memory_bytes = checkpoint_writer_memory_bytes(checkpoint->writer);
    }
    if (log->distance) out_info->log_bytes = log->distance(log->context, checkpoint->info.position);
}

static bool is_going_on(const struct checkpoint_info *info)
{
    return info->step >= CHECKPOINT_SAVING && info->step != CHECKPOINT_CLEANING;
}

bool checkpoint_is_in_progress(const struct checkpoint_info *info, enum checkpoint_kind kind)
{
    if (is_going_on(info)) return is_of(info, kind);
    return info->is_requested[kind] && (info->next_is_all || info->next_kind == kind);
}

bool checkpoint_is_scheduled(const struct checkpoint_info *info, enum checkpoint_kind kind)
{
    return info->is_requested[kind] && !checkpoint_is_in_progress(info, kind);
}
