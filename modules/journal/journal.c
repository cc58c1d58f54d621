/* Opening: meta and the writer's lock, what counts (recover.h), the rest cut, the index of the last
 * segment, that segment with room for the first frames; only then readers are told.
 *
 * Closing: what is buffered is written, what has ended is synced, jobs are waited for; the segment
 * is cut to its length and the next one, made for nothing, is removed. */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/journal/recover.h"

enum { OPEN_ROOM_BYTES = 64 << 10 };

/* ---- opening ----------------------------------------------------------------------------------
 */

static int create_active(struct journal *journal, const struct journal_segment_header *header,
                         uint64_t room)
{
    if (room > header->capacity) room = header->capacity;
    if (!journal->syncs_late)
        return journal_segment_create(journal->os, journal->path, header, room, journal->room_kind,
                                      &journal->active);
    journal->has_names = false;
    return journal_segment_create_late(journal->os, journal->path, header, room, journal->room_kind,
                                       &journal->active);
}

/* Nothing stays ahead of the last frame but what make_open_room counts on; zeros may. */
static void cut_room(struct journal *journal)
{
    struct journal_segment *active = journal->active;
    uint64_t end = journal->offset + ROOM_TAIL_BYTES;

    if (end > active->capacity) end = active->capacity;
    (void)journal_segment_cut(journal->os, active, end);
}

/* On a full disk it is opened all the same, for who reads it: closing has left room for its end. */
static int make_open_room(struct journal *journal)
{
    struct journal_segment *active = journal->active;
    uint64_t room = journal->offset + OPEN_ROOM_BYTES, least = journal->offset + ROOM_TAIL_BYTES;
    int rc;

    room -= room % JOURNAL_PAGE_BYTES;
    least += JOURNAL_PAGE_BYTES - 1;
    least -= least % JOURNAL_PAGE_BYTES;
    if (room > active->capacity) room = active->capacity;
    if (least > room) least = room;
    if (journal->opens_short) room = least;
    rc = journal_segment_make_room(journal->os, active, room, journal->room_kind);
    if (rc == -ENOSPC || rc == -EDQUOT)
        rc = journal_segment_make_room(journal->os, active, least, journal->room_kind);
    return rc;
}

/* Makes the segment that the first frame goes to, or opens it, with room. */
static int open_active_with(struct journal *journal, const struct journal_extent *extent)
{
    uint64_t number = extent->end > 0 ? journal_segment_of(extent->end) : journal->first_segment;
    uint64_t offset =
        extent->end > 0 ? journal_offset_of(extent->end) : JOURNAL_SEGMENT_HEADER_BYTES;
    struct journal_segment_header header = { .journal = journal->meta.journal,
                                             .number = number,
                                             .created_ms = (uint64_t)clock_realtime_ms(),
                                             .capacity =
                                                 (uint32_t)journal->meta.settings.roll_bytes,
                                             .synced = extent->end };
    int rc;

    journal->offset = offset;
    if (offset == JOURNAL_SEGMENT_HEADER_BYTES)
        return create_active(journal, &header, offset + OPEN_ROOM_BYTES);
    rc = journal_segment_open(journal->os, journal->path, journal->meta.journal, number, true,
                              &journal->active);
    if (rc < 0) return rc;
    journal_segment_begin_room(journal->active, offset);
    rc = make_open_room(journal);
    if (rc < 0) {
        cut_room(journal);
        journal_segment_close(journal->os, journal->active);
        journal->active = NULL;
    }
    return rc;
}

static int open_active(struct journal *journal, const struct journal_extent *extent)
{
    int rc;

    journal->room_kind =
        journal->way == JOURNAL_MAPPED ? JOURNAL_ROOM_TOUCHED : JOURNAL_ROOM_RESERVED;
    rc = open_active_with(journal, extent);
    if (rc != -EOPNOTSUPP) return rc;
    /* Stores into a mapping could meet a full disk there, and that is a signal, not an error. */
    journal->room_kind = JOURNAL_ROOM_NONE;
    journal->way = JOURNAL_BUFFERED;
    return open_active_with(journal, extent);
}

/* The index of the segment that goes on must have every entry that its frames had. */
static int settle_index(struct journal *journal, struct journal_extent *extent,
                        struct journal_report *report)
{
    struct journal_segment *active = journal->active;
    struct journal_index stored = { 0 };
    int rc = journal_index_load(journal->os, journal->path, active->number, active->seed, &stored);
    bool is_right = rc == 0 && journal_index_equal(&stored, &extent->index);

