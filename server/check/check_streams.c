/* check_streams.c - every stream of the newest checkpoint, read from its first entry to its last,
 * with its groups. Through a table of system calls that changes nothing; but a journal's meta and
 * headers of its segments are made anew where that is asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/journal/check.h"
#include "modules/journal/mend.h"
#include "modules/stream/checkpoint.h"
#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/check/check.h"
#include "server/check/read_only_os.h"
#include "server/durability/checkpoint_load_stream.h"
#include "server/durability/checkpoint_reader.h"
#include "server/types/stream.h"

typedef unsigned long long ull; /* for printf */

enum { PATH_BYTES = 4096 };

struct streams {
    struct check *check;
    struct checkpoint_reader *reader;
    struct io *io;
    struct stream_store *store;
    struct stream_group_store *group_store;
    struct checkpoint_stream_load load;
    char name[2 * CHECK_QUOTED_BYTES]; /* of the stream that is looked at, in words */
    const char *error;                 /* the reader's */
    uint64_t stream_count, entry_count, group_count, pending_count, damaged_count;
};

static int wait_for_disk(void *context)
{
    struct streams *streams = context;

    (void)io_wait(streams->io);
    return 0;
}

/* ---- a stream ----------------------------------------------------------------------------------
 */

static int damaged(struct streams *streams, const char *why)
{
    streams->damaged_count++;
    check_damage(streams->check, "%s: %s", streams->name, why);
    return 0;
}

/* What a journal holds is gone through without opening it: nothing is to be changed. */
struct in_journal {
    const struct stream *stream;
    uint64_t end; /* position up to which frames count */
    uint64_t count;
};

static int count_frame(void *context, uint64_t position, uint64_t time_ms, struct slice payload,
                       bool is_behind_end)
{
    struct in_journal *in = context;
    uint64_t ordinal;

    (void)time_ms;
    (void)is_behind_end;
    if (position >= in->end || payload.size < sizeof(ordinal)) return 0;
    ordinal = load_u64le(payload.bytes);
    in->count += stream_count_between(in->stream, ordinal, ordinal + 1);
    return 0;
}

static int damaged_journal(struct streams *streams, const char *path, const char *why)
{
    streams->damaged_count++;
    check_damage(streams->check, "%s: %s: %s", streams->name, path, why);
    return 0;
}

static int damaged_meta(struct streams *streams, const char *path, const char *what)
{
    char why[JOURNAL_REPORT_TEXT_BYTES];

    (void)snprintf(why, sizeof(why), "meta is %s%s", what,
                   streams->check->repairs ? ""
                                           : ": --repair makes it anew if the segments are whole");
    return damaged_journal(streams, path, why);
}

/* What segments say is all that it says; where the journal ends is known by the checkpoint. */
static void mend_meta(const struct streams *streams, const char *path, uint64_t end)
{
    struct journal_report report;
    char place[JOURNAL_REPORT_TEXT_BYTES];
    int rc = journal_mend_meta(os_real(), path, end, &report);

    if (rc == -EEXIST || rc == -ENOENT || rc == -EPROTONOSUPPORT) return; /* told below */
    if (rc < 0) {
        check_note(streams->check, "%s: %s/meta cannot be made anew: %s. Restore a backup",
                   streams->name, path, report.text[0] ? report.text : strerror(-rc));
        return;
    }
    journal_check_place(report.end, place);
    check_repair(streams->check,
                 "%s: %s/meta was made anew from the segments, whose frames are whole up to %s",
                 streams->name, path, place);
}

static void mend_headers(const struct streams *streams, const char *path)
{
    unsigned count;
    int rc = journal_mend_headers(os_real(), path, &count);

    if (count > 0)
        check_repair(streams->check,
                     "%s: %s: %u damaged headers of segments were made anew: their first frames "
                     "prove whose they are",
                     streams->name, path, count);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG) /* else told below */
        check_note(streams->check, "%s: %s: headers of segments cannot be made anew: %s",
                   streams->name, path, strerror(-rc));
}

static int check_journal(struct streams *streams, const struct stream *stream, const char *path,
                         uint64_t end)
{
    struct in_journal in = { .stream = stream, .end = end };
    struct journal_check found;
    int rc;

    if (streams->check->repairs) {
        mend_meta(streams, path, end);
        mend_headers(streams, path);
    }
    rc = journal_check(os_real(), path, end, count_frame, &in, &found);
    streams->entry_count += in.count;
    if (rc == -ENOMEM) return rc;
    if (rc == -ENOENT && !found.text[0]) return damaged_meta(streams, path, "missing");
    if (rc == -EBADMSG && !found.text[0]) return damaged_meta(streams, path, "damaged");
    if (rc < 0) return damaged_journal(streams, path, found.text[0] ? found.text : strerror(-rc));
    if (found.end < end)
        return damaged_journal(streams, path, found.text[0] ? found.text : "it ends too early");
    if (!found.has_synced_place)
        return damaged_journal(streams, path, "its journal ends amid an entry");
    return in.count == stream_count(stream) ? 0
                                            : damaged_journal(streams, path, "entries are missing");
}

