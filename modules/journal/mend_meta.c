/* A journal that has lost its meta: found whole by reading every segment, before anything is
 * written; then a file takes meta's place in one step. */
#include "modules/journal/mend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/journal/meta.h"
#include "modules/journal/recover.h"
#include "modules/journal/stored.h"

struct remaker {
    struct os *os;
    const char *path;
    uint64_t synced_position; /* of the caller */
    struct journal_meta meta; /* the one that is being made; live is of its own */
    struct journal_survey survey;
    struct journal_report *report;
};

/* 0: it is missing or damaged, and nobody writes the journal. */
static int look_at_meta(struct os *os, const char *path)
{
    struct journal_meta meta;
    int rc = journal_meta_open_alone(os, path, &meta);

    if (rc == 0) {
        journal_meta_close(os, &meta);
        return -EEXIST;
    }
    return rc == -ENOENT || rc == -EBADMSG ? 0 : rc;
}

/* ---- segments ---------------------------------------------------------------------------------
 */

static int survey(struct remaker *remaker)
{
    static const struct journal_settings usual = { 0 };
    int rc = journal_places_init(&remaker->meta.places, remaker->path, 0, &usual);

    if (rc == 0) rc = journal_places_survey(remaker->os, &remaker->meta.places, &remaker->survey);
    if (rc < 0) return rc;
    return remaker->survey.last > 0 ? 0 : -ENOENT;
}

/* Which journal it is of, nobody knows yet. */
static int read_header(const struct remaker *remaker, uint64_t number,
                       struct journal_segment_header *out_header)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    struct journal_place place;
    uint64_t size;
    int rc, fd = journal_places_open(remaker->os, &remaker->meta.places, number, &place);

    if (fd < 0) return fd;
    rc = remaker->os->size(remaker->os, fd, &size);
    if (rc == 0 && (place.is_packed || size < sizeof(bytes))) rc = -EBADMSG;
    if (rc == 0) rc = os_read_all(remaker->os, fd, bytes, sizeof(bytes), 0);
    (void)remaker->os->close(remaker->os, fd); /* read only */
    if (rc == 0) rc = journal_segment_header_load(bytes, out_header);
    return rc == 0 && out_header->number != number ? -EBADMSG : rc;
}

/* A frame that is too long for the others has a segment of its own, which is larger. */
static int take_header(struct remaker *remaker, uint64_t number)
{
    struct journal_meta *meta = &remaker->meta;
    struct journal_segment_header header = { 0 };
    int rc = read_header(remaker, number, &header);

    if (rc < 0) return rc;
    if (number == remaker->survey.first) {
        meta->journal = meta->places.journal = header.journal;
        meta->created_ms = header.created_ms;
        meta->settings.roll_bytes = header.capacity;
    }
    if (header.journal != meta->journal) return -EBADMSG;
    if (header.capacity < meta->settings.roll_bytes) meta->settings.roll_bytes = header.capacity;
    return 0;
}

static int take_headers(struct remaker *remaker)
{
    uint64_t number = remaker->survey.first;
    int rc = 0;

    while (rc == 0 && number > 0) {
        rc = take_header(remaker, number);
        if (rc == -EBADMSG)
            (void)snprintf(remaker->report->text, sizeof(remaker->report->text),
                           "segment %" PRIu64 " is not whole, or packed, or not of this journal",
                           number);
        if (rc == 0)
            rc = journal_places_after(remaker->os, &remaker->meta.places, number,
                                      remaker->survey.last, &number);
    }
    if (rc < 0) return rc;
    if (remaker->meta.settings.roll_bytes > JOURNAL_ROLL_BYTES_MAX)
        remaker->meta.settings.roll_bytes = JOURNAL_ROLL_BYTES_MAX;
    return journal_settings_check(&remaker->meta.settings) < 0 ? -EBADMSG : 0;
}

/* ---- how far it was synced --------------------------------------------------------------------
 */

/* What the meta that is damaged says of it, if that is whole. */
static int read_live(const struct remaker *remaker, uint64_t *out_synced)
{
    char *file = journal_join_path(remaker->path, "meta");
    int rc, fd = file ? remaker->os->open(remaker->os, file, O_RDONLY | O_NOFOLLOW, 0) : -ENOMEM;
    uint64_t size;

    free(file);
    *out_synced = 0;
    if (fd < 0) return fd == -ENOENT ? 0 : fd;
    rc = remaker->os->size(remaker->os, fd, &size);
    if (rc == 0 && size >= JOURNAL_PAGE_BYTES + sizeof(*remaker->meta.live)) {
        struct journal_live *live = remaker->meta.live;

        rc = os_read_all(remaker->os, fd, (uint8_t *)live, sizeof(*live), JOURNAL_PAGE_BYTES);
        if (rc == 0) *out_synced = journal_live_synced(live, remaker->meta.journal);
    }
    (void)remaker->os->close(remaker->os, fd);                  /* read only */
    memset(remaker->meta.live, 0, sizeof(*remaker->meta.live)); /* nothing else of it is believed */
    return rc;
}

/* Behind all that there is. */
static uint64_t behind_tail(const struct journal_extent *extent)
{
    uint64_t number = journal_segment_of(extent->end);

    return extent->last > number ? journal_segment_start(extent->last) + 1
                                 : journal_position(number, extent->used_end);
}

static int find_synced(struct remaker *remaker, uint64_t *synced)
{
    struct journal_extent extent;
    char text[JOURNAL_REPORT_TEXT_BYTES];
    uint64_t tail = 0;
    int rc = journal_recover_find(remaker->os, remaker->path, &remaker->meta,
                                  remaker->synced_position, true, &extent, text);

    journal_index_finish(&extent.index);
    if (rc < 0 && (rc != -EBADMSG || extent.end == 0)) return rc;
    rc = journal_recover_tail(remaker->os, remaker->path, &remaker->meta, &extent, &tail, text);
    if (rc < 0) return rc;
    if (*synced == 0) *synced = tail > 0 ? behind_tail(&extent) : extent.end;
    if (*synced < extent.synced) *synced = extent.synced;
    remaker->report->start = journal_segment_start(extent.first);
    remaker->report->end = extent.end;
    remaker->report->synced_position = *synced;
    return 0;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static int remake(struct remaker *remaker)
{
    uint64_t synced = 0;
    int rc = survey(remaker);

    if (rc == 0) rc = take_headers(remaker);
    if (rc == 0) rc = read_live(remaker, &synced);
    if (rc == 0) rc = find_synced(remaker, &synced);
    if (rc < 0) return rc;
    journal_live_note_synced(remaker->meta.live, remaker->meta.journal, synced);
    return journal_meta_replace(remaker->os, remaker->path, &remaker->meta);
}

int journal_mend_meta(struct os *os, const char *path, uint64_t synced_position,
                      struct journal_report *out_report)
{
    struct journal_live live = { 0 };
    struct remaker remaker = { .os = os,
                               .path = path,
                               .synced_position = synced_position,
                               .meta = { .fd = -1, .live = &live },
                               .report = out_report };
    int rc = look_at_meta(os, path);

    *out_report = (struct journal_report){ 0 };
    if (rc == 0) rc = remake(&remaker);
    journal_places_finish(&remaker.meta.places);
    return rc;
}