    journal_index_finish(&journal->jobs->step.index);
    journal->index = extent->index;
    extent->index = (struct journal_index){ 0 };
    if (is_right) {
        journal->jobs->step.index = stored;
        return 0;
    }
    journal_index_finish(&stored);
    if (rc == -ENOMEM) return rc;
    report->index_rebuilt_count++;
    rc = journal_index_write(journal->os, journal->path, active->number, active->seed,
                             &journal->index, 0);
    if (rc < 0) journal->index_error_count++; /* a hint: the journal does without */
    for (size_t i = 0; i < journal->index.count; i++) {
        const struct journal_index_entry *entry = &journal->index.entries[i];
        journal_index_add(&journal->jobs->step.index, entry->offset, entry->time_ms, entry->seq);
    }
    return 0;
}

/* How far it is on the device is what the owner says. */
static int take_synced(struct journal *journal, const struct journal_options *options)
{
    uint64_t here = journal_here(journal), synced = options->synced_position;

    if (synced > here) synced = here;
    if (synced > 0 && journal_segment_of(synced) != journal_segment_of(here)) return -EINVAL;
    if (synced == 0) journal->has_names = false;
    journal_live_lower_synced(journal->meta.live, journal->meta.journal, synced);
    journal->synced = journal->noted = synced;
    return 0;
}

static void take_extent(struct journal *journal, const struct journal_extent *extent)
{
    uint64_t here = journal_here(journal);

    if (extent->first > 0) journal->first_segment = extent->first;
    journal->written = here;
    journal->published = here;
    journal->synced = here;
    journal->noted = here;
    journal->last_time_ms = extent->last_time_ms;
    journal->last_seq = extent->last_seq;
    journal->has_last_id = extent->has_last_id;
    journal->segment_time_ms = extent->segment_time_ms;
    journal->has_segment_time = extent->has_segment_time;
}

void journal_tell_readers(struct journal *journal, uint64_t boot)
{
    struct journal_live *live = journal->meta.live;

    /* Nothing counts between the two: an old published under the new boot would be a lie. */
    atomic_store_explicit(&live->boot, 0, memory_order_seq_cst);
    journal_live_note_synced(live, journal->meta.journal, journal->synced);
    journal_live_publish(live, journal->meta.waiters, journal->published);
    atomic_store_explicit(&live->boot, boot, memory_order_release);
    journal_live_publish(live, journal->meta.waiters, journal->published); /* wakes for boot */
}

static void release(struct journal *journal)
{
    journal_set_take_out(journal);
    if (journal->is_in_memory) {
        journal_memory_free(journal);
    } else if (journal->is_resting) {
        free(journal->active); /* a stub */
    } else {
        journal_segment_close(journal->os, journal->active);
    }
    journal_index_finish(&journal->index);
    if (journal->jobs) journal_index_finish(&journal->jobs->step.index);
    if (journal->jobs) journal_renewal_destroy(journal->jobs->renew.renewal);
    free(journal->jobs);
    free(journal->buffer_spare);
    journal_meta_close(journal->os, &journal->meta);
    journal_packed_list_finish(&journal->packed);
    free(journal->path);
    free(journal);
}

static int refuse_tail(const struct journal *journal, const struct journal_extent *extent,
                       char text[JOURNAL_REPORT_TEXT_BYTES])
{
    uint64_t bytes;
    int rc = journal_recover_tail(journal->os, journal->path, &journal->meta, extent, &bytes, text);

    if (rc < 0) return rc;
    return bytes > 0 ? -EUCLEAN : 0;
}

static int find_end(struct journal *journal, const struct journal_options *options,
                    struct journal_extent *extent, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    if (options->ends_at > 0) {
        return journal_recover_find_until(journal->os, journal->path, &journal->meta,
                                          options->ends_at, options->verifies_all, extent, text);
    }
    return journal_recover_find(journal->os, journal->path, &journal->meta,
                                options->synced_position, options->verifies_all, extent, text);
}

static int open_recovered(struct journal *journal, const struct journal_options *options,
                          struct journal_extent *extent, struct journal_report *report)
{
    int rc = journal_need_jobs(journal);

