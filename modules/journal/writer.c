/* Opening one of several writers: under the journal's lock, so that of two who come first one
 * recovers it. After a boot the live page is nobody's, and no writer can be alive; within a boot it
 * is exact, however many were killed, and only claims of the dead are to be sealed. */
#include "modules/journal/writer_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/journal/recover.h"

enum { FIRST_ROOM_BYTES = 64 << 10 };

static int make_segment(struct journal_writer *writer, uint64_t number)
{
    struct journal_segment_header header = {
        .journal = writer->meta.journal,
        .number = number,
        .created_ms = (uint64_t)clock_realtime_ms(),
        .capacity = (uint32_t)writer->meta.settings.roll_bytes,
        .synced = journal_live_synced(writer->meta.live, writer->meta.journal),
    };

    return journal_segment_create(writer->os, writer->path, &header, FIRST_ROOM_BYTES,
                                  JOURNAL_ROOM_SHARED, &writer->segment);
}

static int recover(struct journal_writer *writer, uint64_t boot, struct journal_report *report)
{
    struct journal_live *live = writer->meta.live;
    struct journal_extent extent = { 0 };
    uint64_t end;
    int rc = journal_recover_find(writer->os, writer->path, &writer->meta, 0, false, &extent,
                                  report->text);

    journal_index_finish(&extent.index);
    if (rc == 0)
        rc = journal_recover_cut(writer->os, writer->path, &writer->meta, &extent, false, report);
    end = extent.end > 0 ? extent.end : journal_segment_start(1);
    if (rc == 0 && journal_offset_of(end) == JOURNAL_SEGMENT_HEADER_BYTES) {
        rc = make_segment(writer, journal_segment_of(end));
    }
    if (rc < 0) return rc;
    report->synced_position = extent.synced;
    atomic_store_explicit(&live->boot, 0, memory_order_seq_cst);
    journal_live_note_synced(live, writer->meta.journal, end);
    atomic_store_explicit(&live->tail, end, memory_order_relaxed);
    atomic_store_explicit(&live->sync_error, 0, memory_order_relaxed);
    journal_live_publish(live, writer->meta.waiters, end);
    atomic_store_explicit(&live->boot, boot, memory_order_release);
    journal_live_publish(live, writer->meta.waiters, end); /* wakes for boot */
    return 0;
}

/* The journal is locked. */
static int join(struct journal_writer *writer, struct journal_report *report)
{
    uint64_t boot = journal_boot(writer->os);
    int rc = 0;

    if (boot == 0) return -EOPNOTSUPP;
    if (atomic_load_explicit(&writer->meta.live->boot, memory_order_acquire) != boot) {
        rc = recover(writer, boot, report);
    }
    if (rc == 0) rc = journal_writer_seal_slot(writer);
    if (rc == 0) rc = journal_writer_publish(writer);
    report->end = journal_writer_published(writer);
    return rc;
}

int journal_writer_open(struct os *os, const char *path, const struct journal_settings *settings,
                        struct journal_report *out_report, struct journal_writer **out_writer)
{
    struct journal_settings several = *settings;
    struct journal_writer *writer = calloc(1, sizeof(*writer));
    uint64_t number;
    int rc = -ENOMEM;

    *out_report = (struct journal_report){ 0 };
    if (!writer) return -ENOMEM;
    several.has_several_writers = true;
    writer->os = os;
    writer->meta.fd = -1;
    writer->path = strdup(path);
    if (writer->path) rc = random_entropy(&number, sizeof(number));
    if (rc == 0) {
        rc = journal_meta_open_shared(os, path, &several, number, (uint64_t)clock_realtime_ms(),
                                      &writer->meta, &writer->slot);
    }
    if (rc < 0) goto out;
    rc = join(writer, out_report);
    journal_meta_unlock(os, &writer->meta);
    if (rc < 0) goto out;
    *out_writer = writer;
    writer = NULL;
out:
    journal_writer_close(writer);
    return rc;
}

void journal_writer_close(struct journal_writer *writer)
{
    if (!writer) return;
    journal_segment_close(writer->os, writer->segment);
    journal_meta_close(writer->os, &writer->meta); /* lets the slot go */
    free(writer->path);
    free(writer);
}

uint64_t journal_writer_published(const struct journal_writer *writer)
{
    return atomic_load_explicit(&writer->meta.live->published, memory_order_acquire);
}

uint64_t journal_writer_synced(const struct journal_writer *writer)
{
    return journal_live_synced(writer->meta.live, writer->meta.journal);
}

/* ---- syncing ----------------------------------------------------------------------------------
 */

/* How far frames may reach in the segment that is mapped: others have perhaps made it longer. */
static int refreshed_end(struct journal_writer *writer, uint64_t *out_end)
{
    struct journal_segment *segment = writer->segment;
    int rc = journal_segment_refresh(writer->os, segment);

    *out_end = segment->size_bytes < segment->capacity ? segment->size_bytes : segment->capacity;
    return rc;
}

/* The journal is locked. Only what the device said is final; a segment that could not be opened now
 * is still to be synced. */
static int sync_range(struct journal_writer *writer, uint64_t from, uint64_t to)
{
    int rc = 0;

    while (rc == 0 && from < to) {
        uint64_t number = journal_segment_of(from), end = journal_offset_of(to);
        rc = journal_writer_need_segment(writer, number);
        if (rc == 0 && number != journal_segment_of(to)) rc = refreshed_end(writer, &end);
        if (rc < 0) return rc == -ENOENT ? -EBADMSG : rc; /* only what is synced is packed */
        rc = journal_segment_sync(writer->os, writer->segment, journal_offset_of(from), end);
        if (rc < 0) atomic_store_explicit(&writer->meta.live->sync_error, rc, memory_order_relaxed);
        from = journal_segment_start(number + 1);
    }
    return rc;
}

int journal_writer_sync(struct journal_writer *writer)
{
    struct journal_live *live = writer->meta.live;
    uint64_t from, to;
    int rc = journal_meta_lock(writer->os, &writer->meta);

    if (rc < 0) return rc;
    rc = atomic_load_explicit(&live->sync_error, memory_order_relaxed);
    from = journal_writer_synced(writer);
    to = journal_writer_published(writer);
    if (rc == 0) rc = sync_range(writer, from, to);
    if (rc == 0 && to > from) journal_live_note_synced(live, writer->meta.journal, to);
    journal_meta_unlock(writer->os, &writer->meta);
    return rc;
}
