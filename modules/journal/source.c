#include "modules/journal/source.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"

enum { WINDOW_BYTES = JOURNAL_PACKED_BLOCK_BYTES };

static int take_packed(struct journal_source *source, int fd, const struct journal_places *places)
{
    int rc = journal_packed_open(source->os, fd, places, source->number, &source->packed);

    if (rc == 0) source->limit = journal_packed_header_of(source->packed)->raw_bytes;
    return rc;
}

static int take_plain(struct journal_source *source, int fd, uint64_t journal)
{
    int rc =
        journal_segment_adopt(source->os, fd, journal, source->number, false, &source->segment);

    if (rc == 0) source->limit = source->segment->capacity;
    return rc;
}

int journal_source_open(struct os *os, const struct journal_places *places, uint64_t number,
                        struct journal_source **out_source)
{
    struct journal_place place;
    struct journal_source *source;
    int rc, fd = journal_places_open(os, places, number, &place);

    if (fd < 0) return fd;
    source = calloc(1, sizeof(*source));
    if (!source) {
        (void)os->close(os, fd); /* read only */
        return -ENOMEM;
    }
    source->os = os;
    source->number = number;
    source->seed = journal_seed(places->journal, number);
    rc =
        place.is_packed ? take_packed(source, fd, places) : take_plain(source, fd, places->journal);
    if (rc < 0) {
        (void)os->close(os, fd);
        free(source);
        return rc;
    }
    *out_source = source;
    return 0;
}

void journal_source_close(struct journal_source *source)
{
    if (!source) return;
    journal_segment_close(source->os, source->segment);
    journal_packed_close(source->os, source->packed);
    free(source->window);
    free(source);
}

/* A mapping may be touched as far as the file reaches; beyond it that would be a signal. */
static int view_mapped(struct journal_source *source, uint64_t end)
{
    struct journal_segment *segment = source->segment;
    int rc;

    if (end <= segment->size_bytes) return 0;
    rc = journal_segment_refresh(source->os, segment);
    if (rc < 0) return rc;
    return end <= segment->size_bytes ? 0 : -EBADMSG;
}

/* Room for size bytes in the window, and no more than usual when that is enough. */
static int need_window(struct journal_source *source, uint64_t size)
{
    size_t capacity = size > WINDOW_BYTES ? size : WINDOW_BYTES;
    uint8_t *window;

    if (source->window_capacity == capacity) return 0;
    if (source->window_capacity > capacity && source->window_capacity <= 4 * WINDOW_BYTES) return 0;
    window = malloc(capacity);
    if (!window) return -ENOMEM;
    free(source->window);
    source->window = window;
    source->window_capacity = capacity;
    source->window_size = 0;
    return 0;
}

/* Reads to the end of a block, so that no block is unpacked twice by who goes on. */
static int fill_window(struct journal_source *source, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size + JOURNAL_PACKED_BLOCK_BYTES - 1;
    int rc = need_window(source, size);

    if (rc < 0) return rc;
    end -= end % JOURNAL_PACKED_BLOCK_BYTES;
    if (end > source->limit) end = source->limit;
    if (end - offset > source->window_capacity) end = offset + source->window_capacity;
    source->window_size = 0;
    rc = journal_packed_read(source->os, source->packed, source->window, end - offset, offset);
    if (rc < 0) return rc;
    source->window_offset = offset;
    source->window_size = end - offset;
    return 0;
}

int journal_source_view(struct journal_source *source, uint64_t offset, uint64_t size,
                        const uint8_t **out_bytes)
{
    int rc;

    assert(size > 0);
    if (offset > source->limit || size > source->limit - offset) return -EBADMSG;
    if (source->segment) {
        rc = view_mapped(source, offset + size);
        *out_bytes = source->segment->map + offset;
        return rc;
    }
    if (offset < source->window_offset ||
        offset + size > source->window_offset + source->window_size) {
        rc = fill_window(source, offset, size);
        if (rc < 0) return rc;
    }
    *out_bytes = source->window + (offset - source->window_offset);
    return 0;
}