static int check_entries(struct streams *streams, struct stream *stream)
{
    char path[PATH_BYTES];
    uint64_t count = 0, journal_end;
    struct stream_cursor cursor;
    struct stream_entry entry;
    int rc;

    if (stream_checkpoint_journal(stream, path, sizeof(path), &journal_end))
        return check_journal(streams, stream, path, journal_end);
    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    while ((rc = stream_cursor_next(&cursor, &entry)) == 1)
        count++;
    streams->entry_count += count;
    if (rc == -ENOMEM) return rc;
    if (rc < 0) return damaged(streams, strerror(-rc));
    return count == stream_count(stream) ? 0 : damaged(streams, "entries are missing");
}

static void count_groups(struct streams *streams, const struct stream_groups *groups)
{
    uint32_t count = groups ? stream_groups_count(groups) : 0;

    streams->group_count += count;
    for (uint32_t i = 0; i < count; i++)
        streams->pending_count += stream_group_pending_count(stream_groups_at(groups, i));
}

static int check_value(struct streams *streams, const struct checkpoint_record *record)
{
    struct value *value = NULL;
    int rc = checkpoint_load_stream(&streams->load, streams->reader, streams->store,
                                    streams->group_store, record->value_size, &value);

    streams->stream_count++;
    if (rc == -ENOMEM) return rc;
    if (rc < 0) return damaged(streams, streams->error[0] ? streams->error : strerror(-rc));
    rc = check_entries(streams, stream_value_stream(value));
    count_groups(streams, stream_value_groups(value));
    value->type->destroy(value);
    return rc;
}

static int check_piece(struct streams *streams, const struct checkpoint_record *record,
                       struct slice name)
{
    struct checkpoint_stream_part part = { 0 };
    int rc = checkpoint_load_piece(&streams->load, streams->reader, streams->store,
                                   streams->group_store, record, name, &part);

    if (rc == -ENOMEM) return rc;
    if (rc < 0) return damaged(streams, streams->error[0] ? streams->error : strerror(-rc));
    if (rc == 0) return 0;
    count_groups(streams, part.groups);
    stream_groups_destroy(part.groups);
    stream_producers_destroy(part.producers);
    return 0;
}

static int check_record(struct streams *streams, const struct checkpoint_record *record)
{
    uint8_t *bytes = malloc((size_t)record->name_size + 1);
    struct slice name = slice_of(bytes, record->name_size);
    char quoted[CHECK_QUOTED_BYTES];
    int rc = bytes ? checkpoint_reader_read(streams->reader, bytes, name.size) : -ENOMEM;

    if (rc == 0) {
        (void)snprintf(streams->name, sizeof(streams->name), "stream \"%s\" of database %u",
                       check_quote(name, quoted), record->database);
        rc = record->kind == CHECKPOINT_STREAM ? check_value(streams, record)
                                               : check_piece(streams, record, name);
    }
    free(bytes);
    return rc;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static int check_all(struct streams *streams)
{
    struct checkpoint_record record;
    int rc;

    while ((rc = checkpoint_reader_next(streams->reader, &record)) == 1) {
        if (record.kind != CHECKPOINT_STREAM && !checkpoint_record_is_piece(record.kind)) continue;
        rc = check_record(streams, &record);
        if (rc < 0) return rc;
    }
    if (rc == 0) rc = checkpoint_load_streams_end(&streams->load, streams->reader);
    return rc;
}

static void tell_all(struct streams *streams)
{
    if (streams->damaged_count > 0) {
        check_note(
            streams->check,
            "no server starts on a checkpoint with a stream whose meta or segments' heads are "
            "damaged; what is damaged among entries answers an error where it is read");
        return;
    }
    check_tell(streams->check,
               "streams: %llu streams with %llu entries, %llu groups, %llu pending entries, are "
               "whole as of the checkpoint",
               (ull)streams->stream_count, (ull)streams->entry_count, (ull)streams->group_count,
               (ull)streams->pending_count);
}

static int run(struct streams *streams)
{
    const struct stream_options options = { .directory = streams->check->directory,
                                            .memory_bytes_max = UINT32_MAX };
    const struct stream_hooks hooks = { .wait = wait_for_disk, .context = streams };
    int rc = io_create(os_read_only(), 0, &streams->io);

    if (rc == 0)
        rc = stream_store_create(os_read_only(), streams->io, &options, &hooks, &streams->store);
    if (rc == 0) rc = stream_group_store_create(&streams->group_store);
    if (rc == 0) rc = check_all(streams);
    if (rc == 0) tell_all(streams);
    return rc;
}

int check_streams(struct check *check)
{
    char error[CHECKPOINT_ERROR_BYTES] = "";
    struct streams streams = { .check = check, .error = error };
    int rc;

    if (!check->has_checkpoint) return 0;
    rc = checkpoint_reader_open(os_real(), check->checkpoint_path, error, &streams.reader);
    if (rc == 0) {
        rc = run(&streams);
        checkpoint_load_streams_finish(&streams.load);
        stream_group_store_destroy(streams.group_store);
        stream_store_destroy(streams.store);
        io_destroy(streams.io);
        checkpoint_reader_close(streams.reader);
    }
    if (rc == -ENOMEM) return rc;
    if (rc < 0) check_error(check, "streams: %s", error[0] ? error : strerror(-rc));
    return 0;
}