    if (rc == 0) rc = find_end(journal, options, extent, report->text);
    report->synced_position = extent->synced;
    if (rc == 0 && options->refuses_tail) rc = refuse_tail(journal, extent, report->text);
    if (rc == 0)
        rc = journal_recover_cut(journal->os, journal->path, &journal->meta, extent,
                                 options->syncs_late, report);
    if (rc == 0) rc = open_active(journal, extent);
    if (rc == 0) rc = settle_index(journal, extent, report);
    if (rc == 0) rc = journal_tend_open(journal, options->verifies_all);
    if (rc == 0 && options->tells_packed)
        rc = journal_packed_list_load(journal->os, &journal->meta.places, &journal->packed);
    if (rc < 0) return rc;
    take_extent(journal, extent);
    if (options->syncs_late) rc = take_synced(journal, options);
    if (rc < 0) return rc;
    report->start = journal_segment_start(journal->first_segment);
    report->end = journal_here(journal);
    journal_tell_readers(journal, journal_boot(journal->os));
    return 0;
}

/* 1: there is no such directory. 0: there is something. */
static int is_missing(struct journal *journal)
{
    int fd = journal->os->open(journal->os, journal->path, O_RDONLY | O_DIRECTORY, 0);

    if (fd == -ENOENT) return 1;
    if (fd < 0) return fd;
    (void)journal->os->close(journal->os, fd); /* read only */
    return 0;
}

static int open_in_memory(struct journal *journal, const struct journal_options *options,
                          uint64_t number, struct journal_report *report)
{
    int rc = journal_memory_open(journal, &options->settings, number);

    if (rc < 0) return rc;
    report->is_created = true;
    report->start = report->end = journal_here(journal);
    return 0;
}

static void tell_of_key(int rc, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    const char *what = NULL;

    if (rc == -ENOKEY) what = "its key file is missing or may not be read";
    if (rc == -EKEYREJECTED) what = "its key file does not hold the key it was made with";
    if (what) (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES, "%s", what);
}

int journal_prepare(struct os *os, const struct journal_options *options,
                    struct journal_report *out_report, struct journal **out_journal)
{
    struct journal_extent extent = { 0 };
    struct journal *journal;
    uint64_t number;
    int rc = -ENOMEM;

    *out_report = (struct journal_report){ 0 };
    if (options->ends_at > 0 &&
        (options->refuses_tail || (options->synced_position > 0 && !options->syncs_late))) {
        return -EINVAL;
    }
    journal = calloc(1, sizeof(*journal));
    if (!journal) return -ENOMEM;
    journal->os = os;
    journal->meta.fd = -1;
    journal->way = options->way;
    journal->publish = options->publish;
    journal->set = options->set;
    journal->ids_may_fall = options->ids_may_fall;
    journal->syncs_late = options->syncs_late;
    journal->pins_room = options->pins_room;
    journal->drops_written = options->drops_written;
    journal->opens_short = options->opens_short;
    journal->has_names = true;
    journal->on_progress = options->on_progress;
    journal->on_packed = options->on_packed;
    journal->may_grow = options->may_grow;
    journal->room_left = options->room_left;
    journal->context = options->context;
    journal->retired_tail = &journal->retired_head;
    journal->first_segment = journal_segment_of(options->starts_above) + 1;
    journal->plain_from = options->ends_at > 0 ? options->ends_at : UINT64_MAX;
    journal->path = strdup(options->path);
    if (!journal->path) goto out;
    rc = random_entropy(&number, sizeof(number));
    if (rc == 0 && (options->starts_in_memory || options->ends_at > 0)) rc = is_missing(journal);
    if (rc < 0) goto out;
    if (rc > 0 && options->ends_at > 0) {
        rc = -EBADMSG;
        (void)snprintf(out_report->text, sizeof(out_report->text), "it is not there");
    } else if (rc > 0) {
        rc = open_in_memory(journal, options, number, out_report);
    } else {
        rc = journal_meta_open_writer(os, journal->path, &options->settings, number,
                                      (uint64_t)clock_realtime_ms(), options->syncs_late,
                                      &journal->meta, &out_report->is_created);
        if (rc == 0) rc = open_recovered(journal, options, &extent, out_report);
        /* Nobody counts what one takes that could not be opened. */
        if (rc < 0 && journal->active) cut_room(journal);
    }
    if (rc < 0) goto tell;
    *out_journal = journal;
    journal = NULL;
tell:
    tell_of_key(rc, out_report->text);
out:
    journal_index_finish(&extent.index);
    if (journal) release(journal);
    return rc;
}

