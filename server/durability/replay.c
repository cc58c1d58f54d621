#include "server/durability/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/clock.h"
#include "modules/journal/format.h"
#include "modules/journal/journal_reader.h"
#include "server/durability/log_frame.h"
#include "server/durability/oplog.h"

enum { FRAMES_BETWEEN_CLOCKS = 32 };

static const char written_by_another[] = "written by another version";

struct replay {
    struct replay_options options;
    const struct oplog *oplog;
    struct journal_reader *reader;
    struct log_frame_reader *commands;
    uint64_t from, end;
    uint64_t frame_count, command_count;
    char error[REPLAY_TEXT_BYTES + 128];
};

int replay_open(struct os *os, const struct oplog *oplog, const struct replay_options *options,
                struct replay **out_replay)
{
    struct replay *replay = calloc(1, sizeof(*replay));
    int rc = -ENOMEM;

    if (!replay) return rc;
    replay->options = *options;
    replay->oplog = oplog;
    rc = log_frame_reader_create(&replay->commands);
    if (rc == 0) rc = journal_reader_open(os, oplog_path(oplog), &replay->reader);
    if (rc == 0) {
        rc = options->position ? journal_reader_seek_position(replay->reader, options->position)
                               : journal_reader_seek_start(replay->reader);
    }
    if (rc < 0) {
        replay_close(replay);
        return rc;
    }
    replay->from = journal_reader_position(replay->reader);
    replay->end = journal_reader_end(replay->reader);
    *out_replay = replay;
    return 0;
}

void replay_close(struct replay *replay)
{
    if (!replay) return;
    journal_reader_close(replay->reader);
    log_frame_reader_destroy(replay->commands);
    free(replay);
}

static int refuse(struct replay *replay, int rc, uint64_t position, const char *why)
{
    (void)snprintf(replay->error, sizeof(replay->error), "%s/%010llu.log at offset %llu: %s",
                   oplog_path(replay->oplog), (unsigned long long)journal_segment_of(position),
                   (unsigned long long)journal_offset_of(position), why);
    return rc;
}

static int apply_frame(struct replay *replay, const struct journal_entry *entry)
{
    struct slice *arguments;
    uint32_t argument_count;
    unsigned database;
    int rc = log_frame_reader_begin(replay->commands, entry->payload);

    if (rc == -EPROTONOSUPPORT) return refuse(replay, rc, entry->position, written_by_another);
    if (rc < 0) return refuse(replay, rc, entry->position, "a frame that is none of ours");
    while ((rc = log_frame_reader_next(replay->commands, &database, &arguments, &argument_count)) ==
           1) {
        char text[REPLAY_TEXT_BYTES] = "";

        rc = replay->options.apply(replay->options.context, (int64_t)entry->time_ms, database,
                                   arguments, argument_count, text);
        if (rc < 0) return refuse(replay, rc, entry->position, text);
        replay->command_count++;
    }
    if (rc < 0)
        return refuse(replay, rc, entry->position, "a frame that does not hold what it says");
    replay->frame_count++;
    return 0;
}

static const char *why_unread(int rc)
{
    if (rc == -EBADMSG) return "damaged";
    return rc == -EPROTONOSUPPORT ? written_by_another : strerror(-rc);
}

/* 1: a frame was applied. 0: there is none. */
static int next(struct replay *replay)
{
    struct journal_entry entry;
    uint64_t position = journal_reader_position(replay->reader);
    int rc;

    if (position >= replay->end) return 0;
    rc = journal_reader_next(replay->reader, &entry);
    if (rc < 0) return refuse(replay, rc, position, why_unread(rc));
    if (rc == 0) return 0;
    rc = apply_frame(replay, &entry);
    if (rc < 0) return rc;
    if (replay->options.between) replay->options.between(replay->options.context);
    return 1;
}

int replay_step(struct replay *replay, uint64_t limit_us)
{
    uint64_t began_us = clock_monotonic_us();

    for (;;) {
        for (int i = 0; i < FRAMES_BETWEEN_CLOCKS; i++) {
            int rc = next(replay);

            if (rc <= 0) return rc;
        }
        if (clock_monotonic_us() - began_us >= limit_us) return 1;
    }
}

const char *replay_error(const struct replay *replay)
{
    return replay->error;
}

void replay_get_progress(const struct replay *replay, struct replay_progress *out_progress)
{
    uint64_t here = journal_reader_position(replay->reader);

    *out_progress = (struct replay_progress){
        .total_bytes = oplog_distance(replay->oplog, replay->from, replay->end),
        .loaded_bytes = oplog_distance(replay->oplog, replay->from, here),
        .frame_count = replay->frame_count,
        .command_count = replay->command_count,
    };
}