void journal_attach(struct journal *journal, struct io *io)
{
    assert(!journal->io);
    journal->io = io;
    if (journal->is_in_memory) return;
    journal_room_note(journal->active);
    journal_tell_packed(journal);
    journal_set_add(journal);
    journal_room_plan(journal);
    journal_tend_step(journal);
}

int journal_open(struct os *os, struct io *io, const struct journal_options *options,
                 struct journal_report *out_report, struct journal **out_journal)
{
    int rc = journal_prepare(os, options, out_report, out_journal);

    if (rc == 0) journal_attach(*out_journal, io);
    return rc;
}

/* ---- closing ----------------------------------------------------------------------------------
 */

static bool is_busy(const struct journal *journal)
{
    const struct journal_jobs *jobs = journal->jobs;

    if (!jobs) return false;
    return jobs->room.is_running || jobs->step.is_running || jobs->renew.is_running ||
           jobs->trim.is_running || jobs->move.is_running || jobs->tend.is_running ||
           jobs->rest.is_running;
}

static void wait_for_jobs(struct journal *journal)
{
    while (is_busy(journal))
        (void)io_wait(journal->io);
}

static void drop_next(struct journal *journal)
{
    uint64_t number = journal->active->number + 1;

    if (!journal->next) return;
    journal_segment_close(journal->os, journal->next);
    journal->next = NULL;
    /* One that stays is without frames; opening makes it anew. */
    (void)journal_segment_remove(journal->os, journal->path, number);
}

static void drop_retired(struct journal *journal)
{
    while (journal->retired_head) {
        struct journal_retired *retired = journal->retired_head;
        journal->retired_head = retired->next;
        journal_segment_close(journal->os, retired->segment);
        journal_index_finish(&retired->index);
        free(retired);
    }
}

static int drop_buffers(struct journal *journal)
{
    int rc = journal->buffer_head ? journal->write_error : 0;

    while (journal->buffer_head) {
        struct journal_buffer *buffer = journal->buffer_head;
        journal->buffer_head = buffer->next;
        free(buffer);
    }
    return rc;
}

static void leave_active(struct journal *journal)
{
    struct journal_segment *active = journal->active;
    size_t from;

    if (journal->error || journal->is_in_memory || journal->is_resting)
        return; /* what is there is for recovery to judge */
    from = journal->jobs->step.index.count;
    if (journal->index.count > from) {
        (void)journal_index_write(journal->os, journal->path, active->number, active->seed,
                                  &journal->index, from);
    }
    cut_room(journal);
}

int journal_close(struct journal *journal)
{
    int rc;

    if (!journal) return 0;
    journal->on_progress = NULL;
    journal->on_packed = NULL;
    journal->may_grow = NULL;
    journal->room_left = NULL;
    if (journal->jobs) journal->jobs->tend.is_stopped = true;
    journal->is_closing = true;
    journal->is_renewing = false;
    wait_for_jobs(journal);
    journal_publish(journal);
    wait_for_jobs(journal);
    rc = drop_buffers(journal);
    if (journal->error) rc = journal->error;
    if (rc == 0) leave_active(journal);
    drop_next(journal);
    drop_retired(journal);
    if (journal->jobs) journal_tender_finish(&journal->jobs->tend.tender);
    release(journal);
    return rc;
}

void journal_detach(struct journal *journal)
{
    assert(!is_busy(journal));
    assert(journal->error || !journal->buffer_head);
    journal_set_take_out(journal);
    journal->io = NULL;
}

bool journal_may_close_late(const struct journal *journal)
{
    return journal->syncs_late && !journal->retired_head && journal->buffered_bytes == 0;
}

void journal_give_up(struct journal *journal)
{
    journal->is_renewing = false;
    if (!journal->error) journal->error = -ECANCELED;
}

bool journal_is_busy(const struct journal *journal)
{
    return is_busy(journal);
}

int journal_wait(struct journal *journal)
{
    if (!is_busy(journal)) return -EAGAIN;
    (void)io_wait(journal->io);
    return 0;
}
